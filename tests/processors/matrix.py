"""Every assert on a number, on several kinds of processor: `python tests/processors/matrix.py`.

One machine plays several: its libraries are told to use the instructions of older processors,
other blocks of matrix products, one or two threads, no oneDNN, another memory layout of the
networks. Each of these rounds otherwise in the last digits, and what the course asserts has to hold
with room all the same. The four rows hold every value of every setting, and every pair of the three
that have two values. `course test --full` runs them all.

Each row runs the tests and the solved notebooks with the plugin `margins`. At the end stand the
asserts that failed somewhere and those with little room: whose margin is smaller than three times
what it differs by between the rows.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from course_utils.commands import offline, suite  # noqa: E402

ROOM = 3.0
"""The least margin, in units of what it differs by from row to row."""

NEAR = 0.3
"""`--risky` runs what has, in a recorded row, an assert with less room than this share."""

# Nothing there is about a number that was computed.
OTHERWISE = ("browser", "commands", "grading", "gpu", "processors")


@dataclass(frozen=True)
class Row:
    """One kind of processor; `needs` is what /proc/cpuinfo has to say for it to be played."""

    name: str
    variables: dict[str, str]
    needs: str = ""


def row(name, instructions, blocks, threads, onednn, layout, needs="") -> Row:
    """The variables of PyTorch, MKL, oneDNN, OpenBLAS and of `margins` for one row."""
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
    aten, mkl, isa = instructions
    variables = {
        **{"ATEN_CPU_CAPABILITY": aten, "MKL_ENABLE_INSTRUCTIONS": mkl, "ONEDNN_MAX_CPU_ISA": isa},
        **{"OPENBLAS_CORETYPE": blocks, "COURSE_ONEDNN": onednn, "COURSE_LAYOUT": layout},
        **{f"{library}_NUM_THREADS": threads for library in libraries},
    }
    return Row(name, variables, needs)


PLAIN, AVX2, AVX512 = (
    ("default", "SSE4_2", "SSE41"),
    ("avx2", "AVX2", "AVX2"),
    ("avx512", "AVX512", "AVX512_CORE"),
)
ROWS = [
    row("new", AVX512, "SkylakeX", "1", "1", "channels_last", needs="avx512f"),
    row("middle", AVX2, "Haswell", "2", "1", "nchw", needs="avx2"),
    row("old", PLAIN, "Zen", "1", "0", "nchw", needs="avx2"),
    row("mixed", AVX2, "Haswell", "2", "0", "channels_last", needs="avx2"),
]


def playable(wanted: Row) -> bool:
    """Whether this processor has the instructions; elsewhere than on Linux nobody says."""
    try:
        return wanted.needs in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


# ------------------------------------------------------------------ running a row


def tests() -> list[str]:
    """The files of tests that may compare numbers."""
    found = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(path.relative_to(ROOT))
        for path in found
        if not set(OTHERWISE) & set(path.relative_to(ROOT).parts)
    ]


def notebooks() -> list[str]:
    """The solved notebooks."""
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "solutions").glob("*.ipynb"))]


def commands(chosen: list[str], workers: int) -> list[list[str]]:
    """How pytest is called for tests and for notebooks."""
    python = [sys.executable, "-m", "pytest", "-q", "-p", "margins", "-p", "no:cacheprovider"]
    python += ["--tb=line", "--no-header", "-m", "not long", "--timeout=1800"]
    python += ["-n", str(workers), "--dist", "loadfile"] if workers > 1 else []
    files = [name for name in chosen if not name.endswith(".ipynb")]
    books = [name for name in chosen if name.endswith(".ipynb")]
    nbval = ["-p", "nbval_mends", "--warm-kernels", "--nbval-lax", "--nbval-cell-timeout=600"]
    found = [[*python, *files]] if files else []
    return found + ([offline.command([*python, *nbval, *books])] if books else [])


def run(wanted: Row, chosen: list[str], folder: Path, workers: int = 1) -> None:
    """One row; records, and pytest's output, under the folder."""
    records = folder / wanted.name
    records.mkdir(parents=True, exist_ok=True)
    names = ("tests", "tests/pretend", "tests/processors")
    own = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *(str(ROOT / name) for name in names)]),
        **{"COURSE_MARGINS": str(records), "COURSE_CHECK_SECONDS": "120"},
        # Two processes of two threads on two cores: one that waits must not keep another's core.
        **{"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},
    }
    with (records / "pytest.log").open("a", encoding="utf-8") as log:
        for command in commands(chosen, workers):
            variables = suite.environment(records) | own | wanted.variables
            subprocess.run(command, cwd=ROOT, env=variables, stdout=log, stderr=log)


# ------------------------------------------------------------------ reading the records


@dataclass(frozen=True)
class Assert:
    """An assert of one test or notebook: by row the time that left it the least room.

    `found` maps a row's name to (value, bound, margin).
    """

    where: str
    test: str
    text: str
    found: dict[str, tuple[float, float, float]]

    @property
    def margin(self) -> float:
        """The least of all rows; negative where it did not hold."""
        return min(margin for _, _, margin in self.found.values())

    @property
    def spread(self) -> float:
        """What the margin differs by between the rows."""
        margins = [margin for _, _, margin in self.found.values()]
        return max(margins) - min(margins)

    @property
    def is_near(self) -> bool:
        """Whether the margin of some row is a small share of value and bound, the larger of both.

        Only that: rows may differ by more where a result hangs on a choice, such as which of two
        atoms takes a template.
        """
        return any(m < NEAR * max(abs(v), abs(bound)) for v, bound, m in self.found.values())

    @property
    def is_tight(self) -> bool:
        """Little room: the next processor may well be the one where it fails."""
        return self.margin < 0 or self.spread > 0 and self.margin < ROOM * self.spread


def read(folder: Path) -> list[Assert]:
    """All records under a folder, which has one folder for each row."""
    found: dict[tuple, dict] = defaultdict(dict)
    for file in sorted(folder.glob("*/*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            where, test, text, *numbers = json.loads(line)
            rows = found[where, test, text]
            before = rows.get(file.parent.name)
            rows[file.parent.name] = min(filter(None, (before, tuple(numbers))), key=lambda n: n[2])
    return [Assert(*key, rows) for key, rows in sorted(found.items())]


def risky(asserts: list[Assert], within: list[str]) -> list[str]:
    """The tests and notebooks with an assert that is near its bound in a row that was recorded.

    Args:
        asserts: of `read`.
        within: files; only what they hold.
    """
    near = {(one.where, one.test) for one in asserts if one.is_near}
    found = {f"{where}::{test}" if test else where for where, test in near}
    return sorted(name for name in found if name.split("::")[0] in within)


def failures(folder: Path) -> list[str]:
    """The lines of pytest that say what failed, with the row."""
    return [
        f"{log.parent.name}: {line}"
        for log in sorted(folder.glob("*/pytest.log"))
        for line in log.read_text(encoding="utf-8").splitlines()
        if line.startswith(("FAILED", "ERROR"))
    ]


def report(asserts: list[Assert], failed: list[str]) -> str:
    """In words: how many asserts there are, which failed, and which have little room."""
    rows = sorted({name for one in asserts for name in one.found})
    moved = [one for one in asserts if one.spread > 0]
    tight = sorted((a for a in asserts if a.is_tight), key=lambda a: a.margin / (a.spread or 1))
    lines = [
        f"{len(asserts)} asserts on numbers in {len(rows)} rows ({', '.join(rows)}); in "
        f"{len(moved)} the number depends on the row; {len(tight)} have little room."
    ]
    lines += ["", *failed] if failed else []
    for one in tight:
        lines += ["", f"{one.where} {one.test}".strip(), f"    {one.text}"]
        lines += [
            f"    {name:<8} value {value:<12.5g} bound {bound:<12.5g} margin {margin:.3g}"
            for name, (value, bound, margin) in sorted(one.found.items())
        ]
    return "\n".join(lines)


def main(argv: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="tests and notebooks; all by default")
    parser.add_argument("--rows", default=",".join(r.name for r in ROWS), help="e.g. new,old")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "processors")
    parser.add_argument("--workers", type=int, default=2, help="files at a time")
    parser.add_argument("--risky", action="store_true", help="only what is near in a recorded row")
    parser.add_argument("--report", action="store_true", help="run nothing, read the records")
    given = parser.parse_args(argv)
    chosen = given.files or [*tests(), *notebooks()]
    if given.risky:
        chosen = risky(read(given.out), chosen)
        print(f"{len(chosen)} tests and notebooks are near a bound in a recorded row")
    for wanted in ROWS:
        if wanted.name in given.rows.split(",") and not given.report:
            if playable(wanted):
                run(wanted, chosen, given.out.resolve(), given.workers)
            else:
                print(f"{wanted.name}: not played, this processor lacks {wanted.needs}")
    failed = failures(given.out)
    print(report(read(given.out), failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
