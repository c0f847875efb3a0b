"""Files are found from any directory, and a wrong folder gives one clear error."""

import pytest

from course_utils.common import paths


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("COURSE_DATA", "COURSE_WORK"):
        monkeypatch.delenv(name, raising=False)


def test_root_holds_the_project():
    assert (paths.root() / "pyproject.toml").is_file()
    assert (paths.root() / "course_utils" / "common" / "paths.py").is_file()


def test_everything_is_found_from_another_directory(monkeypatch, tmp_path):
    before = paths.root(), paths.data("photos.csv"), paths.work()
    monkeypatch.chdir(tmp_path)
    assert (paths.root(), paths.data("photos.csv"), paths.work()) == before
    assert paths.data("photos.csv").is_file()


def test_data_joins_parts():
    assert paths.data("photos", "panda.jpg") == paths.data() / "photos" / "panda.jpg"


def test_what_a_command_stored_is_read_and_a_missing_file_is_named(monkeypatch, tmp_path):
    (tmp_path / "photos.csv").write_text("file\n", encoding="utf-8")
    (tmp_path / "far.json").write_text('{"é": [1, 0.5]}', encoding="utf-8")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert paths.stored("far.json") == {"é": [1, 0.5]}
    with pytest.raises(FileNotFoundError, match=r"near\.json"):
        paths.stored("near.json")


def test_course_data_names_another_folder(monkeypatch, tmp_path):
    (tmp_path / "photos.csv").write_text("file\n", encoding="utf-8")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert paths.data("weights") == tmp_path / "weights"


def test_course_data_may_begin_with_a_tilde(monkeypatch, tmp_path):
    (tmp_path / "photos.csv").write_text("file\n", encoding="utf-8")
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, str(tmp_path.parent))
    monkeypatch.setenv("COURSE_DATA", f"~/{tmp_path.name}")
    assert paths.data() == tmp_path


def test_an_empty_course_data_counts_as_unset(monkeypatch):
    default = paths.data()
    monkeypatch.setenv("COURSE_DATA", "")
    assert paths.data() == default


def test_a_wrong_course_data_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere.*COURSE_DATA.*no photos\.csv"):
        paths.data("photos")


def test_a_package_without_its_source_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "_SOURCE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no lectures/.*python course\.py lab"):
        paths.root()
    with pytest.raises(FileNotFoundError, match="of the source folder"):
        paths.data()


def test_work_is_inside_the_project_unless_named(monkeypatch, tmp_path):
    assert paths.work() == paths.root() / "work"
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    assert paths.work() == tmp_path
