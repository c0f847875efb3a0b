"""Photos and paintings before and after: sizes and colours."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import images

SMALLEST = 32
"""Pixels a side: below that the deep layers have no positions left."""

COLOURS = ("painting", "statistics", "luminance")
"""Whose colours the result has, see `task`."""


def fit(picture: object, size: int, argument: str = "photo") -> Tensor:
    """Any picture with its longer side at `size` pixels, shrunk or enlarged: (1,3,H,W) in 0-1.

    Args:
        picture: as `images.read` accepts it: any size, mode and orientation.
        size: 32 or more.
        argument: what errors call the picture.

    Raises:
        ValueError: a side of less than 32 pixels would be left; otherwise as `images.read`.
    """
    pixels = images.read(picture)
    factor = size / max(pixels.shape[1:])
    height, width = (max(1, round(n * factor)) for n in pixels.shape[1:])
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"{argument}: {width} x {height} pixels at size={size}; accepted: {SMALLEST} or more "
            "on the shorter side. Crop it, or ask for a larger size."
        )
    return tvf.resize(pixels[None], [height, width], antialias=True).clamp(0, 1)


LUMINANCE = (0.299, 0.587, 0.114)
"""How bright red, green and blue are to the eye (the Y of television)."""


def luminance(pixels: Tensor) -> Tensor:
    """Brightness (...,1,H,W) of pixels (...,3,H,W)."""
    return torch.einsum("c,...chw->...hw", pixels.new_tensor(LUMINANCE), pixels)[..., None, :, :]


def grey(pixels: Tensor) -> Tensor:
    """Pixels (...,3,H,W) without their colours, still (...,3,H,W)."""
    return luminance(pixels).expand_as(pixels)


def keep_colours(result: Tensor, photo: Tensor) -> Tensor:
    """The brightness of one picture with the colours of another: Y of one, I and Q of the other.

    Adding the same to red, green and blue changes brightness alone.

    Args:
        result, photo: (...,3,H,W) in 0-1, of one size.

    Returns:
        (...,3,H,W) in 0-1; what leaves that range is clipped.

    Reference: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016.
    """
    return (photo + luminance(result) - luminance(photo)).clamp(0, 1)


def match_colours(painting: Tensor, photo: Tensor) -> Tensor:
    """The painting with the photo's mean colour and covariance of colours.

        x' = A (x - mean_painting) + mean_photo,   A = C_photo^(1/2) C_painting^(-1/2)

    Args:
        painting, photo: (...,3,H,W) in 0-1, of any sizes.

    Returns:
        As `painting`; what leaves 0-1 is clipped.

    Reference: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016.
    """
    (mean, root), (new_mean, new_root) = (_colour_statistics(p) for p in (painting, photo))
    change = new_root @ torch.linalg.inv(root)
    moved = torch.einsum("dc,...chw->...dhw", change, painting - mean) + new_mean
    return moved.clamp(0, 1)


def _colour_statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,1,1) and symmetric root of the covariance (3,3) of the colours."""
    columns = pixels.movedim(-3, 0).flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(columns, correction=0))
    # A grey picture varies in one direction only: the others get a little, so that A exists.
    root = vectors * values.clamp(min=1e-5).sqrt() @ vectors.mT
    return columns.mean(1)[:, None, None], root
