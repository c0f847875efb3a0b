"""What the makers of textures accept."""

from torch import Tensor


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of one number or two; ValueError below 1."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size={size}; accepted: one number or (height, width), 1 or more")
    return height, width


def check_copy(sample: Tensor, side: int, tolerance: float) -> None:
    """A sample (3,h,w) with room for a square of that side, and a tolerance; else a ValueError."""
    if sample.ndim != 3 or len(sample) != 3 or min(sample.shape[1:]) < side:
        raise ValueError(
            f"sample: shape {tuple(sample.shape)}; accepted: (3,h,w), at least {side} x {side}, "
            "the size of what is copied or compared"
        )
    if tolerance < 0:
        raise ValueError(f"tolerance={tolerance}; accepted: 0 or more")
