"""Draws docs/pictures/architecture.svg from the imports: `python docs/pictures/architecture.py`.

The boxes come from course_utils/ and what its docstring says of each room, their heights from the
imports, the order of the lectures from lectures/, the coloured steps from docs/architecture.md.
"""

import ast
import re
import textwrap
from collections import defaultdict
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "architecture.md"
TARGET = ROOT / "docs" / "pictures" / "architecture.svg"

TECHNIQUES, SHARED = "techniques", "common"
COLUMNS = {  # of the boxes that stand beside others: left edge, width
    "commands": (20, 780),
    "bench": (20, 180),
    "exercises": (220, 180),
    "widgets": (420, 180),
    "grading": (620, 180),
    TECHNIQUES: (20, 540),
    "checking": (620, 180),
    "layers": (20, 180),
    "models": (220, 340),
    "show": (580, 220),
    "images": (220, 580),
    SHARED: (840, 140),
}
STORIES = {"photo": "a figure", "answer": "a verdict", "source": "two notebooks"}
COLOURS = {"photo": "#0072b2", "answer": "#b8470b", "source": "#00785a"}  # told apart by all
WIDTH, TOP, GAP = 1000, 96, 50
BOX, TALL = 76, 210  # heights: a room's, the techniques'


def lectures() -> list[str]:
    """The lectures in the syllabus' order."""
    return [path.stem[3:] for path in sorted((ROOT / "lectures").glob("[0-9]*.py"))]


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted((ROOT / "course_utils").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def rooms() -> list[str]:
    """What stands directly in course_utils/."""
    return sorted({name.split(".")[1] for name in modules() if "." in name})


def imports() -> dict[str, set[str]]:
    """What each room imports of the others; imports inside functions count too."""
    known = modules()
    found: dict[str, set[str]] = {room: set() for room in rooms()}
    for name, path in known.items():
        room = name.partition(".")[2].partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for target in named(node) if room else ():
                if target.startswith("course_utils."):
                    found[room] |= {target.split(".")[1]} - {room}
    return found


def named(node: ast.AST) -> list[str]:
    """The modules, and names in them, that an import names; the house uses no relative ones."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def arrows() -> dict[str, set[str]]:
    """Imports between boxes: the lectures are one, and a short way beside a longer one is left out.

    What all rooms share is no end of an arrow: it stands beside them.
    """
    box = {room: TECHNIQUES if room in lectures() else room for room in rooms()}
    direct = defaultdict(set)
    for room, others in imports().items():
        direct[box[room]] |= {box[other] for other in others} - {box[room], SHARED}
    direct.pop(SHARED)

    def reached(start: str) -> set[str]:
        return direct[start].union(*map(reached, sorted(direct[start])))

    return {
        start: {end for end in ends if not any(end in reached(way) for way in ends - {end})}
        for start, ends in sorted(direct.items())
    }


def levels(ends: dict[str, set[str]]) -> dict[str, int]:
    """How high each box stands: right below the lowest that imports it, the others on their own."""

    def high(name: str) -> int:
        above = [start for start in ends if name in ends[start]]
        return min(map(high, above)) - 1 if above else longest(name)

    def longest(name: str) -> int:
        return 1 + max(map(longest, ends[name]), default=-1)

    return {name: high(name) for name in ends}


def purposes() -> dict[str, str]:
    """What the docstring of course_utils says of each room."""
    text = ast.get_docstring(ast.parse((ROOT / "course_utils" / "__init__.py").read_text("utf-8")))
    return dict(re.findall(r"(?m)^ +(\w+)(?:/|\.py) +(.+)$", text))


def steps() -> dict[str, list[tuple[str, int]]]:
    """Of each box the steps that the page tells there: story and number."""
    found = defaultdict(list)
    headings = re.split(r"(?m)^## .*\b(photo|answer|source)\b.*$", PAGE.read_text("utf-8"))
    for story, text in zip(headings[1::2], headings[2::2], strict=True):
        for number, place in re.findall(r"(?m)^(\d+)\. \*\*`(\w+)", text):
            found[TECHNIQUES if place in lectures() else place].append((story, int(number)))
    return found


# ------------------------------------------------------------------ drawing


def write(x: float, y: float, text: str, size: int = 13, style: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" {style}>{escape(text)}</text>'


def rectangle(x: float, y: float, width: float, height: float, style: str) -> str:
    """A box with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" {style}/>'


def badges(name: str, right: float, y: float) -> list[str]:
    """The numbered steps of the stories, from the right edge of a box to the left."""
    drawn = []
    for place, (story, number) in enumerate(reversed(steps()[name])):
        x = right - 16 - 24 * place
        drawn.append(f'<circle cx="{x:g}" cy="{y:g}" r="10" fill="{COLOURS[story]}"/>')
        middle = 'text-anchor="middle" fill="#ffffff" font-weight="bold"'
        drawn.append(write(x, y + 4, str(number), 12, middle))
    return drawn


def room(name: str, place: tuple[float, float, float, float], says: str) -> list[str]:
    """A room: its name, what it is for, and the steps that happen there."""
    x, y, width, height = place
    lines = textwrap.wrap(says, int(width / 7.2))
    return [
        rectangle(*place, 'fill="#ffffff" stroke="#444444"'),
        write(x + 12, y + 21, name, 15, 'font-weight="bold"'),
        *(write(x + 12, y + 39 + 15 * i, line, 12) for i, line in enumerate(lines)),
        *badges(name, x + width, y + 16),
    ]


def techniques(place: tuple[float, float, float, float]) -> list[str]:
    """The lectures, each with the predecessors whose modules its own imports."""
    x, y, width, height = place
    names, known = lectures(), imports()
    drawn = [
        rectangle(*place, 'fill="#f2f2f2" stroke="#444444"'),
        write(x + 12, y + 21, "a technique a lecture", 15, 'font-weight="bold"'),
        *badges(TECHNIQUES, x + width, y + 16),
    ]
    columns = 5
    wide = (width - 24) / columns
    for i, name in enumerate(names):
        left, top = x + 12 + wide * (i % columns), y + 34 + 43 * (i // columns)
        on = " ".join(f"{n:02}" for n, other in enumerate(names) if other in known[name])
        drawn.append(rectangle(left, top, wide - 6, 37, 'fill="#ffffff" stroke="#999999"'))
        drawn.append(write(left + 6, top + 16, f"{i:02} {name}", 12))
        if on:
            drawn.append(write(left + 6, top + 31, f"on {on}", 11, 'fill="#555555"'))
    return drawn


def files(names: list[str], x: float, y: float, width: float) -> list[str]:
    """Folders beside course_utils/: dashed."""
    wide = width / len(names)
    drawn = []
    for i, name in enumerate(names):
        left = x + wide * i
        style = 'fill="#fffbe8" stroke="#888888" stroke-dasharray="4 3"'
        drawn += [
            rectangle(left + 8 * (i > 0), y, wide - 8 * (i > 0), 40, style),
            write(left + 12 + 8 * (i > 0), y + 25, name, 14),
            *badges(name.strip("/"), left + wide, y + 20),
        ]
    return drawn


def arrow(start: tuple, end: tuple) -> str:
    """From the lower edge of one box to the upper edge of another: what imports what."""
    (x1, y1, w1, h1), (x2, y2, w2, _) = start, end
    low, high = max(x1, x2), min(x1 + w1, x2 + w2)
    a = b = (low + high) / 2
    if low >= high:  # not above each other
        a, b = (x1 + w1 - 20, x2 + 20) if x1 < x2 else (x1 + 20, x2 + w2 - 20)
    elif min(w1, w2) == w1:
        a = b = min(max(x1 + w1 / 2, low), high)
    style = 'stroke="#777777" stroke-width="1.6" marker-end="url(#head)"'
    return f'<line x1="{a:g}" y1="{y1 + h1:g}" x2="{b:g}" y2="{y2 - 2:g}" {style}/>'


def places(ends: dict[str, set[str]]) -> dict[str, tuple[float, float, float, float]]:
    """Where each box stands: the more boxes lie below it, the higher."""
    known = levels(ends)
    unplaced = sorted(set(known) - set(COLUMNS))
    if unplaced:
        raise SystemExit(f"give these a column in {Path(__file__).name}: {unplaced}")
    highest = max(known.values())
    found = {}
    y = TOP
    for level in range(highest, min(known.values()) - 1, -1):
        names = [name for name in known if known[name] == level]
        height = {name: TALL if name == TECHNIQUES else BOX for name in names}
        for name in names:
            x, width = COLUMNS[name]
            found[name] = (x, y, width, height[name])
        y += max(height.values()) + GAP
    return found


def common(bottom: float) -> list[str]:
    """What all rooms share, as a pillar beside them."""
    x, width = COLUMNS[SHARED]
    start = f"course_utils.{SHARED}."
    inside = sorted({name.split(".")[2] for name in modules() if name.startswith(start)})
    says = textwrap.wrap(purposes()[SHARED], 20)
    return [
        rectangle(x, TOP, width, bottom - TOP, 'fill="#f2f2f2" stroke="#444444"'),
        write(x + 12, TOP + 21, SHARED, 15, 'font-weight="bold"'),
        *(write(x + 12, TOP + 39 + 15 * i, line, 12) for i, line in enumerate(says)),
        *(write(x + 12, TOP + 100 + 24 * i, name, 13) for i, name in enumerate(sorted(inside))),
    ]


def legend(y: float) -> list[str]:
    """Which colour tells which story."""
    drawn = []
    for i, (story, result) in enumerate(STORIES.items()):
        article = "an" if story[0] in "aeiou" else "a"
        drawn.append(f'<circle cx="{32 + 270 * i}" cy="{y:g}" r="7" fill="{COLOURS[story]}"/>')
        drawn.append(write(46 + 270 * i, y + 4, f"how {article} {story} becomes {result}", 12))
    return drawn


def svg() -> str:
    """The whole picture."""
    ends = arrows()
    at = places(ends)
    says = purposes()
    bottom = max(y + height for _, y, _, height in at.values())
    drawn = [
        *(arrow(at[start], at[end]) for start in ends for end in sorted(ends[start])),
        *files(["lectures/", "notebooks/", "solutions/", "work/"], 20, 24, 780),
        *common(bottom),
        *files(["data/"], 20, bottom + 30, 780),
    ]
    for name, place in at.items():
        drawn += techniques(place) if name == TECHNIQUES else room(name, place, says[name])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 120:g}" '
        f'width="{WIDTH}" height="{bottom + 120:g}" '
        'font-family="Helvetica, Arial, sans-serif" fill="#111111">',
        "<title>What stands in course_utils, and what imports what</title>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#777777"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    )
    return "\n".join([*head, *drawn, *legend(bottom + 100), "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(svg(), encoding="utf-8", newline="\n")
