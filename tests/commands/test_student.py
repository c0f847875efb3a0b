"""The student's folder: missing notebooks come, the student's own are never touched."""

import errno
import json
import os
import threading

import pytest

from course_utils.commands import student


def write(folder, name, version, text="x"):
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}]
    course = {"lecture": name, "version": version}
    notebook = {"cells": cells, "metadata": {"course": course}, "nbformat": 4, "nbformat_minor": 5}
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture
def course(tmp_path):
    """The course's folder with two notebooks, and the path of the student's, not made yet."""
    (tmp_path / "notebooks").mkdir()
    for name in ("00_start_here", "06_saliency"):
        write(tmp_path / "notebooks", name, "aaa")
    return tmp_path / "notebooks", tmp_path / "work"


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_first_sync_copies_everything_and_leaves_nothing_else(course):
    notebooks, work = course
    changes = student.sync(notebooks, work)
    assert [change.kind for change in changes] == ["new", "new"]
    assert files(work) == files(notebooks)
    for name in files(work):
        assert (work / name).read_bytes() == (notebooks / name).read_bytes()


def test_a_second_sync_does_nothing(course):
    student.sync(*course)
    assert student.sync(*course) == []


def test_an_edited_notebook_stays_as_it_is(course):
    student.sync(*course)
    write(course[1], "06_saliency", "aaa", "my answer")
    before = (course[1] / "06_saliency.ipynb").read_bytes()
    assert student.sync(*course) == []
    assert (course[1] / "06_saliency.ipynb").read_bytes() == before


def test_a_newer_version_is_put_beside_once_and_said(course):
    notebooks, work = course
    student.sync(notebooks, work)
    write(work, "06_saliency", "aaa", "my answer")
    write(notebooks, "06_saliency", "bbb", "new text")
    (change,) = student.sync(notebooks, work)
    assert (change.kind, change.path.name) == ("newer", "06_saliency.v" + "bbb.ipynb")
    assert "yours is kept" in change.message
    assert change.path.read_bytes() == (notebooks / "06_saliency.ipynb").read_bytes()
    assert "my answer" in (work / "06_saliency.ipynb").read_text()
    change.path.write_text("edited too")
    assert student.sync(notebooks, work) == []
    assert change.path.read_text() == "edited too"


def test_a_deleted_notebook_comes_back(course):
    student.sync(*course)
    (course[1] / "06_saliency.ipynb").unlink()
    assert [change.path.name for change in student.sync(*course)] == ["06_saliency.ipynb"]


@pytest.mark.parametrize("content", [b"{not json", b"\xff\xfe", b"[]", b'{"cells": 3}', b""])
def test_an_unreadable_notebook_is_left_alone_and_reported(course, content):
    student.sync(*course)
    mine = course[1] / "06_saliency.ipynb"
    mine.write_bytes(content)
    (change,) = student.sync(*course)
    assert change.kind == "unreadable"
    assert "06_saliency.ipynb cannot be read" in change.message
    assert mine.read_bytes() == content
    assert files(course[1]) == files(course[0])


def test_a_copy_that_does_not_say_its_version_gets_the_courses_beside(course):
    student.sync(*course)
    bare = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (course[1] / "06_saliency.ipynb").write_text(json.dumps(bare))
    (change,) = student.sync(*course)
    assert change.path.name == "06_saliency.vaaa.ipynb"


def test_the_students_other_files_stay(course):
    course[1].mkdir()
    (course[1] / "notes.txt").write_text("mine")
    student.sync(*course)
    assert (course[1] / "notes.txt").read_text() == "mine"


def test_a_file_that_appears_meanwhile_wins(course, monkeypatch):
    """Between looking and writing, somebody else takes the name."""
    monkeypatch.setattr(student.os.path, "lexists", lambda _: False)
    course[1].mkdir()
    (course[1] / "06_saliency.ipynb").write_bytes(b'{"cells": [], "metadata": {}}')
    student.sync(*course)
    assert (course[1] / "06_saliency.ipynb").read_bytes() == b'{"cells": [], "metadata": {}}'


def test_many_at_once_give_one_whole_copy_each(course):
    changes = []
    work = [
        threading.Thread(target=lambda: changes.extend(student.sync(*course))) for _ in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(change.path.name for change in changes) == files(course[0])
    assert files(course[1]) == files(course[0])


def test_a_copy_that_breaks_off_leaves_nothing(course, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")

    def link(*_):
        raise full

    monkeypatch.setattr(student.os, "link", link)
    with pytest.raises(student.WorkError, match="No space left on device"):
        student.sync(*course)
    assert files(course[1]) == []


def test_disks_without_hard_links_work_too(course, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(student.os, "link", link)
    student.sync(*course)
    assert files(course[1]) == files(course[0])
    monkeypatch.setattr(student.os.path, "lexists", lambda _: False)
    (course[1] / "06_saliency.ipynb").write_text('{"cells": [], "metadata": {}}')
    student.sync(*course)
    assert (course[1] / "06_saliency.ipynb").read_text() == '{"cells": [], "metadata": {}}'


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="rights do not bind this user or system"
)
def test_a_read_only_folder_is_a_clear_error(course):
    course[1].mkdir(mode=0o555)
    with pytest.raises(student.WorkError, match=r"cannot write to your folder .*work"):
        student.sync(*course)


def test_a_refused_write_is_a_clear_error(course, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(student, "_write_new", refused)
    with pytest.raises(student.WorkError, match=r"cannot write to your folder .*COURSE_WORK"):
        student.sync(*course)


def test_a_file_in_the_folders_place_is_a_clear_error(course):
    course[1].write_text("a file")
    with pytest.raises(student.WorkError, match="cannot write to your folder"):
        student.sync(*course)


def test_no_notebooks_is_said_with_the_remedy(tmp_path):
    with pytest.raises(student.WorkError, match="course build"):
        student.sync(tmp_path, tmp_path / "work")
