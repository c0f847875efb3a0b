"""A submitted notebook as data: which lecture it is, and its code cells. Nothing of it is run."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from course_utils.checking import core, sources
from course_utils.common import paths

LARGEST = 20 << 20
"""Bytes of the largest notebook that is read; with its pictures, lecture 06 has under 3 MB."""
_CELLS, _CODE = 2_000, 2_000_000  # cells, and characters of code, of the largest notebook


class SubmissionError(ValueError):
    """A notebook that cannot be graded; says why, to the student."""


@dataclass(frozen=True)
class Submission:
    """What is graded of a notebook.

    Attributes:
        name: the file's name.
        lecture: e.g. "06_saliency".
        cells: its code cells in order, each with its role.
        sha256: of the file, in hexadecimal.
    """

    name: str
    lecture: str
    cells: tuple[sources.SourceCell, ...]
    sha256: str


def read(path: Path, lecture: str = "") -> Submission:
    """A notebook's code cells; our ids in the metadata decide which cell is which exercise.

    Args:
        path: a .ipynb file of nbformat 4, or of 3, which is converted.
        lecture: the lecture it is for; by default what the notebook or its file name says.

    Raises:
        SubmissionError: missing, too large, truncated, not a notebook, or of no lecture known here.
    """
    return parse(content(path), path.name, lecture)


def parse(data: bytes, name: str, lecture: str = "") -> Submission:
    """As `read`, of a file's content and its name.

    Raises:
        SubmissionError: as `read`.
    """
    notebook = _notebook(data)
    cells = _code_cells(notebook)
    found = lecture or _lecture(notebook, name, cells)
    names = [e.name for e in core.all_(found)]
    if not names:
        raise SubmissionError(f"lecture {found!r} has no exercises")
    kept = sources.notebook_cells({"cells": cells}, names, lecture_ids(found))
    return Submission(name, found, tuple(kept), hashlib.sha256(data).hexdigest())


def content(path: Path) -> bytes:
    """A regular file's bytes; a pipe or a device would make the grader wait for ever.

    Raises:
        SubmissionError: it cannot be read, or it is too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise SubmissionError("it is not a file")
            return not_too_large(file.read(LARGEST + 1))
    except OSError as error:
        raise SubmissionError(f"it cannot be read: {error.strerror}") from None


def not_too_large(found: bytes) -> bytes:
    """The same bytes. SubmissionError if they are more than a notebook may have."""
    if len(found) > LARGEST:
        raise SubmissionError(
            f"it is larger than {LARGEST >> 20} MB. Clear the outputs (Edit, Clear Outputs of All "
            "Cells) and submit it again"
        )
    return found


def _notebook(content: bytes) -> dict:
    if not content.strip():
        raise SubmissionError("the file is empty")
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise SubmissionError(
            "it is no notebook: the file is damaged or cut off. Open it in JupyterLab, save it, "
            "and submit it again"
        ) from None
    if not isinstance(found, dict):
        raise SubmissionError("it is JSON, but no notebook")
    version = found.get("nbformat")
    if version not in (3, 4):
        raise SubmissionError(f"its nbformat is {str(version)[:20]}; accepted: 4, or 3")
    return found


def _code_cells(notebook: dict) -> list[dict]:
    """The code cells of nbformat 4, whatever else a cell holds being left aside."""
    cells = notebook.get("cells")
    if notebook["nbformat"] == 3:  # cells lay in worksheets, their text in `input`
        sheets = notebook.get("worksheets") or []
        sheets = [s for s in sheets if isinstance(s, dict)] if isinstance(sheets, list) else []
        cells = [c for s in sheets for c in _listed(s.get("cells"))]
        cells = [c | {"source": c.get("input", "")} for c in cells if isinstance(c, dict)]
    if not isinstance(cells, list):
        raise SubmissionError("it has no cells")
    code = [c for c in cells if isinstance(c, dict) and c.get("cell_type") == "code"]
    size = sum(len(_source(c)) for c in code)
    if len(code) > _CELLS or size > _CODE:
        raise SubmissionError(
            f"it has {len(code):,} code cells of {size:,} characters; accepted: {_CELLS:,} of "
            f"{_CODE:,}"
        )
    return [
        {
            "cell_type": "code",
            "metadata": c.get("metadata"),
            "id": c["id"] if isinstance(c.get("id"), str) else None,
            "source": _source(c),
        }
        for c in code
    ]


def _source(cell: dict) -> str:
    source = cell.get("source", "")
    parts = source if isinstance(source, list) else [source]
    return "".join(part for part in parts if isinstance(part, str))


def _listed(value: object) -> list:
    return value if isinstance(value, list) else []


def _lecture(notebook: dict, name: str, cells: Iterable[dict]) -> str:
    """What the notebook says, else what its file name says, else whose exercises it holds."""
    known = {e.lecture for e in core.all_()}
    metadata = notebook.get("metadata")
    course = metadata.get("course") if isinstance(metadata, dict) else None
    said = course.get("lecture") if isinstance(course, dict) else None
    if isinstance(said, str) and said in known:
        return said
    named = [lecture for lecture in sorted(known) if lecture in name]
    ids = {sources.identity(cell) for cell in cells}
    held = {e.lecture for e in core.all_() if e.name in ids}
    for candidates in (named, sorted(held)):
        if len(candidates) == 1:
            return candidates[0]
    raise SubmissionError(
        "it does not say which lecture it is: neither its metadata, nor its name (such as "
        f"{sorted(known)[-1]}.ipynb), nor an exercise cell. --lecture can say it"
    )


def lecture_ids(lecture: str) -> set[str]:
    """The ids of the cells that the lecture's own notebook has; other cells are the student's."""
    path = paths.root() / "notebooks" / f"{lecture}.ipynb"
    if not re.fullmatch(r"\w+", lecture) or not path.is_file():
        return set()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {found for cell in cells if (found := sources.identity(cell))}
