"""What the builder adds from all lectures together: the way on, and the glossary."""

import json
import re

import pytest

from course_utils import start_here
from course_utils.commands import build, onward
from course_utils.common import lectures, paths
from course_utils.exercises import all_

FIRSTS = {"00_start_here": "# 00 Start here", "01_one": "# 01 One", "02_two": "no title"}
TABLE = """\
## Key terms

| English | 中文 | meaning |
|---|---|---|
| unit | 单元 | one number of a layer |
| Gram matrix | 格拉姆矩阵 | $\\|x\\|$ of all pairs |

# Papers

| not | a | term |
"""


@pytest.fixture(scope="module")
def texts():
    """All that the lectures give, by name: pages and notebooks."""
    return build._texts(paths.root() / "lectures")


def test_a_lecture_leads_to_the_next_one_and_to_the_map():
    said = onward.way_on("00_start_here", FIRSTS)
    assert said.startswith("**Next:** [01 One](01_one.ipynb) · ")
    assert "(00_start_here.ipynb#The-map-of-the-course)" in said
    assert "[02_two](02_two.ipynb)" in onward.way_on("01_one", FIRSTS)
    assert "Next" not in onward.way_on("02_two", FIRSTS)


def test_a_lecture_by_itself_leads_nowhere():
    assert onward.way_on("03_twice", {"03_twice": "# 03 Twice"}) is None


def test_every_notebook_ends_with_the_way_on():
    for folder in build.OUTPUTS:
        for name in lectures.names():
            path = paths.root() / folder / f"{name}.ipynb"
            last = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][-1]["source"])
            targets = [word for word in lectures.names() if f"({word}.ipynb" in last]
            assert "00_start_here" in targets
            after = lectures.names()[lectures.names().index(name) + 1 :][:1]
            assert set(targets) == {"00_start_here", *after}


def test_the_map_that_is_linked_exists():
    first = (paths.root() / "lectures" / f"{onward.START}.py").read_text(encoding="utf-8")
    assert "\n# ## The map of the course\n" in first


def test_terms_are_read_from_the_table_below_their_heading_only():
    found = lectures.terms("05_five", ["# 05 Five", TABLE])
    assert [term.english for term in found] == ["unit", "Gram matrix"]
    assert found[1] == lectures.Term(
        "Gram matrix", "格拉姆矩阵", r"$\|x\|$ of all pairs", "05_five"
    )


def test_the_glossary_holds_every_term_by_alphabet_and_links_to_its_lecture():
    text = onward.glossary({"05_five": [TABLE], "06_six": ["nothing"]})
    lines = [line for line in text.splitlines() if "notebooks/" in line]
    assert [line.split(" | ")[0] for line in lines] == ["| Gram matrix", "| unit"]
    assert lines[1].endswith("| [05](../notebooks/05_five.ipynb) |")
    assert onward.glossary({"06_six": ["nothing"]}) is None


def test_the_stored_glossary_is_current_and_names_every_lecture(texts):
    stored = (paths.root() / onward.GLOSSARY).read_text(encoding="utf-8")
    assert stored == texts[onward.GLOSSARY]
    assert all(f"notebooks/{name}.ipynb" in stored for name in lectures.names())
    assert len(lectures.glossary()) == stored.count("../notebooks/")


def test_every_term_has_a_chinese_word_and_a_meaning():
    for term in lectures.glossary():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in term.chinese), term
        assert term.english, term
        assert term.meaning, term


def test_every_lecture_says_its_question_its_minutes_and_what_it_needs():
    every = lectures.every()
    assert [lecture.name for lecture in every] == lectures.names()
    numbers = [lecture.number for lecture in every]
    for lecture in every:
        assert lecture.question.endswith(("?", ".")), lecture
        assert 20 <= lecture.minutes <= 120, lecture
        assert all(need in numbers and need < lecture.number for need in lecture.needs), lecture
    assert not every[0].needs
    assert all(lecture.needs for lecture in every[1:])


def test_a_range_of_lectures_means_all_between_and_what_follows_a_semicolon_is_extra():
    text = "# 09 Nine\n\n**Why?**\n\nAbout 90 minutes. You need lectures 05 to 08; 03 for the end."
    assert lectures.about("09_nine", text).needs == ("05", "06", "07", "08")


@pytest.mark.parametrize("lost", ["# 09 Nine", "**Why?**", "About 90 minutes"])
def test_a_first_cell_that_lacks_something_is_named(lost):
    text = "# 09 Nine\n\n**Why?**\n\nAbout 90 minutes."
    with pytest.raises(ValueError, match="09_nine"):
        lectures.about("09_nine", text.replace(lost, ""))


def test_the_map_links_every_lecture_and_its_pictures_have_alternatives():
    shown = start_here.course_map()._repr_mimebundle_()
    for lecture in lectures.every():
        assert f'href="{lecture.name}.ipynb"' in shown["text/html"]
        assert lecture.title in shown["text/plain"]
    assert shown["text/html"].count("<img ") == shown["text/html"].count('<img alt="')
    assert '<img alt=""' not in shown["text/html"]


def test_the_terms_in_the_notebook_are_those_of_the_glossary():
    shown = start_here.glossary()._repr_mimebundle_()
    assert shown["text/html"].count("<tr>") == len(lectures.glossary()) + 1


# --- the page for lecturers ----------------------------------------------------------------------


def cells(*sources):
    return [build.Cell(kind, source, {}, None, 1) for kind, source in sources]


def test_questions_are_the_paragraphs_that_say_so():
    text = "Before.\n\n**Question.** What is\nleft?\n\nAfter.\n\n**Question.** And now?"
    assert onward.questions(cells(("markdown", text))) == ["What is left?", "And now?"]


def test_explorers_come_with_the_paragraph_before_them():
    found = onward.explorers(
        cells(("markdown", "## Try it\n\nMove\nit."), ("code", "x = 1\nwidgets.some_explorer(net)"))
    )
    assert found == ["`some_explorer`: Move it."]


def test_the_page_for_lecturers_is_current_and_complete(texts):
    stored = (paths.root() / onward.TEACHING).read_text(encoding="utf-8")
    assert stored == texts[onward.TEACHING]
    parts = stored.split("\n## ")[1:]
    assert [part[:2] for part in parts] == [name[:2] for name in lectures.names()]
    for exercise in all_():
        said = [
            f"- `{exercise.name}`: {' '.join(m.sentence.split())}" for m in exercise.mistakes[:3]
        ]
        part = next(p for p in parts if p.startswith(exercise.lecture[:2]))
        assert all(line in part for line in said)
        assert f"- `{exercise.name}`: {exercise.title} (" in part
    assert all("**Ask**" in part for part in parts)


def test_the_unit_of_four_weeks_needs_only_what_came_before():
    text = (paths.root() / "docs" / "instructor.md").read_text(encoding="utf-8")
    weeks = re.findall(r"^\| (\d) \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert [week[0] for week in weeks] == ["1", "2", "3", "4"]
    needs, held = {e.number: e.needs for e in lectures.every()}, []
    for _, *sessions, assignment in weeks:
        for number in re.findall(r"\b\d\d\b", " ".join(sessions)):
            if number not in held:
                assert set(needs[number]) <= set(held), number
                held.append(number)
        assert set(re.findall(r"\b\d\d\b", assignment)) <= set(held)


def test_the_talk_takes_eighty_minutes():
    text = (paths.root() / "docs" / "instructor.md").read_text(encoding="utf-8")
    talk = text.split("## One talk of 80 minutes")[1].split("## ")[0]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", talk, re.MULTILINE))) == 80


def test_the_shortest_ways_on_the_map_hold_all_that_is_needed():
    first = (paths.root() / "lectures" / f"{onward.START}.py").read_text(encoding="utf-8")
    said = re.search(r"that maps must pass are ([\d, ]+) and (\d\d), (\d\d) to (\d\d)\.", first)
    painting, test = said[1].split(", "), [said[2]]
    test += [f"{n:02d}" for n in range(int(said[3]), int(said[4]) + 1)]
    needs = {lecture.number: lecture.needs for lecture in lectures.every()}
    for way, last in ((painting, "15"), (test, "09")):
        assert way[-1] == last
        for place, number in enumerate(way):
            assert set(needs[number]) <= set(way[:place])
        wanted = {last}.union(*(needs[number] for number in way))
        assert set(way) == wanted
