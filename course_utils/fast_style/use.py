"""Painting with a trained transform network."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from course_utils import images
from course_utils.common import gate


@torch.no_grad()
def stylise(network: nn.Module, image: object, max_side: int | None = 1024) -> Tensor:
    """One photo, painted in one pass.

    Args:
        network: a transform network.
        image: as `images.read` accepts it: any size, grey or with transparency.
        max_side: larger photos are shrunk to this longer side; None paints them as they are, at
            about 1 GB for 4 megapixels.

    Returns:
        (3,H,W) in 0-1, on the CPU.
    """
    device = next(network.parameters()).device
    return gate.run(network, images.read(image, max_side)[None].to(device))[0].cpu()


def fade(pixels: Tensor, contrast: float) -> Tensor:
    """Pixels in 0-1, drawn towards middle grey: 1 leaves them, 0 is plain grey.

    Raises:
        ValueError: a contrast outside 0-1.
    """
    if not 0 <= contrast <= 1:
        raise ValueError(f"contrast={contrast}; accepted: 0 to 1")
    return 0.5 + contrast * (pixels - 0.5)


def pan(image: object, side: int, step: int, frames: int) -> Iterator[Tensor]:
    """A camera that moves to the right: windows of a photo, each `step` pixels further.

    Args:
        image: as `images.read` accepts it.
        side: of the square windows, in pixels.
        step: pixels between frames.
        frames: how many.

    Yields:
        (3,side,side) in 0-1.

    Raises:
        ValueError: the photo is too small for so many frames.
    """
    pixels = images.read(image)
    needed = side + step * (frames - 1)
    height, width = pixels.shape[1:]
    if width < needed or height < side:
        raise ValueError(f"image: {width} x {height} pixels; needed: {needed} x {side} or more")
    top = (height - side) // 2
    for i in range(frames):
        yield pixels[:, top : top + side, i * step : i * step + side]


def flicker(frames: Sequence[Tensor], step: int, margin: int = 16) -> float:
    """How much one and the same spot changes from frame to frame, though only the camera moved.

    Args:
        frames: (3,H,W) each, from `pan` or painted from it.
        step: the pixels the camera moves in each frame.
        margin: pixels at the border that do not count, since what lies outside changes there.

    Returns:
        The mean absolute difference of consecutive frames where they show the same, in 0-1.

    Raises:
        ValueError: fewer than two frames, or frames too small for step and margin.
    """
    if len(frames) < 2 or min(frames[0].shape[1:]) <= 2 * margin + step:
        raise ValueError(
            f"frames: {len(frames)} of {tuple(frames[0].shape) if len(frames) else '-'}; accepted: "
            f"two or more, larger than {2 * margin + step} pixels"
        )
    inner = [
        frame[:, margin : frame.shape[1] - margin, margin : -margin or None] for frame in frames
    ]
    pairs = zip(inner, inner[1:], strict=False)
    gaps = [(a[:, :, step:] - b[:, :, : b.shape[2] - step]).abs().mean() for a, b in pairs]
    return torch.stack(gaps).mean().item()
