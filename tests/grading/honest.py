"""Unusual but honest notebooks, made from the official solutions, and what is to be said of them.

Nothing in them is a trick: editors lose ids, merge and split cells; students test below their
function, write helpers where there is room, and copy a stub back.
"""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import jupytext
import nbformat

from course_utils.checking.core import NOT_ATTEMPTED, RIGHT, WRONG
from course_utils.common import paths

LECTURE = "06_saliency"
EXERCISES = ("saliency_map", "gradient_times_input", "smoothgrad")


@dataclass
class Honest:
    """A notebook.

    Attributes:
        content: its structure.
        name: of the file.
        states: of the exercises that are not right.
        words: part of the reason, for those that are wrong.
        runs: whether its answers are cells that run, so that the kernel knows of them.
        encoding: of the file.
    """

    content: dict
    name: str = "06_saliency.ipynb"
    states: dict[str, str] = field(default_factory=dict)
    words: str = ""
    runs: bool = True
    encoding: str = "utf-8"

    def data(self) -> bytes:
        """The file."""
        return json.dumps(self.content, ensure_ascii=self.encoding == "utf-8").encode(self.encoding)


def solution(lecture: str = LECTURE, folder: str = "solutions") -> dict:
    """A lecture's notebook."""
    text = (paths.root() / folder / f"{lecture}.ipynb").read_text(encoding="utf-8")
    content = json.loads(text)
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"])
    return content


def code(source: str, key: str | None = "a0b1c2d3") -> dict:
    """A code cell that a student adds."""
    made = {"cell_type": "code", "metadata": {}, "source": source}
    made |= {"outputs": [], "execution_count": None}
    return made | ({"id": key} if key else {})


def at(content: dict, name: str) -> int:
    """The number of an exercise's cell, or of the first cell that holds a text."""
    cells = content["cells"]
    own = [i for i, c in enumerate(cells) if c.get("id") == name]
    return (own or [i for i, c in enumerate(cells) if name in c["source"]])[0]


# ------------------------------------------------------------------ what editors do


def without_ids(content: dict) -> dict:
    """As nbformat 4.4 has it."""
    changed = copy.deepcopy(content) | {"nbformat_minor": 4}
    for cell in changed["cells"]:
        cell.pop("id", None)
        cell["metadata"] = {}
    return changed


def renumbered(content: dict) -> dict:
    """Every cell with a new id."""
    draw, changed = random.Random(1), without_ids(content) | {"nbformat_minor": 5}
    for cell in changed["cells"]:
        cell["id"] = f"{draw.randrange(1 << 32):08x}"
    return changed


def merged(content: dict) -> dict:
    """Each two neighbouring code cells as one, which keeps the first one's id, as JupyterLab."""
    cells: list[dict] = []
    open_ = False
    for cell in copy.deepcopy(content)["cells"]:
        if cell["cell_type"] == "code" and open_:
            cells[-1]["source"] += "\n\n" + cell["source"]
            open_ = False
        else:
            cells.append(cell)
            open_ = cell["cell_type"] == "code"
    return content | {"cells": cells}


def in_one_cell(content: dict) -> dict:
    """All code in one cell."""
    sources = [c["source"] for c in content["cells"] if c["cell_type"] == "code"]
    return content | {"cells": [code("\n\n".join(sources), None)]}


def split(content: dict) -> dict:
    """Each statement that does not depend on its indentation in a cell of its own."""
    cells: list[dict] = []
    for cell in copy.deepcopy(content)["cells"]:
        parts = [cell["source"]]
        if cell["cell_type"] == "code" and "%" not in cell["source"]:
            parts = _statements(cell["source"])
        cells += [cell | {"source": part} for part in parts]
    return without_ids(content | {"cells": cells})


def _statements(source: str) -> list[str]:
    import ast

    lines, nodes = source.split("\n"), ast.parse(source).body
    starts = [min([n.lineno, *(d.lineno for d in getattr(n, "decorator_list", []))]) for n in nodes]
    ends = [*(start - 1 for start in starts[1:]), len(lines)]
    starts = [1, *starts[1:]]
    return ["\n".join(lines[a - 1 : b]) for a, b in zip(starts, ends, strict=True)] or [source]


def backwards(content: dict) -> dict:
    """The cells from the last to the first: functions do not mind."""
    return without_ids(content | {"cells": content["cells"][::-1]})


def through_text(content: dict, form: str) -> dict:
    """To a text file and back, by jupytext."""
    notebook = nbformat.from_dict(copy.deepcopy(content))
    back = jupytext.reads(jupytext.writes(notebook, fmt=form), fmt=form)
    return json.loads(nbformat.writes(back, split_lines=False))


def pasted(content: dict) -> dict:
    """All cells pasted into a new notebook."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return renumbered(content) | {"metadata": kernel}


EDITORS: dict[str, Callable[[dict], dict]] = {
    "without ids": without_ids,
    "renumbered": renumbered,
    "merged": merged,
    "merged, without ids": lambda c: without_ids(merged(c)),
    "in one cell": in_one_cell,
    "split": split,
    "backwards": backwards,
    "jupytext percent": lambda c: through_text(c, "py:percent"),
    "jupytext light": lambda c: through_text(c, "py:light"),
    "jupytext Markdown": lambda c: through_text(c, "md"),
    "pasted": pasted,
}


# ------------------------------------------------------------------ what students do

GRADIENT = """def my_gradient(model, x, classes):
    x = x.detach().clone().requires_grad_()
    score = model(x).gather(1, classes[:, None]).sum()
    return torch.autograd.grad(score, x)[0]
"""
MAP = """def saliency_map(model, x, classes):
    return my_gradient(model, x, classes).abs().amax(1)
"""
BODY = """    x = x.detach().clone().requires_grad_()
    score = model(x).gather(1, classes[:, None]).sum()
    g = torch.autograd.grad(score, x)[0]
    return g.abs().amax(1)
"""
WHOLE = "def saliency_map(model, x, classes):\n" + BODY
STUB = "def saliency_map(model, x, classes):\n    raise NotImplementedError()"


def with_map(source: str, *after: str, before: tuple[str, ...] = ()) -> dict:
    """The solution with another cell for `saliency_map`, and cells around it."""
    content = solution()
    place = at(content, "saliency_map")
    content["cells"][place]["source"] = source
    content["cells"][place + 2 : place + 2] = [code(s, f"after{i}") for i, s in enumerate(after)]
    content["cells"][place:place] = [code(s, f"before{i}") for i, s in enumerate(before)]
    return content


def with_imports(addition: str) -> dict:
    """The solution with something typed into the lecture's cell of imports."""
    content = with_map(MAP)
    content["cells"][at(content, "import torch\n")]["source"] += f"\n\n{addition}"
    return content


def with_cells(content: dict, *sources: str, end: bool = True) -> dict:
    """With cells at the end or at the beginning."""
    made = [code(source, f"more{i}") for i, source in enumerate(sources)]
    cells = [*content["cells"], *made] if end else [*made, *content["cells"]]
    return content | {"cells": cells}


def as_kind(kind: str, source: str | None = None) -> dict:
    """With the answer in a cell that is no code."""
    content = with_map(WHOLE)
    cell = content["cells"][at(content, "saliency_map")]
    cell |= {"cell_type": kind, "source": source or cell["source"]}
    return content


def of_old_release() -> dict:
    """A copy from an earlier release: some of the lecture's cells read otherwise."""
    content = solution()
    for number, cell in enumerate(content["cells"]):
        if cell["cell_type"] == "code" and cell["id"].startswith("06-") and number % 2:
            cell["id"] = f"06-{number:08x}"
            cell["source"] = f"older = {number}\n" + cell["source"].replace("net", "network")
    content["metadata"]["course"]["version"] = "0123456789ab"
    return content


def in_nbformat_3(content: dict) -> dict:
    cells = [c | {"input": c["source"], "source": None} for c in content["cells"]]
    return {"nbformat": 3, "metadata": content["metadata"], "worksheets": [{"cells": cells}]}


def replaced(name: str, old: str, new: str) -> dict:
    """The solution with a text of an exercise's cell replaced."""
    content = solution()
    cell = content["cells"][at(content, name)]
    assert old in cell["source"]
    cell["source"] = cell["source"].replace(old, new)
    return content


DATACLASS = """from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    power: float = 1.0
    names: list[str] | None = None


def saliency_map(model, x, classes):
    x = x.detach().clone().requires_grad_()
    score = model(x).gather(1, classes[:, None]).sum()
    return torch.autograd.grad(score, x)[0].abs().amax(1) * Settings().power
"""
IN_TRY = (
    "try:\n"
    + "".join(f"    {line}\n" for line in WHOLE.splitlines())
    + ("except NameError:\n    saliency_map = None\n")
)
LOOPED = """AXES = {}
for axis in ("colour", "row", "column"):
    AXES[axis] = len(AXES) + 1

""" + WHOLE.replace("amax(1)", 'amax(AXES["colour"])')
APPENDED = "AXES = []\nAXES.append(1)\nAXES.extend([2, 3])\n" + WHOLE.replace(
    "amax(1)", "amax(AXES[0])"
)
WRAPPED = (
    """def loud(function):
    def wrapper(*args):
        return function(*args)
    return wrapper


@loud
"""
    + WHOLE
)
SMOOTH = """def smoothgrad(model, x, classes, noise):
    return torch.stack([{}(model, x + n, classes) for n in noise]).mean(0)
"""
LONG = "scratch = [\n" + "    1234567890,\n" * 20_000 + "]\n"
MUTUAL = """def down(g, n):
    return g if n == 0 else up(g, n - 1)


def up(g, n):
    return down(g, n)


""" + WHOLE.replace("return g.abs()", "return down(g, 3).abs()")
CLASS = """class Finish:
    axis = 1

    def __call__(self, g):
        return g.abs().amax(self.axis)


finish = Finish()
""" + WHOLE.replace("g.abs().amax(1)", "finish(g)")
OTHER_G = "def my_gradient(model, x, classes):\n    return x * 0"


def notebooks() -> dict[str, Honest]:
    """All of them by name."""
    found = {name: Honest(change(solution())) for name, change in EDITORS.items()}
    found["pasted"].name = "Untitled.ipynb"
    kinds = (of_editors(), of_places(), of_scopes(), of_forms(), of_oddities())
    kinds += (of_lectures(), of_faults())
    for kind in kinds:
        found |= {name: c if isinstance(c, Honest) else Honest(c) for name, c in kind.items()}
    return found


def of_editors() -> dict:
    """Files that are written otherwise."""
    crlf = solution()
    for cell in crlf["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    blank = solution()
    for cell in blank["cells"]:
        cell["source"] = "\n\n" + cell["source"].replace("\n", "  \n") + "\n\n"
    return {
        "line ends of Windows": crlf,
        "blank lines and blanks at line ends": blank,
        "nbformat 3": in_nbformat_3(solution()),
        "byte order mark": Honest(solution(), encoding="utf-8-sig"),
        "copied file": Honest(without_ids(solution()), "06_saliency-Copy1.ipynb"),
        "a helper, ids lost": without_ids(with_map(MAP, before=(GRADIENT,))),
        "a test below, ids lost": without_ids(
            with_map(WHOLE + "\nx = saliency_map(net, x, classes)")
        ),
    }


def of_places() -> dict:
    """Answers and helpers in unexpected places."""
    twice = solution()
    copied = copy.deepcopy(twice["cells"][at(twice, "saliency_map")]) | {"source": STUB}
    copied["id"] = "c0p1ed00"  # a copy keeps nbgrader's id
    twice["cells"].insert(at(twice, "saliency_map") + 2, copied)
    deleted = solution()
    place = at(deleted, "saliency_map")
    deleted["cells"][place] = code(WHOLE)
    pair = solution()
    gone = pair["cells"].pop(at(pair, "gradient_times_input"))
    pair["cells"][at(pair, "saliency_map")]["source"] += "\n\n\n" + gone["source"]
    return {
        "helper in the cell of imports": with_imports(GRADIENT),
        "helper in the cell of imports, ids lost": without_ids(with_imports(GRADIENT)),
        "helper below in the same cell": with_map(f"{MAP}\n\n{GRADIENT}"),
        "helper in a cell below": with_map(MAP, GRADIENT),
        "helper at the end": with_cells(with_map(MAP), GRADIENT),
        "stub copied below, with the id": twice,
        "stub copied below, without id": with_map(WHOLE, STUB),
        "stub copied below, ids lost": without_ids(with_map(WHOLE, STUB)),
        "stub copied into the cell": with_map(f"{WHOLE}\n\n{STUB}"),
        "cell deleted and made anew": deleted,
        "solved below, stub left": with_map(STUB, WHOLE),
        "two exercises in one cell": pair,
        "imports in the last cell": with_cells(
            with_map(WHOLE.replace("torch.autograd.grad", "gradient_of")),
            "from torch.autograd import grad as gradient_of",
        ),
    }


def of_scopes() -> dict:
    """Names that are used for several things."""
    local = "result = saliency_map(net, x, classes)\nprint(result.shape)\nassert result.min() >= 0"
    second = replaced("smoothgrad", "gradient.abs()", "my_gradient(gradient).abs()")
    place = at(second, "smoothgrad")
    second["cells"][place]["source"] = (
        "def my_gradient(g):\n    return g\n\n\n" + second["cells"][place]["source"]
    )
    first = at(second, "saliency_map")
    second["cells"][first]["source"] = f"{GRADIENT}\n\n{MAP}"
    return {
        "test lines below": with_map(
            f"{WHOLE.replace('g =', 'result =').replace('g.', 'result.')}\n{local}"
        ),
        "a later cell assigns g and x": with_map(WHOLE, "g = net(x)\nx = x[:1]\nscore = g.sum()"),
        "a call below": with_map(f"{WHOLE}\n\nsaliency_map(net, x, classes)"),
        "a helper redefined in a later exercise": second,
        "a helper redefined later, ids lost": without_ids(second),
        "a helper redefined in a later cell": with_cells(
            with_map(MAP, before=(GRADIENT,)), OTHER_G
        ),
        "rebound by yours_or_ours": with_map(
            WHOLE, 'saliency_map = yours_or_ours("saliency_map", saliency_map)'
        ),
        "the name of yours_or_ours": _with_smooth("find_saliency"),
        "a name of its own from yours_or_ours": _with_smooth(
            "mine", 'mine = yours_or_ours("saliency_map", saliency_map)'
        ),
        "another exercise": _with_smooth("saliency_map"),
        "checked again at the end": with_cells(
            with_map(MAP, before=(GRADIENT,)), OTHER_G, 'check("saliency_map", saliency_map)'
        ),
        "global counter": with_map(
            "calls = 0\n"
            + WHOLE.replace("    score", "    global calls\n    calls += 1\n    score", 1)
        ),
    }


def _with_smooth(name: str, *more: str) -> dict:
    content = with_map(WHOLE, *more)
    content["cells"][at(content, "smoothgrad")]["source"] = SMOOTH.format(name)
    return content


def of_forms() -> dict:
    """Functions written in other ways."""
    assigned = WHOLE.replace("def saliency_map", "def my_map") + "\n\nsaliency_map = my_map"
    return {
        "in try": with_map(IN_TRY),
        "in if": with_map("if True:\n" + "".join(f"    {s}\n" for s in WHOLE.splitlines())),
        "postponed annotations": with_map(DATACLASS),
        "a table filled by a loop": with_map(LOOPED),
        "a table filled by calls": with_map(APPENDED),
        "a lambda": with_map(
            f"{GRADIENT}\nsaliency_map = lambda model, x, classes: "
            "my_gradient(model, x, classes).abs().amax(1)"
        ),
        "assigned": with_map(assigned),
        "wrapped": with_map(WRAPPED),
        "mutual recursion": with_map(MUTUAL),
        "a class": with_map(CLASS),
        "several in a line": with_map(
            "AXIS = 1; OTHER = 2\n" + WHOLE.replace("amax(1)", "amax(AXIS)")
        ),
        "an annotated constant": with_map(
            "AXIS: int = 1\n" + WHOLE.replace("amax(1)", "amax(AXIS)")
        ),
        "unpacked constants": with_map(
            "AXIS, OTHER = 1, 2\n" + WHOLE.replace("amax(1)", "amax(AXIS)")
        ),
        "a default": with_map("AXIS = 1\n" + WHOLE.replace("classes):", "classes, axis=AXIS):")),
        "magics": with_map("%%time\n" + WHOLE, "!ls\nfiles = !ls\n%timeit 1\ntorch.sum?"),
        "imports of its own": with_map("import torch as t, math\n" + WHOLE.replace("torch", "t")),
        "star import": with_map(
            "from math import *\n" + WHOLE.replace("amax(1)", "amax(int(cos(0)))")
        ),
        "names in Chinese": with_map(
            WHOLE.replace("g", "梯度")
            .replace("梯度rad", "grad")
            .replace("requires_梯度", "requires_g")
            .replace("梯度ather", "gather")
        ),
        "prints and warns": with_map(
            WHOLE.replace(
                "    score", "    print('x')\n    import warnings; warnings.warn('w')\n    score", 1
            )
        ),
    }


def of_oddities() -> dict:
    """What Python and notebooks allow, and few people write."""
    indented = "".join(f"    {line}\n" for line in WHOLE.splitlines())
    lines = WHOLE.splitlines()
    prompts = "\n".join((">>> " if n == 0 else "... ") + line for n, line in enumerate(lines))
    inner = "".join(f"    {line}\n" for line in WHOLE.replace("amax(1)", "amax(axis)").splitlines())
    return {
        "a decorator of torch": with_map("@torch.enable_grad()\n" + WHOLE),
        "made by a function": with_map(
            f"def make(axis):\n{inner}    return saliency_map\n\nsaliency_map = make(1)"
        ),
        "a partial": with_map(
            "from functools import partial\n"
            + WHOLE.replace("def saliency_map(", "def general(axis, ").replace(
                "amax(1)", "amax(axis)"
            )
            + "\nsaliency_map = partial(general, 1)"
        ),
        "an object that can be called": with_map(
            "class Map:\n"
            + indented.replace("def saliency_map(model", "def __call__(self, model")
            + "\nsaliency_map = Map()"
        ),
        "all arguments in one": with_map(
            WHOLE.replace("(model, x, classes):", "(*given):\n    model, x, classes = given", 1)
        ),
        "arguments by other names": with_map(
            WHOLE.replace("model", "net").replace("classes", "labels")
        ),
        "a constant only in a notebook": with_map(
            'if __name__ == "__main__":\n    AXIS = 1\n' + WHOLE.replace("amax(1)", "amax(AXIS)")
        ),
        "magic and the shell's own function in the cell": with_map(
            "%matplotlib inline\nget_ipython().run_line_magic('precision', '3')\n" + WHOLE
        ),
        "an assertion below": with_map(
            WHOLE + "\nassert saliency_map(net, x, classes).shape == x[:, 0].shape, 'shape'"
        ),
        "in a with": with_map("with torch.enable_grad():\n" + indented),
        "by version": with_map(
            f'if torch.__version__ < "1":\n    def saliency_map(*given): pass\nelse:\n{indented}'
        ),
        "attributes of the function": with_map(
            WHOLE.replace("    score", "    saliency_map.calls += 1\n    score", 1)
            + "\nsaliency_map.calls = 0"
        ),
        "a named tuple and an enumeration": with_map(
            "from enum import Enum\nfrom typing import NamedTuple\n\n\n"
            "class Axis(Enum):\n    COLOUR = 1\n\n\n"
            "class Pair(NamedTuple):\n    axis: int = Axis.COLOUR.value\n\n\n"
            + WHOLE.replace("amax(1)", "amax(Pair().axis)")
        ),
        "a stub in its docstring": with_map(
            WHOLE.replace(
                "):\n",
                '):\n    """Was:\n    raise NotImplementedError()\n    ### BEGIN SOLUTION"""\n',
                1,
            )
        ),
        "pasted with prompts": with_map(prompts),
        "pasted with the shell's prompts": with_map(
            "\n".join(("   ...: " if n else "In [3]: ") + line for n, line in enumerate(lines))
        ),
        "the cell indented": with_map(indented),
        "awaited below": with_map(WHOLE, "import asyncio\nawait asyncio.sleep(0)\nawaited = 1"),
        "awaited in the cell": with_map(WHOLE + "\nimport asyncio\nawait asyncio.sleep(0)"),
        "matched": with_map(
            WHOLE.replace(
                "    return g.abs().amax(1)",
                "    match g.dim():\n        case 4:\n            return g.abs().amax(1)",
            )
        ),
        "a name deleted": with_map(
            "AXIS = 2\ndel AXIS\nAXIS = 1\n" + WHOLE.replace("amax(1)", "amax(AXIS)")
        ),
        "a semicolon and tabs": with_map(WHOLE.replace("    ", "\t") + "saliency_map;"),
        "a photo of the course": with_map(
            WHOLE.replace("    score", "    assert images.photo('koala') is not None\n    score", 1)
        ),
        "deleted afterwards": with_map(WHOLE, "del saliency_map"),
        "a helper that is a lambda in a dictionary": with_map(
            'ENDS = {"max": lambda g: g.abs().amax(1)}\n'
            + WHOLE.replace("g.abs().amax(1)", 'ENDS["max"](g)')
        ),
    }


def of_lectures() -> dict:
    """Long cells, edited lectures, old releases."""
    edited = solution()
    place = at(edited, "net = models.load")
    edited["cells"][place]["source"] = edited["cells"][place]["source"].replace("koala", "tiger")
    return {
        "a scratch cell of 300,000 characters": with_cells(solution(), LONG),
        "a scratch cell of 400,000 Chinese characters": with_cells(
            solution(), "text = '''" + "看懂网络" * 100_000 + "'''"
        ),
        "the lecture edited": edited,
        "the lecture edited, ids lost": without_ids(edited),
        "an older release": of_old_release(),
        "an older release, ids lost": without_ids(of_old_release()),
    }


def of_faults() -> dict:
    """Notebooks that need a sentence."""
    one, wrong = "saliency_map", {"saliency_map": WRONG}
    near = with_map(WHOLE.replace("saliency_map", "saliency_maps"))
    other = with_map(WHOLE.replace("saliency_map", "heat"))
    beside = with_map(STUB, WHOLE.replace("saliency_map", "heat"))
    cell = f"Here it is:\n\n```python\n{WHOLE}```\n"
    missing = {e: NOT_ATTEMPTED for e in EXERCISES}
    unsolved = _with_smooth("saliency_map")
    unsolved["cells"][at(unsolved, one)]["source"] = STUB
    half = WHOLE.replace("    return", "    raise NotImplementedError()\n    return")
    named = "Your function is called `{}`; graded is the function that is called `saliency_map`"
    return {
        "a Markdown cell": Honest(as_kind("markdown"), "a.ipynb", wrong, "a Markdown cell", False),
        "a raw cell": Honest(as_kind("raw"), "a.ipynb", wrong, "a raw cell", False),
        "a fence": Honest(as_kind("markdown", cell), "a.ipynb", wrong, "a Markdown cell", False),
        "nearly the name": Honest(near, states=wrong, words=named.format("saliency_maps")),
        "nearly the name, ids lost": Honest(
            without_ids(near), states=wrong, words=named.format("saliency_maps")
        ),
        "another name": Honest(other, states=wrong, words=named.format("heat")),
        "another name, ids lost": Honest(
            without_ids(other), states=wrong, words=named.format("heat")
        ),
        "another name, stub left": Honest(beside, states=wrong, words=named.format("heat")),
        "a helper in a file": Honest(
            with_map("from my_helpers import my_gradient\n\n\n" + MAP),
            states=wrong,
            words="the module `my_helpers`, which does not exist where your answer is graded",
        ),
        "a function in a file": Honest(
            with_map("from my_helpers import saliency_map"),
            states=wrong,
            words="the module `my_helpers`, which does not exist where your answer is graded",
        ),
        "a variable of the lecture": Honest(
            with_map(WHOLE.replace("model(x)", "net(x)")),
            states=wrong,
            words="the notebook's variable `net`",
        ),
        "a variable of the lecture, ids lost": Honest(
            without_ids(with_map(WHOLE.replace("model(x)", "net(x)"))),
            states=wrong,
            words="the notebook's variable `net`",
        ),
        "not Python": Honest(
            with_map(WHOLE.replace("classes):", "classes)")), states=wrong, words="not valid Python"
        ),
        "half done": Honest(with_map(half), states=wrong, words="Delete it once your code stands"),
        "another exercise, unsolved": Honest(
            unsolved,
            states={one: NOT_ATTEMPTED, "smoothgrad": WRONG},
            words="It calls `saliency_map`, which is not written yet",
        ),
        "untouched": Honest(solution(folder="notebooks"), states=missing),
        "untouched, ids lost": Honest(without_ids(solution(folder="notebooks")), states=missing),
        "untouched, in one cell": Honest(in_one_cell(solution(folder="notebooks")), states=missing),
    }


def expected(one: Honest, exercise: str) -> str:
    """The state an exercise must have."""
    return one.states.get(exercise, RIGHT)
