"""Exercises: `check` says whether an answer is right, and if not, why.

    check("saliency_map", saliency_map)
    saliency_map = yours_or_ours("saliency_map", saliency_map)

The package loads its parts when they are first used, so that a sandbox can take some of them
without the references.
"""

import sys
from collections.abc import Callable

from course_utils.checking.core import Exercise, all_, get, points

__all__ = ["Exercise", "all_", "check", "get", "points", "yours_or_ours"]


def check(name: str, function: Callable | None = None) -> float | None:
    """Says below the cell: not attempted, wrong and why, or right; with a picture where one helps.

    Args:
        name: the exercise.
        function: the student's function; by default the notebook's function of that name.

    Returns:
        None; under nbgrader (`NBGRADER_EXECUTION`) the points, and nothing is drawn.

    Raises:
        ValueError: no such exercise; near spellings are suggested.
    """
    from course_utils.checking import notebook

    return notebook.check(name, function)


def yours_or_ours(name: str, function: Callable) -> Callable:
    """The student's function where `check` finds it right, else the course's own; says which.

    Raises:
        ValueError: no such exercise; near spellings are suggested.
    """
    from course_utils.checking import notebook

    return notebook.yours_or_ours(name, function)


def _listen() -> None:
    """From the first import in a notebook on, remember the cells that run: `check` reads them."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from course_utils.checking import history

        history.start(shell)


_listen()
