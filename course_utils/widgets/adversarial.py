"""Lecture 11: from a photo to any class, within a budget, and the difference magnified."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from course_utils import adversarial
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember

PHOTOS = ("panda", "red_panda", "scarlet_macaw", "dam1")
TARGETS = ("ostrich", "koala", "toaster", "school bus")
AWAY = "any other class"


def adversarial_explorer(
    network: Network, photos: Sequence[str] = PHOTOS, targets: Sequence[str] = TARGETS
) -> Explorer:
    """Photo, difference and fooling picture, by budget, steps, target and magnification.

    Args:
        network: a classifier of the zoo.
        photos: names of the course's photos.
        targets: classes to choose from, beside leaving the photo's own.

    Returns:
        The explorer. The attack is `adversarial.pgd` with a step of a quarter of the budget, one
        step of the whole budget for a single one (`adversarial.fgsm`); what is shown and judged is
        the picture as an 8-bit file. Only the magnification redraws without passes of the network.
    """
    names = {label: network.index(label) for label in targets}
    attack = remember(partial(attacked, network))

    def draw(
        photo: Photo, target: int, budget: int, steps: int, magnified: int
    ) -> tuple[dict[str, Tensor], str]:
        pixels, changed, text = attack(photo, target, budget, steps)
        difference = (0.5 + magnified * (changed - pixels)).clamp(0, 1)
        drawn = {"photo": pixels, f"difference x {magnified}": difference, "changed": changed}
        return drawn, text

    return explore(
        draw,
        cannot=(
            "What cameras and weather do: the attack knows the network's weights and looks "
            "for the worst change."
        ),
        photo=photos,
        target=choice({AWAY: -1} | names, names[targets[0]]),
        budget=slider(1, 32, 4, label="budget, of 255"),
        steps=slider(1, 20, 5),
        magnified=slider(1, 60, 20, live=True, label="magnification"),
    )


def attacked(
    network: Network, photo: Photo, target: int, budget: int, steps: int
) -> tuple[Tensor, Tensor, str]:
    """The photo and what became of it, (3,H,W) on the CPU and as 8-bit files, and that in words.

    `target` is a class, or -1 for any but the photo's own; `budget` is in steps of an 8-bit file.
    """
    pixels = adversarial.eight_bits(network.crop_pixels(photo.pixels)).to(network.device)
    before = adversarial.probabilities(network, pixels)[0]
    own = int(before.argmax())
    if own == target:
        words = f"The network says “{network.labels[own]}” already: choose another target."
        return pixels[0].cpu(), pixels[0].cpu(), words
    away = target < 0
    options = {
        "steps": steps,
        "targeted": not away,
        "step": budget / 255 / (1 if steps == 1 else 4),
    }
    changed = adversarial.pgd(network, pixels, own if away else target, budget / 255, **options)
    changed = adversarial.eight_bits(changed)
    after = adversarial.probabilities(network, changed)[0]
    new = int(after.argmax())
    facts = f"No value moved by more than {budget} of 255; length {(changed - pixels).norm():.2f}."
    if not away and new != target:
        facts += f" The target has {after[target]:.0%}."
    named = f"Before “{network.labels[own]}” ({before[own]:.0%}), now “{network.labels[new]}” "
    return pixels[0].cpu(), changed[0].cpu(), f"{named}({after[new]:.0%}). {facts}"
