"""Lecture 02: the feature maps of a photo, by layer and channel."""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_utils import activations, layers, show
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider, switch
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("camels", "koala", "horse", "dog", "panda", "charminar")


def activations_explorer(
    network: Network, names: Sequence[str], photos: Sequence[str] = PHOTOS
) -> Explorer:
    """Photo, one channel's map, and the map laid over the photo, for a layer and a channel.

    Args:
        network: a network of the zoo.
        names: the layers to choose from.
        photos: names of the course's photos.

    Returns:
        The explorer. A new photo or layer costs one pass of the network; the channel only redraws.
        The channel counts by strength, from the strongest (1) down, or by its number in the layer.
    """

    @remember
    def maps_of(photo: Photo, layer: str) -> tuple[Tensor, Tensor]:
        x = network.preprocess(photo.pixels)
        with torch.no_grad():
            maps = layers.activations(network, x, layer).cpu()
        return maps[0], activations.strongest_channels(maps, maps.shape[1])[0]

    channel = slider(1, 64, live=True)

    def draw(
        photo: Photo, layer: str, channel: int, by_strength: bool
    ) -> tuple[dict[str, Tensor], str]:
        maps, order = maps_of(photo, layer)
        place = min(channel, len(maps)) - 1
        k = order[place].item() if by_strength else place
        pixels = network.crop_pixels(photo.pixels)[0]
        tile = activations.tiles(maps)[k]
        large = torch.nn.functional.interpolate(tile[None, None], pixels.shape[1:])[0]
        drawn = {
            "photo": pixels,
            f"{layer}, channel {k}": large.expand(3, -1, -1),
            "overlay": show.overlay(pixels, maps[k], 0.6),
        }
        return drawn, describe(photo.name, layer, k, maps)

    choices = list(names)
    return explore(
        draw,
        photo=photos,
        layer=choice(choices, choices[-1]),
        channel=channel,
        by_strength=switch(True, label="count by strength"),
    )


def describe(photo: str, layer: str, k: int, maps: Tensor) -> str:
    """One channel in words: its size, how much of it is zero, and its rank."""
    zero = activations.sparsity(maps[None])[0, k]
    strength = maps.amax((1, 2))
    rank = int((strength > strength[k]).sum()) + 1
    return (
        f"Channel {k} of {layer} for {photo.replace('_', ' ')}: {maps.shape[1]} x {maps.shape[2]} "
        f"units, {100 * zero:.0f} % of them 0; by its largest activation, {strength[k]:.2f}, it is "
        f"number {rank} of {len(maps)}."
    )
