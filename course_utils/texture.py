"""Lecture 14: textures made anew from a sample."""

from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Which channels answer together: G = F F^T / M, the mean of v v^T over the M positions.

    Each v holds the C channels at one position. G forgets where that was, which makes it a
    description of texture; the division lets pictures of different sizes be compared.

    Args:
        features: (N,C,H,W), at least one position.

    Returns:
        (N,C,C), symmetric; never negative where the features are not (after a ReLU).

    Raises:
        ValueError: for another shape, or no position.

    Reference:
        Gatys, Ecker, Bethge: Texture Synthesis Using Convolutional Neural Networks, NeurIPS 2015.
    """
    columns = _columns(features)
    return columns @ columns.mT / columns.shape[2]


def covariance(features: Tensor) -> Tensor:
    """`gram` of the features without their means: negative where two channels trade off.

    Args:
        features: (N,C,H,W), at least one position.

    Returns:
        (N,C,C).

    Raises:
        ValueError: as `gram`.
    """
    columns = _columns(features)
    return gram((columns - columns.mean(2, keepdim=True))[..., None])


def _columns(features: Tensor) -> Tensor:
    """(N,C,M): a view, in either memory layout."""
    if features.ndim != 4 or not features.shape[2] * features.shape[3]:
        raise ValueError(
            f"features: shape {tuple(features.shape)}; accepted: (N,C,H,W), at least one position"
        )
    return features.flatten(2)
