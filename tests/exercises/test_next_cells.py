"""What the check accepts, the lecture's next cells can use: they are run with accepted answers.

Of a lecture only those cells run that use the exercise's function, and the cells whose names these
need; where the lecture takes many steps, fewer are taken here.
"""

import ast
import builtins
import json
from functools import cache

import answers_09_to_16
import pytest

from course_utils import exercises
from course_utils.common import paths

USES = {
    "pointing_score": (["shares = [score("], {}),
    "deletion_curve": ([], {"classes, 10)": "classes, 3)"}),
    "ascent_step": ([], {"range(60)": "range(3)"}),
    "ascend": ([], {"2.0, 60, row": "2.0, 6, row"}),
    "clip_small": ([], {}),
    "targeted_ascent": (
        [],
        {"rate=0.2, confidence=0.9, steps=50": "rate=1, confidence=0.5, steps=9"},
    ),
    "fgsm": (["by_sign = ["], {"[::5]": "[::16]", "[0.25, 1, 4]": "[1]"}),
    "dream_step": ([], {"range(30)": "range(2)"}),
    "next_octave": ([], {"range(8)": "range(1)", "range(30)": "range(1)"}),
    "total_variation": ([], {}),
    "inversion_loss": ([], {"keep=24": "keep=2, steps=3"}),
    "gram": (['titles = ["Gram", "covariance"]', "negative = (texture"], {}),
    "style_loss": ([], {}),
    "content_loss": (["def only_content"], {}),
    "total_loss": (["begin = optimise.Fourier.of"], {"begin, 80,": "begin, 2,"}),
    "instance_norm": (["spread = [maps"], {"start, 100, rule": "start, 2, rule"}),
    "training_step": (["losses.append(value)"], {}),
}
"""Cells beside the one with `yours_or_ours` that use the function, by their text, and cuts."""

AFTERWARDS = {
    "clip_small": "x = clip(nothing, nothing + torch.rand(nothing.shape), 0.3)\n"
    "values[0][1](x, x) + slopes[0][1](x, torch.rand(x.shape))",
    "style_loss": "maps = texture.features(net, net.normalize(simple[None]), names)[names[0]]\n"
    "one = maps.detach().requires_grad_()\n"
    "find_loss({names[0]: one}, targets, ones).backward()\n"
    "assert one.grad is not None",
    "content_loss": "pixels = photo.clone().requires_grad_()\nonly_content(pixels).backward()\n"
    "assert pixels.grad.isfinite().all()",
}
"""What a cell further down does with what these cells define."""

RIGHT = {
    name: [
        (label, source)
        for n, label, source, state, *_ in answers_09_to_16.ANSWERS
        if n == name and state == "right"
    ]
    for name in USES
}


@cache
def lecture(name):
    """The code cells of a lecture's solutions, as text."""
    path = paths.root() / "solutions" / f"{exercises.get(name).lecture}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def names(code):
    """The names that code needs from elsewhere, and those it binds."""
    needs, bound = set(), set()
    for statement in ast.parse(code).body:
        loads, stores, local = set(), set(), set()
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                (loads if isinstance(node.ctx, ast.Load) else stores).add(node.id)
            elif isinstance(node, ast.arg):
                local.add(node.arg)
            elif isinstance(node, ast.comprehension):
                local |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            local, stores = local | stores, {statement.name}
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            stores = {(a.asname or a.name).split(".")[0] for a in statement.names}
        needs |= loads - bound - local
        bound |= stores - local
    return needs - set(vars(builtins)), bound


def parts(name):
    """The cells before the exercise's own that are needed, and those that use its function."""
    texts, (used, cuts) = lecture(name), USES[name]
    for old, new in cuts.items():
        assert any(old in text for text in texts), old
        texts = [text.replace(old, new) for text in texts]
    marks = [f'yours_or_ours("{name}"', *used]
    after = [next(i for i, text in enumerate(texts) if mark in text) for mark in marks]
    own = next(i for i, text in enumerate(texts) if f"def {name}(" in text)
    needs = {need for _, source in RIGHT[name] for need in names(source)[0]}
    needs |= names(AFTERWARDS.get(name, ""))[0]
    chosen = set(after)
    for i in reversed(range(max(after) + 1)):
        need, bound = names(texts[i])
        if i in chosen or (i != own and bound & needs):
            chosen.add(i)
            needs = (needs - bound) | need
    start = after[0]
    return [texts[i] for i in sorted(chosen) if i < start], [
        texts[i] for i in sorted(chosen) if i >= start
    ]


@cache
def prepared(name):
    """The notebook's names as they are before `yours_or_ours`."""
    space = {"__name__": "__main__"}
    for text in parts(name)[0]:
        exec(compile(text, "<lecture>", "exec"), space)
    return space


def run_next(name, space):
    for text in [*parts(name)[1], AFTERWARDS.get(name, "")]:
        exec(compile(text, "<lecture>", "exec"), space)


def go_on(name, source, capsys):
    space = dict(prepared(name))
    exec(compile(source, "<answer>", "exec"), space)
    run_next(name, space)
    assert f"From here on: your {name}." in capsys.readouterr().out


LONG = ("pointing_score", "deletion_curve")
QUICK = [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in USES]


@pytest.mark.parametrize("name", QUICK)
def test_the_next_cells_run_with_another_answer(name, capsys):
    go_on(name, RIGHT[name][-1][1], capsys)


def test_every_exercise_of_these_lectures_is_followed():
    known = [e.name for e in exercises.all_() if "09" <= e.lecture[:2] <= "16"]
    assert sorted(USES) == sorted(known)
    assert all(RIGHT.values())
