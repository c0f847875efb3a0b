"""Lecture 11's exercises: the fast gradient sign, and ascent that knows when to stop."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import adversarial
from course_utils.checking import drawing, networks, photos
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register

LECTURE = "11_adversarial"

# ------------------------------------------------------------------ fast gradient sign


def signed_cases(seed: int) -> list[Case]:
    """One image; two; four with classes of a wider network. No slope is too near to zero."""
    random = drawing.generator(seed, "fgsm")
    shapes = [(1, 6, 5, 5), (2, 5, 6, 4), (4, 5, 4, 8)]
    notes = ["a single image", "a batch of two images", "a batch of four images"]
    return [
        Case(signed_case(random, *shape), note, repeat=shape[0] == 2)
        for shape, note in zip(shapes, notes, strict=True)
    ]


def signed_case(
    random: torch.Generator, n: int, height: int, width: int, classes: int
) -> dict[str, object]:
    """A network, images in 0-1 and their classes, such that float noise turns no sign round."""
    spec = drawing.network(random, classes)
    model, pixels, wanted = networks.build(spec), [], []
    for _ in range(40 * n):
        one = torch.rand(1, 3, height, width, generator=random)
        c = torch.randint(0, classes, (1,), generator=random)
        if c.item() not in wanted[-1:] and clear_signs(model, one, c):
            pixels.append(one)
            wanted.append(c.item())
        if len(wanted) == n:
            epsilon = 0.05 + 0.1 * torch.rand(1, generator=random).item()
            args = {"model": spec, "pixels": torch.cat(pixels), "classes": torch.tensor(wanted)}
            return args | {"epsilon": epsilon}
    return signed_case(random, n, height, width, classes)  # a network without slopes: another one


def clear_signs(model: nn.Module, one: Tensor, c: Tensor) -> bool:
    """No ReLU and no slope is near zero, and the loss is not flat from certainty."""
    g = slope(loss, model, one, c).abs()
    far = networks.margin(model, one) > drawing.MARGIN and bool(g.min() > 1e-3 * g.max())
    return far and model(one).softmax(1)[0, c].item() < 0.99


def slope(
    number: Callable[[Tensor, Tensor], Tensor], model: nn.Module, pixels: Tensor, classes: Tensor
) -> Tensor:
    """The gradient of any number made of the logits and the classes."""
    x = pixels.detach().clone().requires_grad_()
    return torch.autograd.grad(number(model(x), classes), x)[0]


def loss(logits: Tensor, classes: Tensor) -> Tensor:
    return functional.cross_entropy(logits, classes, reduction="sum")


def score(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None]).sum()


def stepped(
    name: str,
    move: Callable[[Tensor, float], Tensor],
    sentence: str,
    number: Callable[[Tensor, Tensor], Tensor] = loss,
) -> Mistake:
    """A mistake that makes another step of the gradient and then clips as it should."""

    def function(model: nn.Module, pixels: Tensor, classes: Tensor, epsilon: float) -> Tensor:
        g = slope(number, model, pixels, classes)
        return (pixels + move(g, epsilon)).clamp(0, 1)

    return Mistake(name, function, sentence)


def fast(model: nn.Module, pixels: Tensor, classes: Tensor, epsilon: float) -> Tensor:
    """The change itself, before anything is added or clipped."""
    return epsilon * slope(loss, model, pixels, classes).sign()


def lengths(g: Tensor) -> Tensor:
    return g.flatten(1).norm(dim=1)[:, None, None, None]


FGSM_MISTAKES = (
    Mistake(
        "no_clip",
        lambda model, pixels, classes, epsilon: pixels + fast(model, pixels, classes, epsilon),
        "Some of your values lie outside 0 to 1. That is no picture any more: nobody could save "
        "it. Clip after the step.",
    ),
    Mistake(
        "change_only",
        fast,
        "You return the change, not the changed picture. Add it to the pixels, then clip.",
    ),
    Mistake(
        "change_clipped",
        lambda model, pixels, classes, epsilon: (
            pixels + fast(model, pixels, classes, epsilon).clamp(0, 1)
        ),
        "You clipped the change to 0 to 1, so that nothing can get darker. It is the *picture* "
        "that has to stay in that range, after the change is added.",
    ),
    stepped(
        "minus",
        lambda g, e: -e * g.sign(),
        "You went down the loss instead of up: the network is surer than before. We want it to "
        "give up this class.",
    ),
    stepped(
        "no_sign",
        lambda g, e: e * g,
        "You added the gradient itself, so nearly nothing changes where it is small. Every value "
        "may move by epsilon: only the direction of each counts.",
    ),
    stepped(
        "unit_length",
        lambda g, e: e * g / lengths(g),
        "You divided the gradient by its Euclidean length. That spends a budget of *length*; the "
        "budget here is for each value by itself, and every one should use it up.",
    ),
    stepped(
        "largest_is_epsilon",
        lambda g, e: e * g / g.abs().amax((1, 2, 3), keepdim=True),
        "You scaled the gradient so that its largest value is epsilon. All the others then use "
        "only a part of what they are allowed.",
    ),
    stepped(
        "one_sign_for_three_colours",
        lambda g, e: e * g.sum(1, keepdim=True).sign(),
        "All three colours of a pixel move the same way in your picture. Each has a slope of its "
        "own, and so a sign of its own.",
    ),
    stepped(
        "up_the_score",
        lambda g, e: e * g.sign(),
        "You climbed the class's score: that makes the network surer. The loss grows where the "
        "score *falls* and the rivals' scores rise.",
        score,
    ),
    stepped(
        "down_the_score",
        lambda g, e: -e * g.sign(),
        "You went down the class's score, which is close. The loss also grows when a rival rises, "
        "and its sign differs in some pixels.",
        score,
    ),
    stepped(
        "top_class",
        lambda g, e: e * g.sign(),
        "You left the class the network finds most probable, not the one in `classes`. They need "
        "not be the same.",
        lambda logits, classes: loss(logits, logits.argmax(1)),
    ),
    stepped(
        "first_class_for_all",
        lambda g, e: e * g.sign(),
        "Only the first image has the right class: you used the first of `classes` for all of "
        "them. Each image comes with a class of its own.",
        lambda logits, classes: loss(logits, classes[:1].expand(len(classes))),
    ),
    stepped(
        "over_255",
        lambda g, e: e / 255 * g.sign(),
        "You divided `epsilon` by 255. It comes in units of the pixels, which lie in 0-1; the "
        "caller has divided already.",
    ),
    stepped(
        "columns_for_all",
        lambda g, e: e * g.sign(),
        "`[:, classes]` takes *every* class of the batch for each image. Each has one class of its "
        "own: pair the row numbers with the classes, or use `gather`.",
        lambda logits, classes: -logits.log_softmax(1)[:, classes].sum(),
    ),
    stepped(
        "softmax_twice",
        lambda g, e: e * g.sign(),
        "You gave probabilities to `cross_entropy`, which takes the softmax itself: the slope is "
        "that of a softmax of a softmax, and some signs differ. Give it the scores.",
        lambda logits, classes: loss(logits.softmax(1), classes),
    ),
    Mistake(
        "clipped_to_minus_one",
        lambda model, pixels, classes, epsilon: (
            pixels + fast(model, pixels, classes, epsilon)
        ).clamp(-1, 1),
        "Some of your values are negative: you clipped to -1 to 1. Pixels live in 0 to 1.",
    ),
    stepped(
        "half_epsilon",
        lambda g, e: e / 2 * g.sign(),
        "Your step is half as large as it may be: every value may move by epsilon, up *or* down.",
    ),
)


# ------------------------------------------------------------------ ascent with a stop rule

CLEAR = 0.03
"""How far the probabilities around the stop stay from the confidence that is asked for."""


def ascent_cases(seed: int) -> list[Case]:
    """One that reaches the confidence, one with long steps that need clipping, one cut short."""
    random = drawing.generator(seed, "targeted_ascent")
    plans = [(0.25, 12, True), (0.8, 12, True), (0.2, 4, False)]
    notes = ["an easy target", "long steps", "a target that is not reached in time"]
    found = [
        Case(ascent_case(random, *plan), note, repeat=plan[0] == 0.25)
        for plan, note in zip(plans, notes, strict=True)
    ]
    return [*found, Case(sure_case(random), "a picture whose target is probable enough already")]


def sure_case(random: torch.Generator) -> dict[str, object]:
    """A picture whose second class, the target, has the probability that is asked for at once."""
    while True:
        spec = drawing.network(random, 5)
        pixels = torch.rand(1, 3, 6, 5, generator=random)
        p, order = networks.build(spec)(pixels)[0].softmax(0).sort(descending=True)
        if 0.25 < p[1] < p[0] - CLEAR:
            args = {"model": spec, "pixels": pixels, "target": int(order[1])}
            return args | {"rate": 0.5, "confidence": round(p[1].item() - CLEAR, 3), "steps": 6}


STARTS = 64
"""Images that are tried at once on each network: few of them walk as a case should."""


def ascent_case(
    random: torch.Generator, rate: float, steps: int, reached: bool
) -> dict[str, object]:
    """Drawn again until the way is far from kinks and from the confidence, and long enough."""
    while True:
        spec = drawing.network(random, 5)
        model, pixels = networks.build(spec), torch.rand(STARTS, 3, 6, 5, generator=random)
        targets = model(pixels).argsort(1)[:, drawing.integer(random, 0, 4)]
        images, own, top, steep = walk(model, pixels, targets, rate, steps)
        for i in range(STARTS):
            confidence = stopping_place(random, own[:, i].tolist(), top[:, i].tolist(), reached)
            # The start's own answer is surer than what is asked for: only the target's may count.
            clear = confidence is not None and top[0, i] > max(confidence, 0.4 if reached else 0.9)
            if clear and steep[i] and networks.margin(model, images[:, i]) > drawing.MARGIN:
                args = {"model": spec, "pixels": pixels[i : i + 1], "target": int(targets[i])}
                return args | {"rate": rate, "confidence": confidence, "steps": steps}


def walk(
    model: nn.Module, pixels: Tensor, targets: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All ways to the end: images (T,N,3,H,W), the target's and the largest probability (T,N).

    The last one says, (N,), whether the slope was clear of zero everywhere.
    """
    images, own, top, x = [], [], [], pixels
    steep = torch.ones_like(targets, dtype=torch.bool)
    for _ in range(steps + 1):
        x = x.detach().requires_grad_()
        logits = model(x)
        g = torch.autograd.grad(score(logits, targets), x)[0]
        p, length = logits.detach().softmax(1), lengths(g)
        images.append(x.detach())
        own.append(p.gather(1, targets[:, None])[:, 0])
        top.append(p.amax(1))
        steep &= length.flatten() >= 1e-2
        x = (x + rate * g / length.clamp(min=1e-20)).clamp(0, 1)
    return torch.stack(images), torch.stack(own), torch.stack(top), steep


def stopping_place(
    random: torch.Generator, own: list[float], top: list[float], reached: bool
) -> float | None:
    """A confidence that stops the way in its middle, or that it never reaches; None if neither."""
    if not reached:
        return 0.9 if max(own) < 0.9 - CLEAR else None
    won = next((i for i, (p, best) in enumerate(zip(own, top, strict=True)) if p == best), len(own))
    rises = [(max(own[:i]), own[i]) for i in range(max(3, won + 1), len(own) - 1)]
    places = [(low + high) / 2 for low, high in rises if high - low >= 2 * CLEAR]
    return round(places[drawing.integer(random, 0, len(places))], 3) if places else None


def ascent(
    model: nn.Module,
    pixels: Tensor,
    target: int,
    rate: float,
    confidence: float,
    steps: int,
    number: Callable[[Tensor, Tensor], Tensor] = score,
    move: Callable[[Tensor], Tensor] = lambda g: g / lengths(g),
    clip: Callable[[Tensor], Tensor] = lambda x: x.clamp(0, 1),
    stop: Callable[[Tensor, int, float], bool] = lambda p, c, confidence: p[c] >= confidence,
) -> tuple[Tensor, int]:
    """The ascent with one of its parts exchanged."""
    x, c = pixels, torch.tensor([target])
    for step in range(steps):
        if stop(model(x)[0].softmax(0), target, confidence):
            return x, step
        x = clip(x + rate * move(slope(number, model, x, c)))
    return x, steps


def exchanged(name: str, sentence: str, **parts: Callable) -> Mistake:
    def function(
        model: nn.Module, pixels: Tensor, target: int, rate: float, confidence: float, steps: int
    ) -> tuple[Tensor, int]:
        return ascent(model, pixels, target, rate, confidence, steps, **parts)

    return Mistake(name, function, sentence)


def clipped_at_the_end(*args: object) -> tuple[Tensor, int]:
    x, steps = ascent(*args, clip=lambda x: x)
    return x.clamp(0, 1), steps


def looks_after_stepping(model, pixels, target, rate, confidence, steps):
    g = slope(score, model, pixels, torch.tensor([target]))
    first = (pixels + rate * g / lengths(g)).clamp(0, 1)
    x, more = ascent(model, first, target, rate, confidence, steps - 1)
    return x, 1 + more


def one_step_late(model, pixels, target, rate, confidence, steps):
    x, taken = ascent(model, pixels, target, rate, confidence, steps)
    g = slope(score, model, x, torch.tensor([target]))
    return (x + rate * g / lengths(g)).clamp(0, 1), taken + 1


def counted_from_one(*args: object) -> tuple[Tensor, int]:
    x, steps = ascent(*args)
    return x, steps + 1


def image_before(model, pixels, target, rate, confidence, steps):
    _, taken = ascent(model, pixels, target, rate, confidence, steps)
    return ascent(model, pixels, target, rate, 2.0, taken - 1)[0], taken


def first_slope_only(model, pixels, target, rate, confidence, steps):
    g = slope(score, model, pixels, torch.tensor([target]))
    return ascent(model, pixels, target, rate, confidence, steps, move=lambda _: g / lengths(g))


ASCENT_MISTAKES = (
    exchanged(
        "never_stops",
        "You take all the steps. Look at the probability of the target before each one, and stop "
        "where it is high enough.",
        stop=lambda p, c, confidence: False,
    ),
    exchanged(
        "stops_when_it_wins",
        "You stop as soon as the target is the most probable class. We asked for more: its "
        "probability has to reach `confidence`.",
        stop=lambda p, c, confidence: p.argmax() == c,
    ),
    exchanged(
        "any_class_is_sure",
        "You stop when *any* class is probable enough, and the photo's own class is from the "
        "start. It is the target's probability that counts.",
        stop=lambda p, c, confidence: p.max() >= confidence,
    ),
    Mistake(
        "one_step_late",
        one_step_late,
        "You take one step more than needed: look at the probability of the image you have now, "
        "and only then step.",
    ),
    Mistake(
        "looks_after_stepping",
        looks_after_stepping,
        "You look at the probability only after a step. Where it is high enough from the start "
        "none is needed: look first, and return the picture as it is, with 0 steps.",
    ),
    Mistake(
        "counted_from_one",
        counted_from_one,
        "The picture is right, the number of steps is one too high. Count the steps taken, not the "
        "looks at the probability.",
    ),
    Mistake(
        "image_before",
        image_before,
        "You return the picture as it was before the last step. The one that reached the "
        "confidence is one step further.",
    ),
    exchanged(
        "descent",
        "You went down: the target becomes less probable with every step. The step is added.",
        move=lambda g: -g / lengths(g),
    ),
    exchanged(
        "no_clip",
        "Your picture leaves 0 to 1. Clip it after every step, so that the next slope is that of a "
        "picture one can save.",
        clip=lambda x: x,
    ),
    Mistake(
        "clipped_at_the_end",
        clipped_at_the_end,
        "You clipped only at the end. The network was asked about pictures that do not exist, and "
        "the clipped one may not be believed any more.",
    ),
    exchanged(
        "not_divided",
        "Your steps have the length of the gradient, long where it is steep. Divide it by its "
        "Euclidean length, so that each step is `rate` long.",
        move=lambda g: g,
    ),
    exchanged(
        "signs",
        "You step by the signs of the gradient. That was the last exercise; here the step goes "
        "along the gradient and has a Euclidean length of `rate`.",
        move=torch.sign,
    ),
    exchanged(
        "largest_is_one",
        "You divided the gradient by its largest value. Then the step is longer than `rate`; its "
        "Euclidean length is what it has to be divided by.",
        move=lambda g: g / g.abs().max(),
    ),
    exchanged(
        "up_the_probability",
        "You climbed the probability (or its logarithm), not the score. It also rises where rivals "
        "fall, so you went another way.",
        number=lambda logits, c: score(logits.softmax(1), c),
    ),
    Mistake(
        "first_slope_only",
        first_slope_only,
        "You computed the gradient once, at the start. The network is not linear: ask again after "
        "each step.",
    ),
)


# ------------------------------------------------------------------ pictures


def photo() -> Tensor:
    """The panda's pixels, (1,3,224,224)."""
    return photos.pixels()


def signed_photo_case() -> Case:
    """The panda and the class it is; its change is the picture."""
    args = {"model": NetworkSpec("squeezenet1_1/pixels"), "pixels": photo()}
    return Case(args | {"classes": torch.tensor([388]), "epsilon": 4 / 255}, "a photo")


def ascent_photo_case() -> Case:
    """From the panda towards the koala: two steps, after which float noise still is none to see."""
    args = {"model": NetworkSpec("squeezenet1_1/pixels"), "pixels": photo(), "target": 105}
    return Case(args | {"rate": 0.5, "confidence": 0.9, "steps": 2}, "a photo")


def change_of_photo(result: Tensor) -> Tensor:
    """What was added, in steps of an 8-bit file, summed over the colours of each pixel."""
    return 255 * (result - photo()).sum(1)[0]


register(
    Exercise(
        name="fgsm",
        lecture=LECTURE,
        title="Fast gradient sign",
        reference=adversarial.fgsm,
        cases=signed_cases,
        mistakes=FGSM_MISTAKES,
        result="changed images (N,3,H,W) in 0-1",
        noun="picture",
        axes=("image", "colour", "row", "column"),
        hints=(
            "Which way must the loss go, and which number of the network is that? The loss of a "
            "batch is the sum over its images, so that each has its own gradient.",
            "No value may move by more than epsilon, and a linear function gains most if each one "
            "moves by all of it. What is left of the gradient then?",
            "A picture lives in 0 to 1, before and after.",
        ),
        picture=Picture(signed_photo_case, change_of_photo, True, "the change of a giant panda"),
    ),
    Exercise(
        name="targeted_ascent",
        lecture=LECTURE,
        title="Ascent with a stop rule",
        reference=adversarial.targeted_ascent,
        cases=ascent_cases,
        mistakes=ASCENT_MISTAKES,
        result="the image (1,3,H,W) in 0-1 and the number of steps taken",
        noun="result",
        axes=(("image", "colour", "row", "column"), ()),
        parts=("image", "number of steps"),
        hints=(
            "Three things happen in every round: look, perhaps stop, step. In which order?",
            "The step has the length `rate`, whatever the gradient's own length is.",
            "Clip in every round, not once at the end.",
        ),
        tolerance=2e-4,
        picture=Picture(
            ascent_photo_case,
            lambda result: change_of_photo(result[0]),
            True,
            "the change that makes a koala of a giant panda",
        ),
    ),
)
