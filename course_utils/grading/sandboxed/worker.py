"""The process that runs a student's code: it holds no reference, no seed and nobody's result.

`sandbox` starts this file as a script, with its orders as JSON in the only argument. It lowers its
own rights and limits, moves the two pipes away from where prints go, and answers the judge's
messages one after the other (`docs/grading.md` lists them). Whatever it says may be the student's
doing: the judge believes none of it.
"""

import contextlib
import ctypes
import importlib.abc
import importlib.util
import json
import linecache
import os
import resource
import signal
import struct
import sys
import types

REAL = {"", "images", "models", "layers", "exercises", "grading", "grading.sandboxed"} | {
    *("common", "checking"),
    *(f"common.{name}" for name in ("decoding", "errors", "gate", "paths")),
    *(f"common.{name}" for name in ("transformer", "weights")),
    *(f"checking.{name}" for name in ("core", "networks", "scopes", "sources", "running")),
    *(f"grading.sandboxed.{name}" for name in ("landlock", "wire", "warm", "worker", "outline")),
}
"""The modules of `course_utils` that exist here; the others are stubs."""

_PR_SET_NO_NEW_PRIVS, _CAPABILITY_VERSION_3 = 38, 0x20080522
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 8, 22, 2
_CAP_DAC_READ_SEARCH = 1 << 2


# ------------------------------------------------------------------ rights and limits


def lower_rights(user: int | None, search: bool = False) -> None:
    """Become that user, for good; nothing run from here on can gain rights again.

    Args:
        user: its number; None for the one that this process has.
        search: keep the right to read whatever the mode of a file, if this process has it.
    """
    system, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    had = (ctypes.c_uint32 * 6)()
    if search:
        system.capget(header, had)
        system.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    kept = had[1] & _CAP_DAC_READ_SEARCH  # of effective, permitted, inheritable
    with contextlib.suppress(AttributeError):
        system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # A change of user leaves the inheritable capabilities: all three sets become empty.
        if system.capset(header, (ctypes.c_uint32 * 6)(kept, kept)) and search:
            raise OSError("capabilities could not be given up")


def close_in(orders: dict) -> None:
    """What stands in for namespaces: Landlock, and then the filter of system calls.

    Python and its packages often lie in root's own folder, which another user cannot enter; so the
    right to read whatever the mode stays, and Landlock alone says what there is to be read.
    """
    from course_utils.grading.sandboxed import landlock

    home, user = orders["home"], orders["user"]
    if user is not None:
        os.chown(home, user, user)
    lower_rights(user, search=user is not None)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # end with the judge
    os.chdir(home)
    own = [f"/proc/{os.getpid()}/{name}" for name in ("maps", "stat", "statm", "status")]
    landlock.restrict(orders["read"] + own, [home, os.devnull])
    refuse(bytes.fromhex(orders["filter"]))


def refuse(program: bytes) -> None:
    """Installs a filter of system calls for this process and all that it starts."""
    system = ctypes.CDLL(None, use_errno=True)
    steps = ctypes.create_string_buffer(program, len(program))
    found = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    if system.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(found), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls was not accepted")


def limit(kind: int, amount: int) -> None:
    """Lowers a limit for good; one that is lower already stays."""
    most = resource.getrlimit(kind)[1]
    amount = amount if most == resource.RLIM_INFINITY else min(amount, most)
    resource.setrlimit(kind, (amount, amount))


def apply_limits(limits: dict, count_processes: bool) -> None:
    """Limits of this process and its children; memory beyond what is in use now."""
    limit(resource.RLIMIT_CPU, limits["cpu"])
    limit(resource.RLIMIT_FSIZE, limits["file"])
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, 256)
    if count_processes:
        limit(resource.RLIMIT_NPROC, limits["processes"])
    with contextlib.suppress(OSError), open("/proc/self/statm") as pages:
        taken = int(pages.read().split()[0]) * resource.getpagesize()
        limit(resource.RLIMIT_AS, taken + limits["memory"])


def private_pipes() -> tuple[int, int]:
    """The judge's two pipes under other numbers; prints and input no longer reach them."""
    read, write = (os.dup2(fd, number, inheritable=False) for fd, number in ((0, 100), (1, 101)))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    return read, write


# ------------------------------------------------------------------ stubs


class _Stub(types.ModuleType):
    """A module of the course that is not here: whatever is taken from it says so when used."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.__name__}.{name}"

        def missing(*args: object, **kwargs: object) -> None:
            raise NotImplementedHere(f"write this yourself: {path} is not available here")

        return missing


class NotImplementedHere(RuntimeError):
    """A helper of the course was used that an exercise asks for."""


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of the course that is not real here, as a stub."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        top, _, rest = name.partition(".")
        if top != "course_utils" or rest in REAL:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec: object) -> types.ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def on_use(name: str) -> None:
    """Import a module of the course when it is first used: `models` alone takes seconds."""
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)


# ------------------------------------------------------------------ messages


class Worker:
    """Answers messages; keeps the code of the exercises and the functions it has loaded."""

    def __init__(self) -> None:
        self.pieces, self.functions = {}, {}

    def answer(self, kind: str, fields: dict) -> dict:
        """The answer to one message: "read", "load" or "call"."""
        return {"read": self.read, "load": self.load, "call": self.call}[kind](**fields)

    def read(self, cells: object, names: list[str]) -> dict:
        """Before any of it runs: the code of each exercise, and its outline.

        Args:
            cells: JSON as bytes (an array, which may be longer than a text): `cells`, and
                `lecture`, the texts of the lecture's own.
            names: the exercises.
        """
        from course_utils.checking import sources

        given = json.loads(cells.tobytes())
        found = [sources.SourceCell(**cell) for cell in given["cells"]]
        own = given["lecture"]
        self.pieces |= {name: sources.assemble(found, name, own) for name in names}
        return {name: _described(self.pieces[name]) for name in names}

    def load(self, name: str) -> dict:
        """Runs the code of one exercise in a clean namespace."""
        from course_utils.checking import running

        pieces, self.functions = self.pieces[name], {}
        text = pieces.source
        linecache.cache[running.FILE] = (len(text), None, text.splitlines(True), running.FILE)
        try:
            self.functions[name] = running.namespace(pieces)[name]
        except BaseException as error:
            return {"fault": vars(running.fault_of(error))}
        return {"fault": None}

    def call(self, name: str, args: dict, repeat: bool, slopes: list[str]) -> dict:
        """One case: what the function returned, or why it did not."""
        from course_utils.checking import running
        from course_utils.checking.core import Case, Fault

        case = Case(args, repeat=repeat, slopes=tuple(slopes))
        outcome = running.run(self.functions[name], case)
        found = vars(outcome).copy()
        cut = outcome.slopes
        found["slopes"] = {"fault": vars(cut)} if isinstance(cut, Fault) else cut
        return found | {"fault": vars(outcome.fault) if outcome.fault else None}


def _described(pieces: object) -> dict:
    """What the judge wants to know about the code, in place of the code itself."""
    from course_utils.grading.sandboxed import outline

    return {
        "stub": pieces.stub,
        "found": bool(pieces.source),
        "no_grad": "no_grad" in pieces.source,
        # As one text each: a message has a limited number of parts.
        "outlines": ["\n".join(parts) for parts in outline.outlines(pieces.source)],
        "hidden": outline.hidden(pieces.source),
        "notebook_names": [name[:100] for name in sorted(pieces.notebook_names)[:2000]],
        "fault": vars(pieces.fault) if pieces.fault else None,
    }


class Pipes:
    """The two pipes to the judge: whole messages in, whole messages out."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self.read_from, self.write_to = read_from, write_to

    def exactly(self, size: int) -> bytes:
        """So many bytes from the judge; its end is this process's end."""
        found = bytearray()
        while len(found) < size:
            part = os.read(self.read_from, min(size - len(found), 1 << 20))
            if not part:
                raise SystemExit(0)
            found += part
        return bytes(found)

    def send(self, kind: str, **fields: object) -> None:
        """One message to the judge."""
        from course_utils.grading.sandboxed import wire

        frame = memoryview(wire.encode(kind, **fields))
        while frame:
            frame = frame[os.write(self.write_to, frame) :]


def serve(pipes: Pipes) -> None:
    """Answers until the judge closes its end."""
    import numpy
    import torch

    from course_utils.grading.sandboxed import wire

    torch.set_num_threads(1)
    pipes.send("ready", versions={"torch": str(torch.__version__), "numpy": numpy.__version__})
    worker = Worker()
    while True:
        kind, fields = wire.receive(pipes.exactly)
        number = fields.pop("number")
        found = worker.answer(kind, fields)
        try:
            pipes.send("answer", number=number, **found)
        except wire.WireError as error:
            pipes.send("answer", number=number, fault=too_much(error))


def too_much(error: Exception) -> dict:
    """The fault of a result that may not travel."""
    return {"kind": "ResultError", "message": f"it returned {error}", "line": "", "name": ""}


def prepare(later: bool = True) -> None:
    """Imports; without `later` also what takes seconds and few answers need."""
    sys.meta_path.insert(0, Stubs())
    import torch  # noqa: F401

    for name in ("images", "models"):
        (on_use if later else importlib.import_module)(f"course_utils.{name}")
    from course_utils.checking import running, sources  # noqa: F401


def main() -> None:
    """The worker's life: rights, pipes, imports, limits, and then messages until the end."""
    orders = json.loads(sys.argv[1])
    sys.argv[1:] = []
    sys.path[:0] = orders["path"]
    if orders["filter"]:
        close_in(orders)
    else:
        lower_rights(orders["user"])
    if orders["probe"]:
        for folder in (*orders["path"], os.path.dirname(os.__file__)):
            os.listdir(folder)
        return
    pipes = Pipes(*private_pipes())
    prepare()
    apply_limits(orders["limits"], orders["count_processes"])
    serve(pipes)


if __name__ == "__main__":
    main()
