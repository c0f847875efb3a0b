"""Running a student's function on cases: alone, watched, and stopped when it does not return."""

import _thread
import ast
import contextlib
import ctypes
import importlib.util
import io
import linecache
import numbers
import os
import signal
import sys
import sysconfig
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checking import networks
from course_utils.checking.core import Case, Fault, NetworkSpec, Opaque, Outcome, theirs
from course_utils.checking.sources import Pieces

FILE = "<your code>"
OPEN = ("models", "images", "layers")
"""Modules of the course that an exercise may use; the others hold what is to be written."""

CLOSED = {"capture_layer": {"layers": ("activations", "capture", "forward_until")}}
"""Functions of open modules that do what one exercise asks for, so that it may not call them."""

LINE = 500  # characters kept of the student's line that an error is in
PRINTED = 2000  # characters kept of what a function writes to the screen


class ClosedHelper(Exception):
    """A helper of the course was called in an exercise."""


def answers(pieces: Pieces, cases: Sequence[Case], seconds: float | None = None) -> list[Outcome]:
    """What the function gives for each case, in a clean namespace.

    Args:
        pieces: its code, from `sources.assemble`.
        cases: the arguments.
        seconds: for all cases together; after that the rest are `TimeLimit` faults.

    Returns:
        One outcome a case; never an exception, except the user's own KeyboardInterrupt.
    """
    if pieces.fault or not pieces.source:
        fault = pieces.fault or Fault("NameError", "not defined", name=pieces.name)
        return [Outcome(fault=fault)] * len(cases)
    linecache.cache[FILE] = (len(pieces.source), None, pieces.source.splitlines(True), FILE)
    function: list[Callable] = []
    outcomes: list[Outcome] = []
    with limited(seconds) as stopped:
        fault = _guarded(lambda: function.append(namespace(pieces)[pieces.name]))[1]
        if fault is None:
            for case in cases:
                outcomes.append(run(function[0], case))
                if stopped():
                    break
    if stopped():
        fault = Fault("TimeLimit", f"{seconds:g}")
        outcomes = outcomes[: len(cases) - 1]
    return outcomes + [Outcome(fault=fault)] * (len(cases) - len(outcomes))


def answers_of(
    function: Callable, cases: Sequence[Case], seconds: float | None = None
) -> list[Outcome]:
    """As `answers`, for a live function with whatever namespace it has."""
    outcomes: list[Outcome] = []
    with limited(seconds) as stopped:
        for case in cases:
            outcomes.append(run(function, case))
            if stopped():
                break
    if stopped():
        outcomes = outcomes[: len(cases) - 1]
    fault = Fault("TimeLimit", f"{seconds or 0:g}")
    return outcomes + [Outcome(fault=fault)] * (len(cases) - len(outcomes))


# ------------------------------------------------------------------ a clean namespace


def namespace(pieces: Pieces) -> dict[str, object]:
    """Runs the pieces on their own; the names they define.

    Raises:
        Exception: whatever the code raises.
    """
    builtins = dict(vars(importlib.import_module("builtins")))
    load = partial(_import, CLOSED.get(pieces.name, {}))
    builtins |= {"__import__": load, "display": lambda *args, **kwargs: None}
    module = types.ModuleType("exercise")
    module.__dict__.update({"__builtins__": builtins})
    sys.modules["exercise"] = module  # dataclasses look there for what annotations mean
    with open_sandbox():
        exec(compile(_in_notebook(pieces.source), FILE, "exec"), module.__dict__)
    return module.__dict__


def _in_notebook(source: str) -> str | ast.AST:
    """With what is so in a notebook only: `__name__ == "__main__"` holds."""
    if "__main__" not in source:
        return source
    return _Main().visit(ast.parse(source, FILE))


class _Main(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        asked = ast.unparse(node) == "__name__ == '__main__'"
        return ast.copy_location(ast.Constant(True), node) if asked else node


class _Closed(types.ModuleType):
    """Stands for a module of the course that an exercise may not use."""

    __all__ = ()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _closed(f"{self.__name__.removeprefix('course_utils.')}.{name}")


class _Course(types.ModuleType):
    """The package `course_utils`, with most of its modules closed."""

    def __init__(self, closed: dict[str, tuple[str, ...]]) -> None:
        super().__init__("course_utils")
        self.__dict__["__closed"] = closed

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"course_utils.{name}"
        if name not in OPEN:
            return _Closed(full)
        module = importlib.import_module(full)
        closed = self.__dict__["__closed"].get(name, ())
        return _partly(module, closed) if closed else module


def _partly(module: types.ModuleType, closed: tuple[str, ...]) -> types.ModuleType:
    """A module without some of its functions."""
    copy = types.ModuleType(module.__name__, module.__doc__)
    kept = {k: v for k, v in vars(module).items() if k not in closed}
    vars(copy).update(kept | {name: _closed(f"{module.__name__[13:]}.{name}") for name in closed})
    return copy


def _closed(path: str) -> Callable:
    def closed(*args: object, **kwargs: object) -> None:
        raise ClosedHelper(path)

    return closed


def _import(closed, name, globals=None, locals=None, fromlist=(), level=0):
    if level or name.split(".")[0] != "course_utils":
        if not level and _is_own_file(name.split(".")[0]):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return __import__(name, globals, locals, fromlist, level)
    package = _Course(closed)
    module = name.split(".")[1:2]
    return getattr(package, module[0]) if fromlist and module else package


@cache
def _is_own_file(name: str) -> bool:
    """Whether a module is a file of the user's, and so none where the answer is graded."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    files = [Path(place).resolve() for place in places if place and Path(place).exists()]
    python = [*(sysconfig.get_path(n) for n in ("stdlib", "platstdlib")), Path(os.__file__).parent]
    libraries = {Path(folder).resolve() for folder in (*python, Path(sys.base_prefix, "DLLs"))}
    return bool(files) and not any(
        libraries & set(file.parents) or {"site-packages", "dist-packages"} & set(file.parts)
        for file in files
    )


# ------------------------------------------------------------------ one call


def run(function: Callable, case: Case) -> Outcome:
    """Calls the function on one case; with `case.repeat` a second time on the same arguments.

    Args:
        function: takes the arguments by position.
        case: its arguments; tensors are copied and networks made for this call.

    Returns:
        The outcome, never an exception, except KeyboardInterrupt.
    """
    args = {name: made(value) for name, value in case.args.items()}
    before = {name: state(value) for name, value in args.items()}
    printed, again, slopes = io.StringIO(), None, None
    with open_sandbox(printed):
        found, fault = _guarded(lambda: function(*args.values()), function)
        value, fault = (None, fault) if fault else _guarded(lambda: plain(found))
        traces = [t for name in args for t in _traces(name, before[name], args[name])]
        if case.repeat and fault is None:
            again, late = _guarded(lambda: plain(function(*args.values())), function)
            # What was left behind is the reason why the second call fails: it is told, not that.
            fault = None if any(kind != "gradient" for kind, _ in traces) else late
        if case.slopes and fault is None:
            slopes, cut = _guarded(lambda: gradients(function, case), function)
            slopes = cut or slopes
    screen = printed.getvalue()[:PRINTED]
    strange = bool(_guarded(lambda: foreign(found))[0])  # a list may hold itself
    return Outcome(value, fault, tuple(traces), screen, again, slopes, strange)


def gradients(function: Callable, case: Case) -> dict[str, object] | None:
    """The gradient of the result by each argument of `case.slopes`, as data.

    Returns:
        By name a tensor, or a dict of them; zeros by what the result does not hang on. None where
        the result is no number that can be differentiated.
    """
    args = {name: made(value) for name, value in case.args.items()}
    leaves = {name: _each(args[name], Tensor.requires_grad_) for name in case.slopes}
    # A descent hands on what it made of its pixels, never the pixels themselves.
    hung = args | {name: _each(part, lambda leaf: leaf * 1) for name, part in leaves.items()}
    value = function(*hung.values())
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        return None
    value.sum().backward()
    return {name: _each(part, _slope) for name, part in leaves.items()}


def _each(value: object, change: Callable) -> object:
    """A tensor, or each tensor of a dict, changed."""
    many = isinstance(value, dict)
    return {key: change(part) for key, part in value.items()} if many else change(value)


def _slope(leaf: Tensor) -> object:
    return plain(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)


def foreign(value: object) -> bool:
    """Whether a result holds NumPy arrays, doubles, or tensors that hang on a graph."""
    if isinstance(value, list | tuple | dict):
        return any(map(foreign, value.values() if isinstance(value, dict) else value))
    if isinstance(value, Tensor):
        return value.dtype == torch.float64 or value.requires_grad
    return isinstance(value, np.ndarray | np.generic)


@contextlib.contextmanager
def open_sandbox(printed: io.StringIO | None = None) -> Iterator[None]:
    """Nothing on the screen, no warnings, and torch's global settings as they were after it."""
    quiet = io.StringIO() if printed is None else printed
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(quiet))
        # Progress bars and warnings go to stderr, which nbgrader takes for a failure.
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.enable_grad())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` looks for every accelerator
        yield


def made(value: object) -> object:
    """An argument as the function gets it: its own copy, a specification as a network."""
    if isinstance(value, NetworkSpec):
        return networks.build(value)
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: made(part) for key, part in value.items()}
    return [made(part) for part in value] if isinstance(value, list) else value


STATES = ("input", "layers", "forward", "hook", "mode", "precision", "frozen", "weights")
"""What an argument must still be after the call, the most telling first; and "gradient"."""


def state(value: object) -> dict[str, object]:
    """What an argument must still be after the call, by kind (`STATES`)."""
    if isinstance(value, Tensor):
        return {"input": value.detach().clone()}
    if not isinstance(value, nn.Module):
        return {"input": plain(value)} if isinstance(value, list | dict) else {}
    parts, weights = list(value.named_modules()), value.state_dict()
    return {
        "layers": [(name, _Same(part), part.extra_repr()) for name, part in parts],
        "forward": [(vars(part).get("forward"), type(part).forward) for _, part in parts],
        "hook": sum(len(h) for _, part in parts for h in _hooks(part)),
        "mode": [part.training for _, part in parts],
        "precision": [w.dtype for w in weights.values()],
        "frozen": [w.requires_grad for w in value.parameters()],
        # In double, which holds every single: another precision is not another weight.
        "weights": [w.detach().double() for w in weights.values()],
    }


class _Same:
    """Equal to another of its kind only where both hold the very same object."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held

    __hash__ = None


def same(one: object, other: object) -> bool:
    """Whether two arguments are equal, tensors within lists and dictionaries included."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def _hooks(part: nn.Module) -> list[dict]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [getattr(part, kind, {}) for kind in kinds]


def _traces(name: str, before: dict, value: object) -> list[tuple[str, str]]:
    """What a call left behind on an argument: pairs (kind, argument)."""
    after, found = state(value), []
    if isinstance(value, Tensor):
        found += [] if same(before["input"], after["input"]) else ["input"]
        found += ["gradient"] if value.grad is not None else []
    elif isinstance(value, nn.Module):
        found += [kind for kind in STATES if not same(before.get(kind), after.get(kind))]
        found += ["gradient"] if any(w.grad is not None for w in value.parameters()) else []
    elif not same(before, after):
        found.append("input")
    return [(kind, name) for kind in found]


def _guarded(call: Callable, function: Callable | None = None) -> tuple[object, Fault | None]:
    """The value of a call, or what went wrong in it."""
    try:
        return call(), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, fault_of(error, function)


def fault_of(error: BaseException, function: Callable | None = None) -> Fault:
    """What went wrong, with the student's own line."""
    files = {FILE, getattr(getattr(function, "__code__", None), "co_filename", FILE)}
    line, inside, trace = "", "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in files:
            line = linecache.getline(code.co_filename, trace.tb_lineno).strip()[:LINE]
            inside = code.co_name
        trace = trace.tb_next
    try:
        message = str(error)
    except Exception:  # an exception of the student's own whose text fails
        message = ""
    name = getattr(error, "name", None) if isinstance(error, NameError | ImportError) else inside
    name = message if isinstance(error, ClosedHelper) else name
    return Fault(theirs(type(error).__name__), message[:500], line, name or "")


def plain(value: object, depth: int = 0) -> object:
    """A result as data: tensors detached and on the CPU, anything that is no data as `Opaque`."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().as_subclass(Tensor)
        return (value.to_dense() if value.is_sparse else value).clone()
    if isinstance(value, np.ndarray | np.generic):
        numeric = value.dtype.kind in "biufc"
        return torch.from_numpy(np.array(value)) if numeric else Opaque(f"{value.dtype} array")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Number):
        return value
    if depth < 8 and isinstance(value, list | tuple):
        return [plain(part, depth + 1) for part in value[:10_000]]
    if depth < 8 and isinstance(value, dict):
        return {str(k): plain(part, depth + 1) for k, part in value.items()}
    return Opaque(type(value).__name__)


# ------------------------------------------------------------------ a limit on the time


@contextlib.contextmanager
def limited(seconds: float | None) -> Iterator[Callable[[], bool]]:
    """Stops what runs inside the block after so many seconds, on every system.

    Yields:
        A function that says whether the time was up. The KeyboardInterrupt with which the block is
        stopped ends with it; one that the user sends goes on as ever.
    """
    clock = _Clock()
    if not seconds or seconds <= 0:
        yield lambda: False
        return
    with _interruptible():
        timer = threading.Thread(target=clock.wait, args=(seconds,), daemon=True)
        timer.start()
        try:
            yield lambda: clock.up
        except KeyboardInterrupt:
            if not clock.up:
                raise
        finally:
            clock.stop()


class _Clock:
    """Interrupts the thread that made it, again each half second until it is stopped.

    Again, because `except:` in a loop swallows the first interruption.
    """

    def __init__(self) -> None:
        self.thread, self.up, self.sent = threading.get_ident(), False, 0
        self.done, self.lock = threading.Event(), threading.Lock()

    def wait(self, seconds: float) -> None:
        while not self.done.wait(seconds):
            with self.lock:
                if self.done.is_set():
                    return
                self.up = True
                _interrupt(self.thread)
            seconds = 0.5

    def stop(self) -> None:
        try:
            with self.lock:
                self.done.set()
            if self.up:
                time.sleep(0.01)  # an interruption on its way arrives here, not later
        except KeyboardInterrupt:
            self.done.set()


def _interrupt(thread: int) -> None:
    if thread != threading.main_thread().ident:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
        )
    elif hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGINT)  # also wakes a thread that sleeps
    else:
        _thread.interrupt_main()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Python's own handler of the interrupt signal, where another one is installed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def seconds_allowed() -> float:
    """The limit of a check: `COURSE_CHECK_SECONDS`, else 20.

    Raises:
        ValueError: it is set to something that is no positive number.
    """
    text = os.environ.get("COURSE_CHECK_SECONDS", "20")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < sys.maxsize:
        raise ValueError(f"COURSE_CHECK_SECONDS={text!r}; accepted: seconds, above 0")
    return seconds
