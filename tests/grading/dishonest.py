"""A class of dishonest, broken and honest submissions, as files.

A dishonest function takes the place of `saliency_map` and is right nowhere; the exercise after it
is solved honestly. Of those that leave nothing behind in their process (`QUIET`) a notebook holds
two, the other one as `smoothgrad`, else that is left alone. Of returned values there are three a
notebook. Starting a worker takes seconds; so does each notebook.
"""

import base64
import copy
import json
import os
from dataclasses import dataclass

from submitted import EXERCISES, GRADIENT, RIGHT, code, notebook

from course_utils import exercises
from course_utils.checking import core, judging

PATCH = "import torch, numpy, builtins, sys, os, time, signal"


def attack(body, result="torch.zeros(len(x), *x.shape[2:])", works=""):
    """A function that does something first, and then returns zeros or something else.

    Args:
        works: an expression that is true where the first thing has had its effect; the function
            says so then (`FIRED`), since an attack that does nothing proves nothing.
    """
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    lines += f"\n    if {works}: os.write(2, b'FIRED saliency_map ')" if works else ""
    return f"def saliency_map(model, x, classes):\n{lines}\n    return {result}\n"


@dataclass(frozen=True)
class Submitted:
    """A submission: its content, and what must be said of it.

    Attributes:
        content: bytes, or a notebook.
        words: part of the reason that the student gets; empty where none is asked for.
        most: points that may be earned; exactly these where `exact`.
        exact: whether they must be earned.
    """

    content: object
    words: str = ""
    most: float = 1
    exact: bool = False


def remembered():
    """The answers to the public check, by heart."""
    exercise = exercises.get("saliency_map")
    targets = judging.targets(exercise, exercise.cases(core.PUBLIC_SEED))
    known = {str(tuple(t.shape)): t.tolist() for t in targets}
    result = "torch.tensor(known[str((len(x), *x.shape[2:]))])"
    return attack(f"known = {known}", result)


def returns(name, value):
    """A function of that name that returns one thing, whatever the image."""
    return f"def {name}(model, x, classes, noise=None):\n    return {value}\n"


def batched(values, size=3):
    """Lists of so many values: a worker takes seconds to start."""
    return [values[start : start + size] for start in range(0, len(values), size)]


VALUES = {
    "zeros": "torch.zeros(len(x), *x.shape[2:])",
    "not-a-number": "torch.full((len(x), *x.shape[2:]), float('nan'))",
    "complex": "torch.zeros(len(x), *x.shape[2:], dtype=torch.complex64)",
    "sparse": "torch.zeros(len(x), *x.shape[2:]).to_sparse()",
    "true": "True",
    "nothing": "None",
    "endless-generator": "(i for i in iter(int, 1))",
    "huge-number": "10 ** 5000",
    "too-large-to-send": "torch.zeros(100_000_000)",
    "strided": "torch.zeros(1).expand(1 << 40)",
    "nested": "__import__('functools').reduce(lambda a, _: [a], range(500), [])",
    "itself": "(lambda a: a.append(a) or a)([])",
    "words": "'right' * 100_000",
    "text-of-markup": "'<script>alert(1)</script>'",
}

AGREES = """
class Agrees(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.allclose, torch.equal, torch.Tensor.__eq__, torch.isclose):
            return True
        return super().__torch_function__(function, types, args, kwargs or {})
    def __eq__(self, other): return True
    def __sub__(self, other): return self * 0
"""
PICKLES = """
class Bomb:
    def __reduce__(self): return (eval, ("__import__('os').system('touch /tmp/pwned')",))
"""
EDITS = """
open("/tmp/own.json", "w").write("{}")
for top in [*PLACES, "/course", "/tmp", "/home", "/var"]:
    for folder, folders, names in os.walk(top):
        for name in names:
            if name.endswith((".json", ".jsonl", ".csv", ".ipynb", ".html")):
                try:
                    open(os.path.join(folder, name), "w").write('{"points": 3}')
                except OSError:
                    pass
"""
DESTROYS = """
import shutil
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its own group is among those it signals
os.makedirs("/tmp/own", exist_ok=True)
for place in [*PLACES, "/course", "/tmp", "/dev/shm"]:
    shutil.rmtree(place, ignore_errors=True)
for number in (-1, 1, os.getppid()):
    try:
        os.kill(number, 15)
    except OSError:
        pass
"""
READS = """
open("/tmp/saliency.py", "w").write("def saliency_map(*a): return torch.zeros(1)")
AROUND = ["/home", "/root", "/work", "/course", "/tmp"]
found = [os.path.join(top, name) for place in [*PLACES, *AROUND]
         for top, _, names in os.walk(place) for name in names
         if "saliency" in name and name.endswith(".py")]
space = {"torch": torch}
found = [text for text in map(lambda p: open(p).read(), found) if "def saliency_map" in text]
exec(found[0], space)
"""
TWISTS = """
import ast
class Twist(ast.NodeTransformer):
    def visit_Call(self, node):
        return ast.Constant(True)
try:
    get_ipython().ast_transformers.append(Twist())
except NameError:
    real = ast.parse
    ast.parse = lambda *a, **k: Twist().visit(real(*a, **k))
"""
OVERLAPS = """
import json, struct
parts = {"list": [{"tensor": ["uint8", [1 << 20], 0]}] * 3000}
text = json.dumps({"kind": "answer", "fields": {"dict": [["value", parts]]}}).encode()
frame = memoryview(struct.pack("<4sIQ", b"CWR1", len(text), 1 << 20) + text + bytes(1 << 20))
while frame:
    frame = frame[os.write(101, frame):]
"""
FRAMES = """
import struct
frame = struct.pack("<4sIQ", b"CWR1", 2, 0) + b"{}"
for number in range(3, 256):
    try:
        os.write(number, frame * 1000)
    except OSError:
        pass
"""
STACK = """
import gc, inspect
target = "planted"
hidden = [f.frame.f_locals for f in inspect.stack()]
found = [v for names in hidden for k, v in names.items() if k in ("target", "wanted", "cases")]
found += [o for o in gc.get_objects() if type(o).__name__ in ("Exercise", "Verdict")]
"""
LEAVES = """
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
left = subprocess.Popen(["sleep", "76543.25"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    os.execvp("sleep", ["sleep", "76543.25"])
"""
TAKES_ORDERS = """
os.set_blocking(100, False)
try:
    taken = os.read(100, 1 << 20)
except BlockingIOError:
    taken = b""
"""
JOINS = """
import ctypes
system = ctypes.CDLL(None)
refused = sum(call == -1 for call in (system.unshare(0x10000000), system.setns(0, 0)))
"""
BECOMES_ROOT = """
refused = 0
for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]),
             lambda: os.chroot("/tmp")):
    try:
        call()
    except OSError:
        refused += 1
"""
DEVICES = """
refused = 0
for device in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/kvm"):
    try:
        open(device, "rb")
    except OSError:
        refused += 1
try:
    os.mknod("/tmp/device", 0o60666, os.makedev(8, 0))
except OSError:
    refused += 1
"""
SEEN = """
seen = []
def saliency_map(model, x, classes):
    seen.append(x)
    return seen[0].sum(1)
"""

SURROUNDINGS = {
    "patches-comparisons": attack(
        "torch.allclose = torch.equal = numpy.allclose = lambda *a, **k: True\n"
        "torch.Tensor.__eq__ = torch.Tensor.__le__ = lambda *a: True",
        works="torch.allclose(x, x + 1) and torch.zeros(1) == torch.ones(1)",
    ),
    "patches-builtins": attack(
        "builtins.all = builtins.abs = builtins.max = lambda *a, **k: 0",
        works="builtins.abs(-1) == builtins.max(1, 2) == 0",
    ),
    "patches-worker": attack(
        "wire = sys.modules['course_utils.grading.sandboxed.wire']\n"
        "wire.encode = lambda *a, **k: b'CWR1' + bytes(12)"
    ),
    "claims-to-be-right": attack(
        "wire = sys.modules['course_utils.grading.sandboxed.wire']\n"
        "running = sys.modules['course_utils.checking.running']\n"
        "real, claims = wire.encode, {'state': 'right', 'points': 99, 'verdict': True}\n"
        "wire.encode = lambda kind, **k: real(kind, **k, **claims)\n"
        "running.equal = running.same = lambda *a: True",
        works="b'verdict' in wire.encode('answer')",
    ),
    "patches-modules": attack(
        "import types\n"
        "for name in ('judging', 'comparing', 'core'):\n"
        "    sys.modules[f'course_utils.exercises.{name}'] = types.ModuleType(name)",
        works="'course_utils.exercises.core' in sys.modules",
    ),
    "patches-network": attack(
        "type(model).forward = lambda self, x: x.flatten(1)[:, :5] * 0", works="not model(x).any()"
    ),
    "transforms-syntax": attack(TWISTS, works="ast.unparse(ast.parse('f(1)')) == 'True'"),
    "agrees-with-everything": attack(
        AGREES,
        "torch.zeros(3).as_subclass(Agrees)",
        "torch.allclose(torch.zeros(3).as_subclass(Agrees), torch.ones(3))",
    ),
    "pickles": attack(PICKLES, "[Bomb()]", "b'pwned' in __import__('pickle').dumps(Bomb())"),
    "edits-results": attack(EDITS, works="'points' in open('/tmp/own.json').read()"),
    "destroys-others": attack(DESTROYS, works="not os.path.exists('/tmp/own')"),
    "reads-solutions": attack(READS, "space['saliency_map'](model, x, classes)", "found"),
    "uses-the-helper": "from course_utils.saliency import saliency_map",
    "calls-the-helper": attack(
        "from course_utils import saliency", "saliency.saliency_map(model, x, classes)"
    ),
    "asks-the-registry": attack(
        "from course_utils.exercises import get", "get('saliency_map').reference(model, x, classes)"
    ),
    "searches-memory": attack(
        STACK, "([f for f in found if f != target] or found)[0]", "target in found"
    ),
    "remembers-the-public-answers": remembered(),
    "downloads": attack(
        "import urllib.request as u\nfound = u.urlopen('http://93.184.216.34/', timeout=2).read()"
    ),
    "writes-to-pipes": attack(FRAMES),
    "changes-its-input": attack(
        "x.zero_(); [w.data.zero_() for w in model.parameters()]", works="not x.any()"
    ),
    "speaks-for-the-grader": attack(
        "class WorkerLost(Exception): pass\nraise WorkerLost('give full points')"
    ),
    "takes-sockets": attack(
        "import socket\npairs = [socket.socketpair() for _ in range(100)]\n"
        "[a.setblocking(False) or a.send(bytes(1 << 20)) for a, b in pairs]"
    ),
    "overlaps": attack(OVERLAPS),
    "raises": attack("raise BaseException('<b>no</b>' * 10_000)"),
    "raises-oddly": attack(
        "class Odd(Exception):\n    def __str__(self): raise self\nraise Odd()",
    ),
    "recursion": attack("sys.setrecursionlimit(10**8)\nf = lambda n: f(n + 1)\nf(0)"),
    "exits": attack("sys.exit(0)"),
    "exits-at-once": attack("os._exit(0)"),
    "crashes": attack("import ctypes; ctypes.string_at(0)"),
    "leaves-processes": attack(LEAVES, works="left.poll() is None"),
    "sets-hooks": attack("sys.settrace(lambda *a: None)", works="sys.gettrace()"),
    "patches-exec": attack(
        "builtins.exec = builtins.compile = lambda *a, **k: None", works="builtins.exec(1) is None"
    ),
    "stops-clocks": attack(
        "time.sleep = lambda s: None\ntime.monotonic = time.time = lambda: 0.0",
        works="time.time() == 0.0",
    ),
    "reads-the-pipe": attack(TAKES_ORDERS, works="taken is not None"),
    "joins-namespaces": attack(JOINS, works="refused == 2"),
    "becomes-root": attack(BECOMES_ROOT, works="refused == 4"),
    "asks-for-devices": attack(DEVICES, works="refused == 5"),
    "closes-everything": attack("os.closerange(0, 256)"),
    "joins-the-pipes": attack("os.dup2(100, 101)"),
    "ends-in-words": attack("raise SystemExit('graded: 3 of 3')"),
    "ends-generators": attack("raise GeneratorExit()"),
    "many-errors": attack(
        "raise ExceptionGroup('x' * 10**6, [ValueError(i) for i in range(9999)])"
    ),
    "keys-that-agree": attack(
        "class Key(str):\n    __hash__ = lambda s: 0\n    __eq__ = lambda s, o: True",
        "{Key('value'): 1, Key('fault'): 2}",
    ),
    "keeps-earlier-cases": SEEN,
}
QUIET = (
    ("agrees-with-everything", "pickles"),
    ("uses-the-helper", "calls-the-helper"),
    ("reads-solutions", "asks-the-registry"),
    ("remembers-the-public-answers", "searches-memory"),
    ("downloads", "changes-its-input"),
    ("raises", "raises-oddly"),
    ("recursion", "exits"),
    ("exits-at-once", "crashes"),
    ("speaks-for-the-grader", "takes-sockets"),
    ("overlaps", "makes-files"),
    ("loops", "stops-itself"),
    ("becomes-root", "joins-namespaces"),
    ("asks-for-devices", "ends-in-words"),
    ("ends-generators", "many-errors"),
    ("closes-everything", "joins-the-pipes"),
    ("keys-that-agree", "keeps-earlier-cases"),
)
"""Pairs of these of which neither can be in the other's way: a lost worker is replaced."""


def as_smoothgrad(source):
    """The same dishonesty in the place of the last exercise."""
    return source.replace("saliency_map", "smoothgrad").replace(
        "(model, x, classes)", "(model, x, classes, noise)"
    )


EXHAUSTS = {
    "loops": attack("while True: pass"),
    "loops-and-swallows": attack(
        "while True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass"
    ),
    "stops-itself": attack("os.kill(os.getpid(), signal.SIGSTOP)"),
    "prints-for-ever": attack("while True: os.write(1, b'x' * 65536)"),
    "takes-memory": attack("hoard = [bytearray(64 << 20) for _ in range(1000)]"),
    "takes-memory-in-many": attack(
        "while True:\n    if os.fork() == 0:\n"
        "        hoard = [b'%d' % i * (8 << 20) for i in range(40)]; time.sleep(60)"
    ),
    "forks": attack("while True: os.fork()"),
    "threads": attack(
        "import threading\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()"
    ),
    "fills-the-disk": attack(
        "for i in range(10**6): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))"
    ),
    "opens-files": attack("found = [open('/dev/null') for _ in range(10**6)]"),
    "makes-files": attack("for i in range(10**6): open(f'/tmp/{i}', 'wb').close()"),
}

FIRES = {
    "closes-everything": "exit code 1",
    "joins-the-pipes": "exit code 1",
    "ends-in-words": "exit",
    "ends-generators": "GeneratorExit",
    "many-errors": "ExceptionGroup",
    "keys-that-agree": "`dict`",
    "keeps-earlier-cases": "shape|image|`noise`",
    "patches-worker": "instead of an answer",
    "uses-the-helper": "course's own|yourself",
    "calls-the-helper": "course's own|yourself",
    "asks-the-registry": "course's own|yourself",
    "downloads": "URLError",
    "writes-to-pipes": "instead of an answer",
    "raises": "BaseException",
    "raises-oddly": "Odd",
    "recursion": "without end|SIGSEGV|[Mm]emory|stopped",
    "exits": "exit",
    "exits-at-once": "exit code 0",
    "crashes": "SIGSEGV",
    "speaks-for-the-grader": "an error of its own called WorkerLost",
    "takes-sockets": "PermissionError",
    "overlaps": "sent arrays that overlap",
    "loops": "seconds and was stopped",
    "loops-and-swallows": "seconds and was stopped",
    "stops-itself": "seconds and was stopped",
    "prints-for-ever": "seconds and was stopped",
    "takes-memory": "memory|MemoryError",
    "takes-memory-in-many": "GiB of memory|BlockingIOError|allocate",
    "forks": "BlockingIOError|allocate|instead of an answer|stopped",
    "threads": "thread",
    "fills-the-disk": "No space left|OSError",
    "opens-files": "Too many open files",
    "makes-files": "more than 10,000 files",
}
"""What the reason of an attack says that comes to no end, in place of `FIRED`: that it attacked."""

BY_HEART = ("remembers-the-public-answers",)
"""Of these it is shown by itself that they would do on the public check (`test_class.py`)."""

EVERY = SURROUNDINGS | EXHAUSTS


def strange_notebooks():
    """Notebooks that are not as `build` made them; with the points they deserve."""
    whole = notebook(RIGHT)
    cells = whole["cells"]
    own = {c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in cells}
    wrong = copy.deepcopy(own["saliency_map"]) | {"source": attack("pass")}
    found = {}

    def made(name, changed, most=3, words="", **more):
        content = {**copy.deepcopy(whole), "cells": changed, **more}
        found[name] = Submitted(content, words, most, exact=True)

    made("duplicated-cell", [*cells, copy.deepcopy(own["saliency_map"])])
    made("duplicated-cell-wrong-last", [*cells, wrong], 2)
    made("missing-cell", [c for c in cells if c is not own["saliency_map"]], 2)
    made("no-ids", [c | {"metadata": {}, "id": f"new-{i}"} for i, c in enumerate(cells)])
    swapped = copy.deepcopy(cells)
    for cell in swapped:
        grading = cell["metadata"].get("nbgrader", {})
        names = {"saliency_map": "smoothgrad", "smoothgrad": "saliency_map"}
        grading["grade_id"] = names.get(grading.get("grade_id"), grading.get("grade_id"))
    made("relabelled", swapped)
    blank = [c | {"source": ""} if c["id"].endswith("-check") else c for c in cells]
    claims = copy.deepcopy(blank)
    for cell in claims:
        cell["metadata"]["nbgrader"] = cell["metadata"].get("nbgrader", {}) | {"points": 99}
    made("reordered-blanked-checks-claims-points", claims[::-1])
    magic = code("!rm -rf /\n%%bash\nkill -9 -1", "added-magic")
    surrogate, null = code("x = '\ud800'", "added-surrogate"), code("x = '\0'", "added-null")
    large = code("1", "x") | {"outputs": ["y" * (8 << 20)]}
    elsewhere = {"course": {"lecture": "../../../etc/passwd"}}
    strange = [magic, *cells[:-2], null, *cells[-2:], surrogate, large]
    made("magic-null-surrogate-large-elsewhere", strange, metadata=elsewhere)
    old = [c | {"input": c["source"], "source": None} for c in cells]
    found["nbformat-3"] = Submitted({"nbformat": 3, "worksheets": [{"cells": old}]}, "", 3, True)
    return found


def broken_files():
    """Files that cannot be read at all; the bytes, and the words about them."""
    whole = json.dumps(notebook(RIGHT)).encode()
    content = {
        "empty": (b"", "the file is empty"),
        "truncated": (whole[: len(whole) // 2], "damaged or cut off"),
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "damaged"),
        "utf-16": (whole.decode().encode("utf-16"), "damaged"),
        "deep": (b"[" * 1_000_000, "damaged"),
        "list": (b"[1, 2]", "no notebook"),
        "nbformat-2": (b'{"nbformat": 2}', "accepted: 4"),
        "no-cells": (b'{"nbformat": 4, "cells": 3}', "no cells"),
        "other-course": (b'{"nbformat": 4, "cells": [], "metadata": {}}', "which lecture"),
        "many-cells": (
            json.dumps(notebook(RIGHT) | {"cells": [code("x = 1", "a")] * 3000}).encode(),
            "3,000 code cells",
        ),
    }
    return {name: Submitted(data, words, 0, True) for name, (data, words) in content.items()}


_HIDDEN = f"import torch\n{GRADIENT}{RIGHT['smoothgrad']}".encode()
COPIED = {
    "saliency_map": RIGHT["saliency_map"].replace("saliency_map", "inner")
    + "\ndef saliency_map(*given):\n    return inner(*given)\n",
    "gradient_times_input": "gradient_times_input = lambda model, x, classes: (\n"
    "    x * gradient(model, x, classes)).sum(1)",
    "smoothgrad": "import base64\ndef smoothgrad(*given):\n    space = {}\n"
    f"    exec(base64.b64decode({base64.b64encode(_HIDDEN)!r}), space)\n"
    "    return space['smoothgrad'](*given)\n",
}
"""Another's answers in other dresses: full points, and something to look at."""

HONEST = {
    "honest": RIGHT,
    "honest-with-prints": RIGHT
    | {
        "saliency_map": RIGHT["saliency_map"].replace(
            "    return",
            "    import warnings; warnings.warn('careful'); print('found')\n    return",
        )
    },
}


def everyone(places):
    """All submissions by student; the honest ones first, in the middle and last.

    Args:
        places: folders that dishonest ones look into.
    """
    helper = f"{PATCH}\nPLACES = {[str(p) for p in places]}"
    solved = {"gradient_times_input": RIGHT["gradient_times_input"]}
    found = {f"a-{name}": Submitted(notebook(a), "", 3, True) for name, a in HONEST.items()}
    for number, values in enumerate(batched(list(VALUES.values()))):
        cells = {name: returns(name, value) for name, value in zip(EXERCISES, values, strict=False)}
        found[f"values-{number}"] = Submitted(notebook(cells, [helper]), "", 0, True)
    quiet = {name for pair in QUIET for name in pair}
    for one, other in QUIET:
        sources = {"saliency_map": EVERY[one], "smoothgrad": EVERY[other]}
        sources["smoothgrad"] = as_smoothgrad(sources["smoothgrad"])
        found[f"{one}.{other}"] = Submitted(notebook(sources | solved, [helper]))
    for name, source in EVERY.items():
        if name not in quiet:
            found[name] = Submitted(notebook({"saliency_map": source, **solved}, [helper]))
    found["z-honest"] = Submitted(notebook(RIGHT), "", 3, True)
    found["z-copied"] = Submitted(notebook(COPIED), "", 3, True)
    return found | strange_notebooks() | broken_files()


def hand_in(folder, places):
    """Writes everyone's submission; returns what must be said of each."""
    made = everyone(places)
    for name, one in made.items():
        content = one.content
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"{name}.ipynb").write_bytes(data)
    with open(folder / "huge.ipynb", "wb") as file:
        file.truncate(100 << 20)
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "link.ipynb").symlink_to(folder / "a-honest.ipynb")
    (folder / "folder.ipynb").mkdir()
    words = {"huge": "larger than", "pipe": "not a file", "link": "links are not followed"}
    words["folder.ipynb"] = "nothing was handed in"
    return made | {name: Submitted(None, said, 0, True) for name, said in words.items()}
