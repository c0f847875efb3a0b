"""Whether a loss can be descended: its gradient beside the reference's, and words about it."""

from collections.abc import Sequence

from torch import Tensor

from course_utils.checking import running
from course_utils.checking.comparing import equal, size
from course_utils.checking.core import Case, Exercise, Fault, Outcome

CUT = (
    "Your number is right, but the way back from it is cut: it has no gradient, so the descent "
    "that uses it cannot move."
)
"""What is said where a loss has no gradient at all."""


def wanted(exercise: Exercise, case: Case) -> dict[str, object]:
    """The gradient of the reference by each argument of `case.slopes`.

    Raises:
        RuntimeError: the reference has none.
    """
    found = running.run(exercise.reference, case).slopes
    if not isinstance(found, dict):
        raise RuntimeError(f"{exercise.name}: the reference has no gradient ({found})")
    return found


def right(exercise: Exercise, case: Case, outcome: Outcome) -> bool:
    """Whether the gradients that a case asks for are the reference's."""
    return not case.slopes or equal(outcome.slopes, wanted(exercise, case), exercise.tolerance)


def words(exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> str:
    """What to say of right numbers without the right gradient; empty where nothing is missing."""
    for case, outcome in zip(cases, outcomes, strict=True):
        if not right(exercise, case, outcome):
            return _said(outcome.slopes, wanted(exercise, case), exercise.tolerance)
    return ""


def _said(found: object, target: dict[str, object], tolerance: float) -> str:
    if isinstance(found, Fault):
        return _failing(found)
    if not isinstance(found, dict):
        return (
            f"{CUT} `.item()`, `.detach()`, `.data`, `torch.tensor(...)` of a result, `no_grad` "
            "and NumPy cut it. Return a tensor that torch made of the arguments all the way."
        )
    parts = _parts(found, target)
    name, mine, ours = next((p for p in parts if not equal(*p[1:], tolerance)), parts[0])
    still = isinstance(mine, Tensor) and not mine.any() and size(ours) > 0
    if still:
        return (
            f"Your number is right, but its gradient by {name} is zero: that part is cut off, as "
            "`.item()`, `.detach()`, `.data`, `torch.tensor(...)`, `no_grad` and NumPy do it, and "
            "the descent does not see it."
        )
    return (
        f"Your number is right, but its gradient by {name} is not, and a descent goes by the "
        "gradient. Is a part of it detached, or turned into a plain number on the way?"
    )


def _failing(fault: Fault) -> str:
    """Words for a call that fails only where gradients are asked for."""
    line = f" (line `{fault.line}`)" if fault.line else ""
    if "numpy() on Tensor that requires grad" in fault.message:
        return (
            f"Your number is right, but NumPy computes it{line}, and NumPy knows no gradient: the "
            "descent that uses it cannot move. `.detach()` would only hide that; stay with torch."
        )
    message = fault.message.splitlines()[0][:160].rstrip(".") if fault.message else fault.kind
    return (
        f"Your number is right, but the call fails{line} once the arguments ask for gradients, as "
        f"they do in a descent: {message}."
    )


def _parts(found: dict, target: dict[str, object]) -> list[tuple[str, object, object]]:
    """Names, gradients and targets, one tensor each."""
    parts = []
    for name, ours in target.items():
        mine = found.get(name)
        if not isinstance(ours, dict):
            parts.append((f"`{name}`", mine, ours))
            continue
        mine = mine if isinstance(mine, dict) else {}
        parts += [(f'`{name}["{key}"]`', mine.get(key), part) for key, part in ours.items()]
    return parts
