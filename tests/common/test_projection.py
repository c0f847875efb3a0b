"""Figures for slides: large letters where there is room, and the canvas as it was."""

import io

import pytest
from PIL import Image

from course_utils import show
from course_utils.common import projection


def letters(drawn):
    return [axes.title.get_fontsize() for axes in drawn.canvas.axes]


@pytest.fixture
def sizes(monkeypatch):
    """The factors by which letters are tried."""
    seen, larger = [], projection._larger

    def spy(canvas, factor):
        seen.append(factor)
        return larger(canvas, factor)

    monkeypatch.setattr(projection, "_larger", spy)
    return seen


def test_a_file_is_as_wide_as_a_projector_and_the_canvas_stays(tiny_picture):
    drawn = show.images([tiny_picture] * 4, ["one"] * 4)
    before = letters(drawn)
    kind, content = projection.file(drawn.canvas)
    file = Image.open(io.BytesIO(content))
    assert (kind, file.format) == ("webp", "WEBP")
    assert file.width >= 1400
    assert letters(drawn) == before


def test_a_plot_is_a_drawing_and_one_of_too_many_marks_is_not(monkeypatch):
    plot = show.lines({"cats": (range(9), range(9))}, "photos", "cats", "it rises")
    kind, content = projection.file(plot.canvas)
    assert kind == "svg+xml"
    assert b"<svg" in content
    assert b"<image" not in content
    monkeypatch.setattr(projection, "DRAWING", len(content) - 1000)
    assert projection.file(plot.canvas)[0] == "webp"


def test_small_titles_grow_and_long_ones_only_as_far_as_they_fit(tiny_picture, sizes):
    projection.file(show.images([tiny_picture] * 8, ["one"] * 8, columns=8).canvas)
    assert len(sizes) == 1, "short titles have room at once"
    assert sizes.pop() > 1.3
    long = ["a title of many words in a row"] * 8
    projection.file(show.images([tiny_picture] * 8, long, columns=8).canvas)
    assert sizes[-1] < sizes[0]


def test_columns_make_pictures_large():
    assert projection.columns(4, 1.0) == 4
    assert projection.columns(6, 1.0) == 3, "no larger in four, and the rows are full"
    assert projection.columns(2, 0.7) == 2
    assert projection.columns(3, 3.0) < 3


def test_only_the_kernels_of_slides_draw_for_a_room(monkeypatch, tiny_picture):
    drawn = show.images([tiny_picture], ["one"])
    assert "image/png" in drawn._repr_mimebundle_()["text/html"]
    monkeypatch.setenv(projection.VARIABLE, "slides")
    assert "image/webp" in drawn._repr_mimebundle_()["text/html"]


@pytest.fixture
def tiny_picture():
    return [[0.0, 0.5], [1.0, 0.2]]
