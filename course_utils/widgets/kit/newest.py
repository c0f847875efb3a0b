"""Changes that came while a slow drawing ran: the newest is drawn, not one after the other."""

import asyncio
import sys
import time
from collections.abc import Callable

SLOW, SETTLED = 0.5, 0.15
"""Behind what ran longer than this, in seconds, changes may be waiting, each a message of its own;
they have all come when none has come for so long."""


class Newest:
    """Acts at once, but after something slow only once for all changes that waited.

    A kernel handles a page's messages one by one. Whoever moves three controls during a painting of
    three seconds would otherwise wait for three more.

    Args:
        act: draws what the controls say by then. What it raises goes to the caller if it is called
            at once, else to the kernel's log.
    """

    def __init__(self, act: Callable[[], object]) -> None:
        self.act, self._due, self._until = act, None, 0.0

    def news(self) -> None:
        """Something has changed. What code sets is always answered at once."""
        loop, waits = _page(), self._due is not None or time.monotonic() < self._until
        if self._due is not None:
            self._due.cancel()
        if loop is not None and waits:
            self._due = loop.call_later(SETTLED, self._run)
        else:
            self._run()

    def _run(self) -> None:
        self._due, began = None, time.monotonic()
        try:
            self.act()
        finally:
            ended = time.monotonic()
            self._until = ended + SETTLED if ended - began > SLOW else 0.0


def _page() -> asyncio.AbstractEventLoop | None:
    """The event loop that handles a page's message at the moment; None if other code runs."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a thread of somebody's, whatever the kernel answers meanwhile
        return None
    header = kernel.get_parent("shell").get("header", {}) if kernel else {}
    return loop if header.get("msg_type") == "comm_msg" else None
