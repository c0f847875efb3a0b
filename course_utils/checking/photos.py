"""Cases on a photo: what SqueezeNet makes of it is the picture below a cell.

Everything is made on the CPU, where cases are judged.
"""

import torch
from torch import Tensor

from course_utils import images, models
from course_utils.checking.core import Case, NetworkSpec

SPEC = NetworkSpec("squeezenet1_1")
"""The network, as an argument of a case."""


def network() -> models.Network:
    """The network itself, for what is to be known before a case is made."""
    return models.load(SPEC.name, device="cpu")


def pixels(name: str = "panda") -> Tensor:
    """The part of a photo of the course that the network sees: (1,3,224,224) in 0-1."""
    return network().crop_pixels(images.photo(name))


def seen(name: str = "panda") -> Tensor:
    """The same as the network takes it: normalised."""
    return network().preprocess(images.photo(name))


def case(name: str = "panda", label: str = "", **more: object) -> Case:
    """The network and a photo, as `model` and `x`, and what else the function takes.

    Args:
        name: of the photo.
        label: the class that is asked about, as `classes`; no such argument where it is empty.
        more: the other arguments, in the function's order.
    """
    asked = {"classes": torch.tensor([network().index(label)])} if label else {}
    return Case({"model": SPEC, "x": seen(name)} | asked | more, "a photo")


def colours(result: Tensor) -> Tensor:
    """The first of normalised images (N,3,H,W), as one looks at it: (3,H,W), grey where it is 0."""
    return network().denormalize(result)[0]
