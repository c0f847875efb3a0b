"""Peak memory of one contender, in a process of its own.

The process loads what the contender needs, looks at its memory, lets it run once, and looks at the
largest it ever was. What an earlier contender left in caches therefore helps nobody, and what is
allocated on the first call, such as scratch space of the convolutions, counts.
"""

import ctypes
import gc
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from course_utils.bench import rows


@dataclass(frozen=True)
class Memory:
    """Resident bytes of a process: at its largest, and just before the call."""

    peak: int
    before: int


def measure(row: str, contender: str) -> Memory:
    """Runs a contender once in a fresh process.

    Raises:
        RuntimeError: the process fails; with the end of what it said.
    """
    command = [sys.executable, "-P", "-m", "course_utils.bench.memory", row, contender]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RuntimeError(f"the process that measures memory failed: {said[0]}")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def observe(row: str, contender: str) -> Memory:
    """Runs a contender once, in this process."""
    chosen = rows.find(row)
    call = chosen.contender(contender).prepare(chosen.scene())
    gc.collect()
    _give_back()
    before = psutil.Process().memory_info().rss
    _forget_peak()
    call()
    return Memory(max(_peak(), before), before)


def _give_back() -> None:
    """Memory that is free but still with the process would hide what the call needs (Linux)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim:
            trim(0)


def _forget_peak() -> None:
    """Start the kernel's high-water mark anew (Linux); elsewhere it covers the process's life."""
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return


def _peak() -> int:
    """The largest resident size, in bytes, as the system kept it."""
    if sys.platform == "linux":
        # Not getrusage: there a child starts with its parent's peak.
        status = Path("/proc/self/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    print(json.dumps(asdict(observe(*sys.argv[1:]))))
