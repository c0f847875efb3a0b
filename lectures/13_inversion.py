# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 13 Feature inversion
#
# **A layer turns a photo into a list of numbers. Which photos have the same list?**
#
# After this lecture you can
# - turn a layer's features back into a picture, by descent on the pixels;
# - say what a regulariser adds that no feature said;
# - read the ladder from shallow to deep: what is kept, and in which order the rest is lost;
# - tell what the features fix from what the random start has chosen;
# - distrust a good-looking inversion.
#
# About 75 minutes with the two exercises. You need lectures 02 and 06.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import images, inversion, layers, models, show, widgets
from course_utils.common import optimise
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## A photo, and its codes
#
# The red panda below is 128 pixels wide: 49,152 numbers. Each layer of SqueezeNet makes another list
# of numbers of it, its **code** $\phi(y)$.

# %%
net = models.load("squeezenet1_1")
photo = images.square(images.photo("red_panda").pixels(), 128)
show.images([photo], ["y: 3 x 128 x 128"], height=2.6, alt="a red panda looks out from a branch")

# %% slide="subslide"
ladder = inversion.SQUEEZENET_LADDER
y = net.normalize(photo)[None]
codes = {name: layers.activations(net, y, name)[0] for name in (*ladder, "pool10")}
sizes = [[n, " x ".join(map(str, c.shape)), c.numel() / y.numel()] for n, c in codes.items()]
show.table(["layer", "code", "numbers, as a multiple of the photo's"], sizes)

# %% [markdown]
# **Question.** Five of these codes have more numbers than the photo. From which would you expect to get
# the photo back, and what would be missing?
#
# More numbers do not mean more knowledge. A ReLU forgets everything below zero, and max pooling
# forgets where in its window the largest value was.

# %% slide="subslide"
larger = sum(code.numel() > y.numel() for code in codes.values())
print(larger, "codes have more numbers than the photo")
assert larger == 5

# %% [markdown]
# ## The question as a minimum
#
# We look for a picture $x$ with nearly the code of the photo $y$:
# $$\min_x \; \frac{\lVert \phi(x) - \phi(y) \rVert^2}{\lVert \phi(y) \rVert^2} + \lambda \, TV(x) .$$
#
# Lecture 10 climbed a score that could grow for ever. This is **descent**: a distance has a floor at
# zero, and the photo itself lies on it. The network stays as it is, and $\phi(y)$ is computed once.
#
# The second term says what we expect of a picture where the code says nothing.

# %% [markdown] slide="subslide"
# ## Exercise 1: total variation
#
# The **total variation** (全变分) adds up how much neighbouring pixels differ, in each colour:
# $$TV(x) = \sum_{i,j} \Big( (x_{i+1,j} - x_{i,j})^2 + (x_{i,j+1} - x_{i,j})^2 \Big)^{\beta/2} ,$$
# over all positions that have both neighbours, over the colours and over the images of the batch.
#
# **Exercise 1 (easy, 10 minutes).**
#
# <details><summary>Hint 1: without a loop</summary>
# <code>x[..., 1:, :-1] - x[..., :-1, :-1]</code> holds all differences to the pixel below.
# </details>
# <details><summary>Hint 2: why both slices end at -1?</summary>
# The two differences of a pixel are squared and added, so they must have the same shape.
# </details>


# %% exercise="total_variation"
def total_variation(x, beta=2.0):
    """Sum of (down^2 + across^2)^(beta/2) over positions, colours and images.

    x: (N,C,H,W), at least 2x2; beta: over 0.
    Returns: one number, as a tensor that still hangs on x.
    """
    ### BEGIN SOLUTION
    here = x[..., :-1, :-1]
    down = x[..., 1:, :-1] - here
    across = x[..., :-1, 1:] - here
    return (down**2 + across**2).pow(beta / 2).sum()
    ### END SOLUTION


# %% check="total_variation"
check("total_variation", total_variation)

# %% slide="subslide"
variation = yours_or_ours("total_variation", total_variation)
shuffled = torch.randperm(128 * 128, generator=torch.Generator().manual_seed(0)).to(y.device)
mixed = y.flatten(2)[..., shuffled].view(y.shape)
pictures = {"photo": y, "its pixels, shuffled": mixed, "flat": y.mean().expand(y.shape)}
show.table(["picture", "total variation"], [[name, variation(x)] for name, x in pictures.items()])

# %% [markdown]
# A photo is cheap, the same pixels as noise are dear, and the cheapest picture of all is none. With $\beta = 2$ one step
# from black to white costs more than a slope, so edges get soft; with $\beta = 1$ both cost the same.
# For smooth pictures and $\beta = 2$ the sum does not depend on the size, so one $\lambda$ serves small
# and large ones.

# %% [markdown] slide="subslide"
# ## Exercise 2: the loss
#
# **Exercise 2 (easy, 10 minutes).** The features come ready made; `phi` hangs on the picture `x`
# through the network, so return a tensor and not a plain number, or nothing can be differentiated.
# For several images the losses are added:
# $$\sum_n \frac{\lVert \phi_n - \text{target}_n \rVert^2}{\lVert \text{target}_n \rVert^2}
# + \lambda \, TV(x) .$$
#
# <details><summary>Hint 1: the norm of one image's features</summary>
# <code>phi.flatten(1)</code> is (N, numbers), whatever shape the features had.
# </details>
# <details><summary>Hint 2: a sum of quotients</summary>
# Divide for each image first, then add up.
# </details>


# %% exercise="inversion_loss"
def inversion_loss(phi, target, x, weight):
    """Distance of the features to their target, for each image in units of ||target||^2, plus TV.

    phi, target: (N,...); x: (N,3,H,W); weight: of total_variation(x) with beta = 2.
    Returns: one number, as a tensor that still hangs on phi and x.
    """
    ### BEGIN SOLUTION
    difference = (phi - target).flatten(1).square().sum(1)
    distance = difference / target.flatten(1).square().sum(1)
    return distance.sum() + weight * total_variation(x)
    ### END SOLUTION


# %% check="inversion_loss"
check("inversion_loss", inversion_loss)

# %% [markdown]
# ## The first inversion
#
# From grey noise, 40 steps of L-BFGS (gradient descent that remembers how the slope has changed), the
# code of fire3. Move the slider: the network is not asked again, the frames were kept.

# %%
find_loss = yours_or_ours("inversion_loss", inversion_loss)
first = inversion.invert(net, photo, "fire3", loss=find_loss, keep=24)
widgets.scrub(first, ["the picture whose fire3 is the photo's"])

# %%
start, end = first.losses[0], first.losses[-1]
print(f"loss {start:.2f} -> {end:.3f}; PSNR {inversion.psnr(first.image, photo).item():.1f} dB")
assert end < 0.1 * start

# %% [markdown] slide="subslide"
# The large shapes come first, then the fur. No one showed the picture to the descent: it saw 128
# feature maps of 31 x 31 numbers, and asked for others that are equal.
#
# Two measures say how close it came. **PSNR** (峰值信噪比) is $10 \log_{10}(1/\text{mean squared error})$ in
# decibels: over 30 dB looks equal. **SSIM** (结构相似性) compares means, contrasts and the pattern in
# small windows; 1 is equal. How much is little? Two controls stand below: the photo in **greys**, and a
# **flat** picture, its mean colour everywhere.

# %% [markdown]
# ## What is varied matters
#
# **Question.** The loss is what it is. Does it matter whether we vary pixels, or frequencies as in
# lecture 10?

# %%
ways = ("pixels", "frequencies")
settings = {"rule": optimise.adam(0.05), "steps": 80, "loss": find_loss}
runs = [inversion.invert(net, photo, "fire5", coordinates=way, **settings) for way in ways]
alt = "from pixels a grainy panda in garish specks; from frequencies a smooth one in softer colours"
show.images([photo, *(r.image[0] for r in runs)], ["photo", *ways], height=2.6, alt=alt)

# %%
reached = [r.losses[-1] for r in runs]
print("loss after 80 steps:", ", ".join(f"{w} {v:.3f}" for w, v in zip(ways, reached, strict=True)))
assert reached[1] < reached[0]

# %% [markdown]
# The same question, 80 steps of Adam for both (cutting pixels to 0-1 would spoil the memory of L-BFGS), two
# answers. A gradient changes pixels one by one; a
# large even sky is thousands of pixels that have to agree. A low frequency moves them together, and
# its colours are those that vary together in photos.
#
# So what you see is the code **and** the way of looking. Where the code is silent, the coordinates,
# the regulariser and the start fill in. Keep that in mind for everything below.

# %% [markdown]
# ## The ladder of SqueezeNet

# %%
settings = {"loss": find_loss, "keep": 2, "progress": None}
rungs = {"fire3": first}  # the descent that we have seen
for name in ladder:
    if name not in rungs:
        rungs[name] = inversion.invert(net, photo, name, **settings)

# %%
best = [photo, *(rungs[name].image[0] for name in ladder)]
alt = "the photo and its inversions from relu1 to fire9: from sharp to painted, to a face in fog"
show.images(best, ["photo", *ladder], columns=5, height=2.2, alt=alt)

# %% [markdown]
# Down the ladder the photo goes in an order. The first layer gives it back almost exactly. Up to fire3
# the colours and the fur are right, and the whiskers go; at fire5 the fur is *some* fur and the leaves are
# a green haze. At fire7 ears, eyes, nose and paw are in their places, on a grey fog that was green.


# %% slide="subslide"
def closeness(picture: torch.Tensor, to: torch.Tensor) -> tuple[float, float]:
    picture = picture.expand(1, *to.shape)
    return inversion.psnr(picture, to).item(), inversion.ssim(picture, to).item()


def flat(picture: torch.Tensor) -> torch.Tensor:
    return picture.mean((1, 2), keepdim=True)


quality = {name: closeness(rungs[name].image, photo) for name in ladder}
controls = {"in greys": photo.mean(0, keepdim=True), "flat": flat(photo)}
controls = {name: closeness(picture, photo) for name, picture in controls.items()}

# %%
rows = [[name, *values] for name, values in (quality | controls).items()]
show.table(["layer, or control", "PSNR in dB", "SSIM"], rows)

# %%
assert quality["relu1"][0] > 28
assert quality["relu1"][1] > quality["fire5"][1] > quality["fire9"][1]
assert quality["fire9"][0] < controls["flat"][0] < controls["in greys"][0]
assert quality["fire7"][1] < controls["flat"][1]

# %% [markdown]
# What survives longest is not what covers most pixels. It is what ImageNet's classes differ by. For SSIM the
# panda of fire7 is *less* like the photo than a flat picture, for PSNR as much: neither knows who it is.
#
# But this is one photo. **Question.** Four animals, four buildings and machines: will every layer lose
# something of each? The same descent was made once for all eight by `python data/rebuild_inversions.py`.

# %% slide="subslide"
stored = inversion.stored_ladders()["squeezenet1_1"]
of_eight = torch.tensor([stored[name] for name in ladder])  # layers, photos, (PSNR, SSIM)
middle = of_eight.quantile(0.5, 1)
rows = [
    [name, of_eight[i, :, 0].min(), of_eight[i, :, 0].max(), *middle[i]]
    for i, name in enumerate(ladder)
]
even = [images.square(images.photo(n).pixels(), 128) for n in inversion.stored_ladders()["photos"]]
even = torch.tensor([closeness(flat(one), one) for one in even])
rows.append(["flat", even[:, 0].min(), even[:, 0].max(), *even.quantile(0.5, 0)])
show.table(["layer", "PSNR of the worst", "of the best", "median", "SSIM, median"], rows)

# %%
below = (of_eight < even).sum(1)  # layers, (PSNR, SSIM)
for name, (decibel, likeness) in zip(ladder[5:], below[5:].tolist(), strict=True):
    print(f"{name}: PSNR below the flat picture's for {decibel} of 8 photos, SSIM for {likeness}")

# %%
falls = dict(zip(ladder[1:], (middle[:-1, 0] - middle[1:, 0]).tolist(), strict=True))
print("the median falls by", ", ".join(f"{fall:.1f} at {name}" for name, fall in falls.items()))
pooled = ("fire2", "fire4", "fire6")
assert min(falls[name] for name in pooled) > 2 + max(
    fall for name, fall in falls.items() if name not in pooled
)
assert below[ladder.index("fire7") :].min() > 4

# %% [markdown]
# The eight say more than the one: the photo goes in three falls, at fire2, fire4 and fire6. Before each of
# these, and nowhere else between relu1 and fire9, a pooling throws away three of four positions. Two layers
# of one size give nearly the same: what the convolutions between two poolings do can mostly be undone.
# From fire7 on most are no nearer to their photo than a flat picture is: there PSNR and SSIM tell nothing more.

# %% [markdown]
# ## VGG and the names of its layers
#
# VGG-16 is five **blocks** of 3 x 3 convolutions with a pooling after each, which halves the size. So
# `conv5_1` is block 5, first convolution, and `relu5_1` is its ReLU. Our file is VGG-16 fine-tuned
# for finding edges (HED, Xie & Tu 2015), stored in 8 bits (its maps are off by 1 to 2 %), and ends at
# conv5_1; we append the ReLU.

# %%
vgg = inversion.vgg_to_relu5_1()
small = images.square(photo, 96)
rows = [[n, layers.find(vgg, n.replace("relu", "conv")).out_channels] for n in inversion.VGG_LADDER]
fields = [layers.receptive_field(vgg, n, 224) for n, _ in rows]
header = ["layer", "maps", "a unit sees, pixels", "units at 96 pixels"]
show.table(header, [[*r, f.size[0], 96 // f.stride[0]] for r, f in zip(rows, fields, strict=True)])

# %% [markdown]
# **Question.** Which VGG layer gives the photo back "almost exactly"? Papers say relu2_2: pictures
# from there are hard to tell from the photo (Johnson et al. 2016). Will ours do so?

# %%
vgg_rungs = {
    name: inversion.invert(vgg, small, name, steps=20, loss=find_loss, keep=2, progress=None)
    for name in inversion.VGG_LADDER
}

# %%
vgg_best = [small, *(run.image[0] for run in vgg_rungs.values())]
alt = "from relu1_2 the photo; from relu2_2 sharp fur in wrong colours; deeper loose contours"
show.images(vgg_best, ["photo", *vgg_rungs], columns=6, height=2.2, alt=alt)

# %% [markdown]
# It does from relu1_2. From relu2_2 every hair comes back, sharp, and the colours are wrong.

# %%
vgg_quality = {
    name: (inversion.psnr(r.image, small).item(), inversion.ssim(r.image, small).item())
    for name, r in vgg_rungs.items()
}
show.table(["layer", "PSNR in dB", "SSIM"], [[n, *values] for n, values in vgg_quality.items()])

# %% slide="subslide"
print("relu2_2 of this VGG: PSNR {:.1f} dB, SSIM {:.2f}".format(*vgg_quality["relu2_2"]))
assert vgg_quality["relu2_2"][0] < 16
assert vgg_quality["relu1_2"][0] > 25

# %% [markdown]
# This network was retrained to find edges, and an edge is an edge in any colour. Case closed: its code has
# lost the colours?
#
# **Question.** How would you test that, before you say so in a talk?

# %% [markdown] slide="subslide"
# If the code does not hold the colours, a picture with the right ones fits it no better. So give the
# descent another start: the photo, blurred until only patches of colour are left. And, as a control, the
# same patches with red and blue exchanged.

# %%
blurred = images.square(images.square(small, 6), 96)
exchanged = blurred.flip(0)  # blue, green, red
settings = {"steps": 20, "loss": find_loss, "keep": 2}
second, third = (
    inversion.invert(vgg, small, "relu2_2", start=start, **settings)
    for start in (blurred, exchanged)
)

# %%
starts = [small, blurred, exchanged]
ends = [vgg_rungs["relu2_2"].image[0], second.image[0], third.image[0]]
titles = ["photo", "its colours", "red and blue exchanged"]
titles += ["from noise", "from its colours", "from these"]
alt = "from right patches of colour the descent arrives near the photo; from wrong ones in wrong colours"
show.images([*starts, *ends], titles, columns=3, height=2.2, alt=alt)

# %%
turned, back = vgg_rungs["relu2_2"], second
print(f"loss from noise {turned.losses[-1]:.3f}, from patches of colour {back.losses[-1]:.3f},")
print(f"from the same patches with red and blue exchanged {third.losses[-1]:.3f}")
begun, ended = (inversion.psnr(p[None].cpu(), small).item() for p in (blurred, back.image[0]))
print(f"PSNR from noise {vgg_quality['relu2_2'][0]:.1f} dB;")
print(f"of the blurred start itself {begun:.1f} dB, and from there {ended:.1f} dB")
assert back.losses[-1] < min(turned.losses[-1], third.losses[-1])
assert ended > vgg_quality["relu2_2"][0] + 5
assert ended > begun + 2

# %% [markdown] slide="subslide"
# The start brought the colours along, and most of the PSNR: seeing them proves nothing. The loss does: after as many steps
# the picture with the right colours fits the code better than the one with as much shape and wrong colours.
# So the code tells colours apart; from noise the descent is only slow. Why here? Count the zeros: a ReLU at
# zero has no slope to follow.

# %% slide="subslide"
crowd = torch.stack([images.square(p.pixels(), 96) for p in images.photos("animal")[:12]])
kept = {}
for model, name in ((vgg, "relu1_2"), (vgg, "relu2_2"), (net, "relu1"), (net, "fire3")):
    phi = layers.activations(model, model.normalize(crowd), name)
    dead = (phi.amax((0, 2, 3)) == 0).float().mean()
    kept[name] = ((phi == 0).float().mean(), dead)
header = ["layer", "zeros", "maps that are 0 on all 12 photos"]
show.table(header, [[n, *v] for n, v in kept.items()])

# %%
print(f"relu2_2: {kept['relu2_2'][0]:.0%} zeros, {kept['relu2_2'][1]:.0%} of the maps are dead")
assert kept["relu2_2"][0] > 0.85
assert kept["relu2_2"][1] > 0.3

# %% [markdown]
# Training for edges has silenced most of relu2_2. What is left pins the picture down near the photo, and
# far from it leaves few directions to go in.
#
# Two things to keep. A layer's name says where it stands, not what training has left in it. And an
# inversion is a **lower bound**: what comes back was in the code; what does not come back may be in it
# all the same.

# %% [markdown]
# ## Both networks by depth
#
# "Deep" should mean the same in both. We count how many pixels a unit sees.

# %%
ladders = {"SqueezeNet": (net, quality), "VGG for edges": (vgg, vgg_quality)}
curves = {
    title: [(layers.receptive_field(model, n, 224).size[0], *values) for n, values in found.items()]
    for title, (model, found) in ladders.items()
}

# %%
decibels = {title: ([p[0] for p in c], [p[1] for p in c]) for title, c in curves.items()}
alt = "PSNR falls from about 30 to 10 dB as fields grow; VGG for edges drops at once after relu1_2"
show.lines(decibels, "pixels a unit sees", "PSNR in dB", alt, xscale="log")

# %%
likeness = {title: ([p[0] for p in c], [p[2] for p in c]) for title, c in curves.items()}
alt = "SSIM falls from near 1 to near 0; VGG for edges keeps some structure where its PSNR is low"
show.lines(likeness, "pixels a unit sees", "SSIM", alt, xscale="log")

# %% [markdown]
# On this photo both measures fall with depth, and they fall differently. PSNR punishes a wrong colour on
# every pixel; SSIM looks at the pattern inside small windows. From noise, the VGG of edges loses the first
# at once and the second step by step.
#
# Neither measures what a person recognises: at fire7 both call the picture bad, and you still see
# who it is.

# %% [markdown]
# ## What the code fixes, and what the start chose
#
# **Question.** One inversion is one answer. How would you find out which parts of it are really in the
# code?

# %%
names = ("fire3", "fire5", "fire8")
settings = {"noise": 0.3, "steps": 25, "loss": find_loss, "keep": 2, "progress": None}
several = {
    name: inversion.invert(net, images.square(photo, 96), name, starts=4, **settings).image
    for name in names
}

# %%
alt = "four inversions in a row: alike from fire3; from fire8 each with other colours and fragments"
show.rows(list(several.values()), names, alt, height=140)

# %% [markdown]
# The four starts, here at 96 pixels, go down the same valley for fire3: what they agree on is fixed by the
# code.

# %%
spreads = [inversion.spread(pictures) for pictures in several.values()]
mean_spread = [s.mean().item() for s in spreads]
titles = [f"{n}: mean {m:.3f}" for n, m in zip(names, mean_spread, strict=True)]
top = max(s.max() for s in spreads)
brightness = [(s / top).expand(3, -1, -1) for s in spreads]
show.images(
    brightness,
    titles,
    height=2.6,
    alt="nearly black for fire3, brighter with depth; for fire8 grey all over, most at the muzzle",
)

# %% [markdown]
# Here bright means that the four pictures differ (standard deviation of a pixel value, one scale for all).
# Deep layers leave most of the picture open, and every start fills the gap with something else; at fire8
# all four have a head in the middle and the dark coat beside it, and agree on hardly a pixel.
#
# An average of many starts would look smoother and more trustworthy. It would be neither.

# %% slide="subslide"
assert mean_spread[0] < mean_spread[1] < mean_spread[2]
print("spread from fire3 to fire8:", " ".join(f"{m:.3f}" for m in mean_spread))

# %% [markdown]
# ## How much regularisation?
#
# **Question.** $\lambda$ from none to far too much, for the code of fire4: which picture is closest to
# the photo, and which to the *code*?

# %%
weights = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
settings = {"loss": find_loss, "keep": 2, "progress": None}
tries = [inversion.invert(net, photo, "fire4", w, **settings).image for w in weights if w != 1e-5]
tries.insert(1, rungs["fire4"].image)  # the rung of the ladder

# %%
alt = "from sharp and grainy without regulariser over clean to washed out and an even grey"
titles = [f"λ = {w:g}" for w in weights]
show.images([t[0] for t in tries], titles, columns=3, height=3, alt=alt)

# %%
target = inversion.features(net, y, "fire4")
far = [
    inversion.inversion_loss(inversion.features(net, net.normalize(t), "fire4"), target, t, 0)
    for t in tries
]
closeness = [
    [f"{w:g}", d, inversion.psnr(t, photo)[0]] for w, d, t in zip(weights, far, tries, strict=True)
]
show.table(["λ", "distance of the codes", "PSNR in dB"], closeness)

# %% slide="subslide"
by_photo = max(range(len(weights)), key=lambda i: closeness[i][2])
print(f"closest to the code: λ = 0; closest to the photo: λ = {weights[by_photo]:g}")
assert far[0] == min(far)
assert far[-1] == max(far)

# %% [markdown]
# Without a regulariser the code fits best, and the picture carries a grain the layer does not see. A
# little smoothness costs some of the fit (the table says how much) and takes the grain away. Too much, and the picture obeys the
# regulariser instead of the network.
#
# There is no right $\lambda$ in the code: it is our knowledge of photos, added by hand.

# %% [markdown]
# ## From the final vector
#
# At the very end SqueezeNet keeps 1000 numbers, the **logits** $\phi(y) = S(y)$, without any places.
#
# **Question.** What will the pictures have in common with the photo?
#
# A code without places may be asked from everywhere: the picture is shifted and resized a little before
# each step (lecture 10), and Adam, which bears such unrest, takes the steps.

# %%
macaw = images.square(images.photo("scarlet_macaw").pixels(), 128)
moves = [optimise.jitter(16), optimise.scale(0.9, 1.1)]
settings = {"steps": 90, "rule": optimise.adam(0.05), "transforms": moves, "loss": find_loss}
final = {}
for title, whole in (("red panda", photo), ("scarlet macaw", macaw)):
    run = inversion.invert(net, whole, "pool10", starts=2, **settings)
    final[title] = torch.cat([whole.to(net.device)[None], run.image])

# %%
alt = "after each photo two pictures with parts of the animal anywhere, on a background of strokes"
show.rows(list(final.values()), list(final), alt, height=190)

# %% slide="subslide"
told, away = [], []
for title, pictures in final.items():
    scores = net(net.normalize(pictures))
    sure, (own, *others) = scores.softmax(1), scores
    c = sure[0].argmax()
    away += [((s - own).square().sum() / own.square().sum()).item() for s in others]
    near = inversion.psnr(pictures[1:], pictures[0]).max()
    told.append([title, net.labels[c], sure[0, c], sure[1, c], sure[2, c], near])
header = ["photo", "its class", "its p", "p of picture 1", "p of picture 2", "best PSNR"]
show.table(header, told)

# %%
print("distance from the photo's vector:", " ".join(f"{share:.2f}" for share in away))
assert max(away) < 0.5
assert max(p for row in told for p in row[3:5]) > 0.01  # by chance: 0.001
assert all(row[5] < 15 for row in told)

# %% [markdown]
# A face or a beak appears, not the photo. A vector without places can say *which* parts, not where or how
# many, so eyes and colours turn up wherever the start put them. The probabilities are those of the
# picture at rest: some pictures reach the photo's class, others stop at an animal that looks like it.
#
# Be careful with both conclusions. "The final vector still knows the photo" is too much; "it knows
# only the class" is too little: a network *trained* to invert such vectors gets the colours and the
# rough position back (Dosovitskiy & Brox 2016). Our descent has only the regulariser and the shifts to lean on.

# %% [markdown]
# ## Try it
#
# Another photo, or yours; a layer; a weight. Each choice is a new descent of 24 steps; the frame only
# redraws. Find the layer at which a face stops being somebody's.

# %%
widgets.inversion_explorer(net)

# %% [markdown]
# ## What we saw
#
# - Inversion is descent on a distance of codes; the photo itself is one of its minima.
# - SqueezeNet gives the photo back almost exactly from relu1, in its colours up to fire3, as a face in fog at fire7.
# - PSNR and SSIM fall until a flat picture has as much, and one still sees who it is.
# - What an inversion brings back was in the code; what it does not bring back may be in it too, as
#   the colours in VGG's relu2_2.
# - What several starts agree on is in the code; the rest is chosen by start, regulariser and coordinates.
# - From the final vector come parts of the animal, anywhere; not the photo.

# %% [markdown]
# **What it does not show.** That a detail is missing in the inversion does not prove that the code has
# lost it: the descent may not have found it, or the regulariser may have removed it. And a detail that
# is there may come from the regulariser. Only the spread over starts and a better search tell.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | feature inversion | 特征反演 | finding a picture with given features |
# | code | 编码 | a layer's output for one picture |
# | total variation | 全变分 | how much neighbouring pixels differ, added up |
# | regulariser | 正则项 | a term for what we expect of a picture, whatever the network says |
# | gradient descent | 梯度下降 | small steps that lower a loss |
# | peak signal-to-noise ratio | 峰值信噪比 | minus the logarithm of the mean squared error, in decibels |
# | structural similarity | 结构相似性 | agreement of means, contrasts and patterns in small windows |
# | receptive field | 感受野 | the pixels a unit can see |
# | logits | 得分 | the scores of the classes before softmax |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
names = ("red_panda", "scarlet_macaw", *widgets.inversion.PHOTOS)
shown = [images.photo(name) for name in names]
show.credits(shown)

# %% [markdown] slide="skip"
# ## Papers
#
# - A. Mahendran, A. Vedaldi. [*Understanding Deep Image Representations by Inverting Them.*](https://arxiv.org/abs/1412.0035) CVPR 2015.
# - J. Johnson, A. Alahi, L. Fei-Fei. [*Perceptual Losses for Real-Time Style Transfer and
#   Super-Resolution.*](https://arxiv.org/abs/1603.08155) ECCV 2016 (its figure 3 inverts VGG-16).
# - A. Dosovitskiy, T. Brox. [*Inverting Visual Representations with Convolutional Networks.*](https://arxiv.org/abs/1506.02753) CVPR 2016.
# - C. Olah, A. Mordvintsev, L. Schubert. [*Feature Visualization.*](https://doi.org/10.23915/distill.00007) Distill 2017 (frequencies).
# - Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli. [*Image Quality Assessment: From Error Visibility to
#   Structural Similarity.*](https://doi.org/10.1109/TIP.2003.819861) IEEE Transactions on Image Processing 2004.
# - S. Xie, Z. Tu. [*Holistically-Nested Edge Detection.*](https://arxiv.org/abs/1504.06375) ICCV 2015.
