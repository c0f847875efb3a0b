"""Draws the README's pictures, from free photos or from none: `python docs/pictures/make.py`."""

import io
from pathlib import Path

import torch
from PIL import Image

from course_utils import ascent, images, models, saliency, show, style

HERE = Path(__file__).parent
FREE = ("red_panda", "koala", "scarlet_macaw", "lemur", "polar_bear")


def save(figure: show.Figure, name: str) -> None:
    """Writes a figure as a small JPEG file beside this script."""
    with Image.open(io.BytesIO(figure.png(dpi=110))) as drawn:
        drawn.convert("RGB").save(HERE / name, quality=85, optimize=True)


def where_it_looks() -> show.Figure:
    """Photos, their saliency maps, and SmoothGrad laid over them.

    EfficientNet-Lite0: SqueezeNet recognises none of these animals under noise of 15 %, so its mean
    slope there would explain nothing (lecture 06).
    """
    net = models.load("efficientnet_lite0")
    x = net.preprocess([images.photo(name) for name in FREE])
    noise = saliency.gaussian_noise(x, samples=40)
    with torch.no_grad():
        classes = net(x).argmax(1)
        noisy = net((x + noise[:5]).flatten(0, 1)).softmax(1).view(5, len(x), -1).mean(0)
    survived = noisy.gather(1, classes[:, None])[:, 0]
    print("mean probability under the noise:", [f"{p:.2f}" for p in survived])
    if survived.min() < 0.3:
        raise SystemExit(
            "The network must recognise the noisy copies, or the map explains nothing."
        )
    pixels = net.denormalize(x)
    plain = saliency.saliency_map(net, x, classes)
    smooth = saliency.smoothgrad(net, x, classes, noise)
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


def what_it_likes(net: models.Network) -> show.Figure:
    """Eight of the ten classes that lecture 10 paints, by its own settings."""
    ten = ["goldfish", "cock", "volcano", "castle", "mosque", "pirate", "jellyfish", "toucan"]
    ten += ["peacock", "monarch"]
    painted = ascent.paint(ascent.score(net, ten), len(ten), smooth=2000.0, seed=1)
    return the_clearest(dict(zip(ten, painted.image, strict=True)))


def the_clearest(painted: dict[str, torch.Tensor]) -> show.Figure:
    """Those that a person recognises too: the castle and the toucan are left out."""
    kept = {name: one for name, one in painted.items() if name not in ("castle", "toucan")}
    titles = ["pirate ship" if name == "pirate" else name for name in kept]
    large = ascent.enlarged(torch.stack(list(kept.values())))
    return show.images(large, titles, columns=4, height=2.3)


def a_castle_is_painted() -> show.Figure:
    """The large picture of lecture 15, which `data/rebuild_style_pictures.py` paints."""
    large = style.stored("large")
    photo, painting = images.photo(large.facts["photo"]), images.painting(large.facts["painting"])
    return show.rows([[photo, painting, large.pixels]], [""], "", height=300)


def _answer(net: models.Network, x: torch.Tensor) -> str:
    with torch.no_grad():
        probability, label = net(x).softmax(1)[0].max(0)
    return f"{net.labels[label]} {probability:.2f}"


if __name__ == "__main__":
    squeezenet = models.load("squeezenet1_1", "cpu")
    save(where_it_looks(), "where_it_looks.jpg")
    save(a_panda_becomes_a_koala(squeezenet), "panda_to_koala.jpg")
    save(what_it_likes(squeezenet), "what_it_likes.jpg")
    save(a_castle_is_painted(), "a_castle_is_painted.jpg")
