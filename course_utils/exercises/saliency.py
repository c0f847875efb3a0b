"""Lecture 06's exercises: saliency map, gradient times input, SmoothGrad."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import saliency
from course_utils.checking import drawing, photos
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register

LECTURE = "06_saliency"


def cases(seed: int) -> list[Case]:
    """One image; two; four with classes of a wider network."""
    random = drawing.generator(seed, "saliency")
    shapes = [(1, 8, 6, 5), (2, 6, 9, 4), (4, 7, 5, 8)]
    notes = ["a single image", "a batch of two images", "a batch of four images"]
    found = []
    for (n, height, width, classes), note in zip(shapes, notes, strict=True):
        spec = drawing.network(random, classes)
        x = drawing.images(random, spec, n, height, width)
        wanted = drawing.other_classes(random, spec, x)
        found.append(Case({"model": spec, "x": x, "classes": wanted}, note, repeat=n == 2))
    return found


def noisy_cases(seed: int) -> list[Case]:
    """As `cases`, each with noise of a few samples, never as many as there are images."""
    random = drawing.generator(seed, "smoothgrad")
    found = []
    for case, samples in zip(cases(seed), (5, 3, 6), strict=True):
        noise = drawing.noise(random, case.args["model"], case.args["x"], samples)
        found.append(Case({**case.args, "noise": noise}, case.note, case.repeat))
    model, x = (found[0].args[name] for name in ("model", "x"))
    other = {"noise": drawing.noise(random, model, x, len(found[0].args["noise"]))}
    return [*found, Case(found[0].args | other, "other noise on the same image")]


# ------------------------------------------------------------------ gradients, right and wrong


def gradient(
    score: Callable[[Tensor, Tensor], Tensor], model: nn.Module, x: Tensor, classes: Tensor
) -> Tensor:
    """The gradient of any number made of the logits and the classes."""
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(score(model(x), classes), x)[0]


def chosen(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None]).sum()


SCORES = {
    "softmax": (
        lambda logits, classes: chosen(logits.softmax(1), classes),
        "You differentiated the probability after softmax, not the score before it. A probability "
        "also rises when other classes fall, so your {noun} mixes in what speaks for *them*.",
    ),
    "cross_entropy": (
        lambda logits, classes: chosen(logits.log_softmax(1), classes),
        "You differentiated the log-probability (the cross-entropy loss up to its sign), not the "
        "score. It brings in the gradients of all the other classes as well.",
    ),
    "all_classes": (
        lambda logits, classes: logits.sum(),
        "You differentiated the sum of the scores of all classes. The gradient then answers for "
        "every class at once; take the score of the class that is asked for.",
    ),
    "top_class": (
        lambda logits, classes: logits.amax(1).sum(),
        "You used the class the network finds most probable, not the one in `classes`. We also "
        "want to ask what speaks for a class that did not win.",
    ),
    "first_class_for_all": (
        lambda logits, classes: logits[:, classes[0]].sum(),
        "Only the first image has the right class: you used `classes[0]` for all of them. Each "
        "image comes with a class of its own.",
    ),
    "classes_of_all_images": (
        lambda logits, classes: logits[:, classes].sum(),
        "Each image is differentiated for the classes of *all* images: `[:, classes]` takes every "
        "class of the list in every row. Pick one score a row, the image's own.",
    ),
    "mean_over_all_pairs": (
        lambda logits, classes: logits[:, classes].mean(),
        "`[:, classes]` takes every class of the list in every row, and you averaged over all of "
        "them. Pick one score a row, the image's own, and add them up.",
    ),
    "largest_of_batch": (
        lambda logits, classes: logits.max(),
        "You differentiated the largest score of the whole batch: one image, and the class it "
        "prefers. Each image comes with a class of its own.",
    ),
    "next_class": (
        lambda logits, classes: chosen(logits.roll(-1, 1), classes),
        "You differentiated the class after the one in `classes`. Classes count from 0, as Python "
        "does.",
    ),
    "loss": (
        lambda logits, classes: nn.functional.cross_entropy(logits, classes),
        "You differentiated the cross-entropy loss, which averages over the images and brings in "
        "the other classes. Take the score itself.",
    ),
    "mean_over_images": (
        lambda logits, classes: chosen(logits, classes) / len(classes),
        "Your {noun} is divided by the number of images: you averaged the scores of the batch "
        "before the backward pass. An image's {noun} must not depend on how many others came too.",
    ),
    "first_image_only": (
        lambda logits, classes: logits[0, classes[0]],
        "Only the first image has its {noun}, the others are zero: you differentiated the score of "
        "one image. Each image of the batch has a score of its own.",
    ),
}


def stretched(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The smallest along these axes becomes 0 and the largest 1."""
    low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
    return (values - low) / (high - low)


def from_scores(
    finish: Callable[[Tensor, Tensor], Tensor], noun: str, but: tuple[str, ...] = ()
) -> list[Mistake]:
    """Mistakes that differentiate the wrong number and then do everything right."""

    def mistake(score: Callable) -> Callable:
        return lambda model, x, classes: finish(gradient(score, model, x, classes), x)

    return [
        Mistake(name, mistake(score), sentence.format(noun=noun))
        for name, (score, sentence) in SCORES.items()
        if name not in but
    ]


def from_gradient(name: str, finish: Callable[[Tensor, Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that has the right gradient and makes the wrong thing of it."""
    return Mistake(
        name, lambda model, x, classes: finish(gradient(chosen, model, x, classes), x), sentence
    )


def norm(g: Tensor) -> Tensor:
    return g.flatten(1).norm(dim=1)[:, None, None, None]


SALIENCY_MISTAKES = (
    from_gradient(
        "no_abs",
        lambda g, x: g.amax(1),
        "The absolute value is missing. A pixel whose increase *lowers* the score matters just as "
        "much as one that raises it.",
    ),
    from_gradient(
        "values_and_indices",
        lambda g, x: tuple(g.abs().max(1)),
        "You return two things: along an axis, `max` gives the values and where they were. Only "
        "the values are the map.",
    ),
    from_gradient(
        "smallest_colour",
        lambda g, x: g.abs().amin(1),
        "You took the smallest of the three colours; the map takes the largest.",
    ),
    from_gradient(
        "first_colour",
        lambda g, x: g.abs()[:, 0],
        "Your map is that of the first colour. A pixel should get the largest of its three.",
    ),
    from_gradient(
        "negative_cut_off",
        lambda g, x: g.clamp(min=0).amax(1),
        "You cut the negative derivatives off. A pixel whose increase *lowers* the score matters "
        "just as much: take absolute values.",
    ),
    from_gradient(
        "positive_cut_off",
        lambda g, x: (-g).clamp(min=0).amax(1),
        "You kept the negative derivatives only. A pixel that raises the score matters just as "
        "much: take absolute values.",
    ),
    from_gradient(
        "first_image_only",
        lambda g, x: g.abs().amax(1)[0],
        "You return the map of the first image alone. The result has one for each image, even when "
        "there is only one.",
    ),
    from_gradient(
        "mean_of_all_images",
        lambda g, x: g.abs().amax(1).mean(0, keepdim=True).expand(len(x), -1, -1),
        "You averaged the maps over the images. Each image has a map of its own.",
    ),
    from_gradient(
        "abs_after_max",
        lambda g, x: g.amax(1).abs(),
        "You took the absolute value after the maximum over the colours. A large negative "
        "derivative has lost against a small positive one by then.",
    ),
    from_gradient(
        "mean_over_colours",
        lambda g, x: g.abs().mean(1),
        "You averaged over the three colours; the map takes the largest. An average hides a pixel "
        "that matters in one colour only.",
    ),
    from_gradient(
        "sum_over_colours",
        lambda g, x: g.abs().sum(1),
        "You added up the three colours; the map takes the largest of them.",
    ),
    from_gradient(
        "abs_of_mean",
        lambda g, x: g.mean(1).abs(),
        "You averaged the signed derivatives over the colours, where plus and minus cancel. First "
        "the sizes, then the largest of the three colours.",
    ),
    from_gradient(
        "abs_of_sum",
        lambda g, x: g.sum(1).abs(),
        "You added the signed derivatives of the colours, where plus and minus cancel. First the "
        "sizes, then the largest of the three colours.",
    ),
    from_gradient(
        "norm_over_colours",
        lambda g, x: g.norm(dim=1),
        "You took the Euclidean length over the three colours: a good map too, but another one. "
        "This one takes the largest of the three sizes.",
    ),
    from_gradient(
        "no_colour_reduction",
        lambda g, x: g.abs(),
        "You return one map for each colour. A pixel should get a single number: the largest of "
        "its three.",
    ),
    from_gradient(
        "colours_and_sign_left",
        lambda g, x: g,
        "This is the gradient itself. Two steps are missing that turn it into a map: the size of "
        "each derivative, and one number for the three colours.",
    ),
    from_gradient(
        "scaled_to_one",
        lambda g, x: g.abs().amax(1) / g.abs().amax((1, 2, 3))[:, None, None],
        "Each of your maps is scaled so that its largest value is 1. That suits a picture, but the "
        "map then no longer says how strongly the score reacts; leave scaling to the plot.",
    ),
    from_gradient(
        "stretched",
        lambda g, x: stretched(g.abs().amax(1), (1, 2)),
        "Each of your maps is stretched so that it goes from 0 to 1. That suits a picture; asked "
        "for are the derivatives' own sizes, which can be compared from image to image.",
    ),
    from_gradient(
        "stretched_over_batch",
        lambda g, x: stretched(g.abs().amax(1), (0, 1, 2)),
        "Your maps are stretched so that all together they go from 0 to 1. That suits a picture; "
        "asked for are the derivatives' own sizes, whatever came along.",
    ),
    from_gradient(
        "divided_by_norm",
        lambda g, x: (g / norm(g)).abs().amax(1),
        "You divided each gradient by its norm. Then every image seems to react equally strongly; "
        "the map is the derivative itself.",
    ),
    from_gradient(
        "divided_by_squared_norm",
        lambda g, x: (g / norm(g) ** 2).abs().amax(1),
        "You divided the gradient by its *squared* norm. Nothing needs to be divided here, and "
        "this way the images that react least come out brightest.",
    ),
    from_gradient(
        "squared",
        lambda g, x: g.square().amax(1),
        "You squared the derivatives instead of taking absolute values. The order of the pixels "
        "stays, but weak ones vanish and the unit is no longer score per pixel value.",
    ),
    from_gradient(
        "times_input",
        lambda g, x: (g * x).abs().amax(1),
        "You multiplied the gradient by the image. That is the idea of the next exercise; a "
        "saliency map is the derivative alone.",
    ),
    *from_scores(lambda g, x: g.abs().amax(1), "map"),
)

TIMES_INPUT_MISTAKES = (
    from_gradient(
        "no_sum",
        lambda g, x: g * x,
        "You return one map for each colour. What the three colours of a pixel add to the score "
        "belongs together in one number: their sum.",
    ),
    from_gradient(
        "values_and_indices",
        lambda g, x: tuple((g * x).max(1)),
        "You return two things: along an axis, `max` gives the values and where they were. And the "
        "contributions of the colours are added, not compared.",
    ),
    from_gradient(
        "squared_input",
        lambda g, x: (g * x * x).sum(1),
        "You multiplied by the image twice.",
    ),
    from_gradient(
        "input_added",
        lambda g, x: (g + x).sum(1),
        "You added the image to the gradient. What a pixel contributes is the product of the two.",
    ),
    from_gradient(
        "input_size",
        lambda g, x: (g * x.abs()).sum(1),
        "You multiplied by the *size* of the image's values. They are normalised, so some are "
        "negative, and the sign counts.",
    ),
    from_gradient(
        "first_image_times",
        lambda g, x: (g * x[:1]).sum(1),
        "Every gradient is multiplied by the first image. Each belongs to its own.",
    ),
    from_gradient(
        "abs",
        lambda g, x: (g * x).sum(1).abs(),
        "The signs are lost: you took the absolute value of the sum. This map tells pixels that "
        "add to the score from pixels that take from it.",
    ),
    from_gradient(
        "sum_of_abs",
        lambda g, x: (g * x).abs().sum(1),
        "You took absolute values before adding the colours. A colour that lowers the score must "
        "be able to cancel one that raises it.",
    ),
    from_gradient(
        "max_of_abs",
        lambda g, x: (g * x).abs().amax(1),
        "You took the largest size of the three colours, as for the saliency map. Here the three "
        "contributions are added, with their signs.",
    ),
    from_gradient(
        "max_over_colours",
        lambda g, x: (g * x).amax(1),
        "You took the largest of the three colours. Contributions to a score add up, so here it is "
        "their sum.",
    ),
    from_gradient(
        "mean_over_colours",
        lambda g, x: (g * x).mean(1),
        "You averaged over the three colours, so everything is a third of what it should be. The "
        "contributions of the colours add up.",
    ),
    from_gradient(
        "no_input",
        lambda g, x: g.sum(1),
        "You added up the gradient without multiplying by the image. The gradient says what a unit "
        "of change would do; times the value it says what this pixel does.",
    ),
    from_gradient(
        "abs_gradient",
        lambda g, x: (g.abs() * x).sum(1),
        "You multiplied the image by the *size* of the gradient. Its sign says whether the pixel "
        "speaks for or against the class, and is needed here.",
    ),
    from_gradient(
        "summed_separately",
        lambda g, x: g.sum(1) * x.sum(1),
        "You added the colours of the gradient and of the image first and multiplied then. Each "
        "colour's value belongs to its own derivative: multiply, then add.",
    ),
    from_gradient(
        "saliency_times_input",
        lambda g, x: (g.abs().amax(1, keepdim=True) * x).sum(1),
        "You multiplied the saliency map by the image. It has forgotten the signs and two of the "
        "three colours; start from the gradient itself.",
    ),
    *from_scores(lambda g, x: (g * x).sum(1), "map"),
)


def maps(model: nn.Module, x: Tensor, classes: Tensor, noise: Tensor) -> Tensor:
    """The saliency map (samples,N,H,W) of each noisy copy."""
    return gradients(model, x, classes, noise).abs().amax(2)


def gradients(model: nn.Module, x: Tensor, classes: Tensor, noise: Tensor) -> Tensor:
    """The gradient (samples,N,3,H,W) at each noisy copy."""
    return torch.stack([gradient(chosen, model, x + one, classes) for one in noise])


def from_noisy_score(name: str, score: Callable, sentence: str) -> Mistake:
    def mistake(model: nn.Module, x: Tensor, classes: Tensor, noise: Tensor) -> Tensor:
        every = [gradient(score, model, x + one, classes).abs().amax(1) for one in noise]
        return torch.stack(every).mean(0)

    return Mistake(name, mistake, sentence.format(noun="map"))


def _scaled_noise(model: nn.Module, x: Tensor, classes: Tensor, noise: Tensor) -> Tensor:
    span = x.amax((1, 2, 3)) - x.amin((1, 2, 3))
    return maps(model, x, classes, 0.15 * span[:, None, None, None] * noise).mean(0)


SMOOTHGRAD_MISTAKES = (
    Mistake(
        "map_of_mean_image",
        lambda model, x, classes, noise: maps(model, x, classes, noise.mean(0)[None])[0],
        "You averaged the noisy images and made one map of their mean. Averaging first only takes "
        "the noise out again; make a map of each noisy image and average the maps.",
    ),
    Mistake(
        "sum",
        lambda model, x, classes, noise: maps(model, x, classes, noise).sum(0),
        "You added up the maps. Divided by their number they become a mean, which does not grow "
        "with the number of samples.",
    ),
    Mistake(
        "abs_after_mean",
        lambda model, x, classes, noise: gradients(model, x, classes, noise).mean(0).abs().amax(1),
        "You averaged the gradients and made the map afterwards. Here each noisy image gets its "
        "finished map, absolute value and all, and the *maps* are averaged.",
    ),
    Mistake(
        "abs_before_mean_max_after",
        lambda model, x, classes, noise: gradients(model, x, classes, noise).abs().mean(0).amax(1),
        "You averaged over the samples before choosing the largest colour. In each noisy image the "
        "largest colour may be another one: finish each map first, then average.",
    ),
    Mistake(
        "no_abs",
        lambda model, x, classes, noise: gradients(model, x, classes, noise).amax(2).mean(0),
        "The absolute value is missing in the maps you average. What is averaged here are saliency "
        "maps, and they count how strongly a pixel acts in either direction.",
    ),
    Mistake(
        "mean_over_colours",
        lambda model, x, classes, noise: gradients(model, x, classes, noise).abs().mean((0, 2)),
        "You averaged over the colours as well as over the samples. Within each map the largest "
        "of the three colours counts; the mean is only over the samples.",
    ),
    Mistake(
        "no_noise",
        lambda model, x, classes, noise: maps(model, x, classes, torch.zeros_like(noise[:1]))[0],
        "This is the saliency map of the clean image: the noise never reached the network.",
    ),
    Mistake(
        "first_sample_only",
        lambda model, x, classes, noise: maps(model, x, classes, noise[:1])[0],
        "Only the first sample of the noise is in your map. Look at what your loop does with the "
        "maps after the first.",
    ),
    Mistake(
        "last_sample_only",
        lambda model, x, classes, noise: maps(model, x, classes, noise[-1:])[0],
        "Only the last sample of the noise is in your map: each round overwrites the one before.",
    ),
    Mistake(
        "last_sample_left_out",
        lambda model, x, classes, noise: maps(model, x, classes, noise[:-1]).mean(0),
        "The last sample of the noise is left out. Check where your loop ends.",
    ),
    Mistake(
        "last_sample_counted_but_left_out",
        lambda model, x, classes, noise: maps(model, x, classes, noise[:-1]).sum(0) / len(noise),
        "The last sample of the noise is missing in your sum, but counted in its division. Check "
        "where your loop ends.",
    ),
    Mistake(
        "first_sample_divided",
        lambda model, x, classes, noise: maps(model, x, classes, noise[:1])[0] / len(noise),
        "Only the first sample is in your map, divided by the number of all: does your function "
        "return inside the loop?",
    ),
    Mistake(
        "noise_alone",
        lambda model, x, classes, noise: maps(model, 0 * x, classes, noise).mean(0),
        "The network only saw the noise, not the image with noise on it.",
    ),
    Mistake(
        "noise_adds_up",
        lambda model, x, classes, noise: maps(model, x, classes, noise.cumsum(0)).mean(0),
        "The noise adds up from sample to sample: each noisy image is made from the one before. "
        "Each should start from the clean image.",
    ),
    Mistake(
        "noise_subtracted",
        lambda model, x, classes, noise: maps(model, x, classes, -noise).mean(0),
        "You subtracted the noise. On average that makes no difference, but the exercise gives the "
        "noise that is to be *added*, so that answers can be compared.",
    ),
    Mistake(
        "noise_scaled_again",
        _scaled_noise,
        "You scaled the noise by 0.15 of the image's range. It comes scaled already; add it as it "
        "is.",
    ),
    Mistake(
        "noise_times_image",
        lambda model, x, classes, noise: maps(model, x, classes, x * noise).mean(0),
        "You multiplied the noise by the image before adding it. Then dark pixels get none; add it "
        "as it is.",
    ),
    Mistake(
        "noise_on_the_map",
        lambda model, x, classes, noise: (
            (gradient(chosen, model, x, classes) + noise).abs().amax(2).mean(0)
        ),
        "You added the noise to the gradient. It belongs on the image, before the network sees it: "
        "the question is how the gradient changes near this image.",
    ),
    Mistake(
        "largest_of_samples",
        lambda model, x, classes, noise: maps(model, x, classes, noise).amax(0),
        "You took the largest value over the samples. The largest is ruled by a single noisy "
        "image; the mean is what smooths.",
    ),
    Mistake(
        "samples_left",
        maps,
        "You return a map for every sample. Their mean over the samples is missing.",
    ),
    from_noisy_score("softmax", *SCORES["softmax"]),
    from_noisy_score("all_classes", *SCORES["all_classes"]),
    from_noisy_score(
        "top_class",
        SCORES["top_class"][0],
        "You used the class the network finds most probable in each noisy image, not the one in "
        "`classes`. The average then mixes maps of different classes.",
    ),
    Mistake(
        "median",
        lambda model, x, classes, noise: maps(model, x, classes, noise).median(0).values,
        "You took the median over the samples; SmoothGrad takes their mean.",
    ),
    Mistake(
        "root_of_mean_square",
        lambda model, x, classes, noise: maps(model, x, classes, noise).square().mean(0).sqrt(),
        "You averaged the squares and took the root. The plain mean of the maps is asked for.",
    ),
    Mistake(
        "mean_of_squares",
        lambda model, x, classes, noise: maps(model, x, classes, noise).square().mean(0),
        "You averaged the squares of the maps. The plain mean is asked for.",
    ),
    Mistake(
        "divided_by_images",
        lambda model, x, classes, noise: maps(model, x, classes, noise).sum(0) / len(x),
        "You divided by the number of images. The mean runs over the samples of the noise.",
    ),
    Mistake(
        "one_sample_too_many",
        lambda model, x, classes, noise: maps(model, x, classes, noise).sum(0) / (len(noise) + 1),
        "You divided by one more than there are samples.",
    ),
    Mistake(
        "clean_one_included",
        lambda model, x, classes, noise: maps(
            model, x, classes, torch.cat([noise, torch.zeros_like(noise[:1])])
        ).mean(0),
        "The map of the clean image is in your mean too. Only the noisy copies are averaged.",
    ),
    Mistake(
        "minus_clean",
        lambda model, x, classes, noise: (
            maps(model, x, classes, noise).mean(0)
            - maps(model, x, classes, torch.zeros_like(noise[:1]))[0]
        ),
        "You subtracted the clean image's map. The mean of the noisy ones is the result.",
    ),
    Mistake(
        "first_noise_for_all_images",
        lambda model, x, classes, noise: maps(
            model, x, classes, noise[:, :1].expand_as(noise)
        ).mean(0),
        "All images of the batch get the noise of the first. `noise` holds for every sample one "
        "array for each image.",
    ),
    Mistake(
        "classes_in_another_order",
        lambda model, x, classes, noise: (
            gradient(
                chosen,
                model,
                (x + noise).flatten(0, 1),
                classes.repeat_interleave(len(noise)),
            )
            .abs()
            .amax(1)
            .unflatten(0, noise.shape[:2])
            .mean(0)
        ),
        "In your large batch classes and noisy images are in different orders: the images run "
        "fastest, so the whole list of classes has to be repeated.",
    ),
    *(
        from_noisy_score(name, *SCORES[name])
        for name in (
            *("first_class_for_all", "mean_over_images", "cross_entropy"),
            *("classes_of_all_images", "mean_over_all_pairs", "loss"),
        )
    ),
)


# ------------------------------------------------------------------ pictures


def photo_case() -> Case:
    """The panda, and the class it is."""
    return photos.case(label="giant panda")


def noisy_photo_case() -> Case:
    """The panda with eight samples of noise."""
    case = photo_case()
    noise = saliency.gaussian_noise(case.args["x"], samples=8)
    return Case({**case.args, "noise": noise}, case.note)


def first(result: Tensor) -> Tensor:
    return result[0]


register(
    Exercise(
        name="saliency_map",
        lecture=LECTURE,
        title="Saliency map",
        reference=saliency.saliency_map,
        cases=cases,
        mistakes=SALIENCY_MISTAKES,
        result="one map (H,W) for each image, so (N,H,W)",
        noun="map",
        axes=("image", "row", "column"),
        hints=(
            "Which number do you differentiate, and with respect to what? Only one of the two is "
            "an argument that already exists.",
            "Images of a batch do not mix in the network, so the gradient of the sum of their "
            "scores holds the gradient of each.",
            "The gradient has the shape of the images. Which axis has to go, and what survives?",
        ),
        picture=Picture(photo_case, first, False, "saliency maps of a giant panda"),
    ),
    Exercise(
        name="gradient_times_input",
        lecture=LECTURE,
        title="Gradient times input",
        reference=saliency.gradient_times_input,
        cases=cases,
        mistakes=TIMES_INPUT_MISTAKES,
        result="one signed map (H,W) for each image, so (N,H,W)",
        noun="map",
        axes=("image", "row", "column"),
        hints=(
            "For a score that is linear without bias, S = sum of w_i x_i: what does each pixel "
            "contribute, and what is w_i?",
            "Signs carry the message here: nothing takes an absolute value.",
        ),
        picture=Picture(photo_case, first, True, "gradient-times-input maps of a giant panda"),
    ),
    Exercise(
        name="smoothgrad",
        lecture=LECTURE,
        title="SmoothGrad",
        reference=saliency.smoothgrad,
        cases=noisy_cases,
        mistakes=SMOOTHGRAD_MISTAKES,
        result="one map (H,W) for each image, so (N,H,W)",
        noun="map",
        axes=("image", "row", "column"),
        hints=(
            "The first axis of `noise` counts the samples: what does the network see for one of "
            "them?",
            "You have written the saliency map already. What is left is a loop and a mean.",
        ),
        picture=Picture(noisy_photo_case, first, False, "SmoothGrad maps of a giant panda"),
    ),
)
