"""Lecture 08's exercises: class activation map, Grad-CAM, the box around the largest patch."""

from collections.abc import Callable

import cv2
import torch
from torch import Tensor, nn

from course_utils import cam, images, layers, models
from course_utils.checking import drawing, networks
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register
from course_utils.exercises.saliency import SCORES, chosen

LECTURE = "08_cam"


def cam_cases(seed: int) -> list[Case]:
    """One image, two, four; maps that are not square, and other numbers of channels and classes."""
    random = drawing.generator(seed, "class_activation_map")
    shapes = [(1, 6, 5, 4, 3), (2, 5, 3, 6, 7), (4, 8, 4, 5, 6)]
    notes = ["a single image", "a batch of two images", "a batch of four images"]
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
    """The three layers of a tiny network that have feature maps behind which something follows."""
    random = drawing.generator(seed, "grad_cam")
    shapes = [(1, 8, 6, 5), (2, 6, 9, 4), (4, 7, 5, 8)]
    where = ["features.relu1", "features.conv2", "features.relu2"]
    found = []
    for (n, height, width, classes), layer in zip(shapes, where, strict=True):
        spec, x, wanted = telling(random, classes, (n, height, width), layer)
        args = {"model": spec, "x": x, "classes": wanted, "layer": layer}
        found.append(Case(args, f"{n} image{'s' * (n > 1)} at {layer}", repeat=n == 2))
    return found


def telling(
    random: torch.Generator, classes: int, shape: tuple[int, int, int], layer: str
) -> tuple[NetworkSpec, Tensor, Tensor]:
    """A network, images and classes for which the weighted sum of every image has both signs."""
    n, height, width = shape
    while True:
        spec = drawing.network(random, classes)
        x = drawing.images(random, spec, 6 * n, height, width)
        wanted = drawing.other_classes(random, spec, x)
        maps, alpha = cam.channel_weights(networks.build(spec), x, wanted, layer)
        summed = torch.einsum("nk,nkhw->nhw", alpha, maps)
        top, low = summed.amax((1, 2)), -summed.amin((1, 2))
        largest = top.max()
        good = ((top > 0.3 * largest) & (low > 0.1 * largest)).nonzero()[:n, 0]
        if len(good) == n and (n == 1 or len(set(wanted[good].tolist())) > 1):
            return spec, x[good], wanted[good]


def box_cases(seed: int) -> list[Case]:
    """Three patches on a dark ground: the largest is neither the hottest nor the uppermost."""
    random = drawing.generator(seed, "largest_box")
    sizes, shares = [(24, 36), (40, 30), (32, 32)], (0.2, 0.35, 0.5)
    notes = ["a wide map", "a high map", "a square map"]
    cases = []
    for size, share, note in zip(sizes, shares, notes, strict=True):
        heat = three_patches(random, size)
        while not clear(heat, share):
            heat = three_patches(random, size)
        cases.append(Case({"heat": heat, "share": share}, note))
    return cases


HILLS = ((0.14, 0.2, 1.3, 0.06), (0.3, 0.75, 1.8, 0.07), (0.7, 0.35, 1.5, 0.13))
"""Row, column, height and width of each hill; places and widths as shares of the map's sides."""


def three_patches(random: torch.Generator, size: tuple[int, int]) -> Tensor:
    """Three hills on ground below zero, (H,W)."""
    heat = torch.full(size, -0.3) + 0.02 * torch.randn(size, generator=random)
    rows, columns = (torch.linspace(0, 1, n) for n in size)
    for y, x, top, width in HILLS:
        jitter = 0.1 * torch.rand(3, generator=random) - 0.05
        down = (rows - y - jitter[0]) / width
        across = (columns - x - jitter[1]) / (width * (1.2 + 4 * jitter[2]))
        heat = heat + top * torch.exp(-(down[:, None] ** 2 + across**2) / 2)
    return heat


def clear(heat: Tensor, share: float) -> bool:
    """Whether no pixel lies near the threshold, and every known mistake gives another box."""
    near = (heat - share * heat.max()).abs().min() > 1e-3
    boxes = [mistake.function(heat, share) for mistake in BOX_MISTAKES]
    boxes.append(cam.largest_box(heat, share))
    return bool(near) and len(set(boxes)) == len(boxes)


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
        "strongest_channel",
        lambda maps, weight, classes: strongest(maps, weight[classes]),
        "This is only the channel with the largest weight. The map adds up all of them.",
    ),
)


def scaled(maps: Tensor) -> Tensor:
    return maps / maps.amax((1, 2), keepdim=True)


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
    net = models.load("squeezenet1_1", device="cpu")
    x, classes = net.preprocess(images.photo("panda")), torch.tensor([net.index("giant panda")])
    spec = NetworkSpec("squeezenet1_1")
    args = {"model": spec, "x": x, "classes": classes, "layer": "features.12"}
    return Case(args, "a photo")


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
