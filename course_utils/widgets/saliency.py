"""Lecture 06: the saliency map of a photo, by photo, class, method and smoothing."""

from collections.abc import Sequence
from functools import partial

import cv2
import torch
from torch import Tensor

from course_utils import saliency, show
from course_utils.models import Network
from course_utils.widgets.kit.choosers import Photo
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.pictures import coloured

PHOTOS = ("panda", "koala", "scarlet_macaw")
METHODS = ("saliency", "gradient x input", "SmoothGrad")


def saliency_explorer(network: Network, photos: Sequence[str] = PHOTOS) -> Explorer:
    """Photo, saliency map and both together, for a photo, a class, a method and its smoothing.

    Args:
        network: a classifier of the zoo.
        photos: names of the course's photos.

    Returns:
        The explorer. A new photo, class, method, noise or number of samples costs passes of the
        network; blur and opacity only redraw. For SmoothGrad one of the noisy copies is shown
        instead of the photo, with its probability of the class.
    """

    heat = remember(partial(heat_map, network))
    noisy = remember(partial(noisy_copy, network))
    copies = slider(1, 32, 8, label="noisy copies")
    level = slider(0, 40, 5, label="noise, %")

    def draw(
        photo: Photo,
        class_index: int,
        method: str,
        samples: int,
        noise: int,
        blur: float,
        opacity: float,
    ) -> tuple[dict[str, Tensor], str]:
        copies.disabled = level.disabled = method != "SmoothGrad"
        how = (1, 0) if copies.disabled else (samples, noise)
        array = blurred(heat(photo, class_index, method, *how), blur)
        pixels = network.crop_pixels(photo.pixels)[0]
        label, signed = network.labels[class_index], method == "gradient x input"
        drawn, words = {"photo": pixels}, describe(label, photo.name, method, array)
        if method == "SmoothGrad":
            copy, probabilities = noisy(photo, noise)
            drawn = {"one noisy copy": copy}
            words += (
                f" In this copy “{label}” has a probability of {probabilities[class_index]:.2g}."
            )
        drawn[method] = coloured(array, signed)
        drawn["overlay"] = show.overlay(pixels, array, opacity, signed=signed)
        return drawn, words

    return explore(
        draw,
        cannot=(
            "What the network used: a gradient says what a very small change would do to the "
            "score, no more."
        ),
        photo=photos,
        network=network,
        method=choice(METHODS),
        samples=copies,
        noise=level,
        blur=slider(0.0, 8.0, live=True),
        opacity=slider(0.0, 1.0, 0.75, live=True),
    )


def heat_map(
    network: Network, photo: Photo, class_index: int, method: str, samples: int, noise: int
) -> Tensor:
    """The map of one photo by one of `METHODS`: (H,W), on the CPU.

    SmoothGrad averages `samples` copies with `noise` per cent of it; other methods take none.
    """
    x = network.preprocess(photo.pixels)
    if method == "SmoothGrad":
        some = saliency.gaussian_noise(x, samples, noise / 100)
        return saliency.smoothgrad(network, x, class_index, some)[0].cpu()
    gradient = method == "gradient x input"
    function = saliency.gradient_times_input if gradient else saliency.saliency_map
    return function(network, x, class_index)[0].cpu()


def noisy_copy(network: Network, photo: Photo, noise: int) -> tuple[Tensor, Tensor]:
    """The first of SmoothGrad's copies, (3,S,S) in 0-1, and its probabilities (C,), on the CPU."""
    x = network.preprocess(photo.pixels)
    x = x + saliency.gaussian_noise(x, 1, noise / 100)[0]
    with torch.no_grad():
        probabilities = network(x).softmax(1)[0].cpu()
    return network.denormalize(x)[0].clamp(0, 1).cpu(), probabilities


def blurred(array: Tensor, sigma: float) -> Tensor:
    """A map (H,W) after a Gaussian blur of `sigma` pixels; the map itself for 0."""
    if sigma == 0:
        return array
    return torch.from_numpy(cv2.GaussianBlur(array.numpy(), (0, 0), sigmaX=sigma))


def describe(label: str, photo: str, method: str, array: Tensor) -> str:
    """The map in words: how much of it lies in its strongest pixels."""
    strength = array.abs().flatten()
    largest = strength.topk(max(1, len(strength) // 20)).values.sum()
    share = largest / strength.sum().clamp(min=1e-12)
    return (
        f"{method} of “{label}” for {photo.replace('_', ' ')}: "
        f"the strongest 5 % of the pixels hold {100 * share:.0f} % of the map."
    )
