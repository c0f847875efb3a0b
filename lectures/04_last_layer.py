# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 04 The last layer
#
# **Which photos look alike to a network, and how do we draw a map of all of them?**
#
# After this lecture you can
# - turn a photo into its feature vector, and say which layer you took it from and why;
# - find the nearest neighbours of a photo, in pixels and in features, and put a number on the difference;
# - measure what the features ignore: light, position, angle, distance;
# - draw maps with PCA and t-SNE, and say what may and may not be read from them;
# - watch the groups form from layer to layer.
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
from functools import cache

import torch
import torchvision
from scipy.stats import spearmanr
from sklearn.datasets import load_digits

from course_utils import images, last_layer, models, show, widgets
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## Warm-up: a map of digits
#
# scikit-learn brings small scans of handwritten digits: 8 × 8 pixels, so each is a point in a space of
# **64 dimensions**. (MNIST's are 28 × 28, so 784.) We take 1000 of them.
#
# **Question.** Nobody can look at 64 dimensions. If we may only keep two, what should they preserve?

# %%
digits = load_digits()
written = torch.from_numpy(digits.data[:1000]).float()
ink = written.view(-1, 8, 8) / 16
show.images(1 - ink[:10], columns=10, height=0.8, alt="the first ten digits, 0 to 9")

# %% [markdown]
# **t-SNE** (van der Maaten & Hinton 2008) preserves *neighbours*: points that are near in 64 dimensions
# shall be near on the map. It sees the pixels only, never which digit it is. We colour the digits
# afterwards.

# %%
digit_map = last_layer.tsne(written, perplexity=30)
hues = [last_layer.DIGIT_COLOURS[d] for d in digits.target[:1000]]
pictures = last_layer.tinted(ink.repeat_interleave(2, 1).repeat_interleave(2, 2), hues)
drawn = last_layer.paste(pictures, last_layer.apart(digit_map, 16, 800))

# %%
alt = "a map of 1000 small digits: the same digits lie together, 0 and 6 as islands"
show.images([drawn], height=6.5, alt=alt)

# %% slide="subslide"
nearest = last_layer.nearest_neighbours(digit_map, 1)
same = last_layer.precision_at_k(nearest, digits.target[:1000]).mean()
print(f"the nearest on the map is the same digit: {same:.0%}")
assert same > 0.95

# %% [markdown]
# Nearly every digit has a region of its own, 0 and 6 an island, and no one told it which is which. Look for
# the exceptions: the 1 lies in two places, with and without a foot, and some 9 live between the 7 and
# the 1. What the map joins is what *looks* alike.
#
# For digits, pixels are enough. For photos?

# %% [markdown]
# ## Photos as vectors
#
# Our collection: 225 photos in six categories, no two of them the same photograph in two sizes: a
# copy would be too easy a neighbour.
#
# As **pixel vectors**, shrunk to 32 × 32, they have $3 \cdot 32 \cdot 32 = 3072$ numbers.

# %%
net = models.load("squeezenet1_1")
photos = images.photos()
pixels = net.crop_pixels(photos)
categories = [photo.category for photo in photos]
colours = [last_layer.COLOURS[category] for category in categories]

# %%
names = [photo.name for photo in photos]
chosen = [names.index(n) for n in ("koala", "taj_mahal", "windmill2", "fish3", "cup", "scissors1")]
counts = {name: categories.count(name) for name in last_layer.COLOURS}
shown = last_layer.framed(pixels[chosen], list(last_layer.COLOURS.values()), 12)
alt = "one photo of each category, in the colour of its category"
show.images(shown, [f"{name}: {n} photos" for name, n in counts.items()], alt=alt)

# %% [markdown]
# The frames' colours stand for the categories from here on.

# %% [markdown]
# ### The feature vector
#
# A network ends in a **linear classifier**. It can only tell apart what the layer before it has already
# pulled apart, so the **feature vector** (特征向量) before the classifier is the network's own
# description of the photo.
#
# - SqueezeNet: the 512 maps of **fire9**. Next comes conv10, whose 1000 maps are the classes already.
# - EfficientNet-Lite0: the 1280 numbers after its global pooling.
#
# fire9's maps still have 13 × 13 positions. We average over them, as SqueezeNet itself does one layer
# later: $\phi_k = \frac{1}{hw} \sum_{ij} A_{k,ij}$.

# %%
depth = ["pool1", "fire3", "fire5", "fire7", "fire9", "pool10"]
vectors = last_layer.vectors_by_layer(net, pixels, depth, progress="SqueezeNet")
raw, squeeze = vectors["pixels"], vectors["fire9"]

# %%
other = models.load("efficientnet_lite0")
pooled = last_layer.features(other, pixels, ["pool"], progress="EfficientNet-Lite0")
efficient = last_layer.unit(pooled["pool"])
print(tuple(raw.shape), tuple(squeeze.shape), tuple(efficient.shape))

# %% [markdown]
# All layers of SqueezeNet came from one forward pass of each photo; we keep them for the end.
#
# Feature vectors are scaled to length 1 (`unit`), because a bright, busy photo has a longer vector than a
# calm one of the same thing. Between unit vectors only the angle counts:
# $\|a-b\|^2 = 2 - 2\cos(a, b)$.

# %% [markdown]
# ## Nearest neighbours
#
# For 225 vectors there are 50,400 ordered pairs. A loop over them in Python takes its time; one product
# of matrices does it at once, because
# $$\|x_i - x_j\|^2 = \|x_i\|^2 + \|x_j\|^2 - 2\, x_i^\top x_j .$$

# %% [markdown] slide="subslide"
# **Exercise 1 (medium, 15 minutes).** The k nearest neighbours of every vector, itself apart, without a
# loop.
#
# <details><summary>Hint 1: the three terms</summary>
# All the products are <code>x @ x.T</code>, shape (N,N). The squared lengths have shape (N,); with
# <code>[:, None]</code> they become a column, and broadcasting fills the table.
# </details>
# <details><summary>Hint 2: who is nearest to me?</summary>
# You are. Make the diagonal infinitely large: <code>fill_diagonal_(torch.inf)</code>.
# </details>
# <details><summary>Hint 3: the k smallest</summary>
# <code>topk(k, largest=False)</code> has <code>.values</code> and <code>.indices</code>.
# </details>


# %% exercise="nearest_neighbours"
def nearest_neighbours(x, k):
    """The rows of x nearest to each row by Euclidean distance, itself apart.

    x: vectors (N,D), of any length; k: 1 to N - 1.
    Returns: row numbers (N,k), the nearest first.
    """
    ### BEGIN SOLUTION
    x = x.double()
    squares = (x**2).sum(dim=1)
    distances = squares[:, None] + squares - 2 * x @ x.T
    distances.fill_diagonal_(torch.inf)
    return distances.topk(k, largest=False).indices
    ### END SOLUTION


# %% check="nearest_neighbours"
check("nearest_neighbours", nearest_neighbours)

# %% slide="subslide"
find_neighbours = yours_or_ours("nearest_neighbours", nearest_neighbours)
queries = [names.index(n) for n in ("panda", "fish2", "windmill2", "taj_mahal", "owl", "swans")]


@cache  # several tables ask for the same vectors
def ten_nearest(x: torch.Tensor) -> torch.Tensor:
    return find_neighbours(x, 10)


# %%
tiles = last_layer.thumbnails(pixels, 96)
rows = [
    last_layer.neighbour_rows(tiles, queries, find_neighbours(x, 5)[queries], categories)
    for x in (raw, squeeze)
]
rows = [torch.nn.functional.pad(row, (20, 20), value=1.0) for row in rows]

# %%
alt = "six photos, each with its five nearest in pixels (left) and in features (right)"
show.images(rows, ["nearest in pixels", "nearest in features"], height=5.2, alt=alt)

# %% [markdown] slide="subslide"
# Blue frames: the same category as the photo on the left; orange: another.
#
# In pixel space the windmill is near a hedgehog: dark and light in the same places. In feature space it is
# near windmills, from any side, under any sky.
#
# But look at the last row: the swans, white on black and mirrored in the water, are near the Taj Mahal.
# Features are no magic either.

# %% [markdown]
# ## A number for it: precision@k
#
# Six rows prove nothing. **Precision@k** (前 k 精确率): of the k nearest photos, which share has the
# query's category?
#
# **Question.** What would blind guessing give? Not 1/6: there are more buildings than objects.
# For a category of $n_c$ photos among $N$ it is $(n_c - 1)/(N - 1)$.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 5 minutes).** One share for each photo.
#
# <details><summary>Hint 1: who are the neighbours?</summary>
# <code>neighbours[i]</code> holds row numbers; <code>labels[j]</code> is the label of row
# <code>j</code>.
# </details>
# <details><summary>Hint 2: a share</summary>
# It is the mean of right (1) and wrong (0). A loop over the photos is fine.
# </details>


# %% exercise="precision_at_k"
def precision_at_k(neighbours, labels):
    """The share of each photo's neighbours that have its label.

    neighbours: row numbers (N,k); labels: a list of N words.
    Returns: (N,), from 0 to 1.
    """
    ### BEGIN SOLUTION
    rows = enumerate(neighbours.tolist())
    right = [[labels[j] == labels[i] for j in row] for i, row in rows]
    return torch.tensor(right).float().mean(dim=1)
    ### END SOLUTION


# %% check="precision_at_k"
check("precision_at_k", precision_at_k)

# %% slide="subslide"
find_precision = yours_or_ours("precision_at_k", precision_at_k)
chance = last_layer.chance_precision(categories)


def precision(x: torch.Tensor, k: int = 5) -> torch.Tensor:
    return find_precision(ten_nearest(x)[:, :k], categories)


print(f"chance {chance:.2f}, pixels {precision(raw).mean():.2f}", end=", ")
print(f"features {precision(squeeze).mean():.2f}")

# %% [markdown] slide="subslide"
# A fair comparison has controls. Is it the *averaging* over positions that helps? Then mean colours would
# do. Is it the *first layer*? Is it the *architecture*, before it learned anything? Then SqueezeNet with
# random weights would do.

# %%
torch.manual_seed(0)
untrained = models.Network(
    torchvision.models.squeezenet1_1(), "untrained", layers=models.SQUEEZENET_LAYERS
).to(net.device, memory_format=torch.channels_last)
blind = last_layer.features(untrained, pixels, ["fire9"], progress="untrained")

# %% slide="subslide"
spaces = {
    "pixels": raw,
    "mean colour": pixels.mean((2, 3)),
    "SqueezeNet, first layer (pool1)": vectors["pool1"],
    "SqueezeNet, untrained (fire9)": last_layer.unit(blind["fire9"]),
    "SqueezeNet, features (fire9)": squeeze,
    "SqueezeNet, classes (pool10)": vectors["pool10"],
    "EfficientNet-Lite0, features": efficient,
}

# %% slide="subslide"
means = {name: [precision(x, k).mean() for k in (1, 5, 10)] for name, x in spaces.items()}
show.table(
    ["vectors", "numbers", "precision@1", "@5", "@10"],
    [["chance", "", *3 * [chance]], *([n, spaces[n].shape[1], *m] for n, m in means.items())],
)

# %% slide="subslide"
for name in list(spaces)[-3:]:
    gain = precision(spaces[name]) - precision(raw)
    error = gain.std() / len(gain) ** 0.5
    print(f"{name}: {gain.mean():+.2f} ± {2 * error:.2f} over pixels, precision@5")
    assert gain.mean() - 2 * error > 0.2

# %%
controls = [precision(x).mean() for x in list(spaces.values())[:4]]
assert max(controls) < 0.5 < precision(squeeze).mean()

# %% [markdown] slide="subslide"
# Of a photo's five neighbours about two are right in pixel space and four in feature space: precision@5
# rises from .42 to .76 (SqueezeNet) and .84 (EfficientNet-Lite0), with chance at .21. The controls are
# no better than the pixels, so it is the *learning*, not the averaging and not the architecture.
#
# After ± stand two standard errors: how much the mean would move for another sample of photos. They do not
# cover another choice of categories. And these categories are ours: a dolphin among fish counts as an
# error.

# %% [markdown] slide="subslide"
# **Question.** Why are the pixels twice as good as chance? Look at the categories one by one.

# %%
groups = {c: torch.tensor([own == c for own in categories]) for c in counts}
three = [precision(x) for x in (raw, squeeze, efficient)]
show.table(
    ["precision@5", "chance", "pixels", "SqueezeNet", "EfficientNet-Lite0"],
    [[c, (counts[c] - 1) / 224, *(p[mine].mean() for p in three)] for c, mine in groups.items()],
)

# %% [markdown] slide="subslide"
# Pixels know that tools are photographed on white, fish in the dark, buildings under a bright sky: the
# photographer's habits, not the thing. For energy (dams, solar panels, windmills) this hardly helps.
#
# "Object" is another matter: .24 and .28 are four times chance, but hardly more than the .20 of the pixels. Cup,
# pillow and igloo have little in common but the word.

# %% [markdown]
# ## What the features ignore
#
# One photo, taken five more times: relit (darker), shifted, rotated by 12°, cropped (nearer), mirrored.
# **Question.** Which of these moves its pixel vector most? And its feature vector?


# %%
gallery = {"pixels": raw, "mean colour": spaces["mean colour"]}
gallery |= {"untrained": spaces["SqueezeNet, untrained (fire9)"], "features": squeeze}


def compare(image: object) -> list[torch.Tensor]:
    """One photo's variants, the photo first, in each space of the gallery."""
    six = torch.stack(list(last_layer.variants(image).values()))
    seen = last_layer.vectors_by_layer(net, six, ["fire9"])
    control = last_layer.vectors_by_layer(untrained, six, ["fire9"])["fire9"]
    return [seen["pixels"], six.mean((2, 3)), control, seen["fire9"]]


# %%
def moved(views: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """How far each variant is from its photo; 1 is as far as two photos of the gallery."""
    between = torch.pdist(gallery).quantile(0.5)
    return (views[..., 1:, :] - views[..., :1, :]).norm(dim=-1) / between


# %%
owls = last_layer.variants(images.photo("owl"))
kinds = list(owls)
views = zip(compare(images.photo("owl")), gallery.values(), strict=True)
owl = [moved(x, others) for x, others in views]

# %%
pairs = zip(kinds[1:], owl[0], owl[-1], strict=True)
titles = ["photo", *(f"{k}\npixels {p:.2f}, features {f:.2f}" for k, p, f in pairs)]
show.images(list(owls.values()), titles, alt="an owl and five variants, with how far each moved")

# %% [markdown] slide="subslide"
# The numbers are distances to the photo on the left; 1 is the median distance of two different photos. One
# owl proves nothing either. So: every ninth photo of the collection, 25 in all.

# %%
sample = range(0, 225, 9)
seen = zip(*(compare(photos[i]) for i in sample), strict=True)
views = {name: torch.stack(x) for name, x in zip(gallery, seen, strict=True)}

# %%
steps = {name: moved(x, gallery[name]).mean(0) for name, x in views.items()}
rows = zip(kinds[1:], *steps.values(), strict=True)
show.table(["moved, mean of 25 photos", *gallery], rows)

# %%
calmer = steps["mean colour"] < steps["features"]
print(
    "the mean colour moves less than the features when:",
    "; ".join(kind for kind, calm in zip(kinds[1:], calmer, strict=True) if calm),
)
assert (steps["features"] < 0.85 * steps["pixels"]).all()
assert calmer.sum() >= 3

# %% [markdown] slide="subslide"
# In units of the distance between two random photos: shifted by a seventh of its side, a photo has moved
# 0.72 of the way to a stranger in pixel space, and 0.35 in feature space. Features are not **invariant**
# (不变性) to any of it, but they move less than pixels, at every change.
#
# Is that an achievement? Look at the controls. Three numbers, the mean colour, move *less* than the features
# in four of the five changes. **Standing still is no merit**: a vector that says nothing never moves.

# %% [markdown] slide="subslide"
# What we want is both: to stay near the original *and* away from all others. So we look for the original
# among all 225 photos, given the variant.


# %%
def recognised(views: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """For each variant, the share of photos that are nearer to it than all other photos."""
    hits = []
    for i, x in zip(sample, views, strict=True):
        distances = last_layer.squared_distances(x[1:], gallery)
        distances[:, i] = (x[1:] - x[0]).square().sum(1)  # the photo, cut as its variants are
        hits.append(distances.argmin(1) == i)
    return torch.stack(hits).float().mean(0)


# %% slide="subslide"
rates = {name: recognised(x, gallery[name]) for name, x in views.items()}
show.table(
    ["the nearest photo is the original", *gallery], zip(kinds[1:], *rates.values(), strict=True)
)

# %%
assert rates["pixels"][1] < 0.4
assert rates["mean colour"][[0, 1, 3]].max() < 0.5
assert rates["untrained"].min() < 0.4
assert (rates["features"] > 0.9).all()

# %% [markdown]
# Shift a photo, and in pixel space its nearest neighbour is a stranger in 21 cases of 25. The mean colour finds
# mirrored and turned photos, which have the same colours; of the shifted and the cropped ones .28, of the darker
# ones .04. The untrained network mostly loses the photo when the light changes, .12. Only the *learned* features
# find the original after every change, .96 to 1. Image search is built on this.

# %% [markdown]
# ## Two dimensions: PCA
#
# **Principal component analysis** (主成分分析) keeps the directions of largest variance. With the mean
# vector $\bar x$ and the singular value decomposition
# $$x - \bar x = U S V^\top ,$$
# the rows of $V^\top$ are the directions, and the projections on them are $(x - \bar x)\,V = U S$.

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 15 minutes).** A direction may point either way, and routines differ in their
# choice. To make answers comparable: in each column the entry that is largest in size shall be positive.
#
# <details><summary>Hint 1: the decomposition</summary>
# <code>u, s, vt = torch.linalg.svd(centred, full_matrices=False)</code>; the largest singular value
# comes first.
# </details>
# <details><summary>Hint 2: which axis has the mean?</summary>
# One mean for each of the D columns: the mean <em>vector</em> has shape (D,).
# </details>
# <details><summary>Hint 3: the sign</summary>
# <code>projected.abs().argmax(dim=0)</code> says where each column is largest in size;
# <code>torch.gather</code> or a comparison of <code>amax</code> with <code>-amin</code> its sign.
# </details>


# %% exercise="pca"
def pca(x, components):
    """Projections of the vectors on the directions of largest variance.

    x: vectors (N,D); components: 1 to min(N, D).
    Returns: (N,components), the largest variance first; in each column the entry that is largest
    in size is positive.
    """
    ### BEGIN SOLUTION
    centred = x - x.mean(dim=0)
    u, s, vt = torch.linalg.svd(centred, full_matrices=False)
    projected = (u * s)[:, :components]
    negative = -projected.amin(dim=0) > projected.amax(dim=0)
    return torch.where(negative, -projected, projected)
    ### END SOLUTION


# %% check="pca"
check("pca", pca)

# %% slide="subslide"
project = yours_or_ours("pca", pca)
flat = project(efficient, 2)
shares = last_layer.variance_shares(efficient)
print(
    f"variance in the first two components: {shares[:2].sum():.0%}, in fifty: {shares[:50].sum():.0%}"
)
assert shares[:2].sum() < 0.2

# %%
stamps = last_layer.framed(last_layer.thumbnails(pixels, 64), colours, 5)
drawn = last_layer.paste(stamps, last_layer.apart(flat, 64))

# %%
show.images([drawn], height=7, alt="PCA map: tools, buildings and fish at three ends")

# %% [markdown] slide="subslide"
# Photos that would cover one another were pushed apart: look for groups, not for exact places.
#
# The first direction runs from things on a table to things under the sky, the second separates the fish.
# But two directions hold only a tenth of the variance, and in the middle everything lies on top of
# everything.

# %% [markdown]
# ## Two dimensions: t-SNE
#
# t-SNE gives up on large distances to get the small ones right. In feature space, photo $i$ would pick
# photo $j$ as its neighbour with probability
# $p_{j|i} \propto e^{-\|x_i - x_j\|^2 / 2\sigma_i^2}$; on the map, pairs are near with
# $q_{ij} \propto (1 + \|y_i - y_j\|^2)^{-1}$, and gradient descent moves the $y$ until
# $\sum p \log (p/q)$ is small. The **perplexity** (困惑度) sets $\sigma_i$: about how many neighbours
# count.

# %%
tsne_map = last_layer.tsne(efficient, perplexity=20)
drawn = last_layer.paste(stamps, last_layer.apart(tsne_map, 64))

# %%
alt = "t-SNE map of all photos: fish, tools, animals, windmills and buildings lie in groups"
show.images([drawn], height=7, alt=alt)


# %% slide="subslide"
def kept(map_: torch.Tensor) -> float:
    """The share of each photo's ten nearest in feature space that are so on the map."""
    true, seen = ten_nearest(efficient), ten_nearest(map_)
    return (true[:, :, None] == seen[:, None]).any(2).float().mean().item()


for name, map_ in (("PCA", flat), ("t-SNE", tsne_map)):
    print(
        f"{name}: precision@5 on the map {precision(map_).mean():.2f}, neighbours kept {kept(map_):.0%}"
    )
assert kept(tsne_map) > 1.5 * kept(flat)

# %% [markdown]
# More than half of each photo's ten neighbours survive on two dimensions, twice as many as with PCA. And on
# this map photos find their category as well as in all 1280 dimensions.

# %% [markdown]
# ## What the map does not mean
#
# Three clouds whose truth we know, because we drew them in two dimensions: two of unequal **size**, three at
# unequal **distances**, and pure **noise**.
#
# **Question.** t-SNE only has to go from two dimensions to two. What will it change?

# %%
blob = torch.randn(3, 70, 2, generator=torch.Generator().manual_seed(0))
size = torch.cat([blob[0], blob[1] * 10 + 40])
distance = torch.cat([blob[0], blob[1] + 10, blob[2] + 60])
clouds = {"size": (size, 20), "distance": (distance, 20), "noise": (blob.reshape(-1, 2), 3)}
mapped = {name: last_layer.tsne(x, perplexity) for name, (x, perplexity) in clouds.items()}


# %%
def dotted(positions: torch.Tensor, hues: list[str]) -> torch.Tensor:
    """A map (N,2) as dots, on a square picture."""
    drawn = last_layer.paste(last_layer.dots(hues, 8), last_layer.corners(positions, 8, 280))
    top, left = ((300 - n) // 2 for n in drawn.shape[1:])
    right, bottom = 300 - drawn.shape[2] - left, 300 - drawn.shape[1] - top
    square = torch.nn.functional.pad(drawn, (left, right, top, bottom), value=1.0)
    return torch.nn.functional.pad(square, (2, 2, 2, 2), value=0.75)


# %%
hues = [hue for hue in ("#0072B2", "#E69F00", "#009E73") for _ in range(70)]
hues = [hues[:140], hues, 210 * ["#666666"]]
both = [x for x, _ in clouds.values()], mapped.values()
panels = [dotted(*one) for row in both for one in zip(row, hues, strict=True)]
titles = [f"{n}: the truth" for n in clouds] + [
    f"{n}: t-SNE, perplexity {p}" for n, (_, p) in clouds.items()
]

# %%
alt = "above the clouds, below their t-SNE maps: equal sizes, equal distances, and clumps in noise"
show.images(panels, titles, columns=3, height=2.7, alt=alt)

# %% slide="subslide"
spread = [x[70:].std(0).norm() / x[:70].std(0).norm() for x in (size, mapped["size"])]
centres = [x.view(3, 70, 2).mean(1) for x in (distance, mapped["distance"])]
gaps = [(c[2] - c[1]).norm() / (c[1] - c[0]).norm() for c in centres]
print(f"second cloud larger: {spread[0]:.1f} times, on the map {spread[1]:.1f} times")
print(f"second gap wider: {gaps[0]:.1f} times, on the map {gaps[1]:.1f} times")
assert spread[0] > 8 > 2 > spread[1]
assert gaps[0] > 4 > 2 > gaps[1]

# %% [markdown]
# The cloud that is eight times as large comes out as large as the other; the gap that is five times as wide
# comes out no wider; and with a low perplexity the noise, which has no groups, breaks into strings and
# clumps. On our photos, the **perplexity**:

# %%
perplexities = (5, 20, 70)
maps = [last_layer.tsne(efficient, 5), tsne_map, last_layer.tsne(efficient, 70)]
panels = [dotted(map_, colours) for map_ in maps]
titles = [f"perplexity {p}" for p in perplexities]
alt = "three maps: the same colours together, in other places"
show.with_legend(show.images(panels, titles, height=3.6, alt=alt), last_layer.COLOURS)

# %% slide="subslide"
true = last_layer.squared_distances(efficient, efficient).flatten()
far = true > true.quantile(0.5)
for perplexity, map_ in zip(perplexities, maps, strict=True):
    there = last_layer.squared_distances(map_, map_).flatten()
    rank = spearmanr(true, there)[0], spearmanr(true[far], there[far])[0]
    print(f"{perplexity}: rank correlation {rank[0]:.2f}, among the farther half {rank[1]:.2f}")
    assert rank[1] < 0.35 < rank[0]

# %% [markdown] slide="subslide"
# The same groups, in other places. Of the *far* pairs, distances on the map say almost nothing about those in
# feature space. So:
#
# - that two photos are **near** usually means something;
# - **how far** two groups are apart, and which one lies between, means little;
# - the **size** and density of a group mean nothing;
# - a group that comes and goes with the **perplexity** is no group: draw several maps.
#
# A map is where a question starts. The table of precisions is where it ends.

# %% [markdown]
# ## The same map as a grid
#
# On a map much of the paper is white, and the photos are small. So we put the 225 photos into 12 rows of
# 19 cells (three stay empty), each photo near its place: of all ways to do that, the one with the least
# sum of squared moves. That is the **linear assignment** problem (线性分配), and SciPy solves it in milliseconds.
#
# (Giving every cell its nearest photo would be simpler, but crowded photos would be lost and lonely ones
# repeated.)

# %%
cells = last_layer.grid_cells(tsne_map, columns=19)
large = last_layer.framed(last_layer.thumbnails(pixels, 96), colours, 5)

# %%
alt = "12 rows of photos in coloured frames: buildings, windmills, animals, tools, fish, each together"
show.images([last_layer.paste(large, cells * 96)], height=7, alt=alt)

# %% slide="subslide"
at = {tuple(cell): category for cell, category in zip(cells.tolist(), categories, strict=True)}
pairs = [(at[r, c], at[r, c + 1]) for r, c in at if (r, c + 1) in at]
same = sum(a == b for a, b in pairs) / len(pairs)
print(f"side by side and of one category: {same:.0%}; blindly {chance:.0%}")
assert same > 0.6

# %% [markdown]
# Take your time. Domes beside domes, pyramids beside pyramids, with the Louvre's of glass and the igloo;
# towers; windmills next to windmills, and the one windmill that we had filed under buildings sits among them.
# Fish in one corner, with the dolphin and the narwhal that we call animals. Cats; birds; hoofed animals on
# grass. Scissors, pliers, measuring tapes.
#
# No one told the network about these groups: it learned 1000 class names, and they came along.

# %% [markdown]
# ## From layer to layer
#
# All this was the last layer. **Question.** Do the groups appear suddenly at the end, or little by little?

# %%
course = [precision(x).mean().item() for x in vectors.values()]
assert course[-2] > course[3] > course[1]
show.bars(list(vectors), course, f"precision@5 (chance {chance:.2f})")

# %%
layer_maps = last_layer.tsne_by_layer(vectors)
panels = [dotted(map_, colours) for map_ in layer_maps.values()]
titles = [f"{n}: {p:.2f}" for n, p in zip(vectors, course, strict=True)]
alt = "seven maps: the colours are mixed at first and separate with depth"
show.with_legend(show.images(panels, titles, columns=4, height=2.6, alt=alt), last_layer.COLOURS)

# %% [markdown] slide="subslide"
# Little by little. The first layer is no better than the pixels: it knows edges and colours. Each pair of
# fire modules adds to it. (The number is precision@5; each map starts from the one before, so that photos
# move no more than they must.)
#
# Move the slider and watch the photos sort themselves. Which of the panda's neighbours stay, and from where?

# %%
widgets.last_layer_explorer(net, photos, pixels, vectors, layer_maps)

# %% [markdown] slide="subslide"
# On the left the photo and its eight neighbours, in the colours of their categories; on the right they stand
# out among the other, paler photos, and the photo itself has a black frame.
#
# Try the owl, and a photo of your own: at which layer does it find its kind?

# %% [markdown]
# ## What we saw
#
# - The layer before the classifier describes a photo by a few hundred numbers; their angle compares photos.
# - Five neighbours: about two right in pixels, four in features; untrained features are no better than pixels.
# - Relit, shifted, turned, cropped or mirrored, a photo is found again by its learned features. Pixels, the mean
#   colour and untrained features each fail at some change. To move little proves nothing by itself.
# - PCA keeps large variance, t-SNE keeps neighbours; neither keeps everything.
# - The grid shows every photo, large, and who its neighbours are.
# - The groups form gradually with depth.

# %% [markdown]
# **What it does not show.** Near in feature space means alike *for this network*, which was trained to tell
# ImageNet's classes apart. What those classes do not need, it may forget. And neighbours do not say *why*
# they are near: which part of the picture decided is the question of the next lectures.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | feature vector | 特征向量 | a layer's maps, averaged over positions: one number for each channel |
# | nearest neighbour | 最近邻 | the photo with the smallest distance |
# | cosine similarity | 余弦相似度 | the cosine of the angle between two vectors |
# | precision@k | 前 k 精确率 | share of the k nearest that have the query's category |
# | standard error | 标准误 | how much a mean would move for another sample |
# | invariance | 不变性 | no change of the output when the input changes in a certain way |
# | principal component analysis | 主成分分析 | projection on the directions of largest variance |
# | t-SNE | t 分布随机邻域嵌入 | a map that keeps neighbours together |
# | perplexity | 困惑度 | about how many neighbours count for each point |
# | linear assignment | 线性分配 | one cell for each photo, at the least total cost |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too. The digits are from scikit-learn
# (E. Alpaydin, C. Kaynak. *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository 1998,
# CC-BY-4.0).

# %% slide="skip"
show.credits(photos)

# %% [markdown] slide="skip"
# ## Papers
#
# - A. Krizhevsky, I. Sutskever, G. Hinton. [*ImageNet Classification with Deep Convolutional Neural
#   Networks.*](https://doi.org/10.1145/3065386) NIPS 2012. Section 6.1: neighbours by the last hidden layer.
# - L. van der Maaten, G. Hinton. [*Visualizing Data using t-SNE.*](https://jmlr.org/papers/v9/vandermaaten08a.html) JMLR 2008.
# - M. Wattenberg, F. Viégas, I. Johnson. [*How to Use t-SNE Effectively.*](https://doi.org/10.23915/distill.00002) Distill 2016.
# - P. Poličar, M. Stražar, B. Zupan. [*openTSNE: A Modular Python Library for t-SNE Dimensionality Reduction
#   and Embedding.*](https://doi.org/10.18637/jss.v109.i03) Journal of Statistical Software 2024.
# - K. Pearson. [*On lines and planes of closest fit to systems of points in space.*](https://doi.org/10.1080/14786440109462720) Philosophical Magazine 1901.
# - R. Jonker, A. Volgenant. [*A Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment
#   Problems.*](https://doi.org/10.1007/BF02278710) Computing 1987.
