# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 15 Neural style transfer
#
# **Can a picture show what a photo shows, the way a painter would have painted it?**
#
# After this lecture you can
# - write the three losses of style transfer and say what each one asks for;
# - say which layer makes which part of a style, and at what size its strokes come out;
# - balance content against style, blend styles, and keep a photo's colours;
# - choose what is varied, pixels or frequencies, and how, Adam or L-BFGS, by the loss after equally
#   many evaluations;
# - say what the usual network, VGG, is needed for, and what is habit.
#
# About 75 minutes with the two exercises. You need lectures 13 and 14.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import images, models, show, style, texture, widgets
from course_utils.common import optimise
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## One photo, one painting
#
# Neuschwanstein, photographed; and the church at Auvers, as Vincent van Gogh painted it in 1890.
#
# **Question.** We want the castle from the left with the sky and the brush strokes from the right. What
# have the last two lectures given us that could say, in numbers, "the same castle" and "the same
# strokes"?

# %%
net = models.load("squeezenet1_1")
castle, church = images.photo("neuschwanstein_castle"), images.painting("church_at_auvers")
pair = [castle.pixels(), church.pixels()]
show.images(pair, ["content: a photo", "style: a painting"], height=3.4, alt="a castle, a church")

# %% [markdown] slide="subslide"
# This is where the lecture goes: the photo's castle, the painting's strokes, and nothing that the two
# pictures do not hold. It takes about a minute of a processor, so it is stored.

# %%
large = style.stored("large")
alt = "the castle at 512 pixels under a swirling dark blue sky, every stroke to be seen"
show.images([large.pixels], height=6, alt=alt)

# %%
seconds = large.facts["processor seconds"]
print(f"{large.facts['evaluations']} evaluations, {seconds:.0f} s of a processor:")
print(large.facts["command"])

# %% [markdown]
# ## Two descriptions from one network
#
# Lecture 13 went back from a layer's features $F$ to the photo: deep layers keep what stands *where*
# and lose colour and texture. Lecture 14 used the Gram matrix $G = FF^\top/M$, which knows which channels
# answer together and has forgotten where.
#
# Gatys, Ecker and Bethge (2016) joined them: a picture whose *features* are the photo's and whose *Gram
# matrices* are the painting's. For VGG the content layer is usually conv4_2, the second convolution of
# the fourth block; its counterpart here is SqueezeNet's fire5.

# %%
content, styles = style.default_layers(net)
print("content:", content, " style:", ", ".join(styles))

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 5 minutes).** The **content loss** (内容损失) compares place by place, channel by
# channel:
# $$L_\text{content} = \lVert F(x) - F(\text{photo}) \rVert^2 .$$
#
# <details><summary>Hint</summary>
# The squared norm is the sum of the squares of all entries. Not their mean: how large the loss is
# belongs to its weight.
# </details>


# %% exercise="content_loss"
def content_loss(features, target):
    """||F(x) - F(photo)||^2.

    features: (N,K,h,w) of the image; target: (N,K,h,w) of the photo.
    Returns: one number, as a tensor that still hangs on features.
    """
    ### BEGIN SOLUTION
    return (features - target).square().sum()
    ### END SOLUTION


# %% check="content_loss"
check("content_loss", content_loss)

# %% [markdown]
# ## The content loss alone
#
# What does it ask for? We begin with noise and minimise nothing else. Two tools from lecture 10: what
# we vary are the picture's **frequencies**, and how is left to **L-BFGS**, a descent that learns the
# curvature as it goes. Below, both have to justify themselves.

# %% slide="slide"
find_content = yours_or_ours("content_loss", content_loss)
photo = style.fit(castle, 160)
kept = texture.features(net, net.normalize(photo), [content])[content]


def only_content(pixels: torch.Tensor) -> torch.Tensor:
    seen = texture.features(net, net.normalize(pixels), [content])
    return 100 * find_content(seen[content], kept) / kept.square().sum()


# %%
noise = optimise.Fourier((1, *photo.shape[2:]), std=0.5)
found = optimise.optimise(only_content, noise, 60, rule=optimise.lbfgs())
alt = "the castle again, soft, its windows and trees as specks of slightly wrong colours"
show.images([photo, found.image], ["photo", f"from noise, by {content} alone"], height=3.2, alt=alt)

# %% [markdown]
# Towers, roofs and windows stand where they stood; colours and textures of walls and trees are free
# to become others. That freedom is what a style can use.

# %% [markdown]
# ## The style loss
#
# The **style loss** (风格损失) compares Gram matrices in several layers,
# $$L_\text{style} = \sum_l w_l \lVert G_l(x) - G'_l \rVert^2, \qquad G_l = \frac{1}{M_l} F_l F_l^\top ,$$
# with $G'_l$ from the painting. Divided by the number of positions $M_l$, it lets photo and painting
# differ in size.
#
# **Question.** Could all $w_l$ simply be 1?

# %% slide="subslide"
painting = style.fit(church, 160)
painted = texture.features(net, net.normalize(painting), styles)
grams = {layer: texture.gram(f) for layer, f in painted.items()}
sizes = {layer: g.square().sum().item() for layer, g in grams.items()}
weights = style.relative_weights(grams)
rows = [[k, f"{f.shape[2]} x {f.shape[3]}", sizes[k], weights[k]] for k, f in painted.items()]
show.table(["layer", "positions", "squared norm of G'", "weight"], rows)

# %% [markdown]
# No: the squared norms differ by a factor of more than a hundred. With all weights 1, whose would the photo's
# loss be?

# %%
ours = texture.features(net, net.normalize(photo), styles)
apart = {k: (texture.gram(ours[k]) - g).square().sum().item() for k, g in grams.items()}
equal = {k: value / sum(apart.values()) for k, value in apart.items()}
print("all weights 1:", ", ".join(f"{k} {share:.1%}" for k, share in equal.items()))

# %%
assert equal["fire4"] + equal["fire6"] > 0.75
assert equal["relu1"] < 0.05

# %% [markdown]
# Nearly all that of the two largest, and colours and grain, relu1, would count for nothing. With
# $w_l = \frac{1}{L\,\lVert G'_l\rVert^2}$ every one of the $L$ layers contributes a **relative** error: it is 1 where a
# picture has nothing of the style. We take $\alpha$ and $\beta$ in the same way, in per cent: 100 means that
# nothing is left of the photo's content, or of the painting's style.

# %% [markdown]
# ## What each layer calls style
#
# Five style losses of one layer each, then all together. First we start from noise and ask for nothing
# but style: these are lecture 14's textures. Then the content loss is there too, and we start from the
# photo.

# %%
sets = [[layer] for layer in styles] + [styles]


def paint(**asked: object) -> style.Transfer:
    return style.transfer(net, castle, church, 40, **({"size": 144, "keep": 0} | asked))


from_noise = [paint(styles=s, alpha=0, start="noise").pixels for s in sets]
*alone, plain = [paint(styles=s) for s in sets]

# %%
titles = [*styles, "together"]
alt = "from noise: clouds of blue and yellow, short strokes, then tangled shapes and an orange roof"
show.images(from_noise, titles, columns=3, height=2.2, alt=alt)

# %% slide="subslide"
alt = "the castle: recoloured, with strokes in sky and wood, and with a pale blue sky from fire6 on"
show.images([one.pixels for one in (*alone, plain)], titles, columns=3, height=2.2, alt=alt)

# %% [markdown]
# relu1 knows colours and grain. fire2 and fire4 know strokes: which way they run, how long they are, what
# lies beside what. fire6 and fire8 know larger pieces, such as the church's orange roof, and have begun to forget
# the colours: with them the castle keeps more of its own. Together they cover all sizes. Of ten other pairs of photo
# and painting it was measured beforehand (`data/rebuild_style_pairs.py`), by mean and spread of the colours:

# %%
pairs = style.pairs()
farther = sorted(p["colours"]["fire8"] / p["colours"]["relu1"] for p in pairs[1:])
print(f"by fire8 alone the colours stay {farther[0]:.1f} to {farther[-1]:.0f} times", end=" ")
print("as far from the painting's as by relu1 alone")

# %%
assert len(farther) == 10
assert farther[0] > 1.5

# %% [markdown]
# ## The total loss
#
# $$L = \alpha L_\text{content} + \beta L_\text{style} + \gamma L_\text{TV},$$
#
# $$L_\text{TV} = \sum_{i,j} (x_{i+1,j} - x_{i,j})^2 + (x_{i,j+1} - x_{i,j})^2 .$$
#
# The **total variation** (全变分) of lecture 13 keeps neighbouring pixels alike. Its sum runs over the
# pixels that have a neighbour below *and* to the right, in each colour.

# %% [markdown] slide="subslide"
# **Exercise 2 (medium, 20 minutes).** All three, weighted and added.
#
# <details><summary>Hint 1: the order</summary>
# Three numbers first, the weighted sum last. <code>photo</code> holds one layer here, but a loop
# over <code>photo.items()</code> is as short.
# </details>
# <details><summary>Hint 2: a Gram matrix for each image</summary>
# <code>f = seen[layer].flatten(2)</code> is (N,K,M); <code>f @ f.mT / f.shape[2]</code> is (N,K,K).
# </details>
# <details><summary>Hint 3: neighbours</summary>
# <code>x[..., 1:, :-1] - x[..., :-1, :-1]</code> is one step down, for the pixels that have both
# neighbours.
# </details>


# %% exercise="total_loss"
def total_loss(x, seen, photo, grams, weights, alpha, beta, gamma):
    """alpha L_content + beta L_style + gamma L_TV.

    x: the image (N,3,H,W); seen: layer -> its features (N,K,h,w);
    photo: content layer -> features of the photo; grams: style layer -> the painting's (N,K,K);
    weights: style layer -> w_l.
    Returns: one number, as a tensor that still hangs on x and seen.
    """
    ### BEGIN SOLUTION
    content = sum((seen[k] - target).square().sum() for k, target in photo.items())
    painted = 0
    for layer, target in grams.items():
        f = seen[layer].flatten(2)
        gram = f @ f.mT / f.shape[2]
        painted = painted + weights[layer] * (gram - target).square().sum()
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    variation = down.square().sum() + across.square().sum()
    return alpha * content + beta * painted + gamma * variation
    ### END SOLUTION


# %% check="total_loss"
check("total_loss", total_loss)

# %% [markdown]
# ## The picture
#
# A task holds all that stays as it is: the photo's features, the painting's Gram matrices, the weights.
# What changes is the picture. How long will it take? Two evaluations tell.

# %%
find_total = yours_or_ours("total_loss", total_loss)
task = style.task(net, castle, church, size=192)
known = (task.photo, task.grams, task.weights, task.alpha, task.beta, task.gamma)
print(f"80 evaluations: about {style.forecast(net, castle, 80, size=192):.1f} s")


# %% slide="slide"
def loss(pixels: torch.Tensor) -> torch.Tensor:
    x = net.normalize(pixels)
    return find_total(x, texture.features(net, x, task.wanted), *known)


begin = optimise.Fourier.of(task.pixels)
result = optimise.optimise(loss, begin, 80, rule=optimise.lbfgs())
picture = result.frames[-1, 0] / 255

# %%
alt = "the castle under a swirling dark blue sky, its walls and the wood in short thick strokes"
show.images([*pair, picture], ["photo", "painting", "both"], height=3.2, alt=alt)

# %%
alt = "the photo turns into the painted picture"
show.animation(result.frames, alt, fps=8)

# %% [markdown]
# ## Larger
#
# An evaluation's cost grows with the number of pixels, so the time is told beforehand. A small picture, enlarged,
# may be the start for a large one: its colours are in place. The first picture of this lecture was made so, in two
# runs. It is no rule: begun at 96 pixels and gone on with at 192, some pairs end lower than with the same work at 192
# alone, and some higher.

# %%
gains = sorted(p["grown"]["begun small"] / p["grown"]["alone"] for p in pairs)
lower = sum(gain < 1 for gain in gains)
print(f"{gains[0]:.2f} to {gains[-1]:.2f} times the loss; lower for {lower} of {len(gains)} pairs")
assert gains[0] < 0.95
assert gains[-1] > 1.05

# %%
sides = (128, 256, 512)
told = [style.forecast(net, castle, 30, size=side) for side in sides]
show.table(["longer side, pixels", "seconds for 30 evaluations"], zip(sides, told, strict=True))

# %%
small, enlarged = large.facts["runs"]
print(f"first {small['steps']} evaluations at {small['size']} pixels,")
print(f"then {enlarged['steps']} at {enlarged['size']}, with the painting as large")

# %% [markdown]
# ## Each term
#
# `style.transfer` does the same in one call, and keeps every term of the loss.
#
# **Question.** We start from the photo. Where does each of the three terms begin, and which way does
# it go?

# %%
run = style.transfer(net, castle, church, 80, size=192, keep=0)
steps = range(len(run.run.losses))
curves = {name: (steps, values) for name, values in run.summary.items()}
alt = "style falls by a factor of ten or more, content rises from zero and levels off"
show.lines(curves, "evaluations", "weighted term, in per cent", alt, yscale="log", ylim=(0.1, None))

# %% [markdown]
# The content loss begins at zero, the picture *is* the photo, and rises: every step trades some of the
# photo for the style. Where the curves level off, neither gives way any more. That balance is
# $\beta/\alpha$.

# %% slide="subslide"
by_layer = {k[9:]: (steps, v) for k, v in run.curves.items() if k.startswith("style in")}
alt = "every layer's style loss falls; those of relu1 and fire2 fall furthest"
show.lines(by_layer, "evaluations", "style, by layer, in per cent", alt, yscale="log")

# %%
print("at the end:", ", ".join(f"{name} {values[-1]:.1f}" for name, values in run.summary.items()))
assert run.summary["content"][0] < 1
assert run.summary["style"][-1] < 0.1 * run.summary["style"][0]
assert abs(run.run.losses[-1] / result.losses[-1] - 1) < 0.1

# %% [markdown]
# By layer: every one comes nearer to the painting, here relu1 and fire2 furthest; with three of seven other pairs it
# was fire8.

# %% [markdown]
# ## From realistic to abstract
#
# **Question.** $\beta/\alpha$ grows by a factor of 10 from picture to picture. What goes first: the colours,
# the small shapes, or the large ones? Above we start from the photo, below from noise.

# %%
ratios = (0.1, 1, 10, 100)
swept = [[paint(beta=r, start=start) for r in ratios] for start in ("photo", "noise")]

# %%
titles = [f"β/α = {ratio:g}" for ratio in ratios] * 2
alt = "above, a photo turns into a painting; below, a castle dissolves into strokes"
show.images([one.pixels for row in swept for one in row], titles, columns=4, height=2.3, alt=alt)

# %% [markdown]
# Colours come first: at 1 more than half of their way to the painting's is done, for a sixth of the content; with
# the other pairs a third to seven tenths, for a tenth to a third. Then strokes replace textures; edges such as windows
# and twigs hold longest where the photo was the start. From noise, where no edge was there to begin with, in the end
# the castle itself goes.

# %% slide="subslide"
lost = [[one.summary["content"][-1] for one in row] for row in swept]
missing = [
    [one.summary["style"][-1] / r for r, one in zip(ratios, row, strict=True)] for row in swept
]
header = [
    "β/α",
    "photo: content lost, %",
    "style missing, %",
    "noise: content lost, %",
    "style missing, %",
]
show.table(header, zip(ratios, lost[0], missing[0], lost[1], missing[1], strict=True))

# %%
for row in range(2):
    assert lost[row] == sorted(lost[row])
    assert missing[row] == sorted(missing[row], reverse=True)

# %%
at_one = [p["colours"] for p in pairs]
done = [1 - c["balanced"] / c["photo"] for c in at_one]
paid = [c["content"] / 100 for c in at_one]
print(f"at 1, eleven pairs: {min(done):.0%} to {max(done):.0%} of the colours' way,", end=" ")
print(f"{min(paid):.0%} to {max(paid):.0%} of the content")
assert min(done) > 0.25
assert max(paid) < 0.4

# %% [markdown]
# There is no right value: it is the knob a painter would want, and the table is the price list.

# %% [markdown]
# ## The size of the strokes
#
# The Gram matrix knows the painting's strokes *in pixels*: a layer's units look through windows of
# fixed size. So the size at which the painting is shown to the network is the size of the brush.

# %%
brushes = (80, 192, 480)
shown = [paint(size=192, style_size=side).pixels for side in brushes]
titles = [f"painting {side} pixels high" for side in brushes]
alt = "small bright patches; short strokes; long swirls across the sky"
show.images(shown, titles, height=2.8, alt=alt)

# %% [markdown]
# Of a small painting the network sees whole flowers and roofs as if they were strokes; of a large one
# only single strokes, which come out long and wide. Beyond the reach of the deepest layer they cannot
# grow. The photo's size matters likewise: beside the same painting, a photo of 384 pixels gets strokes of half the
# size *relative to the picture*.

# %% [markdown]
# ## Where to begin
#
# The loss does not say where to begin. From the photo, from noise, from the painting itself?
#
# **Question.** Will the three end in the same picture?

# %%
starts = {"the photo": "photo", "noise": "noise", "the painting": church}
settings = {"steps": 80, "size": 144, "beta": 5}
ends = [style.transfer(net, castle, church, start=s, **settings) for s in starts.values()]
titles = [f"from {name}: {one.run.losses[-1]:.0f}" for name, one in zip(starts, ends, strict=True)]
alt = "a clear castle; dabs among which one guesses a castle; the church, at most repainted"
show.images([one.pixels for one in ends], titles, height=2.6, alt=alt)

# %% [markdown]
# Three pictures, and losses about a tenth apart at most: the minimum is not one point. From the photo the
# content is there at once; from noise it has to be found again, and some of it never is. From the painting
# even the church stays: to the losses it is nearly as good a castle.

# %%
alt = "out of noise come strokes, and the strokes become a castle"
show.animation(ends[1].run.frames, alt, fps=8)

# %% [markdown]
# Strokes first, then the castle. What we admire in the first picture is in part the start.

# %% [markdown]
# ## Pixels or frequencies, Adam or L-BFGS?
#
# All see the same loss and the same gradient, once in each step. **Adam** moves every number by about
# the same amount; **L-BFGS** estimates the curvature from its last 20 steps and goes where the quadratic
# it sees has its minimum. The numbers are the **pixels**, as in the paper, or the **frequencies** of
# lecture 10.
#
# **Question.** A sky has to turn from light to dark blue. How many of the pixels must agree on it, and
# how many frequencies?

# %%
rates = {"frequencies": 0.1, "pixels": 0.03}  # Adam's: try others
settings = {"steps": 60, "size": 144, "keep": 0}
raced = {}
for what, rate in rates.items():
    for name, rule in {"L-BFGS": optimise.lbfgs(), "Adam": optimise.adam(rate)}.items():
        run = style.transfer(net, castle, church, coordinates=what, rule=rule, **settings)
        raced[f"{name}, {what}"] = run

# %%
curves = {name: (range(61), one.run.losses) for name, one in raced.items()}
alt = "L-BFGS on frequencies is lowest from six evaluations on, and by far; the others end together"
show.lines(curves, "evaluations", "total loss", alt, yscale="log")

# %% [markdown]
# The loss asks for both: L-BFGS on frequencies leaves half of what the others leave, and these are about level. With
# the ten other pairs it came out ahead as well, if sometimes by a hair. Adam gains nothing from frequencies
# here, nor at half, twice or four times this rate; with the other pairs now one is ahead, now the other. L-BFGS has no rate to choose. Adam has, but it survives
# what L-BFGS does not: a loss that changes from step to
# step, as in training (lecture 16).

# %% slide="subslide"
reached = {name: one.run.losses[-1] for name, one in raced.items()}
left = {name: one.run.losses[-1] / one.run.losses[0] for name, one in raced.items()}
titles = [f"{name}\n{share:.1%} of the loss left" for name, share in left.items()]
alt = "painted sky and roofs on frequencies; on pixels a photo with a rough surface"
show.images([one.pixels for one in raced.values()], titles, columns=4, height=2.1, alt=alt)

# %%
assert min(reached, key=reached.get) == "L-BFGS, frequencies"
assert reached["L-BFGS, frequencies"] < 0.7 * reached["L-BFGS, pixels"]

# %%
races = [p["race"] for p in pairs[1:]]
kept = [r["L-BFGS, frequencies"] / min(r[name] for name in list(raced)[1:]) for r in races]
print(f"other pairs: {min(kept):.2f} to {max(kept):.2f} of what the next best leaves")
assert max(kept) < 1

# %% [markdown]
# With L-BFGS, *what* is varied is what the eye sees. One number of the lowest frequencies moves a whole sky; on
# pixels thousands have to agree, so after these 60 evaluations the old colours are still there. (With Adam it need
# not be so: of seven other pairs three came nearer to the painting's colours on pixels.)
#
# **Question.** Is it the waves, then? Lecture 10 divided each number by its frequency: a step at a low one is
# long. What is left without that?

# %%
even = style.task(net, castle, church, size=144)
flat = optimise.Fourier.of(even.pixels, decay=0)  # no frequency is favoured
losses = optimise.optimise(
    lambda pixels: even.loss(net.normalize(pixels)), flat, 60, rule=optimise.lbfgs()
).losses
undivided = losses[-1] / losses[0]
more = [r["L-BFGS, undivided"] / r["L-BFGS, pixels"] for r in races]
print(f"L-BFGS on frequencies that are not divided: {undivided:.1%} of the loss left;", end=" ")
print(f"with the other pairs {min(more):.1f} to {max(more):.1f} times what it leaves on pixels")

# %%
assert undivided > 1.8 * left["L-BFGS, frequencies"]
assert min(more) > 1.1

# %% [markdown]
# More than on pixels: these waves also mix the colours and pass a sigmoid. A pure *turn* from pixels to waves leaves
# nearly what pixels leave: it changes neither the valleys of a loss nor what L-BFGS sees of them. To *stretch* the
# axes does.

# %% [markdown]
# ## Total variation
#
# The third term against the first two: how smooth do we want it? So far it weighed 0.1.

# %%
smooths = (0.1, 10, 100)
calm = [one.pixels for one in (plain, *(paint(gamma=gamma) for gamma in smooths[1:]))]
alt = "strokes with grain; the same a little calmer; soft patches of light without any stroke"
show.images(calm, [f"γ = {gamma:g}" for gamma in smooths], height=2.8, alt=alt)

# %% slide="subslide"
differences = [optimise.total_variation(one[None]).item() / one.numel() for one in calm]
show.table(["γ", "mean squared step between neighbours"], zip(smooths, differences, strict=True))

# %% [markdown]
# Ten takes away grain and hardly a stroke. A hundred takes the strokes too: to this term they are steps
# between neighbours like any others. That is why its weight stays small.

# %% [markdown]
# ## Two painters
#
# With two paintings and weights $b_1 + b_2 = 1$ one would minimise
# $b_1\lVert G - G_1'\rVert^2 + b_2\lVert G - G_2'\rVert^2$. Write it out: up to a constant it is
# $$\lVert G - (b_1 G_1' + b_2 G_2')\rVert^2 .$$
# So a **blend** costs no more than one style: mix the Gram matrices. A check on numbers:

# %%
wave = images.painting("great_wave_off_kanagawa")
two = [style.task(net, castle, one, size=144).grams["fire4"] for one in (church, wave)]
seen = texture.features(net, net.normalize(photo), ["fire4"])["fire4"]
ours = texture.gram(seen).requires_grad_()
apart = 0.3 * (ours - two[0]).square().sum() + 0.7 * (ours - two[1]).square().sum()
mixed = (ours - 0.3 * two[0] - 0.7 * two[1]).square().sum()

# %%
slopes = [torch.autograd.grad(value, ours)[0] for value in (apart, mixed)]
error = (slopes[0] - slopes[1]).abs().max() / slopes[0].abs().max()
print(f"losses {apart:.3g} and {mixed:.3g}; their gradients differ by {error:.0e} of the largest")
assert error < 1e-4

# %%
shares = (0, 0.25, 0.5, 0.75, 1)
blends = [plain.pixels]  # all van Gogh
for b in shares[1:]:
    one = style.transfer(net, castle, [church, wave], 40, size=144, keep=0, blend=(1 - b, b))
    blends.append(one.pixels)
titles = [f"{1 - b:.0%} van Gogh\n{b:.0%} Hokusai" for b in shares]
alt = "from van Gogh's blue and ochre strokes to Hokusai's pale paper, foam and dark blue"
show.images(blends, titles, columns=5, height=1.7, alt=alt)

# %% [markdown]
# A mean of Gram matrices is the Gram matrix of a picture that is half the one and half the other: the
# blend mixes colours in patches, not like paint in a pot.

# %% [markdown]
# ## Keeping the photo's colours
#
# The Gram matrices carry the painting's colours too. Gatys et al. (2016, second paper) name two ways
# to leave them out: give the painting the photo's colour **statistics** beforehand, mean and covariance,
# $$x' = C_\text{photo}^{1/2}\, C_\text{painting}^{-1/2}\,(x - \mu_\text{painting}) + \mu_\text{photo} ;$$
# or paint the **luminance** only, and take the other two colour channels from the photo.

# %%
dressed = style.match_colours(painting, photo)[0]
both = [paint(colours=colours).pixels for colours in ("statistics", "luminance")]
titles = ["the painting in the photo's colours", "statistics", "luminance"]
alt = "the church in blues; the castle in strokes as before, in the photo's green, grey and blue"
show.images([dressed, *both], titles, height=2.6, alt=alt)

# %% [markdown]
# By statistics colours may still move to other places, the palette is the photo's. By luminance a
# pixel keeps its hue, unless it gets too bright or too dark to show it, and a stroke can no longer cross the outline in another colour. Neither is
# better: the first paints with the photo's paint, the second draws over the photo.

# %% [markdown]
# ## Which network?
#
# Nearly every implementation takes VGG. Its blocks are clear, its layers have no shortcuts, its maps
# are wide. Is that needed? The same task with four networks: VGG-16 (ours was fine-tuned to find
# edges), SqueezeNet, EfficientNet-Lite0, and a SqueezeNet with **random weights**. Each had
# hundreds of evaluations, of which the second half took off little; so the pictures are stored.

# %%
titles = {"vgg16": "VGG-16", "squeezenet": "SqueezeNet", "efficientnet": "EfficientNet-Lite0"}
titles["random"] = "SqueezeNet, random"
done = {title: style.stored(name) for name, title in titles.items()}
alt = "four painted castles; the last has the colours, but the surface of a photo"
show.images([one.pixels for one in done.values()], list(done), columns=2, height=3.4, alt=alt)

# %% [markdown]
# All four move the colours, even the random one: for that, any mix of colours will do as a filter. What it
# lacks, to the eye, are strokes. That suggests that learned filters matter.

# %% slide="subslide"
told = ("evaluations", "processor seconds", "loss at half", "loss")
rows = [[title, *(one.facts[name] for name in told)] for title, one in done.items()]
show.table(["network", *told], rows)

# %%
for one in done.values():
    print(one.facts["command"])

# %% [markdown]
# But a look is no measurement, and the losses of this table cannot be compared: each picture suits its own
# judge. So let every picture be judged by *every* network's loss; and beside them the photo in the painting's
# colours, which no network has painted.
#
# **Question.** What will the table say if learning matters, and what if it has to be VGG?

# %%
blocks = {"content": "block5", "styles": ["stem", "block2", "block3", "block5"]}
judges = {"VGG-16": models.load("vgg16_hed"), "SqueezeNet": net}
judges |= {"EfficientNet-Lite0": models.load("efficientnet_lite0")}
judges |= {"SqueezeNet, random": style.untrained(net, seed=0)}
asked = {name: blocks if name == "EfficientNet-Lite0" else {} for name in judges}
tasks = {n: style.task(one, castle, church, 192, **asked[n]) for n, one in judges.items()}


def share_left(task: style.Task, picture: torch.Tensor) -> float:
    """Of the loss that the photo itself has, by this network."""
    normal = task.model.normalize
    with torch.no_grad():
        return (task.loss(normal(picture)) / task.loss(normal(task.pixels))).item()


# %% slide="subslide"
painted = {name: one.pixels[None].to(net.device) for name, one in done.items()}
recoloured = style.match_colours(style.fit(castle, 192), style.fit(church, 192))
painted["no network: colours"] = recoloured.to(net.device)
left = {n: [share_left(t, p) for t in tasks.values()] for n, p in painted.items()}
rows = [[name, *(f"{share:.1%}" for share in shares)] for name, shares in left.items()]
show.table(["painted by", *(f"left, says {name}" for name in tasks)], rows)

# %%
trained = list(judges)[:3]
for i, judge in enumerate(trained):
    others = max(left[name][i] for name in trained if name != judge)
    ratio = left["SqueezeNet, random"][i] / others
    print(
        f"{judge}: the random network's picture leaves {ratio:.1f} times what the worst other does"
    )
    assert ratio > 1.2

# %%
vgg, *rest = ([left[n][i] for n in ("SqueezeNet, random", "no network: colours")] for i in range(3))
assert vgg[1] < vgg[0]
assert all(colours > 1.15 * random for random, colours in rest)

# %% [markdown]
# Each network finds most of the style in its own picture. What counts is the rest of its column. To each
# trained network the random network's picture is the worst of the four, with 1.4 to 1.8 times what the worse of
# the other two leaves. Does *learning* matter, then? SqueezeNet and EfficientNet see more in it than colours. VGG
# does not: it prefers the mere recolouring. And with another pair (Taj Mahal, van Gogh's café terrace, 144 pixels,
# 100 evaluations) SqueezeNet's loss leaves less of the random network's picture than of EfficientNet's, and VGG's
# about the same of both. So it may matter; the table does not prove it.

# %% [markdown]
# Nor does it show that it must be *VGG*: SqueezeNet's concatenations and EfficientNet's shortcuts paint as well,
# each in its own hand.
#
# VGG is the usual choice by convention. Everyone can compare with everyone, its layers are easy to name,
# and published comparisons found it more robust than ResNets (Wang et al. 2021). One castle proves
# nothing either way.

# %% [markdown]
# ## Try it
#
# The pictures of castle and church are stored, so the sliders answer at once; others are painted here, with
# as many evaluations as two seconds allow. Which setting would you hang on a wall?

# %%
widgets.style_explorer(net)

# %% [markdown]
# ## What we saw
#
# - Style transfer asks for the photo's features, what stands where, and the painting's Gram matrices, in which
#   strokes and colours.
# - Early layers hold colours and grain, deep ones larger strokes; the painting's size in pixels is the size
#   of the brush.
# - $\beta/\alpha$ trades content for style, and the price list can be measured.
# - The start decides which of many pictures we get.
# - On equal evaluations L-BFGS on frequencies ends lowest, by far or by a hair, if each is divided by its frequency.
# - Each network likes its own picture best. That filters must be learned, or VGG's, is not shown.
# - Blending styles is blending Gram matrices. Colours can be left to the photo, in two ways.

# %% [markdown]
# **What it does not show.** Nothing here knows what a castle is, or that a sky should swirl and a wall
# should not: strokes go where features allow them. And "style" is what Gram matrices happen to
# measure, not what an art historian means: neither composition nor choice of subject is in it.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | style transfer | 风格迁移 | a photo's content in a painting's style |
# | content loss | 内容损失 | squared distance of the features of one deep layer |
# | style loss | 风格损失 | weighted squared distances of Gram matrices, layer by layer |
# | Gram matrix | 格拉姆矩阵 | which channels answer together, anywhere in the picture |
# | total variation | 全变分 | sum of squared differences of neighbouring pixels |
# | L-BFGS | 有限内存BFGS | descent with a curvature estimated from the last steps |
# | luminance | 亮度 | how bright a colour is to the eye |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too. What is made from a painting
# inherits its conditions.

# %% slide="skip"
used = [castle, church, wave]
show.credits(used)

# %% [markdown] slide="skip"
# ## Papers
#
# - L. A. Gatys, A. S. Ecker, M. Bethge. [*Image Style Transfer Using Convolutional Neural Networks.*](https://doi.org/10.1109/CVPR.2016.265) CVPR
#   2016.
# - L. A. Gatys, M. Bethge, A. Hertzmann, E. Shechtman. [*Preserving Color in Neural Artistic Style
#   Transfer.*](https://arxiv.org/abs/1606.05897) 2016.
# - L. A. Gatys, A. S. Ecker, M. Bethge, A. Hertzmann, E. Shechtman. [*Controlling Perceptual Factors in
#   Neural Style Transfer.*](https://arxiv.org/abs/1611.07865) CVPR 2017.
# - Y. Li, N. Wang, J. Liu, X. Hou. [*Demystifying Neural Style Transfer.*](https://arxiv.org/abs/1701.01036) IJCAI 2017.
# - P. Wang, Y. Li, N. Vasconcelos. [*Rethinking and Improving the Robustness of Image Style Transfer.*](https://arxiv.org/abs/2104.05623) CVPR
#   2021.
# - J. Nocedal. [*Updating Quasi-Newton Matrices with Limited Storage.*](https://doi.org/10.1090/S0025-5718-1980-0572855-7) Mathematics of Computation 1980.
