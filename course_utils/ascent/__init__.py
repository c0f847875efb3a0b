"""Lecture 10: the picture that a class, a channel or a unit likes best, by gradient ascent.

    climbing.py    a step, and a loop of them
    goals.py       what is to grow
    painting.py    the recipe that makes pictures
    measuring.py   what came out
    facets.py      the several looks of a class
    wall.py        classes painted for two networks at once, stored

Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014;
Yosinski et al., "Understanding Neural Networks Through Deep Visualization", 2015;
Olah, Mordvintsev & Schubert, "Feature Visualization", Distill 2017.
"""

from course_utils.ascent.climbing import ascend, ascent_step, convolved
from course_utils.ascent.facets import facets, mean_photos
from course_utils.ascent.goals import (
    SIZE,
    Target,
    channel,
    class_goal,
    class_map,
    probability,
    score,
)
from course_utils.ascent.measuring import (
    dead_scores,
    enlarged,
    gradient_norm,
    high_frequencies,
    recognition,
    stored_roughness,
)
from course_utils.ascent.painting import paint, strongest_place, wobble
from course_utils.ascent.wall import WALL, for_both, of_classes, stored

__all__ = [
    "SIZE",
    "Target",
    "WALL",
    "ascend",
    "ascent_step",
    "channel",
    "class_goal",
    "class_map",
    "convolved",
    "dead_scores",
    "enlarged",
    "facets",
    "for_both",
    "gradient_norm",
    "high_frequencies",
    "mean_photos",
    "of_classes",
    "paint",
    "probability",
    "recognition",
    "score",
    "stored",
    "stored_roughness",
    "strongest_place",
    "wobble",
]
