"""Lecture 03's exercises: receptive-field arithmetic, a unit's patch, the strongest patches."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils import patches
from course_utils.checking import drawing, photos
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register

LECTURE = "03_patches"


# ------------------------------------------------------------------ receptive-field arithmetic


def arithmetic_cases(seed: int) -> list[Case]:
    """One layer; three with strides; five with dilation."""
    random = drawing.generator(seed, "field_arithmetic")
    draw = lambda low, high: drawing.integer(random, low, high)  # noqa: E731
    one = [[draw(3, 8), draw(2, 4), draw(1, 3), 1]]  # a stride that the jump has to hold
    three = [[draw(3, 6), draw(2, 4), draw(1, 3), 1] for _ in range(3)]
    three[2][1] = 1  # so that the last stride shows only in what went before
    five = [[draw(2, 5), draw(1, 3), draw(1, 3), draw(1, 3)] for _ in range(5)]
    five[0][1], five[1][3], five[3][3] = 2, 3, 2
    five[4][0] = five[0][0] + 1  # the order of the layers counts
    notes = ["a single layer", "three layers", "five layers with dilation"]
    both = zip((one, three, five), notes, strict=True)
    return [Case({"windows": windows}, note, repeat=len(windows) == 3) for windows, note in both]


def chain(
    grow: Callable = lambda k, s, p, d, jump: d * (k - 1) * jump,
    move: Callable = lambda k, s, p, d, jump: -p * jump,
    leap: Callable = lambda s, jump: jump * s,
) -> Callable:
    """The recurrence, with one of its three steps exchanged."""

    def mistake(windows: list) -> tuple[int, int, int]:
        size, jump, start = 1, 1, 0
        for k, s, p, d in windows:
            size, start = size + grow(k, s, p, d, jump), start + move(k, s, p, d, jump)
            jump = leap(s, jump)
        return size, jump, start

    return mistake


ARITHMETIC_MISTAKES = (
    Mistake(
        "stride_too_early_in_both",
        chain(
            grow=lambda k, s, p, d, jump: d * (k - 1) * jump * s,
            move=lambda k, s, p, d, jump: -p * jump * s,
        ),
        "Your jump changes too early: growth and padding of a layer count units of its *input*, "
        "which are one old jump apart. Multiply by the stride last.",
    ),
    Mistake(
        "stride_too_early",
        chain(grow=lambda k, s, p, d, jump: d * (k - 1) * jump * s),
        "Each layer's own stride is in its growth already. A layer steps over the units *below* "
        "it, so it grows by the jump as it was before this layer; multiply the jump afterwards.",
    ),
    Mistake(
        "kernel_not_minus_one",
        chain(grow=lambda k, s, p, d, jump: d * k * jump),
        "You add the whole kernel. Two units k - 1 steps apart already span k of them: one unit "
        "sees the field below, and only k - 1 further steps are added.",
    ),
    Mistake(
        "jump_forgotten",
        chain(grow=lambda k, s, p, d, jump: d * (k - 1)),
        "Your field grows by the kernel alone. A step of a deep layer is many pixels of the photo: "
        "multiply by the jump.",
    ),
    Mistake(
        "dilation_forgotten",
        chain(grow=lambda k, s, p, d, jump: (k - 1) * jump),
        "The dilation is missing: a dilated kernel has gaps between its entries, so it reaches as "
        "many times further.",
    ),
    Mistake(
        "dilation_on_kernel",
        chain(grow=lambda k, s, p, d, jump: (d * k - 1) * jump),
        "You dilate k entries. A kernel has k - 1 gaps between its entries, and each of these is "
        "stretched by the dilation.",
    ),
    Mistake(
        "strides_added",
        chain(leap=lambda s, jump: jump + s - 1),
        "You add the strides up. Two layers that each skip every other position skip three of "
        "four: strides multiply.",
    ),
    Mistake(
        "last_stride_only",
        chain(leap=lambda s, jump: s),
        "Your jump is the stride of one layer only. Every stride before it counts too: they "
        "multiply.",
    ),
    Mistake(
        "padding_forgotten",
        chain(move=lambda k, s, p, d, jump: 0),
        "Size and jump are fine, but the padding is missing from the start: the first window "
        "begins before the first pixel.",
    ),
    Mistake(
        "padding_without_jump",
        chain(move=lambda k, s, p, d, jump: -p),
        "Padding of a deep layer counts units of *its* input, each a whole jump of pixels apart: "
        "multiply it by the jump before you subtract.",
    ),
    Mistake(
        "padding_forward",
        chain(move=lambda k, s, p, d, jump: p * jump),
        "Your start lies inside the photo. Padding comes before the first pixel: the field begins "
        "at a negative place.",
    ),
    Mistake(
        "padding_with_own_stride",
        chain(move=lambda k, s, p, d, jump: -p * jump * s),
        "For the start you used the jump after this layer's stride. Padding is laid around the "
        "layer's *input*, whose units are one old jump apart.",
    ),
    Mistake(
        "padding_in_size",
        chain(grow=lambda k, s, p, d, jump: (d * (k - 1) - 2 * p) * jump),
        "You subtract the padding from the size. Padding moves a field, it does not change how "
        "wide it is.",
    ),
    Mistake(
        "jump_before_last_stride",
        lambda windows: (*chain()(windows)[:1], chain()(windows[:-1])[1], chain()(windows)[2]),
        "Your jump leaves out the last layer's stride. Its units are what the jump is between, so "
        "that stride counts too.",
    ),
    Mistake(
        "size_from_zero",
        lambda windows: (chain()(windows)[0] - 1, *chain()(windows)[1:]),
        "Your size is one pixel short. Before any layer a unit is a pixel, and that pixel counts.",
    ),
    Mistake(
        "start_is_centre",
        lambda windows: (
            *chain()(windows)[:2],
            chain(move=lambda k, s, p, d, jump: (d * (k - 1) / 2 - p) * jump)(windows)[2],
        ),
        "Your start is the middle of the first unit's field. Asked for is the field's first pixel: "
        "only the padding moves it.",
    ),
    Mistake(
        "start_is_centre_of_pixel",
        lambda windows: (
            *chain()(windows)[:2],
            0.5 + chain(move=lambda k, s, p, d, jump: (d * (k - 1) / 2 - p) * jump)(windows)[2],
        ),
        "Your start is the middle of the first unit's field, counted from a pixel's edge. Asked "
        "for is the field's first pixel: only the padding moves it.",
    ),
    Mistake(
        "padding_times_dilation",
        chain(move=lambda k, s, p, d, jump: -p * d * jump),
        "You stretch the padding by the dilation. Padding counts units of the layer's input, "
        "whatever gaps the kernel has.",
    ),
    Mistake(
        "both_paddings",
        chain(move=lambda k, s, p, d, jump: -2 * p * jump),
        "You count the padding twice. For the start only the padding before the first pixel "
        "matters, not that behind the last.",
    ),
    Mistake(
        "last_pixel_for_size",
        lambda windows: (lambda size, jump, start: (start + size, jump, start))(*chain()(windows)),
        "Your size is where the field ends. Its size is the distance from its start to there.",
    ),
    Mistake(
        "last_layer_first",
        lambda windows: chain()(windows[::-1]),
        "You went through the layers from the last to the first. With this recurrence the jump is "
        "that of the layers *before*: begin at the photo.",
    ),
    Mistake(
        "first_layer_only",
        lambda windows: chain()(windows[:1]),
        "These are the numbers after the first layer alone. Does your function return inside the "
        "loop?",
    ),
    Mistake(
        "size_and_jump_exchanged",
        lambda windows: tuple(patches.field_arithmetic(windows)[i] for i in (1, 0, 2)),
        "Size and jump are exchanged: the exercise asks for (size, jump, start).",
    ),
)


# ------------------------------------------------------------------ the patch of a unit


def patch_cases(seed: int) -> list[Case]:
    """Inside; over the upper left, over the lower right; a field larger than the photo."""
    random = drawing.generator(seed, "field_patch")
    notes = ["a field inside the photo", "a field that leaves the photo above and to the left"]
    notes += ["a field that leaves the photo below and to the right"]
    notes += ["a field larger than the photo"]
    boxes = [(2, 4, 4), (-2, -3, 6), (6, 7, 7), (-2, -1, 15)]
    found = []
    for (top, left, size), note in zip(boxes, notes, strict=True):
        pixels = torch.rand(3, 10, 12, generator=random)
        shift = drawing.integer(random, 0, 2)
        args = {"pixels": pixels, "top": top + shift, "left": left, "size": size + shift}
        found.append(Case(args, note, repeat=size == 7))
    return found


def indexed(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return pixels[:, rows][:, :, columns]


def along(top: int, left: int, size: int) -> tuple[Tensor, Tensor]:
    return torch.arange(top, top + size), torch.arange(left, left + size)


def outside_is(value: float) -> Callable:
    def mistake(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
        ones = patches.field_patch(torch.ones_like(pixels), top, left, size)
        found = patches.field_patch(pixels, top, left, size)
        return torch.where(ones == 1, found, torch.full_like(found, value))

    return mistake


def clamped(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    rows, columns = along(top, left, size)
    return indexed(
        pixels, rows.clamp(0, pixels.shape[1] - 1), columns.clamp(0, pixels.shape[2] - 1)
    )


def wrapped(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    rows, columns = along(top, left, size)
    return indexed(pixels, rows % pixels.shape[1], columns % pixels.shape[2])


def cut(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    return pixels[:, max(top, 0) : top + size, max(left, 0) : left + size]


def in_the_corner(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    inside, patch = cut(pixels, top, left, size), pixels.new_full((3, size, size), 0.5)
    patch[:, : inside.shape[1], : inside.shape[2]] = inside
    return patch


def moved_inside(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    top = max(0, min(top, pixels.shape[1] - size))
    left = max(0, min(left, pixels.shape[2] - size))
    return patches.field_patch(pixels, top, left, size)


def stretched(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
    inside = cut(pixels, top, left, size)[None]
    return torch.nn.functional.interpolate(inside, (size, size), mode="bilinear")[0]


def corner_along(axis: int) -> Callable:
    """The part inside pasted at the beginning along one axis, and rightly along the other."""

    def mistake(pixels: Tensor, top: int, left: int, size: int) -> Tensor:
        right = patches.field_patch(pixels, top, left, size)
        lost = max(-(top, left)[axis], 0)
        grey = right.new_full((3, size, size), 0.5)
        kept = right.narrow(axis + 1, lost, size - lost)
        grey.narrow(axis + 1, 0, size - lost)[:] = kept
        return grey

    return mistake


PATCH_MISTAKES = (
    Mistake(
        "black_outside",
        outside_is(0.0),
        "Outside the photo your patch is black. Black could be part of a photo; the exercise asks "
        "for grey, 0.5.",
    ),
    Mistake(
        "white_outside",
        outside_is(1.0),
        "Outside the photo your patch is white. White could be part of a photo; the exercise asks "
        "for grey, 0.5.",
    ),
    Mistake(
        "mean_outside",
        lambda pixels, top, left, size: outside_is(pixels.mean().item())(pixels, top, left, size),
        "Outside the photo your patch has the photo's mean brightness. The exercise asks for grey, "
        "0.5, the same for all photos.",
    ),
    Mistake(
        "grey_of_bytes",
        outside_is(128.0),
        "Outside the photo your patch is 128. Pixels run from 0 to 1 here, so mid-grey is 0.5.",
    ),
    Mistake(
        "in_the_corner_down",
        corner_along(0),
        "Across all is right; down, the part inside begins at the top of your patch. Where the "
        "field begins above the photo, the grey belongs there.",
    ),
    Mistake(
        "in_the_corner_across",
        corner_along(1),
        "Down all is right; across, the part inside begins at the left of your patch. Where the "
        "field begins left of the photo, the grey belongs there.",
    ),
    Mistake(
        "one_too_small",
        lambda pixels, top, left, size: patches.field_patch(pixels, top, left, size - 1),
        "Your patch has one row and one column too few: the end of a slice is excluded already.",
    ),
    Mistake(
        "transposed",
        lambda pixels, top, left, size: patches.field_patch(pixels, top, left, size).mT,
        "Rows and columns are exchanged in your patch: it is mirrored on its diagonal.",
    ),
    Mistake(
        "colours_last",
        lambda pixels, top, left, size: patches.field_patch(pixels, top, left, size).movedim(0, -1),
        "The numbers are right, but the colours are the last axis. In this course they are the "
        "first: (3, height, width).",
    ),
    Mistake(
        "edge_repeated",
        clamped,
        "Outside the photo you repeat its edge. That looks like a photo that goes on, but the unit "
        "saw padding there; make it grey.",
    ),
    Mistake(
        "wrapped_around",
        wrapped,
        "Negative places count from the other end in Python: your patch takes pixels from the "
        "photo's far side. Cut the box to the photo first.",
    ),
    Mistake(
        "bare_slice",
        lambda pixels, top, left, size: pixels[:, top : top + size, left : left + size],
        "You cut a plain slice. Beyond the photo it has nothing to give, and a negative place "
        "counts from the other end in Python: treat what lies outside on its own.",
    ),
    Mistake(
        "cut_off",
        cut,
        "Your patch is only the part inside the photo. Then patches at the border are smaller than "
        "the others; lay that part on a grey square of the full size.",
    ),
    Mistake(
        "pasted_in_the_corner",
        in_the_corner,
        "The part inside the photo lies in the upper left of your patch. Where the field begins "
        "above or left of the photo, the grey belongs *there*, and the photo after it.",
    ),
    Mistake(
        "moved_inside",
        moved_inside,
        "You moved the field until it fits the photo. The unit looks where it looks: the part "
        "outside has to stay, as grey.",
    ),
    Mistake(
        "stretched",
        stretched,
        "You stretched the part inside to the full size. At true size a pixel stays a pixel; the "
        "rest is grey.",
    ),
    Mistake(
        "rows_and_columns_exchanged",
        lambda pixels, top, left, size: patches.field_patch(pixels, left, top, size),
        "Top and left are exchanged: `top` counts rows, the second axis of (3,H,W), and `left` "
        "counts columns, the third.",
    ),
    Mistake(
        "box_around_the_corner",
        lambda pixels, top, left, size: patches.field_patch(
            pixels, top - size // 2, left - size // 2, size
        ),
        "You laid the square around the point (top, left). That point is its upper left corner.",
    ),
    Mistake(
        "one_late",
        lambda pixels, top, left, size: patches.field_patch(pixels, top + 1, left + 1, size),
        "Your patch starts one row and one column late. Python counts from 0, and so do `top` and "
        "`left`.",
    ),
    Mistake(
        "one_too_large",
        lambda pixels, top, left, size: patches.field_patch(pixels, top, left, size + 1),
        "Your patch has one row and one column too many: the end of a slice is excluded.",
    ),
)


# ------------------------------------------------------------------ the strongest patches


def top_cases(seed: int) -> list[Case]:
    """Some photos; all; equally strong photos and units; one unit a photo, of one channel."""
    random = drawing.generator(seed, "top_patches")
    found = []
    for n, k, (height, width), note in [
        (8, 3, (5, 7), "8 photos and k=3"),
        (5, 5, (6, 4), "5 photos and k=5"),
    ]:
        activations = torch.randn(n, 4, height, width, generator=random)
        activations = torch.where(activations < 0, 1.5 * activations, activations)
        channel = drawing.integer(random, 1, 4)
        args = {"activations": activations, "channel": channel, "k": k}
        found.append(Case(args, note, repeat=n == 8))
    equal = torch.rand(7, 3, 4, 5, generator=random)
    equal[[1, 3, 6], 1, [0, 2, 3], [4, 1, 2]] = 2.0
    # Of the three in photo 3 the first along the rows is not the first down the columns.
    equal[3, 1, [0, 3], [4, 2]] = 2.0
    args = {"activations": equal, "channel": 1, "k": 4}
    found.append(Case(args, "three photos that are equally strong (one at three units)"))
    silent = torch.rand(16, 2, 3, 4, generator=random)
    silent[torch.randperm(16, generator=random)[:12], 1] = 0
    args = {"activations": silent, "channel": 1, "k": 10}
    found.append(Case(args, "a channel that is silent on most photos", ties=True))
    args = {"activations": torch.rand(6, 1, 1, 1, generator=random), "channel": 0, "k": 4}
    return [*found, Case(args, "a single unit for each photo")]


def ranked(scores: Tensor, best: Tensor, width: int, k: int, stable: bool = True) -> tuple:
    """Photos by score, with the unit `best` (N,) of each."""
    values, photos = scores.sort(descending=True, stable=stable)
    photos = photos[:k]
    return photos, torch.stack([best[photos] // width, best[photos] % width], 1), values[:k]


def strongest(activations: Tensor, channel: int) -> tuple[Tensor, Tensor, int]:
    flat = activations[:, channel].flatten(1)
    return flat.amax(1), flat.argmax(1), activations.shape[3]


def all_units(activations: Tensor, channel: int, k: int) -> tuple:
    n, _, height, width = activations.shape
    values, places = activations[:, channel].flatten().sort(descending=True, stable=True)
    photos, units = places[:k] // (height * width), places[:k] % (height * width)
    return photos, torch.stack([units // width, units % width], 1), values[:k]


def by_mean(activations: Tensor, channel: int, k: int) -> tuple:
    _, best, width = strongest(activations, channel)
    return ranked(activations[:, channel].mean((1, 2)), best, width, k)


def by_size(activations: Tensor, channel: int, k: int) -> tuple:
    return patches.top_patches(activations.abs(), channel, k)


def by_any_channel(activations: Tensor, channel: int, k: int) -> tuple:
    return patches.top_patches(activations.amax(1, keepdim=True), 0, k)


def weakest(activations: Tensor, channel: int, k: int) -> tuple:
    scores, best, width = strongest(activations, channel)
    photos, positions, values = ranked(-scores, best, width, k)
    return photos, positions, -values


def equal_ones_backwards(activations: Tensor, channel: int, k: int) -> tuple:
    photos, positions, values = patches.top_patches(activations.flip(0), channel, k)
    return len(activations) - 1 - photos, positions, values


def last_of_equal_units(activations: Tensor, channel: int, k: int) -> tuple:
    """Each photo's best unit, the last in reading order where several are equal."""
    photos, positions, values = patches.top_patches(activations.flip(2, 3), channel, k)
    return photos, torch.tensor(activations.shape[2:]) - 1 - positions, values


def down_the_columns(activations: Tensor, channel: int, k: int) -> tuple:
    photos, positions, values = patches.top_patches(activations.mT, channel, k)
    return photos, positions.flip(1), values


def at_one_unit(activations: Tensor, channel: int, k: int) -> tuple:
    """All photos judged by the unit at which the channel is largest on average."""
    maps = activations[:, channel].flatten(1)
    unit = int(maps.mean(0).argmax())
    return ranked(maps[:, unit], torch.full((len(maps),), unit), activations.shape[3], k)


def from_answer(name: str, change: Callable, sentence: str) -> Mistake:
    """A mistake that has found the patches and hands them out wrongly."""

    def mistake(activations: Tensor, channel: int, k: int) -> object:
        return change(*patches.top_patches(activations, channel, k), activations, channel, k)

    return Mistake(name, mistake, sentence)


def ties_by_topk(activations: Tensor, channel: int, k: int) -> tuple:
    scores, best, width = strongest(activations, channel)
    values, photos = scores.topk(k)
    return photos, torch.stack([best[photos] // width, best[photos] % width], 1), values


TOP_MISTAKES = (
    Mistake(
        "ties_by_topk",
        ties_by_topk,
        "Of photos on which the channel is equally strong, or silent, the earlier ones come first. "
        "`topk` gives them in any order; `sort` with `stable=True` keeps it.",
    ),
    Mistake(
        "several_units_of_a_photo",
        all_units,
        "One photo appears several times: you ranked all units at once. Neighbouring units see "
        "nearly the same pixels; take each photo's best unit first, then rank the photos.",
    ),
    Mistake(
        "several_units_by_topk",
        lambda activations, channel, k: (
            (best := activations[:, channel].flatten().topk(k)).indices
            // (size := activations[0, 0].numel()),
            torch.stack(
                [
                    best.indices % size // activations.shape[3],
                    best.indices % size % activations.shape[3],
                ],
                1,
            ),
            best.values,
        ),
        "One photo appears several times: your `topk` ran over the units of all photos at once. "
        "Take each photo's best unit first, then rank the photos.",
    ),
    Mistake(
        "ranked_by_mean",
        by_mean,
        "You ranked the photos by the channel's mean. A mean favours what covers much of the "
        "photo; what excites a single unit shows in its maximum.",
    ),
    Mistake(
        "absolute_values",
        by_size,
        "You took absolute values. A strongly negative unit is not excited but suppressed.",
    ),
    Mistake(
        "any_channel",
        by_any_channel,
        "Your maximum runs over all channels. The question is what excites the channel that is "
        "asked for.",
    ),
    Mistake(
        "channel_counted_from_one",
        lambda activations, channel, k: patches.top_patches(activations[:, [channel - 1]], 0, k),
        "This is the channel before the one asked for: channels count from 0, as Python does.",
    ),
    Mistake(
        "weakest_first",
        weakest,
        "These are the photos that excite the channel least: the sorting runs upwards.",
    ),
    Mistake(
        "equal_ones_backwards",
        equal_ones_backwards,
        "Photos that are equally strong come in the wrong order. Sort so that the earlier photo "
        "stays first; flipping an ascending sort turns them round.",
    ),
    Mistake(
        "last_of_equal_units",
        last_of_equal_units,
        "Where two units of a photo are equally strong you take the last one. Take the first in "
        "reading order, as `argmax` does.",
    ),
    Mistake(
        "down_the_columns",
        down_the_columns,
        "Where two units of a photo are equally strong you take the first one down the columns. "
        "Reading order goes along the rows.",
    ),
    Mistake(
        "at_one_unit",
        at_one_unit,
        "You compare all photos at one and the same unit. The channel may be strongest at another "
        "place in each photo.",
    ),
    from_answer(
        "all_photos",
        lambda photos, positions, values, activations, channel, k: patches.top_patches(
            activations, channel, len(activations)
        ),
        "You return all photos. Keep the first `k`.",
    ),
    from_answer(
        "positions_of_a_row_each",
        lambda photos, positions, values, *rest: (photos, positions.T, values),
        "The positions are transposed: each patch should have a row, with its row and its column.",
    ),
    from_answer(
        "position_from_one",
        lambda photos, positions, values, *rest: (photos, positions + 1, values),
        "Your positions count from 1. Rows and columns count from 0, as Python does.",
    ),
    from_answer(
        "pairs",
        lambda photos, positions, values, *rest: [
            [p.item(), q.tolist(), v.item()]
            for p, q, v in zip(photos, positions, values, strict=True)
        ],
        "You return a list with an entry for each patch. Asked for are three tensors: all photos, "
        "all positions, all values.",
    ),
    from_answer(
        "ascending",
        lambda photos, positions, values, *rest: (
            photos.flip(0),
            positions.flip(0),
            values.flip(0),
        ),
        "The photos are the right ones, but the strongest comes last. Put it first.",
    ),
    from_answer(
        "column_before_row",
        lambda photos, positions, values, *rest: (photos, positions.flip(1), values),
        "The positions are given as (column, row). A tensor's rows come first.",
    ),
    from_answer(
        "height_instead_of_width",
        lambda photos, positions, values, activations, channel, k: (
            photos,
            ranked(*strongest(activations, channel)[:2], activations.shape[2], k)[1],
            values,
        ),
        "The place in the flattened map is split by the map's height. A row is as long as the map "
        "is *wide*: divide by the width.",
    ),
    from_answer(
        "flat_positions",
        lambda photos, positions, values, activations, *rest: (
            photos,
            positions[:, 0] * activations.shape[3] + positions[:, 1],
            values,
        ),
        "The positions are places in the flattened map. Split each into a row and a column.",
    ),
    from_answer(
        "positions_not_sorted",
        lambda photos, positions, values, activations, channel, k: (
            photos,
            torch.stack(
                [
                    strongest(activations, channel)[1][:k] // activations.shape[3],
                    strongest(activations, channel)[1][:k] % activations.shape[3],
                ],
                1,
            ),
            values,
        ),
        "The positions are those of the first k photos, not of the k strongest: the sorting has to "
        "take them along.",
    ),
    from_answer(
        "rank_instead_of_photo",
        lambda photos, positions, values, *rest: (torch.arange(len(photos)), positions, values),
        "You return the ranks 0, 1, 2 ... in place of the photos' own numbers.",
    ),
    from_answer(
        "values_first",
        lambda photos, positions, values, *rest: (values, positions, photos),
        "The three results are in another order: first the photos, then the positions, then the "
        "values.",
    ),
)


# ------------------------------------------------------------------ pictures


def photo_case() -> Case:
    """The field of a unit near the panda photo's upper border."""
    return Case({"pixels": photos.pixels()[0], "top": -40, "left": 60, "size": 143}, "a photo")


register(
    Exercise(
        name="field_arithmetic",
        lecture=LECTURE,
        title="Receptive-field arithmetic",
        reference=patches.field_arithmetic,
        cases=arithmetic_cases,
        mistakes=ARITHMETIC_MISTAKES,
        result="three whole numbers (size, jump, start)",
        noun="answer",
        parts=("size", "jump", "start"),
        hints=(
            "Before any layer a unit *is* a pixel: it sees 1 pixel, its neighbour is 1 pixel away, "
            "and the first one starts at pixel 0.",
            "A kernel of k entries makes k - 1 steps from its first entry to its last. How many "
            "pixels of the photo is one such step?",
            "The jump changes last: a layer's own stride acts on the layers after it.",
        ),
        tolerance=1e-4,
    ),
    Exercise(
        name="field_patch",
        lecture=LECTURE,
        title="The patch of a unit",
        reference=patches.field_patch,
        cases=patch_cases,
        mistakes=PATCH_MISTAKES,
        result="one patch (3,size,size)",
        noun="patch",
        axes=("colour", "row", "column"),
        hints=(
            "Begin with a grey square of the full size. Which part of it does the photo cover?",
            "The part inside starts at row max(top, 0) of the photo. At which row of the patch?",
        ),
        picture=Picture(photo_case, lambda r: r, False, "the patch of a unit at the upper border"),
    ),
    Exercise(
        name="top_patches",
        lecture=LECTURE,
        title="The strongest patches",
        reference=patches.top_patches,
        cases=top_cases,
        mistakes=TOP_MISTAKES,
        result="three tensors: photos (k,), positions (k,2) and values (k,)",
        noun="answer",
        axes=(("place",), ("place", "coordinate"), ("place",)),
        parts=("photos", "positions", "values"),
        hints=(
            "Two questions, one after the other: where in each photo is the channel strongest, and "
            "in which photos is it strongest?",
            "A flattened map of width w has row 1 at the places w to 2w - 1.",
            "`sort(descending=True, stable=True)` keeps equal ones in their order.",
        ),
        tolerance=1e-4,
    ),
)
