"""Lecture 15: a photo in the style of a painting, by the weights of the loss and the brush."""

import time
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_utils import images, style
from course_utils.common import paths, positions
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, stops, switch
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTO, PAINTING = "neuschwanstein_castle", "church_at_auvers"
"""The pair whose pictures are stored, both free of rights."""

PHOTOS = (PHOTO, "chelsea", "opera_house", "red_panda")
PAINTINGS = (PAINTING, "cafe_terrace_at_night", "night_cafe", "great_wave_off_kanagawa")
SIZE, STEPS = 176, 50
"""Longer side in pixels and evaluations, of the stored pictures; a run made here has at most so
many evaluations."""

SECONDS, LEAST = 1.5, 15
"""Of a run made here: what its evaluations may take, and how many it has on any machine."""

RATIOS = (0.2, 1.0, 5.0, 25.0, 250.0)
BRUSHES = (88, 176, 352)
LAYERS = {
    "all": style.SQUEEZENET_STYLES,
    "shallow": style.SQUEEZENET_STYLES[:2],
    "deep": style.SQUEEZENET_STYLES[3:],
}
SMOOTHS = (0.1, 3.0)
FILE = "style_frames.webp"
"""In data/: the stored pictures, a row of `RATIOS` for each of `BRUSHES` x `LAYERS` x `SMOOTHS`."""

Settings = tuple[float, int, str, float]


def style_explorer(
    network: Network,
    photos: Sequence[str] = PHOTOS,
    paintings: Sequence[str] = PAINTINGS,
) -> Explorer:
    """A photo, a painting and the picture made of both, by weights, brush, layers and smoothness.

    Args:
        network: SqueezeNet 1.1, or another network with its layers' names.
        photos, paintings: names of the course's pictures.

    Returns:
        The explorer. For the stored pair every picture is looked up; other pairs, and all with
        "run it here", are painted here, with as many evaluations as `SECONDS` allow; the time is
        told. They are remembered.
    """
    steps, expected = affordable(network)
    run = remember(partial(painted, network, steps=steps))

    def draw(
        photo: Photo,
        painting: str,
        ratio: float,
        brush: int,
        layers: str,
        smooth: float,
        live: bool,
    ) -> tuple[dict[str, Tensor], str]:
        chosen = (ratio, brush, layers, smooth)
        known = is_stored(photo, painting, live)
        picture, seconds = (stored(chosen), 0.0) if known else run(photo, painting, *chosen)
        shown = {"photo": photo.pixels, "painting": images.painting(painting).pixels(480)}
        told = describe(photo.name, painting, chosen, seconds, expected, steps)
        return shown | {"result": picture}, told

    explorer = explore(
        draw,
        cannot=(
            "The best that the method can do: pictures are small and have few evaluations. "
            "Which is more beautiful, no number says."
        ),
        photo=photos,
        painting=choice({p.replace("_", " "): p for p in paintings}),
        ratio=stops(RATIOS, 25.0, label="beta / alpha"),
        brush=stops(BRUSHES, SIZE, label="style size"),
        layers=choice(list(LAYERS), label="style layers"),
        smooth=choice({"little": SMOOTHS[0], "much": SMOOTHS[1]}, label="total variation"),
        live=switch(label="run it here"),
    )
    controls = explorer.controls

    def look_up_or_wait(_: object = None) -> None:
        """While a slider is dragged only a stored picture follows it: no runs queue up."""
        live = is_stored(*(controls[name].value for name in ("photo", "painting", "live")))
        for name in ("ratio", "brush"):
            controls[name].continuous_update = live

    for name in ("photo", "painting", "live"):
        controls[name].observe(look_up_or_wait, "value")
    look_up_or_wait()
    return explorer


def is_stored(photo: Photo, painting: str, live: bool) -> bool:
    """Whether the pictures of this pair are looked up."""
    return (photo.name, painting) == (PHOTO, PAINTING) and not live


def affordable(network: Network) -> tuple[int, float]:
    """The evaluations of a run made here, and how many seconds it takes."""
    each = style.forecast(network, images.photo(PHOTO), 1, size=SIZE)
    steps = min(STEPS, max(LEAST, int(SECONDS / each)))
    return steps, steps * each


def painted(
    network: Network,
    photo: Photo,
    painting: str,
    ratio: float,
    brush: int,
    layers: str,
    smooth: float,
    steps: int = STEPS,
) -> tuple[Tensor, float]:
    """A picture (3,H,W) made here in so many evaluations, and how many seconds it took."""
    began = time.perf_counter()
    made = style.transfer(
        network,
        photo.pixels,
        images.painting(painting),
        steps,
        size=SIZE,
        style_size=brush,
        styles=LAYERS[layers],
        beta=ratio,
        gamma=smooth,
        keep=0,
        progress=None,
    )
    return made.pixels, time.perf_counter() - began


def describe(
    photo: str,
    painting: str,
    chosen: Settings,
    seconds: float,
    expected: float,
    steps: int = STEPS,
) -> str:
    """The picture in words; how long it took, 0 if it is stored, and how long a new one takes.

    A page says nothing of seconds: its reader has another machine, and nothing is painted there.
    """
    ratio, brush, layers, smooth = chosen
    text = f"{photo} in the style of {painting}".replace("_", " ")
    text += f": beta/alpha {ratio:g}, painting {brush} pixels high, {layers} style layers, "
    text += f"{'much' if smooth > 1 else 'little'} weight on total variation"
    if positions.wanted():
        return f"{text}."
    text += f"; painted here in {seconds:.1f} s. " if seconds else "; stored. "
    told = f"{text}A new picture takes about {expected:.1f} s on this machine"
    return f"{told}, with {steps} evaluations; the stored ones had {STEPS}."


# ------------------------------------------------------------------ the stored pictures


def every() -> list[Settings]:
    """The settings of the stored pictures, row by row."""
    return [
        (ratio, brush, layers, smooth)
        for brush in BRUSHES
        for layers in LAYERS
        for smooth in SMOOTHS
        for ratio in RATIOS
    ]


def stored(chosen: Settings) -> Tensor:
    """The stored picture (3,H,W) of some settings, in 0-1."""
    sheet = _sheet()
    rows = len(every()) // len(RATIOS)
    row, column = divmod(every().index(chosen), len(RATIOS))
    height, width = sheet.shape[0] // rows, sheet.shape[1] // len(RATIOS)
    part = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
    return torch.from_numpy(part.copy()).movedim(-1, 0) / 255


@cache
def _sheet() -> np.ndarray:
    with Image.open(paths.data(FILE)) as file:
        return np.array(file.convert("RGB"))


def sheet_of(network: Network) -> Image.Image:
    """Paints all stored pictures anew: some minutes."""
    photo = Photo(PHOTO, images.photo(PHOTO).pixels())
    pictures = [painted(network, photo, PAINTING, *chosen)[0] for chosen in every()]
    rows = [
        torch.cat(pictures[i : i + len(RATIOS)], 2) for i in range(0, len(pictures), len(RATIOS))
    ]
    return images.to_pil(torch.cat(rows, 1))
