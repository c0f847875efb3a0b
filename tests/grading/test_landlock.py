"""The walls of a machine without bubblewrap: Landlock, and the wider filter of system calls."""

import errno
import json
import os
import struct
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from submitted import LIMITS, RIGHT, as_read, notebook
from test_attacks import BOMBS, PATCHED, PATCHES, SABOTAGE

from course_utils.common import paths
from course_utils.grading.sandboxed import landlock
from course_utils.grading.trusted import judge, sandbox, syscalls, warm
from course_utils.grading.trusted.sandbox import Worker

CODE = """
import ctypes, errno, os, pathlib, resource, signal, socket, subprocess, tempfile, threading, torch
def outcome(what):
    try:
        what()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "worked"
def in_child(what):
    child = os.fork()
    if child == 0:
        os._exit(0 if outcome(what) == "EPERM" else 1)
    return "EPERM" if os.waitpid(child, 0)[1] == 0 else "worked"
def files(x, read, listed, written):
    own = os.path.join(os.environ["TMPDIR"], "own")
    open(own, "w").close()
    found = {f"read {p}": outcome(lambda: open(p, "rb").read(1)) for p in read}
    found |= {f"list {p}": outcome(lambda: os.listdir(p)) for p in listed}
    found |= {f"write {p}": outcome(lambda: open(p, "a")) for p in written}
    found |= {f"cut {p}": outcome(lambda: os.truncate(p, 0)) for p in existing(written)}
    found |= {f"link {p}": outcome(lambda: os.link(p, own + "er")) for p in read}
    found |= {f"move {p}": outcome(lambda: os.rename(own, p + ".new")) for p in written}
    return found
def existing(places):
    return [p for p in places if os.path.exists(p)]
def beyond(x, judge):
    kinds = {"tcp": (socket.AF_INET, socket.SOCK_STREAM), "unix": (socket.AF_UNIX,)}
    kinds |= {"udp": (socket.AF_INET6, socket.SOCK_DGRAM), "netlink": (socket.AF_NETLINK,)}
    found = {name: outcome(lambda: socket.socket(*kind)) for name, kind in kinds.items()}
    pair = lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    found |= {"pair": outcome(pair), "parent is the judge": str(os.getppid() == judge)}
    found |= {f"signal {n}": outcome(lambda: os.kill(judge, n)) for n in (0, signal.SIGTERM)}
    found |= {"signal parent": outcome(lambda: os.kill(os.getppid(), signal.SIGTERM))}
    found |= {"signal init": outcome(lambda: os.kill(1, 0)), "setsid": in_child(os.setsid)}
    found |= {"setpgid": in_child(lambda: os.setpgid(0, 0)), "root": outcome(lambda: os.setuid(0))}
    found["limits"] = outcome(lambda: resource.prlimit(judge, resource.RLIMIT_NOFILE))
    found["mode"] = outcome(lambda: os.chmod(os.environ["TMPDIR"], 0o777))
    found["session"] = outcome(lambda: subprocess.Popen(["true"], start_new_session=True))
    found["queue"] = outcome(queue)
    return found
def queue():
    if ctypes.CDLL(None, use_errno=True).msgsnd(0, b"12345678", 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "")
def works(x):
    found = {"user": os.getuid(), "photos": "photos.csv" in os.listdir(os.environ["COURSE_DATA"])}
    found["sum"] = torch.nn.functional.conv2d(x, torch.ones(1, 3, 3, 3)).sum()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(x, f"{folder}/x.pt")
        found["saved"] = torch.load(f"{folder}/x.pt").sum()
    pathlib.Path("relative").write_text("in its own folder")
    subprocess.run(["true"], check=True, stdout=subprocess.DEVNULL)
    thread = threading.Thread(target=lambda: found.update(thread="ran"))
    thread.start()
    thread.join()
    lines = [line.split() for line in open("/proc/self/status")]
    found["rights"] = [int(line[1], 16) for line in lines if line[0] in ("CapPrm:", "CapBnd:")]
    kinds = (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
    found["limits"] = [resource.getrlimit(kind)[1] for kind in kinds]
    return found | {"where": os.getcwd()}
def nests(x):
    for _ in range(3000):
        os.mkdir("deeper", 0o700)
        os.chdir("deeper")
    os.mkdir("closed", 0)
def leaves(x):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "65432.25"])
        os._exit(0)
    os.wait()
"""
EPERM, EACCES = "EPERM", "EACCES"


@contextmanager
def without_bubblewrap():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox.shutil, "which", lambda name: None)
        sandbox.walls.cache_clear()
        yield
    sandbox.walls.cache_clear()


@pytest.fixture(scope="module")
def behind():
    """The walls of a machine without bubblewrap; skipped where the kernel is too old for any."""
    problem = sandbox._no_landlock()
    if problem:
        pytest.skip(problem)
    with without_bubblewrap():
        found = sandbox.walls()
    assert found.level == "landlock"
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["new", "forked"])
def start(behind, starts, request):
    """How workers are started."""
    return starts(behind, request.param)


@pytest.fixture(scope="module")
def worker(behind, start):
    with Worker(behind, LIMITS, start) as running:
        yield running


@pytest.fixture
def grade(behind, start, tmp_path, monkeypatch):
    """Grades answers behind these walls; see `conftest.grade`."""
    monkeypatch.setattr(sandbox, "walls", lambda trust: behind)

    def run(answers, added=(), limits=LIMITS):
        path = tmp_path / "ada.ipynb"
        path.write_text(json.dumps(notebook(answers, added)))
        parent = start and start.__self__
        result = judge.grade(path, seed=7, limits=limits, parent=parent)
        assert result["isolation"]["level"] == "landlock"
        return {one["exercise"]: one["points"] for one in result["exercises"]}

    return run


def call(worker, name, **args):
    cells = as_read({"source": CODE, "role": "exercise", "exercise": name})
    worker.request("read", cells=cells, names=[name])
    assert worker.request("load", name=name) == {"fault": None}
    args = {"x": torch.ones(1, 3, 3, 3)} | args
    answer = worker.request("call", name=name, args=args, repeat=False, slopes=[])
    assert answer["fault"] is None, answer["fault"]
    return answer["value"]


def running():
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


@pytest.mark.slow
def test_honest_work_is_possible(worker):
    found = call(worker, "works")
    assert (float(found["sum"]), float(found["saved"]), found["photos"]) == (27, 27, True)
    assert found["thread"] == "ran"
    assert found["limits"] == [LIMITS.file, 0]
    assert found["user"] == (os.getuid() or found["user"]) != 0
    search = 1 << 2
    assert found["rights"][0] in ((0, search) if os.getuid() == 0 else (0,))
    assert Path(found["where"], "relative").read_text() == "in its own folder"


def test_no_file_of_anybody_elses(worker, tmp_path):
    mine = tmp_path / "submission.ipynb"
    mine.write_text("{}")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and Path("/tmp") in folder.parents:
            folder.chmod(0o755)
    mine.chmod(0o666)
    root = paths.root()
    read = [mine, "/etc/passwd", root / "pyproject.toml", root / "course_utils" / "saliency.py"]
    read += [*sorted((root / "solutions").glob("*.ipynb"))[:1], "/proc/1/status"]
    read += [f"/proc/{os.getpid()}/{name}" for name in ("status", "environ", "cmdline")]
    read += ["/proc/self/net/tcp", "/proc/self/root/etc/passwd", "/proc/stat"]
    listed = ["/", "/tmp", "/home", "/etc", "/proc", "/dev", "/dev/shm"]
    listed += [tmp_path, root, Path.home()]
    written = [mine, "/usr/bin/env", "/dev/shm/mine", "/tmp/mine", "/etc/passwd"]
    written += [sandbox._packages()[0] + "/mine.py", paths.data("photos.csv"), root / "mine"]
    places = {"read": read, "listed": listed, "written": written}
    found = call(worker, "files", **{k: [str(p) for p in v] for k, v in places.items()})
    refused = {EPERM, EACCES, "EXDEV"}
    assert not {name: said for name, said in found.items() if said not in refused}
    assert mine.read_text() == "{}"


def test_no_network_no_other_process(worker):
    found = call(worker, "beyond", judge=os.getpid())
    forked = isinstance(worker._program, warm.Child)
    assert found.pop("parent is the judge") == str(not forked)
    assert found == dict.fromkeys(found, EPERM)


@pytest.mark.slow
def test_what_was_started_or_written_ends_with_the_worker(behind, start):
    with Worker(behind, LIMITS, start) as worker:
        call(worker, "leaves")
        end = time.monotonic() + 20  # on a busy machine it is still becoming `sleep`
        while "sleep 65432.25" not in running() and time.monotonic() < end:
            time.sleep(0.05)
        assert "sleep 65432.25" in running()
        assert len(worker._program.members()) == 2  # its parent is gone, its group is not
        top = Path(call(worker, "works")["where"]).parent
        call(worker, "nests")
    assert "65432.25" not in running()
    assert not top.exists()


@pytest.mark.slow
def test_the_same_points_behind_these_walls(grade):
    assert grade(RIGHT) == dict.fromkeys(RIGHT, 1)


@pytest.mark.slow
def test_the_same_attacks_behind_these_walls(grade):
    assert grade(PATCHED, [PATCHES]) == dict.fromkeys(PATCHED, 0)
    sabotaged = {"saliency_map": 0, "gradient_times_input": 0, "smoothgrad": 1}
    assert grade(SABOTAGE) == sabotaged
    began = time.monotonic()
    bombs = BOMBS | {"smoothgrad": RIGHT["smoothgrad"]}
    assert grade(bombs, limits=replace(LIMITS, together=3 << 29)) == sabotaged
    assert time.monotonic() - began < LIMITS.total


# ------------------------------------------------------------------ where it is not enough


def test_where_nothing_works_both_reasons_are_given(monkeypatch):
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with without_bubblewrap():
        with pytest.raises(sandbox.SandboxError) as caught:
            sandbox.walls()
        assert sandbox.walls(trust=True) == sandbox.BARE
    for words in ("bubblewrap is not installed", "landlock: this kernel has none", "--trust"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("user", "version", "words"),
    [(0, 2, "truncation"), (0, 3, ""), (1000, 5, "this user's processes"), (1000, 6, "")],
)
def test_how_new_landlock_must_be(monkeypatch, user, version, words):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(landlock, "abi", lambda: version)
    found = sandbox._no_landlock()
    assert words in found if words else f"version {version}" not in found


def test_other_reasons_against_it(monkeypatch):
    monkeypatch.setattr(landlock, "abi", lambda: 6)
    with monkeypatch.context() as one:
        one.setattr(sandbox, "_installed_copies", lambda folders: ["/usr/lib/course_utils"])
        assert "/usr/lib/course_utils holds the references" in sandbox._no_landlock()
    with monkeypatch.context() as one:
        one.setattr(sandbox, "_granted", lambda: [str(paths.root().parent)])
        one.setattr(sandbox, "_installed_copies", lambda folders: [])
        assert f"{paths.root()} lies in" in sandbox._no_landlock()
    monkeypatch.setattr(syscalls, "program", lambda *a, **k: None)
    assert "no filter" in sandbox._no_landlock()


def test_a_worker_that_cannot_be_restricted_runs_nothing(behind, monkeypatch):
    monkeypatch.setattr(sandbox, "_granted", lambda: ["/nowhere/at/all"])
    assert "FileNotFoundError" in sandbox._try(behind)
    with pytest.raises(sandbox.SandboxError, match="nowhere"), Worker(behind, LIMITS):
        pass


# ------------------------------------------------------------------ the filter, step by step

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
REFUSED = 0x00050000 | errno.EPERM
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(program, machine, number, argument=0):
    """What a filter says to a system call, as the kernel would work it out."""
    seen = struct.pack("<IIQQ", number, MACHINES[machine], 0, argument)
    steps, at, value = list(struct.iter_unpack("=HBBI", program)), 0, 0
    while True:
        code, yes, no, constant = steps[at]
        if code == 0x06:
            return constant
        if code == 0x20:
            (value,) = struct.unpack_from("<I", seen, constant)
            at += 1
            continue
        true = {0x15: value == constant, 0x35: value >= constant, 0x45: value & constant}[code]
        at += 1 + (yes if true else no)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_wider_filter(machine):
    narrow, wide = syscalls.program(machine), syscalls.program(machine, shared=True)
    own, shared = syscalls.NUMBERS[machine], dict(syscalls.SHARED[machine])
    limits, clone = shared.pop("prlimit64"), own["clone"]
    assert not set(own.values()) & set(shared.values())
    for number in shared.values():
        said = [answer(program, machine, number) for program in (narrow, wide)]
        assert said == [ALLOWED, REFUSED]
    assert answer(wide, machine, own["ptrace"]) == REFUSED
    assert [answer(wide, machine, limits, pid) for pid in (0, 1, 77)] == [ALLOWED, REFUSED, REFUSED]
    sibling, thread, user = 0x8000, 0x3D0F00, 0x10000000
    assert [answer(wide, machine, clone, f) for f in (thread, sibling)] == [ALLOWED, REFUSED]
    assert [answer(narrow, machine, clone, f) for f in (sibling, user)] == [ALLOWED, REFUSED]
    assert answer(wide, machine, 435) == 0x00050000 | errno.ENOSYS
    other = next(name for name in MACHINES if name != machine)
    assert answer(wide, other, own["clone"]) == KILLED
