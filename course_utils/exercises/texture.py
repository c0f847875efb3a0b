"""Lecture 14's exercises: the Gram matrix of a batch, and the style loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils import layers, texture
from course_utils.checking import drawing, photos
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register

LECTURE = "14_texture"


def maps(random: torch.Generator, *shape: int) -> Tensor:
    """Feature maps with means of their own, some of them negative somewhere."""
    means = 2 * torch.rand(shape[1], generator=random)[:, None, None] - 0.5
    spread = 0.5 + torch.rand(shape[1], generator=random)[:, None, None]
    return means + spread * torch.randn(shape, generator=random)


# ------------------------------------------------------------------ Gram matrices


def batches(seed: int) -> list[Case]:
    """One image; three, with more positions than channels; two, with fewer."""
    random = drawing.generator(seed, "gram")
    shapes = [(1, 4, 3, 5), (3, 3, 4, 6), (2, 7, 2, 3)]
    notes = ["a single image", "a batch of three images", "more channels than positions"]
    return [
        Case({"features": maps(random, *shape)}, note, repeat=shape[0] == 3)
        for shape, note in zip(shapes, notes, strict=True)
    ]


def from_columns(name: str, finish: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake made with the right columns F, (N,C,M)."""
    return Mistake(name, lambda features: finish(features.flatten(2)), sentence)


def product(columns: Tensor) -> Tensor:
    """F F^T / M for each image."""
    return columns @ columns.mT / columns.shape[2]


def mixed_images(features: Tensor) -> Tensor:
    n, c, height, width = features.shape
    flat = features.reshape(n * c, height * width)
    return flat @ flat.T / (height * width)


GRAM_MISTAKES = (
    from_columns(
        "not_divided",
        lambda f: f @ f.mT,
        "The sum is not divided by the number of positions. A larger picture of the same texture "
        "would have a larger matrix, and could not be compared.",
    ),
    from_columns(
        "divided_by_channels_too",
        lambda f: product(f) / f.shape[1],
        "You divided by the number of channels as well. G is a mean over positions; the channels "
        "come in later, in the loss.",
    ),
    from_columns(
        "divided_by_channels_only",
        lambda f: f @ f.mT / f.shape[1],
        "You divided by the number of channels. The mean runs over the positions, of which there "
        "are height times width.",
    ),
    from_columns(
        "divided_by_batch_too",
        lambda f: product(f) / len(f),
        "Your matrices shrink with the number of images. Each image has a Gram matrix of its own.",
    ),
    from_columns(
        "lower_half",
        lambda f: product(f).tril(),
        "The upper half of your matrix is zero. The Gram matrix is symmetric: each pair of "
        "channels stands in it twice.",
    ),
    from_columns(
        "divided_by_all",
        lambda f: f @ f.mT / f.numel(),
        "You divided by all the sizes: images, channels, positions, as many programs do. Here G is "
        "a mean over the positions alone; the channels come in later, in the loss.",
    ),
    from_columns(
        "upper_triangle",
        lambda f: product(f).triu(),
        "Below the diagonal your matrix is zero. G is symmetric, and the targets hold both halves.",
    ),
    from_columns(
        "one_position_too_few",
        lambda f: f @ f.mT / (f.shape[2] - 1),
        "You divided by one position less. That belongs to a sample's covariance; G is a plain "
        "mean.",
    ),
    from_columns(
        "positions_paired",
        lambda f: f.mT @ f / f.shape[2],
        "Your matrix pairs positions. A texture must not know where things are: pair channels, and "
        "sum over the positions.",
    ),
    from_columns(
        "centred",
        lambda f: product(f - f.mean(2, keepdim=True)),
        "You subtracted each channel's mean: that is the covariance. The Gram matrix takes the "
        "responses as they are.",
    ),
    from_columns(
        "unit_channels",
        lambda f: (u := f / f.norm(dim=2, keepdim=True)) @ u.mT,
        "You made all channels equally long: these are cosines. How strongly a channel answers is "
        "part of the texture.",
    ),
    from_columns(
        "diagonal_removed",
        lambda f: product(f) - torch.diag_embed(product(f).diagonal(dim1=1, dim2=2)),
        "The diagonal is zero. A channel paired with itself says how strong it is.",
    ),
    from_columns(
        "first_image_for_all",
        lambda f: product(f[:1]).expand(len(f), -1, -1),
        "Every image got the first one's matrix.",
    ),
    from_columns(
        "mean_over_images",
        lambda f: product(f).mean(0),
        "You averaged over the images. Give one matrix for each.",
    ),
    from_columns(
        "wrong_reshape",
        lambda f: product(f.reshape(len(f), f.shape[2], f.shape[1]).mT),
        "You reshaped where a transpose was meant: `reshape` keeps the order of the numbers, so "
        "channels and positions are shuffled together.",
    ),
    Mistake(
        "divided_by_width",
        lambda features: product(features.flatten(2)) * features.shape[2],
        "You divided by the width alone. There are height times width positions.",
    ),
    Mistake(
        "divided_by_height",
        lambda features: product(features.flatten(2)) * features.shape[3],
        "You divided by the height alone. There are height times width positions.",
    ),
    Mistake(
        "images_mixed",
        mixed_images,
        "Your matrix also pairs channels of different images. It is right for a single one only; "
        "keep the batch as an axis of its own.",
    ),
    from_columns(
        "sum_of_responses",
        lambda f: f.mean(2)[:, :, None] * f.mean(2)[:, None, :],
        "You multiplied the channels' means. Then it no longer matters whether they answer at the "
        "same positions: multiply first, average then.",
    ),
    from_columns(
        "root",
        lambda f: f @ f.mT / f.shape[2] ** 0.5,
        "You divided by the root of the number of positions. A mean divides by the number itself.",
    ),
)


# ------------------------------------------------------------------ style loss


def losses(seed: int) -> list[Case]:
    """One layer; three layers in other orders; a batch; a batch with a target for each image."""
    random = drawing.generator(seed, "style_loss")
    found = []
    for n, each, note in (
        (1, False, "a single layer"),
        (1, False, "three layers"),
        (3, False, "a batch of three images"),
        (2, True, "fewer layers in `features` than in `targets` (a target for each image)"),
    ):
        shapes = {"relu1": (3, 6, 5), "relu2": (5, 3, 4), "relu3": (4, 2, 3)}
        shapes = {"relu2": (5, 3, 4)} if "single" in note else shapes
        features = {layer: maps(random, n, *shape) for layer, shape in shapes.items()}
        targets = {
            layer: texture.gram(maps(random, n if each else 1, shape[0], 4, 4))
            for layer, shape in reversed(shapes.items())
        }
        turned = [*list(shapes)[1:], *list(shapes)[:1]]
        weights = {layer: drawing.integer(random, 2, 9) / 4 for layer in turned}
        weights[turned[0]] = 3.0
        if each:  # the lecture asks for one layer, with the targets and weights of all
            features.pop("relu2")
        args = {"features": features, "targets": targets, "weights": weights}
        found.append(Case(args, note, repeat=n == 3, slopes=("features",)))
    return found


def summed(
    part: Callable[[Tensor, Tensor, float], Tensor],
) -> Callable[[dict, dict, dict], Tensor]:
    """The sum over the layers of `part(features, target, weight)`."""
    return lambda features, targets, weights: sum(
        part(features[layer], targets[layer], weights[layer]) for layer in features
    )


def gap(features: Tensor, target: Tensor) -> Tensor:
    return product(features.flatten(2)) - target


def quarter(features: Tensor) -> float:
    return 1 / (4 * features.shape[1] ** 2)


def right(features: Tensor, target: Tensor) -> Tensor:
    return quarter(features) * gap(features, target).square().sum()


def from_layer(name: str, part: Callable, sentence: str) -> Mistake:
    """A mistake made in each layer, with everything else right."""
    return Mistake(name, summed(part), sentence)


def by_order(features: dict, targets: dict, weights: dict) -> Tensor:
    both = zip(features, weights.values(), strict=False)
    return sum(w * right(features[layer], targets[layer]) for layer, w in both)


def last_layer(features: dict, targets: dict, weights: dict) -> Tensor:
    layer = list(features)[-1]
    return weights[layer] * right(features[layer], targets[layer])


def first_layer(features: dict, targets: dict, weights: dict) -> Tensor:
    layer = next(iter(features))
    return weights[layer] * right(features[layer], targets[layer])


STYLE_MISTAKES = (
    from_layer(
        "no_four",
        lambda f, t, w: 4 * w * right(f, t),
        "The 4 in the denominator is missing (a mean over the matrix' entries does the same): your "
        "loss is four times too large.",
    ),
    from_layer(
        "channels_not_squared",
        lambda f, t, w: w * right(f, t) * f.shape[1],
        "You divided by the number of channels once. The matrix has that number squared of "
        "entries, and so has the denominator.",
    ),
    from_layer(
        "no_channels",
        lambda f, t, w: w * gap(f, t).square().sum() / 4,
        "The number of channels squared is missing in the denominator. A wide layer would outvote "
        "the others.",
    ),
    from_layer(
        "not_divided_by_positions",
        lambda f, t, w: w * quarter(f) * (f.flatten(2) @ f.flatten(2).mT - t).square().sum(),
        "Your Gram matrices are sums over the positions, the targets are means. Divide each by its "
        "own number of positions.",
    ),
    from_layer(
        "positions_twice",
        lambda f, t, w: w * right(f, t) / (f.shape[2] * f.shape[3]) ** 2,
        "You divided by the positions a second time. The Gram matrices are means over the "
        "positions already; only the channels are left.",
    ),
    from_layer(
        "absolute",
        lambda f, t, w: w * quarter(f) * gap(f, t).abs().sum(),
        "You added up absolute differences; the formula squares them.",
    ),
    from_layer(
        "root",
        lambda f, t, w: w * quarter(f) * gap(f, t).norm(),
        "You took the root of the sum of squares. The loss is the sum itself.",
    ),
    from_layer(
        "square_of_sum",
        lambda f, t, w: w * quarter(f) * gap(f, t).sum().square(),
        "You squared the sum of the differences, in which plus and minus cancel. Square each, then "
        "add.",
    ),
    from_layer(
        "weights_ignored",
        lambda f, t, w: right(f, t),
        "The weights of the layers are ignored.",
    ),
    Mistake(
        "weights_as_shares",
        lambda f, t, w: summed(lambda a, b, c: c * right(a, b))(f, t, w) / sum(w.values()),
        "You divided by the sum of the weights. They are factors as they stand: the caller has "
        "chosen how much the loss weighs.",
    ),
    from_layer(
        "weights_squared",
        lambda f, t, w: w**2 * right(f, t),
        "Each weight is squared: it belongs outside the square of the difference.",
    ),
    Mistake(
        "weights_by_order",
        by_order,
        "You took weights in the order in which they come. They belong to layers by name, and the "
        "dictionaries need not have one order.",
    ),
    Mistake(
        "mean_over_layers",
        lambda f, t, w: summed(lambda a, b, c: c * right(a, b))(f, t, w) / len(f),
        "You averaged over the layers; their losses are added.",
    ),
    Mistake(
        "last_layer_only",
        last_layer,
        "Only the last layer counts in your loss: each round overwrites the one before.",
    ),
    from_layer(
        "mean_over_images",
        lambda f, t, w: w * right(f, t) / len(f),
        "You averaged over the images of the batch. Their losses are added, so that each image "
        "has the same gradient alone and in company.",
    ),
    from_layer(
        "first_image_only",
        lambda f, t, w: w * right(f[:1], t[:1]),
        "Only the first image of a batch counts in your loss.",
    ),
    from_layer(
        "mean_squared_error",
        lambda f, t, w: 4 * w * right(f, t) / len(f),
        "You took the mean of the squared differences, as `mse_loss` does: the 4 is missing, and "
        "the images are averaged. Their losses are added.",
    ),
    from_layer(
        "one_gram_for_all",
        lambda f, t, w: w * quarter(f) * (product(f.flatten(2)).mean(0) - t).square().sum(),
        "You averaged the Gram matrices of the batch before comparing. Each image has its own and "
        "a loss of its own.",
    ),
    Mistake(
        "first_layer_only",
        first_layer,
        "Only the first layer counts in your loss. Look at where your `return` stands.",
    ),
    from_layer(
        "covariance",
        lambda f, t, w: w * right(f - f.mean((2, 3), keepdim=True), t),
        "You subtracted the channels' means before multiplying. The targets are Gram matrices of "
        "the responses as they are.",
    ),
)


# ------------------------------------------------------------------ pictures


def strokes_case() -> Case:
    """Sixteen channels of SqueezeNet's first layer on Van Gogh's leaves."""
    net = photos.network()
    x = net.normalize(texture.SAMPLES["leaves"].pixels())[None]
    return Case({"features": layers.activations(net, x, "relu1")[:, :16]}, "a painting")


register(
    Exercise(
        name="gram",
        lecture=LECTURE,
        title="Gram matrix",
        reference=texture.gram,
        cases=batches,
        mistakes=GRAM_MISTAKES,
        result="one matrix (C,C) for each image, so (N,C,C)",
        noun="matrix",
        axes=("image", "channel", "other channel"),
        hints=(
            "Lay the positions of each image out in a row: (N,C,H,W) becomes (N,C,M).",
            "The sum over positions of v v^T is one matrix product. What is multiplied with what, "
            "so that C x C comes out for each image?",
        ),
        picture=Picture(strokes_case, lambda r: r[0], False, "Gram matrices of a painting"),
    ),
    Exercise(
        name="style_loss",
        lecture=LECTURE,
        title="Style loss",
        reference=texture.style_loss,
        cases=losses,
        mistakes=STYLE_MISTAKES,
        result="one number for the whole batch, a tensor",
        noun="loss",
        hints=(
            "For one layer: the Gram matrix of the features, minus the target, squared, summed.",
            "What you divide by depends on the channels only: the matrix has that many squared "
            "entries.",
            "The sum over the layers asks each dictionary by the layer's name.",
        ),
    ),
)
