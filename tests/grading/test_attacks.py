"""Honest, broken and dishonest submissions: fair points, no undeserved one, nothing left behind.

One submission holds up to three of them, because a worker takes seconds to start.
"""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from submitted import LIMITS, RIGHT

from course_utils import exercises
from course_utils.common import paths

FULL = 1


def earned(result):
    """Points by exercise."""
    return {one["exercise"]: one["points"] for one in result["exercises"]}


# ------------------------------------------------------------------ honest


@pytest.fixture(scope="module")
def honest(grade):
    noisy = RIGHT["saliency_map"].replace(
        "    return",
        """    import sys, warnings
    from tqdm import tqdm
    for i in tqdm(range(50)): print("step", i)
    warnings.warn("careful"); sys.stderr.write("err")
    import os; os.write(1, b"to fd 1"); os.write(2, b"to fd 2")
    return""",
    )
    forgot = RIGHT["gradient_times_input"].replace(".sum(1)", ".mean(1)")
    return grade({"saliency_map": noisy, "gradient_times_input": forgot})


def test_a_right_answer_that_prints_and_warns_gets_full_marks(honest):
    assert honest["saliency_map"]["state"] == "right"
    assert honest["saliency_map"]["points"] == FULL
    assert "to fd 1" in honest["printed"]
    assert "to fd 2" in honest["printed"]


def test_a_wrong_answer_is_told_why(honest):
    one = honest["gradient_times_input"]
    assert (one["state"], one["points"]) == ("wrong", 0)
    known = {m.name: m.sentence for m in exercises.get("gradient_times_input").mistakes}
    assert one["mistake"] in known
    assert one["reason"].startswith(known[one["mistake"]][:40].split("{")[0])


def test_a_stub_is_not_attempted(honest):
    one = honest["smoothgrad"]
    assert (one["state"], one["points"], one["similarity"]) == ("not attempted", 0, None)


def test_the_result_says_how_it_came_about(honest):
    assert honest["state"] == "graded"
    assert honest["isolation"]["level"] == "bubblewrap"
    assert (honest["points"], honest["max_points"], honest["seed"]) == (1, 3, 7)
    assert honest["versions"]["worker"]["torch"]
    assert 100 < honest["peak_memory_mib"] < 2000
    assert 0.2 < honest["saliency_map"]["similarity"] < 1


@pytest.mark.slow
def test_credit_for_each_case(grade):
    """Right for one image, wrong for several: the sign of what a batch does wrong."""
    first = RIGHT["saliency_map"].replace("amax(1)", "amax(1)[:1].expand(len(x), -1, -1)")
    helper = "from course_utils.saliency import saliency_map as ours"
    borrowed = "def gradient_times_input(model, x, classes):\n    return ours(model, x, classes)"
    mutating = RIGHT["smoothgrad"].replace("total = 0", "total = 0; x[0, 0, 0, 0] += 1")
    answers = {"saliency_map": first, "gradient_times_input": borrowed, "smoothgrad": mutating}
    found = grade(answers, [helper])
    assert [c["state"] for c in found["saliency_map"]["cases"]] == ["right", "wrong", "wrong"]
    assert found["saliency_map"]["points"] == pytest.approx(1 / 3, abs=0.01)
    assert "saliency_map" in found["gradient_times_input"]["reason"]
    assert "write it yourself" in found["gradient_times_input"]["reason"]
    assert earned(found)["gradient_times_input"] == earned(found)["smoothgrad"] == 0


# ------------------------------------------------------------------ dishonest values

AGREEING = """
def saliency_map(model, x, classes):
    class Agreeing(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function in (torch.allclose, torch.equal, torch.Tensor.__eq__, torch.isclose):
                return True
            return super().__torch_function__(function, types, args, kwargs or {})
        def __eq__(self, other): return True
        def __sub__(self, other): return self * 0
    return torch.zeros(len(x), *x.shape[2:]).as_subclass(Agreeing)
"""
HUGE = """
def gradient_times_input(model, x, classes):
    return torch.zeros(100_000_000)
"""
PICKLED = """
def smoothgrad(model, x, classes, noise):
    class Bomb:
        def __reduce__(self): return (eval, ("__import__('os').system('touch /tmp/pwned')",))
    return [Bomb(), lambda: 0, (i for i in range(3))]
"""


@pytest.mark.slow
def test_dishonest_values(grade):
    answers = {"saliency_map": AGREEING, "gradient_times_input": HUGE, "smoothgrad": PICKLED}
    found = grade(answers)
    assert earned(found) == dict.fromkeys(answers, 0)
    assert "Every value of your map is 0" in found["saliency_map"]["reason"]
    assert "MiB" in found["gradient_times_input"]["reason"]
    assert not Path("/tmp/pwned").exists()


# ------------------------------------------------------------------ dishonest surroundings

PATCHES = """
import builtins, sys, types, torch, numpy, json
def always(*args, **kwargs): return True
try:
    pass
finally:
    import math
patched = [setattr(module, name, always) for module, name in [
    (torch, "allclose"), (torch, "equal"), (torch, "isclose"), (torch.Tensor, "equal"),
    (torch.Tensor, "__eq__"), (torch.Tensor, "__le__"), (numpy, "allclose"), (builtins, "all"),
]]
replaced = [sys.modules.__setitem__(f"course_utils.exercises.{name}", types.ModuleType(name))
            for name in ("judging", "comparing", "core")]
"""
PATCHED = {
    "saliency_map": """
def saliency_map(model, x, classes):
    patched, replaced
    return torch.zeros(len(x), *x.shape[2:])
""",
    "gradient_times_input": """
def gradient_times_input(model, x, classes):
    import course_utils.checking.running as running, course_utils.grading.sandboxed.wire as wire
    running.equal = wire.equal = lambda *a: True
    model.features.conv1.weight.data.zero_()
    type(model).forward = lambda self, x: x.flatten(1)[:, :5] * 0
    return torch.zeros(len(x), *x.shape[2:])
""",
    "smoothgrad": """
def smoothgrad(model, x, classes, noise):
    import ast, builtins
    ast.parse = builtins.compile = builtins.abs = builtins.max = lambda *a, **k: 0
    class Right(float):
        def __le__(self, other): return True
    return Right(0)
""",
}


@pytest.mark.slow
def test_patching_the_interpreter_changes_nothing_outside(grade):
    assert earned(grade(PATCHED, [PATCHES])) == dict.fromkeys(PATCHED, 0)


SEARCH = """
import os
def seen(*words):
    found = []
    for top, folders, files in os.walk("/"):
        if top == "/":
            folders[:] = [f for f in folders if f not in ("proc", "sys", "usr")]
        if top.endswith("site-packages"):
            folders[:] = [f for f in folders if f == "course_utils"]
        if "/lib/python" not in top:
            found += [os.path.join(top, f) for f in files if any(w in f for w in words)]
    return found
def tell(*words): os.write(2, (" ".join(map(str, words)) + "\\n").encode())
"""
READING = {
    "saliency_map": """
def saliency_map(model, x, classes):
    tell("FILES", seen("saliency.py", "saliency.cpython", ".ipynb", "judg"), len(seen("wire")))
    tell("HOME", [p for p in HIDDEN if os.path.exists(p)])
    import importlib
    module = importlib.import_module("course_utils.saliency")
    return module.saliency_map(model, x, classes)
""",
    "gradient_times_input": """
def gradient_times_input(model, x, classes):
    import gc, sys, __main__
    things = [f for f in gc.get_objects() if callable(f)]
    hits = [f for f in things if getattr(f, "__name__", "") in ("gradient_times_input", "grade")
            and getattr(f, "__module__", "") != "exercise"]
    frame, names = sys._getframe(), []
    while frame:
        names += [n for n in [*frame.f_locals, *frame.f_globals] if "seed" in n or "target" in n
                  or "reference" in n]
        frame = frame.f_back
    tell("MEMORY", hits, sorted(set(names)), [n for n in vars(__main__) if "refer" in n])
    return hits[0](model, x, classes) if hits else None
""",
    "smoothgrad": """
def smoothgrad(model, x, classes, noise):
    import socket, subprocess
    tell("USER", os.getuid() != 0, len([p for p in os.listdir("/proc") if p.isdigit()]) < 5)
    for what in (lambda: socket.create_connection(("1.1.1.1", 53), 1),
                 lambda: open("/course/mine", "w"), lambda: open("/usr/mine", "w"),
                 lambda: os.setuid(0), lambda: os.kill(1, 9),
                 lambda: open("/tmp/big", "wb").write(bytes(40 << 20))):
        try:
            what()
            tell("DONE")
        except OSError as error:
            tell("REFUSED", type(error).__name__)
    tell("NETWORK", open("/proc/net/dev").read().count(":"))
    from course_utils.exercises import get
    return get("smoothgrad").reference(model, x, classes, noise)
""",
}


@pytest.fixture(scope="module")
def reading(grade):
    root, home = paths.root(), Path.home()
    hidden = [root / "pyproject.toml", root / "course_utils" / "saliency.py", home / ".profile"]
    hidden = [str(p) for p in (*hidden, Path("/etc/passwd"), Path("/home"), Path(__file__))]
    return grade(READING, [SEARCH, f"HIDDEN = {hidden}"])


@pytest.mark.slow
def test_no_reference_is_to_be_found(reading):
    assert earned(reading) == dict.fromkeys(READING, 0)
    assert "FILES [] 1" in reading["printed"]
    assert "MEMORY [] [] []" in reading["printed"]
    assert "not available here" in reading["saliency_map"]["reason"]


def test_no_home_no_network_no_writing(reading):
    assert "HOME []" in reading["printed"]
    assert "USER True True" in reading["printed"]
    assert "NETWORK 1" in reading["printed"]  # its own loopback
    # A signal to the namespace's first process is accepted and has no effect, or is refused.
    assert reading["printed"].count("REFUSED") >= 5


# ------------------------------------------------------------------ the wire, the end, the time

SABOTAGE = {
    "saliency_map": """
def saliency_map(model, x, classes):
    import json, os, struct
    text = json.dumps({"kind": "answer", "fields": {"dict": [["number", 3], ["value", True]]}})
    frame = struct.pack("<4sIQ", b"CWR1", len(text), 0) + text.encode()
    for number in range(3, 256):
        try:
            os.write(number, frame * 3)
        except OSError:
            pass
    return torch.zeros(len(x), *x.shape[2:])
""",
    "gradient_times_input": """
def gradient_times_input(model, x, classes):
    import os
    os._exit(0)
""",
    "smoothgrad": RIGHT["smoothgrad"],
}


@pytest.mark.slow
def test_a_lost_worker_costs_only_its_own_exercise(grade):
    found = grade(SABOTAGE)
    assert earned(found) == {"saliency_map": 0, "gradient_times_input": 0, "smoothgrad": FULL}
    assert "instead of an answer" in found["saliency_map"]["reason"]
    assert "exit code 0" in found["gradient_times_input"]["reason"]


HANGING = {
    "saliency_map": """
def saliency_map(model, x, classes):
    while True:
        try:
            print("again")
        except BaseException:
            pass
""",
    "gradient_times_input": """
def gradient_times_input(model, x, classes):
    import os, signal
    os.kill(os.getpid(), signal.SIGSTOP)
""",
    "smoothgrad": """
def smoothgrad(model, x, classes, noise):
    import os
    for number in range(3, 256):
        try:
            os.set_blocking(number, True)
            while True: os.write(number, b"CWR1" + bytes(11) + b"\\x00")
        except OSError:
            pass
""",
}


@pytest.mark.slow
def test_what_hangs_is_stopped_in_time(grade):
    began = time.monotonic()
    found = grade(HANGING, limits=replace(LIMITS, call=1.0))
    assert earned(found) == dict.fromkeys(HANGING, 0)
    assert "1 seconds" in found["saliency_map"]["reason"]
    assert "1 seconds" in found["gradient_times_input"]["reason"]
    assert time.monotonic() - began < LIMITS.total


BOMBS = {
    "saliency_map": """
def saliency_map(model, x, classes):
    return [bytearray(64 << 20) for _ in range(1000)]
""",
    "gradient_times_input": """
def gradient_times_input(model, x, classes):
    import os, time
    while True:
        if os.fork() == 0:
            hoard = [b"%d" % i * (8 << 20) for i in range(40)]
            time.sleep(60)
""",
    "smoothgrad": """
def smoothgrad(model, x, classes, noise):
    import os, signal, subprocess
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "98765.25"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "98765.25"])
        os._exit(0)
"""
    + "\n".join(RIGHT["smoothgrad"].strip().splitlines()[1:]),
}


@pytest.mark.slow
def test_bombs_and_what_stays_behind(grade):
    found = grade(BOMBS, limits=replace(LIMITS, together=3 << 29))
    points = earned(found)
    assert points["saliency_map"] == points["gradient_times_input"] == 0
    assert points["smoothgrad"] == FULL  # a right answer; its children end with the worker
    assert "MemoryError" in found["saliency_map"]["reason"]
    assert found["peak_memory_mib"] < 3000
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "98765.25" not in listed


@pytest.mark.slow
def test_code_that_ends_the_reader_ends_nothing_else(grade):
    nested = "def saliency_map(model, x, classes):\n    return " + "-" * 100_000 + "1"
    deep = "def smoothgrad(model, x, classes, noise):\n    return " + "(" * 5000 + ")" * 5000
    answers = {"saliency_map": nested, "smoothgrad": deep}
    found = grade({**answers, "gradient_times_input": RIGHT["gradient_times_input"]})
    assert found["state"] == "graded"
    assert found["saliency_map"]["points"] == found["smoothgrad"]["points"] == 0
