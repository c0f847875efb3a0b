"""The course's notebooks under the real nbgrader: the same stubs, and fair points."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from course_utils import exercises
from course_utils.common import paths

pytest.importorskip("nbgrader", exc_type=ImportError)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="nbgrader does not grade on Windows")

LECTURE = "06_saliency"
NAMES = [e.name for e in exercises.all_(LECTURE)]
LOUD = """def saliency_map(model, x, classes):
    import warnings

    from tqdm import tqdm

    warnings.warn("a warning")
    print("hello")
    maps = []
    for image, c in tqdm(list(zip(x, classes))):
        image = image[None].clone().requires_grad_()
        model(image)[0, c].backward()
        maps.append(image.grad[0].abs().amax(0))
    return torch.stack(maps)
"""


@pytest.fixture
def api(tmp_path, monkeypatch):
    """nbgrader on an empty course; its gradebook calls `alembic` from PATH."""
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    folder = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", folder + os.pathsep + os.environ["PATH"])
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.course_id = "cnns"
    config.CourseDirectory.db_url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    config.ExecutePreprocessor.timeout = 120
    return NbGraderAPI(config=config)


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def text(cell):
    return "".join(cell["source"])


def succeeded(result):
    assert result["success"], result.get("error") or result.get("log")


@pytest.mark.slow
def test_generated_stubs_are_the_notebooks(api, tmp_path):
    """`nbgrader generate_assignment` on solutions/ gives what `course build` writes."""
    lectures = sorted({e.lecture for e in exercises.all_()})
    for lecture in lectures:
        (tmp_path / "source/course").mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.root() / f"solutions/{lecture}.ipynb", tmp_path / "source/course")
    succeeded(api.generate_assignment("course"))
    for lecture in lectures:
        theirs = read(tmp_path / f"release/course/{lecture}.ipynb")["cells"]
        ours = read(paths.root() / f"notebooks/{lecture}.ipynb")["cells"]
        assert [c["id"] for c in theirs] == [c["id"] for c in ours]
        assert [text(c) for c in theirs] == [text(c) for c in ours]
        assert [c["cell_type"] for c in theirs] == [c["cell_type"] for c in ours]
        for a, b in zip(theirs, ours, strict=True):
            flags = b["metadata"].get("nbgrader", {})
            assert {
                k: v for k, v in a["metadata"].get("nbgrader", {}).items() if k in flags
            } == flags


def short(content):
    """The lecture without the cells that only show something: imports, exercises, checks."""
    names = {*NAMES, *(f"{n}-check" for n in NAMES)}
    wanted = ("import ", "yours_or_ours(")
    cells = [
        c
        for c in content["cells"]
        if c["id"] in names or (c["cell_type"] == "code" and any(w in text(c) for w in wanted))
    ]
    return {**content, "cells": cells}


def answered(content, answers):
    """A notebook with some exercises' cells replaced."""
    cells = [{**c, "source": answers.get(c["id"], text(c))} for c in content["cells"]]
    return {**content, "cells": cells}


@pytest.mark.slow
def test_points_of_autograde(api, tmp_path):
    """0 for unsolved and wrong, full marks for right ones, with a progress bar and a warning."""
    source = short(read(paths.root() / f"solutions/{LECTURE}.ipynb"))
    write(tmp_path / f"source/course/{LECTURE}.ipynb", source)
    succeeded(api.generate_assignment("course"))
    released = read(tmp_path / f"release/course/{LECTURE}.ipynb")
    solved = {c["id"]: text(c) for c in source["cells"] if c["id"] in NAMES}
    no_abs = solved["saliency_map"].replace(".abs()", "")
    assert no_abs != solved["saliency_map"]
    fails = "def smoothgrad(*arguments):\n    1 / 0"
    answers = {
        "right": solved | {"saliency_map": LOUD},
        "wrong": {"saliency_map": no_abs, "smoothgrad": fails},  # the third one is unsolved
    }
    for student, given in answers.items():
        path = tmp_path / f"submitted/{student}/course/{LECTURE}.ipynb"
        write(path, answered(released, given))
        succeeded(api.autograde("course", student))
    total = float(sum(exercises.points(n) for n in NAMES))
    with api.gradebook as gradebook:
        found = {s: _scores(gradebook, s) for s in answers}
        assert gradebook.find_assignment("course").max_score == total
    assert found["right"] == {n: exercises.points(n) for n in NAMES}
    assert found["wrong"] == dict.fromkeys(NAMES, 0)
    graded = read(tmp_path / f"autograded/wrong/course/{LECTURE}.ipynb")
    outputs = next(c for c in graded["cells"] if c["id"] == "saliency_map-check")["outputs"]
    assert "The absolute value is missing" in json.dumps(outputs)
    assert outputs[-1]["output_type"] == "execute_result"
    assert outputs[-1]["data"]["text/plain"] in ("0.0", ["0.0"])


def _scores(gradebook, student):
    notebook = gradebook.find_submission_notebook(LECTURE, "course", student)
    return {grade.name.removesuffix("-check"): grade.score for grade in notebook.grades}


@pytest.mark.slow
def test_validate(api, tmp_path):
    """`nbgrader validate` passes the solutions and names the checks of unsolved exercises."""
    from nbgrader.validator import Validator

    for folder, failing in (("solutions", []), ("notebooks", NAMES)):
        path = tmp_path / folder / f"{LECTURE}.ipynb"
        write(path, short(read(paths.root() / folder / f"{LECTURE}.ipynb")))
        results = Validator().validate(str(path))
        failed = [one["source"] for one in results.get("failed", [])]
        assert failed == [f'check("{name}", {name})' for name in failing]
