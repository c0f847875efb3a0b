"""The cells that have run in this notebook, with their ids where the editor sends them."""

import ast
import json
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

from course_utils.checking import sources
from course_utils.checking.sources import EXERCISE, LECTURE, STUDENT, SourceCell
from course_utils.common import paths

_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # as nbformat defines it
ALIKE = 0.75
"""A cell without a known id counts as the lecture's where its text is at least so similar."""


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

    def _add(self, info: object) -> None:
        if info.raw_cell:
            self.cells.append((getattr(info, "cell_id", None), info.raw_cell))

    def latest(self) -> list[tuple[str | None, str]]:
        """In the order in which they last ran: of a cell that ran twice only the last text."""
        last = {key: i for i, (key, _) in enumerate(self.cells) if key is not None}
        return [c for i, c in enumerate(self.cells) if c[0] is None or last[c[0]] == i]


_recorders: dict[int, Recorder] = {}


def start(shell: object) -> Recorder:
    """Begins to record the cells of this IPython shell; once."""
    if id(shell) not in _recorders:
        _recorders[id(shell)] = Recorder(shell)
    return _recorders[id(shell)]


def cells(shell: object, lecture: str, exercises: Sequence[str]) -> list[SourceCell]:
    """The cells that have run, each with its role in the lecture."""
    known = lecture_cells(lecture)
    return [_role(key, text, exercises, known) for key, text in start(shell).latest()]


@cache
def lecture_cells(lecture: str) -> dict[str, str]:
    """Id -> text of the code cells of the lecture's notebook; empty where there is none."""
    try:
        text = (paths.root() / "notebooks" / f"{lecture}.ipynb").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    found = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    return {str(sources.identity(c)): "".join(c["source"]) for c in found}


def _role(
    key: str | None, text: str, exercises: Sequence[str], known: dict[str, str]
) -> SourceCell:
    # VS Code sends addresses of its own, not the ids of the file.
    key = key if key is not None and _CELL_ID.fullmatch(key) else None
    found = sources.classify(text, key, exercises, set(known))
    if found.role != STUDENT:
        return found
    if key is None:
        for name in exercises:
            if _defines(text, name):
                return SourceCell(text, EXERCISE, name)
    others = [t for k, t in known.items() if k not in exercises]
    return SourceCell(text, LECTURE if any(_alike(text, t) for t in others) else STUDENT)


def _defines(text: str, name: str) -> bool:
    try:
        body = ast.parse(sources.plain(text)).body
    except SyntaxError:
        return f"def {name}(" in text
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in body)


def _alike(a: str, b: str) -> bool:
    matcher = SequenceMatcher(None, a.strip(), b.strip(), autojunk=False)
    return matcher.real_quick_ratio() >= ALIKE and (
        matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
    )
