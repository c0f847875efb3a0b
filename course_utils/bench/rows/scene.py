"""What the rows about single photos share: a network, a photo, its class, and bare passes."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils import images, models
from course_utils.saliency import BATCH


@dataclass(frozen=True)
class Scene:
    """A network of the zoo, a normalised photo (1,3,224,224), and the class it is taken for."""

    model: models.Network
    x: Tensor
    target: int


def photo() -> Scene:
    """SqueezeNet 1.1 and the panda, on the CPU."""
    model = models.load("squeezenet1_1", "cpu")
    x = model.preprocess(images.photo("panda"))
    with torch.no_grad():
        return Scene(model, x, int(model(x).argmax()))


def as_downloaded(model: models.Network) -> nn.Module:
    """The same network as torchvision hands it out: NCHW, in-place ReLUs, nothing frozen."""
    module = copy.deepcopy(model.module).to(memory_format=torch.contiguous_format)
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = True
    return module.requires_grad_(True)


def both_passes(scene: Scene, images: int = 1) -> Callable[[], object]:
    """Forward and backward to the pixels, for as many images, in the course's batches; no more."""
    x = scene.x.repeat(images, 1, 1, 1)

    def call() -> list[Tensor]:
        found = []
        for some in x.split(BATCH):
            some = some.detach().requires_grad_()
            score = scene.model(some)[:, scene.target].sum()
            found += torch.autograd.grad(score, some)
        return found

    return call


def forward_passes(scene: Scene, images: int, batch: int) -> Callable[[], object]:
    """Forward for as many images, in batches of `batch`; no more."""
    sizes = [len(some) for some in torch.arange(images).split(batch)]

    def call() -> None:
        with torch.no_grad():
            for size in sizes:
                scene.model(scene.x.repeat(size, 1, 1, 1))

    return call
