"""The loop itself, and what it leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm.auto import tqdm

from course_utils.common.optimise.regularisers import Operation
from course_utils.common.optimise.rules import Rule, adam
from course_utils.common.optimise.transforms import Transform
from course_utils.common.optimise.varied import Parameterisation, Pixels
from course_utils.common.stopping import stoppable


@dataclass(frozen=True)
class Result:
    """What a run of `optimise` leaves.

    Attributes:
        image: the last images (N,3,H,W), in the parameterisation's space.
        best, best_step, best_loss: the images with the lowest loss, and when they came.
        losses: `losses[t]` is the loss after t steps, so the first is that of the start.
        frames: (F,N,3,H,W) uint8 on the CPU: evenly spaced, the first and the last included.
        steps: after how many steps each frame was taken, (F,).
        evaluations: passes through the objective.
        interrupted: whether a KeyboardInterrupt ended it.
    """

    image: Tensor
    best: Tensor
    best_step: int
    best_loss: float
    losses: list[float]
    frames: Tensor
    steps: list[int]
    evaluations: int
    interrupted: bool


def optimise(
    objective: Callable[[Tensor], Tensor],
    start: Tensor | Parameterisation,
    steps: int,
    *,
    rule: Rule | None = None,
    terms: Sequence[Callable[[Tensor], Tensor]] = (),
    operations: Sequence[tuple[int, Operation]] = (),
    transforms: Sequence[Transform] = (),
    callback: Callable[[int, Tensor, float], object] | None = None,
    keep: int = 24,
    to_pixels: Callable[[Tensor], Tensor] | None = None,
    progress: str | None = "optimising",
    seed: int = 0,
) -> Result:
    """Minimises objective(transforms(x)) + sum of terms(x) over the images x.

    An interrupt (Ctrl-C, the stop button) ends the loop early; what it has found is returned. In a
    notebook it ends the cell as well: a next call in the same cell raises KeyboardInterrupt.

    Args:
        objective: images -> loss, one number; several images are varied independently of each
            other if it is a sum over them.
        start: images (N,3,H,W), or a parameterisation.
        steps: at least 1.
        rule: makes the optimizer from the parameters; `adam()` by default.
        terms: regularisers, images -> number; they see the images before the transforms.
        operations: (k, operation): every k steps x <- operation(x, gradient). For `Pixels` only.
        transforms: random changes of what the objective sees, `transform(x, generator)`.
        callback: called as (step, images, loss) before each step and after the last, without
            gradients; ends the loop by returning something true.
        keep: frames to keep, evenly spaced; 0 for none.
        to_pixels: images -> pixels in 0-1 for the frames, e.g. `net.denormalize`.
        progress: caption of the progress bar, which appears after two seconds; None for no bar.
        seed: of the transforms.

    Raises:
        ValueError: an argument outside its range; an objective that is not one number, or does not
            depend on the image; operations on something other than pixels.
        FloatingPointError: the loss became NaN or infinite; names the step.
    """
    image = Pixels(start) if isinstance(start, Tensor) else start
    _check(image, steps, keep, operations)
    run = _Run(objective, image, terms, transforms, torch.Generator().manual_seed(seed))
    record = _Record(to_pixels or (lambda x: x), steps, keep)
    optimizer = (rule or adam())(image.parameters())
    so_far = lambda: f"{len(record.losses)} of {steps} steps; what was found is kept"  # noqa: E731
    with stoppable(so_far) as stop, torch.enable_grad(), _bar(steps, progress) as bar:
        for step in range(steps + 1):
            loss = run.arrive(step, gradient=step < steps)
            record.add(step, run.x, loss.item())
            if _asked_to_stop(callback, step, run.x, loss) or step == steps:
                break
            run.move(optimizer, loss, step)
            _operate(image, operations, step + 1)
            bar.update()
    return record.result(image().detach(), run.evaluations, stop.came)


def _asked_to_stop(callback: Callable | None, step: int, x: Tensor, loss: Tensor) -> bool:
    with torch.no_grad():
        return callback is not None and bool(callback(step, x, loss.item()))


def _bar(steps: int, progress: str | None) -> tqdm:
    return tqdm(total=steps, desc=progress, disable=progress is None, leave=False, delay=2)


def _check(image: object, steps: int, keep: int, operations: Sequence) -> None:
    if steps < 1 or keep < 0:
        raise ValueError(f"steps={steps}, keep={keep}; accepted: 1 or more, and 0 or more")
    if operations and not isinstance(image, Pixels):
        raise ValueError(
            f"operations: they change pixels, and {type(image).__name__} varies something else; "
            "accepted: none, or a start given as pixels"
        )
    for pair in operations:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], int)):
            raise ValueError(f"operations: {pair!r}; accepted: pairs (every how many steps, what)")
        if pair[0] < 1:
            raise ValueError(f"operations: every {pair[0]} steps; accepted: 1 or more")


def _operate(image: Parameterisation, operations: Sequence, step: int) -> None:
    for every, operation in operations:
        if step % every == 0:
            with torch.no_grad():
                (x,) = image.parameters()
                x.copy_(operation(x, x.grad))


@dataclass
class _Run:
    """Evaluates the loss, leaves the gradient where optimizers look for it, and takes steps."""

    objective: Callable
    image: Parameterisation
    terms: Sequence[Callable]
    transforms: Sequence[Transform]
    random: torch.Generator
    evaluations: int = 0
    x: Tensor = field(default=None)
    asked: tuple[Tensor, list[tuple[Tensor, Tensor]]] | None = None

    def arrive(self, step: int, gradient: bool) -> Tensor:
        """As `evaluate`, but not once more where the rule's own last evaluation was right here.

        A line search mostly stays where it has looked last. With random transforms there is
        nothing to be had twice.
        """
        if self.asked is not None and not self.transforms:
            loss, there = self.asked
            here = self.image.parameters()
            if all(torch.equal(p, q) for p, (q, _) in zip(here, there, strict=True)):
                for p, (_, slope) in zip(here, there, strict=True):
                    p.grad = slope
                return loss
        return self.evaluate(step, gradient)

    def evaluate(self, step: int, gradient: bool = True) -> Tensor:
        """The loss, a detached number; `x` is then the images it belongs to."""
        self.evaluations += 1
        with torch.set_grad_enabled(gradient):
            x = seen = self.image()
            for transform in self.transforms:
                seen = transform(seen, self.random)
            value = self.objective(seen)
            if gradient and isinstance(value, Tensor) and not value.requires_grad:
                raise ValueError("objective: its result has no gradient: it does not depend on x")
            loss = sum((term(x) for term in self.terms), start=value)
        self.x = x.detach()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            came = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"objective: it returned {came}; accepted: a tensor of one number")
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} after {step} steps: take smaller steps, or look for a "
                "root or a logarithm of zero in the objective"
            )
        if gradient:
            self._differentiate(loss)
        return loss.detach()

    def _differentiate(self, loss: Tensor) -> None:
        parameters = self.image.parameters()
        # Unlike backward() this leaves no gradient on a network that is not frozen.
        gradients = torch.autograd.grad(loss.reshape(()), parameters, allow_unused=True)
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = torch.zeros_like(p) if g is None else g.contiguous()

    def move(self, optimizer: torch.optim.Optimizer, loss: Tensor, step: int) -> None:
        """One step; the evaluation that the loop has made already is not made again."""
        ready, self.asked = [loss], None

        def closure() -> Tensor:
            if ready:
                return ready.pop()
            value = self.evaluate(step)
            here = self.image.parameters()
            self.asked = value, [(p.detach().clone(), p.grad.clone()) for p in here]
            return value

        optimizer.step(closure)


class _Record:
    """Losses, the best images and the frames of a run."""

    def __init__(self, to_pixels: Callable, steps: int, keep: int) -> None:
        self.to_pixels, self.keep = to_pixels, keep
        gaps = max(1, keep - 1)
        self.wanted = {round(i * steps / gaps) for i in range(keep)}
        self.losses: list[float] = []
        self.frames: dict[int, Tensor] = {}
        self.best, self.best_step, self.best_loss = None, 0, float("inf")

    def add(self, step: int, x: Tensor, loss: float) -> None:
        """Takes the images after `step` steps and their loss."""
        self.losses.append(loss)
        if loss < self.best_loss or self.best is None:
            self.best, self.best_step, self.best_loss = x.clone(), step, loss
        if step in self.wanted:
            self.take(step, x)

    def take(self, step: int, x: Tensor) -> None:
        """Keeps a frame."""
        with torch.no_grad():
            pixels = self.to_pixels(x).clamp(0, 1)
        self.frames[step] = (pixels * 255).round().byte().cpu()

    def result(self, image: Tensor, evaluations: int, interrupted: bool) -> Result:
        """All of it; the last images become a frame if they are none yet."""
        last = max(0, len(self.losses) - 1)
        if self.keep and last not in self.frames:
            self.take(last, image)
        frames = torch.stack(list(self.frames.values())) if self.keep else torch.empty(0)
        best = image.clone() if self.best is None else self.best
        found = (image.clone(), best, self.best_step, self.best_loss, self.losses)
        return Result(*found, frames, list(self.frames), evaluations, interrupted)
