"""Lecture 08's exercises: class activation map, Grad-CAM, the box around the largest patch."""

from collections.abc import Callable
from functools import partial

import cv2
import torch
from torch import Tensor, nn

from course_utils import cam, images, layers, models
from course_utils.checking import drawing, networks, photos
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register
from course_utils.exercises.saliency import SCORES, chosen

LECTURE = "08_cam"


def cam_cases(seed: int) -> list[Case]:
    """One image, two, four; maps that are not square; as many classes as channels and images."""
    random = drawing.generator(seed, "class_activation_map")
    shapes = [(1, 6, 5, 4, 3), (2, 5, 3, 6, 7), (4, 8, 4, 5, 6), (4, 4, 3, 5, 4)]
    notes = ["a single image", "a batch of two images", "a batch of four images"]
    notes += ["as many classes as channels"]
    found = []
    for (n, channels, height, width, classes), note in zip(shapes, notes, strict=True):
        maps = torch.randn(n, channels, height, width, generator=random).relu()
        weight = torch.randn(classes, channels, generator=random)
        order = torch.randperm(classes, generator=random)
        wanted = order[torch.arange(n) % classes]
        args = {"maps": maps, "weight": weight, "classes": wanted}
        found.append(Case(args, note, repeat=n == 2))
    return found


def grad_cam_cases(seed: int) -> list[Case]:
    """Three layers of a tiny network, and one of a network that is built as the zoo's are."""
    random = drawing.generator(seed, "grad_cam")
    shapes = [(1, 8, 6, 5), (2, 6, 9, 4), (4, 7, 5, 8), (3, 8, 7, 6)]
    where = ["features.relu1", "features.conv2", "features.relu2", "fork"]
    found = []
    for (n, height, width, classes), layer in zip(shapes, where, strict=True):
        name = "tiny_fork" if layer == "fork" else "tiny_cnn"
        spec, x, wanted = telling(random, classes, (n, height, width), layer, name)
        args = {"model": spec, "x": x, "classes": wanted, "layer": layer}
        note = f"{n} image{'s' * (n > 1)} at {layer}"
        note = "the layer 'fork' (a short name as `layers.capture` takes it)" if n == 3 else note
        found.append(Case(args, note, repeat=n == 2))
    return found


def telling(
    random: torch.Generator, classes: int, shape: tuple[int, int, int], layer: str, name: str
) -> tuple[NetworkSpec, Tensor, Tensor]:
    """A network, images and classes for which the weighted sum of every image has both signs."""
    n, height, width = shape
    while True:
        spec = drawing.network(random, classes, name)
        x = drawing.images(random, spec, 6 * n, height, width)
        wanted = drawing.other_classes(random, spec, x)
        x = LOUD.get(layer, 1.0) * x
        maps, alpha = cam.channel_weights(networks.build(spec), x, wanted, layer)
        summed = torch.einsum("nk,nkhw->nhw", alpha, maps)
        top, low = summed.amax((1, 2)), -summed.amin((1, 2))
        largest = top.max()
        good = ((top > 0.3 * largest) & (low > 0.1 * largest)).nonzero()[:n, 0]
        told = len(good) == n and (n == 1 or len(set(wanted[good].tolist())) > 1)
        if told and networks.margin(networks.build(spec), x[good]) > drawing.MARGIN:
            return spec, x[good], wanted[good]


LOUD = {"features.relu2": 30.0}
"""Images this much stronger at a layer give maps far above 1: one cut off there shows."""


def box_cases(seed: int) -> list[Case]:
    """Maps of eight patches, of which the largest is nothing else: see `PATCHES`."""
    random = drawing.generator(seed, "largest_box")
    grids, shares = [(2, 4), (4, 2), (3, 3)], (0.2, 0.35, 0.5)
    notes = ["a wide map", "a high map", "a square map"]
    while True:
        drawn = [eight_patches(random, *both) for both in zip(grids, shares, strict=True)]
        answers = [
            str([answer(*one) for one in zip(drawn, shares, strict=True)])
            for answer in (cam.largest_box, *(m.function for m in BOX_MISTAKES))
        ]
        if len(set(answers)) == len(answers):
            break
    both = zip(drawn, shares, notes, strict=True)
    return [Case({"heat": heat, "share": share}, note) for heat, share, note in both]


PATCHES = ("largest", "heaviest", "hottest", "widest", "highest", "diagonal", "corners", "cold")
"""The largest has most pixels; others the largest sum, value, width, height or box. Two squares
that touch at a corner would be the largest if corners connected; what is cold, if signs were lost.
"""

CELL = 17


def eight_patches(random: torch.Generator, grid: tuple[int, int], share: float) -> Tensor:
    """A map with the patches in random cells of a grid, on ground below zero."""
    rows, columns = grid
    heat = torch.full((rows * CELL, columns * CELL), -0.3)
    cells = torch.randperm(rows * columns, generator=random).tolist()
    for name, cell in zip(PATCHES, cells, strict=False):
        down, across = (drawing.integer(random, 0, 3) for _ in range(2))
        top, left = cell // columns * CELL + down, cell % columns * CELL + across
        one = patch(random, name, share)
        heat[top : top + one.shape[0], left : left + one.shape[1]] = one
    return heat + 0.01 * torch.rand(heat.shape, generator=random)


def patch(random: torch.Generator, name: str, share: float) -> Tensor:
    """One patch (14,14) on its ground; the hottest reaches 1.6, which sets the threshold."""
    one, draw = torch.full((14, 14), -0.3), partial(drawing.integer, random)
    if name == "largest":
        level = 1.6 * share
        one[:12, :13], one[1:11, 1:12] = level - 0.18, level - 0.05  # halos that stay below it
        one[2 : draw(9, 11), 2:11] = 0.95
    elif name == "heaviest":
        one[3:10, 3 : draw(10, 12)] = 1.45
    elif name == "hottest":
        one[draw(2, 6) :, 5:][:3, :3] = 1.6
    elif name == "widest":
        one[draw(1, 10) :][:2] = 1.0
    elif name == "highest":
        one[:, draw(1, 10) :][:, :2] = 1.0
    elif name == "diagonal":
        for i in range(12):
            one[i, i : i + 2] = 1.2
    elif name == "cold":
        one[:] = -2.0
    else:
        one[:7, :7] = one[7:, 7:] = 0.9
    return one


# ------------------------------------------------------------------ class activation maps


def every_class(maps: Tensor, weight: Tensor) -> Tensor:
    """The maps of all classes, (N,C,h,w)."""
    return torch.einsum("ck,nkhw->nchw", weight, maps)


CAM_MISTAKES = (
    Mistake(
        "mean_over_channels",
        lambda maps, weight, classes: (
            cam.class_activation_map(maps, weight, classes) / maps.shape[1]
        ),
        "You averaged over the channels, so everything is a K-th of what it should be. The score "
        "adds the channels up, and so does its map.",
    ),
    Mistake(
        "relu",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight, classes).relu(),
        "You cut the negative values off. Places that speak against the class belong to the map: "
        "without them its mean is no longer the score.",
    ),
    Mistake(
        "abs",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight, classes).abs(),
        "The signs are lost. A negative value says that a place speaks *against* the class.",
    ),
    Mistake(
        "abs_of_weights",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight.abs(), classes),
        "You used the size of the weights. A negative weight says that the class does not want to "
        "see this channel; its sign is needed.",
    ),
    Mistake(
        "no_weights",
        lambda maps, weight, classes: maps.sum(1),
        "You added up the channels without their weights. Then the map is the same for every "
        "class; the weights are what the class has to say.",
    ),
    Mistake(
        "weights_of_all_classes",
        lambda maps, weight, classes: every_class(maps, weight).sum(1),
        "You added up the weights of all classes. Take the row of the class that is asked for.",
    ),
    Mistake(
        "maps_of_all_classes",
        lambda maps, weight, classes: every_class(maps, weight),
        "You return the maps of all classes, (N,C,h,w). Choose the one that is asked for, for each "
        "image its own.",
    ),
    Mistake(
        "first_class_for_all",
        lambda maps, weight, classes: every_class(maps, weight)[:, classes[0]],
        "Only the first image has the right class: you used `classes[0]` for all of them. Each "
        "image comes with a class of its own.",
    ),
    Mistake(
        "top_class",
        lambda maps, weight, classes: cam.class_activation_map(
            maps, weight, (maps.mean((2, 3)) @ weight.T).argmax(1)
        ),
        "You used the class with the highest score, not the one in `classes`. We also want to ask "
        "where the network would look for a class that did not win.",
    ),
    Mistake(
        "softmax_of_weights",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight.softmax(0), classes),
        "You put the weights through a softmax. The score is made of the weights as they are.",
    ),
    Mistake(
        "columns_of_the_weights",
        lambda maps, weight, classes: (weight[:, classes].T[:, :, None, None] * maps).sum(1),
        "You took *columns* of `weight`, which belong to channels. Its first axis counts the "
        "classes: which row belongs to which image?",
    ),
    Mistake(
        "columns_untransposed",
        lambda maps, weight, classes: (weight[:, classes][:, :, None, None] * maps).sum(1),
        "You took *columns* of `weight`, one for each image, and let their numbers count as "
        "images. The first axis of `weight` counts the classes: take rows.",
    ),
    Mistake(
        "classes_of_all_images",
        lambda maps, weight, classes: every_class(maps, weight)[:, classes],
        "You return for each image the maps of the classes of *all* images: `[:, classes]` takes "
        "the whole list every time. Each image has one class.",
    ),
    Mistake(
        "classes_of_all_images_added",
        lambda maps, weight, classes: every_class(maps, weight)[:, classes].sum(1),
        "You added up the maps of the classes of *all* images. Each image has one class, its own.",
    ),
    Mistake(
        "first_image_only",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight, classes)[0],
        "You return the map of the first image alone. The result has one for each image, even when "
        "there is only one.",
    ),
    Mistake(
        "channel_axis_kept",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight, classes)[:, None],
        "The numbers are right, but an axis of length 1 is left. A map has rows and columns: "
        "(N,h,w).",
    ),
    Mistake(
        "sum_over_images",
        lambda maps, weight, classes: (weight[classes][:, :, None, None] * maps).sum(0),
        "Your sum runs over the images, the first axis. It belongs on the channels, the second: "
        "each image has a map of its own.",
    ),
    Mistake(
        "first_image_with_all_classes",
        lambda maps, weight, classes: cam.class_activation_map(
            maps[:1].expand_as(maps), weight, classes
        ),
        "All classes are asked of the first image. Each belongs to an image of its own.",
    ),
    Mistake(
        "weights_centred",
        lambda maps, weight, classes: cam.class_activation_map(
            maps, weight - weight.mean(1, keepdim=True), classes
        ),
        "You subtracted the mean of the weights. The score is made of the weights as they are.",
    ),
    Mistake(
        "weights_scaled",
        lambda maps, weight, classes: cam.class_activation_map(
            maps, weight / weight.norm(dim=1, keepdim=True), classes
        ),
        "You divided the weights by their length. The score is made of the weights as they are.",
    ),
    Mistake(
        "largest_product",
        lambda maps, weight, classes: (weight[classes][:, :, None, None] * maps).amax(1),
        "You took the largest of the weighted channels. The map adds up all of them.",
    ),
    Mistake(
        "next_class",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight.roll(-1, 0), classes),
        "This is the map of the class after the one in `classes`. Classes count from 0, as Python "
        "does.",
    ),
    Mistake(
        "softmax_over_channels",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight.softmax(1), classes),
        "You put each class's weights through a softmax. The score is made of the weights as they "
        "are.",
    ),
    Mistake(
        "positive_weights_only",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight.relu(), classes),
        "You cut the negative weights off. They say that the class does not want to see a channel.",
    ),
    Mistake(
        "no_sum",
        lambda maps, weight, classes: weight[classes][:, :, None, None] * maps,
        "You return one map for each channel. Their sum over the channels is missing.",
    ),
    Mistake(
        "pooled",
        lambda maps, weight, classes: cam.class_activation_map(maps, weight, classes).mean((1, 2)),
        "You averaged over the positions: that is the score (without its bias). The map is what "
        "there is before this average.",
    ),
    Mistake(
        "divided_by_positions",
        lambda maps, weight, classes: (
            cam.class_activation_map(maps, weight, classes) / maps[0, 0].numel()
        ),
        "You divided by the number of positions. Then the *sum* of the map would be the score; "
        "here it is its mean.",
    ),
    Mistake(
        "scaled_to_one",
        lambda maps, weight, classes: scaled(cam.class_activation_map(maps, weight, classes)),
        "Each of your maps is scaled so that its largest value is 1. Leave that to the plot: the "
        "map's mean should still be the score.",
    ),
    Mistake(
        "stretched_from_0_to_1",
        lambda maps, weight, classes: stretched(cam.class_activation_map(maps, weight, classes)),
        "Each of your maps is stretched from 0 to 1. Leave that to the plot: the map's mean should "
        "still be the score, and what is negative speaks against the class.",
    ),
    Mistake(
        "strongest_channel",
        lambda maps, weight, classes: strongest(maps, weight[classes]),
        "This is only the channel with the largest weight. The map adds up all of them.",
    ),
)


def scaled(maps: Tensor) -> Tensor:
    return maps / maps.amax((1, 2), keepdim=True)


def stretched(maps: Tensor) -> Tensor:
    return scaled(maps - maps.amin((1, 2), keepdim=True))


def strongest(maps: Tensor, alpha: Tensor) -> Tensor:
    index = alpha.argmax(1)
    rows = torch.arange(len(maps))
    return alpha[rows, index][:, None, None] * maps[rows, index]


# ------------------------------------------------------------------ Grad-CAM


def gradient(
    score: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    x: Tensor,
    classes: Tensor,
    layer: str,
) -> tuple[Tensor, Tensor]:
    """A layer's maps A and the gradient of any number made of the logits, both (N,K,h,w)."""
    with layers.capture(model, layer) as seen:
        number = score(model(x.detach().clone().requires_grad_()), classes)
    return seen[layer].detach(), torch.autograd.grad(number, seen[layer])[0]


def from_gradient(name: str, finish: Callable[[Tensor, Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that has the maps and the right gradient and makes the wrong thing of them."""
    return Mistake(name, lambda *args: finish(*gradient(chosen, *args)), sentence)


def from_scores() -> list[Mistake]:
    """Mistakes that differentiate the wrong number and then do everything right."""

    def mistake(score: Callable) -> Callable:
        return lambda *args: right(*gradient(score, *args))

    return [
        Mistake(name, mistake(score), sentence.format(noun="map"))
        for name, (score, sentence) in SCORES.items()
    ]


def mean(g: Tensor) -> Tensor:
    return g.mean((2, 3), keepdim=True)


def right(a: Tensor, g: Tensor) -> Tensor:
    return (mean(g) * a).sum(1).relu()


GRAD_CAM_MISTAKES = (
    from_gradient(
        "no_relu",
        lambda a, g: (mean(g) * a).sum(1),
        "The ReLU at the end is missing. Negative places speak against this class (and often for "
        "another one); Grad-CAM shows only what speaks for it.",
    ),
    from_gradient(
        "abs",
        lambda a, g: (mean(g) * a).sum(1).abs(),
        "You took absolute values where the ReLU belongs. Then places that speak against the class "
        "light up like those that speak for it.",
    ),
    from_gradient(
        "sum_for_mean",
        lambda a, g: (g.sum((2, 3), keepdim=True) * a).sum(1).relu(),
        "You added the gradient up over the positions; alpha is its mean. A layer with more "
        "positions would otherwise seem to count for more.",
    ),
    from_gradient(
        "mean_over_channels",
        lambda a, g: (mean(g) * a).mean(1).relu(),
        "You averaged the weighted maps over the channels; they are added up, as in the CAM.",
    ),
    from_gradient(
        "alpha_mean_over_channels",
        lambda a, g: (g.mean((1, 2, 3), keepdim=True) * a).sum(1).relu(),
        "You averaged the gradient over the channels too. Then every channel has the same weight; "
        "each should have its own alpha, a mean over its positions only.",
    ),
    from_gradient(
        "alpha_a_map",
        lambda a, g: (g.mean(1, keepdim=True) * a).sum(1).relu(),
        "You averaged the gradient over the channels. Alpha is a number for each *channel*: the "
        "mean over its positions.",
    ),
    from_gradient(
        "no_mean",
        lambda a, g: (g * a).sum(1).relu(),
        "You multiplied each place by its own gradient. Grad-CAM gives a whole channel one weight: "
        "the mean of its gradient over the positions. (Yours is known too, as HiResCAM.)",
    ),
    from_gradient(
        "relu_of_each_channel",
        lambda a, g: (mean(g) * a).relu().sum(1),
        "You cut each channel off at zero before adding. A channel that speaks against the class "
        "must be able to cancel others: first the sum, then the ReLU.",
    ),
    from_gradient(
        "relu_of_alpha",
        lambda a, g: (mean(g).relu() * a).sum(1).relu(),
        "You cut off the negative alphas. Channels that the class does not want must count against "
        "it; only the finished sum goes through the ReLU.",
    ),
    from_gradient(
        "relu_of_gradient",
        lambda a, g: (mean(g.relu()) * a).sum(1).relu(),
        "You cut off the negative gradients before averaging them. The ReLU stands once, at the "
        "very end.",
    ),
    from_gradient(
        "abs_of_gradient",
        lambda a, g: (mean(g.abs()) * a).sum(1).relu(),
        "You averaged the sizes of the gradients. Whether a channel helps or harms the class is in "
        "their sign.",
    ),
    from_gradient(
        "largest_gradient",
        lambda a, g: (g.amax((2, 3), keepdim=True) * a).sum(1).relu(),
        "You took the largest gradient of each channel; alpha is the mean over its positions.",
    ),
    from_gradient(
        "no_alpha",
        lambda a, g: a.sum(1).relu(),
        "You added up the maps without their weights. The result is the same for every class, and "
        "the gradient was computed in vain.",
    ),
    from_gradient(
        "gradient_alone",
        lambda a, g: g.sum(1).relu(),
        "This is the gradient added up over the channels. It should only give the weights; what is "
        "added up are the feature maps.",
    ),
    from_gradient(
        "maps_and_gradient_exchanged",
        lambda a, g: (mean(a) * g).sum(1).relu(),
        "You averaged the feature maps and weighted the gradient with them: exactly the other way "
        "round.",
    ),
    from_gradient(
        "no_sum",
        lambda a, g: (mean(g) * a).relu(),
        "You return one map for each channel. Their sum over the channels is missing.",
    ),
    from_gradient(
        "alpha_alone",
        lambda a, g: mean(g)[:, :, 0, 0],
        "You return the weights alpha. They still have to be multiplied with the feature maps.",
    ),
    from_gradient(
        "scaled_to_one",
        lambda a, g: scaled(right(a, g)),
        "Each of your maps is divided by its maximum. Leave that to the plot: a map that is zero "
        "everywhere, which happens, would become NaN.",
    ),
    from_gradient(
        "channel_axis_kept",
        lambda a, g: right(a, g)[:, None],
        "The numbers are right, but an axis of length 1 is left. A map has rows and columns: "
        "(N,h,w).",
    ),
    from_gradient(
        "first_image_map_only",
        lambda a, g: right(a, g)[0],
        "You return the map of the first image alone. The result has one for each image, even when "
        "there is only one.",
    ),
    from_gradient(
        "mean_over_images_in_alpha",
        lambda a, g: (g.mean((0, 2, 3), keepdim=True) * a).sum(1).relu(),
        "You averaged the gradient over the images as well. Each image has an alpha of its own for "
        "every channel.",
    ),
    from_gradient(
        "mean_over_rows_only",
        lambda a, g: (g.mean(2, keepdim=True) * a).sum(1).relu(),
        "You averaged the gradient over the rows only. Alpha is one number for a whole channel: "
        "the mean over rows *and* columns.",
    ),
    from_gradient(
        "negative_side",
        lambda a, g: (-(mean(g) * a).sum(1)).relu(),
        "You kept what speaks *against* the class: the sign is turned round before the ReLU.",
    ),
    from_gradient(
        "squared_gradient",
        lambda a, g: (mean(g.square()) * a).sum(1).relu(),
        "You averaged the squares of the gradient. Whether a channel helps or harms the class is "
        "in its sign.",
    ),
    from_gradient(
        "alpha_of_unit_length",
        lambda a, g: (nn.functional.normalize(mean(g), dim=1) * a).sum(1).relu(),
        "You scaled each image's alphas to length 1. They are the means themselves.",
    ),
    from_gradient(
        "sum_over_positions",
        lambda a, g: (mean(g) * a).sum((2, 3)).relu(),
        "You added up over the positions and kept the channels. The sum runs over the channels, "
        "and the positions make the map.",
    ),
    from_gradient(
        "squared",
        lambda a, g: right(a, g).square(),
        "You squared the map. The sum after the ReLU is the result.",
    ),
    *from_scores(),
)


# ------------------------------------------------------------------ boxes


def hot_box(hot: Tensor) -> cam.Box:
    return cam.mask_box(hot) if hot.any() else (0, 0, *hot.shape)


def patches(heat: Tensor, share: float) -> list[Tensor]:
    """The connected patches above the threshold, (H,W) bool each."""
    hot = (heat > share * heat.max()).numpy().astype("uint8")
    n, labels = cv2.connectedComponents(hot, connectivity=4)
    return [torch.from_numpy(labels == i) for i in range(1, n)]


def centred_sizes(box: cam.Box) -> cam.Box:
    top, left, bottom, right = box
    return top, left, bottom - top, right - left


def most(heat: Tensor, share: float, number: Callable[[Tensor], float]) -> cam.Box:
    """The box of the patch of which some number is largest."""
    return hot_box(max(patches(heat, share), key=number))


def box_area(part: Tensor) -> int:
    top, left, bottom, right = hot_box(part)
    return (bottom - top) * (right - left)


def _eight_connected(heat: Tensor, share: float) -> cam.Box:
    hot = (heat > share * heat.max()).numpy().astype("uint8")
    _, labels = cv2.connectedComponents(hot, connectivity=8)
    counts = torch.from_numpy(labels).flatten().bincount()
    return hot_box(torch.from_numpy(labels == int(counts[1:].argmax()) + 1))


def _largest(heat: Tensor, share: float) -> cam.Box:
    return cam.largest_box(heat, share)


BOX_MISTAKES = (
    Mistake(
        "all_patches",
        lambda heat, share: hot_box(heat > share * heat.max()),
        "Your box holds everything above the threshold. One stray patch and it spans the picture: "
        "keep the largest connected patch only.",
    ),
    Mistake(
        "hottest_patch",
        lambda heat, share: hot_box(max(patches(heat, share), key=lambda p: heat[p].max())),
        "You kept the patch with the highest value. The rule is the patch with the largest area.",
    ),
    Mistake(
        "first_patch",
        lambda heat, share: hot_box(patches(heat, share)[0]),
        "You kept the first patch that was found. Count the pixels of each and keep the largest.",
    ),
    Mistake(
        "last_patch",
        lambda heat, share: hot_box(patches(heat, share)[-1]),
        "You kept the last patch that was found. Count the pixels of each and keep the largest.",
    ),
    Mistake(
        "heaviest_patch",
        lambda heat, share: most(heat, share, lambda part: heat[part].sum()),
        "You kept the patch with the largest sum of values. The rule counts pixels: the largest "
        "area, however hot.",
    ),
    Mistake(
        "widest_patch",
        lambda heat, share: most(heat, share, lambda part: part.any(0).sum()),
        "You kept the widest patch. The largest is the one with the most pixels.",
    ),
    Mistake(
        "highest_patch",
        lambda heat, share: most(heat, share, lambda part: part.any(1).sum()),
        "You kept the patch with the most rows. The largest is the one with the most pixels.",
    ),
    Mistake(
        "largest_of_boxes",
        lambda heat, share: most(heat, share, box_area),
        "You compared the areas of the *boxes*. A thin slanting patch has a large box and few "
        "pixels; count the pixels of the patch itself.",
    ),
    Mistake(
        "corners_connect",
        _eight_connected,
        "Two patches that touch at a corner count as one in your answer. Corners do not connect: "
        "only neighbours above, below, left and right do.",
    ),
    Mistake(
        "background",
        lambda heat, share: hot_box(heat <= share * heat.max()),
        "You took what is *not* hot for the largest patch: its label 0 counts the most pixels. "
        "Leave the background out.",
    ),
    Mistake(
        "first_pixel_left_out",
        lambda heat, share: (lambda t, a, b, r: (t + 1, a + 1, b, r))(*_largest(heat, share)),
        "Your box begins one row and one column late. Rows and columns count from 0.",
    ),
    Mistake(
        "end_one_too_far",
        lambda heat, share: (lambda t, a, b, r: (t, a, b + 1, r + 1))(*_largest(heat, share)),
        "Your box ends one row and one column too late. Bottom and right are one more than the "
        "last row and column, not two.",
    ),
    Mistake(
        "corners_as_points",
        lambda heat, share: (lambda t, a, b, r: [[t, a], [b, r]])(*_largest(heat, share)),
        "You return two points. Asked for are four numbers in a row: top, left, bottom, right.",
    ),
    Mistake(
        "share_of_range",
        lambda heat, share: _largest(heat - heat.min(), share),
        "You measured the threshold from the map's minimum. It is a share of the maximum, counted "
        "from zero; what is negative speaks against the class.",
    ),
    Mistake(
        "absolute_threshold",
        lambda heat, share: _largest((heat > share).float(), 0.5),
        "You compared the map with `share` itself. The threshold is that share of the maximum.",
    ),
    Mistake(
        "absolute_values",
        lambda heat, share: _largest(heat.abs(), share),
        "What speaks strongly *against* the class is hot in your answer too, as if signs were "
        "lost. Only values above a share of the maximum are.",
    ),
    Mistake(
        "threshold_by_size",
        lambda heat, share: _largest((heat > share * heat.abs().max()).float(), 0.5),
        "Your threshold is a share of the largest *size*, which may be that of a negative value. "
        "It is a share of the maximum.",
    ),
    Mistake(
        "quantile",
        lambda heat, share: _largest((heat > heat.quantile(share)).float(), 0.5),
        "You used a quantile: a share of the *pixels*. The threshold is a share of the largest "
        "value.",
    ),
    Mistake(
        "last_pixel_included",
        lambda heat, share: (lambda t, a, b, r: (t, a, b - 1, r - 1))(*_largest(heat, share)),
        "Your box ends at the last row and column of the patch. As in a slice, bottom and right "
        "are one more: `heat[top:bottom, left:right]` should hold the whole patch.",
    ),
    Mistake(
        "x_before_y",
        lambda heat, share: (lambda t, a, b, r: (a, t, r, b))(*_largest(heat, share)),
        "Rows and columns are exchanged: the order is top, left, bottom, right.",
    ),
    Mistake(
        "size_for_corner",
        lambda heat, share: centred_sizes(_largest(heat, share)),
        "You return the box's height and width. The last two numbers are its bottom and right.",
    ),
)


# ------------------------------------------------------------------ pictures


def cam_photo() -> Case:
    """The panda's last feature maps in EfficientNet-Lite0, and the weights of its classifier."""
    net = models.load("efficientnet_lite0", device="cpu")
    found = cam.head(net, net.preprocess(images.photo("panda")))
    classes = torch.tensor([net.index("giant panda")])
    return Case({"maps": found.maps, "weight": found.weight, "classes": classes}, "a photo")


def grad_cam_photo() -> Case:
    """The panda at the last block of SqueezeNet."""
    return photos.case(label="giant panda", layer="features.12")


def first(result: Tensor) -> Tensor:
    return result[0]


register(
    Exercise(
        name="class_activation_map",
        lecture=LECTURE,
        title="Class activation map",
        reference=cam.class_activation_map,
        cases=cam_cases,
        mistakes=CAM_MISTAKES,
        result="one signed map (h,w) for each image, so (N,h,w)",
        noun="map",
        axes=("image", "row", "column"),
        hints=(
            "Which row of `weight` belongs to which image?",
            "`weight[classes]` has the shape (N,K): one number for each channel of each image.",
            "Two axes of length 1 behind it, and it can be multiplied with the maps. Which axis "
            "is then added up?",
        ),
        picture=Picture(cam_photo, first, True, "class activation maps of a giant panda"),
    ),
    Exercise(
        name="grad_cam",
        lecture=LECTURE,
        title="Grad-CAM",
        reference=cam.grad_cam,
        cases=grad_cam_cases,
        mistakes=GRAD_CAM_MISTAKES,
        result="one map (h,w) for each image, so (N,h,w), never negative",
        noun="map",
        axes=("image", "row", "column"),
        hints=(
            "With `layers.capture(model, layer) as seen:` around the forward pass, `seen[layer]` "
            "holds the feature maps and still hangs on the graph.",
            "The network is frozen, so nothing has a graph unless `x` asks for a gradient.",
            "Four steps: the gradient of the score with respect to the maps, its mean over the "
            "positions, the weighted sum over the channels, the ReLU.",
        ),
        picture=Picture(grad_cam_photo, first, False, "Grad-CAM of a giant panda"),
    ),
    Exercise(
        name="largest_box",
        lecture=LECTURE,
        title="From the map to a box",
        reference=cam.largest_box,
        cases=box_cases,
        mistakes=BOX_MISTAKES,
        result="four whole numbers (top, left, bottom, right)",
        noun="box",
        parts=("top", "left", "bottom", "right"),
        hints=(
            "`scipy.ndimage.label` numbers the connected patches of a mask, from 1.",
            "`numpy.bincount` of the labels counts the pixels of each; 0 is the background.",
            "The rows of a patch are those in which any pixel of it lies: first one, last one plus "
            "one.",
        ),
    ),
)
