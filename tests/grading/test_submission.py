"""Reading a submission: every broken file gets one clear sentence."""

import json
import os

import pytest
from submitted import EXERCISES, RIGHT, code, notebook

from course_utils.grading.sandboxed import outline
from course_utils.grading.trusted import judge, submission
from course_utils.grading.trusted.submission import SubmissionError


@pytest.fixture
def file(tmp_path):
    """Writes a notebook file, from text, bytes or the structure."""

    def write(content, name="ada.ipynb"):
        path = tmp_path / name
        if isinstance(content, dict | list):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        (json.dumps(notebook(RIGHT))[:-200], "damaged or cut off"),
        (b"\x89PNG\r\n", "damaged"),
        ("[" * 200_000, "damaged"),
        ("[1, 2]", "no notebook"),
        ({"nbformat": 2}, "accepted: 4"),
        ({"nbformat": "4"}, "accepted: 4"),
        ({"cells": []}, "nbformat is None"),
        ({"nbformat": 4, "cells": "none"}, "no cells"),
        ({"nbformat": 4, "cells": [], "metadata": 3}, "which lecture"),
        ({"nbformat": 4, "cells": [code("x = 1", "a")] * 3000, "metadata": {}}, "3,000 code cells"),
        ({"nbformat": 4, "cells": [code("x" * 3_000_000, "a")]}, "3,000,000 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_broken_files_are_told_why(file, content, words):
    with pytest.raises(SubmissionError, match=words):
        submission.read(file(content))


def test_too_large_missing_and_not_a_file(file, tmp_path):
    large = file(b" " * (submission.LARGEST + 1))
    with pytest.raises(SubmissionError, match="Clear the outputs"):
        submission.read(large)
    with pytest.raises(SubmissionError, match="No such file"):
        submission.read(tmp_path / "nobody.ipynb")
    with pytest.raises(SubmissionError, match="not a file|directory"):
        submission.read(tmp_path)
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(SubmissionError, match="not a file"):
        submission.read(tmp_path / "pipe.ipynb")


def exercise_cells(found):
    return {cell.exercise: cell.source.strip() for cell in found.cells if cell.exercise}


def test_cells_are_chosen_by_our_ids(file):
    found = submission.read(file(notebook(RIGHT)))
    assert found.lecture == "06_saliency"
    assert exercise_cells(found) == {k: v.strip() for k, v in RIGHT.items()}
    assert len(found.sha256) == 64


@pytest.mark.parametrize("said", [{}, {"course": None}, {"course": {"lecture": "../../etc"}}])
def test_the_lecture_is_found_without_its_name(file, said):
    content = notebook(RIGHT) | {"metadata": said}
    assert submission.read(file(content)).lecture == "06_saliency"
    bare = {"nbformat": 4, "cells": [code("x = 1", "a")], "metadata": said}
    assert submission.read(file(bare, "06_saliency (3).ipynb")).lecture == "06_saliency"


def test_strange_cells_are_left_aside(file):
    content = notebook(RIGHT)
    strange = [None, 3, {}, {"cell_type": "code"}, {"cell_type": "code", "source": {"a": 1}}]
    strange += [code(["a = 1\n", None, "b = 2"], ["not", "text"], [1]), code("c = 3", None, 5)]
    content["cells"] = strange + content["cells"]
    assert set(exercise_cells(submission.read(file(content)))) == set(EXERCISES)


def test_nbformat_3_is_read(file):
    cells = notebook(RIGHT)["cells"]
    old = [{**c, "input": c["source"], "source": None} for c in cells]
    content = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": old}, None]}
    assert set(exercise_cells(submission.read(file(content)))) == set(EXERCISES)


def test_an_unreadable_notebook_gets_a_result(file, walls, tmp_path):
    result = judge.grade(file("{", "../06.ipynb".replace("../", "")), lecture="06_saliency")
    assert (result["state"], result["points"], result["max_points"]) == ("unreadable", 0, 3)
    assert "damaged" in result["reason"]
    assert "damaged" in judge.table(result)


def test_outlines_see_through_names_and_comments():
    one = "def f(a, b):\n    '''Doc.'''\n    c = a * b  # why\n    return c.sum(1)"
    other = "def f(x: int, y) -> int:\n    total: int = x * y\n\n    return total.sum(1)"
    third = "def f(x, y):\n    for i in range(3):\n        print(y)\n    return {}"
    shapes = [outline.outline(source, "f") for source in (one, other, third)]
    assert outline.similarity(shapes[0], shapes[1]) == 1
    assert outline.similarity(shapes[0], shapes[2]) < 0.5
    assert outline.outline("def g(): pass", "f") == outline.outline("def f(:", "f") == []
    assert outline.similarity([], shapes[0]) == 0
