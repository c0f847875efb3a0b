"""What is varied: pixels, or the frequencies they are made of."""

from typing import Protocol

import torch
from torch import Tensor


class Parameterisation(Protocol):
    """Numbers that are varied, and the images (N,3,H,W) they stand for."""

    def parameters(self) -> list[Tensor]:
        """The leaf tensors that an optimizer changes."""
        ...

    def __call__(self) -> Tensor:
        """The images, with the graph that leads back to the parameters."""
        ...


class Pixels:
    """Images whose own values are varied, in whatever space they come (0-1 or normalised).

    Args:
        start: (N,3,H,W); copied, never changed.
    """

    def __init__(self, start: Tensor) -> None:
        if start.ndim != 4 or not start.numel() or not start.is_floating_point():
            raise ValueError(
                f"start: {start.dtype} of shape {tuple(start.shape)}; accepted: floats (N,3,H,W)"
            )
        # L-BFGS flattens its parameters with view(), so they must lie in one piece.
        copy = start.detach().clone(memory_format=torch.contiguous_format)
        self.values = copy.requires_grad_()

    def parameters(self) -> list[Tensor]:
        """The images themselves."""
        return [self.values]

    def __call__(self) -> Tensor:
        """The images (N,3,H,W)."""
        return self.values


COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
"""How red, green and blue of natural photos go together: a root of their covariance, rows RGB.

Its columns are brightness, orange against blue, and green against purple (Olah et al. 2017)."""


class Fourier:
    """Images in 0-1 by their frequencies and by colours that vary independently in photos.

        pixels = sigmoid(C * inverse Fourier transform(spectrum / frequency))

    One step of an optimizer changes all parameters by about the same amount; divided by the
    frequency, that is much at low frequencies and little at high ones, as photos have it.

    Args:
        size: (N, H, W), each at least 1; the spectrum is then small random noise.
        std: of that noise.
        seed: of that noise.
        decay: the power of the frequency.
        device: where the images are.
        decorrelate: False: red, green and blue are varied instead.

    Reference: Olah, Mordvintsev & Schubert, "Feature Visualization", Distill 2017.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        std: float = 0.01,
        seed: int = 0,
        decay: float = 1.0,
        device: torch.device | str = "cpu",
        decorrelate: bool = True,
    ) -> None:
        n, height, width = size
        if min(size) < 1:
            raise ValueError(f"size={size}; accepted: images, height and width of 1 or more")
        self.size = (height, width)
        down = torch.fft.fftfreq(height, device="cpu")[:, None]
        across = torch.fft.rfftfreq(width, device="cpu")
        frequency = (down**2 + across**2).sqrt().clamp(min=1 / max(self.size))
        self.scale = (frequency**-decay * (height * width) ** 0.5 / 4).to(device)
        colours = torch.tensor(COLOURS, device="cpu") if decorrelate else torch.eye(3, device="cpu")
        self.colours = (colours / colours.norm(dim=0).max()).to(device)
        random = torch.Generator().manual_seed(seed)
        shape = (n, 3, *frequency.shape, 2)
        noise = std * torch.randn(shape, generator=random, device="cpu")
        self.spectrum = noise.to(device).requires_grad_()

    @classmethod
    def of(cls, pixels: Tensor, decay: float = 1.0) -> "Fourier":
        """The spectrum of given images (N,3,H,W) in 0-1: `Fourier.of(pixels)()` gives them back.

        Values are kept 0.01 away from 0 and 1, which a sigmoid only reaches at infinity.
        """
        n, _, height, width = pixels.shape
        made = cls((n, height, width), 0.0, 0, decay, pixels.device)
        inverse = torch.linalg.inv(made.colours)
        mixed = torch.logit(pixels.detach(), eps=0.01)
        apart = torch.einsum("rc,nchw->nrhw", inverse, mixed)
        spectrum = torch.fft.rfft2(apart) / made.scale
        made.spectrum = torch.view_as_real(spectrum).contiguous().requires_grad_()
        return made

    def parameters(self) -> list[Tensor]:
        """The spectrum (N,3,H,W//2+1,2): real and imaginary parts."""
        return [self.spectrum]

    def __call__(self) -> Tensor:
        """The images (N,3,H,W) in 0-1."""
        spectrum = torch.view_as_complex(self.spectrum) * self.scale
        apart = torch.fft.irfft2(spectrum, s=self.size)
        return torch.einsum("rc,nchw->nrhw", self.colours, apart).sigmoid()
