"""Interleaved timing: A B C A B C ..., so that a busy minute falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SECONDS = 45.0  # for the rounds of a row
FEWEST, MOST, QUICK = 5, 60, 3


def count(once: float, quick: bool = False) -> int:
    """How many rounds to run.

    Args:
        once: seconds of one round.
        quick: only a few.
    """
    return QUICK if quick else max(FEWEST, min(MOST, round(SECONDS / max(once, 1e-9))))


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Times each call once a round, always in the same order.

    Args:
        calls: what is timed, by name; called once already, so that nothing is set up in here.
        rounds: 1 or more.
        clock: in seconds.

    Returns:
        Seconds for each name, one a round.
    """
    taken = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            call()
            taken[name].append(clock() - start)
    return taken


def enough(
    calls: Mapping[str, Callable[[], object]],
    quick: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """As `interleave`, for as many rounds as `count` says after the first one."""
    first = interleave(calls, 1, clock)
    more = count(sum(seconds[0] for seconds in first.values()), quick) - 1
    others = interleave(calls, more, clock)
    return {name: first[name] + others[name] for name in calls}


@dataclass(frozen=True)
class Spread:
    """A median and the middle half of the values."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median of values and their quartiles.

    Args:
        values: at least one.
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(taken: Mapping[str, Sequence[float]], to: str) -> dict[str, Spread]:
    """How many times as long each took as one of them, compared within each round.

    Args:
        taken: seconds by name, as `interleave` returns them.
        to: the name of the one that the others are divided by.
    """
    return {
        name: spread([a / b for a, b in zip(seconds, taken[to], strict=True)])
        for name, seconds in taken.items()
    }
