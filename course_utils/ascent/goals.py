"""What is to grow: a score, a probability, a class's map, a channel or one of its units."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils import layers
from course_utils.common import gate
from course_utils.common.scores import chosen, class_indices, class_scores
from course_utils.models import Network

SIZE = 128
"""Side of the pictures made live, in pixels: a third of the time of 224."""


@dataclass(frozen=True)
class Target:
    """A number for each image that is to grow.

    Attributes:
        model: the network it is read from.
        values: normalised images (N,3,H,W) -> (N,).
        field: pixels, in a row or column, that a unit of its layer sees; 1 for a class.
    """

    model: nn.Module
    values: Callable[[Tensor], Tensor]
    field: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        """The number (N,) of each normalised image (N,3,H,W)."""
        return self.values(x)

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """The same for images in 0-1."""
        return self.values(gate.normalised(self.model, pixels))


def score(model: nn.Module, classes: int | str | Sequence | Tensor) -> Target:
    """The class score S_c, before softmax. `classes`: one for all images, or one for each."""
    _named(model, classes)
    return Target(model, lambda x: class_scores(model, x, classes))


def probability(
    model: nn.Module, classes: int | str | Sequence | Tensor, log: bool = False
) -> Target:
    """The class's probability, after softmax, or its logarithm."""
    _named(model, classes)

    def values(x: Tensor) -> Tensor:
        index = class_indices(model, classes, len(x)).to(x.device)
        p = chosen(gate.logits(model, x).log_softmax(1), index)
        return p if log else p.exp()

    return Target(model, values)


def class_map(
    model: nn.Module, classes: int | str | Sequence | Tensor, layer: str = "conv10"
) -> Target:
    """The mean of the class's map *before* a ReLU: it has a slope where the score has none.

    Args:
        model: a network whose layer `layer` has one channel for each class, as SqueezeNet's conv10.
        classes: as for `score`.
        layer: a name as `layers.find` accepts it.
    """
    layers.find(model, layer)
    _named(model, classes)

    def values(x: Tensor) -> Tensor:
        means = gate.check_maps(layers.output(model, x, layer), layer, x).mean((2, 3))
        return chosen(means, class_indices(model, classes, len(x)).to(x.device))

    return Target(model, values)


def class_goal(model: Network, classes: int | str | Sequence | Tensor) -> Target:
    """What to climb for a picture of a class: its map before the ReLU, where a network ends in one.

    SqueezeNet does: its last convolution has a map for each class, and a ReLU behind it can hold a
    score at 0. For other networks it is the score.
    """
    layer = _map_before_relu(model)
    return score(model, classes) if layer is None else class_map(model, classes, layer)


def _map_before_relu(model: nn.Module) -> str | None:
    """The last convolution's name, if a ReLU and no more weights follow it; else None.

    Modules are taken in the order in which they were made, which in networks that are a sequence is
    that of the pass.
    """
    inner = getattr(model, "module", model)
    parts = [(name, m) for name, m in inner.named_modules() if not any(m.children())]
    weighty = [i for i, (_, m) in enumerate(parts) if any(True for _ in m.parameters())]
    last, behind = (parts[weighty[-1]], parts[weighty[-1] + 1 :]) if weighty else (None, [])
    relu = any(isinstance(m, nn.ReLU) for _, m in behind)
    return last[0] if relu and isinstance(last[1], nn.Conv2d) else None


def channel(
    model: nn.Module, layer: str, channels: int | Sequence[int], centre: bool = False
) -> Target:
    """The mean activation of a channel over all positions, or its unit in the middle.

    Args:
        model: a network.
        layer: a feature map's name, as `layers.find` accepts it.
        channels: one for all images, or one for each.
        centre: the one unit in the middle instead of the mean of all.

    Raises:
        ValueError: an unknown layer or channel, or one image more or less than channels.
    """
    field = max(layers.receptive_field(model, layer, SIZE).size)
    wanted = [channels] if isinstance(channels, int) else list(channels)

    def values(x: Tensor) -> Tensor:
        maps = gate.check_maps(layers.output(model, x, layer), layer, x)
        if not all(0 <= c < maps.shape[1] for c in wanted) or len(wanted) not in (1, len(x)):
            raise ValueError(
                f"channels={wanted} for {len(x)} images; accepted: one for all or one for each, "
                f"0 to {maps.shape[1] - 1} in {layer}"
            )
        index = torch.tensor(wanted * (len(x) if len(wanted) == 1 else 1), device=x.device)
        own = maps[torch.arange(len(x), device=x.device), index]
        return own[:, own.shape[1] // 2, own.shape[2] // 2] if centre else own.mean((1, 2))

    return Target(model, values, field)


def _named(model: nn.Module, classes: int | str | Sequence | Tensor) -> None:
    """Wrong names of classes are refused at once, not at the first step."""
    several = isinstance(classes, list | tuple | Tensor)
    class_indices(model, classes, len(classes) if several else 1)
