"""Lecture 02's exercises: sparsity of feature maps, strongest channels."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils import activations
from course_utils.checking import drawing
from course_utils.checking.core import Case, Exercise, Mistake, register

LECTURE = "02_activations"


def sparsity_cases(seed: int) -> list[Case]:
    """Maps after a ReLU; of a batch; before a ReLU, with a few zeros and many negative values."""
    random = drawing.generator(seed, "sparsity")
    found = []
    for (n, k, h, w), floor, note in (
        ((1, 4, 5, 3), 0.0, "the maps of one image"),
        ((3, 5, 4, 6), 0.0, "a batch of three with a dead channel"),
        ((2, 3, 6, 4), -1.0, "maps with negative values (from before the ReLU)"),
    ):
        maps = torch.randn(n, k, h, w, generator=random)
        # Small values are no zeros either, so that a generous threshold is found out.
        small = torch.rand(n, k, h, w, generator=random) < 0.25
        maps = torch.where(small, 1e-4 * maps, maps) + 0.3 * torch.arange(k).view(k, 1, 1)
        zero = torch.rand(n, k, h, w, generator=random) < 0.2
        maps = maps.clamp(min=floor).masked_fill(zero, 0.0)
        if n == 3:
            maps[:, drawing.integer(random, 0, k)] = 0
        found.append(Case({"maps": maps}, note, repeat=n == 3))
    return found


def strongest_cases(seed: int) -> list[Case]:
    """One image; a batch; maps from before the ReLU; ties. Clearly apart otherwise."""
    random = drawing.generator(seed, "strongest_channels")
    found = []
    for (n, channels, h, w), k, note in (
        ((1, 9, 4, 4), 3, "one image"),
        ((3, 12, 3, 5), 4, "a batch of three images"),
        ((2, 10, 4, 3), 5, "maps with large negative values (from before the ReLU)"),
        ((8, 12, 3, 3), 7, "maps in which two channels are equally strong"),
    ):
        maps = apart(random, (n, channels, h, w), k, before="before" in note)
        if "before" not in note:
            maps = maps.clamp(min=0)
            maps[..., 0, 0] += 1e-3 * torch.arange(channels, 0, -1)
        if "equally" in note:
            top = maps.amax((2, 3)).argmax(1)
            for i, c in enumerate(top.tolist()):
                maps[i, (c + 3) % channels] = maps[i, c].flip(0)
        found.append(Case({"maps": maps, "k": k}, note, repeat=n == 3, ties="equally" in note))
    return found


def apart(random: torch.Generator, shape: tuple[int, ...], k: int, before: bool) -> Tensor:
    """Maps whose largest values differ; before a ReLU the k-th of them is negative."""
    low, some = (4, 0.7) if before else (2, 0.4)
    while True:
        maps = torch.randn(shape, generator=random)
        maps -= low * (torch.rand(*shape[:2], 1, 1, generator=random) < some).float()
        order = maps.amax((2, 3)).sort(dim=1, descending=True).values
        if order.diff(dim=1).max() < -1e-3 and (order[:, k - 1].max() < -0.1 or not before):
            return maps


def share(name: str, function: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    return Mistake(name, function, sentence)


SPARSITY_MISTAKES = (
    share(
        "density",
        lambda maps: (maps != 0).float().mean((2, 3)),
        "You counted the units that are *not* zero. Sparsity is the share of those that are.",
    ),
    share(
        "counted",
        lambda maps: (maps == 0).float().sum((2, 3)),
        "You counted the zeros. Divided by the number of units the count becomes a share, and "
        "maps of different sizes can be compared.",
    ),
    share(
        "one_number_for_each_image",
        lambda maps: (maps == 0).float().mean((1, 2, 3)),
        "You averaged over the channels too. Each channel gets its own number: one that is always "
        "silent and one that always fires would hide in the mean.",
    ),
    share(
        "one_number_for_each_channel",
        lambda maps: (maps == 0).float().mean((0, 2, 3)),
        "You averaged over the images of the batch. Each image gets its own numbers; it must not "
        "matter who came along.",
    ),
    share(
        "one_number",
        lambda maps: (maps == 0).float().mean(),
        "You return a single number. There is one for each image and each channel.",
    ),
    share(
        "across_the_channels",
        lambda maps: (maps == 0).float().mean(1),
        "You averaged over axis 1, the channels, and got a map. The share is over the *places*, "
        "the last two axes.",
    ),
    share(
        "negative_too",
        lambda maps: (maps <= 0).float().mean((2, 3)),
        "You counted negative values as zeros. After a ReLU there are none, but before it a "
        "negative activation is a value like any other.",
    ),
    share(
        "small_too",
        lambda maps: (maps.abs() < 1e-2).float().mean((2, 3)),
        "You counted small values as zeros. A threshold makes the number depend on the layer's "
        "scale; a ReLU leaves exact zeros, so compare with 0.",
    ),
    share(
        "percent",
        lambda maps: 100 * (maps == 0).float().mean((2, 3)),
        "Your numbers are percentages. The share is between 0 and 1.",
    ),
    share(
        "negative_only",
        lambda maps: (maps < 0).float().mean((2, 3)),
        "You counted what is *below* zero. Asked for is the share of exact zeros.",
    ),
    share(
        "positive_only",
        lambda maps: (maps > 0).float().mean((2, 3)),
        "You counted what is above zero. Sparsity is the share of units that are exactly 0.",
    ),
    share(
        "divided_by_all_units",
        lambda maps: (maps == 0).float().sum((2, 3)) / maps.numel(),
        "You divided by the number of all units of the batch. A channel's zeros are a share of its "
        "own places, rows times columns.",
    ),
    share(
        "divided_by_units_of_image",
        lambda maps: (maps == 0).float().sum((2, 3)) / maps[0].numel(),
        "You divided by the number of units of a whole image. A channel's zeros are a share of its "
        "own places, rows times columns.",
    ),
    share(
        "divided_by_rows",
        lambda maps: (maps == 0).float().sum((2, 3)) / maps.shape[2],
        "You divided by the number of rows only. A channel has rows times columns places.",
    ),
    share(
        "one_row_at_a_time",
        lambda maps: (maps == 0).float().mean(3),
        "You give a share for each row of a map. Both axes of the places belong into the mean.",
    ),
    share(
        "axes_kept",
        lambda maps: (maps == 0).float().mean((2, 3), keepdim=True),
        "The numbers are right, but two axes of length 1 are left of the places. Asked for is a "
        "table: images, channels.",
    ),
    share(
        "first_image_only",
        lambda maps: (maps == 0).float().mean((2, 3))[0],
        "You return the shares of the first image only. The batch may hold more than one.",
    ),
    share(
        "mean_of_maps",
        lambda maps: maps.mean((2, 3)),
        "This is the mean activation. Asked for is how *many* of the units are zero, whatever the "
        "others are.",
    ),
    share(
        "dead_channels",
        lambda maps: (maps == 0).flatten(2).all(2).float(),
        "Your numbers are 1 where a map is zero *everywhere*, and 0 elsewhere. We want to know how "
        "much of it is zero. (A division by `//` makes such numbers of shares.)",
    ),
)


def ranked(score: Callable[[Tensor], Tensor], descending: bool = True) -> Callable:
    """The best k channels by a number for each channel (N,K)."""
    return lambda maps, k: (
        score(maps).sort(dim=1, descending=descending, stable=True).indices[:, :k]
    )


def flat_places(maps: Tensor, k: int) -> Tensor:
    return maps.flatten(1).sort(dim=1, descending=True, stable=True).indices[:, :k]


def flat_channels(maps: Tensor, k: int) -> Tensor:
    return flat_places(maps, k) // maps[0, 0].numel()


def later_first(maps: Tensor, k: int) -> Tensor:
    n = maps.shape[1]
    order = maps.amax((2, 3)).flip(1).sort(dim=1, descending=True, stable=True).indices
    return n - 1 - order[:, :k]


STRONGEST_MISTAKES = (
    Mistake(
        "mean",
        ranked(lambda maps: maps.mean((2, 3))),
        "You ranked by the mean of each map. A channel that fires hard at one place, as deep ones "
        "do, loses there against one that hums everywhere; rank by the largest activation.",
    ),
    Mistake(
        "weakest_first",
        ranked(lambda maps: maps.amax((2, 3)), descending=False),
        "Your channels come weakest first. Sort in descending order.",
    ),
    Mistake(
        "absolute",
        ranked(lambda maps: maps.abs().amax((2, 3))),
        "You ranked by absolute value. A large negative number means that the feature is absent, "
        "not that it is strong.",
    ),
    Mistake(
        "count",
        ranked(lambda maps: (maps > 0).float().mean((2, 3))),
        "You ranked by how *much* of the map is positive. Strength is the size of the largest "
        "activation, however small the spot.",
    ),
    Mistake(
        "values",
        lambda maps, k: maps.amax((2, 3)).sort(dim=1, descending=True).values[:, :k],
        "These are the activations. We want to know *which* channels they belong to: the indices.",
    ),
    Mistake(
        "places",
        flat_places,
        "Your numbers count all units of the layer in one row. Take the maximum over the places "
        "first; what you then sort are channels.",
    ),
    Mistake(
        "largest_over_channels",
        lambda maps, k: (
            maps.amax(1).flatten(1).sort(dim=1, descending=True, stable=True).indices[:, :k]
        ),
        "Your numbers are places, not channels: you took the maximum over the channels. Take it "
        "over the places, and the channels are left.",
    ),
    Mistake(
        "channel_named_twice",
        flat_channels,
        "A channel appears more than once: you ranked single units. Take the maximum over the "
        "places first, so that each channel stands for itself once.",
    ),
    Mistake(
        "same_for_all_images",
        lambda maps, k: ranked(lambda m: m.amax((2, 3)))(maps.amax(0, keepdim=True), k).expand(
            len(maps), -1
        ),
        "You took the maximum over the images as well, so that all get the same channels. Each "
        "image has its own.",
    ),
    Mistake(
        "first_image_only",
        lambda maps, k: ranked(lambda m: m.amax((2, 3)))(maps[:1], k)[0],
        "You return the channels of the first image only. The batch may hold more than one.",
    ),
    Mistake(
        "energy",
        ranked(lambda maps: maps.square().sum((2, 3))),
        "You ranked by the sum of squares. Strength here is the single largest activation; a sum "
        "favours channels that are active everywhere.",
    ),
    Mistake(
        "spread",
        ranked(lambda maps: maps.flatten(2).std(2)),
        "You ranked by how much each map varies. Strength here is the largest activation.",
    ),
    Mistake(
        "smallest_value",
        ranked(lambda maps: maps.amin((2, 3))),
        "You ranked by the smallest activation of each map. Strength here is the largest one.",
    ),
    Mistake(
        "values_and_indices",
        lambda maps, k: tuple(
            part[:, :k] for part in maps.amax((2, 3)).sort(dim=1, descending=True, stable=True)
        ),
        "You return two things, the values and the indices, as sorting gives them. Only the "
        "indices are asked for.",
    ),
    Mistake(
        "ranks",
        lambda maps, k: (
            maps.amax((2, 3)).argsort(dim=1, descending=True, stable=True).argsort(dim=1)[:, :k]
        ),
        "These are the ranks of the first k channels. Asked for are the channels of the first k "
        "ranks: sort once, not twice.",
    ),
    Mistake(
        "counted_from_one",
        lambda maps, k: ranked(lambda m: m.amax((2, 3)))(maps, k) + 1,
        "Your channels are one too high: they count from 0, as Python does.",
    ),
    Mistake(
        "in_order_of_index",
        lambda maps, k: ranked(lambda m: m.amax((2, 3)))(maps, k).sort(dim=1).values,
        "These are the right channels, in the order of their indices. The strongest comes first.",
    ),
    Mistake(
        "strongest_last",
        lambda maps, k: ranked(lambda m: m.amax((2, 3)))(maps, k).flip(1),
        "These are the right channels, but the strongest comes last. Put it first.",
    ),
    Mistake(
        "later_first",
        later_first,
        "Of two channels that are equally strong, the one with the lower index comes first: sort "
        "with `stable=True`.",
    ),
    Mistake(
        "ties_in_any_order",
        lambda maps, k: maps.amax((2, 3)).topk(k).indices,
        "Of channels that are equally strong the one with the lower index comes first. `topk` "
        "gives them in any order; `sort` with `stable=True` keeps it.",
    ),
    Mistake(
        "negative_cut_off",
        ranked(lambda maps: maps.amax((2, 3)).clamp(min=0)),
        "You set negative activations to zero before ranking. Then channels that are negative "
        "everywhere all count alike; the one nearest to zero is the strongest of them.",
    ),
)


register(
    Exercise(
        name="sparsity",
        lecture=LECTURE,
        title="Sparsity of feature maps",
        reference=activations.sparsity,
        cases=sparsity_cases,
        mistakes=SPARSITY_MISTAKES,
        result="one share for each image and channel, so (N,K)",
        noun="share",
        axes=("image", "channel"),
        hints=(
            "A comparison gives True and False. What is the mean of those, as numbers?",
            "Which two of the four axes count the places?",
        ),
    ),
    Exercise(
        name="strongest_channels",
        lecture=LECTURE,
        title="Strongest channels",
        reference=activations.strongest_channels,
        cases=strongest_cases,
        mistakes=STRONGEST_MISTAKES,
        result="k channel indices for each image, so (N,k)",
        noun="list of channels",
        axes=("image", "place"),
        hints=(
            "First one number for each channel, then sort those numbers.",
            "`amax` takes several axes at once.",
            "`sort` returns values and indices, and has an argument `stable`.",
        ),
    ),
)
