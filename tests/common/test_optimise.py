"""The loop against steps taken by hand; what it keeps, what ends it, and what it refuses."""

import io
import threading
import time
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from jupyter_client.manager import start_new_kernel
from PIL import Image as Pil
from scipy import optimize

from course_utils import show, widgets
from course_utils.common import optimise as opt

TARGET = tiny.array(1, 2, 3, 6, 5)
START = torch.zeros(2, 3, 6, 5)


def distance(x):
    """A loss with its minimum, 0, at TARGET."""
    return 0.5 * (x - TARGET).square().sum()


def by_hand(steps, change):
    x = START.clone()
    for _ in range(steps):
        x = x - change(x - TARGET)
    return x


# ------------------------------------------------------------------ rules


def test_a_gradient_step_is_the_formula():
    result = opt.optimise(distance, START, 5, rule=opt.gradient_step(0.1))
    assert torch.allclose(result.image, by_hand(5, lambda g: 0.1 * g), atol=1e-6)
    assert result.losses[0] == pytest.approx(distance(START).item())
    assert result.losses[-1] == pytest.approx(distance(result.image).item())
    assert len(result.losses) == result.evaluations == 6


def test_a_normalised_step_moves_each_image_by_the_rate_on_average():
    result = opt.optimise(lambda x: 1e-3 * distance(x), START, 1, rule=opt.normalised_step(0.2))
    moved = result.image - START
    assert torch.allclose(moved.abs().mean((1, 2, 3)), torch.tensor([0.2, 0.2]), atol=1e-6)
    slope = START - TARGET
    expected = -0.2 * slope / slope.abs().mean((1, 2, 3), keepdim=True)
    assert torch.allclose(moved, expected, atol=1e-6)


def test_a_gradient_of_zero_moves_nothing():
    result = opt.optimise(lambda x: (x * 0).sum(), START, 2, rule=opt.normalised_step(0.2))
    assert torch.equal(result.image, START)


def test_adam_is_that_of_the_paper():
    x, m, v = START.clone(), 0, 0
    for t in range(1, 8):
        g = x - TARGET
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.05 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    result = opt.optimise(distance, START, 7)
    assert torch.allclose(result.image, x, atol=1e-5)


@pytest.mark.parametrize("search", [False, True])
def test_lbfgs_finds_a_curved_minimum_where_scipy_finds_it(search):
    curve = torch.linspace(1, 30, START.numel()).view_as(START)

    def bowl(x):
        return (curve * (x - TARGET).square()).sum() + 0.1 * (x**4).sum()

    def flat(v):
        x = torch.tensor(v).view_as(START).requires_grad_()
        loss = bowl(x)
        loss.backward()
        return loss.item(), x.grad.flatten().numpy()

    expected = optimize.minimize(flat, np.zeros(START.numel()), jac=True, method="L-BFGS-B")
    result = opt.optimise(bowl, START, 60, rule=opt.lbfgs(line_search=search))
    found = result.image.flatten().numpy()
    assert np.abs(found - expected.x).max() < 0.01
    assert result.best_loss == pytest.approx(expected.fun, rel=1e-3)
    if not search:
        assert result.evaluations == 61


def test_lbfgs_does_not_mind_the_scale_of_the_loss():
    result = opt.optimise(lambda x: 1e-4 * distance(x), START, 30, rule=opt.lbfgs(line_search=True))
    assert result.losses[-1] < 1e-3 * result.losses[0]


def test_what_a_line_search_has_evaluated_is_not_evaluated_again():
    def bend(x):
        return (x - TARGET).square().sum() + 0.1 * (x**4).sum()

    still = [lambda x, random: x]  # a transform could be random, so each arrival is evaluated anew
    rule = opt.lbfgs(line_search=True)
    once, twice = (opt.optimise(bend, START, 12, rule=rule, transforms=t) for t in ((), still))
    assert torch.equal(once.image, twice.image)
    assert once.losses == twice.losses
    assert torch.equal(once.frames, twice.frames)
    assert once.evaluations <= twice.evaluations - 9
    assert once.losses[-1] == pytest.approx(bend(once.image).item(), rel=1e-5)


def test_what_an_operation_has_changed_is_evaluated_anew():
    rule, halve = opt.lbfgs(line_search=True), (1, lambda x, gradient: x / 2)
    result = opt.optimise(distance, START, 4, rule=rule, operations=[halve])
    assert result.losses[-1] == pytest.approx(distance(result.image).item())


def test_lbfgs_takes_images_in_any_memory_layout():
    start = START.to(memory_format=torch.channels_last)
    result = opt.optimise(distance, start, 5, rule=opt.lbfgs())
    assert result.losses[-1] < 0.01 * result.losses[0]


# ------------------------------------------------------------------ regularisers


def test_terms_are_added_and_operations_applied_in_turn():
    halve = (2, lambda x, gradient: x / 2)
    weight = 0.3
    result = opt.optimise(
        distance,
        START,
        3,
        rule=opt.gradient_step(0.1),
        terms=[lambda x: weight * opt.squared_norm(x)],
        operations=[halve],
    )
    x = START.clone()
    for step in (1, 2, 3):
        x = x - 0.1 * (x - TARGET + 2 * weight * x)
        x = x / 2 if step % 2 == 0 else x
    assert torch.allclose(result.image, x, atol=1e-6)
    expected = distance(x) + weight * x.square().sum()
    assert result.losses[-1] == pytest.approx(expected.item())


def test_total_variation_is_a_double_loop():
    x, total = tiny.array(3, 1, 2, 4, 5), 0.0
    for c in range(2):
        for i in range(3):
            for j in range(4):
                here = x[0, c, i, j]
                squares = (x[0, c, i + 1, j] - here) ** 2 + (x[0, c, i, j + 1] - here) ** 2
                total += squares.item() ** 0.75
    assert opt.total_variation(x, 1.5).item() == pytest.approx(total, rel=1e-4)
    assert opt.total_variation(torch.ones(1, 3, 4, 4)) == 0
    assert opt.total_variation(3 * x).item() == pytest.approx(9 * opt.total_variation(x).item())


def test_clipping_takes_the_share_that_is_asked_for():
    x, g = tiny.array(4, 2, 3, 10, 10), tiny.array(5, 2, 3, 10, 10)
    for operation, size in [(opt.clip_small_values, x), (opt.clip_small_gradients, g)]:
        out = operation(0.3)(x, g)
        gone = (out == 0).all(1)
        assert gone.flatten(1).sum(1).tolist() == [30, 30]
        for image in range(2):
            norms = size[image].norm(dim=0)
            assert norms[gone[image]].max() < norms[~gone[image]].min()
        assert torch.equal(out[:, :, ~gone[0]][0], x[:, :, ~gone[0]][0])


def test_a_blur_keeps_the_mean_and_takes_high_frequencies():
    x = tiny.array(6, 1, 3, 32, 32)
    out = opt.blur(1.0)(x, x)
    fine, coarse = (torch.fft.rfft2(y).abs() for y in (x, out))
    assert coarse[..., 14, 14].sum() < 0.02 * fine[..., 14, 14].sum()
    flat = torch.full((1, 3, 8, 8), 0.4)
    assert torch.allclose(opt.blur(2.0)(flat, flat), flat, atol=1e-6)
    assert opt.blur(2.0)(flat[..., :1, :1], flat).shape == (1, 3, 1, 1)


def test_clamping_takes_numbers_and_tensors():
    x = tiny.array(7, 1, 3, 4, 4)
    assert opt.clamp(-0.5, 0.5)(x, x).abs().max() == 0.5
    low = torch.tensor([-1.0, 0.0, 0.0]).view(3, 1, 1)
    assert (opt.clamp(low, 9.0)(x, x) >= low).all()


# ------------------------------------------------------------------ transforms


def test_jitter_only_moves_pixels():
    random, x = torch.Generator().manual_seed(0), tiny.array(8, 2, 3, 9, 9)
    seen = {tuple(opt.jitter(1)(x, random).flatten()[:3].tolist()) for _ in range(200)}
    assert len(seen) == 9
    moved = opt.jitter(3)(x, random)
    assert torch.equal(moved.flatten(1).sort(1).values, x.flatten(1).sort(1).values)


def test_scale_and_rotate_stay_in_their_ranges():
    random, x = torch.Generator().manual_seed(0), tiny.array(9, 1, 3, 40, 30)
    sizes = [opt.scale(0.5, 1.5)(x, random).shape[-2] for _ in range(100)]
    assert 20 <= min(sizes) < 25
    assert 55 < max(sizes) <= 60
    assert torch.allclose(opt.rotate(0.0)(x, random), x, atol=1e-5)
    assert opt.rotate(20.0)(x, random).shape == x.shape


def test_a_rotation_turns_about_the_centre():
    ramp = torch.linspace(-1, 1, 41).expand(1, 1, 41, 41).contiguous()
    turned = opt.rotate(10.0)(ramp, torch.Generator().manual_seed(1))[0, 0]
    assert turned[20, 20].abs() < 1e-4
    down, across = turned[30, 20] - turned[10, 20], turned[20, 30] - turned[20, 10]
    angle = torch.atan2(down, across).abs().item() * 180 / np.pi
    assert 0.5 < angle < 10
    assert (down**2 + across**2).sqrt().item() == pytest.approx(1.0, abs=0.01)


def test_the_same_seed_gives_the_same_run_and_leaves_global_randomness_alone():
    def run(seed):
        parts = [opt.jitter(2), opt.scale(0.8, 1.2)]
        image = opt.Fourier((1, 16, 16), seed=3)
        return opt.optimise(lambda x: x[..., :8].sum(), image, 4, transforms=parts, seed=seed)

    before = torch.get_rng_state()
    first, second, other = run(0), run(0), run(1)
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, other.image)
    assert torch.equal(before, torch.get_rng_state())


# ------------------------------------------------------------------ the Fourier parameterisation


@pytest.mark.parametrize("size", [(16, 16), (17, 12), (9, 15), (1, 1)])
def test_a_spectrum_gives_its_picture_back(size):
    pixels = torch.rand(2, 3, *size) * 0.96 + 0.02
    back = opt.Fourier.of(pixels)()
    assert back.shape == pixels.shape
    assert torch.allclose(back, pixels, atol=1e-4)


def test_noise_of_a_spectrum_is_grey_and_smooth():
    pixels = opt.Fourier((4, 64, 64), std=0.01, seed=0)()
    assert (pixels - 0.5).abs().mean() < 0.1
    power = torch.fft.rfft2(pixels - 0.5).abs().square().mean((0, 1))
    assert power[1:4, 1:4].mean() > 20 * power[16:24, 16:24].mean()
    assert not torch.equal(pixels, opt.Fourier((4, 64, 64), seed=1)())
    with pytest.raises(ValueError, match="size"):
        opt.Fourier((1, 0, 8))


def test_colours_go_together_only_if_they_are_decorrelated_axes():
    """Red and green of photos rise and fall together; plain red, green and blue know nothing."""
    found = []
    for decorrelate in (True, False):
        pixels = opt.Fourier((4, 32, 32), std=0.1, decorrelate=decorrelate)() - 0.5
        found.append(torch.corrcoef(pixels.transpose(0, 1).flatten(1))[0, 1].item())
    tied, free = found
    assert tied > 0.7
    assert abs(free) < 0.4


# ------------------------------------------------------------------ what is kept


def test_frames_are_evenly_spaced_with_the_first_and_the_last():
    result = opt.optimise(
        distance, START, 100, keep=5, to_pixels=lambda x: x / 10 + 0.5, rule=opt.gradient_step(0.05)
    )
    assert result.steps == [0, 25, 50, 75, 100]
    assert result.frames.shape == (5, 2, 3, 6, 5)
    assert result.frames.dtype == torch.uint8
    assert (result.frames[0] == 128).all()
    last = ((result.image / 10 + 0.5).clamp(0, 1) * 255).round().byte()
    assert torch.equal(result.frames[-1], last)


@pytest.mark.parametrize("keep", [0, 1, 2, 50])
def test_any_number_of_frames_can_be_kept(keep):
    result = opt.optimise(distance, START, 4, keep=keep)
    assert len(result.frames) == len(result.steps)
    assert result.steps[-1:] == ([4] if keep else [])
    assert len(result.steps) <= max(keep, 2)  # with one wanted, the last joins the first


def test_the_best_image_is_kept_when_later_ones_are_worse():
    result = opt.optimise(distance, START, 8, rule=opt.gradient_step(2.5))  # overshoots, and grows
    assert result.best_step == 0
    assert torch.equal(result.best, START)
    assert result.losses[-1] > result.best_loss == result.losses[0]


def test_an_interrupt_keeps_the_best_so_far(capsys):
    calls = []

    def objective(x):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return distance(x)

    result = opt.optimise(objective, START, 100, rule=opt.gradient_step(0.1))
    assert result.interrupted
    assert len(result.losses) == 7
    assert result.best_loss == min(result.losses)
    assert torch.allclose(result.best, by_hand(6, lambda g: 0.1 * g), atol=1e-6)
    assert "7 of 100" in capsys.readouterr().out
    assert not opt.optimise(distance, START, 2).interrupted


def test_an_interrupt_before_the_first_step_gives_the_start(capsys):
    def objective(x):
        raise KeyboardInterrupt

    result = opt.optimise(objective, START, 3)
    assert torch.equal(result.best, START)
    assert result.losses == []


RUN = """
import pathlib, time, torch
from course_utils.common.optimise import gradient_step, optimise

seen = []

def objective(x):
    seen.append(time.sleep(0.02))
    if len(seen) > 120 and time.monotonic() > start + 3:
        pathlib.Path({flag!r}).touch()
    return (x - 1).square().sum() + (len(seen) > 21)  # after 20 steps it becomes worse

start = time.monotonic()
result = optimise(objective, torch.zeros(1, 3, 4, 4), 10**6, rule=gradient_step(0.1), keep=10**5)
"""

ASKED = """
from course_utils import widgets

assert result.interrupted and 100 < len(result.losses) < 10**6, len(result.losses)
assert result.best_step == 20, result.best_step
assert result.best_loss == min(result.losses) < 0.1 < 1 <= result.losses[-1]
assert (result.best - 1).abs().max() < 0.02
assert len(result.frames) > 9
before = len(seen)
widgets.scrub(result).controls["frame"].value = 3
assert len(seen) == before
"""


def _keep(outputs, message):
    outputs.append(str(message["content"]))


@pytest.mark.slow
def test_in_a_notebook_a_bar_appears_and_the_stop_button_keeps_the_best_so_far(tmp_path):
    flag, outputs = tmp_path / "running", []
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=90)

    def press_stop():
        while not flag.exists() and client.is_alive():
            time.sleep(0.1)
        manager.interrupt_kernel()

    def run(code):
        hook = partial(_keep, outputs)
        return client.execute_interactive(code, timeout=180, output_hook=hook)["content"]["status"]

    try:
        threading.Thread(target=press_stop, daemon=True).start()
        assert run(RUN.format(flag=str(flag))) == "ok", outputs
        assert any("optimising" in text for text in outputs)  # the bar
        assert any("what was found is kept" in text for text in outputs)
        assert run(ASKED) == "ok", outputs[-2:]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_callback_sees_every_step_and_can_end_the_loop():
    seen = []

    def callback(step, x, loss):
        seen.append((step, loss, torch.is_grad_enabled()))
        return loss < 10

    result = opt.optimise(distance, START, 50, rule=opt.gradient_step(0.1), callback=callback)
    assert [s for s, _, _ in seen] == list(range(len(result.losses)))
    assert [loss for _, loss, _ in seen] == result.losses
    assert not any(grad for _, _, grad in seen)
    assert result.losses[-1] < 10 <= result.losses[-2]
    assert distance(result.image).item() == pytest.approx(result.losses[-1])
    assert result.steps[-1] == len(result.losses) - 1


def test_nothing_of_the_callers_is_changed_and_results_are_free():
    net, start = tiny.network(), tiny.batch().requires_grad_()
    before = start.detach().clone()
    with torch.no_grad():
        result = opt.optimise(lambda x: -net(x)[:, 1].sum(), start, 3)
    assert torch.equal(start, before)
    assert start.grad is None
    assert all(p.grad is None for p in net.parameters())
    assert not result.image.requires_grad
    assert result.losses[-1] < result.losses[0]
    assert result.image.data_ptr() != result.best.data_ptr()


# ------------------------------------------------------------------ what is refused


def test_a_loss_that_is_no_number_names_the_step():
    def objective(x):
        return distance(x) if x.abs().max() < 1 else (x * float("nan")).sum()

    with pytest.raises(FloatingPointError, match=r"nan after \d+ steps"):
        opt.optimise(objective, START, 20, rule=opt.gradient_step(0.4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps=0"),
        ({"keep": -1}, "keep=-1"),
        ({"start": torch.zeros(3, 4, 4)}, "start"),
        ({"start": torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}, "uint8"),
        ({"start": torch.zeros(0, 3, 4, 4)}, "start"),
        ({"objective": lambda x: x}, "one number"),
        ({"objective": lambda x: 3.0}, "float"),
        ({"objective": lambda x: torch.zeros(1)}, "does not depend"),
        ({"operations": [opt.blur(1.0)]}, "pairs"),
        ({"operations": [(0, opt.blur(1.0))]}, "every 0"),
        ({"start": opt.Fourier((1, 6, 5)), "operations": [(1, opt.blur(1.0))]}, "Fourier"),
    ],
)
def test_wrong_arguments_are_named(change, words):
    given = {"objective": lambda x: x.sum(), "start": START, "steps": 2} | change
    with pytest.raises(ValueError, match=words):
        opt.optimise(**given)


# ------------------------------------------------------------------ animations and the scrubber


@pytest.fixture(scope="module")
def result():
    """A run of two images with a few frames."""
    image = opt.Fourier((2, 24, 32))
    return opt.optimise(lambda x: x.sum(), image, 10, keep=5)


@pytest.mark.parametrize("name", ["a.gif", "b.webp", "C.WEBP"])
def test_an_animation_has_its_frames(tmp_path, result, name):
    path = opt.save_animation(result.frames, tmp_path / name, fps=10)
    with Pil.open(path) as picture:
        assert picture.n_frames == 5
        assert picture.size == (64, 24)
        picture.seek(4)
        shown = np.asarray(picture.convert("RGB"), np.float32)
    last = torch.cat(list(result.frames[-1]), -1).movedim(0, -1).float().numpy()
    assert np.abs(shown - last).mean() < 12


def test_a_file_that_is_there_is_left_alone(tmp_path, result):
    path = tmp_path / "mine.gif"
    path.write_bytes(b"my work")
    with pytest.raises(FileExistsError, match="overwrite"):
        opt.save_animation(result.frames, path)
    assert path.read_bytes() == b"my work"
    opt.save_animation(result.frames, path, overwrite=True)
    assert path.read_bytes()[:3] == b"GIF"


def test_other_endings_speeds_and_no_frames_are_refused(tmp_path, result):
    with pytest.raises(ValueError, match=r"\.gif, \.webp"):
        opt.save_animation(result.frames, tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="fps"):
        opt.animated(result.frames, fps=0)
    with pytest.raises(ValueError, match="frames"):
        opt.animated([])


def test_a_moving_picture_has_an_alt_text(result):
    shown = show.animation(result.frames, 'noise turns "dark" & calm')
    bundle = shown._repr_mimebundle_()
    assert 'alt="noise turns &quot;dark&quot; &amp; calm"' in bundle["text/html"]
    assert "width:64px" in bundle["text/html"]
    assert Pil.open(io.BytesIO(shown.content)).n_frames == 5


def test_the_scrubber_shows_each_kept_frame(result):
    scrubber = widgets.scrub(result, ["left", "right"])
    shown, text = scrubber.draw(frame=0)
    assert list(shown) == ["left", "right", "loss"]
    assert torch.allclose(shown["right"], result.frames[0, 1] / 255)
    assert f"After 0 of 10 steps: loss {result.losses[0]:.4g}" in text
    scrubber.controls["frame"].value = 2
    assert "After 5 of 10" in scrubber.text
    assert not torch.equal(scrubber.draw(frame=1)[0]["loss"], shown["loss"])


def test_the_scrubber_turns_a_score_and_refuses_too_little(result):
    assert "score -" in widgets.scrub(result, ylabel="score").text
    with pytest.raises(ValueError, match="titles"):
        widgets.scrub(result, ["one"])
    with pytest.raises(ValueError, match="keep"):
        widgets.scrub(opt.optimise(distance, START, 2, keep=0))
