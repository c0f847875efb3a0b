"""Lectures become notebooks: the same bytes each time, nbgrader's stubs, errors with a line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.preprocessors import CheckCellMetadata, ClearSolutions

from course_utils.commands import build as course_build
from course_utils.commands.build import BuildError, build, clear, notebook, read

LECTURE = '''\
# %% [markdown]
# # Doubling
# A photo doubled, $y = 2x$, é and 显著性图.

# %%
%matplotlib inline
import math

# %% [markdown] slide="fragment"
# ### A step

# %% exercise="twice"
def twice(x):
    """Two times `x`."""
    if x:
        ### BEGIN SOLUTION
        y = x + x
        return y
        ### END SOLUTION
    ### BEGIN SOLUTION
    return 0
    ### END SOLUTION


# %% check="twice"
check("twice", twice)

# %% tags=["raises-exception", "long"]
math.sqrt(-1)

# %%
math.pi

# %%
math.pi
'''.replace("%matplotlib", "# %matplotlib")


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one lecture, worth 3 points an exercise."""
    for folder in ("lectures", "notebooks", "solutions", "work"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lectures" / "03_twice.py").write_text(LECTURE, encoding="utf-8")
    monkeypatch.setattr(course_build, "_points", lambda name: 3)
    return tmp_path


def edit(course, old, new):
    path = course / "lectures" / "03_twice.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def files(course):
    return {p.relative_to(course): p.read_bytes() for p in course.rglob("*") if p.is_file()}


BOTH = ["notebooks/03_twice.ipynb", "solutions/03_twice.ipynb"]


def test_second_run_writes_nothing_and_changes_no_byte(course):
    assert build(root=course) == BOTH
    before = files(course)
    assert build(root=course) == []
    assert build(check=True, root=course) == []
    for name in BOTH:
        (course / name).unlink()
    build(root=course)
    assert files(course) == before


def test_bytes_are_utf8_with_newlines_and_characters_kept(course):
    build(root=course)
    raw = (course / BOTH[0]).read_bytes()
    assert b"\r" not in raw
    assert raw.endswith(b"}\n")
    assert not raw.endswith(b"\n\n")
    assert "显著性图".encode() in raw


def test_checkout_with_crlf_is_no_drift(course):
    build(root=course)
    path = course / BOTH[0]
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert build(check=True, root=course) == []


def test_check_names_what_differs_and_writes_nothing(course):
    assert build(check=True, root=course) == BOTH
    build(root=course)
    edit(course, "return y", "return 1 * y")
    (course / "solutions" / "99_gone.ipynb").write_text("{}")
    before = files(course)
    assert build(check=True, root=course) == ["solutions/03_twice.ipynb", "solutions/99_gone.ipynb"]
    assert files(course) == before


def test_notebook_without_its_lecture_goes_but_a_copy_by_hand_stays(course):
    build(root=course)
    copy = course / "notebooks" / "03_twice-Copy1.ipynb"
    copy.write_bytes((course / BOTH[0]).read_bytes())
    (course / "lectures" / "03_twice.py").rename(course / "lectures" / "04_twice.py")
    changed = build(root=course)
    assert changed == sorted([*BOTH, *(n.replace("03", "04") for n in BOTH)])
    assert not (course / BOTH[0]).exists()
    assert copy.exists()
    assert build(check=True, root=course) == ["notebooks/03_twice-Copy1.ipynb"]


def test_only_the_two_folders_are_touched(course):
    (course / "work" / "03_twice.ipynb").write_text("mine")
    before = files(course)
    build(root=course)
    after = files(course)
    assert {str(p.parent) for p in after.keys() - before.keys()} == {"notebooks", "solutions"}
    assert {p: after[p] for p in before} == before


def test_a_mistake_in_one_lecture_writes_no_notebook(course):
    (course / "lectures" / "04_bad.py").write_text('# %% check="nothing"\n1\n')
    with pytest.raises(BuildError, match=r"lectures/04_bad\.py:1"):
        build(root=course)
    assert not list((course / "notebooks").iterdir())


def test_notebook_metadata_ids_slides_and_tags(course):
    build(root=course)
    student, solved = (nbformat.read(course / name, as_version=4) for name in BOTH)
    for nb in (student, solved):
        nbformat.validate(nb)
        assert (nb.nbformat, nb.nbformat_minor) == (4, 5)
        assert nb.metadata.kernelspec.name == "python3"
        assert nb.metadata.course.lecture == "03_twice"
        assert all(not c.outputs and c.execution_count is None for c in nb.cells if "outputs" in c)
        ids = [c.id for c in nb.cells]
        assert len(set(ids)) == len(ids)
        assert ids[3:5] == ["twice", "twice-check"]
        assert ids[7] == f"{ids[6]}-2"  # the same text twice
        slides = [c.metadata.slideshow.slide_type for c in nb.cells]
        assert slides == ["slide", "-", "fragment", "subslide", "-", "-", "-", "-"]
        assert nb.cells[5].metadata.tags == ["raises-exception", "long"]
        assert nb.cells[1].source.startswith("%matplotlib inline\n")
    assert len(student.metadata.course.version) == 12
    assert student.metadata.course.version != solved.metadata.course.version


def test_headings_become_slides_and_subslides(course):
    edit(course, ' slide="fragment"', "")
    cells = read(course / "lectures" / "03_twice.py")
    nb = notebook(cells, "03_twice", cleared=True)
    assert nb.cells[2].metadata.slideshow.slide_type == "subslide"


@pytest.mark.parametrize(
    ("code", "wanted"),
    [("show.maps(a)", "subslide"), ("widgets.explore(a)", "subslide"), ("show.table(a)", "-")],
)
def test_a_figure_gets_a_screen_of_its_own(course, code, wanted):
    edit(course, "math.sqrt(-1)", code)
    nb = notebook(read(course / "lectures" / "03_twice.py"), "03_twice", cleared=True)
    assert nb.cells[5].metadata.slideshow.slide_type == wanted


def test_version_changes_with_the_cells_only(course):
    build(root=course)

    def versions():
        return [json.loads((course / n).read_text("utf-8"))["metadata"]["course"] for n in BOTH]

    first = versions()
    edit(course, "y = x + x", "y = 2 * x")  # only the solution: students have nothing new
    build(root=course)
    second = versions()
    assert second[0] == first[0]
    assert second[1] != first[1]


def test_nbgrader_metadata(course):
    build(root=course)
    for name in BOTH:
        nb = nbformat.read(course / name, as_version=4)
        marked = {c.id: c.metadata.nbgrader for c in nb.cells if "nbgrader" in c.metadata}
        common = {"schema_version": 3, "task": False}
        assert marked == {
            "twice": common
            | {"grade": False, "solution": True, "locked": False, "grade_id": "twice"},
            "twice-check": common
            | {"grade": True, "solution": False, "locked": True}
            | {"grade_id": "twice-check", "points": 3},
        }
        CheckCellMetadata().preprocess(nb, {})


def test_cleared_notebook_equals_nbgraders(course):
    build(root=course)
    student, solved = (nbformat.read(course / name, as_version=4) for name in BOTH)
    assert "### BEGIN SOLUTION" in solved.cells[3].source
    theirs, _ = ClearSolutions().preprocess(solved, {})
    assert [c.source for c in theirs.cells] == [c.source for c in student.cells]
    stub = student.cells[3].source
    assert stub.count("raise NotImplementedError()") == 2
    assert "        raise NotImplementedError()\n    # YOUR" in stub
    assert "return" not in stub


@pytest.mark.slow
def test_cleared_notebook_equals_what_generate_assignment_releases(course):
    build(root=course)
    source = course / "source" / "one"
    source.mkdir(parents=True)
    shutil.copy(course / BOTH[1], source)
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", "one", f"--course-dir={course}"],
        cwd=course,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PATH": scripts},  # nbgrader starts alembic from there
    )
    assert done.returncode == 0, done.stderr
    released = nbformat.read(course / "release" / "one" / "03_twice.ipynb", as_version=4)
    student = nbformat.read(course / BOTH[0], as_version=4)
    assert [(c.id, c.source) for c in released.cells] == [(c.id, c.source) for c in student.cells]


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n\t### BEGIN SOLUTION\n\treturn 1\n\t### END SOLUTION",
        "def f():\n    x = 1\n    ### BEGIN SOLUTION\n    ### END SOLUTION\n    return x\n",
        "### BEGIN SOLUTION\ndef f():\n    pass\n### END SOLUTION\n\n",
    ],
)
def test_clear_equals_nbgraders_on_odd_layouts(source):
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata.nbgrader = {"solution": True}
    ClearSolutions().preprocess_cell(cell, {"language": "python"}, 0)
    assert clear(source) == cell.source


MISTAKES = {
    "no END": ("    return 0\n    ### END SOLUTION\n", "    return 0\n", 20, "no `### END"),
    "END alone": ("        ### BEGIN SOLUTION\n", "        z = 1\n", 19, "END without BEGIN"),
    "nested": ("        y = x + x\n", "        ### BEGIN SOLUTION\n", 17, "BEGIN inside BEGIN"),
    "marker with text": (
        "### BEGIN SOLUTION\n    r",
        "### BEGIN SOLUTION here\n    r",
        20,
        "alone",
    ),
    "marker elsewhere": ("math.sqrt(-1)", "### BEGIN SOLUTION", 29, "outside an exercise"),
    "option": ('exercise="twice"', 'exercize="twice"', 12, "unknown option 'exercize'"),
    "title": ('# %% exercise="twice"', "# %% The exercise", 12, "unknown option 'title'"),
    "slide": ('slide="fragment"', 'slide="slides"', 9, "slide='slides' is not one of slide,"),
    "tags": ('["raises-exception", "long"]', '"a,b"', 28, r'tags=\["one", "two"\]'),
    "name": ("def twice", "def thrice", 12, "function of that name, found thrice"),
    "no check": ('# %% check="twice"\n', "# %%\n", 12, "must be followed at once"),
    "other check": ('check="twice"', 'check="thrice"', 12, "must be followed at once"),
    "check moved": ('# %% check="twice"', '# %%\n1\n\n# %% check="twice"', 12, "followed at once"),
    "check alone": ('# %% tags=["raises-exception", "long"]', '# %% check="x"', 28, "right after"),
    "not a name": ('exercise="twice"', 'exercise="2x"', 12, "not a function's name"),
    "on markdown": ('[markdown] slide="fragment"', '[markdown] check="x"', 9, "on a code cell"),
    "broken": ("if x:", "if x", 12, "not valid Python"),
    "shell word": ("import math", "# cat and dog\nimport math", 7, "would become code"),
    "cell kind": ('[markdown] slide="fragment"', "[raw]", 9, "markdown or code, got 'raw'"),
    "text before": (
        "# %% [markdown]\n# # Doubling",
        "import os\n\n# %% [markdown]\n# #",
        3,
        "below",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_file_and_line(course, mistake):
    old, new, line, words = MISTAKES[mistake]
    edit(course, old, new)
    with pytest.raises(BuildError, match=words) as caught:
        build(root=course)
    assert str(caught.value).startswith(f"lectures/03_twice.py:{line}: ")


def test_exercise_twice_in_one_lecture(course):
    text = LECTURE[LECTURE.index('# %% exercise="twice"') : LECTURE.index("# %% tags")]
    edit(course, "# %% tags", text + "# %% tags")
    with pytest.raises(BuildError, match=r"03_twice.py:28: .*already in line 12"):
        build(root=course)


def test_exercise_in_two_lectures(course):
    (course / "lectures" / "04_again.py").write_text(LECTURE, encoding="utf-8")
    with pytest.raises(BuildError, match=r"04_again.py:12: .*already in lectures/03_twice.py:12"):
        build(root=course)


def test_file_name_must_be_numbered(course):
    (course / "lectures" / "twice.py").write_text(LECTURE, encoding="utf-8")
    with pytest.raises(BuildError, match=r"twice.py:1: name is not NN_name"):
        build(root=course)


def test_exercise_without_points_is_named(course, monkeypatch):
    def points(name):
        raise KeyError(name)

    monkeypatch.setattr(course_build, "_points", points)
    with pytest.raises(BuildError, match=r"03_twice.py:25: no points for exercise 'twice'"):
        build(root=course)


def test_notebooks_of_the_course_are_up_to_date():
    assert build(check=True) == [], "not up to date; run `course build` and commit the notebooks"
