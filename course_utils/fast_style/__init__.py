"""Lecture 16: a network that has learned one painting's style, and paints a photo in one pass.

    network.py       the transform network and its norms
    loss.py          what it is trained for
    photos.py        what it may be trained on
    training.py      the training
    checkpoints.py   trained networks as files
    use.py           painting with one

    network = fast_style.load("composition_viii")
    painted = fast_style.stylise(network, images.photo("panda"))

The transform network is trained with the losses of lecture 15 and needs no target pictures. Shipped
checkpoints lie in `data/styles`, each with the recipe that made it; `course train-style` runs it.
"""

from course_utils.fast_style.checkpoints import (
    KIND,
    limits,
    load,
    save,
    spent,
    stages,
    styles,
    train_and_save,
    training_log,
    trainings,
)
from course_utils.fast_style.loss import PerceptualLoss, Recipe
from course_utils.fast_style.network import NORMS, TransformNetwork, instance_norm
from course_utils.fast_style.photos import (
    FREE,
    HELD_OUT,
    Crops,
    is_free,
    network_license,
    style_picture,
    training_photos,
)
from course_utils.fast_style.training import TERMS, Trained, train, training_step
from course_utils.fast_style.use import fade, flicker, pan, stylise
from course_utils.texture import features as feature_maps

__all__ = [
    "Crops",
    "FREE",
    "HELD_OUT",
    "KIND",
    "NORMS",
    "PerceptualLoss",
    "Recipe",
    "TERMS",
    "Trained",
    "TransformNetwork",
    "fade",
    "feature_maps",
    "flicker",
    "instance_norm",
    "is_free",
    "limits",
    "load",
    "network_license",
    "pan",
    "save",
    "spent",
    "stages",
    "style_picture",
    "styles",
    "stylise",
    "train",
    "train_and_save",
    "training_log",
    "training_photos",
    "training_step",
    "trainings",
]
