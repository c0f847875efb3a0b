"""What takes too long for a notebook, measured by `data/rebuild_attention.py`."""

import csv
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import images
from course_utils.common import paths
from course_utils.common.errors import unknown


@cache
def _studies() -> dict[str, object]:
    return paths.stored("attention.json")


def stored(study: str) -> dict:
    """The numbers of one study.

    Raises:
        ValueError: no such study; near spellings are suggested.
    """
    found = _studies()
    if study not in found:
        raise ValueError(unknown("study", study, list(found), "stored studies"))
    return found[study]


def stored_arrays() -> dict[str, np.ndarray]:
    """Heads ("NETWORK.weight" (46,D) and "NETWORK.bias"), "cls" and "mean" (N,384), float16.

    "cls" are the [CLS] tokens of `images.photos()`, "mean" the means of their patches' tokens.
    """
    with np.load(paths.data("attention.npz"), allow_pickle=False) as file:
        return dict(file)


def animals(side: int = 392) -> tuple[Tensor, list[dict[str, list[tuple[float, float]]]]]:
    """Photos of animals whose eyes, ears and noses are marked in `data/parts_of_animals.csv`.

    The points were placed by hand on a square of each photo, and looked at again in enlargements;
    "left" says where in the photo the square lies, 0 at its left or upper end and 1 at the other.

    Args:
        side: of the squares, in pixels.

    Returns:
        pixels (N,3,side,side) in 0-1, and of each animal part -> points, each a row and a column
        as shares of the side.
    """
    with paths.data("parts_of_animals.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    where = {row["photo"]: float(row["left"]) for row in rows}
    parts: dict[str, dict] = {name: {} for name in where}
    for row in rows:
        point = float(row["row"]), float(row["column"])
        parts[row["photo"]].setdefault(row["part"], []).append(point)
    return torch.stack([_square(n, at, side) for n, at in where.items()]), list(parts.values())


def _square(name: str, at: float, side: int) -> Tensor:
    pixels = images.photo(name).pixels()
    short = min(pixels.shape[1:])
    top, left = (round(at * (n - short)) for n in pixels.shape[1:])
    part = pixels[:, top : top + short, left : left + short]
    return tvf.resize(part, [side, side], antialias=True).clamp(0, 1)
