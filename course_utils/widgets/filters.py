"""Lecture 01: a filter as a template, and where a photo looks like it or like its negative."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from course_utils import filters, images, show
from course_utils.models import IMAGENET_MEAN, IMAGENET_STD
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.pictures import coloured

PHOTOS = ("scarlet_macaw", "tower_bridge_london", "hawa_mahal", "koala")
PARTS = ("both signs", "positive part", "negative part")
SIDE = 224


def filter_explorer(banks: Mapping[str, Tensor], photos: Sequence[str] = PHOTOS) -> Explorer:
    """Template, photo and response map, for a photo, a network and one of its filters.

    Args:
        banks: network -> first-layer filters (N,3,k,k), as `filters.filters_of` gives them, or
            learned ones.
        photos: names of the course's photos.

    Returns:
        The explorer. No network runs: a response map is one small convolution.

    Raises:
        ValueError: no filters, or filters that are not RGB.
    """
    for name, bank in banks.items():
        if bank.ndim != 4 or bank.shape[1] != 3 or not len(bank):
            raise ValueError(f"banks[{name!r}]: shape {tuple(bank.shape)}; accepted: (N,3,k,k)")
    if not banks:
        raise ValueError("banks: none came; one or more are needed")
    look = remember(seen_pixels)
    longest = max(map(len, banks.values()))

    def draw(photo: Photo, source: str, number: int, part: str) -> tuple[dict[str, Tensor], str]:
        bank, pixels = banks[source], look(photo)
        index = min(number, len(bank) - 1)
        found = filters.response_map(normalized(pixels), bank[index])
        tile = filters.tile_filters(bank[index : index + 1].cpu(), 1)
        drawn = {"template": filters.enlarged(tile, SIDE // tile.shape[-1]), "photo": pixels}
        drawn[f"response, {part}"] = picture(pixels, found, part)
        return drawn, describe(source, index, len(bank), bank[index], found)

    return explore(
        draw,
        cannot=(
            "One filter alone is seen: not what later layers make of its response, nor for "
            "which classes it matters."
        ),
        photo=photos,
        source=choice(list(banks), label="network"),
        number=slider(0, max(longest - 1, 1), live=True, label="filter"),
        part=choice(PARTS, label="show"),
    )


def seen_pixels(photo: Photo) -> Tensor:
    """The photo's middle square, (3,224,224) in 0-1."""
    return images.square(photo.pixels, SIDE)


def normalized(pixels: Tensor) -> Tensor:
    """Pixels (3,H,W) in 0-1, minus ImageNet's mean colour and divided by its spread."""
    mean, std = (
        torch.tensor(values, device="cpu")[:, None, None]
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (pixels - mean) / std


def picture(pixels: Tensor, found: Tensor, part: str) -> Tensor:
    """The response map in colours, or one of its parts laid over the photo."""
    if part == PARTS[0]:
        return coloured(found, signed=True)
    return show.overlay(pixels, found.relu() if part == PARTS[1] else (-found).relu())


def describe(source: str, index: int, n: int, template: Tensor, found: Tensor) -> str:
    """The template and its answers in words."""
    if not template.any():
        return f"Filter {index} of {source}, the last is {n - 1}: all its weights are zero."
    bank = template[None]
    tuned = filters.orientation_selectivity(bank).item()
    colour = filters.colour_opponency(bank).item()
    positive, negative = found.relu().square().sum(), (-found).relu().square().sum()
    share = (positive / (positive + negative).clamp(min=1e-12)).item()
    return (
        f"Filter {index} of {source}, the last is {n - 1}: orientation selectivity {tuned:.2f}, "
        f"colour opponency {colour:.2f}; {100 * share:.0f} % of the response's energy is positive."
    )
