"""Whatever an answer gives, there is a verdict and a sentence, and not the one of last resort.

The reference's results are corrupted in every way that came to mind, in all calls and in one.
"""

import logging
import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from course_utils import exercises
from course_utils.checking import judging, running
from course_utils.checking.comparing import equal
from course_utils.checking.core import RIGHT, WRONG, Opaque, Outcome

NAMES = [e.name for e in exercises.all_()]

CONSTANTS = [
    *(None, True, False, 0, 1, -3, 0.5, math.nan, math.inf, 10**400, 2**63, 3j, Fraction(1, 3)),
    *("", "map", b"map", [], (), {}, [[]], [[], []], [None], [[None]], [1], [0.5, 0.5], ["a"]),
    *({"a": 1}, {1: 2}, {"a": [torch.ones(2)]}, [[1, 2], [3]], [torch.ones(2), torch.ones(3)]),
    *(Opaque("generator"), range(3), torch.tensor([]), torch.tensor(1.5), torch.ones(2, 0, 3)),
    *(torch.ones(3, dtype=torch.bool), torch.ones(1, 1, 1, 1, 1, 1, 1), [[[[[[[[[[]]]]]]]]]]),
    *(torch.tensor(True), torch.tensor(1j), torch.tensor(math.nan), torch.tensor([math.inf])),
    *([torch.tensor(1.0), None], [("a", 0.5)], [[("a", 0.5)]], [[(0.5, "a")]], [["a", 0.5]]),
]


def one_changed(t, amount):
    """With another value in the last place."""
    t = t.clone()
    if t.numel():
        t.view(-1)[-1] += amount
    return t


def first_kept(t):
    """With noise on everything but the first slice."""
    noise = torch.rand(t.shape)
    noise[:1] = 0
    return t + noise


ARRAYS = {
    "nan": lambda t: t * math.nan,
    "inf": lambda t: t.double() + math.inf,
    "one nan": lambda t: one_changed(t.double(), math.nan),
    "one inf": lambda t: one_changed(t.double(), -math.inf),
    "one changed": lambda t: one_changed(t, 3),
    "a few changed": lambda t: first_kept(t.double()),
    **{f"as {d}": lambda t, d=d: t.to(d) for d in (torch.float64, torch.float16, torch.bfloat16)},
    **{f"as {d}": lambda t, d=d: t.to(d) for d in (torch.int8, torch.int64, torch.bool)},
    "unsigned": lambda t: t.abs().clamp(max=200).to(torch.uint8),
    "complex": lambda t: t.to(torch.complex64),
    "turned into the plane": lambda t: t * 1j,
    "sum": lambda t: t.sum(),
    "mean": lambda t: t.double().mean(),
    "number": lambda t: t.sum().item(),
    "list": lambda t: list(t),
    "tuple": lambda t: tuple(t),
    "lists": lambda t: t.tolist(),
    "dictionary": lambda t: {"map": t},
    "dictionary of numbers": lambda t: dict(enumerate(t.tolist())),
    "in a list": lambda t: [t],
    "in a tuple, twice": lambda t: (t, t),
    "NumPy": lambda t: t.numpy(),
    "objects": lambda t: t.numpy().astype(object),
    "texts": lambda t: t.numpy().astype(str),
    "sparse": lambda t: t.to_sparse(),
    "with a gradient": lambda t: t.double().requires_grad_(),
    "axis before": lambda t: t[None],
    "axis behind": lambda t: t[..., None],
    "axes before": lambda t: t.expand(2, 3, *t.shape),
    "flat": lambda t: t.flatten(),
    "transposed": lambda t: t.movedim(0, -1),
    "last two exchanged": lambda t: t.transpose(-1, -min(2, t.ndim)),
    "flipped": lambda t: t.flip(0),
    "flipped behind": lambda t: t.flip(-1),
    "rolled": lambda t: t.roll(1, -1),
    "sorted": lambda t: t.sort(-1).values,
    "one slice": lambda t: t[:1],
    "first slice gone": lambda t: t[1:],
    "last column gone": lambda t: t[..., :-1],
    "none left": lambda t: t[:0],
    "doubled": lambda t: torch.cat([t, t]),
    "first of the batch": lambda t: t[0],
    "zeros": lambda t: torch.zeros_like(t),
    "ones": lambda t: torch.ones_like(t),
    "noise": lambda t: torch.randn(t.shape),
    "huge": lambda t: t.double() * 1e300,
    "tiny": lambda t: t.double() * 1e-300,
    "times two": lambda t: t * 2,
    "negated": lambda t: -t,
    "plus one": lambda t: t + 1,
    "squared": lambda t: t.double() ** 2,
    "logarithm": lambda t: t.double().abs().add(1e-3).log(),
    "size": lambda t: t.abs(),
    "positive part": lambda t: t.clamp(min=0),
    "rounded": lambda t: t.double().round(),
    "slices scaled": lambda t: t * torch.arange(1, len(t) + 1).view(-1, *[1] * (t.ndim - 1)),
}

NUMBERS = {
    "times two": lambda n: n * 2,
    "negated": lambda n: -n,
    "plus one": lambda n: n + 1,
    "root": lambda n: abs(n) ** 0.5,
    "as a list": lambda n: [n],
    "as a text": lambda n: str(n),
    "as a tensor": lambda n: torch.tensor(n),
    "as a tensor with an axis": lambda n: torch.tensor([n]),
    "as a tensor with axes": lambda n: torch.tensor(n).expand(2, 2),
    "a little more": lambda n: n * 1.01 + 1e-2,
}

LISTS = {
    "first dropped": lambda parts: parts[1:],
    "last dropped": lambda parts: parts[:-1],
    "one added": lambda parts: [*parts, parts[-1]],
    "nothing added": lambda parts: [*parts, None],
    "reversed": lambda parts: parts[::-1],
    "moved on": lambda parts: parts[1:] + parts[:1],
    "nested": lambda parts: [parts],
    "each nested": lambda parts: [[part] for part in parts],
    "first nested": lambda parts: [parts[:1], *parts[1:]],
    "first only": lambda parts: parts[0],
    "all the first": lambda parts: [parts[0]] * len(parts),
    "tuple": lambda parts: tuple(parts),
    "dictionary": lambda parts: {str(i): part for i, part in enumerate(parts)},
    "emptied": lambda parts: [],
}


def corruptions(target):
    """Pairs (label, function) that make something else of a target of that form."""
    found = [(f"constant {c!r:.40}", lambda t, c=c: c) for c in CONSTANTS]
    if isinstance(target, Tensor) and target.ndim:
        return found + list(ARRAYS.items())
    if isinstance(target, Tensor):
        return found + [(n, lambda t, f=f: f(t.item())) for n, f in NUMBERS.items()]
    if isinstance(target, str):
        return [*found, ("capitals", str.upper)]
    if not isinstance(target, list):
        return found + list(NUMBERS.items())
    found += list(LISTS.items())
    inner = isinstance(target[0], list)  # lists in lists: the first of them stands for all
    for n in range(1 if inner else len(target)):
        for name, change in corruptions(target[n]):
            at = lambda parts, n=n, f=change: [  # noqa: E731
                f(p) if i == n else p for i, p in enumerate(parts)
            ]
            found.append((f"{n}: {name}", at))
    return found


def corrupted(targets, change, only=None):
    """The results with a change in all calls, or in one; None where it cannot be made."""
    try:
        return [running.plain(change(t) if only in (None, i) else t) for i, t in enumerate(targets)]
    except (RuntimeError, TypeError, ValueError, IndexError, OverflowError):
        return None


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_corruption_gets_a_verdict_and_a_sentence(name, caplog):
    # Known mistakes and gradients have sentences of their own, tested elsewhere.
    exercise = replace(exercises.get(name), mistakes=())
    cases = [replace(case, slopes=()) for case in exercise.cases(0)]
    wanted = judging.targets(exercise, cases)
    images, tried = speaks_of_images(exercise, cases), 0
    for label, change in corruptions(wanted[0]):
        for only in (None, len(cases) - 1):
            values = corrupted(wanted, change, only)
            if values is None:
                continue
            tried += 1
            with caplog.at_level(logging.INFO, logger="course_utils.checking"):
                outcomes = [Outcome(v, again=v) for v in values]
                found = judging.judge(exercise, cases, outcomes, None, wanted)
            assert not caplog.records, (label, only, caplog.text)
            right = all(
                equal(v, t, exercise.tolerance) for v, t in zip(values, wanted, strict=True)
            )
            assert found.state == (RIGHT if right else WRONG), (label, only)
            assert right or 20 < len(found.reason) < 600, (label, only, found.reason)
            assert found.reason.count("`") % 2 == 0, (label, only, found.reason)
            assert "names" not in found.reason or "names" in exercise.parts, found.reason
            assert "image" not in found.reason or images, (label, only, found.reason)
    assert tried > 100


def speaks_of_images(exercise, cases):
    """Whether there are images in a result, in what is asked for or in a note."""
    notes = " ".join(case.note for case in cases)
    return "image" in f"{exercise.axes} {exercise.parts} {exercise.result} {exercise.noun} {notes}"


def test_words_of_last_resort_are_kept_for_the_log(monkeypatch, caplog):
    def stumble(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(judging.describing, "describe", stumble)
    exercise = exercises.get("saliency_map")
    cases = exercise.cases(0)
    with caplog.at_level(logging.INFO, logger="course_utils.checking"):
        found = judging.judge(exercise, cases, [Outcome(value=torch.ones(2))] * len(cases))
    assert found.state == WRONG
    assert exercise.result in found.reason
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "name", ["top_patches", "targeted_ascent", "training_step", "field_arithmetic", "largest_box"]
)
def test_parts_of_different_shape_are_described_one_by_one(name):
    exercise = replace(exercises.get(name), mistakes=())
    cases = exercise.cases(0)
    wanted = judging.targets(exercise, cases)
    for n, part in enumerate(exercise.parts):
        values = [[2 * p + 1 if i == n else p for i, p in enumerate(t)] for t in wanted]
        outcomes = [Outcome(v, again=v) for v in values]
        reason = judging.judge(exercise, cases, outcomes, None, wanted).reason
        others = [p for p in exercise.parts if p != part]
        assert f"our {part} " in reason
        assert all(p in reason.split(" right, but ")[0] for p in others)
