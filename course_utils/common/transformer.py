"""A vision transformer whose attention can be looked at, with timm's names for its parts.

timm's and torchvision's own fuse the attention into one kernel, which never writes the attention
maps down. This one does: they are the output of a module, so hooks and gradients find them.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn


class Attention(nn.Module):
    """Every token asks every token: softmax(q k^T / sqrt(d)) v, for each head.

    Args:
        width: D, of a token.
        heads: each has D / heads of its numbers.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.softmax = nn.Softmax(dim=-1)  # a module, so that hooks find the attention maps

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N,T,D) -> (N,T,D)."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.split(x))
        a = self.softmax(q / q.shape[-1] ** 0.5 @ k.transpose(2, 3))
        return self.proj((a @ v).transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of tokens, (N,T,D) each, the heads one behind the other."""
        return self.qkv(x).chunk(3, dim=2)


class Scale(nn.Module):
    """One learned factor for each of a token's numbers, which training starts near zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N,T,D) -> (N,T,D)."""
        return x * self.gamma


class Mlp(nn.Module):
    """Two linear layers with a GELU between, for each token on its own."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N,T,D) -> (N,T,D)."""
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Attention between the tokens, then an MLP within each; both are added to what came."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.ls1, self.ls2 = Scale(width), Scale(width)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N,T,D) -> (N,T,D)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """The picture, cut into patches, each of them a token."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N,3,H,W) -> tokens (N,h*w,D), row after row.

        Raises:
            ValueError: sides that are no multiples of the patch.
        """
        height, width = x.shape[2:]
        if height % self.patch or width % self.patch:
            near = " x ".join(str(max(1, round(n / self.patch)) * self.patch) for n in x.shape[2:])
            raise ValueError(
                f"x: images of {height} x {width} pixels are not for a transformer with patches "
                f"of {self.patch}; accepted: sides that are multiples of it, such as {near}"
            )
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """A ViT without classifier: normalised images (N,3,H,W) -> tokens (N,1+h*w,D), [CLS] first.

    Images of any size with sides that are multiples of `patch`: the position embeddings are
    resampled to their h x w patches.

    Args:
        width: D, of a token.
        depth: how many blocks.
        heads: of each attention; `width` is a multiple of it.
        patch: side of a patch, in pixels.
        grid: for how many patches a side there are position embeddings.

    References: Dosovitskiy et al., "An image is worth 16x16 words", 2021; the factors in `Scale`:
        Touvron et al., "Going deeper with image transformers", 2021.
    """

    def __init__(
        self, width: int = 384, depth: int = 12, heads: int = 6, patch: int = 14, grid: int = 37
    ) -> None:
        super().__init__()
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + grid * grid, width) * 0.02)
        self.patch_embed = PatchEmbed(width, patch)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @property
    def patch(self) -> int:
        """Side of a patch, in pixels."""
        return self.patch_embed.patch

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N,1+h*w,D) of images (N,3,H,W)."""
        return self.encode(self.embed(x))

    def embed(self, x: Tensor) -> Tensor:
        """What the first block gets: [CLS] and the patches (N,1+h*w,D), each with its position."""
        patches = self.patch_embed(x)
        cls = self.cls_token.expand(len(x), -1, -1)
        h, w = (n // self.patch for n in x.shape[2:])
        return torch.cat([cls, patches], 1) + self.positions(h, w)

    def encode(self, tokens: Tensor) -> Tensor:
        """All blocks and the last norm. Tokens (N,T,D), any number of them, -> (N,T,D)."""
        return self.norm(self.blocks(tokens))

    def positions(self, h: int, w: int) -> Tensor:
        """The position embeddings (1,1+h*w,D) of [CLS] and of h x w patches."""
        if (h, w) == (self.grid, self.grid):
            return self.pos_embed
        cls, patches = self.pos_embed.split([1, self.grid**2], 1)
        maps = patches.unflatten(1, (self.grid, -1)).permute(0, 3, 1, 2)
        # As timm's `resample_abs_pos_embed`.
        maps = nnf.interpolate(maps, (h, w), mode="bicubic", antialias=True)
        return torch.cat([cls, maps.flatten(2).transpose(1, 2)], 1)


def layer_names(depth: int) -> dict[str, str]:
    """Short names: patch_embed, attn1, block1, ..., norm; attn1 is the attention maps of block1."""
    names = {"patch_embed": "patch_embed"}
    for i in range(depth):
        names[f"attn{i + 1}"] = f"blocks.{i}.attn.softmax"
        names[f"block{i + 1}"] = f"blocks.{i}"
    return names | {"norm": "norm"}
