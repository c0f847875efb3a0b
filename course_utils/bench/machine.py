"""What the figures were measured on: they mean nothing without it."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import psutil


def cpu_model() -> str:
    """The processor's name, as its maker spells it; what Python knows of it where nobody says."""
    if sys.platform == "linux":
        named = re.search(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text())
        if named:
            return named.group(1).strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.stdout.strip():
            return done.stdout.strip()
    return platform.processor() or platform.machine()


def vectors() -> str:
    """The widest vectors PyTorch's kernels may use, "avx512" or "avx2"; "" where nobody says."""
    if sys.platform != "linux":
        return ""
    flags = Path("/proc/cpuinfo").read_text().split()
    return next((name for name in ("avx512", "avx2") if any(f.startswith(name) for f in flags)), "")


def usable_cores() -> int:
    """Logical cores this process may run on."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def describe(date: str, quick: bool, packages: Iterable[str]) -> dict:
    """What to know about a run.

    Args:
        date: of its start, in words.
        quick: whether it had few rounds only.
        packages: distributions whose versions matter.
    """
    import torch

    return {
        "date": date,
        "quick": quick,
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "physical": psutil.cpu_count(logical=False) or 0,
        "threads": torch.get_num_threads(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "busy": round(psutil.cpu_percent(interval=1.0)),  # before the run begins
        "versions": {name: version(name) for name in sorted(set(packages), key=str.lower)},
    }
