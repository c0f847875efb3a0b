"""What is asked of a transfer: photo, paintings, layers, weights."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.common import gate
from course_utils.common.errors import unknown
from course_utils.common.optimise import total_variation
from course_utils.models import Network
from course_utils.style.losses import (
    ALPHA,
    BETA,
    GAMMA,
    as_shares,
    content_loss,
    default_layers,
    relative_weights,
    style_loss,
)
from course_utils.style.pictures import COLOURS, fit, grey, keep_colours, match_colours
from course_utils.texture import features, gram


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
    gate.check_zoo(model)
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
    for share, pixels in zip(as_shares("blend", blend), painted, strict=True):
        seen = features(model, model.normalize(pixels), styles)
        grams = {layer: grams[layer] + share * gram(seen[layer]) for layer in styles}
    return grams
