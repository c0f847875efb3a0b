"""Photos on maps, framed in the colour of their kind."""

from collections.abc import Sequence

import torch
from torch import Tensor

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
        (3,H,W) in 0-1, on the CPU, just large enough.
    """
    if places.shape != (len(pictures), 2) or len(pictures) == 0:
        raise ValueError(f"places: shape {tuple(places.shape)} for {len(pictures)} pictures")
    h, w = pictures.shape[2:]
    places = places.cpu()
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
        (3,H,W) in 0-1, on the CPU.
    """
    side, gap = pictures.shape[-1], max(2, pictures.shape[-1] // 12)
    parts, places = [], []
    for row, (query, near) in enumerate(zip(queries, neighbours.tolist(), strict=True)):
        frames = [SAME if labels[n] == labels[query] else OTHER for n in near]
        parts += [pictures[[query]], framed(pictures[near], frames, max(2, side // 24))]
        columns = [0, *(side + 2 * gap + i * (side + gap) for i in range(len(near)))]
        places += [[row * (side + gap), column] for column in columns]
    return paste(torch.cat(parts), torch.tensor(places, device="cpu"))
