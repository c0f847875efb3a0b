"""The transform network, which paints a photo in one pass, and its norms."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from course_utils.common.errors import unknown


def instance_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Every channel of every image with mean 0 and variance 1 over its positions, then rescaled.

        (x - mean) / sqrt(variance + eps) * scale + shift

    Args:
        x: (N,C,H,W).
        scale, shift: (C,), learned; the same for all images.
        eps: keeps a channel without variance finite.

    Returns:
        (N,C,H,W).

    Reference:
        Ulyanov, Vedaldi, Lempitsky: Instance Normalization: The Missing Ingredient for Fast
        Stylization, 2016.
    """
    mean = x.mean((2, 3), keepdim=True)
    variance = x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * scale[:, None, None] + shift[:, None, None]


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "batch": nn.BatchNorm2d,
}
"""What may stand after a convolution of the transform network."""


class TransformNetwork(nn.Module):
    """Photo in, painting out: two steps down to a quarter of the size, residual blocks, two up.

    Convolutions reflect the picture at its border, so that no frame of zeros is painted; on the way
    up pixels are doubled and then convolved, since transposed convolutions paint checkerboards.

    Args:
        norm: "instance" or "batch".
        channels: after the first convolution, at half and at a quarter of the size.
        blocks: residual blocks at a quarter of the size.

    Attributes:
        architecture: the three arguments by name.

    Raises:
        ValueError: an unknown norm, or numbers that are not positive.

    References:
        Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and
        Super-Resolution, ECCV 2016; Odena, Dumoulin, Olah: Deconvolution and Checkerboard
        Artifacts, Distill 2016.
    """

    def __init__(
        self, norm: str = "instance", channels: Sequence[int] = (8, 24, 48), blocks: int = 4
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(unknown("norm", norm, NORMS, "normalisations"))
        if len(channels) != 3 or min(*channels, blocks) < 1:
            raise ValueError(f"channels={channels}, blocks={blocks}; accepted: three, all positive")
        self.architecture = {"norm": norm, "channels": list(channels), "blocks": blocks}
        fine, half, quarter = channels
        self.down = nn.Sequential(
            _convolution(3, fine, 7, norm),
            _convolution(fine, half, 3, norm, stride=2),
            _convolution(half, quarter, 3, norm, stride=2),
        )
        self.blocks = nn.Sequential(*(_Residual(quarter, norm) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            _convolution(quarter, half, 3, norm),
            nn.Upsample(scale_factor=2),
            _convolution(half, fine, 3, norm),
        )
        self.paint = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(fine, 3, 7))

    def forward(self, pixels: Tensor) -> Tensor:
        """Photos (N,3,H,W) in 0-1, of any size, painted: the same shape and range."""
        height, width = pixels.shape[-2:]
        x = self.down(_whole(pixels) - 0.5)
        x = self.up(self.blocks(x))
        return self.paint(x).sigmoid()[..., :height, :width]


def _convolution(
    before: int, after: int, size: int, norm: str, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """Reflection, convolution, norm (whose shift replaces the bias), ReLU."""
    layer = nn.Conv2d(before, after, size, stride, bias=False)
    parts = [nn.ReflectionPad2d(size // 2), layer, NORMS[norm](after)]
    return nn.Sequential(*parts, *[nn.ReLU()] * relu)


class _Residual(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3, norm)
        self.second = _convolution(channels, channels, 3, norm, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


def _whole(pixels: Tensor) -> Tensor:
    """Continued to the right and below until two halvings leave no rest, to 16 at least."""
    height, width = pixels.shape[-2:]
    right, below = (max(16, -(-n // 4) * 4) - n for n in (width, height))
    if not right and not below:
        return pixels
    return functional.pad(pixels, (0, right, 0, below), mode="replicate")
