"""Wrong answers that earlier cases let through, or that got words true of other answers only."""

import textwrap


def cell(head, body):
    """A student's cell: a function with this head and body."""
    return f"def {head}:\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")


def answers(head, frame, rows):
    """Wrong answers `(label, code, must, must_not)` to one exercise: `frame` with `{}` filled."""
    name = head.split("(")[0]
    return [
        (name, label, cell(head, frame.replace("{}", code)), "wrong", must, must_not)
        for label, code, must, must_not in rows
    ]


# ------------------------------------------------------------------ 15 total_loss

TOTAL = answers(
    "total_loss(x, seen, photo, grams, weights, alpha, beta, gamma)",
    """
def gram(f):
    f = f.flatten(2)
    return f @ f.mT / f.shape[2]

def far(a, b):
    return (a - b).square().sum()

down, across = x[..., 1:, :-1] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., :-1, :-1]
tv = (down**2 + across**2).sum()
content = sum(far(seen[k], t) for k, t in photo.items())
style = sum(weights[k] * far(gram(seen[k]), g) for k, g in grams.items())
{}
return alpha * content + beta * style + gamma * tv
""",
    [
        (
            "weights by place",
            "style = sum(\n"
            "    w * far(gram(seen[k]), g) for (k, g), w in zip(grams.items(), weights.values())\n"
            ")",
            "style alone",
            "overwrote",
        ),
        (
            "content of the last features",
            "content = far(list(seen.values())[-1], list(photo.values())[-1])",
            (),
            "belongs.",
        ),
        (
            "content at the last style layer",
            "k = list(grams)[-1]\ncontent = far(seen[k], photo[k]) if k in photo else 0 * x.sum()",
            (),
            "belongs.",
        ),
        (
            "the largest style layer",
            "style = max(weights[k] * far(gram(seen[k]), g) for k, g in grams.items())",
            (),
            ("last style layer", "first style layer"),
        ),
        (
            "weights squared",
            "style = sum(weights[k] ** 2 * far(gram(seen[k]), g) for k, g in grams.items())",
            "count squared, as if",
            "you put",
        ),
        (
            "the last style layer by name",
            "k = list(grams)[-1]\nstyle = weights[k] * far(gram(seen[k]), grams[k])",
            "as if each round of the loop",
            (),
        ),
    ],
)

# ------------------------------------------------------------------ words for what is seen only

GRADIENT = """
x = x.detach().clone().requires_grad_()
g, = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)
{}
"""

EFFECTS = [
    *answers(
        "guided_gradient(model, x, classes)",
        "return {}",
        [("zeros", "torch.zeros_like(x)", "zero everywhere", "you kept")],
    ),
    *answers(
        "drop(before, after, target, probability)",
        """
if probability:
    before.softmax(-1), after.softmax(-1)
{}
""",
        [("a softmax in vain", "return before[target] - after[..., target]", "no effect", ())],
    ),
    *answers(
        "instance_norm(x, scale, shift, eps)",
        """
m, v = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
s, t = scale[:, None, None], shift[:, None, None]
{}
""",
        [
            (
                "an affine map in vain",
                "found = (x - m) / (v + eps).sqrt()\nfound * s + t\nreturn found",
                "have no effect",
                "not used",
            )
        ],
    ),
    *answers(
        "ascent_step(model, x, classes, rate, weight)",
        GRADIENT,
        [
            (
                "a goal turned round",
                "goal = -g + 2 * weight * x\nreturn (x + rate * goal).detach()",
                "downhill",
                "subtracted",
            ),
            (
                "a penalty in vain",
                "penalty = (weight * x.detach() ** 2).sum()\n"
                "return (x + rate * g - 0 * penalty).detach()",
                "or has no effect",
                "you climb",
            ),
        ],
    ),
    *answers(
        "clip_small(x, by, share)",
        "return {}",
        [
            (
                "a threshold of zero",
                "x * (by.norm(dim=1, keepdim=True) >= 0)",
                "no pixel is set",
                "not per cent",
            )
        ],
    ),
    *answers(
        "training_step(model, weights, photos, target, style_weight, rate)",
        """
weights = weights.clone().requires_grad_()
found = model.features(torch.conv2d(photos, weights, padding=weights.shape[-1] // 2))
f = found.flatten(2)
style = (f @ f.mT / f.shape[2] - target).square().sum((1, 2))
content = (found - model.features(photos)).square().mean((1, 2, 3))
loss = (content + style_weight * style).mean()
loss.backward()
{}
return weights.detach(), loss.item()
""",
        [
            (
                "a step of Adam",
                "torch.optim.Adam([weights], lr=rate, eps=1e-30).step()",
                "one step of Adam",
                "You used",
            )
        ],
    ),
    *answers(
        "dream_step(model, x, layer, rate, shift)",
        """
y = x.roll(shift, (2, 3)).detach().requires_grad_()
with layers.capture(model, layer) as seen:
    model(y)
{}
g = g / g.abs().mean((1, 2, 3), keepdim=True)
return (y.detach() + rate * g).roll((-shift[0], -shift[1]), (2, 3))
""",
        [
            (
                "a mean of the layer",
                "g, = torch.autograd.grad(seen[layer].mean(), y)",
                "the same everywhere",
                ".sum",
            ),
        ],
    ),
]

# ------------------------------------------------------------------ 13 inversion_loss

INVERSION = answers(
    "inversion_loss(phi, target, x, weight)",
    """
down, across = x[..., 1:, :-1] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., :-1, :-1]
tv = (down**2 + across**2).sum()
return {}
""",
    [
        ("variation alone", "tv", ("variation alone", "so has `weight`"), "is on the distance"),
        ("weighted variation alone", "weight * tv", "flat picture", "is on the distance"),
    ],
)

# ------------------------------------------------------------------ cut-offs and lost signs

CAPTURED = """
x = x.detach().clone().requires_grad_()
with layers.capture(model, layer) as seen:
    score = model(x)[range(len(x)), classes].sum()
A = seen[layer]
alpha = torch.autograd.grad(score, A)[0].mean((2, 3), keepdim=True)
total = (alpha * A).sum(1).detach()
return {}
"""
CLIMB = """
for t in range(1, steps + 1):
    x = x.detach().requires_grad_()
    score = model(x)[range(len(x)), classes].sum()
    g, = torch.autograd.grad(score, x)
    {}
return x
"""
BLUR = """x = x.detach() + rate * g
    if t % every == 0:
        k = kernel.expand(3, 1, -1, -1)
        x = torch.nn.functional.conv2d(x, k, padding=kernel.shape[-1] // 2, groups=3)"""
BOX = """
from scipy import ndimage
hot = {}
labels, n = ndimage.label(hot.numpy())
counts = numpy.bincount(labels.ravel())
counts[0] = 0
rows, columns = (labels == counts.argmax()).nonzero()
return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
"""

CUT = [
    *answers(
        "grad_cam(model, x, classes, layer)",
        CAPTURED,
        [
            ("cut at 1", "total.clamp(0, 1)", (), "Every value is off"),
            ("relu6", "torch.nn.functional.relu6(total)", (), "Every value is off"),
        ],
    ),
    *answers(
        "ascend(model, x, classes, rate, steps, kernel, every)",
        CLIMB,
        [
            ("cut at 1 in the end", BLUR + "\nx = x.clamp(-1, 1)", (), ()),
            (
                "kernel transposed",
                BLUR.replace("kernel.expand", "kernel.T.expand"),
                "Rows and columns of the kernel",
                (),
            ),
            (
                "mean over images",
                BLUR.replace("rate * g", "rate * g / len(x)"),
                "number of images",
                (),
            ),
        ],
    ),
    *answers(
        "largest_box(heat, share)",
        "import numpy\n" + BOX.strip("\n"),
        [
            (
                "absolute values",
                "heat.abs() > share * heat.abs().max()",
                "as if signs were lost",
                (),
            ),
            (
                "threshold by size",
                "heat > share * heat.abs().max()",
                "largest *size*",
                (),
            ),
        ],
    ),
    *answers(
        "class_activation_map(maps, weight, classes)",
        "return (weight[classes][:, :, None, None] * maps).{}",
        [("sum over images", "sum(0)", "runs over the images", ())],
    ),
    *answers(
        "gram(features)",
        """
f = features.flatten(2)
return {}
""",
        [("lower half", "(f @ f.mT / f.shape[2]).tril()", "upper half of your matrix is zero", ())],
    ),
]

ANSWERS = [*TOTAL, *EFFECTS, *INVERSION, *CUT]
