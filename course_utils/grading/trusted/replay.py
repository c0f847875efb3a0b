"""An appeal: a stored result once more, with every case, the target and the answer."""

from pathlib import Path

import torch
from torch import Tensor

from course_utils.checking import core, sources
from course_utils.checking.comparing import difference
from course_utils.checking.core import Case, NetworkSpec, Outcome
from course_utils.common import errors
from course_utils.grading.trusted import files, judge, report, sandbox
from course_utils.grading.trusted.submission import Submission

_NUMBERS = 6  # of an array, that are shown


class ReplayError(ValueError):
    """There is no such result, or nothing in it to run again."""


def replay(out: Path, student: str, exercise: str, trust: bool = False) -> str:
    """Runs an exercise of a stored submission again, with the stored seed, and shows all of it.

    Args:
        out: the folder of results.
        student: as in the class's table, or the folder's name.
        exercise: its name.
        trust: allow a worker without walls where no sandbox works.

    Returns:
        A text: seed, and for each case its arguments, the target, the answer, the difference.

    Raises:
        ReplayError: no such student or exercise in the results.
        SandboxError: no sandbox works here.
    """
    result = _stored(out, student, exercise)
    one = next(e for e in result["exercises"] if e["exercise"] == exercise)
    cells = tuple(sources.SourceCell(**cell) for cell in result["cells"])
    found = Submission(result["notebook"], result["lecture"], cells, result["sha256"])
    cases, wanted = judge.drawn(exercise, result["seed"])
    with judge.Session(found, sandbox.walls(trust), sandbox.Limits()) as session:
        pieces, outcomes, _ = session.answers(exercise, cases)
    known = core.get(exercise)
    verdict, states = judge.judged(known, cases, outcomes, pieces, wanted)
    rows = zip(cases, wanted, outcomes, states, strict=True)
    now = f"now: {verdict.state}, {verdict.points:g} of {known.points:g} points"
    then = f"stored: {one['state']}, {one['points']:g} of {one['max_points']:g} points"
    head = [f"{result['student']}: {result['notebook']}, {exercise}", f"seed {result['seed']}"]
    told = [line for n, row in enumerate(rows, 1) for line in _told(n, *row, known.tolerance)]
    return "\n".join([*head, then, now, judge.clean(verdict.reason, 1000), *told])


def _stored(out: Path, student: str, exercise: str) -> dict:
    """The student's result that holds the exercise; of several the one that counts."""
    places = [p.relative_to(out).with_suffix("").as_posix() for p in sorted(out.glob("*/*.json"))]
    rows = [report.Row(place, r) for place in places if (r := report.load(out, place))]
    if not rows:
        raise ReplayError(f"there are no results in {out}")
    folder = f"{files.safe_name(student)}/"
    theirs = [r for r in rows if student == r.result["student"] or r.place.startswith(folder)]
    if not theirs:
        known = sorted({row.result["student"] for row in rows})
        raise ReplayError(errors.unknown("student", student, known, "students"))
    ordered = sorted(report.counted(theirs), key=lambda row: row.counted)
    held = {one["exercise"]: row.result for row in ordered for one in row.result["exercises"]}
    if exercise not in held:
        raise ReplayError(errors.unknown("exercise", exercise, held, f"exercises of {student}"))
    return held[exercise]


def _told(
    number: int, case: Case, target: object, outcome: Outcome, state: str, tolerance: float
) -> list[str]:
    """A case in words and numbers."""
    lines = ["", f"case {number}, {case.note}: {state}"]
    lines += [f"  {name} = {described(value)}" for name, value in case.args.items()]
    lines.append(f"  target: {described(target)}")
    if outcome.fault:
        fault = outcome.fault
        where = f" in `{fault.line}`" if fault.line else ""
        return [*lines, f"  answer: none, {fault.kind}{where}: {judge.clean(fault.message, 300)}"]
    gap = difference(outcome.value, target)
    lines.append(f"  answer: {described(outcome.value)}")
    lines.append(f"  difference: {gap:.3g} of the target's largest value; accepted: {tolerance:g}")
    if case.repeat:
        lines.append(f"  again:  {described(outcome.again)}")
    left = [f"{kind} of {name}" for kind, name in outcome.traces]
    return lines + ([f"  changed: {judge.clean(', '.join(left), 200)}"] if left else [])


def described(value: object) -> str:
    """A value in one line: form, range and first numbers of an array."""
    if isinstance(value, NetworkSpec):
        return f"network {value.name}, seed {value.seed}, {value.classes} classes"
    if isinstance(value, Tensor):
        return _array(value)
    if isinstance(value, list | tuple) and any(isinstance(part, Tensor) for part in value):
        return f"{len(value)} parts: " + "; ".join(described(part) for part in value[:4])
    return judge.clean(repr(value), 300)


def _array(value: Tensor) -> str:
    kind = str(value.dtype).removeprefix("torch.")
    form = f"{kind} {tuple(value.shape)}"
    if not value.numel() or value.is_complex():
        return form
    flat = value.flatten().to(torch.float64)
    first = ", ".join(f"{number:.6g}" for number in flat[:_NUMBERS].tolist())
    more = ", ..." if flat.numel() > _NUMBERS else ""
    return f"{form}, {flat.min():.6g} to {flat.max():.6g}: {first}{more}"
