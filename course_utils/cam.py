"""Lecture 08: which places of the last feature maps speak for a class, and for any layer.

Zhou, Khosla, Lapedriza, Oliva & Torralba, "Learning Deep Features for Discriminative Localization",
CVPR 2016; Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra, "Grad-CAM", ICCV 2017.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_utils import guided, layers
from course_utils.common import gate
from course_utils.common.scores import chosen, class_indices, class_scores

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right excluded, as in a slice."""


@dataclass(frozen=True)
class Head:
    """How a network gets its scores from its last feature maps.

    With M_c = sum_k w_ck A_k the scores are mean(M_c) + b_c, or mean(ReLU(M_c + b_c)).

    Attributes:
        maps: A, (N,K,h,w).
        weight: w, (C,K).
        bias: b, (C,).
        rectified: whether a ReLU stands between the weighted sum and the mean.
        scores: the logits (N,C) that the network itself gave.
    """

    maps: Tensor
    weight: Tensor
    bias: Tensor
    rectified: bool
    scores: Tensor


def head(model: nn.Module, x: Tensor) -> Head:
    """The last feature maps of images and the weights that make scores of them, in one pass.

    Args:
        model: a network that ends in global average pooling and one linear layer (in this order:
            ResNet, DenseNet, EfficientNet, MobileNetV2 ...), or in a 1x1 convolution, perhaps a
            ReLU, and global average pooling (SqueezeNet, Network in Network).
        x: normalised images (N,3,H,W).

    Raises:
        ValueError: the network ends otherwise, so that it has no class activation maps; Grad-CAM
            does not mind.
    """
    found = _head(model, x)
    own = (found.maps.clone(), found.weight.clone(), found.bias.clone())
    return Head(*own, found.rectified, found.scores)


def _head(model: nn.Module, x: Tensor) -> Head:
    """As `head`, but its weights, and perhaps its maps, are the network's own and not copies."""
    gate.check_shape(x)
    last = set(islice(_leaves_from_the_end(model), 6))  # which mostly tell enough
    try:
        return _head_of(model, x, last)
    except ValueError:
        return _head_of(model, x, frozenset())


def _head_of(model: nn.Module, x: Tensor, beginning: Collection[nn.Module]) -> Head:
    """The head, from a record that begins with the first of these modules; none: with the pass."""
    recorder = _Recorder()
    with torch.no_grad(), recorder.of_the_last(beginning):
        scores = gate.run(model, x.detach())
    gate.check_logits(model, scores, len(x))
    name, args = recorder.made(scores)
    if name == "linear":
        _, weight, bias = _three(args)
        maps, pooled = recorder.pooled(args[0], model)
        rectified = False
    else:
        summed, pooled = recorder.pooled(scores, model)
        name, args = recorder.made(summed)
        rectified = name in ("relu", "relu_")
        name, args = recorder.made(args[0], after=("relu", "relu_")) if rectified else (name, args)
        if name != "conv2d" or args[1].shape[2:] != (1, 1) or args[1].shape[1] != args[0].shape[1]:
            raise _unfit(model, f"what is pooled comes from {name!r}, not from a 1x1 convolution")
        maps, weight, bias = _three(args)
        weight = weight[:, :, 0, 0]
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return Head(maps, weight.detach(), bias.detach(), rectified, scores)


def class_activation_map(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    """M_c = sum_k w_ck A_k: the feature maps, each as much as the class wants it.

    Args:
        maps: A, the last feature maps (N,K,h,w).
        weight: w, of the linear layer that follows the pooling, (C,K).
        classes: the class of each image, (N,) int64.

    Returns:
        (N,h,w), signed: the mean of a map is the image's score without the bias.

    Raises:
        ValueError: shapes that do not fit together.

    Reference: Zhou et al. 2016, equation 2.
    """
    if maps.ndim != 4 or weight.ndim != 2 or maps.shape[1] != weight.shape[1]:
        raise ValueError(
            f"maps: {tuple(maps.shape)}, weight: {tuple(weight.shape)}; accepted: (N,K,h,w), (C,K)"
        )
    if classes.shape != maps.shape[:1]:
        raise ValueError(f"classes: {tuple(classes.shape)} for {len(maps)} images; one for each")
    return torch.einsum("nk,nkhw->nhw", weight[classes], maps)


def cam(model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor) -> Tensor:
    """The class activation map of each image, by one forward pass.

    Args:
        model: as for `head`.
        x: normalised images (N,3,H,W).
        classes: the class of each image, or one for all (index or name).

    Returns:
        (N,h,w), signed, at the resolution of the last feature maps.

    Raises:
        ValueError: as `head`, and for a class the network does not have.
    """
    index = class_indices(model, classes, len(gate.check_shape(x))).to(x.device)
    found = _head(model, x)
    chosen(found.scores, index)  # refuses classes that are not there
    return class_activation_map(found.maps, found.weight, index)


def channel_weights(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, layer: str | nn.Module
) -> tuple[Tensor, Tensor]:
    """The feature maps A of a layer, and alpha_k = mean_ij dS_c/dA_kij: what each is worth.

    Args, raises: as `grad_cam`.

    Returns:
        A (N,K,h,w) and alpha (N,K).
    """
    leaves = []

    def cut(module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        # From here on there is a graph, however frozen the network is, and none before: this
        # spares the backward pass everything below the layer.
        leaves.append(gate.check_maps(output, layer, x).detach().requires_grad_())
        return leaves[-1].clone()  # what follows may work in place

    handle = layers.find(model, layer).register_forward_hook(cut)
    try:
        with torch.enable_grad():
            score = class_scores(
                model, gate.check_shape(x).detach(), classes
            ).sum()  # images do not mix
    finally:
        handle.remove()
    if not leaves or not score.requires_grad:
        raise ValueError(f"layer={layer!r}: the scores do not depend on it")
    gradient = torch.autograd.grad(score, leaves[-1])[0]
    return leaves[-1].detach(), gradient.mean((2, 3))


def grad_cam(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, layer: str | nn.Module
) -> Tensor:
    """L_c = ReLU(sum_k alpha_k A_k): which places of a layer speak for the class.

    Where every weighted sum is negative the map is zero throughout; nothing is divided by its
    maximum here, so there is no NaN either.

    Args:
        model: a network with one logit per class, frozen or not.
        x: normalised images (N,3,H,W).
        classes: the class of each image, or one for all (index or name).
        layer: a name as `layers.find` accepts it, of a layer with feature maps (N,K,h,w).

    Returns:
        (N,h,w), never negative, at the resolution of the layer.

    Raises:
        ValueError: unknown layer, one without feature maps or without influence on the scores;
            otherwise as `class_scores`.

    Reference: Selvaraju et al. 2017, equations 1 and 2.
    """
    maps, alpha = channel_weights(model, x, classes, layer)
    return torch.einsum("nk,nkhw->nhw", alpha, maps).relu()


def upsample(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Maps (N,h,w) at the resolution of the picture, bilinearly: (N,H,W).

    A map's value sits in the middle of its cell (`align_corners=False`): the outermost half cell is
    filled with the border's value.

    Args:
        maps: (N,h,w).
        size: height and width in pixels, or one number for both.
    """
    if maps.ndim != 3:
        raise ValueError(f"maps: shape {tuple(maps.shape)}; accepted: (N,h,w)")
    size = (size, size) if isinstance(size, int) else tuple(size)
    return nn.functional.interpolate(maps[:, None], size=size, mode="bilinear")[:, 0]


def guided_grad_cam(
    model: nn.Module, x: Tensor, classes: int | str | Sequence | Tensor, layer: str | nn.Module
) -> Tensor:
    """Guided Grad-CAM: the guided gradient where Grad-CAM is large.

    Args:
        model, x, classes, layer: as for `grad_cam`; the network's ReLUs must be found by
            `guided.guided_gradient`.

    Returns:
        (N,3,H,W), signed.

    Raises:
        ValueError: as `grad_cam` and `guided.guided_gradient`.

    Reference: Selvaraju et al. 2017, section 3.2.
    """
    where = upsample(grad_cam(model, x, classes, layer), tuple(x.shape[2:]))
    return guided.guided_gradient(model, x, classes) * where[:, None]


# ------------------------------------------------------------------ where the object is


def largest_box(heat: Tensor, share: float) -> Box:
    """The box around the largest patch of a map above a share of its maximum.

    Args:
        heat: a map (H,W), finite, its maximum above zero.
        share: of the maximum, from 0 up to but not 1; Zhou et al. take 0.2.

    Returns:
        (top, left, bottom, right), bottom and right excluded. Pixels that touch at a side belong to
        one patch, at a corner alone they do not. Of two equally large patches, the upper one.

    Raises:
        ValueError: a map of another shape or without any positive value, or another share.

    Reference: Zhou et al. 2016, section 3.2.
    """
    if heat.ndim != 2 or not torch.isfinite(heat).all():
        raise ValueError(f"heat: shape {tuple(heat.shape)}; accepted: a finite map (H,W)")
    if not 0 <= share < 1:
        raise ValueError(f"share={share}; accepted: 0 up to, but not, 1")
    if heat.max() <= 0:
        raise ValueError("heat: no value above zero, so the map points at no object")
    hot = (heat > share * heat.max()).cpu().numpy().astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=4)
    patches = stats[1:]  # the first one is what is not hot
    left, top, width, height, _ = patches[patches[:, cv2.CC_STAT_AREA].argmax()].tolist()
    return top, left, top + height, left + width


def mask_box(mask: Tensor) -> Box:
    """The box around everything in a mask (H,W) bool. ValueError for an empty one."""
    if mask.ndim != 2 or not mask.any():
        raise ValueError(f"mask: shape {tuple(mask.shape)}; accepted: (H,W), not empty")
    rows, columns = (mask.any(axis).nonzero() for axis in (1, 0))
    return (
        int(rows.min()),
        int(columns.min()),
        int(rows.max()) + 1,
        int(columns.max()) + 1,
    )


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0-1."""
    height = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    if area <= 0:
        raise ValueError(f"boxes {a} and {b} have no area; accepted: (top, left, bottom, right)")
    return height * width / (area - height * width)


def centre_box(size: tuple[int, int], share: float) -> Box:
    """A box in the middle of a picture, `share` of its height and of its width."""
    if not 0 < share <= 1:
        raise ValueError(f"share={share}; accepted: above 0, at most 1")
    margins = [round(n * (1 - share) / 2) for n in size]
    return margins[0], margins[1], size[0] - margins[0], size[1] - margins[1]


def outlined(pixels: Tensor, box: Box, colour: Sequence[float], width: int = 3) -> Tensor:
    """A picture (3,H,W) in 0-1 with the outline of a box drawn into it, `width` pixels wide."""
    drawn = pixels.clone()
    top, left, bottom, right = box
    paint = torch.tensor(list(colour), device=pixels.device)[:, None, None].to(pixels)
    for rows in (slice(top, min(top + width, bottom)), slice(max(bottom - width, top), bottom)):
        drawn[:, rows, left:right] = paint
    for columns in (slice(left, min(left + width, right)), slice(max(right - width, left), right)):
        drawn[:, top:bottom, columns] = paint
    return drawn


# ------------------------------------------------------------------ how a network ends


class _Recorder(TorchFunctionMode):
    """Remembers which function made the last tensors of a forward pass, and of what.

    It sees layers and plain functions alike, so it also knows networks that pool by `x.mean`.
    """

    def __init__(self, last: int = 8) -> None:
        super().__init__()
        # The tensors are kept, so no id is used twice; few of them, since early maps are large.
        self.calls: deque = deque(maxlen=last)

    def __torch_function__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.calls.append((out, func.__name__, args))
        return out

    @contextmanager
    def of_the_last(self, beginning: Collection[nn.Module]) -> Iterator[None]:
        """Records from when the first of some modules is called; without any, from now on.

        Each call that is recorded costs some microseconds, and networks make hundreds.
        """
        with ExitStack() as stack:

            def begin(module: nn.Module, args: tuple) -> None:
                for handle in handles:
                    handle.remove()
                stack.enter_context(self)

            handles = [module.register_forward_pre_hook(begin) for module in beginning]
            if not beginning:
                stack.enter_context(self)
            try:
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def made(self, tensor: object, after: tuple[str, ...] = ()) -> tuple[str, tuple]:
        """The name and arguments of the function that made a tensor.

        Steps that return the tensor they were given are passed over if they change nothing, or
        work in place and are named in `after`.
        """
        for out, name, args in reversed(self.calls):
            if out is tensor and not (name in (*_SAME, *after) and args[0] is tensor):
                return name, args
        return "an unknown step", (None,)

    def pooled(self, tensor: Tensor, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The maps (N,K,h,w) whose global average a tensor (N,K) is, and the average."""
        name, args = self.made(tensor)
        while name in _SAME:
            name, args = self.made(args[0])
        if name not in ("adaptive_avg_pool2d", "avg_pool2d", "mean") or args[0].ndim != 4:
            raise _unfit(model, f"its last vector comes from {name!r}, not from average pooling")
        average = args[0].mean((2, 3))
        if _same(args[0].mean((1, 2)), tensor):
            raise _unfit(model, "its last maps have their channels last, (N,h,w,K)")
        if not _same(average, tensor):
            raise _unfit(model, "its pooling is no average over all positions")
        return args[0], average


def _leaves_from_the_end(model: nn.Module) -> Iterator[nn.Module]:
    """Modules without parts, the last one first."""
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return  # these take no hook
    parts = list(model.children())
    for part in reversed(parts):
        yield from _leaves_from_the_end(part)
    if not parts:
        yield model


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, 1e-3, 1e-5)


_SAME = ("flatten", "view", "reshape", "squeeze", "dropout", "contiguous", "dropout_")
"""Functions that leave the numbers as they are, in eval mode at least."""


def _three(args: tuple) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias of a linear layer or convolution."""
    return args[0], args[1], args[2] if len(args) > 2 else None


def _unfit(model: nn.Module, why: str) -> ValueError:
    name = getattr(model, "name", type(model).__name__)
    return ValueError(
        f"model: {name} has no class activation maps: {why}. Accepted: networks that end in global "
        "average pooling and one linear layer, or in a 1x1 convolution and global average pooling, "
        "in eval mode. `grad_cam` works for the others."
    )
