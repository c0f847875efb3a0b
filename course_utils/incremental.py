"""Exact recomputation of only what a small change of the input can reach.

A patch in a picture changes a few units of the first layer, a few more of the second, and so on;
all others keep the activations of the untouched picture. So these are computed once, and for every
patch only its *footprint* is run through the network, layer by layer, with the untouched
activations around it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor, fx, nn

from course_utils import layers


class NoGeometry(ValueError):
    """A layer whose footprint is not known, so that the network has to be run as a whole."""


@dataclass
class Footprint:
    """Feature maps that differ from the untouched ones inside a rectangle, one for each patch.

    Attributes:
        base: the untouched maps, (H,W,K).
        patch: the changed rectangles, (B,h,w,K): the maps' values, not differences.
        top, left: (B,) where each rectangle begins.
    """

    base: Tensor
    patch: Tensor
    top: Tensor
    left: Tensor

    def crop(self, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        """The changed maps inside other rectangles, (B,height,width,K); they may leave the map."""
        new = self.patch.new_empty(len(top), height, width, self.patch.shape[3])
        self.lay(new, top, left)
        return new

    def lay(self, new: Tensor, top: Tensor, left: Tensor) -> None:
        """Fill `new` (B,height,width,K) with the changed maps from `top`, `left` on."""
        (h, w), (height, width) = self.patch.shape[1:3], new.shape[1:3]
        if (h, w) == (height, width) and torch.equal(top, self.top) and left.equal(self.left):
            new.copy_(self.patch)
            return
        corners = (t.tolist() for t in (self.top, self.left, top, left))
        for one, patch, i, j, r, c in zip(new, self.patch, *corners, strict=True):
            one.copy_(self.base[r : r + height, c : c + width])
            to_rows, rows = _overlap(r, height, i, h)
            to_columns, columns = _overlap(c, width, j, w)
            one[to_rows, to_columns] = patch[rows, columns]

    def pad(self, before: tuple[int, int], after: tuple[int, int], value: float) -> "Footprint":
        """The same with a border around the maps."""
        sides = (0, 0, before[1], after[1], before[0], after[0])
        base = nnf.pad(self.base, sides, value=value)
        return Footprint(base, self.patch, self.top + before[0], self.left + before[1])


def _overlap(start: int, n: int, other: int, m: int) -> tuple[slice, slice]:
    """What two stretches of an axis share, counted from the start of each."""
    first = max(start, other)
    last = max(first, min(start + n, other + m))
    return slice(first - start, last - start), slice(first - other, last - other)


class Incremental(fx.Interpreter):
    """A network that is run on footprints instead of pictures.

    Args:
        model: a network whose forward can be traced by torch.fx.
        x: the untouched picture (1,3,H,W), normalised.

    Raises:
        ValueError: a network that cannot be traced, or another number of pictures than one.
    """

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        if x.ndim != 4 or len(x) != 1:
            raise ValueError(f"x: shape {tuple(x.shape)}; accepted: one image (1,3,H,W)")
        super().__init__(layers.trace(getattr(model, "module", model)))
        self.x = x.detach()
        self.base = _Recorder(self.module).record(self.x)

    def scores(self, patch: Tensor, top: Tensor, left: Tensor) -> Tensor:
        """The network's output for the picture with patches laid over it.

        Args:
            patch: normalised pixels (B,3,h,w).
            top, left: (B,) int64, where each patch lies, inside the picture.

        Returns:
            (B, classes).

        Raises:
            NoGeometry: the network has a layer whose footprint is not known.
        """
        first = Footprint(_last(self.x)[0], _last(patch), top, left)
        with torch.no_grad():
            return self.run(first)

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
        if name == "cat":
            joined = self.side_by_side(changed, top, left, height, width)
        else:
            joined = _last(target(*(_first(one.crop(top, left, height, width)) for one in changed)))
        return Footprint(self.untouched(), joined, top, left)

    def call_method(self, target: str, args: tuple, kwargs: dict) -> object:
        if any(isinstance(a, Footprint) for a in args):
            raise NoGeometry(target)
        return super().call_method(target, args, kwargs)

    def is_ours(self, node: fx.Node) -> bool:
        """Whether nobody else reads what a node gave, so that it may be overwritten."""
        fresh = node.op == "call_module" and isinstance(self.fetch_attr(node.target), nn.Conv2d)
        return fresh and len(node.users) == 1

    def side_by_side(self, parts: list[Footprint], top: Tensor, left: Tensor, *size: int) -> Tensor:
        """The channels of several maps after one another, written straight to their place."""
        channels = [part.base.shape[2] for part in parts]
        joined = parts[0].patch.new_empty(len(top), *size, sum(channels))
        for part, place in zip(parts, joined.split(channels, dim=3), strict=True):
            part.lay(place, top, left)
        return joined

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
        spans, border = [], []
        for axis, (start, n) in enumerate(
            ((value.top, value.patch.shape[1]), (value.left, value.patch.shape[2]))
        ):
            kernel, stride, dilation, before, _ = layers.window(module, axis)
            reach, size, units = dilation * (kernel - 1), value.base.shape[axis], after.shape[axis]
            if before is None:
                before = max((units - 1) * stride + reach + 1 - size, 0) // 2
            low = ((start + before - reach + stride - 1).div(stride, rounding_mode="floor")).clamp(
                0
            )
            high = (start + n - 1 + before).div(stride, rounding_mode="floor").clamp(max=units - 1)
            count = max(1, int((high - low).max()) + 1)
            low = low.clamp(max=units - count)
            spans.append((low, count, low * stride, (count - 1) * stride + reach + 1))
            border.append((before, max(0, (units - 1) * stride + reach + 1 - size - before)))
        outside = -math.inf if isinstance(module, nn.MaxPool2d) else 0.0
        padded = value.pad(*zip(*border, strict=True), outside)
        (top, _, from_row, height), (left, _, from_column, width) = spans
        crop = padded.crop(from_row, from_column, height, width)
        return Footprint(after, _last(_without_padding(module, _first(crop))), top, left)


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
    h, w = value.patch.shape[1:3]
    corners = zip(value.top.tolist(), value.left.tolist(), strict=True)
    old = torch.stack([value.base[i : i + h, j : j + w].sum((0, 1)) for i, j in corners])
    change = value.patch.sum((1, 2)) - old
    mean = value.base.mean((0, 1)) + change / value.base[..., 0].numel()
    flat = getattr(getattr(module, "flatten", None), "__class__", None) is nn.Flatten
    return mean if flat else mean[:, :, None, None]


def _union(values: list[Footprint]) -> tuple[Tensor, Tensor, int, int]:
    """The smallest rectangles of one size that hold those of every branch."""
    size, result = values[0].base.shape, []
    for axis, start in enumerate(("top", "left")):
        low = torch.stack([getattr(v, start) for v in values]).amin(0)
        high = torch.stack([getattr(v, start) + v.patch.shape[1 + axis] for v in values]).amax(0)
        count = int((high - low).max())
        result.append((low.clamp(max=size[axis] - count), count))
    (top, height), (left, width) = result
    return top, left, height, width


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)
