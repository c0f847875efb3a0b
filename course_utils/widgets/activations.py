"""Lecture 02: the feature maps of a photo, by layer and channel."""

from collections.abc import Callable, Sequence

import ipywidgets
import torch
from torch import Tensor

from course_utils import activations, layers, show
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo, PhotoChooser
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, remember

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
        `channel` is its number in the layer, `rank` its place by strength at this photo: moving
        one moves the other. Another photo keeps the channel; another layer starts at its strongest.
    """

    @remember
    def maps_of(photo: Photo, layer: str) -> tuple[Tensor, list[int]]:
        x = network.preprocess(photo.pixels)
        with torch.no_grad():
            maps = layers.activations(network, x, layer).cpu()
        return maps[0], activations.strongest_channels(maps, maps.shape[1])[0].tolist()

    def draw(photo: Photo, layer: str, channel: int, rank: int) -> tuple[dict[str, Tensor], str]:
        maps, order = maps_of(photo, layer)
        pixels = network.crop_pixels(photo.pixels)[0]
        tile = activations.tiles(maps[channel][None])[0]  # of 64 large maps only the one shown
        large = torch.nn.functional.interpolate(tile[None, None], pixels.shape[1:])[0]
        drawn = {
            "photo": pixels,
            f"{layer}, channel {channel}": large.expand(3, -1, -1),
            "overlay": show.overlay(pixels, maps[channel], 0.6),
        }
        return drawn, describe(photo.name, layer, channel, maps, order)

    controls = {
        "photo": PhotoChooser(photos),
        "layer": choice(list(names), names[-1], label="layer"),
        "channel": slider(0, 1, 0, live=True, label="channel"),
        "rank": slider(1, 2, 1, live=True, label="rank"),
    }
    _keep_in_step(controls, lambda: maps_of(controls["photo"].value, controls["layer"].value)[1])
    cannot = (
        "That a channel is bright says neither what it stands for nor that the answer needs it."
    )
    return Explorer(draw, controls, cannot=cannot)


def _keep_in_step(controls: dict[str, ipywidgets.Widget], order: Callable[[], list[int]]) -> None:
    """Makes `channel` and `rank` follow each other, the photo and the layer.

    Args:
        controls: photo, layer, channel and rank.
        order: () -> the channels of the present layer at the present photo, strongest first.
    """
    channel, rank = controls["channel"], controls["rank"]

    def by_rank(change: dict) -> None:
        channel.value = order()[rank.value - 1]

    def by_channel(change: dict) -> None:
        rank.value = order().index(channel.value) + 1

    def new_layer(change: dict | None = None) -> None:
        channels = order()
        rank.unobserve(by_rank, "value")
        channel.unobserve(by_channel, "value")
        # Never an end below the value: it would be cut, and one more channel be drawn.
        channel.max, rank.max = max(channel.max, len(channels) - 1), max(rank.max, len(channels))
        channel.value, rank.value = channels[0], 1
        channel.max, rank.max = len(channels) - 1, len(channels)
        rank.observe(by_rank, "value")
        channel.observe(by_channel, "value")

    new_layer()
    controls["photo"].observe(by_channel, "value")
    controls["layer"].observe(new_layer, "value")


def describe(photo: str, layer: str, k: int, maps: Tensor, order: Sequence[int]) -> str:
    """One channel in words: its size, how much of it is zero, and its rank."""
    zero = activations.sparsity(maps[None, k : k + 1]).item()
    return (
        f"Channel {k} of {layer} for {photo.replace('_', ' ')}: {maps.shape[1]} x {maps.shape[2]} "
        f"units, {100 * zero:.0f} % of them 0; by its largest activation, {maps[k].max():.2f}, it "
        f"is number {order.index(k) + 1} of {len(maps)}."
    )
