"""What a deck opens with: the outputs of a lecture that has been run once, as on slides.

How a run is kept, and when it is out of date: `runs`.
"""

from pathlib import Path

from nbformat import NotebookNode

from course_utils.commands import runs
from course_utils.commands.saving import WIDGET
from course_utils.common import projection

PURPOSE = "decks"


def stored(notebook: Path) -> NotebookNode | None:
    """The notebook with its stored outputs; None where there are none for this code."""
    return runs.kept(notebook, PURPOSE)


def make(notebook: Path) -> NotebookNode:
    """Runs a notebook as on slides, stores its outputs and returns it with them.

    A cell that fails does not stop it: a lecture may be shown with exercises half done.

    Raises:
        RuntimeError: the kernel died.
    """
    from nbclient.exceptions import DeadKernelError

    variables = {projection.VARIABLE: "slides"}
    try:
        return runs.run(
            notebook, PURPOSE, variables, finish=_lasting, timeout=None, allow_errors=True
        )
    except DeadKernelError as error:
        raise RuntimeError(f"{notebook.stem}: the kernel died while it ran") from error


def _lasting(nb: NotebookNode) -> None:
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for one in map(lasting, cell.outputs) if one]


def lasting(output: NotebookNode) -> NotebookNode | None:
    """An output as it is worth keeping: what only a living kernel can show goes.

    Progress bars and warnings go; of an explorer its plain picture stays, which is an output
    before.
    """
    if WIDGET in output.get("data", {}):
        return None
    return None if output.get("name") == "stderr" else output
