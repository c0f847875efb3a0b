"""One run over a class with every kind of dishonest and broken submission, and honest ones."""

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import dishonest
import pytest
from typer.testing import CliRunner

from course_utils import cli
from course_utils.grading import engine, report, sandbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LIMITS = sandbox.Limits(call=10, total=240, memory=1 << 30, together=3 << 29, processes=40)
BROKEN = ("huge", "pipe", "link", "folder.ipynb")
NAMES = sorted(dishonest.everyone([]))


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture(scope="module")
def graded(walls, tmp_path_factory):
    """The run, the results by student, what is expected of each, and the folder of results."""
    top = tmp_path_factory.mktemp("class")
    folder, out = top / "in", top / "out"
    folder.mkdir()
    expected = dishonest.hand_in(folder, [folder, out])
    before = digests(folder)
    settings = engine.Settings(limits=LIMITS, seed=7, jobs=2, draw=False)
    run = engine.grade(folder, out, settings, progress=False)
    assert digests(folder) == before, "a submission was changed"
    results = {r["student"]: r for place in run.places if (r := report.load(out, place))}
    report.write(out, run.current)
    return run, results, expected, out


def test_there_are_enough():
    kinds = len(dishonest.VALUES) + len(dishonest.SURROUNDINGS) + len(dishonest.EXHAUSTS)
    assert kinds >= 35
    assert len(NAMES) + len(BROKEN) >= 60


def test_everyone_has_a_result_and_nobody_was_set_aside(graded):
    run, results, expected, _ = graded
    assert set(results) == set(expected)
    assert run.graded == len(expected)
    assert run.aside == 0


@pytest.mark.parametrize("name", [*NAMES, *BROKEN])
def test_the_points_are_those_deserved(graded, name):
    _, results, expected, _ = graded
    result, wanted = results[name], expected[name]
    if wanted.exact:
        assert result["points"] == wanted.most, [e["reason"] for e in result["exercises"]]
    else:
        own = {one["exercise"]: one for one in result["exercises"]}
        assert own["saliency_map"]["points"] == 0
        assert own["saliency_map"]["reason"] or own["saliency_map"]["state"] == "not attempted"
        assert own["smoothgrad"]["points"] == 0
        assert result["points"] <= wanted.most
    assert wanted.words in result["reason"]


# Threads that a function leaves behind are its own exercises' to suffer from: one worker runs all.
@pytest.mark.parametrize("name", [name for name in dishonest.EXHAUSTS if name != "threads"])
def test_the_next_exercise_is_judged_as_ever(graded, name):
    exercises = graded[1][name]["exercises"]
    (one,) = [e for e in exercises if e["exercise"] == "gradient_times_input"]
    assert one["points"] == 1, one["reason"]


def test_nothing_is_left_behind(graded):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "76543.25" not in listed
    assert not Path("/tmp/pwned").exists()
    assert not list(graded[3].rglob("*.part"))


def test_the_reports_hold_everyone(graded):
    _, results, _, out = graded
    table = (out / "class.csv").read_text()
    assert table.count("\n") == len(results) + 1
    pages = [path.read_text() for path in out.glob("*/report.html")]
    assert len(pages) == len(results)
    assert not any("<script" in page or "<b>no" in page for page in pages)


def test_an_appeal_shows_everything(graded):
    out = graded[3]
    order = ["grade", "--replay", "values-0", "saliency_map", "--out", str(out)]
    done = CliRunner().invoke(cli.app, order)
    assert done.exit_code == 0, done.output
    for words in ("seed 7", "stored: wrong, 0 of 1", "now: wrong, 0 of 1", "case 3", "tiny_cnn"):
        assert words in done.output
    assert done.output.count("target: float32 (") == done.output.count("answer: float32 (") == 3
    assert done.output.count("difference: 1 of") == 3


def test_a_platforms_zip_from_the_command_line(walls, tmp_path):
    path, out = tmp_path / "class.zip", tmp_path / "out"
    half = {"gradient_times_input": dishonest.RIGHT["gradient_times_input"].replace("sum", "mean")}
    people = {"Ada L_101": dishonest.RIGHT, "Bob M_102": half}
    with zipfile.ZipFile(path, "w") as archive:
        for who, answers in people.items():
            name = f"{who}_assignsubmission_file_/06_saliency.ipynb"
            archive.writestr(name, json.dumps(dishonest.notebook(answers)))
        archive.writestr("Eve N_103_assignsubmission_onlinetext_/onlinetext.html", "<p>sorry</p>")
    order = ["grade", str(path), "--out", str(out), "--seed", "7"]
    done = CliRunner().invoke(cli.app, order)
    assert done.exit_code == 1, done.output  # one of them handed in no notebook
    for words in ("isolation: bubblewrap", "graded: 3", "Eve N_103", "onlinetext.html"):
        assert words in done.output
    page = (out / "Bob_M_102" / "report.html").read_text()
    assert page.count("data:image/png") == 1
    assert "yours from" in page
    again = CliRunner().invoke(cli.app, order)
    assert "graded: 0, unchanged: 3" in again.output
