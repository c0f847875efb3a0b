"""Outputs of a lecture that has been run once, stored outside the project: a deck opens with them.

They lie in `decks/` of the course's state, one notebook a lecture and kind, and belong to the code
of its cells: where a cell has changed, they are not used.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.commands.saving import WIDGET
from course_utils.common import paths, projection, writing


def place(notebook: Path) -> Path:
    """Where a notebook's outputs are stored: students' and solved ones apart."""
    kind = "solved" if notebook.parent.name == "solutions" else "asked"
    return paths.state() / "decks" / f"{notebook.stem}-{kind}.ipynb"


def key(nb: NotebookNode) -> str:
    """Changes with the code of a notebook."""
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    return hashlib.sha1(json.dumps(code).encode()).hexdigest()


def stored(notebook: Path) -> NotebookNode | None:
    """The notebook with its stored outputs; None where there are none for this code."""
    nb, path = nbformat.read(notebook, 4), place(notebook)
    try:
        run = nbformat.read(path, 4)
    except (OSError, ValueError):
        return None
    if key(nb) != key(run):
        return None
    code = (cell for cell in run.cells if cell.cell_type == "code")
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = next(code).outputs
    return nb


def make(notebook: Path, folder: Path) -> NotebookNode:
    """Runs a notebook as on slides, stores its outputs and returns it with them.

    Args:
        notebook: the file; it is not written to.
        folder: where its kernel runs.

    Raises:
        RuntimeError: the kernel died.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError
    from tqdm import tqdm

    from course_utils.commands import lab

    nb = nbformat.read(notebook, 4)
    resources = {"metadata": {"path": str(folder)}}
    with tqdm(total=len(nb.cells), unit="cell", desc=notebook.stem, leave=False) as bar:
        client = NotebookClient(nb, timeout=None, allow_errors=True, resources=resources)
        client.on_cell_start = lambda cell, cell_index: bar.update(cell_index - bar.n)
        try:
            with _variables(lab.environment() | {projection.VARIABLE: "slides"}):
                client.execute()
        except DeadKernelError as error:
            raise RuntimeError(f"{notebook.stem}: the kernel died while it ran") from error
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for one in map(lasting, cell.outputs) if one]
    writing.replace(place(notebook), nbformat.writes(nb))
    return nb


@contextmanager
def _variables(given: dict[str, str]) -> Iterator[None]:
    """The environment with these variables, for the kernel that is started inside."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def lasting(output: NotebookNode) -> NotebookNode | None:
    """An output as it is worth keeping: what only a living kernel can show goes.

    Progress bars and warnings go; of an explorer its plain picture stays, which is an output
    before.
    """
    if WIDGET in output.get("data", {}):
        return None
    return None if output.get("name") == "stderr" else output
