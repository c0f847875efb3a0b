"""Which cells have run, by their ids where the editor sends them and by their text elsewhere."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils import exercises
from course_utils.checking import history, reading
from course_utils.checking.sources import EXERCISE, LECTURE, STUDENT

NAMES = ["saliency_map", "smoothgrad"]


@pytest.fixture
def shell():
    made = InteractiveShell()
    made.history_manager.enabled = False
    return made


def roles(shell):
    found = history.cells(shell, "06_saliency", NAMES)
    return [(c.role, c.exercise, c.source.split("\n")[0]) for c in found]


def test_roles_by_id(shell):
    history.start(shell)
    shell.run_cell("a = 1", store_history=True, cell_id="06-0123abcd")
    shell.run_cell("b = 1", store_history=True, cell_id="b4b5")
    shell.run_cell("c = 1", store_history=True, cell_id="saliency_map")
    assert roles(shell) == [
        (LECTURE, None, "a = 1"),
        (STUDENT, None, "b = 1"),
        (EXERCISE, "saliency_map", "c = 1"),
    ]


def test_a_cell_that_ran_again_counts_once_and_last(shell):
    history.start(shell)
    for source, key in (("a = 1", "one"), ("b = 1", "two"), ("a = 2", "one")):
        shell.run_cell(source, store_history=True, cell_id=key)
    assert [source for *_, source in roles(shell)] == ["b = 1", "a = 2"]


def test_the_lectures_text_is_known_without_ids(shell):
    """Also where it was edited: what uses its variables is told so, and nothing of it runs."""
    lecture = reading.lecture_cells("06_saliency")
    text = next(text for text in lecture.values() if text.startswith("net = "))
    edited = text.replace("koala", "tiger")
    assert edited != text
    for source in ("import torch", edited, "def smoothgrad(*a):\n    return net(mine)", "mine = 3"):
        history.start(shell).cells.append((None, source))
    cells = history.cells(shell, "06_saliency", NAMES)
    pieces = reading.assembled(cells, exercises.get("smoothgrad"))
    assert "net = " not in pieces.source
    assert "mine = 3" in pieces.source
    assert {"net", "x", "classes"} <= pieces.notebook_names


def test_a_function_that_ran_again_replaces_itself_where_there_are_no_ids(shell):
    history.start(shell)
    for source in ("def f():\n    return 1", "f()", "def f():\n    return 2", "f()"):
        history.start(shell).cells.append((None, source))
    assert [source for *_, source in roles(shell)] == ["def f():", "f()"]
    assert history.start(shell).latest()[0][1].endswith("2")


def test_a_check_of_a_function_that_is_not_there_says_what_to_do(shell, capsys):
    history.start(shell)
    shell.run_cell('check("smoothgrad", smoothgrad)', store_history=True, cell_id="a1")
    shell.run_cell("check", store_history=True, cell_id="a2")
    said = capsys.readouterr().out
    assert "smoothgrad: there is no function of this name in the notebook yet." not in said
    shell.user_ns["check"] = print
    shell.run_cell('check("smoothgrad", smoothgrad)', store_history=True, cell_id="a1")
    said = capsys.readouterr().out
    assert "smoothgrad: there is no function of this name in the notebook yet." in said
    assert "must be a code cell" in said


def test_cells_before_the_first_import_count(shell):
    shell.run_cell("early = 1", store_history=True)
    shell.user_ns["start"] = lambda: history.start(shell)
    shell.run_cell("start()  # the cell with the import", store_history=True)
    shell.run_cell("late = 1", store_history=True)
    texts = [source for *_, source in roles(shell)]
    assert texts == ["early = 1", "start()  # the cell with the import", "late = 1"]


def test_addresses_of_vs_code_are_no_ids(shell):
    history.start(shell)
    place = "vscode-notebook-cell:/course/06_saliency.ipynb#{}"
    stub = reading.lecture_cells("06_saliency")["saliency_map"]
    solved = stub.replace("raise NotImplementedError()", "return x[:, 0]")
    for number, source in enumerate((stub, "mine = 3", solved)):
        key = place.format("same" if source in (stub, solved) else number)
        history.start(shell).cells.append((key, source))
    found = history.cells(shell, "06_saliency", NAMES)
    assert [(c.role, c.source) for c in found] == [(STUDENT, "mine = 3"), (STUDENT, solved)]
    pieces = reading.assembled(found, exercises.get("saliency_map"))
    assert not pieces.stub
    assert "return x[:, 0]" in pieces.source
