"""Figures in one style, each with a text alternative that says what is to be seen.

Every function returns a `Figure`; as the last line of a cell it draws itself, with its alt text,
in JupyterLab and in exported HTML. Nothing here calls `plt.show()`.
"""

import base64
import html
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

import matplotlib
import numpy as np
import torch
from matplotlib import figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from torch import Tensor

from course_utils.common import optimise, projection
from course_utils.images import Picture

SEQUENTIAL, DIVERGING = "inferno", "RdBu_r"
"""Colour maps that colour-blind readers can follow: for sizes, and for signs (centred at zero)."""

STYLE = {
    "figure.dpi": 100,
    "font.size": 10,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
    ),
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


METHODS = {
    "occlusion": ("#000000", "-"),
    "saliency": ("#0072B2", "-"),
    "gradient x input": ("#56B4E9", "-"),
    "SmoothGrad": ("#CC79A7", "-"),
    "deconvnet": ("#E69F00", "-"),
    "guided backprop": ("#D55E00", "-"),
    "CAM": ("#009E73", "-"),
    "Grad-CAM": ("#009E73", "--"),
    "Guided Grad-CAM": ("#D55E00", "--"),
    "noise": ("#999999", ":"),
    "edges": ("#999999", "-."),
    "centre": ("#999999", "--"),
}
METHODS |= {"backprop": METHODS["saliency"], "guided": METHODS["guided backprop"]}
"""Colour and dash of a method's curves: the same in every lecture. The impostors are grey."""


class Figure:
    """A drawn figure: a matplotlib figure, and its text alternative.

    Attributes:
        canvas: the `matplotlib.figure.Figure`, for changes the functions here do not offer.
        alt: one or two sentences for readers who do not see the picture.
    """

    def __init__(self, canvas: figure.Figure, alt: str) -> None:
        self.canvas, self.alt = canvas, alt

    def png(self, dpi: float = 100) -> bytes:
        """The figure as a PNG file."""
        with io.BytesIO() as file, matplotlib.rc_context(STYLE):
            # A third less time than at the default level, for a file that is an eighth larger.
            settings = {"pil_kwargs": {"compress_level": 1}}
            self.canvas.savefig(file, format="png", dpi=dpi, **settings)
            return file.getvalue()

    def save(self, path: object, dpi: float = 100) -> None:
        """Writes the figure as a PNG file."""
        with open(path, "wb") as file:
            file.write(self.png(dpi))

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        # A plain image/png output loses its alt text in JupyterLab; an <img> element keeps it.
        kind, content = self._slide() if projection.wanted() else ("png", self.png(120))
        data = base64.b64encode(content).decode()
        width = round(self.canvas.get_figwidth() * 80)
        text = html.escape(self.alt, quote=True)
        style, source = f"width:{width}px;max-width:100%", f"data:image/{kind};base64,{data}"
        return {
            "text/html": f'<img alt="{text}" style="{style}" src="{source}">',
            "text/plain": self.alt,
        }

    def _slide(self) -> tuple[str, bytes]:
        with matplotlib.rc_context(STYLE):
            return projection.file(self.canvas)

    def __repr__(self) -> str:
        return f"Figure({self.alt!r})"


class Animation:
    """Pictures that follow one another without end, in one place, and their text alternative.

    Attributes:
        content: a WebP file.
        alt: says what is to be seen.
        width: in CSS pixels.
    """

    def __init__(self, content: bytes, alt: str, width: int) -> None:
        self.content, self.alt, self.width = content, alt, width

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        data, text = base64.b64encode(self.content).decode(), html.escape(self.alt, quote=True)
        style = f"width:{self.width}px;max-width:100%"
        return {
            "text/html": f'<img alt="{text}" style="{style}" src="data:image/webp;base64,{data}">',
            "text/plain": self.alt,
        }

    def __repr__(self) -> str:
        return f"Animation({self.alt!r})"


def animation(frames: Iterable[Tensor], alt: str, fps: float = 12) -> Animation:
    """Frames as a moving picture, at true size.

    Args:
        frames: as for `optimise.animated`, e.g. the frames of a `Result`.
        alt: what is to be seen.
        fps: frames in a second.
    """
    frames = list(frames)
    content = optimise.animated(frames, ".webp", fps)
    several = len(frames[0]) if frames[0].ndim == 4 else 1
    return Animation(content, alt, several * frames[0].shape[-1])


def pixels_of(image: object) -> np.ndarray:
    """An image for matplotlib: (H,W,3) or (H,W) floats, clipped to 0-1.

    Args:
        image: a `Picture`, or a tensor or array (3,H,W), (1,H,W), (1,3,H,W) or (H,W) in 0-1.
    """
    if isinstance(image, Picture):
        image = image.pixels()
    array = torch.as_tensor(image).detach().cpu().float()
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.movedim(0, -1).squeeze(-1)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] != 3):
        raise ValueError(f"image: shape {tuple(array.shape)}; accepted: (3,H,W), (1,H,W) or (H,W)")
    return array.clamp(0, 1).numpy()


def images(
    pictures: Sequence[object],
    titles: Sequence[str] = (),
    columns: int | None = None,
    height: float = 2.3,
    alt: str = "",
    title: str = "",
) -> Figure:
    """Pictures side by side, in rows of `columns`.

    Args:
        pictures: images as `pixels_of` accepts them.
        titles: a title for each, or none.
        columns: pictures in a row; all of them by default, at most 6.
        height: of one row, in inches.
        alt: what the pictures show; the titles by default.
        title: above all.
    """
    panels = [(pixels_of(p), {"cmap": "gray", "vmin": 0, "vmax": 1}) for p in pictures]
    return _panels(panels, titles, columns, height, alt, title)


def rows(
    pictures: Sequence[Sequence[object]],
    titles: Sequence[str],
    alt: str,
    height: float | None = None,
) -> Figure:
    """Rows of pictures, each row after its title.

    Args:
        pictures: one list of images for each row, as `pixels_of` accepts them; all of one height
            in a row.
        titles: one for each row, lines broken by "\\n".
        alt: what the pictures show.
        height: of every row, in CSS pixels. None: true size, one pixel of a picture is one CSS
            pixel on the screen, so that sizes can be compared between rows.

    Raises:
        ValueError: no pictures, an empty row, or not a title for each row.
    """
    if not pictures or not all(map(len, pictures)) or len(titles) != len(pictures):
        raise ValueError(
            f"pictures: rows of {[len(row) for row in pictures]}, {len(titles)} titles; accepted: "
            "one row or more, none empty, and a title for each"
        )
    strips = [_row(row, height) for row in pictures]
    wide = max(s.shape[1] for s in strips) / _FINE
    margin, tall = _beside(strips, titles, wide)
    total, top = sum(tall) + 6 * (len(tall) - 1), 0.0
    width = margin + wide
    with matplotlib.rc_context(STYLE):
        canvas = figure.Figure(figsize=(width / 80, total / 80))
        for strip, title, high in zip(strips, titles, tall, strict=True):
            down, across = (n / _FINE for n in strip.shape[:2])
            low = total - top - (high + down) / 2
            place = (margin / width, low / total, across / width, down / total)
            axes = canvas.add_axes(place)
            axes.set_axis_off()
            axes.imshow(strip, aspect="auto")
            canvas.text(3 / width, low / total + down / total / 2, title, va="center")
            top += high + 6
    return Figure(canvas, alt)


def _beside(
    strips: Sequence[np.ndarray], titles: Sequence[str], wide: float
) -> tuple[float, list[float]]:
    """Room for titles on the left of rows, and how tall each row is; CSS pixels."""
    margin = 14 + 7 * max(len(line) for title in titles for line in title.split("\n"))
    high, letters = sum(s.shape[0] for s in strips) / _FINE, 1.0
    if projection.wanted():  # letters grow there, if there is room
        letters = projection.growth((margin + wide) / 80, high / 80, STYLE["font.size"])
    least = [18 * letters * (1 + title.count("\n")) for title in titles]
    return margin * letters, [
        max(s.shape[0] / _FINE, n) for s, n in zip(strips, least, strict=True)
    ]


_FINE = 1.5
"""Pixels of a figure's file for a CSS pixel."""


def _row(pictures: Sequence[object], height: float | None) -> np.ndarray:
    """Pictures side by side with white between and below them, (h,w,3), in pixels of the file."""
    parts = [_enlarged(torch.from_numpy(pixels_of(picture)), height) for picture in pictures]
    tall, gap = max(part.shape[1] for part in parts), round(4 * _FINE)
    parts = [
        torch.nn.functional.pad(part, (0, gap, 0, tall - part.shape[1]), value=1) for part in parts
    ]
    return torch.cat(parts, 2)[..., :-gap].movedim(0, -1).clamp(0, 1).numpy()


def _enlarged(array: Tensor, height: float | None) -> Tensor:
    """A picture (h,w) or (h,w,3) as (3,H,W); H is the same for all that get the same height."""
    array = array if array.ndim == 3 else array[..., None].expand(-1, -1, 3)
    tall, wide = array.shape[:2]
    scale = _FINE * (1 if height is None else height / tall)
    size = [max(1, round(n)) for n in (_FINE * (height or tall), wide * scale)]
    # Single pixels of a small patch are to be seen as squares.
    how = {"mode": "nearest-exact"} if scale > 3 else {"mode": "bilinear", "antialias": True}
    return torch.nn.functional.interpolate(array.movedim(-1, 0)[None], size, **how)[0]


def maps(
    arrays: Sequence[Tensor],
    titles: Sequence[str] = (),
    signed: bool = False,
    photo: object | None = None,
    columns: int | None = None,
    height: float = 2.3,
    alt: str = "",
    title: str = "",
    percentile: float = 99.5,
    bar: bool = False,
    values: bool = False,
) -> Figure:
    """Heat maps side by side, each on its own scale, after the photo where there is one.

    Args:
        arrays: maps (H,W) or (1,H,W), finite.
        titles: a title for each map.
        signed: False: bright is large, black is zero or the least value. True: red is positive,
            blue negative, white exactly zero.
        photo: shown first, as `pixels_of` accepts it.
        columns, height, alt, title: as for `images`.
        percentile: values beyond this percentile get the end colour; a map is ruled by few pixels
            otherwise.
        bar: a colour bar beside each map tells its values.
        values: each value is written into its cell, for maps of a few cells.

    Raises:
        ValueError: a map that is not 2-D, or has values that are not finite.
    """
    panels = [heat(array, signed, percentile) for array in arrays]
    if photo is not None:
        panels = [(pixels_of(photo), {"cmap": "gray", "vmin": 0, "vmax": 1}), *panels]
        titles = ["photo", *titles]
    drawn = _panels(panels, titles, columns, height, alt, title, bar)
    if values:
        for axes, (array, scale) in zip(drawn.canvas.axes, panels, strict=False):
            if scale["cmap"] != "gray":
                _written(axes, array)
    return drawn


def _written(axes: object, array: np.ndarray) -> None:
    """Each value of a panel in its cell, to three digits, in a colour that can be read."""
    for (row, column), value in np.ndenumerate(array):
        red, green, blue, _ = axes.images[0].to_rgba([value])[0]
        ink = "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"
        axes.text(column, row, f"{value + 0.0:.3g}", ha="center", va="center", color=ink)


def heat(array: Tensor, signed: bool = False, percentile: float = 99.5) -> tuple[np.ndarray, dict]:
    """A map (H,W) and the colour scale for it: the arguments of `Axes.imshow`."""
    values = torch.as_tensor(array).detach().cpu().float()
    values = (values[0] if values.ndim == 3 and len(values) == 1 else values).numpy()
    if values.ndim != 2 or not values.size:
        raise ValueError(f"map: shape {values.shape}; accepted: (H,W) or (1,H,W)")
    if not np.isfinite(values).all():
        raise ValueError("map: it has values that are not finite (NaN or infinity)")
    if signed:
        top = float(np.percentile(np.abs(values), percentile)) or float(np.abs(values).max()) or 1.0
        return values, {"cmap": DIVERGING, "vmin": -top, "vmax": top}
    low = min(0.0, float(values.min()))
    top = float(np.percentile(values, percentile))
    top = top if top > low else float(values.max())
    return values, {"cmap": SEQUENTIAL, "vmin": low, "vmax": top if top > low else low + 1}


def colours(array: Tensor, signed: bool = False, top: float | None = None) -> Tensor:
    """A map (H,W) as a picture (3,H,W) in 0-1, in the colours of `maps`.

    `top` is the value of the end colour, for maps that are to be compared.
    """
    values, scale = heat(array, signed)
    if top is not None:
        scale |= {"vmin": -top if signed else 0.0, "vmax": top}
    share = np.clip((values - scale["vmin"]) / (scale["vmax"] - scale["vmin"]), 0, 1)
    return torch.from_numpy(matplotlib.colormaps[scale["cmap"]](share)[..., :3]).movedim(-1, 0)


def overlay(
    photo: object,
    array: Tensor,
    strength: float = 0.75,
    top: float | None = None,
    signed: bool = False,
) -> Tensor:
    """A map laid over a photo: the greyed photo, coloured and opaque where the map is large.

    Args:
        photo: (3,H,W) in 0-1, as `pixels_of` accepts it.
        array: map (h,w), resized to the photo; negative parts cut, unless `signed`.
        strength: opacity where the map is largest, 0-1.
        top: the value that gets the hottest colour, one for all maps that are to be compared; the
            map's own 99.5th percentile by default.
        signed: red is positive, blue negative, and what is near zero stays grey.

    Returns:
        (3,H,W) in 0-1.
    """
    base = torch.from_numpy(pixels_of(photo))
    base = base if base.ndim == 3 else base[..., None].expand(-1, -1, 3)
    grey = base.mean(-1, keepdim=True) * 0.8 + 0.1
    values = torch.as_tensor(array).detach().cpu().float().squeeze()
    values = values if signed else values.clamp(min=0)
    values = torch.nn.functional.interpolate(
        values[None, None], size=base.shape[:2], mode="bilinear", antialias=True
    )[0, 0]
    if top is None:
        size = values.abs()
        most = torch.quantile(size.flatten()[:: max(1, size.numel() // 10**6)], 0.995)
        top = float(most if most > 0 else size.max())
    values = (values / max(top, 1e-12)).clamp(-1, 1)
    scale = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL]
    shown = values / 2 + 0.5 if signed else values
    colour = torch.from_numpy(scale(shown.numpy())[..., :3]).float()
    weight = strength * values.abs().sqrt()[..., None]
    return ((1 - weight) * grey + weight * colour).movedim(-1, 0).clamp(0, 1)


def marked(
    photo: object, box: tuple[int, int, int, int], place: tuple[float, float], radius: int = 6
) -> Tensor:
    """A picture with a box and a place drawn on it, in black and white, visible on anything.

    Args:
        photo: (3,H,W) in 0-1, as `pixels_of` accepts it.
        box: (top, left, bottom, right) in pixels, bottom and right excluded.
        place: row and column of a dot, in pixels.
        radius: of the dot.

    Returns:
        (3,H,W) in 0-1, a copy.
    """
    drawn = torch.from_numpy(pixels_of(photo).copy()).movedim(-1, 0)
    rows = torch.arange(drawn.shape[1], device="cpu")[:, None]
    columns = torch.arange(drawn.shape[2], device="cpu")
    top, left, bottom, right = box
    # Distance to the border of the box, and to the dot's middle.
    high = torch.minimum(rows - top, bottom - 1 - rows)
    across = torch.minimum(columns - left, right - 1 - columns)
    depth = torch.minimum(high, across)
    away = ((rows - place[0]) ** 2 + (columns - place[1]) ** 2).sqrt()
    dark = ((depth >= 0) & (depth < 4)) | (away < radius + 2)
    light = ((depth >= 1) & (depth < 3)) | (away < radius)
    return torch.where(light, 1.0, torch.where(dark, 0.0, drawn))


class Table:
    """Rows under a header, as HTML and as text; numbers are aligned right."""

    def __init__(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        rows = [list(row) for row in rows]
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"rows: {len(row)} cells under a header of {len(header)}")
        self.header = list(header)
        self.rows = [[_cell(value) for value in row] for row in rows]
        self.text = [any(isinstance(row[i], str) for row in rows) for i in range(len(header))]

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        def line(cells: Sequence[str], tag: str) -> str:
            inner = "".join(
                f'<{tag} style="text-align:{"left" if text else "right"}">{html.escape(c)}</{tag}>'
                for text, c in zip(self.text, cells, strict=True)
            )
            return f"<tr>{inner}</tr>"

        body = "".join(line(row, "td") for row in self.rows)
        table = f"<table><thead>{line(self.header, 'th')}</thead><tbody>{body}</tbody></table>"
        return {"text/html": table, "text/plain": repr(self)}

    def __repr__(self) -> str:
        grid = [self.header, *self.rows]
        widths = [max(len(row[i]) for row in grid) for i in range(len(self.header))]

        def line(cells: Sequence[str]) -> str:
            both = zip(self.text, cells, widths, strict=True)
            return "  ".join(c.ljust(w) if text else c.rjust(w) for text, c, w in both).rstrip()

        return "\n".join(map(line, grid))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; numbers are shown with three significant digits.

    Args:
        header: the columns' titles.
        rows: text or numbers, one for each column.

    Raises:
        ValueError: a row with more or fewer cells than the header.
    """
    return Table(header, rows)


def with_legend(drawn: Figure, colours: Mapping[str, str], columns: int = 6) -> Figure:
    """The figure, with what its colours stand for below it.

    Args:
        drawn: of `images` or `maps`.
        colours: name -> colour.
        columns: names in a row.
    """
    patches = [Patch(color=colour, label=name) for name, colour in colours.items()]
    with matplotlib.rc_context(STYLE):
        drawn.canvas.legend(handles=patches, loc="outside lower center", ncols=columns)
        drawn.canvas.get_layout_engine().execute(drawn.canvas)
    return drawn


def credits(pictures: Iterable[Picture]) -> Table:
    """Who made the pictures, under which licence, and where they are from; each picture once.

    Made from the pictures themselves and not from their names: a cut-out may be called like a
    photo, with another author and another licence.

    Args:
        pictures: photos, paintings and cut-outs, in the order of the table.
    """
    kinds = {"paintings": ", painting", "cutouts": ", cut-out"}
    each = {picture.path: picture for picture in pictures}
    lines = [[p.name + kinds.get(p.path.parent.name, ""), p.credit] for p in each.values()]
    return table(["picture", "author, licence, source"], lines)


def _cell(value: object) -> str:
    if isinstance(value, Tensor):
        value = value.item()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def bars(
    names: Sequence[str], values: Iterable[float], xlabel: str, alt: str = "", title: str = ""
) -> Figure:
    """Horizontal bars, the first on top, each with its number."""
    names, values = list(names), [float(v) for v in values]
    with matplotlib.rc_context(STYLE):
        canvas = figure.Figure(figsize=(6, 0.6 + 0.3 * len(names)), layout="constrained")
        axes = canvas.subplots()
        drawn = axes.barh(range(len(names)), values)
        axes.bar_label(drawn, [f"{v:.3g}" for v in values], padding=3)
        axes.set(yticks=range(len(names)), yticklabels=names, xlabel=xlabel, title=title)
        axes.invert_yaxis()
        axes.margins(x=0.12)
    numbers = ", ".join(f"{n} {v:.3g}" for n, v in zip(names, values, strict=True))
    return Figure(canvas, alt or f"{title or xlabel}: {numbers}")


def lines(
    curves: dict[str, tuple[Iterable[float], Iterable[float]]],
    xlabel: str,
    ylabel: str,
    alt: str,
    title: str = "",
    beside: bool = False,
    **settings: object,
) -> Figure:
    """Curves in one plot.

    Args:
        curves: name -> (x values, y values). A name that is a method's, or begins with one and a
            comma, has the colour of `METHODS`.
        xlabel, ylabel: with units.
        alt: what the curves show, in words.
        beside: puts the names to the right of the plot, where they hide no curve; as do more than
            five.
        settings: passed on to `Axes.set`, e.g. `yscale="log"`.
    """
    with matplotlib.rc_context(STYLE):
        canvas = figure.Figure(figsize=(6, 3.2), layout="constrained")
        axes = canvas.subplots()
        for i, (name, (x, y)) in enumerate(curves.items()):
            # There are seven colours: what comes after them is dashed.
            dash = "-" if i < len(STYLE["axes.prop_cycle"]) else "--"
            colour, dash = METHODS.get(name.split(",")[0], (None, dash))
            axes.plot(list(map(float, x)), list(map(float, y)), dash, label=name, color=colour)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title, **settings)
        if beside or len(curves) > 5:
            axes.legend(bbox_to_anchor=(1, 1), loc="upper left")
        elif len(curves) > 1:
            axes.legend()
    return Figure(canvas, alt)


Interval = tuple[float, float, float]
"""A mean, and the lower and upper end of its interval."""


def intervals(rows: Mapping[str, Interval], xlabel: str, alt: str, title: str = "") -> Figure:
    """Means with their intervals, one row each, the first on top; a line marks zero.

    Args:
        rows: name -> (mean, low, high). A row whose interval holds zero is drawn hollow.
        xlabel: with its unit.
        alt: what is to be seen, in words.
        title: above all.
    """
    return interval_panels({title: rows}, xlabel, alt)


def interval_panels(
    panels: Mapping[str, Mapping[str, Interval]],
    xlabel: str,
    alt: str,
    title: str = "",
    filled: Mapping[str, Mapping[str, bool]] | None = None,
) -> Figure:
    """Panels of `intervals` side by side: the same rows, each panel on its own axis.

    Args:
        panels: a panel's title -> its rows, named alike and in the same order.
        xlabel: below all panels.
        alt: what is to be seen, in words.
        title: above all.
        filled: whose dots are filled, named like `panels`; by default those whose interval does not
            hold 0.
    """
    names = list(next(iter(panels.values())))
    width = 8 if len(panels) == 1 else 2.2 + 2.5 * len(panels)
    with matplotlib.rc_context(STYLE | {"font.size": 12, "axes.titlesize": 12}):
        canvas = figure.Figure(figsize=(width, 1 + 0.36 * len(names)), layout="constrained")
        drawn = canvas.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (panel, rows) in zip(drawn, panels.items(), strict=True):
            clear = {name: not low <= 0 <= high for name, (_, low, high) in rows.items()}
            _interval_rows(axes, rows, filled[panel] if filled else clear)
            axes.locator_params(axis="x", nbins=6 if len(panels) == 1 else 4)
            axes.set_title(panel)
        drawn[0].set(yticks=range(len(names)), yticklabels=names)
        drawn[0].set_ylim(len(names) - 0.4, -0.6)
        canvas.supxlabel(xlabel, fontsize=12)
        canvas.suptitle(title or None)
    return Figure(canvas, alt)


def _interval_rows(axes: object, rows: Mapping[str, Interval], filled: Mapping[str, bool]) -> None:
    axes.axvline(0, color="#999999", linewidth=1)
    for i, (name, row) in enumerate(rows.items()):
        mean, low, high = map(float, row)
        colour, _ = METHODS.get(name.split(",")[0], ("#000000", "-"))
        axes.plot([low, high], [i, i], color=colour, linewidth=2)
        inside = colour if filled[name] else "white"
        axes.plot(mean, i, "o", color=colour, markerfacecolor=inside, markersize=7)


def _fit_titles(canvas: figure.Figure, axes: Sequence, columns: int) -> None:
    """Breaks long titles, and gives all of them room."""
    if not any(ax.get_title() for ax in axes):
        return
    lines = max(_wrapped(ax.title, 0.97 * canvas.bbox.width / columns) for ax in axes)
    canvas.set_figheight(canvas.get_figheight() + len(axes) // columns * 0.17 * lines)
    # The layout's first run leaves them too little room; drawing is another.
    canvas.get_layout_engine().execute(canvas)


def _wrapped(title: Text, room: float) -> int:
    """Breaks lines that would run into the next panel's; returns how many lines were added."""
    before = title.get_text()
    wide = title.get_window_extent().width
    if wide > room:
        most = max(map(len, before.split("\n")))
        fitting = [
            textwrap.fill(line, max(1, int(most * room / wide))) for line in before.split("\n")
        ]
        title.set_text("\n".join(fitting))
    return title.get_text().count("\n") - before.count("\n")


_WIDEST = 10
"""Inches; a row of very wide panels is made lower instead."""


def _panels(
    panels: Sequence[tuple[np.ndarray, dict]],
    titles: Sequence[str],
    columns: int | None,
    height: float,
    alt: str,
    title: str,
    bar: bool = False,
) -> Figure:
    if not panels:
        raise ValueError("pictures: an empty list; one or more are needed")
    aspect = float(np.median([a.shape[1] / a.shape[0] for a, _ in panels]))
    if projection.wanted() and (columns or len(panels)) >= len(panels):  # one row: no order is lost
        columns = projection.columns(len(panels), aspect)
    columns = min(columns or 6, len(panels))
    rows = -(-len(panels) // columns)
    wide = min(height * aspect, max(2 * height, _WIDEST / columns))
    tall = min(height, wide / aspect)  # no empty band above and below what is wide
    size = (columns * wide + 0.1, rows * (tall + 0.25 * bool(titles)))
    with matplotlib.rc_context(STYLE):
        canvas = figure.Figure(figsize=size, layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False).ravel()
        for ax, panel, name in zip_longest(axes, panels, titles, fillvalue=None):
            ax.set_axis_off()
            ax.set(xticks=[], yticks=[])  # the layout would measure their labels, shown or not
            if panel is not None:
                drawn = ax.imshow(panel[0], **panel[1])
                if bar and panel[1]["cmap"] != "gray":
                    canvas.colorbar(drawn, ax=ax, shrink=0.8)
                ax.set_title(name or "")
        canvas.suptitle(title or None)
        _fit_titles(canvas, axes, columns)
    described = alt or ", ".join(str(t).replace("\n", " ") for t in titles) or "pictures"
    return Figure(canvas, f"{title}: {described}" if title else described)
