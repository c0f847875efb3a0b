"""How long a whole course takes to grade, from what each lecture costs: `docs/grading.md` has it.

    python tests/grading/simulated.py --students 600 --judges 2 8 32

Measured are processor seconds, which other programs hardly disturb, of all processes together: of
the judge, the warmed parent, the worker and its walls. For each lecture: drawing the cases and
their targets, which a judge does once for a seed; the solution as handed in; and a notebook whose
every answer is wrong, with its pictures. The rest is arithmetic: submissions are given to whatever
judge is free, in the shares that `class_of.KINDS` has; a hanging one keeps its judge for the limit
of one exercise.
"""

import argparse
import heapq
import json
import os
import random
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import class_of

from course_utils.checking import core
from course_utils.common import lectures, paths
from course_utils.grading.trusted import judge, sandbox, warm

SEED = 7
_CLOCK = os.sysconf("SC_CLK_TCK")


def spent(pid):
    """Processor seconds of a process and of its children that have ended."""
    with suppress(OSError):
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _CLOCK
    return 0.0


class Meter:
    """Adds up what a submission costs, its workers included, which are gone afterwards."""

    def __init__(self, parent):
        self.parent, self.walls = parent, 0.0
        close = sandbox.Worker.close

        def closing(worker):
            child = worker._program
            if child is not None and child._holder is not None:
                held = sandbox.family(child._holder.pid)
                self.walls += sum(map(spent, held))
            close(worker)

        sandbox.Worker.close = closing

    def now(self):
        return time.process_time() + spent(self.parent._process.pid) + self.walls


def wrong(content):
    """Every answer is the number 0: of no right kind, so that all words and pictures are made."""
    for cell in content["cells"]:
        source = "".join(cell["source"])
        if "### BEGIN SOLUTION" in source:
            head, _, _ = source.partition("    ### BEGIN SOLUTION")
            cell["source"] = head + "    return 0.0\n"
    return content


def costs(name, parent, meter, folder):
    """Processor seconds of one lecture: once for a seed, a right submission, a wrong one."""
    content = json.loads((paths.root() / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))
    path, found = folder / f"{name}.ipynb", {}
    path.write_text(json.dumps(content), encoding="utf-8")
    for kind in ("first", "right"):
        began = meter.now()
        result = judge.grade(path, seed=SEED, parent=parent)
        found[kind] = meter.now() - began
        assert result["points"] == result["max_points"], (name, result["points"])
    path.write_text(json.dumps(wrong(content)), encoding="utf-8")
    judge.grade(path, seed=SEED, parent=parent)  # the first picture draws its target as well
    began = meter.now()
    assert judge.grade(path, seed=SEED, parent=parent)["points"] == 0
    found["wrong"] = meter.now() - began
    return {"once": max(0.0, found["first"] - found["right"])} | found


def hours(table, students, judges, hang):
    """Until the last of so many judges, one processor each, is done with everybody's notebooks."""
    choose, kinds = random.Random(0), list(class_of.KINDS)
    shares = [class_of.KINDS[kind] for kind in kinds]
    handed = [(name, kind) for name in table for kind in choose.choices(kinds, shares, k=students)]
    free = [(0.0, number, frozenset()) for number in range(judges)]
    for name, kind in handed:
        until, number, drawn = heapq.heappop(free)
        one = table[name]
        cost = 0.0 if kind == "broken" else one["wrong" if kind == "wrong" else "right"]
        cost += one["once"] * (name not in drawn) + hang * (kind == "hangs")
        heapq.heappush(free, (until + cost, number, drawn | {name}))
    return max(until for until, _, _ in free) / 3600


def main():
    """Prints a row for each lecture, and how long so many judges take for all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--students", type=int, default=600)
    parser.add_argument("--judges", type=int, nargs="+", default=[2, 8, 32])
    asked = parser.parse_args()
    parent = warm.Parent(sandbox.walls())
    table = {}
    try:
        core.all_()
        parent.ready()
        meter = Meter(parent)
        print("| lecture | exercises | once for a seed | right | wrong |\n|---|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            for name in lectures.names():
                if not core.all_(name):
                    continue
                one = table[name] = costs(name, parent, meter, Path(folder))
                row = [f"{one[key]:.2f}" for key in ("once", "right", "wrong")]
                print(f"| {name} | {len(core.all_(name))} | {' | '.join(row)} |", flush=True)
    finally:
        parent.end()
    for judges in asked.judges:
        found = hours(table, asked.students, judges, sandbox.Limits.call)
        print(f"{asked.students} students, {judges} judges: {found:.2f} hours")


if __name__ == "__main__":
    main()
