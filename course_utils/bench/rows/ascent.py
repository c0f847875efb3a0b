"""Lecture 10: pictures of classes from noise, beside lucent."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from course_utils import ascent, models
from course_utils.bench.row import Contender, Finding, Row
from course_utils.bench.rows import scene as scenes

CLASSES = ("goldfish", "castle", "pirate", "mosque")
SIDE, STEPS = 128, 100
SHIFT = (5, -7)  # pixels
SURE = 0.9
LUCENT, SMALL = "lucent, its defaults", f"lucent, at {SIDE} pixels like the course"


@dataclass(frozen=True)
class Wanted:
    """A network, and the classes to be painted for it."""

    model: models.Network
    classes: tuple[str, ...]


def four_classes() -> Wanted:
    """SqueezeNet 1.1, on the CPU."""
    return Wanted(models.load("squeezenet1_1", "cpu"), CLASSES)


def course_paint(wanted: Wanted) -> Callable[[], Tensor]:
    """The course's helper with its defaults: (N,3,H,W) in 0-1."""
    goal, n = ascent.score(wanted.model, wanted.classes), len(wanted.classes)
    settings = {"size": SIDE, "steps": STEPS, "progress": None}
    return lambda: ascent.paint(goal, n, **settings).image


@contextmanager
def ipython() -> Iterator[None]:
    """An empty stand-in where IPython is missing: lucent imports it, only to show pictures."""
    names = [] if find_spec("IPython") else ["IPython", "IPython.display"]
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def lucent(wanted: Wanted, side: int | None = None) -> Callable[[], Tensor]:
    """lucent's `render_vis`, one batch for all classes, as many steps as the course.

    Args:
        wanted: for which network, and what.
        side: the pictures are resized to it before the network; 224, its default, if None.
    """
    with ipython():
        from lucent.optvis import objectives, param, render

    model, n = scenes.as_downloaded(wanted.model), len(wanted.classes)
    index = [wanted.model.index(name) for name in wanted.classes]
    goal = sum(objectives.channel("labels", c, batch=i) for i, c in enumerate(index))
    options = {"thresholds": (STEPS,), "show_image": False, "progress": False}

    def call() -> Tensor:
        torch.manual_seed(0)  # lucent draws from the global generators
        np.random.seed(0)
        start = lambda: param.image(SIDE, batch=n)  # noqa: E731
        found = render.render_vis(model, goal, start, fixed_image_size=side, **options)
        return torch.from_numpy(found[-1]).permute(0, 3, 1, 2)

    return call


def passes(wanted: Wanted) -> Callable[[], object]:
    """As many forward and backward passes, at the course's size."""
    x = torch.zeros(len(wanted.classes), 3, SIDE, SIDE)
    one = scenes.both_passes(scenes.Scene(wanted.model, x, 0))
    return lambda: [one() for _ in range(STEPS)]


# ------------------------------------------------------------------ are they as good


@dataclass(frozen=True)
class Quality:
    """What can be measured of pictures.

    Attributes:
        sure: how many the network recognises with over `SURE`, saved with 8 bits, also shifted.
        other: the mean probability that EfficientNet-Lite0, not asked so far, gives the class.
        fine: the median share of high frequencies.
    """

    sure: int
    other: float
    fine: float

    def __str__(self) -> str:
        return f"{self.sure} recognised; by another network {self.other:.2f}; fine {self.fine:.3f}"


def quality(wanted: Wanted, pictures: Tensor) -> Quality:
    """Measures pictures (N,3,H,W) in 0-1."""
    still, moved = (
        ascent.recognition(wanted.model, pictures, wanted.classes, shift)
        for shift in ((0, 0), SHIFT)
    )
    judge = models.load("efficientnet_lite0", "cpu")
    said = ascent.recognition(judge, pictures, wanted.classes)
    return Quality(
        sum(min(a[2], b[2]) > SURE for a, b in zip(still, moved, strict=True)),
        float(np.mean([own for _, _, own in said])),
        ascent.high_frequencies(pictures).quantile(0.5).item(),
    )


def as_good(wanted: Wanted, results: Mapping[str, Tensor]) -> dict[str, Finding]:
    """No two runs paint the same picture; the course's must be recognised at least as often."""
    found = {name: quality(wanted, pictures) for name, pictures in results.items()}
    ours = next(iter(found.values()))
    return {name: finding(ours, one) for name, one in found.items()}


def finding(ours: Quality, one: Quality) -> Finding:
    """Whether the course's pictures are as good as these."""
    good = ours.sure >= one.sure
    return Finding(str(one) if good else f"DISAGREES: {one}, the course {ours.sure}", good)


ROWS = [
    Row(
        "class_visualisation",
        f"Pictures of {len(CLASSES)} classes, {SIDE} pixels, {STEPS} steps",
        four_classes,
        (
            Contender("the course", course_paint),
            Contender(LUCENT, lucent, "torch-lucent"),
            Contender(SMALL, lambda w: lucent(w, SIDE), "torch-lucent"),
            Contender(f"floor: {STEPS} forward and backward passes", passes, floor=True),
        ),
        as_good,
        note="One batch of four, from noise, up the class scores, by frequencies and decorrelated "
        "colours: both take as many steps of Adam. Two runs never paint the same picture, so "
        "agreement says how good each set is: how many pictures the network recognises with over "
        f"{SURE}, as saved with 8 bits and also shifted by {SHIFT} pixels; what EfficientNet-Lite0 "
        "(not asked while painting) gives the class on average; and the share of high "
        "frequencies. By default lucent enlarges each picture to 224 pixels for the network, "
        "which costs most of its time; the line after that resizes to the course's size instead. "
        "lucent's last release needs kornia 0.5, and leaves its hooks on the network.",
    ),
]
