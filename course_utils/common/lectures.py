"""The lectures: what `06`, `saliency` or `06_saliency` stands for, and what each says of itself."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from course_utils.common import errors, paths


def names(folder: Path | None = None) -> list[str]:
    """The lectures in order, e.g. `["00_start_here", "06_saliency"]`.

    Args:
        folder: where their notebooks are; the course's `notebooks/` by default.
    """
    folder = paths.root() / "notebooks" if folder is None else folder
    return sorted(notebook.stem for notebook in folder.glob("[0-9][0-9]_*.ipynb"))


def find(lecture: str, folder: Path | None = None) -> str:
    """The lecture meant by a number, a title or both.

    Args:
        lecture: e.g. "6", "06", "saliency", "06_saliency" or "06_saliency.ipynb".
        folder: as for `names`.

    Returns:
        The full name, e.g. "06_saliency".

    Raises:
        ValueError: if there is no such lecture; suggests near spellings.
    """
    known = names(folder)
    wanted = lecture.strip().lower().removesuffix(".ipynb").replace("-", "_")
    wanted = wanted.zfill(2) if wanted.isdigit() else wanted
    for name in known:
        if wanted in (name, name[:2], name[3:]):
            return name
    raise ValueError(errors.unknown("lecture", lecture, known, "lectures"))


@dataclass(frozen=True)
class Lecture:
    """What the first cell of a lecture says of it.

    Attributes:
        name: e.g. "06_saliency".
        title: without the number, e.g. "Saliency by backpropagation".
        question: the question that it begins with.
        minutes: it takes, exercises included.
        needs: numbers of the lectures that come before it, e.g. ("00", "06").
    """

    name: str
    title: str
    question: str
    minutes: int
    needs: tuple[str, ...]

    @property
    def number(self) -> str:
        """The two digits."""
        return self.name[:2]


@dataclass(frozen=True)
class Term:
    """A line of a lecture's table of key terms: the term in both languages, its meaning, where."""

    english: str
    chinese: str
    meaning: str
    lecture: str


def about(name: str, text: str) -> Lecture:
    """A lecture from the text of its first cell.

    Args:
        name: e.g. "06_saliency".
        text: begins with `# 06 Title`; the question stands in bold, and a sentence says `About 75
            minutes ... You need lectures 00 and 06`. A range, `05 to 08`, means all between.

    Raises:
        ValueError: one of these is missing; names the lecture.
    """
    title = re.match(rf"# {name[:2]} (.+)", text)
    question = re.search(r"^\*\*(.+?)\*\*$", text, re.MULTILINE | re.DOTALL)
    minutes = re.search(r"About (\d+)\s+minutes", text)
    if not (title and question and minutes):
        raise ValueError(
            f"{name}: its first cell lacks `# {name[:2]} Title`, a question or minutes"
        )
    asked = " ".join(question[1].split())
    return Lecture(name, title[1].strip(), asked, int(minutes[1]), _needs(text))


def _needs(text: str) -> tuple[str, ...]:
    """Lecture numbers in the sentence `You need ...`; what comes after a semicolon is extra."""
    sentence = re.search(r"You need\s[^.;]*", text)
    said = sentence[0] if sentence else ""
    for low, high in re.findall(r"(\d\d) to (\d\d)", said):
        said += " ".join(f" {n:02d}" for n in range(int(low), int(high)))
    return tuple(sorted(set(re.findall(r"\b\d\d\b", said))))


def terms(name: str, cells: Iterable[str]) -> list[Term]:
    """The key terms of a lecture, in its order.

    Args:
        name: e.g. "06_saliency".
        cells: the texts of its Markdown cells. Rows stand below `## Key terms`, in a table of three
            columns: English, Chinese, meaning.
    """
    found = []
    for text in cells:
        part = re.split(r"^## Key terms$", text, flags=re.MULTILINE)[1:]
        table = re.split(r"^#", part[0], flags=re.MULTILINE)[0] if part else ""
        # A bar inside a formula or a code span is written \\|.
        for row in re.findall(r"^\|(.+)\|$", table, re.MULTILINE)[2:]:
            columns = [column.strip() for column in re.split(r"(?<!\\)\|", row)]
            found.append(Term(*columns, name))
    return found


def every(folder: Path | None = None) -> list[Lecture]:
    """What each lecture says of itself, in order. Argument: as for `names`."""
    return [about(name, _texts(name, folder)[0]) for name in names(folder)]


def glossary(folder: Path | None = None) -> list[Term]:
    """The key terms of all lectures, by lecture. Argument: as for `names`."""
    return [term for name in names(folder) for term in terms(name, _texts(name, folder))]


def _texts(name: str, folder: Path | None) -> list[str]:
    """The texts of a notebook's Markdown cells."""
    folder = paths.root() / "notebooks" if folder is None else folder
    notebook = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]
