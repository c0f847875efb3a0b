"""The modern recipe: frequencies, decorrelated colours, wobble and smoothness."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils import layers
from course_utils.ascent.goals import SIZE, Target
from course_utils.common import gate
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
from course_utils.models import Network


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


def strongest_place(
    model: Network, layer: str, channel: int, pixels: Tensor, width: float = 0.3
) -> Tensor:
    """Where a channel fires most, moved to the middle of the picture; around it fades to grey.

    A start for one unit: most units are dead at grey, and then nothing can be climbed.

    Args:
        model: a network.
        layer: a feature map's name, as `layers.find` accepts it.
        channel: of that map.
        pixels: one picture (1,3,H,W) in 0-1, e.g. the channel's own.
        width: standard deviation of the Gaussian window, in halves of the side.

    Returns:
        (1,3,H,W) in 0-1.

    Raises:
        ValueError: more than one picture, a width that is not over 0, or a layer without maps.
    """
    if len(pixels) != 1 or not width > 0:
        raise ValueError(f"pixels: {len(pixels)}, width={width}; accepted: one, and over 0")
    with torch.no_grad():
        found = layers.maps(model, gate.normalised(model, pixels), layer)[layer][0, channel]
    place = divmod(int(found.argmax()), found.shape[1])
    sides = zip(place, found.shape, pixels.shape[2:], strict=True)
    middle = pixels.roll([round((n // 2 - at) * side / n) for at, n, side in sides], (2, 3))
    down, across = (torch.linspace(-1, 1, n, device=pixels.device) for n in pixels.shape[2:])
    window = torch.exp(-(down[:, None] ** 2 + across**2) / (2 * width**2))
    return 0.5 + window * (middle - 0.5)
