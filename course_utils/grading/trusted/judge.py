"""The trusted side: draws the inputs, lets a worker answer, compares, writes the result.

The worker's words are only ever data: arrays that are compared with the reference computed here,
and texts that are cut, cleaned and shown.
"""

import inspect
import json
import logging
import platform
import secrets
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from course_utils.checking import core, judging, reading, running, slopes, sources
from course_utils.checking.comparing import equal
from course_utils.checking.core import Case, Exercise, Fault, Outcome
from course_utils.common import paths
from course_utils.grading.sandboxed import outline
from course_utils.grading.trusted import alike, files, pictures, sandbox, submission, warm

log = logging.getLogger(__name__)

SCHEMA = 1
"""The version of the result file; `docs/grading.md` describes it."""

UNREADABLE, GRADED, FAILED = "unreadable", "graded", core.NOT_JUDGED
LOST_WORDS = {
    "WorkerLost": "Your function gave no answer: {}.",
    "OutOfMemory": "Your function was stopped: {}.",
}
_LOST = {sandbox.OutOfTime: "TimeLimit", sandbox.OutOfMemory: "OutOfMemory"}


# ------------------------------------------------------------------ a submission


def grade(
    path: Path,
    *,
    student: str = "",
    lecture: str = "",
    seed: int | None = None,
    limits: sandbox.Limits | None = None,
    trust: bool = False,
    read: Callable[[], bytes] | None = None,
    draw: bool = True,
    parent: warm.Parent | None = None,
) -> dict:
    """Grades every exercise of one submitted notebook.

    Args:
        path: the notebook.
        student: whose it is; by default the file's name without its ending.
        lecture: which lecture it is for; by default what the notebook says.
        seed: of the inputs; by default a new secret one. The same seed gives the same points.
        limits: what the student's code may use.
        trust: allow a worker without walls where no sandbox works.
        read: gives the notebook's bytes, where `path` is no more than its name.
        draw: add the pictures, which runs wrong answers once more, on a photo.
        parent: forks the workers, which spares seconds each; without one they are started anew.

    Returns:
        The result, as `docs/grading.md` describes it; `write` stores it.

    Raises:
        SandboxError: no sandbox works here and `trust` is False, or no worker starts.
        ValueError: `lecture` or `seed` is not one.
    """
    began, walls = time.monotonic(), sandbox.walls(trust)
    check_options(lecture, seed)
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    name = path.name if read is None else str(path)  # the folder too, where several have one name
    result = empty(name, student or path.stem, lecture, seed, walls)
    found = _read(path, lecture, read)
    if isinstance(found, str):
        return result | {"reason": f"The notebook was not graded: {found}."}
    with Session(found, walls, limits or sandbox.Limits(), parent) as session:
        graded = [_safely(session, exercise, seed) for exercise in core.all_(found.lecture)]
        for one in graded:  # last, because it costs time and no points hang on it
            one["picture"] = _picture(session, one) if draw else None
    return result | {
        **{"state": GRADED, "lecture": found.lecture, "sha256": found.sha256, "exercises": graded},
        "cells": [vars(cell) for cell in found.cells],
        "points": round(sum(one["points"] for one in graded), 2),
        "max_points": sum(one["max_points"] for one in graded),
        "versions": versions() | {"worker": session.versions},
        "seconds": round(time.monotonic() - began, 2),
        "peak_memory_mib": session.peak >> 20,
        "printed": clean(session.log, 4000, lines=True),
    }


def _read(
    path: Path, lecture: str, read: Callable[[], bytes] | None
) -> submission.Submission | str:
    """The submission; or why it cannot be read."""
    try:
        data = submission.content(path) if read is None else read()
        return submission.parse(data, path.name, lecture)
    except submission.SubmissionError as error:
        return str(error)
    except Exception as error:  # a kind of damage that nobody thought of
        return _stumbled(error)


def check_options(lecture: str, seed: int | None) -> None:
    """ValueError for a lecture without exercises or a seed out of range."""
    if lecture and not core.all_(lecture):
        known = sorted({e.lecture for e in core.all_()})
        raise ValueError(f"lecture={lecture!r}; accepted: {', '.join(known)}")
    if seed is not None and not 0 <= seed < 1 << 31:
        raise ValueError(f"seed={seed}; accepted: 0 to {(1 << 31) - 1}")


def empty(notebook: str, student: str, lecture: str, seed: int, walls: sandbox.Walls) -> dict:
    """The result of a notebook that cannot be read."""
    exercises = core.all_(lecture) if lecture else []
    return {
        "schema": SCHEMA,
        "student": clean(student, 200),
        "notebook": clean(notebook, 200),
        "sha256": None,
        "lecture": lecture or None,
        "state": UNREADABLE,
        "reason": "",
        "points": 0,
        "max_points": core.total(exercises),
        "seed": seed,
        "isolation": {"level": walls.level, "detail": walls.detail},
        "versions": versions(),
        "graded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": 0.0,
        "peak_memory_mib": 0,
        "printed": "",
        "exercises": [],
        "cells": [],
    }


@cache
def versions() -> dict[str, str]:
    """Of Python, the course, torch and NumPy on the judge's side."""
    names = {"course": "seeing-what-cnns-see", "torch": "torch", "numpy": "numpy"}
    found = {"python": platform.python_version()}
    for key, name in names.items():
        with suppress(metadata.PackageNotFoundError):
            found[key] = metadata.version(name)
    return found


# ------------------------------------------------------------------ an exercise


def _safely(session: "Session", exercise: Exercise, seed: int) -> dict:
    """As `_grade_one`; where our own side fails, the other exercises are graded all the same."""
    try:
        return _grade_one(session, exercise, seed)
    except sandbox.SandboxError:
        raise
    except Exception as error:
        log.exception("%s could not be graded", exercise.name)
        verdict = core.Verdict(FAILED, f"This answer could not be judged: {_stumbled(error)}.")
        return _part(exercise, verdict)


def _stumbled(error: Exception) -> str:
    return f"the grader stumbled over it ({type(error).__name__}); tell your instructor"


def _grade_one(session: "Session", exercise: Exercise, seed: int) -> dict:
    """One exercise: its cases, the answers, the verdict, as a part of the result."""
    began = time.monotonic()
    cases, wanted = drawn(exercise.name, seed)
    pieces, outcomes, looks = session.answers(exercise.name, cases)
    verdict, states = judged(exercise, cases, outcomes, pieces, wanted)
    return _part(exercise, verdict) | {
        "cases": [{"note": c.note, "state": s} for c, s in zip(cases, states, strict=True)],
        "answered": not any(outcome.fault for outcome in outcomes),
        "seconds": round(time.monotonic() - began, 2),
        **(_looks(exercise, looks) if verdict.points else {}),
    }


def _part(exercise: Exercise, verdict: core.Verdict) -> dict:
    """An exercise in the result, before anything is known of its cases."""
    return {
        "exercise": exercise.name,
        "title": exercise.title,
        "state": verdict.state,
        "points": verdict.points,
        "max_points": exercise.points,
        "reason": clean(verdict.reason, 1000),
        "mistake": verdict.mistake,
        "cases": [],
        "answered": False,
        "seconds": 0.0,
        "similarity": None,
        "hidden": [],
        "fingerprints": [],
    }


def _picture(session: "Session", one: dict) -> dict | None:
    """What is drawn of an answer: the target, and beside it what a wrong answer makes of a photo.

    A right one is not run again, and neither is one that gave no result.
    """
    exercise = core.get(one["exercise"])
    if one["state"] not in (core.RIGHT, core.WRONG):
        return None
    try:
        value = None
        if one["state"] == core.WRONG and one["answered"] and session.worker is not None:
            case = pictures.case(exercise.name)
            value = session.answers(exercise.name, [case])[1][0].value if case else None
        return pictures.picture(exercise.name, value)
    except Exception:  # a picture is an extra: nobody's points hang on one
        log.exception("%s could not be drawn", exercise.name)
        return None


@lru_cache(maxsize=64)
def drawn(name: str, seed: int) -> tuple[list[Case], list[object]]:
    """The cases of a seed and their targets, kept because a class may share a seed."""
    exercise = core.get(name)
    cases = exercise.cases(seed)
    return cases, judging.targets(exercise, cases)


def judged(
    exercise: Exercise,
    cases: list[Case],
    outcomes: list[Outcome],
    pieces: sources.Pieces | None,
    wanted: list[object],
) -> tuple[core.Verdict, list[str]]:
    """What the check would say, with credit for each case; and the state of every case."""
    try:
        verdict = judging.judge(exercise, cases, outcomes, pieces, wanted)
        if verdict.state == core.NOT_ATTEMPTED:
            return verdict, [core.NOT_ATTEMPTED] * len(cases)
        rows = zip(cases, outcomes, wanted, strict=True)
        states = [_case(exercise, *row) for row in rows]
    except Exception as error:  # what one student returns must not end the grading of a class
        log.exception("%s could not be judged", exercise.name)
        reason = f"This answer could not be judged: {_stumbled(error)}."
        return core.Verdict(FAILED, reason), [FAILED] * len(cases)
    share = states.count(core.RIGHT) / len(cases)
    earned = exercise.points if verdict.state == core.RIGHT else exercise.points * share
    if verdict.state == core.WRONG and share == 1:
        earned = 0.0  # right numbers, and a reason that concerns all cases
    lost = next((o.fault for o in outcomes if o.fault and o.fault.kind in LOST_WORDS), None)
    if lost:
        verdict = replace(verdict, reason=LOST_WORDS[lost.kind].format(lost.message))
    return replace(verdict, points=round(earned, 2)), states


def _case(exercise: Exercise, case: Case, outcome: Outcome, target: object) -> str:
    """Whether one case is right: its numbers, again when called again, and nothing changed."""
    right = outcome.fault is None and equal(outcome.value, target, exercise.tolerance)
    again = not case.repeat or (right and equal(outcome.again, target, exercise.tolerance))
    changed = any(kind in running.STATES for kind, _ in outcome.traces)
    whole = right and again and not changed and slopes.right(exercise, case, outcome)
    return core.RIGHT if whole else core.WRONG


@dataclass(frozen=True)
class Looks:
    """What the code of an answer looks like: the outline of each function in it, what has none."""

    outlines: tuple[list[str], ...] = ()
    hidden: tuple[str, ...] = ()


def _looks(exercise: Exercise, looks: Looks) -> dict:
    """How alike the answer is to the course's own code, whatever function of it is nearest."""
    own = _own_outlines(exercise.name)
    pairs = [(one, other) for one in looks.outlines for other in own]
    return {
        "similarity": max((outline.similarity(*pair) for pair in pairs), default=0.0),
        "hidden": list(looks.hidden),
        "fingerprints": alike.fingerprints(looks.outlines),
    }


@cache
def own_fingerprints(name: str) -> frozenset[int]:
    """Of the course's helper and its solution: what students who learned from them may share."""
    return frozenset(alike.fingerprints(part for text in _own_code(name) for part in text))


def _own_code(name: str) -> list[list[list[str]]]:
    return [outline.outlines(text) for text in _own_texts(name)]


@cache
def _own_outlines(name: str) -> tuple[list[str], ...]:
    """The outlines of the reference and of the cell in `solutions/`."""
    return tuple(outline.outline(text, name) for text in _own_texts(name))


@cache
def _own_texts(name: str) -> tuple[str, ...]:
    """The source of the reference and of the cell in `solutions/`."""
    exercise = core.get(name)
    texts = [inspect.getsource(exercise.reference)]
    path = paths.root() / "solutions" / f"{exercise.lecture}.ipynb"
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        texts += [
            cell.source
            for cell in sources.notebook_cells(content, [name], set())
            if cell.exercise == name
        ]
    return tuple(texts)


# ------------------------------------------------------------------ the worker's answers


@dataclass
class Session:
    """The workers of one submission: one, and another after each that had to be stopped."""

    found: submission.Submission
    walls: sandbox.Walls
    limits: sandbox.Limits
    parent: warm.Parent | None = None
    worker: sandbox.Worker | None = None
    started: int = 0
    peak: int = 0
    log: str = ""
    why: str = "the notebook's time, or its new starts, were used up before"
    versions: dict = field(default_factory=dict)

    def __enter__(self) -> "Session":
        self.ends = time.monotonic() + self.limits.total
        return self

    def __exit__(self, *details: object) -> None:
        self._stop()

    def answers(
        self, name: str, cases: list[Case], again: bool = False
    ) -> tuple[sources.Pieces | None, list[Outcome], Looks]:
        """The code of an exercise, an outcome for each case, and what the code looks like.

        `again`: the worker was lost because its parent was; nothing inside the walls can do that.
        """
        outcomes: list[Outcome] = []
        pieces, looks = None, Looks()
        try:
            self._start()
            pieces, looks = _pieces(name, self.read.get(name))
            fault = self._run(name, pieces, cases, outcomes)
        except sandbox.WorkerLost as error:
            self._stop()
            if self.parent is not None and self.parent.lost and not again:
                return self.answers(name, cases, again=True)
            fault = Fault(_LOST.get(type(error), "WorkerLost"), str(error))
            if fault.kind == "TimeLimit":  # the words of `check`, which names the seconds
                fault = replace(fault, message=f"{self.limits.call:g}")
        rest = len(cases) - len(outcomes)
        return pieces, outcomes + [Outcome(fault=fault)] * rest, looks

    def _run(
        self, name: str, pieces: sources.Pieces, cases: list[Case], outcomes: list[Outcome]
    ) -> Fault | None:
        """Adds the outcomes one by one, so that they are kept if the worker is lost."""
        if pieces.fault or pieces.stub or not pieces.source:
            return pieces.fault or Fault("NameError", "not defined", name=name)
        deadline = min(time.monotonic() + self.limits.call, self.ends)
        fault = _told(self._ask("load", deadline, name=name).get("fault"))
        for case in cases if fault is None else []:
            fields = {"name": name, "args": case.args, "repeat": case.repeat}
            fields["slopes"] = list(case.slopes)
            outcomes.append(_outcome(self._ask("call", deadline, **fields)))
        return fault

    def _ask(self, kind: str, deadline: float, **fields: object) -> dict:
        return self.worker.request(kind, deadline - time.monotonic(), **fields)

    def _start(self) -> None:
        """A worker that has read the submission, if there is none; its code has not run yet."""
        if self.worker is not None:
            return
        if self.started > self.limits.restarts or time.monotonic() > self.ends:
            raise sandbox.WorkerLost(self.why)
        self.started += 1
        start = self.parent and self.parent.child
        self.worker = sandbox.Worker(self.walls, self.limits, start).__enter__()
        self.versions = _texts(self.worker.ready.get("versions"))
        own = list(reading.lecture_cells(self.found.lecture).values())
        text = json.dumps({"cells": [vars(cell) for cell in self.found.cells], "lecture": own})
        cells = np.frombuffer(text.encode(), dtype=np.uint8)
        names = [exercise.name for exercise in core.all_(self.found.lecture)]
        deadline = time.monotonic() + self.limits.call
        try:
            self.read = self._ask("read", deadline, cells=cells, names=names)
        except sandbox.WorkerLost as error:  # it would happen to the next worker as well
            self._stop()
            self.started = self.limits.restarts + 1
            self.why = f"the notebook's code cannot even be read: {error}"
            raise sandbox.WorkerLost(self.why) from None

    def _stop(self) -> None:
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.close()
            self.peak = max(self.peak, worker.peak)
            self.log += worker.log


# ------------------------------------------------------------------ what the worker says, as data


def _pieces(name: str, said: object) -> tuple[sources.Pieces, Looks]:
    """What the worker read before it ran anything: not the code, which stays there."""
    said = said if isinstance(said, dict) else {}
    names, shapes = said.get("notebook_names"), _strings(said.get("outlines"))
    hidden = [clean(word, 100) for word in _strings(said.get("hidden"))]
    looks = Looks(tuple(text.split("\n") for text in shapes), tuple(hidden))
    known = frozenset(_strings(names))
    source = "(in the worker)" if said.get("found") is True else ""
    source += " no_grad" if source and said.get("no_grad") is True else ""
    fault = _fault(said.get("fault"))
    return sources.Pieces(name, source, said.get("stub") is True, known, fault), looks


def _outcome(said: dict) -> Outcome:
    pairs = said.get("traces")
    traces = [tuple(_strings(p)) for p in pairs] if isinstance(pairs, list | tuple) else []
    return Outcome(
        value=said.get("value"),
        fault=_told(said.get("fault")),
        traces=tuple(t for t in traces if len(t) == 2),
        again=said.get("again"),
        slopes=_slopes(said.get("slopes")),
    )


def _slopes(said: object) -> object:
    """Gradients by name, as they came; a fault where the worker says that it had one."""
    faulty = isinstance(said, dict) and isinstance(said.get("fault"), dict)
    return _told(said["fault"]) if faulty else said


def _told(said: object) -> Fault | None:
    """A fault that running code had: the student may have named it, but not as one of ours."""
    fault = _fault(said)
    return fault and replace(fault, kind=core.theirs(fault.kind))


def _fault(said: object) -> Fault | None:
    if said is None:
        return None
    texts = _texts(said)
    fields = {key: clean(texts.get(key, ""), 500) for key in ("message", "line", "name")}
    return Fault(clean(texts.get("kind", ""), 80) or "an error", **fields)


def _texts(said: object) -> dict[str, str]:
    pairs = said.items() if isinstance(said, dict) else ()
    return {k: clean(v, 500) for k, v in pairs if isinstance(k, str) and isinstance(v, str)}


def _strings(said: object) -> list[str]:
    return [s for s in said if isinstance(s, str)] if isinstance(said, list | tuple) else []


def clean(text: str, most: int, lines: bool = False) -> str:
    """A student's text, safe to show: cut, and without what steers terminals or hides itself.

    Args:
        text: any.
        most: characters kept.
        lines: keep line breaks.
    """
    kept = (c if c.isprintable() or (lines and c == "\n") else " " for c in text[:most])
    return "".join(kept) + ("..." if len(text) > most else "")


# ------------------------------------------------------------------ the result


def write(result: dict, folder: Path, place: str = "") -> Path:
    """Stores a result as `folder/STUDENT/NOTEBOOK.json`: whole or not at all.

    Args:
        result: from `grade`.
        folder: where results are kept.
        place: another name below the folder, without ".json".

    Returns:
        Where.
    """
    notebook = result["notebook"].removesuffix(".ipynb")
    own = f"{files.safe_name(result['student'])}/{files.safe_name(notebook)}"
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    return files.store(folder / f"{place or own}.json", text)


def table(result: dict) -> str:
    """A result for reading: one line an exercise, and below it what is wrong."""
    head = f"{result['student']}: {result['notebook']}"
    if result["state"] == UNREADABLE:
        return f"{head}\n{result['reason']}"
    width = max([len(one["exercise"]) for one in result["exercises"]] + [8])
    rows = [head, ""]
    for one in result["exercises"]:
        points = f"{one['points']:g}/{one['max_points']:g}"
        alike = one["similarity"]
        alike = "" if alike is None else f"{alike:.0%} like the course's own"
        rows.append(f"{one['exercise']:<{width}}  {one['state']:<14}{points:>6}  {alike}".rstrip())
        rows += textwrap.wrap(one["reason"], 92, initial_indent="    ", subsequent_indent="    ")
    level, seconds = result["isolation"]["level"], result["seconds"]
    total = f"{result['points']:g}/{result['max_points']:g}"
    rows += ["", f"{'total':<{width}}  {'':<14}{total:>6}  isolation: {level}; {seconds:.1f} s"]
    return "\n".join(rows)
