"""What a statement of a notebook binds, changes and reads: by Python's own rules of scope.

A name that a function only uses as its own variable is none that it needs from the notebook.
"""

import ast
import re
import symtable
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
_BLOCKS = (ast.For, ast.While, ast.With, ast.If, ast.Try, ast.TryStar, ast.Match)
_OWN_SCOPE = (ast.Lambda, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_COMPREHENSIONS = ("listcomp", "setcomp", "dictcomp", "genexpr")
_MUTATORS = frozenset(
    ("append", "appendleft", "extend", "insert", "remove", "pop", "clear", "sort", "reverse")
    + ("update", "setdefault", "add", "discard", "load_state_dict", "eval", "train")
)
_LONG = 20_000  # characters of a statement that none of a lecture has
_MAGIC = re.compile(r"^(\s*)([%!?].*|[^#'\"]*\?{1,2}\s*)$")
_PROMPT = re.compile(r"^\s*(?:>>>(?: |$)|In \[\d+\]: )", re.MULTILINE)
_ANY_PROMPT = re.compile(r"^\s*(?:(?:>>>|\.\.\.)(?: |$)|In \[\d+\]: |\.{3,}: ?)")
_ASSIGNED_MAGIC = re.compile(r"^(\s*)([\w, ]+?)\s*=\s*([%!].*)$")


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a cell that gives something to others.

    Attributes:
        node: its syntax.
        text: its source, to be run.
        binds: names that it gives a value to, perhaps only sometimes.
        kills: those of them that it surely gives a new value to.
        changes: names whose value it may change in place.
        checks: the exercise that it checks, as in `check("name", name)`.
    """

    node: ast.stmt
    text: str
    binds: frozenset[str]
    kills: frozenset[str]
    changes: frozenset[str]
    checks: str = ""

    @property
    def now(self) -> frozenset[str]:
        """Names that it reads when it runs."""
        return self._reads[0]

    @property
    def later(self) -> frozenset[str]:
        """Names that its functions read when they are called."""
        return self._reads[1]

    @cached_property
    def _reads(self) -> tuple[frozenset[str], frozenset[str]]:
        return _reads(self.node, self.text)

    @cached_property
    def dump(self) -> str:
        """Its syntax as text, without layout and comments; empty for a very long one."""
        try:
            return ast.dump(self.node) if len(self.text) < _LONG else ""
        except RecursionError:
            return ""


@lru_cache(maxsize=4096)
def parsed(source: str) -> tuple[ast.Module | None, str, Exception | None]:
    """A cell's syntax, its text as Python, and what is wrong with it."""
    text = plain(source)
    try:
        return ast.parse(text), text, None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return None, text, error


def plain(source: str) -> str:
    """A cell's text as Python: magics, shell commands and questions become comments."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "\n".join(map(_quiet, _unpasted(source).split("\n")))
    return source


def _unpasted(source: str) -> str:
    """Without prompts and common indentation, which a kernel takes away as well."""
    if _PROMPT.search(source):
        source = "\n".join(_ANY_PROMPT.sub("", line) for line in source.split("\n"))
    return textwrap.dedent(source)


def _quiet(line: str) -> str:
    if _MAGIC.match(line):
        return _MAGIC.sub(r"\1pass  # \2", line)
    return _ASSIGNED_MAGIC.sub(r"\1\2 = None  # \3", line)


@lru_cache(maxsize=4096)
def statements(source: str) -> tuple[Statement, ...]:
    """The statements of a cell that bind or change something; none where it is not Python."""
    tree, text, _ = parsed(source)
    if tree is None:
        return ()
    lines = text.split("\n")
    return tuple(s for node in tree.body for s in _of_node(node, lines))


@lru_cache(maxsize=4096)
def imports(statement: Statement) -> tuple[Statement, ...]:
    """The imports in a statement, each name one of its own, wherever they stand."""
    found = [n for n in ast.walk(statement.node) if isinstance(n, IMPORTS)]
    return tuple(s for node in found for s in _single_imports(node))


def is_import(statement: Statement) -> bool:
    """Whether it is an import and nothing else."""
    return isinstance(statement.node, IMPORTS)


def _of_node(node: ast.stmt, lines: list[str]) -> Iterator[Statement]:
    if isinstance(node, IMPORTS):
        yield from _single_imports(node)
    elif isinstance(node, DEFINITIONS + _SIMPLE + _BLOCKS):
        made = _statement(node, _text(node, lines))
        # `try: import a` may have a second way out; elsewhere an import counts on its own.
        if isinstance(node, _BLOCKS) and not isinstance(node, ast.Try | ast.TryStar):
            yield from imports(made)
        if made.binds or made.changes or made.checks:
            yield made


def _single_imports(node: ast.Import | ast.ImportFrom) -> Iterator[Statement]:
    for alias in node.names:
        fields = {"names": [alias]}
        if isinstance(node, ast.ImportFrom):
            one = ast.ImportFrom(node.module, level=node.level, **fields)
        else:
            one = ast.Import(**fields)
        name = frozenset([(alias.asname or alias.name).split(".")[0]])
        none = frozenset()
        text = ast.unparse(one)
        yield Statement(one, text, name, name, none)


def _statement(node: ast.stmt, text: str) -> Statement:
    binds = frozenset(_stored([node]))
    simple = isinstance(node, (*DEFINITIONS, ast.Assign, ast.AnnAssign))
    changes = frozenset(_changed(node)) - binds
    kills = binds if simple else frozenset()
    return Statement(node, text, binds, kills, changes, called(node, "check"))


def called(node: ast.stmt, function: str) -> str:
    """The first argument of `function("text", ...)`, where a statement calls that; else nothing."""
    call = getattr(node, "value", None)
    named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    if not (named and call.func.id == function and call.args):
        return ""
    first = call.args[0]
    text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return first.value if text else ""


def _text(node: ast.stmt, lines: list[str]) -> str:
    """A statement's own lines; written anew where it shares a line with another one."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    before = lines[node.lineno - 1].encode("utf-8", "surrogatepass")[: node.col_offset]
    last = lines[node.end_lineno - 1].encode("utf-8", "surrogatepass")
    after = last[node.end_col_offset :].strip()
    if before.strip() or (after and not after.startswith(b"#")):
        with suppress(RecursionError):
            return ast.unparse(node)
    return "\n".join(lines[first - 1 : node.end_lineno])


@lru_cache(maxsize=4096)
def stored(source: str) -> frozenset[str]:
    """Every name the top level of a cell binds, inside `if`, `for` and `with` too."""
    tree = parsed(source)[0]
    return frozenset(_stored(tree.body)) if tree else frozenset()


def _stored(nodes: list) -> set[str]:
    names: set[str] = set()
    todo: list[ast.AST] = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, IMPORTS):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler):
            todo += node.body  # its own name is gone after it
        elif not isinstance(node, _OWN_SCOPE):
            todo += ast.iter_child_nodes(node)
    return names


def _changed(node: ast.stmt) -> set[str]:
    """Names whose value is changed in place: `a[0] = 1`, `a.b = 1`, `a.append(1)`."""
    names: set[str] = set()
    todo: list[ast.AST] = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, ast.Subscript | ast.Attribute):
            if isinstance(part.ctx, ast.Store | ast.Del):
                names |= _root(part)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            called = part.value.func
            if isinstance(called, ast.Attribute) and _changes_in_place(called.attr):
                names |= _root(called)
        if not isinstance(part, (*DEFINITIONS, ast.Lambda)):
            todo += ast.iter_child_nodes(part)
    return names


def _changes_in_place(method: str) -> bool:
    return method in _MUTATORS or (method.endswith("_") and not method.startswith("_"))


def _root(node: ast.expr) -> set[str]:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


class _AsGenerators(ast.NodeTransformer):
    """Comprehensions as generators, which keep their variables to themselves.

    From Python 3.12 on, the variables of the others are listed with those of the scope around.
    """

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.GeneratorExp:
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> ast.GeneratorExp:
        self.generic_visit(node)
        pair = ast.Tuple([node.key, node.value], ast.Load())
        return ast.GeneratorExp(pair, node.generators)


def _reads(node: ast.stmt, text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the notebook that a statement reads: when it runs, and when it is called."""
    now: set[str] = set()
    later: set[str] = set()
    try:
        own = ast.fix_missing_locations(_AsGenerators().visit(ast.parse(text)))
        table = symtable.symtable(ast.unparse(own), "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        every = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        return frozenset(every), frozenset()
    now |= {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    todo = [(child, now) for child in table.get_children()]
    while todo:
        inner, into = todo.pop()
        function = str(inner.get_type()) == "function" and inner.get_name() not in _COMPREHENSIONS
        into = later if function else into
        into |= {s.get_name() for s in inner.get_symbols() if s.is_global()}
        todo += [(child, into) for child in inner.get_children()]
    return frozenset(now), frozenset(later)
