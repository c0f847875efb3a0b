"""Makes `data/style_pairs.json` again: what lecture 15 says of one pair, measured on eleven.

    python data/rebuild_style_pairs.py [PAIR ...] [--out FILE]

PAIR is a number from 0, the lecture's own pair. About half a minute each on an idle laptop; what is
in the file already stays.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from course_utils import images, models, style
from course_utils.common import optimise, writing

PAIRS = [
    ("neuschwanstein_castle", "church_at_auvers"),
    *((p, "great_wave_off_kanagawa") for p in ("red_panda", "opera_house")),
    *((p, "night_cafe") for p in ("taj_mahal", "chelsea")),
    *((p, "cafe_terrace_at_night") for p in ("tower_bridge_london", "camels")),
    *((p, "harvest") for p in ("scarlet_macaw", "citede_carcassonne")),
    *((p, "composition_viii") for p in ("panda", "opera_house")),
]
"""Photo and painting: the lecture's, and every other painting with two photos."""

SIZE, EVALUATIONS = 144, 60
"""Longer side in pixels, and evaluations, of the race."""


def race(network: models.Network, pair: tuple[str, str], evaluations: int = EVALUATIONS) -> dict:
    """Shares of the photo's loss that are left, for each rule and what it varies."""
    photo, painting = images.photo(pair[0]), images.painting(pair[1])
    found = {}
    for what, rate in (("frequencies", 0.1), ("pixels", 0.03)):
        for name, rule in (("L-BFGS", optimise.lbfgs()), ("Adam", optimise.adam(rate))):
            how = {"size": SIZE, "keep": 0, "progress": None, "coordinates": what, "rule": rule}
            losses = style.transfer(network, photo, painting, evaluations, **how).run.losses
            found[f"{name}, {what}"] = losses[-1] / losses[0]
    task = style.task(network, photo, painting, size=SIZE)
    flat = optimise.Fourier.of(task.pixels, decay=0)
    how = {"rule": optimise.lbfgs(), "keep": 0, "progress": None}
    losses = optimise.optimise(
        lambda x: task.loss(network.normalize(x)), flat, evaluations, **how
    ).losses
    return found | {"L-BFGS, undivided": losses[-1] / losses[0]}


def colours_off(picture: Tensor, painting: Tensor) -> float:
    """How far the mean colours, and their spreads, of two pictures (3,H,W) are apart, in 0-1."""
    moments = [torch.cat([p.mean((1, 2)), p.std((1, 2))]) for p in (picture, painting)]
    return (moments[0] - moments[1]).norm().item()


def colours(network: models.Network, pair: tuple[str, str], evaluations: int = 40) -> dict:
    """Colours' distance from the painting's, of the photo and of what two layers make of it.

    "balanced" is the picture with all layers at beta / alpha 1, and "content" the share of the
    photo's content, in per cent, that it has lost.
    """
    photo, painting = images.photo(pair[0]), images.painting(pair[1])
    aim = painting.pixels(SIZE)
    how = {"size": SIZE, "keep": 0, "progress": None}
    made = {
        layer: style.transfer(network, photo, painting, evaluations, styles=[layer], **how)
        for layer in ("relu1", "fire8")
    }
    made["balanced"] = style.transfer(network, photo, painting, evaluations, beta=1, **how)
    off = {name: colours_off(one.pixels.cpu(), aim) for name, one in made.items()}
    lost = made["balanced"].summary["content"][-1]
    return off | {"photo": colours_off(photo.pixels(SIZE), aim), "content": lost}


def grown(network: models.Network, pair: tuple[str, str], evaluations: int = 40) -> dict:
    """The loss at 192 pixels: begun at 96 and enlarged, and with the same work at 192 alone."""
    photo, painting = images.photo(pair[0]), images.painting(pair[1])
    how = {"keep": 0, "progress": None}
    small = style.transfer(network, photo, painting, evaluations, size=96, **how)
    begun = style.transfer(
        network, photo, painting, evaluations, size=192, start=small.pixels, **how
    )
    alone = style.transfer(network, photo, painting, round(1.25 * evaluations), size=192, **how)
    return {"begun small": begun.run.losses[-1], "alone": alone.run.losses[-1]}


def measured(network: models.Network, pair: tuple[str, str], **asked: int) -> dict:
    """All that is measured of a pair, rounded."""
    studies = {"race": race, "colours": colours, "grown": grown}
    found = {name: study(network, pair, **asked) for name, study in studies.items()}
    rounded = {
        name: {key: round(value, 4) for key, value in values.items()}
        for name, values in found.items()
    }
    return {"photo": pair[0], "painting": pair[1]} | rounded


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    numbers = range(len(PAIRS))
    parser.add_argument("pairs", nargs="*", type=int, metavar="PAIR", default=numbers)
    parser.add_argument("--out", type=Path, default=Path("build/style_pairs.json"))
    given = parser.parse_args()
    net = models.load("squeezenet1_1", "cpu")
    for number in given.pairs:
        known = json.loads(given.out.read_text("utf-8")) if given.out.exists() else {}
        others = [p for p in known.get("pairs", []) if (p["photo"], p["painting"]) != PAIRS[number]]
        every = [*others, measured(net, PAIRS[number])]
        order = sorted(every, key=lambda p: PAIRS.index((p["photo"], p["painting"])))
        told = {"command": "python data/rebuild_style_pairs.py", "pairs": order}
        writing.replace(given.out, json.dumps(told, indent=1) + "\n")
        print(number, *PAIRS[number], flush=True)
