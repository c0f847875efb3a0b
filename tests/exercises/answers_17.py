"""Answers to the exercises of lecture 17: unusual ones that are right, likely wrong ones."""

from answers_09_to_16 import framed

EMBEDDING = framed(
    "patch_embedding",
    "def patch_embedding(x, weight, bias):",
    "p = weight.shape[-1]\nn, c, height, width = x.shape\nh, w = height // p, width // p\n{}",
    [
        (
            "by a convolution, flattened",
            "y = torch.nn.functional.conv2d(x, weight, bias, stride=p)\n"
            "return y.flatten(2).transpose(1, 2)",
            "right",
            (),
            (),
        ),
        (
            "by einsum over a view",
            "cut = x.view(n, c, h, p, w, p)\n"
            "return torch.einsum('nchiwj,dcij->nhwd', cut, weight).flatten(1, 2) + bias",
            "right",
            (),
            (),
        ),
        (
            "patch by patch",
            "rows = [x[:, :, i * p : (i + 1) * p, j * p : (j + 1) * p].flatten(1)\n"
            "        for i in range(h) for j in range(w)]\n"
            "return torch.stack(rows, 1) @ weight.flatten(1).T + bias",
            "right",
            (),
            (),
        ),
        (
            "a convolution left as maps",
            "return torch.nn.functional.conv2d(x, weight, bias, stride=p)",
            "wrong",
            "feature maps (N,D,h,w)",
            (),
        ),
        (
            "a convolution reshaped",
            "y = torch.nn.functional.conv2d(x, weight, bias, stride=p)\n"
            "return y.reshape(n, -1, len(weight))",
            "wrong",
            "mix numbers of different places",
            "off",
        ),
        (
            "the pictures reshaped",
            "rows = x.reshape(n, h * w, c * p * p)\nreturn rows @ weight.flatten(1).T + bias",
            "wrong",
            "runs of pixels in reading order",
            "off",
        ),
        (
            "the filters reshaped",
            "rows = torch.nn.functional.unfold(x, p, stride=p).transpose(1, 2)\n"
            "return rows @ weight.reshape(-1, len(weight)) + bias",
            "wrong",
            "not its order",
            "off",
        ),
        (
            "columns of patches first",
            "rows = [x[:, :, i * p : (i + 1) * p, j * p : (j + 1) * p].flatten(1)\n"
            "        for j in range(w) for i in range(h)]\n"
            "return torch.stack(rows, 1) @ weight.flatten(1).T + bias",
            "wrong",
            "row after row",
            (),
        ),
        (
            "the bias twice",
            "rows = torch.nn.functional.unfold(x, p, stride=p).transpose(1, 2)\n"
            "return rows @ weight.flatten(1).T + 2 * bias",
            "wrong",
            "plus a constant",
            (),
        ),
        (
            "the mean colour taken away",
            "x = x - x.mean((2, 3), keepdim=True)\n"
            "rows = torch.nn.functional.unfold(x, p, stride=p).transpose(1, 2)\n"
            "return rows @ weight.flatten(1).T + bias",
            "wrong",
            "value",
            (),
        ),
        (
            "one token too few",
            "rows = torch.nn.functional.unfold(x, p, stride=p).transpose(1, 2)[:, 1:]\n"
            "return rows @ weight.flatten(1).T + bias",
            "wrong",
            "shape",
            (),
        ),
    ],
)

MAPS = framed(
    "attention_maps",
    "def attention_maps(q, k, heads):",
    "n, t, width = q.shape\nd = width // heads\n{}",
    [
        (
            "head by head",
            "found = []\n"
            "for h in range(heads):\n"
            "    a, b = q[..., h * d : (h + 1) * d], k[..., h * d : (h + 1) * d]\n"
            "    found.append((a @ b.mT / d**0.5).softmax(-1))\n"
            "return torch.stack(found, 1)",
            "right",
            (),
            (),
        ),
        (
            "by einsum and exponentials",
            "a, b = q.view(n, t, heads, d), k.view(n, t, heads, d)\n"
            "e = torch.exp(torch.einsum('nihd,njhd->nhij', a, b) / d**0.5)\n"
            "return e / e.sum(-1, keepdim=True)",
            "right",
            (),
            (),
        ),
        (
            "the scale on both",
            "a, b = (z.view(n, t, heads, d).transpose(1, 2) * d**-0.25 for z in (q, k))\n"
            "return torch.softmax(a @ b.transpose(-1, -2), dim=3)",
            "right",
            (),
            (),
        ),
        (
            "the scale of the whole width",
            "a, b = (z.view(n, t, heads, d).transpose(1, 2) for z in (q, k))\n"
            "return (a @ b.mT / width**0.5).softmax(-1)",
            "wrong",
            "the whole width D",
            (),
        ),
        *[
            (
                label,
                f"a, b = (z.view(n, t, heads, d).transpose(1, 2) for z in (q, k))\nreturn {result}",
                "wrong",
                must,
                ("off", "Right on"),
            )
            for label, result, must in [
                (
                    "the root of the heads",
                    "(a @ b.mT / heads**0.5).softmax(-1)",
                    "the root of the *number* of heads",
                ),
                ("by the heads", "(a @ b.mT / heads).softmax(-1)", "by the number of heads"),
                (
                    "the root of the tokens",
                    "(a @ b.mT / a.shape[2] ** 0.5).softmax(-1)",
                    "the number of tokens",
                ),
                (
                    "over the whole matrix",
                    "(a @ b.mT / d**0.5).flatten(2).softmax(-1).view(n, heads, t, t)",
                    "adds up to 1 as a whole",
                ),
                (
                    "queries twice",
                    "(a @ a.mT / d**0.5).softmax(-1)",
                    "queries with queries",
                ),
            ]
        ],
        (
            "heads behind the tokens",
            "a, b = (z.view(n, t, heads, d) for z in (q, k))\n"
            "return (a @ b.mT / d**0.5).softmax(-1)",
            "wrong",
            "bring the heads before them",
            "shape (",
        ),
        (
            "width and number of the heads exchanged",
            "a, b = (z.unflatten(2, (-1, heads)).transpose(1, 2) for z in (q, k))\n"
            "return (a @ b.mT / a.shape[-1] ** 0.5).softmax(-1)",
            "wrong",
            "3 heads and not 5",
            "Right on",
        ),
        (
            "only over what comes before",
            "a, b = (z.view(n, t, heads, d).transpose(1, 2) for z in (q, k))\n"
            "s = a @ b.mT / d**0.5\n"
            "return s.masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf).softmax(-1)",
            "wrong",
            "Only the last query is right",
            (),
        ),
        (
            "over all heads at once",
            "a, b = (z.view(n, t, heads, d).transpose(1, 2) for z in (q, k))\n"
            "return (a @ b.mT / d**0.5).softmax(1)",
            "wrong",
            "heads compete",
            (),
        ),
        (
            "tokens shared out to heads",
            "a, b = (z.reshape(n, heads, t, d) for z in (q, k))\n"
            "return (a @ b.mT / d**0.5).softmax(-1)",
            "wrong",
            "some of the *tokens*",
            (),
        ),
    ],
)

ROLLOUT = framed(
    "rollout",
    "def rollout(maps):",
    "eye = torch.eye(maps.shape[-1])\n{}",
    [
        (
            "linalg's product of many",
            "steps = (maps.mean(2) + eye) / 2\n"
            "return torch.stack([torch.linalg.multi_dot([*steps[:, i].flip(0)])\n"
            "                    for i in range(maps.shape[1])])",
            "right",
            (),
            (),
        ),
        (
            "rescaled, which changes nothing",
            "joined = eye\n"
            "for a in maps.mean(2) + eye:\n"
            "    joined = a / a.sum(-1, keepdim=True) @ joined\n"
            "return joined",
            "right",
            (),
            (),
        ),
        (
            "the order turned round",
            "joined = eye\n"
            "for a in (maps.mean(2) + eye) / 2:\n"
            "    joined = joined @ a\n"
            "return joined",
            "wrong",
            "the wrong order",
            (),
        ),
        (
            "the identity halved alone",
            "joined = eye\n"
            "for a in maps.mean(2):\n"
            "    joined = (a + eye / 2) @ joined\n"
            "return joined",
            "wrong",
            "halved the identity only",
            "off",
        ),
        (
            "the attention halved alone",
            "joined = eye\n"
            "for a in maps.mean(2):\n"
            "    joined = (0.5 * a + eye) @ joined\n"
            "return joined",
            "wrong",
            "halved the attention only",
            "off",
        ),
        (
            "returns inside",
            "joined = eye\n"
            "for a in (maps.mean(2) + eye) / 2:\n"
            "    joined = a @ joined\n"
            "    return joined",
            "wrong",
            "the first block alone",
            "off",
        ),
        (
            "images averaged",
            "joined = eye\n"
            "for a in (maps.mean((1, 2)) + eye) / 2:\n"
            "    joined = a @ joined\n"
            "return joined",
            "wrong",
            "the axis of images is missing",
            "length one",
        ),
        (
            "three quarters stay",
            "joined = eye\n"
            "for a in maps.mean(2) / 4 + 3 * eye / 4:\n"
            "    joined = a @ joined\n"
            "return joined",
            "wrong",
            "value",
            (),
        ),
        (
            "the identity only once, at the end",
            "joined = eye\n"
            "for a in maps.mean(2):\n"
            "    joined = a @ joined\n"
            "return (joined + eye) / 2",
            "wrong",
            "value",
            (),
        ),
        (
            "every head's own product, then the mean",
            "joined = eye\n"
            "for a in (maps + eye) / 2:\n"
            "    joined = a @ joined\n"
            "return joined.mean(1)",
            "wrong",
            "each head through all blocks",
            (),
        ),
    ],
)

ANSWERS = [*EMBEDDING, *MAPS, *ROLLOUT]
