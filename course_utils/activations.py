"""Lecture 02: what the feature maps of a layer look like, and how much of the photo they keep.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014; Yosinski et al.,
"Understanding Neural Networks Through Deep Visualization", ICML workshop 2015.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from course_utils import layers
from course_utils.common.batches import CHUNK
from course_utils.models import Network


def sparsity(maps: Tensor) -> Tensor:
    """The share of a feature map's units that are exactly 0, for each image and channel.

    Exactly 0 is what a ReLU gives for everything negative. A layer without a ReLU has no such
    zeros, however small its values are.

    Args:
        maps: feature maps (N,K,h,w), finite.

    Returns:
        (N,K) in 0-1.

    Raises:
        ValueError: another shape, an empty map, or values that are not finite.
    """
    _check(maps)
    return (maps == 0).flatten(2).float().mean(2)


def strongest_channels(maps: Tensor, k: int = 5) -> Tensor:
    """The channels with the largest single activation, for each image.

    Args:
        maps: feature maps (N,K,h,w), finite.
        k: how many, 1 to K.

    Returns:
        (N,k) int64, the strongest first; of equal ones the lower index first.

    Raises:
        ValueError: `k` out of range; otherwise as `sparsity`.
    """
    _check(maps)
    if not 1 <= k <= maps.shape[1]:
        raise ValueError(f"k={k}; accepted: 1 to the layer's {maps.shape[1]} channels")
    return maps.amax((2, 3)).sort(dim=1, descending=True, stable=True).indices[:, :k]


def tiles(maps: Tensor, shared: bool = False, percentile: float = 99.5) -> Tensor:
    """The channels of one image as grey pictures, black at 0 or at the least value.

    Args:
        maps: feature maps (K,h,w) or (1,K,h,w), finite.
        shared: one scale for all channels; otherwise each channel's own, and a channel that is
            the same everywhere is black.
        percentile: values beyond it are white; a map is ruled by few units otherwise.

    Returns:
        (K,h,w) in 0-1.

    Raises:
        ValueError: several images; otherwise as `sparsity`.
    """
    maps = maps[0] if maps.ndim == 4 and len(maps) == 1 else maps
    if maps.ndim != 3:
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: one image's (K,h,w)")
    _check(maps[None])
    flat = maps.flatten()[None] if shared else maps.flatten(1)
    low = flat.amin(1).clamp(max=0)
    values = flat.sort(dim=1).values
    top = values[:, min(values.shape[1] - 1, round(percentile / 100 * values.shape[1]))]
    top = torch.where(top > low, top, values[:, -1])  # fewer units fire than lie beyond it
    span = (top - low).clamp(min=torch.finfo(maps.dtype).tiny)
    return ((maps - low[:, None, None]) / span[:, None, None]).clamp(0, 1)


def sparsity_by_depth(
    model: nn.Module, x: Tensor, names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """How many units of each layer are exactly 0, and how many channels are 0 everywhere.

    Args:
        model: any network.
        x: normalised images (N,3,H,W).
        names: layers, as `layers.find` accepts them.

    Returns:
        layer -> (share of units that are 0, share of maps that are 0 throughout), means over
        images and channels.

    Raises:
        ValueError: an unknown layer, or one without feature maps.
    """
    zeros: dict[str, list[Tensor]] = {name: [] for name in names}
    for some in x.split(CHUNK):
        for name, maps in _maps(model, some, names).items():
            zeros[name].append(sparsity(maps))
    each = {name: torch.cat(parts) for name, parts in zeros.items()}
    return {n: (z.mean().item(), (z == 1).float().mean().item()) for n, z in each.items()}


def brightness(pixels: Tensor, height: int, width: int) -> Tensor:
    """How bright a photo is, averaged over the cells of a map: (N,h,w) in 0-1.

    Args:
        pixels: (N,3,H,W) in 0-1.
        height, width: of the map.
    """
    grey = pixels.mean(1, keepdim=True)
    return nnf.interpolate(grey, size=(height, width), mode="area")[:, 0]


def linear_readout(maps: Tensor, targets: Tensor, ridge: float = 0.03) -> Tensor:
    """The weights with which the channels at a place best tell a number at that place.

    Least squares over all places of all images, with a small penalty on large weights:
    min_w  mean (w . A + b - t)^2 + ridge * |w|^2,  A in units of each channel's spread.

    Args:
        maps: feature maps A (N,K,h,w).
        targets: t (N,h,w), e.g. of `brightness`.
        ridge: weight of the penalty.

    Returns:
        (K+1,): a weight for each channel and, last, the constant b; for `read`.

    Raises:
        ValueError: targets of another size than the maps.

    Reference: Alain & Bengio, "Understanding intermediate layers using linear classifier probes",
    2016.
    """
    if targets.shape != (len(maps), *maps.shape[2:]):
        raise ValueError(f"targets: {tuple(targets.shape)} for maps of {tuple(maps.shape)}")
    A, t = maps.movedim(1, -1).flatten(0, 2).double(), targets.flatten().double()
    centre, spread = A.mean(0), A.std(0, correction=0) + 1e-6
    A = (A - centre) / spread
    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1], device=A.device, dtype=A.dtype)
    w = torch.linalg.solve(gram, A.T @ (t - t.mean()) / len(A)) / spread
    return torch.cat([w, (t.mean() - w @ centre)[None]]).to(maps.dtype)


def read(maps: Tensor, weights: Tensor) -> Tensor:
    """What the weights of `linear_readout` say about other images: (N,h,w)."""
    return torch.einsum("nkhw,k->nhw", maps, weights[:-1]) + weights[-1]


def explained(predicted: Tensor, targets: Tensor) -> float:
    """The share of the targets' variance that a prediction accounts for (R^2): 1 is all."""
    return 1 - ((predicted - targets) ** 2).mean().item() / targets.var(correction=0).item()


def layout(model: Network, pixels: Tensor, names: Sequence[str]) -> dict[str, tuple[float, Tensor]]:
    """How well a photo's brightness can be read off each layer, place by place.

    Every other photo fits the readout, the others test it.

    Args:
        model: a network of the zoo.
        pixels: (N,3,S,S) in 0-1, N at least 4.
        names: layers.

    Returns:
        layer -> (share of the variance explained on photos 1, 3, ..., what was read (N/2,h,w), on
        the CPU).

    Raises:
        ValueError: fewer than four photos; otherwise as `sparsity_by_depth`.
    """
    if len(pixels) < 4:
        raise ValueError(f"pixels: {len(pixels)} photos; accepted: 4 or more")
    parts = [_maps(model, model.normalize(some), names) for some in pixels.split(CHUNK)]
    found = {}
    for name in names:
        maps = torch.cat([part[name] for part in parts])
        targets = brightness(pixels, *maps.shape[2:]).to(maps.device)
        drawn = read(maps[1::2], linear_readout(maps[::2], targets[::2]))
        found[name] = explained(drawn, targets[1::2]), drawn.cpu()
    return found


def strongest_place(maps: Tensor, height: int, width: int) -> Tensor:
    """The pixel in the middle of the cell where each map is largest.

    Args:
        maps: (N,h,w).
        height, width: of the photo.

    Returns:
        (N,2): row and column; NaN for a map that is the same everywhere.
    """
    n, h, w = maps.shape
    flat = maps.flatten(1)
    where = flat.argmax(1)
    rows, columns = (where // w + 0.5) * height / h, (where % w + 0.5) * width / w
    places = torch.stack([rows, columns], 1)
    places[flat.amax(1) == flat.amin(1)] = torch.nan
    return places


def _maps(model: nn.Module, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """The feature maps of several layers, from one pass."""
    with torch.no_grad(), layers.capture(model, *names) as seen:
        model(x)
    for name in names:
        if seen[name].ndim != 4:
            raise ValueError(f"names: {name!r} gives {tuple(seen[name].shape)}, not (N,K,h,w)")
    return dict(seen)


def _check(maps: Tensor) -> None:
    if maps.ndim != 4 or maps.numel() == 0:
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: (N,K,h,w), none of them 0")
    if not torch.isfinite(maps).all():
        raise ValueError("maps: they have values that are not finite (NaN or infinity)")
