"""Makes `data/attack_controls.json` again: what lecture 11 says of photos that it does not use.

    python data/rebuild_attack_controls.py [--out FILE]

Four minutes on an idle laptop. Another machine rounds otherwise: shares of 46 photos may differ by
one or two of them, shares after training by more.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from torch import Tensor

from course_utils import adversarial, images, models
from course_utils.common import writing

AGREE = (0.5, 0.52, 0.55, 0.6, 0.7)
MAKERS = ("SqueezeNet", "EfficientNet", "random signs")
OF_THE_LECTURE = {"panda", "scarlet_macaw", "dam1", "taj_mahal", "red_panda", "baseball"}


def others(network: models.Network) -> tuple[Tensor, Tensor]:
    """Photos that the network names right, and their classes, without the lecture's every fifth."""
    pictures = [p for p in images.photos() if p.label_index is not None]
    pixels = adversarial.eight_bits(network.crop_pixels(pictures))
    labels = torch.tensor([p.label_index for p in pictures])
    right = (adversarial.probabilities(network, pixels).argmax(1) == labels).nonzero()[:, 0]
    kept = right[torch.arange(len(right)) % 5 != 0]
    return pixels[kept], labels[kept]


def named(network: torch.nn.Module, pixels: Tensor, classes: Tensor) -> float:
    """The share of pictures that are named so."""
    found = adversarial.probabilities(network, adversarial.eight_bits(pixels)).argmax(1)
    return round((found == classes).float().mean().item(), 3)


def signs(network: models.Network, pixels: Tensor, classes: Tensor) -> list[float]:
    """Named right after 1/255 by signs of which only a share are the gradient's."""
    _, gradient = adversarial.loss_gradient(network, pixels, classes)
    drawn = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(5))
    found = [gradient.sign() * torch.where(drawn < share, 1, -1) for share in AGREE]
    return [named(network, (pixels + one / 255).clamp(0, 1), classes) for one in found]


def one_step(network: models.Network, pixels: Tensor, classes: Tensor) -> dict[str, int]:
    """What the answers are after FGSM of 2/255: old rivals or not, as sure as before or not."""
    before = adversarial.probabilities(network, pixels)
    after = adversarial.probabilities(network, adversarial.fgsm(network, pixels, classes, 2 / 255))
    (sure, new), fooled = after.max(1), after.argmax(1) != classes
    rival = (before.argsort(1, descending=True)[:, :5] == new[:, None]).any(1)
    as_sure = sure >= before.amax(1) - 0.05
    counts = {"fooled": fooled, "among the old five": fooled & rival, "as sure": fooled & as_sure}
    return {name: int(which.sum()) for name, which in counts.items()}


def filters(network: models.Network, pixels: Tensor, classes: Tensor) -> dict[str, list[float]]:
    """Named right through a filter: clean, attacked without knowing it, attacked with it."""
    unaware = adversarial.pgd(network, pixels, classes, 4 / 255, steps=4)
    found = {}
    for name, one in (
        ("JPEG, quality 30", adversarial.jpeg(30)),
        ("blur, 1 pixel", adversarial.blurred(1.0)),
    ):
        guard = adversarial.Defended(network, one)
        aware = adversarial.pgd(guard, pixels, classes, 4 / 255, steps=4)
        found[name] = [named(guard, p, classes) for p in (pixels, unaware, aware)]
    return found


def ascents(network: models.Network) -> dict[str, dict]:
    """From 24 photos and from ten pictures of noise, each to a class drawn at random."""
    draw = random.Random(9)
    photos = draw.sample([p for p in images.photos() if p.name not in OF_THE_LECTURE], 24)
    noise = torch.rand(10, 3, 224, 224, generator=torch.Generator().manual_seed(5))
    starts = {
        "photos": (network.crop_pixels(photos), 0.2, 60),
        "noise": (noise, 0.5, 100),
    }
    made = {}
    for name, (pixels, rate, steps) in starts.items():
        start = adversarial.eight_bits(pixels)
        classes = torch.tensor([draw.randrange(1000) for _ in start])
        run = adversarial.ascend(network, start, classes, rate, 0.5, steps)
        ended = [i for i, why in enumerate(run.reached) if why == "confidence"]
        lengths = (run.pixels - start).flatten(1).norm(dim=1)[ended].tolist()
        rise = [_rise(run.curves[i]) for i in ended]
        made[name] = {"starts": len(start), "lengths": sorted(round(v, 2) for v in lengths)}
        made[name] |= {"rate": rate, "steps": steps, "rise": sorted(rise)}
    return made


def _rise(curve: list[float]) -> int:
    """Steps from the last probability under .01 to the end."""
    return len(curve) - 1 - max([i for i, p in enumerate(curve) if p < 0.01], default=0)


def transfer(networks: list[models.Network], pixels: Tensor, classes: Tensor) -> dict[str, list]:
    """Shares that SqueezeNet and EfficientNet misname, made with one, the other, or by chance."""
    shares = adversarial.transfer(networks, pixels, [2 / 255, 16 / 255], "FGSM").tolist()
    found = {}
    for e, table in zip((2, 16), shares, strict=True):
        noisy = adversarial.random_signs(pixels, e / 255)
        by_chance = [1 - named(network, noisy, classes) for network in networks]
        rows = [[round(v, 3) for v in row] for row in (*table, by_chance)]
        found[f"{e}/255"] = dict(zip(MAKERS, rows, strict=True))
    return found


def queries(network: models.Network, pixels: Tensor) -> list[int | None]:
    """What the square attack asks of 8/255; None where 400 questions were not enough."""
    asked = []
    for photo in pixels.split(1):
        changed, count = adversarial.square_attack(network, photo, 8 / 255, queries=400, seed=3)
        fooled = adversarial.measure(network, photo, adversarial.eight_bits(changed)).fooled
        asked.append(count if fooled.item() else None)
    return asked


def universal(network: models.Network) -> list[dict]:
    """How many of the other photos changes fool that were made with few photos or few steps."""
    halves = [network.crop_pixels(images.photos()[i::2]) for i in (0, 1)]
    sure = []
    for pixels in map(adversarial.eight_bits, halves):
        best = adversarial.probabilities(network, pixels).max(1)
        sure.append((pixels[best.values > 0.5], best.indices[best.values > 0.5]))
    (making, _), (held_out, names) = sure
    found = []
    for photos, epochs in ((16, 3), (16, 24), (48, 1)):
        some = making[::3][:photos] if photos < 20 else making[:photos]
        r = adversarial.universal(network, some, 10 / 255, epochs)
        fooled = round(1 - named(network, (held_out + r).clamp(0, 1), names), 3)
        found.append({"photos": photos, "steps": epochs * photos // 8, "fooled": fooled})
    return found


def controls() -> dict:
    """Everything."""
    squeezenet, efficientnet = (
        models.load(name, "cpu") for name in ("squeezenet1_1", "efficientnet_lite0")
    )
    pixels, classes = others(squeezenet)
    both = adversarial.probabilities(efficientnet, pixels).argmax(1) == classes
    shared, named_so = pixels[both][:20], classes[both][:20]
    asked = {"SqueezeNet": queries(squeezenet, shared[:8])}
    asked["EfficientNet"] = queries(efficientnet, shared[:4])
    return {
        "command": "python data/rebuild_attack_controls.py",
        "photos": len(pixels),
        "signs": {"agree": AGREE, "named right": signs(squeezenet, pixels, classes)},
        "one step": one_step(squeezenet, pixels, classes),
        "filters": filters(squeezenet, pixels, classes),
        "ascents": ascents(squeezenet),
        "transfer": transfer([squeezenet, efficientnet], shared, named_so),
        "queries": asked,
        "universal": universal(squeezenet),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/attack_controls.json"))
    given = parser.parse_args()
    writing.replace(given.out, json.dumps(controls()) + "\n")
    print("written:", given.out)
