"""Layers by name, activations without leftovers, and receptive fields that are exactly right."""

import copy

import pytest
import tiny
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_utils import layers, models
from course_utils.common import gate

# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", models.OFFLINE)
def test_every_name_and_every_path_finds_its_module(zoo, name):
    net = zoo[name]
    assert layers.names(net) == list(net.layers)
    for layer, path in net.layers.items():
        part = layers.find(net, layer)
        assert part is net.module.get_submodule(path)
        assert layers.find(net, path) is part
        assert layers.find(net, f"module.{path}") is part
        assert layers.find(net, part) is part


def test_a_plain_network_is_known_by_its_paths():
    net = tiny.network()
    assert layers.names(net) == [name for name, _ in net.named_children()]
    assert layers.find(net, "relu2") is net.relu2


@pytest.mark.parametrize(
    ("layer", "meant"), [("fire55", "fire5"), ("Fire5", "fire5"), ("relu", "relu1"), ("", None)]
)
def test_unknown_layers_suggest_near_ones(squeezenet, layer, meant):
    with pytest.raises(ValueError, match=rf"layer='{layer}'.*layers of squeezenet1_1") as raised:
        layers.find(squeezenet, layer)
    assert meant is None or f"Did you mean '{meant}'" in str(raised.value)


def test_a_module_of_another_network_is_refused(squeezenet):
    with pytest.raises(ValueError, match="this ReLU is not a part of the network"):
        layers.find(squeezenet, nn.ReLU())


# ------------------------------------------------------------------ capture


def hooks(model):
    """The number of hooks of every kind on a network."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, kind)) for part in model.modules() for kind in kinds)


def test_a_captured_layer_is_what_its_part_of_the_network_computes():
    net, x = tiny.network(), tiny.batch()
    with layers.capture(net, "relu1", "conv2", net.pool2) as seen:
        scores = net(x)
    relu1 = net.relu1(net.norm1(net.conv1(x)))
    conv2 = net.conv2(net.pool1(relu1))
    assert torch.equal(seen["relu1"], relu1)
    assert torch.equal(seen["conv2"], conv2)
    assert torch.equal(net.classifier(seen[net.pool2].flatten(1)), scores)
    assert hooks(net) == 0


@pytest.mark.parametrize("name", models.OFFLINE)
def test_capturing_changes_no_answer(zoo, name):
    net = zoo[name]
    x = torch.rand(1, 3, 70, 70, device=net.device)
    plain = net(x)
    with layers.capture(net, *net.layers) as seen:
        assert torch.equal(net(x), plain)
    assert list(seen) == list(net.layers)
    assert torch.equal(seen[list(net.layers)[-1]].flatten(), plain.flatten())


@pytest.mark.parametrize("name", models.OFFLINE)
def test_no_shipped_network_writes_on_what_was_captured(zoo, name):
    net = zoo[name]
    assert not net.overwrites  # so nothing is copied
    x = torch.rand(1, 3, 70, 70, device=net.device)
    written, kept = {}, {}

    def keep(module, args, output):
        written[module], kept[module] = output._version, (output, output.clone())

    handles = [layers.find(net, layer).register_forward_hook(keep) for layer in net.layers]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    assert all(output._version == written[part] for part, (output, _) in kept.items())
    assert all(torch.equal(output, before) for output, before in kept.values())


def test_a_network_that_may_overwrite_goes_on_with_copies():
    net = models.Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    net.module[1].inplace, x = True, tiny.batch()
    with layers.capture(net, "0") as seen:
        net(x)
    assert net.overwrites
    assert torch.equal(seen["0"], net.module[0](x))


def test_hooks_are_gone_after_an_exception():
    net = tiny.network()
    with pytest.raises(RuntimeError, match="channels"), layers.capture(net, "relu1"):
        net(torch.zeros(1, 7, 16, 16))  # a wrong number of channels
    assert hooks(net) == 0


def test_a_pass_looks_through_the_network_once_however_many_layers(squeezenet, monkeypatch):
    """A third of a small picture's pass went into looking for each layer anew."""
    looked, look = [], gate.check_open
    monkeypatch.setattr(gate, "check_open", lambda model: looked.append(1) or look(model))
    wanted = ("relu1", "fire2", "fire4", "fire5")
    seen = layers.forward_until(squeezenet, torch.zeros(1, 3, 64, 64), *wanted)
    assert list(seen) == list(wanted)
    assert len(looked) == 1


def test_an_unknown_layer_leaves_no_hook_on_the_known_ones():
    net = tiny.network()
    with pytest.raises(ValueError, match="rellu1"), layers.capture(net, "conv1", "rellu1"):
        pass
    assert hooks(net) == 0


def test_captures_may_overlap_and_end_in_any_order():
    net, x = tiny.network(), tiny.batch()
    first, second = layers.capture(net, "relu1"), layers.capture(net, "relu1", "conv2")
    one, two = first.__enter__(), second.__enter__()
    net(x)
    assert torch.equal(one["relu1"], two["relu1"])
    first.__exit__(None, None, None)
    net(2 * x)
    assert not torch.equal(one["relu1"], two["relu1"])
    assert hooks(net) == 2
    second.__exit__(None, None, None)
    assert hooks(net) == 0


def test_a_captured_output_can_be_differentiated():
    net, x = tiny.network(), tiny.batch().requires_grad_()
    with layers.capture(net, "relu1") as seen:
        score = net(x)[:, 2].sum()
    (ours,) = torch.autograd.grad(score, seen["relu1"])
    relu1 = seen["relu1"].detach().requires_grad_()
    (expected,) = torch.autograd.grad(net[3:](relu1)[:, 2].sum(), relu1)
    assert torch.allclose(ours, expected, atol=1e-7)
    assert seen["relu1"].grad_fn is not None


def test_inplace_layers_after_it_do_not_overwrite_a_captured_output():
    net, x = tiny.network(inplace=True), tiny.batch()
    with layers.capture(net, "norm1", "conv2") as seen:
        net(x)
    assert torch.equal(seen["norm1"], net.norm1(net.conv1(x)))
    assert seen["conv2"].min() < 0


def test_resnets_inplace_sum_does_not_overwrite_a_captured_output():
    net = models.Network(tiny.fill(torchvision.models.resnet18()))
    block, x = net.module.layer1[0], tiny.batch(side=32)
    with layers.capture(net, "layer1.0.relu", "layer1.0.bn2", "maxpool") as seen:
        net(x)
    before = block.relu(block.bn1(block.conv1(seen["maxpool"])))
    assert torch.allclose(seen["layer1.0.bn2"], block.bn2(block.conv2(before)), atol=1e-5)


def test_activations_have_no_gradient_and_may_enter_later_losses():
    net, x = tiny.network(), tiny.batch().requires_grad_()
    target = layers.activations(net, x, "relu2")
    assert target.grad_fn is None
    assert not target.requires_grad
    assert not target.is_inference()
    with layers.capture(net, "relu2") as seen:
        net(x)
    assert torch.equal(seen["relu2"], target)
    (seen["relu2"] - 0.5 * target).square().sum().backward()  # inference tensors would fail here
    assert x.grad.abs().sum() > 0


# ------------------------------------------------------------------ receptive fields


class Bare(nn.Module):
    """Stands for an activation or a normalisation that changes nothing."""

    def forward(self, x):
        return x


def transparent(net):
    """A copy in which a unit is above 0 exactly where a pixel above 0 lies in its field.

    All weights are positive, all biases 0, and what could hide or invent a signal is bare.
    """
    net = copy.deepcopy(net).cpu().double()
    bare = nn.BatchNorm2d | nn.ReLU | nn.ReLU6 | nn.Dropout
    for parent in list(net.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, bare):
                setattr(parent, name, Bare())
    for part in net.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return net


def probes(height, width):
    """Pixels to light up, one for each image: corners, the border, the inside."""
    return [
        (0, 0),
        (1, width - 1),
        (height // 2, width // 3),
        (height // 3, width - 2),
        (height - 1, width // 2),
    ]


def assert_exact(net, names, size):
    """Every unit of every layer sees exactly the pixels that its field claims."""
    height, width = size
    lit = probes(height, width)
    x = torch.zeros(len(lit), 3, height, width, dtype=torch.double)
    for image, (row, column) in zip(x, lit, strict=True):
        image[:, row, column] = 1
    glass = transparent(net)
    with torch.no_grad(), layers.capture(glass, *names) as seen:
        glass(x)
    for name in names:
        field = layers.receptive_field(net, name, size)
        found = seen[name].amax(1) > 0
        assert found.shape[1:] == field.shape, (name, size)
        for units, (row, column) in zip(found, lit, strict=True):
            down = (field.rows.first <= row) & (row <= field.rows.last)
            across = (field.columns.first <= column) & (column <= field.columns.last)
            assert torch.equal(units, down[:, None] & across), (name, size, row, column)


SPATIAL = {
    "squeezenet1_1": ["conv1", "pool1", "fire2", "pool3", "fire5", "pool5", "fire9", "conv10"],
    "vgg16_hed": ["conv1_1", "conv1_2", "pool1", "relu2_2", "pool3", "conv4_2", "conv5_1"],
    "efficientnet_lite0": ["stem", "block1", "block2", "block3", "block4", "block6", "head"],
}


@pytest.mark.parametrize("size", [(65, 91), (96, 70)])
@pytest.mark.parametrize("name", SPATIAL)
def test_every_unit_sees_exactly_its_field(zoo, name, size):
    assert_exact(zoo[name], SPATIAL[name], size)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0"])
def test_every_unit_sees_exactly_its_field_at_the_size_of_the_course(zoo, name):
    assert_exact(zoo[name], SPATIAL[name], (224, 224))


TORCHVISION = {
    "resnet18": [
        "conv1",
        "maxpool",
        "layer1.0.relu",
        "layer1",
        "layer2.0",
        "layer2.0.downsample",
        "layer4",
    ],
    "googlenet": ["conv1", "maxpool1", "inception3a", "maxpool3", "inception4e", "inception5b"],
    "alexnet": ["conv1", "pool1", "conv2", "conv5", "pool5", "avgpool"],
    "inception_v3": ["Conv2d_4a_3x3", "Mixed_5b", "Mixed_6a", "Mixed_7a"],
    "squeezenet1_0": ["features.0", "features.12"],
}


@pytest.mark.slow
@pytest.mark.parametrize("size", [(129, 98), (160, 112)])
@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_units_see_exactly_their_fields(name, size):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    module = torchvision.models.get_model(name, weights=None, **options)
    table = models.alexnet_layers(module) if name == "alexnet" else None
    net = models.Network(module, name, layers=table)
    assert_exact(net, TORCHVISION[name], size)


def test_googlenets_own_normalisation_does_not_change_its_fields():
    plain, shifting = (
        torchvision.models.googlenet(init_weights=False, transform_input=on, aux_logits=False)
        for on in (False, True)
    )
    one, other = (layers.receptive_field(net, "inception4a", 160) for net in (plain, shifting))
    assert torch.equal(one.rows.first, other.rows.first)
    assert one.size == other.size


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.integers(0, 2),
    pool=st.integers(2, 3),
    ceil=st.booleans(),
    size=st.tuples(st.integers(24, 41), st.integers(24, 41)),
)
def test_every_geometry_is_followed(kernel, stride, dilation, padding, pool, ceil, size):
    # A dilated window skips pixels, so it comes first: windows after it fill the gaps.
    net = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=dilation, dilation=dilation),
        nn.Conv2d(2, 2, 2 * dilation - 1, padding="same"),
        nn.Conv2d(2, 2, (max(kernel, stride), 3), (stride, 1), padding=(min(padding, kernel), 0)),
        nn.MaxPool2d(pool, 2, padding=min(padding, pool // 2), ceil_mode=ceil),
        nn.AdaptiveAvgPool2d((2, None)),
    )
    assert_exact(net, ["0", "1", "2", "3", "4"] if dilation == 1 else ["2", "3", "4"], size)


@pytest.mark.parametrize(
    ("name", "layer", "size", "stride"),
    [
        ("squeezenet1_1", "conv1", 3, 2),
        ("squeezenet1_1", "fire5", 63, 8),
        ("vgg16_hed", "relu4_2", 76, 8),
        ("vgg16_hed", "conv5_1", 132, 16),
        ("efficientnet_lite0", "stem", 3, 2),
    ],
)
def test_known_sizes(zoo, name, layer, size, stride):
    field = layers.receptive_field(zoo[name], layer, 224)
    assert field.size == (size, size)
    assert field.stride == (stride, stride)


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [("alexnet", "conv5", 163), ("resnet18", "layer4", 435), ("vgg16", "conv5_3", 196)],
)
def test_known_sizes_of_torchvisions(name, layer, size):
    with torch.device("meta"):
        module = torchvision.models.get_model(name, weights=None)
    table = {
        "alexnet": lambda: models.alexnet_layers(module),
        "vgg16": lambda: models.vgg_layers(module.features),
    }.get(name, dict)()
    # Araujo, Norris & Sim (Distill 2019) list AlexNet's conv5 as 163 and VGG-16's conv5_3 as 196.
    path = table.get(layer, layer)
    assert layers.receptive_field(module, path, 224).size == (size, size)


@pytest.mark.parametrize("name", SPATIAL)
def test_a_unit_far_from_every_border_has_the_interior_size(zoo, name):
    for layer in SPATIAL[name]:
        field = layers.receptive_field(zoo[name], layer, (2000, 1800))
        top, left, bottom, right = field.box(field.shape[0] // 2, field.shape[1] // 2)
        assert (bottom - top, right - left) == field.size
        below = field.box(field.shape[0] // 2 + 1, field.shape[1] // 2)
        assert below[0] - top == field.stride[0]


@pytest.mark.parametrize("layer", ["fire5", "fire9"])
def test_the_trained_network_does_not_react_to_pixels_outside(squeezenet, panda, layer):
    field = layers.receptive_field(squeezenet, layer, 224)
    rows, columns = field.shape
    for row, column in ((0, 0), (rows // 2, 3), (rows - 1, columns - 1)):
        top, left, bottom, right = field.box(row, column)
        outside = torch.ones(224, 224, dtype=torch.bool, device=panda.device)
        outside[top:bottom, left:right] = False
        changed = torch.where(outside, torch.randn_like(panda), panda)
        inside = torch.where(outside, panda, torch.randn_like(panda))
        before, same, other = (
            layers.activations(squeezenet, x, layer)[0, :, row, column]
            for x in (panda, changed, inside)
        )
        assert torch.allclose(before, same, atol=1e-4 * before.abs().max().item())
        assert not torch.allclose(before, other, atol=0.1 * before.abs().max().item())


def test_after_a_gate_over_all_positions_every_unit_sees_everything():
    net = torchvision.models.mobilenet_v3_small(weights=None)
    field = layers.receptive_field(net, "features.1", 64)  # with squeeze-and-excitation
    assert field.box(0, 0)[:2] == (0, 0)
    assert field.box(0, 0)[2] >= 63


def test_the_last_pool_sees_what_any_unit_sees(squeezenet):
    pool, before = (layers.receptive_field(squeezenet, n, 224) for n in ("pool10", "conv10"))
    assert pool.shape == (1, 1)
    top, left, bottom, right = pool.box(0, 0)
    assert (top, left) == (0, 0)
    assert (bottom, right) == (before.box(12, 12)[2], before.box(12, 12)[3])
    assert bottom == 223  # conv1 has stride 2 and no padding: the last of 224 pixels is never seen


@pytest.mark.parametrize("unit", [(-1, 0), (0, 27), (27, 0)])
def test_units_that_are_not_there_are_refused(squeezenet, unit):
    field = layers.receptive_field(squeezenet, "fire5", 224)
    with pytest.raises(IndexError, match=r"outside the \(27, 27\) units"):
        field.box(*unit)


def test_layers_without_positions_have_no_field(efficientnet):
    with pytest.raises(ValueError, match="layer='classifier' has no rows and columns"):
        layers.receptive_field(efficientnet, "classifier")
    with pytest.raises(ValueError, match="layer='heads'"):
        layers.receptive_field(efficientnet, "heads")


class Resized(nn.Sequential):
    """Its geometry is not followed: pixels are interpolated."""

    def forward(self, x):
        return super().forward(nn.functional.interpolate(x, scale_factor=2))


class Branching(nn.Sequential):
    """Its forward pass depends on the data."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def test_a_geometry_that_is_not_followed_is_said_and_never_guessed():
    net = Resized(nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match="lies behind an operation whose geometry is not followed"):
        layers.receptive_field(net, "0", 32)
    with pytest.raises(ValueError, match=r"Branching cannot be traced"):
        layers.receptive_field(Branching(nn.Conv2d(3, 4, 3)), "0", 32)
    with pytest.raises(ValueError, match="has no rows and columns"):
        layers.receptive_field(net, net, 32)


class Chosen(nn.Sequential):
    """Applies its layers to a part of the input."""

    def __init__(self, index, *parts):
        super().__init__(*parts)
        self.index = index

    def forward(self, x):
        return super().forward(x[self.index])


def test_choosing_channels_keeps_the_geometry_and_choosing_pixels_does_not():
    everything = slice(None)
    net = Chosen((everything, slice(1, 3)), nn.Conv2d(2, 4, 3))
    assert layers.receptive_field(net, "0", 32).shape == (30, 30)
    for index in ((everything, everything, slice(1, 9)), (..., slice(1, 9))):
        net = Chosen(index, nn.Conv2d(3, 4, 3))
        with pytest.raises(ValueError, match="not followed"):
            layers.receptive_field(net, "0", 32)


def test_of_a_layer_that_runs_twice_the_last_pass_counts():
    conv = nn.Conv2d(3, 3, 3)
    net = nn.Sequential(conv, nn.ReLU(), conv)
    field = layers.receptive_field(net, "0", 32)
    assert field.size == (5, 5)
    assert field.shape == layers.activations(net, torch.zeros(1, 3, 32, 32), "0").shape[2:]


class Spare(nn.Module):
    """A network with a layer that its pass never comes to."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.spare = (nn.ReLU() for _ in range(4))

    def forward(self, x):
        return self.third(self.second(self.first(x)))


def test_a_pass_ends_with_the_last_layer_asked_for_and_misses_what_it_never_reaches():
    net, ran = Spare(), []
    for name, part in net.named_children():
        part.register_forward_hook(lambda m, a, o, name=name: ran.append(name))
    assert set(layers.forward_until(net, tiny.batch(), "second", "first")) == {"first", "second"}
    assert ran == ["first", "second"]
    ran.clear()
    assert set(layers.forward_until(net, tiny.batch(), "first", "spare")) == {"first"}
    assert ran == ["first", "second", "third"]


class Odd(nn.Module):
    """Layers without gradient, without numbers, without a tensor, and one that takes no part."""

    def __init__(self):
        super().__init__()
        self.conv = tiny.fill(nn.Conv2d(3, 4, 5))
        self.cut, self.index, self.pair = (Gives(f) for f in (_cut, _index, _pair))
        self.spare = nn.Identity()
        self.deep = tiny.fill(nn.Conv2d(4, 4, 5))

    def forward(self, x):
        maps = self.conv(x)
        self.cut(maps), self.index(maps), self.pair(maps)
        return self.deep(maps)


class Gives(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _cut(x):
    return x.detach()


def _index(x):
    return x.argmax(1)


def _pair(x):
    return x, x


def test_an_output_has_the_slope_of_the_network_cut_there():
    net, x = tiny.network(), tiny.batch().requires_grad_()
    found = layers.output(net, x, "conv2")
    by_hand = net[:5](x)
    assert torch.equal(found, by_hand)
    slopes = [torch.autograd.grad(y.square().sum(), x)[0] for y in (found, by_hand)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("cut", "layer='cut' has no gradient with respect to the pixels"),
        ("index", "layer='index' gives no tensor of real numbers"),
        ("pair", "layer='pair' gives no tensor of real numbers"),
        ("spare", "layer='spare' takes no part in the forward pass"),
        ("depe", "layer='depe' is not one of .*'deep'"),
    ],
)
def test_a_layer_that_gives_no_output_to_climb_is_refused(layer, words):
    with pytest.raises(ValueError, match=words):
        layers.output(Odd(), tiny.batch().requires_grad_(), layer)


def test_images_that_give_no_output_are_refused():
    with pytest.raises(ValueError, match="7 x 8 pixels are too small for layer='deep'"):
        layers.output(Odd(), torch.zeros(1, 3, 7, 8), "deep")
    for shape in ((3, 16, 16), (0, 3, 16, 16)):
        with pytest.raises(ValueError, match=rf"x: shape \({shape[0]}, .*accepted: images"):
            layers.output(Odd(), torch.zeros(shape), "deep")


@pytest.mark.parametrize("side", [16, 100])
def test_what_else_is_wrong_with_images_is_not_called_their_size(side):
    with pytest.raises(ValueError, match="x: float64; accepted: float32, as Odd's weights"):
        layers.output(Odd(), torch.zeros(1, 3, side, side, dtype=torch.float64), "deep")
    with pytest.raises(ValueError, match=r"x: shape \(1, 1.* to have 3 channels"):
        layers.output(Odd(), torch.zeros(1, 1, side, side), "deep")
