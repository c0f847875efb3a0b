"""Patch tokens: laid out as maps, coloured, matched from animal to animal, and left out."""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from course_utils import last_layer, layers
from course_utils.attention.looking import grid, transformer
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.common.scores import chosen, class_indices
from course_utils.models import Network

Point = tuple[float, float]
"""A place in a picture: row and column, as shares of its height and width."""


def as_maps(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Tokens (N,1+h*w,D) without [CLS] as a stack of maps (N,D,h,w), for `size` (h,w)."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, size)


def patch_maps(model: nn.Module, x: Tensor, layer: str = "norm") -> Tensor:
    """The patch tokens of a layer as feature maps (N,D,h,w), without gradient.

    Args:
        model: a network with a transformer in it.
        x: normalised images (N,3,H,W).
        layer: "block1" and so on, or "norm", the last.

    Raises:
        ValueError: a network without transformer, or a layer whose output is not (N,1+h*w,D).
    """
    size = grid(model, x)
    tokens = layers.activations(model, x, layer)
    if tokens.ndim != 3 or tokens.shape[1] != 1 + size[0] * size[1]:
        raise ValueError(
            f"layer={layer!r}: its output {tuple(tokens.shape)} is not [CLS] and "
            f"{size[0]} x {size[1]} patches; accepted: a block, or 'norm'"
        )
    return as_maps(tokens, size)


def first_component(maps: Tensor) -> Tensor:
    """The first principal component of all patches of all images, (N,D,h,w) -> (N,h,w).

    Its sign, which is arbitrary, is chosen so that the border of the pictures is negative.
    """
    n, _, h, w = maps.shape
    found = last_layer.pca(maps.movedim(1, 3).flatten(0, 2), 1).view(n, h, w)
    inner = found[:, 1:-1, 1:-1]
    border = (found.sum() - inner.sum()) / (found.numel() - inner.numel())
    return -found if border > 0 else found


def principal_colours(maps: Tensor, masks: Tensor | None = None) -> Tensor:
    """Three principal components of the patches as red, green and blue.

    Args:
        maps: (N,D,h,w); the components are those of all N pictures together, so that the same
            colour means the same direction in all.
        masks: (N,h,w) bool: only these patches are looked at, the others stay black; all by
            default.

    Returns:
        (N,3,h,w) in 0-1.

    Raises:
        ValueError: fewer than four patches.

    Reference: Oquab et al., "DINOv2", 2023, figure 1.
    """
    n, _, h, w = maps.shape
    rows = maps.movedim(1, 3).flatten(0, 2)
    some = torch.ones_like(rows[:, 0], dtype=torch.bool) if masks is None else masks.flatten()
    if some.sum() < 4:
        raise ValueError(f"masks: {some.sum().item()} patches; accepted: four or more")
    axes = last_layer.pca(rows[some], 3)
    low, high = axes.quantile(0.02, 0), axes.quantile(0.98, 0)
    colours = rows.new_zeros(len(rows), 3)
    colours[some] = ((axes - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return colours.view(n, h, w, 3).movedim(3, 1)


# ------------------------------------------------------------------ the same part, elsewhere


def patch_at(point: Point, size: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the patch in which a point lies, for `size` (h,w)."""
    row, column = (min(int(p * n), n - 1) for p, n in zip(point, size, strict=True))
    return row, column


def counterpart(a: Tensor, point: Point, b: Tensor) -> Point:
    """The place in one picture whose patch is most like the patch at a point of another.

    Args:
        a, b: feature maps (D,h,w) of the two pictures; likeness is the cosine.
        point: in the first picture.

    Returns:
        The middle of that patch.
    """
    row, column = patch_at(point, a.shape[1:])
    asked = last_layer.unit(a[:, row, column][None])[0]
    likeness = asked @ last_layer.unit(b.flatten(1).T).T
    best, (h, w) = likeness.argmax().item(), b.shape[1:]
    return (best // w + 0.5) / h, (best % w + 0.5) / w


def part_hits(
    maps: Tensor, parts: Sequence[Mapping[str, Sequence[Point]]], within: float = 0.1
) -> dict[tuple[int, int, str], bool]:
    """Whether the counterpart of each marked part is that part, for every ordered pair of pictures.

    Args:
        maps: (N,D,h,w).
        parts: of each picture, part -> where it is; an animal may have two eyes. The first point
            is asked for, any will do as an answer.
        within: a hit is at most this share of the picture's side away, and nearer to the part
            than to any other marked part.

    Returns:
        (from, to, part) -> hit, for parts that both pictures have.
    """
    found = {}
    for i, mine in enumerate(parts):
        for j, theirs in enumerate(parts):
            for part in sorted(mine.keys() & theirs.keys()) if i != j else ():
                there = counterpart(maps[i], mine[part][0], maps[j])
                off = {name: min(math.dist(there, p) for p in theirs[name]) for name in theirs}
                found[i, j, part] = off[part] <= within and off[part] == min(off.values())
    return found


# ------------------------------------------------------------------ without some patches


def kept_logits(model: nn.Module, x: Tensor, keep: Tensor) -> Tensor:
    """The scores when only some patches enter the network: the others are not there at all.

    Args:
        model: a transformer with a head, see `with_head`.
        x: normalised images (N,3,H,W).
        keep: (N,h,w) bool, the same number in every image, 1 or more.

    Returns:
        Logits (N,C), without gradient.

    Raises:
        ValueError: a network without transformer or without head, or another `keep`.
    """
    body, size = transformer(model), grid(model, x)
    counts = keep.flatten(1).sum(1) if keep.ndim == 3 else keep.new_zeros(0)
    if keep.shape != (len(x), *size) or counts.min() < 1 or counts.min() != counts.max():
        raise ValueError(
            f"keep: shape {tuple(keep.shape)}; accepted: {(len(x), *size)}, True for an equal "
            "number of patches in every image, 1 or more"
        )
    head = getattr(getattr(model, "module", None), "head", None)
    if not isinstance(head, nn.Linear):
        raise ValueError(f"model: {gate.name_of(model)} has no head; accepted: one of `with_head`")
    with torch.no_grad():
        tokens = body.embed(x)
        some = tokens[:, 1:][keep.flatten(1).to(x.device)].view(len(x), -1, tokens.shape[2])
        return head(body.encode(torch.cat([tokens[:, :1], some], 1))[:, 0])


def dropped_patches(
    model: nn.Module, x: Tensor, classes: object, window: int = 4, stride: int = 2
) -> Tensor:
    """Occlusion without a square: what the score loses when a window of patches is left out.

    Args:
        model: a transformer with a head.
        x: one normalised image (1,3,H,W).
        classes: its class.
        window, stride: in patches.

    Returns:
        (rows,columns) of the window's places, positive where the score falls, on the CPU.

    Raises:
        ValueError: more than one image, or a window that does not fit; as `kept_logits`.
    """
    h, w = grid(model, x)
    if len(x) != 1 or not 1 <= window < min(h, w) or stride < 1:
        raise ValueError(
            f"x, window, stride: {tuple(x.shape)}, {window}, {stride}; accepted: one image, a "
            f"window of 1 to {min(h, w) - 1}, a stride of 1 or more"
        )
    index = class_indices(model, classes, 1).to(x.device)
    tops, lefts = range(0, h - window + 1, stride), range(0, w - window + 1, stride)
    keep = torch.ones(len(tops) * len(lefts), h, w, dtype=torch.bool, device=x.device)
    for i, one in enumerate(keep):
        top, left = tops[i // len(lefts)], lefts[i % len(lefts)]
        one[top : top + window, left : left + window] = False
    with torch.no_grad():
        whole = chosen(gate.logits(model, x), index)
    rest = in_chunks(lambda k: kept_logits(model, x.expand(len(k), -1, -1, -1), k), keep)
    return (whole - rest[:, index[0]]).view(len(tops), len(lefts)).cpu()


def shuffled(pixels: Tensor, side: int, seed: int = 0) -> Tensor:
    """Pictures (N,3,H,W) cut into squares that are put back in another order, each its own.

    Args:
        pixels: (N,3,H,W).
        side: of a square, in pixels; H and W are multiples.
        seed: of the orders.

    Raises:
        ValueError: a side that does not divide the pictures.
    """
    gate.check_shape(pixels, "pixels")
    n, c, height, width = pixels.shape
    if side < 1 or height % side or width % side:
        raise ValueError(f"side={side}; accepted: a divisor of {height} and of {width}")
    random = torch.Generator().manual_seed(seed)
    squares = pixels.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)  # (N,C,T,side,side)
    t = squares.shape[2]
    orders = torch.stack([torch.randperm(t, generator=random, device="cpu") for _ in range(n)])
    mixed = torch.stack([s[:, o] for s, o in zip(squares, orders.to(pixels.device), strict=True)])
    mixed = mixed.unflatten(2, (height // side, width // side))
    return mixed.permute(0, 1, 2, 4, 3, 5).reshape(n, c, height, width)


def untrained(model: Network, seed: int = 0) -> Network:
    """The same transformer before training: weights as its makers draw them, factors of `Scale` 1.

    With the tiny factors that training starts from, the blocks would add nothing and all tokens
    would stay the patches they were: no attention would count.

    Args:
        model: a transformer of the zoo, without a head; it stays as it is.
        seed: of the weights.
    """
    other, random = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    for name, weight in transformer(other).named_parameters():
        drawn = 0.02 * torch.randn(weight.shape, generator=random, device="cpu")
        is_factor = name.endswith("gamma") or ("norm" in name and name.endswith("weight"))
        is_bias = name.endswith("bias")
        weight.data.copy_(1.0 if is_factor else drawn * (not is_bias))
    return other
