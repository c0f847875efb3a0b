"""Lecture 12's exercises: other ways to be right."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from course_utils import dream, exercises, layers
from course_utils.checking import judging, running
from course_utils.checking.core import RIGHT


def by_energy(model, x, layer, rate, shift):
    """Ascent on half the squared norm, with backward() as most would write it."""
    x = torch.roll(x, shifts=tuple(shift), dims=(-2, -1)).clone().requires_grad_()
    with layers.capture(model, layer) as seen:
        model(x)
    (seen[layer] ** 2).sum().div(2).backward()
    g = x.grad
    for one in g:
        one /= one.abs().mean()
    return torch.roll(x.detach() + rate * g, (-shift[0], -shift[1]), (-2, -1))


def without_the_half(model, x, layer, rate, shift):
    """Any multiple of the gradient gives the same step."""
    x = x.roll(tuple(shift), (2, 3)).detach().requires_grad_()
    g = torch.autograd.grad(dream.energy(model, layer)(x) * -17, x)[0]
    x = x.detach() + rate * g / g.flatten(1).abs().mean(1).view(-1, 1, 1, 1)
    return x.roll((-shift[0], -shift[1]), (2, 3))


def one_image_at_a_time(model, x, layer, rate, shift):
    return torch.cat([by_energy(model, one[None], layer, rate, shift) for one in x])


def by_torchvision(photo, dreamt, size):
    small = tvf.resize(photo, list(dreamt.shape[-2:]))
    return tvf.resize(photo, list(size)) + tvf.resize(dreamt - small, list(size))


def all_at_once(photo, dreamt, size):
    """Resizing is linear, so the pieces may be put together in another order."""
    small = tvf.resize(photo, list(dreamt.shape[-2:]))
    return tvf.resize(dreamt, list(size)) + (
        tvf.resize(photo, list(size)) - tvf.resize(small, list(size))
    )


WAYS = [
    *[("dream_step", f) for f in (by_energy, without_the_half, one_image_at_a_time)],
    *[("next_octave", f) for f in (by_torchvision, all_at_once)],
]


@pytest.mark.parametrize(("name", "function"), WAYS)
def test_other_ways_are_right_on_many_seeds(name, function):
    exercise = exercises.get(name)
    for seed in range(10):
        cases = exercise.cases(seed)
        found = judging.judge(exercise, cases, [running.run(function, case) for case in cases])
        assert found.state == RIGHT, (seed, found.reason)
