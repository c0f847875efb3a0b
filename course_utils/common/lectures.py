"""The lectures by name: what `06`, `saliency` or `06_saliency` stands for."""

from pathlib import Path

from course_utils.common import errors, paths


def names(folder: Path | None = None) -> list[str]:
    """The lectures in order, e.g. `["00_start_here", "06_saliency"]`.

    Args:
        folder: where their notebooks are; the course's `notebooks/` by default.
    """
    folder = paths.root() / "notebooks" if folder is None else folder
    return sorted(notebook.stem for notebook in folder.glob("[0-9][0-9]_*.ipynb"))


def find(lecture: str, folder: Path | None = None) -> str:
    """The lecture meant by a number, a title or both.

    Args:
        lecture: e.g. "6", "06", "saliency", "06_saliency" or "06_saliency.ipynb".
        folder: as for `names`.

    Returns:
        The full name, e.g. "06_saliency".

    Raises:
        ValueError: if there is no such lecture; suggests near spellings.
    """
    known = names(folder)
    wanted = lecture.strip().lower().removesuffix(".ipynb").replace("-", "_")
    wanted = wanted.zfill(2) if wanted.isdigit() else wanted
    for name in known:
        if wanted in (name, name[:2], name[3:]):
            return name
    raise ValueError(errors.unknown("lecture", lecture, known, "lectures"))
