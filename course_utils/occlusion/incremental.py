"""Exact recomputation of only what a small change of the input can reach.

A patch in a picture changes a few units of the first layer, a few more of the second, and so on;
all others keep the activations of the untouched picture. So these are computed once, and for every
patch only its *footprint* is run through the network, layer by layer, with the untouched
activations around it.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, fx, nn

from course_utils import layers
from course_utils.common import gate


class NoGeometry(ValueError):
    """A layer whose footprint is not known, so that the network has to be run as a whole."""

    def __init__(self, what: str) -> None:
        super().__init__(f"model: how far a change reaches through {what} is not known")


@dataclass
class Footprint:
    """Feature maps that differ from the untouched ones inside a rectangle, one for each patch.

    Where things lie is kept in NumPy's integers: dozens of them are computed for every layer, which
    would take longer as tensors than the convolution itself.

    Attributes:
        base: the untouched maps, (H,W,K).
        patch: the changed rectangles, (B,h,w,K): the maps' values, not differences.
        top, left: (B,) where each rectangle begins.
    """

    base: Tensor
    patch: Tensor
    top: np.ndarray
    left: np.ndarray

    def crop(
        self, top: np.ndarray, left: np.ndarray, height: int, width: int, outside: float = 0.0
    ) -> Tensor:
        """The changed maps inside other rectangles, (B,height,width,K).

        Where these leave the maps, they hold `outside`.
        """
        (n, h, w), (rows, columns) = self.patch.shape[:3], self.base.shape[:2]
        same = (h, w) == (height, width)
        if same and np.array_equal(top, self.top) and np.array_equal(left, self.left):
            return self.patch
        # One table of units to pick from: the untouched ones, the changed ones, one for outside.
        border = self.base.new_full((1, self.base.shape[2]), outside)
        table = torch.cat([self.base.flatten(0, 1), self.patch.flatten(0, 2), border])
        row, r, hit_r, on_r = (v[:, :, None] for v in _along(top, self.top, height, h, rows))
        column, c, hit_c, on_c = (v[:, None] for v in _along(left, self.left, width, w, columns))
        changed = rows * columns + (np.arange(n)[:, None, None] * h + r) * w + c
        unit = np.where(hit_r & hit_c, changed, row * columns + column)
        unit = np.where(on_r & on_c, unit, len(table) - 1)
        picked = table.index_select(0, torch.from_numpy(unit.ravel()).to(table.device))
        return picked.view(n, height, width, -1)


def _along(start: np.ndarray, patch: np.ndarray, n: int, m: int, size: int) -> list[np.ndarray]:
    """Of the n units of an axis from `start` on, each (B,n): which one, also counted from where the
    patch of m units begins; whether it belongs to the patch; whether it is on the maps.
    """
    unit = start[:, None] + np.arange(n)
    inner = unit - patch[:, None]
    return [unit, inner, (inner >= 0) & (inner < m), (unit >= 0) & (unit < size)]


class Incremental(fx.Interpreter):
    """A network that is run on footprints instead of pictures.

    Args:
        model: a network whose forward can be traced by torch.fx.
        x: the untouched picture (1,3,H,W), normalised.
        classes: the outputs that are wanted, all if None. The last layer computes no others, which
            matters where it is a convolution: half of SqueezeNet's work is its 1000 class maps.

    Raises:
        ValueError: a network that cannot be traced, or another number of pictures than one.
    """

    def __init__(self, model: nn.Module, x: Tensor, classes: Sequence[int] | None = None) -> None:
        check_one(x)
        gate.check_model(model)
        super().__init__(layers.trace(getattr(model, "module", model)))
        self.extra_traceback = False  # else torch.fx adds its graph to our sentences
        self.x, self.classes = x.detach(), classes if classes is None else list(classes)
        self.base = _Recorder(self.module).record(self.x)
        if classes is not None and _narrow(self.module, self.classes, self.base):
            self.base, self.classes = _Recorder(self.module).record(self.x), None

    def scores(self, patch: Tensor, top: Tensor, left: Tensor) -> Tensor:
        """The network's output for the picture with patches laid over it.

        Args:
            patch: normalised pixels (B,3,h,w).
            top, left: (B,) int64, where each patch lies, inside the picture.

        Returns:
            (B, classes), in the order of `classes`.

        Raises:
            NoGeometry: the network has a layer whose footprint is not known.
        """
        corners = top.cpu().numpy(), left.cpu().numpy()
        first = Footprint(_last(self.x)[0], _last(patch), *corners)
        with torch.no_grad():
            out = gate.check_logits(self.module, self.run(first), len(patch))
        return out if self.classes is None else out[:, self.classes]

    def run_node(self, node: fx.Node) -> object:
        self.node = node
        return super().run_node(node)

    def untouched(self) -> Tensor:
        """What the node being run gives for the untouched picture: (H,W,K)."""
        return _last(self.base[self.node])[0]

    def call_module(self, target: str, args: tuple, kwargs: dict) -> object:
        module, value = self.fetch_attr(target), args[0]
        if not isinstance(value, Footprint):
            return module(*args, **kwargs)
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            return self.slide(module, value)
        if self.base[self.node].ndim == 4 and self.base[self.node].shape[2:] == (1, 1):
            return _mean(module, value)
        if isinstance(module, nn.BatchNorm2d | nn.ReLU | nn.ReLU6 | nn.Dropout | nn.Identity):
            return self.unit_by_unit(module, value)
        if _is_mean(module):
            return _mean(module, value)
        raise NoGeometry(f"{type(module).__name__} ({target})")

    def call_function(self, target: Callable, args: tuple, kwargs: dict) -> object:
        flat = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else [arg])]
        changed = [a for a in flat if isinstance(a, Footprint)]
        if not changed:
            return target(*args, **kwargs)
        name = getattr(target, "__name__", "")
        if name not in ("cat", "add", "iadd", "relu", "relu6") or len(changed) != len(
            [a for a in flat if isinstance(a, Tensor | Footprint)]
        ):
            raise NoGeometry(name)
        top, left, height, width = _union(changed)
        parts = [one.crop(top, left, height, width) for one in changed]
        if name == "cat":
            joined = torch.cat(parts, dim=3)
        else:
            joined = _last(target(*(_first(part) for part in parts)))
        return Footprint(self.untouched(), joined, top, left)

    def call_method(self, target: str, args: tuple, kwargs: dict) -> object:
        if any(isinstance(a, Footprint) for a in args):
            raise NoGeometry(target)
        return super().call_method(target, args, kwargs)

    def is_ours(self, node: fx.Node) -> bool:
        """Whether nobody else reads what a node gave, so that it may be overwritten."""
        fresh = node.op == "call_module" and isinstance(self.fetch_attr(node.target), nn.Conv2d)
        return fresh and len(node.users) == 1

    def unit_by_unit(self, module: nn.Module, value: Footprint) -> Footprint:
        """Activation, normalisation: every unit depends on itself alone."""
        if isinstance(module, nn.ReLU) and self.is_ours(self.node.args[0]):
            patch = value.patch.relu_()
        else:
            patch = _last(module(_first(value.patch)))
        return Footprint(self.untouched(), patch, value.top, value.left)

    def slide(self, module: nn.Module, value: Footprint) -> Footprint:
        """Convolution and pooling: the units whose window meets the changed rectangle."""
        after = self.untouched()
        spans = []
        for axis, (start, n) in enumerate(
            ((value.top, value.patch.shape[1]), (value.left, value.patch.shape[2]))
        ):
            kernel, stride, dilation, before, _ = layers.window(module, axis)
            reach, units = dilation * (kernel - 1), after.shape[axis]
            if before is None:
                size = value.base.shape[axis]
                before = max((units - 1) * stride + reach + 1 - size, 0) // 2
            low = np.maximum(-((reach - before - start) // stride), 0)
            high = np.minimum((start + n - 1 + before) // stride, units - 1)
            count = max(1, int((high - low).max()) + 1)
            low = np.minimum(low, units - count)
            spans.append((low, low * stride - before, (count - 1) * stride + reach + 1))
        outside = -math.inf if isinstance(module, nn.MaxPool2d) else 0.0
        (top, from_row, height), (left, from_column, width) = spans
        crop = value.crop(from_row, from_column, height, width, outside)
        return Footprint(after, _last(_without_padding(module, _first(crop))), top, left)


def check_one(x: Tensor) -> None:
    """Refuses what is not one finite image (1,3,H,W)."""
    if len(gate.check_shape(x)) != 1:
        raise ValueError(f"x: shape {tuple(x.shape)}; accepted: one image (1,3,H,W), finite")
    gate.check_images(x)


class _Recorder(fx.Interpreter):
    """Keeps what every node of a traced network gives for one picture."""

    def record(self, x: Tensor) -> dict[fx.Node, Tensor]:
        self.kept: dict[fx.Node, Tensor] = {}
        with torch.no_grad():
            self.run(x)
        return self.kept

    def run_node(self, node: fx.Node) -> object:
        out = super().run_node(node)
        if isinstance(out, Tensor):
            self.kept[node] = out
        return out


def _narrow(traced: fx.GraphModule, classes: list[int], base: dict[fx.Node, Tensor]) -> bool:
    """Leave only some classes in the last layer with weights, if nothing after it mixes them."""
    nodes = list(traced.graph.nodes)
    for node in reversed(nodes):
        module = traced.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1):
            break
        apart = isinstance(module, nn.ReLU | nn.Dropout | nn.AdaptiveAvgPool2d | nn.Flatten)
        if not apart and node.op != "output" and node.target is not torch.flatten:
            return False
    one_each = base[node].shape[1] == base[nodes[-1]].shape[1]
    if not one_each or [n.target for n in nodes].count(node.target) > 1:
        return False
    narrow = copy.deepcopy(module)
    for name, values in module.named_parameters():
        setattr(narrow, name, nn.Parameter(values[classes].detach(), requires_grad=False))
    traced.set_submodule(node.target, narrow)
    return True


def _without_padding(module: nn.Module, x: Tensor) -> Tensor:
    """A convolution or pooling of maps that bring their border along."""
    if isinstance(module, nn.Conv2d):
        parts = (module.stride, 0, module.dilation, module.groups)
        return nnf.conv2d(x, module.weight, module.bias, *parts)
    if isinstance(module, nn.MaxPool2d):
        return nnf.max_pool2d(x, module.kernel_size, module.stride, 0, module.dilation)
    if module.ceil_mode or module.padding not in (0, (0, 0)):
        raise NoGeometry("AvgPool2d whose border counts differently")
    return nnf.avg_pool2d(x, module.kernel_size, module.stride)


def _is_mean(module: nn.Module) -> bool:
    return isinstance(module, nn.AdaptiveAvgPool2d) or type(module).__name__.startswith("SelectAd")


def _mean(module: nn.Module, value: Footprint) -> Tensor:
    """Global average: the untouched mean, plus what the changed rectangles add to it."""
    if not _is_mean(module):
        raise NoGeometry(type(module).__name__)
    (rows, columns), (h, w) = value.base.shape[:2], value.patch.shape[1:3]
    start = np.zeros_like(value.top)
    _, _, hit_r, _ = _along(start, value.top, rows, h, rows)
    _, _, hit_c, _ = _along(start, value.left, columns, w, columns)
    replaced = hit_r[:, :, None] & hit_c[:, None]
    units = value.base.flatten(0, 1)
    old = torch.from_numpy(replaced).to(units).flatten(1) @ units
    mean = units.mean(0) + (value.patch.sum((1, 2)) - old) / len(units)
    flat = getattr(getattr(module, "flatten", None), "__class__", None) is nn.Flatten
    return mean if flat else mean[:, :, None, None]


def _union(values: list[Footprint]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The smallest rectangles of one size that hold those of every branch."""
    size, result = values[0].base.shape, []
    for axis, start in enumerate(("top", "left")):
        low = np.min([getattr(v, start) for v in values], axis=0)
        high = np.max([getattr(v, start) + v.patch.shape[1 + axis] for v in values], axis=0)
        count = int((high - low).max())
        result.append((np.minimum(low, size[axis] - count), count))
    (top, height), (left, width) = result
    return top, left, height, width


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)
