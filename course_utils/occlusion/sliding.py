"""Lecture 05: cover a part of the picture and see how much the network misses it.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
"""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils import layers
from course_utils.common import gate
from course_utils.models import Network
from course_utils.occlusion.incremental import Incremental, check_one

FILLS = ("grey", "dataset mean", "photo mean")


def starts(size: int, window: int, stride: int) -> Tensor:
    """Where a window that slides along an axis begins: 0, stride, ... as long as it fits.

    Raises:
        ValueError: a window that does not fit, or a stride below 1.
    """
    if not 1 <= window <= size:
        raise ValueError(f"window={window}; accepted: 1 to the picture's {size} pixels")
    if stride < 1:
        raise ValueError(f"stride={stride}; accepted: 1 pixel or more")
    return torch.arange(0, size - window + 1, stride, device="cpu")


def fill_value(model: Network, x: Tensor, fill: str | Sequence[float] = "dataset mean") -> Tensor:
    """The colour of the square, normalised as the network wants it.

    Args:
        model: a network of the zoo.
        x: a normalised image (1,3,H,W).
        fill: "grey" (0.5 in every colour), "dataset mean" (ImageNet's mean colour, 0 after
            normalisation), "photo mean" (this photo's), or a colour (r, g, b) in 0-1.

    Returns:
        (3,1,1), on the device of `x`.

    Raises:
        ValueError: anything else.
    """
    if fill == "dataset mean":
        return torch.zeros(3, 1, 1, device=x.device)
    if fill == "photo mean":
        return x[0].mean((1, 2), keepdim=True)
    colour = (0.5, 0.5, 0.5) if fill == "grey" else fill
    if isinstance(colour, str) or len(colour) != 3 or not all(0 <= c <= 1 for c in colour):
        raise ValueError(f"fill={fill!r}; accepted: {', '.join(FILLS)}, or three numbers in 0-1")
    return gate.normalised(model, torch.tensor(colour, device=x.device).view(3, 1, 1))


def occlude(x: Tensor, top: Tensor, left: Tensor, window: int, value: Tensor) -> Tensor:
    """Copies of an image, each with a square painted over.

    Args:
        x: normalised image (1,3,H,W).
        top, left: (B,) int64, the squares' upper left corners.
        window: their side in pixels.
        value: (3,1,1), their colour, normalised.

    Returns:
        (B,3,H,W).
    """
    covered = x.repeat(len(top), 1, 1, 1)
    for one, row, column in zip(covered, top.tolist(), left.tolist(), strict=True):
        one[:, row : row + window, column : column + window] = value
    return covered


def sliding_window(model: nn.Module, x: Tensor, window: int, stride: int, value: Tensor) -> Tensor:
    """Occlusion as plainly as it can be written: one copy of the image, one pass, per position.

    Args:
        model: a network with one logit per class.
        x: one normalised image (1,3,H,W).
        window, stride: the square's side and its step, in pixels.
        value: its colour (3,1,1), normalised.

    Returns:
        (rows, columns, classes): logits for every position at which the whole square fits.

    Raises:
        ValueError: a window that does not fit, or a stride below 1.
    """
    rows = []
    check_one(x)
    with torch.no_grad():
        for top in starts(x.shape[2], window, stride):
            row = []
            for left in starts(x.shape[3], window, stride):
                covered = x.clone()
                covered[:, :, top : top + window, left : left + window] = value
                row.append(gate.logits(model, covered)[0])
            rows.append(torch.stack(row))
    return torch.stack(rows)


def occlusion_logits(
    model: Network,
    x: Tensor,
    window: int = 32,
    stride: int = 8,
    fill: str | Sequence[float] = "dataset mean",
    incremental: bool = True,
    progress: bool = False,
    batch: int = 25,
    classes: Sequence[int] | None = None,
) -> Tensor:
    """The network's answers while a square slides over the image.

    Args:
        model: a network with one logit per class.
        x: one normalised image (1,3,H,W).
        window, stride: the square's side and its step, in pixels.
        fill: its colour, as for `fill_value`.
        incremental: recompute only what the square can reach: the same numbers, several times
            faster. Falls back to whole pictures, with a warning, where the network's geometry is
            not known.
        progress: show a progress bar.
        batch: at most so many squares in a pass.
        classes: the classes whose logits are wanted; None for all. The last layer computes no
            others, so that the score of a single class takes about half the time on SqueezeNet.

    Returns:
        (rows, columns, classes): logits for every position.

    Raises:
        ValueError: not one image, values that are not finite, a window that does not fit, an
            unknown fill, an unknown class, or a network without classifier.
    """
    check_one(x)
    rows, columns = (starts(n, window, stride).to(x.device) for n in x.shape[2:])
    value = fill_value(model, x, fill)
    answer = _answerer(model, x, window, value, incremental, classes)
    side = max(1, math.isqrt(batch))
    bar = tqdm(total=len(rows) * len(columns), desc="occlusion", disable=not progress, leave=False)

    def block(rows: Tensor, columns: Tensor) -> Tensor:
        top, left = torch.cartesian_prod(rows, columns).T
        logits = answer(top, left)
        bar.update(len(logits))
        return logits.unflatten(0, (len(rows), len(columns)))

    # Squares equally far from the border reach equally large parts of the maps.
    down, across = _from_the_border(rows), _from_the_border(columns)
    with torch.no_grad(), bar:
        bands = [[block(r, c) for c in columns[across].split(side)] for r in rows[down].split(side)]
        logits = torch.cat([torch.cat(band, dim=1) for band in bands])
    return logits[down.argsort()][:, across.argsort()]


def _from_the_border(places: Tensor) -> Tensor:
    """The indices of places along an axis, the two outermost first, then the next two, ..."""
    i = torch.arange(len(places), device=places.device)
    return torch.minimum(i, len(places) - 1 - i).argsort(stable=True)


def _answerer(
    model: nn.Module,
    x: Tensor,
    window: int,
    value: Tensor,
    incremental: bool,
    classes: Sequence[int] | None,
):
    """The function from the squares' positions to logits: on footprints, or on whole pictures."""

    def whole(top: Tensor, left: Tensor) -> Tensor:
        logits = gate.logits(model, occlude(x, top, left, window, value))
        return logits if classes is None else logits[:, list(classes)]

    corner = torch.zeros(1, dtype=torch.long, device=x.device)
    with torch.no_grad():
        n = gate.logits(model, x).shape[1]
    if classes is not None and not all(0 <= c < n for c in classes):
        raise ValueError(f"classes={classes}; accepted: indices from 0 to {n - 1}")
    if not incremental:
        return whole
    square = value.expand(1, 3, window, window)
    try:
        footprints = Incremental(model, x, classes)
        footprints.scores(square, corner, corner)
    except ValueError as reason:
        warnings.warn(f"occlusion runs whole pictures: {reason}", stacklevel=4)
        return whole
    return lambda top, left: footprints.scores(square.expand(len(top), -1, -1, -1), top, left)


def drop(before: Tensor, after: Tensor, target: int, probability: bool = True) -> Tensor:
    """How much a class loses when the square is there: the map, hot where the network misses it.

    Args:
        before: logits (C,) of the untouched image.
        after: logits (rows, columns, C).
        target: the class.
        probability: compare softmax probabilities; otherwise scores.

    Returns:
        (rows, columns), signed: positive where the square costs the class something.
    """
    if probability:
        before, after = before.softmax(-1), after.softmax(-1)
    return before[target] - after[..., target]


def to_pixels(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
    """From a value for each position to one for each pixel: the mean of the squares over it.

    Args:
        values: (rows, columns).
        window, stride: of the squares.
        height, width: of the picture.

    Returns:
        (height, width), on the CPU; 0 where no square came.
    """
    total, count = torch.zeros(2, height, width, device="cpu")
    for i, row in enumerate(values.cpu()):
        for j, value in enumerate(row):
            place = (slice(i * stride, i * stride + window), slice(j * stride, j * stride + window))
            total[place] += value
            count[place] += 1
    return total / count.clamp(min=1)


def reached(
    model: nn.Module, layer: str | nn.Module, top: int, left: int, window: int, size: int = 224
) -> Tensor:
    """The units of a layer that see any pixel of a square: its footprint there.

    Args:
        model: a network whose geometry can be followed.
        layer: a name as `layers.find` accepts it.
        top, left, window: where the square begins, and its side, in pixels.
        size: side of the input in pixels.

    Returns:
        (h,w) bool, on the CPU: only these units can change when the square's pixels do.

    Raises:
        ValueError: as `layers.receptive_field`.
    """
    field = layers.receptive_field(model, layer, size)
    return _sees(field.rows, top, window)[:, None] & _sees(field.columns, left, window)


def _sees(span: layers.Span, start: int | Tensor, window: int) -> Tensor:
    """Which units along one axis see a pixel from `start` to `start + window` - 1."""
    return (span.last >= start) & (span.first < start + window)


def convolution_work(
    model: nn.Module, window: int, stride: int, size: int = 224
) -> dict[str, tuple[float, float]]:
    """Multiply-adds in each convolution: for a whole picture, and for an average footprint.

    Args:
        model: a network whose geometry can be followed.
        window, stride: of the squares, as for `occlusion_logits`.
        size: side of the input in pixels.

    Returns:
        The convolution's path -> (whole, footprint), in the order of the network's modules.

    Raises:
        ValueError: a window that does not fit, or as `layers.receptive_field`.
    """
    first = starts(size, window, stride)[:, None]
    inner, work = getattr(model, "module", model), {}
    run = {node.target for node in layers.trace(inner).graph.nodes}  # not heads for training only
    for path, module in inner.named_modules():
        if isinstance(module, nn.Conv2d) and path in run:
            field = layers.receptive_field(inner, path, size)
            (height, width), weights = field.shape, module.weight.numel()
            # Squares stand on a grid, so the mean over all of them is a product of two means.
            axes = (field.rows, field.columns)
            down, across = (_sees(a, first, window).sum(1).double().mean().item() for a in axes)
            work[path] = weights * height * width, weights * down * across
    return work
