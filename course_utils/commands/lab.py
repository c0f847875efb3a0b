"""JupyterLab on the student's own notebooks, asking nothing of any machine but this one."""

import os
import sys
from pathlib import Path

from course_utils.common import paths

_JUPYTER = Path(__file__).resolve().parent / "jupyter"


def environment() -> dict[str, str]:
    """Variables that let Jupyter find the course's kernel and extensions before any other.

    A user's own kernel named `python3`, or one on a JUPYTER_PATH of theirs, would be another
    Python, without the course's packages. What Jupyter, IPython and matplotlib write lies in
    folders of the course's own: a home may be read-only, or hold settings for other programs.
    """
    prefix, state = Path(sys.prefix), paths.state()
    programs = str(Path(sys.executable).parent)
    own = {"JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data"}
    own |= {"JUPYTER_CONFIG_DIR": "config", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
    return {name: str(state / folder) for name, folder in own.items()} | {
        "JUPYTER_PATH": os.pathsep.join([str(_JUPYTER), str(prefix / "share" / "jupyter")]),
        "JUPYTER_CONFIG_PATH": str(_JUPYTER / "config"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", "")]),
    }


def arguments(
    work: Path, notebook: str, port: int | None = None, browser: bool = True
) -> list[str]:
    """JupyterLab's command-line arguments.

    Args:
        work: the folder it shows.
        notebook: the file it opens first, inside `work`.
        port: exactly this port, or an error; by default 8888 or the next free one.
        browser: open a browser window.
    """
    given = [
        f"--ServerApp.root_dir={work.resolve()}",
        f"--LabApp.default_url=/lab/tree/{notebook}",
        # A layout of its own: tabs of the user's other projects do not exist below work/.
        f"--LabApp.workspaces_dir={paths.state() / 'workspaces'}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        # The address is shown all the same; warnings are of the extensions among themselves.
        "--ServerApp.log_level=ERROR",
        "--LabApp.log_level=ERROR",
        # Kernels talk over local ports; others on this machine must not listen in.
        "--MappingKernelManager.transport_encryption=auto",
        # A file chosen in a widget is one message; at 10 MB, the default, the connection breaks.
        "--ServerApp.tornado_settings={'websocket_max_message_size': 209715200}",
    ]
    if port is not None:
        given += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if not browser:
        given.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # containers; Jupyter refuses otherwise
        given.append("--allow-root")
    return given


def start(work: Path, notebook: str, port: int | None = None, browser: bool = True) -> None:
    """Run JupyterLab until it is stopped. Arguments: see `arguments`."""
    os.environ.update(environment())
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(arguments(work, notebook, port, browser))
