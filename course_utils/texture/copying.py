"""Textures copied from the sample: pixel by pixel, and patch by patch with least-cost seams."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from course_utils.texture.accepted import check_copy, pair


@dataclass(frozen=True)
class Copy:
    """A texture that is put together from pixels of the sample.

    Attributes:
        pixels: (3,H,W) in 0-1.
        source: (2,H,W) int64: row and column in the sample that each pixel was taken from.
    """

    pixels: Tensor
    source: Tensor


def by_pixels(
    sample: Tensor,
    size: int | tuple[int, int],
    window: int = 11,
    tolerance: float = 0.1,
    seed: int = 0,
    progress: str | None = "pixels",
) -> Copy:
    """Each pixel is that of the sample whose neighbourhood is most like the one painted so far.

    The neighbourhood is what a scan line has reached: the rows above, and the left part of its own.
    It is compared by the sum of squared differences, weighted by a Gaussian; what lies outside the
    picture does not count.

    Args:
        sample: pixels (3,h,w) in 0-1, at least as large as the window.
        size: of the result, one number or (H,W).
        window: side of the neighbourhood, odd, at least 3.
        tolerance: the pixel is drawn from those whose distance is at most (1 + tolerance) times
            the least; 0 takes the nearest neighbour.
        seed: of the draws.
        progress: caption of the bar, which appears after two seconds; None for no bar.

    Returns:
        The copy, on the CPU.

    Raises:
        ValueError: an argument outside its range.

    References: Efros & Leung, "Texture Synthesis by Non-parametric Sampling", ICCV 1999; the scan
        line after Wei & Levoy, SIGGRAPH 2000.
    """
    (height, width), random = pair(size), torch.Generator().manual_seed(seed)
    check_copy(sample, window, tolerance)
    if window % 2 == 0 or window < 3:
        raise ValueError(f"window={window}; accepted: an odd number, 3 or more")
    reach, before = window // 2, window * (window // 2) + window // 2
    patches = functional.unfold(sample[None].cpu(), window)[0].T.unflatten(1, (3, window**2))
    seen, columns = patches[:, :, :before].flatten(1), sample.shape[2] - window + 1
    painted = torch.zeros(4, height + reach, width + 2 * reach, device="cpu")  # RGB, and where
    source = torch.zeros(2, height, width, dtype=torch.long, device="cpu")
    bell = _bell(window)[:before]
    for y in tqdm(range(height), progress, disable=progress is None, leave=False, delay=2):
        for x in range(width):
            around = painted[:, y : y + reach + 1, x : x + window].flatten(1)[:, :before]
            weight = (bell * around[3]).repeat(3)
            distance = (seen - around[:3].flatten()).square() @ weight
            i = _draw(distance, tolerance, random)
            painted[:3, y + reach, x + reach] = patches[i, :, before]
            painted[3, y + reach, x + reach] = 1
            source[0, y, x], source[1, y, x] = i // columns + reach, i % columns + reach
    return Copy(painted[:3, reach:, reach:-reach].clone(), source)


def _bell(window: int) -> Tensor:
    """Gaussian weights of a square window, (window^2,), with the paper's width window / 6.4."""
    axis = torch.arange(window, device="cpu") - window // 2
    one = torch.exp(-(axis**2) / (2 * (window / 6.4) ** 2))
    return (one[:, None] * one).flatten()


def _draw(distance: Tensor, tolerance: float, random: torch.Generator) -> int:
    """One of the places whose distance is at most (1 + tolerance) times the least."""
    near = (distance <= (1 + tolerance) * distance.min() + 1e-6).nonzero()[:, 0]
    return int(near[torch.randint(len(near), (1,), generator=random, device="cpu")])


def quilt(
    sample: Tensor,
    size: int | tuple[int, int],
    block: int = 32,
    overlap: int | None = None,
    tolerance: float = 0.1,
    *,
    matched: bool = True,
    cut: bool = True,
    seed: int = 0,
) -> Copy:
    """Square patches of the sample that overlap, cut along the seam where they differ least.

    Args:
        sample: pixels (3,h,w) in 0-1, at least as large as a patch.
        size: of the result, one number or (H,W).
        block: side of a patch.
        overlap: rows and columns that neighbours share; a sixth of `block` by default.
        tolerance: the patch is drawn from those whose distance in the overlap is at most
            (1 + tolerance) times the least.
        matched: False takes any patch.
        cut: False lays each patch over its neighbours with straight borders.
        seed: of the draws.

    Returns:
        The copy, on the CPU.

    Raises:
        ValueError: an argument outside its range.

    Reference: Efros & Freeman, "Image Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001.
    """
    (height, width), random = pair(size), torch.Generator().manual_seed(seed)
    check_copy(sample, block, tolerance)
    overlap = max(1, block // 6) if overlap is None else overlap
    if not 1 <= overlap <= block // 2:
        raise ValueError(f"overlap={overlap}; accepted: from 1 to half of block={block}")
    step = block - overlap
    down, across = (math.ceil(max(1, n - overlap) / step) for n in (height, width))
    # Five channels travel together: RGB, and where in the sample a pixel comes from.
    places = torch.stack(torch.meshgrid(*map(_range, sample.shape[1:]), indexing="ij"))
    sheet = torch.cat([sample.cpu().float(), places])
    made = torch.zeros(5, down * step + overlap, across * step + overlap, device="cpu")
    for i in range(down):
        for j in range(across):
            old = made[:, i * step : i * step + block, j * step : j * step + block]
            shared = _shared(block, overlap * (i > 0), overlap * (j > 0))
            distance = _distances(sheet[:3], old[:3], shared if matched else 0 * shared)
            at = _draw(distance.flatten(), tolerance, random)
            y, x = divmod(at, distance.shape[1])
            new = sheet[:, y : y + block, x : x + block]
            error = (new[:3] - old[:3]).square().sum(0)
            take = _cut(error, overlap * (i > 0), overlap * (j > 0)) if cut else shared < 2
            old.copy_(torch.where(take, new, old))
    made = made[:, :height, :width]
    return Copy(made[:3].clone(), made[3:].long())


def _range(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float, device="cpu")


def _shared(block: int, rows: int, columns: int) -> Tensor:
    """1 where a patch (block,block) lies over its upper and left neighbours, else 0."""
    shared = torch.zeros(block, block, device="cpu")
    shared[:rows], shared[:, :columns] = 1, 1
    return shared


def _distances(sample: Tensor, old: Tensor, shared: Tensor) -> Tensor:
    """The sum of squared differences between `old` and each patch of the sample, where shared.

    (p - q)^2 = p^2 - 2 p q + q^2, and the first two sums over all places are convolutions.
    """
    squares = functional.conv2d(sample.square().sum(0)[None, None], shared[None, None])
    products = functional.conv2d(sample[None], (old * shared)[None])
    return (squares - 2 * products + (old.square() * shared).sum()).clamp(min=0)[0, 0]


def _cut(error: Tensor, rows: int, columns: int) -> Tensor:
    """Where a new patch is taken, (block,block) bool: right of one seam and below the other."""
    take = torch.ones_like(error, dtype=torch.bool)
    place = torch.arange(len(error), device=error.device)
    if columns:
        take &= place >= least_cost_seam(error[:, :columns])[:, None]
    if rows:
        take &= place[:, None] >= least_cost_seam(error[:rows].T)
    return take


def least_cost_seam(error: Tensor) -> Tensor:
    """The path from the first row to the last that meets the least error, by dynamic programming.

        E_ij = e_ij + min(E_i-1,j-1, E_i-1,j, E_i-1,j+1)

    Args:
        error: (H,W), never negative.

    Returns:
        The column in each row, (H,) int64; from row to row it moves by one at most.
    """
    cost = error.clone()
    for i in range(1, len(cost)):
        above = functional.pad(cost[i - 1], (1, 1), value=torch.inf)
        cost[i] += above.unfold(0, 3, 1).amin(1)
    path = [int(cost[-1].argmin())]
    for row in cost[:-1].flip(0):
        low = max(path[-1] - 1, 0)
        path.append(low + int(row[low : path[-1] + 2].argmin()))
    return torch.tensor(path[::-1], device=error.device)


def breaks(source: Tensor) -> Tensor:
    """Where a copied texture does not simply continue what stands left of it or above it.

    Args:
        source: (2,H,W), of a `Copy`.

    Returns:
        (H,W) bool: False inside pieces that stand in the sample just so.
    """
    one = torch.tensor([0, 1], device=source.device).view(2, 1, 1)
    right = (source[:, :, 1:] - source[:, :, :-1]) == one
    below = (source[:, 1:] - source[:, :-1]) == one.flip(0)
    broken = torch.zeros(source.shape[1:], dtype=torch.bool, device=source.device)
    broken[:, 1:] |= ~right.all(0)
    broken[1:] |= ~below.all(0)
    return broken


def nearest_source(pixels: Tensor, sample: Tensor, window: int = 7) -> Tensor:
    """The copy detector: which patch of the sample looks most like the one around each pixel?

    Of any picture, however it was made. Where it copies, neighbouring pixels have neighbouring
    sources; elsewhere the sources jump about, and `breaks` sees it.

    Args:
        pixels: (3,H,W) in 0-1.
        sample: (3,h,w) in 0-1.
        window: side of the patches, odd, at least 3.

    Returns:
        (2,H - window + 1,W - window + 1) int64: row and column in the sample of the patch's middle;
        the first of equally near ones.

    Raises:
        ValueError: an even window, or a picture or sample smaller than it.
    """
    if window % 2 == 0 or window < 3:
        raise ValueError(f"window={window}; accepted: an odd number, 3 or more")
    check_copy(pixels, window, 0.0)
    check_copy(sample, window, 0.0)
    patches, known = (functional.unfold(p[None], window)[0].T for p in (pixels, sample))
    norms = known.square().sum(1)
    nearest = [(norms - 2 * some @ known.T).argmin(1) for some in patches.split(1024)]
    columns = sample.shape[2] - window + 1
    index = torch.cat(nearest).view([n - window + 1 for n in pixels.shape[1:]])
    return torch.stack([index // columns, index % columns]) + window // 2


# ------------------------------------------------------------------ repetition


def autocorrelation(pixels: Tensor) -> Tensor:
    """How much a picture is like itself, shifted: 1 without a shift.

    Args:
        pixels: (C,H,W).

    Returns:
        (h,w): shifts of up to half the height down and half the width across, no shift in the
        middle [h // 2, w // 2]; only pixels that have a partner count.
    """
    height, width = pixels.shape[1:]
    centred = pixels - pixels.mean((1, 2), keepdim=True)
    pad = (2 * height, 2 * width)
    power = torch.fft.irfft2(torch.fft.rfft2(centred, s=pad).abs().square().sum(0), s=pad)
    ones = torch.fft.rfft2(torch.ones_like(centred[0]), s=pad).abs().square()
    partners = torch.fft.irfft2(ones, s=pad).clamp(min=0.5)
    similar = torch.fft.fftshift(power / partners)
    near = similar[height - height // 2 : height + height // 2 + 1]
    near = near[:, width - width // 2 : width + width // 2 + 1]
    return near / near[height // 2, width // 2].clamp(min=1e-12)


def repetition(pixels: Tensor, least: int) -> float:
    """The largest autocorrelation among shifts of `least` pixels or more, down or across."""
    similar = autocorrelation(pixels)
    middle = [n // 2 for n in similar.shape]
    if not 1 <= least <= max(middle):
        raise ValueError(f"least={least}; accepted: 1 to half the picture, {max(middle)}")
    far = similar.clone()
    rows = slice(max(0, middle[0] - least + 1), middle[0] + least)
    far[rows, max(0, middle[1] - least + 1) : middle[1] + least] = -torch.inf
    return far.max().item()
