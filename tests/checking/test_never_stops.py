"""A check that fails itself says so; pictures and plain texts do not contradict the verdict."""

import json

import pytest
import torch

from course_utils import exercises
from course_utils.checking import core, handin, judging, notebook, running, wording
from course_utils.checking.core import NOT_JUDGED, RIGHT, WRONG, Verdict
from course_utils.common import paths


@pytest.fixture
def stumbling(monkeypatch):
    """A judge that fails."""

    def judge(*args, **kwargs):
        raise RuntimeError("stack expects each tensor\nto be equal")

    monkeypatch.setattr(judging, "judge", judge)
    monkeypatch.setattr(notebook, "_answers", {})


def saliency_map(model, x, classes):
    return x


def test_check_and_yours_or_ours_go_on(stumbling, capsys):
    assert exercises.check("saliency_map", saliency_map) is None
    said = capsys.readouterr().out
    assert "saliency_map: not judged." in said
    assert "stack expects each tensor" in said
    assert "nothing about your answer" in said
    ours = exercises.yours_or_ours("saliency_map", saliency_map)
    assert ours is exercises.get("saliency_map").reference


def test_a_notebook_is_told_about_and_zipped(stumbling, tmp_path):
    path = tmp_path / "06_saliency.ipynb"
    path.write_bytes((paths.root() / "solutions/06_saliency.ipynb").read_bytes())
    rows = handin.table(path)
    assert {row.verdict.state for row in rows} == {NOT_JUDGED}
    assert all("not judged" in line for line in handin.lines(path, rows)[1:])
    assert handin.pack([path]).is_file()
    json.dumps(handin.lines(path, rows))


def test_a_list_that_holds_itself_is_an_answer_like_any_other():
    def endless(model, x, classes):
        held = []
        held.append(held)
        return held

    exercise = exercises.get("saliency_map")
    cases = exercise.cases(0)
    outcomes = [running.run(endless, case) for case in cases]
    assert judging.judge(exercise, cases, outcomes).state == WRONG


def test_stars_of_code_stay_in_plain_text():
    sentence = "The loss is its *square*, `weight * x.square() * 2`, 2 * 3 and **."
    expected = "The loss is its square, `weight * x.square() * 2`, 2 * 3 and **."
    assert wording.unmarked(sentence) == expected
    exercise = exercises.get("content_loss")
    answer = notebook.Answer(exercise, None, None, (), Verdict(WRONG, sentence))
    assert expected in notebook.text(answer)


# ------------------------------------------------------------------ pictures


def drawing(function, name):
    """What is drawn of an answer, and its text alternative."""
    exercise = exercises.get(name)
    cases = exercise.cases(core.PUBLIC_SEED)
    outcomes = tuple(running.run(function, case) for case in cases)
    verdict = judging.judge(exercise, cases, outcomes)
    pieces = notebook.Pieces(name, "")
    answer = notebook.Answer(exercise, function, pieces, outcomes, verdict)
    return answer, exercise


@pytest.fixture
def live(monkeypatch):
    """Pictures of live functions, without their code."""

    def outcomes(pieces, function, cases):
        return running.answers_of(function, cases)

    monkeypatch.setattr(notebook, "_outcomes", outcomes)


def test_a_wrong_answer_that_is_right_on_the_photo_is_drawn_where_it_is_wrong(live):
    right = exercises.get("saliency_map").reference

    def only_one(model, x, classes):
        found = right(model, x, classes)
        return found + found.max() * torch.rand(found.shape) if len(x) > 1 else found

    answer, _ = drawing(only_one, "saliency_map")
    alt = notebook.picture(answer).alt
    assert answer.verdict.state == WRONG
    assert "On a photo yours is right, but not on a batch of two images." in alt
    assert "difference from 0 to 0. " not in alt
    assert "giant panda" not in alt


def test_a_wrong_answer_with_right_values_is_said_to_look_right(live):
    right = exercises.get("saliency_map").reference

    def leaves_train(model, x, classes):
        found = right(model, x, classes)
        model.train()
        return found

    answer, _ = drawing(leaves_train, "saliency_map")
    assert answer.verdict.state == WRONG
    assert notebook.ALIKE in notebook.picture(answer).alt


def test_a_right_answer_is_drawn_without_a_word(live):
    answer, exercise = drawing(exercises.get("saliency_map").reference, "saliency_map")
    assert answer.verdict.state == RIGHT
    alt = notebook.picture(answer).alt
    assert alt.startswith(f"{exercise.title}, {exercise.picture.subject}")
    assert notebook.ALIKE not in alt


@pytest.mark.parametrize("name", ["tile_filters", "field_patch"])
def test_a_picture_is_drawn_in_its_colours_and_a_difference_of_colours_is_seen(live, name):
    right = exercises.get(name).reference

    def other_colours(*args, **kwargs):
        return right(*args, **kwargs).flip(0)  # blue for red: the same mean over the colours

    figures = [notebook.picture(drawing(f, name)[0]) for f in (right, other_colours)]
    target = exercises.get(name).picture
    expected = target.to_map(right(**target.case().args)).movedim(0, -1)
    for figure in figures:
        shown = figure.canvas.axes[0].images[0].get_array()
        assert shown.shape[2] == 3
        torch.testing.assert_close(torch.as_tensor(shown), expected)
    yours, gap = (axes.images[0].get_array() for axes in figures[1].canvas.axes[1:])
    assert yours.shape == expected.shape
    assert gap.ndim == 2
    assert abs(gap).max() > 0.2
    assert "in their own colours" in figures[1].alt
