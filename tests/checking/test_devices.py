"""Exercises are made and judged on the CPU, wherever the course's networks run."""

import json

import pretend_device
import pytest
import torch

from course_utils import exercises, models
from course_utils.checking import judging, networks, notebook, running, sources
from course_utils.checking.core import RIGHT, NetworkSpec
from course_utils.common import paths

NAMES = [e.name for e in exercises.all_()]
DRAWN = [e.name for e in exercises.all_() if e.picture is not None]


@pytest.fixture(autouse=True)
def _networks_run_elsewhere(monkeypatch):
    """As on a machine with a GPU: the pretend one refuses what a GPU refuses."""
    monkeypatch.setenv("COURSE_DEVICE", "pretend")
    assert models.default_device().type == pretend_device.NAME


def solution(name):
    """The pieces of the solved notebook that make up one answer."""
    exercise = exercises.get(name)
    path = paths.root() / "solutions" / f"{exercise.lecture}.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    ids = [e.name for e in exercises.all_(exercise.lecture)]
    return exercise, sources.assemble(sources.notebook_cells(content, ids, set()), name)


@pytest.mark.parametrize("spec", ["tiny_cnn", "squeezenet1_1", "squeezenet1_1/pixels"])
def test_every_network_of_a_case_is_on_the_cpu(spec):
    model = networks.build(NetworkSpec(spec))
    assert {p.device.type for p in [*model.parameters(), *model.buffers()]} == {"cpu"}
    assert model(torch.full((1, 3, 64, 64), 0.5)).device.type == "cpu"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name):
    exercise, pieces = solution(name)
    cases = exercise.cases(1)[:2]
    verdict = judging.judge(exercise, cases, running.answers(pieces, cases), pieces)
    assert (verdict.state, verdict.reason) == (RIGHT, "")


def tensors(value):
    """The tensors among a case's arguments."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors(part)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_the_case_of_its_picture_is_on_the_cpu(name):
    case = exercises.get(name).picture.case()
    assert {t.device.type for t in tensors(case.args)} <= {"cpu"}


def test_the_picture_of_a_case_is_drawn():
    exercise, pieces = solution("saliency_map")
    case = exercise.picture.case()
    (target,), (mine,) = judging.targets(exercise, [case]), running.answers(pieces, [case])
    target = exercise.picture.to_map(target)
    torch.testing.assert_close(notebook.as_map(exercise, mine.value, target), target)
