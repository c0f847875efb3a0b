"""No helper changes what its caller owns: the network, the images, the random state.

Every public function or class of `course_utils` that takes a network is found and run here. One
that nobody registered in `EXAMPLES` fails `test_every_function_has_an_example`: add its line.
"""

import contextlib
import dataclasses
import importlib
import inspect
import pkgutil
import random
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pretend_device
import pytest
import tiny
import torch
from torch import Tensor, nn

import course_utils
from course_utils import ascent, attention, fast_style, images, models
from course_utils.common import composites
from course_utils.common.transformer import layer_names
from course_utils.trust.table import METHODS

with contextlib.suppress(ImportError):  # PyTorch's optimisers import it, and it draws a number then
    importlib.import_module("rich.style")


@dataclasses.dataclass
class Case:
    """What an example may use: a network of five classes, two images and their classes."""

    model: models.Network
    x: Tensor  # (2,3,16,16), normalised
    pixels: Tensor  # (2,3,16,16) in 0-1
    noise: Tensor  # (3,2,3,16,16)
    classes = (1, 3)
    layer = "relu1"  # of conv1 norm1 relu1 pool1 conv2 relu2 pool2 flatten classifier


@dataclasses.dataclass
class Example:
    """How to call a function: `kwargs(case)` gives its arguments; the network is added.

    Attributes:
        kwargs: the arguments other than the network.
        graph: the docstring promises a result that can be differentiated.
        use: what to do with the result, where the function's work only happens then.
        network: the zoo's network for functions that a tiny one would not do for; "transformer" for
            a tiny one with five classes.
    """

    kwargs: Callable[[Case], dict]
    graph: bool = False
    use: Callable[[Any, Case], Any] = lambda result, case: result
    network: str | None = None


def forward(result, case):
    """Uses a context manager or a network that a function returned: one forward pass."""
    if isinstance(result, nn.Module):
        return result(case.x).detach()
    with result as seen:
        case.model(case.x)
    return dict(seen)


def patched(incremental, case):
    """Lays two patches over the picture of an `Incremental`."""
    corner = torch.zeros(2, dtype=torch.long, device=case.x.device)
    return incremental.scores(case.x[:, :, :4, :4], corner, corner)


def valued(target, case):
    """The numbers of a `Target`, and pictures painted by it."""
    side = case.x.shape[-1]
    painted = ascent.paint(target, 2, size=side, steps=2, transforms=(), progress=None)
    return target(case.x).detach(), painted.image


def objective(result, case):
    """Evaluates an objective that a function returned."""
    return result(case.x)


def classify(case):
    """The arguments of most helpers: images and their classes."""
    return {"x": case.x, "classes": list(case.classes)}


def few_photos():
    """Four photos that claim labels of the tiny network."""
    return [dataclasses.replace(p, label_index=i) for i, p in enumerate(images.photos()[:4])]


def scenes_of(case):
    """The two images with a mask each, as if they were composites."""
    classes = torch.tensor(case.classes, device="cpu")
    names = [("", "")] * 2
    return composites.Composites(case.pixels, case.pixels[:, 0] > 0.5, classes, classes, names)


def found_scenes():
    """Two scenes of cut-outs 1 and 3, which the tiny network may call what it likes."""
    found = attention.scenes("test", each=1, side=16)
    return found.picked([1, 3])


def attack(case):
    """The arguments that all attacks share: images in 0-1."""
    return {"pixels": case.pixels}


def other(case):
    """A class for each image that the network does not give it."""
    with torch.no_grad():
        given = case.model(case.model.normalize(case.pixels)).argmax(1)
    return ((given + 1) % 5).tolist()


def comparable(result, case):
    """-1 instead of NaN, which equals nothing."""
    return tuple(t.nan_to_num(-1.0) for t in (result if isinstance(result, tuple) else (result,)))


def shown_pixels(network, case):
    """Uses a network that takes pixels."""
    return network(case.pixels).detach()


STYLE = {"size": 32, "content": "conv2", "styles": ["relu1", "conv2"]}

# One line each, "module.function"; see `Example` for what a line can say.
EXAMPLES: dict[str, Callable[[Case], dict] | Example] = {
    "ascent.Target": Example(lambda c: {"values": lambda x: c.model(x)[:, 1]}, use=valued),
    "ascent.ascend": lambda c: (
        classify(c) | {"rate": 1.0, "steps": 2, "kernel": c.noise[0, 0, 0, :3, :3], "every": 1}
    ),
    "ascent.ascent_step": lambda c: classify(c) | {"rate": 1.0, "weight": 0.1},
    "ascent.channel": Example(lambda c: {"layer": "conv2", "channels": 2}, use=valued),
    "ascent.class_map": Example(
        lambda c: {"classes": list(c.classes), "layer": "conv2"}, use=valued
    ),
    "ascent.class_goal": Example(lambda c: {"classes": list(c.classes)}, use=valued),
    "ascent.dead_scores": lambda c: {"x": c.x[:1]},
    "ascent.facets": lambda c: {"pixels": c.pixels, "layer": "relu2", "k": 2},
    "ascent.probability": Example(lambda c: {"classes": list(c.classes)}, use=valued),
    "ascent.recognition": lambda c: {"pixels": c.pixels, "classes": list(c.classes)},
    "ascent.score": Example(lambda c: {"classes": list(c.classes)}, use=valued),
    "ascent.strongest_place": lambda c: {"layer": "conv2", "channel": 2, "pixels": c.pixels[:1]},
    "activations.layout": lambda c: {"pixels": c.pixels.repeat(2, 1, 1, 1), "names": ["relu1"]},
    "activations.sparsity_by_depth": lambda c: {"x": c.x, "names": ["relu1", "conv2"]},
    "adversarial.ascend": lambda c: attack(c) | {"target": other(c), "steps": 2},
    "adversarial.fgsm": lambda c: attack(c) | {"classes": list(c.classes), "epsilon": 0.1},
    "adversarial.indices": lambda c: attack(c) | {"classes": list(c.classes)},
    "adversarial.lead": lambda c: attack(c) | {"classes": list(c.classes)},
    "adversarial.loss_gradient": lambda c: attack(c) | {"classes": list(c.classes)},
    "adversarial.measure": lambda c: attack(c) | {"changed": 1 - c.pixels},
    "adversarial.pgd": lambda c: attack(c) | {"classes": list(c.classes), "epsilon": 0.1},
    "adversarial.probabilities": lambda c: attack(c),
    "adversarial.slopes": lambda c: (
        attack(c) | {**{"classes": list(c.classes), "number": lambda logits, index: logits[:, 0]}}
    ),
    "adversarial.target_indices": lambda c: attack(c) | {"target": other(c)},
    "adversarial.targeted_ascent": lambda c: {
        **{"pixels": c.pixels[:1], "target": other(c)[0], "rate": 0.1},
        **{"confidence": 0.9, "steps": 2},
    },
    "adversarial.Defended": Example(
        lambda c: {"filter": lambda pixels: pixels.round()}, graph=True, use=shown_pixels
    ),
    "adversarial.first_order": lambda c: {
        **{"photos": list(c.pixels), "sizes": [8, 16], "epsilon": 0.1}
    },
    "adversarial.l2_needed": Example(
        lambda c: {"starts": c.pixels, "targets": [0, 1], "steps": 2}, use=comparable
    ),
    "adversarial.square_attack": lambda c: {
        **{"pixels": c.pixels[:1], "epsilon": 0.01, "queries": 5}
    },
    "adversarial.universal": lambda c: attack(c) | {"epsilon": 0.1, "epochs": 1},
    "adversarial.smallest_lbfgs": lambda c: (
        attack(c) | {**{"target": other(c), "searches": 2, "steps": 2}}
    ),
    "adversarial.smallest_linear": lambda c: attack(c) | {"steps": 2},
    "adversarial.smallest_saved": Example(lambda c: attack(c) | {"steps": 2}, use=comparable),
    "attention.WithHead": Example(
        lambda c: {
            "layer": "conv2",
            "weight": torch.ones(5, 12).to(c.x),
            "bias": torch.zeros(5).to(c.x),
        },
        use=forward,
    ),
    "attention.class_attention": Example(classify, network="transformer"),
    "attention.decided": lambda c: {"found": found_scenes(), "with_object": 0.0, "without": 1.0},
    "attention.dropped_patches": Example(
        lambda c: {"x": c.x[:1], "classes": 1, "window": 2}, network="transformer"
    ),
    "attention.gradient_rollout": Example(classify, network="transformer"),
    "attention.grid": Example(lambda c: {"x": c.x}, network="transformer"),
    "attention.kept_logits": Example(
        lambda c: {"x": c.x, "keep": torch.ones(2, 4, 4, dtype=torch.bool, device=c.x.device)},
        network="transformer",
    ),
    "attention.last_attention": Example(lambda c: {"x": c.x}, network="transformer"),
    "attention.last_vector": Example(lambda c: {"x": c.x, "layer": "conv2"}, graph=True),
    "attention.look": Example(lambda c: {"x": c.x}, network="transformer"),
    "attention.patch_maps": Example(lambda c: {"x": c.x}, network="transformer"),
    "attention.rolled_out": Example(lambda c: {"x": c.x}, network="transformer"),
    "attention.transformer": Example(
        lambda c: {}, use=lambda found, c: found(c.x).detach(), network="transformer"
    ),
    "attention.untrained": Example(lambda c: {}, use=forward, network="transformer"),
    "attention.vectors": lambda c: {"pixels": c.pixels, "layer": "conv2"},
    "cam.cam": classify,
    "cam.channel_weights": lambda c: classify(c) | {"layer": c.layer},
    "cam.grad_cam": lambda c: classify(c) | {"layer": c.layer},
    "cam.guided_grad_cam": lambda c: classify(c) | {"layer": c.layer},
    "cam.head": lambda c: {"x": c.x},
    "composites.recognised_composites": Example(lambda c: {"n": 1}, network="squeezenet1_1"),
    "dream.dream": lambda c: {"pixels": c.pixels[0], "layer": "relu2", "octaves": 2, "steps": 2},
    "dream.dream_step": lambda c: {"x": c.x, "layer": "relu2", "rate": 0.1, "shift": (1, -2)},
    "dream.activation_of": Example(lambda c: {"x": c.x, "layer": c.layer}, graph=True),
    "dream.energy": Example(lambda c: {"layer": c.layer}, graph=True, use=objective),
    "dream.guided_by": Example(
        lambda c: {"layer": c.layer, "guide": c.x[:1]}, graph=True, use=objective
    ),
    "dream.layer_gradient": lambda c: {"x": c.x, "layer": c.layer},
    "dream.zoom": lambda c: {"pixels": c.pixels[0], "layer": "relu2", "frames": 2},
    "fast_style.PerceptualLoss": Example(
        lambda c: {"painting": c.pixels[0], "recipe": fast_style.Recipe()},
        use=lambda loss, c: loss(c.pixels, loss.target(c.pixels)),
        graph=True,
        network="squeezenet1_1",
    ),
    "fast_style.Trained": lambda c: {"recipe": fast_style.Recipe()},
    "fast_style.stylise": Example(
        lambda c: {"network": c.model.module.features[:2], "image": c.pixels[0]},
        network="squeezenet1_1",
    ),
    "fast_style.training_step": Example(
        lambda c: {
            "model": SimpleNamespace(features=c.model.module.features[:2]),
            **{"weights": tiny.array(5, 3, 3, 3, 3).to(c.x.device), "photos": c.x},
            **{"target": tiny.array(6, 64, 64).to(c.x.device)},
            **{"style_weight": 0.1, "rate": 0.1},
        },
        network="squeezenet1_1",
    ),
    "filters.filters_of": lambda c: {"layer": "conv2"},
    "guided.accept_rule": lambda c: {"rule": "guided"},
    "guided.class_gradient": classify,
    "guided.guided_gradient": classify,
    "guided.unit_gradient": lambda c: {"x": c.x, "layer": "conv2", "channel": 2},
    "guided.relu_calls": lambda c: {"x": c.x},
    "guided.upper_gradient": lambda c: classify(c) | {"upper": 1},
    "guided.unit_views": lambda c: {"x": c.x, "layer": "conv2", "channel": 2},
    "guided.with_rule": Example(lambda c: {"rule": "guided"}, use=forward),
    "guided.zeroed": lambda c: classify(c) | {"rule": "guided"},
    "occlusion.Incremental": Example(lambda c: {"x": c.x[:1]}, use=patched),
    "inversion.features": Example(lambda c: {"x": c.x, "layer": c.layer}, graph=True),
    "inversion.invert": lambda c: {"photo": c.pixels[0], "layer": c.layer, "steps": 2},
    "last_layer.features": lambda c: {"pixels": c.pixels, "names": [c.layer]},
    "last_layer.vectors_by_layer": lambda c: {"pixels": c.pixels, "names": [c.layer]},
    "layers.activations": lambda c: {"x": c.x, "layer": c.layer},
    "layers.capture": Example(lambda c: {"layers": ("relu1", "conv2")}, graph=True, use=forward),
    "layers.find": lambda c: {"layer": c.layer},
    "layers.forward_until": Example(lambda c: {"x": c.x, "names": ("relu1", "conv2")}, graph=True),
    "layers.maps": Example(lambda c: {"x": c.x, "layers": ("relu1", "conv2")}, graph=True),
    "layers.names": lambda c: {},
    "layers.outputs": Example(lambda c: {"x": c.x, "layers": ("relu1", "conv2")}, graph=True),
    "layers.output": Example(lambda c: {"x": c.x, "layer": c.layer}, graph=True),
    "layers.receptive_field": lambda c: {"layer": "conv2", "size": 16},
    "layers.trace": Example(lambda c: {"model": c.model.module}, use=forward),
    "layers.window": lambda c: {"module": c.model.module.conv1, "axis": 0},
    "occlusion.convolution_work": lambda c: {"window": 4, "stride": 6, "size": 16},
    "occlusion.fill_value": lambda c: {"x": c.x[:1], "fill": "grey"},
    "occlusion.occlusion_logits": lambda c: {"x": c.x[:1], "window": 4, "stride": 6},
    "occlusion.reached": lambda c: {
        **{"layer": "conv2", "top": 3, "left": 5, "window": 4, "size": 16}
    },
    "occlusion.sliding_window": lambda c: {
        **{"x": c.x[:1], "window": 4, "stride": 6, "value": c.x[0, :, :1, :1]}
    },
    "patches.best_units": lambda c: {"x": c.x, "names": [c.layer]},
    "patches.effective_field": lambda c: {"x": c.x, "layer": c.layer},
    "patches.fields": lambda c: {"layer": "conv2", "size": 16},
    "saliency.WithHead": Example(
        lambda c: {
            **{"layer": "relu2", "weight": tiny.array(5, 2, 12).to(c.x.device)},
            **{"bias": tiny.array(6, 2).to(c.x.device)},
        },
        use=forward,
    ),
    "scores.class_indices": lambda c: {"classes": list(c.classes), "n": 2},
    "scores.class_scores": Example(classify, graph=True),
    "saliency.fit_head": Example(
        lambda c: {"layer": "relu2", "pixels": c.pixels, "targets": [0, 1]}, use=forward
    ),
    "saliency.gradient_times_input": classify,
    "saliency.input_gradient": classify,
    "saliency.saliency_map": classify,
    "saliency.smoothgrad": lambda c: classify(c) | {"noise": c.noise},
    "start_here.capture_layer": lambda c: {"x": c.x, "layer": c.layer},
    "start_here.top_classes": lambda c: {"x": c.x, "names": list("abcde"), "k": 2},
    "style.Task": Example(
        lambda c: {
            **{"pixels": c.pixels[:1], "photo": {"conv2": c.x.new_zeros(2, 12, 6, 6)}},
            **{"grams": {"relu1": c.x.new_zeros(2, 8, 8)}, "weights": {"relu1": 1.0}},
            **{"alpha": 1.0, "beta": 1.0, "gamma": 1.0, "finish": lambda pixels: pixels},
        },
        use=lambda task, c: task.loss(c.x).detach(),
    ),
    "style.default_layers": Example(lambda c: {}, network="squeezenet1_1"),
    "style.forecast": Example(
        lambda c: {"photo": c.pixels[0], "steps": 1, "asked": STYLE},
        use=lambda seconds, c: [],  # another number each time
    ),
    "style.task": lambda c: {"photo": c.pixels[0], "painting": c.pixels[1]} | STYLE,
    "style.transfer": lambda c: {
        **{"photo": c.pixels[0], "painting": c.pixels[1], "steps": 2, "asked": STYLE}
    },
    "style.untrained": Example(lambda c: {}, use=forward),
    "texture.describe": Example(
        lambda c: {"pixels": c.pixels, "names": [c.layer], "octaves": 2}, graph=True
    ),
    "texture.features": Example(lambda c: {"x": c.x, "names": [c.layer]}, graph=True),
    "texture.synthesise": lambda c: {
        **{"sample": c.pixels[0], "size": 12, "names": [c.layer], "steps": 2, "progress": None}
    },
    "trust.deletion_curve": lambda c: classify(c) | {"maps": c.pixels.mean(1), "steps": 2},
    "trust.insertion_curve": lambda c: (
        classify(c) | {"maps": c.pixels.mean(1), "steps": 2, "sigma": 2.0}
    ),
    "trust.randomised": Example(lambda c: {"stages": ["conv2", "classifier"]}, use=forward),
    "trust.cascade": lambda c: (
        classify(c) | {"method": METHODS["saliency"], "stages": (["classifier"], ["conv2"])}
    ),
    "trust.centre": classify,
    "trust.confident_photos": lambda c: {"above": 0.0, "pictures": few_photos()},
    "trust.edges": classify,
    "trust.grid_scores": lambda c: {
        "method": METHODS["saliency"],
        "pixels": c.pixels[:1],
        "classes": torch.tensor([[0, 1, 2, 3]], device="cpu"),
    },
    "trust.measure": lambda c: {
        "scenes": scenes_of(c),
        "collages": (c.pixels[:1], torch.tensor([[0, 1, 2, 3]], device="cpu")),
        "photos": (c.pixels, torch.tensor(c.classes, device="cpu")),
        "methods": {"saliency": METHODS["saliency"]},
        "stages": (["classifier"], ["conv2"]),
    },
    "trust.completeness": lambda c: classify(c) | {"maps": c.pixels.mean(1)},
    "trust.covered_squares": lambda c: {
        "pixels": c.pixels,
        "classes": torch.tensor(c.classes, device="cpu"),
    },
    "trust.noise": classify,
    "trust.one_by_one": lambda c: {
        "method": METHODS["saliency"],
        "pixels": c.pixels,
        "classes": torch.tensor(c.classes, device="cpu"),
    },
    "trust.road": lambda c: classify(c) | {"maps": c.pixels.mean(1)},
    "trust.score_drops": lambda c: classify(c) | {"masks": c.pixels[:, 0] > 0.5},
    "trust.scene_scores": lambda c: {
        "method": METHODS["saliency"],
        "pixels": c.pixels,
        "masks": c.pixels[:, 0] > 0.5,
        "classes": torch.tensor(c.classes, device="cpu"),
    },
}


# ------------------------------------------------------------------ finding them


def network_argument(function: Callable) -> str | None:
    """The name of a function's first argument that is a network, if it has one."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some built-in types have no signature
        return None
    for name, parameter in parameters.items():
        kind = parameter.annotation
        typed = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
        if name in ("model", "network", "net") or typed in ("Module", "nn.Module", "Network"):
            return name
    return None


# `models` makes networks of one's own; the others are no helpers.
NO_HELPERS = {"models", "bench", "checking", "commands", "exercises", "grading", "widgets"}


def discover() -> dict[str, Callable]:
    """Every public function and class of the course's modules that takes a network."""
    found = {}
    for info in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        room, _, part = info.name.removeprefix("course_utils.").partition(".")
        if room in NO_HELPERS or part == "gate":  # which every helper calls
            continue
        module = importlib.import_module(info.name)
        for name, member in vars(module).items():
            own = getattr(member, "__module__", "") == module.__name__
            if callable(member) and own and not name.startswith("_") and network_argument(member):
                # A lecture's folder is one name; of `common` each module is.
                found[f"{part if room == 'common' else room}.{name}"] = member
    return found


FUNCTIONS = discover()
each = pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() & EXAMPLES.keys()))


def test_every_function_has_an_example():
    missing = sorted(FUNCTIONS.keys() - EXAMPLES.keys())
    assert not missing, (
        f"{', '.join(missing)} take a network but have no example. Add a line for each to EXAMPLES "
        'in tests/test_leaves_no_trace.py, e.g. "saliency.saliency_map": classify.'
    )


def test_every_example_has_a_function():
    gone = sorted(EXAMPLES.keys() - FUNCTIONS.keys())
    assert not gone, f"remove the examples of what is no longer there: {', '.join(gone)}"


def test_the_known_helpers_are_found():
    assert {"layers.capture", "saliency.saliency_map"} <= FUNCTIONS.keys()


# ------------------------------------------------------------------ running them


def example_of(name: str) -> Example:
    """The registered example; a bare function stands for its arguments."""
    example = EXAMPLES[name]
    return example if isinstance(example, Example) else Example(example)


def tiny_transformer() -> models.Network:
    """A transformer with a head of five classes, as a network of the zoo for 16 pixels."""
    names = layer_names(3)
    bare = models.Network(tiny.transformer(), "tiny", layers=names, resize=16, crop=16)
    module = attention.WithHead(bare, "norm", tiny.array(7, 5, 24), tiny.array(8, 5))
    paths = {name: f"model.module.{path}" for name, path in names.items()} | {"head": "head"}
    labels = [f"class {i}" for i in range(5)]
    return models.Network(module, "tiny", labels=labels, layers=paths, resize=16, crop=16)


def make_case(name: str, frozen=True, training=False, inplace=False, grad=False) -> Case:
    """Networks and images for one example, on the CPU, in the wanted state."""
    if example_of(name).network == "transformer":
        model = tiny_transformer()
    elif example_of(name).network:
        model = models.load(example_of(name).network, "cpu")
    else:
        labels = [f"class {i}" for i in range(5)]
        model = models.Network(tiny.network(), "tiny", labels=labels, resize=16, crop=16)
        if training:  # a forward pass itself moves the statistics of batch norm in this mode
            model.module.norm1 = nn.Identity()
    model.train(training).requires_grad_(not frozen)
    for part in model.modules():
        if hasattr(part, "inplace"):
            part.inplace = inplace
    pixels, noise = (tiny.batch(3) / 8 + 0.5).clamp(0, 1), 0.1 * tiny.array(9, 3, 2, 3, 16, 16)
    return Case(model, tiny.batch().requires_grad_(grad), pixels, noise)


def call(name: str, case: Case, kwargs: dict | None = None) -> Any:
    """Runs the example once, with arguments made before or now, and uses its result."""
    function, example = FUNCTIONS[name], example_of(name)
    given = example.kwargs(case) if kwargs is None else kwargs
    given = {network_argument(function): case.model} | given
    parameters = inspect.signature(function).parameters
    bound = inspect.signature(function).bind_partial()
    bound.arguments |= {key: given[key] for key in parameters if key in given}
    assert bound.arguments.keys() == given.keys(), f"{name} has no argument {given.keys()}"
    result = function(*bound.args, **bound.kwargs)
    return example.use(list(result) if inspect.isgenerator(result) else result, case)


@cache
def usual(name: str) -> Any:
    """What the example gives on the CPU: several tests compare with it and change nothing in it."""
    return call(name, make_case(name))


def tensors(result: Any, where: str = "result") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a result, however it is packed; arrays and numbers as tensors."""
    if isinstance(result, Tensor):
        yield where, result
    elif isinstance(result, np.ndarray | int | float):
        yield f"{where} (number)", torch.as_tensor(result, device="cpu")
    elif isinstance(result, dict):
        for key, value in result.items():
            yield from tensors(value, f"{where}[{key!r}]")
    elif isinstance(result, list | tuple):
        for i, value in enumerate(result):
            yield from tensors(value, f"{where}[{i}]")
    elif dataclasses.is_dataclass(result):
        yield from tensors(vars(result), where)


def assert_same(one: Any, other: Any):
    """Two results hold equal tensors."""
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    for (where, a), (_, b) in pairs:
        assert a.device.type == b.device.type == "cpu", f"{where} is on {a.device} and {b.device}"
        assert torch.equal(a.detach(), b.detach()), f"{where} differs"


HOOKS = [key for key in vars(nn.Module()) if key.endswith("_hooks")]
ATTRIBUTES = ("training", "inplace", "eps", "momentum", "p", "stride", "padding")


def module_state(part: nn.Module) -> dict[str, Any]:
    """Everything about one module that a helper could leave changed."""
    return {
        "hooks": {kind: list(getattr(part, kind)) for kind in HOOKS},
        "attributes": {key: getattr(part, key, None) for key in ATTRIBUTES},
        "names": sorted(vars(part)),  # also a `forward` put on the instance
        "children": [(name, id(child)) for name, child in part.named_children()],
        "class": type(part),
    }


def tensor_state(tensor: Tensor) -> tuple:
    """Everything about a tensor that a helper could change, but for its values."""
    hooks = len(tensor._backward_hooks or ()), len(tensor._post_accumulate_grad_hooks or ())
    return (tensor.requires_grad, tensor.grad is None, tensor._version, tensor.data_ptr(), hooks)


def owned(case: Case) -> dict[str, Tensor]:
    """The caller's tensors by name."""
    mine = {"x": case.x, "pixels": case.pixels, "noise": case.noise}
    return mine | dict(case.model.named_parameters()) | dict(case.model.named_buffers())


@contextlib.contextmanager
def unchanged(case: Case) -> Iterator[None]:
    """Whatever happens inside, the caller's network, tensors and settings are as before."""
    modules = {name: module_state(part) for name, part in case.model.named_modules()}
    states = {name: tensor_state(t) for name, t in owned(case).items()}
    values = {name: t.detach().clone() for name, t in owned(case).items()}
    settings = global_state()
    yield
    for name, part in case.model.named_modules():
        assert module_state(part) == modules[name], f"the module {name!r} was changed"
    for name, tensor in owned(case).items():
        assert tensor_state(tensor) == states[name], f"{name}: gradient, version or hooks changed"
        assert torch.equal(tensor.detach(), values[name]), f"the values of {name} were changed"
    for setting, after in global_state().items():
        assert after == settings[setting], f"the global {setting} was changed"


def global_state() -> dict[str, Any]:
    """Random states and settings of the whole process."""
    kept = vars(nn.modules.module).items()
    hooks = [v for k, v in kept if k.startswith("_global_") and isinstance(v, dict)]
    return {
        "random state of torch": torch.get_rng_state().tolist(),
        "random state of NumPy": str(np.random.get_state()),
        "random state of Python": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "cuDNN": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "hooks": [len(h) for h in hooks],
    }


STATES = {
    "frozen": {},
    "unfrozen, in place, x with gradient": {"frozen": False, "inplace": True, "grad": True},
    "in training": {"frozen": False, "training": True},
    "frozen in training, in place": {"training": True, "inplace": True},
}


@each
@pytest.mark.parametrize("state", STATES)
def test_nothing_of_the_callers_is_changed(name, state):
    if example_of(name).network and STATES[state].get("training"):
        pytest.skip("the zoo's dropout draws random numbers in training")
    case = make_case(name, **STATES[state])
    with unchanged(case):
        call(name, case)


@each
def test_nothing_is_changed_when_the_network_fails(name):
    if example_of(name).network:
        pytest.skip("runs on real photos")
    case = make_case(name)
    case.model.module.classifier = Failing()
    with unchanged(case), contextlib.suppress(ZeroDivisionError, ValueError):
        call(name, case)


class Failing(nn.Module):
    """A last layer that cannot be computed."""

    def forward(self, x):
        raise ZeroDivisionError("on purpose")


@each
@pytest.mark.parametrize("state", ["frozen", "unfrozen, in place, x with gradient"])
def test_results_can_be_used_freely(name, state):
    case = make_case(name, **STATES[state])
    for where, tensor in tensors(call(name, case)):
        if not example_of(name).graph:
            assert tensor.grad_fn is None, f"{where} drags a graph along"
            assert not tensor.requires_grad, f"{where} asks for a gradient"
        assert not tensor.is_inference(), f"{where} fails in later losses"
        for owner, mine in owned(case).items():
            shared = tensor.untyped_storage().data_ptr() == mine.untyped_storage().data_ptr()
            assert not shared, f"{where} shares its memory with {owner}: changing one changes both"


@each
def test_the_same_call_gives_the_same_result_whatever_the_mode(name):
    first = usual(name)
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    case = make_case(name, frozen=False)
    assert_same(first, call(name, case))  # and the first run left nothing behind that matters
    if not example_of(name).graph:
        with torch.no_grad():
            assert_same(first, call(name, case))


@each
def test_tensors_are_made_on_the_device_of_the_input(name):
    # Everything comes on the CPU, so whatever lands on "meta" was made without `device=`.
    expected, case = usual(name), make_case(name)
    kwargs = example_of(name).kwargs(case)
    with torch.device("meta"):
        result = call(name, case, kwargs)
    assert_same(expected, result)


def on(device: str | torch.device, value: Any) -> Any:
    """A case's tensors and network moved to a device, as `.to` moves them."""
    if isinstance(value, Case):
        moved = {f.name: getattr(value, f.name).to(device) for f in dataclasses.fields(value)}
        return Case(**moved)
    if isinstance(value, dict):
        return {key: on(device, one) for key, one in value.items()}
    return value


def says(words: str, *things: Any) -> bool:
    """Whether one of the docstrings says where the results are, if not with the input."""
    return any(words in (inspect.getdoc(thing) or "") for thing in things)


def compare_with_the_cpus(result: Any, expected: Any, documented: bool) -> None:
    """On the pretend accelerator, or a docstring says otherwise; with the values of the CPU."""
    for (where, a), (_, b) in zip(tensors(result), tensors(expected), strict=True):
        if isinstance(a, pretend_device.Pretend):
            a = a.cpu()
        elif not documented:
            assert where.endswith("(number)"), f"{where} is on the CPU, and no docstring says so"
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-4, atol=1e-5, equal_nan=True)


@each
def test_results_live_on_the_device_of_the_input(name):
    expected = usual(name)
    case = on(pretend_device.DEVICE, make_case(name))
    result = call(name, case)
    documented = says("CPU", FUNCTIONS[name], type(result))
    compare_with_the_cpus(result, expected, documented)


BESIDE = [
    *(("saliency.smoothgrad", "noise"), ("ascent.ascend", "kernel")),
    *(("occlusion.sliding_window", "value"), ("trust.scene_scores", "masks")),
    *(("trust.deletion_curve", "maps"), ("trust.insertion_curve", "maps")),
]


@pytest.mark.parametrize(("name", "beside"), BESIDE)
def test_what_is_given_beside_the_input_may_lie_on_the_cpu(name, beside):
    case = on(pretend_device.DEVICE, make_case(name))
    kwargs = example_of(name).kwargs(case)
    kwargs[beside] = kwargs[beside].cpu()
    pairs = zip(tensors(call(name, case, kwargs)), tensors(usual(name)), strict=True)
    for (_, a), (_, b) in pairs:
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-5)


PHOTOS = {"pixels", "photo", "photos", "painting", "image", "sample", "starts"}
of_photos = sorted(
    name
    for name in FUNCTIONS.keys() & EXAMPLES.keys()
    if PHOTOS & inspect.signature(FUNCTIONS[name]).parameters.keys()
    and name != "fast_style.training_step"  # its photos are normalised images
)


@pytest.mark.parametrize("name", of_photos)
def test_photos_may_lie_on_the_cpu_and_the_network_elsewhere(name):
    expected, case = usual(name), make_case(name)
    case.model, case.x = case.model.to(pretend_device.DEVICE), case.x.to(pretend_device.DEVICE)
    result = call(name, case)
    documented = says("the network's device", FUNCTIONS[name], type(result))
    for (where, a), (_, b) in zip(tensors(result), tensors(expected), strict=True):
        assert documented or a.device.type == "cpu", f"{where} is not where the photos are"
        torch.testing.assert_close(
            a.detach().cpu(), b.detach(), rtol=1e-4, atol=1e-5, equal_nan=True
        )


# ------------------------------------------------------------------ the checks themselves


def leave_hook(case):
    case.model.module.conv1.register_forward_hook(lambda *args: None)


def leave_gradient(case):
    case.model.requires_grad_(True)(case.x).sum().backward()
    case.model.requires_grad_(False)


def write_into_x(case):
    case.x.mul_(1)


def change_mode(case):
    case.model.train()


def change_relu(case):
    case.model.module.relu1.inplace = True


def swap_relu(case):
    case.model.module.relu1 = nn.ReLU()


def patch_forward(case):
    case.model.module.relu1.forward = lambda x: x


def change_weight(case):
    with torch.no_grad():
        case.model.module.conv1.weight.data[0] += 1


def draw(case):
    torch.rand(1)


def unfreeze(case):
    case.model.requires_grad_(True)


@pytest.mark.parametrize(
    "fault",
    [
        *(leave_hook, leave_gradient, write_into_x, change_mode, change_relu),
        *(swap_relu, patch_forward, change_weight, draw, unfreeze),
    ],
)
def test_every_trace_is_noticed(fault):
    case = make_case("layers.names")
    with pytest.raises(AssertionError, match="changed"), unchanged(case):
        fault(case)
