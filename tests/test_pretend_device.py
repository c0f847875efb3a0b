"""The pretend accelerator beside what CUDA accepts and refuses, row by row.

The rules are those of PyTorch's documentation (CUDA semantics, tensor indexing, `torch.Generator`,
serialization) and of the checks in its CUDA kernels. On a machine with a GPU the same table runs on
CUDA itself: a rule that is wrong here fails there.
"""

import copy
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretend_device
import pytest
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn
from torch.nn import functional

from course_utils import models

DEVICES = [pretend_device.NAME, *(["cuda"] if torch.cuda.is_available() else [])]


class Values:
    """What the rows are about: `x` and `i` on the device, `c` and `j` their twins on the CPU."""

    def __init__(self, device: str) -> None:
        self.d = torch.device(device)
        self.c, self.j = torch.arange(6.0).reshape(2, 3) - 2, torch.tensor([1, 0])
        self.x, self.i = self.c.to(self.d), self.j.to(self.d)
        self.one, self.unit = torch.tensor(1.0), torch.tensor(1.0, device=self.d)

    def written(self, into, where, value):
        """A copy of `into` after `into[where] = value`."""
        made = into.clone()
        made[where] = value
        return made


def linear(device) -> nn.Module:
    return nn.Linear(3, 3).to(device)


def stored(value, **how):
    """What comes back from a file of `torch.save`."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **how)


# Each row: a call, and where its result lies: "device", "cpu", or "" where it is no tensor.
ACCEPTED = {
    "both on the device": (lambda v: v.x + v.x, "device"),
    "a Python number": (lambda v: v.x * 2 + 1, "device"),
    "a CPU tensor without dimensions": (lambda v: v.x + v.one, "device"),
    "a CPU number on the left": (lambda v: v.one - v.x, "device"),
    "two numbers of two devices": (lambda v: v.one + v.unit, "device"),
    "where with a CPU number": (lambda v: torch.where(v.x > 0, v.x, v.one), "device"),
    "clamp by a CPU number": (lambda v: v.x.clamp(min=v.one), "device"),
    "masked_fill by a CPU number": (lambda v: v.x.masked_fill(v.x > 0, v.one), "device"),
    "CPU indices": (lambda v: v.x[v.j], "device"),
    "device indices": (lambda v: v.x[v.i], "device"),
    "indices of both kinds": (lambda v: v.x[v.i, v.j], "device"),
    "a CPU mask": (lambda v: v.x[v.c > 0], "device"),
    "a device mask": (lambda v: v.x[v.x > 0], "device"),
    "writing CPU values into a slice": (lambda v: v.written(v.x, 0, v.c[0]), "device"),
    "writing device values into a CPU slice": (lambda v: v.written(v.c, 0, v.x[0]), "cpu"),
    "writing a number at CPU indices": (lambda v: v.written(v.x, v.j, 3.0), "device"),
    "writing a CPU number at a mask": (lambda v: v.written(v.x, v.x > 0, v.one), "device"),
    "writing device values at CPU indices": (lambda v: v.written(v.x, v.j, v.x), "device"),
    "copy_ from the CPU": (lambda v: v.x.clone().copy_(v.c), "device"),
    "copy_ to the CPU": (lambda v: v.c.clone().copy_(v.x), "cpu"),
    "fill_ by a number of the other device": (lambda v: v.c.clone().fill_(v.unit), "cpu"),
    "to(other) takes its device": (lambda v: v.c.to(v.x), "device"),
    "to of itself": (lambda v: v.x.to(v.d, torch.float64), "device"),
    "cpu": (lambda v: v.x.cpu(), "cpu"),
    "zeros_like": (lambda v: torch.zeros_like(v.x), "device"),
    "zeros_like on the CPU": (lambda v: torch.zeros_like(v.x, device="cpu"), "cpu"),
    "full_like of a CPU tensor": (lambda v: torch.full_like(v.c, 2, device=v.d), "device"),
    "new_tensor": (lambda v: v.x.new_tensor([1.0, 2.0]), "device"),
    "tensor of Python numbers": (lambda v: torch.tensor([1, 2], device=v.d), "device"),
    "tensor of device numbers": (lambda v: torch.tensor([v.x[0, 0], v.x[1, 1]]), "cpu"),
    "as_tensor": (lambda v: torch.as_tensor(v.x), "device"),
    "arange, linspace, eye": (
        lambda v: (
            [f(3, device=v.d) for f in (torch.arange, torch.eye, torch.ones)]
            + [torch.linspace(0, 1, 3, device=v.d), torch.triu_indices(3, 3, device=v.d)]
        ),
        "device",
    ),
    "factories inside a device context": (lambda v: inside(v.d), "device"),
    "out= of another shape": (lambda v: torch.add(v.x, 1, out=v.x.new_empty(0)), "device"),
    "out= with an index": (
        lambda v: list(torch.max(v.x, 1, out=(v.x.new_empty(0), v.i.new_empty(0)))),
        "device",
    ),
    "t_ in place": (lambda v: v.x.clone().t_(), "device"),
    "unsqueeze_ and squeeze_": (lambda v: v.x.clone().unsqueeze_(0).squeeze_(), "device"),
    "resize_": (lambda v: v.x.clone().resize_(3, 2), "device"),
    "in place through a view": (lambda v: v.x.clone().view(-1).mul_(2), "device"),
    "data": (lambda v: v.x.data, "device"),
    "deepcopy": (lambda v: copy.deepcopy(v.x), "device"),
    "deepcopy of a network": (lambda v: copy.deepcopy(linear(v.d)).weight, "device"),
    "saved and loaded": (lambda v: stored({"x": v.x})["x"], "device"),
    "saved, loaded on the CPU": (lambda v: stored(v.x, map_location="cpu"), "cpu"),
    "a network's state saved and loaded": (
        lambda v: list(stored(linear(v.d).state_dict()).values()),
        "device",
    ),
    "safetensors": (lambda v: load_safetensors(save_safetensors({"x": v.x}))["x"], "cpu"),
    "load_state_dict from the CPU": (lambda v: loaded(v.d), "device"),
    "tolist": (lambda v: torch.tensor(v.x.tolist()), "cpu"),
    "item and float": (lambda v: [v.x.sum().item(), float(v.x[0, 0]), int(v.i[0])], ""),
    "format of a number": (lambda v: f"{v.x.sum():.2f} {v.i[0]:03d}", ""),
    "numpy(force=True)": (lambda v: torch.from_numpy(v.x.numpy(force=True)), "cpu"),
    "a convolution": (lambda v: functional.conv2d(v.x[None], v.x[:1, None, None, :2]), "device"),
    "a matrix product": (lambda v: v.x @ v.x.T, "device"),
    "quantile, median, topk": (
        lambda v: [v.x.quantile(0.5), v.x.median(1).values, v.x.topk(2).values],
        "device",
    ),
    "fft": (lambda v: torch.fft.irfft2(torch.fft.rfft2(v.x), s=(2, 3)), "device"),
    "a gradient": (lambda v: gradient_of(v.x), "device"),
}


def inside(device) -> list:
    with torch.device(device):
        return [torch.zeros(2), torch.tensor([1.0]), torch.arange(3)]


def loaded(device):
    model = linear(device)
    model.load_state_dict({"weight": torch.ones(3, 3), "bias": torch.zeros(3)})
    return model.weight


def gradient_of(x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad((x**3).sum(), x)[0]


REFUSED = {
    "a CPU tensor": lambda v: v.x + v.c,
    "a CPU vector of one number": lambda v: v.x + torch.ones(1),
    "a device number beside a CPU tensor": lambda v: v.c + v.unit,
    "in place on the CPU": lambda v: v.one.clone().add_(v.unit),
    "cat": lambda v: torch.cat([v.x, v.c]),
    "stack, also of numbers": lambda v: torch.stack([v.unit, v.one]),
    "a matrix product": lambda v: v.x @ v.c.T,
    "einsum": lambda v: torch.einsum("ij,ij->i", v.x, v.c),
    "a convolution": lambda v: functional.conv2d(v.x[None], v.c[:1, None, None, :2]),
    "linear": lambda v: functional.linear(v.x, v.c),
    "a network on the CPU": lambda v: linear("cpu")(v.x),
    "an image on the CPU": lambda v: linear(v.d)(v.c),
    "cross entropy": lambda v: functional.cross_entropy(v.x, v.j),
    "where with a CPU mask": lambda v: torch.where(v.c > 0, v.x, v.x),
    "masked_fill with a CPU mask": lambda v: v.x.masked_fill(v.c > 0, 0),
    "masked_fill with a CPU mask of one number": lambda v: v.x.masked_fill(v.one > 0, 0),
    "masked_select with a CPU mask": lambda v: v.x.masked_select(v.c > 0),
    "gather with CPU indices": lambda v: v.x.gather(1, v.j[:, None]),
    "scatter with CPU indices": lambda v: v.x.scatter(1, v.j[:, None], 1.0),
    "index_select with CPU indices": lambda v: v.x.index_select(0, v.j),
    "index_select with a CPU number": lambda v: v.x.index_select(0, v.j[0]),
    "take with CPU indices": lambda v: v.x.take(v.j),
    "a CPU tensor at device indices": lambda v: v.c[v.i],
    "a CPU tensor at a device mask": lambda v: v.c[v.x > 0],
    "writing CPU values at indices": lambda v: v.written(v.x, v.i, v.c),
    "writing device values into a CPU tensor at indices": lambda v: v.written(v.c, v.j, v.x),
    "bucketize with CPU borders": lambda v: torch.bucketize(v.x, v.c[0]),
    "quantile with CPU shares": lambda v: v.x.quantile(torch.tensor([0.5])),
    "isin": lambda v: torch.isin(v.x, v.c),
    "equal": lambda v: torch.equal(v.x, v.c),
    "allclose": lambda v: torch.allclose(v.x, v.c),
    "cdist": lambda v: torch.cdist(v.x, v.c),
    "grid_sample": lambda v: functional.grid_sample(
        v.x[None, None], torch.zeros(1, 2, 2, 2), align_corners=False
    ),
    "out= on the CPU": lambda v: torch.add(v.x, v.x, out=torch.empty(0)),
    "out= on the device": lambda v: torch.add(v.c, v.c, out=v.x.new_empty(0)),
    "numpy": lambda v: v.x.numpy(),
    "np.asarray": lambda v: np.asarray(v.x),
    "np.asarray of a list": lambda v: np.asarray([v.unit, v.unit]),
    "a NumPy function": lambda v: np.abs(v.x),
    "a CPU generator": lambda v: torch.randn(3, device=v.d, generator=torch.Generator()),
    "a CPU generator in place": lambda v: v.x.clone().normal_(generator=torch.Generator()),
    "randperm with a CPU generator": lambda v: torch.randperm(
        3, device=v.d, generator=torch.Generator()
    ),
    "multinomial with a CPU generator": lambda v: v.x.abs().multinomial(
        1, generator=torch.Generator()
    ),
    "a product of whole numbers": lambda v: v.i[None] @ v.i[:, None],
    "a convolution of whole numbers": lambda v: functional.conv2d(
        v.i[None, None, None], v.i[None, None, None, :1]
    ),
    "a bilinear resize of whole numbers": lambda v: functional.interpolate(
        v.i.byte()[None, None, None], scale_factor=2, mode="bilinear"
    ),
    "histogram": lambda v: torch.histogram(v.x, 3),
    "data of the other device": lambda v: setattr(v.x, "data", v.c),
    "deepcopy of a result": lambda v: copy.deepcopy(v.x.clone().requires_grad_() * 2),
    "a second device that is not there": lambda v: torch.zeros(1, device=f"{v.d.type}:77"),
}


def tensors(result) -> list:
    found = result if isinstance(result, list) else [result]
    return [x for x in found if isinstance(x, torch.Tensor)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("row", ACCEPTED)
def test_accepted_where_it_should_be_and_equal_to_the_cpu(row, device):
    call, where = ACCEPTED[row]
    torch.manual_seed(0)
    result, plain = call(Values(device)), None
    torch.manual_seed(0)
    plain = call(Values("cpu"))
    wanted = {"device": torch.device(device).type, "cpu": "cpu", "": None}[where]
    assert bool(tensors(result)) == bool(where)
    assert {x.device.type for x in tensors(result)} == ({wanted} if where else set())
    for one, other in zip(tensors(result), tensors(plain), strict=True):
        assert one.shape == other.shape
        assert one.stride() == other.stride()
        torch.testing.assert_close(one.cpu(), other.cpu())
    if not where:
        assert result == plain


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("row", REFUSED)
def test_refused(row, device):
    with pytest.raises((RuntimeError, TypeError, ValueError, AssertionError)) as caught:
        REFUSED[row](Values(device))
    assert "INTERNAL ASSERT" not in str(caught.value)
    assert "PrivateUse1" not in str(caught.value), "a gap of the pretend device, no rule of CUDA's"


@pytest.mark.parametrize("device", DEVICES)
def test_random_numbers_of_its_own(device):
    draw = lambda: torch.randn(4, device=device)  # noqa: E731
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = draw(), draw()
    assert torch.equal(before, torch.get_rng_state()), "the CPU's random numbers were used up"
    torch.manual_seed(1)
    assert torch.equal(first, draw())
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert not torch.allclose(first.cpu(), torch.randn(4)), "the same numbers as the CPU's"
    one, other = (torch.Generator(device).manual_seed(3) for _ in range(2))
    assert one.device.type == device
    assert one.initial_seed() == 3
    drawn = [torch.randn(4, device=device, generator=g) for g in (one, other)]
    assert torch.equal(*drawn)
    assert torch.equal(torch.rand(3, generator=torch.Generator()).sign(), torch.ones(3))


def test_dropout_leaves_the_cpus_random_numbers_alone():
    before = torch.get_rng_state()
    dropped = functional.dropout(torch.ones(100, device="pretend"))
    assert set(dropped.tolist()) == {0.0, 2.0}
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("device", DEVICES)
def test_data_has_a_version_of_its_own(device):
    p = torch.ones(2, device=device, requires_grad=True)
    q = p * p
    p.data.mul_(3)  # unnoticed by the gradient, as everywhere in PyTorch
    q.sum().backward()
    assert p.tolist() == [3, 3]
    assert p.grad.tolist() == [6, 6]
    p.data = torch.zeros(5, device=device)
    assert p.shape == (5,)
    assert p.requires_grad


@pytest.mark.parametrize("device", DEVICES)
def test_training_goes_as_on_the_cpu(device):
    losses = {}
    for place in ("cpu", device):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        model.append(nn.Linear(4 * 16, 2))
        model, x = model.to(place), torch.randn(5, 3, 6, 6).to(place)
        optimiser = torch.optim.Adam(model.parameters(), 0.05)
        for _ in range(5):
            loss = model(x).pow(2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        losses[place] = loss.item()
        assert model[1].num_batches_tracked == 5
    assert losses[device] == pytest.approx(losses["cpu"], rel=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_a_copied_parameter_is_a_parameter(device):
    weight = copy.deepcopy(linear(device)).weight
    assert isinstance(weight, nn.Parameter)
    assert weight.requires_grad
    again = stored(weight)
    assert isinstance(again, nn.Parameter)
    assert again.device.type == device
    assert torch.equal(again, weight)


def test_printed_with_its_device():
    x = torch.arange(3.0, device="pretend", requires_grad=True)
    assert repr(x) == "tensor([0., 1., 2.], device='pretend:0', requires_grad=True)"
    assert repr(x * 2) == "tensor([0., 2., 4.], device='pretend:0', grad_fn=<MulBackward0>)"
    assert f"{x.detach()}" == "tensor([0., 1., 2.], device='pretend:0')"


# ------------------------------------------------------------------ for tests only


def test_the_course_takes_it_where_it_is_registered(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "pretend")
    assert models.default_device() == torch.device("pretend")
    assert models.load("squeezenet1_1").device.type == "pretend"


def python(code: str, **variables: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COURSE_DEVICE")}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | variables, capture_output=True, text=True
    )


def test_nobody_else_gets_it():
    code = "from course_utils import models; print(models.default_device())"
    refused = python(code, COURSE_DEVICE="pretend")
    assert "COURSE_DEVICE='pretend'; accepted: cpu, cuda" in refused.stderr
    folder = str(Path(pretend_device.__file__).parent)
    assert python(code, COURSE_DEVICE="pretend", PYTHONPATH=folder).stdout == "pretend\n"
    unasked = "import torch, sys; print('pretend_device' in sys.modules)"
    assert python(unasked, PYTHONPATH=folder).stdout == "False\n"


def test_conjugates_and_imaginary_parts_keep_their_signs():
    """PyTorch marks them with a bit instead of computing them."""
    c = torch.tensor([1 + 2j, 3 - 1j])
    x = c.to(pretend_device.DEVICE)
    for expression in (lambda v: v * v.conj(), lambda v: v.conj().imag + 1, lambda v: v.conj()):
        assert torch.equal(expression(x).cpu(), expression(c))
