"""Lecture 11's exercises: the fast gradient sign, and ascent that knows when to stop."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import adversarial
from course_utils.checking import drawing, networks, photos
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register
from course_utils.exercises.saliency import stretched

LECTURE = "11_adversarial"

# ------------------------------------------------------------------ fast gradient sign


STARTS = 64
"""Images that are tried at once on each network: few of them are as a case should be."""

SILENT = (447, 645, 1320, 1888, 1892, 1897, 2101, 2146, 2205, 2260, 2282, 2927, 3534, 3620, 3699)
"""Seeds of tiny networks that see nothing in a corner of one picture in ten: the slopes are 0."""


def signed_cases(seed: int) -> list[Case]:
    """Two images; one; four, of which the first does not change the loss in some of its pixels."""
    random = drawing.generator(seed, "fgsm")
    shapes = [(2, 5, 6, 4), (1, 6, 5, 4), (4, 6, 5, 8)]
    notes = ["a batch of two images", "a single image", "a batch of four images"]
    return [
        Case(signed_case(random, *shape, silent=shape[0] == 4), note, repeat=shape[0] == 2)
        for shape, note in zip(shapes, notes, strict=True)
    ]


def signed_case(
    random: torch.Generator, n: int, height: int, width: int, classes: int, silent: bool
) -> dict[str, object]:
    """A network, images in 0-1 and their classes, such that float noise turns no sign round."""
    for tries in count():
        spec = drawing.network(random, classes)
        if silent and tries < 100:
            spec = replace(spec, seed=SILENT[spec.seed % len(SILENT)])
        model, pixels = networks.build(spec), torch.rand(STARTS, 3, height, width, generator=random)
        own = torch.randint(0, classes, (STARTS,), generator=random)
        chosen = clear_signs(model, pixels, own, n, silent)
        if len(chosen) == n:
            epsilon = 0.05 + 0.1 * torch.rand(1, generator=random).item()
            args = {"model": spec, "pixels": pixels[chosen], "classes": own[chosen]}
            return args | {"epsilon": epsilon}


def clear_signs(model: nn.Module, pixels: Tensor, own: Tensor, n: int, silent: bool) -> list[int]:
    """The first `n` images without a ReLU or slope near zero, each of another class than the last.

    Slopes that are exactly zero are found in the first of them, where `silent` asks for it.
    """
    g = slope(loss, model, pixels, own).abs().flatten(1)
    zero = (g == 0).double().mean(1)
    clear = ((g == 0) | (g > 1e-3 * g.amax(1, keepdim=True))).all(1) & (zero < 0.5)
    clear &= model(pixels).softmax(1).gather(1, own[:, None])[:, 0] < 0.99  # flat from certainty
    found: list[int] = []
    for i in clear.nonzero()[:, 0].tolist():
        other = not found or own[i] != own[found[-1]]
        fits = other and bool(zero[i] > 0) == (silent and not found)
        if fits and networks.margin(model, pixels[i : i + 1]) > drawing.MARGIN:
            found.append(i)
        if len(found) == n:
            break
    return found


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
    stepped(
        "nan_where_flat",
        lambda g, e: e * g / g.abs(),
        "Where a slope is exactly 0 you divide 0 by 0, and your picture has NaN there; photos have "
        "such places. The sign of 0 is 0: these values stay.",
    ),
    stepped(
        "flat_goes_down",
        lambda g, e: e * torch.where(g > 0, 1.0, -1.0),
        "Right but where a slope is exactly 0: there your values fall by epsilon. Nothing is to be "
        "gained there, and the sign of 0 is 0: they stay.",
    ),
    stepped(
        "flat_goes_up",
        lambda g, e: e * torch.where(g >= 0, 1.0, -1.0),
        "Right but where a slope is exactly 0: there your values rise by epsilon. Nothing is to be "
        "gained there, and the sign of 0 is 0: they stay.",
    ),
    stepped(
        "only_brighter",
        lambda g, e: e * (g > 0),
        "None of your values falls. Where the slope is negative, a *smaller* value raises the "
        "loss.",
    ),
    stepped(
        "epsilon_missing",
        lambda g, e: g.sign(),
        "Each of your values moves by 1 instead of epsilon, so that after the clipping nothing but "
        "0 and 1 is left where the slope is not 0.",
    ),
    Mistake(
        "clipped_below_only",
        lambda model, pixels, classes, epsilon: (
            pixels + fast(model, pixels, classes, epsilon)
        ).clamp(min=0),
        "Some of your values lie above 1: you clipped at 0 only. Pixels live in 0 to 1.",
    ),
    Mistake(
        "rescaled",
        lambda model, pixels, classes, epsilon: stretched(
            pixels + fast(model, pixels, classes, epsilon), (0, 1, 2, 3)
        ),
        "You rescaled the picture, its smallest value to 0 and its largest to 1. That changes all "
        "the values between, too. Clipping leaves those alone.",
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


CLASSES = 4
"""Of the networks that are climbed; as no side of the pictures."""


def ascent_cases(seed: int) -> list[Case]:
    """One that reaches the confidence, one with long steps that need clipping, one cut short.

    At the start of the second no class is as sure as is asked for; in the others one is.
    """
    random = drawing.generator(seed, "targeted_ascent")
    plans = [(0.25, 12, True, True), (0.8, 12, True, False), (0.2, 4, False, True)]
    notes = ["an easy target", "long steps", "a target that is not reached in time"]
    found = [
        Case(ascent_case(random, *plan), note, repeat=plan[0] == 0.25)
        for plan, note in zip(plans, notes, strict=True)
    ]
    return [*found, Case(sure_case(random), "a picture whose target is probable enough already")]


def sure_case(random: torch.Generator) -> dict[str, object]:
    """A picture whose second class, the target, has the probability that is asked for at once.

    Its score is below that number: who compares the score takes steps.
    """
    while True:
        spec = drawing.network(random, CLASSES)
        pixels = torch.rand(1, 3, 6, 5, generator=random)
        scores, order = networks.build(spec)(pixels)[0].sort(descending=True)
        p = scores.softmax(0)
        if 0.25 < p[1] < p[0] - CLEAR and scores[1] < p[1] - 2 * CLEAR:
            args = {"model": spec, "pixels": pixels, "target": int(order[1])}
            return args | {"rate": 0.5, "confidence": round(p[1].item() - CLEAR, 3), "steps": 6}


def ascent_case(
    random: torch.Generator, rate: float, steps: int, reached: bool, sure: bool
) -> dict[str, object]:
    """Drawn again until the way is far from kinks and from the confidence, and long enough.

    Args:
        rate, steps: as the function takes them.
        reached: whether the confidence is reached in that time.
        sure: whether the start's own class has it from the beginning. Only the target's may count.
    """
    while True:
        spec = drawing.network(random, CLASSES)
        model, pixels = networks.build(spec), torch.rand(STARTS, 3, 6, 5, generator=random)
        targets = model(pixels).argsort(1)[:, drawing.integer(random, 0, CLASSES - 1)]
        images, own, top, steep = walk(model, pixels, targets, rate, steps)
        for i in range(STARTS):
            confidence = stopping_place(random, own[:, i].tolist(), top[:, i].tolist(), reached)
            if confidence is None or not steep[i]:
                continue
            low, high = (max(confidence, 0.4), 1.0) if sure else (0.0, confidence - CLEAR)
            clear = low < top[0, i] < high
            if clear and networks.margin(model, images[:, i]) > drawing.MARGIN:
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
    shares: Callable[[Tensor], Tensor] = lambda scores: scores.softmax(0),
    start: Callable[[Tensor, Tensor], Tensor] = lambda pixels, x: x,
    join: Callable[[Tensor, Tensor], Tensor] = lambda before, g: g,
) -> tuple[Tensor, int]:
    """The ascent with one of its parts exchanged."""
    x, c, g = pixels, torch.tensor([target]), torch.zeros_like(pixels)
    for step in range(steps):
        if stop(shares(model(x)[0]), target, confidence):
            return x, step
        g = join(g, slope(number, model, x, c))
        x = clip(start(pixels, x) + rate * move(g))
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


def one_more_allowed(
    model: nn.Module, pixels: Tensor, target: int, rate: float, confidence: float, steps: int
) -> tuple[Tensor, int]:
    return ascent(model, pixels, target, rate, confidence, steps + 1)


def one_more_uncounted(*args: object) -> tuple[Tensor, int]:
    x, taken = one_more_allowed(*args)
    return x, min(taken, args[-1])


def last_index(*args: object) -> tuple[Tensor, int]:
    x, taken = ascent(*args)
    return x, min(taken, args[-1] - 1)


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
        "You stop when *any* class is probable enough, and the photo's own class may be so from "
        "the start. It is the target's probability that counts.",
        stop=lambda p, c, confidence: p.max() >= confidence,
    ),
    exchanged(
        "returns_at_once",
        "You always return the picture as it came, after 0 steps. Does your rule stop at once? The "
        "*target's* probability, after a softmax over the classes, has to reach `confidence`.",
        stop=lambda p, c, confidence: True,
    ),
    exchanged(
        "stops_while_improbable",
        "Your rule is the wrong way round: you stop while the target is less probable than asked "
        "for, and go on where it is probable enough.",
        stop=lambda p, c, confidence: p[c] <= confidence,
    ),
    exchanged(
        "scores_for_probabilities",
        "You compare the target's *score* with `confidence`. That is a probability: a softmax over "
        "the classes makes such of scores.",
        shares=lambda scores: scores,
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
        "one_more_uncounted",
        one_more_uncounted,
        "Where the confidence is not reached you take one step more than `steps`, and do not count "
        "it.",
    ),
    Mistake(
        "one_more_allowed",
        one_more_allowed,
        "Where the confidence is not reached you take one step more than `steps`, which is the "
        "most to take.",
    ),
    Mistake(
        "last_index",
        last_index,
        "Where the confidence is not reached your number of steps is one too low. The last index "
        "of a loop is one less than the rounds it made.",
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
        "square_of_the_length",
        "You divided the gradient by the *square* of its Euclidean length, the sum of squares. "
        "The root of that makes each step `rate` long.",
        move=lambda g: g / lengths(g) ** 2,
    ),
    Mistake(
        "rate_missing",
        lambda model, pixels, target, rate, confidence, steps: ascent(
            model, pixels, target, 1.0, confidence, steps
        ),
        "Each of your steps has the length 1, whatever `rate` says.",
    ),
    exchanged(
        "from_the_start",
        "Each of your steps begins at `pixels` again, so you never get further than `rate` from "
        "it. A step begins where the one before it ended.",
        start=lambda pixels, x: pixels,
    ),
    exchanged(
        "slopes_added_up",
        "You step along the sum of all gradients so far: `backward()` adds to the `.grad` that is "
        "there. Begin each round with an empty one.",
        join=lambda before, g: before + g,
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


def signed_photo_case() -> Case:
    """A gorilla and the class it is.

    The network is 91 % sure. Of the panda it is so sure that the slope of the loss is float noise,
    whose sign depends on how the loss is written.
    """
    args = {"model": NetworkSpec("squeezenet1_1/pixels"), "pixels": photos.pixels("gorilla")}
    return Case(args | {"classes": torch.tensor([366]), "epsilon": 4 / 255}, "a photo")


def ascent_photo_case() -> Case:
    """From the panda towards the koala: two steps, after which float noise still is none to see."""
    args = {"model": NetworkSpec("squeezenet1_1/pixels"), "pixels": photos.pixels(), "target": 105}
    return Case(args | {"rate": 0.5, "confidence": 0.9, "steps": 2}, "a photo")


def change_of(result: Tensor, name: str) -> Tensor:
    """What was added to a photo, in steps of an 8-bit file, summed over the colours of a pixel."""
    return 255 * (result - photos.pixels(name)).sum(1)[0]


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
        picture=Picture(
            signed_photo_case,
            lambda result: change_of(result, "gorilla"),
            True,
            "the change of a gorilla",
        ),
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
            lambda result: change_of(result[0], "panda"),
            True,
            "the change that makes a koala of a giant panda",
        ),
    ),
)
