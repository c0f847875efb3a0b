# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 02 Activations
#
# **A photo goes in, a class comes out. What does the photo look like on the way?**
#
# After this lecture you can
# - read the feature maps of any layer, and lay them over the photo;
# - say what a map on its own scale hides, and what a shared scale hides;
# - measure how sparse a layer is and how much of the photo's layout it keeps;
# - give a channel a name, test what the name says, and admit when there is none;
# - tell a unit, a channel and a layer apart.
#
# About 60 minutes with the two exercises. You need lecture 00.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch
import torchvision
from sklearn.metrics import roc_auc_score

from course_utils import activations, images, layers, models, show, widgets
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## The first look
#
# A layer gives $A$, one **feature map** (特征图) for each of its $K$ **channels**: $K \times h \times w$
# numbers for one photo. The first layer of SqueezeNet has 64 channels.
#
# **Question.** Each channel carries the answers of one 3×3 filter, the same filter everywhere. What
# will its map look like: like the photo, or like a code?

# %%
net = models.load("squeezenet1_1")
photo = net.crop_pixels(images.photo("camels"))
x = net.normalize(photo)
with torch.no_grad(), layers.capture(net, "relu1", "fire4", "fire9") as seen:
    net(x)
print(", ".join(f"{name}: {tuple(maps.shape[1:])}" for name, maps in seen.items()))

# %%
own, few = activations.tiles(seen["relu1"]), list(range(3, 64, 5))
titles = ["photo", *(f"channel {k}" for k in few)]
alt = "the camels, then 13 grey tiles: some show edges, some surfaces, one nearly nothing"
show.images([photo[0], *own[few]], titles, columns=7, height=1.6, alt=alt)

# %% [markdown]
# Like the photo, thirteen times out of 64: outlines from above, outlines from the left, sky, fur. Whoever
# knows the camel finds it in most tiles.
#
# But these tiles flatter the layer: each is stretched to its own black and white, so that a channel
# that hardly fires looks as busy as the strongest. On one **shared scale**:

# %%
together = activations.tiles(seen["relu1"], shared=True)
alt = "the same 13 tiles on a shared scale: some stay bright, others are nearly black"
show.images([photo[0], *together[few]], titles, columns=7, height=1.6, alt=alt)

# %%
largest = seen["relu1"][0].amax((1, 2))
loudest, median = largest.max().item(), largest.quantile(0.5).item()
print(f"loudest channel {loudest:.1f}, median channel {median:.1f}")
assert loudest > 3 * median

# %% [markdown]
# Neither picture is wrong. The own scale answers *where does this channel fire?*, the shared one *which
# channels fire at all?* A figure of feature maps that does not say which scale it uses says little.

# %% [markdown]
# ## Deeper
#
# The same camels in `fire4`, then in `fire9`, the last layer before the classes.

# %%
alt = "fire4: coarse tiles, about half of them black in most places; the camel's outline is left"
show.images(activations.tiles(seen["fire4"])[:33], columns=11, height=1.05, alt=alt)

# %%
alt = "fire9: mostly black tiles with a few bright cells; no camel can be made out"
show.images(activations.tiles(seen["fire9"])[:33], columns=11, height=1.05, alt=alt)

# %% [markdown]
# Coarser: 111 units across, then 27, then 13. And blacker. Two claims are usually made here:
# deep layers are **sparse** (稀疏), and they give up the photo's layout. Both can be measured, so we
# measure them.

# %% [markdown]
# ## How sparse?
#
# A ReLU gives exactly 0 for everything negative. The **sparsity** of a map is the share of its units
# that are 0:
# $$s_k = \frac{1}{hw}\,\#\{(i,j) : A_{k,ij} = 0\}.$$

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 5 minutes).** One number for each image and channel.
#
# <details><summary>Hint 1: counting</summary>
# A comparison gives True and False; the mean of those, as numbers, is a share.
# </details>
# <details><summary>Hint 2: which axes?</summary>
# Images, channels, rows, columns. The places are the last two.
# </details>


# %% exercise="sparsity"
def sparsity(maps):
    """The share of units that are exactly 0, for each image and channel.

    maps: (N,K,h,w). Returns: (N,K), in 0-1.
    """
    ### BEGIN SOLUTION
    return (maps == 0).float().mean(dim=(2, 3))
    ### END SOLUTION


# %% check="sparsity"
check("sparsity", sparsity)

# %%
find_sparsity = yours_or_ours("sparsity", sparsity)
for name, maps in seen.items():
    share = find_sparsity(maps)[0]
    print(
        f"{name}: {share.mean():.0%} zeros; from {share.min():.0%} to {share.max():.0%} a channel"
    )

# %% [markdown] slide="subslide"
# One photo is one photo. Over 24 photos, for each layer: how many units are 0, and how many maps are 0
# *everywhere*? Beside SqueezeNet stands VGG-16 on four of these photos (a copy fine-tuned to draw edges, so
# not quite the one you read about).

# %%
names = ["relu1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9"]
pixels = net.crop_pixels(images.photos()[::9][:24])
by_depth = activations.sparsity_by_depth(net, net.normalize(pixels), names)
vgg = models.load("vgg16_hed")
blocks = ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
by_block = activations.sparsity_by_depth(vgg, vgg.normalize(pixels[::6]), blocks)

# %% slide="subslide"
rows = [[net.name, name, *found] for name, found in by_depth.items()]
rows += [[vgg.name, name, *found] for name, found in by_block.items()]
show.table(["network", "layer", "units at 0", "maps that are 0 throughout"], rows)

# %% slide="subslide"
zeros = [found[0] for found in by_depth.values()]
print(f"relu1 {zeros[0]:.0%}, fire8 {zeros[-2]:.0%}, fire9 {zeros[-1]:.0%}")
assert zeros[-1] > 0.85
assert zeros[0] < 0.6
assert zeros[-2] < zeros[-3]

# %% [markdown]
# In SqueezeNet half the units are silent at first and more than nine in ten at last. The way there
# is **not** straight: `fire8` is less sparse than `fire7`. And VGG's copy is sparsest in its second block,
# where about half the maps show nothing at all. "Deeper is sparser" is a tendency of some networks, no law.
#
# EfficientNet-Lite0 has no zeros to count between its blocks: they end in a linear layer, without ReLU.
# Sparsity is a property of the activation function, too.

# %% [markdown]
# ## How much of the layout is left?
#
# Fewer units are not the whole story: 512 channels at 13×13 places could still hold every detail. We
# ask each layer a plain question: **how much brighter than the photo's mean is this place?** A readout may
# weigh the channels there, $\hat t_{ij} = \sum_k w_k (A_{k,ij} - \bar A_k) + b$, with the same $w$ everywhere.
# (Such a **linear probe**, 线性探针, goes back to Alain and Bengio 2016.)
#
# Why minus the mean? Because a layer that only knew how bright the *whole* photo is would already look
# well informed:

# %%
everything = images.photos()
all_pixels = net.crop_pixels(everything)
cells = activations.brightness(all_pixels, 13, 13)
whole = cells.mean((1, 2), keepdim=True).expand_as(cells)
print(
    f"{len(cells)} photos: {activations.explained(whole, cells):.0%} of the variance of brightness"
)
print("lies between photos, the rest between places in a photo")

# %% [markdown] slide="subslide"
# 512 weights need many examples. So every other photo, 113 of them, fits $w$; the other 112 test it. A
# gap between the two shows how much of $w$ is learned by heart. And a control: the same network before
# it learned anything.

# %%
deep = names[::2]
torch.manual_seed(0)
untrained = models.Network(
    torchvision.models.squeezenet1_1(), "untrained", layers=models.SQUEEZENET_LAYERS
).to(net.device, memory_format=torch.channels_last)
known = activations.layout(net, all_pixels, deep, progress="photos")
blind = activations.layout(untrained, all_pixels, ["relu1", "fire5", "fire9"], progress="control")

# %% slide="subslide"
rows = [
    [k, known[k].train, known[k].test, *(blind[k][:2] if k in blind else ["", ""])] for k in deep
]
show.table(["layer", "on the 113", "on the 112 others", "untrained: 113", "112 others"], rows)


# %%
def drawn(model: models.Network, probes: dict) -> list[torch.Tensor]:
    """What each layer says about the camels, a test photo, in the colours of signed maps."""
    pictures = []
    for name, probe in probes.items():
        maps = layers.activations(model, x, name)
        told = activations.read(maps - maps.mean((2, 3), keepdim=True), probe.weights.to(maps))
        pictures.append(show.colours(told[0], signed=True))
    return pictures


# %%
truth = show.colours(activations.relative_brightness(photo, 111, 111)[0], signed=True)
pictures = [truth, *drawn(net, known), photo[0], *drawn(untrained, blind)]
titles = ["brighter or darker", *(f"{k}: {known[k].test:.2f}" for k in deep), "photo"]
titles += [f"{k}, untrained: {blind[k].test:.2f}" for k in blind]
alt = "red where brighter, blue where darker than the mean: sharp at first, in fire9 a vague camel"
show.images(pictures, titles, columns=6, height=1.7, alt=alt)

# %% slide="subslide"
shares = [known[name].test for name in deep]
print(", ".join(f"{name} {share:.2f}" for name, share in zip(deep, shares, strict=True)))
assert shares[0] > 0.95
assert 0.3 < shares[-1] < 0.5
assert all(b < a for a, b in zip(shares, shares[1:], strict=False))
assert blind["fire9"].test > shares[-1] + 0.1

# %% [markdown]
# The number is the share of the variance explained in photos that did not fit $w$, each layer at its own
# resolution. The first layer knows nearly all of it, the last .41: vague, not blank. And the architecture
# alone does not cost that much: untrained, `fire9` still tells .61. So training took some of it away. Why, this
# does not say; a guess is that a thousand classes hardly ask how bright the wall was.
#
# Two limits. On its own 113 photos the last readout reaches .55, so more photos would lift .41 somewhat. And
# a cleverer reader than a weighted sum may find more: lecture 13 tries one.

# %% [markdown]
# ## Laid over the photo
#
# 512 tiles are too many to look at. Which ones matter for this photo? A first answer: those
# with the largest single activation.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 10 minutes).** The $k$ strongest channels of each image, strongest first.
#
# <details><summary>Hint 1: one number for each channel</summary>
# The largest value over the places: <code>maps.amax(dim=(2, 3))</code>.
# </details>
# <details><summary>Hint 2: indices, not values</summary>
# <code>sort</code> returns both. With <code>stable=True</code> equal ones keep their order.
# </details>


# %% exercise="strongest_channels"
def strongest_channels(maps, k):
    """The k channels with the largest single activation, for each image.

    maps: (N,K,h,w). Returns: (N,k) int64, strongest first, of equal ones the lower index first.
    """
    ### BEGIN SOLUTION
    strength = maps.amax(dim=(2, 3))
    return strength.sort(dim=1, descending=True, stable=True).indices[:, :k]
    ### END SOLUTION


# %% check="strongest_channels"
check("strongest_channels", strongest_channels)

# %% slide="subslide"
find_strongest = yours_or_ours("strongest_channels", strongest_channels)
top = {name: find_strongest(maps, 4)[0].tolist() for name, maps in seen.items()}
over = [show.overlay(photo[0], seen[name][0, k], 0.6) for name in top for k in top[name]]
captions = [f"{name}, channel {k}" for name in top for k in top[name]]
alt = "channels laid over the camels, a row for relu1, fire4 and fire9: from outlines to few spots"
show.images(over, captions, columns=4, height=1.5, alt=alt)

# %% [markdown] slide="subslide"
# One row a layer. In the first, it is edges of one direction, wherever they are. In `fire4`, two of the
# four mark the left and the right border of the photo, which no photographer put there: the zeros around
# it show. In the last, the small camel's head, three times, and a belly.
#
# It is tempting to say "this channel finds heads". So far we have one photo, and a wish.

# %% [markdown]
# ## Giving channels names
#
# To name a channel, look at the photos that excite it most, and at *where*. We inspected 48 of
# the 512 channels of `fire8`, every tenth, with seven photos each. Here are six of them.

# %%
fire8 = torch.cat(
    [layers.activations(net, net.normalize(p), "fire8") for p in all_pixels.split(16)]
)
strength = fire8.amax((2, 3)).cpu()

# %%
gallery = {60: "heads", 410: "upper border", 310: "storeys"}
gallery |= {340: "animals", 380: "joints", 330: "muzzles"}
best = {k: strength[:, k].topk(7).indices.tolist() for k in gallery}


# %% slide="subslide"
def row_of(k: int) -> list[torch.Tensor]:
    return [show.overlay(all_pixels[i], fire8[i, k], 0.6) for i in best[k][:6]]


alt = "heads light up, then the upper border, then storeys of houses"
rows = {f"{k}: {gallery[k]}?": row_of(k) for k in (60, 410, 310)}
show.rows(rows.values(), list(rows), alt, height=128)

# %% slide="subslide"
rows = {f"{k}: {gallery[k]}?": row_of(k) for k in (340, 380, 330)}
alt = "parts of animals light up, then joints of tools and parts of animals, then muzzles"
show.rows(rows.values(), list(rows), alt, height=128)

# %% [markdown] slide="subslide"
# Convincing? The photos were *chosen* because the channel fires there, and the name was chosen
# to fit them. A name is a hypothesis; it has to predict something about photos that did not take part.
#
# **Question.** What would you measure for "heads"? For "upper border"? For "storeys"?

# %% [markdown] slide="subslide"
# What the name names. We marked 13 heads, 16 muzzles, 7 joints of tools and 12 fronts with storeys by
# hand, in photos that were not among the channel's seven. Does its strongest unit lie in the box?
#
# And against what? Not against a point at random: heads are where things happen in a photo, and *any*
# channel likes them. The null (零假设) is **all 512 channels of the layer**, each asked the same.

# %%
parts = activations.parts()
tested = {60: "heads", 330: "muzzles", 380: "joints", 310: "storeys"}
place = {photo.name: i for i, photo in enumerate(everything)}
marked_in = {part: [place[name] for name in boxes] for part, boxes in parts.items()}
assert not any(set(marked_in[part]) & set(best[k]) for k, part in tested.items())
rates = {p: activations.hit_rates(fire8[marked_in[p]], parts[p], 224).cpu() for p in parts}


# %% slide="subslide"
def with_box(k: int, part: str, name: str) -> torch.Tensor:
    maps = fire8[place[name], k].cpu()
    unit = activations.strongest_place(maps[None], 224, 224)[0].tolist()
    return show.marked(show.overlay(all_pixels[place[name]], maps, 0.6), parts[part][name], unit)


rows = [[with_box(k, part, name) for name in list(parts[part])[:6]] for k, part in tested.items()]
names_of_rows = [f"{k}: {p}?\n{rates[p][k]:.0%} of {len(parts[p])}" for k, p in tested.items()]
alt = "boxes around the parts and a dot on the strongest unit: in the box on heads, often not elsewhere"
show.rows(rows, names_of_rows, alt, height=128)

# %% [markdown] slide="subslide"
# Two names need no boxes. *Upper border*: in how many of all photos does the strongest unit lie in the top
# row? And *animals*: the **AUC** is the chance that a photo of an animal excites the channel more than
# one without; 0.5 is a coin. Each channel leaves out the seven photos that it liked best.

# %%
row = fire8.flatten(2).argmax(2) // fire8.shape[3]
top_row = (row == 0).float().mean(0).cpu()


def aucs(kind: str) -> torch.Tensor:
    is_kind = torch.tensor([photo.category == kind for photo in everything])
    rest = strength.argsort(0, descending=True)[7:]
    return torch.tensor([roc_auc_score(is_kind[i], strength[i, k]) for k, i in enumerate(rest.T)])


animal, building = aucs("animal"), aucs("building")


# %% slide="subslide"
def line(k: int, name: str, test: str, found: torch.Tensor) -> list:
    """A channel's score beside those of all channels of the layer."""
    above = (found > found[k] + 1e-6).sum().item()
    return [f"{k} {name}", test, found[k], found.mean(), found.quantile(0.95), above]


table = [
    line(k, part, f"unit on it, {len(parts[part])} photos", rates[part])
    for k, part in tested.items()
]
table += [line(410, "upper border", "unit in the top row", top_row)]
table += [line(340, "animals", "AUC", animal), line(310, "buildings", "AUC", building)]
header = ["channel and name", "test", "found", "all channels, mean", "95 % below", "channels above"]
show.table(header, table)

# %%
assert rates["heads"][60] > max(0.75, rates["heads"].mean() + 0.3)
assert rates["muzzles"].quantile(0.95) > rates["muzzles"][330] > 2 * rates["muzzles"].mean()
assert all(rates[tested[k]][k] < rates[tested[k]].mean() + 0.15 for k in (380, 310))
assert top_row[410] > 0.7 > 2 * top_row.quantile(0.95)
assert building[310] > building.quantile(0.99)
assert animal.quantile(0.95) < animal[340]

# %% [markdown] slide="subslide"
# - *Heads* stands: 85 %, with 34 % for the average channel. But five others of 512 do even better.
# - *Upper border* stands like no other, and is no thing in the world at all: the network pads its maps
#   with zeros, and a channel has learned to notice.
# - *Animals*: .84. Impressive beside a coin, less so beside the average channel, .64.
# - *Muzzles*: 38 %, and 14 % for the average. Better than most; 32 channels are better still.
# - *Storeys* fails: the unit lies in the box as often as the average channel's. Nor does anything speak for
#   *joints*: 29 % and 18 % of seven photos are two and one.

# %% [markdown] slide="subslide"
# Look at the last line again. Had we tested "storeys" by asking whether 310 fires at *buildings*, it would have
# passed with the best score of all 512. Passed, with a wrong name: it knows buildings by something else than
# storeys. **A test of something near the name is no test of the name.**

# %%
given = {30: "furry faces", 60: "heads", 70: "round openings", 160: "dark openings", 180: "heads"}
given |= {220: "eyes", 260: "tips", 310: "storeys", 330: "muzzles", 340: "animals"}
given |= {350: "curved lower edges", 380: "joints", 410: "upper border", 420: "long bars"}
print(f"inspected 48, a name came to mind for {len(given)}, none for {48 - len(given)}:")
print(", ".join(f"{k} {name}" for k, name in given.items()))

# %% [markdown]
# **34 of the 48 channels we inspected have no name**, and of the six names that we tested two did not pass and one
# is weak; eight are untested. Galleries in books and papers show the other kind. Many channels answer to
# several unlike things; nothing obliges a network to use *our* words.

# %% [markdown]
# Beware of "neuron": a channel is 13 × 13 **units** that share one filter, each looking at another part
# of the photo. A channel is not a neuron.

# %% [markdown]
# ## Try it
#
# Choose a layer, then walk through its channels: `rank` by how strongly they fire at this photo, `channel`
# by their number. Find one you would name, then change the photo. The channel stays; does its name?

# %%
widgets.activations_explorer(net, names)

# %% [markdown]
# ## What we saw
#
# - Feature maps of the first layers look like the photo; own and shared scales answer different questions.
# - SqueezeNet's units are silent half the time at first and nine times in ten at last, but not layer by
#   layer, and networks differ.
# - What is brighter than the rest can be read off the first layer almost exactly (.98), off the last in part
#   (.41), and less than before training (.61).
# - Names of channels are hypotheses. Test the part that is named, against all channels of the layer: heads and
#   the upper border stand, joints and storeys do not pass, most channels have no name.

# %% [markdown]
# **What it does not show.** An active channel need not matter for the answer: nothing here asked the
# class score. The lectures from 05 on do.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | activation | 激活值 | the number a unit gives for a photo |
# | feature map | 特征图 | all activations of one channel |
# | channel | 通道 | the units that share one filter |
# | unit | 单元 | one place of one channel |
# | sparsity | 稀疏性 | share of units that are exactly 0 |
# | dead map | 死亡特征图 | one that is 0 everywhere |
# | linear probe | 线性探针 | a weighted sum of channels, fitted to read something off a layer |
# | AUC | 曲线下面积 | chance that a positive example ranks above a negative one |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
shown = {i for k in best for i in best[k][:6]} | {place["camels"]}
shown |= {i for part in parts for i in marked_in[part][:6]}
show.credits([everything[i] for i in sorted(shown)])

# %% [markdown] slide="skip"
# ## Papers
#
# - M. Zeiler, R. Fergus. [*Visualizing and Understanding Convolutional Networks.*](https://arxiv.org/abs/1311.2901) ECCV 2014.
# - J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson. [*Understanding Neural Networks Through Deep
#   Visualization.*](https://arxiv.org/abs/1506.06579) ICML workshop 2015.
# - G. Alain, Y. Bengio. [*Understanding intermediate layers using linear classifier probes.*](https://arxiv.org/abs/1610.01644) 2016.
# - D. Bau, B. Zhou, A. Khosla, A. Oliva, A. Torralba. [*Network Dissection: Quantifying
#   Interpretability of Deep Visual Representations.*](https://arxiv.org/abs/1704.05796) CVPR 2017.
