"""The scores of attribution maps against naive loops, and on maps whose score is known."""

import re

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from course_utils import saliency, trust, widgets


def maps(n=3, height=8, width=10, seed=0):
    return torch.randn(n, height, width, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ forgetting


def test_only_the_named_layers_forget():
    net = tiny.network()
    other = trust.randomised(net, ["conv2"])
    for (name, before), after in zip(net.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(before, after) is ("conv2" not in name), name


def test_what_is_drawn_has_the_old_mean_and_spread():
    net = nn.Sequential(nn.Conv2d(3, 400, 5))
    with torch.no_grad():
        net[0].weight.mul_(7).add_(2)
    drawn = trust.randomised(net, ["0"])[0].weight
    assert drawn.mean().item() == pytest.approx(2, abs=0.02)
    assert drawn.std().item() == pytest.approx(net[0].weight.std().item(), rel=0.02)
    correlation = np.corrcoef(drawn.detach().flatten(), net[0].weight.detach().flatten())[0, 1]
    assert abs(correlation) < 0.02


def test_a_layer_forgets_the_same_whatever_others_do():
    net = tiny.network()
    alone, both = trust.randomised(net, ["conv2"]), trust.randomised(net, ["classifier", "conv2"])
    assert torch.equal(alone.get_parameter("conv2.weight"), both.get_parameter("conv2.weight"))
    again = trust.randomised(net, ["conv2"], seed=1)
    assert not torch.equal(alone.get_parameter("conv2.weight"), again.get_parameter("conv2.weight"))


@pytest.mark.parametrize(("stages", "said"), [(["conv3"], "conv2"), (["relu1"], "no weights")])
def test_layers_that_cannot_forget_are_refused(stages, said):
    with pytest.raises(ValueError, match=said):
        trust.randomised(tiny.network(), stages)


# ------------------------------------------------------------------ comparing maps


@given(seed=st.integers(0, 10**6), levels=st.integers(2, 60))
def test_rank_correlation_is_scipys_with_ties_too(seed, levels):
    a, b = (maps(1, 6, 7, seed + i).mul(levels / 6).round() for i in (0, 1))
    expected = stats.spearmanr(a.flatten(), b.flatten()).statistic
    expected = 0.0 if np.isnan(expected) else expected
    assert trust.rank_correlation(a, b).item() == pytest.approx(expected, abs=1e-6)


def test_rank_correlation_knows_order_only():
    a = maps()
    assert torch.allclose(trust.rank_correlation(a, a.exp()), torch.ones(3))
    assert torch.allclose(trust.rank_correlation(a, -a), -torch.ones(3))
    assert trust.rank_correlation(a, torch.zeros_like(a)).tolist() == [0, 0, 0]


def test_similarity_is_one_for_equal_pictures_on_any_scale():
    a = maps(2, 16, 16)
    assert torch.allclose(trust.similarity(a, 5 * a - 3), torch.ones(2))
    assert (trust.similarity(a, maps(2, 16, 16, seed=9)) < 0.3).all()


@pytest.mark.parametrize("compare", [trust.rank_correlation, trust.similarity])
def test_maps_that_cannot_be_compared(compare):
    with pytest.raises(ValueError, match=r"\(N,H,W\) both"):
        compare(maps(2), maps(3))
    with pytest.raises(ValueError, match="not finite"):
        compare(maps(), maps() / 0)


# ------------------------------------------------------------------ pointing


def test_pointing_score_of_a_loop():
    a, cells = maps(4), torch.tensor([3, 0, 2, 1])
    for one, c, score in zip(a, cells, trust.pointing_score(a, cells), strict=True):
        inside = whole = 0.0
        for i in range(8):
            for j in range(10):
                value = max(one[i, j].item(), 0)
                whole += value
                inside += value * (2 * (i >= 4) + (j >= 5) == c)
        assert score.item() == pytest.approx(float(inside / whole), rel=1e-5)


def test_pointing_scores_of_the_four_cells_add_up():
    a = maps(1)
    four = trust.pointing_score(a.expand(4, -1, -1), torch.arange(4))
    assert four.sum().item() == pytest.approx(1)
    assert trust.pointing_score(-a.abs(), torch.tensor([2])).item() == 0


@pytest.mark.parametrize(
    ("shape", "cells", "said"),
    [((2, 7, 8), [0, 1], "even"), ((2, 8, 8), [0], "each of 2"), ((1, 8, 8), [4], "0 to 3")],
)
def test_pointing_score_refuses(shape, cells, said):
    with pytest.raises(ValueError, match=said):
        trust.pointing_score(torch.zeros(shape), torch.tensor(cells))


def test_energy_is_the_positive_share():
    a = torch.tensor([[[1.0, -5.0], [3.0, 0.0]]])
    mask = torch.tensor([[[True, True], [False, False]]])
    assert trust.energy_inside(a, mask).item() == pytest.approx(0.25)
    assert trust.energy_inside(-a.abs(), mask).item() == 0
    with pytest.raises(ValueError, match="bool"):
        trust.energy_inside(a, mask.float())


def test_a_hit_is_the_largest_value_on_the_object():
    a = maps(1)
    mask = a == a.amax()
    assert trust.pointing_hit(a, mask).tolist() == [True]
    assert trust.pointing_hit(a, ~mask).tolist() == [False]
    assert trust.pointing_hit(torch.ones_like(a), torch.ones_like(mask)).tolist() == [False]


# ------------------------------------------------------------------ deletion and insertion


def test_places_count_the_pixels_that_come_before():
    a = maps(2, 4, 5).mul(2).round()  # with ties
    for one, place in zip(a.flatten(1).tolist(), trust.places(a).flatten(1).tolist(), strict=True):
        for p, value in enumerate(one):
            before = [q for q, v in enumerate(one) if v > value or (v == value and q < p)]
            assert place[p] == len(before)


def test_deletion_of_a_loop():
    net, x = tiny.network(), tiny.batch()
    a, classes = maps(2, 16, 16), [1, 3]
    curve = trust.deletion_curve(net, x, a, classes, steps=5)
    for image, one, c, ours in zip(x, a, classes, curve, strict=True):
        order = sorted(range(256), key=lambda p: -one.flatten()[p].item())
        for k in range(6):
            left = image.clone()
            for p in order[: k * 256 // 5]:
                left[:, p // 16, p % 16] = 0
            with torch.no_grad():
                expected = net(left[None]).softmax(1)[0, c]
            assert ours[k].item() == pytest.approx(expected.item(), abs=1e-6)


def test_ties_go_in_reading_order():
    net, x = tiny.network(), tiny.batch()
    flat = trust.deletion_curve(net, x, torch.zeros(2, 16, 16), [0, 1], steps=4)
    falling = -torch.arange(256.0).view(1, 16, 16).expand(2, -1, -1)
    assert torch.equal(flat, trust.deletion_curve(net, x, falling, [0, 1], steps=4))


def test_insertion_ends_where_deletion_begins():
    net, x, a = tiny.network(), tiny.batch(), maps(2, 16, 16)
    inserted = trust.insertion_curve(net, x, a, [1, 3], steps=4)
    deleted = trust.deletion_curve(net, x, a, [1, 3], steps=4)
    assert torch.allclose(inserted[:, -1], deleted[:, 0])


def test_blur_keeps_the_mean_colour_and_a_flat_image():
    flat = torch.full((1, 3, 20, 30), 0.3)
    assert torch.allclose(trust.blurred(flat, 4.0), flat)
    x = tiny.batch()
    assert trust.blurred(x, 3.0).std() < 0.5 * x.std()


def test_the_area_of_a_straight_line():
    assert trust.area(torch.linspace(1, 0, 11)[None]).item() == pytest.approx(0.5)


def test_deletion_refuses_what_does_not_fit():
    net, x = tiny.network(), tiny.batch()
    with pytest.raises(ValueError, match="maps"):
        trust.deletion_curve(net, x, maps(2, 8, 8), [0, 1])
    with pytest.raises(ValueError, match="maps"):
        trust.deletion_curve(net, x, maps(2, 16, 16) / 0, [0, 1])
    for steps in (0, (0.5,), (0, 0.5, 0.4), (0, 1.5)):
        with pytest.raises(ValueError, match="steps"):
            trust.deletion_curve(net, x, maps(2, 16, 16), [0, 1], steps)


def test_shares_are_points_of_the_same_curve():
    net, x, a = tiny.network(), tiny.batch(), maps(2, 16, 16)
    equal = trust.deletion_curve(net, x, a, [1, 3], steps=4)
    shares = trust.deletion_curve(net, x, a, [1, 3], steps=(0, 0.25, 0.5, 0.75, 1))
    assert torch.allclose(equal, shares)
    early = trust.deletion_curve(net, x, a, [1, 3], steps=trust.EARLY)
    assert torch.allclose(early[:, [0, -1]], equal[:, [0, -1]])
    assert torch.allclose(trust.area(equal), trust.area(shares, (0, 0.25, 0.5, 0.75, 1)))


def test_removing_what_matters_hurts_more_than_removing_the_rest(squeezenet, panda):
    importance = saliency.saliency_map(squeezenet, panda, "giant panda")
    first, last = (
        trust.area(trust.deletion_curve(squeezenet, panda, sign * importance, "giant panda", 8))
        for sign in (1, -1)
    )
    assert first < 0.5 * last


# ------------------------------------------------------------------ the explorers


def test_the_explorer_compares_with_the_trained_network(squeezenet):
    explorer = widgets.randomisation_explorer(squeezenet, ["panda"])
    assert "giant panda" in explorer.text
    assert "6 of 6 groups" in explorer.text
    assert 0.2 < rank(explorer) < 0.8
    explorer.controls["groups"].value = 0
    assert rank(explorer) == 1
    explorer.controls["method"].value = "Grad-CAM"
    explorer.controls["groups"].value = 6
    assert abs(rank(explorer)) < 0.4


def rank(explorer):
    """The number in the explorer's sentence."""
    return float(re.search(r"rank correlation (-?[\d.]+\d)", explorer.text)[1])


def test_the_explorer_takes_pixels_away_and_gives_them_back(squeezenet, monkeypatch):
    explorer = widgets.deletion_explorer(squeezenet, ["panda"])
    without, only = probabilities(explorer, 0)
    assert without > 0.9
    assert only < 0.2
    without, only = probabilities(explorer, 100)
    assert without < 0.2
    assert only > 0.9
    monkeypatch.setattr(trust.table, "METHODS", {})  # the map is remembered
    explorer.controls["percent"].value = 30
    assert explorer.error is None


def probabilities(explorer, percent):
    """Both numbers in the explorer's sentence."""
    explorer.controls["percent"].value = percent
    return [float(n) for n in re.findall(r"(?:probability|and) ([\d.]+\d)", explorer.text)]
