"""Lecture 13: what a layer knows of a photo, by layer, weight of the regulariser, and steps."""

from collections.abc import Sequence

from torch import Tensor

from course_utils import images, inversion
from course_utils.common.optimise import Result
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("red_panda", "kingfisher", "crab", "kitten", "butterfly")
WEIGHTS = {"0": 0.0, "1e-6": 1e-6, "1e-5": 1e-5, "1e-4": 1e-4, "1e-3": 1e-3}
SIDE, STEPS = 96, 24


def inversion_explorer(
    network: Network,
    names: Sequence[str] = inversion.SQUEEZENET_LADDER,
    photos: Sequence[str] = PHOTOS,
    side: int = SIDE,
    steps: int = STEPS,
) -> Explorer:
    """Photo, the picture found from its features, and their mean absolute difference (white is 1).

    Args:
        network: a network of the zoo.
        names: the layers to choose from.
        photos: names of the course's photos.
        side: of the square that is inverted, in pixels.
        steps: of a run.

    Returns:
        The explorer. A new photo, layer or weight costs a run, about a second for SqueezeNet at
        the default size; the frame only redraws.
    """

    @remember
    def run(photo: Photo, layer: str, weight: float) -> tuple[Tensor, Result]:
        pixels = images.square(photo.pixels, side)
        settings = {"weight": weight, "steps": steps, "keep": 13, "progress": None}
        return pixels, inversion.invert(network, pixels, layer, **settings)

    def draw(photo: Photo, layer: str, weight: float, frame: int) -> tuple[dict[str, Tensor], str]:
        pixels, result = run(photo, layer, weight)
        picture = result.frames[frame].float() / 255
        error = (picture[0] - pixels.cpu()).abs().mean(0, keepdim=True).expand(3, -1, -1)
        drawn = {
            "photo": pixels,
            f"from {layer}": picture[0],
            "difference": 2 * error.clamp(max=0.5),
        }
        words = describe(photo.name, layer, weight, result, frame)
        return drawn, words + quality(picture, pixels)

    layers_, middle = list(names), names[len(names) // 2]
    return explore(
        draw,
        cannot=(
            "What the features have lost: this is one of many pictures that have them, and "
            "the search may have missed better ones."
        ),
        photo=photos,
        layer=choice(layers_, middle),
        weight=choice(WEIGHTS, 1e-5, label="weight of TV"),
        frame=slider(0, 12, 12, live=True),
    )


def describe(photo: str, layer: str, weight: float, result: Result, frame: int) -> str:
    """The run and the frame in words."""
    step = result.steps[frame]
    return (
        f"{photo.replace('_', ' ').capitalize()} from {layer}, weight {weight:g}: after {step} of "
        f"{len(result.losses) - 1} steps the loss is {result.losses[step]:.3f}"
    )


def quality(picture: Tensor, pixels: Tensor) -> str:
    """How close the picture (1,3,H,W) is to the photo, in words."""
    decibels = inversion.psnr(picture, pixels).item()
    return f", PSNR {decibels:.1f} dB, SSIM {inversion.ssim(picture, pixels).item():.2f}."
