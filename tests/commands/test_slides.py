"""The verb `slides`: what it starts, on which file; the extension that it needs is found."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from typer.testing import CliRunner

from course_utils.commands import cli, lab, ready, slides
from course_utils.common import paths

LECTURE = "06_saliency.ipynb"


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would be served: (folder, notebook, what is in it at that moment)."""
    calls = []

    def start(folder, notebook, port, browser):
        calls.append((folder, notebook, nbformat.read(folder / notebook, 4)))

    monkeypatch.setattr(slides, "start", start)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    return calls


def run(*words):
    return CliRunner().invoke(cli.app, ["slides", *words])


def code_of(nb):
    return [cell.source for cell in nb.cells if cell.cell_type == "code"]


def test_a_students_own_copy_is_presented_and_not_changed(started, tmp_path):
    own = tmp_path / "work" / LECTURE
    own.parent.mkdir()
    text = (paths.root() / "notebooks" / LECTURE).read_text("utf-8")
    own.write_text(text.replace("raise NotImplementedError()", "return 42"), "utf-8")
    before = own.read_text("utf-8")
    result = run("06")
    assert result.exit_code == 0
    assert "not kept" in result.output
    assert "--ready" in result.output, "nothing says how to get stored pictures"
    ((folder, notebook, shown),) = started
    assert notebook == LECTURE
    assert code_of(shown) == code_of(nbformat.reads(before, 4))
    assert own.read_text("utf-8") == before
    assert not folder.exists()


def test_solutions_are_presented_as_a_copy_that_is_thrown_away(started, tmp_path):
    result = run("saliency", "--solutions")
    assert "not kept" in result.output
    ((folder, _, shown),) = started
    original = paths.root() / "solutions" / LECTURE
    assert folder != original.parent
    assert code_of(shown) == code_of(nbformat.read(original, 4))
    assert not folder.exists()
    assert not (tmp_path / "work").exists()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A lecture of four cells, and what is stored lies beside it."""
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [text("# 07 Small\n\n**Why?**"), code("import sys\nprint('seven', file=sys.stderr)")]
    cells += [code("import os\nprint(os.environ['COURSE_FIGURES'])"), code("1 / 0")]
    path = tmp_path / "07_guided.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_deck_opens_with_the_outputs_of_an_earlier_run(small):
    assert ready.stored(small) is None
    before = small.read_bytes()
    ready.make(small)
    assert small.read_bytes() == before
    outputs = [c.outputs for c in slides.prepared(small).cells if c.cell_type == "code"]
    assert outputs[0] == [], "a warning is kept"
    assert outputs[1][0].text == "slides\n", "figures are not drawn for a room"
    assert outputs[2][0].ename == "ZeroDivisionError"


def test_stored_outputs_are_not_used_for_other_code(small):
    ready.make(small)
    nb = nbformat.read(small, 4)
    nb.cells[0].source = "# 07 Small\n\nOther words change no picture."
    nbformat.write(nb, small)
    assert ready.stored(small) is not None
    nb.cells[2].source = "print('other')"
    nbformat.write(nb, small)
    assert ready.stored(small) is None


def test_what_only_a_living_kernel_can_show_is_not_stored():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "0%| "}
    plain = {"text/html": '<div class="course-static"></div>'}
    make = nbformat.v4.new_output
    assert ready.lasting(make("display_data", view)) is None
    assert ready.lasting(make("display_data", plain)) is not None


def test_a_lecture_is_needed_to_present_one(started):
    result = run()
    assert result.exit_code == 1
    assert "course slides 06" in result.output


def test_an_unknown_lecture_is_refused(started):
    result = run("saliencyy")
    assert result.exit_code == 1
    assert "06_saliency" in result.output
    assert not started


def test_the_page_is_the_slides_of_the_notebook(tmp_path):
    given = slides.arguments(tmp_path, LECTURE, browser=False)
    pages = [g for g in given if "default_url" in g]
    assert pages == [f"--LabApp.default_url=/rise/{LECTURE}"]
    assert len(given) == len(lab.arguments(tmp_path, LECTURE, browser=False))


def test_jupyter_finds_the_extension_and_its_settings(monkeypatch, tmp_path):
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_federated_extensions
    from jupyterlab_server.settings_utils import _get_overrides

    found = get_federated_extensions(jupyter_path("labextensions"))["course-slides"]
    load = found["jupyterlab"]["_build"]["load"]
    assert os.path.isfile(os.path.join(found["ext_path"], load))
    overrides, error = _get_overrides(str(tmp_path))
    assert not error
    # The theme of jupyterlab-rise's own choice asks the web for fonts.
    assert overrides["jupyterlab-rise:plugin"]["theme"] == "white"


def test_the_slide_settings_are_ones_that_jupyterlab_rise_knows():
    import jupyterlab_rise

    assert jupyterlab_rise.__version__
    prefix = lab.environment()["JUPYTER_PATH"].split(os.pathsep)[1]
    schema = os.path.join(
        prefix, "labextensions", "jupyterlab-rise", "schemas", "jupyterlab-rise", "plugin.json"
    )
    with open(schema, encoding="utf-8") as file:
        known = json.load(file)["properties"]
    folder = os.path.join(os.path.dirname(lab.__file__), "jupyter", "config", "labconfig")
    with open(os.path.join(folder, "default_setting_overrides.json"), encoding="utf-8") as file:
        ours = json.load(file)["jupyterlab-rise:plugin"]
    assert set(ours) <= set(known)


def test_a_photo_of_a_telephone_fits_into_one_message(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    from jupyter_server.serverapp import ServerApp

    app = ServerApp()
    app.parse_command_line(
        [g for g in lab.arguments(tmp_path, LECTURE, browser=False) if "LabApp" not in g]
    )
    assert app.tornado_settings["websocket_max_message_size"] >= 100e6


# --- The page's colours ------------------------------------------------------------------------


def colours(dark):
    """The page's variables of one theme, name -> (r, g, b)."""
    folder = os.path.join(os.path.dirname(lab.__file__), "jupyter", "labextensions")
    with open(os.path.join(folder, "course-slides", "static", "slides.css"), encoding="utf-8") as f:
        css = f.read()
    selectors = ["body.rise-enabled {", "body.rise-enabled.deck-dark {"][: 2 if dark else 1]
    blocks = [css.split(one)[1].split("}")[0] for one in selectors]
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6})", "".join(blocks))
    return {name: tuple(int(code[i : i + 2], 16) for i in (0, 2, 4)) for name, code in found}


def luminance(colour):
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    """As WCAG 2 defines it, from 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_both_themes(dark):
    """WCAG AA: 4.5 for text; signs of code count as text, too."""
    page = colours(dark)
    for ink in ("ink", "faint", "accent", "alert"):
        assert contrast(page[f"deck-{ink}"], page["deck-paper"]) >= 4.5, ink
    assert contrast(page["deck-ink"], page["deck-code"]) >= 4.5
    assert contrast(page["deck-line"], page["deck-paper"]) >= 3
    for name in page:
        if name.startswith("jp-mirror"):
            assert contrast(page[name], page["deck-code"]) >= 4.5, name


def test_a_start_compiles_no_grammar_of_addresses():
    """jsonschema would, with lark, at each start of Jupyter: longer than all the rest took."""
    code = (
        "import sys\nfrom course_utils.commands import slides\n"
        "import jupyterlab.labapp, nbclient\nassert 'lark' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
