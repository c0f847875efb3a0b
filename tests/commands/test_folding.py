"""Folding: what opens folded, what never does, and that no code is lost on the way."""

import ast
import json

import pytest

from course_utils.commands import build, folding
from course_utils.common import lectures, paths


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x = net(photo)\nprint(x)", [False]),
        ("print(1)\nassert x > 2", [True]),
        ("def area(x):\n    return x * x\n\n\nassert area(2) == 4", [False]),
        ("show.images([x], alt='a cat')", [True]),
        ("alt = 'a cat'\nshow.images([x.cpu()], ['one'], alt=alt)", [True]),
        (
            "x = cam.cam(net, y)\ntitles = ['one']\nshow.images([x], titles, alt='cat')",
            [False, True],
        ),
        ("with torch.no_grad():\n    x = net(y)\nshow.maps([x], alt='cat')", [False, True]),
        ("widgets.cam_explorer(net)", [False]),
        ("%matplotlib inline", [False]),
    ],
)
def test_what_is_folded(source, wanted):
    assert [folded for _, folded in folding.pieces(source)] == wanted


def test_the_words_for_a_figure_go_with_the_figure_that_they_describe():
    source = (
        "alt = 'a cat'\nalt += ' on a mat'\n# The dog.\nx = cam.cam(net)\nshow.images([x], alt=alt)"
    )
    computed, drawn = folding.pieces(source)
    assert computed == ("# The dog.\nx = cam.cam(net)", False)
    assert drawn == ("alt = 'a cat'\nalt += ' on a mat'\nshow.images([x], alt=alt)", True)


@pytest.mark.parametrize("name", lectures.names())
class TestEveryLecture:
    def test_no_statement_is_lost(self, name):
        for cell in build.read(paths.root() / "lectures" / f"{name}.py"):
            if cell.kind == "code" and not cell.source.startswith("%"):
                parted = "\n".join(source for source, _ in folding.pieces(cell.source))
                dumped = [sorted(map(ast.dump, ast.parse(s).body)) for s in (cell.source, parted)]
                assert dumped[0] == dumped[1]

    def test_no_alternative_is_seen_and_no_exercise_is_hidden(self, name):
        text = (paths.root() / "notebooks" / f"{name}.ipynb").read_text("utf-8")
        for cell in json.loads(text)["cells"]:
            folded = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
            source = "".join(cell["source"])
            assert not (folded and "nbgrader" in cell["metadata"]), source
            if cell["cell_type"] == "code" and "show." in source and "alt=" in source:
                assert folded or "def " in source, source
