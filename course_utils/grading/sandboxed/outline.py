"""The shape of code without names and comments, how alike two are, and code that has none."""

import ast
from collections.abc import Iterator
from difflib import SequenceMatcher

LONGEST = 600  # parts compared: comparing takes the square of it
MOST = 30  # functions of one exercise that are looked at
_TABLE, _TEXT = 200, 300  # constants in one literal, characters in one text: not code, but answers?
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_ELSEWHERE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_CALLS = {"exec", "eval", "compile", "__import__", "__builtins__", "globals"}
_MEMBERS = {"FunctionType", "CodeType", "import_module", "__globals__", "__code__", "b64decode"}
_MODULES = {"base64", "binascii", "builtins", "codecs", "ctypes", "importlib", "marshal", "pickle"}
_MODULES |= {"zlib", "bz2", "lzma", "gzip"}


def outline(source: str, name: str) -> list[str]:
    """The parts of a function in order: kinds of syntax, attributes, constants, numbered variables.

    Docstrings, annotations, the names of variables and the layout leave no trace.

    Args:
        source: Python code.
        name: the function in it; the last definition counts.

    Returns:
        At most `LONGEST` parts; none where the function is not there or cannot be read.
    """
    found = [n for n in _body(source) if getattr(n, "name", None) == name]
    return _of(found[-1]) if found else []


def outlines(source: str) -> list[list[str]]:
    """The parts of every function, method and lambda of some code, and of what is in none.

    A copy is found under any name, in a wrapper, or as a lambda.

    Args:
        source: Python code.

    Returns:
        At most `MOST` outlines, as `outline` makes them.
    """
    body = _body(source)
    functions = [n for top in body for n in ast.walk(top) if isinstance(n, _FUNCTIONS)][:MOST]
    rest = ast.Module([n for n in body if not isinstance(n, _ELSEWHERE)], [])
    return [found for found in map(_of, [*functions, rest]) if found]


def hidden(source: str) -> list[str]:
    """What in some code cannot be outlined, in words: code made while it runs, answers by heart.

    Args:
        source: Python code.

    Returns:
        Words such as "exec", "base64" or "a text of 2,000 characters", each once; at most ten.
    """
    found = [word for top in _body(source) for node in ast.walk(top) for word in _hidden(node)]
    return list(dict.fromkeys(found))[:10]


def _hidden(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and node.id in _CALLS | _MODULES:
        yield node.id
    elif isinstance(node, ast.Attribute) and node.attr in _MEMBERS:
        yield node.attr
    elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _MODULES:
        yield str(node.module).partition(".")[0]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        # A docstring is that long too, but it is prose: it has spaces.
        if len(node.value) > _TEXT and len(node.value.split()) < len(node.value) / 20:
            yield f"a text of {len(node.value):,} characters"
    elif isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.Set):
        numbers = sum(isinstance(n, ast.Constant) for n in ast.walk(node))
        if numbers > _TABLE:
            yield f"a table of {numbers:,} constants"


def _body(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _of(node: ast.AST) -> list[str]:
    try:
        return _Parts().of(node)[:LONGEST]
    except RecursionError:
        return []


class _Parts(ast.NodeVisitor):
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.names: dict[str, str] = {}

    def of(self, function: ast.AST) -> list[str]:
        for argument in ast.walk(getattr(function, "args", ast.Pass())):
            if isinstance(argument, ast.arg):
                self.number(argument.arg)
        body = getattr(function, "body", [])
        for statement in body if isinstance(body, list) else [ast.Return(body)]:
            self.visit(statement)
        return self.parts

    def number(self, name: str) -> str:
        return self.names.setdefault(name, f"v{len(self.names)}")

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Name):
            self.parts.append(self.number(node.id))
        elif isinstance(node, ast.Attribute):
            self.parts.append(f".{node.attr}"[:100])
        elif isinstance(node, ast.Constant):
            self.parts.append(repr(node.value)[:40])
        elif not isinstance(node, ast.expr_context):
            self.parts.append(type(node).__name__)
        super().generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.parts.append("Assign")
        for part in filter(None, (node.target, node.value)):
            self.visit(part)


def similarity(one: list[str], other: list[str]) -> float:
    """How alike two outlines are: 0 (nothing in common) to 1 (the same code); 0 for an empty one.

    Reference: Ratcliff & Metzener, "Pattern Matching: The Gestalt Approach", 1988.
    """
    if not one or not other:
        return 0.0
    matcher = SequenceMatcher(None, one[:LONGEST], other[:LONGEST], autojunk=False)
    return round(matcher.ratio(), 3)
