"""A whole class: several judges side by side, a journal, and nothing done twice.

Each judge is a process (`marker`), because computing a reference redirects the standard output,
which threads share. A submission that takes its judge down, or keeps it too long, is given to
another one; the second time it is set aside, with a result that says so. A killed run loses what it
was just grading and nothing else: the same command goes on.
"""

import errno
import hashlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import tqdm

from course_utils.common import paths
from course_utils.grading.trusted import collect, judge, marker, processes, sandbox
from course_utils.grading.trusted.journal import Journal

if TYPE_CHECKING:
    from course_utils.grading.trusted import warm

ASIDE = "set aside"
"""The state of a submission that took its judge down twice."""

ATTEMPTS = 2
FOLDERS = ("journal.jsonl", "class.csv", "class.html", "statistics.csv", "adjustments.csv")
FOLDERS += ("assignment.toml", "roster.csv", "pseudonyms.key", "moodle.csv", "canvas.csv")
"""Names in the folder of results that no student's folder has."""

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
_TICK = 0.5
_PATIENCE = 300  # seconds beyond a submission's own limits: drawing cases, a busy machine
_MODULE = marker.__name__
_WITHOUT_A_SAY = ("bench/", "commands/", "widgets/", "show.py")  # in what an answer is worth


class EngineError(RuntimeError):
    """The run cannot go on, and no submission is to blame; says why. What is graded is kept."""


@dataclass(frozen=True)
class Task:
    """One submission to be graded.

    Attributes:
        handed: where it is.
        place: where its result goes.
        key: stands for everything that the result depends on.
        sha256: of the file.
        seed: of its inputs.
        attempts: judges it has taken down.
    """

    handed: collect.Handed
    place: str
    key: str
    sha256: str
    seed: int
    attempts: int = 0


@dataclass
class Run:
    """What a run did.

    Attributes:
        graded, kept, aside: submissions graded now, graded before and unchanged, set aside.
        remarks: what was left aside, for the instructor.
        places: of this run's submissions, in the folder of results.
        current: of all that count, those of runs on other submissions included.
        seconds: wall time.
        peak_memory_mib: of all processes together, looked at twice a second.
        isolation: level and detail.
        jobs: judges side by side.
    """

    graded: int = 0
    kept: int = 0
    aside: int = 0
    remarks: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory_mib: int = 0
    isolation: tuple[str, str] = ("", "")
    jobs: int = 1


@dataclass(frozen=True)
class Settings:
    """How a run grades.

    Attributes:
        lecture: which lecture the notebooks are for; what each one says by default.
        seed: of all inputs. By default a notebook that has not changed keeps the seed it had, and
            what is new is graded with one that no earlier results can have given away.
        limits: what a student's code may use.
        trust: allow workers without walls where no sandbox works.
        jobs: judges side by side; as many as processors by default, fewer where memory is short.
        again: grade also what has not changed.
        student: whose all of it is; by default what the names say.
        draw: add the pictures, which takes some seconds for each wrong answer.
        scheduler: the address of a Dask scheduler, whose machines do the work; empty: this one.
    """

    lecture: str = ""
    seed: int | None = None
    limits: sandbox.Limits = field(default_factory=sandbox.Limits)
    trust: bool = False
    jobs: int | None = None
    again: bool = False
    student: str = ""
    draw: bool = True
    scheduler: str = ""


# ------------------------------------------------------------------ a run


def grade(
    submissions: Path,
    out: Path,
    settings: Settings | None = None,
    progress: bool = True,
    parent: "warm.Parent | None" = None,
) -> Run:
    """Grades what was handed in at a place, and stores a result for each notebook.

    Args:
        submissions: as for `collect.collect`.
        out: the folder of results.
        settings: how.
        progress: show a bar.
        parent: forks the worker of a single submission. Judges of several have one each.

    Returns:
        What was done; the results are in `out`.

    Raises:
        CollectError, SandboxError, JournalError, EngineError: nothing there, no sandbox, another
            run at work, judges that cannot be started.
        ValueError: a setting that is out of range.
    """
    began, settings = time.monotonic(), settings or Settings()
    judge.check_options(settings.lecture, settings.seed)
    walls = sandbox.walls(settings.trust)
    handed, remarks = collect.collect(submissions, settings.student)
    places = collect.places(handed, FOLDERS)
    run = Run(remarks=remarks, isolation=(walls.level, walls.detail))
    with Journal(out) as journal:
        main = _seed(settings.seed, journal)
        seeds = _Seeds(settings.seed, fresh(main, journal.rounds()), journal.seeds())
        pairs = zip(handed, places, strict=True)
        tasks = [_task(h, place, settings, seeds, walls) for h, place in pairs]
        source = str(submissions.resolve())
        journal.add("run", seed=main, source=source, places=places, time=_now())
        pending = _pending(tasks, journal, out, settings.again)
        run.kept, run.jobs = len(tasks) - len(pending), min(jobs(settings), len(pending))
        _work(pending, journal, out, settings, run, progress, parent)
        journal.add("done", graded=run.graded)
        run.places, run.current = places, journal.current()
    run.seconds = round(time.monotonic() - began, 2)
    return run


def _seed(given: int | None, journal: Journal) -> int:
    """The seed asked for, else the one this folder was graded with, else a new secret one."""
    known = journal.seed() if given is None else given
    return secrets.randbelow(1 << 31) if known is None else known


def fresh(seed: int, rounds: int) -> int:
    """The seed of what is graded for the first time after so many rounds of grading.

    A function can tell its author the inputs it was given, in an error if in nothing else. They
    are of no use: what is handed in after results were known is graded on others.
    """
    if rounds == 0:
        return seed
    drawn = hashlib.sha256(f"{seed}:{rounds}".encode()).digest()
    return int.from_bytes(drawn[:4]) >> 1


@dataclass(frozen=True)
class _Seeds:
    """Which seed a notebook is graded with: the one asked for, the one it had, a fresh one."""

    given: int | None
    fresh: int
    known: dict[str, tuple[str, int]]

    def of(self, place: str, sha: str) -> int:
        if self.given is not None:
            return self.given
        before, seed = self.known.get(place, ("", 0))
        return seed if before == sha else self.fresh


def jobs(settings: Settings) -> int:
    """Judges side by side: as asked for, else as processors and memory allow."""
    if settings.jobs is not None:
        return max(1, settings.jobs)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    room = psutil.virtual_memory().available // (2 << 30)
    return max(1, min(usable or 1, room))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _task(
    handed: collect.Handed, place: str, settings: Settings, seeds: _Seeds, walls: sandbox.Walls
) -> Task:
    sha = collect.digest(handed)
    seed = seeds.of(place, sha)
    facts = [sha, handed.student, handed.notebook, settings.lecture, seed, walls.level]
    facts += [asdict(settings.limits), settings.draw, course()]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return Task(handed, place, key, sha, seed)


@cache
def course() -> str:
    """Stands for the code that decides about points: another course grades everything anew."""
    package = paths.package()
    found = hashlib.sha256(json.dumps(judge.versions(), sort_keys=True).encode())
    for text in sorted(package.rglob("*.py")):
        name = text.relative_to(package).as_posix()
        if not name.startswith(_WITHOUT_A_SAY):
            found.update(name.encode() + text.read_bytes())
    return found.hexdigest()


def _pending(tasks: list[Task], journal: Journal, out: Path, again: bool) -> list[Task]:
    """What is to be graded; at the end what runs have ended over before."""
    graded, unfinished = journal.graded(), journal.unfinished()
    if not again:
        stored = {t.place for t in tasks if (out / f"{t.place}.json").is_file()}
        tasks = [t for t in tasks if t.place not in stored or graded.get(t.place) != t.key]
    nth = Counter()  # everybody's first notebook before anybody's second

    def order(task: Task) -> tuple[int, int]:
        nth[task.handed.student] += 1
        return unfinished[task.key], nth[task.handed.student]

    return sorted(tasks, key=order)


def _work(
    pending: list[Task],
    journal: Journal,
    out: Path,
    settings: Settings,
    run: Run,
    progress: bool,
    parent: "warm.Parent | None",
) -> None:
    """Grades, and stores each result as it comes."""
    if not pending:
        return
    hidden = None if progress else True  # None: a bar in a terminal, nothing in a file
    with (
        _crew(pending, settings, run, journal, out, parent) as judges,
        tqdm.tqdm(total=len(pending), unit="notebook", disable=hidden) as bar,
    ):
        for task, result in judges.results():
            _keep(task, result, journal, out, settings, run)
            bar.update()


def _crew(
    pending: list[Task],
    settings: Settings,
    run: Run,
    journal: Journal,
    out: Path,
    parent: "warm.Parent | None",
) -> "_Alone | _Crew":
    if settings.scheduler:
        from course_utils.grading.trusted import many

        return many.Cluster(pending, settings, run, journal, out)
    if len(pending) == 1:
        return _Alone(pending, settings, run, journal, parent)
    return _Crew(pending, settings, run, journal)


def _keep(
    task: Task, result: dict, journal: Journal, out: Path, settings: Settings, run: Run
) -> None:
    """Stores a result. One that cannot be stored costs nobody else theirs."""
    who = f"{task.handed.student}, {task.handed.notebook}"
    try:
        _store(task, result, out)
    except Exception as error:
        _only_this_one(error)
        run.aside += 1
        run.remarks.append(f"not stored: {who}: {type(error).__name__}: {error}")
        with suppress(Exception):  # the next run tries again: the journal knows nothing of it
            why = f"its result cannot be written: {type(error).__name__}"
            _store(task, _aside(task, settings, run, why), out)
        return
    run.graded += 1
    run.aside += result["state"] == ASIDE
    about = {"sha256": task.sha256, "seed": task.seed, "state": result["state"]}
    _note(journal, run, "graded", place=task.place, key=task.key, **about)


def _store(task: Task, result: dict, out: Path) -> None:
    about = {"late": task.handed.late, "submitted": task.handed.time}
    about["sha256"] = result["sha256"] or task.sha256
    judge.write(result | about, out, task.place)


def _note(journal: Journal, run: Run, event: str, **fields: object) -> None:
    """A line of the journal; without it a submission is graded once more by the next run."""
    try:
        journal.add(event, **fields)
    except Exception as error:
        _only_this_one(error)
        run.remarks.append(f"not in the journal: {event} {fields}: {type(error).__name__}")


def _only_this_one(error: Exception) -> None:
    """EngineError where the next submission would fail in the same way."""
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        raise EngineError(f"nothing can be written any more: {error.strerror}") from None


def _order(task: Task, settings: Settings) -> dict:
    return {
        "handed": asdict(task.handed),
        "lecture": settings.lecture,
        "seed": task.seed,
        "limits": asdict(settings.limits),
        "trust": settings.trust,
        "draw": settings.draw,
    }


def _aside(task: Task, settings: Settings, run: Run, why: str) -> dict:
    """The result of a submission that is not tried again."""
    walls = sandbox.Walls(*run.isolation)
    handed = task.handed
    empty = judge.empty(handed.notebook, handed.student, settings.lecture, task.seed, walls)
    said = "The notebook was set aside: the grader did not come to an end with it"
    return empty | {"state": ASIDE, "reason": f"{said} ({judge.clean(why, 300)})."}


# ------------------------------------------------------------------ one judge, or several


class _Alone:
    """A single submission, graded in this process: there is nobody it could harm."""

    def __init__(
        self,
        pending: list[Task],
        settings: Settings,
        run: Run,
        journal: Journal,
        parent: "warm.Parent | None" = None,
    ) -> None:
        (self.task,), self.settings, self.run, self.journal = pending, settings, run, journal
        self.parent = parent

    def __enter__(self) -> "_Alone":
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def results(self) -> Iterator[tuple[Task, dict]]:
        """The only one."""
        _note(self.journal, self.run, "begun", key=self.task.key)
        reply = marker.reply(_order(self.task, self.settings), self.parent)
        if "refused" in reply:
            raise EngineError(reply["refused"])
        if "result" in reply:
            yield self.task, reply["result"]
        else:
            yield self.task, _aside(self.task, self.settings, self.run, reply["error"])


class _Judge:
    """A marking process, the order it works on, and what it has said so far."""

    def __init__(self, slot: int, slots: int) -> None:
        order = [sys.executable, "-m", _MODULE, str(slot), str(slots), str(os.getpid())]
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        package = str(paths.package().parent)
        searched = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        self.slot, self.task, self.ready, self.heard = slot, None, False, bytearray()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            order,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
            env=os.environ | one | {"PYTHONPATH": searched, "MPLBACKEND": "agg"},
        )
        os.set_blocking(self.process.stdout.fileno(), False)
        self.deadline = time.monotonic() + _PATIENCE

    def give(self, task: Task, order: dict, seconds: float) -> None:
        """Starts on a task; the order is shorter than what a pipe holds."""
        self.task, self.deadline = task, time.monotonic() + seconds
        with suppress(BrokenPipeError):  # noticed when its end is read
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()

    def replies(self) -> list[dict] | None:
        """What it has said in whole lines; None where it has ended."""
        part = b""
        with suppress(BlockingIOError):
            part = os.read(self.process.stdout.fileno(), 1 << 20)
            if not part:
                return None
        self.heard += part
        *lines, rest = self.heard.split(b"\n")
        self.heard = bytearray(rest)
        return [json.loads(line) for line in lines]

    def last_words(self) -> str:
        """The end of what it wrote to its errors."""
        self.errors.seek(0)
        return self.errors.read()[-2000:].decode("utf-8", "replace").strip()

    def end(self) -> None:
        """Ends it and everything it started."""
        members = sandbox.family(self.process.pid)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for member in members[1:]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.errors):
            with suppress(BrokenPipeError):
                pipe.close()


class _Crew:
    """Judges side by side, and what is still to be given to them."""

    def __init__(self, pending: list[Task], settings: Settings, run: Run, journal: Journal) -> None:
        self.waiting, self.settings, self.run, self.journal = deque(pending), settings, run, journal
        self.left, self.judges, self.looked, self.highest = len(pending), {}, 0.0, 0
        limits = settings.limits
        self.seconds = limits.total + limits.start * (1 + limits.restarts) + _PATIENCE
        self.listening = selectors.DefaultSelector()

    def __enter__(self) -> "_Crew":
        for slot in range(self.run.jobs):
            self._hire(slot)
        return self

    def __exit__(self, *details: object) -> None:
        for one in list(self.judges.values()):
            self._dismiss(one)
        self.listening.close()

    def results(self) -> Iterator[tuple[Task, dict]]:
        """Each task with its result, as they are finished."""
        while self.left:
            for key, _ in self.listening.select(_TICK):
                yield from self._heard(key.data)
            now = time.monotonic()
            for one in list(self.judges.values()):
                if (one.task or not one.ready) and now > one.deadline:
                    yield from self._lost(one, "it did not come to an end in time")
            self._watch(now)

    def _heard(self, one: _Judge) -> Iterator[tuple[Task, dict]]:
        try:
            replies = one.replies()
        except ValueError:
            yield from self._lost(one, "its judge said something that is no answer")
            return
        if replies is None:
            yield from self._lost(one, _ending(one.process))
            return
        for reply in replies:
            task, one.task, one.ready = one.task, None, True
            slow = f"workers are started anew, which takes seconds each: {reply.get('slow')}"
            if "slow" in reply and slow not in self.run.remarks:
                self.run.remarks.append(slow)
            if "result" in reply:
                self.left -= 1
                yield task, reply["result"]
            elif "error" in reply:
                yield from self._failed(task, reply["error"])
            elif "refused" in reply:
                self._refused(task, reply["refused"])
            self._next(one)

    def _next(self, one: _Judge) -> None:
        if self.waiting:
            task = self.waiting.popleft()
            _note(self.journal, self.run, "begun", key=task.key)
            one.give(task, _order(task, self.settings), self.seconds)

    def _lost(self, one: _Judge, why: str) -> Iterator[tuple[Task, dict]]:
        """A judge that ended or has to be ended; another one takes its place."""
        ready, task, slot, words = one.ready, one.task, one.slot, one.last_words()
        self._dismiss(one)
        if not ready:
            raise EngineError(f"a judge did not start: {why}\n{words}")
        if task is not None:
            yield from self._failed(task, why)
        if self.left:
            self._hire(slot)

    def _failed(self, task: Task, why: str) -> Iterator[tuple[Task, dict]]:
        """Once more with another judge, at the end; after that it is set aside."""
        _note(self.journal, self.run, "lost", key=task.key, why=judge.clean(why, 300))
        task = replace(task, attempts=task.attempts + 1)
        if task.attempts < ATTEMPTS:
            self.waiting.append(task)
            return
        self.left -= 1
        yield task, _aside(task, self.settings, self.run, why)

    def _refused(self, task: Task, why: str) -> None:
        """No sandbox could be started: none of the student's code has run, so no fault of it."""
        task = replace(task, attempts=task.attempts + 1)
        if task.attempts > ATTEMPTS:
            raise EngineError(why)
        self.waiting.append(task)

    def _hire(self, slot: int) -> None:
        one = self.judges[slot] = _Judge(slot, self.run.jobs)
        self.listening.register(one.process.stdout, selectors.EVENT_READ, one)

    def _dismiss(self, one: _Judge) -> None:
        self.listening.unregister(one.process.stdout)
        self.judges.pop(one.slot, None)
        one.end()

    def _watch(self, now: float) -> None:
        """Adds up the memory of all processes of the run."""
        if now - self.looked > _TICK:
            self.looked = now
            members = sandbox.family(os.getpid())
            used = sum(map(sandbox.memory, members))
            if used > self.highest:  # workers share most of theirs with their parent
                self.highest, used = used, sum(map(processes.shared, members))
                self.run.peak_memory_mib = max(self.run.peak_memory_mib, used >> 20)


def _ending(process: subprocess.Popen) -> str:
    """How a judge ended, in words."""
    with suppress(subprocess.TimeoutExpired):
        code = process.wait(2)
        return f"it ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
    return "it closed its connection"
