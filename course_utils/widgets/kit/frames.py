"""Lectures 10 to 16: the iterations of an optimisation, scrubbed through without recomputing."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from matplotlib import figure, rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import Tensor

from course_utils import show
from course_utils.common.optimise import Result
from course_utils.widgets.kit.controls import slider
from course_utils.widgets.kit.explorer import SIZE, Explorer, explore

MARK = torch.tensor([0.84, 0.37, 0.0], device="cpu")


def scrub(
    result: Result, titles: Sequence[str] = (), ylabel: str = "loss", size: int = SIZE
) -> Explorer:
    """The kept frames of a run and its loss curve with a mark; the slider runs no network.

    Args:
        result: of `optimise`, with two frames or more.
        titles: one for each image of the batch; "image", or "image 1" and so on by default.
        ylabel: what the curve shows; for "score" its sign is turned, since ascent minimises minus
            a score.
        size: height of the pictures on the screen, in CSS pixels.

    Raises:
        ValueError: fewer than two frames, or another number of titles than images.
    """
    if len(result.frames) < 2:
        raise ValueError(f"result: {len(result.frames)} frames; two or more are needed, see `keep`")
    n = result.frames.shape[1]
    names = list(titles) or ([f"image {i + 1}" for i in range(n)] if n > 1 else ["image"])
    if len(names) != n:
        raise ValueError(f"titles: {len(names)} came for {n} images; accepted: one for each")
    sign = -1 if ylabel == "score" else 1
    values = [sign * loss for loss in result.losses]
    curve, place = drawn_curve(values, ylabel)
    return explore(
        partial(_draw, result, names, values, ylabel, curve, place),
        size=size,
        cannot="What happened between the frames: only these are kept.",
        frame=slider(0, len(result.frames) - 1, len(result.frames) - 1, live=True),
    )


def _draw(
    result: Result,
    names: Sequence[str],
    values: Sequence[float],
    ylabel: str,
    curve: Tensor,
    place: tuple[float, float],
    frame: int,
) -> tuple[dict[str, Tensor], str]:
    step = result.steps[frame]
    shown = {name: one / 255 for name, one in zip(names, result.frames[frame], strict=True)}
    shown[ylabel] = marked(curve, place, step / max(1, len(values) - 1))
    text = f"After {step} of {len(values) - 1} steps: {ylabel} {values[step]:.4g}"
    return shown, f"{text} (at the start {values[0]:.4g})."


def drawn_curve(
    values: Sequence[float], ylabel: str, steps: Sequence[int] | None = None
) -> tuple[Tensor, tuple[float, float]]:
    """The curve over the steps as a picture (3,H,W), and the columns of its first and last step.

    Drawn once: a mark on it is a few pixels, a new matplotlib figure would take 50 ms. `steps` says
    after how many steps each value came; by default one after the other.
    """
    steps = range(len(values)) if steps is None else steps
    with rc_context(show.STYLE):
        canvas = figure.Figure(figsize=(4, 2.88), dpi=100, layout="constrained")
        axes = canvas.subplots()
        axes.plot(steps, values)
        axes.set(xlabel="steps", ylabel=ylabel, xlim=(0, max(1, steps[-1])))
        drawn = FigureCanvasAgg(canvas)
        drawn.draw()
        pixels = np.asarray(drawn.buffer_rgba())[..., :3].copy()
        box = axes.get_window_extent()
    return torch.from_numpy(pixels).movedim(-1, 0) / 255, (box.x0, box.x1)


def marked(curve: Tensor, place: tuple[float, float], share: float) -> Tensor:
    """The curve with a vertical line at a share of its width, 0 to 1."""
    first, last = place
    column = round(first + share * (last - first))
    drawn = curve.clone()
    line = drawn[:, :-40, max(0, column - 1) : column + 2]  # the axis' numbers stay readable
    line[:] = torch.minimum(line, MARK[:, None, None])
    return drawn
