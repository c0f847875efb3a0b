"""Lecture 07: gradients with respect to the pixels under three rules for the ReLU.

A ReLU passes x where x > 0. On the way back, with the incoming gradient g, three rules are known:

    backprop   g where x > 0               the derivative
    deconvnet  g where g > 0               Zeiler & Fergus 2014; the forward pass is not asked
    guided     g where x > 0 and g > 0     Springenberg et al. 2015: both masks

ReLU6 is off below 0 and saturated above 6: its derivative is 0 in both. So backprop and guided
stop there, and deconvnet, which never asks the forward pass, does not.

The rules are put in at run time, function by function: nothing of a network is swapped or hooked.

Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for Simplicity: The All Convolutional Net",
ICLR workshop 2015. Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
"""

import copy
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_utils import layers
from course_utils.common.errors import unknown
from course_utils.common.scores import class_scores
from course_utils.models import Network


def backprop_relu(x: Tensor, gradient: Tensor) -> Tensor:
    """The derivative's rule: the gradient passes where the ReLU was on.

    Args:
        x: what went into the ReLU in the forward pass; only whether it is above 0 matters.
        gradient: what arrives at the ReLU from above, of the same shape.

    Returns:
        What goes on below, of the same shape.
    """
    # gradient * (x > 0), without the detour of a mask: 20 times faster on a CPU
    return torch.ops.aten.threshold_backward(gradient, x, 0)


def deconvnet_relu(x: Tensor, gradient: Tensor) -> Tensor:
    """The deconvnet's rule: the gradient passes where it is positive.

    Args, returns: as `backprop_relu`; `x` is not used.

    Reference: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    return gradient.clamp(min=0)


def guided_relu(x: Tensor, gradient: Tensor) -> Tensor:
    """The guided rule: the gradient passes where it is positive and the ReLU was on.

    Args, returns: as `backprop_relu`.

    Reference: Springenberg et al., "Striving for Simplicity", 2015, figure 1.
    """
    return backprop_relu(x, gradient).clamp(min=0)


RULES = {"backprop": backprop_relu, "deconvnet": deconvnet_relu, "guided": guided_relu}
"""The rules by name, each a function of the forward input and the incoming gradient."""


# ------------------------------------------------------------------ a network under a rule


def with_rule(model: nn.Module, rule: str) -> nn.Module:
    """A private copy of a network whose ReLUs and ReLU6s pass gradients back by another rule.

    The copy computes the same scores; layer names, labels and preprocessing come along. Whatever
    differentiates it (`saliency.saliency_map`, `smoothgrad` ...) meets the rule. It covers modules,
    and functions called in a forward: relu, relu6, and clamp, hardtanh or threshold from 0 upwards.

    After each forward pass the graph that will be differentiated is searched, so that no other
    rectifier (GELU, SiLU, `where`, a custom function ...) passes the plain gradient in silence. One
    that is plain arithmetic, such as sqrt(x**2) + x, cannot be told from the rest.

    Args:
        model: a network; it is left as it is.
        rule: "backprop", "deconvnet" or "guided".

    Raises:
        ValueError: an unknown rule, or a network that is compiled, scripted or cannot be copied.
            The copy raises it in a forward pass with a rectifier that the rule does not cover,
            or with none at all.
    """
    _accept(model, rule)
    try:
        private = copy.deepcopy(model)
    except (RuntimeError, TypeError, pickle.PickleError) as error:
        raise ValueError(f"model: {type(model).__name__} cannot be copied ({error})") from error
    for part in private.modules() if rule != "backprop" else ():
        kind = type(part)
        library = kind.__module__.startswith("torch.nn.")
        if part is private or not library or isinstance(part, nn.ReLU | nn.ReLU6):
            # A subclass under the old name, so that the copy of a copy is under the rule as well.
            names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
            part.__class__ = type(kind.__name__, (_Ruled, kind), names)
            part.relu_rule, part.is_whole = rule, part is private
    return private


def _accept(model: nn.Module, rule: str) -> None:
    """Refuses an unknown rule, and networks whose calls cannot be seen."""
    if rule not in RULES:
        raise ValueError(unknown("rule", rule, RULES, "rules for the ReLU"))
    for part in model.modules():
        if rule != "backprop" and (
            isinstance(part, torch.jit.ScriptModule) or hasattr(part, "_orig_mod")
        ):
            raise ValueError(
                f"model: {type(part).__name__} is scripted or compiled, so its ReLUs are out of "
                "reach; give the network it was made from"
            )


_inside: ContextVar[bool] = ContextVar("inside a forward pass under a rule", default=False)


@contextmanager
def _following(rule: str) -> Iterator[Callable]:
    """Forward passes inside the block follow the rule; the network itself is not touched.

    Yields:
        `search(output, inputs, whole)`, to be called on what a network returned, see `_search`.
    """
    if rule == "backprop" or _inside.get():
        yield lambda *args: None
        return
    token = _inside.set(True)
    try:
        with _Replace(rule):
            yield _search
    finally:
        _inside.reset(token)


class _Ruled:
    """Put before a module's class: its calls follow `relu_rule`.

    Not its `forward`, which torch.fx reads when it traces a network.
    """

    def __call__(self, *args: object, **kwargs: object) -> object:
        with _following(self.relu_rule) as search:
            output = super().__call__(*args, **kwargs)
            search(output, [*args, *kwargs.values()], self.is_whole)
        return output


class _Rectify(torch.autograd.Function):
    """x cut to 0 ... top; its backward pass follows a rule."""

    @staticmethod
    def forward(ctx: object, x: Tensor, top: float, rule: str, inplace: bool) -> Tensor:
        out = x.clamp_(0, top) if inplace else x.clamp(0, top)
        if inplace:
            ctx.mark_dirty(x)
        ctx.top, ctx.rule = top, rule
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: object, gradient: Tensor) -> tuple:
        (out,) = ctx.saved_tensors
        return RULES[ctx.rule](_on(out, ctx.top), gradient), None, None, None


def _on(out: Tensor, top: float) -> Tensor:
    """A ReLU's output, and 0 where it is saturated: above 0 exactly where its slope is 1."""
    return out if top == math.inf else backprop_relu(top - out, out)


class _Replace(TorchFunctionMode):
    """Every function that is a ReLU or a ReLU6 becomes `_Rectify`, wherever it is called."""

    def __init__(self, rule: str) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, function: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        top = _top(name, *args, **kwargs)
        x = args[0] if args else kwargs.get("input")
        if top is None or not isinstance(x, Tensor):  # torch.fx traces with stand-ins for tensors
            _refuse_comparison(name, x)
            return function(*args, **kwargs)
        inplace = kwargs.get("inplace", name.endswith("_") or any(a is True for a in args[1:]))
        return _Rectify.apply(x, top, self.rule, inplace)


def _top(name: str, *args: object, **kwargs: object) -> float | None:
    """Where a function that cuts at 0 from below saturates: 6, infinity ...; None for others."""
    name = name.strip("_")
    fixed = {"relu": math.inf, "relu6": 6.0}
    if name in fixed:
        return fixed[name]
    named = {
        "clamp": ("min", "max"),
        "clip": ("min", "max"),
        "clamp_min": ("min",),
        "hardtanh": ("min_val", "max_val"),
        "threshold": ("threshold", "value"),
    }
    if name not in named:
        return None
    given = dict(zip(named[name], args[1:], strict=False))
    low, high = ({**given, **kwargs}.get(key) for key in (*named[name], "max")[:2])
    if not isinstance(low, int | float) or low != 0 or isinstance(high, Tensor):
        return None
    if name == "threshold":  # what lies at or below the threshold becomes `value`
        return math.inf if high == 0 else None
    return math.inf if high is None else float(high)


def _refuse_comparison(name: str, x: object) -> None:
    """`x * (x > 0)` is a ReLU of which autograd's graph shows only a product."""
    compares = name.strip("_") in ("gt", "ge", "lt", "le", "greater", "less", "sign", "heaviside")
    if compares and isinstance(x, Tensor) and x.requires_grad:
        raise ValueError(
            f"model: its forward calls {name} on activations, perhaps as a ReLU written by hand; "
            "write it as nn.ReLU"
        )


# Nodes of autograd's graph that let a part of their input through, as a ReLU does.
_RECTIFIERS = (
    *("Relu", "Hardtanh", "Clamp", "Threshold", "LeakyRelu", "Prelu", "Rrelu", "Elu", "Celu"),
    *("Gelu", "Silu", "Hardswish", "Mish", "Softplus", "Where", "Maximum", "Minimum", "Abs"),
    *("Softshrink", "Hardshrink", "LogSigmoid", "Glu", "MaskedFill", "IndexPut", "Fmax", "Fmin"),
)


def _search(output: object, inputs: list, whole: bool) -> None:
    """Refuses a graph with a rectifier that is not under the rule; a whole network without any."""
    todo = [t.grad_fn for t in _tensors(output) if t.grad_fn is not None]
    # What made the network's input, say clipped pixels, is no part of the network.
    seen = {t.grad_fn for t in _tensors(inputs) if t.grad_fn is not None}
    names = set()
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            names.add(node.name())
            todo += [child for child, _ in node.next_functions if child is not None]
    ours = f"{_Rectify.__name__}Backward"
    others = sorted(n.split("Backward")[0] for n in names if _rectifies(n) and n != ours)
    if others:
        raise ValueError(
            f"model: its forward calls {', '.join(others)}; the rules are defined for ReLU and "
            "ReLU6 only, and the answer would be part plain gradient. Use rule='backprop'."
        )
    if whole and names and ours not in names:
        raise ValueError(
            "model: there is no ReLU between its input and its output, so every rule would give "
            "the plain gradient. Use rule='backprop'."
        )


def _rectifies(name: str) -> bool:
    """Whether a node of autograd's graph may be a rectifier: known ones, and custom functions."""
    custom = name.endswith("Backward")  # autograd's own end in a number: ReluBackward0
    of_hooks = name == "BackwardHookFunctionBackward"
    return name.lstrip("_").startswith(_RECTIFIERS) or (custom and not of_hooks)


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in a network's output or arguments, however they are packed."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


# ------------------------------------------------------------------ of a class, of a unit


def class_gradient(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, rule: str = "guided"
) -> Tensor:
    """The score of a class carried back to the pixels under a rule; dS_c/dx for "backprop".

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        classes: the class of each image, or one for all (index or name).
        rule: "backprop", "deconvnet" or "guided".

    Returns:
        (N,3,H,W), signed.

    Raises:
        ValueError: as `class_scores` and `with_rule`.
    """
    _accept(model, rule)
    x = x.detach().requires_grad_()
    with torch.enable_grad(), _following(rule) as search:
        score = class_scores(model, x, classes).sum()  # images do not mix
        search(score, [x], True)
    return torch.autograd.grad(score, x)[0]


def guided_gradient(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """`class_gradient` under the guided rule: guided backpropagation.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        classes: the class of each image, or one for all (index or name).

    Returns:
        (N,3,H,W), signed.

    Reference: Springenberg et al., "Striving for Simplicity", 2015.
    """
    return class_gradient(model, x, classes, "guided")


def strongest_units(maps: Tensor, channel: int) -> tuple[Tensor, Tensor]:
    """Where a channel is strongest in each image.

    Args:
        maps: a layer's output, (N,K,h,w), or (N,K) for a layer without positions.
        channel: 0 to K-1.

    Returns:
        The largest activation of each image (N,), and its row and column (N,2) int64.

    Raises:
        ValueError: a channel the layer does not have, or another shape.
    """
    if maps.ndim not in (2, 4):
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: (N,K,h,w) or (N,K)")
    if not 0 <= channel < maps.shape[1]:
        raise ValueError(f"channel={channel}; accepted: 0 to {maps.shape[1] - 1}")
    maps = maps if maps.ndim == 4 else maps[:, :, None, None]
    values, flat = maps[:, channel].flatten(1).max(1)
    return values, torch.stack([flat // maps.shape[3], flat % maps.shape[3]], 1)


def unit_gradient(
    model: nn.Module,
    x: Tensor,
    layer: str | nn.Module,
    channel: int,
    units: Tensor | tuple[int, int] | None = None,
    rule: str = "guided",
) -> Tensor:
    """The activation of one unit in each image, carried back to the pixels under a rule.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `layers.find` accepts it, or the layer itself.
        channel: of the layer, from 0.
        units: row and column of the unit, (N,2) or one pair for all; by default each image's
            strongest unit of the channel.
        rule: "backprop", "deconvnet" or "guided".

    Returns:
        (N,3,H,W), signed; zero outside the unit's receptive field.

    Raises:
        ValueError: an unknown layer, a channel or unit it does not have; otherwise as `with_rule`.
    """
    return _unit_gradient(model, x, layer, channel, units, rule)[0]


def _unit_gradient(
    model: nn.Module,
    x: Tensor,
    layer: str | nn.Module,
    channel: int,
    units: Tensor | tuple[int, int] | None,
    rule: str,
) -> tuple[Tensor, Tensor]:
    """`unit_gradient`, and the row and column (N,2) of the units."""
    if x.ndim != 4 or len(x) == 0 or not torch.isfinite(x).all():
        raise ValueError(f"x: shape {tuple(x.shape)}; accepted: finite images (N,3,H,W)")
    _accept(model, rule)
    x = x.detach().requires_grad_()
    with torch.enable_grad(), _following(rule) as search, layers.capture(model, layer) as seen:
        search(model(x), [x], True)
        maps = seen[layer]
        values, places = strongest_units(maps, channel)
        if units is not None:
            values, places = _values_at(maps, channel, units)
        total = values.sum()
    return torch.autograd.grad(total, x)[0], places


def _values_at(
    maps: Tensor, channel: int, units: Tensor | tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The activations (N,) of the named units, and their places (N,2)."""
    maps = maps if maps.ndim == 4 else maps[:, :, None, None]
    place = torch.as_tensor(units, device=maps.device).expand(len(maps), 2)
    size = torch.tensor(maps.shape[2:], device=maps.device)
    if (place < 0).any() or (place >= size).any():
        raise ValueError(f"units: {place.tolist()}; the layer has {tuple(maps.shape[2:])} of them")
    images = torch.arange(len(maps), device=maps.device)
    return maps[images, channel, place[:, 0], place[:, 1]], place


# ------------------------------------------------------------------ looking at it, measuring it


def as_picture(gradient: Tensor, percentile: float = 99.5) -> Tensor:
    """Signed colour gradients as pictures: grey is zero, brighter is positive.

    Args:
        gradient: (N,3,H,W) or (3,H,W); each image is scaled on its own.
        percentile: the size of gradient that reaches black or white; few pixels rule otherwise.

    Returns:
        Of the same shape, in 0-1; an image without gradient is grey all over.
    """
    flat = gradient.detach().abs().flatten(-3)
    rank = max(1, round(flat.shape[-1] * percentile / 100))
    top = flat.kthvalue(rank, dim=-1).values
    top = torch.where(top > 0, top, flat.amax(-1))  # hardly anything but zeros: use the largest
    scale = torch.where(top > 0, top, 1)[..., None, None, None]
    return (0.5 + gradient.detach() / (2 * scale)).clamp(0, 1)


def zeroed(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, rule: str
) -> dict[str, float]:
    """The share of the gradient that each ReLU module stops under a rule.

    Args:
        model: a network whose ReLUs are modules, out of place.
        x, classes, rule: as for `class_gradient`.

    Returns:
        Path of the ReLU -> share of the entries that arrive from above, are not zero, and are set
        to zero; in forward order. A ReLU that no gradient reaches is left out.

    Raises:
        ValueError: a network without ReLU modules; otherwise as `class_gradient`.
    """
    _accept(model, rule)
    relus = {n: p for n, p in model.named_modules() if isinstance(p, nn.ReLU | nn.ReLU6)}
    if not relus:
        raise ValueError(f"model: {type(model).__name__} has no ReLU modules to look at")
    x = x.detach().requires_grad_()
    with torch.enable_grad(), _following(rule), layers.capture(model, *relus.values()) as seen:
        score = class_scores(model, x, classes).sum()
    arriving = torch.autograd.grad(score, list(seen.values()), allow_unused=True)
    shares = {}
    for (name, part), out, above in zip(relus.items(), seen.values(), arriving, strict=True):
        if above is not None and above.any():
            on = _on(out.detach(), getattr(part, "max_val", math.inf))
            passed = RULES[rule](on, above).count_nonzero() / above.count_nonzero()
            shares[name] = 1 - passed.item()
    return shares


def unit_views(
    model: Network, x: Tensor, layer: str, channel: int, rule: str = "guided"
) -> list[tuple[Tensor, Tensor]]:
    """What the strongest unit of a channel sees of each image, and its gradient there.

    Args:
        model: a network of the zoo that can be traced.
        x, layer, channel, rule: as for `unit_gradient`.

    Returns:
        For each image the patch (3,h,w) that is the unit's receptive field, cut at the border, in
        0-1, and the gradient of the same pixels as a picture, see `as_picture`.

    Raises:
        ValueError: as `unit_gradient` and `layers.receptive_field`.
    """
    field = layers.receptive_field(model, layer, tuple(x.shape[2:]))
    gradient, units = _unit_gradient(model, x, layer, channel, None, rule)
    pixels = model.denormalize(x.detach())
    views = []
    for i, unit in enumerate(units.tolist()):
        top, left, bottom, right = field.box(*unit)
        patch, inside = (p[i, :, top:bottom, left:right] for p in (pixels, gradient))
        views.append((patch.clamp(0, 1), as_picture(inside)))
    return views
