"""Vectors in two dimensions: principal components, t-SNE, and places on a grid."""

from collections.abc import Mapping

import numpy as np
import scipy
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.last_layer.vectors import check_vectors


def pca(x: Tensor, components: int = 2) -> Tensor:
    """Principal component analysis: the projections on the directions of largest variance.

    With the singular value decomposition of the centred vectors, x - mean = U S V^T, the
    projections on the directions V are (x - mean) V = U S. The sign of a direction is arbitrary;
    here it is chosen so that the largest projection in size is positive.

    Args:
        x: vectors (N,D).
        components: how many, 1 to min(N, D); the one with the largest variance is the first.

    Returns:
        (N,components).

    Raises:
        ValueError: components outside its range, not (N,D), or values that are not finite.

    Reference: Pearson, "On lines and planes of closest fit to systems of points in space", 1901.
    """
    check_vectors(x)
    if not 1 <= components <= min(x.shape):
        raise ValueError(
            f"components={components} for {len(x)} vectors of {x.shape[1]} numbers; "
            f"accepted: 1 to {min(x.shape)}"
        )
    u, s, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    projected = (u * s)[:, :components]
    largest = projected.gather(0, projected.abs().argmax(0, keepdim=True))
    return projected * torch.where(largest < 0, -1.0, 1.0)


def variance_shares(x: Tensor) -> Tensor:
    """The share of the whole variance in each principal component, (min(N,D),), falling, sum 1."""
    check_vectors(x)
    squared = torch.linalg.svdvals(x - x.mean(0)).square()
    return squared / squared.sum().clamp(min=1e-30)


def tsne(x: Tensor, perplexity: float = 20, seed: int = 0, start: Tensor | None = None) -> Tensor:
    """t-SNE: a map on which near vectors stay near; far ones are just kept apart.

    It starts from the first two principal components, so the seed matters little.

    Args:
        x: vectors (N,D).
        perplexity: about how many neighbours each vector tries to keep, 1 to (N - 1) / 3.
        seed: of the random numbers; the same gives the same map.
        start: (N,2), positions to start from instead, at any scale.

    Returns:
        (N,2), on the CPU.

    Raises:
        ValueError: too few vectors for the perplexity, vectors that are all the same, not (N,D),
            or values that are not finite.

    Reference: van der Maaten & Hinton 2008; Poličar, Stražar & Zupan, "openTSNE", 2024.
    """
    check_vectors(x)
    if not 1 <= perplexity <= (len(x) - 1) / 3:
        raise ValueError(
            f"perplexity={perplexity} for N={len(x)} vectors; accepted: 1 to (N - 1) / 3 = "
            f"{(len(x) - 1) / 3:.3g}, so at least 4 vectors are needed"
        )
    if bool((x == x[0]).all()):
        raise ValueError(f"x: {len(x)} vectors that are all the same have no map")
    x = x.detach().cpu().double()
    first = pca(x, min(2, *x.shape)) if start is None else start.cpu().double()
    first = F.pad(first - first.mean(0), (0, 2 - first.shape[1]))
    # Small: points that start far apart are slow to come together.
    first = first / first.std(0).max().clamp(min=1e-12) * 1e-4
    settings = {"perplexity": perplexity, "initialization": first.numpy(), "random_state": seed}
    from openTSNE import TSNE  # takes half a second, and only maps need it

    found = TSNE(neighbors="exact", n_jobs=1, **settings).fit(x.numpy())
    return torch.from_numpy(np.array(found)).float()


def tsne_by_layer(vectors: Mapping[str, Tensor], perplexity: float = 20) -> dict[str, Tensor]:
    """A map for each layer; each starts from the one before, so that points move little.

    Args:
        vectors: layer -> (N,K), in the order of the network.
        perplexity: as for `tsne`.

    Returns:
        layer -> (N,2), on the CPU.
    """
    found: dict[str, Tensor] = {}
    for name, x in vectors.items():
        found[name] = tsne(x, perplexity, start=next(reversed(found.values()), None))
    return found


def grid_cells(positions: Tensor, columns: int) -> Tensor:
    """Points of a map onto the cells of a grid, each cell once, with the least total move.

    The map is stretched over the grid; then the linear assignment problem is solved for the
    squared distances of points and cells.

    Args:
        positions: (N,2): x to the right, y downwards.
        columns: cells in a row; there are as many rows as N points need.

    Returns:
        (N,2) int64, on the CPU: row and column of each point, no two the same.

    Raises:
        ValueError: not (N,2), values that are not finite, or no column.

    References: Jonker & Volgenant 1987 (the assignment); Karpathy 2014 (the picture).
    """
    _check_points(positions)
    if columns < 1:
        raise ValueError(f"columns={columns}; accepted: 1 or more")
    rows = -(-len(positions) // columns)
    y, x = np.divmod(np.arange(rows * columns), columns)
    scaled = _to_unit_square(positions) * (columns - 1, rows - 1)
    costs = (scaled[:, :1] - x) ** 2 + (scaled[:, 1:] - y) ** 2
    chosen = scipy.optimize.linear_sum_assignment(costs)[1]
    return torch.from_numpy(np.stack([y[chosen], x[chosen]], 1))


def corners(positions: Tensor, side: int, width: int) -> Tensor:
    """The points of a map as corners of squares, which may cover one another.

    Args:
        positions: (N,2): x to the right, y downwards.
        side: of a square, in pixels.
        width: of the drawing's longer side, in pixels.

    Returns:
        (N,2) int64, on the CPU: the upper left corner of each square, row and column, from 0.

    Raises:
        ValueError: not (N,2), values that are not finite, or a side that is not 1 to `width`.
    """
    return _as_corners(_drawn(positions, side, width))


def apart(positions: Tensor, side: int, width: int | None = None) -> Tensor:
    """As `corners`, moved as far as needed so that no square covers another.

    Overlapping squares push each other away, and the map grows by 0.1 % a round, until all are
    free. Small squares on a wide drawing move least.

    Args:
        width: of the drawing at first, in pixels; 13 squares by default.
        positions, side: as for `corners`; so are the result, on the CPU, and the errors.
    """
    points = _drawn(positions, side, 13 * side if width is None else width)
    reach = side + 1  # rounding to whole pixels may bring two squares nearer by one
    while True:
        pairs = scipy.spatial.cKDTree(points).query_pairs(
            reach - 1e-6, p=np.inf, output_type="ndarray"
        )
        if not len(pairs):
            return _as_corners(points)
        _push(points, pairs, reach)
        points *= 1.001


def _drawn(positions: Tensor, side: int, width: int) -> np.ndarray:
    _check_points(positions)
    if not 1 <= side <= width:
        raise ValueError(f"side={side}, width={width}; accepted: 1 <= side <= width")
    return _to_unit_square(positions, keep_aspect=True) * (width - side)


def _as_corners(points: np.ndarray) -> Tensor:
    return torch.from_numpy(np.rint(points - points.min(0)).astype(np.int64)[:, ::-1].copy())


def _push(points: np.ndarray, pairs: np.ndarray, reach: float) -> None:
    """Moves each overlapping pair half way apart, along the axis of the smaller overlap.

    Half way, since a square in a crowd is pushed by several: full steps would throw it far away.
    """
    i, j = pairs.T
    gap = points[j] - points[i]
    axis = np.abs(gap).argmax(1)
    along = np.take_along_axis(gap, axis[:, None], 1)[:, 0]
    step = (reach - np.abs(along)) / 4 * np.where(along < 0, -1, 1)
    np.add.at(points, (j, axis), step)
    np.add.at(points, (i, axis), -step)


def _to_unit_square(positions: Tensor, keep_aspect: bool = False) -> np.ndarray:
    points = positions.detach().cpu().double().numpy()
    points = points - points.min(0)
    span = points.max(0)
    span = np.full(2, span.max()) if keep_aspect else span
    return points / np.where(span > 0, span, 1)


def _check_points(positions: Tensor) -> None:
    check_vectors(positions, "positions")
    if positions.shape[1] != 2:
        raise ValueError(f"positions: shape {tuple(positions.shape)}; accepted: (N,2)")
