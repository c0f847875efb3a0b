"""Lecture 15: the content of a photo in the style of a painting, by descent on three losses.

    result = transfer(net, photo, painting)

Gatys, Ecker & Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import images, layers
from course_utils.common import timing
from course_utils.common.errors import unknown
from course_utils.common.optimise import (
    Fourier,
    Parameterisation,
    Pixels,
    Result,
    Rule,
    lbfgs,
    optimise,
    total_variation,
)
from course_utils.models import Network
from course_utils.texture import features, gram

VGG_STYLES = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The first ReLU of each block, as in the paper; where the network ends before relu5_1, conv5_1."""

SQUEEZENET_STYLES = ("relu1", "fire2", "fire4", "fire6", "fire8")
"""Counterparts in SqueezeNet 1.1: from 1/2 to 1/16 of the photo's resolution."""

ALPHA, BETA, GAMMA = 1.0, 30.0, 0.1
"""Relative weights of content, style and total variation that suit most pictures, see `task`."""

SMALLEST = 32
"""Pixels a side: below that the deep layers have no positions left."""

COLOURS = ("painting", "statistics", "luminance")
"""Whose colours the result has, see `task`."""


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


# ------------------------------------------------------------------ the losses


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
    shares = dict(zip(grams, _shares("styles", [factors[g] for g in grams]), strict=True))
    sizes = {layer: g.square().sum().item() for layer, g in grams.items()}
    empty = [layer for layer, size in sizes.items() if not size > 0]
    if empty:
        raise ValueError(f"styles: the painting leaves {', '.join(empty)} all zero; choose others")
    return {layer: shares[layer] / size for layer, size in sizes.items()}


def _shares(argument: str, weights: Sequence[float]) -> list[float]:
    """Weights divided by their sum."""
    total = sum(weights)
    if not 0 < total < float("inf") or min(weights) < 0:
        raise ValueError(f"{argument}: weights {weights}; accepted: 0 or more, not all 0")
    return [weight / total for weight in weights]


# ------------------------------------------------------------------ pictures


def fit(picture: object, size: int, argument: str = "photo") -> Tensor:
    """Any picture with its longer side at `size` pixels, shrunk or enlarged: (1,3,H,W) in 0-1.

    Args:
        picture: as `images.read` accepts it: any size, mode and orientation.
        size: 32 or more.
        argument: what errors call the picture.

    Raises:
        ValueError: a side of less than 32 pixels would be left; otherwise as `images.read`.
    """
    pixels = images.read(picture)
    factor = size / max(pixels.shape[1:])
    height, width = (max(1, round(n * factor)) for n in pixels.shape[1:])
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"{argument}: {width} x {height} pixels at size={size}; accepted: {SMALLEST} or more "
            "on the shorter side. Crop it, or ask for a larger size."
        )
    return tvf.resize(pixels[None], [height, width], antialias=True).clamp(0, 1)


LUMINANCE = (0.299, 0.587, 0.114)
"""How bright red, green and blue are to the eye (the Y of television)."""


def luminance(pixels: Tensor) -> Tensor:
    """Brightness (...,1,H,W) of pixels (...,3,H,W)."""
    return torch.einsum("c,...chw->...hw", pixels.new_tensor(LUMINANCE), pixels)[..., None, :, :]


def grey(pixels: Tensor) -> Tensor:
    """Pixels (...,3,H,W) without their colours, still (...,3,H,W)."""
    return luminance(pixels).expand_as(pixels)


def keep_colours(result: Tensor, photo: Tensor) -> Tensor:
    """The brightness of one picture with the colours of another: Y of one, I and Q of the other.

    Adding the same to red, green and blue changes brightness alone.

    Args:
        result, photo: (...,3,H,W) in 0-1, of one size.

    Returns:
        (...,3,H,W) in 0-1; what leaves that range is clipped.

    Reference: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016.
    """
    return (photo + luminance(result) - luminance(photo)).clamp(0, 1)


def match_colours(painting: Tensor, photo: Tensor) -> Tensor:
    """The painting with the photo's mean colour and covariance of colours.

        x' = A (x - mean_painting) + mean_photo,   A = C_photo^(1/2) C_painting^(-1/2)

    Args:
        painting, photo: (...,3,H,W) in 0-1, of any sizes.

    Returns:
        As `painting`; what leaves 0-1 is clipped.

    Reference: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016.
    """
    (mean, root), (new_mean, new_root) = (_colour_statistics(p) for p in (painting, photo))
    change = new_root @ torch.linalg.inv(root)
    moved = torch.einsum("dc,...chw->...dhw", change, painting - mean) + new_mean
    return moved.clamp(0, 1)


def _colour_statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,1,1) and symmetric root of the covariance (3,3) of the colours."""
    columns = pixels.movedim(-3, 0).flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(columns, correction=0))
    # A grey picture varies in one direction only: the others get a little, so that A exists.
    root = vectors * values.clamp(min=1e-5).sqrt() @ vectors.mT
    return columns.mean(1)[:, None, None], root


# ------------------------------------------------------------------ what is asked


@dataclass(frozen=True)
class Task:
    """What is asked of the image: all that stays as it is while the image changes.

    Attributes:
        model: the network.
        pixels: the photo as the network sees it, (1,3,H,W) in 0-1, on the network's device.
        photo: content layer -> its features.
        grams: style layer -> Gram matrix of the painting, or of the blend of several.
        weights: style layer -> w_l.
        alpha, beta, gamma: of content, style and total variation.
        finish: image (1,3,H,W) -> picture in 0-1.
    """

    model: Network
    pixels: Tensor
    photo: dict[str, Tensor]
    grams: dict[str, Tensor]
    weights: dict[str, float]
    alpha: float
    beta: float
    gamma: float
    finish: Callable[[Tensor], Tensor]

    @property
    def wanted(self) -> list[str]:
        """The layers whose features the loss needs."""
        return [*(self.photo if self.alpha else ()), *(self.grams if self.beta else ())]

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The weighted terms of `total_loss` for an image (1,3,H,W), normalised.

        They are "content", "style in LAYER" for each style layer, and "total variation"; those
        whose weight is 0 are left out.
        """
        seen, found = features(self.model, x, self.wanted), {}
        if self.alpha:
            losses = [content_loss(seen[layer], target) for layer, target in self.photo.items()]
            found["content"] = self.alpha * sum(losses)
        for layer in self.grams if self.beta else ():
            only = {layer: self.grams[layer]}
            found[f"style in {layer}"] = self.beta * style_loss(seen, only, self.weights)
        if self.gamma:
            found["total variation"] = self.gamma * total_variation(x)
        return found

    def loss(self, x: Tensor) -> Tensor:
        """`total_loss` for an image (1,3,H,W), normalised."""
        return torch.stack(list(self.terms(x).values())).sum()


def task(
    model: Network,
    photo: object,
    painting: object,
    size: int = 256,
    style_size: int | None = None,
    content: str | None = None,
    styles: Sequence[str] | Mapping[str, float] | None = None,
    alpha: float = ALPHA,
    beta: float = BETA,
    gamma: float = GAMMA,
    blend: Sequence[float] | None = None,
    colours: str = COLOURS[0],
) -> Task:
    """The task of painting a photo anew.

    The weights are relative: `alpha` = 1 asks for 100 ||F - F'||^2 / ||F'||^2, `beta` = 1 for 100
    times the mean of ||G_l - G'_l||^2 / ||G'_l||^2, `gamma` = 1 for 100 times the mean squared
    difference of neighbours. So they mean the same in every layer, network and size.

    Args:
        model: a network of the zoo.
        photo: any picture, as `images.read` accepts it.
        painting: likewise, or a list of several.
        size: the longer side of the result in pixels, 32 or more.
        style_size: the longer side of the painting in pixels: the larger, the larger its strokes
            in the result. `size` by default.
        content: the content layer; `default_layers` by default.
        styles: the style layers, all of one weight, or layer -> weight; likewise.
        alpha, beta, gamma: relative weights of content, style and total variation, 0 or more.
        blend: weights of several paintings; equal ones by default.
        colours: whose colours the result has: those of the "painting"; those of the photo, as the
            painting is given its mean and "statistics" beforehand; or those of the photo, as only
            "luminance" is painted.

    Raises:
        ValueError: unknown layers or colours, weights that are negative or all zero, a painting or
            photo too small or too narrow, or one that leaves a layer all zero.
    """
    if content is None or styles is None:
        usual = default_layers(model)
        content, styles = content or usual[0], usual[1] if styles is None else styles
    _check_weights(alpha, beta, gamma)
    pixels = fit(photo, size).to(model.device)
    painted, finish = _coloured(_paintings(painting, style_size or size, model), pixels, colours)
    shown = grey(pixels) if colours == "luminance" else pixels
    with torch.no_grad():
        target = features(model, model.normalize(shown), [content])
        grams = _blended(model, painted, styles, blend)
    length = target[content].square().sum().item()
    if not length > 0:
        raise ValueError(f"content={content!r}: the photo leaves this layer all zero")
    factors = styles if isinstance(styles, Mapping) else None
    return Task(
        model, shown, target, grams, relative_weights(grams, factors), 100 * alpha / length,
        100 * beta, 100 * gamma / pixels.numel(), finish,
    )  # fmt: skip


def _check_weights(alpha: float, beta: float, gamma: float) -> None:
    if not min(alpha, beta, gamma) >= 0 or not max(alpha, beta) > 0:
        raise ValueError(
            f"alpha={alpha}, beta={beta}, gamma={gamma}; accepted: 0 or more, and alpha or beta "
            "over 0: otherwise nothing is asked of the picture"
        )


def _paintings(painting: object, size: int, model: Network) -> list[Tensor]:
    several = list(painting) if isinstance(painting, list | tuple) else [painting]
    if not several:
        raise ValueError("painting: an empty list; one painting or more are needed")
    return [fit(one, size, "painting").to(model.device) for one in several]


def _coloured(
    painted: list[Tensor], pixels: Tensor, colours: str
) -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
    """The paintings as the network is to see them, and what makes the result of the image."""
    if colours not in COLOURS:
        raise ValueError(unknown("colours", colours, COLOURS))
    if colours == "painting":
        return painted, lambda p: p.clamp(0, 1)
    matched = [match_colours(p, pixels) for p in painted]
    if colours == "statistics":
        return matched, lambda p: p.clamp(0, 1)
    return [grey(p) for p in matched], lambda p: keep_colours(p, pixels)


def _blended(
    model: Network,
    painted: list[Tensor],
    styles: Iterable[str],
    blend: Sequence[float] | None,
) -> dict[str, Tensor]:
    """layer -> the weighted mean of the paintings' Gram matrices.

    Its distance from G has the same gradient as the weighted sum of the distances from each.
    """
    blend = [1.0] * len(painted) if blend is None else list(blend)
    if len(blend) != len(painted):
        raise ValueError(f"blend: {len(blend)} weights for {len(painted)} paintings")
    styles = list(styles)
    if not styles:
        raise ValueError("styles: no layers; accepted: one or more")
    grams = dict.fromkeys(styles, 0.0)
    for share, pixels in zip(_shares("blend", blend), painted, strict=True):
        seen = features(model, model.normalize(pixels), styles)
        grams = {layer: grams[layer] + share * gram(seen[layer]) for layer in styles}
    return grams


# ------------------------------------------------------------------ the transfer


@dataclass(frozen=True)
class Transfer:
    """What a run of `transfer` leaves.

    Attributes:
        pixels: the picture (3,H,W) in 0-1, on the CPU.
        curves: term of the loss -> its weighted value after 0, 1, 2 ... evaluations.
        run: the `Result` of the optimisation.
    """

    pixels: Tensor
    curves: dict[str, list[float]]
    run: Result

    @property
    def summary(self) -> dict[str, list[float]]:
        """The curves, those of the style layers added up to one: "style"."""
        parts = {name: curve for name, curve in self.curves.items() if "style" not in name}
        layers_ = [curve for name, curve in self.curves.items() if "style" in name]
        return parts | ({"style": [sum(v) for v in zip(*layers_, strict=True)]} if layers_ else {})


def transfer(
    model: Network,
    photo: object,
    painting: object,
    steps: int = 80,
    start: object = "photo",
    coordinates: str = "frequencies",
    rule: Rule | None = None,
    keep: int = 24,
    progress: str | None = "painting",
    seed: int = 0,
    **asked: object,
) -> Transfer:
    """A photo in the style of a painting: minimises alpha L_content + beta L_style + gamma L_TV.

    Args:
        model, photo, painting: as for `task`.
        steps: evaluations of the loss; 80 are enough for L-BFGS.
        start: "photo", "noise", or any picture, e.g. a smaller result, which is enlarged.
        coordinates: what is varied: "frequencies", in which whole skies change colour within a few
            steps, or "pixels", as in the paper.
        rule: how it is varied. By default `lbfgs()`; where that overshoots, it begins again with a
            line search, which needs two evaluations a step and takes half the steps.
        keep: frames to keep, see `optimise`.
        progress: caption of the progress bar, which appears after two seconds; None for no bar.
        seed: of the noise.
        asked: `size`, `style_size`, `content`, `styles`, `alpha`, `beta`, `gamma`, `blend`,
            `colours`, as for `task`.

    Raises:
        ValueError: as `task` and `begin`.
        FloatingPointError: the loss became NaN or infinite; names the step.
    """
    what, curves = task(model, photo, painting, **asked), {}

    def objective(pixels: Tensor) -> Tensor:
        terms = what.terms(model.normalize(pixels))
        for name, value in terms.items():
            curves.setdefault(name, []).append(value.item())
        return torch.stack(list(terms.values())).sum()

    def overshot(step: int, x: Tensor, loss: float) -> bool:
        return rule is None and loss > 2 * sum(curve[0] for curve in curves.values())

    settings = {"keep": keep, "progress": progress, "to_pixels": what.finish}
    first = begin(what, start, coordinates, seed)
    run = optimise(objective, first, steps, rule=rule or lbfgs(), callback=overshot, **settings)
    if len(run.losses) <= steps and not run.interrupted:
        curves.clear()
        first, half = begin(what, start, coordinates, seed), max(1, steps // 2)
        run = optimise(objective, first, half, rule=lbfgs(line_search=True), **settings)
    return Transfer(what.finish(run.image)[0].cpu(), curves, run)


def begin(
    what: Task, start: object = "photo", coordinates: str = "frequencies", seed: int = 0
) -> Parameterisation:
    """What a transfer varies, as it is before the first step.

    Args:
        what: the task.
        start: "photo", "noise", or any picture, which is resized to the photo.
        coordinates: "frequencies" or "pixels".
        seed: of the noise.

    Raises:
        ValueError: another word; otherwise as `images.read`.
    """
    if coordinates not in ("frequencies", "pixels"):
        raise ValueError(unknown("coordinates", coordinates, ("frequencies", "pixels")))
    shape, device = what.pixels.shape, what.pixels.device
    if isinstance(start, str) and start not in ("photo", "noise"):
        raise ValueError(unknown("start", start, ("photo", "noise"), "words for a start"))
    if isinstance(start, str) and start == "noise":
        if coordinates == "frequencies":
            return Fourier((1, *shape[2:]), 0.5, seed, device=device)
        random = torch.Generator().manual_seed(seed)
        return Pixels(torch.rand(shape, generator=random, device="cpu").to(device))
    pixels = what.pixels
    if not isinstance(start, str):
        pixels = tvf.resize(images.read(start)[None], list(shape[2:]), antialias=True).clamp(0, 1)
    return (Fourier.of if coordinates == "frequencies" else Pixels)(pixels.to(device))


def forecast(model: Network, photo: object, steps: int = 80, **asked: object) -> float:
    """Seconds that `transfer` will take on this machine, from two evaluations of the same task.

    Args:
        model, photo, steps: as for `transfer`.
        asked: as for `task`; the photo stands in for the painting.
    """
    what = task(model, photo, photo, **asked)
    x = what.model.normalize(what.pixels).requires_grad_()

    def evaluation() -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(what.loss(x), x)[0]

    return steps * timing.seconds(evaluation, repeats=1)
