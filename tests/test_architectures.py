"""Every helper on networks of many kinds: it is right, or it refuses in a sentence that is true.

The helpers and their arguments are those of `test_leaves_no_trace`; the networks are in
`architectures`, whose layers go by the same names.
"""

import re
import sys
from collections import namedtuple

import architectures
import numpy as np
import pytest
import test_leaves_no_trace as trace
import tiny
import torch
from torch import Tensor, nn

from course_utils import cam, guided, layers, saliency
from course_utils.common import gate, scores

# ------------------------------------------------------------------ what is called, and on what

# Arguments for images larger than the table's, few and cheap.
LARGER = {
    "adversarial.first_order": lambda c: {"sizes": [c.x.shape[-1]] * 2},
    "layers.receptive_field": lambda c: {"size": c.x.shape[-1]},
    "occlusion.convolution_work": lambda c: {"window": 24, "stride": 40, "size": c.x.shape[-1]},
    "occlusion.occlusion_logits": lambda c: {"window": 24, "stride": 40},
    "occlusion.sliding_window": lambda c: {"window": 24, "stride": 40},
    "occlusion.reached": lambda c: {"size": c.x.shape[-1]},
    "patches.fields": lambda c: {"size": c.x.shape[-1]},
    "attention.kept_logits": lambda c: {"keep": torch.ones(2, 8, 8, dtype=torch.bool)},
    "attention.patch_maps": lambda c: {"layer": "conv2"},
}

# Examples that bring weights of the tiny network's widths, or want only one part of a network.
ELSEWHERE = {
    *("saliency.WithHead", "style.Task", "fast_style.stylise", "fast_style.training_step"),
    *("layers.window", "composites.recognised_composites", "style.default_layers"),
    *("fast_style.Trained", "attention.WithHead", "attention.decided"),
}
NAMES = sorted((trace.FUNCTIONS.keys() & trace.EXAMPLES.keys()) - ELSEWHERE)
DEAR = {"trust.measure", "trust.one_by_one", "occlusion.convolution_work"}


def make_case(name: str) -> trace.Case:
    """The arguments of examples, for one of the architectures."""
    model, side = architectures.network(name), architectures.ZOO[name].side
    x = tiny.array(5, 2, 3, side, side)
    pixels, noise = (x / 8 + 0.5).clamp(0, 1), 0.1 * tiny.array(9, 3, 2, 3, side, side)
    return trace.Case(model, x, pixels, noise)


def call(name: str, case: trace.Case) -> object:
    """Runs a helper's example on a case."""
    kwargs = trace.example_of(name).kwargs(case) | LARGER.get(name, lambda c: {})(case)
    return trace.call(name, case, kwargs)


# ------------------------------------------------------------------ what a network cannot give

SWINS, OURS = {"Swin", "timm's Swin"}, {"the course's ViT"}
SMOOTH = {"ConvNeXt", "MobileNetV3", "EfficientNet", "functional GELU", "ViT", *SWINS, *OURS}
"""Networks whose activations are no ReLUs, or not all of them."""

UNFOLLOWED = {"ConvNeXt", "ShuffleNet", "ViT", *SWINS}
"""Networks that permute, roll or attend: which pixels a unit sees is not worked out."""

GATED = {"MobileNetV3", "EfficientNet", "RegNet", "timm's MNASNet"}
"""Networks with squeeze and excitation: a mean over the whole image reaches every unit."""

RULES = ("class_gradient", "guided_gradient", "unit_gradient", "unit_views", "upper_gradient")
MAPS = {
    *("activations.layout", "activations.sparsity_by_depth", "ascent.class_map", "ascent.facets"),
    *("ascent.strongest_place", "layers.maps"),
    *("cam.channel_weights", "cam.grad_cam", "dream.guided_by", "last_layer.features"),
    *("last_layer.vectors_by_layer", "patches.best_units", "patches.effective_field"),
    *("saliency.fit_head", "texture.describe", "texture.features", "texture.synthesise"),
    *("style.forecast", "style.task", "style.transfer"),
}
RESIZED = {"dream.dream", "dream.zoom", "style.forecast", "style.task", "style.transfer"}

ATTENDING = {
    *("class_attention", "dropped_patches", "gradient_rollout", "grid", "kept_logits", "look"),
    *("last_attention", "patch_maps", "rolled_out", "transformer", "untrained"),
}

# (helpers, networks, the sentence); the first row that holds both says what is to be heard.
REFUSED = [
    (
        {f"attention.{name}" for name in ATTENDING},
        set(architectures.ZOO) - OURS,
        "model: .* has no attention to look at; accepted: vit_small_dinov2_saliency",
    ),
    (
        {
            *("ascent.channel", "layers.receptive_field", "layers.trace", "occlusion.reached"),
            *("patches.fields", "guided.unit_views", "occlusion.Incremental"),
        },
        OURS,
        "WithHead cannot be traced by torch.fx",
    ),
    (
        MAPS | RESIZED | {"cam.guided_grad_cam"},
        OURS,
        r"layer='\w+': its output \(\d, \d+, 24\) has no rows|are not for|'relu1' gives \(1, 65,",
    ),
    (
        {"fast_style.PerceptualLoss"},
        set(architectures.ZOO) - {"SqueezeNet"},
        "layer='fire2' is not",
    ),
    ({"fast_style.PerceptualLoss"}, {"SqueezeNet"}, "layer='fire2' is not"),
    (
        {"filters.filters_of"},
        set(architectures.ZOO) - {"functional ReLU", "functional GELU"},
        "layer='conv2' is an? .*; accepted: a convolution",
    ),
    (
        {"ascent.channel", "layers.receptive_field", "occlusion.reached", "patches.fields"},
        UNFOLLOWED,
        "layer='conv2' has no rows and columns, or lies behind an operation",
    ),
    ({"guided.unit_views"}, UNFOLLOWED, "layer='conv2' has no rows and columns, or lies"),
    ({"ascent.channel"}, GATED, r"size=64: a unit of this layer sees \d{3} pixels"),
    (RESIZED, {"ViT", "timm's Swin"}, r"x: images of \d+ x \d+ pixels are not for .*64"),
    ({"texture.describe", "texture.synthesise"}, {"ViT"}, r"x: images of \d+ x \d+ pixels are not"),
    (
        MAPS | {"attention.last_vector", "attention.vectors"},
        SWINS,
        r"layer='\w+': its output \(.*\) has its channels last",
    ),
    ({"cam.guided_grad_cam"}, SWINS, "has its channels last"),
    (
        {
            *("activations.sparsity_by_depth", "ascent.class_map", "ascent.facets"),
            *("ascent.strongest_place", "layers.maps", "saliency.fit_head"),
        },
        {"ViT"},
        r"layer='\w+': its output \(\d, 17, 16\) has no rows and columns",
    ),
    (
        {"cam.cam", "cam.head"},
        {"ConvNeXt", "MobileNetV3", "ViT", *OURS},
        "has no class activation maps: its last vector comes from '\\w+'",
    ),
    ({"cam.cam", "cam.head"}, {"timm's Swin"}, "its last maps have their channels last"),
    (
        {*(f"guided.{name}" for name in RULES), "cam.guided_grad_cam"},
        SMOOTH,
        "model: its forward calls (Gelu|Silu|Hardswish);|upper=1; accepted: 0 to 0",
    ),
    (
        {"guided.zeroed"},
        {"Inception", "functional ReLU", *SMOOTH} - {"MobileNetV3"},
        "has no ReLU modules to look at",
    ),
    (
        {"occlusion.Incremental"},
        set(architectures.ZOO) - {"ResNet", "SqueezeNet", "timm's ResNet"},
        r"model: how far a change reaches through \w+( \(.*\))? is not known",
    ),
    ({"occlusion.convolution_work"}, OURS, "WithHead cannot be traced by torch.fx"),
    (
        {"occlusion.convolution_work"},
        {"ConvNeXt", "ShuffleNet", "timm's MNASNet"},
        r"layer='[\w.]+' has no rows and columns, or lies behind",
    ),
]


def expected(helper: str, network: str) -> str | None:
    """The sentence with which a helper refuses a network; None where it does not."""
    return next((words for h, n, words in REFUSED if helper in h and network in n), None)


# ------------------------------------------------------------------ every helper, every network


def pairs() -> list:
    """Every helper on every network; what takes long on many is left out of the quick tests."""
    marks = {True: [pytest.mark.slow], False: []}
    return [
        pytest.param(helper, network, marks=marks[helper in DEAR])
        for network in architectures.ZOO
        for helper in NAMES
    ]


@pytest.mark.filterwarnings("ignore:occlusion runs whole pictures")
@pytest.mark.parametrize(("helper", "network"), pairs())
def test_a_helper_is_right_or_refuses(helper, network):
    case, words = make_case(network), expected(helper, network)
    if words is not None:
        with pytest.raises(ValueError, match=words) as refusal:
            call(helper, case)
        assert "tlparse" not in str(refusal.value)
        return
    result = call(helper, case)
    for where, values in trace.tensors(result):
        assert values.is_complex() or not values.isinf().any(), f"{where} is infinite"
        if helper not in MAY_BE_NAN:
            assert not values.isnan().any(), f"{where} is no number"
    if helper in RIGHT:
        RIGHT[helper](case, result)


MAY_BE_NAN = {"adversarial.l2_needed", "adversarial.smallest_saved"}
"""Where no attack succeeds there is no number, and the docstring says so."""


# ------------------------------------------------------------------ independent computations


def plain_gradient(case: trace.Case) -> Tensor:
    """dS_c/dx by autograd on the bare module."""
    x = case.x.clone().requires_grad_()
    rows = torch.arange(2)
    return torch.autograd.grad(case.model.module(x)[rows, list(case.classes)].sum(), x)[0]


def plain_output(case: trace.Case, layer: str, x: Tensor | None = None) -> Tensor:
    """A layer's output, by a hook of its own on the bare module."""
    kept, part = [], case.model.module.get_submodule(case.model.layers[layer])
    handle = part.register_forward_hook(lambda module, args, out: kept.append(out.clone()))
    case.model.module(case.x if x is None else x)
    handle.remove()
    return kept[-1]


def logits(case: trace.Case, x: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return case.model.module(case.x if x is None else x)


def own_scores(case: trace.Case, x: Tensor | None = None) -> Tensor:
    return logits(case, x)[torch.arange(2), list(case.classes)]


def near(found: Tensor, wanted: Tensor, share: float = 1e-4) -> None:
    """Equal up to a share of the largest value."""
    room = share * wanted.detach().abs().max().item() + 1e-7
    torch.testing.assert_close(found.detach(), wanted.detach(), rtol=0, atol=room)


def cam_adds_up(case: trace.Case, found: Tensor) -> None:
    """The mean of a class's map is its score without the bias, or is what the ReLU is taken of."""
    head = cam.head(case.model, case.x)
    bias = head.bias[list(case.classes)]
    if head.rectified:
        near((found + bias[:, None, None]).relu().mean((1, 2)), own_scores(case))
    else:
        near(found.mean((1, 2)) + bias, own_scores(case), 1e-3)


def by_definition(case: trace.Case) -> tuple[Tensor, Tensor]:
    """Grad-CAM's maps and weights; the gradient comes through a zero that is added to the maps."""
    part, kept = case.model.module.get_submodule(case.model.layers[case.layer]), []

    def add(module, args, out):
        kept.append((out.detach(), torch.zeros_like(out, requires_grad=True)))
        return out + kept[-1][1]

    handle = part.register_forward_hook(add)
    score = case.model.module(case.x)[torch.arange(2), list(case.classes)].sum()
    handle.remove()
    maps, zero = kept[-1]
    return maps, torch.autograd.grad(score, zero)[0].mean((2, 3))


def grad_cam_is_eq_1_and_2(case: trace.Case, found: Tensor) -> None:
    maps, alpha = by_definition(case)
    near(found, (alpha[:, :, None, None] * maps).sum(1).clamp(min=0))


def fields_hold_all_gradients(case: trace.Case, field: layers.ReceptiveField) -> None:
    """A unit's gradient is zero outside its field, and the fields are as many as the units."""
    maps = plain_output(case, "conv2", x := case.x.clone().requires_grad_())
    assert field.shape == tuple(maps.shape[2:])
    row, column = (n // 2 for n in field.shape)
    top, left, bottom, right = field.box(row, column)
    reach = torch.autograd.grad(maps[:, :, row, column].square().sum(), x)[0].abs()
    assert reach[:, :, top:bottom, left:right].any()
    reach[:, :, top:bottom, left:right] = 0
    assert not reach.any()


def covered(case: trace.Case, window: int = 24, stride: int = 40) -> Tensor:
    """Logits for every place of a square of the mean colour, one picture at a time."""
    found = []
    for top in range(0, case.x.shape[2] - window + 1, stride):
        for left in range(0, case.x.shape[3] - window + 1, stride):
            x = case.x[:1].clone()
            x[..., top : top + window, left : left + window] = 0
            found.append(logits(case, x)[0])
    return torch.stack(found)


def by_double_differences(case: trace.Case, gradient: Tensor) -> None:
    """The slope along a random direction, by finite differences in double precision."""
    model, step = architectures.double(case.model.name), 1e-5
    along = tiny.array(3, *case.x.shape).double()
    with torch.no_grad():
        up, down = (
            model(case.x.double() + sign * step * along)[torch.arange(2), list(case.classes)].sum()
            for sign in (1, -1)
        )
    slope = ((up - down) / (2 * step)).item()
    size = (gradient.norm() * along.norm()).item()
    assert abs((gradient.double() * along).sum().item() - slope) < 1e-3 * size


RIGHT = {
    "saliency.input_gradient": by_double_differences,
    "saliency.saliency_map": lambda c, r: near(r, plain_gradient(c).abs().amax(1)),
    "saliency.gradient_times_input": lambda c, r: near(r, (c.x * plain_gradient(c)).sum(1)),
    "scores.class_scores": lambda c, r: near(r, own_scores(c)),
    "layers.activations": lambda c, r: near(r, plain_output(c, c.layer)),
    "layers.output": lambda c, r: near(r, plain_output(c, c.layer)),
    "start_here.capture_layer": lambda c, r: near(r, plain_output(c, c.layer)),
    "inversion.features": lambda c, r: near(r, plain_output(c, c.layer)),
    "dream.energy": lambda c, r: near(r, -plain_output(c, c.layer).square().sum() / 2),
    "texture.features": lambda c, r: near(r["relu1"], plain_output(c, "relu1")),
    "cam.cam": cam_adds_up,
    "cam.grad_cam": grad_cam_is_eq_1_and_2,
    "cam.channel_weights": lambda c, r: near(r[1], by_definition(c)[1]),
    "layers.receptive_field": fields_hold_all_gradients,
    "occlusion.occlusion_logits": lambda c, r: near(r.flatten(0, 1), covered(c)),
    "start_here.top_classes": lambda c, r: near(
        torch.tensor([[p for _, p in row] for row in r]), logits(c).softmax(1).topk(2).values
    ),
    "adversarial.probabilities": lambda c, r: near(
        r, logits(c, c.model.normalize(c.pixels)).softmax(1)
    ),
    "trust.deletion_curve": lambda c, r: near(
        r[:, 0], logits(c).softmax(1)[torch.arange(2), list(c.classes)]
    ),
    "trust.insertion_curve": lambda c, r: near(
        r[:, -1], logits(c).softmax(1)[torch.arange(2), list(c.classes)]
    ),
    "ascent.score": lambda c, r: near(r[0], own_scores(c)),
    "ascent.probability": lambda c, r: near(
        r[0], logits(c).softmax(1)[torch.arange(2), list(c.classes)]
    ),
    "patches.best_units": lambda c, r: near(
        r["relu1"].values, plain_output(c, "relu1").amax((2, 3))
    ),
    "last_layer.features": lambda c, r: near(
        r["relu1"], plain_output(c, "relu1", c.model.normalize(c.pixels)).flatten(2).mean(2)
    ),
}


def test_the_classic_names_are_among_the_checked():
    assert set(NAMES) >= RIGHT.keys()
    assert len(architectures.ZOO) >= 12


# ------------------------------------------------------------------ the same network, oddly given

Two = namedtuple("Two", ["logits", "aux"])


class Returns(nn.Module):
    """A network whose scores come in a package."""

    def __init__(self, inner: nn.Module, pack) -> None:
        super().__init__()
        self.inner, self.pack = inner, pack

    def forward(self, x: Tensor) -> object:
        return self.pack(self.inner(x))


def plain(case):
    """The module without what the zoo knows about it; its layers have the names they need."""
    return case.model.module


def in_training(case):
    case.model.module.norm1.train()
    return case.model


def compiled_in_place(case):
    case.model.module.compile(backend="eager")
    return case.model


def parallel(case):
    with pytest.MonkeyPatch.context() as patch:  # as on a machine without accelerators
        home = sys.modules[nn.DataParallel.__module__]
        patch.setattr(home, "_get_available_device_type", lambda: None)
        return nn.DataParallel(case.model)


FORMS = {
    "a plain module": plain,
    "in training": in_training,
    "float16": lambda c: c.model.half(),
    "bfloat16": lambda c: c.model.bfloat16(),
    "a dict": lambda c: Returns(c.model.module, lambda y: {"logits": y, "aux": y}).eval(),
    "a tuple": lambda c: Returns(c.model.module, lambda y: (y, y)).eval(),
    "a named tuple": lambda c: Returns(c.model.module, lambda y: Two(y, y)).eval(),
    "one row too few": lambda c: Returns(c.model.module, lambda y: y[:-1]).eval(),
    "DataParallel": parallel,
    "compiled": lambda c: torch.compile(c.model, backend="eager"),
    "compiled in place": compiled_in_place,
    "scripted": lambda c: torch.jit.trace(c.model.module, c.x[:1], check_trace=False),
}
ALWAYS = {
    "in training": r"model: it is in training mode.*BatchNorm2d \('[\w.]+'\).*`model.eval\(\)`",
    "float16": "model: its weights are float16",
    "bfloat16": "model: its weights are bfloat16",
}
"""Forms that every helper refuses which runs the network."""

SENTENCE = re.compile(
    r"(model|x|layer|names|classes|content|label|stages|content, styles|upper|rule)\b.*"
    r"(accepted|give |has no|is not|not \(N|scripted or compiled|out of reach|known|cannot)",
    re.DOTALL | re.IGNORECASE,
)


UNRUN = {
    *("adversarial.indices", "filters.filters_of", "guided.accept_rule", "layers.find"),
    *("layers.names", "layers.receptive_field", "occlusion.convolution_work", "occlusion.reached"),
    *("patches.fields", "scores.class_indices", "trust.centre", "trust.edges", "trust.noise"),
}
"""Helpers that never run the network: they ask for weights, names or geometry, or for nothing."""

MAKERS = {
    *("adversarial.Defended", "guided.with_rule", "layers.capture", "layers.trace"),
    *("style.untrained", "trust.randomised"),
}
"""Helpers that make a network, or a place for a pass, which the caller runs."""

RUNNERS = [n for n in NAMES if n not in MAKERS and not trace.example_of(n).network]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "form", [pytest.param(f, marks=[pytest.mark.slow] * ("compiled" in f)) for f in FORMS]
)
@pytest.mark.parametrize("helper", RUNNERS)
def test_an_odd_network_is_refused_or_makes_no_difference(helper, form):
    if form in ("a plain module", "scripted") and helper.startswith("adversarial."):
        pytest.skip("there a plain module is one for pixels in 0-1")
    case = trace.make_case(helper)
    kwargs = trace.example_of(helper).kwargs(case)
    case.model = FORMS[form](case)
    found, refusal = None, None
    try:
        found = trace.call(helper, case, kwargs)
    except ValueError as error:
        refusal = str(error)
    if refusal is not None:
        assert SENTENCE.match(refusal), f"no sentence: {refusal}"
        assert "tlparse" not in refusal
        assert re.search(ALWAYS.get(form, ""), refusal, re.DOTALL)
        return
    assert form not in ALWAYS or helper in UNRUN, f"{form} was accepted"
    if form not in ALWAYS:
        wanted = trace.usual(helper)
        for (where, a), (_, b) in zip(trace.tensors(found), trace.tensors(wanted), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, equal_nan=True, msg=where)


# ------------------------------------------------------------------ images and classes, oddly given


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (lambda x: x.numpy(), "x: a ndarray; accepted: images"),
        (lambda x: x[:0], r"x: shape \(0, 3, 16, 16\)"),
        (lambda x: (x * 50).byte(), "x: uint8; accepted: floating-point"),
        (lambda x: x.to(torch.complex64), "x: complex64; accepted: floating-point"),
        (lambda x: x.double(), "x: float64; accepted: float32, as tiny's weights"),
        (lambda x: x[:, :1], r"x: shape \(2, 1, 16, 16\) is not for tiny .*3 channels"),
        (lambda x: x.abs() * 80, r"x: values from .* to \d+; accepted: images as `network.prep"),
        (lambda x: x / 0, "x: it has values that are not finite"),
    ],
)
def test_odd_images_are_refused(x, words):
    case = trace.make_case("saliency.saliency_map")
    for helper in (saliency.saliency_map, cam.cam, guided.guided_gradient):
        with pytest.raises(ValueError, match=words):
            helper(case.model, x(case.x), 1)
    for helper in (layers.activations, layers.output):
        with pytest.raises(ValueError, match=words):
            helper(case.model, x(case.x), "relu1")


@pytest.mark.parametrize(
    "given",
    [np.array([1, 3]), [np.int64(1), torch.tensor(3)], torch.tensor([1, 3]), range(1, 4, 2)],
)
@pytest.mark.parametrize("named", [True, False])
def test_whole_numbers_of_any_kind_are_classes(given, named):
    case = trace.make_case("saliency.saliency_map")
    net = case.model if named else case.model.module
    assert scores.class_indices(net, given, 2).tolist() == [1, 3]


@pytest.mark.parametrize(
    "given", [3.7, [1.0, 2.0], torch.tensor([[1], [3]]), np.array([[1], [3]]), True, None, {1, 3}]
)
@pytest.mark.parametrize("named", [True, False])
def test_what_is_no_whole_number_is_no_class(given, named):
    case = trace.make_case("saliency.saliency_map")
    net = case.model if named else case.model.module
    with pytest.raises(ValueError, match="classes: .*accepted: .*a whole number from 0"):
        saliency.saliency_map(net, case.x, given)


def test_pixels_up_to_255_are_refused():
    case = trace.make_case("saliency.saliency_map")
    for pixels in (case.pixels * 255, (case.pixels * 255).byte()):
        with pytest.raises(
            ValueError, match="pixels: .* with values up to .*; accepted: RGB in 0-1"
        ):
            gate.normalised(case.model, pixels)
