# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 07 Guided backpropagation
#
# **A gradient is a speckle, this picture is a drawing. What was done to it, and what does it cost?**
#
# After this lecture you can
# - write three rules for the ReLU's way back, and tell which is which;
# - show what one unit of any layer responds to, with its patch beside it;
# - put any network under a rule, and notice when the rule did not reach it;
# - say with a number why a sharper picture is not a more faithful one.
#
# About 70 minutes with the three exercises. You need lectures 00 and 06.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import guided, images, layers, models, saliency, show, widgets
from course_utils.common import batches
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## The same question, two answers
#
# Both pictures below send the score of "macaw" back to the pixels of the same photo, through the same
# network. Grey is zero, brighter is positive, darker is negative.
#
# The left one is the gradient of lecture 06. For the right one a single line was changed.
#
# **Question.** Which of the two would you put on a poster? Which would you trust?

# %%
net = models.load("squeezenet1_1")
names = ["panda", "scarlet_macaw", "lemur", "owl", "butterfly", "chelsea"]
x = net.preprocess([images.photo(name) for name in names])
pixels = net.denormalize(x)
with torch.no_grad():
    classes = net(x).argmax(1)

# %%
pair = [guided.class_gradient(net, x[1:2], classes[1:2], rule) for rule in ("backprop", "guided")]
alt = "a macaw; its gradient, coloured noise on grey; its guided gradient, a drawing of the bird"
show.images(
    [pixels[1], *map(guided.as_picture, pair)], ["photo", "backprop", "guided"], height=3.4, alt=alt
)

# %% [markdown]
# ## A fork at every ReLU
#
# Forward, a ReLU is $y = \max(x, 0)$. Backward, a gradient $g$ arrives from above and something goes
# on below. Three rules are known:
#
# | rule | goes on below | asks |
# |---|---|---|
# | **backprop** | $g \cdot [x > 0]$ | the forward pass: was the ReLU on? |
# | **deconvnet** | $g \cdot [g > 0]$ | the gradient: is it positive? |
# | **guided** | $g \cdot [x > 0] \cdot [g > 0]$ | both |
#
# Only the first is the chain rule. The other two are decisions about what we would *like* to see.

# %% [markdown] slide="subslide"
# Why drop negative gradients? A unit with $g > 0$ *supports* what we look at; one with $g < 0$ holds it
# down. The plain gradient adds up both, and what we see is their difference, pixel by pixel: a speckle.
# Without the negative ones we see only what supports.
#
# Here are nine units. What does each rule hand on?

# %%
forward = torch.tensor([[1.0, -1.0, 5.0], [2.0, -5.0, -7.0], [-3.0, 2.0, 4.0]])
incoming = torch.tensor([[-2.0, 3.0, -1.0], [6.0, -3.0, 1.0], [2.0, -1.0, 3.0]])
panels = [forward, incoming, *(rule(forward, incoming) for rule in guided.RULES.values())]
titles = ["x, forward", "g, incoming", *guided.RULES]
alt = "five 3 x 3 grids of numbers; backprop and deconvnet keep five of nine, guided two"
show.maps(panels, titles, signed=True, columns=5, height=1.9, alt=alt, values=True)

# %% [markdown]
# Backprop keeps 5 of the 9 values, and so does the deconvnet, but not the same ones. The guided rule
# keeps the 2 that both keep. Zeiler & Fergus (2014) built the deconvnet to run a network backwards;
# Springenberg et al. (2015) combined it with backpropagation, from which it differs in this one line.
#
# One often reads "guided backpropagation keeps the positive gradients". That alone is the **deconvnet**.

# %%
kept = [panel.count_nonzero().item() for panel in panels[2:]]
both = (panels[2] != 0) & (panels[3] != 0)
assert torch.equal(panels[4] != 0, both)
print("kept:", ", ".join(f"{r} {k}" for r, k in zip(guided.RULES, kept, strict=True)))

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 5 minutes).** The deconvnet rule. The arguments are the same for all rules, even
# if one of them is not needed.
#
# <details><summary>Hint</summary>
# The name of the function you look for is that of the ReLU's forward pass, applied to something else.
# </details>


# %% exercise="deconvnet_relu"
def deconvnet_relu(x, gradient):
    """What a ReLU sends back under the deconvnet rule.

    x: what went into the ReLU, forward; gradient: what arrives from above, the same shape.
    Returns: what goes on below, the same shape.
    """
    ### BEGIN SOLUTION
    return gradient.clamp(min=0)
    ### END SOLUTION


# %% check="deconvnet_relu"
check("deconvnet_relu", deconvnet_relu)

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 5 minutes).** The guided rule.
#
# <details><summary>Hint 1: how many conditions?</summary>
# Two, and both must hold. A ReLU whose input is exactly 0 is off.
# </details>
# <details><summary>Hint 2: without a loop</summary>
# A comparison gives <code>True</code> and <code>False</code>; multiplied, they count as 1 and 0.
# </details>


# %% exercise="guided_relu"
def guided_relu(x, gradient):
    """What a ReLU sends back under the guided rule.

    x: what went into the ReLU, forward; gradient: what arrives from above, the same shape.
    Returns: what goes on below, the same shape.
    """
    ### BEGIN SOLUTION
    return gradient * (x > 0) * (gradient > 0)
    ### END SOLUTION


# %% check="guided_relu"
check("guided_relu", guided_relu)

# %%
deconvnet_rule = yours_or_ours("deconvnet_relu", deconvnet_relu)
guided_rule = yours_or_ours("guided_relu", guided_relu)
assert torch.equal(deconvnet_rule(forward, incoming), panels[3])
assert torch.equal(guided_rule(forward, incoming), panels[4])

# %% [markdown]
# ## The score of a class, under three rules
#
# SqueezeNet has 26 ReLUs. Each of them now follows the same rule, from the score down to the pixels.

# %% slide="subslide"
by_rule = {rule: guided.class_gradient(net, x, classes, rule) for rule in guided.RULES}
rows = [pixels, *map(guided.as_picture, by_rule.values())]
alt = "photos; below them coloured noise; a dotted grid with outlines; clear drawings on grey"
show.rows(rows, ["photo", *by_rule], alt, height=126)

# %% [markdown] slide="subslide"
# The guided row draws eyes, beak, feathers and
# the wing's spots, and leaves the background grey.
#
# The deconvnet is dotted here: SqueezeNet moves in steps of two pixels, and without the forward mask
# nothing says which of the steps mattered. How much of each picture lies in how few pixels?


# %%
def share_of_strongest(gradients: torch.Tensor, part: float = 0.05) -> float:
    strength = gradients.abs().amax(1).flatten(1).sort(dim=1, descending=True).values
    few = round(part * strength.shape[1])
    return (strength[:, :few].sum(1) / strength.sum(1)).mean().item()


concentrated = [share_of_strongest(gradients) for gradients in by_rule.values()]
show.bars(list(by_rule), concentrated, "share of the gradient in the strongest 5 % of the pixels")

# %%
print(f"backprop {concentrated[0]:.2f}, guided {concentrated[2]:.2f}")
assert concentrated[2] > concentrated[0] + 0.05

# %% [markdown]
# ## How to show a signed colour gradient
#
# A gradient has three colours and signs, a photo has neither signs nor a fixed scale. Four ways, of the
# same numbers. **Question.** What does each of them hide?

# %%
one = by_rule["guided"][2]
clipped = (one / one.abs().max()).clamp(0, 1)
stretched = (one - one.min()) / (one.max() - one.min())
ways = [clipped, stretched, guided.as_picture(one), show.colours(one.abs().amax(0))]
titles = ["clipped at 0", "stretched, min to max", "0 is grey", "largest |g| of the colours"]
alt = "a lemur's gradient four times: nearly black; a flat tint; a drawing on grey; a heat map"
show.images(ways, titles, height=2.9, alt=alt)

# %% [markdown]
# - *Clipped*: half of it, the negative part, is gone, and one strong pixel makes the rest dark.
# - *Stretched*: zero gets whatever tint it happens to have, so "nothing" looks like something.
# - *0 is grey*: $\tfrac12 + g / (2 g_{99.5})$, one scale for the three colours, cut at the 99.5th
#   percentile of $|g|$. We use this one. The colour is that of a **change**: red means "more red, less
#   green and blue", not "red is here".
# - *Largest $|g|$*: the map of lecture 06; sign and colour are gone.

# %% slide="subslide"
grey = (stretched[:, 0, 0] - 0.5).abs().max().item()
ours = ", ".join(f"{value:.3f}" for value in guided.as_picture(one)[:, 0, 0].tolist())
print(f"zero, stretched, is off grey by up to {grey:.2f}; the same pixel shown our way: {ours}")
assert (guided.as_picture(torch.zeros(3, 2, 2)) == 0.5).all()

# %% [markdown]
# ## Any unit of any layer
#
# Nothing says that we must start at a class. We can start at a single **unit**: one channel at one
# place. Its gradient tells which pixels of its receptive field drive it, and in which direction.
#
# We take channels as lecture 03 does: run all photos, keep each photo's strongest unit, crop what that
# unit sees.

# %%
photos = images.photos()
everything = net.preprocess(photos)
depths = {"fire3": 128, "fire5": 256, "fire7": 384}


# %%
def peaks(some: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), layers.capture(net, *depths) as seen:
        net(some)
    return torch.cat([seen[layer].amax((2, 3)) for layer in depths], 1)


peak = batches.in_chunks(peaks, everything).split(list(depths.values()), 1)
strengths = dict(zip(depths, peak, strict=True))
shown = {images.photo(name) for name in names}


# %%
def show_units(layer: str, channels: list[int], alt: str) -> show.Figure:
    rows, titles = [], []
    for channel in channels:
        best = strengths[layer][:, channel].topk(8).indices
        shown.update(photos[i] for i in best.tolist())
        rows += zip(*guided.unit_views(net, everything[best], layer, channel), strict=True)
        titles += [f"channel {channel}", "gradient"]
    return show.rows(rows, titles, alt, height=78)


# %% slide="subslide"
alt = "patches with leaves, upright strokes, small round things; below each its gradient"
show_units("fire3", [97, 52, 119], alt)

# %% [markdown] slide="subslide"
# **fire3**, three channels, 23 pixels across. Below each patch stands the gradient of just that unit:
# *more green in the middle*; *an upright stroke*; *something small and round*. The patches of one
# channel share little else. That is what the gradient adds to lecture 03: not only *which patch* the
# unit likes, but *which part* of it.

# %% slide="subslide"
alt = "patches with eyes, faces, letters and buttons; the gradients draw just these"
show_units("fire5", [150, 171, 68], alt)

# %% [markdown] slide="subslide"
# **fire5**, 63 pixels. Round things with a dark centre, mostly eyes; two dark spots above a third, which
# is a face, or the belly of a caterpillar; small figures in the middle. The last channel does not care
# whether it is a letter, a button or the hinge of a pair of pliers.

# %% [markdown]
# The eye channel once more, the same units under the three rules.

# %%
best = strengths["fire5"][:, 150].topk(8).indices
views = {r: guided.unit_views(net, everything[best], "fire5", 150, r) for r in guided.RULES}
rows = [[patch for patch, _ in views["guided"]]]
rows += [[gradient for _, gradient in views[rule]] for rule in guided.RULES]
alt = "eyes; below them noise, dotted patterns with a ring, and clear eyes"
show.rows(rows, ["patch", *guided.RULES], alt, height=96)

# %% slide="subslide"
alt = "heads of animals and other large patches; the gradients draw eyes and faces"
show_units("fire7", [199, 210, 352], alt)

# %% [markdown] slide="subslide"
# **fire7**, 143 pixels. The first two draw faces and eyes, the third a lower rim, whatever object it
# belongs to. The gradient fills only part of the patch: the *effective* receptive
# field is smaller than the theoretical one. How much smaller?

# %%
best = strengths["fire7"][:, 210].topk(16).indices
views = guided.unit_views(net, everything[best], "fire7", 210)
filled = [((view - 0.5).abs().amax(0) > 0.1).float().mean().item() for _, view in views]
print(f"{sum(filled) / 16:.0%} of the patch gets more than a fifth of the full scale")
assert sum(filled) / 16 < 0.3

# %% [markdown]
# ## What the rules drop
#
# At every ReLU we count: of the gradient entries that arrive and are not zero, how many does the rule
# set to zero? All six photos together. A fire module has two ReLUs side by side, one for each kind of
# expanding convolution; they count as one step, their mean.

# %%
stopped = {r: torch.tensor([*guided.zeroed(net, x, classes, r).values()]) for r in guided.RULES}


def in_steps(shares: torch.Tensor) -> torch.Tensor:
    squeeze, left, right = shares[1:25].view(8, 3).T
    middle = torch.stack([squeeze, (left + right) / 2], 1).flatten()
    return torch.cat([shares[:1], middle, shares[25:]])


# %%
alt = "three jagged curves, guided highest nearly everywhere; all drop to zero at the last ReLU"
curves = {rule: (range(1, 19), in_steps(shares)) for rule, shares in stopped.items()}
axes = {"ylim": (0, 1), "xticks": range(1, 19), "beside": True}
show.lines(curves, "from the pixels (1) to the score (18)", "share set to zero", alt, **axes)

# %%
average = {rule: shares[:25].mean().item() for rule, shares in stopped.items()}
more = (stopped["guided"] > torch.maximum(stopped["backprop"], stopped["deconvnet"])).sum().item()
said = ", ".join(f"{rule} {share:.0%}" for rule, share in average.items())
print(f"set to zero, without the last ReLU: {said}")
print(f"guided stops more than either other rule at {more} of 26 ReLUs;", end=" ")
print("at the last:", ", ".join(f"{rule} {shares[25]:.0%}" for rule, shares in stopped.items()))
assert average["guided"] > max(average["backprop"], average["deconvnet"]) + 0.1
assert more >= 18

# %% [markdown]
# On average each rule stops about half of what arrives at a ReLU, the two together more. Not at every one:
# the last ReLU, at the class's own map, stops nearly nothing, for the gradient that arrives there
# is one positive constant. What survives all the way is a small and selected set of paths.
#
# **Question.** Which ReLUs make the drawing: those near the score, or those near the pixels? We put the
# guided rule on the last few only, and then on more and more.

# %%
ladder = (0, 1, 4, 10, 16, 22, 26)
one = slice(1, 2)
grown = [guided.upper_gradient(net, x[one], classes[one], n)[0] for n in ladder]
titles = [f"{n} of 26" for n in ladder]
alt = "a macaw's gradient: speckle turns into a drawing as more ReLUs follow the rule"
show.images([pixels[1], *map(guided.as_picture, grown)], ["photo", *titles], 4, 2.3, alt=alt)

# %%
climb = [guided.upper_gradient(net, x, classes, n).flatten(1) for n in ladder]
to_true, to_guided = (
    [torch.cosine_similarity(g, end).mean().item() for g in climb] for end in (climb[0], climb[-1])
)
curves = {"cosine to backprop": (ladder, to_true), "cosine to guided": (ladder, to_guided)}
alt = "the cosine to the gradient falls at once; that to the drawing rises only near the end"
show.lines(curves, "ReLUs under the rule, from the score down", "mean of six photos", alt)

# %% slide="subslide"
print("to backprop", ", ".join(f"{n}: {c:.2f}" for n, c in zip(ladder, to_true, strict=True)))
print("to guided  ", ", ".join(f"{n}: {c:.2f}" for n, c in zip(ladder, to_guided, strict=True)))
assert to_true[0] > 0.99
assert to_guided[-1] > 0.99
assert to_true[3] < 0.5
assert to_guided[3] < 0.4

# %% [markdown]
# Four ReLUs at the top are enough to leave the true gradient, and ten leave little of it. But what we get
# by then is another speckle. The drawing comes at the very end, with the ReLUs next to the pixels, where
# channels are edges and colours and know no class. Watch it come:

# %%
widgets.relu_explorer(net, ["scarlet_macaw", "lemur", "panda"])

# %% [markdown]
# ## A network under the rule
#
# **Exercise 3 (medium, 15 minutes).** The guided gradient of a class score, for a network whose ReLUs
# are `nn.ReLU` modules. The network belongs to someone else: no hook may stay behind.
#
# <details><summary>Hint 1: where to put the rule</summary>
# <code>module.register_full_backward_hook(hook)</code> calls <code>hook(module, grad_input,
# grad_output)</code>, both tuples; what it returns replaces <code>grad_input</code>.
# </details>
# <details><summary>Hint 2: which half is missing?</summary>
# <code>grad_input[0]</code> has passed the ReLU's own mask already.
# </details>
# <details><summary>Hint 3: cleaning up</summary>
# Keep the handles in a list; <code>handle.remove()</code> for each.
# </details>


# %% exercise="guided_gradient"
def guided_gradient(model, x, classes):
    """The score of a class, carried back to the pixels under the guided rule.

    model: logits (N,C) of normalised images; x: (N,3,H,W); classes: (N,) int64, on the device of x.
    Returns: (N,3,H,W), signed. No hook stays on the model.
    """
    ### BEGIN SOLUTION
    relus = [part for part in model.modules() if isinstance(part, torch.nn.ReLU)]

    def keep_positive(module, below, above):
        return (below[0].clamp(min=0),)

    handles = [relu.register_full_backward_hook(keep_positive) for relu in relus]
    x = x.detach().requires_grad_()
    chosen = model(x)[torch.arange(len(x)), classes]
    gradient = torch.autograd.grad(chosen.sum(), x)[0]
    for handle in handles:
        handle.remove()
    return gradient
    ### END SOLUTION


# %% check="guided_gradient"
check("guided_gradient", guided_gradient)

# %%
find_guided = yours_or_ours("guided_gradient", guided_gradient)
difference = (find_guided(net, x, classes) - by_rule["guided"]).abs().max()
print(f"largest difference from the pictures above: {difference:.1e}")
assert difference < 1e-4 * by_rule["guided"].abs().max()

# %% [markdown]
# ## When the rule does not arrive
#
# **Question.** Your hooks sit on the modules of the kind `nn.ReLU`. What happens in a network that calls
# `torch.relu(x)` in its forward pass, as many do?


# %% slide="slide"
class Called(torch.nn.Module):
    """Two convolutions of SqueezeNet; the ReLUs are calls, not modules."""

    def forward(self, x):
        first, second = net.module.features[0], net.module.features[3].squeeze
        x = torch.nn.functional.max_pool2d(first(x).relu(), 3, 2)
        return torch.relu(second(x)).mean((2, 3))


# %%
called, fifth = Called(), torch.full((len(x),), 5, device=net.device)
plain = saliency.input_gradient(called, x, fifth)
relus = [part for part in called.modules() if isinstance(part, torch.nn.ReLU)]
hooks = [r.register_full_backward_hook(lambda m, g, _: (g[0].clamp(min=0),)) for r in relus]
hooked = saliency.input_gradient(called, x, fifth)
watched = guided.class_gradient(called, x, fifth)
changes = [((g - plain).norm() / plain.norm()).item() for g in (hooked, watched)]
show.table(
    ["how the rule is put in", "change of the gradient"],
    zip(["hooks on modules", "functions watched"], changes, strict=True),
)

# %%
assert changes[0] < 1e-6 < 0.1 < changes[1]

# %% [markdown]
# The hooks found nothing to sit on, and the answer was the **plain gradient, without a word**. Well-known
# tools do just that. So ours works the other way round: while the network runs, every *function call*
# that is a ReLU is replaced, in whatever place. Afterwards it searches the graph that autograd will
# differentiate; a rectifier without a rule is an error, never a silent answer.

# %%
smooth = torch.nn.Sequential(net.module.features[0], torch.nn.SiLU(), torch.nn.Flatten())
try:
    guided.class_gradient(smooth, x[:1], 0)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Another network, another ReLU
#
# EfficientNet-Lite0 uses **ReLU6**, $y = \min(\max(x, 0), 6)$: above 6 it is saturated.
#
# **Question.** What should the three rules do above 6?
#
# <details><summary>Our answer</summary>
# Its slope there is 0: a nudge changes nothing. So backprop and guided stop the gradient, as they do
# below 0. The deconvnet never asks what happened forward, so it goes on keeping whatever is positive.
# </details>

# %%
lite = models.load("efficientnet_lite0")
lite_x = lite.preprocess([images.photo(name) for name in names])
with torch.no_grad():
    lite_classes = lite(lite_x).argmax(1)
lite_rule = {rule: guided.class_gradient(lite, lite_x, lite_classes, rule) for rule in guided.RULES}

# %% slide="subslide"
rows = [lite.denormalize(lite_x), *map(guided.as_picture, lite_rule.values())]
alt = "photos; coloured noise; the same green grid six times; faint drawings of the animals"
show.rows(rows, ["photo", *lite_rule], alt, height=126)

# %% [markdown] slide="subslide"
# **Question.** Look at the third row. The deconvnet gives the *same grid* for a panda and for a macaw.
# Where could it have learned what is in the photo?
#
# <details><summary>Answer</summary>
# The deconvnet ignores the ReLUs' forward masks. All that is left of the photo are the positions of the
# maxima in max-pooling, and EfficientNet-Lite0 has no max-pooling. So nothing is left. Just this is why
# Springenberg et al. wanted a rule that works without pooling.
# </details>

# %%
same = guided.class_gradient(lite, lite_x[:2], "koala", "deconvnet")
apart = (same[0] - same[1]).abs().max() / same.abs().max()
print(f"koala by deconvnet, from panda and from macaw: largest difference {apart:.1g}")
assert apart < 1e-4

# %% [markdown]
# ## Try it
#
# Choose a photo, a layer, a channel and a rule. Keep the unit and change the rule: does the picture
# answer the same question?

# %%
widgets.guided_explorer(net)

# %% [markdown]
# ## Sharper is not more faithful
#
# A picture that explains *why panda* should change when we ask *why tiger cat*. We ask each photo for
# the class that was found, and then for the class of its neighbour, which is not in the photo at all.
#
# **Question.** Here are the guided maps. Which row is which?

# %% slide="subslide"
wrong = classes.roll(1)
for_wrong = {rule: guided.class_gradient(net, x, wrong, rule) for rule in guided.RULES}
rows = [guided.as_picture(gradients["guided"]) for gradients in (for_wrong, by_rule)]
alt = "two rows of six drawings of the animals; the rows can hardly be told apart"
show.rows(rows, ["?", "?"], alt, height=170)

# %% [markdown] slide="slide"
# The first row asks for the *wrong* class. The eye may be deceived, so we correlate all pixels and
# colours of the two gradients: 1 is the same picture up to its scale, 0 nothing in common.


# %%
def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


alike = {r: list(map(correlation, by_rule[r], for_wrong[r])) for r in guided.RULES}
show.table(["photo", *alike], zip(names, *alike.values(), strict=True))

# %%
means = {rule: sum(values) / len(values) for rule, values in alike.items()}
print(", ".join(f"{rule} {value:.2f}" for rule, value in means.items()))
assert means["backprop"] < 0.5 < 0.9 < means["guided"]

# %% [markdown]
# The gradients for right and wrong class differ; the guided maps are nearly the same picture, the
# deconvnet's are the same. They show what the filters respond to in this photo, and the class hardly
# takes part.
#
# Fairer to the guided rule: two animals in one picture. Does the map at least go to the right one?

# %% slide="subslide"
kitten, dog = images.photo("kitten"), images.photo("dog")
cat_half = images.square(kitten.pixels(), 224)[:, :, 56:168]
pair = torch.cat([cat_half, dog.pixels()[:, :224, 356:468]], 2)
scene, asked = net.normalize(pair)[None], ["tabby", "German shepherd"]
both = {r: [guided.class_gradient(net, scene, c, r)[0] for c in asked] for r in guided.RULES}
shown |= {kitten, dog}

# %% slide="subslide"
tiles = [t for i in (0, 1) for t in (pair, *(guided.as_picture(m[i]) for m in both.values()))]
titles = [t for c in ("tabby", "shepherd") for t in ("photo", *(f"{r}, {c}" for r in both))]
alt = "the guided maps draw both animals for either class; the face asked for is a little brighter"
show.images(tiles, titles, columns=4, height=2.3, alt=alt)


# %% slide="subslide"
def on_the_dog(gradient: torch.Tensor) -> float:
    return (gradient[:, :, 112:].abs().sum() / gradient.abs().sum()).item()


rows = [[r, correlation(*maps), *map(on_the_dog, maps)] for r, maps in both.items()]
show.table(["rule", "correlation", "tabby: on the dog", "shepherd: on the dog"], rows)

# %%
assert rows[0][1] < 0.5 < 0.75 < rows[2][1] < rows[1][1]
assert abs(rows[1][2] - rows[1][3]) < 0.02

# %% [markdown]
# The deconvnet does not notice the question. The guided map draws both animals whatever we ask, but its
# weight shifts towards the one asked for, in this picture by more than that of the plain gradient.
#
# **Question.** Is that a merit of the rule? One picture is an anecdote. We take three more, and put the rule
# on none of the ReLUs, on the ten next to the score, and on all.


# %%
def side_by_side(left: str, right: str) -> torch.Tensor:
    both = [images.square(images.photo(name).pixels(), 224) for name in (left, right)]
    return net.normalize(torch.cat([one[:, :, 56:168] for one in both], 2))[None]


duos = {"kitten, dog": (scene, asked)}
duos["koala, penguin"] = side_by_side("koala", "penguin"), ["koala", "king penguin"]
duos["red panda, polar bear"] = (
    side_by_side("red_panda", "polar_bear"),
    ["lesser panda", "ice bear"],
)
duos["cat, dog"] = side_by_side("chelsea", "dog"), ["tiger cat", "German shepherd"]


# %% slide="subslide"
def shift(picture: torch.Tensor, kinds: list[str], n: int) -> float:
    left, right = (on_the_dog(guided.upper_gradient(net, picture, c, n)[0]) for c in kinds)
    return right - left


moved = {duo: [shift(*what, n) for n in (0, 10, 26)] for duo, what in duos.items()}
header = ["towards the animal asked for", "0 ReLUs: backprop", "10 of 26", "26: guided"]
show.table(header, [[duo, *values] for duo, values in moved.items()])

# %%
less = sum(guided_one < plain for plain, _, guided_one in moved.values())
print(f"guided moves less than the plain gradient in {less} of {len(moved)} pictures")
assert all(value > 0.03 for values in moved.values() for value in values)
assert less >= 2

# %% [markdown]
# It was the picture. In the other three the guided map moves *less* than the plain gradient. All maps move
# towards the animal asked for, some by a tenth and some by four, and the order of the rules is that of the
# picture we happened to take. So the map hints at *where*, and cannot say why the network chose a class.
#
# **Question.** It is called a gradient. If we move the photo a little in the direction of the picture,
# does the score rise as it would along the true gradient?

# %% slide="subslide"
true, rows = by_rule["backprop"].flatten(1), []
for rule, gradients in by_rule.items():
    step = 0.3 * gradients / gradients.flatten(1).norm(dim=1)[:, None, None, None]
    with torch.no_grad():
        rise = (net(x + step) - net(x))[torch.arange(len(x)), classes].mean()
    rows.append([rule, torch.cosine_similarity(gradients.flatten(1), true).mean(), rise])
show.table(["a step of length 0.3 along", "cosine to the true gradient", "score rises by"], rows)

# %%
print(f"guided: {rows[2][2] / rows[0][2]:.0%} of what the true gradient gains")
assert rows[2][1] < 0.2
assert rows[2][2] < 0.3 * rows[0][2]

# %% [markdown]
# It points almost at a right angle to the gradient. What we see is a drawing *of the photo*, made with
# the network's filters: Nie et al. (2018) show that the rule partly restores the image. A good drawing
# convinces; that does not make it an explanation.
#
# What it is good for: to see which *part* of a patch a unit responds to. There is no rival class to be
# confused with, and the picture is easy to read.
#
# Lecture 08 multiplies it by a coarse map that does depend on the class. Lecture 09 randomises the
# network's weights and asks which maps notice. Have a guess.

# %% [markdown]
# ## What we saw
#
# - Three rules for the ReLU's way back; only backprop is the chain rule. Positive gradients alone are
#   the deconvnet, both masks together are guided backpropagation.
# - They work for any unit: the gradient shows which part of its patch a unit responds to.
# - On average each rule stops about half of the gradient at a ReLU, both together more.
# - Without max-pooling the deconvnet does not depend on the photo at all.
# - A rule put on modules misses ReLUs that are called as functions, in silence.
# - Guided maps of a right and a wrong class are nearly the same picture: sharper is not more faithful.

# %% [markdown]
# **What it does not show.** Why *this* class and not another; what speaks *against* it, for negative
# gradients were thrown away; and by how much a change of pixels would change the score.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | guided backpropagation | 引导反向传播 | the gradient passes a ReLU where it was on and the gradient is positive |
# | deconvolutional network, deconvnet | 反卷积网络 | the gradient passes where it is positive; forward masks are ignored |
# | rectified linear unit, ReLU | 修正线性单元 | the larger of x and 0 |
# | forward mask | 前向掩码 | where the ReLU was on in the forward pass |
# | unit, channel, layer | 单元、通道、层 | one place of one map; one map; all maps |
# | receptive field | 感受野 | the pixels a unit can see |
# | class-discriminative | 类别区分性 | different for different classes of the same photo |
# | faithfulness | 忠实度 | whether a map tells what the network really used |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
show.credits(sorted(shown, key=lambda picture: picture.name))

# %% [markdown] slide="skip"
# ## Papers
#
# - J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller. [*Striving for Simplicity: The All
#   Convolutional Net.*](https://arxiv.org/abs/1412.6806) ICLR workshop 2015.
# - M. D. Zeiler, R. Fergus. [*Visualizing and Understanding Convolutional Networks.*](https://arxiv.org/abs/1311.2901) ECCV 2014.
# - W. Nie, Y. Zhang, A. Patel. [*A Theoretical Explanation for Perplexing Behaviors of
#   Backpropagation-based Visualizations.*](https://arxiv.org/abs/1805.07039) ICML 2018.
# - J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim. [*Sanity Checks for Saliency
#   Maps.*](https://arxiv.org/abs/1810.03292) NeurIPS 2018.
