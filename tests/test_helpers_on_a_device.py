"""Helpers that take tensors but no network, on the pretend accelerator: the CPU's result, there.

`test_leaves_no_trace.py` does the same for those that take a network. Every public function of the
lectures with a tensor among its arguments is found here; one without a line in `LINES` fails
`test_every_function_has_a_line`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import numpy as np
import pretend_device
import pytest
import tiny
import torch
from test_leaves_no_trace import FUNCTIONS as WITH_A_NETWORK
from test_leaves_no_trace import NO_HELPERS, compare_with_the_cpus, network_argument, says
from torch import Tensor

import course_utils
from course_utils import activations, texture

# Not called by a lecture with a tensor of its own, or made of `Target`, which has a network.
ELSEWHERE = {
    *("ascent.for_both", "ascent.gradient_norm", "ascent.paint", "images.read"),
    *(
        "filters.learn_filters",
        "optimise.optimise",
        "optimise.save_animation",
        "patches.crops",
    ),  # in the tests of optimisation and of filters
}


class Values:
    """What the lines are about, on one device."""

    def __init__(self, device: object) -> None:
        put = lambda tensor: tensor.to(device)  # noqa: E731
        self.maps = put(tiny.array(1, 3, 4, 6, 6))
        self.pixels = put(tiny.array(2, 2, 3, 24, 24).mul(0.2).add(0.5).clamp(0, 1))
        self.photo, self.other = self.pixels
        self.vectors = put(tiny.array(3, 60, 8))
        self.bank = put(tiny.array(4, 6, 3, 5, 5))
        self.mask = put(torch.zeros(24, 24, dtype=torch.bool).index_fill(0, torch.arange(4, 9), 1))
        self.positions = put(tiny.array(5, 9, 2))
        self.two = put(torch.tensor([1, 2]))
        self.heat = put(tiny.array(6, 2, 24, 24).abs())
        self.layers = {"a": self.maps[:1], "b": self.maps[1:2] * 2}
        self.grams = {"a": put(tiny.array(7, 1, 4, 4)), "b": put(tiny.array(8, 1, 4, 4))}
        self.noise = put(tiny.array(9, 2, 3, 24, 24))


def discover() -> dict[str, Callable]:
    """Public functions with a tensor among their arguments and no network, by "module.name"."""
    found = {}
    for info in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        room, _, part = info.name.removeprefix("course_utils.").partition(".")
        if room in {*NO_HELPERS, "show", "layers"} or part == "gate":  # of arguments
            continue
        module = importlib.import_module(info.name)
        for name, member in vars(module).items():
            own = getattr(member, "__module__", "") == module.__name__
            if own and inspect.isfunction(member) and not name.startswith("_"):
                kinds = [str(p.annotation) for p in inspect.signature(member).parameters.values()]
                if any("Tensor" in kind and "Callable" not in kind for kind in kinds):
                    found[f"{part.split('.')[0] if room == 'common' else room}.{name}"] = member
    return {n: f for n, f in found.items() if not network_argument(f) and n not in WITH_A_NETWORK}


FOUND = {name: function for name, function in discover().items() if name not in ELSEWHERE}

# What an argument of a name is, unless a line says otherwise; others keep their default.
USUAL: dict[str, Callable[[Values], object]] = {
    **dict.fromkeys(("maps", "activations", "seen", "phi", "features", "out"), lambda v: v.maps),
    **dict.fromkeys(("pixels", "pictures", "x", "result", "gradient"), lambda v: v.pixels),
    **dict.fromkeys(("photo", "sample", "like", "picture"), lambda v: v.photo),
    **dict.fromkeys(("painting", "dreamt", "other"), lambda v: v.other),
    **dict.fromkeys(("filters", "patches"), lambda v: v.bank),
    **dict.fromkeys(("height", "width", "side"), lambda v: 12),
    **dict.fromkeys(("a", "values", "positions", "curve"), lambda v: v.vectors),
    **{"k": lambda v: 2, "channel": lambda v: 1, "size": lambda v: (16, 16)},
    **{
        "target": lambda v: v.maps.flip(0),
        "mask": lambda v: v.mask,
        "masks": lambda v: v.mask[None],
    },
    **{
        "classes": lambda v: v.two,
        "b": lambda v: v.vectors.flip(0),
        "colours": lambda v: ["#ff0000"] * 2,
    },
    **{"progress": lambda v: None, "times": lambda v: 2, "weights": lambda v: v.heat[0]},
}

LINES: dict[str, Callable[[Values], dict]] = {
    "activations.explained": lambda v: {"predicted": v.vectors, "targets": v.vectors * 0.9},
    "activations.hit_rates": lambda v: {
        "boxes": {name: (2, 2, 9, 9) for name in "abc"},
        "side": 24,
    },
    "activations.linear_readout": lambda v: {"targets": v.maps[:, 0]},
    "activations.read": lambda v: {"weights": v.vectors[0, :5]},
    "activations.strongest_channels": lambda v: {"k": 2},
    "activations.strongest_place": lambda v: {"maps": v.maps[0]},
    "activations.tiles": lambda v: {"maps": v.maps[0]},
    "adversarial.batches": lambda v: {"index": v.two},
    "adversarial.fit_tiny": lambda v: {"pixels": v.pixels[..., :16, :16], "epochs": 2},
    "adversarial.lead_of": lambda v: {"logits": v.vectors[:2], "index": v.two},
    "adversarial.random_signs": lambda v: {"epsilon": 0.1},
    "adversarial.transfer": lambda v: {
        **{"networks": [on(v, tiny.network()), on(v, tiny.network(1))], "epsilons": [0.1]},
        "pixels": v.pixels[..., :16, :16],
    },
    "ascent.convolved": lambda v: {"kernel": v.bank[0, 0]},
    "ascent.mean_photos": lambda v: {"groups": np.array([0, 1]), "size": 12},
    "attention.as_maps": lambda v: {"tokens": v.vectors[None, :13], "size": (3, 4)},
    "attention.attention_maps": lambda v: {"q": v.vectors[None], "k": v.vectors[None], "heads": 2},
    "attention.counterpart": lambda v: {"a": v.maps[0], "b": v.maps[1], "point": (0.3, 0.7)},
    "attention.fit_weights": lambda v: {
        "features": v.vectors,
        "targets": v.vectors[:, :3].argmax(1),
    },
    "attention.from_cls": lambda v: {"maps": v.bank[:, 0], "size": (2, 2)},
    "attention.from_patch": lambda v: {
        **{"maps": v.bank[:, 0], "size": (2, 2)},
        **{"row": 1, "column": 0},
    },
    "attention.look_distances": lambda v: {"maps": v.bank[:, 0].abs(), "size": (2, 2)},
    "attention.part_hits": lambda v: {"parts": [{"eye": [(0.2, 0.3)]}] * 3},
    "attention.patch_embedding": lambda v: {
        **{"x": v.pixels, "weight": v.bank[:, :, :4, :4]},
        "bias": v.vectors[0, :6],
    },
    "attention.rollout": lambda v: {"maps": v.bank[:, :, None]},
    "attention.shuffled": lambda v: {"side": 8},
    "batches.in_chunks": lambda v: {"function": lambda x: x.mean(1), "tensors": v.maps, "size": 2},
    "cam.class_activation_map": lambda v: {
        "weight": v.vectors[:5, :4],
        "classes": torch.tensor([1, 2, 3]),
    },
    "cam.largest_box": lambda v: {"heat": v.heat[0], "share": 0.5},
    "cam.outlined": lambda v: {"pixels": v.photo, "box": (2, 2, 9, 9), "colour": (1.0, 0.0, 0.0)},
    "cam.upsample": lambda v: {"maps": v.heat, "size": 32},
    "dream.next_octave": lambda v: {"photo": v.pixels, "dreamt": v.pixels[..., ::2, ::2]},
    "fast_style.fade": lambda v: {"contrast": 0.5},
    "fast_style.flicker": lambda v: {
        "frames": [v.photo, v.photo.roll(1, 2)],
        "step": 1,
        "margin": 2,
    },
    "fast_style.instance_norm": lambda v: {
        **{"x": v.maps, "scale": v.vectors[0, :4], "shift": v.vectors[1, :4]}
    },
    "filters.best_match": lambda v: {"image": v.photo, "template": v.photo[:, 3:8, 4:9]},
    "filters.enlarged": lambda v: {},
    "filters.nearest_pairs": lambda v: {"cosines": v.vectors[:8] @ v.vectors[:8].T},
    "filters.response_map": lambda v: {"image": v.photo, "template": v.photo[:, 3:8, 4:9]},
    "filters.similar_order": lambda v: {"cosines": v.vectors[:8] @ v.vectors[:8].T},
    "filters.tile_filters": lambda v: {"columns": 3},
    "filters.whiten": lambda v: {"patches": tiny_patches(v), "components": 5},
    **dict.fromkeys(
        ("guided.backprop_relu", "guided.deconvnet_relu", "guided.guided_relu"),
        lambda v: {"x": v.maps, "gradient": v.maps.flip(0)},
    ),
    "guided.as_picture": lambda v: {"gradient": v.photo - 0.5},
    "guided.passes": lambda v: {"top": 1.0},
    "images.square": lambda v: {"pixels": v.photo},
    "images.to_pil": lambda v: {"pixels": v.photo},
    "inversion.inversion_loss": lambda v: {"weight": 0.1},
    "last_layer.corners": lambda v: {"positions": v.positions, "width": 64},
    "last_layer.apart": lambda v: {"positions": v.positions, "width": 64},
    "last_layer.grid_cells": lambda v: {"positions": v.positions, "columns": 3},
    "last_layer.nearest_neighbours": lambda v: {"x": v.vectors},
    "last_layer.neighbour_rows": lambda v: {
        **{
            "queries": [0],
            "neighbours": v.two[:1, None] * torch.ones(1, 1, dtype=torch.long).to(v.two),
        },
        "labels": ["a", "b"],
    },
    "last_layer.paste": lambda v: {"places": torch.stack([v.two, 9 * v.two], 1)},
    "last_layer.pca": lambda v: {"x": v.vectors},
    "last_layer.pixel_vectors": lambda v: {},
    "last_layer.precision_at_k": lambda v: {"neighbours": v.two[:, None] - 1, "labels": ["a", "b"]},
    "last_layer.tinted": lambda v: {"ink": v.heat.clamp(0, 1)},
    "last_layer.tsne": lambda v: {"x": v.vectors, "perplexity": 5},
    "last_layer.tsne_by_layer": lambda v: {
        **{"vectors": {"a": v.vectors, "b": v.vectors * 2}, "perplexity": 5}
    },
    **dict.fromkeys(
        ("last_layer.check_vectors", "last_layer.unit", "last_layer.variance_shares"),
        lambda v: {"x": v.vectors},
    ),
    "occlusion.check_one": lambda v: {"x": v.pixels[:1]},
    "occlusion.drop": lambda v: {
        **{"before": v.vectors[0], "after": v.vectors[:6].unflatten(0, (2, 3)), "target": 1}
    },
    "occlusion.occlude": lambda v: {
        **{"x": v.pixels[:1], "top": v.two, "left": v.two, "window": 4},
        "value": v.photo[:, :1, :1],
    },
    "occlusion.to_pixels": lambda v: {
        **{"values": v.heat[0, :3, :3], "window": 8, "stride": 8, "height": 24, "width": 24}
    },
    "optimise.animated": lambda v: {"frames": v.pixels},
    "optimise.clamp": lambda v: {"low": v.photo * 0, "high": v.photo},
    "optimise.clip_small": lambda v: {"by": v.pixels, "share": 0.3},
    "patches.field_patch": lambda v: {"pixels": v.photo, "top": 3, "left": -2, "size": 8},
    "patches.frame": lambda v: {"pixels": v.photo, "box": (2, 2, 9, 9), "width": 2},
    "patches.leading_share": lambda v: {"photos": v.two, "groups": ["a", "b", "b"]},
    "patches.pasted": lambda v: {
        "pixels": v.photo,
        "patch": v.other[:, :5, :5],
        "top": 2,
        "left": 3,
    },
    "patches.profile": lambda v: {},
    "saliency.iou": lambda v: {"a": v.mask, "b": v.mask.roll(2, 0)},
    "saliency.regions": lambda v: {"width": 3},
    "saliency.segment": lambda v: {"pixels": v.photo, "saliency": v.heat[0]},
    "saliency.stamp": lambda v: {"side": 6, "margin": 2},
    "scores.chosen": lambda v: {"scores": v.vectors[:2], "index": v.two},
    "style.keep_colours": lambda v: {"result": v.other},
    "style.match_colours": lambda v: {"painting": v.other, "photo": v.photo},
    "style.relative_weights": lambda v: {"grams": v.grams},
    "style.style_loss": lambda v: {
        **{"seen": v.layers, "grams": v.grams, "weights": {"a": 1.0, "b": 0.5}}
    },
    "style.total_loss": lambda v: {
        **{"seen": v.layers, "grams": v.grams, "weights": {"a": 1.0, "b": 0.5}, "alpha": 1.0},
        **{"photo": {"a": v.maps[2:]}, "beta": 1.0, "gamma": 0.1, "x": v.pixels[:1]},
    },
    "texture.autocorrelation": lambda v: {"pixels": v.photo},
    "texture.match_histogram": lambda v: {"values": v.vectors, "like": v.vectors.flip(0) * 2},
    "texture.balanced": lambda v: {"targets": v.layers},
    "texture.breaks": lambda v: {"source": torch.stack([v.mask.long(), v.mask.long() * 2])},
    "texture.by_pixels": lambda v: {"size": 14, "window": 5},
    "texture.by_statistics": lambda v: {"size": 24, "steps": 1, "scales": 2, "orientations": 2},
    "texture.check_copy": lambda v: {"tolerance": 0.1},
    "texture.from_responses": lambda v: {**{"answers": texture_answers(v), "bank": bank_of(v)}},
    "texture.layer_loss": lambda v: {"found": v.grams["a"], "target": v.grams["b"]},
    "texture.least_cost_seam": lambda v: {"error": v.heat[0]},
    "texture.nearest_source": lambda v: {"pixels": v.other, "window": 5},
    "texture.quilt": lambda v: {"size": 24, "block": 10, "overlap": 4},
    "texture.repetition": lambda v: {"pixels": v.photo, "least": 4},
    "texture.responses": lambda v: {"pixels": v.photo, "bank": bank_of(v)},
    "texture.style_loss": lambda v: {"features": v.layers, "targets": v.grams, "weights": None},
    "trust.blurred": lambda v: {"sigma": 1.0},
    "trust.energy_inside": lambda v: {"maps": v.heat, "masks": v.mask.expand(2, 24, 24)},
    "trust.pointing_hit": lambda v: {"maps": v.heat, "masks": v.mask.expand(2, 24, 24)},
    "trust.grids": lambda v: {
        **{"pixels": v.pixels.repeat(4, 1, 1, 1), "classes": torch.arange(8).to(v.two), "n": 2}
    },
    "trust.imputed": lambda v: {"gone": v.mask.expand(2, 24, 24)},
    "trust.infidelity": lambda v: {
        **{"maps": v.heat, "masks": v.mask.expand(5, 24, 24), "drops": v.vectors[:2, :5]}
    },
    "trust.max_sensitivity": lambda v: {"explain": lambda x: x.abs().amax(1)},
    "trust.mean_interval": lambda v: {"values": v.vectors[:, 0]},
    "trust.places": lambda v: {"maps": v.heat},
    "trust.pointing_score": lambda v: {"maps": v.heat, "cells": v.two},
    "trust.sparseness": lambda v: {"maps": v.heat},
    **dict.fromkeys(
        ("trust.rank_correlation", "trust.similarity"), lambda v: {"a": v.heat, "b": v.heat.flip(0)}
    ),
    "weights.decode": lambda v: {
        "stored": {"w": (9 * v.vectors).to(torch.int8), "w.scale": v.vectors[:, 0]}
    },
    "weights.in_8_bits": lambda v: {"weights": {"w": v.vectors.repeat(400, 1), "b": v.vectors[0]}},
}


def on(values: Values, network: torch.nn.Module) -> torch.nn.Module:
    return network.to(values.maps.device)


def tiny_patches(values: Values) -> Tensor:
    """Patches of the photo, more than they have numbers."""
    return values.photo.unfold(1, 3, 1).unfold(2, 3, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)


def bank_of(values: Values) -> Tensor:
    return texture.filter_bank((24, 24), 2, 2, values.maps.device)


def texture_answers(values: Values) -> Tensor:
    return texture.responses(values.photo, bank_of(values))


def arguments(name: str, values: Values) -> dict:
    """What a function is called with: its line's, and the usual ones it asks for."""
    given = LINES.get(name, lambda v: {})(values)
    for parameter in inspect.signature(FOUND[name]).parameters.values():
        usual = parameter.name in USUAL and parameter.default is parameter.empty
        if parameter.name not in given and (usual or parameter.name == "progress"):
            given[parameter.name] = USUAL[parameter.name](values)
    return given


def call(name: str, device: object) -> object:
    """The result on a device; every time the same random numbers of the CPU."""
    torch.manual_seed(0)
    function, given = FOUND[name], arguments(name, Values(device))
    if name == "batches.in_chunks":  # the only one that takes several tensors
        result = function(given.pop("function"), given.pop("tensors"), **given)
    else:
        result = function(**given)
    if isinstance(result, torch.nn.Module):
        result = dict(result.named_parameters())
    return result


def test_every_function_has_a_line():
    for name, function in FOUND.items():
        needed = {
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind is not p.VAR_POSITIONAL
        }
        missing = needed - arguments(name, Values("cpu")).keys()
        assert not missing, f"{name}: add a line to LINES with {sorted(missing)}"
    assert not LINES.keys() - FOUND.keys()


def test_targets_may_lie_on_the_cpu():
    targets = Values("cpu").vectors
    predicted = targets.to(pretend_device.DEVICE) * 0.9
    assert activations.explained(predicted, targets) == pytest.approx(
        activations.explained(targets * 0.9, targets)
    )


@pytest.mark.parametrize("name", sorted(FOUND))
def test_results_are_the_cpus_and_live_with_the_input(name):
    expected, result = call(name, "cpu"), call(name, pretend_device.DEVICE)
    documented = says("CPU", FOUND[name], type(result), inspect.getmodule(FOUND[name]))
    compare_with_the_cpus(result, expected, documented)
