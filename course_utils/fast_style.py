"""Lecture 16: a network that has learned one painting's style, and paints a photo in one pass.

    network = load("night_cafe")
    painted = stylise(network, images.photo("panda"))

The transform network is trained with the losses of lecture 15 and needs no target pictures. Shipped
checkpoints lie in `data/styles`, each with the recipe that made it; `course train-style` runs it.
"""

import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2 import functional as tvf
from tqdm.auto import tqdm

from course_utils import images, models, paths
from course_utils.errors import unknown
from course_utils.images import Picture
from course_utils.models import Network
from course_utils.optimise import total_variation
from course_utils.texture import features, gram

# ------------------------------------------------------------------ the transform network


def instance_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Every channel of every image with mean 0 and variance 1 over its positions, then rescaled.

        (x - mean) / sqrt(variance + eps) * scale + shift

    Args:
        x: (N,C,H,W).
        scale, shift: (C,), learned; the same for all images.
        eps: keeps a channel without variance finite.

    Returns:
        (N,C,H,W).

    Reference:
        Ulyanov, Vedaldi, Lempitsky: Instance Normalization: The Missing Ingredient for Fast
        Stylization, 2016.
    """
    mean = x.mean((2, 3), keepdim=True)
    variance = x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * scale[:, None, None] + shift[:, None, None]


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "batch": nn.BatchNorm2d,
}
"""What may stand after a convolution of the transform network."""


class TransformNetwork(nn.Module):
    """Photo in, painting out: two steps down to a quarter of the size, residual blocks, two up.

    Convolutions reflect the picture at its border, so that no frame of zeros is painted; on the way
    up pixels are doubled and then convolved, since transposed convolutions paint checkerboards.

    Args:
        norm: "instance" or "batch".
        channels: after the first convolution, at half and at a quarter of the size.
        blocks: residual blocks at a quarter of the size.

    Attributes:
        architecture: the three arguments by name.

    Raises:
        ValueError: an unknown norm, or numbers that are not positive.

    References:
        Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and
        Super-Resolution, ECCV 2016; Odena, Dumoulin, Olah: Deconvolution and Checkerboard
        Artifacts, Distill 2016.
    """

    def __init__(
        self, norm: str = "instance", channels: Sequence[int] = (8, 24, 48), blocks: int = 4
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(unknown("norm", norm, NORMS, "normalisations"))
        if len(channels) != 3 or min(*channels, blocks) < 1:
            raise ValueError(f"channels={channels}, blocks={blocks}; accepted: three, all positive")
        self.architecture = {"norm": norm, "channels": list(channels), "blocks": blocks}
        fine, half, quarter = channels
        self.down = nn.Sequential(
            _convolution(3, fine, 7, norm),
            _convolution(fine, half, 3, norm, stride=2),
            _convolution(half, quarter, 3, norm, stride=2),
        )
        self.blocks = nn.Sequential(*(_Residual(quarter, norm) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            _convolution(quarter, half, 3, norm),
            nn.Upsample(scale_factor=2),
            _convolution(half, fine, 3, norm),
        )
        self.paint = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(fine, 3, 7))

    def forward(self, pixels: Tensor) -> Tensor:
        """Photos (N,3,H,W) in 0-1, of any size, painted: the same shape and range."""
        height, width = pixels.shape[-2:]
        x = self.down(_whole(pixels) - 0.5)
        x = self.up(self.blocks(x))
        return self.paint(x).sigmoid()[..., :height, :width]


def _convolution(
    before: int, after: int, size: int, norm: str, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """Reflection, convolution, norm (whose shift replaces the bias), ReLU."""
    layer = nn.Conv2d(before, after, size, stride, bias=False)
    parts = [nn.ReflectionPad2d(size // 2), layer, NORMS[norm](after)]
    return nn.Sequential(*parts, *[nn.ReLU()] * relu)


class _Residual(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3, norm)
        self.second = _convolution(channels, channels, 3, norm, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


def _whole(pixels: Tensor) -> Tensor:
    """Continued to the right and below until two halvings leave no rest, to 16 at least."""
    height, width = pixels.shape[-2:]
    right, below = (max(16, -(-n // 4) * 4) - n for n in (width, height))
    if not right and not below:
        return pixels
    return functional.pad(pixels, (0, right, 0, below), mode="replicate")


# ------------------------------------------------------------------ what it is trained for


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run gives, but for the rounding of the machine.

    Attributes:
        style: the painting's name.
        norm, channels, blocks: of the `TransformNetwork`.
        steps, batch, rate: of Adam; the rate rises for the first steps and then falls to zero.
        seed: of the first weights and of the crops.
        side: of the crops it is trained on, in pixels.
        style_side: the painting's longer side in pixels, which sets the size of the strokes.
        loss_network, style_layers, content_layer: where the losses look.
        content_weight, style_weight, smooth_weight: alpha, beta and gamma.
    """

    style: str = ""
    norm: str = "instance"
    channels: tuple[int, int, int] = (8, 24, 48)
    blocks: int = 4
    steps: int = 500
    batch: int = 4
    rate: float = 5e-3
    seed: int = 0
    side: int = 96
    style_side: int = 256
    loss_network: str = "squeezenet1_1"
    style_layers: tuple[str, ...] = ("relu1", "fire2", "fire3", "fire4", "fire5")
    content_layer: str = "fire4"
    content_weight: float = 1.0
    style_weight: float = 2.5
    smooth_weight: float = 1.0

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "side": 32, "style_side": 32, "blocks": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: {lowest} or more")
        if self.norm not in NORMS:
            raise ValueError(unknown("norm", self.norm, NORMS, "normalisations"))

    def fresh(self) -> TransformNetwork:
        """The network before training; the random state of the caller is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return TransformNetwork(self.norm, self.channels, self.blocks)


def feature_maps(network: Network, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """The outputs of some layers, computed no further than the deepest of them.

    Args:
        network: one whose layers stand in a row in `features`: SqueezeNet or VGG.
        x: normalised images (N,3,H,W).
        names: layers by the field's names.

    Returns:
        layer -> (N,K,h,w), with the graph back to `x`.

    Raises:
        ValueError: an unknown layer, or one that is not in `features`.
    """
    for name in names:
        if not network.layers.get(name, "").startswith("features."):
            known = [n for n, path in network.layers.items() if path.startswith("features.")]
            raise ValueError(unknown("layer", name, known, f"layers of {network.name}"))
    return features(network, x, names)


class PerceptualLoss:
    """How far pictures are from a photo in content and from a painting in style, by a network.

        content = ||F(y) - F(x)||^2 / ||F(x)||^2               at one layer
        style   = mean over l of ||G_l(y) - G_l||^2 / ||G_l||^2
        smooth  = mean squared difference of neighbouring pixels of y

    These are lecture 15's losses with weights w_l that make every layer's error a share of the
    layer's own size. Each is a mean over the batch.

    Args:
        network: looks at the pictures; its weights stay as they are.
        painting: (3,H,W) in 0-1.
        recipe: layers and weights.
    """

    def __init__(self, network: Network, painting: Tensor, recipe: Recipe) -> None:
        self.network, self.recipe = network, recipe
        with torch.no_grad():
            seen = self.look(painting[None], recipe.style_layers)
            self.grams = {layer: gram(maps) for layer, maps in seen.items()}

    def look(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The feature maps of pictures in 0-1."""
        return feature_maps(self.network, self.network.normalize(pixels), names)

    def target(self, photos: Tensor) -> Tensor:
        """F(x): the photos' feature maps at the content layer; no graph."""
        layer = self.recipe.content_layer
        with torch.no_grad():
            return self.look(photos, [layer])[layer]

    def terms(self, painted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The three losses, not weighted: "content", "style", "smooth"; each one number.

        Args:
            painted: (N,3,H,W) in 0-1.
            target: `target` of the photos, of the same size.
        """
        layer, names = self.recipe.content_layer, self.recipe.style_layers
        seen = self.look(painted, [*names, layer])
        styles = [_share(gram(seen[name]), self.grams[name]) for name in names]
        return {
            "content": _share(seen[layer], target).mean(),
            "style": torch.stack(styles).mean(),
            "smooth": total_variation(painted) / painted.numel(),
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """alpha * content + beta * style + gamma * smooth."""
        weights = self.recipe
        return (
            weights.content_weight * terms["content"]
            + weights.style_weight * terms["style"]
            + weights.smooth_weight * terms["smooth"]
        )

    def __call__(self, painted: Tensor, target: Tensor) -> Tensor:
        """The weighted sum, one number; arguments as for `terms`."""
        return self.total(self.terms(painted, target))


def _share(found: Tensor, wanted: Tensor) -> Tensor:
    """||found - wanted||^2 / ||wanted||^2 for each image, (N,)."""
    return (found - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1)


# ------------------------------------------------------------------ what it may be trained on

FREE = re.compile(r"LicenseRef-Public-Domain|CC0-1\.0|CC-BY-\d\.\d")
"""Licences of pictures that a style network may be trained on; see data/README.md."""

HELD_OUT = (
    *("panda", "koala", "chelsea", "red_panda", "horse_2", "citede_carcassonne", "eiffel_tower"),
    *("golden_temple", "chateaude_chenonceau", "brandenburg_gate", "brandenburg_gate_2"),
    "great_wallof_china",
)
"""Photos that no shipped network has seen, to look at what it does with a new one."""


def is_free(picture: Picture) -> bool:
    """Whether networks may be trained on it: public domain, CC0 or CC-BY alone."""
    return bool(FREE.fullmatch(picture.license))


def style_picture(name: str) -> Picture:
    """The painting or photo of that name, if its licence allows to train on it.

    Raises:
        ValueError: no such picture (near spellings are suggested), or a licence that asks for more
            than the author's name; names the licence and the paintings that can be had.
    """
    every = {picture.name: picture for picture in [*images.photos(), *images.paintings()]}
    free = [picture.name for picture in images.paintings() if is_free(picture)]
    if name not in every:
        raise ValueError(unknown("style", name, [p.name for p in images.paintings()], "paintings"))
    if not is_free(every[name]):
        raise ValueError(
            f"style={name!r} has the licence {every[name].license}, which a network trained on it "
            "would inherit; accepted: pictures in the public domain, CC0 or CC-BY, such as the "
            f"paintings {', '.join(free)}."
        )
    return every[name]


def training_photos() -> list[Picture]:
    """The course's freely licensed photos without those in `HELD_OUT`."""
    return [p for p in images.photos() if is_free(p) and p.name not in HELD_OUT]


class Crops:
    """Random squares of photos: of any size from the crops' own up to the whole short side.

    Args:
        photos: pictures, or tensors (3,H,W) in 0-1.
        side: of the crops, in pixels.
        seed: of the choice.

    Raises:
        ValueError: no photos.
    """

    def __init__(self, photos: Sequence[object], side: int, seed: int) -> None:
        if not photos:
            raise ValueError("photos: none came; accepted: one or more")
        # In 8 bits two hundred photos take 60 MB.
        read = (images.read(photo, 3 * side) for photo in photos)
        self.photos = [(pixels * 255).round().byte() for pixels in read]
        self.side, self.random = side, torch.Generator().manual_seed(seed)

    def draw(self, n: int) -> Tensor:
        """(n,3,side,side) in 0-1, on the CPU."""
        return torch.stack([self._one() for _ in range(n)])

    def _one(self) -> Tensor:
        photo = self.photos[self._integer(0, len(self.photos) - 1)]
        height, width = photo.shape[1:]
        short = min(height, width)
        size = self._integer(min(self.side, short), short)
        top, left = self._integer(0, height - size), self._integer(0, width - size)
        crop = photo[:, top : top + size, left : left + size].float() / 255
        crop = tvf.resize(crop, [self.side, self.side], antialias=True).clamp(0, 1)
        return crop.flip(2) if self._integer(0, 1) else crop

    def _integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (1,), generator=self.random, device="cpu"))


# ------------------------------------------------------------------ training

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
    """

    network: TransformNetwork
    recipe: Recipe
    log: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0
    steps: int = 0
    photos: list[str] = field(default_factory=list)


def train(
    painting: object,
    recipe: Recipe | None = None,
    photos: Sequence[object] | None = None,
    device: str | torch.device | None = None,
    callback: Callable[[Trained], object] | None = None,
    every: int = 100,
    progress: str | None = "training",
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
        every: steps between calls, and between looks at photos it is not trained on.
        progress: caption of the progress bar; None for no bar.

    Raises:
        FloatingPointError: the loss became NaN or infinite; names the step.
    """
    recipe = recipe or Recipe()
    photos = training_photos() if photos is None else photos
    run = _Run(images.read(painting, recipe.style_side), recipe, photos, device)
    bar = tqdm(range(1, recipe.steps + 1), desc=progress, disable=progress is None, leave=False)
    try:
        for step in bar:
            run.step()
            if step % every == 0 or step == recipe.steps:
                run.look()
                if callback is not None and callback(run.trained()):
                    break
    except KeyboardInterrupt:
        print(f"Stopped after {run.done} of {recipe.steps} steps; what was learned is kept.")
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
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.rate)
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
            terms = self.loss.terms(self.network(photos), self.loss.target(photos))
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
        clock, processor = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        return Trained(network, self.recipe, log, clock, processor, self.done, self.names)


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


# ------------------------------------------------------------------ checkpoints


def save(trained: Trained, folder: str | Path, name: str) -> Path:
    """Writes NAME.safetensors (16-bit weights, the recipe with them) and NAME.json (the log).

    Returns:
        The path of the former. Existing files are replaced.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = trained.network.state_dict()
    half = {k: (v.half() if v.is_floating_point() else v).cpu() for k, v in state.items()}
    recipe = dataclasses.asdict(trained.recipe)
    facts = {"steps done": trained.steps, "seconds": round(trained.seconds, 1)}
    facts["processor seconds"] = round(trained.processor_seconds, 1)
    facts |= {"torch": torch.__version__.split("+")[0], "threads": torch.get_num_threads()}
    facts["device"] = next(trained.network.parameters()).device.type
    metadata = {
        "kind": KIND,
        "architecture": json.dumps(trained.network.architecture),
        "recipe": json.dumps(recipe),
        "facts": json.dumps(facts),
    }
    path = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in half.items()}, path, metadata)
    log = {"recipe": recipe, "facts": facts, "photos": trained.photos, "log": trained.log}
    (folder / f"{name}.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    return path


def train_and_save(
    picture: Picture, recipe: Recipe, folder: str | Path, device: str | torch.device | None = None
) -> tuple[Trained, Path]:
    """Trains on the course's free photos; writes the checkpoint again and again while it runs.

    Args:
        picture: the style.
        recipe: how.
        folder: where `save` writes, under the style's name, with "_batch" for that norm.
        device: where to train; the course's by default.

    Raises:
        FileExistsError: there is such a checkpoint; it is left as it is.
    """
    name = picture.name + ("" if recipe.norm == "instance" else f"_{recipe.norm}")
    path = Path(folder) / f"{name}.safetensors"
    if path.exists():
        raise FileExistsError(f"out: {path} is there already; move it away, or name another folder")

    def keep(trained: Trained) -> None:
        save(trained, folder, name)  # a cut-off loses at most the steps since the last one
        last = {term: trained.log[f"unseen_{term}"][-1] for term in ("style", "content")}
        said = ", ".join(f"{term} {value:.3f}" for term, value in last.items())
        print(f"step {trained.steps}, {trained.seconds:.0f} s: on unseen photos {said}", flush=True)

    trained = train(picture, recipe, device=device, callback=keep, every=50)
    return trained, save(trained, folder, name)


KIND = "transform network of one style, 1"
"""What a checkpoint says it is; another number once older ones can no longer be read."""


def styles() -> list[str]:
    """The names of the shipped checkpoints: a painting's, or a painting's and another norm's."""
    return sorted(path.stem for path in paths.data("styles").glob("*.safetensors"))


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
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    )
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
    return network, metadata, tensors


def training_log(name: str) -> dict:
    """The log of a shipped checkpoint: "recipe", "facts", "photos", and "log" as in `Trained`.

    Raises:
        ValueError: no such style; near spellings are suggested.
    """
    if name not in styles():
        raise ValueError(unknown("name", name, styles(), "styles"))
    return json.loads(paths.data("styles", f"{name}.json").read_text(encoding="utf-8"))


# ------------------------------------------------------------------ painting


@torch.no_grad()
def stylise(network: nn.Module, image: object, max_side: int | None = 1024) -> Tensor:
    """One photo, painted in one pass.

    Args:
        network: a transform network.
        image: as `images.read` accepts it: any size, grey or with transparency.
        max_side: larger photos are shrunk to this longer side; None paints them as they are, at
            about 1 GB for 4 megapixels.

    Returns:
        (3,H,W) in 0-1, on the CPU.
    """
    device = next(network.parameters()).device
    return network(images.read(image, max_side)[None].to(device))[0].cpu()


def fade(pixels: Tensor, contrast: float) -> Tensor:
    """Pixels in 0-1, drawn towards middle grey: 1 leaves them, 0 is plain grey.

    Raises:
        ValueError: a contrast outside 0-1.
    """
    if not 0 <= contrast <= 1:
        raise ValueError(f"contrast={contrast}; accepted: 0 to 1")
    return 0.5 + contrast * (pixels - 0.5)


def pan(image: object, side: int, step: int, frames: int) -> Iterator[Tensor]:
    """A camera that moves to the right: windows of a photo, each `step` pixels further.

    Args:
        image: as `images.read` accepts it.
        side: of the square windows, in pixels.
        step: pixels between frames.
        frames: how many.

    Yields:
        (3,side,side) in 0-1.

    Raises:
        ValueError: the photo is too small for so many frames.
    """
    pixels = images.read(image)
    needed = side + step * (frames - 1)
    height, width = pixels.shape[1:]
    if width < needed or height < side:
        raise ValueError(f"image: {width} x {height} pixels; needed: {needed} x {side} or more")
    top = (height - side) // 2
    for i in range(frames):
        yield pixels[:, top : top + side, i * step : i * step + side]


def flicker(frames: Sequence[Tensor], step: int, margin: int = 16) -> float:
    """How much one and the same spot changes from frame to frame, though only the camera moved.

    Args:
        frames: (3,H,W) each, from `pan` or painted from it.
        step: the pixels the camera moves in each frame.
        margin: pixels at the border that do not count, since what lies outside changes there.

    Returns:
        The mean absolute difference of consecutive frames where they show the same, in 0-1.

    Raises:
        ValueError: fewer than two frames, or frames too small for step and margin.
    """
    if len(frames) < 2 or min(frames[0].shape[1:]) <= 2 * margin + step:
        raise ValueError(
            f"frames: {len(frames)} of {tuple(frames[0].shape) if len(frames) else '-'}; accepted: "
            f"two or more, larger than {2 * margin + step} pixels"
        )
    inner = [
        frame[:, margin : frame.shape[1] - margin, margin : -margin or None] for frame in frames
    ]
    pairs = zip(inner, inner[1:], strict=False)
    gaps = [(a[:, :, step:] - b[:, :, : b.shape[2] - step]).abs().mean() for a, b in pairs]
    return torch.stack(gaps).mean().item()
