"""Where the course's files are, from whichever directory Python was started."""

import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).resolve().parent.parent.parent


def root() -> Path:
    """The course's source folder: the one that holds `lectures/`, `notebooks/` and `data/`.

    Raises:
        FileNotFoundError: if the package was installed without its source folder.
    """
    if (_SOURCE / "pyproject.toml").is_file() and (_SOURCE / "lectures").is_dir():
        return _SOURCE
    raise FileNotFoundError(
        f"the course's source folder is not beside the package ({_SOURCE} has no lectures/). "
        "Install from a clone of the repository with `python course.py lab`."
    )


def package() -> Path:
    """The folder of the package `course_utils` itself."""
    return Path(__file__).resolve().parent.parent


def data(*parts: str) -> Path:
    """A path inside the data folder: `COURSE_DATA` where it is set, else `data/` of the source.

    Args:
        parts: names below the data folder, e.g. `data("photos", "panda.jpg")`.

    Raises:
        FileNotFoundError: if the data folder itself is missing; says where it was looked for.
    """
    named = os.environ.get("COURSE_DATA")
    folder = Path(named).expanduser() if named else _SOURCE / "data"
    if not (folder / "photos.csv").is_file():
        source = "named by COURSE_DATA" if named else "of the source folder"
        raise FileNotFoundError(
            f"no course data at {folder} ({source}): it has no photos.csv. "
            "Set COURSE_DATA to the data/ folder of a clone, or unset it."
        )
    return folder.joinpath(*parts)


def stored(*parts: str) -> dict:
    """What a command `data/rebuild_*.py` measured and stored, from a JSON file in the data folder.

    Args:
        parts: names below the data folder, e.g. `stored("adversarial.json")`.

    Raises:
        FileNotFoundError: no such file, or as `data`.
    """
    return json.loads(data(*parts).read_text(encoding="utf-8"))


def work() -> Path:
    """The folder of the student's own copies (ignored by git): `COURSE_WORK`, else `work/`."""
    named = os.environ.get("COURSE_WORK")
    return Path(named).expanduser() if named else root() / "work"


def state() -> Path:
    """Where the course keeps what is no one's work, such as JupyterLab's open tabs.

    `COURSE_STATE` where it is set, as it is for tests; else `var/course` of the environment; where
    that cannot be written, a folder of the user's, and at the last one that ends with the machine.
    """
    named = os.environ.get("COURSE_STATE")
    return Path(named).expanduser() if named else _state(sys.prefix)


@cache
def _state(prefix: str) -> Path:
    home = Path(os.path.expanduser("~"))
    for folder in (Path(prefix) / "var" / "course", home / ".cache" / "seeing-what-cnns-see"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # rights alone do not tell: disks, quotas
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="course-"))
