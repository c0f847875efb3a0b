"""The helpers of lecture 00, beside NumPy and beside the network taken apart by hand."""

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from course_utils import start_here


def test_a_layer_is_what_the_network_gives_when_it_is_cut_there():
    model, x = tiny.network(), tiny.batch()
    with torch.no_grad():
        by_hand = model[:5](x)  # up to conv2
    assert torch.equal(start_here.capture_layer(model, x, "conv2"), by_hand)


def test_a_copy_is_kept_before_a_later_layer_writes_into_it():
    model, x = tiny.network(inplace=True), tiny.batch()
    kept = start_here.capture_layer(model, x, "conv2")
    assert (kept < 0).any()  # the ReLU that follows would have cut these off
    assert not kept.requires_grad
    assert not model.conv2._forward_hooks


class Idle(nn.Module):
    """One part that runs, one that does not, and one that gives no tensor."""

    def __init__(self):
        super().__init__()
        self.runs, self.rests, self.pairs = nn.Identity(), nn.Identity(), Pair()

    def forward(self, x):
        return self.runs(self.pairs(x)[0])


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("rests", "does not run this layer"),
        ("pairs", "is a tuple, not a tensor"),
        ("rnus", "Did you mean 'runs'"),
    ],
)
def test_a_layer_that_cannot_be_taken_is_refused_and_no_hook_stays(layer, words):
    model = Idle()
    with pytest.raises(ValueError, match=words):
        start_here.capture_layer(model, tiny.batch(), layer)
    assert not any(part._forward_hooks for part in model.modules())


def test_top_classes_are_numpys():
    model, x = tiny.network(), tiny.batch(n=3)
    with torch.no_grad():
        logits = model(x).double().numpy()
    odds = np.exp(logits - logits.max(1, keepdims=True))
    expected = odds / odds.sum(1, keepdims=True)
    for row, found in zip(expected, start_here.top_classes(model, x, "abcde", k=3), strict=True):
        order = np.argsort(-row)[:3]
        assert [name for name, _ in found] == ["abcde"[c] for c in order]
        assert [p for _, p in found] == pytest.approx(row[order], abs=1e-6)


@pytest.mark.parametrize(
    ("names", "k", "words"),
    [("abcd", 2, "4 came for 5 logits"), ("abcde", 0, "k=0"), ("abcde", 6, "1 to 5")],
)
def test_top_classes_say_what_is_wrong(names, k, words):
    with pytest.raises(ValueError, match=words):
        start_here.top_classes(tiny.network(), tiny.batch(), names, k)


def test_readiness_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(start_here.models, "OFFLINE", {})
    monkeypatch.setattr(
        start_here.psutil, "virtual_memory", lambda: type("M", (), {"available": 1})
    )
    rows = {what: (found, verdict) for what, found, verdict in start_here.readiness()}
    assert rows["Python"][1] == "yes"
    assert rows["torch"][1] == "yes"
    assert rows["memory free"] == ("0.0 GiB", "close other programs: 1.5 GiB are needed")


def test_a_network_that_does_not_load_says_why(monkeypatch):
    def damaged(name):
        raise OSError(f"{name}.safetensors.gz does not match its checksum")

    monkeypatch.setattr(start_here.models, "load", damaged)
    rows = {what: (found, verdict) for what, found, verdict in start_here.readiness()}
    assert rows["vgg16_hed"] == (
        "damaged or missing",
        "vgg16_hed.safetensors.gz does not match its checksum",
    )


@pytest.mark.parametrize(
    ("convolve", "words"),
    [
        (None, "yes"),
        (RuntimeError("CUDA error: no kernel image is available\nCompile with"), "no kernel image"),
        (torch.zeros(1), "9 ones gave 0"),
    ],
)
def test_the_device_is_tried_before_it_is_praised(monkeypatch, convolve, words):
    def stand_in(*_):
        if isinstance(convolve, Exception):
            raise convolve
        return convolve

    if convolve is not None:
        monkeypatch.setattr(start_here.nn.functional, "conv2d", stand_in)
    device, verdict = start_here._device()
    assert device == str(start_here.models.default_device())
    assert words in verdict
    assert ("set COURSE_DEVICE=cpu" in verdict) == (words != "yes")
    assert "\n" not in verdict
