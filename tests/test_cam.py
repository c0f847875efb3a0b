"""Class activation maps by their identities, Grad-CAM against captum and naive loops, boxes."""

import re
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

from course_utils import cam, guided, images, layers, widgets

REFERENCE = np.load(Path(__file__).parent / "reference" / "cam.npz")
PHOTO = np.load(Path(__file__).parent / "reference" / "saliency.npz")["photo"]
CLASSES = [0, 3, 4]


def score_from_map(found, maps, classes):
    """What the identities say the scores are."""
    index = torch.as_tensor(classes)
    if found.rectified:
        return (maps + found.bias[index, None, None]).relu().mean((1, 2))
    return maps.mean((1, 2)) + found.bias[index]


# ------------------------------------------------------------------ the head and the CAM


@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0"])
def test_the_score_is_the_mean_of_the_map_in_the_trained_networks(zoo, name):
    net = zoo[name]
    x = net.preprocess([images.photo(p) for p in ("panda", "dog", "hedgehog")])
    classes = [388, 235, 0]
    found, maps = cam.head(net, x), cam.cam(net, x, classes)
    assert found.rectified == (name == "squeezenet1_1")
    with torch.no_grad():
        scores = net(x)[torch.arange(3), classes]
    assert torch.allclose(found.scores[torch.arange(3), classes], scores, rtol=0, atol=1e-4)
    assert torch.allclose(score_from_map(found, maps, classes), scores, rtol=0, atol=1e-4)


def test_the_map_is_that_of_a_loop():
    maps, weight, classes = tiny.array(1, 2, 4, 3, 5), tiny.array(2, 6, 4), torch.tensor([5, 1])
    ours = cam.class_activation_map(maps, weight, classes)
    for n, c in enumerate(classes):
        for i in range(3):
            for j in range(5):
                naive = sum(weight[c, k] * maps[n, k, i, j] for k in range(4))
                assert ours[n, i, j].item() == pytest.approx(naive.item(), abs=1e-5)


class ByFunctions(nn.Module):
    """Pools by a method and classifies by a function; no layer has the pooled maps as output."""

    def __init__(self, pool):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), pool
        self.weight = nn.Parameter(tiny.array(3, 5, 4))

    def forward(self, x):
        maps = nn.functional.relu(self.conv(x), inplace=True)
        return nn.functional.linear(torch.flatten(self.pool(maps), 1), self.weight)


POOLS = {
    "mean": lambda maps: maps.mean((2, 3)),
    "mean by names": lambda maps: maps.mean(dim=(-1, -2), keepdim=True),
    "function": lambda maps: nn.functional.adaptive_avg_pool2d(maps, 1),
    "window as large as the map": nn.AvgPool2d(14),
}


@pytest.mark.parametrize("pool", POOLS)
def test_pooling_is_found_however_it_is_written(pool):
    net = tiny.fill(ByFunctions(POOLS[pool]))
    found, maps = cam.head(net, tiny.batch()), cam.cam(net, tiny.batch(), [4, 2])
    assert torch.allclose(
        score_from_map(found, maps, [4, 2]), net(tiny.batch())[[0, 1], [4, 2]], atol=1e-5
    )


class HeadFirst(ByFunctions):
    """Makes its last layers before its first one, and more of them than are looked at."""

    def __init__(self, pool):
        super().__init__(pool)
        self.unused = nn.Sequential(*(nn.ReLU() for _ in range(9)))


def test_a_head_is_found_wherever_its_layers_were_made():
    net, calls = tiny.fill(HeadFirst(POOLS["mean"])), []
    net.register_forward_hook(lambda *args: calls.append(1))
    expected = cam.cam(tiny.fill(ByFunctions(POOLS["mean"])), tiny.batch(), 1)
    assert torch.equal(cam.cam(net, tiny.batch(), 1), expected)
    assert len(calls) == 2  # once more, all of it recorded
    assert torch.equal(cam.cam(lambda x: net(x), tiny.batch(), 1), expected)
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0"])
def test_the_head_of_a_shipped_network_needs_one_pass(zoo, name):
    calls, net = [], zoo[name]
    handle = net.register_forward_hook(lambda *args: calls.append(1))
    cam.cam(net, torch.rand(1, 3, 70, 70, device=net.device), 1)
    handle.remove()
    assert len(calls) == 1


@pytest.mark.parametrize("inplace", [False, True])
def test_a_convolution_before_the_pooling_is_a_head_too(inplace):
    parts = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Dropout(), nn.Conv2d(6, 5, 1), nn.ReLU(inplace)]
    net = tiny.fill(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    found, maps = cam.head(net, tiny.batch()), cam.cam(net, tiny.batch(), [1, 2])
    assert found.rectified
    scores = net(tiny.batch())[[0, 1], [1, 2]]
    assert torch.allclose(score_from_map(found, maps, [1, 2]), scores, atol=1e-5)
    bare = nn.Sequential(*parts[:4], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert not cam.head(bare, tiny.batch()).rectified


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "squeezenet1_0", "shufflenet_v2_x0_5"]
)
def test_the_heads_of_other_networks_fit(name):
    net = torchvision.models.get_model(name, weights=None).eval()
    x = tiny.batch(side=64)
    found, maps = cam.head(net, x), cam.cam(net, x, [3, 7])
    with torch.no_grad():
        scores = net(x)[[0, 1], [3, 7]]
    assert torch.allclose(score_from_map(found, maps, [3, 7]), scores, atol=1e-5)


REFUSED = {
    "two linear layers": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 6), nn.ReLU()],
    "pooling to 2 x 2": [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)],
    "maximum": [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, 5)],
    "no pooling": [nn.Flatten(), nn.Linear(6 * 14 * 14, 5)],
    "a wide convolution": [nn.Conv2d(6, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
}


@pytest.mark.parametrize("which", REFUSED)
def test_other_heads_are_refused(which):
    parts = REFUSED[which]
    parts = parts + [nn.Linear(6, 5)] if which == "two linear layers" else parts
    net = tiny.fill(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), *parts))
    with pytest.raises(ValueError, match="no class activation maps.*grad_cam"):
        cam.cam(net, tiny.batch(), 0)


def test_a_network_without_classifier_is_refused():
    with pytest.raises(ValueError, match=r"its output has shape .*, not \(N, classes\)"):
        cam.cam(tiny.network()[:5], tiny.batch(), 0)


def test_the_edge_network_is_refused(zoo):
    with pytest.raises(ValueError, match="class"):
        cam.cam(zoo["vgg16_hed"], torch.zeros(1, 3, 64, 64, device=zoo["vgg16_hed"].device), 0)


def test_a_dropout_that_is_on_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout())
    net = tiny.fill(nn.Sequential(*net, nn.Linear(6, 5)))
    cam.cam(net, tiny.batch(), 0)
    with pytest.raises(ValueError, match="eval mode"):
        cam.cam(net.train(), tiny.batch(), 0)


# ------------------------------------------------------------------ Grad-CAM


@pytest.mark.parametrize("layer", ["conv1", "relu1", "pool1", "conv2", "relu2"])
def test_it_agrees_with_captum_before_the_relu(layer):
    maps, alpha = cam.channel_weights(tiny.network(), tiny.batch(n=3), CLASSES, layer)
    ours, expected = torch.einsum("nk,nkhw->nhw", alpha, maps), REFERENCE[f"tiny_{layer}"]
    assert np.allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    after = cam.grad_cam(tiny.network(), tiny.batch(n=3), CLASSES, layer)
    assert torch.equal(after, ours.relu())


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        *(("squeezenet1_1", layer) for layer in ("fire5", "fire9")),
        *(("efficientnet_lite0", layer) for layer in ("block4", "head")),
    ],
)
def test_it_agrees_with_captum_on_the_trained_networks(zoo, name, layer):
    net = zoo[name]
    x = net.normalize(images.read(PHOTO))[None]
    expected = torch.from_numpy(REFERENCE[f"{name}_{layer}"]).relu()
    ours = cam.grad_cam(net, x, "giant panda", layer)[0].cpu()
    assert torch.allclose(ours, expected, rtol=0, atol=2e-3 * expected.max().item())


def test_the_weights_are_those_of_finite_differences():
    net, x, step = tiny.network().double(), tiny.batch().double(), 1e-6
    maps, alpha = cam.channel_weights(net, x, [1, 3], "relu1")
    rest = net[3:]
    with torch.no_grad():
        for k in range(8):
            nudge = torch.zeros_like(maps)
            nudge[:, k] = step
            up, down = rest(maps + nudge), rest(maps - nudge)
            slope = ((up - down) / (2 * step))[[0, 1], [1, 3]] / maps[0, 0].numel()
            assert torch.allclose(alpha[:, k], slope, rtol=1e-5, atol=1e-9)


def test_it_is_the_cam_without_its_negative_part_at_the_last_layer():
    net, x = tiny.network(), tiny.batch()
    maps = cam.cam(net, x, [1, 3])
    ours = cam.grad_cam(net, x, [1, 3], "relu2") * maps[0].numel()
    assert maps.min() < 0
    assert torch.allclose(ours, maps.relu(), atol=1e-5)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("inplace", [True, False])
def test_frozen_networks_and_in_place_layers_give_the_same(frozen, inplace):
    net = tiny.network(inplace=inplace).requires_grad_(not frozen)
    expected = cam.grad_cam(tiny.network(), tiny.batch(), 2, "conv1")
    with torch.no_grad():
        assert torch.equal(cam.grad_cam(net, tiny.batch(), 2, "conv1"), expected)


def test_residual_networks_add_in_place_and_use_a_relu_twice():
    net = torchvision.models.resnet18(weights=None).eval().requires_grad_(False)
    x = tiny.batch(side=64)
    for layer in ("layer1.0.relu", "layer3", "layer4.1.bn2"):
        maps, alpha = cam.channel_weights(net, x, 5, layer)
        with layers.capture(net, layer) as seen:
            score = net(x.clone().requires_grad_())[:, 5].sum()
        slopes = torch.autograd.grad(score, seen[layer])[0]
        assert torch.allclose(maps, seen[layer])
        assert torch.allclose(alpha, slopes.mean((2, 3)), rtol=1e-4, atol=1e-8)


def test_a_map_without_evidence_is_zero_and_not_nan():
    net = tiny.network()
    with torch.no_grad():
        net.classifier.weight[1] = -net.classifier.weight[1].abs()
    ours = cam.grad_cam(net, tiny.batch(), 1, "relu2")
    assert torch.equal(ours, torch.zeros_like(ours))
    assert torch.isfinite(cam.guided_grad_cam(net, tiny.batch(), 1, "relu2")).all()
    assert cam.cam(net, tiny.batch(), 1).max() <= 0


def test_images_of_a_batch_do_not_mix():
    net, x = tiny.network(), tiny.batch(n=3)
    together = cam.grad_cam(net, x, CLASSES, "relu1")
    alone = [cam.grad_cam(net, x[i : i + 1], CLASSES[i], "relu1")[0] for i in range(3)]
    assert torch.allclose(together, torch.stack(alone), atol=1e-6)


def test_the_map_follows_the_class_asked_for(efficientnet):
    cat, dog = images.photo("chelsea").pixels(), images.photo("dog").pixels()
    halves = [images.square(cat[..., 60:360], 224), images.square(dog[..., -360:], 224)]
    x = efficientnet.normalize(torch.cat(halves, 2))[None]
    for label, low, high in (("Egyptian cat", 0.8, 1), ("German shepherd", 0, 0.2)):
        wide = cam.upsample(cam.grad_cam(efficientnet, x, label, "head"), (224, 448))[0]
        assert low < (wide[:, :224].sum() / wide.sum()).item() < high


def test_guided_grad_cam_is_the_product():
    net, x = tiny.network(), tiny.batch()
    ours = cam.guided_grad_cam(net, x, [1, 3], "relu2")
    factor = cam.upsample(cam.grad_cam(net, x, [1, 3], "relu2"), 16)
    assert torch.allclose(ours, guided.guided_gradient(net, x, [1, 3]) * factor[:, None])


def test_bad_arguments_are_named():
    net, x = tiny.network(), tiny.batch()
    with pytest.raises(ValueError, match="'relu1'"):
        cam.grad_cam(net, x, 0, "rleu1")
    with pytest.raises(ValueError, match="feature maps"):
        cam.grad_cam(net, x, 0, "classifier")
    with pytest.raises(ValueError, match="classes"):
        cam.grad_cam(net, x, 9, "relu1")
    with pytest.raises(ValueError, match="classes"):
        cam.cam(net, x, 9)
    for function in (cam.cam, lambda *args: cam.grad_cam(*args, "relu1")):
        with pytest.raises(ValueError, match="x: "):
            function(net, x[0], 0)
        with pytest.raises(ValueError, match="x: "):
            function(net, x[:0], 0)
        with pytest.raises(ValueError, match="x: "):
            function(net, x * torch.nan, 0)
    with pytest.raises(ValueError, match="weight"):
        cam.class_activation_map(tiny.array(0, 1, 4, 3, 3), tiny.array(1, 5, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="one for each"):
        cam.class_activation_map(tiny.array(0, 2, 4, 3, 3), tiny.array(1, 5, 4), torch.tensor([0]))


def test_a_layer_without_influence_is_refused():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = tiny.network(), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match="do not depend"):
        cam.grad_cam(Aside(), tiny.batch(), 0, "idle")


# ------------------------------------------------------------------ sizes and boxes


def test_enlarged_values_sit_in_the_middle_of_their_cells():
    maps = tiny.array(4, 1, 3, 3)
    large = cam.upsample(maps, 9)
    assert torch.allclose(large[:, 1::3, 1::3], maps, atol=1e-6)
    assert torch.allclose(large[0, 0, 0], maps[0, 0, 0])  # constant in the outermost half cell
    assert cam.upsample(maps, (6, 9)).shape == (1, 6, 9)
    with pytest.raises(ValueError, match="maps"):
        cam.upsample(maps[0], 9)


@given(st.integers(0, 10**6), st.floats(0, 0.95))
def test_the_box_is_that_of_scipy(seed, share):
    heat = torch.from_numpy(ndimage.gaussian_filter(tiny.array(seed, 14, 11).numpy(), 1.0))
    labels, n = ndimage.label((heat > share * heat.max()).numpy())
    sizes = [(labels == i).sum() for i in range(1, n + 1)]
    box = cam.largest_box(heat, share)
    slices = ndimage.find_objects(labels)
    same = [i for i in range(n) if sizes[i] == max(sizes)]
    boxes = [(s[0].start, s[1].start, s[0].stop, s[1].stop) for s in slices]
    assert box in [boxes[i] for i in same]


@given(*[st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))] * 2)
def test_overlap_of_boxes_is_that_of_their_masks(a, b):
    boxes = [(t, le, t + h, le + w) for t, le, h, w in (a, b)]
    masks = torch.zeros(2, 20, 20, dtype=torch.bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
        assert cam.mask_box(mask) == (top, left, bottom, right)
    overlap = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert cam.box_iou(*boxes) == pytest.approx(overlap.item(), abs=1e-6)


def test_boxes_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no value above zero"):
        cam.largest_box(torch.zeros(4, 4), 0.2)
    with pytest.raises(ValueError, match="share"):
        cam.largest_box(torch.ones(4, 4), 1)
    with pytest.raises(ValueError, match="finite"):
        cam.largest_box(torch.full((4, 4), torch.nan), 0.2)
    with pytest.raises(ValueError, match="empty"):
        cam.mask_box(torch.zeros(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="no area"):
        cam.box_iou((0, 0, 0, 0), (1, 1, 1, 1))
    with pytest.raises(ValueError, match="share"):
        cam.centre_box((4, 4), 0)


def test_centre_boxes_and_outlines():
    assert cam.centre_box((100, 200), 0.5) == (25, 50, 75, 150)
    assert cam.centre_box((7, 7), 1) == (0, 0, 7, 7)
    drawn = cam.outlined(torch.zeros(3, 10, 10), (2, 3, 8, 9), (1, 0, 0), width=1)
    assert drawn[0].sum() == 6 * 2 + 4 * 2
    assert drawn[1:].sum() == 0
    assert cam.outlined(torch.zeros(3, 4, 4), (0, 0, 1, 1), (1, 1, 1)).sum() == 3


# ------------------------------------------------------------------ the explorer


def test_the_explorer_says_where_the_map_lies_and_why_it_is_dark(efficientnet):
    explorer = widgets.cam_explorer(efficientnet)
    assert "Egyptian cat" in explorer.text
    assert left_share(explorer) > 70
    explorer.controls["class_index"].value = efficientnet.index("German shepherd")
    assert left_share(explorer) < 30
    explorer.controls["method"].value = "CAM"
    assert explorer.controls["layer"].disabled
    assert left_share(explorer) < 30
    explorer.controls["method"].value = "guided Grad-CAM"
    assert not explorer.controls["layer"].disabled
    explorer.controls["layer"].value = 0
    assert "stem, 112 × 112" in explorer.text


def left_share(explorer):
    """The number in the explorer's sentence."""
    return int(re.search(r"(\d+) % of the map lies in the left", explorer.text)[1])


def test_the_explorer_explains_a_dark_map(efficientnet):
    explorer = widgets.cam_explorer(efficientnet, ["panda"])
    explorer.controls["class_index"].value = efficientnet.index("Shetland sheepdog")
    assert "no place speaks for this class" in explorer.text


def test_opacity_needs_no_pass_of_the_network(squeezenet, monkeypatch):
    explorer = widgets.cam_explorer(squeezenet, ["panda"])
    monkeypatch.setattr(squeezenet, "forward", None)
    explorer.controls["opacity"].value = 0.3
    assert explorer.error is None
