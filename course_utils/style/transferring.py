"""The transfer: from a start to the picture, and how long it will take."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import images
from course_utils.common import gate, timing
from course_utils.common.errors import unknown
from course_utils.common.optimise import (
    Fourier,
    Parameterisation,
    Pixels,
    Result,
    Rule,
    lbfgs,
    optimise,
)
from course_utils.models import Network
from course_utils.style.asked import Task, task


@dataclass(frozen=True)
class Transfer:
    """What a run of `transfer` leaves.

    Attributes:
        pixels: the picture (3,H,W) in 0-1, on the CPU.
        curves: term of the loss -> its weighted value after 0, 1, 2 ... evaluations.
        run: the `Result` of the optimisation, on the network's device.
    """

    pixels: Tensor
    curves: dict[str, list[float]]
    run: Result

    @property
    def summary(self) -> dict[str, list[float]]:
        """The curves, those of the style layers added up to one: "style"."""
        parts = {name: curve for name, curve in self.curves.items() if "style" not in name}
        layers_ = [curve for name, curve in self.curves.items() if "style" in name]
        return parts | ({"style": [sum(v) for v in zip(*layers_, strict=True)]} if layers_ else {})


def transfer(
    model: Network,
    photo: object,
    painting: object,
    steps: int = 80,
    start: object = "photo",
    coordinates: str = "frequencies",
    rule: Rule | None = None,
    keep: int = 24,
    progress: str | None = "painting",
    seed: int = 0,
    **asked: object,
) -> Transfer:
    """A photo in the style of a painting: minimises alpha L_content + beta L_style + gamma L_TV.

    Args:
        model, photo, painting: as for `task`.
        steps: evaluations of the loss; 80 are enough for L-BFGS.
        start: "photo", "noise", or any picture, e.g. a smaller result, which is enlarged.
        coordinates: what is varied: "frequencies", in which whole skies change colour within a few
            steps, or "pixels", as in the paper.
        rule: how it is varied. By default `lbfgs()`; where that overshoots, it begins again with a
            line search, which may need two evaluations a step and takes half the steps.
        keep: frames to keep, see `optimise`.
        progress: caption of the progress bar, which appears after two seconds; None for no bar.
        seed: of the noise.
        asked: `size`, `style_size`, `content`, `styles`, `alpha`, `beta`, `gamma`, `blend`,
            `colours`, as for `task`.

    Raises:
        ValueError: as `task` and `begin`.
        FloatingPointError: the loss became NaN or infinite; names the step.
    """
    what, curves = task(model, photo, painting, **asked), {}

    def objective(pixels: Tensor) -> Tensor:
        # A step may fly far out of 0-1: its loss has to come back, for `overshot` to see it.
        terms = what.terms(model.normalize(pixels.clamp(-gate.BRIGHT, gate.BRIGHT)))
        for name, value in terms.items():
            curves.setdefault(name, []).append(value.item())
        return torch.stack(list(terms.values())).sum()

    def overshot(step: int, x: Tensor, loss: float) -> bool:
        return rule is None and loss > 2 * sum(curve[0] for curve in curves.values())

    settings = {"keep": keep, "progress": progress, "to_pixels": what.finish}
    first = begin(what, start, coordinates, seed)
    run = optimise(objective, first, steps, rule=rule or lbfgs(), callback=overshot, **settings)
    if len(run.losses) <= steps and not run.interrupted:
        curves.clear()
        first, half = begin(what, start, coordinates, seed), max(1, steps // 2)
        run = optimise(objective, first, half, rule=lbfgs(line_search=True), **settings)
    return Transfer(what.finish(run.image)[0].cpu(), curves, run)


def begin(
    what: Task, start: object = "photo", coordinates: str = "frequencies", seed: int = 0
) -> Parameterisation:
    """What a transfer varies, as it is before the first step.

    Args:
        what: the task.
        start: "photo", "noise", or any picture, which is resized to the photo.
        coordinates: "frequencies" or "pixels".
        seed: of the noise.

    Raises:
        ValueError: another word; otherwise as `images.read`.
    """
    if coordinates not in ("frequencies", "pixels"):
        raise ValueError(unknown("coordinates", coordinates, ("frequencies", "pixels")))
    shape, device = what.pixels.shape, what.pixels.device
    if isinstance(start, str) and start not in ("photo", "noise"):
        raise ValueError(unknown("start", start, ("photo", "noise"), "words for a start"))
    if isinstance(start, str) and start == "noise":
        if coordinates == "frequencies":
            return Fourier((1, *shape[2:]), 0.5, seed, device=device)
        random = torch.Generator().manual_seed(seed)
        return Pixels(torch.rand(shape, generator=random, device="cpu").to(device))
    pixels = what.pixels
    if not isinstance(start, str):
        pixels = tvf.resize(images.read(start)[None], list(shape[2:]), antialias=True).clamp(0, 1)
    return (Fourier.of if coordinates == "frequencies" else Pixels)(pixels.to(device))


def forecast(model: Network, photo: object, steps: int = 80, **asked: object) -> float:
    """Seconds that `transfer` will take on this machine, from two evaluations of the same task.

    Args:
        model, photo, steps: as for `transfer`.
        asked: as for `task`; the photo stands in for the painting.
    """
    what = task(model, photo, photo, **asked)
    x = what.model.normalize(what.pixels).requires_grad_()

    def evaluation() -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(what.loss(x), x)[0]

    return steps * timing.seconds(evaluation, repeats=1)
