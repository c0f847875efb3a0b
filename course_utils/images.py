"""Photographs, paintings and cut-outs as tensors, whatever file they come from.

The canonical image is a float32 tensor (3,H,W), RGB in 0-1, on the CPU. Pictures of the course know
their labels, author, licence and source.
"""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils.common import decoding, paths
from course_utils.common.errors import unknown

MAX_PIXELS = 100_000_000
"""Larger files are refused before they are decoded: 100 megapixels are 1.2 GB as a float tensor."""

_CHEAP = 4_000_000  # pixels; files of more are decoded smaller where a smaller picture is asked for


@dataclass(frozen=True)
class Picture:
    """One picture of the course, and whom to thank for it.

    Attributes:
        name: file name without folder and ending, e.g. "panda".
        path: the file.
        category: photos: animal, building, tool, fish, energy, object; paintings: painting; ...
        label, label_index: hand-checked ImageNet class, or None where there is none.
        license: SPDX expression.
        facts: every column of the picture's row in the CSV file.
    """

    name: str
    path: Path
    category: str
    label: str | None
    label_index: int | None
    license: str
    facts: dict[str, str] = field(repr=False, compare=False)

    @property
    def credit(self) -> str:
        """Author or title, licence and source in one line."""
        facts = self.facts
        maker = facts.get("author") or ", ".join(filter(None, map(facts.get, ("artist", "title"))))
        source = facts.get("source_url") or facts.get("source", "")
        return ", ".join(filter(None, (maker, self.license, source)))

    def pixels(self, max_side: int | None = None) -> Tensor:
        """The picture as (3,H,W) in 0-1, shrunk so that its longer side is at most `max_side`."""
        return read(self.path, max_side)


@dataclass(frozen=True)
class Cutout(Picture):
    """An object cut out of its background: colour and a clean mask."""

    @property
    def group(self) -> str:
        """The kind of object, e.g. "animals"; the same as `category`."""
        return self.category

    def rgba(self, max_side: int | None = None) -> Tensor:
        """Colour and opacity (4,H,W), in 0-1."""
        return _shrink(_tensor(_open(self.path).convert("RGBA")), max_side)

    def mask(self, max_side: int | None = None) -> Tensor:
        """True on the object, (H,W) bool: where the picture is more than half opaque."""
        return self.rgba(max_side)[3] > 0.5


def photos(category: str | None = None, label: str | None = None) -> list[Picture]:
    """The course's photographs, all or those of one category or ImageNet label.

    Raises:
        ValueError: no photo has that category or label; near spellings are suggested.
    """
    return _select(_catalogue("photos"), category=category, label=label)


def paintings() -> list[Picture]:
    """The course's paintings."""
    return list(_catalogue("paintings"))


def cutouts(group: str | None = None) -> list[Cutout]:
    """The course's cut-outs with clean masks, all or those of one group (e.g. "animals")."""
    return _select(_catalogue("cutouts"), group=group)


def photo(name: str) -> Picture:
    """The photograph of that name, e.g. `photo("panda")`. ValueError for an unknown one."""
    return _named(_catalogue("photos"), name, "photos")


def painting(name: str) -> Picture:
    """The painting of that name, e.g. `painting("night_cafe")`. ValueError for an unknown one."""
    return _named(_catalogue("paintings"), name, "paintings")


def cutout(name: str) -> Cutout:
    """The cut-out of that name, e.g. `cutout("elephant")`. ValueError for an unknown one."""
    return _named(_catalogue("cutouts"), name, "cut-outs")


def read(source: object, max_side: int | None = None, enough: int | None = None) -> Tensor:
    """Reads one image of any mode, size and orientation, with its colours as sRGB.

    Args:
        source: a `Picture`; a file name; the bytes of a file; a PIL image; an array (H,W), (H,W,1),
            (H,W,3) or (H,W,4), uint8 in 0-255 or floating point in 0-1; or a tensor (3,H,W),
            (1,H,W), (4,H,W) or (H,W) with the same ranges. Transparent parts are laid over white,
            grey-scale becomes RGB, 16-bit files are scaled, the EXIF orientation is applied, and
            colours that a profile describes become sRGB (16-bit grey excepted).
        max_side: the longer side is shrunk to this many pixels where it is larger.
        enough: for callers that shrink the picture themselves: a file or PIL image of more than 4
            million pixels may come smaller, by a whole number, but no side below this many pixels.

    Returns:
        (3,H,W) float32, RGB in 0-1, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, damaged, larger than `MAX_PIXELS`, of an unexpected shape, or with
            values that are not finite or outside the range; also a kind of file that cannot be
            read, such as HEIC or a camera's raw file: the message says what to do.
        TypeError: something that is no image at all, or an array of complex numbers or objects.
        MemoryError: the picture is too large for the memory that is free.
    """
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side={max_side}; accepted: 1 pixel or more, or None")
    if isinstance(source, Tensor):
        pixels = _checked(source.detach().cpu(), "tensor (3,H,W)")
    elif isinstance(source, np.ndarray):
        pixels = _checked(_channels_first(_from_numpy(source)), "array (H,W,3)")
    else:
        try:
            pixels = _flatten(_open(source, max_side, enough))
        except MemoryError:
            what = _file(source)[0]
            raise MemoryError(f"source: {what} takes more memory than is free") from None
    return _shrink(pixels, max_side).contiguous()  # L-BFGS, for one, needs that


def collage(four: Sequence[object], side: int = 224) -> Tensor:
    """A 2x2 collage of four images: centre-cropped squares, in reading order.

    Args:
        four: four images as `read` accepts them.
        side: the side of the whole collage in pixels, an even number.

    Returns:
        (3,side,side) in 0-1.

    Raises:
        ValueError: not four images, or an odd or too small side.
    """
    if len(four) != 4:
        raise ValueError(f"four: {len(four)} images came; a 2x2 collage takes 4")
    if side < 2 or side % 2:
        raise ValueError(f"side={side}; accepted: an even number of pixels, 2 or more")
    a, b, c, d = (square(read(image), side // 2) for image in four)
    return torch.cat([torch.cat([a, b], 2), torch.cat([c, d], 2)], 1)


def square(pixels: Tensor, side: int) -> Tensor:
    """The centre square of (C,H,W) pixels, resized to (C,side,side)."""
    crop = tvf.center_crop(pixels, [min(pixels.shape[-2:])] * 2)
    return tvf.resize(crop, [side, side], antialias=True).clamp(0, 1)


def composite(
    cutout: Cutout,
    background: object,
    side: int = 224,
    scale: float = 0.6,
    position: tuple[float, float] = (0.5, 0.5),
) -> tuple[Tensor, Tensor]:
    """A cut-out laid over a background, and where it lies.

    Args:
        cutout: the object.
        background: an image as `read` accepts it; its centre square is used.
        side: the side of the result in pixels.
        scale: the object's longer side as a share of `side`, in (0, 1].
        position: where the object's centre goes, as shares (x, y) of the space it can move in:
            (0, 0) touches the left and upper border, (1, 1) the right and lower one.

    Returns:
        pixels (3,side,side) in 0-1 and the object's mask (side,side), bool.

    Raises:
        ValueError: `scale` or `position` outside its range.
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale={scale}; accepted: above 0, at most 1")
    if not all(0 <= p <= 1 for p in position):
        raise ValueError(f"position={position}; accepted: two numbers from 0 to 1")
    rgba = cutout.rgba()
    size = [max(1, round(side * scale * n / max(rgba.shape[1:]))) for n in rgba.shape[1:]]
    rgba = torch.cat([rgba[:3] * rgba[3:], rgba[3:]])  # premultiplied: no dark fringe on resizing
    rgba = tvf.resize(rgba, size, antialias=True).clamp(0, 1)
    left, top = (round(p * (side - n)) for p, n in zip(position, size[::-1], strict=True))
    layer = torch.zeros(4, side, side, device="cpu")
    layer[:, top : top + size[0], left : left + size[1]] = rgba
    pixels = layer[:3] + (1 - layer[3:]) * square(read(background), side)
    return pixels.clamp(0, 1), layer[3] > 0.5


def eight_bits(pixels: Tensor) -> Tensor:
    """Pixels as an 8-bit file (PNG) gives them back: clipped to 0-1, in steps of 1/255."""
    return (pixels.clamp(0, 1) * 255).round() / 255


def to_pil(pixels: Tensor) -> Image.Image:
    """(3,H,W) or (H,W) in 0-1 as an 8-bit PIL image; values outside are clipped."""
    return tvf.to_pil_image((pixels.detach().cpu().float().clamp(0, 1) * 255).round().byte())


def _catalogue(kind: str) -> tuple[Picture, ...]:
    return _read_catalogue(kind, paths.data(f"{kind}.csv"))


@cache
def _read_catalogue(kind: str, path: Path) -> tuple[Picture, ...]:
    """Cached by file, so that another `COURSE_DATA` has its own pictures."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(_picture(kind, row) for row in csv.DictReader(file))


def _picture(kind: str, row: dict[str, str]) -> Picture:
    index = row.get("label_index")
    return (Cutout if kind == "cutouts" else Picture)(
        name=Path(row["file"]).stem,
        path=paths.data(*row["file"].split("/")),
        category=row.get("category") or row.get("group") or kind.removesuffix("s"),
        label=row.get("label") or row.get("subject") or None,
        label_index=int(index) if index else None,
        license=row["license"],
        facts=row,
    )


def _select(pictures: Sequence[Picture], **wanted: str | None) -> list[Picture]:
    chosen = list(pictures)
    for key, value in wanted.items():
        if value is not None:
            choices = sorted({str(getattr(p, key)) for p in pictures if getattr(p, key)})
            if value not in choices:
                raise ValueError(unknown(key, value, choices, f"values of {key}"))
            chosen = [p for p in chosen if getattr(p, key) == value]
    return chosen


def _named(pictures: Sequence[Picture], name: str, what: str) -> Picture:
    for picture in pictures:
        if picture.name == name:
            return picture
    raise ValueError(unknown("name", name, [p.name for p in pictures], what))


def _open(source: object, max_side: int | None = None, enough: int | None = None) -> Image.Image:
    """A decoded PIL image, upright; one clear error for all that can be wrong with a file."""
    what, file = _file(source)
    times = partial(_times_smaller, max_side=max_side, enough=enough)
    try:
        return decoding.decode(file, MAX_PIXELS, times)
    except ValueError as error:
        raise ValueError(f"source: {what} {error}") from None


def _times_smaller(size: tuple[int, int], max_side: int | None, enough: int | None) -> int:
    """By which whole number a picture may be shrunk roughly before it is shrunk well."""
    if size[0] * size[1] <= _CHEAP:
        return 1
    if max_side is not None:  # twice as large as asked for: what follows decides how it looks
        return max(1, max(size) // (2 * max_side))
    return 1 if enough is None else max(1, min(size) // enough)


def _file(source: object) -> tuple[str, Path | io.BytesIO | Image.Image]:
    """What to call the source in a message, and what Pillow can open."""
    if isinstance(source, Image.Image):
        return "the PIL image", source
    if isinstance(source, bytes | bytearray | memoryview):
        return f"a file of {len(source)} bytes", io.BytesIO(source)
    if not isinstance(source, Picture | str | Path):
        raise TypeError(
            f"source: got {type(source).__name__}; accepted: a picture of the course, a file name, "
            "the bytes of a file, a PIL image, an array or a tensor"
        )
    file = Path(source.path if isinstance(source, Picture) else source)
    if not os.path.isfile(file):  # unlike Path.is_file, false also for a name that is too long
        raise FileNotFoundError(f"source: there is no image file {file} (looked from {Path.cwd()})")
    return str(file), file


def _flatten(image: Image.Image) -> Tensor:
    """Any PIL mode as (3,H,W) in 0-1."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = torch.from_numpy(np.array(image, dtype=np.float32))
        top = 1.0 if values.max() <= 1 else 255.0 if values.max() <= 255 else 65535.0
        if image.mode.startswith("I;16"):
            top = 65535.0  # the range is known; of modes I and F it is guessed from the values
        clear = values == image.info.get("transparency", -1)
        return _checked((values / top).masked_fill(clear, 1), f"image of mode {image.mode}")
    if image.mode in ("La", "RGBa"):  # premultiplied: Pillow converts these to LA and RGBA only
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        opaque = _tensor(rgba)[3:]
        return _tensor(decoding.srgb(rgba.convert("RGB"))) * opaque + (1 - opaque)
    return _tensor(decoding.srgb(image).convert("RGB"))


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).movedim(-1, 0).float().div_(255)


def _from_numpy(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"source: an array of {array.dtype}; accepted: uint8 in 0-255 or floating point in 0-1"
        )
    return torch.from_numpy(np.array(array, np.uint8 if array.dtype == np.uint8 else np.float32))


def _channels_first(array: Tensor) -> Tensor:
    return array.movedim(-1, 0) if array.ndim == 3 else array


def _checked(pixels: Tensor, accepted: str) -> Tensor:
    """A tensor (3,H,W), (4,H,W), (1,H,W) or (H,W), integer or float, as (3,H,W) in 0-1."""
    given = tuple(pixels.shape)
    if pixels.is_complex():
        raise TypeError(f"source: {pixels.dtype}; accepted: uint8 in 0-255 or floats in 0-1")
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4) or 0 in given:
        raise ValueError(
            f"source: shape {given}; accepted: {accepted}, or one with 1 or 4 channels"
        )
    if pixels.dtype == torch.uint8:
        pixels = pixels / 255
    pixels = pixels.float()
    low, high = pixels.min().item(), pixels.max().item()
    if not torch.isfinite(pixels).all() or low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(
            f"source: values from {low:.3g} to {high:.3g}; accepted: finite numbers in 0-1, or "
            "uint8. A normalised image goes back with `network.denormalize(x).clamp(0, 1)`."
        )
    if pixels.shape[0] == 4:
        pixels = pixels[:3] * pixels[3:] + (1 - pixels[3:])
    return pixels.clamp(0, 1).expand(3, -1, -1).contiguous()


def _shrink(pixels: Tensor, max_side: int | None) -> Tensor:
    longest = max(pixels.shape[-2:])
    if max_side is None or longest <= max_side:
        return pixels
    size = [max(1, round(n * max_side / longest)) for n in pixels.shape[-2:]]
    return tvf.resize(pixels, size, antialias=True).clamp(0, 1)
