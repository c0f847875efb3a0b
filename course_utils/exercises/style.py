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
    """Two and three style layers; the content layer among them, or apart; each term alone."""
    random = drawing.generator(seed, "total_loss")
    alone = {"alpha": "content alone", "beta": "style alone", "gamma": "total variation alone"}
    # Each term alone comes first: words about a loss that is off name the first that fails.
    notes = [f"the {term} (the other weights are 0)" for term in alone.values()]
    plans = [(2, ("relu2", "relu3"), "relu3", note) for note in notes]
    plans += [
        (1, ("relu1", "relu3"), "relu3", "two style layers"),
        (1, ("relu1", "relu2", "relu4"), "relu3", "three style layers"),
        (2, ("relu2", "relu3"), "relu2", "two images at once"),
    ]
    found = []
    for n, styles, content, note in plans:
        args = transfer(random, n, styles, content, turned=len(found) % 2 == 0)
        only = [key for key, term in alone.items() if term in note] or alone
        args |= {key: args[key] if key in only else 0.0 for key in alone}
        found.append(Case(args, note, repeat=len(styles) == 3, slopes=("x", "seen")))
    return found


def transfer(
    random: torch.Generator, n: int, styles: tuple[str, ...], content: str, turned: bool
) -> dict[str, object]:
    """The arguments of one call. The dicts have unlike orders: layers go by name, not by place.

    `turned`: `seen` begins with the deepest layer, and the first style layer weighs most.
    """
    x, names = torch.randn(n, 3, 6, 5, generator=random), sorted({*styles, content})
    seen, kept = ({k: maps(random, n, i) for i, k in enumerate(names)} for _ in range(2))
    # The painting has another size than the photo: its Gram matrices do not show it.
    painted = {k: maps(random, n, i, wider=4) for i, k in enumerate(names)}
    grams = {k: 2 * gram(painted[k]) for k in styles}
    a, b, c, *drawn = (0.5 + torch.rand(len(styles) + 3, generator=random)).tolist()
    # Far apart: weights that stand with the wrong layers are off in each case.
    powers = sorted((3**i for i in range(len(styles))), reverse=turned)
    weights = {k: w * p for k, w, p in zip(styles, drawn, powers, strict=True)}
    seen = {k: seen[k] for k in sorted(seen, reverse=turned)}
    args = {"x": x, "seen": seen, "photo": {content: kept[content]}, "grams": grams}
    args |= {"weights": dict(reversed(weights.items()))}
    return args | {"alpha": a / 2, "beta": 4 * b, "gamma": 0.3 * c}


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
        "mean_over_images",
        lambda features, target: (features - target).square().sum() / len(features),
        "You divided by the number of images. The sum runs over all of them, so that each has the "
        "same gradient alone and in company.",
    ),
    Mistake(
        "normalised",
        lambda features, target: (features - target).square().sum() / target.square().sum(),
        "You divided by the photo's own squared norm, as in lecture 13. This loss is the squared "
        "distance as it is; its weight takes care of the size.",
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


def wrong_content(name: str, content: Callable, sentence: str) -> Mistake:
    """A mistake in L_content alone: `content(features, target)` of its layer."""

    def mistake(x, seen, photo, grams, weights, alpha, beta, gamma):
        rest = beta * style_of(seen, grams, weights) + gamma * total_variation(x)
        return rest + alpha * sum(content(seen[k], target) for k, target in photo.items())

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


def first(maps: Maps) -> Maps:
    """The first image's part of each tensor."""
    return {layer: part[:1] for layer, part in maps.items()}


TOTAL_MISTAKES = (
    wrong_style(
        "no_layer_weights",
        lambda seen, grams, weights: style_of(seen, grams, dict.fromkeys(grams, 1.0)),
        "The weights w_l are missing in the style loss, or have no effect: every layer counts "
        "alike, so the one with the largest activations rules.",
    ),
    wrong_style(
        "weights_squared",
        _weighted_twice,
        "Your w_l count squared, as if they stood inside the norm. They multiply each layer's "
        "finished squared distance.",
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
        "lecture_14",
        lambda seen, grams, weights: sum(
            weights[k] * squares(gram(seen[k]), g) / (4 * g.shape[-1] ** 2)
            for k, g in grams.items()
        ),
        "Your style loss has lecture 14's factor, 1 over 4 K^2. The formula here has none: the w_l "
        "take care of the layers' sizes.",
    ),
    wrong_style(
        "quarter",
        lambda seen, grams, weights: style_of(seen, grams, weights) / 4,
        "Your style loss is a quarter of ours. Some papers have that factor; the formula above has "
        "none.",
    ),
    wrong_style(
        "half_style",
        lambda seen, grams, weights: style_of(seen, grams, weights) / 2,
        "Your style loss is half of ours. The formula above has no factor 1/2.",
    ),
    wrong_style(
        "style_over_channels",
        lambda seen, grams, weights: sum(
            weights[k] * squares(gram(seen[k]), g) / g.shape[-1] for k, g in grams.items()
        ),
        "You divided each layer's style loss by its number of channels. The formula here does not: "
        "the w_l take care of the layers' sizes.",
    ),
    wrong_style(
        "style_per_entry",
        lambda seen, grams, weights: sum(
            weights[k] * squares(gram(seen[k]), g) / g.shape[-1] ** 2 for k, g in grams.items()
        ),
        "You divided each layer's style loss by the number of its matrix' entries. The style loss "
        "adds their squared differences, and the w_l take care of the sizes.",
    ),
    wrong_style(
        "style_mean_over_images",
        lambda seen, grams, weights: (
            style_of(seen, grams, weights) / len(next(iter(seen.values())))
        ),
        "You averaged the style loss over the images. Their losses are added.",
    ),
    wrong_style(
        "style_first_image",
        lambda seen, grams, weights: style_of(
            {k: f[:1] for k, f in seen.items()}, {k: g[:1] for k, g in grams.items()}, weights
        ),
        "Only the first image has a style loss. The sum runs over all images of the batch.",
    ),
    wrong_style(
        "style_absolute",
        lambda seen, grams, weights: sum(
            weights[k] * (gram(seen[k]) - g).abs().sum() for k, g in grams.items()
        ),
        "You added absolute differences of Gram matrices. The style loss adds their squares.",
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
        "Only the last style layer is in your loss, as if each round of the loop overwrote the one "
        "before.",
    ),
    wrong_style(
        "first_layer_only",
        _first,
        "Only the first style layer is in your loss, as if the loop ended after its first round.",
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
        "beta_and_gamma_swapped",
        lambda content, style, tv, alpha, beta, gamma: alpha * content + gamma * style + beta * tv,
        "beta and gamma have changed places: beta belongs to the style, gamma to the total "
        "variation.",
    ),
    wrong_sum(
        "alpha_and_gamma_swapped",
        lambda content, style, tv, alpha, beta, gamma: gamma * content + beta * style + alpha * tv,
        "alpha and gamma have changed places: alpha belongs to the content, gamma to the total "
        "variation.",
    ),
    wrong_sum(
        "gamma_forgotten",
        lambda content, style, tv, alpha, beta, gamma: alpha * content + beta * style + tv,
        "The total variation has no weight in your sum: gamma has no effect.",
    ),
    wrong_sum(
        "minus_content",
        lambda content, style, tv, alpha, beta, gamma: -alpha * content + beta * style + gamma * tv,
        "You subtract the content loss. A loss is made small, so your picture would run away from "
        "the photo.",
    ),
    wrong_content(
        "content_mean",
        lambda features, target: (features - target).square().mean(),
        "Your content loss is a mean. As in exercise 1 it is the sum of the squared differences: "
        "how large that is belongs to alpha.",
    ),
    wrong_content(
        "content_norm",
        lambda features, target: (features - target).norm(),
        "Your content loss is the length of the difference; asked for is its *square*.",
    ),
    wrong_content(
        "content_absolute",
        lambda features, target: (features - target).abs().sum(),
        "Your content loss adds absolute differences. It adds their squares.",
    ),
    wrong_content(
        "content_normalised",
        lambda features, target: squares(features, target) / target.square().sum(),
        "Your content loss is divided by the photo's own squared norm, as in lecture 13. Here it "
        "is the squared distance as it is.",
    ),
    wrong_content(
        "content_first_image",
        lambda features, target: squares(features[:1], target[:1]),
        "Only the first image has a content loss. The sum runs over all images of the batch.",
    ),
    wrong_content(
        "content_mean_over_images",
        lambda features, target: squares(features, target) / len(features),
        "You averaged the content loss over the images. Their losses are added.",
    ),
    wrong_content(
        "content_per_position",
        lambda features, target: squares(features, target) / features[0, 0].numel(),
        "Your content loss is divided by the number of positions. That belongs to the Gram matrix; "
        "the content loss is a plain sum.",
    ),
    wrong_content(
        "content_of_grams",
        lambda features, target: squares(gram(features), gram(target)),
        "Your content term compares Gram matrices, which forget where things are. The content is "
        "compared place by place.",
    ),
    Mistake(
        "first_image_of_all",
        lambda x, seen, photo, grams, weights, *factors: style.total_loss(
            *(x[:1], first(seen), first(photo), first(grams), weights), *factors
        ),
        "Only the first image of the batch is in your loss. All three terms run over all images.",
    ),
    Mistake(
        "mean_over_images",
        lambda x, *rest: style.total_loss(x, *rest) / len(x),
        "You divided the loss by the number of images. The losses of a batch are added, so that "
        "each image has the same gradient alone and in company.",
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
        "The total variation is missing, or has no effect: the third term, which keeps "
        "neighbouring pixels alike.",
    ),
    wrong_sum(
        "no_content",
        lambda content, style, tv, alpha, beta, gamma: beta * style + gamma * tv,
        "The content is missing, or has no effect: your loss is the same for every photo.",
    ),
    wrong_sum(
        "no_style",
        lambda content, style, tv, alpha, beta, gamma: alpha * content + gamma * tv,
        "The style is missing, or has no effect: your loss is the same for every painting.",
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
        "variation_root",
        lambda x: (steps_down(x).square() + steps_across(x).square()).sqrt().sum(),
        "Your total variation adds lengths (beta = 1). This one adds the squares, beta = 2.",
    ),
    wrong_variation(
        "variation_half",
        lambda x: total_variation(x) / 2,
        "Your total variation is half of ours: each pair of neighbours counts once, with nothing "
        "before it.",
    ),
    wrong_variation(
        "variation_of_sizes_with_border",
        lambda x: x.diff(dim=-2).abs().sum() + x.diff(dim=-1).abs().sum(),
        "Your total variation adds the sizes of all differences, of the last row and column too. "
        "It adds squares, at the pixels that have both neighbours.",
    ),
    wrong_variation(
        "variation_first_image",
        lambda x: total_variation(x[:1]),
        "Only the first image has a total variation. The sum runs over all images of the batch.",
    ),
    wrong_variation(
        "variation_mean_over_images",
        lambda x: total_variation(x) / len(x),
        "You averaged the total variation over the images. It is a sum, as the other two are.",
    ),
    wrong_variation(
        "variation_with_border",
        lambda x: x.diff(dim=-2).square().sum() + x.diff(dim=-1).square().sum(),
        "Your total variation counts the last row and column too. The formula takes only pixels "
        "that have both neighbours, one below and one to the right.",
    ),
    wrong_variation(
        "variation_wrapped",
        lambda x: sum((x - x.roll(-1, axis)).square().sum() for axis in (2, 3)),
        "Your total variation compares the last row with the first, and the last column with the "
        "first: `roll` goes around. They are no neighbours.",
    ),
    wrong_variation(
        "variation_diagonal",
        lambda x: (steps_down(x) + steps_across(x)).square().sum(),
        "You added the two steps of a pixel before squaring, and one up cancels one down. Square "
        "each, then add.",
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
