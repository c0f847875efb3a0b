"""Lecture 17: what a network sees that has no convolutions.

looking.py  attention maps: taken out, computed, joined over the layers, measured
tokens.py   patch tokens: coloured, matched, shuffled, left out
heads.py    linear heads that name the cut-outs, and scenes for them
stored.py   what was measured before, and marked by hand
"""

from course_utils.attention.heads import (
    LAST,
    WithHead,
    decided,
    fit_weights,
    last_vector,
    scenes,
    vectors,
    with_head,
)
from course_utils.attention.looking import (
    attention_maps,
    class_attention,
    from_cls,
    from_patch,
    gradient_rollout,
    grid,
    last_attention,
    look,
    look_distances,
    patch_embedding,
    rolled_out,
    rollout,
    transformer,
)
from course_utils.attention.stored import (
    animals,
    stored,
    stored_arrays,
)
from course_utils.attention.tokens import (
    Point,
    as_maps,
    counterpart,
    dropped_patches,
    first_component,
    kept_logits,
    part_hits,
    patch_at,
    patch_maps,
    principal_colours,
    shuffled,
    untrained,
)

__all__ = [
    "LAST",
    "Point",
    "WithHead",
    "animals",
    "as_maps",
    "attention_maps",
    "class_attention",
    "counterpart",
    "decided",
    "dropped_patches",
    "first_component",
    "fit_weights",
    "from_cls",
    "from_patch",
    "gradient_rollout",
    "grid",
    "kept_logits",
    "last_attention",
    "last_vector",
    "look",
    "look_distances",
    "part_hits",
    "patch_at",
    "patch_embedding",
    "patch_maps",
    "principal_colours",
    "rolled_out",
    "rollout",
    "scenes",
    "shuffled",
    "stored",
    "stored_arrays",
    "transformer",
    "untrained",
    "vectors",
    "with_head",
]
