"""Answers to the exercises of lectures 09 to 16: unusual ones that are right, likely wrong ones.

Most stand in a frame, the body of the function with one line exchanged.
"""

OFF = "Every value is off"
ALL_OFF = (OFF, "100% of the values")


def framed(name, head, frame, rows):
    """Answers whose cell is `head` and, indented, `frame` with `{}` replaced by the row's code."""
    found = []
    for label, code, state, must, must_not in rows:
        lines = frame.format(code).strip("\n").split("\n")
        source = "\n".join([head, *(f"    {line}" for line in lines)])
        found.append((name, label, source, state, must, must_not))
    return found


# ------------------------------------------------------------------ 09 pointing_score

POINTING = framed(
    "pointing_score",
    "def pointing_score(maps, cells):",
    "n, height, width = maps.shape\n{}",
    [
        (
            "by a view and gather",
            "q = maps.relu().view(n, 2, height // 2, 2, width // 2).sum((2, 4)).view(n, 4)\n"
            "return q.gather(1, cells[:, None])[:, 0] / q.sum(1).clamp_min(1e-9)",
            "right",
            (),
            (),
        ),
        (
            "where instead of clamp",
            "p = torch.where(maps > 0, maps, 0.0)\n"
            "found = torch.zeros(n)\n"
            "for i in range(n):\n"
            "    r, c = divmod(int(cells[i]), 2)\n"
            "    part = p[i].chunk(2, 0)[r].chunk(2, 1)[c].sum()\n"
            "    if p[i].sum() > 0:\n"
            "        found[i] = part / p[i].sum()\n"
            "return found",
            "right",
            (),
            (),
        ),
        (
            "a list of numbers stacked",
            "found = []\n"
            "for one, c in zip(maps, cells):\n"
            "    p = one.clamp(min=0)\n"
            "    rows = p[: height // 2] if c < 2 else p[height // 2 :]\n"
            "    part = rows[:, : width // 2] if c % 2 == 0 else rows[:, width // 2 :]\n"
            "    found.append(part.sum().item() / max(p.sum().item(), 1e-12))\n"
            "return torch.tensor(found)",
            "right",
            (),
            (),
        ),
        (
            "as NumPy",
            "p = maps.clamp(min=0).numpy()\n"
            "q = p.reshape(n, 2, height // 2, 2, width // 2).sum((2, 4)).reshape(n, 4)\n"
            "return q[range(n), cells.numpy()] / q.sum(1).clip(1e-12)",
            "right",
            (),
            (),
        ),
        (
            "nothing by nothing",
            "p = maps.clamp(min=0)\n"
            "q = p.unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / q.sum(1)",
            "wrong",
            ("NaN", "points nowhere"),
            (OFF, "a batch"),
        ),
        (
            "over the mass of all maps",
            "q = maps.relu().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / q.sum()",
            "wrong",
            "all maps together",
            OFF,
        ),
        (
            "cells from one, by slices",
            "p, found, h, w = maps.relu(), [], height // 2, width // 2\n"
            "for one, c in zip(p, cells.tolist()):\n"
            "    r, k = divmod(c - 1, 2)\n"
            "    part = one[r * h : (r + 1) * h, k * w : (k + 1) * w]\n"
            "    found.append(part.sum() / one.sum().clamp(min=1e-12))\n"
            "return torch.stack(found)",
            "wrong",
            ("count the cells from 1", "0 where none is before"),
            OFF,
        ),
        (
            "cells from one, by indices",
            "q = maps.relu().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells - 1] / q.sum(1).clamp(min=1e-12)",
            "wrong",
            "count the cells from 1",
            (OFF, "0 where none is before"),
        ),
        (
            "signed sums",
            "q = maps.unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / q.sum(1)",
            "wrong",
            "Negative values take part",
            OFF,
        ),
        (
            "absolute values",
            "q = maps.abs().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / q.sum(1)",
            "wrong",
            "absolute values",
            OFF,
        ),
        (
            "over all sizes",
            "q = maps.relu().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / maps.abs().sum((1, 2))",
            "wrong",
            "sum of all sizes",
            OFF,
        ),
        (
            "over the signed sum",
            "q = maps.relu().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / maps.sum((1, 2))",
            "wrong",
            "below it the signed sum",
            OFF,
        ),
        (
            "means",
            "p = maps.relu()\n"
            "q = p.unflatten(2, (2, -1)).unflatten(1, (2, -1)).mean((2, 4)).flatten(1)\n"
            "return q[range(n), cells] / p.mean((1, 2)).clamp(min=1e-12)",
            "wrong",
            "four times too large",
            OFF,
        ),
        (
            "half the height for both",
            "p, found, h = maps.relu(), [], height // 2\n"
            "for one, c in zip(p, cells.tolist()):\n"
            "    r, k = c // 2 * h, c % 2 * h\n"
            "    found.append(one[r : r + h, k : k + h].sum())\n"
            "return torch.stack(found) / p.sum((1, 2)).clamp(min=1e-12)",
            "wrong",
            "as wide as they are high",
            OFF,
        ),
        (
            "columns first",
            "p, found = maps.relu(), []\n"
            "for one, c in zip(p, cells.tolist()):\n"
            "    r, k = c % 2, c // 2\n"
            "    found.append(one.chunk(2, 0)[r].chunk(2, 1)[k].sum())\n"
            "return torch.stack(found) / p.sum((1, 2)).clamp(min=1e-12)",
            "wrong",
            "Cells 1 and 2 are swapped",
            OFF,
        ),
        (
            "a bare sum",
            "p = maps.relu().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return p[range(n), cells]",
            "wrong",
            "not its share",
            OFF,
        ),
        (
            "all four shares",
            "p = maps.relu().unflatten(2, (2, -1)).unflatten(1, (2, -1)).sum((2, 4)).flatten(1)\n"
            "return p / p.sum(1, keepdim=True).clamp(min=1e-12)",
            "wrong",
            ("shape (3, 4)", "(3,)", "an axis of length 4 too many"),
            (),
        ),
        ("not yet", "raise NotImplementedError()", "wrong", "still reached", ()),
    ],
)

# ------------------------------------------------------------------ 09 deletion_curve

DELETION = framed(
    "deletion_curve",
    "def deletion_curve(model, x, maps, classes, steps):",
    "n, _, h, w = x.shape\n{}",
    [
        (
            "pixel by pixel in place of ranks",
            "order = maps.flatten(1).argsort(1, descending=True)\n"
            "left, found, gone = x.clone(), [], 0\n"
            "for k in range(steps + 1):\n"
            "    upto = k * h * w // steps\n"
            "    for i in range(n):\n"
            "        left[i].flatten(1)[:, order[i, gone:upto]] = 0\n"
            "    gone = upto\n"
            "    found.append(model(left).softmax(1)[range(n), classes])\n"
            "return torch.stack(found, 1)",
            "right",
            (),
            (),
        ),
        (
            "one large batch",
            "place = maps.flatten(1).argsort(1, descending=True).argsort(1).view(n, 1, 1, h, w)\n"
            "count = torch.tensor([k * h * w // steps for k in range(steps + 1)])\n"
            "kept = (place >= count.view(1, -1, 1, 1, 1)).float()\n"
            "p = model((x[:, None] * kept).flatten(0, 1)).softmax(1).unflatten(0, (n, -1))\n"
            "return p[torch.arange(n), :, classes]",
            "right",
            (),
            (),
        ),
        (
            "by thresholds of the sorted map",
            "sorted_, _ = maps.flatten(1).sort(1, descending=True)\n"
            "found = []\n"
            "for k in range(steps + 1):\n"
            "    c = k * h * w // steps\n"
            "    limit = sorted_[:, c - 1] if c else torch.full((n,), float('inf'))\n"
            "    keep = maps < limit[:, None, None]\n"
            "    p = torch.softmax(model(x * keep[:, None]), dim=1)\n"
            "    found.append(p.gather(1, classes[:, None]))\n"
            "return torch.cat(found, 1)",
            "right",
            (),
            (),
        ),
        (
            "the top class",
            "classes = model(x).argmax(1)\n"
            "place = maps.flatten(1).argsort(1, descending=True).argsort(1).view(n, 1, h, w)\n"
            "return torch.stack([model(torch.where(place < k * h * w // steps, 0, x)).softmax(1)"
            "[range(n), classes] for k in range(steps + 1)], 1)",
            "wrong",
            "most probable at the start",
            OFF,
        ),
    ]
    + [
        (
            label,
            "place = maps.flatten(1).argsort(1, descending=True).argsort(1).view(n, 1, h, w)\n"
            f"return torch.stack([model(torch.where(place < k * h * w // steps, 0, x)){end}",
            "wrong",
            must,
            must_not,
        )
        for label, end, must, must_not in [
            (
                "the largest probability",
                ".softmax(1).amax(1) for k in range(steps + 1)], 1)",
                "largest probability",
                OFF,
            ),
            (
                "all columns",
                ".softmax(1)[:, classes] for k in range(steps + 1)], 1)",
                "takes *every* class",
                (),
            ),
            (
                "first class for all",
                ".softmax(1)[:, classes[0]] for k in range(steps + 1)], 1)",
                "`classes[0]` for all",
                OFF,
            ),
            (
                "softmax over images",
                ".softmax(0)[range(n), classes] for k in range(steps + 1)], 1)",
                "runs over the images",
                OFF,
            ),
            ("scores", "[range(n), classes] for k in range(steps + 1)], 1)", "the score", OFF),
            (
                "no empty image",
                ".softmax(1)[range(n), classes] for k in range(steps)], 1)",
                "last point is missing",
                (),
            ),
            (
                "on its side",
                ".softmax(1)[range(n), classes] for k in range(steps + 1)])",
                "on its side",
                (),
            ),
            (
                "sigmoid",
                ".sigmoid()[range(n), classes] for k in range(steps + 1)], 1)",
                "the sigmoid of each score",
                OFF,
            ),
        ]
    ]
    + [
        (
            label,
            "place = maps.flatten(1).argsort(1, descending=True).argsort(1).view(n, 1, h, w)\n"
            "found = []\n"
            "for k in range(steps + 1):\n"
            f"    y = {left}\n"
            "    found.append(model(y).softmax(1)[range(n), classes])\n"
            "p = torch.stack(found, 1)\n"
            f"return {result}",
            "wrong",
            must,
            (OFF, "Only the first step", "as removed"),
        )
        for label, left, result, must in [
            (
                "grey",
                "torch.where(place < k * h * w // steps, 0.5, x)",
                "p",
                "painted with 0.5",
            ),
            (
                "the mean of everything",
                "x.masked_fill(place < k * h * w // steps, x.mean())",
                "p",
                "mean of all images together",
            ),
            (
                "the mean of all the numbers of the image",
                "torch.where(place < k * h * w // steps, x.mean((1, 2, 3), True), x)",
                "p",
                "mean of all the image's numbers",
            ),
            (
                "the first colour alone",
                "torch.cat([x[:, :1] * (place >= k * h * w // steps), x[:, 1:]], 1)",
                "p",
                "first colour only",
            ),
            (
                "the important ones kept",
                "x * (place < k * h * w // steps)",
                "p",
                ("keep the important pixels", "begins at the empty image"),
            ),
            (
                "up to the place itself",
                "torch.where(place <= k * h * w // steps, 0, x)",
                "p",
                "already at step 0",
            ),
            (
                "rounded up",
                "torch.where(place < -(-k * h * w // steps), 0, x)",
                "p",
                "rounded up",
            ),
            (
                "shares of decimals",
                "torch.where(place / (h * w) < k / steps, 0, x)",
                "p",
                "rounded up",
            ),
            (
                "one pixel each",
                "torch.where(place < k, 0, x)",
                "p",
                "remove one pixel each",
            ),
            (
                "beginning at one",
                "torch.where(place < k * h * w // steps, 0, x)",
                "p / p[:, :1]",
                "all begin at 1",
            ),
            (
                "the drop",
                "torch.where(place < k * h * w // steps, 0, x)",
                "p[:, :1] - p",
                "has fallen since the start",
            ),
        ]
    ]
    + [
        (
            "the order for the place",
            "place = maps.flatten(1).argsort(1, descending=True).view(n, 1, h, w)\n"
            "return torch.stack([model(torch.where(place < k * h * w // steps, 0, x)).softmax(1)"
            "[range(n), classes] for k in range(steps + 1)], 1)",
            "wrong",
            "lists *which pixel*",
            OFF,
        ),
        (
            "rounded counts",
            "place = maps.flatten(1).argsort(1, descending=True).argsort(1).view(n, 1, h, w)\n"
            "return torch.stack([model(torch.where(place < round(k * h * w / steps), 0, x))"
            ".softmax(1)[range(n), classes] for k in range(steps + 1)], 1)",
            "wrong",
            "rounded the number of pixels",
            OFF,
        ),
        (
            "in the caller's images",
            "order = maps.flatten(1).argsort(1, descending=True)\n"
            "found = []\n"
            "for k in range(steps + 1):\n"
            "    for i in range(n):\n"
            "        x[i].flatten(1)[:, order[i, : k * h * w // steps]] = 0\n"
            "    found.append(model(x).softmax(1)[range(n), classes])\n"
            "return torch.stack(found, 1)",
            "wrong",
            "changes `x` itself",
            (),
        ),
        (
            "a network in double",
            "model.double()\n"
            "place = maps.flatten(1).argsort(1, descending=True).argsort(1).view(n, 1, h, w)\n"
            "return torch.stack([model(torch.where(place < k * h * w // steps, 0, x).double())"
            ".softmax(1)[range(n), classes] for k in range(steps + 1)], 1)",
            "wrong",
            "another precision",
            "stops with",
        ),
    ],
)

# ------------------------------------------------------------------ 10 ascent_step

STEP = framed(
    "ascent_step",
    "def ascent_step(model, x, classes, rate, weight):",
    "x = x.detach().clone().requires_grad_()\n{}",
    [
        (
            "autograd of the whole",
            "s = model(x).gather(1, classes[:, None]).sum() - weight * (x * x).sum()\n"
            "s.backward()\n"
            "return (x + rate * x.grad).detach()",
            "right",
            (),
            (),
        ),
        (
            "a loss that is descended",
            "loss = weight * x.norm() ** 2 - model(x)[range(len(x)), classes].sum()\n"
            "return x.detach() - rate * torch.autograd.grad(loss, x)[0]",
            "right",
            (),
            (),
        ),
        (
            "torch's optimizer",
            "opt = torch.optim.SGD([x], lr=rate, maximize=True)\n"
            "s = torch.stack([row[c] for row, c in zip(model(x), classes)]).sum()\n"
            "(s - weight * x.pow(2).sum()).backward()\n"
            "opt.step()\n"
            "return x.detach()",
            "right",
            (),
            (),
        ),
        (
            "hangs on its graph",
            "s = model(x)[torch.arange(len(x)), classes].sum()\n"
            "s.backward()\n"
            "return x + rate * (x.grad - 2 * weight * x)",
            "right",
            (),
            (),
        ),
        (
            "one hot",
            "hot = torch.nn.functional.one_hot(classes, model(x).shape[1])\n"
            "g = torch.autograd.grad((model(x) * hot).sum(), x)[0]\n"
            "return x.detach() * (1 - 2 * rate * weight) + rate * g",
            "right",
            (),
            (),
        ),
        (
            "all columns",
            "g = torch.autograd.grad(model(x)[:, classes].sum(), x)[0]\n"
            "return x.detach() + rate * (g - 2 * weight * x.detach())",
            "wrong",
            "takes *every* class",
            (OFF, "Only the first"),
        ),
        (
            "downhill",
            "g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]\n"
            "return x.detach() - rate * (g - 2 * weight * x.detach())",
            "wrong",
            "downhill",
            OFF,
        ),
        (
            "the root of the sum of squares",
            "s = model(x)[range(len(x)), classes].sum() - weight * (x**2).sum().sqrt() ** 2\n"
            "return x.detach() + rate * torch.autograd.grad(s, x)[0]",
            "wrong",
            "NaN",
            OFF,
        ),
        (
            "sizes",
            "s = model(x)[range(len(x)), classes].sum() - weight * x.abs().sum()\n"
            "return x.detach() + rate * torch.autograd.grad(s, x)[0]",
            "wrong",
            "sum of the sizes",
            OFF,
        ),
        (
            "decay afterwards",
            "g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]\n"
            "y = x.detach() + rate * g\n"
            "return y - rate * 2 * weight * y",
            "wrong",
            "after the step",
            OFF,
        ),
        (
            "probability",
            "g = torch.autograd.grad(model(x).softmax(1)[range(len(x)), classes].sum(), x)[0]\n"
            "return x.detach() + rate * (g - 2 * weight * x.detach())",
            "wrong",
            "probability after softmax",
            OFF,
        ),
        (
            "several numbers",
            "model(x)[range(len(x)), classes].backward()\n"
            "return x.detach() + rate * (x.grad - 2 * weight * x.detach())",
            "wrong",
            "single number",
            (),
        ),
        (
            "weights unfrozen",
            "model.requires_grad_(True)\n"
            "g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]\n"
            "return x.detach() + rate * (g - 2 * weight * x.detach())",
            "wrong",
            "weights of `model` asking for gradients",
            OFF,
        ),
        (
            "weights trained",
            "for p in model.parameters():\n"
            "    p.requires_grad_(True)\n"
            "(model(x)[range(len(x)), classes].sum() - weight * (x**2).sum()).backward()\n"
            "for p in model.parameters():\n"
            "    p.data += rate * p.grad\n"
            "    p.requires_grad_(False)\n"
            "return (x + rate * x.grad).detach()",
            "wrong",
            "changes the weights of `model`",
            OFF,
        ),
        (
            "to NumPy",
            "g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0].numpy()\n"
            "x = x.detach().numpy()\n"
            "return x + rate * (g - 2 * weight * x)",
            "right",
            (),
            (),
        ),
    ],
)

# ------------------------------------------------------------------ 10 ascend

CLIMB = """
for t in range(1, steps + 1):
    x = x.detach().requires_grad_()
    g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]
    x = x.detach() + rate * g
    if t % every == 0:
        {}
return x
"""
ASCEND = framed(
    "ascend",
    "def ascend(model, x, classes, rate, steps, kernel, every):",
    CLIMB,
    [
        (
            "each colour a picture of its own",
            "one = x.reshape(-1, 1, *x.shape[2:])\n"
            "        x = torch.conv2d(one, kernel[None, None], padding='same').view(x.shape)",
            "right",
            (),
            (),
        ),
        (
            "repeat and groups",
            "k = kernel.repeat(3, 1, 1, 1)\n"
            "        x = torch.nn.functional.conv2d(x, k, padding=len(kernel) // 2, groups=3)",
            "right",
            (),
            (),
        ),
        (
            "padded by hand",
            "r = kernel.shape[0] // 2\n"
            "        wide = torch.nn.functional.pad(x, (r, r, r, r))\n"
            "        x = sum(kernel[i, j] * wide[..., i : i + x.shape[2], j : j + x.shape[3]]\n"
            "                for i in range(2 * r + 1) for j in range(2 * r + 1))",
            "right",
            (),
            (),
        ),
        (
            "a fixed kernel matrix for mixing",
            "k = torch.zeros(3, 3, *kernel.shape)\n"
            "        k[range(3), range(3)] = kernel\n"
            "        x = torch.conv2d(x, k, padding=kernel.shape[-1] // 2)",
            "right",
            (),
            (),
        ),
        (
            "padding one",
            "x = torch.conv2d(x, kernel.expand(3, 1, -1, -1), padding=1, groups=3)",
            "wrong",
            "shrinks with each blur",
            (),
        ),
        (
            "no padding",
            "x = torch.conv2d(x, kernel.expand(3, 1, -1, -1), groups=3)",
            "wrong",
            (),
            "numbers are right",
        ),
        (
            "mirrored border",
            "r = kernel.shape[-1] // 2\n"
            "        wide = torch.nn.functional.pad(x, (r,) * 4, mode='reflect')\n"
            "        x = torch.conv2d(wide, kernel.expand(3, 1, -1, -1), groups=3)",
            "wrong",
            "mirror image",
            OFF,
        ),
        (
            "colours mixed",
            "x = torch.conv2d(x, kernel.expand(3, 3, -1, -1), padding=kernel.shape[-1] // 2)",
            "wrong",
            "adds up the colours",
            OFF,
        ),
        (
            "a plain mean",
            "s = kernel.shape[-1]\n        x = torch.nn.functional.avg_pool2d(x, s, 1, s // 2)",
            "wrong",
            "plain mean",
            OFF,
        ),
        ("no blur", "pass", "wrong", "never happens", OFF),
        (
            "returns inside",
            "k = kernel.expand(3, 1, -1, -1)\n"
            "        return torch.conv2d(x, k, padding=kernel.shape[-1] // 2, groups=3)",
            "wrong",
            (),
            "numbers are right",
        ),
        (
            "one channel to blur three",
            "x = torch.conv2d(x, kernel[None, None], padding=kernel.shape[-1] // 2)",
            "wrong",
            (),
            OFF,
        ),
    ],
) + framed(
    "ascend",
    "def ascend(model, x, classes, rate, steps, kernel, every):",
    """
k, r = kernel.expand(3, 1, -1, -1), kernel.shape[-1] // 2
{}
return x
""",
    [
        (
            "all columns",
            "for t in range(1, steps + 1):\n"
            "    x = x.detach().requires_grad_()\n"
            "    x = x + rate * torch.autograd.grad(model(x)[:, classes].sum(), x)[0]\n"
            "    x = torch.conv2d(x, k, padding=r, groups=3) if t % every == 0 else x",
            "wrong",
            "takes *every* class",
            OFF,
        ),
        (
            "counted from zero",
            "for t in range(steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    x = x + rate * torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]\n"
            "    x = torch.conv2d(x, k, padding=r, groups=3) if t % every == 0 else x",
            "wrong",
            "starts at 0",
            OFF,
        ),
        (
            "a range that ends early",
            "for t in range(1, steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    x = x + rate * torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]\n"
            "    x = torch.conv2d(x, k, padding=r, groups=3) if t % every == 0 else x",
            "wrong",
            "One step is missing",
            OFF,
        ),
        (
            "unit steps",
            "for t in range(1, steps + 1):\n"
            "    x = x.detach().requires_grad_()\n"
            "    g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]\n"
            "    x = x + rate * g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)\n"
            "    x = torch.conv2d(x, k, padding=r, groups=3) if t % every == 0 else x",
            "wrong",
            "divided the gradient by its norm",
            OFF,
        ),
    ],
)

# ------------------------------------------------------------------ 10 clip_small

CLIP = framed(
    "clip_small",
    "def clip_small(x, by, share):",
    "size = by.norm(dim=1)\n{}",
    [
        (
            "by sorting",
            "n = size[0].numel()\n"
            "order = size.flatten(1).argsort(1)[:, : round(share * n)]\n"
            "y = x.clone().flatten(2)\n"
            "for one, gone in zip(y, order):\n"
            "    one[:, gone] = 0\n"
            "return y.view_as(x)",
            "right",
            (),
            (),
        ),
        (
            "k-th value",
            "k = int(share * size[0].numel())\n"
            "limit = size.flatten(1).kthvalue(k, dim=1).values\n"
            "return torch.where(size > limit[:, None, None], 1.0, 0.0)[:, None] * x",
            "right",
            (),
            (),
        ),
        (
            "squares order alike",
            "size = (by**2).sum(1, keepdim=True)\n"
            "limit = size.flatten(1).quantile(share, dim=1).view(-1, 1, 1, 1)\n"
            "return x.masked_fill(size < limit, 0)",
            "right",
            (),
            (),
        ),
        (
            "image by image",
            "return torch.stack([a * (s >= torch.quantile(s, share)) for a, s in zip(x, size)])",
            "right",
            (),
            (),
        ),
        (
            "one threshold for all",
            "return x * (size >= torch.quantile(size, share))[:, None]",
            "wrong",
            "all images together",
            OFF,
        ),
        (
            "row by row",
            "return x * (size >= torch.quantile(size, share, dim=2, keepdim=True))[:, None]",
            "wrong",
            "each row",
            OFF,
        ),
        (
            "the mask without an axis",
            "t = torch.quantile(size.flatten(1), share, dim=1)\n"
            "return x * (size >= t[:, None, None])",
            "wrong",
            (),
            OFF,
        ),
        (
            "per cent",
            "t = torch.quantile(size.flatten(1), share / 100, dim=1)\n"
            "return x * (size > 0 * t[:, None, None])[:, None]",
            "wrong",
            "come back as they were",
            OFF,
        ),
        (
            "large ones go",
            "t = torch.quantile(size.flatten(1), 1 - share, dim=1)\n"
            "return x * (size <= t[:, None, None])[:, None]",
            "wrong",
            "*largest* pixels",
            OFF,
        ),
        (
            "in place",
            "t = torch.quantile(size.flatten(1), share, dim=1)\n"
            "x *= (size >= t[:, None, None])[:, None]\n"
            "return x",
            "wrong",
            "changes `x` itself",
            OFF,
        ),
    ],
)

# ------------------------------------------------------------------ 11 fgsm

FGSM = framed(
    "fgsm",
    "def fgsm(model, pixels, classes, epsilon):",
    "x = pixels.clone().requires_grad_()\n{}",
    [
        (
            "mean loss has the same signs",
            "torch.nn.functional.cross_entropy(model(x), classes).backward()\n"
            "return torch.clamp(pixels + epsilon * torch.sign(x.grad), 0.0, 1.0)",
            "right",
            (),
            (),
        ),
        (
            "log softmax by hand",
            "loss = -torch.log_softmax(model(x), 1)[torch.arange(len(x)), classes].sum()\n"
            "g = torch.autograd.grad(loss, x)[0]\n"
            "return (pixels + epsilon * ((g > 0).float() - (g < 0).float())).clip(0, 1)",
            "right",
            (),
            (),
        ),
        (
            "image by image",
            "out = []\n"
            "for one, c in zip(pixels, classes):\n"
            "    one = one[None].clone().requires_grad_()\n"
            "    torch.nn.CrossEntropyLoss()(model(one), c[None]).backward()\n"
            "    out.append((one.detach() + epsilon * one.grad.sign()).clamp(0, 1))\n"
            "return torch.cat(out)",
            "right",
            (),
            (),
        ),
        (
            "minimum and maximum",
            "torch.nn.functional.cross_entropy(model(x), classes, reduction='sum').backward()\n"
            "y = pixels + epsilon * (x.grad / x.grad.abs()).nan_to_num(0.0)\n"
            "return torch.minimum(torch.maximum(y, torch.zeros(())), torch.ones(()))",
            "right",
            (),
            (),
        ),
        (
            "down the probability",
            "p = model(x).softmax(1)[range(len(x)), classes].sum()\n"
            "return (pixels - epsilon * torch.autograd.grad(p, x)[0].sign()).clamp(0, 1)",
            "right",
            (),
            (),
        ),
        (
            "NumPy's sign",
            "import numpy as np\n"
            "s = model(x)\n"
            "(torch.logsumexp(s, 1) - s[range(len(x)), classes]).sum().backward()\n"
            "return np.clip(pixels.numpy() + epsilon * np.sign(x.grad.numpy()), 0, 1)",
            "right",
            (),
            (),
        ),
    ]
    + [
        (label, code, "wrong", must, must_not)
        for label, code, must, must_not in [
            (
                "over 255",
                "torch.nn.functional.cross_entropy(model(x), classes).backward()\n"
                "return (pixels + epsilon / 255 * x.grad.sign()).clamp(0, 1)",
                "divided `epsilon` by 255",
                (OFF, "times the target"),
            ),
            (
                "all columns",
                "loss = -model(x).log_softmax(1)[:, classes].sum()\n"
                "g = torch.autograd.grad(loss, x)[0]\n"
                "return (pixels + epsilon * g.sign()).clamp(0, 1)",
                "takes *every* class",
                (OFF, "Only the first"),
            ),
            (
                "softmax twice",
                "torch.nn.functional.cross_entropy(model(x).softmax(1), classes).backward()\n"
                "return (pixels + epsilon * x.grad.sign()).clamp(0, 1)",
                "takes the softmax itself",
                OFF,
            ),
            (
                "clipped to minus one",
                "torch.nn.functional.cross_entropy(model(x), classes).backward()\n"
                "return (pixels + epsilon * x.grad.sign()).clamp(-1, 1)",
                "-1 to 1",
                OFF,
            ),
            (
                "no clip",
                "torch.nn.functional.cross_entropy(model(x), classes).backward()\n"
                "return pixels + epsilon * x.grad.sign()",
                "outside 0 to 1",
                OFF,
            ),
            (
                "score",
                "model(x)[range(len(x)), classes].sum().backward()\n"
                "return (pixels - epsilon * x.grad.sign()).clamp(0, 1)",
                "went down the class's score",
                OFF,
            ),
            (
                "targeted",
                "torch.nn.functional.cross_entropy(model(x), classes).backward()\n"
                "return (pixels - epsilon * x.grad.sign()).clamp(0, 1)",
                "down the loss",
                OFF,
            ),
            *[
                (
                    label,
                    "torch.nn.functional.cross_entropy(model(x), classes).backward()\n"
                    f"g = x.grad\nreturn {result}",
                    must,
                    (OFF, "a batch"),
                )
                for label, result, must in [
                    (
                        "a quotient for the sign",
                        "(pixels + epsilon * g / g.abs()).clamp(0, 1)",
                        ("NaN", "exactly 0"),
                    ),
                    (
                        "down where it is flat",
                        "(pixels + epsilon * torch.where(g > 0, 1.0, -1.0)).clamp(0, 1)",
                        ("exactly 0", "fall by epsilon"),
                    ),
                    (
                        "up where it is flat",
                        "(pixels + epsilon * (2 * (g >= 0).float() - 1)).clamp(0, 1)",
                        ("exactly 0", "rise by epsilon"),
                    ),
                    (
                        "only up",
                        "(pixels + epsilon * (g > 0)).clamp(0, 1)",
                        "None of your values falls",
                    ),
                    ("without epsilon", "(pixels + g.sign()).clamp(0, 1)", "moves by 1"),
                    (
                        "clipped below only",
                        "(pixels + epsilon * g.sign()).clamp(min=0)",
                        "lie above 1",
                    ),
                    (
                        "rescaled",
                        "(y := pixels + epsilon * g.sign()).sub(y.min()) / (y.max() - y.min())",
                        "You rescaled the picture",
                    ),
                ]
            ],
            (
                "no gradient asked for",
                "x = pixels\n"
                "loss = torch.nn.functional.cross_entropy(model(x), classes)\n"
                "return (pixels + epsilon * torch.autograd.grad(loss, x)[0].sign()).clamp(0, 1)",
                "ask for gradients before",
                OFF,
            ),
            (
                "the gradient is None",
                "torch.nn.functional.cross_entropy(model(x * 1), classes).backward()\n"
                "return (pixels + epsilon * pixels.grad.sign()).clamp(0, 1)",
                (),
                OFF,
            ),
        ]
    ],
)

# ------------------------------------------------------------------ 11 targeted_ascent

TARGETED = framed(
    "targeted_ascent",
    "def targeted_ascent(model, pixels, target, rate, confidence, steps):",
    "x, taken = pixels.clone(), 0\n{}",
    [
        (
            "while",
            "while taken < steps and model(x).softmax(1)[0, target] < confidence:\n"
            "    x = x.detach().requires_grad_()\n"
            "    g = torch.autograd.grad(model(x)[0, target], x)[0]\n"
            "    x = (x.detach() + rate * torch.nn.functional.normalize(g, dim=(1, 2, 3)))"
            ".clamp(0, 1)\n"
            "    taken += 1\n"
            "return x, taken",
            "right",
            (),
            (),
        ),
        (
            "log-probability has the same direction as the probability",
            "for step in range(steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    if model(x).softmax(1)[0, target] >= confidence:\n"
            "        return x, step\n"
            "    g = torch.autograd.grad(model(x).log_softmax(1)[0, target], x)[0]\n"
            "    x = (x + rate * g / g.norm()).clamp(0, 1)\n"
            "return x, steps",
            "wrong",
            "probability (or its logarithm)",
            (),
        ),
        (
            "a tensor as the count",
            "for step in range(steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    s = model(x)\n"
            "    if torch.softmax(s, 1)[0][target] >= confidence:\n"
            "        break\n"
            "    s[0, target].backward()\n"
            "    x = torch.clamp(x + rate * x.grad / x.grad.pow(2).sum().sqrt(), 0, 1)\n"
            "    taken = step + 1\n"
            "return [x.detach(), torch.tensor(taken)]",
            "right",
            (),
            (),
        ),
        (
            "looks after stepping",
            "for step in range(1, steps + 1):\n"
            "    x = x.detach().requires_grad_()\n"
            "    g = torch.autograd.grad(model(x)[0, target], x)[0]\n"
            "    x = (x + rate * g / g.norm()).clamp(0, 1)\n"
            "    if model(x).softmax(1)[0, target] >= confidence:\n"
            "        break\n"
            "return x.detach(), step",
            "wrong",
            "only after a step",
            (),
        ),
        (
            "only the image",
            "for step in range(steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    if model(x).softmax(1)[0, target] >= confidence:\n"
            "        break\n"
            "    g = torch.autograd.grad(model(x)[0, target], x)[0]\n"
            "    x = (x + rate * g / g.norm()).clamp(0, 1)\n"
            "return x.detach()",
            "wrong",
            "number of steps",
            (),
        ),
        (
            "the other way round",
            "for step in range(steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    if model(x).softmax(1)[0, target] >= confidence:\n"
            "        return step, x.detach()\n"
            "    g = torch.autograd.grad(model(x)[0, target], x)[0]\n"
            "    x = (x + rate * g / g.norm()).clamp(0, 1)\n"
            "return steps, x.detach()",
            "wrong",
            (),
            "stack expects",
        ),
    ]
    + [
        (
            label,
            "for step in range(steps):\n"
            "    x = x.detach().requires_grad_()\n"
            "    p = model(x).softmax(1)[0]\n"
            f"    if {stop}:\n"
            "        return x.detach(), step\n"
            "    g = torch.autograd.grad(model(x)[0, target], x)[0]\n"
            f"    x = {move}\n"
            f"return x.detach(), {last}",
            state,
            must,
            must_not,
        )
        for label, stop, move, last, state, must, must_not in [
            (
                "strictly above",
                "p[target] > confidence",
                "(x + rate * g / g.norm()).clamp(0, 1)",
                "steps",
                "right",
                (),
                (),
            ),
            (
                "not divided",
                "p[target] >= confidence",
                "(x + rate * g).clamp(0, 1)",
                "steps",
                "wrong",
                "length of the gradient",
                (),
            ),
            (
                "signs",
                "p[target] >= confidence",
                "(x + rate * g.sign()).clamp(0, 1)",
                "steps",
                "wrong",
                "signs of the gradient",
                (),
            ),
            (
                "any class",
                "p.max() >= confidence",
                "(x + rate * g / g.norm()).clamp(0, 1)",
                "steps",
                "wrong",
                "*any* class",
                (),
            ),
            (
                "when it wins",
                "p.argmax() == target",
                "(x + rate * g / g.norm()).clamp(0, 1)",
                "steps",
                "wrong",
                "most probable class",
                (),
            ),
            (
                "no clip",
                "p[target] >= confidence",
                "x + rate * g / g.norm()",
                "steps",
                "wrong",
                "leaves 0 to 1",
                (),
            ),
            (
                "one too few counted",
                "p[target] >= confidence",
                "(x + rate * g / g.norm()).clamp(0, 1)",
                "step",
                "wrong",
                "number of steps is one too low",
                ("stack expects", "image is wrong"),
            ),
            *[
                (label, stop, move, "steps", "wrong", must, "values of your image")
                for label, stop, move, must in [
                    (
                        "a softmax over one image",
                        "model(x).softmax(0)[0, target] >= confidence",
                        "(x + rate * g / g.norm()).clamp(0, 1)",
                        "always return the picture as it came",
                    ),
                    (
                        "the wrong way round",
                        "p[target] <= confidence",
                        "(x + rate * g / g.norm()).clamp(0, 1)",
                        "wrong way round",
                    ),
                    (
                        "the score",
                        "model(x)[0, target] >= confidence",
                        "(x + rate * g / g.norm()).clamp(0, 1)",
                        "the target's *score*",
                    ),
                    (
                        "the sum of squares",
                        "p[target] >= confidence",
                        "(x + rate * g / (g**2).sum()).clamp(0, 1)",
                        "*square* of its Euclidean length",
                    ),
                    (
                        "no rate",
                        "p[target] >= confidence",
                        "(x + g / g.norm()).clamp(0, 1)",
                        "whatever `rate` says",
                    ),
                    (
                        "always from the pixels",
                        "p[target] >= confidence",
                        "(pixels + rate * g / g.norm()).clamp(0, 1)",
                        "begins at `pixels` again",
                    ),
                ]
            ],
        ]
    ]
    + [
        (
            "nothing at all",
            "return pixels, 0",
            "wrong",
            "always return the picture as it came",
            "*any* class",
        ),
        (
            "gradients that add up",
            "x.requires_grad_()\n"
            "for step in range(steps):\n"
            "    s = model(x)[0]\n"
            "    if s.softmax(0)[target] >= confidence:\n"
            "        return x.detach(), step\n"
            "    s[target].backward()\n"
            "    with torch.no_grad():\n"
            "        x += rate * x.grad / x.grad.norm()\n"
            "        x.clamp_(0, 1)\n"
            "return x.detach(), steps",
            "wrong",
            "sum of all gradients so far",
            "values of your image",
        ),
        (
            "one round more",
            "for step in range(steps + 1):\n"
            "    x = x.detach().requires_grad_()\n"
            "    s = model(x)[0]\n"
            "    if s.softmax(0)[target] >= confidence:\n"
            "        break\n"
            "    g = torch.autograd.grad(s[target], x)[0]\n"
            "    x = (x + rate * g / g.norm()).clamp(0, 1)\n"
            "return x.detach(), step",
            "wrong",
            ("one step more than `steps`", "do not count it"),
            "values of your image",
        ),
        (
            "one round more, counted",
            "while taken <= steps:\n"
            "    x = x.detach().requires_grad_()\n"
            "    s = model(x)[0]\n"
            "    if s.softmax(0)[target] >= confidence:\n"
            "        break\n"
            "    g = torch.autograd.grad(s[target], x)[0]\n"
            "    x = (x + rate * g / g.norm()).clamp(0, 1)\n"
            "    taken += 1\n"
            "return x.detach(), taken",
            "wrong",
            "the most to take",
            "do not count it",
        ),
    ],
)

# ------------------------------------------------------------------ 12 dream_step

DREAM = framed(
    "dream_step",
    "def dream_step(model, x, layer, rate, shift):",
    """
kept = {{}}
handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.update(a=o))
y = x.roll(tuple(shift), (2, 3)).detach().requires_grad_()
model(y)
handle.remove()
a = kept["a"]
{}
""",
    [
        (
            "energy",
            "(0.5 * a.pow(2).sum()).backward()\n"
            "g = y.grad / y.grad.abs().mean((1, 2, 3), keepdim=True)\n"
            "return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))",
            "right",
            (),
            (),
        ),
        (
            "root of the mean square",
            "g = torch.autograd.grad(a, y, a.detach())[0]\n"
            "g = g / (g**2).mean((1, 2, 3), keepdim=True).sqrt()\n"
            "return x + rate * g.roll([-s for s in shift], (2, 3))",
            "wrong",
            "root of the mean square",
            (),
        ),
        (
            "sum of absolute values",
            "g = torch.autograd.grad(a, y, a.detach())[0]\n"
            "g = torch.stack([one / one.abs().sum() for one in g])\n"
            "return x + rate * g.roll([-s for s in shift], (2, 3))",
            "wrong",
            "values of your picture are off",
            ("Euclidean", "standard deviation"),
        ),
        (
            "only the sum rolled back",
            "g = torch.autograd.grad(a, y, a.detach())[0]\n"
            "g = g / g.abs().mean((1, 2, 3), keepdim=True)\n"
            "return (x + rate * g).roll([-s for s in shift], (2, 3))",
            "wrong",
            "the gradient lies beside it",
            (),
        ),
        (
            "mean energy",
            "g = torch.autograd.grad((a**2).mean(), y)[0]\n"
            "g = torch.stack([one / one.abs().mean() for one in g])\n"
            "return x + rate * g.roll([-s for s in shift], (-2, -1))",
            "right",
            (),
            (),
        ),
        (
            "two rolls",
            "g = torch.autograd.grad(a, y, a.detach())[0]\n"
            "z = y + rate * g / g.flatten(1).abs().mean(1)[:, None, None, None]\n"
            "return torch.roll(torch.roll(z, -shift[0], 2), -shift[1], 3)",
            "right",
            (),
            (),
        ),
        (
            "ones",
            "a.sum().backward()\n"
            "g = y.grad / y.grad.abs().mean((1, 2, 3), keepdim=True)\n"
            "return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))",
            "wrong",
            "the same everywhere",
            OFF,
        ),
        (
            "each colour",
            "(a**2).sum().backward()\n"
            "g = y.grad / y.grad.abs().mean((2, 3), keepdim=True)\n"
            "return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))",
            "wrong",
            "each colour",
            OFF,
        ),
        (
            "signs",
            "(a**2).sum().backward()\n"
            "return (y.detach() + rate * y.grad.sign()).roll((-shift[0], -shift[1]), (2, 3))",
            "wrong",
            "sign of the gradient",
            OFF,
        ),
        (
            "no rate",
            "(a**2).sum().backward()\n"
            "g = y.grad / y.grad.abs().mean((1, 2, 3), keepdim=True)\n"
            "return (y.detach() + g).roll((-shift[0], -shift[1]), (2, 3))",
            "wrong",
            "`rate` has no effect",
            OFF,
        ),
        (
            "not rolled back",
            "(a**2).sum().backward()\n"
            "return y.detach() + rate * y.grad / y.grad.abs().mean((1, 2, 3), keepdim=True)",
            "wrong",
            "jitter is not undone",
            OFF,
        ),
        (
            "one mean for all images",
            "(a**2).sum().backward()\n"
            "g = y.grad / y.grad.abs().mean()\n"
            "return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))",
            "wrong",
            "all images together",
            OFF,
        ),
        (
            "clamped",
            "(a**2).sum().backward()\n"
            "g = y.grad / y.grad.abs().mean((1, 2, 3), keepdim=True)\n"
            "return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3)).clamp(0, 1)",
            "wrong",
            "cut the values to 0-1",
            OFF,
        ),
        (
            "a hook left behind",
            "model.get_submodule(layer).register_forward_hook(lambda m, i, o: None)\n"
            "(a**2).sum().backward()\n"
            "g = y.grad / y.grad.abs().mean((1, 2, 3), keepdim=True)\n"
            "return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))",
            "wrong",
            "leaves a hook on `model`",
            OFF,
        ),
    ],
)

DREAM += framed(
    "dream_step",
    "def dream_step(model, x, layer, rate, shift):",
    """
y = x.roll(tuple(shift), (2, 3)).detach().requires_grad_()
{}
model(y)
handle.remove()
g = torch.autograd.grad(kept[0], y, kept[0].detach())[0]
g = g / g.abs().mean((1, 2, 3), keepdim=True)
return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))
""",
    [
        (
            "a path of named_modules",
            "kept, part = [], dict(model.named_modules())[layer]\n"
            "handle = part.register_forward_hook(lambda m, i, o: kept.append(o))",
            "wrong",
            ("KeyError", "conv1"),
            (),
        ),
        (
            "get_submodule and a list",
            "kept, part = [], model.get_submodule(layer)\n"
            "handle = part.register_forward_hook(lambda m, i, o: kept.append(o))",
            "right",
            (),
            (),
        ),
    ],
)

# ------------------------------------------------------------------ 12 next_octave

RESIZE = (
    "interpolate = torch.nn.functional.interpolate\nhow = dict(mode='bilinear', antialias=True)\n"
)
OCTAVE = framed(
    "next_octave",
    "def next_octave(photo, dreamt, size):",
    RESIZE.replace("{", "{{") + "{}",
    [
        (
            "pieces in another order",
            "small = interpolate(photo, dreamt.shape[2:], **how)\n"
            "return interpolate(dreamt, size, **how) + (interpolate(photo, size, **how)"
            " - interpolate(small, size, **how))",
            "right",
            (),
            (),
        ),
        (
            "both at once",
            "small = interpolate(photo, size=dreamt.shape[-2:], **how)\n"
            "both = torch.cat([dreamt, -small])\n"
            "a, b = interpolate(both, size=list(size), **how).chunk(2)\n"
            "return a + b + interpolate(photo, size=list(size), **how)",
            "right",
            (),
            (),
        ),
        (
            "image by image",
            "out = []\n"
            "for p, d in zip(photo.split(1), dreamt.split(1)):\n"
            "    change = d - interpolate(p, d.shape[-2:], align_corners=False, **how)\n"
            "    out.append(interpolate(p, size, **how) + interpolate(change, size, **how))\n"
            "return torch.cat(out)",
            "right",
            (),
            (),
        ),
        (
            "only enlarged",
            "return interpolate(dreamt, size, **how)",
            "wrong",
            "enlarged dream",
            OFF,
        ),
        (
            "no antialias",
            "how = dict(mode='bilinear')\n"
            "d = dreamt - interpolate(photo, dreamt.shape[-2:], **how)\n"
            "return interpolate(photo, size, **how) + interpolate(d, size, **how)",
            "wrong",
            "antialias=True",
            OFF,
        ),
        (
            "nearest",
            "d = dreamt - interpolate(photo, dreamt.shape[-2:])\n"
            "return interpolate(photo, size) + interpolate(d, size)",
            "wrong",
            "repeating pixels",
            OFF,
        ),
        (
            "photo twice",
            "return interpolate(photo, size, **how) + interpolate(dreamt, size, **how)",
            "wrong",
            "twice",
            OFF,
        ),
        (
            "sizes that do not fit",
            "return interpolate(photo, size, **how) + dreamt",
            "wrong",
            (),
            OFF,
        ),
    ],
)

# ------------------------------------------------------------------ 13 total_variation

VARIATION = framed(
    "total_variation",
    "def total_variation(x, beta=2.0):",
    "d = x[..., 1:, :-1] - x[..., :-1, :-1]\na = x[..., :-1, 1:] - x[..., :-1, :-1]\n{}",
    [
        (
            "diff",
            "d, a = x.diff(dim=2)[..., :-1], x.diff(dim=3)[..., :-1, :]\n"
            "return torch.sum((d * d + a * a) ** (beta / 2))",
            "right",
            (),
            (),
        ),
        (
            "a loop over images",
            "total = 0\nfor i in range(len(x)):\n"
            "    total = total + (d[i] ** 2 + a[i] ** 2).pow(beta / 2).sum()\nreturn total",
            "right",
            (),
            (),
        ),
        (
            "roots to the power",
            "return ((d**2 + a**2 + 1e-9).sqrt() ** beta).sum()",
            "right",
            (),
            (),
        ),
        ("hypot", "return torch.hypot(d, a).pow(beta).sum()", "right", (), ()),
        ("complex", "return torch.complex(d, a).abs().pow(beta).sum()", "right", (), ()),
        ("vector norm", "return torch.stack([d, a]).norm(dim=0).pow(beta).sum()", "right", (), ()),
        ("no default", "return (d**2 + a**2).pow(beta / 2).sum().double()", "right", (), ()),
        ("an axis of one", "return (d**2 + a**2).pow(beta / 2).sum().view(1)", "right", (), ()),
        (
            "item",
            "return (d**2 + a**2).pow(beta / 2).sum().item()",
            "wrong",
            ("number is right", "`.item()`", "cannot move"),
            OFF,
        ),
        (
            "detach",
            "return (d**2 + a**2).pow(beta / 2).sum().detach()",
            "wrong",
            ("number is right", "cannot move"),
            OFF,
        ),
        (
            "no_grad",
            "with torch.no_grad():\n    return (d**2 + a**2).pow(beta / 2).sum()",
            "wrong",
            ("number is right", "no gradient"),
            OFF,
        ),
        (
            "numpy",
            "n = x.numpy()\nd = n[..., 1:, :-1] - n[..., :-1, :-1]\n"
            "a = n[..., :-1, 1:] - n[..., :-1, :-1]\nreturn ((d**2 + a**2) ** (beta / 2)).sum()",
            "wrong",
            ("number is right", "NumPy"),
            "belongs.",
        ),
        (
            "half cut",
            "return (d.detach() ** 2 + a**2).pow(beta / 2).sum()",
            "wrong",
            ("number is right", "gradient by `x` is not"),
            (),
        ),
        (
            "anisotropic with border",
            "return x.diff(dim=2).abs().sum() + x.diff(dim=3).abs().sum()",
            "wrong",
            "sizes of all",
            "belongs.",
        ),
        (
            "squares with border",
            "return (x.diff(dim=2) ** 2).sum() + (x.diff(dim=3) ** 2).sum()",
            "wrong",
            "last row and column",
            "belongs.",
        ),
        (
            "powers with border",
            "return x.diff(dim=2).abs().pow(beta).sum() + x.diff(dim=3).abs().pow(beta).sum()",
            "wrong",
            "share one power",
            "belongs.",
        ),
        (
            "sizes",
            "return d.abs().sum() + a.abs().sum()",
            "wrong",
            "sizes of the differences",
            "belongs.",
        ),
        ("means", "return (d**2).mean() + (a**2).mean()", "wrong", "means of squares", "belongs."),
        (
            "mean",
            "return (d**2 + a**2).pow(beta / 2).mean()",
            "wrong",
            "mean over the positions",
            "belongs.",
        ),
        (
            "root at the end",
            "return (d**2 + a**2).pow(beta / 2).sum().sqrt()",
            "wrong",
            "root of the whole sum",
            "belongs.",
        ),
        (
            "up and left",
            "here = x[..., 1:, 1:]\n"
            "return ((here - x[..., :-1, 1:]) ** 2 + (here - x[..., 1:, :-1]) ** 2)"
            ".pow(beta / 2).sum()",
            "wrong",
            "*above*",
            "belongs.",
        ),
        (
            "beta not halved",
            "return (d**2 + a**2).pow(beta).sum()",
            "wrong",
            "squares already",
            "belongs.",
        ),
        (
            "one over beta",
            "return (d**2 + a**2).pow(1 / beta).sum()",
            "wrong",
            "1 / beta",
            "belongs.",
        ),
        (
            "half of it",
            "return 0.5 * (d**2 + a**2).pow(beta / 2).sum()",
            "wrong",
            "0.5 times the target",
            (),
        ),
        (
            "shapes that do not fit",
            "return (x.diff(dim=2) ** 2 + x.diff(dim=3) ** 2).sum()",
            "wrong",
            (),
            "belongs.",
        ),
    ],
)

# ------------------------------------------------------------------ 13 inversion_loss

INVERSION = framed(
    "inversion_loss",
    "def inversion_loss(phi, target, x, weight):",
    "d, t = (phi - target).flatten(1), target.flatten(1)\n{}",
    [
        (
            "norms squared",
            "return (d.norm(dim=1) ** 2 / t.norm(dim=1) ** 2).sum() + weight * total_variation(x)",
            "right",
            (),
            (),
        ),
        (
            "image by image",
            "loss = weight * total_variation(x, beta=2)\n"
            "for one, aim in zip(phi, target):\n"
            "    loss = loss + ((one - aim) ** 2).sum() / (aim**2).sum()\nreturn loss",
            "right",
            (),
            (),
        ),
        (
            "einsum",
            "q = torch.einsum('nk,nk->n', d, d) / torch.einsum('nk,nk->n', t, t)\n"
            "return q.sum() + weight * total_variation(x)",
            "right",
            (),
            (),
        ),
        (
            "variation written out",
            "v = ((x[..., 1:, :-1] - x[..., :-1, :-1]) ** 2"
            " + (x[..., :-1, 1:] - x[..., :-1, :-1]) ** 2).sum()\n"
            "return ((d / t.norm(dim=1, keepdim=True)) ** 2).sum() + weight * v",
            "right",
            (),
            (),
        ),
        (
            "variation for each image",
            "return (d.pow(2).sum(1) / t.pow(2).sum(1) + weight * total_variation(x)).sum()",
            "wrong",
            "once for *each* image",
            "belongs.",
        ),
        (
            "item",
            "return ((d**2).sum(1) / (t**2).sum(1)).sum().item()"
            " + weight * total_variation(x).item()",
            "wrong",
            ("number is right", "`.item()`"),
            "belongs.",
        ),
        (
            "variation detached",
            "return ((d**2).sum(1) / (t**2).sum(1)).sum() + weight * total_variation(x).item()",
            "wrong",
            "gradient by `x` is zero",
            "belongs.",
        ),
        (
            "distance detached",
            "return ((d**2).sum(1) / (t**2).sum(1)).sum().item() + weight * total_variation(x)",
            "wrong",
            "gradient by `phi` is zero",
            "belongs.",
        ),
        (
            "no_grad",
            "with torch.no_grad():\n    return ((d**2).sum(1) / (t**2).sum(1)).sum()"
            " + weight * total_variation(x)",
            "wrong",
            "no gradient",
            "belongs.",
        ),
        (
            "one denominator",
            "return (d**2).sum() / (t**2).sum() + weight * total_variation(x)",
            "wrong",
            "batch's norm",
            "belongs.",
        ),
        (
            "elementwise",
            "return (d**2 / t**2).sum() + weight * total_variation(x)",
            "wrong",
            "its own target",
            "belongs.",
        ),
        (
            "weight on both",
            "return weight * (((d**2).sum(1) / (t**2).sum(1)).sum() + total_variation(x))",
            "wrong",
            "multiplies the distance too",
            "belongs.",
        ),
        (
            "mean squares",
            "return ((d**2).mean(1) / (t**2).sum(1)).sum() + weight * total_variation(x)",
            "wrong",
            "number of features",
            "belongs.",
        ),
        (
            "no variation",
            "return ((d**2).sum(1) / (t**2).sum(1)).sum()",
            "wrong",
            "regulariser is missing",
            "belongs.",
        ),
        (
            "root",
            "return ((d**2).sum(1) / (t**2).sum(1)).sqrt().sum() + weight * total_variation(x)",
            "wrong",
            "length of the difference",
            "belongs.",
        ),
        (
            "variation with border",
            "return ((d**2).sum(1) / (t**2).sum(1)).sum() + weight"
            " * ((x.diff(dim=2) ** 2).sum() + (x.diff(dim=3) ** 2).sum())",
            "wrong",
            "last row and column",
            "belongs.",
        ),
        (
            "a number for each image",
            "return (d**2).sum(1) / (t**2).sum(1) + weight * total_variation(x)",
            "wrong",
            (),
            "number is right",
        ),
    ],
)

# ------------------------------------------------------------------ 14 gram, style_loss

GRAM = framed(
    "gram",
    "def gram(features):",
    "n, c, h, w = features.shape\nf = features.flatten(2)\n{}",
    [
        (
            "einsum",
            "return torch.einsum('nahw,nbhw->nab', features, features) / (h * w)",
            "right",
            (),
            (),
        ),
        ("bmm", "return torch.bmm(f, f.transpose(1, 2)).div(h * w)", "right", (), ()),
        (
            "a mean of outer products",
            "return (f[:, :, None] * f[:, None]).mean(-1)",
            "right",
            (),
            (),
        ),
        (
            "a loop",
            "out = torch.zeros(n, c, c)\nfor i in range(n):\n"
            "    for j in range(c):\n        out[i, j] = (f[i, j] * f[i]).mean(-1)\nreturn out",
            "right",
            (),
            (),
        ),
        ("numpy", "a = f.numpy()\nreturn a @ a.swapaxes(1, 2) / a.shape[2]", "right", (), ()),
        ("by width", "return f @ f.mT / w", "wrong", "width alone", OFF),
        ("by height", "return f @ f.mT / features.shape[2]", "wrong", "height alone", OFF),
        ("not divided", "return f @ f.mT", "wrong", "not divided by the number", OFF),
        ("by everything", "return f @ f.mT / (c * h * w)", "wrong", "channels as well", OFF),
        ("positions", "return f.mT @ f / (h * w)", "wrong", "pairs positions", OFF),
        (
            "covariance",
            "f = f - f.mean(2, keepdim=True)\nreturn f @ f.mT / (h * w)",
            "wrong",
            "covariance",
            OFF,
        ),
        ("T of a batch", "return f @ f.T / (h * w)", "wrong", (), OFF),
        ("first image", "return f[0] @ f[0].T / (h * w)", "wrong", "shape", OFF),
    ],
)

TEXTURE = framed(
    "style_loss",
    "def style_loss(features, targets, weights):",
    "total = 0\n{}\nreturn total",
    [
        (
            "comprehension",
            "def g(f):\n    f = f.flatten(2)\n    return f @ f.mT / f.shape[2]\n"
            "total = sum(weights[k] * ((g(f) - targets[k]) ** 2).sum() / 4 / f.shape[1] ** 2"
            " for k, f in features.items())",
            "right",
            (),
            (),
        ),
        (
            "mean over entries",
            "for k, f in features.items():\n    f = f.flatten(2)\n"
            "    e = (f @ f.mT / f.shape[2] - targets[k]).pow(2).mean((1, 2)) / 4\n"
            "    total += weights[k] * e.sum()",
            "right",
            (),
            (),
        ),
        (
            "the own gram",
            "for k in features:\n    d = gram(features[k]) - targets[k]\n"
            "    total = total + weights[k] * (d * d).sum() / (2 * d.shape[1]) ** 2",
            "right",
            (),
            (),
        ),
        (
            "norm squared",
            "for k in features:\n    d = gram(features[k]) - targets[k]\n"
            "    total = total + weights[k] * d.norm() ** 2 / (4 * d.shape[1] ** 2)",
            "right",
            (),
            (),
        ),
    ]
    + [
        (
            label,
            "for k, f in features.items():\n    d = gram(f) - targets[k]\n    c = f.shape[1]\n"
            f"    total = total + {term}",
            "wrong",
            must,
            must_not,
        )
        for label, term, must, must_not in [
            ("no four", "weights[k] * (d**2).sum() / c**2", "4 in the denominator", "belongs."),
            ("mse_loss", "weights[k] * (d**2).mean()", "`mse_loss`", "belongs."),
            ("no channels", "weights[k] * (d**2).sum() / 4", "channels squared", "belongs."),
            ("no weights", "(d**2).sum() / (4 * c**2)", "weights of the layers", "belongs."),
            (
                "sizes",
                "weights[k] * d.abs().sum() / (4 * c**2)",
                "absolute differences",
                "belongs.",
            ),
            (
                "item",
                "weights[k] * (d**2).sum().item() / (4 * c**2)",
                ("number is right", "`.item()`"),
                "belongs.",
            ),
            (
                "detached",
                "weights[k] * (d.detach() ** 2).sum() / (4 * c**2)",
                ("number is right", "no gradient"),
                "belongs.",
            ),
            (
                "one gram for all",
                "weights[k] * ((gram(f).mean(0) - targets[k]) ** 2).sum() / (4 * c**2)",
                "averaged the Gram matrices",
                "belongs.",
            ),
        ]
    ]
    + [
        (
            "loops over targets",
            "for k, t in targets.items():\n    d = gram(features[k]) - t\n"
            "    total = total + weights[k] * (d**2).sum() / (4 * d.shape[1] ** 2)",
            "wrong",
            "fewer layers in `features`",
            "belongs.",
        ),
        (
            "loops over weights",
            "for k, v in weights.items():\n"
            "    d = gram(features[k]) - targets[k]\n"
            "    total = total + v * (d**2).sum() / (4 * d.shape[1] ** 2)",
            "wrong",
            "fewer layers in `features`",
            "belongs.",
        ),
        (
            "skips missing layers",
            "for k in targets:\n    if k in features:\n"
            "        d = gram(features[k]) - targets[k]\n"
            "        total = total + weights[k] * (d**2).sum() / (4 * d.shape[1] ** 2)",
            "right",
            (),
            (),
        ),
        (
            "returns inside",
            "for k, f in features.items():\n    d = gram(f) - targets[k]\n"
            "    return weights[k] * (d**2).sum() / (4 * d.shape[1] ** 2)",
            "wrong",
            "Only the first layer",
            "belongs.",
        ),
        (
            "last only",
            "for k, f in features.items():\n    d = gram(f) - targets[k]\n"
            "    total = weights[k] * (d**2).sum() / (4 * d.shape[1] ** 2)",
            "wrong",
            "Only the last layer",
            "belongs.",
        ),
    ],
)

# ------------------------------------------------------------------ 15 content_loss, total_loss

CONTENT = framed(
    "content_loss",
    "def content_loss(features, target):",
    "return {}",
    [
        (
            "mse_loss summed",
            "torch.nn.functional.mse_loss(features, target, reduction='sum')",
            "right",
            (),
            (),
        ),
        ("norm squared", "torch.linalg.vector_norm(features - target).pow(2)", "right", (), ()),
        (
            "dot",
            "(features - target).flatten().dot((features - target).flatten())",
            "right",
            (),
            (),
        ),
        ("dist", "torch.dist(features, target) ** 2", "right", (), ()),
        ("expanded", "(features**2 - 2 * features * target + target**2).sum()", "right", (), ()),
        (
            "python's sum",
            "sum(((a - b) ** 2).sum() for a, b in zip(features, target))",
            "right",
            (),
            (),
        ),
        (
            "item",
            "((features - target) ** 2).sum().item()",
            "wrong",
            ("number is right", "`.item()`"),
            "belongs.",
        ),
        (
            "float",
            "float(((features - target) ** 2).sum())",
            "wrong",
            "number is right",
            "belongs.",
        ),
        ("data", "((features.data - target) ** 2).sum()", "wrong", "no gradient", "belongs."),
        ("numpy", "((features.numpy() - target.numpy()) ** 2).sum()", "wrong", "NumPy", "belongs."),
        (
            "mse_loss",
            "torch.nn.functional.mse_loss(features, target)",
            "wrong",
            "mean of the squared",
            "belongs.",
        ),
        (
            "over images",
            "((features - target) ** 2).sum() / len(features)",
            "wrong",
            "number of images",
            "belongs.",
        ),
        (
            "lecture 13",
            "((features - target) ** 2).sum() / (target**2).sum()",
            "wrong",
            "lecture 13",
            "belongs.",
        ),
        ("half", "0.5 * ((features - target) ** 2).sum()", "wrong", "half of ours", "belongs."),
        ("length", "(features - target).norm()", "wrong", "its *square*", "belongs."),
        (
            "a power that is none",
            "((features - target) ^ 2).sum()",
            "wrong",
            (),
            "raise NotImplementedError",
        ),
    ],
)

TOTAL = framed(
    "total_loss",
    "def total_loss(x, seen, photo, grams, weights, alpha, beta, gamma):",
    """
def gram(f):
    f = f.flatten(2)
    return f @ f.mT / f.shape[2]

down, across = x[..., 1:, :-1] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., :-1, :-1]
content = sum(((seen[k] - t) ** 2).sum() for k, t in photo.items())
style = sum(weights[k] * ((gram(seen[k]) - g) ** 2).sum() for k, g in grams.items())
tv = (down**2 + across**2).sum()
{}
return alpha * content + beta * style + gamma * tv
""",
    [
        ("plain", "pass", "right", (), ()),
        (
            "dot of weights",
            "three = torch.stack([content, style, tv])\n"
            "return torch.tensor([alpha, beta, gamma]) @ three",
            "right",
            (),
            (),
        ),
        (
            "one layer of the photo",
            "k = list(photo)[0]\ncontent = (seen[k] - photo[k]).norm() ** 2",
            "right",
            (),
            (),
        ),
        (
            "only where weighted",
            "total = 0 * x.sum()\nif alpha:\n    total = total + alpha * content\n"
            "if beta:\n    total = total + beta * style\n"
            "if gamma:\n    total = total + gamma * tv\nreturn total",
            "right",
            (),
            (),
        ),
        (
            "doubles",
            "return (alpha * content + beta * style + gamma * tv).double()",
            "right",
            (),
            (),
        ),
    ]
    + [
        (label, code, "wrong", must, must_not)
        for label, code, must, must_not in [
            (
                "item",
                "return (alpha * content + beta * style + gamma * tv).item()",
                ("number is right", "`.item()`"),
                "belongs.",
            ),
            (
                "content as a number",
                "content = content.item()",
                'by `seen["relu3"]` is',
                "belongs.",
            ),
            ("style as a number", "style = style.item()", "by `seen[", "belongs."),
            (
                "weights of other layers",
                "turned = dict(zip(weights, reversed(weights.values())))\n"
                "style = sum(turned[k] * ((gram(seen[k]) - g) ** 2).sum()"
                " for k, g in grams.items())",
                ("the style alone", "belongs"),
                ("two style layers", "two images"),
            ),
            ("variation detached", "tv = tv.detach()", "gradient by `x` is zero", "belongs."),
            (
                "content mean",
                "content = sum(((seen[k] - t) ** 2).mean() for k, t in photo.items())",
                "content loss is a mean",
                "belongs.",
            ),
            (
                "content normalised",
                "content = sum(((seen[k] - t) ** 2).sum() / (t**2).sum()"
                " for k, t in photo.items())",
                "lecture 13",
                "belongs.",
            ),
            (
                "content of the first image",
                "content = sum(((seen[k][0] - t[0]) ** 2).sum() for k, t in photo.items())",
                "first image has a content loss",
                "belongs.",
            ),
            ("content half", "content = content / 2", "content loss is half", "belongs."),
            (
                "content length",
                "content = sum((seen[k] - t).norm() for k, t in photo.items())",
                "its *square*",
                "belongs.",
            ),
            (
                "content sizes",
                "content = sum((seen[k] - t).abs().sum() for k, t in photo.items())",
                "adds absolute differences",
                "belongs.",
            ),
            (
                "lecture 14",
                "style = sum(weights[k] * ((gram(seen[k]) - g) ** 2).sum()"
                " / (4 * g.shape[1] ** 2) for k, g in grams.items())",
                "lecture 14",
                "belongs.",
            ),
            ("style quarter", "style = style / 4", "quarter of ours", "belongs."),
            ("style half", "style = style / 2", "style loss is half", "belongs."),
            (
                "style mean",
                "style = sum(weights[k] * ((gram(seen[k]) - g) ** 2).mean()"
                " for k, g in grams.items())",
                "averaged over the entries",
                "belongs.",
            ),
            (
                "style of the first image",
                "style = sum(weights[k] * ((gram(seen[k])[0] - g[0]) ** 2)"
                ".sum() for k, g in grams.items())",
                "first image has a style loss",
                "belongs.",
            ),
            (
                "no layer weights",
                "style = sum(((gram(seen[k]) - g) ** 2).sum() for k, g in grams.items())",
                "w_l are missing",
                "belongs.",
            ),
            (
                "gram undivided",
                "f = dict((k, seen[k].flatten(2)) for k in grams)\n"
                "style = sum(weights[k] * ((f[k] @ f[k].mT - g) ** 2).sum()"
                " for k, g in grams.items())",
                "sum over the positions",
                "belongs.",
            ),
            (
                "variation mean",
                "tv = (down**2 + across**2).mean()",
                "averaged the squared",
                "belongs.",
            ),
            (
                "variation root",
                "tv = (down**2 + across**2 + 1e-12).sqrt().sum()",
                "beta = 1",
                "belongs.",
            ),
            (
                "variation sizes",
                "tv = down.abs().sum() + across.abs().sum()",
                "absolute differences of neighbouring",
                "belongs.",
            ),
            (
                "variation border",
                "tv = (x.diff(dim=2) ** 2).sum() + (x.diff(dim=3) ** 2).sum()",
                "last row and column",
                "belongs.",
            ),
            ("variation half", "tv = tv / 2", "total variation is half", "belongs."),
            (
                "swapped",
                "alpha, beta = beta, alpha",
                "alpha and beta have changed places",
                "belongs.",
            ),
            (
                "beta and gamma swapped",
                "beta, gamma = gamma, beta",
                "beta and gamma have changed places",
                "belongs.",
            ),
            ("gamma forgotten", "gamma = 1", "gamma has no effect", "belongs."),
            (
                "over the images",
                "return (alpha * content + beta * style + gamma * tv) / len(x)",
                "divided the loss by the number of images",
                "belongs.",
            ),
            (
                "three numbers",
                "return alpha * content, beta * style, gamma * tv",
                (),
                "stack expects",
            ),
            ("content tripled", "content = 3 * content", "on the content alone", ()),
            (
                "style of means",
                "style = sum(weights[k] * ((seen[k].mean((2, 3))[:, :, None]"
                " * seen[k].mean((2, 3))[:, None] - g) ** 2).sum() for k, g in grams.items())",
                "style alone",
                (),
            ),
            (
                "variation of the features",
                "tv = sum((f.diff(dim=2) ** 2).sum() for f in seen.values())",
                "total variation alone",
                (),
            ),
        ]
    ],
)

# ------------------------------------------------------------------ 16 instance_norm

NORM = framed(
    "instance_norm",
    "def instance_norm(x, scale, shift, eps):",
    "s, t = scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)\n"
    "m = x.mean((2, 3), keepdim=True)\nv = ((x - m) ** 2).mean((2, 3), keepdim=True)\n{}",
    [
        ("plain", "return (x - m) / torch.sqrt(v + eps) * s + t", "right", (), ()),
        ("rsqrt", "return (x - m) * (v + eps).rsqrt() * s + t", "right", (), ()),
        (
            "torch's own",
            "return torch.nn.functional.instance_norm(x, None, None, scale, shift, True, 0.0, eps)",
            "right",
            (),
            (),
        ),
        (
            "group norm",
            "return torch.nn.functional.group_norm(x, x.shape[1], scale, shift, eps)",
            "right",
            (),
            (),
        ),
        (
            "squares of means",
            "v = (x**2).mean((2, 3), keepdim=True) - m**2\n"
            "return (x - m) / (v + eps) ** 0.5 * s + t",
            "right",
            (),
            (),
        ),
        (
            "image by image",
            "return torch.stack([(a - a.mean((1, 2), keepdim=True)) / (a.var((1, 2),"
            " unbiased=False, keepdim=True) + eps).sqrt() * scale[:, None, None]"
            " + shift[:, None, None] for a in x])",
            "right",
            (),
            (),
        ),
        (
            "a scale folded in",
            "k = s / (v + eps).sqrt()\nreturn k * x + (t - k * m)",
            "right",
            (),
            (),
        ),
    ]
    + [
        (label, code, "wrong", must, OFF)
        for label, code, must in [
            (
                "std plus eps",
                "return (x - m) / (x.std((2, 3), keepdim=True) + eps) * s + t",
                "Two things at `std`",
            ),
            ("biased std plus eps", "return (x - m) / (v.sqrt() + eps) * s + t", "after the root"),
            (
                "unbiased",
                "return (x - m) / (x.var((2, 3), keepdim=True) + eps).sqrt() * s + t",
                "minus one",
            ),
            ("std alone", "return (x - m) / x.std((2, 3), keepdim=True) * s + t", "Two things"),
            ("no eps", "return (x - m) / v.sqrt() * s + t", "`eps` has no effect"),
            (
                "one mean for all",
                "return (x - x.mean()) / (v + eps).sqrt() * s + t",
                "one mean of all numbers",
            ),
            (
                "one std for all",
                "return (x - x.mean()) / (x.std() + eps) * s + t",
                "one mean and one `std`",
            ),
            (
                "one var for all",
                "return (x - x.mean()) / (x.var() + eps).sqrt() * s + t",
                "one mean and one",
            ),
            (
                "batch norm",
                "return torch.nn.functional.batch_norm(x, None, None, scale, shift, True,"
                " 0.1, eps)",
                "batch norm",
            ),
            (
                "layer norm",
                "return torch.nn.functional.group_norm(x, 1, scale, shift, eps)",
                "layer norm",
            ),
            ("minus shift", "return (x - m) / (v + eps).sqrt() * s - t", "subtracted the shift"),
            (
                "divided by scale",
                "return (x - m) / (v + eps).sqrt() / s + t",
                "divided by the scale",
            ),
            ("no shift", "return (x - m) / (v + eps).sqrt() * s", "`shift` is missing"),
            ("no scale", "return (x - m) / (v + eps).sqrt() + t", "`scale` is missing"),
            ("shift first", "return ((x - m) / (v + eps).sqrt() + t) * s", "before scaling"),
            ("swapped", "return (x - m) / (v + eps).sqrt() * t + s", "changed places"),
            ("variance", "return (x - m) / (v + eps) * s + t", "divided by the variance"),
            ("no centring", "return x / (v + eps).sqrt() * s + t", "mean is still in"),
            (
                "mean square",
                "return (x - m) / ((x**2).mean((2, 3), keepdim=True) + eps).sqrt() * s + t",
                "*less their mean*",
            ),
            (
                "absolute deviation",
                "return (x - m) / ((x - m).abs().mean((2, 3), keepdim=True) + eps) * s + t",
                "absolute deviations",
            ),
            ("floor", "return (x - m) / v.clamp(min=eps).sqrt() * s + t", "lower bound"),
            (
                "rows",
                "m = x.mean(3, keepdim=True)\nv = x.var(3, unbiased=False, keepdim=True)\n"
                "return (x - m) / (v + eps).sqrt() * s + t",
                "every row",
            ),
            (
                "columns",
                "m = x.mean(2, keepdim=True)\nv = x.var(2, unbiased=False, keepdim=True)\n"
                "return (x - m) / (v + eps).sqrt() * s + t",
                "every column",
            ),
            (
                "first image",
                "return (x - m[:1]) / (v[:1] + eps).sqrt() * s + t",
                "of the first one",
            ),
            ("scale plus one", "return (x - m) / (v + eps).sqrt() * (1 + s) + t", "1 + scale"),
            (
                "before",
                "y = x * s + t\nm = y.mean((2, 3), keepdim=True)\n"
                "v = y.var((2, 3), unbiased=False, keepdim=True)\n"
                "return (y - m) / (v + eps).sqrt()",
                "*before* normalising",
            ),
        ]
    ]
    + [
        ("shapes", "return (x - m) / (v + eps).sqrt() * scale + shift", "wrong", (), OFF),
    ],
)

# ------------------------------------------------------------------ 16 training_step

TRAINING = framed(
    "training_step",
    "def training_step(model, weights, photos, target, style_weight, rate):",
    """
w = weights.detach().clone().requires_grad_()
{}
""",
    [
        (
            "backward",
            "y = torch.nn.functional.conv2d(photos, w, padding='same')\n"
            "f = model.features(y)\n"
            "c = torch.nn.functional.mse_loss(f, model.features(photos))\n"
            "f = f.flatten(2)\n"
            "g = torch.bmm(f, f.transpose(1, 2)) / f.shape[-1]\n"
            "loss = c + style_weight * ((g - target) ** 2).sum() / len(photos)\n"
            "loss.backward()\n"
            "return w.detach() - rate * w.grad, loss.item()",
            "right",
            (),
            (),
        ),
        (
            "an optimizer, and a tensor as the loss",
            "opt = torch.optim.SGD([w], lr=rate)\n"
            "f = model.features(torch.conv2d(photos, w, padding=w.shape[2] // 2))\n"
            "g = torch.einsum('nahw,nbhw->nab', f, f) / f[0, 0].numel()\n"
            "loss = (f - model.features(photos)).pow(2).mean()\n"
            "loss = loss + style_weight * (g - target).pow(2).sum((1, 2)).mean()\n"
            "loss.backward()\n"
            "opt.step()\n"
            "return [w.detach(), loss]",
            "right",
            (),
            (),
        ),
    ]
    + [
        (
            label,
            f"y = torch.conv2d(photos, w, padding={padding})\n"
            "f = model.features(y)\n"
            f"c = {content}\n"
            "g = f.flatten(2) @ f.flatten(2).mT / f.flatten(2).shape[2]\n"
            f"s = {style}\n"
            "loss = c + style_weight * s\n"
            "slope = torch.autograd.grad(loss, w)[0]\n"
            f"return {result}",
            "wrong",
            must,
            must_not,
        )
        for label, padding, content, style, result, must, must_not in [
            (
                "padding one",
                "1",
                "(f - model.features(photos)).square().mean()",
                "(g - target).square().sum((1, 2)).mean()",
                "w.detach() - rate * slope, loss.item()",
                "kernel",
                "stack expects",
            ),
            *[
                (
                    label,
                    "w.shape[-1] // 2",
                    content,
                    style,
                    result,
                    must,
                    ("stack expects", "names are right"),
                )
                for label, content, style, result, must in [
                    (
                        "ascent",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "w.detach() + rate * slope, loss.item()",
                        "climb the loss",
                    ),
                    (
                        "content summed",
                        "(f - model.features(photos)).square().sum()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "w.detach() - rate * slope, loss.item()",
                        "content term is a sum",
                    ),
                    (
                        "style summed",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum()",
                        "w.detach() - rate * slope, loss.item()",
                        "added the style losses",
                    ),
                    (
                        "style mean",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().mean()",
                        "w.detach() - rate * slope, loss.item()",
                        "over the entries",
                    ),
                    (
                        "style root",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum((1, 2)).sqrt().mean()",
                        "w.detach() - rate * slope, loss.item()",
                        "length of the difference",
                    ),
                    (
                        "pixels",
                        "(y - photos).square().mean()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "w.detach() - rate * slope, loss.item()",
                        "compares pixels",
                    ),
                    (
                        "the gradient",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "slope, loss.item()",
                        "You return the gradient",
                    ),
                    (
                        "weights alone",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "w.detach() - rate * slope",
                        "loss",
                    ),
                    (
                        "the other way round",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "loss.item(), w.detach() - rate * slope",
                        (),
                    ),
                    (
                        "the loss doubled",
                        "(f - model.features(photos)).square().mean()",
                        "(g - target).square().sum((1, 2)).mean()",
                        "w.detach() - rate * slope, 2 * loss.item()",
                        "loss",
                    ),
                ]
            ],
        ]
    ],
)

ANSWERS = [
    *(*POINTING, *DELETION, *STEP, *ASCEND, *CLIP, *FGSM, *TARGETED, *DREAM, *OCTAVE),
    *(*VARIATION, *INVERSION, *GRAM, *TEXTURE, *CONTENT, *TOTAL, *NORM, *TRAINING),
]
