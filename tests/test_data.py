"""The data: complete, listed, credited, undamaged; and the pure parts of `rebuild_weights`."""

import csv
import gzip
import hashlib
import importlib.util
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.models import SqueezeNet1_1_Weights

from course_utils.common import paths, weights

DATA = paths.root() / "data"
README = (DATA / "README.md").read_text(encoding="utf-8")
KINDS = ("photos", "paintings", "cutouts")
FREE = re.compile(r"LicenseRef-Public-Domain|CC0-1\.0|CC-BY-\d\.\d")
"""Licences that allow a picture in README, gallery and training."""


def catalogue(kind: str) -> list[dict[str, str]]:
    with (DATA / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows() -> list[dict[str, str]]:
    return [row for kind in KINDS for row in catalogue(kind)]


def licence_ids(expression: str) -> list[str]:
    return re.split(r" (?:AND|OR) ", expression)


@pytest.fixture(scope="module")
def rebuild():
    """`data/rebuild_weights.py` as a module; it is a script beside the package, not in it."""
    spec = importlib.util.spec_from_file_location("rebuild_weights", DATA / "rebuild_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("kind", "count"), [("photos", 225), ("paintings", 19), ("cutouts", 46)])
def test_files_present_and_files_listed_are_the_same(kind, count):
    listed = [row["file"] for row in catalogue(kind)]
    present = {f"{kind}/{path.name}" for path in (DATA / kind).iterdir()}
    assert len(listed) == len(set(listed)) == count
    assert set(listed) == present


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_has_too_many_or_too_few_columns(kind):
    assert all(None not in row and None not in row.values() for row in catalogue(kind))


def test_every_licence_is_an_expression_of_licences_whose_texts_are_here():
    texts = {path.stem for path in (paths.root() / "LICENSES").glob("*.txt")}
    used = {one for row in rows() for one in licence_ids(row["license"])}
    table = re.findall(r"^\| `\w+\.safetensors\.gz` \| ([^|]+) \|", README, re.MULTILINE)
    assert len(table) == 4
    used |= {one for expression in table for one in licence_ids(expression.strip())}
    assert used | {"MIT"} == texts


@pytest.mark.parametrize(
    ("licence", "opening"),
    [
        ("MIT", "MIT License"),
        ("BSD-2-Clause", "Redistribution and use in source and binary forms"),
        ("Apache-2.0", "Version 2.0, January 2004"),
        ("CC0-1.0", "CC0 1.0 Universal"),
        ("CC-BY-2.0", "Attribution 2.0"),
        ("CC-BY-3.0", "Attribution 3.0 Unported"),
        ("CC-BY-4.0", "Attribution 4.0 International"),
        ("CC-BY-SA-4.0", "Attribution-ShareAlike 4.0 International"),
        ("GPL-2.0-or-later", "Version 2, June 1991"),
        ("GPL-3.0-or-later", "Version 3, 29 June 2007"),
    ],
)
def test_licence_texts_are_whole_and_the_right_ones(licence, opening):
    text = (paths.root() / "LICENSES" / f"{licence}.txt").read_text(encoding="utf-8")
    assert opening in text[:400]
    assert len(text) > 1000


def test_the_courses_own_licence_points_to_the_data():
    text = (paths.root() / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License")
    assert "2026 The authors of" in text
    assert "data/README.md" in text
    assert "<" not in text  # no placeholder left


def test_every_picture_names_its_maker_and_its_source():
    for row in rows():
        maker, source = (
            row.get("author") or row.get("artist"),
            row.get("source_url") or row["source"],
        )
        assert maker, f"{row['file']} names no author or artist"
        assert source, f"{row['file']} names no source"
        # CC-BY and GPL ask for notice of changes; a painting's source says how it was put together
        assert row.get("changes") or "artist" in row, f"{row['file']} does not say what was changed"


def test_photo_sources_are_addresses():
    assert all(row["source_url"].startswith("https://") for row in catalogue("photos"))


def test_no_cell_holds_a_path_of_a_computer():
    for row in rows():
        for key, cell in row.items():
            if key != "source_url":
                assert not re.search(r"(^|\s)(/|~/|[A-Za-z]:\\)\w", cell), (row["file"], key, cell)


def test_labels_are_imagenets_and_fit_their_index():
    names = SqueezeNet1_1_Weights.DEFAULT.meta["categories"]
    labelled = [row for row in catalogue("photos") if row["label"]]
    assert len(labelled) == 83
    assert all(names[int(row["label_index"])] == row["label"] for row in labelled)
    assert all(not row["label_index"] for row in catalogue("photos") if not row["label"])
    for row in catalogue("photos"):
        assert {row["squeezenet_top1"], row["efficientnet_lite0_top1"]} <= set(names)


def test_label_corrections_stay():
    """Four labels of the source were plainly wrong (a perch as hammerhead, a duck as goose ...)."""
    labels = {Path(row["file"]).stem: row["label"] for row in catalogue("photos")}
    assert [labels[name] for name in ("fish14", "fish21", "fish3", "duck")] == [""] * 4
    assert labels["chelsea"] == "tabby"


def thumbnails():
    """All photos as (n,3,32,32), and their names."""
    small = []
    for row in catalogue("photos"):
        with Image.open(DATA / row["file"]) as image:
            array = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX))
        small.append(torch.from_numpy(array.copy()).movedim(-1, 0) / 255)
    return torch.stack(small), [Path(row["file"]).stem for row in catalogue("photos")]


def close_pairs(one, other, names):
    """Pairs of different photos under .05 rms, or over .95 in correlation, as thumbnails."""
    one, other = one.flatten(1), other.flatten(1)
    rms = torch.cdist(one, other) / one.shape[1] ** 0.5
    one, other = (F.normalize(x - x.mean(1, keepdim=True)) for x in (one, other))
    close = ((rms < 0.05) | (one @ other.T > 0.95)).triu(1)
    return [(names[i], names[j]) for i, j in close.nonzero().tolist()]


def test_no_photo_is_there_twice():
    """Not in another size, not mirrored, not in another light; others differ by .1 rms."""
    small, names = thumbnails()
    assert not close_pairs(small, small, names)
    assert not close_pairs(small, small.flip(3), names)
    sources = [row["source_url"] for row in catalogue("photos") if "wikimedia" in row["source_url"]]
    assert len(sources) > 100
    assert len(sources) == len(set(sources))


def test_a_photo_that_is_there_twice_would_be_found():
    with Image.open(DATA / "photos/colosseum.jpg") as image:
        image = image.convert("RGB")
        sizes = [image.resize((300, 200)), image.resize((230, 150))]
        arrays = [np.asarray(i.resize((32, 32), Image.Resampling.BOX)).copy() for i in sizes]
    small = torch.stack([torch.from_numpy(a).movedim(-1, 0) / 255 for a in arrays])
    assert close_pairs(small, small, ["one", "two"]) == [("one", "two")]
    darker = torch.stack([small[0], small[1] * 0.6])
    assert close_pairs(darker, darker, ["one", "two"]) == [("one", "two")]


@pytest.mark.parametrize("kind", ["photos", "paintings"])
def test_photos_and_paintings_open(kind):
    for row in catalogue(kind):
        with Image.open(DATA / row["file"]) as image:
            image.load()
            assert min(image.size) >= 100, row["file"]
            assert max(image.size) <= (480 if kind == "photos" else 800), row["file"]


def test_cutouts_are_rgba_and_have_a_mask_worth_the_name():
    for row in catalogue("cutouts"):
        with Image.open(DATA / row["file"]) as image:
            assert image.mode == "RGBA", row["file"]
            mask = np.asarray(image)[..., 3] > 127
        assert 0.1 < mask.mean() < 0.95, (row["file"], mask.mean())


def test_pictures_allowed_in_readme_and_gallery():
    """The rule of data/README.md finds enough pictures and lets no share-alike one through."""
    free = [row for row in rows() if FREE.fullmatch(row["license"])]
    assert len([row for row in free if row["file"].startswith("photos/")]) == 190
    assert len([row for row in free if row["file"].startswith("paintings/")]) == 8
    assert not any("SA" in row["license"] or "GPL" in row["license"] for row in free)
    names = {Path(row["file"]).stem for row in free}
    assert {"chelsea", "panda", "koala", "night_cafe"} <= names
    assert "great_wave_off_kanagawa" not in names


def test_weights_are_whole_and_the_readme_gives_their_sums():
    lines = (DATA / "weights" / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert set(sums) == {path.name for path in (DATA / "weights").glob("*.gz")}
    for name, digest in sums.items():
        assert hashlib.sha256((DATA / "weights" / name).read_bytes()).hexdigest() == digest
        assert re.search(rf"^\| `{name}` \|.*`{digest}` \|$", README, re.MULTILINE), name


def test_folding_equals_preprocessing_first(rebuild):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 3, 3, 3, generator=generator)
    bias = torch.randn(7, generator=generator)
    pixels = torch.rand(2, 3, 9, 11, generator=generator)
    caffe = 255 * pixels.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    folded = F.conv2d((pixels - mean) / std, *rebuild.fold_preprocessing(weight, bias))
    expected = F.conv2d(caffe, weight, bias)
    assert expected.std() > 100  # float32 rounding of such sums is about 1e-4
    torch.testing.assert_close(folded, expected, rtol=1e-4, atol=2e-3)


def test_folding_leaves_its_arguments_alone(rebuild):
    weight, bias = torch.ones(2, 3, 1, 1), torch.ones(2)
    rebuild.fold_preprocessing(weight, bias)
    assert weight.eq(1).all()
    assert bias.eq(1).all()


def test_a_keras_kernel_is_turned_into_torchs_order(rebuild):
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    weight, bias = rebuild.from_keras(kernel, np.zeros(5, np.float32))
    assert weight.shape == (5, 4, 2, 3)
    assert weight[4, 2, 1, 0] == kernel[1, 0, 2, 4]
    assert bias.shape == (5,)


def load_safely(rebuild, content: bytes, folder: Path) -> object:
    path = folder / "weights.pkl"
    path.write_bytes(content)
    with path.open("rb") as file:
        return rebuild.NumpyUnpickler(file).load()


def test_the_unpickler_reads_arrays(rebuild, tmp_path):
    arrays = {"conv1": [np.arange(6.0).reshape(2, 3), np.ones(2, np.float32)]}
    # NumPy 2 moved the module; files written before it name the old place
    content = pickle.dumps(arrays, protocol=3).replace(b"numpy._core.", b"numpy.core.")
    found = load_safely(rebuild, content, tmp_path)
    np.testing.assert_array_equal(found["conv1"][0], arrays["conv1"][0])


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize("what", [Attack(), eval, Path("x")], ids=["call", "builtin", "class"])
def test_the_unpickler_refuses_everything_else(rebuild, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        load_safely(rebuild, pickle.dumps({"conv1": what}), tmp_path)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("change", "agrees", "words"),
    [
        (lambda t: t, True, "stored in other bytes"),
        (lambda t: t + 1e-6, True, "rounding"),
        (lambda t: t + 1e-2, False, "different: a by 1.0e-02"),
        (lambda t: t.half(), False, "other names, shapes or types"),
    ],
)
def test_the_verdict_on_a_rebuilt_file(rebuild, tmp_path, monkeypatch, change, agrees, words):
    tensors = {"a": torch.linspace(0, 1, 5), "b": torch.ones(3)}
    monkeypatch.setattr(rebuild, "SHIPPED", tmp_path)
    monkeypatch.setattr(rebuild, "expected_sums", lambda: {"net.safetensors.gz": "0" * 64})
    (tmp_path / "net.safetensors.gz").write_bytes(rebuild.packed(tensors))
    new = tmp_path / "new" / "net.safetensors.gz"
    new.parent.mkdir()
    new.write_bytes(rebuild.packed(tensors | {"a": change(tensors["a"])}))
    same, sentence = rebuild.verdict(new)
    assert same is agrees
    assert words in sentence


def test_every_shipped_weight_file_has_a_conversion(rebuild):
    shipped = {path.name for path in (DATA / "weights").glob("*.gz")}
    assert {f"{name}.safetensors.gz" for name in rebuild.CONVERSIONS} == shipped
    assert set(rebuild.expected_sums()) == shipped


def opened(rebuild, tensors):
    """What `packed` writes, as `read_weights` would open it."""
    return weights.decode(rebuild.load(gzip.decompress(rebuild.packed(tensors))))


def test_numbers_stored_by_bytes_come_back_as_they_were(rebuild):
    for dtype in (torch.float16, torch.float32):
        info = torch.finfo(dtype)
        edges = [0.0, -0.0, info.max, info.min, info.tiny, info.tiny / 4, 1 + info.eps, -1 / 3]
        tensors = {
            "edges": torch.tensor(edges, dtype=dtype).view(2, 4),
            "noise": torch.randn(3, 4, 5, 6, generator=torch.manual_seed(0)).to(dtype),
            "one": torch.tensor(2.5, dtype=dtype),
        }
        found = opened(rebuild, tensors)
        assert all(torch.equal(found[name], t.float()) for name, t in tensors.items())
        assert found["edges"].signbit().flatten()[1]
        assert all(t.dtype == torch.float32 for t in found.values())


def test_counters_stay_whole_numbers(rebuild):
    found = opened(rebuild, {"seen": torch.tensor(7)})
    assert found["seen"].dtype == torch.int64
    assert found["seen"] == 7


def test_a_matrix_in_8_bits_is_off_by_half_a_step_at_most(rebuild):
    rows = torch.randn(30, 20, 3, 3, generator=torch.manual_seed(0))
    rows *= torch.logspace(-3, 2, 30).view(-1, 1, 1, 1)  # each row has a step of its own
    rows[4, 0, 0, 0] = 50 * rows[4].std()  # with steps of rms / 20 this one would not fit 8 bits
    stored = rebuild.in_8_bits(
        {"w": rows, "kept": rows, "b": rows[:, 0, 0, 0]}, rebuild.STEP, keep="kept"
    )
    assert stored["w"].dtype == torch.int8
    assert {name: t.dtype for name, t in stored.items() if name in ("kept", "b")} == {
        "kept": torch.float16,
        "b": torch.float16,
    }
    found = opened(rebuild, stored)
    assert set(found) == {"w", "kept", "b"}
    step = stored["w.scale"].view(-1, 1, 1, 1)
    assert ((found["w"] - rows).abs() <= 0.501 * step).all()
    off = ((found["w"] - rows).flatten(1).norm(dim=1) / rows.flatten(1).norm(dim=1)).tolist()
    assert max(off[:4] + off[5:]) < 0.016  # 0.05 / sqrt(12) = .0144
    assert off[4] > 0.02


def test_a_row_of_zeros_stays_zero(rebuild):
    rows = torch.randn(80, 80, generator=torch.manual_seed(0))
    rows[3] = 0
    found = opened(rebuild, rebuild.in_8_bits({"w": rows}, rebuild.STEP))["w"]
    assert found.isfinite().all()
    assert not found[3].any()


def test_the_transformer_has_the_tensors_of_its_architecture():
    found = weights.read_weights("vit_small_dinov2_saliency")
    with torch.device("meta"):
        network = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0)
    network.load_state_dict(found, strict=True, assign=True)
    assert found["pos_embed"].shape == (1, 1 + 37 * 37, 384)


def test_the_folder_holds_what_its_readme_lists():
    present = {path.name for path in DATA.iterdir() if not path.name.startswith((".", "_"))}
    listed = set(re.findall(r"`([\w.]+)/?`", README.split("## Weights")[0]))
    scripts = {path.name for path in DATA.glob("rebuild_*.py")}
    assert present - {"README.md"} - scripts == listed
