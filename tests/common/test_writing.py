"""Files written whole or not at all."""

import os
import stat

import pytest

from course_utils.common import writing


def test_a_text_takes_the_place_of_another(tmp_path):
    file = tmp_path / "new folder" / "a.txt"
    assert writing.replace(file, "first\n") == file
    writing.replace(file, "second\r\nä\n")
    assert file.read_bytes() == "second\r\nä\n".encode()
    assert [one.name for one in file.parent.iterdir()] == ["a.txt"]


def test_a_lone_surrogate_becomes_an_escape(tmp_path):
    file = writing.replace(tmp_path / "a.json", '"\ud800"')
    assert file.read_bytes() == b'"\\ud800"'


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_who_may_read_it(tmp_path, private, mode):
    file = writing.replace(tmp_path / "a", "text", private)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "page").write_text("old")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(writing.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        writing.replace(tmp_path / "page", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["page"]
    assert (tmp_path / "page").read_text() == "old"
