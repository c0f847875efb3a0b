"""One worker process around a student's code, its walls, its limits and its deadlines.

With bubblewrap the worker sees the system's libraries, Python's packages, `data/` and the dozen
files of `course_utils` that exercises build on, all read-only, and an empty `/tmp` of its own: no
network, no other process, no home, no reference, no submission, no result. Where there is no
bubblewrap, Landlock and a wider filter of system calls keep it from the same files, from the
network and from others' processes. Where neither works, a *bare* worker has only the limits; it is
refused unless it is asked for.
"""

import itertools
import json
import os
import secrets
import selectors
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from course_utils.common import paths
from course_utils.grading.sandboxed import landlock, wire
from course_utils.grading.trusted import syscalls
from course_utils.grading.trusted.processes import counted, end_group, family, memory

COURSE_FILES = (
    *("__init__.py", "images.py", "models.py", "layers.py"),
    *("exercises/__init__.py", "grading/__init__.py"),
    *(f"common/{name}.py" for name in ("__init__", "decoding", "errors", "gate", "paths")),
    *(f"common/{name}.py" for name in ("transformer", "weights")),
    *(f"checking/{name}.py" for name in ("__init__", "core", "networks", "running")),
    *(f"checking/{name}.py" for name in ("scopes", "sources")),
    *(f"grading/sandboxed/{n}.py" for n in ("__init__", "landlock", "wire", "warm")),
    *(f"grading/sandboxed/{n}.py" for n in ("worker", "outline")),
)
"""All of the course that a worker can read; none of these holds or imports a reference."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/nix/store")
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_USERS = [range(61184, 65520)]  # the system's range for users that exist only while a service runs
_TICK = 0.1  # seconds between two looks at the memory; a fork bomb takes 1 GiB in 0.2


@dataclass(frozen=True)
class Limits:
    """What one worker may use; seconds are wall time unless they say otherwise.

    Attributes:
        start: seconds until the worker is ready (it imports torch).
        call: seconds for one request: one case, or the cells that an answer needs.
        total: seconds for a submission, all its workers together.
        cpu: processor seconds of each process.
        memory: bytes that a process may allocate beyond what the libraries take.
        together: bytes of memory of all processes of a worker.
        processes: processes and threads.
        file: bytes of one file; with bubblewrap, four times as much in all of `/tmp`.
        files: files and folders in all; each takes memory of the kernel's, however empty.
        log: bytes kept of what was printed.
        restarts: workers that may follow one that had to be stopped.
    """

    start: float = 60
    call: float = 20
    total: float = 180
    cpu: int = 180
    memory: int = 2 << 30
    together: int = 4 << 30
    processes: int = 64
    file: int = 16 << 20
    files: int = 10_000
    log: int = 16 << 10
    restarts: int = 5


def share_users(slot: int, slots: int) -> None:
    """Takes workers' users from one share of the range only.

    Judges that work side by side take different shares: two workers of one user would share the
    limit on processes.
    """
    _USERS[0] = _USERS[0][slot::slots]


class SandboxError(RuntimeError):
    """No sandbox can be made here, or no worker starts in it; says why and what to do."""


class WorkerLost(Exception):
    """The worker had to be stopped, or stopped by itself. The message is for the student."""


class OutOfTime(WorkerLost):
    """A deadline passed."""


class OutOfMemory(WorkerLost):
    """The worker and its children together took more than allowed, or made too many files."""


class Gone(WorkerLost):
    """The worker ended, or sent something that is not an answer."""


# ------------------------------------------------------------------ walls


@dataclass(frozen=True)
class Walls:
    """How workers are kept apart from everything else.

    Attributes:
        level: "bubblewrap", "landlock" or "bare"; stored with every result.
        detail: how, in words.
        user_namespace: bubblewrap makes the worker's user by a namespace, else it is a real one.
    """

    level: str
    detail: str
    user_namespace: bool = True


BARE = Walls("bare", "limits and deadlines only; the code can read files and use the network")


@cache
def walls(trust: bool = False) -> Walls:
    """The best isolation that works on this machine, tried out with a real process.

    Args:
        trust: allow a bare worker where nothing better works.

    Raises:
        SandboxError: nothing works, and `trust` is False.
    """
    if sys.platform == "win32":
        raise SandboxError("Grading runs on Linux. On Windows, run `course grade` inside WSL.")
    # Root becomes a real unprivileged user, so that limits hold; others need a user namespace.
    real = Walls("bubblewrap", "a user, processes, files and no network of its own", False)
    made = Walls("bubblewrap", "namespaces of its own, also for users, and no network")
    own = "files and a user" if os.geteuid() == 0 else "files"
    files = Walls("landlock", f"{own} of its own, no sockets, no signals to others", False)
    problems = []
    for candidate in [real, made, files] if os.geteuid() == 0 else [made, files]:
        problem = _try(candidate)
        if not problem:
            return candidate
        problems.append(problem)
    if trust:
        return BARE
    raise SandboxError(
        f"No sandbox works here ({'; '.join(dict.fromkeys(problems))}). Install bubblewrap "
        "(Debian and Ubuntu: apt-get install bubblewrap). Only for notebooks whose authors you "
        "trust with your own account: --trust-submissions."
    )


def _try(candidate: Walls) -> str:
    """Why these walls do not work here; empty where they do."""
    level = candidate.level
    problem = _no_landlock() if level == "landlock" else _no_bubblewrap()
    if problem:
        return problem
    with _stage(level) as folder, _filter(candidate) as pipe:
        command = _command(folder, candidate, Limits(), pipe, probe=True)
        passed = {"pass_fds": pipe, "stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(command, capture_output=True, timeout=20, text=True, **passed)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{level} does not start: {error}"
    return "" if done.returncode == 0 else f"{level}: {done.stderr.strip()[-200:]}"


def _no_bubblewrap() -> str:
    return "" if shutil.which("bwrap") else "bubblewrap is not installed"


def _no_landlock() -> str:
    """Why Landlock would not be enough here; empty where it is."""
    version, least = landlock.abi(), 3 if os.geteuid() == 0 else 6
    if version == 0:
        return "landlock: this kernel has none, or it is off"
    if version < least:
        open_to_it = "truncation of files" if version < 3 else "this user's processes"
        return f"landlock: version {version} leaves {open_to_it} open; {least} is needed"
    if syscalls.program() is None:
        return "landlock: there is no filter of system calls for this processor"
    if not os.path.isdir("/proc/self"):
        return "landlock: /proc is not mounted"
    copies = _installed_copies([*_packages(), *_python_folders()])
    if copies:
        why = "holds the references, and workers read what is installed"
        return f"landlock: {copies[0]} {why}; install the course with pip install -e"
    for place in (str(paths.root()), *_homes()):
        for other in _granted():
            if place == other or _below(place, other):
                return f"landlock: {place} lies in {other}, which workers read"
    return ""


def _granted() -> list[str]:
    """What a worker behind Landlock reads, besides the staged course and the data."""
    shown = ["/dev/zero", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", *_SETTINGS]
    found = map(os.path.realpath, (*_SYSTEM, *_python_folders(), *shown))
    return [place for place in dict.fromkeys(found) if os.path.exists(place)]


@contextmanager
def _stage(level: str, home: bool = True) -> Iterator[Path]:
    """A folder with copies of the files that a worker may see, readable for every user.

    Behind Landlock with a folder beside it to write to, unless each worker gets its own.
    """
    package = paths.package()
    with tempfile.TemporaryDirectory(prefix="course-worker-") as folder:
        top = Path(folder, "course")
        for name in COURSE_FILES:
            target = top / "course_utils" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, target)
            target.chmod(0o644)
        for path in (top, *(p for p in top.rglob("*") if p.is_dir())):
            path.chmod(0o755)
        if level == "bubblewrap":
            (top / "data").mkdir()
        else:
            (top / "data").symlink_to(_data())
        if level == "landlock":  # others of its users pass through
            top.parent.chmod(0o711)
        with _home(top.parent) if home and level == "landlock" else nullcontext():
            yield top


@contextmanager
def _home(stage: Path) -> Iterator[Path]:
    """The folder `home` in another: all that a worker behind Landlock writes to."""
    stage.chmod(0o711)
    home = stage / "home"
    home.mkdir(mode=0o700)
    try:
        yield home
    finally:  # what the worker made may be closed folders, nested by the thousand
        for order in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*order, "--", str(home)], capture_output=True)


@contextmanager
def _filter(chosen: Walls) -> Iterator[list[int]]:
    """A pipe from which bubblewrap reads the filter of system calls; none for other machines."""
    found = syscalls.program() if chosen.level == "bubblewrap" else None
    if found is None:
        yield []
        return
    read, write = os.pipe()
    try:
        os.write(write, found)
    finally:
        os.close(write)
    try:
        yield [read]
    finally:
        os.close(read)


def _command(
    folder: Path, chosen: Walls, limits: Limits, pipe: list[int], probe: bool = False
) -> list[str]:
    """The command that starts a worker on a staged folder; `pipe` holds the filter, if any."""
    orders = _orders(folder, chosen, limits, folder.parent / "home", probe)
    script = f"{orders['path'][0]}/course_utils/grading/sandboxed/worker.py"
    python = [_interpreter(), "-I", "-S", "-B", script, json.dumps(orders)]
    if chosen.level != "bubblewrap":
        return python
    seccomp = [part for number in pipe for part in ("--seccomp", str(number))]
    return [*_bubblewrap(folder, chosen, limits), *seccomp, *python]


def _orders(folder: Path, chosen: Walls, limits: Limits, home: Path, probe: bool) -> dict:
    """What a worker is told at its start; see `sandboxed.worker`."""
    wrapped, files = (chosen.level == level for level in ("bubblewrap", "landlock"))
    own = os.geteuid() == 0 if files else wrapped and not chosen.user_namespace
    return {
        "probe": probe,
        "user": secrets.choice(_USERS[0]) if own else None,
        "path": [str(folder), *_packages()],
        # Before Linux 5.14 the limit counts the processes of the grading user's whole session.
        "count_processes": own or (wrapped and _kernel() >= (5, 14)),
        "limits": asdict(limits),
        "filter": syscalls.program(shared=True).hex() if files else "",
        "read": [*_granted(), str(folder), str(_data())] if files else [],
        "home": str(home),
    }


def _bubblewrap(folder: Path, chosen: Walls, limits: Limits, becomes: bool = True) -> list[str]:
    """bwrap and its options: what is unshared, what is seen, what is dropped.

    `becomes`: what it starts can become another user.
    """
    options = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    options += ["--unshare-cgroup-try", "--hostname", "grader", "--die-with-parent"]
    options += ["--new-session", "--clearenv", "--cap-drop", "ALL"]
    if chosen.user_namespace:
        options += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    elif becomes:  # the worker's first act is to become that user, which ends both capabilities
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    for name, value in _environment(str(folder / "data"), "/tmp").items():
        options += ["--setenv", name, value]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for place, size in (("/dev/shm", limits.file), ("/tmp", 4 * limits.file)):
        options += ["--perms", "1777", "--size", str(size), "--tmpfs", place]
    # After /tmp, because Python itself may lie below it.
    options += _mounts(folder)
    return [*options, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]


def _mounts(folder: Path) -> list[str]:
    """What the worker sees of the file system; shallow places first, so that deeper ones win."""
    seen: dict[str, list[str]] = {}
    for place in _SYSTEM:
        if os.path.islink(place):
            seen[place] = ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            seen[place] = ["--ro-bind", place, place]
    for place in (str(folder), *_python_folders()):
        seen[place] = ["--ro-bind", place, place]
    for hidden in _installed_copies([*_packages(), *_python_folders()]):
        seen[hidden] = ["--tmpfs", hidden]
    for place in (str(paths.root()), *_homes()):
        if any(_below(place, other) for other in seen):
            seen.setdefault(place, ["--tmpfs", place])
    for place in list(seen):  # bwrap would make the folders above for root alone
        for above in map(str, Path(place).parents):
            if above != "/" and not any(above == s or _below(above, s) for s in _SYSTEM):
                seen.setdefault(above, ["--perms", "0755", "--dir", above])
    seen.pop("/tmp", None)
    ordered = sorted(seen.values(), key=lambda option: option[-1].count("/"))
    settings = [part for file in _SETTINGS for part in ("--ro-bind-try", file, file)]
    data = ["--ro-bind", str(_data()), str(folder / "data")]
    return [*itertools.chain(*ordered), *settings, *data]


def _installed_copies(folders: list[str]) -> list[str]:
    """Where the course was installed as a package: those copies hold the references."""
    system = [Path("/usr/lib"), Path("/usr/local/lib")]
    inside = [p for top in [*system, *map(Path, folders)] for p in top.glob("python*/*-packages")]
    found = [top / "course_utils" for top in [*inside, *map(Path, folders)]]
    return [str(p) for p in dict.fromkeys(found) if p.is_dir()]


def _data() -> Path:
    return paths.data().resolve()


def _homes() -> list[str]:
    return [os.path.realpath(os.path.expanduser("~")), os.path.realpath(os.getcwd())]


def _below(place: str, other: str) -> bool:
    return place != other and os.path.commonpath([place, other]) == other


@cache
def _packages() -> list[str]:
    """The folders of installed packages, without the file tricks of `.pth`."""
    named = [p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages")]
    found = dict.fromkeys(map(os.path.realpath, [*named, *site.getsitepackages()]))
    return [place for place in found if os.path.isdir(place)]


@cache
def _python_folders() -> list[str]:
    """Folders outside the system's that Python needs: its library, its packages."""
    base = [os.path.join(os.path.realpath(sys.base_prefix), part) for part in ("bin", "lib")]
    found = [*base, *_packages(), os.path.dirname(_interpreter())]
    return [p for p in dict.fromkeys(found) if os.path.isdir(p) and not p.startswith("/usr/")]


def _interpreter() -> str:
    """The Python itself, behind a virtual environment's link."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or 0)


def _environment(data: str, home: str) -> dict[str, str]:
    """All variables that a worker has."""
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
    course = {"COURSE_DATA": data, "COURSE_DEVICE": "cpu", "MPLBACKEND": "agg"}
    person = {"HOME": home, "TMPDIR": home, "USER": "student", "LOGNAME": "student"}
    return one | course | person | {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


# ------------------------------------------------------------------ the worker


class Program:
    """The processes of one worker, started anew: bubblewrap and Python, or Python alone.

    `warm.Child` is one that is forked from a process that waits; it can do the same.

    Attributes:
        stdin, stdout, stderr: this side's ends of its pipes.
        home: the folder that it writes to, where the walls do not give it one of its own.
    """

    def __init__(self, chosen: Walls, limits: Limits) -> None:
        self._level, self._folder = chosen.level, _stage(chosen.level)
        top = self._folder.__enter__()
        self.home = top.parent / "home" if chosen.level == "landlock" else top.parent
        try:
            with _filter(chosen) as pipe:
                self.process = subprocess.Popen(
                    _command(top, chosen, limits, pipe),
                    **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
                    bufsize=0,
                    start_new_session=True,
                    env=_environment(str(top / "data"), str(self.home)),
                    cwd="/",
                    pass_fds=pipe,
                )
        except BaseException:
            self._folder.__exit__(None, None, None)
            raise
        self.stdin, self.stdout, self.stderr = (
            getattr(self.process, name) for name in ("stdin", "stdout", "stderr")
        )

    def members(self) -> list[int]:
        """All processes that belong to it, the student's last."""
        return family(self.process.pid)

    def inside(self) -> int | None:
        """A process that sees what the worker sees; the grader's own first has other places."""
        return self.members()[-1] if self._level == "bubblewrap" else None

    def code(self, seconds: float) -> int | None:
        """How it ended, as `Popen.returncode` tells it; None where it has not, so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None

    def end(self) -> None:
        """Ends it and everything it started."""
        members = self.members()
        end_group(self.process.pid)  # bwrap's end is its namespace's end
        for member in members[1:] if self._level == "bare" else []:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        self.process.wait()
        self._folder.__exit__(None, None, None)


class Worker:
    """A running worker: requests go in, answers come out, nothing waits for ever.

    Use it as a context manager; whatever the worker started is gone when the block ends.

    Args:
        chosen: the walls around it.
        limits: what it may use.
        start: makes the `Program`; by default anew.

    Attributes:
        ready: what the worker said about itself: `versions`.
        peak: the most memory seen in use by all its processes, bytes.
        log: what was printed, cut at the limit.
    """

    def __init__(
        self,
        chosen: Walls,
        limits: Limits | None = None,
        start: Callable[[Walls, Limits], "Program"] | None = None,
    ) -> None:
        self.walls, self.limits, self._start = chosen, limits or Limits(), start
        self._program: Program | None = None
        self.peak, self.ready = 0, {}
        self._log, self._in, self._asked = bytearray(), bytearray(), 0

    def __enter__(self) -> "Worker":
        try:
            self._program = (self._start or Program)(self.walls, self.limits)
            for pipe in (self._program.stdin, self._program.stdout, self._program.stderr):
                os.set_blocking(pipe.fileno(), False)
            self.ready = self._answer(time.monotonic() + self.limits.start)[1]
        except (WorkerLost, wire.WireError) as error:  # no student's doing: none has run yet
            self.close()
            raise SandboxError(f"a worker did not start: {error}. {self.log[-500:]}") from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        return self._log.decode("utf-8", "replace")

    def request(self, kind: str, seconds: float | None = None, **fields: object) -> dict:
        """Sends one message and waits for its answer.

        Args:
            kind, fields: the message; see `worker`.
            seconds: for sending and answering together; the limit `call` by default.

        Returns:
            The answer's fields.

        Raises:
            WorkerLost: too late, too large, gone, or not an answer. The worker is stopped.
        """
        deadline = time.monotonic() + (self.limits.call if seconds is None else seconds)
        self._asked += 1
        try:
            if self._in:
                raise wire.WireError("something that was not asked for")
            self._pump(deadline, bytearray(wire.encode(kind, number=self._asked, **fields)))
            said, answer = self._answer(deadline)
            if (said, answer.pop("number", None)) != ("answer", self._asked):
                raise wire.WireError("an answer to something else")
        except wire.WireError as error:
            self.close()
            raise Gone(f"the program sent {error} instead of an answer") from None
        except WorkerLost:
            self.close()
            raise
        return answer

    def _answer(self, deadline: float) -> tuple[str, dict]:
        """The next message from the worker."""

        def read(size: int) -> bytes:
            self._pump(deadline, bytearray(), size)
            part = bytes(self._in[:size])
            del self._in[:size]
            return part

        return wire.receive(read)

    def _pump(self, deadline: float, out: bytearray, need: int = 0) -> None:
        """Moves bytes until `out` is written and `need` bytes have come; keeps all limits."""
        program = self._program
        with selectors.DefaultSelector() as ready:
            if out:
                ready.register(program.stdin, selectors.EVENT_WRITE)
            ready.register(program.stdout, selectors.EVENT_READ)
            if not program.stderr.closed:
                ready.register(program.stderr, selectors.EVENT_READ)
            while out or len(self._in) < need:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise OutOfTime("it did not finish in time")
                for key, _ in ready.select(min(left, _TICK)):
                    self._move(key.fileobj, out, ready)
                self._watch()

    def _move(self, pipe: object, out: bytearray, ready: selectors.BaseSelector) -> None:
        program = self._program
        try:
            if pipe is program.stdin:
                del out[: os.write(pipe.fileno(), out[: 1 << 16])]
                if not out:
                    ready.unregister(pipe)
                return
            part = os.read(pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return
        except BrokenPipeError:
            part = b""
        if pipe is program.stderr:
            self._log += part[: max(0, self.limits.log - len(self._log))]
            if not part:
                ready.unregister(pipe)
                pipe.close()
            return
        if not part:
            raise Gone(self._ending())
        self._in += part

    def _ending(self) -> str:
        """How the worker ended, in words."""
        code = self._program.code(2)
        if code is None:
            return "the program closed its connection to the grader"
        number = -code if code < 0 else code - 128  # bwrap tells signals as a shell does
        if number == signal.SIGXCPU:
            return "the program used up its processor time"
        names = {int(s): s.name for s in signal.Signals}
        return f"the program ended by {names.get(number, f'exit code {code}')} before it answered"

    def _watch(self) -> None:
        """Adds up the memory of all its processes: limits of the system hold for one at a time."""
        now = time.monotonic()
        if now - getattr(self, "_looked", 0.0) < _TICK:
            return
        self._looked = now
        members = self._program.members()
        used = sum(map(memory, members))
        self.peak = max(self.peak, used)
        if used > self.limits.together:
            raise OutOfMemory(f"it used more than {self.limits.together / 2**30:.1f} GiB of memory")
        if self._files() > self.limits.files:
            raise OutOfMemory(f"it made more than {self.limits.files:,} files")

    def _files(self) -> int:
        """How many files and folders the worker has made.

        bwrap cannot limit the number of a tmpfs' inodes; those in use are asked of the kernel, by
        the root folder of a process inside.
        """
        if self.walls.level == "landlock":
            return counted(str(self._program.home), self.limits.files)
        found, inside = 0, self._program.inside()
        for place in ("tmp", "dev/shm") if inside else ():
            with suppress(OSError):
                system = os.statvfs(f"/proc/{inside}/root/{place}")
                found += system.f_files - system.f_ffree
        return found

    def close(self) -> None:
        """Ends the worker and everything it started."""
        program, self._program = self._program, None
        if program is not None:
            program.end()
            for pipe in (program.stdin, program.stdout, program.stderr):
                with suppress(BrokenPipeError):
                    pipe.close()
