"""Lecture 15: one evaluation of style transfer, beside a plain loop after Gatys et al."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils import images, models, style, texture
from course_utils.bench.row import Contender, Finding, Row, equal

SIZE = 256
PLAIN = "a plain loop"


@dataclass(frozen=True)
class Scene:
    """What is asked, and an image on its way there: (1,3,H,W), normalised."""

    task: style.Task
    x: Tensor


def scene(name: str) -> Scene:
    """A castle in the style of the Church at Auvers, a little away from the photo, on the CPU."""
    model = models.load(name, "cpu")
    pair = images.photo("neuschwanstein_castle"), images.painting("church_at_auvers")
    task = style.task(model, *pair, size=SIZE)
    noise = style.begin(task, "noise", "pixels")().detach()
    return Scene(task, model.normalize(0.9 * task.pixels + 0.1 * noise))


def course(scene: Scene) -> Callable[[], Tensor]:
    """Loss and gradient as `style.transfer` computes them."""
    x = scene.x.clone().requires_grad_()
    return lambda: torch.autograd.grad(scene.task.loss(x), x)[0]


def plain(scene: Scene) -> Callable[[], Tensor]:
    """Loss and gradient as one writes them down: hooks, the whole network, torch's own layout."""
    task = scene.task
    model = copy.deepcopy(task.model.module).to(memory_format=torch.contiguous_format)
    paths, seen = {name: task.model.layers[name] for name in task.wanted}, {}
    for name, path in paths.items():
        keep = lambda module, args, output, name=name: seen.update({name: output})  # noqa: E731
        model.get_submodule(path).register_forward_hook(keep)

    def call() -> Tensor:
        x = scene.x.clone().requires_grad_()
        model(x)
        loss = sum(
            task.alpha * nn.functional.mse_loss(seen[name], target, reduction="sum")
            for name, target in task.photo.items()
        )
        for name, target in task.grams.items():
            _, channels, height, width = seen[name].shape
            columns = seen[name].reshape(channels, height * width)
            gram = torch.mm(columns, columns.t()) / (height * width)
            error = nn.functional.mse_loss(gram, target[0], reduction="sum")
            loss = loss + task.beta * task.weights[name] * error
        down, across = x[..., 1:, :-1] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., :-1, :-1]
        loss = loss + task.gamma * (down.square() + across.square()).sum()
        loss.backward()
        return x.grad

    return call


def passes(scene: Scene) -> Callable[[], Tensor]:
    """Forward to the last layer that counts, and backward to the pixels; no more."""
    x = scene.x.clone().requires_grad_()
    last = scene.task.wanted[-1]

    def call() -> Tensor:
        output = texture.features(scene.task.model, x, [last])[last]
        return torch.autograd.grad(output.sum(), x)[0]

    return call


def same_gradient(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """The plain loop's gradient is the course's."""
    return {PLAIN: equal(next(iter(results.values())), results[PLAIN], 0.05)}


def row(name: str, network: str, title: str) -> Row:
    """The comparison on one network."""
    return Row(
        name,
        f"Style transfer with {title}, one evaluation at {SIZE} pixels",
        lambda: scene(network),
        (
            Contender("the course", course),
            Contender(PLAIN, plain, "torch"),
            Contender("floor: one forward and backward pass", passes, floor=True),
        ),
        same_gradient,
        note="The plain loop is written out in the row: hooks that keep the features, the whole "
        "network in PyTorch's usual memory layout, `mm` for the Gram matrices. Both know the "
        "photo's features and the painting's Gram matrices beforehand. As for all gradients, "
        "another layout rounds otherwise where a ReLU or a maximum switches.",
    )


ROWS = [
    row("style", "squeezenet1_1", "SqueezeNet"),
    row("style_vgg", "vgg16_hed", "VGG-16"),
]
