"""Attention against naive loops, autograd, convolutions and what must hold by definition."""

import math

import pytest
import tiny
import torch
from torch import nn

from course_utils import attention, images, widgets
from course_utils.common.transformer import layer_names
from course_utils.models import Network

SIDE = 20


def network(**kwargs):
    """A small transformer as a network of the zoo."""
    return Network(
        tiny.transformer(**kwargs), "small", layers=layer_names(3), resize=SIDE, crop=SIDE
    )


def with_head(classes=4):
    """The same with a linear classifier."""
    net = network()
    head = attention.WithHead(net, "norm", tiny.array(7, classes, 24), tiny.array(8, classes))
    paths = {n: f"model.module.{p}" for n, p in net.layers.items()} | {"head": "head"}
    labels = [f"class {i}" for i in range(classes)]
    return Network(head, "small with head", labels=labels, layers=paths, resize=SIDE, crop=SIDE)


def batch(n=2, height=SIDE, width=SIDE):
    return tiny.array(40, n, 3, height, width)


# ------------------------------------------------------------------ the exercises' references


@pytest.mark.parametrize(("n", "c", "h", "w", "p", "d"), [(1, 3, 2, 5, 4, 7), (3, 2, 4, 3, 2, 5)])
def test_patch_embedding_is_a_convolution_with_steps_of_a_patch(n, c, h, w, p, d):
    x, weight, bias = tiny.array(1, n, c, h * p, w * p), tiny.array(2, d, c, p, p), tiny.array(3, d)
    expected = nn.functional.conv2d(x, weight, bias, stride=p).flatten(2).transpose(1, 2)
    assert torch.allclose(attention.patch_embedding(x, weight, bias), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 9, 8), (1, 3, 8, 10), (1, 2, 8, 8), (3, 8, 8)])
def test_patch_embedding_refuses_other_pictures(shape):
    with pytest.raises(ValueError, match="accepted: .N,3,H,W., H and W multiples of the patch's 4"):
        attention.patch_embedding(torch.zeros(shape), torch.zeros(5, 3, 4, 4), torch.zeros(5))


def test_attention_maps_by_loops_over_images_heads_queries_and_keys():
    q, k, heads = tiny.array(1, 2, 5, 6), tiny.array(2, 2, 5, 6), 3
    found = attention.attention_maps(q, k, heads)
    assert found.shape == (2, 3, 5, 5)
    for n in range(2):
        for head in range(heads):
            part = slice(2 * head, 2 * head + 2)
            for i in range(5):
                scores = [
                    sum((q[n, i, part] * k[n, j, part]).tolist()) / math.sqrt(2) for j in range(5)
                ]
                total = sum(map(math.exp, scores))
                for j in range(5):
                    expected = math.exp(scores[j]) / total
                    assert found[n, head, i, j].item() == pytest.approx(expected, abs=1e-5)


def test_attention_maps_are_those_inside_the_network():
    net, x = network(), batch()
    block = net.module.blocks[0]
    q, k, _ = block.attn.split(block.norm1(net.module.embed(x)))
    inside = attention.look(net, x, [1])[0]
    assert torch.allclose(attention.attention_maps(q, k, 3), inside, atol=1e-5)


@pytest.mark.parametrize(
    ("q", "k", "heads"), [((1, 4, 6), (1, 5, 6), 2), ((1, 4, 6), (1, 4, 6), 4), ((4, 6), (4, 6), 2)]
)
def test_attention_maps_refuses_what_does_not_fit(q, k, heads):
    with pytest.raises(ValueError, match="accepted: one shape"):
        attention.attention_maps(torch.zeros(q), torch.zeros(k), heads)


def test_rollout_adds_up_every_path_through_the_layers():
    maps = (2 * tiny.array(5, 3, 1, 2, 3, 3)).softmax(-1)
    steps = (maps.mean(2)[:, 0] + torch.eye(3)) / 2
    found = attention.rollout(maps)[0]
    for i in range(3):
        for j in range(3):
            paths = sum(
                steps[2, i, a] * steps[1, a, b] * steps[0, b, j] for a in range(3) for b in range(3)
            )
            assert found[i, j].item() == pytest.approx(paths.item(), abs=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(3))


def test_rollout_of_looking_at_oneself_is_staying():
    eye = torch.eye(4).expand(5, 2, 3, 4, 4)
    assert torch.allclose(attention.rollout(eye), torch.eye(4).expand(2, 4, 4))
    with pytest.raises(ValueError, match=r"accepted: .L,N,heads,T,T."):
        attention.rollout(eye[0])


# ------------------------------------------------------------------ taking attention out


def test_look_gives_shares_of_every_block():
    maps = attention.look(network(), batch())
    assert maps.shape == (3, 2, 3, 26, 26)
    assert torch.allclose(maps.sum(-1), torch.ones(3, 2, 3, 26), atol=1e-5)
    assert torch.equal(attention.look(network(), batch(), [3, 1]), maps[[2, 0]])


@pytest.mark.parametrize("blocks", [[0], [4], []])
def test_look_refuses_blocks_that_are_not_there(blocks):
    with pytest.raises(ValueError, match=r"accepted: some of 1 to 3"):
        attention.look(network(), batch(), blocks)


def test_networks_without_attention_are_refused():
    with pytest.raises(ValueError, match="has no attention to look at"):
        attention.look(tiny.network(), tiny.batch())


def test_a_patch_and_cls_look_where_the_matrix_says():
    maps = tiny.array(1, 2, 3, 7, 7)
    assert torch.equal(attention.from_cls(maps, (2, 3))[1, 2, 1, 0], maps[1, 2, 0, 4])
    assert torch.equal(attention.from_patch(maps, (2, 3), 1, 2)[0, 1, 0, 1], maps[0, 1, 6, 2])
    with pytest.raises(ValueError, match="accepted: a place in 2 x 3"):
        attention.from_patch(maps, (2, 3), 2, 0)


def test_look_distances_of_known_maps():
    size, t = (3, 4), 13
    alone = torch.eye(t)
    assert attention.look_distances(alone, size, 10).item() == 0
    right = torch.zeros(t, t)
    for i in range(12):
        right[1 + i, 1 + (i // 4 * 4 + (i % 4 + 2) % 4)] = 0.4  # two columns away; [CLS] gets .6
    right[:, 0] = 0.6
    assert attention.look_distances(right, size, 10).item() == pytest.approx(20)


def test_gradient_rollout_by_the_paper_with_gradients_by_finite_differences():
    net, x = with_head().double(), batch(1).double()
    found = attention.gradient_rollout(net, x, 2)
    body = attention.transformer(net)
    maps, relevance, step = attention.look(net, x), torch.eye(26, dtype=torch.double), 1e-6

    def score(block, change):
        def changed(module, args, out):
            return out + change

        handle = body.blocks[block].attn.softmax.register_forward_hook(changed)
        with torch.no_grad():
            value = net(x)[0, 2]
        handle.remove()
        return value

    for block in range(3):
        slope, a = torch.zeros(3, 26, 26, dtype=torch.double), maps[block, 0]
        # Only some rows by differences, which is slow; the others by autograd of the same score.
        zero = torch.zeros_like(a, requires_grad=True)
        handle = body.blocks[block].attn.softmax.register_forward_hook(
            lambda m, args, out, zero=zero: out + zero
        )
        slope = torch.autograd.grad(net(x)[0, 2], zero)[0]
        handle.remove()
        for head, i, j in [(0, 0, 3), (1, 4, 0), (2, 25, 25)]:
            change = torch.zeros_like(a)
            change[head, i, j] = step
            difference = (score(block, change) - score(block, -change)) / (2 * step)
            assert difference.item() == pytest.approx(slope[head, i, j].item(), abs=1e-6)
        relevance = relevance + (slope * a).relu().mean(0) @ relevance
    assert torch.allclose(found[0], relevance, atol=1e-8)


def test_without_a_classifier_classes_are_refused():
    with pytest.raises(ValueError, match="has no classifier"):
        attention.gradient_rollout(network(), batch(), 0)


def test_explanations_have_the_size_of_the_picture_and_only_one_asks_for_the_class():
    net, x = with_head(), batch(2, 20, 28)
    for explain in (attention.last_attention, attention.rolled_out, attention.class_attention):
        one, other = explain(net, x, [0, 1]), explain(net, x, [2, 3])
        assert one.shape == (2, 20, 28)
        assert torch.equal(one, other) == (explain is not attention.class_attention)


# ------------------------------------------------------------------ tokens


def test_patch_maps_lay_tokens_out_in_reading_order():
    net, x = network(), batch(2, 20, 28)
    maps = attention.patch_maps(net, x)
    assert maps.shape == (2, 24, 5, 7)
    assert torch.equal(maps[1, :, 2, 3], net(x)[1, 1 + 2 * 7 + 3])
    with pytest.raises(ValueError, match="accepted: a block, or 'norm'"):
        attention.patch_maps(net, x, "attn1")


def test_the_first_component_finds_a_planted_object():
    maps = 0.1 * tiny.array(1, 3, 8, 6, 6)
    maps[:, :, 2:4, 2:5] += 2 * tiny.array(2, 8)[:, None, None]
    found = attention.first_component(maps) > 0
    assert found[:, 2:4, 2:5].all()
    assert found.sum() == 3 * 6


def test_equal_patches_get_equal_colours_in_all_pictures():
    maps = tiny.array(1, 2, 8, 4, 4)
    maps[1, :, 0, 0] = maps[0, :, 3, 3]
    colours = attention.principal_colours(maps)
    assert colours.shape == (2, 3, 4, 4)
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert torch.equal(colours[1, :, 0, 0], colours[0, :, 3, 3])
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[:, 1:3, 1:4] = True
    assert not attention.principal_colours(maps, masks).sum(1)[~masks].any()
    with pytest.raises(ValueError, match="accepted: four or more"):
        attention.principal_colours(maps, masks & False)


def test_counterparts_are_found_where_they_were_put():
    a, b = tiny.array(1, 8, 5, 5), tiny.array(2, 8, 5, 5)
    b[:, 4, 1] = 3 * a[:, 2, 3]  # longer, but the same direction
    found = attention.counterpart(a, (0.5, 0.7), b)
    assert found == pytest.approx((0.9, 0.3))
    parts = [{"eye": [(0.5, 0.7)], "ear": [(0.1, 0.1)]}, {"eye": [(0.85, 0.35)]}]
    maps = torch.stack([a, b])
    assert attention.part_hits(maps, parts)[0, 1, "eye"]
    nearer = [parts[0], {"eye": [(0.85, 0.35)], "ear": [(0.9, 0.3)]}]
    assert not attention.part_hits(maps, nearer)[0, 1, "eye"]
    assert set(attention.part_hits(maps, parts)) == {(0, 1, "eye"), (1, 0, "eye")}


def test_with_every_patch_kept_the_scores_are_the_networks():
    net, x = with_head(), batch()
    keep = torch.ones(2, 5, 5, dtype=torch.bool)
    assert torch.allclose(attention.kept_logits(net, x, keep), net(x), atol=1e-5)


def test_a_patch_that_is_left_out_has_no_say():
    net, x = with_head(), batch()
    keep = torch.ones(2, 5, 5, dtype=torch.bool)
    keep[:, 1, 2] = False
    changed = x.clone()
    changed[:, :, 4:8, 8:12] = 5
    assert torch.equal(
        attention.kept_logits(net, x, keep), attention.kept_logits(net, changed, keep)
    )
    for bad in (keep[:1], keep & False, keep.clone().index_fill(0, torch.tensor([0]), True)):
        with pytest.raises(ValueError, match="an equal number of patches in every image"):
            attention.kept_logits(net, x, bad)
    with pytest.raises(ValueError, match="has no head"):
        attention.kept_logits(network(), x, keep)


def test_dropped_patches_are_one_pass_for_each_place():
    net, x = with_head(), batch(1)
    found = attention.dropped_patches(net, x, 1, window=2, stride=3)
    assert found.shape == (2, 2)
    keep = torch.ones(1, 5, 5, dtype=torch.bool)
    keep[:, 3:5, 0:2] = False
    expected = net(x)[0, 1] - attention.kept_logits(net, x, keep)[0, 1]
    assert found[1, 0].item() == pytest.approx(expected.item(), abs=1e-5)
    with pytest.raises(ValueError, match="accepted: one image"):
        attention.dropped_patches(net, batch(2), 1)


def test_shuffled_pictures_have_the_same_squares_elsewhere():
    pixels = tiny.array(1, 2, 3, 12, 16)
    mixed = attention.shuffled(pixels, 4, seed=3)
    squares = lambda p: p.unfold(2, 4, 4).unfold(3, 4, 4).flatten(2, 3).transpose(1, 2)  # noqa: E731
    for before, after in zip(squares(pixels), squares(mixed), strict=True):
        same = (before[:, None] == after).flatten(2).all(2)
        assert same.sum(0).tolist() == [1] * 12
        assert not torch.equal(before, after)
    assert torch.equal(mixed, attention.shuffled(pixels, 4, seed=3))
    with pytest.raises(ValueError, match="accepted: a divisor of 12 and of 16"):
        attention.shuffled(pixels, 5)


def test_an_untrained_transformer_mixes_its_tokens():
    net, x = network(), batch()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    other = attention.untrained(net, seed=1)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    tokens = other(x)
    assert tokens.std(1).min() > 0.05
    assert torch.equal(attention.untrained(net, seed=1)(x), tokens)


# ------------------------------------------------------------------ heads


def test_a_head_reads_cls_of_tokens_and_the_mean_of_maps():
    net, x = network(), batch()
    assert torch.equal(attention.last_vector(net, x, "norm"), net(x)[:, 0])
    cnn = tiny.network()
    found = attention.last_vector(cnn, tiny.batch(), "conv2")
    with torch.no_grad():
        maps = cnn[:5](tiny.batch())
    assert torch.allclose(found, maps.mean((2, 3)))


def test_fitted_weights_are_for_vectors_as_they_are():
    x = tiny.array(1, 60, 5) * torch.tensor([1.0, 100, 0.01, 1, 1]) + 3
    targets = x[:, [0, 3, 4]].argmax(1)
    weight, bias = attention.fit_weights(x, targets)
    assert ((x @ weight.T + bias).argmax(1) == targets).float().mean() > 0.85
    with pytest.raises(ValueError, match="three classes or more"):
        attention.fit_weights(x, targets % 2)


def test_scenes_show_every_cutout_and_keep_backgrounds_apart():
    fit, test = (attention.scenes(part, each=1, side=28) for part in ("fit", "test"))
    assert [name for name, _ in fit.names] == [c.name for c in images.cutouts()]
    assert fit.masks.flatten(1).any(1).all()
    every = [{b for _, b in attention.scenes(p, each=4, side=28).names} for p in ("fit", "test")]
    assert not every[0] & every[1]
    assert len(test) == len(images.cutouts())
    with pytest.raises(ValueError, match="accepted: fit, test"):
        attention.scenes("train")


def test_the_stored_heads_name_the_cutouts_on_new_backgrounds():
    scenes = attention.scenes("test", each=1, seed=3).picked(range(0, 46, 4))
    for name in attention.LAST:
        model = attention.with_head(name, "cpu")
        assert model.labels == [c.name.replace("_", " ") for c in images.cutouts()]
        assert model.index("pink_flamingo") == model.labels.index("pink flamingo")
        with torch.no_grad():
            given = model(model.normalize(scenes.pixels)).argmax(1)
        assert (given == scenes.classes).float().mean() > 0.6
    with pytest.raises(ValueError, match="accepted: vit_small_dinov2_saliency"):
        attention.with_head("vgg16_hed")


def test_decided_scenes_are_those_whose_object_is_named():
    model = attention.with_head("squeezenet1_1", "cpu")
    found = attention.decided(model, attention.scenes("test", each=1, seed=3).picked(range(12)))
    assert 3 <= len(found) <= 12
    assert found.confidence.min() > 0.5
    for c, (name, _) in zip(found.classes.tolist(), found.names, strict=True):
        assert model.labels[c] == name.replace("_", " ")


def test_what_is_stored_is_found_by_its_name():
    assert attention.stored("inversions")["side"] == 112
    with pytest.raises(ValueError, match="Did you mean 'inversions'"):
        attention.stored("inversion")


def test_every_marked_part_lies_in_its_picture():
    pixels, parts = attention.animals(56)
    assert pixels.shape == (15, 3, 56, 56)
    assert len(parts) == 15
    for animal in parts:
        assert {"eye", "nose"} <= animal.keys()
        assert all(0 < number < 1 for points in animal.values() for p in points for number in p)


# ------------------------------------------------------------------ the explorer


def test_the_explorer_shows_what_the_matrix_says():
    net = network()
    explorer = widgets.attention_explorer(net, ["panda", "koala"], block=2)
    controls = explorer.controls
    assert (controls["block"].max, controls["row"].max) == (3, 4)
    controls["row"].value, controls["column"].value = 3, 1
    maps = attention.look(net, net.preprocess(images.photo("panda").pixels()), [2])[0, 0, 0]
    own, cls = 100 * maps[1 + 3 * 5 + 1, 1 + 3 * 5 + 1], 100 * maps[1 + 3 * 5 + 1, 0]
    assert f"takes {cls:.0f} % from [CLS] and {own:.1f} % from itself" in explorer.text
    controls["cls"].value = True
    assert f"[CLS] keeps {100 * maps[0, 0]:.0f} % for itself" in explorer.text
    controls["head"].value = "mean of the heads"
    assert "block 2, mean of the heads, panda" in explorer.text


def test_only_a_new_photo_costs_the_explorer_a_pass():
    net, passes = network(), []
    explorer = widgets.attention_explorer(net, ["panda", "koala"])
    handle = net.register_forward_hook(lambda *args: passes.append(1))
    for name, value in {"block": 3, "row": 0, "column": 4, "head": 2, "cls": True}.items():
        explorer.controls[name].value = value
    assert passes == []
    chooser = explorer.controls["photo"].list
    chooser.value = list(chooser.options)[1][1]
    assert passes == [1]
    handle.remove()
    with pytest.raises(ValueError, match="has no attention"):
        widgets.attention_explorer(tiny.network())
