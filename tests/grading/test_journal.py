"""The journal: only ever longer, readable after any end, for one run at a time."""

import json
import sys

import pytest

from course_utils.grading.trusted.journal import NAME, Journal, JournalError


def test_what_one_run_writes_the_next_one_reads(tmp_path):
    with Journal(tmp_path / "out") as journal:
        assert (journal.seed(), journal.current()) == (None, [])
        journal.add("run", seed=5, source="a", places=["ada/06", "bob/06"])
        journal.add("begun", key="k1")
        journal.add("graded", place="ada/06", key="k1", state="graded")
        journal.add("begun", key="k2")
    with Journal(tmp_path / "out") as journal:
        assert journal.seed() == 5
        assert journal.graded() == {"ada/06": "k1"}
        assert journal.unfinished() == {"k2": 1}
        journal.add("run", seed=5, source="b", places=["eve/07"])
        journal.add("run", seed=6, source="a", places=["ada/06"])
        assert journal.current() == ["ada/06", "eve/07"]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_line_costs_that_line(tmp_path, cut):
    with Journal(tmp_path) as journal:
        journal.add("run", seed=5, source="a", places=[])
        journal.add("graded", place="ada/06", key="k1", state="graded")
    file = tmp_path / NAME
    file.write_bytes(file.read_bytes()[:-cut])
    with Journal(tmp_path) as journal:
        assert journal.seed() == 5
        assert journal.graded() == ({"ada/06": "k1"} if cut == 1 else {})
        journal.add("graded", place="bob/06", key="k2", state="graded")
    with Journal(tmp_path) as journal:
        assert journal.graded()["bob/06"] == "k2"


def test_strange_lines_are_left_out(tmp_path):
    (tmp_path / NAME).write_bytes(b'\xff\n3\n[]\n{}\n{"event": "run", "seed": 1}\n')
    with Journal(tmp_path, alone=False) as journal:
        assert journal.events == [{"event": "run", "seed": 1}]


@pytest.mark.skipif(sys.platform == "win32", reason="grading runs on Linux")
def test_one_run_at_a_time(tmp_path):
    with Journal(tmp_path), pytest.raises(JournalError, match="another run"), Journal(tmp_path):
        pass
    with Journal(tmp_path) as journal:
        journal.add("run", seed=1, source="a", places=[])
    lines = (tmp_path / NAME).read_text().split()
    assert json.loads("".join(lines))["seed"] == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be written"), Journal(tmp_path / "file"):
        pass
