# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 10 Gradient ascent
#
# **What does the network's own idea of a goldfish look like?**
#
# Until now the photo was given and we asked where the evidence lies. From here on there is no photo: we
# start from nothing and let the gradient paint.
#
# After this lecture you can
# - climb a class score by gradient ascent on the pixels;
# - say what each regulariser suppresses, and measure it;
# - explain why some scores cannot be climbed from grey, and why probabilities are a bad goal;
# - paint classes, channels, single units and facets that a person recognises.
#
# About 75 minutes with the three exercises. You need lecture 06.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import tempfile
from pathlib import Path

import torch

from course_utils import ascent, images, models, show, widgets
from course_utils.common import optimise
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## Uphill
#
# A saliency map says how each pixel would have to change for the score $S_c$ to grow. So change them that
# way, and ask again. With a penalty that keeps values small, we climb
# $$\max_x \; S_c(x) - \lambda \lVert x \rVert^2 .$$
#
# The weights of the network stay as they are; the *picture* is what learns. Inputs are normalised, so
# $x = 0$ is a picture of one colour, the mean of ImageNet. The mean comes back at the end.

# %%
net = models.load("squeezenet1_1")
goldfish = torch.tensor([net.index("goldfish")], device=net.device)
nothing = torch.zeros(1, 3, 128, 128, device=net.device)

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 10 minutes).** One step:
# $$x \leftarrow x + \eta \, \frac{\partial}{\partial x}\Big(S_c(x) - \lambda \lVert x \rVert^2\Big) .$$
# Each image of the batch is a climb of its own, with its own class.
#
# <details><summary>Hint 1: which way?</summary>
# Training <em>subtracts</em> a gradient, because a loss is to fall. Here a score is to rise.
# </details>
# <details><summary>Hint 2: the penalty</summary>
# Its gradient is <code>2 * weight * x</code>. You can write that, or let autograd do it.
# </details>


# %% exercise="ascent_step"
def ascent_step(model, x, classes, rate, weight):
    """One step up the slope of S_c(x) - weight * ||x||^2.

    model: logits (N,C) of normalised images; x: (N,3,H,W); classes: (N,) int64, on the device of x;
    rate: the step, as a multiple of the gradient; weight: of the penalty.
    Returns: (N,3,H,W).
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    chosen = model(x)[torch.arange(len(x)), classes]
    gradient = torch.autograd.grad(chosen.sum(), x)[0]
    return x.detach() + rate * (gradient - 2 * weight * x.detach())
    ### END SOLUTION


# %% check="ascent_step"
check("ascent_step", ascent_step)

# %% slide="subslide"
step = yours_or_ours("ascent_step", ascent_step)
x, climbed = nothing, [nothing]
for _ in range(60):
    x = step(net, x, goldfish, 1.0, 0.0)
    climbed.append(x)

# %% slide="subslide"
after = (0, 1, 5, 20, 60)
pictures = [net.denormalize(climbed[t])[0] for t in after]
alt = "from plain grey to a thicket of fine, coloured lines"
show.images(pictures, [f"after {t}" for t in after], height=2.1, alt=alt)

# %%
with torch.no_grad():
    scores = [net(climbed[t])[0, goldfish].item() for t in after]
    photos = net(net.preprocess(images.photos()[:40])).amax(1)
print("scores:", ", ".join(f"{score:.1f}" for score in scores))
print(f"the best class of a photo scores {photos.quantile(0.5):.0f}, at most {photos.max():.0f}")
assert scores[-1] > 10 * photos.max()

# %% [markdown]
# The score goes through the roof. (The very first step *lowers* it: on a plain picture all values under a
# max pooling tie, and the slope there points only roughly uphill.) And the goldfish?
#
# **Question.** Nothing in $S_c$ asks for a *natural* picture. What kind of change do you expect to raise
# a score fastest, for the least change of each pixel?

# %% [markdown]
# ## The mess, measured
#
# Fine lines, everywhere: the gradient prefers **high frequencies**. The convolutions with stride and the
# pooling pass them on, and no photo ever taught the network to ignore them. Our measure is the share of
# a picture's power in waves of four pixels and shorter. White noise has most of its power there, photos have hardly any.

# %%
some = net.normalize(torch.stack([images.square(p.pixels(), 128) for p in images.photos()[:40]]))
share = ascent.high_frequencies(some).quantile(0.5).item()
mess = ascent.high_frequencies(climbed[-1]).item()
print(f"high frequencies: photos {share:.3f}, our picture {mess:.3f}")
assert mess > 5 * share

# %% [markdown]
# From noise instead of grey it is no better: the noise stays, and the lines are drawn over it. The loop
# of lectures 10 to 16, `optimise`, minimises; to climb, we minimise minus the score.


# %% slide="slide"
def minus_score(x: torch.Tensor) -> torch.Tensor:
    return -ascent.score(net, "goldfish")(x).sum()


noise = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 0.3
uphill = {"rule": optimise.gradient_step(1.0), "steps": 60, "to_pixels": net.denormalize}
noisy = optimise.optimise(minus_score, noise.to(net.device), **uphill)

# %% [markdown]
# ## Regularisers, one by one
#
# - **L2**: $-\lambda\lVert x\rVert^2$ pulls every value towards grey.
# - **Blur**: every few steps a Gaussian blur.
# - **Clip small values**: pixels that hardly differ from grey are set to grey.
# - **Clip small gradients**: pixels that hardly move the score are set to grey.
# - **Clip small contributions**: the same, by value times gradient, $x \cdot \partial S_c / \partial x$.
#
# The first is a term of what is climbed; the others are done *to* the picture now and then (Yosinski et
# al. 2015, who clip by contributions).
#
# **Question.** Which of them acts on high frequencies?

# %% [markdown] slide="subslide"
# **Exercise 2 (medium, 10 minutes).** The blur, in a loop of your own: after every `every`-th step the
# picture is convolved with a small kernel, each colour by itself.
#
# <details><summary>Hint 1: after every third step</summary>
# Count the steps from 1; <code>t % every == 0</code> says when.
# </details>
# <details><summary>Hint 2: one kernel, three colours</summary>
# <code>torch.nn.functional.conv2d(x, k, padding=..., groups=3)</code> with <code>k</code> of shape
# (3,1,s,s): <code>kernel.expand(3, 1, -1, -1)</code>.
# </details>


# %% exercise="ascend"
def ascend(model, x, classes, rate, steps, kernel, every):
    """Steps up the slope of S_c (no penalty), and a blur after every `every` of them.

    model, x, classes, rate: as for ascent_step; steps: how many; kernel: (s,s), s odd, sums to 1;
    every: steps from one blur to the next. Around the image there are zeros.
    Returns: (N,3,H,W).
    """
    ### BEGIN SOLUTION
    for t in range(1, steps + 1):
        x = x.detach().requires_grad_()
        chosen = model(x)[torch.arange(len(x)), classes]
        x = x.detach() + rate * torch.autograd.grad(chosen.sum(), x)[0]
        if t % every == 0:
            k = kernel.expand(3, 1, -1, -1)
            x = torch.nn.functional.conv2d(x, k, padding=kernel.shape[-1] // 2, groups=3)
    return x
    ### END SOLUTION


# %% check="ascend" slide="subslide"
check("ascend", ascend)

# %%
climb = yours_or_ours("ascend", ascend)
row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=net.device) / 16
blurred = climb(net, nothing, goldfish, 2.0, 60, row.outer(row), 3)

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 10 minutes).** Clipping: a given share of the pixels goes, those that are smallest
# by the norm over the three colours of `by`, which is the image itself or its gradient.
#
# <details><summary>Hint 1: the threshold</summary>
# <code>by.norm(dim=1)</code> is one number for each pixel. <code>torch.quantile</code> along the
# flattened pixels gives one threshold for each image.
# </details>
# <details><summary>Hint 2: setting to zero</summary>
# Multiply by a mask of 0 and 1; it needs an axis for the colours: <code>mask[:, None]</code>.
# </details>


# %% exercise="clip_small"
def clip_small(x, by, share):
    """Sets the `share` of each image's pixels to zero whose norm of `by` over the colours is smallest.

    x, by: (N,3,H,W); share: 0-1.
    Returns: (N,3,H,W).
    """
    ### BEGIN SOLUTION
    size = by.norm(dim=1)
    threshold = torch.quantile(size.flatten(1), share, dim=1)
    return x * (size >= threshold[:, None, None])[:, None]
    ### END SOLUTION


# %% check="clip_small"
check("clip_small", clip_small)

# %% slide="subslide"
clip = yours_or_ours("clip_small", clip_small)
penalty = [lambda x: 0.03 * optimise.squared_norm(x)]
values = [(10, lambda x, gradient: clip(x, x, 0.3))]
slopes = [(10, lambda x, gradient: clip(x, gradient, 0.3))]
shares = [(10, lambda x, gradient: clip(x, x * gradient, 0.3))]
blur = [(4, optimise.blur(0.8))]

# %%
runs = {
    "noise, nothing": noisy,
    "L2": optimise.optimise(minus_score, nothing, terms=penalty, **uphill),
    "blur": optimise.optimise(minus_score, nothing, operations=blur, **uphill),
    "small values": optimise.optimise(minus_score, nothing, operations=values, **uphill),
    "small gradients": optimise.optimise(minus_score, nothing, operations=slopes, **uphill),
    "contributions": optimise.optimise(minus_score, nothing, operations=shares, **uphill),
}

# %%
light = [lambda x: 0.003 * optimise.squared_norm(x)]
rare = [(20, operation) for _, operation in values + slopes]
together = {"terms": light, "operations": [(2, optimise.blur(0.8)), *rare]}
faster = uphill | {"rule": optimise.gradient_step(2.0)}
runs["all"] = optimise.optimise(minus_score, nothing, **together, **faster)

# %% slide="subslide"
finished = {"nothing": climbed[-1], **{name: run.image for name, run in runs.items()}}
finished["your blur"] = blurred
pictures = [net.denormalize(x)[0] for x in finished.values()]
alt = "thickets of lines, but with a blur: soft orange fish with eyes; with all: two fish on grey"
show.images(pictures, list(finished), columns=5, height=2.0, alt=alt)


# %% slide="subslide"
def facts(x: torch.Tensor) -> list[float]:
    fine = ascent.high_frequencies(x).item()
    grey = (x == 0).all(1).float().mean().item()
    sees = ascent.recognition(net, net.denormalize(x), ["goldfish"])[0]
    return [fine, x.square().mean().sqrt().item(), grey, minus_score(x).neg().item(), sees[2]]


table = {name: facts(x) for name, x in finished.items()}
head = ["", "high frequencies", "size (rms)", "exactly grey", "score", "p(goldfish) as saved"]
show.table(head, [[name, *row] for name, row in table.items()])

# %%
fine, size, grey = ({name: row[i] for name, row in table.items()} for i in range(3))
assert fine["blur"] < fine["nothing"] / 5
assert size["L2"] < size["nothing"] / 2
assert abs(fine["L2"] - fine["nothing"]) < 0.2
clipped = ("small values", "small gradients", "contributions")
assert min(grey[name] for name in clipped) > 0.25
assert min(fine[name] for name in clipped) > 2 * fine["blur"]

# %% [markdown] slide="subslide"
# L2 makes the picture weaker, not smoother. Clipping cleans the ground between the fish and leaves the
# lines. **Only the blur acts on high frequencies**; as they carried most of the picture, what is left is weak
# too. But with it a fish appears, with an eye, out of nothing but a score.
#
# Mind the last column: a score in the thousands need not survive being *saved*. Values outside 0–1 are
# cut, and the network may then see something else.

# %%
widgets.scrub(runs["all"], ["goldfish"], ylabel="score")

# %% [markdown]
# ## Scores that cannot be climbed
#
# SqueezeNet ends in convolution, **ReLU**, mean. If a class's map is negative everywhere, its score is
# exactly 0, and so is its slope. From such a point no gradient leads anywhere.

# %%
full = torch.zeros(1, 3, 224, 224, device=net.device)
dead = [net.labels[i] for i in ascent.dead_scores(net, full)]
print(len(dead), "dead classes at the grey image of 224 pixels:", ", ".join(dead))
assert len(dead) == 8
assert "koala" in dead

# %% [markdown]
# The way out: climb the mean of the class's map **before** that ReLU, the layer `conv10`. It has a slope
# everywhere. Where the whole map is positive the two are one goal; elsewhere the score asks nothing of the
# places where the map is negative, and the map asks them too.

# %%
before_relu = ascent.class_map(net, "koala")
how = {"transforms": [optimise.jitter(8)], "to_pixels": net.denormalize}
how |= {"rule": optimise.gradient_step(2.0), "operations": [(1, optimise.blur(0.6))]}
stuck = optimise.optimise(lambda x: -ascent.score(net, "koala")(x).sum(), full, 20, **how)
freed = optimise.optimise(lambda x: -before_relu(x).sum(), nothing, 80, **how)

# %%
pair = [net.denormalize(run.image)[0] for run in (stuck, freed)]
alt = "left: plain grey; right: a head with two round ears, a dark eye and a muzzle, on a branch"
show.images(pair, ["koala: its score", "koala: before the ReLU"], height=3, alt=alt)

# %%
assert torch.equal(stuck.image, full)
with torch.no_grad():
    print("koala's score now:", round(net(freed.image)[0, net.index("koala")].item(), 1))

# %% [markdown]
# ## Score or probability?
#
# Would the **probability** not be the more honest goal? Its gradient is
# $$\frac{\partial p_c}{\partial x} = p_c\Big(\frac{\partial S_c}{\partial x} -
# \sum_k p_k \frac{\partial S_k}{\partial x}\Big) .$$
#
# **Question.** What is it where $p_c$ is near 0, as in the beginning? And near 1, as in the end?

# %%
goals = [ascent.score(net, "goldfish"), ascent.probability(net, "goldfish")]
seen = []


def watch(step: int, x: torch.Tensor, loss: float) -> None:
    seen.append([ascent.gradient_norm(goal, x) for goal in goals] + [goals[1](x).item()])


gentle = optimise.gradient_step(0.05)
slow = optimise.optimise(minus_score, nothing, 40, rule=gentle, callback=watch)

# %%
by_score, by_probability, p = zip(*seen, strict=True)
curves = {"score": (range(41), by_score), "probability": (range(41), by_probability)}
alt = (
    "the score's gradient keeps its size; that of the probability starts small, peaks, and vanishes"
)
show.lines(curves, "steps up the score", "norm of the gradient", alt, yscale="log")

# %%
half = min(range(41), key=lambda t: abs(p[t] - 0.5))
print(
    f"p(goldfish): {p[0]:.5f} at the start, {p[half]:.2f} after {half} steps, {p[-1]:.5f} at the end"
)
assert by_probability[half] > 20 * max(by_probability[0], by_probability[-1])
assert min(by_score) > max(by_score) / 20

# %% [markdown] slide="subslide"
# The probability has a slope only where the network hesitates. From grey there is next to nothing to
# climb, and once it is sure nothing to gain.
#
# Its **logarithm** mends the start. But the sum over $k$ is still there: the goal is reached as well when
# *other* classes fall. One short step of the same length up either tells how much of that there is. It
# starts from noise: at a plain picture all values under a max pooling tie, and no slope is exact.


# %%
def gains(goal: ascent.Target) -> list[float]:
    x = noise.to(net.device, copy=True).requires_grad_()
    uphill = torch.autograd.grad(goal(x).sum(), x)[0]
    with torch.no_grad():
        before, after = net(torch.cat([x, x + 0.05 * uphill / uphill.norm()]))
    change, p = after - before, before.softmax(0)
    log_p = after.log_softmax(0) - before.log_softmax(0)
    return [v.item() for v in (change[goldfish], p @ change, log_p[goldfish])]


by_log = ascent.probability(net, "goldfish", log=True)
rows = [["score", *gains(goals[0])], ["log-probability", *gains(by_log)]]

# %%
head = ["one step up the", "goldfish's S", "mean S of all, by p", "goldfish's log p"]
show.table(head, rows)

# %% slide="subslide"
assert rows[0][1] > rows[1][1]  # the score's step gains more score,
assert rows[0][3] < rows[1][3]  # the other more log-probability,
assert rows[1][2] < rows[0][2]  # because it holds the rivals down

# %% [markdown]
# The step up the log-probability spends part of its length on the rivals. And once it is sure, it
# stops: nothing more is asked of the picture. With the recipe that follows below, painted by both:

# %%
liked = ascent.paint(ascent.class_map(net, "goldfish"), steps=60)
sure = ascent.paint([(30.0, by_log)], steps=60)
pair = ascent.enlarged(torch.cat([liked.image, sure.image]))
alt = "left: an orange goldfish in clear water; right: greyish stone colours, a faint eye"
show.images(pair, ["up the class's map", "up the log-probability"], height=3, alt=alt)

# %%
with torch.no_grad():
    logits = net(net.normalize(torch.cat([liked.image, sure.image])))
for name, own in zip(["class's map", "log-probability"], logits, strict=True):
    print(
        f"up the {name}: S = {own[goldfish].item():.0f}, p = {own.softmax(0)[goldfish].item():.3f}"
    )
assert logits[1, goldfish] < logits[0, goldfish] / 3

# %% [markdown] slide="subslide"
# Both are "goldfish" with certainty. The second is camouflage: just enough evidence to beat 999 rivals,
# and no reason to show a fish. What we want to *see* is the score, taken before its ReLU: from here on we
# climb class maps. They have a price: a rival may rise along. A zebra's or a tiger's map painted, from some
# starts, what the network called something else; their log-probability did not.

# %% [markdown]
# ## The modern recipe
#
# Four changes, none of them to the network:
#
# 1. **Frequencies** instead of pixels are varied (Fourier parameterisation), divided by the frequency:
#    a step then changes coarse shapes as easily as fine lines.
# 2. **Colours** that vary independently in photos (brightness, orange–blue, green–purple) instead of red,
#    green and blue.
# 3. **Wobble**: each step sees the picture shifted, scaled and turned at random. What is to excite the
#    network must survive that; single pixels do not.
# 4. **Total variation** as the penalty: neighbouring pixels should agree.

# %% slide="subslide"
bare = {"steps": 60, "smooth": 0.0, "transforms": ()}
size = (1, 128, 128)
grey = 0.5 + 0.01 * noise.to(net.device)
rgb = optimise.Fourier(size, decorrelate=False, device=net.device)
volcano = ascent.class_map(net, "volcano")
recipes = {
    "pixels": ascent.paint(volcano, start=optimise.Pixels(grey), **bare),
    "frequencies": ascent.paint(volcano, start=rgb, **bare),
    "+ colours": ascent.paint(volcano, **bare),
    "+ wobble": ascent.paint(volcano, **bare | {"transforms": None}),
    "+ smoothness": ascent.paint(volcano, steps=60),
}

# %%
pictures = ascent.enlarged(torch.cat([run.image for run in recipes.values()]))
alt = "a volcano from noise to a smooth cone under clouds, clearer from left to right"
show.images(pictures, list(recipes), columns=5, height=2.3, alt=alt)

# %%
fine = {name: ascent.high_frequencies(run.image).item() for name, run in recipes.items()}
print("high frequencies:", ", ".join(f"{name} {value:.3f}" for name, value in fine.items()))
assert fine["+ smoothness"] < fine["+ wobble"] < fine["pixels"]

# %% [markdown]
# ## Four classes
#
# Four classes of our choice, 80 steps each, some seconds. Nothing was drawn, nothing copied: these
# are answers to "more of this score, please" from a network of 1.2 million weights.

# %%
four = ["goldfish", "cock", "volcano", "koala"]
gallery = ascent.paint(ascent.class_map(net, four), len(four), steps=80, seed=1)

# %%
alt = "four painterly pictures: an orange fish, a bird with a red comb, a smoking cone, a grey face"
show.images(ascent.enlarged(gallery.image), four, columns=4, height=3, alt=alt)

# %% [markdown]
# Looks are one thing. Does the network itself recognise them, after they were saved with 8 bits, and
# after a shift by a few pixels? And does **another** network, which is better on photos?

# %% slide="subslide"
other = models.load("efficientnet_lite0")
saved = ascent.recognition(net, gallery.image, four)
moved = ascent.recognition(net, gallery.image, four, shift=(5, -7))
theirs = ascent.recognition(other, gallery.image, four)
rows = [
    [name, *s[:2], *m[:2], *t[:2]] for name, s, m, t in zip(four, saved, moved, theirs, strict=True)
]
show.table(["painted", "sees", "p", "sees, shifted", "p", "EfficientNet sees", "p"], rows)

# %%
held = [min(s[2], m[2]) > 0.9 for s, m in zip(saved, moved, strict=True)]
agree = sum(row[5] == name for row, name in zip(rows, four, strict=True))
print(sum(held), "of 4 hold over 0.9, saved and shifted; EfficientNet-Lite0 agrees on", agree)
assert sum(held) >= 2

# %% [markdown]
# SqueezeNet mostly recognises its own pictures with certainty. The other network names fewer: part of what
# we painted is **this** network's taste. So "recognised by the network" is no proof that a picture shows
# the object. We come back to that at the end.

# %%
show.animation(gallery.frames, "four pictures growing out of grey", fps=10)

# %%
file = Path(tempfile.mkdtemp()) / "goldfish.webp"
optimise.save_animation(gallery.frames[:, 0], file)
print(file.name, file.stat().st_size // 1000, "kB")

# %% [markdown]
# ## Channels and units
#
# A class is the last thing a network computes. What do the parts before it like? The mean of one
# **channel** over all positions gives a texture; the one **unit** in the middle gives a single thing, as
# large as its receptive field.
#
# It is often said that hidden channels give cleaner pictures than classes. We test it below.

# %%
chosen = {"fire3": [20, 110], "fire5": [150, 60], "fire7": [10, 250]}
lively = {"size": 144, "steps": 40, "noise": 0.15}
found = [
    ascent.paint(ascent.channel(net, layer, channels), 2, smooth=30.0, **lively)
    for layer, channels in chosen.items()
]
textures = torch.cat([run.image for run in found])

# %%
titles = [f"{layer}, {c}" for layer, channels in chosen.items() for c in channels]
alt = "dots and ribbons; eyes and spots; scales and dogs' faces"
show.images(ascent.enlarged(textures, 2), titles, columns=3, height=2.4, alt=alt)

# %% [markdown] slide="subslide"
# Texture in `fire3`, simple parts in `fire5` (eyes, spots), dogs in `fire7`. We start from stronger noise
# here, because many of these channels are **dead** at grey, behind a ReLU of their own, as the koala was.
#
# Now single units. One is dead at grey as well, and in most of its channel's texture it fires little. So we
# look where in the texture the channel fires *most*, move that place to the middle, and let everything
# around it fade to grey.

# %%
lone = []
for texture, layer, c, width in ((2, "fire5", 150, 0.2), (5, "fire7", 250, 0.45)):
    start = ascent.strongest_place(net, layer, c, textures[texture : texture + 1], width)
    unit = ascent.channel(net, layer, c, centre=True)
    how = {"steps": 40, "smooth": 100.0, "transforms": [optimise.jitter(2)]}
    lone += [start, ascent.paint(unit, start=start, **how).image]

# %%
titles = ["fire5: start", "the unit's picture", "fire7: start", "the unit's picture"]
alt = "a pale eye, and a large blue-rimmed eye; a pale head, and a dog's dark face, perhaps two"
show.images(ascent.enlarged(torch.cat(lone)), titles, columns=4, height=3, alt=alt)

# %% [markdown]
# One eye, a head or two, and around them nothing: what a unit does not see, it does not change. Ask for
# a picture smaller than a unit's field, and the course refuses.

# %%
try:
    ascent.paint(ascent.channel(net, "fire9", 0), size=128)
except ValueError as error:
    print(error)

# %% [markdown]
# Now the test: channels of fire5, drawn at random, against classes, without any penalty for roughness. How
# much of the power lies in high frequencies? Four of each here:

# %% slide="subslide"
free = {"size": 112, "steps": 50, "noise": 0.15, "smooth": 0.0}
drawn = torch.randperm(256, generator=torch.Generator().manual_seed(0))[:4].tolist()
parts = ascent.paint(ascent.channel(net, "fire5", drawn), 4, **free).image
classes = ascent.paint(ascent.class_map(net, four), 4, **free).image
shares = ascent.high_frequencies(torch.cat([parts, classes])).tolist()

# %% slide="subslide"
pictures = ascent.enlarged(torch.cat([parts, classes]), 2)
titles = [f"{name}: {share:.2f}" for name, share in zip([*drawn, *four], shares, strict=True)]
alt = "above fur, plain noise, dots and spots; below pale shapes of a fish, a bird, a cone, a face"
show.images(pictures, titles, columns=4, height=2, alt=alt)

# %% [markdown]
# Four decide nothing. So 48 channels and 48 classes, both drawn at random, were painted once in the same way,
# by `python data/rebuild_roughness.py`, and their shares stored. A channel that is dead from this start
# shows the noise it began with; those are counted apart.

# %%
rough = ascent.stored_roughness()
alive = {k: torch.tensor([v for v in rough[k] if v is not None]) for k in ("channels", "classes")}
rows = [[k, len(v), rough[k].count(None), v.quantile(0.5)] for k, v in alive.items()]
show.table(["painted", "alive", "dead", "median share of high frequencies"], rows)

# %%
pairs = (alive["channels"][:, None] < alive["classes"]).float().mean().item()
print(f"a channel's picture is the smoother one in {pairs:.0%} of all pairs")

# %% [markdown]
# Here the saying holds: of the channels that are alive the median lies clearly below the classes', and about four
# pairs in five agree. The two sets overlap, though, so four pictures can show either. What makes channels *look*
# cleaner is also that one motif fills the whole picture; a class adds up whatever the last layer finds useful.

# %% [markdown]
# ## Facets
#
# A class is many things: a mosque from afar is a dome, from below a minaret. Ascent from grey finds
# *one* picture. Nguyen et al. (2016) ask for the others: group photos by the network's own features, and
# start from the **mean photo of each group**.
#
# No class has more than eight photos here, so we take the 24 photos of buildings that the network finds
# most like the class.

# %%
buildings = net.crop_pixels(images.photos("building"))
with torch.no_grad():
    p = net(net.normalize(buildings)).softmax(1)
names = ["mosque", "castle"]
near = [buildings[p[:, net.index(name)].topk(24).indices.cpu()] for name in names]
starts = torch.cat([ascent.mean_photos(n, ascent.facets(net, n, k=3)) for n in near]).to(net.device)

# %%
wanted = [name for name in names for _ in range(3)]
sides = ascent.paint(ascent.class_map(net, wanted), start=starts, steps=50)

# %%
alt = "mosques: a broad dome, a white dome, a minaret under an arch; castles: a keep, a ruin on a hill, spires"
show.images(ascent.enlarged(sides.image), wanted, columns=3, height=3, alt=alt)

# %% [markdown]
# One class, and pictures that no single climb from grey would have shown side by side. How many facets a
# class *has* the method does not say: we asked for three.
#
# The mean photos that they started from:

# %%
alt = "six mean photos, blurred: domes, arches and towers can be made out"
show.images(starts, [f"start of {name}" for name in wanted], columns=3, height=2.2, alt=alt)

# %%
seen_as = ascent.recognition(net, sides.image, wanted)
print("the network sees", ", ".join(f"{sees} {p:.2f}" for sees, p, _ in seen_as))

# %% [markdown]
# ## Two networks at once
#
# What one network likes may be its own whim. What **two** like is more likely to be about the world. The
# sum of both goals, with weights for their different scales:
# $$\max_x \; S_c^{\text{SqueezeNet}}(x) + 2\, S_c^{\text{EfficientNet}}(x) - \lambda\,\mathrm{TV}(x) .$$
# The koala once more, live: 60 steps at 128 pixels.

# %%
both = ascent.of_classes((net, other), ["koala"], side=128, steps=60)
pictures = torch.cat([gallery.image[3:], both.image])
alt = "left: a grey face, hard to tell; right: a koala's head with an eye, a nose and a furry ear"
show.images(ascent.enlarged(pictures), ["for SqueezeNet", "for both"], height=3.4, alt=alt)

# %%
for network in (net, other):
    sees, sure, _ = ascent.recognition(network, both.image, ["koala"])[0]
    print(f"{network.name} sees {sees} ({sure:.2f})")

# %% [markdown] slide="slide"
# And now a wall of them, 160 steps at 160 pixels: stored, because they take some minutes.
# `python data/rebuild_classes.py koala` paints one again, without a name all of them. None was left out,
# none has a second try: one start, one seed for all.

# %%
wall = ascent.stored()
alt = "twelve painted animals, each to be recognised: " + ", ".join(ascent.WALL)
show.images(ascent.enlarged(wall, 2), ascent.WALL, columns=4, height=2.6, alt=alt)

# %%
answers = [ascent.recognition(network, wall, ascent.WALL) for network in (net, other)]
named = [[sees == name for (sees, _, _), name in zip(a, ascent.WALL, strict=True)] for a in answers]
both_name = sum(map(all, zip(*named, strict=True)))
print(
    f"of {len(ascent.WALL)}: SqueezeNet names {sum(named[0])}, EfficientNet-Lite0 {sum(named[1])},"
)
print(f"both name {both_name}, as they were stored")
assert both_name >= len(ascent.WALL) - 2

# %% [markdown]
# Every one, and both networks with certainty. Compare with the four above, which one network had to itself
# (for half as many steps, and smaller): a flamingo has legs now, a toucan its beak. What two networks agree
# on is still no photo. But it is less one network's whim, and nearer to what we would recognise.

# %% [markdown]
# ## Try it
#
# Type any class of ImageNet. Leave out one ingredient. Does another random start give the same picture?

# %%
widgets.ascent_explorer(net)

# %% [markdown]
# ## What we saw
#
# - Gradient ascent on the pixels raises any score, and by itself it finds high-frequency noise.
# - L2 limits size, clipping clears the ground, a blur is what removes high frequencies.
# - Behind a ReLU a score can be dead: climb the map before it.
# - The probability has a slope only where the network hesitates, and it also rises by pushing others down.
# - Frequencies, natural colours, wobble and smoothness make pictures that a person recognises.
# - Channels like textures, units single things, classes scenes; facets show more than one side.
# - Climbed for two networks at once, a picture is named by both, and people recognise more of it.

# %% [markdown]
# **What it does not show.** A picture that excites a class is not a typical photo of it, nor the only one
# that does. How natural it looks is owed to *our* regularisers as much as to the network: change the
# recipe, and its "idea" of a goldfish changes too.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | gradient ascent | 梯度上升 | small steps along the gradient, so that a number grows |
# | class visualisation | 类别可视化 | a picture that makes a class score large |
# | regulariser | 正则化项 | what is added, or done now and then, to keep the picture natural |
# | total variation | 全变差 | how much neighbouring pixels differ |
# | high frequency | 高频 | waves of few pixels |
# | Fourier parameterisation | 傅里叶参数化 | a picture varied by its frequencies |
# | decorrelated colours | 去相关颜色 | colour axes that vary independently in photos |
# | facet | 侧面 | one of several looks of a class |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too. The mean photos were made of
# these.

# %% slide="skip"
every = images.photos("building")
used = {i for name in names for i in p[:, net.index(name)].topk(24).indices.tolist()}
show.credits([every[i] for i in sorted(used)])

# %% [markdown] slide="skip"
# ## Papers
#
# - K. Simonyan, A. Vedaldi, A. Zisserman. [*Deep Inside Convolutional Networks: Visualising Image
#   Classification Models and Saliency Maps.*](https://arxiv.org/abs/1312.6034) ICLR workshop 2014.
# - J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson. [*Understanding Neural Networks Through Deep
#   Visualization.*](https://arxiv.org/abs/1506.06579) ICML deep learning workshop 2015.
# - A. Nguyen, J. Yosinski, J. Clune. [*Multifaceted Feature Visualization: Uncovering the Different Types
#   of Features Learned by Each Neuron in Deep Neural Networks.*](https://arxiv.org/abs/1602.03616) ICML visualization workshop 2016.
# - C. Olah, A. Mordvintsev, L. Schubert. [*Feature Visualization.*](https://doi.org/10.23915/distill.00007) Distill 2017.
# - A. Mordvintsev, N. Pezzotti, L. Schubert, C. Olah. [*Differentiable Image Parameterizations.*](https://doi.org/10.23915/distill.00012) Distill
#   2018.
