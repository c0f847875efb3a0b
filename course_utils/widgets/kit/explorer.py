"""A picture with controls: draws, redraws, and says what went wrong."""

import html
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps

import ipywidgets
import traitlets
from IPython.display import display

from course_utils.common import errors
from course_utils.common.positions import MIME, wanted
from course_utils.images import Picture
from course_utils.models import Network
from course_utils.widgets.kit import controls, pictures, positions
from course_utils.widgets.kit.choosers import ClassChooser, PhotoChooser
from course_utils.widgets.kit.newest import Newest

SIZE = 288
"""Height of a picture, in CSS pixels: three squares and their controls fit a 1280 x 720 slide."""

# The plain picture goes while its explorer lives, and comes back when the kernel is gone.
_CSS = """<style>
.jp-OutputArea-child:has(.course-static):has(+ .jp-OutputArea-child
  .course-explorer:not(.jupyter-widgets-disconnected)) { display: none; }
.course-explorer.jupyter-widgets-disconnected > :not(.course-gone) { display: none; }
.course-explorer:not(.jupyter-widgets-disconnected) > .course-gone { display: none; }
.course-explorer { overflow: visible; }
.course-explorer.jupyter-widgets-disconnected::before { content: none; }
.course-explorer.course-busy .widget-image { opacity: 0.45; transition: opacity 0.1s 0.25s; }
.course-explorer .widget-html-content { height: auto; line-height: 1.4; }
.course-explorer [role="alert"], .course-gone { color: #b00020; font-weight: bold; }
[data-jp-theme-light="false"] :is(.course-explorer [role="alert"], .course-gone) { color: #ff8a95; }
.course-cannot { margin: 0.2em 0 0; font-size: 0.92em; font-style: italic; opacity: 0.85; }
</style>"""
_GONE = "The kernel of these controls is gone: run this cell again to get new ones."

Drawing = tuple[Mapping[str, object], str]


def remember(function: Callable) -> Callable:
    """The function, with its last 32 results kept: for the part of a drawing that runs a network.

    Its arguments must be hashable: a `Photo`, numbers, words. An error is not kept.
    """
    return wraps(function)(lru_cache(maxsize=32)(function))


def explore(
    draw: Callable[..., Drawing],
    photo: Sequence[str | Picture] | None = None,
    network: Network | None = None,
    size: int = SIZE,
    cannot: str = "",
    **given: object,
) -> "Explorer":
    """A picture that is drawn anew whenever one of its controls changes.

    Args:
        draw: takes the controls' values by name; returns (pictures, text): title -> image as
            `show.pixels_of` accepts it, and a sentence that says what is to be seen. Passes of a
            network belong into a function under `remember`, so that they are not repeated.
        photo: names of photos to choose from, the reader's own beside them; `draw` gets
            `photo`, a `Photo`.
        network: a classifier; `draw` gets `class_index`, one of the photo's most probable classes
            or any other that is typed. Needs `photo`.
        size: height of the pictures on the screen, in CSS pixels.
        cannot: what a reader must not take from it; stands below the picture.
        given: name -> control: `slider`, `choice`, `switch`, or for short (low, high, value), a
            list, a dictionary, True or False.

    Returns:
        The explorer; as the last line of a cell it shows itself.

    Raises:
        TypeError: something that is no control.
        ValueError: `network` without `photo`, or an unknown photo. Errors of the first drawing.
    """
    if network is not None and photo is None:
        raise ValueError("network: the classes are those of a photo, so photo=[...] is needed too")
    chosen: dict[str, ipywidgets.Widget] = {}
    if photo is not None:
        chosen["photo"] = PhotoChooser(photo)
    if network is not None:
        chosen["class_index"] = ClassChooser(network, chosen["photo"])
    chosen |= {name: controls.control(name, value) for name, value in given.items()}
    return Explorer(draw, chosen, size, cannot)


class NamedImage(ipywidgets.Image):
    """An image whose `tooltip` becomes its name for screen readers.

    ipywidgets' page code gives a tooltip only to widgets with an empty description, and fails for
    images, which have none.
    """

    description = traitlets.Unicode("").tag(sync=True)


class Explorer:
    """A picture, its controls, and a sentence that changes with it.

    Args:
        draw: as for `explore`.
        controls: name -> widget with a `value`; one with a `message` may complain through it.
        size: height of the pictures on the screen, in CSS pixels.
        cannot: what a reader must not take from it.

    Attributes:
        controls: the widgets, by name; setting a `value` redraws, and raises what `draw` raises.
        image, text: the `widgets.Image`, and the sentence below it.
        error: what the last drawing raised, or None.
    """

    def __init__(
        self,
        draw: Callable[..., Drawing],
        controls: dict[str, ipywidgets.Widget],
        size: int = SIZE,
        cannot: str = "",
    ) -> None:
        self.draw, self.controls, self.size, self.cannot = draw, controls, size, cannot
        self.image = NamedImage(format="png")
        self.titles, self.caption, self.alarm = (ipywidgets.HTML() for _ in range(3))
        self.text, self.error, self._drawn = "", None, None
        self.box, self._newest = self._layout(), Newest(self._answer)
        self.redraw()
        for control in controls.values():
            control.observe(self._changed, "value")
            if control.has_trait("message"):
                control.observe(lambda change: self.complain(change["new"]), "message")

    def _layout(self) -> ipywidgets.VBox:
        row = ipywidgets.Layout(flex_flow="row wrap")
        gone = ipywidgets.HTML(_GONE + _CSS)
        gone.add_class("course-gone")
        panel = ipywidgets.Box(list(self.controls.values()), layout=row)
        parts = [panel, self.alarm, self.titles, self.image, self.caption]
        limits = [ipywidgets.HTML(pictures.limits(self.cannot))] if self.cannot else []
        box = ipywidgets.VBox([*parts, *limits, gone])
        box.add_class("course-explorer")
        return box

    @property
    def values(self) -> dict[str, object]:
        """What the controls say, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self) -> None:
        """Draws the picture for the present values, unless it is drawn already.

        Raises:
            Exception: whatever `draw` raises.
        """
        values = self.values
        if self._drawn == values:
            return
        shown, self.text = self.draw(**values)
        strip = pictures.strip(shown)
        width = round(strip.width * self.size / strip.height)
        for part in (self.image, self.titles, self.caption):
            part.layout.width, part.layout.max_width = f"{width}px", "100%"
        with self.image.hold_sync():  # one message; for two the page would decode the picture twice
            self.image.value = pictures.png(strip)
            self.image.tooltip = self.text  # what screen readers read out for the picture
        self.titles.value = pictures.headings(shown)
        self.caption.value = f'<div role="status">{html.escape(self.text)}</div>'
        self._drawn, self._shown = values, shown

    def _changed(self, change: dict) -> None:
        self.box.add_class("course-busy")
        self._newest.news()

    def _answer(self) -> None:
        try:
            self.redraw()
            self.complain("")
        except Exception as error:
            self._drawn = None
            self.complain(errors.said(error), error)
            raise  # in the notebook the traceback goes to the log, in a test to the caller
        finally:
            self.box.remove_class("course-busy")

    def complain(self, message: str, error: Exception | None = None) -> None:
        """Shows a message in red above the picture, or takes it away if it is empty."""
        self.error = error
        said = f'<div role="alert">{html.escape(message)}</div>' if message else ""
        if self.alarm.value != said:
            self.alarm.value = said

    def static(self) -> str:
        """The present picture as plain HTML with its alt text."""
        return pictures.figure(self._shown, self.text, self.size, self.cannot)

    def _ipython_display_(self) -> None:
        plain = {"text/html": self.static(), "text/plain": self.text}
        if wanted():
            plain[MIME] = positions.positions(self)
        display(plain, raw=True)
        # ipywidgets 7 has no such method; there the picture stays alone.
        bundle = dict(getattr(self.box, "_repr_mimebundle_", dict)())
        display(bundle | {"text/plain": "(controls: run this cell in JupyterLab)"}, raw=True)
