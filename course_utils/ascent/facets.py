"""The several looks of a class: groups of photos, and the mean photo of each."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from course_utils import layers
from course_utils.ascent.goals import SIZE
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.models import Network


def facets(
    model: Network, pixels: Tensor, layer: str = "fire9", k: int = 3, seed: int = 0
) -> np.ndarray:
    """Groups of photos that look alike to the network: k-means of a layer's mean activations.

    Args:
        model: a network of the zoo.
        pixels: (N,3,H,W) in 0-1.
        layer: whose channels are averaged over all positions.
        k: groups, at most N.
        seed: of k-means.

    Returns:
        (N,) the group of each photo, the largest group first.

    Reference: Nguyen, Yosinski & Clune, "Multifaceted Feature Visualization", 2016.
    """
    if not 1 <= k <= len(pixels):
        raise ValueError(f"k={k} for {len(pixels)} photos; accepted: 1 to {len(pixels)}")
    with torch.no_grad():
        means = in_chunks(
            lambda p: layers.maps(model, gate.normalised(model, p), layer)[layer].mean((2, 3)),
            pixels,
        )
    directions = functional.normalize(means, dim=1).cpu().numpy()
    from sklearn.cluster import KMeans  # most lectures need none of it, and it takes half a second

    groups = KMeans(k, n_init=10, random_state=seed).fit_predict(directions)
    order = np.argsort(-np.bincount(groups, minlength=k), kind="stable")
    return np.argsort(order)[groups]


def mean_photos(pixels: Tensor, groups: np.ndarray, size: int = SIZE) -> Tensor:
    """The mean picture of each group of photos (N,3,H,W): (k,3,size,size), same range."""
    small = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    which = torch.as_tensor(groups)
    return torch.stack([small[which == g].mean(0) for g in range(int(groups.max()) + 1)])
