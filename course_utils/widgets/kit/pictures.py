"""Pictures side by side as PNG bytes and as HTML, fast enough to follow a slider."""

import base64
import html
import io
from collections.abc import Mapping
from functools import cache

import matplotlib
import numpy as np
from PIL import Image
from torch import Tensor, from_numpy

from course_utils import show

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
    return panel.resize((max(1, round(panel.width * height / panel.height)), height))


def png(image: Image.Image) -> bytes:
    """The image as a PNG file; packed quickly rather than tightly."""
    with io.BytesIO() as file:
        image.save(file, format="png", compress_level=1)
        return file.getvalue()


def headings(pictures: Mapping[str, object]) -> str:
    """The titles as HTML, each above its picture in a strip of the same width."""
    shares = [panel.shape[1] / panel.shape[0] for panel in map(show.pixels_of, pictures.values())]
    columns = " ".join(f"minmax(0,{share:.4f}fr)" for share in shares)
    cells = "".join(f"<span>{html.escape(title)}</span>" for title in pictures)
    style = f"display:grid;grid-template-columns:{columns};text-align:center;line-height:1.4"
    return f'<div aria-hidden="true" style="{style}">{cells}</div>'


def figure(data: bytes, titles: str, text: str, width: int) -> str:
    """A plain HTML figure: what viewers without widgets see.

    Args:
        data: a PNG file.
        titles: from `headings`.
        text: says what is to be seen; the alt text, and the line below.
        width: of the picture, in CSS pixels.
    """
    encoded, said = base64.b64encode(data).decode(), html.escape(text)
    return (
        f'<div class="course-static" style="width:{width}px;max-width:100%">{titles}'
        f'<img alt="{said}" style="width:100%" src="data:image/png;base64,{encoded}">'
        f"<p>{said}</p></div>"
    )
