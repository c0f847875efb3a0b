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
from course_utils.common.optimise import Result
from course_utils.models import Network
from course_utils.texture.copying import by_pixels, quilt
from course_utils.texture.gram_matrices import LAYERS, synthesise
from course_utils.texture.samples import SAMPLES
from course_utils.texture.statistics import by_statistics

LADDER_SAMPLE = "anemone"
LADDER_SIDES = {"squeezenet1_1": 256, "vgg16_hed": 128}
"""VGG is asked for a smaller picture: for a pixel it computes twenty times as much."""

COMPARED_SAMPLES, COMPARED_SIDE = ("stones", "anemone"), 160
COMPARED_NETWORK = "squeezenet1_1"
METHODS = ("pixels", "quilt", "statistics", "gram")

STEPS = 200
"""After so many, less than a thousandth of the loss of noise is left, whatever the depth."""


def converge(model: Network, sample: Tensor, size: int, names: tuple[str, ...]) -> Result:
    """`synthesise`, with as many steps as the deepest layers need."""
    decay = 0.5 if model.name == "vgg16_hed" else 1.0
    return synthesise(model, sample, size, names, STEPS, decay=decay, keep=2)


def rung(model: Network, deepest: str) -> Result:
    """One texture of the ladder: all of `LAYERS` up to the deepest."""
    names = LAYERS[model.name]
    if deepest not in names:
        raise ValueError(unknown("deepest", deepest, names, f"layers for {model.name}"))
    sample = SAMPLES[LADDER_SAMPLE].pixels()
    side = LADDER_SIDES[model.name]
    return converge(model, sample, side, names[: names.index(deepest) + 1])


def compared(model: Network, sample: Tensor, method: str, side: int = COMPARED_SIDE) -> Tensor:
    """A texture (3,side,side) in 0-1 by one of `METHODS`; only "gram" asks the network."""
    if method == "gram":
        return converge(model, sample, side, LAYERS[model.name]).image[0]
    made = {
        "pixels": lambda: by_pixels(sample, side, 11).pixels,
        "quilt": lambda: quilt(sample, side, 48, seed=3).pixels,
        "statistics": lambda: by_statistics(sample, side),
    }
    if method not in made:
        raise ValueError(unknown("method", method, METHODS, "methods"))
    return made[method]()


# ------------------------------------------------------------------ what is stored


def names_of_ladder(network: str) -> list[str]:
    """The stored textures of a network's ladder, shallow to deep."""
    return [f"{network}_{deepest}" for deepest in LAYERS[network]]


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
    known = [*(n for network in LAYERS for n in names_of_ladder(network)), *names_compared()]
    if name not in known:
        raise ValueError(unknown("name", name, known, "stored textures"))
    return images.read((folder or paths.data("textures")) / f"{name}.webp")


def costs(folder: Path | None = None) -> Mapping[str, Mapping]:
    """Of each texture of the ladder its "losses", one a step, "evaluations" and "seconds"."""
    return json.loads(((folder or paths.data("textures")) / "ladder.json").read_text("utf-8"))
