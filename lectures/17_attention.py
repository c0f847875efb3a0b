# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 17 Attention
#
# **Sixteen lectures looked into networks of convolutions. What does a network see that has none?**
#
# After this lecture you can
# - turn a photo into tokens without a convolution, and compute attention maps by hand;
# - say how far each head looks, and compare that with a receptive field;
# - find the same part on two animals by comparing tokens;
# - put attention to lecture 09's tests, and say when it explains and when it does not;
# - leave patches out of the input, and compare with occlusion.
#
# About 100 minutes with the three exercises. You need lectures 03, 04, 09 and 13.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch
from torch.nn import functional

from course_utils import attention, filters, images, last_layer, layers, models, show, trust
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## From pixels to tokens
#
# A **vision transformer** (视觉Transformer, ViT) cuts the photo into patches, here of 14 × 14 pixels, and
# makes of each a vector, a **token** (词元), here of 384 numbers. After that no step knows what is up or
# down, left or right: from now on it is a *list*.
#
# Ours is a ViT-S/14 with the weights of **DINOv2** (Oquab et al. 2023), trained without any labels, and
# later fine-tuned by others to mark where people look first. It names nothing: it has no classifier.

# %%
net = models.load("vit_small_dinov2_saliency")
names = ["panda", "kitten", "red_panda", "horse"]
x = net.preprocess([images.photo(name) for name in names])
pixels = net.denormalize(x).cpu()
with torch.no_grad():
    tokens = net(x)
print("photos", tuple(x.shape), "-> tokens", tuple(tokens.shape), "= 1 + 16 * 16 of 384 numbers")

# %% [markdown]
# The first of the 257 tokens, **[CLS]**, belongs to no patch. It starts as the same vector for every photo
# and collects what the others have to say; a classifier would read it.
#
# The step from pixels to tokens is one linear layer: 384 **filters** as large as the patch, at last a
# first layer with large filters. **Question.** Lecture 01 saw edges and colours in every first layer.
# What do you expect here?

# %%
bank = filters.filters_of(net, "patch_embed.proj").cpu()
strongest = bank.flatten(1).norm(dim=1).argsort(descending=True)[:48]
tiles = filters.tile_filters(bank[strongest], columns=12)
alt = "forty-eight large filters: speckled, many like noise, hardly an edge among them"
show.images([filters.enlarged(tiles, 4)], height=3.2, alt=alt)

# %% [markdown]
# They look like noise. But a transformer's next step is linear again, so single filters are an accident of the
# basis: any mixture of them serves as well. What counts is the *space* that the filters span. Its principal
# directions, the strongest first:

# %%
span = torch.linalg.svd(bank.flatten(1), full_matrices=False)
directions = span.Vh.view(-1, 3, 14, 14)
first = filters.tile_filters(directions[:48], 12)
alt = "gratings: oriented, fading towards the border, twenty-four grey ones before any coloured one"
show.images([filters.enlarged(first, 4)], height=3.2, alt=alt)

# %% [markdown]
# No noise any more: fine stripes, checks and rings, **gratings** (光栅) that fade towards the rim, grey ones first, then
# blue against orange. They were inside the noise all along. A number for that: how much of a tile's power lies
# in its six strongest frequencies, of 111?


# %%
def concentration(bank: torch.Tensor) -> float:
    power = torch.fft.rfft2(bank).abs().square().sum(1).flatten(1)[:, 1:]
    return (power.topk(6).values.sum(1) / power.sum(1)).mean().item()


noise = filters.random_filters(384, 14)
noisy = torch.linalg.svd(noise.flatten(1), full_matrices=False).Vh.view(-1, 3, 14, 14)
tiles = {"filters": bank, "first 12 directions": directions[:12], "last 12": directions[-12:]}
tiles |= {"random filters": noise, "their first 12": noisy[:12]}
found = {name: concentration(some) for name, some in tiles.items()}
show.bars(list(found), found.values(), "share of the power in six frequencies")

# %%
print(f"weight of the first direction {span.S[0]:.2f}, of the last {span.S[-1]:.4f}")
assert found["first 12 directions"] > found["filters"] + 0.1
assert found["filters"] > 1.5 * found["random filters"]
assert found["their first 12"] < 0.25

# %% [markdown]
# One often reads that these directions are smooth. Here they are not: the strongest are fine gratings. The last
# ones, a speckle of colours of which photos have little, got practically no weight.

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 10 minutes).** Patches as tokens, without a convolution: lay each patch out as a row
# of numbers, and multiply by all filters at once.
#
# <details><summary>Hint 1: the patches</summary>
# <code>torch.nn.functional.unfold(x, p, stride=p)</code> has the shape (N, C·p·p, T): a <em>column</em>
# for each patch.
# </details>
# <details><summary>Hint 2: the filters</summary>
# <code>weight.flatten(1)</code> lays them out in the same order, (D, C·p·p).
# </details>


# %% exercise="patch_embedding"
def patch_embedding(x, weight, bias):
    """Tokens (N,T,D), row after row of patches.

    x: images (N,C,H,W), H and W multiples of p; weight: filters (D,C,p,p); bias: (D,).
    """
    ### BEGIN SOLUTION
    p = weight.shape[-1]
    rows = functional.unfold(x, p, stride=p).transpose(1, 2)
    return rows @ weight.flatten(1).T + bias
    ### END SOLUTION


# %% check="patch_embedding"
check("patch_embedding", patch_embedding)

# %%
embed = yours_or_ours("patch_embedding", patch_embedding)
layer = layers.find(net, "patch_embed.proj")
by_product = embed(x, layer.weight, layer.bias)
inside = layers.activations(net, x, "patch_embed")
print(f"largest difference from the network's own: {(by_product - inside).abs().max():.1e}")
assert torch.allclose(by_product, inside, atol=1e-3)

# %% [markdown]
# ## Where am I?
#
# A list has no places. So each token gets a vector added that says where its patch was: a **position
# embedding** (位置编码), 37 × 37 of them, learned like any weight. Nobody told the network that pictures
# are two-dimensional. **Question.** Did it find out?

# %%
learned = attention.transformer(net).pos_embed[0, 1:].cpu()
alike = last_layer.unit(learned - learned.mean(0))
alike = (alike @ alike.T).view(37, 37, 37, 37)

# %%
spots = [(4, 4), (4, 18), (18, 18), (32, 30)]
titles = [f"like row {r}, column {c}" for r, c in spots]
alt = "each map is red around its own place, in its row and in its column, and blue elsewhere"
show.maps([alike[r, c] for r, c in spots], titles, signed=True, alt=alt)

# %%
rows, columns = torch.meshgrid(torch.arange(37.0), torch.arange(37.0), indexing="ij")
near = -torch.stack([(rows - r).hypot(columns - c) for r, c in spots])
found = trust.rank_correlation(near, torch.stack([alike[r, c] for r, c in spots]))
blank = attention.transformer(attention.untrained(net)).pos_embed[0, 1:].cpu()
blank = (blank @ blank.T).view(37, 37, 37, 37)
chance = trust.rank_correlation(near, torch.stack([blank[r, c] for r, c in spots]))
print(f"rank correlation with nearness {found.mean():.2f}; before training {chance.mean():.2f}")
assert found.min() > 0.3 > 0.1 > chance.abs().max()

# %% [markdown]
# It did: near places have embeddings that are alike, and the crosses show that rows and columns are told apart.
# For 224 pixels there are only
# 16 × 16 patches: the 37 × 37 vectors are then resampled like a photo.

# %% [markdown]
# ## Attention
#
# Each of twelve **blocks** has two parts: an MLP that works on every token by itself, and
# **attention** (注意力), the only place where tokens meet. A token sends out a **query** $q_i$ (查询), every token
# offers a **key** $k_j$ (键) and a **value** $v_j$ (值), all three linear in the token, and
# $$A_{ij} = \frac{e^{q_i \cdot k_j / \sqrt d}}{\sum_m e^{q_i \cdot k_m / \sqrt d}}, \qquad
# \text{token } i \text{ takes } \sum_j A_{ij}\, v_j .$$

# %% [markdown]
# Row $i$ of $A$ adds up to 1: token $i$ shares out its attention. The 384 numbers are split among six
# **heads** (注意力头) with $d = 64$ numbers each, and every head has a map of its own. So one photo has
# 12 × 6 maps of 257 × 257 numbers.

# %% [markdown] slide="subslide"
# **Exercise 2 (medium, 15 minutes).** The maps of all heads from queries and keys.
#
# <details><summary>Hint 1: heads</summary>
# The first <code>D / heads</code> numbers are head 0's, the next head 1's:
# <code>q.unflatten(2, (heads, -1))</code> is (N,T,heads,d).
# </details>
# <details><summary>Hint 2: one product for all</summary>
# With the heads before the tokens, (N,heads,T,d), <code>@</code> multiplies the last two axes.
# </details>


# %% exercise="attention_maps"
def attention_maps(q, k, heads):
    """A = softmax(q k^T / sqrt(d)) for each head: (N,heads,T,T), row i for query i.

    q, k: (N,T,D), the first D / heads numbers for the first head, and so on.
    """
    ### BEGIN SOLUTION
    q, k = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k))
    return (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=-1)
    ### END SOLUTION


# %% check="attention_maps"
check("attention_maps", attention_maps)

# %%
find_maps = yours_or_ours("attention_maps", attention_maps)
qkv = layers.activations(net, x, "blocks.11.attn.qkv")
q, k, v = qkv.chunk(3, dim=2)
last = find_maps(q, k, heads=6)
print("last block:", tuple(last.shape), "(photo, head, query, key)")
assert torch.allclose(last, attention.look(net, x, [12])[0], atol=1e-4)

# %% [markdown]
# The usual implementations fuse these steps into one kernel that never writes $A$ down. The course's
# network does write it, and `attention.look` collects it from every block.
#
# What does [CLS] ask for, in the last block? Row 0, without its first number, laid out as 16 × 16:

# %%
size = attention.grid(net, x)
cls = attention.from_cls(last, size).cpu()

# %%
overlays = [[p, *(show.overlay(p, m) for m in heads)] for p, heads in zip(pixels, cls, strict=True)]
titles = ["photo", *(f"head {h}" for h in range(6))]
alt = (
    "four animals, six heads each: faces, ears, eyes, whole bodies; one head lights the background"
)
show.images([p for row in overlays for p in row], titles * 4, columns=7, height=1.4, alt=alt)

# %% [markdown]
# Heads share the work, and alike in all four photos: head 2 asks for faces, eyes and nose above all; head 5 for
# these too, and more than any other for ears; head 3 looks at what is *not* the animal. (So it does elsewhere: in all of 23 composites head 3 has less on
# the object than an even map.) And the blocks before? The mean of the heads, for the kitten:

# %%
every = attention.look(net, x).cpu()
by_depth = attention.from_cls(every.mean(2), size)[:, 1]
shown = [0, 1, 3, 5, 7, 9, 10, 11]
titles = [f"block {b + 1}" for b in shown]
alt = "attention of [CLS] on a kitten: spots, background, then ears and mouth, eyes, the whole face"
overlays = [show.overlay(pixels[1], by_depth[b]) for b in shown]
show.images(overlays, titles, columns=4, height=2, alt=alt)

# %%
print(f"block 1: one patch gets {by_depth[0].max():.0%}; an equal share would be {1 / 257:.1%}")

# %% [markdown]
# In block 1 [CLS] asks one patch above all, on the plank, which no one would call important. Nor is it the
# border that draws it: in 24 other photos the dot lay anywhere, more often on a patch of much contrast than on
# an empty one, and in six of them turned left to right it did not turn with them. Remember that dot.

# %% [markdown]
# ## How far do they look?
#
# In lecture 03 a unit of a first convolution saw 3 pixels, and its receptive field grew layer by layer.
# Here every token can ask every token, in the first block. **Question.** It may see everything. What does
# it use?
#
# We measure the distance from each patch to those it takes from, weighted by how much it takes
# (Dosovitskiy et al. 2021).

# %%
reach = attention.look_distances(every, size).mean(1)
control = attention.look(attention.untrained(net), x[:2]).cpu()
blind = attention.look_distances(control, size).mean().item()

# %%
blocks = range(1, 13)
heads = {f"head {h}": (blocks, reach[:, h]) for h in range(6)}
heads["untrained"] = (blocks, [blind] * 12)
alt = "every block has heads that look far; blocks 2 to 5 also have heads that look 20 to 30 pixels"
show.lines(heads, "block", "distance, pixels", alt, ylim=(0, 130))

# %%
squeeze = models.load("squeezenet1_1")
stages = ["conv1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9"]
fields = [layers.receptive_field(squeeze, stage).size[0] / 2 for stage in stages]
share = [n / (len(stages) - 1) for n in range(len(stages))]
depth = [n / 11 for n in range(12)]

# %%
curves = {"SqueezeNet: half the receptive field": (share, fields)}
curves |= {"nearest head": (depth, reach.amin(1)), "farthest head": (depth, reach.amax(1))}
alt = "SqueezeNet's field grows from 1 to about 100 pixels; heads are near and far at every depth"
show.lines(curves, "depth, as a share of all layers", "pixels", alt)

# %%
print(f"nearest head of block 2: {reach[1].min():.0f} pixels, farthest {reach[1].max():.0f}")
print(f"untrained, every head: {blind:.0f} pixels, as if all patches were asked alike")
assert (reach[1:5].amin(1) < 35).all()
assert (reach.amax(1) > 60).all()
assert blind > 105

# %% [markdown]
# An untrained transformer asks all patches alike: uniform attention, 117 pixels. The trained one has *learned* to look near: some heads of
# blocks 2 to 5 stay within about two patches, much as a convolution does, while others of the same block look
# across the photo. A CNN is built to look near and has to be deep to see far; a transformer sees far at once and has
# to learn what is near.
#
# ## Parts
#
# What is in a patch's token, at the end? Too much to look at: 384 numbers. We take the principal components
# of *all* patches of six animals together, and show the first three as red, green and blue.

# %%
animals, parts = attention.animals()
chosen = [0, 2, 3, 6, 9, 10]
six = net.normalize(animals[chosen])

# %%
with torch.no_grad():
    deep = [layers.outputs(net, one[None], "block9", "block12") for one in six]
maps = torch.cat([attention.as_maps(some["block12"], (28, 28)) for some in deep]).cpu()
body = attention.first_component(maps) > 0
coloured = attention.principal_colours(maps, body)

# %%
large = functional.interpolate(coloured, 392, mode="nearest")
alt = "six animals and below them their patches: four heads green, a red one and a blue one"
show.images([*animals[chosen], *large], columns=6, height=1.9, alt=alt)

# %% [markdown]
# Two steps were at work. The sign of the first component, over all six photos, cut the animals out of their
# backgrounds: black is where it is negative. It is not perfect: of the panda only the head is left. Then came
# three components of what is left: heads turn green in four of the six, legs and paws red and violet in three; panda
# and alpaca have colours of their own. No label said "head" or "leg" to this network, ever.
#
# **Question.** Is that a lucky picture? Colours are easily read into. We need a task that can fail.

# %% [markdown] slide="subslide"
# The task: a patch on the eye of one animal. Which patch of *another* animal has the token nearest to it, by
# cosine? Ears, eyes and noses of 15 animals are marked in `data/parts_of_animals.csv`, by hand; our six are
# among them.

# %%
maps = torch.cat([attention.as_maps(some["block9"], (28, 28)) for some in deep]).cpu()
marked = [parts[i] for i in chosen]
point = marked[3]["eye"][0]
there = [attention.counterpart(maps[3], point, maps[i]) for i in (0, 1, 2)]
places = [point, *there]
drawn = [
    show.marked(animals[chosen[i]], (0, 0, 0, 0), tuple(392 * p for p in place), radius=9)
    for i, place in zip((3, 0, 1, 2), places, strict=True)
]
alt = "a dot on a kitten's eye; the dots found on a panda, a dog and a red panda lie on their faces"
show.images(drawn, ["asked: the kitten's eye", *("found",) * 3], height=2.3, alt=alt)

# %% [markdown] slide="subslide"
# Now all ordered pairs of the six and all three parts. A hit is nearer to the right part than to any other, and
# within a tenth of the picture's side. Beside the tokens: what a patch's *pixels* find, what its *place* alone
# finds, what maps of two CNNs find, and the same network before training.

# %%
place = attention.transformer(net).positions(28, 28).detach().cpu()
kinds = {"tokens, block 9": maps, "pixels": functional.pixel_unshuffle(six.cpu(), 14)}
kinds["place alone"] = attention.as_maps(place, (28, 28)).expand(6, -1, -1, -1)
for name, stage in (("squeezenet1_1", "fire9"), ("efficientnet_lite0", "block5")):
    cnn = models.load(name)
    kinds[f"{name}, {stage}"] = layers.activations(cnn, cnn.normalize(animals[chosen]), stage).cpu()
blank = attention.untrained(net)
raw = [attention.patch_maps(blank, one[None], "block9") for one in six]
kinds["untrained, block 9"] = torch.cat(raw).cpu()

# %%
hits = {name: attention.part_hits(some, marked) for name, some in kinds.items()}
share = {name: sum(h.values()) / len(h) for name, h in hits.items()}
print(f"{len(hits['pixels'])} questions")
show.bars(list(share), share.values(), "share of hits")

# %%
cnns = [v for n, v in share.items() if n.startswith(("squeezenet", "efficientnet"))]
known = [share[n] for n in ("pixels", "place alone", "untrained, block 9")]
assert share["tokens, block 9"] > max(known) + 0.2
assert min(cnns) > max(known)

# %% [markdown]
# Pixels, place and the untrained network find next to nothing; the tokens find the right part in two cases of
# five, although the animals differ and face other ways. But look at the two CNNs: the maps of lecture 02 find it
# as often. Six animals are few, though. Beforehand, the same for all 15, each searched in the 14 others:

# %% slide="subslide"
study = attention.stored("parts")
found = {name: torch.tensor(h).float() for name, h in study["hits"].items()}
ahead = [
    trust.mean_interval(found["tokens, block9"] - h, groups=study["to"]) for h in found.values()
]
rows = [[n, h.mean().item(), *a] for (n, h), a in zip(found.items(), ahead, strict=True)]
print(f"{len(study['to'])} questions")
show.table(["maps", "share of hits", "tokens are ahead by", "from", "to (95 %)"], rows)

# %%
assert found["tokens, block9"].mean() > found["squeezenet1_1, fire9"].mean() + 0.05
assert found["efficientnet_lite0, block6"].mean() > found["untrained, block9"].mean() + 0.3

# %% [markdown]
# Now the tokens are ahead of SqueezeNet's maps and of EfficientNet's block5. EfficientNet's next block finds
# as many as they do. Knowing parts is no privilege of attention. Nor does the clean cut-out above carry far: in 23
# composites on buildings the object often has the *other* sign after block 12. After block 9 the overlap is more than
# before training, and about three fifths of that of SqueezeNet's fire9.

# %% [markdown]
# ## Where is the object?
#
# The network was fine-tuned to mark what stands out. Does its attention find the objects of composites, as lectures
# 06 and 09 made them: a cut-out on a photo, so that we know where it is?

# %%
scenes = attention.scenes("test", each=1, seed=5)
scenes = scenes.picked([0, 5, 24, 36, *range(1, 46, 2)])
scene_x = net.normalize(scenes.pixels)
attended, last_cls = [], []
for some in scene_x.split(4):
    with layers.capture(net, "norm") as seen:  # the last [CLS] of the same pass is needed below
        attended.append(attention.last_attention(net, some).cpu())
    last_cls.append(seen["norm"][:, 0])
attended, last_cls = torch.cat(attended), torch.cat(last_cls)

# %%
overlays = [show.overlay(p, m) for p, m in zip(scenes.pixels[:4], attended, strict=False)]
alt = "an elephant, a dog, a flamingo and an orange on photos: attention is bright on most of them"
show.images([*scenes.pixels[:4], *overlays], columns=4, height=1.9, alt=alt)

# %%
from course_utils import saliency

named = attention.with_head("squeezenet1_1")
labels = [name for name, _ in scenes.names]
asked = named.normalize(scenes.pixels)
blank_look = [attention.last_attention(blank, some) for some in scene_x.split(4)]
rivals = {
    "attention": attended,
    "untrained attention": torch.cat(blank_look).cpu(),
    "SqueezeNet's saliency": saliency.saliency_map(named, asked, labels).cpu(),
    "centre": trust.METHODS["centre"].explain(net, scene_x, None).cpu(),
}

# %%
inside = {n: trust.energy_inside(m, scenes.masks) for n, m in rivals.items()}
hit = {n: trust.pointing_hit(m, scenes.masks).float().mean() for n, m in rivals.items()}
top = {n: m > m.flatten(1).quantile(0.8, 1)[:, None, None] for n, m in rivals.items()}
iou = {n: (t & scenes.masks).sum((1, 2)) / (t | scenes.masks).sum((1, 2)) for n, t in top.items()}
print(f"{len(scenes)} composites; the object covers {scenes.masks.float().mean():.2f} of a picture")
rows = [[n, inside[n].mean(), hit[n], iou[n].mean()] for n in rivals]
show.table(["map", "energy inside", "pointing", "IoU of the top fifth"], rows)

# %%
pairs = {
    f"attention − {n}": trust.mean_interval(inside["attention"] - inside[n], groups=labels)
    for n in list(rivals)[1:]
}
alt = "attention holds more energy in the mask than the untrained network, saliency and the centre"
show.intervals(pairs, "difference of the energy inside the mask, 95 % interval", alt)

# %%
assert all(low > 0 for _, low, _ in pairs.values())

# %% [markdown]
# More of the attention lies on the object than of SqueezeNet's saliency, than of a bell in the middle, and than of
# the same network's attention before training (as for the hottest pixel alone, saliency hits as often). That is no
# wonder: it was trained to find what stands out. The
# orange in the night shows it: where lights stand out more than the fruit, attention goes to the lights.

# %% [markdown]
# ## Is attention an explanation?
#
# It is tempting. The map is inside the network, costs nothing, and looks right. But $A$ says what is *taken*,
# not what is *done* with it: values may be long or short, residual connections pass everything by, and eleven
# blocks have mixed the tokens before the last one looks at them. "Attention is not explanation" (Jain & Wallace
# 2019): other attention, same answer. "Attention is not *not* explanation" (Wiegreffe & Pinter 2019): it
# depends on the task and on what you call an explanation. So we ask lecture 09's questions.
#
# Two repairs have been proposed.

# %% [markdown]
# **Rollout** (注意力展开, Abnar & Zuidema 2020) follows attention through all blocks. A block adds what it
# takes to what is there, so each has the matrix $\tilde A^{(l)} = \tfrac12 (\bar A^{(l)} + I)$ with $\bar A$
# the mean of its heads, and all together
# $$R = \tilde A^{(12)} \tilde A^{(11)} \cdots \tilde A^{(1)} .$$

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 15 minutes).** Rollout. Which block's matrix stands on the left?
#
# <details><summary>Hint 1: the heads</summary>
# <code>maps.mean(2)</code> is (L,N,T,T).
# </details>
# <details><summary>Hint 2: the order</summary>
# The last block takes from what the blocks before it have made. <code>joined = matrix @ joined</code> in a
# loop that begins with the first block.
# </details>


# %% exercise="rollout"
def rollout(maps):
    """R = A_L ... A_2 A_1 with A_l = (mean over the heads + identity) / 2: (N,T,T).

    maps: (L,N,heads,T,T), the first block first.
    """
    ### BEGIN SOLUTION
    eye = torch.eye(maps.shape[-1], device=maps.device)
    joined = eye.expand(maps.shape[1], -1, -1)
    for one in maps.mean(dim=2):
        joined = (one + eye) / 2 @ joined
    return joined
    ### END SOLUTION


# %% check="rollout"
check("rollout", rollout)

# %%
roll = yours_or_ours("rollout", rollout)
rolled = attention.from_cls(roll(every), size)
sums = roll(every)[0].sum(1)
print(f"rows add up to {sums.min():.5f} to {sums.max():.5f}")
assert torch.allclose(roll(every), attention.rollout(every), atol=1e-5)

# %% [markdown]
# **Class attention** (Chefer et al. 2021) asks what attention does for a class. In each block only what raises
# the score counts, $\bar A = \mathrm{mean}_h\, \mathrm{ReLU}(\partial S_c/\partial A \odot A)$, and
# $R \leftarrow R + \bar A R$.
#
# For that we need a class score. A **linear head** (线性分类头) on [CLS], fitted on composites, names the
# course's 46 cut-outs; SqueezeNet and EfficientNet get such heads on their last vectors, too, so that later
# all three answer the same question.

# %%
model = attention.with_head("vit_small_dinov2_saliency")
with torch.no_grad():
    named_by, whole = model.module.head(last_cls), model(scene_x[:1])
given = named_by.argmax(1).cpu()
right = (given == scenes.classes).float().mean()
print(f"{right:.2f} of {len(given)} scenes on backgrounds no head has seen are named rightly")
assert right > 0.6
assert torch.allclose(named_by[:1], whole, atol=1e-3 * whole.abs().max().item())

# %% [markdown]
# **Two animals, one photo.** Both are there, and the head can be asked for either. Which map changes?

# %%
back = images.square(images.photo("ajanta_cave").pixels(), 224)
left, _ = images.composite(images.cutout("elephant"), back, 224, 0.5, (0.0, 0.7))
both, _ = images.composite(images.cutout("rooster"), left, 224, 0.45, (1.0, 0.7))

# %%
pair = model.normalize(both)[None].expand(2, -1, -1, -1)
asked_for = ["elephant", "rooster"]
ways = {"last attention": attention.last_attention, "rollout": attention.rolled_out}
ways |= {"class attention": attention.class_attention, "saliency": saliency.saliency_map}
answers = {name: way(model, pair, asked_for).cpu() for name, way in ways.items()}

# %%
tiles = [show.overlay(both, m[c]) for c in (0, 1) for m in answers.values()]
titles = [f"{name}\n“{label}”" for label in asked_for for name in answers]
alt = (
    "above asked for the elephant, below for the rooster: class attention moves, saliency a little"
)
show.images(tiles, titles, columns=4, height=2.2, alt=alt)

# %%
on_left = {name: (m[..., :112].sum((1, 2)) / m.sum((1, 2))).tolist() for name, m in answers.items()}
show.table(["share of the map in the left half", *asked_for], [[n, *v] for n, v in on_left.items()])

# %%
assert on_left["last attention"][0] == on_left["last attention"][1]
assert on_left["class attention"][0] > on_left["class attention"][1] + 0.15

# %% [markdown]
# Attention and rollout give the same map for every class: they do not know the question. Whatever they show,
# it is not why the network said "elephant" *rather than* "rooster". Class attention moves to the side of the
# animal asked for. So it did in nearly all of two dozen other pairs; saliency moved about half as far. Between two
# names that are *not* in the picture class attention moves as well, a third to two thirds as far.

# %% [markdown]
# **Sanity check.** Block by block we replace the weights by random ones, from the head down.

# %%
last, *others = (f"block{i}" for i in range(12, 0, -1))
forgotten = [[], ["head", last], ["head", last, *others[:5]], ["head", last, *others]]
forgetful = [trust.randomised(model, some) for some in forgotten]
dog = model.normalize(scenes.pixels[1:2])
ways.pop("saliency")
row = {n: [w(f, dog, "dog").cpu()[0] for f in forgetful] for n, w in ways.items()}

# %%
captions = ["trained", "block 12 random", "12 to 7", "12 to 1"]
titles = [f"{n}\n{c}" for n in row for c in captions]
alt = "both other maps spread with block 12 random; rollout keeps one dot until all is random"
show.maps([m for maps in row.values() for m in maps], titles, columns=4, height=1.8, alt=alt)

# %% [markdown]
# **Rollout does not care.** It shows one dot far from the dog, the same until the last block is random; it is
# the dot of block 1 (in three quarters of 48 other photos, too, both maps have their maximum in the same patch; in
# the rest the dot comes second or third). The product of
# twelve matrices, each half identity, never gets rid of it. It is not what large transformers are known for,
# attention that gathers on flat patches in *deep* blocks (Darcet et al. 2024): ours is in the first, and seldom flat.

# %% [markdown]
# One photo is an anecdote. Beforehand, for eight scenes and three random networks: how much of the order of the
# pixels is kept? And how much do two networks share that have *nothing* in common, everything random in both?

# %%
study = attention.stored("forgetting")["kept"]
steps = ["block 12", "12 to 7", "12 to 1", "two of them"]
kept = {n: {s: torch.tensor(kinds[s]) for s in steps} for n, kinds in study.items()}
rows = [[n, *(kinds[s].mean().item() for s in steps)] for n, kinds in kept.items()]
show.table(["rank correlation, random from the head to", *steps], rows)

# %%
assert kept["rollout"]["block 12"].min() > 0.9
assert kept["rollout"]["12 to 7"].mean() > kept["last attention"]["12 to 7"].mean() + 0.3
assert (
    kept["class attention"]["12 to 7"].mean() < kept["class attention"]["two of them"].mean() + 0.2
)

# %% [markdown]
# Attention changes at the first step, class attention more slowly; with half of the blocks random both keep about as
# much as two strangers share. They pass. Rollout keeps nearly everything where the last block is random, and
# most of it with six: this rollout is mostly a picture of the *first* blocks. And a part of it needs no network
# at all: two strangers share more of it than of the others.

# %% [markdown]
# **Take the pixels away.** Beforehand, in scenes in which the head names the object (and would not name it
# on the bare background): what share of the name's probability is left when a map's first 10 and 30 % of pixels are
# removed, **deletion**, or put back into a blurred picture, **insertion**? Noise and centre stand beside.

# %%
table = attention.stored("explanations")
found, whole = table["methods"], torch.tensor(table["whole"])[:, None]
print(f"{table['scenes']} scenes")
left = {n: torch.tensor(m["gone"]) / whole for n, m in found.items()}
back = {n: torch.tensor(m["back"]) / whole for n, m in found.items()}

# %%
header = ["map", "10 % gone", "30 % gone", "10 % back", "30 % back"]
rows = [[n, *left[n].mean(0), *back[n].mean(0)] for n in found]
show.table(header, [[n, *(v.item() for v in values)] for n, *values in rows])

# %%
asking = ("last attention", "rollout", "class attention", "saliency")
panels = {
    title: {n: trust.mean_interval((some[n] - some["centre"]).mean(1)) for n in asking}
    for title, some in {"deletion: low is good": left, "insertion: high is good": back}.items()
}
alt = "attention and class attention beat the centre both ways; saliency and rollout cross zero"
show.interval_panels(panels, "p / p0, difference to the centre, 95 % interval", alt)

# %%
assert left["class attention"].mean() < left["centre"].mean() - 0.05
assert left["noise"].mean() > left["centre"].mean() + 0.1
assert back["class attention"].mean() > back["centre"].mean() + 0.1

# %% [markdown]
# Attention and class attention name pixels that count, better than the centre does, taken away and put back; in the mean
# class attention brings the name back most, but in 20 scenes that may be chance: of the difference to attention,
# .10, the interval is -.01 to .23. Saliency and rollout cannot be told from the centre, in so many
# scenes; noise is far behind.

# %% [markdown]
# **So, is it an explanation?** Of *where the network looks*: yes, and a cheap one; more of it lies on objects than of
# saliency. Of *why it says this and not that*: no. Attention and rollout are the same for every answer; rollout shows the first block.
# Class attention asks the right question and moves with it, for the price of a backward pass. What a look at
# $A$ alone cannot show is what the values carry.

# %% [markdown]
# ## Shape or texture
#
# Geirhos et al. (2019) showed that CNNs go by texture where we go by shape. They painted the shape of one thing
# with the surface of another, by style transfer (lecture 15). **Question.** An elephant in a zebra's skin: which of our
# three networks says elephant?
#
# Beforehand, eight shapes got two surfaces each, with the features of VGG-HED, which is asked nothing.

# %%
from course_utils.common import paths

conflicts = images.read(paths.data("attention_conflicts.webp"))
alt = "eight animals and things, twice, in the skins of others: stripes, red, yellow, green"
show.images([conflicts], height=3.6, alt=alt)

# %%
study, rows = attention.stored("conflicts"), []
pairs_painted = study["pairs"]
for name, answer in study["answers"].items():
    shape, surface = (
        sum(n == pair[i] for n, pair in zip(answer["named"], pairs_painted, strict=True))
        for i in (0, 1)
    )
    rows.append([name, shape, surface, len(pairs_painted) - shape - surface])
print(f"{len(pairs_painted)} pictures")
show.table(["", "named by shape", "by surface", "something else"], rows)

# %% [markdown]
# Elephant, say two of three about the zebra's skin; and all over, each network names ten or eleven of the sixteen by
# shape and next to none by surface. What is not named rightly becomes something else altogether. So here the three are
# alike. That does not refute Geirhos et al.: they asked networks trained on a million photos; our heads learned 46 whole
# cut-outs, and our surfaces are colours more than patterns.

# %% [markdown]
# **Shuffled patches.** If only texture counted, a picture cut into squares and put together at random would be as good
# as whole. **Question.** A patch of 14 pixels *is* a bit of texture. Does a transformer mind its order?
#
# Heads like ours on SqueezeNet and EfficientNet answer the same question for the same 46 scenes.

# %%
one = scenes.pixels[1:2]
cut_up = torch.cat([one, *(attention.shuffled(one, side) for side in (112, 56, 28))])
alt = "a dog before an aqueduct, whole and in ever smaller shuffled squares"
show.images(cut_up, ["whole", "112 pixels", "56", "28"], height=2.2, alt=alt)

# %%
study, sides = attention.stored("pieces"), ["whole", "112", "56", "28"]
named = {n: torch.tensor([r[s] for s in sides]) for n, r in study["right"].items()}
curves = {n: (range(4), right.mean(1)) for n, right in named.items()}
ticks = {"xticks": range(4), "xticklabels": sides, "ylim": (0, 1)}
alt = "all three fall with smaller squares; at 28 pixels the transformer names most"
show.lines(curves, "side of the squares, pixels", "named rightly", alt, **ticks)

# %%
ours = named["vit_small_dinov2_saliency"]
for name in ("squeezenet1_1", "efficientnet_lite0"):
    mean, low, high = trust.mean_interval(ours[3] - named[name][3])
    print(f"at 28 pixels, transformer minus {name}: {mean:.2f} ({low:.2f} to {high:.2f})")

# %% [markdown]
# It does mind, and so do they: all lose most of their names in squares of 28 pixels. Whole, EfficientNet names
# all and the transformer fewest; in the smallest squares the transformer names most (against
# EfficientNet the interval holds zero). This test gives no sign that it goes by shape more than CNNs.

# %% [markdown]
# ## What only a transformer can do: leave patches out
#
# Occlusion (lecture 05) had to paint a square *something*, and grey is something, too. A list of tokens can
# simply be shorter.

# %% [markdown]
# So the map of lecture 05 can be made without a square: leave a window of 4 × 4 patches out, everywhere, and beside
# it the same window in grey.

# %%
from course_utils import occlusion

gone = attention.dropped_patches(model, dog, "dog", window=4, stride=3)
with torch.no_grad():
    before = model(dog)[0]
    grey = torch.zeros(3, 1, 1, device=model.device)
    after = occlusion.sliding_window(model, dog, 56, 42, grey)
hidden = occlusion.drop(before, after, model.index("dog"), probability=False).cpu()
to_pixels = [occlusion.to_pixels(m, 56, 42, 224, 224) for m in (gone, hidden)]

# %%
overlays = [show.overlay(scenes.pixels[1], m.clamp(min=0)) for m in to_pixels]
alt = "a dog; what the score loses when patches are left out, and when they are painted grey"
show.images([scenes.pixels[1], *overlays], ["photo", "left out", "grey"], height=2.6, alt=alt)

# %%
inside = [trust.energy_inside(m[None], scenes.masks[1:2]).item() for m in to_pixels]
print(f"inside the mask: {inside[0]:.2f} left out, {inside[1]:.2f} grey; ")
print(f"the object's area is {scenes.masks[1].float().mean():.2f}")
assert min(inside) > 1.5 * scenes.masks[1].float().mean()

# %% [markdown]
# Both maps say the head, and nearly alike. *Where* the score falls, grey says much as nothing does, and did so in four
# other scenes. *How far*, it does not: in two of them the worst grey square cost two and three times what the worst
# gap did. It hides, and adds something.
#
# **Question.** And if half of all patches are missing, here and there, at random?

# %%
study, shares = attention.stored("missing")["right"], ["0.0", "0.5", "0.75", "0.9"]
right = {n: torch.tensor([r[s] for s in shares]) for n, r in study.items()}
curves = {
    n.replace("vit_small_dinov2_saliency", "transformer"): r.mean(1) for n, r in right.items()
}
ticks = {"xticks": range(4), "xticklabels": ["none", "half", "3/4", "9/10"], "ylim": (0, 1)}
alt = "with half the patches missing the transformer still names most scenes, the CNNs few"
lines = {n: (range(4), r) for n, r in curves.items()}
show.lines(lines, "patches missing, at random", "named rightly", alt, **ticks)

# %%
out, grey = right["vit_small_dinov2_saliency, left out"], right["vit_small_dinov2_saliency, grey"]
for n, r in list(right.items())[:3]:
    mean, low, high = trust.mean_interval(out[1] - r[1])
    print(f"half missing, {n}: {r[1].mean():.2f}; behind by {mean:.2f} ({low:.2f} to {high:.2f})")
mean, low, high = trust.mean_interval(out[2] - grey[2])
print(
    f"three quarters: left out {out[2].mean():.2f}, grey {grey[2].mean():.2f}, ahead by {low:.2f} to {high:.2f}"
)
assert out[1].mean() > right["efficientnet_lite0, grey"][1].mean() + 0.2

# %% [markdown]
# With half of its patches left out the transformer still names three scenes of four (two of three with another
# half). The CNNs, whose heads were fitted in the same way, are lost.
#
# **Question.** Because of the grey, whose checkerboard is full of edges that no photo has?
#
# Beforehand the same gaps were filled from what is left around them, smoothly:

# %%
study = attention.stored("smoothed")
for n, named_so in study["right"].items():
    smooth = torch.tensor(named_so)
    mean, low, high = trust.mean_interval(smooth - right[f"{n}, grey"][1])
    print(f"filled, {n}: {smooth.mean():.2f}; over grey by {mean:.2f} ({low:.2f} to {high:.2f})")

# %%
filled = {n: torch.tensor(named_so).mean() for n, named_so in study["right"].items()}
assert max(filled[n] for n in ("squeezenet1_1", "efficientnet_lite0")) < out[1].mean() - 0.2

# %% [markdown]
# EfficientNet gains, SqueezeNet and the transformer hardly do, and both CNNs stay far behind: edges are a part of
# it at most. With three quarters missing, leaving them out is clearly better than grey for the transformer itself.
# Many grey patches are a picture of their own; only a list can do without.

# %% [markdown]
# ## The last layer again
#
# Lecture 04 looked for the photos nearest to a photo in the last layer. **Question.** [CLS] has collected what all
# patches have to say. Does it find the same kind of thing more often than a CNN's last vector?

# %%
study = attention.stored("neighbours")
near = {name: torch.tensor(shares) for name, shares in study["precision"].items()}
print(
    f"precision@{study['k']} over the categories of {len(near['pixels'])} photos; chance {study['chance']}"
)
show.bars(list(near), [p.mean().item() for p in near.values()], "precision@5")

# %%
against = {
    f"[CLS] − {n}": trust.mean_interval(near["[CLS]"] - p) for n, p in near.items() if n != "[CLS]"
}
alt = "[CLS] is below both CNNs, above its patches' mean, the untrained transformer and pixels"
show.intervals(against, "difference of precision@5, photo by photo, 95 % interval", alt)

# %%
assert all(low > 0 for name, (_, low, _) in against.items() if "net" not in name)
assert all(high < 0 for name, (_, _, high) in against.items() if "net" in name)

# %%
photos = images.photos()
stamps = last_layer.thumbnails(net.crop_pixels(photos), 64)
flat = last_layer.tsne(torch.from_numpy(attention.stored_arrays()["cls"]).float(), perplexity=20)
alt = "t-SNE of [CLS]: tools and fruit, buildings, and animals lie in groups, less clearly than with a CNN"
show.images([last_layer.paste(stamps, last_layer.apart(flat, 64))], height=6, alt=alt)

# %% [markdown]
# Less often than both CNNs. They were trained to tell a thousand classes apart, which is what is asked here; DINOv2
# was not, and what it knew was then bent towards *where* things stand out, not *what* they are. That the second
# step is to blame is likely; it cannot be tested here, without the weights before it.

# %% [markdown]
# ## Back to the photo
#
# Lecture 13 looked for a photo with given features, and found that deep layers of a CNN keep little of the
# pixels. **Question.** A transformer never pools: it has a token for every patch in the first block and in the
# last. Does it keep the photo?
#
# The same descent, 30 steps at 112 pixels, was run beforehand for both networks (`data/rebuild_attention.py`).

# %%
sheet = images.read(paths.data("attention_inversions.webp"))
alt = "a red panda from ever deeper layers; the transformer keeps it longer; both end in grey"
show.images(
    [sheet],
    ["photo, then ever deeper; above the transformer, below SqueezeNet"],
    height=2.8,
    alt=alt,
)

# %%
results = attention.stored("inversions")["results"]
rows = [[*name.split(", "), kind["psnr"], kind["ssim"]] for name, kind in results.items()]
show.table(["network", "from layer", "PSNR, dB", "SSIM"], rows)

# %%
ours, theirs = ([row[2] for row in rows if row[0].startswith(n)] for n in ("vit", "squeeze"))
steps = range(1, 6)
alt = (
    "both curves fall from about 31 dB to 11; the transformer's lies above from the second step on"
)
curves = {"transformer": (steps, ours), "SqueezeNet": (steps, theirs)}
show.lines(curves, "step of the ladder, from the first layer to the last", "PSNR, dB", alt)

# %%
assert all(a > b for a, b in zip(ours[1:-1], theirs[1:-1], strict=True))

# %% [markdown]
# For longer than the CNN: halfway, after block 6, face and fur are all there, where SqueezeNet's are smeared; the
# layout is still seen after block 9. But not to the end. The last tokens have the places and have lost the
# picture: 30 steps of descent find nothing but grey. Keeping the *number* of tokens does not mean keeping what was in
# them. (One photo, one length of descent: a longer one may find more.)

# %% [markdown]
# ## Try it
#
# Choose a photo, a block and a head, and move the query: what does *this* patch ask for? Find a head that
# looks at neighbours, one that looks at everything of the same colour, and one that always looks at the same
# places.

# %%
from course_utils import widgets

widgets.attention_explorer(net)

# %% [markdown]
# ## What we saw
#
# - A patch becomes a token by one product. The filters look like noise; the directions they span are gratings.
# - Position embeddings learn that pictures have rows and columns.
# - Some heads look two patches far, some across the photo, in the same block.
# - Tokens know parts: better than SqueezeNet's maps, as well as EfficientNet's.
# - More of attention than of saliency is on objects. It explains no decision: it is the same for every class.
#   Weighted by the gradient it follows the question.
# - No sign that it goes by shape more than CNNs do; its [CLS] finds the same kind less often.
# - Patches can be left out: with half of them gone it still names most scenes, CNNs few.

# %% [markdown]
# **What it does not show.** One network, of one size, fine-tuned for saliency: others look elsewhere. Our heads
# were fitted on 46 cut-outs, so accuracies are those of a small task.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | vision transformer | 视觉Transformer | a network that treats patches of a picture as a list of tokens |
# | token | 词元 | a vector that stands for one patch, or, [CLS], for the picture |
# | patch embedding | 图像块嵌入 | the linear layer from a patch's pixels to its token |
# | position embedding | 位置编码 | a learned vector that tells a token where it was |
# | attention | 注意力 | each token takes a weighted mean of all tokens' values |
# | query, key, value | 查询，键，值 | what a token asks for, what it offers, what is taken |
# | head | 注意力头 | one of several attentions side by side, each with its part of the numbers |
# | rollout | 注意力展开 | attention multiplied through all blocks |
# | linear head, linear probe | 线性分类头，线性探针 | a linear classifier on a frozen network's vector |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
used = [images.photo(n) for n in [*names, "koala", "dog", "kangaroo", "chelsea", "ajanta_cave"]]
pasted = [
    *(name for name, _ in scenes.names[:4]),
    *(n for p in pairs_painted for n in p),
    "rooster",
]
used += [images.cutout(name) for name in dict.fromkeys(pasted)]
used += [images.photo(name) for _, name in scenes.names[:4]] + images.photos("building")[1:2]
show.credits(used)

# %% [markdown] slide="skip"
# ## Papers
#
# - A. Dosovitskiy et al. *An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale.* ICLR 2021.
# - A. Vaswani et al. *Attention Is All You Need.* NeurIPS 2017.
# - M. Oquab et al. *DINOv2: Learning Robust Visual Features without Supervision.* TMLR 2024.
# - M. Caron et al. *Emerging Properties in Self-Supervised Vision Transformers.* ICCV 2021.
# - S. Abnar, W. Zuidema. *Quantifying Attention Flow in Transformers.* ACL 2020.

# %% [markdown] slide="skip"
# - H. Chefer, S. Gur, L. Wolf. *Generic Attention-Model Explainability for Interpreting Bi-Modal and
#   Encoder-Decoder Transformers.* ICCV 2021.
# - T. Darcet, M. Oquab, J. Mairal, P. Bojanowski. *Vision Transformers Need Registers.* ICLR 2024.
# - S. Jain, B. C. Wallace. *Attention is not Explanation.* NAACL 2019.
# - S. Wiegreffe, Y. Pinter. *Attention is not not Explanation.* EMNLP 2019.
# - R. Geirhos et al. *ImageNet-trained CNNs are biased towards texture; increasing shape bias improves
#   accuracy and robustness.* ICLR 2019.
# - M. Naseer et al. *Intriguing Properties of Vision Transformers.* NeurIPS 2021.
# - S. Amir, Y. Gandelsman, S. Bagon, T. Dekel. *Deep ViT Features as Dense Visual Descriptors.* 2021.
