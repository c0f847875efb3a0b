"""A lecture cut for speaking: from a notebook, the cells of its slides.

The notebook stays the only source. Rules do the cutting; a mark `slide="slide"` in the lecture
begins a slide where they would not, `slide="skip"` keeps a cell off the slides, `slide="notes"` is
for the speaker alone.

- A question stands alone, or beside the picture that it is about; what answers it comes with the
  next slide.
- One figure, table or explorer a slide, with the lines printed about it and the beginning of the
  comment that follows it. The rest of the comment is in the speaker's notes.
- Code is hidden, and a key shows it. Large stands what is written in an exercise, and what the
  lecture marks `slide="slide"`, because it is the lesson.
- Notes: minutes, the question to ask, the hints of an exercise and the mistakes that are known.
"""

import ast
import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nbformat import NotebookNode

COMMENT, LEAD, TEXT, HEAD = 45, 40, 75, 15
"""Words: of a comment beside a picture, of what may stand above it, of a slide of text, and of a
line that announces a list and does not stand without it."""

ROWS = 8
"""Of a table of words."""

ROLE = "deck"
"""The key of a cell's metadata that tells the page what it is: see `static/remoteEntry.js`."""

_WEIGHTS = {"question": 1.0, "text": 1.0, "picture": 1.5, "code": 1.5, "widget": 4.0, "cover": 1.0}
_QUESTION = re.compile(r"\*\*Question")
_EXERCISE = re.compile(r"\*\*Exercise [^*]*\*\*")
_MINUTES = re.compile(r"(\d+) minutes")
_SENTENCE = re.compile(r"(?<=[.!?])(?<!et al\.)\s+(?=[A-Z“\"*(])")
_HEADING = re.compile(r"(#+) +(.+)")


@dataclass
class Slide:
    """One slide on its way: a title, cells in their order, and what is for the speaker."""

    title: str
    kind: str = "text"
    cells: list[NotebookNode] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    words: int = 0
    minutes: float | None = None
    starts: bool = False  # the first of its section
    closed: bool = False  # what follows belongs on another
    short: bool = False  # the end of a comment is in the notes: what follows would not join on

    @property
    def has_body(self) -> bool:
        return self.kind in ("picture", "widget", "code")

    def write(self, text: str, role: str = "text") -> None:
        """A paragraph on the slide."""
        self.cells.append(_markdown(text, role))
        self.words += words(text)


def words(text: str) -> int:
    """Words that a reader reads: formulas count one each, marks none."""
    text = re.sub(r"<[^>]+>|\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$]*\$", " formula ", text)
    return len(re.findall(r"[^\W_][\w’'.-]*", text))


def role(cell: NotebookNode) -> str:
    """What a code cell is on a slide.

    Returns:
        "exercise", "check", "picture", "widget", "code" (it begins a slide and draws nothing),
        "print" or "quiet" (nothing is seen of it).
    """
    graded = cell.metadata.get("nbgrader", {})
    if graded.get("solution") or graded.get("grade"):
        return "exercise" if graded.get("solution") else "check"
    try:
        body = ast.parse(re.sub(r"(?m)^\s*[%!].*", "", cell.source)).body
    except SyntaxError:
        return "quiet"
    printing = any(isinstance(n, ast.Call) and ast.unparse(n.func) == "print" for n in _walk(body))
    if "before" in cell.metadata.get("course", {}):  # a helper of the figure that follows
        return "print" if printing else "quiet"
    last = ast.unparse(body[-1]) if body and isinstance(body[-1], ast.Expr) else ""
    if last.startswith("widgets."):
        return "widget"
    if last.startswith("show"):
        return "picture"
    if cell.metadata.get("slideshow", {}).get("slide_type") == "slide":
        return "code"
    return "print" if last or printing else "quiet"


def _walk(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for one in body:
        yield from ast.walk(one)


def blocks(source: str) -> list[str]:
    """The paragraphs of a Markdown cell; `<details>` and formulas stay whole."""
    found, inside = [], False
    source = re.sub(r"(?<=\S)\s+(?=\*\*Question)", "\n\n", source)
    for part in re.split(r"\n\s*\n", source.strip()):
        if inside:
            found[-1] += "\n\n" + part
        else:
            found.append(part)
        inside = found[-1].count("<details") > found[-1].count("</details>")
    return [one for one in found if one.strip()]


def cut(
    notebook: NotebookNode,
    mistakes: dict[str, list[str]] | None = None,
    drawn: Iterable[str] = (),
) -> NotebookNode:
    """The slides of a notebook, as a notebook in which each slide begins with its title's cell.

    Args:
        notebook: a lecture, with or without outputs; it is not changed.
        mistakes: exercise -> what to say about known mistakes; into the notes.
        drawn: the exercises whose check draws a picture, which needs a slide of its own.

    Returns:
        A notebook for jupyterlab-rise: `slideshow` metadata, and `deck` metadata with a cell's
        role, on the first cell of a slide also its kind, its notes and its minutes. Every code
        cell of the notebook is in it once, in the same order.
    """
    made = _Cutter(mistakes or {}, set(drawn)).slides(notebook.cells)
    _time(made, notebook)
    metadata = copy.deepcopy(notebook.metadata)
    metadata.pop("widgets", None)
    cells = [cell for slide in made for cell in _finished(slide)]
    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            cell["id"] = f"deck-{number}"
    return NotebookNode(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=5)


class _Cutter:
    """Goes through a notebook's cells once; `here` is the slide that is being filled."""

    def __init__(self, mistakes: dict[str, list[str]], drawn: set[str]) -> None:
        self.mistakes, self.drawn = mistakes, drawn
        self.made, self.title, self.waiting = [], "", []
        self.here = Slide("")

    def slides(self, cells: Sequence[NotebookNode]) -> list[Slide]:
        for number, cell in enumerate(cells):
            mark = cell.metadata.get("slideshow", {}).get("slide_type", "-")
            if mark == "notes":
                self.here.notes.append(cell.source)
            elif mark == "skip":
                if cell.cell_type == "code":
                    self.waiting.append(_code(cell, "skip"))
            elif cell.cell_type == "markdown":
                heading = _HEADING.match(cell.source)
                if mark == "slide" and not heading:
                    self.new()
                *before, last = blocks(cell.source)
                for block in before:
                    self.block(block)
                self.block(last, _seen_next(cells[number + 1 :]), alone=not before)
            elif cell.cell_type == "code":
                getattr(self, role(cell))(cell)
        self.here.cells += self.waiting
        return [one for one in self.made if one.cells]

    def new(self, kind: str = "text", title: str | None = None, starts: bool = False) -> Slide:
        title = self.title if title is None else title
        if self.here.cells or self.here not in self.made:
            self.here = Slide(title, kind, starts=starts)
            self.made.append(self.here)
        else:  # nothing stands there yet
            self.here.kind, self.here.title = kind, title
        return self.here

    # ------------------------------------------------------------------ text

    def block(self, text: str, follows: str = "", alone: bool = False) -> None:
        """A paragraph.

        Args:
            follows: of the last of its cell, the role of what is seen next.
            alone: whether it is the only one of its cell.
        """
        heading = _HEADING.match(text)
        if heading:
            self.title = heading[2]
            cover = len(heading[1]) == 1
            self.new("cover" if cover else "text", starts=True)
            rest = text[heading.end() :].strip()
            if rest:
                self.block(rest, follows)
        elif text.startswith("<details"):
            self.here.notes.append(_plain(text))
        elif _EXERCISE.match(text):
            self.exercise_text(text)
        elif _QUESTION.match(text):
            self.question(text)
        elif self.here.kind == "cover":
            self.cover(text)
        elif len(self.made) == 2 and _MINUTES.search(text):  # still the lecture's first cell
            self.here.notes.append(text)
        elif self.here.has_body:
            leads = words(text) <= LEAD and _leads(follows, alone and not self.here.words)
            self.paragraph(text, True) if leads else self.comment(text, follows)
        else:
            self.paragraph(text)

    def cover(self, text: str) -> None:
        """The lecture's question on the first slide; what one can do after it on the second."""
        if not self.here.words:
            self.here.write(text, "lead")
        elif _MINUTES.search(text):
            self.here.notes.append(text)
        elif not is_whole(text):
            self.here.write(text)
        else:
            self.title, _, rest = text.partition("\n")
            self.new().write(rest or text)

    def question(self, text: str) -> None:
        """Alone; but what is asked right below a picture is about it, and stands beside it."""
        about = self.here.kind == "picture" and not (self.here.words or self.here.closed)
        printed = any(cell.metadata[ROLE]["role"] == "print" for cell in self.here.cells)
        crowded = self.here.kind != "text" or self.here.words > LEAD or printed
        if crowded and not about:
            self.new()
        self.here.write(text, "question")
        self.here.notes.append("Ask, and wait for guesses before you turn the page.")
        if about:
            self.here.closed = True
        else:
            self.here.kind = "question"

    def exercise_text(self, text: str) -> None:
        name = _EXERCISE.match(text)[0]
        self.new("exercise", title=name.strip("*. ").replace(").", ")"))
        minutes = _MINUTES.search(name)
        self.here.minutes = float(minutes[1]) if minutes else None
        rest = text[len(name) :].strip()
        before, _, hints = rest.partition("<details")
        if before.strip():
            self.here.write(before.strip())
        if hints:
            self.here.notes.append(_plain("<details" + hints))

    def comment(self, text: str, follows: str = "") -> None:
        """Beside a figure: as many sentences as the eye takes in. The rest is said.

        Only the first paragraph is cut. What ends in a colon announces the next slide.
        """
        text, announced = (text, "") if follows == "print" else _parted(text)
        if announced and self.here.words and words(text) + words(announced) <= LEAD:
            text, announced = "", f"{text} {announced}".strip()
        if announced:
            if text:
                self.comment(text)
            return self.paragraph(announced, fresh=True)
        room = COMMENT - self.here.words
        whole = "$$" in text or (is_whole(text) and words(text) > room)
        if self.here.closed or whole or (self.here.short and words(text) <= room):
            return self.paragraph(text, fresh=True)
        if is_whole(text):
            return self.here.write(text)
        first, rest = shortened(text, room)
        if rest and self.here.words:
            first, rest = "", text
        if not first and self.here.words and words(text) > 25 and self.here.kind != "widget":
            return self.paragraph(text, fresh=True)
        if first:
            self.here.write(first)
        if rest:
            self.here.notes.append(rest)
            self.here.short = True
        return None

    def paragraph(self, text: str, fresh: bool = False) -> None:
        """On a slide of text, or on a new one where that is full."""
        pieces = parts(text)
        head = bool(self.here.cells) and self.here.cells[-1].source.rstrip().endswith(":")
        added = words(pieces[0] if head and self.here.words < HEAD else text)
        full = self.here.words and self.here.words + added > TEXT + HEAD * head
        if fresh or full or self.here.kind != "text":
            self.new()
        for number, part in enumerate(pieces):
            if number:
                self.new()
            self.here.write(part)

    # ------------------------------------------------------------------ code

    def put(self, cell: NotebookNode, name: str) -> None:
        self.here.cells += [*self.waiting, _code(cell, name)]
        self.waiting = []

    def quiet(self, cell: NotebookNode) -> None:
        self.waiting.append(_code(cell, "hidden"))

    def print(self, cell: NotebookNode) -> None:
        # The shape of an answer is no slide of its own; what is printed about a sentence that is in
        # the notes stands there for nothing.
        if self.here.closed or self.here.short:
            return self.quiet(cell)
        if self.here.kind in ("question", "exercise", "cover"):
            self.new()
        return self.put(cell, "print")

    def body(self, cell: NotebookNode, kind: str, name: str, lead: int) -> None:
        """What fills a slide, below a short lead where the slide so far is one."""
        asks = self.here.kind != "text" or self.here.words > lead
        if asks or any(is_whole(c.source) for c in self.here.cells if c.cell_type == "markdown"):
            self.new()
        for one in self.here.cells:
            if one.cell_type == "markdown":
                one.metadata[ROLE]["role"] = "lead"
        self.here.kind, self.here.words = kind, 0
        self.put(cell, name)

    def picture(self, cell: NotebookNode) -> None:
        self.body(cell, "picture", "picture", LEAD)

    def widget(self, cell: NotebookNode) -> None:
        self.body(cell, "widget", "widget", TEXT)
        self.here.notes.append(
            "Ask what will happen before you move a control; then move it. What the explorer "
            "cannot do stands in its last line."
        )

    def code(self, cell: NotebookNode) -> None:
        self.body(cell, "code", "code", LEAD)

    def exercise(self, cell: NotebookNode) -> None:
        task = self.here
        if task.kind != "exercise" or task.words > LEAD:
            self.new(title=task.title)
        for one in self.here.cells:
            one.metadata[ROLE]["role"] = "lead"
        self.here.kind = "code"
        self.put(cell, "code")
        told = self.mistakes.get(cell.metadata["nbgrader"]["grade_id"], [])
        if told:
            self.here.notes.append("What often goes wrong:\n" + "\n".join(f"- {s}" for s in told))

    def check(self, cell: NotebookNode) -> None:
        """The verdict; with what the answer should look like on a slide of its own."""
        if cell.metadata["nbgrader"]["grade_id"].removesuffix("-check") in self.drawn:
            self.new("picture", title=self.here.title)
            self.here.minutes = 0.0
        self.put(cell, "check")
        self.here.closed = True


def _seen_next(cells: Sequence[NotebookNode]) -> str:
    """The role of the next cell of which something is seen; "text" for Markdown, "" at the end."""
    roles = (role(c) if c.cell_type == "code" else "text" for c in cells)
    return next((one for one in roles if one != "quiet"), "")


def _leads(follows: str, alone: bool) -> bool:
    """Whether a paragraph is about what follows, and not about the picture before it."""
    return follows == "widget" or (follows == "picture" and not alone)


def _parted(text: str) -> tuple[str, str]:
    """A paragraph without what announces the next figure: a question, and what ends in a colon."""
    if is_whole(text) or not text.rstrip().endswith(":"):
        return text, ""
    *first, last = _SENTENCE.split(text)
    while first and first[-1].endswith("?"):
        last = f"{first.pop()} {last}"
    return " ".join(first), last


def is_whole(text: str) -> bool:
    """Whether a block cannot be cut into sentences: a list, a table, a formula of its own."""
    return bool(re.search(r"(?m)^\s*([-*|]|\d+\.)\s|^\||\$\$", text))


def parts(text: str) -> list[str]:
    """A block in parts that fit a slide: sentences, items, or rows below a table's header."""
    lines = text.split("\n")
    if lines[0].startswith("|"):
        rows, even = lines[2:], -(-len(lines[2:]) // -(-len(lines[2:]) // ROWS))
        return ["\n".join(lines[:2] + rows[i : i + even]) for i in range(0, len(rows), even)]
    if "$$" in text or words(text) <= TEXT:
        return [text]
    items = re.split(r"\n(?=[-*] |\d+\. )", text) if is_whole(text) else _SENTENCE.split(text)
    between = "\n" if is_whole(text) else " "
    pages = -(-words(text) // TEXT)
    made, most = [""], words(text) / pages + 5
    for item in items:
        if made[-1] and words(made[-1]) + words(item) / 2 > most:
            made.append("")
        made[-1] += (between if made[-1] else "") + item
    return made


def shortened(text: str, most: int) -> tuple[str, str]:
    """The first sentences of a paragraph, at most `most` words, and what is left of it.

    Of the rest nothing is lost.
    """
    sentences = _SENTENCE.split(text)
    taken, total = 0, 0
    for sentence in sentences:
        total += words(sentence)
        if total > most:
            break
        taken += 1
    return " ".join(sentences[:taken]), " ".join(sentences[taken:])


def _time(slides: list[Slide], notebook: NotebookNode) -> None:
    """Minutes for each slide: exercises as they say, the rest of the lecture's by weight."""
    text = "\n".join(c.source for c in notebook.cells[:3] if c.cell_type == "markdown")
    said = _MINUTES.search(text)
    own = sum(s.minutes or 0 for s in slides)
    rest = [s for s in slides if s.minutes is None and s.words + s.has_body]
    left = max(float(said[1]) - own, 0.5 * len(rest)) if said else 1.0 * len(rest)
    whole = sum(_WEIGHTS.get(s.kind, 1.0) for s in rest) or 1.0
    for slide in slides:
        if slide.minutes is None:
            slide.minutes = left * _WEIGHTS.get(slide.kind, 1.0) / whole if slide in rest else 0.0


def _finished(slide: Slide) -> list[NotebookNode]:
    """The cells of a slide, its title's first; the first carries what the page is told."""
    level = "#" if slide.kind == "cover" else "##"
    title = slide.title if slide.title else "​"
    first = _markdown(f"{level} {title}", "title")
    cells = [first, *slide.cells]
    for cell in cells:
        cell.metadata["slideshow"] = {"slide_type": "-"}
    first.metadata["slideshow"]["slide_type"] = "slide"
    first.metadata[ROLE] |= {
        "kind": slide.kind,
        "notes": "\n\n".join(slide.notes),
        "minutes": round(slide.minutes or 0, 1),
        "starts": slide.starts,
    }
    return cells


def _markdown(text: str, name: str) -> NotebookNode:
    metadata = NotebookNode({ROLE: {"role": name}})
    return NotebookNode(cell_type="markdown", metadata=metadata, source=text)


def _code(cell: NotebookNode, name: str) -> NotebookNode:
    made = copy.deepcopy(cell)
    made.metadata.pop("jupyter", None)  # folded in the notebook; the page decides for itself here
    made.metadata[ROLE] = {"role": name}
    return made


def _plain(html: str) -> str:
    """A hint without its tags, for the notes."""
    text = re.sub(r"</summary>", "\n", html)
    return "Hint: " + re.sub(r"<[^>]+>", "", text).strip().replace("\nHint", "\n\nHint")
