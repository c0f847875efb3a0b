"""A loss that cannot be descended is wrong, whatever its number; here and where it is graded."""

import json

import numpy as np
import pytest
import torch

from course_utils import exercises
from course_utils.checking import judging, running, slopes
from course_utils.checking.core import RIGHT, WRONG, Case
from course_utils.common.optimise import total_variation
from course_utils.grading.sandboxed import wire
from course_utils.grading.sandboxed.worker import Worker
from course_utils.grading.trusted import judge

LOSSES = ("total_variation", "inversion_loss", "style_loss", "content_loss", "total_loss")


def verdict(name, function):
    exercise = exercises.get(name)
    cases = exercise.cases(0)
    return judging.judge(exercise, cases, [running.run(function, case) for case in cases])


def cut(function, how):
    def wrong(*args):
        return how(function, *args)

    return wrong


def in_no_grad(function, *args):
    with torch.no_grad():
        return function(*args)


WAYS = {
    "item": lambda function, *args: function(*args).item(),
    "detach": lambda function, *args: function(*args).detach(),
    "no_grad": in_no_grad,
    "a new tensor": lambda function, *args: torch.tensor(function(*args).item()),
    "numpy": lambda function, *args: function(*args).detach().numpy(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_without_a_gradient_is_wrong(name, way):
    exercise = exercises.get(name)
    found = verdict(name, cut(exercise.reference, WAYS[way]))
    assert (found.state, found.mistake, found.points) == (WRONG, None, 0)
    assert "number is right" in found.reason
    assert "cannot move" in found.reason


def test_numpy_inside_is_named():
    def by_numpy(features, target):
        return ((features.numpy() - target.numpy()) ** 2).sum()

    assert "NumPy computes it" in verdict("content_loss", by_numpy).reason


def test_a_part_that_is_cut_is_named():
    total = exercises.get("total_loss").reference
    style = exercises.get("style_loss").reference

    def picture_cut(x, *args):
        return total(x.detach(), *args)

    def layer_cut(features, targets, weights):
        held = {k: f.detach() if k == "relu1" else f for k, f in features.items()}
        return style(held, targets, weights)

    assert "gradient by `x` is zero" in verdict("total_loss", picture_cut).reason
    assert 'by `features["relu1"]` is zero' in verdict("style_loss", layer_cut).reason


def test_a_wrong_gradient_is_told_from_none():
    def halved(x, beta):
        right = total_variation(x, beta)
        return right.detach() / 2 + right / 2

    assert "its gradient by `x` is not" in verdict("total_variation", halved).reason


@pytest.mark.parametrize("name", LOSSES)
def test_tensors_that_ask_for_gradients_in_their_own_way_are_right(name):
    reference = exercises.get(name).reference
    assert verdict(name, lambda *args: reference(*args)[None]).state == RIGHT
    assert verdict(name, lambda *args: reference(*args).double()).state == RIGHT


def test_gradients_are_data_by_name():
    function = lambda x, maps: (x**2).sum() + maps["a"].sum()  # noqa: E731
    args = {"x": torch.arange(3.0), "maps": {"a": torch.ones(2), "b": torch.ones(2)}}
    found = running.run(function, Case(args, slopes=("x", "maps"))).slopes
    assert torch.equal(found["x"], 2 * torch.arange(3.0))
    assert [found["maps"][key].tolist() for key in "ab"] == [[1.0, 1.0], [0.0, 0.0]]
    assert running.run(function, Case(args)).slopes is None


@pytest.mark.parametrize("body", ["(x * x + y).sum()", "x.numpy().sum()", "1.0"])
def test_a_worker_says_the_same(body):
    """The worker's own answer, as it crosses to the judge."""
    source = f"def content_loss(x, y):\n    return {body}"
    worker, args = Worker(), {"x": torch.rand(2, 3), "y": torch.rand(2, 3)}
    text = json.dumps({"cells": [{"source": source}], "lecture": []})
    worker.read(np.frombuffer(text.encode(), dtype=np.uint8), ["content_loss"])
    worker.load("content_loss")
    said = worker.call("content_loss", args, False, ["x"])
    here = running.run(worker.functions["content_loss"], Case(args, slopes=("x",)))
    there = judge._outcome(wire.unpack(*wire.pack(said)))
    assert running.same(here.value, there.value)
    assert type(here.slopes) is type(there.slopes)
    assert str(here.slopes) == str(there.slopes)


def test_nothing_a_worker_says_of_gradients_is_believed():
    exercise = exercises.get("content_loss")
    case = exercise.cases(0)[0]
    target = judging.targets(exercise, [case])[0]
    for said in (None, 3, "x", [1], {}, {"features": None}, {"features": {}}, {"fault": {}}):
        outcome = judge._outcome({"value": target, "again": target, "slopes": said})
        assert not slopes.right(exercise, case, outcome)
        assert slopes.words(exercise, [case], [outcome])
