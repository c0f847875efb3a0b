"""The house rules, held to: short cells, short prose, short and documented helpers, clean files."""

import ast
import configparser
import json
import os
import re
import statistics
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from course_utils.checking import scopes
from course_utils.commands import build
from course_utils.common import paths

ROOT = Path(__file__).resolve().parent.parent
LECTURES = sorted((ROOT / "lectures").glob("*.py"))
MODULES = sorted((ROOT / "course_utils").rglob("*.py"))
NOTEBOOKS = sorted(p for d in build.OUTPUTS for p in (ROOT / d).glob("*.ipynb"))

CELL_LINES, MEDIAN_LINES, CELL_WORDS, BODY_LINES = 12, 5, 120, 25


def each(paths):
    """Parametrise a test over files, named by their path in the project."""
    return pytest.mark.parametrize("path", paths, ids=lambda p: p.relative_to(ROOT).as_posix())


def code_lines(source):
    """Lines of a cell that are to be read as code.

    Blank lines, docstrings and the solution markers of an exercise do not make a cell long.
    """
    plain = re.sub(r"(?m)^[%!].*$", "pass", source)  # magics are no Python
    documented = set()
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(
        bool(line.strip()) and "### " not in line and number not in documented
        for number, line in enumerate(source.split("\n"), 1)
    )


def words(markdown):
    """Words of prose: formulas, code blocks, tables, link targets and HTML tags are none."""
    for gone in (r"(?s)```.*?```", r"(?s)\$\$.*?\$\$", r"\$[^$\n]*\$", r"(?m)^\s*\|.*$"):
        markdown = re.sub(gone, " ", markdown)
    markdown = re.sub(r"\]\([^)]*\)", "]", markdown)
    return len(re.findall(r"\w[\w'’-]*", re.sub(r"<[^>]*>", " ", markdown)))


def functions(tree):
    """Every function of a module, methods and inner ones included."""
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function):
    """Lines of a function's body without its docstring; inner functions count on their own."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    inner = [n for n in body if isinstance(n, ast.FunctionDef)]
    elsewhere = sum(n.end_lineno - n.lineno + 1 for n in inner)
    return body[-1].end_lineno - body[0].lineno + 1 - elsewhere if body else 0


def public(tree):
    """A module's public functions and classes; typer's callback, which nobody calls, is none."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    named = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
    return [n for n in named if not any(".callback(" in ast.unparse(d) for d in n.decorator_list)]


def unannotated(function):
    """Names of the arguments without a type, and "return" where the result has none."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    missing = [a.arg for a in every if a.annotation is None]
    return missing + (["return"] if function.returns is None else [])


def test_there_are_lectures():
    assert LECTURES, "lectures/ is empty"


@each(LECTURES)
def test_code_cells_are_short(path):
    cells = [(cell, code_lines(cell.source)) for cell in build.read(path) if cell.kind == "code"]
    long = [f"line {cell.line}: {n} lines" for cell, n in cells if n > CELL_LINES]
    assert not long, f"code cells of more than {CELL_LINES} lines in {path.name}: {long}"
    median = statistics.median(n for _, n in cells)
    assert median <= MEDIAN_LINES, f"the median code cell of {path.name} has {median} lines"


def draws(statement):
    """Whether a statement only makes something to look at: a figure, a table, an explorer."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith(("show.", "widgets."))


@each(LECTURES)
def test_what_is_drawn_is_the_last_line_of_its_cell(path):
    """Jupyter shows the value of a cell's last line only: anything above it is never seen."""
    cells = [cell for cell in build.read(path) if cell.kind == "code"]
    bodies = [(cell, ast.parse(scopes.plain(cell.source)).body) for cell in cells]
    unseen = [
        f"line {cell.line + node.lineno}: {ast.unparse(node)[:60]}"
        for cell, body in bodies
        for node in body[:-1]
        if draws(node)
    ]
    assert not unseen, f"drawn in {path.name}, and never shown: {unseen}"


@each(LECTURES)
def test_what_is_printed_is_said_and_no_container(path):
    """On a slide, where the code is hidden, braces and quotes stand between people and a number."""
    trees = [
        (cell, ast.parse(scopes.plain(cell.source)))
        for cell in build.read(path)
        if cell.kind == "code"
    ]
    containers = ast.Dict | ast.DictComp | ast.List | ast.ListComp | ast.Set | ast.SetComp
    raw = [
        f"line {cell.line + node.lineno}: {ast.unparse(node)[:60]}"
        for cell, tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
        if any(isinstance(given, containers) for given in node.args)
    ]
    assert not raw, f"Python's own writing is printed in {path.name}: {raw}"


def lower_medians(tree):
    """Calls of torch's median: of an even number of values it takes the lower middle one."""
    calls = [(n, n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return [
        node.lineno
        for node, func in calls
        if isinstance(func, ast.Attribute) and func.attr == "median"
        if ast.unparse(func.value) == "torch" or not (node.args or node.keywords)
    ]


@each([*LECTURES, *MODULES, *sorted((ROOT / "data").rglob("*.py"))])
def test_a_median_of_an_even_number_lies_between_the_middle_two(path):
    lines = lower_medians(ast.parse(path.read_text(encoding="utf-8")))
    assert not lines, f"{path.name}, lines {lines}: torch's median; say quantile(0.5)"


def test_torchs_median_is_recognised():
    code = "a.median()\ntorch.median(x)\nstatistics.median(x)\nnp.median(a)\na.median(0)\nmedian(a)"
    assert lower_medians(ast.parse(code)) == [1, 2]


@each(LECTURES)
def test_prose_is_short(path):
    cells = [(cell, words(cell.source)) for cell in build.read(path) if cell.kind == "markdown"]
    long = [f"line {cell.line}: {n} words" for cell, n in cells if n > CELL_WORDS]
    assert not long, f"text cells of more than {CELL_WORDS} words in {path.name}: {long}"


@each(LECTURES)
def test_pictures_are_credited_by_the_helper_that_knows_them(path):
    """A table keyed by name lost the photo that shares its name with a cut-out."""
    text = path.read_text("utf-8")
    assert "show.credits(" in text, f"no table of credits in {path.name}"
    assert ".credit" not in text.replace("show.credits(", ""), (
        f"credits made by hand in {path.name}"
    )


@each(MODULES)
def test_function_bodies_are_short(path):
    found = [(f, body_lines(f)) for f in functions(ast.parse(path.read_text("utf-8")))]
    long = [f"{f.name} (line {f.lineno}): {n} lines" for f, n in found if n > BODY_LINES]
    assert not long, f"bodies of more than {BODY_LINES} lines in {path.name}: {long}"


@each(MODULES)
def test_public_names_are_documented_and_typed(path):
    tree = ast.parse(path.read_text("utf-8"))
    if path.parent.name == "exercises" and path.stem in {one.stem[3:] for one in LECTURES}:
        return  # known mistakes: code that is explained by its sentence
    bare = [n.name for n in public(tree) if ast.get_docstring(n) is None]
    assert not bare, f"no docstring in {path.name}: {bare}"
    typed = [n for n in public(tree) if not isinstance(n, ast.ClassDef)]
    missing = {f.name: unannotated(f) for f in typed if unannotated(f)}
    assert not missing, f"no type annotation in {path.name} for: {missing}"


@each(NOTEBOOKS)
def test_notebooks_have_no_outputs(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    ran = [c["id"] for c in cells if c.get("outputs") or c.get("execution_count") is not None]
    assert not ran, f"cells with outputs or a count in {path.name}: {ran}"


def project_files():
    """The files that belong to the project: git's where there is a clone, else all but caches."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
        found = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        skipped = {"build", "dist", "node_modules", "work", "__pycache__"}
        found = [p for p in ROOT.rglob("*") if not _is_hidden(p) and not skipped & set(p.parts)]
    return sorted(p for p in found if p.is_file())


def test_all_files_together_stay_small():
    sizes = {path: path.stat().st_size for path in project_files()}
    assert sum(sizes.values()) < 64e6, sorted(sizes, key=sizes.get)[-10:]


def _is_hidden(path):
    return any(part.startswith(".") for part in path.relative_to(ROOT).parts)


@cache
def text_of(path):
    """A text file's content; None for a picture, weights and the like."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None


def places(path, pattern, unless="$^"):
    """Where a pattern is found: "line 3: the line", shortened; not before `unless`."""
    text = text_of(path) or ""
    if not re.search(pattern, text):  # most files: their lines need not be looked at one by one
        return []
    return [
        f"line {n}: {line.strip()[:80]}"
        for n, line in enumerate(text.splitlines(), 1)
        if (found := re.search(pattern, line)) and not re.search(unless, line[found.start() :])
    ]


FILES = [p for p in project_files() if p != Path(__file__).resolve()]
# Folders of a developer's machine, and what lies beside the project.
MACHINE = r"(?<![\w.}])/(root|tmp/dev|home/[a-z]\w*|Users/[A-Za-z]\w*)/|/work/(main|shared|\.\w)"
MACHINE += r"|\.\./shared\b|(?<!\w)[A-Z]:\\Users\\"
INDEX = r"(index[-_]url|find[-_]links|INDEX_URL|FIND_LINKS)\s*[= ]\s*[\"']?(https?:|file:|/)"


def test_no_file_names_a_place_on_a_machine():
    found = {p.relative_to(ROOT).as_posix(): places(p, MACHINE) for p in FILES}
    assert not {name: where for name, where in found.items() if where}


def registry_hosts():
    """Hosts of the package registries that pip and npm are set up with here, public ones apart."""
    texts = [v for k, v in os.environ.items() if re.match(r"(PIP|UV|NPM_CONFIG)_", k, re.I)]
    files = [os.environ.get("PIP_CONFIG_FILE", ""), "/etc/pip.conf"]
    files += [Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"]
    for file in filter(os.path.isfile, files):
        parser = configparser.RawConfigParser()
        parser.read(file)
        texts += [value for section in parser.values() for value in section.values()]
    urls = [url for text in texts for url in re.findall(r"https?://\S+", text)]
    public_ones = {"pypi.org", "files.pythonhosted.org", "download.pytorch.org", "localhost"}
    return {urlsplit(url).hostname or "" for url in urls} - public_ones - {"", "127.0.0.1"}


def test_no_file_names_a_registry():
    """Where packages come from is for the user's own pip configuration to say."""
    hosts = "".join(f"|{re.escape(host)}" for host in sorted(registry_hosts()))
    example = r"example|invalid|localhost|127\.0\.0\.1"
    found = {p.relative_to(ROOT).as_posix(): places(p, INDEX + hosts, example) for p in FILES}
    assert not {name: where for name, where in found.items() if where}


# The rulers themselves, measured on what is known.


def test_code_lines_counts_what_is_read():
    cell = '''%matplotlib inline

def f(x):
    """Two
    lines."""
    ### BEGIN SOLUTION
    # why
    return x
    ### END SOLUTION
'''
    assert code_lines(cell) == 4  # the magic, the signature, the comment, the return


def test_words_counts_prose_only():
    text = "## A title\nIt's *well-known* that $x^2 + y$ [grows](https://a.example/b c).\n"
    assert words(text) == 6
    assert words(text + "| a | b |\n|---|---|\n$$\na = b\n$$\n```python\nx = 1\n```\n") == 6
    assert words("<details><summary>A hint</summary>Take `abs`.</details>") == 4


def test_functions_are_measured_without_their_docstring():
    source = 'def f(a, *b: int, c: int) -> int:\n    """One\n\n    two."""\n    x = 1\n    return x'
    (function,) = functions(ast.parse(source))
    assert body_lines(function) == 2
    assert unannotated(function) == ["a"]
    assert unannotated(ast.parse("def g(): ...").body[0]) == ["return"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("open('/" + "root/x')", True),
        ("see /" + "tmp/dev/x", True),
        ("/" + "work/main/a", True),
        ("../" + "shared/data", True),
        ("/work/", False),
        ("notebooks/work/06.ipynb", False),
        ("course.root/ and /tmp/x", False),
    ],
)
def test_machine_paths_are_recognised(line, named):
    assert bool(re.search(MACHINE, line)) is named


def test_places_are_lines_with_a_pattern(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("one\ntwo hosts, for example\nan example of two\n")
    assert places(file, "two") == ["line 2: two hosts, for example", "line 3: an example of two"]
    assert places(file, "two", "example") == ["line 3: an example of two"]
    assert places(file, "three") == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--index-url https://mirror.invented/simple", True),
        ("PIP_FIND_LINKS=/opt/x", True),
        ("find-links = '/opt/x'", True),
        ("pip's --index-url is honoured", False),
    ],
)
def test_index_options_are_recognised(line, named):
    assert bool(re.search(INDEX, line)) is named


@each(MODULES)
def test_no_name_is_defined_twice_in_a_module(path):
    """The second would silently be called in the first one's place; ruff knows only unused ones."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert sorted(set(named)) == sorted(named)


def test_no_two_test_files_share_a_name():
    """pytest imports them by it, from whatever folder."""
    names = [path.name for path in (paths.root() / "tests").rglob("*.py")]
    assert sorted(n for n in set(names) if names.count(n) > 1) in ([], ["conftest.py"])
