"""Step rules: makers of optimizers."""

from collections.abc import Callable

import torch
from torch import Tensor

Rule = Callable[[list[Tensor]], torch.optim.Optimizer]


def gradient_step(rate: float) -> Rule:
    """x <- x - rate * gradient."""
    return lambda parameters: torch.optim.SGD(parameters, lr=rate)


def normalised_step(rate: float) -> Rule:
    """x <- x - rate * gradient / mean|gradient|, the mean over each image of the batch.

    A value moves by `rate` on average, however steep the loss is: DeepDream's step.
    """
    return lambda parameters: _Normalised(parameters, {"lr": rate})


def adam(rate: float = 0.05) -> Rule:
    """Adam (Kingma & Ba 2015): each value moves by about `rate`, whatever its gradient's size."""
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


def lbfgs(rate: float = 1.0, line_search: bool = False, history: int = 20) -> Rule:
    """L-BFGS: one iteration a step, which is one evaluation, now and then more with a line search.

    Args:
        rate: of the step along the direction that is found.
        line_search: search along it until the strong Wolfe conditions hold: the loss falls
            steadily, and no step diverges.
        history: steps that the curvature is estimated from.
    """
    settings = {"max_iter": 1, "max_eval": 20, "tolerance_grad": 0, "tolerance_change": 0}
    settings |= {"history_size": history, "line_search_fn": "strong_wolfe" if line_search else None}
    # torch's absolute tolerances would end the loop unnoticed where the loss is small.
    return lambda parameters: torch.optim.LBFGS(parameters, lr=rate, **settings)


class _Normalised(torch.optim.Optimizer):
    """Gradient steps of a given mean size."""

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Tensor | None:
        loss = closure() if closure else None
        for group in self.param_groups:
            for p in group["params"]:
                size = p.grad.abs().flatten(1).mean(1).clamp(min=1e-12)
                p -= group["lr"] * p.grad / size.view(-1, *[1] * (p.ndim - 1))
        return loss
