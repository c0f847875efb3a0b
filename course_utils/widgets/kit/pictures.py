"""Pictures side by side as PNG bytes and as HTML, fast enough to follow a slider."""

import base64
import html
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, from_numpy

from course_utils import show
from course_utils.common import projection

GAP = 8
"""White columns between two pictures, in pixels of the strip."""


def coloured(array: Tensor, signed: bool = False, percentile: float = 99.5) -> Tensor:
    """A heat map in the colours of `show.maps`, as an image.

    Args:
        array: (H,W) or (1,H,W), finite.
        signed: False: bright is large. True: red is positive, blue negative, white exactly zero.
        percentile: values beyond this percentile get the end colour.

    Returns:
        (3,H,W) in 0-1.

    Raises:
        ValueError: a map of another shape, or with values that are not finite.
    """
    values, scale = show.heat(array, signed, percentile)
    share = (values - scale["vmin"]) / (scale["vmax"] - scale["vmin"])
    steps = (share * 255).round().clip(0, 255).astype(np.uint8)
    return from_numpy(_colours(scale["cmap"])[steps]).movedim(-1, 0)


@cache
def _colours(name: str) -> np.ndarray:
    """A colour map as a table (256,3), which is looked up 10 times faster than it is computed."""
    return matplotlib.colormaps[name](np.arange(256))[:, :3].astype(np.float32)


def strip(pictures: Mapping[str, object]) -> Image.Image:
    """Pictures side by side, all as high as the highest.

    Args:
        pictures: title -> image as `show.pixels_of` accepts it.

    Raises:
        ValueError: no picture, or one of another shape.
    """
    if not pictures:
        raise ValueError("pictures: none came; one or more are needed")
    panels = [_pil(picture) for picture in pictures.values()]
    height = max(panel.height for panel in panels)
    panels = [_as_high(panel, height) for panel in panels]
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    whole, left = Image.new("RGB", (width, height), "white"), 0
    for panel in panels:
        whole.paste(panel, (left, 0))
        left += panel.width + GAP
    return whole


def _pil(picture: object) -> Image.Image:
    values = (show.pixels_of(picture) * 255).round().astype(np.uint8)
    return Image.fromarray(values).convert("RGB")


def _as_high(panel: Image.Image, height: int) -> Image.Image:
    if panel.height == height:
        return panel
    # A patch of a few pixels keeps them: smoothed, it would show shapes that are not there.
    how = Image.Resampling.NEAREST if height >= 4 * panel.height else Image.Resampling.BICUBIC
    return panel.resize((max(1, round(panel.width * height / panel.height)), height), how)


def png(image: Image.Image) -> bytes:
    """The image as a PNG file; packed quickly rather than tightly."""
    with io.BytesIO() as file:
        image.save(file, format="png", compress_level=1)
        return file.getvalue()


def barred(array: Tensor, top: float) -> Tensor:
    """A signed map's colours (3,H,W), and beside it a bar with its values, from -top to top."""
    height, gap = array.shape[1], array.shape[1] // 28
    scale = show.colours(torch.linspace(1, -1, height, device="cpu")[:, None], True, 1.0)
    page = Image.new("RGB", (5 * gap, height), "white")
    for place, value in ((0, top), (0.5, 0.0), (1, -top)):
        font = _font(round(1.6 * gap))
        at = (gap, round(place * (height - 1.9 * gap)))
        ImageDraw.Draw(page).text(at, f"{value:.2g}", "black", font=font)
    numbers = from_numpy(np.array(page)).movedim(-1, 0) / 255
    white = torch.ones(3, height, gap, device="cpu")
    return torch.cat([array.cpu(), white, scale.expand(-1, -1, 2 * gap), numbers], 2)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(file), size)


def titled(pictures: Mapping[str, object], height: int) -> Image.Image:
    """The strip with each title above its picture, for viewers that place no text themselves.

    Args:
        pictures: as for `strip`.
        height: of the pictures, in pixels; a title too long for its picture is set smaller.
    """
    plain = strip(pictures)
    how = Image.Resampling.NEAREST if height > 4 * plain.height else Image.Resampling.LANCZOS
    scale, top = height / plain.height, round(0.09 * height)
    whole = Image.new("RGB", (round(plain.width * scale), height + top), "white")
    whole.paste(plain.resize((whole.width, height), how), (0, top))
    left, pen = 0.0, ImageDraw.Draw(whole)
    for title, panel in zip(pictures, map(show.pixels_of, pictures.values()), strict=True):
        width = height * panel.shape[1] / panel.shape[0]
        most = round(0.7 * top)
        size = most * min(1, width / max(1, pen.textlength(title, _font(most))))
        pen.text((left + width / 2, top / 2), title, "black", _font(max(6, int(size))), "mm")
        left += width + GAP * scale
    return whole


def headings(pictures: Mapping[str, object]) -> str:
    """The titles as HTML, each above its picture in a strip of the same width."""
    shares = [panel.shape[1] / panel.shape[0] for panel in map(show.pixels_of, pictures.values())]
    columns = " ".join(f"minmax(0,{share:.4f}fr)" for share in shares)
    cells = "".join(f"<span>{html.escape(title)}</span>" for title in pictures)
    style = f"display:grid;grid-template-columns:{columns};text-align:center;line-height:1.4"
    return f'<div aria-hidden="true" style="{style}">{cells}</div>'


def figure(pictures: Mapping[str, object], text: str, size: int, cannot: str = "") -> str:
    """A plain HTML figure: what viewers without widgets see.

    Args:
        pictures: as for `strip`.
        text: says what is to be seen; the alt text, and the line below.
        size: height of the pictures, in CSS pixels.
        cannot: what the explorer does not show, below.
    """
    kind, fine = ("webp", 2.5) if projection.wanted() else ("png", 1.25)
    image = titled(pictures, round(size * fine))
    with io.BytesIO() as file:
        image.save(file, format=kind, **({"quality": 90} if kind == "webp" else {}))
        encoded = base64.b64encode(file.getvalue()).decode()
    said, width = html.escape(text), round(image.width / fine)
    return (
        f'<div class="course-static" style="width:{width}px;max-width:100%">'
        f'<img alt="{said}" style="width:100%" src="data:image/{kind};base64,{encoded}">'
        f"<p>{said}</p>{limits(cannot)}</div>"
    )


def limits(cannot: str) -> str:
    """What an explorer cannot do, as HTML; nothing for nothing."""
    said = f"What this does not show: {html.escape(cannot)}"
    return f'<p class="course-cannot">{said}</p>' if cannot else ""
