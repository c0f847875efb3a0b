"""A notebook is run once and kept: for which code, for whom, and until when."""

import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.commands import runs


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A notebook of two cells in a folder of a student's."""
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(runs, "_surroundings", lambda: "the same")
    path = tmp_path / "work" / "07_guided.ipynb"
    path.parent.mkdir()
    cells = [new_markdown_cell("# Small"), new_code_cell("import os\nos.getcwd()")]
    nbformat.write(new_notebook(cells=[*cells, new_code_cell("os.environ['ASKED']")]), path)
    return path


def said(nb):
    return [c.outputs[0].data["text/plain"].strip("'") for c in nb.cells if c.cell_type == "code"]


def test_a_run_has_a_folder_and_variables_of_its_own_and_leaves_neither(notebook):
    before = notebook.read_bytes()
    folder, asked = said(runs.run(notebook, "decks", {"ASKED": "slides"}))
    assert asked == "slides"
    assert not os.path.exists(folder)
    assert "ASKED" not in os.environ
    assert notebook.read_bytes() == before


def test_what_is_kept_belongs_to_its_purpose_its_code_and_what_it_reads(notebook, monkeypatch):
    made = runs.run(notebook, "decks", {"ASKED": "slides"})
    assert runs.kept(notebook, "decks") == made
    assert runs.kept(notebook, "html") is None
    nb = nbformat.read(notebook, 4)
    nb.cells[0].source = "# Other words"
    nbformat.write(nb, notebook)
    assert said(runs.kept(notebook, "decks")) == said(made)
    assert runs.kept(notebook, "decks").cells[0].source == "# Other words"
    monkeypatch.setattr(runs, "_surroundings", lambda: "other code, or other photos")
    assert runs.kept(notebook, "decks") is None


def test_students_and_solved_notebooks_are_kept_apart(notebook):
    solved = notebook.parent.parent / "solutions" / notebook.name
    assert runs.place(notebook, "decks") != runs.place(solved, "decks")


def test_the_key_tells_the_courses_own_code_and_data_apart(tmp_path, monkeypatch):
    """A photo that is exchanged, or a helper that is mended, makes old pictures wrong."""
    (tmp_path / "course_utils" / "commands").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(runs.paths, "root", lambda: tmp_path)
    monkeypatch.setattr(runs.paths, "data", lambda: tmp_path / "data")
    found = []
    for name in ("course_utils/cam.py", "data/panda.jpg", "course_utils/commands/deck.py"):
        (tmp_path / name).write_text("something")
        runs._surroundings.cache_clear()
        found.append(runs.key(new_notebook()))
    runs._surroundings.cache_clear()
    assert found[0] != found[1] == found[2], "commands make no pictures"
