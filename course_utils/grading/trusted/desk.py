"""What `course grade` does and says: a run, its reports, an appeal."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

from course_utils.common import errors
from course_utils.grading.trusted import (
    assignment,
    engine,
    files,
    judge,
    marks,
    replay,
    report,
    roster,
    sandbox,
)
from course_utils.grading.trusted.journal import Journal


def grade(
    submissions: Path,
    out: Path,
    settings: engine.Settings,
    asked: Path | None = None,
    people: Path | None = None,
) -> bool:
    """Grades, writes the reports, and prints what was done.

    Args:
        submissions, out, settings: as for `engine.grade`.
        asked: the assignment's file; kept in the folder of results for later runs.
        people: the roster's, likewise.

    Returns:
        Whether every notebook could be read and judged.

    Raises:
        ValueError, RuntimeError: as `engine.grade`.
    """
    _keep(out, asked, people)
    rules = report.kept(out)
    if settings.seed is None:
        settings = replace(settings, seed=rules.asked.seed)
    walls = sandbox.walls(settings.trust)
    print(f"isolation: {walls.level} ({walls.detail})", flush=True)
    run = engine.grade(submissions, out, settings)
    written, remarks = report.write(out, run.current, rules)
    results = [r for place in run.places if (r := report.load(out, place))]
    if len(results) == 1:
        print(judge.table(results[0]) + f"\n\nwrote {out / run.places[0]}.json")
    else:
        told = [*_summary(run), *remarks, *_troubles(results), *_doubts(out, run, rules)]
        print("\n".join(told))
        print("wrote " + ", ".join(map(str, written)))
    return all(result["state"] == judge.GRADED for result in results)


def appeal(out: Path, student: str, exercise: str, trust: bool) -> str:
    """A stored result case by case.

    Raises:
        ValueError, RuntimeError: as `replay.replay`.
    """
    return replay.replay(out, student, exercise, trust)


def _summary(run: engine.Run) -> list[str]:
    """What a run did, in a few lines."""
    said = [f"graded: {run.graded}", f"unchanged: {run.kept}", f"set aside: {run.aside}"]
    if run.graded:
        each = f"{run.seconds / run.graded:.1f} s a notebook, {run.jobs} at a time"
        said.append(f"in {run.seconds:.0f} s ({each}, at most {run.peak_memory_mib:,} MiB)")
    return [", ".join(said), *run.remarks]


def _troubles(results: list[dict]) -> list[str]:
    """The notebooks and the exercises without a judgement, each with the reason."""
    found = []
    for result in results:
        who = f"{result['student']}, {result['notebook']}"
        found += [f"{who}: {result['reason']}"] * (result["state"] != judge.GRADED)
        lost = [one for one in result["exercises"] if one["state"] == judge.FAILED]
        found += [f"{who}, {one['exercise']}: {one['reason']}" for one in lost]
    return found


def _doubts(out: Path, run: engine.Run, rules: report.Rules) -> list[str]:
    """The students of whom it is not clear which notebook counts."""
    rows = report.rows_of(out, run.current, rules)
    return [f"{row.result['student']}: {row.remark}" for row in rows if row.remark]


def _keep(out: Path, asked: Path | None, people: Path | None) -> None:
    """Puts the assignment and the roster into the folder of results, once they can be read."""
    for source, name, read in (
        (asked, assignment.NAME, assignment.read),
        (people, roster.NAME, roster.read),
    ):
        if source is not None:
            read(source)
            out.mkdir(parents=True, exist_ok=True)
            if source.resolve() != (out / name).resolve():
                shutil.copyfile(source, out / name)
                (out / name).chmod(0o600)


def forget(out: Path, student: str) -> list[str]:
    """Deletes all that is kept of a student: results, page, decisions, lines of the journal.

    The tables are written anew, exports are deleted. The submission and the roster, which are the
    instructor's, are not touched.

    Args:
        out: the folder of results.
        student: the name, as in the class's table.

    Returns:
        What was deleted.

    Raises:
        ValueError: nothing is kept of such a student; JournalError: a run is at work.
    """
    with Journal(out) as journal:
        places = [p.relative_to(out).with_suffix("").as_posix() for p in out.glob("*/*.json")]
        own = [p for p in places if (r := report.load(out, p)) and r["student"] == student]
        if not own:
            known = sorted({r["student"] for p in places if (r := report.load(out, p))})
            raise ValueError(errors.unknown("student", student, known, "students"))
        rules = report.kept(out)
        journal.forget(set(own))
        for folder in {place.partition("/")[0] for place in own}:
            shutil.rmtree(out / folder)
        left = journal.current()
    for name in ("moodle.csv", "canvas.csv"):  # `course export` makes them anew
        (out / name).unlink(missing_ok=True)
    if (out / marks.NAME).is_file():
        _without(out / marks.NAME, student)
    said = tuple(a for a in rules.said if a.student != student)
    report.write(out, left, replace(rules, said=said))
    return own


def _without(path: Path, student: str) -> None:
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    at = rows[0].index("student")
    with io.StringIO(newline="") as text:
        csv.writer(text).writerows(r for r in rows if len(r) <= at or r[at].strip() != student)
        files.store(path, text.getvalue())
