"""Which photo, which class, which layer: the questions that most explorers ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets
import torch
import traitlets
from torch import Tensor

from course_utils import images, layers
from course_utils.common import errors
from course_utils.models import Network
from course_utils.widgets.kit import controls

MAX_SIDE = 1024
"""Own photos are shrunk to this many pixels: a telephone's 12 million would cost a second each."""

_READ = {"JPEG": "jpeg", "PNG": "png", "WebP": "webp", "GIF": "gif", "TIFF": "tiff", "BMP": "bmp"}


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo to look at; equal only to itself, so that results can be remembered by it.

    Attributes:
        name: a course photo's, or the file's.
        pixels: (3,H,W), RGB in 0-1.
    """

    name: str
    pixels: Tensor


def read_upload(name: str, content: bytes) -> Photo:
    """An uploaded file as a photo.

    Raises:
        ValueError: not an image that can be read; says what the file is where that is known.
        MemoryError, RuntimeError: the memory ended; `errors.said` has the words.
    """
    try:
        return Photo(name, images.read(bytes(content), MAX_SIDE))
    except ValueError as error:
        said = str(error).replace(f"source: a file of {len(content)} bytes", "this file", 1)
        raise ValueError(f"{name}: {said}") from None


def refill(
    chooser: ipywidgets.Dropdown, options: list[tuple], value: object, observer: Callable
) -> None:
    """New options for a list, one of them chosen, without telling `observer`.

    New options alone would choose the first, and a network would run for it in vain.
    """
    chooser.unobserve(observer, "value")
    try:
        with chooser.hold_sync():
            chooser.options, chooser.value = options, value
    finally:
        chooser.observe(observer, "value")


class PhotoChooser(ipywidgets.HBox):
    """A list of photos and a button for one's own; `value` is a `Photo`.

    Args:
        photos: names of the course's photos, or pictures; the first one is shown first.

    Attributes:
        message: what is wrong with the file chosen last; empty when all is well.

    Raises:
        ValueError: no photos, or a name that the course does not have.
    """

    value = traitlets.Any()
    message = traitlets.Unicode()

    def __init__(self, photos: Sequence[str | images.Picture]) -> None:
        if not photos or isinstance(photos, str):
            raise ValueError(f"photos: got {photos!r}; accepted: a list of one name or more")
        pictures = [images.photo(p) if isinstance(p, str) else p for p in photos]
        names = {p.name.replace("_", " "): Photo(p.name, p.pixels()) for p in pictures}
        self.list = controls.choice(names, label="photo")
        self.upload = ipywidgets.FileUpload(
            accept=",".join(f"image/{kind}" for kind in _READ.values()),
            description="own photo",
            tooltip=f"a photo of yours ({', '.join(_READ)}); it stays on this computer",
            layout=ipywidgets.Layout(width="auto"),
        )
        super().__init__([self.list, self.upload], value=self.list.value)
        self.list.observe(self._pick, "value")
        self.upload.observe(self._receive, "value")

    def _pick(self, change: dict) -> None:
        self.message = ""
        self.value = change["new"]

    def _receive(self, change: dict) -> None:
        if not change["new"]:
            return
        file = change["new"][0]
        self.upload.value = ()  # so that the same file, chosen once more, is news
        try:
            photo = read_upload(file["name"], file["content"])
        except (ValueError, MemoryError, RuntimeError) as error:
            self.message = str(error) if isinstance(error, ValueError) else errors.said(error)
            return
        options = [(name, one) for name, one in self.list.options if name != photo.name]
        refill(self.list, [*options, (photo.name, photo)], photo, self._pick)
        self.message, self.value = "", photo


class ClassChooser(ipywidgets.HBox):
    """The most probable classes of a photo, and a field to type any other; `value` is its index.

    Args:
        network: a classifier of the zoo.
        photo: the chooser whose photo the network sees; a new photo brings its own classes.
        k: how many classes are offered.

    Attributes:
        message: what is wrong with the name typed last; empty when all is well.
        probability: of the chosen class, for the present photo.
    """

    value = traitlets.Int()
    message = traitlets.Unicode()

    def __init__(self, network: Network, photo: PhotoChooser, k: int = 5) -> None:
        network.index(0)  # a network without classifier says so here
        self.network, self.photo, self.k, self.typed = network, photo, k, []
        self.list = controls.choice([("-", 0)], label="class")
        self.field = ipywidgets.Combobox(
            options=sorted(set(network.labels)),
            placeholder="or type a class",
            continuous_update=False,
            layout=ipywidgets.Layout(width="12rem"),
        )
        super().__init__([self.list, self.field])
        self.list.observe(self._pick, "value")
        self.look()
        self.field.observe(self._type, "value")
        photo.observe(self.look, "value")

    @property
    def probability(self) -> float:
        """Of the chosen class, 0-1, for the present photo."""
        return self.probabilities[self.value].item()

    def look(self, change: dict | None = None) -> None:
        """One forward pass for the present photo; offers and picks its most probable classes."""
        logits = self.network(self.network.preprocess(self.photo.value.pixels))[0]
        self.probabilities = logits.softmax(0).cpu()
        best = self.probabilities.topk(self.k).indices.tolist()
        self._offer([*best, *(i for i in self.typed if i not in best)], best[0])

    def _offer(self, indices: list[int], chosen: int) -> None:
        labels, p = self.network.labels, self.probabilities
        options = [(f"{labels[i]} ({p[i]:.2f})", i) for i in indices]
        refill(self.list, options, chosen, self._pick)
        self.value = chosen

    def _pick(self, change: dict) -> None:
        self.message = ""
        self.value = change["new"]

    def _type(self, change: dict) -> None:
        text = change["new"].strip()
        if not text:
            return
        try:
            index = self.network.index(int(text) if text.isdigit() else text)
        except ValueError as error:
            self.message = str(error).split(" Accepted:")[0]  # 1000 names; the field lists them
            return
        self.message, self.field.value = "", ""
        offered = [i for _, i in self.list.options]
        if index not in offered:
            self.typed.append(index)
            offered.append(index)
        self._offer(offered, index)


def mapped_layers(network: Network) -> dict[str, int]:
    """The layers whose output has rows and columns: layer -> channels, in the order they run."""
    zeros = torch.zeros(1, 3, network.crop, network.crop, device=network.device)
    with torch.no_grad(), layers.capture(network, *layers.names(network)) as seen:
        network(zeros)
    return {n: maps.shape[1] for n, maps in seen.items() if maps.ndim == 4 and maps.shape[-1] > 1}
