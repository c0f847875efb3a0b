"""One run over a class with every kind of dishonest and broken submission, and honest ones."""

import csv
import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

import dishonest
import pytest
from typer.testing import CliRunner

from course_utils import exercises
from course_utils.checking import core, judging, running, sources
from course_utils.commands import cli
from course_utils.grading.trusted import engine, report, sandbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LIMITS = sandbox.Limits(call=9, total=240, memory=1 << 30, together=3 << 29, processes=40)


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink()
    }


def test_there_are_enough():
    kinds = len(dishonest.VALUES) + len(dishonest.SURROUNDINGS) + len(dishonest.EXHAUSTS)
    assert kinds >= 35
    handed = dishonest.everyone([])
    assert len(handed) >= 50
    inside = {name for one in handed for name in one.split(".")}
    assert {*dishonest.SURROUNDINGS, *dishonest.EXHAUSTS} <= inside


def test_nobody_earns_what_is_not_theirs_and_nobody_is_harmed(walls, tmp_path):
    """One test, because the run takes minutes and test processes share nothing."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    expected = dishonest.hand_in(folder, [folder, out])
    before = digests(folder)
    settings = engine.Settings(limits=LIMITS, seed=7, jobs=2, draw=False)
    run = engine.grade(folder, out, settings, progress=False)
    report.write(out, run.current)
    results = {r["student"]: r for place in run.places if (r := report.load(out, place))}
    assert digests(folder) == before, "a submission was changed"
    assert set(results) == set(expected)
    assert (run.graded, run.aside) == (len(expected), 0)
    problems = [line for name in expected for line in wrongs(results[name], expected[name])]
    problems += [line for result in results.values() for line in idle(result)]
    assert not problems, "\n".join(problems)
    nothing_is_left_behind(out)
    the_reports_hold_everyone(results, out)
    an_appeal_shows_everything(out)


def test_what_is_known_by_heart_would_do_on_the_public_check():
    for name in dishonest.BY_HEART:
        pieces = sources.Pieces("saliency_map", "import torch\n" + dishonest.SURROUNDINGS[name])
        exercise = exercises.get("saliency_map")
        cases = exercise.cases(core.PUBLIC_SEED)
        outcomes = running.answers(pieces, cases)
        assert judging.judge(exercise, cases, outcomes, pieces).state == "right"


def idle(result):
    """The attacks in a notebook that did nothing: a sentence each."""
    names = [n for n in result["student"].split(".") if n in dishonest.EVERY]
    own = {one["exercise"]: one["reason"] for one in result["exercises"]}
    for name, exercise in zip(names, ("saliency_map", "smoothgrad"), strict=False):
        by_itself = "FIRED" in dishonest.EVERY[name]
        told = result["printed"] if by_itself else own[exercise]
        if name in dishonest.BY_HEART or re.search(
            dishonest.FIRES.get(name, f"FIRED {exercise}"), told
        ):
            continue
        yield f"{name} did nothing: {told[:200]!r}"


def wrongs(result, wanted):
    """What is not as it should be with one result: a sentence each."""
    who, own = result["student"], {one["exercise"]: one for one in result["exercises"]}
    if wanted.words not in result["reason"]:
        yield f"{who}: {result['reason']!r} lacks {wanted.words!r}"
    if wanted.exact:
        if result["points"] != wanted.most:
            yield f"{who}: {result['points']} points, not {wanted.most}"
        return
    if result["points"] > wanted.most:
        yield f"{who}: {result['points']} points, too many"
    for name in ("saliency_map", "smoothgrad"):
        if own[name]["points"]:
            yield f"{who}: {name} earns points"
        if not (own[name]["reason"] or own[name]["state"] == "not attempted"):
            yield f"{who}: no reason for {name}"
    # Threads that a function leaves behind are its own exercises' to suffer from: one worker each.
    after = own["gradient_times_input"]
    exhausts = set(who.split(".")) & set(dishonest.EXHAUSTS) - {"threads"}
    if exhausts and after["points"] != 1:
        yield f"{who}: the next exercise has {after['points']} points: {after['reason']}"


def nothing_is_left_behind(out):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "76543.25" not in listed
    assert not Path("/tmp/pwned").exists()
    assert not list(out.rglob("*.part"))


def the_reports_hold_everyone(results, out):
    assert (out / "class.csv").read_text().count("\n") == len(results) + 1
    pages = [path.read_text() for path in out.glob("*/report.html")]
    assert len(pages) == len(results)
    table = csv.DictReader((out / "class.csv").read_text("utf-8-sig").splitlines())
    rows = {r["student"]: r["to_look_at"] for r in table}
    assert "smoothgrad: cannot be outlined (exec, b64decode" in rows["z-copied"]
    assert not any("<script" in page or "<b>no" in page for page in pages)


def an_appeal_shows_everything(out):
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
    order = ["grade", str(path), "--out", str(out), "--seed", "7", "--jobs", "1"]
    done = CliRunner().invoke(cli.app, order)
    assert done.exit_code == 1, done.output  # one of them handed in no notebook
    for words in ("isolation: bubblewrap", "graded: 3", "Eve N_103", "onlinetext.html"):
        assert words in done.output
    page = (out / "Bob_M_102" / "report.html").read_text()
    assert page.count("data:image/png") == 1
    assert "yours from" in page
    again = CliRunner().invoke(cli.app, order)
    assert "graded: 0, unchanged: 3" in again.output
