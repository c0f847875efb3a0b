"""From the outcomes of an answer to a verdict. Pure: nothing of the student's runs here."""

from collections.abc import Sequence

from course_utils.checking import describing, running, slopes
from course_utils.checking.comparing import equal
from course_utils.checking.core import (
    NOT_ATTEMPTED,
    RIGHT,
    WRONG,
    Case,
    Exercise,
    Fault,
    Mistake,
    Outcome,
    Verdict,
)
from course_utils.checking.sources import Pieces


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
    # What it says about values comes first where they are the known mistake's, on every case.
    fault = next((o.fault for o in outcomes if o.fault), None)
    values = [o.value for o in outcomes]
    good = [equal(v, t, exercise.tolerance) for v, t in zip(values, wanted, strict=True)]
    if fault is None and all(good):
        return _aftermath(exercise, cases, outcomes)
    if fault is not None:
        number = next(i for i, o in enumerate(outcomes) if o.fault)
        earlier = all(good[:number]) and number > 0
        place = f"Right on {cases[0].note}; on {cases[number].note}: " if earlier else ""
        return Verdict(WRONG, place + fault_words(exercise, fault, pieces))
    mistake = recognised(exercise, cases, values)
    if mistake:
        return Verdict(WRONG, mistake.sentence, mistake.name)
    return Verdict(WRONG, describing.describe(exercise, values, list(wanted)))


def _untouched(outcomes: Sequence[Outcome], pieces: Pieces | None) -> bool:
    if pieces is not None and (pieces.source or pieces.fault):
        return pieces.stub
    raised = [o.fault for o in outcomes if o.fault and o.fault.kind == "NotImplementedError"]
    return pieces is not None or len(raised) == len(outcomes)


def recognised(
    exercise: Exercise, cases: Sequence[Case], values: Sequence[object]
) -> Mistake | None:
    """The known mistake whose results these are, on every case."""
    for mistake in exercise.mistakes:
        if all(_is_result(mistake, c, v, exercise) for c, v in zip(cases, values, strict=True)):
            return mistake
    return None


def _is_result(mistake: Mistake, case: Case, value: object, exercise: Exercise) -> bool:
    outcome = running.run(mistake.function, Case(case.args))
    return outcome.fault is None and equal(value, outcome.value, exercise.tolerance)


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


# ------------------------------------------------------------------ exceptions


def fault_words(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    """What to say about a call that gave no result."""
    known = pieces.notebook_names if pieces else frozenset()
    special = SPECIAL.get(fault.kind)
    said = special(exercise, fault, known) if special else ""
    if said:
        return said
    line = f" in your line `{fault.line}`" if fault.line else ""
    message = fault.message.splitlines()[0][:200] if fault.message else ""
    return f"It stops with {fault.kind}{line}" + (f": {message}" if message else ".")


def _missing_name(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    line = f" (line `{fault.line}`)" if fault.line else ""
    arguments = exercise.arguments
    if fault.name in known:
        among = ", ".join(f"`{a}`" for a in arguments)
        return (
            f"It uses the notebook's variable `{fault.name}`{line}, which exists here but not "
            f"where your answer is graded. Everything it needs comes as an argument: {among}."
        )
    return f"The name `{fault.name}` is not defined{line}."


def _too_slow(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    return (
        f"It had not returned after {fault.message} seconds and was stopped; the course's own "
        "needs a fraction of one. Is there a loop that never ends?"
    )


def _closed(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    return (
        f"It calls the course's own `{fault.name}`. That is closed in exercises: write it "
        "yourself, with torch."
    )


def _unfinished(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    if fault.name and fault.name != exercise.name:
        return f"It calls `{fault.name}`, which is not written yet. Solve that one first."
    return (
        "The line `raise NotImplementedError()` is still reached. Delete it once your code stands."
    )


def _syntax(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    line = f" in the line `{fault.line}`" if fault.line else ""
    return f"The cell is not valid Python{line}: {fault.message}."


def _exit(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    return "It ends the whole program (`exit`) instead of returning a result."


def _recursion(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    return "It calls itself without end."


def _no_graph(exercise: Exercise, fault: Fault, known: frozenset[str]) -> str:
    line = f" (line `{fault.line}`)" if fault.line else ""
    if "does not require grad" in fault.message:
        return (
            f"PyTorch has recorded nothing to differentiate{line}: the input must ask for "
            "gradients before the forward pass."
        )
    if "can be implicitly created only for scalar" in fault.message:
        return (
            f"PyTorch differentiates a single number, and here it got several{line}. Make one "
            "number of the scores of the batch."
        )
    return ""


SPECIAL = {
    "NameError": _missing_name,
    "UnboundLocalError": lambda exercise, fault, known: "",
    "TimeLimit": _too_slow,
    "ClosedHelper": _closed,
    "NotImplementedError": _unfinished,
    "SyntaxError": _syntax,
    "SystemExit": _exit,
    "RecursionError": _recursion,
    "RuntimeError": _no_graph,
}
