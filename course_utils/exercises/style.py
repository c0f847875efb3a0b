"""Lecture 15's exercises: the content loss, and the total loss of style transfer."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils import style
from course_utils.checking import drawing
from course_utils.checking.core import Case, Exercise, Mistake, register
from course_utils.common.optimise import total_variation
from course_utils.texture import gram

LECTURE = "15_style"

Maps = dict[str, Tensor]


def content_cases(seed: int) -> list[Case]:
    """One map for each channel, two images, and a layer of one channel; no square maps."""
    random = drawing.generator(seed, "content_loss")
    shapes = [(1, 4, 5, 3), (2, 3, 4, 6), (1, 2, 3, 7)]
    notes = ["one image", "two images", "a wide image"]
    found = []
    for shape, note in zip(shapes, notes, strict=True):
        maps = torch.randn(2, *shape, generator=random).relu()
        args = {"features": maps[0], "target": maps[1]}
        found.append(Case(args, note, repeat=shape[0] == 2, slopes=("features",)))
    return found


def total_cases(seed: int) -> list[Case]:
    """Two and three style layers; the content layer among them, or apart; two images at once."""
    random = drawing.generator(seed, "total_loss")
    layers = [("relu1", "relu3"), ("relu1", "relu2", "relu4"), ("relu2", "relu3")]
    notes = ["two style layers", "three style layers", "two images at once"]
    found = []
    for n, styles, note in zip((1, 1, 2), layers, notes, strict=True):
        x = torch.randn(n, 3, 6, 5, generator=random)
        names = list(dict.fromkeys([*styles, "relu3"]))
        seen, kept = ({k: maps(random, n, i) for i, k in enumerate(names)} for _ in range(2))
        # The painting has another size than the photo: its Gram matrices do not show it.
        painted = {k: maps(random, n, i, wider=4) for i, k in enumerate(names)}
        grams = {k: 2 * gram(painted[k]) for k in styles}
        numbers = (0.5 + torch.rand(len(styles) + 3, generator=random)).tolist()
        alpha, beta, gamma = numbers[0] / 2, 4 * numbers[1], 0.3 * numbers[2]
        args = {"x": x, "seen": seen, "photo": {"relu3": kept["relu3"]}, "grams": grams}
        args |= {"weights": dict(zip(styles, numbers[3:], strict=True))}
        args |= {"alpha": alpha, "beta": beta, "gamma": gamma}
        found.append(Case(args, note, repeat=len(styles) == 3, slopes=("x", "seen")))
    return found


def maps(random: torch.Generator, n: int, depth: int, wider: int = 0) -> Tensor:
    found = torch.randn(n, 3 + depth, 5 - depth + wider, 4 + wider, generator=random).relu()
    return found * torch.arange(1, n + 1)[:, None, None, None]  # a mixed Gram matrix is far off


# ------------------------------------------------------------------ the content loss, wrongly

CONTENT_MISTAKES = (
    Mistake(
        "mean",
        lambda features, target: (features - target).square().mean(),
        "You took the mean of the squared differences; the loss is their sum. A mean makes the "
        "weight alpha depend on how many units the layer has.",
    ),
    Mistake(
        "half",
        lambda features, target: (features - target).square().sum() / 2,
        "Your loss is half of ours. Some papers put a factor 1/2 before the sum of squares; the "
        "formula above has none.",
    ),
    Mistake(
        "norm",
        lambda features, target: (features - target).norm(),
        "You took the length of the difference; the loss is its *square*. The root would make the "
        "slope the same however far the picture is from its target.",
    ),
    Mistake(
        "absolute",
        lambda features, target: (features - target).abs().sum(),
        "You added absolute differences. The loss adds their squares, so that one large difference "
        "costs more than many small ones.",
    ),
    Mistake(
        "differences_cancel",
        lambda features, target: (features - target).sum().square(),
        "You added the differences and squared the sum, where plus and minus cancel. Square each "
        "difference first, then add.",
    ),
    Mistake(
        "squares_apart",
        lambda features, target: (features.square() - target.square()).sum().abs(),
        "You compared the squares of the two maps. Squared is the *difference* between them, unit "
        "by unit.",
    ),
    Mistake(
        "no_square",
        lambda features, target: (features - target).sum(),
        "The squares are missing: differences of either sign cancel in your sum, and the loss can "
        "fall below zero.",
    ),
    Mistake(
        "gram_compared",
        lambda features, target: (gram(features) - gram(target)).square().sum(),
        "You compared Gram matrices. They forget where things are, which is the style's business; "
        "the content is compared place by place.",
    ),
    Mistake(
        "positions_averaged",
        lambda features, target: (features.mean((2, 3)) - target.mean((2, 3))).square().sum(),
        "You averaged each map over its positions before comparing. That keeps which channels "
        "answer and loses where; the content is compared place by place.",
    ),
    Mistake(
        "mean_over_channels",
        lambda features, target: (features - target).square().mean(1).sum(),
        "You averaged over the channels. All units count alike: the sum runs over channels and "
        "positions.",
    ),
    Mistake(
        "per_position",
        lambda features, target: (features - target).square().sum() / features[0, 0].numel(),
        "Your sum is divided by the number of positions. That belongs to the Gram matrix, so that "
        "pictures of two sizes can be compared; here both have the same size.",
    ),
    Mistake(
        "first_image_only",
        lambda features, target: (features[0] - target[0]).square().sum(),
        "Only the first image of the batch counts in your loss. The sum runs over all of them.",
    ),
    Mistake(
        "per_image",
        lambda features, target: (features - target).square().sum((1, 2, 3)),
        "You return a number for each image. A loss is one number: add them up.",
    ),
    Mistake(
        "not_summed",
        lambda features, target: (features - target).square(),
        "You return the squared differences one by one. A loss is one number: their sum.",
    ),
)


# ------------------------------------------------------------------ the total loss, wrongly


def squares(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum()


def gram_sum(features: Tensor) -> Tensor:
    columns = features.flatten(2)
    return columns @ columns.mT


def content_of(seen: Maps, photo: Maps) -> Tensor:
    return sum(squares(seen[layer], target) for layer, target in photo.items())


def style_of(seen: Maps, grams: Maps, weights: dict, matrix: Callable = gram) -> Tensor:
    return sum(weights[layer] * squares(matrix(seen[layer]), g) for layer, g in grams.items())


def wrong_style(name: str, style_wrongly: Callable, sentence: str) -> Mistake:
    """A mistake in L_style alone: `style_wrongly(seen, grams, weights)`."""

    def mistake(x, seen, photo, grams, weights, alpha, beta, gamma):
        rest = alpha * content_of(seen, photo) + gamma * total_variation(x)
        return rest + beta * style_wrongly(seen, grams, weights)

    return Mistake(name, mistake, sentence)


def wrong_variation(name: str, variation: Callable, sentence: str) -> Mistake:
    """A mistake in L_TV alone: `variation(x)`."""

    def mistake(x, seen, photo, grams, weights, alpha, beta, gamma):
        rest = alpha * content_of(seen, photo) + beta * style_of(seen, grams, weights)
        return rest + gamma * variation(x)

    return Mistake(name, mistake, sentence)


def wrong_sum(name: str, join: Callable, sentence: str) -> Mistake:
    """Three right losses, put together wrongly: `join(content, style, tv, alpha, beta, gamma)`."""

    def mistake(x, seen, photo, grams, weights, alpha, beta, gamma):
        three = content_of(seen, photo), style_of(seen, grams, weights), total_variation(x)
        return join(*three, alpha, beta, gamma)

    return Mistake(name, mistake, sentence)


def steps_down(x: Tensor) -> Tensor:
    return x[..., 1:, :-1] - x[..., :-1, :-1]


def steps_across(x: Tensor) -> Tensor:
    return x[..., :-1, 1:] - x[..., :-1, :-1]


def mixed_gram(features: Tensor) -> Tensor:
    columns = features.movedim(1, 0).flatten(1)
    return (columns @ columns.T / columns.shape[1])[None].expand(len(features), -1, -1)


def _last(seen: Maps, grams: Maps, weights: dict) -> Tensor:
    layer = list(grams)[-1]
    return style_of(seen, {layer: grams[layer]}, weights)


def _first(seen: Maps, grams: Maps, weights: dict) -> Tensor:
    layer = next(iter(grams))
    return style_of(seen, {layer: grams[layer]}, weights)


def _weighted_twice(seen: Maps, grams: Maps, weights: dict) -> Tensor:
    return style_of(seen, grams, {layer: w**2 for layer, w in weights.items()})


def _style_layers_as_content(x, seen, photo, grams, weights, alpha, beta, gamma):
    layer = next(iter(photo))
    mean = {name: gram(photo[layer]) if name == layer else g for name, g in grams.items()}
    rest = alpha * content_of(seen, photo) + gamma * total_variation(x)
    return rest + beta * style_of(seen, mean, weights)


TOTAL_MISTAKES = (
    wrong_style(
        "no_layer_weights",
        lambda seen, grams, weights: style_of(seen, grams, dict.fromkeys(grams, 1.0)),
        "The weights w_l are missing in the style loss: every layer counts alike, so the one with "
        "the largest activations rules.",
    ),
    wrong_style(
        "weights_squared",
        _weighted_twice,
        "Your w_l are squared: you put them inside the norm. They multiply each layer's finished "
        "squared distance.",
    ),
    wrong_style(
        "mean_over_layers",
        lambda seen, grams, weights: style_of(seen, grams, weights) / len(grams),
        "You divided the style loss by the number of layers. The w_l say already how much each "
        "layer counts.",
    ),
    wrong_style(
        "gram_not_divided",
        lambda seen, grams, weights: style_of(seen, grams, weights, gram_sum),
        "Your Gram matrix is a sum over the positions; G' is a mean. Divide by the number of "
        "positions, or pictures of two sizes cannot be compared.",
    ),
    wrong_style(
        "gram_divided_by_all",
        lambda seen, grams, weights: style_of(seen, grams, weights, lambda f: gram(f) / f.shape[1]),
        "You divided the Gram matrix by channels *and* positions. It is the mean over positions "
        "only, as G' is.",
    ),
    wrong_style(
        "gram_over_the_batch",
        lambda seen, grams, weights: style_of(seen, grams, weights, mixed_gram),
        "Your Gram matrix mixes the images of the batch. Each image has its own, (N,C,C) in all.",
    ),
    wrong_style(
        "style_mean",
        lambda seen, grams, weights: sum(
            weights[k] * (gram(seen[k]) - g).square().mean() for k, g in grams.items()
        ),
        "You averaged over the entries of the Gram matrices. The style loss adds their squared "
        "differences.",
    ),
    wrong_style(
        "style_norm",
        lambda seen, grams, weights: sum(
            weights[k] * (gram(seen[k]) - g).norm() for k, g in grams.items()
        ),
        "You took the length of the differences between Gram matrices. The style loss takes the "
        "*squared* length.",
    ),
    wrong_style(
        "last_layer_only",
        _last,
        "Only the last style layer is in your loss: each round of the loop overwrites the one "
        "before.",
    ),
    wrong_style(
        "first_layer_only",
        _first,
        "Only the first style layer is in your loss. Look at what leaves the loop early.",
    ),
    Mistake(
        "style_of_the_photo",
        _style_layers_as_content,
        "At the content layer you compare with the photo's Gram matrix. The style is the "
        "painting's in every layer: G' comes from `grams`.",
    ),
    wrong_sum(
        "alpha_and_beta_swapped",
        lambda content, style, tv, alpha, beta, gamma: beta * content + alpha * style + gamma * tv,
        "alpha and beta have changed places: alpha belongs to the content, beta to the style.",
    ),
    wrong_sum(
        "no_weights",
        lambda content, style, tv, alpha, beta, gamma: content + style + tv,
        "You added the three losses without alpha, beta and gamma. Their sizes have nothing to do "
        "with each other, so the largest would decide alone.",
    ),
    wrong_sum(
        "no_variation",
        lambda content, style, tv, alpha, beta, gamma: alpha * content + beta * style,
        "The total variation is missing: the third term, which keeps neighbouring pixels alike.",
    ),
    wrong_sum(
        "no_content",
        lambda content, style, tv, alpha, beta, gamma: beta * style + gamma * tv,
        "The content is missing: nothing in your loss knows the photo.",
    ),
    wrong_sum(
        "no_style",
        lambda content, style, tv, alpha, beta, gamma: alpha * content + gamma * tv,
        "The style is missing: nothing in your loss knows the painting.",
    ),
    wrong_sum(
        "minus_variation",
        lambda content, style, tv, alpha, beta, gamma: alpha * content + beta * style - gamma * tv,
        "You subtract the total variation. A loss is made small, and it is roughness that should "
        "become small: it is added.",
    ),
    wrong_sum(
        "half_content",
        lambda content, style, tv, a, b, c: a * content / 2 + b * style + c * tv,
        "Your content loss is half of ours. Some papers have a factor 1/2; the formula above has "
        "none.",
    ),
    wrong_variation(
        "variation_not_squared",
        lambda x: steps_down(x).abs().sum() + steps_across(x).abs().sum(),
        "You added the absolute differences of neighbouring pixels. This total variation adds "
        "their squares.",
    ),
    wrong_variation(
        "variation_mean",
        lambda x: (steps_down(x).square() + steps_across(x).square()).mean(),
        "You averaged the squared differences of neighbouring pixels; the total variation is their "
        "sum.",
    ),
    wrong_variation(
        "variation_down_only",
        lambda x: steps_down(x).square().sum(),
        "Your total variation compares pixels with the one below only. It needs the one to the "
        "right as well.",
    ),
    wrong_variation(
        "variation_across_only",
        lambda x: steps_across(x).square().sum(),
        "Your total variation compares pixels with the one to the right only. It needs the one "
        "below as well.",
    ),
    wrong_variation(
        "variation_with_border",
        lambda x: x.diff(dim=-2).square().sum() + x.diff(dim=-1).square().sum(),
        "Your total variation counts the last row and column too. The formula takes only pixels "
        "that have both neighbours, one below and one to the right.",
    ),
)

register(
    Exercise(
        name="content_loss",
        lecture=LECTURE,
        title="Content loss",
        reference=style.content_loss,
        cases=content_cases,
        mistakes=CONTENT_MISTAKES,
        result="one number, a tensor",
        noun="loss",
        hints=(
            "Unit by unit: what is there, minus what should be there. Which operation makes both "
            "signs count?",
            "||A||^2 is the sum of the squares of all entries, along every axis.",
        ),
    ),
    Exercise(
        name="total_loss",
        lecture=LECTURE,
        title="Total loss",
        reference=style.total_loss,
        cases=total_cases,
        mistakes=TOTAL_MISTAKES,
        result="one number, a tensor",
        noun="loss",
        hints=(
            "Three numbers first: content, style, total variation. The weighted sum comes last.",
            "The style loss is a sum over the layers of `grams`: one Gram matrix of `seen` for "
            "each, compared with the painting's, times its weight.",
            "F = seen[layer].flatten(2) is (N,C,M). What is F F^T divided by M, image by image?",
        ),
    ),
)
