"""Measures the grading of a made-up class, beside nbgrader's: `docs/grading.md` has the figures.

    python tests/grading/class_of.py --students 200 --nbgrader 20 --killed

Run it on an idle machine. The submissions are those of lecture 06: right, wrong in known ways,
not attempted, noisy, raising, broken files, hanging. By default they hold the exercises and what
these need, which is the best case for nbgrader, since it runs every cell; --whole hands in the
whole lecture. --killed kills the run half-way, lets it go on, and compares the scores with those
of the run before it.
"""

import argparse
import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from course_utils.common import paths
from course_utils.grading.trusted import engine, report, sandbox
from course_utils.grading.trusted.journal import Journal

LECTURE, SEED = "06_saliency", 7
WRONG = (
    ("gradient.abs().amax(dim=1)", "gradient.amax(dim=1)"),
    ("gradient.abs().amax(dim=1)", "gradient.abs().mean(dim=1)"),
    ("* gradient).sum(dim=1)", "* gradient).mean(dim=1)"),
    ("(x.detach() * gradient)", "gradient"),
    ("total / len(noise)", "total"),
    ("chosen.sum()", "scores.sum()"),
)
KINDS = {"right": 50, "wrong": 28, "stub": 6, "noisy": 6, "raises": 4, "broken": 4, "hangs": 2}
"""Submissions of each kind, per hundred."""

LINES = {
    "noisy": "    import warnings; warnings.warn('careful'); print('here', x.shape)\n",
    "raises": "    x = x[0, 0, 0, 0, 0]\n",
    "hangs": "    while True: pass\n",
}


def template(whole):
    """The solved notebook: all of it, or the exercises and the imports they need."""
    text = (paths.root() / "solutions" / f"{LECTURE}.ipynb").read_text(encoding="utf-8")
    content = json.loads(text)
    if not whole:
        imports = copy.deepcopy(next(c for c in content["cells"] if c["cell_type"] == "code"))
        source = "import torch\nfrom course_utils.exercises import check"
        kept = [c for c in content["cells"] if "nbgrader" in c["metadata"]]
        content["cells"] = [imports | {"source": source, "metadata": {}}, *kept]
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"])
    return content


def submission(kind, solved, choose):
    """The bytes of one submission."""
    content = copy.deepcopy(solved)
    own = [c for c in content["cells"] if "### BEGIN SOLUTION" in c["source"]]
    if kind == "wrong":
        for find, put in choose.sample(WRONG, choose.randint(1, 3)):
            for cell in own:
                cell["source"] = cell["source"].replace(find, put)
    for cell in own if kind == "stub" else []:
        head = cell["source"].partition("    ### BEGIN SOLUTION")[0]
        cell["source"] = head + "    raise NotImplementedError()"
    if kind in LINES:
        cell = choose.choice(own)
        cell["source"] = cell["source"].replace("    ### BEGIN SOLUTION\n", LINES[kind], 1)
    text = json.dumps(content).encode()
    return text[: choose.randrange(len(text))] if kind == "broken" else text


def hand_in(folder, students, whole):
    """Writes a class's submissions, a folder for each student; returns how many of each kind."""
    choose, solved = random.Random(0), template(whole)
    kinds = [kind for kind, share in KINDS.items() for _ in range(share)]
    chosen = [kinds[number * len(kinds) // students] for number in range(students)]
    choose.shuffle(chosen)
    for number, kind in enumerate(chosen):
        path = folder / f"{number:03}-{kind}" / f"{LECTURE}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(submission(kind, solved, choose))
    return Counter(chosen)


def ours(folder, out, jobs, draw):
    """Seconds and peak memory of one run."""
    settings = engine.Settings(seed=SEED, jobs=jobs, draw=draw)
    run = engine.grade(folder, out, settings)
    began = time.monotonic()
    report.write(out, run.current)
    return run, time.monotonic() - began


def scores(out):
    """By place: state and points of the notebook and of each exercise."""
    found = {}
    for path in sorted(out.glob("*/*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        each = [(e["exercise"], e["state"], e["points"]) for e in result["exercises"]]
        found[path.parent.name] = (result["state"], result["points"], each)
    return found


def killed(folder, out, jobs, draw, half):
    """A run that is killed when half of it is done, and goes on; how many each part graded."""
    code = (
        "import sys; from pathlib import Path; from course_utils.grading import engine;"
        f"engine.grade(Path({str(folder)!r}), Path({str(out)!r}),"
        f" engine.Settings(seed={SEED}, jobs={jobs}, draw={draw}), progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    while process.poll() is None and len(_graded(out)) < half:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(_graded(out))
    run, _ = ours(folder, out, jobs, draw)
    return before, run.graded


def _graded(out):
    with Journal(out, alone=False) as journal:
        return journal.graded()


def nbgrader(folder, top, number, whole):
    """Seconds a submission, peak memory and outcomes of `nbgrader autograde`."""
    names = sorted(p.name for p in folder.iterdir() if not p.name.endswith(("broken", "hangs")))
    names = names[:number]
    (top / "source/course").mkdir(parents=True)
    content = json.dumps(template(whole))
    (top / f"source/course/{LECTURE}.ipynb").write_text(content, encoding="utf-8")
    for name in names:
        target = top / "submitted" / name / "course"
        target.mkdir(parents=True)
        shutil.copy(folder / name / f"{LECTURE}.ipynb", target)
    scripts = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"]}
    env |= {"PYTHONPATH": str(paths.root())}
    options = [f"--CourseDirectory.root={top}", "--ExecutePreprocessor.timeout=120"]
    order = [sys.executable, "-m", "nbgrader"]
    subprocess.run([*order, "generate_assignment", "course", *options], env=env, check=True)
    began, peak = time.monotonic(), 0
    process = subprocess.Popen([*order, "autograde", "course", *options], env=env)
    while process.poll() is None:
        peak = max(peak, sum(map(sandbox.memory, sandbox.family(process.pid))))
        time.sleep(0.5)
    done = len(list((top / "autograded").glob("*/course/*.ipynb")))
    return len(names), done, time.monotonic() - began, peak >> 20


def main():
    """Measures what was asked for and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--nbgrader", type=int, default=0, help="submissions for nbgrader")
    parser.add_argument("--killed", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--no-pictures", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), asked, not asked.no_pictures)


def measure(top, asked, draw):
    """Prints a row for each grader, and what became of a killed run."""
    folder = top / "in"
    kinds = hand_in(folder, asked.students, asked.whole)
    print(f"{psutil.cpu_count()} processors; submissions: {dict(kinds)}")
    run, reports = ours(folder, top / "out", asked.jobs, draw)
    rows = [(f"course grade, {run.jobs} at a time", run.graded, run.seconds, run.peak_memory_mib)]
    if asked.nbgrader:
        handed, done, seconds, peak = nbgrader(folder, top / "nb", asked.nbgrader, asked.whole)
        rows.append((f"nbgrader autograde ({done} of them graded)", handed, seconds, peak))
    print("\n| grader | submissions | seconds | seconds each | peak memory, MiB |")
    print("|---|---|---|---|---|")
    for name, number, seconds, peak in rows:
        print(f"| {name} | {number} | {seconds:.0f} | {seconds / number:.2f} | {peak:,} |")
    print(f"\nreports: {reports:.1f} s; set aside: {run.aside}", flush=True)
    if asked.killed:
        before, after = killed(folder, top / "again", asked.jobs, draw, asked.students // 2)
        same = scores(top / "again") == scores(top / "out")
        print(f"killed after {before}, went on with {after}; equal scores: {same}")


if __name__ == "__main__":
    main()
