"""Textures by the Gram matrices of a network's feature maps (Gatys et al., 2015)."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

from course_utils import layers
from course_utils.common import gate
from course_utils.common.errors import unknown
from course_utils.common.optimise import Fourier, Parameterisation, Result, lbfgs, optimise
from course_utils.models import Network
from course_utils.texture.accepted import pair


def gram(features: Tensor) -> Tensor:
    """Which channels answer together: G = F F^T / M, the mean of v v^T over the M positions.

    Each v holds the C channels at one position. G forgets where that was, which makes it a
    description of texture; the division lets pictures of different sizes be compared.

    Args:
        features: (N,C,H,W), at least one position.

    Returns:
        (N,C,C), symmetric; never negative where the features are not (after a ReLU).

    Raises:
        ValueError: for another shape, or no position.

    Reference:
        Gatys, Ecker, Bethge: Texture Synthesis Using Convolutional Neural Networks, NeurIPS 2015.
    """
    columns = _columns(features)
    return _Products.apply(columns) / columns.shape[2]


class _Products(torch.autograd.Function):
    """F F^T of (N,C,M); its gradient, (D + D^T) F, by one product instead of autograd's two.

    It also lies in memory as F does. Else it is slow to add to what comes from deeper layers.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, columns: Tensor) -> Tensor:
        ctx.save_for_backward(columns)
        return columns @ columns.mT

    @staticmethod
    def backward(ctx: FunctionCtx, slope: Tensor) -> Tensor:
        (columns,), both = ctx.saved_tensors, slope + slope.mT
        return (columns.mT @ both).mT if columns.stride(1) == 1 else both @ columns


def covariance(features: Tensor) -> Tensor:
    """`gram` of the features without their means: negative where two channels trade off.

    Args:
        features: (N,C,H,W), at least one position.

    Returns:
        (N,C,C).

    Raises:
        ValueError: as `gram`.
    """
    columns = _columns(features)
    return gram((columns - columns.mean(2, keepdim=True))[..., None])


def _columns(features: Tensor) -> Tensor:
    """(N,C,M): a view, in either memory layout."""
    if features.ndim != 4 or not features.shape[2] * features.shape[3]:
        raise ValueError(
            f"features: shape {tuple(features.shape)}; accepted: (N,C,H,W), at least one position"
        )
    return features.flatten(2)


def style_loss(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    weights: Mapping[str, float] | None = None,
) -> Tensor:
    """How far textures are from a sample's: the sum over layers of w_l E_l.

        E_l = 1 / (4 C^2) * sum (G_l - G'_l)^2,  G_l the Gram matrix, C its layer's channels

    Args:
        features: layer -> feature maps (N,C,H,W) of the images.
        targets: layer -> Gram matrices (N,C,C) that they should have, or (1,C,C) for all alike.
        weights: layer -> w_l; 1 each by default.

    Returns:
        One number, the sum over the images.

    Raises:
        ValueError: no target or weight for a layer; weights that are all zero; other channels.

    Reference: Gatys et al. 2015, where N is the number of channels.
    """
    weights = _weights(features, targets, weights)
    return sum(w * layer_loss(gram(features[k]), targets[k]) for k, w in weights.items())


def layer_loss(found: Tensor, target: Tensor) -> Tensor:
    """E = 1 / (4 C^2) * sum (G - G')^2 of two Gram matrices (N,C,C), summed over the images."""
    if found.shape[1:] != target.shape[1:] or len(target) not in (1, len(found)):
        raise ValueError(
            f"targets: shape {tuple(target.shape)} for Gram matrices {tuple(found.shape)}; "
            "accepted: the same, or one for all images"
        )
    return (found - target).square().sum() / (4 * found.shape[1] ** 2)


def _weights(features: Mapping, targets: Mapping, weights: Mapping | None) -> dict[str, float]:
    """The weight of each layer, checked."""
    weights = dict.fromkeys(features, 1.0) if weights is None else weights
    for argument, given in (("targets", targets), ("weights", weights)):
        for layer in features:
            if layer not in given:
                raise ValueError(unknown(argument, layer, given, f"layers of {argument}"))
    if not any(weights[layer] for layer in features):
        raise ValueError(f"weights: {dict(weights)}; accepted: at least one that is not zero")
    return {layer: weights[layer] for layer in features}


def features(model: nn.Module, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """The feature maps of several layers, with the graph; the pass ends with the last of them.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        names: layers as `layers.find` accepts them, at least one.

    Returns:
        layer -> (N,K,h,w), in the order of `names`.

    Raises:
        ValueError: no layer, an unknown one, or one that the pass never came to.
    """
    names = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not names:
        raise ValueError("names: an empty list; one layer or more is needed")
    seen = layers.forward_until(model, x, *names)
    if len(seen) < len(names):
        missing = [name for name in names if name not in seen]
        raise ValueError(f"names: the pass never came to {missing}")
    return {name: gate.check_maps(seen[name], name, x) for name in names}


# ------------------------------------------------------------------ synthesis by Gram matrices

LAYERS = {
    "vgg16_hed": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
    "squeezenet1_1": ("relu1", "fire2", "fire3", "fire4", "fire5"),
}
"""Layers whose statistics make a texture, in forward order."""

Statistic = Callable[[Tensor], Tensor]


def describe(
    model: Network,
    pixels: Tensor,
    names: Iterable[str],
    statistic: Statistic = gram,
    octaves: int = 1,
) -> dict[str, Tensor]:
    """What the network remembers of textures: a matrix for each layer, with the graph.

    Args:
        model: a network of the zoo.
        pixels: (N,3,H,W) in 0-1.
        names: layers.
        statistic: `gram` or `covariance`.
        octaves: 1 for the picture itself; more for copies of half the size, a quarter ... as well,
            in which a position sees twice as far, four times ...

    Returns:
        layer -> (N,C,C), on the network's device; of smaller copies "layer / 2", "layer / 4" ...

    Reference: the octaves are those of Snelgrove, "High-Resolution Multi-Scale Neural Texture
        Synthesis", SIGGRAPH Asia 2017.
    """
    if octaves < 1 or min(pixels.shape[-2:]) < 8 * 2 ** (octaves - 1):
        size = " x ".join(map(str, pixels.shape[-2:]))
        raise ValueError(
            f"octaves={octaves}; accepted: 1 or more, the smallest copy of {size} 8 px"
        )
    found = {}
    for k in range(octaves):
        small = functional.avg_pool2d(pixels, 2**k)
        maps = features(model, gate.normalised(model, small), names)
        found |= {name + f" / {2**k}" * (k > 0): statistic(m) for name, m in maps.items()}
    return found


def balanced(targets: Mapping[str, Tensor]) -> dict[str, float]:
    """Weights that make every layer's loss relative: w_l E_l = sum (G - G')^2 / sum G'^2.

    Without them the layers with the largest activations decide alone.

    Args:
        targets: layer -> (1,C,C), from `describe`.
    """
    return {
        name: 4 * target.shape[1] ** 2 / max(target.square().sum().item(), 1e-12)
        for name, target in targets.items()
    }


def synthesise(
    model: Network,
    sample: Tensor,
    size: int | tuple[int, int],
    names: Iterable[str],
    steps: int = 30,
    *,
    statistic: Statistic = gram,
    octaves: int = 1,
    weights: Mapping[str, float] | None = None,
    start: Tensor | Parameterisation | None = None,
    seed: int = 0,
    decay: float = 1.0,
    until: float = 0.0,
    keep: int = 16,
    progress: str | None = "texture",
) -> Result:
    """A texture from noise whose feature maps have the sample's statistics.

    Varied is the picture's spectrum, see `optimise.Fourier`: white noise, divided by the frequency.
    From white pixels much of the noise stays, because layers that pool hardly see it.

    Args:
        model: a network of the zoo.
        sample: pixels (3,h,w) in 0-1.
        size: of the result, one number or (H,W); need not be the sample's.
        names: layers; see `LAYERS`.
        steps: of L-BFGS with a line search, little more than one evaluation each.
        statistic, octaves: what is compared, as for `describe`.
        weights: of the matrices of `describe`; `balanced` by default.
        start: what is varied, instead of a random spectrum: pixels (1,3,H,W) in 0-1, or a
            parameterisation.
        seed: of the random spectrum.
        decay: of that spectrum, as for `optimise.Fourier`. With VGG, and in results much larger
            than the sample, the lowest frequencies run away unless it is about 0.5.
        until: ends earlier, when so much of the start's loss is left, e.g. 0.001; 0 never does.
        keep, progress: as for `optimise`.

    Returns:
        A `Result` whose images are (1,3,H,W) in 0-1, on the network's device.

    Reference: Gatys, Ecker & Bethge, "Texture Synthesis Using Convolutional Neural Networks", 2015.
    """
    names = list(names)
    gate.check_zoo(model)
    with torch.no_grad():
        targets = describe(model, sample[None].to(model.device), names, statistic, octaves)
    weights = _weights(targets, targets, balanced(targets) if weights is None else weights)
    if start is None:
        start = Fourier((1, *pair(size)), 0.1, seed, decay, model.device)

    def loss(x: Tensor) -> Tensor:
        found = describe(model, x, names, statistic, octaves)
        return sum(w * layer_loss(found[k], targets[k]) for k, w in weights.items())

    rule, first = lbfgs(line_search=True), []

    def enough(step: int, x: Tensor, value: float) -> bool:
        first.append(value)
        return value <= until * first[0]

    return optimise(loss, start, steps, rule=rule, callback=enough, keep=keep, progress=progress)
