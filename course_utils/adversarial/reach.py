"""Lecture 11: how far attacks reach. Other starts, photos and networks; only queries; a defence.

Pixels are in 0-1 as in `adversarial`.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import io
from torchvision.transforms.v2 import functional as tvf

from course_utils.adversarial.budget import (
    BATCH,
    ascend,
    batches,
    check_pixels,
    check_range,
    indices,
    lead,
    lead_of,
    loss_gradient,
    pgd,
    probabilities,
    random_signs,
    wide,
)
from course_utils.common import gate, paths
from course_utils.models import on_pixels

# ------------------------------------------------------------------ tables


def l2_needed(
    model: nn.Module,
    starts: Tensor,
    targets: Sequence[int | str],
    confidence: float = 0.5,
    rate: float = 0.2,
    steps: int = 60,
) -> Tensor:
    """How far `ascend` goes from each start until it reaches each class.

    Args:
        model: from pixels in 0-1, or of the zoo.
        starts: (N,3,H,W) in 0-1: photos, noise, anything.
        targets: T classes.
        confidence, rate, steps: as for `ascend`.

    Returns:
        Euclidean lengths (N,T), on the CPU; NaN where the start is taken for the class already, and
        where it was not reached.
    """
    table = torch.full((len(starts), len(targets)), torch.nan, device="cpu")
    given = probabilities(model, starts).argmax(1)
    for column, target in enumerate(targets):
        rows = (given != indices(model, target, starts)).nonzero()[:, 0]
        if not len(rows):
            continue
        found = ascend(model, starts[rows], target, rate, confidence, steps)
        length = (found.pixels - starts[rows]).flatten(1).norm(dim=1).cpu()
        reached = torch.tensor([why == "confidence" for why in found.reached], device="cpu")
        table[rows.cpu(), column] = length.masked_fill(~reached, torch.nan)
    return table


@dataclass(frozen=True)
class FirstOrder:
    """What a change by epsilon does to the lead of the present class, means over photos.

    Attributes:
        size: the photos' side.
        norm: sum of the gradient's absolute values, ||w||_1.
        promised: epsilon * ||w||_1.
        lost: what `fgsm` on the lead took from it.
        random: what `random_signs` took from it.
        lead: of the photos.
    """

    size: int
    norm: float
    promised: float
    lost: float
    random: float
    lead: float


def first_order(
    model: nn.Module, photos: Sequence[Tensor], sizes: Sequence[int], epsilon: float
) -> list[FirstOrder]:
    """Whether the loss of the lead is epsilon * ||w||_1, for photos at several sizes.

    Args:
        model: from pixels in 0-1 of any size, or of the zoo.
        photos: squares (3,S,S) in 0-1 that are resized.
        sizes: sides in pixels.
        epsilon: the change of every value.
    """
    check_range(epsilon=epsilon)
    found = []
    for size in sizes:
        resized = [tvf.resize(p, [size, size], antialias=True).clamp(0, 1) for p in photos]
        pixels = torch.stack(resized)
        given = probabilities(model, pixels).argmax(1)
        before, w = lead(model, pixels, given)
        norm = w.abs().sum((1, 2, 3))
        against = (pixels - epsilon * w.sign()).clamp(0, 1)
        after = [_leads(model, p, given) for p in (against, random_signs(pixels, epsilon))]
        lost, random = ((before - a).mean().item() for a in after)
        promised = (epsilon * norm).mean().item()
        row = (size, norm.mean().item(), promised, lost, random, before.mean().item())
        found.append(FirstOrder(*row))
    return found


def _leads(model: nn.Module, pixels: Tensor, index: Tensor) -> Tensor:
    network = on_pixels(model)
    with torch.no_grad():
        parts = batches(pixels, index)
        return torch.cat([lead_of(gate.logits(network, p), i) for p, i in parts])


def _signed(
    model: nn.Module, pixels: Tensor, classes: Tensor, epsilons: Sequence[float]
) -> list[Tensor]:
    """`fgsm` for several budgets: they share one gradient."""
    _, gradient = loss_gradient(model, pixels, classes)
    return [(pixels + epsilon * gradient.sign()).clamp(0, 1) for epsilon in epsilons]


def _projected(
    model: nn.Module, pixels: Tensor, classes: Tensor, epsilons: Sequence[float]
) -> list[Tensor]:
    return [pgd(model, pixels, classes, epsilon) for epsilon in epsilons]


ATTACKS = {"FGSM": _signed, "PGD": _projected}
"""What `transfer` makes its pictures with, one set for each budget."""


def transfer(
    networks: Sequence[nn.Module], pixels: Tensor, epsilons: Sequence[float], attack: str = "PGD"
) -> Tensor:
    """How often pictures made to fool one network fool another.

    Args:
        networks: M of them, from pixels in 0-1, or of the zoo.
        pixels: photos (N,3,H,W) in 0-1.
        epsilons: E budgets.
        attack: of `ATTACKS`.

    Returns:
        Shares (E,M,M), on the CPU: made with the row's network, shown to the column's. Fooled is
        who gives another answer than before.
    """
    answers = [probabilities(network, pixels).argmax(1) for network in networks]
    table = torch.zeros(len(epsilons), len(networks), len(networks), device="cpu")
    for epsilon in epsilons:
        check_range(epsilon=epsilon)
    for i, source in enumerate(networks):
        for e, made in enumerate(ATTACKS[attack](source, pixels.detach(), answers[i], epsilons)):
            for j, judge in enumerate(networks):
                new = probabilities(judge, made).argmax(1)
                table[e, i, j] = (new != answers[j]).float().mean()
    return table


# ------------------------------------------------------------------ what is stored


def stored() -> dict[str, dict]:
    """What needs another library: "smallest", made by "command" with "made_by"."""
    return paths.stored("adversarial.json")


def stored_lengths() -> dict:
    """A table of `l2_needed`: "targets", and "lengths" of each start, null where there is none.

    Made by `data/rebuild_attacks.py`.
    """
    return paths.stored("attacks.json")


def stored_controls() -> dict:
    """What lecture 11 says of photos that it does not use, each beside its control.

    Made by `data/rebuild_attack_controls.py`, whose functions say what is in it.
    """
    return paths.stored("attack_controls.json")


UNIVERSAL = 10
"""Largest change of a value in `stored_universal`, in steps of an 8-bit file."""


def stored_universal() -> Tensor:
    """A `universal` change (1,3,224,224) for SqueezeNet, within 10/255, on the CPU.

    Made by `data/rebuild_attacks.py` with every second photo. It is rounded to steps of a file, as
    any picture is that it was added to.
    """
    with Image.open(paths.data("universal.webp")) as file:
        steps = torch.from_numpy(np.array(file.convert("RGB"))).movedim(-1, 0)
    return (steps[None].float() / 12 - UNIVERSAL) / 255


# ------------------------------------------------------------------ one change for all photos


def universal(
    model: nn.Module,
    pixels: Tensor,
    epsilon: float,
    epochs: int = 6,
    jitter: int = 16,
    seed: int = 0,
) -> Tensor:
    """One change that fools the network on most photos, also on photos it has not seen.

    Signed steps, ever smaller, along a running mean of the slopes of the loss of the network's own
    answers. Each photo counts the same: its slope is divided by its length, and counts up to a loss
    of 9 only, or the photos that are fooled already would rule. They are shifted and mirrored at
    random, as few photos otherwise teach the change what is theirs alone.

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels: photos to learn it from (N,3,H,W) in 0-1.
        epsilon: the largest change of a value, in units of pixels.
        epochs: how often every photo is used.
        jitter: the largest shift, in pixels.
        seed: of their order, shifts and mirrors.

    Returns:
        (1,3,H,W), between -epsilon and epsilon; to be added and clipped to 0-1.

    Raises:
        ValueError: as `fgsm`; no epoch.

    References: Moosavi-Dezfooli et al., "Universal adversarial perturbations", CVPR 2017; the
    capped loss: Shafahi et al., "Universal Adversarial Training", 2020; the running mean: Dong et
    al., "Boosting Adversarial Attacks with Momentum", CVPR 2018.
    """
    check_pixels(pixels)
    check_range(epsilon=epsilon, epochs=epochs)
    answers, random = probabilities(model, pixels).argmax(1), torch.Generator().manual_seed(seed)
    r = torch.zeros_like(pixels[:1])
    mean = r.clone()
    for epoch in range(epochs):
        step = epsilon / 5 * (1 - epoch / epochs)
        for some in torch.randperm(len(pixels), generator=random, device="cpu").split(BATCH):
            some = some.to(pixels.device)
            x = (_shifted(pixels[some].detach(), jitter, random) + r).clamp(0, 1)
            loss, gradient = loss_gradient(model, x, answers[some])
            length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
            towards = (gradient * wide((loss < 9) / length)).sum(0, keepdim=True)
            mean = 0.9 * mean + towards / towards.abs().mean().clamp(min=1e-12)
            r = (r + step * mean.sign()).clamp(-epsilon, epsilon)
    return r


def _shifted(pixels: Tensor, jitter: int, random: torch.Generator) -> Tensor:
    """The images rolled by up to `jitter` pixels each way, and mirrored half of the time."""
    down, right, mirror = torch.randint(
        -jitter, jitter + 1, (3,), generator=random, device="cpu"
    ).tolist()
    rolled = pixels.roll((down, right), (2, 3))
    return rolled.flip(3) if mirror > 0 else rolled


# ------------------------------------------------------------------ only asking


def square_attack(
    model: nn.Module,
    pixels: Tensor,
    epsilon: float,
    queries: int = 1000,
    share: float = 0.1,
    seed: int = 0,
) -> tuple[Tensor, int]:
    """Fools a network that only answers: random squares of +-epsilon, kept where they help.

    Args:
        model: from pixels in 0-1, or of the zoo; it is asked for its scores, never for a gradient.
        pixels: one photo (1,3,H,W) in 0-1.
        epsilon: the largest change of a value.
        queries: the most that are asked.
        share: area of the first squares; it is halved six times on the way.
        seed: of the squares.

    Returns:
        The image (1,3,H,W) in 0-1, and the number of queries.

    Raises:
        ValueError: more than one image; as `fgsm`.

    Reference: Andriushchenko et al., "Square Attack", ECCV 2020.
    """
    check_pixels(pixels)
    check_range(epsilon=epsilon, queries=queries, share=share)
    if len(pixels) != 1:
        raise ValueError(f"pixels: {len(pixels)} images came; accepted: one, (1,3,H,W)")
    photo, random = pixels.detach(), torch.Generator().manual_seed(seed)
    own, asked = probabilities(model, photo).argmax(1), 2
    x = (photo + epsilon * _signs(random, (1, 3, 1, photo.shape[3])).to(photo)).clamp(0, 1)
    least = _leads(model, x, own).item()
    while least >= 0 and asked < queries:
        tried = _with_square(photo, x, epsilon, share * 0.5 ** (6 * asked // queries), random)
        left, asked = _leads(model, tried, own).item(), asked + 1
        if left < least:
            x, least = tried, left
    return x, asked


def _signs(random: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    return 2.0 * torch.randint(0, 2, shape, generator=random, device="cpu") - 1


def _with_square(
    photo: Tensor, x: Tensor, epsilon: float, share: float, random: torch.Generator
) -> Tensor:
    """x with a square at a random place in which every colour is epsilon off the photo's."""
    height, width = photo.shape[2:]
    side = max(1, min(round((share * height * width) ** 0.5), height, width))
    top, left = (
        int(torch.randint(0, n - side + 1, (1,), generator=random, device="cpu"))
        for n in (height, width)
    )
    tried, place = x.clone(), (..., slice(top, top + side), slice(left, left + side))
    tried[place] = photo[place] + epsilon * _signs(random, (1, 3, 1, 1)).to(photo)
    return tried.clamp(0, 1)


# ------------------------------------------------------------------ a defence


class Defended(nn.Module):
    """A network behind a filter: what it is shown is filtered first.

    Backwards the filter is taken for the identity ("straight through"). Gradient attacks on this
    module are therefore attacks by somebody who knows the filter, even where it has no gradient.

    Args:
        model: from pixels in 0-1, or of the zoo.
        filter: pixels (N,3,H,W) in 0-1 -> the same, e.g. `jpeg(50)` or `blurred(1)`.

    Reference: Athalye, Carlini & Wagner, "Obfuscated Gradients Give a False Sense of Security",
    ICML 2018.
    """

    def __init__(self, model: nn.Module, filter: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.filter, self.training = on_pixels(model), filter, model.training
        self.index, self.labels = (
            getattr(model, "index", operator.index),
            getattr(model, "labels", []),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N,C) of pixels (N,3,H,W) in 0-1."""
        with torch.no_grad():
            filtered = self.filter(pixels.detach())
        return self.model(pixels + (filtered - pixels).detach())


def jpeg(quality: int = 50) -> Callable[[Tensor], Tensor]:
    """A filter: compressed as JPEG of that quality, 1-100, and read again."""
    if not 1 <= quality <= 100:
        raise ValueError(f"quality={quality}; accepted: 1 to 100")

    def filtered(pixels: Tensor) -> Tensor:
        files = io.encode_jpeg(list((pixels.cpu() * 255).round().byte()), quality)
        return torch.stack([io.decode_jpeg(f) for f in files]).to(pixels) / 255

    return filtered


def few_colours(levels: int = 8) -> Callable[[Tensor], Tensor]:
    """A filter: every value is rounded to one of `levels` steps, 2 or more."""
    if levels < 2:
        raise ValueError(f"levels={levels}; accepted: 2 or more")
    return lambda pixels: (pixels * (levels - 1)).round() / (levels - 1)


def blurred(sigma: float = 1.0) -> Callable[[Tensor], Tensor]:
    """A filter: a Gaussian blur of `sigma` pixels, above 0."""
    if not sigma > 0:
        raise ValueError(f"sigma={sigma}; accepted: above 0")
    size = 2 * max(1, round(3 * sigma)) + 1
    return lambda pixels: tvf.gaussian_blur(pixels, [size, size], [sigma, sigma])
