"""Lecture 03: what a unit sees, and the photographs that excite it most.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014; Luo, Li, Urtasun
& Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NIPS
2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from course_utils import layers
from course_utils.common.batches import CHUNK

GREY = 0.5
"""What a patch shows where its field leaves the photo."""

# ------------------------------------------------------------------ receptive fields


def field_arithmetic(windows: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    """Receptive field of the units behind a chain of sliding windows, along one axis.

    Args:
        windows: (kernel, stride, padding) or (kernel, stride, padding, dilation) of each layer, the
            first layer first. Padding is what comes before the first pixel.

    Returns:
        size: pixels that one unit sees; jump: pixels between neighbouring units; start: the first
        pixel that unit 0 sees, negative where its field begins in the padding.

    Raises:
        ValueError: a window that is not three or four whole numbers in their ranges.

    Reference: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    size, jump, start = 1, 1, 0
    for window in windows:
        kernel, stride, padding, dilation = _window(window)
        size += dilation * (kernel - 1) * jump
        start -= padding * jump
        jump *= stride
    return size, jump, start


def _window(window: Sequence[int]) -> tuple[int, int, int, int]:
    numbers = tuple(window)
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if len(numbers) in (3, 4) and whole:
        kernel, stride, padding, dilation = numbers if len(numbers) == 4 else (*numbers, 1)
        if min(kernel, stride, dilation) >= 1 and padding >= 0:
            return kernel, stride, padding, dilation
    raise ValueError(
        f"windows: {window!r}; accepted: (kernel, stride, padding) or (kernel, stride, padding, "
        "dilation), whole numbers of 1 or more, padding 0 or more"
    )


@dataclass(frozen=True)
class Fields:
    """Where the units of a layer look, the padding around the photo included.

    Attributes:
        size: height and width in pixels of every unit's field.
        jump: pixels between the fields of neighbouring units, down and across.
        start: first row and column of the field of unit (0, 0); negative inside the padding.
        units: units down and across.
        seen: the same fields, cut to the pixels of the photo that a unit really sees.
    """

    size: tuple[int, int]
    jump: tuple[int, int]
    start: tuple[int, int]
    units: tuple[int, int]
    seen: layers.ReceptiveField

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The field of one unit: (top, left, bottom, right), bottom and right excluded.

        It may leave the photo; `seen.box` is the part inside.

        Raises:
            IndexError: no such unit.
        """
        if not (0 <= row < self.units[0] and 0 <= column < self.units[1]):
            raise IndexError(
                f"unit ({row}, {column}) is outside the {self.units} units of the layer"
            )
        top, left = self.start[0] + row * self.jump[0], self.start[1] + column * self.jump[1]
        return top, left, top + self.size[0], left + self.size[1]


def fields(model: nn.Module, layer: str | nn.Module, size: int | tuple[int, int] = 224) -> Fields:
    """The fields of a layer's units, not cut at the border of the photo.

    `layers.receptive_field` says which pixels of the photo a unit sees. A photo so much larger that
    one field fits whole tells where it lies; whole strides are added, so padding that depends on
    the size (TensorFlow's "same") stays as it is. Geometry, so on the CPU.

    Args, raises: as `layers.receptive_field`. Behind a global pooling every field is the photo.
    """
    height, width = (size, size) if isinstance(size, int) else size
    cut = layers.receptive_field(model, layer, (height, width))
    whole = [
        n + jump * (2 + 2 * reach // jump)
        for n, jump, reach in zip((height, width), cut.stride, cut.size, strict=True)
    ]
    wide = layers.receptive_field(model, layer, tuple(whole))
    if wide.stride != cut.stride:  # a global pooling: its window grows with the photo
        return Fields((height, width), (height, width), (0, 0), cut.shape, cut)
    starts = tuple(_start(span) for span in (wide.rows, wide.columns))
    return Fields(cut.size, cut.stride, starts, cut.shape, cut)


def _start(span: layers.Span) -> int:
    """First pixel of unit 0, from a unit whose field is not cut: fields are evenly spaced."""
    middle = len(span) // 2
    return int(span.first[middle]) - middle * span.stride


def field_patch(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    """The square of a photo that a unit sees; grey (0.5) where it leaves the photo.

    Args:
        pixels: (3,H,W) in 0-1.
        top, left: first row and column of the field; may be negative.
        size: side of the field in pixels, 1 or more.

    Returns:
        (3,size,size).

    Raises:
        ValueError: pixels of another shape, or a size below 1.
    """
    if pixels.ndim != 3 or size < 1:
        raise ValueError(
            f"pixels: shape {tuple(pixels.shape)}, size={size}; accepted: (3,H,W), 1 or more"
        )
    patch = pixels.new_full((len(pixels), size, size), GREY)
    height, width = pixels.shape[1:]
    rows = slice(max(top, 0), max(min(top + size, height), 0))
    columns = slice(max(left, 0), max(min(left + size, width), 0))
    inside = pixels[:, rows, columns]
    if inside.numel():
        down, across = rows.start - top, columns.start - left
        patch[:, down : down + inside.shape[1], across : across + inside.shape[2]] = inside
    return patch


# ------------------------------------------------------------------ the strongest units


def top_patches(activations: Tensor, channel: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The k photos that excite a channel most, each by its best unit.

    Args:
        activations: (N,C,h,w), the same layer for N photos.
        channel: its index, from 0.
        k: how many photos, 1 to N.

    Returns:
        photos (k,) and positions (k,2), row and column, both int64, and values (k,); the strongest
        first. Of equal ones the earlier photo comes first, and in a photo the first unit in
        reading order.

    Raises:
        ValueError: no such channel, k larger than the set, values that are not finite, or another
            shape.
    """
    if activations.ndim != 4 or 0 in activations.shape:
        raise ValueError(
            f"activations: shape {tuple(activations.shape)}; accepted: (N,C,h,w), none of them 0"
        )
    return _best(activations, slice(*_one(channel, activations.shape[1]))).top(0, k)


def _one(channel: int, n: int) -> tuple[int, int]:
    if not isinstance(channel, int) or not 0 <= channel < n:
        raise ValueError(f"channel={channel!r}; accepted: 0 to {n - 1}, the layer has {n} channels")
    return channel, channel + 1


@dataclass(frozen=True)
class BestUnits:
    """For every photo and channel of one layer: its largest activation, and where.

    Attributes:
        values: (N,C).
        positions: (N,C,2), row and column, int64.
    """

    values: Tensor
    positions: Tensor

    def top(self, channel: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """As `top_patches`, for activations that are no longer at hand."""
        n, channels = self.values.shape
        _one(channel, channels)
        if not 1 <= k <= n:
            raise ValueError(f"k={k}; accepted: 1 to {n}, the number of photos in the set")
        values, photos = self.values[:, channel].sort(descending=True, stable=True)
        return photos[:k], self.positions[photos[:k], channel], values[:k]


def _best(activations: Tensor, channels: slice = slice(None)) -> BestUnits:
    chosen = activations[:, channels].detach()
    if not torch.isfinite(chosen).all():
        raise ValueError("activations: they hold values that are not finite (NaN or infinity)")
    flat = chosen.flatten(2)
    values = flat.amax(2)
    first = (flat == values[..., None]).to(torch.uint8).argmax(2)
    width = activations.shape[3]
    return BestUnits(values, torch.stack([first // width, first % width], 2))


def best_units(
    model: nn.Module, x: Tensor, names: Sequence[str], progress: str | None = None
) -> dict[str, BestUnits]:
    """One run over the photos; of every layer only each channel's best unit is kept.

    Args:
        model: a network.
        x: normalised photos (N,3,H,W), N >= 1.
        names: layers as `layers.find` accepts them; their outputs must be maps.
        progress: a caption; shows a progress bar while it runs.

    Returns:
        layer -> its `BestUnits`, on the CPU.

    Raises:
        ValueError: an unknown layer, one without rows and columns, no photos, or activations that
            are not finite.
    """
    if not len(x):
        raise ValueError("x: no photos; one or more are needed")
    found: dict[str, list[BestUnits]] = {name: [] for name in names}
    for start in tqdm(range(0, len(x), CHUNK), desc=progress, disable=not progress, leave=False):
        with torch.no_grad():
            seen = layers.maps(model, x[start : start + CHUNK], *names)
        for name in names:
            found[name].append(_best(seen[name]))
    return {name: _join(parts) for name, parts in found.items()}


def _join(parts: list[BestUnits]) -> BestUnits:
    values = torch.cat([part.values.cpu() for part in parts])
    return BestUnits(values, torch.cat([part.positions.cpu() for part in parts]))


def crops(pixels: Tensor, photos: Tensor, positions: Tensor, where: Fields) -> list[Tensor]:
    """The patch of each unit, at true size; grey where the unit sees nothing.

    Args:
        pixels: all photos (N,3,H,W) in 0-1.
        photos: (k,), and positions (k,2), row and column of a unit, as from `top_patches`.
        where: the layer's fields, from `fields` for photos of this size.

    Returns:
        k patches (3,size,size).
    """
    found = []
    for photo, (row, column) in zip(photos.tolist(), positions.tolist(), strict=True):
        top, left, _, _ = where.box(row, column)
        # Windows that do not fit may leave the last pixels unseen, so the photo's edge is not it.
        first, start, last, end = where.seen.box(row, column)
        part = pixels[photo, :, first:last, start:end]
        found.append(field_patch(part, top - first, left - start, max(where.size)))
    return found


def frame(pixels: Tensor, box: tuple[int, int, int, int], width: int = 3) -> Tensor:
    """A photo with the border of a box drawn on it, the part outside the photo left out.

    Args:
        pixels: (3,H,W) in 0-1.
        box: (top, left, bottom, right), bottom and right excluded.
        width: of the line in pixels; it lies around the box, so that the box stays visible.

    Returns:
        (3,H,W), a copy.
    """
    height, across = pixels.shape[1:]
    rows = torch.arange(height, device=pixels.device)[:, None]
    columns = torch.arange(across, device=pixels.device)
    top, left, bottom, right = box
    # A line that would fall outside is drawn along the photo's edge.
    inner_top, inner_left = max(top, width), max(left, width)
    inner_bottom, inner_right = min(bottom, height - width), min(right, across - width)
    outer = (rows >= inner_top - width) & (rows < inner_bottom + width)
    outer = outer & (columns >= inner_left - width) & (columns < inner_right + width)
    inner = (rows >= inner_top) & (rows < inner_bottom)
    inner = inner & (columns >= inner_left) & (columns < inner_right)
    colour = pixels.new_tensor([0.84, 0.37, 0.0])[:, None, None]  # visible on sky, grass and fur
    return torch.where(outer & ~inner, colour, pixels)


def ringed_disc(radius: float, contrast: float = 1.0, ring: float = 1.5, size: int = 63) -> Tensor:
    """A dark disc with a bright ring around it, on grey: an eye without an animal.

    Args:
        radius: of the disc, in pixels.
        contrast: brightness of the ring minus that of the disc, -1 to 1; below 0 the disc is bright
            and the ring dark.
        ring: outer radius of the ring, in radii of the disc.
        size: side of the picture.

    Returns:
        (3,size,size) in 0-1, the disc in the middle, borders smoothed over one pixel.

    Raises:
        ValueError: `contrast` out of range.
    """
    if not -1 <= contrast <= 1:
        raise ValueError(f"contrast={contrast}; accepted: -1 to 1")
    place = torch.arange(size, device="cpu") - (size - 1) / 2
    away = (place[:, None] ** 2 + place**2).sqrt()
    disc, both = ((r + 0.5 - away).clamp(0, 1) for r in (radius, ring * radius))
    return (0.5 + contrast / 2 * (both - 2 * disc)).expand(3, -1, -1)


def pasted(pixels: Tensor, patch: Tensor, top: int, left: int) -> Tensor:
    """A copy of a picture (3,H,W) with a patch laid on it, its upper left corner at (top, left)."""
    picture = pixels.clone()
    picture[:, top : top + patch.shape[1], left : left + patch.shape[2]] = patch
    return picture


def leading_share(photos: Tensor, groups: Sequence[str]) -> tuple[float, str]:
    """How many of some photos belong to one group: the largest share and that group's name.

    Args:
        photos: (k,) indices into `groups`, k >= 1.
        groups: the group of every photo, e.g. its category.

    Raises:
        ValueError: no photos.
    """
    found = [groups[i] for i in photos.tolist()]
    if not found:
        raise ValueError("photos: none came; one or more are needed")
    leader = max(sorted(set(found)), key=found.count)
    return found.count(leader) / len(found), leader


# ------------------------------------------------------------------ the effective receptive field


def effective_field(model: nn.Module, x: Tensor, layer: str | nn.Module, seed: int = 0) -> Tensor:
    """How much each pixel matters for the unit in the middle: |gradient|, averaged over photos.

    All channels at the middle position are asked at once, each with a random sign, so that they
    neither cancel nor does one of them rule.

    Args:
        model: a network.
        x: normalised photos (N,3,H,W).
        layer: a layer whose output is (N,C,h,w).
        seed: of the signs.

    Returns:
        (H,W), never negative, sum 1; all zeros where nothing reaches the unit.

    Raises:
        ValueError: unknown layer, or one without rows and columns.

    Reference: Luo et al., NIPS 2016, whose unit has the gradient 1 instead of a sign.
    """
    total = x.new_zeros(x.shape[-2:])
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK].detach().requires_grad_()
        with torch.enable_grad():
            maps = layers.maps(model, part, layer)[layer]
            middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
            coin = torch.randint(0, 2, middle.shape, generator=generator, device="cpu")
            signs = (2 * coin - 1).to(middle)
            gradient = torch.autograd.grad((signs * middle).sum(), part)[0]
        total += gradient.abs().sum((0, 1))
    return total / total.sum().clamp(min=1e-30)


def area_holding(weights: Tensor, share: float = 0.95) -> int:
    """The fewest pixels that together hold a share of a map.

    Args:
        weights: (H,W), not negative, with a positive sum.
        share: above 0, at most 1.

    Raises:
        ValueError: a share out of range, or a map that is negative or all zero.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share}; accepted: above 0, at most 1")
    if not (weights >= 0).all() or not weights.sum() > 0:
        raise ValueError("weights: negative or not finite, or all zero; accepted: a map >= 0")
    sums = weights.double().flatten().sort(descending=True).values.cumsum(0)
    return int((sums < share * sums[-1] * (1 - 1e-12)).sum()) + 1


def profile(weights: Tensor) -> tuple[Tensor, float, float]:
    """A map summed over its rows, with the mean and the standard deviation of that curve.

    Args:
        weights: (H,W), not negative, with a positive sum.

    Returns:
        The curve (W,), sum 1, and its centre and width (standard deviation) in pixels.
    """
    curve = weights.double().sum(0)
    curve = curve / curve.sum()
    place = torch.arange(len(curve), dtype=curve.dtype, device=curve.device)
    centre = (curve * place).sum()
    spread = (curve * (place - centre) ** 2).sum().sqrt()
    return curve.float(), centre.item(), spread.item()


def gaussian(n: int, centre: float, spread: float) -> Tensor:
    """The normal distribution's density at the pixels 0 to n-1, for comparison with `profile`."""
    place = torch.arange(n, dtype=torch.float32, device="cpu")
    return functional.softmax(-((place - centre) ** 2) / (2 * spread**2), 0)
