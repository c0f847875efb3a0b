"""What came out: how rough a picture is, what a network sees in it, which scores are dead."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import images
from course_utils.ascent.goals import Target
from course_utils.common import gate, paths
from course_utils.common.batches import in_chunks
from course_utils.common.scores import class_indices
from course_utils.models import Network


def high_frequencies(x: Tensor, cycles: float = 0.25) -> Tensor:
    """The share of each image's power that lies at `cycles` per pixel and more, its mean apart.

    Args:
        x: (N,C,H,W).
        cycles: 0.25 is a wave of four pixels; 0.5 the finest along an axis.

    Returns:
        (N,), 0-1; 0 for an image without contrast. White noise has about 0.8.
    """
    power = torch.fft.fft2(x - x.mean((2, 3), keepdim=True)).abs().square().sum(1)
    down, across = (torch.fft.fftfreq(n, device=x.device) for n in x.shape[-2:])
    fine = (down[:, None].square() + across.square()).sqrt() >= cycles
    return (power * fine).sum((1, 2)) / power.sum((1, 2)).clamp(min=1e-20)


def enlarged(pixels: Tensor, times: int = 3) -> Tensor:
    """Pixels (N,3,H,W) in 0-1 drawn `times` as large with smooth edges, for looking at."""
    return functional.interpolate(pixels, scale_factor=times, mode="bicubic").clamp(0, 1)


def recognition(
    model: Network, pixels: Tensor, classes: Sequence[int | str], shift: tuple[int, int] = (0, 0)
) -> list[tuple[str, float, float]]:
    """What the network makes of pictures after they were saved with 8 bits and shifted.

    Args:
        model: a classifier of the zoo.
        pixels: (N,3,H,W) in 0-1.
        classes: the wanted class of each.
        shift: pixels down and to the right; what leaves comes in again on the other side.

    Returns:
        For each picture: the most probable class, its probability, and that of the wanted class.
    """
    gate.check_zoo(model)
    index = class_indices(model, list(classes), len(pixels)).to(model.device)
    moved = images.eight_bits(pixels).roll(shift, dims=(-2, -1))
    with torch.no_grad():
        p = in_chunks(lambda some: gate.logits(model, model.normalize(some)).softmax(1), moved)
    best = p.max(1)
    wanted = p.gather(1, index[:, None])[:, 0]
    names = [model.labels[i] for i in best.indices]
    return list(zip(names, best.values.tolist(), wanted.tolist(), strict=True))


def stored_roughness() -> dict[str, list[float | None]]:
    """The `high_frequencies` of pictures of "channels" and of "classes"; None where one was dead.

    Made by `data/rebuild_roughness.py`.
    """
    return paths.stored("roughness.json")


def gradient_norm(target: Target, x: Tensor) -> float:
    """The norm of the gradient of a target, summed over the normalised images `x` (N,3,H,W)."""
    x = gate.leaf(x)
    with torch.enable_grad():
        return torch.autograd.grad(target(x).sum(), x)[0].norm().item()


def dead_scores(model: nn.Module, x: Tensor) -> Tensor:
    """Classes whose score for one image (1,3,H,W) is exactly 0, with a gradient of exactly 0.

    Returns:
        Their indices (n,), ascending, on the CPU.
    """
    x = gate.leaf(x)
    with torch.enable_grad():
        logits = gate.logits(model, x)[0]
    zero = (logits == 0).nonzero()[:, 0].tolist()

    def flat(index: int) -> bool:
        slope = torch.autograd.grad(logits[index], x, retain_graph=True, allow_unused=True)[0]
        return slope is None or not slope.any()

    return torch.tensor([i for i in zero if flat(i)], dtype=torch.long, device="cpu")
