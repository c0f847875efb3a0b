"""Lecture 12's exercises: one step of DeepDream, and the way from an octave to the next."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils import dream, images, layers
from course_utils.checking import drawing, networks, photos
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register

LECTURE = "12_dream"
Shift = tuple[int, int]


def step_cases(seed: int) -> list[Case]:
    """One image, two, and two whose gradients have very different sizes; shifts both ways.

    The last network is wrapped as those of the zoo are: its layer has a short name that is no path.
    """
    random = drawing.generator(seed, "dream_step")
    shapes = [
        (1, 9, 8, "features.relu1"),
        (2, 8, 11, "features.relu2"),
        (2, 8, 8, "conv1"),
    ]
    notes = ["a single image", "two images"]
    notes += ["a layer with negative values by its short name (as the zoo has them)"]
    found = []
    for (n, height, width, layer), note in zip(shapes, notes, strict=True):
        spec = drawing.network(random, name="tiny_fork" if layer == "conv1" else "tiny_cnn")
        shift = (drawing.integer(random, 1, 3), -drawing.integer(random, 3, 5))
        x = _smooth(random, spec, n, height, width, shift)
        shift = list(shift) if n == 1 else shift  # either may come: the lecture has a list
        rate = 0.02 + 0.1 * torch.rand(1, generator=random).item()
        args = {"model": spec, "x": x, "layer": layer, "rate": rate, "shift": shift}
        found.append(Case(args, note, repeat=n == 1))
    return found


def _smooth(
    random: torch.Generator, spec: NetworkSpec, n: int, height: int, width: int, shift: Shift
) -> Tensor:
    """Images on which the network is smooth, as they are and shifted either way."""
    model, found = networks.build(spec), []
    while len(found) < n:
        # The first image is faint, so the gradients of two images differ in size.
        one = (0.3 if not found else 1.5) * torch.randn(1, 3, height, width, generator=random)
        rolled = [roll(one, by) for by in (shift, shift[::-1])] + [one, roll(one, shift, -1)]
        if all(networks.margin(model, r) > drawing.MARGIN for r in rolled):
            found.append(one)
    return torch.cat(found)


def octave_cases(seed: int) -> list[Case]:
    """A photo at two octaves that follow one another; one wide, one high, two at once."""
    random = drawing.generator(seed, "next_octave")
    found = []
    for n, height, width, note in [
        (1, 18, 24, "a wide picture"),
        (1, 25, 15, "a high picture"),
        (2, 16, 20, "two pictures"),
    ]:
        photo = torch.randn(n, 3, height, width, generator=random)
        sizes = dream.octave_sizes((height, width), 3, 1.3 + 0.2 * n)
        dreamt = torch.randn(n, 3, *sizes[0], generator=random)
        dreamt = dream.resized(photo, sizes[0]) + 0.5 * dreamt
        args = {"photo": photo, "dreamt": dreamt, "size": sizes[1]}
        found.append(Case(args, note, repeat=n == 2))
    return found


# ------------------------------------------------------------------ one step, right and wrong


def ascend(
    x: Tensor, g: Tensor, rate: float, size: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """x + rate * g / size(g); by default the size is the mean of |g| over each image."""
    size = size or (lambda g: g.abs().mean((1, 2, 3), keepdim=True))
    return x + rate * g / size(g)


def gradient(
    model: nn.Module, x: Tensor, layer: str, at_layer: Callable[[Tensor], Tensor] = lambda a: a
) -> Tensor:
    """The gradient at the pixels when that at the layer is made from its activation."""
    x = x.detach().requires_grad_()
    with layers.capture(model, layer) as seen:
        model(x)
    activation = seen[layer]
    return torch.autograd.grad(activation, x, at_layer(activation.detach()))[0]


def roll(x: Tensor, shift: Shift, sign: int = 1) -> Tensor:
    return x.roll((sign * shift[0], sign * shift[1]), dims=(2, 3))


def from_layer(name: str, at_layer: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake in what the gradient at the layer is set to."""

    def wrong(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
        rolled = roll(x, shift)
        return roll(ascend(rolled, gradient(model, rolled, layer, at_layer), rate), shift, -1)

    return Mistake(name, wrong, sentence)


def from_size(name: str, size: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake in what the gradient is divided by."""

    def wrong(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
        rolled = roll(x, shift)
        return roll(ascend(rolled, gradient(model, rolled, layer), rate, size), shift, -1)

    return Mistake(name, wrong, sentence)


def _descent(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    rolled = roll(x, shift)
    return roll(ascend(rolled, gradient(model, rolled, layer), -rate), shift, -1)


def _not_rolled_back(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    rolled = roll(x, shift)
    return ascend(rolled, gradient(model, rolled, layer), rate)


def _rolled_twice(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    return roll(_not_rolled_back(model, x, layer, rate, shift), shift)


def _never_rolled(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    return ascend(x, gradient(model, x, layer), rate)


def _rolled_the_other_way(
    model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift
) -> Tensor:
    rolled = roll(x, shift, -1)
    return roll(ascend(rolled, gradient(model, rolled, layer), rate), shift)


def _axes_swapped(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    swapped = (shift[1], shift[0])
    rolled = roll(x, swapped)
    return roll(ascend(rolled, gradient(model, rolled, layer), rate), swapped, -1)


def _gradient_not_rolled_back(
    model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift
) -> Tensor:
    return ascend(x, gradient(model, roll(x, shift), layer), rate)


def _picture_not_rolled(
    model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift
) -> Tensor:
    return roll(_gradient_not_rolled_back(model, x, layer, rate, shift), shift, -1)


def _gradient_alone(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    return _right(model, x, layer, rate, shift) - x


def _right(model: nn.Module, x: Tensor, layer: str, rate: float, shift: Shift) -> Tensor:
    rolled = roll(x, shift)
    return roll(ascend(rolled, gradient(model, rolled, layer), rate), shift, -1)


STEP_MISTAKES = (
    from_size(
        "not_divided",
        torch.ones_like,
        "The gradient is not divided by its mean size. It differs several times between "
        "layers and pictures, and grows while you dream, so no single `rate` suits them all.",
    ),
    from_size(
        "divided_by_norm",
        lambda g: g.flatten(1).norm(dim=1)[:, None, None, None],
        "You divided by the Euclidean norm. It grows with the number of pixels, so a large picture "
        "would hardly move; divide by the *mean* of the absolute values.",
    ),
    from_size(
        "divided_by_largest",
        lambda g: g.abs().amax((1, 2, 3), keepdim=True),
        "You divided by the largest absolute value. A single steep pixel then decides the step of "
        "all others; divide by the mean.",
    ),
    from_size(
        "divided_by_std",
        lambda g: g.flatten(1).std(dim=1)[:, None, None, None],
        "You divided by the standard deviation, or by the root of the mean square, which is nearly "
        "the same here. It makes good pictures too, but this step divides by the mean of the "
        "absolute values.",
    ),
    from_size(
        "mean_without_abs",
        lambda g: g.mean((1, 2, 3), keepdim=True),
        "You divided by the mean of the gradient itself. Plus and minus cancel in it, so it is "
        "near zero and of either sign; take absolute values first.",
    ),
    from_size(
        "mean_over_batch",
        lambda g: g.abs().mean(),
        "You took the mean over all images together. Each image has a gradient of its own size, "
        "and its step must not depend on the images beside it.",
    ),
    from_size(
        "mean_of_each_colour",
        lambda g: g.abs().mean((2, 3), keepdim=True),
        "You divided each colour by a mean of its own. The mean runs over the whole image, all "
        "three colours together, or the step would change the picture's hue.",
    ),
    from_size(
        "sign_of_the_gradient",
        lambda g: g.abs(),
        "Every value moves equally far, as with the sign of the gradient. Divide by one number "
        "for each image: steep values then move farther.",
    ),
    Mistake(
        "no_rate",
        lambda model, x, layer, rate, shift: _right(model, x, layer, 1.0, shift),
        "`rate` has no effect: a value moves by 1 on average, whatever was asked for.",
    ),
    Mistake(
        "clamped",
        lambda model, x, layer, rate, shift: _right(model, x, layer, rate, shift).clamp(0, 1),
        "You cut the values to 0-1. The images are normalised: zero is the mean colour, and "
        "negative values are as good as positive ones.",
    ),
    Mistake(
        "descent",
        _descent,
        "Your picture goes downhill: the layer says *less* of what it said. Dreaming is ascent, so "
        "the step is added.",
    ),
    from_layer(
        "ones_at_the_layer",
        torch.ones_like,
        "The gradient at your layer is the same everywhere, as if plain activations were added "
        "up. Asked for is the gradient set to the activation itself: the features that are strong "
        "already get the most.",
    ),
    from_layer(
        "sign_at_the_layer",
        torch.sign,
        "You set the gradient at the layer to the sign of the activation, as if absolute values "
        "were summed. Weak and strong features then count alike.",
    ),
    from_layer(
        "cubic_at_the_layer",
        lambda a: a**3,
        "The gradient at the layer is not the activation but a higher power of it. The derivative "
        "of half the *square* is the activation itself.",
    ),
    from_layer(
        "squared_at_the_layer",
        lambda a: a**2,
        "You set the gradient at the layer to the *square* of the activation. It is the derivative "
        "of half the square, so the activation itself.",
    ),
    Mistake(
        "not_rolled_back",
        _not_rolled_back,
        "The jitter is not undone: your picture stays shifted, and wanders off over the steps. "
        "Roll it back by the negative shift.",
    ),
    Mistake(
        "rolled_twice",
        _rolled_twice,
        "You rolled twice in the same direction. The way back has the opposite sign.",
    ),
    Mistake(
        "never_rolled",
        _never_rolled,
        "The picture is never shifted. Without jitter the network's grid of strides is drawn into "
        "the picture, always at the same pixels.",
    ),
    Mistake(
        "rolled_the_other_way",
        _rolled_the_other_way,
        "You rolled by the negative shift first and by the shift afterwards. For random shifts "
        "that is as good, but `shift` is the way *there*, so that answers can be compared.",
    ),
    Mistake(
        "axes_swapped",
        _axes_swapped,
        "Rows and columns of the shift are exchanged. It is (down, across), for the axes 2 and 3.",
    ),
    Mistake(
        "gradient_not_rolled_back",
        _gradient_not_rolled_back,
        "You added the gradient of the shifted picture to the picture that was not shifted, so it "
        "lands on the wrong pixels. Either shift both or roll the gradient back.",
    ),
    Mistake(
        "picture_not_rolled",
        _picture_not_rolled,
        "You added the gradient of the shifted picture to the picture that was not shifted, and "
        "rolled the sum back: the picture moves, and the gradient lies beside it.",
    ),
    Mistake(
        "gradient_alone",
        _gradient_alone,
        "You return the step, not the picture after it. Add it to the picture.",
    ),
)


# ------------------------------------------------------------------ the next octave


def resize(
    x: Tensor, size: tuple[int, int], mode: str = "bilinear", antialias: bool = True
) -> Tensor:
    return functional.interpolate(x, tuple(size), mode=mode, antialias=antialias)


def here(dreamt: Tensor) -> tuple[int, int]:
    return tuple(dreamt.shape[-2:])


OCTAVE_MISTAKES = (
    Mistake(
        "only_enlarged",
        lambda photo, dreamt, size: resize(dreamt, size),
        "This is the enlarged dream: the detail that the small octave could not hold is gone. It "
        "has to come from the original photo, resized to the next size.",
    ),
    Mistake(
        "only_the_photo",
        lambda photo, dreamt, size: resize(photo, size),
        "This is the photo alone: what was dreamt in this octave is lost.",
    ),
    Mistake(
        "change_alone",
        lambda photo, dreamt, size: resize(dreamt - resize(photo, here(dreamt)), size),
        "This is only what the dream changed. Add it to the photo at the next size.",
    ),
    Mistake(
        "change_alone_at_the_next_size",
        lambda photo, dreamt, size: resize(dreamt, size) - resize(photo, size),
        "You subtracted the photo and did not add it again. Take the difference at the size of the "
        "dream, and add it, resized, to the photo at the next size.",
    ),
    Mistake(
        "photo_not_subtracted",
        lambda photo, dreamt, size: resize(photo, size) + resize(dreamt, size),
        "The photo is in your picture twice: you added the whole dream to it. Only what *changed*, "
        "dream minus photo at this size, belongs on top.",
    ),
    Mistake(
        "subtracted_the_wrong_way_round",
        lambda photo, dreamt, size: (
            resize(photo, size) - resize(dreamt - resize(photo, here(dreamt)), size)
        ),
        "You subtracted the dream from the photo: everything dreamt appears as its negative.",
    ),
    Mistake(
        "added_to_the_dream",
        lambda photo, dreamt, size: (
            resize(dreamt, size) + resize(dreamt - resize(photo, here(dreamt)), size)
        ),
        "You added what changed to the enlarged dream, which holds it already: it counts twice, "
        "and the photo's fine detail is missing. Add it to the photo at the next size.",
    ),
    Mistake(
        "average",
        lambda photo, dreamt, size: (resize(photo, size) + resize(dreamt, size)) / 2,
        "You averaged photo and dream. Half of each is neither: add to the photo what the dream "
        "changed.",
    ),
    Mistake(
        "full_size",
        lambda photo, dreamt, size: (
            photo + resize(dreamt - resize(photo, here(dreamt)), here(photo))
        ),
        "You jumped to the full size of the photo. The next octave has the size `size`.",
    ),
    Mistake(
        "not_antialiased",
        lambda photo, dreamt, size: (
            resize(photo, size, antialias=False)
            + resize(dreamt - resize(photo, here(dreamt), antialias=False), size, antialias=False)
        ),
        "You resized without `antialias=True`. Shrinking then skips pixels instead of averaging "
        "them, and the small photo has stripes and dots that are not in the large one.",
    ),
    Mistake(
        "nearest",
        lambda photo, dreamt, size: (
            resize(photo, size, "nearest", False)
            + resize(dreamt - resize(photo, here(dreamt), "nearest", False), size, "nearest", False)
        ),
        "You resized by repeating pixels (the default of `interpolate`), which makes blocks. Ask "
        'for `mode="bilinear", antialias=True`.',
    ),
    Mistake(
        "bicubic",
        lambda photo, dreamt, size: (
            resize(photo, size, "bicubic")
            + resize(dreamt - resize(photo, here(dreamt), "bicubic"), size, "bicubic")
        ),
        "You resized bicubically: a good choice too, but the answers are compared with bilinear "
        "ones.",
    ),
)


# ------------------------------------------------------------------ pictures


def step_on_a_photo() -> Case:
    """The tower, one step of a visible size, shifted."""
    x = photos.network().normalize(images.photo("bayterek").pixels(200))[None]
    args = {"model": photos.SPEC, "x": x, "layer": "features.12", "rate": 0.3, "shift": (12, -7)}
    return Case(args, "a photo")


def octaves_of_a_photo() -> Case:
    """The tower with a grey square dreamt into it at half its size."""
    photo = images.photo("bayterek").pixels(200)[None]
    dreamt = dream.resized(photo, tuple(n // 2 for n in photo.shape[-2:]))
    dreamt[..., 20:50, 15:45] = 0.5
    size = tuple(round(n / 1.4) for n in photo.shape[-2:])
    return Case({"photo": photo, "dreamt": dreamt, "size": size}, "a photo")


register(
    Exercise(
        name="dream_step",
        lecture=LECTURE,
        title="One step of DeepDream",
        reference=dream.dream_step,
        cases=step_cases,
        mistakes=STEP_MISTAKES,
        result="the images after the step, of the same shape (N,3,H,W)",
        noun="picture",
        axes=("image", "colour", "row", "column"),
        hints=(
            "Roll the images, take the gradient there, add the step there, roll back.",
            "`torch.autograd.grad(activation, x, grad_outputs=...)` takes what the gradient at the "
            "layer is set to.",
            "The mean of the absolute values is one number for each image; `keepdim=True` keeps "
            "the axes so that it divides the right image.",
        ),
        picture=Picture(step_on_a_photo, photos.colours, False, "a tower after one step"),
    ),
    Exercise(
        name="next_octave",
        lecture=LECTURE,
        title="From an octave to the next",
        reference=dream.next_octave,
        cases=octave_cases,
        mistakes=OCTAVE_MISTAKES,
        result="the images at the next octave's size, (N,3,height,width)",
        noun="picture",
        axes=("image", "colour", "row", "column"),
        hints=(
            "What has the dream changed? Compare it with the photo at the dream's own size.",
            "Two things are resized to `size`: the photo, and what has changed.",
        ),
        picture=Picture(octaves_of_a_photo, lambda r: r[0], False, "a tower with a grey square"),
    ),
)
