"""Lecture 05: occlusion, recomputing only what the square can reach."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import occlusion
from course_utils.bench.row import Contender, Row
from course_utils.bench.rows import scene as scenes
from course_utils.bench.rows.saliency import captum, the_same
from course_utils.bench.rows.scene import Scene

WINDOW, STRIDE = 32, 8
POSITIONS = 625  # 25 x 25 in 224 pixels
CAPTUM_BATCH = 8  # squares per evaluation: its fastest setting; the default is 1
BATCH = 25


def course_occlusion(scene: Scene) -> Callable[[], Tensor]:
    """The mean drop of the score for the squares over each pixel, as captum returns it."""

    def call() -> Tensor:
        with torch.no_grad():
            before = scene.model(scene.x)[0]
        after = occlusion.occlusion_logits(scene.model, scene.x, WINDOW, STRIDE)
        lost = occlusion.drop(before, after, scene.target, probability=False)
        return occlusion.to_pixels(lost, WINDOW, STRIDE, *scene.x.shape[2:])

    return call


def captum_occlusion(model: nn.Module, scene: Scene) -> Callable[[], Tensor]:
    """captum's `Occlusion`; all channels are covered at once, so one of them says it all."""
    from captum.attr import Occlusion

    method = Occlusion(model)
    options = {
        "sliding_window_shapes": (3, WINDOW, WINDOW),
        "strides": (3, STRIDE, STRIDE),
        "perturbations_per_eval": CAPTUM_BATCH,
    }

    def call() -> Tensor:
        with torch.no_grad():
            return method.attribute(scene.x, target=scene.target, **options)[:, 0]

    return call


ROWS = [
    Row(
        "occlusion",
        f"Occlusion of a photo, {POSITIONS} positions (window {WINDOW}, stride {STRIDE})",
        scenes.photo,
        (
            Contender("the course", course_occlusion),
            *captum(captum_occlusion),
            Contender(
                f"{POSITIONS} bare forward passes",
                lambda s: scenes.forward_passes(s, POSITIONS, BATCH),
                floor=True,
            ),
        ),
        the_same(1e-4, downloaded=1e-4),
        note=f"captum covers {CAPTUM_BATCH} positions per evaluation, its fastest. The bare "
        f"passes, {BATCH} at a time, are the least that whole pictures cost; the course needs less "
        "because it recomputes only what each square can reach in every layer.",
    ),
]
