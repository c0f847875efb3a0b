"""Which statements of a notebook one function needs, by Python's rules of scope."""

import pytest

from course_utils.checking import scopes, sources
from course_utils.checking.sources import EXERCISE, LECTURE, SourceCell

OURS = ("import torch\nfrom course_utils import models", "net = models.load('a')\nx = net(1)")
STUB = "def f(x):\n    raise NotImplementedError()"
LECTURE_TEXTS = (*OURS, STUB, "check('f', f)", "mine = yours_or_ours('f', f)")


def one(source):
    (statement,) = scopes.statements(source)
    return statement


def code(*texts, name="f", lecture=LECTURE_TEXTS):
    """The assembled code of cells without ids, comments and blank lines left out."""
    pieces = sources.assemble([SourceCell(text) for text in texts], name, lecture)
    return [line for line in pieces.source.split("\n") if line]


@pytest.mark.parametrize(
    ("source", "now", "later"),
    [
        ("a = b + 1", {"b"}, set()),
        ("def f(a):\n    c = a\n    return c + d", set(), {"d"}),
        ("def f(a=b) -> c:\n    return a", {"b", "c"}, set()),
        ("@d\ndef f():\n    def g():\n        return h\n    return g", {"d"}, {"h"}),
        ("def f():\n    global k\n    k += 1", set(), {"k"}),
        ("f = lambda a: a + b", set(), {"b"}),
        ("f = [a * b for a in c]", {"b", "c"}, set()),
        ("f = {a: {b + d for b in e} for a in c}", {"c", "d", "e"}, set()),
        ("def f(x):\n    return [g(a) for a in x]", set(), {"g"}),
        ("class A(B):\n    c = d\n    def e(self):\n        return self.c + g", {"B", "d"}, {"g"}),
        ("for i in r:\n    t[i] = i * s", {"r", "t", "i", "s"}, set()),
    ],
)
def test_only_free_names_are_read(source, now, later):
    found = one(source)
    assert found.now == now
    assert found.later == later


@pytest.mark.parametrize(
    ("source", "binds", "kills", "changes"),
    [
        ("a, (b, *c) = d", "abc", "abc", ""),
        ("a[0] = 1", "", "", "a"),
        ("a.b.c = 1", "", "", "a"),
        ("a += 1", "a", "", ""),
        ("a.append(1)", "", "", "a"),
        ("a.mul_(2)", "", "", "a"),
        ("if b:\n    a = 1\nelse:\n    a = 2", "a", "", ""),
        ("try:\n    def a(): pass\nexcept E as e:\n    a = 1", "a", "", ""),
        ("with b as a:\n    c.update(d)", "a", "", "c"),
        ("a = [b for b in c]", "a", "a", ""),
    ],
)
def test_what_is_bound_and_changed(source, binds, kills, changes):
    found = one(source)
    assert (found.binds, found.kills, found.changes) == tuple(map(set, (binds, kills, changes)))


def test_what_only_shows_does_not_count():
    assert scopes.statements("print(a)\na.mean()\nassert a\ndel a\na") == ()


@pytest.mark.parametrize(
    ("source", "ran"),
    [
        ("%%time\na = 1", "pass  # %%time\na = 1"),
        ("a = !ls\nb = %who", "a = None  # !ls\nb = None  # %who"),
        ("a?\nb = '%d?' % 1", "pass  # a?\nb = '%d?' % 1"),
        ("a = 1\r\nb = 2\r", "a = 1\nb = 2\n"),
    ],
)
def test_magics_become_comments(source, ran):
    assert scopes.plain(source) == ran


def test_the_definition_in_force_at_the_check_counts():
    first, second = "def g(x):\n    return 1", "def g(x):\n    return 2"
    own = "def f(x):\n    return g(x)"
    expected = [*first.split("\n"), *own.split("\n")]
    assert code(first, own, "check('f', f)", second) == expected
    assert code(f"{first}\n{own}\ncheck('f', f)\n{second}") == expected
    assert code(second, first, own, "check('f', f)") == expected
    assert code(own, "check('f', f)", first) == [*own.split("\n"), *first.split("\n")]


def test_what_runs_at_once_sees_what_stood_before_it():
    cells = ["k = 1", "table = [k]", "k = 2", "def f(x):\n    return table, k"]
    assert code(*cells) == ["k = 1", "table = [k]", "k = 2", "def f(x):", "    return table, k"]


def test_what_is_called_at_once_has_all_it_calls_before_it():
    cells = [
        "table = build()",
        "def f(x):\n    return table",
        "def build():\n    return k",
        "k = 1",
    ]
    found = code(*cells)
    assert found.index("def build():") < found.index("table = build()")
    assert found.index("k = 1") < found.index("table = build()")


def test_the_lectures_statements_do_not_count_wherever_they_stand():
    own = "def f(x):\n    return net(x)"
    for cells in ([*OURS, own], ["\n".join([*OURS, own])], [own, *OURS[::-1]]):
        pieces = sources.assemble([SourceCell(c) for c in cells], "f", LECTURE_TEXTS)
        assert pieces.source.strip() == own
        assert {"net", "x"} <= pieces.notebook_names
    edited = OURS[1].replace("'a'", "'b'")
    assert code(edited, own) == own.split("\n")


def test_a_copy_that_a_student_made_is_the_students():
    own = "net = models.load('a')\n\n\ndef f(x):\n    return net(x)"
    cells = [SourceCell(OURS[0], LECTURE), SourceCell(OURS[1], LECTURE)]
    cells.append(SourceCell(own, EXERCISE, "f"))
    pieces = sources.assemble(cells, "f", LECTURE_TEXTS)
    assert "net = models.load('a')" in pieces.source
    assert "from course_utils import models" in pieces.source


def test_an_addition_to_a_cell_of_the_lecture_is_the_students():
    helper = "def g(x):\n    return x"
    cells = [SourceCell(f"{OURS[0]}\n{helper}", LECTURE)]
    cells += [SourceCell(OURS[1].replace("net(1)", "2"), LECTURE)]
    cells.append(SourceCell("def f(y):\n    return g(y) + x", EXERCISE, "f"))
    pieces = sources.assemble(cells, "f", LECTURE_TEXTS)
    assert helper in pieces.source
    assert "x" in pieces.notebook_names


def test_yours_or_ours_stands_for_the_students_own():
    other = "def h(x):\n    return mine(x)"
    found = code("def f(x):\n    return x", "mine = yours_or_ours('f', f)", other, name="h")
    assert found == ["def f(x):", "    return x", "mine = f", *other.split("\n")]


@pytest.mark.parametrize("cells", [["def f(x):\n    return 1", STUB], [STUB, "def f(x): return 1"]])
def test_a_stub_never_hides_what_is_written(cells):
    assert not sources.assemble([SourceCell(c) for c in cells], "f", LECTURE_TEXTS).stub
    assert "return 1" in "".join(code(*cells, "def h(x):\n    return f(x)", name="h"))


def test_another_exercise_is_no_other_name_of_this_one():
    texts = (*LECTURE_TEXTS, STUB.replace("f", "ff"), "check('ff', ff)")
    cells = [
        SourceCell(STUB, EXERCISE, "f"),
        SourceCell("def ff(x):\n    return 1", EXERCISE, "ff"),
    ]
    assert sources.assemble(cells, "f", texts).stub
    helper = SourceCell("def g(x):\n    return 1")
    used = SourceCell("def ff(x):\n    return g(x)", EXERCISE, "ff")
    assert sources.assemble([cells[0], helper, used], "f", texts).stub
