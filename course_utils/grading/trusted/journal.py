"""What has been done so far, one line of JSON each, on disk before the next thing happens.

A run that is killed leaves a journal whose last line may be torn; the next run reads the others and
goes on after them. Lines are only ever added.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

NAME = "journal.jsonl"


class JournalError(RuntimeError):
    """Another run writes into this folder, or the folder cannot be written to."""


class Journal:
    """The journal of a folder of results, for one run at a time.

    Use it as a context manager.

    Args:
        folder: where results are kept; made if it is missing.
        alone: refuse while another run has it open. False: only to read.

    Attributes:
        events: what earlier runs wrote, in order.
    """

    def __init__(self, folder: Path, alone: bool = True) -> None:
        self.path, self.alone, self.events = folder / NAME, alone, []
        self._file = None

    def __enter__(self) -> "Journal":
        if not self.alone:
            self.events = _read(self.path)
            return self
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalError(f"{self.path} cannot be written: {error.strerror}") from None
        self._file = os.fdopen(handle, "ab", buffering=0)
        _lock(self._file, self.path.parent)
        self.events = _read(self.path)
        if self.path.stat().st_size:
            self._file.write(b"\n")  # ends a torn line; a blank one means nothing
        return self

    def __exit__(self, *details: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, event: str, **fields: object) -> None:
        """Writes one line, and waits until the disk has it."""
        line = {"event": event, **fields}
        self._file.write(json.dumps(line).encode() + b"\n")
        os.fsync(self._file.fileno())
        self.events.append(line)

    def forget(self, places: set[str]) -> None:
        """Leaves out, for good, every line about these places: the one time that lines go."""
        kept = []
        for event in self.events:
            if event.get("place") in places:
                continue
            if "places" in event:
                event = event | {"places": [p for p in event["places"] if p not in places]}
            kept.append(event)
        self.events = kept
        text = "".join(json.dumps(event) + "\n" for event in kept).encode()
        self._file.truncate(0)
        self._file.write(text)
        os.fsync(self._file.fileno())

    def seed(self) -> int | None:
        """The seed of the last run; None before the first."""
        return next((e["seed"] for e in reversed(self.events) if e["event"] == "run"), None)

    def rounds(self) -> int:
        """How many runs came to their end and had something to grade: results may be known."""
        return sum(e["event"] == "done" and e["graded"] > 0 for e in self.events)

    def seeds(self) -> dict[str, tuple[str, int]]:
        """By place: the file that was graded there last, as SHA-256, and with which seed."""
        done = [e for e in self.events if e["event"] == "graded" and "seed" in e]
        return {e["place"]: (e["sha256"], e["seed"]) for e in done}

    def graded(self) -> dict[str, str]:
        """By place: the key of what was graded there last."""
        return {e["place"]: e["key"] for e in self.events if e["event"] == "graded"}

    def unfinished(self) -> Counter[str]:
        """By key: how many runs ended while they graded it."""
        open_ones: Counter[str] = Counter()
        for event in self.events:
            if event["event"] == "begun":
                open_ones[event["key"]] += 1
            elif event["event"] in ("graded", "lost"):
                open_ones[event["key"]] -= 1
        return +open_ones

    def current(self) -> list[str]:
        """The places that count: of each source of submissions, those of its last run."""
        runs = {e["source"]: e["places"] for e in self.events if e["event"] == "run"}
        return list(dict.fromkeys(place for places in runs.values() for place in places))


def _read(path: Path) -> list[dict]:
    """The whole lines of a journal; a torn one is left out, and so is what it said."""
    found = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            found.append(event)
    return found


def _lock(file: object, folder: Path) -> None:
    """Until the file is closed, and its process at the latest, nobody else gets this far."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise JournalError(f"another run is grading into {folder}") from None
