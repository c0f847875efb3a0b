"""The command `course`: one function a verb; what a verb needs is imported when it is called."""

import json
import os
import subprocess
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from course_utils.commands import institution

app = typer.Typer(
    help="A course on seeing what convolutional networks see.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Device(StrEnum):
    """Where the networks run."""

    cpu = "cpu"
    cuda = "cuda"


class TestDevice(StrEnum):
    """Where the tests run: also on the pretend accelerator, which refuses what a GPU refuses."""

    cpu = "cpu"
    cuda = "cuda"
    pretend = "pretend"


DeviceOption = Annotated[
    Device | None,
    typer.Option(help="Where the networks run; automatic by default (also: COURSE_DEVICE)."),
]


def fail(message: object) -> typer.Exit:
    """Say what went wrong; to be raised."""
    print(message, file=sys.stderr)
    return typer.Exit(1)


@app.callback(invoke_without_command=True)
def course(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(installed("seeing-what-cnns-see"))
        raise typer.Exit
    from course_utils.common import paths

    try:
        paths.root()
    except FileNotFoundError as error:
        raise fail(error) from None


@app.command()
def lab(
    lecture: Annotated[str, typer.Argument(help="e.g. 06 or saliency; the first one else.")] = "",
    device: DeviceOption = None,
    port: Annotated[int | None, typer.Option(help="Exactly this port.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open the notebooks in JupyterLab: your own copies, in work/."""
    from course_utils.commands import lab, student
    from course_utils.common import lectures, paths

    work = paths.work()
    try:
        changes = student.sync(paths.root() / "notebooks", work)
        name = lectures.find(lecture) if lecture else lectures.names()[0]
    except (student.WorkError, ValueError) as error:
        raise fail(error) from None
    for change in changes:
        print(change.message, flush=True)
    if device:
        os.environ["COURSE_DEVICE"] = device
    lab.start(work, f"{name}.ipynb", port, browser)


@app.command()
def slides(
    lecture: Annotated[
        str, typer.Argument(help="e.g. 06 or saliency; with --ready or --report also none: all.")
    ] = "",
    solutions: Annotated[
        bool, typer.Option("--solutions", help="The solved notebook instead of your own copy.")
    ] = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="Run it first, so that it opens with its pictures.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Measure every slide in a browser; open nothing.")
    ] = False,
    device: DeviceOption = None,
    port: Annotated[int | None, typer.Option(help="Exactly this port.")] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Present a lecture as live slides, its widgets included: a copy, thrown away after."""
    from course_utils.commands import slides, student
    from course_utils.common import lectures, paths

    if not (lecture or ready or report):
        raise fail("LECTURE is missing: e.g. `course slides 06`.")
    try:
        names = [lectures.find(lecture)] if lecture else lectures.names()
        changes = [] if solutions else student.sync(paths.root() / "notebooks", paths.work())
    except (student.WorkError, ValueError) as error:
        raise fail(error) from None
    for change in changes:
        print(change.message, flush=True)
    if device:
        os.environ["COURSE_DEVICE"] = device
    folder = paths.root() / "solutions" if solutions else paths.work()
    try:
        files = [folder / f"{name}.ipynb" for name in names]
        slides.make_ready(files, again=ready)
        wrong = slides.measure(files) if report else 0
    except RuntimeError as error:
        raise fail(error) from None
    if lecture and not report:
        slides.present(files[0], port, browser)
    raise typer.Exit(wrong)


@app.command()
def html(
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LECTURE]...", help="e.g. 06 or saliency; all else."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("build", "html"),
    decks: Annotated[bool, typer.Option("--slides", help="Decks of slides, too.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run also what has not changed since it ran.")
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Write the course as pages that need no server and no network: docs/site.md explains it."""
    from course_utils.commands.html import site
    from course_utils.common import lectures

    if device:
        os.environ["COURSE_DEVICE"] = device
    try:
        names = [lectures.find(lecture) for lecture in only or ()]
        wrong = site.export(out, names, decks, fresh, partial(print, flush=True))
    except (site.MissingError, ValueError) as error:
        raise fail(error) from None
    print(f"Open {out / 'index.html'}")
    if wrong:
        raise fail("\n".join(["These did not run to their end, and have no new page:", *wrong]))


@app.command()
def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail on drift.")] = False,
) -> None:
    """Make notebooks/ and solutions/ from lectures/."""
    from course_utils.commands import build

    try:
        changed = build.build(check=check)
    except build.BuildError as error:
        raise fail(error) from None
    for name in changed:
        print(f"{'not up to date' if check else 'changed'}: {name}")
    if not changed:
        print("notebooks/ and solutions/ are up to date")
    elif check:
        raise fail("Run `course build` and commit what it writes.")


@app.command()
def check(
    notebook: Annotated[
        str, typer.Argument(help="A notebook or a lecture, e.g. 06; all of work/ else.")
    ] = "",
) -> None:
    """Say which exercises are right, and what is wrong with the others."""
    from course_utils.checking import handin
    from course_utils.common import paths

    failed = False
    try:
        for path in handin.notebooks(notebook, paths.work()):
            try:
                print("\n".join(handin.lines(path, handin.table(path))), flush=True)
            except handin.HandInError as error:  # the other notebooks can still be looked at
                notes = isinstance(error, handin.NoExercisesError) and not notebook
                print(error, file=sys.stdout if notes else sys.stderr)
                failed = failed or not notes
    except (handin.HandInError, ValueError) as error:
        raise fail(error) from None
    if failed:
        raise typer.Exit(1)


@app.command()
def submit(
    notebooks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NOTEBOOK]...",
            help="Lectures, e.g. 06 07, or notebooks anywhere; all that are begun else.",
        ),
    ] = None,
) -> None:
    """Pack notebooks into a zip to hand in, and say what is in it."""
    from course_utils.checking import handin
    from course_utils.common import paths

    try:
        files = handin.chosen(notebooks or (), paths.work())
        zipped = handin.pack(files)
    except (handin.HandInError, ValueError) as error:
        raise fail(error) from None
    # Before the check: whatever the student's code does to this process, the zip is there.
    names, were = (
        ", ".join(file.name for file in files),
        "it was" if len(files) == 1 else "they were",
    )
    print(f"Hand in {zipped}\nIn it: {names}, as {were} last saved.", flush=True)
    if wrong := [words for words in map(_as_packed, files) if words]:
        raise fail("\n".join(wrong))


def _as_packed(path: Path) -> str:
    """Prints how a notebook stands that is in a zip by now; returns why it cannot be graded."""
    from course_utils.checking import handin

    try:
        rows = handin.table(path)
    except handin.HandInError as error:
        return f"The zip is made, but it cannot be graded as it is: {error}"
    except BaseException as error:
        raise fail(f"The zip is made. The check did not come to an end: {error!r}") from None
    print("\n".join(handin.lines(path, rows)), flush=True)
    if missing := handin.unfinished(rows):
        print(f"Not right yet: {', '.join(missing)}. You can go on and pack it again.", flush=True)
    return ""


@app.command()
def test(
    quick: Annotated[
        bool, typer.Option("--quick", help="The essentials, in about 6 minutes.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="The long tests, and other processors' rounding, too: hours."),
    ] = False,
    device: Annotated[
        TestDevice | None,
        typer.Option(help="Run everything there; else the CPU, solutions/ on a pretend GPU."),
    ] = None,
    expression: Annotated[str, typer.Option("-k", help="Only tests that match, as pytest.")] = "",
    times: Annotated[
        Path | None, typer.Option(help="Write the seconds of each step and notebook, as JSON.")
    ] = None,
) -> None:
    """Check the course: style, layers, tests, drift, every notebook, the browser."""
    if quick and full:
        raise fail("--quick and --full exclude each other")
    from course_utils.commands import suite

    chosen = suite.steps(quick, full, expression, device)
    raise typer.Exit(suite.run(chosen, device, bool(expression), times))


@app.command()
def bench(
    rows: Annotated[
        str, typer.Option(help="Only these, separated by commas, e.g. saliency,occlusion.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds; writes nothing.")] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Measure nothing; write the page from the figures.")
    ] = False,
) -> None:
    """Time the helpers beside other libraries; writes docs/benchmarks.md, which explains it."""
    from course_utils.common import paths

    root = paths.root()
    if not page and Path(sys.prefix).name != ".venv-bench":
        # The libraries compared with live in an environment of their own; course.py makes it.
        given = [*(["--rows", rows] if rows else []), *(["--quick"] if quick else [])]
        command = [sys.executable, str(root / "course.py"), "bench", *given]
        raise typer.Exit(subprocess.run(command).returncode)
    from course_utils.bench import rows as known
    from course_utils.bench import run

    try:
        chosen = [known.find(name.strip()) for name in rows.split(",") if name.strip()]
        chosen = [] if page else chosen or known.every()
        wrong = run.bench(chosen, known.every(), root / "docs", quick)
    except ValueError as error:
        raise fail(error) from None
    if wrong:
        raise fail("\n".join(wrong))


@app.command()
def costs(
    only: Annotated[str, typer.Option(help="Curves with these words in their name.")] = "",
    times: Annotated[
        Path | None,
        typer.Option(help="Measure nothing: take in this file of `course test --times`."),
    ] = None,
) -> None:
    """Measure how costs grow; a section of docs/benchmarks.md. Takes three minutes."""
    from course_utils.bench import costs, page
    from course_utils.bench import rows as known
    from course_utils.common import paths

    folder = paths.root() / "docs"
    try:
        taken = json.loads(times.read_text(encoding="utf-8")) if times else None
    except (OSError, ValueError) as error:
        raise fail(error) from None
    if taken:
        page.save_costs(folder, known.every(), **page.take_in(page.load_costs(folder), taken))
        return
    chosen = [curve for curve in costs.curves() if only.lower() in curve.name.lower()]
    if not chosen:
        raise fail(f"--only {only}: there are {', '.join(c.name for c in costs.curves())}")
    for found in costs.run(chosen, page.load_costs(folder).get("curves", ())):
        page.save_costs(folder, known.every(), **found)
        costs.draw(found["curves"], folder / costs.PICTURE)


@app.command()
def grade(
    submissions: Annotated[
        Path | None,
        typer.Argument(help="A notebook; a folder, also one of students' folders; a zip of these."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where results are stored.")] = Path("results"),
    student: Annotated[str, typer.Option(help="Whose all of it is; the names say else.")] = "",
    lecture: Annotated[str, typer.Option(help="e.g. 06; what the notebooks say else.")] = "",
    seed: Annotated[
        int | None, typer.Option(help="Of the inputs; that of the last run, or a new secret one.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="At a time; all processors else.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what has not changed.")] = False,
    pictures: Annotated[
        bool, typer.Option(help="Draw wrong answers on a photo; takes seconds for each.")
    ] = True,
    scheduler: Annotated[
        str, typer.Option(help="Many machines: a Dask scheduler, e.g. tcp://10.0.0.1:8786.")
    ] = "",
    assignment: Annotated[
        Path | None, typer.Option(help="What is asked: assignment.toml; kept with the results.")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(help="Who is in the class, as CSV; kept with the results.")
    ] = None,
    replay: Annotated[
        tuple[str, str],
        typer.Option(metavar="STUDENT EXERCISE", help="Show a stored result case by case."),
    ] = ("", ""),
    trust: Annotated[
        bool,
        typer.Option("--trust-submissions", help="Run code without walls where none can be made."),
    ] = False,
) -> None:
    """Grade notebooks in a sandbox; a run that was stopped goes on. See docs/grading.md."""
    from course_utils.common import lectures
    from course_utils.grading.trusted import desk, engine

    if submissions is None and not any(replay):
        raise fail("SUBMISSIONS is missing: a notebook, a folder or a zip.")
    try:
        if any(replay):
            print(desk.appeal(out, *replay, trust))
            return
        lecture = lectures.find(lecture) if lecture else ""
        settings = engine.Settings(
            **{"student": student, "lecture": lecture, "seed": seed, "trust": trust},
            **{"jobs": jobs, "again": again, "draw": pictures, "scheduler": scheduler},
        )
        complete = desk.grade(submissions, out, settings, assignment, roster)
    except (ValueError, RuntimeError) as error:  # no sandbox, nothing there, another run at work
        raise fail(error) from None
    except KeyboardInterrupt:
        raise fail("Stopped. The same command goes on where it was.") from None
    if not complete:
        raise typer.Exit(1)


institution.register(app)


def _numbers(argument: str, text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them.

    Raises:
        ValueError: something else; names the argument.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{argument}={text!r}; accepted: whole numbers, such as 8,24,48")
    return tuple(map(int, parts))


@app.command("train-style")
def train_style(
    style: Annotated[str, typer.Argument(help="A painting of the course, e.g. night_cafe.")],
    steps: Annotated[int, typer.Option(help="Of training.")] = 500,
    norm: Annotated[str, typer.Option(help="instance or batch.")] = "instance",
    seed: Annotated[int, typer.Option(help="Of the first weights and the crops.")] = 0,
    side: Annotated[int, typer.Option(help="Of the crops of photos, in pixels.")] = 96,
    style_side: Annotated[
        int, typer.Option(help="The painting's longer side in pixels: the size of the strokes.")
    ] = 256,
    style_weight: Annotated[
        float, typer.Option(help="How much style counts; content counts 1.")
    ] = 2.5,
    batch: Annotated[int, typer.Option(help="Photos in a step.")] = 4,
    rate: Annotated[float, typer.Option(help="Of the optimizer, at its highest.")] = 5e-3,
    optimizer: Annotated[
        str,
        typer.Option(help="adam, or soap: as good after half of the steps, at a rate of 3e-3."),
    ] = "adam",
    channels: Annotated[
        str, typer.Option(help="Of the network at full, half and a quarter of the size.")
    ] = "8,24,48",
    blocks: Annotated[int, typer.Option(help="Residual blocks of the network.")] = 4,
    dtype: Annotated[
        str, typer.Option(help="float32, or bfloat16: a third less time on processors with AMX.")
    ] = "float32",
    checkpoints: Annotated[
        str, typer.Option(help="Steps whose networks are kept too, such as 60,500.")
    ] = "",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was cut off.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", help="A shipped network, or a file, whose weights it begins with."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder; build/styles of the course by default.")
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Train a network that paints photos in the style of a painting; lecture 16."""
    from course_utils import fast_style
    from course_utils.common import paths

    given = {"steps": steps, "norm": norm, "seed": seed, "side": side}
    given |= {"style_side": style_side, "style_weight": style_weight, "dtype": dtype}
    given |= {"batch": batch, "rate": rate, "blocks": blocks, "optimizer": optimizer}
    try:
        given["channels"] = _numbers("channels", channels)
        kept = _numbers("checkpoints", checkpoints)
        recipe = fast_style.Recipe(style=style, **given)
        picture = fast_style.style_picture(style)
        folder = out or paths.root() / "build" / "styles"
        trained, path = fast_style.train_and_save(
            picture, recipe, folder, device, kept, resume, start
        )
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        raise fail(error) from None
    print(f"{trained.steps} steps in {trained.seconds:.0f} s; wrote {path} and its log")
    if trained.license != "MIT":
        print(f"Its licence is that of the painting's reproduction, {trained.license}.")


@app.command()
def trust(
    networks: Annotated[list[str] | None, typer.Argument(help="By default both.")] = None,
    scenes: Annotated[int, typer.Option(help="Composites to score the maps on.")] = 60,
    collages: Annotated[int, typer.Option(help="Collages for the grid pointing game.")] = 12,
    photos: Annotated[int, typer.Option(help="Photos for the randomisation.")] = 12,
    random_networks: Annotated[int, typer.Option(help="Random networks for each photo.")] = 5,
    out: Annotated[Path | None, typer.Option(help="A file; data/trust.json else.")] = None,
    device: DeviceOption = None,
) -> None:
    """Measure every attribution method by every score: lecture 09's tables.

    About 40 minutes each. Stopped, it goes on with the first row that is missing.
    """
    if device:
        os.environ["COURSE_DEVICE"] = device
    import torch

    from course_utils import models, trust
    from course_utils.common import composites

    settings = {"scenes": scenes, "collages": collages, "photos": photos}
    settings["random networks"] = random_networks
    settings["torch"] = torch.__version__.split("+")[0]
    try:
        for name in networks or trust.STAGES:
            network = models.load(name)
            pixels, classes, _ = trust.confident_photos(network)
            drawn = composites.recognised_composites(network, scenes)
            four = trust.grids(pixels, classes, collages)
            found = {"objects": [n for n, _ in drawn.names], "asked": four[1].flatten().tolist()}
            known = trust.unfinished(name, settings | found, out)
            keep = partial(trust.store, name, settings=settings | found, path=out)
            few = pixels[:photos], classes[:photos]
            how = {"networks": random_networks, "known": known, "keep": keep}
            trust.measure(network, drawn, four, few, **how)
            print(f"{name}: wrote {out or 'data/trust.json'}")
    except ValueError as error:
        raise fail(error) from None


@app.command()
def pins() -> None:
    """Write constraints.txt anew from the packages installed here."""
    from course_utils.commands import pins
    from course_utils.common import paths

    file = paths.root() / "constraints.txt"
    try:
        text = pins.render(file.read_text(encoding="utf-8"))
    except (LookupError, ValueError) as error:
        raise fail(error) from None
    file.write_text(text, encoding="utf-8", newline="\n")
    print(f"wrote {file.name}: {len(pins.read(text))} packages")


if __name__ == "__main__":
    app(prog_name="course")
