"""Lecture 09: five more questions that the literature asks of a map.

Is it stable? Does it promise what the network then does? Is it short? Does it add up? Is what it
names needed, when what is taken away is replaced by a guess?
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from course_utils.common import gate
from course_utils.common.batches import in_chunks
from course_utils.common.scores import chosen, class_indices, class_scores
from course_utils.trust import scores


def max_sensitivity(
    explain: Callable[[Tensor], Tensor],
    x: Tensor,
    samples: int = 5,
    level: float = 0.02,
    seed: int = 0,
) -> Tensor:
    """How far a map moves, at most, when the image changes by less than one can see.

    Args:
        explain: images (N,3,H,W) -> maps (N,H,W).
        x: normalised images (N,3,H,W).
        samples: of the noise, uniform in a cube around each image.
        level: half the cube's side, as a share of each image's range max(x) - min(x).
        seed: of the noise.

    Returns:
        (N,): the largest ||change|| / ||map||; 0 for a map that never moves.

    Reference: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019.
    """
    generator = torch.Generator().manual_seed(seed)
    reach = level * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))[:, None, None, None]
    maps = explain(x).flatten(1)
    size = maps.norm(dim=1).clamp(min=torch.finfo(maps.dtype).tiny)
    changes = []
    for _ in range(samples):
        noise = 2 * torch.rand(x.shape, generator=generator, device="cpu").to(x) - 1
        changes.append((explain(x + reach * noise).flatten(1) - maps).norm(dim=1) / size)
    return torch.stack(changes).amax(0)


def squares(height: int, width: int, n: int = 40, side: int = 32, seed: int = 0) -> Tensor:
    """Random squares, (n,height,width) bool, each True on side x side pixels."""
    generator = torch.Generator().manual_seed(seed)
    room = torch.tensor([[height - side + 1, width - side + 1]], device="cpu")
    corners = torch.rand(n, 2, generator=generator, device="cpu") * room
    found = torch.zeros(n, height, width, dtype=torch.bool, device="cpu")
    for one, (top, left) in zip(found, corners.int().tolist(), strict=True):
        one[top : top + side, left : left + side] = True
    return found


def score_drops(model: nn.Module, x: Tensor, classes: Tensor, masks: Tensor) -> Tensor:
    """What the class's score loses when the pixels under each mask become 0, the mean colour.

    Args:
        model: a network with one logit per class.
        x: normalised images (N,3,H,W).
        classes: of each image, or one for all.
        masks: (K,H,W) bool, e.g. `squares`.

    Returns:
        (N,K).
    """
    index = class_indices(model, classes, len(x)).to(x.device)
    with torch.no_grad():
        before = chosen(gate.logits(model, x), index)[:, None]
        drops = []
        for one, c, old in zip(x, index, before, strict=True):
            without = torch.where(masks[:, None].to(x.device), 0, one)
            drops.append(old - in_chunks(lambda some: gate.logits(model, some), without)[:, c])
    return torch.stack(drops)


def infidelity(maps: Tensor, masks: Tensor, drops: Tensor) -> Tensor:
    """How badly a map's sum under a mask foretells what the score loses without these pixels.

    The map may have any scale: the best one is found for each image. The error is told as a share
    of the drops' own size, so 0 is a perfect forecast and 1 no better than "nothing happens".

    Args:
        maps: (N,H,W).
        masks: (K,H,W) bool, as `squares`.
        drops: (N,K), what `score_drops` found for them.

    Returns:
        (N,) in 0-1.

    Reference: Yeh et al. 2019; scaled as in captum's `infidelity(normalize=True)`.
    """
    promised = torch.einsum("nhw,khw->nk", maps, masks.to(maps))
    tiny = torch.finfo(maps.dtype).tiny
    scale = (promised * drops).sum(1) / promised.square().sum(1).clamp(min=tiny)
    error = (scale[:, None] * promised - drops).square().sum(1)
    return error / drops.square().sum(1).clamp(min=tiny)


def sparseness(maps: Tensor) -> Tensor:
    """Gini's index of the absolute values: 0 if all pixels are alike, near 1 if few have it all.

    Args:
        maps: (N,H,W).

    Returns:
        (N,); 0 for a map of zeros.

    Reference: Chalasani et al., "Concise Explanations of Neural Networks using Adversarial
    Training", ICML 2020.
    """
    values = maps.double().abs().flatten(1).sort(dim=1).values
    n = values.shape[1]
    rank = torch.arange(1, n + 1, device=maps.device, dtype=values.dtype)
    total = values.sum(1).clamp(min=torch.finfo(values.dtype).tiny)
    lorenz = (values * (n - rank + 0.5)).sum(1) / total / n
    return ((1 - 2 * lorenz) * (values.sum(1) > 0)).float()


def completeness(model: nn.Module, x: Tensor, maps: Tensor, classes: Tensor) -> Tensor:
    """What a map adds up to, as a share of S_c(x) - S_c(0): 1 if nothing is missing.

    Args:
        model, x, classes: as for `score_drops`; the empty image 0 is the mean colour.
        maps: (N,H,W), in units of the score: gradient x input claims to add up, saliency does not.

    Returns:
        (N,).

    Reference: Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.
    """
    with torch.no_grad():
        gained = class_scores(model, x, classes) - class_scores(model, torch.zeros_like(x), classes)
    return maps.sum((1, 2)) / gained


# ------------------------------------------------------------------ taken away, and guessed


def imputed(x: Tensor, gone: Tensor, noise: float = 0.1, seed: int = 0) -> Tensor:
    """Images whose missing pixels are guessed from what is left around them.

    Every missing pixel is the weighted mean of its eight neighbours, missing or not: 1/6 for the
    four beside it, 1/12 for the four across. A little noise hides how smooth the guess is.

    Args:
        x: (N,3,H,W), at least one pixel of each left.
        gone: (N,H,W) bool.
        noise: its standard deviation.
        seed: of the noise.

    Returns:
        (N,3,H,W); equal to `x` where nothing is missing.

    Reference: Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution
    Methods", ICML 2022.
    """
    weights = _neighbours(*x.shape[2:])
    system = scipy.sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights
    generator = torch.Generator().manual_seed(seed)
    filled = x.detach().clone()
    for one, missing in zip(filled, gone.to(x.device), strict=True):
        known = one[:, ~missing].T.double().cpu().numpy()
        flat = missing.flatten().cpu().numpy()
        guess = _solve(system[flat][:, flat], weights[flat][:, ~flat] @ known)
        added = noise * torch.randn(guess.T.shape, generator=generator, device="cpu")
        one[:, missing] = (torch.from_numpy(guess.T) + added).to(x)
    return filled


def _neighbours(height: int, width: int) -> "scipy.sparse.csr_array":
    """The weight of each pixel's neighbours, (H*W,H*W)."""
    diags, eye, kron = scipy.sparse.diags, scipy.sparse.eye, scipy.sparse.kron
    down, across = (diags([1.0, 1.0], [-1, 1], shape=(n, n)) for n in (height, width))
    beside = kron(down, eye(width)) + kron(eye(height), across)
    return (beside / 6 + kron(down, across) / 12).tocsr()


def _solve(system: "scipy.sparse.csr_array", right: np.ndarray) -> np.ndarray:
    """System @ guess = right, colour by colour, by conjugate gradients: (pixels, colours)."""
    system = system.tocsr()
    scale = scipy.sparse.diags(1 / system.diagonal())
    columns = [scipy.sparse.linalg.cg(system, column, rtol=1e-4, M=scale)[0] for column in right.T]
    return np.stack(columns, 1)


def road(
    model: nn.Module,
    x: Tensor,
    maps: Tensor,
    classes: Tensor,
    shares: Sequence[float] = (0.1, 0.3, 0.5),
) -> Tensor:
    """How much more the class suffers from losing the map's first pixels than from losing its last.

    Both are removed and guessed again, so what the network makes of a damaged picture counts on
    both sides, and goes away in the difference.

    Args:
        model, x, classes: as for `score_drops`.
        maps: (N,H,W).
        shares: of the pixels that are removed.

    Returns:
        (N,): the mean over the shares of (p without the last - p without the first) / p.

    Reference: Rong et al. 2022; the difference of both orders as in pytorch-grad-cam.
    """
    index = class_indices(model, classes, len(x)).to(x.device)

    def probability(images: Tensor) -> Tensor:
        with torch.no_grad():
            return chosen(
                in_chunks(lambda some: gate.logits(model, some).softmax(1), images), index
            )

    gained, whole = [], probability(x)
    place = scores.places(maps.to(x.device))
    for share in shares:
        n = round(share * place[0].numel())
        first, last = place < n, place >= place[0].numel() - n
        gained.append(probability(imputed(x, last)) - probability(imputed(x, first)))
    return torch.stack(gained).mean(0) / whole
