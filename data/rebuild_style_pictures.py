"""Paints the stored pictures of lecture 15 again: those that take too long for a lesson.

    python data/rebuild_style_pictures.py [--out FOLDER] [NAME ...]

Without names all of them; `facts.json` says how many seconds each one took. Another machine rounds
otherwise, so the pictures come out alike, not byte for byte.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from course_utils import images, models, style

PHOTO, PAINTING = "neuschwanstein_castle", "church_at_auvers"
"""Both free of rights, as everything that is made of them and passed on has to be."""

EFFICIENTNET = {"content": "block5", "styles": ["stem", "block2", "block3", "block5"]}

# name -> network, and one or several runs, each of which starts from the one before
PICTURES: dict[str, tuple[str, list[dict]]] = {
    "large": (
        "squeezenet1_1",
        [{"steps": 150, "size": 256}, {"steps": 150, "size": 512, "style_size": 512}],
    ),
    "squeezenet": ("squeezenet1_1", [{"steps": 400, "size": 192}]),
    "random": ("random", [{"steps": 400, "size": 192}]),
    "efficientnet": ("efficientnet_lite0", [{"steps": 400, "size": 192} | EFFICIENTNET]),
    "vgg16": ("vgg16_hed", [{"steps": 200, "size": 192}]),
}


def network(name: str) -> models.Network:
    """A network of the zoo, or SqueezeNet with the random weights of the lecture."""
    if name == "random":
        return style.untrained(models.load("squeezenet1_1", "cpu"), seed=0)
    return models.load(name, "cpu")


def paint(name: str) -> tuple[torch.Tensor, dict]:
    """A picture (3,H,W) in 0-1, and what is to be known of it."""
    which, runs = PICTURES[name]
    painter, start, began = network(which), "photo", (time.perf_counter(), time.process_time())
    for asked in runs:
        run = style.transfer(
            painter, images.photo(PHOTO), images.painting(PAINTING), start=start, keep=0, **asked
        )
        start, losses = run.pixels, run.run.losses
    facts = {"network": which, "photo": PHOTO, "painting": PAINTING, "runs": runs}
    facts |= {"evaluations": sum(asked["steps"] for asked in runs)}
    facts |= {"loss at half": losses[len(losses) // 2], "loss": losses[-1]}
    facts |= {"seconds": time.perf_counter() - began[0]}
    facts |= {"processor seconds": time.process_time() - began[1]}
    rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in facts.items()}
    return run.pixels, rounded | {"torch": torch.__version__.split("+")[0]}


def main(names: list[str], folder: Path) -> None:
    """Paints, and writes NAME.webp (without loss) and facts.json."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "facts.json"
    for name in names or PICTURES:
        pixels, facts = paint(name)
        images.to_pil(pixels).save(folder / f"{name}.webp", lossless=True, method=6)
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        facts["command"] = f"python data/rebuild_style_pictures.py {name}"
        file.write_text(json.dumps(known | {name: facts}, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {facts['seconds']:.0f} s, loss {facts['loss']:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *PICTURES])
    parser.add_argument("--out", type=Path, default=Path("build/style_pictures"))
    asked = parser.parse_args()
    main(asked.names, asked.out)
