"""A student's own notebooks in `work/`: copied there once, never replaced, never touched."""

import errno
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

# Systems without hard links (FAT sticks, some network folders) answer with one of these.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


class WorkError(Exception):
    """The student's folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Change:
    """One thing `sync` did or found: "new", "newer" (put beside) or "unreadable" (left alone)."""

    kind: str
    path: Path
    message: str


def version(notebook: Path) -> str | None:
    """The course version a notebook was made from, or None where its metadata do not say.

    Raises:
        ValueError: if the file is not a notebook that can be read.
    """
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        if not isinstance(content["cells"], list):
            raise TypeError("cells is not a list")
        found = content.get("metadata", {}).get("course", {}).get("version")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{notebook.name} cannot be read as a notebook: {error}") from error
    return None if found is None else str(found)


def sync(notebooks: Path, work: Path) -> list[Change]:
    """Give the student every notebook that is missing in `work`, and replace none.

    Where the course has another version than the student's copy was made from, it is put beside
    the copy, once, as `06_saliency.v<version>.ipynb`.

    Args:
        notebooks: the folder of the course's notebooks.
        work: the student's folder; made if it does not exist.

    Returns:
        What was done or found, in the notebooks' order; empty if there was nothing to do.

    Raises:
        WorkError: if there are no notebooks, or `work` cannot be written to.
    """
    sources = sorted(notebooks.glob("*.ipynb"))
    if not sources:
        raise WorkError(f"no notebooks in {notebooks}: make them with `course build`")
    try:
        work.mkdir(parents=True, exist_ok=True)
        changes = [_one(source, work) for source in sources]
    except OSError as error:
        raise WorkError(
            f"cannot write to your folder {work}: {error.strerror or error}. Check that it is a "
            "folder of yours with room on its disk, or set COURSE_WORK to another one."
        ) from error
    return [change for change in changes if change is not None]


def _one(source: Path, work: Path) -> Change | None:
    """Bring one notebook to `work`; None if it is there already."""
    target = work / source.name
    if _copy(source, target):
        return Change("new", target, f"{target.name} is new in {work.name}/")
    newest = version(source)
    try:
        made_from = version(target)
    except ValueError as error:
        said = f"{error}. It is left as it is; rename or delete it to get a fresh copy."
        return Change("unreadable", target, said)
    beside = work / f"{source.stem}.v{newest}.ipynb"
    if newest in (None, made_from) or not _copy(source, beside):
        return None
    said = f"the course has a newer {target.name}; yours is kept, the new one is {beside.name}"
    return Change("newer", beside, said)


def _copy(source: Path, target: Path) -> bool:
    """Copy a file to a name that is not taken; False if it is. Never leaves half a file.

    A name counts as taken if anything is there, a broken link included.
    """
    if os.path.lexists(target):
        return False
    content = source.read_bytes()
    temporary = target.with_name(f".{target.stem}-{secrets.token_hex(6)}.tmp")
    try:
        _write_new(temporary, content)
        return _claim(temporary, target, content)
    finally:
        temporary.unlink(missing_ok=True)


def _claim(temporary: Path, target: Path, content: bytes) -> bool:
    """Give a finished file its name unless somebody else has taken it meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _write_new(target, content)
    return True


def _write_new(target: Path, content: bytes) -> bool:
    """Write a file that must not exist yet, where hard links do not."""
    try:
        file = open(target, "xb")  # noqa: SIM115
    except FileExistsError:
        return False
    try:
        with file:
            file.write(content)
    except BaseException:
        target.unlink()
        raise
    return True
