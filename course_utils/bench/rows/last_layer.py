"""Lecture 04: t-SNE of features of the last layer."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tvf

from course_utils import images, last_layer, layers, models
from course_utils.bench.row import Contender, Finding, Row
from course_utils.common.batches import in_chunks

PHOTOS, PERPLEXITY = 200, 30
NEIGHBOURS = 10
WORSE = 0.03  # of trustworthiness, still as good


def features() -> np.ndarray:
    """(400,512): SqueezeNet's last feature maps, their means, for 200 photos whole and nearer."""
    model = models.load("squeezenet1_1", "cpu")
    near = []
    for picture in images.photos()[:PHOTOS]:
        pixels = tvf.resize(picture.pixels(), [384], antialias=True)
        near.append(tvf.center_crop(pixels, [model.crop, model.crop]).clamp(0, 1))
    whole = model.preprocess(images.photos()[:PHOTOS])
    x = torch.cat([whole, model.normalize(torch.stack(near))])
    maps = in_chunks(lambda some: layers.activations(model, some, "fire9").mean((2, 3)), x)
    return maps.double().numpy()


def course_tsne(x: np.ndarray) -> Callable[[], np.ndarray]:
    """The course's helper, its principal components included; openTSNE does the work."""
    vectors = torch.from_numpy(x)
    return lambda: last_layer.tsne(vectors, PERPLEXITY).numpy()


def sklearn_tsne(x: np.ndarray) -> Callable[[], np.ndarray]:
    """scikit-learn's with its defaults."""
    from sklearn.manifold import TSNE

    return lambda: TSNE(perplexity=PERPLEXITY, random_state=0).fit_transform(x)


def as_trustworthy(x: np.ndarray, results: Mapping[str, np.ndarray]) -> dict[str, Finding]:
    """Two good maps need not look alike; neighbours on the map should be neighbours in `x`."""
    from sklearn.manifold import trustworthiness

    scores = {n: trustworthiness(x, map_, n_neighbors=NEIGHBOURS) for n, map_ in results.items()}
    ours = next(iter(scores.values()))
    found = {}
    for name, score in scores.items():
        agrees = bool(ours >= score - WORSE)
        said = f"trustworthiness {score:.3f}"
        found[name] = Finding(said if agrees else f"DISAGREES: {said}", agrees)
    return found


ROWS = [
    Row(
        "tsne",
        f"t-SNE of {2 * PHOTOS} photos, 512 features each",
        features,
        (
            Contender("the course", course_tsne, "openTSNE"),
            Contender("scikit-learn, its defaults", sklearn_tsne, "scikit-learn"),
        ),
        as_trustworthy,
        note=f"Perplexity {PERPLEXITY}. The course uses openTSNE, which takes 750 steps; "
        "scikit-learn takes up to 1000. Two maps may look different and be equally good, so what "
        f"is compared is trustworthiness with {NEIGHBOURS} neighbours (0-1): whether neighbours on "
        "the map are neighbours among the features. No pass through a network is timed here, so "
        "there is no floor.",
    ),
]
