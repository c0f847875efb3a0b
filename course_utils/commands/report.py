"""How the slides of a deck look in a room: measured in a browser, slide by slide.

`course slides --report` prints it; `complaints` says what breaks a limit, and the browser
tests hold decks to it.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import nbformat

from course_utils.commands import slides, suite

BEYOND = 2
"""Pixels that may lie outside a slide: rounding."""

SCREENS = ((1280, 720), (1920, 1080))
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")


@dataclass(frozen=True)
class Measured:
    """One slide on one screen.

    Attributes:
        title, kind: as in the deck; see `deck.Slide`.
        picture: share of the screen that pictures, explorers' pictures and tables of results cover.
        words: that are seen, code and the text in tables included.
        overflow: pixels that lie outside the slide.
        letters: height of the smallest letters of text and code, as a share of the screen's height.
        sharpness: pixels of a picture's file for a pixel of the screen; the least of the slide.
    """

    title: str
    kind: str
    picture: float
    words: int
    overflow: int
    letters: float
    sharpness: float


def run(notebooks: list[Path]) -> int:
    """Prints the report of some lectures; 1 if a slide breaks a limit.

    Raises:
        RuntimeError: no browser.
    """
    broken = []
    for notebook in notebooks:
        for screen, rows in measured(notebook).items():
            print("\n".join(table(notebook.stem, screen, rows)), flush=True)
            broken += [f"{notebook.stem} {screen}: {words}" for words in complaints(rows)]
    print("\n".join(broken))
    return int(bool(broken))


def complaints(rows: list[Measured]) -> list[str]:
    """What breaks a limit, in words; empty where nothing does."""
    found = []
    for number, row in enumerate(rows, 1):
        where = f"slide {number} ({row.title})"
        if row.overflow > BEYOND:
            found.append(f"{where}: {row.overflow} px stand outside")
        if row.kind != "widget" and row.letters < 0.018:
            found.append(f"{where}: letters of {row.letters:.1%} of the height")
        if row.kind == "question" and row.picture:
            found.append(f"{where}: a picture beside the question")
        if row.kind in ("picture", "widget") and row.picture < 0.2:
            found.append(f"{where}: its picture covers {row.picture:.0%}")
        if row.kind in ("text", "question", "picture") and row.words > 140:
            found.append(f"{where}: {row.words} words")
    shown = [row.picture for row in rows if row.kind in ("picture", "widget") and row.picture]
    if shown and median(shown) < 0.3:
        found.append(f"pictures cover {median(shown):.0%} in the median")
    return found


def table(name: str, screen: tuple[int, int], rows: list[Measured]) -> list[str]:
    """The report of one deck on one screen, as lines."""
    lines = [
        f"{name}, {screen[0]}x{screen[1]}: {len(rows)} slides",
        "  n kind      picture words over letters sharp title",
    ]
    for number, row in enumerate(rows, 1):
        sharp = f"{row.sharpness:5.2f}" if row.sharpness < 9 else "    -"
        letters = f"{row.letters:7.1%}" if row.letters < 0.09 else "      -"
        lines.append(
            f"{number:3} {row.kind:9} {row.picture:6.0%} {row.words:5} {row.overflow:5}"
            f" {letters} {sharp} {row.title}"
        )
    return lines


def measured(notebook: Path) -> dict[tuple[int, int], list[Measured]]:
    """Every slide of a notebook's deck, for each of `SCREENS`.

    Raises:
        RuntimeError: playwright or Chromium is missing, or the server does not answer.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise RuntimeError("--report needs playwright: pip install -e '.[test]'") from None
    chromium = suite.chromium()
    if chromium is None:
        raise RuntimeError("--report needs Chromium; COURSE_CHROMIUM can name one")
    with served(notebook) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        width, height = SCREENS[0]
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(120_000)
        page.goto(url)
        found = walk(page)
        browser.close()
    return found


def walk(page: object) -> dict[tuple[int, int], list[Measured]]:
    """Turns a deck's pages, which is open, from the first to the last, on each of `SCREENS`."""
    page.wait_for_function("() => globalThis.courseSlides !== undefined")
    page.wait_for_timeout(1500)  # formulas are typeset after the cells are there
    found = {}
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        ids = "[...document.querySelectorAll('section.deck')].map((one) => one.id)"
        rows = []
        for one in page.evaluate(ids):
            page.evaluate("(id) => { location.hash = '#/' + id; }", one)
            page.wait_for_selector(f"#{one}.present")
            row = _settled(page)
            rows.append(Measured(**row | {"letters": row["letters"] / height}))
        found[width, height] = rows
    return found


def _settled(page: object) -> dict:
    """What a slide measures; where something stands outside, once its last parts may have come."""
    row = {}
    for _ in range(10):
        page.wait_for_timeout(60)
        # Twice: a layout that is not stable would show.
        page.evaluate("() => courseSlides.refit()")
        page.evaluate("() => courseSlides.refit()")
        row = page.evaluate("() => courseSlides.measure()")
        if row["overflow"] <= BEYOND:
            break
        page.wait_for_timeout(150)
    return row


@contextmanager
def served(notebook: Path) -> Iterator[str]:
    """A notebook's deck on a server of its own; its address."""
    with tempfile.TemporaryDirectory(prefix="course-report-") as folder:
        home, token = Path(folder), secrets.token_hex(16)
        (home / "deck").mkdir()
        nbformat.write(slides.prepared(notebook), home / "deck" / notebook.name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        given = json.dumps([str(home / "deck"), notebook.name, port])
        code = (
            "import sys, json; from pathlib import Path; from course_utils.commands import slides; "
            "a = json.loads(sys.argv[1]); slides.start(Path(a[0]), a[1], a[2], False)"
        )
        variables = {"COURSE_STATE": str(home / "state"), "JUPYTER_TOKEN": token}
        server = subprocess.Popen(
            [sys.executable, "-c", code, given],
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(f"http://127.0.0.1:{port}/api", server)
            yield f"http://127.0.0.1:{port}/?token={token}"
        finally:
            server.terminate()
            server.wait(30)


def _await(url: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server of the slides did not start")
