"""A stop: what was found is kept, and nothing more begins in that cell."""

import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils.common import stopping

RUNS = """
from course_utils.common.stopping import stoppable

def run(name, stopped=False):
    with stoppable(lambda: f"1 of 2 {name}") as stop:
        if stopped:
            raise KeyboardInterrupt
    return name, stop.came
"""


@pytest.fixture
def shell(monkeypatch):
    made = InteractiveShell()
    made.history_manager.enabled = False
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: made)
    made.run_cell(RUNS)
    return made


def test_a_stop_keeps_what_was_found_and_ends_the_cell(shell, capsys):
    done = shell.run_cell("a = run('a', True)\nb = 1\nc = run('c')\nd = 1")
    assert isinstance(done.error_in_exec, KeyboardInterrupt)
    assert shell.user_ns["a"] == ("a", True)
    assert shell.user_ns["b"] == 1  # what follows at once may draw what was found
    assert not {"c", "d"} & set(shell.user_ns)
    said = capsys.readouterr().out
    assert "Stopped after 1 of 2 a." in said
    assert "its next run has not begun" in said


def test_the_next_cell_runs(shell):
    assert not shell.run_cell("a = run('a', True)").error_in_exec
    assert not shell.run_cell("b = run('b')\nc = run('c')").error_in_exec
    assert shell.user_ns["c"] == ("c", False)
    assert not {f.__name__ for f in shell.events.callbacks["post_execute"]} & {"forget"}


def test_a_stopped_callback_of_a_widget_stops_no_cell(shell):
    """It runs between cells, and where it fails nothing tells its end."""
    shell.events.trigger("pre_execute")
    exec("a = run('a', True)", shell.user_ns)
    assert not shell.run_cell("b = run('b')").error_in_exec


def test_outside_of_notebooks_the_next_run_begins(capsys):
    for _ in range(2):
        with stopping.stoppable(lambda: "3 of 4 steps") as stop:
            raise KeyboardInterrupt
        assert stop.came
    assert capsys.readouterr().out == "Stopped after 3 of 4 steps.\n" * 2


def test_an_error_is_no_stop():
    with pytest.raises(ZeroDivisionError), stopping.stoppable(lambda: "0") as stop:
        _ = 1 / 0
    assert not stop.came
