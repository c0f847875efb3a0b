"""What an assignment asks for and how it is counted: the file `assignment.toml`.

Nothing in it changes a judgement. It says which exercises count and for how much, what lateness
costs, and which of several notebooks counts; all of it is applied to stored results, so that a
changed rule needs no new grading.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from course_utils.checking import core
from course_utils.common import errors, lectures

NAME = "assignment.toml"
COUNTS = ("last", "best", "first")
_KEYS = ("title", "lectures", "deadline", "late", "attempts", "counts", "partial", "prints", "seed")


class AssignmentError(ValueError):
    """The file is not one, or asks for something that there is not; says which line of it."""


@dataclass(frozen=True)
class Assignment:
    """What is asked for.

    Attributes:
        title: for the tables of learning platforms.
        lectures: their full names; all lectures where none is named.
        points: exercise -> points; 0 leaves it out. Others count what the course gives them.
        deadline: when it is due; None: never.
        late: pairs of hours after the deadline and the share that is kept until then, in order;
            after the last of them nothing is kept. Without any, lateness is shown and free.
        attempts: so many notebooks for a lecture count, the earliest ones; 0: all.
        counts: which of these: one of `COUNTS`.
        partial: whether a wrong answer earns its share of right cases.
        prints: whether students see what their code printed; they may read the inputs there.
        seed: of all inputs; None: secret ones, fresh for every round.
    """

    title: str = "Exercises"
    lectures: tuple[str, ...] = ()
    points: Mapping[str, float] = field(default_factory=dict)
    deadline: datetime | None = None
    late: tuple[tuple[float, float], ...] = ()
    attempts: int = 0
    counts: str = "last"
    partial: bool = True
    prints: bool = False
    seed: int | None = None

    def asks(self, lecture: str | None) -> bool:
        """Whether a lecture belongs to it."""
        return not self.lectures or lecture in self.lectures

    def worth(self, exercise: str, usual: float) -> float:
        """The points of an exercise, where the course gives `usual`."""
        return float(self.points.get(exercise, usual))

    def kept(self, submitted: str) -> tuple[float | None, float]:
        """Hours after the deadline, None where that is not known, and the share that is kept."""
        if self.deadline is None or not submitted:
            return None, 1.0
        came, due = datetime.fromisoformat(submitted), self.deadline
        if came.tzinfo is None and due.tzinfo is not None:
            due = due.astimezone().replace(tzinfo=None)
        elif due.tzinfo is None and came.tzinfo is not None:
            came = came.astimezone().replace(tzinfo=None)
        hours = (came - due).total_seconds() / 3600
        if hours <= 0 or not self.late:
            return max(hours, 0.0), 1.0
        return hours, next((share for until, share in self.late if hours <= until), 0.0)


def read(path: Path) -> Assignment:
    """An assignment from its file.

    Raises:
        AssignmentError: not there, not TOML, an unknown key, exercise or lecture, or a value that
            is not one; names the key, what came and what is accepted.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AssignmentError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AssignmentError(f"{path.name} is not TOML: {error}") from None
    try:
        return _read(given)
    except ValueError as error:
        raise AssignmentError(f"{path.name}: {error}") from None


def _read(given: dict) -> Assignment:
    for key in given:
        if key not in (*_KEYS, "points"):
            raise ValueError(errors.unknown("key", key, [*_KEYS, "points"], "keys"))
    found = {key: given[key] for key in ("title", "partial", "prints") if key in given}
    for key, kind, words in (("title", str, "a text"), ("partial", bool, "true or false")):
        _of_kind(key, given.get(key, kind()), kind, words)
    _of_kind("prints", given.get("prints", False), bool, "true or false")
    named = _of_kind("lectures", given.get("lectures", []), list, 'a list such as ["06", "07"]')
    found["lectures"] = tuple(lectures.find(str(name)) for name in named)
    found["deadline"] = _deadline(given.get("deadline"))
    found["late"] = _late(given.get("late", []))
    found["attempts"] = _whole("attempts", given.get("attempts", 0), 1000)
    if "seed" in given:
        found["seed"] = _whole("seed", given["seed"], (1 << 31) - 1)
    found["counts"] = given.get("counts", "last")
    if found["counts"] not in COUNTS:
        raise ValueError(f"counts = {found['counts']!r}; accepted: {', '.join(COUNTS)}")
    found["points"] = _points(given.get("points", {}), found["lectures"])
    return Assignment(**found)


def _of_kind(key: str, value: object, kind: type, words: str) -> object:
    if not isinstance(value, kind):
        raise ValueError(f"{key} = {value!r}; accepted: {words}")
    return value


def _whole(key: str, value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{key} = {value!r}; accepted: a whole number, 0 to {most:,}")
    return value


def _number(key: str, value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{key} = {value!r}; accepted: a number, 0 to {most:g}")
    return float(value)


def _deadline(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    raise ValueError(f"deadline = {value!r}; accepted: a date and a time, 2026-11-30T23:59:00")


def _late(value: object) -> tuple[tuple[float, float], ...]:
    words = "a list such as [{hours = 24, keeps = 0.8}]"
    rules = []
    for rule in _of_kind("late", value, list, words):
        if not isinstance(rule, dict) or set(rule) != {"hours", "keeps"}:
            raise ValueError(f"late = {rule!r}; accepted: {words}")
        rules.append((_number("hours", rule["hours"], 1e6), _number("keeps", rule["keeps"], 1)))
    return tuple(sorted(rules))


def _points(value: object, asked: tuple[str, ...]) -> dict[str, float]:
    known = [e.name for e in core.all_() if not asked or e.lecture in asked]
    found = _of_kind("points", value, dict, "a table of exercises")
    for name in found:
        if name not in known:
            raise ValueError(errors.unknown("points", name, known, "exercises"))
    return {name: _number(f"points.{name}", number, 1e4) for name, number in found.items()}
