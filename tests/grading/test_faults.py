"""A fault at every step of the way of one submission: the others get their points all the same."""

import errno
import json
import os

import pytest
from submitted import EXERCISES, RIGHT, notebook

from course_utils.checking import core
from course_utils.checking.core import Outcome
from course_utils.common import writing
from course_utils.grading.trusted import (
    collect,
    engine,
    files,
    judge,
    marker,
    report,
    sandbox,
    submission,
)
from course_utils.grading.trusted.journal import NAME, Journal

STUDENTS = ("ada", "bob", "eve", "zoe")
EVE = "Eve"  # stands in her notebook, and in no one else's


class Fault(Exception):
    """What nobody foresaw."""


class _Inline:
    """A judge of the crew that works in this process: what `marker.reply` says, over a pipe."""

    def __init__(self, slot):
        self.slot, self.task, self.ready, self.deadline = slot, None, False, 1e18
        read, self.write = os.pipe()
        self.stdout, self.process = os.fdopen(read, "rb", buffering=0), self
        self._say({"ready": True})

    def _say(self, reply):
        os.write(self.write, json.dumps(reply).encode() + b"\n")

    def give(self, task, order, seconds):
        self.task = task
        self._say(marker.reply(json.loads(json.dumps(order))))

    def replies(self):
        part = self.stdout.read(1 << 20)
        return [json.loads(line) for line in part.splitlines()]

    def end(self):
        self.stdout.close()
        os.close(self.write)


class _Answers(judge.Session):
    """Workers that are never started: what the reference gives, for everyone."""

    def answers(self, name, cases):
        if any(EVE in cell.source for cell in self.found.cells):
            touch("answers")
        wanted = judge.drawn(name, 7)[1]
        outcomes = [Outcome(value, again=value) for value in wanted]
        return core_pieces(name), outcomes, judge.Looks()


def core_pieces(name):
    from course_utils.checking.sources import Pieces

    return Pieces(name, "(in the worker)")


FAULTY = {"step": ""}


def touch(step):
    """Fails, where this is the step that is to fail for Eve."""
    if FAULTY["step"] == step:
        raise Fault(step)


def faulty(monkeypatch, owner, name, step, concerns):
    """Lets a function fail where it is called for Eve."""
    real = getattr(owner, name)

    def called(*args, **kwargs):
        if concerns(*args, **kwargs):
            touch(step)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, called)


@pytest.fixture
def classroom(tmp_path, monkeypatch):
    """Grades four students in this process; every step for Eve can be made to fail."""
    monkeypatch.setattr(engine, "_Judge", lambda slot, slots: _Inline(slot))
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)
    monkeypatch.setattr(judge, "Session", _Answers)
    # Each step fails for her alone.
    hers = lambda handed, *rest: handed.student == "eve"  # noqa: E731
    calls = []
    first = lambda handed: hers(handed) and not calls.append(1) and len(calls) == 1  # noqa: E731
    faulty(monkeypatch, collect, "read", "digest", first)
    faulty(monkeypatch, collect, "read", "read", hers)
    is_hers = lambda data, *rest: EVE.encode() in data  # noqa: E731
    faulty(monkeypatch, submission, "parse", "reading", is_hers)
    picture = lambda session, one: EVE in str(session.found.cells)  # noqa: E731
    faulty(monkeypatch, judge, "_picture", "picture", picture)
    written = lambda target, *rest, **more: "eve" in str(target) and target.suffix == ".json"  # noqa: E731
    faulty(monkeypatch, files, "store", "result", written)
    page = lambda out, rows, *rest: rows[0].result["student"] == "eve"  # noqa: E731
    faulty(monkeypatch, report, "student_page", "page", page)
    line = lambda self, event, **fields: "eve" in fields.get("place", "")  # noqa: E731
    faulty(monkeypatch, Journal, "add", "journal", line)
    (tmp_path / "in").mkdir()
    for student in STUDENTS:
        added = [f"# {EVE}"] if student == "eve" else []
        content = json.dumps(notebook(RIGHT, added))
        (tmp_path / "in" / f"{student}.ipynb").write_text(content)

    def run():
        settings = engine.Settings(seed=7, jobs=2, draw=False)
        done = engine.grade(tmp_path / "in", tmp_path / "out", settings, progress=False)
        return done, *report.write(tmp_path / "out", done.current)

    run.out = tmp_path / "out"
    FAULTY["step"] = ""
    yield run
    FAULTY["step"] = ""


def stored(out, student):
    path = out / student / f"{student}.json"
    return json.loads(path.read_text()) if path.is_file() else None


UNREADABLE = "not graded: the grader stumbled over it (Fault)"
STEPS = {
    "digest": ("graded", ""),
    "read": ("unreadable", UNREADABLE),
    "reading": ("unreadable", UNREADABLE),
    "answers": ("graded", ""),
    "picture": ("graded", ""),
    "result": (None, ""),
    "journal": ("graded", ""),
    "page": ("graded", ""),
}
"""By step: the state and the reason that are stored for Eve, where that step fails."""


@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_one_step_for_one_student(classroom, step):
    FAULTY["step"] = step
    run, written, remarks = classroom()
    state, reason = STEPS[step]
    for student in STUDENTS:
        if student != "eve":
            assert stored(classroom.out, student)["points"] == 3
            assert (classroom.out / student / "report.html").is_file()
    hers = stored(classroom.out, "eve")
    assert (hers and hers["state"]) == state
    assert reason in (hers["reason"] if hers else "")
    assert all(path.is_file() for path in written)
    table = (classroom.out / "class.csv").read_text()
    assert [s for s in STUDENTS if s in table] == [s for s in STUDENTS if s != "eve" or hers]
    told = [
        *run.remarks,
        *remarks,
        *(e["reason"] for e in (hers or {"exercises": ()})["exercises"]),
    ]
    if step in ("answers", "result", "journal", "page"):
        assert any("Fault" in line for line in told)
    FAULTY["step"] = ""
    again, *_ = classroom()
    assert again.graded == (step in ("digest", "read", "result", "journal"))
    assert stored(classroom.out, "eve")["student"] == "eve"


def test_one_exercise_that_cannot_be_judged_costs_no_other(classroom, monkeypatch):
    faulty(monkeypatch, judge, "drawn", "drawing", lambda name, seed: name == EXERCISES[1])
    FAULTY["step"] = "drawing"
    classroom()
    found = {e["exercise"]: e for e in stored(classroom.out, "ada")["exercises"]}
    assert [found[name]["state"] for name in EXERCISES] == [core.RIGHT, judge.FAILED, core.RIGHT]
    assert "tell your instructor" in found[EXERCISES[1]]["reason"]
    assert stored(classroom.out, "ada")["points"] == 2


def test_a_full_disk_ends_the_run_and_says_so(classroom, monkeypatch):
    """What happens to everyone is no student's: the run stops, and goes on when it can."""

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "replace", full)
    with pytest.raises(engine.EngineError, match="No space left"):
        classroom()
    monkeypatch.undo()
    assert (classroom.out / NAME).is_file()


def test_names_of_any_length_are_stored(tmp_path):
    """Bytes count for file systems: 80 characters may be 320 of them."""
    for sign in ("\U00020000", "\u6f22", "a", "\u00e9"):
        name = sign * 300
        handed = [collect.Handed(name, f"{sign * n}.ipynb", f"{n}") for n in (80, 100, 250, 300)]
        places = collect.places(handed, engine.FOLDERS)
        assert len(set(places)) == len(handed)
        for place in places:
            assert max(len(part.encode()) for part in f"{place}.json".split("/")) <= 143
            assert files.store(tmp_path / f"{place}.json", "{}").is_file()
        assert len(files.safe_name(name).encode()) <= files.LONGEST
        assert set(files.safe_name(name)) == {sign}
