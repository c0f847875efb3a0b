"""Saliency maps against finite differences and captum; what is made of them, by its properties."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_utils import images, layers, saliency
from course_utils.common import scores

REFERENCE = np.load(Path(__file__).parent / "reference" / "saliency.npz")
CLASSES = [0, 3, 4]
CLASSIFIERS = ("squeezenet1_1", "efficientnet_lite0")


def stored(name):
    """One of captum's arrays, see reference/make.py."""
    return torch.from_numpy(REFERENCE[name])


def centred(side, radius):
    """A disc in the middle of a square, (side,side) bool."""
    axis = torch.arange(side) - (side - 1) / 2
    return axis[:, None] ** 2 + axis**2 <= radius**2


# ------------------------------------------------------------------ the gradient


def test_the_gradient_is_that_of_finite_differences():
    net, x, step = tiny.network().double(), tiny.batch().double(), 1e-6
    gradient = saliency.input_gradient(net, x, [1, 3])
    directions = torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    with torch.no_grad():
        for image, c, ours in zip(x, (1, 3), gradient, strict=True):
            up, down = (net(image + s * directions)[:, c] for s in (step, -step))
            numeric = ((up - down) / (2 * step)).view(image.shape)
            assert torch.allclose(ours, numeric, rtol=0, atol=1e-6 * ours.abs().max().item())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_gradient_of_the_trained_networks_is_that_of_finite_differences(zoo, name):
    net = zoo[name]
    x = net.preprocess(images.photo("panda"))
    gradient = saliency.input_gradient(net, x, "giant panda")
    exact = copy_in_double(net)
    direction = gradient[0].double() / gradient.norm()
    step = 1e-4
    with torch.no_grad():
        up, down = (exact(x.double() + s * direction)[0, 388] for s in (step, -step))
    # Along the gradient the score grows by its length; kinks of the ReLUs are rare at this step.
    assert ((up - down) / (2 * step)).item() == pytest.approx(gradient.norm().item(), rel=0.01)


def copy_in_double(net):
    """The same network in double precision; the zoo's own stays as it is."""
    weights = {key: value.double() for key, value in net.state_dict().items()}

    def run(x):
        return torch.func.functional_call(net, weights, (x,))

    return run


def test_the_gradient_agrees_with_captum_exactly_on_the_tiny_network():
    net, x = tiny.network(), tiny.batch(n=3)
    ours = saliency.input_gradient(net, x, CLASSES)
    expected = stored("tiny_saliency")
    close = {"rtol": 0, "atol": 1e-5 * expected.max().item()}
    assert torch.allclose(ours.abs(), expected, **close)
    assert torch.allclose(saliency.saliency_map(net, x, CLASSES), expected.amax(1), **close)
    ours, expected = saliency.gradient_times_input(net, x, CLASSES), stored("tiny_input_x_gradient")
    assert torch.allclose(ours, expected.sum(1), rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("kind", ["saliency", "input_x_gradient"])
def test_the_gradient_agrees_with_captum_on_the_trained_networks(zoo, name, kind):
    net = zoo[name]
    x = net.normalize(images.read(REFERENCE["photo"]))[None]
    gradient = saliency.input_gradient(net, x, "giant panda")
    ours = (gradient.abs() if kind == "saliency" else gradient * x)[0].cpu()
    score = scores.class_scores(net, x, 388).item()
    assert score == pytest.approx(stored(f"{name}_score").item(), rel=1e-3)
    crop, expected = ours[:, 88:136, 88:136], stored(f"{name}_{kind}")
    # Another machine rounds differently, and a ReLU or maximum may then switch: not for many.
    differs = (crop - expected).abs() > 1e-3 * expected.abs().max()
    assert differs.float().mean() < 0.01
    blocks = nn.functional.avg_pool2d(ours.abs()[None], 16)[0]
    assert torch.allclose(blocks, stored(f"{name}_{kind}_blocks"), rtol=0.01)


def test_smoothgrad_agrees_with_the_mean_of_captums_maps():
    net, x, noise = tiny.network(), tiny.batch(n=3), tiny.array(9, 4, 3, 3, 16, 16) / 4
    ours, expected = saliency.smoothgrad(net, x, CLASSES, noise), stored("tiny_smooth")
    assert torch.allclose(ours, expected, rtol=0, atol=1e-5 * expected.max().item())


# ------------------------------------------------------------------ what follows from the formulas

MAPS = {
    "input_gradient": saliency.input_gradient,
    "saliency_map": saliency.saliency_map,
    "gradient_times_input": saliency.gradient_times_input,
    "smoothgrad": lambda net, x, c: saliency.smoothgrad(
        net, x, c, tiny.array(9, 4, 3, 3, 16, 16)[:, : len(x)]
    ),
}
each_map = pytest.mark.parametrize("method", MAPS)


@each_map
def test_a_batch_gives_the_same_as_single_images(method):
    net, x = tiny.network(), tiny.batch(n=3)
    if method == "smoothgrad":
        noise = tiny.array(9, 4, 3, 3, 16, 16)
        together = saliency.smoothgrad(net, x, CLASSES, noise)
        alone = [
            saliency.smoothgrad(net, x[i : i + 1], c, noise[:, i : i + 1])
            for i, c in enumerate(CLASSES)
        ]
    else:
        together = MAPS[method](net, x, CLASSES)
        alone = [MAPS[method](net, x[i : i + 1], c) for i, c in enumerate(CLASSES)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6 * together.abs().max().item())


@each_map
def test_maps_have_the_documented_shape_and_sign(method):
    net, x = tiny.network(), tiny.batch(n=3)
    found = MAPS[method](net, x, 2)
    assert found.shape == (x.shape if method == "input_gradient" else (3, 16, 16))
    assert found.dtype == x.dtype
    if method in ("saliency_map", "smoothgrad"):
        assert found.min() >= 0
    else:
        assert found.min() < 0 < found.max()


@each_map
def test_one_class_for_all_is_that_class_for_each(method):
    net, x = tiny.network(), tiny.batch(n=3)
    expected = MAPS[method](net, x, [2, 2, 2])
    assert torch.equal(MAPS[method](net, x, 2), expected)
    assert torch.equal(MAPS[method](net, x, torch.tensor([2, 2, 2])), expected)
    assert torch.equal(MAPS[method](net, x, torch.tensor(2)), expected)


def test_classes_may_be_names(squeezenet, panda):
    by_name = saliency.saliency_map(squeezenet, panda, "giant panda")
    assert torch.equal(by_name, saliency.saliency_map(squeezenet, panda, 388))
    assert torch.equal(by_name, saliency.saliency_map(squeezenet, panda, ["giant panda"]))
    assert not torch.equal(by_name, saliency.saliency_map(squeezenet, panda, "koala"))


def linear(bias=False):
    """A network that is linear in its pixels: S = W x (+ b)."""
    return tiny.fill(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5, bias=bias)))


@given(c=st.integers(0, 4), seed=st.integers(0, 99))
def test_on_a_linear_network_everything_is_known(c, seed):
    net, x = linear(), tiny.batch(seed, n=2, side=8)
    weight = net[1].weight[c].view(3, 8, 8)
    assert torch.equal(saliency.input_gradient(net, x, c), weight.expand(2, 3, 8, 8))
    assert torch.equal(saliency.saliency_map(net, x, c)[0], weight.abs().amax(0))
    maps = saliency.gradient_times_input(net, x, c)
    assert torch.allclose(maps.sum((1, 2)), net(x)[:, c], atol=1e-5)
    noise = tiny.array(seed, 3, 2, 3, 8, 8)
    smooth = saliency.smoothgrad(net, x, c, noise)
    assert torch.allclose(smooth, saliency.saliency_map(net, x, c))


def test_without_noise_smoothgrad_is_the_saliency_map():
    net, x = tiny.network(), tiny.batch()
    smooth = saliency.smoothgrad(net, x, [1, 3], torch.zeros(3, *x.shape))
    assert torch.allclose(smooth, saliency.saliency_map(net, x, [1, 3]), atol=1e-7)


def test_smoothgrad_is_the_mean_over_more_samples_than_fit_a_chunk():
    net, x, noise = tiny.network(), tiny.batch(n=3), tiny.array(9, 7, 3, 3, 16, 16)
    together = saliency.smoothgrad(net, x, CLASSES, noise)
    by_hand = torch.stack([saliency.saliency_map(net, x + n, CLASSES) for n in noise]).mean(0)
    assert torch.allclose(together, by_hand, atol=1e-6 * by_hand.max().item())


def test_the_score_is_the_logit_and_not_the_probability():
    net, x = tiny.network(), tiny.batch()
    logits = net(x)
    assert torch.equal(scores.class_scores(net, x, [1, 3]), logits[[0, 1], [1, 3]])
    shifted = nn.Sequential(net, Shift())  # the same probabilities, other scores
    assert torch.allclose(net(x).softmax(1), shifted(x).softmax(1), atol=1e-6)
    before, after = (saliency.input_gradient(n, x, 1) for n in (net, shifted))
    assert not torch.allclose(before, after)


class Shift(nn.Module):
    """Adds the same number to all logits of an image: their mean."""

    def forward(self, logits):
        return logits + logits.mean(1, keepdim=True)


# ------------------------------------------------------------------ noise


def test_noise_has_its_share_of_each_images_range():
    x = torch.stack([torch.rand(3, 64, 64), 10 * torch.rand(3, 64, 64)])
    noise = saliency.gaussian_noise(x, samples=4, level=0.2)
    assert noise.shape == (4, *x.shape)
    spread = x.amax((1, 2, 3)) - x.amin((1, 2, 3))
    for i in range(2):
        assert noise[:, i].std().item() == pytest.approx(0.2 * spread[i].item(), rel=0.02)
        assert abs(noise[:, i].mean().item()) < 0.01 * spread[i].item()


def test_noise_is_the_same_for_the_same_seed_and_leaves_the_global_state_alone():
    x, state = tiny.batch(), torch.get_rng_state()
    first, again, other = (saliency.gaussian_noise(x, seed=s) for s in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert saliency.gaussian_noise(x.double()).dtype == torch.double
    assert not saliency.gaussian_noise(x, level=0).any()


# ------------------------------------------------------------------ errors


@each_map
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], r"x: shape \(3, 16, 16\); accepted: images \(N,3,H,W\)"),
        (lambda x: x[:0], r"x: shape \(0, 3, 16, 16\)"),
        (lambda x: x / 0, "x: it has values that are not finite"),
        (lambda x: x.where(x != x.max(), torch.nan), "x: it has values that are not finite"),
    ],
    ids=["one image", "no image", "infinite", "NaN"],
)
def test_wrong_images_are_refused(method, change, message):
    x = change(tiny.batch())
    if method == "smoothgrad":
        if x.ndim != 4 or len(x) == 0:
            pytest.skip("its noise has that shape already")
        with pytest.raises(ValueError, match=message):
            saliency.smoothgrad(tiny.network(), x, 1, torch.zeros(1, *x.shape))
        return
    with pytest.raises(ValueError, match=message):
        MAPS[method](tiny.network(), x, 1)


@each_map
@pytest.mark.parametrize("classes", [5, -1, [0, 5]])
def test_classes_out_of_range_are_refused(method, classes):
    with pytest.raises(ValueError, match=r"classes: .*accepted: 0 to 4"):
        MAPS[method](tiny.network(), tiny.batch(), classes)


@each_map
def test_another_number_of_classes_than_images_is_refused(method):
    with pytest.raises(ValueError, match="classes: 3 came for 2 images"):
        MAPS[method](tiny.network(), tiny.batch(), [1, 2, 3])


def test_unknown_class_names_suggest_near_ones(squeezenet, panda):
    with pytest.raises(ValueError, match=r"label='giant pandas'.*'giant panda'"):
        saliency.saliency_map(squeezenet, panda, "giant pandas")
    with pytest.raises(ValueError, match="1000 is outside 0 to 999"):
        saliency.saliency_map(squeezenet, panda, 1000)


def test_a_network_without_classifier_is_refused(vgg):
    x = vgg.preprocess(images.photo("panda"))[..., :64, :64]
    with pytest.raises(ValueError, match="vgg16_hed has no classifier"):
        saliency.saliency_map(vgg, x, 388)
    features = tiny.network()[:5]
    with pytest.raises(ValueError, match=r"model: its output has shape .*not \(N, classes\)"):
        saliency.saliency_map(features, tiny.batch(), 0)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (0, 2, 3, 16, 16), (4, 1, 3, 16, 16)])
def test_noise_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="noise: shape"):
        saliency.smoothgrad(tiny.network(), tiny.batch(), 1, torch.zeros(shape))


@pytest.mark.parametrize("options", [{"samples": 0}, {"level": -0.1}])
def test_impossible_noise_is_refused(options):
    with pytest.raises(ValueError, match="accepted: 1 or more, and 0 or more"):
        saliency.gaussian_noise(tiny.batch(), **options)


# ------------------------------------------------------------------ outline, interior, background


@given(
    seed=st.integers(0, 999),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    band=st.integers(0, 12),
)
def test_regions_part_the_picture_around_the_outline(seed, height, width, band):
    blobs = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    mask = nn.functional.interpolate(blobs, (height, width), mode="bilinear")[0, 0] > 0.5
    found = saliency.regions(mask, band)
    total = sum(found[name].int() for name in ("outline", "interior", "background"))
    assert torch.equal(total, torch.ones(height, width, dtype=torch.int))
    assert not (found["interior"] & ~mask).any()
    assert not (found["background"] & mask).any()
    wider = saliency.regions(mask, band + 2)["outline"]
    assert not (found["outline"] & ~wider).any()


def test_the_outline_band_has_its_width():
    mask = torch.zeros(60, 60, dtype=torch.bool)
    mask[:, 30:] = True
    for width in (2, 4, 8):
        outline = saliency.regions(mask, width)["outline"]
        assert (outline.sum(1) == width).all()
        assert torch.equal(
            outline[0].nonzero()[:, 0], torch.arange(30 - width // 2, 30 + width // 2)
        )


def test_the_borders_of_the_picture_are_no_outline():
    for full in (torch.ones, torch.zeros):
        mask = full(20, 30, dtype=torch.bool)
        assert not saliency.regions(mask)["outline"].any()


@pytest.mark.parametrize("mask", [torch.zeros(4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)])
def test_regions_of_what_is_no_mask_are_refused(mask):
    with pytest.raises(ValueError, match=r"mask: .*accepted: bool \(H,W\)"):
        saliency.regions(mask)


@given(st.integers(0, 999))
def test_iou_is_symmetric_and_counts_pixels(seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(2, 5, 7, generator=generator) > 0.5).unbind()
    naive = [(p, q) for p, q in zip(a.flatten(), b.flatten(), strict=True)]
    both, either = sum(bool(p and q) for p, q in naive), sum(bool(p or q) for p, q in naive)
    assert saliency.iou(a, b) == saliency.iou(b, a) == pytest.approx(both / either)
    assert saliency.iou(a, a) == 1
    assert saliency.iou(a, ~a) == 0


def test_iou_of_empty_and_of_unequal_masks():
    empty = torch.zeros(3, 3, dtype=torch.bool)
    assert saliency.iou(empty, empty) == 1
    assert saliency.iou(empty, ~empty) == 0
    with pytest.raises(ValueError, match="cannot be compared"):
        saliency.iou(empty, torch.zeros(3, 4, dtype=torch.bool))


# ------------------------------------------------------------------ GrabCut


def scene(radius=24, side=96):
    """A red disc on green with a little noise, its mask, and a map that points at its middle."""
    mask = centred(side, radius)
    red, green = torch.tensor([0.8, 0.2, 0.2]), torch.tensor([0.2, 0.7, 0.3])
    pixels = torch.where(mask, red[:, None, None], green[:, None, None])
    pixels = (pixels + 0.03 * tiny.array(1, 3, side, side)).clamp(0, 1)
    return pixels, mask, centred(side, radius // 2).float()


def test_grabcut_finds_the_whole_object_from_a_map_of_its_middle():
    pixels, mask, heat = scene()
    found = saliency.segment(pixels, heat)
    assert found.shape == mask.shape
    assert found.dtype == torch.bool
    assert saliency.iou(found, mask) > 0.95
    assert saliency.iou(heat > 0, mask) < 0.3  # the map alone would not do


def test_grabcut_gives_the_same_for_the_same_picture_and_changes_none():
    pixels, _, heat = scene()
    before = pixels.clone(), heat.clone()
    first = saliency.segment(pixels, heat)
    assert torch.equal(first, saliency.segment(pixels, heat))
    assert torch.equal(pixels, before[0])
    assert torch.equal(heat, before[1])


@given(st.floats(1e-6, 1e6))
def test_the_scale_of_the_map_does_not_matter(scale):
    pixels, mask, heat = scene(12, 48)
    assert saliency.iou(saliency.segment(pixels, heat * scale), mask) > 0.9


def test_grabcut_refuses_what_it_cannot_use():
    pixels, _, heat = scene()
    with pytest.raises(ValueError, match="saliency: shape"):
        saliency.segment(pixels, heat[1:])
    with pytest.raises(ValueError, match="the same everywhere"):
        saliency.segment(pixels, torch.ones_like(heat))


# ------------------------------------------------------------------ the planted bias


def test_the_logo_is_painted_into_its_corner_only():
    pixels = torch.rand(2, 3, 60, 80)
    before = pixels.clone()
    stamped = saliency.stamp(pixels, side=20, margin=5)
    rows, columns = saliency.logo_corner(60, 20, 5)
    assert (rows, columns) == (slice(35, 55), slice(5, 25))
    logo = torch.zeros(60, 80, dtype=torch.bool)
    logo[rows, columns] = True
    assert torch.equal(pixels, before)
    assert torch.equal(stamped[..., ~logo], pixels[..., ~logo])
    painted = (stamped != pixels).any(1)
    assert torch.equal(painted[0], painted[1])
    assert torch.equal(stamped[0][:, painted[0]], stamped[1][:, painted[1]])
    letter = painted[0, rows, columns][1:13, 1:13]
    assert torch.equal(letter, letter.flip(0))  # an E: bar on the left, three arms
    assert letter[1:11, 1].all()
    assert [int(letter[i, 8]) for i in (1, 4, 6, 8, 10)] == [1, 0, 1, 0, 1]
    assert stamped[0, :, 37, 8].tolist() == pytest.approx([0.9, 0.1, 0.7])
    assert torch.equal(saliency.stamp(pixels[0], 20, 5), stamped[0])


def test_a_picture_too_small_for_the_logo_is_refused():
    with pytest.raises(ValueError, match="pixels: 30 high; a logo of 36 needs at least 44"):
        saliency.stamp(torch.zeros(3, 30, 30))


def test_a_network_with_another_head_is_linear_in_the_maxima_of_the_maps():
    net, x, weight, bias = tiny.network(), tiny.batch(), tiny.array(5, 2, 12), tiny.array(6, 2)
    headed = saliency.WithHead(net, "relu2", weight, bias)
    maxima = layers.activations(net, x, "relu2").amax((2, 3))
    assert torch.allclose(headed(x), maxima @ weight.T + bias, atol=1e-5)
    assert not any(p.requires_grad for p in headed.head.parameters())
    assert saliency.saliency_map(headed, x, [0, 1]).shape == (2, 16, 16)


@pytest.mark.parametrize("n", [2, 3])
def test_a_fitted_head_learns_what_it_is_shown(squeezenet, n):
    colours = torch.eye(3)[:n, :, None, None]
    pixels = (0.8 * colours + 0.1 * torch.rand(8, n, 3, 48, 48)).flatten(0, 1)
    targets = torch.arange(n).repeat(8)
    headed = saliency.fit_head(squeezenet, "fire3", pixels, targets)
    fresh = (0.8 * colours + 0.1 * torch.rand(4, n, 3, 48, 48)).flatten(0, 1)
    logits = headed(squeezenet.normalize(fresh))
    assert logits.shape == (4 * n, n)
    assert torch.equal(logits.argmax(1).cpu(), torch.arange(n).repeat(4))


@pytest.mark.parametrize("targets", [[0, 0], [0, 1, 1]])
def test_a_head_needs_two_classes_and_a_target_for_each_image(squeezenet, targets):
    with pytest.raises(ValueError, match="targets: "):
        saliency.fit_head(squeezenet, "fire3", torch.rand(2, 3, 48, 48), targets)
