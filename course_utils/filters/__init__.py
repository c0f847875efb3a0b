"""Lecture 01: the first layer's filters as pictures, as templates, and as something one can learn.

banks.py       filters of networks, random ones, and banks as pictures
templates.py   a filter laid over a picture
comparing.py   which are alike; edges and colours, measured
learning.py    filters learned from photos

A filter is a tensor (C,k,k), RGB where C is 3; a bank of filters is (N,C,k,k).
"""

from course_utils.filters.banks import (
    WHITE,
    enlarged,
    filters_of,
    larger_first_layers,
    random_filters,
    slices,
    tile_filters,
)
from course_utils.filters.comparing import (
    colour_opponency,
    nearest_pairs,
    orientation_selectivity,
    orientation_tuning,
    similar_order,
    similarity,
)
from course_utils.filters.learning import learn_filters, photo_patches, scrambled, whiten
from course_utils.filters.templates import best_match, response_map

__all__ = [
    "WHITE",
    "best_match",
    "colour_opponency",
    "enlarged",
    "filters_of",
    "larger_first_layers",
    "learn_filters",
    "nearest_pairs",
    "orientation_selectivity",
    "orientation_tuning",
    "photo_patches",
    "random_filters",
    "response_map",
    "scrambled",
    "similar_order",
    "similarity",
    "slices",
    "tile_filters",
    "whiten",
]
