"""DeepDream: its gradient against finite differences, whole dreams against steps taken by hand."""

import itertools

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from rebuilding import rebuild
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional
from torchvision.transforms.v2 import functional as tvf

from course_utils import dream, images, layers, models, widgets
from course_utils.common import optimise


def tiny_network(seed=0):
    """A network as the zoo has them, with random weights."""
    return models.Network(tiny.network(seed), "tiny", labels="abcde", resize=20, crop=16)


def photo(height=40, width=48, name="monument3"):
    """A part of a photo, (3,height,width)."""
    return images.photo(name).pixels(160)[:, 20 : 20 + height, 30 : 30 + width]


# ------------------------------------------------------------------ one gradient, said in two ways


@pytest.mark.parametrize("layer", ["conv1", "relu2", "flatten", "classifier"])
def test_the_gradient_is_that_of_half_the_squared_norm_by_finite_differences(layer):
    net, x, step = tiny.network().double(), tiny.batch().double(), 1e-6
    ours = dream.layer_gradient(net, x, layer)
    directions = torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    for image, gradient in zip(x, ours, strict=True):
        up, down = (
            0.5 * layers.activations(net, image + s * directions, layer).square().flatten(1).sum(1)
            for s in (step, -step)
        )
        numeric = ((up - down) / (2 * step)).view(image.shape)
        assert torch.allclose(gradient, numeric, rtol=0, atol=1e-6 * gradient.abs().max().item())


@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0", "vgg16_hed"])
def test_both_formulations_have_the_same_gradient_on_every_layer(zoo, name):
    net = zoo[name]
    x = net.normalize(photo(48, 64))[None].requires_grad_()
    for layer in list(net.layers)[:: len(net.layers) // 5]:
        set_to_activation = dream.layer_gradient(net, x, layer)
        (of_energy,) = torch.autograd.grad(-dream.energy(net, layer)(x), x)
        largest = of_energy.abs().max()
        assert (set_to_activation - of_energy).abs().max() <= 1e-4 * largest, layer


def by_hand(net, pixels, layer, octaves, ratio, steps, rate, reach, seed):
    """The recipe as it was published: the gradient at the layer is set to the activation."""
    whole = net.normalize(pixels)[None]
    low, high = (net.normalize(torch.full((3, 1, 1), value)) for value in (0.0, 1.0))
    now = None
    for k in range(octaves):
        size = [round(n / ratio ** (octaves - 1 - k)) for n in pixels.shape[1:]]
        base = tvf.resize(whole, size, antialias=True) if k < octaves - 1 else whole
        now = base if now is None else dream.next_octave(whole, now, size)
        random = torch.Generator().manual_seed(seed + k)
        for _ in range(steps):
            shift = torch.randint(-reach, reach + 1, (2,), generator=random).tolist()
            now = dream.dream_step(net, now, layer, rate, shift).clamp(low, high)
    return net.denormalize(now)[0].clamp(0, 1).cpu()


@pytest.mark.parametrize(
    ("layer", "octaves", "steps", "seed"),
    [("fire3", 1, 6, 0), ("fire6", 3, 4, 3), ("fire8", 2, 5, 1)],
)
def test_both_formulations_give_the_same_picture(squeezenet, layer, octaves, steps, seed):
    pixels = photo(72, 90)
    how = {"octaves": octaves, "ratio": 1.3, "steps": steps, "rate": 0.03, "reach": 9}
    ascended = dream.dream(squeezenet, pixels, layer, **how, smooth=0, seed=seed).pixels
    set_to_activation = by_hand(squeezenet, pixels, layer, **how, seed=seed)
    assert (ascended - pixels).abs().mean() > 0.02
    difference = (ascended - set_to_activation).abs()
    # Roundings grow in the feedback; a pixel or two may then take another way.
    assert difference.mean() < 2e-3
    assert difference.flatten().quantile(0.99) < 0.02


def test_on_a_linear_network_the_gradient_is_known():
    net = nn.Sequential(nn.Flatten(), tiny.fill(nn.Linear(48, 7)))
    x, weight, bias = tiny.array(3, 2, 3, 4, 4), net[1].weight, net[1].bias
    expected = (x.flatten(1) @ weight.T + bias) @ weight
    assert torch.allclose(dream.layer_gradient(net, x, "1").flatten(1), expected, atol=1e-5)


def test_images_of_a_batch_do_not_touch_each_other():
    net, x = tiny.network(), tiny.batch(n=3)
    together = dream.layer_gradient(net, x, "relu2")
    alone = torch.cat([dream.layer_gradient(net, one[None], "relu2") for one in x])
    assert torch.allclose(together, alone, atol=1e-5)
    energy = dream.energy(net, "relu2")
    assert torch.allclose(energy(x), sum(energy(one[None]) for one in x))


# ------------------------------------------------------------------ the step


@given(seed=st.integers(0, 50), rate=st.floats(0.001, 1), scale=st.floats(0.01, 100))
def test_a_step_moves_every_image_by_the_rate_whatever_the_size_of_the_gradient(seed, rate, scale):
    net, x = tiny.network(seed), tiny.batch(seed)
    x[0] *= 0.1
    step = dream.dream_step(net, x, "conv2", rate, (0, 0)) - x
    assert torch.allclose(step.abs().mean((1, 2, 3)), torch.tensor(rate), rtol=1e-3)
    louder = nn.Sequential(net[:5], Scaled(scale))
    assert torch.allclose(
        dream.dream_step(louder, x, "1", rate, (0, 0)) - x, step, atol=1e-3 * rate
    )


class Scaled(nn.Module):
    """Multiplies by a number."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return self.by * x


@given(down=st.integers(-20, 20), across=st.integers(-20, 20))
def test_a_shifted_step_is_the_step_of_the_shifted_picture(down, across):
    net, x = tiny.network(), tiny.batch()
    rolled = x.roll((down, across), (2, 3))
    expected = dream.dream_step(net, rolled, "relu2", 0.1, (0, 0)).roll((-down, -across), (2, 3))
    assert torch.equal(dream.dream_step(net, x, "relu2", 0.1, (down, across)), expected)


def test_a_step_raises_the_norm_and_leaves_the_picture_alone(squeezenet, panda):
    before = panda.clone()
    after = dream.dream_step(squeezenet, panda, "fire8", 0.03, (3, -5))
    assert torch.equal(panda, before)
    assert not after.requires_grad
    rise = [layers.activations(squeezenet, x, "fire8").norm() for x in (panda, after)]
    assert rise[1] > 1.2 * rise[0]


def test_a_smoothed_step_moves_along_the_blurred_gradient():
    start, slope = torch.zeros(1, 3, 24, 30), tiny.array(8, 1, 3, 24, 30)
    for sigma in (0, 0.8, 2.0):
        rule = dream.smoothed_step(0.2, sigma)
        moved = optimise.optimise(lambda x: -(x * slope).sum(), start, 1, rule=rule).image
        blurred = gaussian_filter(slope.numpy(), (0, 0, sigma, sigma), mode="mirror", truncate=3)
        expected = torch.from_numpy(0.2 * blurred / np.abs(blurred).mean())
        assert moved.abs().mean().item() == pytest.approx(0.2, rel=1e-4)
        assert torch.allclose(moved, expected, atol=0.01)


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_a_blur_that_cannot_be_is_refused(sigma):
    with pytest.raises(ValueError, match=f"sigma={sigma}; accepted: 0 or more"):
        dream.smoothed_step(0.1, sigma)


def test_where_nothing_fires_nothing_moves():
    net = nn.Sequential(tiny.fill(nn.Conv2d(3, 4, 3, bias=False)), nn.ReLU())
    x = torch.zeros(1, 3, 8, 8)
    assert torch.equal(dream.dream_step(net, x, "1", 0.5, (1, 1)), x)


# ------------------------------------------------------------------ guided


def test_the_guided_loss_is_that_of_loops_over_positions():
    net, x, guide = tiny.network(), tiny.batch(n=2), tiny.array(4, 1, 3, 10, 14)
    ours = dream.guided_by(net, "conv2", guide)(x).item()
    sought = layers.activations(net, guide, "conv2")[0].flatten(1).T.numpy()
    total = 0.0
    for maps in layers.activations(net, x, "conv2").numpy():
        for i, j in itertools.product(*map(range, maps.shape[1:])):
            total += max(float(np.dot(maps[:, i, j], g)) for g in sought)
    assert ours == pytest.approx(-total, rel=1e-4)


def test_a_guide_draws_the_features_towards_its_own(squeezenet):
    hills, parrot = (images.photo(n).pixels(128) for n in ("great_wallof_china", "scarlet_macaw"))
    guide = squeezenet.normalize(parrot)[None]
    wanted = dream.guided_by(squeezenet, "fire7", guide)
    how = {"octaves": 2, "steps": 6, "keep": 0}
    guided = dream.dream(squeezenet, hills, "fire7", objective=wanted, **how)
    plain = dream.dream(squeezenet, hills, "fire7", **how)
    assert all(losses[-1] < losses[0] for losses in guided.losses)
    sought = features(squeezenet, parrot)
    towards = [
        (features(squeezenet, p) @ sought.T).amax(1).mean()
        for p in (hills, plain.pixels, guided.pixels)
    ]
    assert towards[2] > towards[1] + 0.03
    assert towards[2] > towards[0] + 0.03


def features(net, pixels):
    """The directions of fire7's feature vectors, (positions, channels)."""
    maps = layers.activations(net, net.normalize(pixels)[None], "fire7")
    return functional.normalize(maps[0].flatten(1).T, dim=1)


def test_a_guide_is_one_image_and_its_layer_a_map():
    net = tiny.network()
    with pytest.raises(ValueError, match="guide: layer='relu2' gives .*accepted: one image"):
        dream.guided_by(net, "relu2", tiny.batch(n=2))
    with pytest.raises(ValueError, match=r"guide: layer='classifier' gives \(1, 5\)"):
        dream.guided_by(net, "classifier", tiny.batch(n=1))


# ------------------------------------------------------------------ tiles


@given(height=st.integers(1, 90), width=st.integers(1, 90), side=st.integers(1, 50))
def test_tiles_cover_every_pixel_once_and_are_no_longer_than_asked(height, width, side):
    covered = torch.zeros(height, width)
    for rows, columns in dream.tiles((height, width), side):
        covered[rows, columns] += 1
        for cut, n in ((rows, height), (columns, width)):
            assert min(n, side // 2) <= cut.stop - cut.start <= side
    assert torch.equal(covered, torch.ones(height, width))


def test_the_tiled_loss_and_its_gradient_are_those_of_the_tiles():
    net, x = tiny.network(), tiny.array(3, 1, 3, 20, 26).requires_grad_()
    energy = dream.energy(net, "relu2")
    ours = dream.tiled(energy, 13)(x)
    expected = sum(energy(x[..., r, c]) for r, c in dream.tiles((20, 26), 13))
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,), (wanted,) = (torch.autograd.grad(3 * loss, x) for loss in (ours, expected))
    assert torch.allclose(gradient, wanted, atol=1e-5 * wanted.abs().max().item())


def test_without_a_neighbourhood_tiles_change_nothing():
    net, x = nn.Sequential(tiny.fill(nn.Conv2d(3, 5, 1)), nn.ReLU()), tiny.array(3, 2, 3, 17, 9)
    x.requires_grad_()
    energy = dream.energy(net, "1")
    (tiled,), (whole,) = (torch.autograd.grad(f(x), x) for f in (dream.tiled(energy, 4), energy))
    assert torch.allclose(tiled, whole, atol=1e-5)
    with torch.no_grad():
        assert dream.tiled(energy, 4)(x).item() == pytest.approx(energy(x).item(), rel=1e-5)


def test_a_tile_keeps_a_small_part_of_what_the_whole_picture_keeps(squeezenet):
    x = squeezenet.normalize(photo(96, 96))[None].requires_grad_()
    weights, total, kept = {p.data_ptr() for p in squeezenet.parameters()}, [0], []

    def count(tensor):
        total[0] += 0 if tensor.data_ptr() in weights else tensor.nbytes
        return tensor

    def watched(tile):
        total[0] = 0
        loss = energy(tile)
        kept.append(total[0])
        return loss

    energy = dream.energy(squeezenet, "fire5")
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        torch.autograd.grad(dream.tiled(watched, 32)(x), x)
        watched(x)
    assert len(kept) == 9 + 1
    assert 0 < max(kept[:9]) < kept[9] / 5


# ------------------------------------------------------------------ octaves


@given(
    height=st.integers(20, 300),
    width=st.integers(20, 300),
    octaves=st.integers(1, 5),
    ratio=st.floats(1.05, 1.8),
)
def test_octaves_grow_by_the_ratio_up_to_the_picture(height, width, octaves, ratio):
    sizes = dream.octave_sizes((height, width), octaves, ratio)
    assert len(sizes) == octaves
    assert sizes[-1] == (height, width)
    for (h, w), (next_h, next_w) in itertools.pairwise(sizes):
        assert abs(h * ratio - next_h) <= 0.5 + 0.5 * ratio
        assert abs(w * ratio - next_w) <= 0.5 + 0.5 * ratio


@pytest.mark.parametrize("size", [(9, 31), (40, 48), (80, 20), (1, 1)])
def test_resizing_agrees_with_torchvision(size):
    x = tiny.array(5, 2, 3, 40, 48)
    assert torch.allclose(dream.resized(x, size), tvf.resize(x, list(size)), atol=1e-5)


def test_the_next_octave_keeps_the_dream_and_restores_the_photos_detail():
    whole = tiny.array(6, 1, 3, 40, 48)
    small = dream.resized(whole, (20, 24))
    nothing_dreamt = dream.next_octave(whole, small, (30, 36))
    assert torch.allclose(nothing_dreamt, tvf.resize(whole, [30, 36]), atol=1e-5)
    assert torch.allclose(dream.next_octave(whole, small, (40, 48)), whole, atol=1e-6)
    dreamt = small.clone()
    dreamt[..., 5:15, 5:15] += 1
    found = dream.next_octave(whole, dreamt, (40, 48)) - whole
    assert torch.allclose(found[..., 14:26, 14:26], torch.ones(12, 12), atol=1e-5)
    assert found[..., 35:, :].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("octaves", "ratio", "message"),
    [
        (0, 1.3, "octaves=0, ratio=1.3; accepted: 1 or more, and above 1"),
        (2, 1.0, "octaves=2, ratio=1.0"),
        (2, float("nan"), "octaves=2, ratio=nan"),
        (30, 2.0, r"octaves=30: a picture of \(40, 48\) shrunk by 2.0 .*accepted: fewer octaves"),
    ],
)
def test_octaves_that_cannot_be_are_refused(octaves, ratio, message):
    with pytest.raises(ValueError, match=message):
        dream.octave_sizes((40, 48), octaves, ratio)


# ------------------------------------------------------------------ the whole dream


@pytest.mark.parametrize("height", [37, 64])
@pytest.mark.parametrize("width", [53, 121])
def test_a_picture_of_any_size_keeps_it(height, width):
    pixels = photo(height, width)
    before = pixels.clone()
    found = dream.dream(tiny_network(), pixels, "relu2", octaves=3, steps=2, keep=2)
    assert torch.equal(pixels, before)
    assert found.pixels.shape == pixels.shape
    assert found.pixels.min() >= 0
    assert found.pixels.max() <= 1
    assert found.sizes[-1] == (height, width)
    assert [len(losses) for losses in found.losses] == [3, 3, 3]
    assert found.frames.shape == (6, 3, height, width)
    assert found.frames.dtype == torch.uint8


def test_the_film_begins_at_the_photo_and_ends_at_the_dream():
    pixels = photo(48, 64)
    found = dream.dream(tiny_network(), pixels, "relu2", octaves=3, steps=4, keep=2)
    assert (found.frames[0].float() / 255 - pixels).abs().max() < 2.5 / 255
    assert (found.frames[-1].float() / 255 - found.pixels).abs().max() < 1.5 / 255
    steps = (found.frames[1:].float() - found.frames[:-1].float()).abs().mean((1, 2, 3))
    assert steps[[1, 3]].max() < steps[[0, 2, 4]].min()  # from an octave to the next nothing jumps
    assert not len(dream.dream(tiny_network(), pixels, "relu2", octaves=2, steps=1, keep=0).frames)


def test_the_same_seed_gives_the_same_dream_and_another_one_another():
    pixels, net = photo(), tiny_network()
    how = {"octaves": 2, "steps": 3, "keep": 0}
    state = torch.get_rng_state()
    first, again, other = (dream.dream(net, pixels, "relu2", **how, seed=s) for s in (4, 4, 5))
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_norm_rises_in_every_octave(squeezenet):
    found = dream.dream(squeezenet, photo(80, 100), "fire6", octaves=3, steps=6, keep=0)
    for losses in found.losses:
        assert losses[-1] < 1.5 * losses[0] < 0


def test_the_dream_has_structure_rather_than_noise(squeezenet):
    pixels = images.photo("monument3").pixels(192)
    found = dream.dream(squeezenet, pixels, "fire8", keep=0).pixels
    noise = 0.2 * tiny.array(1, *pixels.shape)
    coarse = [low_share(change) for change in (found - pixels, noise)]
    assert coarse[1] < 0.1
    assert coarse[0] > 4 * coarse[1]


def low_share(change):
    """The share of the power at periods of 8 pixels and more."""
    power = torch.fft.fft2(change).abs().square().sum(0)
    frequency = [torch.fft.fftfreq(n).square() for n in power.shape]
    low = (frequency[0][:, None] + frequency[1]).sqrt() <= 1 / 8
    low[0, 0] = False
    return (power[low].sum() / power.sum()).item()


def test_in_tiles_it_is_nearly_the_same_dream(squeezenet):
    pixels = photo(80, 120)
    how = {"octaves": 2, "steps": 5, "keep": 0}
    whole, tiled = (
        dream.dream(squeezenet, pixels, "fire5", **how, tile=tile) for tile in (None, 60)
    )
    assert whole.sizes == tiled.sizes
    assert all(losses[-1] < losses[0] for losses in tiled.losses)
    with torch.no_grad():
        energy = dream.energy(squeezenet, "fire5")
        levels = [
            energy(squeezenet.normalize(p)[None]) for p in (pixels, whole.pixels, tiled.pixels)
        ]
    assert levels[2] < 2 * levels[0]
    assert levels[2] < levels[1] / 3


def test_a_tile_larger_than_the_picture_changes_nothing_but_the_jitter():
    pixels, net = photo(), tiny_network()
    how = {"octaves": 2, "steps": 3, "keep": 0, "reach": 64}
    whole = dream.dream(net, pixels, "relu2", **how)
    tiled = dream.dream(net, pixels, "relu2", **how, tile=64)
    assert torch.allclose(whole.pixels, tiled.pixels, atol=1e-5)


def test_grey_and_transparent_pictures_and_arrays_dream():
    pixels, how = photo(), {"octaves": 2, "steps": 2, "keep": 0}
    net = tiny_network()
    as_bytes = (pixels * 255).round().byte().movedim(0, -1).numpy()
    grey, see_through = as_bytes[..., 0], np.dstack([as_bytes, 255 - as_bytes[..., :1]])
    for picture in (as_bytes, grey, see_through, pixels[:1]):
        found = dream.dream(net, picture, "relu2", **how).pixels
        assert found.shape == pixels.shape
        assert (found - images.read(picture)).abs().max() > 0.01


def test_a_stopped_dream_gives_what_was_found_at_full_size():
    net, pixels = tiny_network(), photo()
    energy, left = dream.energy(net, "relu2"), iter(range(6))

    def stopped(x):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return energy(x)

    found = dream.dream(net, pixels, "relu2", octaves=3, steps=4, objective=stopped)
    assert len(found.losses) == len(found.sizes) == 2
    assert found.pixels.shape == pixels.shape
    assert (found.pixels - pixels).abs().mean() > 0.005


# ------------------------------------------------------------------ a journey


def test_a_journey_starts_at_the_picture_and_moves_into_it():
    net, pixels = tiny_network(), photo()
    film = dream.zoom(net, pixels, "relu2", frames=4, factor=1.2, steps=1)
    assert film.shape == (4, *pixels.shape)
    assert film.dtype == torch.uint8
    assert (film[0].float() / 255 - pixels).abs().max() < 1 / 255
    inner = tvf.center_crop(pixels, [33, 40])
    closer = tvf.resize(inner, list(pixels.shape[1:]))
    second = film[1].float() / 255
    assert correlation(second, closer) > correlation(second, pixels) + 0.05


def correlation(a, b):
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]


@pytest.mark.parametrize(("frames", "factor"), [(0, 1.05), (3, 0.9), (3, float("nan"))])
def test_a_journey_backwards_is_refused(frames, factor):
    with pytest.raises(ValueError, match=f"frames={frames}, factor={factor}; accepted: 1 or more"):
        dream.zoom(tiny_network(), photo(), "relu2", frames=frames, factor=factor)


# ------------------------------------------------------------------ errors


class Counting(nn.Module):
    """Its layers: a step without gradient, an index, one that takes no part."""

    def __init__(self):
        super().__init__()
        self.conv = tiny.fill(nn.Conv2d(3, 4, 3))
        self.sign, self.where, self.unused = Sign(), Where(), nn.Identity()

    def forward(self, x):
        maps = self.conv(x)
        self.where(maps)
        return self.sign(maps)


class Sign(nn.Module):
    def forward(self, x):
        return x.detach().sign()


class Where(nn.Module):
    def forward(self, x):
        return x.argmax(1)


def energy_of(model, x, layer):
    """The loss of images whose gradient is wanted."""
    return dream.energy(model, layer)(x.requires_grad_())


@pytest.mark.parametrize("function", [dream.layer_gradient, energy_of])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("cnov", "layer='cnov' is not one of .*'conv'"),
        ("sign", "layer='sign' has no gradient with respect to the pixels"),
        ("where", "layer='where' gives no tensor of real numbers"),
        ("unused", "layer='unused' takes no part in the forward pass"),
    ],
)
def test_layers_that_cannot_dream_are_refused(function, layer, message):
    with pytest.raises(ValueError, match=message):
        function(Counting(), tiny.batch(), layer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], r"x: shape \(3, 16, 16\); accepted: images \(N,3,H,W\)"),
        (lambda x: x[:0], r"x: shape \(0, 3, 16, 16\)"),
        (lambda x: x / 0, "x: it has values that are not finite"),
        (lambda x: x[..., :3, :3], "images of 3 x 3 pixels are too small for layer='conv2'"),
    ],
    ids=["one image", "no image", "infinite", "too small"],
)
def test_wrong_images_are_refused(change, message):
    x = change(tiny.batch())
    with pytest.raises(ValueError, match=message):
        dream.layer_gradient(tiny.network(), x, "conv2")
    with pytest.raises(ValueError, match=message):
        dream.dream_step(tiny.network(), x, "conv2", 0.1, (0, 0))


def test_a_layer_below_what_is_too_small_can_dream():
    x = tiny.batch()[..., :3, :3]
    assert dream.layer_gradient(tiny.network(), x, "conv1").abs().max() > 0


@pytest.mark.parametrize(
    ("pixels", "settings", "message"),
    [
        ((3, 40, 48), {"layer": "fire99"}, "fire99.*fire9"),
        ((3, 1, 1), {"octaves": 1}, "octaves=1: the smallest is 1 x 1 pixels, .*fewer octaves"),
        ((3, 2, 400), {"octaves": 3}, "octaves=3: the smallest is 1 x 237 pixels"),
        ((3, 30, 30), {"octaves": 5}, "octaves=5: the smallest is 11 x 11 pixels"),
        ((3, 96, 96), {"octaves": 1, "tile": 8}, "tile=8: the smallest is 8 x 8 pixels.*larger"),
        ((3, 96, 96), {"tile": 0}, "side=0; accepted: 1 pixel or more"),
        ((3, 96, 96), {"octaves": 0}, "octaves=0"),
        ((3, 96, 96), {"steps": 0, "octaves": 1}, "steps=0"),
        ((5, 96, 96), {}, r"shape"),
    ],
)
def test_settings_that_cannot_be_are_refused(squeezenet, pixels, settings, message):
    settings = {"layer": "fire9"} | settings
    with pytest.raises(ValueError, match=message):
        dream.dream(squeezenet, torch.full(pixels, 0.5), progress=None, **settings)


def test_a_picture_that_leaves_the_layer_silent_is_refused():
    silent = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU())
    nn.init.constant_(silent[0].weight, -1.0)
    net = models.Network(silent, "silent")
    with pytest.raises(ValueError, match="layer='1' is zero everywhere for this picture"):
        dream.dream(net, torch.ones(3, 20, 20), "1", octaves=1)


def test_a_picture_with_values_that_are_not_numbers_is_refused():
    pixels = photo()
    pixels[0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        dream.dream(tiny_network(), pixels, "relu2")


# ------------------------------------------------------------------ the explorer


@pytest.fixture(scope="module")
def explorer(squeezenet):
    made = widgets.dream_explorer(squeezenet, ["monument3"], ["fire2", "fire5", "fire8"], side=96)
    made.controls["octaves"].value = 2
    made.controls["steps"].value = 2
    return made


def test_moving_the_depth_dreams_anew_and_back_costs_nothing(explorer, squeezenet, monkeypatch):
    explorer.controls["depth"].value = "fire2"
    assert "fire2 dreams of monument3: in the last octave its norm grows" in explorer.text
    before, passes = explorer.image.value, []
    forward = type(squeezenet).forward
    monkeypatch.setattr(
        type(squeezenet), "forward", lambda net, x: passes.append(len(x)) or forward(net, x)
    )
    explorer.controls["depth"].value = "fire8"
    assert explorer.image.value != before
    # One look at the smallest octave, two octaves of two steps and a last look, one answer.
    assert len(passes) == 1 + 2 * (2 + 1) + 1
    passes.clear()
    explorer.controls["depth"].value = "fire2"
    assert explorer.image.value == before
    assert len(passes) <= 1  # what the network calls it


def test_stored_dreams_with_guides_are_of_the_places_their_command_names(squeezenet):
    script = rebuild("guided_dreams")
    kept = dream.stored_guided()
    assert [(one["guide"], one["layer"], one["kind"]) for one in kept] == list(script.GUIDES)
    for one in kept:
        assert len(one["alone"]) == len(one["guided"]) == len(script.PLACES)
        again = script.measured(
            squeezenet, one["guide"], one["layer"], one["kind"], script.PLACES[:1], 112
        )
        assert again.keys() == one.keys()
        for how in ("alone", "guided"):
            assert len(again[how]) == 1
            assert all(0 <= p <= 1 for p in again[how] + one[how])
