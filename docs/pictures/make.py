"""Draws the README's two pictures, from free photos only: `python docs/pictures/make.py`."""

import io
from pathlib import Path

import torch
from PIL import Image

from course_utils import images, models, saliency, show

HERE = Path(__file__).parent
FREE = ("red_panda", "koala", "scarlet_macaw", "lemur", "polar_bear")


def save(figure: show.Figure, name: str) -> None:
    """Writes a figure as a small JPEG file beside this script."""
    with Image.open(io.BytesIO(figure.png(dpi=110))) as drawn:
        drawn.convert("RGB").save(HERE / name, quality=85, optimize=True)


def where_it_looks(net: models.Network) -> show.Figure:
    """Photos, their saliency maps, and SmoothGrad laid over them."""
    x = net.preprocess([images.photo(name) for name in FREE])
    with torch.no_grad():
        classes = net(x).argmax(1)
    pixels = net.denormalize(x)
    plain = saliency.saliency_map(net, x, classes)
    smooth = saliency.smoothgrad(net, x, classes, saliency.gaussian_noise(x, samples=40))
    rows = [
        *pixels,
        *(show.colours(one) for one in plain),
        *(show.overlay(p, one) for p, one in zip(pixels, smooth, strict=True)),
    ]
    return show.images(rows, [net.labels[c] for c in classes], columns=len(FREE), height=1.9)


def a_panda_becomes_a_koala(net: models.Network) -> show.Figure:
    """Twenty small steps uphill on another class's score."""
    x = net.preprocess(images.photo("panda"))
    climbed = x
    for _ in range(20):
        slope = saliency.input_gradient(net, climbed, "koala")
        climbed = climbed + 0.6 * slope / slope.norm()
    change = net.denormalize(climbed) - net.denormalize(x)
    return show.images(
        [net.denormalize(x), 0.5 + 10 * change, net.denormalize(climbed)],
        [_answer(net, x), "ten times the difference", _answer(net, climbed)],
        height=2.6,
    )


def _answer(net: models.Network, x: torch.Tensor) -> str:
    with torch.no_grad():
        probability, label = net(x).softmax(1)[0].max(0)
    return f"{net.labels[label]} {probability:.2f}"


if __name__ == "__main__":
    squeezenet = models.load("squeezenet1_1", "cpu")
    save(where_it_looks(squeezenet), "where_it_looks.jpg")
    save(a_panda_becomes_a_koala(squeezenet), "panda_to_koala.jpg")
