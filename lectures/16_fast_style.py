# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 16 Fast style transfer
#
# **Optimising one picture takes a hundred evaluations. Can a network learn to do it in one?**
#
# After this lecture you can
# - train a network without a single target picture, by a loss that looks at features;
# - say which of its parts avoid frames, checkerboards and the photo's own contrast;
# - explain why instance norm suits styles better than batch norm, and measure it;
# - weigh one pass against a hundred evaluations, in seconds and in quality;
# - say why a film painted frame by frame flickers.
#
# About 60 minutes with the two exercises. You need the Gram matrix of lecture 14 and the losses of
# lecture 15.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import copy
import time

import torch
from torch.nn import functional

from course_utils import fast_style, images, layers, models, show, texture, widgets
from course_utils.common import timing
from course_utils.common.optimise import adam, clamp, optimise
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## A hundred evaluations for one picture
#
# Style transfer by optimisation starts from the photo and changes its *pixels* until a loss is small.
# Then comes the next photo, and all begins again. Here are a photo, a painting, and one hundred
# evaluations of the loss.

# %%
net = models.load("squeezenet1_1")
photo = images.photo("citede_carcassonne").pixels(256)
painting = images.painting("cafe_terrace_at_night").pixels(256)
loss = fast_style.PerceptualLoss(net, painting.to(net.device), fast_style.Recipe())
start = photo[None].to(net.device)

# %%
target, began = loss.target(start), time.perf_counter()
valid = [(1, clamp(0, 1))]
by_pixels = optimise(
    lambda y: loss(y, target), start, 100, rule=adam(0.03), operations=valid, keep=0
)
slow = time.perf_counter() - began

# %% [markdown] slide="subslide"
# And here is a network of 420,000 weights that has seen this painting before, but never this photo.
#
# **Question.** Which of the two pictures took a hundred evaluations, and which a single pass?

# %%
painter_name = "cafe_terrace_at_night_wide"
painter = fast_style.load(painter_name)
in_one_pass = fast_style.stylise(painter, photo)
show.images(
    [photo, painting, by_pixels.image.clamp(0, 1), in_one_pass],
    ["photo", "painting", "A", "B"],
    columns=2,
    height=3.2,
    alt="a castle, van Gogh's café terrace at night, and the castle painted in its manner twice",
)

# %%
fast = timing.seconds(lambda: fast_style.stylise(painter, photo))
pictures = {"the photo itself": start, "A": by_pixels.image, "B": in_one_pass[None].to(net.device)}
with torch.no_grad():
    terms = {name: loss.terms(picture, target) for name, picture in pictures.items()}

# %% slide="subslide"
took = {"the photo itself": 0, "A": round(1e3 * slow), "B": round(1e3 * fast)}
rows = [
    [name, took[name], found["content"], found["style"], loss.total(found)]
    for name, found in terms.items()
]
show.table(["", "milliseconds", "content loss", "style loss", "sum, weighted"], rows)

# %%
print(f"one pass is {slow / fast:.0f} times faster")
assert terms["B"]["style"] < 0.5 * terms["the photo itself"]["style"]

# %% [markdown]
# B is the single pass. A reaches the lower sum: it may adapt every pixel to this one photo. B has to do
# with what the network has learned from other photos. It has the style, with bolder strokes, and gives
# up more of the content; and it is there at once.
#
# Nothing comes for free. The evaluations were made too, before, once, in **training**. After how many photos has it
# paid? Count them below, where the painters say how long they trained. For a film that is painted while it
# is watched there is no other way.

# %% [markdown]
# ## What ships with the course
#
# One network is one painting. Each was trained for minutes of a processor's time, by the command below, on
# freely licensed photos; the ones you see here are not among them.
#
# The wide café, Renoir's dance, Hiroshige's shrine, Kandinsky's composition, Hokusai's wave, Bruegel's harvesters and
# Cassatt's summer have more than twice the weights and saw several times the steps. **Question.** What does that buy: nearer
# strokes, or more of the photo? And which painter would you recognise?

# %%
names = [name for name in fast_style.styles() if not name.endswith("_batch")]
painters = {name: fast_style.load(name) for name in names}
shown = ["chelsea", "eiffel_tower", "panda"]
originals = [images.photo(name).pixels(320) for name in shown]

# %%
logs = {name: fast_style.training_log(name) for name in names}
of = {name: images.painting(log["recipe"]["style"]) for name, log in logs.items()}
gallery = [
    [of[name].pixels(320), *(fast_style.stylise(p, x) for x in originals)]
    for name, p in painters.items()
]
titles = [name.replace("_", "\n", 1).replace("_", " ") for name in names]
show.rows(gallery, titles, height=115, alt="each painting, and a cat, a tower and a panda like it")

# %% [markdown]
# Above all more of the photo: the small network embosses the cat's eyes and the bars of the tower, the wide
# ones draw them. Kandinsky is known by thin black lines on cream, Hokusai by his blue and sand,
# Hiroshige by a dusk that darkens to the edge, Bruegel by ochre, Cassatt by short strokes of green water, Renoir by
# little more than his dark gold. But no network takes over what makes the pictures *theirs*: no circle, no wave, no
# sheaf. Gram matrices know strokes and colours, not things.

# %%
spent = {name: fast_style.spent(log) for name, log in logs.items()}
for name in ("cafe_terrace_at_night", painter_name):
    print(
        f"{name}: trained as long as {spent[name][1] / slow:.0f} photos by optimisation take here"
    )

# %% [markdown]
# That is when a painter has paid, and one wants many photos like one painting for it. A film of a minute is enough.
#
# How near did each come to *its* painting? The loss of the castle as it is, painted in one pass, and after a
# hundred evaluations (stored; `python data/rebuild_style_limits.py` makes them again):


# %%
def beside_painting(name: str):
    style = of[name].pixels(256).to(net.device)
    measure = fast_style.PerceptualLoss(net, style, fast_style.Recipe())
    aim = measure.target(start)
    return torch.no_grad()(lambda picture: measure(picture[None].to(net.device), aim).item())


# %% slide="subslide"
best = fast_style.limits()
loss_of = {name: beside_painting(name) for name in names}
castles = {name: fast_style.stylise(painters[name], photo) for name in names}
one_pass = {name: loss_of[name](castle) for name, castle in castles.items()}
rows = [
    [name, steps, seconds / 60, loss_of[name](photo), one_pass[name], best[of[name].name][1]]
    for name, (steps, seconds) in spent.items()
]
assert all(least < painted < before for *_, before, painted, least in rows)
titles = ["painter", "steps", "processor minutes", "castle", "one pass", "100 evaluations"]
show.table(titles, rows)

# %% [markdown]
# Compare along a row, not down a column: each painting is a measure of its own. The castle, stone and dry grass,
# is nearest to Bruegel before anything is painted. And no painting is the obstacle: optimisation brings
# each to between .2 and .5, and the wide networks stay between .5 and .8. What is it that a pass loses?
#
# **Question.** The network works at a quarter of the size. Add a fifth of the photo's *finest* detail to what
# it painted, the photo minus a blurred copy. Will the loss rise or fall? And with a fifth of the whole photo?


# %%
small = functional.interpolate(photo[None], scale_factor=0.25, mode="bilinear", antialias=True)
fine = photo - functional.interpolate(small, size=photo.shape[1:], mode="bilinear")[0]
extras = {
    "and fine detail": lambda _: fine,
    "and the same, mirrored": lambda _: fine.flip(2),
    "and the whole photo": lambda painted: photo - painted,
}

# %% slide="subslide"
table = []
for name, castle in castles.items():
    mixed = [(castle + 0.2 * extra(castle)).clamp(0, 1) for extra in extras.values()]
    crops = logs[name]["recipe"]["side"]
    table.append([name, crops, one_pass[name], *map(loss_of[name], mixed)])
table.sort(key=lambda row: row[1])
show.table(["painter", "crops", "one pass", *extras], table)

# %%
gained = {192: [], 128: [], 96: []}
for _, crops, alone, detail, mirrored, whole in table:
    gained[crops].append(alone - detail)
    assert detail < min(mirrored, whole)
assert max(gained[192]) < 0.015 < min(gained[128] + gained[96])

# %% [markdown]
# The same detail mirrored lies at the wrong places and does next to nothing, or harm, and a fifth of the whole
# photo takes away more style than it gives back in content. But the fine detail itself helps each painter
# trained on crops of at most 128 pixels: these lines are a part of what a pass loses, about a tenth of its
# distance from optimisation. The four that were trained on crops of 192 gain next to nothing (here and on
# five other photos): by now they draw them. It was no limit of a network that works at a quarter of the
# size, it was training. What more of it costs: see *What training buys*.

# %% [markdown]
# ## The network that paints
#
# The **transform network** (变换网络) takes the photo down to a quarter of its size, works on it there
# in residual blocks, where a pixel of the small map sees a large part of the picture and costs little,
# and comes up again.

# %%
with torch.no_grad(), layers.capture(painter, "down", "blocks", "up", "paint") as seen:
    painter(start)
rows = [
    [part, " x ".join(map(str, maps.shape[1:])), sum(p.numel() for p in layer.parameters())]
    for (part, maps), layer in zip(seen.items(), painter.children(), strict=True)
]
show.table(["part", "channels x height x width", "weights"], rows)

# %% [markdown]
# Two details keep it from painting what is not in the style. Its convolutions **reflect** the picture
# at the border; with zeros around it every painting would get a dark frame.
#
# And on the way up it doubles the pixels and then convolves. The textbook's transposed convolution
# does both at once. **Question.** What does it make of a plain grey input?

# %% slide="subslide"
flat = torch.ones(1, 1, 8, 8)
kernel = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(1))
transposed = functional.conv_transpose2d(flat, kernel, stride=2)
doubled = functional.pad(functional.interpolate(flat, scale_factor=2), (1, 1, 1, 1), "reflect")
resized = functional.conv2d(doubled, kernel)

# %%
alt = "left a checkerboard of four greys, right plain grey"
# Each to two thirds of white at most, so that plain grey is grey.
pair = [one[0, 0] / (1.5 * one.max()) for one in (transposed, resized)]
show.images(pair, ["transposed", "doubled, then convolved"], alt=alt)

# %%
inner = [map_[0, 0, 3:-3, 3:-3].std().item() for map_ in (transposed, resized)]
print(f"spread inside: {inner[0]:.2f} and {inner[1]:.2f}")
assert inner[0] > 0.1
assert inner[1] < 1e-5

# %% [markdown]
# With a stride of two, a kernel of three lays one, two or four of its windows on an output pixel, in
# turns: a **checkerboard** (棋盘格) before anything is learned. Training can only balance it out.

# %% [markdown]
# ## Learning without a right answer
#
# For which photo do we know how van Gogh would have painted it? For none. But the loss of lecture 15
# needs no target picture: it compares the *features* of what is painted with those of the photo
# (content) and of the painting (style):
# $$L(w) = \frac{\|F(y)-F(x)\|^2}{\|F(x)\|^2}
# + \frac{\beta}{5} \sum_l \frac{\|G_l(y)-G_l\|^2}{\|G_l\|^2} + \gamma\,\mathrm{TV}(y), \qquad
# y = f_w(x).$$
# In lecture 15 we moved the pixels $y$ downhill. Now $y$ comes out of the network, and we go one step
# further back in the chain rule: to its weights $w$.

# %% [markdown] slide="subslide"
# **Exercise 1 (medium, 15 minutes).** One step of training, for the smallest transform network there
# is: a single convolution, $y = w * x$, and a loss with one layer,
# $$L(w) = \mathrm{mean}\,(F(y)-F(x))^2 + \beta\;\mathrm{mean}_n \|G(y_n)-G\|^2, \qquad
# w \leftarrow w - \eta\,\partial L/\partial w .$$
# With $C$ channels as rows of $F$ and $M$ positions, $G = F F^\top\! / M$.
#
# <details><summary>Hint 1: what wants a gradient?</summary>
# Not the picture. Copy the weights so that they do (<code>detach().requires_grad_()</code>), and paint
# with the copy: <code>conv2d(photos, weights, padding=weights.shape[-1] // 2)</code>.
# </details>
# <details><summary>Hint 2: the Gram matrices</summary>
# <code>model.features(painted).flatten(2)</code> has one matrix (C,M) for each picture;
# <code>@</code> multiplies matrices in batches, <code>.mT</code> turns them over.
# </details>
# <details><summary>Hint 3: what comes back?</summary>
# The new weights, and the loss <em>before</em> the step as a plain number: <code>loss.item()</code>.
# </details>


# %% exercise="training_step"
def training_step(model, weights, photos, target, style_weight, rate):
    """One step of gradient descent on the weights of a convolution that paints.

    model.features: images -> (N,C,h,w); weights: (3,3,k,k), k odd; photos: (N,3,H,W), normalised;
    target: the painting's Gram matrix (C,C).
    Returns: the new weights, and the loss before the step.
    """
    ### BEGIN SOLUTION
    weights = weights.detach().requires_grad_()
    painted = torch.nn.functional.conv2d(photos, weights, padding=weights.shape[-1] // 2)
    found = model.features(painted)
    content = (found - model.features(photos)).square().mean()
    columns = found.flatten(2)
    grams = columns @ columns.mT / columns.shape[2]
    style = (grams - target).square().sum((1, 2)).mean()
    loss = content + style_weight * style
    slope = torch.autograd.grad(loss, weights)[0]
    return weights.detach() - rate * slope, loss.item()
    ### END SOLUTION


# %% check="training_step"
check("training_step", training_step)

# %% [markdown]
# Now train with it. Forty steps, four photos at a time, a convolution of 7 x 7 that starts as "leave
# the photo as it is".

# %% slide="subslide"
step = yours_or_ours("training_step", training_step)
first_layers, style = net.module.features[:4], net.normalize(painting[None].to(net.device))
size = first_layers(style).square().mean().sqrt()
shallow = torch.nn.Module()
shallow.layers, shallow.features = first_layers, lambda x: first_layers(x) / size
wanted = texture.gram(shallow.features(style))[0]

# %%
weights = torch.zeros(3, 3, 7, 7, device=net.device)
weights[range(3), range(3), 3, 3] = 1
crops = fast_style.Crops(images.photos("building")[::4], 96, seed=0)

# %%
losses = []
for _ in range(40):
    batch = net.normalize(crops.draw(4))
    weights, value = step(shallow, weights, batch, wanted, 1e-3, 3e-4)
    losses.append(value)
print(f"loss {sum(losses[:10]) / 10:.2f} at first, {sum(losses[-10:]) / 10:.2f} at last")
assert sum(losses[-10:]) < sum(losses[:10])

# %%
with torch.no_grad():
    filtered = functional.conv2d(net.normalize(start), weights, padding=3)
filtered = net.denormalize(filtered).clamp(0, 1)
alt = "a castle, a painting in yellow and violet, and the castle with a pink sky, a little sharper"
show.images([photo, painting, filtered], ["photo", "painting", "one convolution"], alt=alt)

# %% [markdown]
# The loss falls, and what comes out is a **colour filter**. A single convolution is linear and sees
# 7 pixels: it can mix colours, blur and sharpen, but it cannot decide that *here* is sky and wants
# swirls. Strokes need depth, nonlinear layers, and a wide view.

# %% [markdown]
# ## A short training
#
# The same step, with Adam instead of plain descent, on the whole transform network. It starts from
# random weights: sixty steps of four photos, some ten seconds on an idle laptop.

# %%
short = fast_style.Recipe(steps=60)
stages = {}


def watch(trained: fast_style.Trained) -> None:
    stages[trained.steps] = trained.network


run = fast_style.train(painting, short, callback=watch, every=15)
print(f"{run.steps} steps in {run.seconds:.0f} seconds")

# %%
captions = [f"after {steps} steps" for steps in stages]
alt = "first coarse stripes, then areas of yellow and violet with the castle's edges between them"
on_the_way = {steps: fast_style.stylise(network, photo) for steps, network in stages.items()}
show.images(list(on_the_way.values()), captions, columns=2, height=2.6, alt=alt)

# %% slide="subslide"
log = run.log
curves = {term: (log["step"], log[term]) for term in ("content", "style")}
alt = "the style loss falls steeply in the first twenty steps; the content loss stays nearly flat"
show.lines(curves, "steps", "loss, as a share", alt, yscale="log")

# %%
assert sum(log["style"][-10:]) < 0.7 * sum(log["style"][:10])

# %% [markdown]
# First come the colours and a coarse pattern, then the photo's areas and edges. In so few steps the content
# loss has hardly begun to fall. Fine strokes, and a castle that one would recognise, take longer.

# %% [markdown]
# ## What training buys
#
# The painter from the beginning was trained three times, each time going on from the last: for 4,000 steps, for
# 6,000, and for 5,000 of another kind. It was kept after 60, 500, 4,000 and 10,000 on the way.
#
# **Question.** The castle was in no training. How much of the way from the photo's own loss down to that
# of a hundred evaluations *on this photo* does a single pass go, after each of these?

# %%
kept = fast_style.stages(painter_name)
dial = {steps: fast_style.load(path) for steps, path in kept.items()}
with torch.no_grad():
    passes = {steps: network(start) for steps, network in dial.items()}
    sums = {n: loss.total(loss.terms(y, target)).item() for n, y in passes.items()}
    ends = [loss.total(terms[name]).item() for name in ("the photo itself", "A")]

# %%
way = {f"after {steps:,} steps": (ends[0] - s) / (ends[0] - ends[1]) for steps, s in sums.items()}
rows = [["the photo itself", ends[0], "0%"]]
rows += [[name, s, f"{w:.0%}"] for (name, w), s in zip(way.items(), sums.values(), strict=True)]
rows += [["a hundred evaluations", ends[1], "100%"]]
show.table(["", "sum of the losses, weighted", "of the way"], rows)

# %%
values = list(sums.values())
assert values == sorted(values, reverse=True)
assert values[0] > ends[0] > values[1]
assert ends[1] < values[-1] < 0.75

# %%
doublings = torch.tensor([*dial]).log2().diff()[1:]
for steps, before, after, twice in zip(
    [*dial][1:], values[1:], values[2:], doublings, strict=False
):
    print(f"after {steps:,} steps, each doubling takes {(before - after) / twice:.2f} off")

# %% slide="subslide"
widgets.training_dial(dial)

# %% [markdown]
# After 60 steps the painted castle is worse than the castle: a network has first to learn to let the photo
# through. (A photo whose own loss is larger may gain at once.) From 500 to 10,000, each doubling of the steps
# takes .04 to .06 off the castle's, least at the end.

# %% [markdown] slide="subslide"
# The last 5,000 do better, as they are other steps: on crops of 192 pixels instead of 128, nearer to the size in
# use, and by **SOAP** (Vyas et al.) instead of Adam. Three hundred steps each way, from the same painter: on
# the castle larger crops gain three times as much over small ones as SOAP over Adam, on eleven other photos
# more than twice as much (one run each).

# %% [markdown]
# So training buys a share of the way, once, for every photo, and ever more dearly. Whether one pass for all
# photos ever comes near a hundred evaluations for one, these figures do not say.

# %% [markdown]
# ## Why instance norm?
#
# **Question.** Here is a photo and a pale copy of it. How should the two paintings differ?

# %%
contrasts = (1.0, 0.6, 0.3, 0.15)
pale = [fast_style.fade(photo, contrast) for contrast in contrasts]
captions = [f"contrast {contrast:g}" for contrast in contrasts]
show.images(pale, captions, alt="the castle, paler and paler")

# %% [markdown]
# If the style is "strong contrasts of yellow and blue", they should not differ at all: contrast is
# the *painting's* business. Lowering the contrast multiplies the centred feature maps of the first
# convolution by a number. **Instance norm** (实例归一化) takes just that number out, in every channel
# $c$ of every image $n$:
# $$\hat A_{nc} = \frac{A_{nc} - \mu_{nc}}{\sqrt{\sigma_{nc}^2 + \varepsilon}}\;\gamma_c + \beta_c,
# \qquad \mu_{nc}, \sigma_{nc}^2 \text{ over the positions.}$$

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 10 minutes).**
#
# <details><summary>Hint 1: over what?</summary>
# The axes are image, channel, row, column. An image may not notice the others of its batch, nor a
# channel the other channels: two axes are left to average over.
# </details>
# <details><summary>Hint 2: the shapes</summary>
# <code>keepdim=True</code> leaves axes of length one, so that the mean can be subtracted;
# <code>scale[:, None, None]</code> does the same for the learned numbers.
# </details>
# <details><summary>Hint 3: the variance</summary>
# PyTorch's <code>var</code> divides by M - 1 unless you say <code>correction=0</code>.
# </details>


# %% exercise="instance_norm"
def instance_norm(x, scale, shift, eps):
    """Each channel of each image with mean 0 and variance 1, then scaled and shifted.

    x: (N,C,H,W); scale, shift: (C,).
    Returns: (N,C,H,W).
    """
    ### BEGIN SOLUTION
    mean = x.mean((2, 3), keepdim=True)
    variance = x.var((2, 3), correction=0, keepdim=True)
    normed = (x - mean) / (variance + eps).sqrt()
    return normed * scale[:, None, None] + shift[:, None, None]
    ### END SOLUTION


# %% check="instance_norm"
check("instance_norm", instance_norm)

# %% slide="subslide"
norm = yours_or_ours("instance_norm", instance_norm)
first = painter.down[0]
with torch.no_grad():
    maps = first[1](first[0](torch.stack(pale).to(net.device) - 0.5))
    normed = norm(maps, first[2].weight, first[2].bias, first[2].eps)

# %%
spread = [maps[:, 0].std((1, 2)), normed[:, 0].std((1, 2))]
rows = [[c, before, after] for c, before, after in zip(captions, *spread, strict=True)]
show.table(["photo", "spread of channel 0", "after instance norm"], rows)

# %%
assert (spread[0][2] / spread[0][0] - 0.3).abs() < 0.01
assert (spread[1] / spread[1][0] - 1).abs().max() < 0.05

# %% [markdown]
# ## Batch norm, and the company a photo keeps
#
# **Batch norm** (批归一化) takes mean and variance over the whole batch. In training, a photo is then
# painted differently in different company; in use there is no batch, so running averages from
# training stand in: another function than the one that was trained.
#
# So here are twins, the painter as it was after 4,000 steps and another one: `course train-style` gave both
# the same first convolutions, the same photos in the same order and as many steps, and one of them batch norm.

# %%
stored = {"instance": kept[4000], "batch": "cafe_terrace_at_night_wide_batch"}
twin = {norm: fast_style.load(which) for norm, which in stored.items()}

# %%
bright, dark = 0.8 + 0.2 * start, 0.2 * start
in_training = {norm: copy.deepcopy(network).train() for norm, network in twin.items()}

# %%
with torch.no_grad():
    company = {
        norm: [network(torch.cat([start, other]))[0] for other in (bright, dark)]
        for norm, network in in_training.items()
    }

# %%
beside = [f"{norm} norm,\nbeside a {kind} photo" for norm in company for kind in ("bright", "dark")]
alt = "the castle four times: the first two are equal, of the last two the right one is more yellow"
show.images(sum(company.values(), []), beside, height=2.2, alt=alt)

# %%
for norm, (one, other) in company.items():
    print(f"{norm} norm: the company changes a pixel by {(one - other).abs().mean():.4f}")
assert (company["instance"][0] - company["instance"][1]).abs().max() < 1e-3
assert (company["batch"][0] - company["batch"][1]).abs().mean() > 0.01

# %% [markdown]
# ## The same budget, both norms
#
# Now in use, one photo at a time, on the pale copies. **Question.** What will batch norm, with its
# running averages, do with them?

# %%
faded = [[fast_style.stylise(network, one) for one in pale] for network in twin.values()]
alt = "above, four equal castles under a violet sky; below, yellow ones that drown in hatching"
show.rows(faded, ["instance", "batch"], height=150, alt=alt)

# %%
faded_by = {}
for norm, (whole, *others) in zip(twin, faded, strict=True):
    gaps = [(one - whole).abs().mean().item() for one in others]
    print(f"{norm} norm: mean change {', '.join(f'{gap:.3f}' for gap in gaps)}")
    faded_by[norm] = gaps[1]
assert faded_by["instance"] < 0.5 * faded_by["batch"]

# %% slide="subslide"
curves = {}
runs = {"instance": fast_style.trainings(logs[painter_name])[0]}
runs["batch"] = fast_style.training_log(stored["batch"])
for norm, run in runs.items():
    log, weight = run["log"], run["recipe"]["style_weight"]
    pairs = zip(log["unseen_content"], log["unseen_style"], strict=True)
    curves[f"{norm} norm"] = (log["unseen_step"], [c + weight * s for c, s in pairs])
alt = "one curve falls and flattens; that of batch norm lies higher, swings and does not fall"
show.lines(curves, "steps", "loss on unseen photos", alt)

# %%
first_of_one, last_of_other = curves["instance norm"][1][1], curves["batch norm"][1][-1]
print(
    f"instance norm after 200 steps {first_of_one:.2f}, batch norm after 4,000 {last_of_other:.2f}"
)
assert first_of_one < last_of_other

# %% [markdown]
# Batch norm ends above where instance norm was after 200 steps. **Question.** Is that the norm, or only its running
# averages? They remember about ten batches, of two photos each. So let the castle have its own mean and variance, as in
# training and alone in its batch.

# %%
passes = {f"{norm} norm": network for norm, network in twin.items()}
passes["batch norm, the castle's own averages"] = in_training["batch"]


def losses_of(x: torch.Tensor) -> dict[str, float]:
    to = loss.target(x)
    with torch.no_grad():
        return {name: loss(network(x), to).item() for name, network in passes.items()}


castle_of = losses_of(start)
show.bars([*castle_of], [*castle_of.values()], "loss of the castle")

# %%
found = {"castle": castle_of}
for name in ("chelsea", "eiffel_tower", "golden_temple", "horse_2", "koala"):
    found[name] = losses_of(images.photo(name).pixels(256)[None].to(net.device))
parts = []
for name, losses in found.items():
    instance, batch, own = losses.values()
    parts.append(f"{name} {(batch - own) / (batch - instance):.0%}")
print("of the gap:", ", ".join(parts))

# %%
assert castle_of["instance norm"] < 0.95 * min(list(castle_of.values())[1:])
for norm, run in runs.items():
    terms_of = {term: sum(run["log"][term][-20:]) / 20 for term in ("content", "style", "smooth")}
    print(f"{norm} norm, the last 400 steps of training: {loss.total(terms_of):.2f}")

# %% [markdown]
# Of the castle's gap about half is the averages, of other photos' from a quarter to nearly all. The rest is
# there in training, too: .97 with instance norm, 1.13 with batch norm, in the company that it learned with. One
# run of each is no proof that one norm always wins. What does not depend on luck is what you saw before: one
# function is blind to the photo's contrast and its company, the other is not.

# %% [markdown]
# ## How fast is it?

# %%
sides = (128, 256, 384, 512)
squares = {side: images.square(images.photo("panda").pixels(), side) for side in sides}
taken = {s: timing.seconds(lambda x=x: fast_style.stylise(painter, x)) for s, x in squares.items()}
rows = [[f"{side} x {side}", 1e3 * taken[side], 1 / taken[side]] for side in sides]
show.table(["pixels", "milliseconds", "frames per second"], rows)

# %% [markdown]
# ## A sequence of frames
#
# So a film is within reach: paint every frame. Here the camera moves over a photo, two pixels a
# frame, to the right.

# %%
wide = images.photo("chateaude_chenonceau").pixels()
frames = list(fast_style.pan(wide, side=192, step=2, frames=24))
painted = [fast_style.stylise(painter, frame) for frame in frames]

# %%
film = [torch.stack(pair) for pair in zip(frames, painted, strict=True)]
alt = "left the camera moves over a castle; right the same, painted, with strokes that boil"
show.animation(film, alt, fps=12)

# %% [markdown]
# Watch the wall and the sky: the strokes boil. **Flicker** (闪烁) can be measured here, since we know
# how the camera moves: shift one frame onto the next and look how much the same spot has changed.
#
# **Question.** For the photo this is exactly zero. For the painted frames, which motion is the
# kindest: one pixel a frame, two, three, or four?

# %%
untrained = fast_style.Recipe(channels=(16, 32, 64), blocks=5).fresh().eval().to(net.device)
painting_with = {f"{norm} norm": network for norm, network in twin.items()}
painting_with["untrained"] = untrained
boil = {name: {} for name in painting_with}
for pixels in range(1, 9):
    moved = list(fast_style.pan(wide, side=192, step=pixels, frames=3))
    for name, network in painting_with.items():
        painted_so = [fast_style.stylise(network, frame) for frame in moved]
        boil[name][pixels] = fast_style.flicker(painted_so, pixels)
assert fast_style.flicker(moved, 8) == 0

# %%
curves = {name: ([*of_step], [*of_step.values()]) for name, of_step in boil.items()}
alt = (
    "three curves that fall almost to zero at 4 and 8 pixels a frame, and are about level elsewhere"
)
show.lines(curves, "pixels a frame", "mean change of a spot, 0 to 1", alt)

# %%
for of_step in boil.values():
    assert max(of_step[4], of_step[8]) < min(of_step[n] for n in (1, 2, 3, 5, 6, 7)) / 2
for pixels in (4, 8):
    left = boil["batch norm"][pixels] / boil["instance norm"][pixels]
    print(f"{pixels} pixels a frame: batch norm has {left:.0%} of instance norm's flicker")
    assert left < 0.5

# %% [markdown]
# Four, and eight: the network halves the picture twice, so it works on a grid of four pixels, and
# only a motion by whole cells of the grid is followed exactly. An untrained one has the same dips: they
# come with the architecture.
#
# What flicker is left there has two reasons: what enters the picture changes the mean and variance of
# instance norm everywhere, and the border is reflected. The twin with batch norm has only the second, as its
# averages stand still, and less than a seventh of the flicker that is left there (here and on four other photos).
#
# A remedy that films use: blend each frame with the *last painted one*, moved along with the camera.


# %% slide="slide"
def steadied(frames: list[torch.Tensor], step: int, share: float = 0.7) -> list[torch.Tensor]:
    done = [frames[0]]
    for frame in frames[1:]:
        blend = frame.clone()
        moved = done[-1][:, :, step:]
        blend[:, :, :-step] = share * moved + (1 - share) * frame[:, :, :-step]
        done.append(blend)
    return done


# %% slide="subslide"
calm = steadied(painted, step=2)
before, after = (fast_style.flicker(frames, 2) for frames in (painted, calm))
print(f"flicker {before:.3f} frame by frame, {after:.3f} blended")
crisp, soft = (torch.stack(some[3:]).diff().abs().mean().item() for some in (painted, calm))
print(f"step from a pixel to the next {crisp:.3f} frame by frame, {soft:.3f} blended")
assert after < 0.5 * before
assert 0.5 * crisp < soft < 0.95 * crisp

# %%
film = [torch.stack(pair) for pair in zip(painted, calm, strict=True)]
show.animation(film, "left painted frame by frame, right blended: calmer, a little softer", fps=12)

# %% [markdown]
# It is paid for in sharpness: a fifth to a quarter of the step from one pixel to the next is gone. And here we *knew*
# the motion. In a real film it has to be estimated (optical flow), fails where something comes out from behind something else, and there the flicker
# returns. Ruder et al. (2016) add a loss on flicker to the optimisation of each film; Huang et al. (2017)
# train a network with such a loss.

# %% [markdown]
# ## Try it
#
# Choose a style or bring a photo. Take its contrast away, and compare with the last of the list, which
# has batch norm. Make it small: the strokes do not shrink with the photo.

# %%
choices = {name.replace("_", " "): network for name, network in painters.items()}
choices["café terrace, batch norm"] = twin["batch"]
widgets.fast_style_explorer(choices)

# %% [markdown]
# ## What we saw
#
# - The loss of style transfer needs no target pictures, so it can train a network: one pass instead of
#   a hundred evaluations, after minutes of training for each style.
# - A single convolution learns a colour filter; strokes need depth, nonlinear layers and a wide view.
# - Doubling and convolving leaves no checkerboard, reflection no frame.
# - Instance norm takes the photo's own contrast out and is the same in training and in use. Batch norm
#   lets the company of a photo act on it, and fades with it.
# - Frame by frame a film flickers, least where the motion fits the network's grid.

# %% [markdown]
# **What it does not show.** The loss says how far the *features* are, not whether a painter would
# agree. One network is one painting at one size of strokes; networks for any style (Huang & Belongie
# 2017) pay for it in quality. And a lower loss is still had by optimisation.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | fast style transfer | 快速风格迁移 | a trained network paints in one pass |
# | transform network | 变换网络 | photo in, painting out; trained for one style |
# | perceptual loss | 感知损失 | a distance of feature maps, not of pixels |
# | instance norm | 实例归一化 | each channel of each image to mean 0, variance 1 |
# | batch norm | 批归一化 | the same over the batch; running averages in use |
# | checkerboard | 棋盘格 | the pattern of overlapping windows of a transposed convolution |
# | residual block | 残差块 | adds its result to its input |
# | flicker | 闪烁 | change of a spot from frame to frame that is no motion |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
used = [images.photo(name) for name in [*shown, "citede_carcassonne", "chateaude_chenonceau"]]
used += list({painting.name: painting for painting in of.values()}.values())
show.credits(used)

# %% [markdown] slide="skip"
# ## Papers
#
# - J. Johnson, A. Alahi, L. Fei-Fei. [*Perceptual Losses for Real-Time Style Transfer and
#   Super-Resolution.*](https://arxiv.org/abs/1603.08155) ECCV 2016.
# - D. Ulyanov, V. Lebedev, A. Vedaldi, V. Lempitsky. [*Texture Networks: Feed-forward Synthesis of
#   Textures and Stylized Images.*](https://arxiv.org/abs/1603.03417) ICML 2016.
# - D. Ulyanov, A. Vedaldi, V. Lempitsky. [*Instance Normalization: The Missing Ingredient for Fast
#   Stylization.*](https://arxiv.org/abs/1607.08022) 2016.

# %% [markdown] slide="skip"
# - S. Ioffe, C. Szegedy. [*Batch Normalization: Accelerating Deep Network Training by Reducing Internal
#   Covariate Shift.*](https://arxiv.org/abs/1502.03167) ICML 2015.
# - A. Odena, V. Dumoulin, C. Olah. [*Deconvolution and Checkerboard Artifacts.*](https://doi.org/10.23915/distill.00003) Distill 2016.
# - M. Ruder, A. Dosovitskiy, T. Brox. [*Artistic Style Transfer for Videos.*](https://arxiv.org/abs/1604.08610) GCPR 2016.
# - H. Huang, H. Wang, W. Luo, L. Ma, W. Jiang, X. Zhu, Z. Li, W. Liu. *Real-Time Neural Style Transfer
#   for Videos.* CVPR 2017.
# - X. Huang, S. Belongie. [*Arbitrary Style Transfer in Real-Time with Adaptive Instance
#   Normalization.*](https://arxiv.org/abs/1703.06868) ICCV 2017.
# - N. Vyas, D. Morwani, R. Zhao, M. Kwun, I. Shapira, D. Brandfonbrener, L. Janson, S. Kakade. [*SOAP: Improving
#   and Stabilizing Shampoo using Adam.*](https://arxiv.org/abs/2409.11321) ICLR 2025.
