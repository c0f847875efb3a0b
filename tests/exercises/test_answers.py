"""Answers that are in no list of mistakes, each with its verdict and the words it must get.

Every module `answers_*.py` beside this one has a list `ANSWERS` of tuples

    (exercise, label, source, state, must, must_not)

`source` is the student's cell, `state` one of "right", "wrong" and "not attempted"; `must` and
`must_not` are words, or tuples of them, that the verdict's reason has to contain or must not.
The other cells are those of the lecture's solutions.
"""

import importlib
import json
import textwrap
from functools import cache
from pathlib import Path

import pytest

from course_utils import exercises
from course_utils.checking import judging, running, sources
from course_utils.checking.core import NOT_ATTEMPTED, PUBLIC_SEED, RIGHT, WRONG
from course_utils.common import paths

pytestmark = pytest.mark.usefixtures("mistakes_once")

MODULES = sorted(p.stem for p in Path(__file__).parent.glob("answers_*.py"))
ANSWERS = [answer for name in MODULES for answer in importlib.import_module(name).ANSWERS]


@cache
def drawn(name):
    """The public cases of an exercise and what the reference gives for them."""
    exercise = exercises.get(name)
    cases = exercise.cases(PUBLIC_SEED)
    return exercise, cases, judging.targets(exercise, cases)


@cache
def solved(lecture):
    """The cells of a lecture's solutions."""
    path = paths.root() / "solutions" / f"{lecture}.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    names = [e.name for e in exercises.all_(lecture)]
    ids = {cell.get("id") for cell in content["cells"]}
    return sources.notebook_cells(content, names, ids)


def verdict(name, source):
    """What the check says about a cell that stands in the exercise's place."""
    exercise, cases, wanted = drawn(name)
    own = sources.SourceCell(textwrap.dedent(source).strip(), sources.EXERCISE, name)
    cells = [own if cell.exercise == name else cell for cell in solved(exercise.lecture)]
    pieces = sources.assemble(cells, name)
    outcomes = running.answers(pieces, cases, running.seconds_allowed())
    return judging.judge(exercise, cases, outcomes, pieces, wanted)


def several(words):
    """One word, or a tuple of them, as a tuple."""
    return (words,) if isinstance(words, str) else tuple(words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "label", "source", "state", "must", "must_not"),
    ANSWERS,
    ids=[f"{name}-{label}".replace(" ", "_") for name, label, *_ in ANSWERS],
)
def test_answer(name, label, source, state, must, must_not):
    found = verdict(name, source)
    assert found.state == state, found.reason
    assert bool(found.reason) or state != WRONG
    assert found.reason.count("`") % 2 == 0, found.reason
    for word in several(must):
        assert word in found.reason, found.reason
    for word in several(must_not):
        assert word not in found.reason, found.reason


def test_the_lists_are_what_they_should_be():
    assert MODULES
    keys = [(name, label) for name, label, *_ in ANSWERS]
    assert len(set(keys)) == len(keys), "two answers of one exercise have the same label"
    assert {state for _, _, _, state, _, _ in ANSWERS} <= {RIGHT, WRONG, NOT_ATTEMPTED}
    for name, label, source, _, must, must_not in ANSWERS:
        exercises.get(name)
        assert name in source, (name, label)
        assert all(isinstance(w, str) and w for w in several(must) + several(must_not))
