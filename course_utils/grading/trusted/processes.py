"""The processes of a run, as `/proc` shows them: who belongs to whom, what they take, their end."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def end_group(leader: int, seconds: float = 5) -> None:
    """Ends a process group; its leader was not waited for, so the number is still its own."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        if not any(group == leader and state not in "ZX" for _, state, _, group in _processes()):
            return
        time.sleep(0.01)


def _processes() -> Iterator[tuple[int, str, int, int]]:
    """Number, state, parent and process group of every process that is to be seen."""
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        with suppress(OSError, ValueError, IndexError):
            if entry.isdigit():
                with open(f"/proc/{entry}/stat", "rb") as file:
                    state, parent, group = file.read().rpartition(b")")[2].split(None, 3)[:3]
                yield int(entry), state.decode(), int(parent), int(group)


def family(*pids: int) -> list[int]:
    """Processes, all their descendants, and who is left in a process group that one leads."""
    near: dict[int, list[int]] = {}
    for number, _, parent, group in _processes():
        for other in {parent, group}:
            near.setdefault(other, []).append(number)
    found, seen = list(pids), set(pids)
    for member in found:
        new = [number for number in near.get(member, []) if number not in seen]
        found += new
        seen.update(new)
    return found


def counted(folder: str, most: int) -> int:
    """Files and folders below a folder, as far as their names fit into a path; `most` + 1 at most.

    Only they take part: links are not followed.
    """
    found, folders = 0, [folder]
    while folders and found <= most:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                found += 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                if found > most:
                    break
    return found


def shared(pid: int) -> int:
    """As `memory`, where several processes have a page in common each with its share of it.

    It takes the kernel milliseconds, so it is no measure for limits.
    """
    with suppress(OSError):
        lines = Path("/proc", str(pid), "smaps_rollup").read_text(errors="replace").splitlines()
        kinds = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
        found = [int(line.split()[1]) for line in lines if line.startswith(kinds)]
        return 1024 * sum(found) if found else memory(pid)
    return 0


def memory(pid: int) -> int:
    """Bytes of a process that are neither a file's nor on disk."""
    with suppress(OSError):
        lines = Path("/proc", str(pid), "status").read_text(errors="replace").splitlines()
        kinds = ("RssAnon:", "RssShmem:", "VmSwap:")
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(kinds))
    return 0
