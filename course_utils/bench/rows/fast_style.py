"""Lecture 16: a photo in the style of a painting, by a trained network and by optimisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import fast_style, images, models
from course_utils.bench.row import Contender, Finding, Row
from course_utils.fast_style import PerceptualLoss, Recipe, TransformNetwork

STYLE, SIDE, EVALUATIONS = "cafe_terrace_at_night", 256, 100
LOOP = f"plain loop, {EVALUATIONS} evaluations"
LAYERS, CONTENT = (1, 3, 4, 6, 7), 6
"""relu1, fire2 to fire5, and fire4, by their places in torchvision's `features`."""


@dataclass(frozen=True)
class Scene:
    """A trained network, the loss it was trained with, a photo and the painting."""

    network: TransformNetwork
    loss: PerceptualLoss
    photo: Tensor
    painting: Tensor


def scene() -> Scene:
    """The panda at 256 x 256, on the CPU."""
    recipe = Recipe(style=STYLE)
    painting = images.painting(STYLE).pixels(recipe.style_side)
    loss = PerceptualLoss(models.load("squeezenet1_1", "cpu"), painting, recipe)
    photo = images.square(images.photo("panda").pixels(), SIDE)
    return Scene(fast_style.load(STYLE, "cpu"), loss, photo, painting)


def course_pass(scene: Scene) -> Callable[[], Tensor]:
    """The course's helper."""
    return lambda: fast_style.stylise(scene.network, scene.photo)


def plain_loop(scene: Scene) -> Callable[[], Tensor]:
    """Gatys' method as it is usually written: torchvision's SqueezeNet, Adam on the pixels."""
    network = scene.loss.network
    features = network.module.features[: max(LAYERS) + 1]
    x, art = (network.normalize(p[None]).contiguous() for p in (scene.photo, scene.painting))

    def look(image: Tensor) -> dict[int, Tensor]:
        found = {}
        for place, part in enumerate(features):
            image = part(image)
            found[place] = image
        return found

    def gram(maps: Tensor) -> Tensor:
        columns = maps.flatten(2)
        return columns @ columns.transpose(1, 2) / columns.shape[2]

    def call() -> Tensor:
        with torch.no_grad():
            content, style = look(x)[CONTENT], look(art)
            grams = {place: gram(style[place]) for place in LAYERS}
        pixels = x.clone().requires_grad_()
        adam = torch.optim.Adam([pixels], lr=0.1)
        for _ in range(EVALUATIONS):
            adam.zero_grad()
            seen = look(pixels)
            loss = functional.mse_loss(seen[CONTENT], content) / content.square().mean()
            for place, wanted in grams.items():
                share = functional.mse_loss(gram(seen[place]), wanted) / wanted.square().mean()
                loss = loss + Recipe.style_weight * share / len(LAYERS)
            loss.backward()
            adam.step()
        return network.denormalize(pixels.detach())[0].clamp(0, 1)

    return call


def convolutions_alone(scene: Scene) -> Callable[[], object]:
    """The network's convolutions on maps of their sizes; no reflection, norm or ReLU."""
    work: list[tuple[nn.Module, Tensor]] = []
    parts = [part for part in scene.network.modules() if isinstance(part, nn.Conv2d)]
    note = lambda part, given, made: work.append((part, given[0]))  # noqa: E731
    handles = [part.register_forward_hook(note) for part in parts]
    fast_style.stylise(scene.network, scene.photo)
    for handle in handles:
        handle.remove()

    def call() -> None:
        with torch.no_grad():
            for part, given in work:
                part(given)

    return call


def losses(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """Two pictures in a style need not be alike: the loss both go for is compared."""
    target = scene.loss.target(scene.photo[None])
    with torch.no_grad():
        loss = {n: scene.loss(p[None], target).item() for n, p in results.items() if p is not None}
        photo = scene.loss(scene.photo[None], target).item()
    ours, theirs = loss["the course, one pass"], loss[LOOP]
    better = max(ours, theirs) < photo
    said = f"loss {theirs:.2f}; one pass {ours:.2f}, the photo itself {photo:.2f}"
    return {LOOP: Finding(said if better else f"DISAGREES: {said}", better)}


ROWS = [
    Row(
        "fast_style",
        f"A photo of {SIDE} x {SIDE} pixels in the style of a painting",
        scene,
        (
            Contender("the course, one pass", course_pass),
            Contender(LOOP, plain_loop, "torchvision"),
            Contender("convolutions alone", convolutions_alone, floor=True),
        ),
        losses,
        note="The network was trained before, which is not timed. Both go for the same loss, that "
        "of SqueezeNet's feature maps; optimisation gets further on the one photo it works on. A "
        "loop of its own is compared, since no installed library offers style transfer.",
    ),
]
