"""One optimisation loop for every picture that is made by a gradient: lectures 10 to 16.

    result = optimise(lambda x: -net(x)[0, 130], start, 100, rule=adam(0.05))

It *minimises* a loss, so ascent on a score is descent on minus the score. What is varied is given
by a parameterisation (`Pixels`, `Fourier`), how by a rule (a maker of a `torch.optim.Optimizer`).
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image as Pil
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as tvf
from tqdm.auto import tqdm

from course_utils import images
from course_utils.common.stopping import stoppable

# ------------------------------------------------------------------ what is varied


class Parameterisation(Protocol):
    """Numbers that are varied, and the images (N,3,H,W) they stand for."""

    def parameters(self) -> list[Tensor]:
        """The leaf tensors that an optimizer changes."""
        ...

    def __call__(self) -> Tensor:
        """The images, with the graph that leads back to the parameters."""
        ...


class Pixels:
    """Images whose own values are varied, in whatever space they come (0-1 or normalised).

    Args:
        start: (N,3,H,W); copied, never changed.
    """

    def __init__(self, start: Tensor) -> None:
        if start.ndim != 4 or not start.numel() or not start.is_floating_point():
            raise ValueError(
                f"start: {start.dtype} of shape {tuple(start.shape)}; accepted: floats (N,3,H,W)"
            )
        # L-BFGS flattens its parameters with view(), so they must lie in one piece.
        copy = start.detach().clone(memory_format=torch.contiguous_format)
        self.values = copy.requires_grad_()

    def parameters(self) -> list[Tensor]:
        """The images themselves."""
        return [self.values]

    def __call__(self) -> Tensor:
        """The images (N,3,H,W)."""
        return self.values


COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
"""How red, green and blue of natural photos go together: a root of their covariance, rows RGB.

Its columns are brightness, orange against blue, and green against purple (Olah et al. 2017)."""


class Fourier:
    """Images in 0-1 by their frequencies and by colours that vary independently in photos.

        pixels = sigmoid(C * inverse Fourier transform(spectrum / frequency))

    One step of an optimizer changes all parameters by about the same amount; divided by the
    frequency, that is much at low frequencies and little at high ones, as photos have it.

    Args:
        size: (N, H, W), each at least 1; the spectrum is then small random noise.
        std: of that noise.
        seed: of that noise.
        decay: the power of the frequency.
        device: where the images are.
        decorrelate: False: red, green and blue are varied instead.

    Reference: Olah, Mordvintsev & Schubert, "Feature Visualization", Distill 2017.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        std: float = 0.01,
        seed: int = 0,
        decay: float = 1.0,
        device: torch.device | str = "cpu",
        decorrelate: bool = True,
    ) -> None:
        n, height, width = size
        if min(size) < 1:
            raise ValueError(f"size={size}; accepted: images, height and width of 1 or more")
        self.size = (height, width)
        down = torch.fft.fftfreq(height, device="cpu")[:, None]
        across = torch.fft.rfftfreq(width, device="cpu")
        frequency = (down**2 + across**2).sqrt().clamp(min=1 / max(self.size))
        self.scale = (frequency**-decay * (height * width) ** 0.5 / 4).to(device)
        colours = torch.tensor(COLOURS, device="cpu") if decorrelate else torch.eye(3, device="cpu")
        self.colours = (colours / colours.norm(dim=0).max()).to(device)
        random = torch.Generator().manual_seed(seed)
        shape = (n, 3, *frequency.shape, 2)
        noise = std * torch.randn(shape, generator=random, device="cpu")
        self.spectrum = noise.to(device).requires_grad_()

    @classmethod
    def of(cls, pixels: Tensor, decay: float = 1.0) -> "Fourier":
        """The spectrum of given images (N,3,H,W) in 0-1: `Fourier.of(pixels)()` gives them back.

        Values are kept 0.01 away from 0 and 1, which a sigmoid only reaches at infinity.
        """
        n, _, height, width = pixels.shape
        made = cls((n, height, width), 0.0, 0, decay, pixels.device)
        inverse = torch.linalg.inv(made.colours)
        mixed = torch.logit(pixels.detach(), eps=0.01)
        apart = torch.einsum("rc,nchw->nrhw", inverse, mixed)
        spectrum = torch.fft.rfft2(apart) / made.scale
        made.spectrum = torch.view_as_real(spectrum).contiguous().requires_grad_()
        return made

    def parameters(self) -> list[Tensor]:
        """The spectrum (N,3,H,W//2+1,2): real and imaginary parts."""
        return [self.spectrum]

    def __call__(self) -> Tensor:
        """The images (N,3,H,W) in 0-1."""
        spectrum = torch.view_as_complex(self.spectrum) * self.scale
        apart = torch.fft.irfft2(spectrum, s=self.size)
        return torch.einsum("rc,nchw->nrhw", self.colours, apart).sigmoid()


# ------------------------------------------------------------------ step rules

Rule = Callable[[list[Tensor]], torch.optim.Optimizer]


def gradient_step(rate: float) -> Rule:
    """x <- x - rate * gradient."""
    return lambda parameters: torch.optim.SGD(parameters, lr=rate)


def normalised_step(rate: float) -> Rule:
    """x <- x - rate * gradient / mean|gradient|, the mean over each image of the batch.

    A value moves by `rate` on average, however steep the loss is: DeepDream's step.
    """
    return lambda parameters: _Normalised(parameters, {"lr": rate})


def adam(rate: float = 0.05) -> Rule:
    """Adam (Kingma & Ba 2015): each value moves by about `rate`, whatever its gradient's size."""
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


def lbfgs(rate: float = 1.0, line_search: bool = False, history: int = 20) -> Rule:
    """L-BFGS: one iteration a step, which is one evaluation, or several with a line search.

    Args:
        rate: of the step along the direction that is found.
        line_search: search along it until the strong Wolfe conditions hold: the loss falls
            steadily, and no step diverges.
        history: steps that the curvature is estimated from.
    """
    settings = {"max_iter": 1, "max_eval": 20, "tolerance_grad": 0, "tolerance_change": 0}
    settings |= {"history_size": history, "line_search_fn": "strong_wolfe" if line_search else None}
    # torch's absolute tolerances would end the loop unnoticed where the loss is small.
    return lambda parameters: torch.optim.LBFGS(parameters, lr=rate, **settings)


class _Normalised(torch.optim.Optimizer):
    """Gradient steps of a given mean size."""

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Tensor | None:
        loss = closure() if closure else None
        for group in self.param_groups:
            for p in group["params"]:
                size = p.grad.abs().flatten(1).mean(1).clamp(min=1e-12)
                p -= group["lr"] * p.grad / size.view(-1, *[1] * (p.ndim - 1))
        return loss


# ------------------------------------------------------------------ regularisers: terms of the loss


def squared_norm(x: Tensor) -> Tensor:
    """||x||^2, summed over the batch. As a term: `lambda x: weight * squared_norm(x)`."""
    return x.square().sum()


def total_variation(x: Tensor, beta: float = 2.0) -> Tensor:
    """Sum of (d_down^2 + d_across^2)^(beta/2) over positions and colours, summed over the batch.

    Args:
        x: (N,C,H,W), at least 2x2.
        beta: 1 allows sharp edges, 2 prefers smooth slopes.

    Reference: Mahendran & Vedaldi, "Understanding Deep Image Representations by Inverting Them",
    CVPR 2015.
    """
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    squares = down.square() + across.square()
    if beta == 2:
        return squares.sum()
    return (squares + 1e-8).pow(beta / 2).sum()  # the root has no slope at zero


# ------------------------------------------------------------------ regularisers: operations

Operation = Callable[[Tensor, Tensor], Tensor]


def blur(sigma: float) -> Operation:
    """A Gaussian blur of `sigma` pixels."""
    reach = max(1, round(3 * sigma))

    def operation(x: Tensor, gradient: Tensor) -> Tensor:
        kernel = 2 * min(reach, min(x.shape[-2:]) - 1) + 1  # reflection needs room
        return tvf.gaussian_blur(x, [kernel, kernel], [sigma, sigma]) if kernel > 1 else x

    return operation


def clip_small_values(share: float) -> Operation:
    """Sets the `share` of the pixels to zero that are smallest (norm over the colours).

    Zero is the mean colour where `x` is normalised. After Yosinski et al. 2015.
    """
    return lambda x, gradient: clip_small(x, x, share)


def clip_small_gradients(share: float) -> Operation:
    """Sets the `share` of the pixels to zero whose gradient is smallest (norm over the colours)."""
    return lambda x, gradient: clip_small(x, gradient, share)


def clamp(low: float | Tensor, high: float | Tensor) -> Operation:
    """Keeps values from `low` to `high`; tensors that broadcast with the images are accepted."""
    low, high = (v if isinstance(v, Tensor) else torch.tensor(v, device="cpu") for v in (low, high))
    return lambda x, gradient: torch.minimum(torch.maximum(x, low.to(x)), high.to(x))


def clip_small(x: Tensor, by: Tensor, share: float) -> Tensor:
    """Sets the `share` of the pixels to zero whose norm of `by` over the colours is smallest.

    Args:
        x: images (N,3,H,W).
        by: (N,3,H,W): `x` itself, or its gradient.
        share: 0-1, of each image on its own; round(share * H * W) pixels go.

    Returns:
        (N,3,H,W).
    """
    size = by.norm(dim=1).flatten(1)
    gone = size.argsort(dim=1)[:, : round(share * size.shape[1])]
    kept = torch.ones_like(size).scatter(1, gone, 0.0)
    return x * kept.view(len(x), 1, *x.shape[2:])


# ------------------------------------------------------------------ random transforms

Transform = Callable[[Tensor, torch.Generator], Tensor]


def jitter(reach: int) -> Transform:
    """Shifts images by up to `reach` pixels, down and across; what leaves comes in again."""

    def transform(x: Tensor, random: torch.Generator) -> Tensor:
        shift = torch.randint(-reach, reach + 1, (2,), generator=random, device="cpu")
        return x.roll(tuple(shift.tolist()), dims=(-2, -1))

    return transform


def scale(low: float, high: float) -> Transform:
    """Resizes images by a random factor from `low` to `high`."""

    def transform(x: Tensor, random: torch.Generator) -> Tensor:
        factor = low + (high - low) * torch.rand(1, generator=random, device="cpu").item()
        size = [max(1, round(n * factor)) for n in x.shape[-2:]]
        return functional.interpolate(x, size, mode="bilinear", antialias=factor < 1)

    return transform


def rotate(degrees: float) -> Transform:
    """Turns images by up to `degrees` either way; the border is continued by its mirror image."""

    def transform(x: Tensor, random: torch.Generator) -> Tensor:
        turn = 2 * torch.rand(1, generator=random, device="cpu") - 1
        angle = turn * degrees * torch.pi / 180
        cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
        matrix = torch.stack([cos, -sin, none, sin, cos, none]).view(1, 2, 3).to(x)
        grid = functional.affine_grid(matrix.expand(len(x), -1, -1), list(x.shape), False)
        return functional.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)

    return transform


# ------------------------------------------------------------------ the loop


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
            loss = run.evaluate(step, gradient=step < steps)
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
        ready = [loss]
        optimizer.step(lambda: ready.pop() if ready else self.evaluate(step))


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


# ------------------------------------------------------------------ animations

FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def animated(frames: Iterable[Tensor], kind: str = ".webp", fps: float = 12) -> bytes:
    """Frames as an animated picture that repeats and rests for a second on its last frame.

    Args:
        frames: each (3,H,W) or (N,3,H,W), then side by side; uint8, or floats in 0-1. The frames
            of a `Result` are accepted as they are.
        kind: ".webp" (small, all colours) or ".gif" (256 colours a frame).
        fps: frames in a second, over 0.

    Returns:
        The content of the file.

    Raises:
        ValueError: no frames, another kind, or a speed that is not over 0.
    """
    if kind not in FORMATS or not fps > 0:
        accepted = " or ".join(FORMATS)
        raise ValueError(f"kind={kind!r}, fps={fps}; accepted: {accepted}, and over 0")
    pictures = [_picture(frame) for frame in frames]
    if not pictures:
        raise ValueError("frames: none came; one or more are needed")
    times = [round(1000 / fps)] * (len(pictures) - 1) + [1000]
    with io.BytesIO() as file:
        settings = {"save_all": True, "append_images": pictures[1:], "duration": times, "loop": 0}
        pictures[0].save(file, FORMATS[kind], quality=85, **settings)
        return file.getvalue()


def save_animation(
    frames: Iterable[Tensor], path: str | Path, fps: float = 12, overwrite: bool = False
) -> Path:
    """Writes `animated(frames)` to a file; one that is there already is left as it is.

    Args:
        frames, fps: as for `animated`.
        path: ends in .gif or .webp.
        overwrite: replace an existing file.

    Raises:
        FileExistsError: there is such a file, and `overwrite` is false.
        ValueError: another ending; otherwise as `animated`.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"path={str(path)!r} ends in {path.suffix!r}; accepted: .gif, .webp")
    content = animated(frames, path.suffix.lower(), fps)
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise FileExistsError(
            f"path: {path} is there already; give another name, or overwrite=True"
        ) from None
    return path


def _picture(frame: Tensor) -> Pil.Image:
    frame = frame if frame.is_floating_point() else frame.float() / 255
    return images.to_pil(torch.cat(list(frame), -1) if frame.ndim == 4 else frame)
