"""Textures: each method against a slow and plain version of itself, and what follows from it."""

import itertools

import numpy as np
import pytest
import tiny
import torch
from torch.nn import functional

from course_utils import images, layers, models, texture
from course_utils.common import paths
from course_utils.texture import converged
from course_utils.widgets import texture as explorer


def features(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_is_the_mean_of_outer_products_in_both_layouts(layout):
    f = features(2, 3, 4, 5).to(memory_format=layout)
    for one, g in zip(f, texture.gram(f), strict=True):
        outer = sum(torch.outer(one[:, i, j], one[:, i, j]) for i in range(4) for j in range(5))
        torch.testing.assert_close(g, outer / 20)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_slope_of_gram_is_that_of_finite_differences_and_lies_as_the_features_do(layout):
    f = features(2, 3, 4, 5).to(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(texture.gram, f)
    assert torch.autograd.gradgradcheck(texture.gram, f)
    uneven = features(2, 3, 3, seed=1)  # not symmetric
    (slope,) = torch.autograd.grad((uneven * texture.gram(f)).sum(), f)
    assert slope.is_contiguous(memory_format=layout)
    columns = f.flatten(2)
    (plain,) = torch.autograd.grad((uneven * (columns @ columns.mT / 20)).sum(), f)
    torch.testing.assert_close(slope, plain)


def test_gram_knows_no_places():
    f = features(1, 3, 4, 5)
    moved = f.flatten(2)[..., torch.randperm(20, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(texture.gram(moved.reshape(1, 3, 5, 4)), texture.gram(f))


def test_gram_after_a_relu_has_no_negative_entry_but_the_covariance_does():
    f = features(1, 6, 5, 5).relu()
    assert texture.gram(f).min() >= 0
    assert texture.covariance(f).min() < 0


def test_covariance_is_that_of_the_columns():
    f = features(2, 3, 4, 5)
    for one, c in zip(f.flatten(2), texture.covariance(f), strict=True):
        torch.testing.assert_close(c, torch.cov(one, correction=0))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 0, 5)])
def test_other_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"features: shape .*accepted: \(N,C,H,W\)"):
        texture.gram(torch.zeros(shape))


# ------------------------------------------------------------------ the style loss


def targets_and_weights(found):
    targets = {k: texture.gram(features(1, f.shape[1], 3, 3, seed=1)) for k, f in found.items()}
    return targets, dict(zip(found, (0.5, 2.0), strict=True))


def test_style_loss_is_the_formula():
    found = {"a": features(2, 3, 4, 5), "b": features(2, 5, 2, 2)}
    targets, weights = targets_and_weights(found)
    expected = 0.0
    for layer, f in found.items():
        n, c = f.shape[:2]
        for image, i, j in itertools.product(range(n), range(c), range(c)):
            g = sum(
                p * q for p, q in zip(f[image, i].flatten(), f[image, j].flatten(), strict=True)
            )
            gap = g / f[0, 0].numel() - targets[layer][0, i, j]
            expected += weights[layer] / (4 * c**2) * gap**2
    assert texture.style_loss(found, targets, weights).item() == pytest.approx(expected.item())
    ones = dict.fromkeys(found, 1.0)
    plain = texture.style_loss(found, targets)
    assert plain.item() == pytest.approx(texture.style_loss(found, targets, ones).item())


def test_style_loss_does_not_grow_with_the_picture():
    f = features(1, 4, 6, 6)
    targets = {"a": texture.gram(features(1, 4, 3, 3, seed=2))}
    tiled = {"a": f.tile(1, 1, 2, 3)}
    one, other = (texture.style_loss(x, targets).item() for x in ({"a": f}, tiled))
    assert one == pytest.approx(other)
    assert texture.style_loss({"a": f}, {"a": texture.gram(f)}).item() == 0


@pytest.mark.parametrize(
    ("targets", "weights", "words"),
    [
        ({"b": torch.ones(1, 2, 2)}, None, "targets='relu1' is not one of"),
        ({"relu1": torch.ones(1, 2, 2)}, {"relu2": 1.0}, "Did you mean 'relu2'"),
        ({"relu1": torch.ones(1, 2, 2)}, {"relu1": 0.0}, "not zero"),
        ({"relu1": torch.ones(1, 3, 3)}, None, "targets: shape"),
        ({"relu1": torch.ones(3, 2, 2)}, None, "targets: shape"),
    ],
)
def test_style_loss_names_what_does_not_fit(targets, weights, words):
    with pytest.raises(ValueError, match=words):
        texture.style_loss({"relu1": torch.ones(2, 2, 3, 3)}, targets, weights)


# ------------------------------------------------------------------ features


def tiny_net():
    return models.Network(tiny.network(), "tiny", resize=16, crop=16)


def test_features_are_those_of_the_layers_and_keep_the_graph():
    net, x = tiny_net(), tiny.batch().requires_grad_()
    found = texture.features(net, x, ["conv2", "relu1"])
    assert list(found) == ["conv2", "relu1"]
    for name, maps in found.items():
        torch.testing.assert_close(maps.detach(), layers.activations(net, x, name))
        assert maps.requires_grad


def test_the_pass_ends_with_the_last_layer():
    net, ran = tiny_net(), []
    for name, part in net.module.named_children():
        part.register_forward_hook(lambda m, a, o, name=name: ran.append(name))
    texture.features(net, tiny.batch(), ["conv1", "relu1"])
    assert ran[-1] == "relu1"


@pytest.mark.parametrize("names", [[], ["conv7"]])
def test_features_of_no_layer(names):
    with pytest.raises(ValueError, match="names: an empty list|conv7"):
        texture.features(tiny_net(), tiny.batch(), names)


def test_a_layer_that_is_never_reached():
    net = tiny_net()
    net.spare = torch.nn.ReLU()
    with pytest.raises(ValueError, match=r"never came to \['spare'\]"):
        texture.features(net, tiny.batch(), ["relu1", "spare"])


# ------------------------------------------------------------------ synthesis

SMALL = {"size": 24, "names": ["relu1", "conv2"], "progress": None, "keep": 0}


def small_sample():
    return tiny.array(4, 3, 20, 20).sigmoid()


@pytest.mark.parametrize("statistic", [texture.gram, texture.covariance])
def test_synthesis_approaches_the_statistics(statistic):
    net = tiny_net()
    run = texture.synthesise(net, small_sample(), steps=30, statistic=statistic, **SMALL)
    assert run.image.shape == (1, 3, 24, 24)
    assert run.losses[-1] < 0.1 * run.losses[0]  # six seeds leave 4 to 8 %


def test_the_same_seed_gives_the_same_texture():
    net = tiny_net()
    a, b, c = (
        texture.synthesise(net, small_sample(), steps=3, seed=seed, **SMALL).image
        for seed in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_description_holds_the_smaller_copies_too():
    net, x = tiny_net(), small_sample()[None]
    found = texture.describe(net, x, ["relu1"], octaves=2)
    assert list(found) == ["relu1", "relu1 / 2"]
    half = texture.describe(net, functional.avg_pool2d(x, 2), ["relu1"])
    torch.testing.assert_close(found["relu1 / 2"], half["relu1"])
    with pytest.raises(ValueError, match="octaves=3"):
        texture.describe(net, x, ["relu1"], octaves=3)


def test_balanced_losses_are_relative():
    found = {"a": 100 * features(1, 3, 4, 5), "b": features(1, 5, 2, 2)}
    targets = {k: texture.gram(f) for k, f in found.items()}
    weights = texture.balanced(targets)
    zeros = {k: 0 * f for k, f in found.items()}
    assert texture.style_loss(zeros, targets, weights).item() == pytest.approx(2)


# ------------------------------------------------------------------ pixel by pixel


def nearest_pixels(sample, size, window):
    """Efros and Leung with loops over everything and no random choice."""
    reach, (height, width) = window // 2, sample.shape[1:]
    made = torch.full((3, size, size), torch.nan)
    for y, x in itertools.product(range(size), range(size)):
        best = (torch.inf, None)
        for r, c in itertools.product(range(reach, height - reach), range(reach, width - reach)):
            total = 0.0
            for i, j in itertools.product(range(-reach, 1), range(-reach, reach + 1)):
                inside = y + i >= 0 and 0 <= x + j < size and (i < 0 or j < 0)
                if inside:
                    weight = np.exp(-(i**2 + j**2) / (2 * (window / 6.4) ** 2))
                    gap = sample[:, r + i, c + j] - made[:, y + i, x + j]
                    total += weight * gap.square().sum().item()
            if total < best[0] - 1e-6:
                best = (total, sample[:, r, c])
        made[:, y, x] = sample[:, reach, reach] if best[1] is None else best[1]
    return made


def test_by_pixels_is_the_search_with_loops(monkeypatch):
    nearest = lambda distance, tolerance, random: distance.argmin()  # noqa: E731
    monkeypatch.setattr(texture.copying, "_draw", nearest)
    sample = small_sample()[:, :9, :8]
    made = texture.by_pixels(sample, 6, window=3)
    torch.testing.assert_close(made.pixels, nearest_pixels(sample, 6, 3))


def stripes(height, width, period=4):
    """A pattern that one neighbourhood determines."""
    row = torch.arange(width) % period / period
    column = torch.arange(height)[:, None] % period / period
    return torch.stack([row.expand(height, -1), column.expand(-1, width), row * column])


COPIES = {
    "by pixels": lambda sample, size, **how: texture.by_pixels(sample, size, window=5, **how),
    "quilt": lambda sample, size, **how: texture.quilt(sample, size, block=8, **how),
}
each_copy = pytest.mark.parametrize("method", COPIES)


@each_copy
def test_a_regular_pattern_is_continued(method):
    made = COPIES[method](stripes(20, 22), (26, 30)).pixels
    assert made.shape == (3, 26, 30)
    torch.testing.assert_close(made[:, 4:], made[:, :-4])
    torch.testing.assert_close(made[..., 4:], made[..., :-4])


@each_copy
def test_every_pixel_is_where_it_says(method):
    sample = small_sample()
    made = COPIES[method](sample, (18, 25), seed=3)
    rows, columns = made.source
    assert torch.equal(made.pixels, sample[:, rows, columns])
    again, other = (COPIES[method](sample, (18, 25), seed=seed) for seed in (3, 4))
    assert torch.equal(made.pixels, again.pixels)
    assert not torch.equal(made.pixels, other.pixels)


@each_copy
@pytest.mark.parametrize("shape", [(3, 4, 30), (1, 30, 30), (30, 30)])
def test_samples_that_cannot_be_copied(method, shape):
    with pytest.raises(ValueError, match="sample: shape .* accepted"):
        COPIES[method](torch.zeros(shape), 20)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: texture.by_pixels(s, 9, window=4), "window=4; accepted: an odd"),
        (lambda s: texture.by_pixels(s, 0), "size=0"),
        (lambda s: texture.by_pixels(s, 9, tolerance=-1), "tolerance=-1"),
        (lambda s: texture.quilt(s, 9, block=8, overlap=5), "overlap=5; accepted: from 1 to half"),
        (lambda s: texture.quilt(s, 9, block=8, overlap=0), "overlap=0"),
    ],
)
def test_arguments_outside_their_range_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(small_sample())


# ------------------------------------------------------------------ quilting


def test_the_seam_is_the_cheapest_of_all():
    error = tiny.array(7, 5, 4).abs()
    paths = itertools.product(range(4), repeat=5)
    allowed = (p for p in paths if max(abs(a - b) for a, b in itertools.pairwise(p)) <= 1)
    best = min(allowed, key=lambda p: sum(error[i, c].item() for i, c in enumerate(p)))
    assert texture.least_cost_seam(error).tolist() == list(best)


def test_the_copy_detector_finds_where_a_quilt_was_cut_from():
    """A picture that is one piece of the sample, and the naive search over all patches."""
    sample = tiny.array(1, 3, 14, 15)
    found = texture.nearest_source(sample[:, 2:11, 3:13], sample, 5)
    assert found.shape == (2, 5, 6)
    assert found[0, :, 0].tolist() == [4, 5, 6, 7, 8]
    assert found[1, 0].tolist() == [5, 6, 7, 8, 9, 10]
    assert not texture.breaks(found)[1:, 1:].any()
    other = tiny.array(2, 3, 7, 6)
    found = texture.nearest_source(other, sample, 3)
    for y, x in ((0, 0), (3, 2), (4, 3)):
        patch = other[:, y : y + 3, x : x + 3]
        gaps = torch.stack(
            [
                (sample[:, r : r + 3, c : c + 3] - patch).square().sum()
                for r in range(12)
                for c in range(13)
            ]
        )
        assert divmod(int(gaps.argmin()), 13) == tuple((found[:, y, x] - 1).tolist())
    with pytest.raises(ValueError, match="window=4"):
        texture.nearest_source(other, sample, 4)
    with pytest.raises(ValueError, match="sample"):
        texture.nearest_source(other, sample, 9)


def test_the_distances_are_sums_of_squared_differences():
    sample, old = tiny.array(1, 3, 9, 8), tiny.array(2, 3, 4, 4)
    shared = texture.copying._shared(4, 2, 1)
    found = texture.copying._distances(sample, old, shared)
    for y, x in itertools.product(range(6), range(5)):
        gap = (sample[:, y : y + 4, x : x + 4] - old).square().sum(0)
        assert found[y, x].item() == pytest.approx((gap * shared).sum().item(), abs=1e-4)


def test_a_cut_seam_costs_less_than_a_straight_one():
    sample = texture.SAMPLES["leaves"].pixels()
    straight, cut = (texture.quilt(sample, 96, 24, cut=cut, seed=1) for cut in (False, True))

    def jump(copy):
        broken = texture.breaks(copy.source)[:, 1:]
        return (copy.pixels[..., 1:] - copy.pixels[..., :-1]).abs().mean(0)[broken].mean()

    assert jump(cut) < jump(straight)


def test_breaks_are_the_borders_of_pieces():
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
    source = torch.stack([rows, columns])
    assert not texture.breaks(source).any()
    source[:, :, 4:] += 2
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[:, 4] = True
    assert torch.equal(texture.breaks(source), expected)


# ------------------------------------------------------------------ linear filters

SIZES = [(16, 16), (15, 20), (32, 11)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("orientations", [1, 3, 4])
def test_the_filters_share_every_frequency(size, orientations):
    bank = texture.filter_bank(size, 3, orientations)
    assert len(bank) == 3 * orientations + 2
    torch.testing.assert_close(bank.abs().square().sum(0), torch.ones(bank.shape[1:]))


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_the_sum_of_its_responses(size):
    x, bank = tiny.array(3, 2, *size), texture.filter_bank(size, 3, 4)
    answers = texture.responses(x, bank)
    assert answers.shape == (2, 14, *size)
    torch.testing.assert_close(texture.from_responses(answers, bank), x, rtol=0, atol=1e-5)
    energy = answers.square().sum() / x.square().sum()
    assert energy.item() == pytest.approx(1, rel=1e-4)


def test_responses_are_convolutions_and_filters_have_directions():
    size = (32, 32)
    bank, x = texture.filter_bank(size, 2, 4), torch.zeros(32, 32)
    x[0, 0] = 1
    kernels = texture.responses(x, bank)
    noise = tiny.array(5, 32, 32)
    rolled = functional.pad(noise[None, None], (31, 0, 31, 0), mode="circular")
    slow = functional.conv2d(rolled, kernels[:, None].flip(2, 3))[0]
    torch.testing.assert_close(texture.responses(noise, bank), slow, rtol=0, atol=1e-5)
    waves = torch.cos(torch.arange(32) * torch.pi / 4)
    upright, lying = waves.expand(32, 32), waves[:, None].expand(32, 32)
    for picture, best in ((upright, 0), (lying, 2)):
        strength = texture.responses(picture, bank)[1:9].square().sum((1, 2)).view(2, 4).sum(0)
        assert strength.argmax().item() == best


@pytest.mark.parametrize("n", [50, 20, 130])
def test_histograms_are_matched(n):
    values, like = tiny.array(1, 2, 50), tiny.array(2, 2, n).exp()
    made = texture.match_histogram(values, like)
    assert torch.equal(made.argsort(-1), values.argsort(-1))
    for one, other in zip(made, like, strict=True):
        wanted = np.interp(np.linspace(0, n - 1, 50), np.arange(n), other.sort().values)
        np.testing.assert_allclose(one.sort().values, wanted, rtol=1e-4)


def test_no_round_matches_the_colours_only():
    sample = texture.SAMPLES["leaves"].pixels(48)
    made = texture.by_statistics(sample, 48, steps=0)
    torch.testing.assert_close(made.mean((1, 2)), sample.mean((1, 2)), rtol=0, atol=0.02)
    torch.testing.assert_close(made.std((1, 2)), sample.std((1, 2)), rtol=0.1, atol=0)


def test_statistics_are_matched_at_another_size():
    sample = texture.SAMPLES["leaves"].pixels(64)
    made = texture.by_statistics(sample, (64, 96), steps=6)
    assert made.shape == (3, 64, 96)
    assert made.min() >= 0
    assert made.max() <= 1
    torch.testing.assert_close(made.mean((1, 2)), sample.mean((1, 2)), rtol=0, atol=0.02)
    spreads = [
        texture.responses(x, texture.filter_bank(tuple(x.shape[1:]))).std((2, 3))
        for x in (sample, made, torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0)))
    ]
    ratio = [(s / spreads[0]).log().abs().mean() for s in spreads[1:]]
    assert ratio[0] < 0.2
    assert ratio[0] < 0.3 * ratio[1]


# ------------------------------------------------------------------ repetition


def test_the_autocorrelation_is_the_mean_product_of_partners():
    x = tiny.array(3, 2, 7, 6)
    found, centred = texture.autocorrelation(x), x - x.mean((1, 2), keepdim=True)
    assert found.shape == (7, 7)

    def product(down, across):
        a = centred[:, max(0, down) : 7 + min(0, down), max(0, across) : 6 + min(0, across)]
        b = centred[:, max(0, -down) : 7 + min(0, -down), max(0, -across) : 6 + min(0, -across)]
        return (a * b).sum(0).mean()

    for down, across in itertools.product(range(-3, 4), range(-3, 4)):
        expected = (product(down, across) / product(0, 0)).item()
        assert found[3 + down, 3 + across].item() == pytest.approx(expected, abs=1e-4)


def test_tiles_repeat_and_noise_does_not():
    tile = tiny.array(3, 3, 16, 16)
    assert texture.repetition(tile.tile(1, 4, 4), 8) == pytest.approx(1, abs=1e-3)
    assert texture.repetition(tiny.array(4, 3, 64, 64), 8) < 0.2
    assert texture.repetition(torch.full((3, 16, 16), 0.5), 4) == pytest.approx(0, abs=1e-3)


def test_repetition_of_shifts_beyond_the_picture():
    with pytest.raises(ValueError, match="least=9; accepted: 1 to half the picture, 8"):
        texture.repetition(tiny.array(4, 3, 16, 16), 9)


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize("name", texture.SAMPLES)
def test_samples_lie_inside_their_pictures(name):
    sample = texture.SAMPLES[name]
    _, height, width = sample.picture.pixels().shape
    assert 0 <= sample.top <= height - sample.side
    assert 0 <= sample.left <= width - sample.side
    assert sample.pixels().shape == (3, sample.side, sample.side)
    assert sample.pixels(40).shape == (3, 40, 40)
    assert sample.picture in images.paintings() + images.photos()


# ------------------------------------------------------------------ whatever the default device


def test_the_default_device_is_not_used():
    sample = small_sample()
    with torch.device("meta"):
        made = texture.quilt(sample, 20, block=8)
        texture.by_pixels(sample, 4, window=3)
        texture.by_statistics(sample, 24, steps=1)
        texture.repetition(sample, 4)
        assert texture.breaks(made.source).device.type == "cpu"


# ------------------------------------------------------------------ the explorer


def test_the_step_of_the_explorer_runs_no_network(squeezenet, monkeypatch):
    ran = []
    real = explorer.run
    monkeypatch.setattr(explorer, "SIDE", 32)
    monkeypatch.setattr(explorer, "STEPS", 3)
    monkeypatch.setattr(explorer, "run", lambda *given: ran.append(given[1:]) or real(*given))
    made = explorer.texture_explorer(squeezenet, ["leaves", "spines"])
    assert "leaves, layers up to fire5, Gram matrix: after 3 steps" in made.text
    made.controls["step"].value = 1
    assert "after 1 steps" in made.text
    assert len(ran) == 1
    made.controls["deepest"].value = "fire2"
    made.controls["compared"].value = "covariance"
    made.controls["octaves"].value = 2
    assert ran[-1] == ("leaves", "fire2", "covariance", 2)


def test_the_explorer_knows_the_layers_of_two_networks():
    with pytest.raises(ValueError, match="network: tiny; accepted: vgg16_hed, squeezenet1_1"):
        explorer.texture_explorer(tiny_net())


# ------------------------------------------------------------------ what is stored


def test_every_stored_texture_is_there_and_no_other():
    ladder = converged.names_of_ladders()
    names = ladder + converged.names_compared()
    files = {path.name for path in paths.data("textures").iterdir()}
    assert files == {f"{name}.webp" for name in names} | {"ladder.json"}
    assert set(texture.costs()) == set(ladder)
    for name in names:
        side = converged.LADDER_SIDE if name in ladder else converged.COMPARED_SIDE
        assert texture.stored(name).shape == (3, side, side), name


def test_each_rung_has_converged_the_deep_ones_no_less():
    for name, cost in texture.costs().items():
        losses = cost["losses"]
        assert len(losses) <= 1 + converged.STEPS, name
        ends = converged.SHARE * losses[0]  # losses are stored to six digits
        assert losses[-1] <= ends + 1e-6, name
        assert min(losses[:-1]) > ends - 1e-6, name


def test_synthesis_ends_when_little_enough_of_the_loss_is_left():
    run = texture.synthesise(tiny_net(), features(3, 16, 16).float().sigmoid(), 16, ["relu1"], 30)
    share = run.losses[4] / run.losses[0]
    early = texture.synthesise(
        tiny_net(), features(3, 16, 16).float().sigmoid(), 16, ["relu1"], 30, until=share
    )
    assert early.losses == run.losses[:5]


@pytest.mark.parametrize("deepest", ["relu1", "fire3", "fire5"])
def test_a_stored_rung_is_nearer_to_the_sample_than_the_rung_above(squeezenet, deepest):
    """In the statistics of its own layers; a compressed file has lost some of it."""
    names = texture.LAYERS["squeezenet1_1"]
    names = names[: names.index(deepest) + 1]
    sample = texture.SAMPLES[converged.LADDER_SAMPLE].pixels()
    noise = torch.rand(3, 256, 256, generator=torch.manual_seed(0))
    found = [
        texture.describe(squeezenet, picture[None], names)
        for picture in (sample, texture.stored(f"squeezenet1_1_{deepest}"), noise)
    ]
    gaps = [
        sum(((one[k] - found[0][k]).norm() / found[0][k].norm()).item() for k in names)
        for one in found[1:]
    ]
    assert gaps[0] < 0.3 * gaps[1]


def test_an_unknown_texture_is_named():
    with pytest.raises(ValueError, match="name='anemone_grams'.*'anemone_gram'"):
        texture.stored("anemone_grams")
