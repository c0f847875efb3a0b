"""Figures: what they say to those who do not see them, their scales, and what they refuse."""

import io
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils import images, show, trust
from course_utils.common import projection


def html(figure):
    return figure._repr_mimebundle_()["text/html"]


def test_the_layout_of_pictures_measures_no_hidden_labels():
    """Labels that nobody sees took a third of the time of a figure."""
    shown = show.images([torch.rand(3, 8, 8)] * 3, ["a", "b"], columns=2, alt="noise")
    assert len(shown.canvas.axes) == 4
    for axes in shown.canvas.axes:
        assert not axes.get_xticklabels() + axes.get_yticklabels()


def test_a_figure_is_an_image_element_with_its_alt_text():
    figure = show.images([torch.rand(3, 8, 8)], alt='a "panda" & <more>')
    assert re.match(
        r'<img alt="a &quot;panda&quot; &amp; &lt;more&gt;" style="[^"]*" src="', html(figure)
    )
    assert figure._repr_mimebundle_()["text/plain"] == 'a "panda" & <more>'
    assert figure.png().startswith(b"\x89PNG")


def test_titles_are_the_alt_text_where_there_is_no_other():
    assert (
        show.images([torch.rand(3, 8, 8)] * 2, ["cat", "dog"], title="pets").alt == "pets: cat, dog"
    )
    assert "first 2, second 0.5" in show.bars(["first", "second"], [2, 0.5], "points").alt


@pytest.mark.parametrize("height", [1.05, 1.45, 3.4])
@pytest.mark.parametrize("width", [160, 300])
@pytest.mark.parametrize("titles", [["Äg|y"] * 3, ["one", "two\nlines", "three"]])
def test_no_title_is_cut_off(height, width, titles):
    figure = show.images([torch.rand(3, 224, width)] * 3, titles, height=height)
    for dpi in (100, 120):
        grey = np.asarray(Image.open(io.BytesIO(figure.png(dpi))).convert("L"))
        assert (grey[0] > 250).all()
        assert (grey[-1] > 250).all()


@pytest.mark.parametrize("columns", [2, 6])
def test_long_titles_do_not_run_into_one_another(columns):
    titles = [f"relu{i} of the untrained network: 0.{i}" for i in range(1, columns + 1)]
    figure = show.images([torch.rand(3, 8, 8)] * columns, titles, columns=columns, height=1.4)
    canvas = figure.canvas
    canvas.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in canvas.axes]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert all(0 <= box.y0 < box.y1 <= canvas.bbox.height for box in boxes)
    assert [ax.title.get_text().replace("\n", " ") for ax in canvas.axes] == titles
    assert figure.alt == ", ".join(titles)


@pytest.mark.parametrize("shape", [(8, 8), (8, 24), (8, 60), (40, 8)])
@pytest.mark.parametrize("columns", [1, 3])
def test_pictures_of_any_shape_fill_their_figure(shape, columns):
    dark = [torch.zeros(3, *shape)] * columns
    drawn = show.images(dark, columns=columns, height=3).png()
    ink = np.asarray(Image.open(io.BytesIO(drawn)).convert("L")) < 128
    assert ink.mean() > 0.7, f"{ink.any(1).mean():.0%} of the rows, {ink.any(0).mean():.0%} across"


def test_figures_of_a_cell_do_not_pile_up_in_pyplot():
    import matplotlib.pyplot

    before = matplotlib.pyplot.get_fignums()
    show.maps([torch.rand(4, 4)])
    assert matplotlib.pyplot.get_fignums() == before


def test_the_file_is_what_is_shown(tmp_path):
    show.images([torch.rand(3, 8, 8)]).save(tmp_path / "figure.png")
    assert images.read(tmp_path / "figure.png").shape[0] == 3


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 3, 5, 7)])
def test_colours_come_last_for_matplotlib(shape):
    assert show.pixels_of(torch.rand(shape)).shape == (5, 7, 3)


def test_values_outside_are_clipped_and_grey_stays_grey():
    grey = show.pixels_of(torch.tensor([[[-1.0, 0.5, 2.0]]]))
    assert grey.tolist() == [[0, 0.5, 1]]


@pytest.mark.parametrize("shape", [(2, 5, 7), (5,), (2, 3, 5, 7)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="image: shape"):
        show.pixels_of(torch.rand(shape))


def test_signed_maps_are_centred_at_zero():
    values, scale = show.heat(torch.tensor([[-3.0, 1.0], [0.0, 2.0]]), signed=True)
    assert scale["vmin"] == -scale["vmax"] < 0
    white = show.colours(torch.tensor([[-3.0, 0.0, 3.0]]), signed=True)[:, 0]
    assert white[:, 1].min() > 0.95
    assert white[0, 2] > white[2, 2]  # red is positive
    assert white[2, 0] > white[0, 0]  # blue is negative


def test_a_few_large_values_do_not_rule_a_map():
    values = torch.rand(100, 100)
    values[0, 0] = 1000
    assert show.heat(values)[1]["vmax"] < 2


@pytest.mark.parametrize("value", [0.0, 2.0, -1.0])
@pytest.mark.parametrize("signed", [False, True])
def test_a_map_without_variation_can_be_drawn(value, signed):
    _, scale = show.heat(torch.full((4, 4), value), signed)
    assert scale["vmin"] < scale["vmax"]
    assert show.colours(torch.full((4, 4), value), signed).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1), (1, 1, 6)])
def test_a_map_may_be_one_pixel_high(shape):
    assert show.heat(torch.rand(shape))[0].shape == shape[-2:]


def test_maps_that_are_none_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        show.heat(torch.tensor([[0.0, float("nan")]]))
    with pytest.raises(ValueError, match=r"map: shape \(3, 4, 4\)"):
        show.heat(torch.rand(3, 4, 4))
    with pytest.raises(ValueError, match="empty"):
        show.images([])


def test_an_overlay_colours_where_the_map_is_large():
    photo, heat = torch.full((3, 32, 32), 0.5), torch.zeros(4, 4)
    heat[0, 0] = 1
    laid = show.overlay(photo, heat)
    assert laid.shape == photo.shape
    assert laid.min() >= 0
    assert laid.max() <= 1
    spread = laid.amax(0) - laid.amin(0)
    assert spread[2, 2] > 0.2
    assert spread[28, 28] == 0
    assert torch.equal(photo, torch.full((3, 32, 32), 0.5))


def test_overlays_with_a_common_top_can_be_compared():
    photo, heat = torch.rand(3, 8, 8), torch.rand(8, 8)
    same = show.overlay(photo, heat, top=1.0)
    assert torch.equal(show.overlay(photo, 0.5 * heat, top=0.5), same)
    assert not torch.equal(show.overlay(photo, 0.5 * heat, top=1.0), same)
    nothing = show.overlay(photo, torch.zeros(8, 8))
    assert torch.allclose(show.overlay(photo, 1e-9 * heat, top=1.0), nothing, atol=1e-3)


def test_an_overlay_of_nothing_is_the_grey_photo():
    laid = show.overlay(torch.rand(3, 8, 8), torch.zeros(8, 8))
    assert laid.isfinite().all()
    assert torch.equal(laid[0], laid[1])


def test_tables_align_numbers_right_and_text_left():
    table = show.table(["name", "points", "licence"], [["a & b", 1.23456, "CC0"], ["c", 10, "MIT"]])
    assert repr(table).split("\n") == [
        "name   points  licence",
        "a & b    1.23  CC0",
        "c          10  MIT",
    ]
    shown = table._repr_mimebundle_()["text/html"]
    assert '<td style="text-align:right">1.23</td>' in shown
    assert '<td style="text-align:left">a &amp; b</td>' in shown


def test_table_numbers_may_be_tensors_and_rows_must_fit():
    assert "0.333" in repr(show.table(["x"], [[torch.tensor(1 / 3)]]))
    assert "2" in repr(show.table(["x"], [[np.int64(2)]]))
    with pytest.raises(ValueError, match="rows: 1 cells under a header of 2"):
        show.table(["a", "b"], [["only one"]])


def test_a_marked_place_and_box_are_drawn_and_the_rest_stays():
    photo = torch.full((3, 60, 60), 0.5)
    drawn = show.marked(photo, (20, 20, 50, 55), (10, 10), radius=4)
    assert drawn[0, 10, 10] == drawn[0, 21, 30] == drawn[0, 30, 53] == 1
    assert drawn[0, 20, 30] == drawn[0, 10, 15] == 0
    assert (drawn == 0.5).float().mean() > 0.8
    assert drawn[0, 35, 35] == drawn[0, 0, 0] == drawn[0, 55, 58] == 0.5
    assert (photo == 0.5).all()


def test_credits_are_of_pictures_and_not_of_names():
    """Eight names belong to a photo and to a cut-out, by different makers."""
    names = {p.name for p in images.photos()} & {p.name for p in images.cutouts()}
    assert len(names) >= 8
    pictures = [make(name) for name in sorted(names) for make in (images.photo, images.cutout)]
    shown = show.credits([*pictures, pictures[0], images.painting("harvest")]).rows
    assert [row[1] for row in shown[:-1]] == [picture.credit for picture in pictures]
    first = sorted(names)[0]
    assert [row[0] for row in shown[:2]] == [first, f"{first}, cut-out"]
    assert shown[-1][0] == "harvest, painting"
    assert "Vincent van Gogh" in shown[-1][1]


def test_lines_pass_settings_on():
    figure = show.lines(
        {"a": ([1, 2], [1, 100]), "b": ([1, 2], [2, 3])}, "x", "y", "two", yscale="log"
    )
    axes = figure.canvas.axes[0]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_rows_at_true_size_give_a_pixel_a_pixel():
    figure = show.rows([[torch.rand(3, 40, 40)] * 2, [torch.rand(3, 80, 80)]], ["a", "b"], "two")
    first, second = (axes.get_position() for axes in figure.canvas.axes)
    height = figure.canvas.get_figheight() * 80
    width = figure.canvas.get_figwidth() * 80
    assert first.height * height == pytest.approx(40, abs=1)
    assert second.height * height == pytest.approx(80, abs=1)
    assert first.width * width == pytest.approx(84, abs=1)
    assert figure.alt == "two"


def test_titles_of_rows_have_room_to_grow_on_a_slide(monkeypatch):
    monkeypatch.setenv(projection.VARIABLE, "slides")
    pictures = [[torch.rand(3, 112, 112)] * 3] * 2
    canvas = show.rows(pictures, ["red panda", "scarlet macaw"], "two", height=190).canvas
    factor = projection.growth(*canvas.get_size_inches(), show.STYLE["font.size"])
    assert factor > 1.3, "they are large enough without"
    with projection._larger(canvas, factor):
        assert projection._is_clear(canvas)


def test_titles_of_rows_lower_than_a_letter_are_not_cut_off_on_a_slide(monkeypatch):
    monkeypatch.setenv(projection.VARIABLE, "slides")
    pictures = [[torch.rand(3, side, side)] * 9 for side in (3, 15, 140)]
    canvas = show.rows(pictures, ["relu1: 3 px", "fire2: 15 px", "fire7: 140 px"], "three").canvas
    factor = projection.growth(*canvas.get_size_inches(), show.STYLE["font.size"])
    assert factor > 1.3, "they are large enough without"
    with projection._larger(canvas, factor):
        assert projection._is_clear(canvas)
        tops = [text.get_window_extent().y1 for text in canvas.texts]
    assert max(tops) <= canvas.bbox.y1


def test_rows_of_one_height_and_rows_that_are_refused():
    figure = show.rows([[torch.rand(3, 3, 3)], [torch.rand(3, 50, 50)]], ["a", "b"], "", height=60)
    first, second = (axes.get_position().height for axes in figure.canvas.axes)
    assert first == pytest.approx(second)
    for pictures, titles in [([], []), ([[]], ["a"]), ([[torch.rand(4, 4)]], ["a", "b"])]:
        with pytest.raises(ValueError, match="pictures: rows of"):
            show.rows(pictures, titles, "")


def test_a_row_takes_pictures_of_any_height():
    """Heights whose share of 115 rounds up and down; at true size a low one gets white below."""
    pictures = [torch.zeros(3, side, 30) for side in (20, 21, 22, 172, 253)]
    figure = show.rows([pictures], ["a"], "", height=115)
    strip = figure.canvas.axes[0].images[0].get_array()
    assert strip.shape[0] in (172, 173)
    strip = show.rows([pictures[:3]], ["a"], "").canvas.axes[0].images[0].get_array()
    assert strip.shape[0] == 33
    assert strip[-1, 0].min() == 1
    assert strip[-1, -1].max() == 0


# ------------------------------------------------------------------ methods and intervals


def test_a_method_has_one_colour_whatever_stands_beside_it():
    def colours_of(*names):
        figure = show.lines({name: ([0, 1], [0, 1]) for name in names}, "x", "y", "lines")
        return {line.get_label(): line.get_color() for line in figure.canvas.axes[0].lines}

    alone, among = colours_of("Grad-CAM"), colours_of("noise", "saliency", "Grad-CAM, area 0.3")
    assert alone["Grad-CAM"] == among["Grad-CAM, area 0.3"] == show.METHODS["Grad-CAM"][0]
    assert colours_of("something else")["something else"] == "#0072B2"


def test_every_method_of_lecture_09_can_be_told_from_the_others():
    assert set(trust.METHODS) <= set(show.METHODS)
    assert len({show.METHODS[name] for name in trust.METHODS}) == len(trust.METHODS)


def test_intervals_that_hold_zero_are_hollow():
    figure = show.intervals({"saliency": (0.2, 0.1, 0.3), "noise": (0, -0.1, 0.1)}, "gain", "two")
    axes = figure.canvas.axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_markerfacecolor() for dot in dots] == [show.METHODS["saliency"][0], "white"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["saliency", "noise"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top


def test_a_bar_tells_the_values_of_a_map():
    plain, barred = (show.maps([torch.randn(5, 5)], signed=True, bar=b) for b in (False, True))
    assert len(barred.canvas.axes) == len(plain.canvas.axes) + 1


def test_a_signed_overlay_is_red_above_zero_blue_below_and_grey_at_zero():
    array = torch.tensor([1.0, 0.0, -1.0]).expand(2, 3)
    laid = show.overlay(torch.full((3, 2, 3), 0.5), array, 1.0, top=1.0, signed=True)
    red, nothing, blue = laid[:, 0].T
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.2
    assert nothing.tolist() == pytest.approx([0.5] * 3)


def test_one_scale_for_maps_that_are_to_be_compared():
    weak = show.colours(torch.full((2, 2), 1e-6), signed=True, top=1.0)
    assert (weak.amax(0) - weak.amin(0) < 0.02).all()  # white, not red


def test_values_are_written_into_their_cells():
    maps = [torch.tensor([[1.0, -2.5], [0.0, 7.0]])]
    drawn = show.maps(maps, ["x"], signed=True, photo=torch.zeros(3, 4, 4), values=True)
    photo, axes = drawn.canvas.axes
    assert not photo.texts
    assert {(t.get_text(), *t.get_position()) for t in axes.texts} == {
        ("1", 0, 0),
        ("-2.5", 1, 0),
        ("0", 0, 1),
        ("7", 1, 1),
    }
    assert not show.maps(maps).canvas.axes[0].texts


def test_panels_of_intervals_have_the_same_rows_on_axes_of_their_own():
    rows = {"saliency": (0.1, 0.02, 0.2), "centre": (0.0, -0.1, 0.1)}
    far = {name: tuple(10 * value for value in row) for name, row in rows.items()}
    drawn = show.interval_panels({"near": rows, "far": far}, "difference", "two panels")
    left, right = drawn.canvas.axes
    assert [label.get_text() for label in left.get_yticklabels()] == list(rows)
    assert left.get_ylim() == right.get_ylim()
    assert right.get_xlim()[1] > 5 * left.get_xlim()[1]
    (dot,) = (line for line in right.lines if list(line.get_xdata()) == [1.0])
    assert dot.get_markerfacecolor() == show.METHODS["saliency"][0]
    (hollow,) = (
        line for line in left.lines if list(line.get_xdata()) == [0.0] and line.get_ydata()[0] == 1
    )
    assert hollow.get_markerfacecolor() == "white"


def test_whose_dots_are_filled_can_be_said():
    rows = {"saliency": (0.1, 0.02, 0.2), "centre": (0.0, -0.1, 0.1)}
    filled = {"one": {"saliency": False, "centre": True}}
    axes = show.interval_panels({"one": rows}, "difference", "a panel", filled=filled).canvas.axes[
        0
    ]
    dots = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"]
    assert dots == ["white", show.METHODS["centre"][0]]
