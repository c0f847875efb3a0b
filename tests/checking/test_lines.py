"""What is read from a function's own lines: arguments in another order, a result kept nowhere."""

import pytest

from course_utils.checking import lines

ARGUMENTS = ("x", "scale", "shift")


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("scale, x, shift", True),
        ("shift, /, scale, x", True),
        ("x, scale, shift", False),
        ("x, scale, *, shift", False),  # another form, whose error says what is wrong
        ("x, scale, moved", False),
        ("x, scale", False),
        ("*args", False),
    ],
)
def test_arguments_in_another_order(signature, said):
    found = lines.reordered("f", f"def f({signature}):\n    return x", ARGUMENTS)
    assert found.startswith("Your line with `def`") is said
    assert not said or "`x`, `scale`, `shift`" in found


@pytest.mark.parametrize(
    "line",
    [
        "y * scale[:, None] + shift",
        "before.softmax(-1)",
        "x.masked_fill(x < 0, 0)",
        "x.clamp(min=0)",
    ],
)
def test_a_line_whose_result_is_kept_nowhere(line):
    source = f"def f(x):\n    for y in x:\n        if y:\n            {line}\n    return x"
    found = lines.thrown_away("f", source)
    assert found.startswith("The line `")
    assert line.split("(")[0].split("[")[0] in found


@pytest.mark.parametrize(
    "line",
    [
        '"""Words."""',
        "...",
        "x.clamp_(min=0)",
        "found.add(x)",
        "found.append(x * 2)",
        "array.fill(0)",
        "x.sub(y, out=x)",
        "torch.relu(x, inplace=True)",
        "print(x + 1)",
        "loss.backward()",
        "y = x * 2",
        "def inner(x):\n        x * 2\n        return x",
    ],
)
def test_lines_that_do_something_are_left_alone(line):
    assert lines.thrown_away("f", f"def f(x):\n    {line}\n    return x") == ""


@pytest.mark.parametrize("source", ["", "def f(:", "x = 1", "def g(x):\n    x * 2"])
def test_no_code_no_words(source):
    assert lines.thrown_away("f", source) == lines.reordered("f", source, ARGUMENTS) == ""


def test_the_last_definition_counts():
    source = "def f(scale, x, shift):\n    x * 2\n\ndef f(x, scale, shift):\n    return x"
    assert lines.thrown_away("f", source) == lines.reordered("f", source, ARGUMENTS) == ""
