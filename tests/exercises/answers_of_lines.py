"""Answers whose own lines, or whose type, say what is wrong with them; see `test_answers`."""

ANSWERS = [
    (
        "gram",
        "the append forgotten",
        """
        def gram(features):
            out = []
            for one in features:
                flat = one.flatten(1)
                flat @ flat.T / one.numel()
            return out
        """,
        "wrong",
        ("a list or tuple of length 0", "kept nowhere"),
        "no effect",
    ),
    (
        "drop",
        "a softmax that is kept nowhere",
        """
        def drop(before, after, target, probability):
            if probability:
                before.softmax(-1)
                after.softmax(-1)
            return before[target] - after[..., target]
        """,
        "wrong",
        "The line `before.softmax(-1)` computes something that is kept nowhere.",
        (),
    ),
    (
        "inversion_loss",
        "arguments in another order",
        """
        def inversion_loss(target, phi, x, weight):
            across, down = x.diff(dim=-1).square().sum(), x.diff(dim=-2).square().sum()
            return (phi - target).square().sum() / target.square().sum() + weight * (across + down)
        """,
        "wrong",
        "Your line with `def` has the arguments in another order. They come as `phi`",
        "You divided",
    ),
    (
        "content_loss",
        "a comma at the end",
        """
        def content_loss(features, target):
            return (features - target).square().sum(),
        """,
        "wrong",
        ("a list or tuple of 1", "A comma at the end of a line makes a tuple."),
        "list of 1 tensor",
    ),
    (
        "content_loss",
        "cut off by data",
        """
        def content_loss(features, target):
            return (features.data - target).square().sum()
        """,
        "wrong",
        "`.data`",
        (),
    ),
    (
        "largest_box",
        "numbers with a point",
        """
        def largest_box(heat, share):
            import numpy as np
            from scipy import ndimage
            found, count = ndimage.label((heat > share * heat.max()).numpy())
            sizes = [(found == k).sum() for k in range(1, count + 1)]
            r, c = np.nonzero(found == 1 + int(np.argmax(sizes)))
            return float(r.min()), float(c.min()), float(r.max()) + 1, float(c.max()) + 1
        """,
        "wrong",
        "of a type with a decimal point",
        (),
    ),
    (
        "to_pixels",
        "a recursion that is only deep",
        """
        def to_pixels(values, window, stride, height, width):
            def deep(n):
                return 0 if n == 0 else deep(n - 1)
            deep(5000)
            return torch.zeros(height, width)
        """,
        "wrong",
        "It calls itself more often than Python allows",
        "calls itself without end.",
    ),
    (
        "gram",
        "on a graphics card",
        """
        def gram(features):
            flat = features.flatten(2).cuda()
            return flat @ flat.mT / features[0].numel()
        """,
        "wrong",
        "`features.device`",
        "x.device",
    ),
    (
        "deconvnet_relu",
        "Python's own max",
        """
        def deconvnet_relu(x, gradient):
            return max(gradient, 0)
        """,
        "wrong",
        ("Python's own `max`", "`clamp`"),
        "`and`",
    ),
    (
        "drop",
        "doubles from now on",
        """
        def drop(before, after, target, probability):
            torch.set_default_dtype(torch.float64)
            if probability:
                before, after = before.softmax(-1), after.softmax(-1)
            return before[target] - after[..., target]
        """,
        "right",
        (),
        (),
    ),
]
