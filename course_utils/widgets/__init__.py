"""Pictures that change when a slider moves: a small kit, and the explorers of the lectures.

An explorer is the last line of a cell. It draws at once, keeps a plain picture for viewers without
widgets, runs a network only when a control is let go of, and says in red what went wrong.
"""

from course_utils.widgets.activations import activations_explorer
from course_utils.widgets.adversarial import adversarial_explorer
from course_utils.widgets.ascent import ascent_explorer
from course_utils.widgets.attention import attention_explorer
from course_utils.widgets.cam import cam_explorer
from course_utils.widgets.dream import dream_explorer
from course_utils.widgets.fast_style import fast_style_explorer, training_dial
from course_utils.widgets.filters import filter_explorer
from course_utils.widgets.guided import guided_explorer, relu_explorer
from course_utils.widgets.inversion import inversion_explorer
from course_utils.widgets.kit.choosers import ClassChooser, Photo, PhotoChooser
from course_utils.widgets.kit.controls import choice, slider, switch
from course_utils.widgets.kit.explorer import Explorer, explore, remember
from course_utils.widgets.kit.frames import scrub
from course_utils.widgets.kit.pictures import coloured
from course_utils.widgets.last_layer import last_layer_explorer
from course_utils.widgets.occlusion import occlusion_explorer
from course_utils.widgets.patches import patches_explorer
from course_utils.widgets.saliency import saliency_explorer
from course_utils.widgets.style import style_explorer
from course_utils.widgets.texture import texture_explorer
from course_utils.widgets.trust import deletion_explorer, randomisation_explorer

__all__ = [
    "ClassChooser",
    "Explorer",
    "Photo",
    "PhotoChooser",
    "activations_explorer",
    "adversarial_explorer",
    "ascent_explorer",
    "attention_explorer",
    "cam_explorer",
    "choice",
    "coloured",
    "deletion_explorer",
    "dream_explorer",
    "explore",
    "fast_style_explorer",
    "filter_explorer",
    "guided_explorer",
    "inversion_explorer",
    "last_layer_explorer",
    "occlusion_explorer",
    "patches_explorer",
    "randomisation_explorer",
    "relu_explorer",
    "remember",
    "saliency_explorer",
    "scrub",
    "slider",
    "style_explorer",
    "switch",
    "texture_explorer",
    "training_dial",
]
