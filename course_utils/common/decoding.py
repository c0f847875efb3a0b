"""A file as a Pillow image, upright and in sRGB, or a sentence that says what it is instead."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

_SRGB = ImageCms.createProfile("sRGB")
_EXPORT = "Export it as JPEG or PNG and take that file."
_HEIC = (
    "a HEIC photo, the format of recent iPhones, which cannot be read here. Export it as JPEG or "
    "PNG (on a Mac: Preview, File, Export) and take that file."
)
_RAW = f"a camera's raw file: what the sensor measured, and a thumbnail. {_EXPORT}"
_VIDEO = "a video, not an image. Save one of its frames as PNG and take that file."
_JXL = f"a JPEG XL picture, which cannot be read here. {_EXPORT}"
_STARTS = {
    b"\xff\x0a": _JXL,
    b"\0\0\0\x0cJXL \r\n\x87\n": _JXL,
    b"%PDF-": "a PDF document, not an image. Export its page as PNG and take that file.",
    b"FUJIFILMCCD-RAW": _RAW,
    b"IIRO": _RAW,
    b"IIU\0": _RAW,
    b"\x1aE\xdf\xa3": _VIDEO,
}
# The ISO media container holds photos and films; its brand says which.
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), _HEIC),
    **dict.fromkeys((b"mif1", b"msf1"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), ""),  # these Pillow reads, so such a file is damaged
    b"crx ": _RAW,
}


def kind_of(head: bytes) -> str:
    """What a file is that is known not to be readable, and what to do; empty for any other.

    Args:
        head: the file's first kilobyte.
    """
    if head[4:8] == b"ftyp" and len(head) >= 12:
        return _BRANDS.get(head[8:12], _VIDEO)
    for start, said in _STARTS.items():
        if head.startswith(start):
            return said
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text.startswith(b"<"):
        return ""
    if b"<html" in text or b"<!doctype html" in text:
        return "a web page, not an image. Save the picture on it: right click, Save image as."
    return f"an SVG drawing: lines, not pixels. {_EXPORT}" if b"<svg" in text else ""


def _is_raw(tags: object) -> bool:
    """Whether a TIFF is a camera's raw file, whose first picture is only a thumbnail.

    Args:
        tags: the mapping of its first picture: tag -> value.
    """
    reduced, subfiles, dng = 254, 330, 50706
    return dng in tags or bool(tags.get(reduced, 0) & 1 and subfiles in tags)


def decode(
    file: Path | io.BytesIO | Image.Image, max_pixels: int, times: Callable[[tuple[int, int]], int]
) -> Image.Image:
    """The picture in a file, with its EXIF orientation applied.

    Args:
        file: a file, its content, or an image, which is not changed.
        max_pixels: larger pictures are refused before they are decoded.
        times: from (width, height) to the whole number by which a picture may come smaller; of a
            JPEG that saves most of the decoding, of others the memory for what follows.

    Raises:
        ValueError: what the file is instead, and what to do; a sentence without its subject.
        MemoryError: it does not fit.
    """
    try:
        with warnings.catch_warnings():  # what Pillow warns of is harmless here or an error below
            warnings.simplefilter("ignore")
            image = file if isinstance(file, Image.Image) else Image.open(file)
            kind = _RAW if _is_raw(getattr(image, "tag_v2", {})) else ""
            if not kind and 0 < image.width * image.height <= max_pixels:
                return _decoded(image, times(image.size), ours=image is not file)
    except Image.DecompressionBombError as error:
        raise ValueError(f"is too large to be opened: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble on
        kind = kind_of(_head(file))
        if not kind:
            why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
            raise ValueError(f"is not an image, or is damaged{why}") from None
    if kind:
        raise ValueError(f"is {kind}")
    raise ValueError(
        f"has {image.width} x {image.height} pixels; accepted: 1 up to "
        f"{max_pixels // 10**6} million. Shrink a larger one first."
    )


def _decoded(image: Image.Image, times: int, ours: bool) -> Image.Image:
    """The image upright, and up to so many times smaller."""
    width = image.width
    if times > 1 and ours:  # JPEG: 2, 4 or 8 times while decoding; a caller's image is not changed
        image.draft(None, (image.width // times, image.height // times))
        times = times * image.width // width
    image = ImageOps.exif_transpose(image)
    if times > 1 and (image.has_transparency_data or image.mode == "P"):
        image = image.convert("RGBA")  # the numbers of colours have no mean
    averages = image.mode in ("L", "RGB", "RGBA", "CMYK", "I", "F")
    return image.reduce(times) if times > 1 and averages else image


def _head(file: Path | io.BytesIO | Image.Image) -> bytes:
    """The first kilobyte of a file; of a PIL image nothing."""
    if isinstance(file, Image.Image):
        return b""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:1024]
    with file.open("rb") as opened:
        return opened.read(1024)


def srgb(image: Image.Image) -> Image.Image:
    """The image with the colours that its profile means; as it is without a profile that fits."""
    content = image.info.get("icc_profile")
    if not content:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        mode = {"RGB": "RGB", "CMYK": "CMYK", "GRAY": "L"}[profile.profile.xcolor_space.strip()]
        if mode == "RGB":  # a grey or indexed picture too may say which RGB is meant
            image = image.convert("RGB")
        change = ImageCms.buildTransform(profile, _SRGB, mode, "RGB")
        if mode == "RGB" and _changes_nothing(change):
            return image
        return ImageCms.applyTransform(image, change)
    except (KeyError, OSError, ValueError, ImageCms.PyCMSError):
        return image


def _changes_nothing(change: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB under another name: no colour of a grid moves by two of 255."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    before = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(9, 81, 3)
    after = np.asarray(ImageCms.applyTransform(Image.fromarray(before), change))
    return bool(np.abs(after.astype(int) - before).max() < 2)
