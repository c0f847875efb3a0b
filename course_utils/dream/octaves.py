"""The whole dream, octave by octave, and the journey into it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as tvf
from tqdm.auto import tqdm

from course_utils import images
from course_utils.common import gate
from course_utils.common.optimise import clamp, jitter, optimise
from course_utils.dream.steps import Objective, activation_of, energy, smoothed_step
from course_utils.dream.tiling import tiled, tiles
from course_utils.models import Network

# ------------------------------------------------------------------ octaves


def octave_sizes(size: tuple[int, int], octaves: int, ratio: float) -> list[tuple[int, int]]:
    """(height, width) of each octave, the smallest first, the picture's own last.

    Raises:
        ValueError: fewer than one octave, a ratio of 1 or less, or an octave without pixels.
    """
    if octaves < 1 or not ratio > 1:
        raise ValueError(f"octaves={octaves}, ratio={ratio}; accepted: 1 or more, and above 1")
    found = [tuple(round(n / ratio**k) for n in size) for k in range(octaves)][::-1]
    if min(found[0]) < 1:
        raise ValueError(
            f"octaves={octaves}: a picture of {tuple(size)} shrunk by {ratio} so often has no "
            "pixels left; accepted: fewer octaves, or a larger picture"
        )
    return found


def next_octave(photo: Tensor, dreamt: Tensor, size: tuple[int, int]) -> Tensor:
    """The start of the next octave: the photo at its size, and what was dreamt until now.

        resize(photo, next) + resize(dreamt - resize(photo, this), next)

    The photo is always resized from the original, so it gains the detail that the small octave
    could not hold.

    Args:
        photo: the picture at full size (N,3,H,W).
        dreamt: the result of this octave (N,3,h,w).
        size: (height, width) of the next octave.

    Returns:
        (N,3,height,width).
    """
    detail = dreamt - resized(photo, dreamt.shape[-2:])
    return resized(photo, size) + resized(detail, size)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (N,3,H,W) at another size (height, width); bilinear, antialiased when they shrink."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, tuple(size), mode="bilinear", antialias=True)


# ------------------------------------------------------------------ the whole dream


@dataclass(frozen=True)
class Dream:
    """What `dream` leaves.

    Attributes:
        pixels: the picture (3,H,W) in 0-1, on the CPU.
        sizes: (height, width) of each octave.
        losses: for each octave the loss after 0, 1, ... steps.
        frames: (F,3,H,W) uint8 on the CPU, from the photo on; what small octaves dream is laid over
            the photo at full size.
    """

    pixels: Tensor
    sizes: list[tuple[int, int]]
    losses: list[list[float]]
    frames: Tensor


def dream(
    model: Network,
    pixels: object,
    layer: str,
    *,
    octaves: int = 5,
    ratio: float = 1.3,
    steps: int = 8,
    rate: float = 0.03,
    smooth: float = 0.8,
    reach: int = 16,
    tile: int | None = None,
    objective: Objective | None = None,
    keep: int = 4,
    seed: int = 0,
    progress: str | None = "dreaming",
) -> Dream:
    """DeepDream of a picture of any size, from the smallest octave to the picture's own.

    In each octave: steps of a given mean size along the smoothed gradient, on the randomly shifted
    picture, clipped to what pixels can be.

    Args:
        model: a network of the zoo.
        pixels: an image as `images.read` accepts it.
        layer: what is to be enhanced; a name as `layers.find` accepts it.
        octaves, ratio: sizes the dream goes through, each `ratio` times the one before.
        steps: in each octave.
        rate: how far a (normalised) value moves in a step, on average.
        smooth: standard deviation of the blur of the gradient, in pixels; 0 for none.
        reach: the jitter in pixels; at least the tile's side where there are tiles.
        tile: the longest side of a tile, for pictures whose activations would not fit; None for
            none.
        objective: another loss than `energy(model, layer)`, e.g. of `guided_by`.
        keep: frames of each octave.
        seed: of the jitter.
        progress: caption of the bar, which appears after two seconds; None for no bar.

    Raises:
        ValueError: an unknown layer, one without gradient or silent on this picture, octaves or
            tiles too small for it; otherwise as `images.read`, `octave_sizes` and `optimise`.
    """
    photo = gate.normalised(model, images.read(pixels)[None])
    sizes = octave_sizes(photo.shape[-2:], octaves, ratio)
    loss = objective or energy(model, layer)
    seen = loss if tile is None else tiled(loss, tile)
    _check(model, photo, sizes, layer, tile)
    settings = {"rule": smoothed_step(rate, smooth)}
    settings |= {"operations": [(1, clamp(*_limits(model)))]}
    settings |= {"transforms": [jitter(max(reach, tile or 0))], "keep": keep, "progress": None}
    x, losses, frames = None, [], []
    for k, size in enumerate(tqdm(sizes, progress, disable=not progress, leave=False, delay=2)):
        x = resized(photo, size) if x is None else next_octave(photo, x, size)
        run = optimise(seen, x, steps, seed=seed + k, to_pixels=model.denormalize, **settings)
        x = run.image
        losses.append(run.losses)
        frames.append(_at_full_size(model.denormalize(photo), run.frames))
        if run.interrupted:
            break
    dreamt = next_octave(photo, x, photo.shape[-2:])  # of a dream that was interrupted, too
    found = model.denormalize(dreamt)[0].clamp(0, 1).cpu()
    return Dream(found, sizes[: len(losses)], losses, torch.cat(frames))


def _limits(model: Network) -> tuple[Tensor, Tensor]:
    """What black and white become when they are normalised, (3,1,1) each."""
    black = torch.zeros(3, 1, 1, device=model.device)
    return model.normalize(black), model.normalize(black + 1)


def _check(
    model: Network, photo: Tensor, sizes: list[tuple[int, int]], layer: str, tile: int | None
) -> None:
    """Whether there is something to enhance in the smallest octave, and in the smallest tile."""
    what = f"octaves={len(sizes)}: the smallest"
    smallest = _small(model, resized(photo, sizes[0]), layer, what, "fewer octaves")
    if not smallest.any():
        raise ValueError(f"layer={layer!r} is zero everywhere for this picture: no way up leads on")
    if tile is not None:
        parts = [part for size in sizes for part in tiles(size, tile)]
        height, width = (min(cut[i].stop - cut[i].start for cut in parts) for i in (0, 1))
        corner = photo[..., :height, :width]
        _small(model, corner, layer, f"tile={tile}: the smallest", "larger tiles")


def _small(model: Network, x: Tensor, layer: str, what: str, remedy: str) -> Tensor:
    """The layer's activation for the smallest images there will be."""
    height, width = x.shape[-2:]
    what = f"{what} is {height} x {width} pixels"
    accepted = f"accepted: {remedy}, a lower layer, or a larger picture"
    try:
        with torch.no_grad():
            activation = activation_of(model, x, layer)
    except ValueError as error:
        if "too small" in str(error):
            raise ValueError(f"{what}, too small for layer={layer!r}; {accepted}") from error
        raise
    if activation.ndim == 4 and max(activation.shape[-2:]) < 2:
        raise ValueError(f"{what}, of which layer={layer!r} has one unit; {accepted}")
    return activation


def _at_full_size(photo: Tensor, frames: Tensor) -> Tensor:
    """What the frames (F,1,3,h,w) changed, laid over the photo (1,3,H,W); uint8, on the CPU."""
    if not len(frames):
        return frames.new_empty(0, *photo.shape[1:]).byte()
    small, photo = frames[:, 0].float() / 255, photo.cpu()
    large = next_octave(photo.expand(len(small), -1, -1, -1), small, photo.shape[-2:])
    return (large.clamp(0, 1) * 255).round().byte()


def zoom(
    model: Network,
    pixels: object,
    layer: str,
    frames: int = 24,
    factor: float = 1.05,
    progress: str | None = "zooming",
    **settings: object,
) -> Tensor:
    """A journey into a dream: dream a little, enlarge the centre a little, and so on.

    Args:
        model, pixels, layer: as for `dream`.
        frames: how many.
        factor: how much the centre is enlarged from frame to frame, 1 or more.
        progress: caption of the bar, which appears after two seconds; None for no bar.
        settings: of `dream`, for each frame; fewer steps and octaves than for a single picture.

    Returns:
        (frames,3,H,W) uint8 on the CPU, the picture itself first.

    Raises:
        ValueError: no frames, or a factor below 1; otherwise as `dream`.
    """
    if frames < 1 or not factor >= 1:
        raise ValueError(f"frames={frames}, factor={factor}; accepted: 1 or more for both")
    now = images.read(pixels)
    film, (height, width) = [now], now.shape[1:]
    settings = {"octaves": 2, "steps": 2, "keep": 0, "progress": None} | settings
    inner = [max(1, round(height / factor)), max(1, round(width / factor))]
    for k in tqdm(range(1, frames), progress, disable=not progress, leave=False, delay=2):
        closer = resized(tvf.center_crop(film[-1], inner)[None], (height, width))[0].clamp(0, 1)
        film.append(dream(model, closer, layer, **{"seed": k} | settings).pixels)
    return (torch.stack(film) * 255).round().byte()
