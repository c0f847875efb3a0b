"""What a transform network is trained for: the recipe, and the losses of lecture 15."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from course_utils.common import gate
from course_utils.common.errors import unknown
from course_utils.common.optimise import total_variation
from course_utils.fast_style.network import NORMS, TransformNetwork
from course_utils.models import Network
from course_utils.texture import features, gram

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""What the convolutions may be computed in while training."""


def _soap(parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
    """Adam in the axes in which Shampoo's matrices are diagonal, without weight decay."""
    from pytorch_optimizer import SOAP  # takes a second, and only this needs it

    return SOAP(parameters, lr=lr, weight_decay=0.0)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": torch.optim.Adam, "soap": _soap}
"""What may take the steps.

Adam divides each weight's slope by its usual size. SOAP (Vyas et al., ICLR 2025) first turns a
kernel's axes to those in which its slopes vary apart from each other, then does the same. Here 200
of its steps did what 400 of Adam's did (café, unseen photos); a step takes as long.
"""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run gives, but for the rounding of the machine.

    Attributes:
        style: the painting's name.
        norm, channels, blocks: of the `TransformNetwork`.
        steps, batch, rate: of the optimizer; the rate rises for the first steps and then falls to
            zero.
        optimizer: one of `OPTIMIZERS`.
        seed: of the first weights and of the crops.
        side: of the crops it is trained on, in pixels.
        style_side: the painting's longer side in pixels, which sets the size of the strokes.
        loss_network, style_layers, content_layer: where the losses look.
        content_weight, style_weight, smooth_weight: alpha, beta and gamma.
        dtype: of the convolutions while training, one of `DTYPES`. Weights, Gram matrices and
            losses stay in float32. Measured on a processor with AMX: a third less time a step.
        start: SHA-256 of the checkpoint that it goes on from; empty for fresh weights.
    """

    style: str = ""
    norm: str = "instance"
    channels: tuple[int, int, int] = (8, 24, 48)
    blocks: int = 4
    steps: int = 500
    batch: int = 4
    rate: float = 5e-3
    seed: int = 0
    side: int = 96
    style_side: int = 256
    loss_network: str = "squeezenet1_1"
    style_layers: tuple[str, ...] = ("relu1", "fire2", "fire3", "fire4", "fire5")
    content_layer: str = "fire4"
    content_weight: float = 1.0
    style_weight: float = 2.5
    smooth_weight: float = 1.0
    dtype: str = "float32"
    optimizer: str = "adam"
    start: str = ""

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "side": 32, "style_side": 32, "blocks": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: {lowest} or more")
        if self.norm not in NORMS:
            raise ValueError(unknown("norm", self.norm, NORMS, "normalisations"))
        if self.dtype not in DTYPES:
            raise ValueError(unknown("dtype", self.dtype, DTYPES, "number formats"))
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(unknown("optimizer", self.optimizer, OPTIMIZERS, "optimizers"))

    def fresh(self) -> TransformNetwork:
        """The network before training; the random state of the caller is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return TransformNetwork(self.norm, self.channels, self.blocks)


class PerceptualLoss:
    """How far pictures are from a photo in content and from a painting in style, by a network.

        content = ||F(y) - F(x)||^2 / ||F(x)||^2               at one layer
        style   = mean over l of ||G_l(y) - G_l||^2 / ||G_l||^2
        smooth  = mean squared difference of neighbouring pixels of y

    These are lecture 15's losses with weights w_l that make every layer's error a share of the
    layer's own size. Each is a mean over the batch, on the network's device.

    Args:
        network: looks at the pictures; its weights stay as they are.
        painting: (3,H,W) in 0-1.
        recipe: layers and weights.
    """

    def __init__(self, network: Network, painting: Tensor, recipe: Recipe) -> None:
        gate.check_zoo(network)
        self.network, self.recipe = network, recipe
        with torch.no_grad():
            seen = self.look(painting[None], recipe.style_layers)
            self.grams = {layer: gram(maps) for layer, maps in seen.items()}

    def look(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The feature maps of pictures in 0-1, in float32."""
        seen = features(self.network, self.network.normalize(pixels), names)
        return {name: maps.float() for name, maps in seen.items()}

    def target(self, photos: Tensor) -> Tensor:
        """F(x): the photos' feature maps at the content layer; no graph."""
        layer = self.recipe.content_layer
        with torch.no_grad():
            return self.look(photos, [layer])[layer]

    def terms(self, painted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The three losses, not weighted: "content", "style", "smooth"; each one number.

        Args:
            painted: (N,3,H,W) in 0-1.
            target: `target` of the photos, of the same size.
        """
        layer, names = self.recipe.content_layer, self.recipe.style_layers
        return self.compared(painted, self.look(painted, [*names, layer]), target)

    def compared(
        self, painted: Tensor, seen: dict[str, Tensor], target: Tensor
    ) -> dict[str, Tensor]:
        """`terms` of pictures whose feature maps are known, as `look` gives them."""
        layer, names = self.recipe.content_layer, self.recipe.style_layers
        styles = [_share(gram(seen[name]), self.grams[name]) for name in names]
        return {
            "content": _share(seen[layer], target).mean(),
            "style": torch.stack(styles).mean(),
            "smooth": total_variation(painted) / painted.numel(),
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """alpha * content + beta * style + gamma * smooth."""
        weights = self.recipe
        return (
            weights.content_weight * terms["content"]
            + weights.style_weight * terms["style"]
            + weights.smooth_weight * terms["smooth"]
        )

    def __call__(self, painted: Tensor, target: Tensor) -> Tensor:
        """The weighted sum, one number; arguments as for `terms`."""
        return self.total(self.terms(painted, target))


def _share(found: Tensor, wanted: Tensor) -> Tensor:
    """||found - wanted||^2 / ||wanted||^2 for each image, (N,)."""
    return (found - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)
