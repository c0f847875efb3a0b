"""Textures with the sample's statistics: histograms of the answers of linear filters."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from course_utils.texture.accepted import check_copy, pair


def filter_bank(
    size: tuple[int, int], scales: int = 4, orientations: int = 4, device: object = "cpu"
) -> Tensor:
    """Oriented filters of several scales by their frequency responses: a steerable pyramid.

    One high-pass filter, `orientations` filters an octave lower at each scale, and one low-pass
    filter for what is left. sum |H|^2 = 1 at each frequency, so a picture is the sum of its
    responses, each filtered a second time: `from_responses`.

    Args:
        size: height and width of the pictures.
        scales, orientations: 1 or more each.
        device: where the filters are.

    Returns:
        (1 + scales * orientations + 1, H, W // 2 + 1), complex: what `torch.fft.rfft2` of a picture
        is multiplied by.

    References: Heeger & Bergen, "Pyramid-Based Texture Analysis/Synthesis", SIGGRAPH 1995;
        Simoncelli & Freeman, "The Steerable Pyramid", ICIP 1995.
    """
    if scales < 1 or orientations < 1:
        raise ValueError(f"scales={scales}, orientations={orientations}; accepted: 1 or more")
    down = torch.fft.fftfreq(size[0], device=device)[:, None]
    across = torch.fft.rfftfreq(size[1], device=device)
    octave = torch.log2((down**2 + across**2).sqrt().clamp(min=1e-6) / 0.5)
    angle = torch.atan2(down, across)

    def low(k: int) -> Tensor:  # falls from 1 to 0 between octaves -k-1 and -k, as a cosine
        return torch.cos(torch.pi / 2 * (octave + k + 1).clamp(0, 1))

    def high(k: int) -> Tensor:
        return torch.sin(torch.pi / 2 * (octave + k + 1).clamp(0, 1))

    power, turns = orientations - 1, torch.pi / orientations
    rays = [torch.cos(angle - turns * k) ** power for k in range(orientations)]
    rays = [1j**power * ray / _length(orientations) for ray in rays]
    rings = [low(k) * high(k + 1) for k in range(scales)]
    bands = [ring * ray for ring in rings for ray in rays]
    return torch.stack([high(0) + 0j, *bands, low(scales) + 0j])


def _length(orientations: int) -> float:
    """The root of sum_k cos(a - pi k / K)^(2K-2), the same for every angle a."""
    k = orientations
    return math.sqrt(k * math.comb(2 * k - 2, k - 1) / 4 ** (k - 1))


def responses(pixels: Tensor, bank: Tensor) -> Tensor:
    """What each filter answers: (...,H,W) -> (...,K,H,W). The picture is continued as tiles."""
    spectrum = torch.fft.rfft2(pixels)[..., None, :, :]
    return torch.fft.irfft2(spectrum * bank, s=pixels.shape[-2:])


def from_responses(answers: Tensor, bank: Tensor) -> Tensor:
    """The picture (...,H,W) that has these responses (...,K,H,W), or comes nearest."""
    spectrum = (torch.fft.rfft2(answers) * bank.conj()).sum(-3)
    return torch.fft.irfft2(spectrum, s=answers.shape[-2:])


def match_histogram(values: Tensor, like: Tensor) -> Tensor:
    """The values in their own order, but distributed like others.

    Args:
        values: (...,M).
        like: (...,L); where L is not M, its quantiles are interpolated.

    Returns:
        (...,M): the smallest value becomes the smallest of `like`, and so on.
    """
    wanted = like.sort(-1).values.reshape(-1, 1, like.shape[-1])
    if like.shape[-1] != values.shape[-1]:
        wanted = functional.interpolate(wanted, values.shape[-1], mode="linear", align_corners=True)
    return torch.empty_like(values).scatter_(-1, values.argsort(-1), wanted.reshape(values.shape))


def by_statistics(
    sample: Tensor,
    size: int | tuple[int, int],
    steps: int = 8,
    scales: int = 4,
    orientations: int = 4,
    seed: int = 0,
) -> Tensor:
    """White noise whose responses to a bank of linear filters get the sample's histograms.

    The colours are turned into three that vary independently, and each is treated on its own.

    Args:
        sample: pixels (3,h,w) in 0-1.
        size: of the result, one number or (H,W).
        steps: rounds of matching the histogram of every filter's responses, then of the pixels.
        scales, orientations: of the `filter_bank`.
        seed: of the noise.

    Returns:
        (3,H,W) in 0-1.

    Reference: Heeger & Bergen, "Pyramid-Based Texture Analysis/Synthesis", SIGGRAPH 1995.
    """
    (height, width), random = pair(size), torch.Generator().manual_seed(seed)
    check_copy(sample, 1, 0)
    middle = sample.mean((1, 2))[:, None]
    basis = torch.linalg.eigh(torch.cov(sample.flatten(1), correction=0)).eigenvectors
    apart = (basis.T @ (sample.flatten(1) - middle)).view_as(sample)
    banks = [
        filter_bank(n, scales, orientations, sample.device)
        for n in (tuple(sample.shape[1:]), (height, width))
    ]
    wanted = responses(apart, banks[0]).flatten(2)
    made = torch.randn((3, height, width), generator=random, device="cpu").to(sample)
    for _ in range(steps):
        made = match_histogram(made.flatten(1), apart.flatten(1)).view_as(made)
        answers = responses(made, banks[1])
        matched = match_histogram(answers.flatten(2), wanted).view_as(answers)
        made = from_responses(matched, banks[1])
    made = match_histogram(made.flatten(1), apart.flatten(1))
    return (basis @ made + middle).view(3, height, width).clamp(0, 1)
