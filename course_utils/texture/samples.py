"""The samples of lecture 14, squares cut from the course's pictures."""

from dataclasses import dataclass

from torch import Tensor

from course_utils import images


@dataclass(frozen=True)
class Sample:
    """A square cut from one of the course's pictures.

    Attributes:
        kind: "painting" or "photo".
        name: the picture's.
        top, left, side: the square, in pixels of the picture.
    """

    kind: str
    name: str
    top: int
    left: int
    side: int

    @property
    def picture(self) -> images.Picture:
        """Where it is from, with its credit."""
        return images.painting(self.name) if self.kind == "painting" else images.photo(self.name)

    def pixels(self, side: int | None = None) -> Tensor:
        """(3,side,side) in 0-1; at true size by default."""
        whole = self.picture.pixels()
        cut = whole[:, self.top : self.top + self.side, self.left : self.left + self.side]
        return images.square(cut, side or self.side)


SAMPLES = {
    "leaves": Sample("painting", "painter_on_his_way_to_work", 350, 8, 128),
    "anemone": Sample("photo", "fish9", 106, 50, 128),
    "spines": Sample("photo", "hedgehog", 105, 140, 100),
    "stones": Sample("photo", "great_pyramid_of_giza", 104, 136, 128),
    "cobbles": Sample("painting", "cafe_terrace_at_night", 410, 275, 84),
    "squiggles": Sample("photo", "pillow", 95, 75, 72),
}
"""Samples that the lecture uses, by name."""
