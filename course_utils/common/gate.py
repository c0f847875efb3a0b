"""The gate that every helper with a network goes through: model, images and outputs, checked once.

What is refused here would else be a wrong picture in silence, or an error from inside torch.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from types import CodeType

import torch
from torch import Tensor, nn

SMALL = 100
"""Pixels: a network that fails on images of fewer a side is likely to fail for that."""

COARSE = (torch.float16, torch.bfloat16)


def name_of(model: object) -> str:
    """What sentences call a network: its name in the zoo, or its class."""
    named = getattr(model, "name", None)
    return named if isinstance(named, str) else type(model).__name__


# ------------------------------------------------------------------ the network


def check_model(model: nn.Module) -> None:
    """Refuses a network in training mode, if that matters to it, and one of reduced precision.

    Raises:
        ValueError: says what `model` is and what is accepted.
    """
    for part in model.modules() if isinstance(model, nn.Module) else ():
        if part.training and _has_modes(part):
            kind, path = type(part).__name__, next(p for p, m in model.named_modules() if m is part)
            raise ValueError(
                f"model: it is in training mode, in which {kind}{f' ({path!r})' * bool(path)} "
                "computes something else: one image's result may hang on the others or on chance. "
                "Accepted: eval mode, `model.eval()`"
            )
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    if weight is not None and weight.dtype in COARSE:
        raise ValueError(
            f"model: its weights are {_short(weight.dtype)}, in which small gradients become 0; "
            "accepted: float32 or float64, `model.float()`"
        )


def _has_modes(part: nn.Module) -> bool:
    idle = isinstance(part, nn.modules.dropout._DropoutNd) and part.p == 0
    return not idle and (isinstance(part, torch.jit.ScriptModule) or _reads_mode(type(part)))


@cache
def _reads_mode(kind: type) -> bool:
    """Whether the forward of a class of modules asks for `self.training`, itself or by a method."""
    todo, seen = ["forward"], set()
    while todo:
        method = getattr(kind, todo.pop(), None)
        code = getattr(method, "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        names = set(_names(code))
        if "training" in names:
            return True
        todo += names - set(vars(nn.Module))
    return False


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function uses, and those of the functions inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def check_open(model: nn.Module) -> None:
    """Refuses networks whose layers a hook or a trace does not reach.

    Raises:
        ValueError: a compiled, scripted or parallel network.
    """
    for part in model.modules():
        kind, scripted, parallel = type(part).__name__, *_reach(type(part))
        if scripted or "_orig_mod" in part._modules or part._compiled_call_impl is not None:
            raise ValueError(
                f"model: {kind} is scripted or compiled, so its layers are out of reach; give the "
                "network it was made from"
            )
        if parallel:
            raise ValueError(
                f"model: {kind} shows the images to copies of the network, whose layers are out of "
                "reach; give the network itself, `model.module`"
            )


@cache
def _reach(kind: type) -> tuple[bool, bool]:
    """Whether modules of a class are scripted, and whether they are parallel."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return issubclass(kind, torch.jit.ScriptModule), issubclass(kind, parallel)


def is_zoo(model: nn.Module) -> bool:
    """Whether a network knows how pixels become its input, as those of `models.load` do."""
    return callable(getattr(model, "normalize", None))


def check_zoo(model: nn.Module) -> None:
    """Refuses a module that does not know how pixels become its input.

    Raises:
        ValueError: anything without `normalize`, it says how it is wrapped; otherwise as
            `check_model`.
    """
    check_model(model)
    if not is_zoo(model):
        known = is_zoo(getattr(model, "module", None))
        accepted = "`model.module`" if known else "`models.Network(model, mean=..., std=...)`"
        raise ValueError(
            f"model: {name_of(model)} does not say how pixels in 0-1 are normalised for it; "
            f"accepted: a network of the zoo, or {accepted}"
        )


def normalised(model: nn.Module, pixels: Tensor) -> Tensor:
    """Pixels in 0-1 as the network wants them, on its device.

    Raises:
        ValueError: a network that does not say how, or pixels that are not in 0-1.
    """
    check_zoo(model)
    return model.normalize(pixels)


# ------------------------------------------------------------------ images


def check_images(x: Tensor, name: str = "x", normalised: bool = False) -> None:
    """Refuses what is no batch of finite images (N,C,H,W).

    Args:
        x: the images.
        name: what sentences call them.
        normalised: whether they must be as `normalize` makes them, so not 0-255.

    Raises:
        ValueError: says what came.
    """
    check_shape(x, name)
    low, high = (end.item() for end in x.detach().aminmax())  # ten times as fast as isfinite
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name}: it has values that are not finite (NaN or infinity)")
    if normalised and low >= 0 and high > BRIGHT:
        raise ValueError(
            f"{name}: values from {low:.3g} to {high:.3g}; accepted: images as "
            "`network.preprocess` makes them, or `network.normalize(pixels)` of pixels in 0-1"
        )


def leaf(x: Tensor) -> Tensor:
    """Images to differentiate by: the same numbers, without a past, asking for a gradient."""
    return check_shape(x).detach().requires_grad_()


def check_shape(x: Tensor, name: str = "x") -> Tensor:
    """A tensor as it is, if it is one of images (N,C,H,W), real numbers; ValueError otherwise."""
    if not isinstance(x, Tensor) or x.ndim != 4 or not x.numel():
        came = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ValueError(f"{name}: {came}; accepted: images (N,3,H,W), N at least 1")
    if not x.is_floating_point():
        raise ValueError(f"{name}: {_short(x.dtype)}; accepted: floating-point numbers")
    return x


def check_unit_range(pixels: Tensor, name: str = "pixels") -> None:
    """Refuses pixels that are clearly not in 0-1: whole numbers, or values as in 0-255.

    Values a little outside are let through, since steps and filters overshoot.

    Raises:
        ValueError: says what came.
    """
    if not pixels.is_floating_point() or (pixels.numel() and pixels.detach().amax() > BRIGHT):
        raise ValueError(
            f"{name}: {_short(pixels.dtype)} with values up to {pixels.detach().max().item():.3g}; "
            "accepted: RGB in 0-1, as `images.read` makes it, or `pixels / 255`"
        )


BRIGHT = 10.0
"""No picture in 0-1 has such values, and no normalised one, which is never above 3, either."""


# ------------------------------------------------------------------ the pass


def run(model: nn.Module, x: Tensor, layer: object = None) -> object:
    """The network's output for images, both of them checked.

    Args:
        model: a network, in eval mode if that matters to it.
        x: images (N,C,H,W) as the network takes them.
        layer: what the pass is made for, for the sentence about images that are too small.

    Returns:
        Whatever the network gives.

    Raises:
        ValueError: a network or images that are refused above; images of another type, of another
            device, with another number of channels, or of a size that the network does not take.
    """
    check_model(model)
    check_images(x, normalised=is_zoo(model))
    try:
        return model(x)
    except (RuntimeError, AssertionError) as error:
        reason = _reason(model, x, error, layer)
        if reason is None:
            raise
        raise ValueError(reason) from error


def _reason(model: nn.Module, x: Tensor, error: Exception, layer: object) -> str | None:
    """Why a network did not take the images; None if that is not what was wrong."""
    if isinstance(error, torch.OutOfMemoryError):
        return None
    name, text = name_of(model), (str(error).splitlines() or [""])[0]
    weights = [p for p in model.parameters() if p.is_floating_point()]
    for mine, theirs in (
        (x.dtype, {w.dtype for w in weights}),
        (x.device, {w.device for w in weights}),
    ):
        if len(theirs) == 1 and mine not in theirs:
            other = theirs.pop()
            return f"x: {_short(mine)}; accepted: {_short(other)}, as {name}'s weights, `x.to(...)`"
    height, width = x.shape[-2:]
    if "channels" in text:
        return f"x: shape {tuple(x.shape)} is not for {name} ({text})"
    if isinstance(error, AssertionError):
        return f"x: images of {height} x {width} pixels are not for {name} ({text})"
    if min(height, width) < SMALL:
        what = name if layer is None else f"layer={layer!r}"
        return f"x: images of {height} x {width} pixels are too small for {what} ({text})"
    return None


def _short(kind: object) -> str:
    return str(kind).removeprefix("torch.")


# ------------------------------------------------------------------ what comes out


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """The scores (N,C) of images, with the graph; everything about them is checked.

    Args:
        model: a network with one logit per class.
        x: images (N,C,H,W) as the network takes them.

    Raises:
        ValueError: as `run`; an output that is no tensor (N, classes) of finite numbers.
    """
    return check_logits(model, run(model, x), len(x))


def check_logits(model: nn.Module, output: object, n: int) -> Tensor:
    """A network's output, if it is one logit per class for each of `n` images."""
    if not isinstance(output, Tensor):
        keys = list(output) if isinstance(output, Mapping) else getattr(output, "_fields", ())
        holds = f" ({', '.join(map(str, keys))})" if keys else ""
        raise ValueError(
            f"model: its output is a {type(output).__name__}{holds}, not one tensor (N, classes); "
            "accepted: a network around it whose forward returns the logits alone"
        )
    if output.ndim != 2 or len(output) != n:
        none = (
            f"; {name_of(model)} has no classifier, squeezenet1_1 and efficientnet_lite0 have one"
        )
        raise ValueError(
            f"model: its output has shape {tuple(output.shape)}, not (N, classes)"
            + none * (getattr(model, "labels", None) == [])
        )
    if not output.is_floating_point() or not torch.isfinite(output.detach()).all():
        raise ValueError("model: its logits are not finite real numbers")
    return output


def check_maps(output: object, layer: object, x: Tensor) -> Tensor:
    """A layer's output, if it is a stack of feature maps (N,K,h,w) of images `x`.

    Transformers such as Swin keep their channels last, (N,h,w,K). That is seen by the proportions:
    maps have those of the images.

    Raises:
        ValueError: any other output.
    """
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != 4:
        raise ValueError(
            f"layer={layer!r}: its output {shape} has no rows and columns: it is no stack of "
            "feature maps (N,K,h,w)"
        )
    if not _alike(*shape[2:], *x.shape[2:]) and _alike(*shape[1:3], *x.shape[2:]):
        raise ValueError(
            f"layer={layer!r}: its output {shape} has its channels last; accepted: feature maps "
            "(N,K,h,w), so a layer after they are permuted"
        )
    return output


def check_units(output: object, layer: object, x: Tensor) -> Tensor:
    """As `check_maps`, or one number a channel, (N,K), as linear layers have it."""
    flat = isinstance(output, Tensor) and output.ndim == 2 and len(output) == len(x)
    return output if flat else check_maps(output, layer, x)


def _alike(h: int, w: int, height: int, width: int) -> bool:
    """Whether h x w units can be a map of height x width pixels, both borders rounded."""
    return abs(h * width - w * height) <= 2 * max(height, width)
