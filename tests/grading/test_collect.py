"""Finding submissions: platforms' names, a student's zip, and everything that is not one."""

import json
import stat
import unicodedata
import zipfile

import pytest
from submitted import RIGHT, notebook

from course_utils.grading.trusted import collect, submission
from course_utils.grading.trusted.collect import CollectError, Handed
from course_utils.grading.trusted.submission import SubmissionError

GOOD = json.dumps(notebook(RIGHT))


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    """A zip of names (or ZipInfo) and contents."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target


def summary(place):
    """Student, notebook and problem of everything found."""
    return [(h.student, h.notebook, h.problem) for h in collect.collect(place)[0]]


def names(place):
    return [(student, notebook) for student, notebook, _ in summary(place)]


# ------------------------------------------------------------------ layouts


def test_a_folder_of_notebooks(tmp_path):
    for name in ("ada.ipynb", "06_saliency_bob.ipynb", "eve (2).IPYNB", "zoe.ipynb.txt"):
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "list.csv").write_text("a,b")
    (tmp_path / ".hidden.ipynb").write_text(GOOD)
    found, remarks = collect.collect(tmp_path)
    assert [h.student for h in found] == ["ada", "bob", "eve", "zoe"]
    assert remarks == ["left aside: list.csv: it is no notebook"]
    assert all(collect.read(h) == GOOD.encode() for h in found)


def test_a_folder_for_each_student(tmp_path):
    for path in ("ada/06_saliency.ipynb", "ada/deep/er/07.ipynb", "bob/notes.pdf", "eve/.x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(GOOD)
    (tmp_path / "ada" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "ada" / ".ipynb_checkpoints" / "old.ipynb").write_text(GOOD)
    assert summary(tmp_path) == [
        ("ada", "06_saliency.ipynb", ""),
        ("ada", "07.ipynb", ""),
        ("bob", "(none)", "no notebook was handed in, only: notes.pdf"),
        ("eve", "(none)", "nothing was handed in"),
    ]


@pytest.mark.parametrize(
    ("members", "students"),
    [
        (["Ada L_4711_assignsubmission_file_/06.ipynb"], ["Ada L_4711"]),
        (["Ada L_4711_assignsubmission_file/06.ipynb"], ["Ada L_4711"]),
        (["Ada L_4711_assignsubmission_file_06.ipynb"], ["Ada L_4711"]),
        (["Ada L_1_assignsubmission_file_/a.ipynb", "Ada L_2_assignsubmission_file_/a.ipynb"], 2),
        (["lovelaceada_10542_99321_06_saliency.ipynb"], ["lovelaceada_10542"]),
        (["lovelaceada_LATE_10542_99321_06_saliency.ipynb"], ["lovelaceada_10542"]),
        (["export/ada/06.ipynb", "export/bob/06.ipynb"], ["ada", "bob"]),
        (["class/ada.ipynb", "class/bob.ipynb"], ["ada", "bob"]),
        (["ada/06.ipynb"], ["ada"]),
        (["ada\\06.ipynb", "__MACOSX/ada/._06.ipynb", "ada/"], ["ada"]),
        (["bob/"], ["bob"]),
    ],
)
def test_what_platforms_export(tmp_path, members, students):
    path = zipped(tmp_path / "class.zip", [(name, GOOD) for name in members])
    found = [student for student, _ in names(path)]
    assert len(found) == students if isinstance(students, int) else found == students


def test_a_students_own_zip_counts_as_a_folder(tmp_path):
    inner = zipped(tmp_path / "06_saliency.zip", [("06_saliency.ipynb", GOOD), ("a.txt", "")])
    members = [("Ada_4711_assignsubmission_file_06_saliency.zip", inner.read_bytes())]
    outer = zipped(tmp_path / "class.zip", members)
    (one,) = collect.collect(outer)[0]
    assert (one.student, one.notebook, one.inside) == ("Ada_4711", "06_saliency.ipynb", (0, 0))
    assert collect.read(one) == GOOD.encode()
    inner.rename(tmp_path / "bob.zip")
    outer.unlink()
    (one,) = collect.collect(tmp_path)[0]
    assert (one.student, collect.read(one)) == ("bob", GOOD.encode())


def test_notebooks_of_one_name_are_shown_with_their_folders(tmp_path):
    for path in ("ada/new/06.ipynb", "ada/old/06.ipynb", "ada/deep/07.ipynb", "bob/08.ipynb"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(GOOD)
    inner = zipped(tmp_path / "ada" / "more.zip", [("06.IPYNB", GOOD)])
    assert inner.is_file()
    found = collect.collect(tmp_path)[0]
    assert sorted(h.notebook for h in found) == [
        "07.ipynb",
        "08.ipynb",
        "more.zip/06.IPYNB",
        "new/06.ipynb",
        "old/06.ipynb",
    ]
    assert len({place.casefold() for place in collect.places(found)}) == 5


def test_a_single_notebook(tmp_path):
    path = tmp_path / "ada.ipynb"
    path.write_text(GOOD)
    assert names(path) == [("ada", "ada.ipynb")]


def test_nothing_there(tmp_path):
    with pytest.raises(CollectError, match="there is no"):
        collect.collect(tmp_path / "nowhere")
    with pytest.raises(CollectError, match="nothing was handed in"):
        collect.collect(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 not really")
    with pytest.raises(CollectError, match="cannot be opened as a zip"):
        collect.collect(tmp_path / "a.zip")


# ------------------------------------------------------------------ hostile


MOODLE = "Eve N_3_assignsubmission_file_"


@pytest.mark.parametrize("inner", ["Ada L/06.ipynb", "Ada L_1_assignsubmission_file_/06.ipynb"])
def test_the_inside_of_a_zip_names_nobody(tmp_path, inner):
    """Whose it is says the platform, or the instructor: never a folder that a student has made."""
    members = [(inner, GOOD), ("Bob M/06.ipynb", GOOD)]
    own = zipped(tmp_path / f"{MOODLE}work.zip", members)
    assert {s for s, _ in names(own)} == {"Eve N_3"}
    unpacked = [(f"{MOODLE}/{name}", content) for name, content in members]
    for outer in (zipped(tmp_path / "a.zip", unpacked), zipped(tmp_path / "CS1-7.zip", unpacked)):
        assert {s for s, _ in names(outer)} == {"Eve N_3"}
    packed = zipped(tmp_path / "b.zip", [(f"{MOODLE}/work.zip", own.read_bytes())])
    assert {s for s, _ in names(packed)} == {"Eve N_3"}
    plain = own.rename(tmp_path / "work.zip")
    assert {h.student for h in collect.collect(plain, "Eve")[0]} == {"Eve"}


def test_a_folder_around_all_is_told(tmp_path):
    path = zipped(
        tmp_path / "c.zip", [(f"export/{name}/06.ipynb", GOOD) for name in ("ada", "bob")]
    )
    found, remarks = collect.collect(path)
    assert [h.student for h in found] == ["ada", "bob"]
    assert remarks == ["export: taken for a folder around all students', not for one's"]


def test_what_cannot_be_looked_through_keeps_nobody_else(tmp_path, monkeypatch):
    for name in ("ada", "eve", "zoe"):
        zipped(tmp_path / f"{name}.zip", [("06.ipynb", GOOD)])
    real = collect._opened

    def opened(file, inside):
        if "eve" in file:
            raise AttributeError("nobody thought of that")
        return real(file, inside)

    monkeypatch.setattr(collect, "_opened", opened)
    found = summary(tmp_path)
    assert [(s, p) for s, _, p in found if p] == [
        ("eve", "it cannot be looked through (AttributeError)")
    ]
    assert len(found) == 3


def test_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_text(GOOD)
    folder = tmp_path / "in"
    (folder / "eve").mkdir(parents=True)
    (folder / "eve" / "06.ipynb").symlink_to(secret)
    (folder / "mallory").symlink_to(tmp_path, target_is_directory=True)
    problem = "it is a link, and links are not followed"
    assert summary(folder) == [("eve", "06.ipynb", problem), ("mallory", "mallory", problem)]
    path = zipped(tmp_path / "c.zip", [link("eve/06.ipynb", str(secret)), ("bob/06.ipynb", GOOD)])
    assert summary(path) == [("bob", "06.ipynb", ""), ("eve", "06.ipynb", problem)]


@pytest.mark.parametrize("name", ["../../b/6.ipynb", "/etc/6.ipynb", "C:\\6.ipynb", "a/../6.ipynb"])
def test_names_that_lead_out_of_the_zip(tmp_path, name):
    inner = zipped(tmp_path / "c.zip", [(name, "{}"), ("bob/06.ipynb", GOOD)])
    found, remarks = collect.collect(inner)
    assert [h.student for h in found] == ["bob"]
    assert "leads out of the zip" in remarks[0]
    members = [("eve/x.zip", inner.read_bytes()), ("bob/06.ipynb", GOOD)]
    found = summary(zipped(tmp_path / "d.zip", members))
    assert found == [
        ("bob", "06.ipynb", ""),
        ("eve", "6.ipynb", "its name leads out of the zip"),
        ("eve", "06.ipynb", ""),
    ]


def test_bombs_are_read_no_further_than_a_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "LARGEST", 1 << 20)
    members = [("eve/06.ipynb", b" " * (50 << 20)), ("bob/06.ipynb", GOOD)]
    bob, eve = collect.collect(zipped(tmp_path / "c.zip", members))[0]
    assert collect.read(bob) == GOOD.encode()
    with pytest.raises(SubmissionError, match="larger than 1 MB"):
        collect.read(eve)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_whole_blocks_are_refused(tmp_path, method):
    path = zipped(tmp_path / "c.zip", [("eve/06.ipynb", b" " * (1 << 20))], method)
    (one,) = collect.collect(path)[0]
    with pytest.raises(SubmissionError, match="unusual way"):
        collect.read(one)


def test_damaged_and_encrypted_zips_are_their_owners_problem(tmp_path):
    whole = zipped(tmp_path / "w.zip", [("06.ipynb", GOOD * 9)]).read_bytes()
    torn = whole[: len(whole) // 2]
    spoiled = bytearray(whole)
    spoiled[60:90] = b"\xff" * 30
    locked = bytearray(whole)
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag "encrypted" in both headers
        locked[whole.index(mark) + at] |= 1
    many = zipped(tmp_path / "m.zip", [(f"{i}.ipynb", "") for i in range(50)]).read_bytes()
    contents = {"torn": torn, "spoiled": spoiled, "locked": locked, "many": many, "none": b""}
    members = [(f"{name}/a.zip", bytes(data)) for name, data in contents.items()]
    found, _ = collect.collect(zipped(tmp_path / "c.zip", [*members, ("bob/a.ipynb", GOOD)]))
    words = {"torn": "damaged", "spoiled": "damaged", "locked": "encrypted", "none": "damaged"}
    words["many"] = "50 notebooks were handed in; accepted: 40"
    assert [h.student for h in found] == sorted([*contents, "bob"])
    for handed in found:
        if handed.student != "bob":
            with pytest.raises(SubmissionError, match=words[handed.student]):
                collect.read(handed)
            assert len(collect.digest(handed)) == 64


def test_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "_MEMBERS", 3)
    with pytest.raises(CollectError, match="4 entries"):
        collect.collect(zipped(tmp_path / "c.zip", [(f"{i}/a.ipynb", "") for i in range(4)]))


def test_odd_names_stay_apart_and_are_safe_to_show(tmp_path):
    odd = ["a\nb", "\u202eevil", "<script>", "x" * 300, "CON", "--help", "ada ", "Ada", "ada"]
    path = zipped(tmp_path / "c.zip", [(f"{name}/06.ipynb", GOOD) for name in odd])
    found = collect.collect(path)[0]
    assert len({h.student for h in found}) == len(odd)
    assert all(h.student.isprintable() and len(h.student) < 100 for h in found)
    places = collect.places(found, ["con"])
    assert len({place.casefold() for place in places}) == len(odd)
    assert all(place.count("/") == 1 and ".." not in place.split("/") for place in places)
    assert not any(place.startswith("CON/") for place in places)


def test_one_name_in_two_spellings_is_one_student(tmp_path):
    both = [unicodedata.normalize(form, "Jos\u00e9") for form in ("NFC", "NFD")]
    path = zipped(tmp_path / "c.zip", [(f"{n}/{i}.ipynb", GOOD) for i, n in enumerate(both)])
    assert len({h.student for h in collect.collect(path)[0]}) == 1


def test_places_differ_for_every_notebook():
    handed = [Handed("Ada B", "a.ipynb", "1"), Handed("Ada_B", "a.ipynb", "2")]
    handed += [Handed("ada_b", "a.ipynb", "3"), Handed("eve", "a.ipynb", "4")]
    handed += [Handed("eve", "A.ipynb", "5"), Handed("class.csv", "a.ipynb", "6")]
    places = collect.places(handed, ["class.csv"])
    assert len({place.casefold() for place in places}) == len(handed)
    assert places[3] == "eve/a"
    assert places[5].startswith("class.csv-")
