"""What `course check` and `course submit` do: the table of a notebook's exercises, and the zip."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.checking import core, history, judging, running, sources
from course_utils.checking.core import RIGHT, Exercise, Verdict
from course_utils.checking.notebook import stumbled
from course_utils.checking.wording import unmarked
from course_utils.common import lectures


class HandInError(Exception):
    """A notebook that cannot be read or handed in; the message says why and what to do."""


@dataclass(frozen=True)
class Row:
    """One exercise of a notebook and how it stands."""

    exercise: Exercise
    verdict: Verdict


def notebooks(wanted: str, work: Path) -> list[Path]:
    """The notebooks meant by a file name, a lecture, or nothing (all in the student's folder).

    Raises:
        HandInError: no such file, or a lecture without a notebook in the folder.
    """
    if not wanted:
        found = [f for f in sorted(work.glob("*.ipynb")) if ".v" not in f.name]
        if not found:
            raise HandInError(f"no notebooks in {work}: `course lab` puts them there")
        return found
    if wanted.endswith(".ipynb") and Path(wanted).is_file():
        return [Path(wanted)]
    try:
        path = work / f"{lectures.find(Path(wanted).name)}.ipynb"
    except ValueError as error:
        raise HandInError(str(error)) from None
    if not path.is_file():
        raise HandInError(f"there is no {path}: `course lab` puts the notebooks there")
    return [path]


def read(path: Path) -> tuple[str, dict]:
    """A notebook file: its lecture, from the metadata or else the file's name, and its content.

    Raises:
        HandInError: not a notebook.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["cells"], list):
            raise TypeError("cells is not a list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HandInError(f"{path.name} cannot be read as a notebook: {error}") from error
    metadata = content.get("metadata")
    course = metadata.get("course") if isinstance(metadata, dict) else None
    named = course.get("lecture") if isinstance(course, dict) else None
    return str(named or path.stem), content


def table(path: Path) -> list[Row]:
    """How each exercise of a notebook stands; only the exercises' code runs, not the lecture's.

    Raises:
        HandInError: not a notebook.
    """
    lecture, content = read(path)
    exercises = core.all_(lecture)
    ids = set(history.lecture_cells(lecture))
    cells = sources.notebook_cells(content, [e.name for e in exercises], ids)
    return [Row(e, _judged(e, cells)) for e in exercises]


def _judged(exercise: Exercise, cells: list[sources.SourceCell]) -> Verdict:
    """As `_verdict`, and never an exception: a notebook can be handed in whatever is in it."""
    try:
        return _verdict(exercise, cells)
    except Exception as error:
        return stumbled(exercise, error)


def _verdict(exercise: Exercise, cells: list[sources.SourceCell]) -> Verdict:
    pieces = sources.assemble(cells, exercise.name)
    if pieces.stub:
        return judging.judge(exercise, [], [], pieces)
    cases = exercise.cases(core.PUBLIC_SEED)
    outcomes = running.answers(pieces, cases, running.seconds_allowed())
    return judging.judge(exercise, cases, outcomes, pieces)


def lines(path: Path, rows: Sequence[Row]) -> list[str]:
    """The table as text."""
    if not rows:
        return [f"{path.name}: no exercises"]
    width = max(len(r.exercise.name) for r in rows)
    had, total = sum(r.verdict.points for r in rows), core.total(r.exercise for r in rows)
    said = [f"{path.name}: {had:g} of {total} points"]
    for row in rows:
        reason = unmarked(row.verdict.reason)
        state = row.verdict.state + (f", because: {reason}" if reason and not _right(row) else "")
        said.append(f"  {row.exercise.name:<{width}}  {state}")
    return said


def _right(row: Row) -> bool:
    return row.verdict.state == RIGHT


def unfinished(rows: Sequence[Row]) -> list[str]:
    """The names of the exercises that are not right."""
    return [row.exercise.name for row in rows if not _right(row)]


def pack(path: Path) -> Path:
    """Puts a notebook into a new zip file beside it, and never replaces an earlier one.

    Args:
        path: the notebook.

    Returns:
        The zip: 06_saliency.zip, or 06_saliency-2.zip where that exists, and so on.

    Raises:
        HandInError: the zip cannot be written.
    """
    try:
        content = path.read_bytes()
        number = 1
        while True:
            target = path.with_name(f"{path.stem}{'' if number == 1 else f'-{number}'}.zip")
            try:
                with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as file:
                    file.writestr(path.name, content)
                return target
            except FileExistsError:
                number += 1
    except OSError as error:
        raise HandInError(
            f"cannot write the zip beside {path}: {error.strerror or error}"
        ) from error
