# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 09 Can a map be trusted?
#
# **You like a heat map. How would you find out that it is wrong?**
#
# After this lecture you can
# - destroy a network on purpose and see which maps do not notice;
# - score a map by where its mass lies when you know where the evidence is;
# - score a map by what happens when the pixels it names are taken away;
# - say what each score measures, what it does not, and give it with an interval;
# - choose a method for a question, knowing its price.
#
# About 90 minutes with the two exercises. You need lectures 05 to 08.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import images, models, show, trust, widgets
from course_utils.common import batches, composites
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## Six maps of one bird
#
# Each of these claims to show why SqueezeNet says "macaw". They cannot all be right. Two of them
# never asked the network at all.
#
# **Question.** Which two?

# %%
net = models.load("squeezenet1_1")
methods = trust.METHODS
quick = ["saliency", "SmoothGrad", "guided backprop", "Grad-CAM", "edges", "centre"]
x = net.preprocess([images.photo(name) for name in ("scarlet_macaw", "koala", "panda")])
with torch.no_grad():
    classes = net(x).argmax(1)

# %%
maps = {name: methods[name].explain(net, x, classes) for name in quick}
numbers = [f"map {i}" for i in range(1, 7)]
alt = "a macaw and six heat maps of it, from speckles to a smooth blob"
show.maps([m[0] for m in maps.values()], numbers, photo=net.denormalize(x)[0], columns=4, alt=alt)

# %% [markdown]
# They are maps 5 and 6: the edges of the photo, and a bell in the middle that is the same for every
# photo. Both look reasonable; map 5 looks a good deal like map 3.
#
# So the eye is no judge. A map that *looks* right may show the photo, and not the network. This lecture
# replaces liking by measuring, in four ways. It keeps those two impostors as yardsticks, and a third,
# random **noise** (噪声): a method that does not beat them has shown nothing about the network.

# %% [markdown]
# ## Sanity check: destroy the network
#
# **Question.** If we replace everything the network learned by random numbers, what must happen to an
# explanation of its decision?
#
# It must change. Adebayo et al. (2018) randomise the weights group after group, from the class scores
# down to the first convolution (**cascading randomisation**, 级联随机化), and compare each map with that
# of the trained network. Every weight is drawn anew with the mean and spread of its layer.

# %%
stages = trust.STAGES[net.name]
forgotten = [[name for stage in stages[:k] for name in stage] for k in range(len(stages) + 1)]
networks = [trust.randomised(net, names) for names in forgotten]
print("random, group after group:", "; then ".join(", ".join(stage) for stage in stages))

# %%
captions = ["none", *(stage[-1] for stage in stages)]
lined_up = ("saliency", "SmoothGrad", "guided backprop", "Grad-CAM")
cheap = [name for name in methods if 0 < methods[name].passes <= 4]
forgetting = {n: [methods[n].explain(one, x, classes) for one in networks] for n in cheap}
smooth = [methods["SmoothGrad"].explain(one, x[:1], classes[:1]) for one in networks]

# %%
row = {name: forgetting.get(name, smooth) for name in lined_up}
titles = [c for n in lined_up for c in (n, *captions[1:])]
alt = "four methods, a row each, while ever more layers turn random; guided backprop keeps the bird"
show.maps([m[0] for maps in row.values() for m in maps], titles, columns=7, height=1.25, alt=alt)

# %% [markdown] slide="subslide"
# On the left the trained network; from column to column one more group is random, down to the layer in
# the title. In the last column the network knows **nothing**, and yet three rows show the line of the
# bird's back. Guided backpropagation goes on drawing longest; how much of it is left, we measure next.
# Grad-CAM loses it by fire8.

# %% [markdown]
# ## Two numbers for "has it changed?"
#
# **Spearman's rank correlation** (秩相关) asks whether two maps put the pixels in the same order: the
# ordinary correlation, of the *ranks*
# $$\rho = \frac{\sum_i (r_i - \bar r)(q_i - \bar q)}
# {\sqrt{\sum_i (r_i - \bar r)^2}\sqrt{\sum_i (q_i - \bar q)^2}} ,$$
# 1 for the same order, 0 for unrelated ones. It does not mind how the values are scaled.
# **Structural similarity** (SSIM, 结构相似性) compares mean, contrast and pattern in small windows of
# two pictures; it is near what the eye sees.


# %%
def spearman(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r, q = (m.flatten().argsort().argsort().double() for m in (a, b))
    r, q = r - r.mean(), q - q.mean()
    return (r * q).sum() / (r.norm() * q.norm())


trained, *_, random = (maps[:1] for maps in forgetting["saliency"])
by_hand, ours = spearman(trained, random), trust.rank_correlation(trained, random)
print(f"saliency, everything random: {by_hand:.3f} by hand, {ours.item():.3f} by the helper")
assert abs(by_hand - ours.item()) < 1e-3

# %% slide="subslide"
each = forgetting.items()
left = {n: [trust.rank_correlation(maps[0], m).mean().item() for m in maps] for n, maps in each}
alt = "rank correlation falls by a different amount for each method; guided backprop stays highest"
steps = range(len(captions))
ticks = {"xticks": steps, "xticklabels": captions}
curves = {name: (steps, values) for name, values in left.items()}
show.lines(curves, "random down to", "rank correlation", alt, **ticks)

# %%
last = {name: values[-1] for name, values in left.items()}
print(", ".join(f"{name} {value:.2f}" for name, value in last.items()))
assert last["guided backprop"] == max(last.values()) > 0.3

# %% [markdown]
# That was one random network. Another draw could tell another story. With four more, every layer random,
# and the same three photos, there are five means; the bar goes from the least to the most:

# %%
four = [trust.randomised(net, forgotten[-1], seed) for seed in range(1, 5)]
more = {name: [methods[name].explain(one, x, classes) for one in four] for name in cheap}
kept = {
    name: torch.stack([trust.rank_correlation(maps[0], m).mean() for m in [maps[-1], *more[name]]])
    for name, maps in forgetting.items()
}

# %% slide="subslide"
spread = {name: (one.mean(), one.min(), one.max()) for name, one in kept.items()}
alt = "guided backprop keeps most with every network; the class activation maps lie around zero"
show.intervals(spread, "rank correlation, five random networks", alt)

# %%
rest = [name for name in cheap if name not in ("guided backprop", "Guided Grad-CAM")]
print("; ".join(f"{name} {one.min():.2f} to {one.max():.2f}" for name, one in kept.items()))
assert kept["guided backprop"].min() > 0.3
assert kept["guided backprop"].mean() > max(kept[name].mean() for name in rest) + 0.1
assert kept["CAM"].abs().max() < 0.4

# %% [markdown] slide="subslide"
# Guided backpropagation's insensitivity is no accident of one draw. For the class activation maps the sign
# *is* an accident: only "near zero" stays.
#
# These are three photos and the methods of at most four passes. `course trust` runs all methods on
# more photos, and stores what it measured; here are its curves for the nine methods of lectures 05 to
# 08, first the order of the pixels, then the look.

# %%
full = trust.stored(net.name)
asking = [name for name in full if name not in trust.BASELINES]
alt = "stored rank correlations of nine methods: guided backprop and SmoothGrad end highest"
curves = {name: (steps, [1, *full[name]["ranks"]]) for name in asking}
show.lines(curves, "random down to", "rank correlation", alt, **ticks)

# %%
alt = "stored structural similarity of nine methods: half of it is left for many"
curves = {name: (steps, [1, *full[name]["similarity"]]) for name in asking}
show.lines(curves, "random down to", "structural similarity", alt, **ticks)

# %% slide="subslide"
kept = {name: full[name]["kept"][0] for name in asking}
first = {name: full[name]["ranks"][0] for name in asking}
sizes = full["gradient x input"]["sizes"][-1]
for name in asking:
    print(f"{name:17} only the head random {first[name]:.2f}, everything random {kept[name]:.2f}")

# %%
own, outlines = forgetting["guided backprop"][0], methods["edges"].explain(net, x, classes)
on_edges = trust.rank_correlation(own, outlines).mean()
order, look = (full["guided backprop"][key][2] for key in ("ranks", "similarity"))
print(f"guided backprop, random down to fire6: order {order:.2f}, look {look:.2f}")
print(f"with the photos' edges: {on_edges:.2f}; gradient x input, absolute values: {sizes:.2f}")

# %%
assert first["guided backprop"] > 0.95
assert kept["guided backprop"] == max(kept.values()) > 0.4
assert look < order - 0.1
assert on_edges < 0.5
assert first["SmoothGrad"] > first["saliency"] + 0.1
assert abs(kept["gradient x input"]) < 0.05
assert sizes > 0.2
assert all(abs(kept[name]) < 0.2 for name in ("occlusion", "CAM", "Grad-CAM"))

# %% [markdown] slide="subslide"
# - **Guided backpropagation** does not notice a random class layer. Down to fire6 its order hardly changes
#   (0.88), its look does (0.64). Half its order is kept when nothing is left to explain. Still it is no edge
#   map: with the photos' edges it correlates by 0.26.
# - **SmoothGrad** changes *less* with a random class layer than the plain saliency map. Averaging did not
#   make it deaf: it took away each map's own noise. What is left is alike in both networks, and was before;
#   the noise hid it.

# %% [markdown] slide="subslide"
# - **Gradient × input** seems to pass, with 0. But the order of its absolute values keeps 0.30, in part
#   because one photo is a factor of both maps.
# - **Deconvnet** turns black for nearly every photo once fire8 is random in this way: no map, so nothing to
#   correlate. No pass.
# - **CAM, Grad-CAM and occlusion** forget. Edges and centre stay at 1.

# %% [markdown]
# All that was SqueezeNet. **Question.** Is guided backpropagation's deafness a property of the method, or of
# one network? The same for EfficientNet-Lite0:

# %%
lite = "efficientnet_lite0"
tables = {name: trust.stored(name) for name in (net.name, lite)}
ends = ["none", "head", "block7", "block6", "block4", "block1", "stem"]  # of trust.STAGES[lite]
ticks = {"xticks": steps, "xticklabels": ends}
curves = {name: (steps, [1, *tables[lite][name]["ranks"]]) for name in asking}
alt = "EfficientNet: guided backprop and deconvnet fall last, but end near the others"
show.lines(curves, "random down to", "rank correlation", alt, **ticks)

# %%
of_lite = tables[lite]
lite_first = {name: of_lite[name]["ranks"][0] for name in asking}
lite_kept = {name: of_lite[name]["kept"][0] for name in asking}
for name in ("guided backprop", "deconvnet", "SmoothGrad", "saliency"):
    print(
        f"{name:17} only the head random {lite_first[name]:.2f}, everything {lite_kept[name]:.2f}"
    )
assert lite_first["guided backprop"] > 0.95
assert lite_kept["guided backprop"] < 0.5 * kept["guided backprop"]
assert of_lite["gradient x input"]["sizes"][-1] < 0.2
assert lite_first["SmoothGrad"] > lite_first["saliency"] + 0.1

# %% [markdown] slide="subslide"
# A random head it does not notice here, either. But when everything is random, little of its order is left, and
# more of SmoothGrad's; and gradient × input forgets its absolute values, too. So what holds for *both* networks is:
# guided backpropagation is deaf to the *upper* layers, those that know the classes, and SmoothGrad changes less
# than plain saliency with the last of them. That half of guided backpropagation's order outlives even the filters
# holds for SqueezeNet.

# %% [markdown]
# **What passing means.** Only that the map depends on the weights. Noise drawn anew for each network would
# pass with 0 and explain nothing. And a correlation above 0 need not be a scandal: random filters, too,
# answer more to edges than to sky, and the gradient says so rightly: Binder et al. (2023) show that from the
# head downwards the lower layers go on doing so. The check can convict, it cannot acquit.

# %% [markdown]
# ## A game with a known answer
#
# A map that depends on the weights may still point at the wrong place. Böhle et al. (2021) put several
# photos, each recognised with confidence, into one collage, and ask for their classes in turn: the
# **grid pointing game** (网格指向游戏). The evidence for a class lies in *its* cell. We take four.
#
# **Question.** How much of a map that knows nothing lies in the right cell?

# %%
pixels, labels, names = trust.confident_photos(net)
collages = trust.grids(pixels, labels, n=3, seed=1)
grid, asked = collages[0][0], collages[1][0]
alt = f"a collage of four photos: {', '.join(net.labels[c] for c in asked)}"
show.images([grid], ["above: 0, 1; below: 2, 3"], height=3.6, alt=alt)

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 10 minutes).** The share of a map's positive values that lies in the right cell.
# Negative values speak against the class: they count as nothing. A map without positive values points
# nowhere: 0.
#
# <details><summary>Hint 1: four sums</summary>
# With <code>top = H // 2</code> and <code>left = W // 2</code>, cell <code>c</code> begins in row
# <code>(c // 2) * top</code> and column <code>(c % 2) * left</code>.
# </details>
# <details><summary>Hint 2: nothing divided by nothing</summary>
# <code>inside / whole.clamp(min=1e-12)</code> is 0 where both are.
# </details>


# %% exercise="pointing_score"
def pointing_score(maps, cells):
    """The share of each map's positive mass in its cell.

    maps: (N,H,W) of 2x2 collages, H and W even; cells: (N,) int64, 0 and 1 above, 2 and 3 below.
    Returns: (N,), 0 for a map without positive values.
    """
    ### BEGIN SOLUTION
    positive = maps.clamp(min=0)
    top, left = maps.shape[1] // 2, maps.shape[2] // 2
    inside = []
    for one, cell in zip(positive, cells.tolist(), strict=True):
        row, column = (cell // 2) * top, (cell % 2) * left
        inside.append(one[row : row + top, column : column + left].sum())
    return torch.stack(inside) / positive.sum((1, 2)).clamp(min=1e-12)
    ### END SOLUTION


# %% check="pointing_score"
check("pointing_score", pointing_score)

# %%
score = yours_or_ours("pointing_score", pointing_score)
two = torch.tensor([0, 3])
ask = net.normalize(grid)[None].expand(2, -1, -1, -1)
players = ("saliency", "guided backprop", "Grad-CAM", "Guided Grad-CAM")
pointed = {name: methods[name].explain(net, ask, asked[two]) for name in players}

# %%
tiles = [m for c in (0, 1) for m in (maps[c] for maps in pointed.values())]
shares = [score(maps, two)[c] for c in (0, 1) for maps in pointed.values()]
titles = [f"{n}\n“{net.labels[asked[two[c]]]}”" for c in (0, 1) for n in players]
titles = [f"{title}: {share:.2f}" for title, share in zip(titles, shares, strict=True)]
alt = "maps of one collage for the class of cell 0, above, and of cell 3, below"
show.maps(tiles, titles, columns=4, height=2.2, alt=alt)

# %% [markdown]
# Above, the question was for the class in cell 0, below for the one in cell 3; the number is the share
# in the right cell, a quarter would be chance. Guided backpropagation draws nearly the same picture for
# the camel and the bear: it knows where *something* is. Grad-CAM moves, but its hottest spot for the camel
# is the edge where the animal is cut off, and the panda takes part in the bear. So the product of the two,
# Guided Grad-CAM, finds the camel; with the bear it is hardly better than chance.

# %% [markdown]
# ## Take the pixels away
#
# If the first pixels of a map matter, the probability must fall quickly when they go: **deletion**
# (删除). If they suffice, it must rise quickly when only they are put back into a blurred photo:
# **insertion** (插入), Petsiuk et al. (2018). Each is scored by the area under its curve: small is good
# for deletion, large for insertion. No mask is needed, so both work on any photo.

# %%
macaw = x[:1], classes[:1]
place = trust.places(methods["Grad-CAM"].explain(net, *macaw))[:, None]
percent = (2, 10, 30)
counts = [224 * 224 * p // 100 for p in percent]
removed = [torch.where(place < n, 0, x[:1]) for n in counts]
put_back = [torch.where(place < n, x[:1], trust.blurred(x[:1], 12.0)) for n in counts]

# %%
pictures = torch.cat(removed + put_back)
with torch.no_grad():
    left = net(pictures).softmax(1)[:, classes[0]].tolist()
titles = [f"{p} % {what}" for what in ("gone", "back") for p in percent]
titles = [f"{t}: {p:.2f}" for t, p in zip(titles, left, strict=True)]
alt = "above, a macaw without its most important pixels; below, a blurred macaw with only those"
show.images(net.denormalize(pictures), titles, columns=3, height=2.1, alt=alt)

# %% [markdown]
# The number is the probability of "macaw". A removed pixel becomes 0 after normalisation: the mean
# colour of the data set. At point $k$ of $K$ the first $\lfloor kHW/K \rfloor$ pixels are gone.

# %% [markdown] slide="subslide"
# **Exercise 2 (medium, 20 minutes).** The deletion curve: the probability of the class at
# $k = 0, \dots, K$.
#
# <details><summary>Hint 1: which pixels are gone at step k?</summary>
# Those whose <em>place</em> in the order is below <code>k * H * W // steps</code>. The place of a pixel
# is the argsort of the argsort.
# </details>
# <details><summary>Hint 2: all colours at once</summary>
# <code>torch.where(gone, 0, x)</code> with <code>gone</code> of shape (N,1,H,W).
# </details>
# <details><summary>Hint 3: each image its own class</summary>
# <code>probabilities.gather(1, classes[:, None])[:, 0]</code>
# </details>


# %% exercise="deletion_curve"
def deletion_curve(model, x, maps, classes, steps):
    """The probability of each image's class while its pixels go, important ones first.

    x: (N,3,H,W); maps: (N,H,W); classes: (N,) int64; steps: K, whole.
    Returns: (N, steps+1), from the untouched image to an empty one.
    """
    ### BEGIN SOLUTION
    n, _, height, width = x.shape
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    place = order.argsort(dim=1).view(n, 1, height, width)
    curve = []
    for k in range(steps + 1):
        with torch.no_grad():
            left = model(torch.where(place < k * height * width // steps, 0, x)).softmax(1)
        curve.append(left.gather(1, classes[:, None])[:, 0])
    return torch.stack(curve, dim=1)
    ### END SOLUTION


# %% check="deletion_curve"
check("deletion_curve", deletion_curve)

# %%
find_curve = yours_or_ours("deletion_curve", deletion_curve)
rivals = ("guided backprop", "Grad-CAM", "noise", "centre")
ordered = {name: methods[name].explain(net, x, classes).float() for name in rivals}
coarse = {n: find_curve(net, x, m, classes, 10)[:, :3].mean(0) for n, m in ordered.items()}
show.table(
    ["mean probability", "0 % gone", "10 % gone", "20 % gone"],
    [[n, *curve.tolist()] for n, curve in coarse.items()],
)

# %% [markdown]
# Most is over at the first step, so ten equal steps measure little but the floor: however good the
# map, the first trapezoid has at least the area $p_0/20$. And a photo with a small $p_0$ has a small area
# whatever is removed. So from here on we take finer steps at the start, $p/p_0$ for $p$, and eight photos.

# %% slide="subslide"
some, some_classes = net.normalize(pixels[::4][:8]), labels[::4][:8].to(net.device)
maps_of_some = {n: methods[n].explain(net, some, some_classes).float() for n in rivals}
early, each = trust.EARLY, maps_of_some.items()
gone = {n: trust.deletion_curve(net, some, m, some_classes, early) for n, m in each}
back = {n: trust.insertion_curve(net, some, m, some_classes, early) for n, m in each}
whole = gone["noise"][:, :1]  # p0: nothing has gone yet

# %%
share = [100 * part for part in trust.EARLY]
areas = {n: trust.area(curve / whole, trust.EARLY).cpu() for n, curve in gone.items()}
curves = {f"{n}, area {areas[n].mean():.2f}": (share, (c / whole).mean(0)) for n, c in gone.items()}
alt = "deletion curves fall from one to zero: noise and guided backprop first, the centre last"
show.lines(
    curves, "pixels removed, %", "p / p0", alt, "deletion, eight photos: low is good", xlim=(0, 40)
)

# %%
gains = {n: trust.area(curve / whole, trust.EARLY).cpu() for n, curve in back.items()}
curves = {f"{n}, area {gains[n].mean():.2f}": (share, (c / whole).mean(0)) for n, c in back.items()}
alt = "insertion curves rise from zero to one: guided backprop and Grad-CAM first, noise last"
show.lines(
    curves, "pixels put back, %", "p / p0", alt, title="insertion, eight photos: high is good"
)

# %% [markdown]
# **Question.** On these eight photos noise, which knows nothing at all, does as well at deletion as guided
# backpropagation and Grad-CAM. At insertion it comes last. How can that be?

# %%
scattered = trust.places(ordered["noise"])[:1, None] < counts[1]
speckled = torch.where(scattered, 0, x[:1])
both = torch.cat([speckled, removed[1]])
with torch.no_grad():
    given = net(both).softmax(1)[:, classes[0]].tolist()

# %%
titles = [f"{what}: {p:.2f}" for what, p in zip(("noise", "Grad-CAM"), given, strict=True)]
alt = "the macaw with one pixel in ten grey, scattered, and in one piece over its head"
show.images(net.denormalize(both), titles, height=2.8, alt=alt)

# %%
for name in ("guided backprop", "Grad-CAM", "centre"):
    mean, low, high = trust.mean_interval(areas["noise"] - areas[name])
    print(f"deletion, noise minus {name}: {mean:.3f}, 95 % interval {low:.3f} to {high:.3f}")
assert areas["noise"].mean() < areas["centre"].mean()
assert min(gains[n].mean() for n in ("Grad-CAM", "guided backprop")) > gains["noise"].mean() + 0.1

# %% [markdown]
# In both pictures a tenth is gone. The left photo hides nothing from us; the network never saw such speckles in
# training. So a falling curve can mean "the evidence is gone" or "this is no photo any more", and in SqueezeNet
# deletion favours maps of scattered pixels; EfficientNet minds speckles less. Insertion is hard on them: noise
# needs more than half of its pixels back. Neither asks the map alone; each also asks how the network takes to
# damage.
#
# The printed differences are taken photo by photo; why, comes below. And eight photos are few: against guided
# backpropagation the interval is wider than either area. On other photos guided backpropagation does better than
# noise, Grad-CAM not surely.

# %% [markdown]
# ## Does it point at the object?
#
# Cut-outs on photos of buildings, kept only where the network recognises the object, and without it
# does not (lecture 06). Here the evidence *must* lie inside the mask. Two scores: the share of the map's
# positive mass on the object (**energy inside**, 掩膜内能量), and whether its largest value lies there
# (**pointing hit**, 指向命中).
#
# **Question.** Which of the impostors will do best?

# %%
scenes = composites.recognised_composites(net, n=24)
scene_x, scene_classes = net.normalize(scenes.pixels), scenes.classes.to(net.device)
asked_once = [n for n in methods if methods[n].passes <= 4]


def explained(name: str) -> torch.Tensor:
    explain = methods[name].explain
    few = batches.in_chunks(lambda x, c: explain(net, x, c).float(), scene_x, scene_classes, size=6)
    return few.cpu()


# %%
on_scenes = {name: explained(name) for name in asked_once}
energy = {n: trust.energy_inside(m, scenes.masks) for n, m in on_scenes.items()}
hits = {n: trust.pointing_hit(m, scenes.masks).float() for n, m in on_scenes.items()}

# %%
shown = ("saliency", "guided backprop", "Grad-CAM", "centre")
tiles, titles = [], []
for i in range(3):
    tiles += [scenes.pixels[i], *(show.colours(on_scenes[n][i]) for n in shown)]
    titles += [net.labels[scenes.classes[i]], *(f"{n} {energy[n][i]:.2f}" for n in shown)]
alt = "three scenes with four maps each, and the share of each map that lies on the object"
show.images(tiles, titles, columns=5, height=1.7, alt=alt)

# %% slide="subslide"
size = scenes.masks.float().mean((1, 2))
rows = [[n, e.mean(), (e / size).mean(), f"{hits[n].mean():.0%}"] for n, e in energy.items()]
show.table(["24 scenes", "energy inside", "times the object's area", "hits"], rows)

# %% [markdown]
# The object fills a part of the picture, so even noise has that part of its energy inside: "times the
# object's area" says how much better than noise a map is. The centre does well, because a whole object has to
# fit into the frame: the margin stays empty, with small objects, too.

# %% [markdown]
# ## How sure are we?
#
# Three rules. **Paired**: compare two methods *scene by scene*; what is hard for both goes away in the
# difference. **By object**: two scenes of one cut-out are no two witnesses, so the **bootstrap** (自助法)
# draws whole objects with replacement and takes the mean each time. The middle 95 % of these means are the
# **confidence interval** (置信区间). **Corrected**: whoever asks twenty questions gets one false answer at
# 95 %; with $k$ comparisons we take $1 - 0.05/k$, and no more than $0.05/k$ may be chance.
#
# `course trust` measured all methods on two networks, each on scenes that *it* recognises, and stored every single
# number. So any two methods can be paired.

# %%
how = {name: trust.stored_settings(name) for name in tables}
for name, one in how.items():
    print(f"{name}: {one['scenes']} scenes of {len(set(one['objects']))} objects;", end=" ")
    print(
        f"{len(one['asked'])} questions of {len(set(one['asked']))} classes in collages;", end=" "
    )
    print(f"{one['random networks']} random networks")

# %%
titles = {"energy": "energy inside", "grid": "right cell", "insertion": "insertion"}
titles["deletion"] = "deletion, turned"
others = [name for name in methods if name != "centre"]
asked_questions = len(tables) * len(titles) * len(others)
level = 1 - 0.05 / asked_questions
print(f"{asked_questions} comparisons, intervals of {level:.2%}")


# %%
def gain(network: str, a: str, b: str, score: str) -> tuple[float, float, float]:
    """How much better a is than b: the mean difference and its interval."""
    pair = (b, a) if score == "deletion" else (a, b)  # a small deletion score is good
    groups = how[network]["asked" if score == "grid" else "objects"]
    return trust.paired(tables[network], *pair, score, groups, level)


# %% [markdown] slide="subslide"
# **Question.** Would you ask thirty objects for an interval so near to certainty?
#
# Its ends hang on the strangest few. So the bar is the bootstrap's, but its dot is filled by a **sign-flip test**
# (符号翻转检验). If two methods differed in nothing but their names, we could swap the names object by object: each
# swap turns the sign of that object's differences. All ways are counted, $2^{30}$ for thirty objects. If fewer than
# $0.05/k$ of them part the methods as far as we found them, the dot is filled. This share is exact. But what it
# refuses is that the names do not matter; where a few objects carry the mean, it knows the mean no better than the
# bootstrap.


# %%
def no_chance(network: str, a: str, b: str, score: str) -> bool:
    """Whether swapping their names hardly ever parts a and b as far as they are."""
    groups = how[network]["asked" if score == "grid" else "objects"]
    return trust.swap_test(tables[network], a, b, score, groups) < 0.05 / asked_questions


# %%
ahead, filled = (
    {w: {t: {n: ask(w, n, "centre", s) for n in others} for s, t in titles.items()} for w in tables}
    for ask in (gain, no_chance)
)

# %% slide="subslide"
alt = "SqueezeNet: most methods lie right of the centre, Guided Grad-CAM farthest; noise, edges do not"
words = "method minus centre: to the right is better"
show.interval_panels(ahead[net.name], words, alt, net.name, filled[net.name])

# %% slide="subslide"
alt = "EfficientNet: CAM and Grad-CAM lie far right in the collages; noise and edges nowhere"
show.interval_panels(ahead[lite], words, alt, lite, filled[lite])


# %%
def winners_of(network: str, title: str) -> set[str]:
    rows, sure = ahead[network][title], filled[network][title]
    return {n for n in others if sure[n] and rows[n][0] > 0}


better = {network: {t: winners_of(network, t) for t in titles.values()} for network in tables}
for title in titles.values():
    first, second = (better[network][title] for network in tables)
    print(f"{title}: above the centre in both", ", ".join(n for n in others if n in first & second))
    print("    only in SqueezeNet:", ", ".join(n for n in others if n in first - second) or "none")
    print(
        "    only in EfficientNet:", ", ".join(n for n in others if n in second - first) or "none"
    )

# %%
leading = {"CAM", "Grad-CAM", "Guided Grad-CAM"}
for network, of in better.items():
    found = ahead[network]["right cell"]
    told = ", ".join(f"{n} by {found[n][0]:.2f}" for n in ("saliency", "guided backprop", "CAM"))
    print(f"right cell, {network}: {told}")
    for title, winners in of.items():
        assert leading <= winners, (network, title)
        assert not {"noise", "edges"} & winners, (network, title)
        assert ("guided backprop" in winners) is ((network, title) != (lite, "right cell"))

# %%
first, second = (better[network]["energy inside"] for network in tables)
assert "saliency" in first - second
assert "saliency" not in better[net.name]["insertion"]
assert "SmoothGrad" not in first
for network, of in ahead.items():
    assert "gradient x input" not in better[network]["energy inside"]
    assert of["insertion"]["gradient x input"][0] < 0
    assert filled[network]["insertion"]["gradient x input"]

# %% [markdown] slide="subslide"
# What *both* networks say:
#
# - CAM, Grad-CAM and Guided Grad-CAM are ahead of the centre by all four scores; guided backpropagation by all but
#   the right cell of EfficientNet; the impostors by none. Noise, which did so well at deletion on eight photos, is
#   no better than the centre on sixty scenes.
# - **Right cell**: the gradient maps are ahead by about a tenth (that one excepted), CAM by a quarter in SqueezeNet
#   and by more than a half in EfficientNet. Deconvnet is at chance: in EfficientNet it draws nearly one and the same
#   map for every photo.
# - Gradient × input puts not provably more on the object than a bell that never looks, and at **insertion** it is
#   *behind* the bell.

# %% [markdown] slide="subslide"
# And what only one of them says: in SqueezeNet saliency is ahead by three scores, and by insertion perhaps; in
# EfficientNet only in the collages. With SmoothGrad it is the other way round: on the object not ahead in
# SqueezeNet; in EfficientNet ahead by all four, on the object by little, and on other scenes not surely. (Under its
# noise EfficientNet still names many of the pictures, SqueezeNet none.) A verdict on a method is a verdict on a
# method *and a network*.

# %% [markdown]
# ## Five more questions
#
# Toolboxes (Quantus, captum, Xplique) ask more of a map:
# - **Stability** (稳定性): how far does the map move under noise of 2 %? (Its largest relative change.)
# - **Infidelity** (不忠实度): how badly does its sum under a square foretell the score's loss there? 1 is no
#   better than "nothing happens".
# - **Sparseness** (稀疏性): Gini's index, 1 if one pixel has it all.
# - **ROAD**: what are the first pixels worth, against the last, if removed ones are *guessed* from their
#   neighbours instead of greyed?
# - **Other class** (随机类别): rank correlation with the map of a class drawn at random.

# %% [markdown] slide="subslide"
# **Question.** Deletion made of the macaw a thing no network has seen. What does guessing make of it?

# %%
orders = [ordered["Grad-CAM"][:1], ordered["noise"][:1]]
holes = [trust.places(one) < 224 * 224 // 10 for one in orders]
grey = [torch.where(hole[:, None], 0, x[:1]) for hole in holes]
guessed = [trust.imputed(x[:1], hole) for hole in holes]
with torch.no_grad():
    given = net(torch.cat(grey + guessed)).softmax(1)[:, classes[0]].tolist()
assert given[3] > 0.5 > given[2]

# %% slide="subslide"
ways = ["Grad-CAM, greyed", "noise, greyed", "Grad-CAM, guessed", "noise, guessed"]
titles = [f"{way}: {p:.2f}" for way, p in zip(ways, given, strict=True)]
alt = "a macaw without 10 % of its pixels, in a piece and scattered: greyed, and guessed"
show.images(net.denormalize(torch.cat(grey + guessed)), titles, columns=4, height=2.4, alt=alt)

# %% [markdown]
# A tenth of the pixels is gone. Guessed, the scattered ones are hardly missed, and the network sees the bird
# again: what deletion took for lost evidence was the damage. This macaw's head, lost in one piece, stays lost. On
# other photos most are still named without Grad-CAM's tenth, once it is guessed, and a piece elsewhere costs nothing.
#
# Now the table of all five questions; twelve scenes of twelve objects for stability, ROAD and the other
# class, sixty for the rest. First SqueezeNet, then EfficientNet-Lite0:

# %% slide="subslide"
show.table(trust.CHECKS, trust.as_rows(full, trust.CHECKS))

# %% slide="subslide"
show.table(trust.CHECKS, trust.as_rows(of_lite, trust.CHECKS))

# %%
asked_too = ("stability", "other class", "road")
for table in tables.values():
    value = {name: {key: row[key][0] for key in asked_too} for name, row in table.items()}
    assert value["centre"]["stability"] == 0
    assert value["centre"]["other class"] > 0.999
    assert value["guided backprop"]["other class"] > value["Grad-CAM"]["other class"] + 0.2
    assert abs(value["noise"]["road"]) < 0.2 < min(value[name]["road"] for name in asking)
    assert table["occlusion"]["infidelity"][2] < min(table[n]["infidelity"][1] for n in asking[1:])

# %% [markdown]
# In both networks:
# - The centre and noise are the most stable maps there are, and say of every class the same: stability alone
#   rewards whoever does not look. Gradient × input moves by more than its own size.
# - Guided backpropagation hardly cares about the class, here too, and deconvnet not at all.
# - By ROAD noise is worth nothing: the score that deletion wanted to be. But the centre is worth nearly half of the
#   best in SqueezeNet, two thirds of it in EfficientNet.
# - Occlusion foretells squares best. No wonder, it asked squares: with scattered pixels instead, it is behind CAM
#   in SqueezeNet.
# - Sparseness is no merit of its own; a single wrong pixel is as sparse as can be.

# %% [markdown]
# And **completeness** (完备性): does a map add up to $S_c(x) - S_c(0)$? Only maps in units of the score can
# claim it; gradient × input nearly did in lecture 06.

# %%
contributions = methods["gradient x input"].explain(net, x, classes)
whole = trust.completeness(net, x, contributions, classes)
print("gradient x input adds up to", ", ".join(f"{part:.0%}" for part in whole), "of the score")
assert (whole > 0.5).all()

# %% [markdown]
# ## The table, in full
#
# Every method by every score, with its 95 % interval (on slides without); "kept" is the rank correlation with
# everything random, the mean of five random networks; ↓ marks scores that are better when small. SqueezeNet:

# %% slide="subslide"
show.table(trust.HEADER, trust.as_rows(full))

# %% [markdown] slide="subslide"
# And EfficientNet-Lite0:

# %%
show.table(trust.HEADER, trust.as_rows(of_lite))

# %% [markdown]
# ## Reading it
#
# **Question.** Which method would you take home? Which column made you choose it, and would another
# column have chosen the same?
#
# Some sentences one would like to say, and what becomes of them when they are asked of pairs; ● where the
# sign-flip test would fill the dot, ○ where not:

# %%
sentences = {
    "occlusion is worth its price": ("occlusion", "CAM", "energy"),
    "... in a collage, too": ("occlusion", "CAM", "grid"),
    "guided is better than plain": ("guided backprop", "saliency", "energy"),
    "CAM knows the cell better": ("CAM", "guided backprop", "grid"),
    "smoothing takes away": ("saliency", "SmoothGrad", "energy"),
    "the product beats its stencil": ("Guided Grad-CAM", "CAM", "energy"),
}


# %% slide="subslide"
def told(network: str, pair: tuple) -> str:
    mean, low, high = gain(network, *pair)
    dot = "●" if no_chance(network, *pair) else "○"
    return f"{dot} {mean:.2f} ({low:.2f} to {high:.2f})"


rows = [
    [said, f"{a} − {b}", score, *(told(name, (a, b, score)) for name in tables)]
    for said, (a, b, score) in sentences.items()
]
show.table(["one would like to say", "difference", "score", "SqueezeNet", "EfficientNet"], rows)

# %%
found = {said: [gain(name, *pair) for name in tables] for said, pair in sentences.items()}
lows = {said: [low for _, low, _ in both] for said, both in found.items()}
assert min(lows["CAM knows the cell better"]) > 0.05
assert min(lows["the product beats its stencil"]) > 0.05
assert lows["smoothing takes away"][0] > 0 > lows["smoothing takes away"][1]
assert all(abs(mean) < 0.08 for mean, _, _ in found["occlusion is worth its price"])
assert found["... in a collage, too"][1][2] < -0.05
assert no_chance(lite, *sentences["guided is better than plain"])

# %% [markdown] slide="subslide"
# - **The price buys little.** CAM asks once, occlusion 170 times: no difference on the object that we could show,
#   and in EfficientNet's collages CAM is far ahead.
# - **"Where?" and "which?" are two questions.** Guided backpropagation puts more on the object than plain
#   saliency, in SqueezeNet not provably; with four objects to choose from it falls far behind CAM in both.
# - **SmoothGrad** puts less on the object than plain saliency in SqueezeNet, which does not survive its noise. In
#   EfficientNet it puts more, if anything: zero is in the interval.
# - **Guided Grad-CAM** leads on the object, and yet in SqueezeNet keeps a part of its order when there is nothing to
#   explain: its lines are guided backpropagation's.

# %% [markdown]
# If the scores measured one thing, trust, they would put the nine methods in one order. We ask
# Spearman once more: every score against every other, signs turned so that high is good.

# %% slide="subslide"
scores = ["energy", "hit", "grid", "insertion", "deletion", "kept"]
signs = [-1 if score in ("deletion", "kept") else 1 for score in scores]
columns = torch.tensor(
    [[g * full[n][c][0] for n in asking] for c, g in zip(scores, signs, strict=True)]
)
agree = torch.stack([trust.rank_correlation(columns[:, None], c.expand(6, 1, -1)) for c in columns])
show.table(
    ["do they agree?", *scores], [[c, *row.tolist()] for c, row in zip(scores, agree, strict=True)]
)

# %% [markdown]
# Some pairs seem to agree, others to be opposed. But these are *nine* methods, and fifteen pairs.

# %% [markdown] slide="slide"
# How large does the largest of fifteen correlations get when there is nothing behind them? We
# shuffle each score's nine values a thousand times.

# %%
draw = torch.Generator().manual_seed(0)
by_chance = []
for _ in range(1000):
    orders = [torch.randperm(9, generator=draw, device="cpu") for _ in scores]
    shuffled = torch.stack(orders).double()
    by_chance.append(torch.corrcoef(shuffled).triu(1).abs().max().item())
bound = torch.tensor(by_chance).quantile(0.95).item()

# %% slide="subslide"
pairs = [(a, b) for a in range(6) for b in range(a + 1, 6)]
told = {f"{scores[a]} and {scores[b]}": agree[a, b].item() for a, b in pairs}
print(f"chance alone reaches {bound:.2f} once in twenty times")
print("beyond it:", ", ".join(n for n, r in told.items() if abs(r) > bound) or "none")
print(f"deletion and insertion: {told['insertion and deletion']:.2f}")
assert bound > 0.8
assert abs(told["insertion and deletion"]) < bound

# %% [markdown]
# So we cannot say that deletion and insertion are opposed, nor that they agree; with nine methods hardly
# any of these numbers means something. Tomsett et al. (2020) found the like on CIFAR-10: such scores are
# unreliable. A single score proves nothing, and whoever shows only one chose it.

# %% [markdown] slide="subslide"
# **What stays**, whatever we resample and in both networks: guided backpropagation's deafness to the layers that
# know the classes, and CAM far above it in the collages. **What stays in SqueezeNet only**: that half of its
# order survives random filters; that saliency beats SmoothGrad on the object. **What does not stay**: that by
# deletion noise does as well as guided backpropagation, as on our eight photos; that any order of the methods by
# one score is *the* order.

# %% [markdown]
# ## Try it
#
# First: take guided backpropagation and move the slider from 0 to 6, then Grad-CAM. At which group does the
# bird's beak go? Type another class in between: which methods care?

# %%
widgets.randomisation_explorer(net)

# %% [markdown]
# Second: take pixels away until the network gives up, with a method you trust and with **noise**.

# %%
widgets.deletion_explorer(net)

# %% [markdown]
# ## What we saw
#
# - Edges and a bell look good and know nothing.
# - With random upper layers guided backpropagation draws on; in SqueezeNet even with nothing left to explain.
#   Occlusion and CAM forget.
# - In a collage of four most gradient maps hardly know which object was asked for.
# - Nine methods are too few to say that two scores agree. A map can be stable without looking.
# - A verdict is one on a method *and a network*: saliency beats SmoothGrad in SqueezeNet only.
# - No method wins everywhere. For "where?", CAM; for a doubt that matters, occlusion and an experiment.
# - A mean is an opinion until it has a baseline, and an interval and a test that are paired, by object, and corrected.

# %% [markdown]
# **What it does not show.** No score here knows what the network *really* used; each checks a consequence
# that a true map would have. Composites are not photos, deleted photos are not photos, and a network
# may rightly use the background. A few dozen cut-outs and 27 photos in twelve collages say nothing about X-ray
# images. Run the scores on your own pictures before you believe a map of them.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | sanity check | 合理性检验 | a test every map must pass |
# | cascading randomisation | 级联随机化 | weights drawn anew, group after group, from the head down |
# | rank correlation | 秩相关 | do two maps order the pixels alike? -1 to 1 |
# | structural similarity | 结构相似性 | do they look alike? 1 for equal ones |
# | grid pointing game | 网格指向游戏 | share of a map in the right cell of a collage |
# | deletion, insertion | 删除、插入 | the probability while a map's first pixels go, or come back |
# | energy inside | 掩膜内能量 | share of a map on the object |
# | pointing hit | 指向命中 | is the largest value on the object? |
# | baseline | 基线 | what a map scores that never asks the network |
# | stability, sparseness, completeness | 稳定性、稀疏性、完备性 | does it stay, is it short, does it add up |
# | infidelity | 不忠实度 | error of the map as a forecast of the score's loss |
# | confidence interval | 置信区间 | where the mean may lie for other such images |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
in_collage = [n for n, c in zip(names, labels.tolist(), strict=True) if c in asked.tolist()]
used = [images.photo(name) for name in ("scarlet_macaw", "koala", "panda", *in_collage)]
used += [images.cutout(cutout) for cutout, _ in scenes.names[:3]]
used += [images.photo(background) for _, background in scenes.names[:3]]
show.credits(used)

# %% [markdown] slide="skip"
# ## Papers
#
# - J. Adebayo et al. [*Sanity Checks for Saliency Maps.*](https://arxiv.org/abs/1810.03292) NeurIPS 2018.
# - M. Böhle, M. Fritz, B. Schiele. [*Convolutional Dynamic Alignment Networks for Interpretable
#   Classifications.*](https://arxiv.org/abs/2104.00032) CVPR 2021 (the grid pointing game).
# - V. Petsiuk, A. Das, K. Saenko. [*RISE: Randomized Input Sampling for Explanation of Black-box Models.*](https://arxiv.org/abs/1806.07421)
#   BMVC 2018 (deletion and insertion).
# - H. Wang et al. [*Score-CAM.*](https://arxiv.org/abs/1910.01279) CVPR workshops 2020 (energy inside a box).
# - J. Zhang et al. [*Top-down Neural Attention by Excitation Backprop.*](https://arxiv.org/abs/1608.00507) ECCV 2016 (pointing hits).
# - S. Hooker et al. [*A Benchmark for Interpretability Methods in Deep Neural Networks.*](https://arxiv.org/abs/1806.10758) NeurIPS 2019
#   (deleted photos are no photos; retraining as a remedy).

# %% [markdown] slide="skip"
# - R. Tomsett, D. Harborne, S. Chakraborty, P. Gurram, A. Preece. [*Sanity Checks for Saliency Metrics.*](https://arxiv.org/abs/1912.01451) AAAI
#   2020.
# - A. Binder, L. Weber, S. Lapuschkin, G. Montavon, K.-R. Müller, W. Samek. [*Shortcomings of Top-Down
#   Randomization-Based Sanity Checks for Evaluations of Deep Neural Network Explanations.*](https://arxiv.org/abs/2211.12486) CVPR 2023.

# %% [markdown] slide="skip"
# - C.-K. Yeh et al. [*On the (In)fidelity and Sensitivity of Explanations.*](https://arxiv.org/abs/1901.09392) NeurIPS 2019.
# - Y. Rong et al. [*A Consistent and Efficient Evaluation Strategy for Attribution Methods.*](https://arxiv.org/abs/2202.00449) ICML 2022 (ROAD).
# - P. Chalasani et al. [*Concise Explanations of Neural Networks using Adversarial Training.*](https://arxiv.org/abs/1810.06583) ICML 2020
#   (sparseness). M. Sundararajan, A. Taly, Q. Yan. [*Axiomatic Attribution for Deep Networks.*](https://arxiv.org/abs/1703.01365) ICML 2017
#   (completeness). L. Sixt, M. Granz, T. Landgraf. [*When Explanations Lie.*](https://arxiv.org/abs/1912.09818) ICML 2020 (other class).
# - Z. Wang et al. [*Image Quality Assessment: From Error Visibility to Structural Similarity.*](https://doi.org/10.1109/TIP.2003.819861) 2004.
