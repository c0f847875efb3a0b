"""What is compared: a row of the benchmarks, and when two results agree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Contender:
    """One way to get the result.

    Attributes:
        name: in the table, e.g. "captum, on the course's network".
        prepare: given the row's scene, returns the call that is timed; what a user would do once,
            such as loading a network, belongs here.
        package: the distribution whose version is shown; none for the course and torch itself.
        floor: only the work that cannot be avoided, no result of its own.
    """

    name: str
    prepare: Callable[[Any], Callable[[], object]]
    package: str = ""
    floor: bool = False


@dataclass(frozen=True)
class Finding:
    """How a result compares with the course's: in words, and whether that will do."""

    text: str
    agrees: bool


@dataclass(frozen=True)
class Row:
    """A comparison.

    Attributes:
        name: for `--rows`.
        title: what is computed, on what.
        scene: makes what all contenders share: a network, a photo ...
        contenders: the course's first; every ratio is to it.
        compare: given the scene and what each contender returned, a finding for contenders by
            name; every one that is no floor and not the first needs one.
        note: what the reader should know, for the page.
        unsupported: why this machine cannot run it; empty if it can.
    """

    name: str
    title: str
    scene: Callable[[], Any]
    contenders: tuple[Contender, ...]
    compare: Callable[[Any, Mapping[str, object]], dict[str, Finding]]
    note: str = ""
    unsupported: Callable[[], str] = lambda: ""

    def contender(self, name: str) -> Contender:
        """The contender of that name."""
        return next(one for one in self.contenders if one.name == name)


def largest_difference(ours: object, theirs: object) -> float:
    """max |ours - theirs| / max |ours|; infinite for different shapes or values not finite."""
    a, b = (np.asarray(v, dtype=np.float64).squeeze() for v in (ours, theirs))
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    scale = np.abs(a).max()
    return float(np.abs(a - b).max() / scale) if scale else float(np.abs(b).max() > 0)


def equal(ours: object, theirs: object, limit: float) -> Finding:
    """Whether two arrays are the same up to rounding.

    Args:
        ours, theirs: arrays or tensors; axes of length one do not count.
        limit: of `largest_difference`.
    """
    found = largest_difference(ours, theirs)
    if found <= limit:
        return Finding(f"to {found:.0e}" if found else "identical", True)
    return Finding(f"DISAGREES: {found:.2g} off, {limit:.0e} allowed", False)
