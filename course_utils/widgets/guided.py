"""Lecture 07: the gradient of any unit or class under three ReLU rules."""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_utils import guided, layers
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo, mapped_layers
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("lemur", "scarlet_macaw", "kitten", "butterfly")
RANKS = 16
SCORE = "class score"
SMALL = 9
"""Pixels: the frame of a smaller field lies around it."""


def guided_explorer(
    network: Network, photos: Sequence[str] = PHOTOS, of: Sequence[str] = ()
) -> Explorer:
    """Photo, a unit's patch and its gradient, for a photo, a layer, a channel and a rule.

    Args:
        network: a classifier of the zoo that can be traced.
        photos: names of the course's photos.
        of: its layers to choose from; feature maps, all of them by default.

    Returns:
        The explorer. The channels are offered by strength: 1 is the one whose strongest unit fires
        most for this photo, against the layer's other channels. For the class score they are
        classes, the most probable first. Any change costs passes of the network.
    """
    offered = [*(of or _feature_layers(network)), SCORE]
    look = remember(lambda photo, layer, rank, rule: _views(network, photo, layer, rank, rule))

    def draw(photo: Photo, layer: str, rank: int, rule: str) -> tuple[dict[str, Tensor], str]:
        return look(photo, layer, rank, rule)

    middle = offered[len(offered) // 2]
    return explore(
        draw,
        cannot=(
            "That the network used these edges: the picture resembles the photo for nearly "
            "any channel."
        ),
        photo=photos,
        layer=choice(offered, "fire5" if "fire5" in offered else middle),
        rank=slider(1, RANKS, label="channel rank"),
        rule=choice(list(guided.RULES), "guided"),
    )


def relu_explorer(network: Network, photos: Sequence[str] = PHOTOS) -> Explorer:
    """A class's gradient while the ReLUs come under a rule one by one, from the score downwards.

    Args:
        network: a classifier of the zoo.
        photos: names of the course's photos.

    Returns:
        The explorer. Any change costs two forward passes and one backward pass.
    """
    zeros = torch.zeros(1, 3, network.crop, network.crop, device=network.device)
    there = guided.relu_calls(network, zeros)

    def draw(
        photo: Photo, class_index: int, rule: str, upper: int
    ) -> tuple[dict[str, Tensor], str]:
        x = network.preprocess(photo.pixels)
        gradient = guided.upper_gradient(network, x, class_index, upper, rule)[0].cpu()
        drawn = {
            "photo": network.crop_pixels(photo.pixels)[0],
            f"{upper} of {there} ReLUs under the rule": guided.as_picture(gradient),
        }
        name, label = photo.name.replace("_", " "), network.labels[class_index]
        return drawn, (
            f"The score of “{label}” for {name}: the {upper} of {there} ReLUs next to the score "
            f"follow the rule “{rule}”, the others the chain rule. Grey is zero."
        )

    return explore(
        draw,
        cannot=(
            "Which class it was asked for: guided pictures of two classes are nearly the "
            "same. Compare before you believe one."
        ),
        photo=photos,
        network=network,
        rule=choice([rule for rule in guided.RULES if rule != "backprop"], "guided"),
        upper=slider(0, there, there // 2, label="ReLUs from top"),
    )


def _feature_layers(network: Network) -> list[str]:
    """The layers with rows and columns that have at least `RANKS` channels."""
    classes = len(network.labels)
    return [n for n, channels in mapped_layers(network).items() if RANKS <= channels < classes]


def _views(
    network: Network, photo: Photo, layer: str, rank: int, rule: str
) -> tuple[dict[str, Tensor], str]:
    x, pixels = network.preprocess(photo.pixels), network.crop_pixels(photo.pixels)[0]
    name = photo.name.replace("_", " ")
    if layer == SCORE:
        with torch.no_grad():
            index = network(x)[0].topk(rank).indices[-1].item()
        gradient = guided.class_gradient(network, x, index, rule)[0].cpu()
        drawn = {"photo": pixels, f"{rule}, the whole photo": guided.as_picture(gradient)}
        return drawn, f"{rule}: the score of “{network.labels[index]}” for {name}. Grey is zero."
    maps = layers.activations(network, x, layer)
    channel = maps[0].amax((1, 2)).topk(rank).indices[-1].item()
    value, unit = guided.strongest_units(maps, channel)
    gradient = guided.unit_gradient(network, x, layer, channel, unit, rule)[0].cpu()
    field = layers.receptive_field(network, layer, tuple(x.shape[2:]))
    top, left, bottom, right = field.box(*unit[0].tolist())
    drawn = {
        "photo, and what the unit sees": framed(pixels, (top, left, bottom, right)),
        "the unit's patch": pixels[:, top:bottom, left:right],
        rule: guided.as_picture(gradient[:, top:bottom, left:right]),
    }
    row, column = unit[0].tolist()
    text = f"{rule}: channel {channel} of {layer} for {name}, activation {value.item():.1f} at row "
    return drawn, f"{text}{row}, column {column}; the unit sees {field.size[0]} pixels across."


def framed(pixels: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Pixels (3,H,W) with a frame along (top, left, bottom, right), two pixels wide.

    It lies within the box; around it, with some room, where the box is too small to hold it.
    """
    top, left, bottom, right = box
    if min(bottom - top, right - left) < SMALL:
        top, left, bottom, right = max(top - 6, 0), max(left - 6, 0), bottom + 6, right + 6
    inside = torch.zeros(pixels.shape[1:], dtype=torch.bool, device=pixels.device)
    inside[top:bottom, left:right] = True
    inside[top + 2 : bottom - 2, left + 2 : right - 2] = False
    orange = torch.tensor([0.9, 0.6, 0.0], device=pixels.device)[:, None, None]
    return torch.where(inside, orange, pixels)
