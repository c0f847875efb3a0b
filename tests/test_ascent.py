"""Ascent against steps by hand and finite differences; pictures by what the networks say."""

from functools import partial

import numpy as np
import pytest
import tiny
import torch
from rebuilding import rebuild
from torch import nn

from course_utils import ascent, images, layers, models, widgets
from course_utils.common import optimise

CLASSES = [1, 3]


@pytest.fixture(scope="module")
def net():
    """A tiny network of five classes."""
    return models.Network(tiny.network(), "tiny", labels=[f"class {i}" for i in range(5)])


@pytest.fixture(scope="module")
def goldfish(squeezenet):
    """A goldfish painted in a few steps."""
    return ascent.paint(ascent.score(squeezenet, "goldfish"), size=96, steps=40, keep=3)


# ------------------------------------------------------------------ steps


def test_a_step_goes_up_the_slope_of_finite_differences():
    exact, x, rate, weight, h = tiny.network().double(), tiny.batch().double(), 2.0, 0.1, 1e-6

    def goal(image, c):
        return (exact(image)[:, c] - weight * image.square().sum((1, 2, 3))).detach()

    step = (ascent.ascent_step(exact, x, CLASSES, rate, weight) - x) / rate
    directions = torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    for image, c, ours in zip(x, CLASSES, step, strict=True):
        numeric = (goal(image + h * directions, c) - goal(image - h * directions, c)) / (2 * h)
        assert torch.allclose(ours.flatten(), numeric, rtol=0, atol=1e-6 * ours.abs().max().item())


def test_the_loop_and_the_step_agree(net):
    x = tiny.batch()
    by_hand = x
    for _ in range(3):
        by_hand = ascent.ascent_step(net, by_hand, CLASSES, 0.5, 0.02)
    result = optimise.optimise(
        lambda z: -ascent.score(net, CLASSES)(z).sum(),
        x,
        3,
        rule=optimise.gradient_step(0.5),
        terms=[lambda z: 0.02 * optimise.squared_norm(z)],
    )
    assert torch.allclose(result.image, by_hand, atol=1e-5)


def test_a_kernel_is_a_loop_over_its_window():
    x, kernel = tiny.array(3, 1, 2, 4, 5), tiny.array(4, 3, 3)
    ours = ascent.convolved(x, kernel)
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for c in range(2):
        for i in range(4):
            for j in range(5):
                expected = (wide[0, c, i : i + 3, j : j + 3] * kernel.numpy()).sum()
                assert ours[0, c, i, j].item() == pytest.approx(expected, abs=1e-5)


def test_blurs_come_after_every_third_step(net):
    x, kernel = tiny.batch(), torch.full((3, 3), 1 / 9)
    expected = x
    for step in (1, 2, 3, 4):
        expected = ascent.ascent_step(net, expected, CLASSES, 0.5, 0.0)
        expected = ascent.convolved(expected, kernel) if step == 3 else expected
    assert torch.allclose(ascent.ascend(net, x, CLASSES, 0.5, 4, kernel, 3), expected, atol=1e-6)
    with pytest.raises(ValueError, match="every=0"):
        ascent.ascend(net, x, CLASSES, 0.5, 4, kernel, 0)


# ------------------------------------------------------------------ targets


def test_targets_are_what_they_are_called(net):
    x = tiny.batch()
    logits = net(x)
    own = logits[[0, 1], CLASSES]
    assert torch.allclose(ascent.score(net, CLASSES)(x), own)
    p = logits.softmax(1)[[0, 1], CLASSES]
    assert torch.allclose(ascent.probability(net, CLASSES)(x), p)
    assert torch.allclose(ascent.probability(net, CLASSES, log=True)(x), p.log(), atol=1e-5)
    maps = layers.activations(net, x, "conv2")
    assert torch.allclose(ascent.channel(net, "conv2", 3)(x), maps[:, 3].mean((1, 2)))
    middle = maps[[0, 1], [3, 4], maps.shape[2] // 2, maps.shape[3] // 2]
    assert torch.allclose(ascent.channel(net, "conv2", [3, 4], centre=True)(x), middle)
    pixels = net.denormalize(x)
    assert torch.allclose(ascent.score(net, CLASSES).of_pixels(pixels), own, atol=1e-4)


def test_the_map_before_the_relu_is_the_score_where_it_is_positive(squeezenet, panda):
    maps = layers.activations(squeezenet, panda, "conv10")[:, 388]
    ours = ascent.class_map(squeezenet, "giant panda")(panda)
    assert ours.item() == pytest.approx(maps.mean().item(), rel=1e-4)
    assert ours <= ascent.score(squeezenet, "giant panda")(panda)


def test_eight_scores_are_dead_at_the_grey_image(squeezenet):
    grey = torch.zeros(1, 3, 224, 224)
    dead = ascent.dead_scores(squeezenet, grey)
    names = [squeezenet.labels[i] for i in dead]
    assert len(names) == 8
    assert "koala" in names
    x = grey.clone().requires_grad_()
    assert not torch.autograd.grad(squeezenet(x)[0, dead].sum(), x)[0].any()
    before = ascent.class_map(squeezenet, "koala")
    assert ascent.gradient_norm(before, grey) > 0.1
    assert ascent.gradient_norm(ascent.score(squeezenet, "koala"), grey) == 0


def test_the_gradient_norm_is_that_of_autograd(net):
    x = tiny.batch().requires_grad_()
    expected = torch.autograd.grad(net(x)[:, 2].sum(), x)[0].norm().item()
    with torch.no_grad():
        found = ascent.gradient_norm(ascent.score(net, 2), x)
    assert found == pytest.approx(expected, rel=1e-5)
    assert x.grad is None


def test_unknown_names_are_refused_at_once(squeezenet, vgg):
    with pytest.raises(ValueError, match="Did you mean 'goldfish'"):
        ascent.score(squeezenet, "goldfisch")
    with pytest.raises(ValueError, match="no classifier"):
        ascent.score(vgg, "goldfish")
    with pytest.raises(ValueError, match="fire5"):
        ascent.channel(squeezenet, "fire55", 0)
    with pytest.raises(ValueError, match="conv10"):
        ascent.class_map(squeezenet, "koala", "conv11")
    with pytest.raises(ValueError, match="0 to 255"):
        ascent.paint(ascent.channel(squeezenet, "fire5", 256), size=96, steps=1)
    with pytest.raises(ValueError, match="2 images"):
        ascent.paint(ascent.channel(squeezenet, "fire5", [1, 2, 3]), 2, size=96, steps=1)


class Cut(nn.Module):
    """A network whose first layer gets no gradient."""

    def __init__(self):
        super().__init__()
        self.conv, self.unused = nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, x):
        return self.conv(x.detach()).mean((2, 3))


def test_a_layer_without_gradient_is_named():
    cut = models.Network(Cut(), "cut", labels=list("abcd"))
    with pytest.raises(ValueError, match=r"conv.*no gradient"):
        ascent.paint(ascent.channel(cut, "conv", 0), size=16, steps=1)
    with pytest.raises(ValueError, match="does not depend"):
        ascent.paint(ascent.score(cut, 0), size=16, steps=1)


def test_pictures_too_small_are_refused(squeezenet):
    with pytest.raises(ValueError, match="sees 207 pixels"):
        ascent.paint(ascent.channel(squeezenet, "fire9", 0), size=128, steps=1)
    with pytest.raises(ValueError, match=r"size=16 .*squeezenet"):
        ascent.paint(ascent.score(squeezenet, "koala"), size=16, steps=1)


# ------------------------------------------------------------------ painting


def test_a_painted_class_is_recognised_after_saving_and_shifting(squeezenet, goldfish, tmp_path):
    images.to_pil(goldfish.image[0]).save(tmp_path / "goldfish.png")
    back = images.read(tmp_path / "goldfish.png")
    assert torch.allclose(back, images.eight_bits(goldfish.image[0]), atol=1e-6)
    for shift in [(0, 0), (3, -4)]:
        ((sees, p, own),) = ascent.recognition(squeezenet, back[None], ["goldfish"], shift)
        assert sees == "goldfish"
        assert own == p > 0.9
    assert goldfish.image.min() >= 0
    assert goldfish.image.max() <= 1


def test_each_ingredient_lowers_the_high_frequencies(squeezenet):
    target, settings = ascent.score(squeezenet, "volcano"), {"steps": 15, "keep": 0}
    start = optimise.Pixels(optimise.Fourier((1, 64, 64))())
    bare = {"smooth": 0.0, "transforms": ()}
    runs = [
        ascent.paint(target, start=start, **bare, **settings),
        ascent.paint(target, size=64, **bare, **settings),
        ascent.paint(target, size=64, **settings),
    ]
    fine = [ascent.high_frequencies(run.image).item() for run in runs]
    assert fine[0] > 2 * fine[1] > 4 * fine[2]


def test_two_networks_at_once_both_rise(squeezenet, efficientnet):
    pairs = [(1.0, ascent.score(n, "volcano")) for n in (squeezenet, efficientnet)]
    result = ascent.paint(pairs, size=64, steps=8, keep=0)
    grey = torch.full_like(result.image, 0.5)
    for _, target in pairs:
        assert target.of_pixels(result.image) > target.of_pixels(grey) + 1


def test_a_picture_can_be_the_start(squeezenet):
    photo = images.square(images.photo("panda").pixels(), 64)[None]
    kept = ascent.paint(ascent.score(squeezenet, "volcano"), start=photo, steps=1, keep=2)
    assert kept.frames.shape == (2, 1, 3, 64, 64)
    assert (kept.frames[0, 0] / 255 - photo[0].clamp(0.01, 0.99)).abs().max() < 0.01


# ------------------------------------------------------------------ measures


def test_high_frequencies_of_waves_and_noise():
    n = torch.arange(32)

    def wave(k):
        return torch.cos(2 * torch.pi * k * n / 32).expand(1, 3, 32, 32)

    assert ascent.high_frequencies(wave(7)).item() == pytest.approx(0, abs=1e-6)
    assert ascent.high_frequencies(wave(8)).item() == pytest.approx(1, abs=1e-6)
    both = ascent.high_frequencies(2 * wave(3) + wave(12))
    assert both.item() == pytest.approx(0.2, abs=1e-5)
    noise = ascent.high_frequencies(tiny.array(0, 4, 3, 64, 64))
    assert torch.allclose(noise, torch.full((4,), 1 - torch.pi / 16), atol=0.02)
    assert ascent.high_frequencies(torch.full((1, 3, 8, 8), 0.3)).item() == 0


def test_recognition_is_the_softmax_of_the_rounded_picture(net):
    pixels = torch.rand(2, 3, 16, 16)
    rounded = torch.round(pixels * 255) / 255
    expected = net(net.normalize(rounded.roll((2, 1), (2, 3)))).softmax(1)
    for i, (sees, p, own) in enumerate(ascent.recognition(net, pixels, CLASSES, (2, 1))):
        assert sees == net.labels[expected[i].argmax()]
        assert p == pytest.approx(expected[i].max().item(), abs=1e-5)
        assert own == pytest.approx(expected[i, CLASSES[i]].item(), abs=1e-5)


def test_enlarging_keeps_colours():
    pixels = torch.full((1, 3, 4, 5), 0.3)
    assert ascent.enlarged(pixels).shape == (1, 3, 12, 15)
    assert torch.allclose(ascent.enlarged(pixels), torch.tensor(0.3), atol=1e-6)


# ------------------------------------------------------------------ facets


def test_groups_are_found_and_sorted_by_size(squeezenet):
    names = ["taj_mahal", "taj_mahal_2", "kutub_minar", "qutub_minar", "taj_mahal_2_2"]
    pixels = squeezenet.crop_pixels([images.photo(n) for n in names])
    groups = ascent.facets(squeezenet, pixels, k=2)
    assert groups.tolist() == [0, 0, 1, 1, 0]
    means = ascent.mean_photos(pixels, groups, size=224)
    assert torch.allclose(means[1], pixels[2:4].mean(0), atol=1e-5)
    with pytest.raises(ValueError, match="k=6"):
        ascent.facets(squeezenet, pixels, k=6)


# ------------------------------------------------------------------ the explorer


def test_the_explorer_paints_once_and_scrubs_freely(squeezenet, monkeypatch):
    calls = []
    paint = ascent.paint
    monkeypatch.setattr(ascent, "paint", lambda *a, **k: calls.append(k) or paint(*a, **k))
    explorer = widgets.ascent_explorer(squeezenet)
    assert "goldfish" in explorer.text
    for frame in (0, 5, 20):
        explorer.controls["frame"].value = frame
        assert f"after {2 * frame} of 40 steps" in explorer.text
    assert len(calls) == 1
    explorer.controls["recipe"].value = "plain pixels"
    assert calls[-1]["smooth"] == 0
    with pytest.raises(ValueError, match="Did you mean"):
        explorer.controls["name"].value = "volcanoo"
    assert "volcano" in explorer.alarm.value


# ------------------------------------------------------------------ what is stored


def ends_in_relu(inplace=False):
    last = [nn.Conv2d(4, 5, 1), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *last)
    return models.Network(body, "another", labels=[f"class {i}" for i in range(5)])


def test_the_goal_of_a_class_is_its_map_where_a_relu_can_hold_the_score_at_zero(net):
    x = tiny.batch()
    network = ends_in_relu()
    with torch.no_grad():
        network.module[2].bias.fill_(-100.0)
        assert not ascent.score(network, 1)(x).any()
        assert (ascent.class_goal(network, 1)(x) < -50).all()
        assert torch.equal(ascent.class_goal(net, 1)(x), ascent.score(net, 1)(x))


def test_the_strongest_place_moves_to_the_middle_and_the_rest_fades(squeezenet):
    dot = torch.full((1, 3, 96, 96), 0.5)
    dot[..., 20:28, 60:68] = 1.0
    maps = layers.activations(squeezenet, squeezenet.normalize(dot), "fire3")[0]
    channel = int((maps.amax((1, 2)) - maps.mean((1, 2))).argmax())
    start = ascent.strongest_place(squeezenet, "fire3", channel, dot, 0.3)
    away = (start - 0.5).abs().sum(1)[0]
    row, column = divmod(int(away.argmax()), 96)
    assert abs(row - 48) < 16
    assert abs(column - 48) < 16
    assert away[0].max() < 0.02
    with pytest.raises(ValueError, match="width"):
        ascent.strongest_place(squeezenet, "fire3", channel, dot, 0.0)


def test_both_networks_name_the_classes_of_the_wall(squeezenet, efficientnet):
    wall = ascent.stored()
    assert wall.shape == (len(ascent.WALL), 3, 160, 160)
    named = [
        [seen == name for (seen, _, _), name in zip(answers, ascent.WALL, strict=True)]
        for answers in (
            ascent.recognition(n, wall, ascent.WALL) for n in (squeezenet, efficientnet)
        )
    ]
    assert sum(map(all, zip(*named, strict=True))) >= len(ascent.WALL) - 2
    with pytest.raises(ValueError, match="Did you mean 'koala'"):
        ascent.stored(["koalla"])


def test_a_class_of_the_wall_comes_out_alike_alone_and_among_others(squeezenet, efficientnet):
    networks, how = (squeezenet, efficientnet), {"side": 96, "steps": 2, "progress": None}
    alone = ascent.of_classes(networks, ["castle"], **how).image
    among = ascent.of_classes(networks, ["koala", "castle"], **how).image
    # Adam's first steps are as long for the faintest slopes, whose signs hang on rounding.
    apart, others = ((one - among[1]).abs().mean() for one in (alone[0], among[0]))
    assert apart < 0.5 * others
    with pytest.raises(ValueError, match="networks: 1 came"):
        ascent.for_both([squeezenet], "koala")


def test_the_stored_pictures_are_made_by_their_command(tmp_path, capsys, monkeypatch):
    script = rebuild("classes")
    settings = {"side": 96, "steps": 1, "progress": None}
    monkeypatch.setattr(
        script.ascent, "of_classes", partial(ascent.of_classes, **settings), raising=True
    )
    script.rebuild(["koala"], tmp_path)
    assert images.read(tmp_path / "koala.webp").shape == (3, 96, 96)
    assert "koala.webp" in capsys.readouterr().out


def test_stored_roughness_is_what_its_command_measures():
    again = rebuild("roughness").measure(2, 2)
    stored = ascent.stored_roughness()
    assert len(stored["channels"]) == len(stored["classes"]) == 48
    for kind, values in again.items():
        for ours, theirs in zip(values, stored[kind], strict=False):
            assert (ours is None) == (theirs is None)
            assert ours is None or ours == pytest.approx(theirs, rel=0.5)
