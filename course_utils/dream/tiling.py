"""A loss on tiles: memory for one of them at a time."""

from itertools import product

import torch
from torch import Tensor

from course_utils.dream.steps import Objective


def tiled(objective: Objective, side: int) -> Objective:
    """The sum of an objective over tiles, with the memory of one tile.

    Only one tile's activations are kept at a time: each tile is differentiated at once, and what is
    left for later is the gradient of the picture. Units near a tile's border do not see across it,
    so seams form if the tiles always lie alike; `jitter` moves the picture under them.

    Args:
        objective: images -> one number; a sum over positions, as `energy` is.
        side: how high and wide a tile may be; see `tiles`.

    Raises:
        ValueError: a side below 1.
    """
    tiles((1, 1), side)
    return lambda x: _Tiled.apply(x, objective, side)


class _Tiled(torch.autograd.Function):
    """Forward: value and gradient, tile by tile. Backward: hands the gradient out."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx, x: Tensor, objective: Objective, side: int
    ) -> Tensor:
        total, wanted = x.new_zeros(()), context.needs_input_grad[0]
        gradient = torch.zeros_like(x) if wanted else None
        for rows, columns in tiles(x.shape[-2:], side):
            tile = x[..., rows, columns].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                value = objective(tile)
            total += value.detach()
            if wanted:
                gradient[..., rows, columns] = torch.autograd.grad(value, tile)[0]
        context.gradient = gradient
        return total

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, slope: Tensor
    ) -> tuple[Tensor, None, None]:
        return slope * context.gradient, None, None


def tiles(size: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the tiles that part a picture of (H, W) evenly.

    No tile is longer than `side`, and none shorter than half of it unless the picture is.

    Raises:
        ValueError: a side below 1.
    """
    if side < 1:
        raise ValueError(f"side={side}; accepted: 1 pixel or more")
    cuts = []
    for n in size:
        parts = -(-n // side)  # rounded up
        cuts.append([slice(n * i // parts, n * (i + 1) // parts) for i in range(parts)])
    return list(product(*cuts))
