"""The score of a class: what lectures differentiate, or watch while they change the picture."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def class_indices(model: nn.Module, classes: int | str | Sequence | Tensor, n: int) -> Tensor:
    """One class index for each of `n` images.

    Args:
        model: a network; one from the zoo also accepts class names.
        classes: an index or a name for all images, or one for each: list or tensor (n,).
        n: the number of images.

    Returns:
        (n,) int64, on the CPU.

    Raises:
        ValueError: another number of classes than images, or a class the network does not have.
    """
    given = classes.tolist() if isinstance(classes, Tensor) else classes
    given = given if isinstance(given, list | tuple) else [given] * n
    if len(given) != n:
        raise ValueError(
            f"classes: {len(given)} came for {n} images; accepted: one, or one for each"
        )
    find = getattr(model, "index", int)
    return torch.tensor([find(c) for c in given], device="cpu")


def class_scores(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """The score S_c of one class for each image: its logit, before softmax.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W), finite.
        classes: as for `class_indices`.

    Returns:
        (N,), with the graph that leads back to `x`.

    Raises:
        ValueError: `x` of another shape or not finite, a network without classifier, or a class it
            does not have.
    """
    if x.ndim != 4 or len(x) == 0:
        raise ValueError(f"x: shape {tuple(x.shape)}; accepted: images (N,3,H,W), N at least 1")
    if not torch.isfinite(x).all():
        raise ValueError("x: it has values that are not finite (NaN or infinity)")
    index = class_indices(model, classes, len(x)).to(x.device)
    scores = model(x)
    if scores.ndim != 2:
        raise ValueError(f"model: its output has shape {tuple(scores.shape)}, not (N, classes)")
    if index.min() < 0 or index.max() >= scores.shape[1]:
        raise ValueError(f"classes: {index.tolist()}; accepted: 0 to {scores.shape[1] - 1}")
    return scores.gather(1, index[:, None])[:, 0]
