"""What a function's own lines show of why its result is wrong, read without running them."""

import ast
from collections.abc import Iterator, Sequence

from torch import Tensor

# Methods that have an in-place twin in torch, and elsewhere change what they are called on.
_ELSEWHERE = {"add", "apply", "fill", "map", "put", "random", "resize", "set", "subtract"}

# Methods without such a twin that nothing has that they change.
_PURE = {"amax", "amin", "clone", "double", "expand", "flip", "float", "log_softmax", "mean"}
_PURE |= {"permute", "reshape", "roll", "softmax", "sum"}


def function(name: str, source: str) -> ast.FunctionDef | None:
    """The last definition of a function; None where its code is not known or no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    return found[-1] if found else None


def reordered(name: str, source: str, arguments: Sequence[str]) -> str:
    """Words for the asked arguments in another order; empty where they are as they were."""
    made = function(name, source)
    own = [a.arg for a in (*made.args.posonlyargs, *made.args.args)] if made else []
    if own == list(arguments) or sorted(own) != sorted(arguments):
        return ""
    names = ", ".join(f"`{a}`" for a in arguments)
    return (
        f"Your line with `def` has the arguments in another order. They come as {names}: leave the "
        "line as it was."
    )


def thrown_away(name: str, source: str) -> str:
    """Words for a line whose result is kept nowhere; empty where there is none."""
    made = function(name, source)
    for line in _lines(made.body if made else []):
        if isinstance(line, ast.Expr) and _only_gives(line.value):
            text = ast.unparse(line)
            if len(text) <= 80 and "`" not in text:
                return f"The line `{text}` computes something that is kept nowhere."
    return ""


def _lines(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, also those inside loops and conditions, but not of functions inside."""
    for line in body:
        yield line
        if not isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _lines(getattr(line, part, []))


def _only_gives(value: ast.expr) -> bool:
    """Whether an expression gives a result and does nothing else."""
    if isinstance(value, ast.BinOp):
        return True
    called = value.func if isinstance(value, ast.Call) else None
    if not isinstance(called, ast.Attribute) or called.attr in _ELSEWHERE:
        return False
    given = {word.arg for word in value.keywords}
    twin = hasattr(Tensor, called.attr) and hasattr(Tensor, f"{called.attr}_")
    return (
        (twin or called.attr in _PURE)
        and not called.attr.endswith("_")
        and not given & {"out", "inplace"}
    )
