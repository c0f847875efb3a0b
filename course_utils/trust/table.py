"""Lecture 09's table: every method of lectures 05 to 08 by every score of `trust`."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor
from tqdm.auto import tqdm

from course_utils import cam, guided, images, occlusion, saliency
from course_utils.common import composites, gate, paths, projection, writing
from course_utils.common.batches import in_chunks
from course_utils.models import Network
from course_utils.trust import checks, scores


@dataclass(frozen=True)
class Method:
    """A way to make maps, and what it costs.

    Attributes:
        explain: (network, x (N,3,H,W), classes (N,)) -> maps (N,H,W).
        passes: forward and backward passes for one image of 224 pixels; 0 for a map that never
            asks the network.
    """

    explain: Callable[[Network, Tensor, Tensor], Tensor]
    passes: int


LAST_MAPS = {"squeezenet1_1": "fire9", "efficientnet_lite0": "head"}
"""The layer with each network's last feature maps: where Grad-CAM is taken."""


def _smoothgrad(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    return saliency.smoothgrad(model, x, classes, saliency.gaussian_noise(x, samples=15))


def _occlusion(model: Network, x: Tensor, classes: Tensor, window: int = 32) -> Tensor:
    found, answered = [], None
    for one, c in zip(x.split(1), classes.tolist(), strict=True):
        if answered is None or not torch.equal(
            one, answered
        ):  # one image may come for many classes
            with torch.no_grad():
                before = gate.logits(model, one)[0]
            after = occlusion.occlusion_logits(model, one, window, window // 2)
            answered = one
        lost = occlusion.drop(before, after, c, probability=False)
        found.append(occlusion.to_pixels(lost, window, window // 2, *one.shape[2:]))
    return torch.stack(found).to(x.device)


def _by_rule(rule: str) -> Callable[[Network, Tensor, Tensor], Tensor]:
    """The saliency map with another rule for the ReLUs on the way back."""

    def explain(model: Network, x: Tensor, classes: Tensor) -> Tensor:
        return guided.class_gradient(model, x, classes, rule).abs().amax(1)

    return explain


def _cam(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    return cam.upsample(cam.cam(model, x, classes), tuple(x.shape[2:]))


def _grad_cam(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    coarse = cam.grad_cam(model, x, classes, _of(model, LAST_MAPS))
    return cam.upsample(coarse, tuple(x.shape[2:]))


def _guided_grad_cam(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    return cam.guided_grad_cam(model, x, classes, _of(model, LAST_MAPS)).abs().amax(1)


def _of(model: Network, known: dict[str, Any]) -> Any:
    """What is known of a network by its name."""
    name = gate.name_of(model)
    if name not in known:
        raise ValueError(f"model: {name}; accepted: {', '.join(known)}")
    return known[name]


def noise(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    """Random numbers, (N,H,W), the same for every image: a map that never asks the network."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(x.shape[2:], generator=generator, device="cpu").to(x).expand(len(x), -1, -1)


def edges(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    """The size of the brightness gradient, (N,H,W): a map that never asks the network."""
    grey = nnf.pad(x.detach().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    down, right = (grey.diff(dim=d) for d in (2, 3))
    return (down[..., 1:, 1:-1] ** 2 + right[..., 1:-1, 1:] ** 2).sum(1).sqrt()


def centre(model: Network, x: Tensor, classes: Tensor) -> Tensor:
    """A bell in the middle, (N,H,W): photographers put their object there."""
    rows, columns = (torch.linspace(-1, 1, n, device=x.device) for n in x.shape[2:])
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / 0.5).expand(len(x), -1, -1)


METHODS = {
    "occlusion": Method(_occlusion, 170),
    "saliency": Method(saliency.saliency_map, 2),
    "gradient x input": Method(saliency.gradient_times_input, 2),
    "SmoothGrad": Method(_smoothgrad, 30),
    "deconvnet": Method(_by_rule("deconvnet"), 2),
    "guided backprop": Method(_by_rule("guided"), 2),
    "CAM": Method(_cam, 1),
    "Grad-CAM": Method(_grad_cam, 2),
    "Guided Grad-CAM": Method(_guided_grad_cam, 4),
    "noise": Method(noise, 0),
    "edges": Method(edges, 0),
    "centre": Method(centre, 0),
}
"""The methods of lectures 05 to 08, and three maps that never look at the network."""

BASELINES = ("noise", "edges", "centre")
"""Those three."""


def confident_photos(
    model: Network, above: float = 0.8, pictures: Sequence[images.Picture] | None = None
) -> tuple[Tensor, Tensor, list[str]]:
    """Photos whose hand-checked label the network gives with confidence.

    Args:
        model: a network of the zoo with a classifier.
        above: the probability it must exceed.
        pictures: to choose from; those without a label are passed over. All photos by default.

    Returns:
        pixels (n,3,S,S) in 0-1, classes (n,) int64, names; on the CPU.

    Raises:
        ValueError: fewer than four such photos.
    """
    pictures = images.photos() if pictures is None else pictures
    pictures = [p for p in pictures if p.label_index is not None]
    gate.check_zoo(model)
    pixels = model.crop_pixels(pictures)
    with torch.no_grad():
        given = in_chunks(lambda p: gate.logits(model, model.normalize(p)).softmax(1).cpu(), pixels)
    classes = torch.tensor([p.label_index for p in pictures], device="cpu")
    sure = given.gather(1, classes[:, None])[:, 0] > above
    if sure.sum() < 4:
        raise ValueError(f"above={above}: {sure.sum()} photos; four different ones are needed")
    names = [p.name for p, s in zip(pictures, sure.tolist(), strict=True) if s]
    return pixels[sure.to(pixels.device)], classes[sure], names


def grids(pixels: Tensor, classes: Tensor, n: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Collages for the grid pointing game: four photos of four classes each.

    Args:
        pixels, classes: of `confident_photos`, (m,3,S,S) and (m,).
        n: how many collages.
        seed: the same seed gives the same collages.

    Returns:
        pixels (n,3,2S,2S) in 0-1, so that each photo keeps its size; classes (n,4), in reading
        order of the cells.

    Raises:
        ValueError: photos of fewer than four classes.
    """
    if len(set(classes.tolist())) < 4:
        raise ValueError(f"classes: {classes.tolist()}; accepted: four different ones or more")
    generator = torch.Generator().manual_seed(seed)
    found = []
    while len(found) < n:
        four = torch.randperm(len(pixels), generator=generator, device="cpu")[:4]
        if len(set(classes[four].tolist())) == 4:
            a, b, c, d = pixels[four.to(pixels.device)]
            whole = torch.cat([torch.cat([a, b], 2), torch.cat([c, d], 2)], 1)
            found.append((whole, classes[four]))
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True))


def scene_scores(
    model: Network,
    method: Method,
    pixels: Tensor,
    masks: Tensor,
    classes: Tensor,
    covered: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Tensor]:
    """What one method scores on composites of which it is known where the object is.

    Args:
        model: a network of the zoo.
        method: of `METHODS`, or your own.
        pixels, masks, classes: of `composites.recognised_composites`.
        covered: squares and drops of `covered_squares`, for infidelity; left out without them.

    Returns:
        "energy", "hit", "deletion", "insertion", "sparseness", "infidelity": (n,) each, on
        the CPU. Deletion and infidelity are better when small. Deletion and insertion are areas
        under p/p0, where p0 is the untouched picture's probability.
    """
    x = gate.normalised(model, pixels)
    classes = classes.to(x.device)
    maps = method.explain(model, x, classes).float()
    masks = masks.to(maps.device)
    curves = [
        curve(model, x, maps, classes, scores.EARLY)
        for curve in (scores.deletion_curve, scores.insertion_curve)
    ]
    whole = curves[0][:, :1]  # no pixel is gone yet
    found = {
        "energy": scores.energy_inside(maps, masks),
        "hit": scores.pointing_hit(maps, masks).float(),
        "deletion": scores.area(curves[0] / whole, scores.EARLY),
        "insertion": scores.area(curves[1] / whole, scores.EARLY),
        "sparseness": checks.sparseness(maps),
    }
    if covered is not None:
        found["infidelity"] = checks.infidelity(maps, *covered)
    return {name: values.cpu() for name, values in found.items()}


def covered_squares(model: Network, pixels: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """40 random squares (40,H,W), and what each scene's score loses under them (n,40).

    They are the same for every method. A square's side is a seventh of the picture's. The squares
    lie on the CPU, the losses on the network's device.
    """
    x = gate.normalised(model, pixels)
    tiles = checks.squares(*x.shape[2:], side=x.shape[3] // 7)
    return tiles, checks.score_drops(model, x, classes, tiles)


def one_by_one(
    model: Network,
    method: Method,
    pixels: Tensor,
    classes: Tensor,
    samples: int = 2,
    shares: Sequence[float] = (0.1, 0.3, 0.5),
) -> dict[str, Tensor]:
    """The scores of a method for which every picture costs several maps or repairs.

    Args:
        model, method, pixels, classes: as for `scene_scores`.
        samples: of the noise for stability.
        shares: of the pixels for ROAD.

    Returns:
        "stability", largest change of the map under small noise, better when small; "other class",
        rank correlation with the map of a class drawn at random, better when small; "road", better
        when large: (n,) each, on the CPU.
    """
    x = gate.normalised(model, pixels)
    classes = classes.to(x.device)
    maps = method.explain(model, x, classes).float()
    generator = torch.Generator().manual_seed(0)
    labels = len(model.labels)
    shift = torch.randint(1, labels, (len(x),), generator=generator, device="cpu").to(x.device)
    others = method.explain(model, x, (classes + shift) % labels).float()
    moved = checks.max_sensitivity(lambda some: method.explain(model, some, classes), x, samples)
    return {
        "stability": moved.cpu(),
        "other class": scores.rank_correlation(maps, others).cpu(),
        "road": checks.road(model, x, maps, classes, shares).cpu(),
    }


def grid_scores(model: Network, method: Method, pixels: Tensor, classes: Tensor) -> Tensor:
    """The pointing score of every photo of every collage of `grids`: (4n,), on the CPU."""
    found = []
    for one, four in zip(gate.normalised(model, pixels).split(1), classes, strict=True):
        maps = method.explain(model, one.expand(4, -1, -1, -1), four.to(one.device)).float()
        found.append(scores.pointing_score(maps, torch.arange(4, device="cpu")).cpu())
    return torch.cat(found)


def mean_interval(
    values: Tensor, seed: int = 0, groups: Sequence | None = None, level: float = 0.95
) -> tuple[float, float, float]:
    """The mean over images and its confidence interval, by the bootstrap.

    Args:
        values: (N,), one for each image.
        seed: of the draws.
        groups: what each image shows. Images of one object are no independent witnesses, so whole
            groups are drawn; by default every image is one.
        level: of the interval. For k comparisons at once, 1 - 0.05 / k keeps the chance of a single
            false one at 5 % (Bonferroni).

    Returns:
        Mean, lower and upper end.
    """
    numbers = values.detach().cpu().double().numpy()
    _, of = np.unique(range(len(numbers)) if groups is None else groups, return_inverse=True)
    totals, sizes = np.bincount(of, numbers), np.bincount(of)
    draws = max(2000, round(40 / (1 - level)))  # twenty draws beyond either end
    drawn = _drawn(len(sizes), draws, seed)
    tail = (1 - level) / 2
    low, high = np.quantile((drawn @ totals) / (drawn @ sizes), [tail, 1 - tail])
    return numbers.mean().item(), low.item(), high.item()


@lru_cache(maxsize=4)
def _drawn(n: int, draws: int, seed: int) -> np.ndarray:
    """How often each of n groups comes in each draw, (draws,n): the same for every score."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws).astype(float)


# ------------------------------------------------------------------ the whole table, stored

STAGES = {
    "squeezenet1_1": (
        ("conv10",),
        ("fire9", "fire8"),
        ("fire7", "fire6"),
        ("fire5", "fire4"),
        ("fire3", "fire2"),
        ("conv1",),
    ),
    "efficientnet_lite0": (
        ("classifier",),
        ("conv_head", "block7"),
        ("block6",),
        ("block5", "block4"),
        ("block3", "block2", "block1"),
        ("conv_stem",),
    ),
}
"""The layers whose weights are randomised, from the last to the first, group after group."""


def cascade(
    model: Network,
    method: Method,
    x: Tensor,
    classes: Tensor,
    seed: int = 0,
    stages: Sequence[Sequence[str]] | None = None,
) -> dict[str, Tensor]:
    """How far a method's maps change while more and more layers forget what they learned.

    Args:
        model: a classifier.
        method: of `METHODS`, or your own.
        x: normalised images (N,3,H,W).
        classes: (N,) int64.
        seed: of the random weights.
        stages: groups of layers, each added to those before; by default the network's `STAGES`.

    Returns:
        Three comparisons with the trained network's maps, each (stages, N), on the CPU: "ranks",
        rank correlation; "sizes", that of the absolute values; "similarity", structural similarity.

    Raises:
        ValueError: no stages given for a network that `STAGES` does not know.
    """
    trained = method.explain(model, x, classes).float()
    forgotten, found = [], {"ranks": [], "sizes": [], "similarity": []}
    for stage in stages or _of(model, STAGES):
        forgotten += stage
        maps = method.explain(scores.randomised(model, forgotten, seed), x, classes).float()
        found["ranks"].append(scores.rank_correlation(trained, maps))
        found["sizes"].append(scores.rank_correlation(trained.abs(), maps.abs()))
        found["similarity"].append(scores.similarity(trained, maps))
    return {name: torch.stack(rows) for name, rows in found.items()}


def measure(
    model: Network,
    scenes: composites.Composites,
    collages: tuple[Tensor, Tensor],
    photos: tuple[Tensor, Tensor],
    methods: dict[str, Method] | None = None,
    stages: Sequence[Sequence[str]] | None = None,
    networks: int = 1,
    known: dict[str, dict] | None = None,
    keep: Callable[[dict[str, dict]], object] = len,
) -> dict[str, dict]:
    """Every method by every score: the mean over images with its 95 % interval.

    Args:
        model: a network of the zoo with a classifier.
        scenes: for all scores but grid and kept.
        collages: pixels and classes of `grids`, for the grid pointing game.
        photos: pixels and classes, for the cascade of randomised layers.
        methods: those of `METHODS` by default.
        stages: of the cascade, as there.
        networks: how many networks with every stage random are drawn.
        known: rows that an earlier call has made of the same things; they are not measured again.
        keep: called with the rows so far, after each method.

    Returns:
        method -> {"passes": ..., score: [mean, low, high], "each": {score: one number for each
        image}, "ranks", "sizes" and "similarity" of `cascade`: one mean for each stage, "seeds":
        the rank correlation with each random network}. The score "kept" is the rank correlation
        that is left when every stage is random, the mean over these networks. Intervals draw
        objects, not pictures; `one_by_one` has one scene of each of twelve objects.
    """
    covered = covered_squares(model, scenes.pixels, scenes.classes)
    rows = {}
    for name, method in tqdm((methods or METHODS).items(), desc=model.name, leave=False):
        if name in (known or {}):
            rows[name] = known[name]
            continue
        scored = _scored(model, method, scenes, collages, covered)
        changes, kept = _forgetting(model, method, photos, stages or _of(model, STAGES), networks)
        scored["kept"] = kept.mean(0), range(kept.shape[1])
        rows[name] = {
            "passes": method.passes,
            **{s: _rounded(mean_interval(v, groups=g)) for s, (v, g) in scored.items()},
            **{key: _rounded(values.mean(1).tolist()) for key, values in changes.items()},
            "seeds": _rounded(kept.mean(1).tolist()),
            "each": {s: _rounded(values.tolist(), 4) for s, (values, _) in scored.items()},
        }
        keep(rows)
    return rows


def _scored(
    model: Network,
    method: Method,
    scenes: composites.Composites,
    collages: tuple[Tensor, Tensor],
    covered: tuple[Tensor, Tensor],
) -> dict[str, tuple[Tensor, Sequence]]:
    """Every score of scenes and collages, with what each of its pictures shows."""
    objects = [name for name, _ in scenes.names]
    first = [objects.index(name) for name in dict.fromkeys(objects)][:12]
    on_all = scene_scores(model, method, scenes.pixels, scenes.masks, scenes.classes, covered)
    on_some = one_by_one(model, method, scenes.pixels[first], scenes.classes[first])
    pointing = grid_scores(model, method, *collages)
    return {
        **{score: (values, objects) for score, values in on_all.items()},
        **{score: (values, range(len(first))) for score, values in on_some.items()},
        "grid": (pointing, collages[1].flatten().tolist()),
    }


def _forgetting(
    model: Network,
    method: Method,
    photos: tuple[Tensor, Tensor],
    stages: Sequence[Sequence[str]],
    networks: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """`cascade`, and the ranks (networks, N) that are left in that many random networks."""
    x = gate.normalised(model, photos[0])
    classes = photos[1].to(x.device)
    changes = cascade(model, method, x, classes, stages=stages)
    whole = [[layer for stage in stages for layer in stage]]
    more = [cascade(model, method, x, classes, s, whole)["ranks"] for s in range(1, networks)]
    return changes, torch.cat([changes["ranks"][-1:], *more])


def _rounded(numbers: list[float] | tuple[float, ...], digits: int = 3) -> list[float]:
    return [round(number, digits) for number in numbers]


def store(
    name: str, table: dict[str, dict], settings: dict[str, object], path: Path | None = None
) -> Path:
    """Put a table where the lecture reads it, beside those of other networks; whole or not at all.

    Args:
        name: of the network.
        table: what `measure` returned.
        settings: how it was made, e.g. counts and versions.
        path: the file; data/trust.json by default.
    """
    path = path or paths.data("trust.json")
    tables = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    tables[name] = {"settings": settings, "methods": table}
    text = json.dumps(tables, indent=1, ensure_ascii=False)
    return writing.replace(path, _numbers_in_a_line(text) + "\n")


def _numbers_in_a_line(text: str) -> str:
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)


def unfinished(name: str, settings: dict[str, object], path: Path | None = None) -> dict[str, dict]:
    """The rows of a table that was stored with these settings and then stopped before its end.

    Args:
        name, settings, path: as for `store`.

    Returns:
        method -> row, for `measure` to go on from; nothing if the table is whole, or of other
        settings: then all of it is measured anew.
    """
    path = path or paths.data("trust.json")
    tables = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    table = tables.get(name, {"settings": None, "methods": {}})
    goes_on = table["settings"] == settings and not METHODS.keys() <= table["methods"].keys()
    return table["methods"] if goes_on else {}


def stored(name: str = "squeezenet1_1") -> dict[str, dict]:
    """The table that `course trust` stored for a network: what `measure` returned.

    Raises:
        ValueError: a network without a stored table.
    """
    return _stored(name)["methods"]


def stored_settings(name: str = "squeezenet1_1") -> dict[str, object]:
    """How that table was made: "scenes", "collages", "photos", "torch".

    Raises:
        ValueError: as `stored`.
    """
    return _stored(name)["settings"]


def _stored(name: str) -> dict[str, dict]:
    tables = paths.stored("trust.json")
    if name not in tables:
        raise ValueError(f"name={name!r}; accepted: {', '.join(tables)}")
    return tables[name]


HEADER = ("", "passes", "energy", "hit", "grid", "deletion ↓", "insertion", "kept ↓")
"""The columns of `as_rows`; an arrow marks scores that are better when small."""

CHECKS = ("", "stability ↓", "infidelity ↓", "sparseness", "road", "other class ↓")
"""Columns for what `checks` asks."""


def as_rows(table: dict[str, dict], header: Sequence[str] = HEADER) -> list[list[object]]:
    """A table of `measure` as rows under a header: each score with its interval, as text.

    On slides without: with intervals, seven columns cannot be read from the last row.
    """
    keys = [title.removesuffix(" ↓") for title in header[1:]]
    said = _in_short if projection.wanted() else _with_interval
    return [
        [name, *(row[k] if k == "passes" else said(*row[k]) for k in keys)]
        for name, row in table.items()
    ]


def paired(
    table: dict[str, dict],
    a: str,
    b: str,
    score: str,
    groups: Sequence | None = None,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """One method minus another on the same pictures: the mean difference and its interval.

    Args:
        table: of `measure`.
        a, b: methods.
        score: one of those in "each".
        groups, level: as for `mean_interval`.
    """
    ours, theirs = (torch.tensor(table[name]["each"][score]) for name in (a, b))
    return mean_interval(ours - theirs, groups=groups, level=level)


def swap_test(table: dict[str, dict], a: str, b: str, score: str, groups: Sequence) -> float:
    """How often chance alone would part two methods as far: a sign-flip test, by object.

    If two methods differ in nothing but their names, the names may be swapped for any object,
    and all its differences change their sign. Every way to swap is counted, so the share is exact
    for any level, where the outermost quantiles of a bootstrap of 30 objects are not. What is
    refused is that the names do not matter. That the mean is zero is another matter: where a few
    objects have most of the difference, this test has no more to say of it than the bootstrap.

    Args:
        table, a, b, score: as for `paired`.
        groups: what each picture shows, at most 40 different things.

    Returns:
        The share of the swaps, above 0 and up to 1, that leave the mean difference as far from
        zero, on either side, as it was found. For k comparisons at once, ask for less than
        0.05 / k.

    Raises:
        ValueError: more groups than that; their swaps are too many to be counted.
    """
    ours, theirs = (np.array(table[name]["each"][score]) for name in (a, b))
    _, of = np.unique(groups, return_inverse=True)
    totals = np.bincount(of, ours - theirs)
    if len(totals) > 40:
        raise ValueError(f"groups: {len(totals)} different ones; accepted: 40 or fewer")
    return _share_of_swaps(totals)


def _share_of_swaps(totals: np.ndarray) -> float:
    """Of all signs that numbers (n,) can be given: the share whose sum is as far from zero.

    Each sum is one of the numbers' first half and one of the second. With the one half in order,
    it is looked up, not tried, how many reach far enough with each of the other.
    """
    least = abs(totals.sum()) - 1e-9 * abs(totals).sum()
    first, second = (_signed_sums(part) for part in np.array_split(totals, 2))
    far = len(first) - np.searchsorted(np.sort(first), np.sort(least - second))
    return min(1.0, 2 * far.sum().item() / 2 ** len(totals))  # as many on the other side


def _signed_sums(numbers: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for number in numbers:
        sums = np.concatenate([sums + number, sums - number])
    return sums


def _with_interval(mean: float, low: float, high: float) -> str:
    """ ".46 (.41 to .51)", two decimals."""
    return f"{_in_short(mean)} ({_in_short(low)} to {_in_short(high)})"


def _in_short(number: float, *_: float) -> str:
    return f"{round(number, 2) + 0.0:.2f}"  # no "-0.00"
