"""Linear heads on frozen networks: which of the course's cut-outs is on the photo?"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils import images, layers, models
from course_utils.attention.stored import stored_arrays
from course_utils.common import composites, gate
from course_utils.common.batches import in_chunks
from course_utils.models import Network

LAST = {
    "vit_small_dinov2_saliency": "norm",
    "squeezenet1_1": "fire9",
    "efficientnet_lite0": "head",
}
"""The layer whose output the heads read: [CLS] of tokens, the mean over the places of maps."""


class WithHead(nn.Module):
    """A frozen network's last vector, and a linear classifier on it: images -> logits (N,C).

    Args:
        model: a network of the zoo.
        layer: its output is tokens (N,T,D), of which [CLS] is read, or maps (N,D,h,w), of which the
            mean is.
        weight, bias: of the classifier, (C,D) and (C,).
    """

    def __init__(self, model: Network, layer: str, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.model, self.layer = model, layer
        # Without initial weights no random numbers are drawn.
        self.head = nn.utils.skip_init(nn.Linear, *weight.T.shape, device=weight.device)
        self.head.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N,C) of normalised images (N,3,H,W)."""
        return self.head(last_vector(self.model, x, self.layer))


def last_vector(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """[CLS] of a layer's tokens (N,T,D), or the mean of its maps (N,D,h,w): (N,D), with graph.

    Raises:
        ValueError: a network that is in training mode or not float32; a layer that is not there, or
            whose output is neither.
    """
    with layers.capture(model, layer) as seen:
        gate.run(model, x, layer)
    output = layers.taken(seen, layer)
    if output.ndim == 3:
        return output[:, 0]
    return gate.check_units(output, layer, x).flatten(2).mean(2)


def vectors(model: Network, pixels: Tensor, layer: str | None = None) -> Tensor:
    """The last vectors (N,D) of photos (N,3,H,W) in 0-1, without gradient, on the CPU."""
    where = layer or _known(model.name)
    with torch.no_grad():
        return in_chunks(
            lambda p: last_vector(model, gate.normalised(model, p), where).cpu(), pixels, size=8
        )


def _known(name: str) -> str:
    if name not in LAST:
        raise ValueError(f"name={name!r}; accepted: {', '.join(LAST)}")
    return LAST[name]


# ------------------------------------------------------------------ scenes, fitted and not fitted


def scenes(
    part: str = "test", each: int = 2, seed: int = 0, side: int = 224
) -> composites.Composites:
    """Every cut-out on photos of buildings and power plants, at random sizes and places.

    Args:
        part: "fit" or "test": half of the background photos each, so that no background that a head
            was fitted on is in its test.
        each: scenes of every cut-out.
        seed: the same seed gives the same scenes.
        side: of the pictures.

    Returns:
        46 * each scenes, the cut-outs in turn; classes count the cut-outs, "confidence" is 1.

    Raises:
        ValueError: another part.
    """
    if part not in ("fit", "test"):
        raise ValueError(f"part={part!r}; accepted: fit, test")
    draw, objects = random.Random(f"{part} {seed}"), images.cutouts()
    behind = (images.photos("building") + images.photos("energy"))[part == "test" :: 2]
    found = [
        (*composites.scene(o, b, side, draw), (o.name, b.name))
        for _ in range(each)
        for o, b in ((o, draw.choice(behind)) for o in objects)
    ]
    pixels, masks, names = zip(*found, strict=True)
    classes = torch.arange(len(objects), device="cpu").repeat(each)
    return composites.Composites(
        torch.stack(pixels), torch.stack(masks), classes, torch.ones(len(found)), list(names)
    )


# ------------------------------------------------------------------ the heads


def fit_weights(features: Tensor, targets: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
    """Logistic regression on standardised vectors (N,D): weight (C,D) and bias (C,) for raw ones.

    Raises:
        ValueError: fewer than three classes, or another number of targets than vectors.
    """
    wanted = torch.as_tensor(targets, device="cpu")
    if len(wanted) != len(features) or len(wanted.unique()) < 3:
        raise ValueError(
            f"targets: {len(wanted)} of {len(wanted.unique())} classes for {len(features)} "
            "vectors; accepted: one each, three classes or more"
        )
    mean, std = features.mean(0), features.std(0) + 1e-3
    from sklearn.linear_model import (
        LogisticRegression,  # most lectures need none of it, and it takes half a second
    )

    fitted = LogisticRegression(C=0.1, max_iter=500).fit(
        ((features - mean) / std).cpu().numpy(), wanted.numpy()
    )
    weight = torch.from_numpy(fitted.coef_).to(features) / std
    return weight, torch.from_numpy(fitted.intercept_).to(features) - weight @ mean


def _put_on(network: Network, weight: Tensor, bias: Tensor, labels: Sequence[str]) -> Network:
    """A network of the zoo under a linear head, as a network of the zoo: it names `labels`."""
    module = WithHead(
        network, _known(network.name), weight.to(network.device), bias.to(network.device)
    )
    paths = {name: f"model.module.{path}" for name, path in network.layers.items()}
    return Network(
        module,
        f"{network.name} with head",
        network.mean.flatten().tolist(),
        network.std.flatten().tolist(),
        labels=labels,
        layers={n: p for n, p in paths.items() if n != "head"} | {"head": "head"},
        resize=network.resize,
        crop=network.crop,
    ).to(network.device)


def with_head(
    name: str = "vit_small_dinov2_saliency", device: str | torch.device | None = None
) -> Network:
    """A network of the zoo that names the course's cut-outs, by a head fitted on its last vector.

    The heads are logistic regressions on `scenes("fit", each=10)`, stored in `data/attention.npz`.

    Args:
        name: one of `LAST`.
        device: as for `models.load`.

    Returns:
        A classifier of 46 classes, the names of `images.cutouts`.

    Raises:
        ValueError: another network.
    """
    _known(name)
    kept = stored_arrays()
    weight, bias = (torch.from_numpy(kept[f"{name}.{part}"]).float() for part in ("weight", "bias"))
    labels = [c.name.replace("_", " ") for c in images.cutouts()]
    return _put_on(models.load(name, device), weight, bias, labels)


def decided(
    model: Network,
    found: composites.Composites,
    with_object: float = 0.5,
    without: float = 0.1,
) -> composites.Composites:
    """Those scenes in which the network names the object, and would not on the bare background.

    Args:
        model: of `with_head`.
        found: of `scenes`.
        with_object, without: the least probability of the object's name on the scene, and the most
            on the background alone.

    Returns:
        The scenes that are left, "confidence" filled in, on the CPU.
    """
    behind = {b: images.square(images.photo(b).pixels(), model.crop) for _, b in found.names}

    def probabilities(pixels: Tensor) -> Tensor:
        return gate.logits(model, gate.normalised(model, pixels)).softmax(1).cpu()

    with torch.no_grad():
        seen = in_chunks(probabilities, found.pixels, size=8)
        bare = dict(
            zip(
                behind,
                in_chunks(probabilities, torch.stack([*behind.values()]), size=8),
                strict=True,
            )
        )
    own = seen.gather(1, found.classes[:, None])[:, 0]
    alone = torch.stack([bare[b][c] for (_, b), c in zip(found.names, found.classes, strict=True)])
    good = (seen.argmax(1) == found.classes) & (own > with_object) & (alone < without)
    names = [name for name, g in zip(found.names, good.tolist(), strict=True) if g]
    parts = (found.pixels, found.masks, found.classes, own)
    return composites.Composites(*(part[good] for part in parts), names=names)
