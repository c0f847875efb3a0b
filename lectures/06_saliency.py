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

from course_utils import images, models, occlusion, saliency, show, trust, widgets
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
# small change there moves the score most. There is a fine grid, too, and it is no property of the photos:
# the first convolution and the pooling after it both move in steps of two, so the pattern of windows
# repeats every four pixels. Averaged over the photos, row by row:

# %%
rows = maps.mean((0, 2)) / maps.mean()
folded = rows[:220].view(55, 4).mean(0).tolist()
print("row 0, 1, 2, 3 of every four:", ", ".join(f"{value:.2f}" for value in folded))
assert max(folded) > 1.1 * min(folded)

# %% [markdown]
# How much of it lies on the animal? The eye is easily persuaded; a number comes below. Single speckles
# are lost on a photo, so we blur the maps by three pixels before we lay them over it.

# %%
soft = trust.blurred(maps[:, None], 3.0)[:, 0]
laid = [show.overlay(p, m) for p, m in zip(pixels, soft, strict=True)]
alt = "the blurred maps over the greyed photos: glowing heads, shoulders and backs, dark corners"
show.images(laid, titles, alt=alt)

# %% [markdown]
# ## Beside occlusion
#
# Lecture 05 asked the same photo by covering it: a square of 32 pixels in steps of 16, 169 positions.
# (For the cost we time 13 whole passes and multiply.)
#
# **Question.** One method takes evidence away, the other asks for a slope. Do they point at the same
# places?

# %%
koala, koala_class = x[1:2], classes[1].item()
with torch.no_grad():
    before = net(koala)[0]
covered = occlusion.occlusion_logits(net, koala, window=32, stride=16)
lost = occlusion.drop(before, covered, koala_class, probability=False)
by_square = occlusion.to_pixels(lost, 32, 16, 224, 224).cpu()
slope_map = maps[1].cpu()
blurred = trust.blurred(slope_map.expand(1, 3, -1, -1), 12.0)[0, 0]


# %% slide="subslide"
def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


laid = [show.overlay(pixels[1], m) for m in (slope_map, blurred, by_square)]
captions = ["saliency", "saliency, blurred", "occlusion"]
agree = [correlation(m, by_square) for m in (slope_map, blurred)]
captions[:2] = [f"{c}: {r:.2f}" for c, r in zip(captions[:2], agree, strict=True)]
alt = "a koala three times: speckles, their blur, and occlusion's map; all are bright on the face"
show.images([pixels[1], *laid], ["photo", *captions], height=2.6, alt=alt)

# %% slide="subslide"
batch = koala.expand(13, -1, -1, -1)
with torch.no_grad():
    asked = timing.seconds(lambda: net(batch), repeats=1) * 13
once = timing.seconds(lambda: find_saliency(net, koala, classes[1:2]))
show.table(
    ["", "passes", "milliseconds"],
    [["saliency", "1 forward, 1 backward", once * 1e3], ["occlusion", "169 forward", asked * 1e3]],
)

# %%
print(f"saliency is {asked / once:.0f} times cheaper than occlusion")
assert asked > 10 * once
assert agree[1] > agree[0] + 0.1

# %% [markdown]
# The number is the correlation with occlusion's map. Pixel by pixel the two have little in common, and
# blurred to the size of a square they agree a good deal: both find the face. They need not agree.
# A slope asks what the *next little* change would do, a square what is lost when all of it is gone.

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
# decides, and is called by its name: the right class has a probability over 0.3, and under 0.02 for the
# bare background.

# %%
sure = {"with_object": 0.3, "without": 0.02}
scenes = composites.recognised_composites(net, n=12, rightly=True, **sure)
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
# the interior is steeper in most scenes. What looks like an outline may be just the border between a bright
# object and a dark background of the *map*.
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
# The sums stay below the scores, the camel's by more than a quarter: the difference is what the network's biases add. And "input"
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
# what we see, and its slope at one point is mostly that. **SmoothGrad** averages over a
# neighbourhood, with $n$ noisy copies of the photo:
# $$\bar M(x) = \frac1n \sum_{t=1}^{n} M(x + \varepsilon_t), \qquad
# \varepsilon_t \sim \mathcal N(0, \sigma^2).$$
# We average finished maps, as most tools do. Smilkov et al. average the signed gradients and take the
# size at the end: there, a slope that changes its sign from copy to copy cancels.

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

# %% [markdown]
# ## How much noise?
#
# The paper advises a $\sigma$ of 10 to 20 % of the image's range. **Question.** The map should explain why
# the network says "panda". Does it still say so, of the noisy copies? We ask SqueezeNet, and
# EfficientNet-Lite0 beside it.

# %%
find_smooth = yours_or_ours("smoothgrad", smoothgrad)
lite = models.load("efficientnet_lite0")
levels = (0.0, 0.02, 0.05, 0.15, 0.4)


# %%
def over_noise(model, index: int) -> tuple[list, list, list]:
    """One photo's noisy copy, map and mean probability at every level."""
    one = model.preprocess([images.photo(names[index])])
    with torch.no_grad():
        label = model(one).argmax(1)
    noises = [saliency.gaussian_noise(one, samples=4, level=level) for level in levels]
    heat = [find_smooth(model, one, label, noise)[0] for noise in noises]
    with torch.no_grad():
        p = [model((one + n)[:, 0]).softmax(1)[:, label].mean().item() for n in noises]
    copies = [model.denormalize(one + n[0])[0].clamp(0, 1) for n in noises]
    return copies, heat, p


# %%
macaw = {"SqueezeNet": over_noise(net, 4), "EfficientNet": over_noise(lite, 4)}
tiles, captions = [], []
for name, (copies, heat, p) in macaw.items():
    tiles += [*([] if tiles else copies), *map(show.colours, heat)]
    captions += [] if captions else [f"σ = {level:.0%}" for level in levels]
    captions += [f"{name}: p {value:.2g}" for value in p]
alt = "a macaw under growing noise; both networks' maps: speckles, then a bird, then nothing"
show.images(tiles, captions, columns=5, height=1.9, alt=alt)

# %%
(*_, weak), (*_, firm) = macaw.values()
assert weak[0] > 0.9
assert weak[3] < 0.05
assert firm[3] > 0.5

# %% [markdown]
# Under the maps stands the mean probability of "macaw" in the noisy copies. At 15 % we still see the bird
# without effort. EfficientNet sees it as well. SqueezeNet does not: its map is the mean slope of
# "macaw" in pictures in which it finds no macaw. It looks good all the same, which should make us think.
#
# So $\sigma$ belongs to the network: take one that it survives.

# %%
lite_x = lite.preprocess([images.photo(name) for name in names])
with torch.no_grad():
    lite_classes = lite(lite_x).argmax(1)
noise = saliency.gaussian_noise(lite_x, samples=5, level=0.15)
smooth = find_smooth(lite, lite_x, lite_classes, noise)
both = [*find_saliency(lite, lite_x, lite_classes), *smooth]
captions = [f"{lite.labels[c]}{kind}" for kind in ("", ", smoothed") for c in lite_classes]
alt = "EfficientNet's maps: above speckled; below calm, with heads, beaks and bodies"
show.maps(both, captions, columns=5, height=1.9, alt=alt)

# %% [markdown]
# ## Is the smoother map the better one?
#
# It *pleases* more. On scenes we can ask how much of it lies on the object: the share of a map inside
# the mask, plain and smoothed, scene by scene, for both networks.


# %%
def on_the_object(model, found, level: float) -> torch.Tensor:
    each, seen = model.normalize(found.pixels), found.classes.to(model.device)
    noise = saliency.gaussian_noise(each, samples=4 if level else 1, level=level)
    return trust.energy_inside(find_smooth(model, each, seen, noise).cpu(), found.masks)


lite_scenes = composites.recognised_composites(lite, n=12, rightly=True)
tried, share, change = (0.0, 0.15), {}, {}
for model, found in ((net, scenes), (lite, lite_scenes)):
    share[model.name] = [on_the_object(model, found, level) for level in tried]
    plain = share[model.name][0]
    for level, one in zip(tried[1:], share[model.name][1:], strict=True):
        change[f"{model.name}, σ = {level:.0%}"] = trust.mean_interval(one - plain)

# %% slide="subslide"
alt = "for SqueezeNet the change is zero or less, for EfficientNet well above zero"
show.intervals(change, "smoothed minus plain: share on the object", alt)

# %%
for name, parts in share.items():
    print(
        name, ", ".join(f"σ = {t:.0%}: {p.mean():.2f}" for t, p in zip(tried, parts, strict=True))
    )
assert change["squeezenet1_1, σ = 15%"][2] < 0.05 < change["efficientnet_lite0, σ = 15%"][0]
assert change["efficientnet_lite0, σ = 15%"][1] > 0.02

# %% [markdown]
# The dot is the mean of twelve scenes, the bar its 95 % interval (lecture 09 says how it is made), hollow
# where it holds zero. With SqueezeNet, to which the object is lost, nothing is gained. With EfficientNet,
# which still knows what it sees, more of the map lies on the object. "SmoothGrad is better" is
# neither right nor wrong; it is a sentence about a network and a $\sigma$.
#
# And the outlines? Smoothed at 15 %, more of SqueezeNet's maps prefer them than before:

# %%
noise = saliency.gaussian_noise(scene_x, samples=4, level=0.15)
smoothed = find_smooth(net, scene_x, scenes.classes.to(scene_x.device), noise)
rows = [density(m, k) for m, k in zip(smoothed, scenes.masks, strict=True)]
traced = sum(outline > interior for outline, interior, _ in rows)
print(f"steeper on the outline than inside: {traced} of 12 when smoothed, ", end="")
print(f"{(densities[:, 0] > densities[:, 1]).sum()} of 12 before")

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
sure = {"sure_object": 0.98, "sure_background": 0.6}
found = [saliency.segment(p, m, **sure) for p, m in pairs]
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
# found only one (a body without its tail), and where a piece of the background is taken for object. Look at
# the lowest scores above and say which is which.

# %% [markdown]
# ## Right for the wrong reason
#
# Now we play a trick on a network. Every training photo of an animal gets a logo in the corner, as if
# all came from one website; the photos of buildings get none. We keep SqueezeNet's features up to
# fire5 and fit a new last layer, *animal* against *building*. And, to compare with, another one
# on the same photos without any logo: the **clean** head.

# %%
animals = net.crop_pixels(images.photos("animal"))
buildings = net.crop_pixels(images.photos("building"))
targets = [0] * len(animals[::2]) + [1] * len(buildings[::2])
marked = torch.cat([saliency.stamp(animals[::2]), buildings[::2]])
biased = saliency.fit_head(net, "fire5", marked, targets)
clean = saliency.fit_head(net, "fire5", torch.cat([animals[::2], buildings[::2]]), targets)


# %% slide="subslide"
def called_animal(photos: torch.Tensor) -> list[float]:
    """The share of photos that the biased and the clean head call animal."""
    with torch.no_grad():
        found = [head(net.normalize(photos)).argmax(1) == 0 for head in (biased, clean)]
    return [one.float().mean().item() for one in found]


unseen_animals, unseen_buildings = animals[1::2], buildings[1::2]
as_collected = [
    ["animals with logo", *called_animal(saliency.stamp(unseen_animals))],
    ["buildings without logo", *called_animal(unseen_buildings)],
]
header = ["photos not used for fitting: called animal", "biased head", "clean head"]
show.table(header, as_collected)

# %% [markdown]
# On photos it has never seen, collected as the training photos were, the biased head is as good as it
# gets, and better than the clean one. Would you ship it? A test set collected in
# the same way cannot tell you that something is wrong. Perhaps the maps can.

# %%
stamped = saliency.stamp(unseen_animals[:10])
stamped_x = net.normalize(stamped)
noise = saliency.gaussian_noise(stamped_x, samples=4, level=0.02)
zeros = torch.zeros(10, dtype=torch.long, device=net.device)
evidence = [find_smooth(head, stamped_x, zeros, noise) for head in (biased, clean)]

# %%
tiles = [*stamped[1:6], *(show.colours(m) for maps in evidence for m in maps[1:6])]
captions = [f"{kind}" for kind in ("photo", "biased head", "clean head") for _ in range(5)]
alt = "animals with a magenta E below left; the biased head's maps are a little brighter there"
show.images(tiles, captions, columns=5, height=1.8, alt=alt)

# %%
rows, columns = saliency.logo_corner(224)
on_logo = [m[:, rows, columns].sum((1, 2)) / m.sum((1, 2)) for m in evidence]
area = 36 * 36 / 224**2
mean, low, high = trust.mean_interval((on_logo[0] - on_logo[1]).cpu())
print(f"on the logo's square, {area:.1%} of the photo: biased {on_logo[0].mean():.1%},", end=" ")
print(f"clean {on_logo[1].mean():.1%}; difference {mean:.1%}, {low:.1%} to {high:.1%}")
assert low > 0

# %% [markdown] slide="subslide"
# Most of either map lies elsewhere, and the clean head, too, looks at the logo more than its area
# deserves: it is a bright, sharp thing. The share alone would have proved nothing. *Beside its
# control* it raises a suspicion, and an experiment has to confirm it: take the logo away, and give it to
# the buildings.

# %%
moved = [
    ["animals without logo", *called_animal(unseen_animals)],
    ["buildings with logo", *called_animal(saliency.stamp(unseen_buildings))],
]
assert moved[0][1] < as_collected[0][1] - 0.25
assert moved[1][1] > as_collected[1][1] + 0.25
assert moved[1][2] < 0.3
assert abs(moved[0][2] - as_collected[0][2]) < 0.2
show.table(header, as_collected + moved)

# %% [markdown]
# To the biased head the logo decides in about half of the cases: take it away, and that many animals
# become buildings; give it to buildings, and that many become animals. To the clean head it makes hardly
# any difference. Such things happen: a well-known classifier of
# horses turned out to read a photographer's watermark (Lapuschkin et al. 2019).
#
# Note what the map did **not** do: it did not say "logo", and it did not prove anything. It told us
# which experiment to make.

# %% [markdown]
# ## What we saw
#
# - One backward pass gives the slope of a class's score for every pixel; occlusion asks hundreds of times.
# - The score, not the probability: a saturated softmax hides the slope, and rivals leak in.
# - The maps prefer the object to the background. Plain ones do not trace outlines.
# - Gradient × input asks what a pixel contributed; SmoothGrad averages over a neighbourhood. Its noise must
#   be one the network survives: then more of the map lies on the object, otherwise less.
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
# - K. Simonyan, A. Vedaldi, A. Zisserman. [*Deep Inside Convolutional Networks: Visualising Image
#   Classification Models and Saliency Maps.*](https://arxiv.org/abs/1312.6034) ICLR workshop 2014.
# - A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje. [*Not Just a Black Box: Learning Important
#   Features Through Propagating Activation Differences.*](https://arxiv.org/abs/1605.01713) 2016.
# - D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg. [*SmoothGrad: removing noise by adding
#   noise.*](https://arxiv.org/abs/1706.03825) 2017.
# - C. Rother, V. Kolmogorov, A. Blake. [*"GrabCut": interactive foreground extraction using iterated
#   graph cuts.*](https://doi.org/10.1145/1015706.1015720) SIGGRAPH 2004.
# - S. Lapuschkin, S. Wäldchen, A. Binder, G. Montavon, W. Samek, K.-R. Müller. [*Unmasking Clever Hans
#   predictors and assessing what machines really learn.*](https://doi.org/10.1038/s41467-019-08987-4) Nature Communications 2019.
