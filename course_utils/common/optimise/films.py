"""A run as a moving picture."""

import io
from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image as Pil
from torch import Tensor

from course_utils import images

FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def animated(frames: Iterable[Tensor], kind: str = ".webp", fps: float = 12) -> bytes:
    """Frames as an animated picture that repeats and rests for a second on its last frame.

    Args:
        frames: each (3,H,W) or (N,3,H,W), then side by side; uint8, or floats in 0-1. The frames
            of a `Result` are accepted as they are.
        kind: ".webp" (small, all colours) or ".gif" (256 colours a frame).
        fps: frames in a second, over 0.

    Returns:
        The content of the file.

    Raises:
        ValueError: no frames, another kind, or a speed that is not over 0.
    """
    if kind not in FORMATS or not fps > 0:
        accepted = " or ".join(FORMATS)
        raise ValueError(f"kind={kind!r}, fps={fps}; accepted: {accepted}, and over 0")
    pictures = [_picture(frame) for frame in frames]
    if not pictures:
        raise ValueError("frames: none came; one or more are needed")
    times = [round(1000 / fps)] * (len(pictures) - 1) + [1000]
    with io.BytesIO() as file:
        settings = {"save_all": True, "append_images": pictures[1:], "duration": times, "loop": 0}
        pictures[0].save(file, FORMATS[kind], quality=85, **settings)
        return file.getvalue()


def save_animation(
    frames: Iterable[Tensor], path: str | Path, fps: float = 12, overwrite: bool = False
) -> Path:
    """Writes `animated(frames)` to a file; one that is there already is left as it is.

    Args:
        frames, fps: as for `animated`.
        path: ends in .gif or .webp.
        overwrite: replace an existing file.

    Raises:
        FileExistsError: there is such a file, and `overwrite` is false.
        ValueError: another ending; otherwise as `animated`.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"path={str(path)!r} ends in {path.suffix!r}; accepted: .gif, .webp")
    content = animated(frames, path.suffix.lower(), fps)
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise FileExistsError(
            f"path: {path} is there already; give another name, or overwrite=True"
        ) from None
    return path


def _picture(frame: Tensor) -> Pil.Image:
    frame = frame if frame.is_floating_point() else frame.float() / 255
    return images.to_pil(torch.cat(list(frame), -1) if frame.ndim == 4 else frame)
