"""What a deck opens with: the outputs of a lecture that has been run once, as on slides.

How a run is kept, and when it is out of date: `runs`.
"""

from functools import partial
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

    variables, settings = {projection.VARIABLE: "slides"}, {"timeout": None, "allow_errors": True}
    finish = partial(_lasting, lecture=notebook.stem)
    try:
        return runs.run(notebook, PURPOSE, variables, finish=finish, **settings)
    except DeadKernelError as error:
        raise RuntimeError(f"{notebook.stem}: the kernel died while it ran") from error


def told(nb: NotebookNode, lecture: str) -> tuple[dict[str, list[str]], list[str]]:
    """What a deck says of the exercises, as kept with a run: to ask them takes PyTorch.

    Args:
        nb: as `stored` returns it, or any other notebook.
        lecture: e.g. "06_saliency".

    Returns:
        Exercise -> what a tutor says about its known mistakes, and the exercises whose check
        draws a picture.
    """
    kept = nb.metadata.get(runs.TOLD) or asked(lecture)
    return kept["mistakes"], kept["drawn"]


def asked(lecture: str) -> dict[str, dict | list]:
    """The same, from the exercises themselves."""
    from course_utils import exercises

    each = exercises.all_(lecture)
    return {
        "mistakes": {e.name: [m.sentence for m in e.mistakes] for e in each},
        "drawn": [e.name for e in each if e.picture is not None],
    }


def _lasting(nb: NotebookNode, lecture: str) -> None:
    nb.metadata[runs.TOLD] = asked(lecture)
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
