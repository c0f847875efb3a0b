"""Each of nbval's traps, shown with the plugin and, where it still is one, without it.

One run of pytest holds a notebook for each trap, since starting kernels takes most of the time.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest

TESTS = Path(__file__).resolve().parent
TIMEOUT = 600  # seconds given to a cell; `run` gives up long before, so nobody waited it out

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nbval")]  # one fixture for all of them

DIES = "import os; os._exit(1)"
NOTEBOOKS = {  # a cell is its text, or its text and a tag
    "ordinary": [
        "x = 2",
        "%matplotlib inline\nx",
        "",
        "# only a comment",
        "assert x == 2; print('é')",
        ("1 / 0", "raises-exception"),
        ("1 / 0", "nbval-skip"),
    ],
    "exception": ["1 / 0", "assert True", "assert False"],
    "unknown_magic": ["%nosuchmagic", "%nosuchmagic\nx = 1", "%%nosuchmagic\nx = 1", "x = 1"],
    "history": [
        "first = 1",
        "2 + 3",
        "assert In[1] == 'first = 1', In\nassert Out[2] == 5 and _ == 5\n%history",
    ],
    "startup_file": ["assert 'mine' not in globals()"],
    "dies": ["x = 1", DIES, "x"],
    "dies_tagged": [(DIES, "raises-exception")],
    "07_prints": ["print('2, 3')", "print([2, 3])", "print({'a': 1e-7 / 3})", "[2, 3]"],
    "raises_nothing": [("x = 1", "raises-exception"), "x"],
    "begins_warm": [
        "import sys; assert 'course_utils.common.writing' in sys.modules",
        "from course_utils.common import writing",
        "import os; assert os.environ.pop('MINE', None) is None and '' in sys.path",
        "assert __name__ == '__main__' and 'Nursery' not in dir(); os.environ['MINE'] = '1'",
    ],
    "begins_anew": [
        "import os; assert 'MINE' not in os.environ and 'writing' not in globals()",
        "import sys; print('told', file=sys.stderr)",
    ],
}


def run(folder, notebooks, *options, **environment):
    """Run notebooks under nbval.

    Returns:
        The outcomes of each notebook's cells (PASSED, FAILED, ...), and what pytest printed.
    """
    for name, cells in notebooks.items():
        nb = nbformat.v4.new_notebook()
        for cell in cells:
            source, *tags = (cell,) if isinstance(cell, str) else cell
            nb.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
        nbformat.write(nb, folder / f"{name}.ipynb")
    # The course's command first, as in `suite`: a process without it takes 3 s for a grammar.
    argv = [sys.executable, "-m", "pytest", "-p", "course_utils.commands", "-v"]
    argv += ["-p", "no:cacheprovider", "--color=no", *options]
    argv += ["--nbval-lax", "--nbval-current-env", f"--rootdir={folder}", "-c", os.devnull]
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [*argv, *(f"{folder / name}.ipynb" for name in notebooks)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT / 2,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths} | environment,
    )
    outcomes = defaultdict(list)
    for name, outcome in re.findall(r"^(\w+)::ipynb::Cell \d+ ([A-Z]+)", done.stdout, re.M):
        outcomes[name].append(outcome)
    return outcomes, done.stdout


@pytest.fixture(scope="module")
def mended(tmp_path_factory):
    """Outcomes of every notebook under the plugin, and the text of each failure by notebook."""
    folder = tmp_path_factory.mktemp("notebooks")
    startup = folder / "mine" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("mine = 1")
    options = ["-p", "nbval_mends", "--warm-kernels", f"--nbval-cell-timeout={TIMEOUT}"]
    outcomes, text = run(folder, NOTEBOOKS, *options, IPYTHONDIR=str(folder / "mine"))
    failures = defaultdict(str)
    for part in re.split(r"(?m)^_+ (?=\w+\.ipynb::)", text)[1:]:
        failures[part.split(".")[0]] += part
    return outcomes, failures, folder


def test_ordinary_cells_pass(mended):
    assert mended[0]["ordinary"] == ["PASSED"] * 6 + ["SKIPPED"], mended[1]["ordinary"]


def test_an_exception_fails_and_later_cells_run(mended):
    assert mended[0]["exception"] == ["FAILED", "PASSED", "FAILED"]
    assert "ZeroDivisionError" in mended[1]["exception"]


def test_what_python_writes_fails_in_a_lecture(mended):
    assert mended[0]["07_prints"] == ["PASSED", "FAILED", "FAILED", "PASSED"]
    assert "Printed as Python writes it: ['[2, 3]']" in mended[1]["07_prints"]


def test_unknown_magic_fails(mended):
    assert mended[0]["unknown_magic"] == ["FAILED"] * 3 + ["PASSED"]
    message = "failed without an error output: UsageError"
    assert mended[1]["unknown_magic"].count(message) == 3


def test_history_is_stored(mended):
    assert mended[0]["history"] == ["PASSED"] * 3, mended[1]["history"]


def test_the_users_own_ipython_folder_is_left_alone(mended):
    assert mended[0]["startup_file"] == ["PASSED"], mended[1]["startup_file"]
    written = [p.name for p in (mended[2] / "mine").rglob("*") if p.is_file()]
    assert written == ["00.py"]


def test_dead_kernel_fails_long_before_the_timeout(mended):
    assert mended[0]["dies"] == ["PASSED", "FAILED", "FAILED"]
    assert "The kernel died while this cell ran" in mended[1]["dies"]


def test_dead_kernel_fails_where_an_exception_is_expected(mended):
    assert mended[0]["dies_tagged"] == ["FAILED"]


def test_raises_exception_fails_when_nothing_raises(mended):
    assert mended[0]["raises_nothing"] == ["FAILED", "PASSED"]
    assert "tagged raises-exception, but nothing was raised" in mended[1]["raises_nothing"]


def test_a_warm_kernel_is_its_notebooks_own(mended):
    """It has imported the modules, and has neither another notebook's names nor variables."""
    assert mended[0]["begins_warm"] == ["PASSED"] * 4, mended[1]["begins_warm"]
    assert mended[0]["begins_anew"] == ["PASSED"] * 2, mended[1]["begins_anew"]


def test_nothing_outlives_the_tests(tmp_path):
    cell = "import os; print(os.getppid(), file=open('parent', 'w'))"
    outcomes, text = run(tmp_path, {"x": [cell]}, "-p", "nbval_mends", "--warm-kernels")
    assert outcomes["x"] == ["PASSED"], text
    nursery = int((tmp_path / "parent").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(nursery, 0)


@pytest.mark.parametrize("kernels", [[], ["--warm-kernels"]])
def test_a_cell_that_never_ends_is_still_timed_out(tmp_path, kernels):
    options = ["-p", "nbval_mends", "--nbval-cell-timeout=3", *kernels]
    outcomes, text = run(tmp_path, {"endless": ["while True: pass"]}, *options)
    assert outcomes["endless"] == ["FAILED"], text
    assert "Timeout of 3 seconds exceeded" in text


def test_traps_are_still_there_without_the_plugin(tmp_path):
    """The reason for the mends; when this fails, nbval no longer needs them."""
    cells = ["%nosuchmagic", ("1", "raises-exception"), "assert len(In) == 1, In"]
    outcomes, text = run(tmp_path, {"traps": cells}, "--nbval-cell-timeout=60")
    assert outcomes["traps"] == ["PASSED"] * 3, text


def test_solutions_run_on_the_device_that_is_asked_for(tmp_path):
    cell = "import os; assert os.environ['COURSE_DEVICE'] == '{}'"
    for folder, wanted in (("notebooks", "cpu"), ("solutions", "pretend")):
        (tmp_path / folder).mkdir()
        notebook = {"where": [cell.format(wanted)]}
        options = ["-p", "nbval_mends", "--solutions-device", "pretend"]
        outcomes, printed = run(tmp_path / folder, notebook, *options, COURSE_DEVICE="cpu")
        assert outcomes == {"where": ["PASSED"]}, printed
        assert re.search(r"^ +\d+\.\d  where\.ipynb$", printed, re.M), "no seconds of the notebook"
