"""The course as pages: pictures become files, explorers keep what they showed, nothing goes out."""

import base64
import io
import json
import os
import re

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from course_utils import images
from course_utils.commands import runs
from course_utils.commands.html import executing, pages, pictures, site
from course_utils.common import lectures, optimise, paths, positions
from course_utils.widgets.kit import explorer
from course_utils.widgets.kit import positions as kit
from course_utils.widgets.kit.controls import slider


def photo(seed=0, side=80):
    """A picture with as many colours as a photo, as a PNG file."""
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return packed(Image.fromarray(noise), "png")


def packed(image, kind):
    with io.BytesIO() as file:
        image.save(file, format=kind)
        return file.getvalue()


def embedded(content, alt="a photo", kind="png"):
    data = base64.b64encode(content).decode()
    return f'<img alt="{alt}" style="width:80px" src="data:image/{kind};base64,{data}">'


def shown(text):
    return new_output("display_data", data={"text/html": text, "text/plain": "a photo"})


def lecture(name, *outputs):
    """An executed lecture of three cells; the picture in it is read from the course's data."""
    cell = new_code_cell("draw()", outputs=list(outputs))
    cell.metadata["course_reads"] = ["photos/penguin.jpg", "photos/panda.jpg"]
    links = "[more](07_guided.ipynb#A-part), [other](08_cam.ipynb)"
    first = f"# {name[:2]} A title\n\n$x^2$ and {links}\n\n## A part\n\n显著性图"
    return new_notebook(cells=[new_markdown_cell(first), cell])


# --- pictures ------------------------------------------------------------------------------------


def test_a_picture_becomes_a_file_that_looks_the_same_and_keeps_its_alternative(tmp_path):
    store = pictures.Store(tmp_path, "pictures/")
    text = pictures.outsourced(embedded(photo()), store)
    element = BeautifulSoup(text, "html.parser").img
    assert element["alt"] == "a photo"
    assert (element["width"], element["height"]) == ("80", "80")
    with Image.open(tmp_path / element["src"].removeprefix("pictures/")) as kept:
        assert kept.format == "WEBP"
        assert kept.size == (80, 80)


def test_a_drawing_is_kept_exactly_and_a_webp_as_it_is():
    drawing = Image.new("RGB", (60, 40), "white")
    drawing.paste((200, 30, 30), (10, 10, 30, 20))
    kept = Image.open(io.BytesIO(pictures.smaller(packed(drawing, "png"))))
    assert np.array_equal(np.asarray(kept.convert("RGB")), np.asarray(drawing))
    there = packed(drawing, "webp")
    assert pictures.smaller(there) == there


def test_a_film_gets_lighter_and_keeps_its_frames_and_its_time():
    wide = images.photo("panda").pixels(160)
    film = optimise.animated([wide[:, :96, n : n + 96] for n in range(0, 48, 4)], fps=8)
    lighter = pictures.smaller(film)
    assert len(lighter) < 0.8 * len(film)
    before, after = (Image.open(io.BytesIO(content)) for content in (film, lighter))
    assert (after.n_frames, after.info["loop"]) == (12, 0)
    for n in range(12):
        before.seek(n)
        after.seek(n)
        a, b = (np.asarray(one.convert("RGB"), dtype=float) for one in (before, after))
        assert before.info["duration"] == after.info["duration"]
        assert np.abs(a - b).mean() < 6


def test_a_photo_gets_smaller():
    ramp = np.linspace(0, 255, 200)[:, None, None] * np.ones((200, 200, 3))
    wave = 20 * np.sin(np.arange(200) / 3)[None, :, None] * np.array([1, 0.5, 0.2])
    png = packed(Image.fromarray((ramp + wave).clip(0, 255).astype(np.uint8)), "png")
    assert len(pictures.smaller(png)) < len(png)


def test_a_picture_packed_otherwise_does_not_stay_in_an_old_folder(tmp_path, monkeypatch):
    store, photo = pictures.Store(tmp_path, ""), images.photo("panda").path.read_bytes()
    first = store.put(photo)[0]
    monkeypatch.setattr(pictures, "_HOW", b"otherwise")
    assert store.put(photo)[0] != first


def test_equal_pictures_are_one_file(tmp_path):
    store = pictures.Store(tmp_path, "")
    assert store.put(photo(1)) == store.put(photo(1)) != store.put(photo(2))
    assert len(list(tmp_path.iterdir())) == 2


def test_share_alike_pictures_are_credited_and_free_ones_are_not():
    said = pictures.credit(["photos/penguin.jpg", "photos/panda.jpg"])
    assert "penguin" in said
    assert "CC-BY-SA" in said
    assert "panda" not in said
    assert pictures.credit(["photos/panda.jpg", "unknown.jpg"]) == ""


# --- explorers -----------------------------------------------------------------------------------


def drawn(value, kind):
    return {"a": np.full((1, 8, 8), value / 10), "b": np.zeros((1, 8, 8))}, f"{kind} at {value}"


def drawn_with_idle(value, kind, idle):
    return drawn(value, kind)


@pytest.fixture
def found():
    made = explorer.explore(
        drawn_with_idle, value=slider(0, 10, 3, live=True), kind=["one", "two"], idle=slider(0, 5)
    )
    before = made.values
    result = kit.positions(made)
    assert made.values == before
    return json.loads(json.dumps(result))


def test_an_explorer_tells_one_control_at_a_time_where_it_changes_something(found):
    assert [control["label"] for control in found["controls"]] == ["value", "kind"]
    value, kind = found["controls"]
    assert value["options"][value["at"]] == "3"
    assert value["frames"][0]["text"] == "one at 0"
    assert value["frames"][-1]["text"] == "one at 10"
    assert [frame["text"] for frame in kind["frames"]] == ["one at 3", "two at 3"]
    assert found["start"]["text"] == "one at 3"


@pytest.mark.parametrize(("live", "most"), [(True, kit.MOST), (False, kit.FEW)])
def test_a_slider_of_many_places_is_thinned_and_keeps_its_start(live, most):
    made = explorer.explore(lambda x: drawn(x, "x"), x=slider(0, 100, 41, live=live))
    control = kit.positions(made)["controls"][0]
    assert len(control["frames"]) == most
    assert control["options"][control["at"]] == "41"
    assert (control["options"][0], control["options"][-1]) == ("0", "100")


def test_frames_are_no_finer_than_a_screen_shows_and_never_enlarged():
    def draw(side):
        return {"square": np.zeros((3, side, 2 * side))}, f"{side} pixels high"

    frames = kit.positions(explorer.explore(draw, side=[100, 2000]))["controls"][0]["frames"]
    sizes = [Image.open(io.BytesIO(base64.b64decode(frame["image"]))).size for frame in frames]
    assert sizes == [(200, 100), (2.5 * explorer.SIZE, 1.25 * explorer.SIZE)]
    assert [frame["width"] for frame in frames] == [2 * explorer.SIZE] * 2


def test_cells_of_tables_break_only_where_they_can_be_read_on():
    cells = ["1.94e-10", "12.9", "13.7%", "合理性检验", "0.43 (0.37 to 0.49)", "guided backprop"]
    address = "A. Uthor, CC0-1.0, https://commons.wikimedia.org/wiki/File:Neuschwanstein_(5).jpg"
    rows = "".join(f"<td>{cell}</td>" for cell in [*cells, address])
    soup = BeautifulSoup(pages._mended(f"<table><tr>{rows}</tr></table>", ()), "html.parser")
    kinds = [cell.get("class") for cell in soup.select("td")]
    assert kinds == [["whole"]] * 4 + [None, None, ["address"]]


def test_an_explorer_on_a_page_has_a_picture_and_a_control_for_each_that_moves(found, tmp_path):
    text = pages.explorer(found, pictures.Store(tmp_path, "pictures/"), "7-0")
    soup = BeautifulSoup(text, "html.parser")
    assert soup.img["alt"] == "one at 3"
    assert soup.select_one('input[type="range"]')["value"] == "3"
    assert [option.text for option in soup.select("option")] == ["one", "two"]
    kept = json.loads(soup.script.string)["controls"]
    assert all(
        (tmp_path / f["image"].removeprefix("pictures/")).is_file() for f in kept[0]["frames"]
    )


def test_an_explorer_on_a_page_says_what_it_does_not_show(found, tmp_path):
    made = explorer.explore(lambda x: drawn(x, "x"), cannot="a < b", x=slider(0, 3))
    bundle = {"text/html": made.static(), positions.MIME: found}
    nb = lecture("01_filters", new_output("display_data", data=bundle))
    pages._place(nb, pictures.Store(tmp_path, "pictures/"))
    shown = BeautifulSoup(nb.cells[-1].outputs[0].data["text/html"], "html.parser")
    assert shown.select_one(".explorer .course-cannot").text == "What this does not show: a < b"
    assert shown.select_one(".course-static") is None


def test_a_busy_machine_leaves_no_control_out(monkeypatch):
    """What waits for the processor has not cost it anything."""
    clock = iter(range(0, 10_000, 60))
    monkeypatch.setattr(kit.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(kit.time, "monotonic", lambda: next(clock))
    made = explorer.explore(lambda x: drawn(x, "x"), x=slider(0, 3, live=True))
    assert len(kit.positions(made)["controls"]) == 1
    monkeypatch.setattr(kit.time, "process_time", lambda: next(clock))
    assert kit.positions(made)["controls"] == []


def test_explorers_tell_their_positions_only_where_they_are_asked_to(monkeypatch):
    told = []
    monkeypatch.setattr(explorer, "display", lambda bundle, raw: told.append(bundle))
    made = explorer.explore(lambda x: drawn(x, "x"), x=slider(0, 3, live=True))
    monkeypatch.delenv(positions.VARIABLE, raising=False)
    made._ipython_display_()
    monkeypatch.setenv(positions.VARIABLE, "1")
    made._ipython_display_()
    assert [positions.MIME in bundle for bundle in told] == [False, False, True, False]


# --- pages ---------------------------------------------------------------------------------------


@pytest.fixture
def run_already(monkeypatch):
    """`executed` gives small notebooks at once; "05_occlusion" fails."""

    def executed(name, fresh=False):
        if name == "05_occlusion":
            raise executing.LectureError(f"{name}: ValueError: no")
        progress = new_output("stream", name="stderr", text=" 40%|####  | 4/10 [00:01]")
        widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "HBox()"}
        outputs = [progress, new_output("display_data", data=widget), shown(embedded(photo()))]
        return lecture(name, *outputs)

    monkeypatch.setattr(executing, "executed", executed)
    monkeypatch.setattr(executing, "is_kept", lambda name: True)


def test_a_site_has_pages_an_index_a_glossary_and_a_search_and_asks_nothing_of_the_web(
    run_already, tmp_path
):
    assert site.export(tmp_path, ["06_saliency", "07_guided"], decks=True, say=str) == []
    made = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    wanted = {"index.html", "glossary.html", "06_saliency.html", "slides/07_guided.html"}
    assert wanted | {"static/tex-svg.js", "static/reveal/reveal.js", "static/search.js"} <= made
    for file in tmp_path.rglob("*.html"):
        soup = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        loads = soup.select("script[src], link[href], img[src]")
        links = [element.get("src") or element["href"] for element in loads]
        assert links
        for link in links:
            assert link.startswith("data:") or (file.parent / link).is_file(), (file.name, link)
        assert "%|" not in soup.text
        assert "HBox()" not in soup.text
        assert not soup.select("img:not([alt])")


def test_a_page_leads_to_its_neighbours_and_to_pages_instead_of_notebooks(run_already, tmp_path):
    site.export(tmp_path, ["04_last_layer", "06_saliency", "07_guided"], say=str)
    soup = BeautifulSoup((tmp_path / "06_saliency.html").read_text(encoding="utf-8"), "html.parser")
    assert soup.select_one('a[rel="prev"]')["href"] == "04_last_layer.html"
    assert soup.select_one('a[rel="next"]')["href"] == "07_guided.html"
    links = [link["href"] for link in soup.select(".prose a:not(.anchor-link)")]
    assert links == ["07_guided.html#A-part"]  # and none to 08, which has no page
    assert "penguin" in soup.select_one("img + .credit").text


def test_a_lecture_that_fails_is_named_and_the_others_are_written(run_already, tmp_path):
    wrong = site.export(tmp_path, ["05_occlusion", "06_saliency"], say=str)
    assert wrong == ["05_occlusion: ValueError: no"]
    assert (tmp_path / "06_saliency.html").is_file()
    assert not (tmp_path / "05_occlusion.html").exists()
    index = BeautifulSoup((tmp_path / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert len(index.select(".card")) == len(lectures.names())
    assert [a["href"] for a in index.select(".card h2 a")] == ["06_saliency.html"]


def test_the_command_ends_with_an_error_where_a_lecture_fails(run_already, tmp_path):
    from typer.testing import CliRunner

    from course_utils.commands.cli import app

    result = CliRunner().invoke(app, ["html", "05", "06", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "05_occlusion: ValueError: no" in result.output
    result = CliRunner().invoke(app, ["html", "06", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output


def test_pictures_that_no_page_shows_are_removed(run_already, tmp_path):
    old = tmp_path / "pictures" / f"{'0' * 16}.webp"
    old.parent.mkdir()
    old.write_bytes(b"")
    site.export(tmp_path, ["06_saliency"], say=str)
    assert not old.exists()
    assert list(old.parent.glob("*.webp"))


def test_the_search_knows_each_section_and_where_it_stands(run_already, tmp_path):
    site.export(tmp_path, ["06_saliency"], say=str)
    text = (tmp_path / "static" / "search.js").read_text(encoding="utf-8")
    entries = json.loads(re.fullmatch(r"window\.COURSE_TEXTS = (.*);\n", text)[1])
    part = next(entry for entry in entries if entry["heading"] == "A part")
    assert part["place"] == "06_saliency.html#A-part"
    assert "显著性图" in part["text"]


def test_no_solution_is_on_a_page():
    """Pages are made of the students' notebooks: their stubs are what is shown."""
    for name in lectures.names():
        path = paths.root() / "notebooks" / f"{name}.ipynb"
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                assert "raise NotImplementedError()" in cell.source


# --- running -------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course whose notebooks are ours, and a place for what is kept."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(executing.paths, "root", lambda: tmp_path)
    monkeypatch.setattr(runs, "_surroundings", lambda: "the same")
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))

    def write(*sources):
        cells = [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "01_one.ipynb")

    return write


@pytest.mark.slow
def test_a_lecture_is_run_once_and_what_it_read_is_noted(course):
    course("1 + 1", "from course_utils import images\nx = images.photo('panda').pixels()", "2 + 2")
    first = executing.executed("01_one")
    assert [cell.outputs[0].data["text/plain"] for cell in first.cells[::2]] == ["2", "4"]
    assert first.cells[1].metadata["course_reads"] == ["photos/panda.jpg"]
    assert "course_reads" not in first.cells[2].metadata
    assert executing.is_kept("01_one")
    assert executing.executed("01_one") == first


@pytest.mark.slow
def test_a_lecture_that_changed_is_run_again_and_one_that_fails_is_named_and_not_kept(course):
    course("1 + 1")
    executing.executed("01_one")
    course("1 + 2", "raise ValueError('half way')")
    assert not executing.is_kept("01_one")
    with pytest.raises(executing.LectureError, match="01_one: .*half way"):
        executing.executed("01_one")
    assert not executing.is_kept("01_one")


@pytest.mark.slow
def test_a_kernel_that_does_not_start_is_that_lecture_s_failure_and_not_the_end(
    course, monkeypatch, tmp_path
):
    course("1 + 1")
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(20)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(runs, "START_SECONDS", 1)
    with pytest.raises(executing.LectureError, match="01_one: Kernel didn't respond"):
        executing.executed("01_one")
