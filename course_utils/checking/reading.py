"""A notebook file as data: which lecture it is, and its cells. Nothing of it is parsed or run.

The student's commands and the grader read a file by this module, so that both see the same cells.
"""

import json
import re
from collections.abc import Sequence
from functools import cache

from course_utils.checking import core, sources
from course_utils.common import paths


class ReadingError(ValueError):
    """Not a notebook, or of no lecture known here; says why, to the student."""


class NoLectureError(ReadingError):
    """A notebook, but of no lecture."""


def parse(data: bytes) -> dict:
    """A notebook's structure.

    Raises:
        ReadingError: it is none.
    """
    if not data.strip():
        raise ReadingError("the file is empty")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ReadingError(
            "it is no notebook: the file is damaged or cut off. Open it in JupyterLab, save it, "
            "and submit it again"
        ) from None
    if not isinstance(found, dict):
        raise ReadingError("it is JSON, but no notebook")
    version = found.get("nbformat")
    if version not in (3, 4):
        raise ReadingError(f"its nbformat is {str(version)[:20]}; accepted: 4, or 3")
    if not isinstance(_listing(found), list):
        raise ReadingError("it has no cells")
    return found


def _listing(notebook: dict) -> object:
    """The cells of nbformat 4; in 3 they lay in worksheets, their text in `input`."""
    if notebook["nbformat"] == 4:
        return notebook.get("cells")
    sheets = notebook.get("worksheets")
    sheets = [s for s in sheets if isinstance(s, dict)] if isinstance(sheets, list) else []
    lists = [s["cells"] for s in sheets if isinstance(s.get("cells"), list)]
    found = [c for cells in lists for c in cells if isinstance(c, dict)]
    return [c | {"source": c.get("input") or c.get("source", "")} for c in found]


def raw_cells(notebook: dict) -> list[dict]:
    """The cells that may hold an answer: code, and text in which a function stands.

    Args:
        notebook: from `parse`.

    Returns:
        For each its `cell_type`, `metadata`, `id` and `source`, whatever else it holds.
    """
    kept = []
    for cell in _listing(notebook):
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        if kind not in ("code", "markdown", "raw"):
            continue
        source = sources.text_of(cell)
        if kind == "code" or "def " in source:
            kept.append({key: cell.get(key) for key in ("cell_type", "metadata", "id")})
            kept[-1]["source"] = source
    return kept


def lecture(notebook: dict, name: str, cells: Sequence[dict]) -> str:
    """Which lecture a notebook is: what it says, else its file's name, else what is in it.

    Args:
        notebook: from `parse`.
        name: the file's name.
        cells: from `raw_cells`.

    Raises:
        NoLectureError: nothing says it.
    """
    known = {e.lecture for e in core.all_()}
    metadata = notebook.get("metadata")
    course = metadata.get("course") if isinstance(metadata, dict) else None
    said = course.get("lecture") if isinstance(course, dict) else None
    if isinstance(said, str) and said in known:
        return said
    named = [one for one in sorted(known) if one in name]
    ids = {sources.identity(cell) for cell in cells}
    held = {e.lecture for e in core.all_() if e.name in ids}
    for candidates in (named, sorted(held), _by_text(cells)):
        if len(candidates) == 1:
            return candidates[0]
    raise NoLectureError(
        "it does not say which lecture it is: neither its metadata, nor its name (such as "
        f"{sorted(known)[-1]}.ipynb), nor an exercise cell. Give the file the lecture's name"
    )


def _by_text(cells: Sequence[dict]) -> list[str]:
    """The lectures of which most exercises are checked or defined in a notebook."""
    text = "\n".join(cell["source"] for cell in cells)
    found = set(re.findall(r"\bcheck\(\s*[\"'](\w+)[\"']", text))
    found |= set(re.findall(r"^\s*def (\w+)\(", text, re.MULTILINE))
    counts: dict[str, int] = {}
    for exercise in core.all_():
        if exercise.name in found:
            counts[exercise.lecture] = counts.get(exercise.lecture, 0) + 1
    most = max(counts.values(), default=0)
    return [one for one, number in counts.items() if number == most]


@cache
def lecture_cells(name: str) -> dict[str, str]:
    """Id -> text of the code cells of a lecture's notebook; empty where there is none."""
    path = paths.root() / "notebooks" / f"{name}.ipynb"
    if not re.fullmatch(r"\w+", name) or not path.is_file():
        return {}
    found = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    return {str(sources.identity(c)): sources.text_of(c) for c in found}


def cells(found: Sequence[dict], name: str) -> list[sources.SourceCell]:
    """The cells of `raw_cells`, each with its role in a lecture."""
    exercises = [e.name for e in core.all_(name)]
    return sources.notebook_cells({"cells": list(found)}, exercises, set(lecture_cells(name)))


def assembled(cells: Sequence[sources.SourceCell], exercise: core.Exercise) -> sources.Pieces:
    """The code of an exercise, from a notebook's cells and what its lecture's own cells are."""
    own = lecture_cells(exercise.lecture).values()
    return sources.assemble(cells, exercise.name, own)
