"""A recorded run on a GPU: `python tests/gpu/record.py`, inside the course's environment.

Prints a section for docs/gpu.md: date, hardware, versions; how far every helper's result is from
the CPU's; seconds of the heavier helpers on both; whether the device tests and all notebooks pass.
Ends with 1 if anything is beyond its tolerance or fails. `--device pretend` rehearses it without a
GPU, `--no-notebooks` leaves the longest part out.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "pretend")]

import pretend_device  # noqa: E402, F401, registers the device of the rehearsal
import test_leaves_no_trace as helpers  # noqa: E402
import torch  # noqa: E402

from course_utils import adversarial, ascent, images, models, occlusion, saliency, texture  # noqa: E402

TOLERANCE = 1e-3
"""Largest difference to the CPU's result, as a share of its largest value, without TF32."""

# Their steps follow signs or random draws of the device: one rounding and the paths part.
PARTING = {"adversarial.universal", "adversarial.square_attack", "adversarial.pgd"}


def facts(device: str) -> dict[str, str]:
    """What this run was made with."""
    cuda = device == "cuda"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if cuda else device,
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "Python, torch": f"{platform.python_version()}, {torch.__version__}",
        "CUDA, cuDNN": f"{torch.version.cuda}, {torch.backends.cudnn.version()}" if cuda else "-",
    }


# ------------------------------------------------------------------ CPU against GPU


def difference(one: object, other: object) -> float:
    """The largest difference of two results, as a share of the largest value."""
    worst = 0.0
    for (_, a), (_, b) in zip(helpers.tensors(one), helpers.tensors(other), strict=True):
        a, b = (t.detach().cpu().double().nan_to_num(0.0) for t in (a, b))
        if b.numel():
            scale = b.abs().max().clamp(min=1e-6)
            worst = max(worst, ((a - b).abs().max() / scale).item())
    return worst


def agreement(device: str, names: list[str] | None = None) -> Iterator[tuple[str, float]]:
    """Every helper of `tests/test_leaves_no_trace.py`, and how far the device is off."""
    for name in names or sorted(helpers.FUNCTIONS.keys() & helpers.EXAMPLES.keys()):
        expected = helpers.call(name, helpers.make_case(name))
        found = helpers.call(name, helpers.on(device, helpers.make_case(name)))
        yield name, difference(found, expected)


def judged(found: list[tuple[str, float]]) -> list[str]:
    """The helpers beyond the tolerance."""
    return [name for name, off in found if name not in PARTING and not off <= TOLERANCE]


# ------------------------------------------------------------------ seconds


def calls(device: str) -> dict[str, Callable[[], object]]:
    """The heavier helpers on a network of the zoo, as the lectures call them."""
    net = models.load("squeezenet1_1", device)
    x, panda = net.preprocess(images.photo("panda")), net.index("giant panda")
    pixels = net.crop_pixels(images.photo("panda")).to(net.device)
    noise = saliency.gaussian_noise(x, samples=25, level=0.15)
    target = ascent.score(net, ["goldfish"])
    return {
        "logits of 32 photos": lambda: net(x.expand(32, -1, -1, -1)),
        "saliency map": lambda: saliency.saliency_map(net, x, panda),
        "SmoothGrad, 25 copies": lambda: saliency.smoothgrad(net, x, panda, noise),
        "occlusion, 32 px by 16": lambda: occlusion.occlusion_logits(net, x, 32, 16),
        "PGD": lambda: adversarial.pgd(net, pixels, [panda], 4 / 255),
        "class picture, 20 steps": lambda: ascent.paint(target, 1, steps=20, progress=None),
        "texture, 20 steps": lambda: texture.synthesise(
            net, pixels[0], 128, ["relu1", "fire3"], 20, progress=None
        ),
    }


def wait(device: str) -> None:
    """Until everything that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(device: str, rounds: int = 5) -> dict[str, float]:
    """Median seconds of each call, after one that warms up."""
    found = {}
    with torch.no_grad():
        for name, call in calls(device).items():
            taken = []
            for _ in range(rounds + 1):
                began = time.perf_counter()
                call()
                wait(device)
                taken.append(time.perf_counter() - began)
            found[name] = statistics.median(taken[1:])
    return found


# ------------------------------------------------------------------ tests and notebooks


def pytest(device: str, *arguments: str) -> str:
    """The last line of a run of pytest on the device."""
    folders = [str(ROOT / "tests"), str(ROOT / "tests" / "pretend")]
    variables = {"COURSE_DEVICE": device, "PYTHONPATH": os.pathsep.join(folders)}
    variables |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
    workers = str(min(8, os.cpu_count() or 1))
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True)
    lines = done.stdout.decode(errors="replace").strip().splitlines() or ["no output"]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return "; ".join([lines[-1], *failed[:20]])


def suites(device: str) -> Iterator[tuple[str, str]]:
    """What is run, and how it ended."""
    files = ["tests/test_pretend_device.py", "tests/checking/test_devices.py"]
    yield "devices", pytest("cpu", *files)
    notebooks = sorted(str(path) for path in (ROOT / "solutions").glob("*.ipynb"))
    nbval = ["-p", "nbval_mends", "--nbval-lax", "--nbval-cell-timeout=300", "--dist", "loadfile"]
    yield f"notebooks on {device}", pytest(device, *nbval, *notebooks)


# ------------------------------------------------------------------ the page


def section(device: str, found: list, on_cpu: dict, there: dict, ended: list) -> str:
    """The record, in Markdown."""
    about, (worst, most) = facts(device), max(found, key=lambda pair: pair[1])
    lines = [f"### {about['date']}, {about['device']}", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    beyond = ", ".join(judged(found)) or "none"
    lines += [
        f"- {len(found)} helpers against the CPU, tolerance {TOLERANCE:g}: beyond it {beyond}"
    ]
    lines += [
        f"- furthest off: `{worst}`, {most:.1e}",
        *(f"- {name}: {end}" for name, end in ended),
    ]
    lines += ["", "| | CPU, seconds | device, seconds |", "|---|---:|---:|"]
    lines += [f"| {name} | {on_cpu[name]:.3f} | {there[name]:.3f} |" for name in there]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu", "pretend"])
    parser.add_argument("--no-notebooks", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(argv)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA GPU; --device pretend rehearses the run without one")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found = list(agreement(given.device))
    on_cpu, there = seconds("cpu", given.rounds), seconds(given.device, given.rounds)
    ended = [] if given.no_notebooks else list(suites(given.device))
    print(section(given.device, found, on_cpu, there, ended))
    return int(bool(judged(found)) or any("failed" in e or "error" in e for _, e in ended))


if __name__ == "__main__":
    sys.exit(main())
