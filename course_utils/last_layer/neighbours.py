"""Who is near whom, and whether neighbours are of one kind."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from course_utils.last_layer.vectors import check_vectors


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 = |a_i|^2 + |b_j|^2 - 2 a_i . b_j for all pairs of rows, in one product.

    Args:
        a, b: vectors (M,D) and (N,D).

    Returns:
        (M,N) float64, never negative: differences of large numbers want the double precision.

    Raises:
        ValueError: not (M,D) and (N,D), or values that are not finite.
    """
    check_vectors(a, "a")
    check_vectors(b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a, b: vectors of {a.shape[1]} and {b.shape[1]} numbers")
    a, b = a.double(), b.double()
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)


def nearest_neighbours(x: Tensor, k: int) -> Tensor:
    """The k vectors nearest to each vector, itself apart, by Euclidean distance.

    Args:
        x: vectors (N,D).
        k: how many, 1 to N - 1.

    Returns:
        (N,k) int64: the rows of `x` that are nearest to each row, the nearest first.

    Raises:
        ValueError: k outside its range, not (N,D), or values that are not finite.
    """
    distances = squared_distances(x, x)
    if not 1 <= k < len(x):
        raise ValueError(
            f"k={k} for {len(x)} vectors; accepted: 1 to N - 1 = {len(x) - 1}, since a vector is "
            "not its own neighbour"
        )
    return distances.fill_diagonal_(torch.inf).topk(k, largest=False).indices


def precision_at_k(neighbours: Tensor, labels: Sequence[str]) -> Tensor:
    """For each photo, the share of its neighbours that have its label.

    Args:
        neighbours: (N,k), as from `nearest_neighbours`.
        labels: N labels.

    Returns:
        (N,) in 0-1.

    Raises:
        ValueError: another number of labels than of photos.
    """
    if len(labels) != len(neighbours):
        raise ValueError(f"labels: {len(labels)} came for {len(neighbours)} photos")
    _, numbers = np.unique(list(labels), return_inverse=True)
    index = torch.from_numpy(numbers).to(neighbours.device)
    return (index[neighbours] == index[:, None]).float().mean(1)


def chance_precision(labels: Sequence[str]) -> float:
    """What `precision_at_k` is on average when the neighbours are drawn blindly, for any k."""
    counts = np.unique(list(labels), return_counts=True)[1]
    n = len(labels)
    if n < 2:
        raise ValueError(f"labels: {n} came; a photo needs another one as its neighbour")
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))
