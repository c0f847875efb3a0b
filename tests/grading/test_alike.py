"""Similarity: copies are seen in any dress, what hides is flagged, others are left alone."""

import base64
import re

import pytest
from submitted import GRADIENT, RIGHT

from course_utils import exercises
from course_utils.grading.sandboxed import outline
from course_utils.grading.trusted import alike, judge

NAME = "saliency_map"
COPY = re.sub("### (BEGIN|END) SOLUTION", "", judge._own_texts(NAME)[1]) + "\n"
INNER = COPY.replace(f"def {NAME}", "def inner")
HEAD = f"def {NAME}(model, x, classes):\n"
DRESSES = {
    "itself": COPY,
    "wrapper": INNER + HEAD + "    return inner(model, x, classes)\n",
    "nested": HEAD
    + "".join(f"    {line}\n" for line in INNER.splitlines())
    + "    return inner(model, x, classes)\n",
    "other names": COPY.replace("model", "net").replace("x", "pixels").replace("classes", "which"),
    "method": "class Made:\n"
    + "".join(f"    {line}\n" for line in INNER.splitlines())
    + f"{NAME} = Made.inner\n",
}


def similarity(source):
    looks = judge.Looks(tuple(outline.outlines(source)), tuple(outline.hidden(source)))
    return judge._looks(exercises.get(NAME), looks)["similarity"]


@pytest.mark.parametrize("dress", DRESSES)
def test_a_copy_is_seen_in_any_dress(dress):
    assert similarity(DRESSES[dress]) >= 0.9
    assert outline.hidden(DRESSES[dress]) == []


def test_a_lambda_is_code_like_any_other():
    body = "(x * 2).abs().amax(1) - model(x).gather(1, classes[:, None]).sum()"
    as_lambda = outline.outlines(f"{NAME} = lambda model, x, classes: {body}")[0]
    as_function = outline.outline(f"{HEAD}    return {body}", NAME)
    assert as_lambda == as_function != []


TEXT = base64.b64encode(COPY.encode()).decode()
HIDES = {
    "exec": f"import base64\nexec(base64.b64decode({TEXT!r}))",
    "text": f"{HEAD}    return made({TEXT!r})",
    "table": f"{HEAD}    return torch.tensor({[0.5] * 300})[: len(x)]",
    "eval": f"{HEAD}    return eval('model(x)')",
    "module": f"from marshal import loads as f\n{HEAD}    return f(x)",
    "builtins": f"{HEAD}    return __builtins__['ex' + 'ec'](x)",
    "code": f"{HEAD}    return type(f)(f.__code__, {{}})",
}


@pytest.mark.parametrize("way", HIDES)
def test_what_hides_is_flagged(way):
    assert outline.hidden(HIDES[way])


def test_the_solutions_of_the_course_hide_nothing():
    """And neither do honest answers: `.eval()` is a method of networks."""
    for exercise in exercises.all_():
        texts = judge._own_texts(exercise.name)
        assert len(texts) == 2, exercise.name
        assert [outline.hidden(text) for text in texts] == [[], []]
    quotes = '"' * 3
    honest = f"{HEAD}    {quotes}{'words and more words ' * 50}{quotes}\n"
    honest += "    model.eval(); return torch.compile(model)(x)\n"
    assert outline.hidden(honest) == []


def test_code_that_cannot_be_read_has_no_outline():
    for bad in ("def f(:", "x = '\0'", "(" * 5000, "f = " + "-" * 100_000 + "1"):
        assert outline.outlines(bad) == []
        assert outline.hidden(bad) == []


def marks(source):
    return alike.fingerprints(outline.outlines(source))


LONG = GRADIENT + RIGHT["saliency_map"] + RIGHT["smoothgrad"]


def test_copies_of_each_other_are_found_and_others_are_not():
    renamed = LONG.replace("one", "n").replace("total", "s").replace("gradient(", "slopes(")
    padded = renamed.replace("    total", "    unused = 3\n    total").replace(
        "s = 0", "q = 1; s = 0"
    )
    other = """
def smoothgrad(model, x, classes, noise):
    found = []
    for k in range(noise.shape[0]):
        y = torch.nn.Parameter((x + noise[k]).detach())
        logits = model(y)
        logits[torch.arange(len(y)), classes].sum().backward()
        found.append(y.grad.abs().max(dim=1).values)
    return torch.stack(found).mean(0)
"""
    answers = {"ada": LONG, "bob": padded, "eve": other}
    found = alike.pairs("smoothgrad", {name: marks(text) for name, text in answers.items()})
    assert [(p.one, p.other) for p in found] == [("ada", "bob")]
    assert found[0].share >= 0.6


def test_what_the_course_wrote_and_what_many_wrote_does_not_count():
    mine = marks(LONG)
    assert alike.pairs("f", {"ada": mine, "bob": mine}, mine) == []
    assert len(alike.pairs("f", {"ada": mine, "bob": mine})) == 1
    assert alike.pairs("f", dict.fromkeys("abcdefg", mine)) == []
