"""Lecture 16's exercises: instance norm, one training step."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import fast_style, images
from course_utils.checking import drawing, networks
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register
from course_utils.texture import gram

LECTURE = "16_fast_style"


# ------------------------------------------------------------------ instance norm


def norm_cases(seed: int) -> list[Case]:
    """Channels of other means and contrasts in every image; an eps that is not negligible."""
    random = drawing.generator(seed, "instance_norm")
    shapes = [(1, 2, 2, 3), (2, 4, 3, 6), (3, 2, 4, 5)]
    notes = ["a single image", "a batch of two images", "a batch of three images"]
    found = []
    for (n, channels, height, width), note in zip(shapes, notes, strict=True):
        contrast = 0.3 + 1.2 * torch.rand(n, channels, 1, 1, generator=random)
        contrast[-1, -1] = 0.1  # its variance is smaller than eps
        mean = 2 * torch.randn(n, channels, 1, 1, generator=random)
        x = mean + contrast * torch.randn(n, channels, height, width, generator=random)
        scale = 0.5 + torch.rand(channels, generator=random)
        shift = torch.randn(channels, generator=random)
        args = {"x": x, "scale": scale, "shift": shift, "eps": 0.05}
        found.append(Case(args, note, repeat=n == 2))
    return found


def normed(axes: tuple[int, ...]) -> Callable[[Tensor, float], Tensor]:
    """(x - mean) / sqrt(variance + eps), mean and variance over the given axes."""

    def norm(x: Tensor, eps: float) -> Tensor:
        variance = x.var(axes, correction=0, keepdim=True)
        return (x - x.mean(axes, keepdim=True)) / (variance + eps).sqrt()

    return norm


def with_norm(name: str, norm: Callable[[Tensor, float], Tensor], sentence: str) -> Mistake:
    """A mistake in the normalisation; scale and shift are right."""

    def function(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        return norm(x, eps) * scale[:, None, None] + shift[:, None, None]

    return Mistake(name, function, sentence)


def with_affine(
    name: str, affine: Callable[[Tensor, Tensor, Tensor], Tensor], sentence: str
) -> Mistake:
    """A mistake after the normalisation."""

    def function(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        return affine(normed((2, 3))(x, eps), scale[:, None, None], shift[:, None, None])

    return Mistake(name, function, sentence)


def centred(x: Tensor) -> Tensor:
    return x - x.mean((2, 3), keepdim=True)


def variance(x: Tensor, correction: int = 0) -> Tensor:
    return x.var((2, 3), correction=correction, keepdim=True)


def centred_by(x: Tensor, other: Tensor, eps: float) -> Tensor:
    """Normalised by the mean and variance of another batch's channels."""
    return (x - other.mean((2, 3), keepdim=True)) / (variance(other) + eps).sqrt()


NORM_MISTAKES = (
    with_norm(
        "batch_norm",
        normed((0, 2, 3)),
        "Your mean and variance are taken over the whole batch: that is batch norm. In instance "
        "norm no image may notice which others came with it.",
    ),
    with_norm(
        "layer_norm",
        normed((1, 2, 3)),
        "Your mean and variance are taken over all channels of an image together (layer norm). "
        "Here every channel is normalised on its own.",
    ),
    with_norm(
        "over_channels",
        normed((1,)),
        "You normalised across the channels at each position. Mean and variance are those of one "
        "channel, over all its positions.",
    ),
    with_norm(
        "rows_only",
        normed((3,)),
        "You normalised every row on its own. The positions are two axes, rows and columns, and "
        "the mean is over both.",
    ),
    with_norm(
        "no_root",
        lambda x, eps: centred(x) / (variance(x) + eps),
        "You divided by the variance. Its square root is the spread; only then does the result "
        "have variance 1.",
    ),
    with_norm(
        "no_mean",
        lambda x, eps: x / (variance(x) + eps).sqrt(),
        "The mean is still in: you divided by the spread without centring first.",
    ),
    with_norm(
        "no_spread",
        lambda x, eps: centred(x),
        "You subtracted the mean, but the contrast is still the photo's own. It goes when you "
        "divide by the spread.",
    ),
    with_norm(
        "eps_outside",
        lambda x, eps: centred(x) / (variance(x).sqrt() + eps),
        "You added `eps` after the root. It belongs to the variance, under the root.",
    ),
    with_norm(
        "no_eps",
        lambda x, eps: centred(x) / variance(x).sqrt(),
        "The argument `eps` has no effect. Without any, a channel without contrast is divided by "
        "zero; and PyTorch's own `instance_norm` takes 1e-5 unless you hand it on.",
    ),
    with_norm(
        "unbiased",
        lambda x, eps: centred(x) / (variance(x, 1) + eps).sqrt(),
        "Your variance divides by the number of positions minus one, which is PyTorch's default. "
        "Here it is the plain mean of the squares.",
    ),
    with_norm(
        "range",
        lambda x, eps: (
            (x - x.amin((2, 3), keepdim=True))
            / (x.amax((2, 3), keepdim=True) - x.amin((2, 3), keepdim=True) + eps)
        ),
        "You stretched each channel from its smallest to its largest value. One outlier would "
        "rule that; use mean and variance.",
    ),
    with_norm(
        "deviation_plus_eps",
        lambda x, eps: centred(x) / (variance(x, 1).sqrt() + eps),
        "Two things at `std`: PyTorch's divides by the number of positions minus one, and `eps` "
        "belongs to the variance, under the root.",
    ),
    with_norm(
        "unbiased_without_eps",
        lambda x, eps: centred(x) / variance(x, 1).sqrt(),
        "Two things at the spread: `eps` has no effect, and PyTorch's `std` and `var` divide by "
        "the number of positions minus one.",
    ),
    with_norm(
        "one_for_all",
        normed((0, 1, 2, 3)),
        "You took one mean and one variance of all numbers together. Every channel of every image "
        "has its own.",
    ),
    with_norm(
        "one_for_all_unbiased",
        lambda x, eps: (x - x.mean()) / (x.var() + eps).sqrt(),
        "You took one mean and one (unbiased) variance of all numbers. Every channel of every "
        "image has its own, over its positions.",
    ),
    with_norm(
        "one_for_all_std",
        lambda x, eps: (x - x.mean()) / (x.std() + eps),
        "You took one mean and one `std` of all numbers together. Every channel of every image has "
        "its own; and `eps` belongs under the root.",
    ),
    with_norm(
        "global_mean",
        lambda x, eps: (x - x.mean()) / (variance(x) + eps).sqrt(),
        "You subtracted one mean of all numbers. The variance is that of each channel, and so must "
        "the mean be.",
    ),
    with_norm(
        "batch_mean",
        lambda x, eps: (x - x.mean((0, 2, 3), keepdim=True)) / (variance(x) + eps).sqrt(),
        "Your mean is taken over the whole batch. Like the variance it is that of one channel of "
        "one image.",
    ),
    with_norm(
        "batch_norm_unbiased",
        lambda x, eps: (
            (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True) + eps).sqrt()
        ),
        "Your mean and (unbiased) variance are taken over the whole batch: that is batch norm. No "
        "image may notice which others came with it.",
    ),
    with_norm(
        "layer_norm_unbiased",
        lambda x, eps: (
            (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), keepdim=True) + eps).sqrt()
        ),
        "Your mean and (unbiased) variance are taken over all channels of an image (layer norm). "
        "Every channel is normalised on its own.",
    ),
    with_norm(
        "first_image",
        lambda x, eps: centred_by(x, x[:1], eps),
        "Every image is normalised by the mean and variance of the first one. Each has its own.",
    ),
    with_norm(
        "columns_only",
        normed((2,)),
        "You normalised every column on its own. The positions are two axes, rows and columns, and "
        "the mean is over both.",
    ),
    with_norm(
        "not_centred_square",
        lambda x, eps: centred(x) / (x.square().mean((2, 3), keepdim=True) + eps).sqrt(),
        "You divided by the root of the mean square of the values. The variance is that of the "
        "values *less their mean*.",
    ),
    with_norm(
        "mean_deviation",
        lambda x, eps: centred(x) / (centred(x).abs().mean((2, 3), keepdim=True) + eps),
        "You divided by the mean of the absolute deviations. Variance 1 takes the root of the mean "
        "of the *squares*.",
    ),
    with_norm(
        "euclidean_norm",
        lambda x, eps: centred(x) / (centred(x).square().sum((2, 3), keepdim=True) + eps).sqrt(),
        "You divided by the root of the *sum* of squares, so the contrast shrinks with the size of "
        "the picture. The variance is their mean.",
    ),
    with_norm(
        "eps_as_floor",
        lambda x, eps: centred(x) / variance(x).clamp(min=eps).sqrt(),
        "`eps` is a lower bound in yours, and most channels do not notice it. It is *added* to the "
        "variance.",
    ),
    with_norm(
        "eps_subtracted",
        lambda x, eps: centred(x) / (variance(x) - eps).abs().sqrt(),
        "You subtracted `eps`. It is added to the variance, so that nothing is divided by zero.",
    ),
    with_affine(
        "minus_shift",
        lambda x, scale, shift: x * scale - shift,
        "You subtracted the shift. It is added.",
    ),
    with_affine(
        "divided_by_scale",
        lambda x, scale, shift: x / scale + shift,
        "You divided by the scale. Every normalised channel is multiplied by it.",
    ),
    with_affine(
        "scale_plus_one",
        lambda x, scale, shift: x * (1 + scale) + shift,
        "You multiplied by 1 + scale. Some networks learn it that way; here it is the scale "
        "itself.",
    ),
    Mistake(
        "affine_first",
        lambda x, scale, shift, eps: normed((2, 3))(
            x * scale[:, None, None] + shift[:, None, None], eps
        ),
        "You scaled and shifted *before* normalising, which takes both out again. They come after.",
    ),
    with_affine(
        "no_affine",
        lambda x, scale, shift: x,
        "`scale` and `shift` have no effect: the network could then never give a channel a "
        "contrast or a brightness of its own choice.",
    ),
    with_affine(
        "no_shift",
        lambda x, scale, shift: x * scale,
        "`shift` is missing, or has no effect: after the scaling it is added to every channel.",
    ),
    with_affine(
        "no_scale",
        lambda x, scale, shift: x + shift,
        "`scale` is missing, or has no effect: every normalised channel is multiplied by its own.",
    ),
    with_affine(
        "scaled_and_shifted_twice",
        lambda x, scale, shift: (x * scale + shift) * scale + shift,
        "You scale and shift twice: `weight` and `bias` of PyTorch's functions do it already.",
    ),
    with_affine(
        "shift_first",
        lambda x, scale, shift: (x + shift) * scale,
        "You added the shift before scaling. First the scale, then the shift.",
    ),
    with_affine(
        "swapped",
        lambda x, scale, shift: x * shift + scale,
        "`scale` and `shift` have changed places: the first multiplies, the second is added.",
    ),
)


def faded_photo() -> Case:
    """A pale photo as three channels, to be given contrast."""
    pixels = fast_style.fade(images.photo("panda").pixels(224), 0.3)
    ones = torch.ones(3)
    return Case({"x": pixels[None], "scale": ones, "shift": 0 * ones, "eps": 1e-5}, "a photo")


def green(result: Tensor) -> Tensor:
    return result[0, 1]


# ------------------------------------------------------------------ one training step


def step_cases(seed: int) -> list[Case]:
    """One, two and three images; content and style weigh alike, and the step is a large one."""
    random = drawing.generator(seed, "training_step")
    shapes = [(1, 8, 7), (2, 6, 9), (3, 9, 6)]
    notes = ["a single image", "a batch of two images", "a batch of three images"]
    return [
        Case(
            step_arguments(random, shape, size),
            f"{note} with a {size} x {size} kernel",
            repeat=n == 1,
        )
        for n, (shape, note, size) in enumerate(zip(shapes, notes, (3, 7, 5), strict=True))
    ]


def step_arguments(
    random: torch.Generator, shape: tuple[int, int, int], size: int
) -> dict[str, object]:
    """A network, weights, images, a Gram matrix, beta and a rate; no ReLU near its kink."""
    while True:
        spec = drawing.network(random)
        model = networks.build(spec)
        photos, painting = (drawing.images(random, spec, n, *shape[1:]) for n in (shape[0], 1))
        weights = 0.45 / size * torch.randn(3, 3, size, size, generator=random)
        weights[range(3), range(3), size // 2, size // 2] += 1
        painted = functional.conv2d(photos, weights, padding=size // 2)
        if networks.margin(model, painted) > drawing.MARGIN:
            break
    target = gram(model.features(3 * painting))[0]
    content, style = (
        gradient(part, model, weights, photos, target, 1.0) for part in (content_only, style_only)
    )
    beta = round((content.norm() / style.norm()).item(), 4)
    slope = gradient(loss_of, model, weights, photos, target, beta)
    rate = float(f"{0.5 / slope.abs().max().item():.3g}")
    args = {"model": spec, "weights": weights, "photos": photos, "target": target}
    return args | {"style_weight": beta, "rate": rate}


Loss = Callable[[nn.Module, Tensor, Tensor, Tensor, float], Tensor]
"""model, painted, photos, target, beta -> one number."""


def content_of(model: nn.Module, painted: Tensor, photos: Tensor) -> Tensor:
    return (model.features(painted) - model.features(photos)).square().mean()


def style_of(model: nn.Module, painted: Tensor, target: Tensor) -> Tensor:
    """||G - target||^2 of each image."""
    return (gram(model.features(painted)) - target).square().sum((1, 2))


def loss_of(model, painted, photos, target, beta):
    return content_of(model, painted, photos) + beta * style_of(model, painted, target).mean()


def content_only(model, painted, photos, target, beta):
    return content_of(model, painted, photos)


def style_only(model, painted, photos, target, beta):
    return beta * style_of(model, painted, target).mean()


def gradient(loss: Loss, model, weights, photos, target, beta) -> Tensor:
    return slope_and_loss(loss, model, weights, photos, target, beta)[0]


def slope_and_loss(loss: Loss, model, weights, photos, target, beta) -> tuple[Tensor, float]:
    weights = weights.detach().clone().requires_grad_()
    painted = functional.conv2d(photos, weights, padding=weights.shape[-1] // 2)
    value = loss(model, painted, photos, target, beta)
    return torch.autograd.grad(value, weights)[0], value.item()


def with_loss(name: str, loss: Loss, sentence: str) -> Mistake:
    """Descends another loss."""

    def function(model, weights, photos, target, style_weight, rate):
        slope, value = slope_and_loss(loss, model, weights, photos, target, style_weight)
        return weights - rate * slope, value

    return Mistake(name, function, sentence)


def with_update(
    name: str, update: Callable[[Tensor, Tensor, float], Tensor], sentence: str
) -> Mistake:
    """Has the right gradient and loss, and does something else to the weights."""

    def function(model, weights, photos, target, style_weight, rate):
        slope, value = slope_and_loss(loss_of, model, weights, photos, target, style_weight)
        return update(weights, slope, rate), value

    return Mistake(name, function, sentence)


def loss_after(model, weights, photos, target, style_weight, rate):
    slope, _ = slope_and_loss(loss_of, model, weights, photos, target, style_weight)
    moved = weights - rate * slope
    return moved, slope_and_loss(loss_of, model, moved, photos, target, style_weight)[1]


def undivided(model, painted, photos, target, beta):
    columns = model.features(painted).flatten(2)
    style = (columns @ columns.mT - target).square().sum((1, 2)).mean()
    return content_of(model, painted, photos) + beta * style


def one_gram(model, painted, photos, target, beta):
    mean = gram(model.features(painted)).mean(0)
    return content_of(model, painted, photos) + beta * (mean - target).square().sum()


def mean_of_entries(model, painted, photos, target, beta):
    style = style_of(model, painted, target).mean() / target.numel()
    return content_of(model, painted, photos) + beta * style


def sum_of_images(model, painted, photos, target, beta):
    return content_of(model, painted, photos) + beta * style_of(model, painted, target).sum()


def summed_content(model, painted, photos, target, beta):
    gap = (model.features(painted) - model.features(photos)).square().sum()
    return gap + style_only(model, painted, photos, target, beta)


def pixel_content(model, painted, photos, target, beta):
    return (painted - photos).square().mean() + style_only(model, painted, photos, target, beta)


def style_of_photos(model, painted, photos, target, beta):
    return content_of(model, painted, photos) + beta * style_of(model, photos, target).mean()


def weight_on_content(model, painted, photos, target, beta):
    style = style_of(model, painted, target).mean()
    return beta * content_of(model, painted, photos) + style


STEP_MISTAKES = (
    with_update(
        "ascent",
        lambda weights, slope, rate: weights + rate * slope,
        "Your weights climb the loss. The gradient points uphill: subtract it.",
    ),
    with_update(
        "gradient_returned",
        lambda weights, slope, rate: slope,
        "You return the gradient. The step is still missing: new weights are the old ones, less "
        "the rate times the gradient.",
    ),
    with_update(
        "change_returned",
        lambda weights, slope, rate: -rate * slope,
        "You return the change of the weights, not the weights after it.",
    ),
    with_update(
        "not_moved",
        lambda weights, slope, rate: weights.clone(),
        "The weights come back as they went in: the loss is right, but no step is taken.",
    ),
    with_update(
        "no_rate",
        lambda weights, slope, rate: weights - slope,
        "`rate` has no effect: the step is the whole gradient.",
    ),
    with_update(
        "sign",
        lambda weights, slope, rate: weights - rate * slope.sign(),
        "Every weight moves equally far, as with the sign of the gradient (one step of Adam does "
        "the same). In gradient descent a steep one moves more.",
    ),
    with_loss(
        "content_only",
        content_only,
        "The painting does not enter your loss: the style term is missing, so the network would "
        "learn to copy photos.",
    ),
    with_loss(
        "style_only",
        style_only,
        "The photo does not enter your loss: the content term is missing, or is 0 whatever is "
        "painted. Any texture of the painting would do, whatever was shown.",
    ),
    with_loss(
        "pixel_content",
        pixel_content,
        "Your content term compares pixels. The *feature maps* of the two pictures are to agree; "
        "pixels must be free to change.",
    ),
    with_loss(
        "summed_content",
        summed_content,
        "Your content term is a sum. As a mean it does not depend on how large the pictures are.",
    ),
    with_loss(
        "undivided",
        undivided,
        "Your Gram matrix is not divided by the number of positions, as the target is: large "
        "pictures would never have the painting's style.",
    ),
    with_loss(
        "one_gram",
        one_gram,
        "You averaged the Gram matrices of the batch before comparing. Each picture is to have the "
        "painting's style, not the batch on average.",
    ),
    with_loss(
        "mean_of_entries",
        mean_of_entries,
        "You averaged the squared differences over the entries of the Gram matrix; the formula "
        "adds them up.",
    ),
    with_loss(
        "sum_of_images",
        sum_of_images,
        "You added the style losses of the batch. Their mean does not grow with the number of "
        "photos.",
    ),
    with_loss(
        "style_of_photos",
        style_of_photos,
        "Your style term looks at the photos that go in. It should look at what the network "
        "paints; this way its gradient is zero.",
    ),
    with_loss(
        "style_root",
        lambda model, painted, photos, target, beta: (
            content_of(model, painted, photos)
            + beta * style_of(model, painted, target).sqrt().mean()
        ),
        "Your style term takes the length of the difference between the matrices. The formula has "
        "its square.",
    ),
    with_loss(
        "divided_by_channels_too",
        lambda model, painted, photos, target, beta: (
            content_of(model, painted, photos)
            + beta
            * (gram(model.features(painted)) / len(target) - target).square().sum((1, 2)).mean()
        ),
        "You divided your Gram matrices by the number of channels as well. The target is a mean "
        "over positions only.",
    ),
    with_loss(
        "weight_on_content",
        weight_on_content,
        "The style weight multiplies your content term. It belongs to the style.",
    ),
    Mistake(
        "loss_after",
        loss_after,
        "Your weights are right, but the loss is the one after the step. Return the loss that you "
        "differentiated; another look costs another pass.",
    ),
)


register(
    Exercise(
        name="instance_norm",
        lecture=LECTURE,
        title="Instance norm",
        reference=fast_style.instance_norm,
        cases=norm_cases,
        mistakes=NORM_MISTAKES,
        result="the normalised feature maps, (N,C,H,W)",
        noun="result",
        axes=("image", "channel", "row", "column"),
        hints=(
            "Of the four axes, which two are averaged over? What an image may not notice, and what "
            "a channel may not notice, stays.",
            "`keepdim=True` keeps the axes, so that mean and variance fit the maps again.",
            "`scale` and `shift` have one number a channel: give them two more axes at the end.",
        ),
        picture=Picture(faded_photo, green, True, "the green of a pale panda after instance norm"),
    ),
    Exercise(
        name="training_step",
        lecture=LECTURE,
        title="One training step",
        reference=fast_style.training_step,
        cases=step_cases,
        mistakes=STEP_MISTAKES,
        result="the new weights (3,3,k,k) and the loss before the step, one number",
        noun="step",
        axes=(("output colour", "input colour", "row", "column"), ()),
        parts=("weights", "loss"),
        hints=(
            "What wants a gradient this time? Not the picture: the weights that paint it.",
            "Paint first (a convolution padded by half its kernel), then look at both pictures "
            "with `model.features`.",
            "Every painted picture has a Gram matrix of its own, and each is compared with the "
            "target.",
        ),
    ),
)
