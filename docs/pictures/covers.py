"""Draws the lectures' pictures, for the map, the site and README.

    python docs/pictures/covers.py [LECTURE]...

Each is cut out of a figure of an executed lecture, as `lectures/covers.json` says: `figure` is how
the figure's text alternative begins (of lecture `from`, where it is another's), `crop` the shares
of its width and height to be kept: left, top, right, bottom. They stand in README: so only what is
in the public domain or under CC0. Lectures that have changed since they were run are run first.
"""

import base64
import html
import io
import json
import re
import sys
from pathlib import Path

from PIL import Image, ImageOps

from course_utils.commands.html import executing
from course_utils.common import lectures

FOLDER = Path(__file__).resolve().parent / "lectures"
SIZE = (480, 270)
_IMAGE = re.compile(r'<img alt="([^"]*)"[^>]*src="data:image/\w+;base64,([^"]+)"')


def figures(notebook: dict) -> list[tuple[str, bytes]]:
    """The figures of an executed notebook: text alternative and file."""
    shown = [
        output.get("data", {}).get("text/html", "")
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]
    return [
        (html.unescape(alt), base64.b64decode(data))
        for s in shown
        for alt, data in _IMAGE.findall(s)
    ]


def cover(notebook: dict, recipe: dict) -> Image.Image:
    """The picture of one lecture.

    Raises:
        LookupError: no figure's text alternative begins as the recipe says.
    """
    for alt, content in figures(notebook):
        if alt.startswith(recipe["figure"]):
            whole = Image.open(io.BytesIO(content)).convert("RGB")
            left, top, right, bottom = recipe["crop"]
            size = whole.width, whole.height
            box = [round(s * n) for s, n in zip((left, top, right, bottom), size * 2, strict=True)]
            return filled(whole.crop(box))
    raise LookupError(f"no figure begins with {recipe['figure']!r}")


def filled(part: Image.Image) -> Image.Image:
    """A picture in the size of all: cut where little is lost, on white where it is a strip."""
    if 0.7 < part.width / part.height / (SIZE[0] / SIZE[1]) < 1.3:
        return ImageOps.fit(part, SIZE, Image.Resampling.LANCZOS)
    return ImageOps.pad(part, SIZE, Image.Resampling.LANCZOS, "white")


def main(names: list[str]) -> None:
    recipes = json.loads((FOLDER / "covers.json").read_text(encoding="utf-8"))
    for name in map(lectures.find, names) if names else recipes:
        recipe = recipes[name]
        picture = cover(executing.executed(recipe.get("from", name)), recipe)
        picture.save(FOLDER / f"{name}.webp", quality=84, method=6)
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
