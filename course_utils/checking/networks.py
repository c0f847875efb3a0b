"""Networks for exercises, made from a specification: tiny, random and the same everywhere."""

from collections import OrderedDict
from functools import cache

import torch
from torch import Tensor, nn

from course_utils import models
from course_utils.checking.core import NetworkSpec


def build(spec: NetworkSpec) -> nn.Module:
    """The network that `spec` describes: in eval mode, frozen, on the CPU, as every case's arrays.

    A name of the zoo with "/pixels" behind it is that network for pixels in 0-1.

    Raises:
        ValueError: an unknown name.
    """
    if spec.name in TINY:
        return TINY[spec.name](spec)
    name, _, space = spec.name.partition("/")
    network = models.load(name, device="cpu")
    return models.on_pixels(network) if space == "pixels" else network


def bare(kind: type[nn.Module], *sizes: int, **options: int) -> nn.Module:
    """A layer on the CPU whose weights are still to be set; no global random numbers are used up.

    As `nn.utils.skip_init`, whose way through the meta device takes twice as long as all the rest
    of a tiny network; a check makes dozens.
    """
    made = _undrawn(kind)(*sizes, **options, device="cpu")
    made.__class__ = kind
    return made


@cache
def _undrawn(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (kind,), {"reset_parameters": lambda self: None})


def tiny_cnn(spec: NetworkSpec) -> nn.Sequential:
    """Two convolutions, each with a ReLU, a mean over positions and a linear layer.

    Takes (N,3,H,W) of any size from 4x4, gives (N,classes). Its layers: features.conv1,
    features.relu1, features.conv2, features.relu2, head.pool, head.flatten, head.fc.
    """
    generator = torch.Generator().manual_seed(spec.seed)
    conv1 = bare(nn.Conv2d, 3, 6, 3, padding=1)
    conv2 = bare(nn.Conv2d, 6, 8, 3, stride=2, padding=1)
    pool, fc = nn.AdaptiveAvgPool2d(1), bare(nn.Linear, 8, spec.classes)
    for weight in [*conv1.parameters(), *conv2.parameters(), *fc.parameters()]:
        fan = weight[0].numel() if weight.ndim > 1 else 4
        weight.data = torch.randn(weight.shape, generator=generator) * (2 / fan) ** 0.5
    fc.weight.data *= 3  # logits some units apart, as a trained network's are
    features = {"conv1": conv1, "relu1": nn.ReLU(), "conv2": conv2, "relu2": nn.ReLU()}
    head = {"pool": pool, "flatten": nn.Flatten(), "fc": fc}
    parts = {"features": features, "head": head}
    blocks = OrderedDict((k, nn.Sequential(OrderedDict(part))) for k, part in parts.items())
    return nn.Sequential(blocks).eval().requires_grad_(False)


class Fork(nn.Module):
    """Two convolutions side by side, their outputs one behind the other, and a ReLU."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right, self.relu = left, right, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N,K,h,w) -> (N, channels of both, h, w)."""
        return self.relu(torch.cat([self.left(x), self.right(x)], 1))


class Wrapped(nn.Module):
    """A network inside another, as the zoo's are, with the field's short names for its layers."""

    def __init__(self, module: nn.Module, layers: dict[str, str]) -> None:
        super().__init__()
        self.module, self.layers = module, layers

    def get_submodule(self, target: str) -> nn.Module:
        """A layer by its short name, any part by its path, as in the zoo's networks."""
        return super().get_submodule(
            f"module.{self.layers[target]}" if target in self.layers else target
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N,3,H,W) -> logits (N,classes)."""
        return self.module(x)


def tiny_fork(spec: NetworkSpec) -> Wrapped:
    """As `tiny_cnn`, built as the zoo's networks are: inside a wrapper, and with a fork.

    Its layers: module.features.conv1, .relu1, .fork with .left, .right and .relu inside, then
    module.head.pool, .flatten, .fc. Short names, for `layers.find`: "conv1", "fork", "pool", "fc".
    """
    plain = tiny_cnn(spec)
    conv1, relu1, conv2, _ = plain.features
    sides = [bare(nn.Conv2d, 6, 4, 3, stride=2, padding=1) for _ in range(2)]
    for side, half in zip(sides, (slice(0, 4), slice(4, 8)), strict=True):
        side.weight.data = conv2.weight[half].clone()
        side.bias.data = conv2.bias[half].clone()
    parts = OrderedDict(conv1=conv1, relu1=relu1, fork=Fork(*sides))
    body = nn.Sequential(OrderedDict(features=nn.Sequential(parts), head=plain.head))
    paths = {name: f"features.{name}" for name in parts} | {"pool": "head.pool", "fc": "head.fc"}
    return Wrapped(body, paths).eval().requires_grad_(False)


TINY = {"tiny_cnn": tiny_cnn, "tiny_fork": tiny_fork}


def margin(model: nn.Module, x: Tensor) -> float:
    """How far the input of the ReLU nearest to its kink is from zero, for images (N,3,H,W).

    Below float noise the gradient may come out differently on another machine: draw again.
    """
    nearest = []
    watch = lambda module, args: nearest.append(args[0].abs().min().item())  # noqa: E731
    relus = [part for part in model.modules() if isinstance(part, nn.ReLU)]
    handles = [relu.register_forward_pre_hook(watch) for relu in relus]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return min(nearest)
