"""From one source to two notebooks: `lectures/*.py` become `notebooks/` and `solutions/`.

A lecture is written once, in jupytext's percent format. Options stand on a cell's marker line:

    # %% exercise="saliency_map"    a function of that name with ### BEGIN SOLUTION / END SOLUTION
    # %% check="saliency_map"       the cell right after it, which calls `check`
    # %% slide="subslide"           slide, subslide, fragment, skip, notes or -
    # %% tags=["raises-exception"]  tags of the cell

Code that draws a figure, and code that only tests a claim, opens folded: `folding` parts it from
what is computed.

`notebooks/` is what students get: solutions cleared as `nbgrader generate_assignment` does it.
`solutions/` keeps solutions and markers. The same sources give the same bytes on every system.
"""

import ast
import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from course_utils.commands import folding, onward
from course_utils.common import paths

SLIDES = ("slide", "subslide", "fragment", "skip", "notes", "-")
OPTIONS = ("exercise", "check", "slide", "tags")
OUTPUTS = ("notebooks", "solutions")
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")  # nbgrader's own words

_NAME = re.compile(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*")
_MARKER = re.compile(r"# %%(\s|$)")
_BEGIN, _END = "BEGIN SOLUTION", "END SOLUTION"
_KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


class BuildError(ValueError):
    """A lecture that cannot be built; the message starts with the file and the line."""


@dataclass
class Cell:
    """One cell of a lecture: its text, its options, and where it stands in the source."""

    kind: str  # "markdown" or "code"
    source: str
    options: dict
    path: Path
    line: int  # of the marker, from 1

    @property
    def exercise(self) -> str | None:
        return self.options.get("exercise")

    @property
    def check(self) -> str | None:
        return self.options.get("check")

    def error(self, message: str, offset: int = 0) -> BuildError:
        """An error at this cell's marker line, or `offset` lines below it."""
        return BuildError(f"lectures/{self.path.name}:{self.line + offset}: {message}")


def build(check: bool = False, root: Path | None = None) -> list[str]:
    """Write every lecture's notebooks and the pages of all, or only say what is not up to date.

    Args:
        check: write nothing; the caller fails if the list is not empty.
        root: the folder with lectures/, notebooks/ and solutions/; the course's own by default.

    Returns:
        The notebooks written or removed (with `check`: that differ, are missing, or have no
        lecture), e.g. `["notebooks/06_saliency.ipynb"]`, sorted. A notebook without a lecture is
        removed only if this module wrote it under that name; others are left to their owner.

    Raises:
        BuildError: a mistake in a lecture, with file and line. Nothing is written then.
    """
    root = paths.root() if root is None else Path(root)
    wanted = _texts(root / "lectures")
    there = {f"{d}/{f.name}" for d in OUTPUTS for f in (root / d).glob("*.ipynb")}
    changed = [name for name, text in wanted.items() if _text(root / name) != text]
    stale = sorted(there - set(wanted))
    if check:
        return sorted(changed + stale)
    for name in changed:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(wanted[name], encoding="utf-8", newline="\n")
    removed = [name for name in stale if _is_ours(root / name)]
    for name in removed:
        (root / name).unlink()
    return sorted(changed + removed)


def _texts(lectures: Path) -> dict[str, str]:
    """Name below the root -> text of every notebook and page that the lectures give."""
    texts, homes, whole = {}, {}, {}
    sources = sorted(lectures.glob("*.py"))
    firsts = onward.first_texts(sources)
    for path in sources:
        cells = read(path)
        whole[path.stem] = list(cells)
        if way_on := onward.way_on(path.stem, firsts):
            cells.append(Cell("markdown", way_on, {"slide": "skip"}, path, cells[-1].line))
        for cell in cells:
            if cell.exercise in homes:
                raise cell.error(
                    f"exercise {cell.exercise!r} exists already in {homes[cell.exercise]}; "
                    "an id names one exercise of the whole course"
                )
        homes |= {c.exercise: f"lectures/{path.name}:{c.line}" for c in cells if c.exercise}
        for folder, cleared in (("notebooks", True), ("solutions", False)):
            texts[f"{folder}/{path.stem}.ipynb"] = dumps(notebook(cells, path.stem, cleared))
    return texts | onward.pages(whole)


def _text(path: Path) -> str | None:
    """A file's text with any line ending read as a newline (git may check out CRLF)."""
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _is_ours(path: Path) -> bool:
    """Whether `build` wrote this notebook under this name (a copy by hand keeps the old name)."""
    try:
        return json.loads(_text(path))["metadata"]["course"]["lecture"] == path.stem
    except (ValueError, KeyError, TypeError):
        return False


def read(path: Path) -> list[Cell]:
    """The cells of a lecture source, every rule of the format checked.

    Raises:
        BuildError: with file and line; see the module's docstring for the format.
    """
    if not _NAME.fullmatch(path.stem):
        raise BuildError(f"lectures/{path.name}:1: name is not NN_name.py, e.g. 06_saliency.py")
    text = path.read_text(encoding="utf-8")
    cells = _cells(text, path)
    _check_magics(cells, text)
    for number, cell in enumerate(cells):
        _check_options(cell)
        _check_solution(cell)
        _check_neighbours(cells, number)
    _check_unique(cells)
    return cells


def _cells(text: str, path: Path) -> list[Cell]:
    """What jupytext reads, each cell with the line of its marker."""
    markers = [i for i, line in enumerate(text.splitlines(), 1) if _MARKER.match(line)]
    first = markers[0] if markers else 1
    for line in markers:
        _check_tags(text.splitlines()[line - 1], f"lectures/{path.name}:{line}")
    found = jupytext.reads(text, fmt="py:percent").cells
    if len(found) != len(markers):
        raise BuildError(
            f"lectures/{path.name}:{first}: {len(markers)} marker lines but {len(found)} cells; "
            "everything belongs below a `# %%` line, and none may stand inside a string"
        )
    ignored = {"lines_to_next_cell", "lines_to_end_of_cell_marker"}  # jupytext's notes on layout
    return [
        Cell(
            kind=cell.cell_type,
            source=cell.source,
            options={k: v for k, v in cell.metadata.items() if k not in ignored},
            path=path,
            line=line,
        )
        for cell, line in zip(found, markers, strict=True)
    ]


def _check_tags(marker: str, place: str) -> None:
    """Refuse tags that jupytext, and so JupyterLab, could not open."""
    if "tags=" in marker and not re.search(r'tags=\[("[^"]*"(, ?)?)*\]', marker):
        raise BuildError(f'{place}: tags are written as tags=["one", "two"], got {marker!r}')


def _check_options(cell: Cell) -> None:
    if cell.kind not in ("markdown", "code"):
        raise cell.error(f"a cell is markdown or code, got {cell.kind!r}")
    for name in cell.options:
        if name not in OPTIONS:
            raise cell.error(f"unknown option {name!r}; accepted: {', '.join(OPTIONS)}")
    slide = cell.options.get("slide")
    if slide is not None and slide not in SLIDES:
        raise cell.error(f"slide={slide!r} is not one of {', '.join(SLIDES)}")
    for name in ("exercise", "check"):
        value = cell.options.get(name, "name")
        if not isinstance(value, str) or not value.isidentifier() or len(value) > 58:
            raise cell.error(f"{name}={value!r} is not a function's name (at most 58 characters)")
        if name in cell.options and cell.kind != "code":
            raise cell.error(f"{name} belongs on a code cell, not on {cell.kind}")


def _check_magics(cells: list[Cell], text: str) -> None:
    """Refuse comments that jupytext turns into shell commands, such as `# cat and dog`."""
    verbatim = {"extension": ".py", "format_name": "percent", "comment_magics": False}
    for cell, kept in zip(cells, jupytext.reads(text, fmt=verbatim).cells, strict=True):
        pairs = zip(cell.source.split("\n"), kept.source.split("\n"), strict=True)
        for offset, (line, comment) in enumerate(pairs, 1):
            if line != comment and not line.lstrip().startswith(("%", "!")):
                raise cell.error(
                    f"the comment `{comment.strip()}` would become code, because jupytext takes "
                    "it for a shell command; begin it with another word",
                    offset,
                )


def _check_solution(cell: Cell) -> None:
    """Markers pair up, stand in exercises only, and the function has the exercise's name."""
    opened, pairs = None, 0
    for offset, line in enumerate(cell.source.split("\n"), 1):
        if _BEGIN not in line and _END not in line:
            continue
        if not cell.exercise:
            raise cell.error("a solution marker outside an exercise cell", offset)
        if line.strip() not in (f"### {_BEGIN}", f"### {_END}"):
            raise cell.error(f"a marker is `### {_BEGIN}` or `### {_END}`, alone", offset)
        if (_BEGIN in line) == (opened is not None):
            said = "BEGIN inside BEGIN" if opened else "END without BEGIN"
            raise cell.error(f"solution markers do not pair up: {said}", offset)
        pairs += _BEGIN in line
        opened = offset if _BEGIN in line else None
    if opened is not None:
        raise cell.error("`### BEGIN SOLUTION` has no `### END SOLUTION`", opened)
    if cell.exercise:
        _check_function(cell, pairs)


def _check_function(cell: Cell, pairs: int) -> None:
    if not pairs:
        raise cell.error(f"exercise {cell.exercise!r} has no `### BEGIN SOLUTION`")
    for what, source in (("solved", cell.source), ("cleared", clear(cell.source))):
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise cell.error(f"the {what} exercise is not valid Python: {error.msg}") from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if cell.exercise not in names:
        raise cell.error(
            f"exercise {cell.exercise!r} must define a function of that name, "
            f"found {', '.join(names) or 'none'}"
        )


def _check_neighbours(cells: list[Cell], number: int) -> None:
    cell = cells[number]
    after = cells[number + 1] if number + 1 < len(cells) else None
    before = cells[number - 1] if number else None
    if cell.exercise and (after is None or after.check != cell.exercise):
        raise cell.error(
            f'exercise {cell.exercise!r} must be followed at once by `# %% check="{cell.exercise}"`'
        )
    if cell.check and (before is None or before.exercise != cell.check):
        raise cell.error(f"check {cell.check!r} must stand right after its exercise cell")


def _check_unique(cells: list[Cell]) -> None:
    first: dict[str, int] = {}
    for cell in cells:
        if cell.exercise in first:
            raise cell.error(
                f"exercise {cell.exercise!r} exists already in line {first[cell.exercise]}"
            )
        if cell.exercise:
            first[cell.exercise] = cell.line


def clear(source: str) -> str:
    """An exercise with its solution replaced by the stub, as nbgrader's ClearSolutions does it.

    Args:
        source: a cell whose markers pair up.

    Returns:
        The source in which every solution region is the stub, at the BEGIN line's indentation.
    """
    lines, inside = [], False
    for line in source.split("\n"):
        if _BEGIN in line:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + stub for stub in STUB]
            inside = True
        elif _END in line:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def notebook(cells: list[Cell], lecture: str, cleared: bool) -> NotebookNode:
    """The notebook of a lecture, without outputs.

    Args:
        cells: what `read` gives.
        lecture: the name, e.g. "06_saliency".
        cleared: students' version (solutions replaced by the stub) instead of the complete one.

    Returns:
        A valid nbformat 4.5 notebook. `metadata["course"]["version"]` changes with its cells.
    """
    taken: dict[str, int] = {}
    parted = [piece for cell in cells for piece in _pieces(cell)]
    made = [_cell(*piece, lecture, cleared, taken) for piece in parted]
    content = json.dumps(made, sort_keys=True, ensure_ascii=False)
    version = hashlib.sha1(content.encode()).hexdigest()[:12]
    metadata = {
        "kernelspec": _KERNEL,
        "language_info": {"name": "python"},
        "course": {"lecture": lecture, "version": version},
    }
    whole = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(whole)
    return nbformat.from_dict(whole)


def _pieces(cell: Cell) -> list[tuple[Cell, bool]]:
    """The cells that a cell becomes, each with whether it opens folded: see `folding`."""
    if cell.kind != "code" or cell.exercise or cell.check:
        return [(cell, False)]
    found = folding.pieces(cell.source)
    return [
        (replace(cell, source=source, options=cell.options | {"before": i + 1 < len(found)}), fold)
        for i, (source, fold) in enumerate(found)
    ]


def _cell(cell: Cell, folded: bool, lecture: str, cleared: bool, taken: dict[str, int]) -> dict:
    """One notebook cell; `taken` counts the ids given so far."""
    metadata = {"slideshow": {"slide_type": _slide(cell)}}
    if folded:
        metadata["jupyter"] = {"source_hidden": True}
    if cell.options.get("before"):
        metadata["course"] = {"before": "a figure"}
    if cell.options.get("tags"):
        metadata["tags"] = cell.options["tags"]
    if cell.exercise or cell.check:
        metadata["nbgrader"] = _nbgrader(cell)
    made = {
        "cell_type": cell.kind,
        "id": _identity(cell, lecture, taken),
        "metadata": metadata,
        "source": clear(cell.source) if cleared and cell.exercise else cell.source,
    }
    return made | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {})


def _slide(cell: Cell) -> str:
    """The slide type asked for, else what fits a screen.

    `#` and `##` begin a slide; `###`, an exercise and a cell that draws a figure a subslide.
    """
    if "slide" in cell.options:
        return cell.options["slide"]
    if cell.kind == "markdown":
        found = re.match(r"(#+) ", cell.source)
        return {1: "slide", 2: "slide", 3: "subslide"}.get(len(found[1]) if found else 0, "-")
    draws = re.search(r"^(show\.(?!table)|widgets\.)", cell.source, re.MULTILINE)
    return "subslide" if cell.exercise or draws else "-"


def _identity(cell: Cell, lecture: str, taken: dict[str, int]) -> str:
    """A cell id that stays when other cells change: the exercise, or the hash of the text."""
    if cell.exercise or cell.check:
        return cell.exercise or f"{cell.check}-check"
    name = f"{lecture[:2]}-{hashlib.sha1(cell.source.encode()).hexdigest()[:8]}"
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else f"{name}-{taken[name]}"


def _nbgrader(cell: Cell) -> dict:
    """nbgrader's metadata: the exercise is a solution cell, its check a locked test cell."""
    if cell.exercise:
        return _flags(cell.exercise, grade=False)
    try:
        points = _points(cell.check)
    except (KeyError, ValueError) as error:
        raise cell.error(f"no points for exercise {cell.check!r}: {error}") from error
    return _flags(f"{cell.check}-check", grade=True) | {"points": points}


def _flags(grade_id: str, grade: bool) -> dict:
    kind = {"grade": grade, "solution": not grade, "locked": grade, "task": False}
    return {"grade_id": grade_id, "schema_version": 3} | kind


def _points(name: str) -> int:
    """The exercise's points in the registry; 1 while the course has no registry."""
    if importlib.util.find_spec("course_utils.exercises") is None:
        return 1
    from course_utils import exercises

    return exercises.points(name)


def dumps(nb: NotebookNode) -> str:
    """The notebook as text: JSON with sorted keys, one line per line of source, one at the end."""
    return nbformat.writes(nb, version=nbformat.NO_CONVERT) + "\n"
