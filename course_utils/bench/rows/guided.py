"""Lecture 07: guided backpropagation of a class score."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from course_utils import guided
from course_utils.bench.row import Contender, Finding, Row, equal
from course_utils.bench.rows import scene as scenes
from course_utils.bench.rows.saliency import ONE_PASS, OURS, THEIRS, captum, course
from course_utils.bench.rows.scene import Scene

GRAD_CAM = "grad-cam, network as downloaded"


def out_of_place(model: nn.Module) -> nn.Module:
    """The same network; captum refuses ReLUs that overwrite their input."""
    for part in model.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return model


def captum_guided(model: nn.Module, scene: Scene) -> Callable[[], Tensor]:
    """captum's `GuidedBackprop`."""
    from captum.attr import GuidedBackprop

    method = GuidedBackprop(out_of_place(model))
    return lambda: method.attribute(scene.x.clone().requires_grad_(), target=scene.target).detach()


def grad_cam_guided(scene: Scene) -> Callable[[], np.ndarray]:
    """grad-cam's, which returns the colours last."""
    from pytorch_grad_cam import GuidedBackpropReLUModel

    method = GuidedBackpropReLUModel(scenes.as_downloaded(scene.model), torch.device("cpu"))
    # A copy each time: it adds its gradient to what a former call left on the caller's image.
    return lambda: method(scene.x.clone(), target_category=scene.target).transpose(2, 0, 1)


def the_same(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """Every result is the course's; see `saliency.the_same` for why two limits."""
    ours = next(iter(results.values()))
    limits = {THEIRS: 0.05, OURS: 1e-4, GRAD_CAM: 0.05}
    return {name: equal(ours, results[name], limit) for name, limit in limits.items()}


ROWS = [
    Row(
        "guided_backprop",
        "Guided backpropagation of a photo",
        scenes.photo,
        (
            course(guided.guided_gradient),
            *captum(captum_guided),
            Contender(GRAD_CAM, grad_cam_guided, "grad-cam"),
            ONE_PASS,
        ),
        the_same,
        note="captum is given a network whose ReLUs do not overwrite their input, without which it "
        "stops with an error. grad-cam exchanges the caller's ReLUs and leaves gradients on its "
        "weights; the course and captum leave the network as it was.",
    ),
]
