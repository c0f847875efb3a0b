"""The zoo: ImageNet-trained networks, each with its preprocessing, labels and layer names.

Four networks ship with the course and load offline; torchvision's own load through its weights API
where there is a connection. All come frozen, in eval mode and with out-of-place ReLUs, because the
course differentiates with respect to pixels, never weights.
"""

import operator
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import SqueezeNet1_1_Weights, WeightsEnum
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from course_utils import images
from course_utils.common.errors import unknown
from course_utils.common.gate import check_unit_range
from course_utils.common.transformer import VisionTransformer
from course_utils.common.transformer import layer_names as transformer_layers
from course_utils.common.weights import read_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Network(nn.Module):
    """A network in eval mode with frozen weights, and what is needed to feed and to read it.

    Args:
        module: the network; maps normalised images (N,3,H,W) to logits (N,C) or to features.
        name: its name in the zoo.
        mean, std: per-channel normalisation of RGB in 0-1.
        labels: class names, in the order of the logits; empty for a network without classifier.
        layers: the field's layer names, mapped to paths of submodules, in forward order.
        resize, crop: the short side before cropping and the side of the square crop, in pixels.
        interpolation: how `preprocess` resizes.
        overwrites: whether a layer may write on another's output, as ResNet's `out += identity`
            does; `layers.capture` then keeps copies, which cost time and memory.

    Raises:
        ValueError: if `mean` or `std` is not three numbers, or a name in `layers` leads nowhere.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str = "network",
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        labels: Sequence[str] = (),
        layers: dict[str, str] | None = None,
        resize: int = 256,
        crop: int = 224,
        interpolation: v2.InterpolationMode = v2.InterpolationMode.BILINEAR,
        overwrites: bool = True,
    ) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3:
            raise ValueError(f"mean and std need 3 numbers each, got {mean!r} and {std!r}")
        self.module, self.name, self.labels = module, name, list(labels)
        self.resize, self.crop, self.interpolation = resize, crop, interpolation
        self.overwrites = overwrites
        self.layers = dict(layers or {n: n for n, _ in module.named_modules() if n})
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        for path in self.layers.values():
            module.get_submodule(path)
        for part in self.modules():
            if getattr(part, "inplace", False):
                part.inplace = False  # in-place ReLUs overwrite what hooks and gradients look at
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N,C) of normalised images `x` (N,3,H,W); else feature maps or tokens."""
        return self.module(x)

    def get_submodule(self, target: str) -> nn.Module:
        """A layer by its name in the field ("fire5"), any part by its path here.

        Raises:
            AttributeError: no such part.
        """
        if target in self.layers:
            return self.module.get_submodule(self.layers[target])
        return super().get_submodule(target)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @property
    def has_classifier(self) -> bool:
        """Whether the output is one logit per class."""
        return bool(self.labels)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels in 0-1, (3,H,W) or (N,3,H,W), to the zero-centred values the network knows.

        Raises:
            ValueError: whole numbers, or values as in 0-255.
        """
        check_unit_range(pixels)
        return (pixels.to(self.mean) - self.mean) / self.std

    def denormalize(self, x: Tensor) -> Tensor:
        """The inverse of `normalize`; not clipped to 0-1."""
        return x * self.std + self.mean

    def preprocess(self, image: object) -> Tensor:
        """Resizes the short side, crops the centre, normalises: what the network saw in training.

        Args:
            image: a picture of `images`, a file name, a PIL image, an array or tensor as
                `images.read` accepts them, or a list of these, or a tensor (N,3,H,W) in 0-1.

        Returns:
            Normalised images (N,3,crop,crop) on the network's device.
        """
        return self.normalize(self.crop_pixels(image))

    def crop_pixels(self, image: object) -> Tensor:
        """The pixels that `preprocess` shows the network: (N,3,crop,crop), RGB in 0-1, CPU."""
        several = isinstance(image, list | tuple) or (isinstance(image, Tensor) and image.ndim == 4)
        batch = list(image) if several else [image]
        if not batch:
            raise ValueError("image: an empty list; one image or more is needed")
        enough = 4 * self.resize  # from there on the resizing decides how it looks
        return torch.stack([self._crop(images.read(one, enough=enough)) for one in batch])

    def _crop(self, pixels: Tensor) -> Tensor:
        small = tvf.resize(pixels, [self.resize], self.interpolation, antialias=True)
        return tvf.center_crop(small, [self.crop, self.crop]).clamp(0, 1)

    def index(self, label: str | int) -> int:
        """The index of a class, from its name (any case, spaces or underscores) or from the index.

        The exact spelling wins: "Cardigan" is the dog, "cardigan" the garment.

        Raises:
            ValueError: unknown name (near spellings are suggested), index out of range, or a
                network without a classifier.
            TypeError: neither text nor an integer.
        """
        if not self.has_classifier:
            raise ValueError(
                f"{self.name} has no classifier, or none whose classes have names, so it has no "
                f"class {label!r}. Use squeezenet1_1 or efficientnet_lite0, or give `labels`."
            )
        if not isinstance(label, str):
            number = operator.index(label)  # NumPy's integers and one-element tensors count too
            if 0 <= number < len(self.labels):
                return number
            raise ValueError(f"class index {number} is outside 0 to {len(self.labels) - 1}")
        spelled = label.replace("_", " ").strip()
        if spelled in self.labels:
            return self.labels.index(spelled)
        folded = [name.lower() for name in self.labels]
        if spelled.lower() not in folded:
            raise ValueError(unknown("label", label, self.labels, f"classes of {self.name}"))
        return folded.index(spelled.lower())


class OnPixels(nn.Module):
    """A network that takes pixels in 0-1 and normalises them itself.

    Its gradients are per unit of brightness, and what is added to its input is added to the photo.

    Args:
        network: whose weights are used; nothing is copied or changed.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.labels, self.index = network, network.labels, network.index
        self.training = network.training

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N,C) of pixels (N,3,H,W) in 0-1, on the device of the pixels."""
        return self.network(self.network.normalize(pixels)).to(pixels.device)


def on_pixels(model: nn.Module) -> nn.Module:
    """A network of the zoo for pixels in 0-1; another module is taken to be for pixels already.

    Raises:
        ValueError: a network of the zoo inside a compiled or parallel one, which hides how its
            input is normalised.
    """
    parts = model._modules if isinstance(model, nn.Module) else {}
    hidden = parts.get("_orig_mod", parts.get("module"))
    if isinstance(hidden, Network) and not isinstance(model, Network):
        raise ValueError(
            f"model: {type(model).__name__} hides a network of the zoo, which would get pixels "
            "that are not normalised; give that network itself"
        )
    return OnPixels(model) if isinstance(model, Network) else model


@dataclass(frozen=True)
class Offline:
    """How one shipped network is built: file, architecture, names and normalisation.

    All of them see the same crop of a photo (bilinear to 256, centre 224), so that their answers
    can be compared; EfficientNet-Lite0 was tuned with a bicubic resize, which changes 2 of 87
    answers.
    """

    file: str
    build: Callable[[], nn.Module]
    layers: dict[str, str] | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    classifies: bool = True
    prefix: str = ""


SQUEEZENET_LAYERS = {
    "conv1": "features.0",
    "relu1": "features.1",
    "pool1": "features.2",
    "fire2": "features.3",
    "fire3": "features.4",
    "pool3": "features.5",
    "fire4": "features.6",
    "fire5": "features.7",
    "pool5": "features.8",
    "fire6": "features.9",
    "fire7": "features.10",
    "fire8": "features.11",
    "fire9": "features.12",
    "conv10": "classifier.1",
    "relu10": "classifier.2",
    "pool10": "classifier.3",
}

EFFICIENTNET_LAYERS = {
    "stem": "bn1",
    **{f"block{i + 1}": f"blocks.{i}" for i in range(7)},
    "head": "bn2",
    "pool": "global_pool",
    "classifier": "classifier",
}


def vgg_layers(features: nn.Sequential) -> dict[str, str]:
    """The field's names of a VGG stack: `relu4_2` is the second ReLU of the fourth block."""
    names, block, index = {}, 1, 0
    for i, part in enumerate(features):
        if isinstance(part, nn.Conv2d):
            index += 1
            names[f"conv{block}_{index}"] = f"features.{i}"
        elif isinstance(part, nn.ReLU):
            names[f"relu{block}_{index}"] = f"features.{i}"
        elif isinstance(part, nn.MaxPool2d):
            names[f"pool{block}"] = f"features.{i}"
            block, index = block + 1, 0
    return names


def alexnet_layers(module: nn.Module) -> dict[str, str]:
    """The paper's names of AlexNet: conv1 to conv5, relu and pool after them, fc6 to fc8."""
    names, conv = {}, 0
    for i, part in enumerate(module.features):
        kind = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}[type(part)]
        conv += kind == "conv"
        names[f"{kind}{conv}"] = f"features.{i}"
    return names | {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}


def _vgg16_up_to_conv5_1() -> nn.Module:
    return nn.Sequential(OrderedDict(features=torchvision.models.vgg16().features[:25]))


def _efficientnet_lite0() -> nn.Module:
    import timm  # takes as long as a pass through the network, which not every lecture needs

    return timm.create_model("tf_efficientnet_lite0", pretrained=False)


OFFLINE = {
    "squeezenet1_1": Offline(
        "squeezenet1_1", torchvision.models.squeezenet1_1, layers=SQUEEZENET_LAYERS
    ),
    "efficientnet_lite0": Offline(
        "tf_efficientnet_lite0",
        _efficientnet_lite0,
        layers=EFFICIENTNET_LAYERS,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    "vgg16_hed": Offline("vgg16_hed", _vgg16_up_to_conv5_1, classifies=False, prefix="features."),
    "vit_small_dinov2_saliency": Offline(
        "vit_small_dinov2_saliency",
        VisionTransformer,
        layers=transformer_layers(12),
        classifies=False,
    ),
}


def load(name: str = "squeezenet1_1", device: str | torch.device | None = None) -> Network:
    """Loads a trained network, ready to look into: eval mode, frozen, out-of-place ReLUs.

    Args:
        name: "squeezenet1_1", "efficientnet_lite0", "vgg16_hed" (VGG-16 up to conv5_1, fine-tuned
            for edge detection, no classifier) or "vit_small_dinov2_saliency" (a transformer whose
            output is tokens (N,1+h*w,D), no classifier), which are offline; or one of torchvision's
            classification networks ("vgg19", "alexnet", "resnet18" ...), downloaded on first use.
        device: where to put it; `default_device()` where it is not given.

    Returns:
        A fresh `Network`: changing it changes no other.

    Raises:
        ValueError: unknown name; near spellings are suggested.
        OSError: a weight file is missing or damaged.
        ConnectionError: torchvision's weights cannot be downloaded; names the offline choices.
    """
    if name in OFFLINE:
        network = _load_offline(name)
    elif name in _torchvision_names():
        network = _load_torchvision(name)
    else:
        known = [*OFFLINE, *_torchvision_names()]
        raise ValueError(unknown("name", name, known, "networks (the first four are offline)"))
    # Convolutions follow the layout of their weights; channels_last halves a forward pass on a CPU.
    network = network.to(memory_format=torch.channels_last)
    return network.to(default_device() if device is None else torch.device(device))


def default_device() -> torch.device:
    """The device of the course: `COURSE_DEVICE` (cpu, cuda) where it is set, else a GPU if any.

    A backend that is registered with PyTorch under another name is taken too; the tests have one.

    Raises:
        ValueError: `COURSE_DEVICE` is none of these.
        RuntimeError: `COURSE_DEVICE=cuda` without a usable GPU.
    """
    named = os.environ.get("COURSE_DEVICE", "").strip().lower()
    if named not in ("", "cpu", "cuda") and named != torch._C._get_privateuse1_backend_name():
        raise ValueError(f"COURSE_DEVICE={named!r}; accepted: cpu, cuda, or unset for automatic")
    if named == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            "COURSE_DEVICE=cuda, but torch finds no CUDA GPU. Unset it, or say COURSE_DEVICE=cpu."
        )
    return torch.device(named or ("cuda" if torch.cuda.is_available() else "cpu"))


def _load_offline(name: str) -> Network:
    spec = OFFLINE[name]
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        module = spec.build()
    stored = {f"{spec.prefix}{k}": v for k, v in read_weights(spec.file).items()}
    module.load_state_dict(stored, strict=True, assign=True)
    return Network(
        module,
        name,
        spec.mean,
        spec.std,
        labels=imagenet_labels() if spec.classifies else (),
        layers=spec.layers or vgg_layers(module.features),
        overwrites=False,
    )


def imagenet_labels() -> list[str]:
    """The 1000 class names of ImageNet, in the order of the logits (torchvision's spelling)."""
    return list(SqueezeNet1_1_Weights.DEFAULT.meta["categories"])


@cache
def _torchvision_names() -> tuple[str, ...]:
    return tuple(torchvision.models.list_models(module=torchvision.models))


def _load_torchvision(name: str) -> Network:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        module = torchvision.models.get_model(name, weights=weights)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        # URLError is an OSError, a wrong hash a RuntimeError; a damaged cache raises the others.
        raise ConnectionError(
            f"the weights of {name!r} are neither whole in torch's cache nor could they be "
            f"downloaded ({type(error).__name__}: {error}). Offline choices: {', '.join(OFFLINE)}."
        ) from error
    return wrap_torchvision(module, name, weights)


def wrap_torchvision(module: nn.Module, name: str, weights: WeightsEnum) -> Network:
    """A torchvision network as a `Network`: preprocessing and labels as its weights define them."""
    rule = weights.transforms()
    layers = None
    if isinstance(module, torchvision.models.VGG):
        layers = vgg_layers(module.features)
    elif isinstance(module, torchvision.models.AlexNet):
        layers = alexnet_layers(module)
    return Network(
        module,
        name,
        rule.mean,
        rule.std,
        labels=weights.meta["categories"],
        layers=layers,
        resize=rule.resize_size[0],
        crop=rule.crop_size[0],
        interpolation=rule.interpolation,
    )
