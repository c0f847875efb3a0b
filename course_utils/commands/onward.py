"""What `course build` adds from all lectures together: the way on, the glossary, what to teach."""

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


def pages(cells: Mapping[str, Sequence]) -> dict[str, str]:
    """The pages made of all lectures, by name below the root; none for lectures of another course.

    Args:
        cells: lecture -> its cells, as `build.read` returns them.
    """
    if START not in cells:
        return {}
    prose = {name: [c.source for c in each if c.kind == "markdown"] for name, each in cells.items()}
    made = {GLOSSARY: glossary(prose), TEACHING: teaching(cells)}
    return {name: text for name, text in made.items() if text}


def first_text(source: str) -> str:
    """The first Markdown cell of a lecture's source, e.g. to find its title."""
    found = re.search(r"^# %% \[markdown\].*\n((?:#.*\n?)*)", source, re.MULTILINE)
    return re.sub(r"^# ?", "", found[1], flags=re.MULTILINE) if found else ""


def first_texts(sources: Sequence[Path]) -> dict[str, str]:
    """Lecture -> the text of its first cell."""
    return {path.stem: first_text(path.read_text(encoding="utf-8")) for path in sources}


TEACHING = "docs/teaching.md"
_TEACHING = """\
# Lecture by lecture: ask, move, expect, set

What a lecturer needs of each lecture on one screen: the questions to put to the room before the
next cell answers them, what to move, the mistakes that students are known to make, and what to set.
Written by `course build` from the lectures and from the sentences of the checks (the first three of
each exercise; all are in `course_utils/exercises/`): change them there. When to do what:
[instructor.md](instructor.md).
"""
_SHOWN = 3  # mistakes of an exercise


def teaching(cells: Mapping[str, Sequence]) -> str:
    """The page for lecturers: of each lecture its questions, explorers, mistakes and exercises.

    Args:
        cells: lecture -> its cells, as `build.read` returns them.
    """
    return _TEACHING + "".join(_taught(name, each) for name, each in cells.items())


def _taught(name: str, cells: Sequence) -> str:
    about = lectures.about(name, cells[0].source)
    after = f", after {', '.join(about.needs)}" if about.needs else ""
    parts = [
        f"\n## {about.number} {about.title}\n\n*{about.question}* {about.minutes} minutes{after}.",
        _listed("Ask", questions(cells)),
        _listed("Move", explorers(cells)),
        _listed("Expect", [line for e in _exercises(cells) for line in mistakes(e)]),
        _listed("Set", [set_text(cells, e) for e in _exercises(cells)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"**{title}**\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _exercises(cells: Sequence) -> list[str]:
    return [cell.exercise for cell in cells if cell.exercise]


def _line(text: str) -> str:
    """A paragraph in one line."""
    return " ".join(text.split())


def questions(cells: Sequence) -> list[str]:
    """The paragraphs of a lecture that begin with **Question**."""
    found = [
        re.findall(r"\*\*Question\.\*\*\s+(.+?)(?=\n\s*\n|\n<|\Z)", cell.source, re.DOTALL)
        for cell in cells
        if cell.kind == "markdown"
    ]
    return [_line(text) for texts in found for text in texts]


def explorers(cells: Sequence) -> list[str]:
    """The explorers of a lecture, each with the paragraph before it."""
    found = []
    for before, cell in zip(cells, cells[1:], strict=False):
        called = re.findall(r"^widgets\.(\w+)\(", cell.source, re.MULTILINE)
        if cell.kind == "code" and called:
            last = before.source.split("\n\n")[-1] if before.kind == "markdown" else ""
            found += [f"`{name}`" + (f": {_line(last)}" if last else "") for name in called]
    return found


def mistakes(exercise: str) -> list[str]:
    """The first known mistakes of an exercise, in the words of its check."""
    from course_utils import exercises

    said = [mistake.sentence for mistake in exercises.get(exercise).mistakes[:_SHOWN]]
    return [f"`{exercise}`: {_line(sentence)}" for sentence in said]


def set_text(cells: Sequence, exercise: str) -> str:
    """What an exercise is and costs: its title, points, and how hard and long it is."""
    from course_utils import exercises

    known = exercises.get(exercise)
    number = [cell.exercise for cell in cells].index(exercise)
    before = [c.source for c in cells[:number] if c.kind == "markdown"]
    hard = re.findall(r"\*\*Exercise \d+ \(([^)]+)\)", "\n".join(before))[-1:]
    points = f"{known.points} point{'s' * (known.points != 1)}"
    return f"`{exercise}`: {known.title} ({', '.join([*hard, points])})"
