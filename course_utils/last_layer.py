"""Lecture 04: photos as vectors: who is near whom, and maps of them all.

Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
NIPS 2012, section 6.1 (neighbours in the last layer); van der Maaten & Hinton, "Visualizing Data
using t-SNE", JMLR 2008.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from openTSNE import TSNE
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tvf

from course_utils import images, layers
from course_utils.common.batches import in_chunks
from course_utils.models import Network

COLOURS = {
    "animal": "#0072B2",
    "building": "#E69F00",
    "energy": "#009E73",
    "fish": "#CC79A7",
    "object": "#888888",
    "tool": "#D55E00",
}
"""A frame colour for each photo category, which colour-blind readers can tell apart."""

DIGIT_COLOURS = [*COLOURS.values(), "#56B4E9", "#000000", "#999933", "#882255"]

SAME, OTHER = "#0072B2", "#D55E00"
"""Frames of neighbours of the query's own category, and of another one: blue and orange."""


# ------------------------------------------------------------------ features


def features(
    model: Network, pixels: Tensor, names: Sequence[str], progress: str | None = None
) -> dict[str, Tensor]:
    """The feature vectors of photos at several layers: each map's mean over all its positions.

    Args:
        model: a network of the zoo.
        pixels: photos (N,3,H,W) in 0-1, cropped as `model.crop_pixels` does it.
        names: layers as `layers.find` accepts them; their outputs are (N,K,h,w) or (N,K).
        progress: a caption; shows a progress bar.

    Returns:
        layer -> (N,K), on the CPU, from one forward pass of each photo.

    Raises:
        ValueError: an unknown layer (near spellings are suggested), no layer, photos that are not
            (N,3,H,W) or not finite, or so small that nothing is left of them at a layer.
    """
    _check_photos(pixels)
    if not names or isinstance(names, str):
        raise ValueError(f"names: got {names!r}; accepted: a list of one layer or more")
    widths: list[int] = []

    def pooled(some: Tensor) -> Tensor:
        with torch.no_grad(), layers.capture(model, *names) as seen:
            _forward(model, some)
        parts = [seen[n].flatten(2).mean(2) if seen[n].ndim > 2 else seen[n] for n in names]
        widths[:] = [part.shape[1] for part in parts]
        return torch.cat(parts, 1).cpu()

    # On a CPU batches of 2 are faster than of 16: the first layers' maps stay in its cache.
    size = 2 if model.device.type == "cpu" else 64
    joined = in_chunks(pooled, pixels, size=size, progress=progress)
    return dict(zip(names, joined.split(widths, 1), strict=True))


def _forward(model: Network, pixels: Tensor) -> None:
    try:
        model(model.normalize(pixels))
    except RuntimeError as error:
        height, width = pixels.shape[2:]
        if min(height, width) >= 64:
            raise
        raise ValueError(  # a window that is larger than what is left of the photo
            f"pixels: {height} x {width} is too small for {model.name}: {error}"
        ) from None


def pixel_vectors(pixels: Tensor, side: int = 32) -> Tensor:
    """Photos (N,3,H,W) as vectors of their pixels, shrunk to side x side: (N, 3 * side^2)."""
    return thumbnails(pixels, side).flatten(1)


def unit(x: Tensor) -> Tensor:
    """Vectors (N,D) scaled to length 1; a zero vector stays zero.

    Between unit vectors the distance depends on the angle only: |a - b|^2 = 2 - 2 cos(a, b).
    """
    _check_vectors(x)
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)


def vectors_by_layer(
    model: Network, pixels: Tensor, names: Sequence[str], progress: str | None = None
) -> dict[str, Tensor]:
    """Photos as they are compared: "pixels", then each layer's features at unit length.

    Args, raises: as for `features`.

    Returns:
        "pixels" -> (N,3072), layer -> (N,K), on the CPU.
    """
    found = features(model, pixels, names, progress)
    return {"pixels": pixel_vectors(pixels)} | {name: unit(x) for name, x in found.items()}


# ------------------------------------------------------------------ neighbours


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 = |a_i|^2 + |b_j|^2 - 2 a_i . b_j for all pairs of rows, in one product.

    Args:
        a, b: vectors (M,D) and (N,D).

    Returns:
        (M,N) float64, never negative: differences of large numbers want the double precision.

    Raises:
        ValueError: not (M,D) and (N,D), or values that are not finite.
    """
    _check_vectors(a, "a")
    _check_vectors(b, "b")
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


def variants(image: object, side: int = 224) -> dict[str, Tensor]:
    """One photo taken a little differently; no pixel is invented, all come from the photo.

    Args:
        image: as `images.read` accepts it.
        side: of the results, in pixels.

    Returns:
        "photo", "relit" (gamma 1.6, so darker), "shifted" (by a seventh of the side, both ways),
        "rotated" (12 degrees), "cropped" (the middle three quarters, enlarged), "mirrored": each
        (3,side,side) in 0-1.
    """
    pixels = images.read(image)
    large = tvf.resize(pixels, [side * 9 // 7], antialias=True).clamp(0, 1)
    move = side // 7
    top, left = ((n - side) // 2 for n in large.shape[1:])
    centred = tvf.center_crop(large, [side, side])
    turned = tvf.rotate(large, 12, interpolation=tvf.InterpolationMode.BILINEAR)
    middle = tvf.center_crop(large, [side * 3 // 4] * 2)
    return {
        "photo": centred,
        "relit": centred**1.6,
        "shifted": tvf.crop(large, top + move, left + move, side, side),
        "rotated": tvf.center_crop(turned, [side, side]),
        "cropped": tvf.resize(middle, [side, side], antialias=True).clamp(0, 1),
        "mirrored": centred.flip(2),
    }


# ------------------------------------------------------------------ two dimensions


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
    _check_vectors(x)
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
    _check_vectors(x)
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
    _check_vectors(x)
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
    found = TSNE(neighbors="exact", n_jobs=1, **settings).fit(x.numpy())
    return torch.from_numpy(np.array(found)).float()


def tsne_by_layer(vectors: Mapping[str, Tensor], perplexity: float = 20) -> dict[str, Tensor]:
    """A map for each layer; each starts from the one before, so that points move little.

    Args:
        vectors: layer -> (N,K), in the order of the network.
        perplexity: as for `tsne`.

    Returns:
        layer -> (N,2).
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
        (N,2) int64: row and column of each point, no two the same.

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
    chosen = linear_sum_assignment(costs)[1]
    return torch.from_numpy(np.stack([y[chosen], x[chosen]], 1))


def corners(positions: Tensor, side: int, width: int) -> Tensor:
    """The points of a map as corners of squares, which may cover one another.

    Args:
        positions: (N,2): x to the right, y downwards.
        side: of a square, in pixels.
        width: of the drawing's longer side, in pixels.

    Returns:
        (N,2) int64: the upper left corner of each square, row and column, from 0.

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
        positions, side: as for `corners`; so are the result and the errors.
    """
    points = _drawn(positions, side, 13 * side if width is None else width)
    reach = side + 1  # rounding to whole pixels may bring two squares nearer by one
    while True:
        pairs = cKDTree(points).query_pairs(reach - 1e-6, p=np.inf, output_type="ndarray")
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


# ------------------------------------------------------------------ pictures of maps


def thumbnails(pixels: Tensor, side: int) -> Tensor:
    """Photos (N,3,H,W) as small squares (N,3,side,side) in 0-1."""
    _check_photos(pixels)
    return tvf.resize(pixels.cpu(), [side, side], antialias=True).clamp(0, 1)


def framed(pictures: Tensor, colours: Sequence[str], width: int = 2) -> Tensor:
    """Pictures (N,3,H,W), each with a frame over its outermost `width` pixels.

    Args:
        colours: one for each picture, as "#rrggbb".
    """
    result = _rgb(colours, pictures).expand_as(pictures).clone()
    inner = slice(width, -width or None)
    result[..., inner, inner] = pictures[..., inner, inner]
    return result


def tinted(ink: Tensor, colours: Sequence[str]) -> Tensor:
    """Handwriting (N,h,w) in 0-1, 1 for ink, in coloured ink on white: (N,3,h,w)."""
    return 1 - ink[:, None] * (1 - _rgb(colours, ink))


def dots(colours: Sequence[str], side: int) -> Tensor:
    """A square of one colour for each point of a map: (N,3,side,side)."""
    return _rgb(colours, torch.empty(len(colours), device="cpu")).repeat(1, 1, side, side)


def _rgb(colours: Sequence[str], like: Tensor) -> Tensor:
    """Colours "#rrggbb" as (N,3,1,1) in 0-1, one for each of `like`, on its device."""
    if len(colours) != len(like):
        raise ValueError(f"colours: {len(colours)} came for {len(like)} pictures")
    values = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours]
    return torch.tensor(values, device=like.device).view(-1, 3, 1, 1)


def paste(pictures: Tensor, places: Tensor) -> Tensor:
    """Pictures (N,3,h,w) on white, each with its upper left corner at its row and column.

    Args:
        places: (N,2), as from `apart`, or cells of a grid times the side of a picture.

    Returns:
        (3,H,W) in 0-1, just large enough.
    """
    if places.shape != (len(pictures), 2) or len(pictures) == 0:
        raise ValueError(f"places: shape {tuple(places.shape)} for {len(pictures)} pictures")
    h, w = pictures.shape[2:]
    bottom, right = (places.amax(0) + torch.tensor([h, w], device="cpu")).tolist()
    canvas = torch.ones(3, bottom, right, device="cpu")
    for picture, (row, column) in zip(pictures, places.tolist(), strict=True):
        canvas[:, row : row + h, column : column + w] = picture
    return canvas


def neighbour_rows(
    pictures: Tensor, queries: Sequence[int], neighbours: Tensor, labels: Sequence[str]
) -> Tensor:
    """One row for each query: the photo itself, a gap, and its neighbours in frames.

    Blue frames: the query's own label; orange ones: another.

    Args:
        pictures: thumbnails (N,3,s,s).
        queries: rows of `pictures`.
        neighbours: (len(queries),k): rows of `pictures`.
        labels: of all N pictures.

    Returns:
        (3,H,W) in 0-1.
    """
    side, gap = pictures.shape[-1], max(2, pictures.shape[-1] // 12)
    parts, places = [], []
    for row, (query, near) in enumerate(zip(queries, neighbours.tolist(), strict=True)):
        frames = [SAME if labels[n] == labels[query] else OTHER for n in near]
        parts += [pictures[[query]], framed(pictures[near], frames, max(2, side // 24))]
        columns = [0, *(side + 2 * gap + i * (side + gap) for i in range(len(near)))]
        places += [[row * (side + gap), column] for column in columns]
    return paste(torch.cat(parts), torch.tensor(places, device="cpu"))


# ------------------------------------------------------------------ what is refused


def _check_vectors(x: Tensor, name: str = "x") -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name}: shape {tuple(x.shape)}; accepted: vectors (N,D)")
    if not torch.isfinite(x).all():
        raise ValueError(f"{name}: it has values that are not finite (NaN or infinity)")


def _check_points(positions: Tensor) -> None:
    _check_vectors(positions, "positions")
    if positions.shape[1] != 2:
        raise ValueError(f"positions: shape {tuple(positions.shape)}; accepted: (N,2)")


def _check_photos(pixels: Tensor) -> None:
    if pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels: shape {tuple(pixels.shape)}; accepted: photos (N,3,H,W)")
    if not torch.isfinite(pixels).all():
        raise ValueError("pixels: they have values that are not finite (NaN or infinity)")
