"""Kernels for nbval that begin with the course's modules imported: forked from one that has them.

Importing takes 6 seconds of processor time, and there are 36 notebooks. With `--warm-kernels` of
`nbval_mends` one process for each device imports what notebooks import, and every kernel is a fork
of it, with its own namespace, environment and working folder. Jupyter's kernel manager starts a
small stand-in, which passes signals on and ends as its kernel ends. Where there is no fork
(Windows), kernels start as ever.
"""

import ast
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

LAUNCHER = ["-m", "ipykernel_launcher"]
POLL = 0.1  # seconds between two looks at which kernels have ended


# ------------------------------------------------------------------ in the process of the tests


class Nursery:
    """The process that kernels are forked from; it ends with the process that made it.

    Attributes:
        address: of its Unix socket, in a folder of the caller's.
    """

    def __init__(self, folder: Path, modules: Iterable[str]) -> None:
        self.address = str(folder / f"kernels-{os.environ.get('COURSE_DEVICE', '')}")
        argv = [sys.executable, __file__, "serve", self.address, *modules]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process.stdout.readline()  # it listens, though it may not have imported all yet

    def argv(self, cold: list[str]) -> list[str]:
        """The command line of a warm kernel for that of a cold one; another program's as it is."""
        if cold[1:3] != LAUNCHER:
            return cold
        return [sys.executable, "-I", "-S", __file__, "start", self.address, *cold[3:]]

    def close(self) -> None:
        """Ends it, and kernels that are left."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def imported(notebooks: Iterable[Path]) -> list[str]:
    """The modules of the course that notebooks import by name."""
    found = set()
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            lines = "".join(cell["source"]).splitlines()
            for line in lines if cell["cell_type"] == "code" else []:
                if line.startswith("from course_utils"):
                    found |= _modules(line)
    return sorted(found)


def _modules(line: str) -> set[str]:
    """`from a import b` names the modules a and perhaps a.b."""
    try:
        (statement,) = ast.parse(line).body
    except SyntaxError:  # the first line of several
        return set()
    return {statement.module, *(f"{statement.module}.{one.name}" for one in statement.names)}


# ------------------------------------------------------------------ the process that is forked


def serve(address: str, *modules: str) -> None:
    """Imports, then forks a kernel for every stand-in that connects, until stdin is closed."""
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as waiting:
        listener.bind(address)
        listener.listen()
        print("listening", flush=True)
        for name in ("ipykernel.kernelapp", "matplotlib.backends.backend_agg", *modules):
            try:
                importlib.import_module(name)
            except ImportError:  # a name in a module, or for its own notebook to find out
                continue
        kernels: dict[int, socket.socket] = {}
        waiting.register(sys.stdin, selectors.EVENT_READ)
        waiting.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select(POLL if kernels else None):
                if key.fileobj is sys.stdin:
                    _signal(kernels, signal.SIGKILL)
                    return
                if key.fileobj is listener:
                    connection = listener.accept()[0]
                    kernels[_fork(connection, kernels, listener)] = connection
                    waiting.register(connection, selectors.EVENT_READ)
                else:
                    told = key.fileobj.recv(1)
                    number = told[0] if told else signal.SIGKILL  # the stand-in itself was killed
                    _signal([p for p, its in kernels.items() if its is key.fileobj], number)
                    if not told:
                        waiting.unregister(key.fileobj)
            _reap(kernels, waiting)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def _reap(kernels: dict[int, socket.socket], waiting: selectors.BaseSelector) -> None:
    """Tells the stand-ins of kernels that have ended."""
    for pid in list(kernels):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            connection = kernels.pop(pid)
            if connection in waiting.get_map():
                waiting.unregister(connection)
                connection.send(bytes([abs(os.waitstatus_to_exitcode(status)) % 256]))
            connection.close()


def _fork(connection: socket.socket, kernels: dict, listener: socket.socket) -> int:
    """A kernel as the stand-in asks for; its process number."""
    asked, files = b"", []
    while not asked.endswith(b"\n"):
        part, more, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        asked, files = asked + part, files + more
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        for other in (listener, connection, *kernels.values()):
            other.close()
        _become(json.loads(asked), files, parent)
    for file in files:
        os.close(file)
    return pid


def _become(asked: dict, files: list[int], parent: int) -> None:
    """This process is the kernel from now on."""
    status = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.setsid()
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"] | {"JPY_PARENT_PID": str(parent)})
        sys.argv, sys.path = ["ipykernel_launcher", *asked["argv"]], sys.path[1:]
        from ipykernel.kernelapp import IPKernelApp

        IPKernelApp.launch_instance(asked["argv"])
        status = 0
    finally:
        os._exit(status)


# ------------------------------------------------------------------ the stand-in


def start(address: str, *argv: str) -> None:
    """What Jupyter takes for the kernel: it asks for one and lasts as long."""
    asked = {"argv": argv, "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(asked).encode() + b"\n"], [0, 1, 2])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: connection.send(bytes([number])))
        status = connection.recv(1)
    os._exit(status[0] if status else 1)


if __name__ == "__main__":
    {"serve": serve, "start": start}[sys.argv[1]](*sys.argv[2:])
