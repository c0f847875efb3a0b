"""Many machines: real processes of Dask, one of them killed; same scores, nothing lost."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from test_engine import HERE, lines, scores

from course_utils.common import paths
from course_utils.grading.trusted import collect, engine, many, sandbox
from course_utils.grading.trusted.engine import EngineError, Settings

distributed = pytest.importorskip(
    "distributed", reason="Dask distributed is not installed: pip install -e .[many]"
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, a process each, that are started anew when they end."""
    places = [str(paths.root()), str(HERE), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(p for p in places if p))
        patch.setenv("STAND_IN", str(tmp_path_factory.mktemp("stand-in")))
        patch.setenv("STAND_IN_SECONDS", "0.2")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as found:
            yield found


def settings(address="", **more):
    return Settings(seed=7, jobs=2, draw=False, scheduler=address, **more)


@pytest.fixture
def stand_ins(monkeypatch):
    """Judges that only play their part, without walls."""
    monkeypatch.setattr(engine, "_MODULE", "stand_in")
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)


def handed_in(folder, count):
    """So many submissions, which differ; the folder."""
    folder.mkdir()
    for number in range(count):
        (folder / f"s{number:02}.ipynb").write_text(f'{{"s{number:02}": 1}}')
    return folder


def killer(client, out, after):
    """Kills a worker once so many results have come; returns what it has killed."""
    killed = []

    def watch():
        until = time.monotonic() + 300
        while time.monotonic() < until and not killed:
            if len(lines(out, "graded")) >= after:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return killed, thread


def test_a_worker_that_is_killed_costs_nobody_anything(cluster, tmp_path, stand_ins):
    folder = handed_in(tmp_path / "in", 30)
    engine.grade(folder, tmp_path / "one", settings(), progress=False)
    with distributed.Client(cluster) as client:
        killed, thread = killer(client, tmp_path / "many", 5)
        address = cluster.scheduler_address
        run = engine.grade(folder, tmp_path / "many", settings(address), progress=False)
        thread.join(60)
    assert killed
    assert (run.graded, run.aside, run.jobs) == (30, 0, 2)
    assert scores(tmp_path / "many") == scores(tmp_path / "one")
    assert len(scores(tmp_path / "many")) == 30
    again = engine.grade(folder, tmp_path / "many", settings(address), progress=False)
    assert (again.graded, again.kept) == (0, 30)


def test_a_result_lost_with_its_machine_is_made_again(cluster, tmp_path, monkeypatch, stand_ins):
    """The worker that keeps a finished result is killed before the result is fetched.

    Beside the engine's client another one is current, as in a session that uses Dask itself.
    """
    folder = handed_in(tmp_path / "in", 6)
    lost, arrived = [], many.Cluster._arrived

    def late(self, task, future):
        if not lost:
            (keeper,) = self.client.who_has([future])[future.key]
            pids = self.client.run(os.getpid)
            os.kill(pids[keeper], signal.SIGKILL)
            lost.append(task.handed.student)
        return arrived(self, task, future)

    monkeypatch.setattr(many.Cluster, "_arrived", late)
    with distributed.Client(cluster):
        address = cluster.scheduler_address
        run = engine.grade(folder, tmp_path / "out", settings(address), progress=False)
    assert lost
    assert (run.graded, run.aside) == (6, 0)
    assert scores(tmp_path / "out").keys() == {f"s{n:02}/s{n:02}.json" for n in range(6)}


def test_judges_on_other_machines_give_the_same_scores(classmates, cluster, tmp_path):
    folder, whole = classmates
    run = engine.grade(folder, tmp_path, settings(cluster.scheduler_address), progress=False)
    assert (run.graded, run.aside) == (6, 0)
    assert scores(tmp_path) == scores(whole)
    assert [one["points"] for one in scores(tmp_path).values()] == [3, 0, 0, 2, 3, 0]


def test_another_course_on_a_worker_ends_the_run(cluster, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada.ipynb").write_text("{}")
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)
    monkeypatch.setattr(engine, "course", lambda: "another")
    with pytest.raises(EngineError, match="another version of the course"):
        engine.grade(
            tmp_path / "in", tmp_path / "out", settings(cluster.scheduler_address), progress=False
        )


def test_no_scheduler_is_named(tmp_path, monkeypatch):
    (tmp_path / "ada.ipynb").write_text("{}")
    monkeypatch.setattr(sandbox, "walls", lambda trust: sandbox.BARE)
    with pytest.raises(EngineError, match="no scheduler"):
        engine.grade(tmp_path / "ada.ipynb", tmp_path / "out", settings("nowhere"), progress=False)


def test_names_stay_here(tmp_path):
    (tmp_path / "ada_06_saliency.ipynb").write_text("{}")
    (handed,) = collect.collect(tmp_path)[0]
    said, data = many._anonymous(handed, "student-1")
    assert data == b"{}"
    assert "ada" not in json.dumps(said)
    assert str(Path(tmp_path)) not in json.dumps(said)
    assert (said["student"], said["notebook"]) == ("student-1", "06_saliency.ipynb")
