"""Large textures that took minutes: converged, and stored with what they cost.

    python data/rebuild_textures.py                       # all of them
    python data/rebuild_textures.py squeezenet1_1_relu1   # one

The ladder has one texture for each network and depth. Beside it stand the four methods of the
lecture, all of one size.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from course_utils import images
from course_utils.common import paths
from course_utils.common.errors import unknown
from course_utils.texture.gram_matrices import LAYERS

LADDER_SAMPLE = "anemone"
LADDER_SIDE = 256

COMPARED_SAMPLES, COMPARED_SIDE = ("stones", "anemone"), 160
COMPARED_NETWORK = "squeezenet1_1"
METHODS = ("pixels", "quilt", "statistics", "gram")

SHARE, STEPS = 5e-4, 800
"""A descent ends when this share of the loss of noise is left, whatever the depth, so that none is
further from its goal than another; or after so many steps. All do the former but "anemone_gram",
of which 0.0007 is left after 800 steps, and 0.0005 after 4,000."""


def names_of_ladders() -> list[str]:
    """The stored textures of the ladders, network by network, shallow to deep."""
    return [f"{network}_{deepest}" for network, names in LAYERS.items() for deepest in names]


def names_compared() -> list[str]:
    """The stored textures of the comparison, method by method for each sample."""
    return [f"{sample}_{method}" for sample in COMPARED_SAMPLES for method in METHODS]


def stored(name: str, folder: Path | None = None) -> Tensor:
    """A stored texture (3,H,W) in 0-1, on the CPU.

    Args:
        name: "NETWORK_LAYER" of the ladder, or "SAMPLE_METHOD" of the comparison.
        folder: where it lies, "textures" in the course's data by default.

    Raises:
        ValueError: an unknown name.
    """
    known = [*names_of_ladders(), *names_compared()]
    if name not in known:
        raise ValueError(unknown("name", name, known, "stored textures"))
    return images.read((folder or paths.data("textures")) / f"{name}.webp")


def costs(folder: Path | None = None) -> Mapping[str, Mapping]:
    """Of each texture of the ladder its "losses", one a step, "evaluations" and "seconds"
    of one processor."""
    return json.loads(((folder or paths.data("textures")) / "ladder.json").read_text("utf-8"))
