"""Makes `data/style_limits.json` again: how low optimisation brings the castle of lecture 16.

    python data/rebuild_style_limits.py [PAINTING ...] [--out FILE]

For the painting of each shipped painter the loss of lecture 16, of the photo as it is and after a
hundred evaluations. About ten seconds each on an idle laptop; what is in the file already stays.
"""

import argparse
import json
from pathlib import Path

from course_utils import fast_style, images, models
from course_utils.common import writing
from course_utils.common.optimise import adam, clamp, optimise

PHOTO, SIDE, EVALUATIONS = "citede_carcassonne", 256, 100


def limits(network: models.Network, painting: str, evaluations: int = EVALUATIONS) -> list[float]:
    """The weighted loss of the photo as it is, and after so many evaluations."""
    style = images.painting(painting).pixels(SIDE).to(network.device)
    loss = fast_style.PerceptualLoss(network, style, fast_style.Recipe())
    photo = images.photo(PHOTO).pixels(SIDE)[None].to(network.device)
    target = loss.target(photo)
    how = {"rule": adam(0.03), "operations": [(1, clamp(0, 1))], "keep": 0}
    made = optimise(lambda y: loss(y, target), photo, evaluations, **how).image
    return [round(loss(y.detach(), target).item(), 3) for y in (photo, made.clamp(0, 1))]


if __name__ == "__main__":
    every = sorted({fast_style.training_log(s)["recipe"]["style"] for s in fast_style.styles()})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paintings", nargs="*", metavar="PAINTING", default=every)
    parser.add_argument("--out", type=Path, default=Path("build/style_limits.json"))
    given = parser.parse_args()
    network = models.load("squeezenet1_1", "cpu")
    for name in given.paintings:
        known = json.loads(given.out.read_text("utf-8")) if given.out.exists() else {}
        found = known.get("castle", {}) | {name: limits(network, name)}
        made = {"command": "python data/rebuild_style_limits.py", "evaluations": EVALUATIONS}
        writing.replace(given.out, json.dumps(made | {"castle": found}) + "\n")
        print(name, *found[name], flush=True)
