"""A lecture as a live slide show: code cells that run and sliders that move, offline.

What is shown is a copy, cut for speaking (`deck`) and thrown away at the end. It opens with the
pictures of an earlier run where they are stored (`ready`). The slides are jupyterlab-rise's; the
extension in `jupyter/labextensions/course-slides` lays them out and lets widgets work on them.
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.commands import deck, lab, ready
from course_utils.common import projection

RISE = {"margin": 0, "scroll": False, "center": False, "controls": False, "auto_select": "none"}
"""Settings of jupyterlab-rise in a deck's metadata: our page lays slides out and knows the keys."""


def arguments(
    folder: Path, notebook: str, port: int | None = None, browser: bool = True
) -> list[str]:
    """JupyterLab's command-line arguments for a slide show.

    Args:
        folder: the folder of the notebook.
        notebook: the file to present, inside `folder`.
        port, browser: as for `lab.arguments`.
    """
    option = "--LabApp.default_url="
    given = lab.arguments(folder, notebook, port, browser)
    return [f"{option}/rise/{notebook}" if g.startswith(option) else g for g in given]


def start(folder: Path, notebook: str, port: int | None = None, browser: bool = True) -> None:
    """Present a notebook until the server is stopped. Arguments: see `arguments`."""
    os.environ.update(lab.environment() | {projection.VARIABLE: "slides"})
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(arguments(folder, notebook, port, browser))


def prepared(notebook: Path) -> NotebookNode:
    """The deck of a notebook, with the outputs of an earlier run where they are stored."""
    nb = ready.stored(notebook) or nbformat.read(notebook, 4)
    made = deck.cut(nb, *ready.told(nb, notebook.stem))
    made.metadata["rise"] = RISE
    return made


def make_ready(notebooks: list[Path], again: bool) -> None:
    """Runs what has no stored pictures, if `again`; else says how to get them.

    Raises:
        RuntimeError: a kernel died.
    """
    for notebook in notebooks:
        if ready.stored(notebook) is not None:
            continue
        if again:
            print(f"{notebook.stem}: run once (a minute or so) to have its pictures", flush=True)
            ready.make(notebook)
        else:
            print(f"{notebook.stem} opens without pictures: `--ready` runs it first.", flush=True)


def measure(notebooks: list[Path]) -> int:
    """Prints how the slides look in a room; 1 where one breaks a limit. See `report.run`."""
    from course_utils.commands import report

    return report.run(notebooks)


def present(notebook: Path, port: int | None = None, browser: bool = True) -> None:
    """Present the deck of a notebook; the copy is thrown away, so that a talk changes nothing.

    Args:
        notebook: the file; never written to.
        port, browser: as for `lab.arguments`.
    """
    print("changes made during the talk are not kept", flush=True)
    with tempfile.TemporaryDirectory(prefix="course-slides-") as folder:
        nbformat.write(prepared(notebook), Path(folder) / notebook.name)
        start(Path(folder), notebook.name, port, browser)
