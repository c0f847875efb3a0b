"""Answers to the exercises of lectures 00 to 08 as students write them, right and wrong."""

import textwrap


def right(label, body, must=()):
    return label, body, "right", must, ()


def wrong(label, body, must, must_not=()):
    return label, body, "wrong", must, must_not


def answers(name, arguments, *rows):
    """The rows as answers: each body under the exercise's own first line."""
    head = f"def {name}({arguments}):\n"
    return [
        (name, label, head + textwrap.indent(textwrap.dedent(body).strip("\n"), "    "), *rest)
        for label, body, *rest in rows
    ]


# ------------------------------------------------------------------ 00 start here

TOP_CLASSES = answers(
    "top_classes",
    "model, x, names, k=5",
    right(
        "sorted in Python",
        """
        p = torch.softmax(model(x), dim=1)
        result = []
        for row in p:
            pairs = sorted(zip(names, row.tolist()), key=lambda pair: pair[1], reverse=True)
            result.append(pairs[:k])
        return result
        """,
    ),
    right(
        "argsort and zero-dimensional tensors",
        """
        p = model(x).softmax(-1)
        order = p.argsort(descending=True)[:, :k]
        return [[(names[int(c)], p[i, c]) for c in row] for i, row in enumerate(order)]
        """,
    ),
    right(
        "by hand with exp",
        """
        s = model(x).detach()
        e = torch.exp(s - s.max(dim=1, keepdim=True)[0])
        p = (e / e.sum(dim=1, keepdim=True)).numpy()
        best = (-p).argsort(axis=1)[:, :k]
        return tuple(tuple((names[c], float(p[i][c])) for c in row) for i, row in enumerate(best))
        """,
    ),
    wrong(
        "probabilities of the k best only",
        """
        best = model(x).topk(k, dim=1)
        p = best.values.softmax(1)
        return [
            [(names[c], v) for c, v in zip(i, q)] for i, q in zip(best.indices.tolist(), p.tolist())
        ]
        """,
        "over *all* classes",
    ),
    wrong(
        "softmax over the images",
        """
        best = model(x).softmax(0).topk(k, dim=1)
        rows = zip(best.indices.tolist(), best.values.tolist())
        return [[(names[c], v) for c, v in zip(i, p)] for i, p in rows]
        """,
        "Softmax ran over the images",
    ),
    wrong(
        "no loop over the images",
        """
        best = model(x).softmax(1).topk(k)
        return [(names[c], v) for c, v in zip(best.indices[0].tolist(), best.values[0].tolist())]
        """,
        "first image alone",
    ),
    wrong(
        "rounded",
        """
        best = model(x).softmax(1).topk(k)
        rows = zip(best.indices.tolist(), best.values.tolist())
        return [[(names[c], round(v, 2)) for c, v in zip(i, p)] for i, p in rows]
        """,
        "rounded",
    ),
    wrong(
        "dictionaries",
        """
        best = model(x).softmax(1).topk(k)
        rows = zip(best.indices.tolist(), best.values.tolist())
        return [{names[c]: v for c, v in zip(i, p)} for i, p in rows]
        """,
        ("list", "dict"),
    ),
    wrong(
        "names and probabilities apart",
        """
        best = model(x).softmax(1).topk(k)
        rows = zip(best.indices.tolist(), best.values.tolist())
        return [([names[c] for c in i], p) for i, p in rows]
        """,
        "pairs",
        "the names are right",
    ),
    wrong(
        "divided by the sum",
        """
        s = model(x)
        best = (s / s.sum(1, keepdim=True)).topk(k)
        rows = zip(best.indices.tolist(), best.values.tolist())
        return [[(names[c], v) for c, v in zip(i, p)] for i, p in rows]
        """,
        "divided the scores by their sum",
    ),
    wrong(
        "a tensor as an index of the names",
        """
        best = model(x).softmax(1).topk(k)
        rows = zip(best.indices, best.values[:1])
        return [[(names[c], v) for c, v in zip(i, p)] for i, p in rows]
        """,
        "entr",
    ),
    wrong(
        "no return",
        """
        best = model(x).softmax(1).topk(k)
        result = [[(names[int(c)], float(v)) for c, v in zip(i, p)] for i, p in zip(*best[::-1])]
        """,
        "`return`",
    ),
    wrong(
        "returns the pair of topk",
        "return model(x).softmax(1).topk(k)",
        "what `topk` gives",
        "reached",
    ),
)

CAPTURE_LAYER = answers(
    "capture_layer",
    "model, x, layer",
    right(
        "a dictionary and named_modules",
        """
        kept = {}

        def hook(module, inputs, output):
            kept["out"] = output.detach().clone()

        handle = dict(model.named_modules())[layer].register_forward_hook(hook)
        model(x)
        handle.remove()
        return kept["out"]
        """,
    ),
    right(
        "a loop over the modules",
        """
        result = []
        for name, module in model.named_modules():
            if name == layer:
                h = module.register_forward_hook(lambda m, i, o: result.append(o))
        with torch.no_grad():
            _ = model(x)
        h.remove()
        return result.pop()
        """,
    ),
    right(
        "found by the course's names",
        """
        kept = []
        part = layers.find(model, layer)
        handle = part.register_forward_hook(lambda *a: kept.append(a[-1]))
        try:
            model(x)
        finally:
            handle.remove()
        return kept[-1].numpy()
        """,
    ),
    right(
        "walking down the dots",
        """
        module = model
        for part in layer.split("."):
            module = getattr(module, part)
        kept = []
        handle = module.register_forward_hook(lambda m, i, o: kept.append(o))
        model(x)
        handle.remove()
        return kept[0]
        """,
    ),
    wrong(
        "the course's own activations",
        "return layers.activations(model, x, layer)",
        ("layers.activations", "yourself"),
        "not available",
    ),
    wrong(
        "imported by name",
        """
        from course_utils.layers import activations
        return activations(model, x, layer)
        """,
        ("layers.activations", "yourself"),
    ),
    wrong(
        "the course's own capture",
        """
        with layers.capture(model, layer) as seen:
            model(x)
        return seen[layer]
        """,
        ("layers.capture", "yourself"),
    ),
    wrong(
        "the hook stays",
        """
        kept = []
        model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
        model(x)
        return kept[0]
        """,
        "leaves a hook",
        "backward",
    ),
    wrong(
        "a getattr of the dotted name",
        """
        kept = []
        handle = getattr(model, layer).register_forward_hook(lambda m, i, o: kept.append(o))
        model(x)
        handle.remove()
        return kept[0]
        """,
        "AttributeError",
    ),
    wrong(
        "by walking through the features",
        """
        for name, part in model.features.named_children():
            x = part(x)
            if layer.endswith(name):
                return x
        """,
        (),
        "Every value",
    ),
    wrong(
        "layer by layer in a row",
        """
        for name, part in model.named_modules():
            if not list(part.children()):
                x = part(x)
                if name == layer:
                    return x
        """,
        "Right on",
    ),
    wrong(
        "the input of the layer",
        """
        kept = []
        handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(i[0]))
        model(x)
        handle.remove()
        return kept[0]
        """,
        "*into* the layer",
    ),
    wrong(
        "the list of the hook",
        """
        kept = []
        handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
        model(x)
        handle.remove()
        return kept
        """,
        "list in which the hook kept",
    ),
    wrong(
        "the model is not run",
        """
        kept = []
        handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
        handle.remove()
        return kept[0]
        """,
        "IndexError",
    ),
    wrong(
        "the hook removed before the model runs",
        """
        kept = []
        handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
        handle.remove()
        model(x)
        return kept
        """,
        (),
        "Every value",
    ),
    wrong(
        "the weights",
        "return model.get_submodule(layer).weight",
        (),
        "reached",
    ),
    wrong(
        "the layer applied to the images",
        "return model.get_submodule(layer)(x)",
        (),
    ),
    wrong(
        "in training mode",
        """
        kept = []
        model.train()
        handle = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
        model(x)
        handle.remove()
        return kept[0]
        """,
        "mode",
    ),
)

# ------------------------------------------------------------------ 01 filters

TILE_FILTERS = answers(
    "tile_filters",
    "filters, columns",
    right(
        "a loop over filters with divmod",
        """
        n, c, k, _ = filters.shape
        rows = (n + columns - 1) // columns
        out = torch.ones(c, rows * (k + 1) - 1, columns * (k + 1) - 1)
        for i in range(n):
            r, q = divmod(i, columns)
            w = filters[i]
            m = w.abs().max()
            t = 0.5 + 0.5 * w / m if m > 0 else torch.full_like(w, 0.5)
            out[:, r * (k + 1) : r * (k + 1) + k, q * (k + 1) : q * (k + 1) + k] = t
        return out
        """,
    ),
    right(
        "padding and permuting",
        """
        import math
        n, c, k, _ = filters.shape
        m = filters.flatten(1).abs().max(1).values.clamp(min=1e-12)
        t = filters / m[:, None, None, None] / 2 + 0.5
        t = torch.nn.functional.pad(t, (0, 1, 0, 1), value=1.0)
        rows = math.ceil(n / columns)
        t = torch.cat([t, torch.ones(rows * columns - n, c, k + 1, k + 1)])
        t = t.view(rows, columns, c, k + 1, k + 1).permute(2, 0, 3, 1, 4)
        return t.reshape(c, rows * (k + 1), columns * (k + 1))[:, :-1, :-1]
        """,
    ),
    right(
        "a small number against zero",
        """
        n, c, k, _ = filters.shape
        p = 0.5 + filters / (2 * filters.abs().amax((1, 2, 3), keepdim=True) + 1e-9)
        rows = -(-n // columns)
        canvas = torch.ones(3, rows * (k + 1) - 1, columns * (k + 1) - 1)
        for i in range(n):
            a, b = i // columns * (k + 1), i % columns * (k + 1)
            canvas[:, a : a + k, b : b + k] = p[i]
        return canvas
        """,
    ),
    right(
        "nan_to_num for the zeros",
        """
        n, c, k, _ = filters.shape
        tiles = (filters / filters.abs().amax((1, 2, 3), keepdim=True)).nan_to_num(0) / 2 + 0.5
        rows = -(-n // columns)
        canvas = torch.ones(c, rows * (k + 1) - 1, columns * (k + 1) - 1).numpy()
        for i, tile in enumerate(tiles):
            a, b = i // columns * (k + 1), i % columns * (k + 1)
            canvas[:, a : a + k, b : b + k] = tile
        return canvas
        """,
    ),
    wrong(
        "zero divided by zero",
        """
        n, c, k, _ = filters.shape
        tiles = 0.5 + filters / (2 * filters.abs().amax((1, 2, 3), keepdim=True))
        rows = -(-n // columns)
        canvas = torch.ones(c, rows * (k + 1) - 1, columns * (k + 1) - 1)
        for i, tile in enumerate(tiles):
            a, b = i // columns * (k + 1), i % columns * (k + 1)
            canvas[:, a : a + k, b : b + k] = tile
        return canvas
        """,
        "NaN",
        "logarithm in",
    ),
    *[
        wrong(
            label,
            f"""
            n, c, k, _ = filters.shape
            largest = filters.abs().amax((1, 2, 3), keepdim=True)
            largest = torch.where(largest > 0, largest, 1)
            tiles = {tiles}
            rows = {rows}
            canvas = torch.{canvas}(c, rows * (k + 1) - 1, columns * (k + 1) - 1)
            for i, tile in enumerate(tiles):
                a, b = {place}
                canvas[:, a : a + k, b : b + k] = tile
            return canvas
            """,
            must,
        )
        for label, tiles, rows, canvas, place, must in (
            (
                "forgot to halve",
                "0.5 + filters / largest",
                "-(-n // columns)",
                "ones",
                "i // columns * (k + 1), i % columns * (k + 1)",
                "from -0.5 to 1.5",
            ),
            (
                "a black canvas",
                "0.5 + filters / (2 * largest)",
                "-(-n // columns)",
                "zeros",
                "i // columns * (k + 1), i % columns * (k + 1)",
                "black",
            ),
            (
                "row and column of the grid exchanged",
                "0.5 + filters / (2 * largest)",
                "-(-n // columns)",
                "ones",
                "i % columns * (k + 1), i // columns * (k + 1)",
                (),
            ),
            (
                "rows rounded down",
                "0.5 + filters / (2 * largest)",
                "n // columns",
                "ones",
                "i // columns * (k + 1), i % columns * (k + 1)",
                "Right on",
            ),
            (
                "stretched from the smallest to the largest",
                "(filters - (low := filters.amin((1, 2, 3), keepdim=True)))"
                " / (filters.amax((1, 2, 3), keepdim=True) - low + 1e-12)",
                "-(-n // columns)",
                "ones",
                "i // columns * (k + 1), i % columns * (k + 1)",
                (),
            ),
        )
    ],
    wrong(
        "no line between the tiles",
        """
        n, c, k, _ = filters.shape
        m = filters.abs().amax((1, 2, 3), keepdim=True)
        t = 0.5 + filters / (2 * torch.where(m > 0, m, 1))
        rows = -(-n // columns)
        out = torch.ones(c, rows * k, columns * k)
        for i in range(n):
            a, b = i // columns * k, i % columns * k
            out[:, a : a + k, b : b + k] = t[i]
        return out
        """,
        "touch",
    ),
    wrong(
        "changes the filters themselves",
        """
        n, c, k, _ = filters.shape
        m = filters.abs().amax((1, 2, 3), keepdim=True)
        filters /= 2 * torch.where(m > 0, m, 1)
        filters += 0.5
        rows = -(-n // columns)
        out = torch.ones(c, rows * (k + 1) - 1, columns * (k + 1) - 1)
        for i in range(n):
            a, b = i // columns * (k + 1), i % columns * (k + 1)
            out[:, a : a + k, b : b + k] = filters[i]
        return out
        """,
        "`filters`",
        "Every value",
    ),
)

RESPONSE_MAP = answers(
    "response_map",
    "image, template, stride=1, padding=0",
    right(
        "four loops",
        """
        c, height, width = image.shape
        k = template.shape[-1]
        big = torch.zeros(c, height + 2 * padding, width + 2 * padding)
        big[:, padding : padding + height, padding : padding + width] = image
        rows = (height + 2 * padding - k) // stride + 1
        columns = (width + 2 * padding - k) // stride + 1
        out = torch.zeros(rows, columns)
        for i in range(rows):
            for j in range(columns):
                part = big[:, i * stride : i * stride + k, j * stride : j * stride + k]
                out[i, j] = (part * template).sum()
        return out
        """,
    ),
    right(
        "unfold",
        """
        F = torch.nn.functional
        k = template.shape[-1]
        patches = F.unfold(image[None], k, padding=padding, stride=stride)[0]
        height = (image.shape[1] + 2 * padding - k) // stride + 1
        return (template.flatten() @ patches).reshape(height, -1)
        """,
    ),
    right(
        "a convolution module",
        """
        c, k, _ = template.shape
        conv = torch.nn.Conv2d(c, 1, k, stride, padding, bias=False)
        conv.weight.data = template[None]
        return conv(image[None]).squeeze()
        """,
    ),
    wrong(
        "without the defaults of the stub",
        "return torch.conv2d(image[None], template[None], stride=stride, padding=padding)[0]",
        "length one",
    ),
    wrong(
        "flipped",
        """
        w = torch.flip(template, [1, 2])[None]
        return torch.conv2d(image[None], w, stride=stride, padding=padding)[0, 0]
        """,
        "180 degrees",
    ),
    wrong(
        "no padding",
        "return torch.conv2d(image[None], template[None], stride=stride)[0, 0]",
        "padding is missing",
    ),
    wrong(
        "loops that end one early",
        """
        k = template.shape[-1]
        big = torch.nn.functional.pad(image, (padding,) * 4)
        rows = range(0, big.shape[1] - k, stride)
        columns = range(0, big.shape[2] - k, stride)
        return torch.stack([
            torch.stack([(big[:, i : i + k, j : j + k] * template).sum() for j in columns])
            for i in rows
        ])
        """,
        "a range ends before its end",
    ),
    wrong(
        "loops without stride",
        """
        k = template.shape[-1]
        big = torch.nn.functional.pad(image, (padding,) * 4)
        h = (big.shape[1] - k) // stride + 1
        w = (big.shape[2] - k) // stride + 1
        out = torch.zeros(h, w)
        for i in range(h):
            for j in range(w):
                out[i, j] = (big[:, i : i + k, j : j + k] * template).sum()
        return out
        """,
        "one pixel apart",
    ),
    wrong(
        "mean of the products",
        """
        k = template.shape[-1]
        big = torch.nn.functional.pad(image, (padding,) * 4)
        h, w = ((n - k) // stride + 1 for n in big.shape[1:])
        out = torch.zeros(h, w)
        for i in range(h):
            for j in range(w):
                a, b = i * stride, j * stride
                out[i, j] = (big[:, a : a + k, b : b + k] * template).mean()
        return out
        """,
        "averaged the products",
    ),
    wrong(
        "one map a colour",
        """
        w = template[:, None]
        return torch.conv2d(image[None], w, stride=stride, padding=padding, groups=3)[0]
        """,
        "one map for each colour",
    ),
    wrong(
        "no batch of filters",
        "return torch.conv2d(image[None], template, stride=stride, padding=padding)[0, 0]",
        "RuntimeError",
        "reached",
    ),
    wrong(
        "nothing between the image and the template",
        "return image * template",
        "do not fit together",
    ),
    wrong(
        "ReLU on top",
        """
        out = torch.conv2d(image[None], template[None], stride=stride, padding=padding)
        return torch.relu(out)[0, 0]
        """,
        "ReLU",
    ),
)

SIMILARITY = answers(
    "similarity",
    "filters",
    right(
        "normalised by torch",
        """
        u = torch.nn.functional.normalize(filters.flatten(1), dim=1)
        return u @ u.T
        """,
    ),
    right(
        "two loops",
        """
        n = len(filters)
        out = torch.zeros(n, n)
        for i in range(n):
            for j in range(n):
                a, b = filters[i].flatten(), filters[j].flatten()
                if a.norm() > 0 and b.norm() > 0:
                    out[i, j] = a @ b / (a.norm() * b.norm())
        return out
        """,
    ),
    right(
        "cosine_similarity of all pairs",
        """
        w = filters.flatten(1)
        return torch.nn.functional.cosine_similarity(w[:, None], w[None], dim=2)
        """,
    ),
    right(
        "NaN replaced in NumPy",
        """
        import numpy as np
        w = filters.reshape(len(filters), -1).numpy()
        n = np.linalg.norm(w, axis=1)
        with np.errstate(all="ignore"):
            return np.nan_to_num(w @ w.T / np.outer(n, n))
        """,
    ),
    wrong("no lengths", "w = filters.flatten(1)\nreturn w @ w.T", "without the lengths"),
    wrong(
        "NaN for the filter of zeros",
        """
        w = filters.flatten(1)
        u = w / w.norm(dim=1, keepdim=True)
        return u @ u.T
        """,
        "NaN",
    ),
    wrong(
        "one norm for the whole bank",
        "u = filters.flatten(1) / filters.norm()\nreturn u @ u.T",
        "one length for the whole bank",
    ),
    wrong(
        "norm over the filters",
        """
        w = filters.flatten(1)
        n = w.norm(dim=0)
        u = w / torch.where(n > 0, n, 1)
        return u @ u.T
        """,
        "over the *filters*",
    ),
    wrong(
        "each filter with itself",
        """
        w = filters.flatten(1)
        return torch.nn.functional.cosine_similarity(w, w)
        """,
        "shape",
    ),
    wrong(
        "correlation",
        "return torch.corrcoef(filters.flatten(1)).nan_to_num(0)",
        "correlation",
    ),
    wrong(
        "normalised over the colours",
        """
        u = torch.nn.functional.normalize(filters).flatten(1)
        return u @ u.T
        """,
        (),
    ),
    wrong(
        "keepdim forgotten",
        "w = filters.flatten(1)\nu = w / w.norm(dim=1)\nreturn u @ u.T",
        "do not fit together",
    ),
    wrong(
        "without the transpose",
        "u = torch.nn.functional.normalize(filters.flatten(1))\nreturn u @ u",
        "cannot be multiplied",
    ),
    wrong(
        "angles",
        """
        u = torch.nn.functional.normalize(filters.flatten(1))
        return (u @ u.T).clamp(-1, 1).acos()
        """,
        "angles",
    ),
)

# ------------------------------------------------------------------ 02 activations

SPARSITY = answers(
    "sparsity",
    "maps",
    right("flattened first", "return (maps == 0).flatten(2).double().mean(-1)"),
    right(
        "counted and divided",
        "n = maps.shape[2] * maps.shape[3]\nreturn (maps == 0).sum((2, 3)) / n",
    ),
    right(
        "one minus the rest",
        "return 1 - torch.count_nonzero(maps, dim=(2, 3)) / maps[0, 0].numel()",
    ),
    right(
        "loops",
        """
        out = torch.zeros(maps.shape[:2])
        for i in range(maps.shape[0]):
            for c in range(maps.shape[1]):
                out[i, c] = (maps[i, c] == 0).float().mean()
        return out
        """,
    ),
    right("NumPy", "return (maps.numpy() == 0).mean((2, 3))"),
    wrong(
        "a mean of truth values",
        "return (maps == 0).mean((2, 3))",
        "needs decimals",
        "still reached",
    ),
    wrong("what is not zero", "return (maps > 0).float().mean((2, 3))", "above zero"),
    wrong("negative counted", "return (maps <= 0).float().mean((2, 3))", "negative"),
    wrong(
        "divided by all of them",
        "return (maps == 0).sum((2, 3)) / maps.numel()",
        "all units of the batch",
    ),
    wrong("only one axis", "return (maps == 0).float().mean(3)", "each row"),
    wrong("axes kept", "return (maps == 0).float().mean((2, 3), keepdim=True)", "length 1"),
    wrong("a threshold", "return (maps.abs() < 0.01).float().mean((2, 3))", "small values"),
    wrong("percent", "return (maps == 0).float().mean((2, 3)) * 100", "percentages"),
    wrong("wrong axes", "return (maps == 0).float().mean((0, 1))", "shape"),
    wrong(
        "of an integer", "return (maps == 0).long().mean((2, 3))", "needs decimals", "still reached"
    ),
)

STRONGEST_CHANNELS = answers(
    "strongest_channels",
    "maps, k",
    right(
        "argsort",
        """
        best = maps.flatten(2).max(dim=2).values
        return best.argsort(dim=1, descending=True, stable=True)[:, :k]
        """,
    ),
    right(
        "sorted in Python",
        """
        rows = maps.amax((2, 3)).tolist()
        return torch.tensor([sorted(range(len(r)), key=lambda c: -r[c])[:k] for r in rows])
        """,
    ),
    right(
        "NumPy",
        """
        import numpy as np
        return np.argsort(-maps.numpy().max((2, 3)), axis=1, kind="stable")[:, :k]
        """,
    ),
    wrong("mean", "return maps.mean((2, 3)).topk(k).indices", "mean of each map"),
    wrong("absolute", "return maps.abs().amax((2, 3)).topk(k).indices", "absolute value"),
    wrong("values", "return maps.amax((2, 3)).topk(k).values", "*which* channels"),
    wrong(
        "ascending",
        "return maps.amax((2, 3)).sort(dim=1, stable=True).indices[:, :k]",
        "weakest first",
    ),
    wrong("over the channels", "return maps.amax(1).flatten(1).topk(k).indices", ()),
    wrong(
        "both of sort",
        """
        values, indices = maps.amax((2, 3)).sort(dim=1, descending=True, stable=True)
        return values[:, :k], indices[:, :k]
        """,
        "two things",
    ),
    wrong(
        "squares",
        "return maps.pow(2).sum((2, 3)).sort(dim=1, descending=True).indices[:, :k]",
        "sum of squares",
    ),
    wrong("ranked over the images", "return maps.amax((2, 3)).argsort(0, descending=True)[:k]", ()),
    wrong(
        "ranks of ranks",
        """
        order = maps.amax((2, 3)).argsort(dim=1, descending=True, stable=True)
        return order.argsort(dim=1)[:, :k]
        """,
        "ranks",
    ),
)

# ------------------------------------------------------------------ 03 patches

FIELD_ARITHMETIC = answers(
    "field_arithmetic",
    "windows",
    right(
        "from the last layer down",
        """
        size, jump, start = 1, 1, 0
        for k, s, p, d in windows[::-1]:
            size = (size - 1) * s + d * (k - 1) + 1
            jump, start = jump * s, start * s - p
        return size, jump, start
        """,
    ),
    right(
        "two ends",
        """
        first, last, jump = 0, 0, 1
        for k, s, p, d in windows:
            first, last = first - p * jump, last + ((k - 1) * d - p) * jump
            jump *= s
        return last - first + 1, jump, first
        """,
    ),
    right(
        "products of strides",
        """
        import math
        jumps = [math.prod(w[1] for w in windows[:i]) for i in range(len(windows) + 1)]
        size = 1 + sum(d * (k - 1) * j for (k, s, p, d), j in zip(windows, jumps))
        return size, jumps[-1], -sum(p * j for (k, s, p, d), j in zip(windows, jumps))
        """,
    ),
    *[
        wrong(
            label,
            f"""
            size, jump, start = 1, 1, 0
            for k, s, p, d in windows:
                {body}
            return {result}
            """,
            must,
        )
        for label, body, result, must in (
            (
                "jump first",
                "jump *= s; size += d * (k - 1) * jump; start -= p * jump",
                "size, jump, start",
                (),
            ),
            (
                "jump before the size only",
                "start -= p * jump; jump *= s; size += d * (k - 1) * jump",
                "size, jump, start",
                "as it was before this layer",
            ),
            (
                "no dilation",
                "size += (k - 1) * jump; start -= p * jump; jump *= s",
                "size, jump, start",
                "dilation is missing",
            ),
            (
                "the whole kernel",
                "size += d * k * jump; start -= p * jump; jump *= s",
                "size, jump, start",
                "whole kernel",
            ),
            (
                "padding forward",
                "size += d * (k - 1) * jump; start += p * jump; jump *= s",
                "size, jump, start",
                "inside the photo",
            ),
            (
                "padding not times the jump",
                "size += d * (k - 1) * jump; start -= p; jump *= s",
                "size, jump, start",
                "a whole jump",
            ),
            (
                "the centre for the start",
                "size += d * (k - 1) * jump; start += (d * (k - 1) / 2 - p) * jump; jump *= s",
                "size, jump, start",
                "middle of the first unit's field",
            ),
            (
                "in another order",
                "size += d * (k - 1) * jump; start -= p * jump; jump *= s",
                "jump, size, start",
                "exchanged",
            ),
            (
                "two of three",
                "size += d * (k - 1) * jump; start -= p * jump; jump *= s",
                "size, jump",
                "2",
            ),
            (
                "strides added",
                "size += d * (k - 1) * jump; start -= p * jump; jump += s - 1",
                "size, jump, start",
                "strides multiply",
            ),
        )
    ],
    wrong(
        "three columns for four",
        "size = 1\nfor k, s, p in windows:\n    size += k\nreturn size, 1, 0",
        "ValueError",
    ),
    wrong(
        "the last layer's stride left out",
        """
        size, jump, start, step = 1, 1, 0, 1
        for k, s, p, d in windows:
            jump *= step
            size, start, step = size + d * (k - 1) * jump, start - p * jump, s
        return size, jump, start
        """,
        "last layer's stride",
    ),
)

FIELD_PATCH = answers(
    "field_patch",
    "pixels, top, left, size",
    right(
        "padded with grey",
        """
        room = size + max(abs(top), abs(left), *pixels.shape)
        wide = torch.nn.functional.pad(pixels, [room] * 4, value=0.5)
        return wide[:, top + room : top + room + size, left + room : left + room + size]
        """,
    ),
    right(
        "pixel by pixel",
        """
        out = torch.zeros(3, size, size) + 0.5
        for i in range(size):
            for j in range(size):
                if 0 <= top + i < pixels.shape[1] and 0 <= left + j < pixels.shape[2]:
                    out[:, i, j] = pixels[:, top + i, left + j]
        return out
        """,
    ),
    wrong("a bare slice", "return pixels[:, top : top + size, left : left + size]", ()),
    wrong(
        "cut to the photo",
        "return pixels[:, max(top, 0) : top + size, max(left, 0) : left + size]",
        "only the part inside",
    ),
    *[
        wrong(
            label,
            f"""
            out = torch.full((3, size, size), {grey})
            h, w = pixels.shape[1:]
            a, b, c, d = max(top, 0), min(top + size, h), max(left, 0), min(left + size, w)
            out[:, {rows}, {columns}] = pixels[:, a:b, c:d]
            return out
            """,
            must,
        )
        for label, grey, rows, columns, must in (
            ("black", "0.0", "a - top : b - top", "c - left : d - left", "black"),
            ("in the corner", "0.5", ": b - a", ": d - c", "upper left of your patch"),
            (
                "in the corner down",
                "0.5",
                ": b - a",
                "c - left : d - left",
                "at the top of your patch",
            ),
            (
                "in the corner across",
                "0.5",
                "a - top : b - top",
                ": d - c",
                "at the left of your patch",
            ),
            ("grey of bytes", "128.0", "a - top : b - top", "c - left : d - left", "128"),
        )
    ],
    wrong(
        "mean of the photo",
        """
        out = torch.full((3, size, size), pixels.mean().item())
        h, w = pixels.shape[1:]
        a, b, c, d = max(top, 0), min(top + size, h), max(left, 0), min(left + size, w)
        out[:, a - top : b - top, c - left : d - left] = pixels[:, a:b, c:d]
        return out
        """,
        "mean brightness",
    ),
    wrong(
        "the whole slice into the canvas",
        """
        out = torch.full((3, size, size), 0.5)
        out[:, :, :] = pixels[:, top : top + size, left : left + size]
        return out
        """,
        "Right on",
        "reached",
    ),
    wrong(
        "painted into the photo",
        """
        h, w = pixels.shape[1:]
        out = torch.full((3, size, size), 0.5)
        a, b, c, d = max(top, 0), min(top + size, h), max(left, 0), min(left + size, w)
        out[:, a - top : b - top, c - left : d - left] = pixels[:, a:b, c:d]
        pixels[:, a:b, c:d] = 0
        return out
        """,
        "`pixels`",
    ),
)

TOP_PATCHES = answers(
    "top_patches",
    "activations, channel, k",
    right(
        "unravel_index",
        """
        maps = activations[:, channel]
        values, places = maps.flatten(1).max(1)
        order = values.argsort(descending=True, stable=True)[:k]
        rows, columns = torch.unravel_index(places[order], maps.shape[1:])
        return order, torch.stack([rows, columns], 1), values[order]
        """,
    ),
    right(
        "a list and NumPy",
        """
        import numpy as np
        a = activations[:, channel].numpy()
        best = [np.unravel_index(m.argmax(), m.shape) for m in a]
        top = np.array([m.max() for m in a])
        order = np.argsort(-top, kind="stable")[:k]
        return [order, np.array(best)[order], top[order]]
        """,
    ),
    wrong(
        "the last of equal units",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        places = maps.shape[1] - 1 - maps.flip(1).argmax(1)
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = places[photos]
        return photos[:k], torch.stack([places // w, places % w], 1)[:k], values[:k]
        """,
        "the last one",
    ),
    wrong(
        "all units at once",
        """
        n, c, h, w = activations.shape
        values, at = activations[:, channel].flatten().topk(k)
        photo, place = at // (h * w), at % (h * w)
        return photo, torch.stack([place // w, place % w], 1), values
        """,
        "several times",
    ),
    wrong(
        "divided by the height",
        """
        maps = activations[:, channel].flatten(1)
        h = activations.shape[2]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return photos[:k], torch.stack([places // h, places % h], 1)[:k], values[:k]
        """,
        "height",
    ),
    wrong(
        "places of the first photos",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)
        return photos[:k], torch.stack([places // w, places % w], 1)[:k], values[:k]
        """,
        "first k photos",
    ),
    wrong(
        "column before row",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return photos[:k], torch.stack([places % w, places // w], 1)[:k], values[:k]
        """,
        "(column, row)",
    ),
    wrong(
        "all photos",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return photos, torch.stack([places // w, places % w], 1), values
        """,
        "all photos",
    ),
    wrong(
        "positions transposed",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return photos[:k], torch.stack([places // w, places % w])[:, :k], values[:k]
        """,
        "positions",
    ),
    wrong(
        "no values",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return photos[:k], torch.stack([places // w, places % w], 1)[:k]
        """,
        "2",
        "stack expects",
    ),
    wrong(
        "over all channels",
        """
        maps = activations.amax(1).flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return photos[:k], torch.stack([places // w, places % w], 1)[:k], values[:k]
        """,
        "all channels",
    ),
    wrong(
        "positions as a tensor of pairs in a list",
        """
        maps = activations[:, channel].flatten(1)
        w = activations.shape[3]
        values, photos = maps.amax(1).sort(descending=True, stable=True)
        places = maps.argmax(1)[photos]
        return [(p, (q // w, q % w), v) for p, q, v in zip(photos[:k], places, values)]
        """,
        (),
        "stack expects",
    ),
)
# ------------------------------------------------------------------ 04 the last layer

NEAREST_NEIGHBOURS = answers(
    "nearest_neighbours",
    "x, k",
    right("cdist", "return (torch.cdist(x, x) + torch.eye(len(x)) * 1e6).argsort(1)[:, :k]"),
    right(
        "k + 1 and the first left out",
        """
        d = ((x[:, None] - x[None]) ** 2).sum(-1)
        return d.topk(k + 1, largest=False).indices[:, 1:]
        """,
    ),
    right(
        "loops",
        """
        rows = []
        for i in range(len(x)):
            d = [(x[i] - x[j]).norm().item() for j in range(len(x))]
            rows.append([j for j in sorted(range(len(x)), key=lambda j: d[j]) if j != i][:k])
        return torch.tensor(rows)
        """,
    ),
    wrong("itself", "return torch.cdist(x, x).argsort(1)[:, :k]", "its own first neighbour"),
    wrong("farthest", "return torch.cdist(x, x).topk(k).indices", "*farthest*"),
    wrong(
        "infinity and the largest",
        """
        d = torch.cdist(x, x)
        d.fill_diagonal_(float("inf"))
        return d.topk(k).indices
        """,
        "infinity on the diagonal",
    ),
    wrong(
        "both results of topk",
        """
        s = (x**2).sum(1)
        d = s[:, None] + s - 2 * x @ x.T
        d.fill_diagonal_(float("inf"))
        return d.topk(k, largest=False)
        """,
        "two things",
    ),
    wrong(
        "the middle term once",
        """
        s = (x**2).sum(1)
        d = s[:, None] + s[None] - x @ x.T
        d.fill_diagonal_(float("inf"))
        return d.topk(k, largest=False).indices
        """,
        "counts twice",
    ),
    wrong(
        "dot product",
        """
        d = x @ x.T
        d.fill_diagonal_(-float("inf"))
        return d.topk(k).indices
        """,
        "dot product",
    ),
    wrong(
        "down the columns",
        """
        d = torch.cdist(x, x)
        d.fill_diagonal_(float("inf"))
        return d.topk(k, dim=0, largest=False).indices
        """,
        "order",
    ),
    wrong(
        "distances",
        """
        d = torch.cdist(x, x)
        d.fill_diagonal_(float("inf"))
        return d.topk(k, largest=False).values
        """,
        "*who*",
    ),
    wrong(
        "matrix product without transpose", "return (x @ x).topk(k).indices", "cannot be multiplied"
    ),
    wrong(
        "floating-point row numbers",
        """
        d = torch.cdist(x, x)
        d.fill_diagonal_(float("inf"))
        return d.topk(k, largest=False).indices.float()
        """,
        "whole numbers",
    ),
)

PRECISION_AT_K = answers(
    "precision_at_k",
    "neighbours, labels",
    right(
        "a loop",
        """
        out = torch.zeros(len(labels))
        for i, row in enumerate(neighbours):
            for j in row:
                out[i] += labels[int(j)] == labels[i]
        return out / neighbours.shape[1]
        """,
    ),
    right(
        "labels as numbers",
        """
        known = sorted(set(labels))
        y = torch.tensor([known.index(one) for one in labels])
        return (y[neighbours] == y[:, None]).double().mean(1)
        """,
    ),
    wrong(
        "a list",
        """
        rows = enumerate(neighbours.tolist())
        return [sum(labels[j] == labels[i] for j in row) / len(row) for i, row in rows]
        """,
        "tensor",
    ),
    wrong(
        "counted",
        """
        rows = enumerate(neighbours.tolist())
        return torch.tensor([sum(labels[j] == labels[i] for j in row) for i, row in rows])
        """,
        "counted the right neighbours",
    ),
    wrong(
        "one number",
        """
        rows = enumerate(neighbours.tolist())
        hits = [[labels[j] == labels[i] for j in row] for i, row in rows]
        return torch.tensor(hits).float().mean()
        """,
        "averaged over the photos",
    ),
    wrong(
        "row numbers compared",
        """
        rows = enumerate(neighbours.tolist())
        return torch.tensor([[j == i for j in row] for i, row in rows]).float().mean(1)
        """,
        (),
    ),
    wrong(
        "a tensor as an index of a list of words",
        "return torch.tensor([[labels[j] == labels[i] for j in r] for i, r in neighbours])",
        (),
    ),
    wrong(
        "mean of truth values",
        """
        rows = enumerate(neighbours.tolist())
        return torch.tensor([[labels[j] == labels[i] for j in row] for i, row in rows]).mean(1)
        """,
        "needs decimals",
        "still reached",
    ),
    wrong(
        "first neighbour skipped",
        """
        rows = enumerate(neighbours.tolist())
        hits = [[labels[j] == labels[i] for j in row[1:]] for i, row in rows]
        return torch.tensor(hits).float().sum(1) / neighbours.shape[1]
        """,
        "skipped the first neighbour",
    ),
    wrong(
        "percent",
        """
        rows = enumerate(neighbours.tolist())
        hits = [[labels[j] == labels[i] for j in row] for i, row in rows]
        return torch.tensor(hits).float().mean(1) * 100
        """,
        "percentages",
    ),
)

SIGN = """
    big = p.gather(0, p.abs().argmax(0, keepdim=True))
    return p * torch.where(big < 0, -1.0, 1.0)
"""

PCA = answers(
    "pca",
    "x, components",
    right(
        "the covariance",
        """
        c = x - x.mean(0, keepdim=True)
        values, vectors = torch.linalg.eigh(c.T @ c / (len(x) - 1))
        p = c @ vectors[:, -components:].flip(1)
        sign = torch.where(p.amax(0) > -p.amin(0), 1.0, -1.0)
        return p * sign
        """,
    ),
    right(
        "NumPy",
        """
        import numpy as np
        c = x.numpy() - x.numpy().mean(0)
        u, s, vt = np.linalg.svd(c, full_matrices=False)
        p = c @ vt[:components].T
        return p * np.sign(p[np.abs(p).argmax(0), range(components)])
        """,
    ),
    *[
        wrong(
            label,
            f"c = {centred}\nu, s, v = torch.linalg.svd(c, full_matrices=False)\np = {p}\n"
            + textwrap.dedent(SIGN),
            must,
        )
        for label, centred, p, must in (
            ("not centred", "x", "(u * s)[:, :components]", "mean was not subtracted"),
            ("a scalar mean", "x - x.mean()", "(u * s)[:, :components]", "single number"),
            (
                "mean of each vector",
                "x - x.mean(1, keepdim=True)",
                "(u * s)[:, :components]",
                "mean of its own numbers",
            ),
            ("columns of V", "x - x.mean(0)", "c @ v[:, :components]", "columns where"),
            ("no singular values", "x - x.mean(0)", "u[:, :components]", "singular values"),
            ("smallest first", "x - x.mean(0)", "(u * s).flip(1)[:, :components]", "*smallest*"),
            ("directions", "x - x.mean(0)", "v[:components].T", "directions"),
            ("rows for columns", "x - x.mean(0)", "(u * s)[:components]", "shape"),
            ("absolute values", "x - x.mean(0)", "(u * s)[:, :components].abs()", "absolute"),
            (
                "projected without centring",
                "x - x.mean(0)",
                "x @ v[:components].T",
                "projected the vectors themselves",
            ),
        )
    ],
    wrong(
        "columns of eigh not turned round",
        """
        c = x - x.mean(0)
        _, vectors = torch.linalg.eigh(c.T @ c)
        p = c @ vectors[:, -components:]
        return torch.where(-p.amin(0) > p.amax(0), -p, p)
        """,
        "wrong order",
    ),
    wrong(
        "no rule for the signs",
        """
        c = x - x.mean(0)
        u, s, v = torch.linalg.svd(c, full_matrices=False)
        return (u * s)[:, :components]
        """,
        "sign",
    ),
    wrong(
        "full matrices",
        """
        c = x - x.mean(0)
        u, s, v = torch.linalg.svd(c)
        return (u * s)[:, :components]
        """,
        "do not fit together",
    ),
)

# ------------------------------------------------------------------ 05 occlusion


def sliding(rows, columns, square, paint="value", kept="model(copy)[0]", last=""):
    return f"""
    answers = []
    height, width = x.shape[2:]
    for top in {rows}:
        line = []
        for left in {columns}:
            copy = x.clone()
            copy[{square}] = {paint}
            line.append({kept})
        answers.append(torch.stack(line))
    return torch.stack(answers){last}
    """


DOWN = "range(0, height - window + 1, stride)"
ACROSS = "range(0, width - window + 1, stride)"
SQUARE = ":, :, top : top + window, left : left + window"

SLIDING_WINDOW = answers(
    "sliding_window",
    "model, x, window, stride, value",
    right("two loops", sliding(DOWN, ACROSS, SQUARE)),
    right(
        "one batch",
        """
        height, width = x.shape[2:]
        tops = range(0, height - window + 1, stride)
        lefts = range(0, width - window + 1, stride)
        batch = []
        for t in tops:
            for l in lefts:
                one = x[0].clone()
                one[:, t : t + window, l : l + window] = value
                batch.append(one)
        with torch.no_grad():
            return model(torch.stack(batch)).view(len(tops), len(lefts), -1)
        """,
    ),
    right(
        "a mask",
        """
        rows = (x.shape[2] - window) // stride + 1
        columns = (x.shape[3] - window) // stride + 1
        out = torch.zeros(rows, columns, model(x).shape[1])
        for i in range(rows):
            for j in range(columns):
                mask = torch.zeros_like(x)
                mask[..., i * stride : i * stride + window, j * stride : j * stride + window] = 1
                out[i, j] = model(x * (1 - mask) + value * mask)
        return out
        """,
    ),
    wrong("no copy", sliding(DOWN, ACROSS, SQUARE).replace("x.clone()", "x"), "pile up"),
    wrong(
        "the last left out",
        sliding("range(0, height - window, stride)", "range(0, width - window, stride)", SQUARE),
        "leave it out",
    ),
    wrong(
        "over the border",
        sliding("range(0, height, stride)", "range(0, width, stride)", SQUARE),
        "hang over the border",
    ),
    wrong(
        "steps of the window",
        sliding(DOWN.replace("stride", "window"), ACROSS.replace("stride", "window"), SQUARE),
        "instead of by the stride",
    ),
    wrong("zeros", sliding(DOWN, ACROSS, SQUARE, paint="0"), "zero, whatever colour"),
    wrong(
        "no batch axis taken off",
        sliding(DOWN, ACROSS, SQUARE, kept="model(copy)"),
        "batch axis",
    ),
    wrong(
        "probabilities",
        sliding(DOWN, ACROSS, SQUARE, kept="model(copy)[0].softmax(-1)"),
        "probabilities",
    ),
    wrong("classes first", sliding(DOWN, ACROSS, SQUARE, last=".permute(2, 0, 1)"), "classes"),
    wrong("transposed", sliding(DOWN, ACROSS, SQUARE, last=".transpose(0, 1)"), "exchanged"),
    wrong(
        "window and stride exchanged",
        sliding(
            "range(0, height - stride + 1, window)",
            "range(0, width - stride + 1, window)",
            SQUARE.replace("window", "stride"),
        ),
        "Window and stride are exchanged",
    ),
    wrong(
        "width for height",
        sliding(ACROSS, DOWN, SQUARE),
        "the rows by the image's width",
    ),
    wrong(
        "value without its axes",
        sliding(DOWN, ACROSS, SQUARE, paint="value.flatten()"),
        (),
        "reached",
    ),
    wrong(
        "a list of lists",
        """
        out = []
        for top in range(0, x.shape[2] - window + 1, stride):
            row = []
            for left in range(0, x.shape[3] - window + 1, stride):
                copy = x.clone()
                copy[:, :, top : top + window, left : left + window] = value
                row.append(model(copy)[0])
            out.append(row)
        return out
        """,
        "tensor",
    ),
)

DROP = answers(
    "drop",
    "before, after, target, probability",
    right(
        "an if and an else",
        """
        if probability == True:
            return torch.softmax(before, 0)[target] - torch.softmax(after, dim=2)[:, :, target]
        else:
            return before[target] - after[:, :, target]
        """,
    ),
    right(
        "is True",
        """
        if probability is True:
            before, after = torch.softmax(before, -1), torch.softmax(after, -1)
        return (before - after)[..., target]
        """,
    ),
    right(
        "a loop",
        """
        out = torch.zeros(after.shape[:2])
        f = (lambda s: s.softmax(-1)) if probability else (lambda s: s)
        for i in range(after.shape[0]):
            for j in range(after.shape[1]):
                out[i, j] = f(before)[target] - f(after[i, j])[target]
        return out
        """,
    ),
    *[
        wrong(
            label,
            f"""
            if probability:
                before, after = {both}
            return {result}
            """,
            must,
        )
        for label, both, result, must in (
            (
                "softmax over axis 0",
                "before.softmax(0), after.softmax(0)",
                "before[target] - after[..., target]",
                "first axis, which holds rows",
            ),
            (
                "softmax over axis 1",
                "before.softmax(0), after.softmax(1)",
                "before[target] - after[..., target]",
                "second axis",
            ),
            (
                "only before",
                "before.softmax(-1), after",
                "before[target] - after[..., target]",
                "only `before`",
            ),
            (
                "only after",
                "before, after.softmax(-1)",
                "before[target] - after[..., target]",
                "only `after`",
            ),
            (
                "after minus before",
                "before.softmax(-1), after.softmax(-1)",
                "after[..., target] - before[target]",
                "wrong way round",
            ),
            (
                "sigmoid",
                "before.sigmoid(), after.sigmoid()",
                "before[target] - after[..., target]",
                "sigmoid",
            ),
            (
                "all classes",
                "before.softmax(-1), after.softmax(-1)",
                "before - after",
                "all classes",
            ),
            (
                "the first axis for the classes",
                "before.softmax(-1), after.softmax(-1)",
                "before[target] - after[target]",
                (),
            ),
            (
                "share of what was there",
                "before.softmax(-1), after.softmax(-1)",
                "(before[target] - after[..., target]) / before[target]",
                "divided by the value before",
            ),
            (
                "softmax twice",
                "before.softmax(-1).softmax(-1), after.softmax(-1).softmax(-1)",
                "before[target] - after[..., target]",
                "twice",
            ),
        )
    ],
    wrong(
        "softmax of the difference",
        """
        gap = before - after
        return (gap.softmax(-1) if probability else gap)[..., target]
        """,
        "*difference* of the scores",
    ),
    wrong(
        "the other way round",
        """
        if not probability:
            before, after = before.softmax(-1), after.softmax(-1)
        return before[target] - after[..., target]
        """,
        "the other way round",
    ),
    wrong("no softmax at all", "return before[target] - after[..., target]", "softmax is missing"),
    wrong(
        "class chosen first",
        """
        b, a = before[target], after[..., target]
        return b.softmax(0) - a.softmax(-1) if probability else b - a
        """,
        "before the softmax",
    ),
    wrong(
        "only with probabilities",
        """
        if probability:
            return before.softmax(-1)[target] - after.softmax(-1)[..., target]
        """,
        "on scores",
        "Every value",
    ),
)


def pixels(start="zeros", finish="total / count.clamp(min=1)", place="i * stride", size="window"):
    a, b = place, place.replace("i", "j", 1)
    return f"""
    total, count = torch.zeros(height, width), torch.{start}(height, width)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            total[{a} : {a} + {size}, {b} : {b} + {size}] += values[i, j]
            count[{a} : {a} + {size}, {b} : {b} + {size}] += 1
    return {finish}
    """


TO_PIXELS = answers(
    "to_pixels",
    "values, window, stride, height, width",
    right("two maps", pixels()),
    right("a small number", pixels(finish="total / (count + 1e-9)")),
    right("NaN to zero", pixels(finish="torch.nan_to_num(total / count)")),
    right("where", pixels(finish="torch.where(count > 0, total / count, 0)")),
    right(
        "transposed convolution",
        """
        F = torch.nn.functional
        one = torch.ones(1, 1, window, window)
        both = torch.stack([values, torch.ones_like(values)])[:, None]
        total, count = F.conv_transpose2d(both, one, stride=stride)[:, 0]
        out = torch.zeros(height, width)
        out[: total.shape[0], : total.shape[1]] = total / count.clamp(min=1)
        return out
        """,
    ),
    wrong("the count starts at one", pixels("ones", "total / count"), "begins at 1"),
    wrong("one more", pixels(finish="total / (count + 1)"), "begins at 1"),
    wrong("sum", pixels(finish="total"), "added up"),
    wrong("zero divided by zero", pixels(finish="total / count"), "NaN", "logarithm in"),
    wrong("not times the stride", pixels(place="i"), "one pixel apart"),
    wrong("one pixel more", pixels(size="window + 1"), "too large"),
    wrong("divided by all squares", pixels(finish="total / values.numel()"), "all squares"),
    wrong("divided by the largest count", pixels(finish="total / count.max()"), "same number"),
    wrong("squares of the stride's size", pixels(size="stride"), "cell of the stride's size"),
    wrong(
        "stretched",
        """
        F = torch.nn.functional
        return F.interpolate(values[None, None], size=(height, width))[0, 0]
        """,
        "stretched the grid",
    ),
    wrong(
        "the last one wins",
        """
        out = torch.zeros(height, width)
        for i in range(values.shape[0]):
            for j in range(values.shape[1]):
                a, b = i * stride, j * stride
                out[a : a + window, b : b + window] = values[i, j]
        return out
        """,
        "overwrites",
    ),
    wrong(
        "averaged one after the other",
        """
        out = torch.full((height, width), float("nan"))
        for i in range(values.shape[0]):
            for j in range(values.shape[1]):
                part = out[i * stride :, j * stride :][:window, :window]
                part[:] = torch.where(part.isnan(), values[i, j], (part + values[i, j]) / 2)
        return out.nan_to_num(0)
        """,
        "weigh most",
    ),
    wrong("width before height", pixels().replace("(height, width)", "(width, height)"), ()),
)

# ------------------------------------------------------------------ 06 saliency


def gradient(score="scores[torch.arange(len(x)), classes].sum()", finish="g.abs().amax(1)"):
    return f"""
    x = x.detach().clone().requires_grad_()
    scores = model(x)
    g = torch.autograd.grad({score}, x)[0]
    x = x.detach()
    return {finish}
    """


ALL = "scores[:, classes].sum()"

SALIENCY_MAP = answers(
    "saliency_map",
    "model, x, classes",
    right("gather", gradient("scores.gather(1, classes[:, None]).sum()")),
    right(
        "grad_outputs",
        """
        x = x.detach().clone().requires_grad_()
        chosen = model(x)[range(len(x)), classes]
        return torch.autograd.grad(chosen, x, torch.ones(len(x)))[0].abs().amax(1)
        """,
    ),
    right("one-hot", gradient("(scores * torch.eye(scores.shape[1])[classes]).sum()")),
    right("the diagonal", gradient("scores[:, classes].diagonal().sum()")),
    right("values of max", gradient(finish="g.abs().max(dim=1).values")),
    right("the larger of both ends", gradient(finish="torch.maximum(g.amax(1), -g.amin(1))")),
    right(
        "jacobian",
        """
        f = lambda v: model(v)[range(len(v)), classes].sum()
        return torch.autograd.functional.jacobian(f, x).abs().amax(1)
        """,
    ),
    wrong("all classes of the batch", gradient(ALL), "`[:, classes]`"),
    wrong("mean over all pairs", gradient("scores[:, classes].mean()"), "averaged over all"),
    wrong("mean", gradient("scores[range(len(x)), classes].mean()"), "number of images"),
    wrong("max of scores", gradient("scores.max()"), "largest score of the whole batch"),
    wrong("cross entropy", gradient("torch.nn.functional.cross_entropy(scores, classes)"), "loss"),
    wrong("softmax", gradient("scores.softmax(1)[range(len(x)), classes].sum()"), "softmax"),
    wrong("no abs", gradient(finish="g.amax(1)"), "absolute value is missing"),
    wrong("both of max", gradient(finish="g.abs().max(dim=1)"), "two things"),
    wrong("negative cut off", gradient(finish="g.relu().amax(1)"), "cut the negative"),
    wrong(
        "colour axis kept", gradient(finish="g.abs().amax(1, keepdim=True)"), "axis of length one"
    ),
    wrong("over the images", gradient(finish="g.abs().amax(0)"), ()),
    wrong("rows of the scores", gradient("scores[classes].sum()"), "There is no index"),
    wrong(
        "the input asks for no gradient",
        """
        scores = model(x)
        return torch.autograd.grad(scores[range(len(x)), classes].sum(), x)[0].abs().amax(1)
        """,
        "before the forward pass",
    ),
    wrong(
        "backward and no return",
        """
        x = x.detach().requires_grad_()
        model(x)[range(len(x)), classes].sum().backward()
        x.grad.abs().amax(1)
        """,
        "`return`",
    ),
    wrong(
        "the gradient is a tuple",
        """
        x = x.detach().requires_grad_()
        s = model(x)[range(len(x)), classes].sum()
        return torch.autograd.grad(s, x).abs().amax(1)
        """,
        ("tuple", "`[0]`"),
    ),
    wrong(
        "gradients add up on the caller's images",
        """
        x.requires_grad_()
        model(x)[range(len(x)), classes].sum().backward()
        return x.grad.abs().amax(1)
        """,
        "second call",
    ),
)

GRADIENT_TIMES_INPUT = answers(
    "gradient_times_input",
    "model, x, classes",
    right("product and sum", gradient(finish="(g * x).sum(1)")),
    right("einsum", gradient(finish="torch.einsum('nchw,nchw->nhw', g, x)")),
    right("colour by colour", gradient(finish="sum(g[:, c] * x[:, c] for c in range(3))")),
    right("NumPy", gradient(finish="(g.numpy() * x.numpy()).sum(axis=1)")),
    wrong("all classes of the batch", gradient(ALL, "(g * x).sum(1)"), "`[:, classes]`"),
    wrong("abs", gradient(finish="(g * x).sum(1).abs()"), "signs are lost"),
    wrong("no sum", gradient(finish="g * x"), "one map for each colour"),
    wrong("mean", gradient(finish="(g * x).mean(1)"), "averaged over the three colours"),
    wrong("max", gradient(finish="(g * x).max(dim=1)"), "two things"),
    wrong("no input", gradient(finish="g.sum(1)"), "without multiplying by the image"),
    wrong(
        "saliency times x",
        gradient(finish="(g.abs().amax(1, keepdim=True) * x).sum(1)"),
        "saliency map",
    ),
    wrong("map times images", gradient(finish="g.sum(1) * x"), "do not fit together"),
    wrong("cut off", gradient(finish="(g * x).sum(1).relu()"), "cut off"),
    wrong("axis kept", gradient(finish="(g * x).sum(1, keepdim=True)"), "axis of length one"),
    wrong("one number an image", gradient(finish="(g * x).sum((1, 2, 3))"), "shape"),
    wrong("matrix product", gradient(finish="(g @ x.mT).sum(1)"), ()),
)


def noisy(inside, before="total = 0", after="return total / len(noise)", over="one in noise"):
    return f"""
    {before}
    for {over}:
        noisy = ({inside}).detach().requires_grad_()
        s = model(noisy)[torch.arange(len(x)), classes].sum()
        total = total + torch.autograd.grad(s, noisy)[0].abs().amax(1)
    {after}
    """


SMOOTHGRAD = answers(
    "smoothgrad",
    "model, x, classes, noise",
    right("a loop", noisy("x + one")),
    right(
        "one large batch",
        """
        t, n = noise.shape[:2]
        v = (x[None] + noise).flatten(0, 1).requires_grad_()
        s = model(v)[torch.arange(t * n), classes.repeat(t)].sum()
        return torch.autograd.grad(s, v)[0].abs().amax(1).view(t, n, *x.shape[2:]).mean(0)
        """,
    ),
    right(
        "with the saliency map of exercise 1",
        "return torch.stack([saliency_map(model, x + one, classes) for one in noise]).mean(0)",
    ),
    wrong("own noise", noisy("x + 0.15 * torch.randn_like(x)"), "`noise`", "Every value"),
    wrong(
        "own noise of the image's range",
        noisy("x + torch.randn(x.shape) * (x.max() - x.min()) * 0.1"),
        "`noise`",
        "Every value",
    ),
    wrong("no noise", noisy("x"), "clean image"),
    wrong("only the noise", noisy("one"), "only saw the noise"),
    wrong("sum", noisy("x + one", after="return total"), "added up the maps"),
    wrong(
        "divided by the images", noisy("x + one", after="return total / len(x)"), "number of images"
    ),
    wrong("noise subtracted", noisy("x - one"), "subtracted"),
    wrong(
        "noise piles up",
        noisy("x", over="one in noise").replace("noisy = (x)", "x = x + one; noisy = x"),
        "adds up",
    ),
    wrong("the last sample left out", noisy("x + one", over="one in noise[:-1]"), ()),
    wrong(
        "the last map only",
        noisy("x + one", after="return total").replace("total + ", ""),
        "last sample",
    ),
    wrong(
        "mean of the noise",
        """
        v = (x + noise.mean(0)).detach().requires_grad_()
        s = model(v)[torch.arange(len(x)), classes].sum()
        return torch.autograd.grad(s, v)[0].abs().amax(1)
        """,
        "averaged the noisy images",
    ),
    wrong(
        "mean of the gradients",
        noisy("x + one", after="return (total / len(noise)).abs().amax(1)").replace(
            "[0].abs().amax(1)\n", "[0]\n"
        ),
        "averaged the gradients",
    ),
    wrong(
        "classes repeated one by one",
        """
        t, n = noise.shape[:2]
        v = (x[None] + noise).flatten(0, 1).requires_grad_()
        s = model(v)[torch.arange(t * n), classes.repeat_interleave(t)].sum()
        return torch.autograd.grad(s, v)[0].abs().amax(1).view(t, n, *x.shape[2:]).mean(0)
        """,
        "different orders",
    ),
    wrong(
        "all classes of the batch",
        noisy("x + one").replace("torch.arange(len(x))", ":"),
        "`[:, classes]`",
    ),
    wrong("returns inside the loop", noisy("x + one", after="    return total / len(noise)"), ()),
    wrong(
        "a list of maps",
        noisy("x + one", "total = []", "return total").replace("total = total + ", "total += "),
        (),
    ),
)

# ------------------------------------------------------------------ 07 guided backpropagation

DECONVNET_RELU = answers(
    "deconvnet_relu",
    "x, gradient",
    right("relu", "return torch.relu(gradient)"),
    right("a mask", "return gradient * (gradient > 0)"),
    right("where", "return torch.where(gradient > 0, gradient, 0)"),
    right("maximum", "import numpy as np\nreturn np.maximum(gradient.numpy(), 0)"),
    wrong("guided", "return gradient.relu() * (x > 0)", "guided rule"),
    wrong("backpropagation", "return gradient * (x > 0)", "ordinary backpropagation"),
    wrong("the input", "return torch.relu(x)", "forward input"),
    wrong("absolute", "return gradient.abs()", "size"),
    wrong("only the positive ones", "return gradient[gradient > 0]", "in one row"),
    wrong("the mask", "return (gradient > 0).float()", "mask"),
    wrong("in place", "gradient[gradient < 0] = 0\nreturn gradient", "`gradient`", "Every value"),
    wrong("clamp with a maximum", "return gradient.clamp(max=0)", "negative gradients"),
    wrong("nothing stopped", "return gradient", "nothing is stopped"),
)

GUIDED_RELU = answers(
    "guided_relu",
    "x, gradient",
    right("two masks", "return gradient * (x > 0).float() * (gradient > 0).float()"),
    right("and", "return torch.where((x > 0) & (gradient > 0), gradient, torch.zeros(()))"),
    right("relu of the gradient", "return torch.relu(gradient) * (x > 0)"),
    right("sign of the activation", "return torch.sign(torch.relu(x)) * torch.relu(gradient)"),
    right("a copy changed", "g = gradient.clone()\ng[x <= 0] = 0\ng[g < 0] = 0\nreturn g"),
    right("logical_and", "return gradient * torch.logical_and(x > 0, gradient > 0)"),
    wrong("one product", "return gradient * (x * gradient > 0)", "*both* are negative"),
    wrong("relu of the product", "return torch.relu(x * gradient)", "product"),
    wrong("activation times gradient", "return torch.relu(x) * gradient", "activation"),
    wrong("both activations", "return torch.relu(x) * torch.relu(gradient)", "activation"),
    wrong("no brackets", "return gradient * (x > 0 & gradient > 0)", "brackets", "reached"),
    wrong(
        "the word and",
        "return gradient * (x > 0 and gradient > 0)",
        "each comparison in brackets",
        "reached",
    ),
    wrong("zero is on", "return gradient * (x >= 0) * (gradient > 0)", "exactly zero"),
    wrong("deconvnet", "return torch.relu(gradient)", "deconvnet"),
    wrong("backpropagation", "return gradient * (x > 0)", "ordinary backpropagation"),
    wrong("the mask", "return ((x > 0) & (gradient > 0)).float()", "mask"),
    wrong("a mask of truth values", "return (x > 0) & (gradient > 0)", "mask"),
    wrong("or", "return gradient * ((x > 0) | (gradient > 0))", "*or*"),
    wrong("the input goes on", "return x * (x > 0) * (gradient > 0)", "*gradient*"),
    wrong("only those that pass", "return gradient[(x > 0) & (gradient > 0)]", "in one row"),
    wrong("in place", "gradient[(x <= 0) | (gradient <= 0)] = 0\nreturn gradient", "`gradient`"),
)


def hooked(
    hook,
    relus="[m for m in model.modules() if isinstance(m, torch.nn.ReLU)]",
    score="model(x)[range(len(x)), classes].sum()",
    remove="h.remove()",
    end="g",
):
    return f"""
    hook = {hook}
    handles = [m.register_full_backward_hook(hook) for m in {relus}]
    x = x.detach().clone().requires_grad_()
    g = torch.autograd.grad({score}, x)[0]
    for h in handles:
        {remove}
    return {end}
    """


CUT = "lambda m, below, above: (below[0].clamp(min=0),)"

GUIDED_GRADIENT = answers(
    "guided_gradient",
    "model, x, classes",
    right("hooks", hooked(CUT)),
    right("the rule written out", hooked("lambda m, b, a: (b[0] * (b[0] > 0),)")),
    right("a tensor is handed back", hooked("lambda m, b, a: (torch.relu(b[0]),)")),
    wrong("hooks stay", hooked(CUT, remove="pass"), "hook"),
    wrong("hooks return nothing", hooked("lambda m, b, a: None"), "plain gradient"),
    wrong("deconvnet", hooked("lambda m, b, a: (a[0].clamp(min=0),)"), "deconvnet"),
    wrong(
        "every module",
        hooked(
            "lambda m, b, a: tuple(v.clamp(min=0) for v in b)",
            relus="[m for m in model.modules() if not list(m.children())]",
        ),
        "convolutions",
    ),
    wrong("cut at the pixels too", hooked(CUT, end="g.clamp(min=0)"), "first convolution"),
    wrong("a map", hooked(CUT, end="g.abs().amax(1)"), "made a map"),
    wrong("absolute at the pixels", hooked(CUT, end="g.abs()"), "absolute values at the pixels"),
    wrong("the mask goes on", hooked("lambda m, b, a: ((b[0] > 0).float(),)"), "mask"),
    wrong(
        "all classes of the batch",
        hooked(CUT, score="model(x)[:, classes].sum()"),
        "`[:, classes]`",
    ),
    wrong(
        "the layers of a plain network only",
        hooked(CUT, relus="[model.features.relu1, model.features.relu2]"),
        "Right on",
    ),
    wrong(
        "children only",
        hooked(CUT, relus="[m for m in model.children() if isinstance(m, torch.nn.ReLU)]"),
        "plain gradient",
    ),
    wrong(
        "gradient and no hooks",
        gradient(finish="g.clamp(min=0)"),
        "cut its negative values at the pixels",
    ),
    wrong("the rule called for its inputs", hooked("lambda m, b, a: torch.relu(b)"), "TypeError"),
)

# ------------------------------------------------------------------ 08 class activation maps

CLASS_ACTIVATION_MAP = answers(
    "class_activation_map",
    "maps, weight, classes",
    right("einsum", "return torch.einsum('nk,nkhw->nhw', weight[classes], maps)"),
    right(
        "a loop",
        """
        pairs = zip(classes, maps)
        return torch.stack([(weight[c] @ m.flatten(1)).view(m.shape[1:]) for c, m in pairs])
        """,
    ),
    right(
        "tensordot and the diagonal",
        "return torch.tensordot(weight, maps, ([1], [1]))[classes, range(len(maps))]",
    ),
    right(
        "all classes, then each one's",
        "return torch.einsum('ck,nkhw->nchw', weight, maps)[range(len(maps)), classes]",
    ),
    right(
        "batched matrix product",
        "return (weight[classes][:, None] @ maps.flatten(2)).view(len(maps), *maps.shape[2:])",
    ),
    right(
        "NumPy",
        """
        import numpy as np
        return np.einsum("nk,nkhw->nhw", weight[classes].numpy(), maps.numpy())
        """,
    ),
    wrong(
        "columns",
        "w = weight[:, classes].T\nreturn (w[:, :, None, None] * maps).sum(1)",
        "*columns*",
    ),
    wrong(
        "columns of the transpose",
        "return torch.einsum('nk,nkhw->nhw', weight.T[classes], maps)",
        "*columns*",
    ),
    wrong(
        "columns as they are",
        "return (weight[:, classes][:, :, None, None] * maps).sum(1)",
        "*columns*",
    ),
    wrong(
        "all classes of the batch",
        "return torch.einsum('ck,nkhw->nchw', weight, maps)[:, classes]",
        "`[:, classes]`",
    ),
    wrong(
        "first class",
        "return torch.einsum('k,nkhw->nhw', weight[classes[0]], maps)",
        "`classes[0]`",
    ),
    wrong(
        "ReLU",
        "return torch.einsum('nk,nkhw->nhw', weight[classes], maps).relu()",
        "cut the negative values off",
    ),
    wrong(
        "mean",
        "return (weight[classes][:, :, None, None] * maps).mean(1)",
        "averaged over the channels",
    ),
    wrong("no sum", "return weight[classes][:, :, None, None] * maps", "one map for each channel"),
    wrong(
        "sum of everything",
        "return (weight[classes][:, :, None, None] * maps).sum((1, 2, 3))",
        "shape",
    ),
    wrong("without the two axes", "return (weight[classes] * maps).sum(1)", "do not fit together"),
    wrong(
        "axis kept",
        "return (weight[classes][:, :, None, None] * maps).sum(1, keepdim=True)",
        "length 1",
    ),
    wrong(
        "normalised",
        """
        m = torch.einsum("nk,nkhw->nhw", weight[classes], maps)
        return m / m.amax((1, 2), keepdim=True)
        """,
        "scaled",
    ),
    wrong(
        "largest channel",
        "return (weight[classes][:, :, None, None] * maps).amax(1)",
        "largest of the weighted",
    ),
    wrong("no weights", "return maps.sum(1)", "without their weights"),
)


def grads(
    finish,
    score="model(v)[range(len(x)), classes].sum()",
    take="with layers.capture(model, layer) as seen:",
):
    return f"""
    v = x.detach().clone().requires_grad_()
    {take}
        s = {score}
    A = seen[layer]
    g = torch.autograd.grad(s, A)[0]
    A = A.detach()
    return {finish}
    """


RIGHT_MAP = "(g.mean((2, 3), keepdim=True) * A).sum(1).relu()"

GRAD_CAM = answers(
    "grad_cam",
    "model, x, classes, layer",
    right("capture", grads(RIGHT_MAP)),
    right("einsum", grads("torch.einsum('nk,nkhw->nhw', g.mean((2, 3)), A).clamp(min=0)")),
    right(
        "an own hook",
        """
        kept = []
        h = layers.find(model, layer).register_forward_hook(lambda m, i, o: kept.append(o))
        v = x.detach().clone().requires_grad_()
        s = model(v)
        h.remove()
        total = s.gather(1, classes[:, None]).sum()
        alpha = torch.autograd.grad(total, kept[0])[0].mean((2, 3), keepdim=True)
        return torch.relu((alpha * kept[0]).sum(1)).detach().numpy()
        """,
    ),
    right(
        "a hook at the layer by its name",
        """
        kept = []
        h = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o))
        s = model(x.detach().clone().requires_grad_())[range(len(x)), classes].sum()
        h.remove()
        alpha = torch.autograd.grad(s, kept[0])[0].mean((2, 3), keepdim=True)
        return (alpha * kept[0]).sum(1).relu()
        """,
    ),
    wrong(
        "no ReLU", grads("(g.mean((2, 3), keepdim=True) * A).sum(1)"), "ReLU at the end is missing"
    ),
    wrong(
        "sum for mean",
        grads("(g.sum((2, 3), keepdim=True) * A).sum(1).relu()"),
        "alpha is its mean",
    ),
    wrong("no mean", grads("(g * A).sum(1).relu()"), "each place by its own gradient"),
    wrong("mean over the channels", grads("(g.mean(1, keepdim=True) * A).sum(1).relu()"), ()),
    wrong(
        "mean of the batch",
        grads("(g.mean((0, 2, 3), keepdim=True) * A).sum(1).relu()"),
        "over the images",
    ),
    wrong(
        "ReLU of alpha",
        grads("(g.mean((2, 3), keepdim=True).relu() * A).sum(1).relu()"),
        "negative alphas",
    ),
    wrong("axes forgotten", grads("(g.mean((2, 3)) * A).sum(1).relu()"), "do not fit together"),
    wrong(
        "axis kept",
        grads("(g.mean((2, 3), keepdim=True) * A).sum(1, keepdim=True).relu()"),
        "length 1",
    ),
    wrong(
        "all classes of the batch", grads(RIGHT_MAP, "model(v)[:, classes].sum()"), "`[:, classes]`"
    ),
    wrong(
        "mean of the scores",
        grads(RIGHT_MAP, "model(v)[range(len(x)), classes].mean()"),
        "number of images",
    ),
    wrong("top class", grads(RIGHT_MAP, "model(v).max(1).values.sum()"), "most probable"),
    wrong(
        "scaled",
        grads(f"(m := {RIGHT_MAP}) / m.amax((1, 2), keepdim=True)"),
        "divided by its maximum",
    ),
    wrong(
        "frozen and no gradient asked",
        grads(RIGHT_MAP).replace(".requires_grad_()", ""),
        "before the forward pass",
    ),
    wrong("the gradient of the pixels", grads(RIGHT_MAP).replace("grad(s, A)", "grad(s, v)"), ()),
    wrong(
        "the other sign", grads("(-(g.mean((2, 3), keepdim=True) * A).sum(1)).relu()"), "*against*"
    ),
)


def boxed(
    largest,
    mask="heat > share * heat.max()",
    structure="",
    ends="rows.min(), columns.min(), rows.max() + 1, columns.max() + 1",
):
    return f"""
    import numpy as np
    from scipy import ndimage
    labels, n = ndimage.label(({mask}).numpy(){structure})
    parts = [labels == i for i in range(1, n + 1)]
    values = heat.numpy()
    part = {largest}
    rows, columns = np.nonzero(part)
    return tuple(int(v) for v in ({ends}))
    """


MOST = "max(parts, key=lambda p: p.sum())"

LARGEST_BOX = answers(
    "largest_box",
    "heat, share",
    right("scipy", boxed(MOST)),
    right(
        "flood fill",
        """
        hot = (heat > share * heat.max()).tolist()
        best, seen = [], set()
        for i in range(len(hot)):
            for j in range(len(hot[0])):
                todo, part = [(i, j)], []
                while todo:
                    a, b = todo.pop()
                    inside = 0 <= a < len(hot) and 0 <= b < len(hot[0])
                    if inside and hot[a][b] and (a, b) not in seen:
                        seen.add((a, b))
                        part.append((a, b))
                        todo += [(a + 1, b), (a - 1, b), (a, b + 1), (a, b - 1)]
                best = max(best, part, key=len)
        rows, columns = zip(*best)
        return min(rows), min(columns), max(rows) + 1, max(columns) + 1
        """,
    ),
    right(
        "OpenCV",
        """
        import cv2
        mask = (heat > share * heat.max()).numpy().astype("uint8")
        n, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        i = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
        x, y, w, h = stats[i, :4]
        return [y, x, y + h, x + w]
        """,
    ),
    wrong("corners connect", boxed(MOST, structure=", np.ones((3, 3))"), "Corners do not connect"),
    wrong("the first", boxed("parts[0]"), "first patch"),
    wrong("the last", boxed("parts[-1]"), "last patch"),
    wrong("the heaviest", boxed("max(parts, key=lambda p: values[p].sum())"), "sum of values"),
    wrong("the hottest", boxed("max(parts, key=lambda p: values[p].max())"), "highest value"),
    wrong("the widest", boxed("max(parts, key=lambda p: np.ptp(np.nonzero(p)[1]))"), "widest"),
    wrong("the highest", boxed("max(parts, key=lambda p: np.ptp(np.nonzero(p)[0]))"), "most rows"),
    wrong(
        "the largest box",
        boxed("max(parts, key=lambda p: np.prod([np.ptp(a) + 1 for a in np.nonzero(p)]))"),
        "*boxes*",
    ),
    wrong("everything", boxed("labels > 0"), "everything above the threshold"),
    wrong("the background", boxed("labels == np.bincount(labels.ravel()).argmax()"), "*not* hot"),
    wrong(
        "one short",
        boxed(MOST, ends="rows.min(), columns.min(), rows.max(), columns.max()"),
        "last row and column",
    ),
    wrong(
        "x before y",
        boxed(MOST, ends="columns.min(), rows.min(), columns.max() + 1, rows.max() + 1"),
        "exchanged",
    ),
    wrong(
        "a size",
        boxed(MOST, ends="rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1"),
        "height and width",
    ),
    wrong("share itself", boxed(MOST, mask="heat > share"), "`share` itself"),
    wrong(
        "two corners",
        boxed(MOST).replace("return tuple(int(v) for v in", "t, a, b, r =").replace("+ 1))", "+ 1)")
        + "return (int(t), int(a)), (int(b), int(r))\n",
        "two points",
    ),
    wrong("three numbers", boxed(MOST, ends="rows.min(), columns.min(), rows.max() + 1"), "3"),
    wrong(
        "a tensor of four",
        boxed(MOST).replace("return tuple(int(v) for v in", "return torch.tensor("),
        (),
    ),
)

ANSWERS = [
    *(TOP_CLASSES + CAPTURE_LAYER + TILE_FILTERS + RESPONSE_MAP + SIMILARITY),
    *(SPARSITY + STRONGEST_CHANNELS + FIELD_ARITHMETIC + FIELD_PATCH + TOP_PATCHES),
    *(NEAREST_NEIGHBOURS + PRECISION_AT_K + PCA + SLIDING_WINDOW + DROP + TO_PIXELS),
    *(SALIENCY_MAP + GRADIENT_TIMES_INPUT + SMOOTHGRAD),
    *(DECONVNET_RELU + GUIDED_RELU + GUIDED_GRADIENT),
    *(CLASS_ACTIVATION_MAP + GRAD_CAM + LARGEST_BOX),
]
