"""From the cells of a notebook to the code that one exercise's function needs, and no more.

The one place that says which code is a student's: `check`, `course check`, `course submit` and
grading all ask here. Taken are the imports of every cell, and what the student wrote of functions,
classes, assignments and blocks that the function needs, each as it is in force where the function
is checked. The lecture's own statements do not count, wherever an editor has put them; they are
known by their text. A function that reads the lecture's variables works in the notebook and fails
where it is graded, and is told so beforehand.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache

from course_utils.checking import scopes
from course_utils.checking.core import Fault
from course_utils.checking.scopes import Statement

LECTURE, EXERCISE, STUDENT = "lecture", "exercise", "student"
MARKDOWN, RAW = "Markdown", "raw"

ALIKE = 0.75
"""A statement that binds what one of the lecture's binds is that one, edited, if so similar."""
NEAR = 0.8
"""A function's name is another's misspelt, if so similar."""

_LECTURE_ID = re.compile(r"\d\d-[0-9a-f]{8}(-\d+)?|\w+-check")  # as `build` gives them
_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_LINE = 200  # characters of a line that a fault names


@dataclass(frozen=True)
class SourceCell:
    """A cell.

    Attributes:
        source: its text; magics may stand in it.
        role: what its id says: `LECTURE`, `EXERCISE`, or `STUDENT` (added, or without a known id);
            `MARKDOWN` or `RAW` for one that is no code.
        exercise: the exercise whose cell it is, if any.
    """

    source: str
    role: str = STUDENT
    exercise: str | None = None


@dataclass(frozen=True)
class Pieces:
    """The code of one function and what it needs.

    Attributes:
        name: the function.
        source: the code, to be run on its own; empty where no cell defines the function.
        stub: whether nothing has been written in the function yet.
        notebook_names: names the notebook defines elsewhere, which this code does not have.
        fault: why there is nothing to run, where that can be said: a syntax error in the
            exercise's cell, a function of another name, an answer in a cell that is no code.
    """

    name: str
    source: str
    stub: bool = False
    notebook_names: frozenset[str] = frozenset()
    fault: Fault | None = None


@dataclass(frozen=True)
class _Placed:
    """A statement that counts, and where it stands.

    Attributes:
        statement: one of the student's, or an import of anybody's.
        place: its number in the notebook.
        cell: the number of its cell.
        exercise: the exercise whose cell it is, by its id.
        ours: whether the lecture has it.
    """

    statement: Statement
    place: int
    cell: int
    exercise: str | None
    ours: bool


@dataclass(frozen=True)
class _Notebook:
    """All that counts of a notebook.

    Attributes:
        placed: the statements in order.
        ends: for each cell the place after its last statement.
        checks: exercise -> the places at which it is checked.
        bound: every name that any cell binds.
        arguments: the lecture's exercises, each with the names of its arguments.
    """

    placed: tuple[_Placed, ...]
    ends: tuple[int, ...]
    checks: dict[str, list[int]]
    bound: frozenset[str]
    arguments: dict[str, list[str]]


def assemble(cells: Iterable[SourceCell], name: str, lecture: Iterable[str] = ()) -> Pieces:
    """The code that the function `name` needs, from a notebook's cells.

    The exercise's own cell decides where it defines the function; another cell only where that one
    is missing or still the stub. Of several definitions the last one that is written counts; where
    no cell has the exercise's id, the last one before the check.

    Args:
        cells: in the order in which they run.
        name: the exercise.
        lecture: the texts of the lecture's own code cells, with the exercises as stubs. Without
            them every statement in a cell of the role `LECTURE` is the lecture's.

    Returns:
        The pieces; `source` is empty where no cell defines the function.
    """
    cells = tuple(cells)
    notebook = _read(cells, tuple(lecture))
    chosen = _definition(notebook, name)
    stub = chosen is not None and _is_stub(chosen.statement, name)
    fault = _why_not(cells, notebook, name, chosen) if stub or chosen is None else None
    if chosen is None or fault:
        return Pieces(name, "", notebook_names=notebook.bound, fault=fault)
    needed = _Needs(notebook, name, chosen).all()
    given = {n for s in needed for n in s.binds}
    text = "\n\n".join(s.text for s in needed) + "\n"
    return Pieces(name, text, stub, notebook.bound - given)


# ------------------------------------------------------------------ whose statement it is


@lru_cache(maxsize=8)
def _read(cells: tuple[SourceCell, ...], lecture: tuple[str, ...]) -> _Notebook:
    """Everything that counts of the cells; kept, because a lecture has several exercises."""
    code = [(n, c) for n, c in enumerate(cells) if c.role not in (MARKDOWN, RAW)]
    own = [s for text in lecture for s in scopes.statements(text)]
    ours = _of_the_lecture(code, own)
    placed: list[_Placed] = []
    ends, checks, bound = [0] * len(cells), {}, set()
    for number, cell in code:
        for index, statement in enumerate(scopes.statements(cell.source)):
            known = (number, index) in ours
            for one in _counting(statement, known):
                placed.append(_Placed(one, len(placed), number, cell.exercise, known))
            if statement.checks:
                checks.setdefault(statement.checks, []).append(len(placed))
        ends[number] = len(placed)
        bound |= scopes.stored(cell.source)
    stubs = {s.node.name: _arguments(s.node) for s in own if _is_any_stub(s)}
    return _Notebook(tuple(placed), tuple(ends), checks, frozenset(bound), stubs)


def _of_the_lecture(
    code: Sequence[tuple[int, SourceCell]], own: Sequence[Statement]
) -> set[tuple[int, int]]:
    """Cell and index of the statements that are the lecture's, edited ones included.

    Each of the lecture's is found once: a copy that a student made beside it is the student's.
    """
    every = [(n, i, s, c.role) for n, c in code for i, s in enumerate(scopes.statements(c.source))]
    if not own:
        return {(n, i) for n, i, _, role in every if role == LECTURE}
    left = [s for s in own if not _is_any_stub(s)]
    every.sort(key=lambda one: (LECTURE, STUDENT, EXERCISE).index(one[3]))
    found: set[tuple[int, int]] = set()
    for same in (_equal, _alike):
        for number, index, statement, _ in every:
            if (number, index) in found:
                continue
            partner = next((s for s in left if same(s, statement)), None)
            if partner is not None:
                left.remove(partner)
                found.add((number, index))
    names = frozenset(n for s in own for n in s.binds)
    for number, index, statement, role in every:
        # In a cell of the lecture a student's addition is what has a name of its own.
        if role == LECTURE and statement.binds | statement.changes <= names:
            found.add((number, index))
    return found


def _equal(one: Statement, other: Statement) -> bool:
    bound = (one.binds, one.changes, one.checks) == (other.binds, other.changes, other.checks)
    return bound and bool(one.dump) and one.dump == other.dump


def _alike(one: Statement, other: Statement) -> bool:
    """Whether one is the other, edited."""
    if not one.binds or one.binds != other.binds or not other.dump:
        return False
    matcher = SequenceMatcher(None, one.text.strip(), other.text.strip(), autojunk=False)
    return matcher.real_quick_ratio() >= ALIKE and (
        matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
    )


def _counting(statement: Statement, ours: bool) -> Iterable[Statement]:
    """What counts of a statement: of the lecture's only its imports."""
    exercise = scopes.called(statement.node, "yours_or_ours")
    if exercise:
        return _as_theirs(statement)
    if not ours or scopes.is_import(statement):
        return [statement]
    return [] if isinstance(statement.node, scopes.DEFINITIONS) else scopes.imports(statement)


def _as_theirs(statement: Statement) -> list[Statement]:
    """`mine = yours_or_ours("f", f)` as `mine = f`: graded is always the student's own."""
    given = statement.node.value.args[1:2]
    names = statement.binds
    if len(names) != 1 or not given or not isinstance(given[0], ast.Name) or given[0].id in names:
        return []
    text = f"{next(iter(names))} = {given[0].id}"
    return [replace(statement, text=text)]


# ------------------------------------------------------------------ the function


def _definition(notebook: _Notebook, name: str) -> _Placed | None:
    """The definition that counts."""
    every = [p for p in notebook.placed if name in p.statement.binds and not p.ours]
    written = [p for p in every if not _is_stub(p.statement, name)]
    own = [p for p in every if p.exercise == name]
    for found in ([p for p in own if p in written], *_before_checks(notebook, name, written)):
        if found:
            return found[-1]
    return next(reversed(written or own or every), None)


def _before_checks(notebook: _Notebook, name: str, written: list[_Placed]) -> list[list[_Placed]]:
    return [[p for p in written if p.place < at] for at in notebook.checks.get(name, [])]


def _is_any_stub(statement: Statement) -> bool:
    return isinstance(statement.node, ast.FunctionDef) and _is_stub(statement, statement.node.name)


def _is_stub(statement: Statement, name: str) -> bool:
    """Whether a function's body is only its docstring, `pass`, `...` or the raise of the stub."""
    node = statement.node
    if isinstance(node, ast.FunctionDef):
        return node.name == name and all(_is_empty(part) for part in node.body)
    inner = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n.name == name]
    return bool(inner) and all(_is_empty(part) for one in inner for part in one.body)


def _is_empty(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return "NotImplementedError" in ast.unparse(node)
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass)


def _arguments(node: ast.FunctionDef) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args)]


# ------------------------------------------------------------------ what it needs


class _Needs:
    """Finds the statements that a function needs, as they are in force where it is checked."""

    def __init__(self, notebook: _Notebook, name: str, chosen: _Placed) -> None:
        self.notebook, self.name, self.chosen = notebook, name, chosen
        later = [at for at in notebook.checks.get(name, []) if at > chosen.place]
        self.point = min(later, default=notebook.ends[chosen.cell])
        self.concerned: dict[str, list[_Placed]] = {}
        for one in notebook.placed:
            for n in one.statement.binds | one.statement.changes:
                self.concerned.setdefault(n, []).append(one)
        self.early: dict[int, list[_Placed]] = {}
        self.late: dict[tuple[int, int], list[_Placed]] = {}
        self.ordered: list[int] = []
        self.done: set[object] = set()

    def all(self) -> list[Statement]:
        """The statements in an order in which they can run."""
        star = [p for p in self.notebook.placed if {"*", "annotations"} & p.statement.binds]
        todo = [(one, self.point) for one in (self.chosen, *star)]
        while todo:
            one, at = todo.pop()
            if (one.place, at) in self.late:
                continue
            statement, place = one.statement, one.place
            self.early[place] = [d for n in sorted(statement.now) for d in self.of(n, place)]
            self.late[place, at] = [d for n in sorted(statement.later) for d in self.of(n, at)]
            todo += [(dep, place) for dep in self.early[place]]
            todo += [(dep, at) for dep in self.late[place, at]]
        for place in sorted(self.early):
            self._emit(place, 0, False)
        found = [self.notebook.placed[place].statement for place in self.ordered]
        return sorted(found, key=lambda s: getattr(s.node, "module", "") != "__future__")

    def _emit(self, place: int, at: int, called: bool) -> None:
        """A statement after what it reads, and before it is called all that it reads then."""
        if place not in self.done:
            self.done.add(place)
            for dep in self.early[place]:
                self._emit(dep.place, place, True)
            self.ordered.append(place)
        if called and (place, at) not in self.done:
            self.done.add((place, at))
            for dep in self.late.get((place, at), []):
                self._emit(dep.place, at, True)

    def of(self, name: str, at: int) -> list[_Placed]:
        """The statements that give a name the value that it has at a place."""
        found = self.concerned.get(name, [])
        if name == self.name:
            changes = [p for p in found if name in p.statement.changes]
            return [self.chosen, *(p for p in changes if self.chosen.place < p.place < at)]
        found = [p for p in found if not _is_stub(p.statement, name)] or found
        before = self._in_force(name, [p for p in found if p.place < at])
        if before:
            return before
        after, end = [p for p in found if p.place >= at], self._section(at)
        within = self._in_force(name, [p for p in after if p.place < end])
        return within or [p for p in after if name in p.statement.binds][:1]

    def _in_force(self, name: str, found: list[_Placed]) -> list[_Placed]:
        """From the last statement that surely binds it to the last one that may change it."""
        kept: list[_Placed] = []
        for one in reversed(found):
            kept.insert(0, one)
            if name in one.statement.kills:
                return kept
        return kept if any(name in p.statement.binds for p in kept) else []

    def _section(self, at: int) -> int:
        """The place at which another exercise begins."""
        others = (None, self.name)
        found = [p.place for p in self.notebook.placed[at:] if p.exercise not in others]
        return min(found, default=len(self.notebook.placed))


# ------------------------------------------------------------------ why there is none


def _why_not(
    cells: Sequence[SourceCell], notebook: _Notebook, name: str, chosen: _Placed | None
) -> Fault | None:
    """What there is in place of a written function, where it can be said."""
    start = re.compile(rf"^\s*(async )?def {name}\b", re.MULTILINE)
    for cell in cells:
        error = None if cell.role in (MARKDOWN, RAW) else scopes.parsed(cell.source)[2]
        if error and (cell.exercise == name or start.search(cell.source)):
            line = (getattr(error, "text", "") or "").strip()[:_LINE]
            return Fault("SyntaxError", getattr(error, "msg", None) or str(error)[:_LINE], line)
    for cell in cells:
        if cell.role in (MARKDOWN, RAW) and start.search(cell.source):
            parts = [cell.source, *_FENCE.findall(cell.source)]
            found = [s for part in parts for s in scopes.statements(part) if name in s.binds]
            if any(not _is_stub(s, name) for s in found):
                return Fault("NotCode", name=cell.role)
    other = _other_name(notebook, name, chosen)
    return Fault("OtherName", name=other) if other else None


def _other_name(notebook: _Notebook, name: str, chosen: _Placed | None) -> str:
    """A written function that may be the answer under another name; empty where there is none."""
    known = {*notebook.arguments, *notebook.checks} | {p.exercise for p in notebook.placed}
    functions = [p for p in notebook.placed if isinstance(p.statement.node, ast.FunctionDef)]
    functions = [p for p in functions if not p.ours and not _is_any_stub(p.statement)]
    named = {p.statement.node.name: p for p in functions if p.statement.node.name not in known}
    near = get_close_matches(name, named, n=1, cutoff=NEAR)
    if near:
        return near[0]
    used = {n for p in notebook.placed for n in p.statement.later}
    wanted = notebook.arguments.get(name)
    for other, one in named.items():
        same = wanted is not None and _arguments(one.statement.node) == wanted
        here = one.exercise == name if chosen is None else _beside(notebook, chosen, one)
        if other not in used and same and (here or chosen is None):
            return other
    return ""


def _beside(notebook: _Notebook, stub: _Placed, one: _Placed) -> bool:
    """Whether a function stands between a stub and the next exercise."""
    between = notebook.placed[stub.place + 1 : one.place]
    return one.place > stub.place and not any(
        p.statement.binds & set(notebook.arguments) for p in between
    )


# ------------------------------------------------------------------ cells by their ids


def notebook_cells(content: dict, exercises: Sequence[str], ids: set[str]) -> list[SourceCell]:
    """The cells of a notebook file, each with its role.

    Args:
        content: the notebook as read from JSON; cells of another form are skipped.
        exercises: the ids of the lecture's exercises.
        ids: the ids of all cells of the lecture's notebook; other cells are the student's.
    """
    cells = []
    for cell in content.get("cells", []):
        if not isinstance(cell, dict):
            continue
        source = text_of(cell)
        if cell.get("cell_type") == "code":
            cells.append(classify(source, identity(cell), exercises, ids))
        elif "def " in source and cell.get("cell_type") in ("markdown", "raw"):
            role = MARKDOWN if cell["cell_type"] == "markdown" else RAW
            cells.append(SourceCell(source, role))
    return cells


def text_of(cell: dict) -> str:
    """A cell's text; what is no text in it is left aside."""
    source = cell.get("source", "")
    parts = source if isinstance(source, list) else [source]
    return "".join(part for part in parts if isinstance(part, str))


def identity(cell: dict) -> str | None:
    """A cell's id: nbgrader's, which editors keep, else the cell's own."""
    metadata = cell.get("metadata")
    grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    found = grading.get("grade_id") if isinstance(grading, dict) else None
    found = found if isinstance(found, str) else cell.get("id")
    return found if isinstance(found, str) else None


def classify(
    source: str, cell_id: str | None, exercises: Sequence[str], ids: set[str]
) -> SourceCell:
    """A cell's role from its id: an exercise, a cell of the lecture, or one the student added."""
    if cell_id in exercises:
        return SourceCell(source, EXERCISE, cell_id)
    ours = cell_id in ids or _LECTURE_ID.fullmatch(cell_id or "") is not None
    return SourceCell(source, LECTURE if ours else STUDENT)
