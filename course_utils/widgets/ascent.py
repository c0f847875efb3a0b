"""Lecture 10: the picture of any class, by recipe, scrubbed through its iterations."""

from collections.abc import Sequence

import ipywidgets
import torch
from torch import Tensor

from course_utils import ascent
from course_utils.common import optimise
from course_utils.common.batches import in_chunks
from course_utils.common.optimise import Result
from course_utils.models import Network
from course_utils.widgets.kit.controls import WIDTH, choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.frames import drawn_curve, marked

SIDE, STEPS, KEPT = 128, 40, 21
SIZE = 340
"""Height of the pictures on the screen, in CSS pixels."""
CLASSES = ("goldfish", "volcano", "cock", "castle")
RECIPES = ("the whole recipe", "without smoothness", "without wobble", "plain pixels")


def ascent_explorer(network: Network, classes: Sequence[str] = CLASSES) -> Explorer:
    """A class's picture as it grows: class, recipe and random start run the network, steps do not.

    Args:
        network: a classifier of the zoo.
        classes: offered at first; any other can be typed.

    Returns:
        The explorer. A new class, recipe or seed costs 40 steps at 128 pixels.
    """
    field = ipywidgets.Combobox(
        value=classes[0],
        options=sorted(set(network.labels)),
        description="class",
        continuous_update=False,
        style={"description_width": "7rem"},
        layout=ipywidgets.Layout(width=WIDTH),
    )

    @remember
    def run(class_index: int, recipe: str, seed: int) -> tuple[Result, tuple]:
        result = painted(network, class_index, recipe, seed)
        return result, drawn_curve(scores(network, class_index, result), "score", result.steps)

    def draw(name: str, recipe: str, start: int, frame: int) -> tuple[dict[str, Tensor], str]:
        index = network.index(name)
        result, (curve, place) = run(index, recipe, start)
        step, pixels = result.steps[frame], result.frames[frame, 0] / 255
        title = network.labels[index]
        drawn = {title: pixels, "the climb of the score": marked(curve, place, step / STEPS)}
        top, p, _ = ascent.recognition(network, pixels[None], [index])[0]
        return (
            drawn,
            f"{recipe}, after {step} of {STEPS} steps: the network sees “{top}” ({p:.2f}).",
        )

    return explore(
        draw,
        cannot=(
            "That the unit looks for this in photos: another start or recipe gives another picture."
        ),
        size=SIZE,
        name=field,
        recipe=choice(RECIPES),
        start=slider(0, 9, 0),
        frame=slider(0, KEPT - 1, KEPT - 1, live=True),
    )


def painted(network: Network, class_index: int, recipe: str, seed: int) -> Result:
    """One of `RECIPES`: each leaves one ingredient out, the last one all of them."""
    goal = ascent.class_goal(network, class_index)
    settings = {"size": SIDE, "steps": STEPS, "seed": seed, "keep": KEPT, "progress": None}
    if recipe == "without smoothness":
        settings["smooth"] = 0.0
    elif recipe == "without wobble":
        settings["transforms"] = ()
    elif recipe == "plain pixels":
        noise = optimise.Fourier((1, SIDE, SIDE), seed=seed, device=network.device)
        settings |= {"smooth": 0.0, "transforms": (), "start": optimise.Pixels(noise())}
    return ascent.paint(goal, **settings)


def scores(network: Network, class_index: int, result: Result) -> list[float]:
    """What is climbed, for each frame as it is shown: without penalty, shift, size or turn."""
    goal = ascent.class_goal(network, class_index)
    pixels = result.frames[:, 0].to(network.device) / 255
    with torch.no_grad():
        return in_chunks(goal.of_pixels, pixels).tolist()
