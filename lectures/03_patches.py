# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 03 Maximally activating patches
#
# **What has to be in a photo, and where, for one unit of a network to fire?**
#
# After this lecture you can
# - compute which pixels a unit can see, from kernels, strides and padding;
# - find the photos that excite a channel most, and cut out exactly what its best unit saw;
# - read depth off the size of the patches, and test "deep layers find objects" with a number;
# - keep apart one unit, one channel and one layer;
# - say how much of its receptive field a unit really uses.
#
# About 80 minutes with the three exercises. You need lectures 00 and 02.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import images, layers, models, patches, show, widgets
from course_utils.common import batches
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## One channel, all photos
#
# Lecture 02 looked at one photo through many channels. Now we turn the question round: one channel,
# and every photo of the course. Channel 150 of the layer fire5, say.

# %%
net = models.load("squeezenet1_1")
photos = images.photos()
pixels = net.crop_pixels(photos)
x = net.normalize(pixels)
names = ["relu1", *(f"fire{i}" for i in range(2, 10))]
best = patches.best_units(net, x, names, progress="photos")

# %%
first, positions, values = best["fire5"].top(channel=150, k=6)
titles = [f"{value:.0f}" for value in values]
alt = "four fish, a red panda and a kitten: the photos that excite channel 150 of fire5 most"
show.images(pixels[first], titles, alt=alt)

# %% [markdown]
# Of all our photos these six excite it most; the number is the largest activation in the channel's
# map.
#
# **Question.** What do they have in common? Fish, fur, a nose? A whole photo offers too many answers.
#
# But the largest activation belongs to *one* unit of the map, and that unit does not see the whole
# photo. If we knew which pixels it sees, we could cut them out.

# %% [markdown]
# ## What a unit sees
#
# The **receptive field** (感受野) of a unit is the set of input pixels that can influence it. Walk from the
# photo upwards, layer by layer, with kernel $k$, stride $s$, padding $p$ and dilation $d$. Three numbers
# are enough: the field's size $r$, the **jump** $j$ between neighbouring units in pixels, and the
# first pixel $a$ that unit 0 sees. A pixel sees itself: $r = 1$, $j = 1$, $a = 0$. Then
# $$r \leftarrow r + d\,(k-1)\,j, \qquad a \leftarrow a - p\,j, \qquad j \leftarrow s\,j .$$

# %% [markdown] slide="subslide"
# **Exercise 1 (medium, 15 minutes).** Before you write it: three 3×3 convolutions of stride 1
# see 7 pixels. How many if each has stride 2?
#
# <details><summary>Hint 1: why k - 1?</summary>
# The window's first entry sees the field below, $r$ pixels. From the first entry to the last there
# are $k - 1$ steps, and each moves on by one jump.
# </details>
# <details><summary>Hint 2: which jump?</summary>
# The units under the window are those of the layer below, so the growth and the padding count in the
# jump <em>before</em> this layer's stride. Change the jump last.
# </details>
# <details><summary>Hint 3: the question above</summary>
# 3, then 3 + 2·2 = 7, then 7 + 2·4 = 15 pixels.
# </details>


# %% exercise="field_arithmetic"
def field_arithmetic(windows):
    """What a unit sees along one axis.

    windows: list of (kernel, stride, padding, dilation), the first layer first.
    Returns: (size, jump, start), three whole numbers; start is negative inside the padding.
    """
    ### BEGIN SOLUTION
    size, jump, start = 1, 1, 0
    for kernel, stride, padding, dilation in windows:
        size = size + dilation * (kernel - 1) * jump
        start = start - padding * jump
        jump = jump * stride
    return size, jump, start
    ### END SOLUTION


# %% check="field_arithmetic"
check("field_arithmetic", field_arithmetic)

# %% slide="subslide"
arithmetic = yours_or_ours("field_arithmetic", field_arithmetic)
conv, pool, fire = (3, 2, 0, 1), (3, 2, 0, 1), (3, 1, 1, 1)
to_fire5 = [conv, pool, fire, fire, pool, fire, fire]
print("size, jump, start of fire5:", arithmetic(to_fire5))

# %% [markdown] slide="subslide"
# A fire module squeezes with a 1×1 convolution, then expands with 1×1 and 3×3 side by side. For half of
# its channels the field does not grow; for the others, and so for the layer, it grows by the 3×3.
#
# The recurrence follows a chain. Branches, padding that is uneven, and pooling windows that hang over
# the border (ceil mode) need more care: `layers.receptive_field` traces the network and follows all of
# them. Both must agree.

# %%
seen = layers.receptive_field(net, "fire5", size=224)
where = patches.fields(net, "fire5", size=224)
print("traced: ", seen.size, "pixels,", seen.stride, "apart; unit (0, 0) starts at", where.start)
assert tuple(arithmetic(to_fire5)) == (seen.size[0], seen.stride[0], where.start[0])

# %% slide="subslide"
depths = {
    "squeezenet1_1": ["relu1", "fire2", "fire3", "fire5", "fire7", "fire9"],
    "vgg16_hed": ["relu1_1", "relu1_2", "relu2_2", "relu3_3", "relu4_3", "conv5_1"],
    "efficientnet_lite0": ["stem", "block2", "block3", "block4", "block5", "head"],
}
zoo = {name: models.load(name) for name in depths}
sizes = {n: [layers.receptive_field(zoo[n], k).size[0] for k in depths[n]] for n in depths}

# %%
said = [[f"{k}: {r}" for k, r in zip(depths[n], sizes[n], strict=True)] for n in depths]
header = ["pixels seen by a unit", *(f"depth {i}" for i in range(1, 7))]
show.table(header, [[name, *row] for name, row in zip(depths, said, strict=True)])

# %% [markdown]
# The fields grow with depth, because kernels add up and strides multiply. In EfficientNet-Lite0 they soon
# exceed the photo of 224 pixels: a unit of its last layers *could* see everything. That is only
# what it could see. What it looks at comes at the end.

# %% [markdown]
# ## Is the claim true?
#
# A receptive field is a strong statement: *outside it, nothing matters at all*. That can be tested without
# any theory. Change one pixel, and watch the unit.
#
# We take a unit of fire5 in the middle, and the one in the upper left corner. For each: pixels just
# outside its field, and pixels in the outermost row of the field.


# %% slide="slide"
def change(unit: tuple[int, int], pixel: tuple[int, int]) -> float:
    """Largest change over a unit's channels, when one pixel becomes white, then black."""
    with_white, with_black = x[:1].clone(), x[:1].clone()
    with_white[..., pixel[0], pixel[1]], with_black[..., pixel[0], pixel[1]] = 2, -2
    white, black = layers.activations(net, torch.cat([with_white, with_black]), "fire5")
    return (white - black)[:, unit[0], unit[1]].abs().max().item()


# %% slide="subslide"
tested = []
for row, column in [(13, 13), (0, 0), (26, 13)]:
    top, left, bottom, right = seen.box(row, column)
    middle = (left + right) // 2
    for name, pixel in {"inside": (bottom - 1, middle), "outside": (bottom, middle)}.items():
        tested.append([f"({row}, {column})", name, str(pixel), change((row, column), pixel)])

# %%
inside, outside = ([row[3] for row in tested if row[1] == side] for side in ("inside", "outside"))
assert min(inside) > 1e-6
assert max(outside) < 1e-4
show.table(["unit", "pixel lies", "row, column", "change of the unit"], tested)

# %% [markdown] slide="subslide"
# One row further down, and the change is not small but 0. (The course's tests do this for layers of all
# three networks, at all four sides, border units included.)
#
# A surprise on the way: windows of 3 pixels in steps of 2 do not fit into 224. The last row and the last
# column of a photo are seen by **no** unit of SqueezeNet.

# %% [markdown]
# ## Cutting out what a unit saw
#
# At the border a field leaves the photo. There the network sees padding, which is no part of the photo,
# so we show it grey.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 10 minutes).** Cut out a square field, at true size.
#
# <details><summary>Hint 1: what goes wrong with <code>pixels[:, top:top + size]</code>?</summary>
# For a negative <code>top</code> Python counts from the end of the photo. Cut the box to the photo first.
# </details>
# <details><summary>Hint 2: where does the part inside belong?</summary>
# Row <code>max(top, 0)</code> of the photo is row <code>max(top, 0) - top</code> of the patch.
# </details>


# %% exercise="field_patch"
def field_patch(pixels, top, left, size):
    """The square of a photo that a unit sees; grey (0.5) where it leaves the photo.

    pixels: (3,H,W) in 0-1; top, left: of the square, may be negative; size: its side.
    Returns: (3,size,size).
    """
    ### BEGIN SOLUTION
    patch = torch.full((3, size, size), 0.5)
    height, width = pixels.shape[1:]
    a, b = max(top, 0), min(top + size, height)
    c, d = max(left, 0), min(left + size, width)
    patch[:, a - top : b - top, c - left : d - left] = pixels[:, a:b, c:d]
    return patch
    ### END SOLUTION


# %% check="field_patch"
check("field_patch", field_patch)

# %% slide="subslide"
cut = yours_or_ours("field_patch", field_patch)
panda, units = images.photo("panda").pixels(), [(15, 5), (5, 7), (0, 0), (26, 13)]
panda = net.crop_pixels(panda)[0]
boxes = [where.box(row, column) for row, column in units]
pieces = [cut(panda, top, left, where.size[0]) for top, left, _, _ in boxes]

# %% slide="subslide"
framed = [patches.frame(panda, box) for box in boxes]
captions = [f"unit {unit}" for unit in units]
show.images(
    [*framed, *pieces],
    [*captions, *([""] * 4)],
    columns=4,
    height=1.9,
    alt="a panda with four fields framed, and below them what four units of fire5 see of it",
)

# %%
print("box of unit (0, 0), with padding:", where.box(0, 0), " without:", seen.box(0, 0))
assert where.box(0, 0) == (-24, -24, 39, 39)
assert seen.box(0, 0) == (0, 0, 39, 39)

# %% [markdown]
# ## The strongest patches
#
# The whole method: for each photo take the channel's best unit, sort the photos by its activation,
# and cut out that unit's field. Taking only the best unit of each photo matters: its neighbours see
# nearly the same pixels and would fill the list with copies.

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 15 minutes).** Equal values: the earlier photo comes first, and in a photo the
# first unit in reading order (as `argmax` does).
#
# <details><summary>Hint 1: two steps</summary>
# First <code>activations[:, channel].flatten(1)</code>: one row for each photo, so its largest value and
# its <code>argmax</code>. Then sort the photos.
# </details>
# <details><summary>Hint 2: row and column</summary>
# In a map of width <code>w</code> the place <code>i</code> of the flattened map is row
# <code>i // w</code>, column <code>i % w</code>.
# </details>
# <details><summary>Hint 3: sorting</summary>
# <code>sort(descending=True, stable=True)</code> returns values and indices. The places have to
# be put in the same order.
# </details>


# %% exercise="top_patches"
def top_patches(activations, channel, k):
    """The k photos that excite a channel most, each by its best unit, the strongest first.

    activations: (N,C,h,w); channel: its index; k: 1 to N.
    Returns: photos (k,), positions (k,2) as row and column, values (k,).
    """
    ### BEGIN SOLUTION
    maps = activations[:, channel].flatten(1)
    values, photos = maps.amax(1).sort(descending=True, stable=True)
    places = maps.argmax(1)[photos]
    width = activations.shape[3]
    positions = torch.stack([places // width, places % width], dim=1)
    return photos[:k], positions[:k], values[:k]
    ### END SOLUTION


# %% check="top_patches"
check("top_patches", top_patches)

# %% slide="subslide"
find_top = yours_or_ours("top_patches", top_patches)
fire5 = batches.in_chunks(lambda part: layers.activations(net, part, "fire5").cpu(), x)
first, positions, values = find_top(fire5, 150, 9)
assert torch.equal(first, best["fire5"].top(150, 9)[0])
print(tuple(fire5.shape), "->", ", ".join(photos[i].name for i in first))

# %%
nine = patches.crops(pixels, first, positions, where)
titles = [f"{value:.0f}" for value in values]
alt = "nine patches of 63 pixels, each with an eye in its middle"
show.images(nine, titles, columns=9, height=1.25, alt=alt)

# %% [markdown]
# Now there is no question any more: **eyes**. Of fish, of a red panda, of a kitten. The fish were never
# the point.
#
# The network was trained with class labels only. Nobody told it that there are eyes.

# %% [markdown]
# ## True size: depth is visible
#
# One channel of each of six layers, one row each. One pixel of a photo is one pixel on the screen, so
# that what grows here is what grows in the network.


# %%
def row_of(layer: str, channel: int, k: int) -> list[torch.Tensor]:
    """The k strongest patches of a channel, at true size."""
    first, positions, _ = best[layer].top(channel, k)
    return patches.crops(pixels, first, positions, patches.fields(net, layer))


chosen = {"relu1": 36, "fire2": 27, "fire3": 123, "fire5": 150, "fire7": 351, "fire9": 503}
counts = dict(zip(chosen, (24, 24, 24, 12, 5, 4), strict=True))

# %% slide="subslide"
rows = [row_of(layer, channel, counts[layer]) for layer, channel in chosen.items()]
titles = [f"{n}: {row[0].shape[-1]} px" for n, row in zip(chosen, rows, strict=True)]
alt = "rows of patches from 3 to 207 pixels: specks, then eyes, heads of animals, domes"
show.rows(rows, titles, alt=alt)

# %% [markdown] slide="subslide"
# The first rows are too small to be read at true size, and that is the message: these units decide
# from a few pixels. The same six channels with every patch enlarged to the same height:

# %%
enlarged = [row_of(layer, channel, 9) for layer, channel in chosen.items()]
alt = "black-white edges; woven textures; dark dots with a ring; eyes; animal heads; domes"
show.rows(enlarged, [f"{n}, {c}" for n, c in chosen.items()], height=76, alt=alt)

# %% [markdown] slide="subslide"
# - **relu1, 36**: a vertical edge
# - **fire2, 27**: weaves, meshes, grids
# - **fire3, 123**: dark dots with a bright ring
# - **fire5, 150**: eyes
# - **fire7, 351**: heads of mammals
# - **fire9, 503**: domes under the sky
#
# A texture, then a part, then nearly an object; and a kingfisher, with the outline of a dome against the
# same kind of background. These names are *ours*: what we can say for sure is only that the patches look
# alike.

# %% [markdown]
# ## A gallery
#
# We chose the channels above after looking at hundreds. Here are more of the readable ones. Name each
# row before you read on.

# %% slide="subslide"
gallery = [("fire4", 184), ("fire4", 141), ("fire5", 202), ("fire5", 75)]
gallery += [("fire6", 350), ("fire7", 130), ("fire9", 463)]
alt = "rising bars; writing and arcades; arches; dense patterns; roofs; fish heads; handles"
show.rows(
    [row_of(layer, channel, 9) for layer, channel in gallery],
    [f"{layer}, {channel}" for layer, channel in gallery],
    height=56,
    alt=alt,
)

# %% [markdown] slide="notes"
# Ours: rising bars and grids; writing, and arcades that look like writing; arches; dense patterns; tops
# of buildings against the sky; heads of fish that look to the left; tools with two handles. In nearly
# every row one patch or two do not fit the name.

# %% [markdown] slide="slide"
# Now seven channels that nobody chose: number 100 of every layer.

# %% slide="subslide"
anyone = [(f"fire{i}", 100) for i in range(3, 10)]
alt = "channel 100 of seven layers: some rows have a theme, others have none"
show.rows(
    [row_of(layer, channel, 9) for layer, channel in anyone],
    [f"{layer}, {channel}" for layer, channel in anyone],
    height=56,
    alt=alt,
)

# %% [markdown] slide="subslide"
# Some rows have a theme: contours that fall to the right in fire3, fire4 and fire5; in fire8 nine animals,
# whole or in part; solar panels and windmills in fire9, with a castle and a bird among them. For fire6 and
# fire7 we found no name. A gallery of chosen channels persuades; the unchosen ones tell what a layer is like.

# %% [markdown]
# ## "Low layers find textures, deep layers find objects." Do they?
#
# Our photos have six categories: animals, buildings, fish, tools, things of energy (windmills, dams), and
# other objects. A texture occurs in all of them; an object does not. So for **every** channel of a
# layer: which share of its nine strongest patches comes from a single category?
#
# **Question.** Nine photos drawn at random: what is the largest share then?

# %%
categories = [photo.category for photo in photos]
random = torch.Generator().manual_seed(0)
draws = [torch.randperm(len(photos), generator=random)[:9] for _ in range(500)]
chance = torch.tensor([patches.leading_share(nine, categories)[0] for nine in draws])
print(f"nine photos at random: {chance.mean():.2f} from the leading category")

# %%
shares = {}
for layer in names:
    alive = (best[layer].values.amax(0) > 0).nonzero().flatten().tolist()
    tops = [best[layer].top(channel, 9)[0] for channel in alive]
    shares[layer] = torch.tensor([patches.leading_share(nine, categories)[0] for nine in tops])

# %% slide="subslide"
mean_shares = [shares[layer].mean().item() for layer in names]
show.bars(
    ["nine photos at random", *names],
    [chance.mean(), *mean_shares],
    "share of the top 9 from one category",
)

# %% slide="subslide"
print(", ".join(f"{k} {share:.2f}" for k, share in zip(names, mean_shares, strict=True)))
pure = {layer: (shares[layer] > 0.85).float().mean().item() for layer in ("fire2", "fire9")}
said = (f"{layer}: {share:.0%} of the channels" for layer, share in pure.items())
print("8 of 9 from one category in", ", ".join(said))
assert max(mean_shares[:3]) < chance.mean() + 0.05
assert min(mean_shares[-3:]) > chance.mean() + 0.1

# %% [markdown] slide="subslide"
# Up to fire3 a layer cannot tell our categories better than chance; from fire6 on it clearly does. The rise
# ends at fire7: after that a mean share of more than half stays. So *yes* for the tendency, and *no* for the
# slogan: most deep channels still mix several categories.

# %% [markdown]
# ## One unit, one channel, one layer
#
# Three different things, often mixed up:
#
# - a **unit** (单元) is one number: one channel at one position. It always looks at the same place;
# - a **channel** (通道) is one pattern, looked for everywhere: 27×27 units with the same weights;
# - a **layer** (层) is 256 patterns. Nothing is "the" patch of a layer; we can ask where all its channels
#   together answer most, $\arg\max_{ij} \|A_{:,ij}\|$.
#
# **Question.** What changes in the row of eyes if we ask the *unit* in the middle of the map instead?

# %%
middle = fire5[:, 150:151, 13:14, 13:14]
length = fire5.norm(dim=1, keepdim=True)
asked = {"one channel": (fire5[:, 150:151], 0), "one unit": (middle, 13), "one layer": (length, 0)}
found = {}
for name, (maps, offset) in asked.items():
    first, positions, _ = find_top(maps, 0, 9)
    found[name] = patches.crops(pixels, first, positions + offset, where)

# %% slide="subslide"
alt = "a channel: eyes. A unit: what lies in the middle of a photo. A layer: bright, busy contrasts"
show.rows(list(found.values()), list(found), height=84, alt=alt)

# %%
by_channel, by_unit = find_top(fire5, 150, 9)[1], middle.amax()
places = len(set(map(tuple, by_channel.tolist())))
print(f"strongest of the channel {fire5[:, 150].amax():.0f}, of the unit {by_unit:.0f}")
print(f"the nine patches of the channel lie at {places} different places; the unit has one place")
assert by_unit < fire5[:, 150].amax()
assert places > 1

# %% [markdown] slide="subslide"
# The unit would like eyes as well, but must take what lies in the middle of the photos. And the layer's
# row shows loud contrasts, often at the border, where many channels answer at once: no pattern of its
# own.
#
# So "neuron 150 of fire5" is not a name. Say *channel* when you mean the pattern. And count them right:
# AlexNet's conv5, the layer in many such figures, has 256 channels. Who says 128 has counted one of the two
# GPUs on which it was trained, half of the channels each.

# %% [markdown]
# ## The top is not everything
#
# Nine patches of 225 are the extreme end. What does the channel answer to further down?

# %% slide="subslide"
ranking = best["fire5"].top(150, len(photos))
ends = {"strongest": 0, "from rank 21": 20, "from rank 61": 60, "from rank 121": 120}
lower = []
for a in ends.values():
    lower.append(patches.crops(pixels, ranking[0][a : a + 9], ranking[1][a : a + 9], where))
means = [ranking[2][a : a + 9].mean() for a in ends.values()]
shown = [f"{name}\n{mean:.0f}" for name, mean in zip(ends, means, strict=True)]
alt = "eyes first; then heads and round things; then arches and a nose; then windows and walls"
show.rows(lower, shown, height=72, alt=alt)

# %% [markdown]
# The number is the mean activation of the row. Further down come heads and a round screw, then arches, an owl
# and a koala's nose, and then whatever is least unlike an eye, with activations that are far from 0.
#
# "This channel detects eyes" describes the first row. A channel *grades* everything it sees.

# %% [markdown]
# ## From "goes with" to "causes"
#
# All this is correlation: photos in which the channel is strong have eyes in them. Is it the eye? We can
# *make* pictures in which only one thing differs. First without any animal: a dark disc with a bright ring.
#
# **Question.** If the channel wants an eye, which size should it like best? And what must happen if we
# exchange dark and bright?

# %%
radii = [1, 2, 3, 4, 6, 8, 10, 12, 16, 20]
discs = [patches.ringed_disc(radius) for radius in radii]
alt = "ten dark discs with bright rings on grey, from one pixel to the whole patch"
show.images(discs, [f"r = {radius}" for radius in radii], columns=10, height=1.1, alt=alt)

# %% [markdown]
# We lay each on a grey picture, in the field of the unit in the middle, and write down the channel's answer
# as a share of its strongest answer to a photo. The control is the **average channel**, measured alike.

# %%
most = best["fire5"].values.amax(0)
living = (most > 0).nonzero().flatten()
own = living.tolist().index(150)
grey, (top, left, *_) = torch.full((3, 224, 224), 0.5), where.box(13, 13)


def answers(pictures: list[torch.Tensor]) -> torch.Tensor:
    """(n,C): each living channel's answer, as a share of its strongest answer to a photo."""
    x = net.normalize(torch.stack(pictures).to(net.device))
    return layers.activations(net, x, "fire5").cpu().amax((2, 3))[:, living] / most[living]


# %%
def on_grey(patches_: list[torch.Tensor]) -> torch.Tensor:
    return answers([patches.pasted(grey, patch, top, left) for patch in patches_])


dark = on_grey(discs)
bright = on_grey([patches.ringed_disc(radius, -1.0) for radius in radii])
curves = {"channel 150": dark[:, own], "channel 150, bright disc": bright[:, own]}
curves |= {"average channel": dark.mean(1), "average, bright disc": bright.mean(1)}
alt = "channel 150 is high from 4 to 10 pixels and 0 at 20; the average stays lower"
curves = {name: (radii, curve) for name, curve in curves.items()}
show.lines(curves, "radius of the disc in pixels", "answer, strongest = 1", alt, beside=True)

# %%
above = (dark > dark[:, own, None]).sum(1)
for i in (3, 6, 9):
    print(
        f"r = {radii[i]}: channel 150 {dark[i, own]:.2f}, bright disc {bright[i, own]:.2f}, "
        f"average {dark[i].mean():.2f}; {above[i]} of {len(living)} channels are above"
    )
assert dark[3, own] > dark[3].mean() + 0.2
assert dark[9, own] < 0.1

# %% [markdown]
# A disc with a ring is enough: from 4 to 10 pixels the channel gives about .7 of its strongest answer to any
# photo; at 20 the disc fills the field, and the answer is 0. With dark and bright exchanged it gives less.

# %% slide="subslide"
contrasts = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
fading = on_grey([patches.ringed_disc(4, contrast) for contrast in contrasts])
curves = {"channel 150": (contrasts, fading[:, own]), "average": (contrasts, fading.mean(1))}
alt = "both rise with contrast, channel 150 about in proportion"
show.lines(curves, "contrast of disc and ring", "answer, strongest = 1", alt, beside=True)

# %% [markdown]
# Contrast matters too, about in proportion: size, sign and strength, as they would for an eye.
#
# But look at the count: other channels like the same disc as much, measured by their own best. Round things
# please many; the disc is *sufficient* for this channel, not its private sign.

# %% [markdown] slide="subslide"
# Now a real eye. We cut 31 × 31 pixels around the eyes of the first row and paste them into buildings, at
# random places. The control: another piece of the *same* photo, at the same place.

# %%
first, positions, _ = best["fire5"].top(150, 9)
inside = (
    positions[:, 1] > 0
).tolist()  # two lie at the photo's edge, half of their patch is padding
cut_out = patches.crops(pixels, first, positions, where)
eyes = [p[:, 16:47, 16:47] for p, whole in zip(cut_out, inside, strict=True) if whole]
corners = [where.box(*p) for p, whole in zip(positions.tolist(), inside, strict=True) if whole]
others = []
for i, (a, b, *_) in zip(first[torch.tensor(inside)].tolist(), corners, strict=True):
    a, b = (a + 16 + 97) % 193, (b + 16 + 97) % 193  # half the photo away, both ways
    others.append(pixels[i, :, a : a + 31, b : b + 31])

# %%
hosts = [i for i, category in enumerate(categories) if category == "building"][::3]
spots = torch.randint(0, 193, (len(hosts), 2), generator=torch.Generator().manual_seed(0)).tolist()
scenes = {"untouched": [pixels[i] for i in hosts], "an eye": [], "another piece": []}
for j, (host, spot) in enumerate(zip(hosts, spots, strict=True)):
    for name, piece in {"an eye": eyes, "another piece": others}.items():
        scenes[name].append(patches.pasted(pixels[host], piece[j % len(eyes)], *spot))


# %%
def found_at(pictures: list[torch.Tensor]) -> list[bool]:
    """Whether the middle of the strongest unit's field lies on the pasted piece."""
    maps = layers.activations(net, net.normalize(torch.stack(pictures)), "fire5")[:, 150].cpu()
    units = [divmod(k, maps.shape[2]) for k in maps.flatten(1).argmax(1).tolist()]
    fields_ = [where.box(*unit) for unit in units]
    middles = [((a + c) / 2, (b + d) / 2) for a, b, c, d in fields_]
    both = zip(middles, spots, strict=True)
    return [0 <= y - a < 31 and 0 <= x_ - b < 31 for (y, x_), (a, b) in both]


# %% slide="subslide"
told = {name: answers(pictures) for name, pictures in scenes.items()}
there = {name: found_at(pictures) for name, pictures in scenes.items()}
rows = [
    [name, f"{sum(there[name])} of {len(hosts)}", told[name][:, own].mean(), told[name].mean()]
    for name in scenes
]
show.table(["pasted into a building", "strongest there", "channel 150", "average channel"], rows)

# %% slide="subslide"
few = [scenes[name][j] for name in ("an eye", "another piece") for j in range(6)]
titles = [f"{told[name][j, own]:.2f}" for name in ("an eye", "another piece") for j in range(6)]
alt = "six buildings with an eye pasted in, and the same with another piece of the eye's photo"
show.images(few, titles, columns=6, height=1.6, alt=alt)

# %%
gain = told["an eye"][:, own] - told["another piece"][:, own]
error = gain.std() / len(gain) ** 0.5
print(f"an eye instead of another piece: {gain.mean():+.2f} ± {2 * error:.2f}")
assert gain.mean() > 2 * error
assert sum(there["an eye"]) > sum(there["another piece"]) + 5

# %% [markdown] slide="subslide"
# An eye draws the channel's strongest unit to itself in 24 of 25 buildings, another piece of the same photo in 1,
# and the average channel hardly moves (.44 to .47). We changed one thing and the answer followed: the name has
# become a statement about *causes*. A modest one: eyes suffice, and so do discs.

# %% [markdown]
# ## How much of its field does a unit use?
#
# What a unit **can** see, we know exactly. What **moves** it is another matter: the pixel at the corner reaches
# it through a single path, the one in the middle through very many. Luo et al. (2016) called the pixels that
# really matter the **effective receptive field** (有效感受野):
# $$E_{ij} = \frac1N \sum_{n=1}^{N} \sum_{\text{colour}} \left|\frac{\partial}{\partial
# x_{n,\text{colour},ij}} \sum_k \varepsilon_{nk} A_{k,\text{middle}}(x_n)\right| .$$
# All channels $k$ of the middle place are asked at once, each with a random sign $\varepsilon_{nk} = \pm 1$: so
# they do not cancel, and none of them rules.
#
# **Question.** Before you look: of a field of 207×207 pixels, which share of the area holds 90 % of the
# gradient?

# %%
deep = ["fire3", "fire5", "fire7", "fire9"]
effective = {layer: patches.effective_field(net, x[::8], layer).cpu() for layer in deep}
fields = {layer: layers.receptive_field(net, layer) for layer in deep}
theory = {layer: f.box(f.shape[0] // 2, f.shape[1] // 2) for layer, f in fields.items()}


# %% slide="subslide"
def in_frame(layer: str) -> torch.Tensor:
    """The effective field in colours, inside a frame that shows the theoretical one."""
    return patches.frame(show.colours(effective[layer].sqrt()), theory[layer], width=2)


alt = "bright spots that fade towards the frames, the more room left the deeper the layer"
titles = [f"{layer}: {fields[layer].size[0]} px" for layer in deep]
show.images([in_frame(layer) for layer in deep], titles, height=2.6, alt=alt)

# %% [markdown]
# The frame is the theoretical field; inside, the square root of $E$, so that the faint parts can be seen.
# The grid comes from the strides. Nothing lies outside the frame, and much of what lies inside is
# dark. In numbers:

# %% slide="subslide"
table, held = [], {}
for layer in deep:
    area = fields[layer].size[0] * fields[layer].size[1]
    held[layer] = [patches.area_holding(effective[layer], s) / area for s in (0.5, 0.9, 0.95)]
    table.append([layer, fields[layer].size[0], *(f"{share:.0%}" for share in held[layer])])
show.table(["layer", "field, pixels", "area with 50 % of E", "with 90 %", "with 95 %"], table)

# %%
for layer in deep:
    top, left, bottom, right = theory[layer]
    assert effective[layer][top:bottom, left:right].sum() > 0.9999
assert [held[a][1] > held[b][1] for a, b in zip(deep, deep[1:], strict=False)] == [True] * 3
assert held["fire9"][1] < 0.4

# %% [markdown] slide="subslide"
# Theory predicts the shape for random weights: a sum over very many paths tends to a **Gaussian** whose width
# grows more slowly than the field. Is ours one? The map summed over its rows, averaged over the stride of
# 16 pixels, with the Gaussian of the same width:

# %%
curve, centre, spread = patches.profile(effective["fire9"])
bell = patches.gaussian(len(curve), centre, spread)
curve = torch.nn.functional.avg_pool1d(curve[None], 16, 1, 8)[0, :-1]
place = range(len(curve))
show.lines(
    {"measured": (place, curve), f"Gaussian, σ = {spread:.0f}": (place, bell)},
    "column of the photo",
    "share of the gradient",
    alt="fire9: the measured curve is a bell that follows the Gaussian closely",
)

# %%
apart = 0.5 * (curve - bell).abs().sum()
print(f"the two curves share {1 - apart:.0%} of their area")
assert apart < 0.08

# %% slide="subslide"
spreads = {layer: patches.profile(effective[layer])[2] for layer in deep}
ratios = [4 * spreads[layer] / fields[layer].size[0] for layer in deep]
show.table(
    ["layer", "field, pixels", "σ, pixels", "4 σ as a share of the field"],
    [[k, fields[k].size[0], spreads[k], r] for k, r in zip(deep, ratios, strict=True)],
)

# %% [markdown]
# A Gaussian, very nearly, although the weights are trained and not random: one peak in the middle, and it
# fades long before the border. And its width falls behind: the deeper the layer, the smaller the
# part of its field that it uses.
#
# So a patch at true size shows *more* than the unit used. An honest patch is faded by $E$:

# %%
top, left, bottom, right = theory["fire9"]
weight = effective["fire9"][top:bottom, left:right]
weight = torch.nn.functional.avg_pool2d(weight[None], 33, 1, 16)[0]
weight = (weight / weight.max()).sqrt()
whole = row_of("fire9", 503, 5)
faded = [weight * patch + (1 - weight) * 0.5 for patch in whole]

# %% slide="subslide"
alt = "five patches with domes, and below the same ones fading to grey towards their borders"
show.rows([whole, faded], ["can see", "mostly uses"], height=170, alt=alt)

# %% [markdown]
# This is an average over photos. Which pixels of *this* patch moved the unit needs the gradient for
# this photo: lecture 07.

# %% [markdown]
# ## Try it
#
# Choose a layer and walk through its channels; `rank` shows where each patch lies in its photo. Find a
# channel that you can name, then look at its map: does it also answer somewhere it should not?

# %%
widgets.patches_explorer(net, pixels, [photo.name for photo in photos], best)

# %% [markdown]
# ## What we saw
#
# - Field size, jump and start follow from kernel, stride, padding: $r \leftarrow r + d(k-1)j$,
#   $a \leftarrow a - pj$, $j \leftarrow sj$.
# - Outside its field a unit does not change at all; inside, the middle counts most.
# - The strongest patches of a channel show what its photos have in common, where whole photos do not.
# - At true size depth is size: edges and dots, then parts, then objects.
# - Measured: the top patches of shallow channels are mixed like chance, those of deep ones are not.
# - A unit has a place, a channel has a pattern, a layer has neither.

# %% [markdown]
# **What it does not show.** Only what our 225 photos contain: a channel for violins would show us
# something else. Only the top: a channel may answer to several things. And only that patches go together
# with a strong answer, not *what in them* caused it: for one channel we tested that with discs and pasted eyes.
# Lecture 07 asks for the pixels, lecture 10 lets the network draw the pattern.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | receptive field | 感受野 | the input pixels that can influence a unit |
# | effective receptive field | 有效感受野 | where the gradient of a unit really lies, on average |
# | kernel, stride, padding, dilation | 卷积核、步幅、填充、膨胀 | a sliding window's size, step, border and gaps |
# | jump | 累积步幅 | pixels between the fields of neighbouring units |
# | unit | 单元 | one channel at one position: one number |
# | channel | 通道 | all units that share their weights: one pattern, everywhere |
# | layer | 层 | all channels together |
# | maximally activating patch | 最大激活图像块 | the field of the unit that answers most |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
asked_for = [*chosen.items(), *gallery, *anyone]
used = {int(i) for layer, channel in asked_for for i in best[layer].top(channel, 24)[0]}
used |= {int(i) for maps, _ in asked.values() for i in find_top(maps, 0, 9)[0]}
used |= {int(i) for a in ends.values() for i in ranking[0][a : a + 9]}
shown = [photos[i] for i in sorted(used)] + [images.photo("panda")]
show.credits(shown)

# %% [markdown] slide="skip"
# ## Papers
#
# - M. Zeiler, R. Fergus. [*Visualizing and Understanding Convolutional Networks.*](https://arxiv.org/abs/1311.2901) ECCV 2014.
# - R. Girshick, J. Donahue, T. Darrell, J. Malik. [*Rich feature hierarchies for accurate object detection
#   and semantic segmentation.*](https://arxiv.org/abs/1311.2524) CVPR 2014.
# - W. Luo, Y. Li, R. Urtasun, R. Zemel. [*Understanding the Effective Receptive Field in Deep Convolutional
#   Neural Networks.*](https://arxiv.org/abs/1701.04128) NIPS 2016.
# - A. Araujo, W. Norris, J. Sim. [*Computing Receptive Fields of Convolutional Neural Networks.*](https://doi.org/10.23915/distill.00021) Distill 2019.
# - V. Dumoulin, F. Visin. [*A guide to convolution arithmetic for deep learning.*](https://arxiv.org/abs/1603.07285) 2016.
