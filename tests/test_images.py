"""Every kind of picture becomes (3,H,W) in 0-1, and everything else one clear error."""

import io
import struct
import warnings

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from course_utils import images
from course_utils.common import paths

COLOUR = (204, 102, 51)  # in the palette that Pillow gives mode P
EXPECTED = torch.tensor(COLOUR)[:, None, None] / 255


def plain(mode="RGB", size=(6, 4), colour=COLOUR):
    """A picture of one colour, 6 wide and 4 high."""
    return Image.new("RGB", size, colour).convert(mode)


def encoded(image, kind="PNG", **options):
    """The bytes of a file with that picture."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def is_canonical(pixels):
    """(3,H,W) float32 in 0-1 on the CPU."""
    fine = pixels.dtype == torch.float32 and pixels.device.type == "cpu" and pixels.is_contiguous()
    return fine and pixels.shape[0] == 3 and pixels.min() >= 0 and pixels.max() <= 1


# ------------------------------------------------------------------ files of every mode


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "HSV", "YCbCr"])
def test_colour_modes_keep_the_colour(mode):
    source = plain("RGBA").convert("RGBa") if mode == "RGBa" else plain(mode)
    pixels = images.read(source)
    assert is_canonical(pixels)
    assert pixels.shape == (3, 4, 6)
    assert torch.allclose(pixels, EXPECTED.expand(3, 4, 6), atol=0.02)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L"])
@pytest.mark.parametrize("value", [0, 255])
def test_grey_modes_become_three_equal_channels(mode, value):
    full = 257 * value if mode.startswith("I;16") else value
    if mode in ("LA", "La"):
        source = plain(colour=(value,) * 3).convert("LA").convert(mode)
    else:
        source = Image.new(mode, (6, 4), full)
    pixels = images.read(source)
    assert is_canonical(pixels)
    assert torch.equal(pixels, torch.full((3, 4, 6), value / 255))


def test_lab_is_colour_and_not_transparency():
    assert images.read(Image.new("LAB", (2, 2), (0, 128, 128))).max() < 0.1  # L = 0: black


@pytest.mark.parametrize("top", [150, 30000, 65535])
def test_sixteen_bits_are_scaled_by_their_range_not_by_their_content(top):
    values = np.linspace(0, top, 24).astype(np.uint16).reshape(4, 6)
    pixels = images.read(encoded(Image.fromarray(values)))
    assert torch.allclose(pixels[0], torch.from_numpy(values / 65535).float(), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(k, "RGB") for k in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "TGA")]
    + [("GIF", "P"), ("PNG", "P"), ("TIFF", "CMYK"), ("JPEG", "CMYK")],
)
def test_file_formats(kind, mode, tmp_path):
    content = encoded(plain(mode, (24, 16)), kind)
    pixels = images.read(content)
    assert is_canonical(pixels)
    assert torch.allclose(pixels, EXPECTED.expand(3, 16, 24), atol=0.03)
    file = tmp_path / f"picture.{kind.lower()}"
    file.write_bytes(content)
    for same in (file, str(file), memoryview(content), bytearray(content)):
        assert torch.equal(images.read(same), pixels)


# Kind of file, mode, options: what telephones, cameras, scanners and programs write.
KINDS = [
    *[("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[("JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")],
    ("JPEG", "RGB", {"progressive": True, "subsampling": "4:1:1"}),
    ("MPO", "RGB", {}),
    *[("JPEG2000", mode, {}) for mode in ("L", "LA", "RGB", "RGBA")],
    *[("WEBP", mode, {"lossless": True}) for mode in ("RGB", "RGBA")],
    ("AVIF", "RGB", {}),
    *[("TIFF", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F")],
    *[("TIFF", "RGB", {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")],
    *[("GIF", mode, {}) for mode in ("L", "P")],
    *[("BMP", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")],
    *[("PPM", mode, {}) for mode in ("1", "L", "I;16", "RGB")],
    *[("TGA", mode, {"compression": "tga_rle"}) for mode in ("L", "P", "RGB", "RGBA")],
    *[(kind, "RGB", {}) for kind in ("DDS", "DIB", "PCX", "SGI", "QOI")],
]


@pytest.mark.parametrize(("kind", "mode", "options"), KINDS, ids=lambda given: str(given))
def test_every_kind_of_file_shows_what_was_stored(kind, mode, options):
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {kind}")
    left, right = ((255, 255, 255), (0, 0, 0)) if mode == "1" else ((204, 102, 51), (51, 102, 204))
    stored = Image.new("RGB", (64, 32), left)
    stored.paste(right, (32, 0, 64, 32))
    grey = mode in ("1", "L", "LA", "I;16", "F")
    expected = np.asarray(stored.convert("L").convert("RGB") if grey else stored) / 255
    if mode == "I;16":
        image = Image.fromarray((expected[..., 0] * 65535).astype(np.uint16))
    else:
        image = stored.convert("L").convert(mode) if grey else stored.convert(mode)
    pixels = images.read(encoded(image, kind, **options))
    assert is_canonical(pixels)
    away = np.abs(pixels.numpy() - expected.transpose(2, 0, 1))
    assert away[:, 4:-4, [4, 16, 27, 36, 48, 60]].max() < 0.04


def test_of_an_animation_the_first_frame_is_read():
    frames = [plain(colour=c) for c in (COLOUR, (0, 0, 255))]
    for kind in ("GIF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert torch.allclose(images.read(content), EXPECTED.expand(3, 4, 6), atol=0.02)


def test_transparency_is_laid_over_white():
    rgba = plain("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize((6, 4)))
    alpha = torch.from_numpy(np.array(rgba))[..., 3] / 255
    expected = alpha * EXPECTED + 1 - alpha
    assert torch.allclose(images.read(encoded(rgba)), expected, atol=1e-6)
    assert torch.allclose(images.read(rgba), expected, atol=1e-6)


@pytest.mark.parametrize(("kind", "mode"), [("GIF", "P"), ("PNG", "P"), ("PNG", "RGB")])
def test_a_transparent_colour_becomes_white(kind, mode):
    picture = plain(mode, (2, 1))
    content = encoded(picture, kind, transparency=picture.getpixel((0, 0)))
    assert torch.equal(images.read(content), torch.ones(3, 1, 2))


def test_a_transparent_grey_of_sixteen_bits_becomes_white():
    values = np.array([[0, 300, 65535]], np.uint16)
    content = encoded(Image.fromarray(values), transparency=300)
    assert torch.equal(images.read(content)[0], torch.tensor([[0.0, 1.0, 1.0]]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = torch.rand(3, 4, 6).mul(255).round() / 255
    # How a camera stores an upright picture that is to be shown with this orientation.
    stored = {
        1: upright,
        2: upright.flip(2),
        3: upright.flip(1, 2),
        4: upright.flip(1),
        5: upright.mT,
        6: upright.mT.flip(1),
        7: upright.mT.flip(1, 2),
        8: upright.mT.flip(2),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(images.to_pil(stored), exif=exif)
    assert torch.allclose(images.read(content), upright, atol=1e-6)


def test_one_pixel_is_a_picture():
    pixels = images.read(encoded(plain(size=(1, 1))))
    assert torch.allclose(pixels, EXPECTED)
    assert images.read(pixels, max_side=1).shape == (3, 1, 1)


# ------------------------------------------------------------------ colour profiles


def icc(space, tags):
    """A colour profile of version 2: a header, a table of the tags, their contents."""
    body, table = b"", struct.pack(">I", len(tags))
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    connection = b"Lab " if b"A2B0" in tags else b"XYZ "
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4sI4s4s4s", 0, bytes(4), 0x02400000, kind, space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249) + bytes(48)
    whole = header + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def fixed(*numbers):
    return struct.pack(f">{len(numbers)}i", *(round(n * 65536) for n in numbers))


def rgb_profile(columns, gamma):
    """A profile of three primaries, XYZ under D50, and a power law."""
    power = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)}
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {name + b"XYZ": b"XYZ " + bytes(4) + fixed(*column), name + b"TRC": power}
    return icc(b"RGB ", tags)


# Primaries as their profiles give them (columns: red, green, blue), and the exponent.
SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
PROFILES = {
    "Adobe RGB": ((0.610, 0.311, 0.019), (0.205, 0.626, 0.061), (0.149, 0.063, 0.745), 2.2),
    "Display P3": ((0.515, 0.241, -0.001), (0.292, 0.692, 0.042), (0.157, 0.067, 0.784), 2.2),
    "ProPhoto": ((0.798, 0.288, 0), (0.135, 0.712, 0), (0.031, 0, 0.825), 1.8),
}


def as_stored(colours, columns, gamma):
    """8-bit sRGB colours (N,3) as the numbers that mean the same in another RGB."""
    share = colours / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    wide = np.linalg.solve(np.array(columns).T, np.array(SRGB).T @ light.T).T
    return (wide.clip(0, 1) ** (1 / gamma) * 255).round().astype(np.uint8)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("form", ["RGB", "RGBA", "P", "large"])
def test_colours_of_a_profile_are_shown_as_srgb(name, form, monkeypatch):
    *columns, gamma = PROFILES[name]
    colours = np.random.RandomState(0).randint(40, 216, (24, 3))
    stored = Image.fromarray(as_stored(colours, columns, gamma).reshape(4, 6, 3))
    wanted = torch.from_numpy(colours.reshape(4, 6, 3) / 255).movedim(-1, 0).float()
    if form == "RGBA":
        stored.putalpha(Image.linear_gradient("L").resize((6, 4)))
        opaque = torch.from_numpy(np.array(stored))[..., 3] / 255
        wanted = wanted * opaque + 1 - opaque
    if form == "P":
        stored = stored.quantize(256)
    if form == "large":  # shrunk to what it was before the profile is followed
        monkeypatch.setattr(images, "_CHEAP", 0)
        stored = stored.resize((96, 64), Image.NEAREST)
    content = encoded(stored, icc_profile=rgb_profile(columns, gamma))
    pixels = images.read(content, enough=4)
    assert is_canonical(pixels)
    away = (pixels - wanted).abs()
    assert away.max() < 0.025
    assert away.mean() < (images.read(encoded(stored), enough=4) - wanted).abs().mean() / 6


def test_a_profile_of_ink_is_followed():
    # Any ink is a mid grey (L = 50), all of them are black, none is paper: no formula says so.
    tables = struct.pack(">256B", *range(256)) * 4
    lightness = [255, *[128] * 14, 0]
    grid = b"".join(bytes([one, 128, 128]) for one in lightness)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += tables + grid + struct.pack(">256B", *range(256)) * 3
    profile = icc(b"CMYK", {b"A2B0": lut, b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)})
    inks = Image.new("CMYK", (2, 1))
    inks.putpixel((1, 0), (255, 0, 0, 0))
    pixels = images.read(encoded(inks, "TIFF", icc_profile=profile))
    assert pixels[:, 0, 0].min() > 0.97
    assert torch.allclose(pixels[:, 0, 1], torch.tensor(119 / 255), atol=0.02)
    assert images.read(encoded(inks, "TIFF"))[0, 0, 1] < 0.05  # without it: cyan has no red


def test_a_grey_profile_is_followed():
    power = b"curv" + bytes(4) + struct.pack(">IH", 1, 256)  # the numbers are the light itself
    profile = icc(b"GRAY", {b"kTRC": power, b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)})
    pixels = images.read(encoded(plain("L", colour=(55,) * 3), icc_profile=profile))
    assert torch.allclose(pixels, torch.full((3, 4, 6), 128 / 255), atol=0.01)


@pytest.mark.parametrize("profile", [b"no profile", b"", rgb_profile(SRGB, 2.2)[:200]])
def test_a_damaged_profile_is_passed_over(profile):
    assert torch.allclose(images.read(encoded(plain(), icc_profile=profile)), EXPECTED)


def test_a_profile_that_does_not_fit_the_mode_is_passed_over():
    grey = icc(b"GRAY", {b"kTRC": b"curv" + bytes(8)})
    assert torch.allclose(images.read(encoded(plain(), icc_profile=grey)), EXPECTED)


def test_a_profile_that_is_srgb_changes_no_pixel():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = torch.rand(3, 40, 40).mul(255).round() / 255
    assert torch.equal(images.read(encoded(images.to_pil(pixels), icc_profile=profile)), pixels)
    cat = images.photo("chelsea")  # the one photo of the course with a profile: another's sRGB
    with Image.open(cat.path) as file:
        assert file.info["icc_profile"]
        assert torch.equal(images.read(cat), images.read(np.asarray(file)))


# ------------------------------------------------------------------ arrays and tensors


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, ">f4", bool])
def test_arrays_of_every_accepted_kind(shape, dtype):
    full = 255 if dtype is np.uint8 else 1
    array = np.full(shape, full, dtype)
    corner = array if array.ndim == 2 else array[..., :3]  # a fourth channel stays opaque
    corner[0, 0] = 0
    expected = torch.ones(3, 4, 6)
    expected[:, 0, 0] = 0
    assert torch.equal(images.read(array), expected)


@given(st.data())
def test_arrays_and_tensors_agree_and_are_never_changed(data):
    h, w, c = (data.draw(st.integers(1, n)) for n in (9, 9, 4))
    c = 3 if c == 2 else c
    seed = data.draw(st.integers(0, 10**6))
    array = np.random.RandomState(seed).randint(0, 256, (h, w, c)).astype(np.uint8)
    tensor = torch.from_numpy(array.copy()).movedim(-1, 0)
    from_array, from_tensor = images.read(array), images.read(tensor)
    assert is_canonical(from_array)
    assert torch.equal(from_array, from_tensor)
    assert torch.allclose(images.read(tensor / 255), from_tensor, atol=1e-6)
    if c != 4:
        assert torch.allclose(from_tensor, (tensor / 255).expand(3, h, w))
    result = images.read(tensor / 255)
    result.zero_()
    assert torch.equal(tensor.movedim(0, -1), torch.from_numpy(array))


def test_the_result_shares_no_memory_with_the_source():
    tensor, array = torch.rand(3, 4, 6), np.random.rand(4, 6, 3).astype(np.float32)
    before = tensor.clone(), array.copy()
    for source in (tensor, array):
        images.read(source).zero_()
    assert torch.equal(tensor, before[0])
    assert np.array_equal(array, before[1])


def test_flipped_and_read_only_arrays_are_read_without_a_warning():
    array = np.asarray(plain())  # read-only
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.read(array).shape == (3, 4, 6)
        assert images.read(array[::-1, ::-1]).shape == (3, 4, 6)


def test_a_tensor_with_gradient_gives_pixels_without():
    pixels = images.read(torch.rand(3, 4, 6, requires_grad=True))
    assert not pixels.requires_grad


@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 3, 4, 6), (3,), (3, 0, 6), (0, 6), (5, 4, 6)])
def test_tensors_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"source: shape .*accepted: tensor \(3,H,W\)"):
        images.read(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4, 6, 2), (1, 4, 6, 3), (3,), (0, 6, 3), (3, 4, 6)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"source: shape .*accepted: array \(H,W,3\)"):
        images.read(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, float("nan"), float("inf"), -float("inf")])
def test_values_outside_the_range_are_refused(value):
    pixels = torch.full((3, 2, 2), 0.5)
    pixels[1, 1, 1] = value
    for source in (pixels, pixels.movedim(0, -1).numpy()):
        with pytest.raises(ValueError, match=r"source: values from .*denormalize"):
            images.read(source)


def test_integers_other_than_bytes_are_refused_above_one():
    with pytest.raises(ValueError, match="values from 0 to 200"):
        images.read(np.array([[0, 200]]))


def test_rounding_errors_just_outside_the_range_are_clipped():
    pixels = images.read(torch.tensor([[-1e-6, 1 + 1e-6]]))
    assert pixels.aminmax() == (0, 1)


@pytest.mark.parametrize(
    "source",
    [None, 7, [1, 2], {}, np.zeros((2, 2), complex), np.array([["a"]]), torch.zeros(2, 2) * 1j],
    ids=["None", "7", "list", "dict", "complex array", "text array", "complex tensor"],
)
def test_what_is_no_image_is_a_type_error(source):
    with pytest.raises(TypeError, match="source: .*accepted"):
        images.read(source)


# ------------------------------------------------------------------ damaged files


def test_a_missing_file_is_named():
    for name in ("nowhere/panda.jpg", "x" * 5000, "a\0b"):
        with pytest.raises(FileNotFoundError, match="there is no image file"):
            images.read(name)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no image file"):
        images.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"just text", b"\x89PNG\r\n\x1a\n", encoded(plain(size=(64, 64)))[:90]],
    ids=["empty", "text", "only a header", "cut short"],
)
def test_what_is_no_whole_image_is_one_clear_error(content, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"picture\.png is not an image, or is damaged"):
        images.read(file)
    with pytest.raises(ValueError, match="bytes is not an image, or is damaged") as caught:
        images.read(content)
    assert "BytesIO" not in str(caught.value)


def test_a_damaged_pil_image_is_one_clear_error():
    noise = Image.effect_noise((64, 64), 99)
    lazy = Image.open(io.BytesIO(encoded(noise, "JPEG")[:800]))
    with pytest.raises(ValueError, match="the PIL image is not an image, or is damaged"):
        images.read(lazy)


FORMATS = ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "TGA", "ICO", "DDS", "AVIF"]
Image.init()
WRITABLE = [kind for kind in FORMATS if kind in Image.SAVE]  # AVIF is optional in Pillow


@pytest.mark.parametrize("kind", WRITABLE)
def test_damage_gives_pixels_or_a_clear_error_and_never_a_warning(kind):
    small = images.to_pil(images.photo("panda").pixels(40))
    whole, random = encoded(small, kind), np.random.RandomState(0)
    for i in range(60):
        content = bytearray(whole)
        if i % 3 == 0:
            content = content[: random.randint(len(content))]
        reach = min(80, len(content)) if i % 3 == 1 else len(content)  # headers matter most
        for _ in range(random.randint(1, 6) if reach and i % 3 else 0):
            content[random.randint(reach)] = random.randint(256)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert is_canonical(read_or_one_pixel(bytes(content)))


def read_or_one_pixel(content):
    """The picture in a file, or a black pixel where `read` refuses it as it should."""
    try:
        return images.read(content)
    except ValueError as error:
        if not str(error).startswith("source: a file of "):
            raise
        return torch.zeros(3, 1, 1)


def box(brand):
    return b"\0\0\0\x18ftyp" + brand + bytes(80)


FOREIGN = {
    "a HEIC photo": [box(b"heic"), box(b"mif1")],
    "a JPEG XL picture": [b"\xff\x0a" + bytes(20), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20)],
    "a web page": [b"<!DOCTYPE html><title>404</title>", b"\n<html><svg></svg></html>"],
    "an SVG drawing": [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- by hand -->\n<svg/>",
    ],
    "a camera's raw file": [box(b"crx "), b"FUJIFILMCCD-RAW 0201", b"IIRO" + bytes(60)],
    "a PDF document": [b"%PDF-1.7\n"],
    "a video": [box(b"isom"), box(b"qt  "), b"\x1aE\xdf\xa3" + bytes(60)],
    "not an image, or is damaged": [b"", b"<note>hello</note>", box(b"avif"), b"\0\0\0\x18ftyp"],
}


@pytest.mark.parametrize(
    ("kind", "content"), [(kind, one) for kind, many in FOREIGN.items() for one in many]
)
def test_a_file_of_another_kind_is_called_what_it_is(kind, content, tmp_path):
    file = tmp_path / "mine.jpg"
    file.write_bytes(content)
    for source in (file, content):
        with pytest.raises(ValueError, match=f"(mine.jpg|bytes) is {kind}") as caught:
            images.read(source)
        assert "BytesIO" not in str(caught.value)
        assert ("and take that file" in str(caught.value)) == (
            kind not in ("a web page", "not an image, or is damaged")
        )


@pytest.mark.parametrize("tags", [{50706: b"\x01\x04\0\0"}, {254: 1, 330: 8}], ids=["DNG", "NEF"])
def test_a_raw_file_does_not_pass_off_its_thumbnail(tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info.tagtype[tag] = 1 if isinstance(value, bytes) else 4
        info[tag] = value
    content = encoded(plain(), "TIFF", tiffinfo=info)
    with pytest.raises(ValueError, match="is a camera's raw file"):
        images.read(content)
    whole = TiffImagePlugin.ImageFileDirectory_v2()
    whole[254] = 1  # a scanner's file may call itself reduced without having anything larger
    assert torch.allclose(images.read(encoded(plain(), "TIFF", tiffinfo=whole)), EXPECTED)


def test_memory_that_ends_is_no_damaged_file(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(images.decoding.ImageOps, "exif_transpose", full)
    with pytest.raises(MemoryError, match="takes more memory than is free"):
        images.read(encoded(plain()))
    monkeypatch.undo()
    monkeypatch.setattr(images, "_tensor", full)
    with pytest.raises(MemoryError, match="takes more memory than is free"):
        images.read(encoded(plain()))


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_enormous_files_are_refused_before_they_are_decoded(side):
    header = f"P6 {side} {side} 255\n".encode()  # the pixels do not even exist
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"too large|accepted: 1 up to 100 million"):
            images.read(header)


def test_an_empty_pil_image_is_refused():
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        images.read(Image.new("RGB", (0, 5)))


# ------------------------------------------------------------------ size


def smooth(width, height):
    """A picture with no detail finer than a hundredth of its width."""
    coarse = np.random.RandomState(0).randint(0, 256, (12, 16, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.BICUBIC)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "I;16"),
    ],
)
@pytest.mark.parametrize("turned", [1, 6])
def test_a_large_photo_is_decoded_smaller_and_looks_the_same(kind, mode, turned, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = turned
    image = smooth(1200, 900)
    image = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
    content = encoded(image, kind, exif=exif)
    monkeypatch.setattr(images, "_CHEAP", 10**6)
    widths, flatten = [], images._flatten
    monkeypatch.setattr(images, "_flatten", lambda i: widths.append(max(i.size)) or flatten(i))
    small, cropped = images.read(content, 100), images.read(content, enough=150)
    monkeypatch.setattr(images, "_CHEAP", 10**9)
    exact = images.read(content, 100)
    assert small.shape == exact.shape == ((3, 100, 75) if turned == 6 else (3, 75, 100))
    assert (small - exact).abs().mean() < 0.01
    if mode != "I;16":  # two bytes each: those are read whole
        assert 200 <= widths[0] <= 400
        assert 150 <= min(cropped.shape[1:]) < 300
    assert widths[2] == 1200


def test_a_large_pil_image_of_the_caller_is_not_changed(tmp_path, monkeypatch):
    smooth(1200, 900).save(tmp_path / "photo.jpg")
    monkeypatch.setattr(images, "_CHEAP", 0)
    with Image.open(tmp_path / "photo.jpg") as image:
        assert images.read(image, 100).shape == (3, 75, 100)
        assert image.size == (1200, 900)


def test_a_network_sees_the_same_of_a_large_photo(tmp_path, squeezenet, monkeypatch):
    smooth(1200, 900).save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.setattr(images, "_CHEAP", 0)
    small = squeezenet.crop_pixels(tmp_path / "photo.jpg")
    monkeypatch.setattr(images, "_CHEAP", 10**9)
    assert (squeezenet.crop_pixels(tmp_path / "photo.jpg") - small).abs().mean() < 0.01


@given(h=st.integers(1, 60), w=st.integers(1, 60), side=st.integers(1, 60))
def test_max_side_only_shrinks_and_keeps_the_proportions(h, w, side):
    pixels = images.read(torch.rand(3, h, w), max_side=side)
    assert is_canonical(pixels)
    longest = max(h, w)
    if longest <= side:
        assert pixels.shape == (3, h, w)
    else:
        assert max(pixels.shape[1:]) == side
        for ours, given_size in zip(pixels.shape[1:], (h, w), strict=True):
            assert abs(ours - max(1, given_size * side / longest)) <= 0.5


@pytest.mark.parametrize("side", [0, -3])
def test_a_side_below_one_is_refused(side):
    with pytest.raises(ValueError, match=rf"max_side={side}; accepted: 1 pixel or more"):
        images.read(plain(), max_side=side)


def test_shrinking_keeps_the_mean():
    pixels = images.photo("panda").pixels()
    small = images.photo("panda").pixels(60)
    assert torch.allclose(small.mean((1, 2)), pixels.mean((1, 2)), atol=0.01)


# ------------------------------------------------------------------ the course's pictures


def test_the_catalogues_have_all_their_pictures():
    assert len(images.photos()) >= 225
    assert len(images.paintings()) >= 19
    assert len(images.cutouts()) >= 46


@pytest.mark.parametrize("kind", ["photos", "paintings", "cutouts"])
def test_every_picture_exists_once_with_licence_and_credit(kind):
    pictures = getattr(images, kind)()
    assert len({p.name for p in pictures}) == len(pictures)
    for p in pictures:
        assert p.path.is_file(), p
        assert p.license, p
        assert p.license in p.credit
        assert p.credit.count(",") >= 1, p
        assert p.category
        assert getattr(images, kind.removesuffix("s"))(p.name) is p


@pytest.mark.parametrize("kind", ["photos", "paintings", "cutouts"])
def test_every_file_of_a_folder_is_in_its_catalogue(kind):
    known = {p.path.name for p in getattr(images, kind)()}
    folder = paths.data(kind)
    assert {f.name for f in folder.iterdir() if f.suffix in (".jpg", ".png", ".webp")} == known


@pytest.mark.parametrize("kind", ["photos", "paintings", "cutouts"])
def test_every_picture_decodes(kind):
    assert all(is_canonical(p.pixels(64)) for p in getattr(images, kind)())


def test_photos_are_chosen_by_category_and_label():
    animals = images.photos("animal")
    assert 0 < len(animals) < len(images.photos())
    assert {p.category for p in animals} == {"animal"}
    castles = images.photos(label="castle")
    assert castles
    assert all(p.label == "castle" for p in castles)
    assert images.photos("building", "castle") == [p for p in castles if p.category == "building"]


def test_a_picture_knows_its_facts():
    panda = images.photo("panda")
    assert (panda.label, panda.label_index) == ("giant panda", 388)
    assert panda.facts["source_url"].startswith("https://")
    painting = images.painting("night_cafe")
    assert "Vincent van Gogh" in painting.credit
    assert "The Night Café" in painting.credit
    assert images.cutout("elephant").group == "animals"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: images.photo("pandas"), r"name='pandas'.*Did you mean.*'panda'"),
        (lambda: images.painting("night_caffe"), r"name='night_caffe'.*'night_cafe'"),
        (lambda: images.cutout("elefant"), r"name='elefant'.*'elephant'"),
        (lambda: images.photos("animals"), r"category='animals'.*'animal'"),
        (lambda: images.photos(label="castel"), r"label='castel'.*'castle'"),
        (lambda: images.cutouts("animal"), r"group='animal'.*'animals'"),
    ],
)
def test_unknown_names_suggest_near_ones(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_catalogue_follows_course_data(monkeypatch, tmp_path):
    before = images.photos()
    row = "photos/own.png,animal,,,me,CC0-1.0,https://example.org"
    text = f"file,category,label,label_index,author,license,source_url\n{row}\n"
    (tmp_path / "photos.csv").write_text(text, encoding="utf-8")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "own.png").write_bytes(encoded(plain()))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert [p.name for p in images.photos()] == ["own"]
    assert images.photo("own").pixels().shape == (3, 4, 6)
    assert images.photo("own").label is None
    monkeypatch.undo()
    assert images.photos() == before


def test_lists_of_pictures_are_the_callers_own():
    for kind in (images.photos, images.paintings, images.cutouts):
        kind().clear()
        assert kind()


# ------------------------------------------------------------------ cut-outs, composites, collages


def test_cutouts_have_clean_masks():
    for cutout in images.cutouts():
        rgba, mask = cutout.rgba(128), cutout.mask(128)
        assert mask.shape == rgba.shape[1:]
        assert mask.dtype == torch.bool
        assert 0.02 < mask.float().mean() < 0.99, cutout


@given(
    name=st.sampled_from(["elephant", "banana", "zebra"]),
    side=st.integers(16, 120),
    scale=st.floats(0.05, 1),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_a_composite_shows_background_outside_and_the_object_inside_its_mask(
    name, side, scale, x, y
):
    cutout, background = images.cutout(name), Image.new("RGB", (90, 70), (0, 255, 0))
    pixels, mask = images.composite(cutout, background, side, scale, (x, y))
    assert is_canonical(pixels)
    assert pixels.shape == (3, side, side)
    assert mask.shape == (side, side)
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    if len(rows):
        size = max(rows.max() - rows.min(), columns.max() - columns.min()) + 1
        assert size <= round(side * scale)
        touched = (pixels - torch.tensor([0.0, 1, 0])[:, None, None]).abs().amax(0) > 0.5
        assert not (touched & ~mask).any()


@pytest.mark.parametrize("x", [0, 1])
@pytest.mark.parametrize("y", [0, 1])
def test_position_zero_touches_the_left_and_upper_border_and_one_the_others(x, y):
    cutout = images.cutout("banana")
    _, mask = images.composite(cutout, torch.zeros(3, 50, 50), 200, 0.5, (x, y))
    for hit, far in ((mask.any(0).nonzero(), x), (mask.any(1).nonzero(), y)):
        gap = 199 - hit.max() if far else hit.min()
        assert gap <= 5  # the stamp's own transparent margin
        assert 199 - hit.max() != hit.min()


def test_the_middle_position_centres_the_object():
    cutout = images.cutout("banana")
    moved = [
        images.composite(cutout, torch.zeros(3, 9, 9), 200, 0.5, (p, p))[1].nonzero().float()
        for p in (0, 0.5, 1)
    ]
    low, middle, high = (where.mean(0) for where in moved)
    assert torch.allclose(middle, (low + high) / 2, atol=1)


def test_the_mask_is_where_the_object_replaces_the_background():
    cutout = images.cutout("elephant")
    on_black, mask = images.composite(cutout, torch.zeros(3, 40, 40))
    on_white, same = images.composite(cutout, torch.ones(3, 40, 40))
    assert torch.equal(mask, same)
    shine = (on_white - on_black)[0]  # 1 - opacity
    assert torch.equal(shine < 0.5, mask)
    assert shine[mask].mean() < 0.05
    assert shine[~mask].mean() > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "scale=0"),
        ({"scale": 1.1}, r"scale=1\.1"),
        ({"position": (0.5, 1.5)}, r"position=\(0\.5, 1\.5\)"),
    ],
)
def test_composites_outside_the_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        images.composite(images.cutout("banana"), torch.zeros(3, 9, 9), **options)


def test_a_collage_is_four_squares_in_reading_order():
    colours = torch.rand(4, 3)
    sources = [c[:, None, None].expand(3, 20 + 3 * i, 31) for i, c in enumerate(colours)]
    picture = images.collage(sources, side=64)
    assert picture.shape == (3, 64, 64)
    for i, colour in enumerate(colours):
        row, column = divmod(i, 2)
        quarter = picture[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        assert torch.allclose(quarter, colour[:, None, None].expand(3, 32, 32), atol=1e-5)


@pytest.mark.parametrize(("n", "side"), [(3, 64), (5, 64), (4, 63), (4, 0)])
def test_collages_of_other_numbers_and_sides_are_refused(n, side):
    with pytest.raises(ValueError, match="a 2x2 collage takes 4|an even number"):
        images.collage([plain()] * n, side)


def test_to_pil_rounds_and_clips():
    pixels = torch.tensor([[-1.0, 0.0, 0.5, 1.0, 2.0]]).expand(3, 1, 5)
    assert np.asarray(images.to_pil(pixels))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert images.to_pil(pixels[0]).mode == "L"


@given(st.integers(0, 10**6))
def test_eight_bits_survive_the_way_to_pil_and_back(seed):
    pixels = torch.randint(256, (3, 5, 7), generator=torch.Generator().manual_seed(seed)) / 255
    assert torch.allclose(images.read(images.to_pil(pixels)), pixels, atol=1e-6)


def test_eight_bits_are_what_a_file_gives_back(tmp_path):
    pixels = tiny.array(3, 3, 20, 30) / 2 + 0.5  # some beyond black and white
    images.to_pil(pixels.clamp(0, 1)).save(tmp_path / "saved.png")
    saved = images.eight_bits(pixels)
    assert torch.equal(saved, images.read(tmp_path / "saved.png"))
    assert torch.equal(images.eight_bits(saved), saved)
