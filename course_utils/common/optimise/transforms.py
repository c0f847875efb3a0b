"""Random changes that a picture must survive."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Transform = Callable[[Tensor, torch.Generator], Tensor]


def jitter(reach: int) -> Transform:
    """Shifts images by up to `reach` pixels, down and across; what leaves comes in again."""

    def transform(x: Tensor, random: torch.Generator) -> Tensor:
        shift = torch.randint(-reach, reach + 1, (2,), generator=random, device="cpu")
        return x.roll(tuple(shift.tolist()), dims=(-2, -1))

    return transform


def scale(low: float, high: float) -> Transform:
    """Resizes images by a random factor from `low` to `high`."""

    def transform(x: Tensor, random: torch.Generator) -> Tensor:
        factor = low + (high - low) * torch.rand(1, generator=random, device="cpu").item()
        size = [max(1, round(n * factor)) for n in x.shape[-2:]]
        return functional.interpolate(x, size, mode="bilinear", antialias=factor < 1)

    return transform


def rotate(degrees: float) -> Transform:
    """Turns images by up to `degrees` either way; the border is continued by its mirror image."""

    def transform(x: Tensor, random: torch.Generator) -> Tensor:
        turn = 2 * torch.rand(1, generator=random, device="cpu") - 1
        angle = turn * degrees * torch.pi / 180
        cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
        matrix = torch.stack([cos, -sin, none, sin, cos, none]).view(1, 2, 3).to(x)
        grid = functional.affine_grid(matrix.expand(len(x), -1, -1), list(x.shape), False)
        return functional.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)

    return transform
