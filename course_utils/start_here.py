"""Lecture 00: what a network answers, and what one of its layers computes on the way."""

import base64
import html
import io
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch
from PIL import Image
from torch import Tensor, nn

from course_utils import images, layers, models
from course_utils.common import gate, lectures, paths


def capture_layer(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The output of one layer for images `x`, taken by a forward hook.

    The hook is removed whatever happens, so the network is left as it was.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `layers.find` accepts it, e.g. "fire2" or a dotted path of
            `model.named_modules()`.

    Returns:
        What the layer gave, without gradient: usually (N,K,h,w). The last output where the
        forward pass runs the layer several times.

    Raises:
        ValueError: no such layer (near spellings are suggested), one that the forward pass does
            not run, or one whose output is not a tensor.
    """
    kept = []
    # The network goes on with its own tensor, and may write into it: keep a copy.
    keep = lambda module, args, output: kept.append(_copy(output, layer))  # noqa: E731
    handle = layers.find(model, layer).register_forward_hook(keep)
    try:
        with torch.no_grad():
            gate.run(model, x)
    finally:
        handle.remove()
    if not kept:
        raise ValueError(f"layer={layer!r}: the forward pass does not run this layer")
    return kept[-1]


def _copy(output: object, layer: str) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(f"layer={layer!r}: its output is a {type(output).__name__}, not a tensor")
    return output.detach().clone()


def top_classes(
    model: nn.Module, x: Tensor, names: Sequence[str], k: int = 5
) -> list[list[tuple[str, float]]]:
    """The k most probable classes of each image, the most probable first.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        names: the name of each class, in the order of the logits.
        k: how many classes, 1 to all of them.

    Returns:
        For each image a list of k pairs (name, probability), probability = softmax of the logits.

    Raises:
        ValueError: a network without classifier, another number of names than of logits, or k
            outside its range.
    """
    with torch.no_grad():
        logits = gate.logits(model, x)
    if len(names) != logits.shape[1]:
        raise ValueError(f"names: {len(names)} came for {logits.shape[1]} logits")
    if not 1 <= k <= len(names):
        raise ValueError(f"k={k}; accepted: 1 to {len(names)}")
    best = logits.softmax(dim=1).topk(k, dim=1)
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [[(names[c], p) for c, p in zip(*row, strict=True)] for row in rows]


def readiness() -> list[tuple[str, str, str]]:
    """What the course needs, what this machine has, and whether that will do.

    Returns:
        Rows (what, found, "yes" or what to do).
    """
    return [
        ("Python", platform.python_version(), _yes(sys.version_info >= (3, 11), "3.11 is needed")),
        *map(_package, ("torch", "torchvision", "ipywidgets")),
        ("memory free", *_memory()),
        ("photographs", f"{len(images.photos())}", "yes"),
        *(_network(name) for name in models.OFFLINE),
        ("runs on", *_device()),
    ]


def _yes(good: bool, otherwise: str) -> str:
    return "yes" if good else otherwise


def _package(name: str) -> tuple[str, str, str]:
    try:
        return name, version(name), "yes"
    except PackageNotFoundError:
        return name, "missing", "run `python course.py lab` once"


def _memory() -> tuple[str, str]:
    free = psutil.virtual_memory().available / 2**30
    return f"{free:.1f} GiB", _yes(free > 1.5, "close other programs: 1.5 GiB are needed")


def _device() -> tuple[str, str]:
    """The device, and whether a convolution on it gives what it must: a driver may be too old."""
    device = models.default_device()
    try:
        ones = torch.ones(1, 1, 3, 3, device=device)
        answer = nn.functional.conv2d(ones, ones).item()
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        return str(device), f"set COURSE_DEVICE=cpu: it does not compute ({why})"
    return str(device), _yes(answer == 9, f"set COURSE_DEVICE=cpu: 9 ones gave {answer:g}")


def _network(name: str) -> tuple[str, str, str]:
    try:
        weights = sum(p.numel() for p in models.load(name).parameters())
        return name, f"{weights / 1e6:.1f} million weights", "yes"
    except OSError as error:
        return name, "damaged or missing", str(error)


class Listing:
    """Rows with links as HTML, and as text for those who see no HTML.

    Attributes:
        html, text: the two.
    """

    def __init__(self, html: str, text: str) -> None:
        self.html, self.text = html, text

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def course_map() -> Listing:
    """All lectures: a picture of each, its question, what comes before it, and the minutes."""
    every, covers = lectures.every(), _covers()
    left = ' style="text-align:left"'
    head = "".join(f"<th{left}>{name}</th>" for name in ("", "lecture", "after", "minutes"))
    rows = "".join(_row(lecture, covers.get(lecture.name)) for lecture in every)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return Listing(table, "\n".join(f"{e.number} {e.title}: {e.question}" for e in every))


def _row(lecture: lectures.Lecture, cover: str | None) -> str:
    left, link = ' style="text-align:left"', '<a href="{0}.ipynb">{1}</a>'
    number, said = lecture.number, html.escape(lecture.question)
    title = link.format(lecture.name, f"{number} {html.escape(lecture.title)}")
    cells = f"<td>{cover or ''}</td><td{left}><b>{title}</b><br>{said}</td>"
    return f"<tr>{cells}<td{left}>{', '.join(lecture.needs)}</td><td>{lecture.minutes}</td></tr>"


def _covers() -> dict[str, str]:
    """Lecture -> its picture as an HTML element, for the lectures that have one."""
    folder = paths.root() / "docs" / "pictures" / "lectures"
    said = json.loads((folder / "covers.json").read_text(encoding="utf-8"))
    files = {name: folder / f"{name}.webp" for name in said}
    there = {name: file for name, file in files.items() if file.is_file()}
    return {name: _thumbnail(file, said[name]["alt"]) for name, file in there.items()}


def _thumbnail(file: object, alt: str, width: int = 176) -> str:
    """A picture file as an HTML element of its own, shrunk to a width in pixels."""
    with Image.open(file) as picture, io.BytesIO() as small:
        size = (width, round(width * picture.height / picture.width))
        picture.convert("RGB").resize(size).save(small, format="webp", quality=80)
        data = base64.b64encode(small.getvalue()).decode()
    style = f"width:{width * 3 // 4}px;max-width:none"
    return f'<img alt="{html.escape(alt)}" style="{style}" src="data:image/webp;base64,{data}">'


def glossary() -> Listing:
    """All key terms in both languages, in the order of the lectures, folded until it is opened."""
    terms = lectures.glossary()
    left, names = ' style="text-align:left"', ("English", "中文", "meaning", "lecture")
    head = "".join(f"<th{left}>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><td{left}>{html.escape(t.english)}</td>"
        f'<td{left} lang="zh">{html.escape(t.chinese)}</td>'
        f"<td{left}>{html.escape(t.meaning)}</td>"
        f'<td><a href="{t.lecture}.ipynb">{t.lecture[:2]}</a></td></tr>'
        for t in terms
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    told = f"<details><summary>The {len(terms)} key terms of the course</summary>{table}</details>"
    return Listing(told, "\n".join(f"{t.lecture[:2]} {t.english} {t.chinese}" for t in terms))
