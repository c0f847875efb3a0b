"""Which cells have run, by their ids where the editor sends them and by their text elsewhere."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils.checking import history
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


def test_roles_by_text(shell):
    history.start(shell)
    lecture = history.lecture_cells("06_saliency")
    key = next(k for k, text in lecture.items() if text.startswith("net = "))
    edited = lecture[key].replace("koala", "tiger")
    assert edited != lecture[key]
    for source in (edited, "def smoothgrad(*a):\n    return a", "mine = 3"):
        history.start(shell).cells.append((None, source))
    assert [role for role, *_ in roles(shell)] == [LECTURE, EXERCISE, STUDENT]


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
    stub = history.lecture_cells("06_saliency")["saliency_map"]
    solved = stub.replace("raise NotImplementedError()", "return x[:, 0]")
    for number, source in enumerate((stub, "mine = 3", solved)):
        key = place.format("same" if source in (stub, solved) else number)
        history.start(shell).cells.append((key, source))
    found = history.cells(shell, "06_saliency", NAMES)
    assert [(c.role, c.source) for c in found] == [(STUDENT, "mine = 3"), (EXERCISE, solved)]
