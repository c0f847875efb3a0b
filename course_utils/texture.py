"""Lecture 14: textures made anew from a sample.

Four ways: pixel by pixel, patch by patch, by the statistics of linear filters, and by the Gram
matrices of a network's feature maps. Samples and results are pixels (3,H,W) in 0-1.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from course_utils import images, layers
from course_utils.errors import unknown
from course_utils.models import Network
from course_utils.optimise import Fourier, Parameterisation, Result, lbfgs, optimise

# ------------------------------------------------------------------ Gram matrices


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
    return columns @ columns.mT / columns.shape[2]


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
    return {name: seen[name] for name in names}


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
        layer -> (N,C,C); of the smaller copies "layer / 2", "layer / 4" ...

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
        maps = features(model, model.normalize(small), names)
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
        steps: of L-BFGS with a line search, about two evaluations each.
        statistic, octaves: what is compared, as for `describe`.
        weights: of the matrices of `describe`; `balanced` by default.
        start: what is varied, instead of a random spectrum: pixels (1,3,H,W) in 0-1, or a
            parameterisation.
        seed: of the random spectrum.
        decay: of that spectrum, as for `optimise.Fourier`. With VGG, and in results much larger
            than the sample, the lowest frequencies run away unless it is about 0.5.
        keep, progress: as for `optimise`.

    Returns:
        A `Result` whose images are (1,3,H,W) in 0-1.

    Reference: Gatys, Ecker & Bethge, "Texture Synthesis Using Convolutional Neural Networks", 2015.
    """
    names = list(names)
    with torch.no_grad():
        targets = describe(model, sample[None].to(model.device), names, statistic, octaves)
    weights = _weights(targets, targets, balanced(targets) if weights is None else weights)
    if start is None:
        start = Fourier((1, *_pair(size)), 0.1, seed, decay, model.device)

    def loss(x: Tensor) -> Tensor:
        found = describe(model, x, names, statistic, octaves)
        return sum(w * layer_loss(found[k], targets[k]) for k, w in weights.items())

    rule = lbfgs(line_search=True)
    return optimise(loss, start, steps, rule=rule, keep=keep, progress=progress)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, checked."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size={size}; accepted: one number or (height, width), 1 or more")
    return height, width


# ------------------------------------------------------------------ copying pixels and patches


@dataclass(frozen=True)
class Copy:
    """A texture that is put together from pixels of the sample.

    Attributes:
        pixels: (3,H,W) in 0-1.
        source: (2,H,W) int64: row and column in the sample that each pixel was taken from.
    """

    pixels: Tensor
    source: Tensor


def by_pixels(
    sample: Tensor,
    size: int | tuple[int, int],
    window: int = 11,
    tolerance: float = 0.1,
    seed: int = 0,
    progress: str | None = "pixels",
) -> Copy:
    """Each pixel is that of the sample whose neighbourhood is most like the one painted so far.

    The neighbourhood is what a scan line has reached: the rows above, and the left part of its own.
    It is compared by the sum of squared differences, weighted by a Gaussian; what lies outside the
    picture does not count.

    Args:
        sample: pixels (3,h,w) in 0-1, at least as large as the window.
        size: of the result, one number or (H,W).
        window: side of the neighbourhood, odd, at least 3.
        tolerance: the pixel is drawn from those whose distance is at most (1 + tolerance) times
            the least; 0 takes the nearest neighbour.
        seed: of the draws.
        progress: caption of the bar, which appears after two seconds; None for no bar.

    Raises:
        ValueError: an argument outside its range.

    References: Efros & Leung, "Texture Synthesis by Non-parametric Sampling", ICCV 1999; the scan
        line after Wei & Levoy, SIGGRAPH 2000.
    """
    (height, width), random = _pair(size), torch.Generator().manual_seed(seed)
    _check_copy(sample, window, tolerance)
    if window % 2 == 0 or window < 3:
        raise ValueError(f"window={window}; accepted: an odd number, 3 or more")
    reach, before = window // 2, window * (window // 2) + window // 2
    patches = functional.unfold(sample[None].cpu(), window)[0].T.unflatten(1, (3, window**2))
    seen, columns = patches[:, :, :before].flatten(1), sample.shape[2] - window + 1
    painted = torch.zeros(4, height + reach, width + 2 * reach, device="cpu")  # RGB, and where
    source = torch.zeros(2, height, width, dtype=torch.long, device="cpu")
    bell = _bell(window)[:before]
    for y in tqdm(range(height), progress, disable=progress is None, leave=False, delay=2):
        for x in range(width):
            around = painted[:, y : y + reach + 1, x : x + window].flatten(1)[:, :before]
            weight = (bell * around[3]).repeat(3)
            distance = (seen - around[:3].flatten()).square() @ weight
            i = _draw(distance, tolerance, random)
            painted[:3, y + reach, x + reach] = patches[i, :, before]
            painted[3, y + reach, x + reach] = 1
            source[0, y, x], source[1, y, x] = i // columns + reach, i % columns + reach
    return Copy(painted[:3, reach:, reach:-reach].clone(), source)


def _bell(window: int) -> Tensor:
    """Gaussian weights of a square window, (window^2,), with the paper's width window / 6.4."""
    axis = torch.arange(window, device="cpu") - window // 2
    one = torch.exp(-(axis**2) / (2 * (window / 6.4) ** 2))
    return (one[:, None] * one).flatten()


def _draw(distance: Tensor, tolerance: float, random: torch.Generator) -> int:
    """One of the places whose distance is at most (1 + tolerance) times the least."""
    near = (distance <= (1 + tolerance) * distance.min() + 1e-6).nonzero()[:, 0]
    return int(near[torch.randint(len(near), (1,), generator=random, device="cpu")])


def _check_copy(sample: Tensor, side: int, tolerance: float) -> None:
    if sample.ndim != 3 or len(sample) != 3 or min(sample.shape[1:]) < side:
        raise ValueError(
            f"sample: shape {tuple(sample.shape)}; accepted: (3,h,w), at least {side} x {side}, "
            "the size of what is copied or compared"
        )
    if tolerance < 0:
        raise ValueError(f"tolerance={tolerance}; accepted: 0 or more")


def quilt(
    sample: Tensor,
    size: int | tuple[int, int],
    block: int = 32,
    overlap: int | None = None,
    tolerance: float = 0.1,
    *,
    matched: bool = True,
    cut: bool = True,
    seed: int = 0,
) -> Copy:
    """Square patches of the sample that overlap, cut along the seam where they differ least.

    Args:
        sample: pixels (3,h,w) in 0-1, at least as large as a patch.
        size: of the result, one number or (H,W).
        block: side of a patch.
        overlap: rows and columns that neighbours share; a sixth of `block` by default.
        tolerance: the patch is drawn from those whose distance in the overlap is at most
            (1 + tolerance) times the least.
        matched: False takes any patch.
        cut: False lays each patch over its neighbours with straight borders.
        seed: of the draws.

    Raises:
        ValueError: an argument outside its range.

    Reference: Efros & Freeman, "Image Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001.
    """
    (height, width), random = _pair(size), torch.Generator().manual_seed(seed)
    _check_copy(sample, block, tolerance)
    overlap = max(1, block // 6) if overlap is None else overlap
    if not 1 <= overlap <= block // 2:
        raise ValueError(f"overlap={overlap}; accepted: from 1 to half of block={block}")
    step = block - overlap
    down, across = (math.ceil(max(1, n - overlap) / step) for n in (height, width))
    # Five channels travel together: RGB, and where in the sample a pixel comes from.
    places = torch.stack(torch.meshgrid(*map(_range, sample.shape[1:]), indexing="ij"))
    sheet = torch.cat([sample.cpu().float(), places])
    made = torch.zeros(5, down * step + overlap, across * step + overlap, device="cpu")
    for i in range(down):
        for j in range(across):
            old = made[:, i * step : i * step + block, j * step : j * step + block]
            shared = _shared(block, overlap * (i > 0), overlap * (j > 0))
            distance = _distances(sheet[:3], old[:3], shared if matched else 0 * shared)
            at = _draw(distance.flatten(), tolerance, random)
            y, x = divmod(at, distance.shape[1])
            new = sheet[:, y : y + block, x : x + block]
            error = (new[:3] - old[:3]).square().sum(0)
            take = _cut(error, overlap * (i > 0), overlap * (j > 0)) if cut else shared < 2
            old.copy_(torch.where(take, new, old))
    made = made[:, :height, :width]
    return Copy(made[:3].clone(), made[3:].long())


def _range(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float, device="cpu")


def _shared(block: int, rows: int, columns: int) -> Tensor:
    """1 where a patch (block,block) lies over its upper and left neighbours, else 0."""
    shared = torch.zeros(block, block, device="cpu")
    shared[:rows], shared[:, :columns] = 1, 1
    return shared


def _distances(sample: Tensor, old: Tensor, shared: Tensor) -> Tensor:
    """The sum of squared differences between `old` and each patch of the sample, where shared.

    (p - q)^2 = p^2 - 2 p q + q^2, and the first two sums over all places are convolutions.
    """
    squares = functional.conv2d(sample.square().sum(0)[None, None], shared[None, None])
    products = functional.conv2d(sample[None], (old * shared)[None])
    return (squares - 2 * products + (old.square() * shared).sum()).clamp(min=0)[0, 0]


def _cut(error: Tensor, rows: int, columns: int) -> Tensor:
    """Where a new patch is taken, (block,block) bool: right of one seam and below the other."""
    take = torch.ones_like(error, dtype=torch.bool)
    place = torch.arange(len(error), device=error.device)
    if columns:
        take &= place >= least_cost_seam(error[:, :columns])[:, None]
    if rows:
        take &= place[:, None] >= least_cost_seam(error[:rows].T)
    return take


def least_cost_seam(error: Tensor) -> Tensor:
    """The path from the first row to the last that meets the least error, by dynamic programming.

        E_ij = e_ij + min(E_i-1,j-1, E_i-1,j, E_i-1,j+1)

    Args:
        error: (H,W), never negative.

    Returns:
        The column in each row, (H,) int64; from row to row it moves by one at most.
    """
    cost = error.clone()
    for i in range(1, len(cost)):
        above = functional.pad(cost[i - 1], (1, 1), value=torch.inf)
        cost[i] += above.unfold(0, 3, 1).amin(1)
    path = [int(cost[-1].argmin())]
    for row in cost[:-1].flip(0):
        low = max(path[-1] - 1, 0)
        path.append(low + int(row[low : path[-1] + 2].argmin()))
    return torch.tensor(path[::-1], device=error.device)


def breaks(source: Tensor) -> Tensor:
    """Where a copied texture does not simply continue what stands left of it or above it.

    Args:
        source: (2,H,W), of a `Copy`.

    Returns:
        (H,W) bool: False inside pieces that stand in the sample just so.
    """
    one = torch.tensor([0, 1], device=source.device).view(2, 1, 1)
    right = (source[:, :, 1:] - source[:, :, :-1]) == one
    below = (source[:, 1:] - source[:, :-1]) == one.flip(0)
    broken = torch.zeros(source.shape[1:], dtype=torch.bool, device=source.device)
    broken[:, 1:] |= ~right.all(0)
    broken[1:] |= ~below.all(0)
    return broken


# ------------------------------------------------------------------ statistics of linear filters


def filter_bank(
    size: tuple[int, int], scales: int = 4, orientations: int = 4, device: object = "cpu"
) -> Tensor:
    """Oriented filters of several scales by their frequency responses: a steerable pyramid.

    One high-pass filter, `orientations` filters an octave lower at each scale, and one low-pass
    filter for what is left. sum |H|^2 = 1 at each frequency, so a picture is the sum of its
    responses, each filtered a second time: `from_responses`.

    Args:
        size: height and width of the pictures.
        scales, orientations: 1 or more each.
        device: where the filters are.

    Returns:
        (1 + scales * orientations + 1, H, W // 2 + 1), complex: what `torch.fft.rfft2` of a picture
        is multiplied by.

    References: Heeger & Bergen, "Pyramid-Based Texture Analysis/Synthesis", SIGGRAPH 1995;
        Simoncelli & Freeman, "The Steerable Pyramid", ICIP 1995.
    """
    if scales < 1 or orientations < 1:
        raise ValueError(f"scales={scales}, orientations={orientations}; accepted: 1 or more")
    down = torch.fft.fftfreq(size[0], device=device)[:, None]
    across = torch.fft.rfftfreq(size[1], device=device)
    octave = torch.log2((down**2 + across**2).sqrt().clamp(min=1e-6) / 0.5)
    angle = torch.atan2(down, across)

    def low(k: int) -> Tensor:  # falls from 1 to 0 between octaves -k-1 and -k, as a cosine
        return torch.cos(torch.pi / 2 * (octave + k + 1).clamp(0, 1))

    def high(k: int) -> Tensor:
        return torch.sin(torch.pi / 2 * (octave + k + 1).clamp(0, 1))

    power, turns = orientations - 1, torch.pi / orientations
    rays = [torch.cos(angle - turns * k) ** power for k in range(orientations)]
    rays = [1j**power * ray / _length(orientations) for ray in rays]
    rings = [low(k) * high(k + 1) for k in range(scales)]
    bands = [ring * ray for ring in rings for ray in rays]
    return torch.stack([high(0) + 0j, *bands, low(scales) + 0j])


def _length(orientations: int) -> float:
    """The root of sum_k cos(a - pi k / K)^(2K-2), the same for every angle a."""
    k = orientations
    return math.sqrt(k * math.comb(2 * k - 2, k - 1) / 4 ** (k - 1))


def responses(pixels: Tensor, bank: Tensor) -> Tensor:
    """What each filter answers: (...,H,W) -> (...,K,H,W). The picture is continued as tiles."""
    spectrum = torch.fft.rfft2(pixels)[..., None, :, :]
    return torch.fft.irfft2(spectrum * bank, s=pixels.shape[-2:])


def from_responses(answers: Tensor, bank: Tensor) -> Tensor:
    """The picture (...,H,W) that has these responses (...,K,H,W), or comes nearest."""
    spectrum = (torch.fft.rfft2(answers) * bank.conj()).sum(-3)
    return torch.fft.irfft2(spectrum, s=answers.shape[-2:])


def match_histogram(values: Tensor, like: Tensor) -> Tensor:
    """The values in their own order, but distributed like others.

    Args:
        values: (...,M).
        like: (...,L); where L is not M, its quantiles are interpolated.

    Returns:
        (...,M): the smallest value becomes the smallest of `like`, and so on.
    """
    wanted = like.sort(-1).values.reshape(-1, 1, like.shape[-1])
    if like.shape[-1] != values.shape[-1]:
        wanted = functional.interpolate(wanted, values.shape[-1], mode="linear", align_corners=True)
    return torch.empty_like(values).scatter_(-1, values.argsort(-1), wanted.reshape(values.shape))


def by_statistics(
    sample: Tensor,
    size: int | tuple[int, int],
    steps: int = 8,
    scales: int = 4,
    orientations: int = 4,
    seed: int = 0,
) -> Tensor:
    """White noise whose responses to a bank of linear filters get the sample's histograms.

    The colours are turned into three that vary independently, and each is treated on its own.

    Args:
        sample: pixels (3,h,w) in 0-1.
        size: of the result, one number or (H,W).
        steps: rounds of matching the histogram of every filter's responses, then of the pixels.
        scales, orientations: of the `filter_bank`.
        seed: of the noise.

    Returns:
        (3,H,W) in 0-1.

    Reference: Heeger & Bergen, "Pyramid-Based Texture Analysis/Synthesis", SIGGRAPH 1995.
    """
    (height, width), random = _pair(size), torch.Generator().manual_seed(seed)
    _check_copy(sample, 1, 0)
    middle = sample.mean((1, 2))[:, None]
    basis = torch.linalg.eigh(torch.cov(sample.flatten(1), correction=0)).eigenvectors
    apart = (basis.T @ (sample.flatten(1) - middle)).view_as(sample)
    banks = [
        filter_bank(n, scales, orientations, sample.device)
        for n in (tuple(sample.shape[1:]), (height, width))
    ]
    wanted = responses(apart, banks[0]).flatten(2)
    made = torch.randn((3, height, width), generator=random, device="cpu").to(sample)
    for _ in range(steps):
        made = match_histogram(made.flatten(1), apart.flatten(1)).view_as(made)
        answers = responses(made, banks[1])
        matched = match_histogram(answers.flatten(2), wanted).view_as(answers)
        made = from_responses(matched, banks[1])
    made = match_histogram(made.flatten(1), apart.flatten(1))
    return (basis @ made + middle).view(3, height, width).clamp(0, 1)


# ------------------------------------------------------------------ repetition


def autocorrelation(pixels: Tensor) -> Tensor:
    """How much a picture is like itself, shifted: 1 without a shift.

    Args:
        pixels: (C,H,W).

    Returns:
        (h,w): shifts of up to half the height down and half the width across, no shift in the
        middle [h // 2, w // 2]; only pixels that have a partner count.
    """
    height, width = pixels.shape[1:]
    centred = pixels - pixels.mean((1, 2), keepdim=True)
    pad = (2 * height, 2 * width)
    power = torch.fft.irfft2(torch.fft.rfft2(centred, s=pad).abs().square().sum(0), s=pad)
    ones = torch.fft.rfft2(torch.ones_like(centred[0]), s=pad).abs().square()
    partners = torch.fft.irfft2(ones, s=pad).clamp(min=0.5)
    similar = torch.fft.fftshift(power / partners)
    near = similar[height - height // 2 : height + height // 2 + 1]
    near = near[:, width - width // 2 : width + width // 2 + 1]
    return near / near[height // 2, width // 2].clamp(min=1e-12)


def repetition(pixels: Tensor, least: int) -> float:
    """The largest autocorrelation among shifts of `least` pixels or more, down or across."""
    similar = autocorrelation(pixels)
    middle = [n // 2 for n in similar.shape]
    if not 1 <= least <= max(middle):
        raise ValueError(f"least={least}; accepted: 1 to half the picture, {max(middle)}")
    far = similar.clone()
    rows = slice(max(0, middle[0] - least + 1), middle[0] + least)
    far[rows, max(0, middle[1] - least + 1) : middle[1] + least] = -torch.inf
    return far.max().item()


# ------------------------------------------------------------------ samples


@dataclass(frozen=True)
class Sample:
    """A square cut from one of the course's pictures.

    Attributes:
        kind: "painting" or "photo".
        name: the picture's.
        top, left, side: the square, in pixels of the picture.
    """

    kind: str
    name: str
    top: int
    left: int
    side: int

    @property
    def picture(self) -> images.Picture:
        """Where it is from, with its credit."""
        return images.painting(self.name) if self.kind == "painting" else images.photo(self.name)

    def pixels(self, side: int | None = None) -> Tensor:
        """(3,side,side) in 0-1; at true size by default."""
        whole = self.picture.pixels()
        cut = whole[:, self.top : self.top + self.side, self.left : self.left + self.side]
        return images.square(cut, side or self.side)


SAMPLES = {
    "leaves": Sample("painting", "painter_on_his_way_to_work", 350, 8, 128),
    "anemone": Sample("photo", "fish9", 106, 50, 128),
    "spines": Sample("photo", "hedgehog", 105, 140, 100),
    "stones": Sample("photo", "great_pyramid_of_giza", 165, 150, 128),
    "cobbles": Sample("painting", "cafe_terrace_at_night", 410, 275, 84),
    "squiggles": Sample("photo", "pillow", 95, 75, 72),
}
"""Samples that the lecture uses, by name."""
