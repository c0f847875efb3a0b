"""Walls, limits and deadlines around a worker; and the verb `course grade`."""

import ast
import json
import os
import subprocess
import time
from dataclasses import replace

import pytest
import torch
from submitted import LIMITS, RIGHT, as_read, notebook
from typer.testing import CliRunner

from course_utils.commands import cli
from course_utils.common import paths
from course_utils.grading.sandboxed import landlock, worker
from course_utils.grading.trusted import judge, sandbox, syscalls
from course_utils.grading.trusted.sandbox import Walls, Worker

PROBE = """
import os, threading, time, signal, resource
def probe(x, where):
    for number in range(300):
        open(f"/tmp/{number}", "w").close()
    seen = {"user": os.getuid(), "groups": len(os.getgroups()), "threads": torch.get_num_threads()}
    seen |= {name: os.path.exists(path) for name, path in where.items()}
    seen["rights"] = [l.split()[1] for l in open("/proc/self/status") if l.startswith("Cap")]
    seen["variables"] = sorted(os.environ)
    kinds = (resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
    seen["limits"] = [resource.getrlimit(kind)[1] for kind in kinds]
    return [seen, x * 2, [k for k in ("photos.csv",) if k in os.listdir(os.environ["COURSE_DATA"])]]
def refused(x):
    import ctypes, errno
    system, found = ctypes.CDLL(None, use_errno=True), {}
    calls = {"memfd_create": (b"a", 0), "unshare": (0x10000000,), "ptrace": (0, 0, 0, 0),
             "shmget": (0, 4096, 0o600), "mount": (b"none", b"/tmp", b"tmpfs", 0, 0),
             "setns": (0, 0), "socket": (1, 2, 0), "socketpair": (1, 2, 0, (ctypes.c_int * 2)())}
    for name, arguments in calls.items():
        ctypes.set_errno(0)
        worked = getattr(system, name)(*arguments) >= 0
        found[name] = "worked" if worked else errno.errorcode[ctypes.get_errno()]
    thread = threading.Thread(target=lambda: found.update(thread="ran"))
    thread.start()
    thread.join()
    import subprocess
    found["child"] = subprocess.run(["true"]).returncode
    return found
def stop_soon(x):
    def stop():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGSTOP)
    threading.Thread(target=stop).start()
    return 1
"""


def cell(name):
    source = "import torch\n" + PROBE
    return as_read({"source": source, "role": "exercise", "exercise": name})


@pytest.mark.parametrize("forked", [False, True], ids=["new", "forked"])
@pytest.mark.parametrize("user_namespace", [False, True], ids=["real user", "user namespace"])
def test_both_kinds_of_walls(starts, user_namespace, forked):
    chosen = Walls("bubblewrap", "", user_namespace)
    problem = sandbox._try(chosen)
    if problem:
        pytest.skip(f"these walls do not work here: {problem}")
    where = {"root": str(paths.root() / "pyproject.toml"), "system": "/usr", "home": "/home"}
    with Worker(chosen, LIMITS, starts(chosen, forked)) as worker:
        worker.request("read", cells=cell("probe"), names=["probe"])
        assert worker.request("load", name="probe") == {"fault": None}
        args = {"x": torch.ones(2), "where": where}
        answer = worker.request("call", name="probe", args=args, repeat=False, slopes=[])
        made = worker._files()
    assert 300 <= made < 400
    seen, doubled, data = answer["value"]
    assert torch.equal(doubled, torch.full((2,), 2.0))
    assert data == ["photos.csv"]
    assert (seen["root"], seen["system"], seen["home"]) == (False, True, False)
    assert seen["user"] != 0
    kinds = 5 if forked else 3  # inheritable, permitted, effective, bounding, ambient
    assert set(seen["rights"][:kinds]) == {"0" * 16}
    assert seen["threads"] == 1
    assert seen["limits"] == [LIMITS.processes, LIMITS.file, 0]
    own = {"COURSE_DATA", "COURSE_DEVICE", "HOME", "LANG", "LC_CTYPE", "LOGNAME", "MPLBACKEND"}
    own |= {"PATH", "PWD", "TMPDIR", "USER"}
    assert {v for v in seen["variables"] if not v.endswith("_NUM_THREADS")} <= own


@pytest.mark.skipif(syscalls.program() is None, reason="no filter for this kind of processor")
@pytest.mark.parametrize("forked", [False, True], ids=["new", "forked"])
def test_system_calls_that_no_exercise_needs_are_refused(walls, starts, forked):
    with Worker(walls, LIMITS, starts(walls, forked)) as worker:
        worker.request("read", cells=cell("refused"), names=["refused"])
        worker.request("load", name="refused")
        answer = worker.request("call", name="refused", args={"x": 1}, repeat=False, slopes=[])
    assert answer["value"].pop("thread") == "ran"
    assert answer["value"].pop("child") == 0
    assert set(answer["value"].values()) == {"EPERM"}, answer


def test_filters_are_made_for_known_machines():
    known = [syscalls.program(machine) for machine in syscalls.NUMBERS]
    assert all(len(found) % 8 == 0 for found in known)
    assert known[0] != known[1]
    assert syscalls.program("z80") is None


def test_files_are_counted_whatever_they_hold(tmp_path):
    assert sandbox.counted(str(tmp_path), 10) == 0
    for number in range(4):
        (tmp_path / f"{number}" / "inner").mkdir(parents=True)
        (tmp_path / f"{number}" / "link").symlink_to(tmp_path)
    assert sandbox.counted(str(tmp_path), 100) == 12
    assert sandbox.counted(str(tmp_path), 5) == 6


@pytest.mark.parametrize("forked", [False, True], ids=["new", "forked"])
def test_a_worker_that_does_not_read_is_not_waited_for(walls, starts, forked):
    with Worker(walls, LIMITS, starts(walls, forked)) as worker:
        worker.request("read", cells=cell("stop_soon"), names=["stop_soon"])
        worker.request("load", name="stop_soon")
        args = {"x": torch.ones(1)}
        worker.request("call", name="stop_soon", args=args, repeat=False, slopes=[])
        large = {"name": "stop_soon", "args": {"x": torch.zeros(8 << 20)}, "repeat": False}
        time.sleep(1)
        with pytest.raises(sandbox.OutOfTime):
            worker.request("call", 1.5, **large)
        assert worker._program is None


def test_no_sandbox_no_grading(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    sandbox.walls.cache_clear()
    try:
        with pytest.raises(sandbox.SandboxError, match=r"bubblewrap.*--trust-submissions"):
            sandbox.walls()
        assert sandbox.walls(trust=True) == sandbox.BARE
    finally:
        sandbox.walls.cache_clear()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="grading runs on Linux")
def test_bare_says_so_and_still_ends_everything(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)
    path = tmp_path / "06_saliency.ipynb"
    slow = (
        'def smoothgrad(model, x, classes, noise):\n    import os\n    os.system("sleep 87654.25")'
    )
    path.write_text(json.dumps(notebook({**RIGHT, "smoothgrad": slow})))
    result = judge.grade(path, seed=1, limits=replace(LIMITS, call=6), trust=True)
    assert (result["points"], result["isolation"]["level"]) == (2, "bare")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 87654.25" not in listed


def test_a_worker_that_cannot_start_is_no_students_fault(walls, monkeypatch):
    monkeypatch.setattr(sandbox, "COURSE_FILES", sandbox.COURSE_FILES[:-2])
    with pytest.raises(sandbox.SandboxError, match="did not start"), Worker(walls, LIMITS):
        pass


def test_course_grade_prints_a_table_and_writes_the_result(walls, tmp_path):
    file, out = tmp_path / "ada.ipynb", tmp_path / "results"
    file.write_text(json.dumps(notebook({"saliency_map": RIGHT["saliency_map"]})))
    order = ["grade", str(file), "--out", str(out), "--seed", "3", "--lecture", "06"]
    done = CliRunner().invoke(cli.app, order)
    assert done.exit_code == 0, done.output
    for words in ("saliency_map          right", "not attempted", "total", "isolation: bubblewrap"):
        assert words in done.output
    stored = json.loads((out / "ada" / "ada.json").read_text())
    assert (stored["points"], stored["max_points"], stored["seed"]) == (1, 3, 3)


def test_course_grade_says_what_is_wrong(walls, tmp_path):
    file = tmp_path / "ada.ipynb"
    file.write_text("{")
    done = CliRunner().invoke(cli.app, ["grade", str(file), "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "damaged or cut off" in done.output
    done = CliRunner().invoke(cli.app, ["grade", str(file), "--seed", "-4"])
    assert done.exit_code == 1
    assert "seed=-4" in done.output


def test_what_a_worker_reads_of_the_course_is_all_that_it_imports():
    """A helper that is open to students must not end in a stub: `check` has the real one."""
    staged = {name.removesuffix(".py").removesuffix("/__init__") for name in sandbox.COURSE_FILES}
    assert {name.replace("/", ".").replace("__init__", "") for name in staged} == worker.REAL
    lacking = []
    common = [name for name in sandbox.COURSE_FILES if name.startswith("common/")]
    for name in ("images.py", "models.py", "layers.py", *common):
        tree = ast.parse(paths.package().joinpath(name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_utils"):
                module = node.module.replace(".", "/").removeprefix("course_utils").strip("/")
                parts = [f"{module}/{alias.name}".strip("/") for alias in node.names]
                modules = [p for p in (module, *parts) if (paths.package() / f"{p}.py").exists()]
                lacking += [f"{name} needs {p}" for p in modules if p not in staged]
    assert not lacking
