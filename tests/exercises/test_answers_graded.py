"""The grader says of an answer what the check says: the same verdict, in the same words."""

import json
import textwrap

import answers_09_to_16
import pytest
import test_answers

from course_utils import exercises
from course_utils.checking.core import PUBLIC_SEED, RIGHT
from course_utils.common import paths
from course_utils.grading.trusted import judge, sandbox

TOGETHER = [
    *(("pointing_score", "deletion_curve"), ("ascent_step", "ascend", "clip_small")),
    *(("fgsm", "targeted_ascent"), ("dream_step", "next_octave"), ("total_variation",)),
    *(("inversion_loss",), ("gram",), ("style_loss",), ("content_loss", "total_loss")),
    ("instance_norm", "training_step"),
]
"""Answers that are handed in together: an answer that may call another stands alone."""

LIMITS = sandbox.Limits(call=90, total=300)


def sample(name):
    """Three answers to an exercise: right, wrong, and for a loss one whose gradient is cut."""
    own = [(source, must) for n, _, source, *_, must, _ in answers_09_to_16.ANSWERS if n == name]
    right = [s for n, _, s, state, *_ in answers_09_to_16.ANSWERS if (n, state) == (name, RIGHT)]
    cut = [s for s, must in own if "number is right" in must]
    wrong = [s for s, _ in own if s not in right and s not in cut]
    return [right[-1], wrong[0], (cut or wrong)[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("names", TOGETHER, ids="-".join)
def test_an_answer_is_graded_as_it_was_checked(parent, names, number, tmp_path):
    lecture = exercises.get(names[0]).lecture
    content = json.loads((paths.root() / "solutions" / f"{lecture}.ipynb").read_text("utf-8"))
    answers = {name: sample(name)[number] for name in names}
    for cell in content["cells"]:
        given = answers.get(cell["metadata"].get("nbgrader", {}).get("grade_id"))
        cell["source"] = textwrap.dedent(given).strip() if given else cell["source"]
    path = tmp_path / f"{lecture}.ipynb"
    path.write_text(json.dumps(content), "utf-8")
    found = judge.grade(path, seed=PUBLIC_SEED, limits=LIMITS, draw=False, parent=parent)
    graded = {one["exercise"]: one for one in found["exercises"]}
    for name, source in answers.items():
        here = test_answers.verdict(name, source)
        there = graded[name]
        assert (there["state"], there["reason"]) == (here.state, here.reason)
        assert (there["points"] == there["max_points"]) == (here.state == RIGHT)


def test_every_exercise_is_handed_in():
    known = {answer[0] for answer in answers_09_to_16.ANSWERS}
    assert sorted(name for names in TOGETHER for name in names) == sorted(known)
