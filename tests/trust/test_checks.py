"""Stability, infidelity, sparseness, completeness and repair, against naive ways to the same."""

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from course_utils import saliency, trust
from course_utils.common import composites


def maps(n=3, height=8, width=10, seed=0):
    return torch.randn(n, height, width, generator=torch.Generator().manual_seed(seed))


def linear(size=16, classes=5):
    """A network that is one linear layer: what its maps must say is known."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, classes)).requires_grad_(False)


# ------------------------------------------------------------------ stability


def test_a_map_that_never_asks_is_perfectly_stable_and_a_proportional_one_moves_as_its_image():
    x = tiny.batch()
    assert trust.max_sensitivity(lambda some: torch.ones(2, 16, 16), x).tolist() == [0, 0]
    found = trust.max_sensitivity(lambda some: some.mean(1), x, samples=3, level=0.1, seed=4)
    random, moves = torch.Generator().manual_seed(4), []
    reach = 0.1 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))
    for _ in range(3):
        noise = (2 * torch.rand(x.shape, generator=random) - 1) * reach[:, None, None, None]
        ratio = noise.mean(1).flatten(1).norm(dim=1) / x.mean(1).flatten(1).norm(dim=1)
        moves.append(ratio)
    assert torch.allclose(found, torch.stack(moves).amax(0), rtol=1e-4)


def test_a_gradient_that_is_the_same_everywhere_is_stable():
    net, x = linear(), tiny.batch()
    found = trust.max_sensitivity(lambda some: saliency.saliency_map(net, some, [1, 3]), x)
    assert (found < 1e-5).all()


# ------------------------------------------------------------------ infidelity


def test_squares_lie_inside_and_are_whole():
    found = trust.squares(20, 30, n=50, side=7)
    assert found.shape == (50, 20, 30)
    assert set(found.sum((1, 2)).tolist()) == {49}
    assert found.any(0).float().mean() > 0.8
    assert torch.equal(found, trust.squares(20, 30, n=50, side=7))


def test_a_drop_is_the_score_before_minus_the_score_after():
    net, x, masks = tiny.network(), tiny.batch(), trust.squares(16, 16, n=3, side=5)
    drops = trust.score_drops(net, x, [1, 3], masks)
    for i, c in enumerate((1, 3)):
        for k, mask in enumerate(masks):
            without = x[i : i + 1].clone()
            without[:, :, mask] = 0
            expected = net(x[i : i + 1])[0, c] - net(without)[0, c]
            assert drops[i, k].item() == pytest.approx(expected.item(), abs=1e-5)


def test_infidelity_is_the_residual_of_least_squares():
    found, masks = maps(), trust.squares(8, 10, n=20, side=3)
    drops = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    for one, drop, value in zip(found, drops, trust.infidelity(found, masks, drops), strict=True):
        promised = np.array([[one[mask].sum().item()] for mask in masks])
        _, residual, *_ = np.linalg.lstsq(promised, drop.numpy(), rcond=None)
        assert value.item() == pytest.approx(residual[0] / (drop**2).sum().item(), rel=1e-3)


def test_contributions_of_a_linear_network_foretell_every_drop():
    net, x, masks = linear(), tiny.batch(), trust.squares(16, 16, side=5)
    drops = trust.score_drops(net, x, [1, 3], masks)
    contributions = saliency.gradient_times_input(net, x, [1, 3])
    assert (trust.infidelity(contributions, masks, drops) < 1e-6).all()
    assert (trust.infidelity(7 * contributions, masks, drops) < 1e-6).all()
    assert (trust.infidelity(0 * contributions, masks, drops) == 1).all()
    assert (trust.infidelity(maps(2, 16, 16), masks, drops) > 0.3).all()


# ------------------------------------------------------------------ sparseness, completeness


def test_sparseness_is_half_the_mean_difference_of_all_pairs():
    found = maps(3, 6, 7)
    for one, value in zip(found, trust.sparseness(found), strict=True):
        a = one.abs().flatten()
        pairs = (a[:, None] - a).abs().mean() / (2 * a.mean())
        assert value.item() == pytest.approx(pairs.item(), rel=1e-4)


def test_the_ends_of_sparseness():
    one_pixel = torch.zeros(1, 20, 20)
    one_pixel[0, 3, 4] = -2
    every = torch.cat([torch.ones(1, 20, 20), one_pixel, torch.zeros(1, 20, 20)])
    assert trust.sparseness(every).tolist() == pytest.approx([0, 1, 0], abs=3e-3)


def test_the_contributions_of_a_linear_network_are_complete():
    net, x = linear(), tiny.batch()
    found = saliency.gradient_times_input(net, x, [1, 3])
    assert torch.allclose(trust.completeness(net, x, found, [1, 3]), torch.ones(2), rtol=1e-3)
    assert torch.allclose(trust.completeness(net, x, found / 2, [1, 3]), torch.full((2,), 0.5))


# ------------------------------------------------------------------ taken away, and guessed


def test_a_guess_is_the_weighted_mean_of_its_eight_neighbours():
    x = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    gone = torch.rand(1, 9, 8, generator=torch.Generator().manual_seed(1)) < 0.6
    filled = trust.imputed(x, gone, noise=0)
    assert torch.equal(filled[0][:, ~gone[0]], x[0][:, ~gone[0]])
    for row, column in gone[0].nonzero().tolist():
        total, weight = torch.zeros(3), 0.0
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                inside = 0 <= row + down < 9 and 0 <= column + right < 8
                if inside and (down or right):
                    share = 1 / 12 if down and right else 1 / 6
                    total += share * filled[0, :, row + down, column + right]
                    weight += share
        assert torch.allclose(filled[0, :, row, column], total / weight, atol=1e-3)


def test_a_slope_is_guessed_exactly_and_the_noise_has_its_size():
    x = torch.linspace(0, 1, 40).expand(1, 3, 40, 40).contiguous()
    gone = torch.zeros(1, 40, 40, dtype=torch.bool)
    gone[0, 10:30, 10:30] = True
    assert torch.allclose(trust.imputed(x, gone, noise=0), x, atol=2e-3)
    added = (trust.imputed(x, gone, noise=0.2) - x)[0][:, gone[0]]
    assert added.std().item() == pytest.approx(0.2, rel=0.1)


def test_a_map_of_the_object_beats_a_map_of_the_background(squeezenet):
    found = composites.recognised_composites(squeezenet, 3)
    x, on = squeezenet.normalize(found.pixels), found.masks.float()
    right, wrong = (trust.road(squeezenet, x, m, found.classes).mean() for m in (on, 1 - on))
    assert right > 0.1 > -0.1 > wrong
