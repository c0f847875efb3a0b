"""Lecture 01: the first layer's filters as pictures, as templates, and as something one can learn.

A filter is a tensor (C,k,k), RGB where C is 3; a bank of filters is (N,C,k,k).
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torchvision
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils import images, layers, models

WHITE, GREY = 1.0, 0.5


def filters_of(model: nn.Module, layer: str | nn.Module | None = None) -> Tensor:
    """A copy of the weights of a convolution.

    Args:
        model: a network.
        layer: a name as `layers.find` accepts it, of a convolution; the first one by default.

    Returns:
        (N,C,k,k): N filters on C channels. RGB for the first layer of the zoo's networks, in the
        units of *normalised* pixels. Biases, and a batch normalisation that follows, are left out.

    Raises:
        ValueError: no such layer, or no convolution.
    """
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    if layer is None and not convolutions:
        raise ValueError(f"model: {type(model).__name__} has no convolution, so no filters")
    module = convolutions[0] if layer is None else layers.find(model, layer)
    if not isinstance(module, nn.Conv2d):
        raise ValueError(f"layer={layer!r} is a {type(module).__name__}; accepted: a convolution")
    return module.weight.detach().clone(memory_format=torch.contiguous_format)


def larger_first_layers(
    names: Sequence[str] = ("alexnet", "resnet18"), download: bool = False
) -> tuple[dict[str, Tensor], list[str]]:
    """The first layers of torchvision's networks, as far as their weights are at hand.

    Args:
        names: of networks as `models.load` accepts them.
        download: whether weights may be fetched that are not in torch's cache.

    Returns:
        name -> (N,3,k,k), and one line for each network that could not be had.

    Raises:
        ValueError: unknown name.
    """
    found, missing = {}, []
    for name in names:
        if name not in models.OFFLINE and not download and not _cached(name):
            missing.append(
                f"{name}: not on this computer; download=True fetches {_megabytes(name)}"
            )
            continue
        try:
            found[name] = filters_of(models.load(name, "cpu"))
        except ConnectionError:
            missing.append(f"{name}: the download failed, so it is not shown")
    return found, missing


def _cached(name: str) -> bool:
    url = _weights(name).url
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).exists()


def _megabytes(name: str) -> str:
    return f"{_weights(name).meta['_file_size']:.0f} MB"


def _weights(name: str) -> torchvision.models.WeightsEnum:
    try:
        return torchvision.models.get_model_weights(name).DEFAULT
    except ValueError:
        models.load(name)  # says which names there are
        raise


# ------------------------------------------------------------------ filters as pictures


def tile_filters(filters: Tensor, columns: int) -> Tensor:
    """Filters as one picture, each rescaled on its own: p = 1/2 + w / (2 max|w|).

    Zero becomes mid-grey; the weight of the largest size becomes 0 or 1. A filter of zeros is grey.
    One white pixel lies between neighbours; places without a filter are white.

    Args:
        filters: (N,C,k,k), C = 3 or 1.
        columns: filters in a row; filled from left to right, then downwards.

    Returns:
        (C, rows * (k+1) - 1, columns * (k+1) - 1) in 0-1.

    Raises:
        ValueError: no filters, values that are not finite, or no column.
    """
    _check_bank(filters)
    if columns < 1:
        raise ValueError(f"columns={columns}; accepted: 1 or more")
    largest = filters.abs().amax((1, 2, 3), keepdim=True)
    tiles = GREY + filters / (2 * torch.where(largest > 0, largest, 1))
    rows = -(-len(tiles) // columns)
    framed = F.pad(tiles, (0, 1, 0, 1), value=WHITE)  # a white line on the right and below
    n, c, h, w = framed.shape
    grid = framed.new_full((rows * columns, c, h, w), WHITE)
    grid[:n] = framed
    grid = grid.view(rows, columns, c, h, w).permute(2, 0, 3, 1, 4)
    return grid.reshape(c, rows * h, columns * w)[:, :-1, :-1]


def slices(filters: Tensor) -> Tensor:
    """Filters on C channels as N groups of C grey tiles, each *group* rescaled on its own.

    Args:
        filters: (N,C,k,k).

    Returns:
        (1, N * (k+1) - 1, C * (k+1) - 1) in 0-1: a row for each filter, a column for each of the
        channels it reads. The tiles of a row share a scale, so that a faint one is a weak one.
    """
    _check_bank(filters)
    largest = filters.abs().amax((1, 2, 3), keepdim=True)
    tiles = GREY + filters / (2 * torch.where(largest > 0, largest, 1))
    n, c, h, w = tiles.shape
    framed = F.pad(tiles, (0, 1, 0, 1), value=WHITE)
    return framed.permute(0, 2, 1, 3).reshape(1, n * (h + 1), c * (w + 1))[:, :-1, :-1]


def enlarged(picture: Tensor, times: int) -> Tensor:
    """A picture (C,H,W) with every pixel as a square of `times` x `times` pixels: no blur."""
    if times < 1:
        raise ValueError(f"times={times}; accepted: 1 or more")
    return picture.repeat_interleave(times, -1).repeat_interleave(times, -2)


def _check_bank(filters: Tensor, channels: int | None = None) -> None:
    want = f"(N,{channels or 'C'},k,k)"
    wrong = filters.ndim != 4 or not filters.numel()
    if wrong or (channels is not None and filters.shape[1] != channels):
        raise ValueError(f"filters: shape {tuple(filters.shape)}; accepted: {want}, N at least 1")
    if not torch.isfinite(filters).all():
        raise ValueError("filters: they have values that are not finite (NaN or infinity)")


# ------------------------------------------------------------------ filters as templates


def response_map(image: Tensor, template: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """How well a template fits everywhere: R_ij = sum_cuv w_cuv x_c,(i s + u - p),(j s + v - p).

    A cross-correlation, as a convolution layer computes it before its bias; x is 0 outside the
    image.

    Args:
        image: x, (C,H,W).
        template: w, (C,k,l).
        stride: s, pixels from one place to the next.
        padding: p, rows and columns of zeros around the image.

    Returns:
        (h,w), h = floor((H + 2p - k) / s) + 1, positive where the image looks like the template and
        negative where it looks like its negative.

    Raises:
        ValueError: channels that differ, a template larger than the padded image, a stride under 1,
            or a negative padding.
    """
    if image.ndim != 3 or template.ndim != 3 or len(image) != len(template):
        shapes = f"{tuple(image.shape)} and {tuple(template.shape)}"
        raise ValueError(f"image, template: shapes {shapes}; accepted: (C,H,W) and (C,k,l), same C")
    if stride < 1 or padding < 0:
        raise ValueError(f"stride={stride}, padding={padding}; accepted: 1 or more, 0 or more")
    room = [n + 2 * padding - k for n, k in zip(image.shape[1:], template.shape[1:], strict=True)]
    if min(room) < 0:
        size, shape = tuple(template.shape[1:]), tuple(image.shape[1:])
        raise ValueError(f"template: {size} does not fit into {shape} with padding {padding}")
    image, template = image.detach(), template.detach().to(image)
    return F.conv2d(image[None], template[None], stride=stride, padding=padding)[0, 0]


def best_match(image: Tensor, template: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels of an image that a template fits best, and those that fit its negative best.

    Args:
        image: (C,H,W), as the network sees it.
        template: (C,k,l).

    Returns:
        Two crops (C,k,l) of `image`.
    """
    found = response_map(image, template)
    crops = []
    for place in (found.argmax(), found.argmin()):
        row, column = divmod(place.item(), found.shape[1])
        height, width = template.shape[1:]
        crops.append(image[:, row : row + height, column : column + width])
    return crops[0], crops[1]


# ------------------------------------------------------------------ filters compared


def similarity(filters: Tensor) -> Tensor:
    """The cosine of every two filters: <w_i, w_j> / (|w_i| |w_j|); 0 for a filter of zeros.

    Args:
        filters: (N,C,k,k).

    Returns:
        (N,N) in -1 to 1: 1 for the same template, -1 for its negative.
    """
    _check_bank(filters)
    flat = filters.flatten(1)
    norm = flat.norm(dim=1, keepdim=True)
    unit = flat / torch.where(norm > 0, norm, 1)
    return (unit @ unit.T).clamp(-1, 1)


def similar_order(cosines: Tensor) -> list[int]:
    """An order of filters in which similar ones are neighbours: leaves of a clustering tree.

    Args:
        cosines: (N,N) from `similarity`.

    Raises:
        ValueError: not a square matrix.

    Reference: Bar-Joseph, Gifford & Jaakkola, "Fast optimal leaf ordering", 2001.
    """
    _check_cosines(cosines)
    if len(cosines) < 3:
        return list(range(len(cosines)))
    distance = (1 - cosines.double().cpu().numpy()).clip(0)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return leaves_list(tree).tolist()


def nearest_pairs(cosines: Tensor, k: int, opposite: bool = False) -> list[tuple[int, int, float]]:
    """The k most similar pairs of different filters, the most similar first.

    Args:
        cosines: (N,N) from `similarity`.
        k: pairs, at most N (N-1) / 2.
        opposite: the most negative cosines instead: a template and its negative.

    Returns:
        (i, j, cosine) with i < j.

    Raises:
        ValueError: not a square matrix, or not that many pairs.
    """
    _check_cosines(cosines)
    i, j = torch.triu_indices(len(cosines), len(cosines), 1, device="cpu")
    if not 1 <= k <= len(i):
        raise ValueError(f"k={k}; accepted: 1 to {len(i)}, the pairs of {len(cosines)} filters")
    values = cosines.cpu()[i, j]
    best = values.topk(k, largest=not opposite).indices.tolist()
    return [(i[b].item(), j[b].item(), values[b].item()) for b in best]


def _check_cosines(cosines: Tensor) -> None:
    if cosines.ndim != 2 or cosines.shape[0] != cosines.shape[1] or not len(cosines):
        raise ValueError(f"cosines: shape {tuple(cosines.shape)}; accepted: (N,N), N at least 1")


# ------------------------------------------------------------------ edges and colours, measured


def colour_opponency(filters: Tensor) -> Tensor:
    """The share of a filter that grey pictures do not see: o = 1 - 3 |mean_c w|^2 / |w|^2.

    Args:
        filters: (N,3,k,k).

    Returns:
        (N,): 0 for a filter that treats the three colours alike, 1 for one whose colours cancel on
        every grey pixel, 2/3 on average for random weights; NaN for a filter of zeros.
    """
    _check_bank(filters, channels=3)
    grey = 3 * filters.mean(1).square().sum((1, 2))
    return (1 - grey / filters.square().sum((1, 2, 3))).clamp(0, 1)


def orientation_tuning(filters: Tensor, orientations: int = 24) -> Tensor:
    """The answer to gratings of every orientation, as one measures a nerve cell.

    A filter is shown sinusoidal gratings in its own main colour, of eight spacings from twice its
    width down to 2.5 pixels. Its answer is the amplitude over all shifts; the spacing with the
    largest answer is kept.

    Args:
        filters: (N,C,k,k).
        orientations: n, from 0 to just under 180 degrees; 0 has vertical stripes.

    Returns:
        (N,n), never negative.
    """
    _check_bank(filters)
    profile = _main_colour(filters.double())
    k = filters.shape[-1]
    axis = torch.arange(k, device=filters.device, dtype=torch.float64) - (k - 1) / 2
    angle = torch.arange(orientations, device=filters.device) * (torch.pi / orientations)
    spacing = torch.linspace(1 / (2 * k), 0.4, 8, device=filters.device, dtype=torch.float64)
    along = angle.cos()[:, None, None] * axis + angle.sin()[:, None, None] * axis[:, None]
    phase = 2 * torch.pi * spacing[:, None, None, None] * along
    wave = torch.complex(phase.cos(), phase.sin())  # (8, n, k, k): every shift at once
    answers = torch.einsum("nhw,fohw->nfo", profile.to(wave), wave).abs()
    best = answers.amax(2).argmax(1)
    return answers[torch.arange(len(answers)), best].to(filters.dtype)


def _main_colour(filters: Tensor) -> Tensor:
    """Each filter (C,k,k) as the k x k pattern of its strongest mixture of channels: (N,k,k)."""
    flat = filters.flatten(2)
    colour = torch.linalg.eigh(flat @ flat.transpose(1, 2)).eigenvectors[:, :, -1]
    return torch.einsum("nc,nchw->nhw", colour, filters)


def orientation_selectivity(filters: Tensor, orientations: int = 24) -> Tensor:
    """One minus the circular variance of the tuning: |sum_t A_t exp(2 i t)| / sum_t A_t.

    Args, as `orientation_tuning`.

    Returns:
        (N,): 0 for a filter that answers to all orientations alike, 1 for one that answers to a
        single one; NaN for a filter of zeros.

    Reference: Ringach, Shapley & Hawken, "Orientation Selectivity in Macaque V1", 2002.
    """
    tuning = orientation_tuning(filters, orientations)
    angle = torch.arange(orientations, device=filters.device) * (2 * torch.pi / orientations)
    vector = torch.stack([tuning @ angle.cos().to(tuning), tuning @ angle.sin().to(tuning)])
    return vector.norm(dim=0) / tuning.sum(1)


def random_filters(n: int, size: int, seed: int = 0) -> Tensor:
    """Filters (n,3,size,size) of normal random numbers, to see what no structure measures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, 3, size, size), generator=generator, device="cpu")


# ------------------------------------------------------------------ filters learned from photos


def photo_patches(
    pictures: Sequence[object], size: int = 11, n: int = 20_000, max_side: int = 160, seed: int = 0
) -> Tensor:
    """Small squares cut out of photos at random places, equally many from each.

    Args:
        pictures: images as `images.read` accepts them; those smaller than `size` are left out.
        size: side of a patch in pixels.
        n: patches, or a few more, to be the same for each photo.
        max_side: photos are shrunk to this longer side first.
        seed: of the places.

    Returns:
        (n,3,size,size) in 0-1.

    Raises:
        ValueError: no photo is as large as a patch.
    """
    photos = [images.read(picture, max_side) for picture in pictures]
    photos = [photo for photo in photos if min(photo.shape[1:]) >= size]
    if not photos or size < 1 or n < 1:
        raise ValueError(
            f"pictures: none of {len(pictures)} gives patches of {size} pixels (n={n})"
        )
    generator, each, found = torch.Generator().manual_seed(seed), -(-n // len(photos)), []
    for photo in photos:
        windows = photo.unfold(1, size, 1).unfold(2, size, 1)  # a view (3,h,w,size,size)
        places = torch.rand((2, each), generator=generator, device="cpu")
        row, column = (places * torch.tensor(windows.shape[1:3], device="cpu")[:, None]).long()
        found.append(windows[:, row, column].movedim(0, 1))
    return torch.cat(found)


def whiten(patches: Tensor, components: int = 56) -> tuple[Tensor, Tensor]:
    """Patches of equal contrast, in coordinates that are uncorrelated and of variance one.

    Of each patch its mean is taken away and its contrast divided out; flat ones are left out. Then
    only the `components` widest principal axes are kept, which drops the finest detail and noise.

    Args:
        patches: (n,3,k,k) in 0-1.
        components: at most 3 k k.

    Returns:
        The coordinates (m,components), m <= n, and the axes (components,3,k,k), of length one;
        fewer where the patches do not vary along so many.

    Raises:
        ValueError: fewer patches that are not flat than components.
    """
    flat = patches.flatten(1).double()
    flat = flat - flat.mean(1, keepdim=True)
    contrast = flat.std(1, keepdim=True)
    flat = (flat / (contrast.square() + 0.01).sqrt())[contrast[:, 0] > 0.02]
    if not 1 <= components <= min(flat.shape[1], len(flat) - 1):
        raise ValueError(
            f"components={components}; accepted: 1 to {min(flat.shape[1], len(flat) - 1)} for "
            f"{len(flat)} patches that are not flat, of {flat.shape[1]} numbers each"
        )
    variance, axes = torch.linalg.eigh(torch.cov(flat.T))
    wide = variance.flip(0)[:components] > 1e-9 * variance[-1]  # grey photos have fewer axes
    variance, axes = variance.flip(0)[:components][wide], axes.flip(1)[:, :components][:, wide]
    coordinates = (flat - flat.mean(0)) @ axes / variance.sqrt()
    return coordinates.float(), axes.T.reshape(-1, *patches.shape[1:]).float()


def learn_filters(
    patches: Tensor, atoms: int = 64, sparsity: float = 2.0, seed: int = 0, rounds: int = 2
) -> Tensor:
    """Templates such that a few of them, added up, give any patch: sparse dictionary learning.

    min over D, a of sum_i 1/2 |z_i - a_i D|^2 + sparsity |a_i|_1, for whitened patches z_i.

    Args:
        patches: (n,3,k,k) in 0-1, from `photo_patches`.
        atoms: filters to learn.
        sparsity: of the codes a; larger means fewer templates for each patch.
        seed: of the start and the order of the patches.
        rounds: passes over the patches.

    Returns:
        (atoms,3,k,k), the most used first.

    Raises:
        ValueError: as `whiten`.

    References: Olshausen & Field, Nature 1996; Mairal et al., "Online Dictionary Learning for
    Sparse Coding", 2009.
    """
    z, axes = whiten(patches, min(56, patches[0].numel()))
    model = MiniBatchDictionaryLearning(
        atoms,
        alpha=sparsity,
        max_iter=rounds,
        batch_size=128,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        transform_alpha=sparsity,
        transform_max_iter=20,  # the last digits of a code do not matter, and cost half the time
        random_state=seed,
        tol=0,
        max_no_improvement=None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(z.numpy())
        used = np.abs(model.transform(z[:1000].numpy())).sum(0)
    dictionary = torch.from_numpy(model.components_[np.argsort(-used)]).float()
    return torch.einsum("ap,pchw->achw", dictionary, axes)


def scrambled(picture: object, max_side: int = 160, seed: int = 0) -> Tensor:
    """A photo with its spectrum but without its edges: every spatial frequency shifted at random.

    All colours of a frequency move together, so the correlations of neighbouring pixels and of
    colours stay what they were; edges are what aligned frequencies make.

    Returns:
        (3,H,W), values mostly in 0-1, clipped there.
    """
    pixels = images.read(picture, max_side)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.fft.rfft2(torch.randn(pixels.shape[1:], generator=generator, device="cpu"))
    phase = noise / noise.abs().clamp(min=1e-12)
    phase[0, 0] = 1
    return torch.fft.irfft2(torch.fft.rfft2(pixels) * phase, s=pixels.shape[1:]).clamp(0, 1)
