"""Lecture 16: a photo painted by trained networks, by style, size and the photo's own contrast."""

from collections.abc import Mapping, Sequence
from time import perf_counter

from torch import Tensor

from course_utils import fast_style, images
from course_utils.common import positions
from course_utils.fast_style import TransformNetwork
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider, stops
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("citede_carcassonne", "chelsea", "panda", "eiffel_tower")


def fast_style_explorer(
    networks: Mapping[str, TransformNetwork], photos: Sequence[str] = PHOTOS
) -> Explorer:
    """Photo and painted photo, for a photo, a network, a size and a contrast of the photo.

    Args:
        networks: title -> transform network.
        photos: names of the course's photos.

    Returns:
        The explorer. Every change costs one pass of the network.

    Raises:
        ValueError: no networks.
    """
    if not networks:
        raise ValueError("networks: none came; one or more are needed")

    @remember
    def paint(photo: Photo, style: str, side: int, contrast: float) -> tuple[Tensor, Tensor, float]:
        pixels = fast_style.fade(images.read(photo.pixels, side), contrast)
        start = perf_counter()
        painted = fast_style.stylise(networks[style], pixels)
        return pixels, painted, perf_counter() - start

    def draw(photo: Photo, style: str, side: int, contrast: float) -> tuple[dict[str, Tensor], str]:
        pixels, painted, seconds = paint(photo, style, side, contrast)
        return {"photo": pixels, style: painted}, describe(photo.name, style, painted, seconds)

    return explore(
        draw,
        cannot=(
            "Other paintings: each network knows the one it was trained on, and crops of the "
            "course's photos."
        ),
        photo=photos,
        style=choice(list(networks)),
        side=slider(64, 512, 384, 32, label="longer side"),
        contrast=slider(0.1, 1.0, 1.0, 0.05),
    )


def describe(photo: str, style: str, painted: Tensor, seconds: float) -> str:
    """Size, time and contrast in words."""
    height, width = painted.shape[1:]
    took = "" if positions.wanted() else f" in {1000 * seconds:.0f} ms"  # a page paints nothing
    return (
        f"{photo.replace('_', ' ')} as {style}, {width} x {height} pixels{took}; "
        f"the painted picture's standard deviation is {painted.std():.2f}."
    )


def training_dial(
    networks: Mapping[int, TransformNetwork], photos: Sequence[str] = PHOTOS
) -> Explorer:
    """A photo as one network paints it after more and more steps of training.

    Args:
        networks: steps -> the transform network as it was then.
        photos: names of the course's photos.

    Returns:
        The explorer. Every stop costs one pass of the network, once.

    Raises:
        ValueError: fewer than two networks.
    """
    if len(networks) < 2:
        raise ValueError(f"networks: {len(networks)} came; two or more are needed")

    @remember
    def paint(photo: Photo, steps: int) -> Tensor:
        return fast_style.stylise(networks[steps], photo.pixels, 384)

    def draw(photo: Photo, steps: int) -> tuple[dict[str, Tensor], str]:
        pictures = {"photo": photo.pixels, "painted": paint(photo, steps)}
        return pictures, f"{photo.name.replace('_', ' ')} after {steps:,} steps of training."

    return explore(
        draw,
        cannot="Another run: seed and photos are those of one training.",
        photo=photos,
        steps=stops(list(networks), list(networks)[-1], live=True),
    )
