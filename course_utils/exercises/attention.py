"""Lecture 17's exercises: the patch embedding, attention maps of all heads, rollout."""

from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from torch import Tensor

from course_utils import attention
from course_utils.checking import drawing
from course_utils.checking.core import Case, Exercise, Mistake, register

LECTURE = "17_attention"


# ------------------------------------------------------------------ the patch embedding


def patch_cases(seed: int) -> list[Case]:
    """A batch, a picture that is wide, another batch; no two lengths of a case are the same."""
    random = drawing.generator(seed, "patch_embedding")
    shapes = [(4, 3, 5, 7, 2, 6), (1, 3, 2, 5, 4, 7), (5, 2, 4, 7, 3, 6)]  # N,C,h,w,p,D
    notes = ["a batch of four pictures", "one wide picture", "five pictures of two channels"]
    found = []
    for (n, c, h, w, p, width), note in zip(shapes, notes, strict=True):
        args = {
            "x": torch.randn(n, c, h * p, w * p, generator=random),
            "weight": torch.randn(width, c, p, p, generator=random),
            "bias": torch.randn(width, generator=random),
        }
        found.append(Case(args, note, repeat=n == 4))
    return found


def columns(x: Tensor, weight: Tensor) -> Tensor:
    """The patches as rows of numbers, (N,T,C*p*p)."""
    p = weight.shape[-1]
    return nnf.unfold(x, p, stride=p).transpose(1, 2)


def products(x: Tensor, weight: Tensor) -> Tensor:
    """Tokens without the bias, (N,T,D)."""
    return columns(x, weight) @ weight.flatten(1).T


def column_by_column(tokens: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Tokens in another order: down the first column of patches first."""
    h, w = (n // weight.shape[-1] for n in x.shape[2:])
    return tokens.unflatten(1, (h, w)).transpose(1, 2).flatten(1, 2)


def colours_last(x: Tensor, weight: Tensor) -> Tensor:
    """Each patch with its colours last, its filter with its colours first."""
    p = weight.shape[-1]
    rows = columns(x, weight).unflatten(2, (x.shape[1], p * p)).transpose(2, 3).flatten(2)
    return rows @ weight.flatten(1).T


def in_reading_order(x: Tensor, weight: Tensor) -> Tensor:
    """A view instead of a transposition: the numbers of different patches are mixed."""
    p = weight.shape[-1]
    mixed = nnf.unfold(x, p, stride=p)
    return mixed.reshape(len(x), -1, mixed.shape[1]) @ weight.flatten(1).T


def strips(x: Tensor, weight: Tensor) -> Tensor:
    """A view of the pictures: runs of pixels in reading order instead of patches."""
    return x.reshape(len(x), -1, weight[0].numel()) @ weight.flatten(1).T


def viewed_maps(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A view of a convolution's maps: the numbers of different places are mixed."""
    maps = nnf.conv2d(x, weight, bias, stride=weight.shape[-1])
    return maps.reshape(len(x), -1, len(weight))


def turned(x: Tensor, weight: Tensor) -> Tensor:
    return products(x, weight.transpose(2, 3))


PATCH_MISTAKES = (
    Mistake(
        "no_bias",
        lambda x, weight, bias: products(x, weight),
        "The bias is missing: each token gets the same vector added, after the product.",
    ),
    Mistake(
        "tokens_last",
        lambda x, weight, bias: (products(x, weight) + bias).transpose(1, 2),
        "Your last two axes are exchanged. A row is a token, so tokens come before their numbers: "
        "(N,T,D).",
    ),
    Mistake(
        "maps",
        lambda x, weight, bias: nnf.conv2d(x, weight, bias, stride=weight.shape[-1]),
        "These are feature maps (N,D,h,w), as a convolution gives them. A transformer wants a list "
        "of tokens: the places in one axis, the numbers of a token in the last.",
    ),
    Mistake(
        "down_the_columns",
        lambda x, weight, bias: column_by_column(products(x, weight) + bias, x, weight),
        "The tokens are right but stand in another order: the second token is the patch to the "
        "*right* of the first, row after row as one reads.",
    ),
    Mistake(
        "reshaped",
        lambda x, weight, bias: in_reading_order(x, weight) + bias,
        "Your rows mix numbers of different patches: `unfold` puts a patch in each *column*, and a "
        "reshape does not turn columns into rows. Transpose.",
    ),
    Mistake(
        "maps_reshaped",
        viewed_maps,
        "Your tokens mix numbers of different places. A convolution gives (N,D,h,w), and a reshape "
        "moves no axis: a token's D numbers have to come last before it.",
    ),
    Mistake(
        "picture_reshaped",
        lambda x, weight, bias: strips(x, weight) + bias,
        "Your rows are runs of pixels in reading order, of one colour first: a reshape of the "
        "picture cuts it into strips, not into squares.",
    ),
    Mistake(
        "weight_reshaped",
        lambda x, weight, bias: columns(x, weight) @ weight.reshape(-1, len(weight)) + bias,
        "Your filters are mixed up: a reshape to `(C*p*p, D)` has the shape of the transpose, not "
        "its order. Flatten each filter, then exchange the two axes.",
    ),
    Mistake(
        "colours_last",
        lambda x, weight, bias: colours_last(x, weight) + bias,
        "Patch and filter are laid out differently: one has a pixel's colours side by side, the "
        "other a whole colour after the other. Flatten both in the same order.",
    ),
    Mistake(
        "turned_filters",
        lambda x, weight, bias: turned(x, weight) + bias,
        "Your filters are turned: rows and columns of each are exchanged before the product.",
    ),
    Mistake(
        "flipped_filters",
        lambda x, weight, bias: products(x, weight.flip(2, 3)) + bias,
        "You turned the filters upside down, as the convolution of the textbooks does. What deep "
        "learning calls a convolution multiplies each pixel with the weight at its own place.",
    ),
    Mistake(
        "bias_taken_away",
        lambda x, weight, bias: products(x, weight) - bias,
        "The bias has the wrong sign: it is added.",
    ),
    Mistake(
        "mean_for_sum",
        lambda x, weight, bias: products(x, weight) / weight[0].numel() + bias,
        "You took the mean over a patch's numbers. A filter's answer is the sum of the products.",
    ),
    Mistake(
        "overlapping",
        lambda x, weight, bias: (
            nnf.unfold(x, weight.shape[-1]).transpose(1, 2) @ weight.flatten(1).T + bias
        ),
        "Your patches overlap: there is one at every pixel. They lie side by side, so the step is "
        "a whole patch.",
    ),
    Mistake(
        "bias_per_filter_sum",
        lambda x, weight, bias: products(x, weight) + bias.sum(),
        "You add one number to everything. The bias has one for each of a token's numbers.",
    ),
)


# ------------------------------------------------------------------ attention maps


def map_cases(seed: int) -> list[Case]:
    """Three heads, two, one; a head has fewer numbers than there are tokens, or more.

    N, T, heads and D / heads are four different lengths, or what is not exchanged looks right.
    """
    random = drawing.generator(seed, "attention_maps")
    shapes = [(2, 4, 15, 3), (1, 5, 6, 2), (3, 6, 5, 1)]  # N,T,D,heads
    notes = ["two images and three heads", "one image and two heads", "a single head"]
    found = []
    for (n, t, width, heads), note in zip(shapes, notes, strict=True):
        q, k = (1.3 * torch.randn(n, t, width, generator=random) for _ in range(2))
        found.append(Case({"q": q, "k": k, "heads": heads}, note, repeat=n == 2))
    return found


def split(x: Tensor, heads: int) -> Tensor:
    """(N,T,D) -> (N,heads,T,d), the first d numbers for the first head."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attention_by(
    score: Callable[[Tensor, Tensor], Tensor] = lambda q, k: q @ k.transpose(2, 3),
    scale: Callable[[Tensor, int], float] = lambda q, heads: q.shape[-1] ** 0.5,
    finish: Callable[[Tensor], Tensor] = lambda s: s.softmax(-1),
    divide: Callable[[Tensor, int], Tensor] = split,
) -> Callable:
    """The maps with one of the steps exchanged."""

    def mistake(q: Tensor, k: Tensor, heads: int) -> Tensor:
        a, b = divide(q, heads), divide(k, heads)
        return finish(score(a, b) / scale(a, heads))

    return mistake


def every_other(x: Tensor, heads: int) -> Tensor:
    """Heads that take every `heads`-th number."""
    return x.unflatten(2, (-1, heads)).permute(0, 3, 1, 2)


def viewed(x: Tensor, heads: int) -> Tensor:
    """Heads by a reshape alone: they get tokens, not numbers, to share."""
    return x.reshape(len(x), heads, x.shape[1], -1)


right_maps = attention_by()

MAP_MISTAKES = (
    Mistake(
        "no_scale",
        attention_by(scale=lambda q, heads: 1.0),
        "The scale is missing: the products are divided by the root of a head's width before the "
        "softmax, or wide heads would look at one token only.",
    ),
    Mistake(
        "scale_of_all",
        attention_by(scale=lambda q, heads: (q.shape[-1] * heads) ** 0.5),
        "You divided by the root of the whole width D. A head's product runs over its own d = "
        "D / heads numbers: the root of that.",
    ),
    Mistake(
        "scale_of_heads",
        attention_by(scale=lambda q, heads: heads**0.5),
        "You divided by the root of the *number* of heads. It is the root of d = D / heads, the "
        "width of one head, over which the product runs.",
    ),
    Mistake(
        "scale_of_heads",
        attention_by(scale=lambda q, heads: heads),
        "You divided by the number of heads. It is the root of d = D / heads, the width of one "
        "head, over which the product runs.",
    ),
    Mistake(
        "scale_of_tokens",
        attention_by(scale=lambda q, heads: q.shape[2] ** 0.5),
        "You divided by the root of the number of tokens. It is the root of d = D / heads, the "
        "width of one head, over which the product runs.",
    ),
    Mistake(
        "no_root",
        attention_by(scale=lambda q, heads: q.shape[-1]),
        "You divided by d, not by its root. The sum of d random products grows like the root of d.",
    ),
    Mistake(
        "multiplied",
        attention_by(scale=lambda q, heads: q.shape[-1] ** -0.5),
        "You multiplied by the root of d. The products are to become smaller: divide.",
    ),
    Mistake(
        "softmax_over_queries",
        attention_by(finish=lambda s: s.softmax(-2)),
        "Your columns add up to 1, and your rows do not. Each token shares out its attention among "
        "all the keys: the softmax runs over the last axis.",
    ),
    Mistake(
        "softmax_over_heads",
        attention_by(finish=lambda s: s.softmax(1)),
        "Your heads compete: at each place they add up to 1. Each head shares out its own "
        "attention among the keys, the last axis.",
    ),
    Mistake(
        "softmax_over_the_matrix",
        attention_by(finish=lambda s: s.flatten(2).softmax(-1).view_as(s)),
        "Each of your matrices adds up to 1 as a whole. Each *row* has to: every token has an "
        "attention of its own to share out.",
    ),
    Mistake(
        "heads_with_heads",
        attention_by(divide=lambda x, heads: x.unflatten(2, (heads, -1))),
        "You compare the heads of one token with one another, (N,T,heads,heads). It is the tokens "
        "that are compared: bring the heads before them.",
    ),
    Mistake(
        "keys_unused",
        lambda q, k, heads: right_maps(q, q, heads),
        "You compare queries with queries; `k` has no effect. Whom a token asks depends on the "
        "keys.",
    ),
    Mistake(
        "scale_after",
        lambda q, k, heads: (
            attention_by(scale=lambda q, heads: 1.0)(q, k, heads) / split(q, heads).shape[-1] ** 0.5
        ),
        "You divided after the softmax, so no row adds up to 1. The scale belongs to the products, "
        "inside.",
    ),
    Mistake(
        "no_softmax",
        attention_by(finish=lambda s: s),
        "These are the scaled products. The softmax over the keys makes shares of them.",
    ),
    Mistake(
        "keys_ask",
        lambda q, k, heads: right_maps(k, q, heads),
        "Queries and keys are exchanged: row i holds whom token i *asks*, so it is q_i with every "
        "k_j.",
    ),
    Mistake(
        "maps_transposed",
        lambda q, k, heads: right_maps(q, k, heads).transpose(2, 3),
        "Your maps are transposed: row i is whom token i asks, and it is the rows that add up "
        "to 1.",
    ),
    Mistake(
        "heads_averaged",
        lambda q, k, heads: right_maps(q, k, heads).mean(1),
        "You averaged over the heads. Each has a map of its own: (N,heads,T,T).",
    ),
    Mistake(
        "heads_first",
        lambda q, k, heads: right_maps(q, k, heads).transpose(0, 1),
        "The first two axes are exchanged: the image comes before the head.",
    ),
    Mistake(
        "interleaved_heads",
        attention_by(divide=every_other),
        "Your heads take every second, or third, number of a token. The first head has the first "
        "D / heads numbers in a row, and so on.",
    ),
    Mistake(
        "viewed_heads",
        attention_by(divide=viewed),
        "You cut the array into heads without moving an axis, so a head gets some of the *tokens*. "
        "Cut the last axis, then bring the heads before the tokens.",
    ),
    Mistake(
        "one_head",
        lambda q, k, heads: right_maps(q, k, 1),
        "You made one head of them all. Each head compares its own part of query and key.",
    ),
    Mistake(
        "one_head_repeated",
        lambda q, k, heads: right_maps(q, k, 1).expand(-1, heads, -1, -1),
        "All your heads have the same map, that of the whole width. Each compares only its own "
        "part of query and key.",
    ),
    Mistake(
        "cosines",
        lambda q, k, heads: (
            nnf.normalize(split(q, heads), dim=-1)
            @ nnf.normalize(split(k, heads), dim=-1).transpose(2, 3)
        ).softmax(-1),
        "You compared by the cosine. Attention takes the product as it is: a long query looks more "
        "sharply than a short one.",
    ),
    Mistake(
        "sigmoid",
        attention_by(finish=torch.sigmoid),
        "You took the sigmoid of each product on its own. The keys compete for shares of 1: "
        "softmax over them.",
    ),
)


# ------------------------------------------------------------------ rollout


def rollout_cases(seed: int) -> list[Case]:
    """Four, three and two blocks; heads that differ, so that their mean matters."""
    random = drawing.generator(seed, "rollout")
    shapes = [(4, 2, 3, 5), (3, 1, 2, 4), (2, 3, 1, 6)]  # L,N,heads,T, all different
    notes = [
        "four blocks and two images",
        "three blocks and one image",
        "two blocks of a single head",
    ]
    found = []
    for shape, note in zip(shapes, notes, strict=True):
        maps = (2 * torch.randn(*shape, shape[-1], generator=random)).softmax(-1)
        found.append(Case({"maps": maps}, note, repeat=shape[0] == 4))
    return found


def rolled(
    heads: Callable[[Tensor], Tensor] = lambda a: a.mean(1),
    stay: Callable[[Tensor, Tensor], Tensor] = lambda a, eye: (a + eye) / 2,
    join: Callable[[Tensor, Tensor], Tensor] = lambda one, before: one @ before,
) -> Callable:
    """The product over the blocks with one of its steps exchanged."""

    def mistake(maps: Tensor) -> Tensor:
        eye = torch.eye(maps.shape[-1])
        joined = eye.expand(maps.shape[1], -1, -1)
        for one in maps:
            joined = join(stay(heads(one), eye), joined)
        return joined

    return mistake


right_rollout = rolled()


def rows_to_one(a: Tensor) -> Tensor:
    return a / a.sum(-1, keepdim=True)


ROLLOUT_MISTAKES = (
    Mistake(
        "first_block_on_the_left",
        rolled(join=lambda one, before: before @ one),
        "Your blocks stand in the wrong order. What the last block takes was made by those before "
        "it: its matrix comes on the left.",
    ),
    Mistake(
        "no_identity",
        rolled(stay=lambda a, eye: a),
        "The way past the attention is missing: each block *adds* what it takes to what is there. "
        "Half of every matrix is the identity.",
    ),
    Mistake(
        "identity_added",
        rolled(stay=lambda a, eye: a + eye),
        "You add the identity and leave it there, so rows add up to 2 in each block. "
        "Halve the sum.",
    ),
    Mistake(
        "half_the_identity",
        rolled(stay=lambda a, eye: a + eye / 2),
        "You halved the identity only, so rows add up to 1.5 in each block. Half of the matrix is "
        "attention, half identity: halve the *sum*.",
    ),
    Mistake(
        "half_the_attention",
        rolled(stay=lambda a, eye: a / 2 + eye),
        "You halved the attention only, so rows add up to 1.5 in each block. Half of the matrix is "
        "attention, half identity: halve the *sum*.",
    ),
    Mistake(
        "first_block",
        lambda maps: (maps[0].mean(1) + torch.eye(maps.shape[-1])) / 2,
        "This is the first block alone. Is your `return` inside the loop? The matrices of all "
        "blocks are multiplied.",
    ),
    Mistake(
        "blocks_averaged",
        lambda maps: (maps.mean((0, 2)) + torch.eye(maps.shape[-1])) / 2,
        "You averaged over the blocks. They work one after the other, on what the one before has "
        "made: multiply the matrices.",
    ),
    Mistake(
        "last_block",
        lambda maps: (maps[-1].mean(1) + torch.eye(maps.shape[-1])) / 2,
        "This is the last block alone. Its tokens are mixtures already: multiply by the "
        "matrices of the blocks before.",
    ),
    Mistake(
        "entry_by_entry",
        rolled(join=lambda one, before: one * before),
        "You multiplied entry by entry. What flows from j to i goes through every token between "
        "them: it is the matrix product.",
    ),
    Mistake(
        "heads_largest",
        rolled(heads=lambda a: a.amax(1)),
        "You took the largest head at every place. Asked for is the mean of the heads.",
    ),
    Mistake(
        "heads_largest_to_one",
        rolled(heads=lambda a: rows_to_one(a.amax(1))),
        "You took the largest head at every place and rescaled the rows. Asked for is the mean of "
        "the heads, whose rows add up to 1 by themselves.",
    ),
    Mistake(
        "heads_added",
        rolled(heads=lambda a: a.sum(1)),
        "You added the heads up, so rows add up to their number. Take their mean.",
    ),
    Mistake(
        "heads_apart",
        lambda maps: torch.stack(
            [right_rollout(maps[:, :, h : h + 1]) for h in range(maps.shape[2])]
        ).mean(0),
        "You followed each head through all blocks and averaged at the end. After every block the "
        "heads are mixed: take their mean there.",
    ),
    Mistake(
        "first_head",
        rolled(heads=lambda a: a[:, 0]),
        "You used the first head alone. Take the mean of the heads.",
    ),
    Mistake(
        "transposed",
        lambda maps: right_rollout(maps).transpose(1, 2),
        "Your matrix is transposed: row i says what token i of the last block is made of, and adds "
        "up to 1.",
    ),
    Mistake(
        "attention_transposed",
        rolled(stay=lambda a, eye: (a.transpose(1, 2) + eye) / 2),
        "You turned each attention map round. Row i is what token i takes: it stays a row.",
    ),
    Mistake(
        "last_block_left_out",
        lambda maps: right_rollout(maps[:-1]),
        "The last block is missing from your product.",
    ),
    Mistake(
        "first_block_left_out",
        lambda maps: right_rollout(maps[1:]),
        "The first block is missing from your product.",
    ),
    Mistake(
        "cls_only",
        lambda maps: right_rollout(maps)[:, 0],
        "This is the row of [CLS] alone. Asked for is the whole matrix, one row for every token.",
    ),
    Mistake(
        "less_identity",
        lambda maps: right_rollout(maps) - torch.eye(maps.shape[-1]),
        "You took the identity away at the end. The share of itself that a token keeps belongs to "
        "the answer.",
    ),
)


register(
    Exercise(
        name="patch_embedding",
        lecture=LECTURE,
        title="Patches as tokens",
        reference=attention.patch_embedding,
        cases=patch_cases,
        mistakes=PATCH_MISTAKES,
        result="one row of D numbers for each patch, so (N,T,D)",
        noun="tokens",
        axes=("image", "token", "number"),
        hints=(
            "`torch.nn.functional.unfold(x, p, stride=p)` has the shape `(N, C*p*p, T)`: a column "
            "for each patch.",
            "`weight.flatten(1)` lays each filter out in the same order, `(D, C*p*p)`.",
            "Transposed, the patches are rows: one matrix product with the filters' transpose, and "
            "the bias.",
        ),
    ),
    Exercise(
        name="attention_maps",
        lecture=LECTURE,
        title="Who asks whom",
        reference=attention.attention_maps,
        cases=map_cases,
        mistakes=MAP_MISTAKES,
        result="for each image and head one matrix of tokens by tokens, so (N,heads,T,T)",
        noun="maps",
        axes=("image", "head", "query", "key"),
        hints=(
            "`q.unflatten(2, (heads, -1))` has the shape (N,T,heads,d).",
            "Bring the heads before the tokens: `transpose(1, 2)`, for q and for k.",
            "One product of (T,d) with (d,T) for each head; divide; softmax over the keys.",
        ),
    ),
    Exercise(
        name="rollout",
        lecture=LECTURE,
        title="Attention over all layers",
        reference=attention.rollout,
        cases=rollout_cases,
        mistakes=ROLLOUT_MISTAKES,
        result="for each image one matrix of tokens by tokens, so (N,T,T)",
        noun="matrix",
        axes=("image", "row", "column"),
        hints=(
            "First the mean over the heads: (L,N,T,T).",
            "Each block's matrix is half the attention, half `torch.eye(T)`.",
            "A loop over the blocks, the first one first: `joined = matrix @ joined`.",
        ),
    ),
)
