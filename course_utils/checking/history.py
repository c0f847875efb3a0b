"""The cells that have run in this notebook, with their ids where the editor sends them."""

import ast
import re
from collections.abc import Sequence

from course_utils.checking import reading, scopes, sources
from course_utils.checking.sources import SourceCell

_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # as nbformat defines it


class Recorder:
    """Keeps (id, text) of every cell that runs, as IPython announces them.

    The texts IPython keeps itself lack the ids, and `nbval` stores none.
    """

    def __init__(self, shell: object) -> None:
        self.shell = shell
        # What ran before: the cell that imports us comes again when it ends.
        self.cells: list[tuple[str | None, str]] = [
            (None, text) for text in shell.history_manager.input_hist_raw[1:-1]
        ]
        shell.events.register("pre_run_cell", self.before)
        shell.events.register("post_run_cell", self.after)
        self.open = False

    def before(self, info: object) -> None:
        self._add(info)
        self.open = True

    def after(self, result: object) -> None:
        # The very first cell had begun before anybody listened.
        if not self.open and getattr(result, "info", None) is not None:
            self._add(result.info)
        self.open = False
        _explain(getattr(result, "error_in_exec", None), self.cells)

    def _add(self, info: object) -> None:
        if info.raw_cell:
            self.cells.append((getattr(info, "cell_id", None), info.raw_cell))

    def latest(self) -> list[tuple[str | None, str]]:
        """In the order in which they last ran: of a cell that ran twice only the last text."""
        last = {_key(cell): i for i, cell in enumerate(self.cells)}
        return [c for i, c in enumerate(self.cells) if last[_key(c)] == i]


def _key(cell: tuple[str | None, str]) -> object:
    """What a cell and its later text have in common: the id, else the functions, else the text."""
    key, text = cell
    if key is not None:
        return key
    named = [s.node.name for s in scopes.statements(text) if isinstance(s.node, ast.FunctionDef)]
    return tuple(named) if named else (text,)


def _explain(error: object, cells: list[tuple[str | None, str]]) -> None:
    """Says below Python's own words what it means that an exercise's function is not there."""
    name = error.name if isinstance(error, NameError) else None
    if name and cells and any(s.checks == name for s in scopes.statements(cells[-1][1])):
        print(
            f"{name}: there is no function of this name in the notebook yet. Run the cell that "
            "defines it. It must be a code cell (choose Code in the toolbar), and the function "
            f"must be called `{name}`."
        )


_recorders: dict[int, Recorder] = {}


def start(shell: object) -> Recorder:
    """Begins to record the cells of this IPython shell; once."""
    if id(shell) not in _recorders:
        _recorders[id(shell)] = Recorder(shell)
    return _recorders[id(shell)]


def cells(shell: object, lecture: str, exercises: Sequence[str]) -> list[SourceCell]:
    """The cells that have run, each with what its id says; their texts say the rest."""
    ids = set(reading.lecture_cells(lecture))
    found = []
    for key, text in start(shell).latest():
        # VS Code sends addresses of its own, not the ids of the file.
        key = key if key is not None and _CELL_ID.fullmatch(key) else None
        found.append(sources.classify(text, key, exercises, ids))
    return found
