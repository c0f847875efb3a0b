"""From judgements to marks: points as the assignment gives them, lateness, an instructor's word.

All of it is computed anew from the stored results whenever tables are written. What an instructor
decides stands in a file of its own, `adjustments.csv`, which nothing here ever writes to: it
survives every new grading.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.checking import core
from course_utils.grading.trusted.assignment import Assignment

NAME = "adjustments.csv"
_COLUMNS = ("student", "lecture", "exercise", "points", "remark")


class AdjustmentError(ValueError):
    """A line of `adjustments.csv` that says nothing clear; nothing is written until it does."""


@dataclass(frozen=True)
class Adjustment:
    """An instructor's decision.

    Attributes:
        student, lecture: as in the class's table; the lecture may be its number.
        exercise: its name; empty for the lecture as a whole.
        points: what it says: "2" sets them, "+0.5" and "-1" add; empty leaves them.
        remark: for the student.
        line: where it stands.
    """

    student: str
    lecture: str
    exercise: str
    points: str
    remark: str
    line: int

    def applied(self, points: float) -> float:
        """The points after it."""
        if not self.points:
            return points
        return float(self.points) + (points if self.points[0] in "+-" else 0.0)


@dataclass(frozen=True)
class Mark:
    """What a notebook is worth.

    Attributes:
        exercises: exercise -> points, after an instructor's word.
        points: their sum, after lateness and an instructor's word on the whole.
        most: what could be had.
        hours: after the deadline; None where it is not known.
        kept: the share that lateness left.
        remarks: an instructor's, for the student.
    """

    exercises: Mapping[str, float]
    points: float
    most: float
    hours: float | None = None
    kept: float = 1.0
    remarks: tuple[str, ...] = ()


def mark(result: dict, asked: Assignment, said: Sequence[Adjustment] = ()) -> Mark:
    """The mark of a stored result.

    Args:
        result: as `docs/grading.md` describes it.
        asked: the assignment.
        said: every adjustment; those to this student and lecture are used.
    """
    if not asked.asks(result["lecture"]):
        return Mark({}, 0.0, 0.0)
    own = [a for a in said if _concerns(a, result)]
    exercises, most = {}, 0.0
    for one in result["exercises"]:
        name, worth = one["exercise"], asked.worth(one["exercise"], one["max_points"])
        whole = asked.partial or one["state"] == core.RIGHT
        share = one["points"] / one["max_points"] if one["max_points"] and whole else 0.0
        points, most = share * worth, most + worth
        for adjustment in own:
            points = adjustment.applied(points) if adjustment.exercise == name else points
        exercises[name] = round(points, 2)
    if not result["exercises"]:
        most = sum(asked.worth(e.name, e.points) for e in core.all_(result["lecture"] or "-"))
    hours, kept = asked.kept(result.get("submitted", ""))
    points = sum(exercises.values()) * kept
    for adjustment in own:
        points = adjustment.applied(points) if not adjustment.exercise else points
    remarks = tuple(a.remark for a in own if a.remark)
    return Mark(exercises, round(points, 2), most, hours, kept, remarks)


def _concerns(adjustment: Adjustment, result: dict) -> bool:
    lecture = result["lecture"] or ""
    same = adjustment.lecture in ("", lecture, lecture[:2], lecture[3:])
    held = {one["exercise"] for one in result["exercises"]}
    here = not adjustment.exercise or adjustment.exercise in held
    return adjustment.student == result["student"] and same and here


def adjustments(out: Path) -> list[Adjustment]:
    """The decisions that are kept in a folder of results; none where there is no such file.

    Raises:
        AdjustmentError: a line that says nothing clear; names it.
    """
    path = out / NAME
    if not path.is_file():
        return []
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    if "student" not in (rows.fieldnames or ()):
        raise AdjustmentError(f"{NAME} needs the columns {', '.join(_COLUMNS)}")
    return [_line(row, number) for number, row in enumerate(rows, 2)]


def _line(row: dict, number: int) -> Adjustment:
    found = {key: (row.get(key) or "").strip().removeprefix("'") for key in _COLUMNS}
    where = f"{NAME}, line {number}"
    try:
        float(found["points"] or 0)
    except ValueError:
        words = "2 sets the points, +0.5 and -1 add"
        raise AdjustmentError(f"{where}: points = {found['points']!r}; {words}") from None
    if not found["student"]:
        raise AdjustmentError(f"{where}: whose points? The column student is empty")
    if found["exercise"] and found["exercise"] not in {e.name for e in core.all_()}:
        raise AdjustmentError(f"{where}: there is no exercise {found['exercise']!r}")
    return Adjustment(**found, line=number)


def unused(said: Sequence[Adjustment], results: Sequence[dict]) -> list[str]:
    """Sentences about decisions that concern nobody: a name may be misspelt."""
    idle = [a for a in said if not any(_concerns(a, result) for result in results)]
    return [f"{NAME}, line {a.line}: nothing of {a.student!r} is concerned" for a in idle]
