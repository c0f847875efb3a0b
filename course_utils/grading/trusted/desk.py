"""What `course grade` does and says: a run, its reports, an appeal."""

from pathlib import Path

from course_utils.grading.trusted import engine, judge, replay, report, sandbox


def grade(submissions: Path, out: Path, settings: engine.Settings) -> bool:
    """Grades, writes the reports, and prints what was done.

    Returns:
        Whether every notebook could be read and judged.

    Raises:
        ValueError, RuntimeError: as `engine.grade`.
    """
    walls = sandbox.walls(settings.trust)
    print(f"isolation: {walls.level} ({walls.detail})", flush=True)
    run = engine.grade(submissions, out, settings)
    written, remarks = report.write(out, run.current)
    results = [r for place in run.places if (r := report.load(out, place))]
    if len(results) == 1:
        print(judge.table(results[0]) + f"\n\nwrote {out / run.places[0]}.json")
    else:
        print("\n".join([*_summary(run), *remarks, *_troubles(results), *_doubts(out, run)]))
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


def _doubts(out: Path, run: engine.Run) -> list[str]:
    """The students of whom it is not clear which notebook counts."""
    rows = [report.Row(place, r) for place in run.current if (r := report.load(out, place))]
    counted = report.counted(rows)
    return [f"{row.result['student']}: {row.remark}" for row in counted if row.remark]
