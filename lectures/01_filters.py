# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 01 Filters
#
# **What does a network look for first, and why do so many networks look for the same?**
#
# After this lecture you can
# - show the filters of a first layer as pictures, and say what such a picture hides;
# - read a filter as a template and its response map as "where does the photo look like this?";
# - measure how oriented and how coloured a filter is, instead of claiming it;
# - learn filters from photos, without labels and without a network, and see the same kinds appear;
# - explain why the weights of higher layers are not worth a picture.
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

from course_utils import filters, images, layers, models, show, widgets
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## A filter is a small picture
#
# Only the first layer reads pixels. Each of its **filters** (滤波器) has a weight for every colour of
# every pixel in a small window: it has the shape of a small RGB picture. So we can look at it.

# %%
net = models.load("squeezenet1_1")
weights = filters.filters_of(net, "conv1").cpu()
print("filters, colours, rows, columns:", tuple(weights.shape))
print(f"weights from {weights.min():.0f} to {weights.max():.0f}")

# %% [markdown]
# Weights are no colours: some are negative, and 45 is not a brightness. We **rescale** each filter on
# its own, so that zero becomes mid-grey and its largest weight, of either sign, an end of the range:
# $$p = \frac12 + \frac{w}{2 \max|w|} .$$
#
# The network reads *normalised* RGB, $(\text{pixel} - \text{mean}) / \text{spread}$. A red spot in a
# tile therefore means "more red than the average photo".

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 15 minutes).** Rescale the filters and lay them out as one picture, row by
# row, with one white pixel between neighbours. A filter of zeros has nothing to stretch: it is
# mid-grey.
#
# <details><summary>Hint 1: one maximum for each filter</summary>
# <code>filters.abs().amax((1, 2, 3), keepdim=True)</code> has the shape (N,1,1,1).
# </details>
# <details><summary>Hint 2: dividing by zero</summary>
# <code>torch.where(largest > 0, largest, 1)</code>
# </details>
# <details><summary>Hint 3: the canvas</summary>
# Start from <code>torch.ones</code>. Filter <code>i</code> goes to row <code>i // columns</code> and column
# <code>i % columns</code>, and every tile takes <code>k + 1</code> pixels with its line.
# </details>


# %% exercise="tile_filters"
def tile_filters(filters, columns):
    """Filters as one picture, each rescaled on its own, zero as mid-grey.

    filters: (N,C,k,k); columns: filters in a row.
    Returns: (C, rows * (k+1) - 1, columns * (k+1) - 1) in 0-1, white between the tiles.
    """
    ### BEGIN SOLUTION
    n, c, k, _ = filters.shape
    largest = filters.abs().amax((1, 2, 3), keepdim=True)
    tiles = 0.5 + filters / (2 * torch.where(largest > 0, largest, 1))
    rows = -(-n // columns)
    canvas = torch.ones(c, rows * (k + 1) - 1, columns * (k + 1) - 1)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (k + 1), i % columns * (k + 1)
        canvas[:, top : top + k, left : left + k] = tile
    return canvas
    ### END SOLUTION


# %% check="tile_filters"
check("tile_filters", tile_filters)

# %%
tile = yours_or_ours("tile_filters", tile_filters)
cnns = ("squeezenet1_1", "efficientnet_lite0", "vgg16_hed")
bank = {name: filters.filters_of(models.load(name)).cpu() for name in cnns}
pictures = [tile(w, 8) for w in bank.values()]
titles = [f"{name}\n{len(w)} filters, 3 × 3" for name, w in bank.items()]
alt = "three grids of tiles with three by three squares each: grey and coloured, many two-sided"
show.images(pictures, titles, height=3.3, alt=alt)

# %% [markdown]
# Enlarged without blur, because a smoothed tile would show shapes that nobody learned. Tiles with a
# dark and a light side compare two neighbours; green ones and blue-orange ones compare colours.
#
# Two of these networks were trained in Caffe on BGR from 0 to 255; here that is folded into the
# weights, so that all take normalised RGB. And the third is VGG-16 *fine-tuned for edge detection*
# (HED), without its classifier, its deeper kernels stored in 8 bits (`data/README.md`: feature maps are
# off by 1 to 2 %).

# %% [markdown]
# ## What the picture hides
#
# **Question.** Every tile uses the full range from black to white. What can you no longer see?

# %%
stem = bank["efficientnet_lite0"]
size = stem.flatten(1).norm(dim=1)
weakest = size.argsort()[:4].tolist()
alt = "four tiles with clear patterns or plain grey; their weights are practically zero"
show.images(
    [tile(stem[[i]], 1) for i in weakest], [f"|w| = {size[i]:.0e}" for i in weakest], alt=alt
)

# %%
dead = (size < 1e-4 * size.max()).sum().item()
print(f"{dead} of {len(stem)} filters of EfficientNet-Lite0 have practically no weights")
assert dead == 4

# %% [markdown]
# How **strong** a filter is: that is gone. Four filters of EfficientNet-Lite0 died in training, one of
# them is exactly zero, and the others still make a fine tile out of next to nothing. Rescaling is
# right for seeing *patterns*; for strength we need a number beside it.

# %% [markdown]
# ## A filter is a template
#
# The layer lays the filter $w$ on every place of the photo $x$, multiplies and adds up:
# $$R_{ij} = \sum_{c,u,v} w_{c,u,v}\; x_{c,\;is+u-p,\;js+v-p}$$
# with stride $s$ and padding $p$ (outside the photo $x = 0$). An inner product of two small pictures is large
# where they look alike. So the filter is a **template** (模板), and $R$, its **response map** (响应图), says
# where the photo looks like it; negative, like its negative.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 10 minutes).**
#
# <details><summary>Hint 1: does the filter get flipped?</summary>
# No. What networks call a convolution is a <em>cross-correlation</em>: the formula above, as it stands.
# </details>
# <details><summary>Hint 2: ready-made</summary>
# <code>torch.nn.functional.conv2d</code> wants a batch (1,C,H,W) and a bank (1,C,k,k).
# </details>


# %% exercise="response_map"
def response_map(image, template, stride=1, padding=0):
    """R_ij = sum over c, u, v of w_cuv x_c,(i s + u - p),(j s + v - p).

    image: x (C,H,W); template: w (C,k,k); stride: s; padding: p rows and columns of zeros.
    Returns: (h,w), signed.
    """
    ### BEGIN SOLUTION
    maps = torch.nn.functional.conv2d(image[None], template[None], stride=stride, padding=padding)
    return maps[0, 0]
    ### END SOLUTION


# %% check="response_map"
check("response_map", response_map)

# %%
respond = yours_or_ours("response_map", response_map)
photo = images.photo("tower_bridge_london")
x = net.preprocess(photo).cpu()[0]
chosen = {"light left of dark": 55, "light below dark": 49, "green": 6, "orange below blue": 58}
maps = [respond(x, weights[k]) for k in chosen.values()]

# %%
alt = "four enlarged filters of three by three pixels"
show.images([tile(weights[[k]], 1) for k in chosen.values()], list(chosen), height=1.7, alt=alt)

# %%
alt = "the bridge and four maps: upright edges, level edges, stone against sky, colour borders"
show.maps(maps, list(chosen), signed=True, photo=net.crop_pixels(photo)[0], alt=alt)

# %%
share = [(m.clamp(min=0).square().sum() / m.square().sum()).item() for m in maps]
show.bars(list(chosen), share, "share of the response's energy that is positive")

# %% [markdown]
# The first answers with plus (red) where a lit tower ends on its right and the dark sky begins,
# with minus (blue) at the left border. The second does so for level lines. The third cares for
# colour, not for borders: plus on warm stone, minus on the blue sky. The fourth compares colours
# across a border.
#
# The ReLU that follows keeps only the red parts: a network that wants both needs two filters.
#
# Is our map really what the layer computes? Up to its bias and its stride of 2, it has to be.

# %%
with torch.no_grad():
    inside = layers.activations(net, x[None].to(net.device), "conv1")[0, 55].cpu()
ours = respond(x, weights[55], stride=2) + layers.find(net, "conv1").bias[55].cpu()
assert torch.allclose(ours, inside, atol=1e-3 * inside.abs().max().item())
print(
    "largest difference:", f"{(ours - inside).abs().max():.1e}", "of", f"{inside.abs().max():.0f}"
)

# %% [markdown]
# ## Which filters are alike?
#
# 64 tiles are too many to compare by eye. The **cosine** of two filters is 1 for the same template,
# 0 for unrelated ones, and −1 for a template and its negative, whatever their strengths:
# $$\cos(w_i, w_j) = \frac{\langle w_i, w_j\rangle}{\lVert w_i\rVert\,\lVert w_j\rVert} .$$

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 10 minutes).** All pairs at once. A filter of zeros is similar to nothing:
# its row and column are 0.
#
# <details><summary>Hint 1: all pairs, no loop</summary>
# If the rows of a matrix <code>U</code> are the filters as vectors of length 1, the answer is
# <code>U @ U.T</code>.
# </details>
# <details><summary>Hint 2: a filter as a vector</summary>
# <code>filters.flatten(1)</code> has the shape (N, C k k).
# </details>


# %% exercise="similarity"
def similarity(filters):
    """The cosine of every two filters; 0 for a filter of zeros.

    filters: (N,C,k,k). Returns: (N,N), symmetric.
    """
    ### BEGIN SOLUTION
    flat = filters.flatten(1)
    norm = flat.norm(dim=1, keepdim=True)
    unit = flat / torch.where(norm > 0, norm, 1)
    return unit @ unit.T
    ### END SOLUTION


# %% check="similarity"
check("similarity", similarity)

# %%
compare = yours_or_ours("similarity", similarity)
cosines = compare(weights)
order = filters.similar_order(cosines)
alt = "two 64 by 64 matrices: in the network's order noise, reordered with blocks on the diagonal"
both = [cosines, cosines[order][:, order]]
show.maps(both, ["in the network's order", "similar ones side by side"], True, height=3.6, alt=alt)

# %% [markdown]
# The network's order means nothing: which filter is number 17 is an accident of the random start. Put
# similar ones side by side and families appear. Here they are as tiles, in that order.

# %%
show.images([tile(weights[order], 11)], height=4, alt="the 64 tiles, now sorted into families")

# %%
near = filters.nearest_pairs(cosines, 4)
far = filters.nearest_pairs(cosines, 4, opposite=True)
large = [filters.enlarged(tile(weights[[k]], 1), 8) for pair in near + far for k in pair[:2]]
close = [
    torch.nn.functional.pad(w, (10, 2, 0, 0) if i % 2 else (2, 10, 0, 0), value=1.0)
    for i, w in enumerate(large)
]
pairs = [torch.cat(two, 2) for two in zip(close[1::2], close[::2], strict=True)]
names = [f"cosine {cosine:.2f}" for *_, cosine in near + far]
alt = "four pairs of nearly equal filters, and four pairs of a filter and its negative"
show.images(pairs, names, columns=4, height=1.5, alt=alt)

# %%
print(f"most alike {near[0][2]:.2f}, most opposed {far[0][2]:.2f}")
assert near[0][2] > 0.8
assert far[0][2] < -0.8

# %% [markdown]
# Some filters come nearly twice: capacity spent on a copy. And some come with their **negative**, as one
# would expect where a ReLU throws away every answer below zero (Shang et al. 2016).

# %% [markdown]
# ## Filters without a network
#
# Networks with different data preparation and different aims, and yet tiles with two sides in two of the
# three, and colours in all of them. **Question.** Does that come from the networks, or from the photos?
#
# We take the networks away. What is left: 20,000 small patches of our photos, no labels. A tile of
# 3 × 3 has little room to show a shape, so ours get 11 × 11 pixels, as in AlexNet.

# %%
patches = filters.photo_patches(images.photos(), size=11)
alt = "seventy-two random patches: mostly smooth, some with an edge or a corner"
sample = torch.nn.functional.pad(patches[::279], (0, 1, 0, 1), value=1.0)
grid = sample.view(6, 12, 3, 12, 12).permute(2, 0, 3, 1, 4).reshape(3, 72, 144)[:, :-1, :-1]
show.images([grid], height=3.8, alt=alt)

# %% [markdown]
# **Dictionary learning** (字典学习) asks for templates such that every patch $z$ is a sum of *few* of them:
# $$\min_{D, a} \sum_i \tfrac12 \lVert z_i - a_i D\rVert^2 + \lambda \lVert a_i \rVert_1 .$$
# Nothing in it mentions edges or colours. First the patches are brought to equal contrast, and
# **whitened** (白化): neighbouring pixels are so alike that otherwise all effort goes into smooth blobs.

# %%
learned = filters.learn_filters(patches, atoms=64)
alt = "64 learned tiles: black and white bars and edges of every direction, and blue-orange or "
alt += "green-magenta ones"
show.images([tile(learned, 8)], height=5.2, alt=alt)

# %% [markdown]
# Nobody asked for it: **oriented edges**, fine and coarse, in all directions, each in its place; and
# **opposing colours**, blue against orange, green against magenta.
#
# These are the elements that photos are made of. A network that is to tell photos apart does well to
# begin with them, whatever it is trained for. But is it really the edges in the photos that matter?

# %% [markdown]
# ## The counter-test
#
# We **scramble** every photo: the same amount of every spatial frequency and colour, shifted at
# random. Neighbouring pixels stay as correlated as before, only edges are gone. Then the same
# 20,000 patches, the same learning.

# %%
pair = [photo.pixels(160), filters.scrambled(photo)]
show.images(pair, ["photo", "scrambled"], height=2.2, alt="the bridge, and coloured clouds")

# %%
clouds = filters.photo_patches([filters.scrambled(p) for p in images.photos()], size=11)
from_clouds = filters.learn_filters(clouds, atoms=64)
alt = "left crisp edges in empty tiles, right mostly noise and plaids that fill the whole tile"
sides = ["learned from photos", "learned from scrambled photos"]
both = [
    torch.nn.functional.pad(tile(w, 8), (3, 3, 0, 0), value=1.0) for w in (learned, from_clouds)
]
show.images(both, sides, height=4.4, alt=alt)

# %% [markdown]
# Opposing colours survive, since they are in the correlations. The crisp edges do not: most tiles
# are noise and plaid. Edges need photos in which frequencies are *aligned*.

# %% [markdown]
# ## Larger first layers
#
# AlexNet looks through 11 × 11 windows, ResNet-18 through 7 × 7. Their weights do not ship with the
# course. With a connection, say `download=True`; what is on this computer already is shown in any
# case.

# %%
larger, missing = filters.larger_first_layers(["alexnet", "resnet18"], download=False)
print("\n".join(missing) or "all here")

# %%
large = {"learned from photos": learned} | larger
together = large | {name: bank[name] for name in ("squeezenet1_1", "vgg16_hed")}
labels = [f"{name}\n{w.shape[-1]} × {w.shape[-1]}" for name, w in together.items()]


def of_one_size(bank: torch.Tensor) -> torch.Tensor:
    """36 of the filters, enlarged to tiles of about 12 x 12."""
    times = round(12 / bank.shape[-1])
    return bank[:36].repeat_interleave(times, 2).repeat_interleave(times, 3)


alt = "grids of tiles with edges and opposing colours: " + ", ".join(together)
grids = [
    torch.nn.functional.pad(tile(of_one_size(w), 6), (3, 3, 0, 0), value=1.0)
    for w in together.values()
]
show.images(grids, labels, height=3.6, alt=alt)

# %% [markdown]
# ## Measured, not claimed
#
# "Oriented" and "coloured" can be numbers. Physiologists show a nerve cell **gratings** of every
# orientation $t$ and record its answer $A_t$. So do we. From the answers comes the
# **selectivity**: 0 if all orientations are the same to it, 1 if it knows only one,
# $$L = \Big|\sum_t A_t e^{2it}\Big| \Big/ \sum_t A_t .$$

# %%
selective = filters.orientation_selectivity(learned)
peak = filters.orientation_tuning(learned).argmax(1) * 7.5
oblique = torch.where((peak > 30) & (peak < 60), selective, 0).argmax()
three = torch.stack(
    [learned[selective.argmax()], learned[oblique], filters.random_filters(1, 11)[0]]
)
kinds = zip(["edge", "oblique", "random"], filters.orientation_selectivity(three), strict=True)
titles = [f"{kind}, L = {s:.2f}" for kind, s in kinds]
show.images([tile(w[None], 1) for w in three], titles, height=1.8, alt="two edges and noise")

# %%
tuning = filters.orientation_tuning(three)
angles = torch.arange(24) * 7.5
curves = {t: (angles, a / a.max()) for t, a in zip(titles, tuning, strict=True)}
alt = "two curves with one clear peak each, and one with several bumps"
label, ticks = "orientation of the grating in degrees", range(0, 181, 45)
show.lines(curves, label, "answer, largest = 1", alt, beside=True, ylim=(0, 1.05), xticks=ticks)

# %% [markdown]
# The **colour opponency** is the share of a filter that a grey photo cannot reach. With $\bar w$ its mean over
# the colours:
# $$o = 1 - \frac{3 \lVert \bar w \rVert^2}{\lVert w \rVert^2},$$
# 0 for a grey filter, 1 if the colours cancel on every grey pixel. Random weights are neither: they get
# about 2/3, and some selectivity as well, so they belong in the table. We count both ends.


# %%
def measured(w: torch.Tensor) -> list[float]:
    w = w[w.flatten(1).norm(dim=1) > 1e-4 * w.flatten(1).norm(dim=1).max()]
    selective, coloured = filters.orientation_selectivity(w), filters.colour_opponency(w)
    grey = (coloured < 0.1).float().mean()
    return [selective.quantile(0.5), grey, (coloured > 0.9).float().mean()]


# %%
every = bank | {"random 3 × 3": filters.random_filters(512, 3)} | large
every |= {"scrambled photos": from_clouds, "random 11 × 11": filters.random_filters(512, 11)}
header = ["filters", "size", "selectivity, median", "grey (o < 0.1)", "opponent (o > 0.9)"]
show.table(header, [[name, w.shape[-1], *measured(w)] for name, w in every.items()])

# %%
of_photos, of_clouds, of_noise = map(measured, (learned, from_clouds, every["random 11 × 11"]))
assert of_photos[0] > of_clouds[0] + 0.05
assert of_photos[0] > 2 * of_noise[0]
assert of_photos[1] > 0.5
assert max(of_noise[1:]) < 0.1

# %% [markdown]
# The learned filters are three times as selective as random ones, and four in five are practically grey.
# Random filters are neither grey nor opponent, they lie between. Scrambled photos give as many grey
# filters, but less selective ones.
#
# At 3 × 3 the orientation says little: nine numbers are nearly as selective when drawn at random, and those of
# EfficientNet-Lite0 are less so. There the evidence is the split by colour: a fifth or more of each network's
# filters are opponent, which is rare by chance, and half of VGG-16's are grey, but none of EfficientNet-Lite0's.
# Networks *resemble* one another at this layer, no more.

# %% [markdown]
# Larger templates are pickier: 121 pixels have to agree. Here are four learned ones on the macaw.

# %%
macaw = net.crop_pixels(images.photo("scarlet_macaw"))[0]
opponent = filters.colour_opponency(learned)
edges = torch.stack([selective.argmax(), oblique])
few = torch.cat([edges, opponent.argsort(descending=True)[1:3]]).tolist()
answers = [respond(net.normalize(macaw).cpu(), learned[i]) for i in few]
alt = "the macaw and four maps: fine lines of one orientation each, then broad regions of colour"
numbers = [f"L = {selective[i]:.2f}, o = {opponent[i]:.2f}" for i in few]
show.maps(answers, numbers, True, macaw, alt=alt)

# %% [markdown]
# Which patches of the macaw are behind the largest and the smallest number of each map?

# %%
matches = [filters.best_match(net.normalize(macaw).cpu(), learned[i]) for i in few]
crops = [net.denormalize(c.to(net.device)) for row in zip(*matches, strict=True) for c in row]
three_rows = [tile(learned[[i]], 1) for i in few] + crops
titles = ["template"] * 4 + ["fits best"] * 4 + ["fits its negative"] * 4
alt = "four templates, and under each the patch it fits best and the one its negative fits best"
show.images(three_rows, titles, columns=4, height=1.45, alt=alt)

# %% [markdown]
# The best patch has the template's edge, in its place; the other has it with dark and light, or the
# two colours, exchanged. But a strong contrast counts as well as a good fit: the inner product does
# not tell the two apart.

# %% [markdown]
# ## Similar to the brain, not the same
#
# Cells of the **primary visual cortex** (V1, 初级视觉皮层) answer to edges of one orientation at one
# place (Hubel and Wiesel 1962), and sparse coding of photos gives filters like their receptive
# fields (Olshausen and Field 1996). The same input, a similar first step.
#
# Not the same: a cell is more than a filter (it adapts, it is held down by its neighbours,
# *complex* cells ignore the exact place), colour is opposed already in the eye, nothing forces
# cells at two places to share weights, and no cortex learns from a million labels. Similar filters
# do not make a network a brain.

# %% [markdown]
# ## Try it
#
# A template, a photo, and where they meet. Find a filter that answers to the macaw but hardly to
# the bridge. Then bring a photo of your own.

# %%
widgets.filter_explorer({"learned from photos": learned} | bank | larger)

# %% [markdown]
# ## Higher layers
#
# A filter of the second layer reads 16 or 64 *channels* instead of three colours. All we can do is
# show it as a row of grey tiles, one for each channel it reads: $N$ groups of $C$ tiles.

# %%
second = filters.filters_of(net, "module.features.3.expand3x3").cpu()
print("filters, channels, rows, columns:", tuple(second.shape))
alt = "sixteen rows of sixteen small grey tiles without any visible order"
title = "16 of the 64 filters of fire2, a row each"
show.images([filters.slices(second[:16])], [title], height=4.4, alt=alt)

# %% [markdown]
# **Question.** What does a light corner in the third tile of the fifth row tell you?

# %%
deep = {"squeezenet1_1": ["conv1", "module.features.12.expand3x3"], "vgg16_hed": ["conv5_1"]}
rows = []
for name, wanted in deep.items():
    for layer in wanted:
        n, c = filters.filters_of(models.load(name), layer).shape[:2]
        rows.append([name, layer, n, c, n * c])
show.table(["network", "layer", "N filters", "C channels", "tiles"], rows)

# %% [markdown]
# Hardly anything. An RGB tile has colours for axes, and we know what red is. Here the axes are
# channels, whose meaning lies in the layers before. Their order is an accident, too, and that can
# be shown: exchange the channels, and exchange the weights that read them. What changes?

# %%
fire = layers.find(net, "fire2")
squeezed = layers.activations(net, x[None].to(net.device), "module.features.3.squeeze_activation")
swap = torch.randperm(16, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    as_trained = fire.expand3x3(squeezed)
    mixed = second[:, swap].to(squeezed.device)
    exchanged = torch.conv2d(squeezed[:, swap], mixed, fire.expand3x3.bias, padding=1)
assert torch.allclose(as_trained, exchanged, atol=1e-4 * as_trained.abs().max().item())


# %%
def with_first(bank: torch.Tensor, column: int) -> torch.Tensor:
    """Four filters as rows of tiles, one column on yellow: what was channel 0."""
    picture = filters.slices(bank[:4]).expand(3, -1, -1).clone()
    picture[2, :, column * 4 : column * 4 + 3] *= 0.4
    return picture


moved = swap.tolist().index(0)
two = [[with_first(second, 0)], [with_first(second[:, swap], moved)]]
alt = "two grids with the same tiles; a column on yellow stands at another place in each"
show.rows(two, ["as trained", "channels\nexchanged"], alt, height=120)

# %% [markdown]
# Each row has the same sixteen tiles in both pictures, in another order; follow the yellow column, which was
# channel 0. The answers of the two networks agree to rounding. So the *order* along a row, and any shape that you
# see across tiles, is an accident. What is no accident is a tile by itself, and how strong it is: it says how
# strongly a filter reads that channel.


# %%
def ranked(bank: torch.Tensor) -> torch.Tensor:
    """The share of a filter's squared weights in its 1, 2, ... strongest channels, on average."""
    strength = bank.square().sum((2, 3)).sort(dim=1, descending=True).values.cumsum(1)
    return (strength / strength[:, -1:]).mean(0)


chance = torch.randn(second.shape, generator=torch.Generator().manual_seed(0), device="cpu")
curves = {"64 filters of fire2": ranked(second), "random weights": ranked(chance)}
drawn = {name: (range(1, 17), curve) for name, curve in curves.items()}
alt = "two curves that bend: the trained filters hold more in few channels than random weights do"
show.lines(drawn, "strongest channels", "share of squared weights", alt, ylim=(0, 1.03))

# %%
trained, random = [(curve < 0.8).sum().item() + 1 for curve in curves.values()]
print(f"80 % of the squared weights: {trained} of 16 channels, {random} if weights are random")
assert trained + 2 <= random

# %% [markdown]
# To learn what a deeper filter looks *for*, we have to ask on the side of the photos: what does it
# answer (lecture 02), which patch excites it most (03), which picture would please it most (10).

# %% [markdown]
# ## What we saw
#
# - First-layer filters are small pictures: colours in every network of the zoo, grey tiles with two sides in
#   SqueezeNet and VGG. In 3 × 3 pixels an edge is hardly more than chance.
# - Rescaled tiles show patterns and hide strengths: four filters of EfficientNet-Lite0 are dead.
# - A filter is a template; its response map says where a photo looks like it, or like its negative.
# - Sparse coding of photo patches finds the same kinds of filters, without labels. Scrambled photos do not
#   give crisp edges.
# - V1 is similar, not the same.
# - The weights of higher layers say little as a picture, because channels are no colours.

# %% [markdown]
# **What it does not show.** That a filter looks like an edge detector does not say what the network
# makes of its answers. And our learned filters depend on choices: whitening, how sparse, how many.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | filter, kernel | 滤波器，卷积核 | the weights that one output channel lays on every place |
# | template | 模板 | a filter, read as the picture it looks for |
# | response map | 响应图 | the filter's answer at every place |
# | cross-correlation | 互相关 | multiply and add without flipping: what networks call convolution |
# | cosine similarity | 余弦相似度 | inner product of two filters of length 1 |
# | whitening | 白化 | making numbers uncorrelated, with variance 1 |
# | dictionary learning | 字典学习 | templates of which few are needed for each patch |
# | orientation selectivity | 方向选择性 | how far an answer depends on a grating's orientation |
# | opponent colours | 对立色 | blue against orange, green against magenta: one excites, one inhibits |
# | primary visual cortex, V1 | 初级视觉皮层 | the first area of the brain's cortex that gets the picture |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too. The filters are learned
# from patches of all photos of the course; `data/photos.csv` names the author of each.

# %% slide="skip"
shown = ["tower_bridge_london", "scarlet_macaw", "hawa_mahal", "koala"]
show.credits([images.photo(name) for name in shown])

# %% [markdown] slide="skip"
# ## Papers
#
# - D. H. Hubel, T. N. Wiesel. [*Receptive fields, binocular interaction and functional architecture in the cat's
#   visual cortex.*](https://doi.org/10.1113/jphysiol.1962.sp006837) Journal of Physiology 1962.
# - B. A. Olshausen, D. J. Field. [*Emergence of simple-cell receptive field properties by learning a sparse code
#   for natural images.*](https://doi.org/10.1038/381607a0) Nature 1996.
# - D. L. Ringach, R. M. Shapley, M. J. Hawken. [*Orientation selectivity in macaque V1: diversity and laminar
#   dependence.*](https://doi.org/10.1523/JNEUROSCI.22-13-05639.2002) Journal of Neuroscience 2002.
# - W. Shang, K. Sohn, D. Almeida, H. Lee. [*Understanding and Improving Convolutional Neural Networks via
#   Concatenated Rectified Linear Units.*](https://arxiv.org/abs/1603.05201) ICML 2016.
# - J. Mairal, F. Bach, J. Ponce, G. Sapiro. [*Online dictionary learning for sparse coding.*](https://doi.org/10.1145/1553374.1553463) ICML 2009.
# - A. Krizhevsky, I. Sutskever, G. E. Hinton. [*ImageNet classification with deep convolutional neural
#   networks.*](https://doi.org/10.1145/3065386) NeurIPS 2012.
