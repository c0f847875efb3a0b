"""What can be said about a wrong result that is no known mistake: only what is true of it."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from course_utils.checking import lines
from course_utils.checking.comparing import aligned, as_number, equal, size
from course_utils.checking.core import Case, Exercise, Opaque
from course_utils.checking.relating import (
    BATCH,
    About,
    Pair,
    extent,
    relation,
    relation_of_numbers,
    told_apart,
    where,
)
from course_utils.checking.wording import (
    calls,
    counted,
    is_,
    listed,
    lower,
    many,
    only_a_count,
    plural,
)


@dataclass(frozen=True)
class Results:
    """The results of all calls of one part, or of the whole where there are no parts.

    Attributes:
        values, targets: what the student's and the course's function gave.
        scales: of each call, the size of the whole target, of which the tolerance is a share.
        notes: what is special about each call.
        right: the numbers of the calls that are right.
    """

    values: list
    targets: list
    scales: list[float]
    notes: list[str]
    right: list[int]

    @property
    def first(self) -> int:
        """The number of the first call that is wrong."""
        return next(i for i in range(len(self.values)) if i not in self.right)

    def wrong(self, accepted: Callable[[object, object], bool]) -> list[int]:
        """The numbers of the wrong calls whose value is of a form that can be spoken of."""
        rows = enumerate(zip(self.values, self.targets, strict=True))
        return [i for i, (v, t) in rows if i not in self.right and accepted(v, t)]

    def on(self, these: Sequence[int]) -> str:
        """Which calls are right, and which are going to be spoken of."""
        return calls(self.notes, self.right, these)

    @property
    def at(self) -> str:
        """Which calls are right, if any, and which is the first that is wrong."""
        return self.on([self.first]) if self.right else ""


def describe(
    exercise: Exercise, cases: Sequence[Case], values: list, targets: list, source: str = ""
) -> str:
    """One or two true sentences about results of which at least one is not the target.

    Args:
        cases: the arguments, each with its note.
        values, targets: what the student's and the course's function gave, case by case.
        source: the student's code, where it is known.
    """
    pairs = list(zip(values, targets, strict=True))
    right = [i for i, (v, t) in enumerate(pairs) if equal(v, t, exercise.tolerance)]
    scales = [scale(t) for t in targets]
    results = Results(list(values), list(targets), scales, [c.note for c in cases], right)
    first = results.first
    if values[first] is None:
        return goes_on(results.at, nothing(exercise, source))
    if exercise.parts:
        return structure(exercise, results)
    return one(exercise, About(exercise.noun, exercise.axes, exercise.tolerance), results)


def scale(target: object) -> float:
    """The largest absolute value in a target."""
    return max((size(t) for _, t in aligned(target, target) or []), default=0.0) or 1.0


def goes_on(place: str, sentence: str) -> str:
    """A sentence after the words that say where it holds."""
    return place + lower(sentence) if place else sentence


def nothing(exercise: Exercise, source: str) -> str:
    """Words for `None`, and for the `return` if it is missing."""
    said = "Your function returns nothing (`None`)"
    returns = _returned(exercise.name, source)
    if returns is None:
        why = "."
    elif not returns:
        why = ". Is a `return` missing at its end?"
    elif found := next((r for r in returns if _gives_nothing(r)), None):
        why = f": that is what `{ast.unparse(found)}` gives."
    else:
        why = ". It has a `return` with a value: is that one reached, and is there something in it?"
    return f"{said}{why} Asked for: {exercise.result}."


def _returned(name: str, source: str) -> list[ast.expr] | None:
    """The values of a function's own `return`s; None where its code is not known."""
    made = lines.function(name, source)
    if made is None:
        return None
    found, todo = [], list(made.body)
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Return) and node.value is not None:
            found.append(node.value)
        todo += ast.iter_child_nodes(node)
    return [v for v in found if not (isinstance(v, ast.Constant) and v.value is None)]


def _gives_nothing(value: ast.expr) -> bool:
    """Whether an expression is the call of a method that changes its object and returns nothing."""
    silent = ("sort", "append", "extend", "backward", "reverse", "update", "insert", "print")
    called = value.func if isinstance(value, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    on_tensor = name == "sort" and isinstance(value, ast.Call) and (value.args or value.keywords)
    return name in silent and not on_tensor


# ------------------------------------------------------------------ one array or number


def one(exercise: Exercise, about: About, results: Results) -> str:
    """Words for a result, or a part of it, that is one array or one number."""
    value, target = results.values[results.first], results.targets[results.first]
    if not isinstance(target, Tensor) or target.ndim == 0:
        return number(exercise, about, results)
    said = form(exercise, about, value, target)
    if said:
        return goes_on(results.at, said)
    these = results.wrong(lambda v, t: not form(exercise, about, v, t))
    pairs = [
        Pair(
            results.values[i].double(),
            results.targets[i].double(),
            results.scales[i],
            results.notes[i],
        )
        for i in these
    ]
    place = results.on(these)
    if said := relation(about, pairs):
        return goes_on(place, said)
    alike = len(these) == len(results.values) and len({extent(about, p) for p in pairs}) == 1
    place = "" if alike else results.on([results.first])
    return mixing(about, results) or goes_on(place, where(about, pairs[0]))


def mixing(about: About, results: Results) -> str:
    """A question, where exactly the calls with several images are wrong and nothing else differs.

    What else there is about a case stands in its note.
    """
    alone = [len(t) == 1 for t in results.targets]
    right = [i in results.right for i in range(len(alone))]
    counted = all(only_a_count(note) for note in results.notes)
    if about.axis(0) not in BATCH or alone != right or not any(alone) or not counted:
        return ""
    wrong = [f"on {n}" for n, one in zip(results.notes, alone, strict=True) if not one]
    fine = [f"on {n}" for n, one in zip(results.notes, alone, strict=True) if one]
    said = f"Right {listed(fine)}, wrong {listed(wrong)}."
    return f"{said} Do the {plural(about.axis(0))} of a batch mix?"


def form(exercise: Exercise, about: About, value: object, target: Tensor) -> str:
    """Words for a value that is no array like the target; empty where it is one."""
    if not isinstance(value, Tensor):
        return wrong_type(exercise, about, value, target)
    if value.shape != target.shape:
        return shape(exercise, about, value, target)
    if value.is_complex():
        return f"{about.starting} {_holds(about)} complex numbers; real ones are asked for."
    if value.dtype == torch.bool and target.dtype != torch.bool:
        return f"{about.starting} {_holds(about)} True and False. Asked for: {exercise.result}."
    return "" if value.isfinite().all() else not_finite(about, value, target)


def _holds(about: About) -> str:
    return "hold" if many(about.noun) else "holds"


def kind(value: object) -> str:
    """What a value is, with an article."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        same = {type(v) for v in value}
        words = {int: "number", float: "number", list: "list", Tensor: "tensor", str: "text"}
        if len(same) == 1 and same <= words.keys():
            return f"a list or tuple of {counted(len(value), words[same.pop()])}"
        return f"a list or tuple of length {len(value)}"
    if isinstance(value, Opaque):
        return f"an object of type `{value.kind}`"
    names = {str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
    names |= {complex: "a complex number", type(None): "nothing (`None`)"}
    return names.get(type(value), f"a `{type(value).__name__}`")


def wrong_type(exercise: Exercise, about: About, value: object, target: Tensor) -> str:
    """Words for a result that is no tensor where one is asked for."""
    named = exercise.result.startswith("a tensor")
    asked = f"Asked for{'' if named else ' is a tensor'}: {exercise.result}."
    part = "" if about.noun == exercise.noun else f" as {about}"
    if isinstance(value, list) and value and all(isinstance(v, Tensor) for v in value):
        shapes = ", ".join(str(tuple(v.shape)) for v in value[:3])
        more = ", ..." if len(value) > 3 else ""
        many_ = f"{len(value)} tensors (shapes {shapes}{more})"
        what = many_ if len(value) > 1 else f"one tensor (shape {shapes})"
        hint = _of_tensors(value, target, exercise.tolerance) or _comma(value)
        return f"You return a list or tuple of {what}{part}, not a tensor.{hint} {asked}"
    return f"You return {kind(value)}{part}.{_comma(value)} {asked}"


def _comma(value: object) -> str:
    """A word on how a tuple comes about that nobody meant."""
    alone = isinstance(value, list | tuple) and len(value) == 1
    return " A comma at the end of a line makes a tuple." if alone else ""


def _of_tensors(value: list, target: Tensor, tolerance: float) -> str:
    """A word on a list of tensors; empty where there is none."""
    if len(value) == 1 and equal(value[0], target, tolerance):
        return f" That tensor is right: return it alone.{_comma(value)}"
    if any(v.shape != value[0].shape for v in value):
        return ""
    for axis in range(min(2, value[0].ndim + 1)):
        if equal(torch.stack([v.to(value[0].dtype) for v in value], axis), target, tolerance):
            what = "it" if len(value) == 1 else "they"
            how = f"`torch.stack`{', axis 1' if axis else ''}"
            return f" Stacked ({how}) {what} would be right."
    if len(value) == 2 and value[1].dtype == torch.int64 and value[0].dtype.is_floating_point:
        return " `max`, `sort` and `topk` give such pairs: values and indices."
    return ""


def shape(exercise: Exercise, about: About, value: Tensor, target: Tensor) -> str:
    """Words for another shape: which axis is missing, extra, swapped or of another length."""
    given, wanted = tuple(value.shape), tuple(target.shape)
    asked = f"Asked for: {exercise.result}."
    said = f"{about.starting} {about.has} the shape {given}; expected is {wanted}"
    without = tuple(n for n in given if n != 1)
    if value.numel() == target.numel() and without == tuple(n for n in wanted if n != 1):
        if len(given) == len(wanted):
            return f"{said}: the axis of length one moved."
        if len(given) > len(wanted):
            return f"{said}: an axis of length one too many."
        alone = [about.axis(i) for i, n in enumerate(wanted) if n == 1]
        named = f", that of the {plural(alone[0])}" if len(alone) == 1 else ""
        return f"{said}: an axis of length one is missing{named}."
    if len(given) == len(wanted) and sorted(given) == sorted(wanted):
        orders = [p for p in permutations(range(len(wanted))) if _moved(given, p) == wanted]
        if any(equal(value.permute(p), target, exercise.tolerance) for p in orders):
            return f"{said}. The numbers are right, but the axes are in another order."
        return f"{said}: the same lengths in another order."
    if value.numel() == target.numel():
        return f"{said}: as many numbers, arranged differently. {asked}"
    return f"{said}{_lengths(about, given, wanted)}. {asked}"


def _lengths(about: About, given: tuple, wanted: tuple) -> str:
    """The one axis that is missing, too many, or of another length; empty where there is none."""
    if len(given) == len(wanted):
        others = [i for i in range(len(given)) if given[i] != wanted[i]]
        names = listed([f"{counted(wanted[i], about.axis(i))} and not {given[i]}" for i in others])
        return f": {names}" if len(others) == 1 else ""
    long, short = (given, wanted) if len(given) > len(wanted) else (wanted, given)
    dropped = [i for i in range(len(long)) if long[:i] + long[i + 1 :] == short]
    if len(dropped) != 1:
        return ""
    if long == given:
        return f": an axis of length {given[dropped[0]]} too many"
    return f": the axis of {plural(about.axis(dropped[0]))} is missing"


def _moved(given: tuple, order: tuple) -> tuple:
    return tuple(given[i] for i in order)


def not_finite(about: About, value: Tensor, target: Tensor) -> str:
    """Words for NaN or infinity."""
    kinds = ((int(value.isnan().sum()), "NaN"), (int(value.isinf().sum()), "infinite"))
    what = listed([f"{n} {'is' if n == 1 else 'are'} {word}" for n, word in kinds if n])
    if value.numel() == 1:
        return f"{about.starting} {about.is_} not finite: {value.item()}. {CAUSES}"
    return f"Of the {value.numel()} values of {about} {what}. {CAUSES}"


CAUSES = (
    "Such values come from dividing by zero, from the logarithm or root of something that must "
    "not be negative, or from numbers that grow beyond all bounds."
)


def number(exercise: Exercise, about: About, results: Results) -> str:
    """Words for results that are one number a call."""
    found, first = [as_number(v) for v in results.values], results.first
    if found[first] is None:
        part = "" if about.noun == exercise.noun else f" as {about}"
        asked = "Asked for is one number." if part else f"Asked for: {exercise.result}."
        said = f"You return {kind(results.values[first])}{part}."
        return goes_on(results.at, f"{said}{_comma(results.values[first])} {asked}")
    if not found[first].isfinite():
        said = not_finite(about, found[first].reshape(1), found[first])
        return goes_on(results.at, said)
    these = results.wrong(lambda v, t: as_number(v) is not None and bool(as_number(v).isfinite()))
    ours = [torch.tensor(float(results.targets[i])).double() for i in these]
    mine = [found[i] for i in these]
    if len(these) > 1 and (said := relation_of_numbers(about, mine, ours)):
        return goes_on(results.on(these), said)
    a, b = told_apart(mine[0].item(), ours[0].item())
    counted = isinstance(results.targets[first], int)  # a row or a size is no multiple of another
    compared = not counted and ours[0] != 0 and mine[0] != 0
    times = f" ({mine[0] / ours[0]:.3g} times)" if compared else ""
    said = f"{about.starting} {about.is_} {a} where {b} belongs{times}."
    return goes_on(results.at, said)


# ------------------------------------------------------------------ several parts


def structure(exercise: Exercise, results: Results) -> str:
    """Words for a result of several parts: its form first, then part by part."""
    value, target = results.values[results.first], results.targets[results.first]
    if said := _form(exercise, value, target, ()):
        return goes_on(results.at, said)
    fits = [
        i
        for i, (v, t) in enumerate(zip(results.values, results.targets, strict=True))
        if not _form(exercise, v, t, ())
    ]
    if order := _order(exercise, results, fits):
        return order
    depth = len(exercise.axes) if exercise.axes and isinstance(exercise.axes[0], str) else 0
    parts = [_part(exercise, results, fits, n, depth) for n in range(len(exercise.parts))]
    wrong = [n for n, part in enumerate(parts) if len(part.right) < len(part.values)]
    said = _part_words(exercise, parts[wrong[0]], wrong[0], depth)
    return _beside(exercise, wrong, said, whole=len(fits) == len(results.values))


def _beside(exercise: Exercise, wrong: list[int], said: str, whole: bool) -> str:
    """Words on the first wrong part, with the parts that are right named before it.

    Args:
        wrong: the numbers of the parts that are wrong.
        said: the words on the first of them.
        whole: whether all calls gave parts that could be compared.
    """
    first, names = exercise.parts[wrong[0]], exercise.parts
    right = [name for n, name in enumerate(names) if n not in wrong]
    if not right or not whole:
        return said if f"our {first}" in said else f"Your {first}: {lower(said)}"
    verb = "are" if len(right) > 1 else is_(right[0])
    if f"our {first}" in said and said.startswith("Right"):
        return f"Your {listed(right)} {verb} right in every call. {said}"
    if f"our {first}" in said:
        return f"Your {listed(right)} {verb} right, but {lower(said)}"
    return f"Your {listed(right)} {verb} right; your {first}: {lower(said)}"


def _order(exercise: Exercise, results: Results, fits: list[int]) -> str:
    """Words for the right parts in another order; empty where they are not."""
    if not all(isinstance(t, list) and len(t) == len(exercise.parts) for t in results.targets):
        return ""
    for order in permutations(range(len(exercise.parts))):
        moved = [[results.values[i][n] for n in order] for i in fits]
        wanted = [results.targets[i] for i in fits]
        if len(fits) == len(results.values) and all(
            equal(m, t, exercise.tolerance) for m, t in zip(moved, wanted, strict=True)
        ):
            names = ", ".join(exercise.parts)
            return f"The parts are right, but in another order: asked for is ({names})."
    return ""


def _part(exercise: Exercise, results: Results, fits: list[int], n: int, depth: int) -> Results:
    """Part `n` of the results of the calls `fits`."""
    values = [_nth(results.values[i], n, depth) for i in fits]
    targets = [_nth(results.targets[i], n, depth) for i in fits]
    scales = [results.scales[i] for i in fits]
    right = [
        i
        for i, (v, t, s) in enumerate(zip(values, targets, scales, strict=True))
        if equal(v, t, exercise.tolerance * s / scale(t))
    ]
    return Results(values, targets, scales, [results.notes[i] for i in fits], right)


def _nth(value: list, n: int, depth: int) -> object:
    """Part `n`, taken out of the lists in which the parts lie."""
    return [_nth(inner, n, depth - 1) for inner in value] if depth else value[n]


def _part_words(exercise: Exercise, part: Results, n: int, depth: int) -> str:
    noun, axes = exercise.parts[n], exercise.axes
    own = axes if depth else (axes[n] if axes else ())
    about = About(noun, own, exercise.tolerance)
    if not depth or not isinstance(part.targets[0], list):
        return one(exercise, about, part)
    if _innermost(part.targets[0]) is str:
        first = part.first
        return goes_on(part.at, _text(about, part.values[first], part.targets[first], ()))
    values, targets = [_array(v) for v in part.values], [_array(t) for t in part.targets]
    return one(exercise, about, Results(values, targets, part.scales, part.notes, part.right))


def _innermost(value: object) -> type:
    return _innermost(value[0]) if isinstance(value, list) and value else type(value)


def _array(value: list) -> object:
    """Nested lists of numbers as a tensor; as they are where their lengths differ."""
    if isinstance(value, list | tuple):
        parts = [_array(v) for v in value]
        same = all(isinstance(p, Tensor) and p.shape == parts[0].shape for p in parts)
        return torch.stack(parts) if parts and same else parts
    number = as_number(value)
    return value if number is None else number


def _text(about: About, value: object, target: object, path: tuple[int, ...]) -> str:
    """Words for the first name that differs."""
    if isinstance(target, list):
        parts = enumerate(zip(value, target, strict=True))
        found = (_text(about, v, t, (*path, i)) for i, (v, t) in parts)
        return next((said for said in found if said), "")
    if value == target:
        return ""
    spot = ", ".join(f"{about.axis(i)} {p}" for i, p in enumerate(path))
    return f"At {spot} (counted from 0) stands {value[:40]!r}; expected is {target!r}."


def _form(exercise: Exercise, value: object, target: object, path: tuple[int, ...]) -> str:
    """The first place where lists are no lists, or of another length; empty where there is none."""
    asked = f"Asked for: {exercise.result}."
    spot = _spot(exercise, path)
    if isinstance(target, list):
        pieces = exercise.parts if not path and len(exercise.parts) == len(target) else ()
        pieces = pieces if not isinstance(target[0], list) else ()
        if not isinstance(value, list | tuple):
            parts = f"{len(pieces)} parts, {listed(pieces)}" if pieces else "a list"
            return f"{spot} is {kind(value)}, not {parts}. {asked}"
        if len(value) != len(target):
            few = "1 entry" if len(value) == 1 else f"{len(value)} entries"
            parts = f": {listed(pieces)}" if pieces else ""
            return f"{spot} has {few}, expected are {len(target)}{parts}. {asked}"
        if isinstance(target[0], list | str) or path:
            parts = enumerate(zip(value, target, strict=True))
            return next((s for i, (v, t) in parts if (s := _form(exercise, v, t, (*path, i)))), "")
        return ""
    if isinstance(target, str) and not isinstance(value, str):
        return f"{spot} is {kind(value)}, not a text. {asked}"
    if isinstance(target, float) and as_number(value) is None:
        return f"{spot} is {kind(value)}, not a number. {asked}"
    return ""


def _spot(exercise: Exercise, path: tuple[int, ...]) -> str:
    """Where in the result, counted from 0 as Python does."""
    lists = exercise.axes if exercise.axes and isinstance(exercise.axes[0], str) else ()
    if not path:
        return "Your result"
    inside = ", ".join(f"{name} {i}" for name, i in zip(lists, path, strict=False))
    if len(path) > len(lists):
        name = exercise.parts[path[len(lists)]]
        return f"One of your {name}" + (f" ({inside})" if inside else "")
    return f"Your result for {inside}"
