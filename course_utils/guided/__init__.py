"""Lecture 07: gradients with respect to the pixels under three rules for the ReLU.

rules.py       the rules, and a network that follows one of them
gradients.py   of a class, of a unit, and what they look like

A ReLU passes x where x > 0. On the way back, with the incoming gradient g, three rules are known:

    backprop   g where x > 0               the derivative
    deconvnet  g where g > 0               Zeiler & Fergus 2014; the forward pass is not asked
    guided     g where x > 0 and g > 0     Springenberg et al. 2015: both masks

ReLU6 is off below 0 and saturated above 6: its derivative is 0 in both. So backprop and guided
stop there, and deconvnet, which never asks the forward pass, does not.

Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for Simplicity: The All Convolutional Net",
ICLR workshop 2015. Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
"""

from course_utils.guided.gradients import (
    as_picture,
    class_gradient,
    guided_gradient,
    strongest_units,
    unit_gradient,
    unit_views,
    upper_gradient,
    zeroed,
)
from course_utils.guided.rules import (
    RULES,
    backprop_relu,
    deconvnet_relu,
    guided_relu,
    relu_calls,
    with_rule,
)

__all__ = [
    "RULES",
    "as_picture",
    "backprop_relu",
    "class_gradient",
    "deconvnet_relu",
    "guided_gradient",
    "guided_relu",
    "relu_calls",
    "strongest_units",
    "unit_gradient",
    "unit_views",
    "upper_gradient",
    "with_rule",
    "zeroed",
]
