"""Lecture 09's exercises: pointing score, deletion curve."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import trust
from course_utils.checking import drawing, networks
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, register

LECTURE = "09_trust"


def pointing_cases(seed: int) -> list[Case]:
    """Three maps with different cells; one; a batch in which one map has no positive value."""
    random = drawing.generator(seed, "pointing_score")
    found = []
    for n, height, width, note in (
        (3, 10, 12, "a batch of three signed maps"),
        (1, 6, 10, "a single map"),
        (5, 14, 6, "a batch with a map that is nowhere positive"),
    ):
        maps = torch.randn(n, height, width, generator=random)
        maps[:, : height // 2] += 0.5  # rows and columns of cells must not look alike
        cells = torch.randperm(4, generator=random)[:n]
        if n == 5:  # one more than there are cells: no (N,) fits (N,4), each cell has a full map
            maps[2] = -maps[2].abs()
            cells = torch.cat([cells, cells[2:3]])
        if n == 1:
            cells = torch.tensor([drawing.integer(random, 1, 3)])
        found.append(Case({"maps": maps, "cells": cells}, note, repeat=n == 3))
    return found


def deletion_cases(seed: int) -> list[Case]:
    """Two images; one; four with more steps than divide the pixels evenly."""
    random = drawing.generator(seed, "deletion_curve")
    found = []
    for n, height, width, steps, note in (
        (2, 6, 10, 4, "a batch of two images"),
        (1, 8, 6, 4, "a single image"),
        (4, 5, 6, 8, "a batch of four whose pixels do not divide evenly"),
    ):
        spec, x, wanted = changing(random, n, height, width)
        maps = torch.randn(n, height, width, generator=random)
        args = {"model": spec, "x": x, "maps": maps, "classes": wanted, "steps": steps}
        found.append(Case(args, note, repeat=n == 2))
    return found


def changing(
    random: torch.Generator, n: int, height: int, width: int
) -> tuple[NetworkSpec, Tensor, Tensor]:
    """A network, images and classes whose probabilities are no trifle, at the start or the end.

    One of the images is taken for another class when all its pixels are gone. All are darker than
    the data set's mean, or to paint with an image's own would make little difference.
    """
    while True:
        spec = drawing.network(random, 7)  # a length of its own, as all others
        x = torch.randn(n, 3, height, width, generator=random) - 0.8
        x += 0.4 * torch.randn(n, 3, 1, 1, generator=random)
        wanted, model = drawing.other_classes(random, spec, x), networks.build(spec)
        whole, empty = (model(y).softmax(1) for y in (x, torch.zeros_like(x)))
        ends = torch.maximum(pick(whole, wanted), pick(empty, wanted))
        lost = empty.amax(1) - pick(empty, whole.argmax(1))
        if ends.min() > 0.02 and lost.max() > 0.1:
            return spec, x, wanted


# ------------------------------------------------------------------ pointing score, wrong


def quarters(maps: Tensor) -> Tensor:
    """The sum of each cell, (N,4)."""
    height, width = maps.shape[1] // 2, maps.shape[2] // 2
    return maps.unflatten(2, (2, width)).unflatten(1, (2, height)).sum((2, 4)).flatten(1)


def pick(values: Tensor, cells: Tensor) -> Tensor:
    return values.gather(1, cells[:, None])[:, 0]


def share(values: Tensor, cells: Tensor) -> Tensor:
    return pick(values, cells) / values.sum(1).clamp(min=1e-30)


def square_cells(positive: Tensor, cells: Tensor) -> Tensor:
    """The share of each cell when its columns are counted by half the height."""
    half, found = positive.shape[1] // 2, []
    for one, cell in zip(positive, cells.tolist(), strict=True):
        row, column = cell // 2 * half, cell % 2 * half
        found.append(one[row : row + half, column : column + half].sum())
    return torch.stack(found) / positive.sum((1, 2)).clamp(min=1e-30)


POINTING_MISTAKES = (
    Mistake(
        "signed",
        lambda maps, cells: pick(quarters(maps), cells) / quarters(maps).sum(1),
        "Negative values take part in your sums. They speak against the class; with them the share "
        "can leave 0 to 1. Only the positive values count.",
    ),
    Mistake(
        "absolute",
        lambda maps, cells: share(quarters(maps.abs()), cells),
        "You took absolute values, so pixels that speak *against* the class are counted as if they "
        "pointed at it. Set them to zero instead.",
    ),
    Mistake(
        "columns_first",
        lambda maps, cells: share(quarters(maps.clamp(min=0)), torch.tensor([0, 2, 1, 3])[cells]),
        "Cells 1 and 2 are swapped: the cells are numbered in reading order, so 1 is above on the "
        "right and 2 is below on the left.",
    ),
    Mistake(
        "not_divided",
        lambda maps, cells: pick(quarters(maps.clamp(min=0)), cells),
        "You return the mass in the cell, not its share: divide by the positive mass of the whole "
        "map, or a map on a larger scale would seem to point better.",
    ),
    Mistake(
        "divided_by_others",
        lambda maps, cells: (
            pick(quarters(maps.clamp(min=0)), cells)
            / (quarters(maps.clamp(min=0)).sum(1) - pick(quarters(maps.clamp(min=0)), cells))
        ).nan_to_num(0.0),
        "You divided by the mass of the *other* cells. A share is a part of the whole, the right "
        "cell included.",
    ),
    Mistake(
        "share_of_pixels",
        lambda maps, cells: share(quarters((maps > 0).float()), cells),
        "You counted the positive pixels instead of adding up their values. A pixel the method is "
        "sure of then weighs no more than one it hardly marks.",
    ),
    Mistake(
        "divided_by_sizes",
        lambda maps, cells: (
            pick(quarters(maps.clamp(min=0)), cells) / maps.abs().sum((1, 2)).clamp(min=1e-30)
        ),
        "You divided by the sum of all sizes, negative values included. They count as nothing: "
        "the whole is the map's positive mass.",
    ),
    Mistake(
        "divided_by_signed_sum",
        lambda maps, cells: pick(quarters(maps.clamp(min=0)), cells) / maps.sum((1, 2)),
        "Above the line you count positive values only, below it the signed sum. Whole and part "
        "must be measured alike: cut the negative values off first.",
    ),
    Mistake(
        "mean_of_the_cell",
        lambda maps, cells: 4 * share(quarters(maps.clamp(min=0)), cells),
        "Your score is four times too large: you divided means, and the cell has a quarter of the "
        "map's pixels. A share is a quotient of sums.",
    ),
    Mistake(
        "largest_in_the_cell",
        lambda maps, cells: share(
            quarters((maps == maps.amax((1, 2), keepdim=True)).float()), cells
        ),
        "You ask whether the largest value lies in the cell (that is the pointing game). Here the "
        "whole positive mass counts, not one pixel.",
    ),
    Mistake(
        "height_for_width",
        lambda maps, cells: square_cells(maps.clamp(min=0), cells),
        "Your cells are as wide as they are high. Rows are halved by the height, columns by the "
        "width; only a square map has the same number for both.",
    ),
    Mistake(
        "mean_over_batch",
        lambda maps, cells: share(quarters(maps.clamp(min=0)), cells).mean(),
        "You returned one number for the whole batch. Each map gets its own score; averaging is "
        "for the table.",
    ),
    Mistake(
        "divided_by_the_batch",
        lambda maps, cells: (
            pick(quarters(maps.clamp(min=0)), cells) / maps.clamp(min=0).sum().clamp(min=1e-30)
        ),
        "You divided by the positive mass of all maps together. A share is one of its own map: "
        "whether other maps came along must not change it.",
    ),
    Mistake(
        "nothing_by_nothing",
        lambda maps, cells: (
            pick(quarters(maps.clamp(min=0)), cells) / maps.clamp(min=0).sum((1, 2))
        ),
        "Right but for a map without a positive value: there you divide 0 by 0, which is NaN. Such "
        "a map points nowhere: its score is 0.",
    ),
    Mistake(
        "cells_from_one",
        lambda maps, cells: share(quarters(maps.clamp(min=0)), (cells - 1) % 4),
        "You count the cells from 1, so that each share is that of the cell before. They count "
        "from 0: 0 is above on the left.",
    ),
    Mistake(
        "cells_from_one",
        lambda maps, cells: share(quarters(maps.clamp(min=0)), (cells - 1) % 4) * (cells > 0),
        "You count the cells from 1, so that each share is that of the cell before, and 0 where "
        "none is before. They count from 0: 0 is above on the left.",
    ),
    Mistake(
        "first_cell_for_all",
        lambda maps, cells: share(quarters(maps.clamp(min=0)), cells[:1].expand(len(cells))),
        "You used the first map's cell for all of them. Each map was made for another class, and "
        "that class lies in another cell.",
    ),
)

# ------------------------------------------------------------------ deletion curve, wrong


def curve(
    model: nn.Module,
    x: Tensor,
    maps: Tensor,
    classes: Tensor,
    steps: int,
    rank: Callable[[Tensor], Tensor] = lambda flat: flat.argsort(
        dim=1, descending=True, stable=True
    ).argsort(dim=1),
    fill: Callable[[Tensor], Tensor] = torch.zeros_like,
    paint: Callable[[Tensor, Tensor, Tensor], Tensor] = torch.where,
    answer: Callable[[Tensor], Tensor] = lambda logits: logits.softmax(1),
    take: Callable[[Tensor, Tensor], Tensor] = lambda p, classes: p.gather(1, classes[:, None])[
        :, 0
    ],
    counts: Callable[[int, int], list[int]] = lambda pixels, steps: [
        k * pixels // steps for k in range(steps + 1)
    ],
) -> Tensor:
    """The deletion curve, with one part exchanged."""
    n, _, height, width = x.shape
    ranks, other = rank(maps.flatten(1)).view(n, 1, height, width), fill(x)
    found = [
        take(answer(model(paint(ranks < count, other, x))), classes)
        for count in counts(height * width, steps)
    ]
    return torch.stack(found, 1)


def variant(name: str, sentence: str, **parts: Callable) -> Mistake:
    """The deletion curve with one part that is wrong."""

    def mistake(model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor, steps: int) -> Tensor:
        return curve(model, x, maps, classes, steps, **parts)

    return Mistake(name, mistake, sentence)


def first_colour(gone: Tensor, other: Tensor, x: Tensor) -> Tensor:
    """The images in which removed pixels lose their first colour only."""
    return torch.cat([torch.where(gone, other, x)[:, :1], x[:, 1:]], 1)


def over_the_batch(flat: Tensor) -> Tensor:
    """Ranks among the pixels of all images together, scaled to the pixels of one."""
    return flat.flatten().argsort(descending=True).argsort().view_as(flat) // len(flat)


def one_share_at_a_time(
    model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor, steps: int
) -> Tensor:
    n, _, height, width = x.shape
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    ranks, found = order.argsort(dim=1).view(n, 1, height, width), []
    for k in range(steps + 1):
        low, high = ((k + i) * height * width // steps for i in (-1, 0))
        gone = (ranks >= low) & (ranks < high)
        p = model(torch.where(gone, torch.zeros_like(x), x)).softmax(1)
        found.append(p.gather(1, classes[:, None])[:, 0])
    return torch.stack(found, 1)


def fallen(model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor, steps: int) -> Tensor:
    found = curve(model, x, maps, classes, steps)
    return found[:, :1] - found


def from_one(model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor, steps: int) -> Tensor:
    found = curve(model, x, maps, classes, steps)
    return found / found[:, :1]


def transposed(model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor, steps: int) -> Tensor:
    return curve(model, x, maps, classes, steps).T


DELETION_MISTAKES = (
    variant(
        "least_important_first",
        "Your curve removes the *least* important pixels first. Sort in descending order.",
        rank=lambda flat: flat.argsort(dim=1, stable=True).argsort(dim=1),
    ),
    variant(
        "order_for_rank",
        "You compared the result of `argsort` with the count. It lists *which pixel* comes at "
        "each place; you need the place of each pixel, which is the `argsort` of that.",
        rank=lambda flat: flat.argsort(dim=1, descending=True, stable=True),
    ),
    variant(
        "absolute",
        "You sorted by the absolute value, so pixels that speak against the class are among the "
        "first to go. The order is that of the map itself.",
        rank=lambda flat: flat.abs().argsort(dim=1, descending=True, stable=True).argsort(dim=1),
    ),
    variant(
        "over_the_batch",
        "You sorted the pixels of all images together. Each image has a map and an order of its "
        "own; whether other images came along must not change its curve.",
        rank=over_the_batch,
    ),
    variant(
        "score",
        "Your curve follows the score. This one follows the probability, after softmax: it is "
        "between 0 and 1, so that curves of different images can be averaged.",
        answer=lambda logits: logits,
    ),
    variant(
        "log_probability",
        "Your curve follows the logarithm of the probability. Leave the probability as it is: "
        "between 0 and 1.",
        answer=lambda logits: logits.log_softmax(1),
    ),
    variant(
        "mean_of_the_image",
        "You painted with the image's own mean colour. Here a removed pixel becomes 0, which is "
        "the data set's mean colour after normalisation.",
        fill=lambda x: x.mean((2, 3), keepdim=True).expand_as(x),
    ),
    variant(
        "mean_of_the_image_and_its_colours",
        "You painted with the mean of all the image's numbers, the same for every colour. Here a "
        "removed pixel becomes 0, the data set's mean colour after normalisation.",
        fill=lambda x: x.mean((1, 2, 3), keepdim=True).expand_as(x),
    ),
    variant(
        "mean_of_the_batch",
        "You painted with the mean of all images together, so that each changes the curves of the "
        "others. Here a removed pixel becomes 0.",
        fill=lambda x: x.mean().expand_as(x),
    ),
    variant(
        "grey",
        "You painted with 0.5. That is grey for pixels in 0-1, but these images are normalised: a "
        "removed pixel becomes 0, the data set's mean colour.",
        fill=lambda x: torch.full_like(x, 0.5),
    ),
    variant(
        "one_colour",
        "Removed pixels lose their first colour only and keep the other two. A pixel goes with all "
        "its colours.",
        paint=first_colour,
    ),
    variant(
        "kept_instead",
        "You keep the important pixels and remove the others, so your curve begins at the empty "
        "image and ends at the whole one. That is *insertion*; deletion takes the important ones "
        "away.",
        paint=lambda gone, other, x: torch.where(gone, x, other),
    ),
    variant(
        "untouched_image_missing",
        "The first point is missing: the untouched image, with nothing removed. `steps` steps have "
        "`steps` + 1 ends.",
        counts=lambda pixels, steps: [k * pixels // steps for k in range(1, steps + 1)],
    ),
    variant(
        "empty_image_missing",
        "The last point is missing: the image with every pixel removed. `steps` steps have `steps` "
        "+ 1 ends.",
        counts=lambda pixels, steps: [k * pixels // steps for k in range(steps)],
    ),
    variant(
        "rounded_step",
        "You removed a fixed number of pixels at each step, rounded down, so that some pixels are "
        "left over at the end. After step k it is `floor(k*H*W/steps)` in all.",
        counts=lambda pixels, steps: [k * (pixels // steps) for k in range(steps + 1)],
    ),
    variant(
        "largest_probability",
        "Your curve follows the largest probability, whichever class has it at that step. It is "
        "the class in `classes` that is to be followed down.",
        take=lambda p, classes: p.amax(1),
    ),
    Mistake(
        "top_class",
        lambda model, x, maps, classes, steps: curve(model, x, maps, model(x).argmax(1), steps),
        "You followed the class that the network finds most probable at the start, not the one in "
        "`classes`. They need not be the same.",
    ),
    variant(
        "first_class_for_all",
        "Only the first image has the right class: you used `classes[0]` for all of them.",
        take=lambda p, classes: p[:, classes[0]],
    ),
    variant(
        "columns_for_all",
        "`[:, classes]` takes *every* class of the batch for each image. Image i needs "
        "its own: pair the row numbers with the classes, or use `gather`.",
        take=lambda p, classes: p[:, classes],
    ),
    variant(
        "softmax_over_images",
        "Your softmax runs over the images of the batch. The probabilities of one image's classes "
        "add up to 1: axis 1.",
        answer=lambda logits: logits.softmax(0),
    ),
    variant(
        "rounded_count",
        "You rounded the number of pixels to the nearest. After step k it is `floor(k*H*W/steps)`: "
        "whole-number division.",
        counts=lambda pixels, steps: [round(k * pixels / steps) for k in range(steps + 1)],
    ),
    variant(
        "count_rounded_up",
        "Your number of removed pixels is rounded up. After step k it is `floor(k*H*W/steps)`, "
        "rounded down: whole-number division.",
        counts=lambda pixels, steps: [-(-k * pixels // steps) for k in range(steps + 1)],
    ),
    variant(
        "one_pixel_too_many",
        "One pixel too many is gone, and one already at step 0. Places count from 0, so the first "
        "n are those *below* n.",
        counts=lambda pixels, steps: [k * pixels // steps + 1 for k in range(steps + 1)],
    ),
    variant(
        "one_pixel_a_step",
        "Your steps remove one pixel each. Together they have to remove them all: after step k "
        "the share k/steps of the pixels is gone.",
        counts=lambda pixels, steps: list(range(steps + 1)),
    ),
    variant(
        "sigmoid",
        "You took the sigmoid of each score by itself. The probabilities of one image's classes "
        "add up to 1: softmax.",
        answer=torch.sigmoid,
    ),
    Mistake(
        "from_one",
        from_one,
        "You divided each curve by its first point, so that all begin at 1. Leave the "
        "probabilities as they are: the first is that of the untouched image.",
    ),
    Mistake(
        "fallen",
        fallen,
        "You return by how much the probability has fallen since the start. The curve is the "
        "probability itself.",
    ),
    Mistake(
        "not_cumulative",
        one_share_at_a_time,
        "Each of your points lacks only the pixels of its own step; those of the steps before are "
        "back. What has gone stays away.",
    ),
    Mistake(
        "transposed",
        transposed,
        "Your table lies on its side: the first axis counts the images, the second the steps.",
    ),
)


register(
    Exercise(
        name="pointing_score",
        lecture=LECTURE,
        title="Pointing score",
        reference=trust.pointing_score,
        cases=pointing_cases,
        mistakes=POINTING_MISTAKES,
        result="one share for each map, so (N,)",
        noun="score",
        axes=("map",),
        hints=(
            "Which values of the map count at all? Deal with the others before anything is added.",
            "Cut each map into four: where does row 1 of the cells begin? `//` and `%` turn a cell "
            "into its row and column.",
            "What is your answer for a map without a single positive value?",
        ),
    ),
    Exercise(
        name="deletion_curve",
        lecture=LECTURE,
        title="Deletion curve",
        reference=trust.deletion_curve,
        cases=deletion_cases,
        mistakes=DELETION_MISTAKES,
        result="steps + 1 probabilities for each image, so (N, steps+1)",
        noun="curve",
        axes=("image", "step"),
        hints=(
            "Sort once, then remove more and more: which pixels are gone after step k?",
            "The place of a pixel in the order is the argsort of the argsort.",
            "`torch.where(gone, 0, x)` with `gone` of shape (N,1,H,W) serves all colours.",
        ),
    ),
)
