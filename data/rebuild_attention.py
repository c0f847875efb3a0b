"""Makes `data/attention.json` and `data/attention.npz` again: lecture 17's slow studies.

    python data/rebuild_attention.py [--out FOLDER] [STUDY ...]

About an hour on an idle laptop for all; a study alone is put in place of its old numbers. Another
machine rounds otherwise, in the third digit. `heads` and `vectors` write the arrays, on which the
other studies stand.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from course_utils import (
    attention,
    images,
    inversion,
    last_layer,
    layers,
    models,
    style,
    trust,
)
from course_utils.common import batches, composites, paths, writing
from course_utils.trust.table import METHODS, Method

VIT = "vit_small_dinov2_saliency"
NETWORKS = tuple(attention.LAST)
EXPLANATIONS = {
    "last attention": Method(attention.last_attention, 1),
    "rollout": Method(attention.rolled_out, 1),
    "class attention": Method(attention.class_attention, 2),
    "saliency": METHODS["saliency"],
    "noise": METHODS["noise"],
    "centre": METHODS["centre"],
}
EXCHANGED = (0.1, 0.3)
SIDES = (112, 56, 28)
SHARES = (0.0, 0.5, 0.75, 0.9)
PART_LAYERS = (
    ("squeezenet1_1", "fire9"),
    ("efficientnet_lite0", "block5"),
    ("efficientnet_lite0", "block6"),
)


def rounded(values: Tensor, digits: int = 3) -> list:
    """As numbers that a file may hold."""
    return [round(v, digits) for v in values.flatten().tolist()]


# ------------------------------------------------------------------ arrays


def heads() -> dict[str, np.ndarray]:
    """A linear head for each network, on ten scenes of each cut-out."""
    fit, found = attention.scenes("fit", each=10), {}
    for name in NETWORKS:
        seen = attention.vectors(models.load(name, "cpu"), fit.pixels)
        weight, bias = attention.fit_weights(seen, fit.classes)
        found |= {f"{name}.weight": weight.half().numpy(), f"{name}.bias": bias.half().numpy()}
    return found


def vectors() -> dict[str, np.ndarray]:
    """Of all photos the [CLS] tokens, and the means of their patches' tokens."""
    net = models.load(VIT, "cpu")

    def both(some: Tensor) -> Tensor:
        with torch.no_grad():
            tokens = net(net.normalize(some))
        return torch.stack([tokens[:, 0], tokens[:, 1:].mean(1)], 1)

    cls, mean = batches.in_chunks(both, net.crop_pixels(images.photos()), size=4).unbind(1)
    return {"cls": cls.half().numpy(), "mean": mean.half().numpy()}


# ------------------------------------------------------------------ numbers


def correct(model: models.Network, pixels: Tensor, classes: Tensor) -> Tensor:
    """(N,) bool: whether the class has the highest score."""
    with torch.no_grad():
        given = batches.in_chunks(lambda p: model(model.normalize(p)).argmax(1).cpu(), pixels)
    return given == classes


def decided(number: int) -> tuple[models.Network, composites.Composites]:
    """The transformer with its head, and scenes that it names by the object.

    It names the object in each of them, and would not on the bare background.
    """
    model = attention.with_head(VIT, "cpu")
    some = attention.scenes("test", each=1, seed=1)
    some = some.picked([*range(0, 46, 3), *range(1, 46, 3)])
    return model, attention.decided(model, some).first(number)


def explanations(number: int = 20) -> dict:
    """What of the name's probability is left when a map's first pixels go, or come back."""
    model, scenes = decided(number)
    x, classes, table = model.normalize(scenes.pixels), scenes.classes, {}
    for name, method in EXPLANATIONS.items():
        maps = method.explain(model, x, classes).float()
        gone = trust.deletion_curve(model, x, maps, classes, EXCHANGED)
        back = trust.insertion_curve(model, x, maps, classes, EXCHANGED)
        table[name] = {"gone": [rounded(c) for c in gone], "back": [rounded(c) for c in back]}
        print(f"explanations: {name}", flush=True)
    objects = [name for name, _ in scenes.names]
    return {
        **{"scenes": len(scenes), "objects": objects, "whole": rounded(scenes.confidence)},
        **{"shares": EXCHANGED, "methods": table},
    }


def forgetting(number: int = 8, networks: int = 3) -> dict:
    """Rank correlation of maps with those of networks that have forgotten their last blocks.

    For each scene, over `networks` random networks. "two of them": between two networks that have
    nothing in common, everything random in both. What two such maps share comes from the method.
    """
    model, scenes = decided(number)
    x, classes = model.normalize(scenes.pixels), scenes.classes
    last, *others = (f"block{i}" for i in range(12, 0, -1))
    steps = {"block 12": [last], "12 to 7": [last, *others[:5]], "12 to 1": [last, *others]}
    ways = {n: EXPLANATIONS[n] for n in ("last attention", "rollout", "class attention")}
    trained = {n: way.explain(model, x, classes).float() for n, way in ways.items()}
    found = {n: {step: torch.zeros(number) for step in steps} for n in ways}
    blank = {n: [] for n in ways}
    for seed in range(networks):
        for step, blocks in steps.items():
            forgetful = trust.randomised(model, ["head", *blocks], seed)
            for n, way in ways.items():
                maps = way.explain(forgetful, x, classes).float()
                found[n][step] += trust.rank_correlation(trained[n], maps) / networks
                if step == "12 to 1":
                    blank[n].append(maps)
    for n, maps in blank.items():
        pairs = [trust.rank_correlation(a, b) for a, b in itertools.combinations(maps, 2)]
        found[n]["two of them"] = torch.stack(pairs).mean(0)
    kept = {n: {step: rounded(v) for step, v in kinds.items()} for n, kinds in found.items()}
    return {"scenes": len(scenes), "networks": networks, "kept": kept}


def pieces(each: int = 1) -> dict:
    """Right names after pictures are cut into squares and put together in another order."""
    test, found = attention.scenes("test", each=each, seed=2), {}
    for name in NETWORKS:
        model = attention.with_head(name, "cpu")
        found[name] = {"whole": rounded(correct(model, test.pixels, test.classes).float(), 0)}
        for side in SIDES:
            mixed = attention.shuffled(test.pixels, side, seed=side)
            found[name][str(side)] = rounded(correct(model, mixed, test.classes).float(), 0)
    return {"scenes": len(test), "objects": [o for o, _ in test.names], "right": found}


def scattered(each: int) -> tuple[composites.Composites, Tensor]:
    """Scenes, and the order (N,16,16) in which their patches go."""
    test, random = attention.scenes("test", each=each, seed=2), torch.Generator().manual_seed(0)
    order = torch.rand(len(test), 256, generator=random).argsort(1).argsort(1)
    return test, order.view(-1, 16, 16)


def missing(each: int = 1) -> dict:
    """Right names with random patches grey, and with them left out of the input altogether."""
    test, order = scattered(each)
    found = {f"{name}, grey": {} for name in NETWORKS} | {f"{VIT}, left out": {}}
    for name in NETWORKS:
        model = attention.with_head(name, "cpu")
        for share in SHARES:
            keep = order >= round(share * 256)
            grey = model.normalize(test.pixels)
            grey = torch.where(nnf.interpolate(keep[:, None].float(), 224) > 0, grey, 0)
            right = correct(model, model.denormalize(grey), test.classes)
            found[f"{name}, grey"][str(share)] = rounded(right.float(), 0)
            if name == VIT:
                given = batches.in_chunks(
                    lambda x, k, m=model: attention.kept_logits(m, x, k).argmax(1),
                    model.normalize(test.pixels),
                    keep,
                )
                found[f"{VIT}, left out"][str(share)] = rounded((given == test.classes).float(), 0)
    return {"scenes": len(test), "objects": [o for o, _ in test.names], "right": found}


def smoothed(each: int = 1) -> dict:
    """Right names with the half of `missing` gone, filled smoothly from what is left.

    A blurred picture of the patches that are left, divided by their equally blurred share: without
    the edges that grey squares have.
    """
    test, order = scattered(each)
    kept = nnf.interpolate((order >= 128)[:, None].float(), 224)
    blur = [91, 91], [12.0, 12.0]
    near = tvf.gaussian_blur(test.pixels * kept, *blur) / tvf.gaussian_blur(kept, *blur)
    filled = torch.where(kept > 0, test.pixels, near.clamp(0, 1))
    named = {n: correct(attention.with_head(n, "cpu"), filled, test.classes) for n in NETWORKS}
    return {"right": {name: rounded(right.float(), 0) for name, right in named.items()}}


def neighbours(k: int = 5) -> dict:
    """Precision@k over the photos' categories, photo by photo, for vectors of each network."""
    photos, net, kept = images.photos(), models.load(VIT, "cpu"), attention.stored_arrays()
    labels, pixels = [p.category for p in photos], net.crop_pixels(photos)
    kinds = {name: attention.vectors(models.load(name, "cpu"), pixels) for name in NETWORKS[1:]}
    kinds["[CLS]"] = torch.from_numpy(kept["cls"]).float()
    kinds["mean of the patches"] = torch.from_numpy(kept["mean"]).float()
    kinds["untrained transformer"] = attention.vectors(attention.untrained(net), pixels, "norm")
    kinds["pixels"] = last_layer.pixel_vectors(pixels)
    found = {}
    for name, x in kinds.items():
        near = last_layer.nearest_neighbours(last_layer.unit(x - x.mean(0)), k)
        found[name] = rounded(last_layer.precision_at_k(near, labels), 1)
    return {"k": k, "chance": round(last_layer.chance_precision(labels), 3), "precision": found}


def parts(side: int = 392) -> dict:
    """Which of all marked parts are found on every other animal, by whose maps.

    "to" is the animal that is searched, question by question: differences are resampled by it.
    """
    pixels, marked = attention.animals(side)
    net, kinds = models.load(VIT, "cpu"), {}
    x = net.normalize(pixels)
    for name, one in (("tokens, block9", net), ("untrained, block9", attention.untrained(net))):
        kinds[name] = torch.cat([attention.patch_maps(one, p[None], "block9") for p in x])
    for name, layer in PART_LAYERS:
        cnn = models.load(name, "cpu")
        kinds[f"{name}, {layer}"] = layers.activations(cnn, cnn.normalize(pixels), layer)
    kinds["pixels"] = nnf.pixel_unshuffle(x, 14)
    size = attention.grid(net, x)
    place = attention.as_maps(attention.transformer(net).positions(*size).detach(), size)
    kinds["place alone"] = place.expand(len(x), -1, -1, -1)
    hits = {name: attention.part_hits(maps, marked) for name, maps in kinds.items()}
    return {
        "to": [j for _, j, _ in hits["pixels"]],
        "hits": {name: [int(h) for h in found.values()] for name, found in hits.items()},
    }


SURFACES = (
    "zebra",
    "tiger",
    "rainbow_lorikeet",
    "strawberry",
    "corn",
    "broccoli",
    "iguana",
    "pineapple",
)
SHAPES = (
    "elephant",
    "horse",
    "dromedary",
    "ostrich",
    "rooster",
    "squirrel",
    "lionfish",
    "firetruck",
)


def surface(name: str, side: int = 160) -> Tensor:
    """A square from the middle of a cut-out, nothing but its surface: (3,side,side) in 0-1."""
    rgba = images.cutout(name)
    pixels, mask = images.composite(rgba, torch.full((3, 512, 512), 0.5), 512, 0.95)
    for size in range(320, 40, -8):  # the largest square that lies within the object
        inside = nnf.avg_pool2d(mask[None, None].float(), size, stride=4)[0, 0]
        if inside.max() > 0.995:
            top, left = (4 * n for n in divmod(inside.argmax().item(), inside.shape[1]))
            break
    part = pixels[:, top : top + size, left : left + size]
    return nnf.interpolate(part[None], side, mode="bicubic", antialias=True)[0].clamp(0, 1)


def conflicts(steps: int = 30, side: int = 160) -> tuple[dict, Image.Image]:
    """Whose name is given to the shape of one thing with the surface of another?

    Every shape gets two surfaces, by style transfer with the features of VGG-HED, which is none
    of the networks that are asked; only the object's pixels are changed. Returns also a sheet.
    """
    vgg, names = models.load("vgg16_hed", "cpu"), [c.name for c in images.cutouts()]
    behind = images.photos("building")[1]
    before, after, pairs = [], [], []
    for i, shape in enumerate(SHAPES):
        photo, mask = images.composite(images.cutout(shape), behind, side, 0.85)
        for j in range(2):
            other = SURFACES[(i + 3 * j) % len(SURFACES)]
            made = style.transfer(vgg, photo, surface(other), steps, size=side, progress=None)
            before.append(photo)
            after.append(torch.where(mask, made.pixels, photo))
            pairs.append([shape, other])
    found = {}
    for name in NETWORKS:
        model = attention.with_head(name, "cpu")
        with torch.no_grad():
            for when, pictures in (("before", before), ("after", after)):
                p = model(seen_at(model, pictures)).softmax(1)
                found[f"{name}, {when}"] = {
                    "named": [names[c] for c in p.argmax(1).tolist()],
                    "shape": rounded(given_to(p, [names.index(shape) for shape, _ in pairs])),
                    "surface": rounded(given_to(p, [names.index(other) for _, other in pairs])),
                }
    sheet = torch.cat([torch.cat(after[r::2], 2) for r in range(2)], 1)
    return {"pairs": pairs, "answers": found}, images.to_pil(sheet)


def seen_at(model: models.Network, pictures: list[Tensor]) -> Tensor:
    """Pictures of any one size as the network wants them: normalised, 224 pixels."""
    large = nnf.interpolate(torch.stack(pictures), 224, mode="bicubic", antialias=True)
    return model.normalize(large.clamp(0, 1))


def given_to(p: Tensor, classes: list[int]) -> Tensor:
    """The probability (N,) of one class for each picture."""
    return p.gather(1, torch.tensor(classes)[:, None])[:, 0]


LADDER = ("patch_embed", "block3", "block6", "block9", "block12")
SQUEEZE_LADDER = ("relu1", "fire3", "fire5", "fire7", "fire9")


def inversions(side: int = 112, steps: int = 30) -> tuple[dict, Image.Image]:
    """A photo from its tokens after each of some blocks, and from SqueezeNet's maps: PSNR, SSIM."""
    photo, found, rows = images.square(images.photo("red_panda").pixels(), side), {}, []
    for name, ladder in ((VIT, LADDER), ("squeezenet1_1", SQUEEZE_LADDER)):
        net, tiles = models.load(name, "cpu"), [photo]
        for layer in ladder:
            made = inversion.invert(net, photo, layer, steps=steps, progress=None).image
            kind = {
                "psnr": rounded(inversion.psnr(made, photo), 2)[0],
                "ssim": rounded(inversion.ssim(made, photo))[0],
            }
            found[f"{name}, {layer}"] = kind
            tiles.append(made[0].clamp(0, 1).cpu())
        rows.append(torch.cat(tiles, 2))
    return {"photo": "red_panda", "side": side, "results": found}, images.to_pil(torch.cat(rows, 1))


# ------------------------------------------------------------------ writing

ARRAYS = (heads, vectors)
STUDIES = (
    neighbours,
    parts,
    pieces,
    missing,
    smoothed,
    explanations,
    forgetting,
    inversions,
    conflicts,
)


def keep_arrays(folder: Path, new: dict[str, np.ndarray]) -> None:
    """Puts arrays beside those that are there."""
    path = folder / "attention.npz"
    old = dict(np.load(path)) if path.exists() else {}
    np.savez_compressed(path, **(old | new))


def keep_study(folder: Path, name: str, result: object) -> None:
    """Puts a study in place of its old numbers; its sheet beside it, if it has one."""
    if isinstance(result, tuple):
        result, sheet = result
        sheet.save(folder / f"attention_{name}.webp", quality=80, method=6)
    path = folder / "attention.json"
    studies = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    studies |= {"command": "python data/rebuild_attention.py", name: result}
    writing.replace(path, json.dumps(studies) + "\n")


if __name__ == "__main__":
    names = [f.__name__ for f in (*ARRAYS, *STUDIES)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=paths.data(), help="where the files go")
    parser.add_argument("study", nargs="*", default=names, help=", ".join(names))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for study in (*ARRAYS, *STUDIES):
        if study.__name__ in given.study:
            result = study()
            if study in ARRAYS:
                keep_arrays(given.out, result)
            else:
                keep_study(given.out, study.__name__, result)
            print(f"{study.__name__}: done", flush=True)
