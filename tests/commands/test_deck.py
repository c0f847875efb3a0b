"""Decks: what stands on which slide, for small notebooks and for every lecture."""

import re

import nbformat
import pytest

from course_utils.commands import deck, ready
from course_utils.common import lectures, paths

text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell


def cut(*cells):
    """The slides of some cells, each as (kind, title, [(role, source)])."""
    return grouped(deck.cut(nbformat.v4.new_notebook(cells=list(cells))))


def grouped(nb):
    found = []
    for cell in nb.cells:
        told = cell.metadata.deck
        if "kind" in told:
            found.append((told, cell.source.lstrip("# "), []))
        else:
            found[-1][2].append((told["role"], cell.source))
    return found


def kinds(found):
    return [told["kind"] for told, _, _ in found]


def test_a_question_stands_alone_and_its_answer_comes_after():
    asked = "## Cats\n\nThis is a cat.\n\n**Question.** Is it a dog?"
    found = cut(text(asked), code("x = 1"), code("show.images([x], alt='no dog')"), text("No."))
    assert kinds(found) == ["question", "picture"]
    assert [role for role, _ in found[0][2]] == ["text", "question"]
    assert [role for role, _ in found[1][2]] == ["hidden", "picture", "text"]
    assert found[1][1] == "Cats"


def test_what_is_asked_right_below_a_picture_stands_beside_it():
    figure = code("show.images([x], alt='six photos')")
    asked, told = text("**Question.** What do they share?"), text("Their eyes.")
    found = cut(text("## Cats"), figure, asked, told, figure)
    assert kinds(found) == ["picture", "picture"]
    assert [role for role, _ in found[0][2]] == ["picture", "question"]
    assert found[1][2][0] == ("lead", "Their eyes.")
    found = cut(text("## Cats"), figure, text("All have eyes.\n\n" + asked.source), told)
    assert kinds(found) == ["picture", "question", "text"]


def test_what_is_about_the_next_figure_stands_with_it():
    figure = code("show.images([x], alt='six photos')")
    found = cut(text("## Cats"), figure, text("One.\n\nNow others."), code("y = 2"), figure)
    assert [cells[-1] for _, _, cells in found] == [("text", "One."), ("picture", figure.source)]
    assert found[1][2][0] == ("lead", "Now others.")
    found = cut(text("## Cats"), figure, text("One."), text("Now others."), figure)
    assert found[1][2][0] == ("lead", "Now others."), "in a cell of its own"
    found = cut(text("## Cats"), figure, text("One. In numbers:"), figure)
    assert [source for _, source in found[1][2]] == ["In numbers:", figure.source]
    moved = code("widgets.explorer()")
    found = cut(text("## Cats"), figure, text("Move the slider."), moved)
    assert [source for _, source in found[1][2]] == ["Move the slider.", moved.source]


def test_a_line_that_announces_a_list_stands_with_its_beginning():
    items = "\n".join(f"- {'so it is measured ' * 6}" for _ in range(8))
    found = cut(text(f"## Cats\n\nWhat *both* say:\n\n{items}"))
    assert len(found) > 1
    assert [source for _, source in found[0][2]][0] == "What *both* say:"
    assert found[0][2][1][1].startswith("- so it is measured")


def test_the_first_slide_says_a_sentence_more_and_the_second_what_one_can_do():
    first = "# 10 Ascent\n\n**Why?**\n\nNo photo\nfrom here on.\n\nAfter this you can\n- climb."
    found = cut(text(f"{first}\n\nAbout 75 minutes."))
    assert [title for _, title, _ in found] == ["10 Ascent", "After this you can"]
    assert [source for _, source in found[0][2]] == ["**Why?**", "No photo\nfrom here on."]
    assert found[1][0]["notes"] == "About 75 minutes."


def test_only_the_first_paragraph_of_a_comment_is_cut():
    long = "It is measured. " * 15
    found = cut(
        text("## Cats"), code("show.bars([], [], 'x')"), text(f"One.\n\nTwo limits. {long}")
    )
    assert [told["kind"] for told, _, _ in found] == ["picture", "text"]
    assert found[1][2][0][1].startswith("Two limits. It is")


def test_two_figures_are_two_slides_each_with_its_comment():
    figure = code("show.lines({}, 'x', 'y', 'alt')")
    found = cut(
        text("## Cats\n\nLook."), figure, text("One."), figure, code("print(1)"), text("Two.")
    )
    assert kinds(found) == ["picture", "picture"]
    assert found[0][2][0] == ("lead", "Look.")
    assert [source for _, source in found[1][2]][1:] == ["print(1)", "Two."]


def test_what_would_join_on_to_the_end_of_a_cut_comment_stands_alone():
    long = "It is so. " + "It was measured with many photos and many seeds. " * 5
    figure = code("show.bars([], [], 'x')")
    found = cut(text("## Cats"), figure, text(long), code("assert 1"), text("Nor are dogs."))
    assert kinds(found) == ["picture", "text"]
    assert "Nor are dogs." not in [source for _, source in found[0][2]]
    assert "Nor are dogs." in [source for _, source in found[1][2]]
    whole = cut(text("## Cats"), figure, text("It is so."), code("assert 1"), text("Nor are dogs."))
    assert kinds(whole) == ["picture"]


def test_what_a_cell_before_a_figure_prints_is_seen():
    """The builder cuts a figure off its cell; what announces the print would announce nothing."""
    printing, drawing = code("print(1 / 3)"), code("x = 1")
    for cell in (printing, drawing):
        cell.metadata["course"] = {"before": "a figure"}
    assert (deck.role(printing), deck.role(drawing)) == ("print", "quiet")
    figure = code("show.images([1], alt='x')")
    found = cut(text("## Cats\n\nA third of it:"), printing, figure)
    assert [role for role, _ in found[0][2]] == ["lead", "print", "picture"]


def test_a_helper_is_hidden_and_code_that_is_marked_stands_large():
    helper, method = code("def tiles(x):\n    return x"), code("def ascend(x):\n    return x + 1")
    method.metadata["slideshow"] = {"slide_type": "slide"}
    found = cut(text("## Cats\n\nUphill:"), helper, method, code("show.images([1], alt='x')"))
    assert kinds(found) == ["code", "picture"]
    assert found[0][2] == [("lead", "Uphill:"), ("hidden", helper.source), ("code", method.source)]
    assert [role for role, _ in found[1][2]] == ["picture"]


def test_a_long_comment_is_cut_at_a_sentence_and_the_rest_is_in_the_notes():
    long = " ".join(f"Sentence {i} has six words here." for i in range(20))
    ((told, _, cells),) = cut(text("## Cats"), code("show.bars([], [], 'x')"), text(long))
    shown = cells[-1][1]
    assert deck.words(shown) <= deck.COMMENT
    assert f"{shown} {told['notes']}" == long


def test_a_formula_has_a_slide_of_its_own():
    found = cut(text("## Cats"), code("show.bars([], [], 'x')"), text("So\n$$x = y$$\nholds."))
    assert kinds(found) == ["picture", "text"]


def test_an_exercise_has_its_code_hints_and_known_mistakes():
    graded = {"schema_version": 3, "locked": False, "task": False}
    stub = code("def area(x):\n    raise NotImplementedError()")
    stub.metadata["nbgrader"] = graded | {"grade_id": "area", "solution": True, "grade": False}
    check = code("check('area', area)")
    check.metadata["nbgrader"] = graded | {
        "grade_id": "area-check",
        "solution": False,
        "grade": True,
    }
    asked = "**Exercise 1 (easy, 5 minutes).** Write it.\n\n"
    asked += "<details><summary>Hint</summary>x*x</details>"
    nb = nbformat.v4.new_notebook(cells=[text("## Squares"), text(asked), stub, check])
    found = grouped(deck.cut(nb, {"area": ["You took the circumference."]}, ["area"]))
    assert kinds(found)[-2:] == ["code", "picture"]
    told, title, cells = found[-2]
    assert title == "Exercise 1 (easy, 5 minutes)"
    assert cells == [("lead", "Write it."), ("code", stub.source)]
    assert "circumference" in told["notes"]
    assert "x*x" in told["notes"]
    assert told["minutes"] == 5
    plain = grouped(deck.cut(nb))
    assert [role for role, _ in plain[-1][2]] == ["lead", "code", "check"], "a slide of one line"


def test_what_is_marked_for_the_speaker_or_skipped_is_on_no_slide():
    spoken, kept = text("Say hello."), code("import torch")
    spoken.metadata["slideshow"] = {"slide_type": "notes"}
    kept.metadata["slideshow"] = {"slide_type": "skip"}
    ((told, _, cells),) = cut(text("## Cats\n\nMiaow."), spoken, kept)
    assert told["notes"] == "Say hello."
    assert cells == [("text", "Miaow."), ("skip", "import torch")]


@pytest.mark.parametrize("name", lectures.names())
class TestEveryLecture:
    @pytest.fixture
    def made(self, name):
        notebook = nbformat.read(paths.root() / "notebooks" / f"{name}.ipynb", 4)
        return notebook, deck.cut(notebook, *ready.told(notebook, name))

    def test_no_code_is_lost(self, made):
        notebook, nb = made
        nbformat.validate(nb)
        code_of = [[c.source for c in one.cells if c.cell_type == "code"] for one in made]
        assert code_of[0] == code_of[1]

    def test_a_slide_holds_one_idea_and_few_words(self, made):
        """What the browser measures, estimated from the text: runs everywhere, in a second."""
        for told, title, cells in grouped(made[1]):
            roles = [role for role, _ in cells]
            assert sum(role in ("picture", "widget") for role in roles) <= 1, title
            if told["kind"] == "question":
                assert not {"picture", "widget", "print"} & set(roles), title
            shown = sum(deck.words(s) for role, s in cells if role in ("text", "lead", "question"))
            assert shown <= 115, f"{title}: {shown} words"

    def test_code_that_is_shown_can_be_read_from_the_last_row(self, made):
        """At 1280 x 720, 1180 x 560 pixels are left: lines of 100 signs stand at 19 pixels."""
        for _, title, cells in grouped(made[1]):
            for role, source in cells:
                if role == "code":
                    lines = source.split("\n")
                    size = min(1180 / (0.605 * max(map(len, lines))), 560 / (1.35 * len(lines)))
                    assert size >= 11.5, f"{title}: letters of {size:.0f} px"

    def test_the_minutes_add_up_to_the_lectures(self, made):
        notebook, nb = made
        said = re.search(r"(\d+) minutes", notebook.cells[0].source)
        told = sum(cell.metadata.deck.get("minutes", 0) for cell in nb.cells)
        assert said is None or told == pytest.approx(float(said[1]), rel=0.25)
