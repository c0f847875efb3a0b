"""Lecture 12: DeepDream: a picture is changed so that a layer says more of what it says already.

Mordvintsev, Olah & Tyka, "Inceptionism: Going Deeper into Neural Networks", Google Research 2015.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2 import functional as tvf
from tqdm.auto import tqdm

from course_utils import images, layers
from course_utils.common.optimise import Rule, blur, clamp, jitter, normalised_step, optimise
from course_utils.models import Network

Objective = Callable[[Tensor], Tensor]
"""Images (N,3,H,W) -> a loss, one number: what `optimise` minimises."""


# ------------------------------------------------------------------ one gradient, said in two ways


def layer_gradient(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """What arrives at the pixels when the gradient *at the layer* is set to its activation A.

        g = (dA/dx)^T A

    This is the recipe as it was published: nothing is said about what is maximised.

    Args:
        model: a network.
        x: normalised images (N,3,H,W).
        layer: a name as `layers.find` accepts it.

    Returns:
        (N,3,H,W).

    Raises:
        ValueError: an unknown layer, one without gradient, or images that are too small for it, of
            another shape or not finite.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        activation = _activation(model, x, layer)
    return torch.autograd.grad(activation, x, grad_outputs=activation.detach())[0]


def energy(model: nn.Module, layer: str) -> Objective:
    """The loss -||A||^2 / 2, summed over the images: descending it is `layer_gradient`'s ascent.

        d(||A||^2 / 2)/dx = (dA/dx)^T A

    Args, raises: as `layer_gradient`; what can be wrong with images is found when they come.
    """
    layers.find(model, layer)
    return lambda x: -_activation(model, x, layer).square().sum() / 2


def guided_by(model: nn.Module, layer: str, guide: Tensor) -> Objective:
    """A loss that asks for the features of another picture.

    The feature vector a_i at each position of the layer looks for the guide's vector g_j with which
    its dot product is largest, and that product is to grow: -sum_i max_j <a_i, g_j>.

    Args:
        model, layer: as for `layer_gradient`.
        guide: one normalised image (1,3,H,W), of any size.

    Raises:
        ValueError: a layer without rows and columns; otherwise as `layer_gradient`.
    """
    with torch.no_grad():
        vectors = _activation(model, guide, layer)
    if vectors.ndim != 4 or len(vectors) != 1:
        shape = tuple(vectors.shape)
        raise ValueError(f"guide: layer={layer!r} gives {shape}; accepted: one image, (1,K,h,w)")
    vectors = vectors[0].flatten(1)  # (K, h*w)

    def loss(x: Tensor) -> Tensor:
        activation = _activation(model, x, layer).flatten(2)
        return -(activation.transpose(1, 2) @ vectors).amax(2).sum()

    return loss


def _activation(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The layer's output with its graph; one clear error for all that can be wrong with it."""
    if not torch.isfinite(x).all():
        raise ValueError("x: it has values that are not finite (NaN or infinity)")
    return layers.output(model, x, layer)


# ------------------------------------------------------------------ one step


def dream_step(
    model: nn.Module, x: Tensor, layer: str, rate: float, shift: tuple[int, int]
) -> Tensor:
    """One step of DeepDream, on a shifted picture (jitter).

        x <- roll(x);  x <- x + rate * g / mean|g|;  x <- roll back

    Args:
        model, x, layer: as for `layer_gradient`.
        rate: how far a value moves on average.
        shift: rows and columns to roll by; what leaves comes in again on the other side.

    Returns:
        (N,3,H,W); not clipped.

    Raises:
        ValueError: as `layer_gradient`.
    """
    rolled = x.detach().roll(tuple(shift), dims=(-2, -1))
    g = layer_gradient(model, rolled, layer)
    size = g.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-12)
    back = (-shift[0], -shift[1])
    return (rolled + rate * g / size).roll(back, dims=(-2, -1))


def smoothed_step(rate: float, sigma: float) -> Rule:
    """`normalised_step` along a gradient that is blurred first: strokes rather than speckles.

        x <- x - rate * h / mean|h|,  h = Gaussian of `sigma` pixels * g

    Args:
        rate: how far a value moves on average.
        sigma: in pixels; 0 for no blur.

    Raises:
        ValueError: a negative sigma.
    """
    if not sigma >= 0:
        raise ValueError(f"sigma={sigma}; accepted: 0 or more pixels")

    def rule(parameters: list[Tensor]) -> torch.optim.Optimizer:
        optimizer = normalised_step(rate)(parameters)

        def smooth(*step: object) -> None:
            for p in parameters:
                p.grad = blur(sigma)(p.grad, p.grad)

        if sigma:
            optimizer.register_step_pre_hook(smooth)
        return optimizer

    return rule


# ------------------------------------------------------------------ tiles


def tiled(objective: Objective, side: int) -> Objective:
    """The sum of an objective over tiles, with the memory of one tile.

    Only one tile's activations are kept at a time: each tile is differentiated at once, and what is
    left for later is the gradient of the picture. Units near a tile's border do not see across it,
    so seams form if the tiles always lie alike; `jitter` moves the picture under them.

    Args:
        objective: images -> one number; a sum over positions, as `energy` is.
        side: how high and wide a tile may be; see `tiles`.

    Raises:
        ValueError: a side below 1.
    """
    tiles((1, 1), side)
    return lambda x: _Tiled.apply(x, objective, side)


class _Tiled(torch.autograd.Function):
    """Forward: value and gradient, tile by tile. Backward: hands the gradient out."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx, x: Tensor, objective: Objective, side: int
    ) -> Tensor:
        total, wanted = x.new_zeros(()), context.needs_input_grad[0]
        gradient = torch.zeros_like(x) if wanted else None
        for rows, columns in tiles(x.shape[-2:], side):
            tile = x[..., rows, columns].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                value = objective(tile)
            total += value.detach()
            if wanted:
                gradient[..., rows, columns] = torch.autograd.grad(value, tile)[0]
        context.gradient = gradient
        return total

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, slope: Tensor
    ) -> tuple[Tensor, None, None]:
        return slope * context.gradient, None, None


def tiles(size: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the tiles that part a picture of (H, W) evenly.

    No tile is longer than `side`, and none shorter than half of it unless the picture is.

    Raises:
        ValueError: a side below 1.
    """
    if side < 1:
        raise ValueError(f"side={side}; accepted: 1 pixel or more")
    cuts = []
    for n in size:
        parts = -(-n // side)  # rounded up
        cuts.append([slice(n * i // parts, n * (i + 1) // parts) for i in range(parts)])
    return list(product(*cuts))


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
    photo = model.normalize(images.read(pixels)[None])
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
            activation = _activation(model, x, layer)
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
