"""Opens the weight files in `data/weights`: safetensors, made small without and with loss, gzipped.

A matrix that may lose a little is stored in 8 bits: whole numbers (int8) and, as `NAME.scale`, what
one step is worth in each row (one row: all weights that make one output channel). What has to keep
its value is stored as its bytes, all first bytes before all second ones (uint8, with an axis of 2
for float16 and of 4 for float32 in front): signs and exponents, side by side, are what gzip can
shorten. `data/rebuild_weights.py` writes such files; the painters of lecture 16 are in 8 bits, too.
"""

import gzip
import hashlib

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from course_utils.common import paths

BY_BYTES = {2: torch.float16, 4: torch.float32}
FEW = 5000  # values: smaller tensors are not worth any loss


def read_weights(name: str) -> dict[str, Tensor]:
    """The tensors of `data/weights/NAME.safetensors.gz`, after comparing the file's SHA-256.

    Returns:
        Tensors by name, float32 where they are weights; counters stay whole numbers.

    Raises:
        FileNotFoundError: no such file.
        OSError: the file is damaged.
    """
    path = paths.data("weights", f"{name}.safetensors.gz")
    repair = f"Restore it with `git checkout -- data/weights/{path.name}` or a fresh clone."
    try:
        sums = paths.data("weights", "SHA256SUMS").read_text().split()
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the weight file {error.filename} is missing. {repair}") from None
    expected = dict(zip(sums[1::2], sums[::2], strict=True)).get(path.name, "(not listed)")
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise OSError(
            f"the weight file {path} is damaged: its SHA-256 begins with {found[:12]}, "
            f"expected {expected[:12]}. {repair}"
        )
    return decode(load_safetensors(gzip.decompress(content)))


def decode(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the tensors of a file stand for, by name; see the top of this module.

    Args:
        stored: int8 (R,...) with `NAME.scale` (R,); uint8 (2,...) or (4,...), the bytes of float16
            or float32; anything else stands for itself.

    Returns:
        float32 tensors (R,...) or (...), and whole numbers as they were.
    """
    whole = {name: _joined(t) if t.dtype == torch.uint8 else t for name, t in stored.items()}
    weights = {}
    for name, tensor in whole.items():
        if tensor.dtype == torch.int8:
            scale = whole[f"{name}.scale"].view(-1, *[1] * (tensor.ndim - 1))
            weights[name] = tensor * scale
        elif not name.endswith(".scale"):
            weights[name] = tensor.float() if tensor.is_floating_point() else tensor
    return weights


def in_8_bits(weights: dict[str, Tensor], step: float = 0, keep: str = "") -> dict[str, Tensor]:
    """Matrices and kernels as whole numbers of steps, one length of step a row; the rest float16.

    Args:
        weights: float32 (...), by name; whole numbers stay as they are.
        step: of a row's root mean square: the coarser, the better gzip shortens it. It is at least
            1/127 of the row's largest weight, and that where none is given.
        keep: a large tensor that gets 16 bits nevertheless.

    Returns:
        NAME int8 (R,...) and NAME.scale float32 (R,) for tensors of `FEW` values and more with two
        axes or more; NAME float16 for the others. `decode` turns it back.
    """
    stored = {}
    for name, tensor in weights.items():
        if tensor.ndim < 2 or tensor.numel() < FEW or name == keep:
            stored[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        rows = tensor.flatten(1)
        length = (step * rows.square().mean(1).sqrt()).maximum(rows.abs().amax(1) / 127)
        length = length.clamp(min=torch.finfo(length.dtype).tiny)  # a row of zeros
        stored[name] = (rows / length[:, None]).round().to(torch.int8).view(tensor.shape)
        stored[f"{name}.scale"] = length
    return stored


def _joined(planes: Tensor) -> Tensor:
    """(2,...) or (4,...) bytes of uint8 as the numbers (...) that they are."""
    return planes.movedim(0, -1).contiguous().view(BY_BYTES[len(planes)]).squeeze(-1)
