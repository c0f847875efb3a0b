"""Lecture 06: saliency maps, gradient times input, SmoothGrad; exact and in bfloat16."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from course_utils import saliency
from course_utils.bench.row import Contender, Finding, Row, equal, largest_difference
from course_utils.bench.rows import scene as scenes
from course_utils.bench.rows.scene import Scene

SAMPLES, LEVEL = 50, 0.15
CAPTUM_BATCH = 8  # by default all samples are one batch
THEIRS, OURS = "captum, network as downloaded", "captum, network of the course"
REDUCED, EXACT = "the course, in bfloat16", "the course, exact (float32)"
Make = Callable[[nn.Module, Scene], Callable[[], object]]


def captum(make: Make) -> tuple[Contender, Contender]:
    """captum on the network as its user has it, and on the course's: frozen and channels_last."""
    return (
        Contender(THEIRS, lambda s: make(scenes.as_downloaded(s.model), s), "captum"),
        Contender(OURS, lambda s: make(s.model, s), "captum"),
    )


def the_same(limit: float, downloaded: float) -> Callable[..., dict[str, Finding]]:
    """Every contender's result is the course's.

    Args:
        limit: of the difference on the very same network.
        downloaded: of that on the network as downloaded, whose other memory layout rounds otherwise
            in the last digit. A gradient jumps where that makes a ReLU or a maximum switch.
    """

    def compare(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
        ours = next(iter(results.values()))
        limits = {THEIRS: downloaded, OURS: limit}
        return {name: equal(ours, results[name], limits[name]) for name in limits}

    return compare


def captum_saliency(model: nn.Module, scene: Scene) -> Callable[[], Tensor]:
    """The largest channel of captum's `Saliency`."""
    from captum.attr import Saliency

    method = Saliency(model)
    return lambda: (
        method.attribute(scene.x.clone().requires_grad_(), target=scene.target).detach().amax(1)
    )


def captum_input_x_gradient(model: nn.Module, scene: Scene) -> Callable[[], Tensor]:
    """captum's `InputXGradient`, summed over the colours."""
    from captum.attr import InputXGradient

    method = InputXGradient(model)
    return lambda: (
        method.attribute(scene.x.clone().requires_grad_(), target=scene.target).detach().sum(1)
    )


def captum_smoothgrad(model: nn.Module, scene: Scene) -> Callable[[], Tensor]:
    """captum's `NoiseTunnel` over saliency maps of one channel, as the paper averages them."""
    from captum.attr import NoiseTunnel, Saliency
    from captum.log import log_usage

    class LargestChannel(Saliency):
        @log_usage()  # NoiseTunnel looks for the function below this decorator
        def attribute(self, *args: object, **kwargs: object) -> Tensor:
            return super().attribute(*args, **kwargs).amax(1, keepdim=True)

    method = NoiseTunnel(LargestChannel(model))
    options = {"nt_samples": SAMPLES, "nt_samples_batch_size": CAPTUM_BATCH}
    stdev = LEVEL * float(scene.x.max() - scene.x.min())
    return lambda: method.attribute(scene.x, target=scene.target, stdevs=stdev, **options).detach()[
        :, 0
    ]


def course_smoothgrad(scene: Scene) -> Callable[[], Tensor]:
    """The course's helper, drawing its noise included."""

    def call() -> Tensor:
        noise = saliency.gaussian_noise(scene.x, SAMPLES, LEVEL)
        return saliency.smoothgrad(scene.model, scene.x, scene.target, noise)

    return call


def on_captums_noise(scene: Scene, model: nn.Module) -> tuple[Tensor, Tensor]:
    """The course's map and captum's on `model`, both for the noise that captum happens to draw."""
    listening = Listening(model)
    theirs = captum_smoothgrad(listening, scene)()
    noise = torch.cat(listening.seen)[:, None] - scene.x
    return saliency.smoothgrad(scene.model, scene.x, scene.target, noise), theirs


def same_for_the_same_noise(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """Both of captum's maps are the course's."""
    networks = {THEIRS: scenes.as_downloaded(scene.model), OURS: scene.model}
    return {n: equal(*on_captums_noise(scene, m), 0.01) for n, m in networks.items()}


class Listening(nn.Module):
    """A network that keeps what it is shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, x: Tensor) -> Tensor:
        """What the network answers."""
        self.seen.append(x.detach().clone())
        return self.model(x)


# ------------------------------------------------------------------ reduced precision


def in_bfloat16(call: Callable[[], object]) -> Callable[[], object]:
    """The same call, its convolutions and matrix products in bfloat16."""

    def reduced() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return call()

    return reduced


def no_bfloat16() -> str:
    """Why bfloat16 would be slow here; empty where the processor computes with it."""
    able = torch.cpu.get_capabilities()
    if any(value is True and name.endswith("bf16") for name, value in able.items()):
        return ""
    return "this processor does not compute with bfloat16 (neither AVX512-BF16 nor AMX)"


def like(exact: Tensor, reduced: Tensor) -> Finding:
    """How far a map in bfloat16 is from another, where all that is asked is a like picture."""
    off = largest_difference(exact, reduced)
    likeness = float(np.corrcoef(exact.flatten(), reduced.flatten())[0, 1])
    text = f"differs by {off:.1%} of the largest value at most, correlation {likeness:.4f}"
    agrees = likeness > 0.99  # false for NaN too
    return Finding(text if agrees else f"DISAGREES: {text}", agrees)


def error_of_bfloat16(scene: Scene, results: Mapping[str, Tensor]) -> dict[str, Finding]:
    """What bfloat16 adds to the exact map, and captum's map in bfloat16 beside the course's."""
    both = in_bfloat16(lambda: on_captums_noise(scene, scene.model))()
    return {EXACT: like(results[EXACT], results[REDUCED]), OURS: like(*both)}


# ------------------------------------------------------------------ the rows


def course(helper: Callable[[nn.Module, Tensor, int], Tensor]) -> Contender:
    """The course's helper on one photo."""
    return Contender("the course", lambda s: lambda: helper(s.model, s.x, s.target))


KINKS = (
    "The network as downloaded has another memory layout, which rounds otherwise in the last "
    "digit; a gradient jumps where a ReLU or a maximum then switches. Hence the two figures of "
    "agreement."
)
ONE_PASS = Contender("floor: one forward and backward pass", scenes.both_passes, floor=True)

ROWS = [
    Row(
        "saliency",
        "Saliency map of a photo",
        scenes.photo,
        (course(saliency.saliency_map), *captum(captum_saliency), ONE_PASS),
        the_same(1e-4, downloaded=0.05),
        note=KINKS,
    ),
    Row(
        "gradient_times_input",
        "Gradient times input of a photo",
        scenes.photo,
        (course(saliency.gradient_times_input), *captum(captum_input_x_gradient), ONE_PASS),
        the_same(1e-4, downloaded=0.05),
        note=KINKS,
    ),
    Row(
        "smoothgrad",
        f"SmoothGrad of a photo, {SAMPLES} samples",
        scenes.photo,
        (
            Contender("the course", course_smoothgrad),
            *captum(captum_smoothgrad),
            Contender(
                f"floor: {SAMPLES} forward and backward passes",
                lambda s: scenes.both_passes(s, SAMPLES),
                floor=True,
            ),
        ),
        same_for_the_same_noise,
        note=f"captum takes {CAPTUM_BATCH} samples a batch; all at once, its default, take longer. "
        "Drawing the noise is timed too; results are compared for the noise that captum drew.",
    ),
    Row(
        "smoothgrad_bfloat16",
        f"SmoothGrad of a photo, {SAMPLES} samples, in bfloat16 if one asks for it",
        scenes.photo,
        (
            Contender(REDUCED, lambda s: in_bfloat16(course_smoothgrad(s))),
            Contender(EXACT, course_smoothgrad),
            Contender(OURS, lambda s: in_bfloat16(captum_smoothgrad(s.model, s)), "captum"),
            Contender(
                f"floor: {SAMPLES} forward and backward passes in bfloat16",
                lambda s: in_bfloat16(scenes.both_passes(s, SAMPLES)),
                floor=True,
            ),
        ),
        error_of_bfloat16,
        note="`with torch.autocast('cpu', torch.bfloat16):` around the same call. The course "
        "itself never does that: exercises, grades and lectures are exact.",
        unsupported=no_bfloat16,
    ),
]
