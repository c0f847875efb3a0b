"""Who belongs to the class: a list to find students by, and names that mean nothing to others."""

import csv
import hashlib
import hmac
import io
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.trusted import files

NAME = "roster.csv"
KEY = "pseudonyms.key"
_COLUMNS = {
    "id": ("id", "id number", "student id", "sis user id", "username", "user name"),
    "name": ("name", "full name", "student"),
    "first": ("first name", "given name"),
    "last": ("last name", "surname", "family name"),
    "email": ("email", "email address", "e-mail", "mail"),
}


class RosterError(ValueError):
    """The list cannot be read; says why."""


@dataclass(frozen=True)
class Person:
    """A line of the list; `id` is empty where there is no such column."""

    id: str
    name: str
    email: str = ""

    def called(self) -> set[str]:
        """What the names of platforms may call this person."""
        words = self.name.replace(",", " ").split()
        orders = (words, words[::-1], words[-1:] + words[:-1], words[1:] + words[:1])
        found = {plain("".join(order)) for order in orders}
        found |= {plain(self.email), plain(self.email.partition("@")[0]), plain(self.id)}
        return found - {""}


def read(path: Path) -> list[Person]:
    """The people of a list: CSV with a column `id` or `name`, and perhaps `email`.

    Headings as Moodle and Canvas export them are understood; UTF-8 or a Chinese code.

    Raises:
        RosterError: it cannot be read, or has no such column.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RosterError(f"{path} cannot be read: {error.strerror}") from None
    for code in ("utf-8-sig", "gb18030"):
        try:
            rows = list(csv.DictReader(io.StringIO(data.decode(code), newline="")))
            break
        except UnicodeDecodeError:
            continue
    else:
        raise RosterError(f"{path.name} is neither UTF-8 nor GB 18030")
    people = [found for row in rows if (found := _person(row))]
    if not people:
        raise RosterError(f"{path.name} has nobody in it; accepted: columns id, name, email")
    return people


def _person(row: dict) -> Person | None:
    given = {str(k).strip().casefold(): (v or "").strip() for k, v in row.items() if k}
    found = {
        key: next((given[name] for name in names if given.get(name)), "")
        for key, names in _COLUMNS.items()
    }
    name = found["name"] or " ".join(p for p in (found["first"], found["last"]) if p)
    if not (name or found["id"]):
        return None
    return Person(found["id"], name or found["id"], found["email"])


def plain(text: str) -> str:
    """A name without accents, case, spaces and signs."""
    wide = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in wide if sign.isalnum())


def match(people: Iterable[Person], students: Iterable[str]) -> dict[str, Person]:
    """Student, as the submissions name them -> the one person that can be meant.

    The name decides; the number that a platform adds only where no name does.
    """
    by_key: dict[str, set[Person]] = {}
    for person in people:
        for key in person.called():
            by_key.setdefault(key, set()).add(person)
    found = {}
    for student in students:
        who, _, number = student.rpartition("_")
        for key in map(plain, (student, who, number)):
            meant = by_key.get(key, set())
            if len(meant) == 1:
                found[student] = next(iter(meant))
                break
    return found


def pseudonyms(out: Path, students: Iterable[str]) -> dict[str, str]:
    """Student -> a name that only the folder of results can take back.

    Args:
        out: the folder; a secret key is kept in it, for its owner alone.
        students: their names.
    """
    path = out / KEY
    if not path.is_file():
        files.store(path, secrets.token_hex(32))
    key = path.read_text(encoding="utf-8").encode()
    names = dict.fromkeys(students)
    marks = {n: hmac.new(key, n.encode("utf-8", "replace"), hashlib.sha256) for n in names}
    return {name: f"student-{mark.hexdigest()[:12]}" for name, mark in marks.items()}
