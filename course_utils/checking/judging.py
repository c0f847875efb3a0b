"""From the outcomes of an answer to a verdict. Pure: nothing of the student's runs here."""

import logging
from collections.abc import Sequence
from itertools import combinations

from course_utils.checking import describing, lines, running, slopes, wording
from course_utils.checking.comparing import aligned, equal, with_points
from course_utils.checking.core import (
    NOT_ATTEMPTED,
    RIGHT,
    WRONG,
    Case,
    Exercise,
    Mistake,
    Outcome,
    Verdict,
)
from course_utils.checking.explaining import fault_words, unwritten
from course_utils.checking.sources import Pieces

log = logging.getLogger(__name__)


def targets(exercise: Exercise, cases: Sequence[Case]) -> list[object]:
    """What the reference gives for each case."""
    return [_value(exercise.reference, case) for case in cases]


def _value(function, case: Case) -> object:
    outcome = running.run(function, Case(case.args))
    if outcome.fault:
        raise RuntimeError(f"{function.__name__} fails on its own case: {outcome.fault}")
    return outcome.value


def judge(
    exercise: Exercise,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    pieces: Pieces | None = None,
    wanted: Sequence[object] | None = None,
) -> Verdict:
    """Whether an answer is right, and if not, why.

    Args:
        exercise: which.
        cases: the arguments.
        outcomes: what the student's function gave for each, in the same order.
        pieces: its code, where it is known: for stubs and for names of the notebook.
        wanted: `targets(exercise, cases)`, where the caller has them already.

    Returns:
        A verdict with full points or none.

    Raises:
        ValueError: another number of outcomes than of cases.
    """
    if len(outcomes) != len(cases):
        raise ValueError(f"outcomes: {len(outcomes)} came for {len(cases)} cases")
    if _untouched(outcomes, pieces):
        return Verdict(NOT_ATTEMPTED)
    wanted = targets(exercise, cases) if wanted is None else wanted
    good = [
        o.fault is None and equal(o.value, t, exercise.tolerance)
        for o, t in zip(outcomes, wanted, strict=True)
    ]
    if all(good):
        return _aftermath(exercise, cases, outcomes)
    source = pieces.source if pieces else ""
    if said := lines.reordered(exercise.name, source, exercise.arguments):
        return Verdict(WRONG, said)
    # Some value has to speak for a mistake: failing alike says nothing.
    telling = any(not g and not o.fault for g, o in zip(good, outcomes, strict=True))
    mistake = recognised(exercise, cases, outcomes, good) if telling else None
    if not mistake and any(o.fault for o in outcomes):
        return Verdict(WRONG, _failed(exercise, cases, outcomes, good, pieces))
    lost = f" {said}" if (said := lines.thrown_away(exercise.name, source)) else ""
    if mistake:
        return Verdict(WRONG, mistake.sentence + lost, mistake.name)
    values = [o.value for o in outcomes]
    return Verdict(WRONG, _described(exercise, cases, values, list(wanted), source) + lost)


def _failed(
    exercise: Exercise,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    good: Sequence[bool],
    pieces: Pieces | None,
) -> str:
    """Words for the first call without a result, and for the calls that it concerns."""
    first = next(o.fault for o in outcomes if o.fault)
    failed = [i for i, o in enumerate(outcomes) if o.fault]
    # By the words: messages of one kind may differ in the lengths that they name.
    words = {i: fault_words(exercise, outcomes[i].fault, pieces) for i in failed}
    said = words[failed[0]]
    same = [i for i in failed if words[i] == said or len(failed) == len(cases)]
    if first.kind == "TimeLimit":  # the calls after it were not made
        same = failed[:1]
    right = [i for i, one in enumerate(good) if one]
    place = wording.calls([c.note for c in cases], right, same)
    return describing.goes_on(place, said)


def _described(
    exercise: Exercise, cases: Sequence[Case], values: list, wanted: list, source: str
) -> str:
    """Words for wrong values; plain ones where it is not foreseen what came."""
    try:
        said = ignored(exercise, cases, values, wanted) or pointed(exercise, values, wanted)
        return said or describing.describe(exercise, cases, values, wanted, source)
    except Exception:  # a check must not stop the notebook, whatever it is given
        log.info("no words for an answer to %s", exercise.name, exc_info=True)
        return f"Your result is not what is asked for: {exercise.result}."


def _untouched(outcomes: Sequence[Outcome], pieces: Pieces | None) -> bool:
    if pieces is not None and (pieces.source or pieces.fault):
        return pieces.stub
    return pieces is not None or all(unwritten(o.fault) for o in outcomes)


def recognised(
    exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome], good: Sequence[bool]
) -> Mistake | None:
    """The known mistake whose results these are, on every case; where it fails, this fails too.

    If there is none, the one whose results these are but for the order of ties (`Case.ties`).

    Args:
        good: for each case, whether its outcome is the target.
    """
    every = list(zip(cases, outcomes, good, strict=True))
    apart = [one for one in every if not one[0].ties]
    wrong_there = len(apart) < len(every) and not all(fine for *_, fine in apart)
    for some in (every, apart) if wrong_there else (every,):
        for mistake in exercise.mistakes:
            if all(_is_result(mistake, case, outcome, exercise) for case, outcome, _ in some):
                return mistake
    return None


def _is_result(mistake: Mistake, case: Case, outcome: Outcome, exercise: Exercise) -> bool:
    known = known_outcome(mistake, case)
    if known.fault or outcome.fault:
        return bool(known.fault and outcome.fault and known.fault.kind == outcome.fault.kind)
    return equal(outcome.value, known.value, exercise.tolerance)


def known_outcome(mistake: Mistake, case: Case) -> Outcome:
    """What a known mistake gives for a case."""
    return running.run(mistake.function, Case(case.args))


def ignored(
    exercise: Exercise, cases: Sequence[Case], values: Sequence[object], wanted: Sequence[object]
) -> str:
    """Words for an argument without effect; empty where no two cases show one.

    Two cases that differ in one argument alone, and whose targets differ, have the same result. Of
    a single argument, in which all cases differ, all results have to be the same.
    """
    if len(cases[0].args) == 1 and not all(
        equal(value, values[0], exercise.tolerance) for value in values
    ):
        return ""
    for i, j in combinations(range(len(cases)), 2):
        one, other = cases[i].args, cases[j].args
        differ = [name for name in one if not running.same(one[name], other.get(name))]
        apart = len(differ) == 1 and not equal(wanted[i], wanted[j], exercise.tolerance)
        # What is not even of the form that is asked for says nothing of what it was made of.
        formed = all(aligned(values[k], with_points(wanted[k])) is not None for k in (i, j))
        if apart and formed and equal(values[i], values[j], exercise.tolerance):
            return (
                f"Two calls that differ in `{differ[0]}` alone get the same {exercise.noun} from "
                f"you: `{differ[0]}` has no effect. What comes in it has to be used."
            )
    return ""


def pointed(exercise: Exercise, values: Sequence[object], wanted: Sequence[object]) -> str:
    """Words for the right indices as floating-point numbers; empty where it does not apply."""
    both = zip(values, map(with_points, wanted), strict=True)
    if not all(equal(value, target, exercise.tolerance) for value, target in both):
        return ""
    return (
        "The numbers are right, but of a type with a decimal point. Indices have to be whole "
        "numbers (`.long()`, of a plain number `int`): nothing can be looked up with 3.0."
    )


# ------------------------------------------------------------------ right values, wrong manners


LEFT = {
    "input": "it changes `{name}` itself, which belongs to the caller. Work on a copy.",
    "hook": "it leaves a hook on `{name}`, which goes on working in every later forward pass. "
    "Remove it before you return.",
    "mode": "it leaves `{name}` in another mode (train or eval) than it found it in.",
    "layers": "it leaves other layers in `{name}` than it found there, or changed ones, for every "
    "later call to meet. Work on a copy, or put the old ones back.",
    "forward": "it leaves another `forward` in `{name}`, and so every later call meets it. Put the "
    "old one back before you return.",
    "precision": "it leaves the weights of `{name}` in another precision (`.double()`, `.half()`): "
    "the next image, in single precision, will not fit. Work on a copy of the network.",
    "frozen": "it leaves the weights of `{name}` asking for gradients, or no longer asking, unlike "
    "before. Leave `requires_grad` as you found it.",
    "weights": "it changes the weights of `{name}`, and so every later answer of the network.",
    "gradient": "a gradient stays behind on `{name}`.",
}


def _aftermath(exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Verdict:
    """Right values: also the second time, and without a trace?"""
    traces = {trace: None for o in outcomes for trace in o.traces}
    words = [LEFT[kind].format(name=name) for kind, name in traces if kind in LEFT]
    serious = [kind for kind in running.STATES if any(kind == found for found, _ in traces)]
    if serious:
        name = next(name for kind, name in traces if kind == serious[0])
        return Verdict(WRONG, "The values are right, but " + LEFT[serious[0]].format(name=name))
    second = [(c, o) for c, o in zip(cases, outcomes, strict=True) if c.repeat]
    if not all(equal(o.again, o.value, exercise.tolerance) for _, o in second):
        gradient = any(kind == "gradient" for kind, _ in traces)
        why = " `backward()` adds to a gradient that is already there." if gradient else ""
        also = f" Look: {words[0]}" if words else ""
        said = "Right the first time, but a second call on the same image gives another answer:"
        return Verdict(WRONG, f"{said[:-1]}.{also}{why}")
    cut = slopes.words(exercise, cases, outcomes)
    if cut:
        return Verdict(WRONG, cut)
    remark = "One remark: " + words[0] if words else ""
    return Verdict(RIGHT, remark, points=float(exercise.points))
