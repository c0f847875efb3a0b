"""Lecture 04: who is near a photo, and how the map of all photos changes with depth."""

from collections.abc import Mapping, Sequence
from functools import partial

import ipywidgets
import torch
from torch import Tensor

from course_utils import images, last_layer
from course_utils.models import Network
from course_utils.widgets.kit import controls
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("panda", "fish1", "windmill2", "scissors1", "taj_mahal", "owl")
NEIGHBOURS, TILE, SMALL = 8, 208, 40
"""Neighbours shown; sides in pixels of a tile, and of a photo on the map."""


def last_layer_explorer(
    network: Network,
    pictures: Sequence[images.Picture],
    pixels: Tensor,
    vectors: Mapping[str, Tensor],
    maps: Mapping[str, Tensor],
    photos: Sequence[str] = PHOTOS,
) -> Explorer:
    """A photo's neighbours and the t-SNE map of all photos, for a layer chosen by a slider.

    Args:
        network: a network of the zoo.
        pictures: the photos that can be neighbours.
        pixels: the same, cropped: (N,3,H,W) in 0-1.
        vectors: layer -> (N,K), from `last_layer.vectors_by_layer`.
        maps: layer -> (N,2), from `last_layer.tsne_by_layer`; its order is the slider's.
        photos: names to choose a query from.

    Returns:
        The explorer. Moving the slider only redraws; a photo chosen for the first time costs one
        pass of the network.
    """
    labels, names = [p.category for p in pictures], [p.name for p in pictures]
    frames = [last_layer.COLOURS[label] for label in labels]
    tiles = last_layer.thumbnails(pixels, TILE)
    small = last_layer.framed(last_layer.thumbnails(pixels, SMALL), frames, 4)
    layers = [name for name in maps if name != "pixels"]
    look = remember(partial(_vectors, network, layers))
    precision = remember(lambda layer: _precision(vectors[layer], labels))
    drawn = remember(lambda layer, form: laid_out(maps[layer], small, form))

    def draw(photo: Photo, layer: str, form: str) -> tuple[dict[str, Tensor], str]:
        own = names.index(photo.name) if photo.name in names else None
        near = nearest(vectors[layer], look(photo)[layer], own)
        tile = images.square(photo.pixels, TILE)
        shown = {
            f"{photo.name} and its nearest": block(tile, tiles[near], [frames[n] for n in near]),
            f"all photos, by t-SNE of {layer}": highlighted(*drawn(layer, form), small, near, own),
        }
        found = [labels[n] for n in near]
        return shown, describe(photo.name, layer, found, precision(layer))

    slider = ipywidgets.SelectionSlider(
        options=list(maps), description="layer", layout=ipywidgets.Layout(width=controls.WIDTH)
    )
    form = controls.choice(["grid", "map"], label="photos on a")
    return explore(
        draw,
        cannot=(
            "Near means alike for this network. People, or another network, may find other "
            "pictures alike."
        ),
        photo=photos,
        size=404,
        layer=slider,
        form=form,
    )


def _vectors(network: Network, layers: Sequence[str], photo: Photo) -> dict[str, Tensor]:
    return last_layer.vectors_by_layer(network, network.crop_pixels(photo.pixels), layers)


def _precision(vectors: Tensor, labels: Sequence[str]) -> float:
    near = last_layer.nearest_neighbours(vectors, min(5, len(vectors) - 1))
    return last_layer.precision_at_k(near, labels).mean().item()


def nearest(vectors: Tensor, query: Tensor, own: int | None) -> list[int]:
    """The photos nearest to a query (1,K), itself apart where it is one of them (`own`)."""
    distances = last_layer.squared_distances(query, vectors)[0]
    if own is not None:
        distances[own] = torch.inf
    few = min(NEIGHBOURS, len(distances) - (own is not None))
    return distances.topk(few, largest=False).indices.tolist()


def block(query: Tensor, near: Tensor, colours: Sequence[str]) -> Tensor:
    """The query in the upper left corner, then its neighbours in rows of three: (3,H,W)."""
    both = torch.cat([query[None], last_layer.framed(near, colours, TILE // 20)])
    cells = torch.tensor([divmod(i, 3) for i in range(len(both))])
    return last_layer.paste(both, cells * (TILE + 8))


def laid_out(positions: Tensor, small: Tensor, form: str) -> tuple[Tensor, Tensor]:
    """Every photo (N,3,s,s) in a cell near its place ("grid"), or at its place ("map").

    Returns:
        The picture (3,H,W), and the corner (N,2) of each photo in it.
    """
    side = small.shape[-1]
    if form == "grid":
        rows = round((len(small) / 1.7) ** 0.5)  # wider than high, as screens are
        places = last_layer.grid_cells(positions, -(-len(small) // max(1, rows))) * side
    else:
        places = last_layer.apart(positions, side)
    return last_layer.paste(small, places), places


def highlighted(
    picture: Tensor, places: Tensor, small: Tensor, near: Sequence[int], own: int | None
) -> Tensor:
    """A map (3,H,W), pale but for the neighbours; the query in a black frame.

    An own photo lies on no map: only its neighbours are seen on it.
    """
    canvas, side = 0.35 + 0.65 * picture, small.shape[-1]
    for index in [*near, *([] if own is None else [own])]:
        row, column = places[index].tolist()
        tile = small[[index]]
        tile = last_layer.framed(tile, ["#000000"], side // 9) if index == own else tile
        canvas[:, row : row + side, column : column + side] = tile[0]
    return canvas


def describe(photo: str, layer: str, found: Sequence[str], precision: float) -> str:
    """The neighbours in words, and the precision over all photos."""
    counts = sorted(((found.count(label), label) for label in set(found)), reverse=True)
    listed = ", ".join(f"{n} {label}" for n, label in counts)
    return (
        f"The {len(found)} photos nearest to {photo.replace('_', ' ')} at {layer}: {listed}. "
        f"Over all photos, precision@5 at {layer} is {precision:.2f}."
    )
