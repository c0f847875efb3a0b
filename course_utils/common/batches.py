"""Running a function over more images than fit, or than are fast, at once."""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

CHUNK = 16
"""Images per pass: larger batches are no faster on a CPU, and slower from 64 on (page faults)."""


def in_chunks(
    function: Callable[..., Tensor],
    *tensors: Tensor,
    size: int = CHUNK,
    progress: str | None = None,
) -> Tensor:
    """`function(*tensors)`, computed on slices of the first axis and joined again.

    Args:
        function: takes slices of `tensors`, returns one row for each of theirs.
        tensors: of equal length along the first axis, at least 1.
        size: rows in a slice.
        progress: a caption; shows a progress bar while it runs.

    Returns:
        What the function returns for the whole, (N, ...).

    Raises:
        ValueError: tensors of different lengths, or empty.
    """
    n = {len(t) for t in tensors}
    if len(n) != 1 or 0 in n:
        raise ValueError(f"tensors: lengths {sorted(n)}; accepted: one common length, 1 or more")
    starts = range(0, n.pop(), size)
    bar = tqdm(starts, desc=progress, disable=progress is None, leave=False)
    return torch.cat([function(*(t[i : i + size] for t in tensors)) for i in bar])
