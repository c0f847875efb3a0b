"""Lecture 08: where a class is seen, by photo, class, layer and method."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as tvf

from course_utils import cam, guided, images, show
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo, mapped_layers
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.pictures import coloured

METHODS = ("Grad-CAM", "CAM", "guided Grad-CAM")


@dataclass(frozen=True)
class CatAndDog:
    """The cat and the dog in one square picture, a half each."""

    name: str = "cat_and_dog"

    def pixels(self) -> Tensor:
        """(3,256,256) in 0-1."""
        strips = ("chelsea", 0.3), ("dog", 0.8)
        return torch.cat([_strip(images.photo(name).pixels(), at) for name, at in strips], 2)


def _strip(pixels: Tensor, at: float) -> Tensor:
    """An upright half of a square from (3,H,W) pixels, `at` of the way from left to right."""
    height, width = pixels.shape[1:]
    left = round(at * (width - height // 2))
    part = pixels[:, :, left : left + height // 2]
    return tvf.resize(part, [256, 128], antialias=True).clamp(0, 1)


PHOTOS = (CatAndDog(), "panda", "scarlet_macaw", "horse_2")


def cam_explorer(
    network: Network, photos: Sequence[str | images.Picture | CatAndDog] = PHOTOS
) -> Explorer:
    """Photo, map and both together, for a photo, a class, a layer and a method.

    Args:
        network: a classifier of the zoo.
        photos: names of the course's photos, or pictures.

    Returns:
        The explorer. The CAM belongs to the last layer, whatever the slider says. A new photo,
        class, layer or method costs passes of the network; opacity only redraws.
    """
    stages = map_layers(network)
    heat = remember(partial(heat_map, network))
    depth = slider(0, len(stages) - 1, len(stages) - 1, label="layer, by depth")

    def draw(
        photo: Photo, class_index: int, method: str, layer: int, opacity: float
    ) -> tuple[dict[str, Tensor], str]:
        depth.disabled = method == "CAM"
        stage = stages[-1] if depth.disabled else stages[layer]
        array, detail = heat(photo, class_index, method, stage)
        pixels = network.crop_pixels(photo.pixels)[0]
        places = f"{stage}, {array.shape[0]} × {array.shape[1]}"
        cells = nn.functional.interpolate(array[None, None], pixels.shape[1:])[0, 0]
        drawn = {"photo": pixels, places: coloured(cells)}
        if detail is None:
            drawn[method] = show.overlay(pixels, array, opacity)
        else:
            drawn[method] = opacity * detail + (1 - opacity) * pixels.cpu()
        return drawn, describe(network.labels[class_index], photo.name, method, places, array)

    return explore(
        draw,
        cannot=(
            "What the evidence is, and what speaks against the class: a map is coarse, and "
            "negative values are cut off."
        ),
        photo=photos,
        network=network,
        method=choice(METHODS),
        layer=depth,
        opacity=slider(0.0, 1.0, 0.75, live=True),
    )


def map_layers(network: Network) -> list[str]:
    """The layers with feature maps of more than one place, as far as the last that CAM can use."""
    classes = len(network.labels)
    return [name for name, channels in mapped_layers(network).items() if channels != classes]


def heat_map(
    network: Network, photo: Photo, class_index: int, method: str, layer: str
) -> tuple[Tensor, Tensor | None]:
    """The map (h,w) of one photo, never negative, and for guided Grad-CAM its picture too."""
    x = network.preprocess(photo.pixels)
    if method == "CAM":
        return cam.cam(network, x, class_index)[0].relu().cpu(), None
    array = cam.grad_cam(network, x, class_index, layer)[0].cpu()
    if method == "Grad-CAM":
        return array, None
    detail = cam.guided_grad_cam(network, x, class_index, layer)[0].cpu()
    return array, guided.as_picture(detail)


def describe(label: str, photo: str, method: str, places: str, array: Tensor) -> str:
    """The map in words: how much of it lies on the left; for one that is zero, why."""
    name = photo.replace("_", " ")
    if array.max() <= 0:
        return f"{method} of “{label}” for {name} at {places}: no place speaks for this class."
    wide = cam.upsample(array[None], 224)[0]
    left = 100 * (wide[:, :112].sum() / wide.sum()).item()
    hottest = wide.flatten().topk(wide.numel() // 10).values.sum() / wide.sum()
    return (
        f"{method} of “{label}” for {name} at {places}: {left:.0f} % of the map lies in the left "
        f"half, {100 * hottest.item():.0f} % in its hottest tenth."
    )
