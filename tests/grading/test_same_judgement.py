"""What the check says in the notebook, what `course check` says, and what grading says, is one.

Every notebook of `honest` goes all three ways: through the cells that a kernel has run, through the
file, and through the grader's judge and its messages, with the seed that the check uses.
"""

import sys

import honest
import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils import exercises
from course_utils.checking import core, handin, history, judging, notebook, reading, running
from course_utils.checking.core import NOT_ATTEMPTED, RIGHT, WRONG
from course_utils.grading.sandboxed import wire, worker
from course_utils.grading.trusted import judge, sandbox

NOTEBOOKS = honest.notebooks()
LECTURES = sorted({e.lecture for e in exercises.all_()})
IN_THE_SANDBOX = (
    "without ids",
    "in one cell",
    "pasted",
    "postponed annotations",
    "a scratch cell of 400,000 Chinese characters",
    "a helper in a file",
    "a Markdown cell",
)


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    """A file of the student's beside the notebook."""
    (tmp_path / "my_helpers.py").write_text(f"import torch\n{honest.GRADIENT}\n\n{honest.MAP}")
    monkeypatch.syspath_prepend(str(tmp_path))
    running._is_own_file.cache_clear()
    yield
    sys.modules.pop("my_helpers", None)


class InProcess:
    """A worker without walls: the same messages, the same answers, in this process."""

    def __init__(self, walls, limits, start=None):
        self.ready, self.peak, self.log = {"versions": {}}, 0, ""
        self.worker = worker.Worker()

    def __enter__(self):
        return self

    def close(self):
        pass

    def request(self, kind, seconds, **fields):
        kind, fields = travel(wire.encode(kind, **fields))
        return travel(wire.encode("answer", **self.worker.answer(kind, fields)))[1]


def travel(frame):
    """A message as it arrives."""
    stream = memoryview(frame)

    def read(size):
        nonlocal stream
        part, stream = bytes(stream[:size]), stream[size:]
        return part

    return wire.receive(read)


# ------------------------------------------------------------------ three ways


def live(one):
    """State and reason of each exercise as a kernel says them that has run the cells."""
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    recorder = history.start(shell)
    content = one.content if "cells" in one.content else one.content["worksheets"][0]
    for number, cell in enumerate(content["cells"]):
        if cell["cell_type"] == "code":
            # An editor gives a new id to a cell that has none.
            key = cell.get("id") or f"{number:08x}"
            recorder.cells.append((key, cell.get("source") or cell["input"]))
    found = {}
    for exercise in exercises.all_("06_saliency"):
        names = [e.name for e in exercises.all_("06_saliency")]
        cells = history.cells(shell, "06_saliency", names)
        answer = notebook.examine(exercise, unwritten(exercise.name), cells)
        found[exercise.name] = (answer.verdict.state, answer.verdict.reason)
    return found


def unwritten(name):
    """What the kernel has under that name where no cell has defined it: the stub."""

    def function(*args):
        raise NotImplementedError()

    function.__name__ = name
    return function


def file(one, folder):
    """The same from the file, as `course check` says it."""
    path = folder / one.name
    path.write_bytes(one.data())
    rows = handin.table(path)
    return {row.exercise.name: (row.verdict.state, row.verdict.reason) for row in rows}


def graded(one, folder, parent=None):
    """The same as the grader says it."""
    path = folder / one.name
    path.write_bytes(one.data())
    result = judge.grade(path, seed=core.PUBLIC_SEED, draw=False, parent=parent)
    assert result["state"] == judge.GRADED, result["reason"]
    for exercise in result["exercises"]:
        full = exercise["points"] == exercise["max_points"]
        assert full == (exercise["state"] == RIGHT), exercise
    return {e["exercise"]: (e["state"], e["reason"]) for e in result["exercises"]}


def fair(one, said):
    """What is to be said of a notebook was said, and nobody is accused."""
    for exercise, (state, reason) in said.items():
        assert state == honest.expected(one, exercise), f"{exercise}: {state}, {reason}"
        if state == WRONG:
            assert one.words in reason
        elif state == NOT_ATTEMPTED:
            assert reason == ""
        if "variable" not in one.words:
            assert "notebook's variable" not in reason
        assert "the course's own" not in reason


def test_there_are_enough():
    assert len(NOTEBOOKS) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_one_judgement(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "Worker", InProcess)
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)
    one = NOTEBOOKS[name]
    said = file(one, tmp_path)
    fair(one, said)
    assert graded(one, tmp_path) == said
    if one.runs:
        assert live(one) == said


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_THE_SANDBOX)
def test_one_judgement_in_the_sandbox(name, tmp_path, parent):
    one = NOTEBOOKS[name]
    assert graded(one, tmp_path, parent) == file(one, tmp_path)


# ------------------------------------------------------------------ every solution


def pieces_of(content, exercise, name="x.ipynb"):
    cells = reading.raw_cells(content)
    assert reading.lecture(content, name, cells) == exercise.lecture
    return reading.assembled(reading.cells(cells, exercise.lecture), exercise)


@pytest.mark.slow
@pytest.mark.parametrize("lecture", LECTURES)
def test_every_solution_survives_every_editor(lecture):
    """Each distinct code is judged once, with the targets computed once."""
    whole = honest.solution(lecture)
    contents = {"as it is": whole} | {n: change(whole) for n, change in honest.EDITORS.items()}
    for exercise in exercises.all_(lecture):
        cases = exercise.cases(core.PUBLIC_SEED)
        wanted, seen = judging.targets(exercise, cases), set()
        for name, content in contents.items():
            pieces = pieces_of(content, exercise)
            if pieces.source in seen:
                continue
            seen.add(pieces.source)
            outcomes = running.answers(pieces, cases)
            verdict = judging.judge(exercise, cases, outcomes, pieces, wanted)
            assert verdict.state == RIGHT, f"{exercise.name}, {name}: {verdict.reason}"
        assert len(seen) <= 3, "an editor changes what is judged"


@pytest.mark.parametrize("lecture", LECTURES)
def test_every_unsolved_notebook_is_not_attempted(lecture):
    whole = honest.solution(lecture, "notebooks")
    for name, change in honest.EDITORS.items():
        content = change(whole)
        for exercise in exercises.all_(lecture):
            pieces = pieces_of(content, exercise)
            assert pieces.stub, f"{exercise.name}, {name}: {pieces.fault}"


def test_the_lecture_is_found_in_its_text():
    for lecture in LECTURES:
        content = honest.pasted(honest.solution(lecture))
        assert reading.lecture(content, "Untitled3.ipynb", reading.raw_cells(content)) == lecture
