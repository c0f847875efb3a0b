"""Lecture 11's smallest changes: how near is the next answer, in Euclidean length?

Pixels are in 0-1 as in `adversarial`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import images
from course_utils.adversarial.budget import (
    Classes,
    batches,
    check_pixels,
    check_range,
    lead_of,
    loss_gradient,
    measure,
    probabilities,
    slopes,
    target_indices,
    wide,
)
from course_utils.common import gate
from course_utils.common.optimise import lbfgs, optimise
from course_utils.models import on_pixels


def smallest_linear(
    model: nn.Module,
    pixels: Tensor,
    target: Classes | None = None,
    ahead: float = 0.0,
    steps: int = 12,
) -> Tensor:
    """The smallest change, as if the network were linear; again and again, as it is not.

    With the lead g of the present class over the strongest other (or the deficit of the target)
    and its gradient w, the boundary of a linear network is where g + w.(x' - x) = 0. Its point
    nearest to x, and its point nearest to the photo x0, are

        x - g w / |w|^2     and     x0 - (g + w.(x0 - x)) w / |w|^2

    The first leads over the boundary; from beyond it the second shortens the change. Both go 5 %
    further than they have to, as the boundary is bent. The shortest change that fools is kept; a
    photo whose change no longer shortens by a tenth is done.

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels: photos (N,3,H,W) in 0-1.
        target: the class to reach; None: any other than the present one. Towards a named class the
            way is longer: after 12 steps the change is a twentieth longer than after 30 (panda to
            ostrich, SqueezeNet).
        ahead: by how much the new class's score must lead.
        steps: passes forward and backward.

    Returns:
        (N,3,H,W) in 0-1; the photo itself where nothing was found. With `ahead` 0 the answer
        changes by a hair: saved as 8-bit files most of these are the old photo again (see
        `smallest_saved`).

    Raises:
        ValueError: an argument outside its range; a target that an image is taken for already.

    Reference: after Moosavi-Dezfooli, Fawzi & Frossard, "DeepFool", CVPR 2016.
    """
    check_range(steps=steps)
    check_pixels(pixels)
    untargeted = target is None
    given = probabilities(model, pixels).argmax(1) if untargeted else target
    index = given if untargeted else target_indices(model, pixels, given)
    gap = _gap(1 if untargeted else -1, ahead)
    parts = batches(pixels.detach(), index)
    return torch.cat([_nearest(model, photo, i, gap, steps) for photo, i in parts])


def _gap(sign: int, ahead: float) -> Callable[[Tensor, Tensor], Tensor]:
    """What has to become negative: the lead to lose, or the deficit to make up; plus `ahead`."""
    return lambda logits, index: sign * lead_of(logits, index) + ahead


BEYOND, GAIN = 1.05, 0.9
"""How far steps go, in ways to the boundary; the share of a change that a shorter one may have."""


def _nearest(model: nn.Module, photo: Tensor, index: Tensor, gap: Callable, steps: int) -> Tensor:
    """`smallest_linear` for one batch; what is done leaves it."""
    x, best = photo.clone(), photo.clone()
    shortest = torch.full_like(photo[:, 0, 0, 0], torch.inf)
    left = torch.arange(len(photo), device=photo.device)
    for _ in range(steps + 1):
        now, start = x[left], photo[left]
        g, w = slopes(model, now, index[left], gap)
        length, fooled = (now - start).flatten(1).norm(dim=1), g < 0
        done = fooled & (length > GAIN * shortest[left])
        better = fooled & (length < shortest[left])
        best[left[better]], shortest[left[better]] = now[better], length[better]
        slope = w.square().sum((1, 2, 3)).clamp(min=1e-20) / BEYOND
        over = now - wide(g.clamp(min=1e-4) / slope) * w
        back = start - wide((g + (w * (start - now)).sum((1, 2, 3))) / slope) * w
        x[left] = torch.where(wide(fooled), back, over).clamp(0, 1)
        left = left[~done]
        if not len(left):
            break
    return best


def smallest_lbfgs(
    model: nn.Module, pixels: Tensor, target: Classes, searches: int = 6, steps: int = 12
) -> Tensor:
    """min over r of J(x + r, target) + c |r| with x + r in 0-1, and the largest c that still fools.

    The larger c, the smaller the change, until the network is no longer fooled: c is bisected.

    Args:
        model: from pixels in 0-1, or of the zoo.
        pixels: photos (N,3,H,W) in 0-1.
        target: the class to reach, one for all or one for each.
        searches: values of c that are tried for each photo.
        steps: iterations of L-BFGS for each c.

    Returns:
        (N,3,H,W) in 0-1; the photo itself where nothing was found. As with `smallest_linear` the
        answer changes by a hair.

    Raises:
        ValueError: as `smallest_linear`.

    Reference: Szegedy et al., "Intriguing properties of neural networks", ICLR 2014, section 4.1.
    """
    check_range(searches=searches, steps=steps)
    index = target_indices(model, pixels, target)
    pairs = zip(pixels.detach().split(1), index.split(1), strict=True)
    return torch.cat([_search(model, photo, i, searches, steps) for photo, i in pairs])


def _search(model: nn.Module, photo: Tensor, index: Tensor, searches: int, steps: int) -> Tensor:
    """The smallest success over c, bisected on a logarithmic scale."""
    _, gradient = loss_gradient(model, photo, index)
    low, high = 0.0, gradient.norm().item()  # with c = high no change pays for its length
    best, r, c = photo.clone(), torch.zeros_like(photo), high / 2
    for _ in range(searches):
        r = _shortest(on_pixels(model), photo, index, c, r, steps)
        x = (photo + r).clamp(0, 1)
        fooled = bool(probabilities(model, x).argmax(1) == index)
        if fooled and (low == 0 or (x - photo).norm() < (best - photo).norm()):
            best = x
        low, high = (c, high) if fooled else (low, c)
        c = (low * high) ** 0.5 if low else c / 4
    return best


def _shortest(
    network: nn.Module, photo: Tensor, index: Tensor, c: float, start: Tensor, steps: int
) -> Tensor:
    """r for one c. What of r lies outside the box counts for its length, not for the loss."""

    def loss(r: Tensor) -> Tensor:
        return functional.cross_entropy(gate.logits(network, (photo + r).clamp(0, 1)), index)

    def length(r: Tensor) -> Tensor:
        return c * (r.square().sum() + 1e-10).sqrt()  # |r| has no slope at zero

    rule = lbfgs(line_search=True)
    return optimise(loss, start, steps, rule=rule, terms=[length], keep=0, progress=None).best


LEADS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Leads in logits that `smallest_saved` tries, one after the other."""


def smallest_saved(
    model: nn.Module,
    pixels: Tensor,
    target: Classes | None = None,
    leads: Sequence[float] = LEADS,
    steps: int = 12,
) -> tuple[Tensor, Tensor]:
    """`smallest_linear` with the smallest lead that survives saving as an 8-bit file.

    Args:
        model, pixels, target, steps: as there.
        leads: in logits, tried in this order.

    Returns:
        8-bit pictures (N,3,H,W), and the lead of each, (N,), on the CPU: NaN where none survived,
        and the picture is then the saved photo.

    Raises:
        ValueError: as `smallest_linear`.
    """
    index = None if target is None else target_indices(model, pixels, target)
    saved, needed = (
        images.eight_bits(pixels.detach()),
        torch.full((len(pixels),), torch.nan, device="cpu"),
    )
    for ahead in leads:
        left = needed.isnan().nonzero()[:, 0]
        if not len(left):
            break
        some = None if index is None else index[left]
        tried = images.eight_bits(smallest_linear(model, pixels[left], some, ahead, steps))
        fooled = measure(model, pixels[left], tried, some).fooled.cpu()
        saved[left[fooled]], needed[left[fooled]] = tried[fooled], ahead
    return saved, needed
