"""Figures for a room: as sharp as a projector, with letters that the last row can read."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

VARIABLE = "COURSE_FIGURES"
"""Set to "slides" in the kernels of a slide show."""

PIXELS = 1800
"""Width of a figure's file: a 1920-pixel screen without its margins."""

ROOM = (1150, 540)
"""What a 1280 x 720 slide leaves for a figure, in pixels."""

LETTERS = 17
"""Smallest letters on such a slide, in pixels, where there is room for them."""


def wanted() -> bool:
    """Whether figures are drawn for slides here."""
    return os.environ.get(VARIABLE) == "slides"


def columns(panels: int, aspect: float) -> int:
    """In how many columns pictures of one shape are largest on a slide; a row where it is as
    good.
    """
    width, height = ROOM
    titles = 30

    def size(across: int) -> float:
        down = -(-panels // across)
        return min(width / across / aspect, (height - down * titles) / down)

    best = max(range(1, panels + 1), key=size)
    return panels if size(panels) > 0.9 * size(best) else best


def webp(canvas: Figure) -> bytes:
    """The figure as a WebP file for a slide; the canvas is left as it was.

    Letters that would be smaller than `LETTERS` on a slide grow as far as titles do not run into
    one another or out of the figure.
    """
    width, height = canvas.get_size_inches()
    dpi = min(max(PIXELS / width, 120), 300)
    scale = min(ROOM[0] / width, ROOM[1] / height)
    small = min((t.get_fontsize() for t in _texts(canvas)), default=10)
    most = min(max(1.0, LETTERS * 72 / (small * scale)), 1.8)
    for factor in sorted({round(1 + share * (most - 1), 3) for share in (0, 0.5, 1)})[::-1]:
        with _larger(canvas, factor):
            if factor == 1 or _is_clear(canvas):
                with io.BytesIO() as file:
                    settings = {"quality": 90, "method": 2}
                    canvas.savefig(file, format="webp", dpi=dpi, pil_kwargs=settings)
                    return file.getvalue()
    raise AssertionError("a factor of 1 is always tried")


def _texts(canvas: Figure) -> list[Text]:
    """Titles, names and notes; of axes that are switched off nothing else is seen."""
    found = list(canvas.findobj(Text, include_self=False))
    for axes in canvas.axes:
        if not axes.axison:
            ticks = {id(t) for axis in (axes.xaxis, axes.yaxis) for t in axis.findobj(Text)}
            found = [t for t in found if id(t) not in ticks]
    return [t for t in found if t.get_visible() and t.get_text().strip()]


@contextmanager
def _larger(canvas: Figure, factor: float) -> Iterator[None]:
    """All letters by a factor larger, ticks included; what had grown shrinks again."""
    sizes = [(text, text.get_fontsize()) for text in canvas.findobj(Text)]
    try:
        for text, size in sizes:
            text.set_fontsize(size * factor)
        yield
    finally:
        for text, size in sizes:
            text.set_fontsize(size)


def _is_clear(canvas: Figure) -> bool:
    """Whether no texts overlap, none leaves the figure, and none of its own lies on axes."""
    canvas.draw_without_rendering()
    boxes = [text.get_window_extent() for text in _texts(canvas)]
    whole = canvas.bbox.padded(1)
    inside = all(whole.x0 <= b.x0 and b.x1 <= whole.x1 and whole.y0 <= b.y0 for b in boxes)
    on_axes = (
        Bbox.intersection(text.get_window_extent(), axes.get_window_extent())
        for text in canvas.texts
        for axes in canvas.axes
    )
    touching = (Bbox.intersection(a, b) for a, b in combinations(boxes, 2))
    return inside and not any(map(_is_area, [*on_axes, *touching]))


def _is_area(box: Bbox | None) -> bool:
    return box is not None and box.width > 1 and box.height > 1
