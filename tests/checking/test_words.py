"""Wrong answers that nobody listed get words, and the words are true."""

import re

import pytest
import torch

from course_utils import exercises, patches, saliency, start_here, texture
from course_utils.checking import judging, running
from course_utils.checking.core import NOT_ATTEMPTED, RIGHT, WRONG, Fault, Outcome

map_ = saliency.saliency_map


def verdict(name, function):
    exercise = exercises.get(name)
    cases = exercise.cases(0)
    return judging.judge(exercise, cases, [running.run(function, case) for case in cases])


def said(name, function):
    found = verdict(name, function)
    assert found.state == WRONG
    assert found.mistake is None
    return found.reason


UNLISTED_MAPS = {
    "a constant factor": (lambda m, x, c: 3 * map_(m, x, c), "3 times the target everywhere"),
    "off by more in one call": (
        lambda m, x, c: map_(m, x, c) + (torch.rand(x[:, 0].shape) < (0.9 if len(x) > 1 else 0.2)),
        "On a single image: ",
    ),
    "one infinite": (
        lambda m, x, c: map_(m, x, c).index_fill(1, torch.tensor(0), torch.inf),
        "are infinite",
    ),
    "an axis summed away": (lambda m, x, c: x.sum(0), "1 image and not 3"),
    "another sign": (lambda m, x, c: -map_(m, x, c), "opposite sign everywhere"),
    "a sum of one an image": (
        lambda m, x, c: torch.stack([a / a.sum() for a in map_(m, x, c)]),
        "another one for each",
    ),
    "a logarithm": (lambda m, x, c: (1e-3 + map_(m, x, c)).log(), "exactly the order"),
    "plus one": (lambda m, x, c: map_(m, x, c) + 1, "plus a constant"),
    "turned": (lambda m, x, c: map_(m, x, c).transpose(1, 2), "axes are in another order"),
    "colours kept as one": (lambda m, x, c: map_(m, x, c)[:, None], "of length one too many"),
    "reversed": (lambda m, x, c: map_(m, x, c).flip(0), "images are in another order"),
    "mirrored": (lambda m, x, c: map_(m, x, c).flip(2), "left and right are exchanged"),
    "zeros": (lambda m, x, c: torch.zeros_like(x[:, 0]), "is 0."),
    "not a number": (lambda m, x, c: map_(m, x, c) * torch.nan, "48 are NaN"),
    "flat": (lambda m, x, c: map_(m, x, c).flatten(1), "arranged differently"),
    "a list": (lambda m, x, c: list(map_(m, x, c)), "a list or tuple of one tensor"),
    "nothing": (lambda m, x, c: None, "returns nothing"),
    "a text": (lambda m, x, c: "map", "You return a text"),
    "a generator": (lambda m, x, c: (i for i in x), "type `generator`"),
    "noise": (lambda m, x, c: map_(m, x, c) + torch.randn(x[:, 0].shape), "yours"),
}


@pytest.mark.parametrize("which", UNLISTED_MAPS)
def test_unlisted_saliency_maps(which):
    function, words = UNLISTED_MAPS[which]
    assert words in said("saliency_map", function)


def test_largest_difference_is_where_it_says():
    def one_pixel_off(model, x, classes):
        found = map_(model, x, classes)
        found[0, 2, 3] += 5
        return found

    reason = said("saliency_map", one_pixel_off)
    assert "image 0, row 2, column 3" in reason
    yours, target = map(float, re.search(r"yours ([\d.]+), target ([\d.]+)\.", reason).groups())
    assert yours - target == pytest.approx(5, abs=0.01)


def test_signs_of_gradient_times_input():
    right = saliency.gradient_times_input
    cut = said("gradient_times_input", lambda m, x, c: right(m, x, c).clamp(min=0))
    assert "negative values are cut off" in cut
    whole = said("gradient_times_input", lambda m, x, c: right(m, x, c).round().long())
    assert "whole numbers" in whole
    odd = said("gradient_times_input", lambda m, x, c: right(m, x, c) * x[:, 0].sign())
    assert re.search(r"\d+% of the values have the wrong sign", odd)


def test_only_the_first_image_of_a_batch():
    def mixed(model, x, classes):
        found = map_(model, x, classes)
        found[1:] = found[1:] + torch.rand(found[1:].shape)
        return found

    assert "only the first image of a batch" in said("saliency_map", mixed)


TOP = start_here.top_classes
UNLISTED_LISTS = {
    "one image too few": (lambda m, x, n, k: TOP(m, x, n, k)[1:], "has 0 entries, expected are 1"),
    "one class too many": (lambda m, x, n, k: TOP(m, x, n, min(k + 1, len(n))), "has 4 entries"),
    "in capitals": (
        lambda m, x, n, k: [[(a.upper(), p) for a, p in row] for row in TOP(m, x, n, k)],
        "expected is",
    ),
    "rounded": (
        lambda m, x, n, k: [[(a, round(p, 1)) for a, p in row] for row in TOP(m, x, n, k)],
        "Your names are right, but every value of your probabilities is off",
    ),
    "a dictionary": (lambda m, x, n, k: [dict(row) for row in TOP(m, x, n, k)], "a `dict`"),
    "as texts": (
        lambda m, x, n, k: [[(a, f"{p:.2f}") for a, p in row] for row in TOP(m, x, n, k)],
        "is a text, not a number",
    ),
    "halved": (
        lambda m, x, n, k: [[(a, p / 2) for a, p in row] for row in TOP(m, x, n, k)],
        "0.5 times",
    ),
}


@pytest.mark.parametrize("which", UNLISTED_LISTS)
def test_unlisted_lists_of_classes(which):
    function, words = UNLISTED_LISTS[which]
    assert words in said("top_classes", function)


LOSS = texture.style_loss
UNLISTED_NUMBERS = {
    "three times": (lambda f, t, w: 3 * LOSS(f, t, w), "3 times the target in every call"),
    "plus one": (lambda f, t, w: LOSS(f, t, w) + 1, "plus a constant in each call"),
    "an axis of two": (lambda f, t, w: LOSS(f, t, w).expand(2), "a tensor of shape (2,)"),
    "a text": (lambda f, t, w: "small", "You return a text"),
    "not a number": (lambda f, t, w: LOSS(f, t, w) * torch.nan, "not finite: nan"),
    "something else": (lambda f, t, w: LOSS(f, t, w).sqrt() + len(f), "belongs"),
}


@pytest.mark.parametrize("which", UNLISTED_NUMBERS)
def test_unlisted_numbers(which):
    function, words = UNLISTED_NUMBERS[which]
    assert words in said("style_loss", function)


# ------------------------------------------------------------------ exceptions and manners


def forgot_requires_grad(model, x, classes):
    return torch.autograd.grad(model(x)[:, 0].sum(), x)[0]


def many_scores(model, x, classes):
    x = x.clone().requires_grad_()
    model(x).gather(1, classes[:, None]).backward()
    return x.grad.abs().amax(1)


def divides(model, x, classes):
    scale = 1 / 0
    return scale


def leaves(model, x, classes):
    raise SystemExit


def endless(model, x, classes):
    return endless(model, x, classes)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (forgot_requires_grad, "ask for gradients before the forward pass"),
        (divides, "ZeroDivisionError in your line `scale = 1 / 0`"),
        (many_scores, "differentiates a single number"),
        (leaves, "ends the whole program"),
        (endless, "calls itself more often than Python allows"),
        (lambda model: model, "TypeError"),
    ],
)
def test_exceptions_are_explained(function, words):
    assert words in said("saliency_map", function)


def test_a_second_call_must_give_the_same():
    def on_the_callers_image(model, x, classes):
        x.requires_grad_()
        model(x).gather(1, classes[:, None]).sum().backward()
        return x.grad.abs().amax(1)

    reason = said("saliency_map", on_the_callers_image)
    assert "second call" in reason
    assert "`x`" in reason


def test_a_harmless_gradient_is_a_remark():
    def resets(model, x, classes):
        x.requires_grad_()
        x.grad = None
        model(x).gather(1, classes[:, None]).sum().backward()
        return x.grad.abs().amax(1)

    found = verdict("saliency_map", resets)
    assert found.state == RIGHT
    assert "stays behind on `x`" in found.reason


def test_what_is_left_behind_is_named():
    def leaves_hook(model, x, layer):
        kept = []
        model.get_submodule(layer).register_forward_hook(lambda m, a, out: kept.append(out))
        model(x)
        return kept[0]

    def trains(model, x, classes):
        found = map_(model, x, classes)
        model.train()
        return found

    def overwrites(model, x, classes):
        found = map_(model, x, classes)
        x.zero_()
        return found

    assert "leaves a hook on `model`" in said("capture_layer", leaves_hook)
    assert "another mode" in said("saliency_map", trains)
    assert "changes `x` itself" in said("saliency_map", overwrites)


def test_three_states():
    def unsolved(model, x, classes):
        raise NotImplementedError()

    assert verdict("saliency_map", unsolved).state == NOT_ATTEMPTED
    assert verdict("saliency_map", lambda m, x, c: x).state == WRONG
    assert verdict("saliency_map", lambda m, x, c: map_(m, x, c)).state == RIGHT


def test_number_of_outcomes_must_fit():
    exercise = exercises.get("saliency_map")
    with pytest.raises(ValueError, match="0 came for 3 cases"):
        judging.judge(exercise, exercise.cases(0), [])


def test_no_sentence_has_a_negative_zero():
    """-1 times a mask is -0.0 where the mask is off, which is nothing to tell a student."""

    def largest_colour_of_the_batch(x, by, share):
        size = by.abs().amax(1, keepdim=True)
        return x * (size > size.quantile(share))

    words = said("clip_small", largest_colour_of_the_batch)
    assert re.search(r"(yours|target) 0[ ,.]", words)
    assert not re.search(r" -0[ ,.]($|\D)", words)


def test_rows_are_no_multiples_of_rows():
    def of_everything_hot(heat, share):
        rows, columns = (heat > share * heat.max()).nonzero().T
        return rows.min(), columns.min(), rows.max(), columns.max()

    words = said("largest_box", of_everything_hot)
    assert re.search(r"Your top is \d+ where \d+ belongs", words)
    assert "times" not in words


def test_a_time_limit_is_said_of_the_call_that_ran_and_not_of_those_after_it():
    exercise = exercises.get("saliency_map")
    cases = exercise.cases(0)
    fine = running.run(exercise.reference, cases[0])
    late = Outcome(fault=Fault("TimeLimit", "20"))  # the calls after it get the same
    reason = judging.judge(exercise, cases, [fine, *[late] * (len(cases) - 1)]).reason
    assert reason.startswith(f"Right on {cases[0].note}; on {cases[1].note}: it had not returned")
    assert cases[2].note not in reason


def test_an_argument_without_effect_is_said_only_where_no_call_shows_one():
    def first_layer(windows):
        return patches.field_arithmetic(windows[:2])

    exercise = exercises.get("field_arithmetic")
    cases = exercise.cases(0)
    values = [first_layer(**case.args) for case in cases]
    assert judging.ignored(exercise, cases, values, judging.targets(exercise, cases)) == ""
    same = [values[0]] * len(cases)
    assert "no effect" in judging.ignored(exercise, cases, same, judging.targets(exercise, cases))


def test_a_part_that_is_right_and_one_that_is_so_in_some_calls():
    def wrong_once(activations, channel, k):
        photos, positions, values = patches.top_patches(activations, channel, k)
        return photos, positions, values + 0.1 * torch.rand(len(values)) * (k == 3)

    reason = said("top_patches", wrong_once)
    assert "right in every call. Right on" in reason or "right; your" in reason
    assert reason.count("activations: ") <= 1


@pytest.mark.parametrize("exercise", exercises.all_(), ids=lambda exercise: exercise.name)
def test_notes_of_cases_can_be_listed(exercise):
    """They stand in lists, between commas, and before a colon."""
    for case in exercise.cases(0):
        assert case.note
        assert not set(case.note) & set(",;:"), case.note
