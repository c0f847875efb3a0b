"""Drawing the arguments of cases: random, from a seed, and far from every kink of the network."""

import torch
from torch import Tensor

from course_utils.checking import networks
from course_utils.checking.core import NetworkSpec

MARGIN = 1e-4
"""No ReLU's input is nearer to zero: float noise is 1e-6, and a flipped ReLU changes a gradient."""


def generator(seed: int, name: str) -> torch.Generator:
    """Random numbers for one exercise: another stream for each name."""
    text = f"{name}:{seed}".encode()
    number = 0
    for byte in text:
        number = (number * 257 + byte) % (2**61 - 1)
    return torch.Generator().manual_seed(number)


def integer(random: torch.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high` - 1."""
    return int(torch.randint(low, high, (1,), generator=random))


def network(random: torch.Generator, classes: int = 5, name: str = "tiny_cnn") -> NetworkSpec:
    """A tiny network with random weights."""
    return NetworkSpec(name, integer(random, 0, 2**31 - 1), classes)


def images(random: torch.Generator, spec: NetworkSpec, n: int, height: int, width: int) -> Tensor:
    """Normalised images (n,3,height,width) on which the network is smooth."""
    model, found = networks.build(spec), []
    while len(found) < n:
        one = torch.randn(1, 3, height, width, generator=random)
        if networks.margin(model, one) > MARGIN:
            found.append(one)
    return torch.cat(found)


def noise(random: torch.Generator, spec: NetworkSpec, x: Tensor, samples: int) -> Tensor:
    """Noise (samples, *x.shape) such that the network is smooth on each `x + noise`."""
    model, found = networks.build(spec), []
    while len(found) < samples * len(x):
        place = x[len(found) % len(x)][None]
        one = 0.5 * torch.randn(place.shape, generator=random)
        if networks.margin(model, place + one) > MARGIN:
            found.append(one)
    return torch.cat(found).reshape(samples, *x.shape)


def other_classes(random: torch.Generator, spec: NetworkSpec, x: Tensor) -> Tensor:
    """A class (n,) for each image: never its most probable one, and not all the same."""
    logits = networks.build(spec)(x)
    n, top = logits.shape[1], logits.argmax(1)
    while True:
        shift = torch.randint(1, n, (len(x),), generator=random)
        classes = (top + shift) % n
        if len(x) == 1 or len(set(classes.tolist())) > 1:
            return classes
