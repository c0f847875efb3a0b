"""A pytest plugin that writes down how much room every assert on a number has.

In the tests and in the notebooks' cells every comparison inside an `assert` becomes a call that
compares in the same way and keeps (value, bound, margin): `a < b`, chains of these, arrays of
which all elements hold, `==` with `pytest.approx`, and calls of `allclose`, `isclose`,
`assert_close` and `assert_allclose`, whose value is the largest difference in units of what is
allowed, and whose bound is 1. What is compared without a bound, `==` of names or whole numbers,
passes or fails and has no margin; nor has one of several that an `or` or a count asks for.

`matrix.py` switches it on: `-p margins` with the folder of the records in COURSE_MARGINS.
COURSE_ONEDNN=0 and COURSE_LAYOUT=nchw are the two settings of a row that PyTorch has no variable
for; they hold in the tests' processes and in the notebooks' kernels.
"""

import ast
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER, WHERE = "COURSE_MARGINS", "COURSE_MARGINS_NOTEBOOK"
_SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
_CLOSE = {"allclose", "isclose", "assert_close", "assert_allclose"}


# ------------------------------------------------------------------ rewriting


class Asserts(ast.NodeTransformer):
    """Comparisons that are asserted, and calls that compare two results, keep their margins.

    Asserted is what has to hold by itself: alone, in an `and`, under `not`, in `all(...)`. What is
    counted, picked by an `if`, or one of several in an `or` is not.

    Args:
        where: the file's name, which the records begin with.
    """

    def __init__(self, where: str) -> None:
        self.where, self.text = where, ""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        self.text = ast.unparse(node.test)
        node.test = self.asserted(node.test, True)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        self.text = ast.unparse(node.value)
        if isinstance(node.value, ast.Call) and _name(node.value).startswith("assert_"):
            node.value = self.asserted(node.value, True)
        return node

    def asserted(self, node: ast.expr, wanted: bool) -> ast.expr:
        """The expression, which has to be true or, if it is not `wanted`, false."""
        if isinstance(node, ast.Compare) and all(type(op) in _SIGNS for op in node.ops):
            signs = " ".join(_SIGNS[type(op)] for op in node.ops)
            return self.call("compare", node, signs, wanted, [node.left, *node.comparators])
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And if wanted else ast.Or):
            node.values = [self.asserted(value, wanted) for value in node.values]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self.asserted(node.operand, not wanted)
        elif isinstance(node, ast.Call) and _name(node) in _CLOSE:
            made = self.call("close", node, "", wanted, [node.func, *node.args])
            made.keywords = node.keywords
            return made
        elif isinstance(node, ast.Call) and wanted and _name(node) == "all":
            self.every(node)
        return node

    def every(self, node: ast.Call) -> None:
        """`all(a < b for ...)`, `torch.all(a < b)`, `(a < b).all()`."""
        if node.args and isinstance(node.args[0], ast.GeneratorExp | ast.ListComp):
            node.args[0].elt = self.asserted(node.args[0].elt, True)
        elif node.args:
            node.args[0] = self.asserted(node.args[0], True)
        elif isinstance(node.func, ast.Attribute):
            node.func.value = self.asserted(node.func.value, True)

    def call(self, name: str, node: ast.expr, signs: str, wanted: bool, given: list) -> ast.Call:
        # An import in place: nothing is added to the namespace of a notebook or of a test.
        function = ast.parse(f"__import__('margins').{name}", mode="eval").body
        about = [ast.Constant(value) for value in (self.where, self.text, wanted, signs)]
        about = about if signs else about[:3]
        return ast.copy_location(ast.Call(function, about + given, []), node)


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


class Cells(Asserts):
    """The same for the cells of a notebook, as a transformer of IPython."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        return ast.fix_missing_locations(self.generic_visit(node))


# ------------------------------------------------------------------ comparing


def compare(where: str, text: str, wanted: bool, signs: str, *operands) -> object:
    """What the comparison, or a chain of them, gives; its margins are kept."""
    result = True
    for sign, left, right in zip(signs.split(), operands, operands[1:], strict=False):
        result = _OPERATIONS[sign](left, right)
        keep(where, text, sign if wanted else _OPPOSITE[sign], left, right)
        if len(operands) > 2 and not result:  # of a single one the result may be an array
            break
    return result


_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!="}
_OPERATIONS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
}


def keep(where: str, text: str, sign: str, left, right) -> None:
    """Record one comparison, if it is one of numbers with a bound; of arrays the worst element."""
    if sign == "==" and type(right).__name__ == "ApproxScalar":
        approx(where, text, left, right)
    if "<" not in sign and ">" not in sign:
        return
    try:
        a, b = np.broadcast_arrays(array(left), array(right))
    except (TypeError, ValueError):
        return  # sets, strings, dates
    if a.size:
        room = b - a if "<" in sign else a - b
        worst = np.unravel_index(np.argmin(room), room.shape)
        record(where, text, float(a[worst]), float(b[worst]), float(room[worst]))


def array(value) -> np.ndarray:
    """Numbers as float64, wherever they lie."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    if isinstance(value, str | bytes | set | frozenset | dict):
        raise TypeError("no numbers")
    return np.asarray(value, dtype=np.float64)


def approx(where: str, text: str, left, right) -> None:
    """`left == pytest.approx(...)`: the difference in units of the tolerance."""
    expected = getattr(right, "expected", None)
    if isinstance(expected, int | float) and isinstance(left, int | float | np.floating):
        allowed = right.tolerance
        if allowed and math.isfinite(allowed):
            share = abs(float(left) - float(expected)) / allowed
            record(where, text, share, 1.0, 1.0 - share)


def close(where: str, text: str, wanted: bool, function, *args, **kwargs) -> object:
    """What `allclose` and its like give; the largest difference over the allowed one is kept."""
    result = function(*args, **kwargs)
    names = ("actual", "desired") if function.__name__ == "assert_allclose" else ("", "")
    given = [*args, *(kwargs[n] for n in names if n in kwargs)][:2]
    try:
        a, b = array(given[0]), array(given[1])
        off = np.abs(a - b) / allowance(function, b, a, args[2:], kwargs)
    except (TypeError, ValueError, IndexError):
        return result
    off = off[np.isfinite(off)]
    if off.size:
        room = 1.0 - float(off.max())
        record(where, text, float(off.max()), 1.0, room if wanted else -room)
    return result


def allowance(function, expected, actual, positional, kwargs) -> np.ndarray:
    """atol + rtol * |expected|, with the function's own defaults."""
    module = function.__module__ or ""
    if module == "math":
        scale = np.maximum(np.abs(expected), np.abs(actual))
        return kwargs.get("abs_tol", 0.0) + kwargs.get("rel_tol", 1e-9) * scale
    rtol, atol = 1e-5, 1e-8
    if function.__name__ == "assert_allclose":
        rtol, atol = 1e-7, 0.0
    elif module.startswith("torch.testing"):  # of float32, what the course computes with
        rtol, atol = 1.3e-6, 1e-5
    rtol = kwargs.get("rtol", positional[0] if positional else rtol)
    atol = kwargs.get("atol", positional[1] if len(positional) > 1 else atol)
    allowed = float(atol or 0) + float(rtol or 0) * np.abs(expected)
    return np.where(allowed > 0, allowed, np.nan)


# ------------------------------------------------------------------ records

_worst: dict[tuple[str, str, str], float] = {}


def test_now() -> str:
    """The test that runs, without pytest's word on its phase; "" in a notebook."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0].split("::", 1)[-1]


def record(where: str, text: str, value: float, bound: float, margin: float) -> None:
    """Append the line of an assert, if no earlier time in the same test left it less room."""
    notebook = os.environ.get(WHERE, "")
    key = (notebook or where, "" if notebook else test_now(), text)
    if not math.isfinite(margin) or margin >= _worst.get(key, math.inf):
        return
    _worst[key] = margin
    line = json.dumps([*key, value, bound, margin])
    with (Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


# ------------------------------------------------------------------ switching it on

STARTUP = """\
import margins
margins.settings()
get_ipython().ast_transformers.append(margins.Cells("notebook"))
"""


def settings() -> None:
    """The settings of this row that PyTorch has no variable for."""
    if os.environ.get("COURSE_ONEDNN") == "0":
        torch._C._set_mkldnn_enabled(False)
    if os.environ.get("COURSE_LAYOUT") == "nchw" and not hasattr(torch.nn.Module.to, "plain"):
        moved = torch.nn.Module.to

        def to(self, *args, **kwargs):
            kwargs.pop("memory_format", None)
            return moved(self, *args, **kwargs) if args or kwargs else self

        to.plain = moved
        torch.nn.Module.to = to


def pytest_configure(config):
    if FOLDER not in os.environ:
        return
    settings()
    from _pytest.assertion import rewrite

    plain = rewrite.rewrite_asserts

    def rewrite_asserts(tree, source, path=None, config=None):
        Asserts(os.path.relpath(path or "")).visit(tree)
        ast.fix_missing_locations(tree)
        plain(tree, source, path, config)

    rewrite.rewrite_asserts = rewrite_asserts
    rewrite._read_pyc = lambda *args, **kwargs: None  # written without the margins
    sys.dont_write_bytecode = True


def pytest_sessionstart(session):
    """A start-up file for the notebooks' kernels, in the folder that `nbval_mends` has made."""
    if FOLDER in os.environ and "IPYTHONDIR" in os.environ:
        folder = Path(os.environ["IPYTHONDIR"]) / "profile_default" / "startup"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "00-margins.py").write_text(STARTUP, encoding="utf-8")
        _tell_kernels_their_notebook()


def _tell_kernels_their_notebook() -> None:
    from nbval.plugin import IPyNbFile

    setup = IPyNbFile.setup

    def told(self):
        os.environ[WHERE] = os.path.relpath(self.path)
        try:
            setup(self)
        finally:
            del os.environ[WHERE]

    IPyNbFile.setup = told
