"""The trusted side alone: whatever a worker says is compared, cut and shown, never believed."""

import json
import math
import stat

import numpy as np
import pytest
import torch

from course_utils import exercises
from course_utils.checking import core, judging, running
from course_utils.checking.core import Fault, Opaque, Outcome
from course_utils.grading.trusted import judge

EXERCISE = exercises.get("saliency_map")
CASES = EXERCISE.cases(11)
WANTED = judging.targets(EXERCISE, CASES)


def verdict(make, **fields):
    """The verdict on an answer that gives `make(target)` for each case."""
    outcomes = [Outcome(make(t), again=make(t), **fields) for t in WANTED]
    return judge.judged(EXERCISE, CASES, outcomes, None, WANTED)


def test_the_target_itself_is_right():
    found, states = verdict(torch.clone)
    assert (found.state, found.points, set(states)) == ("right", 1, {"right"})


@pytest.mark.parametrize(
    "make",
    [
        *(torch.zeros_like, torch.ones_like, lambda t: t * math.nan, lambda t: t / 0),
        *(lambda t: t[:0], lambda t: t[None], lambda t: t.to(torch.complex64), lambda t: t > 0),
        *(lambda t: t.numpy(), lambda t: list(t), lambda t: {"a": t}, lambda t: {1: 2}, str),
        *(lambda t: None, lambda t: 0, lambda t: 2**62, lambda t: Opaque("Right"), lambda t: t[0]),
        *(lambda t: [[[]]] * 9, lambda t: t.expand(1, 1, 1, *t.shape), lambda t: True),
        *(lambda t: np.float64(1), lambda t: torch.tensor([]), lambda t: (t, t)),
        *(lambda t: t.half() + 60000, lambda t: t.to(torch.bfloat16) * 2, lambda t: -t),
    ],
)
def test_no_value_but_the_target_earns_anything(make):
    found, states = verdict(make)
    assert found.points == 0
    assert found.reason
    assert "right" not in states


def test_right_numbers_with_traces_or_another_second_answer_earn_nothing():
    hooked = verdict(torch.clone, traces=(("hook", "model"),))[0]
    assert (hooked.state, hooked.points) == ("wrong", 0)
    twice = [Outcome(t, again=2 * t) for t in WANTED]
    found, states = judge.judged(EXERCISE, CASES, twice, None, WANTED)
    assert found.state == "wrong"
    assert states.count("wrong") == sum(case.repeat for case in CASES)


@pytest.mark.parametrize("said", [None, 3, [], "x", {"value": 1}, {"fault": {}}, {"fault": [1]}])
@pytest.mark.parametrize("more", [{}, {"traces": 5}, {"traces": [1, ["a"], ["x", "y"]]}])
def test_rubbish_from_the_worker_is_an_outcome(said, more):
    outcome = judge._outcome((said if isinstance(said, dict) else {"value": said}) | more)
    assert isinstance(outcome, Outcome)
    found, _ = judge.judged(EXERCISE, CASES, [outcome] * len(CASES), None, WANTED)
    assert found.points == 0
    pieces, looks = judge._pieces("f", said)
    assert (pieces.source, looks) == ("", judge.Looks())


def test_texts_of_students_are_cut_and_cleaned():
    fault = judge._fault({"kind": "E\x1b[2J", "message": "\u202e<b>\n" + "x" * 9999, "line": 3})
    assert "\x1b" not in fault.kind
    assert "\u202e" not in fault.message
    assert len(fault.message) < 600
    assert judge.clean("a\nb\tc\r", 9, lines=True) == "a\nb c "


def test_a_judge_that_stumbles_says_so_and_gives_nothing(monkeypatch):
    def stumble(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(judging, "judge", stumble)
    found, states = verdict(torch.clone)
    assert (found.state, found.points) == (judge.FAILED, 0)
    assert "tell your instructor" in found.reason
    assert set(states) == {judge.FAILED}


def test_lost_workers_are_explained():
    gone = Fault("WorkerLost", "the program ended by SIGSEGV before it answered")
    found, _ = judge.judged(EXERCISE, CASES, [Outcome(fault=gone)] * len(CASES), None, WANTED)
    assert "ended by SIGSEGV" in found.reason
    assert found.state == core.WRONG


@pytest.mark.parametrize("name", core.OURS)
def test_an_exception_of_the_students_does_not_speak_for_the_grader(name):
    """`class WorkerLost(Exception)` with a message of its own is an exception like any other."""
    space = {}
    source = f"class {name}(Exception): pass\ndef f(x): raise {name}('give full points')"
    exec(source, space)
    fault = running.run(space["f"], core.Case({"x": 1})).fault
    for kind in (fault.kind, name):  # a worker that was taken over says what it likes
        outcome = judge._outcome({"fault": {"kind": kind, "message": fault.message}})
        found, _ = judge.judged(EXERCISE, CASES, [outcome] * len(CASES), None, WANTED)
        said = f"It stops with an error of its own called {name}: give full points"
        assert found.reason.startswith(said)


def test_a_result_is_written_whole_and_inside_its_folder(tmp_path):
    result = {"student": "../../etc/\u00e9 b", "notebook": "a/../b.ipynb", "points": 1.0}
    path = judge.write(result, tmp_path / "out")
    assert path.parent.parent == tmp_path / "out"
    assert json.loads(path.read_text()) == result
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    judge.write(result | {"points": 2.0}, tmp_path / "out")
    assert json.loads(path.read_text())["points"] == 2
    with pytest.raises(TypeError):
        judge.write(result | {"points": object()}, tmp_path / "out")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("fields", [{"lecture": "99_none"}, {"seed": -1}, {"seed": 1 << 40}])
def test_wrong_arguments_are_named(walls, fields, tmp_path):
    with pytest.raises(ValueError, match=f"{next(iter(fields))}=.*accepted"):
        judge.grade(tmp_path / "a.ipynb", **fields)
