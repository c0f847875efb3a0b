"""Lecture 05: move a square over a photo and watch what the network still believes."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from course_utils import occlusion, show
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.pictures import barred

PHOTOS = ("koala", "panda", "scarlet_macaw", "penguin")
COLOURS = {"white": (1.0, 1.0, 1.0), "red": (1.0, 0.0, 0.0)}
FILLS = (*occlusion.FILLS, *COLOURS)
SIZES = (16, 32, 48, 64, 96)
MEASURES = ("score", "probability")
STRIDE = 16
"""Pixels between two squares of the map: with the smallest square 196 positions, under 1 s."""


def occlusion_explorer(network: Network, photos: Sequence[str] = PHOTOS) -> Explorer:
    """A photo with a square on it, the map of all squares, and what the network says.

    Args:
        network: a classifier of the zoo.
        photos: names of the course's photos.

    Returns:
        The explorer. A new photo, size or fill costs a slide over the whole photo; moving the
        square costs one pass; another class or measure none.
    """
    slide = remember(partial(answers, network))
    single = remember(partial(covered, network))

    def draw(
        photo: Photo, class_index: int, side: int, fill: str, measure: str, across: int, down: int
    ) -> tuple[dict[str, Tensor], str]:
        before, after = slide(photo, side, fill)
        lost = occlusion.drop(before, after, class_index, measure == "probability")
        whole = occlusion.to_pixels(lost, side, STRIDE, network.crop, network.crop)
        pixels, logits = single(photo, side, fill, *corner(network, side, across, down))
        untouched = network.crop_pixels(photo.pixels)[0]
        # A scale of its own would let a map glow in which nothing drops.
        top = max(1.0, whole.abs().max().item())
        drawn = {
            "covered": pixels,
            f"drop in {measure}": barred(show.colours(whole, True, top), top),
        }
        drawn["overlay"] = show.overlay(untouched, whole, top=top, signed=True)
        words = describe(network, photo, class_index, measure, before, logits)
        most = round(lost.max().item(), 2) + 0.0  # no "-0.00"
        return drawn, f"{words} The map's largest drop is {most:.2f}."

    return explore(
        draw,
        cannot=(
            "Evidence that is there twice, for one square hides one of them. And part of a "
            "drop is surprise at the square."
        ),
        photo=photos,
        network=network,
        side=choice(SIZES, 48, label="side of square"),
        fill=choice(FILLS, "dataset mean"),
        measure=choice(MEASURES),
        across=slider(0, 100, 55, label="across, in %"),
        down=slider(0, 100, 30, label="down, in %"),
    )


def corner(network: Network, size: int, across: int, down: int) -> tuple[int, int]:
    """Top and left of a square whose centre lies at those per cent of the room it has."""
    room = network.crop - size
    return round(room * down / 100), round(room * across / 100)


def colour(fill: str) -> str | tuple[float, ...]:
    """What `occlusion.fill_value` calls it."""
    return COLOURS.get(fill, fill)


def answers(network: Network, photo: Photo, size: int, fill: str) -> tuple[Tensor, Tensor]:
    """Logits of the untouched photo (C,) and of every position (rows, columns, C), on the CPU."""
    x = network.preprocess(photo.pixels)
    with torch.no_grad():
        before = network(x)[0].cpu()
    return before, occlusion.occlusion_logits(network, x, size, STRIDE, colour(fill)).cpu()


def covered(
    network: Network, photo: Photo, size: int, fill: str, top: int, left: int
) -> tuple[Tensor, Tensor]:
    """The photo with one square, (3,S,S) in 0-1, and its logits (C,), on the CPU."""
    x = network.preprocess(photo.pixels)
    value = occlusion.fill_value(network, x, colour(fill))
    x = occlusion.occlude(x, torch.tensor([top]), torch.tensor([left]), size, value)
    with torch.no_grad():
        logits = network(x)[0].cpu()
    return network.denormalize(x)[0].clamp(0, 1).cpu(), logits


def describe(
    network: Network,
    photo: Photo,
    class_index: int,
    measure: str,
    before: Tensor,
    after: Tensor,
) -> str:
    """The class before and after, and the five most probable classes under the square."""
    old, new = (v.softmax(0) if measure == "probability" else v for v in (before, after))
    best = after.softmax(0).topk(5)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    five = ", ".join(f"{network.labels[i]} {p:.2f}" for i, p in pairs)
    return (
        f"{photo.name.replace('_', ' ')}: with this square the {measure} of "
        f"“{network.labels[class_index]}” goes from {old[class_index]:.2f} to "
        f"{new[class_index]:.2f}. Most probable now: {five}."
    )
