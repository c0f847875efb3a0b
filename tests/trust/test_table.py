"""The table of lecture 09: its scenes, its scores, and the file it is stored in."""

import itertools

import numpy as np
import pytest
import scipy
import tiny
import torch

from course_utils import images, models, trust
from course_utils.common import composites
from course_utils.trust.table import BASELINES, METHODS, Method


def oracle(masks):
    """A method that knows the answer."""
    return Method(lambda model, x, classes: masks.to(x), 0)


@pytest.fixture(scope="module")
def confident(squeezenet):
    """Some photos that SqueezeNet is sure of: pixels and classes."""
    pictures = [p for p in images.photos("animal") if p.label_index is not None][:16]
    pixels, classes, _ = trust.confident_photos(squeezenet, pictures=pictures)
    return pixels, classes


@pytest.mark.parametrize("network", list(trust.STAGES))
def test_every_method_gives_one_finite_map_for_each_image(network, confident):
    net = models.load(network)
    x, classes = net.normalize(confident[0][:2, :, :96, 16:112]), confident[1][:2]
    for name, method in METHODS.items():
        maps = method.explain(net, x, classes)
        assert maps.shape == (2, 96, 96), name
        assert torch.isfinite(maps).all(), name
        assert (name in BASELINES) is (method.passes == 0)


def test_a_method_is_told_the_class(squeezenet, confident):
    x, classes = squeezenet.normalize(confident[0][:1, :, ::2, ::2]), confident[1]
    for name, method in METHODS.items():
        one, other = (method.explain(squeezenet, x, c) for c in (classes[:1], classes[:1] + 1))
        assert torch.equal(one, other) is (name in BASELINES), name


def test_occlusion_answers_many_classes_of_one_image_at_once(squeezenet, confident):
    x = squeezenet.normalize(confident[0][:1, :, ::2, ::2])
    explain, classes = METHODS["occlusion"].explain, torch.tensor([3, 388])
    both = explain(squeezenet, x.expand(2, -1, -1, -1), classes)
    for one, c in zip(both, classes, strict=True):
        assert torch.allclose(one, explain(squeezenet, x, c[None])[0], atol=1e-4)


def test_grad_cam_needs_to_know_the_last_maps(vgg, panda):
    with pytest.raises(ValueError, match="squeezenet1_1"):
        METHODS["Grad-CAM"].explain(vgg, panda, torch.tensor([0]))


def test_collages_hold_four_classes_that_are_recognised(squeezenet, confident):
    pixels, classes = trust.grids(*confident, 3)
    assert pixels.shape == (3, 3, 448, 448)
    assert all(len(set(four.tolist())) == 4 for four in classes)
    cells = pixels[0].unflatten(2, (2, 224)).unflatten(1, (2, 224)).permute(1, 3, 0, 2, 4)
    with torch.no_grad():
        found = squeezenet(squeezenet.normalize(cells.reshape(4, 3, 224, 224))).softmax(1)
    assert (found.gather(1, classes[0][:, None]) > 0.79).all()
    again, _ = trust.grids(*confident, 3)
    assert torch.equal(pixels, again)
    with pytest.raises(ValueError, match="four different"):
        trust.grids(confident[0][:3], confident[1][:3])


def test_too_few_confident_photos_are_refused(squeezenet):
    some = images.photos("animal")[:8]
    with pytest.raises(ValueError, match="above"):
        trust.confident_photos(squeezenet, above=0.99999999, pictures=some)


def test_an_oracle_wins_and_its_opposite_loses(squeezenet):
    found = composites.recognised_composites(squeezenet, 3)
    good = trust.scene_scores(
        squeezenet, oracle(found.masks), found.pixels, found.masks, found.classes
    )
    bad = trust.scene_scores(
        squeezenet, oracle(~found.masks), found.pixels, found.masks, found.classes
    )
    assert good["energy"].tolist() == [1, 1, 1]
    assert bad["energy"].tolist() == [0, 0, 0]
    assert (good["hit"] > bad["hit"]).all()
    assert good["deletion"].mean() < bad["deletion"].mean()
    assert good["insertion"].mean() > bad["insertion"].mean()


def test_a_map_that_never_asks_the_network_notices_nothing(squeezenet, panda):
    classes = torch.tensor([388])
    for values in trust.cascade(squeezenet, METHODS["edges"], panda, classes).values():
        assert torch.allclose(values, torch.ones_like(values))
    found = trust.cascade(squeezenet, METHODS["gradient x input"], panda, classes)
    assert found["ranks"][-1].abs() < 0.2
    assert found["sizes"][-1] > found["ranks"][-1]


def test_a_cascade_needs_its_stages():
    labels = [f"class {i}" for i in range(5)]
    net = models.Network(tiny.network(), "tiny", labels=labels, resize=16, crop=16)
    args = METHODS["saliency"], tiny.batch(), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="squeezenet1_1"):
        trust.cascade(net, *args)
    found = trust.cascade(net, *args, stages=[["classifier"], ["conv2", "conv1"]])
    explain = METHODS["saliency"].explain
    random = trust.randomised(net, ["classifier", "conv2", "conv1"])
    maps = [explain(n, *args[1:]) for n in (net, random)]
    assert torch.allclose(found["ranks"][1], trust.rank_correlation(*maps))


def test_a_small_table_holds_the_means_of_its_scores():
    labels = [f"class {i}" for i in range(5)]
    net = models.Network(tiny.network(), "tiny", labels=labels, resize=16, crop=16)
    pixels, classes = torch.rand(2, 3, 16, 16), torch.tensor([0, 3])
    scenes = composites.Composites(pixels, pixels[:, 0] > 0.5, classes, classes, [("", "")] * 2)
    grid = pixels[:1], torch.tensor([[0, 1, 2, 3]])
    methods = {"saliency": METHODS["saliency"], "centre": METHODS["centre"]}
    stages = [["classifier"], ["conv2"]]
    table = trust.measure(net, scenes, grid, (pixels, classes), methods, stages)
    assert list(table) == list(methods)
    row = table["saliency"]
    scored = trust.scene_scores(net, methods["saliency"], pixels, scenes.masks, classes)
    assert row["energy"][0] == pytest.approx(scored["energy"].mean().item(), abs=6e-4)
    assert row["energy"][1] <= row["energy"][0] <= row["energy"][2]
    assert len(row["ranks"]) == len(row["sizes"]) == len(row["similarity"]) == 2
    assert row["kept"][0] == row["ranks"][-1]
    assert table["centre"]["kept"] == [1, 1, 1]
    assert table["centre"]["grid"][0] == pytest.approx(0.25, abs=1e-3)


def test_five_random_networks_are_five_numbers_and_every_method_is_kept():
    labels = [f"class {i}" for i in range(5)]
    net = models.Network(tiny.network(), "tiny", labels=labels, resize=16, crop=16)
    pixels, classes = torch.rand(3, 3, 16, 16), torch.tensor([0, 3, 1])
    names = [("a", ""), ("b", ""), ("a", "")]
    scenes = composites.Composites(pixels, pixels[:, 0] > 0.5, classes, classes, names)
    grid = pixels[:1], torch.tensor([[0, 1, 2, 3]])
    methods, seen = {n: METHODS[n] for n in ("saliency", "centre")}, []
    table = trust.measure(
        net,
        scenes,
        grid,
        (pixels, classes),
        methods,
        [["classifier"], ["conv2"]],
        networks=3,
        keep=lambda rows: seen.append(list(rows)),
    )
    assert seen == [["saliency"], ["saliency", "centre"]]
    row = table["saliency"]
    random = [trust.randomised(net, ["classifier", "conv2"], seed) for seed in range(3)]
    explain, x = METHODS["saliency"].explain, net.normalize(pixels)
    trained = explain(net, x, classes)
    for one, stored in zip(random, row["seeds"], strict=True):
        left = trust.rank_correlation(trained, explain(one, x, classes)).mean().item()
        assert stored == pytest.approx(left, abs=6e-4)
    assert len(row["each"]["road"]) == 2  # one scene of each object
    assert row["infidelity"][0] <= 1
    gain, low, high = trust.paired(table, "saliency", "centre", "energy", ["a", "b", "a"])
    expected = row["energy"][0] - table["centre"]["energy"][0]
    assert gain == pytest.approx(expected, abs=2e-3)
    assert low <= gain <= high


def test_a_table_that_was_stopped_goes_on_with_the_first_row_that_is_missing(tmp_path):
    labels = [f"class {i}" for i in range(5)]
    net = models.Network(tiny.network(), "tiny", labels=labels, resize=16, crop=16)
    pixels, classes = torch.rand(2, 3, 16, 16), torch.tensor([0, 3])
    scenes = composites.Composites(pixels, pixels[:, 0] > 0.5, classes, classes, [("", "")] * 2)
    things = net, scenes, (pixels[:1], torch.tensor([[0, 1, 2, 3]])), (pixels, classes)
    methods, stages = {n: METHODS[n] for n in ("saliency", "centre", "edges")}, [["classifier"]]
    path, asked = tmp_path / "trust.json", []

    def stops(model, x, classes):
        raise KeyboardInterrupt

    def keep(rows):
        trust.store("tiny", rows, {"scenes": 2}, path)

    def counting(name):
        def explain(model, x, classes):
            asked.append(name)
            return METHODS[name].explain(model, x, classes)

        return Method(explain, METHODS[name].passes)

    with pytest.raises(KeyboardInterrupt):
        trust.measure(*things, methods | {"centre": Method(stops, 0)}, stages, keep=keep)
    known = trust.unfinished("tiny", {"scenes": 2}, path)
    assert list(known) == ["saliency"]
    table = trust.measure(*things, {n: counting(n) for n in methods}, stages, known=known)
    assert list(table) == list(methods)
    assert set(asked) == {"centre", "edges"}
    assert table == trust.measure(*things, methods, stages)
    # Of other settings, of another network, and of a table that is whole, nothing is taken over.
    assert trust.unfinished("tiny", {"scenes": 3}, path) == {}
    assert trust.unfinished("other", {"scenes": 2}, path) == {}
    trust.store("tiny", dict.fromkeys(METHODS, table["edges"]), {"scenes": 2}, path)
    assert trust.unfinished("tiny", {"scenes": 2}, path) == {}


def test_scenes_of_one_object_are_no_independent_witnesses():
    values = torch.tensor([0.0, 1.0, 0.2, 0.7]).repeat_interleave(10)
    objects = torch.arange(4).repeat_interleave(10).tolist()
    alone, grouped = trust.mean_interval(values), trust.mean_interval(values, groups=objects)
    assert grouped[0] == alone[0] == pytest.approx(0.475)
    assert grouped[2] - grouped[1] > 2 * (alone[2] - alone[1])
    # Four objects alone have the same interval: their copies add nothing.
    four = trust.mean_interval(values[::10])
    assert grouped[1:] == pytest.approx(four[1:], abs=0.03)


def test_more_comparisons_need_wider_intervals():
    values = torch.randn(40, generator=torch.Generator().manual_seed(0))
    one, many = (trust.mean_interval(values, level=level) for level in (0.95, 0.999))
    assert many[1] < one[1] < one[2] < many[2]
    error = values.std() / 40**0.5
    assert one[2] - one[0] == pytest.approx(1.96 * error.item(), rel=0.15)


def of_differences(differences):
    """A table of two methods with these differences, "a" minus "b"."""
    zeros = [0.0] * len(differences)
    return {"a": {"each": {"s": list(differences)}}, "b": {"each": {"s": zeros}}}


def by_object(network, a, b, score):
    """The stored differences of two methods, the mean of each object: about 30 numbers."""
    how = trust.stored_settings(network)
    ours, theirs = (np.array(trust.stored(network)[name]["each"][score]) for name in (a, b))
    _, of = np.unique(how["objects"], return_inverse=True)
    return np.bincount(of, ours - theirs) / np.bincount(of)


def shares(samples):
    """What the test says of each of these samples of differences."""
    given = ((of_differences(s), "a", "b", "s", range(len(s))) for s in samples)
    return np.array([trust.swap_test(*one) for one in given])


def test_every_way_to_swap_two_names_is_counted():
    differences = torch.randn(12, generator=torch.Generator().manual_seed(1)).add(0.5).double()
    groups = ["a", "b", "a", "c", "d", "e", "e", "e", "f", "g", "h", "h"]
    named = list(zip(differences.tolist(), groups, strict=True))
    totals = np.array([sum(d for d, g in named if g == name) for name in "abcdefgh"])
    sums = [np.dot(totals, signs) for signs in itertools.product((1, -1), repeat=8)]
    share = sum(abs(one) >= abs(sums[0]) - 1e-9 for one in sums) / len(sums)
    found = trust.swap_test(of_differences(differences.tolist()), "a", "b", "s", groups)
    assert found == pytest.approx(share)
    turned = trust.swap_test(of_differences((-differences).tolist()), "a", "b", "s", groups)
    assert turned == pytest.approx(share)


def test_the_share_of_swaps_is_scipys():
    differences = np.random.default_rng(3).normal(0.4, 1, 9)
    theirs = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    found = trust.swap_test(of_differences(differences), "a", "b", "s", range(9))
    assert found == pytest.approx(theirs.pvalue)


def test_two_equal_methods_differ_by_chance_and_one_that_always_wins_does_not():
    assert trust.swap_test(of_differences([0.0] * 30), "a", "b", "s", range(30)) == 1
    always = trust.swap_test(of_differences([0.1] * 31), "a", "b", "s", range(31))
    assert always == pytest.approx(2 / 2**31)
    with pytest.raises(ValueError, match="41 different ones; accepted: 40"):
        trust.swap_test(of_differences([0.1] * 41), "a", "b", "s", range(41))


LEVEL = 0.05 / 88  # of a dot in the lecture's panels


@pytest.mark.parametrize("score", ["energy", "insertion", "deletion"])
def test_names_that_are_swapped_at_random_raise_no_more_alarms_than_promised(score):
    """Real differences, centred, of which each speaks for either method with the same chance."""
    draw = np.random.default_rng(0)
    centred = by_object("squeezenet1_1", "guided backprop", "centre", score)
    centred = centred - centred.mean()
    found = shares(centred * draw.choice([-1, 1], len(centred)) for _ in range(500))
    assert sum(found < LEVEL) <= 3  # 0.3 are expected
    assert 10 < sum(found < 0.05) < 45


@pytest.mark.parametrize("score", ["energy", "insertion"])
def test_centred_differences_without_a_long_tail_raise_few_alarms(score):
    draw = np.random.default_rng(0)
    centred = by_object("squeezenet1_1", "saliency", "centre", score)
    samples = draw.choice(centred - centred.mean(), (500, len(centred)))
    assert sum(shares(samples) < LEVEL) <= 3  # 0.3 are promised


def test_a_long_tail_deceives_the_test_on_the_side_without_it_as_it_does_the_bootstrap():
    """The limit its docstring tells of: a mean of zero that hangs on objects not drawn."""
    draw = np.random.default_rng(0)
    centred = by_object("squeezenet1_1", "centre", "guided backprop", "deletion")
    assert scipy.stats.skew(centred) > 2  # guided backprop wins by far on a few objects
    samples = draw.choice(centred - centred.mean(), (300, len(centred)))
    upper, lower = (samples[side] for side in (samples.mean(1) > 0, samples.mean(1) < 0))
    assert sum(shares(lower) < LEVEL) > 10
    assert sum(shares(upper) < LEVEL) == 0  # so a dot to the right is none of these


def test_the_interval_holds_the_mean():
    mean, low, high = trust.mean_interval(torch.linspace(0, 1, 30))
    assert low < mean < high
    assert mean == pytest.approx(0.5)
    assert 0.1 < high - low < 0.4
    assert trust.mean_interval(torch.ones(4)) == (1, 1, 1)


def test_a_table_is_stored_beside_the_others(tmp_path, monkeypatch):
    path = tmp_path / "trust.json"
    table = {"edges": {"passes": 0, "energy": [0.2, 0.1, 0.3]}}
    trust.store("one", table, {"scenes": 1}, path)
    trust.store("two", {}, {"scenes": 2}, path)
    monkeypatch.setattr(trust.table.paths, "data", lambda name: tmp_path / name)
    assert trust.stored("one") == table
    assert trust.stored_settings("two") == {"scenes": 2}
    assert "[ 0.2, 0.1, 0.3 ]" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["trust.json"]
    with pytest.raises(ValueError, match="one, two"):
        trust.stored("lenet")


@pytest.mark.parametrize("network", list(trust.STAGES))
def test_the_stored_table_has_every_method_and_score(network):
    table = trust.stored(network)
    assert list(table) == list(METHODS)
    for name, row in table.items():
        assert row["passes"] == METHODS[name].passes
        for score in ("energy", "hit", "grid", "deletion", "insertion", "kept"):
            mean, low, high = row[score]
            assert low <= mean <= high
        for change in ("ranks", "sizes", "similarity"):
            assert len(row[change]) == len(trust.STAGES[network])
    how = trust.stored_settings(network)
    assert how["scenes"] == len(how["objects"]) >= 60
    assert len(how["asked"]) == 4 * how["collages"]
    for row in table.values():
        assert len(row["each"]["energy"]) == how["scenes"]
        assert len(row["each"]["grid"]) == len(how["asked"])
        assert len(row["seeds"]) == how["random networks"] == 5


def test_what_never_asks_the_network_is_known_beforehand():
    for name in BASELINES:
        row = trust.stored()[name]
        assert set(row["ranks"]) == {1}
        assert row["grid"][0] == pytest.approx(0.25, abs=0.03)


def test_a_stored_row_can_be_measured_again(squeezenet, confident):
    """The stored numbers belong to the code of today: one cheap score, made anew."""
    pixels, classes, _ = trust.confident_photos(squeezenet)
    x = squeezenet.normalize(pixels[: trust.stored_settings()["photos"]])
    found = trust.cascade(
        squeezenet, METHODS["Grad-CAM"], x, classes[: len(x)], stages=[("conv10",)]
    )
    stored = trust.stored()["Grad-CAM"]["ranks"][0]
    assert found["ranks"].mean().item() == pytest.approx(stored, abs=0.01)


def test_a_table_as_rows_of_text(monkeypatch):
    interval = [0.456, 0.404, -0.001]
    row = {"passes": 2, **dict.fromkeys(("energy", "hit", "grid", "deletion"), interval)}
    row |= {"insertion": interval, "kept": interval}
    (cells,) = trust.as_rows({"saliency": row})
    assert cells[:3] == ["saliency", 2, "0.46 (0.40 to 0.00)"]
    assert len(cells) == len(trust.HEADER)
    monkeypatch.setenv("COURSE_FIGURES", "slides")
    assert trust.as_rows({"saliency": row})[0][:3] == ["saliency", 2, "0.46"]


def test_the_stages_cover_the_networks():
    for name, groups in trust.STAGES.items():
        net = models.load(name)
        assert all(stage for group in groups for stage in group)
        assert sum(len(g) for g in groups) >= 8, net.name
