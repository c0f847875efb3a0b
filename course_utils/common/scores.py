"""The score of a class: what lectures differentiate, or watch while they change the picture."""

import operator
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.common.gate import check_shape, is_zoo, logits, name_of


def class_indices(model: nn.Module, classes: int | str | Sequence | Tensor, n: int) -> Tensor:
    """One class index for each of `n` images.

    Args:
        model: a network; one from the zoo also accepts class names.
        classes: an index or a name for all images, or one for each: list, array or tensor (n,).
        n: the number of images.

    Returns:
        (n,) int64, on the CPU.

    Raises:
        ValueError: another number of classes than images, what is neither a whole number nor a
            name, or a class the network does not have.
    """
    given = classes.tolist() if isinstance(classes, Tensor | np.ndarray) else classes
    given = list(given) if isinstance(given, list | tuple | range) else [given] * n
    if len(given) != n:
        raise ValueError(
            f"classes: {len(given)} came for {n} images; accepted: one, or one for each"
        )
    return torch.tensor([_index(model, c) for c in given], dtype=torch.long, device="cpu")


def _index(model: nn.Module, given: object) -> int:
    """The index of one class: a whole number, or a name where the network knows names."""
    labels = getattr(model, "labels", ())
    named = isinstance(labels, list | tuple) and len(labels) > 0
    find = model.index if named or (isinstance(given, str) and is_zoo(model)) else operator.index
    try:
        return find(None if isinstance(given, bool) else given)
    except TypeError as error:
        names = f"a class name of {name_of(model)}, or " if named else ""
        raise ValueError(
            f"classes: {given!r}; accepted: {names}a whole number from 0; one for all images, or "
            "one for each, (N,)"
        ) from error


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
    index = class_indices(model, classes, len(check_shape(x))).to(x.device)
    return chosen(logits(model, x), index)


def chosen(scores: Tensor, index: Tensor) -> Tensor:
    """One score for each image, (N,), of scores (N,C) and class indices (N,).

    Raises:
        ValueError: an index that is none of 0 to C-1.
    """
    if index.min() < 0 or index.max() >= scores.shape[1]:
        raise ValueError(f"classes: {index.tolist()}; accepted: 0 to {scores.shape[1] - 1}")
    return scores.gather(1, index[:, None])[:, 0]
