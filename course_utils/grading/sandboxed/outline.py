"""The shape of a function, without names and comments, and how alike two shapes are."""

import ast
from difflib import SequenceMatcher

LONGEST = 600  # parts compared: comparing takes the square of it


def outline(source: str, name: str) -> list[str]:
    """The parts of a function in order: kinds of syntax, attributes, constants, numbered variables.

    Docstrings, annotations, the names of variables and the layout leave no trace.

    Args:
        source: Python code.
        name: the function in it; the last definition counts.

    Returns:
        At most `LONGEST` parts; none where the function is not there or cannot be read.
    """
    try:
        found = [n for n in ast.parse(source).body if getattr(n, "name", None) == name]
        return _Parts().of(found[-1])[:LONGEST] if found else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


class _Parts(ast.NodeVisitor):
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.names: dict[str, str] = {}

    def of(self, function: ast.AST) -> list[str]:
        for argument in ast.walk(getattr(function, "args", ast.Pass())):
            if isinstance(argument, ast.arg):
                self.number(argument.arg)
        for statement in getattr(function, "body", []):
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
