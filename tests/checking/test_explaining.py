"""Exceptions that students meet, each in a tutor's words; only the stub's own line is the stub."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from course_utils import exercises
from course_utils.checking import explaining, judging, running
from course_utils.checking.core import NOT_ATTEMPTED, WRONG, Case, Fault

X, G = torch.randn(2, 3, 6, 9), torch.randn(2, 3, 6, 9)
MAPS, WEIGHT, LOGITS = torch.randn(2, 5, 4, 6), torch.randn(7, 5), torch.randn(2, 5)
CLASSES, LABELS = torch.tensor([1, 2]), ["a", "b"]


def leaf():
    return torch.randn(3, requires_grad=True)


def changed_leaf():
    one = leaf()
    one += 1


def twice():
    one = leaf()
    score = (one * one).sum()
    score.backward()
    score.backward()


def changed_later():
    one = leaf()
    two = one.exp()
    two.add_(1)
    two.sum().backward()


def never_recorded():
    with torch.no_grad():
        score = leaf().sum()
    score.backward()


def empty_gradient():
    return leaf().grad.abs()


def own_stub():
    raise NotImplementedError()


FAULTS = [
    (lambda: (MAPS == 0).mean((2, 3)), ["`mean` needs decimals", "True and False", "`.float()`"]),
    (lambda: CLASSES.mean(), ["`mean` needs decimals", "whole numbers"]),
    (lambda: (MAPS == 0).std(), "`std` and `var` need decimals"),
    (lambda: X > 0 & G > 0, ["`&` binds tighter", "brackets around each"]),
    (lambda: X & G, ["`&` combines True and False", "decimals"]),
    (lambda: (X - G) ^ 2, ["exclusive or", "`**`"]),
    (lambda: 1 - (X > 0), ["`-` does not work with True and False"]),
    (lambda: CLASSES.softmax(0), ["needs decimals", "whole numbers"]),
    (lambda: X > 0 and G > 0, "ask for one True or False"),
    (lambda: X * G[:, :, :5], ["do not fit together", "length 6", "5"]),
    (lambda: MAPS * WEIGHT[:, CLASSES], "do not fit together"),
    (lambda: WEIGHT @ MAPS[0].flatten(1).T, ["7 x 5 and 24 x 5", "transposed"]),
    (lambda: WEIGHT @ torch.randn(3, 4), "cannot be multiplied"),
    (lambda: LOGITS[:, torch.tensor([5])], ["no index 5", "5 entries"]),
    (lambda: LOGITS[:1][1], ["no index 1", "axis 0 has 1 entry, number 0."]),
    (lambda: LOGITS[0, 0, 0], "More indices are given than there are axes"),
    (lambda: LOGITS.sum(2), ["no axis 2", "has 2"]),
    (changed_leaf, "cannot be changed in place"),
    (lambda: leaf().numpy(), "NumPy cannot take a tensor whose gradient"),
    (lambda: np.abs(leaf()), "NumPy cannot take a tensor whose gradient"),
    (twice, "can be differentiated once"),
    (changed_later, "changed in place after the forward pass"),
    (lambda: torch.autograd.grad(leaf().sum(), leaf()), "does not depend on the tensor"),
    (never_recorded, "recorded nothing to differentiate"),
    (empty_gradient, ["`.grad` is still empty", "backward pass"]),
    (lambda: X.max(1).abs(), ["`max` gives two things", "`.values`"]),
    (lambda: LOGITS.item(), "One number is needed"),
    (lambda: X.reshape(5, 5), ["324 numbers do not fill the shape [5, 5]"]),
    (lambda: torch.stack([X, MAPS]), "one shape can be stacked"),
    (lambda: LOGITS @ WEIGHT.T.double(), "Two kinds of numbers meet"),
    (lambda: [X].abs(), "Make one tensor of it first"),
    (lambda: LABELS[CLASSES], "A Python list gives one entry at a time"),
    (lambda: functional.one_hot(X), "It stops with RuntimeError"),
]


@pytest.mark.parametrize(("function", "words"), FAULTS)
def test_exceptions_are_put_into_words(function, words):
    fault = running.run(function, Case({})).fault
    said = explaining.fault_words(exercises.get("saliency_map"), fault, None)
    for word in [words] if isinstance(words, str) else words:
        assert word in said, said
    assert said.count("`") % 2 == 0
    assert "NotImplementedError" not in said


def test_columns_of_all_classes_are_named_where_shapes_do_not_fit():
    fault = running.run(lambda: MAPS * WEIGHT.T[:, CLASSES], Case({})).fault
    fault = Fault(fault.kind, fault.message, "return maps * weight[:, classes]")
    said = explaining.fault_words(exercises.get("class_activation_map"), fault, None)
    assert "takes all of them for every row" in said


def test_a_changed_line_of_def_is_told():
    exercise = exercises.get("saliency_map")
    cases = exercise.cases(0)

    def saliency_map(model, x):
        return x

    outcomes = [running.run(saliency_map, case) for case in cases]
    reason = judging.judge(exercise, cases, outcomes).reason
    assert "TypeError" in reason


def test_only_the_stubs_own_line_is_unwritten():
    torchs = running.run(lambda: (MAPS == 0).mean(), Case({})).fault
    assert torchs.kind == "NotImplementedError"
    assert not explaining.unwritten(torchs)
    assert explaining.unwritten(running.run(own_stub, Case({})).fault)
    assert explaining.unwritten(Fault("NotImplementedError"))
    assert not explaining.unwritten(Fault("NotImplementedError", "mean(): no", ""))
    exercise = exercises.get("sparsity")
    cases = exercise.cases(0)
    outcomes = [running.run(lambda maps: (maps == 0).mean((2, 3)), case) for case in cases]
    assert judging.judge(exercise, cases, outcomes).state == WRONG
    outcomes = [running.run(lambda maps: own_stub(), case) for case in cases]
    assert judging.judge(exercise, cases, outcomes).state == NOT_ATTEMPTED


def test_an_exception_that_cannot_even_be_told_is_a_fault():
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    def fails():
        raise Mute

    assert running.run(fails, Case({})).fault.kind == "Mute"
