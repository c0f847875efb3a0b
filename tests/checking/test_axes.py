"""What the exercises say about their results' form is true of the targets."""

import pytest
from torch import Tensor

from course_utils import exercises
from course_utils.checking import judging

NAMES = [e.name for e in exercises.all_()]


def depth(value):
    """Of lists within lists."""
    return 1 + depth(value[0]) if isinstance(value, list) else 0


@pytest.mark.parametrize("name", NAMES)
def test_axes_and_parts_fit_every_target(name):
    exercise = exercises.get(name)
    cases = exercise.cases(0)
    targets = judging.targets(exercise, cases)
    axes, parts = exercise.axes, exercise.parts
    nested = bool(axes) and isinstance(axes[0], tuple)
    assert len(axes) == len(parts) or not nested
    if not parts:
        assert all(isinstance(t, Tensor) and t.ndim <= len(axes) for t in targets)
        assert max(t.ndim for t in targets) == len(axes)
        return
    for target in targets:
        inner, deep = target, depth(target) - 1
        assert deep == (0 if nested else len(axes))
        for _ in range(deep):
            inner = inner[0]
        assert len(inner) == len(parts)
        if nested:
            lengths = [t.ndim if isinstance(t, Tensor) else 0 for t in inner]
            assert lengths == [len(names) for names in axes]
