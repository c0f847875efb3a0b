"""Lecture 13's exercises: total variation, the inversion loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils import inversion
from course_utils.checking import drawing
from course_utils.checking.core import Case, Exercise, Mistake, register
from course_utils.common import optimise
from course_utils.common.optimise import total_variation

LECTURE = "13_inversion"


def variation_cases(seed: int) -> list[Case]:
    """One image with squares, two with lengths, three in between."""
    random = drawing.generator(seed, "total variation")
    found = []
    for n, height, width, beta in ((1, 5, 6, 2.0), (2, 6, 4, 1.0), (3, 4, 7, 1.5)):
        x = torch.randn(n, 3, height, width, generator=random)
        note = f"{n} image{'s' * (n > 1)} with beta = {beta:g}"
        found.append(Case({"x": x, "beta": beta}, note, repeat=n == 2, slopes=("x",)))
    return found


def loss_cases(seed: int) -> list[Case]:
    """Feature maps of one image, of three, and vectors of two."""
    random = drawing.generator(seed, "inversion loss")
    shapes = [(1, 4, 3, 2), (3, 5, 2, 3), (2, 7)]
    notes = ["one image", "a batch of three images", "two images whose features are vectors"]
    found = []
    for shape, note, weight in zip(shapes, notes, (0.5, 0.1, 0.25), strict=True):
        phi, target = (torch.randn(shape, generator=random).relu() + 0.1 for _ in range(2))
        scale = 0.5 + torch.rand(len(phi), generator=random)  # photos of unlike brightness
        target = target * scale.view(-1, *[1] * (phi.ndim - 1))
        # Pale pictures: beside a large variation a weighted distance would be lost.
        x = 0.2 * torch.randn(shape[0], 3, 5, 4, generator=random)
        args = {"phi": phi, "target": target, "x": x, "weight": weight}
        found.append(Case(args, note, repeat=shape[0] == 3, slopes=("phi", "x")))
    return found


# ------------------------------------------------------------------ total variation, wrong


def differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """To the pixel below and to the pixel on the right, where both are in the image."""
    here = x[..., :-1, :-1]
    return x[..., 1:, :-1] - here, x[..., :-1, 1:] - here


def varied(name: str, finish: Callable[[Tensor, Tensor, float], Tensor], sentence: str) -> Mistake:
    """A mistake that has the right differences and makes the wrong thing of them."""
    return Mistake(name, lambda x, beta: finish(*differences(x), beta), sentence)


def down_all(x: Tensor) -> Tensor:
    """To the pixel below, in every column."""
    return x.diff(dim=-2)


def across_all(x: Tensor) -> Tensor:
    """To the pixel on the right, in every row."""
    return x.diff(dim=-1)


def power(down: Tensor, across: Tensor, beta: float) -> Tensor:
    return (down.square() + across.square()).pow(beta / 2)


def _rolled(x: Tensor, beta: float) -> Tensor:
    return power(x.roll(-1, -2) - x, x.roll(-1, -1) - x, beta).sum()


def _with_border(x: Tensor, beta: float) -> Tensor:
    down = torch.nn.functional.pad(x.diff(dim=-2), (0, 0, 0, 1))
    across = torch.nn.functional.pad(x.diff(dim=-1), (0, 1))
    return power(down, across, beta).sum()


VARIATION_MISTAKES = (
    varied(
        "mean_for_sum",
        lambda d, a, beta: power(d, a, beta).mean(),
        "You took the mean over the positions; the total variation is their sum. With a mean the "
        "same weight would act less, the larger the picture is.",
    ),
    varied(
        "down_only",
        lambda d, a, beta: power(d, 0 * a, beta).sum(),
        "You compare each pixel with the one below it only. The neighbour on the right is missing, "
        "so vertical edges cost nothing.",
    ),
    varied(
        "across_only",
        lambda d, a, beta: power(0 * d, a, beta).sum(),
        "You compare each pixel with the one on its right only. The neighbour below is missing, so "
        "horizontal edges cost nothing.",
    ),
    varied(
        "sizes_for_squares",
        lambda d, a, beta: (d.abs() + a.abs()).pow(beta).sum(),
        "You added the sizes of the two differences; their *squares* are added before the power. "
        "Your version makes a slanted edge dearer than a straight one.",
    ),
    varied(
        "power_before_sum",
        lambda d, a, beta: (d.abs().pow(beta) + a.abs().pow(beta)).sum(),
        "You raised each difference to the power on its own. The squares of both belong under one "
        "power: together they are the length of the slope.",
    ),
    varied(
        "signed",
        lambda d, a, beta: (d + a).sum(),
        "You added the differences with their signs. Ups and downs cancel, and nearly nothing is "
        "left of any picture.",
    ),
    varied(
        "beta_not_halved",
        lambda d, a, beta: power(d, a, 2 * beta).sum(),
        "You raised the squares to beta. They are squares already, so the exponent is beta / 2.",
    ),
    varied(
        "beta_ignored",
        lambda d, a, beta: power(d, a, 2.0).sum(),
        "This is right for beta = 2 and for no other: `beta` has no effect.",
    ),
    varied(
        "always_lengths",
        lambda d, a, beta: power(d, a, 1.0).sum(),
        "You took the square root whatever beta is: right for beta = 1 only. The exponent is "
        "beta / 2.",
    ),
    varied(
        "power_of_sum",
        lambda d, a, beta: (d.square() + a.square()).sum().pow(beta / 2),
        "You summed first and raised the sum to beta / 2. Each position has its own power; they "
        "are summed afterwards.",
    ),
    varied(
        "mean_over_images",
        lambda d, a, beta: power(d, a, beta).sum() / len(d),
        "You divided by the number of images. The regulariser of a batch is the sum of theirs, so "
        "that each image is pulled as strongly as it would be alone.",
    ),
    varied(
        "one_for_each_image",
        lambda d, a, beta: power(d, a, beta).sum((1, 2, 3)),
        "You return a number for each image. A loss is one number: add them up.",
    ),
    varied(
        "first_image_only",
        lambda d, a, beta: power(d, a, beta)[0].sum(),
        "Only the first image counts. The others of the batch have a total variation too.",
    ),
    varied(
        "mean_over_colours",
        lambda d, a, beta: power(d, a, beta).sum() / 3,
        "You averaged over the three colours. Each colour is a picture of its own here, and their "
        "variations are added.",
    ),
    Mistake(
        "grey",
        lambda x, beta: power(*differences(x.mean(1, keepdim=True)), beta).sum(),
        "You averaged the colours before you took differences. An edge between a red and an "
        "equally bright green would cost nothing.",
    ),
    Mistake(
        "wraps_around",
        _rolled,
        "Your differences wrap around: `roll` makes the pixels of the first row the neighbours of "
        "the last one, and likewise the columns. Cut instead of rolling.",
    ),
    Mistake(
        "border_kept",
        _with_border,
        "You kept the last row and the last column, whose pixels have one neighbour only. Only "
        "positions with both neighbours count here.",
    ),
    Mistake(
        "squares_with_border",
        lambda x, beta: across_all(x).square().sum() + down_all(x).square().sum(),
        "Another usual form: squares of all differences, those of the last row and column too, and "
        "`beta` has no effect. Here only positions with both neighbours count, under one power.",
    ),
    Mistake(
        "powers_with_border",
        lambda x, beta: across_all(x).abs().pow(beta).sum() + down_all(x).abs().pow(beta).sum(),
        "You raised each difference to beta on its own, and counted the last row and column too. "
        "Only positions with both neighbours count, and their two squares share one power.",
    ),
    Mistake(
        "sizes_with_border",
        lambda x, beta: across_all(x).abs().sum() + down_all(x).abs().sum(),
        "That is the total variation of TensorFlow and scikit-image's manuals: sizes of all "
        "differences, without `beta`. Here two squares lie under one power at each position.",
    ),
    varied(
        "sizes_added",
        lambda d, a, beta: (d.abs() + a.abs()).sum(),
        "You added the sizes of the differences, whatever `beta` is. The squares of both are "
        "added, and the sum is raised to beta / 2.",
    ),
    varied(
        "means_of_squares",
        lambda d, a, beta: d.square().mean() + a.square().mean(),
        "You took means of squares and `beta` has no effect. The total variation is a sum over "
        "positions, of (down^2 + across^2) to the power beta / 2.",
    ),
    varied(
        "root_at_the_end",
        lambda d, a, beta: power(d, a, beta).sum().sqrt(),
        "You took the root of the whole sum. The exponent beta / 2 does all that is asked, at "
        "each position; nothing comes after the sum.",
    ),
    varied(
        "power_of_each_image",
        lambda d, a, beta: (d.square() + a.square()).sum((1, 2, 3)).pow(beta / 2).sum(),
        "You raised the sum of each image to beta / 2. Each *position* has its own power; they are "
        "summed afterwards.",
    ),
    varied(
        "exponent_inverted",
        lambda d, a, beta: power(d, a, 2 / beta).sum(),
        "Your exponent is 1 / beta. The squares are raised to beta / 2.",
    ),
    varied(
        "colours_under_one_power",
        lambda d, a, beta: (d.square() + a.square()).sum(1).pow(beta / 2).sum(),
        "You added the colours before raising to beta / 2. Each colour has a power of its own; "
        "with beta = 2 both are the same.",
    ),
    Mistake(
        "up_and_left",
        lambda x, beta: power(
            x[..., 1:, 1:] - x[..., :-1, 1:], x[..., 1:, 1:] - x[..., 1:, :-1], beta
        ).sum(),
        "You compare each pixel with the one *above* and the one on its *left*. Asked for are the "
        "one below and the one on the right; the pairs differ, and so do the sums.",
    ),
    Mistake(
        "of_values",
        lambda x, beta: x.abs().pow(beta).sum(),
        "You summed powers of the pixel values, not of their differences. That prefers grey "
        "pictures, not smooth ones.",
    ),
)


# ------------------------------------------------------------------ the inversion loss, wrong


def squares(a: Tensor) -> Tensor:
    """||a_n||^2 for each image: (N,)."""
    return a.flatten(1).square().sum(1)


def distance(phi: Tensor, target: Tensor) -> Tensor:
    return (squares(phi - target) / squares(target)).sum()


def measured(name: str, how: Callable[[Tensor, Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that measures the distance wrongly and adds the right regulariser."""

    def mistake(phi: Tensor, target: Tensor, x: Tensor, weight: float) -> Tensor:
        return how(phi, target) + weight * total_variation(x)

    return Mistake(name, mistake, sentence)


def _regularised(name: str, how: Callable, sentence: str) -> Mistake:
    """A mistake that measures the distance rightly: `how(distance, phi, x, weight)`."""
    return Mistake(
        name, lambda phi, target, x, weight: how(distance(phi, target), phi, x, weight), sentence
    )


LOSS_MISTAKES = (
    measured(
        "not_normalised",
        lambda phi, target: squares(phi - target).sum(),
        "The distance is not divided by ||target||². Features of deep layers are more and larger, "
        "so the same weight would mean something else in every layer.",
    ),
    measured(
        "mean_for_normalised",
        lambda phi, target: (phi - target).square().mean(),
        "You took the mean squared difference. That takes care of how *many* features there are, "
        "not of how *large* they are: divide the sum by ||target||².",
    ),
    measured(
        "norm_not_squared",
        lambda phi, target: (squares(phi - target) / squares(target).sqrt()).sum(),
        "You divided by the norm of the target; its *square* is needed. Then the loss does not "
        "change when all features are twice as large.",
    ),
    measured(
        "quotient_at_each_position",
        lambda phi, target: ((phi - target).square().sum(1) / target.square().sum(1)).sum(),
        "You divided at each position, before adding up. Each image has one quotient: the sum of "
        "all its squared differences by the sum of all its target's squares.",
    ),
    measured(
        "own_norm",
        lambda phi, target: (squares(phi - target) / squares(phi)).sum(),
        "You divided by ||phi||², which changes with the picture. The loss would also fall by "
        "making all features large; divide by the target's, which is constant.",
    ),
    measured(
        "one_denominator",
        lambda phi, target: squares(phi - target).sum() / squares(target).sum(),
        "You divided the batch's distance by the batch's norm. Each image has a target of its own; "
        "divide first, then add up.",
    ),
    measured(
        "lengths",
        lambda phi, target: (squares(phi - target) / squares(target)).sqrt().sum(),
        "You took the length of the difference, not its square. The formula has "
        "||phi - target||² / ||target||².",
    ),
    measured(
        "sizes_for_squares",
        lambda phi, target: (
            (phi - target).abs().flatten(1).sum(1) / target.abs().flatten(1).sum(1)
        ).sum(),
        "You added the sizes of the differences; the formula adds their squares.",
    ),
    measured(
        "difference_of_norms",
        lambda phi, target: ((squares(phi) - squares(target)).abs() / squares(target)).sum(),
        "You compared the norms of the two codes. Two codes of equal length may have nothing else "
        "in common: subtract first, then square.",
    ),
    measured(
        "ascent",
        lambda phi, target: -distance(phi, target),
        "The distance has a minus sign. Minimising that drives the picture *away* from the photo: "
        "inversion is descent on the distance, not ascent.",
    ),
    measured(
        "mean_over_images",
        lambda phi, target: distance(phi, target) / len(phi),
        "You averaged the distances over the batch. Add them, so that each image moves as it would "
        "alone.",
    ),
    measured(
        "first_image_only",
        lambda phi, target: distance(phi[:1], target[:1]),
        "Only the first image has a distance. The others of the batch need theirs.",
    ),
    measured(
        "element_by_element",
        lambda phi, target: (phi - target).square().div(target.square()).sum(),
        "You divided each feature by its own target. The norms are taken first: one number for "
        "each image above, one below.",
    ),
    measured(
        "mean_over_features",
        lambda phi, target: (squares(phi - target) / squares(target)).sum() / phi[0].numel(),
        "You divided the distance by the number of features as well. ||target||² takes care of "
        "their number already.",
    ),
    measured(
        "over_the_norm_of_all",
        lambda phi, target: (squares(phi - target) / squares(target).sum()).sum() * len(phi),
        "You divided every image by one norm, made of all targets. Each has a target of its own: "
        "divide by that, then add up.",
    ),
    _regularised(
        "variation_for_each_image",
        lambda d, phi, x, weight: d + len(phi) * weight * total_variation(x),
        "The total variation of the whole batch is in your loss once for *each* image: you add it "
        "before the sum over the images. Sum the distances first.",
    ),
    _regularised(
        "variation_divided_by_images",
        lambda d, phi, x, weight: d + weight * total_variation(x) / len(phi),
        "You divided the total variation by the number of images. It is a sum over the batch, as "
        "the distances are.",
    ),
    _regularised(
        "weight_on_both",
        lambda d, phi, x, weight: weight * (d + total_variation(x)),
        "The weight multiplies the distance too. It belongs on the total variation alone, so that "
        "weight 0 leaves the distance.",
    ),
    _regularised(
        "variation_with_border",
        lambda d, phi, x, weight: (
            d + weight * (down_all(x).square().sum() + across_all(x).square().sum())
        ),
        "Your total variation counts the last row and column too. As in exercise 1, only positions "
        "with both neighbours count.",
    ),
    _regularised(
        "variation_of_sizes",
        lambda d, phi, x, weight: (
            d + weight * (down_all(x).abs().sum() + across_all(x).abs().sum())
        ),
        "Your total variation adds the sizes of differences. With beta = 2, as in exercise 1, it "
        "adds their squares.",
    ),
    _regularised(
        "no_variation",
        lambda d, phi, x, weight: d,
        "The regulariser is missing, or has no effect: weight · TV(x). Without it, noise that the "
        "layer cannot see stays in the picture.",
    ),
    _regularised(
        "variation_alone",
        lambda d, phi, x, weight: total_variation(x),
        "The distance is missing, or has no effect, and so has `weight`: your loss is the total "
        "variation alone.",
    ),
    _regularised(
        "weighted_variation_alone",
        lambda d, phi, x, weight: weight * total_variation(x),
        "The distance is missing, or has no effect: your loss is weight · TV(x) alone. Any flat "
        "picture makes it zero.",
    ),
    _regularised(
        "weight_forgotten",
        lambda d, phi, x, weight: d + total_variation(x),
        "`weight` has no effect: the total variation counts in full and drowns the distance.",
    ),
    _regularised(
        "weight_on_distance",
        lambda d, phi, x, weight: weight * d + total_variation(x),
        "The weight is on the distance. It belongs on the total variation, so that weight 0 leaves "
        "the distance alone.",
    ),
    _regularised(
        "variation_subtracted",
        lambda d, phi, x, weight: d - weight * total_variation(x),
        "You subtracted the total variation. Minimising that rewards noise; it is a price and has "
        "to be added.",
    ),
    _regularised(
        "variation_of_features",
        lambda d, phi, x, weight: d + weight * total_variation(phi),
        "You took the total variation of the features. It is the *picture* that should be smooth: "
        "TV(x).",
    ),
    _regularised(
        "variation_averaged",
        lambda d, phi, x, weight: d + weight * total_variation(x) / x.numel(),
        "You divided the total variation by the number of values. It is a sum; the weight takes "
        "care of its size.",
    ),
    _regularised(
        "variation_of_lengths",
        lambda d, phi, x, weight: d + weight * total_variation(x, beta=1.0),
        "You took the total variation with beta = 1. Here it is the sum of the squares, beta = 2.",
    ),
)


register(
    Exercise(
        name="total_variation",
        lecture=LECTURE,
        title="Total variation",
        reference=optimise.total_variation,
        cases=variation_cases,
        mistakes=VARIATION_MISTAKES,
        result="one number for the whole batch, a tensor",
        noun="total variation",
        hints=(
            "Slices give all differences at once: x[..., 1:, :-1] - x[..., :-1, :-1] are those to "
            "the pixel below.",
            "Both differences need the same shape, so both leave out the last row and column.",
            "Square both, add them, raise to beta / 2, and sum over everything.",
        ),
    ),
    Exercise(
        name="inversion_loss",
        lecture=LECTURE,
        title="The loss of an inversion",
        reference=inversion.inversion_loss,
        cases=loss_cases,
        mistakes=LOSS_MISTAKES,
        result="one number for the whole batch, a tensor",
        noun="loss",
        hints=(
            "One distance for each image: flatten everything but the first axis and sum.",
            "Divide each distance by the squared norm of its own target, then add them up.",
            "At the end comes weight * total_variation(x): of the picture, not of its features.",
        ),
    ),
)
