"""Lecture 09: measuring whether an attribution map can be trusted.

A map is scored here without asking whether it looks right: by what happens when the network's
weights are destroyed, when the pixels it names are taken away, and by where its mass lies when it
is known where the evidence is.
"""

import copy
import zlib
from collections.abc import Sequence

import scipy
import torch
import torch.nn.functional as nnf
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from course_utils import layers
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.common.scores import chosen, class_indices

# ------------------------------------------------------------------ does it notice the weights?


def randomised(model: nn.Module, stages: Sequence[str], seed: int = 0) -> nn.Module:
    """A copy of a network in which some layers have forgotten what they learned.

    Every weight tensor of these layers is drawn anew from a normal distribution with that tensor's
    own mean and standard deviation, so that activations keep about their size.

    Args:
        model: any network.
        stages: names of layers, as `layers.find` accepts them; all their weights are drawn.
        seed: the same seed and stage give the same weights, whatever the other stages are.

    Returns:
        A private copy; `model` stays as it is.

    Raises:
        ValueError: an unknown layer, or one without weights.

    Reference: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018.
    """
    forgetful = copy.deepcopy(model)
    for stage in stages:
        weights = list(layers.find(forgetful, stage).parameters())
        if not weights:
            raise ValueError(f"stages: {stage!r} has no weights to draw")
        generator = torch.Generator().manual_seed(seed + zlib.crc32(stage.encode()))
        for weight in weights:
            fresh = torch.randn(weight.shape, generator=generator, device="cpu").to(weight)
            weight.data = weight.data.mean() + weight.data.std(correction=0) * fresh
    return forgetful


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation of the pixels of two maps: do they put them in the same order?

    Args:
        a, b: maps (N,H,W); ties get their mean rank.

    Returns:
        (N,) in -1 to 1, on the CPU; 0 where a map is constant, since that orders nothing.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    _same_maps(a, b)
    ranks = [scipy.stats.rankdata(m.detach().cpu().flatten(1).numpy(), axis=1) for m in (a, b)]
    x, y = (torch.from_numpy(r - r.mean(1, keepdims=True)) for r in ranks)
    length = x.norm(dim=1) * y.norm(dim=1)
    return ((x * y).sum(1) / length.clamp(min=1e-12)).float()


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of two maps, each scaled to 0-1 first: do they look alike?

    Args, raises: as `rank_correlation`; maps of 7x7 at least.

    Returns:
        (N,), on the CPU; 1 for equal pictures.

    Reference: Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity", 2004.
    """
    _same_maps(a, b)
    pairs = zip(_to_unit(a).numpy(), _to_unit(b).numpy(), strict=True)
    found = [structural_similarity(p, q, data_range=1.0) for p, q in pairs]
    return torch.tensor(found, dtype=torch.float32, device="cpu")


def _to_unit(maps: Tensor) -> Tensor:
    low, high = (f(maps.detach().cpu().float(), (1, 2)) for f in (torch.amin, torch.amax))
    return (maps.cpu() - low[:, None, None]) / (high - low).clamp(min=1e-12)[:, None, None]


def _same_maps(a: Tensor, b: Tensor) -> None:
    if a.ndim != 3 or a.shape != b.shape:
        raise ValueError(f"maps: shapes {tuple(a.shape)}, {tuple(b.shape)}; accepted: (N,H,W) both")
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ValueError("maps: they have values that are not finite (NaN or infinity)")


# ------------------------------------------------------------------ does it point at the evidence?


def pointing_score(maps: Tensor, cells: Tensor) -> Tensor:
    """The grid pointing game: the share of a map's positive mass in the right cell of a collage.

    Args:
        maps: (N,H,W) of 2x2 collages, H and W even; negative values count as nothing.
        cells: (N,) int64, the cell of each map's class in reading order: 0, 1 above, 2, 3 below.

    Returns:
        (N,) in 0-1; chance is 0.25. 0 for a map without positive values: it points nowhere.

    Raises:
        ValueError: maps that are not (N,H,W) with even sides, or cells that do not fit.

    Reference: Böhle, Fritz & Schiele, "Convolutional Dynamic Alignment Networks", CVPR 2021.
    """
    if maps.ndim != 3 or maps.shape[1] % 2 or maps.shape[2] % 2:
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: (N,H,W), H and W even")
    if cells.shape != maps.shape[:1] or not ((cells >= 0) & (cells < 4)).all():
        raise ValueError(f"cells: {cells.tolist()}; accepted: 0 to 3 for each of {len(maps)} maps")
    height, width = maps.shape[1] // 2, maps.shape[2] // 2
    mass = maps.clamp(min=0).unflatten(2, (2, width)).unflatten(1, (2, height)).sum((2, 4))
    mass = mass.flatten(1)
    right = mass.gather(1, cells.to(mass.device)[:, None])[:, 0]
    return right / mass.sum(1).clamp(min=torch.finfo(mass.dtype).tiny)


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """The share of a map's positive mass that lies on the object.

    Args:
        maps: (N,H,W); negative values count as nothing.
        masks: (N,H,W) bool, True on the object.

    Returns:
        (N,) in 0-1; 0 for a map without positive values.

    Reference: Wang et al., "Score-CAM", CVPR workshops 2020 ("energy-based pointing game").
    """
    if masks.shape != maps.shape or masks.dtype != torch.bool:
        raise ValueError(
            f"masks: {masks.dtype} of shape {tuple(masks.shape)}; accepted: bool "
            f"{tuple(maps.shape)}, as the maps"
        )
    mass = maps.clamp(min=0)
    inside = (mass * masks.to(mass.device)).sum((1, 2))
    return inside / mass.sum((1, 2)).clamp(min=torch.finfo(mass.dtype).tiny)


def pointing_hit(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether the map's largest value lies on the object: (N,) bool; never for a constant map.

    Args: as `energy_inside`.

    Reference: Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016.
    """
    if masks.shape != maps.shape or masks.dtype != torch.bool:
        raise ValueError(f"masks: {masks.dtype} {tuple(masks.shape)}; accepted: bool as the maps")
    flat = maps.flatten(1)
    hit = masks.to(maps.device).flatten(1).gather(1, flat.argmax(1, keepdim=True))[:, 0]
    return hit & (flat.amax(1) > flat.amin(1))


# ------------------------------------------------------------------ does the network need them?


def places(maps: Tensor) -> Tensor:
    """Each pixel's place in the order of its map (N,H,W): 0 for the largest value, then 1, 2 ...

    Ties go in reading order. int64, (N,H,W).
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).view_as(maps)


EARLY = (0, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.2, 0.35, 0.6, 1)
"""Shares of the pixels for a curve that falls at once: more than half of them up to a tenth."""


def deletion_curve(
    model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor, steps: int | Sequence[float] = 20
) -> Tensor:
    """The class's probability while pixels are removed, those the map calls important first.

    A removed pixel becomes 0: the data set's mean colour. At point k of 0 ... steps, the first
    floor(k*H*W/steps) pixels in the order of the map are gone; ties go in reading order.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        maps: (N,H,W), one for each image.
        classes: the class of each image (index or name), or one for all.
        steps: how many equal steps, 1 or more; or the shares of the pixels, 0-1, e.g. `EARLY`.

    Returns:
        (N, steps+1); the first is the untouched image, the last an empty one. (N, shares) for
        shares.

    Raises:
        ValueError: maps that do not fit the images or are not finite, fewer than one step, or
            shares that do not rise within 0-1.

    Reference: Petsiuk, Das & Saenko, "RISE", BMVC 2018.
    """
    return _exchange(model, x, torch.zeros_like(x), maps, classes, steps)


def insertion_curve(
    model: nn.Module,
    x: Tensor,
    maps: Tensor,
    classes: Tensor,
    steps: int | Sequence[float] = 20,
    sigma: float = 12.0,
) -> Tensor:
    """The class's probability while a blurred image gets its pixels back, important ones first.

    Args:
        model, x, maps, classes, steps: as for `deletion_curve`.
        sigma: of the Gaussian blur the image starts from, in pixels.

    Returns, raises: as `deletion_curve`; the first point is the blurred image, the last `x`.
    """
    return _exchange(model, blurred(x, sigma), x, maps, classes, steps)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Images (N,3,H,W) after a Gaussian blur of `sigma` pixels, mirrored at the border."""
    reach = min(int(3 * sigma), min(x.shape[2:]) - 1)
    axis = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    bell = torch.softmax(-(axis**2) / (2 * sigma**2), 0)
    rows = bell.view(1, 1, -1, 1).expand(x.shape[1], 1, -1, 1)
    padded = nnf.pad(x, (reach,) * 4, mode="reflect")
    once = nnf.conv2d(padded, rows, groups=x.shape[1])
    return nnf.conv2d(once, rows.transpose(2, 3), groups=x.shape[1])


def area(curve: Tensor, shares: Sequence[float] | None = None) -> Tensor:
    """The area under curves (N,K) over 0-1, by the trapezoid rule: (N,).

    `shares` are the K places on the axis; equal steps by default.
    """
    if shares is None:
        return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)
    return torch.trapezoid(curve, curve.new_tensor(shares), dim=1)


def _exchange(
    model: nn.Module,
    old: Tensor,
    new: Tensor,
    maps: Tensor,
    classes: object,
    steps: int | Sequence[float],
) -> Tensor:
    """Probabilities while `new` pixels take the place of `old` ones in the order of the maps."""
    n, _, height, width = gate.check_shape(old).shape
    if maps.shape != (n, height, width) or not torch.isfinite(maps).all():
        raise ValueError(f"maps: {tuple(maps.shape)}; accepted: finite {(n, height, width)}")
    counts = _counts(steps, height * width)
    index = class_indices(model, classes, n).to(old.device)
    place, curve = places(maps.to(old.device))[:, None], []
    for count in counts:
        mixed = torch.where(place < count, new, old)
        with torch.no_grad():
            probabilities = in_chunks(lambda some: gate.logits(model, some).softmax(1), mixed)
        curve.append(chosen(probabilities, index))
    return torch.stack(curve, 1)


def _counts(steps: int | Sequence[float], pixels: int) -> list[int]:
    """How many pixels are exchanged at each point of a curve."""
    if isinstance(steps, int):
        if steps < 1:
            raise ValueError(f"steps={steps}; accepted: 1 or more")
        return [k * pixels // steps for k in range(steps + 1)]
    shares = list(steps)
    if len(shares) < 2 or shares != sorted(shares) or shares[0] < 0 or shares[-1] > 1:
        raise ValueError(f"steps={shares}; accepted: two shares or more, rising from 0 to 1")
    return [round(share * pixels) for share in shares]
