"""Verbs that institutions need around grading: what is handed out, marks for others, deletion."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

OutOption = Annotated[Path, typer.Option(help="The folder of results.")]


class Bundle(StrEnum):
    """What a zip is for."""

    student = "student"
    instructor = "instructor"
    gradescope = "gradescope"


class System(StrEnum):
    """Where marks go."""

    moodle = "moodle"
    canvas = "canvas"
    nbgrader = "nbgrader"


def _fail(message: object) -> typer.Exit:
    print(message, file=sys.stderr)
    return typer.Exit(1)


def bundle(
    kind: Annotated[Bundle, typer.Argument(help="For whom.")],
    assignment: Annotated[
        Path | None, typer.Option(help="assignment.toml; all lectures else.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The zip; KIND.zip by default.")] = None,
) -> None:
    """Pack what an assignment hands out: notebooks, solutions, or Gradescope's autograder."""
    from course_utils.grading.trusted import bundle

    target = out or Path(f"{kind.value}.zip")
    try:
        names = bundle.make(kind.value, assignment, target)
    except ValueError as error:
        raise _fail(error) from None
    size = target.stat().st_size / 2**20
    print(f"wrote {target}: {len(names)} files, {size:.1f} MiB")


def export(
    system: Annotated[System, typer.Argument(help="Where the marks go.")],
    out: OutOption = Path("results"),
    into: Annotated[
        Path | None,
        typer.Option(help="Moodle's worksheet, Canvas' gradebook, or nbgrader's course folder."),
    ] = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Without names (Moodle and Canvas).")
    ] = False,
) -> None:
    """Write marks for Moodle, Canvas or nbgrader; see docs/grading.md."""
    from course_utils.grading.trusted import exports

    try:
        if system is System.nbgrader:
            if into is None:
                raise _fail("--into is missing: nbgrader's course folder")
            number = exports.nbgrader(out, into)
            print(f"{number} submissions are in {into / 'gradebook.db'}")
            return
        made = exports.moodle if system is System.moodle else exports.canvas
        print(f"wrote {made(out, into, pseudonyms)}")
    except ValueError as error:
        raise _fail(error) from None


def forget(
    student: Annotated[str, typer.Argument(help="The name, as in the class's table.")],
    out: OutOption = Path("results"),
) -> None:
    """Delete all that is kept of a student: results, page, decisions, lines of the journal."""
    from course_utils.grading.trusted import desk

    try:
        gone = desk.forget(out, student)
    except (ValueError, RuntimeError) as error:
        raise _fail(error) from None
    print(f"deleted: {', '.join(gone)}. The submission itself is where it was handed in.")


def register(app: typer.Typer) -> None:
    """Adds these verbs to the command."""
    for verb in (bundle, export, forget):
        app.command()(verb)
