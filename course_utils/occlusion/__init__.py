"""Lecture 05: a square slides over the photo, and the drop in the score becomes a map.

sliding.py       the square, the drop, the map
incremental.py   the same numbers, recomputing only what the square can reach
"""

from course_utils.occlusion.incremental import Incremental, NoGeometry
from course_utils.occlusion.sliding import (
    FILLS,
    convolution_work,
    drop,
    fill_value,
    occlude,
    occlusion_logits,
    reached,
    sliding_window,
    starts,
    to_pixels,
)

__all__ = [
    "FILLS",
    "Incremental",
    "NoGeometry",
    "convolution_work",
    "drop",
    "fill_value",
    "occlude",
    "occlusion_logits",
    "reached",
    "sliding_window",
    "starts",
    "to_pixels",
]
