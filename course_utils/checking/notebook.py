"""`check` and `yours_or_ours` as a notebook uses them: what is displayed, and what is returned."""

import html
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from course_utils.checking import core, history, judging, onward, running, sources
from course_utils.checking.core import NOT_ATTEMPTED, RIGHT, WRONG, Exercise, Outcome, Verdict
from course_utils.checking.sources import Pieces, SourceCell


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
    answer = _answers[name] = examine(exercise, function)
    if graded():
        print(text(answer))
        return answer.verdict.points
    display(block(answer), text(answer))
    figure = None
    try:
        figure = picture(answer)
    except OSError as error:  # no photo or no weights: the words do without
        print(f"(no picture: {error})")
    if figure is not None:
        display(figure._repr_mimebundle_()["text/html"], figure.alt)
    return None


def yours_or_ours(name: str, function: Callable) -> Callable:
    """See `course_utils.exercises.yours_or_ours`."""
    exercise, known = core.get(name), _answers.get(name)
    if known is None or known.function is not function:
        known = _answers[name] = examine(exercise, function)
    right = known.verdict.state == RIGHT
    whose = "your" if right else "the course's own"
    until = "" if right else ", until the check says that yours is right"
    print(f"From here on: {whose} {name}{until}.")
    if not right:
        return exercise.reference
    function = onward.called_like(function, exercise.reference)
    loss = any(o.slopes for o in known.outcomes)
    foreign = any(o.foreign for o in known.outcomes)
    return onward.as_torch(function, attached=loss) if foreign else function


def examine(
    exercise: Exercise, function: object, cells: Sequence[SourceCell] | None = None
) -> Answer:
    """Runs a function on the public cases and judges it.

    Args:
        exercise: which.
        function: the live function; where cells define it, their code is what runs.
        cells: the notebook's cells; by default those that have run in this IPython.
    """
    refused = _refused(exercise, function)
    if refused:
        return Answer(exercise, function, None, (), Verdict(WRONG, refused))
    ip = shell()
    if cells is None and ip is not None:
        cells = history.cells(ip, exercise.lecture, [e.name for e in core.all_(exercise.lecture)])
    pieces = sources.assemble(cells or [], exercise.name)
    known = pieces if pieces.source else None
    cases = exercise.cases(core.PUBLIC_SEED)
    outcomes = _outcomes(known, function, cases)
    verdict = judging.judge(exercise, cases, outcomes, known)
    return Answer(exercise, function, known, tuple(outcomes), verdict)


def _outcomes(pieces: Pieces | None, function: object, cases: list) -> list[Outcome]:
    seconds = running.seconds_allowed()
    if pieces is None:
        return running.answers_of(function, cases, seconds)
    return running.answers(pieces, cases, seconds)


def _refused(exercise: Exercise, function: object) -> str:
    """Why this is no function that a student can hand in; empty where it is one."""
    if not callable(function):
        return (
            f"`check` needs the function itself, without brackets behind its name: "
            f'`check("{exercise.name}", {exercise.name})`.'
        )
    module = getattr(function, "__module__", None) or ""
    if module.split(".")[0] == "course_utils" or function is exercise.reference:
        return (
            f"This is the course's own `{getattr(function, '__name__', exercise.name)}`, not "
            "yours. Write the function in its cell and run that cell."
        )
    if getattr(function, "__name__", exercise.name) not in (exercise.name, "<lambda>"):
        return (
            f"You handed in `{function.__name__}`; graded is the function that is called "
            f"`{exercise.name}`."
        )
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
    return f"{name}: wrong, because:"


def text(answer: Answer) -> str:
    """The verdict as plain text."""
    said = f"{headline(answer)} {answer.verdict.reason}".strip()
    return said.replace("*", "")


COLOURS = {RIGHT: "#009E73", WRONG: "#D55E00", NOT_ATTEMPTED: "#0072B2"}


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
    """Target, yours and their difference on a photo; None where the exercise has no picture."""
    exercise = answer.exercise
    if exercise.picture is None or (shell() is None and answer.pieces is None):
        return None
    case = exercise.picture.case()
    target = exercise.picture.to_map(judging.targets(exercise, [case])[0])
    yours = None
    if answer.outcomes and not any(o.fault for o in answer.outcomes):
        yours = _drawable(exercise, answer, case, target)
    return drawn(exercise, target, yours)


def _drawable(exercise: Exercise, answer: Answer, case: object, target: object) -> object | None:
    """The student's map of the photo, or None where it is none."""
    outcome = _outcomes(answer.pieces, answer.function, [replace(case, repeat=False)])[0]
    return as_map(exercise, outcome.value, target)


def as_map(exercise: Exercise, value: object, target: object) -> object | None:
    """A result of the picture's case as a map (H,W) like the target's, or None where it is none."""
    try:
        found = exercise.picture.to_map(value).float()
    except (TypeError, AttributeError, IndexError, RuntimeError, KeyError):
        return None
    return found if found.shape == target.shape and found.isfinite().all() else None


def drawn(exercise: Exercise, target: object, yours: object | None) -> object:
    """A figure of the target (H,W), and of another map and the difference where there is one."""
    import matplotlib
    from matplotlib import figure

    from course_utils import show

    values, scale = show.heat(target, exercise.picture.signed)
    panels = [("target", values, scale)]
    if yours is not None:
        gap = (yours - target).numpy()
        top = max(abs(scale["vmax"]), 1e-12)
        signed = {"cmap": show.DIVERGING, "vmin": -top, "vmax": top}
        panels += [("yours", yours.numpy(), scale), ("difference", gap, signed)]
    with matplotlib.rc_context(show.STYLE):
        canvas = figure.Figure(figsize=(2.5 * len(panels), 2.7), layout="constrained")
        for axes, (name, array, setting) in zip(
            canvas.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            axes.set_axis_off()
            axes.imshow(array, **setting)
            axes.set_title(f"{name}\n{_range(array, scale)}")
    return show.Figure(canvas, _alternative(exercise, panels))


def _alternative(exercise: Exercise, panels: list) -> str:
    ranges = ", ".join(f"{name} from {_range(a, panels[0][2])}" for name, a, _ in panels)
    return f"{exercise.title}, {exercise.picture.subject}, on one scale of colours: {ranges}."


def _range(array: object, scale: dict) -> str:
    """The least and the largest value; float noise, as seen on the scale, is zero."""
    floor = 1e-5 * scale["vmax"]
    low, high = (v if abs(v) > floor else 0.0 for v in (array.min(), array.max()))
    return f"{low:.2g} to {high:.2g}"
