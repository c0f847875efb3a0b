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
# - give a channel a name, test the name, and admit when there is none;
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
print({name: tuple(maps.shape[1:]) for name, maps in seen.items()})

# %%
own = activations.tiles(seen["relu1"])
alt = "32 grey versions of the camel photo: some show edges, some surfaces, some nearly everything"
show.images([photo[0], *own[:31]], columns=11, height=1.05, alt=alt)

# %% [markdown]
# Like the photo, 64 times: outlines from the left, outlines from the right, sky, ground. Whoever knows
# the camel finds it in most tiles.
#
# But these tiles flatter the layer: each is stretched to its own black and white, so that a channel
# that hardly fires looks as busy as the strongest. On one **shared scale**:

# %%
together = activations.tiles(seen["relu1"], shared=True)
alt = "the same 32 tiles on a shared scale: a few stay bright, most are nearly black"
show.images([photo[0], *together[:31]], columns=11, height=1.05, alt=alt)

# %%
largest = seen["relu1"][0].amax((1, 2))
loudest, median = largest.max().item(), largest.median().item()
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
# *everywhere*? Beside SqueezeNet stands VGG-16 (a copy fine-tuned to draw edges, so not quite the one
# you read about).

# %%
names = ["relu1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9"]
pixels = net.crop_pixels(images.photos()[::9][:24])
by_depth = activations.sparsity_by_depth(net, net.normalize(pixels), names)
vgg = models.load("vgg16_hed")
blocks = ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
by_block = activations.sparsity_by_depth(vgg, vgg.normalize(pixels[:2]), blocks)

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
# where nearly half the maps show nothing at all. "Deeper is sparser" is a tendency of some networks, no law.
#
# EfficientNet-Lite0 has no zeros to count between its blocks: they end in a linear layer, without ReLU.
# Sparsity is a property of the activation function, too.

# %% [markdown]
# ## How much of the layout is left?
#
# Fewer units are not the whole story: 512 channels at 13×13 places could still hold every detail. We
# ask each layer a plain question: **how bright is the photo at this place?** A readout may weigh the
# channels at a place, $\hat t_{ij} = \sum_k w_k A_{k,ij} + b$, with the same $w$ everywhere.
#
# Half of the photos fit $w$; the other half test it. (Such a **linear probe**, 线性探针, goes back to Alain
# and Bengio 2016.)

# %%
kept = activations.layout(net, pixels, names)
drawn = [kept[name][1][1] for name in names[::2]]
truth = activations.brightness(pixels[3:4], 111, 111)[0]
titles = ["brightness", *(f"{name}: {kept[name][0]:.0%}" for name in names[::2])]
alt = "a photo's brightness, and what five layers still know of it: sharp at first, then vague"
show.images([truth, *drawn], titles, height=1.9, columns=6, alt=alt)

# %% slide="subslide"
shares = [kept[name][0] for name in names]
alt = "variance explained: near one in the first layers, falling to a tenth in the last"
x_axis = range(1, len(names) + 1)
curves = {"brightness read from the layer": (x_axis, shares), "units at 0": (x_axis, zeros)}
show.lines(curves, "layer: relu1, fire2, ... fire9", "share", alt)

# %% slide="subslide"
print(", ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True)))
assert shares[0] > 0.95
assert shares[-1] < 0.5
assert all(b < a + 0.03 for a, b in zip(shares, shares[1:], strict=False))

# %% [markdown]
# The numbers in the titles are the share of the variance explained, each layer compared at its own
# resolution. The first layers know nearly all of it; step by step it fades. What the network needs for
# its thousand classes it keeps, and how bright the wall was is not among it.
#
# This does not show that the information is *gone*: a cleverer reader than a weighted sum may find
# more. Lecture 13 tries one.

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
everything = images.photos()
all_pixels = net.crop_pixels(everything)
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
alt = "animals' bodies light up, then joints of tools, then muzzles"
show.rows(rows.values(), list(rows), alt, height=128)

# %% [markdown] slide="subslide"
# Convincing? The photos were *chosen* because the channel fires there, and the name was chosen
# to fit them. A name is a hypothesis; it has to predict something about photos that did not take part.
#
# **Question.** What would you measure for "heads"? For "upper border"? For "storeys"?

# %% [markdown] slide="subslide"
# For *heads*: we marked the head by hand in 13 photos that were not among the seven. Does the channel's
# strongest unit lie in the box? The boxes cover 8 % of the photo.

# %%
heads = {  # top, left, bottom, right, of the 224 pixels
    "koala": (24, 78, 90, 186), "penguin": (0, 94, 52, 146), "toucan": (22, 0, 58, 66),
    "polar_bear": (86, 180, 130, 224), "rhinoceros": (34, 178, 150, 224), "pig": (78, 0, 162, 66),
    "owl": (36, 128, 100, 206), "dog": (0, 186, 96, 224), "heron": (124, 96, 164, 182),
    "horse": (8, 122, 98, 166), "cheetah": (0, 194, 96, 224), "bison": (38, 8, 142, 86),
    "camels": (86, 0, 136, 58),
}  # fmt: skip


# %% slide="subslide"
where = [[p.name for p in everything].index(name) for name in heads]


def hit_rate(k: int) -> float:
    places = activations.strongest_place(fire8[where, k].cpu(), 224, 224)
    boxes = torch.tensor(list(heads.values()))
    inside = (places >= boxes[:, :2]) & (places < boxes[:, 2:])
    return inside.all(1).float().mean().item()


marked = [show.overlay(all_pixels[i], fire8[i, 60], 0.6) for i in where[:12]]
alt = "channel 60 on twelve photos it was not named by: mostly on the head"
show.images(marked, columns=6, height=1.45, alt=alt)

# %% slide="subslide"
typical = sum(hit_rate(k) for k in range(512)) / 512
print(f"channel 60: {hit_rate(60):.0%} on the head, the average channel {typical:.0%}, area 8%")
assert hit_rate(60) > 0.75
assert hit_rate(60) > typical + 0.3

# %% [markdown] slide="subslide"
# Note the average channel: **any** channel of `fire8` prefers heads to a patch at random, because heads
# are where things happen in a photo. Against *that* the name has to hold, and it does.
#
# For the others: in how many photos does channel 410's strongest unit lie in the top row? And do 310,
# 340, 380, 330 tell photos of their kind from the rest? The **AUC** is the chance that a photo of the kind
# excites the channel more than one that is not: 0.5 is a coin.

# %%
row = fire8[:, 410].flatten(1).argmax(1) // fire8.shape[3]
top_row = (row == 0).float().mean().item()
kinds = {310: "building", 340: "animal", 380: "tool", 330: "animal"}


def auc(k: int, kind: str) -> float:
    rest = [i for i in range(len(everything)) if i not in best[k]]
    return roc_auc_score([everything[i].category == kind for i in rest], strength[rest, k])


# %% slide="subslide"
found = [["60 heads", "strongest unit on a head", hit_rate(60), typical]]
found += [["410 upper border", "strongest unit in the top row", top_row, 1 / 13]]
found += [[f"{k} {gallery[k]}", f"AUC for {kind}", auc(k, kind), 0.5] for k, kind in kinds.items()]
show.table(["channel and name", "tested by", "found", "without a name"], found)

# %%
assert top_row > 0.7
assert min(auc(310, "building"), auc(340, "animal")) > 0.75
assert auc(330, "animal") < 0.65

# %% [markdown] slide="subslide"
# *Heads*, *storeys* and *animals* stand the test. *Upper border* does too, and it is no thing in the
# world at all: the network pads its maps with zeros, and a channel has learned to notice. *Joints* is
# weak. *Muzzles*, which looked so convincing, fails this test: the channel fires on animals hardly more
# than on anything else.

# %%
inspected = list(range(0, 480, 10))
names_given = {30, 60, 70, 160, 180, 220, 260, 310, 330, 340, 350, 380, 410, 420}
assert names_given < set(inspected)
left = len(inspected) - len(names_given)
print(f"inspected {len(inspected)}, a name came to mind for {len(names_given)}, none for {left}")

# %% [markdown]
# **34 of the 48 channels we inspected have no name**, and of the six names tested one failed and one is weak.
# Galleries in books and papers show the other kind. Many channels answer to several unlike things;
# nothing obliges a network to use *our* words.
#
# And beware of "neuron": a channel is 13 × 13 **units** that share one filter, each looking at another part
# of the photo. A channel is not a neuron.

# %% [markdown]
# ## Try it
#
# Choose a layer, then pull the slider through the channels, strongest first. Find one you would name,
# then change the photo: does the name survive?

# %%
widgets.activations_explorer(net, names)

# %% [markdown]
# ## What we saw
#
# - Feature maps of the first layers look like the photo; own and shared scales answer different questions.
# - SqueezeNet's units are silent half the time at first and nine times in ten at last, but not layer by
#   layer, and networks differ.
# - Brightness can be read off the first layers almost exactly, off the last hardly.
# - Names of channels are hypotheses. Some predict new photos, some do not, most channels have none.
#
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
shown = {i for k in best for i in best[k][:6]} | set(where)
used = [everything[i] for i in sorted(shown)] + [images.photos()[::9][3]]
show.credits(used)

# %% [markdown] slide="skip"
# ## Papers
#
# - M. Zeiler, R. Fergus. *Visualizing and Understanding Convolutional Networks.* ECCV 2014.
# - J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson. *Understanding Neural Networks Through Deep
#   Visualization.* ICML workshop 2015.
# - G. Alain, Y. Bengio. *Understanding intermediate layers using linear classifier probes.* 2016.
# - D. Bau, B. Zhou, A. Khosla, A. Oliva, A. Torralba. *Network Dissection: Quantifying
#   Interpretability of Deep Visual Representations.* CVPR 2017.
