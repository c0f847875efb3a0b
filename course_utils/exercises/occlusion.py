"""Lecture 05's exercises: the sliding window, the drop, and the map on the photo's pixels."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import occlusion
from course_utils.checking import drawing, photos
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register

LECTURE = "05_occlusion"


def window_cases(seed: int) -> list[Case]:
    """Steps that end at the border and steps that do not; overlapping squares, and gaps."""
    random = drawing.generator(seed, "sliding_window")
    shapes = [(9, 7, 5, 3, 2), (8, 11, 4, 2, 3), (10, 9, 6, 4, 2)]
    notes = ["a high image", "a wide image with gaps between the squares", "a large square"]
    found = []
    for (height, width, classes, window, stride), note in zip(shapes, notes, strict=True):
        spec = drawing.network(random, classes)
        x = drawing.images(random, spec, 1, height, width)
        value = 2 * torch.randn(3, 1, 1, generator=random)
        args = {"model": spec, "x": x, "window": window, "stride": stride, "value": value}
        found.append(Case(args, note, repeat=width == 7))
    return found


def drop_cases(seed: int) -> list[Case]:
    """Probability and score, for a class that is not the first choice of the untouched image."""
    random = drawing.generator(seed, "drop")
    found = []
    for classes, rows, columns, probability in [(4, 3, 5, 1), (6, 4, 3, 0), (3, 5, 4, 1)]:
        before = 1.5 * torch.randn(classes, generator=random)
        after = before + torch.randn(rows, columns, classes, generator=random)
        target = int(before.topk(2).indices[1])
        args = {"before": before, "after": after, "target": target, "probability": probability}
        args["probability"] = bool(probability)
        found.append(Case(args, "probabilities" if probability else "scores"))
    return found


def pixel_cases(seed: int) -> list[Case]:
    """Squares that overlap, that overlap unevenly, and that leave gaps; no square picture."""
    random = drawing.generator(seed, "to_pixels")
    shapes = [(4, 5, 4, 2, 11, 12), (3, 4, 5, 3, 11, 15), (3, 2, 2, 4, 10, 7)]
    notes = ["squares that overlap", "squares that overlap unevenly", "squares with gaps"]
    found = []
    for (rows, columns, window, stride, height, width), note in zip(shapes, notes, strict=True):
        values = torch.randn(rows, columns, generator=random)
        sizes = {"window": window, "stride": stride, "height": height, "width": width}
        found.append(Case({"values": values, **sizes}, note))
    return found


# ------------------------------------------------------------------ the sliding window, wrongly

Corners = tuple[range, range]


def slide(
    model: nn.Module,
    x: Tensor,
    rows: range,
    columns: range,
    paint: Callable[[Tensor, int, int], None],
) -> Tensor:
    """Logits (rows, columns, classes) after `paint` has changed a copy of x for each corner."""
    answers = []
    for top in rows:
        for left in columns:
            copy = x.clone()
            paint(copy, top, left)
            answers.append(model(copy)[0])
    return torch.stack(answers).unflatten(0, (len(rows), len(columns)))


def corners(x: Tensor, window: int, stride: int, extra: int = 1) -> Corners:
    height, width = x.shape[2:]
    return range(0, height - window + extra, stride), range(0, width - window + extra, stride)


def painted(
    name: str, paint: Callable[[Tensor, int, int, int, Tensor], None], sentence: str
) -> Mistake:
    """A mistake that visits the right positions and paints the wrong thing there."""

    def mistake(model: nn.Module, x: Tensor, window: int, stride: int, value: Tensor) -> Tensor:
        rows, columns = corners(x, window, stride)
        return slide(model, x, rows, columns, lambda c, i, j: paint(c, i, j, window, value))

    return Mistake(name, mistake, sentence)


def visited(name: str, positions: Callable[[Tensor, int, int], Corners], sentence: str) -> Mistake:
    """A mistake that paints the right square at the wrong positions."""

    def mistake(model: nn.Module, x: Tensor, window: int, stride: int, value: Tensor) -> Tensor:
        rows, columns = positions(x, window, stride)
        return slide(model, x, rows, columns, lambda c, i, j: cover(c, i, j, window, value))

    return Mistake(name, mistake, sentence)


def finished(name: str, finish: Callable[[Tensor, Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that has the right logits and returns something made of them."""

    def mistake(model: nn.Module, x: Tensor, window: int, stride: int, value: Tensor) -> Tensor:
        return finish(occlusion.sliding_window(model, x, window, stride, value), model(x)[0])

    return Mistake(name, mistake, sentence)


def cover(copy: Tensor, top: int, left: int, window: int, value: Tensor | float) -> None:
    copy[:, :, top : top + window, left : left + window] = value


def show_only(copy: Tensor, top: int, left: int, window: int, value: Tensor) -> None:
    kept = copy[:, :, top : top + window, left : left + window].clone()
    copy[:] = value
    cover(copy, top, left, window, kept)


def cover_one_colour(copy: Tensor, top: int, left: int, window: int, value: Tensor) -> None:
    copy[:, 0, top : top + window, left : left + window] = value[0]


def _piled_up(model: nn.Module, x: Tensor, window: int, stride: int, value: Tensor) -> Tensor:
    pile = x.clone()
    rows, columns = corners(x, window, stride)

    def paint(copy: Tensor, top: int, left: int) -> None:
        cover(pile, top, left, window, value)
        copy[:] = pile

    return slide(model, x, rows, columns, paint)


def _not_times_stride(
    model: nn.Module, x: Tensor, window: int, stride: int, value: Tensor
) -> Tensor:
    rows, columns = (range(len(r)) for r in corners(x, window, stride))
    return slide(model, x, rows, columns, lambda c, i, j: cover(c, i, j, window, value))


WINDOW_MISTAKES = (
    Mistake(
        "piled_up",
        _piled_up,
        "The squares pile up: each one is painted on an image that still carries all before it. "
        "Every position starts from a fresh copy of the untouched image.",
    ),
    finished(
        "transposed",
        lambda logits, before: logits.transpose(0, 1),
        "Rows and columns are exchanged: the first axis of the result goes down the image, the "
        "second across.",
    ),
    finished(
        "flat",
        lambda logits, before: logits.flatten(0, 1),
        "You return a list of positions. The result has rows and columns, as the image has, so "
        "that it can be looked at as a map.",
    ),
    finished(
        "probabilities",
        lambda logits, before: logits.softmax(-1),
        "You return probabilities. Here the logits are wanted, as the network gives them: "
        "probabilities can be made of them later, but not the other way round.",
    ),
    finished(
        "drop_already",
        lambda logits, before: before - logits,
        "You return how much the logits drop. That is the next step; here the network's answers "
        "themselves are wanted.",
    ),
    finished(
        "top_class_only",
        lambda logits, before: logits[..., before.argmax()],
        "You kept one class only. Return all logits of every position: then one slide answers for "
        "any class.",
    ),
    finished(
        "classes_first",
        lambda logits, before: logits.movedim(-1, 0),
        "The numbers are right, but the classes are the first axis. Asked for is (rows, columns, "
        "classes).",
    ),
    finished(
        "batch_axis_left",
        lambda logits, before: logits[:, :, None],
        "The numbers are right, but the network's batch axis, of length 1, is left in between. "
        "Take the one image's logits out of it.",
    ),
    visited(
        "height_and_width_exchanged",
        lambda x, window, stride: corners(x, window, stride)[::-1],
        "You count the rows by the image's width and the columns by its height. `x` has the shape "
        "(1, 3, height, width).",
    ),
    visited(
        "square_grid",
        lambda x, window, stride: (corners(x, window, stride)[0],) * 2,
        "You visit as many columns as rows. The image need not be square.",
    ),
    Mistake(
        "window_and_stride_exchanged",
        lambda model, x, window, stride, value: occlusion.sliding_window(
            model, x, stride, window, value
        ),
        "Window and stride are exchanged: the square's side is `window`, the step between two "
        "positions `stride`.",
    ),
    visited(
        "last_left_out",
        lambda x, window, stride: corners(x, window, stride, extra=0),
        "Where the last square just touches the border, you leave it out. It still fits: a range "
        "ends before its end.",
    ),
    visited(
        "cut_at_the_border",
        lambda x, window, stride: (range(0, x.shape[2], stride), range(0, x.shape[3], stride)),
        "Your last squares hang over the border and are cut there. A smaller square costs the "
        "network less, so only positions count where the whole square fits.",
    ),
    visited(
        "steps_of_the_window",
        lambda x, window, stride: corners(x, window, window),
        "You move by the square's side instead of by the stride. Squares may overlap, or leave "
        "gaps.",
    ),
    visited(
        "steps_of_one",
        lambda x, window, stride: corners(x, window, 1),
        "You visit every pixel. Between two positions lie as many pixels as the stride says.",
    ),
    Mistake(
        "not_times_stride",
        _not_times_stride,
        "Your squares begin at the number of the position, not at that number times the stride: "
        "they all crowd into the upper left corner.",
    ),
    painted(
        "zeros",
        lambda c, i, j, window, value: cover(c, i, j, window, 0.0),
        "Your squares are zero, whatever colour is asked for. Zero is the data set's mean colour, "
        "one choice among others; paint `value`.",
    ),
    painted(
        "show_only",
        show_only,
        "You did the opposite: the square stays visible and everything else is covered. A fine "
        "experiment too, but here the square hides.",
    ),
    painted(
        "one_colour",
        cover_one_colour,
        "Only the first of the three colours is painted over, and the object shines through in the "
        "other two.",
    ),
    painted(
        "one_pixel_less",
        lambda c, i, j, window, value: cover(c, i, j, window - 1, value),
        "Your square is one pixel too small. A slice already ends before its end.",
    ),
    painted(
        "one_pixel_more",
        lambda c, i, j, window, value: cover(c, i, j, window + 1, value),
        "Your square is one pixel too large. A slice ends before its end, so nothing has to be "
        "added.",
    ),
    painted(
        "grey",
        lambda c, i, j, window, value: cover(c, i, j, window, 0.5),
        "Your squares are 0.5, whatever colour is asked for. Paint `value`.",
    ),
    painted(
        "mean_of_colour",
        lambda c, i, j, window, value: cover(c, i, j, window, value.mean().item()),
        "Your squares are grey: one number in all three channels. `value` has one for each colour.",
    ),
    painted(
        "centred",
        lambda c, i, j, window, value: c[
            :,
            :,
            max(i - window // 2, 0) : i + window - window // 2,
            max(j - window // 2, 0) : j + window - window // 2,
        ].copy_(value.expand_as(c[0])[:, :1, :1]),
        "Your squares lie *around* each position, cut at the border. A position is the square's "
        "upper left corner.",
    ),
    painted(
        "whole_rows",
        lambda c, i, j, window, value: c[:, :, i : i + window].copy_(value),
        "You cover whole rows. The square has a left and a right edge as well.",
    ),
    painted(
        "added",
        lambda c, i, j, window, value: c[:, :, i : i + window, j : j + window].add_(value),
        "You added the colour to the pixels below. They are to be replaced, otherwise the network "
        "still sees them.",
    ),
)


# ------------------------------------------------------------------ the drop, wrongly

Logits = tuple[Tensor, Tensor]


def answers(before: Tensor, after: Tensor, probability: int) -> Logits:
    """What is compared: logits, or their softmax."""
    return (before.softmax(-1), after.softmax(-1)) if probability else (before, after)


def compared(name: str, finish: Callable[[Tensor, Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that has the right numbers before and after, and compares them wrongly."""

    def mistake(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
        before, after = answers(before, after, probability)
        return finish(before[target], after[..., target])

    return Mistake(name, mistake, sentence)


def _softmax_over_positions(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
    if not probability:
        return before[target] - after[..., target]
    spread = after.flatten(0, 1).softmax(0).reshape(after.shape)
    return before.softmax(-1)[target] - spread[..., target]


def _softmax_over_columns(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
    if not probability:
        return before[target] - after[..., target]
    return before.softmax(-1)[target] - after.softmax(1)[..., target]


def softmaxed(name: str, change: Callable[[Tensor, Tensor, int], Tensor], sentence: str) -> Mistake:
    """A mistake with the softmax; where scores are asked for it is right."""

    def mistake(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
        if not probability:
            return before[target] - after[..., target]
        return change(before, after, target)

    return Mistake(name, mistake, sentence)


def _top_class(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
    return occlusion.drop(before, after, int(before.argmax()), bool(probability))


def _top_class_of_each(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
    before, after = answers(before, after, probability)
    return before[target] - after.amax(-1)


def _all_classes(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
    before, after = answers(before, after, probability)
    return before - after


def _logarithm(before: Tensor, after: Tensor, target: int, probability: int) -> Tensor:
    if not probability:
        return before[target] - after[..., target]
    return before.log_softmax(-1)[target] - after.log_softmax(-1)[..., target]


DROP_MISTAKES = (
    compared(
        "sign",
        lambda before, after: after - before,
        "The sign is the wrong way round: your map is cold where the network misses the square "
        "most. What was there before comes first.",
    ),
    compared(
        "abs",
        lambda before, after: (before - after).abs(),
        "The signs are lost. Covering a rival can *raise* the class, and that must not look like "
        "a place it needs.",
    ),
    compared(
        "cut_off",
        lambda before, after: (before - after).clamp(min=0),
        "You cut the negative values off. Places whose covering helps the class belong to the map; "
        "what to show of them is up to the plot.",
    ),
    compared(
        "no_before",
        lambda before, after: after,
        "This is what remains, not what is lost: the untouched image does not come into it.",
    ),
    compared(
        "relative",
        lambda before, after: (before - after) / before,
        "You divided by the value before. The drop is a plain difference; a score may even be "
        "negative, and then the share turns round.",
    ),
    compared(
        "largest_after",
        lambda before, after: after.max() - after,
        "You compare with the best position, not with the untouched image. No square at all is the "
        "zero of this scale.",
    ),
    compared(
        "scaled_to_one",
        lambda before, after: (before - after) / (before - after).abs().max(),
        "You scaled the largest drop to 1. Then a photo that loses a thousandth looks like one "
        "that loses everything; leave scaling to the plot.",
    ),
    Mistake(
        "always_probability",
        lambda before, after, target, probability: occlusion.drop(before, after, target, True),
        "You compare probabilities even where scores are asked for: look at `probability`.",
    ),
    Mistake(
        "always_score",
        lambda before, after, target, probability: occlusion.drop(before, after, target, False),
        "Scores are compared even where probabilities are asked for: the softmax is missing, or "
        "has no effect.",
    ),
    Mistake(
        "softmax_over_positions",
        _softmax_over_positions,
        "Your softmax runs over the positions. The probabilities of one picture's *classes* add "
        "up to 1, so it belongs on the last axis.",
    ),
    Mistake(
        "softmax_over_columns",
        _softmax_over_columns,
        "Your softmax runs over the second axis, which holds columns. The classes are on the last.",
    ),
    softmaxed(
        "softmax_over_rows",
        lambda before, after, target: before.softmax(0)[target] - after.softmax(0)[..., target],
        "Your softmax runs over the first axis, which holds rows. The classes are on the last.",
    ),
    softmaxed(
        "softmax_over_everything",
        lambda before, after, target: (
            before.softmax(-1)[target]
            - after.flatten().softmax(0).reshape(after.shape)[..., target]
        ),
        "Your softmax runs over all positions and classes at once. The probabilities of the "
        "classes add up to 1 at every single position.",
    ),
    softmaxed(
        "only_before_softmaxed",
        lambda before, after, target: before.softmax(-1)[target] - after[..., target],
        "You compare a probability with a score: only `before` went through the softmax. Both have "
        "to.",
    ),
    softmaxed(
        "only_after_softmaxed",
        lambda before, after, target: before[target] - after.softmax(-1)[..., target],
        "You compare a score with a probability: only `after` went through the softmax. Both have "
        "to.",
    ),
    softmaxed(
        "softmax_of_the_drop",
        lambda before, after, target: (before - after).softmax(-1)[..., target],
        "You put the *difference* of the scores through the softmax. First the probabilities, of "
        "each picture by itself, then their difference.",
    ),
    softmaxed(
        "softmax_after_choosing",
        lambda before, after, target: before[target].softmax(0) - after[..., target].softmax(-1),
        "You chose the class before the softmax. What adds up to 1 are all classes of a picture: "
        "softmax first, then choose.",
    ),
    softmaxed(
        "softmax_after_choosing_all_positions",
        lambda before, after, target: (
            before[target].softmax(0)
            - after[..., target].flatten().softmax(0).reshape(after.shape[:2])
        ),
        "You chose the class before the softmax, and softmaxed over the positions. What adds up to "
        "1 are all classes of a picture: softmax first, then choose.",
    ),
    softmaxed(
        "softmax_twice",
        lambda before, after, target: (
            before.softmax(-1).softmax(-1)[target] - after.softmax(-1).softmax(-1)[..., target]
        ),
        "Softmax was applied twice. The second one takes probabilities for scores and makes them "
        "all nearly equal.",
    ),
    softmaxed(
        "sigmoid",
        lambda before, after, target: before[target].sigmoid() - after[..., target].sigmoid(),
        "You used the sigmoid, which judges every class for itself. The probabilities here are "
        "those of the softmax, which add up to 1 over the classes.",
    ),
    Mistake(
        "opposite_probability",
        lambda before, after, target, probability: occlusion.drop(
            before, after, target, not probability
        ),
        "You compare scores where probabilities are asked for, and the other way round: "
        "`probability` is True for probabilities.",
    ),
    Mistake(
        "logarithm",
        _logarithm,
        "You took logarithms of the probabilities. The map is the difference of the probabilities "
        "themselves, at most 1.",
    ),
    Mistake(
        "top_class",
        _top_class,
        "You follow the class the network finds most probable, not the one in `target`.",
    ),
    Mistake(
        "top_class_of_each",
        _top_class_of_each,
        "After covering you take whichever class is then on top. Follow one class, `target`, "
        "before and after.",
    ),
    Mistake(
        "all_classes",
        _all_classes,
        "You return the drop of all classes. Choose the one in `target`, so that a map remains.",
    ),
)


# ------------------------------------------------------------------ the map on pixels, wrongly


def squares(
    values: Tensor, window: int, stride: int, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """For each pixel the sum of the squares over it and their number; squares cut at the border."""
    total, count = torch.zeros(2, height, width)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            place = (slice(i * stride, i * stride + window), slice(j * stride, j * stride + window))
            total[place] += value
            count[place] += 1
    return total, count


def _one_at_a_time(choose: Callable[[Tensor, Tensor], Tensor], start: float) -> Callable:
    """A map in which each square meets what earlier ones have left."""

    def mistake(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
        found = torch.full((height, width), start)
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                part = found[i * stride :, j * stride :][:window, :window]
                part[:] = choose(part, value)
        return torch.where(found.isinf(), 0.0, found)

    return mistake


def _stretched(mode: str) -> Callable:
    def mistake(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
        wide = torch.nn.functional.interpolate(values[None, None], (height, width), mode=mode)
        return wide[0, 0]

    return mistake


def _upper_left_cells(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
    total, count = squares(values, stride, stride, height, width)
    return total / count.clamp(min=1)


def _centres(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
    found = torch.zeros(height, width)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            found[i * stride + window // 2, j * stride + window // 2] = value
    return found


def _shared_out(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
    """Each square's value spread over its pixels."""
    return squares(values, window, stride, height, width)[0] / window**2


def _one_count_for_all(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
    total, count = squares(values, window, stride, height, width)
    return total / count.max()


def _not_times_stride_pixels(
    values: Tensor, window: int, stride: int, height: int, width: int
) -> Tensor:
    total, count = squares(values, window, 1, height, width)
    return total / count.clamp(min=1)


def _times_the_window(values: Tensor, window: int, stride: int, height: int, width: int) -> Tensor:
    total, count = squares(values, window, window, height, width)
    return total / count.clamp(min=1)


PIXEL_MISTAKES = (
    Mistake(
        "sum",
        lambda *args: squares(*args)[0],
        "You added up the squares over a pixel. A pixel in the middle lies under more of them than "
        "one at the border and would look more important: take the mean.",
    ),
    Mistake(
        "last_one_wins",
        _one_at_a_time(lambda part, value: value.expand_as(part), 0.0),
        "Each square overwrites the ones before it. A pixel lies under several squares, and its "
        "value is their mean.",
    ),
    Mistake(
        "largest",
        _one_at_a_time(lambda part, value: part.clamp(min=value), -float("inf")),
        "You kept the largest drop of the squares over each pixel. That makes every hot square "
        "spread; the mean is wanted.",
    ),
    Mistake(
        "smallest",
        lambda *args: (
            -_one_at_a_time(lambda part, value: part.clamp(min=value), -float("inf"))(
                -args[0], *args[1:]
            )
        ),
        "You kept the smallest drop of the squares over each pixel; the mean is wanted.",
    ),
    Mistake(
        "first_one_wins",
        lambda values, *sizes: _one_at_a_time(
            lambda part, value: torch.where(part.isinf(), value, part), float("inf")
        )(values, *sizes),
        "Each pixel keeps the value of the first square that came. It lies under several, and its "
        "value is their mean.",
    ),
    Mistake(
        "count_from_one",
        lambda *args: (lambda total, count: total / (count + 1))(*squares(*args)),
        "You divide by one square too many: your count begins at 1 before any square came. That "
        "avoids a division by zero, but makes every value too small.",
    ),
    Mistake(
        "mean_of_neighbouring_means",
        _one_at_a_time(
            lambda part, value: torch.where(part.isinf(), value, (part + value) / 2), float("inf")
        ),
        "You average each new square with what is there already, so the last squares weigh most. "
        "Add them all up, count them, and divide at the end.",
    ),
    Mistake(
        "mean_over_all_squares",
        lambda values, *sizes: squares(values, *sizes)[0] / values.numel(),
        "You divided by the number of all squares. Only those over the pixel count, and they are "
        "not equally many everywhere.",
    ),
    Mistake(
        "divided_by_overlap",
        lambda values, window, *sizes: (
            squares(values, window, *sizes)[0] / (window / sizes[0]) ** 2
        ),
        "You divided by how many squares lie over a pixel in the middle. Near the border fewer "
        "come: count them for each pixel.",
    ),
    Mistake(
        "one_pixel_more",
        lambda *args: (lambda total, count: total / count.clamp(min=1))(
            *squares(args[0], args[1] + 1, *args[2:])
        ),
        "Your squares are one pixel too large. A slice ends before its end, so nothing has to be "
        "added.",
    ),
    Mistake(
        "one_pixel_less",
        lambda *args: (lambda total, count: total / count.clamp(min=1))(
            *squares(args[0], args[1] - 1, *args[2:])
        ),
        "Your squares are one pixel too small. A slice already ends before its end.",
    ),
    Mistake(
        "shared_out",
        _shared_out,
        "You divided each drop by the number of pixels in its square. Divide by the number of "
        "squares over the pixel instead: the map keeps the unit of the drop.",
    ),
    Mistake(
        "one_count_for_all",
        _one_count_for_all,
        "You divided every pixel by the same number of squares. Near the border fewer squares "
        "come: count them for each pixel.",
    ),
    Mistake(
        "stretched",
        _stretched("nearest"),
        "You stretched the grid to the size of the photo. The squares overlap and do not reach "
        "every border, so the map gets shifted: put each value where its square was.",
    ),
    Mistake(
        "stretched_smoothly",
        _stretched("bilinear"),
        "You stretched the grid smoothly over the photo. It looks fine and lies in the wrong "
        "place: the first square does not end where the grid's first cell would.",
    ),
    Mistake(
        "cells_of_the_stride",
        _upper_left_cells,
        "You painted a cell of the stride's size for each position. The square that was covered is "
        "as large as the window.",
    ),
    Mistake(
        "centres",
        _centres,
        "You set only the middle pixel of each square. The whole square was covered, and all its "
        "pixels take part.",
    ),
    Mistake(
        "not_times_stride",
        _not_times_stride_pixels,
        "Your squares are one pixel apart. Position number $i$ begins at pixel $i$ times the "
        "stride.",
    ),
    Mistake(
        "times_the_window",
        _times_the_window,
        "Your squares lie side by side, a window apart. Position number $i$ begins at pixel $i$ "
        "times the stride.",
    ),
    Mistake(
        "transposed",
        lambda values, window, stride, height, width: occlusion.to_pixels(
            values.T, window, stride, height, width
        ),
        "Rows and columns are exchanged: the first axis of `values` goes down the photo.",
    ),
)


# ------------------------------------------------------------------ pictures


WINDOW, STRIDE = 64, 32


def window_photo() -> Case:
    """36 squares on the koala."""
    value = occlusion.fill_value(photos.network(), photos.seen("koala"))
    return photos.case("koala", window=WINDOW, stride=STRIDE, value=value)


def koala_score_lost(logits: Tensor) -> Tensor:
    """How far the koala's score lies below its best, for each position."""
    score = logits[..., 105]
    return score.max() - score


def koala_logits() -> tuple[Tensor, Tensor]:
    """Before and after, with 36 squares."""
    model, x = photos.network(), photos.seen("koala")
    with torch.no_grad():
        before = model(x)[0]
    return before, occlusion.occlusion_logits(model, x, WINDOW, STRIDE)


def drop_photo() -> Case:
    before, after = koala_logits()
    args = {"before": before, "after": after, "target": 105, "probability": 0}
    return Case(args, "a photo")


def pixel_photo() -> Case:
    before, after = koala_logits()
    values = occlusion.drop(before, after, 105, probability=False)
    sizes = {"window": WINDOW, "stride": STRIDE, "height": 224, "width": 224}
    return Case({"values": values, **sizes}, "a photo")


def unchanged(result: Tensor) -> Tensor:
    return result


register(
    Exercise(
        name="sliding_window",
        lecture=LECTURE,
        title="The sliding window",
        reference=occlusion.sliding_window,
        cases=window_cases,
        mistakes=WINDOW_MISTAKES,
        result="the logits for every position, so (rows, columns, classes)",
        noun="result",
        axes=("row", "column", "class"),
        hints=(
            "Two loops: one over the upper edge of the square, one over its left edge.",
            "`range(0, height - window + 1, stride)` are the upper edges at which it still fits.",
            "In the inner loop: a copy of `x`, the square painted on it, a forward pass. "
            "`torch.stack` makes one tensor of the answers.",
        ),
        picture=Picture(
            window_photo, koala_score_lost, False, "the koala's score, hot where it is low"
        ),
    ),
    Exercise(
        name="drop",
        lecture=LECTURE,
        title="From answers to a heat map",
        reference=occlusion.drop,
        cases=drop_cases,
        mistakes=DROP_MISTAKES,
        result="one number for each position, so (rows, columns)",
        noun="map",
        axes=("row", "column"),
        hints=(
            "What was there before, minus what is left.",
            "`softmax(-1)` runs over the last axis, for `before` and for `after` alike.",
        ),
        picture=Picture(drop_photo, unchanged, False, "how much the koala's score drops"),
    ),
    Exercise(
        name="to_pixels",
        lecture=LECTURE,
        title="Back to the photo's pixels",
        reference=occlusion.to_pixels,
        cases=pixel_cases,
        mistakes=PIXEL_MISTAKES,
        result="one number for each pixel, so (height, width)",
        noun="map",
        axes=("row", "column"),
        hints=(
            "Two maps of the photo's size: what the squares add up to, and how many came.",
            "The square of `values[i, j]` begins at row `i * stride`, column `j * stride`.",
            "Divide at the end; where no square came, the count is 0 and the result should be 0.",
        ),
        picture=Picture(pixel_photo, unchanged, False, "the koala's drop on the photo's pixels"),
    ),
)
