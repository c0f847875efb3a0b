"""The course checking itself: the steps of `course test`, run one after the other."""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from course_utils.bench import machine, page
from course_utils.commands import lab, offline
from course_utils.common import paths

CELL_SECONDS = 120  # for nbval; its own default of 2,000 s would be waited out by a dead kernel
# Processes of one thread each; two do 1.4 times the work of one with two threads.
WORKERS = 2
WAITING = 3  # where tests also wait for other processes
BROWSERS = 4  # which wait for pages more than half of their time
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
_NOTHING_SELECTED = 5  # pytest's exit code
_MALLOC = {"mmap_threshold": 2**30, "trim_threshold": 2**31, "hugetlb": 1}
# Tests that share what is computed once mostly meet in one process, and none of them waits idle:
# each process takes its share from front to back, and gives from its back to those that are done.
# So what takes long, and waits, stands in front; see `pytest_collection_modifyitems` of the tests.
_NEIGHBOURS = ["--dist", "worksteal"]
_WHOLE = ["--dist", "loadfile"]  # a file's tests in one process: a kernel, a server


@dataclass(frozen=True)
class Step:
    """One check: commands that must all succeed, or the reason it is left out."""

    name: str
    commands: list[list[str]] = field(default_factory=list)
    skipped: str = ""


@dataclass(frozen=True)
class Result:
    """How a step ended: "passed", "failed" or "skipped", in how many seconds, and a word on it."""

    step: str
    outcome: str
    seconds: float = 0.0
    note: str = ""


def steps(
    quick: bool = False, full: bool = False, expression: str = "", device: str | None = None
) -> list[Step]:
    """The steps of a run.

    Args:
        quick: no slow tests, and of the notebooks only lecture 00.
        full: the long tests too, and every assert on a number on several kinds of processor.
        expression: pytest's -k, for the tests and the notebooks.
        device: where everything runs; by default `notebooks/` on the CPU and `solutions/` on the
            pretend accelerator, so that the same cells run on both kinds of device.
    """
    only, marks = ["-k", expression] if expression else [], _marks(quick, full)
    return [
        Step("ruff", [_python("ruff", "check", "."), _python("ruff", "format", "--check", ".")]),
        Step("layers", [_lint_imports()]),
        Step(
            "unit tests",
            [_pytest(WAITING, *_NEIGHBOURS, "tests", "--ignore=tests/browser", *marks, *only)],
        ),
        Step("drift", [_python("course_utils.commands.cli", "build", "--check")]),
        _notebooks("00_" if quick else "", only, device),
        _browser(quick, full, only),
        _processors(full, expression),
    ]


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _pytest(workers: int, *arguments: str) -> list[str]:
    # The course's command first: it leaves out a grammar that takes each process 3 s.
    return _python("pytest", "-p", "course_utils.commands", "-q", "-n", str(workers), *arguments)


def _lint_imports() -> list[str]:
    # Its script in the environment would not survive a move of the course's folder.
    code = "from importlinter.cli import lint_imports_command as run; run()"
    return [sys.executable, "-c", code, "--no-logo"]


def _marks(quick: bool, full: bool) -> list[str]:
    """Which marked tests are left out; see the markers in pyproject.toml."""
    if full:
        return []
    return ["-m", "not slow and not long" if quick else "not long"]


def _notebooks(prefix: str, only: list[str], device: str | None) -> Step:
    """Every notebook, run from top to bottom with the network cut off."""
    root = paths.root()
    found = [
        str(path.relative_to(root))
        for folder in ("notebooks", "solutions")
        for path in sorted((root / folder).glob(f"{prefix}*.ipynb"))
    ]
    nbval = ["-p", "nbval_mends", "--nbval-lax", f"--nbval-cell-timeout={CELL_SECONDS}"]
    nbval += ["--warm-kernels", *([] if device else ["--solutions-device", "pretend"])]
    whole = [*_WHOLE, "--no-loadscope-reorder"]
    # Without a single notebook pytest would look for tests elsewhere: name the folder instead.
    files = _longest_first(found) or ["notebooks"]
    command = _pytest(WORKERS, *nbval, *whole, *files, *only)
    return Step("notebooks", [offline.command(command)])


def _longest_first(notebooks: list[str]) -> list[str]:
    """By the seconds that were measured last, new ones first: none is left alone at the end."""
    _, measured = page.notebook_seconds(page.load_costs(paths.root() / "docs"))
    taken = {Path(name): seconds for name, seconds in measured.items()}
    return sorted(notebooks, key=lambda name: -taken.get(Path(name), math.inf))


def _browser(quick: bool, full: bool, only: list[str]) -> Step:
    """The tests in a headless browser, where there are such tests, playwright and Chromium."""
    if quick:
        return Step("browser", skipped="left out by --quick")
    if not (paths.root() / "tests" / "browser").is_dir():
        return Step("browser", skipped="there are no browser tests")
    if find_spec("playwright") is None:
        return Step("browser", skipped="playwright is not installed")
    if chromium() is None:
        return Step("browser", skipped="no Chromium found; COURSE_CHROMIUM can name one")
    command = _pytest(BROWSERS, *_WHOLE, "tests/browser", *_marks(quick, full), *only)
    return Step("browser", [command])


def _processors(full: bool, expression: str) -> Step:
    """Tests and solved notebooks with the rounding of other processors."""
    if not full:
        return Step("processors", skipped="only --full plays other processors")
    if expression:
        return Step("processors", skipped="with -k, call tests/processors/matrix.py FILE ...")
    return Step("processors", [[sys.executable, "tests/processors/matrix.py"]])


def chromium() -> str | None:
    """The browser to test with: `COURSE_CHROMIUM`, or the first one installed; None without."""
    return os.environ.get("COURSE_CHROMIUM") or next(
        filter(None, map(shutil.which, _CHROMIUM)), None
    )


def environment(folder: Path, device: str | None = None) -> dict[str, str]:
    """Variables for the steps: one thread a process, and nothing of the user's own settings.

    Args:
        folder: an empty folder for Jupyter's and IPython's settings and what they remember.
        device: "cpu", "cuda" or "pretend"; the CPU by default.
    """
    threads = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
    tests, path = paths.root() / "tests", os.environ.get("PYTHONPATH")
    # PyTorch finds the pretend accelerator in the second folder, and loads it if asked for.
    folders = [str(tests), str(tests / "pretend"), *([path] if path else [])]
    own = {
        **{f"{library}_NUM_THREADS": "1" for library in threads},
        "PYTHONPATH": os.pathsep.join(folders),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "IPYTHONDIR": str(folder / "ipython"),
        "COURSE_STATE": str(folder / "state"),
        "COURSE_DEVICE": device or "cpu",
        # glibc keeps what a layer frees, and asks for large pages. By itself it gives much back and
        # takes it anew at the next layer: 3 to 15 % of a notebook's seconds go into empty pages.
        "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={n}" for name, n in _MALLOC.items()),
        # Test processes talk through pipes, also of folders whose names a console cannot show.
        **{"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"},
        # pytest's rewritten tests are kept: rewriting them takes each process 7 s.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return os.environ | lab.environment() | own


def run_step(step: Step, variables: dict[str, str], filtered: bool = False) -> Result:
    """Run one step in the course's folder, its output shown as it comes.

    Args:
        step: what to run; all its commands, even after one fails.
        variables: the whole environment.
        filtered: tests were picked by -k, so finding none is no failure.
    """
    if step.skipped:
        return Result(step.name, "skipped", note=step.skipped)
    began = time.monotonic()
    codes = [subprocess.run(c, cwd=paths.root(), env=variables).returncode for c in step.commands]
    seconds = time.monotonic() - began
    if filtered and codes == [_NOTHING_SELECTED]:
        return Result(step.name, "skipped", seconds, "-k selects nothing here")
    bad = [code for code in codes if code]
    return Result(
        step.name, "failed" if bad else "passed", seconds, f"exit {bad[0]}" if bad else ""
    )


def run(
    chosen: Iterable[Step],
    device: str | None = None,
    filtered: bool = False,
    times: Path | None = None,
) -> int:
    """Run steps, going on after one that fails, and print a table at the end.

    Args:
        chosen: of `steps`.
        device: as for `environment`.
        filtered: as for `run_step`.
        times: a file for the seconds of each step and each notebook, as JSON.

    Returns:
        0 if nothing failed, 1 if a step did, 130 after Ctrl-C.
    """
    results: list[Result] = []
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="course-test-") as folder:
        notebooks = Path(folder) / "notebooks.json"
        variables = environment(Path(folder), device) | {"COURSE_TIMES": str(notebooks)}
        try:
            for step in chosen:
                print(f"\n== {step.name} " + "=" * (70 - len(step.name)), flush=True)
                results.append(run_step(step, variables, filtered))
                print(line(results[-1]), flush=True)
        except KeyboardInterrupt:
            interrupted = True
        if times:
            times.write_text(taken(results, notebooks) + "\n", encoding="utf-8")
    print("\n" + summary(results), flush=True)
    return 130 if interrupted else int(any(r.outcome == "failed" for r in results))


def taken(results: list[Result], notebooks: Path) -> str:
    """The seconds of steps, and of the notebooks that the file tells of, as JSON."""
    each = json.loads(notebooks.read_text(encoding="utf-8")) if notebooks.exists() else {}
    steps = {r.step: round(r.seconds, 1) for r in results if r.outcome != "skipped"}
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    cpu = f"{machine.cpu_model()} {machine.vectors()}".strip()
    about = f"{day}, {cpu}, {machine.usable_cores()} logical cores"
    return json.dumps({"about": about, "steps": steps, "notebooks": each}, indent=1)


def line(result: Result) -> str:
    """A result in one line."""
    note = f"  ({result.note})" if result.note else ""
    return f"{result.step:<12} {result.outcome:<8} {result.seconds:7.1f} s{note}"


def summary(results: list[Result]) -> str:
    """The table of all steps, and the counts in the last line."""
    counts = [sum(r.outcome == o for r in results) for o in ("passed", "failed", "skipped")]
    total = "steps: {} passed, {} failed, {} skipped".format(*counts)
    return "\n".join([*map(line, results), "", total])
