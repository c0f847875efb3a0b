"""How costs grow: the course's helpers with one quantity after the other, and the test command.

`measure` takes about three minutes of one processor. The helpers are measured in seconds of
processor time on one thread, which other programs hardly disturb; grading, which is several
processes, by the clock.
"""

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from course_utils import ascent, fast_style, images, last_layer, models, occlusion, style
from course_utils.bench import machine, page
from course_utils.common import paths, writing
from course_utils.grading.trusted import engine

PICTURE = Path("pictures", "costs.svg")
PACKAGES = ("torch", "torchvision", "numpy", "openTSNE")
ROUNDS = 3


@dataclass(frozen=True)
class Curve:
    """One quantity that grows.

    Attributes:
        name: what is computed.
        axis: what grows.
        points: its values.
        prepare: given a value, the call that is measured.
        clock: in seconds; processor time unless processes are started.
        rounds: calls of which the median counts.
    """

    name: str
    axis: str
    points: Sequence[int]
    prepare: Callable[[int], Callable[[], object]]
    clock: Callable[[], float] = time.process_time
    rounds: int = ROUNDS


# ------------------------------------------------------------------ what grows


def occluded(stride: int = 0, side: int = 224) -> Callable[[], object]:
    """Occlusion of a square photo; without a stride, in 49 positions."""
    network = models.load("squeezenet1_1", "cpu")
    x = network.normalize(images.square(images.photo("panda").pixels(), side))[None]
    step = stride or (side - 32) // 6
    return lambda: occlusion.occlusion_logits(network, x, 32, step, classes=[388])


def by_positions(positions: int) -> Callable[[], object]:
    """So many squares of 32 pixels in 224."""
    return occluded(192 // (round(positions**0.5) - 1))


def embedded(photos: int) -> Callable[[], object]:
    """A t-SNE of vectors in five groups, as feature vectors of photos lie."""
    drawn = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(5, 512, generator=drawn)
    x = torch.randn(photos, 512, generator=drawn) + centres[torch.arange(photos) % 5]
    return lambda: last_layer.tsne(x)


def one_evaluation(side: int) -> Callable[[], object]:
    """Loss and gradient of style transfer with SqueezeNet."""
    pair = images.photo("neuschwanstein_castle"), images.painting("church_at_auvers")
    task = style.task(models.load("squeezenet1_1", "cpu"), *pair, size=side)
    x = task.model.normalize(task.pixels).clone().requires_grad_()
    return lambda: torch.autograd.grad(task.loss(x), x)[0]


def one_pass(side: int) -> Callable[[], object]:
    """Fast style transfer of a square photo."""
    network = fast_style.load("cafe_terrace_at_night", "cpu")
    photo = images.square(images.photo("panda").pixels(), side)
    return lambda: fast_style.stylise(network, photo)


def painted(number: int) -> Callable[[], object]:
    """So many class pictures at once, of 96 pixels, in 10 steps."""
    network = models.load("squeezenet1_1", "cpu")
    target = ascent.class_goal(network, "goldfish")
    return lambda: ascent.paint(target, number, size=96, steps=10, progress=None)


def graded(submissions: int, jobs: int = 1) -> Callable[[], object]:
    """The course's own solutions of lecture 06, handed in by so many students."""
    solved = (paths.root() / "solutions" / "06_saliency.ipynb").read_text(encoding="utf-8")

    def call() -> None:
        with tempfile.TemporaryDirectory() as folder:
            handed = Path(folder, "in")
            handed.mkdir()
            for number in range(submissions):
                (handed / f"student{number}.ipynb").write_text(solved, encoding="utf-8")
            settings = engine.Settings(seed=7, jobs=jobs, draw=False)
            engine.grade(handed, Path(folder, "out"), settings, progress=False)

    return call


def curves() -> list[Curve]:
    """All of them, in the order of the page."""
    by_clock = {"clock": time.perf_counter, "rounds": 1}
    return [
        Curve("Occlusion at 224 pixels", "positions", (49, 169, 625), by_positions),
        Curve(
            "Occlusion, 49 positions", "side in pixels", (128, 224, 320), lambda n: occluded(0, n)
        ),
        Curve("t-SNE", "photos", (100, 200, 400, 800), embedded),
        Curve("Style, one evaluation", "side in pixels", (128, 256, 512), one_evaluation),
        Curve("Fast style, one pass", "side in pixels", (128, 256, 512), one_pass),
        Curve("Class pictures, 10 steps", "pictures", (1, 2, 4, 8), painted),
        *(
            Curve(f"Grading, {jobs} at a time", "submissions", (1, 2, 4, 8), graded_by, **by_clock)
            for jobs, graded_by in ((1, graded), (2, partial(graded, jobs=2)))
        ),
    ]


# ------------------------------------------------------------------ measuring


def seconds(curve: Curve, value: int) -> float:
    """The median of the rounds, after a call that warms up where there are several."""
    call = curve.prepare(value)
    if curve.rounds > 1:
        call()
    taken = []
    for _ in range(curve.rounds):
        began = curve.clock()
        call()
        taken.append(curve.clock() - began)
    return statistics.median(taken)


def measure(chosen: Sequence[Curve]) -> Iterator[dict]:
    """Each curve as plain numbers, on one thread, as soon as it is measured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for curve in chosen:
            found = [float(f"{seconds(curve, value):.3g}") for value in curve.points]
            clock = "clock" if curve.clock is time.perf_counter else "processor"
            about = {"name": curve.name, "axis": curve.axis, "clock": clock}
            yield about | {"points": list(curve.points), "seconds": found}
    finally:
        torch.set_num_threads(threads)


# ------------------------------------------------------------------ keeping


def run(chosen: Sequence[Curve], before: Sequence[Mapping] = ()) -> Iterator[dict]:
    """Measures curves one after the other and prints each.

    Args:
        chosen: which.
        before: what is known of all curves; those of the same names are replaced.

    Yields:
        `curves` and `about` after each one, in the order of the page.
    """
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = machine.describe(date, False, PACKAGES) | {"threads": 1}
    found = {one["name"]: one for one in before}
    for curve in measure(chosen):
        print(f"{curve['name']}, by {curve['axis']}: {page.points(curve)}", flush=True)
        found[curve["name"]] = curve
        names = [one.name for one in curves()]
        kept = sorted(found.values(), key=lambda one: names.index(one["name"]))
        yield {"curves": kept, "about": about}


def draw(found: Sequence[Mapping], file: Path) -> None:
    """The curves side by side, both axes logarithmic, as an SVG file."""
    rows = -(-len(found) // 4)
    with rc_context({"svg.hashsalt": "costs", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
        for place, curve in enumerate(found, 1):
            axes = figure.add_subplot(rows, 4, place)
            axes.loglog(curve["points"], curve["seconds"], "o-", color="#0b6e99")
            axes.minorticks_off()
            axes.set_xticks(curve["points"], map(str, curve["points"]))
            axes.set_yticks(curve["seconds"], [page.duration(s) for s in curve["seconds"]])
            axes.set_title(curve["name"], fontsize=8)
            axes.set_xlabel(curve["axis"])
            axes.grid(alpha=0.3)
        writing.replace(file, svg(figure))


def svg(figure: Figure) -> str:
    """A Matplotlib figure as text, the same each time."""
    held = io.StringIO()
    figure.savefig(held, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in held.getvalue().splitlines()) + "\n"
