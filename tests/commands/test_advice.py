"""A NameError after a restart, or out of order, names the cell that makes the name."""

import ast
import builtins
import json

import pytest

from course_utils.commands import advice
from course_utils.common import paths


def cell(source, kind="code"):
    return {"cell_type": kind, "source": source.splitlines(keepends=True)}


CELLS = [
    cell("# A lecture\n\nwords", "markdown"),
    cell("%matplotlib inline\nfrom course_utils import models, show as shown\nimport torch.nn"),
    cell("## 1. The network\n\nWhat is it?", "markdown"),
    cell("network = models.load('squeezenet1_1')\nx, (y, z) = 1, (2, 3)"),
    cell("def half(x):\n    inside = x / 2\n    return inside"),
    cell("network(x)"),
    cell("## 2. Later", "markdown"),
    cell("broken ="),
    cell("for late in range(3):\n    pass"),
]


@pytest.mark.parametrize(
    ("name", "heading", "line"),
    [
        ("network", "1. The network", "network = models.load('squeezenet1_1')"),
        ("z", "1. The network", "x, (y, z) = 1, (2, 3)"),
        ("half", "1. The network", "def half(x):"),
        ("models", "A lecture", "from course_utils import models, show as shown"),
        ("shown", "A lecture", "from course_utils import models, show as shown"),
        ("torch", "A lecture", "import torch.nn"),
    ],
)
def test_the_cell_above_is_named(name, heading, line):
    said = advice.advice(name, CELLS, "network(x)\n")
    assert said.startswith(f'{name} is made further up, in the cell under "{heading}"')
    assert f"\n    {line}\n" in said
    assert "Run All Above" in said


def test_a_cell_below_is_called_so():
    said = advice.advice("late", CELLS, "network(x)")
    assert said.startswith('late is made further down, in the cell under "2. Later"')


@pytest.mark.parametrize("name", ["inside", "nowhere", "show", "broken"])
def test_what_no_cell_makes_gets_no_advice(name):
    assert advice.advice(name, CELLS, "network(x)") == ""


def test_a_cell_that_is_not_in_the_file_yet_gets_advice_too():
    assert "further up" in advice.advice("network", CELLS, "network(x + 1)")


def test_every_name_that_a_cell_of_a_lecture_needs_is_found():
    notebook = paths.root() / "notebooks" / "06_saliency.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    asked = 0
    for source in ("".join(c["source"]) for c in cells if c["cell_type"] == "code"):
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
        own = {n.id for n in nodes if isinstance(n.ctx, ast.Store)} | set(vars(builtins))
        if "import" in source or "def " in source or "lambda" in source:
            continue  # names of arguments
        for name in {n.id for n in nodes} - own:
            asked += 1
            assert f"{name} is made further up" in advice.advice(name, cells, source)
    assert asked > 30
