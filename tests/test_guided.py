"""Three ReLU rules against captum, plain loops and hooks; functional ReLUs are found or refused."""

import copy
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_utils import guided, images, layers, saliency, widgets
from course_utils.widgets import guided as explorers

REFERENCE = np.load(Path(__file__).parent / "reference" / "guided.npz")
PHOTO = np.load(Path(__file__).parent / "reference" / "saliency.npz")["photo"]
CLASSES = [0, 3, 4]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # old, but people have such networks
each_rule = pytest.mark.parametrize("rule", guided.RULES)
changed_rule = pytest.mark.parametrize("rule", ["deconvnet", "guided"])


def stored(name):
    """One of captum's arrays, see reference/make_guided.py."""
    return torch.from_numpy(REFERENCE[name])


# ------------------------------------------------------------------ the rules themselves


@given(seed=st.integers(0, 999))
def test_the_rules_follow_their_sentences_entry_by_entry(seed):
    x, g = (tiny.array(s, 3, 4).round(decimals=1) for s in (seed, seed + 1))
    found = {rule: function(x, g) for rule, function in guided.RULES.items()}
    for i, j in np.ndindex(3, 4):
        on, positive, value = bool(x[i, j] > 0), bool(g[i, j] > 0), g[i, j].item()
        assert found["backprop"][i, j] == (value if on else 0)
        assert found["deconvnet"][i, j] == (value if positive else 0)
        assert found["guided"][i, j] == (value if on and positive else 0)


def test_a_relu_at_zero_is_off():
    x, g = torch.zeros(3), torch.tensor([-1.0, 0.0, 2.0])
    assert guided.backprop_relu(x, g).tolist() == [0, 0, 0]
    assert guided.guided_relu(x, g).tolist() == [0, 0, 0]
    assert guided.deconvnet_relu(x, g).tolist() == [0, 0, 2]


def test_the_backprop_rule_is_the_derivative():
    x, g = tiny.array(1, 50).requires_grad_(), tiny.array(2, 50)
    (expected,) = torch.autograd.grad(x.relu(), x, g)
    assert torch.equal(guided.backprop_relu(x.detach(), g), expected)


# ------------------------------------------------------------------ whole networks


@changed_rule
def test_class_gradients_equal_captums(rule):
    ours = guided.class_gradient(tiny.network(), tiny.batch(n=3), CLASSES, rule)
    expected = stored(f"tiny_{rule}")
    assert expected.any()
    assert torch.allclose(ours, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@changed_rule
def test_unit_gradients_equal_captums(rule):
    ours = guided.unit_gradient(tiny.network(), tiny.batch(n=3), "relu2", 1, (2, 3), rule)
    expected = stored(f"unit_{rule}")
    assert expected.any()
    assert torch.allclose(ours, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@changed_rule
def test_the_trained_network_agrees_with_captum(squeezenet, rule):
    x = squeezenet.normalize(images.read(PHOTO))[None]
    ours = guided.class_gradient(squeezenet, x, "giant panda", rule)[0].cpu()
    crop, expected = ours[:, 88:136, 88:136], stored(f"squeezenet_{rule}")
    # Another machine rounds differently, and a ReLU or maximum may then switch: not for many.
    differs = (crop - expected).abs() > 1e-3 * expected.abs().max()
    assert differs.float().mean() < 0.01
    blocks = F.avg_pool2d(ours.abs()[None], 16)[0]
    assert torch.allclose(blocks, stored(f"squeezenet_{rule}_blocks"), rtol=0.01)


def test_backprop_is_the_plain_gradient():
    net, x = tiny.network(), tiny.batch(n=3)
    assert torch.equal(
        guided.class_gradient(net, x, CLASSES, "backprop"), saliency.input_gradient(net, x, CLASSES)
    )


def by_hooks(model, x, score, rule):
    """The rules for ReLU6 by backward hooks on modules, in plain masks: an independent way."""
    inputs, handles = {}, []

    def remember(module, args):
        inputs[module] = args[0].detach()

    def replace(module, below, above):
        g, x = above[0], inputs[module]
        top = 6 if isinstance(module, nn.ReLU6) else torch.inf
        on = ((x > 0) & (x < top)).to(g)
        positive = (g > 0).to(g)
        return (g * {"backprop": on, "deconvnet": positive, "guided": on * positive}[rule],)

    for part in model.modules():
        if isinstance(part, nn.ReLU | nn.ReLU6):
            handles.append(part.register_forward_pre_hook(remember))
            handles.append(part.register_full_backward_hook(replace))
    x = x.detach().clone().requires_grad_()
    gradient = torch.autograd.grad(score(model(x)), x)[0]
    for handle in handles:
        handle.remove()
    return gradient


@each_rule
def test_relu6_stops_where_it_is_saturated(rule):
    net = tiny.network()
    net.relu1, net.relu2 = nn.ReLU6(), nn.ReLU6()
    x = 8 * tiny.batch()
    with layers.capture(net, "relu1") as seen:
        net(x)
    assert (seen["relu1"] == 6).any()  # else the test says nothing
    expected = by_hooks(net, x, lambda s: s[:, 2].sum(), rule)
    ours = guided.class_gradient(net, x, 2, rule)
    assert torch.allclose(ours, expected, rtol=0, atol=1e-6 * expected.abs().max().item())


@changed_rule
def test_efficientnet_with_relu6(efficientnet, rule):
    x = efficientnet.preprocess(images.photo("panda"))[:, :, :96, :96]
    expected = by_hooks(efficientnet, x, lambda s: s[:, 388].sum(), rule)
    ours = guided.class_gradient(efficientnet, x, 388, rule)
    assert torch.allclose(ours, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
    plain = saliency.input_gradient(efficientnet, x, 388)
    assert (ours - plain).norm() > 0.5 * plain.norm()


def test_without_max_pooling_the_deconvnet_does_not_see_the_photo(efficientnet):
    x = efficientnet.preprocess([images.photo("panda"), images.photo("koala")])[:, :, :96, :96]
    a, b = guided.class_gradient(efficientnet, x, 388, "deconvnet")
    assert torch.allclose(a, b, rtol=0, atol=1e-5 * a.abs().max().item())


@each_rule
def test_a_batch_gives_the_same_as_single_images(rule):
    net, x = tiny.network(), tiny.batch(n=3)
    together = guided.class_gradient(net, x, CLASSES, rule)
    alone = [guided.class_gradient(net, x[i : i + 1], c, rule) for i, c in enumerate(CLASSES)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6 * together.abs().max().item())


# ------------------------------------------------------------------ ReLUs that are no modules


class Calls(nn.Module):
    """The tiny network with a function in place of its first ReLU module."""

    def __init__(self, relu):
        super().__init__()
        self.relu, self.net = relu, tiny.network()

    def forward(self, x):
        net = self.net
        x = self.relu(net.norm1(net.conv1(x)))
        x = net.relu2(net.conv2(net.pool1(x)))
        return net.classifier(net.flatten(net.pool2(x)))


def statement(x):
    F.relu(x, inplace=True)  # the result is dropped: x itself has changed
    return x


RELUS = {
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu in place by position": lambda x: F.relu(x, True),
    "as a statement": statement,
    "torch.relu": torch.relu,
    "torch.relu_": lambda x: torch.relu_(x),
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp by keyword": lambda x: torch.clamp(x, min=0),
    "clamp method": lambda x: x.clamp(0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp_ in place": lambda x: x.clamp_(min=0.0),
    "clip": lambda x: torch.clip(x, 0, None),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "hardtanh without end": lambda x: F.hardtanh(x, 0.0, float("inf")),
}


@changed_rule
@pytest.mark.parametrize("call", RELUS)
def test_a_relu_called_as_a_function_follows_the_rule(call, rule):
    expected = guided.class_gradient(tiny.network(), tiny.batch(n=3), CLASSES, rule)
    x = tiny.batch(n=3)
    ours = guided.class_gradient(Calls(RELUS[call]), x, CLASSES, rule)
    assert torch.equal(ours, expected)
    assert torch.equal(guided.with_rule(Calls(RELUS[call]), rule)(x), tiny.network()(x))


@pytest.mark.parametrize(
    "call",
    [F.relu6, lambda x: F.hardtanh(x, 0, 6), lambda x: x.clamp(0, 6), nn.ReLU6(), nn.ReLU6(True)],
)
def test_a_relu6_called_as_a_function_follows_the_rule(call):
    net, x = tiny.network(), 8 * tiny.batch(n=3)
    net.relu1 = nn.ReLU6()
    expected = guided.class_gradient(net, x, CLASSES)
    assert torch.equal(guided.class_gradient(Calls(call), x, CLASSES), expected)


class Own(torch.autograd.Function):
    """A rectifier that nobody can look into."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0] > 0)


def scripted_relu(x):
    return torch.jit.script(plain_relu)(x)


def plain_relu(x):
    return torch.relu(x)


OTHERS = {
    "Gelu": F.gelu,
    "Silu": nn.SiLU(),
    "LeakyRelu": lambda x: F.leaky_relu(x, 0.1),
    "Elu": F.elu,
    "Hardswish": F.hardswish,
    "Softplus": F.softplus,
    "Where": lambda x: torch.where(x.detach() > 0, x, 0),
    "Maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "MaskedFill": lambda x: x.masked_fill(x.detach() < 0, 0),
    "Clamp": lambda x: x.clamp(min=-1),
    "Hardtanh": F.hardtanh,
    "Abs": lambda x: (x + x.abs()) / 2,
    "Own": Own.apply,
    "Relu": scripted_relu,
    "Prelu": lambda x: F.prelu(x, torch.tensor([0.2])),
}


@changed_rule
@pytest.mark.parametrize("name", OTHERS)
def test_other_rectifiers_are_refused_by_name(name, rule):
    net = Calls(OTHERS[name])
    with pytest.raises(ValueError, match=rf"model: its forward calls .*{name}"):
        guided.class_gradient(net, tiny.batch(), 1, rule)
    with pytest.raises(ValueError, match=rf"model: its forward calls .*{name}"):
        guided.unit_gradient(net, tiny.batch(), "net.conv2", 1, rule=rule)
    with pytest.raises(ValueError, match=rf"model: its forward calls .*{name}"):
        saliency.saliency_map(guided.with_rule(net, rule), tiny.batch(), 1)
    plain = saliency.input_gradient(net, tiny.batch(), 1)  # which is what backprop means
    assert torch.equal(guided.class_gradient(net, tiny.batch(), 1, "backprop"), plain)


@pytest.mark.parametrize(
    "call", [lambda x: x * (x > 0), lambda x: x * x.gt(0), lambda x: x.sign().relu() * x]
)
def test_a_relu_written_by_hand_is_refused(call):
    with pytest.raises(ValueError, match="on activations, perhaps as a ReLU written by hand"):
        guided.class_gradient(Calls(call), tiny.batch(), 1)


def test_networks_that_cannot_be_seen_into_are_refused():
    scripted = torch.jit.trace(tiny.network(), tiny.batch())
    with pytest.raises(ValueError, match="is scripted or compiled"):
        guided.class_gradient(scripted, tiny.batch(), 1)
    with pytest.raises(ValueError, match="is scripted or compiled"):
        guided.with_rule(nn.Sequential(scripted), "guided")
    compiled = torch.compile(tiny.network(), backend="eager")
    with pytest.raises(ValueError, match="is scripted or compiled"):
        guided.class_gradient(compiled, tiny.batch(), 1)


def test_a_network_without_relu_is_refused():
    linear = tiny.fill(nn.Sequential(nn.Flatten(), nn.Linear(768, 5)))
    with pytest.raises(ValueError, match="there is no ReLU between its input and its output"):
        guided.class_gradient(linear, tiny.batch(), 1)


def test_a_network_that_depends_on_its_data_follows_the_rule():
    class Branches(Calls):  # torch.fx cannot trace it
        def forward(self, x):
            return super().forward(x if x.detach().sum() > 1e9 else 1 * x)

    expected = guided.class_gradient(tiny.network(), tiny.batch(), 1)
    assert torch.equal(guided.class_gradient(Branches(torch.relu), tiny.batch(), 1), expected)


def test_networks_of_torchvision_by_modules_and_by_functions():
    x = tiny.batch(side=64)
    resnet = tiny.fill(torchvision.models.resnet18())  # one ReLU module, in place, runs twice
    for rule in guided.RULES:
        ours = guided.class_gradient(resnet, x, 3, rule)
        expected = saliency.input_gradient(OneReluEach(resnet, rule), x, 3)
        assert torch.allclose(ours, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    mobile = tiny.fill(torchvision.models.mobilenet_v3_small())
    with pytest.raises(ValueError, match="its forward calls Hardswish"):
        guided.class_gradient(mobile, x, 3)


class OneReluEach(nn.Module):
    """ResNet-18's forward pass spelled out, with the rule as a function of its own."""

    def __init__(self, net, rule):
        super().__init__()
        self.net, self.rule = net, rule

    def relu(self, x):
        return ByRule.apply(x, self.rule)

    def forward(self, x):
        net = self.net
        x = net.maxpool(self.relu(net.bn1(net.conv1(x))))
        for block in [*net.layer1, *net.layer2, *net.layer3, *net.layer4]:
            y = block.bn2(block.conv2(self.relu(block.bn1(block.conv1(x)))))
            x = self.relu(y + (block.downsample(x) if block.downsample else x))
        return net.fc(x.mean((2, 3)))


class ByRule(torch.autograd.Function):
    """A ReLU with plain masks."""

    @staticmethod
    def forward(ctx, x, rule):
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        on, positive = (ctx.saved_tensors[0] > 0).to(g), (g > 0).to(g)
        mask = {"backprop": on, "deconvnet": positive, "guided": on * positive}[ctx.rule]
        return g * mask, None


# ------------------------------------------------------------------ the private copy


@each_rule
def test_whatever_differentiates_the_copy_meets_the_rule(squeezenet, rule):
    x = squeezenet.preprocess(images.photo("panda"))[:, :, :96, :96]
    private = guided.with_rule(squeezenet, rule)
    assert torch.equal(private(x), squeezenet(x))
    assert private.labels == squeezenet.labels
    expected = guided.class_gradient(squeezenet, x, "giant panda", rule)
    again = copy.deepcopy(private)
    for net in (private, again):
        found = saliency.input_gradient(net, x, "giant panda")
        assert torch.allclose(found, expected, atol=1e-6 * expected.abs().max().item())
    with torch.no_grad():
        next(again.parameters()).zero_()
    assert torch.equal(private(x), squeezenet(x))  # weights of one's own
    assert layers.receptive_field(private, "fire5").size == (63, 63)


def test_parts_of_the_copy_follow_the_rule_too():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = tiny.network().conv1

        def forward(self, x):
            return self.conv(x).relu()

    private = guided.with_rule(nn.Sequential(Block(), nn.Conv2d(8, 4, 3)), "guided")
    x = tiny.batch().requires_grad_()
    (found,) = torch.autograd.grad(-private[0](x).sum(), x)
    assert not found.any()  # only negative gradients arrive
    assert private[1](torch.ones(1, 8, 4, 4)).shape == (1, 4, 2, 2)  # a part without ReLU is fine


def test_the_images_may_have_a_history():
    pixels = tiny.batch().requires_grad_()
    private = guided.with_rule(tiny.network(), "guided")
    score = private(pixels.abs().clamp(min=0.1))[:, 0].sum()  # no part of the network
    assert torch.autograd.grad(score, pixels)[0].any()


def test_what_cannot_be_copied_is_refused():
    net = tiny.network()
    net.kept = net(tiny.batch().requires_grad_())
    with pytest.raises(ValueError, match="Sequential cannot be copied"):
        guided.with_rule(net, "guided")
    assert guided.class_gradient(net, tiny.batch(), 1).any()  # which needs no copy


# ------------------------------------------------------------------ units


def test_strongest_units_are_those_of_a_loop():
    maps = tiny.array(3, 4, 3, 5, 7)
    values, places = guided.strongest_units(maps, 1)
    for image, value, (row, column) in zip(maps, values, places, strict=True):
        assert image[1, row, column] == value == image[1].max()
    values, places = guided.strongest_units(maps[:, :, 0, 0], 2)
    assert torch.equal(values, maps[:, 2, 0, 0])
    assert not places.any()


@each_rule
def test_the_default_unit_is_the_strongest(rule):
    net, x = tiny.network(), tiny.batch(n=3)
    _, units = guided.strongest_units(layers.activations(net, x, "relu2"), 5)
    by_default = guided.unit_gradient(net, x, "relu2", 5, rule=rule)
    assert torch.equal(by_default, guided.unit_gradient(net, x, "relu2", 5, units, rule))
    assert torch.equal(by_default, guided.unit_gradient(net, x, net.relu2, 5, units, rule))


def test_units_of_a_layer_without_positions():
    net, x = tiny.network(), tiny.batch()
    by_class = guided.class_gradient(net, x, 3)
    assert torch.equal(guided.unit_gradient(net, x, "classifier", 3), by_class)


@each_rule
def test_nothing_outside_the_receptive_field(squeezenet, panda, rule):
    _, found = guided.strongest_units(layers.activations(squeezenet, panda, "fire5"), 7)
    units = tuple(found[0].tolist())
    gradient = guided.unit_gradient(squeezenet, panda, "fire5", 7, units, rule)[0]
    top, left, bottom, right = layers.receptive_field(squeezenet, "fire5").box(*units)
    inside = gradient[:, top:bottom, left:right].clone()
    assert inside.any()
    gradient[:, top:bottom, left:right] = 0
    assert not gradient.any()


def test_views_are_the_patch_and_its_gradient(squeezenet, panda):
    ((patch, view),) = guided.unit_views(squeezenet, panda, "fire5", 150)
    _, units = guided.strongest_units(layers.activations(squeezenet, panda, "fire5"), 150)
    top, left, bottom, right = layers.receptive_field(squeezenet, "fire5").box(*units[0].tolist())
    pixels = squeezenet.denormalize(panda)[0, :, top:bottom, left:right]
    assert torch.allclose(patch, pixels.clamp(0, 1))
    assert view.shape == patch.shape
    assert 0 <= view.min() < 0.5 < view.max() <= 1


# ------------------------------------------------------------------ pictures and counts


@given(seed=st.integers(0, 99), scale=st.floats(1e-6, 1e6))
def test_pictures_are_grey_at_zero_and_keep_signs(seed, scale):
    gradient = scale * tiny.array(seed, 2, 3, 9, 8)
    gradient[:, :, 0, 0] = 0
    found = guided.as_picture(gradient)
    assert found.shape == gradient.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal((found - 0.5).sign(), gradient.sign())
    assert torch.allclose(guided.as_picture(gradient[1]), found[1])


def test_pictures_of_nothing_and_of_little():
    assert (guided.as_picture(torch.zeros(1, 3, 4, 4)) == 0.5).all()
    one = torch.zeros(3, 50, 50)
    one[0, 3, 3] = 2
    assert guided.as_picture(one).max() == 1


@each_rule
def test_zeroed_counts_what_hooks_see(rule):
    net, x = tiny.network(), tiny.batch()
    seen = {}

    def count(module, below, above):
        g = above[0]
        on = forward[module] > 0
        keep = {"backprop": on, "deconvnet": g > 0, "guided": on & (g > 0)}[rule]
        seen[module] = 1 - ((g != 0) & keep).sum().item() / (g != 0).sum().item()
        return (g * keep,)

    forward = {}
    for relu in (net.relu1, net.relu2):
        relu.register_forward_hook(lambda m, args, out: forward.__setitem__(m, out.detach()))
        relu.register_full_backward_hook(count)
    images_ = x.clone().requires_grad_()
    torch.autograd.grad(net(images_)[:, 1].sum(), images_)
    found = guided.zeroed(tiny.network(), x, 1, rule)
    assert list(found) == ["relu1", "relu2"]
    expected = [seen[net.relu1], seen[net.relu2]]
    assert list(found.values()) == pytest.approx(expected, abs=1e-6)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, x: guided.class_gradient(n, x, 1, "guidded"), r"rule='guidded'.*'guided'"),
        (lambda n, x: guided.with_rule(n, "relu"), "rule='relu' is not one of the rules"),
        (lambda n, x: guided.class_gradient(n, x, 9), r"classes: .*accepted: 0 to 4"),
        (lambda n, x: guided.class_gradient(n, x[0], 1), r"x: shape .*accepted: images"),
        (lambda n, x: guided.class_gradient(n, x / 0, 1), "x: it has values that are not finite"),
        (lambda n, x: guided.unit_gradient(n, x[0], "relu2", 1), "x: shape"),
        (
            lambda n, x: guided.unit_gradient(n, x / 0, "relu2", 1),
            "x: it has values that are not finite",
        ),
        (lambda n, x: guided.unit_gradient(n, x, "relu3", 1), r"layer='relu3'.*'relu2'"),
        (lambda n, x: guided.unit_gradient(n, x, "relu2", 12), "channel=12; accepted: 0 to 11"),
        (lambda n, x: guided.unit_gradient(n, x, "relu2", -1), "channel=-1"),
        (lambda n, x: guided.unit_gradient(n, x, "relu2", 1, (6, 0)), r"units: .*\(6, 6\)"),
        (lambda n, x: guided.unit_gradient(n, x, "relu2", 1, (0, -1)), "units:"),
        (lambda n, x: guided.zeroed(n[:1], x, 1, "guided"), "no ReLU modules"),
    ],
)
def test_errors_name_what_came_and_what_is_accepted(call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny.network(), tiny.batch())


def test_a_network_without_classifier_is_refused(vgg):
    x = vgg.preprocess(images.photo("panda"))[..., :64, :64]
    with pytest.raises(ValueError, match="vgg16_hed has no classifier"):
        guided.class_gradient(vgg, x, 388)
    assert guided.unit_gradient(vgg, x, "relu4_1", 3).shape == x.shape


@pytest.mark.parametrize("size", [(17, 300), (64, 64), (500, 230)])
def test_photos_of_other_sizes(squeezenet, size):
    x = tiny.array(1, 1, 3, *size).to(squeezenet.device)
    assert guided.class_gradient(squeezenet, x, 3).shape == x.shape


def test_a_failing_network_leaves_no_rule_behind():
    class Fails(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guided.class_gradient(nn.Sequential(tiny.network(), Fails()), tiny.batch(), 1)
    x = -tiny.batch().requires_grad_()
    (g,) = torch.autograd.grad(-x.relu().sum(), x)
    assert (g <= 0).all()
    assert g.any()


# ------------------------------------------------------------------ the explorer


@pytest.fixture(scope="module")
def explorer(squeezenet):
    return widgets.guided_explorer(squeezenet, ["panda", "lemur"])


def test_the_explorer_starts_at_a_unit_and_says_which(explorer):
    assert explorer.error is None
    assert "guided: channel" in explorer.text
    assert "63 pixels across" in explorer.text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("layer", "fire7", "of fire7 for panda"),
        ("layer", "class score", "the score of “giant panda” for panda"),
        ("rule", "deconvnet", "deconvnet: "),
        ("rank", 3, "channel"),
    ],
)
def test_every_control_changes_the_picture(explorer, name, value, words):
    before, control = explorer.image.value, explorer.controls[name]
    start = control.value
    control.value = value
    assert explorer.image.value != before
    assert words in explorer.text
    control.value = start
    assert explorer.image.value == before


def test_ranks_go_by_strength(explorer, squeezenet, panda):
    maps = layers.activations(squeezenet, panda, "fire5")[0].amax((1, 2))
    second = maps.argsort(descending=True)[1].item()
    explorer.controls["rank"].value = 2
    assert f"channel {second} of fire5" in explorer.text
    explorer.controls["rank"].value = 1


def test_offered_layers_have_positions(efficientnet):
    offered = widgets.guided_explorer(efficientnet, ["panda"]).controls["layer"].options
    assert offered[0] == "stem"
    assert offered[-1] == "class score"
    assert "classifier" not in offered


def test_a_frame_lies_inside_its_box():
    framed = explorers.framed(torch.zeros(3, 20, 20), (4, 5, 14, 17))
    ring = framed[0] > 0
    assert ring[4:14, 5:17].sum() == 10 * 12 - 6 * 8
    assert ring.sum() == ring[4:14, 5:17].sum()


@pytest.mark.parametrize("box", [(8, 9, 11, 12), (0, 0, 3, 3), (17, 17, 20, 20)])
def test_the_frame_of_a_small_field_lies_around_it(box):
    top, left, bottom, right = box
    framed = explorers.framed(torch.zeros(3, 20, 20), box)
    assert not framed[:, top + 2 : bottom - 2, left + 2 : right - 2].any()
    seen = framed[0] > 0
    assert 20 < seen.sum() < 15**2 - 11**2 + 1
    if box == (8, 9, 11, 12):
        assert not seen[top - 4 : bottom + 4, left - 4 : right + 4].any()


# ------------------------------------------------------------------ only the upper ReLUs


def upper_by_hooks(net, x, classes, upper):
    """The guided rule put on the last `upper` ReLU modules by PyTorch's own hooks."""
    order, handles = [], []
    relus = [part for part in net.modules() if isinstance(part, nn.ReLU)]
    for relu in relus:
        handles.append(relu.register_forward_hook(lambda part, *_: order.append(part)))
    net(x)
    there = len(order)
    for relu in order[there - upper :]:
        handles.append(relu.register_full_backward_hook(lambda part, g, _: (g[0].clamp(min=0),)))
    gradient = saliency.input_gradient(net, x, classes)
    for handle in handles:
        handle.remove()
    return gradient, there


@pytest.mark.parametrize("upper", [0, 1, 3, 13, 26])
def test_the_upper_relus_alone_follow_the_rule(squeezenet, panda, upper):
    expected, there = upper_by_hooks(squeezenet, panda, "giant panda", upper)
    assert there == guided.relu_calls(squeezenet, panda) == 26
    found = guided.upper_gradient(squeezenet, panda, "giant panda", upper)
    assert torch.allclose(found, expected, atol=1e-5 * expected.abs().max())


def test_none_is_the_gradient_and_all_is_the_rule():
    net, x = tiny.network(), tiny.batch()
    there = guided.relu_calls(net, x)
    for rule in ("deconvnet", "guided"):
        whole = guided.class_gradient(net, x, [1, 3], rule)
        assert torch.equal(guided.upper_gradient(net, x, [1, 3], there, rule), whole)
        none = guided.upper_gradient(net, x, [1, 3], 0, rule)
        assert torch.allclose(none, saliency.input_gradient(net, x, [1, 3]))
    with pytest.raises(ValueError, match=f"accepted: 0 to {there}"):
        guided.upper_gradient(net, x, [1, 3], there + 1)


def test_the_explorer_counts_the_relus_from_the_score_down(squeezenet):
    explorer = widgets.relu_explorer(squeezenet, ["panda"])
    assert "the 13 of 26 ReLUs" in explorer.text
    explorer.controls["upper"].value = 26
    assert explorer.error is None
    assert "the 26 of 26 ReLUs" in explorer.text
