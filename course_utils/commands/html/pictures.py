"""The pictures of outputs as files of their own, and the credits that belong beside them."""

import base64
import hashlib
import html
import io
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image, ImageSequence

from course_utils import images
from course_utils.common import paths

_SOURCE = re.compile(r'<img\b([^>]*?)\ssrc="data:image/(png|jpeg|webp);base64,([^"]+)"([^>]*)>')
_SHARE_ALIKE = re.compile(r"CC-BY-SA|GPL|GFDL")
_BROAD = 2.2  # strips wider than this scroll on a telephone, where they would be too small
QUALITY, _FEW = 75, 4096  # a drawing has fewer colours than this, a photo more
FILM = {"quality": 60, "method": 6}  # what moves hides more, and two films were a third of a page
_HOW = repr((QUALITY, _FEW, FILM)).encode()  # other settings, other files, also in an old folder


class Store:
    """A folder of pictures, each named by its content and how it is packed; what is there stays.

    Args:
        folder: where they are written.
        link: what leads from a page to the folder, e.g. "pictures/".
    """

    def __init__(self, folder: Path, link: str) -> None:
        self.folder, self.link = folder, link
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> tuple[str, int, int]:
        """Stores a picture file; its link, width and height in pixels."""
        named = hashlib.sha256(content + _HOW).hexdigest()[:16]
        target = self.folder / f"{named}.webp"
        if not target.is_file():
            target.write_bytes(smaller(content))
        with Image.open(target) as picture:
            return self.link + target.name, *picture.size


def smaller(content: bytes) -> bytes:
    """A picture as WebP: drawings without loss, photos and films with a little.

    One that is WebP already and does not move stays as it is.

    Args:
        content: a PNG, JPEG or WebP file.
    """
    with Image.open(io.BytesIO(content)) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            return _film(picture)
        if picture.format == "WEBP":
            return content
        image = picture.convert("RGB") if picture.mode != "RGBA" else picture.copy()
    curves = image.getcolors(_FEW) is not None
    return _packed(image, **({"lossless": True} if curves else {"quality": QUALITY}))


def _film(picture: Image.Image) -> bytes:
    frames, milliseconds = [], []
    for frame in ImageSequence.Iterator(picture):
        frames.append(frame.convert("RGB"))
        milliseconds.append(picture.info["duration"])
    more = {"save_all": True, "append_images": frames[1:], "loop": picture.info.get("loop", 0)}
    return _packed(frames[0], duration=milliseconds, **more, **FILM)


def _packed(image: Image.Image, **how: object) -> bytes:
    with io.BytesIO() as file:
        image.save(file, format="webp", **how)
        return file.getvalue()


def outsourced(text: str, store: Store) -> str:
    """HTML whose embedded pictures have become files of the store, with their size beside them."""

    def linked(found: re.Match) -> str:
        before, _, data, after = found.groups()
        link, width, height = store.put(base64.b64decode(data))
        size = f'width="{width}" height="{height}" loading="lazy"'
        size += ' class="broad"' if width > _BROAD * height else ""
        return f'<img{before} src="{link}" {size}{after}>'

    return _SOURCE.sub(linked, text)


def credit(reads: Iterable[str]) -> str:
    """A line of HTML for the share-alike pictures among some, or nothing if there are none.

    Args:
        reads: paths below `data/`, e.g. "photos/panda.jpg".
    """
    known = _by_path()
    shared = [known[read] for read in reads if read in known]
    shared = [picture for picture in shared if _SHARE_ALIKE.search(picture.license)]
    if not shared:
        return ""
    lines = [f"{picture.name.replace('_', ' ')}: {picture.credit}" for picture in shared]
    said = "; ".join(map(html.escape, lines))
    if len(lines) > 3:
        said = f"<details><summary>{len(lines)} share-alike pictures</summary>{said}</details>"
        return f'<div class="credit">{said}</div>'
    return f'<p class="credit">Share-alike: {said}</p>'


@cache
def _by_path() -> dict[str, images.Picture]:
    """The course's pictures by their paths below `data/`."""
    data = paths.data().resolve()
    every = [*images.photos(), *images.paintings(), *images.cutouts()]
    return {picture.path.resolve().relative_to(data).as_posix(): picture for picture in every}
