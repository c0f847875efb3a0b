"""Neighbours, projections and maps of photos, against loops, SciPy and scikit-learn."""

import itertools

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

from course_utils import images, last_layer, layers, models, widgets

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def net():
    return models.load("squeezenet1_1", "cpu")


@pytest.fixture
def small():
    return models.Network(tiny.network(), "tiny", labels=list("abcde"), resize=16, crop=16)


@pytest.fixture
def photos16():
    return (tiny.batch(3, n=5) / 8 + 0.5).clamp(0, 1)


def clusters(n=20, seed=0):
    """Three far clouds of n vectors, and whose each vector is."""
    centres = 12 * torch.eye(3, 10)
    x = torch.cat([tiny.array(seed + i, n, 10) + c for i, c in enumerate(centres)])
    return x, [i for i in range(3) for _ in range(n)]


# --- Features ----------------------------------------------------------------------------------


def test_features_are_the_means_of_the_maps(small, photos16):
    found = last_layer.features(small, photos16, ["relu1", "flatten"])
    maps = layers.activations(small, small.normalize(photos16), "relu1")
    assert found["relu1"].shape == (5, 8)
    for i, k in itertools.product(range(5), range(8)):
        assert found["relu1"][i, k] == pytest.approx(maps[i, k].mean().item(), abs=1e-5)
    assert found["flatten"].shape == (5, 12)


def test_averaged_fire9_is_what_the_classifier_needs(net):
    """SqueezeNet's classifier before its ReLU commutes with the mean over positions."""
    pixels = net.crop_pixels(images.photo("panda"))
    vector = last_layer.features(net, pixels, ["fire9"])["fire9"]
    maps = layers.activations(net, net.normalize(pixels), "conv10")
    conv = layers.find(net, "conv10")
    assert torch.allclose(
        F.linear(vector, conv.weight[:, :, 0, 0], conv.bias), maps.mean((2, 3)), atol=1e-3
    )


def test_vectors_by_layer_are_pixels_and_unit_features(small, photos16):
    found = last_layer.vectors_by_layer(small, photos16, ["relu2"])
    assert list(found) == ["pixels", "relu2"]
    assert found["pixels"].shape == (5, 3 * 32 * 32)
    assert torch.allclose(found["relu2"].norm(dim=1), torch.ones(5))


def test_unit_keeps_the_angle_and_a_zero_vector():
    x = torch.stack([torch.tensor([3.0, 4.0]), torch.zeros(2)])
    assert last_layer.unit(x).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    a, b = last_layer.unit(tiny.array(1, 2, 7))
    assert (a - b).square().sum() == pytest.approx(2 - 2 * (a @ b).item(), abs=1e-5)


def test_no_photo_repeats_another(net):
    photos = images.photos()
    assert {p.category for p in photos} == set(last_layer.COLOURS)
    x = last_layer.pixel_vectors(net.crop_pixels(photos))
    closest = last_layer.squared_distances(x, x).fill_diagonal_(INF).min() ** 0.5
    assert closest > 0.25 * torch.pdist(x).quantile(0.5)


@pytest.mark.parametrize(
    ("pixels", "names", "words"),
    [
        (torch.zeros(1, 3, 16, 16), [], "names: got"),
        (torch.zeros(1, 3, 16, 16), "relu1", "names: got 'relu1'"),
        (torch.zeros(1, 3, 16, 16), ["relu9"], "Did you mean 'relu"),
        (torch.zeros(3, 16, 16), ["relu1"], r"shape \(3, 16, 16\); accepted: photos"),
        (torch.zeros(1, 1, 16, 16), ["relu1"], r"\(1, 1, 16, 16\)"),
        (torch.zeros(0, 3, 16, 16), ["relu1"], r"\(0, 3, 16, 16\)"),
        (torch.full((1, 3, 16, 16), NAN), ["relu1"], "not finite"),
    ],
)
def test_bad_photos_and_layers_are_named(small, pixels, names, words):
    with pytest.raises(ValueError, match=words):
        last_layer.features(small, pixels, names)


def test_photos_of_one_pixel(net):
    with pytest.raises(ValueError, match="1 x 1 pixels are too small for squeezenet1_1"):
        last_layer.features(net, torch.rand(2, 3, 1, 1), ["fire9"])
    pixels = net.crop_pixels(torch.rand(3, 1, 1))  # enlarged, as every photo is
    assert last_layer.features(net, pixels, ["fire9"])["fire9"].isfinite().all()
    assert last_layer.variants(torch.rand(3, 1, 1), 28)["rotated"].shape == (3, 28, 28)


def test_grey_rgba_and_huge_photos_have_features(net):
    for odd in (torch.rand(1, 40, 30), torch.rand(4, 40, 30), torch.rand(3, 3000, 20)):
        found = last_layer.vectors_by_layer(net, net.crop_pixels(odd), ["fire9"])
        assert found["fire9"].shape == (1, 512)


# --- Neighbours --------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 20), st.integers(0, 99))
def test_distances_equal_scipys(n, width, seed):
    a, b = tiny.array(seed, n, width) + 3, tiny.array(seed + 100, 4, width)
    found = last_layer.squared_distances(a, b)
    assert np.allclose(found, cdist(a, b) ** 2, atol=1e-5)
    assert (last_layer.squared_distances(a, a) >= 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 25), st.integers(2, 10), st.integers(0, 99))
def test_neighbours_equal_a_plain_loop(n, width, seed):
    x = tiny.array(seed, n, width)
    k = 1 + seed % (n - 1)
    found = last_layer.nearest_neighbours(x, k).tolist()
    for i in range(n):
        others = sorted((j for j in range(n) if j != i), key=lambda j: (x[i] - x[j]).norm())
        assert found[i] == others[:k]


def test_constant_vectors_have_neighbours_other_than_themselves():
    found = last_layer.nearest_neighbours(torch.ones(4, 3), 3)
    assert all(sorted([i, *row]) == [0, 1, 2, 3] for i, row in enumerate(found.tolist()))


@pytest.mark.parametrize("k", [0, -1, 5, 6])
def test_k_larger_than_the_set_is_refused(k):
    with pytest.raises(ValueError, match=rf"k={k} for 5 vectors; accepted: 1 to N - 1 = 4"):
        last_layer.nearest_neighbours(tiny.array(0, 5, 2), k)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.ones(3), r"shape \(3,\)"),
        (torch.ones(0, 3), r"\(0, 3\)"),
        (torch.full((3, 2), NAN), "not finite"),
        (torch.full((3, 2), INF), "not finite"),
    ],
)
def test_bad_vectors_are_named(x, words):
    for function in (
        lambda: last_layer.nearest_neighbours(x, 1),
        lambda: last_layer.pca(x, 1),
        lambda: last_layer.tsne(x, 1),
        lambda: last_layer.unit(x),
    ):
        with pytest.raises(ValueError, match=words):
            function()


def test_vectors_of_two_widths_are_refused():
    with pytest.raises(ValueError, match="3 and 2 numbers"):
        last_layer.squared_distances(torch.ones(1, 3), torch.ones(1, 2))


def test_precision_equals_counting_by_hand():
    labels = ["a", "b", "a", "b", "b"]
    near = torch.tensor([[2, 1], [0, 3], [0, 4], [1, 4], [0, 2]])
    assert last_layer.precision_at_k(near, labels).tolist() == [0.5, 0.5, 0.5, 1, 0]
    with pytest.raises(ValueError, match="4 came for 5"):
        last_layer.precision_at_k(near, labels[1:])


def test_chance_is_what_blind_neighbours_reach():
    labels = ["a"] * 3 + ["b"] * 5 + ["c"]
    pairs = list(itertools.permutations(labels, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs)
    assert last_layer.chance_precision(labels) == pytest.approx(expected)
    with pytest.raises(ValueError, match="1 came"):
        last_layer.chance_precision(["a"])


def test_variants_are_what_they_are_called():
    photo = images.photo("owl")
    found = last_layer.variants(photo, 140)
    assert all(v.shape == (3, 140, 140) and v.min() >= 0 and v.max() <= 1 for v in found.values())
    assert torch.equal(found["mirrored"].flip(2), found["photo"])
    assert torch.allclose(found["relit"], found["photo"] ** 1.6)
    assert torch.equal(found["shifted"][:, :-20, :-20], found["photo"][:, 20:, 20:])
    assert (found["rotated"].amax(0) > 0).float().mean() > 0.99  # no black corners


# --- Two dimensions ----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 20), st.integers(2, 12), st.integers(0, 99))
def test_pca_equals_scikit_learns(n, width, seed):
    x = tiny.array(seed, n, width) * torch.linspace(3, 1, width) + 5
    components = 1 + seed % (min(n, width) - 1)
    expected = PCA(components).fit_transform(x.double().numpy())
    expected *= np.sign(expected[np.abs(expected).argmax(0), range(components)])
    assert np.allclose(last_layer.pca(x.double(), components), expected, atol=1e-6)


@pytest.mark.parametrize("components", [0, 4])
def test_pca_refuses_more_components_than_there_are(components):
    with pytest.raises(ValueError, match=f"components={components} .* accepted: 1 to 3"):
        last_layer.pca(tiny.array(0, 5, 3), components)


def test_pca_of_equal_vectors_is_zero():
    assert last_layer.pca(torch.ones(4, 3)).abs().max() < 1e-5
    assert last_layer.variance_shares(torch.zeros(4, 3)).isfinite().all()


def test_variance_shares_fall_and_sum_to_one():
    shares = last_layer.variance_shares(tiny.array(0, 30, 6) * torch.arange(1, 7))
    expected = PCA().fit(tiny.array(0, 30, 6).numpy() * np.arange(1, 7)).explained_variance_ratio_
    assert np.allclose(shares, expected, atol=1e-5)


def test_tsne_keeps_clusters_and_is_the_same_again():
    x, labels = clusters()
    found = last_layer.tsne(x, 10)
    near = last_layer.nearest_neighbours(found, 5)
    assert last_layer.precision_at_k(near, labels).mean() > 0.99
    assert torch.equal(found, last_layer.tsne(x, 10))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tsne_needs_four_photos(n):
    with pytest.raises(ValueError, match=f"N={n} vectors.*at least 4"):
        last_layer.tsne(tiny.array(0, n, 5), 1)


def test_tsne_of_very_few_or_nearly_equal_vectors():
    assert last_layer.tsne(tiny.array(0, 4, 5), 1).isfinite().all()
    assert last_layer.tsne(tiny.array(0, 7, 1), 2).isfinite().all()
    twins = torch.cat([torch.ones(6, 3), torch.zeros(6, 3)])
    assert last_layer.tsne(twins, 3).isfinite().all()


def test_tsne_refuses_constant_features_and_large_perplexities():
    with pytest.raises(ValueError, match="all the same"):
        last_layer.tsne(torch.ones(10, 4), 2)
    with pytest.raises(ValueError, match="perplexity=20 for N=30"):
        last_layer.tsne(tiny.array(0, 30, 4), 20)


def test_maps_by_layer_stay_near_the_one_before():
    x, _ = clusters()
    maps = last_layer.tsne_by_layer({"a": x, "b": x + 0.01 * tiny.array(9, *x.shape)}, 10)
    a, b = (m - m.mean(0) for m in maps.values())
    assert F.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.95


# --- Maps as pictures --------------------------------------------------------------------------


def overlapping(corners, side):
    """How many pairs of squares share a pixel, by comparing every pair."""
    return sum(bool(((a - b).abs() < side).all()) for a, b in itertools.combinations(corners, 2))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 24), st.integers(0, 99))
def test_thumbnails_never_cover_each_other(n, side, seed):
    positions = tiny.array(seed, n, 2) ** 3  # crowded in the middle
    found = last_layer.apart(positions, side)
    assert found.shape == (n, 2)
    assert found.min() == 0
    assert overlapping(found, side) == 0


def test_thumbnails_at_one_place_are_moved_apart_too():
    positions = torch.zeros(9, 2)
    assert overlapping(last_layer.apart(positions, 10), 10) == 0


def test_thumbnails_with_room_stay_where_they_are():
    positions = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    assert torch.equal(last_layer.apart(positions, 10, 100), last_layer.corners(positions, 10, 100))
    assert last_layer.corners(positions, 10, 100).tolist() == [[0, 0], [0, 90], [90, 0], [90, 90]]


def test_apart_keeps_most_neighbours():
    positions = last_layer.tsne(clusters(40)[0], 20)
    near = last_layer.nearest_neighbours(positions, 10)
    moved = last_layer.nearest_neighbours(last_layer.apart(positions, 16).flip(1).float(), 10)
    assert (near[:, :, None] == moved[:, None]).any(2).float().mean() > 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_every_cell_is_used_once(n, columns, seed):
    cells = last_layer.grid_cells(tiny.array(seed, n, 2), columns)
    assert len({tuple(c) for c in cells.tolist()}) == n
    assert cells.min() >= 0
    assert cells[:, 1].max() < columns
    assert cells[:, 0].max() < -(-n // columns)


def test_the_grid_moves_least_of_all_orders():
    positions = tiny.array(4, 6, 2)
    every = torch.cartesian_prod(torch.arange(2), torch.arange(3)).float()
    low, high = positions.amin(0), positions.amax(0)
    scaled = ((positions - low) / (high - low)).flip(1) * torch.tensor([1.0, 2.0])

    def cost(cells):
        return (cells - scaled).square().sum()

    best = min(cost(every[list(order)]) for order in itertools.permutations(range(6)))
    assert cost(last_layer.grid_cells(positions, 3).float()) == pytest.approx(best.item(), rel=1e-5)


@pytest.mark.parametrize("positions", [torch.ones(3, 3), torch.full((3, 2), NAN), torch.ones(0, 2)])
def test_bad_positions_are_named(positions):
    for place in (last_layer.apart, last_layer.grid_cells):
        with pytest.raises(ValueError, match="positions: "):
            place(positions, 3)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="columns=0"):
        last_layer.grid_cells(torch.rand(3, 2), 0)
    with pytest.raises(ValueError, match="side=20, width=10"):
        last_layer.apart(torch.rand(3, 2), 20, 10)
    with pytest.raises(ValueError, match=r"places: shape \(2, 2\) for 3 pictures"):
        last_layer.paste(torch.rand(3, 3, 2, 2), torch.zeros(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="colours: 1 came for 2"):
        last_layer.framed(torch.rand(2, 3, 8, 8), ["#ff0000"])


def test_pasted_frames_and_ink_have_the_right_colours():
    framed = last_layer.framed(torch.zeros(1, 3, 8, 8), ["#ff8000"], 2)
    assert framed[0, :, 0, 0].tolist() == [1, pytest.approx(128 / 255), 0]
    assert (framed[0, :, 2:6, 2:6] == 0).all()
    drawn = last_layer.paste(framed, torch.tensor([[3, 5]]))
    assert drawn.shape == (3, 11, 13)
    assert torch.equal(drawn[:, 3:, 5:], framed[0])
    assert (drawn[:, :3] == 1).all()
    ink = last_layer.tinted(torch.tensor([[[0.0, 1.0]]]), ["#0000ff"])
    assert ink[0, :, 0].T.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert last_layer.dots(["#0000ff"], 2)[0, :, 1, 1].tolist() == [0, 0, 1]


def test_neighbour_rows_frame_right_and_wrong():
    pictures = torch.full((3, 3, 24, 24), 0.5)
    drawn = last_layer.neighbour_rows(pictures, [0], torch.tensor([[1, 2]]), ["a", "a", "b"])
    frames = last_layer.framed(pictures[:2], [last_layer.SAME, last_layer.OTHER])
    assert torch.equal(drawn[:, 0, 28], frames[0, :, 0, 0])
    assert torch.equal(drawn[:, 0, -1], frames[1, :, 0, 0])
    assert (drawn[:, 5, 5] == 0.5).all()


# --- The claims of the lecture -----------------------------------------------------------------


def test_features_find_the_category_more_often_than_pixels(net):
    photos = images.photos()[::3]
    labels = [p.category for p in photos]
    x = last_layer.vectors_by_layer(net, net.crop_pixels(photos), ["fire9"])
    scores = {
        n: last_layer.precision_at_k(last_layer.nearest_neighbours(v, 5), labels).mean().item()
        for n, v in x.items()
    }
    assert scores["fire9"] > scores["pixels"] + 0.15
    assert scores["pixels"] > last_layer.chance_precision(labels)


# --- The explorer ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explored(net):
    photos = [images.photo(n) for n in ("owl", "panda", "koala", "taj_mahal", "fish1")]
    pixels = net.crop_pixels(photos)
    vectors = last_layer.vectors_by_layer(net, pixels, ["pool1", "fire9"])
    maps = last_layer.tsne_by_layer(vectors, 1)
    return net, widgets.last_layer_explorer(net, photos, pixels, vectors, maps, ["panda", "swans"])


def test_the_explorer_names_neighbours_and_precision(explored):
    _, explorer = explored
    assert "nearest to panda at pixels" in explorer.text
    explorer.controls["layer"].value = "fire9"
    assert explorer.text.startswith("The 4 photos nearest to panda at fire9: ")
    assert "precision@5 at fire9 is" in explorer.text


def test_sliding_over_the_layers_runs_no_network(explored, monkeypatch):
    net, explorer = explored
    explorer.controls["layer"].value = "pixels"
    monkeypatch.setattr(nn.Module, "__call__", lambda *args: pytest.fail("a pass of the network"))
    before = explorer.image.value
    for layer, form in (("pool1", "grid"), ("fire9", "map"), ("pixels", "map")):
        explorer.controls["layer"].value, explorer.controls["form"].value = layer, form
        assert explorer.image.value != before


def test_a_photo_that_is_on_no_map_has_neighbours(explored):
    _, explorer = explored
    chooser = explorer.controls["photo"].list
    chooser.value = dict(chooser.options)["swans"]
    assert "The 5 photos nearest to swans" in explorer.text
