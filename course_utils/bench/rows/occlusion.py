"""Lecture 05: occlusion, recomputing only what the square can reach."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from course_utils import occlusion
from course_utils.bench.row import Contender, Finding, Row, equal
from course_utils.bench.rows import scene as scenes
from course_utils.bench.rows.saliency import captum, the_same
from course_utils.bench.rows.scene import Scene

WINDOW, STRIDE = 32, 8
POSITIONS = 625  # 25 x 25 in 224 pixels
CAPTUM_BATCH = 8  # squares per evaluation: its fastest setting; the default is 1
BATCH = 25
ALL = "the course, scores of all 1000 classes"


def course_occlusion(scene: Scene) -> Callable[[], Tensor]:
    """The mean drop of the score for the squares over each pixel, as captum returns it."""
    return lambda: drop_in_score(scene, [scene.target], 0)


def course_all_classes(scene: Scene) -> Callable[[], Tensor]:
    """The same from the scores of all classes, as probabilities need them."""
    return lambda: drop_in_score(scene, None, scene.target)


def drop_in_score(scene: Scene, classes: list[int] | None, place: int) -> Tensor:
    """(H,W), from the logits of some classes, or all; the target is the one at `place`."""
    with torch.no_grad():
        before = scene.model(scene.x)[0]
    after = occlusion.occlusion_logits(scene.model, scene.x, WINDOW, STRIDE, classes=classes)
    before = before if classes is None else before[classes]
    lost = occlusion.drop(before, after, place, probability=False)
    return occlusion.to_pixels(lost, WINDOW, STRIDE, *scene.x.shape[2:])


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


def the_same_map(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """Every contender's map is the course's."""
    found = the_same(1e-4, downloaded=1e-4)(scene, results)
    return {ALL: equal(results["the course"], results[ALL], 1e-4), **found}


ROWS = [
    Row(
        "occlusion",
        f"Occlusion of a photo, {POSITIONS} positions (window {WINDOW}, stride {STRIDE})",
        scenes.photo,
        (
            Contender("the course", course_occlusion),
            Contender(ALL, course_all_classes),
            *captum(captum_occlusion),
            Contender(
                f"{POSITIONS} bare forward passes",
                lambda s: scenes.forward_passes(s, POSITIONS, BATCH),
                floor=True,
            ),
        ),
        the_same_map,
        note=f"captum covers {CAPTUM_BATCH} positions per evaluation, its fastest. The bare "
        f"passes, {BATCH} at a time, are the least that whole pictures cost; the course needs less "
        "because it recomputes only what each square can reach in every layer, and of the last "
        "one, a convolution with 1000 maps, only the class asked for. Probabilities need all.",
    ),
]
