"""Lecture 10's wall: classes painted for two networks at once, and stored.

python data/rebuild_classes.py            # all of them
python data/rebuild_classes.py koala      # one, in about half a minute
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from course_utils import images
from course_utils.ascent.goals import Target, class_goal
from course_utils.ascent.painting import paint
from course_utils.common import paths
from course_utils.common.errors import unknown
from course_utils.common.optimise import Fourier, Result
from course_utils.models import Network

WALL = ("koala", "giant panda", "zebra", "flamingo", "peacock", "goldfish") + (
    "ladybug",
    "monarch",
    "jellyfish",
    "scorpion",
    "toucan",
    "tiger",
)
"""The classes of the wall, in its order."""

SHARES = (1.0, 2.0)
"""Weights of the two goals. SqueezeNet's map grows to about twice the other network's score."""

SIDE, STEPS, SMOOTH = 160, 160, 6000.0
"""Of a stored picture; whatever else `paint` asks for is its own."""


def for_both(
    networks: Sequence[Network], classes: int | str | Sequence | Tensor
) -> list[tuple[float, Target]]:
    """What to climb for pictures that two networks call the same: the sum of both goals, weighted.

    Args:
        networks: two classifiers of the zoo, SqueezeNet first.
        classes: one for all images, or one for each.

    Returns:
        The pairs that `paint` takes.

    Raises:
        ValueError: another number of networks, or an unknown class.
    """
    if len(networks) != len(SHARES):
        raise ValueError(f"networks: {len(networks)} came; accepted: {len(SHARES)}")
    goals = [class_goal(network, classes) for network in networks]
    return list(zip(SHARES, goals, strict=True))


def of_classes(
    networks: Sequence[Network],
    names: Sequence[str],
    side: int = SIDE,
    steps: int = STEPS,
    **settings: object,
) -> Result:
    """Pictures of the wall, painted here: with the same side and steps the stored ones again.

    All begin with the same noise and see the same shifts, so that a class comes out alike, alone or
    among others; rounding, which Adam enlarges, changes details.

    Args:
        networks: as for `for_both`.
        names: the classes, one for each picture.
        side, steps: of the pictures; smaller and fewer are faster.
        settings: further ones for `paint`.
    """
    noise = Fourier((1, side, side), 0.01, device=networks[0].device)()
    start = noise.detach().expand(len(names), -1, -1, -1)
    goals = for_both(networks, list(names))
    return paint(goals, start=start, steps=steps, **{"smooth": SMOOTH} | settings)


def stored(names: Sequence[str] = WALL, folder: Path | None = None) -> Tensor:
    """Stored pictures of the wall: (N,3,160,160) in 0-1, on the CPU.

    Args:
        names: classes of `WALL`.
        folder: where they lie, "class_pictures" in the course's data by default.

    Raises:
        ValueError: a class that is not on the wall.
    """
    for name in names:
        if name not in WALL:
            raise ValueError(unknown("names", name, WALL, "classes of the wall"))
    return torch.stack([images.read(file_of(name, folder)) for name in names])


def file_of(name: str, folder: Path | None = None) -> Path:
    """Where a class's picture is stored."""
    folder = folder or paths.data("class_pictures")
    return folder / f"{name.replace(' ', '_')}.webp"
