"""A stop while something long runs: what was found is kept, and no next run begins in that cell."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """Whether a run was stopped."""

    came: bool = False


_earlier = Stop()
"""Of the runs of the notebook cell that is running now."""


@contextmanager
def stoppable(so_far: Callable[[], str]) -> Iterator[Stop]:
    """A block that Ctrl-C or a notebook's stop button ends without an error.

    A cell of a notebook may hold several such blocks, or a loop of them. The one that is stopped
    gives what it has, so that the code behind it can keep it; the next one does not begin.

    Args:
        so_far: says how far it came, e.g. "3 of 10 steps"; printed when it is stopped.

    Yields:
        What says afterwards whether it was stopped.

    Raises:
        KeyboardInterrupt: at once, where an earlier block of the same cell was stopped.
    """
    if _earlier.came:
        raise KeyboardInterrupt("this cell was stopped: its next run has not begun")
    stop = Stop()
    try:
        yield stop
    except KeyboardInterrupt:
        stop.came = True
        print(f"Stopped after {so_far()}.")
        _remember()


def _remember() -> None:
    """Until the cell ends; outside of notebooks there are no cells, and nothing to remember."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    _earlier.came = True
    # A widget's callback has no end that is told if it fails: the next start will do, too.
    names = ("post_execute", "pre_execute")

    def forget() -> None:
        _earlier.came = False
        for name in names:
            shell.events.unregister(name, forget)

    for name in names:
        shell.events.register(name, forget)
