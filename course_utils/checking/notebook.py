"""`check` and `yours_or_ours` as a notebook uses them: what is displayed, and what is returned."""

import html
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from course_utils.checking import core, explaining, history, judging, onward, reading, running
from course_utils.checking.comparing import equal
from course_utils.checking.core import (
    NOT_ATTEMPTED,
    NOT_JUDGED,
    RIGHT,
    WRONG,
    Exercise,
    Fault,
    Outcome,
    Verdict,
)
from course_utils.checking.sources import Pieces, SourceCell
from course_utils.checking.wording import unmarked
from course_utils.common import positions, projection

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """A student's function, what it did, and the verdict."""

    exercise: Exercise
    function: object
    pieces: Pieces | None
    outcomes: tuple[Outcome, ...]
    verdict: Verdict


_answers: dict[str, Answer] = {}
"""The last answer to each exercise in this kernel."""


def shell() -> object | None:
    """The running IPython, or None."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def graded() -> bool:
    """Whether nbgrader runs this notebook."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def check(name: str, function: Callable | None = None) -> float | None:
    """See `course_utils.exercises.check`."""
    exercise = core.get(name)
    if function is None and shell() is not None:
        function = shell().user_ns.get(name)
    answer = _answers[name] = examined(exercise, function)
    if graded():
        print(text(answer))
        return answer.verdict.points
    display(block(answer), text(answer))
    figure = None
    try:
        figure = picture(answer)
    except OSError as error:  # no photo or no weights: the words do without
        print(f"(no picture: {error})")
    except Exception:  # an extra, for which no notebook stops
        log.info("no picture of an answer to %s", name, exc_info=True)
    if figure is not None:
        display(figure._repr_mimebundle_()["text/html"], figure.alt)
    return None


def yours_or_ours(name: str, function: Callable) -> Callable:
    """See `course_utils.exercises.yours_or_ours`."""
    exercise, known = core.get(name), _answers.get(name)
    if known is None or known.function is not function:
        known = _answers[name] = examined(exercise, function)
    right = known.verdict.state == RIGHT
    whose = "your" if right else "the course's own"
    until = "" if right else ", until the check says that yours is right"
    if not (projection.wanted() or positions.wanted()):  # a room and a page do not mind whose
        print(f"From here on: {whose} {name}{until}.")
    if not right:
        return exercise.reference
    function = onward.called_like(function, exercise.reference)
    loss = any(o.slopes for o in known.outcomes)
    foreign = any(o.foreign for o in known.outcomes)
    return onward.as_torch(function, attached=loss) if foreign else function


def examined(exercise: Exercise, function: object) -> Answer:
    """As `examine`, and never an exception: a check must not stop the notebook."""
    try:
        return examine(exercise, function)
    except Exception as error:
        return Answer(exercise, function, None, (), stumbled(exercise, error))


def stumbled(exercise: Exercise, error: Exception) -> Verdict:
    """The verdict where the check itself fails, which is no fault of the answer."""
    log.info("no verdict on an answer to %s", exercise.name, exc_info=error)
    message = str(error).split("\n")[0][:200].replace("`", "'")
    return Verdict(
        NOT_JUDGED,
        f"The check itself stopped with `{type(error).__name__}: {message}`. That says nothing "
        "about your answer; tell your instructor.",
    )


def examine(
    exercise: Exercise, function: object, cells: Sequence[SourceCell] | None = None
) -> Answer:
    """Runs a function on the public cases and judges it.

    Args:
        exercise: which.
        function: the live function; where cells define it, their code is what runs.
        cells: the notebook's cells; by default those that have run in this IPython.
    """
    ip = shell()
    if cells is None and ip is not None:
        cells = history.cells(ip, exercise.lecture, [e.name for e in core.all_(exercise.lecture)])
    pieces = reading.assembled(cells or [], exercise)
    known = pieces if pieces.source or pieces.fault else None
    refused = _refused(exercise, function, known)
    if refused:
        return Answer(exercise, function, None, (), Verdict(WRONG, refused))
    cases = exercise.cases(core.PUBLIC_SEED)
    outcomes = _outcomes(known, function, cases)
    verdict = judging.judge(exercise, cases, outcomes, known)
    return Answer(exercise, function, known, tuple(outcomes), verdict)


def _outcomes(pieces: Pieces | None, function: object, cases: list) -> list[Outcome]:
    seconds = running.seconds_allowed()
    if pieces is None:
        return running.answers_of(function, cases, seconds)
    return running.answers(pieces, cases, seconds)


def _refused(exercise: Exercise, function: object, pieces: Pieces | None) -> str:
    """Why this is no function that a student can hand in; empty where it is one."""
    if not callable(function):
        return (
            f"`check` needs the function itself, without brackets behind its name: "
            f'`check("{exercise.name}", {exercise.name})`.'
        )
    theirs = shell() is not None and shell().user_ns.get(exercise.name) is function
    if pieces is not None and theirs:
        return ""  # whatever it calls itself: the cells say what is graded
    module = getattr(function, "__module__", None) or ""
    if module.split(".")[0] == "course_utils" or function is exercise.reference:
        return (
            f"This is the course's own `{getattr(function, '__name__', exercise.name)}`, not "
            "yours. Write the function in its cell and run that cell."
        )
    named = getattr(function, "__name__", exercise.name)
    if named not in (exercise.name, "<lambda>"):
        return explaining.fault_words(exercise, Fault("OtherName", name=named), None)
    if shell() is not None and module not in ("", "__main__"):
        return (
            f"Your function lives in the file of `{module}`, and only the notebook is handed in. "
            "Copy it into the exercise's cell."
        )
    return ""


# ------------------------------------------------------------------ words


def headline(answer: Answer) -> str:
    """The verdict in one line."""
    verdict, name = answer.verdict, answer.exercise.name
    if verdict.state == RIGHT:
        points = answer.exercise.points
        return f"{name}: right ({points} point{'s' * (points != 1)})."
    if verdict.state == NOT_ATTEMPTED:
        return f"{name}: not attempted yet."
    if verdict.state == NOT_JUDGED:
        return f"{name}: not judged."
    return f"{name}: wrong, because:"


def text(answer: Answer) -> str:
    """The verdict as plain text."""
    return unmarked(f"{headline(answer)} {answer.verdict.reason}".strip())


COLOURS = {RIGHT: "#009E73", WRONG: "#D55E00", NOT_ATTEMPTED: "#0072B2", NOT_JUDGED: "#666666"}


def block(answer: Answer) -> str:
    """The verdict as HTML, with hints to unfold where it is not right."""
    verdict = answer.verdict
    parts = [f"<strong>{html.escape(headline(answer))}</strong> {marked(verdict.reason)}"]
    printed = next((o.printed for o in answer.outcomes if o.printed.strip()), "")
    if printed:
        said = f"<pre>{html.escape(printed)}</pre>"
        parts.append(f"<details><summary>What it printed</summary>{said}</details>")
    if verdict.state != RIGHT and answer.exercise.hints:
        hints = "".join(f"<li>{marked(h)}</li>" for h in answer.exercise.hints)
        parts.append(f"<details><summary>Hints</summary><ol>{hints}</ol></details>")
    style = f"border-left:4px solid {COLOURS[verdict.state]};padding:2px 10px"
    return f'<div class="course-check" style="{style}">{"".join(parts)}</div>'


def marked(sentence: str) -> str:
    """A sentence as HTML: `code` and *emphasis*."""
    escaped = html.escape(sentence)
    codes = re.split(r"(`[^`]*`)", escaped)
    return "".join(
        f"<code>{part[1:-1]}</code>"
        if part.startswith("`")
        else re.sub(r"\*(\w[^*]*)\*", r"<em>\1</em>", part)
        for part in codes
    )


def display(markup: str, alternative: str) -> None:
    """Shows HTML in a notebook, the text alternative elsewhere."""
    if shell() is None:
        print(alternative)
        return
    from IPython.display import display as show

    show({"text/html": markup, "text/plain": alternative}, raw=True)


# ------------------------------------------------------------------ target | yours | difference


def picture(answer: Answer) -> object | None:
    """Target, yours and their difference; None where the exercise has no picture.

    They are drawn on a photo, and where a wrong answer is right on the photo, on a case on which
    it is not.
    """
    exercise = answer.exercise
    if exercise.picture is None or (shell() is None and answer.pieces is None):
        return None
    case = exercise.picture.case()
    result = judging.targets(exercise, [case])[0]
    target = exercise.picture.to_map(result)
    if not answer.outcomes or any(o.fault for o in answer.outcomes):
        return drawn(exercise, target, None)
    value = _outcomes(answer.pieces, answer.function, [replace(case, repeat=False)])[0].value
    yours = as_map(exercise, value, target)
    if answer.verdict.state == WRONG and yours is not None and not apart(exercise, yours, target):
        return _failing(answer) or drawn(exercise, target, yours, ALIKE)
    return drawn(exercise, target, yours)


ALIKE = "In this picture yours is like the target; what is wrong stands above."


def apart(exercise: Exercise, yours: object, target: object) -> bool:
    """Whether a difference can be seen between two maps."""
    return not equal(yours, target, max(exercise.tolerance, 1e-3))


def _failing(answer: Answer) -> object | None:
    """The picture of the first case in which a difference is to be seen; None where none is."""
    exercise = answer.exercise
    cases = exercise.cases(core.PUBLIC_SEED)
    rows = zip(cases, answer.outcomes, judging.targets(exercise, cases), strict=True)
    for case, outcome, result in rows:
        target = as_map(exercise, result, None)
        yours = None if target is None else as_map(exercise, outcome.value, target)
        if yours is not None and _can_be_drawn(target) and apart(exercise, yours, target):
            said = f"On a photo yours is right, but not on {case.note}."
            return drawn(exercise, target, yours, said, f"on {case.note}")
    return None


def _can_be_drawn(found: object) -> bool:
    """Whether it is a map (H,W) or a picture (3,H,W)."""
    return found.ndim == 2 or (found.ndim == 3 and len(found) == 3)


def as_map(exercise: Exercise, value: object, target: object) -> object | None:
    """A result as a map (H,W) or picture (3,H,W) like the target's, or None where it is none.

    Args:
        target: the map of the target; None where any map will do.
    """
    try:
        found = exercise.picture.to_map(value).float()
        alike = target is None or found.shape == target.shape
        return found if alike and found.isfinite().all() else None
    except Exception:  # whatever was returned instead of a result
        return None


def drawn(
    exercise: Exercise, target: object, yours: object | None, said: str = "", subject: str = ""
) -> object:
    """A figure of the target, and of another map and the difference where there is one.

    Args:
        target: a map (H,W), or a picture (3,H,W) in 0-1. Of the difference of two pictures the
            colour is drawn that is farthest off.
        yours: of the same shape.
        said: a line above the maps.
        subject: what they show, where it is not the exercise's picture.
    """
    import matplotlib
    from matplotlib import figure

    from course_utils import show

    panels = _panels(target, yours, exercise.picture.signed)
    values, scale = panels[0][1:]
    with matplotlib.rc_context(show.STYLE):
        tall = min(1.0, values.shape[0] / values.shape[1])
        size = 2.5 * len(panels), 2.1 * tall + 0.6 + 0.3 * bool(said)
        canvas = figure.Figure(figsize=size, layout="constrained")
        canvas.get_layout_engine().set(wspace=0.06)
        for axes, (name, array, setting) in zip(
            canvas.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            axes.set_axis_off()
            shown = array.clip(0, 1) if array.ndim == 3 else array
            axes.imshow(shown, **setting)
            axes.set_title(f"{name}\n{_range(array, scale)}")
        if said:
            canvas.suptitle(said, fontsize="medium")
    subject = subject or exercise.picture.subject
    return show.Figure(canvas, _alternative(exercise, subject, panels, said))


def _panels(target: object, yours: object | None, signed: bool) -> list[tuple[str, object, dict]]:
    """Name, values and what `imshow` is told of the target, and of yours and the difference."""
    from course_utils import show

    if target.ndim == 3:
        values, scale = target.movedim(0, -1).numpy(), {"vmin": 0.0, "vmax": 1.0}
    else:
        values, scale = show.heat(target, signed)
    panels = [("target", values, scale)]
    if yours is not None:
        gap = yours - target
        if gap.ndim == 3:
            gap = gap.gather(0, gap.abs().argmax(0, keepdim=True))[0]
            yours = yours.movedim(0, -1)
        top = max(abs(scale["vmax"]), 1e-12)
        change = {"cmap": show.DIVERGING, "vmin": -top, "vmax": top}
        panels += [("yours", yours.numpy(), scale), ("difference", gap.numpy(), change)]
    return panels


def _alternative(exercise: Exercise, subject: str, panels: list, said: str) -> str:
    ranges = ", ".join(f"{name} from {_range(a, panels[0][2])}" for name, a, _ in panels)
    way = "in their own colours" if panels[0][1].ndim == 3 else "on one scale of colours"
    alone = f"{exercise.title}, {subject}, {way}: {ranges}."
    return f"{alone} {said}".strip()


def _range(array: object, scale: dict) -> str:
    """The least and the largest value; float noise, as seen on the scale, is zero."""
    floor = 1e-5 * scale["vmax"]
    low, high = (v if abs(v) > floor else 0.0 for v in (array.min(), array.max()))
    return f"{low:.2g} to {high:.2g}"
