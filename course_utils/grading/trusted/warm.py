"""Workers forked from a parent that has imported everything: the judge's side of it.

Half of what a submission costs is importing torch. One parent for each judge does it once, outside
of the walls and without a byte of anybody's submission, and forks a child for each worker. The
walls are made for that child alone, by the same means as for a worker that is started anew; when it
ends, they end with everything in them. `docs/grading.md` says what children share.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path

from course_utils.grading.trusted import sandbox, syscalls
from course_utils.grading.trusted.processes import end_group, family

_NAMESPACES = {
    **{"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000},
    **{"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000},
}
_HOLD = "import os; os.write(1, b'.'); os.read(0, 1)"
_SCRIPT = "course_utils/grading/sandboxed/warm.py"
_PACKAGES = ("course_utils", "course_utils.common", "course_utils.grading")
_LOADED = {
    *(*_PACKAGES, "course_utils.common.errors", "course_utils.common.paths"),
    *("course_utils.checking", "course_utils.checking.core"),
    *(f"course_utils.grading.sandboxed{name}" for name in ("", ".landlock", ".wire")),
    *(f"course_utils.grading.trusted{name}" for name in ("", ".autograder", ".processes")),
    *(f"course_utils.grading.trusted.{name}" for name in ("sandbox", "syscalls", "warm")),
}
"""What of the course may be in memory when a copy is made: none of it knows an answer."""
_PATIENCE = 20  # seconds for what takes a few milliseconds


class _Lost(Exception):
    """The parent does not answer: it was killed, or has crashed."""


class Parent:
    """A process that has imported what workers need; it forks one whenever it is asked to.

    Args:
        chosen: the walls around its children.
        seconds: until it has to be ready.
        shared: it begins as a copy of this process, which so far has imported libraries only; what
            these take is then in memory once. One that follows it is started anew.

    Attributes:
        starts: how many there have been; one that was lost is replaced.

    Raises:
        SandboxError: it does not start, or no child of it gets inside these walls.
    """

    def __init__(
        self,
        chosen: sandbox.Walls,
        seconds: float = sandbox.Limits.start,
        shared: bool = False,
    ) -> None:
        self.walls, self.seconds, self.starts, self._process = chosen, seconds, 0, None
        self._open(shared)

    def ready(self) -> None:
        """Waits until it has imported everything, and sees that a child gets inside the walls.

        Raises:
            SandboxError: as for the class; it has ended then.
        """
        if self._seen:
            return
        try:
            self._heard(self.seconds)
            child = Child(self, self.walls, sandbox.Limits(), probe=True)
            code, said = child.code(_PATIENCE), os.read(child.stderr.fileno(), 1 << 16)
            child.end()
        except (_Lost, OSError, sandbox.SandboxError) as error:
            said = f"{error} {self._words()}"
            self.end()
            raise sandbox.SandboxError(f"no worker can be forked: {said.strip()}") from None
        if code != 0:
            self.end()
            said = said.decode(errors="replace").strip()[-300:]
            raise sandbox.SandboxError(f"a forked worker does not get inside the walls: {said}")
        self._seen = True

    def child(self, chosen: sandbox.Walls, limits: sandbox.Limits) -> "Child":
        """A new worker's program, from a new parent where this one is lost.

        The first one may have to wait until the parent is ready.

        Raises:
            SandboxError: neither this parent nor a new one can fork it.
        """
        if not self.lost:
            self.ready()
            with suppress(_Lost):
                return Child(self, chosen, limits)
        self.end()
        self._open()
        self.ready()
        try:
            return Child(self, chosen, limits)
        except _Lost:
            raise sandbox.SandboxError(f"no worker can be forked: {self._words()}") from None

    def ask(self, order: dict, seconds: float = _PATIENCE, given: tuple[int, ...] = ()) -> dict:
        """Has the parent do something; open files go with it under numbers of its own."""
        try:
            socket.send_fds(self._control, [json.dumps(order).encode()], given)
        except OSError as error:
            self.lost = True
            raise _Lost(str(error)) from None
        return self._heard(seconds)

    def _heard(self, seconds: float) -> dict:
        self._control.settimeout(seconds)
        try:
            said = self._control.recv(1 << 16)
        except OSError as error:
            self.lost = True
            raise _Lost(str(error)) from None
        if not said:
            self.lost = True
            raise _Lost("it has ended")
        return json.loads(said)

    def _open(self, shared: bool = False) -> None:
        self.starts, self.lost, self._seen = self.starts + 1, False, False
        self._undo = ExitStack()
        self.folder = self._undo.enter_context(sandbox._stage(self.walls.level, home=False))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = self._undo.enter_context(ours)
        orders = {"path": [str(self.folder), *sandbox._packages()], "control": theirs.fileno()}
        order = [sandbox._interpreter(), "-I", "-S", "-B", str(self.folder / _SCRIPT)]
        env = sandbox._environment(str(self.folder / "data"), "/tmp")
        with theirs:
            if shared:
                self._process = _Copy(orders, env, self._errors.fileno())
                return
            self._process = subprocess.Popen(
                [*order, json.dumps(orders)],
                **{"stdin": subprocess.DEVNULL, "stdout": self._errors, "stderr": self._errors},
                start_new_session=True,
                env=env,
                cwd="/",
                pass_fds=[theirs.fileno()],
            )

    def _words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-500:].decode(errors="replace").strip()

    def end(self) -> None:
        """Ends it; its children end with it."""
        self.lost, process, self._process = True, self._process, None
        if process is not None:
            process.kill()
            process.wait()
            gc.unfreeze()
            self._errors.close()
            self._undo.close()


class _Copy:
    """A parent that begins as a copy of this process; can do what of `Popen` is needed.

    What of the course is in memory is forgotten there and read again from where workers read it.
    The caller's variables stay readable in the copied memory: it has to be started without any
    that are worth something.

    Raises:
        RuntimeError: modules of the course are loaded that a worker's memory must not hold.
    """

    def __init__(self, orders: dict, env: dict[str, str], errors: int) -> None:
        known = {name for name in sys.modules if name.partition(".")[0] == "course_utils"}
        if known - _LOADED:
            raise RuntimeError(f"loaded before the copy was made: {sorted(known - _LOADED)}")
        gc.collect()
        gc.freeze()  # else a collection writes to every object, and what is shared is no longer
        sys.stdout.flush()
        sys.stderr.flush()
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become_parent(orders, env, errors, known)

    def kill(self) -> None:
        """Ends it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        """How it ended; None where it has not."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Waits for its end."""
        return self._wait(0)

    def _wait(self, how: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, how)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def _become_parent(orders: dict, env: dict[str, str], errors: int, known: set[str]) -> None:
    """From here on the copy is what the script `sandboxed.warm` is; it never comes back."""
    try:
        os.setsid()
        os.chdir("/")
        control = os.dup(orders["control"])
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), errors, errors)):
            os.dup2(file, number)
        os.closerange(3, control)
        os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(env)
        _forget(known, orders["path"])
        importlib.import_module("course_utils.grading.sandboxed.warm").main(
            orders | {"control": control}
        )
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _forget(known: set[str], places: list[str]) -> None:
    """The course as it was imported so far, and where from; it is found at these places now."""
    for name in known:
        del sys.modules[name]
    importlib.invalidate_caches()
    library = [place for place in sys.path if _below_any(place, (sys.prefix, sys.base_prefix))]
    sys.path[:] = [*places, *library]
    finders = ("BuiltinImporter", "FrozenImporter", "PathFinder")
    sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, "__name__", "") in finders]
    sys.argv[:] = [_SCRIPT]
    sys.dont_write_bytecode = True


def _below_any(place: str, folders: tuple[str, ...]) -> bool:
    return any(os.path.realpath(place).startswith(os.path.realpath(f) + os.sep) for f in folders)


class Child:
    """The processes of one worker that was forked; does what `sandbox.Program` does.

    With bubblewrap there are two outside of what the student's code sees: bubblewrap itself with
    a process that waits inside and holds its namespaces, and the child of the parent that waits
    for the worker.
    """

    def __init__(
        self, parent: Parent, chosen: sandbox.Walls, limits: sandbox.Limits, probe: bool = False
    ) -> None:
        self._parent, self._holder, self._inside = parent, None, None
        self._wrapped = chosen.level == "bubblewrap"
        with ExitStack() as undo:
            self.home, given = self._walls(chosen, limits, undo)
            pipes = [os.pipe() for _ in range(3)]
            (far_in, near_in), (near_out, far_out), (near_errors, far_errors) = pipes
            self.stdin = undo.enter_context(open(near_in, "wb", buffering=0))
            self.stdout = undo.enter_context(open(near_out, "rb", buffering=0))
            self.stderr = undo.enter_context(open(near_errors, "rb", buffering=0))
            orders = sandbox._orders(parent.folder, chosen, limits, self.home, probe)
            orders["namespaces"] = _unlike(self._inside) if self._inside else 0
            if self._wrapped:
                orders["filter"] = (syscalls.program() or b"").hex()
            far = (far_in, far_out, far_errors)
            try:
                answer = parent.ask({"fork": orders}, limits.start, far + given)
            finally:
                for number in far + given:
                    os.close(number)
            self.pid = answer["pid"]
            self._undo = undo.pop_all()

    def _walls(
        self, chosen: sandbox.Walls, limits: sandbox.Limits, undo: ExitStack
    ) -> tuple[Path, tuple[int, ...]]:
        """The namespaces or the folder of this worker, and an open file that stands for them."""
        if not self._wrapped:
            folder = tempfile.TemporaryDirectory(prefix="course-worker-")
            return undo.enter_context(sandbox._home(Path(undo.enter_context(folder)))), ()
        self._holder = self._hold(chosen, limits)
        undo.callback(self._release)
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            undo.enter_context(pipe)
        ready = select.select([self._holder.stdout], [], [], _PATIENCE)[0]
        if not ready or os.read(self._holder.stdout.fileno(), 1) != b".":
            end_group(self._holder.pid)
            said = os.read(self._holder.stderr.fileno(), 1 << 16).decode(errors="replace").strip()
            raise sandbox.SandboxError(f"bubblewrap does not start: {said[-200:]}")
        self._inside = family(self._holder.pid)[-1]
        return Path("/tmp"), (os.pidfd_open(self._inside),)

    def _hold(self, chosen: sandbox.Walls, limits: sandbox.Limits) -> subprocess.Popen:
        """bubblewrap around a process that waits."""
        folder = self._parent.folder
        with sandbox._filter(chosen) as pipe:
            command = sandbox._bubblewrap(folder, chosen, limits, becomes=False)
            command += [part for number in pipe for part in ("--seccomp", str(number))]
            return subprocess.Popen(
                [*command, sandbox._interpreter(), "-I", "-S", "-B", "-c", _HOLD],
                **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
                bufsize=0,
                start_new_session=True,
                env=sandbox._environment(str(folder / "data"), "/tmp"),
                cwd="/",
                pass_fds=pipe,
            )

    def _release(self) -> None:
        end_group(self._holder.pid)  # bwrap's end is its namespaces' end
        self._holder.wait()

    def members(self) -> list[int]:
        """All processes that belong to it, the student's last."""
        if not self._wrapped:
            return family(self.pid)
        around = family(self._holder.pid)
        own = [n for n in family(self.pid) if n != self.pid]
        return [*(n for n in around if n not in own), *own]

    def inside(self) -> int | None:
        """A process that sees what the worker sees."""
        return self._inside

    def code(self, seconds: float) -> int | None:
        """How it ended, as `Popen.returncode` tells it; None where it has not, so many seconds."""
        order = {"ended": self.pid, "seconds": seconds}
        try:
            return self._parent.ask(order, seconds + _PATIENCE)["code"]
        except _Lost:
            return -9

    def end(self) -> None:
        """Ends it and everything it started."""
        if self._holder is not None:
            self._release()
        if not self._parent.lost:
            end_group(self.pid)  # not reaped before, so that the number is still its own
            with suppress(_Lost):
                self._parent.ask({"reap": self.pid, "seconds": _PATIENCE}, 2 * _PATIENCE)
        self._undo.close()


def _unlike(pid: int) -> int:
    """The kinds of namespaces that a process has of its own, as setns(2) wants them."""
    found = 0
    for name, flag in _NAMESPACES.items():
        with suppress(FileNotFoundError):
            mine, its = (os.readlink(f"/proc/{who}/ns/{name}") for who in ("self", pid))
            found |= flag * (mine != its)
    return found


def parent(chosen: sandbox.Walls) -> Parent | None:
    """A parent for these walls; None where workers are started anew: there are no real walls."""
    return None if chosen.level == "bare" else Parent(chosen)
