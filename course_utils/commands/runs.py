"""A notebook is run once and kept, until its code or anything that it may read changes.

Pages and decks are made of what is kept. It lies in the course's state, a folder a purpose: figures
of a deck are drawn for a screen, explorers on pages tell all their positions.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.common import paths, writing

KEY, READS, TOLD = "course_key", "course_reads", "course_told"
"""Metadata: of a notebook its key, of a cell the pictures that it read, of a notebook what its run
found out beside outputs."""
_NOT_READ = ("bench", "commands", "grading")  # rooms of course_utils that no notebook reads
START_SECONDS = 300  # nbclient's 60 are too few on a machine that is busy
_FORM = 2  # of what is kept; another number makes all that is kept be run again


def place(notebook: Path, purpose: str) -> Path:
    """Where a notebook's run is kept: students' and solved ones apart.

    Args:
        notebook: the file.
        purpose: the folder of the course's state, e.g. "decks".
    """
    kind = "solved" if notebook.parent.name == "solutions" else "asked"
    return paths.state() / purpose / f"{notebook.stem}-{kind}.ipynb"


def key(nb: NotebookNode) -> str:
    """Changes with the code of a notebook, and with everything that it may read."""
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    return hashlib.sha256((json.dumps(code) + _surroundings()).encode()).hexdigest()


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


def kept(notebook: Path, purpose: str) -> NotebookNode | None:
    """The notebook as it is now, with the outputs of its kept run; None where there is none."""
    nb = nbformat.read(notebook, 4)
    try:
        run = nbformat.read(place(notebook, purpose), 4)
    except (OSError, ValueError):
        return None
    if run.metadata.get(KEY) != key(nb):
        return None
    nb.metadata[TOLD] = run.metadata.get(TOLD, {})
    code = (cell for cell in run.cells if cell.cell_type == "code")
    for cell in nb.cells:
        if cell.cell_type == "code":
            ran = next(code)
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
            cell.metadata |= {name: ran.metadata[name] for name in (READS,) if name in ran.metadata}
    return nb


def run(
    notebook: Path,
    purpose: str,
    variables: Mapping[str, str],
    first: str = "",
    finish: Callable[[NotebookNode], object] = lambda nb: None,
    **settings: object,
) -> NotebookNode:
    """Runs a notebook in an empty folder, keeps it and returns it; a bar counts its cells.

    Args:
        notebook: the file; it is not written to.
        purpose: as for `place`.
        variables: of the environment, for its kernel, the course's own whatever the user has.
        first: code that runs before the first cell.
        finish: is given the notebook that has run, to change it before it is kept.
        settings: for `nbclient.NotebookClient`.

    Raises:
        nbclient's errors, and RuntimeError if the kernel does not start; nothing is kept then.
    """
    from nbclient import NotebookClient
    from tqdm import tqdm
    from traitlets.config import Config

    from course_utils.commands import lab

    nb = nbformat.read(notebook, 4)
    now = key(nb)
    nb.cells.insert(0, nbformat.v4.new_code_cell(first))
    config = Config(KernelManager={"transport_encryption": "auto"})  # as in `course lab`
    settings |= {"config": config, "startup_timeout": START_SECONDS}
    client = NotebookClient(nb, kernel_name="python3", **settings)
    bar = tqdm(total=len(nb.cells), unit="cell", desc=notebook.stem, leave=False, disable=None)
    client.on_cell_start = lambda cell, cell_index: bar.update(cell_index - bar.n)
    with bar, _environment(lab.environment() | dict(variables)), _folder() as folder:
        client.execute(cwd=folder)
    nb.cells.pop(0)
    finish(nb)
    nb.metadata[KEY] = now
    writing.replace(place(notebook, purpose), nbformat.writes(nb))
    return kept(notebook, purpose) or nb


@contextmanager
def _folder() -> Iterator[str]:
    """An empty folder for a kernel; the course's state is there, too."""
    paths.state().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="course-run-") as folder:
        yield folder


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """The environment with these variables, for the kernel that is started inside."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
