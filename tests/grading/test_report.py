"""Reports: nothing a student writes becomes markup or a formula, and the counts are right."""

import csv
import io
import json
import re

import pytest
from bs4 import BeautifulSoup

from course_utils import exercises
from course_utils.grading.trusted import judge, replay, report, sandbox
from course_utils.grading.trusted.assignment import Assignment
from course_utils.grading.trusted.report import Row

EVIL = '<script>alert(1)</script>"><img src=x onerror=y>'


def result(student="ada", notebook="06_saliency.ipynb", **fields):
    """A stored result with three exercises, two of them as given."""
    made = judge.empty(notebook, student, "06_saliency", 4711, sandbox.BARE)
    found = []
    for exercise in exercises.all_("06_saliency"):
        one = {"exercise": exercise.name, "title": exercise.title, "state": "not attempted"}
        one |= {"points": 0, "max_points": 1, "reason": "", "mistake": None, "picture": None}
        one |= {"cases": [{"note": "one", "state": "wrong"}], "seconds": 1, "similarity": None}
        found.append(one | fields.pop(exercise.name, {}))
    points = sum(one["points"] for one in found)
    return made | {"state": "graded", "points": points, "exercises": found} | fields


WRONG = {"state": "wrong", "mistake": "no_abs", "reason": "The absolute value is missing."}
RIGHT = {"state": "right", "points": 1.0}


@pytest.fixture
def stored(tmp_path):
    """Writes results and the reports made of them; returns the folder."""

    def write(*results, rules=None):
        places = []
        for number, one in enumerate(results):
            places.append(f"{one['student'].split()[0]}/{number}")
            judge.write(one, tmp_path, places[-1])
        report.write(tmp_path, [*places, "gone/nothing"], rules)
        return tmp_path

    return write


PRINTS = report.Rules(Assignment(prints=True))


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_the_class_as_a_table(stored):
    out = stored(result("ada", saliency_map=RIGHT), result("bob", saliency_map=WRONG))
    ada, bob = rows_of(out / "class.csv")
    assert (ada["student"], ada["points"], ada["saliency_map"]) == ("ada", "1.0", "1.0")
    assert (bob["points"], bob["max_points"], bob["counts"]) == ("0", "3", "yes")


def test_statistics_by_exercise_and_mistake(stored):
    one = {"state": "wrong", "mistake": None, "reason": "?"}
    given = [RIGHT, WRONG, WRONG, one, {}]
    out = stored(*(result(f"s{n}", saliency_map=g) for n, g in enumerate(given)))
    found = {
        (r["exercise"], r["kind"], r["name"]): r["answers"] for r in rows_of(out / "statistics.csv")
    }
    assert found["saliency_map", "state", "right"] == "1"
    assert found["saliency_map", "state", "wrong"] == "3"
    assert found["saliency_map", "mistake", "no_abs"] == "2"
    assert found["saliency_map", "mistake", "(none known)"] == "1"
    page = (out / "class.html").read_text()
    cells = [cell.get_text() for cell in BeautifulSoup(page, "html.parser").select("td")]
    at = cells.index("saliency_map")
    assert cells[at - 1 : at + 5] == ["06", "saliency_map", "1", "3", "1", "0"]
    assert "The absolute value is missing" in page


def test_pages_show_reasons_and_pictures_and_keep_the_seed(stored):
    drawn = WRONG | {"picture": {"png": "aGFsbG8=", "alt": 'a "map"'}, "reason": "See `abs`."}
    out = stored(result("ada", saliency_map=drawn))
    page = (out / "ada" / "report.html").read_text()
    assert "<code>abs</code>" in page
    assert '<img alt="a &quot;map&quot;" src="data:image/png;base64,aGFsbG8=">' in page
    assert "4711" not in page + (out / "class.html").read_text() + (out / "class.csv").read_text()


def test_nothing_a_student_writes_is_markup_or_a_formula(stored):
    bad = WRONG | {"reason": f"stops in your line `{EVIL}` {EVIL}", "mistake": None}
    bad |= {"picture": {"png": EVIL, "alt": EVIL}}
    evil = result(f"eve {EVIL}", f"{EVIL}.ipynb", saliency_map=bad, printed=EVIL)
    out = stored(evil, rules=PRINTS)
    stored(result("=1+1", "@x.ipynb", reason="-2"), result("ada"))
    for page in [*out.glob("*/report.html"), out / "class.html"]:
        text = page.read_text()
        assert set(re.findall(r"<(script|iframe|object|link|base|form)", text)) == set()
        assert not re.search(r"<img(?! alt=)[^>]*>", text)
        assert "Content-Security-Policy" in text
    cells = rows_of(out / "class.csv")[0]
    assert (cells["student"], cells["notebook"], cells["reason"]) == ("'=1+1", "'@x.ipynb", "'-2")


def test_what_the_code_printed_is_no_students_to_read(stored):
    """A function that prints its cases gives away the inputs."""
    one = result("ada", saliency_map=RIGHT, printed="tensor([0.4711")
    page = stored(one) / "ada" / "report.html"
    assert "0.4711" not in page.read_text()
    stored(one, rules=PRINTS)
    assert "0.4711" in page.read_text()


def test_what_is_alike_is_shown_as_something_to_look_at(stored):
    marks = {name: list(range(at, at + 20)) for at, name in ((0, "a"), (0, "b"), (100, "c"))}
    marks["b"] = marks["b"][:15] + [900]
    found = [
        result(name, saliency_map=RIGHT | {"fingerprints": marks[name]}) for name in ("a", "b", "c")
    ]
    by_heart = RIGHT | {"hidden": ["exec", "a text of 900 characters"], "similarity": 0.25}
    found.append(result("d", saliency_map=by_heart))
    out = stored(*found)
    rows = {row["student"]: row for row in rows_of(out / "class.csv")}
    assert rows["a"]["to_look_at"] == "saliency_map: 94% as b's"
    assert rows["b"]["to_look_at"] == "saliency_map: 94% as a's"
    assert rows["c"]["to_look_at"] == ""
    words = "saliency_map: cannot be outlined (exec, a text of 900 characters)"
    assert (rows["d"]["to_look_at"], rows["d"]["similarity"]) == (words, "0.25")
    page = (out / "class.html").read_text()
    assert "Alike is not copied" in page
    assert words in page
    assert "look at" not in (stored(result("z")) / "class.html").read_text()


def lines_of(path):
    """The lines of a page's tables, as text."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return [[cell.get_text() for cell in line.select("td")] for line in soup.select("tr")]


def test_a_student_of_several_notebooks_is_one_line_of_the_class_and_has_an_overview(stored):
    """A whole course handed in is 18 notebooks, and a class of it 500."""
    second = result("ada", "05_occlusion.ipynb", lecture="05_occlusion", saliency_map=WRONG)
    blank = result("ada", "06_old.ipynb")
    out = stored(result("ada", saliency_map=RIGHT), second, blank, result("bob"))
    known = ["06_old.ipynb: graded, does not count", "1 of 6", "1 of 6"]
    assert ["ada", "2", *known] in lines_of(out / "class.html")
    assert ["bob", "06_saliency.ipynb", "", "0 of 3", "0 of 3"] in lines_of(out / "class.html")
    own = lines_of(out / "ada" / "report.html")
    assert ["05_occlusion.ipynb", "graded", "0 of 3", "0 of 3"] in own
    assert "1 of 6" in (out / "ada" / "report.html").read_text()
    assert lines_of(out / "bob" / "report.html") == []


def test_of_several_notebooks_one_counts():
    names = ["06 (2).ipynb", "06.ipynb", "06 (10).ipynb"]
    rows = [Row(name, result("ada", name)) for name in names]
    rows.append(Row("broken", result("ada", "06 (11).ipynb", state="unreadable")))
    rows.append(Row("lost", result("ada", "x.ipynb", state="unreadable", lecture=None)))
    rows.append(Row("bob", result("bob", "y.ipynb", state="unreadable", lecture=None)))
    found = {row.place for row in report.counted(rows) if row.counted}
    assert found == {"06 (10).ipynb", "bob"}


def test_of_two_with_one_name_the_written_one_counts(stored):
    """And where both are written it is said that the choice is not sure."""
    blank, half = result("ada", "old/06.ipynb"), result("ada", "new/06.ipynb", saliency_map=WRONG)
    rows = report.counted([Row("z", blank), Row("a", half)])
    assert [(r.result["notebook"], r.remark) for r in rows if r.counted] == [("new/06.ipynb", "")]
    full = result("ada", "new/06.ipynb", saliency_map=RIGHT)
    for first, second in ((full, half | {"notebook": "old/06.ipynb"}),):
        rows = report.counted([Row("a", first), Row("z", second)])
        (chosen,) = [r for r in rows if r.counted]
        assert chosen.result["notebook"] == "new/06.ipynb"
        assert chosen.remark.endswith("does not count: old/06.ipynb (0 points)")
    out = stored(full, half | {"notebook": "old/06.ipynb"})
    assert "old/06.ipynb (0 points)" in (out / "class.html").read_text()
    remarks = [row["remark"] for row in rows_of(out / "class.csv")]
    assert sum("ambiguous" in remark for remark in remarks) == 1


def test_a_blank_later_one_does_not_replace_a_written_one():
    rows = [Row("a", result("ada", "06.ipynb", saliency_map=RIGHT))]
    rows.append(Row("b", result("ada", "06 (2).ipynb")))
    assert [r.place for r in report.counted(rows) if r.counted] == ["a"]


def test_what_is_no_result_is_left_out(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "06.json").write_text("{")
    (tmp_path / "ada" / "07.json").write_text("[]")
    assert report.load(tmp_path, "ada/06") is report.load(tmp_path, "ada/07") is None
    report.write(tmp_path, ["ada/06", "ada/07"])
    assert rows_of(tmp_path / "class.csv") == []


def test_an_appeal_names_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="no results"):
        replay.replay(tmp_path, "ada", "saliency_map")
    judge.write(result("ada"), tmp_path)
    with pytest.raises(ValueError, match="'ada'"):
        replay.replay(tmp_path, "adda", "saliency_map")
    with pytest.raises(ValueError, match="saliency_map"):
        replay.replay(tmp_path, "ada", "saliency_mop")


def test_texts_of_any_kind_are_stored(tmp_path):
    odd = result("ada", cells=[{"source": "x = '\ud800'", "role": "student", "exercise": None}])
    path = judge.write(odd, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == odd
