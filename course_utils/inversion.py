"""Lecture 13: which picture has these features? A code is turned back into a picture by descent.

    result = invert(net, photo, "fire5")

Mahendran & Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from skimage import metrics
from torch import Tensor, nn

from course_utils import layers, models
from course_utils.common import gate, paths
from course_utils.common.errors import unknown
from course_utils.common.optimise import (
    Fourier,
    Parameterisation,
    Pixels,
    Result,
    Rule,
    Transform,
    clamp,
    lbfgs,
    optimise,
    total_variation,
)
from course_utils.models import Network

VGG_LADDER = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_1")
"""The last ReLU of each block of VGG-16; of block 5 the course's file has one convolution only."""

SQUEEZENET_LADDER = ("relu1", *(f"fire{i}" for i in range(2, 10)))

COORDINATES = ("frequencies", "pixels")

SMALLEST = 7
"""Pixels a side: the window of the structural similarity."""


def vgg_to_relu5_1(device: str | torch.device | None = None) -> Network:
    """The course's VGG-16 (fine-tuned for edges, ends at conv5_1) with the ReLU that comes next.

    Returns:
        A fresh network without classifier, whose last layer is "relu5_1".
    """
    vgg = models.load("vgg16_hed", device)
    stack = nn.Sequential(*vgg.module.features, nn.ReLU())
    module, names = nn.Sequential(OrderedDict(features=stack)), models.vgg_layers(stack)
    return Network(module, "vgg16_hed to relu5_1", layers=names).to(vgg.device)


def features(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """phi(x): the output of a layer, with the graph that leads back to x.

    The forward pass ends there: for a shallow layer most of the network is never run.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `layers.find` accepts it.

    Returns:
        Usually (N,K,h,w).

    Raises:
        ValueError: as `layers.output`.
    """
    return layers.output(model, x, layer)


def inversion_loss(phi: Tensor, target: Tensor, x: Tensor, weight: float) -> Tensor:
    """sum_n ||phi_n - target_n||^2 / ||target_n||^2 + weight * TV(x).

    Divided by the squared norm of its target the distance is about 1 for a picture that has
    nothing of the photo, in every layer and at every size, so that one weight suits them all.

    Args:
        phi: features of the images (N,...).
        target: features of the photos (N,...), constant.
        x: the images (N,3,H,W).
        weight: of the total variation, 0 or more.

    Returns:
        One number, with the graph that leads back to `phi` and `x`.

    Raises:
        ValueError: features and target of different shapes.

    Reference: Mahendran & Vedaldi 2015, equations 1 to 4.
    """
    if phi.shape != target.shape:
        raise ValueError(
            f"target: shape {tuple(target.shape)}; accepted: that of phi, {tuple(phi.shape)}"
        )
    distance = (phi - target).flatten(1).square().sum(1) / target.flatten(1).square().sum(1)
    return distance.sum() + weight * total_variation(x)


def invert(
    model: Network,
    photo: Tensor,
    layer: str,
    weight: float = 1e-5,
    steps: int = 40,
    coordinates: str = "frequencies",
    start: Tensor | None = None,
    noise: float = 0.01,
    seed: int = 0,
    starts: int = 1,
    rule: Rule | None = None,
    loss: Callable[[Tensor, Tensor, Tensor, float], Tensor] = inversion_loss,
    transforms: Sequence[Transform] = (),
    keep: int = 12,
    progress: str | None = "inverting",
) -> Result:
    """A picture whose features in a layer are those of a photo, by descent from a random start.

    Args:
        model: a network of the zoo.
        photo: pixels (3,H,W) in 0-1, 7 x 7 or more; the time grows with their number.
        layer: whose features are matched.
        weight: lambda of the total variation of the normalised image, 0 or more.
        steps: iterations of the rule; little more than one pass each with the default.
        coordinates: what is varied: "frequencies" (large and small structures settle equally
            fast) or "pixels".
        start: a picture (3,H,W) in 0-1 to start from, with no noise; random by default.
        starts: how many random starts descend side by side, each to a picture of its own. Adam
            treats them as if they were alone; L-BFGS takes one step length for all.
        noise: standard deviation of the random start, in those coordinates.
        seed: of the random start and of `transforms`.
        rule: of the steps; L-BFGS with a line search by default, which went further in the same
            time than Adam. With random `transforms` take `optimise.adam`.
        loss: (phi, target, x, weight) -> one number, as `inversion_loss`.
        transforms: random changes before the network, as `optimise.jitter`: for a code without
            places, such as logits.
        keep: frames to keep.
        progress: caption of the progress bar; None for no bar.

    Returns:
        The run, on the network's device; its image is (`starts`,3,H,W) in 0-1, and its losses
        are sums over the starts.

    Raises:
        ValueError: a photo that is too small, not finite or of another shape; as `features`; a
            layer in which the photo has no features (all zero); a number outside its range.
    """
    gate.check_zoo(model)
    photo = checked(photo).to(model.device)
    if weight < 0:
        raise ValueError(f"weight={weight}; accepted: 0 or more")
    if starts < 1 or (starts > 1 and start is not None):
        raise ValueError(f"starts={starts}; accepted: 1 or more, and 1 with a given start")
    with torch.no_grad():
        target = features(model, model.normalize(photo)[None], layer)
    if not target.any():
        raise ValueError(f"layer={layer!r}: the photo's features are all 0; they tell nothing")
    target = target.expand(starts, *target.shape[1:])

    def objective(pixels: Tensor) -> Tensor:
        x = model.normalize(pixels)
        return loss(features(model, x, layer), target, x, weight)

    image, operations = _start(photo, start, coordinates, noise, seed, starts)
    rule = rule or lbfgs(line_search=True)
    settings = {"operations": operations, "transforms": transforms, "keep": keep, "seed": seed}
    return optimise(objective, image, steps, rule=rule, progress=progress, **settings)


def _start(
    photo: Tensor, given: Tensor | None, coordinates: str, noise: float, seed: int, starts: int
) -> tuple[Parameterisation, list]:
    """The first images, of the photo's size, and what keeps them in 0-1."""
    if coordinates not in COORDINATES:
        raise ValueError(unknown("coordinates", coordinates, COORDINATES))
    if given is not None and checked(given, "start").shape != photo.shape:
        raise ValueError(f"start: {tuple(given.shape)}; accepted: the photo's {tuple(photo.shape)}")
    if coordinates == "frequencies":
        if given is not None:
            return Fourier.of(checked(given).to(photo)[None]), []
        return Fourier((starts, *photo.shape[1:]), noise, seed, device=photo.device), []
    given = given if given is None else given[None]
    if given is None:
        random, shape = torch.Generator().manual_seed(seed), (starts, *photo.shape)
        given = 0.5 + noise * torch.randn(shape, generator=random, device="cpu")
    return Pixels(given.to(photo)), [(1, clamp(0, 1))]


def checked(photo: Tensor, name: str = "photo") -> Tensor:
    """A photo that can be inverted, or an error that says why not: (3,H,W), finite, 7 x 7."""
    if not isinstance(photo, Tensor) or photo.ndim != 3 or len(photo) != 3:
        came = tuple(photo.shape) if isinstance(photo, Tensor) else type(photo).__name__
        raise ValueError(f"{name}: {came}; accepted: a tensor (3,H,W) in 0-1, from `images.read`")
    if min(photo.shape[1:]) < SMALLEST:
        raise ValueError(f"{name}: {tuple(photo.shape)}; accepted: {SMALLEST} x {SMALLEST} or more")
    if not torch.isfinite(photo).all():
        raise ValueError(f"{name}: it has values that are not finite (NaN or infinity)")
    return photo.detach().float()


# ------------------------------------------------------------------ how much came back


def psnr(pictures: Tensor, photo: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error): (N,), higher is closer.

    Args:
        pictures: (N,3,H,W), clipped to 0-1.
        photo: (3,H,W) in 0-1.

    Raises:
        ValueError: as `ssim`.
    """
    return _compare(metrics.peak_signal_noise_ratio, pictures, photo)


def ssim(pictures: Tensor, photo: Tensor) -> Tensor:
    """Structural similarity: (N,), 1 for equal pictures, about 0 for unrelated ones.

    Means, variances and the covariance in windows of 7 x 7 pixels are compared, so that a picture
    of wrong colour or contrast can still score where its structure is right.

    Args:
        pictures: (N,3,H,W), clipped to 0-1.
        photo: (3,H,W) in 0-1.

    Raises:
        ValueError: pictures of another size, or a photo that `checked` refuses.

    Reference: Wang, Bovik, Sheikh & Simoncelli, "Image Quality Assessment", 2004.
    """
    return _compare(partial(metrics.structural_similarity, channel_axis=0), pictures, photo)


def _compare(measure: Callable, pictures: Tensor, photo: Tensor) -> Tensor:
    photo = checked(photo)
    if pictures.ndim != 4 or pictures.shape[1:] != photo.shape:
        raise ValueError(
            f"pictures: shape {tuple(pictures.shape)}; accepted: (N, *{tuple(photo.shape)})"
        )
    truth = photo.clamp(0, 1).cpu().numpy()
    arrays = pictures.detach().float().clamp(0, 1).cpu().numpy()
    with np.errstate(divide="ignore"):  # the PSNR of equal pictures is infinite
        values = [float(measure(truth, one, data_range=1.0)) for one in arrays]
    return torch.tensor(values, device=photo.device)


def spread(pictures: Tensor) -> Tensor:
    """How much pictures (N,3,H,W) differ: standard deviation over N, the mean over colours (H,W).

    Small where the features fix the picture, large where they leave it free.

    Raises:
        ValueError: fewer than two pictures.
    """
    if pictures.ndim != 4 or len(pictures) < 2:
        raise ValueError(f"pictures: shape {tuple(pictures.shape)}; accepted: (2 or more,3,H,W)")
    return pictures.std(0).mean(0)


def stored_ladders() -> dict:
    """Inversions of eight "photos": network -> layer -> for each photo PSNR in dB and SSIM.

    Made by `data/rebuild_inversions.py`.
    """
    return paths.stored("inversions.json")
