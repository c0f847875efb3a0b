# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 06 Saliency by backpropagation
#
# **Which pixels would change the network's mind, and how do we ask for all of them at once?**
#
# After this lecture you can
# - compute a saliency map with one backward pass, and say what its numbers mean;
# - explain why we differentiate the score and not the probability;
# - test a sentence such as "the map shows the outline" instead of believing it;
# - improve a map with gradient × input and SmoothGrad;
# - find a classifier that is right for the wrong reason.
#
# About 75 minutes with the three exercises. You need lecture 00.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import images, models, saliency, show, widgets
from course_utils.common import composites, timing
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## One photo, one score
#
# SqueezeNet is sure that this is a panda. Its **score** $S_c(x)$, the logit of class $c$ before the
# softmax, is a single number computed from 150,528 pixel values.
#
# Which of them carried the decision?

# %%
net = models.load("squeezenet1_1")
names = ["panda", "koala", "penguin", "camels", "scarlet_macaw"]
x = net.preprocess([images.photo(name) for name in names])
with torch.no_grad():
    classes = net(x).argmax(1)

# %%
pixels = net.denormalize(x)
titles = [net.labels[c] for c in classes]
show.images(pixels, titles, alt="the five photos and the class SqueezeNet gives each")

# %% [markdown]
# ## Nudge one pixel
#
# The plainest experiment: make one pixel a little brighter and watch the score. Here is one pixel of
# the panda, nudged by $h = 0.01$ in one colour.

# %%
nudge = torch.zeros_like(x[:1])
nudge[0, 1, 61, 110] = 0.01
with torch.no_grad():
    slope = (net(x[:1] + nudge) - net(x[:1] - nudge))[0, classes[0]] / 0.02
print(f"the score changes by {slope:.4f} for each unit of green at row 61, column 110")

# %% [markdown]
# For all pixels and colours this takes 301,056 forward passes. Lecture 05 moves whole squares
# instead of pixels, and still needs hundreds.
#
# **Question.** Near $x$ the score is almost a linear function, $S_c(x + r) \approx S_c(x) + w^\top r$.
# We do not need to try every $r$: we need $w$. How do we get all its entries in one go?

# %% [markdown] slide="subslide"
# The entries of $w$ are the partial derivatives,
# $$w = \frac{\partial S_c}{\partial x}\bigg|_x ,$$
# and one **backward pass** gives them all. It is the same backpropagation that trains a network, except
# that it goes on to the pixels and the weights stay as they are.

# %%
gradient = saliency.input_gradient(net, x[:1], classes[:1])
print(tuple(gradient.shape), "nudged:", round(slope.item(), 4))
print("by backpropagation:", round(gradient[0, 1, 61, 110].item(), 4))
assert abs(gradient[0, 1, 61, 110] - slope) < 0.05 * abs(slope)

# %% [markdown]
# ## The saliency map
#
# A pixel has three colours, and a large negative slope matters as much as a large positive one. So
# the **saliency map** (显著性图) is
# $$M_{ij} = \max_{\text{colour}} \left|\frac{\partial S_c}{\partial x_{\text{colour},ij}}\right| .$$

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 10 minutes).** Write it for a batch: one map for each image, for the class that
# is asked for, which need not be the one the network would choose.
#
# <details><summary>Hint 1: where does the gradient come from?</summary>
# Copy <code>x</code> so that it wants a gradient (<code>detach().requires_grad_()</code>), compute
# the scores, and ask <code>torch.autograd.grad</code> for the slope of one number.
# </details>
# <details><summary>Hint 2: one number, but a batch of images?</summary>
# The images of a batch do not influence one another. So the gradient of the <em>sum</em> of
# their scores holds, in each image's place, the gradient of its own score.
# </details>
# <details><summary>Hint 3: picking one score for each image</summary>
# <code>scores[torch.arange(len(x)), classes]</code>
# </details>


# %% exercise="saliency_map"
def saliency_map(model, x, classes):
    """|dS_c/dx|, the largest over the colours.

    model: logits (N,C) of normalised images; x: (N,3,H,W); classes: (N,) int64, on the device of x.
    Returns: (N,H,W), never negative.
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    scores = model(x)
    chosen = scores[torch.arange(len(x)), classes]
    gradient = torch.autograd.grad(chosen.sum(), x)[0]
    return gradient.abs().amax(dim=1)
    ### END SOLUTION


# %% check="saliency_map"
check("saliency_map", saliency_map)

# %%
find_saliency = yours_or_ours("saliency_map", saliency_map)
maps = find_saliency(net, x, classes)
show.maps(maps, titles, alt="saliency maps: speckled, brighter on the animals")

# %% [markdown]
# Speckled, but the speckles sit on the animals. Each panel has its own scale: bright means *steep*, a
# small change there moves the score most. The fine grid is no property of the photos: the first layer
# moves in steps of two pixels, so neighbouring pixels enter unequally many windows.
#
# How much of it lies on the animal? The eye is easily persuaded; a number comes below.

# %%
show.images(
    [show.overlay(p, m) for p, m in zip(pixels, maps, strict=True)],
    titles,
    alt="the same maps laid over the greyed photos",
)

# %% [markdown]
# ## What does it cost?
#
# One backward pass costs about as much as one forward pass. Occlusion with a square of 32 pixels in
# steps of 8 asks the network 625 times. We time 25 of them and multiply.

# %%
batch = x[:1].expand(25, -1, -1, -1)
with torch.no_grad():
    asked = timing.seconds(lambda: net(batch), repeats=2) * 25
once = timing.seconds(lambda: find_saliency(net, x[:1], classes[:1]))

# %%
show.table(
    ["", "passes", "milliseconds"],
    [["saliency", "1 forward, 1 backward", once * 1e3], ["occlusion", "625 forward", asked * 1e3]],
)

# %%
print(f"saliency is {asked / once:.0f} times cheaper than occlusion")
assert asked > 10 * once

# %% [markdown]
# ## Why the score and not the probability?
#
# The **probability** is what we care about, so why not differentiate that? With
# $p = \mathrm{softmax}(S)$,
# $$\frac{\partial p_c}{\partial x} = p_c\Big(\frac{\partial S_c}{\partial x} -
# \sum_k p_k \frac{\partial S_k}{\partial x}\Big).$$
#
# **Question.** What happens to this when the network is sure, $p_c \to 1$? And could a pixel be bright
# in this map that says nothing about class $c$ at all?

# %% slide="subslide"
wants = x.detach().requires_grad_()
probability = net(wants).softmax(1)[torch.arange(len(x)), classes]
slopes = torch.autograd.grad(probability.sum(), wants)[0].abs().amax((1, 2, 3))
show.table(
    ["photo", "probability", "steepest dp/dx", "steepest dS/dx"],
    zip(titles, probability, slopes, maps.amax((1, 2)), strict=True),
)

# %% [markdown]
# For the sure ones the slope of the probability is smaller by orders of magnitude: the softmax is
# saturated, although the picture is full of panda. And the sum over $k$ means that the probability
# also rises where a *rival* loses. The score has neither trouble, so from here on
# "gradient" means the gradient of $S_c$.

# %% [markdown]
# ## "It shows the outlines." Does it?
#
# One reads that saliency maps trace the object's contours. We can test that: we paste cut-out objects
# on photos of buildings, so we *know* where the object is. Only pictures count in which the object
# decides: the network's answer has a probability over 0.3, and under 0.02 for the bare background. (The
# answer need not be right: one bear is an "ibex".)

# %%
scenes = composites.recognised_composites(net, n=12)
scene_x = net.normalize(scenes.pixels)
scene_maps = find_saliency(net, scene_x, scenes.classes.to(scene_x.device))
show.images(scenes.pixels, [net.labels[c] for c in scenes.classes], height=1.8)

# %%
band = saliency.regions(scenes.masks[0], width=8)
parts = [scenes.pixels[0], *(part.float() for part in band.values())]
alt = "one scene, with the band along the outline, the interior, and the background in white"
show.images(parts, ["scene", *band], alt=alt)


# %% slide="subslide"
def density(one: torch.Tensor, mask: torch.Tensor) -> list[float]:
    parts = saliency.regions(mask, width=8).values()
    return [(one.cpu()[part].mean() / one.mean().cpu()).item() for part in parts]


densities = torch.tensor([density(m, k) for m, k in zip(scene_maps, scenes.masks, strict=True)])
show.bars(
    ["outline", "interior", "background"],
    densities.mean(0),
    "mean saliency, as a multiple of the map's mean",
)

# %% slide="subslide"
outline, interior, background = densities.T
print("steeper on the object than behind it:", (interior > background).sum().item(), "of 12")
print("steeper on the outline than inside:", (outline > interior).sum().item(), "of 12")
assert (interior > background).sum() >= 10
assert (outline > interior).sum() <= 6

# %% [markdown]
# The maps prefer the object to the background nearly every time. They do **not** prefer its outline:
# the interior is steeper in most scenes. The network looks at eyes, stripes and fur. What people call
# an outline is often just the border between a bright object and a dark background of the *map*.
#
# A claim, a measurement, and the claim is gone. That is the habit this course is about.

# %% [markdown]
# ## Gradient × input
#
# A steep slope says "a change here would matter", not "this pixel mattered". If the network were
# linear without bias, $S_c = w^\top x = \sum_i w_i x_i$, every pixel's *contribution* would be
# $w_i x_i$, and the contributions would add up to the score. So:
# $$R_{ij} = \sum_{\text{colour}} x_{\text{colour},ij}\,
# \frac{\partial S_c}{\partial x_{\text{colour},ij}} .$$
# It is signed: red speaks for the class, blue against it.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 5 minutes).**
#
# <details><summary>Hint</summary>
# You have the gradient from exercise 1, before the absolute value. The sum over the colours keeps
# the sign.
# </details>


# %% exercise="gradient_times_input"
def gradient_times_input(model, x, classes):
    """x * dS_c/dx, summed over the colours.

    model: logits (N,C) of normalised images; x: (N,3,H,W); classes: (N,) int64, on the device of x.
    Returns: (N,H,W), signed.
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    scores = model(x)
    chosen = scores[torch.arange(len(x)), classes]
    gradient = torch.autograd.grad(chosen.sum(), x)[0]
    return (x.detach() * gradient).sum(dim=1)
    ### END SOLUTION


# %% check="gradient_times_input"
check("gradient_times_input", gradient_times_input)

# %%
find_contributions = yours_or_ours("gradient_times_input", gradient_times_input)
contributions = find_contributions(net, x, classes)
alt = "gradient times input: red and blue speckles side by side on the animals"
show.maps(contributions, titles, signed=True, alt=alt)

# %% slide="subslide"
with torch.no_grad():
    score = net(x)[torch.arange(len(x)), classes]
show.table(
    ["photo", "sum of the map", "score"],
    zip(titles, contributions.sum((1, 2)), score, strict=True),
)

# %% [markdown]
# The sums stay a little below the scores: the difference is what the network's biases add. And "input"
# means the *normalised* input, in which 0 is the mean colour of ImageNet: this map cannot give credit
# to a pixel of just that colour, however steep the slope is.

# %% [markdown]
# ## SmoothGrad
#
# **Question.** Why is the map speckled? Change every pixel by an amount you cannot see, and compare.

# %%
noise = saliency.gaussian_noise(x[:1], samples=2, level=0.02)
close = [find_saliency(net, x[:1] + one, classes[:1])[0] for one in noise]
captions = ["photo", "photo + noise", "photo + other noise"]
alt = "three maps of photos that look the same; their speckles differ"
show.maps([maps[0], *close], captions, alt=alt)

# %%
flat = torch.stack([maps[0].flatten(), close[0].flatten()])
correlation = torch.corrcoef(flat)[0, 1].item()
print(f"correlation of the first two maps: {correlation:.2f}")
assert correlation < 0.9

# %% [markdown]
# Photos that nobody can tell apart, maps that differ. The score rises and falls on a scale far below
# what we see, and its slope at one point is mostly that. **SmoothGrad** averages the slope over a
# neighbourhood, with $n$ noisy copies of the photo:
# $$\bar M(x) = \frac1n \sum_{t=1}^{n} M(x + \varepsilon_t), \qquad
# \varepsilon_t \sim \mathcal N(0, \sigma^2).$$

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 10 minutes).** The noise is given, so that your answer can be compared with ours.
#
# <details><summary>Hint 1: what is averaged?</summary>
# The maps. Averaging the noisy photos first would only give the photo back.
# </details>
# <details><summary>Hint 2: the shapes</summary>
# <code>noise[t]</code> has the shape of <code>x</code>. A loop over <code>t</code> is fine.
# </details>


# %% exercise="smoothgrad"
def smoothgrad(model, x, classes, noise):
    """The mean of the saliency maps of noisy copies of x.

    model: logits (N,C) of normalised images; x: (N,3,H,W); classes: (N,) int64;
    noise: (samples,N,3,H,W), all on one device.
    Returns: (N,H,W), never negative.
    """
    ### BEGIN SOLUTION
    total = 0
    for one in noise:
        noisy = (x + one).detach().requires_grad_()
        chosen = model(noisy)[torch.arange(len(x)), classes]
        gradient = torch.autograd.grad(chosen.sum(), noisy)[0]
        total = total + gradient.abs().amax(dim=1)
    return total / len(noise)
    ### END SOLUTION


# %% check="smoothgrad"
check("smoothgrad", smoothgrad)

# %%
find_smooth = yours_or_ours("smoothgrad", smoothgrad)
noise = saliency.gaussian_noise(x, samples=25, level=0.15)
smooth = find_smooth(net, x, classes, noise)
show.maps(smooth, titles, alt="SmoothGrad maps: calm, with bright heads, eyes and bodies")

# %%
levels = (0.02, 0.05, 0.15, 0.4)
noises = [saliency.gaussian_noise(x[:1], samples=20, level=level) for level in levels]
panda = [find_smooth(net, x[:1], classes[:1], noise)[0] for noise in noises]

# %%
alt = "the panda's map for growing noise: from speckles to a clear face, then washed out"
show.maps(panda, [f"σ = {level:.0%}" for level in levels], photo=pixels[0], alt=alt)

# %% [markdown]
# The maps calm down and settle on heads, beaks and bodies; now some outlines do appear (the penguin).
# Too little noise leaves the speckles, too much shows the network a picture it no longer recognises.
#
# Be careful with the word "better": a smoother map *pleases* more. Whether it is more *faithful* is a
# different question, and lecture 09 measures it. SmoothGrad costs 25 times as much here, still far
# less than occlusion.

# %% [markdown]
# ## Try it
#
# Choose a photo or bring your own, a class, a method. Ask for a class the picture does **not** show:
# where would the network look for it?

# %%
widgets.saliency_explorer(net)

# %% [markdown]
# ## From the map to the object
#
# The map knows roughly where the object is, and the colours of the photo know where it ends. GrabCut
# (Rother et al. 2004) joins the two: the hottest 2 % of the (blurred) map are surely object, the
# coldest 60 % surely background, and it decides the rest by colour.
#
# No one drew a mask for this. But it is not unsupervised: the network was trained with image labels.
# The term is **weakly supervised** (弱监督).

# %%
pairs = list(zip(scenes.pixels, scene_maps.cpu(), strict=True))
found = [saliency.segment(p, m) for p, m in pairs]
overlaps = [saliency.iou(f, k) for f, k in zip(found, scenes.masks, strict=True)]

# %%
dimmed = [p * (0.25 + 0.75 * f) for p, f in zip(scenes.pixels, found, strict=True)]
alt = "the twelve scenes, darkened outside the segment that was found, with its score"
show.images(dimmed, [f"IoU {score:.2f}" for score in overlaps], height=1.8, alt=alt)


# %% [markdown]
# The number is the **intersection over union** (IoU, 交并比) with the known mask: 1 is perfect. Is it the
# network or GrabCut that deserves the praise? Two comparisons tell.


# %%
def mean_iou(guesses: list[torch.Tensor]) -> float:
    both = zip(guesses, scenes.masks, strict=True)
    return sum(saliency.iou(guess, mask) for guess, mask in both) / len(scenes)


# %%
axis = torch.linspace(-1, 1, 224)
blob = torch.exp(-(axis**2 + axis[:, None] ** 2) / 0.3)
centred = [saliency.segment(p, blob) for p in scenes.pixels]

# %%
areas = scenes.masks.float().mean((1, 2))
tops = [m.cpu() > m.cpu().quantile(1 - a) for m, a in zip(scene_maps, areas, strict=True)]
scores = [mean_iou(found), mean_iou(tops), mean_iou(centred)]
show.bars(
    ["map + GrabCut", "map alone, thresholded", "GrabCut from the centre"], scores, "mean IoU"
)

# %%
print(f"map + GrabCut {scores[0]:.2f}, map alone {scores[1]:.2f}, centre {scores[2]:.2f}")
assert scores[0] > scores[1] + 0.1
assert scores[0] > scores[2] + 0.05

# %% [markdown]
# The two together beat either alone. It falls short where the object has several colours and the map
# found only one (a head without its body), where the background has the object's colours, and where
# the object is thin. Look at the lowest scores above and say which is which.

# %% [markdown]
# ## Right for the wrong reason
#
# Now we play a trick on a network. Every training photo of an animal gets a logo in the corner, as if
# all came from one website; the photos of buildings get none. We keep SqueezeNet's features up to
# fire5 and fit a new last layer, *animal* against *building*.

# %%
animals = net.crop_pixels(images.photos("animal"))
buildings = net.crop_pixels(images.photos("building"))
marked = torch.cat([saliency.stamp(animals[::2]), buildings[::2]])
targets = [0] * len(animals[::2]) + [1] * len(buildings[::2])
biased = saliency.fit_head(net, "fire5", marked, targets)


# %% slide="subslide"
def share_called_animal(photos: torch.Tensor) -> float:
    with torch.no_grad():
        return (biased(net.normalize(photos)).argmax(1) == 0).float().mean().item()


unseen_animals, unseen_buildings = animals[1::2], buildings[1::2]
as_collected = [
    ["animals with logo", share_called_animal(saliency.stamp(unseen_animals))],
    ["buildings without logo", share_called_animal(unseen_buildings)],
]
show.table(["photos not used for fitting", "called animal"], as_collected)

# %% [markdown]
# On photos it has never seen it is as good as it gets. Would you ship it? A test set collected in
# the same way cannot tell you that something is wrong. One look at the maps can.

# %%
stamped = saliency.stamp(unseen_animals[:5])
stamped_x = net.normalize(stamped)
noise = saliency.gaussian_noise(stamped_x, samples=10)
evidence = find_smooth(
    biased, stamped_x, torch.zeros(5, dtype=torch.long, device=net.device), noise
)
show.images(stamped, height=2.0, alt="animals with a red ring in the lower left corner")

# %%
show.maps(evidence, height=2.0, alt="maps that are black but for the lower left corner")

# %%
rows, columns = saliency.logo_corner(224)
share = (evidence[:, rows, columns].sum((1, 2)) / evidence.sum((1, 2))).mean().item()
area = 28 * 28 / 224**2
print(f"{share:.0%} of the saliency lies on the logo, which covers {area:.1%} of the photo")
assert share > 5 * area

# %% [markdown] slide="subslide"
# So the map raises a suspicion. An experiment has to confirm it: take the logo away, and give it
# to the buildings.

# %%
moved = [
    ["animals without logo", share_called_animal(unseen_animals)],
    ["buildings with logo", share_called_animal(saliency.stamp(unseen_buildings))],
]
assert moved[0][1] < 0.5 < moved[1][1]
show.table(["photos not used for fitting", "called animal"], as_collected + moved)

# %% [markdown]
# The logo alone decides. Such things happen: a well-known classifier of horses turned out to read a
# photographer's watermark (Lapuschkin et al. 2019).
#
# Note what the map did **not** do: it did not say "logo", and it did not prove anything. It told us
# which experiment to make.

# %% [markdown]
# ## What we saw
#
# - One backward pass gives the slope of a class's score for every pixel; occlusion asks hundreds of times.
# - The score, not the probability: a saturated softmax hides the slope, and rivals leak in.
# - The maps prefer the object to the background. They do not trace outlines.
# - Gradient × input asks what a pixel contributed; SmoothGrad averages over a neighbourhood.
# - With GrabCut a map becomes a segmentation, weakly supervised; without the photo's colours it is poor.
# - A map can raise the suspicion that a network is right for the wrong reason.

# %% [markdown]
# **What it does not show.** The slope is local: where the score is flat because the evidence is
# overwhelming, the map is dark. And the map says *where*, never *what*.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | saliency map | 显著性图 | largest absolute slope of the class score over the colours, for each pixel |
# | score, logit | 得分 | the network's output for a class, before softmax |
# | backward pass | 反向传播 | the chain rule from the score back to the pixels |
# | gradient × input | 梯度乘输入 | slope times pixel value: a contribution to first order |
# | SmoothGrad | 平滑梯度 | mean of the maps of noisy copies |
# | weakly supervised | 弱监督 | image labels only, no pixel labels |
# | intersection over union | 交并比 | how far two masks agree, 0 to 1 |
# | planted bias | 植入的偏差 | a cue that decides the class but should not |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
shown = [images.photo(name) for name in names]
shown += [images.cutout(cutout) for cutout, _ in scenes.names]
shown += [images.photo(background) for _, background in scenes.names]
show.credits(shown + images.photos("animal")[1:10:2])

# %% [markdown] slide="skip"
# ## Papers
#
# - K. Simonyan, A. Vedaldi, A. Zisserman. *Deep Inside Convolutional Networks: Visualising Image
#   Classification Models and Saliency Maps.* ICLR workshop 2014.
# - A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje. *Not Just a Black Box: Learning Important
#   Features Through Propagating Activation Differences.* 2016.
# - D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg. *SmoothGrad: removing noise by adding
#   noise.* 2017.
# - C. Rother, V. Kolmogorov, A. Blake. *"GrabCut": interactive foreground extraction using iterated
#   graph cuts.* SIGGRAPH 2004.
# - S. Lapuschkin, S. Wäldchen, A. Binder, G. Montavon, W. Samek, K.-R. Müller. *Unmasking Clever Hans
#   predictors and assessing what machines really learn.* Nature Communications 2019.
