"""Attacks against torchattacks and foolbox, naive loops, and what their formulas promise."""

import copy
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from rebuilding import rebuild
from torch import nn

from course_utils import adversarial, images, models, widgets
from course_utils.bench.rows import adversarial as bench

REFERENCE = np.load(Path(__file__).parent / "reference" / "adversarial.npz")
CLASSES, EPSILON = [0, 3, 4], 8 / 255


def stored(name):
    """One of the peers' arrays, see reference/make_adversarial.py."""
    return torch.from_numpy(REFERENCE[name])


@pytest.fixture(scope="module")
def eight(squeezenet):
    """Eight photos as 8-bit files, (8,3,224,224)."""
    photos = [images.photo(name) for name in bench.PHOTOS]
    return adversarial.eight_bits(squeezenet.crop_pixels(photos)).to(squeezenet.device)


def linear(seed=0, classes=4, side=6):
    """A linear network, for which what is true to first order is true."""
    return nn.Sequential(nn.Flatten(), tiny.fill(nn.Linear(3 * side**2, classes), seed)).eval()


def answers(model, pixels):
    return adversarial.probabilities(model, pixels).argmax(1)


# ------------------------------------------------------------------ equal to other libraries


def test_attacks_on_the_tiny_network_are_those_of_torchattacks():
    net, pixels = tiny.network().double(), tiny.pixels(n=3).double()
    steps = {"step": 2 / 255, "steps": 10}
    found = {
        "fgsm": adversarial.fgsm(net, pixels, CLASSES, EPSILON),
        "pgd": adversarial.pgd(net, pixels, CLASSES, EPSILON, **steps),
        "targeted": adversarial.pgd(net, pixels, [2, 3, 4], EPSILON, **steps, targeted=True),
    }
    for name, ours in found.items():
        assert torch.allclose(ours.float(), stored(f"tiny_{name}"), rtol=0, atol=1e-6), name


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_attacks_on_a_photo_are_those_of_torchattacks(squeezenet, name):
    """In double precision, as the network is too sure of this photo for single."""
    model = copy.deepcopy(squeezenet).double()
    photo = np.load(Path(__file__).parent / "reference" / "saliency.npz")["photo"]
    pixels = tiny.uneven(photo).to(squeezenet.device)
    options = {} if name == "fgsm" else {"step": 2 / 255, "steps": 10}
    ours = getattr(adversarial, name)(model, pixels, 388, EPSILON, **options)
    change = 255 * (ours - pixels)[0, :, 88:136, 88:136].cpu()
    same = (change - stored(f"squeezenet_{name}")).abs() < 0.01
    assert same.double().mean() >= 0.999  # a slope of almost zero may turn round


@pytest.mark.slow
def test_smallest_changes_are_as_small_as_foolboxes(squeezenet, eight):
    ours = adversarial.smallest_linear(squeezenet, eight)
    facts = adversarial.measure(squeezenet, eight, ours)
    foolbox = adversarial.stored()["smallest"]["methods"]["foolbox, DeepFool"]
    lengths = torch.tensor(foolbox["lengths"])
    assert foolbox["fooled"] == facts.fooled.sum() == 8
    assert facts.l2.quantile(0.5).cpu() <= 1.05 * lengths.quantile(0.5)
    longer = facts.l2.cpu() / lengths  # foolbox looks at ten rivals, which helps on one photo
    assert (longer < 1.05).sum() >= 7
    assert longer.max() < 1.7


# ------------------------------------------------------------------ by the formula


def test_the_loss_and_its_gradient_are_those_of_finite_differences():
    net, pixels, step = tiny.network().double(), tiny.pixels().double(), 1e-6
    losses, gradient = adversarial.loss_gradient(net, pixels, [1, 3])
    directions = torch.eye(pixels[0].numel(), dtype=torch.double).view(-1, *pixels.shape[1:])
    with torch.no_grad():
        for image, c, loss, ours in zip(pixels, (1, 3), losses, gradient, strict=True):
            assert loss.item() == pytest.approx(-net(image[None]).log_softmax(1)[0, c].item())
            up, down = (-net(image + s * directions).log_softmax(1)[:, c] for s in (step, -step))
            numeric = ((up - down) / (2 * step)).view(image.shape)
            assert torch.allclose(ours, numeric, rtol=0, atol=1e-5 * ours.abs().max().item())


def test_the_lead_is_over_the_strongest_rival():
    net, pixels = tiny.network(), tiny.pixels(n=3)
    logits, (leads, _) = net(pixels), adversarial.lead(net, pixels, CLASSES)
    for row, c, found in zip(logits, CLASSES, leads, strict=True):
        rivals = [s.item() for i, s in enumerate(row) if i != c]
        assert found.item() == pytest.approx(row[c].item() - max(rivals), abs=1e-5)


def test_a_linear_networks_lead_falls_by_epsilon_times_the_sum_of_its_slopes():
    net, pixels = linear(), torch.full((1, 3, 6, 6), 0.5)
    (row,) = adversarial.first_order(net, [pixels[0]], [6], 0.001)
    own = answers(net, pixels).item()
    logits = net(pixels)[0]
    rival = logits.clone().index_fill(0, torch.tensor(own), -torch.inf).argmax()
    norm = (net[1].weight[own] - net[1].weight[rival]).abs().sum().item()
    assert row.norm == pytest.approx(norm, rel=1e-4)
    assert row.lost == pytest.approx(0.001 * norm, rel=1e-2)
    assert abs(row.random) < row.lost / 3


def test_a_linear_networks_smallest_change_is_the_distance_to_the_boundary():
    net, pixels = linear(classes=2), torch.full((1, 3, 6, 6), 0.5)
    own = answers(net, pixels).item()
    w = net[1].weight[own] - net[1].weight[1 - own]
    logits = net(pixels)[0]
    distance = ((logits[own] - logits[1 - own]) / w.norm()).item()
    found = adversarial.smallest_linear(net, pixels)
    assert distance < (found - pixels).norm().item() < 1.05 * distance
    found = adversarial.smallest_lbfgs(net, pixels, 1 - own, searches=12, steps=20)
    facts = adversarial.measure(net, pixels, found, 1 - own)
    assert facts.fooled.all()
    assert distance * 0.999 < facts.l2.item() < 1.15 * distance


@given(st.floats(0.5 / 255, 0.3), st.integers(0, 99), st.booleans())
def test_attacks_stay_in_their_budget_and_are_pictures(epsilon, seed, targeted):
    net, pixels = tiny.network(seed), tiny.pixels(seed)
    own = answers(net, pixels)
    made = [
        adversarial.fgsm(net, pixels, own, epsilon),
        adversarial.pgd(net, pixels, (own + 1) % 5 if targeted else own, epsilon, steps=3,
                        targeted=targeted, seed=seed),
        adversarial.random_signs(pixels, epsilon, seed),
        adversarial.square_attack(net, pixels[:1], epsilon, queries=20)[0],
    ]  # fmt: skip
    for changed in made:
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert (changed - pixels[: len(changed)]).abs().max() <= epsilon + 1e-6


def test_a_budget_of_whole_steps_survives_being_saved(squeezenet, eight):
    changed = adversarial.fgsm(squeezenet, eight[:2], answers(squeezenet, eight[:2]), 3 / 255)
    assert torch.allclose(adversarial.eight_bits(changed), changed, atol=1e-6)


def test_more_steps_raise_the_loss_further(squeezenet, eight):
    own = answers(squeezenet, eight[:4])
    once = adversarial.fgsm(squeezenet, eight[:4], own, 2 / 255)
    often = adversarial.pgd(squeezenet, eight[:4], own, 2 / 255, steps=8)
    losses = [adversarial.loss_gradient(squeezenet, p, own)[0].mean() for p in (once, often)]
    assert losses[1] > losses[0]


# ------------------------------------------------------------------ ascent


def naive_ascent(net, x, target, rate, confidence, steps):
    taken = 0
    while taken < steps and net(x).softmax(1)[0, target] < confidence:
        x = x.detach().requires_grad_()
        net(x)[0, target].backward()
        x, taken = (x + rate * x.grad / x.grad.norm()).clamp(0, 1).detach(), taken + 1
    return x, taken


@pytest.mark.parametrize(("rate", "confidence", "steps"), [(0.2, 0.6, 40), (1, 0.99, 5)])
def test_ascent_is_that_of_a_plain_loop(rate, confidence, steps):
    net, pixels = tiny.network(), tiny.pixels(n=3)
    targets = (answers(net, pixels) + 2) % 5
    together = adversarial.ascend(net, pixels, targets, rate, confidence, steps)
    for i, target in enumerate(targets.tolist()):
        wanted, taken = naive_ascent(net, pixels[i : i + 1], target, rate, confidence, steps)
        alone = adversarial.targeted_ascent(net, pixels[i : i + 1], target, rate, confidence, steps)
        assert alone[1] == together.steps[i] == taken
        assert torch.allclose(alone[0], wanted, atol=1e-5)
        assert torch.allclose(together.pixels[i], wanted[0], atol=1e-5)
        assert len(together.curves[i]) == taken + 1
        p = net(wanted).softmax(1)[0, target].item()
        assert together.curves[i][-1] == pytest.approx(p, abs=1e-4)
        assert together.reached[i] == ("confidence" if p >= confidence else "steps")


@pytest.mark.parametrize(("budget", "word"), [("l2", "L2 budget"), ("linf", "L-infinity budget")])
def test_ascent_ends_within_its_budget(budget, word):
    net, pixels = tiny.network(), tiny.pixels()
    targets = (answers(net, pixels) + 2) % 5
    limit = {"l2": 0.5, "linf": 0.05}[budget]
    found = adversarial.ascend(net, pixels, targets, 0.1, 1.0, 100, **{budget: limit})
    facts = adversarial.measure(net, pixels, found.pixels)
    assert found.reached == [word] * 2
    assert (getattr(facts, budget) <= limit + 1e-6).all()
    assert (found.steps > 0).all()


# ------------------------------------------------------------------ after saving


@pytest.mark.slow
def test_the_smallest_changes_do_not_survive_saving_and_those_with_a_lead_do(squeezenet, eight):
    smallest = adversarial.smallest_linear(squeezenet, eight[:4])
    facts = adversarial.measure(squeezenet, eight[:4], smallest)
    assert facts.fooled.all()
    assert not facts.survives.any()
    saved, leads = adversarial.smallest_saved(squeezenet, eight[:4])
    kept = adversarial.measure(squeezenet, eight[:4], saved)
    assert kept.survives.all()
    assert (kept.l2 > facts.l2).all()
    assert leads.isfinite().all()
    assert torch.equal(adversarial.eight_bits(saved), saved)


def test_what_does_not_survive_is_said():
    net, pixels = tiny.network(), adversarial.eight_bits(tiny.pixels())
    saved, leads = adversarial.smallest_saved(net, pixels, leads=[1e6], steps=1)
    assert leads.isnan().all()
    assert torch.equal(saved, pixels)


def test_facts_are_those_of_the_pictures():
    net, pixels = tiny.network(), tiny.pixels()
    changed = (pixels + 0.1).clamp(0, 1)
    facts = adversarial.measure(net, pixels, changed)
    assert torch.equal(facts.classes, net(changed).argmax(1))
    assert torch.equal(facts.fooled, net(changed).argmax(1) != net(pixels).argmax(1))
    assert torch.allclose(facts.l2, (changed - pixels).flatten(1).norm(dim=1))
    assert facts.linf.max().item() == pytest.approx(0.1, abs=1e-6)
    assert adversarial.measure(net, pixels, changed, facts.classes).fooled.all()


# ------------------------------------------------------------------ reach


def test_the_table_of_lengths_leaves_out_what_is_there_already(squeezenet, eight):
    given_class = answers(squeezenet, eight[:1]).item()
    table = adversarial.l2_needed(squeezenet, eight[:2], [given_class, "ostrich"])
    assert table.shape == (2, 2)
    assert table[0, 0].isnan()
    assert table[:, 1].isfinite().all()
    assert (table[:, 1] > 0).all()


def test_a_universal_change_is_one_change_in_its_budget():
    net, pixels = tiny.network(), tiny.pixels(n=6)
    r = adversarial.universal(net, pixels, 0.1, epochs=2)
    assert r.shape == (1, 3, 16, 16)
    assert r.abs().max() <= 0.1 + 1e-6
    assert torch.equal(r, adversarial.universal(net, pixels, 0.1, epochs=2))
    before, _ = adversarial.loss_gradient(net, pixels, answers(net, pixels))
    after, _ = adversarial.loss_gradient(net, (pixels + r).clamp(0, 1), answers(net, pixels))
    assert after.mean() > before.mean()


def test_transfer_to_itself_is_the_attack_itself():
    nets, pixels = [tiny.network(0), tiny.network(1)], tiny.pixels(n=6)
    table = adversarial.transfer(nets, pixels, [0.02, 0.1], "FGSM")
    assert table.shape == (2, 2, 2)
    made = adversarial.fgsm(nets[1], pixels, answers(nets[1], pixels), 0.1)
    assert table[1, 1, 1] == adversarial.measure(nets[1], pixels, made).fooled.float().mean()
    assert table[1, 1, 0] == adversarial.measure(nets[0], pixels, made).fooled.float().mean()


class Counting(nn.Module):
    """A network that counts what it is asked, and refuses to be differentiated."""

    def __init__(self, model):
        super().__init__()
        self.model, self.asked = model, 0

    def forward(self, pixels):
        assert not torch.is_grad_enabled()
        self.asked += len(pixels)
        return self.model(pixels)


@pytest.mark.parametrize("queries", [2, 7, 60])
def test_the_square_attack_only_asks_and_counts_truly(queries):
    net = Counting(tiny.network())
    changed, asked = adversarial.square_attack(net, tiny.pixels(n=1), 0.02, queries)
    assert asked == net.asked <= max(2, queries)
    assert changed.shape == (1, 3, 16, 16)


def test_the_square_attack_fools_the_network(squeezenet, eight):
    changed, asked = adversarial.square_attack(squeezenet, eight[:1], 12 / 255, 300)
    assert adversarial.measure(squeezenet, eight[:1], changed).fooled.all()
    assert asked < 300


def test_a_filter_is_seen_forwards_and_not_backwards():
    net, pixels = tiny.network(), tiny.pixels()
    defended = adversarial.Defended(net, adversarial.few_colours(4))
    few = (pixels * 3).round() / 3
    assert torch.allclose(defended(pixels), net(few), atol=1e-5)
    x, y = pixels.clone().requires_grad_(), few.clone().requires_grad_()
    through = torch.autograd.grad(defended(x)[:, 0].sum(), x)[0]
    assert torch.allclose(through, torch.autograd.grad(net(y)[:, 0].sum(), y)[0], atol=1e-5)


@pytest.mark.parametrize(
    "made", [adversarial.jpeg(60), adversarial.few_colours(6),
             adversarial.blurred(1.5)]
)  # fmt: skip
def test_filters_return_pictures_near_the_original(made, squeezenet, eight):
    filtered = made(eight[:2])
    assert filtered.shape == eight[:2].shape
    assert filtered.min() >= 0
    assert filtered.max() <= 1
    assert 0 < (filtered - eight[:2]).abs().mean() < 0.1


# ------------------------------------------------------------------ what is refused

ONE = torch.full((1, 3, 16, 16), 0.5)
ATTACKS = {
    "fgsm": lambda net, p, c: adversarial.fgsm(net, p, c, 0.1),
    "pgd": lambda net, p, c: adversarial.pgd(net, p, c, 0.1),
    "targeted_ascent": lambda net, p, c: adversarial.targeted_ascent(net, p, c, 0.1, 0.9, 5),
    "smallest_linear": adversarial.smallest_linear,
    "smallest_lbfgs": adversarial.smallest_lbfgs,
    "smallest_saved": adversarial.smallest_saved,
    "universal": lambda net, p, c: adversarial.universal(net, p, 0.1),
    "square_attack": lambda net, p, c: adversarial.square_attack(net, p, 0.1),
    "loss_gradient": adversarial.loss_gradient,
}
TARGETED = ("targeted_ascent", "smallest_linear", "smallest_lbfgs", "smallest_saved")


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (ONE - 1, "values from -0.5 to -0.5; accepted: 0-1"),
        (ONE * 4, "denormalize"),
        (ONE * torch.nan, "not finite"),
        (ONE[0], "accepted: images"),
        (ONE[:, :1], "accepted: images"),
        (torch.cat([ONE, ONE[:, :1]], 1), "accepted: images"),
        (ONE[:, :, :0], "accepted: images"),
    ],
)
def test_what_is_no_picture_is_refused(name, pixels, words):
    with pytest.raises(ValueError, match=words):
        ATTACKS[name](tiny.network(), pixels, 1)


@pytest.mark.parametrize("name", TARGETED)
def test_a_target_that_is_there_already_is_refused(name, squeezenet, eight):
    with pytest.raises(ValueError, match="taken for .* already"):
        ATTACKS[name](squeezenet, eight[:1], answers(squeezenet, eight[:1]))
    with pytest.raises(ValueError, match="taken for 'llama' already"):
        ATTACKS[name](squeezenet, eight[:1], "llama")
    with pytest.raises(ValueError, match="koala"):
        ATTACKS[name](squeezenet, eight[:1], "koalla")


@pytest.mark.parametrize("name", [n for n in ATTACKS if n not in ("universal", "square_attack")])
def test_a_class_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match="accepted: 0 to 4"):
        ATTACKS[name](tiny.network(), ONE, 7)


@pytest.mark.parametrize("epsilon", [0, -0.1, 1.5, float("nan")])
def test_a_budget_that_is_none_is_refused(epsilon):
    net = tiny.network()
    for attack in (
        lambda: adversarial.fgsm(net, ONE, 1, epsilon),
        lambda: adversarial.pgd(net, ONE, 1, epsilon),
        lambda: adversarial.universal(net, ONE, epsilon),
        lambda: adversarial.square_attack(net, ONE, epsilon),
        lambda: adversarial.random_signs(ONE, epsilon),
    ):
        with pytest.raises(ValueError, match=r"epsilon=.* accepted: above 0, up to 1"):
            attack()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rate": 0}, "rate=0; accepted: above 0"),
        ({"confidence": 1.5}, "confidence=1.5"),
        ({"steps": 0}, "steps=0; accepted: 1 or more"),
        ({"l2": -1}, "l2=-1"),
        ({"linf": 0}, "linf=0"),
    ],
)
def test_numbers_outside_their_range_are_refused(given, words):
    net = tiny.network()
    target = (answers(net, ONE).item() + 1) % 5
    with pytest.raises(ValueError, match=words):
        adversarial.ascend(net, ONE, target, **given)


def test_other_wrong_arguments_are_named():
    net, two = tiny.network(), tiny.pixels()
    with pytest.raises(ValueError, match="2 images came"):
        adversarial.targeted_ascent(net, two, 1, 0.1, 0.9, 5)
    with pytest.raises(ValueError, match="2 images came"):
        adversarial.square_attack(net, two, 0.1)
    with pytest.raises(ValueError, match="changed"):
        adversarial.measure(net, two, two[:1])
    with pytest.raises(ValueError, match="classes: 3 came for 2 images"):
        adversarial.fgsm(net, two, CLASSES, 0.1)
    for make, words in (
        (lambda: adversarial.jpeg(0), "quality=0"),
        (lambda: adversarial.few_colours(1), "levels=1"),
        (lambda: adversarial.blurred(0), "sigma=0"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.parametrize("shape", [(8, 8), (9, 37), (300, 20)])
def test_photos_of_any_size_can_be_attacked(shape):
    net, pixels = tiny.network(), torch.rand(1, 3, *shape)
    changed = adversarial.pgd(net, pixels, answers(net, pixels), 0.1, steps=2)
    assert changed.shape == pixels.shape
    assert adversarial.square_attack(net, pixels, 0.1, 5)[0].shape == pixels.shape


# ------------------------------------------------------------------ networks for pixels


def test_a_network_of_the_zoo_takes_pixels(squeezenet, eight):
    network = models.on_pixels(squeezenet)
    assert torch.equal(network(eight[:1]), squeezenet(squeezenet.normalize(eight[:1])))
    assert network.index("koala") == 105
    assert models.on_pixels(network) is network


# ------------------------------------------------------------------ the explorer


@pytest.fixture(scope="module")
def explorer(squeezenet):
    return widgets.adversarial_explorer(squeezenet, ["panda"])


def test_the_explorer_says_what_the_network_says_of_the_file(explorer):
    assert "Before “giant panda”" in explorer.text
    explorer.controls["target"].value = -1
    explorer.controls["budget"].value = 2
    assert "No value moved by more than 2 of 255" in explorer.text
    assert "now “giant panda”" not in explorer.text


def test_magnifying_needs_no_pass_of_the_network(explorer, squeezenet, monkeypatch):
    before = explorer.image.value
    monkeypatch.setattr(type(squeezenet), "forward", lambda *_: pytest.fail("a pass"))
    explorer.controls["magnified"].value = 44
    assert explorer.image.value != before


def test_the_explorer_explains_a_target_that_is_there_already(squeezenet):
    explorer = widgets.adversarial_explorer(squeezenet, ["panda"], ["giant panda"])
    assert "already: choose another" in explorer.text


@pytest.mark.slow
def test_training_on_attacked_digits_makes_a_network_harder_to_fool():
    """On digits that neither twin has seen; random signs of the same size are the control."""
    pixels, digit = adversarial.digits()
    assert pixels.shape == (1797, 3, 8, 8)
    assert 0 == pixels.min() < pixels.max() == 1
    lesson, exam = (pixels[:600], digit[:600]), (pixels[1200:1500], digit[1200:1500])
    ways = [{}, {"epsilon": 0.15}, {"epsilon": 0.15, "by": "random signs"}]
    twins = [adversarial.fit_tiny(*lesson, progress=None, **way) for way in ways]

    def share(model, some):
        return (model(some).argmax(1) == exam[1]).float().mean().item()

    attacked = [share(model, adversarial.fgsm(model, *exam, 0.1)) for model in twins]
    assert attacked[1] > max(attacked[0], attacked[2]) + 0.15
    assert min(share(m, adversarial.random_signs(exam[0], 0.1)) for m in twins) > 0.85
    assert not any(w.requires_grad for model in twins for w in model.parameters())


def test_tiny_twins_are_the_same_for_the_same_seed_and_leave_the_random_state():
    pixels, digit = (t[:64] for t in adversarial.digits())
    before = torch.get_rng_state()
    one, same, other = (
        adversarial.fit_tiny(pixels, digit, epochs=1, seed=seed, progress=None)
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one(pixels), same(pixels))
    assert not torch.allclose(one(pixels), other(pixels), atol=1e-3)
    with pytest.raises(ValueError, match="epochs=0"):
        adversarial.fit_tiny(pixels, digit, epochs=0)
    with pytest.raises(ValueError, match="epsilon=2"):
        adversarial.fit_tiny(pixels, digit, epsilon=2)
    with pytest.raises(ValueError, match="Did you mean 'random signs'"):
        adversarial.fit_tiny(pixels, digit, by="random sign")


def test_random_signs_in_training_are_drawn_anew_for_every_batch(monkeypatch):
    pixels, digit = (t[:128] for t in adversarial.digits())
    seen = []

    def signs(x, epsilon, seed):
        seen.append(seed)
        return adversarial.random_signs(x, epsilon, seed)

    monkeypatch.setattr("course_utils.adversarial.training.random_signs", signs)
    adversarial.fit_tiny(pixels, digit, 0.1, epochs=2, progress=None, by="random signs")
    assert len(seen) == len(set(seen)) == 4


# ------------------------------------------------------------------ what is stored


def test_fgsm_of_a_transfer_is_fgsm_for_every_budget():
    one, two = tiny.network(), tiny.network(seed=1)
    pixels, budgets = tiny.pixels(n=3), (0.05, 0.2)
    table = adversarial.transfer([one, two], pixels, budgets, "FGSM")
    own = adversarial.probabilities(one, pixels).argmax(1)
    theirs = adversarial.probabilities(two, pixels).argmax(1)
    for row, epsilon in zip(table, budgets, strict=True):
        made = adversarial.fgsm(one, pixels, own, epsilon)
        new = adversarial.probabilities(two, made).argmax(1)
        assert row[0, 1] == pytest.approx((new != theirs).float().mean().item())


def test_the_stored_lengths_are_what_the_ascent_needs(squeezenet):
    stored = adversarial.stored_lengths()
    panda = adversarial.eight_bits(squeezenet.crop_pixels([images.photo("panda")]))
    again = adversarial.l2_needed(squeezenet, panda, stored["targets"][:1])
    assert again[0, 0].item() == pytest.approx(stored["lengths"]["panda"][0], rel=0.2)


def test_the_stored_change_fools_photos_that_did_not_make_it(squeezenet):
    r = adversarial.stored_universal()
    assert r.shape == (1, 3, 224, 224)
    assert r.abs().max() == pytest.approx(10 / 255)
    held_out = adversarial.eight_bits(squeezenet.crop_pixels(images.photos()[1::12]))
    before, after = (
        adversarial.probabilities(squeezenet, p).argmax(1)
        for p in (held_out, (held_out + r).clamp(0, 1))
    )
    assert (before != after).float().mean() > 0.4


def test_the_stored_change_is_made_by_its_command(squeezenet, monkeypatch):
    script = rebuild("attacks")
    monkeypatch.setattr(script.images, "photos", lambda: images_of_two)
    made = script.change(squeezenet, epochs=1)
    assert made.shape == (3, 224, 224)
    assert (made % 12 == 0).all()
    assert made.max() <= 240


@pytest.mark.slow
def test_the_stored_controls_are_made_by_their_command(squeezenet):
    """What is cheap of them, anew; of the rest, that each is there beside its control."""
    kept, script = adversarial.stored_controls(), rebuild("attack_controls")
    pixels, classes = (t.to(squeezenet.device) for t in script.others(squeezenet))
    assert len(pixels) == kept["photos"]
    for name, count in script.one_step(squeezenet, pixels, classes).items():
        assert count == pytest.approx(kept["one step"][name], abs=3), name
    assert kept["signs"]["agree"] == list(script.AGREE)
    assert kept["signs"]["named right"][0] > 0.9 > 0.4 > kept["signs"]["named right"][-1]
    assert all(set(pairs) == set(script.MAKERS) for pairs in kept["transfer"].values())
    few, many = (t["fooled"] for t in kept["universal"] if t["photos"] == 16)
    assert many > few + 0.1


def test_signs_that_agree_by_half_do_nothing_to_a_linear_network():
    script, net, pixels = rebuild("attack_controls"), linear(), torch.full((1, 3, 6, 6), 0.5)
    shares = script.signs(net, pixels, answers(net, pixels))
    assert len(shares) == len(script.AGREE)
    assert shares[0] == 1.0
    assert script.named(net, pixels, answers(net, pixels)) == 1.0


def test_the_steps_of_a_rise_are_those_since_one_percent():
    rise = rebuild("attack_controls")._rise
    assert rise([0.001, 0.02, 0.005, 0.3, 0.6]) == 2
    assert rise([0.2, 0.6]) == 1


images_of_two = [images.photo("panda"), images.photo("panda"), images.photo("red_panda")]
