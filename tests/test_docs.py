"""What docs/ says about the lectures is what the lectures say of themselves."""

import re
from pathlib import Path

import pytest

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
