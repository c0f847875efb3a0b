"""Answers that are right whatever they do besides, and answers that are no data at all."""

GRADIENT = """
def saliency_map(model, x, classes):
    x = x.detach().clone().requires_grad_()
    scores = model(x)[range(len(x)), classes]
    return torch.autograd.grad(scores.sum(), x)[0].abs().amax(1){}
"""

ANSWERS = [
    ("saliency_map", "plain", GRADIENT.format(""), "right", (), ()),
    ("saliency_map", "doubles", GRADIENT.format(".double()"), "right", (), ()),
    ("saliency_map", "NumPy", GRADIENT.format(".numpy()"), "right", (), ()),
    (
        "saliency_map",
        "prints and warns",
        """
        import warnings

        def saliency_map(model, x, classes):
            print(x.shape)
            warnings.warn("slow")
            x = x.detach().clone().requires_grad_()
            model(x)[range(len(x)), classes].sum().backward()
            return x.grad.abs().amax(1)
        """,
        "right",
        (),
        (),
    ),
    (
        "saliency_map",
        "a gradient stays on the input",
        """
        def saliency_map(model, x, classes):
            x.requires_grad_()
            x.grad = None
            model(x)[range(len(x)), classes].sum().backward()
            return x.grad.abs().amax(1)
        """,
        "right",
        "a gradient stays behind on `x`",
        (),
    ),
    (
        "saliency_map",
        "a generator",
        "def saliency_map(model, x, classes):\n    return (image for image in x)",
        "wrong",
        "type `generator`",
        (),
    ),
    (
        "saliency_map",
        "the stub",
        "def saliency_map(model, x, classes):\n    raise NotImplementedError()",
        "not attempted",
        (),
        (),
    ),
]
