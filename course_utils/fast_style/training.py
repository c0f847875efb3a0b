"""Training a transform network."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from course_utils import images, models
from course_utils.common.stopping import stoppable
from course_utils.fast_style.loss import DTYPES, OPTIMIZERS, PerceptualLoss, Recipe
from course_utils.fast_style.network import TransformNetwork
from course_utils.fast_style.photos import HELD_OUT, Crops, training_photos
from course_utils.images import Picture
from course_utils.texture import gram

TERMS = ("content", "style", "smooth")


@dataclass
class Trained:
    """A trained network and how it came about.

    Attributes:
        network: in eval mode, frozen.
        recipe: what was asked for.
        log: "step" and the three losses, each the mean since the entry before; "unseen_step" and
            "unseen_content", "unseen_style": the losses on photos it is not trained on, in eval
            mode.
        seconds, processor_seconds: of training, on the clock and of the processors.
        steps: that were done; fewer than the recipe's after an interrupt.
        photos: names of the pictures it was trained on.
        license: of its weights, an SPDX expression, as `photos.network_license` gives it.
        before: the log of the checkpoint that it went on from, as `training_log` gives it; empty if
            it began with fresh weights. `steps`, `seconds` and `log` are without those.
    """

    network: TransformNetwork
    recipe: Recipe
    log: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0
    steps: int = 0
    photos: list[str] = field(default_factory=list)
    license: str = "MIT"
    before: dict = field(default_factory=dict)


def train(
    painting: object,
    recipe: Recipe | None = None,
    photos: Sequence[object] | None = None,
    device: str | torch.device | None = None,
    callback: Callable[[Trained], object] | None = None,
    every: int | Sequence[int] = 100,
    progress: str | None = "training",
    state: str | Path | None = None,
    start: TransformNetwork | None = None,
) -> Trained:
    """Trains a transform network for one style. No target pictures: the loss is the teacher.

    An interrupt (Ctrl-C, the stop button) ends it early; what it has learned is returned.

    Args:
        painting: the style, an image as `images.read` accepts it.
        recipe: how; `Recipe()` by default.
        photos: to train on, as `images.read` accepts them; `training_photos()` by default.
        device: where; the course's by default.
        callback: called every `every` steps with the network as it is; ends the training by
            returning something true.
        every: steps between calls, and between looks at photos it is not trained on; of several
            numbers the others are single steps at which there is a call besides.
        progress: caption of the progress bar; None for no bar.
        state: a file for everything the run consists of, written every `every` steps. If it is
            there already, the run goes on from it, as though it had not been cut off; with more
            steps in the recipe than then, at the rate of the longer run.
        start: a network whose weights it begins with, of the recipe's architecture; it stays as it
            is. `Recipe.fresh` by default.

    Raises:
        FloatingPointError: the loss became NaN or infinite; names the step.
        ValueError: `state` is of another recipe, or `start` of another architecture.
    """
    recipe = recipe or Recipe()
    every, *besides = [every] if isinstance(every, int) else every
    photos = training_photos() if photos is None else photos
    run = _Run(images.read(painting, recipe.style_side), recipe, photos, device)
    if start is not None:
        run.begin_with(start)
    if state is not None and Path(state).exists():
        run.restore(Path(state))
    todo = range(run.done + 1, recipe.steps + 1)
    bar = tqdm(todo, desc=progress, disable=progress is None, leave=False)
    so_far = lambda: f"{run.done} of {recipe.steps} steps; what was learned is kept"  # noqa: E731
    with stoppable(so_far):
        for step in bar:
            run.step()
            if step % every == 0 or step in besides or step == recipe.steps:
                run.look()
                if state is not None:
                    run.keep(Path(state))
                if callback is not None and callback(run.trained()):
                    break
    return run.trained()


class _Run:
    """One training run: network, loss, optimizer, crops and log."""

    def __init__(
        self, painting: Tensor, recipe: Recipe, photos: Sequence[object], device: object
    ) -> None:
        looking = models.load(recipe.loss_network, device)
        self.recipe, self.device = recipe, looking.device
        self.loss = PerceptualLoss(looking, painting.to(self.device), recipe)
        self.network = recipe.fresh().to(self.device)
        optimizer = OPTIMIZERS[recipe.optimizer]
        self.optimizer = optimizer(self.network.parameters(), lr=recipe.rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.crops = Crops(photos, recipe.side, recipe.seed)
        self.names = [p.name for p in photos if isinstance(p, Picture)]
        self.unseen = torch.stack(
            [images.square(images.photo(name).pixels(), recipe.side) for name in HELD_OUT[:8]]
        ).to(self.device)
        unseen = ("unseen_step", "unseen_content", "unseen_style")
        self.log: dict[str, list[float]] = {name: [] for name in ("step", *TERMS, *unseen)}
        self.done, self.sums = 0, []
        self.start = time.perf_counter(), time.process_time()
        if recipe.dtype != "float32":  # the faster order of these convolutions
            for module in (self.network, looking):
                module.to(memory_format=torch.channels_last)

    def begin_with(self, network: TransformNetwork) -> None:
        """Takes over the weights of a trained network."""
        asked, found = self.network.architecture, network.architecture
        odd = [name for name in asked if asked[name] != found[name]]
        if odd:
            raise ValueError(
                f"start: a network with {odd[0]}={found[odd[0]]}, asked for is {asked[odd[0]]}"
            )
        self.network.load_state_dict(network.state_dict())

    def _rate(self, step: int) -> float:
        """Share of the rate: up in a straight line, then down along half a cosine."""
        total = self.recipe.steps
        warm = max(1, min(50, total // 10))
        if step < warm:
            return (step + 1) / warm
        share = (step - warm) / max(1, total - warm)
        return 0.5 + 0.5 * torch.cos(torch.tensor(share * torch.pi)).item()

    def step(self) -> None:
        """One batch of photos, one step of the optimizer."""
        photos = self.crops.draw(self.recipe.batch).to(self.device)
        self.network.train()
        with torch.enable_grad():
            terms = self._terms(photos)
            loss = self.loss.total(terms)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss.item()} after {self.done} steps")
            self.optimizer.zero_grad()
            loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.done += 1
        self.sums.append([terms[name].item() for name in TERMS])
        if self.done % max(1, self.recipe.steps // 200) == 0:
            self._write()

    def _terms(self, photos: Tensor) -> dict[str, Tensor]:
        """The losses of one batch; only the convolutions may be in 16 bits."""
        names = [*self.recipe.style_layers, self.recipe.content_layer]
        dtype = DTYPES[self.recipe.dtype]
        short = dtype != torch.float32
        with torch.autocast(self.device.type, dtype) if short else nullcontext():
            painted = self.network(photos).float()
            if not painted.isfinite().all():
                raise FloatingPointError(f"what is painted is not finite after {self.done} steps")
            seen, target = self.loss.look(painted, names), self.loss.target(photos)
        return self.loss.compared(painted, seen, target)

    def keep(self, path: Path) -> None:
        """Writes all that `restore` needs; a cut-off while writing leaves the file before."""
        parts = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        parts |= {"schedule": self.schedule.state_dict()["last_epoch"], "done": self.done}
        parts |= {"random": self.crops.random.get_state(), "log": self.log, "sums": self.sums}
        parts |= {"recipe": dataclasses.asdict(self.recipe), "seconds": self._seconds()}
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".part")
        torch.save(parts, fresh)
        os.replace(fresh, path)

    def restore(self, path: Path) -> None:
        """Goes back to what `keep` wrote; the recipe may ask for another number of steps."""
        parts = torch.load(path, map_location=self.device, weights_only=True)
        now, then = dataclasses.asdict(self.recipe), parts["recipe"]
        odd = [name for name in now if now[name] != then.get(name) and name != "steps"]
        if odd:
            raise ValueError(
                f"state: {path.name} is of a run with {odd[0]}={then.get(odd[0])!r}, asked for is "
                f"{now[odd[0]]!r}; move it away to begin anew"
            )
        self.network.load_state_dict(parts["network"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.schedule.last_epoch = parts["schedule"]
        self.crops.random.set_state(parts["random"].cpu())
        self.done, self.log, self.sums = parts["done"], parts["log"], parts["sums"]
        clock, processor = parts["seconds"]
        self.start = time.perf_counter() - clock, time.process_time() - processor

    def _seconds(self) -> tuple[float, float]:
        """On the clock and of the processors, so far."""
        return time.perf_counter() - self.start[0], time.process_time() - self.start[1]

    def _write(self) -> None:
        means = torch.tensor(self.sums).mean(0).tolist()
        self.log["step"].append(self.done)
        for name, mean in zip(TERMS, means, strict=True):
            self.log[name].append(float(f"{mean:.4g}"))
        self.sums = []

    def look(self) -> None:
        """The losses on photos that are not trained on, as the network will be used."""
        self.network.eval()
        with torch.no_grad():
            target = self.loss.target(self.unseen)
            terms = self.loss.terms(self.network(self.unseen), target)
        self.log["unseen_step"].append(self.done)
        for name in ("content", "style"):
            self.log[f"unseen_{name}"].append(float(f"{terms[name].item():.4g}"))

    def trained(self) -> Trained:
        """The network as it is now, a copy."""
        network = self.recipe.fresh().to(self.device)
        network.load_state_dict(self.network.state_dict())
        network.eval().requires_grad_(False)
        log = {name: list(values) for name, values in self.log.items()}
        return Trained(network, self.recipe, log, *self._seconds(), self.done, self.names)


def training_step(
    model: nn.Module,
    weights: Tensor,
    photos: Tensor,
    target: Tensor,
    style_weight: float,
    rate: float,
) -> tuple[Tensor, float]:
    """One step of gradient descent on the weights of the smallest transform network.

    That network is a single convolution, y = weights * x, padded so that the size stays:

        loss = mean (F(y) - F(x))^2 + beta * mean over images of ||G(y) - target||^2
        weights <- weights - rate * d loss / d weights

    Args:
        model: `model.features` gives feature maps (N,K,h,w); its own weights stay as they are.
        weights: (3,3,k,k), k odd.
        photos: x, normalised images (N,3,H,W).
        target: the painting's Gram matrix (K,K), a mean over positions.
        style_weight: beta.
        rate: of the step.

    Returns:
        The new weights, and the loss before the step.
    """
    weights = weights.detach().requires_grad_()
    with torch.enable_grad():
        painted = functional.conv2d(photos.detach(), weights, padding=weights.shape[-1] // 2)
        found, wanted = model.features(painted), model.features(photos.detach())
        content = (found - wanted).square().mean()
        style = (gram(found) - target).square().sum((1, 2)).mean()
        loss = content + style_weight * style
        (gradient,) = torch.autograd.grad(loss, weights)
    return weights.detach() - rate * gradient, loss.item()
