# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 11 Adversarial examples
#
# **How little has to change in a photo before the network sees something else?**
#
# After this lecture you can
# - make a network name any class you like, and say how far you moved the picture;
# - explain why it is so easy, with one formula, and test the explanation;
# - tell what an attacker needs: the gradient, another network, or only the answers;
# - judge a defence by an attacker who knows it.
#
# About 90 minutes with the two exercises. You need lectures 06 and 10.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
from collections import Counter

import torch

from course_utils import adversarial, images, models, show, widgets
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## A photo is pixels in 0–1
#
# So far we changed *normalised* images. An attack has to end in a picture that can be saved, so here
# everything happens in **pixels** from 0 to 1, and the network normalises what it is given. One step of
# an 8-bit file is $1/255$.
#
# The elephant is a cut-out on a photo of a castle.

# %%
net = models.load("squeezenet1_1")
f = models.on_pixels(net)
scene, _ = images.composite(images.cutout("elephant"), images.photo("chenonceau"), scale=0.7)
elephant = adversarial.eight_bits(scene[None]).to(net.device)


# %%
def answer(pixels: torch.Tensor) -> list[str]:
    best = adversarial.probabilities(f, pixels).max(1)
    named = zip(best.indices, best.values, strict=True)
    return [f"{net.labels[c]} ({p:.0%})" for c, p in named]


show.images(elephant, answer(elephant), alt="a cut-out elephant in front of a castle")

# %% [markdown]
# ## Ascent on another class
#
# Lecture 10 climbed the score of a class from nothing. Now we start at a photo, and climb the score of
# a class $t$ that it does **not** show:
# $$x \leftarrow \mathrm{clip}_{[0,1]}\Big(x + \eta\,\frac{g}{\lVert g\rVert_2}\Big), \qquad
# g = \frac{\partial S_t}{\partial x} .$$
# We stop as soon as the network is confident of $t$.
#
# **Question.** What will the picture look like when the network is 90 % sure that it shows a koala?

# %% [markdown] slide="subslide"
# **Exercise 1 (medium, 15 minutes).** Every step is `rate` long. Return the image and the number of
# steps taken.
#
# <details><summary>Hint 1: what happens in a round?</summary>
# Look at the probability of the target. If it is high enough: stop. Otherwise take one step, and
# clip.
# </details>
# <details><summary>Hint 2: the step</summary>
# <code>torch.autograd.grad(model(x)[0, target], x)[0]</code>, divided by its <code>.norm()</code>.
# </details>
# <details><summary>Hint 3: a fresh start in every round</summary>
# <code>x = x.detach().requires_grad_()</code>; otherwise the graph grows from step to step.
# </details>


# %% exercise="targeted_ascent"
def targeted_ascent(model, pixels, target, rate, confidence, steps):
    """Ascent on the score of `target` until its probability is at least `confidence`.

    model: logits (1,C) of pixels in 0-1; pixels: (1,3,H,W); target: int; rate: length of a step;
    confidence: 0-1; steps: the most to take.
    Returns: the image (1,3,H,W) in 0-1, and how many steps were taken.
    """
    ### BEGIN SOLUTION
    x = pixels
    for step in range(steps):
        x = x.detach().requires_grad_()
        scores = model(x)[0]
        if scores.softmax(0)[target] >= confidence:
            return x.detach(), step
        g = torch.autograd.grad(scores[target], x)[0]
        x = (x + rate * g / g.norm()).clamp(0, 1)
    return x.detach(), steps
    ### END SOLUTION


# %% check="targeted_ascent" slide="subslide"
check("targeted_ascent", targeted_ascent)

# %% slide="subslide"
climb = yours_or_ours("targeted_ascent", targeted_ascent)
koala = net.index("koala")
fooled, steps = climb(f, elephant, koala, rate=0.2, confidence=0.9, steps=50)
difference = fooled - elephant
print(
    f"{steps} steps, length {difference.norm():.2f}, largest {255 * difference.abs().max():.0f}/255"
)

# %%
pictures = [elephant[0], 0.5 + 20 * difference[0], fooled[0]]
titles = [answer(elephant)[0], "difference x 20", answer(fooled)[0]]
alt = "the elephant, a grey noisy picture, and an elephant that looks the same and is called koala"
show.images(pictures, titles, height=2.7, alt=alt)

# %% [markdown]
# An elephant that nobody would call a koala, except the network, which is sure. The middle picture is
# what was added, twenty times stronger. It does not look like a koala. Does the network think so?

# %%
grey = torch.full_like(elephant, 0.5)
alone = torch.cat([(grey + k * difference).clamp(0, 1) for k in (0, 1, 20)])
captions = ["grey", "grey + difference", "grey + 20 x difference"]
titles = [f"{c}\n{a}" for c, a in zip(captions, answer(alone), strict=True)]
show.images(alone, titles, height=2.7, alt="plain grey, grey again, and grey with coloured noise")

# %% [markdown]
# On its own, even twenty times stronger, it may be a handkerchief, but no koala hides in it. (Two greys
# that look alike, and two names: where nothing is shown no class is far ahead, and next to nothing
# decides.) The change is made for *this* photo, and only together with it do many tiny pushes add up. It
# looks like noise, but it is not: the experiment with random signs below will tell.

# %% [markdown]
# ## Any photo, any start
#
# **Question.** Was the elephant a lucky case? Six photos, one target: the ostrich (as in the first
# paper, Szegedy et al. 2014).

# %%
names = ["panda", "scarlet_macaw", "red_panda", "dam1", "baseball", "taj_mahal"]
photos = adversarial.eight_bits(net.crop_pixels([images.photo(n) for n in names])).to(net.device)
ostriches = adversarial.ascend(f, photos, "ostrich", rate=0.2, confidence=0.9)
facts = adversarial.measure(f, photos, ostriches.pixels, "ostrich")

# %%
changes = [(0.5 + 20 * d).clamp(0, 1) for d in ostriches.pixels - photos]
titles = [a.split(" (")[0] for a in answer(photos)]
lengths = [f"length {length:.2f}" for length in facts.l2]
after = [a.split(",")[0] for a in answer(ostriches.pixels)]
alt = "six photos, their differences times twenty, and six photos that look the same: all ostriches"
show.images([*photos, *changes, *ostriches.pixels], titles + lengths + after, height=1.2, alt=alt)

# %% slide="subslide"
taken = ", ".join(map(str, ostriches.steps.tolist()))
print("ended by:", ", ".join(sorted(set(ostriches.reached))), "after", taken, "steps")
print(
    f"still ostriches after saving as 8-bit files: {facts.survives.sum()} of {len(facts.survives)}"
)
assert facts.fooled.all()
assert facts.survives.all()

# %% [markdown]
# Every one, and every one survives being saved: a lead of 90 % is more than rounding to $1/255$ takes
# away. (The smallest changes are another matter; they come below.)
#
# The start need not be a photo at all.

# %%
random = torch.Generator().manual_seed(0)
noise = adversarial.eight_bits(torch.rand(1, 3, 224, 224, generator=random)).to(net.device)
from_noise = adversarial.ascend(f, noise, "ostrich", rate=0.5, confidence=0.9)
both = [*noise, *from_noise.pixels]
show.images(both, answer(torch.stack(both)), height=2.7, alt="noise, and noise that is an ostrich")

# %% [markdown]
# Two pictures of noise. A high probability is no sign that there is anything in the picture.

# %% [markdown]
# ## When to stop
#
# Three rules are in use: stop when the network is **confident**, or before the change leaves a
# **budget** (预算), measured by its Euclidean length $\lVert r\rVert_2$ or by its largest value
# $\lVert r\rVert_\infty$. The first asks "how far?", the others "what can be had for this much?".

# %%
rules = {
    "confidence 0.5": {"confidence": 0.5},
    "confidence 0.99": {"confidence": 0.99},
    "length 1.4": {"confidence": 1.0, "l2": 1.4},
    "largest 8/255": {"confidence": 1.0, "linf": 8 / 255},
}
runs = {name: adversarial.ascend(f, photos[:1], "ostrich", 0.2, **r) for name, r in rules.items()}

# %% slide="subslide"
rows = []
for name, run in runs.items():
    found = adversarial.measure(f, photos[:1], run.pixels, "ostrich")
    rows.append([name, run.reached[0], run.steps, run.curves[0][-1], found.l2, 255 * found.linf])
header = ["rule", "ended by", "steps", "p(ostrich)", "length", "largest, of 255"]
show.table(header, rows)

# %%
curve = runs["confidence 0.99"].curves[0]
before, after = max(zip(curve, curve[1:], strict=False), key=lambda pair: pair[1] - pair[0])
print(f"the steepest step: from {before:.0%} to {after:.0%}")
alt = "the probability of ostrich stays near zero, then rises steeply to one within a few steps"
show.lines({"panda": (range(len(curve)), curve)}, "steps of length 0.2", "p(ostrich)", alt)

# %% [markdown]
# For the panda the probability does nothing for a while, and then nearly all of it comes in one step.
# (For other photos that takes from two steps to some forty: next section.) A length of 1.4 is more than
# enough. A largest change of 8/255 is not, for this ascent: it spends much on few values. For budgets of
# that kind there is a better step, below.

# %% [markdown]
# ## From every start to every class
#
# **Question.** Are some photos nearer to some classes? Here is the length at which the ascent from the panda
# gives each of four targets a probability of one half.

# %%
targets = ["ostrich", "tabby", "hammer", "dam"]
live = adversarial.l2_needed(f, photos[:1], targets)
show.table(["from / to", *targets], [["panda", *live[0].tolist()]])

# %% [markdown]
# The same from other photos, and from noise; it takes a minute, so it was made once and is stored with the
# command that made it, `python data/rebuild_attacks.py`.

# %%
table = adversarial.stored_lengths()
rows = [[n, *("" if v is None else v for v in row)] for n, row in table["lengths"].items()]
show.table(["from / to", *table["targets"]], rows)

# %% slide="subslide"
lengths = torch.tensor(
    [v for r in list(table["lengths"].values())[:-1] for v in r if v is not None]
)
apart = (photos[:, None] - photos).flatten(2).norm(dim=2).quantile(0.5)
print(
    f"from photos: {lengths.min():.2f} to {lengths.max():.2f}, median {lengths.quantile(0.5):.2f}"
)
print(f"the photos are {apart:.0f} apart")
assert lengths.quantile(0.5) < apart / 50
assert (live[0] / torch.tensor(table["lengths"]["panda"]) - 1).abs().max() < 0.3

# %% [markdown]
# Empty means: it is that class already, or 60 steps were not enough. Four photos and four classes of our
# choice are few. So once more from 24 other photos and from ten pictures of noise, each to a class drawn
# at random. (Made by `python data/rebuild_attack_controls.py`, as all that is said of other photos below.)

# %%
controls = adversarial.stored_controls()
for start, one in controls["ascents"].items():
    found, rise = one["lengths"], one["rise"]
    middle = torch.tensor(found).quantile(0.5)
    print(f"{start}: {len(found)} of {one['starts']} get there,")
    print(f"    length {found[0]} to {found[-1]}, median {middle:.2f},")
    print(f"    from 1 % to 50 % in {rise[0]} to {rise[-1]} steps of {one['rate']}")

# %% [markdown]
# From nearly every photo to nearly every class it takes a length of mostly less than two, at most four, while
# two photos are more than a hundred apart: seen from a photo, nearly all classes are next door. From noise it
# is further.

# %% [markdown]
# ## One step: the fast gradient sign
#
# Suppose no value may change by more than $\epsilon$. To first order the loss
# $J = -\log p_c$ grows by $r^\top \nabla J$, and no $r$ in that budget gains more than
# $$r = \epsilon\,\mathrm{sign}(\nabla_x J), \qquad r^\top\nabla J = \epsilon\,\lVert \nabla J\rVert_1 .$$
# One backward pass; this is **FGSM** (快速梯度符号法, Goodfellow et al. 2015). It is **untargeted**
# (无目标攻击): any class but the present one will do.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 10 minutes).**
#
# <details><summary>Hint 1: which number is differentiated?</summary>
# <code>torch.nn.functional.cross_entropy(model(x), classes, reduction="sum")</code>. The sum gives
# each image the gradient of its own loss.
# </details>
# <details><summary>Hint 2: what must hold for the result?</summary>
# It is a picture: in 0 to 1, and no value further than epsilon from where it was.
# </details>


# %% exercise="fgsm"
def fgsm(model, pixels, classes, epsilon):
    """pixels + epsilon * sign(dJ/dpixels), kept in 0-1, with J the cross-entropy of `classes`.

    model: logits (N,C) of pixels in 0-1; pixels: (N,3,H,W); classes: (N,) int64; epsilon: a number.
    Returns: (N,3,H,W) in 0-1.
    """
    ### BEGIN SOLUTION
    x = pixels.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(model(x), classes, reduction="sum")
    gradient = torch.autograd.grad(loss, x)[0]
    return (pixels + epsilon * gradient.sign()).clamp(0, 1)
    ### END SOLUTION


# %% check="fgsm" slide="subslide"
check("fgsm", fgsm)

# %% slide="subslide"
one_step = yours_or_ours("fgsm", fgsm)
pictures = [p for p in images.photos() if p.label_index is not None]
pixels = adversarial.eight_bits(net.crop_pixels(pictures)).to(net.device)
labels = torch.tensor([p.label_index for p in pictures], device=net.device)
right = adversarial.probabilities(f, pixels).argmax(1) == labels
test, truth = pixels[right][::5], labels[right][::5]
print(f"{len(pixels)} labelled photos, {right.sum()} named right, {len(test)} of them used here")


# %%
def still_right(changed: torch.Tensor) -> float:
    return (adversarial.probabilities(f, changed).argmax(1) == truth).float().mean().item()


budgets = [0.25, 1, 4]
by_sign = [still_right(one_step(f, test, truth, e / 255)) for e in budgets]
by_chance = [still_right(adversarial.random_signs(test, e / 255)) for e in budgets]

# %% [markdown]
# ## Many small steps
#
# **Iterated FGSM** (Kurakin et al. 2017) repeats the signed step and *projects* the change back into the
# budget, instead of stopping there. From a random start in the budget it is called **PGD** (投影梯度下降,
# Madry et al. 2018); `adversarial.pgd` does both.
# $$x \leftarrow \mathrm{clip}_{[x_0-\epsilon,\,x_0+\epsilon]\cap[0,1]}
# \big(x + \alpha\,\mathrm{sign}(\nabla_x J)\big).$$
#
# **Question.** Four forward and backward passes instead of one: worth it?

# %%
stepped = [adversarial.pgd(f, test, truth, e / 255, steps=4) for e in budgets]
by_steps = [still_right(changed) for changed in stepped]
curves = {"random signs": by_chance, "FGSM": by_sign, "iterated FGSM, 4 steps": by_steps}
drawn = {name: ([0, *budgets], [1.0, *shares]) for name, shares in curves.items()}
alt = (
    "random signs hardly matter; FGSM, once or iterated, leaves few photos named right at 1 of 255"
)
show.lines(drawn, "budget, of 255", "still named right", alt)

# %% slide="subslide"
for name, shares in curves.items():
    told = (f"{e}/255: {s:.0%}" for e, s in zip(budgets, shares, strict=True))
    print(f"{name:22}", ", ".join(told))
assert by_steps[1] <= by_sign[1]
assert by_chance[2] > by_sign[1] + 0.3

# %% [markdown]
# One step of a file is enough for nearly all. Random signs four times as large hardly matter. So this
# is **not** noise that confuses the network.
#
# **Question.** Must the signs be just these? Suppose only 60 of 100 agree with the gradient's, and the
# others are turned round. Here are 46 other photos, with a change of 1/255:

# %%
agree, kept = (controls["signs"][k] for k in ("agree", "named right"))
rows = [[f"{a:.0%}", f"{k:.0%}"] for a, k in zip(agree, kept, strict=True)]
show.table(["signs that agree", "still named right"], rows)

# %% [markdown]
# With half of the signs right nothing happens; with 60 of 100 about half of the photos fall. So no narrow
# direction has to be hit. What counts is how far the change goes *up the gradient*, whatever else it does.

# %%
panda, own = photos[:1], adversarial.probabilities(f, photos[:1]).argmax(1)
panels = [panda, one_step(f, panda, own, 2 / 255), adversarial.random_signs(panda, 8 / 255)]
captions = ["photo", "FGSM, 2 of 255", "random signs, 8 of 255"]
titles = [f"{c}\n{a}" for c, a in zip(captions, answer(torch.cat(panels)), strict=True)]
alt = "a panda three times, the last a little grainy; the middle one is misnamed"
show.images(torch.cat(panels), titles, height=2.7, alt=alt)

# %% [markdown]
# Without a target the answer slips: here the giant panda becomes a lesser one, and the network is as sure
# as before. Is that the rule?

# %%
one = controls["one step"]
print(f"FGSM of 2/255 fools {one['fooled']} of {controls['photos']} other photos; of these")
print(f"{one['among the old five']} get a name that was among the first five before,")
print(f"{one['as sure']} are named as surely as before, or at most 5 points less")

# %% [markdown]
# The new name is mostly one that the network had in mind before. As sure as before it is about half of the
# time.

# %% [markdown]
# ## The smallest change
#
# How near is the next answer? Szegedy et al. ask for
# $$\min_r\; J(x + r,\, t) + c\,\lVert r\rVert_2 \quad\text{with}\quad x + r \in [0,1]^n ,$$
# by L-BFGS. We look for the largest $c$ that still fools, by bisection.
#
# The fast way treats the network as linear (after DeepFool, 2016). With the lead
# $g = S_c - \max_{k\ne c} S_k$ and its gradient $w$, the boundary $g = 0$ is nearest at
# $$x - g\,\frac{w}{\lVert w\rVert_2^2} ,$$
# and from there once more, until it is crossed; then along it, back towards the photo.

# %% slide="subslide"
some = test[:2]
linear = adversarial.smallest_linear(f, some)
found = adversarial.measure(f, some, linear)
searched = adversarial.smallest_lbfgs(f, some, found.classes, searches=3, steps=6)
other = adversarial.measure(f, some, searched, found.classes)

# %%
rows = [
    [
        name,
        one.fooled.float().mean(),
        " and ".join(f"{length:.3f}" for length in one.l2),
        255 * one.linf.max(),
        one.survives.sum(),
    ]
    for name, one in (("linearised", found), ("L-BFGS", other))
]
show.table(["", "fooled", "lengths", "largest, of 255", "survive saving"], rows)

# %%
assert found.fooled.all()
assert other.fooled.all()
assert found.survives.sum() == 0

# %% [markdown]
# The fast way comes as near, and L-BFGS asks many times as often. Beside another library: foolbox's
# DeepFool on eight other photos. Its table was made once and is stored with the command that made it.

# %% slide="subslide"
stored = adversarial.stored()
methods = stored["smallest"]["methods"].items()
middle = [torch.tensor(one["lengths"]).quantile(0.5) for _, one in methods]
rows = [
    [n, f"{o['fooled']} of 8", m, o["shown"] // 8]
    for (n, o), m in zip(methods, middle, strict=True)
]
show.table([stored["made_by"], "fooled", "median length", "forward passes a photo"], rows)

# %% [markdown]
# Ours looks at the strongest rival only, foolbox at the ten strongest: for one photo of the eight, the
# cheetah, it finds a nearer answer.
#
# A class that is *named* is further away, and the linearised method needs more steps. The panda again,
# to the ostrich:

# %% slide="subslide"
far = [adversarial.smallest_linear(f, panda, "ostrich", steps=n) for n in (12, 30)]
lengths = [facts.l2[0].item(), *((p - panda).norm().item() for p in far)]
show.table(["ascent to 90 %", "linearised, 12 steps", "30 steps"], [lengths])

# %%
assert adversarial.measure(f, panda, far[1], "ostrich").fooled.all()
assert lengths[2] < lengths[1] < lengths[0]

# %% [markdown]
# About half as far as the ascent went. Not because that wanted 90 %: asked for one half it stopped at the
# same step (see *When to stop*). It climbs the score in steps of one length; the linear way aims at the
# boundary, and then goes back along it.
#
# Back to any other class. **None of these changes survives being saved**: nearly all values move by less
# than half a step of a file (share below). So we raise the new class's lead until the *saved* picture fools:

# %% slide="subslide"
saved, leads = adversarial.smallest_saved(f, some, leads=[2, 4, 8])
kept = adversarial.measure(f, some, saved)
rows = zip([net.labels[c] for c in truth[:2]], found.l2, leads, kept.l2, strict=True)
show.table(["photo", "smallest length", "lead needed", "length once saved"], rows)

# %%
under_half = ((linear - some).abs() < 0.5 / 255).float().mean().item()
print(f"moved by less than half a step of a file: {under_half:.1%} of the values")
assert under_half > 0.9
assert kept.survives.all()
grown = " and ".join(f"{ratio:.1f}" for ratio in (kept.l2 / found.l2).tolist())
print(f"surviving costs {grown} times the length")

# %% [markdown]
# ## Why is it so easy?
#
# To first order, moving every value by $\epsilon$ against the gradient $w$ of the lead takes
# $$\epsilon\,\lVert w\rVert_1 = \epsilon \sum_i |w_i|$$
# from it: 150,528 small contributions, **all of one sign**. With random signs they cancel, and the sum
# is some $\sqrt n$ times smaller. No single pixel has to be important.
#
# **Question.** Then a larger photo, with more values, should lose more. Does it?

# %% slide="subslide"
squares = [images.square(images.photo(n).pixels(), 320) for n in names]
sizes = [96, 160, 224, 320]
found_by_size = adversarial.first_order(f, squares, sizes, epsilon=0.5 / 255)
rows = [
    [o.size, o.size**2 * 3, o.norm, o.lead, o.promised, o.lost, o.random] for o in found_by_size
]
header = ["side", "values", "sum |w|", "lead", "promised loss", "measured", "random signs"]
show.table(header, rows)

# %% slide="subslide"
small, large = found_by_size[0], found_by_size[-1]
values = (large.size / small.size) ** 2
print(f"{values:.0f} times the values, sum |w| {large.norm / small.norm:.1f} fold")
for one in found_by_size:
    assert one.lost > 10 * abs(one.random)
assert 1 < large.norm / small.norm < values / 5

# %% [markdown]
# The formula promises about twice what is lost: it is a *slope*, and the network bends. And the sum hardly
# grows with the photo: SqueezeNet ends in a mean over all positions, so each value among many counts
# for less. (For networks with fresh weights Simon-Gabriel et al. (2019) derive a growth like the root of
# that number; here one trained network is shown larger photos.) So it is not the *number* of
# inputs that makes this network weak; at every size it is that the signs add up where random ones cancel.

# %% [markdown]
# Ilyas et al. (2019) turn the question round: *features, not bugs*. Such tiny patterns do help on photos of
# the test set, so training keeps them. They are useful to the network and mean nothing to us.

# %% [markdown]
# ## One change for all photos
#
# Every photo had its own change. A **universal perturbation** (通用扰动) is one change for all: signed
# steps up the mean loss over many photos. It only counts on photos that were *not* used to make it, and
# where the network was fairly sure (over 50 %): where it wavers, anything changes the answer.
#
# **Question.** Can there be such a change? The first below was made with 58 photos in 48 steps, which takes
# a minute: it is stored. Beside it the same change with its pixels shuffled, the signs of *one* photo's
# gradient (the panda's), and random signs.

# %%
crops = adversarial.eight_bits(net.crop_pixels(images.photos()[1::2])).to(net.device)
before = adversarial.probabilities(f, crops).max(1)
sure = before.values > 0.5
held_out, names_before = crops[sure], before.indices[sure]
r = adversarial.stored_universal().to(net.device)
order = torch.randperm(224 * 224, generator=torch.Generator().manual_seed(0))
shuffled = r.flatten(2)[..., order.to(r.device)].view_as(r)
of_one = one_step(f, panda, own, 10 / 255) - panda
chance = adversarial.random_signs(torch.full_like(r, 0.5), 10 / 255) - 0.5


# %%
def renamed(change: torch.Tensor) -> torch.Tensor:
    added = adversarial.eight_bits((held_out + change).clamp(0, 1))
    return adversarial.probabilities(f, added).argmax(1)


new = renamed(r)
answers = [new, renamed(shuffled), renamed(of_one), renamed(chance)]
rates = [(after != names_before).float().mean().item() for after in answers]
made = ["one change for all", "its pixels shuffled", "signs of one photo", "random signs"]
show.bars(made, rates, "share fooled")

# %%
unmade = [images.photo(name) for name in ("camels", "bison", "scarlet_macaw")]
added = (adversarial.eight_bits(net.crop_pixels(unmade)).to(net.device) + r).clamp(0, 1)
alt = "coloured noise that winds in whorls"
show.images([0.5 + 10 * r[0]], ["the change x 10"], height=5, alt=alt)

# %%
alt = "camels, a bison and a macaw, faintly grained"
show.images(added, answer(added), height=3, alt=alt)

# %% slide="subslide"
often = Counter(net.labels[c] for c in new[new != names_before]).most_common(4)
print(f"of {len(held_out)} photos it was not made with, the change fools {rates[0]:.0%},")
print(f"random signs of the same size {rates[3]:.0%}")
fooled_names = new[new != names_before].tolist()
print(f"{len(fooled_names)} photos get {len(set(fooled_names))} new names, most often")
print(", ".join(f"{name} {n} times" for name, n in often))
assert rates[0] > max(rates[1], rates[3]) + 0.25
assert len(set(fooled_names)) > len(fooled_names) / 3

# %% [markdown]
# The change is no noise: it has a texture of whorls, which you can just see in smooth parts of a photo, and
# with its pixels shuffled it does no more than random signs. The network has no name for that texture: the
# photos get many different ones.
#
# **Question.** What does it take, many photos or many steps?

# %%
trials = [[t["photos"], t["steps"], f"{t['fooled']:.0%}"] for t in controls["universal"]]
show.table(["photos", "steps", "fools"], [*trials, [58, 48, f"{rates[0]:.0%}"]])

# %% [markdown]
# Steps first. In six of them 16 photos teach no more than random signs do, and 48 photos little more; in 48
# steps the same 16 photos do nearly as well as 58. (Each change was made once.)
#
# Then do all photos have the same weak direction? Compare the gradients of twelve:

# %%
_, gradient = adversarial.loss_gradient(f, held_out[:12], names_before[:12])
w = torch.nn.functional.normalize(gradient.flatten(1))
alike = (w @ w.T).abs().fill_diagonal_(0).max()
print(f"the largest cosine between two: {alike:.3f}")
assert alike < 0.2

# %% [markdown]
# Nearly at right angles, all of them. And still one change fools most photos, and even the signs of one
# photo fool more of the others than random signs do. Why they can, the gradients at the photos do not tell.

# %% [markdown]
# ## Transfer to another network
#
# So far the attacker had the network: a **white box** (白盒). Suppose he has another one, trained on the
# same data. **Question.** Will pictures made with SqueezeNet fool EfficientNet-Lite0? And back?

# %%
other_net = models.load("efficientnet_lite0")
chosen = right.nonzero()[:, 0][::5]
both = adversarial.probabilities(other_net, pixels[chosen]).argmax(1) == labels[chosen]
shared, names_shared = pixels[chosen][both], labels[chosen][both]
strengths, nets = [2, 16], [f, other_net]
shares = adversarial.transfer(nets, shared, [e / 255 for e in strengths], "FGSM")


# %% slide="subslide"
def by_signs(e: float) -> list[float]:
    signs = adversarial.random_signs(shared, e / 255)
    named = [adversarial.probabilities(n, signs).argmax(1) for n in nets]
    return [(one != names_shared).float().mean().item() for one in named]


rows = []
for e, table in zip(strengths, shares.tolist(), strict=True):
    made = {"SqueezeNet": table[0], "EfficientNet": table[1], "random signs": by_signs(e)}
    rows += [[f"{e}/255", name, *(f"{p:.0%}" for p in pair)] for name, pair in made.items()]
show.table(["budget", "made with", "fools SqueezeNet", "fools EfficientNet"], rows)

# %% slide="subslide"
own = shares.diagonal(dim1=1, dim2=2)
across = shares.flip(2).diagonal(dim1=1, dim2=2)
print(f"{len(shared)} photos that both name right")
assert (own > across).all()
assert (across[1] > across[0]).all()

# %% [markdown]
# On its own network one step of 2/255 is mostly enough. Carried over, it depends on the way. EfficientNet's
# pictures fool SqueezeNet more often than random signs do. SqueezeNet's hardly do that to EfficientNet, the
# sturdier network. Twelve photos are few; twenty others, with 16/255:

# %%
others = controls["transfer"]["16/255"]
rows = [[name, *(f"{p:.0%}" for p in pair)] for name, pair in others.items()]
show.table(["made with", "fools SqueezeNet", "fools EfficientNet"], rows)

# %% [markdown]
# So hidden weights are some protection against *this* attack, and which network the attacker has decides how
# much. The next attack does not need one.

# %% [markdown]
# ## Only asking
#
# A **black-box attack** (黑盒攻击) needs neither weights nor gradient, only answers. The square attack
# (2020) puts squares of $\pm\epsilon$ at random places, and keeps those after which the lead is smaller.

# %%
three, names_three = shared[[0, 1, 3]], names_shared[[0, 1, 3]]
asked = [adversarial.square_attack(f, p[None], 8 / 255, queries=300) for p in three]
squared = torch.cat([changed for changed, _ in asked])
facts = adversarial.measure(f, three, adversarial.eight_bits(squared))
names_now = [
    net.labels[c] if s else "not fooled" for c, s in zip(facts.classes, facts.fooled, strict=True)
]
rows = zip([net.labels[c] for c in names_three], names_now, [q for _, q in asked], strict=True)
show.table(["photo", "named", "queries"], rows)

# %%
panels = [three[0], (0.5 + 10 * (squared - three)[0]).clamp(0, 1), squared[0]]
titles = [answer(three[:1])[0], "difference x 10", answer(squared[:1])[0]]
show.images(
    panels, titles, height=2.7, alt="a photo, stripes and squares of colour, the photo with them"
)

# %% slide="subslide"
queries = ", ".join(str(number) for number in sorted(q for _, q in asked))
print(f"{facts.fooled.sum()} of 3 fooled, queries: {queries}")
assert facts.fooled.sum() >= 2
for name, counts in controls["queries"].items():
    told = ", ".join("not within 400" if n is None else str(n) for n in counts)
    print(f"{name}, other photos: {told}")

# %% [markdown]
# Iterated FGSM took four passes forward and backward; here, for SqueezeNet, a few questions do, or some
# hundreds. (Where it says 2, the stripes at the start were enough.) EfficientNet takes more, and some photos
# held out. Hundreds of questions are nothing for a program, if the service answers with probabilities and
# does not count.

# %% [markdown]
# ## A defence, and who it is measured against
#
# The change is fine, so destroy fine things first: save every picture as a strong JPEG before the
# network sees it.
#
# **Question.** With it some of the attacked photos are recognised again. Is the network safe?

# %%
filters = {
    "nothing": lambda p: p,
    "JPEG, quality 30": adversarial.jpeg(30),
    "blur, 1 pixel": adversarial.blurred(1.0),
}
guards = {name: adversarial.Defended(f, one) for name, one in filters.items()}


# %% slide="subslide"
def kept_right(guard: torch.nn.Module, changed: torch.Tensor) -> str:
    named = adversarial.probabilities(guard, adversarial.eight_bits(changed)).argmax(1)
    return f"{(named == truth).float().mean():.0%}"


unaware = stepped[-1]  # iterated FGSM with 4 of 255, from above
rows = []
for name, guard in guards.items():
    knows = name != "nothing"  # there is nothing to know
    aware = adversarial.pgd(guard, test, truth, 4 / 255, steps=4) if knows else unaware
    rows.append([name, *(kept_right(guard, p) for p in (test, unaware, aware))])

# %%
show.table(["filter", "clean photos", "attacker does not know it", "attacker knows it"], rows)

# %% slide="subslide"
shares = [[int(cell[:-1]) for cell in row[1:]] for row in rows]
assert max(share[1] for share in shares[1:]) > shares[0][1] + 20
assert all(share[2] < share[1] for share in shares[1:])

# %% [markdown]
# Against pictures made without it the filter helps. An attacker who knows it simply attacks *network
# with filter*: forwards through the filter, backwards as if it were not there (Athalye et al. 2018).
# Next to nothing is left, and the clean photos have paid. How much? 46 other photos:

# %%
rows = [[name, *(f"{p:.0%}" for p in shares)] for name, shares in controls["filters"].items()]
show.table(["filter", "clean photos", "attacker does not know it", "attacker knows it"], rows)

# %% [markdown]
# The clean photos lose as much as the filter saves, or more: twelve photos had flattered the JPEG.
#
# **A defence is worth what it is worth against someone who knows it.**

# %% [markdown]
# ## Training on attacked pictures
#
# What helps is **adversarial training** (Goodfellow et al. 2015, Madry et al. 2018): in each step of the
# training, first attack the batch, then learn from it.
# $$\min_\theta \; \mathbb{E}\Big[\max_{\lVert r\rVert_\infty \le \epsilon} J_\theta(x + r, c)\Big]$$
#
# On ImageNet that takes days. On digits of 8 × 8 pixels it takes seconds, so we do it here: one tiny network
# trained as usual, its twin on pictures attacked with FGSM of 0.15. Perhaps any disturbance would do? So
# there is a third, trained with random signs of 0.15.
#
# **Question.** Will they see the same in a digit? How could we look?

# %%
pixels_8, digit = (t.to(net.device) for t in adversarial.digits())
lesson, exam = (pixels_8[:1200], digit[:1200]), (pixels_8[1200:1500], digit[1200:1500])
ways = {
    "ordinary": {},
    "on attacked": {"epsilon": 0.15},
    "random signs": {"epsilon": 0.15, "by": "random signs"},
}
short = {"epochs": 8, "progress": None}
twins = {name: adversarial.fit_tiny(*lesson, **way, **short) for name, way in ways.items()}


# %% slide="subslide"
def named_right(model: torch.nn.Module, pictures: torch.Tensor) -> float:
    return (adversarial.probabilities(model, pictures).argmax(1) == exam[1]).float().mean().item()


rows = []
for name, twin in twins.items():
    attacks = [adversarial.fgsm(twin, *exam, 0.1), adversarial.pgd(twin, *exam, 0.1, seed=0)]
    tried = [exam[0], adversarial.random_signs(exam[0], 0.1), *attacks]
    rows.append([name, *(named_right(twin, pictures) for pictures in tried)])
show.table(["trained", "clean", "random signs, 0.1", "FGSM, 0.1", "PGD, 0.1"], rows)

# %%
assert rows[1][3] > rows[0][3] + 0.2
assert rows[1][4] > max(rows[0][4], rows[2][4]) + 0.15
assert min(row[2] for row in rows) > 0.9

# %% [markdown]
# The twin mostly holds where its sister falls, and pays nothing on clean digits here. (On photos robust
# networks do pay, by some percent to tens of percent.) Random signs teach hardly any of that: it has to be
# the attack.
#
# What does each look at? The gradient of the lead, $w$, says which strokes would help the digit most. Below
# the digits that of the ordinary network, below that its twin's. Red: more ink would help; blue: less.

# %% slide="subslide"
first = [(exam[1] == k).nonzero()[0, 0].item() for k in range(8)]
two = [twins[name] for name in ("ordinary", "on attacked")]
slopes = [adversarial.lead(m, exam[0][first], exam[1][first])[1].sum(1) for m in two]
scaled = [w / w.abs().amax((1, 2), keepdim=True) for w in slopes]

# %%
drawn = [exam[0][first].mean(1), *scaled]
titles = [f"{k}" for k in range(8)] + [""] * 16
alt = "red digits; below gradients in red and blue; below those, gradients that are pale but for a few pixels"
show.maps(
    [one for row in drawn for one in row], titles, signed=True, columns=8, height=1.2, alt=alt
)


# %%
def facts_of_slopes(model: torch.nn.Module) -> list[float]:
    ahead, w = adversarial.lead(model, *exam)
    w, ink = w.sum(1).flatten(1), (exam[0] - lesson[0].mean(0))[:, 0].flatten(1)
    alike = torch.nn.functional.cosine_similarity(w, ink).mean().item()
    return [(w.abs().sum(1) / ahead.abs()).quantile(0.5).item(), alike]


rows = [[name, *facts_of_slopes(twin)] for name, twin in twins.items()]
show.table(["trained", "sum |w|, in leads", "w like the digit (cosine)"], rows)

# %%
assert rows[1][1] < 0.75 * min(rows[0][1], rows[2][1])

# %% [markdown]
# Per unit of lead the twin's slopes are about half as large: the first-order formula read backwards. Those of
# the third network are not. The twin's follow the ink a little more, too; on photos that is clearly seen
# (Tsipras et al. 2019).

# %% [markdown]
# ## Where it matters
#
# Stickers on a stop sign made a network read a speed limit (Eykholt et al. 2018): **driving**. Printed
# spectacle frames made a **face recognition** see another person (Sharif et al. 2016). Filters for
# spam, fraud and forbidden pictures have opponents who earn money by passing.
#
# **Responsible use.** Attack networks that are yours, or whose owner has asked you to. What you find in
# a product, tell its maker before the world. Do not try these pictures where somebody may be hurt. And
# where a decision matters, do not let one network take it alone.

# %% [markdown]
# ## Try it
#
# Find the smallest budget at which the panda becomes an ostrich. Then take one step instead of five, and
# leave the target open. The picture shown is the *saved* one.

# %%
widgets.adversarial_explorer(net)

# %% [markdown]
# ## What we saw
#
# - From nearly any photo a short ascent leads to nearly any class, and you see no difference.
# - One signed step of 1/255 is often enough; random signs of four times that are mostly not.
# - The smallest changes do not survive being saved; with a lead in score they do.
# - The reason is a sum: to first order $\epsilon\lVert w\rVert_1$, over all values.
# - One change fools SqueezeNet on most unseen photos that it was sure of.
# - EfficientNet's pictures fool SqueezeNet too; the other way that hardly works.
# - An attacker needs no gradient, only answers and patience.
# - A filter stops some who do not know it; training on attacked pictures, not on noise, makes the slopes small.

# %% [markdown]
# **What it does not show.** We measured two small networks and some dozen photos; shares from so few
# are rough. And that a network can be fooled does not say that it looks at the wrong things: it says that
# it reacts to things we do not see.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | adversarial example | 对抗样本 | a picture changed a little so that the network errs |
# | perturbation | 扰动 | what is added |
# | targeted, untargeted attack | 有目标/无目标攻击 | to a class that is named; to any other |
# | budget | 预算 | the largest change that is allowed |
# | fast gradient sign method | 快速梯度符号法 | one step by the signs of the loss's gradient |
# | projected gradient descent | 投影梯度下降 | many steps, each put back into the budget |
# | universal perturbation | 通用扰动 | one change for all photos |
# | transferability | 可迁移性 | made with one network, fools another |
# | white box, black box | 白盒，黑盒 | with the weights; with the answers only |
# | adversarial training | 对抗训练 | training on attacked pictures |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
shown = [images.cutout("elephant"), images.photo("chenonceau"), *map(images.photo, names)]
asked_about = [pictures[i] for i in chosen[both][:1].tolist()]
used = [*unmade, *asked_about]
show.credits(shown + used)

# %% [markdown] slide="skip"
# ## Papers
#
# - C. Szegedy et al. [*Intriguing properties of neural networks.*](https://arxiv.org/abs/1312.6199) ICLR 2014.
# - I. Goodfellow et al. [*Explaining and Harnessing Adversarial Examples.*](https://arxiv.org/abs/1412.6572) ICLR 2015.
# - S.-M. Moosavi-Dezfooli et al. [*DeepFool.*](https://arxiv.org/abs/1511.04599) CVPR 2016. [*Universal adversarial perturbations.*](https://arxiv.org/abs/1610.08401) CVPR 2017.
# - M. Sharif et al. [*Accessorize to a Crime.*](https://doi.org/10.1145/2976749.2978392) CCS 2016.
# - A. Kurakin, I. Goodfellow, S. Bengio. [*Adversarial Examples in the Physical World.*](https://arxiv.org/abs/1607.02533) ICLR workshop 2017.
# - A. Madry et al. [*Towards Deep Learning Models Resistant to Adversarial Attacks.*](https://arxiv.org/abs/1706.06083) ICLR 2018.

# %% [markdown] slide="skip"
# - Y. Dong et al. [*Boosting Adversarial Attacks with Momentum.*](https://arxiv.org/abs/1710.06081) CVPR 2018.
# - A. Athalye et al. [*Obfuscated Gradients Give a False Sense of Security.*](https://arxiv.org/abs/1802.00420) ICML 2018.
# - K. Eykholt et al. [*Robust Physical-World Attacks on Deep Learning Visual Classification.*](https://arxiv.org/abs/1707.08945) CVPR 2018.
# - C.-J. Simon-Gabriel et al. [*First-Order Adversarial Vulnerability.*](https://arxiv.org/abs/1802.01421) ICML 2019.
# - A. Ilyas et al. [*Adversarial Examples Are Not Bugs, They Are Features.*](https://arxiv.org/abs/1905.02175) NeurIPS 2019.
# - D. Tsipras et al. [*Robustness May Be at Odds with Accuracy.*](https://arxiv.org/abs/1805.12152) ICLR 2019.
# - M. Andriushchenko et al. [*Square Attack.*](https://arxiv.org/abs/1912.00049) ECCV 2020.
