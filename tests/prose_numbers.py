"""Which numbers in a lecture's text no cell of the notebook prints.

A sentence with a decimal or a percentage is a claim. It is backed where some output of the same
section holds the number, rounded, as a share or as a percentage; or where the code does, for then
it is a parameter. What a lecture quotes from elsewhere stands in `QUOTED`. No proof: of numbers
changed at random it finds about half, since a large table holds something near most of them.
"""

import re

CHECKED = tuple(f"{n:02d}" for n in range(18))
"""Lectures whose texts are held to it. Add a lecture once its text is mended."""

QUOTED: dict[str, tuple[str, ...]] = {
    "00": (
        "1.1",
        "1.2",
        "1.3",
    ),  # SqueezeNet 1.1; millions of its weights, and of ImageNet's photos
    "01": ("2 %",),  # what storing VGG in 8 bits costs: measured on the data page
    "10": ("1.2",),  # millions of SqueezeNet's weights
    "14": ("10 %",),  # Efros and Leung's choice
    **dict.fromkeys(("06", "09"), ("95 %",)),  # the level of an interval
}
"""Names, and facts that are not measured in the notebook, by lecture."""

_NUMBER = r"(?<![\w.,:^_{/-])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)?\.?\d+(?:e[-+]?\d+)?(?![\w/^]|[.,]\d)"
_CLAIM = re.compile(rf"({_NUMBER})( ?%)?")
_NOT_PROSE = (
    r"(?s)```.*?```",
    r"`[^`\n]*`",
    r"(?s)\$\$.*?\$\$",
    r"\$[^$\n]*\$",
    r"(?s)<code>.*?</code>",
    r"(?s)<details>.*?</details>",
    r"\]\([^)]*\)",
    r"(?s)## Papers.*",
    r"(?m)^\d+\. ",
)


RAW = (
    r"\[[^\[\]\n]+, [^\[\]\n]+\]",  # a list of Python's, not of a sentence
    r"\{[^{}\n]+: [^{}\n]+\}",
    r"\b\d+\.\d{7,}",  # more digits than anybody reads
)


def raw(text: str) -> list[str]:
    """Containers and numbers in an output as Python writes them, not as one reads them."""
    return [found for pattern in RAW for found in re.findall(pattern, text)]


def claims(markdown: str) -> list[str]:
    """The decimals and percentages of a Markdown cell, as they are written."""
    for gone in _NOT_PROSE:
        markdown = re.sub(gone, " ", markdown)
    found = ((number, percent or "") for number, percent in _CLAIM.findall(markdown))
    return [number + percent for number, percent in found if "." in number or percent]


def values(text: str) -> list[float]:
    """All numbers in an output or in code."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.replace("−", "-"))
    found = re.findall(r"\d*\.?\d+(?:e[-+]?\d+)?", text)
    return sorted({abs(float(number)) for number in found})


def is_backed(claim: str, known: list[float]) -> bool:
    """Whether one of the numbers, rounded, is the claim; with some room for other processors."""
    number = claim.rstrip(" %").replace(",", "").replace("−", "-")
    digits = len(number.split(".")[1]) if "." in number else 0
    value, unit = abs(float(number)), 10.0**-digits
    scales = (1, 100) if "%" in claim else (1, 0.01)
    return any(abs(scale * one - value) <= 0.6 * unit for scale in scales for one in known)


def sections(cells: list[tuple[str, str, str]]) -> list[int]:
    """For each cell the number of its section: they begin with a heading of the second rank."""
    found, now = [], 0
    for kind, source, _ in cells:
        now += kind == "markdown" and source.startswith("## ")
        found.append(now)
    return found


def unbacked(cells: list[tuple[str, str, str]], quoted: tuple[str, ...] = ()) -> list[str]:
    """Claims that neither an output nor the code of their own section holds.

    In the summary at the end the whole notebook counts: with all its numbers there is one near
    almost any claim, so elsewhere it would be no test.

    Args:
        cells: (kind, source, text of the outputs), kind "markdown" or "code".
        quoted: claims that are not the notebook's own.

    Returns:
        "cell 12: .52", in the order of the text.
    """
    place, missing = sections(cells), []
    summary = {
        s for s, cell in zip(place, cells, strict=True) if cell[1].startswith("## What we saw")
    }
    for number, (kind, source, _) in enumerate(cells):
        if kind == "markdown":
            own = [
                f"{code}\n{out}"
                for s, (other, code, out) in zip(place, cells, strict=True)
                if other == "code" and (s == place[number] or place[number] in summary)
            ]
            known = values("\n".join(own))
            told = [c for c in claims(source) if c not in quoted and not is_backed(c, known)]
            missing += [f"cell {number}: {claim}" for claim in told]
    return missing
