"""The grader, where this machine has a sandbox."""

import json

import pytest
from submitted import LIMITS, RIGHT, notebook

from course_utils.grading.trusted import engine, judge, warm


@pytest.fixture(scope="session")
def grade(walls, parent, tmp_path_factory):
    """Grades answers: a dictionary exercise -> code; returns the result, exercises by name."""

    def run(answers, added=(), limits=LIMITS, seed=7):
        path = tmp_path_factory.mktemp("submitted") / "ada.ipynb"
        path.write_text(json.dumps(notebook(answers, added)))
        result = judge.grade(path, seed=seed, limits=limits, parent=parent)
        return result | {one["exercise"]: one for one in result["exercises"]}

    return run


@pytest.fixture(scope="session")
def starts(parent):
    """How a worker is started behind some walls: anew, or forked from a parent that tests share."""
    parents = {(parent.walls.level, parent.walls.user_namespace): parent}

    def how(chosen, forked):
        kind = chosen.level, chosen.user_namespace
        if forked and kind not in parents:
            parents[kind] = warm.Parent(chosen)
        return parents[kind].child if forked else None

    yield how
    for own in parents.values():
        if own is not parent:
            own.end()


@pytest.fixture(scope="session")
def classmates(walls, tmp_path_factory):
    """The folder of six submissions, and that of their results as one judge gives them."""
    folder, out = tmp_path_factory.mktemp("classmates"), tmp_path_factory.mktemp("whole")
    wrong = {k: v.replace(".abs()", "").replace(".sum(1)", ".mean(1)") for k, v in RIGHT.items()}
    half = RIGHT | {"saliency_map": wrong["saliency_map"]}
    everyone = {"ada": RIGHT, "bob": wrong, "cyd": {}, "dan": half, "eve": RIGHT}
    for name, answers in everyone.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook(answers)))
    (folder / "fay.ipynb").write_text("{")
    settings = engine.Settings(jobs=1, seed=7, draw=False)
    assert engine.grade(folder, out, settings, progress=False).graded == 6
    return folder, out
