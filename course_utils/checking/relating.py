"""How wrong numbers are related to the right ones: the simplest relation that was tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.checking.comparing import size
from course_utils.checking.wording import counted, has, is_, listed, many, plural

BATCH = ("image", "photo", "map", "vector")
"""Axes along which a function treats one thing after the other."""


class Pair(NamedTuple):
    """One wrong result and its target, float64 and of one shape.

    Attributes:
        scale: the size of the whole target, of which the tolerance is a share.
        note: of the case.
    """

    value: Tensor
    target: Tensor
    scale: float
    note: str


@dataclass(frozen=True)
class About:
    """What is spoken of: its name, the names of its axes, and the tolerance."""

    noun: str
    axes: tuple[str, ...]
    tolerance: float

    def __str__(self) -> str:
        return f"your {self.noun}"

    @property
    def starting(self) -> str:
        """At the start of a sentence."""
        return f"Your {self.noun}"

    @property
    def is_(self) -> str:
        """The verb that goes with it."""
        return is_(self.noun)

    @property
    def has(self) -> str:
        """The verb that goes with it."""
        return has(self.noun)

    def axis(self, number: int) -> str:
        """What an axis counts."""
        return self.axes[number] if number < len(self.axes) else f"axis {number}"


Pairs = Sequence[Pair]
Shift = tuple[int, int]
"""Rows and columns."""


def relation(about: About, pairs: Pairs) -> str:
    """Words for the simplest relation that holds for every pair; empty where none was found."""
    tests: tuple[Callable[[About, Pairs], str], ...] = (
        *(same_everywhere, factor, slice_factor, offset, slice_offset, named_function, signs),
        *(mirrored, transposed, rolled, permuted, whole_numbers, located, zeros, border),
        *(monotone, shuffled),
    )
    return next((said for test in tests if (said := test(about, pairs))), "")


def relation_of_numbers(about: About, values: list[Tensor], targets: list[Tensor]) -> str:
    """As `relation`, for results that are one number a call, of at least two calls."""
    pairs = [Pair(torch.stack(values), torch.stack(targets), max(map(size, targets)), "")]
    said = factor(about, pairs) or offset(about, pairs) or named_function(about, pairs)
    if not said and same_everywhere(about, pairs):
        ours = listed([f"{t:.4g}" for t in targets])
        said = f"{about.starting} {about.is_} {values[0]:.4g} in every call, where {ours} belong."
    return said.replace(" everywhere", " in every call")


def close(a: Tensor, b: Tensor, allowed: float) -> bool:
    """Whether two tensors differ by no more than that."""
    return bool((a - b).abs().max() <= allowed) if b.numel() else True


def slack(about: About, pair: Pair) -> float:
    """The largest difference that still counts as right."""
    return about.tolerance * pair.scale


def off(about: About, pair: Pair) -> Tensor:
    """True where a value is wrong."""
    return (pair.value - pair.target).abs() > slack(about, pair)


def ratio(v: Tensor, t: Tensor) -> float:
    """The factor by which `v` fits `t` best."""
    return ((v * t).sum() / (t * t).sum().clamp(min=1e-300)).item()


def telling(about: About, target: Tensor, scale: float) -> bool:
    """Whether a factor could be told from chance: at least two numbers well above zero."""
    return int((target.abs() > 10 * about.tolerance * scale).sum()) >= 2


# ------------------------------------------------------------------ factors and constants


def same_everywhere(about: About, pairs: Pairs) -> str:
    """Words for a result without variation; empty where it does not apply."""
    if not all(p.value.numel() and (p.value == p.value.flatten()[0]).all() for p in pairs):
        return ""
    values = [p.value.flatten()[0].item() for p in pairs]
    if len({round(v, 6) for v in values}) == 1 and any(p.value.numel() > 1 for p in pairs):
        return f"Every value of {about} is {values[0]:g}."
    if not all(p.value.numel() > 1 for p in pairs):
        return ""
    return f"All values of {about} are one and the same number, another one in each call."


def factor(about: About, pairs: Pairs) -> str:
    """Words for a constant factor; empty where there is none."""
    factors = [ratio(p.value, p.target) for p in pairs]
    if min(map(abs, factors)) < 1e-12 or not all(
        telling(about, p.target, p.scale) and close(p.value, c * p.target, _scaled(about, p, c))
        for p, c in zip(pairs, factors, strict=True)
    ):
        return ""
    first = factors[0]
    if all(abs(c / first - 1) < 3 * about.tolerance for c in factors):
        if abs(first + 1) < 3 * about.tolerance:
            return (
                f"{about.starting} {about.has} the right sizes, but the opposite sign everywhere."
            )
        times = told_apart(first, 1)[0]
        return f"{about.starting} {about.is_} {times} times the target everywhere."
    some = "; ".join(f"{c:.3g} on {p.note}" for p, c in zip(pairs, factors, strict=True))
    return (
        f"In each call {about} {about.is_} the target times a constant, but not always the same "
        f"one ({some}). What do you multiply or divide by that changes from call to call?"
    )


def _scaled(about: About, pair: Pair, c: float) -> float:
    """What is allowed where the target is multiplied by `c`."""
    return slack(about, pair) * abs(c)


def _slices(about: About, pairs: Pairs, axis: int) -> list[tuple[Tensor, Tensor, Pair]]:
    """The slices of all pairs along an axis, those whose target is zero left out if yours is."""
    found = []
    for p in pairs:
        for v, t in zip(p.value.unbind(axis), p.target.unbind(axis), strict=True):
            empty = size(t) <= slack(about, p) and size(v) <= slack(about, p)
            found += [] if empty else [(v, t, p)]
    return found


def _axes(pairs: Pairs) -> range:
    """The axes along which all pairs have several entries, or some have one and some several."""
    return range(pairs[0].value.ndim)


def slice_factor(about: About, pairs: Pairs) -> str:
    """Words for a factor that differs along one axis; empty where there is none."""
    for axis in _axes(pairs):
        found = _slices(about, pairs, axis)
        if len(found) <= len(pairs) or not all(telling(about, t, p.scale) for _, t, p in found):
            continue
        factors = [ratio(v, t) for v, t, _ in found]
        fits = all(
            close(v, c * t, _scaled(about, p, c))
            for (v, t, p), c in zip(found, factors, strict=True)
        )
        if fits and min(map(abs, factors)) > 1e-12:
            return _another_for_each(about, about.axis(axis), factors)
    return ""


def _another_for_each(about: About, axis: str, factors: list[float]) -> str:
    if all(abs(abs(c) - 1) < 3 * about.tolerance for c in factors):
        return (
            f"The sizes are right, but for some {plural(axis)} {about} {about.has} the wrong sign."
        )
    some = ", ".join(f"{c:.3g}" for c in factors[:4])
    said = f"For each {axis} {about} {about.is_} the target times a constant, but another one for "
    said += f"each ({some}{', ...' if len(factors) > 4 else ''})."
    scaled = " Scaled like that, images can no longer be compared." if axis == "image" else ""
    return said + scaled


def offset(about: About, pairs: Pairs) -> str:
    """Words for a constant that was added; empty where there is none."""
    shifts = [(p.value - p.target).mean().item() for p in pairs]
    if not all(
        p.value.numel() > 1 and close(p.value - s, p.target, slack(about, p))
        for p, s in zip(pairs, shifts, strict=True)
    ):
        return ""
    some = listed(list(dict.fromkeys(f"{s:+.3g}" for s in shifts)))
    return f"{about.starting} {about.is_} the target plus a constant in each call ({some})."


def slice_offset(about: About, pairs: Pairs) -> str:
    """Words for a constant that differs along one axis; empty where there is none."""
    for axis in _axes(pairs):
        found = _slices(about, pairs, axis)
        if len(found) <= len(pairs) or not all(t.numel() > 2 for _, t, _ in found):
            continue
        shifts = [(v - t).mean().item() for v, t, _ in found]
        fits = (
            close(v - s, t, slack(about, p)) for (v, t, p), s in zip(found, shifts, strict=True)
        )
        if all(fits):
            some = ", ".join(f"{s:+.3g}" for s in shifts[:4])
            name = about.axis(axis)
            return (
                f"For each {name} {about} {about.is_} the target plus a constant, not the same "
                f"for all {plural(name)} ({some}{', ...' if len(shifts) > 4 else ''})."
            )
    return ""


# ------------------------------------------------------------------ functions of the target


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "one minus the target": lambda t: 1 - t,
    "the square of the target": lambda t: t**2,
    "the root of the target": lambda t: t**0.5,
    "the root of the target's size": lambda t: t.abs() ** 0.5,
    "the cube of the target": lambda t: t**3,
    "the logarithm of the target": lambda t: t.log(),
    "the logarithm of the target plus one": lambda t: t.log1p(),
    "the exponential of the target": lambda t: t.exp(),
    "one divided by the target": lambda t: 1 / t,
    "the sigmoid of the target": lambda t: t.sigmoid(),
}


def named_function(about: About, pairs: Pairs) -> str:
    """Words for a function of the target, times a factor that is the same in every call."""
    for name, function in FUNCTIONS.items():
        images = [function(p.target) for p in pairs]
        count = sum(t.numel() for t in images)
        if count < 2 or not all(i.isfinite().all() and size(i) > 0 for i in images):
            continue
        v = torch.cat([p.value.flatten() / size(i) for p, i in zip(pairs, images, strict=True)])
        t = torch.cat([i.flatten() / size(i) for i in images])
        c = ratio(v, t)
        plain = abs(c - 1) < 3 * about.tolerance
        if abs(c) > 1e-12 and (plain or count > 4) and close(v, c * t, about.tolerance * abs(c)):
            times = "" if plain else f"{c:.3g} times "
            return f"{about.starting} {about.is_} {times}{name}."
    return ""


def signs(about: About, pairs: Pairs) -> str:
    """Words for signs that are wrong or lost; empty where they are right."""
    v, t = _flat(pairs)
    if close(v, t.clamp(min=0), about.tolerance):
        return (
            f"{about.starting} {'agree' if many(about.noun) else 'agrees'} where the target is "
            f"positive and {about.is_} zero where the target is negative: the negative values are "
            "cut off."
        )
    if close(v, t.clamp(max=0), about.tolerance):
        return f"Where the target is negative {about} {about.is_} right, and zero elsewhere."
    if not close(v.abs(), t.abs(), about.tolerance):
        return ""
    if (v >= 0).all():
        return (
            f"The sizes are right, but {about} {about.has} no negative values and the target has: "
            "an absolute value too many?"
        )
    wrong = part((v * t) < 0)
    return f"The sizes are right, but {wrong} of the values have the wrong sign."


def _flat(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """All cases in a row, each on the scale of its target."""
    v = torch.cat([p.value.flatten() / (p.scale or 1.0) for p in pairs])
    return v, torch.cat([p.target.flatten() / (p.scale or 1.0) for p in pairs])


def whole_numbers(about: About, pairs: Pairs) -> str:
    """Words for the right numbers, rounded; empty where it does not apply."""
    if all((p.target == p.target.round()).all() for p in pairs):
        return ""
    names = {"rounded": torch.round, "cut off": torch.trunc, "rounded down": torch.floor}
    for name, function in names.items():
        if all(torch.equal(p.value, function(p.target)) for p in pairs):
            return f"Your values are whole numbers: the fractions have been {name}."
    if all((p.value == p.value.round()).all() for p in pairs):
        return "Your values are whole numbers, and those of the target are not."
    return ""


def monotone(about: About, pairs: Pairs) -> str:
    """Whether larger targets always have larger values, over all cases together."""
    v = torch.cat([p.value.flatten() for p in pairs])
    t = torch.cat([p.target.flatten() for p in pairs])
    order = t.argsort()
    rising = v[order].diff()
    apart = t[order].diff() > 10 * about.tolerance * size(t)
    if (rising >= -1e-6 * size(v)).all() and (rising[apart] > 0).all() and apart.sum() >= 8:
        return (
            f"{about.starting} {'put' if many(about.noun) else 'puts'} the values in exactly the "
            "order of the target, but the numbers are others."
        )
    return ""


# ------------------------------------------------------------------ the right numbers elsewhere


def mirrored(about: About, pairs: Pairs) -> str:
    """Words for a result that is flipped along one axis; empty where it does not apply."""
    words = {"column": "left and right are exchanged", "row": "top and bottom are exchanged"}
    for axis in _axes(pairs):
        name = about.axis(axis)
        if all(close(p.value.flip(axis), p.target, slack(about, p)) for p in pairs):
            other = f"the {plural(name)} are in another order: the reverse one"
            return f"The numbers are right, but {words.get(name, other)}."
    return ""


def transposed(about: About, pairs: Pairs) -> str:
    """Words for rows and columns that are exchanged; empty where they are not."""
    if not {"row", "column"} <= set(about.axes[: pairs[0].value.ndim]):
        return ""
    row, column = about.axes.index("row"), about.axes.index("column")
    turned = [p.value.transpose(row, column) for p in pairs]
    if all(
        t.shape == p.target.shape and close(t, p.target, slack(about, p))
        for t, p in zip(turned, pairs, strict=True)
    ):
        return "The numbers are right, but rows and columns are exchanged."
    return ""


def permuted(about: About, pairs: Pairs) -> str:
    """Words for the right slices in another order along one axis; empty where they are not."""
    for axis in _axes(pairs):
        if all(_match(about, p, axis) for p in pairs):
            return (
                f"The numbers are right, but the {plural(about.axis(axis))} are in another order."
            )
    return ""


def _match(about: About, pair: Pair, axis: int) -> bool:
    """Whether each slice of the target is one of the value's, each used once."""
    left = list(pair.value.unbind(axis))
    for slice_ in pair.target.unbind(axis):
        found = [i for i, v in enumerate(left) if close(v, slice_, slack(about, pair))]
        if not found:
            return False
        left.pop(found[0])
    return True


def rolled(about: About, pairs: Pairs) -> str:
    """Words for a picture that is moved in a circle; empty where it is not."""
    if not {"row", "column"} <= set(about.axes[: pairs[0].value.ndim]):
        return ""
    axes = (about.axes.index("row"), about.axes.index("column"))
    found = [_shift(about, p, axes) for p in pairs]
    if not all(found):
        return ""
    sizes = [tuple(p.value.shape[a] for a in axes) for p in pairs]
    some = "; ".join(dict.fromkeys(map(_moved, _alike(found, sizes))))
    return (
        f"The numbers are right, but {about} {about.is_} moved by {some}; what leaves on one side "
        "comes in on the other."
    )


def _alike(found: list[Shift], sizes: list[Shift]) -> list[Shift]:
    """The shifts as one and the same where they can be: in a circle of 5, 2 is also -3."""
    (rows, columns), (height, width) = found[0], sizes[0]
    ways = product((rows, rows - height), (columns, columns - width))
    for one in sorted(ways, key=lambda shift: sum(map(abs, shift))):
        if found == [(one[0] % h, one[1] % w) for h, w in sizes]:
            return [one]
    both = zip(found, sizes, strict=True)
    return [(_short(r, h), _short(c, w)) for (r, c), (h, w) in both]


def _moved(shift: Shift) -> str:
    """Rows down or up, columns to the right or left, whichever are moved."""
    ways = [("row", "down", "up"), ("column", "to the right", "to the left")]
    return listed(
        [
            f"{counted(abs(n), name)} {ahead if n > 0 else back}"
            for n, (name, ahead, back) in zip(shift, ways, strict=True)
            if n
        ]
    )


def _shift(about: About, pair: Pair, axes: Shift) -> Shift | None:
    """By how many rows and columns the value is moved, down and to the right; None if it is not."""
    height, width = (pair.value.shape[a] for a in axes)
    if height * width > 400:
        return None
    for rows in range(height):
        for columns in range(width):
            back = pair.value.roll((-rows, -columns), axes)
            if (rows or columns) and close(back, pair.target, slack(about, pair)):
                return rows, columns
    return None


def _short(steps: int, length: int) -> int:
    return steps - length if steps > length // 2 else steps


def shuffled(about: About, pairs: Pairs) -> str:
    """Words for the right numbers in another order within each row; empty where they are not."""
    if not all(
        p.value.shape[-1] > 1
        and close(p.value.sort(-1).values, p.target.sort(-1).values, slack(about, p))
        for p in pairs
    ):
        return ""
    ndim = pairs[0].value.ndim
    each = f"For each {about.axis(ndim - 2)} the" if ndim > 1 else "The"
    return f"{each} numbers are right, but the {plural(about.axis(ndim - 1))} are in another order."


# ------------------------------------------------------------------ where it is wrong


def located(about: About, pairs: Pairs) -> str:
    """Words for an error that lies in one slice, or everywhere but there; empty otherwise."""
    for axis in _axes(pairs):
        name = about.axis(axis)
        if any(p.value.shape[axis] < 2 for p in pairs):
            continue
        lengths = {p.value.shape[axis] for p in pairs}
        wrong = [
            off(about, p).movedim(axis, 0).reshape(p.value.shape[axis], -1).any(1) for p in pairs
        ]
        right = _only([~w for w in wrong], lengths)
        if right == "first" and name in BATCH:
            batch = (
                "Only the first image of a batch" if name == "image" else f"Only the first {name}"
            )
            return f"{batch} is right. Does every {name} get its own treatment?"
        if right:
            return f"Only the {right} {name} is right."
        if found := _only(wrong, lengths):
            return f"Only the {found} {name} is wrong; the others are right."
    return ""


def _only(flags: list[Tensor], lengths: set[int]) -> str:
    """Which single entry is set, the same in all: "first", "last"; empty where there is none."""
    if not all(int(f.sum()) == 1 for f in flags):
        return ""
    places = [int(f.nonzero()) for f in flags]
    if all(place == 0 for place in places):
        return "first"
    if all(place == len(f) - 1 for place, f in zip(places, flags, strict=True)):
        return "last"
    return ""


def border(about: About, pairs: Pairs) -> str:
    """Words for an error that lies at the border of maps only; empty where it does not."""
    if not {"row", "column"} <= set(about.axes[: pairs[0].value.ndim]):
        return ""
    axes = (about.axes.index("row"), about.axes.index("column"))
    for width in (1, 2):
        inner = [_inside(off(about, p), axes, width) for p in pairs]
        if all(i is not None and not i.any() for i in inner):
            edge = "outermost rows and columns" if width == 1 else "two outermost rows and columns"
            return (
                f"Inside, {about} {about.is_} right; wrong are values in the {edge} only. What "
                "happens at the border?"
            )
    return ""


def _inside(wrong: Tensor, axes: tuple[int, int], width: int) -> Tensor | None:
    """Without the rows and columns at the border; None where little would be left."""
    for axis in axes:
        length = wrong.shape[axis] - 2 * width
        if length < 2:
            return None
        wrong = wrong.narrow(axis, width, length)
    return wrong


def zeros(about: About, pairs: Pairs) -> str:
    """Words for values that are wrong only where one of the two is zero; empty otherwise."""
    wrong = [off(about, p) for p in pairs]
    both = list(zip(wrong, pairs, strict=True))
    if all((p.value[w] == 0).all() for w, p in both):
        return (
            f"Where {about} {about.is_} not zero, {'they are' if many(about.noun) else 'it is'} "
            "right; but there are zeros where the target has none."
        )
    if all((p.target[w] == 0).all() for w, p in both) and not all(w.all() for w in wrong):
        return (
            f"{about.starting} {about.is_} right where the target is not zero; wrong are places "
            "where it is zero."
        )
    return ""


def part(flags: Tensor) -> str:
    """What share of them is set, in per cent; neither 0 nor 100 where that is not so."""
    share = flags.double().mean().item()
    if 0 < share < 0.01:
        return "less than 1%"
    return "more than 99%" if 0.99 < share < 1 else f"{share:.0%}"


def extent(about: About, pair: Pair) -> str:
    """How much of a result is wrong, up to the verb."""
    wrong = off(about, pair)
    if wrong.all():
        return f"Every value of {about} is"
    share = part(wrong)
    return f"{share[:1].upper()}{share[1:]} of the values of {about} are"


def where(about: About, pair: Pair) -> str:
    """How much is wrong, the largest difference and its place."""
    gap = (pair.value - pair.target).abs()
    place = torch.unravel_index(gap.argmax(), gap.shape)
    spot = ", ".join(f"{about.axis(i)} {int(p)}" for i, p in enumerate(place))
    mine, ours = told_apart(pair.value[place].item(), pair.target[place].item())
    said = extent(about, pair)
    return f"{said} off; most at {spot} (counted from 0): yours {mine}, target {ours}."


def told_apart(mine: float, ours: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to see that they differ; never "-0"."""
    for digits in range(3, 12):
        texts = f"{mine + 0.0:.{digits}g}", f"{ours + 0.0:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts
