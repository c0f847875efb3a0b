"""Right answers get full marks on every seed, and each known mistake its own sentence."""

import json
import math
from functools import cache

import pytest
import torch

from course_utils import exercises
from course_utils.checking import judging, running, sources
from course_utils.checking.comparing import difference
from course_utils.checking.core import RIGHT, WRONG
from course_utils.common import paths

pytestmark = pytest.mark.usefixtures("mistakes_once")

NAMES = [e.name for e in exercises.all_()]
KNOWN = [(e.name, i, m.name) for e in exercises.all_() for i, m in enumerate(e.mistakes)]


def outcomes(function, cases):
    return [running.run(function, case) for case in cases]


@cache
def drawn(name, seed):
    """The cases of a seed and what the reference gives for them."""
    cases = exercises.get(name).cases(seed)
    return cases, judging.targets(exercises.get(name), cases)


@cache
def mistaken(name, number, seed):
    """What a known mistake gives for the cases of a seed."""
    return outcomes(exercises.get(name).mistakes[number].function, drawn(name, seed)[0])


# ------------------------------------------------------------------ other ways to be right


def by_backward(model, x, classes):
    x = x.detach().clone().requires_grad_()
    scores = model(x)
    sum(scores[i, c] for i, c in enumerate(classes)).backward()
    return x.grad.abs().max(dim=1).values


def image_by_image(model, x, classes):
    maps = []
    for image, c in zip(x, classes, strict=True):
        image = image[None].clone().requires_grad_()
        model(image)[0, c].backward()
        maps.append(image.grad[0].abs().amax(0))
    return torch.stack(maps)


def still_attached(model, x, classes):
    x = x.clone().requires_grad_()
    score = model(x)[range(len(x)), classes].sum()
    return torch.autograd.grad(score, x, create_graph=True)[0].abs().amax(1)


def in_double(model, x, classes):
    return image_by_image(model.double(), x.double(), classes)


def as_numpy(model, x, classes):
    return by_backward(model, x, classes).numpy()


def by_outer_product(model, x, classes):
    x = x.clone().requires_grad_()
    g = torch.autograd.grad(model(x)[range(len(x)), classes].sum(), x)[0]
    return torch.einsum("nchw,nchw->nhw", x, g)


def one_large_batch(model, x, classes, noise):
    noisy = (x + noise).flatten(0, 1)
    return by_backward(model, noisy, classes.repeat(len(noise))).unflatten(0, (-1, len(x))).mean(0)


def by_stopping_early(model, x, layer):
    """The pass ends where the layer has run."""

    def stop(module, inputs, output):
        found.append(output)
        raise StopIteration

    found, handle = [], dict(model.named_modules())[layer].register_forward_hook(stop)
    try:
        model(x)
    except StopIteration:
        handle.remove()
    return found[0]


def by_sorting(model, x, names, k):
    found = []
    for p in model(x).softmax(-1):
        ranked = sorted(zip(p, names, strict=True), key=lambda pair: -pair[0])[:k]
        found.append([[name, probability] for probability, name in ranked])
    return tuple(found)


def backwards_through_the_layers(windows):
    size, jump, start = 1, 1, 0
    for k, s, p, d in reversed(windows):
        size, jump, start = (size - 1) * s + d * (k - 1) + 1, jump * s, start * s - p
    return [size, jump, start]


def by_padding_the_photo(pixels, top, left, size):
    room = size + max(abs(top), abs(left))
    wide = torch.nn.functional.pad(pixels, [room] * 4, value=0.5).numpy()
    return wide[:, top + room : top + room + size, left + room : left + room + size]


def photo_by_photo(activations, channel, k):
    height, width = activations.shape[2:]
    best = [
        max((m[i, j].item(), -i * width - j) for i in range(height) for j in range(width))
        for m in activations[:, channel]
    ]
    order = sorted(range(len(best)), key=lambda n: -best[n][0])[:k]
    rows = [divmod(-best[n][1], width) for n in order]
    return torch.tensor(order), torch.tensor(rows), torch.tensor([best[n][0] for n in order])


def all_squares_at_once(model, x, window, stride, value):
    height, width = x.shape[2:]
    pixels = torch.arange(height * width).view(1, 1, height, width).float()
    hidden = torch.nn.functional.unfold(pixels, window, stride=stride)[0].long().T
    covered = x.repeat(len(hidden), 1, 1, 1)
    for image, place in zip(covered.flatten(2), hidden, strict=True):
        image[:, place] = value[..., 0]
    rows = (height - window) // stride + 1
    return torch.cat([model(one[None]) for one in covered]).unflatten(0, (rows, -1))


def by_exponentials(before, after, target, probability):
    if not probability:
        return (before - after)[:, :, target]
    shares = [torch.exp(v) / torch.exp(v).sum(-1, keepdim=True) for v in (before, after)]
    return shares[0][target] - shares[1][:, :, target]


def by_folding(values, window, stride, height, width):
    reach = [(n - 1) * stride + window for n in values.shape]
    fold = torch.nn.Fold(reach, window, stride=stride)
    many = values.flatten().expand(1, window**2, -1)
    mean = (fold(many) / fold(torch.ones_like(many)).clamp(min=1))[0, 0]
    return torch.nn.functional.pad(mean, (0, width - reach[1], 0, height - reach[0]))


def by_where(x, gradient):
    return torch.where((x > 0) & (gradient > 0), gradient, 0)


def by_relu(x, gradient):
    return torch.relu(gradient)


def by_pre_hooks(model, x, classes):
    """The gradient is cut before the ReLU's own mask instead of after it."""
    relus = [part for part in model.modules() if isinstance(part, torch.nn.ReLU)]
    keep = [r.register_full_backward_pre_hook(lambda m, g: (g[0].clamp(min=0),)) for r in relus]
    x = x.detach().clone().requires_grad_()
    model(x)[range(len(x)), classes].sum().backward()
    for handle in keep:
        handle.remove()
    return x.grad


def by_norm(features, target):
    return torch.linalg.vector_norm(features.double() - target) ** 2


def by_einsum(x, seen, photo, grams, weights, alpha, beta, gamma):
    loss = sum(
        alpha * (seen[k] - t).flatten().dot((seen[k] - t).flatten()) for k, t in photo.items()
    )
    for k, target in grams.items():
        gram = torch.einsum("nchw,ndhw->ncd", seen[k], seen[k]) / seen[k][0, 0].numel()
        loss += beta * weights[k] * torch.dist(gram, target) ** 2
    steps = [x.diff(dim=-2)[..., :-1], x.diff(dim=-1)[..., :-1, :]]
    return loss + gamma * sum((step**2).sum() for step in steps)


def by_torchs_batch_norm(x, scale, shift, eps):
    """Each image is a batch of its own."""
    norm = torch.nn.functional.batch_norm
    return torch.cat([norm(one[None], None, None, scale, shift, True, 0.1, eps) for one in x])


def photo_by_photo_and_sgd(model, weights, photos, target, style_weight, rate):
    weights = torch.nn.Parameter(weights.clone())
    optimizer, losses = torch.optim.SGD([weights], lr=rate), []
    for photo in photos[:, None]:
        found = model.features(torch.conv2d(photo, weights, padding=weights.shape[-1] // 2))
        loss = (found - model.features(photo)).pow(2).mean()
        columns = found.flatten(2)[0]
        gap = torch.einsum("im,jm->ij", columns, columns) / columns.shape[1] - target
        (loss + style_weight * gap.pow(2).sum()).div(len(photos)).backward()
        losses.append(loss.item() + style_weight * gap.pow(2).sum().item())
    optimizer.step()
    return weights.detach(), sum(losses) / len(losses)


OTHER_WAYS = [
    ("content_loss", by_norm),
    ("total_loss", by_einsum),
    ("field_arithmetic", backwards_through_the_layers),
    ("field_patch", by_padding_the_photo),
    ("top_patches", photo_by_photo),
    *[("saliency_map", f) for f in (by_backward, image_by_image, still_attached, as_numpy)],
    ("sliding_window", all_squares_at_once),
    ("drop", by_exponentials),
    ("to_pixels", by_folding),
    ("gradient_times_input", by_outer_product),
    ("smoothgrad", one_large_batch),
    ("guided_relu", by_where),
    ("deconvnet_relu", by_relu),
    ("guided_gradient", by_pre_hooks),
    ("instance_norm", by_torchs_batch_norm),
    ("training_step", photo_by_photo_and_sgd),
    ("capture_layer", by_stopping_early),
    ("top_classes", by_sorting),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds", [range(10), pytest.param(range(10, 100), marks=pytest.mark.long)], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_solution_gets_full_marks_on_every_seed(name, seeds):
    exercise = exercises.get(name)
    path = paths.root() / "solutions" / f"{exercise.lecture}.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    ids = [e.name for e in exercises.all_(exercise.lecture)]
    pieces = sources.assemble(sources.notebook_cells(content, ids, set()), name)
    for seed in seeds:
        cases = exercise.cases(seed)
        verdict = judging.judge(exercise, cases, running.answers(pieces, cases), pieces)
        assert (verdict.state, verdict.points, verdict.reason) == (RIGHT, exercise.points, "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "function"), OTHER_WAYS)
def test_other_right_ways_stay_ten_times_below_the_tolerance(name, function):
    exercise = exercises.get(name)
    for seed in range(10):
        cases, wanted = drawn(name, seed)
        found = outcomes(function, cases)
        assert judging.judge(exercise, cases, found, wanted=wanted).state == RIGHT
        pairs = zip(found, wanted, strict=True)
        assert max(difference(o.value, t) for o, t in pairs) < exercise.tolerance / 10


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number", "mistake"), KNOWN)
def test_known_mistake_gets_its_sentence(name, number, mistake):
    exercise = exercises.get(name)
    wrong = exercise.mistakes[number]  # several may have one name, and one sentence
    cases, wanted = drawn(name, 0)
    verdict = judging.judge(exercise, cases, mistaken(name, number, 0), wanted=wanted)
    assert verdict.state == WRONG
    assert verdict.mistake == mistake
    assert verdict.reason == wrong.sentence
    assert verdict.points == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_two_answers_differ_by_ten_tolerances(name):
    exercise = exercises.get(name)
    for seed in (0, 1, 2):
        answers = {
            f"{m.name} {i}": [o.value for o in mistaken(name, i, seed)]
            for i, m in enumerate(exercise.mistakes)
        }
        answers["right"] = drawn(name, seed)[1]
        names = list(answers)
        for i, a in enumerate(names):
            for b in names[:i]:
                gaps = map(difference, answers[a], answers[b])
                assert any(gap > 10 * exercise.tolerance for gap in gaps), (a, b, seed)


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_short_and_give_no_code_away(name):
    exercise = exercises.get(name)
    assert len(exercise.mistakes) >= 4
    for mistake in exercise.mistakes:
        sentences = mistake.sentence
        assert len(sentences) <= 220, mistake.name
        assert sentences.count("`") % 2 == 0
        assert not any(word in sentences for word in (".abs(", ".amax(", "autograd", "(1)"))
    assert len({m.sentence for m in exercise.mistakes}) >= len(exercise.mistakes) - 1


def test_cases_depend_on_the_seed_only():
    for exercise in exercises.all_():
        first, again, other = (exercise.cases(seed) for seed in (3, 3, 4))
        for a, b in zip(first, again, strict=True):
            assert running.same(a.args, b.args)
        pairs = zip(first, other, strict=False)
        assert len(first) != len(other) or not all(running.same(a.args, b.args) for a, b in pairs)
        # By position: an argument may be left to its default, and with it all that follow.
        assert all(list(c.args) == exercise.arguments[: len(c.args)] for c in first)


def test_difference_is_infinite_where_the_form_differs():
    target = torch.ones(2, 3)
    for value in (None, "a", 1.0, [1.0], torch.ones(3, 2), target * math.nan, target + 1j):
        assert difference(value, target) == math.inf
    assert difference(target * math.nan, target * math.nan) == 0  # two wrong answers may be one
    assert difference(target.double() + 1e-3, target) == pytest.approx(1e-3)
    assert difference([("a", 0.5)], [["a", 0.5]]) == 0
    assert difference([("b", 0.5)], [["a", 0.5]]) == math.inf


def test_unknown_exercise_suggests_a_name():
    with pytest.raises(ValueError, match="'saliency_map'"):
        exercises.get("saliency_mpa")
