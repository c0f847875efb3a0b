"""Judges side by side, told to end and to hang: nobody else notices, and nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_utils.common import paths
from course_utils.grading.trusted import engine, sandbox
from course_utils.grading.trusted.engine import EngineError, Settings
from course_utils.grading.trusted.journal import NAME, Journal, JournalError

HERE = Path(__file__).parent


@pytest.fixture
def classroom(tmp_path, monkeypatch):
    """Makes submissions and grades them with judges that only play their part."""
    monkeypatch.setattr(engine, "_MODULE", "stand_in")
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("STAND_IN", str(tmp_path))

    def run(*students, **settings):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        for student in students:
            (folder / f"{student}.ipynb").write_text("{}")
        chosen = Settings(**{"jobs": 2, "seed": 7, **settings})
        return engine.grade(folder, tmp_path / "out", chosen, progress=False)

    run.folder, run.out = tmp_path / "in", tmp_path / "out"
    return run


def states(out):
    """By student: the state of the stored result."""
    found = [json.loads(path.read_text()) for path in sorted(out.glob("*/*.json"))]
    return {one["student"]: one["state"] for one in found}


def lines(out, event):
    with Journal(out, alone=False) as journal:
        return [e for e in journal.events if e["event"] == event]


def test_every_submission_gets_its_result(classroom):
    run = classroom("ada", "bob", "cyd", "dan", "eve")
    assert states(classroom.out) == dict.fromkeys(("ada", "bob", "cyd", "dan", "eve"), "graded")
    assert (run.graded, run.kept, run.aside, run.jobs) == (5, 0, 0, 2)
    assert run.places == run.current == [f"{n}/{n}" for n in ("ada", "bob", "cyd", "dan", "eve")]
    assert run.isolation[0] == "bare"


def test_what_ends_its_judge_twice_is_set_aside_and_nobody_else_notices(classroom):
    run = classroom("ada", "bob", "kills always", "kills once", "raises always", "zoe")
    found = states(classroom.out)
    assert {s for s, state in found.items() if state == engine.ASIDE} == {
        "kills always",
        "raises always",
    }
    assert [found[s] for s in ("ada", "bob", "kills once", "zoe")] == ["graded"] * 4
    assert (run.graded, run.aside) == (6, 2)
    stored = json.loads((classroom.out / "kills_always" / "kills_always.json").read_text())
    assert "to an end with it (it ended by signal 9)" in stored["reason"]
    assert stored["points"] == 0
    assert len(stored["sha256"]) == 64
    assert len(lines(classroom.out, "lost")) == 5
    assert classroom().graded == 0  # set aside is an answer too


def test_what_never_ends_is_ended(classroom, monkeypatch):
    monkeypatch.setattr(engine, "_PATIENCE", 2)
    quick = sandbox.Limits(total=0, start=0)
    classroom("ada", "hangs always", "bob", limits=quick)
    assert states(classroom.out)["hangs always"] == engine.ASIDE
    assert states(classroom.out)["bob"] == "graded"


def test_a_machine_without_sandbox_is_no_students_fault(classroom):
    with pytest.raises(EngineError, match="did not start"):
        classroom("ada", "no sandbox", "bob")
    assert "no sandbox" not in states(classroom.out)


def test_judges_that_cannot_start_end_the_run(classroom, monkeypatch):
    monkeypatch.setenv("STAND_IN_BROKEN", "1")
    with pytest.raises(EngineError, match=r"did not start(?s:.*)no module named torch"):
        classroom("ada", "bob")


def test_only_what_changed_is_graded_again(classroom):
    assert classroom("ada", "bob", "cyd").graded == 3
    assert (classroom().graded, classroom().kept) == (0, 3)
    (classroom.folder / "bob.ipynb").write_text("{ }")
    assert classroom("dan").graded == 2
    (classroom.out / "cyd" / "cyd.json").unlink()
    (classroom.out / "ada" / "ada.json").unlink()
    assert classroom().graded == 2
    assert classroom(again=True).graded == 4
    assert classroom(seed=8).graded == 4
    (classroom.folder / "ada.ipynb").unlink()
    assert "ada/ada" not in classroom(seed=8).current


def test_the_seed_is_secret_and_stays(classroom):
    classroom("ada", "bob", seed=None)
    (first,) = {e["seed"] for e in lines(classroom.out, "run")}
    assert classroom(seed=None).graded == 0
    assert {e["seed"] for e in lines(classroom.out, "run")} == {first}
    assert (classroom.out / NAME).stat().st_mode & 0o077 == 0


def seeds(out):
    """By student: the seed in the stored result."""
    found = [json.loads(path.read_text()) for path in sorted(out.glob("*/*.json"))]
    return {one["student"]: one["seed"] for one in found}


def test_what_is_handed_in_again_is_graded_on_other_inputs(classroom):
    """What a function told its author of its inputs is worth nothing the next time."""
    classroom("ada", "bob", seed=None)
    first = seeds(classroom.out)
    assert first["ada"] == first["bob"]  # one run is the same for everyone
    (classroom.folder / "bob.ipynb").write_text("{ }")
    assert classroom("eve", seed=None).graded == 2
    second = seeds(classroom.out)
    assert second["ada"] == first["ada"]
    assert second["bob"] == second["eve"] != first["bob"]
    assert classroom(seed=None).graded == 0
    assert classroom(seed=None, again=True).graded == 3
    assert seeds(classroom.out) == second  # the same file on the same inputs
    (classroom.folder / "bob.ipynb").write_text("{  }")
    classroom(seed=None)
    assert seeds(classroom.out)["bob"] not in (first["bob"], second["bob"])


def test_one_run_at_a_time(classroom):
    with Journal(classroom.out), pytest.raises(JournalError, match="another run"):
        classroom("ada", "bob")


@pytest.mark.parametrize("settings", [{"lecture": "99"}, {"seed": -1}])
def test_wrong_settings_are_named(classroom, settings):
    with pytest.raises(ValueError, match="accepted"):
        classroom("ada", **settings)


def test_judges_at_a_time():
    assert engine.jobs(Settings(jobs=3)) == 3
    assert 1 <= engine.jobs(Settings()) <= os.cpu_count()


KILLED = """
from pathlib import Path
from course_utils.grading.trusted import engine, sandbox
{before}
settings = engine.Settings(jobs=2, seed=7, draw={draw})
engine.grade(Path({folder!r}), Path({out!r}), settings, progress=False)
"""


def start(folder, out, before="", draw=True, **variables):
    """A run in a process of its own."""
    code = KILLED.format(before=before, folder=str(folder), out=str(out), draw=draw)
    found = os.pathsep.join([str(paths.root()), str(HERE)])
    env = os.environ | {"PYTHONPATH": found, **variables}
    return subprocess.Popen([sys.executable, "-c", code], env=env)


def kill_after(graded, out, process, seconds=400):
    """Kills a run when so many results are in its journal."""
    ends = time.monotonic() + seconds
    try:
        while len(lines(out, "graded")) < graded:
            assert time.monotonic() < ends, f"{graded} results did not come"
            assert process.poll() is None, "the run ended by itself"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(classroom, tmp_path):
    classroom.folder.mkdir()
    students = [f"s{number:02}" for number in range(12)]
    for student in students:
        (classroom.folder / f"{student}.ipynb").write_text("{}")
    before = "engine._MODULE = 'stand_in'; sandbox.walls = lambda trust: sandbox.BARE"
    variables = {"STAND_IN": str(tmp_path), "STAND_IN_SECONDS": "0.3"}
    process = start(classroom.folder, classroom.out, before, **variables)
    kill_after(4, classroom.out, process)
    done = len(lines(classroom.out, "graded"))
    assert 4 <= done < 12
    run = classroom()
    assert (run.graded, run.kept) == (12 - done, done)
    assert states(classroom.out) == dict.fromkeys(students, "graded")
    assert len({e["place"] for e in lines(classroom.out, "graded")}) == 12


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_run_and_a_whole_one_give_the_same_scores(classmates, tmp_path):
    folder, whole = classmates
    process = start(folder, tmp_path / "killed", draw=False)
    kill_after(2, tmp_path / "killed", process)
    settings = Settings(jobs=1, seed=7, draw=False)  # how many judges there are is no matter
    resumed = engine.grade(folder, tmp_path / "killed", settings, progress=False)
    assert 0 < resumed.graded <= 4
    assert scores(tmp_path / "killed") == scores(whole)
    assert [s["points"] for s in scores(whole).values()] == [3, 0, 0, 2, 3, 0]


def scores(out):
    """By place: everything about points and reasons."""
    kept = ("points", "max_points", "state", "reason", "seed", "sha256")
    about = ("exercise", "state", "points", "reason", "mistake", "cases", "similarity")
    found = {}
    for path in sorted(out.glob("*/*.json")):
        result = json.loads(path.read_text())
        exercises = [{key: one[key] for key in about} for one in result["exercises"]]
        own = {key: result[key] for key in kept}
        found[path.relative_to(out).as_posix()] = own | {"exercises": exercises}
    return found
