"""Comparing results: arrays, numbers, strings, and lists and dicts of these, with a tolerance."""

import math
import numbers

import torch
from torch import Tensor


def difference(value: object, target: object) -> float:
    """How far a result is from the target, as a share of the target's largest absolute value.

    Args:
        value: what a function returned.
        target: what the reference returned.

    Returns:
        0 for equal ones; infinity where the form differs: shape, length, type, a string, NaN, and
        floating-point numbers in place of indices.
    """
    pairs = aligned(value, target)
    if pairs is None:
        return math.inf
    scale = (
        max((size(t.nan_to_num(0.0, math.inf, -math.inf)) for _, t in pairs), default=0.0) or 1.0
    )
    return max((_gap(v, t) for v, t in pairs), default=0.0) / scale


def aligned(value: object, target: object) -> list[tuple[Tensor, Tensor]] | None:
    """The numbers of both as pairs of float64 tensors of one shape; None where the form differs."""
    if isinstance(target, Tensor) and target.ndim:
        same = isinstance(value, Tensor) and value.shape == target.shape and not value.is_complex()
        # Where the target holds indices, numbers with a point would fail as such.
        same = same and not (value.is_floating_point() and not target.is_floating_point())
        return [(value.double(), target.double())] if same else None
    if isinstance(target, str | bool) or target is None:
        return [] if type(value) is type(target) and value == target else None
    if isinstance(target, Tensor | numbers.Number):
        if isinstance(target, int) and not _is_whole(value):
            return None
        pair = (as_number(value), as_number(target))
        return None if any(number is None for number in pair) else [pair]
    if isinstance(target, dict):
        if not isinstance(value, dict) or value.keys() != target.keys():
            return None
        value, target = [value[k] for k in target], list(target.values())
    both = isinstance(value, list | tuple) and isinstance(target, list | tuple)
    if not both or len(value) != len(target):
        return None
    parts = [aligned(v, t) for v, t in zip(value, target, strict=True)]
    return None if None in parts else [pair for part in parts for pair in part]


def _is_whole(value: object) -> bool:
    """Whether it can be an index or a length: 3.0 cannot."""
    if isinstance(value, Tensor):
        return not value.is_floating_point()
    return isinstance(value, numbers.Integral)


def with_points(target: object) -> object:
    """A target with its whole numbers as floating-point numbers, also inside lists."""
    if isinstance(target, Tensor):
        return target.double()
    if isinstance(target, int) and not isinstance(target, bool):
        return float(target)
    return [with_points(t) for t in target] if isinstance(target, list | tuple) else target


def as_number(value: object) -> Tensor | None:
    """A number, or a tensor that holds one, as a float64 tensor; None for anything else."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return value.double().reshape(())
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return None
    try:
        return torch.tensor(float(value), dtype=torch.float64)
    except OverflowError:  # a whole number with more than 308 digits
        return torch.tensor(math.inf, dtype=torch.float64)


def size(values: Tensor) -> float:
    """The largest absolute value; 0 for an empty tensor."""
    return values.abs().max().item() if values.numel() else 0.0


def _gap(value: Tensor, target: Tensor) -> float:
    if not value.numel():
        return 0.0
    gap = (value - target).abs()
    # Equal infinities, and NaN where the other has NaN too, as a known mistake may.
    gap[(value == target) | (value.isnan() & target.isnan())] = 0.0
    largest = gap.max().item()
    return math.inf if math.isnan(largest) else largest


def equal(value: object, target: object, tolerance: float) -> bool:
    """Whether a result counts as the target."""
    return difference(value, target) <= tolerance
