"""Makes `data/guided_dreams.json` again: what a guide brings into a dream of lecture 12.

    python data/rebuild_guided_dreams.py [--out FILE]

Twelve photos of buildings and landscapes, each dreamt with a guide and without: how much
probability the network gives to the guide's kind, all dogs or all birds. About a minute on an idle
laptop. A dream hangs on its last digits: another processor gives other numbers photo by photo.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from course_utils import dream, images, models
from course_utils.common import writing

PLACES = (
    *("fort_sumter", "monument3", "geothermal", "opera_house", "windmill13", "canyonde_chelly"),
    *("great_wallof_china", "citede_carcassonne", "eiffel_tower", "golden_temple"),
    *("brandenburg_gate", "chateaude_chenonceau"),
)
KINDS = {"dogs": range(151, 269), "birds": (*range(7, 25), *range(80, 101), *range(127, 147))}
GUIDES = (("scarlet_macaw", "fire9", "birds"), ("dog", "fire8", "dogs"))
SIDE = 256


def measured(
    network: models.Network, guide: str, layer: str, kind: str, places: Sequence[str], side: int
) -> dict[str, object]:
    """The probability of a kind in dreams of all places, alone and with a guide."""
    vectors = network.normalize(images.photo(guide).pixels(side))[None]
    wanted = dream.guided_by(network, layer, vectors)
    found = {"guide": guide, "layer": layer, "kind": kind, "alone": [], "guided": []}
    for place in places:
        photo = images.photo(place).pixels(side)
        for name, how in (("alone", {}), ("guided", {"objective": wanted})):
            dreamt = dream.dream(network, photo, layer, keep=0, progress=None, **how).pixels
            with torch.no_grad():
                p = network(network.preprocess(dreamt)).softmax(1)[0]
            found[name].append(round(p[list(KINDS[kind])].sum().item(), 3))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/guided_dreams.json"))
    given = parser.parse_args()
    net = models.load("squeezenet1_1", "cpu")
    rows = [measured(net, *one, PLACES, SIDE) for one in GUIDES]
    made = {"command": "python data/rebuild_guided_dreams.py", "places": PLACES, "dreams": rows}
    writing.replace(given.out, json.dumps(made) + "\n")
    print("written:", given.out)
