"""What is made of the results: a page for each student, a table and statistics for the class.

All of it is made anew from the stored results, so it can be thrown away. Every text of a student's
is escaped, and the pages forbid scripts and every request. They do not hold the seed.
"""

import csv
import html
import io
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.checking import core, notebook
from course_utils.grading.trusted import alike, assignment, files, judge, marks, page, roster
from course_utils.grading.trusted.assignment import Assignment
from course_utils.grading.trusted.judge import FAILED, GRADED

_STATES = (core.RIGHT, core.WRONG, core.NOT_ATTEMPTED, FAILED)
_HEAVY = ("cells", "printed")
_NEEDED = {"student", "notebook", "lecture", "state", "reason", "points", "max_points", "exercises"}
_OF_EACH = {"exercise", "title", "state", "points", "max_points", "reason", "mistake", "cases"}
_FORMULA = ("=", "+", "-", "@")
_CAPTIONS = {
    False: "On a photo: what a right answer gives.",
    True: "On a photo: what a right answer gives, what yours gives, and the difference.",
}


@dataclass(frozen=True)
class Row:
    """A result as the class's table has it, without what is heavy.

    Attributes:
        place: in the folder of results.
        result: the stored result; no pictures, no cells.
        counted: whether it counts; of several notebooks of one student for one lecture one does.
        remark: what an instructor should know about that choice.
    """

    place: str
    result: dict
    counted: bool = True
    remark: str = ""


def write(
    out: Path, places: Sequence[str], rules: "Rules | None" = None
) -> tuple[list[Path], list[str]]:
    """Writes all reports.

    Args:
        out: the folder of results.
        places: the results that count, as `engine.Run.places`.
        rules: how they are counted; by default as they were judged.

    Returns:
        The files: class.csv, statistics.csv, class.html; and sentences about what could not be
        written, who is in no list, who is absent, and decisions that concern nobody.
    """
    rules = rules or Rules()
    rows = rows_of(out, places, rules)
    by_folder: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_folder[row.place.partition("/")[0]].append(row)
    remarks = []
    for folder, own in by_folder.items():
        try:
            files.store(out / folder / "report.html", student_page(out, own, rules))
        except Exception as error:  # the others' pages do not wait for it
            remarks.append(f"no page for {folder}: {type(error).__name__}: {error}")
    written = [
        files.store(out / "class.csv", class_table(rows, rules)),
        files.store(out / "statistics.csv", statistics_table(rows)),
        files.store(out / "class.html", class_page(rows, rules)),
    ]
    results = [row.result for row in rows]
    return written, [*remarks, *_people(rows, rules), *marks.unused(rules.said, results)]


def rows_of(out: Path, places: Iterable[str], rules: "Rules") -> list[Row]:
    """The stored results as rows, counted by these rules."""
    found = [Row(place, _light(r)) for place in places if (r := load(out, place))]
    return counted(found, rules.asked)


def _people(rows: Sequence[Row], rules: "Rules") -> list[str]:
    """Sentences about who is in no list, and who handed in nothing."""
    if not rules.people:
        return []
    known = rules.matched(rows)
    strangers = sorted({row.result["student"] for row in rows} - set(known))
    absent = [person.name for person in rules.absent(rows)]
    found = [f"not in the roster: {', '.join(strangers)}"] * bool(strangers)
    return found + [f"nothing handed in: {', '.join(absent)}"] * bool(absent)


@dataclass(frozen=True)
class Rules:
    """How results are counted.

    Attributes:
        asked: the assignment.
        people: the roster; empty where there is none.
        said: an instructor's decisions.
    """

    asked: Assignment = Assignment()
    people: tuple[roster.Person, ...] = ()
    said: tuple[marks.Adjustment, ...] = ()

    def matched(self, rows: Iterable[Row]) -> dict[str, roster.Person]:
        """Student -> the person of the roster."""
        return roster.match(self.people, sorted({row.result["student"] for row in rows}))

    def absent(self, rows: Iterable[Row]) -> list[roster.Person]:
        """Those of the roster who handed in nothing."""
        here = set(self.matched(rows).values())
        return [person for person in self.people if person not in here]

    def mark(self, row: Row) -> marks.Mark:
        """What a notebook is worth."""
        return marks.mark(row.result, self.asked, self.said)


def kept(out: Path) -> Rules:
    """The rules that are kept in a folder of results.

    Raises:
        AssignmentError, RosterError, AdjustmentError: a file that says nothing clear.
    """
    asked, people = out / assignment.NAME, out / roster.NAME
    return Rules(
        assignment.read(asked) if asked.is_file() else Assignment(),
        tuple(roster.read(people)) if people.is_file() else (),
        tuple(marks.adjustments(out)),
    )


def load(out: Path, place: str) -> dict | None:
    """A stored result; None where there is none, or none that can be read."""
    try:
        found = json.loads((out / f"{place}.json").read_text(encoding="utf-8"))
        whole = found.keys() >= _NEEDED and all(e.keys() >= _OF_EACH for e in found["exercises"])
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return found if whole else None


def _light(result: dict) -> dict:
    """A result without what a class of hundreds would fill the memory with."""
    exercises = [{k: v for k, v in one.items() if k != "picture"} for one in result["exercises"]]
    kept = {key: value for key, value in result.items() if key not in _HEAVY}
    return kept | {"exercises": exercises}


def counted(rows: Iterable[Row], asked: Assignment | None = None) -> list[Row]:
    """The rows by student, and of several notebooks for one lecture only one counting.

    One in which something was written before one that is blank; then the last by name, numbers in
    it read as such: "06 (2)" comes after "06", and "06 (10)" after "06 (2)". Of two with the same
    name in different folders the one with more points, and the row says so. A notebook that could
    not be read counts only where no other was handed in. An assignment may say that the best or
    the first one counts, and how many are looked at.
    """
    rows = sorted(rows, key=lambda row: (row.result["student"], *_counting_order(row)))
    groups: dict[tuple, list[Row]] = defaultdict(list)
    graded = {row.result["student"] for row in rows if row.result["lecture"]}
    for row in rows:
        student, lecture = row.result["student"], row.result["lecture"]
        if lecture or student not in graded:
            groups[(student, lecture)].append(row)
    last = [_chosen(own, asked or Assignment()) for own in groups.values()]
    chosen = {row.place: _doubt(row, rows) for row in last}
    return [Row(r.place, r.result, r.place in chosen, chosen.get(r.place, "")) for r in rows]


def _chosen(own: Sequence[Row], asked: Assignment) -> Row:
    """Of one student's notebooks for a lecture, in their order, the one that counts."""
    written = [row for row in own if row.result["state"] == GRADED and _attempted(row)]
    written.sort(key=lambda row: (row.result.get("submitted", ""), _counting_order(row)[3:]))
    tried = written[: asked.attempts or None]
    if tried and asked.counts == "first":
        return tried[0]
    if tried and asked.counts == "best":
        return max(reversed(tried), key=lambda row: marks.mark(row.result, asked).points)
    return tried[-1] if tried and asked.attempts else own[-1]


def _doubt(chosen: Row, rows: Sequence[Row]) -> str:
    """What an instructor should know about the choice: others of the same name, not blank."""
    key = [(r.result["student"], r.result["lecture"], _name(r)) for r in (chosen, *rows)]
    pairs = zip(rows, key[1:], strict=True)
    others = [r for r, k in pairs if k == key[0] and r.place != chosen.place and _attempted(r)]
    if not others:
        return ""
    listed = ", ".join(f"{r.result['notebook']} ({r.result['points']:g} points)" for r in others)
    return (
        f"ambiguous: another notebook of the same name was handed in and does not count: {listed}"
    )


def _attempted(row: Row) -> bool:
    return any(one["state"] != core.NOT_ATTEMPTED for one in row.result["exercises"])


def _name(row: Row) -> str:
    """A notebook's name without its folder and ending."""
    return row.result["notebook"].rpartition("/")[2].casefold().removesuffix(".ipynb")


def _counting_order(row: Row) -> tuple:
    result = row.result
    parts = [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", _name(row))]
    ordered = tuple((isinstance(p, str), p if isinstance(p, int) else 0, str(p)) for p in parts)
    written = (result["state"] == GRADED, _attempted(row))
    return (result["lecture"] or "", *written, ordered, result["points"], row.place)


# ------------------------------------------------------------------ tables


def class_table(rows: Sequence[Row], rules: Rules | None = None) -> str:
    """The class as CSV: a row for each notebook, a column for each exercise; then who is absent."""
    rules = rules or Rules()
    known = rules.matched(rows)
    names = list(dict.fromkeys(one["exercise"] for row in rows for one in row.result["exercises"]))
    head = ["student", "notebook", "lecture", "counts", "state", "points", "max_points", "reason"]
    head += ["remark", "similarity", "to_look_at", "id", "late", "hours_late", "mark", "out_of"]
    head.append("instructor")
    lines = [[*head, *names]]
    looks = worth_a_look(rows)
    for row in rows:
        result = row.result
        points = {one["exercise"]: one["points"] for one in result["exercises"]}
        said = [result[key] for key in ("student", "notebook", "lecture")]
        said += ["yes" if row.counted else "no", result["state"], result["points"]]
        said += [result["max_points"], result["reason"], row.remark]
        alike = [e["similarity"] for e in result["exercises"] if e.get("similarity") is not None]
        said += [max(alike, default=None), "; ".join(looks.get(row.place, []))]
        said += _marked(row, rules, known)
        lines.append([*said, *map(points.get, names)])
    for person in rules.absent(rows):
        said = [person.name, None, None, "absent", "not handed in", 0, None, None, None, None, None]
        lines.append([*said, person.id, *[None] * (5 + len(names))])
    return _csv(lines)


def _marked(row: Row, rules: Rules, known: dict[str, roster.Person]) -> list[object]:
    """Who it is in the roster, how late it was, and what it is worth."""
    mark, person = rules.mark(row), known.get(row.result["student"])
    number = person.id if person else "not in the roster" if rules.people else None
    late = "LATE" if row.result.get("late") or (mark.hours or 0) > 0 else None
    hours = None if mark.hours is None else round(mark.hours, 1)
    return [number, late, hours, mark.points, mark.most, " ".join(mark.remarks)]


def worth_a_look(rows: Sequence[Row]) -> dict[str, list[str]]:
    """By place: what a person should look at, in words; proof of nothing."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for one in row.result["exercises"]:
            if one.get("hidden"):
                words = f"{one['exercise']}: cannot be outlined ({', '.join(one['hidden'])})"
                found[row.place].append(words)
    places = {(r.result["student"], r.result["lecture"]): r.place for r in rows if r.counted}
    for pair in pairs(rows):
        lecture = core.get(pair.exercise).lecture
        for own, other in ((pair.one, pair.other), (pair.other, pair.one)):
            words = f"{pair.exercise}: {pair.share:.0%} as {other}'s"
            found[places[own, lecture]].append(words)
    return found


def pairs(rows: Iterable[Row]) -> list[alike.Pair]:
    """The pairs of students whose answers to an exercise are alike; of those with points only."""
    answers: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for row in rows:
        for one in row.result["exercises"] if row.counted else []:
            if one.get("fingerprints"):
                answers[one["exercise"]][row.result["student"]] = one["fingerprints"]
    known = ((name, judge.own_fingerprints(name)) for name in answers)
    return [pair for name, own in known for pair in alike.pairs(name, answers[name], own)]


def _csv(lines: Iterable[Sequence[object]]) -> str:
    """CSV; a text that a spreadsheet would take for a formula begins with an apostrophe.

    The mark at the beginning tells Excel that it is UTF-8.
    """
    with io.StringIO(newline="") as file:
        file.write("\ufeff")
        writer = csv.writer(file)
        for line in lines:
            writer.writerow([_cell(value) for value in line])
        return file.getvalue()


def _cell(value: object) -> object:
    # Spreadsheets take the signs in full width, as Chinese keyboards have them, for the same.
    if isinstance(value, str) and unicodedata.normalize("NFKC", value).lstrip()[:1] in _FORMULA:
        return "'" + value
    return "" if value is None else value


def statistics(rows: Iterable[Row]) -> dict[str, dict[str, Counter]]:
    """By exercise: how many answers are in each state, and how many are which known mistake."""
    found: dict[str, dict[str, Counter]] = {}
    for row in rows:
        for one in row.result["exercises"] if row.counted else []:
            own = found.setdefault(one["exercise"], {"states": Counter(), "mistakes": Counter()})
            own["states"][one["state"]] += 1
            if one["state"] == core.WRONG:
                own["mistakes"][one["mistake"] or ""] += 1
    return dict(sorted(found.items(), key=lambda item: core.get(item[0]).lecture))


def statistics_table(rows: Sequence[Row]) -> str:
    """The statistics as CSV: a row for each exercise and state, and for each mistake."""
    lines: list[list[object]] = [["exercise", "kind", "name", "answers"]]
    for state, number in Counter(row.result["state"] for row in rows if row.counted).items():
        lines.append(["(notebooks)", "state", state, number])
    for exercise, own in statistics(rows).items():
        lines += [[exercise, "state", state, own["states"][state]] for state in _STATES]
        known = own["mistakes"].most_common()
        lines += [[exercise, "mistake", name or "(none known)", n] for name, n in known]
    return _csv(lines)


# ------------------------------------------------------------------ pages


def student_page(out: Path, rows: Sequence[Row], rules: Rules | None = None) -> str:
    """One student's page: every notebook, every exercise, what is wrong, and the pictures.

    Args:
        out: the folder of results, from which the pictures are read.
        rows: the student's.
        rules: how they are counted, and whether what the code printed is shown.
    """
    rules = rules or Rules()
    student = rows[0].result["student"]
    parts = [f"<h1>{html.escape(student)}</h1>"]
    if len(rows) > 1:
        parts += _overview(rows, rules)
    for number, row in enumerate(rows):
        parts.append(f'<h2 id="n{number}">{html.escape(row.result["notebook"])}</h2>')
        parts += _notebook(load(out, row.place) or row.result, row.counted, rules)
    return page.whole(student, parts)


def _overview(rows: Sequence[Row], rules: Rules) -> Iterator[str]:
    """Of several notebooks: what they are worth together, and the way to each."""
    worth = _together([row for row in rows if row.counted], rules)[1]
    yield f"<p><strong>{worth}</strong> in the notebooks that count.</p>"
    lines = []
    for number, row in enumerate(rows):
        link = f'<a href="#n{number}">{html.escape(row.result["notebook"])}</a>'
        lines.append([link, html.escape(_state(row)), *_together([row], rules)])
    yield page.table("Notebooks", ["notebook", "state", "points", "mark"], lines, (2, 3))


def _state(row: Row) -> str:
    """A notebook's state in words."""
    state = row.result["state"] if row.counted else f"{row.result['state']}, does not count"
    return state + ("; LATE" if row.result.get("late") else "")


def _notebook(result: dict, counts: bool, rules: Rules) -> Iterator[str]:
    if not counts:
        yield "<p>This notebook does not count: another one for the same lecture does.</p>"
    if result["reason"]:
        yield f"<p>{html.escape(result['reason'])}</p>"
    if result["state"] == GRADED:
        yield f"<p><strong>{result['points']:g} of {result['max_points']:g} points.</strong></p>"
    yield from _mark(marks.mark(result, rules.asked, rules.said), result)
    for one in result["exercises"]:
        yield from _exercise(one)
    if rules.asked.prints and result.get("printed", "").strip():
        said = html.escape(result["printed"])
        yield f"<details><summary>What your code printed</summary><pre>{said}</pre></details>"


def _mark(mark: marks.Mark, result: dict) -> Iterator[str]:
    """The mark, where it is another than the points, and why."""
    if (mark.points, mark.most) != (result["points"], result["max_points"]):
        late = f" It came {mark.hours or 0:.1f} hours late: {mark.kept:.0%} of it is kept."
        said = late if mark.kept < 1 else ""
        yield f"<p>Mark: <strong>{mark.points:g} of {mark.most:g}</strong>.{said}</p>"
    for remark in mark.remarks:
        yield f"<p>Your instructor: {html.escape(remark)}</p>"


def _exercise(one: dict) -> Iterator[str]:
    points = f"{one['points']:g} of {one['max_points']:g}"
    yield f'<section class="{one["state"].replace(" ", "-")}"><h3>{html.escape(one["title"])}: '
    yield f"<code>{html.escape(one['exercise'])}</code></h3>"
    yield f"<p><strong>{html.escape(one['state'])}</strong>, {points} points</p>"
    if one["reason"]:
        yield f"<p>{notebook.marked(one['reason'])}</p>"
    if one["state"] == core.WRONG:
        cases = (f"<li>{html.escape(c['note'])}: {html.escape(c['state'])}" for c in one["cases"])
        yield f"<ul>{''.join(cases)}</ul>"
    picture = one.get("picture")
    if picture:
        alt = html.escape(picture["alt"], quote=True)
        source = re.sub(r"[^A-Za-z0-9+/=]", "", picture["png"])
        yield f'<figure><img alt="{alt}" src="data:image/png;base64,{source}">'
        yield f"<figcaption>{_CAPTIONS[bool(picture.get('yours'))]}</figcaption></figure>"
    yield "</section>"


def class_page(rows: Sequence[Row], rules: Rules | None = None) -> str:
    """The class's page: who has how many points, and what went wrong in each exercise."""
    states = Counter(row.result["state"] for row in rows if row.counted)
    told = ", ".join(f"{number} {state}" for state, number in states.items())
    people = [
        f"<p>{html.escape(line[0].upper() + line[1:])}.</p>"
        for line in _people(rows, rules or Rules())
    ]
    parts = ["<h1>The class</h1>", f"<p>Notebooks that count: {told}.</p>", *people]
    parts += [*_students(rows, rules or Rules()), *_to_look_at(rows), "<h2>Exercises</h2>"]
    found = statistics(rows)
    parts.append(_exercises(found))
    for name, own in found.items():
        parts += _mistakes(name, own)
    return page.whole("The class", parts)


def _students(rows: Sequence[Row], rules: Rules) -> Iterator[str]:
    """A line for each student: what they have in all notebooks that count, and what is odd."""
    by_student: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_student[row.result["student"]].append(row)
    head, lines = ["student", "notebooks", "remarks", "points", "mark"], []
    for student, own in by_student.items():
        link = html.escape(f"{own[0].place.partition('/')[0]}/report.html".replace("%", "%25"))
        who = f'<a href="{link}">{html.escape(student)}</a>'
        counting = [row for row in own if row.counted]
        named = counting[0].result["notebook"] if len(counting) == 1 else str(len(counting))
        said = map(html.escape, (named, "; ".join(filter(None, map(_odd, own)))))
        lines.append([who, *said, *_together(counting, rules)])
    yield page.table("Students", head, lines, (3, 4))


def _odd(row: Row) -> str:
    """What is not as usual with a notebook; nothing for one that is graded, counts and is clear."""
    if row.counted and row.result["state"] == GRADED and not row.result.get("late"):
        return row.remark
    return f"{row.result['notebook']}: {_state(row)}" + (f"; {row.remark}" if row.remark else "")


def _together(rows: Sequence[Row], rules: Rules) -> tuple[str, str]:
    """Points and marks of some notebooks, each out of how many."""
    given = [(row.result["points"], row.result["max_points"]) for row in rows]
    marked = [(mark.points, mark.most) for mark in map(rules.mark, rows)]
    had, most = (f"{sum(p[0] for p in s):g} of {sum(p[1] for p in s):g}" for s in (given, marked))
    return had, most


def _to_look_at(rows: Sequence[Row]) -> Iterator[str]:
    looks = worth_a_look(rows)
    if not looks:
        return
    yield "<h2>Something to look at</h2><p>Alike is not copied. Short functions that do the same "
    yield "look the same, more so where students learned from one page, and an outline sees "
    yield "neither who wrote first nor why. Look at both notebooks before you ask anybody. What "
    yield "cannot be outlined makes code while it runs, or holds answers by heart.</p>"
    lines = [
        [html.escape(said) for said in (row.result["student"], row.result["notebook"], words)]
        for row in rows
        for words in looks.get(row.place, [])
    ]
    yield page.table("Something to look at", ["student", "notebook", "what"], lines)


def _exercises(found: dict[str, dict[str, Counter]]) -> str:
    """How many answers are in each state: a line for each exercise."""
    lines = [
        [core.get(name).lecture[:2], f"<code>{html.escape(name)}</code>"]
        + [str(own["states"][state]) for state in _STATES]
        for name, own in found.items()
    ]
    return page.table("Exercises", ["lecture", "exercise", *_STATES], lines, range(2, 6))


def _mistakes(name: str, own: dict[str, Counter]) -> Iterator[str]:
    """What went wrong in an exercise, the most frequent first; nothing where nothing did."""
    if not own["mistakes"]:
        return
    yield f"<h3>What went wrong in <code>{html.escape(name)}</code></h3>"
    sentences, lines = {m.name: m.sentence for m in core.get(name).mistakes}, []
    for mistake, number in own["mistakes"].most_common():
        said = notebook.marked(sentences.get(mistake, "no known mistake"))
        label = f"<code>{html.escape(mistake)}</code> {said}" if mistake else said
        lines.append([str(number), label])
    yield page.table(f"Mistakes in {name}", ["answers", "mistake"], lines, (0,))
