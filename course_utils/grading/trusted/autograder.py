"""One submission inside Gradescope's container: `python -m ...autograder BASE`.

`run_autograder` of the archive that `course bundle gradescope` makes starts this. It looks at
`BASE/submission` and writes `BASE/results/results.json`, whatever happens.

A container there has 0.75 GB of memory by default. Libraries take 380 MiB of a process of its own,
so judge and worker share them: the worker's parent is a copy of this process, made before anything
of the course that knows an answer is imported. Hence the imports inside functions.
"""

import importlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.grading.trusted import warm

RESULTS = "results/results.json"


def main(base: Path) -> dict:
    """Grades what lies in `base/submission`.

    Args:
        base: Gradescope's `/autograder`.

    Returns:
        The content of `results.json`, which is written as well.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _parent() as parent:
                found = _graded(base, Path(folder), parent)
        except Exception as error:  # without a file there, Gradescope says nothing to anybody
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            said = f"This could not be graded ({type(error).__name__}). Tell your instructor."
            found = {"score": 0, "output": said, "stdout_visibility": "hidden", "tests": []}
    from course_utils.common import writing

    writing.replace(base / RESULTS, json.dumps(found, ensure_ascii=False, indent=1))
    return found


@contextmanager
def _parent() -> "Iterator[warm.Parent | None]":
    """What forks the workers, and shares its memory with this process; None without walls."""
    from course_utils.grading.trusted import sandbox, warm

    for name in ("torch.fx", "torchvision.transforms.v2", "timm", "safetensors.torch"):
        importlib.import_module(name)
    found = None
    with suppress(sandbox.SandboxError):  # said when there is something to grade
        found = warm.Parent(sandbox.walls(), shared=True)
    try:
        yield found
    finally:
        if found is not None:
            found.end()


def _graded(base: Path, out: Path, parent: "warm.Parent | None") -> dict:
    """In this process and without pictures, which take memory as well."""
    from course_utils.common import writing
    from course_utils.grading.trusted import assignment, engine, exports, report

    asked = base / "source" / assignment.NAME
    rules = report.Rules(assignment.read(asked) if asked.is_file() else assignment.Assignment())
    student, submitted = _who(base / "submission_metadata.json")
    lecture = rules.asked.lectures[0] if len(rules.asked.lectures) == 1 else ""
    settings = engine.Settings(
        **{"lecture": lecture, "seed": rules.asked.seed, "jobs": 1, "draw": False},
        student=student,
    )
    run = engine.grade(base / "submission", out, settings, progress=False, parent=parent)
    for place in run.places:
        result = report.load(out, place)
        if result is not None:
            path = out / f"{place}.json"
            writing.replace(path, json.dumps(result | {"submitted": submitted}), private=True)
    return exports.gradescope(report.rows_of(out, run.places, rules), rules)


def _who(path: Path) -> tuple[str, str]:
    """Whose it is and when it came, from Gradescope's own file; there may be none."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        came = datetime.fromisoformat(given["created_at"]).isoformat()
        return str(given["users"][0]["name"]), came
    except (OSError, ValueError, LookupError, TypeError):
        return "student", ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
