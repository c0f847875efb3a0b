"""Photos as vectors: features of layers, pixels, and what is accepted as such."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import images, layers
from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.models import Network

# ------------------------------------------------------------------ features


def features(
    model: Network, pixels: Tensor, names: Sequence[str], progress: str | None = None
) -> dict[str, Tensor]:
    """The feature vectors of photos at several layers: each map's mean over all its positions.

    Args:
        model: a network of the zoo.
        pixels: photos (N,3,H,W) in 0-1, cropped as `model.crop_pixels` does it.
        names: layers as `layers.find` accepts them; their outputs are (N,K,h,w) or (N,K).
        progress: a caption; shows a progress bar.

    Returns:
        layer -> (N,K), on the CPU, from one forward pass of each photo.

    Raises:
        ValueError: an unknown layer (near spellings are suggested), no layer, photos that are not
            (N,3,H,W) or not finite, or so small that nothing is left of them at a layer.
    """
    check_photos(pixels)
    gate.check_zoo(model)
    if not names or isinstance(names, str):
        raise ValueError(f"names: got {names!r}; accepted: a list of one layer or more")
    widths: list[int] = []

    def pooled(some: Tensor) -> Tensor:
        x = gate.normalised(model, some)
        with torch.no_grad():
            seen = layers.outputs(model, x, *names)
        kept = [gate.check_units(seen[n], n, x) for n in names]
        parts = [units.flatten(2).mean(2) if units.ndim > 2 else units for units in kept]
        widths[:] = [part.shape[1] for part in parts]
        return torch.cat(parts, 1).cpu()

    # On a CPU batches of 2 are faster than of 16: the first layers' maps stay in its cache.
    size = 2 if model.device.type == "cpu" else 64
    joined = in_chunks(pooled, pixels, size=size, progress=progress)
    return dict(zip(names, joined.split(widths, 1), strict=True))


def thumbnails(pixels: Tensor, side: int) -> Tensor:
    """Photos (N,3,H,W) as small squares (N,3,side,side) in 0-1, on the CPU."""
    check_photos(pixels)
    return tvf.resize(pixels.cpu(), [side, side], antialias=True).clamp(0, 1)


def pixel_vectors(pixels: Tensor, side: int = 32) -> Tensor:
    """Photos (N,3,H,W) shrunk to side x side, as vectors (N, 3 * side^2), on the CPU."""
    return thumbnails(pixels, side).flatten(1)


def unit(x: Tensor) -> Tensor:
    """Vectors (N,D) scaled to length 1; a zero vector stays zero.

    Between unit vectors the distance depends on the angle only: |a - b|^2 = 2 - 2 cos(a, b).
    """
    check_vectors(x)
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)


def vectors_by_layer(
    model: Network, pixels: Tensor, names: Sequence[str], progress: str | None = None
) -> dict[str, Tensor]:
    """Photos as they are compared: "pixels", then each layer's features at unit length.

    Args, raises: as for `features`.

    Returns:
        "pixels" -> (N,3072), layer -> (N,K), on the CPU.
    """
    found = features(model, pixels, names, progress)
    return {"pixels": pixel_vectors(pixels)} | {name: unit(x) for name, x in found.items()}


def variants(image: object, side: int = 224) -> dict[str, Tensor]:
    """One photo taken a little differently; no pixel is invented, all come from the photo.

    Args:
        image: as `images.read` accepts it.
        side: of the results, in pixels.

    Returns:
        "photo", "relit" (gamma 1.6, so darker), "shifted" (by a seventh of the side, both ways),
        "rotated" (12 degrees), "cropped" (the middle three quarters, enlarged), "mirrored": each
        (3,side,side) in 0-1.
    """
    pixels = images.read(image)
    large = tvf.resize(pixels, [side * 9 // 7], antialias=True).clamp(0, 1)
    move = side // 7
    top, left = ((n - side) // 2 for n in large.shape[1:])
    centred = tvf.center_crop(large, [side, side])
    turned = tvf.rotate(large, 12, interpolation=tvf.InterpolationMode.BILINEAR)
    middle = tvf.center_crop(large, [side * 3 // 4] * 2)
    return {
        "photo": centred,
        "relit": centred**1.6,
        "shifted": tvf.crop(large, top + move, left + move, side, side),
        "rotated": tvf.center_crop(turned, [side, side]),
        "cropped": tvf.resize(middle, [side, side], antialias=True).clamp(0, 1),
        "mirrored": centred.flip(2),
    }


# ------------------------------------------------------------------ what is refused


def check_vectors(x: Tensor, name: str = "x") -> None:
    """Refuses what is no set of finite vectors (N,D)."""
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name}: shape {tuple(x.shape)}; accepted: vectors (N,D)")
    if not torch.isfinite(x).all():
        raise ValueError(f"{name}: it has values that are not finite (NaN or infinity)")


def check_photos(pixels: Tensor) -> None:
    """Refuses what is no set of finite photos (N,3,H,W)."""
    if pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels: shape {tuple(pixels.shape)}; accepted: photos (N,3,H,W)")
    if not torch.isfinite(pixels).all():
        raise ValueError("pixels: they have values that are not finite (NaN or infinity)")
