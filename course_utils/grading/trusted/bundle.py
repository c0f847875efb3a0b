"""What an assignment hands out: notebooks for students, for instructors, Gradescope's archive."""

import stat
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

from course_utils.common import lectures, paths
from course_utils.grading.trusted import assignment
from course_utils.grading.trusted.assignment import Assignment

KINDS = ("student", "instructor", "gradescope")
_COURSE = ("course_utils", "data", "lectures", "notebooks", "solutions")
_FILES = ("pyproject.toml", "constraints.txt", "course.py", "README.md", "LICENSE")
_LEFT_OUT = ("__pycache__", ".ipynb_checkpoints")

SETUP = """\
#!/usr/bin/env bash
# Makes the environment in which submissions are graded. Runs once, when the image is built.
# PYTHON: an interpreter that has the course's packages already; nothing is installed then.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
if [ -z "${PYTHON:-}" ]; then
  apt-get update
  apt-get install -y bubblewrap
  for version in 3.13 3.12 3.11; do
    if apt-get install -y "python$version" "python$version-venv"; then
      found="python$version"
      break
    fi
  done
  "${found:?no Python of 3.11 or later: choose a newer base image}" -m venv "$here/venv"
  PYTHON="$here/venv/bin/python"
  "$PYTHON" -m pip install --no-cache-dir -c "$here/course/constraints.txt" -e "$here/course"
fi
printf '%s\\n' "$PYTHON" > "$here/python"
PYTHONPATH="$here/course" "$PYTHON" -c "import course_utils.grading.trusted.autograder"
"""
RUN = """\
#!/usr/bin/env bash
# Grades the one submission in ./submission and writes ./results/results.json.
set -euo pipefail
base="${AUTOGRADER:-/autograder}"
cd "$base"
# No variable of the container's: workers share this process's memory.
exec env -i PATH="$PATH" LANG=C.UTF-8 PYTHONPATH="$base/source/course" MPLBACKEND=agg \\
  OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 MALLOC_ARENA_MAX=2 \\
  "$(cat "$base/source/python")" -m course_utils.grading.trusted.autograder "$base"
"""


class BundleError(ValueError):
    """It cannot be made; says why."""


def make(kind: str, asked: Path | None, target: Path) -> list[str]:
    """Makes a zip.

    Args:
        kind: "student" (notebooks to work on), "instructor" (these, the solved ones and the
            assignment) or "gradescope" (an autograder for the assignment's exercises).
        asked: the assignment's file; all lectures where there is none.
        target: the zip, which must not exist.

    Returns:
        What is in it, or the folders with how many files.

    Raises:
        AssignmentError: as `assignment.read`.
        BundleError: the file exists or cannot be written.
    """
    rules = assignment.read(asked) if asked else Assignment()
    parts = {"student": _student, "instructor": _instructor, "gradescope": _gradescope}[kind]
    try:
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts(rules, asked):
                _add(archive, name, content)
            names = archive.namelist()
    except OSError as error:
        raise BundleError(f"{target} cannot be made: {error.strerror}") from None
    return names


def _add(archive: zipfile.ZipFile, name: str, content: Path | str) -> None:
    """A file; a text that is a script may be executed."""
    if isinstance(content, Path):
        archive.write(content, name)
        return
    info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    mode = 0o755 if content.startswith("#!") else 0o644
    info.external_attr, info.compress_type = (stat.S_IFREG | mode) << 16, zipfile.ZIP_DEFLATED
    archive.writestr(info, content)


def _chosen(rules: Assignment) -> tuple[str, ...]:
    return rules.lectures or tuple(lectures.names())


def _student(rules: Assignment, asked: Path | None) -> Iterator[tuple[str, Path | str]]:
    yield "README.txt", _words(rules)
    for name in _chosen(rules):
        yield f"{name}.ipynb", paths.root() / "notebooks" / f"{name}.ipynb"


def _instructor(rules: Assignment, asked: Path | None) -> Iterator[tuple[str, Path | str]]:
    yield "README.txt", _words(rules)
    if asked:
        yield assignment.NAME, asked
    for folder in ("notebooks", "solutions"):
        for name in _chosen(rules):
            yield f"{folder}/{name}.ipynb", paths.root() / folder / f"{name}.ipynb"


def _gradescope(rules: Assignment, asked: Path | None) -> Iterator[tuple[str, Path | str]]:
    yield "setup.sh", SETUP
    yield "run_autograder", RUN
    if asked:
        yield assignment.NAME, asked
    for name in _FILES:
        yield f"course/{name}", paths.root() / name
    for folder in _COURSE:
        for path in sorted((paths.root() / folder).rglob("*")):
            if path.is_file() and not set(path.parts) & set(_LEFT_OUT):
                yield f"course/{path.relative_to(paths.root()).as_posix()}", path


def _words(rules: Assignment) -> str:
    """What is asked, in plain words."""
    from course_utils.checking import core

    lines = [rules.title, "=" * len(rules.title), ""]
    if rules.deadline:
        lines.append(f"Due: {rules.deadline:%Y-%m-%d %H:%M %Z}".rstrip())
    for until, share in rules.late:
        lines.append(f"Up to {until:g} hours late, {share:.0%} of the points are kept.")
    if rules.late:
        lines.append("After that nothing is.")
    tries = f" of the first {rules.attempts}" * bool(rules.attempts)
    lines += [f"Of several notebooks for a lecture the {rules.counts} one{tries} counts.", ""]
    for lecture in _chosen(rules):
        for exercise in core.all_(lecture):
            worth = rules.worth(exercise.name, exercise.points)
            if worth:
                lines.append(f"{lecture}  {exercise.name}  {worth:g} points: {exercise.title}")
    partial = "A wrong answer earns its share of right cases." if rules.partial else ""
    told = "Put the notebooks into work/ of the course, open them with `course lab`, and pack them "
    lines += ["", partial, *textwrap.wrap(told + "with `course submit`.", 80)]
    return "\n".join(lines) + "\n"
