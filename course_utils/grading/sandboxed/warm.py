"""The warmed parent of workers: imports what they need once, and forks one for each submission.

`trusted.warm` starts this file as a script, outside of the walls. No byte of a submission ever
reaches it: it takes orders from its judge, by a socket that no child keeps. A child first goes
inside the walls, which are the namespaces that bubblewrap has made for it alone (setns(2)), or
Landlock, and becomes a user of its own without rights; only then it is a worker like any other and
reads its first message. What it does to its memory from there on is done to its own copy.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _CAPABILITIES = 1, 24, 64
_ORDER = 1 << 18  # bytes


def main(orders: dict) -> None:
    """Imports, then children as they are ordered, until the judge is gone."""
    _end_with_parent()
    _import()
    _nothing_to_share()
    gc.collect()
    gc.freeze()  # a collection in a child would write to every object, and so copy its page
    with socket.socket(fileno=orders["control"]) as control:
        control.send(b"{}")
        while True:
            order, given, _, _ = socket.recv_fds(control, _ORDER, 4)
            if not order:
                return
            control.send(json.dumps(_answer(json.loads(order), given)).encode())


def _import() -> None:
    """What a worker imports at its start, or would import when an answer first asks for it."""
    from course_utils.grading.sandboxed import worker

    before = dict(os.environ)
    worker.prepare(later=False)
    for name in ("numpy", "torch.fx", "course_utils.grading.sandboxed.outline"):
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    for added in set(os.environ) - set(before):  # a folder for caches, with the judge's user in it
        del os.environ[added]


def _nothing_to_share() -> None:
    """Raises where a child would not have everything to itself.

    Raises:
        RuntimeError: a second thread, which a fork leaves behind with its locks held; or memory
            that children could write to and others read.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("a warmed parent must have one thread only")
    with open("/proc/self/maps") as maps:
        shared = [line for line in maps if line.split()[1][1::2] == "ws"]
    if shared:
        raise RuntimeError(f"children would share memory: {shared[0].strip()}")


def _answer(order: dict, given: list[int]) -> dict:
    """Does one thing: `fork` a child, tell whether it has `ended`, or `reap` it.

    A child that has ended keeps its number until it is reaped, so that the judge cannot mean
    another process by it.
    """
    if "fork" in order:
        pid = os.fork()
        if pid == 0:
            _live(order["fork"], given)
        for number in given:
            os.close(number)
        return {"pid": pid}
    pid = order.get("ended") or order["reap"]
    until = time.monotonic() + order["seconds"]
    if "reap" in order:
        os.kill(pid, signal.SIGKILL)
    while True:
        keep = 0 if "reap" in order else os.WNOWAIT
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | keep)
        if found is not None:
            by_itself = found.si_code == os.CLD_EXITED
            return {"code": found.si_status if by_itself else -found.si_status}
        if time.monotonic() > until:
            return {"code": None}
        time.sleep(0.002)


# ------------------------------------------------------------------ a child


def _live(orders: dict, given: list[int]) -> None:
    """All of a child's life; it never comes back to what its parent was doing."""
    code = 1
    try:
        code = _child(orders, given)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _child(orders: dict, given: list[int]) -> int:
    """Goes inside the walls and answers messages there."""
    os.setsid()
    _end_with_parent()
    for number, pipe in enumerate(given[:3]):
        os.dup2(pipe, number)
    if orders["namespaces"]:
        _call("setns", given[3], orders["namespaces"])
        _end_with_parent()  # a user namespace of its own has undone it
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if orders["namespaces"]:  # numbers of processes are the next child's, not one's own
        inner = os.fork()
        if inner:
            return _wait_for(inner)
        os.setsid()  # a signal to all of its own group reaches nobody outside
    _close_in(orders)
    if orders["probe"]:
        for folder in (*orders["path"], os.path.dirname(os.__file__)):
            os.listdir(folder)
        return 0
    _renew(orders["home"])
    worker = sys.modules["course_utils.grading.sandboxed.worker"]
    pipes = worker.Pipes(*worker.private_pipes())
    worker.apply_limits(orders["limits"], orders["count_processes"])
    worker.serve(pipes)
    return 0


def _wait_for(inner: int) -> int:
    """Between the parent and a worker in its own namespace: tells how it ended, as a shell does."""
    os.closerange(0, 3)  # the judge hears of the worker's end by its pipes
    code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    return code if code >= 0 else 128 - code


def _close_in(orders: dict) -> None:
    """The rest of the walls: what bubblewrap would have done for a program that it starts."""
    worker = sys.modules["course_utils.grading.sandboxed.worker"]
    if not orders["namespaces"]:
        worker.close_in(orders)
        return
    os.chdir(orders["home"])
    system = ctypes.CDLL(None)
    for capability in range(_CAPABILITIES):
        system.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    worker.lower_rights(orders["user"])
    _end_with_parent()  # a change of user has undone it
    if orders["filter"]:
        worker.refuse(bytes.fromhex(orders["filter"]))


def _renew(home: str) -> None:
    """What a new process would have had of its own: places, and random numbers."""
    os.environ.update(HOME=home, TMPDIR=home, PWD=home)
    tempfile.tempdir = None
    sys.modules["numpy"].random.seed()  # `random` renews itself; torch begins as it always does


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _call(name: str, *arguments: int) -> None:
    system = ctypes.CDLL(None, use_errno=True)
    if getattr(system, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


if __name__ == "__main__":
    told = json.loads(sys.argv.pop(1))
    sys.path[:0] = told["path"]
    main(told)
