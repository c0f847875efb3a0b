"""Trained networks as files: the recipe, the log and the weights."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from course_utils import models
from course_utils.common import paths, weights
from course_utils.common.errors import unknown
from course_utils.fast_style.loss import Recipe
from course_utils.fast_style.network import TransformNetwork
from course_utils.fast_style.photos import network_license
from course_utils.fast_style.training import Trained, train
from course_utils.images import Picture


def save(trained: Trained, folder: str | Path, name: str) -> Path:
    """Writes NAME.safetensors (kernels in 8 bits, the recipe with them) and NAME.json (the log).

    Returns:
        The path of the former. Existing files are replaced.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = trained.network.state_dict()
    stored = weights.in_8_bits({k: v.cpu() for k, v in state.items()})
    recipe = dataclasses.asdict(trained.recipe)
    facts = {"steps done": trained.steps, "seconds": round(trained.seconds, 1)}
    facts["processor seconds"] = round(trained.processor_seconds, 1)
    facts |= {"torch": torch.__version__.split("+")[0], "threads": torch.get_num_threads()}
    facts["license"] = trained.license
    facts["device"] = next(trained.network.parameters()).device.type
    if trained.before:
        facts["steps before"] = spent(trained.before)[0]
    metadata = {
        "kind": KIND,
        "architecture": json.dumps(trained.network.architecture),
        "recipe": json.dumps(recipe),
        "facts": json.dumps(facts),
    }
    path = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in stored.items()}, path, metadata)
    log = {"recipe": recipe, "facts": facts, "photos": trained.photos, "log": trained.log}
    if trained.before:
        log["before"] = trained.before
    (folder / f"{name}.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    return path


def train_and_save(
    picture: Picture,
    recipe: Recipe,
    folder: str | Path,
    device: str | torch.device | None = None,
    checkpoints: Sequence[int] = (),
    resume: bool = False,
    start: str | Path | None = None,
) -> tuple[Trained, Path]:
    """Trains on the course's free photos; writes the checkpoint again and again while it runs.

    Args:
        picture: the style.
        recipe: how.
        folder: where `save` writes, under the style's name, with "_batch" for that norm; and, as
            NAME.run, all that a run which was cut off needs to go on.
        device: where to train; the course's by default.
        checkpoints: steps whose networks are kept too, as NAME_STEP.
        resume: go on with the run whose NAME.run is there.
        start: the checkpoint whose weights it begins with, as `load` takes it, of the same painting
            and architecture; its log is kept inside the new one.

    Raises:
        FileExistsError: there is such a checkpoint and `resume` is not set; it is left as it is.
        ValueError: `start` is of another painting or architecture.
    """
    name = picture.name + ("" if recipe.norm == "instance" else f"_{recipe.norm}")
    path, state = Path(folder) / f"{name}.safetensors", Path(folder) / f"{name}.run"
    if not resume:
        if path.exists():
            what = "move it away, or name another folder"
            raise FileExistsError(f"out: {path} is there already; {what}")
        state.unlink(missing_ok=True)
    every = min(250, max(50, recipe.steps // 20))
    begin, before = None, {}
    if start is not None:
        begin, before = load(start, device), training_log(start)
        other = before["recipe"]["style"]
        if other != picture.name:
            raise ValueError(f"start: {start} paints like {other}, asked for is {picture.name}")
        digest = hashlib.sha256(_checkpoint(start).read_bytes()).hexdigest()
        recipe = dataclasses.replace(recipe, start=digest)

    def keep(trained: Trained) -> None:
        trained.license, trained.before = network_license(picture), before
        if trained.steps in checkpoints:
            save(trained, folder, f"{name}_{trained.steps}")
        if trained.steps % every and trained.steps != recipe.steps:
            return
        save(trained, folder, name)  # a cut-off loses at most the steps since the last one
        last = {term: trained.log[f"unseen_{term}"][-1] for term in ("style", "content")}
        said = ", ".join(f"{term} {value:.3f}" for term, value in last.items())
        print(f"step {trained.steps}, {trained.seconds:.0f} s: on unseen photos {said}", flush=True)

    steps = (every, *checkpoints)
    trained = train(picture, recipe, None, device, keep, steps, state=state, start=begin)
    trained.license, trained.before = network_license(picture), before
    return trained, save(trained, folder, name)


KIND = "transform network of one style, 1"
"""What a checkpoint says it is; another number once older ones can no longer be read."""


def styles() -> list[str]:
    """The names of the shipped checkpoints: a painting's, or a painting's and another norm's."""
    return sorted(path.stem for path in paths.data("styles").glob("*.safetensors"))


def stages(style: str) -> dict[int, Path]:
    """Steps of training -> checkpoint, for a shipped style that was kept on the way, itself last.

    Raises:
        ValueError: no such style, or one that was not kept.
    """
    last = _checkpoint(style)
    kept = {}
    for path in paths.data("styles", "stages").glob("*.safetensors"):
        name, _, steps = path.stem.rpartition("_")
        if name == style:
            kept[int(steps)] = path
    if not kept:
        raise ValueError(f"style={style!r}: no stages of its training were kept")
    return dict(sorted(kept.items())) | {spent(training_log(style))[0]: last}


def load(style: str | Path, device: str | torch.device | None = None) -> TransformNetwork:
    """A trained transform network, in eval mode and frozen.

    Args:
        style: one of `styles()`, or the file that `course train-style` wrote.
        device: where to put it; the course's by default.

    Raises:
        ValueError: no such style (near spellings are suggested), or a file that is no checkpoint of
            a transform network, or one whose tensors do not fit its architecture.
        FileNotFoundError: no such file.
    """
    path = _checkpoint(style)
    network, metadata, tensors = _opened(path)
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in tensors.items()}
    if wanted != found:
        odd = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        raise ValueError(
            f"style: {path.name} does not fit its own description {metadata['architecture']}: "
            f"{odd[0]} is {found.get(odd[0], 'missing')}, expected {wanted.get(odd[0], 'nothing')}"
        )
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False)
    return network.to(models.default_device() if device is None else torch.device(device))


def _checkpoint(style: str | Path) -> Path:
    if isinstance(style, str) and style in styles():
        return paths.data("styles", f"{style}.safetensors")
    path = Path(style)
    if path.suffix != ".safetensors":
        what = "styles; or give a file that ends in .safetensors"
        raise ValueError(unknown("style", style, styles(), what))
    if not path.is_file():
        raise FileNotFoundError(f"style: there is no file {path}")
    return path


def _opened(path: Path) -> tuple[TransformNetwork, dict[str, str], dict[str, Tensor]]:
    """An untrained network of the file's architecture, its metadata and its tensors."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"style: {path.name} is no safetensors file, or damaged ({error})"
        ) from None
    if metadata.get("kind") != KIND:
        first = ", ".join(list(tensors)[:3])
        raise ValueError(
            f"style: {path.name} is no checkpoint of a transform network (it has {len(tensors)} "
            f"tensors, {first} ...); accepted: what `course train-style` writes"
        )
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
        network = TransformNetwork(**json.loads(metadata["architecture"]))
    return network, metadata, weights.decode(tensors)


def training_log(style: str | Path) -> dict:
    """The log of a checkpoint: "recipe", "facts", "photos", and "log" as in `Trained`.

    If it went on from another one, "before" is that one's.

    Args:
        style: as for `load`; the log lies beside the checkpoint.

    Raises:
        ValueError: no such style; near spellings are suggested.
        FileNotFoundError: no such file.
    """
    return json.loads(_checkpoint(style).with_suffix(".json").read_text(encoding="utf-8"))


def trainings(log: dict) -> list[dict]:
    """A `training_log` and those of the runs that it went on from, the first one first."""
    return [*(trainings(log["before"]) if "before" in log else ()), log]


def spent(log: dict) -> tuple[int, float]:
    """Steps and processor seconds of a `training_log`, with those of the runs it went on from."""
    facts = [one["facts"] for one in trainings(log)]
    return sum(f["steps done"] for f in facts), sum(f["processor seconds"] for f in facts)


def limits() -> dict[str, list[float]]:
    """Painting -> the weighted loss of lecture 16's castle, as it is and after 100 evaluations.

    Made by `data/rebuild_style_limits.py`.
    """
    return paths.stored("style_limits.json")["castle"]
