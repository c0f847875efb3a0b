"""Lecture 17: whom a patch asks, by photo, block, head and place."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from course_utils import attention, patches, show
from course_utils.images import Picture
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider, switch
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.pictures import coloured

PHOTOS = ("kitten", "panda", "red_panda", "horse", "taj_mahal", "scarlet_macaw")
ALL = "mean of the heads"


def attention_explorer(
    network: Network,
    photos: Sequence[str | Picture] = PHOTOS,
    block: int | None = None,
    head: int = 0,
) -> Explorer:
    """The photo with the patch that asks, what it takes from every patch, and both together.

    Args:
        network: a network with a transformer in it.
        photos: names of the course's photos, or pictures.
        block, head: what is shown first; the last block but one by default.

    Returns:
        The explorer. A new photo costs one pass of the network; all other controls only look up.

    Raises:
        ValueError: a network without transformer.
    """
    body = attention.transformer(network)
    side, depth = network.crop // body.patch, len(body.blocks)
    heads = {ALL: ALL} | {f"head {h}": h for h in range(body.blocks[0].attn.heads)}

    @remember
    def maps_of(photo: Photo) -> Tensor:
        return attention.look(network, network.preprocess(photo.pixels))[:, 0].half().cpu()

    def draw(
        photo: Photo, block: int, head: int | str, cls: bool, row: int, column: int
    ) -> tuple[dict[str, Tensor], str]:
        one = maps_of(photo)[block - 1].float()
        matrix = one.mean(0) if head == ALL else one[head]
        asked = 0 if cls else 1 + row * side + column
        taken = matrix[asked, 1:].view(side, side)
        pixels = network.crop_pixels(photo.pixels)[0]
        edge = body.patch * row, body.patch * column
        box = (*edge, *(e + body.patch for e in edge))
        cells = functional.interpolate(taken[None, None], pixels.shape[1:])[0, 0]
        which = f"block {block}, {head if head == ALL else f'head {head}'}"
        drawn = {
            "[CLS] asks" if cls else "this patch asks": pixels
            if cls
            else patches.frame(pixels, box, 2),
            which: coloured(cells),
            "on the photo": show.overlay(pixels, taken),
        }
        return drawn, describe(which, photo.name, matrix[asked], asked, side, body.patch)

    return explore(
        draw,
        cannot=(
            "What the network made of what it took: attention says how much comes from where, not "
            "what came, nor whether the answer needed it."
        ),
        photo=photos,
        block=slider(1, depth, block or depth - 1, live=True),
        head=choice(heads, head),
        cls=switch(False, label="[CLS] asks instead of a patch"),
        row=slider(0, side - 1, side // 2, live=True),
        column=slider(0, side - 1, side // 2, live=True),
    )


def describe(which: str, photo: str, shares: Tensor, asked: int, side: int, patch: int) -> str:
    """What one token takes, in words: from [CLS], from itself, from how many and how far.

    Args:
        which: block and head.
        photo: its name.
        shares: (1+side*side,), what it takes from [CLS] and from every patch.
        asked: its number, 0 for [CLS].
        side: patches in a row.
        patch: side of a patch, in pixels.
    """
    ranked = shares[1:].sort(descending=True).values
    few = int((ranked.cumsum(0) < 0.5 * ranked.sum()).sum()) + 1
    begin = f"{which}, {photo.replace('_', ' ')}: "
    if asked == 0:
        return (
            f"{begin}[CLS] keeps {100 * shares[0]:.0f} % for itself; half of the rest comes from "
            f"{few} of {side * side} patches."
        )
    places = torch.stack(torch.meshgrid(*[torch.arange(side)] * 2, indexing="ij"), -1).view(-1, 2)
    far = (places - places[asked - 1]).float().norm(dim=1)
    mean = patch * (shares[1:] * far).sum() / shares[1:].sum().clamp(min=1e-12)
    return (
        f"{begin}the patch takes {100 * shares[0]:.0f} % from [CLS] and "
        f"{100 * shares[asked]:.1f} % from itself; half of what it takes from patches comes from "
        f"{few} of {side * side}, on average {mean:.0f} pixels away."
    )
