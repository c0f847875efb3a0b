"""docs/benchmarks.md, and the figures it is made from, docs/benchmarks.json."""

import copy
import json
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from statistics import linear_regression

from course_utils.bench.row import Row
from course_utils.common import writing

EMPTY = {"runs": {}, "rows": {}, "skipped": {}}
IDLE = 15  # per cent of the processor

INTRODUCTION = """\
# Benchmarks: the course's helpers beside other libraries

Written by `python course.py bench` from the figures in [benchmarks.json](benchmarks.json); do not
edit it. On the first call the command makes an environment of its own, `.venv-bench` (another
6 GB): the libraries compared with may ask for old packages, so `.venv` never sees them. Then it
takes {cost}. Close other programs first: what disturbs the
machine disturbs the figures.

## How to read it

- **Rounds.** All contenders of a row run in turn, A B C A B C …, after one call each that is not
  counted; a busy minute falls on all alike. *Seconds* are medians over the rounds.
- **Ratio.** A contender's seconds divided by the course's *of the same round*: the median, and in
  brackets the middle half of the rounds. Over 1, the course is faster. Where the bracket contains
  1, they are level.
- **Floor.** The passes through the network that the method cannot avoid, called from PyTorch with
  nothing around them, on the course's network. What a helper takes above it is its own overhead.
- **Memory.** Each contender once more in a fresh process: the largest resident memory, and in
  brackets how much of that the one call added. The process holds Python, PyTorch and the network
  already. What the first call allocates for good, such as scratch space for convolutions, counts;
  on macOS and Windows the system keeps only the peak of a process's whole life, loading included.
- **Agreement.** The largest difference from the course's result, divided by its largest value. A
  contender that computes something else says DISAGREES, and the command fails.
- **Two networks.** *As downloaded* is what torchvision hands out: NCHW memory layout, in-place
  ReLUs, parameters that want gradients. The *network of the course* is the same one, frozen, and
  laid out channels_last, which alone makes it faster on most processors. Another library on the
  network of the course shows what is left when both have that.
- Everything is float32 on the CPU, unless a row says otherwise.
"""

AGAIN = """\
## Again, or in part

`python course.py bench --rows saliency,occlusion` measures only these rows anew; the others stay as
they were, each with the run it belongs to. Rows of different runs must not be compared with each
other. There are {names}.
`--quick` takes three rounds, prints, and writes nothing; `--page` measures nothing and writes this
page anew.
"""


# ------------------------------------------------------------------ numbers in words


def duration(seconds: float) -> str:
    """Three digits, in a unit that suits: "15.2 ms", "3.41 s"."""
    value, unit = (seconds, "s") if seconds >= 0.9995 else (1000 * seconds, "ms")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"


def ratio(median: float, low: float, high: float) -> str:
    """ "1.42 (1.38–1.47)"; one digit less from 10 on."""
    digits = 2 if high < 10 else 1
    return f"{median:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def memory(peak: int, before: int) -> str:
    """ "655 MB (+48)"."""
    return f"{peak / 1e6:.0f} MB (+{(peak - before) / 1e6:.0f})"


def cost(results: Mapping) -> str:
    """How long the whole takes, from how long its rows took."""
    known = [row["took"] for row in results["rows"].values()]
    if not known:
        return "about a minute a row"
    minutes = max(1, round(sum(known) / 60))
    return f"about {minutes} minute{'s' * (minutes > 1)} ({len(known)} rows, as measured below)"


# ------------------------------------------------------------------ the page


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the columns after the first are aligned right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *lines])


def contender_line(one: Mapping) -> list[str]:
    """The cells of one contender."""
    name = f"*{one['name']}*" if one["floor"] else one["name"]
    if one.get("version"):
        name += f" [{one['version']}]"
    held = memory(one["peak"], one["before"])
    return [name, duration(one["seconds"]), ratio(*one["ratio"]), held, one["agreement"] or "–"]


def section(row: Row, figures: Mapping, run: str) -> str:
    """One row of the benchmarks: its title, its table, its note.

    Args:
        row: what was measured.
        figures: as `run.measure` returns them.
        run: what its run is called on the page.
    """
    header = ["who", "seconds", "ratio to the course", "memory", "agreement"]
    lines = [contender_line(one) for one in figures["contenders"]]
    lines[0][2] = "1"
    heading = f"### {row.title}\n\n`{row.name}`, {figures['rounds']} rounds, run {run}"
    return "\n\n".join([heading, table(header, lines)] + [row.note] * bool(row.note)) + "\n"


def summary(rows: Sequence[Row], figures: Mapping) -> str:
    """One line a row: the course, its floor, and the fastest other library."""
    lines = []
    for row in rows:
        ours, *others = figures[row.name]["contenders"]
        floors = [one for one in others if one["floor"]]
        peers = [one for one in others if one.get("version")]
        best = min(peers, key=lambda one: one["seconds"], default=None)
        other = f"{duration(best['seconds'])} ({best['name']})" if best else "–"
        floor = duration(floors[0]["seconds"]) if floors else "–"
        times = ratio(*best["ratio"]) if best else "–"
        lines.append([row.title, duration(ours["seconds"]), floor, other, times])
    return table(["what", "the course", "floor", "fastest other", "ratio"], lines)


def machine(name: str, run: Mapping) -> str:
    """A run in one paragraph: when, on what, with what."""
    versions = ", ".join(f"{package} {number}" for package, number in run["versions"].items())
    provisional = " **These figures are provisional: the machine was not idle.**"
    cores = f"{run['cores']} logical cores usable, {run['physical']} physical in the machine"
    return (
        f"- **Run {name}**, {run['date']}: {run['cpu']} ({cores}), PyTorch on {run['threads']} "
        f"thread{'s' * (run['threads'] != 1)}, {run['memory'] / 1e9:.0f} GB of memory, "
        f"{run['system']}, Python {run['python']}; {versions}. Before it began, the "
        f"processor was {run['busy']} % busy with other programs."
        + provisional
        * (run["busy"] > IDLE)
    )


def render(results: Mapping, rows: Sequence[Row]) -> str:
    """The page.

    Args:
        results: what `load` returns.
        rows: the rows there are, in order; figures of others are left out.
    """
    figures = results["rows"]
    measured = [row for row in rows if row.name in figures]
    used = [r for r in results["runs"] if any(figures[row.name]["run"] == r for row in measured)]
    letters = {run: chr(ord("A") + i) for i, run in enumerate(used)}
    runs = [machine(letters[run], results["runs"][run]) for run in used]
    names = ", ".join(f"`{row.name}`" for row in rows)
    parts = [
        INTRODUCTION.format(cost=cost(results)),
        AGAIN.format(names=names),
        "## Where and when\n\n" + "\n".join(runs) + "\n",
        "## Results\n\n" + summary(measured, figures) + "\n",
    ]
    for row in rows:
        if row.name in figures:
            found = figures[row.name]
            parts.append(section(row, found, letters[found["run"]]))
        elif row.name in results["skipped"]:
            why = results["skipped"][row.name]
            parts.append(f"### {row.title}\n\n`{row.name}`: not measured, {why}.\n")
    return "\n".join(parts)


# ------------------------------------------------------------------ how costs grow

CURVES = """\
## How costs grow

Measured by `python course.py costs`, which takes about three minutes and writes this section and
its picture from [costs.json](costs.json). Helpers: seconds of processor time on one thread, the
median of three calls. Grading: seconds by the clock, the whole command, with every submission a
full solution of lecture 06. The last column is the power with which the cost grows: at 1, twice as
much costs twice as much; under 1, a part of the cost is there anyway.
"""

TIMES = """\
## How long the tests take

The seconds that `python course.py test --times FILE` wrote, taken in by
`python course.py costs --times FILE`, the newest first. Notebooks run two at a time on one thread
each; those of `notebooks` on the CPU, those of `solutions` on the pretend accelerator, whose
operations pass through Python.
"""


def exponent(points: Sequence[float], taken: Sequence[float]) -> float:
    """The power with which the cost grows: 1 for twice the cost of twice as much.

    A straight line through the logarithms, by least squares.
    """
    x, y = [log(p) for p in points], [log(s) for s in taken]
    return linear_regression(x, y).slope


def points(curve: Mapping) -> str:
    """What was measured: "49: 0.21 s, 169: 0.5 s"."""
    pairs = zip(curve["points"], curve["seconds"], strict=True)
    return ", ".join(f"{point}: {duration(taken)}" for point, taken in pairs)


def curve_line(curve: Mapping) -> list[str]:
    """A curve as a line of the table."""
    power = exponent(curve["points"], curve["seconds"])
    return [f"{curve['name']}, by {curve['axis']}", points(curve), f"{power:.2f}"]


def notebook_seconds(figures: Mapping) -> tuple[int, Mapping[str, float]]:
    """Which run of the tests was the newest that told of each notebook, from 1, and what it told.

    Args:
        figures: of `costs.json`.
    """
    runs = [figures.get("times", {}), *figures.get("earlier", ())]
    told = ((i, run["notebooks"]) for i, run in enumerate(runs, 1) if run.get("notebooks"))
    return next(told, (1, {}))


def notebook_lines(notebooks: Mapping[str, float]) -> list[list[str]]:
    """A line for each lecture: on the CPU, on the pretend accelerator."""
    found: dict[str, dict[str, float]] = {}
    for name, taken in notebooks.items():
        folder, _, file = name.rpartition("/")
        found.setdefault(file.removesuffix(".ipynb"), {})[folder] = taken
    kinds = ("notebooks", "solutions")
    return [
        [lecture, *(f"{own[kind]:.0f}" if kind in own else "–" for kind in kinds)]
        for lecture, own in sorted(found.items())
    ]


def step_lines(runs: Sequence[Mapping]) -> list[list[str]]:
    """A line for each step of the tests, in each of some runs, and how long the whole took."""
    steps = dict.fromkeys(step for run in runs for step in run["steps"])
    lines = [
        [step, *(f"{run['steps'][step]:.0f}" if step in run["steps"] else "–" for run in runs)]
        for step in steps
    ]
    wholes = [sum(run["steps"].values()) for run in runs]
    return [*lines, ["the whole, minutes", *(f"{whole / 60:.1f}" for whole in wholes)]]


def take_in(known: Mapping, times: Mapping) -> dict:
    """The parts of `costs.json` that change with a new run of the tests; three are kept."""
    before = [known["times"]] if "times" in known else []
    kept = ["about", "steps", *([] if times.get("notebooks") else ["notebooks"])]
    short = [{key: run[key] for key in kept if key in run} for run in before]
    return {"times": times, "earlier": [*short, *known.get("earlier", ())][:2]}


def costs(figures: Mapping) -> str:
    """The sections on what grows and on the tests, as far as they were measured.

    Args:
        figures: of `costs.json`: `curves` and `about` of `costs.run`, `times` of `suite.taken`,
            and `earlier`, the steps of runs before.
    """
    parts = []
    if figures.get("curves"):
        lines = [curve_line(curve) for curve in figures["curves"]]
        parts += [CURVES, "![The curves, both axes logarithmic](pictures/costs.svg)\n"]
        parts += [machine("of the curves", figures["about"]) + "\n"]
        parts += [table(["what", "cost", "power"], lines) + "\n"]
    if times := figures.get("times"):
        runs = [times, *figures.get("earlier", ())]
        number, notebooks = notebook_seconds(figures)
        parts += [
            TIMES,
            "".join(f"{i}. {run['about']}\n" for i, run in enumerate(runs, 1)),
            table(["step", *(f"run {i}, s" for i in range(1, len(runs) + 1))], step_lines(runs)),
        ]
        header = ["lecture", "on the CPU, s", "on the pretend accelerator, s"]
        parts += [f"\nRun {number}, notebook by notebook:\n"]
        parts += [table(header, notebook_lines(notebooks)) + "\n"]
    return "\n".join(parts)


def load_costs(folder: Path) -> dict:
    """The figures of `costs.json` in a folder; nothing where there are none yet."""
    file = folder / "costs.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def save_costs(folder: Path, rows: Sequence[Row], **parts: object) -> None:
    """Puts parts of these figures in place of the old ones, and writes the page."""
    text = json.dumps(load_costs(folder) | parts, indent=1, ensure_ascii=False)
    writing.replace(folder / "costs.json", text + "\n")
    save(folder, load(folder), rows)


# ------------------------------------------------------------------ files


def load(folder: Path) -> dict:
    """The figures in a folder, none where there are none yet.

    Raises:
        ValueError: the file is damaged; it is not overwritten.
    """
    file = folder / "benchmarks.json"
    if not file.exists():
        return copy.deepcopy(EMPTY)
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        return {key: dict(results[key]) for key in EMPTY}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}): restore or delete it") from None


def merge(results: Mapping, run: str, about: Mapping, name: str, figures: Mapping) -> dict:
    """The results with one row put in or replaced; the others stay, with the runs they need.

    Args:
        results: what there is so far.
        run: a name for the run.
        about: what `machine.describe` says of it.
        name: of the row.
        figures: as `run.measure` returns them.
    """
    rows = {**results["rows"], name: {"run": run, **figures}}
    runs = {**results["runs"], run: about}
    needed = {one["run"] for one in rows.values()}
    skipped = {key: why for key, why in results["skipped"].items() if key != name}
    runs = {key: about for key, about in runs.items() if key in needed}
    return {"runs": runs, "rows": rows, "skipped": skipped}


def save(folder: Path, results: Mapping, rows: Sequence[Row]) -> None:
    """Writes both files, each whole or not at all.

    Args:
        folder: where they are.
        results: what goes into the one.
        rows: all there are, for the other.
    """
    writing.replace(
        folder / "benchmarks.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    )
    writing.replace(folder / "benchmarks.md", whole(folder, results, rows))


def whole(folder: Path, results: Mapping, rows: Sequence[Row]) -> str:
    """The page: the rows, and the sections on how costs grow from the figures in the folder."""
    return "\n".join(filter(None, [render(results, rows), costs(load_costs(folder))]))
