"""The plugin that writes down the room of asserts, and how the rows are read."""

import ast
import json
import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import margins
import matrix


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Runs code with its asserts rewritten; returns (value, bound, margin) of each record."""
    monkeypatch.setenv(margins.FOLDER, str(tmp_path))
    monkeypatch.setattr(margins, "_worst", {})

    def run(code):
        tree = margins.Cells("cell").visit(ast.parse(code))
        exec(compile(tree, "cell", "exec"), {"np": np, "torch": torch, "pytest": pytest})
        lines = [line for f in tmp_path.glob("*.jsonl") for line in f.read_text().splitlines()]
        return [tuple(json.loads(line)[3:]) for line in lines]

    return run


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("assert 1.0 < 1.5", [(1.0, 1.5, 0.5)]),
        ("assert 2 >= 1.5", [(2.0, 1.5, 0.5)]),
        ("assert not 2 > 4", [(2.0, 4.0, 2.0)]),
        ("assert 0 < 1 < 4 and 'a' == 'a'", [(0.0, 1.0, 1.0)]),
        ("assert all(x > 0.5 for x in [3, 1])", [(3.0, 0.5, 2.5), (1.0, 0.5, 0.5)]),
        ("assert (torch.tensor([3.0, 1.0]) > 0.5).all()", [(1.0, 0.5, 0.5)]),
        ("assert (np.array([3.0, 1.0]) > 2).sum() >= 1", [(1.0, 1.0, 0.0)]),
        ("assert 1.0 == pytest.approx(1.5, abs=2)", [(0.25, 1.0, 0.75)]),
        ("assert torch.allclose(torch.ones(2), torch.tensor([1.0, 2.0]), 0, 4)", [(0.25, 1, 0.75)]),
        ("assert not np.allclose([1.0], [5.0], rtol=0, atol=2)", [(2.0, 1.0, 1.0)]),
        (
            "torch.testing.assert_close(torch.zeros(2), torch.ones(2), atol=4, rtol=0)",
            [(0.25, 1, 0.75)],
        ),
        (
            "np.testing.assert_allclose(np.ones(1), np.full(1, 2.0), atol=2, rtol=1)",
            [(0.25, 1, 0.75)],
        ),
        ("assert 1 < 0 or 3 > 2", []),  # none of the two has to hold
        ("assert [x for x in [1, 2] if x > 1.5] == [2]", []),
        ("assert {1} < {1, 2} and 'a' < 'b' and 3 == 3", []),
    ],
)
def test_value_bound_and_margin(kept, code, expected):
    found = kept(code)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other)


def test_what_is_asserted_stays_the_same(kept):
    with pytest.raises(AssertionError, match="too far"):
        kept("assert 3 < 2, 'too far'")
    with pytest.raises(AssertionError):
        kept("assert 0 < 1 < 1")
    assert kept("def f(x):\n    assert x > 1, x\n    return x\nassert f(3) == 3")[-1] == (3, 1, 2)


def test_of_a_loop_the_least_margin_counts(kept):
    found = kept("for x in (3, 5, 2, 4):\n    assert x > 1")
    assert [margin for _, _, margin in found] == [2, 1]


def test_the_rows_hold_every_value_and_every_pair_of_the_two_valued_settings():
    names = ("OMP_NUM_THREADS", "COURSE_ONEDNN", "COURSE_LAYOUT")
    rows = [row.variables for row in matrix.ROWS]
    for one, other in combinations(names, 2):
        values = product({r[one] for r in rows}, {r[other] for r in rows})
        assert {(r[one], r[other]) for r in rows} == set(values)
    assert {r["ATEN_CPU_CAPABILITY"] for r in rows} == {"default", "avx2", "avx512"}
    assert {r["OPENBLAS_CORETYPE"] for r in rows} == {"Haswell", "Zen", "SkylakeX"}


def test_little_room_is_a_margin_of_less_than_three_times_what_the_rows_differ_by():
    def one(*margins):
        found = {str(i): (m, 0.0, m) for i, m in enumerate(margins)}
        return matrix.Assert("file", "test", "x > 0", found)

    assert not one(0.0, 0.0).is_tight  # exact on every processor
    assert not one(0.4, 0.5).is_tight
    assert one(0.2, 0.3).is_tight
    assert one(-0.1, -0.1).is_tight


def test_risky_is_what_was_near_its_bound_in_a_recorded_row():
    def one(where, test, value, bound, margin, row="new"):
        return matrix.Assert(where, test, "text", {row: (value, bound, margin)})

    asserts = [
        one("tests/a.py", "test_far", 1.0, 0.5, 0.5),
        one("tests/a.py", "test_near[x]", 1.0, 0.8, 0.2),
        one("tests/a.py", "test_near[x]", 9.0, 1.0, 8.0),
        one("tests/a.py", "test_tiny", 1e-9, 1e-4, 1e-4),
        one("tests/a.py", "test_below_zero", -1.0, -0.9, 0.1),
        one("tests/a.py", "test_of_old", 1.0, 0.9, 0.1, row="old"),
        one("tests/b.py", "test_failed", 0.4, 0.5, -0.1),
        one("solutions/c.ipynb", "", 5.0, 4.0, 1.0),
    ]
    files = ["tests/a.py", "tests/b.py", "solutions/c.ipynb"]
    found = ["solutions/c.ipynb", "tests/a.py::test_below_zero", "tests/a.py::test_near[x]"]
    found += ["tests/a.py::test_of_old"]
    assert matrix.risky(asserts, files) == [*found, "tests/b.py::test_failed"]
    assert matrix.risky(asserts, ["tests/b.py"]) == ["tests/b.py::test_failed"]


def test_records_of_two_rows_are_joined(tmp_path):
    for row, value in (("new", 1.0), ("old", 0.1)):
        (tmp_path / row).mkdir()
        line = json.dumps(["a.py", "test_a", "x > 0", value, 0.0, value])
        (tmp_path / row / "1.jsonl").write_text(line + "\n")
        (tmp_path / row / "pytest.log").write_text("FAILED a.py::test_b\n1 failed\n")
    (found,) = matrix.read(tmp_path)
    assert (found.margin, found.spread) == (0.1, 0.9)
    text = matrix.report([found], matrix.failures(tmp_path))
    for words in ("1 asserts", "1 have little room", "old: FAILED a.py::test_b", "x > 0"):
        assert words in text


def test_the_settings_without_a_variable_of_pytorch(monkeypatch):
    before, enabled = torch.nn.Module.to, torch.backends.mkldnn.enabled
    monkeypatch.setenv("COURSE_ONEDNN", "0")
    monkeypatch.setenv("COURSE_LAYOUT", "nchw")
    try:
        margins.settings()
        net = torch.nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
        assert net.weight.is_contiguous()
        assert not torch.backends.mkldnn.enabled
    finally:
        torch.nn.Module.to = before
        torch._C._set_mkldnn_enabled(enabled)
