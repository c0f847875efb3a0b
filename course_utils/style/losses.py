"""The losses of content and style, and the layers they look at."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from course_utils import layers
from course_utils.common.optimise import total_variation
from course_utils.models import Network
from course_utils.texture import gram

VGG_STYLES = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The first ReLU of each block, as in the paper; where the network ends before relu5_1, conv5_1."""

SQUEEZENET_STYLES = ("relu1", "fire2", "fire4", "fire6", "fire8")
"""Counterparts in SqueezeNet 1.1: from 1/2 to 1/16 of the photo's resolution."""

ALPHA, BETA, GAMMA = 1.0, 30.0, 0.1
"""Relative weights of content, style and total variation that suit most pictures, see `task`."""


def default_layers(model: Network) -> tuple[str, tuple[str, ...]]:
    """The content layer and the style layers that suit a network.

    Args:
        model: a VGG ("conv4_2" for the content, as in the paper) or a SqueezeNet ("fire5").

    Raises:
        ValueError: another network.
    """
    names = layers.names(model)
    if "conv4_2" in names and "relu1_1" in names:
        found = [name for name in VGG_STYLES if name in names]
        last = ("conv5_1",) if "relu5_1" not in names and "conv5_1" in names else ()
        return "conv4_2", (*found, *last)
    if set(SQUEEZENET_STYLES) <= set(names):
        return "fire5", SQUEEZENET_STYLES
    raise ValueError(
        f"content, styles: no layers of {getattr(model, 'name', type(model).__name__)} are agreed "
        f"on; name some, e.g. content={names[-1]!r}, styles={names[:2]!r}"
    )


def untrained(model: Network, seed: int = 0) -> Network:
    """The same network with random weights: normal, of He's size; biases are 0.

    Args:
        model: a network of the zoo; it stays as it is.
        seed: of the weights.
    """
    other, random = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    for weight in other.parameters():
        drawn = torch.randn(weight.shape, generator=random, device="cpu")
        size = (2 / weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.0
        weight.data.copy_(size * drawn)
    return other


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """L_content = ||F(x) - F(photo)||^2, the sum over all channels and positions.

    Args:
        features: of the image, (N,K,h,w), at the content layer.
        target: of the photo, of the same shape.

    Returns:
        One number.

    Raises:
        ValueError: other shapes.
    """
    if features.shape != target.shape:
        raise ValueError(
            f"target: shape {tuple(target.shape)}; accepted: that of the features, "
            f"{tuple(features.shape)}"
        )
    return (features - target).square().sum()


def style_loss(
    seen: Mapping[str, Tensor], grams: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """L_style = sum_l w_l ||G_l - G'_l||^2.

    Args:
        seen: layer -> features of the image, (N,K,h,w); any further layers are left out.
        grams: layer -> Gram matrix of the painting, (N,K,K), from `texture.gram`.
        weights: layer -> w_l, for each layer of `grams`.

    Returns:
        One number.
    """
    parts = [weights[layer] * (gram(seen[layer]) - g).square().sum() for layer, g in grams.items()]
    return torch.stack(parts).sum()


def total_loss(
    x: Tensor,
    seen: Mapping[str, Tensor],
    photo: Mapping[str, Tensor],
    grams: Mapping[str, Tensor],
    weights: Mapping[str, float],
    alpha: float,
    beta: float,
    gamma: float,
) -> Tensor:
    """alpha L_content + beta L_style + gamma L_TV.

    Args:
        x: the image (N,3,H,W).
        seen: layer -> its features, (N,K,h,w).
        photo: content layer -> features of the photo.
        grams, weights: as for `style_loss`.
        alpha, beta, gamma: weights of content, style and total variation.

    Returns:
        One number, with the graph that leads back to `x`.
    """
    content = sum(content_loss(seen[layer], target) for layer, target in photo.items())
    style = style_loss(seen, grams, weights)
    return alpha * content + beta * style + gamma * total_variation(x)


def relative_weights(
    grams: Mapping[str, Tensor], factors: Mapping[str, float] | None = None
) -> dict[str, float]:
    """w_l = f_l / ||G'_l||^2 with factors that add up to 1, so that L_style is a relative error.

    It is 1 where all G_l are zero. With equal w_l the layer with the largest activations would
    rule alone: in SqueezeNet the ||G'_l||^2 differ by a factor of more than a hundred.

    Args:
        grams: layer -> Gram matrix of the painting, (N,K,K).
        factors: layer -> f_l before they are scaled, 0 or more; equal ones by default.

    Raises:
        ValueError: factors that are negative or all zero, or a Gram matrix that is zero; names its
            layer.
    """
    factors = dict.fromkeys(grams, 1.0) if factors is None else factors
    shares = dict(zip(grams, as_shares("styles", [factors[g] for g in grams]), strict=True))
    sizes = {layer: g.square().sum().item() for layer, g in grams.items()}
    empty = [layer for layer, size in sizes.items() if not size > 0]
    if empty:
        raise ValueError(f"styles: the painting leaves {', '.join(empty)} all zero; choose others")
    return {layer: shares[layer] / size for layer, size in sizes.items()}


def as_shares(argument: str, weights: Sequence[float]) -> list[float]:
    """Weights divided by their sum."""
    total = sum(weights)
    if not 0 < total < float("inf") or min(weights) < 0:
        raise ValueError(f"{argument}: weights {weights}; accepted: 0 or more, not all 0")
    return [weight / total for weight in weights]
