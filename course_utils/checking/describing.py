"""What can be said about a wrong result that is no known mistake: only what is true of it."""

from collections.abc import Callable, Sequence
from itertools import permutations

import torch
from torch import Tensor

from course_utils.checking.comparing import aligned, as_number, equal, size
from course_utils.checking.core import Exercise, Opaque

AXES = {
    1: ("image",),
    2: ("image", "column"),
    3: ("image", "row", "column"),
    4: ("image", "channel", "row", "column"),
}

Pairs = Sequence[tuple[Tensor, Tensor]]


def describe(exercise: Exercise, values: list, targets: list) -> str:
    """One or two true sentences about results of which at least one is not the target.

    Args:
        values, targets: what the student's and the course's function gave, case by case.
    """
    tolerance = exercise.tolerance
    unequal = [not equal(v, t, tolerance) for v, t in zip(values, targets, strict=True)]
    value, target = values[unequal.index(True)], targets[unequal.index(True)]
    if value is None:
        return (
            f"Your function returns nothing (`None`). Is a `return` missing at its end? "
            f"Asked for: {exercise.result}."
        )
    if not isinstance(target, Tensor):
        return structure(exercise, value, target)
    if target.ndim == 0:
        return number(exercise, values, targets, unequal.index(True))
    if not isinstance(value, Tensor):
        return wrong_type(exercise, value, target)
    if value.shape != target.shape:
        return shape(exercise, value, target)
    if value.is_complex():
        return f"Your {exercise.noun} holds complex numbers; real ones are asked for."
    if not value.isfinite().all():
        return not_finite(exercise, value)
    both = list(zip(values, targets, strict=True))
    same = all(isinstance(v, Tensor) and v.shape == t.shape for v, t in both)
    same = same and all(v.isfinite().all() for v in values)
    pairs = [(v.double(), t.double()) for v, t in both] if same else []
    return arrays(exercise, pairs or [(value.double(), target.double())], value, target)


# ------------------------------------------------------------------ form


def kind(value: object) -> str:
    """What a value is, with an article."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Opaque):
        return f"an object of type `{value.kind}`"
    names = {str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
    return names.get(type(value), "nothing" if value is None else f"a `{type(value).__name__}`")


def wrong_type(exercise: Exercise, value: object, target: Tensor) -> str:
    """Words for a result that is no tensor where one is asked for."""
    asked = f"Asked for is a tensor: {exercise.result}."
    if isinstance(value, list) and value and all(isinstance(v, Tensor) for v in value):
        shapes = ", ".join(str(tuple(v.shape)) for v in value[:3])
        return f"You return a list of {len(value)} tensors (shapes {shapes}), not one. {asked}"
    return f"You return {kind(value)}. {asked}"


def shape(exercise: Exercise, value: Tensor, target: Tensor) -> str:
    """Words for another shape: which axis is missing, extra, swapped or of another length."""
    given, wanted = tuple(value.shape), tuple(target.shape)
    said = f"Your {exercise.noun} has the shape {given}; expected is {wanted}"
    without = tuple(n for n in given if n != 1)
    if value.numel() == target.numel() and without == tuple(n for n in wanted if n != 1):
        more = len(given) > len(wanted)
        what = "an axis of length one too many" if more else "an axis of length one is missing"
        return f"{said}: {what if len(given) != len(wanted) else 'the axis of length one moved'}."
    if len(given) == len(wanted) and sorted(given) == sorted(wanted):
        orders = [p for p in permutations(range(len(wanted))) if _moved(given, p) == wanted]
        if any(equal(value.permute(p), target, exercise.tolerance) for p in orders):
            return f"{said}. The numbers are right, but the axes are in another order."
        return f"{said}: the same lengths in another order."
    if value.numel() == target.numel():
        return f"{said}: as many numbers, arranged differently. Asked for: {exercise.result}."
    return f"{said}. Asked for: {exercise.result}."


def _moved(given: tuple, order: tuple) -> tuple:
    return tuple(given[i] for i in order)


def not_finite(exercise: Exercise, value: Tensor) -> str:
    """Words for NaN or infinity."""
    nan, infinite = int(value.isnan().sum()), int(value.isinf().sum())
    what = " and ".join(f"{n} {word}" for n, word in ((nan, "NaN"), (infinite, "infinite")) if n)
    return (
        f"Of the {value.numel()} values of your {exercise.noun}, {what}. Such values come from "
        "dividing by zero, or from the logarithm or root of something that must not be negative."
    )


# ------------------------------------------------------------------ numbers


def arrays(exercise: Exercise, pairs: Pairs, value: Tensor, target: Tensor) -> str:
    """Words for arrays of the right shape: the simplest relation that holds for every case."""
    tests = (same_everywhere, factor, image_factor, offset, signs, order_of_images, mirrored)
    for test in (*tests, rounded, monotone, first_image):
        said = test(pairs, exercise.tolerance)
        if said:
            return said.format(noun=exercise.noun)
    return where(exercise, value, target)


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether `a` is `b` within the tolerance, on the scale of `b`."""
    return bool((a - b).abs().max() <= tolerance * size(b)) if b.numel() else True


def same_everywhere(pairs: Pairs, tolerance: float) -> str:
    """Words for a result without variation; empty where it does not apply."""
    if not all(v.numel() > 1 and (v == v.flatten()[0]).all() for v, _ in pairs):
        return ""
    values = sorted({round(v.flatten()[0].item(), 6) for v, _ in pairs})
    if len(values) == 1:
        return f"Every value of your {{noun}} is {values[0]:g}, whatever the image."
    return "All values of your {noun} are the same number, one number a call."


def ratio(v: Tensor, t: Tensor) -> float:
    """The factor by which `v` fits `t` best."""
    return ((v * t).sum() / (t * t).sum().clamp(min=1e-300)).item()


def factor(pairs: Pairs, tolerance: float) -> str:
    """Words for a constant factor, the same for all; empty where there is none."""
    factors = [ratio(v, t) for v, t in pairs]
    fits = all(close(v, c * t, tolerance) for (v, t), c in zip(pairs, factors, strict=True))
    if not fits or min(map(abs, factors)) < 1e-12:
        return ""
    first = factors[0]
    if all(abs(c / first - 1) < 3 * tolerance for c in factors):
        if abs(first + 1) < 3 * tolerance:
            return "Your {noun} has the right sizes, but the opposite sign everywhere."
        return f"Your {{noun}} is {first:.3g} times the target everywhere: a constant factor."
    some = ", ".join(f"{c:.3g}" for c in factors)
    return (
        "In each call your {noun} is the target times a constant, but not always the same one "
        f"({some}). What do you multiply or divide by that changes from call to call?"
    )


def image_factor(pairs: Pairs, tolerance: float) -> str:
    """Words for a factor that differs from image to image; empty where there is none."""
    images = [(a, b) for v, t in pairs for a, b in zip(v, t, strict=True)]
    factors = [ratio(a, b) for a, b in images]
    fits = all(close(a, c * b, tolerance) for (a, b), c in zip(images, factors, strict=True))
    if not fits or min(map(abs, factors)) < 1e-12:
        return ""
    some = ", ".join(f"{c:.3g}" for c in factors[:4])
    return (
        "For each image your {noun} is the target times a constant, but another one for each "
        f"({some}, ...). Scaled like that, images can no longer be compared."
    )


def offset(pairs: Pairs, tolerance: float) -> str:
    """Words for a constant that was added; empty where there is none."""
    shifts = [(v - t).mean().item() for v, t in pairs]
    if not all(
        (v - t - s).abs().max() <= tolerance * size(t)
        for (v, t), s in zip(pairs, shifts, strict=True)
    ):
        return ""
    some = ", ".join(f"{s:+.3g}" for s in shifts)
    return f"Your {{noun}} is the target plus a constant in each call ({some})."


def signs(pairs: Pairs, tolerance: float) -> str:
    """Words for signs that are wrong or lost; empty where they are right."""
    v, t = _flat(pairs, tolerance)
    if close(v, t.clamp(min=0), tolerance):
        return (
            "Your {noun} agrees where the target is positive and is zero where the target is "
            "negative: the negative values are cut off."
        )
    if close(v, t.clamp(max=0), tolerance):
        return "Your {noun} agrees where the target is negative and is zero elsewhere."
    if not close(v.abs(), t.abs(), tolerance):
        return ""
    if (v >= 0).all():
        return (
            "The sizes are right, but your {noun} has no negative values and the target has: an "
            "absolute value too many?"
        )
    share = ((v * t) < 0).double().mean().item()
    return f"The sizes are right, but {share:.0%} of the values have the wrong sign."


def _flat(pairs: Pairs, tolerance: float) -> tuple[Tensor, Tensor]:
    """All cases in a row, each on the scale of its target."""
    scales = [size(t) or 1.0 for _, t in pairs]
    v = torch.cat([p[0].flatten() / s for p, s in zip(pairs, scales, strict=True)])
    return v, torch.cat([p[1].flatten() / s for p, s in zip(pairs, scales, strict=True)])


def number(exercise: Exercise, values: list, targets: list, wrong: int) -> str:
    """Words for results that are one number a call, of which that of call `wrong` is wrong."""
    found = [as_number(v) for v in values]
    if found[wrong] is None:
        return f"You return {kind(values[wrong])}. Asked for is one number: {exercise.result}."
    if not found[wrong].isfinite():
        return not_finite(exercise, found[wrong])
    if all(v is not None and v.isfinite() for v in found):
        pairs = [(torch.stack(found), torch.stack([t.double() for t in targets]))]
        said = factor(pairs, exercise.tolerance) or offset(pairs, exercise.tolerance)
        if said:
            return said.replace(" everywhere", " in every call").format(noun=exercise.noun)
    return f"Your {exercise.noun} is {found[wrong]:.4g} where {targets[wrong]:.4g} belongs."


def order_of_images(pairs: Pairs, tolerance: float) -> str:
    """Words for the right maps in another order; empty where it does not apply."""
    if all(len(t) == 1 for _, t in pairs):
        return ""
    for v, t in pairs:
        orders = permutations(range(len(t))) if len(t) < 6 else []
        if not any(close(v[list(order)], t, tolerance) for order in orders):
            return ""
    return "The numbers are right, but the images are in another order than they came in."


def mirrored(pairs: Pairs, tolerance: float) -> str:
    """Words for a map that is flipped or transposed; empty where it does not apply."""
    for axis, word in ((-1, "left and right"), (-2, "top and bottom")):
        if all(t.ndim > 2 and close(v.flip(axis), t, tolerance) for v, t in pairs):
            return f"The numbers are right, but {word} are exchanged."
    return ""


def rounded(pairs: Pairs, tolerance: float) -> str:
    """Words for the right numbers, rounded; empty where it does not apply."""
    whole = all((v == v.round()).all() for v, _ in pairs)
    near = all((v - t).abs().max() < 1 for v, t in pairs)
    return (
        "Your values are whole numbers: the fractions have been cut off." if whole and near else ""
    )


def monotone(pairs: Pairs, tolerance: float) -> str:
    """Whether larger targets always have larger values, over all cases together."""
    v = torch.cat([p[0].flatten() for p in pairs])
    t = torch.cat([p[1].flatten() for p in pairs])
    order = t.argsort()
    rising = v[order].diff()
    apart = t[order].diff() > 10 * tolerance * size(t)
    if (rising >= -1e-6 * size(v)).all() and (rising[apart] > 0).all() and apart.any():
        return (
            "Your {noun} puts the values in exactly the order of the target, but the numbers are "
            "others, as after a square, a root or a logarithm."
        )
    return ""


def first_image(pairs: Pairs, tolerance: float) -> str:
    """Words for a result that is right for the first image only; empty where it is not."""
    several = [(v, t) for v, t in pairs if len(t) > 1]
    singles = [(v, t) for v, t in pairs if len(t) == 1]
    if not several or not all(close(v, t, tolerance) for v, t in singles):
        return ""
    if not all(close(v[0], t[0], tolerance) for v, t in several):
        only = "Right for a single image, but not for several: do the images of a batch mix?"
        return only if singles else ""
    return "Only the first image of a batch is right. Does every image get its own treatment?"


def where(exercise: Exercise, value: Tensor, target: Tensor) -> str:
    """The largest difference and its place."""
    gap = (value.double() - target.double()).abs()
    place = torch.unravel_index(gap.argmax(), gap.shape)
    names = AXES.get(gap.ndim, tuple(f"axis {i}" for i in range(gap.ndim)))
    spot = ", ".join(f"{n} {int(i)}" for n, i in zip(names, place, strict=True))
    off = (gap > exercise.tolerance * size(target.double())).double().mean().item()
    share = "Every value is" if off == 1 else f"{off:.0%} of the values are"
    mine, ours = value[place].item(), target[place].item()
    said = f"{share} off" if off >= 0.005 else "Less than 1% of the values are off"
    return f"{said}; most at {spot} (counted from 0): yours {mine:.3g}, target {ours:.3g}."


# ------------------------------------------------------------------ lists of pairs


def structure(exercise: Exercise, value: object, target: object, place: str = "") -> str:
    """Words for nested lists: the first place where the form or a name differs, then numbers."""
    found = _form(exercise, value, target, ())
    return found or _numbers(exercise, value, target)


Path = tuple[int, ...]


def _spot(path: Path) -> str:
    """Where in the result, counted from 0 as Python does."""
    return "Your result" + "".join(f"[{i}]" for i in path) if path else "Your result"


def _form(exercise: Exercise, value: object, target: object, path: Path) -> str:
    asked = f"Asked for: {exercise.result}."
    if isinstance(target, list):
        if not isinstance(value, list | tuple):
            return f"{_spot(path)} is {kind(value)}, not a list. {asked}"
        if len(value) != len(target):
            few = f"has {len(value)} entries, expected are {len(target)}"
            return f"{_spot(path)} {few}. {asked}"
        parts = enumerate(zip(value, target, strict=True))
        return next((s for i, (v, t) in parts if (s := _form(exercise, v, t, (*path, i)))), "")
    if isinstance(target, str) and not isinstance(value, str):
        return f"{_spot(path)} is {kind(value)}, not a text. {asked}"
    if isinstance(target, str) and value != target:
        return f"{_spot(path)} is {value[:40]!r}; expected is {target!r}."
    if isinstance(target, float) and as_number(value) is None:
        return f"{_spot(path)} is {kind(value)}, not a number. {asked}"
    return ""


def _numbers(exercise: Exercise, value: object, target: object) -> str:
    pairs = aligned(value, target) or []
    v = torch.stack([p[0] for p in pairs])
    t = torch.stack([p[1] for p in pairs])
    tests: tuple[Callable, ...] = (factor, offset)
    for test in tests:
        said = test([(v, t)], exercise.tolerance) if v.isfinite().all() else ""
        if said:
            return "The names are right. " + said.format(noun="numbers").replace(
                "Your numbers is", "Each number is"
            ).replace("Your numbers has", "They have")
    worst = int((v - t).abs().nan_to_num(torch.inf).argmax())
    return f"The names are right, but not all numbers: {v[worst]:.4g} where {t[worst]:.4g} belongs."
