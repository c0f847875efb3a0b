"""The rows of the benchmarks: a module a lecture, of the lecture's name, with its `ROWS`."""

from importlib import import_module

from course_utils.bench.row import Row
from course_utils.common.errors import unknown

MODULES = (
    *("last_layer", "occlusion", "saliency", "guided", "cam"),
    *("ascent", "adversarial", "style", "fast_style", "attention"),
)
"""The lectures with rows, in the syllabus' order."""


def every() -> list[Row]:
    """All rows, in the order of the page."""
    modules = [import_module(f"{__name__}.{name}") for name in MODULES]
    return [row for module in modules for row in module.ROWS]


def find(name: str) -> Row:
    """The row of that name.

    Raises:
        ValueError: there is none; near spellings are suggested.
    """
    known = {row.name: row for row in every()}
    if name not in known:
        raise ValueError(unknown("--rows", name, known, "rows of the benchmarks"))
    return known[name]
