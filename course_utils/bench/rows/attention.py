"""Lecture 17: the attention maps of every block, beside timm's way of getting at them."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from course_utils import attention, images, models
from course_utils.bench.row import Contender, Finding, Row, equal
from course_utils.bench.rows import scene as scenes
from course_utils.bench.rows.scene import Scene

TIMM, FUSED = "timm, its AttentionExtract", "floor: one forward pass, attention fused (timm)"
BLOCKS = 12


def transformer() -> Scene:
    """The course's transformer and the panda, on the CPU; there is no class."""
    model = models.load("vit_small_dinov2_saliency", "cpu")
    return Scene(model, model.preprocess(images.photo("panda")), -1)


def timms(scene: Scene, fused: bool) -> nn.Module:
    """timm's own network with the same weights; the switch counts while it is built."""
    import timm
    from timm.layers import set_fused_attn

    set_fused_attn(fused)
    try:
        made = timm.create_model("vit_small_patch14_dinov2", num_classes=0, dynamic_img_size=True)
    finally:
        set_fused_attn(True)
    made.load_state_dict(scene.model.module.state_dict())
    return made.eval().requires_grad_(False)


def course_look(scene: Scene) -> Callable[[], Tensor]:
    """The course's helper."""
    return lambda: attention.look(scene.model, scene.x)


def timm_extract(scene: Scene) -> Callable[[], Tensor]:
    """Hooks at the dropout after each softmax, which timm finds by name."""
    from timm.utils import AttentionExtract

    extract = AttentionExtract(timms(scene, fused=False), method="hook")

    def call() -> Tensor:
        with torch.no_grad():
            return torch.stack(list(extract(scene.x).values()))

    return call


def fused_pass(scene: Scene) -> Callable[[], Tensor]:
    """A pass that never writes an attention map down."""
    model = timms(scene, fused=True)

    def call() -> Tensor:
        with torch.no_grad():
            return model.forward_features(scene.x)

    return call


def the_same_maps(scene: Scene, results: Mapping[str, object]) -> dict[str, Finding]:
    """timm's maps are the course's."""
    return {TIMM: equal(results["the course"], results[TIMM], 1e-3)}


ROWS = [
    Row(
        "attention",
        f"Attention maps of a photo, all {BLOCKS} blocks and 6 heads",
        transformer,
        (
            Contender("the course", course_look),
            Contender(TIMM, timm_extract, "timm"),
            Contender(FUSED, fused_pass, floor=True),
            Contender(
                "floor: one forward pass", lambda s: scenes.forward_passes(s, 1, 1), floor=True
            ),
        ),
        the_same_maps,
        note="One pass either way. timm has to be built without its fused kernel, or the maps are "
        "nowhere; the course's network always writes them down, and the second floor shows what "
        "that costs.",
    ),
]
