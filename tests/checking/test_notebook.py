"""`check` in a real kernel: what is displayed, and which cells count."""

import nbformat
import pytest
from nbclient import NotebookClient

from course_utils.common import paths

CELLS = {
    "import": "import torch\nfrom course_utils.exercises import check, yours_or_ours",
    "lecture": None,  # a cell of the lecture that makes `net` and `x`
    "unsolved": "def saliency_map(model, x, classes):\n    raise NotImplementedError()",
    "unsolved-check": "check('saliency_map', saliency_map)",
    "ours": "f = yours_or_ours('saliency_map', saliency_map)",
    "helper": "def finish(g):\n    return g.abs().amax(1)",
    "right": "def saliency_map(model, x, classes):\n"
    "    x = x.detach().clone().requires_grad_()\n"
    "    s = model(x).gather(1, classes[:, None]).sum()\n"
    "    return finish(torch.autograd.grad(s, x)[0])",
    "right-check": "before = set(globals())\ncheck('saliency_map', saliency_map)\n"
    "assert not set(globals()) - before - {'before'} - set(i for i in globals() if i[0] == '_')",
    "yours": "f = yours_or_ours('saliency_map', saliency_map)\nassert f is saliency_map",
    "variable": "def saliency_map(model, x, classes):\n    return net(x)",
    "variable-check": "check('saliency_map', saliency_map)",
    "shape": "def saliency_map(model, x, classes):\n    return x",
    "shape-check": "check('saliency_map', saliency_map)",
    "silent": "assert check('saliency_map', saliency_map) is None",
}


def lecture_cell():
    notebook = nbformat.read(paths.root() / "notebooks/06_saliency.ipynb", as_version=4)
    return next(c.source for c in notebook.cells if c.source.startswith("net = models.load"))


@pytest.fixture(scope="module")
def shown():
    """What each cell displays, as (html, text) pairs."""
    notebook = nbformat.v4.new_notebook()
    sources = {
        k: v or f"from course_utils import images, models\n{lecture_cell()}"
        for k, v in CELLS.items()
    }
    notebook.cells = [nbformat.v4.new_code_cell(s) for s in sources.values()]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    found = {}
    for name, cell in zip(sources, notebook.cells, strict=True):
        found[name] = [
            (o["data"].get("text/html", ""), o["data"].get("text/plain", ""))
            if "data" in o
            else ("", o["text"])
            for o in cell.outputs
        ]
    return found


@pytest.mark.slow
def test_three_states(shown):
    assert shown["unsolved-check"][0][1] == "saliency_map: not attempted yet."
    assert shown["right-check"][0][1] == "saliency_map: right (1 point)."
    assert shown["shape-check"][0][1].startswith(
        "saliency_map: wrong, because: Your map has the sh"
    )
    for name in ("unsolved-check", "shape-check"):
        assert "<summary>Hints</summary>" in shown[name][0][0]
    assert "Hints" not in shown["right-check"][0][0]


@pytest.mark.slow
def test_variable_of_the_lecture_is_named(shown):
    assert "the notebook's variable `net`" in shown["variable-check"][0][1]
    assert "<code>net</code>" in shown["variable-check"][0][0]


@pytest.mark.slow
def test_yours_or_ours(shown):
    assert shown["ours"][0][1].startswith("From here on: the course's own saliency_map, until")
    assert shown["yours"][0][1] == "From here on: your saliency_map.\n"


@pytest.mark.slow
def test_picture_has_an_alternative(shown):
    markup, text = shown["right-check"][1]
    assert "<img alt=" in markup
    assert text.startswith("Saliency map, saliency maps of a giant panda")
    assert "difference from 0 to 0" in text
    assert "yours" not in shown["unsolved-check"][1][1]


@pytest.mark.slow
def test_nothing_else_is_displayed(shown):
    assert [len(shown[n]) for n in ("import", "unsolved-check", "right-check")] == [0, 2, 2]
    assert not any("execute_result" in text for _, text in shown["silent"])
