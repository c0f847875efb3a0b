"""Marks for other systems: Moodle, Canvas, Gradescope, nbgrader's gradebook."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from course_utils.checking import core, sources
from course_utils.grading.trusted import files, report, roster
from course_utils.grading.trusted.journal import Journal
from course_utils.grading.trusted.report import Row, Rules


class ExportError(ValueError):
    """There is nothing to export, or not into such a file; says why."""


def rows(out: Path) -> tuple[list[Row], Rules]:
    """The notebooks that count, of all that are kept in a folder of results, and its rules.

    Raises:
        ExportError: no results there.
    """
    rules = report.kept(out)
    with Journal(out, alone=False) as journal:
        found = report.rows_of(out, journal.current(), rules)
    counting = [row for row in found if row.counted]
    if not counting:
        raise ExportError(f"there are no results in {out}")
    return counting, rules


def totals(found: Iterable[Row], rules: Rules) -> dict[str, tuple[float, float]]:
    """Student -> the sum of the marks, and of what could be had."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in found:
        mark = rules.mark(row)
        sums[row.result["student"]][0] += mark.points
        sums[row.result["student"]][1] += mark.most
    return {student: (round(had, 2), most) for student, (had, most) in sums.items()}


def feedback(own: Sequence[Row], rules: Rules) -> str:
    """What a student should read, as text: each exercise, and an instructor's remarks."""
    lines = []
    for row in own:
        lines.append(f"{row.result['notebook']}: {row.result['reason']}".rstrip(": "))
        for one in row.result["exercises"]:
            lines.append(f"{one['exercise']}: {one['state']}. {one['reason']}".rstrip())
        lines += rules.mark(row).remarks
    return "\n".join(lines)


# ------------------------------------------------------------------ Moodle and Canvas


def moodle(out: Path, worksheet: Path | None = None, pseudonyms: bool = False) -> Path:
    """A file for Moodle: its own grading worksheet filled in, or one for the gradebook's import.

    Args:
        out: the folder of results.
        worksheet: from "Download grading worksheet"; its people are known by the number that
            stands in the names of submissions too. Rows of others stay as they are.
        pseudonyms: without names: for those who help with the marks elsewhere.

    Returns:
        `moodle.csv` in that folder.
    """
    found, rules = rows(out)
    marked, known = totals(found, rules), rules.matched(found)
    if worksheet is None:
        lines = [
            ["ID number", "Email address", "Full name", rules.asked.title, "Feedback comments"]
        ]
        names = _names(out, marked, pseudonyms)
        for student, (points, _) in marked.items():
            person = None if pseudonyms else known.get(student)
            who = [person.id, person.email] if person else ["", ""]
            lines.append([*who, names[student], points, feedback(_own(found, student), rules)])
        return files.store(out / "moodle.csv", report._csv(lines))
    table = _table(worksheet)
    places = _by_number(marked)
    number, grade = _column(table, "Identifier", worksheet), _column(table, "Grade", worksheet)
    comments = table[0].index("Feedback comments") if "Feedback comments" in table[0] else None
    for line in table[1:]:
        student = places.get(re.sub(r"\D", "", line[number]))
        if student is not None:
            line[grade] = f"{marked[student][0]:g}"
            if comments is not None:
                line[comments] = feedback(_own(found, student), rules)
    return files.store(out / "moodle.csv", report._csv(table))


def canvas(out: Path, gradebook: Path | None = None, pseudonyms: bool = False) -> Path:
    """A file for Canvas' gradebook: its own export with a column filled in, or one made of names.

    Args:
        out: the folder of results.
        gradebook: Canvas' export; people are known by the `ID` that stands in the names of
            submissions too. A column whose heading begins with the assignment's title is filled,
            else one is added.
        pseudonyms: as for `moodle`.

    Returns:
        `canvas.csv` in that folder.
    """
    found, rules = rows(out)
    marked, known = totals(found, rules), rules.matched(found)
    most, title = max(m for _, m in marked.values()), rules.asked.title
    if gradebook is None:
        lines = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title]]
        lines.append(["    Points Possible", "", "", "", "", most])
        names = _names(out, marked, pseudonyms)
        for student, (points, _) in marked.items():
            person = None if pseudonyms else known.get(student)
            number = "" if pseudonyms else student.rpartition("_")[2]
            number = number if number.isdecimal() else ""
            who = [names[student], number, person.id if person else "", "", ""]
            lines.append([*who, points])
        return files.store(out / "canvas.csv", report._csv(lines))
    table = _table(gradebook)
    number, at = _column(table, "ID", gradebook), _place(table, title)
    for line in table[1:]:
        student = _by_number(marked).get(line[number].strip())
        if "Points Possible" in line[0]:
            line[at] = f"{most:g}"
        elif student is not None:
            line[at] = f"{marked[student][0]:g}"
    return files.store(out / "canvas.csv", report._csv(table))


def _place(table: list[list[str]], title: str) -> int:
    """The column whose heading begins with a title; a new one where there is none."""
    at = next((i for i, name in enumerate(table[0]) if name.startswith(title)), None)
    if at is not None:
        return at
    for line in table:
        line.append("")
    table[0][-1] = title
    return len(table[0]) - 1


def _by_number(students: Iterable[str]) -> dict[str, str]:
    """The numbers that platforms put behind names -> the students."""
    return {student.rpartition("_")[2]: student for student in students}


def _own(found: Iterable[Row], student: str) -> list[Row]:
    return [row for row in found if row.result["student"] == student]


def _names(out: Path, students: Iterable[str], pseudonyms: bool) -> dict[str, str]:
    if pseudonyms:
        return roster.pseudonyms(out, students)
    return {s: re.sub(r"_\d+$", "", s) for s in students}


def _table(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} cannot be read: {error}") from None
    table = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    if not table:
        raise ExportError(f"{path.name} is empty")
    width = len(table[0])
    return [line + [""] * (width - len(line)) for line in table]


def _column(table: list[list[str]], name: str, path: Path) -> int:
    if name not in table[0]:
        raise ExportError(f"{path.name} has no column {name!r}, only: {', '.join(table[0])}")
    return table[0].index(name)


# ------------------------------------------------------------------ Gradescope


def gradescope(found: Sequence[Row], rules: Rules) -> dict:
    """What Gradescope shows of one submission: the content of its `results.json`.

    Args:
        found: the rows of its notebooks; those that count are shown, of all lectures.
        rules: how they are counted.
    """
    found = [row for row in found if row.counted]
    marked = [(row, rules.mark(row)) for row in found]
    tests = [test for row, mark in marked for test in _tests(row, mark.exercises, rules)]
    told = [row.result["reason"] for row in found if row.result["reason"]]
    late = [m for _, m in marked if m.kept < 1]
    told += [f"It came {m.hours:.1f} hours late: {m.kept:.0%} is kept." for m in late]
    return {
        "score": round(sum(mark.points for _, mark in marked), 2),
        "output": "\n".join([*told, *(r for _, m in marked for r in m.remarks)]),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"state": [row.result["state"] for row in found]},
    }


def _tests(row: Row, points: dict, rules: Rules) -> Iterable[dict]:
    for one in row.result["exercises"]:
        worth = rules.asked.worth(one["exercise"], one["max_points"])
        if not worth:
            continue
        cases = [f"{c['note']}: {c['state']}" for c in one["cases"] if one["state"] == core.WRONG]
        yield {
            "name": f"{one['title']} ({one['exercise']})",
            "score": points.get(one["exercise"], 0.0),
            "max_score": worth,
            "status": "passed" if one["state"] == core.RIGHT else "failed",
            "output": "\n".join([f"{one['state']}. {one['reason']}".strip(), *cases]),
            "output_format": "text",
            "visibility": "visible",
        }


# ------------------------------------------------------------------ nbgrader


def nbgrader(out: Path, root: Path) -> int:
    """Puts scores and words into the gradebook of an nbgrader course, through nbgrader's own API.

    Every lecture becomes an assignment of its name with one notebook. The notebooks themselves go
    to `autograded/`, so that the formgrader can open them; a score that was set by hand there
    stays, because only the automatic one is written.

    Args:
        out: the folder of results.
        root: nbgrader's course folder, in which `gradebook.db` is or will be.

    Returns:
        How many submissions.

    Raises:
        ExportError: nbgrader is not installed, or there are no results.
    """
    try:
        from nbgrader.api import Gradebook
    except ImportError:
        raise ExportError("nbgrader is not installed: pip install nbgrader") from None
    found, rules = rows(out)
    found = [row for row in found if row.result["state"] == report.GRADED]
    root.mkdir(parents=True, exist_ok=True)
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        for lecture in {row.result["lecture"] for row in found}:
            _assignment(book, lecture, rules)
        people = rules.matched(found)
        for row in found:
            student = row.result["student"]
            name = people[student].id if student in people and people[student].id else student
            _submission(book, out, root, row, files.safe_name(name), rules)
    return len(found)


def _assignment(book: object, lecture: str, rules: Rules) -> None:
    """An assignment as `nbgrader generate_assignment` makes it of the course's notebook."""
    due = rules.asked.deadline and rules.asked.deadline.astimezone().isoformat()
    book.update_or_create_assignment(lecture, **({"duedate": due} if due else {}))
    book.update_or_create_notebook(lecture, lecture)
    for exercise in core.all_(lecture):
        most = rules.asked.worth(exercise.name, exercise.points)
        about = {"max_score": most, "cell_type": "code"}
        book.update_or_create_grade_cell(f"{exercise.name}-check", lecture, lecture, **about)
        book.update_or_create_solution_cell(exercise.name, lecture, lecture)


def _submission(book: object, out: Path, root: Path, row: Row, student: str, rules: Rules) -> None:
    """One submission's scores, words and notebook."""
    lecture, mark = row.result["lecture"], rules.mark(row)
    book.update_or_create_student(student)
    late = {"timestamp": row.result["submitted"]} if row.result.get("submitted") else {}
    book.update_or_create_submission(lecture, student, **late)
    for one in row.result["exercises"]:
        where = (lecture, lecture, student)
        grade = book.find_grade(f"{one['exercise']}-check", *where)
        grade.auto_score, grade.needs_manual_grade = mark.exercises[one["exercise"]], False
        comment = book.find_comment(one["exercise"], *where)
        comment.auto_comment = f"{one['state']}. {one['reason']}".strip()
    book.db.commit()
    target = root / "autograded" / student / lecture / f"{lecture}.ipynb"
    files.store(target, json.dumps(_notebook(report.load(out, row.place) or {})))


_CHECK = re.compile(r"check\(\s*[\"'](\w+)[\"']")


def _notebook(result: dict) -> dict:
    """The stored cells as a notebook with nbgrader's metadata."""
    kinds = {sources.MARKDOWN: "markdown", sources.RAW: "raw"}
    known, cells = {e.name for e in core.all_(result.get("lecture"))}, []
    for number, one in enumerate(result.get("cells", [])):
        checked = _CHECK.search(one["source"])
        grade = not one["exercise"] and checked and checked[1] in known
        name = f"{checked[1]}-check" if grade else one["exercise"]
        flags = {"grade": bool(grade), "locked": bool(grade), "solution": not grade, "task": False}
        about = {"grade_id": name, "schema_version": 3, **flags, **({"points": 1} if grade else {})}
        kind = kinds.get(one["role"], "code")
        cell = {"cell_type": kind, "id": f"cell-{number}", "source": one["source"]}
        cell["metadata"] = {"nbgrader": about} if name else {}
        cells.append(cell | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
