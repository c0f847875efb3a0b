"""Who handed in what: from a notebook, a folder, a folder for each student, or a platform's zip.

Nothing is unpacked and no link is followed. What is found is a list of places; the bytes at each
are read when they are needed, and never more than a notebook may have. Names that students chose
become text to show and keys of a dictionary, never a path.
"""

import hashlib
import io
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path

from course_utils.common import lectures
from course_utils.grading.trusted import files, submission
from course_utils.grading.trusted.judge import clean
from course_utils.grading.trusted.submission import SubmissionError

MOST = 40
"""Notebooks of one student: the whole course is 18 of them, and perhaps a newer copy of each."""

_MEMBERS, _OWN_MEMBERS, _DEPTH = 50_000, 1_000, 12  # of a class's zip, of a student's; folders
_NAME = 200  # characters of a name that are looked at
_PLATFORMS = (
    re.compile(r"(?P<who>.+?)_(?P<number>\d+)_assignsubmission_[a-z]+(?:_(?P<file>.*))?"),
    # Moodle above, Canvas below
    re.compile(r"(?P<who>[^_]+)_(?P<late>LATE_)?(?P<number>\d{3,})_\d{3,}_(?P<file>.+)"),
    # Blackboard: the assignment's name first, which may hold underscores, then the user's
    re.compile(r".+_(?P<who>[^_]+)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)"),
)
_ATTEMPT = "%Y-%m-%d-%H-%M-%S"
_GRADESCOPE = "submission_metadata.yml"
_NOTEBOOK = re.compile(r".+\.ipynb(\.(txt|json))?", re.IGNORECASE)  # browsers add endings
_DROPPED = re.compile(r"\..*|__MACOSX|Thumbs\.db|desktop\.ini", re.IGNORECASE)


class CollectError(ValueError):
    """No submissions can be found there; says why."""


@dataclass(frozen=True)
class Handed:
    """One notebook that was handed in, or what stands in its place.

    Attributes:
        student: whose; safe to show.
        notebook: its name, with the folder where another of theirs has the same; safe to show.
        file: the file, or the zip it lies in.
        inside: the numbers of its entry in that zip, of the entry in a zip within that.
        problem: why it cannot be read, if that is known already.
        folder: the folders, or the zip of the student's, in which it lies; safe to show.
        late: the platform's name says that it came late.
        time: when it came, where the platform's name says so, e.g. "2026-11-28 18:30:05".
    """

    student: str
    notebook: str
    file: str
    inside: tuple[int, ...] = ()
    problem: str = ""
    folder: str = ""
    late: bool = False
    time: str = ""


@dataclass(frozen=True)
class _Entry:
    """A file somewhere below the place that was named, or in a zip there."""

    parts: tuple[str, ...]
    file: str
    inside: tuple[int, ...] = ()
    problem: str = ""


# ------------------------------------------------------------------ what is there


def collect(place: Path, student: str = "") -> tuple[list[Handed], list[str]]:
    """Everything that was handed in at a place, and remarks on what was left aside.

    Args:
        place: a notebook; a folder with notebooks or with a folder for each student; a zip of
            either, as learning platforms export it. A student's own zip counts as a folder: what
            its inside is called says nothing about whose it is.
        student: whose all of it is; by default what the names at that place say.

    Returns:
        What was handed in, by student and name; sentences for the instructor.

    Raises:
        CollectError: nothing there, or a zip that cannot be opened.
    """
    if place.is_dir():
        entries = list(_walk(place))
    elif place.suffix.lower() == ".zip" and place.is_file():
        own = student or _platform(place.name)
        entries = [_Entry((place.name,), str(place))] if own else list(_zipped(place))
    elif place.is_file() or place.is_symlink():
        whose = shown(student or _plain_stem(place.name))
        return [Handed(whose, shown(place.name), str(place))], []
    else:
        raise CollectError(f"there is no {place}")
    lost = [e for e in entries if ".." in e.parts]
    inside = [e for e in entries if ".." not in e.parts]
    kept = inside if student else _unwrapped(inside, place.stem)
    lost += [replace(e, problem="it is no notebook") for e in kept if _nobodys(e)]
    remarks = [f"left aside: {shown('/'.join(e.parts))}: {e.problem}" for e in lost]
    around = "" if kept == inside else shown(inside[0].parts[0])
    remarks += [f"{around}: taken for a folder around all students', not for one's"] * bool(around)
    kept = _with_names(kept)
    found = _students([e for e in kept if not _nobodys(e)], student)
    if not found:
        raise CollectError(f"nothing was handed in at {place}: no notebook, no student's folder")
    return found, remarks


def _with_names(entries: list[_Entry]) -> list[_Entry]:
    """Gradescope's folders by the names in its list of submissions, where there is that list."""
    listed = next((e for e in entries if e.parts == (_GRADESCOPE,)), None)
    if listed is None:
        return entries
    names, folder = {}, ""
    text = read(Handed("", "", listed.file, listed.inside)).decode("utf-8", "replace")
    for line in text.splitlines():
        if re.fullmatch(r"submission_\d+:", line):
            folder = line[:-1]
        elif folder and (found := re.fullmatch(r"\s*-? *:name: (.+)", line)):
            name = found[1].strip("'\" ")
            names.setdefault(folder, f"{name}_{folder.partition('_')[2]}")
    kept = [e for e in entries if e is not listed]
    return [replace(e, parts=(names.get(e.parts[0], e.parts[0]), *e.parts[1:])) for e in kept]


def _nobodys(entry: _Entry) -> bool:
    """Whether it is a file beside the submissions: a list of names, a reader's notes."""
    name = entry.parts[0]
    work = _NOTEBOOK.fullmatch(name) or _is_zip(name) or _platform(name) or entry.problem
    return len(entry.parts) == 1 and not work


def _walk(folder: Path, parts: tuple[str, ...] = ()) -> Iterator[_Entry]:
    """Every file below a folder, in the order of names; a link is named and not followed."""
    try:
        listed = sorted(os.scandir(folder), key=lambda found: found.name)
    except OSError as error:
        if not parts:
            raise CollectError(f"{folder} cannot be read: {error.strerror}") from None
        yield _Entry(parts, str(folder), problem=f"it cannot be read: {error.strerror}")
        return
    for entry in listed:
        here = (*parts, entry.name)
        if _DROPPED.fullmatch(entry.name):
            continue
        if entry.is_symlink():
            yield _Entry(here, entry.path, problem="it is a link, and links are not followed")
        elif _is_folder(entry):
            if len(here) > _DEPTH:
                yield _Entry(here, entry.path, problem="it lies in too many folders")
            else:
                inner = list(_walk(Path(entry.path), here))
                yield from inner or [_Entry((*here, ""), entry.path)]
        else:
            yield _Entry(here, entry.path)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # reading it will say why
        return False


def _zipped(place: Path) -> Iterator[_Entry]:
    try:
        with zipfile.ZipFile(place) as archive:
            members = archive.infolist()
    except (OSError, *_DAMAGE) as error:
        raise CollectError(f"{place.name} cannot be opened as a zip: {error}") from None
    if len(members) > _MEMBERS:
        raise CollectError(f"{place.name} has {len(members):,} entries; accepted: {_MEMBERS:,}")
    for number, member in enumerate(members):
        yield from _member_entry(member, number, str(place))


def _member_entry(member: zipfile.ZipInfo, number: int, file: str) -> Iterator[_Entry]:
    """A zip's entry; nothing for one that does not count."""
    named = _decoded(member).replace("\\", "/")
    parts = tuple(p for p in named.split("/") if p not in ("", "."))
    folder = member.is_dir() or named.endswith("/")
    if not parts or any(_DROPPED.fullmatch(p) for p in parts if p != ".."):
        return
    problem = ""
    if named.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", named):
        parts, problem = ("..", *parts), "its name leads out of the zip"
    elif stat.S_ISLNK(member.external_attr >> 16):
        problem = "it is a link, and links are not followed"
    elif len(parts) > _DEPTH:
        problem = "it lies in too many folders"
    yield _Entry((*parts, "") if folder else parts, file, (number,), problem)


def _decoded(member: zipfile.ZipInfo) -> str:
    """An entry's name. Without the flag for UTF-8 it is that or a Chinese code all the same.

    Python takes the bytes for code page 437, that of the first PCs.
    """
    name = member.filename
    if member.flag_bits & 0x800 or name.isascii():
        return name
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:
        return name
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    # Any two bytes are Chinese to gb18030; both high, as in common characters, they hardly ever
    # stand side by side in other languages' names.
    if re.fullmatch(rb"([\x00-\x7f]|[\x81-\xfe][\xa1-\xfe])+", raw):
        with suppress(UnicodeDecodeError):
            return raw.decode("gb18030")
    return name


def _unwrapped(entries: list[_Entry], stem: str) -> list[_Entry]:
    """Without the one folder that an export puts around all others.

    A folder that a platform has named is a student's, whatever names the student has put in it.
    """
    while entries:
        first = {e.parts[0] for e in entries}
        if len(first) > 1 or any(len(e.parts) < 2 for e in entries) or any(map(_platform, first)):
            break
        below = [e.parts[1:] for e in entries if e.parts[1]]
        folders = {parts[0] for parts in below if len(parts) > 1}
        platform = any(_platform(parts[0]) for parts in below)
        listed = (_GRADESCOPE,) in below
        if not (len(folders) > 1 or platform or listed or first == {stem}):
            break
        kept = [e for e in entries if e.parts[1]]
        entries = [replace(e, parts=e.parts[1:]) for e in kept]
    return entries


# ------------------------------------------------------------------ whose it is


def _students(entries: list[_Entry], known: str = "") -> list[Handed]:
    """What every student handed in: their notebooks, or one entry that says why there is none."""
    by_student: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_student[shown(known) if known else _student(entry)].append(entry)
    found = []
    for student in sorted(by_student):
        try:
            found += _of_student(student, by_student[student])
        except Exception as error:  # what one handed in keeps nobody else from being graded
            problem = f"it cannot be looked through ({type(error).__name__})"
            file = by_student[student][0].file
            found.append(Handed(student, "(unknown)", file, problem=problem))
    return found


def _student(entry: _Entry) -> str:
    name = entry.parts[0]
    known = _platform(name)
    if known:
        number = known.groupdict().get("number")
        return shown(f"{known['who']}_{number}" if number else known["who"])
    return shown(name if len(entry.parts) > 1 else _plain_stem(name))


def _platform(name: str) -> re.Match | None:
    """Name, number and file, where a learning platform has put them into a name."""
    if len(name) > _NAME:
        return None
    return next((m for pattern in _PLATFORMS if (m := pattern.fullmatch(name))), None)


def _plain_stem(name: str) -> str:
    """A file's name without endings, a browser's "(1)" and the lecture: the student is left.

    "ada_06_saliency (1).ipynb" is Ada's.
    """
    if len(name) > _NAME:
        return name
    stem = re.sub(r"(\.ipynb|\.zip|\.txt|\.json)+$", "", name, flags=re.IGNORECASE)
    stem = re.sub(r" *\(\d{1,3}\)$", "", stem)
    for lecture in _lectures():
        rest = stem.replace(lecture, "").strip(" _-.")
        if rest != stem and rest:
            return rest
    return stem or name


@cache
def _lectures() -> tuple[str, ...]:
    return tuple(lectures.names())


def shown(name: str) -> str:
    """A student's name for a thing, safe to show; names that look alike are told apart."""
    name = unicodedata.normalize("NFC", name)
    safe = " ".join(clean(name, 80).split())
    return safe if safe == name else f"{safe or 'unnamed'} ~{files.mark(name, 4)}"


def _of_student(student: str, entries: list[_Entry]) -> list[Handed]:
    found = [_dated(h, entry) for entry in entries for h in _handed(student, entry)]
    seen = _told_apart(list({(h.file, h.inside): h for h in found}.values()))
    if len(seen) > MOST:
        problem = f"{len(seen):,} notebooks were handed in; accepted: {MOST}"
        return [Handed(student, "(too many)", seen[0].file, problem=problem)]
    if seen:
        return seen
    names = [e.parts[-1] for e in entries if e.parts[-1]]
    listed = ", ".join(map(shown, names[:5])) + (" ..." if len(names) > 5 else "")
    problem = f"no notebook was handed in, only: {listed}" if names else "nothing was handed in"
    return [Handed(student, "(none)", entries[0].file, problem=problem)]


def _dated(handed: Handed, entry: _Entry) -> Handed:
    """With what the platform's name says about when it came."""
    known = _platform(entry.parts[0])
    said = known.groupdict() if known else {}
    try:
        time = str(datetime.strptime(said.get("time") or "", _ATTEMPT))
    except ValueError:
        time = ""
    return replace(handed, late=bool(said.get("late")), time=time)


def _told_apart(found: list[Handed]) -> list[Handed]:
    """Notebooks of one name, each with the folder or the zip in which it lies."""
    names = Counter(h.notebook.casefold() for h in found)
    return [
        replace(h, notebook=f"{h.folder}/{h.notebook}")
        if names[h.notebook.casefold()] > 1 and h.folder
        else h
        for h in found
    ]


def _folder(parts: Sequence[str]) -> str:
    """The folders above a file, safe to show."""
    return "/".join(shown(part) for part in parts if part not in ("..", ""))


def _handed(student: str, entry: _Entry) -> Iterator[Handed]:
    """The notebooks of an entry: itself, or those in a student's own zip."""
    name = entry.parts[-1]
    known = _platform(name) if len(entry.parts) == 1 else None
    name = (known["file"] if known else None) or name
    if _is_zip(name) and not entry.problem:
        yield from _in_zip(student, entry)
    elif _NOTEBOOK.fullmatch(name) or (entry.problem and len(entry.parts) == 1):
        folder = _folder(entry.parts[1:-1])
        yield Handed(student, shown(name), entry.file, entry.inside, entry.problem, folder)


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _in_zip(student: str, entry: _Entry) -> Iterator[Handed]:
    """The notebooks in a student's own zip, which may be anything."""
    own = Handed(student, shown(entry.parts[-1]), entry.file, entry.inside)
    try:
        with _opened(own.file, own.inside) as archive:
            members = archive.infolist()
        if len(members) > _OWN_MEMBERS:
            raise SubmissionError(f"the zip has {len(members):,} entries")
    except SubmissionError as error:
        yield replace(own, problem=str(error))
        return
    inner = [e for n, m in enumerate(members) for e in _member_entry(m, n, entry.file)]
    kept = [e for e in inner if _NOTEBOOK.fullmatch(e.parts[-1])]
    for one in kept:
        number = (*entry.inside, *one.inside)
        folder = _folder((*entry.parts[1:], *one.parts[:-1]))
        yield Handed(student, shown(one.parts[-1]), entry.file, number, one.problem, folder)
    if not kept:
        yield replace(own, problem="there is no notebook in the zip")


# ------------------------------------------------------------------ reading


_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, IndexError, OverflowError, MemoryError, UnicodeError),
)
"""What Python's zipfile raises on damaged files."""


def read(handed: Handed) -> bytes:
    """The bytes that were handed in.

    Raises:
        SubmissionError: they cannot be read, or are more than a notebook may have.
    """
    if handed.problem:
        raise SubmissionError(handed.problem)
    if not handed.inside:
        return submission.content(Path(handed.file))
    *above, last = handed.inside
    with _opened(handed.file, above) as archive:
        return _member(archive, last)


def _opened(file: str, inside: Iterable[int]) -> zipfile.ZipFile:
    """A zip, or the zip in it, and so on."""
    archive = _as_zip(file)
    for number in inside:
        with archive:
            content = _member(archive, number)
        archive = _as_zip(io.BytesIO(content))
    return archive


def _as_zip(file: str | io.BytesIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (OSError, *_DAMAGE):
        raise SubmissionError("the zip is damaged") from None


def _member(archive: zipfile.ZipFile, number: int) -> bytes:
    """One entry's bytes: as many as a notebook may have and one more, whatever it unpacks to."""
    try:
        member = archive.infolist()[number]
        if member.flag_bits & 1:
            raise SubmissionError("the zip is encrypted")
        # Other methods unpack a whole block at once: 4 kB of bzip2 can hold gigabytes.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SubmissionError("the zip is packed in an unusual way; accepted: deflate")
        with archive.open(member) as file:
            return submission.not_too_large(file.read(submission.LARGEST + 1))
    except SubmissionError:
        raise
    except (OSError, *_DAMAGE):
        raise SubmissionError("the zip is damaged") from None


def digest(handed: Handed) -> str:
    """SHA-256 of what was handed in, or of what is wrong with it."""
    try:
        content = read(handed)
    except Exception as error:  # grading it will say what
        content = f"problem: {error}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()


# ------------------------------------------------------------------ where the results go


def places(handed: Iterable[Handed], taken: Iterable[str] = ()) -> list[str]:
    """For each a name "STUDENT/NOTEBOOK" below the results, different for every one.

    Args:
        handed: what was handed in.
        taken: names of folders that no student may have.
    """
    handed, reserved = list(handed), {name.casefold() for name in taken}
    folders: dict[str, set[str]] = defaultdict(set)
    for one in handed:
        folders[files.safe_name(one.student).casefold()].add(one.student)
    found: dict[str, str] = {}
    for one in handed:
        folder = files.safe_name(one.student)
        if len(folders[folder.casefold()]) > 1 or folder.casefold() in reserved:
            folder += "-" + files.mark(one.student)
        stem = re.sub(r"(\.ipynb|\.txt|\.json)+$", "", one.notebook, flags=re.IGNORECASE)
        name = f"{folder}/{files.safe_name(stem)}"
        while name.casefold() in found:
            name += "-" + files.mark(f"{one.file}{one.inside}", 4)
        found[name.casefold()] = name
    return list(found.values())
