"""Makes `data/roughness.json` again: are channels' pictures smoother than classes'? (Lecture 10.)

    python data/rebuild_roughness.py [--out FILE] [--number 48]

About two minutes on an idle laptop; another machine rounds otherwise, in the third digit.
"""

import argparse
import json
from pathlib import Path

import torch

from course_utils import ascent, models
from course_utils.common import writing

SETTINGS = {"size": 112, "steps": 50, "noise": 0.15, "smooth": 0.0, "keep": 0}


def shares(network: models.Network, goal: ascent.Target, n: int) -> list[float | None]:
    """Of n pictures the share of power in high frequencies; None where nothing was climbed."""
    made = ascent.paint(goal, n, **SETTINGS).image
    with torch.no_grad():
        dead = goal.of_pixels(made) == 0
    fine = ascent.high_frequencies(made).tolist()
    return [None if d else round(v, 4) for v, d in zip(fine, dead.tolist(), strict=True)]


def measure(number: int = 48, together: int = 8) -> dict[str, list[float | None]]:
    """Channels of fire5 and classes, both drawn at random without putting back."""
    network, random = models.load("squeezenet1_1", "cpu"), torch.Generator().manual_seed(1)
    channels = torch.randperm(256, generator=random)[:number].split(together)
    classes = torch.randperm(1000, generator=random)[:number].split(together)
    goals = {
        "channels": [(ascent.channel(network, "fire5", c.tolist()), len(c)) for c in channels],
        "classes": [(ascent.class_map(network, c.tolist()), len(c)) for c in classes],
    }
    return {
        k: [v for goal, n in some for v in shares(network, goal, n)] for k, some in goals.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/roughness.json"))
    parser.add_argument("--number", type=int, default=48, help="of channels, and of classes")
    given = parser.parse_args()
    command = {"command": "python data/rebuild_roughness.py"}
    writing.replace(given.out, json.dumps(command | measure(given.number)) + "\n")
    print(f"written: {given.out}")
