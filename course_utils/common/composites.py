"""Pictures of which it is known where the object is, and that the object is what decides."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils import images
from course_utils.common.batches import in_chunks
from course_utils.common.gate import logits, normalised
from course_utils.models import Network

CALLED = {
    "elephant": ("Indian elephant", "African elephant", "tusker"),
    "zebra": ("zebra",),
    "horse": ("sorrel",),
    "tiger": ("tiger",),
    "lion": ("lion",),
    "dingo": ("dingo",),
    "fox": ("red fox", "kit fox", "grey fox"),
    "bear": ("brown bear", "American black bear"),
    "gorilla": ("gorilla",),
    "chimp": ("chimpanzee",),
    "koala": ("koala",),
    "wombat": ("wombat",),
    "hippopotamus": ("hippopotamus",),
    "dromedary": ("Arabian camel",),
    "bison": ("bison",),
    "sheep": ("ram",),
    "pig": ("hog",),
    "squirrel": ("fox squirrel",),
    "beaver": ("beaver",),
    "otter": ("otter",),
    "sea_lion": ("sea lion",),
    "peacock": ("peacock",),
    "ostrich": ("ostrich",),
    "pink_flamingo": ("flamingo",),
    "hen": ("hen",),
    "rooster": ("cock",),
    "drake": ("drake",),
    "vulture": ("vulture",),
    "rainbow_lorikeet": ("lorikeet",),
    "frog": ("tree frog", "bullfrog", "tailed frog"),
    "iguana": ("common iguana",),
    "bee": ("bee",),
    "mantis": ("mantis",),
    "grasshopper": ("grasshopper",),
    "lionfish": ("lionfish",),
    "orange": ("orange",),
    "strawberry": ("strawberry",),
    "pineapple": ("pineapple",),
    "lemon": ("lemon",),
    "banana": ("banana",),
    "broccoli": ("broccoli",),
    "corn": ("corn", "ear"),
    "mushroom": ("mushroom", "agaric"),
    "firetruck": ("fire engine",),
    "balloon360": ("balloon",),
}
"""What ImageNet may rightly call a cut-out; the dog's breed is not known."""


@dataclass(frozen=True)
class Composites:
    """Cut-outs on photos, recognised because of the object; on the CPU, as photos are.

    Attributes:
        pixels: (n,3,S,S) in 0-1.
        masks: (n,S,S) bool, True on the object.
        classes: (n,) the class the network names.
        confidence: (n,) its probability.
        names: the cut-out and the background of each.
    """

    pixels: Tensor
    masks: Tensor
    classes: Tensor
    confidence: Tensor
    names: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.pixels)

    def first(self, n: int) -> "Composites":
        """The first n of them."""
        return self.picked(range(n))

    def picked(self, which: Iterable[int]) -> "Composites":
        """Some of them, by their numbers."""
        order = [i for i in which if i < len(self)]
        parts = (self.pixels, self.masks, self.classes, self.confidence)
        return Composites(*(part[order] for part in parts), names=[self.names[i] for i in order])


def recognised_composites(
    model: Network,
    n: int = 12,
    seed: int = 0,
    with_object: float = 0.3,
    without: float = 0.02,
    rightly: bool = False,
) -> Composites:
    """Random cut-outs on photos of buildings and power plants, kept where the object decides.

    Size, place and background are drawn at random. A composite is kept if the network gives its
    first class a probability above `with_object`, and gives the same class less than `without` on
    the bare background.

    Args:
        model: a network of the zoo with a classifier.
        n: how many to find, 1 to 500.
        seed: the same seed gives the same pictures.
        with_object, without: the two probabilities.
        rightly: keep only those whose class is a name of the object, see `CALLED`.

    Raises:
        ValueError: `n` out of range, or fewer than `n` found in 40 * n draws.
    """
    if not 1 <= n <= 500:
        raise ValueError(f"n={n}; accepted: 1 to 500")
    draw = random.Random(seed)
    objects = images.cutouts()
    backgrounds = images.photos("building") + images.photos("energy")
    kept: list[tuple] = []
    for _ in range(40):
        picks = [(draw.choice(objects), draw.choice(backgrounds)) for _ in range(max(8, n))]
        scenes = [scene(o, b, model.crop, draw) for o, b in picks]
        bare = torch.stack([images.square(b.pixels(), model.crop) for _, b in picks])
        with_it = _probabilities(model, torch.stack([p for p, _ in scenes]))
        without_it = _probabilities(model, bare)
        best = with_it.max(1)
        for i, ((o, b), (pixels, mask)) in enumerate(zip(picks, scenes, strict=True)):
            c = best.indices[i]
            if rightly and model.labels[int(c)] not in CALLED.get(o.name, ()):
                continue
            if best.values[i] > with_object and without_it[i, c] < without:
                kept.append((pixels, mask, c, best.values[i], (o.name, b.name)))
        if len(kept) >= n:
            columns = list(zip(*kept[:n], strict=True))
            return Composites(*(torch.stack(c) for c in columns[:4]), names=list(columns[4]))
    raise ValueError(f"only {len(kept)} of {n} composites found that {model.name} recognises so")


def scene(
    cutout: images.Cutout, background: images.Picture, side: int, draw: random.Random
) -> tuple[Tensor, Tensor]:
    """A cut-out at a random size and place of a background: pixels (3,S,S) in 0-1, mask (S,S)."""
    place = (draw.uniform(0.5, 0.8), (draw.random(), draw.random()))
    return images.composite(cutout, background, side, *place)


def _probabilities(model: Network, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return in_chunks(lambda p: logits(model, normalised(model, p)).softmax(1).cpu(), pixels)
