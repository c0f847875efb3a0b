"""Run the students' notebooks; one that ran and has not changed since is taken as it was kept."""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from course_utils.commands import lab
from course_utils.common import paths, positions, writing

CELL_SECONDS = 600
_NOT_READ = ("bench", "commands", "grading")  # rooms of course_utils that no notebook reads
_FORM = 1  # of what is kept; another number makes all that is kept be run again

# Runs before the first cell: notes which pictures of the course are read, and by which cell.
_LISTEN = """
def _listen(file):
    import json
    from course_utils import images
    read, running = images.read, []
    def reading(source, *given, **named):
        with open(file, "a", encoding="utf-8") as notes:
            notes.write(json.dumps([running[0], str(source)]) + "\\n")
        return read(source, *given, **named)
    def starting(info):
        running[:] = [info.raw_cell]
    get_ipython().events.register("pre_run_cell", starting)
    images.read = reading
_listen({file!r})
del _listen
"""


class LectureError(Exception):
    """A lecture did not run to its end; the message names it, and says where it stopped."""


def executed(name: str, fresh: bool = False) -> NotebookNode:
    """A lecture as students get it, with what it puts out when nothing is solved yet.

    Exercises stay unsolved, so that a page gives no solution away; the cells below them call the
    course's own functions, as they do for a student.

    Args:
        name: e.g. "06_saliency".
        fresh: run it even if it is kept.

    Returns:
        The notebook. A code cell's `metadata["course_reads"]` lists the pictures that it read, as
        paths below `data/`.

    Raises:
        LectureError: a cell failed, took too long, or the kernel died. Nothing is kept then.
    """
    path = paths.root() / "notebooks" / f"{name}.ipynb"
    kept = paths.state() / "html" / f"{name}-{_key(path)}.ipynb"
    if kept.is_file() and not fresh:
        return nbformat.read(kept, as_version=4)
    notebook = _run(path)
    for old in kept.parent.glob(f"{name}-*.ipynb"):
        old.unlink()
    writing.replace(kept, nbformat.writes(notebook))
    return notebook


def is_kept(name: str) -> bool:
    """Whether `executed` would not have to run anything."""
    path = paths.root() / "notebooks" / f"{name}.ipynb"
    return (paths.state() / "html" / f"{name}-{_key(path)}.ipynb").is_file()


def _key(notebook: Path) -> str:
    """Changes with the notebook, and with everything that it may read."""
    return hashlib.sha256(notebook.read_bytes() + _surroundings().encode()).hexdigest()[:16]


@cache
def _surroundings() -> str:
    """A hash of the course's code and data, and of the libraries that pictures depend on."""
    code, data, digest = paths.root() / "course_utils", paths.data(), hashlib.sha256()
    digest.update(str(_FORM).encode())
    for package in ("torch", "torchvision", "matplotlib", "ipywidgets"):
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    for folder, pattern in ((code, "*.py"), (data, "*")):
        for file in sorted(folder.rglob(pattern)):
            inside = file.relative_to(folder)
            if file.is_file() and not (folder == code and inside.parts[0] in _NOT_READ):
                digest.update(inside.as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def _run(path: Path) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="course-html-") as folder:
        notes = Path(folder) / "reads.jsonl"
        notes.touch()
        listen = nbformat.v4.new_code_cell(_LISTEN.format(file=str(notes)))
        notebook.cells.insert(0, listen)
        settings = Config(KernelManager={"transport_encryption": "auto"})  # as in `course lab`
        client = NotebookClient(
            notebook, timeout=CELL_SECONDS, kernel_name="python3", config=settings
        )
        os.environ.update(lab.environment())  # the course's kernel, whatever the user's are
        paths.state().mkdir(parents=True, exist_ok=True)
        try:
            client.execute(cwd=folder, env=os.environ | {positions.VARIABLE: "1"})
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise LectureError(f"{path.stem}: {_said(error)}") from None
        _note(notebook, notes.read_text(encoding="utf-8"))
    notebook.cells.pop(0)
    return notebook


def _said(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " / ".join([lines[0], lines[-1]] if len(lines) > 1 else lines) or type(error).__name__


def _note(notebook: NotebookNode, notes: str) -> None:
    """Writes into each cell's metadata which pictures of the course it read."""
    data, reads = paths.data().resolve(), {}
    for source, read in map(json.loads, notes.splitlines()):
        file = Path(read[-4096:])  # what was uploaded is bytes, and no path
        with suppress(OSError):
            if file.resolve().is_relative_to(data):
                reads.setdefault(source, {})[file.resolve().relative_to(data).as_posix()] = None
    for cell in notebook.cells:
        if cell.source in reads:
            cell.metadata["course_reads"] = list(reads[cell.source])
