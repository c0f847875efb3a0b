"""The verb `slides`: what it starts, on which file; the extension that it needs is found."""

import json
import os

import pytest
from typer.testing import CliRunner

from course_utils.commands import cli, lab, slides
from course_utils.common import paths

LECTURE = "06_saliency.ipynb"


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would be served: (folder, notebook, its text at that moment)."""
    calls = []

    def start(folder, notebook, port, browser):
        calls.append((folder, notebook, (folder / notebook).read_text("utf-8")))

    monkeypatch.setattr(slides, "start", start)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    return calls


def run(*words):
    return CliRunner().invoke(cli.app, ["slides", *words])


def test_a_students_own_copy_is_presented(started, tmp_path):
    assert run("06").exit_code == 0
    ((folder, notebook, _),) = started
    assert (folder, notebook) == (tmp_path / "work", LECTURE)


def test_solutions_are_presented_as_a_copy_that_is_thrown_away(started, tmp_path):
    result = run("saliency", "--solutions")
    assert "not kept" in result.output
    ((folder, notebook, text),) = started
    original = paths.root() / "solutions" / LECTURE
    assert folder != original.parent
    assert text == original.read_text("utf-8")
    assert not folder.exists()
    assert not (tmp_path / "work").exists()


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
