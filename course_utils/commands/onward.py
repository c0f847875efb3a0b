"""What `course build` adds from all lectures together: the way on, and the glossary."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from course_utils.common import lectures

START = "00_start_here"
GLOSSARY = "docs/glossary.md"
_HEAD = """\
# Glossary

The key terms of all lectures by alphabet, each with the lecture that introduces it. Written by
`course build` from the lectures' tables of key terms: change a meaning there.

| English | 中文 | meaning | lecture |
|---|---|---|---|
"""


def way_on(name: str, texts: Mapping[str, str]) -> str | None:
    """The last words of a lecture: where it goes on, and where the map is.

    Args:
        name: e.g. "06_saliency".
        texts: lecture -> the text of its first cell, in order.

    Returns:
        Markdown; None where there is nothing to go to.
    """
    names = list(texts)
    after = names[names.index(name) + 1 :][:1]
    said = []
    if after:
        title = re.match(r"# (.+)", texts[after[0]])
        said.append(f"**Next:** [{title[1] if title else after[0]}]({after[0]}.ipynb)")
    if START in texts:
        said.append(f"[The map of the course]({START}.ipynb#The-map-of-the-course)")
    return " · ".join(said) or None


def glossary(cells: Mapping[str, Sequence[str]]) -> str | None:
    """The page of all key terms; None if there are none.

    Args:
        cells: lecture -> the texts of its Markdown cells.
    """
    terms = [term for name, texts in cells.items() for term in lectures.terms(name, texts)]
    lines = [
        f"| {t.english} | {t.chinese} | {t.meaning} | "
        f"[{t.lecture[:2]}](../notebooks/{t.lecture}.ipynb) |"
        for t in in_order(terms)
    ]
    return _HEAD + "\n".join(lines) + "\n" if lines else None


def in_order(terms: Sequence[lectures.Term]) -> list[lectures.Term]:
    """By alphabet, whatever the case; a term of several lectures in the lectures' order."""
    return sorted(terms, key=lambda term: (term.english.lower().strip("`*$\\"), term.lecture))


def first_text(source: str) -> str:
    """The first Markdown cell of a lecture's source, e.g. to find its title."""
    found = re.search(r"^# %% \[markdown\].*\n((?:#.*\n?)*)", source, re.MULTILINE)
    return re.sub(r"^# ?", "", found[1], flags=re.MULTILINE) if found else ""


def first_texts(sources: Sequence[Path]) -> dict[str, str]:
    """Lecture -> the text of its first cell."""
    return {path.stem: first_text(path.read_text(encoding="utf-8")) for path in sources}
