"""Paints the pictures of `data/class_pictures/` again, those of lecture 10's wall.

    python data/rebuild_classes.py [CLASS ...] [--out FOLDER]

All twelve take about four minutes on an idle laptop. Another machine rounds
otherwise, so the pictures come out alike, not byte for byte. Printed is what both networks make of
each picture as it was saved.
"""

import argparse
from pathlib import Path

from course_utils import ascent, images, models
from course_utils.ascent import wall

TOGETHER = 6
"""Classes painted in one batch: faster than one by one, and the pictures come out alike."""


def rebuild(names: list[str], folder: Path) -> None:
    """Paints and saves classes, one after the other."""
    networks = [models.load(n, "cpu") for n in ("squeezenet1_1", "efficientnet_lite0")]
    folder.mkdir(parents=True, exist_ok=True)
    for some in (names[i : i + TOGETHER] for i in range(0, len(names), TOGETHER)):
        made = ascent.of_classes(networks, some, keep=0).image
        for name, picture in zip(some, made, strict=True):
            path = wall.file_of(name, folder)
            images.to_pil(picture).save(path, quality=90, method=6)
            seen = [ascent.recognition(n, images.read(path)[None], [name])[0] for n in networks]
            print(path, *(f"{top} {p:.3f}" for top, p, _ in seen), sep=", ", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="classes of ascent.WALL; all by default")
    parser.add_argument("--out", type=Path, default=Path("build/class_pictures"))
    given = parser.parse_args()
    rebuild(given.names or list(ascent.WALL), given.out)
