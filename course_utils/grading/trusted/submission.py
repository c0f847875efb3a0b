"""A submitted notebook as data: which lecture it is, and its code cells. Nothing of it is run."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from course_utils.checking import core, reading, sources

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
        cells: its cells that may hold an answer, in order, each with its role.
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
    try:
        notebook = reading.parse(data)
        cells = _cells(notebook)
        found = lecture or reading.lecture(notebook, name, cells)
    except reading.ReadingError as error:
        raise SubmissionError(str(error)) from None
    if not core.all_(found):
        raise SubmissionError(f"lecture {found!r} has no exercises")
    kept = reading.cells(cells, found)
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


def _cells(notebook: dict) -> list[dict]:
    """The cells that may hold an answer, if they are not too many."""
    found = reading.raw_cells(notebook)
    size = sum(len(cell["source"]) for cell in found)
    if len(found) > _CELLS or size > _CODE:
        raise SubmissionError(
            f"it has {len(found):,} code cells of {size:,} characters; accepted: {_CELLS:,} of "
            f"{_CODE:,}"
        )
    return found
