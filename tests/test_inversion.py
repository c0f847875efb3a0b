"""Inversion: compared with naive loops and scikit-image's definitions, and what it brings back."""

import math

import pytest
import tiny
import torch
from torch import nn

from course_utils import images, inversion, layers, models, widgets
from course_utils.common.optimise import adam, total_variation
from course_utils.models import Network


@pytest.fixture(scope="module")
def squeezenet():
    return models.load("squeezenet1_1", device="cpu")


@pytest.fixture(scope="module")
def vgg():
    return inversion.vgg_to_relu5_1(device="cpu")


@pytest.fixture(scope="module")
def photo():
    return images.square(images.photo("red_panda").pixels(), 64)


def small(layers_=None):
    """A network of two convolutions, for errors and equalities."""
    generator = torch.Generator().manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3, stride=2)
    for p in [*first.parameters(), *second.parameters()]:
        p.data = torch.randn(p.shape, generator=generator) * 0.3
    return Network(nn.Sequential(first, nn.ReLU(), second), layers=layers_)


# ------------------------------------------------------------------ the loss


def naive_loss(phi, target, x, weight):
    total = 0.0
    for one, wanted in zip(phi, target, strict=True):
        pairs = list(zip(one.flatten().tolist(), wanted.flatten().tolist(), strict=True))
        total += sum((a - b) ** 2 for a, b in pairs) / sum(b**2 for _, b in pairs)
    for image in x.tolist():
        for colour in image:
            for i in range(len(colour) - 1):
                for j in range(len(colour[0]) - 1):
                    down = colour[i + 1][j] - colour[i][j]
                    total += weight * (down**2 + (colour[i][j + 1] - colour[i][j]) ** 2)
    return total


def test_loss_equals_a_naive_loop():
    phi, target = tiny.array(1, 2, 3, 2, 2), tiny.array(2, 2, 3, 2, 2)
    x = tiny.array(3, 2, 3, 4, 5)
    expected = naive_loss(phi, target, x, 0.3)
    assert math.isclose(inversion.inversion_loss(phi, target, x, 0.3), expected, rel_tol=1e-4)


def test_loss_is_zero_at_the_target_and_one_far_from_it():
    target, flat = tiny.array(1, 2, 3, 2, 2), torch.zeros(2, 3, 4, 4)
    assert inversion.inversion_loss(target, target, flat, 1.0) == 0
    nothing = inversion.inversion_loss(torch.zeros_like(target), target, flat, 1.0)
    assert nothing.item() == pytest.approx(2)  # one for each image


def test_loss_does_not_depend_on_the_size_of_the_features():
    phi, target, x = tiny.array(1, 2, 5), tiny.array(2, 2, 5), torch.zeros(2, 3, 4, 4)
    once = inversion.inversion_loss(phi, target, x, 0.0)
    torch.testing.assert_close(inversion.inversion_loss(9 * phi, 9 * target, x, 0.0), once)


def test_gradient_agrees_with_finite_differences():
    net, x = small().double(), tiny.array(4, 1, 3, 7, 7).double()
    target = inversion.features(net, tiny.array(5, 1, 3, 7, 7).double(), "2")

    def loss(x):
        return inversion.inversion_loss(inversion.features(net, x, "2"), target, x, 0.1)

    assert torch.autograd.gradcheck(loss, x.requires_grad_())


def test_loss_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"target: shape \(1, 3\); accepted: .*\(1, 2\)"):
        inversion.inversion_loss(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 3, 2, 2), 0)


# ------------------------------------------------------------------ features


def test_features_equal_those_of_a_whole_pass(squeezenet, photo):
    x = squeezenet.normalize(photo)[None]
    for name in ("relu1", "fire5", "pool10"):
        expected = layers.activations(squeezenet, x, name)
        torch.testing.assert_close(inversion.features(squeezenet, x, name), expected)


def test_features_end_the_pass_at_their_layer_and_leave_no_hook():
    net, calls = small(), []
    handle = net.module[2].register_forward_hook(lambda *_: calls.append(1))
    inversion.features(net, tiny.array(1, 1, 3, 9, 9), "1")
    assert calls == []
    handle.remove()
    assert all(not part._forward_hooks for part in net.modules())


def test_vgg_ends_with_the_relu_of_conv5_1(vgg, photo):
    x = vgg.normalize(photo)[None]
    assert list(vgg.layers)[-1] == "relu5_1"
    before = layers.activations(vgg, x, "conv5_1")
    torch.testing.assert_close(inversion.features(vgg, x, "relu5_1"), before.relu())
    original = models.load("vgg16_hed", device="cpu")
    torch.testing.assert_close(layers.activations(original, x, "conv5_1"), before)


def test_unknown_layers_are_suggested(squeezenet, photo):
    with pytest.raises(ValueError, match="fire5"):
        inversion.invert(squeezenet, photo, "fir5", steps=1)


class Detached(nn.Module):
    def forward(self, x):
        return x.detach() * 2


class Pair(nn.Module):
    def forward(self, x):
        return x, x


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return self.used(x)


@pytest.mark.parametrize(
    ("module", "layer", "words"),
    [
        (nn.Sequential(Detached()), "0", "'0' has no gradient"),
        (nn.Sequential(Pair()), "0", "gives no tensor"),
        (Unused(), "spare", "takes no part"),
    ],
)
def test_layers_that_cannot_be_inverted_are_named(module, layer, words):
    with pytest.raises(ValueError, match=words):
        inversion.invert(Network(module), torch.rand(3, 8, 8), layer, steps=1)


# ------------------------------------------------------------------ inverting


def test_a_shallow_layer_gives_the_photo_back(squeezenet, photo):
    result = inversion.invert(squeezenet, photo, "relu1", steps=25, progress=None)
    assert inversion.psnr(result.image, photo).item() > 25
    assert inversion.ssim(result.image, photo).item() > 0.9
    assert result.losses[-1] < 0.15 * result.losses[0]


def test_deeper_layers_give_less_of_it_back(squeezenet, photo):
    names = ("relu1", "fire3", "fire7")
    runs = [inversion.invert(squeezenet, photo, n, steps=15, progress=None) for n in names]
    likeness = [inversion.psnr(run.image, photo).item() for run in runs]
    assert likeness[0] > likeness[1] > likeness[2]


def test_the_photo_itself_is_a_minimum(squeezenet, photo):
    phi = inversion.features(squeezenet, squeezenet.normalize(photo)[None], "fire3")
    assert inversion.inversion_loss(phi, phi, photo[None], 0.0) == 0


def test_more_regularisation_makes_smoother_pictures(squeezenet, photo):
    settings = {"steps": 10, "progress": None, "keep": 0}
    runs = [inversion.invert(squeezenet, photo, "fire3", w, **settings) for w in (0, 1e-4, 1e-2)]
    variation = [total_variation(run.image).item() for run in runs]
    assert variation[0] > variation[1] > variation[2]


def test_the_same_seed_gives_the_same_picture():
    net, photo = small(), torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(1))
    a, b, c = (
        inversion.invert(net, photo, "1", steps=3, seed=s, noise=0.1, progress=None).image
        for s in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert inversion.spread(torch.cat([a, c])).mean() > 1e-3
    assert 0 <= a.min() < a.max() <= 1


@pytest.mark.parametrize("coordinates", inversion.COORDINATES)
def test_several_starts_descend_side_by_side(coordinates):
    net, photo = small(), tiny.array(2, 3, 16, 16).sigmoid()
    settings = {"steps": 6, "coordinates": coordinates, "noise": 0.1, "progress": None}
    settings |= {"rule": adam(0.05), "seed": 3}
    alone, three = (inversion.invert(net, photo, "2", starts=n, **settings) for n in (1, 3))
    torch.testing.assert_close(three.image[:1], alone.image, atol=1e-4, rtol=0)
    assert three.image.shape == (3, 3, 16, 16)
    assert inversion.spread(three.image).mean() > 0.01
    assert 2 * alone.losses[0] < three.losses[0] < 4 * alone.losses[0]


@pytest.mark.parametrize("coordinates", ["frequencies", "pixels"])
def test_a_picture_can_be_the_start(coordinates):
    photo, net = 0.1 + 0.8 * torch.rand(3, 9, 9), small()
    settings = {"start": photo, "coordinates": coordinates, "weight": 0.0, "progress": None}
    result = inversion.invert(net, photo, "1", steps=1, **settings)
    assert result.losses[0] < 1e-6
    assert (result.image[0] - photo).abs().max() < 0.01


def test_transforms_come_before_the_network():
    photo, net, seen = torch.rand(3, 9, 9), small(), []

    def shift(x, random):
        seen.append(x.shape)
        return x.roll(1, -1)

    settings = {"rule": adam(0.05), "transforms": [shift], "progress": None}
    inversion.invert(net, photo, "1", steps=2, **settings)
    assert seen == [(1, 3, 9, 9)] * 3


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (torch.rand(1, 3, 9, 9), r"\(1, 3, 9, 9\); accepted: a tensor \(3,H,W\)"),
        (torch.rand(9, 9), "accepted: a tensor"),
        (torch.rand(4, 9, 9), "accepted: a tensor"),
        ("red_panda", "photo: str"),
        (torch.rand(3, 1, 1), "7 x 7 or more"),
        (torch.full((3, 9, 9), float("nan")), "not finite"),
        (torch.rand(3, 0, 9), "7 x 7 or more"),
    ],
)
def test_photos_that_cannot_be_inverted_are_refused(photo, words):
    with pytest.raises(ValueError, match=words):
        inversion.invert(small(), photo, "1", steps=1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weight": -1.0}, "weight=-1.0"),
        ({"coordinates": "pixel"}, "pixels"),
        ({"start": torch.rand(3, 8, 9)}, r"start: \(3, 8, 9\).*\(3, 9, 9\)"),
        ({"start": torch.full((3, 9, 9), float("inf"))}, "start: it has values"),
        ({"starts": 0}, "starts=0"),
        ({"starts": 2, "start": torch.rand(3, 9, 9)}, "starts=2"),
        ({"steps": 0}, "steps"),
    ],
)
def test_numbers_outside_their_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        inversion.invert(small(), torch.rand(3, 9, 9), "1", **{"steps": 1} | settings)


def test_a_photo_too_small_for_a_layer_is_refused():
    stack = nn.Sequential(nn.Conv2d(3, 2, 5), nn.Conv2d(2, 2, 5))
    with pytest.raises(ValueError, match="7 x 7 pixels are too small for layer='1'"):
        inversion.invert(Network(stack), torch.rand(3, 7, 7), "1", steps=1)


def test_the_smallest_photo_and_the_deepest_layers(squeezenet, vgg):
    photo = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    for net, name in ((squeezenet, "fire3"), (vgg, "relu5_1")):
        result = inversion.invert(net, photo, name, steps=1, progress=None)
        assert result.image.shape == (1, 3, 16, 16)


def test_a_photo_without_features_is_refused():
    net = small()
    net.module[0].bias.data.fill_(-100)
    with pytest.raises(ValueError, match="all 0"):
        inversion.invert(net, torch.rand(3, 9, 9), "1", steps=1)


# ------------------------------------------------------------------ measures


def test_psnr_equals_its_definition():
    a, b = torch.rand(2, 3, 9, 9), torch.rand(3, 9, 9)
    expected = -10 * (a - b).square().mean((1, 2, 3)).log10()
    torch.testing.assert_close(inversion.psnr(a, b), expected, rtol=1e-4, atol=1e-4)


def naive_ssim(a, b):
    """The mean over windows of 7 x 7 and colours, from the formula of Wang et al."""
    values = []
    for x, y in zip(a.double(), b.double(), strict=True):
        for i in range(x.shape[0] - 6):
            for j in range(x.shape[1] - 6):
                u, v = x[i : i + 7, j : j + 7], y[i : i + 7, j : j + 7]
                covariance = ((u - u.mean()) * (v - v.mean())).sum() / 48
                top = (2 * u.mean() * v.mean() + 1e-4) * (2 * covariance + 9e-4)
                below = (u.mean() ** 2 + v.mean() ** 2 + 1e-4) * (u.var() + v.var() + 9e-4)
                values.append(top / below)
    return torch.stack(values).mean()


def test_ssim_equals_its_definition():
    random = torch.Generator().manual_seed(2)
    a, b = torch.rand(3, 11, 9, generator=random), torch.rand(3, 11, 9, generator=random)
    both = (a + b) / 2
    assert inversion.ssim(both[None], b).item() == pytest.approx(
        naive_ssim(both, b).item(), abs=1e-4
    )


def test_equal_pictures_are_equal():
    photo = torch.rand(3, 9, 9)
    assert inversion.ssim(photo[None], photo).item() == pytest.approx(1)
    assert inversion.psnr(photo[None], photo).item() == math.inf


def test_measures_refuse_other_sizes():
    with pytest.raises(ValueError, match="pictures: shape"):
        inversion.psnr(torch.rand(1, 3, 9, 8), torch.rand(3, 9, 9))
    with pytest.raises(ValueError, match="7 x 7"):
        inversion.ssim(torch.rand(1, 3, 5, 5), torch.rand(3, 5, 5))
    with pytest.raises(ValueError, match="2 or more"):
        inversion.spread(torch.rand(1, 3, 5, 5))


def test_spread_is_zero_where_pictures_agree():
    pictures = torch.rand(3, 3, 4, 4)
    pictures[:, :, 0] = 0.5
    spread = inversion.spread(pictures)
    assert spread[0].max() == 0
    assert spread[1:].min() > 0


# ------------------------------------------------------------------ the explorer


def test_frames_are_scrubbed_without_a_run(squeezenet, monkeypatch):
    runs, invert = [], inversion.invert
    monkeypatch.setattr(inversion, "invert", lambda *a, **k: runs.append(1) or invert(*a, **k))
    explorer = widgets.inversion_explorer(squeezenet, ("relu1", "fire3"), side=32, steps=12)
    controls, last = explorer.controls, explorer.text
    assert len(runs) == 1
    controls["frame"].value = 0
    assert len(runs) == 1
    assert explorer.text != last
    assert "after 0 of 12 steps" in explorer.text
    controls["layer"].value = "relu1"
    controls["weight"].value = 1e-3
    assert len(runs) == 3
    assert "from relu1, weight 0.001" in explorer.text


def test_the_stored_ladder_is_what_the_descent_gives(squeezenet):
    stored = inversion.stored_ladders()
    found = stored["squeezenet1_1"]
    assert tuple(found) == inversion.SQUEEZENET_LADDER
    assert all(len(values) == len(stored["photos"]) == 8 for values in found.values())
    name = stored["photos"][0]
    photo = images.square(images.photo(name).pixels(), 128)
    made = inversion.invert(squeezenet, photo, "fire3", keep=0, progress=None).image
    psnr, ssim = found["fire3"][0]
    assert inversion.psnr(made, photo).item() == pytest.approx(psnr, abs=1.5)
    assert inversion.ssim(made, photo).item() == pytest.approx(ssim, abs=0.1)
