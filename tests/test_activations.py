"""Feature maps: sparsity, strength, tiles and the linear readout, against naive loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import nn

from course_utils import activations, images, layers, widgets


def maps(*shape, seed=0, relu=True):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return drawn.clamp(min=0) if relu else drawn


@given(seed=st.integers(0, 999), n=st.integers(1, 3), k=st.integers(1, 5), h=st.integers(1, 6))
def test_sparsity_of_a_loop(seed, n, k, h):
    a = maps(n, k, h, 3, seed=seed)
    found = activations.sparsity(a)
    assert found.shape == (n, k)
    for i in range(n):
        for c in range(k):
            zeros = sum(v == 0 for row in a[i, c].tolist() for v in row)
            assert found[i, c].item() == pytest.approx(zeros / (3 * h))


def test_negative_and_tiny_values_are_no_zeros():
    a = torch.tensor([-1.0, 1e-30, 0.0, 2.0]).view(1, 1, 2, 2)
    assert activations.sparsity(a).item() == 0.25


@given(seed=st.integers(0, 999), k=st.integers(1, 6))
def test_strongest_channels_of_a_loop(seed, k):
    a = maps(2, 6, 3, 3, seed=seed, relu=False).round()  # rounded: ties
    for image, found in zip(a, activations.strongest_channels(a, k), strict=True):
        largest = [image[c].max().item() for c in range(6)]
        expected = sorted(range(6), key=lambda c: (-largest[c], c))[:k]
        assert found.tolist() == expected


@pytest.mark.parametrize("k", [0, 7])
def test_more_channels_than_there_are(k):
    with pytest.raises(ValueError, match=f"k={k}.*6 channels"):
        activations.strongest_channels(maps(1, 6, 3, 3), k)


@pytest.mark.parametrize("function", [activations.sparsity, activations.strongest_channels])
def test_maps_that_are_none(function):
    with pytest.raises(ValueError, match=r"\(N,K,h,w\)"):
        function(torch.zeros(6, 3, 3))
    with pytest.raises(ValueError, match=r"\(N,K,h,w\)"):
        function(torch.zeros(0, 6, 3, 3))
    with pytest.raises(ValueError, match="not finite"):
        function(torch.full((1, 6, 3, 3), torch.nan))


def test_tiles_on_their_own_and_on_a_shared_scale():
    a = torch.stack([maps(4, 4), 10 * maps(4, 4, seed=1), torch.zeros(4, 4)])
    own, shared = activations.tiles(a), activations.tiles(a[None], shared=True)
    assert own.amax((1, 2)).tolist() == [1, 1, 0]
    assert own.amin() == 0
    assert shared.max() == 1
    assert torch.allclose(activations.tiles(a, True, 100), a / a.max())
    assert (shared >= a / a.max()).all()
    negative = activations.tiles(maps(2, 5, 5, relu=False))
    assert (negative.amin((1, 2)) == 0).all()
    with pytest.raises(ValueError, match="one image"):
        activations.tiles(maps(2, 3, 4, 4))


def test_the_readout_is_ridge_regression():
    a, t = maps(4, 5, 6, 6), maps(4, 6, 6, seed=3)
    weights = activations.linear_readout(a, t, ridge=0.01)
    flat = a.movedim(1, -1).reshape(-1, 5).numpy()
    scaled = (flat - flat.mean(0)) / flat.std(0)
    fitted = Ridge(alpha=0.01 * len(flat)).fit(scaled, t.flatten().numpy())
    expected = fitted.predict(scaled).reshape(4, 6, 6)
    np.testing.assert_allclose(activations.read(a, weights).numpy(), expected, atol=1e-4)


def test_what_is_linear_is_read_exactly():
    a = maps(4, 5, 6, 6)
    t = 2 * a[:, 1] - a[:, 3] + 0.5
    drawn = activations.read(a, activations.linear_readout(a, t, ridge=1e-8))
    assert activations.explained(drawn, t) > 0.999
    assert activations.explained(t.mean().expand_as(t), t) == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="targets"):
        activations.linear_readout(a, t[:, :3])


def test_brightness_is_the_mean_of_the_cells():
    pixels = maps(2, 3, 8, 8).clamp(max=1)
    cells = activations.brightness(pixels, 2, 4)
    assert cells[1, 1, 3].item() == pytest.approx(pixels[1, :, 4:, 6:].mean().item(), abs=1e-6)


def test_strongest_place_is_the_middle_of_its_cell():
    a = torch.zeros(2, 4, 4)
    a[0, 1, 3] = 1
    places = activations.strongest_place(a, 224, 112)
    assert places[0].tolist() == [1.5 * 56, 3.5 * 28]
    assert places[1].isnan().all()


def test_by_depth_on_a_network_of_known_zeros():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.copy_(torch.tensor([1.0, -1.0, 1.0, 1.0]))
    found = activations.sparsity_by_depth(net, maps(2, 3, 5, 5), ["0", "1"])
    assert found == {"0": (0.0, 0.0), "1": (0.25, 0.25)}


def test_layers_that_have_no_maps(squeezenet, panda):
    with pytest.raises(ValueError, match="fire9"):
        activations.sparsity_by_depth(squeezenet, panda, ["fire99"])
    with pytest.raises(ValueError, match="four|4 or more"):
        activations.layout(squeezenet, panda, ["fire2"])


def test_layout_fades_with_depth(squeezenet):
    pixels = squeezenet.crop_pixels(images.photos()[::10])
    kept = activations.layout(squeezenet, pixels, ["relu1", "fire5", "fire9"])
    shares = [found.test for found in kept.values()]
    assert shares[0] > 0.95
    assert shares == sorted(shares, reverse=True)
    assert kept["fire9"].train > kept["fire9"].test + 0.1  # 512 weights, 12 photos
    assert kept["fire5"].weights.shape == (257,)


def test_layout_is_what_a_readout_of_all_maps_finds(squeezenet):
    """The sums, gathered in chunks, give what least squares on the maps themselves gives."""
    pixels = squeezenet.crop_pixels(images.photos()[::12])  # 19: a chunk of 16 and a rest of 3
    found = activations.layout(squeezenet, pixels, ["fire5"])["fire5"]
    a = layers.activations(squeezenet, squeezenet.normalize(pixels), "fire5")
    a = a - a.mean((2, 3), keepdim=True)
    t = activations.relative_brightness(pixels, 27, 27)
    assert t.mean((1, 2)).abs().max() < 1e-6
    weights = activations.linear_readout(a[::2], t[::2])
    for share, half in ((found.train, slice(0, None, 2)), (found.test, slice(1, None, 2))):
        drawn = activations.read(a[half], weights)
        assert share == pytest.approx(activations.explained(drawn, t[half]), abs=1e-3)


def test_parts_are_marked_in_photos_of_the_course():
    names = {picture.name for picture in images.photos()}
    for boxes in activations.parts().values():
        assert set(boxes) <= names
        for top, left, bottom, right in boxes.values():
            assert 0 <= top < bottom <= 224
            assert 0 <= left < right <= 224
            assert min(bottom - top, right - left) > 25


def test_hits_of_units_in_boxes():
    """Two channels, two photos: the middle of the strongest unit's cell decides."""
    a = torch.zeros(2, 2, 4, 4)
    a[0, 0, 1, 2] = a[1, 0, 3, 0] = a[0, 1, 0, 0] = 1  # of channel 1, photo 1 has no strongest unit
    boxes = {"one": (8, 16, 16, 24), "two": (0, 0, 28, 32)}  # cells of 8 pixels; (3, 0) is at 28, 4
    assert activations.hit_rates(a, boxes, 32).tolist() == [0.5, 0]
    assert activations.hit_rates(a, boxes | {"two": (0, 0, 29, 32)}, 32).tolist() == [1, 0]
    with pytest.raises(ValueError, match="boxes: 1 for 2 photos"):
        activations.hit_rates(a, {"one": (0, 0, 32, 32)}, 32)


def test_the_explorer_reaches_every_channel_and_keeps_it(squeezenet):
    explorer = widgets.activations_explorer(squeezenet, ["fire2", "fire9"], ["camels", "koala"])
    photo, layer, channel, rank = explorer.controls.values()
    assert (channel.min, channel.max, rank.max) == (0, 511, 512)
    assert rank.value == 1
    strongest = channel.value
    rank.value = 2
    assert channel.value != strongest
    for number in (511, 0, 60):
        channel.value = number
        assert f"Channel {number} of fire9 for camels" in explorer.text
        assert f"number {rank.value} of 512" in explorer.text
    photo.list.value = list(photo.list.options)[1][1]
    assert "Channel 60 of fire9 for koala" in explorer.text
    assert f"number {rank.value} of 512" in explorer.text
    channel.value, asked = 500, []
    channel.observe(lambda change: asked.append(change["new"]), "value")
    layer.value = "fire2"
    assert (channel.max, rank.max, rank.value) == (127, 128, 1)
    assert "number 1 of 128" in explorer.text
    assert asked == [channel.value], "a channel between the two was drawn, too"


def test_a_channel_on_the_screen_costs_what_one_costs(squeezenet, monkeypatch):
    """A slider that follows the hand: not all 64 maps of 111 x 111 are scaled to show one."""
    looked, wanted = [], {name: getattr(activations, name) for name in ("tiles", "sparsity")}
    for name, function in wanted.items():

        def counting(maps, function=function):
            looked.append(maps.shape[-3])
            return function(maps)

        monkeypatch.setattr(activations, name, counting)
    explorer = widgets.activations_explorer(squeezenet, ["relu1"], ["camels"])
    explorer.controls["channel"].value = 3
    assert looked == [1, 1, 1, 1]


def test_photos_of_any_size_and_kind_have_activations(squeezenet):
    grey, one = torch.full((1, 40, 50), 0.5), torch.rand(3, 1, 1)
    for pixels in (grey, one):
        found = activations.sparsity_by_depth(squeezenet, squeezenet.preprocess(pixels), ["fire9"])
        assert 0 < found["fire9"][0] < 1
