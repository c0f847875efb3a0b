"""The rules for the ReLU, and a network that follows one of them.

The rules are put in at run time, function by function: nothing of a network is swapped or hooked.
"""

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_utils.common import gate
from course_utils.common.errors import unknown


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
    accept_rule(model, rule)
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


def accept_rule(model: nn.Module, rule: str) -> None:
    """Refuses an unknown rule, and networks whose calls cannot be seen."""
    if rule not in RULES:
        raise ValueError(unknown("rule", rule, RULES, "rules for the ReLU"))
    if rule != "backprop":
        gate.check_open(model)


_inside: ContextVar[bool] = ContextVar("inside a forward pass under a rule", default=False)


@contextmanager
def following(rule: str, plain: int = 0) -> Iterator[Callable]:
    """Forward passes inside the block follow the rule; the network itself is not touched.

    The first `plain` ReLUs that are called keep the derivative.

    Yields:
        `search(output, inputs, whole)`, to be called on what a network returned, see `_search`.
    """
    if rule == "backprop" or _inside.get():
        yield lambda *args: None
        return
    token = _inside.set(True)
    try:
        with _Replace(rule, plain):
            yield _search
    finally:
        _inside.reset(token)


class _Ruled:
    """Put before a module's class: its calls follow `relu_rule`.

    Not its `forward`, which torch.fx reads when it traces a network.
    """

    def __call__(self, *args: object, **kwargs: object) -> object:
        with following(self.relu_rule) as search:
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
        return RULES[ctx.rule](passes(out, ctx.top), gradient), None, None, None


def passes(out: Tensor, top: float) -> Tensor:
    """A ReLU's output, and 0 where it is saturated: above 0 exactly where its slope is 1."""
    return out if top == math.inf else backprop_relu(top - out, out)


class _Replace(TorchFunctionMode):
    """Every function that is a ReLU or a ReLU6 becomes `_Rectify`, wherever it is called."""

    def __init__(self, rule: str, plain: int = 0) -> None:
        super().__init__()
        self.rule, self.plain, self.called = rule, plain, 0

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
        self.called += 1
        rule = self.rule if self.called > self.plain else "backprop"
        return _Rectify.apply(x, top, rule, inplace)


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


def relu_calls(model: nn.Module, x: Tensor) -> int:
    """How many ReLUs a network calls on its way from the pixels (N,3,H,W) to the scores."""
    gate.check_open(model)
    with torch.no_grad(), _Replace("backprop") as counting:
        gate.run(model, x)
    return counting.called
