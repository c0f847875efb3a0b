"""What the pages say: of the lectures, what the lectures say; of files, what is there."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import grimp
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
LECTURES = sorted((ROOT / "lectures").glob("[0-9]*.py"))
ROWS = {
    row[0]: row
    for line in (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8").splitlines()
    if len(row := [cell.strip() for cell in line.strip("|").split("|")]) == 5
}


def lectures_in(text: str) -> set[int]:
    """The numbers that "05 to 08" or "00, 06" names."""
    spans = re.findall(r"(\d\d)(?: to (\d\d))?", text)
    return {n for first, last in spans for n in range(int(first), int(last or first) + 1)}


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_the_instructors_table_repeats_the_lecture(path):
    text = path.read_text(encoding="utf-8")
    said = re.search(r"About (\d+) minutes with[^.]*\.([^.]*)", text.replace("\n# ", " "))
    _, minutes, needs, exercises, _ = ROWS[path.stem[:2]]
    assert minutes == said[1]
    assert lectures_in(needs) == lectures_in(said[2])
    assert re.findall(r"`(\w+)`", exercises) == re.findall(r'exercise="(\w+)"', text)


# ------------------------------------------------------------------ what the pages point at

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "data/README.md"]
# What the commands write, as the pages describe it: not in the tree.
WRITTEN = {"class.csv", "class.html", "statistics.csv", "journal.jsonl", "06.ipynb"}
WRITTEN |= {"adjustments.csv", "moodle.csv", "canvas.csv", "assignment.toml", "roster.csv"}
ELSEWHERE = ("/", ".venv", "work/", "STUDENT/", "source/", "autograded/")
PATH = r"[\w./*-]*/[\w./*-]*|[\w*-]+\.(?:py|md|json|jsonl|csv|toml|txt|yml|ipynb|webp|html)"


def paths_in(text: str) -> list[str]:
    """The paths in a page's inline code and links."""
    prose = re.sub(r"(?s)```.*?```", "", text)
    code = [one for one in re.findall(r"`([^`\n]+)`", prose) if re.fullmatch(PATH, one)]
    links = re.findall(r"\]\(([^)#\s]+)", prose)
    return [one for one in code if one not in WRITTEN and not one.startswith(ELSEWHERE)] + [
        one for one in links if not re.match(r"[a-z]+:", one)
    ]


def there(path: str, page: Path) -> bool:
    """Whether a path exists from where a reader would look; NN and NAME stand for all."""
    pattern = re.sub(r"NAME|\bname\b|(?<=_)name", "*", path.rstrip("/")).replace("NN", "[0-9][0-9]")
    package = ROOT / "course_utils"
    grading = (package / "grading", package / "grading/trusted", package / "grading/sandboxed")
    near = (ROOT, page.parent, package, *grading, ROOT / "tests/grading")
    if pattern.startswith(".."):
        return (page.parent / pattern).exists()
    return any(any(folder.glob(pattern)) for folder in near)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_path_that_a_page_names_exists(page):
    missing = [p for p in paths_in(page.read_text(encoding="utf-8")) if not there(p, page)]
    assert not missing


def test_paths_are_recognised():
    page = ROOT / "docs" / "grading.md"
    text = (
        "`lectures/NN_name.py` [a](grading.md#x) `a == b` `/usr` [b](https://a.example) `class.csv`"
    )
    assert paths_in(text) == ["lectures/NN_name.py", "grading.md"]
    assert paths_in("`course_utils/nothing.py`\n```\n`lectures/a.py`\n```") == [
        "course_utils/nothing.py"
    ]
    assert there("lectures/NN_name.py", page)
    assert there("wire.py", page)
    assert not there("course_utils/nothing.py", page)
    assert not there("wired.py", page)


def test_the_table_of_the_grader_names_all_its_files():
    package = ROOT / "course_utils" / "grading"
    files = {p.relative_to(package).as_posix() for p in package.rglob("*.py")}
    table = re.findall(
        r"(?m)^\| (`.*?) \|", (ROOT / "docs" / "grading.md").read_text(encoding="utf-8")
    )
    named = {
        one for cell in table for one in re.findall(r"`((?:trusted|sandboxed)/\w+\.py)`", cell)
    }
    assert named == {file for file in files if not file.endswith("__init__.py")}


# ------------------------------------------------------------------ a lecture is a name

EXPLAINS_ITSELF = {"start_here"}  # nothing moves in lecture 00: it has no explorer


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_from_the_name_of_a_lecture_its_four_files_are_guessed(path):
    name, package = path.stem[3:], ROOT / "course_utils"
    folder = package / name
    assert (folder / "__init__.py").is_file() != (package / f"{name}.py").is_file()
    assert (package / "exercises" / f"{name}.py").is_file()
    assert (package / "widgets" / f"{name}.py").is_file() == (name not in EXPLAINS_ITSELF)
    tests = ROOT / "tests" / name
    assert (ROOT / "tests" / f"test_{name}.py").is_file() or any(tests.glob("test_*.py"))


def test_nothing_else_stands_among_the_exercises_and_the_explorers():
    known = {path.stem[3:] for path in LECTURES} | {"__init__"}
    for room in ("exercises", "widgets"):
        assert {p.stem for p in (ROOT / "course_utils" / room).glob("*.py")} <= known


# ------------------------------------------------------------------ docs/architecture.md


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """docs/pictures/architecture.py."""
    path = ROOT / "docs" / "pictures" / "architecture.py"
    spec = importlib.util.spec_from_file_location("architecture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_current(drawing):
    again = "run `python docs/pictures/architecture.py`, and look at the picture"
    assert drawing.TARGET.read_text(encoding="utf-8") == drawing.svg(), again


def test_every_room_is_in_the_picture(drawing):
    drawn = ElementTree.parse(drawing.TARGET).iter("{http://www.w3.org/2000/svg}text")
    texts = {re.sub(r"^\d\d ", "", text.text) for text in drawn}
    in_folder = {p.stem for p in (ROOT / "course_utils").iterdir() if not p.name.startswith("_")}
    assert in_folder <= texts
    assert {path.stem[3:] for path in LECTURES} <= texts


def test_what_is_shared_stands_in_the_picture_once(drawing):
    drawn = ElementTree.parse(drawing.TARGET).iter("{http://www.w3.org/2000/svg}text")
    texts = [text.text for text in drawn]
    folder = ROOT / "course_utils" / "common"
    for name in {p.stem for p in folder.iterdir() if not p.name.startswith("_")}:
        assert texts.count(name) == 1, name


def test_what_each_room_is_for_stands_in_the_package(drawing):
    others = set(drawing.rooms()) - set(drawing.lectures())
    assert set(drawing.purposes()) == others


def test_the_arrows_are_the_import_linters(drawing):
    """The script reads the imports by itself; here is the linter's own graph of them."""
    graph = grimp.build_graph("course_utils", cache_dir=None)
    linked = {room: set() for room in drawing.rooms()}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            start, end = (name.split(".")[1] for name in (module, other) if "." in name)
            linked[start] |= {end} - {start}
    assert drawing.imports() == linked


def test_the_functions_that_the_story_names_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)\.(?!py`)(\w+)`", text.replace("pyproject.toml", ""))
    assert len(named) > 10
    for module, name in named:
        homes = [f"course_utils{room}.{module}" for room in ("", ".checking", ".commands")]
        found = [one for one in homes if importlib.util.find_spec(one)]
        assert found, f"{module}.{name}: no such module"
        assert hasattr(importlib.import_module(found[0]), name), f"{module}.{name}"


# ------------------------------------------------------------------ the lectures' pictures

COVERS = ROOT / "docs" / "pictures" / "lectures"
RECIPES = json.loads((COVERS / "covers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_a_lecture_has_a_picture_of_the_size_of_all_with_an_alternative(path):
    with Image.open(COVERS / f"{path.stem}.webp") as picture:
        assert picture.size == (480, 270)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    alt = RECIPES[path.stem]["alt"]
    assert f'<img src="docs/pictures/lectures/{path.stem}.webp" width="180" alt="{alt}">' in readme


@pytest.mark.parametrize("name", RECIPES)
def test_the_figure_that_a_picture_is_cut_out_of_is_still_in_its_lecture(name):
    recipe = RECIPES[name]
    source = (ROOT / "lectures" / f"{recipe.get('from', name)}.py").read_text(encoding="utf-8")
    source = re.sub(r'"\s*f?"', "", source)  # texts that go on in the next line
    made = " of “" in recipe["figure"]  # an explorer's own words
    assert ("widgets." if made else recipe["figure"]) in source


def test_the_pictures_are_of_photos_without_conditions_and_thank_their_makers():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for recipe in RECIPES.values():
        assert not re.search(r"BY|GPL", recipe["credit"])
        for maker in re.findall(r"(?:Photos?: |and |; )([A-Z]\w+(?: \w+)?),", recipe["credit"]):
            assert maker in readme
