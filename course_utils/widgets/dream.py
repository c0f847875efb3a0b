"""Lecture 12: the dream of a photo, by depth."""

from collections.abc import Sequence

import ipywidgets
import torch
from torch import Tensor

from course_utils import dream, images
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("bayterek", "monument3", "opera_house", "geothermal")
LAYERS = ("relu1", *(f"fire{i}" for i in range(2, 10)))
SIDE = 200
"""The photo's longer side in pixels: a dream of 4 octaves of 8 steps then takes about a second."""


def dream_explorer(
    network: Network,
    photos: Sequence[str] = PHOTOS,
    of: Sequence[str] = LAYERS,
    side: int = SIDE,
) -> Explorer:
    """A photo and its dream, for a photo, a depth, a number of octaves and of steps.

    Args:
        network: a network of the zoo.
        photos: names of the course's photos.
        of: its layers, from low to deep.
        side: the longer side of the picture that is dreamt, in pixels.

    Returns:
        The explorer. A change costs octaves * (steps + 1) passes; dreams are remembered.
    """

    def look(photo: Photo, depth: str, octaves: int, steps: int) -> tuple[Tensor, dream.Dream]:
        pixels = images.read(photo.pixels, side)
        settings = {"octaves": octaves, "steps": steps, "keep": 0, "progress": None}
        return pixels, dream.dream(network, pixels, depth, **settings)

    remembered = remember(look)

    def draw(photo: Photo, depth: str, octaves: int, steps: int) -> tuple[dict[str, Tensor], str]:
        pixels, found = remembered(photo, depth, octaves, steps)
        return {"photo": pixels, depth: found.pixels}, describe(network, photo.name, depth, found)

    layers = ipywidgets.SelectionSlider(
        options=list(of),
        value=of[-2] if len(of) > 1 else of[0],
        continuous_update=False,
        style={"description_width": "7rem"},
        layout=ipywidgets.Layout(width="21rem"),
    )
    return explore(
        draw,
        cannot=(
            "What the layer recognises in photos: it shows what climbing its activations adds "
            "to this one."
        ),
        photo=photos,
        depth=layers,
        octaves=slider(1, 5, 4),
        steps=slider(1, 16, 8, label="steps an octave"),
    )


def describe(network: Network, name: str, layer: str, found: dream.Dream) -> str:
    """How far the layer has risen in the last octave, and what the network calls the picture."""
    first, last = found.losses[-1][0], found.losses[-1][-1]
    text = f"{layer} dreams of {name.replace('_', ' ')}: in the last octave its norm grows "
    text += f"{(last / first) ** 0.5:.1f} times"
    if not network.has_classifier:
        return text + "."
    with torch.no_grad():
        p = network(network.preprocess(found.pixels)).softmax(1)[0]
    return f"{text}; the network calls the picture “{network.labels[p.argmax()]}” ({p.max():.0%})."
