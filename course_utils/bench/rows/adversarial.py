"""Lecture 11: FGSM, PGD and the smallest change, beside torchattacks and foolbox."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils import adversarial, images, models
from course_utils.bench.row import Contender, Finding, Row
from course_utils.bench.rows import scene as scenes

PHOTOS = (*("alpaca", "camels", "cheetah", "crab", "gibbon", "gorilla", "horse", "kitten"),)
EPSILON, STEP, STEPS = 8 / 255, 2 / 255, 10
TORCHATTACKS, TORCHATTACKS_OURS = (
    f"torchattacks, network {which}" for which in ("as downloaded", "of the course")
)
FOOLBOX, FOOLBOX_OURS = (
    f"foolbox, network {which}" for which in ("as downloaded", "of the course")
)


@dataclass(frozen=True)
class Eight:
    """SqueezeNet, eight 8-bit photos (8,3,224,224) in 0-1, and its answers."""

    model: models.Network
    pixels: Tensor
    classes: Tensor


def eight() -> Eight:
    """The scene of all three rows, on the CPU."""
    model = models.load("squeezenet1_1", "cpu")
    pixels = adversarial.eight_bits(model.crop_pixels([images.photo(name) for name in PHOTOS]))
    return Eight(model, pixels, adversarial.probabilities(model, pixels).argmax(1))


class Downloaded(nn.Module):
    """The network as torchvision hands it out, behind its normalisation."""

    def __init__(self, model: models.Network) -> None:
        super().__init__()
        self.network, self.normalize = scenes.as_downloaded(model), model.normalize

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of pixels in 0-1."""
        return self.network(self.normalize(pixels))


def both(package: str, make: Callable[[nn.Module, Eight], Callable]) -> tuple[Contender, Contender]:
    """A peer on the network as its user has it, and on the course's: frozen and channels_last."""
    return (
        Contender(
            f"{package}, network as downloaded", lambda s: make(Downloaded(s.model), s), package
        ),
        Contender(
            f"{package}, network of the course",
            lambda s: make(models.on_pixels(s.model).eval(), s),
            package,
        ),
    )


def torchattacks_fgsm(model: nn.Module, scene: Eight) -> Callable[[], Tensor]:
    """torchattacks' `FGSM`."""
    import torchattacks

    attack = torchattacks.FGSM(model.eval(), eps=EPSILON)
    return lambda: attack(scene.pixels, scene.classes)


def torchattacks_pgd(model: nn.Module, scene: Eight) -> Callable[[], Tensor]:
    """torchattacks' `PGD`, from the photo itself."""
    import torchattacks

    settings = {"eps": EPSILON, "alpha": STEP, "steps": STEPS, "random_start": False}
    attack = torchattacks.PGD(model.eval(), **settings)
    return lambda: attack(scene.pixels, scene.classes)


def foolbox_attack(
    model: nn.Module, scene: Eight, name: str, epsilon: float | None, **settings: object
) -> Callable[[], Tensor]:
    """An attack of foolbox by its class's name; its clipped pictures."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # it imports git, which need not be there
    import foolbox

    attack = getattr(foolbox.attacks, name)(**settings)
    wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu")
    return lambda: attack(wrapped, scene.pixels, scene.classes, epsilons=epsilon)[1]


def foolbox_fgsm(model: nn.Module, scene: Eight) -> Callable[[], Tensor]:
    """foolbox's `LinfFastGradientAttack`."""
    return foolbox_attack(model, scene, "LinfFastGradientAttack", EPSILON)


def foolbox_pgd(model: nn.Module, scene: Eight) -> Callable[[], Tensor]:
    """foolbox's `LinfProjectedGradientDescentAttack`, from the photo itself."""
    settings = {"abs_stepsize": STEP, "steps": STEPS, "random_start": False}
    return foolbox_attack(model, scene, "LinfProjectedGradientDescentAttack", EPSILON, **settings)


def foolbox_smallest(model: nn.Module, scene: Eight) -> Callable[[], Tensor]:
    """foolbox's `L2DeepFoolAttack` with its defaults: 50 steps at most, 10 rivals each."""
    return foolbox_attack(model, scene, "L2DeepFoolAttack", None)


def course_lbfgs(scene: Eight) -> Callable[[], Tensor]:
    """The course's `smallest_lbfgs`, to the class that the linearised one reaches."""
    nearest = adversarial.smallest_linear(scene.model, scene.pixels)
    targets = adversarial.measure(scene.model, scene.pixels, nearest).classes
    return lambda: adversarial.smallest_lbfgs(scene.model, scene.pixels, targets)


# ------------------------------------------------------------------ agreement


def the_same_picture(scene: Eight, results: Mapping[str, Tensor]) -> dict[str, Finding]:
    """How many values are the course's; more may turn where a slope is zero up to rounding."""
    ours = results["the course"]
    found = {}
    for name, picture in results.items():
        if not isinstance(picture, Tensor):
            continue
        same = ((picture - ours).abs() < 1e-5).float().mean().item()
        # On the very same network nothing but equal values will do; elsewhere rounding differs.
        agrees = same > (0.9999 if "of the course" in name else 0.95)
        text = "all values equal" if same == 1 else f"{same:.2%} of the values equal"
        found[name] = Finding(text if agrees else f"DISAGREES: {text}", agrees)
    found.pop("the course")
    return found


def as_strong(scene: Eight, results: Mapping[str, Tensor]) -> dict[str, Finding]:
    """Equal pictures on the very same network; elsewhere the same loss, within the same budget.

    A sign that rounding turns round moves a value by a whole step, and changes the next slopes. So
    ten steps on a network that rounds otherwise end elsewhere on the same hill.
    """
    network = models.on_pixels(scene.model)
    with torch.no_grad():
        loss = {
            name: nn.functional.cross_entropy(network(picture), scene.classes).item()
            for name, picture in results.items()
            if isinstance(picture, Tensor)
        }
    found, ours = the_same_picture(scene, results), loss["the course"]
    for name in found:
        if "of the course" not in name:
            reach = (results[name] - scene.pixels).abs().max().item()
            agrees = abs(loss[name] - ours) < 0.05 * ours and reach < EPSILON + 1e-5
            text = f"loss {loss[name]:.1f}, the course's {ours:.1f}"
            found[name] = Finding(text if agrees else f"DISAGREES: {text}", agrees)
    return found


def as_near(scene: Eight, results: Mapping[str, Tensor]) -> dict[str, Finding]:
    """Fooled and median length. The course's must be no longer, and fool all."""
    found, ours = {}, None
    for name, changed in results.items():
        if not isinstance(changed, Tensor):
            continue
        facts = adversarial.measure(scene.model, scene.pixels, changed)
        median = facts.l2.quantile(0.5).item()
        ours = median if ours is None else ours
        text = f"{int(facts.fooled.sum())} of 8 fooled, median length {median:.4f}"
        agrees = ours <= 1.05 * median
        found[name] = Finding(text if agrees else f"DISAGREES: {text}", agrees)
    return found


def passes(scene: Eight, count: int) -> Callable[[], object]:
    """Forward and backward to the pixels, `count` times, and nothing else."""
    network = models.on_pixels(scene.model)

    def call() -> None:
        for _ in range(count):
            x = scene.pixels.clone().requires_grad_()
            loss = nn.functional.cross_entropy(network(x), scene.classes, reduction="sum")
            torch.autograd.grad(loss, x)

    return call


ROWS = [
    Row(
        "fgsm",
        "FGSM of eight photos",
        eight,
        (
            Contender(
                "the course",
                lambda s: lambda: adversarial.fgsm(s.model, s.pixels, s.classes, EPSILON),
            ),
            *both("torchattacks", torchattacks_fgsm),
            *both("foolbox", foolbox_fgsm),
            Contender("floor: one forward and backward pass", lambda s: passes(s, 1), floor=True),
        ),
        the_same_picture,
        note="A budget of 8/255. A sign turns round where a slope is zero up to rounding, and the "
        "network as downloaded rounds otherwise.",
    ),
    Row(
        "pgd",
        f"PGD of eight photos, {STEPS} steps",
        eight,
        (
            Contender(
                "the course",
                lambda s: (
                    lambda: adversarial.pgd(s.model, s.pixels, s.classes, EPSILON, STEP, STEPS)
                ),
            ),
            *both("torchattacks", torchattacks_pgd),
            *both("foolbox", foolbox_pgd),
            Contender(
                f"floor: {STEPS} forward and backward passes",
                lambda s: passes(s, STEPS),
                floor=True,
            ),
        ),
        as_strong,
        note="A budget of 8/255, steps of 2/255, from the photo itself. Signs that turn round "
        "(see above) send the steps another way, so on the network as downloaded the loss that is "
        "reached is compared.",
    ),
    Row(
        "smallest_l2",
        "Smallest change of eight photos that changes the answer",
        eight,
        (
            Contender(
                "the course",
                lambda s: lambda: adversarial.smallest_linear(s.model, s.pixels),
            ),
            Contender("the course, L-BFGS", course_lbfgs),
            *both("foolbox", foolbox_smallest),
            Contender("floor: one forward and backward pass", lambda s: passes(s, 1), floor=True),
        ),
        as_near,
        note="foolbox's DeepFool compares ten rivals in every step, with a backward pass each; the "
        "course follows the strongest, over the boundary and along it. L-BFGS with a "
        "search for c is the original method, to a given class. torchattacks' DeepFool is left "
        "out: it takes photos one at a time, with a backward pass for each of the 1000 classes.",
    ),
]
