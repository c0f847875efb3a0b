"""A lecture as a live slide show: code cells that run and sliders that move, offline.

The slides are jupyterlab-rise's; the extension in `jupyter/labextensions/course-slides` lets
widgets work on them.
"""

import os
import shutil
import tempfile
from pathlib import Path

from course_utils.commands import lab


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
    os.environ.update(lab.environment())
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(arguments(folder, notebook, port, browser))


def present_copy(notebook: Path, port: int | None = None, browser: bool = True) -> None:
    """Present a copy of a notebook that is thrown away at the end, so that a talk changes nothing.

    Args:
        notebook: the file; never written to.
        port, browser: as for `lab.arguments`.
    """
    with tempfile.TemporaryDirectory(prefix="course-slides-") as folder:
        shutil.copy(notebook, folder)
        start(Path(folder), notebook.name, port, browser)
