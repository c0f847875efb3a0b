"""Banks of filters: from networks, at random, and as pictures."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils import layers, models

WHITE, GREY = 1.0, 0.5


def filters_of(model: nn.Module, layer: str | nn.Module | None = None) -> Tensor:
    """A copy of the weights of a convolution.

    Args:
        model: a network.
        layer: a name as `layers.find` accepts it, of a convolution; the first one by default.

    Returns:
        (N,C,k,k): N filters on C channels. RGB for the first layer of the zoo's networks, in the
        units of *normalised* pixels. Biases, and a batch normalisation that follows, are left out.

    Raises:
        ValueError: no such layer, or no convolution.
    """
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    if layer is None and not convolutions:
        raise ValueError(f"model: {type(model).__name__} has no convolution, so no filters")
    module = convolutions[0] if layer is None else layers.find(model, layer)
    if not isinstance(module, nn.Conv2d):
        raise ValueError(f"layer={layer!r} is a {type(module).__name__}; accepted: a convolution")
    return module.weight.detach().clone(memory_format=torch.contiguous_format)


def larger_first_layers(
    names: Sequence[str] = ("alexnet", "resnet18"), download: bool = False
) -> tuple[dict[str, Tensor], list[str]]:
    """The first layers of torchvision's networks, as far as their weights are at hand.

    Args:
        names: of networks as `models.load` accepts them.
        download: whether weights may be fetched that are not in torch's cache.

    Returns:
        name -> (N,3,k,k), and one line for each network that could not be had.

    Raises:
        ValueError: unknown name.
    """
    found, missing = {}, []
    for name in names:
        if name not in models.OFFLINE and not download and not _cached(name):
            missing.append(
                f"{name}: not on this computer; download=True fetches {_megabytes(name)}"
            )
            continue
        try:
            found[name] = filters_of(models.load(name, "cpu"))
        except ConnectionError:
            missing.append(f"{name}: the download failed, so it is not shown")
    return found, missing


def _cached(name: str) -> bool:
    url = _weights(name).url
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).exists()


def _megabytes(name: str) -> str:
    return f"{_weights(name).meta['_file_size']:.0f} MB"


def _weights(name: str) -> torchvision.models.WeightsEnum:
    try:
        return torchvision.models.get_model_weights(name).DEFAULT
    except ValueError:
        models.load(name)  # says which names there are
        raise


def tile_filters(filters: Tensor, columns: int) -> Tensor:
    """Filters as one picture, each rescaled on its own: p = 1/2 + w / (2 max|w|).

    Zero becomes mid-grey; the weight of the largest size becomes 0 or 1. A filter of zeros is grey.
    One white pixel lies between neighbours; places without a filter are white.

    Args:
        filters: (N,C,k,k), C = 3 or 1.
        columns: filters in a row; filled from left to right, then downwards.

    Returns:
        (C, rows * (k+1) - 1, columns * (k+1) - 1) in 0-1.

    Raises:
        ValueError: no filters, values that are not finite, or no column.
    """
    check_bank(filters)
    if columns < 1:
        raise ValueError(f"columns={columns}; accepted: 1 or more")
    largest = filters.abs().amax((1, 2, 3), keepdim=True)
    tiles = GREY + filters / (2 * torch.where(largest > 0, largest, 1))
    rows = -(-len(tiles) // columns)
    framed = F.pad(tiles, (0, 1, 0, 1), value=WHITE)  # a white line on the right and below
    n, c, h, w = framed.shape
    grid = framed.new_full((rows * columns, c, h, w), WHITE)
    grid[:n] = framed
    grid = grid.view(rows, columns, c, h, w).permute(2, 0, 3, 1, 4)
    return grid.reshape(c, rows * h, columns * w)[:, :-1, :-1]


def slices(filters: Tensor) -> Tensor:
    """Filters on C channels as N groups of C grey tiles, each *group* rescaled on its own.

    Args:
        filters: (N,C,k,k).

    Returns:
        (1, N * (k+1) - 1, C * (k+1) - 1) in 0-1: a row for each filter, a column for each of the
        channels it reads. The tiles of a row share a scale, so that a faint one is a weak one.
    """
    check_bank(filters)
    largest = filters.abs().amax((1, 2, 3), keepdim=True)
    tiles = GREY + filters / (2 * torch.where(largest > 0, largest, 1))
    n, c, h, w = tiles.shape
    framed = F.pad(tiles, (0, 1, 0, 1), value=WHITE)
    return framed.permute(0, 2, 1, 3).reshape(1, n * (h + 1), c * (w + 1))[:, :-1, :-1]


def enlarged(picture: Tensor, times: int) -> Tensor:
    """A picture (C,H,W) with every pixel as a square of `times` x `times` pixels: no blur."""
    if times < 1:
        raise ValueError(f"times={times}; accepted: 1 or more")
    return picture.repeat_interleave(times, -1).repeat_interleave(times, -2)


def check_bank(filters: Tensor, channels: int | None = None) -> None:
    """Refuses what is no bank of filters (N,C,k,k), or one of another number of channels."""
    want = f"(N,{channels or 'C'},k,k)"
    wrong = filters.ndim != 4 or not filters.numel()
    if wrong or (channels is not None and filters.shape[1] != channels):
        raise ValueError(f"filters: shape {tuple(filters.shape)}; accepted: {want}, N at least 1")
    if not torch.isfinite(filters).all():
        raise ValueError("filters: they have values that are not finite (NaN or infinity)")


def random_filters(n: int, size: int, seed: int = 0) -> Tensor:
    """Filters (n,3,size,size) of normal random numbers, to see what no structure measures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, 3, size, size), generator=generator, device="cpu")
