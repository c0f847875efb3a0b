"""Makes the pictures of `data/textures/` again, those that lecture 14 shows converged.

    python data/rebuild_textures.py [NAME ...] [--out FOLDER]

All of them take about a quarter of an hour on an idle laptop, much of it for VGG. Another
machine rounds otherwise, so the pictures come out alike, not byte for byte.
"""

import argparse
import json
import time
from pathlib import Path

from torch import Tensor

from course_utils import images, models, texture
from course_utils.common import writing
from course_utils.texture import converged


def make(name: str, nets: dict[str, models.Network]) -> tuple[Tensor, dict | None]:
    """A texture, and what it cost if it belongs to the ladder."""
    for network in nets:
        if name.startswith(network):
            began = time.perf_counter()
            run = texture.rung(nets[network], name.removeprefix(f"{network}_"))
            took = {"evaluations": run.evaluations, "seconds": round(time.perf_counter() - began)}
            return run.image[0], {"losses": [round(v, 6) for v in run.losses], **took}
    sample, method = name.rsplit("_", 1)
    pixels = texture.SAMPLES[sample].pixels()
    return texture.compared(nets[converged.COMPARED_NETWORK], pixels, method), None


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
    every = [n for network in texture.LAYERS for n in converged.names_of_ladder(network)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="all by default")
    parser.add_argument("--out", type=Path, default=Path("build/textures"))
    given = parser.parse_args()
    rebuild(given.names or every + converged.names_compared(), given.out)
