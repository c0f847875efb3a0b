"""Lecture 06: which pixels would change the score of a class, by one backward pass.

Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks", ICLR workshop 2014.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from course_utils import layers
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.common.scores import class_indices, class_scores
from course_utils.models import Network

BATCH = 8
"""Images per forward and backward pass: 16 are no faster on a CPU, and take twice the memory."""


def input_gradient(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """dS_c/dx: how much the score of the class grows per unit that a pixel value grows.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        classes: the class of each image, or one for all (index or name).

    Returns:
        (N,3,H,W).

    Raises:
        ValueError: as `class_scores`.
    """
    x = gate.leaf(x)
    with torch.enable_grad():
        score = class_scores(model, x, classes).sum()  # images do not mix, so neither do gradients
    return torch.autograd.grad(score, x)[0]


def saliency_map(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """|dS_c/dx|, the largest of the three colour channels: one map for each image.

    Args, raises: as `input_gradient`.

    Returns:
        (N,H,W), never negative.
    """
    return input_gradient(model, x, classes).abs().amax(1)


def gradient_times_input(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor
) -> Tensor:
    """x * dS_c/dx, summed over the colours: what each pixel adds to the score, to first order.

    For a network that is linear without bias the map adds up to the score itself.

    Args, raises: as `input_gradient`.

    Returns:
        (N,H,W), signed.

    Reference: Shrikumar et al., "Not Just a Black Box", 2016.
    """
    return (x.detach() * input_gradient(model, x, classes)).sum(1)


def gaussian_noise(x: Tensor, samples: int = 25, level: float = 0.15, seed: int = 0) -> Tensor:
    """Noise for `smoothgrad`: the same for the same seed, on every device.

    Args:
        x: images (N,3,H,W).
        samples: noisy copies of each image.
        level: standard deviation as a share of each image's range max(x) - min(x). The paper
            advises 0.1 to 0.2; choose one at which the network still recognises the image.

    Returns:
        (samples,N,3,H,W), on the device of `x`.

    Raises:
        ValueError: fewer than one sample, or a negative level.
    """
    if samples < 1 or level < 0:
        raise ValueError(f"samples={samples}, level={level}; accepted: 1 or more, and 0 or more")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((samples, *x.shape), generator=generator, device="cpu")
    return level * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))[:, None, None, None] * noise.to(x)


def smoothgrad(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, noise: Tensor
) -> Tensor:
    """The mean of the saliency maps of noisy copies of each image.

    Args:
        model, x, classes: as for `input_gradient`.
        noise: (samples,N,3,H,W), what is added to `x`; from `gaussian_noise`.

    Returns:
        (N,H,W), never negative.

    Raises:
        ValueError: noise of another shape; otherwise as `class_scores`.

    Reference: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.
    """
    if noise.ndim != 5 or noise.shape[1:] != x.shape or len(noise) == 0:
        raise ValueError(
            f"noise: shape {tuple(noise.shape)}; accepted: (samples, *{tuple(x.shape)})"
        )
    index = class_indices(model, classes, len(x))
    noisy = (x.detach() + noise.to(x.device)).flatten(0, 1)
    repeated = index.repeat(len(noise))
    maps = in_chunks(lambda some, c: saliency_map(model, some, c), noisy, repeated, size=BATCH)
    return maps.unflatten(0, (len(noise), len(x))).mean(0)


# ------------------------------------------------------------------ what the map can be used for


def regions(mask: Tensor, width: int = 8) -> dict[str, Tensor]:
    """A mask's outline band, interior and background.

    Args:
        mask: (H,W) bool, True on the object.
        width: of the band, in pixels, half inside and half outside the object.

    Returns:
        "outline", "interior", "background": (H,W) bool each, on the CPU; they part the picture.
    """
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise ValueError(f"mask: {mask.dtype} of shape {tuple(mask.shape)}; accepted: bool (H,W)")
    inside = mask.cpu().numpy().astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width + 1, width + 1))
    # The photo's border is no outline: outside it nothing is eroded and nothing grows.
    grown = torch.from_numpy(cv2.dilate(inside, kernel)).bool()
    shrunk = torch.from_numpy(cv2.erode(inside, kernel)).bool()
    return {"outline": grown & ~shrunk, "interior": shrunk, "background": ~grown}


def iou(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two masks (H,W) bool, 0-1; two empty masks agree fully."""
    if a.shape != b.shape:
        raise ValueError(
            f"masks of shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be compared"
        )
    union = (a | b).sum().item()
    return (a & b).sum().item() / union if union else 1.0


def segment(
    pixels: Tensor,
    saliency: Tensor,
    sure_object: float = 0.98,
    sure_background: float = 0.6,
    iterations: int = 1,
) -> Tensor:
    """From a saliency map to the object: colours of its hottest and coldest pixels seed GrabCut.

    Args:
        pixels: the picture (3,H,W) in 0-1.
        saliency: its map (H,W), never negative.
        sure_object, sure_background: pixels above the first and below the second quantile of the
            blurred map are object and background; GrabCut decides between them.
        iterations: of GrabCut.

    Returns:
        (H,W) bool, on the CPU.

    Raises:
        ValueError: sizes that differ, or a map that is the same everywhere.

    References: Simonyan et al. 2014, section 3.2; Rother, Kolmogorov & Blake, "GrabCut", 2004.
    """
    if pixels.shape[1:] != saliency.shape:
        raise ValueError(
            f"saliency: shape {tuple(saliency.shape)} for {tuple(pixels.shape)} pixels"
        )
    if saliency.max() <= saliency.min():
        raise ValueError("saliency: the map is the same everywhere, so it points at no object")
    heat = saliency.detach().cpu().float().numpy()
    wide = cv2.GaussianBlur(heat, (0, 0), sigmaX=max(heat.shape) / 32)
    labels = np.full(heat.shape, cv2.GC_PR_BGD, np.uint8)
    labels[wide > np.quantile(wide, (sure_object + sure_background) / 2)] = cv2.GC_PR_FGD
    labels[wide <= np.quantile(wide, sure_background)] = cv2.GC_BGD
    labels[wide >= np.quantile(wide, sure_object)] = cv2.GC_FGD
    photo = (pixels.detach().cpu().numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
    cv2.setRNGSeed(0)  # GrabCut's colour clusters start at random
    photo = np.ascontiguousarray(photo[..., ::-1])
    cv2.grabCut(
        photo, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_MASK
    )
    return torch.from_numpy((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


# ------------------------------------------------------------------ a planted bias


def stamp(pixels: Tensor, side: int = 36, margin: int = 8) -> Tensor:
    """Pixels (...,3,H,W) in 0-1 with a logo in the lower left corner: a magenta letter E."""
    arm = side // 7
    letter = torch.zeros(side, side, dtype=torch.bool, device=pixels.device)
    letter[arm : 6 * arm, arm : 2 * arm] = True
    for row in (1, 3, 5):
        letter[row * arm : (row + 1) * arm, arm : 6 * arm] = True
    magenta = torch.tensor([0.9, 0.1, 0.7], device=pixels.device)[:, None, None].to(pixels)
    stamped = pixels.clone()
    rows, columns = logo_corner(pixels.shape[-2], side, margin)
    stamped[..., rows, columns] = torch.where(letter, magenta, stamped[..., rows, columns])
    return stamped


def fit_head(
    model: Network, layer: str, pixels: Tensor, targets: Sequence[int] | Tensor
) -> "WithHead":
    """A new last layer for a frozen network: logistic regression on the maxima of a layer's maps.

    Args:
        model: a network of the zoo.
        layer: whose feature maps (N,K,h,w) are reduced to (N,K), the largest value of each.
        pixels: (N,3,H,W) in 0-1, of at least two classes.
        targets: (N,) class indices from 0.

    Returns:
        A network (N,3,H,W) -> logits (N, classes), for normalised images on the network's device.

    Raises:
        ValueError: as many targets as images are needed, of two classes or more.
    """
    wanted = torch.as_tensor(targets, device="cpu").numpy()
    if len(wanted) != len(pixels) or len(set(wanted.tolist())) < 2:
        raise ValueError(f"targets: {len(wanted)} for {len(pixels)} images; two classes at least")
    with torch.no_grad():
        features = in_chunks(lambda p: _peaks(model, gate.normalised(model, p), layer), pixels)
    mean, std = features.mean(0), features.std(0) + 1e-3
    from sklearn.linear_model import (
        LogisticRegression,  # most lectures need none of it, and it takes half a second
    )

    fitted = LogisticRegression(C=0.1, max_iter=500).fit(((features - mean) / std).cpu(), wanted)
    weight = torch.from_numpy(fitted.coef_).to(features) / std
    bias = torch.from_numpy(fitted.intercept_).to(features) - weight @ mean
    if len(weight) == 1:  # two classes: scikit-learn gives one score, S_1 - S_0
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    return WithHead(model, layer, weight, bias)


def logo_corner(height: int, side: int = 36, margin: int = 8) -> tuple[slice, slice]:
    """Rows and columns of the square that `stamp` paints its logo into."""
    if height < side + margin:
        raise ValueError(f"pixels: {height} high; a logo of {side} needs at least {side + margin}")
    return slice(height - margin - side, height - margin), slice(margin, margin + side)


class WithHead(nn.Module):
    """The largest value of each of a network's feature maps, and a linear classifier on them."""

    def __init__(self, model: nn.Module, layer: str, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.model, self.layer = model, layer
        # Without initial weights no random numbers are drawn. Only the head is frozen: it is ours.
        self.head = nn.utils.skip_init(nn.Linear, *weight.T.shape, device=weight.device)
        self.head.load_state_dict({"weight": weight, "bias": bias})
        self.head.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N,3,H,W)."""
        return self.head(_peaks(self.model, x, self.layer))


def _peaks(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The largest value of each of a layer's feature maps, (N,K)."""
    return layers.maps(model, x, layer)[layer].amax((2, 3))
