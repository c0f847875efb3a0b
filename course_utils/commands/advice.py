"""In the lab's kernels: a name that is missing is followed by the cell that makes it.

After a restart in the middle of a lecture, or with cells run out of order, `NameError: name
'network' is not defined` is all that Python says. Jupyter loads this as an extension of IPython.
"""

import ast
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ABOVE = "menu Run, Run All Above Selected Cell"


def load_ipython_extension(shell: object) -> None:
    """Adds a note to each NameError; called by IPython."""
    shell.set_custom_exc((NameError,), _explain)


def _explain(shell: object, kind: type, error: NameError, trace: object, tb_offset: object) -> None:
    try:
        cells = _cells(Path(os.environ.get("JPY_SESSION_NAME", "")))
        if error.name and error.name not in shell.user_ns:
            said = advice(error.name, cells, shell.user_ns.get("In", [""])[-1])
            if said and said not in getattr(error, "__notes__", ()):
                error.add_note(said)
    except Exception:  # advice is no reason to lose the traceback
        pass
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def advice(name: str, cells: list[dict], running: str) -> str:
    """Which cell of the notebook makes a name, and how to run it; empty if none does.

    Args:
        name: what is not defined.
        cells: of the notebook, as in its file.
        running: the source of the cell that asked for it.
    """
    heading, here, found = "", None, []
    for position, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = next(iter(re.findall(r"(?m)^#+ +(.+)$", source)[-1:]), heading)
        elif cell["cell_type"] == "code":
            here = position if here is None and source.strip() == running.strip() else here
            found += [(position, heading, line) for line in _makes(source, name)][:1]
    if not found:
        return ""
    above = [one for one in found if here is None or one[0] < here]
    _, heading, line = (above or found)[0]
    where = f'the cell under "{heading}" that says\n    {line}\n' if heading else f"`{line}`. "
    if above:
        return f"{name} is made further up, in {where}It has not run in this kernel: {_ABOVE}."
    return f"{name} is made further down, in {where}Cells run from top to bottom: {_ABOVE} there."


def _makes(source: str, name: str) -> Iterator[str]:
    """The lines of a cell that bind a name at its top level."""
    try:
        tree = ast.parse("\n".join(re.sub(r"^\s*[%!?].*", "", line) for line in source.split("\n")))
    except SyntaxError:
        return
    for statement in tree.body:
        if name in _bound(statement):
            yield source.split("\n")[statement.lineno - 1]


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
    return names


def _cells(notebook: Path) -> list[dict]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
