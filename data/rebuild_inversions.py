"""Makes `data/inversions.json` again: the ladder of lecture 13 for eight photos.

    python data/rebuild_inversions.py [--out FILE] [--photos NAME ...]

About two minutes on an idle laptop. Another machine rounds otherwise: the numbers come out alike,
not digit for digit.
"""

import argparse
import json
from pathlib import Path

from course_utils import images, inversion, models
from course_utils.common import writing

PHOTOS = ("red_panda", "scarlet_macaw", "cheetah", "crab")
PHOTOS += ("taj_mahal", "windmill13", "opera_house", "chenonceau")
SIDE = 128


def ladder(network: models.Network, names: tuple[str, ...]) -> dict[str, list[list[float]]]:
    """Layer -> for each photo the PSNR in dB and the SSIM of its inversion."""
    found: dict[str, list[list[float]]] = {name: [] for name in inversion.SQUEEZENET_LADDER}
    for name in names:
        photo = images.square(images.photo(name).pixels(), SIDE)
        for layer, values in found.items():
            made = inversion.invert(network, photo, layer, keep=0, progress=None).image
            measures = (inversion.psnr(made, photo), inversion.ssim(made, photo))
            values.append([round(v.item(), 3) for v in measures])
        print(name, flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/inversions.json"))
    parser.add_argument("--photos", nargs="*", default=PHOTOS)
    given = parser.parse_args()
    names = tuple(given.photos)
    made = {"command": "python data/rebuild_inversions.py", "photos": names}
    made["squeezenet1_1"] = ladder(models.load("squeezenet1_1", "cpu"), names)
    writing.replace(given.out, json.dumps(made) + "\n")
    print(f"written: {given.out}")
