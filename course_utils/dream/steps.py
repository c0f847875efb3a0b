"""One gradient, said in two ways, and a step along it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import layers
from course_utils.common import gate, paths
from course_utils.common.optimise import Rule, blur, normalised_step

Objective = Callable[[Tensor], Tensor]
"""Images (N,3,H,W) -> a loss, one number: what `optimise` minimises."""


# ------------------------------------------------------------------ one gradient, said in two ways


def layer_gradient(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """What arrives at the pixels when the gradient *at the layer* is set to its activation A.

        g = (dA/dx)^T A

    This is the recipe as it was published: nothing is said about what is maximised.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `layers.find` accepts it.

    Returns:
        (N,3,H,W).

    Raises:
        ValueError: an unknown layer, one without gradient, or images that are too small for it, of
            another shape or not finite.
    """
    x = gate.leaf(x)
    with torch.enable_grad():
        activation = activation_of(model, x, layer)
    return torch.autograd.grad(activation, x, grad_outputs=activation.detach())[0]


def energy(model: nn.Module, layer: str) -> Objective:
    """The loss -||A||^2 / 2, summed over the images: descending it is `layer_gradient`'s ascent.

        d(||A||^2 / 2)/dx = (dA/dx)^T A

    Args, raises: as `layer_gradient`; what can be wrong with images is found when they come.
    """
    layers.find(model, layer)
    return lambda x: -activation_of(model, x, layer).square().sum() / 2


def guided_by(model: nn.Module, layer: str, guide: Tensor) -> Objective:
    """A loss that asks for the features of another picture.

    The feature vector a_i at each position of the layer looks for the guide's vector g_j with which
    its dot product is largest, and that product is to grow: -sum_i max_j <a_i, g_j>.

    Args:
        model, layer: as for `layer_gradient`.
        guide: one normalised image (1,3,H,W), of any size.

    Raises:
        ValueError: a layer without rows and columns; otherwise as `layer_gradient`.
    """
    with torch.no_grad():
        vectors = activation_of(model, guide, layer)
    if vectors.ndim != 4 or len(vectors) != 1:
        shape = tuple(vectors.shape)
        raise ValueError(f"guide: layer={layer!r} gives {shape}; accepted: one image, (1,K,h,w)")
    gate.check_maps(vectors, layer, guide)
    vectors = vectors[0].flatten(1)  # (K, h*w)

    def loss(x: Tensor) -> Tensor:
        activation = activation_of(model, x, layer).flatten(2)
        return -(activation.transpose(1, 2) @ vectors).amax(2).sum()

    return loss


def stored_guided() -> list[dict]:
    """What guides bring into dreams of twelve places, made by `data/rebuild_guided_dreams.py`.

    Returns:
        For each guide "guide" and "layer"; "kind", dogs or birds; and the probability of that kind
        for each place, "alone" and "guided".
    """
    return paths.stored("guided_dreams.json")["dreams"]


def activation_of(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The layer's output with its graph; one clear error for all that can be wrong with it."""
    return layers.output(model, x, layer)


# ------------------------------------------------------------------ one step


def dream_step(
    model: nn.Module, x: Tensor, layer: str, rate: float, shift: tuple[int, int]
) -> Tensor:
    """One step of DeepDream, on a shifted picture (jitter).

        x <- roll(x);  x <- x + rate * g / mean|g|;  x <- roll back

    Args:
        model, x, layer: as for `layer_gradient`.
        rate: how far a value moves on average.
        shift: rows and columns to roll by; what leaves comes in again on the other side.

    Returns:
        (N,3,H,W); not clipped.

    Raises:
        ValueError: as `layer_gradient`.
    """
    rolled = x.detach().roll(tuple(shift), dims=(-2, -1))
    g = layer_gradient(model, rolled, layer)
    size = g.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-12)
    back = (-shift[0], -shift[1])
    return (rolled + rate * g / size).roll(back, dims=(-2, -1))


def smoothed_step(rate: float, sigma: float) -> Rule:
    """`normalised_step` along a gradient that is blurred first: strokes rather than speckles.

        x <- x - rate * h / mean|h|,  h = Gaussian of `sigma` pixels * g

    Args:
        rate: how far a value moves on average.
        sigma: in pixels; 0 for no blur.

    Raises:
        ValueError: a negative sigma.
    """
    if not sigma >= 0:
        raise ValueError(f"sigma={sigma}; accepted: 0 or more pixels")

    def rule(parameters: list[Tensor]) -> torch.optim.Optimizer:
        optimizer = normalised_step(rate)(parameters)

        def smooth(*step: object) -> None:
            for p in parameters:
                p.grad = blur(sigma)(p.grad, p.grad)

        if sigma:
            optimizer.register_step_pre_hook(smooth)
        return optimizer

    return rule
