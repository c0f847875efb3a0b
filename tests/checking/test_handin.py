"""`course check` and `course submit` on notebook files."""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest
from typer.testing import CliRunner

from course_utils import exercises
from course_utils.checking import handin
from course_utils.commands.cli import app
from course_utils.common import paths


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    shutil.copy(paths.root() / "solutions/06_saliency.ipynb", tmp_path)
    shutil.copy(paths.root() / "notebooks/00_start_here.ipynb", tmp_path)
    return tmp_path


def course(*arguments):
    return CliRunner().invoke(app, list(arguments))


def edit(path, name, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["id"] == name:
            cell["source"] = change("".join(cell["source"]))
    path.write_text(json.dumps(content), encoding="utf-8")


def test_check_prints_a_table_of_all_notebooks(work):
    (work / "06_saliency.v0123456789ab.ipynb").write_text("a newer version put beside")
    edit(work / "06_saliency.ipynb", "saliency_map", lambda s: s.replace(".abs()", ""))
    result = course("check")
    assert result.exit_code == 0
    assert "00_start_here.ipynb: 0 of 2 points" in result.output
    assert "top_classes    not attempted" in result.output
    assert "saliency_map          wrong, because: The absolute value is missing" in result.output
    assert "gradient_times_input  right" in result.output


def test_check_one_lecture_or_file(work):
    for wanted in ("06", "saliency", str(work / "06_saliency.ipynb")):
        result = course("check", wanted)
        assert result.output.startswith("06_saliency.ipynb: 3 of 3 points")
        assert "00_start" not in result.output
    assert "'06_saliency'" in course("check", "salency").output


def test_lecture_cells_do_not_run(work):
    content = json.loads((work / "06_saliency.ipynb").read_text(encoding="utf-8"))
    loud = {"cell_type": "code", "id": "06-00000000", "source": "1 / 0", "metadata": {}}
    content["cells"].insert(0, loud | {"outputs": [], "execution_count": None})
    (work / "06_saliency.ipynb").write_text(json.dumps(content), encoding="utf-8")
    assert "3 of 3 points" in course("check", "06").output


def test_one_bad_file_does_not_hide_the_others(work):
    (work / "00_start_here.ipynb").write_text("{")
    result = course("check")
    assert result.exit_code == 1
    assert "cannot be read as a notebook" in result.output
    assert "3 of 3 points" in result.output


def test_submit_never_replaces_a_zip(work):
    before = (work / "06_saliency.ipynb").read_bytes()
    first, second = course("submit", "06"), course("submit", "06")
    assert "06_saliency.zip" in first.output
    assert "06_saliency-2.zip" in second.output
    for name in ("06_saliency.zip", "06_saliency-2.zip"):
        with zipfile.ZipFile(work / name) as file:
            assert file.namelist() == ["06_saliency.ipynb"]
            assert file.read("06_saliency.ipynb") == before
    assert (work / "06_saliency.ipynb").read_bytes() == before
    assert "Not right yet" not in first.output


def test_submit_warns_about_unfinished_exercises(work):
    result = course("submit", "start_here")
    assert result.exit_code == 0
    assert "Not right yet: capture_layer, top_classes." in result.output
    assert (work / "00_start_here.zip").is_file()


def test_submit_without_a_notebook(work):
    (work / "06_saliency.ipynb").unlink()
    result = course("submit", "06")
    assert result.exit_code == 1
    assert "course lab" in result.output


def test_of_several_notebooks_the_student_says_which_counts(work):
    copied = work / "06_saliency-Copy1.ipynb"
    shutil.copy(work / "06_saliency.ipynb", copied)
    refused = course("submit", "06")
    assert refused.exit_code == 1
    assert "Say which one counts" in refused.output
    assert "06_saliency-Copy1.ipynb" in refused.output
    assert not list(work.glob("*.zip"))
    assert course("check", "06").output.count("3 of 3 points") == 2
    for named in (str(copied), copied.name, copied.stem):
        assert f"In it: {copied.name}" in course("submit", named).output
    (work / "06_saliency.ipynb").unlink()
    assert f"In it: {copied.name}" in course("submit", "saliency").output


def inside(zipped):
    with zipfile.ZipFile(zipped) as file:
        return sorted(file.namelist())


def test_several_lectures_in_one_zip(work):
    said = course("submit", "06", "00", "saliency").output
    assert said.startswith(f"Hand in {work / 'lectures.zip'}")
    assert inside(work / "lectures.zip") == ["00_start_here.ipynb", "06_saliency.ipynb"]
    assert "06_saliency.ipynb: 3 of 3 points" in said
    assert "Not right yet: capture_layer, top_classes." in said


def test_without_a_name_all_that_is_begun_is_handed_in(work):
    """An untouched notebook and one's own notes stay; a damaged one is packed, and it is said."""
    notes = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    (work / "Untitled.ipynb").write_text(json.dumps(notes), encoding="utf-8")
    course("submit")
    assert inside(work / "06_saliency.zip") == ["06_saliency.ipynb"]
    (work / "05_occlusion.ipynb").write_text("{")
    result = course("submit")
    assert inside(work / "lectures.zip") == ["05_occlusion.ipynb", "06_saliency.ipynb"]
    assert result.exit_code == 1
    assert "3 of 3 points" in result.output
    assert "05_occlusion.ipynb cannot be read" in result.output
    shutil.copy(work / "06_saliency.ipynb", work / "again.ipynb")
    assert "several are 06_saliency" in course("submit").output
    assert not (work / "lectures-2.zip").exists()


def test_where_nothing_is_begun_nothing_is_packed(work):
    (work / "06_saliency.ipynb").unlink()
    refused = course("submit")
    assert refused.exit_code == 1
    assert "nothing is begun" in refused.output
    assert not list(work.glob("*.zip"))


def test_a_notebook_elsewhere_under_any_name(work, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("downloads") / "Untitled 3.ipynb"
    content = json.loads((work / "06_saliency.ipynb").read_text(encoding="utf-8"))
    content["metadata"] = {}
    elsewhere.write_text(json.dumps(content), encoding="utf-8")
    assert "Untitled 3.ipynb: 3 of 3 points" in course("check", str(elsewhere)).output
    assert "Hand in" in course("submit", str(elsewhere)).output
    assert elsewhere.with_suffix(".zip").is_file()


def test_notes_of_ones_own_are_no_fault(work):
    notes = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    (work / "Untitled.ipynb").write_text(json.dumps(notes), encoding="utf-8")
    every = course("check")
    assert every.exit_code == 0
    assert "Untitled.ipynb: no exercises" in every.output
    assert course("check", "Untitled").exit_code == 1


ENDS = {
    "raises": "raise KeyboardInterrupt",
    "exits": "import sys; sys.exit(3)",
    "needs a variable": "return photo",
}


@pytest.mark.parametrize("how", ENDS)
def test_the_zip_is_made_whatever_the_check_does(work, how):
    body = f"def saliency_map(model, x, classes):\n    {ENDS[how]}"
    edit(work / "06_saliency.ipynb", "saliency_map", lambda s: body)
    said = course("submit", "06").output
    assert said.startswith("Hand in")
    assert (work / "06_saliency.zip").is_file()


@pytest.mark.slow
def test_the_zip_is_made_even_if_the_process_dies(work):
    body = "def saliency_map(model, x, classes):\n    import os; os._exit(7)"
    edit(work / "06_saliency.ipynb", "saliency_map", lambda s: body)
    order = [sys.executable, "-m", "course_utils.commands.cli", "submit", "06"]
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout.startswith("Hand in")
    assert (work / "06_saliency.zip").is_file()


def test_the_zip_of_a_damaged_notebook_is_made_and_it_is_said(work):
    (work / "06_saliency.ipynb").write_text("{")
    result = course("submit", "06")
    assert result.exit_code == 1
    assert "The zip is made, but it cannot be graded as it is" in result.output
    assert (work / "06_saliency.zip").is_file()


def test_rows_follow_the_registry(work):
    rows = handin.table(work / "00_start_here.ipynb")
    assert [r.exercise for r in rows] == exercises.all_("00_start_here")
    assert handin.lines(work / "x.ipynb", []) == ["x.ipynb: no exercises"]
