"""Occlusion: positions, fills, both ways to compute the answers, and where the maps are hot."""

import re

import pytest
import tiny
import torch
from torch import nn

from course_utils import images, layers, models, occlusion, widgets
from course_utils.checking import networks
from course_utils.checking.core import NetworkSpec
from course_utils.common import composites


class Flattened(nn.Module):
    """A network whose geometry is not followed: it flattens its maps by hand."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, stride=4), nn.Linear(4 * 12 * 12, 5)

    def forward(self, x):
        return self.head(self.conv(x).reshape(len(x), -1))


@pytest.fixture(scope="module")
def flattened():
    return models.Network(Flattened(), "flattened", labels="abcde")


def test_starts_cover_what_fits():
    assert occlusion.starts(224, 32, 8).tolist() == list(range(0, 193, 8))
    assert occlusion.starts(10, 10, 3).tolist() == [0]
    assert occlusion.starts(10, 3, 4).tolist() == [0, 4]


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (11, 1), (3, 0)])
def test_starts_refuses_what_does_not_fit(window, stride):
    with pytest.raises(ValueError, match=f"window={window}" if stride else "stride=0"):
        occlusion.starts(10, window, stride)


def test_fills_are_the_colours_they_say(squeezenet, panda):
    def pixels(fill):
        return squeezenet.denormalize(occlusion.fill_value(squeezenet, panda, fill)).flatten()

    near = {"atol": 1e-6, "rtol": 0}
    torch.testing.assert_close(pixels("grey"), torch.full((3,), 0.5).to(panda), **near)
    torch.testing.assert_close(pixels("dataset mean"), squeezenet.mean.flatten(), **near)
    photo = squeezenet.denormalize(panda)[0].mean((1, 2))
    torch.testing.assert_close(pixels("photo mean"), photo, atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels((1, 0, 0.5)), torch.tensor([1, 0, 0.5]).to(panda), **near)


@pytest.mark.parametrize("fill", ["gray", (1, 2, 3), (0.5, 0.5), ""])
def test_unknown_fills_are_refused(squeezenet, panda, fill):
    with pytest.raises(ValueError, match="fill="):
        occlusion.fill_value(squeezenet, panda, fill)


def test_occlude_paints_squares_on_copies():
    x = torch.randn(1, 3, 9, 9)
    kept = x.clone()
    at = torch.tensor([0, 5]), torch.tensor([2, 4])
    covered = occlusion.occlude(x, *at, 3, torch.tensor([1.0, 2, 3]).view(3, 1, 1))
    assert torch.equal(x, kept)
    assert covered[1, :, 5:8, 4:7].flatten(1).unique(dim=1).flatten().tolist() == [1, 2, 3]
    changed = (covered != x).any(1)
    assert changed.sum((1, 2)).tolist() == [9, 9]


@pytest.mark.parametrize("fill", ["grey", "photo mean"])
@pytest.mark.parametrize(("window", "stride"), [(56, 84), (31, 97)])
def test_incremental_equals_whole_pictures(squeezenet, panda, window, stride, fill):
    given = (squeezenet, panda, window, stride, fill)
    quick = occlusion.occlusion_logits(*given)
    plain = occlusion.occlusion_logits(*given, incremental=False)
    n = len(occlusion.starts(224, window, stride))
    assert quick.shape == plain.shape == (n, n, 1000)
    assert (quick - plain).abs().max() < 1e-4 * plain.abs().max()


@pytest.mark.parametrize("incremental", [True, False])
def test_only_the_wanted_classes_are_returned(squeezenet, panda, incremental):
    every = occlusion.occlusion_logits(squeezenet, panda, 64, 40)
    some = occlusion.occlusion_logits(
        squeezenet, panda, 64, 40, incremental=incremental, classes=[388, 7]
    )
    torch.testing.assert_close(some, every[..., [388, 7]], atol=1e-4, rtol=1e-4)


def test_an_unknown_geometry_falls_back_with_a_warning(flattened):
    x = torch.randn(1, 3, 48, 48)
    with pytest.warns(UserWarning, match="occlusion runs whole pictures"):
        found = occlusion.occlusion_logits(flattened.to("cpu"), x, 16, 16)
    plain = occlusion.occlusion_logits(flattened, x, 16, 16, incremental=False)
    torch.testing.assert_close(found, plain)


def test_bad_input_is_refused(squeezenet, vgg, panda):
    with pytest.raises(ValueError, match="x: shape"):
        occlusion.occlusion_logits(squeezenet, panda.repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match="finite"):
        occlusion.occlusion_logits(squeezenet, panda * float("nan"))
    with pytest.raises(ValueError, match=r"classes=\[1000\]; accepted: indices from 0 to 999"):
        occlusion.occlusion_logits(squeezenet, panda, classes=[1000])
    with pytest.raises(ValueError, match="no classifier"):
        occlusion.occlusion_logits(vgg, panda)


def test_drop_by_hand():
    before, after = torch.tensor([2.0, 0.0]), torch.tensor([[[1.0, 0.0], [3.0, 0.0]]])
    assert occlusion.drop(before, after, 0, probability=False).tolist() == [[1.0, -1.0]]
    p = torch.sigmoid(torch.tensor([2.0, 1.0, 3.0]))
    torch.testing.assert_close(occlusion.drop(before, after, 0), (p[0] - p[1:])[None])


def test_to_pixels_averages_the_squares_that_covered_a_pixel():
    found = occlusion.to_pixels(torch.tensor([[1.0, 3.0]]), window=2, stride=1, height=3, width=4)
    assert found.tolist() == [[1, 2, 3, 0], [1, 2, 3, 0], [0, 0, 0, 0]]


def test_the_score_misses_the_object_more_than_the_background(squeezenet):
    scenes = composites.recognised_composites(squeezenet, n=4, seed=3, rightly=True)
    more = []
    for pixels, mask, target in zip(scenes.pixels, scenes.masks, scenes.classes, strict=True):
        x = squeezenet.normalize(pixels[None])
        after = occlusion.occlusion_logits(squeezenet, x, 56, 28, classes=[int(target)])
        drops = occlusion.drop(squeezenet(x)[0, [target]], after, 0, probability=False)
        map_ = occlusion.to_pixels(drops, 56, 28, 224, 224)
        more.append((map_[mask].mean() - map_[~mask].mean()).item())
    assert min(more) > 1


def test_the_koalas_face_matters_most(squeezenet):
    x = squeezenet.preprocess(images.photo("koala"))
    koala = squeezenet.index("koala")
    after = occlusion.occlusion_logits(squeezenet, x, 48, 16, classes=[koala])
    drops = occlusion.drop(squeezenet(x)[0, [koala]], after, 0, probability=False)
    row, column = divmod(drops.argmax().item(), drops.shape[1])
    assert 16 <= row * 16 + 24 <= 112  # the face lies in rows 30-100, columns 100-190
    assert 96 <= column * 16 + 24 <= 200


@pytest.mark.parametrize(("window", "stride"), [(5, 3), (4, 5)])
def test_the_plain_loop_equals_captums_way(window, stride):
    """One batch of images multiplied by masks, as captum does it, with a fill."""
    model = networks.build(NetworkSpec("tiny_cnn", 4, 6))
    x = torch.randn(1, 3, 13, 11, generator=torch.Generator().manual_seed(1))
    value = torch.tensor([0.5, -1.0, 2.0]).view(3, 1, 1)
    hidden = torch.nn.functional.unfold(
        torch.arange(143.0).view(1, 1, 13, 11), window, 1, 0, stride
    )
    masks = torch.zeros(hidden.shape[2], 143).scatter(1, hidden[0].T.long(), 1.0).bool()
    wanted = model(torch.where(masks.view(-1, 1, 13, 11), value, x))
    found = occlusion.sliding_window(model, x, window, stride, value)
    assert found.shape == (*(len(occlusion.starts(n, window, stride)) for n in (13, 11)), 6)
    torch.testing.assert_close(found.flatten(0, 1), wanted, rtol=0, atol=1e-5)


def test_the_plain_loop_refuses_a_window_that_does_not_fit():
    model = networks.build(NetworkSpec("tiny_cnn"))
    with pytest.raises(ValueError, match="window=9"):
        occlusion.sliding_window(model, torch.zeros(1, 3, 8, 12), 9, 1, torch.zeros(3, 1, 1))


@pytest.mark.parametrize("layer", ["conv1", "fire2", "fire4", "fire9"])
@pytest.mark.parametrize(("top", "left"), [(56, 120), (0, 192)])
def test_the_units_that_change_are_those_that_see_the_square(squeezenet, panda, layer, top, left):
    seen = occlusion.reached(squeezenet, layer, top, left, 32)
    noise = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0)).to(panda)
    touched = panda.clone()
    touched[0, :, top : top + 32, left : left + 32] += noise
    both = (layers.activations(squeezenet, one, layer) for one in (panda, touched))
    changed = torch.ne(*both).any(1)[0].cpu()
    assert not (changed & ~seen).any()
    assert changed.sum() > 0.9 * seen.sum()  # a few units see only pixels a ReLU has cut


def test_work_is_counted_as_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2))
    work = occlusion.convolution_work(model, window=2, stride=4, size=9)
    # 7x7 units see 3 pixels each: a square at 0 or 4 (of 0, 4) reaches 2 or 4 of a side.
    assert list(work) == ["0", "2"]
    assert work["0"] == (108 * 49, 108 * 3.0**2)
    # 3x3 units see 5 pixels each from 0, 2, 4: the square at 0 reaches 1, the one at 4 all 3.
    assert work["2"] == (72 * 9, 72 * 2.0**2)


def test_work_of_a_square_as_large_as_the_picture_is_all_of_it(squeezenet):
    work = occlusion.convolution_work(squeezenet, window=224, stride=8)
    assert all(whole == part for whole, part in work.values())
    assert sum(whole for whole, _ in work.values()) == pytest.approx(349e6, rel=0.01)
    with pytest.raises(ValueError, match="window=225"):
        occlusion.convolution_work(squeezenet, window=225, stride=8)


# ------------------------------------------------------------------ the explorer


@pytest.fixture(scope="module")
def explorer(squeezenet):
    made = widgets.occlusion_explorer(squeezenet, ["koala"])
    made.controls["side"].value = 96  # the fewest positions
    return made


def lowest(explorer):
    """The first two numbers of its sentence: before and after."""
    return [
        float(n) for n in re.search(r"from (-?\d+\.\d+) to (-?\d+\.\d+)", explorer.text).groups()
    ]


def test_the_explorer_says_what_the_square_costs(explorer):
    explorer.controls["across"].value, explorer.controls["down"].value = 60, 22
    before, after = lowest(explorer)
    assert before - after > 3
    explorer.controls["across"].value, explorer.controls["down"].value = 0, 100
    assert lowest(explorer)[0] == before
    assert lowest(explorer)[1] > after + 2
    assert "Most probable now: koala" in explorer.text


def test_moving_the_square_costs_one_pass_and_a_measure_none(explorer, squeezenet, monkeypatch):
    passes = []
    forward = type(squeezenet).forward
    monkeypatch.setattr(
        type(squeezenet), "forward", lambda net, x: passes.append(len(x)) or forward(net, x)
    )
    explorer.controls["across"].value = 41
    assert passes == [1]
    explorer.controls["measure"].value = "probability"
    explorer.controls["class_index"].value = squeezenet.index("wombat")
    assert passes == [1]
    assert "probability of “wombat”" in explorer.text


def test_every_fill_of_the_explorer_works():
    net = models.Network(tiny.network(), "tiny", labels=list("abcde"), resize=128, crop=128)
    explorer, seen = widgets.occlusion_explorer(net, ["koala"]), set()
    fill = explorer.controls["fill"]
    for one in fill.options:
        fill.value = one
        seen.add(explorer.image.value)
    assert explorer.error is None
    assert len(seen) == len(fill.options)
