"""A pytest plugin that mends nbval 0.11 where it lets broken notebooks pass, or waits for nothing.

With `tests` on PYTHONPATH: `python -m pytest -p nbval_mends --nbval-lax ...`.

- A cell that fails without an error output fails; an unknown magic only prints "UsageError".
- A cell tagged `raises-exception` that raises nothing fails.
- A kernel that dies is noticed at once, instead of after the whole timeout of the cell.
- Cells are numbered and stored, so that `In`, `Out`, `_` and `%history` work as in JupyterLab.
- Kernels get an empty IPython folder: nobody's history is written, no start-up file is run.
- At the end stands how long each notebook took.
- A lecture whose text claims a number that its section does not print fails at its last cell; see
  `prose_numbers`. So does a cell that prints a list, a dictionary or sixteen digits.
- With `--warm-kernels` kernels begin with the course's modules imported; see `warm_kernels`.
- With `--solutions-device pretend` the kernels of notebooks in a folder `solutions` get that
  COURSE_DEVICE: with those of `notebooks` on the CPU, the same cells run on both kinds of device.
"""

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from queue import Empty

import prose_numbers
import warm_kernels
from nbval.kernel import NbvalKernelspecManager, RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

POLL = 1.0  # seconds between two looks at whether the kernel lives
_folders = []
_nurseries = {}  # by device


class KernelDied(Exception):
    """The kernel ended while a cell ran."""


def execute_cell_input(self, cell_input, allow_stdin=None):
    """As nbval's, but the cell becomes part of the session's history."""
    return self.kc.execute(
        cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
    )


def await_reply(self, msg_id, timeout=None):
    """Wait for the reply to a request and keep it in `self.reply`.

    Raises:
        KernelDied: within seconds of the kernel's end.
        queue.Empty: after `timeout` seconds, which nbval expects.
    """
    self.reply = None
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = POLL if deadline is None else min(POLL, max(deadline - time.monotonic(), 0))
        alive = self.is_alive()  # asked first: a reply sent just before the end still counts
        try:
            message = self.get_message(stream="shell", timeout=left)
        except Empty:
            if not alive:
                raise KernelDied from None
            if deadline is not None and time.monotonic() >= deadline:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            self.reply = message["content"]
            if self.reply["status"] == "aborted":
                raise RuntimeError("Kernel aborted execution request")
            return


def runtest(self):
    """As nbval's, and the kernel's own verdict on the cell counts."""
    try:
        _runtest(self)
    except KernelDied:
        self.parent.timed_out = False
        self.raise_cell_error("The kernel died while this cell ran")
    reply = self.parent.kernel.reply
    if reply is None:  # timed out, which nbval has reported
        return
    failed = reply["status"] != "ok"
    if failed and not self.options["check_exception"]:
        name, value = reply.get("ename"), reply.get("evalue")
        self.raise_cell_error(f"The cell failed without an error output: {name}: {value}")
    if self.options["check_exception"] and not failed:
        self.raise_cell_error("The cell is tagged raises-exception, but nothing was raised")
    complain_of_raw_output(self)
    compare_numbers(self)


def complain_of_raw_output(self):
    """What a lecture prints is said, not dumped: no list, no dictionary, no sixteen digits."""
    printed = "".join(o.get("text", "") for o in self.test_outputs if o["output_type"] == "stream")
    raw = prose_numbers.raw(printed) if self.path.name[:2] in prose_numbers.CHECKED else []
    if raw:
        self.raise_cell_error(f"Printed as Python writes it: {raw}")


def text_of(outputs):
    """What a cell's outputs say in words and numbers; a picture says its alt text."""
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


def compare_numbers(self):
    """At a lecture's last cell: does each section print the numbers that its text claims?"""
    lecture, notebook = self.path.name[:2], self.parent.nb
    self.parent.told = getattr(self.parent, "told", {}) | {
        id(self.cell): text_of(self.test_outputs)
    }
    code = [id(cell) for cell in notebook.cells if cell.cell_type == "code"]
    if lecture not in prose_numbers.CHECKED or set(code) != set(self.parent.told):
        return
    told = [(c.cell_type, c.source, self.parent.told.get(id(c), "")) for c in notebook.cells]
    missing = prose_numbers.unbacked(told, prose_numbers.QUOTED.get(lecture, ()))
    if missing:
        self.raise_cell_error(
            f"Numbers in the text that no output of their section holds: {missing}"
        )


def setup(self):
    """As nbval's, which starts the kernel; it inherits the device."""
    device = self.config.getoption("--solutions-device")
    before = os.environ.get("COURSE_DEVICE")
    if device and self.path.parent.name == "solutions":
        os.environ["COURSE_DEVICE"] = device
    try:
        if self.config.getoption("--warm-kernels") and hasattr(os, "fork"):
            _prepare_nursery(self)
        _setup(self)
    finally:
        os.environ.pop("COURSE_DEVICE", None)
        if before is not None:
            os.environ["COURSE_DEVICE"] = before


def _device():
    return os.environ.get("COURSE_DEVICE", "")


def _prepare_nursery(self):
    """The process that kernels of this device are forked from is there."""
    if _device() not in _nurseries:
        folder = Path(os.environ["IPYTHONDIR"])
        modules = warm_kernels.imported(self.path.parent.glob("*.ipynb"))
        _nurseries[_device()] = warm_kernels.Nursery(folder, modules)


def get_kernel_spec(self, kernel_name):
    """As nbval's, but where there is a nursery, a kernel of Python is forked from it."""
    spec = _get_kernel_spec(self, kernel_name)
    if _device() in _nurseries:
        spec.argv = _nurseries[_device()].argv(spec.argv)
    return spec


_runtest, _setup = IPyNbCell.runtest, IPyNbFile.setup
_get_kernel_spec = NbvalKernelspecManager.get_kernel_spec
if not hasattr(RunningKernel, "reply"):  # imported twice, it must not wrap itself
    RunningKernel.reply = None
    RunningKernel.execute_cell_input = execute_cell_input
    RunningKernel.await_reply = await_reply
    IPyNbCell.runtest, IPyNbFile.setup = runtest, setup
    NbvalKernelspecManager.get_kernel_spec = get_kernel_spec


def pytest_addoption(parser):
    parser.addoption("--solutions-device", default="", help="COURSE_DEVICE of solutions' kernels")
    words = "fork kernels from a process that has imported the course"
    parser.addoption("--warm-kernels", action="store_true", help=words)


def pytest_terminal_summary(terminalreporter):
    """Seconds of each notebook, the slowest first; in the file COURSE_TIMES too, as JSON."""
    taken = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            name = getattr(report, "nodeid", "").split("::")[0]
            if name.endswith(".ipynb"):
                taken[name] += getattr(report, "duration", 0.0)
    if taken:
        terminalreporter.section("seconds of each notebook")
    for name, seconds in taken.most_common():
        terminalreporter.write_line(f"{seconds:7.1f}  {name}")
    if taken and "COURSE_TIMES" in os.environ:
        rounded = {name: round(seconds, 1) for name, seconds in sorted(taken.items())}
        Path(os.environ["COURSE_TIMES"]).write_text(json.dumps(rounded), encoding="utf-8")


def pytest_configure(config):
    if config.option.nbval or config.option.nbval_lax:
        _folders.append((tempfile.mkdtemp(prefix="course-ipython-"), os.environ.get("IPYTHONDIR")))
        os.environ["IPYTHONDIR"] = _folders[-1][0]


def pytest_unconfigure(config):
    while _nurseries:
        _nurseries.popitem()[1].close()
    while _folders:
        folder, before = _folders.pop()
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            os.environ.pop("IPYTHONDIR", None)
        else:
            os.environ["IPYTHONDIR"] = before
