"""What a transform network may be trained on: pictures whose licence allows it."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import images
from course_utils.common.errors import unknown
from course_utils.images import Picture

FREE = re.compile(r"LicenseRef-Public-Domain|CC0-1\.0|CC-BY-\d\.\d")
"""Licences of pictures that a style network may be trained on; see data/README.md."""

COPYLEFT = "GPL-3.0-or-later"
"""The one other licence of a reproduction that a style network may learn from: it inherits it."""

HELD_OUT = (
    *("panda", "koala", "chelsea", "red_panda", "horse_2", "citede_carcassonne", "eiffel_tower"),
    *("golden_temple", "chateaude_chenonceau", "brandenburg_gate", "great_wallof_china"),
)
"""Photos that no shipped network has seen, to look at what it does with a new one."""


def is_free(picture: Picture) -> bool:
    """Whether networks may be trained on it: public domain, CC0 or CC-BY alone."""
    return bool(FREE.fullmatch(picture.license))


def network_license(picture: Picture) -> str:
    """The licence, as an SPDX expression, of a network that is trained on a picture's style.

    A picture that is free in the sense of `FREE` asks nothing of it: the course's own, MIT. One
    whose reproduction came under the GPL hands that on.

    Raises:
        ValueError: another licence; names it and the paintings that can be had.
    """
    if is_free(picture):
        return "MIT"
    if picture.license == f"LicenseRef-Public-Domain AND {COPYLEFT}":
        return COPYLEFT
    free = [painting.name for painting in images.paintings() if is_free(painting)]
    raise ValueError(
        f"style={picture.name!r} has the licence {picture.license}, which a network trained on it "
        "would inherit; accepted: pictures in the public domain, CC0 or CC-BY, such as the "
        f"paintings {', '.join(free)}, and reproductions under {COPYLEFT}."
    )


def style_picture(name: str) -> Picture:
    """The painting or photo of that name, if its licence allows to train on it.

    Raises:
        ValueError: no such picture (near spellings are suggested), or a licence as in
            `network_license`.
    """
    every = {picture.name: picture for picture in [*images.photos(), *images.paintings()]}
    if name not in every:
        raise ValueError(unknown("style", name, [p.name for p in images.paintings()], "paintings"))
    network_license(every[name])
    return every[name]


def training_photos() -> list[Picture]:
    """The course's freely licensed photos without those in `HELD_OUT`."""
    return [p for p in images.photos() if is_free(p) and p.name not in HELD_OUT]


class Crops:
    """Random squares of photos: of any size from the crops' own up to the whole short side.

    Args:
        photos: pictures, or tensors (3,H,W) in 0-1.
        side: of the crops, in pixels.
        seed: of the choice.

    Raises:
        ValueError: no photos.
    """

    def __init__(self, photos: Sequence[object], side: int, seed: int) -> None:
        if not photos:
            raise ValueError("photos: none came; accepted: one or more")
        # In 8 bits two hundred photos take 60 MB.
        read = (images.read(photo, 3 * side) for photo in photos)
        self.photos = [(pixels * 255).round().byte() for pixels in read]
        self.side, self.random = side, torch.Generator().manual_seed(seed)

    def draw(self, n: int) -> Tensor:
        """(n,3,side,side) in 0-1, on the CPU."""
        return torch.stack([self._one() for _ in range(n)])

    def _one(self) -> Tensor:
        photo = self.photos[self._integer(0, len(self.photos) - 1)]
        height, width = photo.shape[1:]
        short = min(height, width)
        size = self._integer(min(self.side, short), short)
        top, left = self._integer(0, height - size), self._integer(0, width - size)
        crop = photo[:, top : top + size, left : left + size].float() / 255
        crop = tvf.resize(crop, [self.side, self.side], antialias=True).clamp(0, 1)
        return crop.flip(2) if self._integer(0, 1) else crop

    def _integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (1,), generator=self.random, device="cpu"))
