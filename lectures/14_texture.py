# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 14 Texture synthesis
#
# **What makes two pictures the same texture, although no pixel agrees?**
#
# After this lecture you can
# - grow a texture from a small sample, pixel by pixel and patch by patch, and say what it copies;
# - describe a texture by numbers that forget where things are;
# - compute a Gram matrix for a batch, and the loss that compares two of them;
# - make a texture of any size from white noise, and say what each depth of a network adds;
# - tell what a Gram matrix sees from what only a covariance shows.
#
# About 90 minutes with the two exercises. You need lectures 00 and 10.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import models, show, texture, widgets
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## The same, and not one pixel alike
#
# Two samples accompany us: a **simple** one, whose pieces all look alike, and a **complex** one, with
# shapes in it.
#
# **Question.** We see "the same texture" in the left and the right half of each. In which sense, if no
# pixel of one half agrees with its partner in the other?

# %%
simple, complex_ = (texture.SAMPLES[name].pixels() for name in ("leaves", "anemone"))
titles = ["simple: fallen leaves, van Gogh", "complex: arms of an anemone"]
show.images([simple, complex_], titles, height=3.2, alt="yellow strokes; green arms, blue tips")

# %%
left, right = simple[..., :64], simple[..., 64:]
within = (left - right).abs().mean().item()
upside_down = (left - left.flip(1)).abs().mean().item()
print(f"left and right half: {within:.3f}; left half and its mirror image: {upside_down:.3f}")
assert within > 0.7 * upside_down

# %% [markdown]
# To the pixels, two halves of one texture are as far apart as a piece and its own mirror image. A
# description of **texture** (纹理) must forget *where* things are and keep *what* is there.
#
# Four answers, from 1995 to 2015. Two of them **copy**: they never describe the texture at all. Two
# **describe** it by statistics, and make another picture that has the same ones.

# %% [markdown]
# ## 1. Pixel by pixel
#
# Efros and Leung (1999) grow a texture outwards from a seed; in the scan-line order used here Wei and
# Levoy (2000) paint. For each new pixel look at what is painted around it so far, $p$, find the place in the sample whose surroundings $q$ are most like it, and copy that pixel:
# $$d(p, q) = \sum_{i\,\text{painted}} w_i \,(p_i - q_i)^2, \qquad
# w \text{ a Gaussian around the new pixel.}$$
# One of the places within 10 % of the least distance is drawn at random. The sample is unfolded into a
# table of neighbourhoods, so that all places are compared at once.
#
# **Question.** What will happen if the neighbourhood is smaller than the pattern?

# %%
squiggles = texture.SAMPLES["squiggles"].pixels()[:, :32, :32]
grown = [texture.by_pixels(squiggles, 64, window) for window in (3, 7, 11)]
names = ["sample, 32 x 32", "window 3", "window 7", "window 11"]
pixels = [torch.nn.functional.pad(squiggles, (0, 32, 0, 32), value=1)] + [g.pixels for g in grown]
alt = "hair for the smallest window, loops and lines for the largest"
show.images(pixels, names, height=3, alt=alt)

# %% [markdown]
# The window is the only thing we tell it, and it decides everything: too small, and the lines end
# anywhere; large enough to see a whole bend, and the pattern goes on.
#
# Is it *new*, though? Each pixel comes from a known place. White marks where a pixel does not simply
# continue its neighbours' piece of the sample.

# %%
broken = [texture.breaks(g.source) for g in grown]
marked = [g.pixels.where(~b, torch.ones(())) for g, b in zip(grown, broken, strict=True)]
shares = [1 - b.float().mean().item() for b in broken]
titles = [f"{name}: {s:.0%} continued" for name, s in zip(names[1:], shares, strict=True)]
alt = "crumbs for the smallest window, pieces for the largest"
show.images(marked, titles, height=3.6, alt=alt)

# %%
assert shares[0] < shares[1] < shares[2]

# %% [markdown]
# The better it looks, the more it is copied in whole pieces. That thought leads to the next method: if
# pieces are copied anyway, why pixel by pixel?

# %%
small = [texture.SAMPLES[name].pixels(48) for name in ("leaves", "anemone")]
by_pixel = [texture.by_pixels(sample, 64, 11, seed=1).pixels for sample in small]
small = [torch.nn.functional.pad(sample, (8, 8, 8, 8), value=1) for sample in small]
titles = ["leaves, 48 × 48", "64 × 64 of them", "anemone, 48 × 48", "64 × 64 of it"]
pictures = [small[0], by_pixel[0], small[1], by_pixel[1]]
alt = "leaves: small strokes, repeated; anemone: arms that break off, and run in parallel"
show.images(pictures, titles, columns=4, height=3.2, alt=alt)

# %% [markdown]
# ## 2. Patch by patch
#
# Efros and Freeman (2001), **image quilting** (图像缝合). Lay square patches of the sample so that they
# overlap. Three versions: any patch; one that fits its neighbours in the overlap (the same distance $d$
# as before); and that one, cut along the path where old and new differ least.

# %%
sample = texture.SAMPLES["squiggles"].pixels()
versions = {"any patch": (False, False), "fitting": (True, False), "fitting and cut": (True, True)}
quilts = [texture.quilt(sample, 120, 24, matched=m, cut=c, seed=1) for m, c in versions.values()]
alt = "lines that break at every border; lines that mostly meet; lines that go on"
show.images([q.pixels for q in quilts], list(versions), height=3.4, alt=alt)

# %% [markdown]
# The cut is found by **dynamic programming** (动态规划). With $e_{ij}$ the squared difference in the
# overlap, the cheapest path from the top to row $i$, column $j$ costs
# $$E_{ij} = e_{ij} + \min(E_{i-1,j-1},\; E_{i-1,j},\; E_{i-1,j+1}),$$
# one line of code a row, and the best of all paths is read off backwards.

# %% slide="subslide"
old, new = sample[:, 4:28, 10:22], sample[:, 20:44, 40:52]
error = (old - new).square().sum(0)
seam = texture.least_cost_seam(error)
beyond = torch.arange(12) >= seam[:, None]
path = (error / error.max()).expand(3, -1, -1).clone()
path[:, torch.arange(24), seam] = torch.tensor([0.9, 0.6, 0.0])[:, None]

# %%
strips = {"old": old, "new": new, "difference, seam": path, "cut": old.where(~beyond, new)}
alt = "two strips of lines; a path along their smallest differences; both strips joined there"
show.images(list(strips.values()), list(strips), height=3.2, alt=alt)

# %%
straight = error.sum(0).min().item()
cheapest = error.gather(1, seam[:, None]).sum().item()
print(f"error met by the best straight line: {straight:.2f}, by the seam: {cheapest:.2f}")
assert cheapest < straight

# %% slide="subslide"
stones = texture.SAMPLES["stones"].pixels()
quilted = [texture.quilt(stones, 256, 48), texture.quilt(complex_, 256, 60, seed=3)]
true_size = [torch.nn.functional.pad(s, (64, 64, 64, 64), value=1) for s in (stones, complex_)]
pictures = [true_size[0], quilted[0].pixels, true_size[1], quilted[1].pixels]
titles = ["stones, 128 × 128", "256 × 256 of them", "anemone, 128 × 128", "256 × 256 of it"]
alt = "courses of stone without end; arms and tips, bunches of them more than once"
show.images(pictures, titles, columns=4, height=3.4, alt=alt)

# %% [markdown]
# Both are convincing at a glance, also the complex one: shapes are copied whole. Look longer and you
# find the same arm again and again. A detector of copies, below, will find them all.

# %% [markdown]
# ## 3. The statistics of linear filters
#
# Heeger and Bergen (1995). "Textures with equal statistics look alike": take a bank of linear filters,
# oriented ones at several scales, and for each of them the **histogram** (直方图) of its responses. Begin
# with white noise and, filter by filter, give its responses the sample's histogram; add the responses
# up to a picture again; repeat.

# %%
bank = texture.filter_bank((64, 64), scales=3)
dot = torch.zeros(64, 64)
dot[32, 32] = 1
kernels = texture.responses(dot, bank)[1:13, 16:48, 16:48]
names = [f"{scale}, {turn}°" for scale in ("fine", "middle", "coarse") for turn in (0, 45, 90, 135)]
show.maps(list(kernels), names, signed=True, columns=4, height=1.5, alt="oriented stripes")

# %%
fits = [texture.by_statistics(simple, 128, steps) for steps in (0, 1, 8)]
titles = ["sample", "colours only", "1 round", "8 rounds"]
alt = "coloured noise, then grain with a direction, then calmer strokes"
show.images([simple, *fits], titles, height=2.6, alt=alt)


# %%
def spread(pixels: torch.Tensor) -> torch.Tensor:
    answers = texture.responses(pixels, texture.filter_bank((128, 128)))
    return answers.std((2, 3)).flatten()


gaps = [(spread(x) / spread(simple)).log().abs().mean().item() for x in fits]
print("mean difference of the responses' spread:", ", ".join(f"{gap:.1%}" for gap in gaps))
assert gaps[2] < gaps[1] < 0.3 * gaps[0]

# %%
pair = [fits[-1], texture.by_statistics(complex_, 128)]
pictures = [simple, pair[0], complex_, pair[1]]
titles = ["leaves", "same histograms", "anemone", "same histograms"]
show.images(
    pictures, titles, height=2.6, alt="convincing for the leaves, only colours for the arms"
)

# %% [markdown]
# For the leaves this does well, and not a pixel is copied. The anemone loses its arms: a histogram
# counts how often *one* filter answers how strongly. That a bright edge here goes with a dark one beside
# it, and a blue tip with a green arm, is a matter of *several* filters answering **together**. (Julesz
# asked in 1962 which statistics two textures must share to look alike at a glance; Portilla and Simoncelli
# added those of *pairs* of linear filters in 2000.)

# %% [markdown]
# ## 4. Gram matrices
#
# Gatys, Ecker and Bethge (2015): the same idea, pairs included, with the filters that a network has
# learned. At position $m$ the $C$ channels of a layer give a vector $v_m$. Its outer product
# $v_m v_m^\top$ says which channels answer together *there*. The mean over all $M$ positions is the **Gram
# matrix** (格拉姆矩阵):
# $$G = \frac1M \sum_m v_m v_m^\top = \frac1M F F^\top, \qquad F = (v_1, \dots, v_M) .$$
# The sum of $M$ outer products is a single matrix product.

# %%
net = models.load("squeezenet1_1")
with torch.no_grad():
    maps = texture.features(net, net.normalize(simple)[None], ["fire2"])["fire2"]
vectors = maps[0].flatten(1).T
one_by_one = sum(torch.outer(v, v) for v in vectors) / len(vectors)
together = vectors.T @ vectors / len(vectors)
print(tuple(maps.shape), "->", tuple(together.shape))
assert torch.allclose(one_by_one, together, rtol=1e-3, atol=1e-4)

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 10 minutes).** For a batch: one matrix for each image.
#
# <details><summary>Hint 1: the positions in a row</summary>
# <code>features.flatten(2)</code> has the shape (N, C, M).
# </details>
# <details><summary>Hint 2: many products at once</summary>
# <code>@</code> multiplies the last two axes and keeps the first; <code>.mT</code> transposes the last
# two.
# </details>


# %% exercise="gram"
def gram(features):
    """F F^T / M: which channels answer together, in the mean over the positions.

    features: (N,C,H,W).
    Returns: (N,C,C).
    """
    ### BEGIN SOLUTION
    columns = features.flatten(2)
    return columns @ columns.mT / columns.shape[2]
    ### END SOLUTION


# %% check="gram"
check("gram", gram)

# %% slide="subslide"
find_gram = yours_or_ours("gram", gram)
shuffled = maps.flatten(2)[..., torch.randperm(vectors.shape[0])].view_as(maps)
gap = (find_gram(maps) - find_gram(shuffled)).abs().max().item()
print(f"largest difference after all positions were shuffled: {gap:.1e}")
assert gap < 1e-3 * find_gram(maps).max()

# %% [markdown]
# G never pairs two positions: shuffle them, and it stays. That sounds as if it could not know about
# shapes at all. But each $v_m$ has *seen* a piece of the picture, as large as its receptive field: a dot
# in a shallow layer, an arm with its tip in a deep one. Layout within that piece is kept; beyond it,
# forgotten.

# %% [markdown]
# ## What is never negative cannot trade off
#
# **Question.** The feature maps come out of a ReLU. Which sign do the entries of $G$ have? How would you
# see that two channels *avoid* each other?

# %%
found = find_gram(maps)[0, :24, :24], texture.covariance(maps)[0, :24, :24]
titles = ["Gram", "covariance"]
alt = "24 channels: the Gram matrix is all red, the covariance is red and blue"
show.maps(found, titles, signed=True, height=3.6, percentile=98, alt=alt)

# %%
negative = (texture.covariance(maps) < 0).float().mean().item()
print(f"negative entries: Gram {(find_gram(maps) < 0).float().mean():.0%}, ", end="")
print(f"covariance {negative:.0%}")
assert find_gram(maps).min() >= 0 < negative

# %% [markdown]
# Products of what is never negative are never negative. Only the **covariance** (协方差), in which each
# channel's mean is subtracted first, $\Sigma = G - \mu\mu^\top$, shows that two channels avoid each other.
# The Gram matrix holds the means as well; the covariance alone does not. We compare their textures below.

# %% [markdown]
# ## The loss
#
# For layer $l$ with $N_l$ channels, the new picture's matrix $G^l$ and the sample's $G'^l$:
# $$E_l = \frac{1}{4N_l^2}\sum_{ij}\big(G^l_{ij} - G'^l_{ij}\big)^2, \qquad L = \sum_l w_l E_l .$$
# Each matrix is divided by its *own* number of positions, so sample and result may differ in size. (With
# equal $M$ this is the paper's formula, whose $G$ is the sum and whose denominator has $4N_l^2M_l^2$.)

# %% [markdown] slide="subslide"
# **Exercise 2 (medium, 15 minutes).** Three dictionaries with layers' names as keys.
#
# <details><summary>Hint 1: one layer</summary>
# You have the Gram matrix from exercise 1. Write it out again, or call it: <code>gram(...)</code>.
# </details>
# <details><summary>Hint 2: what to divide by</summary>
# The number of channels is <code>features[layer].shape[1]</code>.
# </details>


# %% exercise="style_loss"
def style_loss(features, targets, weights):
    """The sum over layers of w_l E_l, and over the images of the batch.

    features: layer -> (N,C,H,W); targets: layer -> Gram matrices (N,C,C) or (1,C,C);
    weights: layer -> number.
    Returns: one number, as a tensor that still hangs on the features.
    """
    ### BEGIN SOLUTION
    total = 0
    for layer, maps in features.items():
        columns = maps.flatten(2)
        gap = columns @ columns.mT / columns.shape[2] - targets[layer]
        total = total + weights[layer] * gap.square().sum() / (4 * maps.shape[1] ** 2)
    return total
    ### END SOLUTION


# %% check="style_loss"
check("style_loss", style_loss)

# %% [markdown]
# ## The layers' weights
#
# How large is $E_l$ if the picture has nothing, $G = 0$?

# %%
find_loss = yours_or_ours("style_loss", style_loss)
names = texture.LAYERS["squeezenet1_1"]
with torch.no_grad():
    targets = texture.describe(net, simple[None], names)
ones = dict.fromkeys(names, 1.0)
empty = {k: torch.zeros(1, t.shape[1], 1, 1, device=net.device) for k, t in targets.items()}
alone = [find_loss({k: empty[k]}, targets, ones).item() for k in names]
weights = texture.balanced(targets)
show.table(["layer", "E for G = 0", "weight"], zip(names, alone, weights.values(), strict=True))

# %% [markdown]
# The largest is several times the smallest: with weights of 1 the layer with the largest activations would
# have the most say. `balanced` divides each by its value for $G = 0$, so that all layers' losses are relative
# errors. Other weights are a choice of what matters: the tuning knob of this method.

# %% [markdown]
# ## From noise
#
# L-BFGS, 30 steps, as in the paper from white noise; but in two ways. What is varied is either the pixels
# or, as in lecture 10, the picture's spectrum divided by the frequency.

# %%
white = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
plain = texture.synthesise(net, complex_, 128, names, 30, start=white)
run = texture.synthesise(net, complex_, 128, names, 30)
titles = ["sample", "pixels varied", "spectrum varied"]
alt = "strands under a fine grid of dots; soft strands in the sample's colours"
show.images([complex_, plain.image[0], run.image[0]], titles, height=3, alt=alt)

# %%
for name, one in {"pixels": plain, "spectrum": run}.items():
    print(f"{name}: {one.losses[0]:.3g} -> {one.losses[-1]:.3g}, {one.evaluations} evaluations")
assert run.losses[-1] < 0.1 * run.losses[0]

# %% [markdown]
# Both have come near the sample's matrices. But the pixels keep much of their noise. Does the network not see
# it? Move both pictures by a single pixel.

# %% slide="subslide"
with torch.no_grad():
    asked = texture.describe(net, complex_[None], names)


def loss_when_moved(pixels: torch.Tensor) -> float:
    moved = net.normalize(pixels.roll((1, 1), dims=(2, 3)))
    found = texture.features(net, moved, names)
    return find_loss(found, asked, texture.balanced(asked)).item()


with torch.no_grad():
    shifted = {n: loss_when_moved(p) for n, p in (("pixels", plain.image), ("spectrum", run.image))}
    shifted["the sample itself"] = loss_when_moved(complex_[None].to(net.device))
print("moved by one pixel:", ", ".join(f"{name} {loss:.3f}" for name, loss in shifted.items()))
assert shifted["pixels"] > 2 * shifted["spectrum"] > 2 * shifted["the sample itself"]

# %% [markdown]
# It sees it very well: noise sets off every filter, and the descent only bent it until it was right on the grid
# on which this network looks, two pixels wide. Moved by one, it is noise again. (As in lecture 12, where a dream
# without jitter fitted one position only.) The spectrum suffers less. From here on the spectrum.

# %%
widgets.scrub(run, ["texture"])

# %% [markdown]
# ## Deeper layers, larger structures
#
# We take all layers *up to* one, and go deeper. A fair ladder must not stop the deep rungs early, for they
# need more steps: each went on here until the same share of the loss of noise was left, one part in 2000. That
# is minutes, so the pictures are stored; `python data/rebuild_textures.py` makes them again.
#
# **Question.** What will come with depth: finer grain, or larger things?

# %%
by_fire = [texture.stored(f"squeezenet1_1_{deepest}") for deepest in names]
framed = true_size[1]
titles = ["sample, 128 pixels", *(f"up to {name}, 256" for name in names)]
alt = "up to relu1 grain and large patches of colour, up to fire2 short strands, then longer and smoother arms with blue tips"
show.images([framed, *by_fire], titles, columns=3, height=3.3, alt=alt)

# %% [markdown] slide="subslide"
# VGG is the usual choice here. Ours ends at conv5_1 and was fine-tuned for finding edges (HED), so it is
# not quite the network of the paper; being stored in 8 bits moves its Gram matrices by another 1 to 2 %.
# Low frequencies get a smaller lead here (`decay`); with the whole lead, large pale patches stay along the rim.

# %%
depths = texture.LAYERS["vgg16_hed"]
by_vgg = [texture.stored(f"vgg16_hed_{deepest}") for deepest in depths]
titles = ["sample", *(f"up to {name}" for name in depths)]
alt = "up to relu1_1 pitted grain in patches of colour; then short strands, then arms, the deeper the longer"
show.images([framed, *by_vgg], titles, columns=3, height=3.3, alt=alt)

# %% slide="subslide"
losses = {name: cost["losses"] for name, cost in texture.costs().items()}
rows = [
    [name, f"{found[16] / found[0]:.2%}", len(found) - 1, f"{found[-1] / found[0]:.3%}"]
    for name, found in losses.items()
]
show.table(["all layers up to", "left of the loss after 16 steps", "steps in all", "left"], rows)

# %%
assert max(found[-1] / found[0] for found in losses.values()) <= 0.0005

# %% [markdown]
# After 16 steps SqueezeNet's rungs were far from finished; at the end no rung is further from its goal than
# another, though the deepest needed more than three times as many steps as the first. So what you see is what the layers
# ask for, not how far the descent came.
#
# The first one asks for colours and grain, in patches of any size, for it sees none of them whole. With the
# next come strands, and then arms that end in blue tips; with VGG the tips are round. What grows is the
# **structure** that one position can see, never the layout: where the arms come from, and that they bend
# around one centre, is lost at every depth.

# %% [markdown]
# ## Gram against covariance
#
# The same layers, the same steps, but matching $\Sigma$ in place of $G$. What will be missing?

# %%
little = texture.SAMPLES["anemone"].pixels(96)
statistics = {"Gram": texture.gram, "covariance": texture.covariance}
matched = [
    texture.synthesise(net, little, 96, names, 20, statistic=one, keep=0).image[0]
    for one in statistics.values()
]
show.images([little, *matched], ["sample", *statistics], height=3, alt="strands in both of them")

# %%
wanted = little.mean((1, 2))
off = [(x.cpu().mean((1, 2)) - wanted).abs().mean().item() for x in matched]
print(f"mean colour, off by: Gram {off[0]:.3f}, covariance {off[1]:.3f} (of 1)")
assert max(off) < 0.1

# %% [markdown]
# The structure is as good with one as with the other. The means are what the covariance leaves free; yet even
# the colours stay. Which layer holds them? Each of the outer two alone:

# %%
for name in (names[0], names[-1]):
    how = {"statistic": texture.covariance, "keep": 0}
    one = texture.synthesise(net, little, 96, [name], 20, **how).image[0].cpu()
    off.append((one.mean((1, 2)) - wanted).abs().mean().item())
grey = (0.5 - wanted).abs().mean().item()
print(f"off by: {names[0]} alone {off[2]:.3f}, {names[-1]} alone {off[3]:.3f}; grey {grey:.3f}")
assert off[3] > 2 * max(off[:3])

# %% [markdown]
# The first layer does, by its covariance alone. The deep one alone leaves them as free as you would expect: its
# colours are no nearer than plain grey.

# %% [markdown]
# ## Larger than the sample
#
# Nothing ties the result to the sample's size: $G$ is a mean. But does a larger picture only repeat what
# was there? The **autocorrelation** (自相关) asks: how alike are the picture and a copy of it, shifted by
# $(a, b)$? It is 1 for a shift of 0, and 1 again wherever a picture repeats itself.
#
# The rim, where the network sees its own zero padding, is cut off.

# %%
large = by_fire[-1][:, 12:-12, 12:-12]
pictures = {"tiles": complex_.tile(1, 2, 2), "quilt": quilted[1].pixels, "Gram": large}
alt = "four times the sample; arms in many places; strands and tips, none of them like another"
show.images(list(pictures.values()), list(pictures), height=3.2, alt=alt)

# %%
similar = [texture.autocorrelation(p) for p in pictures.values()]
repeats = [texture.repetition(p, 64) for p in pictures.values()]
titles = [f"{name}: {r:.2f} at most" for name, r in zip(pictures, repeats, strict=True)]
alt = "tiles: red again at the borders; quilt: spots off the middle; Gram: red in the middle only"
one_scale = [show.colours(s, signed=True, top=0.4) for s in similar]
show.images(one_scale, titles, height=3.6, alt=alt)

# %%
assert repeats[0] > 0.99
assert max(repeats[1:]) < 0.7

# %% [markdown]
# The numbers are the largest values at shifts of 64 pixels or more. Tiles repeat perfectly. The quilt
# repeats its pieces too, but at many different shifts, and the autocorrelation averages over the whole
# picture: it finds *regular* repetition, not copies.

# %% [markdown]
# ## Who copies?
#
# So we look for the pieces themselves. For each patch of 7 × 7 pixels of a result, which patch of the
# sample is nearest? We paint the pixel in the colour of that place: a piece that was copied comes out as a
# smooth patch of the colour chart.
#
# The four methods made textures of 160 pixels from the same 128, each of which we ask for the upper left 96.
#
# **Question.** Which of the four methods will show the largest pieces? Is any free of them?

# %% slide="subslide"
methods = dict(zip(texture.METHODS, ("pixels", "quilt", "histograms", "Gram"), strict=True))
by_method = {n: texture.stored(f"anemone_{m}")[:, :96, :96] for m, n in methods.items()}
sources = {name: texture.nearest_source(p, complex_) for name, p in by_method.items()}


# %%
def painted_by_place(source: torch.Tensor) -> torch.Tensor:
    """Red by row, blue by column, green towards the upper left."""
    place = source / 127
    return torch.stack([place[0], 0.8 * (1 - place.mean(0)), place[1]])


chart = torch.stack(torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij"))
alt = (
    "pixels and quilt: large patches of smooth colour; histograms and Gram: confetti, Gram coarser"
)
pictures = [complex_, *by_method.values(), *map(painted_by_place, [chart, *sources.values()])]
titles = ["sample", *by_method, "colour chart", *(f"{name}: from" for name in by_method)]
show.images(pictures, titles, columns=5, height=2.5, alt=alt)


# %%
def continued(source: torch.Tensor) -> float:
    return 1 - texture.breaks(source)[1:, 1:].float().mean().item()


noise = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))
strangers = {"white noise": noise, "a hedgehog": texture.SAMPLES["spines"].pixels()[:, :96, :96]}
sources |= {name: texture.nearest_source(p, complex_) for name, p in strangers.items()}
copied = {name: continued(source) for name, source in sources.items()}
show.bars(list(copied), copied.values(), "share of places that continue both neighbours")

# %%
assert min(copied["pixels"], copied["quilt"]) > 3 * copied["Gram"]
assert copied["white noise"] < copied["a hedgehog"] < copied["Gram"] < 0.15

# %% [markdown]
# Copying shows: long runs of pixels whose sources are neighbours too. White noise has some by chance, .03, and
# a hedgehog's spines, a photo of something else, have .06, as much as smooth noise. The Gram texture's .09 is
# hardly more, and for the stones it is the same as for a picture of something else, .06.
# It does resemble the sample everywhere; it does not cut pieces out of it.

# %% [markdown]
# ## One network, three sizes
#
# In the middle below, the anemone as relu1 alone remembers it: patches of colour larger than any arm. A position
# sees no farther than its receptive field, three pixels here, so nothing says how large a patch may be.
#
# A cure (Snelgrove 2017): match the matrices of smaller copies of the picture too. In a copy of a quarter
# of the size, each position sees four times as far.

# %%
shallow, sizes = names[:1], [1, 3]
patches = [
    texture.synthesise(net, complex_, 128, shallow, 30, octaves=n, keep=0).image[0].cpu()
    for n in sizes
]
titles = ["sample", "relu1, one size", "relu1, three sizes"]
alt = "one size: a few large patches of colour; three sizes: more and smaller ones"
show.images([complex_, *patches], titles, height=3.8, alt=alt)


# %% slide="subslide"
def large(pixels: torch.Tensor) -> float:
    """The share of the variance that is left in the means of 16 x 16 pixels."""
    means = torch.nn.functional.avg_pool2d(pixels, 16)
    return (means.flatten(1).var(1).sum() / pixels.flatten(1).var(1).sum()).item()


shares = [large(p) for p in (complex_, *patches)]
said = (f"{title} {share:.0%}" for title, share in zip(titles, shares, strict=True))
print("larger than 16 pixels:", ", ".join(said))
assert abs(shares[2] - shares[0]) < 0.6 * abs(shares[1] - shares[0])

# %% [markdown]
# The patches come down to about the sample's sizes. All layers up to fire5 see that far by themselves: with them
# three sizes gain little, as we measured with three samples and three seeds.

# %% [markdown]
# ## All four, side by side
#
# The same size from the same sample, the Gram matrices those of one network (SqueezeNet), by the ladder's rule:
# the stones kept it, the anemone came to its limit of 800 steps short of it. 128 of 160 pixels are shown.
#
# **Question.** The stones look the same all over, the anemone does not. Which method will mind?

# %%
flat = []
for name, sample in (("stones", stones), ("anemone", complex_)):
    flat += [sample, *(texture.stored(f"{name}_{method}")[:, :128, :128] for method in methods)]
titles = ["sample", "pixel by pixel", "quilt", "linear filters", "Gram matrices"] * 2
alt = "two samples and four textures of each: the linear filters lose courses and arms, pixel by pixel makes stairs of the anemone"
show.images(flat, titles, columns=5, height=2.6, alt=alt)

# %% [markdown]
# The linear filters mind most, even with the stones: grain, but no courses. The Gram matrices keep the courses,
# and of the anemone arms and tips, not their order. The copies keep what fits into a patch or a window: pixel by
# pixel paints stones, but the arms are wider than its 11 pixels, and once a wrong piece is there it goes on.

# %% [markdown] slide="subslide"
# | | copies | describes | keeps shapes | new content | any size |
# |---|---|---|---|---|---|
# | pixel by pixel | pixels | – | if the window is large enough | hardly | yes, slowly |
# | quilting | patches | – | inside patches | no | yes, fast |
# | linear filters | – | one filter at a time | no | yes | yes, fast |
# | Gram matrices | – | pairs of learned filters | as large as a receptive field | yes | yes |
#
# Quilting is often the prettiest. But only a *description* can be used for something else: lecture 15
# takes the texture of a painting and the content of a photo.

# %% [markdown]
# ## Try it
#
# Which sample needs depth, which does not? What do the squiggles lose? Compare Gram and covariance.

# %%
widgets.texture_explorer(net)

# %% [markdown]
# ## What we saw
#
# - Texture is what stays when places are forgotten. Two ways to make more of it: copy, or describe.
# - Pixel by pixel and patch by patch copy; the window or the patch has to be as large as the pattern.
# - Histograms of linear filters describe what each filter sees alone: enough for leaves, not for shapes.
# - A Gram matrix holds which channels answer *together*, at the same position, never at two.
# - After a ReLU its entries are never negative; only the covariance shows what avoids each other.
# - Deeper Gram matrices restore larger structures, not the layout; so do smaller copies of the picture.

# %% [markdown]
# **What it does not show.** That two pictures with equal Gram matrices look alike to us is an observation,
# not a theorem. And our VGG was fine-tuned for edges; the paper's was not.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | texture synthesis | 纹理合成 | a new picture with the texture of a sample |
# | non-parametric sampling | 非参数采样 | drawing pixels from the sample, without a model |
# | image quilting | 图像缝合 | overlapping patches, cut along the least-cost seam |
# | dynamic programming | 动态规划 | the best path from the best paths to its neighbours |
# | filter bank | 滤波器组 | linear filters of several scales and directions |
# | histogram matching | 直方图匹配 | values keep their order and get another distribution |
# | Gram matrix | 格拉姆矩阵 | the mean of v vᵀ over positions: which channels answer together |
# | covariance | 协方差 | the same after subtracting each channel's mean |
# | autocorrelation | 自相关 | likeness of a picture and its shifted self |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
show.credits([sample.picture for sample in texture.SAMPLES.values()])

# %% [markdown] slide="skip"
# ## Papers
#
# - B. Julesz. [*Visual Pattern Discrimination.*](https://doi.org/10.1109/TIT.1962.1057698) IRE Transactions on Information Theory 1962.
# - D. J. Heeger, J. R. Bergen. [*Pyramid-Based Texture Analysis/Synthesis.*](https://doi.org/10.1145/218380.218446) SIGGRAPH 1995.
# - A. A. Efros, T. K. Leung. [*Texture Synthesis by Non-parametric Sampling.*](https://doi.org/10.1109/ICCV.1999.790383) ICCV 1999.
# - L.-Y. Wei, M. Levoy. [*Fast Texture Synthesis using Tree-structured Vector Quantization.*](https://doi.org/10.1145/344779.345009) SIGGRAPH
#   2000.
# - J. Portilla, E. P. Simoncelli. [*A Parametric Texture Model Based on Joint Statistics of Complex
#   Wavelet Coefficients.*](https://doi.org/10.1023/A:1026553619983) International Journal of Computer Vision 2000.
# - A. A. Efros, W. T. Freeman. [*Image Quilting for Texture Synthesis and Transfer.*](https://doi.org/10.1145/383259.383296) SIGGRAPH 2001.

# %% [markdown] slide="skip"
# - L. A. Gatys, A. S. Ecker, M. Bethge. [*Texture Synthesis Using Convolutional Neural Networks.*](https://arxiv.org/abs/1505.07376)
#   NeurIPS 2015.
# - X. Snelgrove. [*High-Resolution Multi-Scale Neural Texture Synthesis.*](https://doi.org/10.1145/3145749.3149449) SIGGRAPH Asia 2017.
# - S. Xie, Z. Tu. [*Holistically-Nested Edge Detection.*](https://arxiv.org/abs/1504.06375) ICCV 2015.
