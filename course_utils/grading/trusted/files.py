"""The files of a grading: written whole or not at all, under names that every file system takes."""

import hashlib
import os
import re
import tempfile
from pathlib import Path


def store(target: Path, text: str) -> Path:
    """Writes a text file, for its owner alone: there is the old file or the new one, never half.

    Lone surrogates, which JSON texts may hold, become the escapes that JSON has for them.

    Returns:
        The file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, 0o600)  # a student's marks
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def safe_name(text: str) -> str:
    """A name without folders, for any file system."""
    safe = re.sub(r"[^\w.@+-]+", "_", text).strip(".")
    return safe[:100] or "unnamed"


def mark(text: str, length: int = 6) -> str:
    """A few characters that stand for a text, to tell apart what would have one name."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
