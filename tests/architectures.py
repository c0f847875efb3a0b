"""Networks of other families than the course's, small and with random weights.

Each is the library's own class, mostly with fewer and narrower layers, so that a pass takes a few
milliseconds. The names of some layers are those of `tiny.network`, so that what is called with one
can be called with all.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models as tv
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.regnet import BlockParams

from course_utils import attention
from course_utils.common.transformer import VisionTransformer, layer_names
from course_utils.models import Network

CLASSES = 5


@dataclass(frozen=True)
class Architecture:
    """How a network is built, and where in it examples look.

    Attributes:
        build: makes the module.
        early, late: paths of a layer near the pixels and of one near the scores.
        head: path of the last layer with weights.
        side: of the images, in pixels.
    """

    build: Callable[[], nn.Module]
    early: str
    late: str
    head: str
    side: int = 64


class Functional(nn.Module):
    """ReLU, pooling and mean as functions: no module but those with weights."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 5, 2), nn.Conv2d(8, 12, 3)
        self.last, self.act = nn.Linear(12, CLASSES), act

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.act(self.one(x)), 2)
        return self.last(self.act(self.two(x)).mean((2, 3)))


def _efficientnet() -> nn.Module:
    stages = [MBConvConfig(1, 3, 1, 16, 8, 1), MBConvConfig(4, 3, 2, 8, 16, 1)]
    return tv.EfficientNet(stages, 0.0, num_classes=CLASSES, last_channel=24)


def _convnext() -> nn.Module:
    stages = [CNBlockConfig(12, 24, 1), CNBlockConfig(24, None, 1)]
    return tv.ConvNeXt(stages, num_classes=CLASSES)


def _regnet() -> nn.Module:
    params = BlockParams.from_init_params(4, 16, 16.0, 2.0, 8, se_ratio=0.25)
    return tv.RegNet(params, num_classes=CLASSES, stem_width=8)


def _resnet() -> nn.Module:
    return _shortened(tv.ResNet(tv.resnet.BasicBlock, [1, 1, 1, 1]), 128, "layer3", "layer4")


def _inception() -> nn.Module:
    rest = ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e")
    net = tv.inception_v3(init_weights=False)
    return _shortened(net, 256, "Mixed_5c", "Mixed_5d", *rest, "Mixed_7a", "Mixed_7b", "Mixed_7c")


def _shortened(net: nn.Module, channels: int, *without: str) -> nn.Module:
    """A network of which some blocks hand on what they get, with a last layer that fits."""
    for name in without:
        setattr(net, name, nn.Identity())
    net.fc = nn.Linear(channels, CLASSES)
    return net


def _swin() -> nn.Module:
    return tv.SwinTransformer([4, 4], 12, [1, 1], [2, 2], [2, 2], num_classes=CLASSES)


def _timm_resnet() -> nn.Module:
    block = timm.models.resnet.BasicBlock
    return timm.models.resnet.ResNet(
        block, [1, 1, 1, 1], CLASSES, channels=(8, 16, 16, 32), stem_type="deep", stem_width=8
    )


def _timm_swin() -> nn.Module:
    small = {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2), "num_classes": CLASSES}
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=64, window_size=2, **small)


def _vit() -> nn.Module:
    return tv.VisionTransformer(64, 16, 2, 2, 16, 32, num_classes=CLASSES)


def _own_transformer() -> nn.Module:
    """The course's transformer, under a linear head."""
    body = Network(VisionTransformer(24, 2, 3, patch=8, grid=8), "body", layers=layer_names(2))
    return attention.WithHead(body, "norm", torch.randn(CLASSES, 24), torch.zeros(CLASSES))


ZOO = {
    "ResNet": Architecture(_resnet, "layer1", "layer2", "fc"),
    "DenseNet": Architecture(
        lambda: tv.DenseNet(4, (1, 2), 8, num_classes=CLASSES),
        *("features.denseblock1", "features.denseblock2", "classifier"),
    ),
    "MobileNetV3": Architecture(
        lambda: tv.mobilenet_v3_small(num_classes=CLASSES, width_mult=0.25),
        *("features.1", "features.5", "classifier.3"),
    ),
    "EfficientNet": Architecture(_efficientnet, "features.1", "features.2", "classifier.1"),
    "ConvNeXt": Architecture(_convnext, "features.1", "features.3", "classifier.2"),
    "Inception": Architecture(_inception, "Conv2d_1a_3x3", "Mixed_5b", "fc", 80),
    "RegNet": Architecture(_regnet, "trunk_output.block1", "trunk_output.block3", "fc"),
    "SqueezeNet": Architecture(
        partial(tv.squeezenet1_1, num_classes=CLASSES), "features.1", "features.6", "classifier.1"
    ),
    "ShuffleNet": Architecture(
        lambda: tv.ShuffleNetV2([1, 1, 1], [8, 16, 16, 16, 32], num_classes=CLASSES),
        *("stage2", "stage3", "fc"),
    ),
    "timm's ResNet": Architecture(_timm_resnet, "layer1", "layer2", "fc"),
    "timm's MNASNet": Architecture(
        partial(timm.create_model, "mnasnet_small", num_classes=CLASSES),
        *("blocks.1", "blocks.3", "classifier"),
    ),
    "functional ReLU": Architecture(partial(Functional, functional.relu), "one", "two", "last"),
    "functional GELU": Architecture(partial(Functional, functional.gelu), "one", "two", "last"),
    "Swin": Architecture(_swin, "features.1", "features.3", "head"),
    "timm's Swin": Architecture(_timm_swin, "layers.0", "layers.1", "head.fc"),
    "ViT": Architecture(_vit, "conv_proj", "encoder.layers.encoder_layer_1", "heads.head"),
    "the course's ViT": Architecture(
        _own_transformer, "model.module.blocks.0", "model.module.blocks.1", "head"
    ),
}


@cache
def module(name: str) -> nn.Module:
    """One of `ZOO`, in eval mode, its batch norms with statistics of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = ZOO[name].build()
        made.get_submodule(ZOO[name].head).weight.data.normal_(0, 1)  # scores that differ
        _settle(made, torch.randn(8, 3, ZOO[name].side, ZOO[name].side))
    return made.eval()


@torch.no_grad()
def _settle(made: nn.Module, x: Tensor) -> None:
    """Gives batch norms the statistics of some images, or signals would fade on their way."""
    norms = [part for part in made.eval().modules() if isinstance(part, nn.BatchNorm2d)]
    for part in norms:
        part.momentum = 1.0
        part.train()
    made(x)
    for part in norms:
        part.momentum = 0.1


def network(name: str) -> Network:
    """The same as a network of the zoo, with the layer names of `tiny.network`; weights shared."""
    how = ZOO[name]
    labels = [f"class {i}" for i in range(CLASSES)]
    paths = {"relu1": how.early, "conv2": how.late, "relu2": how.late, "classifier": how.head}
    return Network(module(name), name, labels=labels, layers=paths, resize=how.side, crop=how.side)


@cache
def double(name: str) -> nn.Module:
    """A copy of `module` in double precision."""
    return copy.deepcopy(module(name)).double()
