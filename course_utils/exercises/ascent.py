"""Lecture 10's exercises: the ascent step, clipping what is small, ascent with a blur."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import ascent, saliency
from course_utils.checking import drawing, networks, photos
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register
from course_utils.common import optimise
from course_utils.exercises.saliency import SCORES, chosen, gradient

LECTURE = "10_ascent"


# ------------------------------------------------------------------ the ascent step


def step_cases(seed: int) -> list[Case]:
    """One image; two; three with classes of a wider network."""
    random = drawing.generator(seed, "ascent_step")
    shapes = [(1, 6, 5, 5, 2.0, 0.125), (2, 5, 7, 4, 3.0, 0.0625), (3, 6, 4, 7, 1.5, 0.25)]
    notes = ["a single image", "a batch of two images", "a batch of three images"]
    found = []
    for (n, height, width, classes, rate, weight), note in zip(shapes, notes, strict=True):
        spec = drawing.network(random, classes)
        x = drawing.images(random, spec, n, height, width)
        wanted = drawing.other_classes(random, spec, x)
        args = {"model": spec, "x": x, "classes": wanted, "rate": rate, "weight": weight}
        found.append(Case(args, note, repeat=n == 2))
    return [*found, Case(from_grey(random), "a grey image without a penalty")]


def from_grey(random: torch.Generator) -> dict[str, object]:
    """Where the lecture starts: every value zero, the weight too."""
    x = torch.zeros(1, 3, 5, 6)
    while True:
        spec = drawing.network(random)
        if networks.margin(networks.build(spec), x) > drawing.MARGIN:
            break
    classes = drawing.other_classes(random, spec, x)
    return {"model": spec, "x": x, "classes": classes, "rate": 1.0, "weight": 0.0}


def step_from(name: str, make: Callable, sentence: str) -> Mistake:
    """A mistake made of the image, the score's gradient, the rate and the weight."""

    def mistake(model: nn.Module, x: Tensor, classes: Tensor, rate: float, weight: float) -> Tensor:
        return make(x, gradient(chosen, model, x, classes), rate, weight)

    return Mistake(name, mistake, sentence)


def step_by(name: str, sentence: str) -> Mistake:
    """A mistake that climbs another number than the score of the class."""
    score = columns_for_all if name == "columns_for_all" else SCORES[name][0]

    def mistake(model: nn.Module, x: Tensor, classes: Tensor, rate: float, weight: float) -> Tensor:
        return x + rate * (gradient(score, model, x, classes) - 2 * weight * x)

    return Mistake(name, mistake, sentence)


def columns_for_all(logits: Tensor, classes: Tensor) -> Tensor:
    """What `[:, classes]` gives: the classes of all images, for each of them."""
    return logits[:, classes].sum()


COLUMNS = (
    "`[:, classes]` takes *every* class of the batch for each image, so each climbs towards all of "
    "them. Pair the row numbers with the classes, or use `gather`."
)


def length(g: Tensor) -> Tensor:
    return g.flatten(1).norm(dim=1)[:, None, None, None]


STEP_MISTAKES = (
    step_from(
        "descent",
        lambda x, g, rate, weight: x - rate * (g - 2 * weight * x),
        "You walk downhill, as in training, where a loss is to fall. Here the score less the "
        "penalty is to rise: the step goes along its gradient.",
    ),
    step_from(
        "penalty_forgotten",
        lambda x, g, rate, weight: x + rate * g,
        "The penalty is missing, or has no effect: the score alone is climbed. The gradient of "
        "weight * ||x||^2 pulls every value towards zero.",
    ),
    step_from(
        "penalty_pushes_away",
        lambda x, g, rate, weight: x + rate * (g + 2 * weight * x),
        "The penalty has the wrong sign: it pushes values away from zero. It is subtracted from "
        "the score, so its gradient is subtracted too.",
    ),
    step_from(
        "two_forgotten",
        lambda x, g, rate, weight: x + rate * (g - weight * x),
        "The derivative of x^2 is 2x: the factor 2 of the penalty's gradient is missing.",
    ),
    step_from(
        "norm_not_squared",
        lambda x, g, rate, weight: x + rate * (g - weight * x / length(x)),
        "You penalised the norm, not its square. The square pulls large values harder than small "
        "ones; the norm pulls all images equally hard, however large they are.",
    ),
    step_from(
        "penalty_without_rate",
        lambda x, g, rate, weight: x + rate * g - 2 * weight * x,
        "The rate multiplies only the score's gradient. It is the length of the whole step: the "
        "penalty belongs to what is climbed.",
    ),
    step_from(
        "rate_forgotten",
        lambda x, g, rate, weight: x + g - 2 * weight * x,
        "`rate` has no effect: the step is the gradient itself.",
    ),
    step_from(
        "step_only",
        lambda x, g, rate, weight: rate * (g - 2 * weight * x),
        "You return the step and not where it leads. The new image is the old one plus the step.",
    ),
    step_from(
        "sign_only",
        lambda x, g, rate, weight: x + rate * (g - 2 * weight * x).sign(),
        "All values move equally far, as with the sign of the gradient; here a steep one moves "
        "farther. (Lecture 11 takes the sign, for a reason.)",
    ),
    step_from(
        "unit_gradient",
        lambda x, g, rate, weight: x + rate * (g / length(g) - 2 * weight * x),
        "You divided the gradient by its norm. That is a fine rule too, but it is another one: "
        "this step is proportional to the slope.",
    ),
    step_from(
        "mean_size_one",
        lambda x, g, rate, weight: (
            x + rate * (g / g.abs().mean((1, 2, 3), keepdim=True) - 2 * weight * x)
        ),
        "You divided the gradient by its mean absolute value. That is DeepDream's step (lecture "
        "12); this one is proportional to the slope.",
    ),
    step_from(
        "clamped",
        lambda x, g, rate, weight: (x + rate * (g - 2 * weight * x)).clamp(0, 1),
        "You cut the values to 0-1. The images are normalised: zero is the mean colour, and "
        "negative values are as good as positive ones.",
    ),
    step_by(
        "softmax",
        "You climbed the probability after softmax, not the score before it. Where the network is "
        "sure, or sure of something else, the probability has hardly any slope.",
    ),
    step_by(
        "cross_entropy",
        "You climbed the log-probability (minus the cross-entropy). It also rises by pushing other "
        "classes down; the score knows only its own class.",
    ),
    step_by(
        "all_classes",
        "You climbed the sum of all scores. Take the score of the class that is asked for.",
    ),
    step_by(
        "top_class",
        "You climbed the class that the network finds most probable, not the one in `classes`.",
    ),
    step_by(
        "first_class_for_all",
        "Only the first image climbs towards its own class: you used `classes[0]` for all.",
    ),
    step_by("columns_for_all", COLUMNS),
    step_from(
        "sizes_penalised",
        lambda x, g, rate, weight: x + rate * (g - weight * x.sign()),
        "You penalised the sum of the sizes. It pulls every value equally hard; the squares pull "
        "large ones harder.",
    ),
    step_from(
        "penalty_after_the_step",
        lambda x, g, rate, weight: (x + rate * g) * (1 - 2 * rate * weight),
        "Your penalty acts on the image after the step. Score and penalty are one number to climb, "
        "and its gradient is taken once, at the old image.",
    ),
    step_by(
        "mean_over_images",
        "The score's gradient is divided by the number of images, as with a mean of the scores. "
        "Each image is a climb of its own, whoever climbs beside it.",
    ),
)


# ------------------------------------------------------------------ clipping


def clip_cases(seed: int) -> list[Case]:
    """One image clipped by its own size; batches clipped by something else."""
    random = drawing.generator(seed, "clip_small")
    found = []
    for n, height, width, own in [(1, 8, 5, True), (2, 10, 4, False), (3, 5, 8, False)]:
        x = torch.randn(n, 3, height, width, generator=random)
        scale = 0.5 + torch.rand(n, 1, 1, 1, generator=random)
        by = x.clone() if own else scale * torch.randn(x.shape, generator=random)
        share = (0.25, 0.375, 0.625)[drawing.integer(random, 0, 3)]  # exact shares of 40 pixels
        note = "an image clipped by its own size" if own else f"{n} images clipped by a gradient"
        found.append(Case({"x": x, "by": by, "share": share}, note, repeat=n == 2))
    return found


def smallest(size: Tensor, share: float) -> Tensor:
    """True at the smallest `share` of each row of (N,...)."""
    flat = size.flatten(1)
    ranks = flat.argsort(1).argsort(1)
    return (ranks < round(share * flat.shape[1])).view(size.shape)


def cleared(x: Tensor, gone: Tensor) -> Tensor:
    return torch.where(gone, torch.zeros_like(x), x)


def norms(by: Tensor) -> Tensor:
    return by.norm(dim=1, keepdim=True)


def rows_apart(size: Tensor, share: float) -> Tensor:
    """True at the smallest `share` of each row, found as by torch.quantile."""
    return size < torch.quantile(size, share, dim=3, keepdim=True)


CLIP_MISTAKES = (
    Mistake(
        "large_ones_gone",
        lambda x, by, share: cleared(x, smallest(-norms(by), share)),
        "You set the *largest* pixels to zero. What is to go is what hardly matters.",
    ),
    Mistake(
        "share_kept",
        lambda x, by, share: cleared(x, smallest(norms(by), 1 - share)),
        "You kept the `share`, instead of setting it to zero: 0.25 should leave three quarters.",
    ),
    Mistake(
        "by_itself",
        lambda x, by, share: cleared(x, smallest(norms(x), share)),
        "You measured the image instead of `by`. When pixels with a small *gradient* are to go, "
        "`by` is the gradient.",
    ),
    Mistake(
        "colours_apart",
        lambda x, by, share: cleared(x, smallest(by.abs(), share)),
        "You clipped values, not pixels: the three colours of a pixel go together, by the norm "
        "over the three.",
    ),
    Mistake(
        "sum_with_signs",
        lambda x, by, share: cleared(x, smallest(by.sum(1, keepdim=True), share)),
        "You added the colours with their signs, so that strongly negative pixels count as the "
        "smallest. The norm over the colours has no sign.",
    ),
    Mistake(
        "size_of_the_mean",
        lambda x, by, share: cleared(x, smallest(by.mean(1, keepdim=True).abs(), share)),
        "You took the mean of the colours before its size: where one colour is positive and "
        "another negative they cancel. The norm over the colours has no sign.",
    ),
    Mistake(
        "sum_of_sizes",
        lambda x, by, share: cleared(x, smallest(by.abs().sum(1, keepdim=True), share)),
        "You measured a pixel by the sum of its colours' sizes. Close, but the exercise asks for "
        "the Euclidean norm: the root of the sum of squares.",
    ),
    Mistake(
        "largest_colour",
        lambda x, by, share: cleared(x, smallest(by.abs().amax(1, keepdim=True), share)),
        "You measured a pixel by its largest colour. The exercise asks for the Euclidean norm over "
        "the three.",
    ),
    Mistake(
        "batch_together",
        lambda x, by, share: cleared(x, smallest(norms(by)[None], share)[0]),
        "You ranked the pixels of all images together. One image of weak values would vanish; "
        "each loses its own `share`.",
    ),
    Mistake(
        "share_of_the_largest",
        lambda x, by, share: cleared(x, norms(by) < share * norms(by).amax((2, 3), keepdim=True)),
        "You compared with `share` times the largest norm. `share` counts pixels: that part of "
        "them goes, however large they are.",
    ),
    Mistake(
        "share_as_threshold",
        lambda x, by, share: cleared(x, norms(by) < share),
        "You took `share` as a threshold for the norm. It says which part of the pixels goes.",
    ),
    Mistake(
        "each_row",
        lambda x, by, share: cleared(x, rows_apart(norms(by), share)),
        "You ranked the pixels of each row by themselves. The `share` is one of the whole image, "
        "so a dull row may lose all of its pixels.",
    ),
    Mistake(
        "nothing_gone",
        lambda x, by, share: x,
        "Your images come back as they were: no pixel is set to zero. Is `share` read as per cent "
        "somewhere? It is a number from 0 to 1.",
    ),
    Mistake(
        "mask_returned",
        lambda x, by, share: (~smallest(norms(by), share)).to(x).expand_as(x),
        "You return the mask. The image times the mask is what is asked for.",
    ),
    Mistake(
        "by_returned",
        lambda x, by, share: cleared(by, smallest(norms(by), share)),
        "You clipped `by` instead of `x`. `by` only says which pixels go.",
    ),
)


# ------------------------------------------------------------------ ascent with a blur


def ascend_cases(seed: int) -> list[Case]:
    """Blurs after every second and third step, on climbs that stay clear of every kink."""
    random = drawing.generator(seed, "ascend")
    found = []
    for n, height, width, steps, every in [(1, 6, 7, 5, 2), (2, 9, 8, 6, 3), (1, 13, 14, 4, 2)]:
        row = BINOMIALS[len(found)]
        # One kernel is not its own transpose, and one climb goes far beyond 1.
        across = torch.ones_like(row) if n == 2 else row
        kernel, rate = row.outer(across) / (row.sum() * across.sum()), 0.75 if found else 30.0
        while True:
            spec = drawing.network(random, 4)
            x = drawing.images(random, spec, n, height, width)
            wanted = drawing.other_classes(random, spec, x)
            args = {"x": x, "classes": wanted, "rate": rate, "steps": steps}
            args |= {"kernel": kernel, "every": every}
            if _smooth(spec, args):
                break
        size = len(row)
        note = f"{steps} steps with a blur by a {size} x {size} kernel after every {every}"
        found.append(Case({"model": spec, **args}, note, repeat=n == 2))
    return found


BINOMIALS = [torch.tensor([1.0, 1.0])]
while len(BINOMIALS) < 6:
    BINOMIALS.append(functional.pad(BINOMIALS[-1], (1, 0)) + functional.pad(BINOMIALS[-1], (0, 1)))
BINOMIALS = BINOMIALS[1::2]
"""1 2 1 and the rows of length five and seven below it in Pascal's triangle."""


def _smooth(spec: NetworkSpec, args: dict) -> bool:
    """Whether no step of the climb ends near a kink."""
    model, x = networks.build(spec), args["x"]
    for step in range(1, args["steps"] + 1):
        blur = 1 if step % args["every"] == 0 else 2  # of one step: after it, or not at all
        x = ascent.ascend(model, x, args["classes"], args["rate"], 1, args["kernel"], blur)
        if networks.margin(model, x) < 0.2 * drawing.MARGIN:
            return False
    return True


def climb(
    model: nn.Module,
    x: Tensor,
    classes: Tensor,
    rate: float,
    rounds: int,
    before: Callable = lambda step, x: x,
    after: Callable = lambda step, x: x,
    change: Callable = lambda g: g,
    score: Callable = chosen,
) -> Tensor:
    """A climb in which something happens before or after each step, or to its gradient."""
    for step in range(rounds):
        x = before(step, x)
        x = x + rate * change(gradient(score, model, x, classes))
        x = after(step, x)
    return x


def climbing(name: str, make: Callable, sentence: str) -> Mistake:
    """A mistake of the schedule: `make(steps, every, blur)` gives the arguments of `climb`."""

    def mistake(model, x, classes, rate, steps, kernel, every):
        blur = lambda image: ascent.convolved(image, kernel)  # noqa: E731
        given = {"rounds": steps, "rate": rate} | make(steps, every, blur)
        rate_used = given.pop("factor", 1) * given.pop("rate")
        return climb(model, x, classes, rate_used, **given)

    return Mistake(name, mistake, sentence)


def due(every: int, blur: Callable, offset: int = 1) -> Callable:
    return lambda step, x: blur(x) if (step + offset) % every == 0 else x


def padded(x: Tensor, kernel: Tensor, mode: str) -> Tensor:
    reach = kernel.shape[-1] // 2
    wide = functional.pad(x, (reach,) * 4, mode=mode)
    return functional.conv2d(wide, kernel.expand(3, 1, -1, -1), groups=3)


def bordered(mode: str) -> Callable:
    def mistake(model, x, classes, rate, steps, kernel, every):
        blur = lambda image: padded(image, kernel, mode)  # noqa: E731
        return climb(model, x, classes, rate, steps, after=due(every, blur))

    return mistake


def _padding_one(model, x, classes, rate, steps, kernel, every):
    blur = lambda image: functional.conv2d(  # noqa: E731
        image, kernel.expand(3, 1, -1, -1), padding=1, groups=3
    )
    return climb(model, x, classes, rate, steps, after=due(every, blur))


def _gradient_of_the_start(model, x, classes, rate, steps, kernel, every):
    slope = gradient(chosen, model, x, classes)
    for step in range(1, steps + 1):
        x = x + rate * slope
        x = ascent.convolved(x, kernel) if step % every == 0 else x
    return x


def blurred_with(another: Callable[[Tensor], Tensor]) -> Callable:
    """A climb whose blur has another kernel: what `another` makes of the one that is given."""

    def mistake(model, x, classes, rate, steps, kernel, every):
        blur = lambda image: ascent.convolved(image, another(kernel))  # noqa: E731
        return climb(model, x, classes, rate, steps, after=due(every, blur))

    return mistake


def along_rows(kernel: Tensor) -> Tensor:
    """The kernel's sums over its columns, in its middle row."""
    made = torch.zeros_like(kernel)
    made[len(kernel) // 2] = kernel.sum(0)
    return made


def _colours_mixed(model, x, classes, rate, steps, kernel, every):
    mix = lambda image: functional.conv2d(  # noqa: E731
        image, kernel.expand(3, 3, -1, -1), padding=kernel.shape[-1] // 2
    )
    return climb(model, x, classes, rate, steps, after=due(every, mix))


ASCEND_MISTAKES = (
    climbing(
        "never_blurred",
        lambda steps, every, blur: {},
        "The blur never happens: this is plain ascent.",
    ),
    climbing(
        "blurred_each_step",
        lambda steps, every, blur: {"after": lambda step, x: blur(x)},
        "You blur after each step. The picture needs some steps to sharpen what the blur has "
        "left; do it after every `every` of them.",
    ),
    climbing(
        "blurred_at_step_zero",
        lambda steps, every, blur: {"after": due(every, blur, 0)},
        "Your counter starts at 0, and 0 % every is 0: the first blur comes after the first step. "
        "It should come after `every` steps.",
    ),
    climbing(
        "blurred_before_the_step",
        lambda steps, every, blur: {"before": due(every, blur, 0)},
        "You blur before the step, and so the start too. Blur what the steps have made, after the "
        "`every`-th of them.",
    ),
    climbing(
        "blurred_one_step_early",
        lambda steps, every, blur: {"before": due(every, blur, 1)},
        "You blur before the `every`-th step instead of after it.",
    ),
    climbing(
        "blurred_at_the_end",
        lambda steps, every, blur: {"after": lambda s, x: blur(x) if s == steps - 1 else x},
        "You blur once, at the end. The network should see the blurred picture and answer to it: "
        "the blur belongs inside the loop.",
    ),
    climbing(
        "gradient_blurred",
        lambda steps, every, blur: {"change": blur},
        "You blur the gradient, not the image. That is a regulariser too (and a good one), but "
        "what the image already holds stays as it is.",
    ),
    Mistake(
        "gradient_of_the_start",
        _gradient_of_the_start,
        "You took the gradient once, where the climb begins. It changes with every step: take it "
        "anew, at the image as it is then.",
    ),
    Mistake(
        "blurred_along_rows",
        blurred_with(along_rows),
        "You blur along the rows only. The kernel has rows and columns, and so has its blur.",
    ),
    climbing(
        "blurred_twice",
        lambda steps, every, blur: {"after": due(every, lambda x: blur(blur(x)))},
        "You blur twice each time.",
    ),
    climbing(
        "descent",
        lambda steps, every, blur: {"factor": -1, "after": due(every, blur)},
        "You walk downhill: the score is to rise, so each step goes along its gradient.",
    ),
    climbing(
        "columns_for_all",
        lambda steps, every, blur: {"score": columns_for_all, "after": due(every, blur)},
        COLUMNS,
    ),
    Mistake(
        "kernel_transposed",
        blurred_with(lambda kernel: kernel.T),
        "Rows and columns of the kernel are exchanged in your blur.",
    ),
    climbing(
        "mean_over_images",
        lambda steps, every, blur: {
            "score": SCORES["mean_over_images"][0],
            "after": due(every, blur),
        },
        "The gradient is divided by the number of images, as with a mean of their scores. Each "
        "image is a climb of its own, whoever climbs beside it.",
    ),
    climbing(
        "unit_gradient",
        lambda steps, every, blur: {"change": lambda g: g / length(g), "after": due(every, blur)},
        "You divided the gradient by its norm. This step is proportional to the slope, as in the "
        "exercise before.",
    ),
    Mistake(
        "padding_one",
        _padding_one,
        "Your picture shrinks with each blur: `padding=1` keeps the size for a 3 x 3 kernel only. "
        "It takes half the kernel's length, rounded down.",
    ),
    Mistake(
        "box",
        blurred_with(lambda kernel: torch.full_like(kernel, 1 / kernel.numel())),
        "You blur by a plain mean. The weights of the neighbours stand in `kernel`.",
    ),
    climbing(
        "one_step_too_few",
        lambda steps, every, blur: {"rounds": steps - 1, "after": due(every, blur)},
        "One step is missing: `range(1, steps)` ends before `steps`.",
    ),
    climbing(
        "one_step_too_many",
        lambda steps, every, blur: {"rounds": steps + 1, "after": due(every, blur)},
        "One step too many: `range(steps + 1)` begins at 0.",
    ),
    climbing(
        "a_single_step",
        lambda steps, every, blur: {"rounds": 1},
        "You return after the first step: look at where your `return` stands.",
    ),
    Mistake(
        "border_mirrored",
        bordered("reflect"),
        "At the border you continued the image by its mirror image. Zeros are asked for (the mean "
        "colour), `padding=` of the convolution.",
    ),
    Mistake(
        "border_repeated",
        bordered("replicate"),
        "At the border you repeated the outermost pixels. Zeros are asked for (the mean colour), "
        "`padding=` of the convolution.",
    ),
    Mistake(
        "colours_mixed",
        _colours_mixed,
        "Your convolution adds up the colours. Each colour is blurred on its own: "
        "`groups=3`, or one colour after the other.",
    ),
)


# ------------------------------------------------------------------ pictures


def zero_case() -> Case:
    """A grey image that is to become a goldfish."""
    net = photos.network()
    args = {"model": photos.SPEC, "x": torch.zeros(1, 3, 112, 112)}
    return Case(args | {"classes": torch.tensor([net.index("goldfish")])}, "a grey image")


def step_picture() -> Case:
    """One step from grey."""
    case = zero_case()
    return Case(case.args | {"rate": 1.0, "weight": 0.01}, case.note)


def ascend_picture() -> Case:
    """Twelve steps from grey, with a blur after every third."""
    case = zero_case()
    kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    args = {"rate": 1.0, "steps": 12, "kernel": kernel, "every": 3}
    return Case(case.args | args, case.note)


def clip_picture() -> Case:
    """The panda, clipped where the slope of its score is small."""
    x = photos.seen()
    by = saliency.input_gradient(photos.network(), x, "giant panda")
    return Case({"x": x, "by": by, "share": 0.75}, "a photo")


def size_map(result: Tensor) -> Tensor:
    return result[0].abs().amax(0)


register(
    Exercise(
        name="ascent_step",
        lecture=LECTURE,
        title="The ascent step",
        reference=ascent.ascent_step,
        cases=step_cases,
        mistakes=STEP_MISTAKES,
        result="the images after one step, (N,3,H,W)",
        noun="image",
        axes=("image", "colour", "row", "column"),
        hints=(
            "Write down the number that is to grow, score minus penalty, and differentiate it. "
            "Autograd can do the penalty too, or you can by hand.",
            "Uphill is along the gradient: x plus rate times the gradient.",
        ),
        picture=Picture(step_picture, size_map, False, "the size of one ascent step from grey"),
    ),
    Exercise(
        name="ascend",
        lecture=LECTURE,
        title="Ascent with a blur every few steps",
        reference=ascent.ascend,
        cases=ascend_cases,
        mistakes=ASCEND_MISTAKES,
        result="the images after all steps, (N,3,H,W)",
        noun="image",
        axes=("image", "colour", "row", "column"),
        hints=(
            "A loop over the steps, counted from 1; in it your ascent step with weight 0, and "
            "sometimes a blur.",
            "torch.nn.functional.conv2d with groups=3 blurs each colour on its own; its kernel "
            "then has the shape (3,1,k,k), and padding=k//2 keeps the size.",
        ),
        picture=Picture(ascend_picture, photos.colours, False, "a goldfish after twelve steps"),
    ),
    Exercise(
        name="clip_small",
        lecture=LECTURE,
        title="Clipping what is small",
        reference=optimise.clip_small,
        cases=clip_cases,
        mistakes=CLIP_MISTAKES,
        result="the images with some pixels set to zero, (N,3,H,W)",
        noun="image",
        axes=("image", "colour", "row", "column"),
        hints=(
            "One number for each pixel first: the norm of `by` over the colours, (N,H,W).",
            "Then a threshold for each image: the value that a `share` of its pixels lies below. "
            "torch.quantile or a sort finds it.",
        ),
        picture=Picture(
            clip_picture, photos.colours, False, "a panda's pixels with a large gradient"
        ),
    ),
)
