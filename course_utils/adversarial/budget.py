"""Lecture 11: changes too small to see that change the answer.

Everything happens in pixels: a photo is (N,3,H,W) in 0-1, a change of 1/255 is one step of an 8-bit
file, and the network normalises what it is given. A network of the zoo is taken as it is; any
other module must map pixels in 0-1 to logits. How far attacks reach is in
`reach`, the smallest changes are in `smallest`.

Szegedy et al., "Intriguing properties of neural networks", ICLR 2014.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import images
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.common.scores import chosen, class_indices
from course_utils.models import on_pixels

BATCH = 8
"""Photos of 224 pixels per forward and backward pass: larger batches are no faster on a CPU."""

Classes = int | str | Sequence | Tensor
"""One class for all images, or one for each: indices, or names where the network has them."""


# ------------------------------------------------------------------ what an attack has done


@dataclass(frozen=True)
class Facts:
    """What became of N images.

    Attributes:
        classes, probability: the network's answer to the changed images, (N,).
        fooled: the answer is the target, or without a target no longer what it was, (N,) bool.
        survives: the same after saving as an 8-bit file, (N,) bool.
        l2, linf: size of the change: Euclidean length, and largest change of a value, (N,).
    """

    classes: Tensor
    probability: Tensor
    fooled: Tensor
    survives: Tensor
    l2: Tensor
    linf: Tensor


def measure(
    model: nn.Module, pixels: Tensor, changed: Tensor, target: Classes | None = None
) -> Facts:
    """Whether changed images fool a network, also after saving, and how far they are changed.

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels, changed: (N,3,H,W) in 0-1 each.
        target: the class that was wanted; None: any but the one the network gives `pixels`.

    Raises:
        ValueError: images of different shapes, or values outside 0-1.
    """
    check_pixels(pixels)
    check_pixels(changed, "changed")
    if changed.shape != pixels.shape:
        raise ValueError(f"changed: {tuple(changed.shape)}; accepted: {tuple(pixels.shape)}")
    after, saved = (probabilities(model, p) for p in (changed, images.eight_bits(changed)))
    named = probabilities(model, pixels).argmax(1) if target is None else target
    index = indices(model, named, pixels)
    fooled, survives = ((p.argmax(1) == index) ^ (target is None) for p in (after, saved))
    change, best = (changed - pixels).detach().flatten(1), after.max(1)
    size = change.norm(dim=1), change.abs().amax(1)
    return Facts(best.indices, best.values, fooled, survives, *size)


def probabilities(model: nn.Module, pixels: Tensor) -> Tensor:
    """Softmax probabilities (N,C) of images (N,3,H,W) in 0-1."""
    network = on_pixels(model)
    with torch.no_grad():
        return in_chunks(lambda p: gate.logits(network, p).softmax(1), pixels.detach())


# ------------------------------------------------------------------ slopes


def batches(pixels: Tensor, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and their classes, `BATCH` photos at a time, or as many more as they are smaller."""
    size = BATCH * max(1, 3 * 224 * 224 // pixels[0].numel())
    return zip(pixels.split(size), index.split(size), strict=True)


def loss_gradient(model: nn.Module, pixels: Tensor, classes: Classes) -> tuple[Tensor, Tensor]:
    """The cross-entropy J = -log p_c of each image, and its gradient by the pixels.

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels: (N,3,H,W) in 0-1.
        classes: c for each image, or one for all.

    Returns:
        (N,) and (N,3,H,W).

    Raises:
        ValueError: pixels of another shape, not finite or outside 0-1; a class that is not there.
    """
    return slopes(model, pixels, classes, _cross_entropy)


def lead(model: nn.Module, pixels: Tensor, classes: Classes) -> tuple[Tensor, Tensor]:
    """By how much a class leads, S_c - max over k != c of S_k, and the gradient of that.

    Below zero the network names another class. Unlike the loss it is no flatter where the network
    is sure.

    Args and returns as `loss_gradient`.
    """
    return slopes(model, pixels, classes, lead_of)


def _cross_entropy(logits: Tensor, index: Tensor) -> Tensor:
    return functional.cross_entropy(logits, index, reduction="none")


def lead_of(logits: Tensor, index: Tensor) -> Tensor:
    """S_c - max over k != c of S_k, from logits (N,C) and classes (N,)."""
    own = logits.gather(1, index[:, None])[:, 0]
    return own - logits.scatter(1, index[:, None], -torch.inf).amax(1)


def slopes(
    model: nn.Module, pixels: Tensor, classes: Classes, number: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """A number made of the logits for each image, and its gradient, in batches.

    Args:
        model, pixels, classes: as for `loss_gradient`.
        number: (logits (n,C), classes (n,)) -> (n,).

    Returns and raises as `loss_gradient`.
    """
    check_pixels(pixels)
    network, index = on_pixels(model), indices(model, classes, pixels)
    values, gradients = [], []
    for x, c in batches(pixels.detach(), index):
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            logits = gate.logits(network, x)
            chosen(logits, c)  # refuses classes that are not there
            value = number(logits, c)
            total = value.sum()  # images do not mix, so neither do gradients
        values.append(value.detach())
        gradients.append(torch.autograd.grad(total, x)[0])
    return torch.cat(values), torch.cat(gradients)


# ------------------------------------------------------------------ inside a budget


def fgsm(model: nn.Module, pixels: Tensor, classes: Classes, epsilon: float) -> Tensor:
    """One step away from a class: x + epsilon * sign(dJ/dx), kept in 0-1.

    The largest first-order increase of the loss J that changes no value by more than epsilon.

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels: (N,3,H,W) in 0-1.
        classes: the class of each image that is to be left.
        epsilon: in units of pixels; a multiple of 1/255 keeps an 8-bit photo an 8-bit photo.

    Returns:
        (N,3,H,W) in 0-1.

    Raises:
        ValueError: as `loss_gradient`; epsilon not in (0, 1].

    Reference: Goodfellow, Shlens & Szegedy, "Explaining and Harnessing Adversarial Examples", 2015.
    """
    check_range(epsilon=epsilon)
    _, gradient = loss_gradient(model, pixels, classes)
    return (pixels.detach() + epsilon * gradient.sign()).clamp(0, 1)


def pgd(
    model: nn.Module,
    pixels: Tensor,
    classes: Classes,
    epsilon: float,
    step: float | None = None,
    steps: int = 10,
    targeted: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Many small signed steps, each projected back into the budget: projected gradient descent.

        x <- clip(x +- step * sign(dJ/dx)) to |x - photo| <= epsilon and to 0-1

    Args:
        model, pixels, epsilon: as for `fgsm`.
        classes: the class to leave, or with `targeted` the class to reach.
        step: epsilon / 4 by default.
        steps: at least 1.
        targeted: go down the loss of `classes` instead of up.
        seed: start at a random place in the budget; None: at the photo.

    Returns:
        (N,3,H,W) in 0-1.

    Raises:
        ValueError: as `fgsm`; no step; a target that an image is taken for already.

    Reference: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018.
    """
    step = epsilon / 4 if step is None else step
    check_range(epsilon=epsilon, step=step, steps=steps)
    index = target_indices(model, pixels, classes) if targeted else classes
    photo = pixels.detach()
    low, high = (photo - epsilon).clamp(min=0), (photo + epsilon).clamp(max=1)
    x = photo if seed is None else (photo + _uniform(photo, epsilon, seed)).clamp(0, 1)
    for _ in range(steps):
        _, gradient = loss_gradient(model, x, index)
        x = x + (-step if targeted else step) * gradient.sign()
        x = torch.minimum(torch.maximum(x, low), high)
    return x


def random_signs(pixels: Tensor, epsilon: float, seed: int = 0) -> Tensor:
    """As large a change as `fgsm`'s, in a random direction: every value goes up or down by epsilon.

    Returns:
        (N,3,H,W) in 0-1.
    """
    check_range(epsilon=epsilon)
    return (pixels.detach() + epsilon * _uniform(pixels, 1.0, seed).sign()).clamp(0, 1)


def _uniform(like: Tensor, reach: float, seed: int) -> Tensor:
    """Random numbers from -reach to reach, the same on every device."""
    random = torch.Generator().manual_seed(seed)
    return reach * (2 * torch.rand(like.shape, generator=random, device="cpu").to(like) - 1)


# ------------------------------------------------------------------ ascent on a chosen class


def targeted_ascent(
    model: nn.Module, pixels: Tensor, target: int | str, rate: float, confidence: float, steps: int
) -> tuple[Tensor, int]:
    """Ascent on the score of a class until the network believes in it.

        x <- clip(x + rate * g / |g|) to 0-1, g = dS_target/dx

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels: one image (1,3,H,W) in 0-1.
        target: the class to reach.
        rate: length of a step.
        confidence: the probability of the target that ends it, in (0, 1].
        steps: the most that are taken.

    Returns:
        The image (1,3,H,W) in 0-1, and how many steps were taken. With `steps` of them the
        confidence may not have been reached.

    Raises:
        ValueError: an argument outside its range; the target is the network's answer already.
    """
    check_pixels(pixels)
    if len(pixels) != 1:
        raise ValueError(f"pixels: {len(pixels)} images came; accepted: one, (1,3,H,W)")
    found = ascend(model, pixels, target, rate, confidence, steps)
    return found.pixels, int(found.steps[0])


@dataclass(frozen=True)
class Ascent:
    """What `ascend` leaves.

    Attributes:
        pixels: (N,3,H,W) in 0-1, each image as it was when it stopped.
        steps: how many each took, (N,), on the CPU.
        reached: what ended each: "confidence", "L2 budget", "L-infinity budget" or "steps".
        curves: for each image the probability of the target after 0, 1, 2 ... steps.
    """

    pixels: Tensor
    steps: Tensor
    reached: list[str]
    curves: list[list[float]]


def ascend(
    model: nn.Module,
    pixels: Tensor,
    target: Classes,
    rate: float = 0.1,
    confidence: float = 0.9,
    steps: int = 100,
    l2: float = float("inf"),
    linf: float = float("inf"),
) -> Ascent:
    """As `targeted_ascent` for a batch; also ends before the step that would leave a budget.

    Args:
        model, rate, confidence, steps: as there.
        pixels: starts (N,3,H,W) in 0-1: photos, noise, anything.
        target: the class to reach, one for all or one for each.
        l2, linf: the largest change allowed: Euclidean length, largest change of a value.

    Raises:
        ValueError: as `targeted_ascent`.
    """
    check_range(rate=rate, confidence=confidence, steps=steps, l2=l2, linf=linf)
    index, photo = target_indices(model, pixels, target), pixels.detach()
    x, reached = photo.clone(), [""] * len(photo)
    curves: list[list[float]] = [[] for _ in photo]
    for step in range(steps + 1):
        left = [i for i, reason in enumerate(reached) if not reason]
        if not left:
            break
        p, moved = _step(model, x[left], index[left], rate)
        change = (moved - photo[left]).flatten(1)
        full = (change.norm(dim=1) > l2).tolist(), (change.abs().amax(1) > linf).tolist()
        for place, i in enumerate(left):
            curves[i].append(p[place].item())
            ends = (curves[i][-1] >= confidence, full[0][place], full[1][place], step == steps)
            reached[i] = next((name for name, end in zip(ENDS, ends, strict=True) if end), "")
            if not reached[i]:
                x[i] = moved[place]
    taken = torch.tensor([len(curve) - 1 for curve in curves], device="cpu")
    return Ascent(x, taken, reached, curves)


ENDS = ("confidence", "L2 budget", "L-infinity budget", "steps")
"""What can end an ascent."""


def _step(model: nn.Module, x: Tensor, index: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """The target's probability now, and the images after one step."""
    numbers: list[Tensor] = []

    def score(logits: Tensor, c: Tensor) -> Tensor:
        numbers.append(logits.detach().softmax(1).gather(1, c[:, None])[:, 0])
        return logits.gather(1, c[:, None])[:, 0]

    _, g = slopes(model, x, index, score)
    length = g.flatten(1).norm(dim=1).clamp(min=1e-20)
    return torch.cat(numbers), (x + rate * g / wide(length)).clamp(0, 1)


# ------------------------------------------------------------------ what is accepted


def target_indices(model: nn.Module, pixels: Tensor, target: Classes) -> Tensor:
    """The target of each image as an index, (N,).

    Raises:
        ValueError: pixels as in `check_pixels`; a class that is not there, or one that an image is
            taken for already.
    """
    check_pixels(pixels)
    index = indices(model, target, pixels)
    given = probabilities(model, pixels)
    chosen(given, index)  # refuses classes that are not there
    same = (given.argmax(1) == index).nonzero()[:, 0].tolist()
    if same:
        labels, c = getattr(model, "labels", None), int(index[same[0]])
        raise ValueError(
            f"target: image {same[0]} is taken for {repr(labels[c]) if labels else c} already; "
            "accepted: another class than the present one"
        )
    return index


def check_pixels(pixels: Tensor, name: str = "pixels") -> None:
    """Raises ValueError for anything but finite images (N,3,H,W) in 0-1."""
    if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.numel():
        raise ValueError(f"{name}: shape {tuple(pixels.shape)}; accepted: images (N,3,H,W)")
    if not torch.isfinite(pixels).all():
        raise ValueError(f"{name}: it has values that are not finite (NaN or infinity)")
    low, high = pixels.min().item(), pixels.max().item()
    if low < 0 or high > 1:
        raise ValueError(
            f"{name}: values from {low:.3g} to {high:.3g}; accepted: 0-1. Attacks work on pixels; "
            "a normalised image goes back with `network.denormalize(x).clamp(0, 1)`."
        )


COUNTS, SHARES = ("steps", "searches", "epochs", "queries"), ("epsilon", "confidence", "share")


def check_range(**given: float) -> None:
    """Raises ValueError for a count below 1, a share outside (0, 1], or a size that is not over 0.

    Which of the three it is goes by the argument's name.
    """
    for name, value in given.items():
        low, words = (1, "1 or more") if name in COUNTS else (0, "above 0")
        top = 1.0 if name in SHARES else float("inf")
        if not (value >= low and 0 < value <= top):
            raise ValueError(f"{name}={value}; accepted: {words}{', up to 1' * (top == 1)}")


def indices(model: nn.Module, classes: Classes, pixels: Tensor) -> Tensor:
    """One class for each image, (N,), where the images are."""
    return class_indices(model, classes, len(pixels)).to(pixels.device)


def wide(values: Tensor) -> Tensor:
    """(N,) as (N,1,1,1): one number for each image."""
    return values[:, None, None, None]
