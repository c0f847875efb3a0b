"""Style transfer: the losses against naive sums and finite differences; what comes in and out."""

import re

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rebuilding import rebuild

from course_utils import images, models, style, texture, widgets
from course_utils.common import paths, positions
from course_utils.common.optimise import adam, total_variation
from course_utils.widgets import style as explorer_module

LAYERS = {"content": "conv2", "styles": ["relu1", "conv2"]}


@pytest.fixture(scope="module")
def small():
    """A network of five layers for pictures of 32 pixels or more."""
    return models.Network(tiny.network(), "tiny", labels="abcde")


@pytest.fixture(scope="module")
def castle():
    return images.photo("neuschwanstein_castle")


@pytest.fixture(scope="module")
def church():
    return images.painting("church_at_auvers")


def maps(seed, *shape):
    """Features as they come out of a ReLU, in double precision."""
    return tiny.array(seed, *shape).double().relu()


# ------------------------------------------------------------------ the losses


def test_the_content_loss_is_the_sum_of_squared_differences():
    a, b = maps(1, 2, 3, 4, 5), maps(2, 2, 3, 4, 5)
    naive = sum(
        (p - q) ** 2 for p, q in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
    )
    assert style.content_loss(a, b).item() == pytest.approx(naive)
    with pytest.raises(ValueError, match=r"target: shape \(1, 3, 4, 5\); accepted: .*\(2, 3, 4, 5"):
        style.content_loss(a, b[:1])


def test_the_total_loss_is_its_formula_written_out():
    x, seen = maps(0, 1, 3, 5, 6), {"a": maps(1, 1, 4, 3, 5), "b": maps(2, 1, 2, 2, 3)}
    photo, weights = {"b": maps(3, 1, 2, 2, 3)}, {"a": 0.7, "b": 3.0}
    grams = {"a": texture.gram(maps(4, 1, 4, 6, 2)), "b": texture.gram(maps(5, 1, 2, 7, 7))}
    expected = 2 * ((seen["b"] - photo["b"]) ** 2).sum()
    for layer, w in weights.items():
        vectors = seen[layer][0].flatten(1).T
        g = sum(torch.outer(v, v) for v in vectors) / len(vectors)
        expected += 5 * w * ((g - grams[layer][0]) ** 2).sum()
    for c in range(3):
        for i in range(4):
            for j in range(5):
                expected += 0.1 * (x[0, c, i + 1, j] - x[0, c, i, j]) ** 2
                expected += 0.1 * (x[0, c, i, j + 1] - x[0, c, i, j]) ** 2
    found = style.total_loss(x, seen, photo, grams, weights, 2, 5, 0.1)
    assert found.item() == pytest.approx(expected.item())


def test_the_gradient_of_a_task_is_that_of_finite_differences():
    net = models.Network(tiny.network(), "tiny").double()
    pair = torch.rand(3, 32, 40), torch.rand(3, 36, 32)
    task = style.task(net, *pair, size=40, gamma=1.0, **LAYERS)
    x = tiny.array(3, 1, 3, 32, 40).double().requires_grad_()
    gradient = torch.autograd.grad(task.loss(x), x)[0]
    for seed in range(3):
        direction = tiny.array(seed, *x.shape).double()
        with torch.no_grad():
            up, down = (task.loss(x + s * direction).item() for s in (1e-6, -1e-6))
        slope = (gradient * direction).sum().item()
        assert (up - down) / 2e-6 == pytest.approx(slope, rel=1e-4)


def test_the_terms_of_a_task_add_up_to_the_total_loss(small):
    task = style.task(small, torch.rand(3, 40, 50), torch.rand(3, 64, 50), size=50, **LAYERS)
    x = small.normalize(torch.rand(task.pixels.shape))
    seen = texture.features(small, x, task.wanted)
    rest = (task.photo, task.grams, task.weights, task.alpha, task.beta, task.gamma)
    terms = task.terms(x)
    assert list(terms) == ["content", "style in relu1", "style in conv2", "total variation"]
    torch.testing.assert_close(sum(terms.values()), style.total_loss(x, seen, *rest))
    torch.testing.assert_close(task.loss(x), style.total_loss(x, seen, *rest))


def test_weights_are_relative_errors_in_per_cent(small):
    photo, painting = torch.rand(3, 40, 40), torch.rand(3, 40, 40)
    settings = {"size": 40, "alpha": 2.0, "beta": 3.0, "gamma": 5.0, **LAYERS}
    task = style.task(small, photo, painting, **settings)
    nothing = {k: torch.zeros_like(v) for k, v in task.photo.items()}
    assert task.alpha * style.content_loss(nothing["conv2"], task.photo["conv2"]) == (
        pytest.approx(2 * 100)
    )
    empty = {k: torch.zeros(1, g.shape[1], 2, 2) for k, g in task.grams.items()}
    assert task.beta * style.style_loss(empty, task.grams, task.weights) == pytest.approx(3 * 100)
    x = small.normalize(photo)[None]
    differences = task.terms(x)["total variation"].item()
    assert differences == pytest.approx(5 * 100 * total_variation(x).item() / x.numel())
    assert task.terms(x)["content"] == 0


@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_relative_weights_do_not_feel_the_scale_of_a_layer(factor, seed):
    grams = {
        "a": texture.gram(maps(seed, 1, 3, 4, 4)),
        "b": texture.gram(maps(seed + 1, 1, 5, 2, 2)),
    }
    scaled = {**grams, "b": factor * grams["b"]}
    for g in (grams, scaled):
        w = style.relative_weights(g)
        assert sum(w[k] * g[k].square().sum().item() for k in g) == pytest.approx(1)
        assert w["a"] * g["a"].square().sum().item() == pytest.approx(0.5)


def test_layers_may_have_weights_of_their_own():
    grams = {"a": texture.gram(maps(0, 1, 3, 4, 4)), "b": texture.gram(maps(1, 1, 5, 2, 2))}
    w = style.relative_weights(grams, {"a": 3, "b": 1})
    assert w["a"] * grams["a"].square().sum().item() == pytest.approx(0.75)
    with pytest.raises(ValueError, match=r"styles: weights \[0, 0\]; accepted: 0 or more, not all"):
        style.relative_weights(grams, {"a": 0, "b": 0})
    with pytest.raises(ValueError, match="styles: the painting leaves b all zero"):
        style.relative_weights({**grams, "b": 0 * grams["b"]})


def test_a_blend_of_gram_matrices_has_the_gradient_of_the_blended_losses():
    f = maps(0, 1, 4, 5, 5).requires_grad_()
    g, h = (texture.gram(maps(s, 1, 4, 6, 6)) for s in (1, 2))

    def slope(loss):
        return torch.autograd.grad(loss, f)[0]

    def distance(target):
        return (texture.gram(f) - target).square().sum()

    apart = slope(0.3 * distance(g) + 0.7 * distance(h))
    torch.testing.assert_close(slope(distance(0.3 * g + 0.7 * h)), apart)


def test_a_task_blends_its_paintings(small):
    photo, a, b = (torch.rand(3, 40, 40) for _ in range(3))
    alone = [style.task(small, photo, p, size=40, **LAYERS).grams for p in (a, b)]
    both = style.task(small, photo, [a, b], size=40, blend=[3, 1], **LAYERS).grams
    for layer, g in both.items():
        torch.testing.assert_close(g, 0.75 * alone[0][layer] + 0.25 * alone[1][layer])


def test_a_step_far_out_of_the_range_of_pixels_has_a_loss_not_an_error(small):
    pair, far = (torch.rand(3, 40, 40), torch.rand(3, 40, 40)), {"rule": adam(20.0), "size": 40}
    run = style.transfer(small, *pair, 3, coordinates="pixels", progress=None, **far, **LAYERS)
    assert len(run.run.losses) == 4
    assert max(run.run.losses) > 2 * run.run.losses[0]
    assert 0 <= run.pixels.min() <= run.pixels.max() <= 1


# ------------------------------------------------------------------ colours


def statistics(pixels):
    columns = pixels.flatten(1).double()
    return columns.mean(1), torch.cov(columns, correction=0)


def test_matched_colours_have_mean_and_covariance_of_the_photo():
    mix = torch.tensor([[0.2, 0.05, 0], [0.1, 0.1, 0.03], [0, 0.02, 0.1]])
    photo = 0.5 + 0.3 * torch.einsum("dc,chw->dhw", mix, tiny.array(0, 3, 30, 20))
    painting = 0.3 + 0.1 * torch.einsum("dc,chw->dhw", mix.T, tiny.array(1, 3, 17, 25))
    found = style.match_colours(painting, photo)  # nothing comes near 0 or 1, so nothing is clipped
    for ours, theirs in zip(statistics(found), statistics(photo), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0.02)


def test_kept_colours_change_brightness_only():
    result, photo = 0.4 + 0.2 * torch.rand(3, 9, 8), 0.4 + 0.2 * torch.rand(3, 9, 8)
    found = style.keep_colours(result, photo)
    torch.testing.assert_close(style.luminance(found), style.luminance(result))
    difference = found - photo
    torch.testing.assert_close(difference[0], difference[1])
    torch.testing.assert_close(difference[0], difference[2])


def test_grey_and_flat_pictures_have_colours_too():
    photo, flat = torch.rand(3, 8, 8), torch.full((3, 8, 8), 0.5)
    for painting in (style.grey(photo), flat):
        found = style.match_colours(painting, photo)
        assert torch.isfinite(found).all()
        torch.testing.assert_close(
            style.match_colours(photo, painting).std(0).max().item(), 0.0, atol=0.02, rtol=0
        )


# ------------------------------------------------------------------ pictures of all kinds


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (90, 60), 120),
        Image.new("RGBA", (60, 90), (200, 10, 10, 128)),
        Image.new("1", (1, 1)),
        np.zeros((700, 900, 3), np.uint8),
        torch.rand(1, 50, 70),
    ],
    ids=["grey", "transparent", "one pixel", "large", "tensor"],
)
def test_pictures_of_every_mode_and_size_are_accepted(squeezenet, castle, church, picture):
    settings = {"steps": 2, "size": 48, "keep": 2, "progress": None}
    for photo, painting in ((picture, church), (castle, picture)):
        found = style.transfer(squeezenet, photo, painting, **settings)
        assert max(found.pixels.shape) == 48
        assert found.pixels.min() >= 0
        assert found.pixels.max() <= 1
        assert torch.isfinite(found.pixels).all()


def test_the_longer_side_gets_the_size():
    wide, high = torch.rand(3, 30, 60), torch.rand(3, 200, 100)
    assert style.fit(wide, 128).shape == (1, 3, 64, 128)
    assert style.fit(high, 80).shape == (1, 3, 80, 40)
    with pytest.raises(ValueError, match="painting: 256 x 3 pixels at size=256; accepted: 32 or"):
        style.fit(torch.rand(3, 2, 200), 256, "painting")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"alpha": 0, "beta": 0}, "alpha=0, beta=0, .*nothing is asked of the picture"),
        ({"alpha": 0, "beta": 0, "gamma": 1}, "nothing is asked"),
        ({"beta": -1}, "beta=-1"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"content": "fire55"}, "layer='fire55' is not one of .*'fire5'"),
        ({"styles": ["relu1_1"]}, "layer='relu1_1' is not one of the layers of squeezenet1_1"),
        ({"styles": []}, "styles: no layers"),
        ({"styles": {"fire2": 0}}, r"styles: weights \[0\]"),
        ({"blend": [1, 1]}, "blend: 2 weights for 1 paintings"),
        ({"blend": [0]}, r"blend: weights \[0\]; accepted: 0 or more, not all 0"),
        ({"colours": "photos"}, "colours='photos' is not one of"),
        ({"size": 20}, "photo: 20 x .* accepted: 32 or more"),
        ({"style_size": 8}, "painting: .* accepted: 32 or more"),
        ({"start": "nois"}, "start='nois' is not one of .*'noise'"),
        ({"steps": 0}, "steps=0"),
    ],
)
def test_what_cannot_be_done_is_named(squeezenet, castle, church, asked, message):
    with pytest.raises(ValueError, match=message):
        style.transfer(squeezenet, castle, church, **{"size": 48, "progress": None} | asked)


def test_no_painting_and_no_agreed_layers(small, squeezenet, castle):
    with pytest.raises(ValueError, match="painting: an empty list"):
        style.task(squeezenet, castle, [], size=48)
    with pytest.raises(ValueError, match="no layers of tiny are agreed on; name some"):
        style.task(small, castle, castle, size=48)


def test_layers_are_agreed_on_for_vgg_and_squeezenet(vgg, squeezenet):
    assert style.default_layers(squeezenet) == ("fire5", style.SQUEEZENET_STYLES)
    content, styles = style.default_layers(vgg)
    assert content == "conv4_2"
    assert styles == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "conv5_1")


# ------------------------------------------------------------------ the transfer


@pytest.fixture(scope="module")
def run(squeezenet, castle, church):
    return style.transfer(squeezenet, castle, church, 25, size=96, keep=5, progress=None)


def test_a_transfer_lowers_the_style_and_keeps_most_of_the_content(run):
    curves = run.summary
    assert curves["content"][0] < 0.1  # the frequencies cannot reach pure black and white
    assert curves["style"][-1] < 0.3 * curves["style"][0]
    assert curves["content"][-1] < 100  # per cent; 100 is a picture that has nothing of the photo
    assert run.run.losses[-1] < 0.5 * run.run.losses[0]


def test_the_curves_add_up_to_the_loss_of_each_evaluation(run):
    total = [sum(values) for values in zip(*run.curves.values(), strict=True)]
    assert len(total) == run.run.evaluations == 26
    assert total == pytest.approx(run.run.losses, rel=1e-4)
    assert run.summary.keys() == {"content", "style", "total variation"}


def test_the_frames_lead_from_the_photo_to_the_picture(run, castle):
    first, last = run.run.frames[0, 0] / 255, run.run.frames[-1, 0] / 255
    torch.testing.assert_close(first, style.fit(castle, 96)[0], atol=0.012, rtol=0)
    torch.testing.assert_close(last, run.pixels, atol=1 / 255, rtol=0)


def test_the_same_seed_gives_the_same_picture(squeezenet, castle, church):
    settings = {"steps": 3, "size": 48, "start": "noise", "keep": 0, "progress": None}
    one, again, other = (
        style.transfer(squeezenet, castle, church, seed=seed, **settings).pixels
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_transfer_may_start_from_any_picture(squeezenet, castle, church):
    task = style.task(squeezenet, castle, church, size=64)
    other = torch.rand(3, 20, 40)
    for coordinates in ("pixels", "frequencies"):
        assert style.begin(task, other, coordinates)().shape == task.pixels.shape
        found = style.begin(task, "photo", coordinates)()
        torch.testing.assert_close(found, task.pixels, atol=0.0101, rtol=0)
        assert style.begin(task, "noise", coordinates)().std() > 0
    with pytest.raises(ValueError, match="coordinates='pixel' is not one of .*'pixels'"):
        style.begin(task, "photo", "pixel")


@pytest.mark.parametrize("colours", ["statistics", "luminance"])
def test_the_photos_colours_can_be_kept(squeezenet, castle, church, colours):
    settings = {"steps": 15, "size": 64, "beta": 100, "keep": 2, "progress": None}
    photo = style.fit(castle, 64)[0]
    free, kept = (
        style.transfer(squeezenet, castle, church, colours=c, **settings).pixels
        for c in ("painting", colours)
    )

    def apart(pixels):
        chroma = pixels - style.luminance(pixels)
        return (chroma.mean((1, 2)) - (photo - style.luminance(photo)).mean((1, 2))).norm()

    assert apart(kept) < 0.5 * apart(free)


def test_without_content_or_style_only_the_other_is_left(squeezenet, castle, church):
    settings = {"steps": 2, "size": 48, "gamma": 0, "keep": 0, "progress": None}
    assert list(
        style.transfer(squeezenet, castle, church, beta=0, start="noise", **settings).curves
    )
    found = style.transfer(squeezenet, castle, church, alpha=0, **settings)
    assert all(name.startswith("style in") for name in found.curves)


def test_vgg_paints_too(vgg, castle, church):
    found = style.transfer(vgg, castle, church, 6, size=48, keep=0, progress=None)
    assert found.run.losses[-1] < 0.7 * found.run.losses[0]


def test_another_rule_has_the_same_number_of_evaluations(squeezenet, castle, church):
    settings = {"steps": 4, "size": 48, "keep": 0, "progress": None}
    found = style.transfer(squeezenet, castle, church, rule=adam(0.05), **settings)
    assert found.run.evaluations == 5


def test_where_l_bfgs_overshoots_a_line_search_begins_again(squeezenet, castle, church):
    wild = {
        "steps": 10,
        "size": 48,
        "progress": None,
        "beta": 1e6,
        "start": torch.full((3, 9, 9), 0.5),
    }
    found = style.transfer(squeezenet, castle, church, alpha=0, styles=["relu1"], **wild)
    assert found.run.losses[-1] < found.run.losses[0]
    assert len(found.run.losses) in (6, 11)


def test_the_time_is_told_in_advance(squeezenet, castle):
    short, long = (style.forecast(squeezenet, castle, steps, size=64) for steps in (1, 1000))
    assert 0 < short < long


# ------------------------------------------------------------------ eleven pairs


def test_the_figures_of_pairs_are_measured_again_by_their_command(squeezenet):
    made = rebuild("style_pairs")
    kept = style.pairs()
    assert [(p["photo"], p["painting"]) for p in kept] == made.PAIRS
    assert len(set(made.PAIRS)) == 11
    again = made.measured(squeezenet, made.PAIRS[4], evaluations=2)
    for name in ("race", "colours", "grown"):
        assert again[name].keys() == kept[4][name].keys()
    assert again["colours"]["photo"] == pytest.approx(kept[4]["colours"]["photo"], abs=1e-3)
    for study in ("race", "grown"):  # two evaluations are far from sixty
        for key, reached in kept[4][study].items():
            assert 0 < reached < again[study][key], key


# ------------------------------------------------------------------ the explorer


def test_stored_pictures_are_looked_up_and_others_painted(squeezenet, monkeypatch):
    painted = []
    monkeypatch.setattr(explorer_module, "STEPS", 2)
    real = style.transfer
    monkeypatch.setattr(style, "transfer", lambda *a, **k: painted.append(k) or real(*a, **k))
    explorer = widgets.style_explorer(squeezenet, photos=[explorer_module.PHOTO, "chelsea"])
    explorer.controls["ratio"].value = 250.0
    explorer.controls["layers"].value = "deep"
    explorer.controls["brush"].value = 88
    explorer.controls["smooth"].value = explorer_module.SMOOTHS[1]
    assert not painted
    assert "stored" in explorer.text
    assert "88 pixels" in explorer.text
    explorer.controls["live"].value = True
    assert len(painted) == 1
    assert "painted here in" in explorer.text
    explorer.controls["live"].value = False
    explorer.controls["live"].value = True
    assert len(painted) == 1
    explorer.controls["painting"].value = "night_cafe"
    explorer.controls["live"].value = False
    assert len(painted) == 2


def test_a_run_made_here_has_as_many_evaluations_as_one_waits_for(squeezenet, monkeypatch):
    for each, steps in ((0.001, explorer_module.STEPS), (9.0, explorer_module.LEAST), (0.09, 16)):
        monkeypatch.setattr(style, "forecast", lambda *a, each=each, **k: each)
        assert explorer_module.affordable(squeezenet) == (steps, pytest.approx(steps * each))
    asked = []
    still = (torch.zeros(3, 8, 8), 1.2)
    monkeypatch.setattr(explorer_module, "painted", lambda *a, steps: asked.append(steps) or still)
    explorer = widgets.style_explorer(squeezenet, photos=[explorer_module.PHOTO])
    explorer.controls["live"].value = True
    assert asked == [16]
    assert "painted here in 1.2 s" in explorer.text
    assert "about 1.4 s on this machine, with 16 evaluations; the stored ones had 50." in (
        explorer.text
    )


def test_a_page_says_nothing_of_seconds(monkeypatch):
    """Those of the machine that wrote it tell its reader nothing."""
    chosen = ("chelsea", "night_cafe", explorer_module.every()[0])
    assert "painted here in 2.0 s" in explorer_module.describe(*chosen, 2.0, 3.0)
    monkeypatch.setenv(positions.VARIABLE, "1")
    said = explorer_module.describe(*chosen, 2.0, 3.0)
    assert said.endswith("weight on total variation.")
    assert not re.search(r"\d s\b", said)


def test_a_dragged_slider_paints_nothing_on_its_way(squeezenet, monkeypatch):
    monkeypatch.setattr(explorer_module, "STEPS", 1)
    explorer = widgets.style_explorer(squeezenet, photos=[explorer_module.PHOTO, "chelsea"])
    sliders = [explorer.controls[name] for name in ("ratio", "brush")]
    follows = lambda: {slider.continuous_update for slider in sliders}  # noqa: E731
    assert follows() == {True}
    explorer.controls["painting"].value = "night_cafe"
    assert follows() == {False}
    explorer.controls["painting"].value = explorer_module.PAINTING
    assert follows() == {True}
    explorer.controls["live"].value = True
    assert follows() == {False}


def test_every_stored_picture_is_there_and_they_differ(castle):
    every = [explorer_module.stored(chosen) for chosen in explorer_module.every()]
    assert {tuple(p.shape) for p in every} == {
        tuple(style.fit(castle, explorer_module.SIZE)[0].shape)
    }
    flat = torch.stack(every).flatten(1)
    assert torch.cdist(flat, flat).add(torch.eye(len(flat)) * 99).min() > 1


def test_a_stored_picture_is_what_is_painted_here(squeezenet, castle):
    chosen = explorer_module.every()[2]
    photo = widgets.Photo(castle.name, castle.pixels())
    here, _ = explorer_module.painted(squeezenet, photo, explorer_module.PAINTING, *chosen)
    # Another machine rounds otherwise and ends elsewhere, but not far away.
    correlation = torch.corrcoef(
        torch.stack([here.flatten(), explorer_module.stored(chosen).flatten()])
    )[0, 1]
    assert correlation > 0.9


# ------------------------------------------------------------------ the stored pictures


def test_a_stored_large_picture_has_its_size_and_its_history():
    large = style.stored("large")
    assert max(large.pixels.shape) == large.facts["runs"][-1]["size"] == 512
    assert large.facts["processor seconds"] > 0
    assert large.facts["command"].endswith(" large")
    with pytest.raises(ValueError, match="name='lagre'.*'large'"):
        style.stored("lagre")


def test_a_stored_picture_has_the_loss_that_is_written_beside_it(squeezenet):
    """Of both tasks on SqueezeNet; the picture is rounded to 8 bits, which costs a little."""
    for name, model in {"squeezenet": squeezenet, "random": style.untrained(squeezenet)}.items():
        one = style.stored(name)
        photo, painting = (images.photo(one.facts["photo"]), one.facts["painting"])
        what = style.task(model, photo, images.painting(painting), one.facts["runs"][-1]["size"])
        with torch.no_grad():
            loss = what.loss(model.normalize(one.pixels[None])).item()
        assert loss == pytest.approx(one.facts["loss"], rel=0.1)


def test_every_stored_picture_is_made_of_pictures_free_of_rights():
    names = {path.stem for path in paths.data("style_pictures").glob("*.webp")}
    for name in names:
        facts = style.stored(name).facts
        used = images.photo(facts["photo"]), images.painting(facts["painting"])
        assert {one.license for one in used} <= {"CC0-1.0", "LicenseRef-Public-Domain"}
    assert names == {"large", "squeezenet", "random", "efficientnet", "vgg16"}
