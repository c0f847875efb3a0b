"""Lecture 04: photos as vectors: who is near whom, and maps of them all.

vectors.py      features of layers, and pixels, as vectors
neighbours.py   who is near whom, and how often it is its own kind
maps.py         vectors in two dimensions, and places for pictures
drawing.py      photos on maps, framed in the colour of their kind

Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
NIPS 2012, section 6.1 (neighbours in the last layer); van der Maaten & Hinton, "Visualizing Data
using t-SNE", JMLR 2008.
"""

from course_utils.last_layer.drawing import (
    COLOURS,
    DIGIT_COLOURS,
    OTHER,
    SAME,
    dots,
    framed,
    neighbour_rows,
    paste,
    tinted,
)
from course_utils.last_layer.maps import (
    apart,
    corners,
    grid_cells,
    pca,
    tsne,
    tsne_by_layer,
    variance_shares,
)
from course_utils.last_layer.neighbours import (
    chance_precision,
    nearest_neighbours,
    precision_at_k,
    squared_distances,
)
from course_utils.last_layer.vectors import (
    features,
    pixel_vectors,
    thumbnails,
    unit,
    variants,
    vectors_by_layer,
)

__all__ = [
    "COLOURS",
    "DIGIT_COLOURS",
    "OTHER",
    "SAME",
    "apart",
    "chance_precision",
    "corners",
    "dots",
    "features",
    "framed",
    "grid_cells",
    "nearest_neighbours",
    "neighbour_rows",
    "paste",
    "pca",
    "pixel_vectors",
    "precision_at_k",
    "squared_distances",
    "thumbnails",
    "tinted",
    "tsne",
    "tsne_by_layer",
    "unit",
    "variance_shares",
    "variants",
    "vectors_by_layer",
]
