"""Pictures for a student's report: target, answer and difference on a photo, as PNG in text."""

import base64
from dataclasses import replace
from functools import cache

from course_utils.checking import core, judging, notebook
from course_utils.checking.core import Case

DPI = 72


@cache
def case(name: str) -> Case | None:
    """The case on which an exercise's answers are drawn; None where there is no picture."""
    exercise = core.get(name)
    if exercise.picture is None:
        return None
    try:
        return replace(exercise.picture.case(), repeat=False)
    except OSError:  # no photo or no weights: the words do without
        return None


@cache
def _target(name: str) -> object:
    exercise = core.get(name)
    return exercise.picture.to_map(judging.targets(exercise, [case(name)])[0])


def picture(name: str, value: object = None) -> dict | None:
    """The picture of an exercise: of the target, and of an answer that can be drawn like it.

    Args:
        name: the exercise.
        value: what the answer gave for `case(name)`, if anything.

    Returns:
        `png` (base64), `alt`, and `yours`: whether the answer is in it; None where there is
        nothing to draw.
    """
    if case(name) is None:
        return None
    try:
        yours = None
        if value is not None:
            yours = notebook.as_map(core.get(name), value, _target(name))
        return _target_alone(name) if yours is None else _png(name, yours)
    except Exception:  # a picture is an extra: nobody's grading ends because of one
        return None


@cache
def _target_alone(name: str) -> dict:
    return _png(name, None)


def _png(name: str, yours: object) -> dict:
    exercise, target = core.get(name), _target(name)
    alike = yours is not None and not notebook.apart(exercise, yours, target)
    figure = notebook.drawn(exercise, target, yours, notebook.ALIKE if alike else "")
    data = base64.b64encode(figure.png(DPI)).decode()
    return {"png": data, "alt": figure.alt, "yours": yours is not None}
