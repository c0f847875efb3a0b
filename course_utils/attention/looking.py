"""Attention maps: taken out of a transformer, computed, joined over the layers, and measured."""

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from course_utils import cam, layers
from course_utils.common import gate
from course_utils.common.scores import class_scores
from course_utils.common.transformer import VisionTransformer

# ------------------------------------------------------------------ what a transformer computes


def patch_embedding(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Patches as tokens, without a convolution: each patch is a column, one product does the rest.

    Args:
        x: images (N,C,H,W), H and W multiples of p.
        weight: D filters (D,C,p,p), as a convolution of stride p has them.
        bias: (D,).

    Returns:
        Tokens (N,T,D), T = H/p * W/p, row after row.

    Raises:
        ValueError: sides that are no multiples of p, or another number of channels.

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, equation 1.
    """
    p = weight.shape[-1]
    if x.ndim != 4 or x.shape[1] != weight.shape[1] or x.shape[2] % p or x.shape[3] % p:
        raise ValueError(
            f"x: shape {tuple(x.shape)}; accepted: (N,{weight.shape[1]},H,W), H and W multiples "
            f"of the patch's {p} pixels"
        )
    columns = nnf.unfold(x, p, stride=p)
    return columns.transpose(1, 2) @ weight.flatten(1).T + bias


def attention_maps(q: Tensor, k: Tensor, heads: int) -> Tensor:
    """A = softmax(q k^T / sqrt(d)) for each head: how much of each token every token takes.

    Args:
        q, k: queries and keys of T tokens, (N,T,D); the first D/heads numbers are head 0's, and so
            on.
        heads: how many; D is a multiple.

    Returns:
        (N,heads,T,T), row i: whom token i asks; each row adds up to 1.

    Raises:
        ValueError: shapes that differ, or a width that the heads do not divide.

    Reference: Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1.
    """
    if q.shape != k.shape or q.ndim != 3 or q.shape[2] % heads:
        raise ValueError(
            f"q, k: shapes {tuple(q.shape)} and {tuple(k.shape)}; accepted: one shape (N,T,D), D "
            f"a multiple of heads={heads}"
        )
    q, k = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k))
    return (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)


# ------------------------------------------------------------------ taking them out


def transformer(model: nn.Module) -> VisionTransformer:
    """The transformer in a network of the zoo, or under a head that was put on it.

    Raises:
        ValueError: a network without one.
    """
    gate.check_model(model)
    found = [part for part in model.modules() if isinstance(part, VisionTransformer)]
    if len(found) != 1:
        raise ValueError(
            f"model: {gate.name_of(model)} has no attention to look at; accepted: "
            "vit_small_dinov2_saliency, or another network with one `VisionTransformer` in it"
        )
    return found[0]


def grid(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """How many patches images (N,3,H,W) have for a transformer: rows, columns."""
    p = transformer(model).patch
    return x.shape[2] // p, x.shape[3] // p


def look(model: nn.Module, x: Tensor, blocks: Sequence[int] | None = None) -> Tensor:
    """The attention maps of a transformer's blocks, without gradient.

    Args:
        model: a network with a transformer in it.
        x: normalised images (N,3,H,W).
        blocks: counted from 1; all by default. At 224 pixels a block has 1.6 MB an image, at 448
            pixels 25 MB.

    Returns:
        (blocks,N,heads,T,T), T = 1 + h*w, [CLS] first.

    Raises:
        ValueError: a network without transformer, or a block it does not have.
    """
    parts = transformer(model).blocks
    wanted = range(1, len(parts) + 1) if blocks is None else list(blocks)
    if not wanted or not all(1 <= b <= len(parts) for b in wanted):
        raise ValueError(f"blocks={list(wanted)}; accepted: some of 1 to {len(parts)}")
    places = {b: parts[b - 1].attn.softmax for b in wanted}
    with torch.no_grad():
        seen = layers.outputs(model, x, *places.values())
    return torch.stack([seen[places[b]] for b in wanted])


def from_cls(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """What [CLS] takes from each patch: (...,T,T) -> (...,h,w), for `size` (h,w)."""
    return maps[..., 0, 1:].unflatten(-1, size)


def from_patch(maps: Tensor, size: tuple[int, int], row: int, column: int) -> Tensor:
    """What one patch takes from each patch: (...,T,T) -> (...,h,w), for `size` (h,w).

    Raises:
        ValueError: a patch outside.
    """
    if not (0 <= row < size[0] and 0 <= column < size[1]):
        raise ValueError(f"row={row}, column={column}; accepted: a place in {size[0]} x {size[1]}")
    return maps[..., 1 + row * size[1] + column, 1:].unflatten(-1, size)


def look_distances(maps: Tensor, size: tuple[int, int], patch: int = 14) -> Tensor:
    """How far patches look: the distance to the patches they take from, weighted by how much.

    Args:
        maps: (...,T,T), T = 1 + h*w. What goes to and from [CLS], which is nowhere, is left out.
        size: (h,w).
        patch: side of a patch, in pixels.

    Returns:
        (...), in pixels, the mean over all patches.

    Reference: Dosovitskiy et al., ICLR 2021, appendix D.7.
    """
    device = maps.device
    rows, columns = torch.meshgrid(
        *(torch.arange(n, device=device, dtype=maps.dtype) for n in size), indexing="ij"
    )
    places = torch.stack([rows.flatten(), columns.flatten()], 1)
    apart = (places[:, None] - places).norm(dim=2)
    between = maps[..., 1:, 1:]
    taken = (between * apart).sum(-1) / between.sum(-1).clamp(min=1e-12)
    return patch * taken.mean(-1)


# ------------------------------------------------------------------ over all layers


def rollout(maps: Tensor) -> Tensor:
    """Attention over all layers at once: how much of each input token ends up in each output token.

    Each block adds what it takes to what is there, so its matrix is half attention (the mean of the
    heads) and half identity, (A + I) / 2; the blocks follow one another, so the matrices are
    multiplied, the last one on the left.

    Args:
        maps: (L,N,heads,T,T), the first block first.

    Returns:
        (N,T,T), row i: what token i of the last block is made of; rows add up to 1.

    Raises:
        ValueError: another shape.

    Reference: Abnar & Zuidema, "Quantifying attention flow in transformers", ACL 2020.
    """
    if maps.ndim != 5 or maps.shape[3] != maps.shape[4]:
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: (L,N,heads,T,T)")
    eye = torch.eye(maps.shape[-1], device=maps.device, dtype=maps.dtype)
    joined = eye.expand(maps.shape[1], -1, -1)
    for one in maps.mean(2):
        joined = (one + eye) / 2 @ joined
    return joined


def gradient_rollout(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """Attention weighted by what it does for a class, over all layers.

    In each block, A_bar = mean over the heads of ReLU(dS_c/dA * A); then R <- R + A_bar R, from
    R = I, block after block.

    Args:
        model: a transformer with a classifier, see `with_head`.
        x: normalised images (N,3,H,W).
        classes: the class of each image (index or name), or one for all.

    Returns:
        R (N,T,T); row 0 from column 1 on is what [CLS] has from each patch.

    Raises:
        ValueError: a network without transformer, or without classifier.

    Reference: Chefer, Gur & Wolf, "Generic attention-model explainability", ICCV 2021, equations 5
        and 6.
    """
    places = [block.attn.softmax for block in transformer(model).blocks]
    with torch.enable_grad(), layers.capture(model, *places) as seen:
        score = class_scores(model, gate.leaf(x), classes).sum()
        kept = [seen[place] for place in places]
        slopes = torch.autograd.grad(score, kept)
    eye = torch.eye(kept[0].shape[-1], device=x.device, dtype=x.dtype)
    relevance = eye.expand(len(x), -1, -1)
    for a, slope in zip(kept, slopes, strict=True):
        relevance = relevance + (slope * a).clamp(min=0).mean(1).detach() @ relevance
    return relevance


# ------------------------------------------------------------------ as explanations


def last_attention(model: nn.Module, x: Tensor, classes: object = None) -> Tensor:
    """The last block's attention of [CLS], mean of the heads, on the pixels: (N,H,W).

    The class is not asked for: it is here so that this is called as other explanations are.
    """
    depth = len(transformer(model).blocks)
    return _on_pixels(from_cls(look(model, x, [depth])[0].mean(1), grid(model, x)), x)


def rolled_out(model: nn.Module, x: Tensor, classes: object = None) -> Tensor:
    """What `rollout` gives [CLS] from each patch, on the pixels: (N,H,W); no class is asked for."""
    return _on_pixels(from_cls(rollout(look(model, x)), grid(model, x)), x)


def class_attention(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """What `gradient_rollout` gives [CLS] from each patch, on the pixels: (N,H,W)."""
    return _on_pixels(from_cls(gradient_rollout(model, x, classes), grid(model, x)), x)


def _on_pixels(maps: Tensor, x: Tensor) -> Tensor:
    return cam.upsample(maps, tuple(x.shape[2:]))
