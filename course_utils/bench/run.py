"""Measuring rows one after the other; what is measured is kept at once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from course_utils.bench import machine, page, rounds
from course_utils.bench.memory import Memory
from course_utils.bench.memory import measure as measure_memory
from course_utils.bench.row import Finding, Row

PACKAGES = ("torch", "torchvision", "numpy")


def measure(
    row: Row, quick: bool = False, memory: Callable[[str, str], Memory] = measure_memory
) -> dict:
    """Times a row, compares its results, and measures the memory of each contender.

    Args:
        row: what to measure.
        quick: few rounds.
        memory: given a row's and a contender's name, its memory.

    Returns:
        The row as `page` shows it: plain numbers and strings.
    """
    began = time.perf_counter()
    scene = row.scene()
    calls = {one.name: one.prepare(scene) for one in row.contenders}
    results = {name: call() for name, call in calls.items()}  # and everything is warm
    taken = rounds.enough(calls, quick)
    floors = {one.name for one in row.contenders if one.floor}
    found = row.compare(scene, {k: v for k, v in results.items() if k not in floors})
    lines = lines_of(row, taken, found, memory)
    took = round(time.perf_counter() - began)
    n = len(next(iter(taken.values())))
    return {"rounds": n, "took": took, "contenders": lines}


def lines_of(
    row: Row,
    taken: dict[str, list[float]],
    found: dict[str, Finding],
    memory: Callable[[str, str], Memory],
) -> list[dict]:
    """What is known of each contender."""
    ratios = rounds.ratios(taken, row.contenders[0].name)
    lines = []
    for i, one in enumerate(row.contenders):
        missing = not (one.floor or i == 0 or one.name in found)
        finding = Finding("DISAGREES: not compared", False) if missing else found.get(one.name)
        line = {
            "name": one.name,
            "version": f"{one.package} {version(one.package)}" if one.package else "",
            "floor": one.floor,
            "seconds": round_to(rounds.spread(taken[one.name]).median),
            "ratio": [round_to(value) for value in astuple(ratios[one.name])],
            "agreement": finding.text if finding else "",
            "agrees": finding.agrees if finding else True,
        }
        lines.append(line | asdict(memory(row.name, one.name)))
    return lines


def round_to(value: float, digits: int = 4) -> float:
    """A number to so many significant digits."""
    return float(f"{value:.{digits}g}")


def bench(
    chosen: Sequence[Row], every: Sequence[Row], folder: Path, quick: bool = False
) -> list[str]:
    """Measures rows, prints each, and writes the page after each one.

    Args:
        chosen: the rows to measure; none writes the page only.
        every: all rows there are, in the order of the page.
        folder: where benchmarks.md and benchmarks.json are.
        quick: few rounds, and nothing is written.

    Returns:
        What went wrong, in a sentence each.

    Raises:
        ValueError: the figures so far cannot be read.
    """
    results = page.load(folder)
    if not chosen:
        page.save(folder, results, every)
        return []
    announce(chosen, results, quick)
    key = datetime.now(UTC).isoformat(timespec="seconds")
    packages = {one.package for row in chosen for one in row.contenders if one.package}
    about = machine.describe(key[:16].replace("T", " ") + " UTC", quick, {*PACKAGES, *packages})
    wrong = []
    for row in chosen:
        if reason := row.unsupported():
            print(f"{row.name}: left out, {reason}\n", flush=True)
            results["skipped"][row.name] = reason
        elif found := attempt(row, quick, wrong):
            results = page.merge(results, key, about, row.name, found)
        if not quick:
            page.save(folder, results, every)
    return wrong


def announce(chosen: Sequence[Row], results: dict, quick: bool) -> None:
    """What will be done, and about how long it takes."""
    known = [results["rows"].get(row.name, {}).get("took", 60) for row in chosen]
    minutes = max(1, round(sum(known) / 60 * (0.4 if quick else 1)))
    names = ", ".join(row.name for row in chosen)
    print(f"{names}: about {minutes} min. Other programs distort the figures: close them.\n")


def attempt(row: Row, quick: bool, wrong: list[str]) -> dict | None:
    """Measures and prints a row; what goes wrong is put down, and the next row has its turn."""
    try:
        found = measure(row, quick)
    except Exception as error:  # a peer may raise anything; the figures of the others still count
        wrong.append(f"{row.name}: {type(error).__name__}: {error}")
        print(wrong[-1] + "\n", flush=True)
        return None
    print(page.section(row, found, "of now"), f"\n{found['took']} s for this row\n", flush=True)
    for one in found["contenders"]:
        if not one["agrees"]:
            wrong.append(f"{row.name}: {one['name']}: {one['agreement']}")
    return found
