"""Stores what captum computes, for the tests: `python tests/reference/make.py` (needs captum).

saliency.npz, all float32 unless said otherwise:

- tiny_*: the network `tiny.network()`, images `tiny.batch(n=3)`, classes 0, 3, 4, exactly.
  saliency (|gradient|) and input_x_gradient are (3,3,16,16); smooth (3,16,16) is the mean of
  captum's saliency maps of the images plus `tiny.array(9, 4, 3, 3, 16, 16) / 4`.
- photo: what the networks saw, (224,224,3) uint8: pictures decode differently on other machines.
- NAME_saliency, NAME_input_x_gradient: an exact crop (3,48,48) at rows and columns 88 to 136 of the
  224 x 224 map of the class "giant panda"; NAME_*_blocks: means over 16 x 16 pixels of the map
  (absolute values), (3,14,14); NAME_score: the logit.

cam.npz, float32: captum's LayerGradCam before the ReLU and before it is enlarged.

- tiny_LAYER: the same network, images and classes, (3,h,w).
- NAME_LAYER: the photo of saliency.npz and the class "giant panda", (h,w).
"""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parent
CLASSES, PANDA = (0, 3, 4), 388
CROP = slice(88, 136)


def by_captum(model: nn.Module, x: Tensor, classes: list[int]) -> dict[str, np.ndarray]:
    """Captum's |gradient| and input x gradient, (N,3,H,W) each."""
    from captum.attr import InputXGradient, Saliency

    x = x.clone().requires_grad_()
    found = {
        "saliency": Saliency(model).attribute(x, target=classes, abs=True),
        "input_x_gradient": InputXGradient(model).attribute(x, target=classes),
    }
    return {name: value.detach().numpy() for name, value in found.items()}


def blocks(maps: np.ndarray) -> np.ndarray:
    """Means of absolute values over 16 x 16 pixels: (3,224,224) -> (3,14,14)."""
    return np.abs(maps).reshape(3, 14, 16, 14, 16).mean((2, 4))


def on_tiny() -> dict[str, np.ndarray]:
    """Everything about the tiny network."""
    import tiny

    model, x = tiny.network(), tiny.batch(n=3)
    found = by_captum(model, x, list(CLASSES))
    noisy = [by_captum(model, x + n, list(CLASSES))["saliency"] for n in smooth_noise()]
    found["smooth"] = np.mean([maps.max(1) for maps in noisy], 0)
    return {f"tiny_{name}": value for name, value in found.items()}


def smooth_noise() -> Tensor:
    """The noise of the SmoothGrad reference, (4,3,3,16,16)."""
    import tiny

    return tiny.array(9, 4, 3, 3, 16, 16) / 4


def on_photo(pixels: Tensor) -> dict[str, np.ndarray]:
    """Crops and block means for both classifiers, on one photo (3,224,224) in 0-1."""
    from course_utils import models

    stored = {}
    for name in ("squeezenet1_1", "efficientnet_lite0"):
        net = models.load(name, "cpu")
        x = net.normalize(pixels)[None]
        stored[f"{name}_score"] = net(x)[0, PANDA].numpy()
        for kind, maps in by_captum(net, x, [PANDA]).items():
            stored[f"{name}_{kind}"] = maps[0][:, CROP, CROP]
            stored[f"{name}_{kind}_blocks"] = blocks(maps[0])
    return stored


GRAD_CAM_LAYERS = {
    "squeezenet1_1": ("fire5", "fire9"),
    "efficientnet_lite0": ("block4", "head"),
}


def grad_cams(pixels: Tensor) -> dict[str, np.ndarray]:
    """Captum's LayerGradCam for the tiny network and for both classifiers on one photo."""
    import tiny
    from captum.attr import LayerGradCam

    from course_utils import layers, models

    stored, net = {}, tiny.network()
    for name in ("conv1", "relu1", "pool1", "conv2", "relu2"):
        maps = LayerGradCam(net, net.get_submodule(name)).attribute(tiny.batch(n=3), list(CLASSES))
        stored[f"tiny_{name}"] = maps[:, 0].detach().numpy()
    for network, names in GRAD_CAM_LAYERS.items():
        net = models.load(network, "cpu")
        x = net.normalize(pixels)[None].requires_grad_()  # captum needs it: the network is frozen
        for name in names:
            maps = LayerGradCam(net, layers.find(net, name)).attribute(x, PANDA)
            stored[f"{network}_{name}"] = maps[0, 0].detach().numpy()
    return stored


def main() -> None:
    """Writes saliency.npz and cam.npz."""
    sys.path.insert(0, str(FOLDER.parent))
    from course_utils import images, models

    torch.set_num_threads(1)
    seen = models.load("squeezenet1_1", "cpu").crop_pixels(images.photo("panda"))[0]
    photo = np.asarray(images.to_pil(seen))
    pixels = images.read(photo)
    version = np.array(f"captum {importlib.metadata.version('captum')}")
    arrays = {"made_by": version, "photo": photo} | on_tiny() | on_photo(pixels)
    np.savez_compressed(FOLDER / "saliency.npz", **arrays)
    np.savez_compressed(FOLDER / "cam.npz", made_by=version, **grad_cams(pixels))


if __name__ == "__main__":
    main()
