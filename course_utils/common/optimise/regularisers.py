"""What keeps a picture in bounds: terms of the loss, and operations between steps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

# ------------------------------------------------------------------ regularisers: terms of the loss


def squared_norm(x: Tensor) -> Tensor:
    """||x||^2, summed over the batch. As a term: `lambda x: weight * squared_norm(x)`."""
    return x.square().sum()


def total_variation(x: Tensor, beta: float = 2.0) -> Tensor:
    """Sum of (d_down^2 + d_across^2)^(beta/2) over positions and colours, summed over the batch.

    Args:
        x: (N,C,H,W), at least 2x2.
        beta: 1 allows sharp edges, 2 prefers smooth slopes.

    Reference: Mahendran & Vedaldi, "Understanding Deep Image Representations by Inverting Them",
    CVPR 2015.
    """
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    squares = down.square() + across.square()
    if beta == 2:
        return squares.sum()
    return (squares + 1e-8).pow(beta / 2).sum()  # the root has no slope at zero


# ------------------------------------------------------------------ regularisers: operations

Operation = Callable[[Tensor, Tensor], Tensor]


def blur(sigma: float) -> Operation:
    """A Gaussian blur of `sigma` pixels."""
    reach = max(1, round(3 * sigma))

    def operation(x: Tensor, gradient: Tensor) -> Tensor:
        kernel = 2 * min(reach, min(x.shape[-2:]) - 1) + 1  # reflection needs room
        return tvf.gaussian_blur(x, [kernel, kernel], [sigma, sigma]) if kernel > 1 else x

    return operation


def clip_small_values(share: float) -> Operation:
    """Sets the `share` of the pixels to zero that are smallest (norm over the colours).

    Zero is the mean colour where `x` is normalised. After Yosinski et al. 2015.
    """
    return lambda x, gradient: clip_small(x, x, share)


def clip_small_gradients(share: float) -> Operation:
    """Sets the `share` of the pixels to zero whose gradient is smallest (norm over the colours)."""
    return lambda x, gradient: clip_small(x, gradient, share)


def clamp(low: float | Tensor, high: float | Tensor) -> Operation:
    """Keeps values from `low` to `high`; tensors that broadcast with the images are accepted."""
    low, high = (v if isinstance(v, Tensor) else torch.tensor(v, device="cpu") for v in (low, high))
    return lambda x, gradient: torch.minimum(torch.maximum(x, low.to(x)), high.to(x))


def clip_small(x: Tensor, by: Tensor, share: float) -> Tensor:
    """Sets the `share` of the pixels to zero whose norm of `by` over the colours is smallest.

    Args:
        x: images (N,3,H,W).
        by: (N,3,H,W): `x` itself, or its gradient.
        share: 0-1, of each image on its own; round(share * H * W) pixels go.

    Returns:
        (N,3,H,W).
    """
    size = by.norm(dim=1).flatten(1)
    gone = size.argsort(dim=1)[:, : round(share * size.shape[1])]
    kept = torch.ones_like(size).scatter(1, gone, 0.0)
    return x * kept.view(len(x), 1, *x.shape[2:])
