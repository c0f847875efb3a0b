"""Which code of a lecture opens folded in a notebook: drawing, and what only tests a claim.

A figure's alternative in words says what is to be seen, so it stood above the picture and gave the
answer to the question away. Folded, it is one click away, and where screen readers find it.
"""

import ast

_PLAIN = """
    alt dict enumerate float int len list map max min partial print range reversed round sorted
    str sum tuple zip
"""
_METHODS = """
    abs amax amin append argmax clamp cpu denormalize flatten float format index item items join
    keys long max mean min movedim numpy pixels quantile replace reshape round softmax sort
    split squeeze strip sum title tolist topk transpose unsqueeze update values view
"""
_MODULES = {"show", "images", "torch"}


def pieces(source: str) -> list[tuple[str, bool]]:
    """A cell's code as one or two cells, each with whether it opens folded.

    A cell that computes and then draws is parted between the two; one that only draws, or ends in
    an `assert`, is folded whole. Code that defines something, or shows an explorer, is not folded.
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a magic
        return [(source, False)]
    if not body:
        return [(source, False)]
    if isinstance(body[-1], ast.Assert):
        return [(source, not any(map(_defines, body)))]
    if not _draws(body[-1]):
        return [(source, False)]
    parts = _with_text(source, body)
    computing = [i for i, one in enumerate(body[:-1]) if not (_is_plain(one) or _is_alt(one))]
    if not computing:
        return [(source, True)]
    last = computing[-1]
    first = [text for text, one in zip(parts, body[: last + 1], strict=False) if not _is_alt(one)]
    rest = [
        t for i, (t, one) in enumerate(zip(parts, body, strict=True)) if i > last or _is_alt(one)
    ]
    return [("\n".join(first).strip("\n"), False), ("\n".join(rest).strip("\n"), True)]


def _with_text(source: str, body: list[ast.stmt]) -> list[str]:
    """The lines of each statement, with the comments and empty lines above it."""
    ends = [0, *(statement.end_lineno for statement in body)]
    lines = source.split("\n")
    return ["\n".join(lines[a:b]) for a, b in zip(ends, ends[1:], strict=False)]


def _is_alt(statement: ast.stmt) -> bool:
    """Whether it writes the figure's alternative in words."""
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.targets[0]) == "alt"
    return isinstance(statement, ast.AugAssign) and ast.unparse(statement.target) == "alt"


def _draws(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("show.")


def _defines(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)


def _is_plain(statement: ast.stmt) -> bool:
    """Whether a statement only arranges what is there: no network, no technique, no loop."""
    if not isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr | ast.Assert):
        return False
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    return all(map(_is_plain_call, calls))


def _is_plain_call(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in _PLAIN.split()
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    return function.attr in _METHODS.split() or (
        isinstance(owner, ast.Name) and owner.id in _MODULES
    )
