"""What takes too long for lecture 15: pictures, in `data/style_pictures`, and figures of pairs."""

from dataclasses import dataclass

from torch import Tensor

from course_utils import images
from course_utils.common import paths
from course_utils.common.errors import unknown


@dataclass(frozen=True)
class Stored:
    """A picture painted beforehand.

    Attributes:
        pixels: (3,H,W) in 0-1, as they were painted but for the 8 bits.
        facts: among others the "command" that paints it again, "evaluations" of the loss,
            "processor seconds" and "loss".
    """

    pixels: Tensor
    facts: dict


def stored(name: str) -> Stored:
    """One of the stored pictures.

    Raises:
        ValueError: no such picture; near spellings are suggested.
    """
    facts = paths.stored("style_pictures", "facts.json")
    if name not in facts:
        raise ValueError(unknown("name", name, list(facts), "stored pictures"))
    file = paths.data("style_pictures", f"{name}.webp")
    return Stored(images.read(file), facts[name])


def pairs() -> list[dict]:
    """What was measured of eleven pairs of photo and painting, the lecture's own first.

    Made by `data/rebuild_style_pairs.py`.

    Returns:
        For each its "photo" and "painting"; "race", the share of the photo's loss left by each
        rule and what it varies; "colours", how far mean and spread of the colours are from the
        painting's, and "content", the share of it lost, in per cent; "grown", two losses at 192
        pixels.
    """
    return paths.stored("style_pairs.json")["pairs"]
