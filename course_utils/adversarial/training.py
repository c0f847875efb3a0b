"""Adversarial training, small enough to watch: a tiny network on scikit-learn's digits."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from course_utils.adversarial.budget import check_range, fgsm, random_signs
from course_utils.common import errors

CHANGES = ("FGSM", "random signs")
"""What `fit_tiny` changes its pictures by."""


def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's 1797 handwritten digits: pixels (N,3,8,8) in 0-1, three times the same grey.

    Returns:
        The pixels and the digits (N,) int64, on the CPU, in an order that mixes the writers.
    """
    from sklearn.datasets import (
        load_digits,  # most lectures need none of it, and it takes half a second
    )

    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(found.images).float()[order] / 16
    return pixels[:, None].expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(found.target)[order]


def fit_tiny(
    pixels: Tensor,
    classes: Tensor,
    epsilon: float = 0.0,
    epochs: int = 15,
    seed: int = 0,
    progress: str | None = "training",
    by: str = "FGSM",
) -> nn.Module:
    """A network of two convolutions, trained on clean pictures or on attacked ones.

        min over the weights of  E [ max over |r| <= epsilon of J(x + r, c) ]

    The inner maximum is approximated by one signed step from where the picture is, anew for every
    batch, against the network as it is then.

    Args:
        pixels: (N,3,H,W) in 0-1.
        classes: (N,) int64.
        epsilon: of the attack; 0 for ordinary training.
        epochs: passes over the pictures.
        seed: of the first weights and the order.
        progress: caption of the bar; None for no bar.
        by: what the pictures are changed by, of `CHANGES`; "random signs" are the control.

    Returns:
        The network, in eval mode and frozen, on the device of the pixels.

    Raises:
        ValueError: epsilon outside 0-1, no epoch, or an unknown change.

    References: Goodfellow, Shlens & Szegedy, "Explaining and Harnessing Adversarial Examples",
    2015; Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018.
    """
    check_range(epochs=epochs, **({"epsilon": epsilon} if epsilon else {}))
    model = _tiny(pixels, int(classes.max()) + 1, seed)
    optimizer, random = torch.optim.Adam(model.parameters(), lr=2e-3), torch.Generator()
    random.manual_seed(seed)
    change = _change(by, seed)
    for _ in tqdm(range(epochs), desc=progress, disable=progress is None, leave=False, delay=2):
        for some in torch.randperm(len(pixels), generator=random).split(64):
            x, c = pixels[some.to(pixels.device)], classes[some.to(classes.device)]
            x = change(model, x, c, epsilon) if epsilon else x
            optimizer.zero_grad()
            functional.cross_entropy(model(x), c.to(x.device)).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def _change(by: str, seed: int) -> Callable[[nn.Module, Tensor, Tensor, float], Tensor]:
    """`fgsm`, or what looks like it: new random signs for every batch."""
    if by not in CHANGES:
        raise ValueError(errors.unknown("by", by, CHANGES))
    random = torch.Generator().manual_seed(seed)

    def by_chance(model: nn.Module, x: Tensor, classes: Tensor, epsilon: float) -> Tensor:
        return random_signs(x, epsilon, int(torch.randint(2**31, (1,), generator=random)))

    return fgsm if by == "FGSM" else by_chance


def _tiny(pixels: Tensor, classes: int, seed: int) -> nn.Sequential:
    """Untrained; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        parts = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1)]
        size = 32 * pixels.shape[2] * pixels.shape[3]
        made = nn.Sequential(*parts, nn.ReLU(), nn.Flatten(), nn.Linear(size, classes))
    return made.to(pixels.device)
