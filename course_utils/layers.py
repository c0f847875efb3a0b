"""Layers by name, their activations, and exactly which pixels each of their units sees."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from course_utils.common import gate
from course_utils.common.errors import unknown


def names(model: nn.Module) -> list[str]:
    """The layer names of a network, in forward order: the field's own where it is from the zoo."""
    return list(_table(model))


def find(model: nn.Module, layer: str | nn.Module) -> nn.Module:
    """The submodule of that name.

    Args:
        model: a network.
        layer: a name of the field ("relu4_2", "fire5"), a dotted path as in `named_modules()`, or
            the submodule itself.

    Raises:
        ValueError: no such layer, near spellings are suggested; a compiled, scripted or parallel
            network, whose layers are out of reach.
    """
    gate.check_open(model)
    return _part(model, layer)


def _part(model: nn.Module, layer: str | nn.Module) -> nn.Module:
    """As `find`, of a network that has been checked: loops come here for each layer and pass."""
    if isinstance(layer, nn.Module):
        if any(part is layer for part in model.modules()):
            return layer
        raise ValueError(f"layer: this {type(layer).__name__} is not a part of the network")
    known = getattr(model, "layers", None)
    path = known.get(layer, layer) if isinstance(known, dict) else layer
    inner = getattr(model, "module", model)
    for whole in (model, inner):
        with suppress(AttributeError):  # as `named_modules()`, without a list of all
            if path:
                return whole.get_submodule(path)
    table, every = _table(model), dict(inner.named_modules()) | dict(model.named_modules())
    choices = [*table, *(n for n in every if n and n not in table.values())]
    raise ValueError(unknown("layer", layer, choices, f"layers of {gate.name_of(model)}"))


def _table(model: nn.Module) -> dict[str, str]:
    known = getattr(model, "layers", None)  # others use that name for a part of themselves
    return known if isinstance(known, dict) else {n: n for n, _ in model.named_modules() if n}


@contextmanager
def capture(model: nn.Module, *layers: str | nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collects the outputs of layers during the forward passes inside the block.

    >>> with capture(net, "fire5") as seen:
    ...     scores = net(x)
    >>> seen["fire5"].shape

    The graph is kept, so a captured output can be differentiated. Every pass overwrites the last.
    The hooks are gone after the block, whatever happened in it.

    Args:
        model: a network; nothing about it is changed.
        layers: names as `find` accepts them.

    Yields:
        A dictionary, filled by the forward pass: layer -> its output.
    """
    seen: dict[str, Tensor] = {}
    gate.check_open(model)
    modules = {layer: _part(model, layer) for layer in layers}
    handles, overwrites = [], getattr(model, "overwrites", True)

    def keeper(layer: str | nn.Module):
        def keep(module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
            seen[layer] = output
            # ResNet goes on with a copy, for its `out += identity` would overwrite ours.
            return output.clone() if overwrites and isinstance(output, Tensor) else None

        return keep

    try:
        for layer, module in modules.items():
            handles.append(module.register_forward_hook(keeper(layer)))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def activations(model: nn.Module, x: Tensor, layer: str | nn.Module) -> Tensor:
    """The output of one layer for images `x`, without gradient.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `find` accepts it.

    Returns:
        Usually (N,K,h,w).
    """
    with torch.no_grad():
        return outputs(model, x, layer)[layer]


def outputs(model: nn.Module, x: Tensor, *layers: str | nn.Module) -> dict[str | nn.Module, Tensor]:
    """The outputs of several layers, with the graph if there is one, from one whole pass.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layers: names as `find` accepts them.

    Returns:
        layer -> its output, the last one where the pass runs it several times.

    Raises:
        ValueError: an unknown layer, one that the pass never comes to, or whose output is no
            tensor; otherwise as `gate.run`.
    """
    with capture(model, *layers) as seen:
        gate.run(model, x)
    return {layer: taken(seen, layer) for layer in layers}


def maps(model: nn.Module, x: Tensor, *layers: str | nn.Module) -> dict[str | nn.Module, Tensor]:
    """As `outputs`, of layers with feature maps: layer -> (N,K,h,w).

    Raises:
        ValueError: a layer without rows and columns, or with its channels last; otherwise as
            `outputs`.
    """
    seen = outputs(model, x, *layers)
    return {layer: gate.check_maps(found, layer, x) for layer, found in seen.items()}


def taken(seen: dict[str | nn.Module, object], layer: str | nn.Module) -> Tensor:
    """What `capture` has taken down of a layer; ValueError if there is none, or no tensor."""
    if layer not in seen:
        raise ValueError(f"layer={layer!r} takes no part in the forward pass")
    if not isinstance(seen[layer], Tensor):
        kind = type(seen[layer]).__name__
        raise ValueError(f"layer={layer!r}: its output is a {kind}, not a tensor")
    return seen[layer]


def forward_until(model: nn.Module, x: Tensor, *names: str) -> dict[str, Tensor]:
    """The outputs of several layers, with the graph; the pass ends with the last of them.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        names: different names as `find` accepts them, at least one.

    Returns:
        layer -> its output, the first time it ran. A layer that the pass never came to is missing.

    Raises:
        ValueError: an unknown layer.
    """
    with capture(model, *names) as seen, suppress(_Enough):

        def stop(module: nn.Module, args: tuple, output: object) -> None:
            if len(seen) == len(names):
                raise _Enough

        handles = [_part(model, name).register_forward_hook(stop) for name in names]
        try:
            gate.run(model, x, names[-1])
        finally:
            for handle in handles:
                handle.remove()
    return seen


def output(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The output of one layer with the graph that leads back to x; the pass ends there.

    For a shallow layer most of the network is never run.

    Args:
        model: a network.
        x: normalised images (N,3,H,W), at least one.
        layer: a name as `find` accepts it.

    Returns:
        Usually (N,K,h,w).

    Raises:
        ValueError: an unknown layer, one that the pass never comes to, or whose output is no tensor
            of real numbers or has no gradient although x wants one; images too small for it.
    """
    seen = forward_until(model, x, layer)
    if layer not in seen:
        raise ValueError(f"layer={layer!r} takes no part in the forward pass")
    found = seen[layer]
    if not isinstance(found, Tensor) or not found.is_floating_point():
        raise ValueError(f"layer={layer!r} gives no tensor of real numbers")
    if not found.numel():
        height, width = x.shape[-2:]
        raise ValueError(
            f"x: images of {height} x {width} pixels are too small for layer={layer!r}"
        )
    if torch.is_grad_enabled() and x.requires_grad and not found.requires_grad:
        raise ValueError(f"layer={layer!r} has no gradient with respect to the pixels")
    return found


class _Enough(Exception):
    """Every layer that was asked for has been seen."""


# ------------------------------------------------------------------ receptive fields


@dataclass(frozen=True)
class Span:
    """Along one axis: the first and the last input pixel that each unit can see, (n,) each.

    `size`, `stride` describe a unit far from every border: how many pixels it sees, and how many
    pixels lie between neighbouring units.
    """

    first: Tensor
    last: Tensor
    size: int
    stride: int

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of one layer see of an input of a given size; geometry, so on the CPU.

    Attributes:
        rows, columns: the pixels that each row and column of units sees, cut at the border.
    """

    rows: Span
    columns: Span

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the field of a unit far from every border."""
        return self.rows.size, self.columns.size

    @property
    def stride(self) -> tuple[int, int]:
        """Pixels between the fields of neighbouring units, down and across."""
        return self.rows.stride, self.columns.stride

    @property
    def shape(self) -> tuple[int, int]:
        """Units down and across."""
        return len(self.rows), len(self.columns)

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The pixels one unit sees: (top, left, bottom, right), bottom and right excluded.

        Raises:
            IndexError: no such unit.
        """
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise IndexError(
                f"unit ({row}, {column}) is outside the {self.shape} units of the layer"
            )
        rows, columns = self.rows, self.columns
        return (
            int(rows.first[row]),
            int(columns.first[column]),
            int(rows.last[row]) + 1,
            int(columns.last[column]) + 1,
        )


def receptive_field(
    model: nn.Module, layer: str | nn.Module, size: int | tuple[int, int] = 224
) -> ReceptiveField:
    """Exactly which input pixels each unit of a layer can see.

    The network is traced and run on *spans of pixels* instead of activations: a convolution joins
    the spans under its window, concatenation and addition join those of their branches. Kernel,
    stride, dilation, padding (asymmetric "same" padding too) and ceil mode are all followed, so
    fields at the border come out as they are.

    Args:
        model: a network whose forward can be traced by torch.fx.
        layer: a name as `layers.find` accepts it.
        size: the input's height and width in pixels.

    Raises:
        ValueError: unknown layer, a layer that is not a feature map, or a network that cannot be
            traced.

    Reference: Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill 2019.
    """
    height, width = (size, size) if isinstance(size, int) else size
    target, inner = find(model, layer), getattr(model, "module", model)
    path = next((name for name, part in inner.named_modules() if part is target), "")
    graph = trace(inner)
    rows = _Spans(graph, path, axis=0).run(_pixels(height))
    columns = _Spans(graph, path, axis=1).run(_pixels(width))
    if not (isinstance(rows, Span) and isinstance(columns, Span)):
        raise ValueError(
            f"layer={layer!r} has no rows and columns, or lies behind an operation whose geometry "
            "is not followed, so the fields of its units are unknown"
        )
    return ReceptiveField(rows, columns)


class _Tracer(fx.Tracer):
    """Keeps convolutions and normalisations whole, also timm's, whose code branches on shapes."""

    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        whole = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.BatchNorm2d)
        pooling = type(module).__name__ == "SelectAdaptivePool2d"
        return isinstance(module, whole) or pooling or super().is_leaf_module(module, path)


def trace(model: nn.Module) -> fx.GraphModule:
    """The network as a graph of its layers, sharing its weights.

    Raises:
        ValueError: the forward pass depends on the data, so that it cannot be traced, or a network
            whose layers are out of reach.
    """
    gate.check_open(model)
    try:
        return fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:
        text = str(error).split("\n")[0].split(". ")[0]
        raise ValueError(
            f"{type(model).__name__} cannot be traced by torch.fx ({text}), so its geometry is "
            "unknown"
        ) from error


def _pixels(n: int) -> Span:
    return Span(torch.arange(n, device="cpu"), torch.arange(n, device="cpu"), size=1, stride=1)


class _Spans(fx.Interpreter):
    """Runs a traced network on `Span`s along one axis; keeps the output of the layer at `path`."""

    def __init__(self, graph: fx.GraphModule, path: str, axis: int) -> None:
        super().__init__(graph)
        self.path, self.axis, self.found = path, axis, None
        self.extra_traceback = False  # else torch.fx adds its graph to our sentences

    def run(self, span: Span) -> Span | None:
        self.found = None
        super().run(span)
        return self.found

    def run_node(self, node: fx.Node) -> object:
        out = super().run_node(node)
        # A block's output is that of its last node; torch.fx calls its second pass "path@1".
        inside = (name.split("@")[0] for name in node.meta.get("nn_module_stack") or {})
        if self.path in inside:
            self.found = out
        return out

    def call_module(self, target: str, args: tuple, kwargs: dict) -> Span | None:
        return self.through(self.fetch_attr(target), args[0])

    def through(self, module: nn.Module, span: object) -> Span | None:
        """The spans after one layer; None where there is no geometry to follow."""
        if not isinstance(span, Span):
            return None
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            return _slide(span, module, self.axis)
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            return _adapt(span, _along(module.output_size, self.axis))
        if type(module).__name__ == "SelectAdaptivePool2d":
            return _adapt(span, 1)
        # Activation, normalisation and dropout work unit by unit.
        return span if isinstance(module, _UNITWISE) else None

    def call_function(self, target: object, args: tuple, kwargs: dict) -> Span | None:
        name = getattr(target, "__name__", "").rstrip("_")
        if name in _POOLING:
            return self.through(_POOLING[name](*args[1:], **kwargs), args[0])
        if name == "getitem":  # x[:, 0] chooses channels; x[..., 1:] would choose pixels
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            return args[0] if len(index) <= 2 and ... not in index else None
        flat = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else [arg])]
        flat += kwargs.values()
        spans = [a for a in flat if isinstance(a, Span)]
        return _join(spans) if spans and name in _UNITWISE_FUNCTIONS else None

    def call_method(self, target: str, args: tuple, kwargs: dict) -> Span | None:
        return self.call_function(getattr(Tensor, target), args, kwargs)


_UNITWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Mish, nn.PReLU, nn.Identity, nn.BatchNorm2d),
    *(nn.Dropout, nn.Dropout2d, nn.LocalResponseNorm),
)
_UNITWISE_FUNCTIONS = (
    *("add", "iadd", "sub", "isub", "mul", "imul", "truediv", "cat", "concat", "clamp"),
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hardswish", "hardsigmoid"),
    *("sigmoid", "tanh", "softplus", "dropout", "dropout2d", "stochastic_depth", "batch_norm"),
    *("contiguous", "clone", "detach", "float", "unsqueeze"),
)
_POOLING = {
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
}


def _along(value: int | Sequence[int], axis: int) -> int:
    return value[axis] if isinstance(value, tuple | list) else value


def window(module: nn.Module, axis: int) -> tuple[int, int, int, int | None, bool]:
    """Kernel, stride, dilation, padding before the first unit, ceil mode, along an axis.

    The padding is None where it is "same": how much that is depends on the input.
    """
    kernel = _along(module.kernel_size, axis)
    stride = _along(module.stride or module.kernel_size, axis)
    dilation = _along(getattr(module, "dilation", 1), axis)
    same = type(module).__name__.endswith("Same") or module.padding == "same"
    padding = None if same else 0 if module.padding == "valid" else _along(module.padding, axis)
    return kernel, stride, dilation, padding, getattr(module, "ceil_mode", False)


def _slide(span: Span, module: nn.Module, axis: int) -> Span:
    """The spans under each position of a sliding window."""
    n = len(span)
    kernel, stride, dilation, padding, ceil = window(module, axis)
    reach = dilation * (kernel - 1)
    if padding is None:  # TensorFlow's "same": the odd pixel of padding goes after the last unit
        units = math.ceil(n / stride)
        padding = max((units - 1) * stride + reach + 1 - n, 0) // 2
    else:
        steps = (n + 2 * padding - reach - 1) / stride
        units = (math.ceil(steps) if ceil else math.floor(steps)) + 1
        if ceil and (units - 1) * stride >= n + padding:
            units -= 1  # a window that starts in the padding after the last unit is dropped
    start = torch.arange(units, device="cpu") * stride - padding
    under = start[:, None] + dilation * torch.arange(kernel, device="cpu")
    inside = (under >= 0) & (under < n)
    under = under.clamp(0, n - 1)
    return Span(
        torch.where(inside, span.first[under], torch.iinfo(torch.int64).max).amin(1),
        torch.where(inside, span.last[under], -1).amax(1),
        size=span.size + reach * span.stride,
        stride=span.stride * stride,
    )


def _join(spans: list[Span]) -> Span:
    """What a unit sees of several branches; a branch of one unit is broadcast, as sums do."""
    first = torch.stack(torch.broadcast_tensors(*(s.first for s in spans))).amin(0)
    last = torch.stack(torch.broadcast_tensors(*(s.last for s in spans))).amax(0)
    stride = min(s.stride for s in spans)
    return Span(first, last, max(s.size for s in spans), stride)


def _adapt(span: Span, units: int | None) -> Span:
    """Adaptive pooling to so many units (None: as many as there are): nearly equal shares."""
    n = len(span)
    k = torch.arange(units or n, device="cpu")
    begin, end = k * n // len(k), -(-(k + 1) * n // len(k))
    first = torch.stack([span.first[b:e].min() for b, e in zip(begin, end, strict=True)])
    last = torch.stack([span.last[b:e].max() for b, e in zip(begin, end, strict=True)])
    share = -(-n // len(k))
    return Span(first, last, span.size + (share - 1) * span.stride, span.stride * n // len(k))
