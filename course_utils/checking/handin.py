"""What `course check` and `course submit` do: the table of a notebook's exercises, and the zip."""

import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from course_utils.checking import core, judging, reading, running, sources
from course_utils.checking.core import RIGHT, Exercise, Verdict
from course_utils.checking.notebook import stumbled
from course_utils.checking.wording import unmarked
from course_utils.common import lectures

_NEWER = re.compile(r"\.v[0-9a-f]{12}\.ipynb$")  # a newer version, put beside the student's


class HandInError(Exception):
    """A notebook that cannot be read or handed in; the message says why and what to do."""


class NoExercisesError(HandInError):
    """A notebook of no lecture, such as a student's own notes."""


@dataclass(frozen=True)
class Row:
    """One exercise of a notebook and how it stands."""

    exercise: Exercise
    verdict: Verdict


def notebooks(wanted: str, work: Path) -> list[Path]:
    """The notebooks meant by a file name, a lecture, or nothing (all in the student's folder).

    Args:
        wanted: a file anywhere or in the folder; or a lecture, of which there may be several
            notebooks, copies under other names included.
        work: the student's folder.

    Raises:
        HandInError: no such file, or a lecture without a notebook in the folder.
    """
    there = [f for f in sorted(work.glob("*.ipynb")) if not _NEWER.search(f.name)]
    if not wanted:
        if not there:
            raise HandInError(f"no notebooks in {work}: `course lab` puts them there")
        return there
    named = Path(wanted)
    for path in (named, work / named):
        if path.suffix == ".ipynb" and path.is_file():
            return [path]
    if wanted not in lectures.names() and (work / f"{wanted}.ipynb").is_file():
        return [work / f"{wanted}.ipynb"]
    try:
        lecture = lectures.find(named.name)
    except ValueError as error:
        raise HandInError(str(error)) from None
    found = [path for path in there if _of_lecture(path, lecture)]
    if not found:
        raise HandInError(
            f"there is no {lecture}.ipynb in {work}: `course lab` puts the notebooks there. "
            "One that lies elsewhere can be named by its path."
        )
    return found


def _of_lecture(path: Path, lecture: str) -> bool:
    """Whether a notebook is of a lecture; one that cannot be read, by its name."""
    try:
        return read(path)[0] == lecture
    except HandInError:
        return path.stem.startswith(lecture)


def one(wanted: str, work: Path) -> Path:
    """The one notebook meant, to be handed in.

    Raises:
        HandInError: as `notebooks`; or there are several, and the student is to say which counts.
    """
    found = notebooks(wanted, work)
    if len(found) > 1:
        listed = "\n".join(f"  course submit {_quoted(path)}" for path in found)
        raise HandInError(
            f"{len(found)} notebooks in {work} are of this lecture. Say which one counts:\n{listed}"
        )
    return found[0]


def chosen(wanted: Sequence[str], work: Path) -> list[Path]:
    """The notebooks meant, to be handed in together, one for each lecture.

    Args:
        wanted: files or lectures, as `notebooks` takes them; none: all of the student's folder in
            which an answer is begun.
        work: the student's folder.

    Raises:
        HandInError: as `one`; or nothing is begun; or two are of one lecture, or of one name.
    """
    if wanted:
        found = list(dict.fromkeys(one(name, work).resolve() for name in wanted))
    else:
        found = [path for path in notebooks("", work) if _is_begun(path)]
    if not found:
        raise HandInError(f"nothing is begun in {work}. To hand in a notebook as it is, name it.")
    twins = Counter(_lecture(path) for path in found) + Counter(path.name for path in found)
    for shared in (name for name, number in twins.items() if number > 1):
        listed = ", ".join(str(p) for p in found if shared in (_lecture(p), p.name))
        raise HandInError(f"several are {shared}: {listed}. Name those that count, one for each.")
    return found


def _is_begun(path: Path) -> bool:
    """Whether a notebook has an answer, or cannot be read, which a student should be told."""
    try:
        lecture, cells = read(path)
    except HandInError as error:
        return not isinstance(error, NoExercisesError)
    return not all(reading.assembled(cells, e).stub for e in core.all_(lecture))


def _lecture(path: Path) -> str:
    """A notebook's lecture; the file itself stands for one that cannot be read."""
    try:
        return read(path)[0]
    except HandInError:
        return str(path)


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


def read(path: Path) -> tuple[str, list[sources.SourceCell]]:
    """A notebook file: its lecture, and its cells, as the grader reads them.

    Raises:
        HandInError: not a notebook, or of no lecture known here.
    """
    try:
        content = reading.parse(path.read_bytes())
        found = reading.raw_cells(content)
        lecture = reading.lecture(content, path.name, found)
    except reading.NoLectureError as error:
        raise NoExercisesError(f"{path.name}: no exercises; {error}") from error
    except (OSError, reading.ReadingError) as error:
        raise HandInError(f"{path.name} cannot be read as a notebook: {error}") from error
    return lecture, reading.cells(found, lecture)


def table(path: Path) -> list[Row]:
    """How each exercise of a notebook stands; only the exercises' code runs, not the lecture's.

    Raises:
        HandInError: not a notebook.
    """
    lecture, cells = read(path)
    return [Row(e, judged(e, cells)) for e in core.all_(lecture)]


def judged(exercise: Exercise, cells: list[sources.SourceCell]) -> Verdict:
    """What there is to say about an exercise of a notebook's cells.

    Never an exception: a notebook can be handed in whatever is in it.
    """
    try:
        return _verdict(exercise, cells)
    except Exception as error:
        return stumbled(exercise, error)


def _verdict(exercise: Exercise, cells: list[sources.SourceCell]) -> Verdict:
    pieces = reading.assembled(cells, exercise)
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


def pack(found: Sequence[Path]) -> Path:
    """Puts notebooks into a new zip file beside the first, and never replaces an earlier one.

    Args:
        found: the notebooks, each of another name.

    Returns:
        The zip: 06_saliency.zip for one, lectures.zip for several; 06_saliency-2.zip where that
        exists, and so on.

    Raises:
        HandInError: the zip cannot be written.
    """
    name = found[0].stem if len(found) == 1 else "lectures"
    try:
        contents = {path.name: path.read_bytes() for path in found}
        for number in count(1):
            target = found[0].with_name(f"{name}{'' if number == 1 else f'-{number}'}.zip")
            with suppress(FileExistsError), zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as z:
                for inside, content in contents.items():
                    z.writestr(inside, content)
                return target
    except OSError as error:
        raise HandInError(
            f"cannot write the zip beside {found[0]}: {error.strerror or error}"
        ) from error
