"""What an explorer shows at other positions of its controls: for pages that have no kernel."""

import base64
import io
import time
from typing import TYPE_CHECKING

import ipywidgets
from PIL import Image

from course_utils.widgets.kit import choosers

if TYPE_CHECKING:
    from course_utils.widgets.kit.explorer import Explorer

MOST, FEW, SECONDS, FINE = 13, 7, 3.0, 1.25
"""Positions at most, of a slider that runs a network `FEW`; a control whose answer costs the
processor more than `SECONDS` stays still. Those of the clock would leave more out the busier the
machine is. Frames have at most `FINE` pixels for one of CSS, as plain pictures have."""


_SLIDERS = ipywidgets.IntSlider | ipywidgets.FloatSlider | ipywidgets.SelectionSlider


def positions(explorer: "Explorer") -> dict[str, object]:
    """The explorer's pictures with one control moved at a time, the others where they start.

    Returns:
        `start`, a frame, and `controls`: for each its `label`, the `options` in words, the number
        `at` which it starts and the `frames`. A frame has the `image` (WebP, base64), the `titles`
        (HTML), the `text` and the `width` in CSS pixels. Everything can become JSON. At the end the
        controls stand where they stood.
    """
    start = _frame(explorer)
    moved = [_moved(explorer, *named) for named in _movable(explorer)]
    moved = [one for one in moved if one and any(frame != start for frame in one["frames"])]
    return {"start": start, "controls": moved}


def _movable(explorer: "Explorer") -> list[tuple[str, ipywidgets.Widget]]:
    """Sliders and lists; what is shut off or typed is left out."""
    found = []
    for name, control in explorer.controls.items():
        lists = isinstance(control, choosers.PhotoChooser | choosers.ClassChooser)
        widget = control.list if lists else control
        if isinstance(widget, _SLIDERS | ipywidgets.Dropdown) and not widget.disabled:
            found.append((widget.description or name, widget))
    return found


def _values(widget: ipywidgets.Widget) -> tuple[list, list[str]]:
    """Where a control can stand, not more than `MOST` or `FEW`, and what each place is called."""
    if hasattr(widget, "options"):
        pairs = [o if isinstance(o, tuple) else (str(o), o) for o in widget.options]
        values, words = [value for _, value in pairs], [str(word) for word, _ in pairs]
        return values[:MOST], words[:MOST]
    count = round((widget.max - widget.min) / widget.step)
    most = MOST if widget.continuous_update else FEW
    steps = sorted({round(i * count / (most - 1)) for i in range(most)})
    values = [widget.min + i * widget.step for i in steps if i <= count]
    nearest = min(range(len(values)), key=lambda i: abs(values[i] - widget.value))
    values[nearest] = widget.value  # the place where it starts is among them
    return values, [f"{value:g}" for value in values]


def _moved(explorer: "Explorer", label: str, widget: ipywidgets.Widget) -> dict | None:
    stood, (values, words), frames = widget.value, _values(widget), []
    if len(values) < 2 or stood not in values:
        return None
    try:
        for value in values:
            began = time.process_time()
            widget.value = value
            frames.append(_frame(explorer))
            if time.process_time() - began > SECONDS:
                return None
    finally:
        widget.value = stood
    return {"label": label, "options": words, "at": values.index(stood), "frames": frames}


def _frame(explorer: "Explorer") -> dict[str, object]:
    width = int(explorer.image.layout.width.removesuffix("px"))
    with io.BytesIO() as file, Image.open(io.BytesIO(explorer.image.value)) as picture:
        picture.thumbnail((round(FINE * width), picture.height))  # makes nothing larger
        picture.save(file, format="webp", quality=75)
        encoded = base64.b64encode(file.getvalue()).decode()
    return {
        **{"image": encoded, "titles": explorer.titles.value},
        **{"text": explorer.text, "width": width},
    }
