"""How long something takes."""

import statistics
import time
from collections.abc import Callable

import torch


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """The median wall-clock time of calls of `function`, in seconds, after one call to warm up."""
    function()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # the GPU works on after the call has returned
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
