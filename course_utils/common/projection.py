"""Figures for a room: as sharp as a projector, with letters that the last row can read."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a deck is opened without matplotlib
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

VARIABLE = "COURSE_FIGURES"
"""Set to "slides" in the kernels of a slide show."""

PIXELS = 1800
"""Width of a figure's file: a 1920-pixel screen without its margins."""

ROOM = (1150, 540)
"""What a 1280 x 720 slide leaves for a figure, in pixels."""

LETTERS = 24
"""Smallest letters on such a slide, in pixels, where there is room for them."""

DRAWING = 300_000
"""Bytes of a drawing; one of more is a picture."""


def wanted() -> bool:
    """Whether figures are drawn for slides here."""
    return os.environ.get(VARIABLE) == "slides"


def columns(panels: int, aspect: float) -> int:
    """In how many columns pictures of one shape are largest on a slide, and rows are full."""
    width, height = ROOM
    titles = 30

    def size(across: int) -> float:
        down = -(-panels // across)
        return min(width / across / aspect, (height - down * titles) / down)

    return max(range(1, panels + 1), key=size)


def growth(width: float, height: float, small: float) -> float:
    """How much larger letters of `small` points have to be on a slide; inches of the figure."""
    scale = min(ROOM[0] / width, ROOM[1] / height)
    return min(max(1.0, LETTERS * 72 / (small * scale)), 2.2)


def file(canvas: "Figure") -> tuple[str, bytes]:
    """The figure as a file for a slide; the canvas is left as it was.

    A plot is an SVG, sharp on any screen; what holds photos or maps, or too many marks, is a WebP.
    Letters that would be smaller than `LETTERS` on a slide grow as far as titles do not run into
    one another or out of the figure.

    Returns:
        What follows "image/" in the file's type, and its content.
    """
    from matplotlib.image import AxesImage

    width, height = canvas.get_size_inches()
    small = min((t.get_fontsize() for t in _texts(canvas)), default=10)
    most = growth(width, height, small)
    for factor in sorted({round(1 + part * (most - 1) / 3, 3) for part in range(4)})[::-1]:
        with _larger(canvas, factor):
            if factor == 1 or _is_clear(canvas):
                drawing = b"" if canvas.findobj(AxesImage) else _saved(canvas, format="svg")
                if 0 < len(drawing) <= DRAWING:
                    return "svg+xml", drawing
                settings = {"quality": 90, "method": 2}
                dpi = min(max(PIXELS / width, 120), 300)
                return "webp", _saved(canvas, format="webp", dpi=dpi, pil_kwargs=settings)
    raise AssertionError("a factor of 1 is always tried")


def _saved(canvas: "Figure", **settings: object) -> bytes:
    with io.BytesIO() as written:
        canvas.savefig(written, **settings)
        return written.getvalue()


def _texts(canvas: "Figure") -> list["Text"]:
    """Titles, names and notes; of axes that are switched off nothing else is seen."""
    from matplotlib.text import Text

    found = list(canvas.findobj(Text, include_self=False))
    for axes in canvas.axes:
        if not axes.axison:
            ticks = {id(t) for axis in (axes.xaxis, axes.yaxis) for t in axis.findobj(Text)}
            found = [t for t in found if id(t) not in ticks]
    return [t for t in found if t.get_visible() and t.get_text().strip()]


@contextmanager
def _larger(canvas: "Figure", factor: float) -> Iterator[None]:
    """All letters by a factor larger, ticks included; what had grown shrinks again."""
    from matplotlib.text import Text

    sizes = [(text, text.get_fontsize()) for text in canvas.findobj(Text)]
    try:
        for text, size in sizes:
            text.set_fontsize(size * factor)
        yield
    finally:
        for text, size in sizes:
            text.set_fontsize(size)


def _is_clear(canvas: "Figure") -> bool:
    """Whether no texts overlap, none leaves the figure, and none of its own lies on axes."""
    from matplotlib.transforms import Bbox

    canvas.draw_without_rendering()
    boxes = [text.get_window_extent() for text in _texts(canvas)]
    whole = canvas.bbox.padded(1)
    inside = all(
        whole.x0 <= b.x0 and b.x1 <= whole.x1 and whole.y0 <= b.y0 and b.y1 <= whole.y1
        for b in boxes
    )
    on_axes = (
        Bbox.intersection(text.get_window_extent(), axes.get_window_extent())
        for text in canvas.texts
        for axes in canvas.axes
    )
    touching = (Bbox.intersection(a, b) for a, b in combinations(boxes, 2))
    return inside and not any(map(_is_area, [*on_axes, *touching]))


def _is_area(box: "Bbox | None") -> bool:
    return box is not None and box.width > 1 and box.height > 1
