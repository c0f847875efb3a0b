"""Lecture 10: the picture that a class, a channel or a unit likes best, by gradient ascent.

Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014;
Yosinski et al., "Understanding Neural Networks Through Deep Visualization", 2015;
Olah, Mordvintsev & Schubert, "Feature Visualization", Distill 2017.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional

from course_utils import images, layers
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.common.optimise import (
    Fourier,
    Parameterisation,
    Result,
    Transform,
    adam,
    jitter,
    optimise,
    rotate,
    scale,
    total_variation,
)
from course_utils.common.scores import chosen, class_indices, class_scores
from course_utils.models import Network

SIZE = 128
"""Side of the pictures made live, in pixels: a third of the time of 224."""


def ascent_step(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, rate: float, weight: float
) -> Tensor:
    """One step up the slope of S_c(x) - weight * ||x||^2.

        x + rate * (dS_c/dx - 2 * weight * x)

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W); each is a picture of its own.
        classes: the class of each image, or one for all (index or name).
        rate: length of the step, as a multiple of the gradient.
        weight: of the squared norm.

    Returns:
        (N,3,H,W), the images after the step.

    Raises:
        ValueError: as `class_scores`.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        goal = class_scores(model, x, classes).sum() - weight * x.square().sum()
    return x.detach() + rate * torch.autograd.grad(goal, x)[0]


def ascend(
    model: nn.Module,
    x: Tensor,
    classes: int | str | Sequence | Tensor,
    rate: float,
    steps: int,
    kernel: Tensor,
    every: int,
) -> Tensor:
    """Steps up the slope of S_c, and a blur after every `every` of them.

    Args:
        model, x, classes, rate: as for `ascent_step`.
        steps: how many.
        kernel: (k,k), k odd, sums to 1: each colour is convolved with it, zeros around the image.
        every: steps from one blur to the next.

    Returns:
        (N,3,H,W).

    Raises:
        ValueError: steps or `every` under 1; otherwise as `class_scores`.
    """
    if steps < 1 or every < 1:
        raise ValueError(f"steps={steps}, every={every}; accepted: 1 or more")
    for step in range(1, steps + 1):
        x = ascent_step(model, x, classes, rate, 0.0)
        if step % every == 0:
            x = convolved(x, kernel)
    return x


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of (N,C,H,W) convolved with a kernel (k,k), zeros around the image."""
    filters = kernel.to(x).expand(x.shape[1], 1, -1, -1)
    return functional.conv2d(x, filters, padding=kernel.shape[-1] // 2, groups=x.shape[1])


# ------------------------------------------------------------------ what is to grow


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

    SqueezeNet does (`class_map`); for other networks it is the score.
    """
    ends_in_relu = getattr(model, "name", "").startswith("squeezenet")
    return class_map(model, classes) if ends_in_relu else score(model, classes)


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


# ------------------------------------------------------------------ the modern recipe


def wobble(reach: int = 16, zoom: float = 1.25, degrees: float = 10.0) -> list[Transform]:
    """Random shifts, sizes and turns: what is to excite the network must survive them."""
    return [jitter(reach), scale(1 / zoom, zoom), rotate(degrees)]


def paint(
    targets: Target | Sequence[tuple[float, Target]],
    n: int = 1,
    *,
    size: int = SIZE,
    steps: int = 100,
    smooth: float = 3000.0,
    transforms: Sequence[Transform] | None = None,
    start: Tensor | Parameterisation | None = None,
    noise: float = 0.01,
    rate: float = 0.05,
    seed: int = 0,
    keep: int = 24,
    progress: str | None = "painting",
) -> Result:
    """Pictures that make targets large, by frequencies and decorrelated colours.

    Maximises sum_i w_i * target_i(T(x)) - smooth * TV(x) over the spectrum of x, T a new random
    shift, size and turn at each step, TV the total variation (beta 1) per pixel and colour.

    Args:
        targets: one, or (weight, target) pairs, also of several networks.
        n: pictures; a target may have a class for each.
        size: their side in pixels.
        steps: of Adam; 100 do, more are crisper.
        smooth: weight of the total variation.
        transforms: `wobble()` by default; () for none.
        start: pictures (N,3,H,W) in 0-1, or a parameterisation that gives such; grey noise by
            default. `n` and `size` are then its own.
        noise: of the start; more wakes channels that are dead at grey.
        rate: of Adam.
        seed: of the noise and of the transforms.
        keep, progress: as for `optimise`.

    Returns:
        `image` is (N,3,H,W) in 0-1.

    Raises:
        ValueError: a size under the field of view of a target's units, or too small for a network;
            otherwise as `optimise`.
    """
    pairs = [(1.0, targets)] if isinstance(targets, Target) else list(targets)
    for _, target in pairs:
        gate.check_zoo(target.model)
    image = Fourier.of(start) if isinstance(start, Tensor) else start
    if image is None:
        image = Fourier((n, size, size), noise, seed, device=_device(pairs[0][1].model))
    transforms = wobble() if transforms is None else transforms
    _check_size(pairs, min(image().shape[-2:]), bool(transforms))
    return optimise(
        lambda p: -sum(weight * target.of_pixels(p).sum() for weight, target in pairs),
        image,
        steps,
        rule=adam(rate),
        terms=[lambda p: smooth * total_variation(p, beta=1) / p[0].numel()] if smooth else (),
        transforms=transforms,
        keep=keep,
        progress=progress,
        seed=seed,
    )


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _check_size(pairs: Sequence, size: int, moved: bool) -> None:
    """A picture must hold a unit's field, and at its smallest still pass through the network."""
    field = max(target.field for _, target in pairs)
    if size < field:
        raise ValueError(
            f"size={size}: a unit of this layer sees {field} pixels, so a smaller picture would "
            f"show it mostly padding; accepted: {field} or more"
        )
    smallest = max(1, int(size * 0.8)) if moved else size
    for _, target in pairs:
        grey = torch.full((1, 3, smallest, smallest), 0.5, device=_device(target.model))
        try:
            with torch.no_grad():
                gate.run(target.model, gate.normalised(target.model, grey))
        except ValueError as error:
            why = f" once it is made smaller at random, to {smallest}" if moved else ""
            raise ValueError(f"size={size} does not do{why}: {error}") from error


# ------------------------------------------------------------------ measuring pictures


def high_frequencies(x: Tensor, cycles: float = 0.25) -> Tensor:
    """The share of each image's power that lies at `cycles` per pixel and more, its mean apart.

    Args:
        x: (N,C,H,W).
        cycles: 0.25 is a wave of four pixels; 0.5 the finest along an axis.

    Returns:
        (N,), 0-1; 0 for an image without contrast. White noise has about 0.8.
    """
    power = torch.fft.fft2(x - x.mean((2, 3), keepdim=True)).abs().square().sum(1)
    down, across = (torch.fft.fftfreq(n, device=x.device) for n in x.shape[-2:])
    fine = (down[:, None].square() + across.square()).sqrt() >= cycles
    return (power * fine).sum((1, 2)) / power.sum((1, 2)).clamp(min=1e-20)


def enlarged(pixels: Tensor, times: int = 3) -> Tensor:
    """Pixels (N,3,H,W) in 0-1 drawn `times` as large with smooth edges, for looking at."""
    return functional.interpolate(pixels, scale_factor=times, mode="bicubic").clamp(0, 1)


def recognition(
    model: Network, pixels: Tensor, classes: Sequence[int | str], shift: tuple[int, int] = (0, 0)
) -> list[tuple[str, float, float]]:
    """What the network makes of pictures after they were saved with 8 bits and shifted.

    Args:
        model: a classifier of the zoo.
        pixels: (N,3,H,W) in 0-1.
        classes: the wanted class of each.
        shift: pixels down and to the right; what leaves comes in again on the other side.

    Returns:
        For each picture: the most probable class, its probability, and that of the wanted class.
    """
    gate.check_zoo(model)
    index = class_indices(model, list(classes), len(pixels)).to(model.device)
    moved = images.eight_bits(pixels).roll(shift, dims=(-2, -1))
    with torch.no_grad():
        p = in_chunks(lambda some: gate.logits(model, model.normalize(some)).softmax(1), moved)
    best = p.max(1)
    wanted = p.gather(1, index[:, None])[:, 0]
    names = [model.labels[i] for i in best.indices]
    return list(zip(names, best.values.tolist(), wanted.tolist(), strict=True))


def gradient_norm(target: Target, x: Tensor) -> float:
    """The norm of the gradient of a target, summed over the normalised images `x` (N,3,H,W)."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(target(x).sum(), x)[0].norm().item()


def dead_scores(model: nn.Module, x: Tensor) -> Tensor:
    """Classes whose score for one image (1,3,H,W) is exactly 0, with a gradient of exactly 0.

    Returns:
        Their indices (n,), ascending, on the CPU.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = gate.logits(model, x)[0]
    zero = (logits == 0).nonzero()[:, 0].tolist()

    def flat(index: int) -> bool:
        slope = torch.autograd.grad(logits[index], x, retain_graph=True, allow_unused=True)[0]
        return slope is None or not slope.any()

    return torch.tensor([i for i in zero if flat(i)], dtype=torch.long, device="cpu")


# ------------------------------------------------------------------ facets


def facets(
    model: Network, pixels: Tensor, layer: str = "fire9", k: int = 3, seed: int = 0
) -> np.ndarray:
    """Groups of photos that look alike to the network: k-means of a layer's mean activations.

    Args:
        model: a network of the zoo.
        pixels: (N,3,H,W) in 0-1.
        layer: whose channels are averaged over all positions.
        k: groups, at most N.
        seed: of k-means.

    Returns:
        (N,) the group of each photo, the largest group first.

    Reference: Nguyen, Yosinski & Clune, "Multifaceted Feature Visualization", 2016.
    """
    if not 1 <= k <= len(pixels):
        raise ValueError(f"k={k} for {len(pixels)} photos; accepted: 1 to {len(pixels)}")
    with torch.no_grad():
        means = in_chunks(
            lambda p: layers.maps(model, gate.normalised(model, p), layer)[layer].mean((2, 3)),
            pixels,
        )
    directions = functional.normalize(means, dim=1).cpu().numpy()
    groups = KMeans(k, n_init=10, random_state=seed).fit_predict(directions)
    order = np.argsort(-np.bincount(groups, minlength=k), kind="stable")
    return np.argsort(order)[groups]


def mean_photos(pixels: Tensor, groups: np.ndarray, size: int = SIZE) -> Tensor:
    """The mean picture of each group of photos (N,3,H,W): (k,3,size,size), same range."""
    small = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    which = torch.as_tensor(groups)
    return torch.stack([small[which == g].mean(0) for g in range(int(groups.max()) + 1)])
