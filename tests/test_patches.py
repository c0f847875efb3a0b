"""What units see, tested pixel by pixel; the strongest patches; how much of a field is used."""

import contextlib
import itertools
import math

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils import layers, patches, widgets
from course_utils.widgets.patches import mosaic

# ------------------------------------------------------------------ receptive-field arithmetic

WINDOW = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))


@given(st.lists(WINDOW, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_arithmetic_agrees_with_tracing_a_network_of_these_windows(windows):
    parts = [nn.Conv2d(1, 1, k, s, p, dilation=d, bias=False) for k, s, p, d in windows]
    size, jump, start = patches.field_arithmetic(windows)
    found = layers.receptive_field(nn.Sequential(*parts), str(len(parts) - 1), 3 * size + 8 * jump)
    middle = len(found.rows) // 2
    assert (found.rows.size, found.rows.stride) == (size, jump)
    assert found.rows.first[middle] == start + middle * jump


@given(st.lists(WINDOW, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_arithmetic_agrees_with_the_gradient_of_ones(windows):
    """Kernels of ones let every pixel through that has a path, and only these."""
    size, jump, start = patches.field_arithmetic(windows)
    unit = math.ceil(-start / jump)  # the first unit that begins inside
    signal = torch.zeros(1, 1, 1, 2 * size + (unit + 4) * jump).requires_grad_()
    y = signal
    for k, s, p, d in windows:
        ones = torch.ones(1, 1, 1, k)
        y = nn.functional.conv2d(y, ones, stride=(1, s), padding=(0, p), dilation=(1, d))
    y[0, 0, 0, unit].backward()
    touched = signal.grad[0, 0, 0].nonzero().flatten()
    assert touched[0] == start + unit * jump
    assert touched[-1] == start + unit * jump + size - 1


def test_a_known_chain_and_the_empty_one():
    vgg = [(3, 1, 1), (3, 1, 1), (2, 2, 0), (3, 1, 1), (3, 1, 1), (2, 2, 0), (3, 1, 1)]
    assert patches.field_arithmetic(vgg) == (24, 4, -10)
    assert patches.field_arithmetic([]) == (1, 1, 0)
    assert patches.field_arithmetic([[3, 2, 1]]) == patches.field_arithmetic([(3, 2, 1, 1)])


@pytest.mark.parametrize(
    "window",
    [(3,), (3, 1), (0, 1, 0), (3, 0, 0), (3, 1, -1), (3, 1, 0, 0), (3.0, 1, 1), (3, 1) * 3],
)
def test_what_is_no_window_is_named(window):
    with pytest.raises(ValueError, match=r"windows: .*accepted: \(kernel, stride, padding\)"):
        patches.field_arithmetic([(3, 1, 1), window])


# ------------------------------------------------------------------ fields of the zoo

DEPTHS = {
    "squeezenet1_1": ["relu1", "pool3", "fire5", "fire9"],
    "vgg16_hed": ["relu1_2", "pool3", "conv5_1"],
    "efficientnet_lite0": ["stem", "block2", "block4", "head"],
}
SIDES = {"squeezenet1_1": 128, "vgg16_hed": 48, "efficientnet_lite0": 80}


@pytest.mark.parametrize(("name", "layer"), [(n, k) for n, ks in DEPTHS.items() for k in ks])
def test_one_pixel_outside_changes_nothing_and_inside_it_does(zoo, name, layer):
    """Changes single pixels around the edge of the claimed field and watches the unit."""
    net, side = zoo[name], SIDES[name]
    field = layers.receptive_field(net, layer, side)
    down, across = field.shape
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(3)).double()
    units = [(0, 0), (down // 2, across // 2), (down - 1, across // 2), (down // 2, across - 1)]
    near = {unit: around(field.box(*unit), side) for unit in units}
    changes = watch(net, layer, x, {unit: [*inside, *out] for unit, (inside, out) in near.items()})
    blocked = {u: near[u][0] for u in near if min(changes[u][:4]) < 1e-6}  # by ReLUs: try darker
    darker = watch(net, layer, x, blocked, nudge=-40) if blocked else {}
    for unit, found in changes.items():
        assert max(found[4:], default=0) < 1e-9  # rounding
        assert min(map(max, found[:4], darker.get(unit, found))) > 1e-6


def around(box, side):
    """Pixels on each side of a box that are just inside, and just outside where there is room."""
    top, left, bottom, right = box
    row, column = (top + bottom) // 2, (left + right) // 2
    inside = [(top, column), (bottom - 1, column), (row, left), (row, right - 1)]
    outside = [(top - 1, column), (bottom, column), (row, left - 1), (row, right)]
    return inside, [(r, c) for r, c in outside if 0 <= r < side and 0 <= c < side]


class Enough(Exception):
    """Ends a forward pass."""


def watch(net, layer, x, asked, nudge=40):
    """The largest change over a unit's channels, for each of its pixels made so much brighter.

    `asked` maps a unit to pixels; every picture with one changed pixel is in the same batch.
    """
    flat, seen = [(unit, pixel) for unit, some in asked.items() for pixel in some], []
    copies = x.repeat(len(flat) + 1, 1, 1, 1)
    for copy, (_, (row, column)) in zip(copies, flat, strict=False):
        copy[:, row, column] += nudge

    def keep(module, args, output):
        seen.append(output)
        raise Enough  # the layers behind it do not matter

    part = layers.find(net, layer)
    handle = part.register_forward_hook(keep)
    try:
        with contextlib.suppress(Enough), torch.no_grad():
            net.double()(copies)
    finally:
        handle.remove()
        net.float()
    changes = {unit: [] for unit in asked}
    for one, (unit, _) in zip(seen[0], flat, strict=False):
        there = (one - seen[0][-1])[:, unit[0], unit[1]]
        changes[unit].append(there.abs().max().item())
    return changes


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize("size", [64, (75, 112)])
def test_whole_fields_are_the_cut_ones_continued(zoo, name, size):
    height, width = (size, size) if isinstance(size, int) else size
    for layer in DEPTHS[name]:
        where, cut = (f(zoo[name], layer, size) for f in (patches.fields, layers.receptive_field))
        assert where.units == cut.shape
        for unit in itertools.product((0, cut.shape[0] - 1), (0, cut.shape[1] - 1)):
            top, left, bottom, right = where.box(*unit)
            assert (bottom - top, right - left) == cut.size
            inside = cut.box(*unit)
            assert inside[:2] == (max(top, 0), max(left, 0))
            # Pixels that no window reaches, because the last one does not fit, may be missing.
            assert 0 <= min(bottom, height) - inside[2] < cut.stride[0]
            assert 0 <= min(right, width) - inside[3] < cut.stride[1]


def test_behind_a_global_pooling_the_field_is_the_photo(squeezenet):
    assert patches.fields(squeezenet, "pool10").box(0, 0) == (0, 0, 224, 224)


def test_units_and_layers_that_are_not_there(squeezenet):
    where = patches.fields(squeezenet, "fire5")
    with pytest.raises(IndexError, match=r"unit \(27, 0\) is outside the \(27, 27\) units"):
        where.box(27, 0)
    with pytest.raises(ValueError, match="Did you mean 'fire5'"):
        patches.fields(squeezenet, "fire55")


# ------------------------------------------------------------------ patches


@given(st.integers(-12, 12), st.integers(-12, 12), st.integers(1, 14))
@settings(max_examples=60, deadline=None)
def test_a_patch_is_the_photo_on_an_endless_grey_ground(top, left, size):
    pixels = torch.rand(3, 7, 9)
    ground = torch.full((3, 60, 60), 0.5)
    ground[:, 20:27, 20:29] = pixels
    expected = ground[:, 20 + top : 20 + top + size, 20 + left : 20 + left + size]
    assert torch.equal(patches.field_patch(pixels, top, left, size), expected)


def test_a_patch_of_a_photo_of_one_pixel_and_of_none():
    one = torch.ones(3, 1, 1)
    assert patches.field_patch(one, -1, -1, 3).sum() == 3 * (1 + 8 * 0.5)
    assert (patches.field_patch(one, 5, 5, 3) == 0.5).all()
    for pixels, size in [(torch.rand(1, 3, 4, 4), 2), (torch.rand(3, 4, 4), 0)]:
        with pytest.raises(ValueError, match="accepted: "):
            patches.field_patch(pixels, 0, 0, size)


def test_patches_show_only_what_the_unit_sees(squeezenet):
    """Of 224 pixels SqueezeNet's windows of 3 in steps of 2 never reach the last."""
    where = patches.fields(squeezenet, "fire5")
    photos, corner = torch.tensor([0]), torch.tensor([[26, 26]])
    white = torch.ones(1, 3, 224, 224)
    (patch,) = patches.crops(white, photos, corner, where)
    top, left, _, _ = where.box(26, 26)
    assert patch.shape == (3, 63, 63)
    assert (patch == 1).sum() == 3 * (223 - top) * (223 - left)


def test_frames_lie_around_the_box_and_leave_the_photo_as_it_is():
    pixels = torch.zeros(3, 20, 30)
    framed = patches.frame(pixels, (5, 6, 12, 16), width=2)
    painted = (framed != pixels).any(0)
    assert painted.sum() == 11 * 14 - 7 * 10
    assert not painted[5:12, 6:16].any()
    assert pixels.sum() == 0
    assert (patches.frame(pixels, (-5, -5, 40, 40), 2) != 0).any(0).sum() == 20 * 30 - 16 * 26


# ------------------------------------------------------------------ the strongest


def naive_top(activations, channel, k):
    """With loops, and Python's own stable sort."""
    best = []
    for n, maps in enumerate(activations):
        units = [(-v, i) for i, v in enumerate(maps[channel].flatten().tolist())]
        value, place = min(units)
        best.append((value, n, divmod(place, maps.shape[2])))
    return [(n, place, -value) for value, n, place in sorted(best)[:k]]


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_top_patches_are_those_of_a_loop_ties_included(n, height, width, seed):
    random = torch.Generator().manual_seed(seed)
    activations = torch.randint(-2, 3, (n, 2, height, width), generator=random).float()
    photos, positions, values = patches.top_patches(activations, 1, n)
    expected = naive_top(activations, 1, n)
    assert photos.tolist() == [e[0] for e in expected]
    assert [tuple(p) for p in positions.tolist()] == [e[1] for e in expected]
    assert values.tolist() == [e[2] for e in expected]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 5}, "k=5; accepted: 1 to 4, the number of photos in the set"),
        ({"k": 0}, "k=0; accepted: 1 to 4"),
        ({"channel": 3}, "channel=3; accepted: 0 to 2, the layer has 3 channels"),
        ({"channel": -1}, "channel=-1; accepted: 0 to 2"),
        ({"channel": "eyes"}, "channel='eyes'"),
        ({"activations": torch.zeros(4, 3)}, r"activations: shape \(4, 3\)"),
        ({"activations": torch.zeros(0, 3, 2, 2)}, r"activations: shape \(0, 3, 2, 2\)"),
        ({"activations": torch.full((4, 3, 2, 2), torch.nan)}, "not finite"),
    ],
)
def test_bad_questions_are_named(change, words):
    asked = {"activations": torch.rand(4, 3, 2, 2), "channel": 1, "k": 2} | change
    with pytest.raises(ValueError, match=words):
        patches.top_patches(**asked)


def test_best_units_of_many_photos_are_those_of_all_activations():
    net, x = tiny.network(), torch.cat([tiny.batch(seed) for seed in range(11)])
    found = patches.best_units(net, x, ["relu1", "conv2"])
    for layer, best in found.items():
        activations = layers.activations(net, x, layer)
        # Not equal to the last digit: a library may compute larger batches by another formula.
        assert torch.allclose(best.values, activations.amax((2, 3)), atol=1e-4)
        for channel in range(activations.shape[1]):
            photos, positions, values = best.top(channel, 9)
            assert torch.allclose(
                values, patches.top_patches(activations, channel, 9)[2], atol=1e-4
            )
            there = activations[photos, channel, positions[:, 0], positions[:, 1]]
            assert torch.allclose(there, values, atol=1e-4)


def test_best_units_refuse_what_has_no_maps():
    net, x = tiny.network(), tiny.batch()
    with pytest.raises(ValueError, match="'classifier'.*has no rows and columns"):
        patches.best_units(net, x, ["relu1", "classifier"])
    with pytest.raises(ValueError, match="rellu"):
        patches.best_units(net, x, ["rellu1"])
    with pytest.raises(ValueError, match="x: no photos"):
        patches.best_units(net, x[:0], ["relu1"])
    with pytest.raises(ValueError, match="not finite"):
        patches.best_units(net, x * torch.nan, ["conv2"])


def test_the_leading_share_counts_groups():
    groups = ["a", "b", "b", "c", "b"]
    assert patches.leading_share(torch.tensor([0, 1, 2, 3]), groups) == (0.5, "b")
    assert patches.leading_share(torch.tensor([3, 0]), groups) == (0.5, "a")
    with pytest.raises(ValueError, match="photos: none"):
        patches.leading_share(torch.tensor([], dtype=torch.long), groups)


# ------------------------------------------------------------------ effective receptive fields


def test_the_effective_field_of_one_convolution_is_its_kernel():
    conv = nn.Conv2d(3, 1, 5, padding=2, bias=False)
    found = patches.effective_field(nn.Sequential(conv), torch.randn(3, 3, 11, 11), "0")
    expected = torch.zeros(11, 11)
    expected[3:8, 3:8] = conv.weight.detach()[0].abs().sum(0)
    assert torch.allclose(found, expected / expected.sum(), atol=1e-6)


def test_the_effective_field_is_that_of_finite_differences():
    net, x = tiny.network().double(), tiny.batch()[:1].double()
    found = patches.effective_field(net, x, "conv2", seed=5)
    middle = layers.activations(net, x, "conv2").shape[2] // 2
    generator = torch.Generator().manual_seed(5)
    channels = layers.activations(net, x, "conv2").shape[1]
    signs = 2 * torch.randint(0, 2, (1, channels), generator=generator)[0] - 1

    def unit(image):
        return (signs * layers.activations(net, image, "conv2")[0, :, middle, middle]).sum()

    expected = torch.zeros(16, 16, dtype=torch.float64)
    for row, column, colour in itertools.product(range(4, 12), range(4, 12), range(3)):
        nudge = torch.zeros_like(x)
        nudge[0, colour, row, column] = 1e-6
        expected[row, column] += ((unit(x + nudge) - unit(x - nudge)) / 2e-6).abs()
    part = found[4:12, 4:12]
    assert torch.allclose(part / part.sum(), expected[4:12, 4:12] / expected.sum(), atol=1e-4)


@pytest.mark.parametrize("layer", ["fire3", "fire7"])
def test_nothing_of_the_effective_field_lies_outside_the_theoretical_one(squeezenet, layer):
    x = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    found = patches.effective_field(squeezenet, x, layer)
    field = layers.receptive_field(squeezenet, layer, 160)
    top, left, bottom, right = field.box(field.shape[0] // 2, field.shape[1] // 2)
    assert found[top:bottom, left:right].sum() == pytest.approx(1, abs=1e-5)
    found[top:bottom, left:right] = 0
    assert found.abs().max() == 0


def test_effective_fields_need_maps():
    with pytest.raises(ValueError, match="no rows and columns"):
        patches.effective_field(tiny.network(), tiny.batch(), "classifier")


def test_the_area_that_holds_a_share():
    weights = torch.tensor([[4.0, 3.0], [2.0, 1.0]])
    areas = [patches.area_holding(weights, share) for share in (0.1, 0.4, 0.41, 0.7, 0.9, 1)]
    assert areas == [1, 1, 2, 2, 3, 4]
    assert patches.area_holding(torch.ones(30, 30), 0.9) == 810
    for bad in (0, 1.1, -1):
        with pytest.raises(ValueError, match="share="):
            patches.area_holding(weights, bad)
    for bad in (-weights, 0 * weights, weights * torch.nan):
        with pytest.raises(ValueError, match="weights: "):
            patches.area_holding(bad)


def test_the_profile_of_a_gaussian_is_that_gaussian():
    bell = patches.gaussian(101, 47, 9)
    curve, centre, spread = patches.profile(torch.outer(patches.gaussian(80, 40, 5), bell))
    assert torch.allclose(curve, bell, atol=1e-6)
    assert centre == pytest.approx(47, abs=1e-3)
    assert spread == pytest.approx(9, rel=1e-3)


# ------------------------------------------------------------------ the explorer


@pytest.fixture(scope="module")
def explorer(squeezenet):
    pixels = torch.rand(10, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    x = squeezenet.normalize(pixels)
    best = patches.best_units(squeezenet, x, ["relu1", "fire2", "fire5"])
    names = [f"photo {i}" for i in range(10)]
    return widgets.patches_explorer(squeezenet, pixels, names, best), best


def test_the_explorer_says_which_unit_of_which_photo_it_is(explorer):
    shown, best = explorer
    shown.controls["rank"].value = 3
    photos, positions, values = best["fire5"].top(150, 9)
    assert f"unit {tuple(positions[2].tolist())} of photo {photos[2]}" in shown.text
    assert f"activation {values[2]:.1f}" in shown.text
    assert bytes(shown.image.value).startswith(b"\x89PNG")


def test_a_layer_with_fewer_channels_ends_the_slider(explorer):
    shown, _ = explorer
    shown.controls["layer"].value = "fire5"
    shown.controls["channel"].value = 255
    shown.controls["layer"].value = "relu1"
    assert shown.controls["channel"].max == 63
    assert shown.text.startswith("relu1, channel 63: 3 x 3 pixels")
    assert shown.error is None


def test_other_channels_and_ranks_cost_no_pass_of_the_network(explorer, squeezenet):
    shown, _ = explorer
    shown.controls["layer"].value = "fire2"
    for rank in range(1, 10):
        shown.controls["rank"].value = rank
    passes = []
    handle = squeezenet.register_forward_hook(lambda *args: passes.append(1))
    try:
        for channel in (3, 7):
            shown.controls["channel"].value = channel
    finally:
        handle.remove()
    assert len(passes) <= 2  # at most one for each photo that was not on top before


def test_small_patches_are_enlarged_to_squares_and_large_ones_shrunk():
    tiles = [torch.full((3, 3, 3), i / 9) for i in range(9)]
    large = mosaic(tiles, side=90)
    assert large.shape == (3, 98, 98)
    assert large[0, :30, :30].unique().tolist() == [0]
    assert large[0, -30:, -30:].unique().tolist() == [pytest.approx(8 / 9)]
    assert (large[0, 30:34] == 1).all()
    assert mosaic([torch.rand(3, 207, 207)] * 9, side=90).shape == (3, 98, 98)


def test_a_ringed_disc_is_dark_inside_bright_around_and_grey_beyond():
    disc = patches.ringed_disc(8, contrast=0.6, ring=2, size=63)
    assert disc.shape == (3, 63, 63)
    assert disc[0, 31, 31] == pytest.approx(0.2)
    assert disc[0, 31, 31 + 12] == pytest.approx(0.8)
    assert disc[0, 0, 0] == disc[0, 31, 50] == 0.5
    assert torch.allclose(disc, disc.flip(1))
    assert torch.allclose(disc, disc.transpose(1, 2))
    assert torch.allclose(patches.ringed_disc(8, -0.6, 2) - 0.5, 0.5 - disc)
    with pytest.raises(ValueError, match="contrast=2"):
        patches.ringed_disc(8, 2)


def test_a_patch_is_pasted_on_a_copy():
    picture, patch = torch.zeros(3, 6, 6), torch.ones(3, 2, 3)
    found = patches.pasted(picture, patch, 1, 2)
    assert found.sum() == patch.sum()
    assert found[0, 1:3, 2:5].all()
    assert not picture.any()
