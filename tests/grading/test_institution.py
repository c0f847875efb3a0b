"""What an institution needs around grading: rules, rosters, decisions that last, other systems."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from submitted import RIGHT, notebook
from test_report import RIGHT as FULL
from test_report import WRONG, result, rows_of
from typer.testing import CliRunner

from course_utils.commands import cli
from course_utils.grading.trusted import (
    assignment,
    bundle,
    collect,
    desk,
    exports,
    judge,
    marks,
    report,
    roster,
)
from course_utils.grading.trusted.assignment import Assignment, AssignmentError
from course_utils.grading.trusted.journal import Journal
from course_utils.grading.trusted.report import Row

GOOD = json.dumps(notebook(RIGHT))
ASKED = """
title = "Sheet 3"
lectures = ["06"]
deadline = 2026-11-30T23:59:00
late = [{hours = 72, keeps = 0.5}, {hours = 24, keeps = 0.8}]
attempts = 2
counts = "best"
partial = false
[points]
saliency_map = 4
smoothgrad = 0
"""
PARTLY = WRONG | {"points": 0.33}


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    """A folder of results with a journal, as a run leaves it."""

    def made(*results):
        places = [f"{r['student'].split()[0]}/{n}" for n, r in enumerate(results)]
        with Journal(tmp_path / "out") as journal:
            for place, one in zip(places, results, strict=True):
                judge.write(one, tmp_path / "out", place)
                journal.add("graded", place=place, key=place, state="graded")
            journal.add("run", seed=1, source="a", places=places)
        return tmp_path / "out"

    return made


# ------------------------------------------------------------------ assignment.toml


def test_an_assignment_as_it_is_meant(tmp_path):
    asked = assignment.read(written(tmp_path / "a.toml", ASKED))
    assert asked.lectures == ("06_saliency",)
    assert (asked.title, asked.partial, asked.counts, asked.attempts) == (
        "Sheet 3",
        False,
        "best",
        2,
    )
    assert [asked.kept(f"2026-12-0{day} 00:59:00") for day in (1, 2, 3, 5)] == [
        *((1.0, 0.8), (25.0, 0.5), (49.0, 0.5), (97.0, 0.0))
    ]
    assert asked.kept("2026-11-30 23:00:00") == (0.0, 1.0)
    assert asked.kept("") == (None, 1.0)
    mark = marks.mark(result(saliency_map=FULL, gradient_times_input=PARTLY), asked)
    assert (mark.points, mark.most) == (4, 5)
    assert not marks.mark(result(lecture="05_occlusion"), asked).most


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deadlin = 3", "deadline"),
        ('deadline = "tomorrow"', "accepted: a date and a time"),
        ('lectures = ["66"]', "lecture"),
        ("lectures = 6", "accepted: a list"),
        ('counts = "worst"', "accepted: last, best, first"),
        ("attempts = -1", "whole number"),
        ("attempts = true", "whole number"),
        ("seed = 3000000000", "0 to 2,147,483,647"),
        ("late = [{hours = 3}]", "accepted: a list such as"),
        ("late = [{hours = 3, keeps = 1.5}]", "keeps = 1.5; accepted: a number, 0 to 1"),
        ('partial = "no"', "true or false"),
        ("[points]\nsaliency_mop = 3", "saliency_map"),
        ("[points]\nsaliency_map = -1", "points.saliency_map = -1"),
        ('lectures = ["05"]\n[points]\nsaliency_map = 1', "saliency_map"),
        ("title = ", "is not TOML"),
        ("title = 3", "a text"),
    ],
)
def test_what_is_no_assignment_is_named(tmp_path, line, words):
    with pytest.raises(AssignmentError, match=r"a\.toml") as caught:
        assignment.read(written(tmp_path / "a.toml", line))
    assert words in str(caught.value)


def test_which_of_several_counts():
    names = ["06.ipynb", "06 (2).ipynb", "06 (3).ipynb", "06 (4).ipynb"]
    points = [WRONG, FULL, WRONG, FULL | {"points": 1.0}]
    rows = [
        Row(name, result("ada", name, saliency_map=one))
        for name, one in zip(names, points, strict=True)
    ]

    def counts(**fields):
        (one,) = [r.place for r in report.counted(rows, Assignment(**fields)) if r.counted]
        return one

    assert counts() == "06 (4).ipynb"
    assert counts(counts="first") == "06.ipynb"
    assert counts(counts="best") == "06 (4).ipynb"
    assert counts(counts="best", attempts=3) == "06 (2).ipynb"
    assert counts(attempts=3) == "06 (3).ipynb"
    rows.append(Row("blank", result("ada", "06 (0).ipynb")))
    assert counts(counts="first", attempts=1) == "06.ipynb"


# ------------------------------------------------------------------ roster, decisions, deletion

ROSTER = "Surname,First name,ID number,Email address\nLovelace,Ada,s1,ada@a.example\n"
ROSTER += "\u738b,\u5c0f\u660e,s2,wang@a.example\nNoether,Emmy,s3,emmy@a.example\n"


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "gb18030"])
def test_people_are_found_as_platforms_name_them(tmp_path, code):
    (tmp_path / "r.csv").write_bytes(ROSTER.encode(code))
    people = roster.read(tmp_path / "r.csv")
    names = ["Ada Lovelace_4711", "lovelaceada_10542", "ada", "s1", "A. Lovelace_1"]
    found = roster.match(people, [*names, "\u738b\u5c0f\u660e_7", "\u5c0f\u660e \u738b"])
    assert [found.get(n) and found[n].id for n in names] == ["s1", "s1", "s1", "s1", None]
    assert {found[n].id for n in found if n not in names} == {"s2"}


def test_two_of_one_name_are_nobodys(tmp_path):
    people = roster.read(written(tmp_path / "r.csv", "id,name\n1,Li Na\n2,Li Na\n"))
    assert roster.match(people, ["Li Na_77"]) == {}
    assert roster.match(people, ["Li Na_2"])["Li Na_2"].id == "2"
    with pytest.raises(roster.RosterError, match="columns id, name, email"):
        roster.read(written(tmp_path / "r.csv", "nothing\n1\n"))


def test_the_table_has_everyone_and_what_is_decided(out, tmp_path):
    came = {"submitted": "2026-12-01 00:59:00", "late": True}
    folder = out(
        result("Ada Lovelace_1", saliency_map=FULL, **came),
        result("Bob M_2", saliency_map=PARTLY),
        result("Eve_3", state="unreadable", exercises=[], points=0, reason="It is damaged."),
    )
    written(folder / roster.NAME, ROSTER)
    written(folder / assignment.NAME, ASKED)
    lines = "student,lecture,exercise,points,remark\nBob M_2,06,saliency_map,2,A typing error.\n"
    lines += "Ada Lovelace_1,06,,'+0.3,\nNobody,06,,1,\n"
    written(folder / marks.NAME, lines)
    with Journal(folder, alone=False) as journal:
        places = journal.current()
    _, remarks = report.write(folder, places, report.kept(folder))
    rows = {row["student"]: row for row in rows_of(folder / "class.csv")}
    ada, bob = rows["Ada Lovelace_1"], rows["Bob M_2"]
    assert (ada["id"], ada["late"], ada["hours_late"]) == ("s1", "LATE", "1.0")
    assert (ada["mark"], ada["out_of"], ada["points"]) == ("3.5", "5.0", "1.0")  # 4 * 0.8 + 0.3
    assert (bob["mark"], bob["instructor"], bob["id"]) == (
        "2.0",
        "A typing error.",
        "not in the roster",
    )
    assert (rows["Emmy Noether"]["counts"], rows["Emmy Noether"]["id"]) == ("absent", "s3")
    assert remarks == [
        "not in the roster: Bob M_2, Eve_3",
        "nothing handed in: \u5c0f\u660e \u738b, Emmy Noether",
        "adjustments.csv, line 4: nothing of 'Nobody' is concerned",
    ]
    page = (folder / "Bob" / "report.html").read_text()
    assert "Your instructor: A typing error." in page
    assert "80% of it is kept" in (folder / "Ada" / "report.html").read_text()
    statistics = rows_of(folder / "statistics.csv")
    assert [r["answers"] for r in statistics if r["name"] == "unreadable"] == ["1"]
    assert "1 unreadable" in (folder / "class.html").read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [("ada,06,,two,", "points = 'two'"), (",06,,1,", "whose"), ("ada,06,x,1,", "no exercise 'x'")],
)
def test_a_decision_that_is_not_clear_is_named(tmp_path, line, words):
    written(tmp_path / marks.NAME, f"student,lecture,exercise,points,remark\n{line}\n")
    with pytest.raises(marks.AdjustmentError, match=words) as caught:
        marks.adjustments(tmp_path)
    assert "line 2" in str(caught.value)


def test_a_student_is_forgotten(out):
    folder = out(result("ada", saliency_map=FULL), result("bob", saliency_map=FULL))
    written(folder / marks.NAME, "student,points,lecture,exercise,remark\nada,+1,,,\nbob,+1,,,\n")
    exports.moodle(folder)
    with pytest.raises(ValueError, match="bob"):
        desk.forget(folder, "bobb")
    done = CliRunner().invoke(cli.app, ["forget", "ada", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    texts = [p.read_bytes() for p in folder.rglob("*") if p.is_file()]
    assert not any(b"ada" in text for text in texts)
    assert not list(folder.rglob("*ada*"))
    assert [row["student"] for row in rows_of(folder / "class.csv")] == ["bob"]
    with Journal(folder) as journal:
        assert journal.current() == ["bob/1"]


def test_pseudonyms_last_and_tell_nothing(tmp_path):
    first = roster.pseudonyms(tmp_path, ["ada", "bob"])
    assert roster.pseudonyms(tmp_path, ["bob"])["bob"] == first["bob"] != first["ada"]
    assert roster.pseudonyms(tmp_path / "other", ["bob"])["bob"] != first["bob"]
    assert (tmp_path / roster.KEY).stat().st_mode & 0o077 == 0


# ------------------------------------------------------------------ what platforms download


@pytest.mark.parametrize(
    ("name", "student", "late", "time"),
    [
        ("lovelaceada_LATE_10542_99321_06.ipynb", "lovelaceada_10542", True, ""),
        ("Sheet_3_ada1_attempt_2026-11-28-18-30-05_06.ipynb", "ada1", False, "2026-11-28 18:30:05"),
        ("Sheet 3_ada1_attempt_2026-11-28-18-30-05.txt", "ada1", False, ""),  # nothing came
        ("Sheet 3_ada1_attempt_2026-99-28-18-30-05_06.ipynb", "ada1", False, ""),
    ],
)
def test_names_of_platforms(tmp_path, name, student, late, time):
    (tmp_path / name).write_text(GOOD)
    (one,) = collect.collect(tmp_path)[0]
    assert (one.student, one.late, one.time) == (student, late, time)


def test_gradescopes_export_has_names_in_a_list(tmp_path):
    listed = "submission_7:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: s1\n"
    listed += "submission_8:\n  :submitters:\n  - :name: '\u738b \u5c0f\u660e'\n"
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("assignment_1_export/submission_metadata.yml", listed)
        for number in (7, 8, 9):
            archive.writestr(f"assignment_1_export/submission_{number}/06.ipynb", GOOD)
    found, _ = collect.collect(tmp_path / "export.zip")
    names = {h.student for h in found}
    assert names == {"Ada Lovelace_7", "\u738b \u5c0f\u660e_8", "submission_9"}


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e".encode("gbk")),
        ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e".encode()),
        ("J\u00fcrgen", "J\u00fcrgen".encode("cp437")),
        ("Andr\u00e9 M\u00fcller", "Andr\u00e9 M\u00fcller".encode("cp437")),
    ],
)
def test_names_in_old_zips(tmp_path, name, raw):
    placeholder = "Q" * len(raw)
    path = tmp_path / "c.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{placeholder}/06.ipynb", GOOD)
        archive.writestr("bob/06.ipynb", GOOD)
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), raw))
    assert {h.student for h in collect.collect(path)[0]} == {"bob", name}


def test_the_whole_course_from_one_student(tmp_path):
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
        for number in range(34):
            archive.writestr(f"work/{number:02}.ipynb", GOOD)
    found, _ = collect.collect(tmp_path)
    assert len(found) == 34
    assert not any(handed.problem for handed in found)


@pytest.mark.parametrize(
    "sign", ["=", "\uff1d", "\uff0b", "\uff0d", "\uff20", " \t=", "\uff1d\uff1d"]
)
def test_no_cell_is_a_formula(sign):
    table = report._csv([[f"{sign}1+1", 3]])
    assert table.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(table[1:]))) == [[f"'{sign}1+1", "3"]]


# ------------------------------------------------------------------ other systems


@pytest.fixture
def class_of_two(out):
    folder = out(
        result("Ada Lovelace_4711", saliency_map=FULL),
        result("Bob M_4712", saliency_map=WRONG, gradient_times_input=FULL, smoothgrad=FULL),
    )
    written(folder / assignment.NAME, 'title = "Sheet 3"\n')
    written(folder / roster.NAME, ROSTER)
    return folder


def test_moodle(class_of_two, tmp_path):
    head = "Identifier,Full name,Grade,Maximum grade,Feedback comments\n"
    sheet = f"{head}Participant 4712,Bob M,,3,\nParticipant 4713,Eve,,3,\n"
    path = exports.moodle(class_of_two, written(tmp_path / "w.csv", sheet))
    bob, eve = rows_of(path)
    assert (bob["Grade"], eve["Grade"]) == ("2", "")
    assert "The absolute value is missing." in bob["Feedback comments"]
    rows = rows_of(exports.moodle(class_of_two))
    assert [(r["ID number"], r["Full name"], r["Sheet 3"]) for r in rows] == [
        *(("s1", "Ada Lovelace", "1.0"), ("", "Bob M", "2.0"))
    ]
    hidden = exports.moodle(class_of_two, pseudonyms=True).read_text()
    assert "student-" in hidden
    assert not any(word in hidden for word in ("Ada", "Bob", "a.example", "4711"))
    with pytest.raises(exports.ExportError, match="no column 'Identifier'"):
        exports.moodle(class_of_two, written(tmp_path / "w.csv", "Name\nx\n"))


def test_canvas(class_of_two, tmp_path):
    book = "Student,ID,SIS User ID,Section,Sheet 3 (99)\nPoints Possible,,,,\nM Bob,4712,x,1,\n"
    path = exports.canvas(class_of_two, written(tmp_path / "g.csv", book))
    possible, bob = rows_of(path)
    assert (possible["Sheet 3 (99)"], bob["Sheet 3 (99)"]) == ("3", "2")
    rows = rows_of(exports.canvas(class_of_two))
    assert [r["Sheet 3"] for r in rows] == ["3.0", "1.0", "2.0"]
    assert [r["ID"] for r in rows] == ["", "4711", "4712"]


def test_no_results_nothing_to_export(tmp_path):
    done = CliRunner().invoke(cli.app, ["export", "moodle", "--out", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "no results" in done.output


@pytest.mark.slow
def test_nbgraders_gradebook(class_of_two, tmp_path, monkeypatch):
    """Through its own API; its own `export` then reads what was put in, twice without harm."""
    pytest.importorskip("nbgrader", exc_type=ImportError)
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", scripts + os.pathsep + os.environ["PATH"])
    root = tmp_path / "course"
    for _ in range(2):
        assert exports.nbgrader(class_of_two, root) == 2
    order = [sys.executable, "-m", "nbgrader", "export", f"--CourseDirectory.root={root}"]
    order.append(f"--CourseDirectory.db_url=sqlite:///{root / 'gradebook.db'}")
    done = subprocess.run([*order, "--to=grades.csv"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {(r["student_id"], r["score"], r["max_score"]) for r in rows_of(root / "grades.csv")}
    assert found == {("s1", "1.0", "3.0"), ("Bob_M_4712", "2.0", "3.0")}
    assert (root / "autograded" / "s1" / "06_saliency" / "06_saliency.ipynb").is_file()


def test_bundles(tmp_path):
    asked = written(tmp_path / "a.toml", ASKED)
    names = bundle.make("student", asked, tmp_path / "s.zip")
    assert sorted(names) == ["06_saliency.ipynb", "README.txt"]
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        words = archive.read("README.txt").decode()
        assert b"BEGIN SOLUTION" not in archive.read("06_saliency.ipynb")
    for said in ("Due: 2026-11-30 23:59", "saliency_map  4 points", "80%", "the best one of the"):
        assert said in words
    assert "smoothgrad" not in words
    names = bundle.make("instructor", asked, tmp_path / "i.zip")
    assert {"solutions/06_saliency.ipynb", "notebooks/06_saliency.ipynb", "assignment.toml"} < {
        *names
    }
    with pytest.raises(bundle.BundleError, match="cannot be made"):
        bundle.make("student", None, tmp_path / "s.zip")


def test_gradescope_is_told_what_cannot_be_read():
    lost = result(state="unreadable", exercises=[], points=0, reason="It is cut off.")
    found = exports.gradescope(report.counted([Row("a", lost)]), report.Rules())
    assert (found["score"], found["output"], found["tests"]) == (0, "It is cut off.", [])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_gradescopes_archive_by_its_own_scripts(walls, tmp_path):
    """In an empty folder, as the container has it; only what setup.sh installs is here already."""
    base, asked = tmp_path / "autograder", written(tmp_path / "a.toml", ASKED)
    done = CliRunner().invoke(
        cli.app,
        ["bundle", "gradescope", "--assignment", str(asked), "--out", str(tmp_path / "g.zip")],
    )
    assert done.exit_code == 0, done.output
    (base / "submission").mkdir(parents=True)
    (base / "results").mkdir()
    subprocess.run(["unzip", "-q", tmp_path / "g.zip", "-d", base / "source"], check=True)
    shutil.copy(base / "source" / "run_autograder", base)
    half = {"saliency_map": RIGHT["saliency_map"]}
    half["gradient_times_input"] = RIGHT["gradient_times_input"].replace("sum", "mean")
    (base / "submission" / "06.ipynb").write_text(json.dumps(notebook(half)))
    about = {"users": [{"name": "Ada"}], "created_at": "2026-12-01T00:59:00"}
    (base / "submission_metadata.json").write_text(json.dumps(about))
    env = {"PATH": os.environ["PATH"], "AUTOGRADER": str(base), "PYTHON": sys.executable}
    subprocess.run([base / "source" / "setup.sh"], env=env, check=True, cwd=tmp_path)
    del env["PYTHON"]
    run = subprocess.Popen([base / "run_autograder"], env=env, cwd=tmp_path)
    assert os.wait4(run.pid, 0)[1] == 0
    found = json.loads((base / "results" / "results.json").read_text())
    assert found["score"] == 3.2  # 4 points, an hour late
    assert [t["score"] for t in found["tests"]] == [4, 0]
    assert [t["max_score"] for t in found["tests"]] == [4, 1]
    assert "1.0 hours late" in found["output"]
    assert found["stdout_visibility"] == "hidden"
    assert all(test["visibility"] == "visible" and test["output"] for test in found["tests"])
