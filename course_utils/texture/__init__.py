"""Lecture 14: textures made anew from a sample, in four ways.

    samples.py         squares cut from the course's pictures
    copying.py         pixel by pixel, and patch by patch
    statistics.py      by the histograms of linear filters' answers
    gram_matrices.py   by the Gram matrices of a network's feature maps
    converged.py       large textures that took minutes, stored

Samples and results are pixels (3,H,W) in 0-1.
"""

from course_utils.texture.converged import METHODS, costs, stored
from course_utils.texture.copying import (
    Copy,
    autocorrelation,
    breaks,
    by_pixels,
    least_cost_seam,
    nearest_source,
    quilt,
    repetition,
)
from course_utils.texture.gram_matrices import (
    LAYERS,
    Statistic,
    balanced,
    covariance,
    describe,
    features,
    gram,
    layer_loss,
    style_loss,
    synthesise,
)
from course_utils.texture.samples import SAMPLES, Sample
from course_utils.texture.statistics import (
    by_statistics,
    filter_bank,
    from_responses,
    match_histogram,
    responses,
)

__all__ = [
    "Copy",
    "LAYERS",
    "METHODS",
    "SAMPLES",
    "Sample",
    "Statistic",
    "autocorrelation",
    "balanced",
    "breaks",
    "by_pixels",
    "by_statistics",
    "costs",
    "covariance",
    "describe",
    "features",
    "filter_bank",
    "from_responses",
    "gram",
    "layer_loss",
    "least_cost_seam",
    "match_histogram",
    "nearest_source",
    "quilt",
    "repetition",
    "responses",
    "stored",
    "style_loss",
    "synthesise",
]
