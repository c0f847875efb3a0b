"""Tiny networks and images for tests: filled from NumPy's frozen generator, the same anywhere."""

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.common.transformer import VisionTransformer


def array(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, float32, the same on every machine and version."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def fill(model: nn.Module, seed: int = 0) -> nn.Module:
    """Sets weights (He's scale) and biases from the seed; batch-norm statistics too."""
    for i, tensor in enumerate(model.state_dict().values()):
        if tensor.is_floating_point():
            fan = tensor[0].numel() if tensor.ndim > 1 else 25
            with torch.no_grad():
                tensor.copy_(array(1000 * seed + i, *tensor.shape) * (2 / fan) ** 0.5)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_var.abs_().add_(0.5)
            part.weight.data.abs_().add_(0.5)
    return model.eval()


def network(seed: int = 0, classes: int = 5, inplace: bool = False) -> nn.Sequential:
    """Two convolutions and a linear classifier for images (N,3,16,16); modules conv1, relu1 ..."""
    parts = {
        "conv1": nn.Conv2d(3, 8, 3, padding=1),
        "norm1": nn.BatchNorm2d(8),
        "relu1": nn.ReLU(inplace),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(8, 12, 3),
        "relu2": nn.ReLU(inplace),
        "pool2": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(12, classes),
    }
    model = nn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return fill(model, seed)


def transformer(seed: int = 0, **sizes: int) -> VisionTransformer:
    """Three blocks of three heads for patches of 4 pixels; weights that differ everywhere."""
    usual = {"width": 24, "depth": 3, "heads": 3, "patch": 4, "grid": 5}
    made = VisionTransformer(**usual | sizes)
    for i, weight in enumerate(made.parameters()):
        weight.data = 0.3 * array(1000 * seed + i, *weight.shape)
    return made.eval().requires_grad_(False)


def batch(seed: int = 0, n: int = 2, side: int = 16) -> Tensor:
    """Images (n,3,side,side), normalised."""
    return array(seed + 77, n, 3, side, side)


def pixels(seed: int = 0, n: int = 2, side: int = 16) -> Tensor:
    """Images (n,3,side,side) in 0-1."""
    return (batch(seed, n, side) / 4 + 0.5).clamp(0, 1)


def uneven(photo: np.ndarray) -> Tensor:
    """A photo as pixels (1,3,H,W), float64, in .1 to .9, in which no two neighbours are equal.

    In an even region several values of a pooled window are the largest; rounding says which of them
    the slope goes to, and ten steps of its signs are another picture on another processor.
    """
    noise = np.random.RandomState(0).random_sample(photo.shape)
    return torch.from_numpy(0.1 + 0.7 * photo / 255 + 0.1 * noise).movedim(-1, 0)[None]
