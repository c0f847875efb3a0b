"""Stores captum's guided gradients: `python tests/reference/make_guided.py` (needs captum).

guided.npz, all float32; RULE is "guided" (captum's GuidedBackprop) or "deconvnet" (Deconvolution):

- tiny_RULE: the network `tiny.network()`, images `tiny.batch(n=3)`, classes 0, 3, 4: (3,3,16,16).
- unit_RULE: the same network up to relu2, of which captum differentiates channel 1 at row 2,
  column 3: (3,3,16,16).
- squeezenet_RULE: a crop (3,48,48) of the map of "giant panda" as in make.py, on the photo of
  saliency.npz; squeezenet_RULE_blocks: means over 16 x 16 pixels of absolute values, (3,14,14).
"""

import importlib.metadata
import sys
import warnings
from pathlib import Path

import make
import numpy as np
import torch
from torch import Tensor, nn


def by_captum(model: nn.Module, x: Tensor, target: object) -> dict[str, np.ndarray]:
    """Captum's two gradients with modified ReLUs, (N,3,H,W) each."""
    from captum.attr import Deconvolution, GuidedBackprop

    warnings.simplefilter("ignore")  # captum tells that it sets hooks
    x = x.clone().requires_grad_()
    methods = {"guided": GuidedBackprop, "deconvnet": Deconvolution}
    return {rule: m(model).attribute(x, target=target).numpy() for rule, m in methods.items()}


def main() -> None:
    """Writes guided.npz."""
    sys.path.insert(0, str(make.FOLDER.parent))
    import tiny

    from course_utils import images, models

    torch.set_num_threads(1)
    arrays = {"made_by": np.array(f"captum {importlib.metadata.version('captum')}")}
    x = tiny.batch(n=3)
    for rule, maps in by_captum(tiny.network(), x, list(make.CLASSES)).items():
        arrays[f"tiny_{rule}"] = maps
    for rule, maps in by_captum(tiny.network()[:6], x, (1, 2, 3)).items():
        arrays[f"unit_{rule}"] = maps
    net = models.load("squeezenet1_1", "cpu")
    photo = np.load(Path(make.FOLDER) / "saliency.npz")["photo"]
    found = by_captum(net, net.normalize(images.read(photo))[None], [make.PANDA])
    for rule, maps in found.items():
        arrays[f"squeezenet_{rule}"] = maps[0][:, make.CROP, make.CROP]
        arrays[f"squeezenet_{rule}_blocks"] = make.blocks(maps[0])
    np.savez_compressed(make.FOLDER / "guided.npz", **arrays)


if __name__ == "__main__":
    main()
