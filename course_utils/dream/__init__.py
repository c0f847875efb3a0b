"""Lecture 12: DeepDream: a picture is changed so that a layer says more of what it says already.

steps.py     one gradient, said in two ways, and a step along it
tiling.py    the same for large pictures, tile by tile
octaves.py   the whole dream, from the smallest octave to the largest, and a journey into it

Mordvintsev, Olah & Tyka, "Inceptionism: Going Deeper into Neural Networks", Google Research 2015.
"""

from course_utils.dream.octaves import Dream, dream, next_octave, octave_sizes, resized, zoom
from course_utils.dream.steps import (
    Objective,
    dream_step,
    energy,
    guided_by,
    layer_gradient,
    smoothed_step,
    stored_guided,
)
from course_utils.dream.tiling import tiled, tiles

__all__ = [
    "Dream",
    "Objective",
    "dream",
    "dream_step",
    "energy",
    "guided_by",
    "layer_gradient",
    "next_octave",
    "octave_sizes",
    "resized",
    "smoothed_step",
    "stored_guided",
    "tiled",
    "tiles",
    "zoom",
]
