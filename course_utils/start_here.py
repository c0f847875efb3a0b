"""Lecture 00: what a network answers, and what one of its layers computes on the way."""

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch
from torch import Tensor, nn

from course_utils import images, layers, models
from course_utils.common import gate


def capture_layer(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The output of one layer for images `x`, taken by a forward hook.

    The hook is removed whatever happens, so the network is left as it was.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `layers.find` accepts it, e.g. "fire2" or a dotted path of
            `model.named_modules()`.

    Returns:
        What the layer gave, without gradient: usually (N,K,h,w). The last output where the
        forward pass runs the layer several times.

    Raises:
        ValueError: no such layer (near spellings are suggested), one that the forward pass does
            not run, or one whose output is not a tensor.
    """
    kept = []
    # The network goes on with its own tensor, and may write into it: keep a copy.
    keep = lambda module, args, output: kept.append(_copy(output, layer))  # noqa: E731
    handle = layers.find(model, layer).register_forward_hook(keep)
    try:
        with torch.no_grad():
            gate.run(model, x)
    finally:
        handle.remove()
    if not kept:
        raise ValueError(f"layer={layer!r}: the forward pass does not run this layer")
    return kept[-1]


def _copy(output: object, layer: str) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(f"layer={layer!r}: its output is a {type(output).__name__}, not a tensor")
    return output.detach().clone()


def top_classes(
    model: nn.Module, x: Tensor, names: Sequence[str], k: int = 5
) -> list[list[tuple[str, float]]]:
    """The k most probable classes of each image, the most probable first.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        names: the name of each class, in the order of the logits.
        k: how many classes, 1 to all of them.

    Returns:
        For each image a list of k pairs (name, probability), probability = softmax of the logits.

    Raises:
        ValueError: a network without classifier, another number of names than of logits, or k
            outside its range.
    """
    with torch.no_grad():
        logits = gate.logits(model, x)
    if len(names) != logits.shape[1]:
        raise ValueError(f"names: {len(names)} came for {logits.shape[1]} logits")
    if not 1 <= k <= len(names):
        raise ValueError(f"k={k}; accepted: 1 to {len(names)}")
    best = logits.softmax(dim=1).topk(k, dim=1)
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [[(names[c], p) for c, p in zip(*row, strict=True)] for row in rows]


def readiness() -> list[tuple[str, str, str]]:
    """What the course needs, what this machine has, and whether that will do.

    Returns:
        Rows (what, found, "yes" or what to do).
    """
    return [
        ("Python", platform.python_version(), _yes(sys.version_info >= (3, 11), "3.11 is needed")),
        *map(_package, ("torch", "torchvision", "ipywidgets")),
        ("memory free", *_memory()),
        ("photographs", f"{len(images.photos())}", "yes"),
        *(_network(name) for name in models.OFFLINE),
        ("runs on", *_device()),
    ]


def _yes(good: bool, otherwise: str) -> str:
    return "yes" if good else otherwise


def _package(name: str) -> tuple[str, str, str]:
    try:
        return name, version(name), "yes"
    except PackageNotFoundError:
        return name, "missing", "run `python course.py lab` once"


def _memory() -> tuple[str, str]:
    free = psutil.virtual_memory().available / 2**30
    return f"{free:.1f} GiB", _yes(free > 1.5, "close other programs: 1.5 GiB are needed")


def _device() -> tuple[str, str]:
    """The device, and whether a convolution on it gives what it must: a driver may be too old."""
    device = models.default_device()
    try:
        ones = torch.ones(1, 1, 3, 3, device=device)
        answer = nn.functional.conv2d(ones, ones).item()
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        return str(device), f"set COURSE_DEVICE=cpu: it does not compute ({why})"
    return str(device), _yes(answer == 9, f"set COURSE_DEVICE=cpu: 9 ones gave {answer:g}")


def _network(name: str) -> tuple[str, str, str]:
    try:
        weights = sum(p.numel() for p in models.load(name).parameters())
        return name, f"{weights / 1e6:.1f} million weights", "yes"
    except OSError as error:
        return name, "damaged or missing", str(error)
