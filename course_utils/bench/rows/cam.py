"""Lecture 08: CAM by one forward pass, Grad-CAM at the last feature maps."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from course_utils import cam, images, models
from course_utils.bench.row import Contender, Finding, Row, equal
from course_utils.bench.rows import scene as scenes
from course_utils.bench.rows.saliency import OURS, THEIRS, captum
from course_utils.bench.rows.scene import Scene

LAYER = "fire9"
GRAD_CAM, TORCHCAM = "grad-cam, network as downloaded", "torchcam, network as downloaded"
FORWARD = Contender("floor: one forward pass", lambda s: scenes.forward_passes(s, 1, 1), floor=True)


def efficientnet() -> Scene:
    """EfficientNet-Lite0, which ends as CAM wants it (pooling, then linear), and the panda."""
    model = models.load("efficientnet_lite0", "cpu")
    x = model.preprocess(images.photo("panda"))
    with torch.no_grad():
        return Scene(model, x, int(model(x).argmax()))


def part(model: nn.Module, scene: Scene, layer: str) -> nn.Module:
    """A layer by the course's name, in the course's network or in the one it wraps."""
    inner = model.module if isinstance(model, models.Network) else model
    return inner.get_submodule(scene.model.layers[layer])


def from_0_to_1(maps: object) -> np.ndarray:
    """A map as two of the libraries return it: its least value 0, its largest 1."""
    values = np.asarray(maps, dtype=np.float64).squeeze()
    return (values - values.min()) / np.ptp(values)


# ------------------------------------------------------------------ Grad-CAM


def course_grad_cam(scene: Scene) -> Callable[[], Tensor]:
    """The course's helper, before any enlarging."""
    return lambda: cam.grad_cam(scene.model, scene.x, scene.target, LAYER)


def captum_grad_cam(model: nn.Module, scene: Scene) -> Callable[[], Tensor]:
    """captum's `LayerGradCam`, with the ReLU of the paper, which it leaves to the caller."""
    from captum.attr import LayerGradCam

    method = LayerGradCam(model, part(model, scene, LAYER))
    options = {"target": scene.target, "relu_attributions": True}
    return lambda: method.attribute(scene.x.clone().requires_grad_(), **options).detach()


def grad_cam_grad_cam(scene: Scene) -> Callable[[], np.ndarray]:
    """grad-cam's `GradCAM`, which also enlarges the map to the photo's size."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = scenes.as_downloaded(scene.model)
    method = GradCAM(model=model, target_layers=[part(model, scene, LAYER)])
    wanted = [ClassifierOutputTarget(scene.target)]
    return lambda: method(input_tensor=scene.x, targets=wanted)


def torchcam_grad_cam(scene: Scene) -> Callable[[], Tensor]:
    """torchcam's `GradCAM`, its hook of the forward pass included."""
    from torchcam.methods import GradCAM

    model = scenes.as_downloaded(scene.model)
    method = GradCAM(model, part(model, scene, LAYER))

    def call() -> Tensor:
        scores = model(scene.x.clone().requires_grad_())
        return method(scene.target, scores)[0].detach()

    return call


def the_same_places(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """captum's values are the course's; the others are, once both run from 0 to 1."""
    ours = results["the course"]
    found = {n: equal(ours, results[n], limit) for n, limit in {THEIRS: 0.01, OURS: 1e-4}.items()}
    found[TORCHCAM] = equal(from_0_to_1(ours), from_0_to_1(results[TORCHCAM]), 0.01)
    large = nn.functional.interpolate(ours[:, None], scene.x.shape[2:], mode="bilinear")
    found[GRAD_CAM] = equal(from_0_to_1(large), from_0_to_1(results[GRAD_CAM]), 0.02)
    return found


# ------------------------------------------------------------------ CAM


def course_cam(scene: Scene) -> Callable[[], Tensor]:
    """The course's helper."""
    return lambda: cam.cam(scene.model, scene.x, scene.target)


def torchcam_cam(scene: Scene) -> Callable[[], Tensor]:
    """torchcam's `CAM`, which has to be told where the head is."""
    from torchcam.methods import CAM

    model = scenes.as_downloaded(scene.model)
    method = CAM(model, part(model, scene, "head"), part(model, scene, "classifier"))

    def call() -> Tensor:
        with torch.no_grad():
            return method(scene.target, model(scene.x))[0]

    return call


def the_same_positive_part(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """torchcam drops what speaks against the class and scales to 0 to 1."""
    ours = results["the course"].relu()
    return {TORCHCAM: equal(from_0_to_1(ours), from_0_to_1(results[TORCHCAM]), 0.01)}


ROWS = [
    Row(
        "grad_cam",
        "Grad-CAM of a photo",
        scenes.photo,
        (
            Contender("the course", course_grad_cam),
            *captum(captum_grad_cam),
            Contender(GRAD_CAM, grad_cam_grad_cam, "grad-cam"),
            Contender(TORCHCAM, torchcam_grad_cam, "torchcam"),
            FORWARD,
        ),
        the_same_places,
        note=f"At {LAYER}, SqueezeNet's last feature maps: one forward pass, and backward only as "
        "far as that layer, so the forward pass is the floor. grad-cam's time contains the "
        "enlarging of the map to the photo's size.",
    ),
    Row(
        "cam",
        "CAM of a photo",
        efficientnet,
        (
            Contender("the course", course_cam),
            Contender(TORCHCAM, torchcam_cam, "torchcam"),
            FORWARD,
        ),
        the_same_positive_part,
        note="EfficientNet-Lite0. torchcam is told the two layers; the course finds them by "
        "watching every step of the same forward pass, and makes sure that the pooling is a mean: "
        "that is its extra time. captum and grad-cam have no CAM.",
    ),
]
