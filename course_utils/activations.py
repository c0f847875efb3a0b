"""Lecture 02: what the feature maps of a layer look like, and how much of the photo they keep.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014; Yosinski et al.,
"Understanding Neural Networks Through Deep Visualization", ICML workshop 2015.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils import layers
from course_utils.common import gate, paths
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
    for some in gate.check_shape(x).split(CHUNK):
        with torch.no_grad():
            seen = layers.maps(model, some, *names)
        for name, maps in seen.items():
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


def relative_brightness(pixels: Tensor, height: int, width: int) -> Tensor:
    """How much brighter than the whole photo each cell of a map is: (N,h,w), of mean 0.

    The whole photo's brightness says nothing about where things are, and a deep layer may know it
    without knowing any place.
    """
    cells = brightness(pixels, height, width)
    return cells - cells.mean((1, 2), keepdim=True)


@dataclass(frozen=True)
class Moments:
    """Sums over places, from which a linear readout and its errors follow without the maps.

    With z = (A_1, ..., A_K, 1, t) at a place: the sum of z z^T over all places, (K+2,K+2).
    """

    sums: Tensor

    @classmethod
    def of(cls, maps: Tensor, targets: Tensor) -> "Moments":
        """Of feature maps (N,K,h,w) and a number (N,h,w) at each place.

        Raises:
            ValueError: targets of another size than the maps.
        """
        if targets.shape != (len(maps), *maps.shape[2:]):
            raise ValueError(f"targets: {tuple(targets.shape)} for maps of {tuple(maps.shape)}")
        A, t = maps.movedim(1, -1).flatten(0, 2), targets.to(maps).flatten()[:, None]
        z = torch.cat([A, torch.ones_like(t), t], 1)
        return cls((z.T @ z).double())

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.sums + other.sums)

    def readout(self, ridge: float = 0.03) -> Tensor:
        """The weights of `linear_readout`, (K+1,)."""
        S, n = self.sums, self.sums[-2, -2]
        mean, t = S[:-2, -2] / n, S[-1, -2] / n
        gram = S[:-2, :-2] / n - torch.outer(mean, mean)
        spread = gram.diagonal().clamp(min=0).sqrt() + 1e-6
        gram = gram / torch.outer(spread, spread)
        gram = gram + ridge * torch.eye(len(mean), device=S.device, dtype=S.dtype)
        w = torch.linalg.solve(gram, (S[:-2, -1] / n - mean * t) / spread) / spread
        return torch.cat([w, (t - w @ mean)[None]])

    def explained(self, weights: Tensor) -> float:
        """The share of the variance of t that w . A + b accounts for at these places."""
        S, n = self.sums, self.sums[-2, -2]
        error = torch.cat([weights.to(S), -S.new_ones(1)])
        variance = S[-1, -1] / n - (S[-1, -2] / n) ** 2
        return 1 - (error @ S @ error / n / variance).item()


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
    return Moments.of(maps.double(), targets).readout(ridge).to(maps.dtype)


def read(maps: Tensor, weights: Tensor) -> Tensor:
    """What the weights of `linear_readout` say about other images: (N,h,w)."""
    return torch.einsum("nkhw,k->nhw", maps, weights[:-1]) + weights[-1]


def explained(predicted: Tensor, targets: Tensor) -> float:
    """The share of the targets' variance that a prediction accounts for (R^2): 1 is all."""
    targets = targets.to(predicted)
    return 1 - ((predicted - targets) ** 2).mean().item() / targets.var(correction=0).item()


class Layout(NamedTuple):
    """How well the layout of photos can be read off a layer.

    Attributes:
        train, test: share of the variance explained, on the photos that fitted and on the others.
        weights: of the readout (K+1,), for `read`.
    """

    train: float
    test: float
    weights: Tensor


def layout(
    model: Network, pixels: Tensor, names: Sequence[str], progress: str | None = None
) -> dict[str, Layout]:
    """How well each layer knows, place by place, what is brighter than the photo's mean.

    From how much more than its own mean over the photo each channel fires there. Every other photo
    fits the readout (0, 2, ...), the others test it. One pass of the network over the photos: only
    sums are kept, never all maps.

    Args:
        model: a network of the zoo.
        pixels: (N,3,S,S) in 0-1, N at least 4.
        names: layers.
        progress: a caption; shows a progress bar.

    Returns:
        layer -> `Layout`; its weights lie on the network's device.

    Raises:
        ValueError: fewer than four photos; otherwise as `sparsity_by_depth`.
    """
    if len(pixels) < 4:
        raise ValueError(f"pixels: {len(pixels)} photos; accepted: 4 or more")
    sums: dict[str, list[Moments]] = {}
    for some in tqdm(pixels.split(CHUNK), desc=progress, disable=progress is None):
        with torch.no_grad():
            seen = layers.maps(model, gate.normalised(model, some), *names)
        for name, maps in seen.items():
            targets = relative_brightness(some, *maps.shape[2:])
            maps = maps - maps.mean((2, 3), keepdim=True)
            new = [Moments.of(maps[i::2], targets[i::2]) for i in (0, 1)]
            old = sums.get(name)
            sums[name] = new if old is None else [a + b for a, b in zip(old, new, strict=True)]
    found = {}
    for name, (fit, test) in sums.items():
        weights = fit.readout()
        found[name] = Layout(fit.explained(weights), test.explained(weights), weights.float())
    return found


def parts() -> dict[str, dict[str, tuple[int, int, int, int]]]:
    """Boxes around parts of things, marked by hand for lecture 02: part -> photo -> box.

    A box is (top, left, bottom, right) in pixels of the photo's centre crop of 224, bottom and
    right excluded.
    """
    marked = paths.stored("parts.json")["parts"]
    return {part: {p: tuple(box) for p, box in some.items()} for part, some in marked.items()}


def hit_rates(maps: Tensor, boxes: Mapping[str, tuple[int, int, int, int]], side: int) -> Tensor:
    """For each channel the share of photos whose strongest unit lies in the photo's box.

    A unit lies where the middle of its cell lies. A map that is the same everywhere has none.

    Args:
        maps: feature maps (N,K,h,w) of square photos.
        boxes: a box for each of the photos, in their order, as `parts` has them.
        side: of the photos in pixels.

    Returns:
        (K,) in 0-1. What the average channel reaches is what a name has to beat.

    Raises:
        ValueError: not a box for each photo; otherwise as `sparsity`.
    """
    _check(maps)
    if len(boxes) != len(maps):
        raise ValueError(f"boxes: {len(boxes)} for {len(maps)} photos")
    places = strongest_place(maps.flatten(0, 1), side, side).view(*maps.shape[:2], 2)
    corners = torch.tensor(list(boxes.values()), device=maps.device)[:, None]
    inside = (places >= corners[..., :2]) & (places < corners[..., 2:])
    return inside.all(2).float().mean(0)


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


def _check(maps: Tensor) -> None:
    if maps.ndim != 4 or maps.numel() == 0:
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: (N,K,h,w), none of them 0")
    if not torch.isfinite(maps).all():
        raise ValueError("maps: they have values that are not finite (NaN or infinity)")
