"""Decks between two classes, on a real screen: nothing is cut, and every text can be read."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.commands import ready, report

DRAW = """
def drawn(x):
    return {"grey": torch.full((3, 8, 8), x / 10)}, f"grey of {x}"
"""
CELLS = [
    new_markdown_cell("# 07 Small\n\n**How grey?**"),
    new_code_cell(
        "import torch\nfrom course_utils import show\n"
        "from course_utils.widgets.kit import controls\n"
        "from course_utils.widgets.kit import explorer as widgets\n" + DRAW
    ),
    new_markdown_cell("## A plot\n\nTwo cats rise:"),
    new_code_cell("show.lines({'cats': ([0, 1], [0, 1])}, 'x', 'y', 'it rises')"),
    new_markdown_cell(f"It rises, {'and it rises, ' * 8} by `{'data/rebuild_' * 4}cats.py`."),
    new_markdown_cell("## Try it\n\nMove it."),
    new_code_cell("widgets.explore(drawn, x=controls.slider(0, 10, 3, live=True))"),
    new_code_cell("print('told', 'x' in globals())\nx = 1"),
]
STATIC, LIVE = ".course-static img", ".course-explorer"
"""The explorer's stored picture, and the explorer while its kernel lives."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The address of a deck of three slides that has been run once."""
    folder = tmp_path_factory.mktemp("deck")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_STATE", str(folder / "state"))
        notebook = folder / "07_guided.ipynb"
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=CELLS, metadata=spec), notebook)
        ready.make(notebook)
        with report.served(notebook) as url:
            yield url


def opened(page, url):
    page.goto(url)
    page.wait_for_function("() => globalThis.courseSlides !== undefined")
    page.wait_for_selector("section.deck.present")


def turn(page, title):
    slide = page.locator(f"section.deck:has(h2:text-is('{title}'))").get_attribute("id")
    page.wait_for_function(
        "(id) => (location.hash = '#/' + id) && document.querySelector(`#${id}.present`)", arg=slide
    )


def test_a_key_puts_everything_back_for_the_next_class(page, small, screenshot):
    opened(page, small)
    turn(page, "Try it")
    stored = page.locator(STATIC)
    stored.wait_for()
    before = stored.get_attribute("src")
    page.click("#course-run-all")
    page.wait_for_selector("#course-run-all[data-done='1']")
    live = page.locator(LIVE)
    live.wait_for()
    line = live.locator(".noUi-base").bounding_box()
    live.locator(".noUi-handle").hover()
    page.mouse.down()
    page.mouse.move(line["x"] + 0.7 * line["width"], line["y"])
    page.mouse.up()
    live.get_by_text(re.compile("grey of [4-9]")).first.wait_for()
    screenshot("moved")
    page.once("dialog", lambda dialog: dialog.accept())
    page.keyboard.press("0")
    page.wait_for_function(f"() => !document.querySelector('{LIVE}')")
    page.wait_for_selector(".deck-of-cover.present")
    turn(page, "Try it")
    stored.wait_for()
    assert stored.get_attribute("src") == before
    screenshot("reset")
    page.click("#course-run-all")
    page.wait_for_selector("#course-run-all[data-done='2']")
    live.get_by_text("grey of 3").first.wait_for()
    assert "told False" in page.locator(".jp-OutputArea").last.inner_text(), (
        "an old variable is there"
    )


def test_nothing_is_cut_not_even_a_path_in_a_narrow_column(page, small, screenshot):
    opened(page, small)
    turn(page, "A plot")
    page.wait_for_selector(".deck-body.deck-beside")
    page.evaluate("courseSlides.refit()")
    screenshot("path")
    assert page.evaluate("courseSlides.measure().overflow") <= 2


def test_what_leads_to_a_picture_stands_above_it_and_its_comment_does_not(page, small):
    opened(page, small)
    turn(page, "A plot")
    page.wait_for_selector(".deck-body.deck-beside")
    paragraph = page.locator("section.present p")
    places = {
        "lead": paragraph.filter(has_text="Two cats rise"),
        "comment": paragraph.filter(has_text="It rises"),
        "picture": page.locator("section.present img"),
    }
    at = {
        name: found.evaluate("(node) => node.getBoundingClientRect().toJSON()")
        for name, found in places.items()
    }
    assert at["lead"]["bottom"] <= at["picture"]["top"] < at["comment"]["bottom"]
    assert at["picture"]["height"] > 0.5 * 720


# --- Colours -------------------------------------------------------------------------------------

CONTRASTS = """async () => {
  const fading = () => document.getAnimations().filter((a) => /color/.test(a.transitionProperty));
  for (let left; (left = fading()).length;) {
    await Promise.allSettled(left.map((a) => a.finished));
  }
  const light = (colour) => colour.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const paper = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  const seen = "section.deck.present, #course-bar, .slide-number";
  for (const root of document.querySelectorAll(seen)) {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let text; (text = texts.nextNode());) {
      const node = text.parentElement, box = node.getBoundingClientRect();
      if (!text.data.trim() || !box.width || node.closest("style, script")) continue;
      const [low, high] = [getComputedStyle(node).color, paper(node)]
        .map((c) => light(typeof c === "string" ? numbers(c) : c)).sort((a, b) => a - b);
      found[text.data.trim()] = (high + 0.05) / (low + 0.05);
    }
  }
  return found;
}"""
"""Each text that is seen -> its contrast to what lies behind it, as WCAG 2 defines it.

Colours fade for a fifth of a second after a change of theme; halfway no text can be read.
"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_on_the_screen_can_be_read(page, small, dark, screenshot):
    opened(page, small)
    turn(page, "Try it")
    page.locator(STATIC).wait_for()
    page.evaluate(
        "document.querySelector('.course-static').insertAdjacentHTML('afterend', "
        "'<div class=course-explorer><p role=alert>no such class</p></div>')"
    )
    if dark:
        page.keyboard.press("d")
        page.wait_for_selector("body.deck-dark")
    found = page.evaluate(CONTRASTS)
    screenshot("dark" if dark else "light")
    assert {"no such class", "Move it.", "reset", "3"} <= set(found)
    assert min(found.values()) >= 4.5, found
