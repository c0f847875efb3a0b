"""An executed notebook as a page, or as a deck of slides."""

import html
import json
import re
from collections.abc import Collection
from pathlib import Path

from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter, SlidesExporter
from nbformat import NotebookNode

from course_utils.commands import deck, ready
from course_utils.commands.html import pictures
from course_utils.common import positions

TEMPLATE = Path(__file__).resolve().parent / "template"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_PROGRESS = re.compile(r"\d+%\||it/s\]|s/it\]")
# Of the cells of a table, what a telephone must not break, e.g. after the minus of 1.9e-10: numbers
# and Chinese words. What it may break anywhere: words of so many letters, which are addresses.
_WHOLE = re.compile(r"[-+−±]?[\d.,]+(e[-+]?\d+)?( ?[%±×x] ?[\d.,]*)?|[\u4e00-\u9fff]{1,6}")
_LONG = 30
_CANNOT = re.compile(r'<p class="course-cannot">.*?</p>', re.S)
_NOTE = (
    "One control moves at a time here, the others go back to where they start. Every "
    "combination, and photos of your own: in the notebook."
)


def page(notebook: NotebookNode, resources: dict, store: pictures.Store) -> str:
    """A lecture as HTML.

    Args:
        notebook: as `executing.executed` returns it; it is changed.
        resources: for the template: `site`, `lecture`, `before`, `after`; `here`, the names of the
            lectures that have a page: links to others become plain text.
        store: where pictures go.
    """
    return _rendered(HTMLExporter, "course", notebook, resources, store)


def slides(notebook: NotebookNode, resources: dict, store: pictures.Store) -> str:
    """A lecture as slides of reveal.js, cut as for a live talk. Arguments: as for `page`."""
    made = deck.cut(notebook, *ready.told(notebook, resources["lecture"].name))
    for cell in made.cells:
        if cell.source in ("# \u200b", "## \u200b"):  # it has no title: for the ear it has one
            cell.source = f'## <span class="unseen">{resources["lecture"].title}, continued</span>'
    return _rendered(SlidesExporter, "deck", made, resources, store)


def _rendered(
    kind: type, template: str, notebook: NotebookNode, resources: dict, store: pictures.Store
) -> str:
    for cell in notebook.cells:
        _prepare(cell)
    _place(notebook, store)
    exporter = kind(
        template_name=template,
        extra_template_basedirs=[str(TEMPLATE)],
        extra_template_paths=[str(TEMPLATE)],
        anchor_link_text="#",
    )
    text, _ = exporter.from_notebook_node(notebook, resources)
    return _mended(text, resources["here"])


def _prepare(cell: NotebookNode) -> None:
    """What a page leaves out or folds: progress bars, the kernel's own check, hidden sources."""
    if cell.cell_type != "code":
        return
    cell.outputs = [output for output in cell.outputs if not _is_noise(output)]
    if "find_spec" in cell.source:
        cell.metadata["course_folded"] = "Code: is this the course's kernel?"
    elif cell.metadata.get("jupyter", {}).get("source_hidden"):
        cell.metadata["course_folded"] = "Code"


def _is_noise(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return bool(_PROGRESS.search(output.text))
    return _WIDGET in output.get("data", {})


def _place(notebook: NotebookNode, store: pictures.Store) -> None:
    """Pictures into files, positions behind controls, credits below the first figure."""
    unsaid: dict[str, None] = {}
    for number, cell in enumerate(notebook.cells):
        unsaid |= dict.fromkeys(cell.metadata.get("course_reads", ()))
        for place, output in enumerate(cell.get("outputs", ())):
            data = output.get("data", {})
            if positions.MIME in data:
                found, plain = data.pop(positions.MIME), data.get("text/html", "")
                cannot = "".join(_CANNOT.findall(plain))
                data["text/html"] = explorer(found, store, f"{number}-{place}", cannot)
            if "<img" in data.get("text/html", ""):
                shown = pictures.outsourced(data["text/html"], store)
                data["text/html"] = shown + pictures.credit(unsaid)
                unsaid = {}


def explorer(found: dict, store: pictures.Store, name: str, cannot: str = "") -> str:
    """Stored positions of an explorer as HTML: a picture, and a control for each that moves it.

    Args:
        found: as `positions.positions` returns it.
        store: where the frames go.
        name: of the explorer, unlike all others of the page.
        cannot: what it does not show, as HTML.
    """
    import base64

    def stored(frame: dict) -> dict:
        link, width, height = store.put(base64.b64decode(frame["image"]))
        return {**frame, "image": link, "size": (width, height)}

    start = stored(found["start"])
    controls = [
        {**control, "frames": [stored(frame) for frame in control["frames"]]}
        for control in found["controls"]
    ]
    moving = "".join(_control(control, f"{name}-{i}") for i, control in enumerate(controls))
    said, (width, height) = html.escape(start["text"]), start["size"]
    kept = json.dumps({"controls": controls}).replace("<", "\\u003c")
    note = f'<p class="note">{_NOTE if controls else "Its controls work in the notebook."}</p>'
    return (
        f'<div class="explorer"><div class="controls">{moving}</div>'
        f'<div style="width:{start["width"]}px;max-width:100%">'
        f'<div class="titles">{start["titles"]}</div>'
        f'<img alt="{said}" src="{start["image"]}" width="{width}" height="{height}" '
        'style="width:100%" loading="lazy"></div>'
        f'<p class="text" role="status">{said}</p>{cannot}{note}'
        f'<script type="application/json">{kept}</script></div>'
    )


def _control(control: dict, name: str) -> str:
    label, at, words = html.escape(control["label"]), control["at"], control["options"]
    if all(re.fullmatch(r"-?[\d.e+-]+", word) for word in words):
        said = html.escape(json.dumps(words))
        return (
            f'<label for="c{name}">{label} <input type="range" id="c{name}" min="0" '
            f'max="{len(words) - 1}" value="{at}" data-start="{at}" data-words="{said}" '
            f'aria-valuetext="{html.escape(words[at])}">'
            f'<output for="c{name}">{html.escape(words[at])}</output></label>'
        )
    options = "".join(
        f'<option value="{i}"{" selected" if i == at else ""}>{html.escape(word)}</option>'
        for i, word in enumerate(words)
    )
    return f'<label>{label} <select data-start="{at}">{options}</select></label>'


def _mended(text: str, here: Collection[str]) -> str:
    """Links to notebooks lead to pages; what may be wider than a telephone scrolls by itself."""
    soup = BeautifulSoup(text, "html.parser")
    for link in soup.select("a[href]"):
        to = re.match(r"(?:\./)?(\d\d_\w+)\.ipynb(.*)", link["href"])
        if to and to[1] in here:
            link["href"] = f"{to[1]}.html{to[2]}"
        elif to:
            link.unwrap()
    for number, table in enumerate(soup.select("table"), 1):
        table.wrap(soup.new_tag("div", attrs={"class": "wide", "tabindex": "0"}))
        table.parent["role"], table.parent["aria-label"] = "region", f"Table {number}"
    for head in soup.select("th"):
        if not head.get_text(strip=True):
            head.name = "td"
    for cell in soup.select("td"):
        said = cell.get_text(strip=True)
        if _WHOLE.fullmatch(said):
            cell["class"] = [*cell.get("class", ()), "whole"]
        elif max(map(len, said.split()), default=0) > _LONG:
            cell["class"] = [*cell.get("class", ()), "address"]
    for code in soup.select(".highlight, .shown:has(.broad)"):
        code["tabindex"] = "0"
    return str(soup)
