"""Lecture 03: the patches that excite a channel most, and where they lie in their photos."""

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from course_utils import layers, patches, show
from course_utils.models import Network
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember

LAYER, CHANNEL, SHOWN = "fire5", 150, 9


def patches_explorer(
    network: Network,
    pixels: Tensor,
    names: Sequence[str],
    best: Mapping[str, patches.BestUnits],
    layer: str = LAYER,
    channel: int = CHANNEL,
) -> Explorer:
    """Nine patches of a channel, one of their photos with the field, and the channel's map there.

    Args:
        network: the network of `best`.
        pixels: the photos (N,3,H,W) in 0-1, N >= 9.
        names: of the photos.
        best: layer -> `BestUnits` of all photos, from `patches.best_units`.
        layer, channel: what is shown first.

    Returns:
        The explorer. A new layer or channel only looks up; a photo's map costs one forward pass of
        that photo, once.
    """
    fields = cache(lambda name: patches.fields(network, name, tuple(pixels.shape[-2:])))
    which, number = choice(list(best), layer), slider(0, 1, 0)
    number.max, number.value = best[layer].values.shape[1] - 1, channel

    @remember
    def activations(name: str, photo: int) -> Tensor:
        return layers.activations(network, network.normalize(pixels[photo, None]), name)[0].cpu()

    def fit(change: dict) -> None:
        number.max = best[change["new"]].values.shape[1] - 1  # a value beyond it becomes the last

    def draw(layer: str, channel: int, rank: int) -> tuple[dict[str, Tensor], str]:
        photos, positions, values = best[layer].top(channel, SHOWN)
        photo, place = int(photos[rank - 1]), positions[rank - 1].tolist()
        box, where = fields(layer).box(*place), fields(layer)
        drawn = {
            f"the {SHOWN} strongest": mosaic(patches.crops(pixels, photos, positions, where)),
            f"number {rank}": patches.frame(pixels[photo], box),
            "the channel's map": show.overlay(pixels[photo], activations(layer, photo)[channel]),
        }
        return drawn, (
            f"{layer}, channel {channel}: {where.size[0]} x {where.size[1]} pixels a unit; number "
            f"{rank} is unit {tuple(place)} of {names[photo]}, activation {values[rank - 1]:.1f}."
        )

    which.observe(fit, "value")
    return explore(
        draw,
        cannot=(
            "The patches are from the course's own photos; others might suggest another "
            "meaning of the channel."
        ),
        layer=which,
        channel=number,
        rank=slider(1, SHOWN, 1, live=True),
    )


def mosaic(crops: Sequence[Tensor], columns: int = 3, side: int = 288) -> Tensor:
    """Patches of one size in reading order: (3,H,W), about `side` pixels wide.

    The pixels of small patches are enlarged to whole squares; large patches are shrunk, because a
    picture larger than the screen's costs time whenever a control moves.
    """
    tiles, room = torch.stack(list(crops)), side // columns
    if tiles.shape[-1] > room:
        tiles = functional.interpolate(tiles, (room, room), mode="bilinear", antialias=True)
    times = max(1, room // tiles.shape[-1])
    tiles = tiles.repeat_interleave(times, 2).repeat_interleave(times, 3)
    framed = functional.pad(tiles, (0, 4, 0, 4), value=1.0)
    rows = [torch.cat(list(framed[i : i + columns]), 2) for i in range(0, len(framed), columns)]
    return torch.cat(rows, 1)[:, :-4, :-4]
