"""Notebooks to submit, as `course build` makes them, and limits short enough for tests."""

import json

import numpy as np

from course_utils.grading.trusted import sandbox

EXERCISES = ("saliency_map", "gradient_times_input", "smoothgrad")
LIMITS = sandbox.Limits(call=20, total=120, memory=1 << 30, together=2 << 30, processes=40)

GRADIENT = """
def gradient(model, x, classes):
    x = x.detach().clone().requires_grad_()
    score = model(x).gather(1, classes[:, None]).sum()
    return torch.autograd.grad(score, x)[0]
"""
RIGHT = {
    "saliency_map": """
def saliency_map(model, x, classes):
    return gradient(model, x, classes).abs().amax(1)
""",
    "gradient_times_input": """
def gradient_times_input(model, x, classes):
    return (x * gradient(model, x, classes)).sum(1)
""",
    "smoothgrad": """
def smoothgrad(model, x, classes, noise):
    total = 0
    for one in noise:
        total = total + gradient(model, x + one, classes).abs().amax(1)
    return total / len(noise)
""",
}


def as_read(*cells):
    """Cells as the judge sends them to a worker: JSON in an array of bytes."""
    text = json.dumps({"cells": list(cells), "lecture": []})
    return np.frombuffer(text.encode(), dtype=np.uint8)


def code(source, cell_id, metadata=None):
    """A code cell of a notebook file."""
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": metadata or {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def notebook(answers, added=()):
    """A lecture-06 notebook as `course build` makes it, with these answers and cells."""
    cells = [code("import torch\nfrom course_utils import models", "06-imports")]
    cells += [code(source, f"added-{i}") for i, source in enumerate([GRADIENT, *added])]
    for name in EXERCISES:
        stub = f"def {name}(model, x, classes):\n    raise NotImplementedError()"
        flags = {"grade": False, "solution": True, "locked": False, "task": False}
        meta = {"nbgrader": {"grade_id": name, "schema_version": 3, **flags}}
        cells.append(code(answers.get(name, stub).strip(), name, meta))
        cells.append(code(f'check("{name}", {name})', f"{name}-check"))
    course = {"lecture": "06_saliency", "version": "0" * 12}
    return {"cells": cells, "metadata": {"course": course}, "nbformat": 4, "nbformat_minor": 5}
