"""All pages of a site: lectures, index, glossary, and what the search looks through."""

import html
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path

import jinja2
from bs4 import BeautifulSoup
from PIL import Image

from course_utils.commands.html import executing, pages, pictures
from course_utils.common import lectures, paths, writing

STATIC, PICTURES, SLIDES = "static", "pictures", "slides"
_COVERS = ("docs", "pictures", "lectures")
_HEADINGS = ("h1", "h2", "h3")


class MissingError(RuntimeError):
    """A package that the pages need is not installed; the message says how to get it."""


def export(
    out: Path,
    names: Sequence[str] = (),
    decks: bool = False,
    fresh: bool = False,
    say: Callable[[str], object] = print,
) -> list[str]:
    """Write lectures as pages, and the index, glossary and search for all pages that are there.

    Args:
        out: the folder; pages of other lectures in it stay, and are listed.
        names: lectures, e.g. "06_saliency"; all by default.
        decks: slides too, below `slides/`.
        fresh: run every notebook, also those that are kept.
        say: is told what is being done.

    Returns:
        What went wrong: a line for each lecture that did not run to its end. It gets no new page.

    Raises:
        MissingError: see there; nothing is written then.
    """
    every = lectures.every()
    chosen = list(names) or [lecture.name for lecture in every]
    out.mkdir(parents=True, exist_ok=True)
    _put_static(out, decks)
    wrong = []
    for name in chosen:
        say(f"{name}: {'as kept' if executing.is_kept(name) and not fresh else 'running'}")
        try:
            executing.executed(name, fresh)
        except executing.LectureError as error:
            wrong.append(str(error))
            chosen = [other for other in chosen if other != name]
    here = [e for e in every if e.name in chosen or (out / f"{e.name}.html").is_file()]
    for name in chosen:
        _write_lecture(out, name, here, decks)
    _write_index(out, every, {lecture.name for lecture in here}, decks)
    _write_search(out, here)
    _clean(out)
    return wrong


def _put_static(out: Path, decks: bool) -> None:
    """Styles and scripts, ours and those of installed packages, with their licences."""
    folder = out / STATIC
    shutil.copytree(pages.TEMPLATE / "static", folder, dirs_exist_ok=True)
    mathjax = _package("mathjax") / "static" / "mathjax" / "es5" / "tex-svg.js"
    shutil.copy(mathjax, folder)
    licence = metadata.distribution("django-static-mathjax").read_text("LICENSE") or ""
    writing.replace(folder / "tex-svg.LICENSE", licence)
    if decks:
        reveal = _package("pyreveal") / "revealjs"
        (folder / "reveal").mkdir(exist_ok=True)
        for file in ("dist/reveal.js", "dist/reveal.css", "dist/plugin/notes.js", "LICENSE"):
            shutil.copy(reveal / file, folder / "reveal")


def _package(name: str) -> Path:
    try:
        return Path(import_module(name).__file__).parent
    except ModuleNotFoundError:
        raise MissingError(
            f"the package with {name} is not installed: call `python course.py html`, which sets "
            "it up, or install the course with its extra [site]"
        ) from None


def _write_lecture(out: Path, name: str, here: Sequence[lectures.Lecture], decks: bool) -> None:
    number = [lecture.name for lecture in here].index(name)
    resources = {
        "lecture": here[number],
        "here": {lecture.name for lecture in here},
        "before": here[number - 1] if number else None,
        "after": here[number + 1] if number + 1 < len(here) else None,
    }
    notebook = executing.executed(name)
    maths = any(c.cell_type == "markdown" and "$" in c.source for c in notebook.cells)
    store = pictures.Store(out / PICTURES, f"{PICTURES}/")
    site = {"up": "", "maths": maths}
    text = pages.page(notebook, {**resources, "site": site}, store)
    writing.replace(out / f"{name}.html", text)
    if decks:
        store, site = pictures.Store(out / PICTURES, f"../{PICTURES}/"), {**site, "up": "../"}
        text = pages.slides(executing.executed(name), {**resources, "site": site}, store)
        writing.replace(out / SLIDES / f"{name}.html", text)


def _write_index(out: Path, every: Sequence[lectures.Lecture], here: set[str], decks: bool) -> None:
    loader = jinja2.FileSystemLoader(pages.TEMPLATE)
    environment = jinja2.Environment(loader=loader)
    environment.filters["inline"] = _inline
    cards = [
        {
            **asdict(lecture),
            "number": lecture.number,
            "here": lecture.name in here,
            "cover": _cover(out, lecture.name),
        }
        for lecture in every
    ]
    terms = lectures.glossary()
    site = {"up": "", "maths": False}
    given = {"site": site, "lectures": cards, "minutes": sum(e.minutes for e in every)}
    index = environment.get_template("index.html.j2").render(given | {"decks": decks})
    site["maths"] = any("$" in term.english + term.meaning for term in terms)
    glossary = environment.get_template("glossary.html.j2").render(
        site=site, terms=terms, here=here
    )
    writing.replace(out / "index.html", index)
    writing.replace(out / "glossary.html", glossary)


def _inline(text: str) -> str:
    """A term or meaning as HTML: code in backquotes, emphasis in asterisks; formulas stay."""
    text = html.escape(text.replace("\\|", "|"), quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*([^*$]+)\*", r"<em>\1</em>", text)


def _cover(out: Path, name: str) -> dict | None:
    """The lecture's picture on the index: the chosen one, else the first large one of its page."""
    chosen = paths.root().joinpath(*_COVERS, f"{name}.webp")
    page = out / f"{name}.html"
    if chosen.is_file():
        target = out / PICTURES / chosen.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(chosen, target)
        said = json.loads((chosen.parent / "covers.json").read_text(encoding="utf-8"))
        with Image.open(chosen) as picture:
            width, height = picture.size
        file = f"{PICTURES}/{chosen.name}"
        return {"file": file, "alt": said[name]["alt"], "width": width, "height": height}
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser") if page.is_file() else ""
    for image in soup.select("main img[width]") if soup else ():
        if int(image["width"]) > 300:
            given = {key: image[key] for key in ("alt", "width", "height")}
            return {"file": image["src"], **given}
    return None


def _write_search(out: Path, here: Sequence[lectures.Lecture]) -> None:
    """What the search looks through: the text of every section, as a script.

    A script, since a page that is opened from a file may load scripts but not fetch other files.
    """
    entries = []
    for lecture in here:
        text = (out / f"{lecture.name}.html").read_text(encoding="utf-8")
        entries += sections(text, f"{lecture.number} {lecture.title}", f"{lecture.name}.html")
    written = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    writing.replace(out / STATIC / "search.js", f"window.COURSE_TEXTS = {written};\n")


def sections(text: str, lecture: str, file: str) -> list[dict[str, str]]:
    """The sections of a page, for the search.

    Args:
        text: HTML.
        lecture: its number and title.
        file: the page's name.

    Returns:
        For each heading its `lecture`, `heading`, `place` (a link) and the `text` below it.
    """
    soup = BeautifulSoup(text, "html.parser").main
    for part in soup.select("script, .neighbours, .anchor-link, .source, .credit, .printed"):
        part.decompose()
    found = []
    for block in soup.select("h1, h2, h3, p, li, td, th, summary"):
        said = " ".join(block.get_text(" ").split())
        if block.name in _HEADINGS:
            place = f"{file}#{block['id']}" if block.get("id") else file
            found.append({"lecture": lecture, "heading": said, "place": place, "text": ""})
        elif found and not block.find(["p", "li"]):
            found[-1]["text"] += f"{said} "
    return found


def _clean(out: Path) -> None:
    """Remove pictures that no page shows any more."""
    pages_there = [*out.glob("*.html"), *(out / SLIDES).glob("*.html")]
    shown = "".join(file.read_text(encoding="utf-8") for file in pages_there)
    named = set(re.findall(r"[0-9a-f]{16}\.webp", shown))
    for file in (out / PICTURES).glob("*.webp"):
        if re.fullmatch(r"[0-9a-f]{16}\.webp", file.name) and file.name not in named:
            file.unlink()
