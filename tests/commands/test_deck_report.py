"""The report of a deck: which slides break a limit, and how the lines read."""

from course_utils.commands.report import Measured, complaints, table

GOOD = Measured("Cats", "picture", 0.4, 30, 0, 0.03, 1.5)


def changed(**values):
    return Measured(**{**GOOD.__dict__, **values})


def test_a_good_slide_breaks_nothing():
    assert complaints([GOOD]) == []


def test_each_limit_is_named_with_its_slide():
    rows = [
        GOOD,
        changed(overflow=40),
        changed(letters=0.01),
        changed(kind="question"),
        changed(picture=0.05),
        changed(words=300),
    ]
    found = complaints(rows)
    assert len(found) == 5
    assert found[0] == "slide 2 (Cats): 40 px stand outside"
    assert "letters of 1.0%" in found[1]
    assert "picture beside the question" in found[2]
    assert "covers 5%" in found[3]
    assert "300 words" in found[4]


def test_small_pictures_throughout_are_a_complaint():
    assert complaints([changed(picture=0.2)] * 3) == ["pictures cover 20% in the median"]


def test_the_table_has_a_line_for_each_slide():
    lines = table("06_saliency", (1280, 720), [GOOD, changed(sharpness=9, letters=0.14)])
    assert lines[0] == "06_saliency, 1280x720: 2 slides"
    assert len(lines) == 4
    assert "40%" in lines[2]
    assert lines[3].split()[-2] == "-"
