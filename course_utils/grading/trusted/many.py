"""The same work on many machines, through Dask distributed: notebooks go out, results come back.

What travels is a notebook's bytes and a pseudonym; names stay where the run was started. On the
other side a judge is a process of its own, as on one machine, so that nothing a student's code
does ends a Dask worker. A machine that is lost costs time: Dask gives its work to another.
"""

import queue
import secrets
import select
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from course_utils.grading.trusted import collect, engine, judge, roster
from course_utils.grading.trusted.journal import Journal

_AHEAD = 3  # submissions for each thread that are under way: bytes of a class fill the scheduler
_SLOTS = 64  # shares of the workers' users; judges on one machine seldom draw the same
# Judges that wait for work, by the module that they were started with.
_IDLE: dict[str, queue.SimpleQueue] = defaultdict(queue.SimpleQueue)


class Cluster(engine._Crew):
    """Judges on the machines of a Dask scheduler; in the place of those side by side on one.

    Args:
        pending, settings, run, journal: as the engine has them; `settings.scheduler` is the
            address.
        out: the folder of results, which keeps the key to the pseudonyms.
    """

    def __init__(
        self,
        pending: list[engine.Task],
        settings: engine.Settings,
        run: engine.Run,
        journal: Journal,
        out: Path,
    ) -> None:
        super().__init__(pending, settings, run, journal)
        self.names = roster.pseudonyms(out, (task.handed.student for task in pending))

    def __enter__(self) -> "Cluster":
        try:
            import distributed
        except ImportError:
            raise engine.EngineError(
                "Dask distributed is not installed: pip install -e .[many]"
            ) from None
        self.dask = distributed
        try:
            self.client = distributed.Client(self.settings.scheduler, timeout=20)
        except (OSError, ValueError) as error:
            where = self.settings.scheduler
            raise engine.EngineError(f"no scheduler answers at {where}: {error}") from None
        threads = sum(self.client.nthreads().values())
        self.run.jobs = max(1, threads)
        return self

    def __exit__(self, *details: object) -> None:
        self.client.close()  # what is under way is no longer wanted, and so given up
        self.listening.close()

    def results(self) -> Iterator[tuple[engine.Task, dict]]:
        """Each task with its result, as they are finished."""
        flying = {}
        # This client's loop: the session may have a client of its own, which would lend another.
        arrived = self.dask.as_completed(loop=self.client.loop)
        while self.left:
            while self.waiting and len(flying) < _AHEAD * self.run.jobs:
                task = self.waiting.popleft()
                future = self._sent(task)
                flying[future] = task
                arrived.add(future)
            future = next(arrived)
            yield from self._arrived(flying.pop(future), future)

    def _sent(self, task: engine.Task) -> object:
        engine._note(self.journal, self.run, "begun", key=task.key)
        order = engine._order(task, self.settings)
        order["handed"], data = _anonymous(task.handed, self.names[task.handed.student])
        facts = (order, data, engine.course(), self.seconds)
        return self.client.submit(mark, *facts, engine._MODULE, pure=False, retries=0)

    def _arrived(self, task: engine.Task, future: object) -> Iterator[tuple[engine.Task, dict]]:
        try:
            reply = future.result()  # made again where the machine that kept it is gone
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        if "other" in reply:
            raise engine.EngineError(reply["other"])
        if "result" in reply:
            self.left -= 1
            named = {"student": judge.clean(task.handed.student, 200)}
            named["notebook"] = judge.clean(task.handed.notebook, 200)
            yield task, reply["result"] | named
        elif "refused" in reply:
            self._refused(task, reply["refused"])
        else:
            yield from self._failed(task, reply["error"])


def _anonymous(handed: collect.Handed, name: str) -> tuple[dict, bytes]:
    """What is said of a submission elsewhere, and its bytes; a file's name may say the lecture."""
    problem, data = handed.problem, b""
    try:
        data = collect.read(handed)
    except Exception as error:
        problem = str(error) or type(error).__name__
    lecture = next((one for one in collect._lectures() if one in handed.notebook), name)
    about = replace(handed, student=name, notebook=f"{lecture}.ipynb", file="", folder="")
    return asdict(replace(about, inside=(), problem=problem)), data


# ------------------------------------------------------------------ on the other machines


def mark(order: dict, data: bytes, course: str, seconds: float, module: str) -> dict:
    """One submission, on whatever machine it has come to.

    Args:
        order: as `marker.reply` takes it; the file is made here.
        data: its bytes.
        course: `engine.course()` where the run was started: only the same course judges alike.
        seconds: until the judge is given up.
        module: what a judge is started with.

    Returns:
        What the judge replied; `error` where it was lost, `other` for another course.
    """
    if engine.course() != course:
        return {"other": "a worker has another version of the course, or of its libraries"}
    engine._MODULE = module
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "handed.ipynb")
        file.write_bytes(data)
        handed = order["handed"] | {"file": str(file)}
        try:
            one = _IDLE[module].get_nowait()
        except queue.Empty:
            one = engine._Judge(secrets.randbelow(_SLOTS), _SLOTS)
        reply = _asked(one, order | {"handed": handed}, seconds)
    if "lost" in reply:
        one.end()
        return {"error": reply["lost"]}
    _IDLE[module].put(one)
    return reply


def _asked(one: engine._Judge, order: dict, seconds: float) -> dict:
    """The judge's reply to an order; `lost` where there is none."""
    until, replies = time.monotonic() + seconds, deque()
    one.give(None, order, seconds)
    while time.monotonic() < until:
        select.select([one.process.stdout], [], [], 1)
        said = one.replies()
        if said is None:
            return {"lost": engine._ending(one.process)}
        replies += [reply for reply in said if "ready" not in reply]
        if replies:
            return replies[0]
    return {"lost": "it did not come to an end in time"}
