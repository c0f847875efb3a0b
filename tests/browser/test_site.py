"""The course as pages, opened from files in a browser without a network, by a mouse and by axe."""

import re

import pytest
import torch
from conftest import SCREEN

from course_utils.commands.html import pages, pictures, site
from course_utils.widgets.kit import positions as kit
from course_utils.widgets.kit.explorer import explore

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

LECTURES = ["00_start_here", "01_filters"]
PHONE = {"width": 390, "height": 844}
PAGES = ["index.html", "glossary.html", "00_start_here.html", "01_filters.html"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two lectures as pages and decks: they are run, which takes a minute."""
    out = tmp_path_factory.mktemp("site")
    assert site.export(out, LECTURES, decks=True) == []
    return out


@pytest.fixture
def visit(browser, folder):
    """`visit("index.html")` opens a page; the test fails if any request is not for a file."""
    asked, wrong, contexts = [], [], []

    def go(name, viewport=SCREEN, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((folder / name).as_uri())
        page.evaluate("window.MathJax?.startup?.promise.then(() => 1)")
        return page

    yield go
    for context in contexts:
        context.close()
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert wrong == []


def violations(page):
    found = axe.Axe().run(page).response["violations"]
    return [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in found]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible_in_both_themes(visit, name, scheme):
    page = visit(name, scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert violations(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_telephone(visit, name):
    page = visit(name, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert violations(page) == []


@pytest.mark.parametrize("name", [f"{lecture}.html" for lecture in LECTURES])
def test_pictures_and_formulas_are_there(visit, name):
    page = visit(name)
    page.evaluate("document.querySelectorAll('img').forEach((img) => { img.loading = 'eager' })")
    loaded = "[...document.images].every((img) => img.complete && img.naturalWidth > 0)"
    page.wait_for_function(loaded)
    assert page.locator("main img").count() > 4
    assert page.locator("main img:not([alt]), main img[alt='']").count() == 0
    assert page.locator("mjx-container").count() > 0
    prose = page.locator(".prose").all_inner_texts()
    assert not [text for text in prose if re.search(r"\$[^$]+\$", text)]


def test_a_slider_moves_the_picture_and_its_words(visit):
    page = visit("01_filters.html")
    explorer = page.locator(".explorer").first
    slider, picture = explorer.locator('input[type="range"]').first, explorer.locator("img")
    before = picture.get_attribute("src"), picture.get_attribute("alt")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    after = picture.get_attribute("src"), picture.get_attribute("alt")
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert explorer.locator(".text").inner_text() == after[1]
    assert violations(page) == []


def test_a_picture_of_another_shape_is_as_high_as_the_first(visit, folder):
    """Photos of an explorer may be wider or narrower than the one it starts with."""

    def draw(kind):
        return {kind: torch.zeros(3, 80, 60 if kind == "narrow" else 200)}, f"{kind} picture"

    found = kit.positions(explore(draw, kind=["narrow", "wide"]))
    made = pages.explorer(found, pictures.Store(folder / "pictures", "pictures/"), "0-0")
    head = '<link rel="stylesheet" href="static/course.css">'
    head += '<script src="static/course.js" data-up=""></script>'
    (folder / "shapes.html").write_text(f"<!doctype html>{head}<main>{made}</main>", "utf-8")
    page = visit("shapes.html")
    picture = page.locator(".explorer img")
    narrow = picture.bounding_box()
    page.locator(".explorer select").select_option(label="wide")
    page.wait_for_function("document.images[0].complete && document.images[0].naturalWidth > 100")
    wide = picture.bounding_box()
    assert wide["height"] == pytest.approx(narrow["height"], abs=2)
    assert wide["width"] > 3 * narrow["width"]


def test_on_a_telephone_a_table_scrolls_and_breaks_no_number(browser, tmp_path):
    heads = "".join(f"<th>{name}</th>" for name in ["method", "passes", "hit", "energy", "of G'"])
    cells = ["guided backprop", "170", "0.92 (0.82 to 0.98)", "0.64 (0.58 to 0.69)", "1.94e-10"]
    row = "".join(f"<td>{cell}</td>" for cell in [*cells, "13.7%", "energy", "deconvnet"])
    made = pages._mended(f"<table><tr>{heads}</tr><tr>{row}</tr></table>", ())
    (tmp_path / "course.css").write_text((pages.TEMPLATE / "static/course.css").read_text("utf-8"))
    head = '<!doctype html><meta name="viewport" content="width=device-width">'
    head += '<link rel="stylesheet" href="course.css">'
    (tmp_path / "table.html").write_text(f"{head}<main>{made}</main>", "utf-8")
    context = browser.new_context(viewport=PHONE, offline=True)
    page = context.new_page()
    page.goto((tmp_path / "table.html").as_uri())
    lines = page.evaluate(
        """() => [...document.querySelectorAll("td")].flatMap((cell) => {
          const text = cell.firstChild, all = document.createRange();
          return [...text.data.matchAll(/\\S+/g)].map((word) => {
            all.setStart(text, word.index);
            all.setEnd(text, word.index + word[0].length);
            return [word[0], new Set([...all.getClientRects()].map((one) => one.top)).size];
          });
        })"""
    )
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert len(lines) > 12
    assert [word for word, n in lines if n > 1] == []
    assert width <= PHONE["width"]


def test_the_search_finds_words_of_both_languages_and_leads_there(visit, folder):
    page = visit("index.html")
    page.fill("#search", "梯度")
    page.locator("#found a").first.wait_for()
    assert "00 Start here" in page.locator("#found a").first.inner_text()
    page.fill("#search", "no such words at all")
    page.get_by_text("Nothing found").wait_for()
    page.fill("#search", "hook trace")
    page.locator("#found a").first.click()
    page.wait_for_url("**/00_start_here.html*")


def test_the_theme_can_be_turned(visit):
    page = visit("00_start_here.html")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.get_by_role("button", name="Light").count() == 1


def test_a_deck_turns_its_slides(visit):
    page = visit("slides/01_filters.html")
    page.locator(".reveal.ready").wait_for()
    total = page.evaluate("Reveal.getTotalSlides()")
    assert total > 20
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getSlidePastCount()") == 1
    assert violations(page) == []
