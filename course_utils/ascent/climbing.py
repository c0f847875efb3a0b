"""One step up a slope, and a loop of them: lecture 10's exercises."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils.common import gate
from course_utils.common.scores import class_scores


def ascent_step(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, rate: float, weight: float
) -> Tensor:
    """One step up the slope of S_c(x) - weight * ||x||^2.

        x + rate * (dS_c/dx - 2 * weight * x)

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W); each is a picture of its own.
        classes: the class of each image, or one for all (index or name).
        rate: length of the step, as a multiple of the gradient.
        weight: of the squared norm.

    Returns:
        (N,3,H,W), the images after the step.

    Raises:
        ValueError: as `class_scores`.
    """
    x = gate.leaf(x)
    with torch.enable_grad():
        goal = class_scores(model, x, classes).sum() - weight * x.square().sum()
    return x.detach() + rate * torch.autograd.grad(goal, x)[0]


def ascend(
    model: nn.Module,
    x: Tensor,
    classes: int | str | Sequence | Tensor,
    rate: float,
    steps: int,
    kernel: Tensor,
    every: int,
) -> Tensor:
    """Steps up the slope of S_c, and a blur after every `every` of them.

    Args:
        model, x, classes, rate: as for `ascent_step`.
        steps: how many.
        kernel: (k,k), k odd, sums to 1: each colour is convolved with it, zeros around the image.
        every: steps from one blur to the next.

    Returns:
        (N,3,H,W).

    Raises:
        ValueError: steps or `every` under 1; otherwise as `class_scores`.
    """
    if steps < 1 or every < 1:
        raise ValueError(f"steps={steps}, every={every}; accepted: 1 or more")
    for step in range(1, steps + 1):
        x = ascent_step(model, x, classes, rate, 0.0)
        if step % every == 0:
            x = convolved(x, kernel)
    return x


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of (N,C,H,W) convolved with a kernel (k,k), zeros around the image."""
    filters = kernel.to(x).expand(x.shape[1], 1, -1, -1)
    return functional.conv2d(x, filters, padding=kernel.shape[-1] // 2, groups=x.shape[1])
