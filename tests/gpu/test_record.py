"""The script for a machine with a GPU, rehearsed on the pretend one."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import record

NAMES = ["saliency.saliency_map", "adversarial.fgsm", "layers.receptive_field"]


def test_helpers_are_compared_with_the_cpu():
    found = list(record.agreement("pretend", NAMES))
    assert [name for name, _ in found] == NAMES
    assert record.judged(found) == []
    assert max(off for _, off in found) < 1e-5


def test_what_is_off_is_named():
    one = {"map": torch.tensor([1.0, 2.0]), "steps": 3}
    assert record.difference(one, one) == 0
    assert record.difference({"map": torch.tensor([1.0, 2.1]), "steps": 3}, one) == pytest.approx(
        0.05, rel=1e-4
    )
    off = [("a", 1e-5), ("b", 0.02), ("c", float("nan")), ("adversarial.pgd", 0.5)]
    assert record.judged(off) == ["b", "c"]


@pytest.mark.slow
def test_every_call_is_timed_on_both_and_written_down(monkeypatch):
    chosen = ["saliency map", "PGD"]
    every = record.calls
    monkeypatch.setattr(record, "calls", lambda d: {k: every(d)[k] for k in chosen})
    there, found = record.seconds("pretend", 1), [("saliency.saliency_map", 2e-7)]
    page = record.section("pretend", found, there, there, [("notebooks", "3 passed in 1 s")])
    for words in ("tolerance 0.001: beyond it none", "2.0e-07", "| PGD |", "notebooks: 3 passed"):
        assert words in page
    assert all(taken > 0 for taken in there.values())


def test_without_a_gpu_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        record.main([])
    assert "--device pretend" in capsys.readouterr().err
