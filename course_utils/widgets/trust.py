"""Lecture 09: a network forgets layer after layer; a photo loses one pixel after another."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from course_utils import trust
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.pictures import coloured

PHOTOS = ("scarlet_macaw", "koala", "panda")
SIGNED = ("occlusion", "gradient x input", "CAM")


def randomisation_explorer(network: Network, photos: Sequence[str] = PHOTOS) -> Explorer:
    """The trained network's map beside that of the same network with some layers random.

    Args:
        network: a network of `trust.STAGES`.
        photos: names of the course's photos.

    Returns:
        The explorer. Every new setting costs the passes that the method needs.
    """
    stages = trust.STAGES[network.name]
    heat = remember(partial(heat_map, network))

    def draw(
        photo: Photo, class_index: int, method: str, groups: int
    ) -> tuple[dict[str, Tensor], str]:
        trained, now = (heat(photo, class_index, method, k) for k in (0, groups))
        last = "trained" if groups == 0 else f"random down to {stages[groups - 1][-1]}"
        pixels = network.crop_pixels(photo.pixels)[0]
        signed = method in SIGNED
        drawn = {"photo": pixels, method: coloured(trained, signed)}
        # Two pictures must not share a title: with nothing random both would be "trained".
        drawn[f"{method}, {last}"] = coloured(now, signed)
        rank = trust.rank_correlation(trained[None], now[None]).item()
        return drawn, (
            f"{method} of “{network.labels[class_index]}” for {photo.name.replace('_', ' ')}, "
            f"{groups} of {len(stages)} groups of layers random: rank correlation {rank:.2f} with "
            "the trained network's map."
        )

    return explore(
        draw,
        cannot=(
            "That a map is right: one that changes with the weights may still show the wrong place."
        ),
        photo=photos,
        network=network,
        method=choice(tuple(trust.METHODS), "guided backprop"),
        groups=slider(0, len(stages), len(stages), label="random groups"),
    )


def heat_map(network: Network, photo: Photo, class_index: int, method: str, groups: int) -> Tensor:
    """A method's map (H,W) of one photo while the last `groups` stages are random."""
    forgotten = [s for stage in trust.STAGES[network.name][:groups] for s in stage]
    model = trust.randomised(network, forgotten) if forgotten else network
    classes = torch.tensor([class_index], device=network.device)
    return trust.METHODS[method].explain(model, network.preprocess(photo.pixels), classes)[0].cpu()


def deletion_explorer(network: Network, photos: Sequence[str] = PHOTOS) -> Explorer:
    """A photo that loses the pixels a map calls important, and one that has only those.

    Args:
        network: a network of `trust.STAGES`.
        photos: names of the course's photos.

    Returns:
        The explorer. A new photo, class or method costs its passes; the share costs one pass.
    """
    heat = remember(partial(heat_map, network))

    def draw(
        photo: Photo, class_index: int, method: str, percent: int
    ) -> tuple[dict[str, Tensor], str]:
        x, array = network.preprocess(photo.pixels), heat(photo, class_index, method, 0)
        gone = trust.places(array[None])[:, None] < array.numel() * percent // 100
        blurry = trust.blurred(x, 12.0)
        two = torch.cat(
            [torch.where(gone.to(x.device), a, b) for a, b in ((0 * x, x), (x, blurry))]
        )
        with torch.no_grad():
            left, given = network(two).softmax(1)[:, class_index].tolist()
        without, only = network.denormalize(two).clamp(0, 1).cpu()
        drawn = {
            method: coloured(array, method in SIGNED),
            f"without: {left:.2f}": without,
            f"only, on a blur: {given:.2f}": only,
        }
        return drawn, (
            f"“{network.labels[class_index]}” has probability {left:.2f} without the first "
            f"{percent} % of the pixels in the order of {method}, and {given:.2f} with only those."
        )

    return explore(
        draw,
        cannot=(
            "Evidence alone: a photo with holes is new to the network, so the curve measures "
            "surprise, too."
        ),
        photo=photos,
        network=network,
        method=choice(tuple(trust.METHODS), "Grad-CAM"),
        percent=slider(0, 100, 15, label="pixels, %"),
    )
