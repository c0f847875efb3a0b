"""Stores what torchattacks and foolbox compute: `python tests/reference/make_adversarial.py`.

It needs torchattacks and foolbox (see course_utils/bench/peers.txt). adversarial.npz, float32:

- tiny_ATTACK: the network `tiny.network().double()` as one that takes pixels in 0-1, images
  `tiny.pixels()`, classes 0, 3, 4, a budget of 8/255: torchattacks' fgsm, pgd (10 steps of 2/255
  from the photo) and targeted (the same towards classes 2, 3, 4), all (3,3,16,16).
- squeezenet_fgsm, squeezenet_pgd: the same on SqueezeNet, in double precision too, and the photo of
  saliency.npz (class 388) by `tiny.uneven`: a crop (3,48,48) of the change, in steps of 1/255.

data/adversarial.json, which lecture 11 shows:

- smallest: the eight photos of `course_utils.bench.rows.adversarial`, and for each method the
  lengths it finds, how many photos it fools, and the images it shows the network, forwards.
  foolbox's L2DeepFoolAttack with its defaults, the course's two methods.
"""

import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path

import make
import numpy as np
import torch
from torch import Tensor, nn

EPSILON, STEP, STEPS = 8 / 255, 2 / 255, 10


def by_torchattacks(model: nn.Module, pixels: Tensor, classes: Tensor, target: Tensor) -> dict:
    """The pictures of FGSM, of PGD from the photo, and of PGD towards a target."""
    import torchattacks

    pgd = torchattacks.PGD(model, eps=EPSILON, alpha=STEP, steps=STEPS, random_start=False)
    found = {"fgsm": torchattacks.FGSM(model, eps=EPSILON)(pixels, classes)}
    found["pgd"] = pgd(pixels, classes)
    pgd.set_mode_targeted_by_label(quiet=True)
    return found | {"targeted": pgd(pixels, target)}


def on_tiny() -> dict[str, np.ndarray]:
    """Everything about the tiny network, in double precision, where no sign is in doubt."""
    import tiny

    model, pixels = tiny.network().double(), tiny.pixels(n=3).double()
    found = by_torchattacks(model, pixels, torch.tensor(make.CLASSES), torch.tensor([2, 3, 4]))
    return {f"tiny_{name}": value.float().numpy() for name, value in found.items()}


def on_photo() -> dict[str, np.ndarray]:
    """FGSM and PGD on the panda.

    In double precision: the network is so sure (1 - p = 8e-7) that in single precision p - 1, which
    the loss's gradient begins with, is a tenth rounding.
    """
    import tiny

    from course_utils import models

    photo = np.load(make.FOLDER / "saliency.npz")["photo"]
    pixels, panda = tiny.uneven(photo), torch.tensor([make.PANDA])
    model = models.on_pixels(models.load("squeezenet1_1", "cpu")).double().eval()
    found = by_torchattacks(model, pixels, panda, torch.tensor([105]))
    change = {name: 255 * (found[name] - pixels)[0] for name in ("fgsm", "pgd")}
    crops = {name: one[:, make.CROP, make.CROP].float() for name, one in change.items()}
    return {f"squeezenet_{name}": crop.numpy() for name, crop in crops.items()}


class Counting(nn.Module):
    """A network that counts the images it is shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.shown = model, 0

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of pixels in 0-1."""
        self.shown += len(pixels)
        return self.model(pixels)


def smallest() -> dict[str, object]:
    """The smallest changes by three methods."""
    from course_utils import adversarial
    from course_utils.bench.rows import adversarial as rows
    from course_utils.models import on_pixels

    scene, found = rows.eight(), {}
    nearest = adversarial.smallest_linear(scene.model, scene.pixels)
    targets = adversarial.measure(scene.model, scene.pixels, nearest).classes
    methods = {
        "foolbox, DeepFool": lambda net: rows.foolbox_smallest(net, scene)(),
        "linearised": lambda net: adversarial.smallest_linear(net, scene.pixels),
        "L-BFGS": lambda net: adversarial.smallest_lbfgs(net, scene.pixels, targets, 5, 10),
    }
    for name, method in methods.items():
        counting = Counting(on_pixels(scene.model)).eval()
        facts = adversarial.measure(scene.model, scene.pixels, method(counting))
        lengths = [round(value, 4) for value in facts.l2.tolist()]
        fooled = int(facts.fooled.sum())
        found[name] = {"lengths": lengths, "fooled": fooled, "shown": counting.shown}
    return {"photos": list(rows.PHOTOS), "methods": found}


def main() -> None:
    """Writes both files."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    torch.set_num_threads(1)
    made_by = f"torchattacks {importlib.metadata.version('torchattacks')}"
    arrays = on_tiny() | on_photo()
    np.savez_compressed(make.FOLDER / "adversarial.npz", made_by=np.array(made_by), **arrays)
    write_tables()


def write_tables() -> None:
    """Writes data/adversarial.json, a list of numbers on one line."""
    from course_utils.common import paths

    made_by = f"foolbox {importlib.metadata.version('foolbox')}"
    tables = {"made_by": made_by, "command": "python tests/reference/make_adversarial.py"}
    text = json.dumps(tables | {"smallest": smallest()}, indent=1)
    on_one_line = lambda m: "[" + ", ".join(part.strip() for part in m[1].split(",")) + "]"  # noqa: E731
    text = re.sub(r"\[([^\[\]{}]*)\]", on_one_line, text)
    paths.data("adversarial.json").write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
