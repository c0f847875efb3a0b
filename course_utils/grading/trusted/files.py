"""The files of a grading: written whole or not at all, under names that every file system takes."""

import hashlib
import re
from pathlib import Path

from course_utils.common import writing


def store(target: Path, text: str) -> Path:
    """Writes a text file for its owner alone, as `writing.replace`: a student's marks."""
    return writing.replace(target, text, private=True)


LONGEST = 100
"""Bytes of a safe name. Some file systems take 143 of a name, and marks and endings are added."""


def safe_name(text: str) -> str:
    """A name without folders, for any file system: at most `LONGEST` bytes in UTF-8."""
    safe = re.sub(r"[^\w.@+-]+", "_", text).strip(".")
    cut = safe.encode("utf-8")[:LONGEST].decode("utf-8", "ignore").rstrip(".")
    return cut or "unnamed"


def mark(text: str, length: int = 6) -> str:
    """A few characters that stand for a text, to tell apart what would have one name."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
