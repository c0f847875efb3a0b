"""From the cells of a notebook to the code that one exercise's function needs, and no more.

Taken are the imports of every cell, and the functions, classes and assignments of exercise cells
and of cells the student added. Nothing else of the notebook counts: a function that reads its
variables works here and fails where it is graded, and is told so beforehand.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from course_utils.checking.core import Fault

LECTURE, EXERCISE, STUDENT = "lecture", "exercise", "student"

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_LECTURE_ID = re.compile(r"\d\d-[0-9a-f]{8}(-\d+)?|\w+-check")  # as `build` gives them
_MAGIC = re.compile(r"^(\s*)([%!?].*|[^#'\"]*\?{1,2}\s*)$")


@dataclass(frozen=True)
class SourceCell:
    """A code cell.

    Attributes:
        source: its text; magics may stand in it.
        role: `LECTURE` (only its imports count), `EXERCISE` or `STUDENT` (added by the student).
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
        fault: a syntax error in the exercise's cell.
    """

    name: str
    source: str
    stub: bool = False
    notebook_names: frozenset[str] = frozenset()
    fault: Fault | None = None


@dataclass(frozen=True)
class _Statement:
    node: ast.stmt
    text: str
    cell: SourceCell
    binds: frozenset[str]
    loads: frozenset[str]


def assemble(cells: Iterable[SourceCell], name: str) -> Pieces:
    """The code that the function `name` needs, from a notebook's cells.

    The exercise's own cell decides where it defines the function; another cell only where that one
    is missing or still the stub. Of several definitions of one name the last is in force.

    Args:
        cells: in the order in which they run.
        name: the exercise.

    Returns:
        The pieces; `source` is empty where no cell defines the function.
    """
    cells = list(cells)
    trees = [(cell, text, *_parse(text)) for cell in cells for text in [plain(cell.source)]]
    own = [error for cell, _, _, error in trees if cell.exercise == name and error]
    parsed = [(cell, text, tree) for cell, text, tree, _ in trees if tree is not None]
    statements = [s for one in parsed for s in _statements(*one)]
    statements = _only_own(statements, name)
    needed = _needed(statements, name)
    bound = {n for _, _, tree in parsed for n in _stored(tree)}
    given = {n for s in needed for n in s.binds}
    defined = [s for s in needed if name in s.binds]
    fault = own[-1] if own and not defined else None
    return Pieces(
        name,
        "\n\n".join(s.text for s in needed) + "\n" if defined else "",
        stub=bool(defined) and _is_stub(defined[-1].node),
        notebook_names=frozenset(bound - given),
        fault=fault,
    )


def plain(source: str) -> str:
    """A cell's text as Python: magics, shell commands and questions become comments."""
    lines = source.split("\n")
    quiet = [_MAGIC.sub(r"\1pass  # \2", line) if _MAGIC.match(line) else line for line in lines]
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "\n".join(quiet)
    return source


def _parse(text: str) -> tuple[ast.Module | None, Fault | None]:
    try:
        return ast.parse(text), None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = (getattr(error, "text", "") or "").strip()
        return None, Fault("SyntaxError", getattr(error, "msg", None) or str(error), line)


def _statements(cell: SourceCell, text: str, tree: ast.Module) -> list[_Statement]:
    """The statements of a cell that may count, each with the names it binds and loads."""
    found = []
    for node in tree.body:
        if isinstance(node, _DEFINITIONS + _ASSIGNMENTS) and cell.role != LECTURE:
            found.append(node)
        elif not isinstance(node, _DEFINITIONS):
            # Imports count wherever they stand, `try: import torch` included.
            found += [inner for inner in ast.walk(node) if isinstance(inner, _IMPORTS)]
    return [_Statement(n, _text(text, n), cell, _binds(n), _loads(n)) for n in found]


def _text(text: str, node: ast.stmt) -> str:
    if getattr(node, "decorator_list", None):
        lines = text.split("\n")
        return "\n".join(lines[node.decorator_list[0].lineno - 1 : node.end_lineno])
    return ast.get_source_segment(text, node) or ast.unparse(node)


def _binds(node: ast.stmt) -> frozenset[str]:
    """The names a statement gives a value to, or changes: `a = 1`, `a[0] = 1`, `a.b = 1`."""
    if isinstance(node, _DEFINITIONS):
        return frozenset([node.name])
    if isinstance(node, _IMPORTS):
        return frozenset((a.asname or a.name).split(".")[0] for a in node.names)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return frozenset(n for target in targets for n in _roots(target))


def _roots(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Tuple | ast.List):
        return [name for part in target.elts for name in _roots(part)]
    while isinstance(target, ast.Subscript | ast.Attribute | ast.Starred):
        target = target.value
    return [target.id] if isinstance(target, ast.Name) else []


def _loads(node: ast.stmt) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def _only_own(statements: list[_Statement], name: str) -> list[_Statement]:
    """Without other cells' definitions of the function, where its own cell has a real one."""
    own = [s for s in statements if name in s.binds and s.cell.exercise == name]
    others = [s for s in statements if name in s.binds and s.cell.exercise != name]
    if own and not _is_stub(own[-1].node):
        return [s for s in statements if s not in others]
    written = [s for s in others if not _is_stub(s.node)]
    drop = own if written else []
    return [s for s in statements if s not in drop]


def _needed(statements: list[_Statement], name: str) -> list[_Statement]:
    """The statements that bind `name` and, again and again, what those load."""
    chosen, wanted = set(), {name, "*", "annotations"}
    while True:
        more = {i for i, s in enumerate(statements) if s.binds & wanted} - chosen
        if not more:
            break
        chosen |= more
        wanted |= {n for i in more for n in statements[i].loads}
    ordered = [statements[i] for i in sorted(chosen)]
    return sorted(ordered, key=lambda s: getattr(s.node, "module", "") != "__future__")


def _stored(tree: ast.Module) -> set[str]:
    """Every name the top level of a cell binds, inside `if`, `for` and `with` too."""
    names: set[str] = set()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, _DEFINITIONS + _IMPORTS):
            names |= _binds(node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda | ast.ListComp | ast.GeneratorExp):
            todo += ast.iter_child_nodes(node)
    return names


def _is_stub(node: ast.stmt) -> bool:
    """Whether a function's body is only its docstring, `pass`, `...` or the raise of the stub."""
    return isinstance(node, ast.FunctionDef) and all(_is_empty(part) for part in node.body)


def _is_empty(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return "NotImplementedError" in ast.unparse(node)
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass)


def notebook_cells(content: dict, exercises: Sequence[str], ids: set[str]) -> list[SourceCell]:
    """The code cells of a notebook file, each with its role.

    Args:
        content: the notebook as read from JSON; cells of another form are skipped.
        exercises: the ids of the lecture's exercises.
        ids: the ids of all cells of the lecture's notebook; other cells are the student's.
    """
    cells = []
    for cell in content.get("cells", []):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        source = "".join(source) if isinstance(source, list) else str(source)
        cells.append(classify(source, identity(cell), exercises, ids))
    return cells


def identity(cell: dict) -> str | None:
    """A cell's id: nbgrader's, which editors keep, else the cell's own."""
    metadata = cell.get("metadata")
    grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    found = grading.get("grade_id") if isinstance(grading, dict) else None
    return found if isinstance(found, str) else cell.get("id")


def classify(
    source: str, cell_id: str | None, exercises: Sequence[str], ids: set[str]
) -> SourceCell:
    """A cell's role from its id: an exercise, a cell of the lecture, or one the student added."""
    if cell_id in exercises:
        return SourceCell(source, EXERCISE, cell_id)
    ours = cell_id in ids or _LECTURE_ID.fullmatch(cell_id or "") is not None
    return SourceCell(source, LECTURE if ours else STUDENT)
