"""Makes `data/attacks.json` and `data/universal.webp` again, which lecture 11 shows.

    python data/rebuild_attacks.py [--out FOLDER]

About a minute on an idle laptop. Another machine rounds otherwise, so lengths agree to a
step of the ascent, and the change for all photos in how many it fools.
"""

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from course_utils import adversarial, images, models
from course_utils.adversarial import reach
from course_utils.common import writing

TARGETS = ("ostrich", "tabby", "hammer", "dam")
STARTS = ("panda", "scarlet_macaw", "dam1", "taj_mahal")


def lengths(network: models.Network) -> dict:
    """How far it is from photos and from noise to each target."""
    photos = adversarial.eight_bits(network.crop_pixels([images.photo(n) for n in STARTS]))
    random = torch.Generator().manual_seed(0)
    noise = adversarial.eight_bits(torch.rand(1, 3, 224, 224, generator=random))
    table = adversarial.l2_needed(network, torch.cat([photos, noise]), TARGETS).tolist()
    rows = [[round(v, 2) if v == v else None for v in row] for row in table]
    named = dict(zip((*STARTS, "noise"), rows, strict=True))
    return {"command": "python data/rebuild_attacks.py", "targets": TARGETS, "lengths": named}


def change(network: models.Network, epochs: int = 6) -> Tensor:
    """One change for all photos, made with every second one, as steps of a file times 12."""
    pixels = adversarial.eight_bits(network.crop_pixels(images.photos()[::2]))
    sure = adversarial.probabilities(network, pixels).amax(1) > 0.5
    r = adversarial.universal(network, pixels[sure], reach.UNIVERSAL / 255, epochs)
    return (12 * ((255 * r[0]).round() + reach.UNIVERSAL)).byte()


def rebuild(folder: Path) -> None:
    """Writes both files."""
    network = models.load("squeezenet1_1", "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    writing.replace(folder / "attacks.json", json.dumps(lengths(network), indent=1) + "\n")
    picture = Image.fromarray(change(network).movedim(0, -1).numpy())
    picture.save(folder / "universal.webp", lossless=True, quality=100, method=6)
    print(f"written: attacks.json and universal.webp in {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build"))
    rebuild(parser.parse_args().out)
