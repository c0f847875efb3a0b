"""Lecture 11: changes too small to see that change the answer.

budget.py     inside a budget: FGSM, PGD, ascent on a chosen class
smallest.py   the smallest change that is enough
reach.py      how far attacks reach: tables, transfer, universal changes, queries, defences
training.py   training on attacked pictures, on digits
"""

from course_utils.adversarial.budget import (
    BATCH,
    ENDS,
    Ascent,
    Classes,
    Facts,
    ascend,
    check_pixels,
    check_range,
    fgsm,
    indices,
    lead,
    lead_of,
    loss_gradient,
    measure,
    pgd,
    probabilities,
    random_signs,
    slopes,
    target_indices,
    targeted_ascent,
    wide,
)
from course_utils.adversarial.reach import (
    ATTACKS,
    Defended,
    FirstOrder,
    blurred,
    few_colours,
    first_order,
    jpeg,
    l2_needed,
    square_attack,
    stored,
    transfer,
    universal,
)
from course_utils.adversarial.smallest import LEADS, smallest_lbfgs, smallest_linear, smallest_saved
from course_utils.adversarial.training import digits, fit_tiny
from course_utils.images import eight_bits

__all__ = [
    "ATTACKS",
    "Ascent",
    "BATCH",
    "Classes",
    "Defended",
    "ENDS",
    "Facts",
    "FirstOrder",
    "LEADS",
    "ascend",
    "blurred",
    "check_pixels",
    "check_range",
    "digits",
    "eight_bits",
    "few_colours",
    "fit_tiny",
    "fgsm",
    "first_order",
    "indices",
    "jpeg",
    "l2_needed",
    "lead",
    "lead_of",
    "loss_gradient",
    "measure",
    "pgd",
    "probabilities",
    "random_signs",
    "slopes",
    "smallest_lbfgs",
    "smallest_linear",
    "smallest_saved",
    "square_attack",
    "stored",
    "target_indices",
    "targeted_ascent",
    "transfer",
    "universal",
    "wide",
]
