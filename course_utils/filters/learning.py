"""Filters learned from photos alone."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from course_utils import images


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
    from sklearn.decomposition import (
        MiniBatchDictionaryLearning,  # most lectures need none of it, and it takes half a second
    )
    from sklearn.exceptions import ConvergenceWarning

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
