"""Makes the pictures of `data/textures/` again, those that lecture 14 shows converged.

    python data/rebuild_textures.py [NAME ...] [--out FOLDER]

All of them take about ten minutes on an idle laptop, half of it for VGG. Another
machine rounds otherwise, so the pictures come out alike, not byte for byte.
"""

import argparse
import json
import time
from pathlib import Path

from torch import Tensor

from course_utils import images, models, texture
from course_utils.common import writing
from course_utils.common.optimise import Result
from course_utils.texture import converged


def converge(model: models.Network, sample: Tensor, size: int, names: tuple[str, ...]) -> Result:
    """`synthesise` until it has converged; deep layers need more steps."""
    asked = {"steps": converged.STEPS, "until": converged.SHARE, "keep": 2}
    decay = 0.5 if model.name == "vgg16_hed" else 1.0
    return texture.synthesise(model, sample, size, names, decay=decay, **asked)


def rung(model: models.Network, deepest: str) -> Result:
    """One texture of the ladder: all of `texture.LAYERS` up to the deepest."""
    names = texture.LAYERS[model.name]
    sample = texture.SAMPLES[converged.LADDER_SAMPLE].pixels()
    return converge(model, sample, converged.LADDER_SIDE, names[: names.index(deepest) + 1])


def compared(
    model: models.Network, sample: Tensor, method: str, side: int = converged.COMPARED_SIDE
) -> Tensor:
    """A texture (3,side,side) in 0-1 by one of the methods; only "gram" asks the network."""
    if method == "gram":
        return converge(model, sample, side, texture.LAYERS[model.name]).image[0]
    made = {
        "pixels": lambda: texture.by_pixels(sample, side, 11).pixels,
        "quilt": lambda: texture.quilt(sample, side, 48, seed=3).pixels,
        "statistics": lambda: texture.by_statistics(sample, side),
    }
    return made[method]()


def make(name: str, nets: dict[str, models.Network]) -> tuple[Tensor, dict | None]:
    """A texture, and what it cost if it belongs to the ladder."""
    for network in nets:
        if name.startswith(network):
            began = time.process_time()
            run = rung(nets[network], name.removeprefix(f"{network}_"))
            took = {"evaluations": run.evaluations, "seconds": round(time.process_time() - began)}
            return run.image[0], {"losses": [round(v, 6) for v in run.losses], **took}
    sample, method = name.rsplit("_", 1)
    pixels = texture.SAMPLES[sample].pixels()
    return compared(nets[converged.COMPARED_NETWORK], pixels, method), None


def rebuild(names: list[str], folder: Path) -> None:
    """Makes and saves textures, one after the other; a log that is there is carried on."""
    nets = {name: models.load(name, "cpu") for name in texture.LAYERS}
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "ladder.json"
    for name in names:
        made, cost = make(name, nets)
        images.to_pil(made).save(folder / f"{name}.webp", quality=90, method=6)
        if cost:
            known = json.loads(log.read_text("utf-8")) if log.exists() else {}
            writing.replace(log, json.dumps(known | {name: cost}) + "\n")
        print(name, "" if cost is None else len(cost["losses"]) - 1, flush=True)


if __name__ == "__main__":
    every = converged.names_of_ladders() + converged.names_compared()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default")
    parser.add_argument("--out", type=Path, default=Path("build/textures"))
    given = parser.parse_args()
    if odd := set(given.names) - set(every):
        parser.error(f"{', '.join(sorted(odd))}; accepted: {', '.join(every)}")
    rebuild(given.names or every, given.out)
