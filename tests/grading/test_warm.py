"""Workers forked from a warmed parent: nothing of one submission reaches the next, or the parent.

The attacks here are only possible because the parent lives on; those of `test_attacks` and of the
class of submissions run on forked workers as well.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from submitted import LIMITS, RIGHT, as_read

from course_utils.common import paths
from course_utils.grading.trusted import sandbox, warm
from course_utils.grading.trusted.sandbox import Worker

CODE = """
import os, sys, torch, numpy, random, builtins, gc, linecache, resource, signal, subprocess
import tempfile, threading, time
def outcome(what):
    try:
        return "worked" if what() is None else "gave"
    except (OSError, AttributeError) as error:
        return type(error).__name__
def leave(x):
    lie = lambda *a, **k: torch.zeros(3)
    torch.Tensor.sum = torch.autograd.grad = torch.nn.functional.conv2d = torch.allclose = lie
    numpy.load = builtins.abs = builtins.max = lie
    module = sys.modules["course_utils.checking.running"]
    module.run = module.namespace = lie
    sys.modules["course_utils.grading.sandboxed.worker"].Worker.answer = lie
    sys.modules["planted"] = sys.modules["torch"]
    for parameter in (p for o in gc.get_objects() if isinstance(o, torch.nn.Module)
                      for p in o.parameters()):
        parameter.data.zero_()
    torch.manual_seed(1); numpy.random.seed(1); random.seed(1)
    torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)
    os.environ["PLANTED"] = "1"
    os.umask(0o777)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    linecache.cache["planted"] = (1, None, ["x"], "planted")
    for place in ("/tmp/planted", "/dev/shm/planted", os.environ["TMPDIR"] + "/planted"):
        outcome(lambda: open(place, "w").close())
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "45678.25"])
    os.write(2, b"ALL IS LEFT")
    time.sleep(0.5)
def look(x):
    files = [p for top in ("/tmp", "/dev/shm", os.environ["TMPDIR"]) for p in listed(top)]
    found = {"sum": float(x.sum()), "files": [p for p in files if "planted" in p]}
    found["conv"] = float(torch.nn.functional.conv2d(x[None, None], x[None, None]))
    found["patched"] = [torch.autograd.grad.__name__, numpy.load.__name__, abs.__name__]
    found["planted"] = [n for n in ("planted",) if n in sys.modules or n in linecache.cache]
    found["planted"] += [n for n in ("PLANTED",) if n in os.environ]
    found["torch"] = [str(torch.get_default_dtype()), torch.initial_seed(), threads()]
    found["handler"] = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    found["umask"] = os.umask(0o22)
    found["open"] = opened()
    found["numbers"] = [random.random(), float(numpy.random.rand())]
    return found
def listed(top):
    try:
        return [os.path.join(top, p) for p in os.listdir(top)]
    except OSError:
        return []
def threads():
    return [l.split()[1] for l in open("/proc/self/status") if l.startswith("Threads")]
def opened():
    kinds = {}
    for number in range(256):
        try:
            kinds[number] = os.fstat(number).st_mode >> 12
        except OSError:
            pass
    return kinds
def reach(x, parent, between):
    import ctypes
    system = ctypes.CDLL(None, use_errno=True)
    found = {"shown": os.getppid() in (parent, between)}
    for who in (parent, between):
        found[f"signal {who}"] = outcome(lambda: os.kill(who, signal.SIGKILL))
        found[f"stop {who}"] = outcome(lambda: os.kill(who, signal.SIGSTOP))
        found[f"attach {who}"] = "worked" if system.ptrace(16, who, 0, 0) == 0 else "refused"
        for name in ("mem", "fd", "maps", "environ", "cwd", "root"):
            place = f"/proc/{who}/{name}"
            read = lambda: [os.listdir(place)] if name in ("fd", "cwd", "root") else open(place)
            found[f"{name} {who}"] = outcome(read)
    found["group"] = outcome(lambda: os.killpg(between, 0))
    return found
def everyone(x):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(0, signal.SIGTERM)
    os.kill(-1, signal.SIGTERM)
    return "alive"
def exhaust(x):
    held, children = [], 0
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        while True:
            if os.fork() == 0:
                time.sleep(600)
            children += 1
    except OSError:
        pass
    return [len(held), children]
def hunt(x, secret, variable):
    helper = "course_utils/saliency.py"
    places = [p for p in sys.path if p and os.path.exists(os.path.join(p, helper))]
    files = {n: getattr(m, "__file__", None) or "" for n, m in sys.modules.items()}
    shown = [n for n, file in files.items() if n.startswith("course_utils") and file
             and "/course-worker-" not in file]
    things = [getattr(f, "__module__", "") for f in gc.get_objects() if callable(f)]
    known = {"saliency", "judge", "engine", "comparing"}
    shown += [m for m in set(map(str, things)) if m.startswith("course_utils") and
              m.rpartition(".")[2] in known]
    try:
        places += [open(secret).read()]
    except OSError:
        pass
    return {"modules": shown, "places": places, "variable": variable in os.environ}
"""
FIFO, CHARACTERS = 1, 2
OPEN = dict.fromkeys(("0", "3"), CHARACTERS) | dict.fromkeys(("1", "2", "100", "101"), FIFO)
"""/dev/null twice, prints, and the judge's two pipes under their numbers."""


def ask(worker, name, **args):
    cells = as_read({"source": CODE, "role": "exercise", "exercise": name})
    worker.request("read", cells=cells, names=[name])
    assert worker.request("load", name=name) == {"fault": None}
    args = {"x": torch.ones(3, 3)} | args
    answer = worker.request("call", name=name, args=args, repeat=False, slopes=[])
    assert answer["fault"] is None, answer["fault"]
    return answer["value"]


def leave(worker):
    """What it patches is its own worker's as well, which ends of it."""
    with pytest.raises(sandbox.Gone):
        ask(worker, "leave")
    assert "ALL IS LEFT" in worker.log


@pytest.fixture(scope="module", params=["bubblewrap", "namespace", "landlock"])
def kind(request, walls, starts):
    """Each kind of walls that this machine has, and its parent."""
    chosen = {
        "bubblewrap": walls,
        "namespace": sandbox.Walls("bubblewrap", "", True),
        "landlock": sandbox.Walls("landlock", "", False),
    }[request.param]
    problem = sandbox._try(chosen)
    if problem:
        pytest.skip(f"these walls do not work here: {problem}")
    return chosen, starts(chosen, True).__self__


def state_of(parent):
    """What of the parent could have been changed, as the kernel tells it."""
    place = Path("/proc", str(parent._process.pid))
    status = place.joinpath("status").read_text().splitlines()
    kept = [line for line in status if line.startswith(("Threads", "SigIgn", "SigCgt", "Umask"))]
    files = sorted(os.readlink(entry) for entry in (place / "fd").iterdir())
    children = (place / "task" / str(parent._process.pid) / "children").read_text().split()
    return kept, files, children, (place / "maps").read_text().count("\n")


def test_nothing_of_one_submission_reaches_the_next(kind):
    chosen, parent = kind
    with Worker(chosen, LIMITS, parent.child) as worker:
        first = ask(worker, "look")
    before = state_of(parent)
    with Worker(chosen, LIMITS, parent.child) as worker:
        leave(worker)
    assert state_of(parent) == before
    with Worker(chosen, LIMITS, parent.child) as worker:
        second = ask(worker, "look")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "45678.25" not in listed
    fresh = [found.pop("numbers") for found in (first, second)]
    assert all(a != b for a, b in zip(*fresh, strict=True))  # neither a seed nor a copied state
    assert first == second
    assert (second["sum"], second["conv"]) == (9, 9)
    assert second["patched"] == ["grad", "load", "abs"]
    assert (second["files"], second["planted"]) == ([], [])
    assert second["torch"] == ["torch.float32", 0, ["1"]]  # every call begins with torch's seed 0
    assert second["open"] == OPEN


def test_a_forked_worker_has_what_a_new_one_has(kind):
    chosen, parent = kind
    found = []
    for start in (None, parent.child):
        with Worker(chosen, LIMITS, start) as worker:
            seen = ask(worker, "look")
            del seen["numbers"]
            found.append((seen, worker.ready, worker.log))
    assert found[0] == found[1]


def test_the_parent_cannot_be_reached(kind):
    chosen, parent = kind
    with Worker(chosen, LIMITS, parent.child) as worker:
        numbers = {"parent": parent._process.pid, "between": worker._program.pid}
        behind_landlock = chosen.level == "landlock"
        if behind_landlock:  # the worker is the parent's own child there
            numbers["between"] = os.getpid()
        found = ask(worker, "reach", **numbers)
        assert found.pop("shown") == behind_landlock
        assert found.pop("group") in ("ProcessLookupError", "PermissionError")
        assert set(found.values()) <= {
            *("ProcessLookupError", "PermissionError", "FileNotFoundError", "refused"),
        }, found
        assert parent._process.poll() is None
        assert parent.ask({"ended": worker._program.pid, "seconds": 0}) == {"code": None}
        assert ask(worker, "look")["sum"] == 9


def test_a_signal_to_everyone_reaches_nobody_outside(kind):
    chosen, parent = kind
    with (
        Worker(chosen, LIMITS, parent.child) as worker,
        Worker(chosen, LIMITS, parent.child) as other,
    ):
        try:
            assert ask(worker, "everyone") == "alive"
        except sandbox.Gone:  # what holds its namespaces has its user: its own end
            assert chosen.user_namespace
        assert ask(other, "look")["sum"] == 9
    assert parent._process.poll() is None


def test_a_submission_that_exhausts_all_it_has_leaves_the_parent_room(kind):
    chosen, parent = kind
    before = state_of(parent)
    # Pages that processes share count for each; a busy machine forks dozens slowly.
    roomy = replace(LIMITS, together=64 << 30, call=120)
    for _ in range(2):
        with Worker(chosen, roomy, parent.child) as worker:
            if chosen.user_namespace and os.geteuid() == 0:
                with pytest.raises(sandbox.OutOfMemory):  # the kernel never counts root's
                    ask(worker, "exhaust")
                continue
            held, children = ask(worker, "exhaust")
            assert 200 < held < 256
            if chosen.level == "bubblewrap" or os.geteuid() == 0:
                assert children < LIMITS.processes
    assert state_of(parent) == before
    with Worker(chosen, LIMITS, parent.child) as worker:
        assert ask(worker, "look")["sum"] == 9


def test_two_workers_of_one_parent_do_not_see_each_other(kind):
    chosen, parent = kind
    with Worker(chosen, LIMITS, parent.child) as one, Worker(chosen, LIMITS, parent.child) as two:
        leave(one)
        seen = ask(two, "look")
    assert (seen["files"], seen["planted"], seen["sum"]) == ([], [], 9)


# ------------------------------------------------------------------ the parent is lost


@pytest.mark.slow
def test_a_parent_that_is_killed_costs_nobody_a_point(grade, parent):
    """Killed at any time while a class is graded: what was running is asked again."""
    starts, stopped = parent.starts, threading.Event()

    def kill():
        time.sleep(0.4)
        while parent.starts == starts and not stopped.is_set():
            process = parent._process  # None while the next one is started
            if process is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.05)

    slow = RIGHT["saliency_map"].replace("    return", "    import time; time.sleep(1)\n    return")
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        found = grade(RIGHT | {"saliency_map": slow})
    finally:
        stopped.set()
        thread.join()
    assert found["points"] == 3
    assert parent.starts == starts + 1
    assert grade(RIGHT)["points"] == 3
    assert parent.starts == starts + 1


def test_a_parent_that_does_not_start_is_said(walls, monkeypatch, tmp_path):
    monkeypatch.setattr(warm, "_SCRIPT", "course_utils/nowhere.py")
    broken = warm.Parent(walls)
    with pytest.raises(sandbox.SandboxError, match=r"no worker can be forked.*nowhere"):
        broken.ready()
    assert broken._process is None
    with pytest.raises(sandbox.SandboxError), Worker(walls, LIMITS, broken.child):
        pass


def runs(pid):
    """Whether a process is there and has not ended; one that nobody has reaped yet has."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_ends_with_its_parent(walls, parent):
    slow = replace(LIMITS, call=30)
    with Worker(walls, slow, parent.child) as worker:
        inner = worker._program.members()[-1]
        os.kill(parent._process.pid, signal.SIGKILL)
        end = time.monotonic() + 10
        while runs(inner) and time.monotonic() < end:
            time.sleep(0.05)
        assert not runs(inner)
        with pytest.raises(sandbox.Gone):
            ask(worker, "look")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("import mmap; kept = mmap.mmap(-1, 4096)", "share memory"),
        (
            "import threading as t; t.Thread(target=t.Event().wait, daemon=True).start()",
            "one thread",
        ),
    ],
)
def test_a_parent_with_something_to_share_forks_nobody(made, words):
    code = "from course_utils.grading.sandboxed import warm; warm._nothing_to_share()"
    ran = [
        subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, cwd=paths.root()
        )
        for text in (code, f"{made}\n{code}")
    ]
    assert ran[0].returncode == 0, ran[0].stderr
    assert f"RuntimeError: {'children would' if 'memory' in words else 'a warmed'}" in ran[1].stderr
    assert words in ran[1].stderr


# ------------------------------------------------------------------ a parent that is a copy

COPIES = """
import importlib, json, os, resource, sys
sys.path.insert(0, {tests!r})
from course_utils.grading.trusted import sandbox, warm
for name in ("torchvision.transforms.v2", "timm"):
    importlib.import_module(name)
secret = os.open({secret!r}, os.O_RDONLY)
chosen = sandbox.Walls(*json.loads({walls!r}))
parent = warm.Parent(chosen, shared=True)
import course_utils.saliency  # what knows the answers comes only now
from submitted import LIMITS
from test_warm import ask
with sandbox.Worker(chosen, LIMITS, parent.child) as worker:
    seen = ask(worker, "look")
    inner = [n for n in worker._program.members() if sandbox.memory(n) > 50 << 20]
    once = sum(private(n) for n in (os.getpid(), parent._process.pid, *inner))
    found = ask(worker, "hunt", secret={secret!r}, variable="A_VARIABLE_OF_THE_JUDGE")
first = parent.starts
os.kill(parent._process.pid, 9)
with sandbox.Worker(chosen, LIMITS, parent.child) as worker:
    assert ask(worker, "look")["sum"] == 9
assert type(parent._process) is not warm._Copy  # a second copy would have the answers in it
found |= {{"open": seen["open"], "each": [sandbox.memory(os.getpid()) >> 20, len(inner)]}}
print(json.dumps(found | {{"once": once >> 20, "starts": parent.starts - first}}))
parent.end()
"""
PRIVATE = """
def private(pid):
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
    return 1024 * sum(int(l.split()[1]) for l in lines if l.startswith("Pss_Anon"))
"""


@pytest.mark.slow
def test_a_copy_shares_memory_and_nothing_that_knows_an_answer(kind, tmp_path):
    chosen, _ = kind
    secret = tmp_path / "roster.csv"
    secret.write_text("somebody")
    facts = [chosen.level, chosen.detail, chosen.user_namespace]
    code = PRIVATE + COPIES.format(
        tests=str(Path(__file__).parent), secret=str(secret), walls=json.dumps(facts)
    )
    env = os.environ | {"A_VARIABLE_OF_THE_JUDGE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.root(), env=env
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["open"] == OPEN
    assert found["modules"] == []
    assert not found["places"]
    assert (found["variable"], found["starts"]) == (False, 1)
    assert found["once"] < 0.8 * found["each"][0] * 2  # two processes; apart they take it twice


def test_no_copy_once_an_answer_is_known(walls):
    assert "course_utils.grading.trusted.judge" in sys.modules
    with pytest.raises(RuntimeError, match=r"loaded before the copy was made.*trusted\.judge"):
        warm.Parent(walls, shared=True)
