"""The explorers without a browser: controls are set, and passes of the network counted."""

import ast
import datetime
import io
import json
import re

import ipywidgets
import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from course_utils import images, show, widgets
from course_utils.common import paths
from course_utils.widgets.kit import choosers, pictures

RED, GREY = torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 8, 8), torch.full((3, 8, 8), 0.5)


def decoded(explorer):
    """The explorer's picture as an array (H,W,3)."""
    return np.array(Image.open(io.BytesIO(explorer.image.value)))


def square(side, bright=False):
    """A drawing without a network: one square, as large as the slider says."""
    return {"square": torch.full((3, side, side), float(bright))}, f"a square of {side} pixels"


@pytest.fixture
def explorer():
    return widgets.explore(square, side=(4, 16, 8), bright=False)


def displayed(explorer, monkeypatch):
    """What the explorer hands to the notebook, in order."""
    shown = []
    monkeypatch.setattr(
        "course_utils.widgets.kit.explorer.display", lambda data, raw: shown.append(data)
    )
    explorer._ipython_display_()
    return shown


# --- Drawing -----------------------------------------------------------------------------------


def test_it_draws_at_once_and_again_when_a_control_changes(explorer):
    assert decoded(explorer).shape == (8, 8, 3)
    explorer.controls["side"].value = 12
    explorer.controls["bright"].value = True
    assert decoded(explorer).shape == (12, 12, 3)
    assert decoded(explorer).min() == 255
    assert explorer.text == "a square of 12 pixels"


def test_the_words_for_screen_readers_follow_the_picture(explorer):
    explorer.controls["side"].value = 5
    assert explorer.image.tooltip == "a square of 5 pixels"
    assert 'role="status"' in explorer.caption.value
    assert "a square of 5 pixels" in explorer.caption.value
    # Without it the page fails to draw an image that has a tooltip.
    assert explorer.image.get_state()["description"] == ""


def test_a_new_picture_and_its_words_are_one_message(explorer, monkeypatch):
    """For two messages a page would decode the picture twice."""
    sent, send = [], type(explorer.image)._send

    def listen(widget, message, buffers=None):
        if widget is explorer.image:
            parts = [name for path in message["buffer_paths"] for name in path]
            sent.append({*message["state"], *parts})
        send(widget, message, buffers)

    monkeypatch.setattr(type(explorer.image), "_send", listen)
    explorer.controls["side"].value = 5
    assert sent == [{"value", "tooltip"}]


def test_the_same_values_are_not_drawn_twice():
    drawn = []

    def draw(side):
        drawn.append(side)
        return square(side)

    explorer = widgets.explore(draw, side=(4, 16, 8))
    explorer.redraw()
    explorer.controls["side"].value = 8
    explorer.controls["side"].value = 9
    assert drawn == [8, 9]


def test_a_plain_picture_comes_first_then_the_controls(explorer, monkeypatch):
    static, live = displayed(explorer, monkeypatch)
    assert set(static) == {"text/html", "text/plain"}
    assert 'alt="a square of 8 pixels"' in static["text/html"]
    assert "data:image/png;base64," in static["text/html"]
    assert static["text/plain"] == "a square of 8 pixels"
    view = live["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == explorer.box.model_id
    assert "run this cell" in live["text/plain"]
    json.dumps([static, live])


def test_titles_and_words_are_text_and_not_html():
    def draw(n):
        return {"<b>&": torch.zeros(3, 4, 4)}, 'say "<script>" & stop'

    explorer = widgets.explore(draw, n=(1, 2))
    page = explorer.static() + explorer.titles.value + explorer.caption.value
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert 'alt="say &quot;&lt;script&gt;&quot; &amp; stop"' in page


# --- Errors ------------------------------------------------------------------------------------


def failing(n):
    if n == 3:
        raise ValueError("three <is> not allowed")
    return square(4)


def test_an_error_of_the_first_drawing_is_the_cells_own():
    with pytest.raises(ValueError, match="three"):
        widgets.explore(failing, n=(1, 5, 3))


def test_an_error_is_shown_and_raised_and_gone_after_the_next_drawing():
    explorer = widgets.explore(failing, n=(1, 5))
    before = explorer.image.value
    with pytest.raises(ValueError, match="three"):
        explorer.controls["n"].value = 3
    assert 'role="alert"' in explorer.alarm.value
    assert "ValueError: three &lt;is&gt; not allowed" in explorer.alarm.value
    assert isinstance(explorer.error, ValueError)
    assert explorer.image.value == before
    assert "course-busy" not in explorer.box._dom_classes
    explorer.controls["n"].value = 4
    assert explorer.alarm.value == ""
    assert explorer.error is None


def test_back_to_the_last_good_value_the_error_goes_too():
    explorer = widgets.explore(failing, n=(1, 5))
    with pytest.raises(ValueError, match="three"):
        explorer.controls["n"].value = 3
    explorer.controls["n"].value = 1
    assert explorer.alarm.value == ""


def test_an_explorer_says_what_to_do_when_its_kernel_is_gone(explorer):
    gone = explorer.box.children[-1]
    assert "run this cell again" in gone.value
    assert "jupyter-widgets-disconnected" in gone.value


# --- Controls ----------------------------------------------------------------------------------


def test_controls_run_on_release_unless_they_are_live():
    slow, live = widgets.slider(1, 9), widgets.slider(0.0, 1.0, live=True)
    assert isinstance(slow, ipywidgets.IntSlider)
    assert isinstance(live, ipywidgets.FloatSlider)
    assert not slow.continuous_update
    assert live.continuous_update


@pytest.mark.parametrize(
    ("given", "kind", "value"),
    [
        ((1, 9), ipywidgets.IntSlider, 1),
        ((0.0, 1.0, 0.5), ipywidgets.FloatSlider, 0.5),
        ((0, 10, 4, 2), ipywidgets.IntSlider, 4),
        (["a", "b"], ipywidgets.Dropdown, "a"),
        ({"one": 1, "two": 2}, ipywidgets.Dropdown, 1),
        (True, ipywidgets.Checkbox, True),
    ],
)
def test_short_forms_of_controls(given, kind, value):
    seen = []
    explorer = widgets.explore(
        lambda some_name: seen.append(some_name) or square(4), some_name=given
    )
    control = explorer.controls["some_name"]
    assert isinstance(control, kind)
    assert control.description == "some name"
    assert seen == [value]


def test_a_label_of_ones_own_is_kept():
    explorer = widgets.explore(square, side=widgets.slider(4, 9, label="edge"))
    assert explorer.controls["side"].description == "edge"


def test_what_is_no_control_is_refused():
    with pytest.raises(TypeError, match="side: got str"):
        widgets.explore(square, side="8")
    with pytest.raises(ValueError, match="low=1, value=12, high=9"):
        widgets.slider(1, 9, 12)
    with pytest.raises(ValueError, match="photo"):
        widgets.explore(square, network=object(), side=(4, 9))


def test_remember_keeps_results_and_forgets_errors():
    calls = []

    @widgets.remember
    def work(n):
        calls.append(n)
        if n < 0:
            raise ValueError("negative")
        return n

    assert [work(1), work(1), work(2)] == [1, 1, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="negative"):
            work(-1)
    assert calls == [1, 2, -1, -1]


# --- Pictures ----------------------------------------------------------------------------------


def test_heat_maps_have_the_colours_of_the_figures():
    array = torch.linspace(-1, 1, 64).view(8, 8)
    for signed, name in ((False, show.SEQUENTIAL), (True, show.DIVERGING)):
        values, scale = show.heat(array, signed)
        norm = matplotlib.colors.Normalize(scale["vmin"], scale["vmax"])
        wanted = matplotlib.colormaps[name](norm(values))[..., :3]
        found = widgets.coloured(array, signed).movedim(0, -1).numpy()
        assert np.abs(found - wanted).max() < 0.02  # one of 256 steps


def test_zero_is_white_in_signed_maps():
    colours = widgets.coloured(torch.tensor([[-1.0, 0, 2.0]] * 2), signed=True)[:, 0]
    assert colours[:, 1].min() > 0.95
    assert colours[2, 0] > colours[0, 0]  # negative: blue
    assert colours[0, 2] > colours[2, 2]  # positive: red


def test_pictures_of_different_heights_stand_side_by_side():
    strip = pictures.strip({"a": RED, "b": torch.zeros(3, 16, 8), "map": torch.zeros(16, 16)})
    assert strip.size == (16 + 8 + 16 + 2 * pictures.GAP, 16)
    assert strip.getpixel((3, 3)) == (255, 0, 0)
    assert strip.getpixel((16 + 3, 3)) == (255, 255, 255)
    shares = re.findall(r"([\d.]+)fr", pictures.headings({"a": RED, "b": torch.zeros(3, 16, 8)}))
    assert [float(share) for share in shares] == [1.0, 0.5]


def test_the_plain_picture_has_its_titles_in_it():
    """JupyterLab takes the layout out of plain HTML, so titles stood below one another."""
    image = pictures.titled({"a": RED, "a long title": torch.zeros(3, 8, 8)}, 100)
    assert image.size == (100 + 100 + pictures.GAP * 100 // 8, 109)
    assert image.getpixel((50, 60)) == (255, 0, 0)
    title = np.array(image.crop((0, 0, 100, 9)))
    assert (title < 128).any(), "no title above the first picture"
    assert (title[:, [0, -1]] == 255).all(), "a title runs into the next picture's"


def test_a_bar_tells_the_values_of_a_signed_map():
    whole = pictures.barred(torch.full((3, 56, 56), 0.5), 3.0)
    assert whole.shape[:2] == (3, 56)
    bar = whole[:, :, 59]
    assert bar[0, 0] > bar[2, 0], "the largest value is red, on top"
    assert bar[2, -1] > bar[0, -1], "the least is blue"
    assert bar[:, 28].min() > 0.9, "zero is white"


def test_every_explorer_says_what_it_does_not_show():
    for path in (paths.package() / "widgets").glob("[a-z]*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        made = [c for c in calls if ast.unparse(c.func) in ("explore", "Explorer")]
        assert made, path.name
        assert all("cannot" in {k.arg for k in call.keywords} for call in made), path.name


def test_what_it_does_not_show_is_under_the_live_and_the_plain_picture(monkeypatch):
    explorer = widgets.explore(square, cannot="colours < black", side=(4, 16, 8), bright=False)
    static, _ = displayed(explorer, monkeypatch)
    assert "colours &lt; black" in static["text/html"]
    assert any("colours &lt; black" in getattr(c, "value", "") for c in explorer.box.children[:-1])


def test_a_patch_of_a_few_pixels_keeps_them():
    patch = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(3, 2, 2)
    strip = np.asarray(pictures.strip({"a": RED, "b": patch}))[:, 8 + pictures.GAP :]
    assert set(strip.ravel().tolist()) == {0, 255}
    assert (strip[:4, :4] == 0).all()


def test_labels_fit_beside_their_controls():
    labels = []
    for path in (paths.package() / "widgets").glob("*.py"):
        calls = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        calls = [node for node in calls if isinstance(node, ast.Call)]
        told = [c for c in calls if ast.unparse(c.func) in ("slider", "stops", "choice")]
        labels += [k.value.value for c in told for k in c.keywords if k.arg == "label"]
    assert len(labels) > 20
    assert [label for label in labels if len(label) > 15] == []  # cut to "ReLUs, from th…"


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="none came"):
        pictures.strip({})


# --- Photos and classes ------------------------------------------------------------------------


def upload(chooser, name, content):
    """What the page sends when a file is chosen."""
    modified = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    chooser.upload.value = ({**file, "last_modified": modified},)


def encoded(pixels, form):
    with io.BytesIO() as file:
        images.to_pil(pixels).save(file, format=form)
        return file.getvalue()


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_an_own_photo_of_any_format_is_shown(form):
    seen = []
    explorer = widgets.explore(
        lambda photo: seen.append(photo.name) or ({"photo": photo.pixels}, photo.name),
        photo=["panda", "koala"],
    )
    upload(explorer.controls["photo"], f"mine.{form}", encoded(RED, form))
    assert seen == ["panda", f"mine.{form}"]
    assert np.abs(decoded(explorer).mean((0, 1)) - [255, 0, 0]).max() < 12
    names = [name for name, _ in explorer.controls["photo"].list.options]
    assert names == ["panda", "koala", f"mine.{form}"]


def test_the_same_file_can_be_chosen_again():
    explorer = widgets.explore(
        lambda photo: ({"photo": photo.pixels}, photo.name), photo=["panda", "koala"]
    )
    chooser, content = explorer.controls["photo"], encoded(RED, "png")
    upload(chooser, "mine.png", content)
    chooser.list.value = chooser.list.options[0][1]
    assert explorer.text == "panda"
    upload(chooser, "mine.png", content)
    assert explorer.text == "mine.png"
    assert [name for name, _ in chooser.list.options] == ["panda", "koala", "mine.png"]
    upload(chooser, "mine.png", encoded(GREY, "png"))  # edited meanwhile: the new one counts
    assert np.abs(decoded(explorer).mean((0, 1)) - 128).max() < 12


def test_the_button_promises_what_is_read():
    button = widgets.PhotoChooser(["panda"]).upload
    assert "any format" not in button.tooltip
    kinds = [kind.removeprefix("image/") for kind in button.accept.split(",")]
    assert len(kinds) >= 6
    for kind in kinds:
        assert choosers.read_upload(f"mine.{kind}", encoded(RED, kind)).pixels.shape[0] == 3
        assert re.search(kind, button.tooltip, re.IGNORECASE)


CPU_ALLOCATOR = "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    "error", [MemoryError(), MemoryError("one sentence"), RuntimeError(CPU_ALLOCATOR)], ids=repr
)
def test_memory_that_ends_is_said_and_the_picture_stays(error, monkeypatch):
    def draw(photo):
        if photo.name == "koala":
            raise error
        return {"p": photo.pixels}, photo.name

    explorer = widgets.explore(draw, photo=["panda", "koala"])
    before, chooser = explorer.image.value, explorer.controls["photo"]
    with pytest.raises(type(error)):
        chooser.list.value = chooser.list.options[1][1]
    assert "The memory is used up" in explorer.alarm.value
    chooser.list.value = chooser.list.options[0][1]
    assert explorer.alarm.value == ""

    def full(*_):
        raise error

    monkeypatch.setattr(choosers.images, "read", full)
    upload(chooser, "mine.png", encoded(RED, "png"))
    assert "The memory is used up" in explorer.alarm.value
    assert explorer.image.value == before


def test_a_large_photo_is_shrunk():
    photo = choosers.read_upload("big.png", encoded(torch.zeros(3, 1500, 3000), "png"))
    assert photo.pixels.shape == (3, 512, 1024)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(80), "HEIC photo, the format of recent iPhones"),
        (b"just words", "not an image"),
        (b"", "not an image"),
    ],
)
def test_a_file_that_is_no_photo_is_explained_and_the_picture_stays(content, words):
    explorer = widgets.explore(lambda photo: ({"p": photo.pixels}, photo.name), photo=["panda"])
    before = explorer.image.value
    upload(explorer.controls["photo"], "mine.heic", content)
    assert words in explorer.alarm.value
    assert "mine.heic" in explorer.alarm.value
    assert explorer.image.value == before
    upload(explorer.controls["photo"], "mine.png", encoded(GREY, "png"))
    assert explorer.alarm.value == ""
    assert explorer.text == "mine.png"


def test_photos_must_exist_and_be_a_list():
    with pytest.raises(ValueError, match="panda"):
        widgets.PhotoChooser(["pandaa"])
    for wrong in ([], "panda"):
        with pytest.raises(ValueError, match="a list of one name or more"):
            widgets.PhotoChooser(wrong)


@pytest.fixture
def passes(squeezenet):
    """The batch sizes of SqueezeNet's forward passes, as they happen."""
    sizes = []
    handle = squeezenet.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    yield sizes
    handle.remove()


@pytest.fixture
def chooser(squeezenet):
    return widgets.ClassChooser(squeezenet, widgets.PhotoChooser(["panda", "koala"]))


def test_the_photos_five_most_probable_classes_are_offered(chooser, squeezenet):
    assert squeezenet.labels[chooser.value] == "giant panda"
    assert chooser.probability > 0.9
    assert len(chooser.list.options) == 5
    probabilities = [chooser.probabilities[i].item() for _, i in chooser.list.options]
    assert probabilities == sorted(probabilities, reverse=True)


def test_any_class_can_be_typed_and_stays_for_the_next_photo(chooser, squeezenet):
    chooser.field.value = " Zebra "
    assert squeezenet.labels[chooser.value] == "zebra"
    assert chooser.field.value == ""
    chooser.field.value = "517"  # one of the two cranes: a number tells them apart
    assert chooser.value == 517
    photo = chooser.photo
    photo.list.value = photo.list.options[1][1]
    assert squeezenet.labels[chooser.value] == "koala"
    offered = [i for _, i in chooser.list.options]
    assert {squeezenet.index("zebra"), 517} < set(offered)
    assert len(offered) == 7


def test_an_unknown_class_is_explained_and_the_old_one_stays(chooser):
    before = chooser.value
    chooser.field.value = "zebraa"
    assert "Did you mean 'zebra'" in chooser.message
    assert chooser.value == before
    chooser.list.value = chooser.list.options[1][1]
    assert chooser.message == ""


def test_a_network_without_classes_is_refused(vgg):
    with pytest.raises(ValueError, match="no classifier"):
        widgets.explore(square, photo=["panda"], network=vgg)


# --- Lecture 06 --------------------------------------------------------------------------------


@pytest.fixture
def saliency(squeezenet, passes):
    explorer = widgets.saliency_explorer(squeezenet, ["panda", "koala"])
    passes.clear()
    return explorer


def test_blur_and_opacity_need_no_pass_of_the_network(saliency, passes):
    for name in ("blur", "opacity"):
        before = saliency.image.value
        assert saliency.controls[name].continuous_update
        saliency.controls[name].value = 0.5
        assert saliency.image.value != before
    assert passes == []


def test_a_method_costs_its_passes_once(saliency, passes):
    saliency.controls["method"].value = "gradient x input"
    assert passes == [1]
    saliency.controls["method"].value = "SmoothGrad"
    assert sum(passes) == 1 + saliency.controls["samples"].value + 1  # and the copy that is shown
    saliency.controls["method"].value = "saliency"
    saliency.controls["method"].value = "gradient x input"
    assert sum(passes) == 1 + saliency.controls["samples"].value + 1


def test_the_number_of_copies_counts_for_smoothgrad_only(saliency, passes):
    samples = saliency.controls["samples"]
    assert samples.disabled
    assert not samples.continuous_update
    saliency.controls["method"].value = "SmoothGrad"
    assert not samples.disabled
    passes.clear()
    samples.value = 3
    assert sum(passes) == 3
    before = saliency.image.value
    assert "In this copy “giant panda” has a probability of" in saliency.text
    saliency.controls["noise"].value = 30
    assert sum(passes) == 3 + 3 + 1
    assert saliency.image.value != before
    assert "one noisy copy" in saliency.titles.value
    assert float(re.search(r"probability of ([\d.e-]+)\.", saliency.text)[1]) < 0.01


def test_a_signed_map_is_signed_on_the_photo_too(saliency):
    saliency.controls["method"].value = "gradient x input"
    saliency.controls["opacity"].value = 1.0
    over = decoded(saliency)[:, 2 * (224 + pictures.GAP) :].astype(int)
    red, blue = (over[..., c] - over[..., 2 - c] for c in (0, 2))
    assert (red > 80).sum() > 500
    assert (blue > 80).sum() > 500


def test_a_new_photo_costs_one_look_and_one_map(saliency, passes):
    photo = saliency.controls["photo"]
    photo.list.value = photo.list.options[1][1]
    assert passes == [1, 1]
    assert "“koala” for koala" in saliency.text


def test_another_class_has_another_map(saliency, passes):
    before = saliency.image.value
    saliency.controls["class_index"].field.value = "zebra"
    assert passes == [1]
    assert "“zebra” for panda" in saliency.text
    assert saliency.image.value != before


def test_the_map_is_that_of_the_lecture(saliency, squeezenet, panda):
    from course_utils.saliency import saliency_map

    wanted = saliency_map(squeezenet, panda, "giant panda")[0]
    values = (widgets.coloured(wanted).movedim(0, -1).numpy() * 255).round()
    left = 224 + pictures.GAP
    assert np.abs(decoded(saliency)[:, left : left + 224] - values).mean() < 1
    top = wanted.flatten().sort(descending=True).values[: 224 * 224 // 20].sum() / wanted.sum()
    assert f"hold {100 * top:.0f} %" in saliency.text


def test_explorers_leave_the_network_as_it_is(squeezenet):
    before = {name: value.clone() for name, value in squeezenet.state_dict().items()}
    widgets.saliency_explorer(squeezenet, ["panda"]).controls["method"].value = "SmoothGrad"
    assert all(torch.equal(before[n], v) for n, v in squeezenet.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in squeezenet.parameters())
    assert not squeezenet.training


def test_with_controls_of_another_kind_the_picture_stays(monkeypatch):
    """As in ipywidgets 7, whose boxes tell no bundle: the cell must not fail."""
    from course_utils.widgets.kit import explorer

    told = []
    monkeypatch.setattr(explorer, "display", lambda bundle, raw: told.append(bundle))
    made = explorer.explore(lambda x: ({"a": torch.zeros(3, 4, 4)}, f"x is {x}"), x=(0, 3))
    made.box = object()
    made._ipython_display_()
    assert "course-static" in told[0]["text/html"]
    assert list(told[1]) == ["text/plain"]
