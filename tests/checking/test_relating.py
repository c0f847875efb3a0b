"""Sentences on wrong numbers: they are true of the numbers, and in a tutor's words."""

import pytest
import tiny
import torch

from course_utils.checking import relating
from course_utils.checking.relating import About, Pair

ABOUT = About("map", ("image", "row", "column"), 1e-4)
SIZES = [(1, 4, 6), (2, 5, 3), (1, 7, 5)]


def pairs(change):
    """What a change makes of three targets."""
    targets = [tiny.array(k, *shape).double() for k, shape in enumerate(SIZES)]
    return [Pair(change(t), t, t.abs().max().item(), f"call {k}") for k, t in enumerate(targets)]


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        ((2, 1), "moved by 2 rows down and 1 column to the right;"),
        ((-1, 0), "moved by 1 row up;"),
        ((0, 2), "moved by 2 columns to the right;"),
        ((-2, -1), "moved by 2 rows up and 1 column to the left;"),
    ],
)
def test_one_shift_in_all_calls_is_one_shift(shift, said):
    assert said in relating.relation(ABOUT, pairs(lambda t: t.roll(shift, (1, 2))))


def test_a_factor_near_one_is_told_apart_from_it():
    said = relating.relation(ABOUT, pairs(lambda t: 1.002 * t))
    assert said == "Your map is 1.002 times the target everywhere."


def test_small_numbers_are_no_small_multiple_of_large_ones():
    found = [torch.tensor(n).double() for n in (0.5, 0.0, 0.3)]
    targets = [torch.tensor(n).double() for n in (630.0, 2000.0, 900.0)]
    about = About("loss", (), 1e-3)
    assert "times the target" not in relating.relation_of_numbers(about, found, targets)
    tenth = [0.001 * t for t in targets]
    assert "0.001 times the target" in relating.relation_of_numbers(about, tenth, targets)


@pytest.mark.parametrize(
    ("wrong", "of", "said"),
    [
        (0, 10, "0%"),
        (1, 1000, "less than 1%"),
        (1, 100, "1%"),
        (995, 1000, "more than 99%"),
        (10, 10, "100%"),
    ],
)
def test_shares_are_neither_none_nor_all_where_they_are_not(wrong, of, said):
    assert relating.part(torch.arange(of) < wrong) == said


def test_where_little_is_right_not_every_value_is_off():
    value = torch.ones(1, 400, 3).double()
    value[0, 0, 0] = 0
    pair = Pair(value, torch.zeros(1, 400, 3).double(), 1.0, "")
    assert relating.extent(ABOUT, pair) == "More than 99% of the values of your map are"


def test_zeros_where_numbers_belong_come_before_the_border():
    def change(t):
        t = t.clone()
        t[:, 0, :2] = t[:, -1, -1] = 0
        return t

    assert "there are zeros where the target has none" in relating.relation(ABOUT, pairs(change))
