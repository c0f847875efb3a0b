"""Filters compared with each other, and measured: edges and colours."""

import numpy as np
import scipy
import torch
from torch import Tensor

from course_utils.filters.banks import check_bank

# ------------------------------------------------------------------ filters compared


def similarity(filters: Tensor) -> Tensor:
    """The cosine of every two filters: <w_i, w_j> / (|w_i| |w_j|); 0 for a filter of zeros.

    Args:
        filters: (N,C,k,k).

    Returns:
        (N,N) in -1 to 1: 1 for the same template, -1 for its negative.
    """
    check_bank(filters)
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
    pairs = scipy.spatial.distance.squareform(distance, checks=False)
    tree = scipy.cluster.hierarchy.linkage(pairs, "average", optimal_ordering=True)
    return scipy.cluster.hierarchy.leaves_list(tree).tolist()


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
    check_bank(filters, channels=3)
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
    check_bank(filters)
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
