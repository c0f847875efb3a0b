"""Lecture 01's exercises: filters as tiles, a filter's response map, the similarity of filters."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils import filters
from course_utils.checking import drawing, photos
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register

LECTURE = "01_filters"


# ------------------------------------------------------------------ tiles


def banks(seed: int) -> list[Case]:
    """A full grid, places left over, a filter of zeros, one of nearly zeros, a single tile."""
    random = drawing.generator(seed, "tile_filters")
    found = []
    for n, k, columns, note in (
        (6, 3, 3, "six filters in rows of three"),
        (7, 4, 3, "seven filters in rows of three (some places stay empty)"),
        (5, 3, 2, "a filter whose weights are all zero"),
        (4, 3, 2, "a filter with very small weights"),
        (1, 5, 1, "a single filter"),
    ):
        bank = bank_of(random, n, k)
        if n == 5:
            bank[drawing.integer(random, 1, 4)] = 0
        if n == 4:
            weak = drawing.integer(random, 0, 4)
            bank[weak] *= 2e-5 / bank[weak].abs().max()
        found.append(Case({"filters": bank, "columns": columns}, note, repeat=n == 6))
    return found


def bank_of(random: torch.Generator, n: int, k: int) -> Tensor:
    """Filters of very different sizes and means, the largest weight of each clearly largest."""
    scale = torch.logspace(-1, 1, n)[torch.randperm(n, generator=random)][:, None, None, None]
    bank = torch.rand(n, 3, k, k, generator=random) * 1.5 - 1 + torch.zeros(n, 1, 1, 1)
    bank[:, 0, 0, 0] = -1.2  # else a largest weight and its size could be the same
    return scale * bank


def tiled(tiles: Tensor, columns: int, gap: int = 1, fill: float = 1.0, down: bool = False):
    """Tiles in a grid, a naive way: one after the other is painted on a canvas."""
    n, c, k, _ = tiles.shape
    rows = -(-n // columns)
    size = [count * (k + gap) - gap for count in (rows, columns)]
    canvas = torch.full((c, *size), fill, dtype=tiles.dtype)
    for i, tile in enumerate(tiles):
        row, column = (i % rows, i // rows) if down else divmod(i, columns)
        top, left = row * (k + gap), column * (k + gap)
        canvas[:, top : top + k, left : left + k] = tile
    return canvas


def centred(bank: Tensor, largest: Tensor) -> Tensor:
    return 0.5 + bank / (2 * torch.where(largest > 0, largest, 1))


def own(bank: Tensor) -> Tensor:
    return centred(bank, bank.abs().amax((1, 2, 3), keepdim=True))


def min_max(bank: Tensor) -> Tensor:
    low, high = bank.amin((1, 2, 3), keepdim=True), bank.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (bank - low) / torch.where(high > low, high - low, 1), 0.5)


def divided(bank: Tensor) -> Tensor:
    return 0.5 + bank / (2 * bank.abs().amax((1, 2, 3), keepdim=True))


def _exchanged(filters: Tensor, columns: int) -> Tensor:
    """Fails where a filter falls off the canvas."""
    n, c, k, _ = filters.shape
    canvas = torch.ones(c, -(-n // columns) * (k + 1) - 1, columns * (k + 1) - 1)
    for i, tile in enumerate(own(filters)):
        top, left = i % columns * (k + 1), i // columns * (k + 1)
        canvas[:, top : top + k, left : left + k] = tile
    return canvas


def from_tiles(name: str, tiles: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that rescales wrongly and lays the tiles out right."""
    return Mistake(name, lambda filters, columns: tiled(tiles(filters), columns), sentence)


TILE_MISTAKES = (
    from_tiles(
        "one_scale_for_all",
        lambda bank: centred(bank, bank.abs().max()),
        "All filters share one scale, that of the largest weight in the whole bank. The weak ones "
        "come out as plain grey; give each filter a scale of its own.",
    ),
    from_tiles(
        "minimum_to_maximum",
        min_max,
        "You stretched each filter from its smallest to its largest weight. Then zero is another "
        "colour in every tile; here zero has to be mid-grey, whatever the filter.",
    ),
    from_tiles(
        "minimum_to_maximum_zeros_black",
        lambda bank: (
            (bank - (low := bank.amin((1, 2, 3), keepdim=True)))
            / (bank.amax((1, 2, 3), keepdim=True) - low)
        ).nan_to_num(0),
        "You stretched each filter from its smallest to its largest weight, and a filter of zeros "
        "came out black. Zero has to be mid-grey in every tile, whatever the filter.",
    ),
    from_tiles(
        "each_colour_alone",
        lambda bank: centred(bank, bank.abs().amax((2, 3), keepdim=True)),
        "You gave each colour of a filter its own scale, which changes the filter's hue. The three "
        "colours of one filter share one number.",
    ),
    from_tiles(
        "largest_without_size",
        lambda bank: centred(bank, bank.amax((1, 2, 3), keepdim=True)).clamp(0, 1),
        "You divided by the largest weight. The weight of the largest *size* may be negative, and "
        "then it falls below black.",
    ),
    from_tiles(
        "zero_filter_black",
        lambda bank: divided(bank).nan_to_num(0),
        "A filter of zeros came out black. Zero is mid-grey in every other tile, so it has to be "
        "mid-grey here as well.",
    ),
    from_tiles(
        "zero_filter_white",
        lambda bank: divided(bank).nan_to_num(1),
        "A filter of zeros came out white. Zero is mid-grey in every other tile, so it has to be "
        "mid-grey here as well.",
    ),
    from_tiles(
        "weak_filter_grey",
        lambda bank: 0.5 + bank / (2 * bank.abs().amax((1, 2, 3), keepdim=True) + 1e-6),
        "A filter with very small weights came out too grey: the number you add against a division "
        "by zero is not small beside them.",
    ),
    from_tiles(
        "not_halved",
        lambda bank: 0.5 + 2 * (own(bank) - 0.5),
        "Your tiles run from -0.5 to 1.5. From mid-grey there is only half the range left on "
        "either side.",
    ),
    from_tiles(
        "not_halved_and_cut",
        lambda bank: (0.5 + 2 * (own(bank) - 0.5)).clamp(0, 1),
        "Every weight above half of the largest comes out as white or black: the rescaled weights "
        "were too large by a factor of two, and then cut off.",
    ),
    from_tiles(
        "negative_cut_off",
        lambda bank: (2 * own(bank) - 1).clamp(0, 1),
        "Negative weights are cut off. They should be darker than mid-grey, positive ones lighter.",
    ),
    from_tiles(
        "only_moved",
        lambda bank: 0.5 + bank / 2,
        "You moved zero to mid-grey, but did not divide by the largest weight: strong filters "
        "leave the range from 0 to 1.",
    ),
    from_tiles(
        "one_range_for_all",
        lambda bank: (bank - bank.min()) / (bank.max() - bank.min()),
        "You stretched the whole bank from its smallest to its largest weight. Each filter needs a "
        "scale of its own, with zero as mid-grey.",
    ),
    from_tiles(
        "divided_by_length",
        lambda bank: centred(bank, bank.flatten(1).norm(dim=1)[:, None, None, None]),
        "You divided each filter by its length (the root of the sum of squares). Then no weight "
        "reaches black or white; divide by the largest size.",
    ),
    from_tiles(
        "upside_down",
        lambda bank: 1 - own(bank),
        "Light and dark are exchanged: positive weights should be lighter than mid-grey.",
    ),
    from_tiles(
        "not_rescaled",
        lambda bank: bank,
        "The tiles hold the bare weights. A picture needs numbers from 0 to 1, with mid-grey for "
        "zero.",
    ),
    from_tiles(
        "no_grey",
        lambda bank: bank / torch.where((m := bank.abs().amax((1, 2, 3), keepdim=True)) > 0, m, 1),
        "Your weights run from -1 to 1, and a picture from 0 to 1: halve them and move zero to "
        "mid-grey.",
    ),
    Mistake(
        "no_gap",
        lambda filters, columns: tiled(own(filters), columns, gap=0),
        "The tiles touch. One white pixel between neighbours keeps the eye from joining two "
        "filters into one.",
    ),
    Mistake(
        "black_gap",
        lambda filters, columns: tiled(own(filters), columns, fill=0.0),
        "Lines and empty places are black; they should be white, so that nobody takes them for "
        "negative weights.",
    ),
    Mistake(
        "grey_gap",
        lambda filters, columns: tiled(own(filters), columns, fill=0.5),
        "Lines and empty places are mid-grey, which reads as zero weights. They should be white.",
    ),
    Mistake(
        "gap_of_two",
        lambda filters, columns: tiled(own(filters), columns, gap=2),
        "Two white pixels lie between neighbours: each tile has brought its own. One is enough.",
    ),
    Mistake(
        "columns_first",
        lambda filters, columns: tiled(own(filters), columns, down=True),
        "The filters run from top to bottom. Fill each row from left to right, then go down.",
    ),
    Mistake(
        "row_and_column_exchanged",
        _exchanged,
        "Row and column of the grid are exchanged: filter i belongs in row i // columns, column "
        "i % columns.",
    ),
    Mistake(
        "rows_for_columns",
        lambda filters, columns: tiled(own(filters), -(-len(filters) // columns)),
        "You took the number of columns for the number of rows.",
    ),
    Mistake(
        "tiles_transposed",
        lambda filters, columns: tiled(own(filters).transpose(2, 3), columns),
        "Inside the tiles rows and columns are exchanged: every edge lies mirrored on the "
        "diagonal. Check the order of the axes.",
    ),
    Mistake(
        "colours_last",
        lambda filters, columns: tiled(own(filters), columns).movedim(0, -1),
        "The picture is right, but its colours are the last axis. In this course they are the "
        "first: (3, height, width).",
    ),
    Mistake(
        "frame_around",
        lambda filters, columns: F.pad(tiled(own(filters), columns), (1, 1, 1, 1), value=1.0),
        "There is a white line around the whole picture too. It lies between neighbours only.",
    ),
    Mistake(
        "lines_after_every_tile",
        lambda filters, columns: F.pad(tiled(own(filters), columns), (0, 1, 0, 1), value=1.0),
        "A white line is left at the right and lower border. It lies between neighbours only.",
    ),
)


# ------------------------------------------------------------------ response maps


def responses(seed: int) -> list[Case]:
    """As called without stride and padding; with stride, with padding, with both; larger."""
    random = drawing.generator(seed, "response_map")
    found = []
    for size, k, stride, padding, note in (
        ((7, 9), 3, 1, 0, "an image and a template alone"),
        ((8, 6), 3, 2, 0, "stride 2"),
        ((6, 7), 3, 1, 2, "padding 2"),
        ((9, 8), 4, 3, 1, "stride 3 and padding 1"),
        ((16, 13), 7, 2, 3, "a template of 7 x 7 with stride 2 and padding 3"),
    ):
        image = torch.randn(3, *size, generator=random) + 0.5
        args = {"image": image, "template": torch.randn(3, k, k, generator=random)}
        if "alone" not in note:
            args |= {"stride": stride, "padding": padding}
        found.append(Case(args, note, repeat=padding == 2))
    return found


def with_defaults(mistake: Mistake) -> Mistake:
    """The mistake, with stride 1 and padding 0 where they are not given, as in the exercise."""
    return replace(
        mistake, function=lambda *args: mistake.function(*args, *(1, 0)[len(args) - 2 :])
    )


def correlate(image: Tensor, template: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(image[None], template[None], stride=stride, padding=padding)[0, 0]


def from_map(name: str, finish: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that spoils the right map."""
    return Mistake(name, lambda i, t, s, p: finish(correlate(i, t, s, p)), sentence)


def each_colour(image: Tensor, template: Tensor, stride: int, padding: int) -> Tensor:
    """One response map for each colour."""
    weight = template[:, None]
    return F.conv2d(image[None], weight, stride=stride, padding=padding, groups=3)[0]


def padded(image: Tensor, template: Tensor, stride: int, padding: int, mode: str) -> Tensor:
    around = F.pad(image[None], (padding,) * 4, mode=mode)
    return correlate(around[0], template, stride, 0)


def _ends_early(image: Tensor, template: Tensor, stride: int, padding: int) -> Tensor:
    """Places at 0, stride ... below the difference of the sizes, instead of up to it."""
    rows, columns = (-(-(n + 2 * padding - template.shape[1]) // stride) for n in image.shape[1:])
    return correlate(image, template, stride, padding)[:rows, :columns]


RESPONSE_MISTAKES = (
    Mistake(
        "flipped",
        lambda i, t, s, p: correlate(i, t.flip((1, 2)), s, p),
        "You turned the template by 180 degrees: that is the mathematician's convolution. A "
        "network's “convolution” lays the filter on the image as it is, and so does a template.",
    ),
    Mistake(
        "template_transposed",
        lambda i, t, s, p: correlate(i, t.transpose(1, 2), s, p),
        "Rows and columns of the template are exchanged: a vertical edge would look for "
        "horizontal ones.",
    ),
    Mistake(
        "colours_reversed",
        lambda i, t, s, p: correlate(i.flip(0), t, s, p),
        "The colours of image and template run in opposite orders, as if one were BGR. Red has to "
        "meet red.",
    ),
    Mistake(
        "first_colour_only",
        lambda i, t, s, p: correlate(i[:1], t[:1], s, p),
        "Only the first colour counts in your map. Add up the products over all three.",
    ),
    Mistake(
        "grey_image",
        lambda i, t, s, p: correlate(i.mean(0, keepdim=True).expand_as(i), t, s, p),
        "You made the image grey first. A filter that compares colours then has none to compare.",
    ),
    Mistake(
        "one_map_a_colour",
        each_colour,
        "You return one map for each colour. The products of the three colours belong in one sum.",
    ),
    from_map(
        "batch_kept",
        lambda r: r[None, None],
        "The numbers are right, but one image and one template make one map: two axes, rows and "
        "columns.",
    ),
    from_map(
        "relu",
        lambda r: r.relu(),
        "Negative answers are cut off, as by a ReLU. They say where the image looks like the "
        "template's negative; keep them.",
    ),
    from_map(
        "absolute",
        lambda r: r.abs(),
        "You took the size of the answer. Its sign tells the template from its negative.",
    ),
    Mistake(
        "mean",
        lambda i, t, s, p: correlate(i, t, s, p) / t.numel(),
        "You averaged the products; a filter adds them up.",
    ),
    Mistake(
        "normalised",
        lambda i, t, s, p: correlate(i, t, s, p) / t.norm(),
        "You divided by the length of the template. The layer does not: a strong filter gives "
        "large answers.",
    ),
    Mistake(
        "stride_ignored",
        lambda i, t, s, p: correlate(i, t, 1, p),
        "Your map is too fine: the stride is ignored. Only every `stride`-th place is asked for.",
    ),
    Mistake(
        "stride_is_template",
        lambda i, t, s, p: correlate(i, t, t.shape[-1], p),
        "Your template moves by its own width each time. It moves by `stride` pixels.",
    ),
    Mistake(
        "stride_starts_late",
        lambda i, t, s, p: correlate(i, t, 1, p)[s - 1 :: s, s - 1 :: s],
        "Your first place is not the upper left corner. Count the steps of `stride` pixels from "
        "there.",
    ),
    Mistake(
        "stride_down_only",
        lambda i, t, s, p: correlate(i, t, 1, p)[::s],
        "You skip rows, but not columns. The stride counts in both directions.",
    ),
    Mistake(
        "stride_across_only",
        lambda i, t, s, p: correlate(i, t, 1, p)[:, ::s],
        "You skip columns, but not rows. The stride counts in both directions.",
    ),
    Mistake(
        "last_left_out",
        lambda i, t, s, p: correlate(i, t, s, p)[:-1, :-1],
        "The last row and the last column are missing. A template of size k fits at one place more "
        "than the difference of the sizes says.",
    ),
    Mistake(
        "range_ends_early",
        _ends_early,
        "The last place is missing where the template just fits: a range ends before its end, so "
        "one has to be added.",
    ),
    Mistake(
        "places_not_times_stride",
        lambda i, t, s, p: (m := correlate(i, t, 1, p))[
            : (m.shape[0] - 1) // s + 1, : (m.shape[1] - 1) // s + 1
        ],
        "Your map has the right size, but its places are one pixel apart. Place number i begins at "
        "pixel i times the stride.",
    ),
    Mistake(
        "divided_by_colours",
        lambda i, t, s, p: correlate(i, t, s, p) / len(t),
        "You averaged over the colours; a filter adds them up.",
    ),
    Mistake(
        "template_centred",
        lambda i, t, s, p: correlate(i, t - t.mean(), s, p),
        "You subtracted the template's mean. The layer takes its filter as it is, and so does the "
        "formula.",
    ),
    Mistake(
        "padding_twice",
        lambda i, t, s, p: correlate(i, t, s, 2 * p),
        "There is twice the padding: `padding` rows and columns belong on each side.",
    ),
    Mistake(
        "padding_to_same_size",
        lambda i, t, s, p: correlate(i, t, s, t.shape[-1] // 2),
        "You padded so that the map keeps the image's size, whatever `padding` says.",
    ),
    Mistake(
        "padding_ones",
        lambda i, t, s, p: correlate(F.pad(i, (p,) * 4, value=1.0), t, s, 0),
        "You padded with ones. Padding here means zeros.",
    ),
    Mistake(
        "padding_ignored",
        lambda i, t, s, p: correlate(i, t, s, 0),
        "The padding is missing: `padding` rows and columns of zeros belong around the image.",
    ),
    Mistake(
        "padding_reflected",
        lambda i, t, s, p: padded(i, t, s, p, "reflect"),
        "You continued the image at its border by reflection. Padding here means zeros.",
    ),
    Mistake(
        "padding_repeats",
        lambda i, t, s, p: padded(i, t, s, p, "replicate"),
        "You repeated the image's border pixels. Padding here means zeros.",
    ),
    Mistake(
        "padded_on_one_side",
        lambda i, t, s, p: correlate(F.pad(i, (0, 2 * p, 0, 2 * p)), t, s, 0),
        "All the padding lies on the right and below, so your map is shifted. It belongs on all "
        "four sides.",
    ),
)


# ------------------------------------------------------------------ similarity


def similar_banks(seed: int) -> list[Case]:
    """Filters with relatives and negatives among them; one of zeros in the last case."""
    random = drawing.generator(seed, "similarity")
    found = []
    notes = ["five filters", "four filters of 4 x 4", "a filter whose weights are all zero"]
    for (n, k), note in zip(((5, 3), (4, 4), (5, 3)), notes, strict=True):
        bank = torch.randn(n, 3, k, k, generator=random) + 0.4
        bank[1] = -2 * bank[0] + 0.3 * bank[1]  # nearly the negative of its neighbour
        bank *= torch.logspace(-0.5, 0.5, n)[:, None, None, None]
        if "zero" in note:
            bank[2] = 0
        found.append(Case({"filters": bank}, note, repeat=n == 4))
    return found


def unit(flat: Tensor, p: float = 2) -> Tensor:
    norm = flat.norm(p=p, dim=1, keepdim=True)
    return flat / torch.where(norm > 0, norm, 1)


def cosines(flat: Tensor) -> Tensor:
    return unit(flat) @ unit(flat).T


def from_flat(name: str, compare: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that compares the flattened filters in another way."""
    return Mistake(name, lambda filters: compare(filters.flatten(1)), sentence)


SIMILARITY_MISTAKES = (
    from_flat(
        "not_divided",
        lambda w: w @ w.T,
        "You took the inner products without the lengths. A strong filter then seems similar to "
        "everything; divide by the lengths of both.",
    ),
    from_flat(
        "one_length_only",
        lambda w: unit(w) @ w.T,
        "You divided by the length of one of the two filters. Both belong into the denominator; "
        "your matrix is not even symmetric.",
    ),
    from_flat(
        "squared_lengths",
        lambda w: (u := unit(w) / torch.where((n := w.norm(dim=1)) > 0, n, 1)[:, None]) @ u.T,
        "You divided by the squared lengths. Compare a filter with itself: the answer should be 1.",
    ),
    from_flat(
        "centred",
        lambda w: cosines(w - w.mean(1, keepdim=True)),
        "You subtracted each filter's mean first: that is the correlation. The cosine compares "
        "the filters as they are, mean and all.",
    ),
    from_flat(
        "absolute",
        lambda w: cosines(w).abs(),
        "The signs are lost. A template and its negative are as unlike as can be: -1, not 1.",
    ),
    from_flat(
        "squared",
        lambda w: cosines(w).square(),
        "You squared the cosines, so a template and its negative look the same.",
    ),
    from_flat(
        "distance",
        lambda w: 1 - cosines(w),
        "This is one minus the cosine, a distance: 0 for equal filters. A similarity is 1 there.",
    ),
    from_flat(
        "euclidean",
        lambda w: torch.cdist(w, w),
        "These are Euclidean distances. They grow with the filters' sizes; the cosine compares "
        "their patterns.",
    ),
    from_flat(
        "length_of_sizes",
        lambda w: unit(w, 1) @ unit(w, 1).T,
        "You divided by the sum of the sizes. The length in the formula is the Euclidean one: the "
        "root of the sum of squares.",
    ),
    from_flat(
        "one_length_for_all",
        lambda w: (w / w.norm()) @ (w / w.norm()).T,
        "You divided by one length for the whole bank. Each filter has a length of its own: which "
        "axis does your norm run over?",
    ),
    from_flat(
        "other_length_only",
        lambda w: w @ unit(w).T,
        "You divided by the length of one of the two filters only, the column's. Both belong into "
        "the denominator; your matrix is not even symmetric.",
    ),
    from_flat(
        "length_of_each_weight",
        lambda w: unit(w.T).T @ unit(w.T),
        "You divided each weight by its length over the *filters*. A filter's length runs over its "
        "own weights.",
    ),
    from_flat(
        "largest_for_length",
        lambda w: unit(w, torch.inf) @ unit(w, torch.inf).T,
        "You divided by each filter's largest weight. The length in the formula is the Euclidean "
        "one: the root of the sum of squares.",
    ),
    from_flat(
        "cosine_distance_halved",
        lambda w: (1 + cosines(w)) / 2,
        "You moved the cosines to the range from 0 to 1. They run from -1, for a template and its "
        "negative, to 1.",
    ),
    from_flat(
        "negative_cut_off",
        lambda w: cosines(w).clamp(min=0),
        "Negative cosines are cut off. They tell which filters are each other's negative.",
    ),
    from_flat(
        "angle",
        lambda w: cosines(w).clamp(-1, 1).acos(),
        "You return the angles. Asked for are their cosines.",
    ),
    from_flat(
        "dot_of_units_by_count",
        lambda w: cosines(w) / w.shape[1],
        "You averaged the products; the inner product adds them up. Compare a filter with itself: "
        "the answer should be 1.",
    ),
    from_flat(
        "zero_filter_like_itself",
        lambda w: cosines(w).fill_diagonal_(1),
        "The diagonal is 1 even for the filter of zeros. It has no direction, so its similarity is "
        "0 to all, itself included.",
    ),
    from_flat(
        "diagonal_removed",
        lambda w: cosines(w).fill_diagonal_(0),
        "The diagonal is 0. A filter compared with itself has a cosine of 1.",
    ),
    Mistake(
        "mean_over_colours",
        lambda filters: cosines(filters.mean(1).flatten(1)),
        "You averaged over the colours first, so red and blue look alike. Compare all the "
        "weights, colours included.",
    ),
    Mistake(
        "position_by_position",
        lambda filters: torch.einsum("nchw,mchw->nm", *[F.normalize(filters, dim=1)] * 2) / 9,
        "You normalised each position on its own. One length for the whole filter: all colours, "
        "rows and columns.",
    ),
    Mistake(
        "normalised_over_colours",
        lambda filters: (u := F.normalize(filters, dim=1).flatten(1)) @ u.T,
        "You normalised each position on its own, over its colours, before flattening. One length "
        "for the whole filter: flatten first.",
    ),
    Mistake(
        "colour_by_colour",
        lambda filters: torch.stack([cosines(filters[:, c].flatten(1)) for c in range(3)]).mean(0),
        "You computed a cosine for each colour and averaged. One cosine over all the weights keeps "
        "a strong colour strong.",
    ),
)


# ------------------------------------------------------------------ pictures


def squeezenet_filters() -> Tensor:
    return filters.filters_of(photos.network())


def tiles_case() -> Case:
    """SqueezeNet's first 32 filters."""
    return Case({"filters": squeezenet_filters()[:32], "columns": 8}, "SqueezeNet's filters")


def bridge_case() -> Case:
    """A filter of SqueezeNet for vertical edges on the Tower Bridge."""
    image = photos.seen("tower_bridge_london")[0]
    args = {"image": image, "template": squeezenet_filters()[54], "stride": 2, "padding": 0}
    return Case(args, "a photo")


def similarity_case() -> Case:
    """SqueezeNet's 64 filters."""
    return Case({"filters": squeezenet_filters()}, "SqueezeNet's filters")


register(
    Exercise(
        name="tile_filters",
        lecture=LECTURE,
        title="Filters as tiles",
        reference=filters.tile_filters,
        cases=banks,
        mistakes=TILE_MISTAKES,
        result="one picture (C, rows * (k+1) - 1, columns * (k+1) - 1)",
        noun="picture",
        axes=("colour", "row", "column"),
        hints=(
            "Rescale first, for all filters at once: which axes does a maximum run over, if each "
            "filter shall keep its own?",
            "Start from a white canvas. Filter i belongs in row i // columns, column i % columns.",
        ),
        picture=Picture(tiles_case, lambda r: r, False, "SqueezeNet's filters as tiles"),
    ),
    Exercise(
        name="response_map",
        lecture=LECTURE,
        title="A filter's response map",
        reference=filters.response_map,
        cases=responses,
        mistakes=tuple(map(with_defaults, RESPONSE_MISTAKES)),
        result="one map (h,w), h = floor((H + 2 padding - k) / stride) + 1",
        noun="map",
        axes=("row", "column"),
        hints=(
            "Write it down for one place: which part of the image lies under the template, and "
            "what becomes of the two?",
            "PyTorch has it ready-made, for batches of images and banks of filters. A batch of "
            "one image is one more axis.",
        ),
        picture=Picture(bridge_case, lambda r: r, True, "responses to edges of the Tower Bridge"),
    ),
    Exercise(
        name="similarity",
        lecture=LECTURE,
        title="Similarity of filters",
        reference=filters.similarity,
        cases=similar_banks,
        mistakes=SIMILARITY_MISTAKES,
        result="one matrix (N,N)",
        noun="matrix",
        axes=("filter", "other filter"),
        hints=(
            "Make a vector of each filter. If all vectors had length 1, what would the matrix be?",
            "Then all inner products at once are a single matrix product.",
        ),
        picture=Picture(similarity_case, lambda r: r, True, "cosines of SqueezeNet's filters"),
    ),
)
