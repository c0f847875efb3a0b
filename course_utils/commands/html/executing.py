"""Run the students' notebooks for pages; what ran and has not changed is taken as it was kept."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

from course_utils.commands import runs
from course_utils.common import paths, positions

CELL_SECONDS = 600
PURPOSE = "html"

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
        LectureError: a cell failed or took too long, or the kernel died or did not start; nothing
            is kept then.
    """
    path = _path(name)
    kept = None if fresh else runs.kept(path, PURPOSE)
    return _run(path) if kept is None else kept


def is_kept(name: str) -> bool:
    """Whether `executed` would not have to run anything."""
    return runs.kept(_path(name), PURPOSE) is not None


def _path(name: str) -> Path:
    return paths.root() / "notebooks" / f"{name}.ipynb"


def _run(path: Path) -> NotebookNode:
    with tempfile.TemporaryDirectory(prefix="course-html-") as folder:
        notes = Path(folder) / "reads.jsonl"
        notes.touch()
        try:
            return runs.run(
                path,
                PURPOSE,
                {positions.VARIABLE: "1"},
                first=_LISTEN.format(file=str(notes)),
                finish=lambda nb: _note(nb, notes.read_text(encoding="utf-8")),
                timeout=CELL_SECONDS,
            )
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
            raise LectureError(f"{path.stem}: {_said(error)}") from None


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
            cell.metadata[runs.READS] = list(reads[cell.source])
