"""One optimisation loop for every picture that is made by a gradient: lectures 10 to 16.

    result = optimise(lambda x: -net(x)[0, 130], start, 100, rule=adam(0.05))

It *minimises* a loss, so ascent on a score is descent on minus the score. What is varied is given
by a parameterisation (`Pixels`, `Fourier`), how by a rule (a maker of a `torch.optim.Optimizer`).

varied.py         pixels, or the frequencies they are made of
rules.py          gradient steps, Adam, L-BFGS
regularisers.py   terms of the loss, and operations between steps
transforms.py     random changes that a picture must survive
loop.py           the loop, and what it leaves
films.py          a run as a moving picture
"""

from course_utils.common.optimise.films import FORMATS, animated, save_animation
from course_utils.common.optimise.loop import Result, optimise
from course_utils.common.optimise.regularisers import (
    Operation,
    blur,
    clamp,
    clip_small,
    clip_small_gradients,
    clip_small_values,
    squared_norm,
    total_variation,
)
from course_utils.common.optimise.rules import Rule, adam, gradient_step, lbfgs, normalised_step
from course_utils.common.optimise.transforms import Transform, jitter, rotate, scale
from course_utils.common.optimise.varied import COLOURS, Fourier, Parameterisation, Pixels

__all__ = [
    "COLOURS",
    "FORMATS",
    "Fourier",
    "Operation",
    "Parameterisation",
    "Pixels",
    "Result",
    "Rule",
    "Transform",
    "adam",
    "animated",
    "blur",
    "clamp",
    "clip_small",
    "clip_small_gradients",
    "clip_small_values",
    "gradient_step",
    "jitter",
    "lbfgs",
    "normalised_step",
    "optimise",
    "rotate",
    "save_animation",
    "scale",
    "squared_norm",
    "total_variation",
]
