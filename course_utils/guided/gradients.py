"""Gradients of a class and of a unit under a rule, and what they look like."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils import layers
from course_utils.common import gate
from course_utils.common.scores import class_scores
from course_utils.guided.rules import RULES, accept_rule, following, passes, relu_calls
from course_utils.models import Network

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
    accept_rule(model, rule)
    x = gate.leaf(x)
    with torch.enable_grad(), following(rule) as search:
        score = class_scores(model, x, classes).sum()  # images do not mix
        search(score, [x], True)
    return torch.autograd.grad(score, x)[0]


def upper_gradient(
    model: nn.Module,
    x: Tensor,
    classes: int | str | Sequence | Tensor,
    upper: int,
    rule: str = "guided",
) -> Tensor:
    """`class_gradient` with only some ReLUs under the rule: those next to the score.

    Args:
        model, x, classes, rule: as for `class_gradient`.
        upper: how many of the `relu_calls`, the last called first. 0 gives the true gradient, all
            of them `class_gradient`.

    Returns:
        (N,3,H,W), signed.

    Raises:
        ValueError: fewer than none or more than there are; otherwise as `class_gradient`.
    """
    accept_rule(model, rule)
    x, there = gate.leaf(x), relu_calls(model, x.detach())
    if not 0 <= upper <= there:
        raise ValueError(f"upper={upper}; accepted: 0 to {there}, the network's ReLUs")
    with torch.enable_grad(), following(rule, there - upper) as search:
        score = class_scores(model, x, classes).sum()
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
    accept_rule(model, rule)
    x = gate.leaf(x)
    with torch.enable_grad(), following(rule) as search, layers.capture(model, layer) as seen:
        search(gate.run(model, x), [x], True)
        maps = gate.check_units(layers.taken(seen, layer), layer, x)
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
    accept_rule(model, rule)
    relus = {n: p for n, p in model.named_modules() if isinstance(p, nn.ReLU | nn.ReLU6)}
    if not relus:
        raise ValueError(f"model: {type(model).__name__} has no ReLU modules to look at")
    x = gate.leaf(x)
    with torch.enable_grad(), following(rule), layers.capture(model, *relus.values()) as seen:
        score = class_scores(model, x, classes).sum()
    arriving = torch.autograd.grad(score, list(seen.values()), allow_unused=True)
    shares = {}
    for (name, part), out, above in zip(relus.items(), seen.values(), arriving, strict=True):
        if above is not None and above.any():
            on = passes(out.detach(), getattr(part, "max_val", math.inf))
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
    gate.check_zoo(model)
    pixels = model.denormalize(x.detach())
    views = []
    for i, unit in enumerate(units.tolist()):
        top, left, bottom, right = field.box(*unit)
        patch, inside = (p[i, :, top:bottom, left:right] for p in (pixels, gradient))
        views.append((patch.clamp(0, 1), as_picture(inside)))
    return views
