"""Lecture 15: the content of a photo in the style of a painting, by descent on three losses.

    result = transfer(net, photo, painting)

losses.py         content, style, their sum, and the layers they look at
pictures.py       sizes and colours of photos and paintings
asked.py          what is asked: a photo, paintings, layers, weights
transferring.py   from a start to the picture, and how long it will take
stored.py         what takes too long for a lesson: pictures, figures of eleven pairs

Gatys, Ecker & Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
"""

from course_utils.style.asked import Task, task
from course_utils.style.losses import (
    ALPHA,
    BETA,
    GAMMA,
    SQUEEZENET_STYLES,
    VGG_STYLES,
    content_loss,
    default_layers,
    relative_weights,
    style_loss,
    total_loss,
    untrained,
)
from course_utils.style.pictures import (
    COLOURS,
    LUMINANCE,
    SMALLEST,
    fit,
    grey,
    keep_colours,
    luminance,
    match_colours,
)
from course_utils.style.stored import Stored, pairs, stored
from course_utils.style.transferring import Transfer, begin, forecast, transfer

__all__ = [
    "ALPHA",
    "BETA",
    "COLOURS",
    "GAMMA",
    "LUMINANCE",
    "SMALLEST",
    "SQUEEZENET_STYLES",
    "Stored",
    "Task",
    "Transfer",
    "VGG_STYLES",
    "begin",
    "content_loss",
    "default_layers",
    "fit",
    "forecast",
    "grey",
    "keep_colours",
    "luminance",
    "match_colours",
    "pairs",
    "relative_weights",
    "stored",
    "style_loss",
    "task",
    "total_loss",
    "transfer",
    "untrained",
]
