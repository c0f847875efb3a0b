"""Wrong answers to which a careless check says what is not so, and what is true of them."""


def written(signature, *lines):
    """A student's cell: one function of these lines."""
    return "\n    ".join([f"def {signature}:", *lines])


GRADIENT = (
    "x = x.detach().clone().requires_grad_()",
    "g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]",
)
ARITHMETIC = (
    "size, jump, start = 1, 1, 0",
    "for k, s, p, d in windows:",
    "    size += d * (k - 1) * jump",
    "    start -= {} * jump",
    "    jump *= s",
)
STUB = ("still reached", "NotImplementedError")
RELU, MAP = "guided_relu(x, gradient)", "saliency_map(model, x, classes)"
SHARE, BEST = "sparsity(maps)", "strongest_channels(maps, k)"
RESPONSE = "response_map(image, template, stride=1, padding=0)"
TOP, FIELD = "top_patches(activations, channel, k)", "field_arithmetic(windows)"
CONVOLVED = "torch.nn.functional.conv2d(image[None], template[None], None, stride, padding)[0, 0]"

# Each is (label, signature, lines, words that must come, words that must not).
WRONG = [
    # PyTorch raises NotImplementedError too.
    ("a mean of conditions", SHARE, ["return (maps == 0).mean((2, 3))"], "`.float()`", STUB),
    ("a spread of conditions", SHARE, ["return (maps == 0).std((2, 3))"], "`.float()`", STUB),
    ("& without brackets", RELU, ["return gradient * (x > 0 & gradient > 0)"], "binds", STUB),
    ("| without brackets", RELU, ["return gradient * (x > 0 | gradient > 0)"], "`|` binds", STUB),
    (
        "and, the word",
        RELU,
        ["return gradient * (x > 0 and gradient > 0)"],
        "one True or False",
        STUB,
    ),
    (
        "one minus a condition",
        RELU,
        ["return gradient * (1 - (x < 0))"],
        "`-` does not work with True and False",
        STUB,
    ),
    (
        "^ for a power",
        "content_loss(features, target)",
        ["return ((features - target) ^ 2).sum()"],
        "exclusive or",
        STUB,
    ),
    # A missing return, and one that is there.
    ("no return", SHARE, ["m = (maps == 0).float()"], "Is a `return` missing", ()),
    (
        "a return that is not reached",
        SHARE,
        ["if len(maps) > 5:", "    return maps"],
        "is that one reached",
        "missing",
    ),
    (
        "what append gives",
        MAP,
        ["maps = []", "return maps.append(x)"],
        "`maps.append(x)` gives",
        "missing",
    ),
    # One thing after the other is named after what it is.
    (
        "the first row",
        RESPONSE,
        [f"m = {CONVOLVED}", "m[0] = 0", "return m"],
        "Only the first row is wrong",
        "image",
    ),
    (
        "reversed rows",
        RESPONSE,
        [f"return {CONVOLVED}.flip(0)"],
        "top and bottom are exchanged",
        "image",
    ),
    (
        "filters one longer",
        "similarity(filters)",
        ["f = filters.flatten(1)", "f = f / (f.norm(dim=1, keepdim=True) + 1)", "return f @ f.T"],
        ("filter 0", "other filter 0"),
        ("image", "column"),
    ),
    (
        "matrices that do not fit",
        "similarity(filters)",
        ["f = filters.flatten(1)", "return f @ f"],
        ("5 x 27", "transposed"),
        (),
    ),
    (
        "one neighbour too few",
        "nearest_neighbours(x, k)",
        ["return torch.cdist(x, x).argsort(1)[:, 1:k]"],
        "2 places and not 1",
        "image",
    ),
    (
        "components over the count",
        "pca(x, components)",
        ["x = x - x.mean(0)", "return x @ torch.linalg.svd(x)[2].T[:, :components] / len(x)"],
        "For each component",
        "image",
    ),
    (
        "everything one",
        "pointing_score(maps, cells)",
        ["return torch.ones(len(maps))"],
        "Every value of your score is 1",
        "image",
    ),
    (
        "one probability for all steps",
        "deletion_curve(model, x, maps, classes, steps)",
        [
            "p = model(x).softmax(1)[range(len(x)), classes]",
            "return p[:, None].expand(-1, steps + 1)",
        ],
        "Only the first step is right",
        "batch",
    ),
    (
        "places reversed",
        BEST,
        ["return maps.amax((2, 3)).topk(k).indices.flip(1)"],
        "strongest comes last",
        (),
    ),
    (
        "values and indices",
        BEST,
        ["return maps.mean((2, 3)).topk(k)"],
        "values and indices",
        "Stacked",
    ),
    (
        "over the height only",
        SHARE,
        ["return (maps == 0).sum((2, 3)) / maps.shape[2]"],
        "divided by the number of rows only",
        "batch mix",
    ),
    # Parts are compared one by one.
    (
        "parts exchanged",
        FIELD,
        [line.format("p") for line in ARITHMETIC] + ["return size, start, jump"],
        "in another order: asked for is (size, jump, start)",
        "names",
    ),
    (
        "padding on both sides",
        FIELD,
        [line.format("2 * p") for line in ARITHMETIC] + ["return size, jump, start"],
        "You count the padding twice",
        "names",
    ),
    ("two parts", FIELD, ["return [1, 2]"], "2 entries, expected are 3", "names"),
    (
        "a tensor of parts",
        FIELD,
        [line.format("p") for line in ARITHMETIC] + ["return torch.tensor([size, jump, start])"],
        "not 3 parts, size, jump and start",
        "names",
    ),
    (
        "positions that are no pairs",
        TOP,
        [
            "a = activations[:, channel].flatten(1)",
            "values, photos = a.amax(1).sort(descending=True, stable=True)",
            "return photos[:k], torch.stack([photos[:k]] * 3, 1), values[:k]",
        ],
        "Your photos and values are right, but your positions have the shape (3, 3)",
        ("stack", "names"),
    ),
    (
        "nothing but the values",
        TOP,
        ["return activations[:, channel].amax((1, 2)).topk(k)"],
        "expected are 3: photos, positions and values",
        "names",
    ),
    (
        "the steps that were allowed",
        "targeted_ascent(model, pixels, target, rate, confidence, steps)",
        ["return pixels, steps"],
        "your image",
        ("stack", "names"),
    ),
    (
        "only the weights",
        "training_step(model, weights, photos, target, style_weight, rate)",
        ["return weights"],
        "not 2 parts, weights and loss",
        ("stack", "names"),
    ),
    (
        "weights as they were",
        "training_step(model, weights, photos, target, style_weight, rate)",
        ["return weights, 0.0"],
        ("your weights", "output colour"),
        ("stack", "names"),
    ),
    (
        "a list inside a box",
        "largest_box(heat, share)",
        ["return [0, 0, 5, [5]]"],
        "Your top is 0",
        ("stack", "names"),
    ),
    (
        "names in capitals",
        "top_classes(model, x, names, k)",
        [
            "p = model(x).softmax(1)",
            "best = [q.argsort(descending=True)[:k] for q in p]",
            "return [[(names[i].upper(), q[i]) for i in b] for q, b in zip(p, best)]",
        ],
        ("Your probabilities are right", "expected is"),
        (),
    ),
    (
        "the first image's classes only",
        "top_classes(model, x, names, k)",
        [
            "p = model(x).softmax(1)[0]",
            "return [[(names[i], p[i]) for i in p.argsort(descending=True)[:k]]]",
        ],
        ("Right on one image and k=3; on 3 images and k=4", "has 1 entry"),
        "names are right",
    ),
    # What PyTorch says of these is true and no help.
    (
        "the tuple of grad",
        MAP,
        [
            "x = x.clone().requires_grad_()",
            "g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)",
            "return g.abs().amax(1)",
        ],
        ("`torch.autograd.grad` gives one", "`[0]`"),
        "no attribute",
    ),
    (
        "a tuple of one's own",
        SHARE,
        ["with torch.no_grad():", "    both = (maps == 0, maps)", "    return both / 2"],
        "unsupported operand",
        "autograd",
    ),
    (
        "a decimal in a slice",
        SHARE,
        ["return (maps[:, :, : maps.shape[2] / 2] == 0).float().mean((2, 3))"],
        "`//` gives whole numbers",
        "__index__",
    ),
    (
        "a decimal for a length",
        "tile_filters(filters, columns)",
        ["rows = len(filters) / columns", "return torch.zeros(3, rows, columns)"],
        "`//` gives whole numbers",
        "positional",
    ),
    (
        "max over two axes",
        BEST,
        ["return maps.max(dim=(2, 3)).values.sort(descending=True).indices[:, :k]"],
        "along several at once `amax` does",
        "invalid combination",
    ),
    (
        "a root of a number",
        SHARE,
        ["return torch.sqrt(maps.shape[1])"],
        "takes a tensor, and here it gets a plain number",
        "position",
    ),
    (
        "a tensor of words",
        SHARE,
        ['return torch.tensor(["a", "b"])'],
        "would get texts",
        "dimensions",
    ),
    (
        "a row that is too long",
        SHARE,
        ["out = torch.zeros(maps.shape[:2])", "out[0] = maps[0, 0, 0]", "return out"],
        "(counted from 0) is put where",
        "non-singleton",
    ),
    (
        "`.T` of four axes",
        "similarity(filters)",
        ["return filters @ filters.T"],
        "`.mT` exchanges the last two",
        (),
    ),
    (
        "a gradient that is not there",
        MAP,
        ["x = x.clone()", "return 2 * x.grad"],
        "`.grad` is still empty",
        "operand",
    ),
    (
        "no values to fall back on",
        "response_map(image, template, stride, padding)",
        [f"return {CONVOLVED}"],
        "gives `stride` and `padding` no value",
        "in this order",
    ),
    (
        "a list along the second axis",
        SHARE,
        ["return [(maps[:, c] == 0).float().mean((1, 2)) for c in range(maps.shape[1])]"],
        "Stacked (`torch.stack`, axis 1) they would be right",
        (),
    ),
    (
        "lists in a list",
        SHARE,
        ["return [[float(maps[0, 0, 0, 0])]]"],
        "a list or tuple of 1 list",
        "list of 1.",
    ),
    (
        "one that is not a number",
        SHARE,
        ["m = (maps == 0).float().mean((2, 3))", "m[0, 0] = torch.nan", "return m"],
        "1 is NaN",
        (),
    ),
    (
        "whole shares",
        SHARE,
        ["return (maps == 0).sum((2, 3)) // maps[0, 0].numel()"],
        "`//` makes such numbers",
        "You asked",
    ),
    # Ties that only a stable sort keeps.
    ("topk", BEST, ["return maps.amax((2, 3)).topk(k).indices"], "`topk` gives them in any", ()),
    (
        "the mean, by topk",
        BEST,
        ["return maps.mean((2, 3)).topk(k).indices"],
        "ranked by the mean",
        (),
    ),
    (
        "a ReLU first",
        BEST,
        [
            "best = maps.relu().amax((2, 3))",
            "return best.sort(dim=1, descending=True, stable=True).indices[:, :k]",
        ],
        "nearest to zero",
        (),
    ),
    (
        "topk of photos",
        TOP,
        [
            "v, p = activations[:, channel].flatten(1).max(1)",
            "v, n = v.topk(k)",
            "w = activations.shape[3]",
            "return n, torch.stack([p[n] // w, p[n] % w], 1), v",
        ],
        "`topk` gives them in any",
        (),
    ),
    (
        "a return in the loop",
        FIELD,
        [*(line.format("p") for line in ARITHMETIC), "    return size, jump, start"],
        "after the first layer alone",
        "no effect",
    ),
    (
        "stretched by the whole batch",
        MAP,
        [*GRADIENT, "m = g.abs().amax(1)", "return (m - m.min()) / (m.max() - m.min())"],
        "all together they go from 0 to 1",
        (),
    ),
    # "Only" and "batch" are said where they were tested.
    (
        "all classes of the batch for each",
        MAP,
        [
            "x = x.detach().clone().requires_grad_()",
            "model(x)[:, classes].sum().backward()",
            "return x.grad.abs().amax(1)",
        ],
        "takes every class of the list in every row",
        "Only the first",
    ),
    (
        "the last image spoilt",
        MAP,
        [*GRADIENT, "m = g.abs().amax(1)", "m[1:] += m[1:] ** 2", "return m"],
        ("Right on a single image", "only the first image of a batch is right"),
        "mix",
    ),
    (
        "one image of four spoilt",
        MAP,
        [*GRADIENT, "m = g.abs().amax(1)", "m[-1, :2] += len(m) > 1", "return m"],
        "only the last image is wrong",
        "first image",
    ),
    (
        "a root",
        MAP,
        [*GRADIENT, "return g.abs().amax(1).sqrt()"],
        "our map is the root of the target",
        ("logarithm", "as after"),
    ),
    (
        "some other increasing function",
        MAP,
        [*GRADIENT, "m = g.abs().amax(1)", "return m + m**3"],
        "exactly the order of the target",
        ("logarithm", "as after"),
    ),
    (
        "scaled by the largest of all",
        MAP,
        [*GRADIENT, "m = g.abs().amax(1)", "return m / m.max()"],
        ("not always the same one", "on a single image"),
        (),
    ),
    (
        "zeros that do not belong there",
        "deconvnet_relu(x, gradient)",
        ["return gradient * (gradient > 0) * (x > -0.5)"],
        "there are zeros where the target has none",
        (),
    ),
    (
        "an axis too few in a product",
        "class_activation_map(maps, weight, classes)",
        ["return (weight[classes] * maps).sum(1)"],
        "Two arrays do not fit together",
        "RuntimeError",
    ),
    (
        "an image too few",
        "gram(features)",
        ["f = features.flatten(2)", "return torch.einsum('nip,njp->ij', f, f) / f.shape[2]"],
        "that of the images",
        (),
    ),
    # Exceptions.
    (
        "the copy was asked, not the image",
        MAP,
        [
            "y = x.clone().requires_grad_()",
            "model(y)[range(len(x)), classes].sum().backward()",
            "return x.grad.abs().amax(1)",
        ],
        "`.grad` is still empty",
        "NoneType",
    ),
    (
        "no_grad",
        MAP,
        [
            "x = x.clone().requires_grad_()",
            "with torch.no_grad():",
            "    s = model(x)[range(len(x)), classes].sum()",
            "s.backward()",
            "return x.grad.abs().amax(1)",
        ],
        "not inside `no_grad`",
        (),
    ),
    ("two things of max", MAP, [*GRADIENT, "return g.abs().max(1)"], "You return two things", ()),
    (
        "max as if it were one",
        MAP,
        [*GRADIENT, "return g.abs().max(1).sqrt()"],
        "`max` gives two things",
        "AttributeError",
    ),
    (
        "in place",
        "ascent_step(model, x, classes, rate, weight)",
        [
            "x.requires_grad_()",
            "model(x)[range(len(x)), classes].sum().backward()",
            "x += rate * (x.grad - 2 * weight * x)",
            "return x",
        ],
        "cannot be changed in place",
        "leaf Variable",
    ),
    (
        "labels as if they were a tensor",
        "precision_at_k(neighbours, labels)",
        ["return (labels[neighbours] == labels[:, None]).mean(1)"],
        "A Python list gives one entry at a time",
        (),
    ),
    (
        "a mask of the batch on the colours",
        "clip_small(x, by, share)",
        [
            "n = by.norm(dim=1)",
            "t = n.flatten(1).quantile(share, dim=1)",
            "return x * (n > t[:, None, None])",
        ],
        ("Right on an image clipped by its own size", "do not fit together"),
        "mix",
    ),
    ("one in a list", MAP, [*GRADIENT, "return [g.abs().amax(1)]"], "return it alone", ()),
    (
        "images in a list",
        "gradient_times_input(model, x, classes)",
        [*GRADIENT, "return [a * b for a, b in zip(g, x)]"],
        "You return a list or tuple of",
        "Stacked",
    ),
    (
        "all pictures are the photo",
        "next_octave(photo, dreamt, size)",
        ["return photo"],
        "has the shape",
        (),
    ),
    (
        "a patch of what is inside, moved",
        "field_patch(pixels, top, left, size)",
        ["return pixels[:, top:top + size, left:left + size]"],
        "You cut a plain slice",
        "image",
    ),
    (
        "a box of nothing",
        "largest_box(heat, share)",
        ["return 0, 0, 0, 0"],
        ("Your top is 0 in every call", "belong"),
        "everywhere",
    ),
    (
        "fourth powers",
        "content_loss(features, target)",
        ["return ((features - target) ** 4).sum()"],
        ("belongs", "times)"),
        "square of the target",
    ),
    (
        "a third of it",
        "content_loss(features, target)",
        ["return ((features - target) ** 2).sum() / 3"],
        "0.333 times the target in every call",
        "everywhere",
    ),
]

ANSWERS = [
    (signature.split("(")[0], label, written(signature, *lines), "wrong", must, must_not)
    for label, signature, lines, must, must_not in WRONG
]
