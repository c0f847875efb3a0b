# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 05 Occlusion
#
# **What does a network need to see? Cover a part of the picture and watch what it stops believing.**
#
# After this lecture you can
# - slide a square over a photo and turn the network's answers into a heat map;
# - say when to look at the probability, when at the score, and why a map can be dark;
# - choose the square's colour, size and step, knowing what each of them does to the map;
# - test whether a network looks at the object or at the background;
# - explain how the same numbers can be had with a third of the work.
#
# About 70 minutes with the three exercises. You need lecture 00.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
from functools import partial

import torch

from course_utils import images, layers, models, occlusion, show, widgets
from course_utils.common import composites, timing
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## Three squares
#
# SqueezeNet is sure that this is a koala. We cover a part of the photo with a square of 64 pixels and
# ask again: on the leaves, on the belly, on the face.
#
# **Question.** Which of the three will the network mind?

# %%
net = models.load("squeezenet1_1")
x = net.preprocess(images.photo("koala"))
koala = net.index("koala")
value = occlusion.fill_value(net, x, "grey")
top, left = torch.tensor([150, 140, 36]), torch.tensor([8, 90, 98])
three = torch.cat([x, occlusion.occlude(x, top, left, 64, value)])

# %% slide="subslide"
with torch.no_grad():
    logits = net(three)
answers = zip(logits.softmax(1)[:, koala], logits[:, koala], strict=True)
told = [f"p = {p:.2f}, score {s:.1f}" for p, s in answers]
pixels = net.denormalize(three)
show.images(pixels, told, height=2.6, alt="a koala; grey squares on leaves, belly and face")

# %% [markdown]
# ## One row
#
# Three squares are an anecdote. Here one slides across the photo at the height of the face, in steps
# of four pixels, with a forward pass for each.

# %%
line, edges = [], range(0, 224 - 48 + 1, 4)
for edge in edges:
    covered = x.clone()
    covered[:, :, 40:88, edge : edge + 48] = value
    with torch.no_grad():
        line.append(net(covered)[0, koala].item())

# %% slide="subslide"
score = logits[0, koala].item()
curves = {"with the square": (edges, line), "untouched photo": ([0, 176], [score, score])}
alt = "the koala's score falls when the square crosses the face"
show.lines(curves, "left edge of the square, pixels", "score of koala", alt)

# %%
lowest = min(line)
where = edges[line.index(lowest)]
print(
    f"lowest: {lowest:.1f} instead of {score:.1f}, with the square on columns {where}-{where + 48}"
)
assert score - lowest > 5
assert 80 <= where <= 160
assert line[0] > score + 1

# %% [markdown] slide="subslide"
# The score falls by six when the square crosses the face. At the far left, over a branch, it *rises*:
# without that branch the picture is more koala than before.

# %% [markdown]
# ## The whole photo
#
# Now rows and columns. A square of side $w$ in steps of $s$ fits on an axis of $n$ pixels
# $$\left\lfloor \frac{n - w}{s} \right\rfloor + 1$$
# times: with $n = 224$, $w = 48$, $s = 16$ that is 12, so 144 positions and 144 forward passes.

# %% [markdown] slide="subslide"
# **Exercise 1 (easy, 15 minutes).** Slide the square over the whole photo. Keep *all* logits of every
# position: one slide then answers for any class.
#
# <details><summary>Hint 1: which positions?</summary>
# <code>range(0, height - window + 1, stride)</code> are the upper edges at which the square still fits.
# </details>
# <details><summary>Hint 2: painting</summary>
# A fresh copy (<code>x.clone()</code>) for every position, then
# <code>copy[:, :, top:top + window, left:left + window] = value</code>.
# </details>
# <details><summary>Hint 3: the shape</summary>
# <code>torch.stack</code> makes a row of the answers, and the result of the rows.
# </details>


# %% exercise="sliding_window"
def sliding_window(model, x, window, stride, value):
    """The network's logits while a square slides over the image.

    model: logits (1,C) of a normalised image (1,3,H,W); x: such an image; window, stride: the
    square's side and step in pixels; value: its colour, (3,1,1).
    Returns: (rows, columns, C), for all positions at which the whole square fits.
    """
    ### BEGIN SOLUTION
    answers = []
    for top in range(0, x.shape[2] - window + 1, stride):
        row = []
        for left in range(0, x.shape[3] - window + 1, stride):
            covered = x.clone()
            covered[:, :, top : top + window, left : left + window] = value
            with torch.no_grad():
                row.append(model(covered)[0])
        answers.append(torch.stack(row))
    return torch.stack(answers)
    ### END SOLUTION


# %% check="sliding_window"
check("sliding_window", sliding_window)

# %% slide="subslide"
slide = yours_or_ours("sliding_window", sliding_window)
after = slide(net, x, 48, 16, value)
print(tuple(after.shape), "rows, columns, classes")

# %% [markdown]
# The course's own helper takes the fill by name, goes in batches and shows its progress. It gives the
# same numbers; how it gets by with a third of the work comes further down.

# %%
quick = occlusion.occlusion_logits(net, x, window=48, stride=16, fill="grey", progress=True)
difference = (quick - after).abs().max().item()
print(f"largest difference of all {after.numel():,} logits: {difference:.1e}")
assert difference < 1e-4 * after.abs().max()

# %% [markdown]
# ## From answers to a heat map
#
# The map shows the **drop**: what the class had before, minus what is left when the square stands at
# position $ij$. For the score, or for the probability $p = \mathrm{softmax}(S)$,
# $$D_{ij} = S_c(x) - S_c(x^{(ij)}), \qquad D^p_{ij} = p_c(x) - p_c(x^{(ij)}) .$$
# Red means: the network misses this place. Blue, negative: without it the class would do *better*. White
# is zero, and the bar beside the map has the numbers.

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 5 minutes).**
#
# <details><summary>Hint</summary>
# The classes are on the last axis: <code>softmax(-1)</code>, and <code>[..., target]</code>.
# </details>


# %% exercise="drop"
def drop(before, after, target, probability):
    """How much a class loses when the square is there.

    before: logits (C,) of the untouched image; after: logits (rows, columns, C); target: the class;
    probability: True compares probabilities, False scores.
    Returns: (rows, columns), signed.
    """
    ### BEGIN SOLUTION
    if probability:
        before, after = before.softmax(-1), after.softmax(-1)
    return before[target] - after[..., target]
    ### END SOLUTION


# %% check="drop"
check("drop", drop)

# %% slide="subslide"
find_drop = yours_or_ours("drop", drop)
drops = find_drop(logits[0], after, koala, False).cpu()
alt = "12 by 12 cells: red for squares on face and knee, blue for a few on the left and the chest"
show.maps([drops], ["drop in score"], True, pixels[0], height=3, alt=alt, bar=True)

# %%
print(
    f"{(drops < 0).float().mean():.0%} of the squares help the koala, by up to {-drops.min():.1f}"
)
assert (drops < 0).float().mean() > 0.05

# %% [markdown] slide="subslide"
# A cell stands for a *square*, not for a place: neighbouring squares overlap by 32 pixels, so the grid
# cannot simply be stretched over the photo. A pixel lay under up to nine of these squares. Its value
# is their mean:
# $$M(u) = \frac{1}{|\{ij : u \in \text{square } ij\}|} \sum_{ij \,:\, u \in \text{square } ij} D_{ij} .$$

# %% [markdown] slide="subslide"
# **Exercise 3 (medium, 10 minutes).** From one number for each square to one for each pixel.
#
# <details><summary>Hint 1: two maps</summary>
# One that the squares add their drop to, one that counts them. Divide at the end.
# </details>
# <details><summary>Hint 2: where no square came</summary>
# The count is 0 there, and the result should be 0: <code>count.clamp(min=1)</code>.
# </details>


# %% exercise="to_pixels"
def to_pixels(values, window, stride, height, width):
    """The mean of the values of all squares over each pixel.

    values: (rows, columns); window, stride: of the squares; height, width: of the picture.
    Returns: (height, width); 0 where no square came.
    """
    ### BEGIN SOLUTION
    total, count = torch.zeros(height, width), torch.zeros(height, width)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            place = (slice(i * stride, i * stride + window), slice(j * stride, j * stride + window))
            total[place] += value
            count[place] += 1
    return total / count.clamp(min=1)
    ### END SOLUTION


# %% check="to_pixels"
check("to_pixels", to_pixels)

# %% slide="subslide"
find_pixels = yours_or_ours("to_pixels", to_pixels)
heat = find_pixels(drops, 48, 16, 224, 224)
lay_over = partial(show.overlay, signed=True)
captions = ["photo", f"score drop, {heat.min():.1f} to {heat.max():.1f}", "laid over the photo"]
drawn = [pixels[0], show.colours(heat, signed=True), lay_over(pixels[0], heat)]
show.images(drawn, captions, height=3, alt="red on the koala's face, a little blue far left")

# %%
hottest = heat > heat.quantile(0.9)
centre = hottest.nonzero().float().mean(0)
print(f"the hottest tenth has its centre at row {centre[0]:.0f}, column {centre[1]:.0f}: the face")
assert 30 <= centre[0] <= 110
assert 90 <= centre[1] <= 200

# %% [markdown]
# ## Probability or score?
#
# The same for four photos, now with both maps. All probability maps share one scale, from -1 to 1.
#
# **Question.** The panda's probability is 1.00. What will its map look like?


# %% slide="slide"
def occlusion_maps(x, window=48, stride=16, fill="dataset mean"):
    """The maps (224,224) of probability and score, for the class the network names."""
    with torch.no_grad():
        before = net(x)[0]
    after, target = occlusion.occlusion_logits(net, x, window, stride, fill), int(before.argmax())
    both = [find_drop(before, after, target, probability) for probability in (True, False)]
    return [find_pixels(one.cpu(), window, stride, 224, 224) for one in both]


# %%
names = ["koala", "penguin", "scarlet_macaw", "panda"]
photos = net.preprocess([images.photo(name) for name in names])
found = [occlusion_maps(one[None]) for one in photos]

# %% slide="subslide"
seen = net.denormalize(photos)
p_maps = [lay_over(one, p, top=1.0) for one, (p, s) in zip(seen, found, strict=True)]
s_maps = [lay_over(one, s) for one, (p, s) in zip(seen, found, strict=True)]
words = ["photos", "drop in\nprobability,\none scale", "drop in score,\neach on its\nown scale"]
alt = "probability maps: red on koala, penguin and macaw, grey for the panda; score maps: all red"
show.rows([list(seen), p_maps, s_maps], words, alt, height=150)

# %% slide="subslide"
with torch.no_grad():
    untouched = net(photos)
best = untouched.topk(2)
lead = best.values[:, 0] - best.values[:, 1]
largest = [[p.max().item(), s.max().item()] for p, s in found]
header = ["photo", "probability", "score", "lead", "largest drop in p", "largest drop in score"]
probability = untouched.softmax(1).amax(1)
rows = zip(names, probability, best.values[:, 0], lead, *zip(*largest, strict=True), strict=True)
show.table(header, rows)

# %%
print(f"panda: p drops by {largest[3][0]:.0e} at most, the score by {largest[3][1]:.1f}")
assert largest[3][0] < 1e-3
assert largest[3][1] > 2
assert largest[1][0] > 0.5

# %% [markdown] slide="subslide"
# The panda's probability never moves, wherever the square stands. Its score leads the next class by
# 14, and $e^{-14}$ is a millionth: the softmax is **saturated** (饱和). It takes more than one
# square to bring that lead down.
#
# The score still tells where it comes from: ear, cheek and leg. So:
# - the *probability* answers "would the network change its mind?";
# - the *score* answers "what feeds this class?", also when nothing can change its mind.

# %% [markdown]
# ## Which colour?
#
# The square has to have some colour, and no colour is "nothing". Grey, the mean colour of ImageNet
# (zero after normalisation), the mean of this photo, and red:

# %%
fills = {"grey": "grey", "data-set mean": "dataset mean", "photo mean": "photo mean"}
fills |= {"red": (1.0, 0.0, 0.0)}
bird = photos[1:2]
by_fill = {name: occlusion_maps(bird, stride=22, fill=fill)[1] for name, fill in fills.items()}

# %% slide="subslide"
middle = torch.tensor([88])
values = [occlusion.fill_value(net, bird, fill) for fill in fills.values()]
squares = [net.denormalize(occlusion.occlude(bird, middle, middle, 48, v))[0] for v in values]
warm = [lay_over(seen[1], one) for one in by_fill.values()]
titles = [f"{name}: {one.max():.1f}" for name, one in by_fill.items()]
alt = "the penguin with four squares, and the four maps, red on the belly"
show.images(squares + warm, [*fills, *titles], columns=4, height=2.0, alt=alt)


# %% slide="subslide"
def correlation(a, b):
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


reference = by_fill["data-set mean"]
agreement = {name: correlation(one, reference) for name, one in by_fill.items()}
rows = [[name, by_fill[name].max(), agreement[name]] for name in fills]
show.table(["fill", "largest drop in score", "correlation with the data-set mean's map"], rows)

# %%
assert agreement["grey"] > 0.95
assert agreement["red"] < agreement["photo mean"]
assert by_fill["red"].max() > 1.2 * reference.max()

# %% [markdown]
# The quiet fills agree. Red differs: its drops are larger, and its hottest place has moved from
# the belly down to the legs. A *red object* in the picture may be evidence too, for other classes and
# against this one, and the map mixes "what is missing" with "what is new".
#
# Whatever the colour, the square's edges are new as well. Say which fill you used; if a conclusion
# changes with it, it is a conclusion about the square.

# %% [markdown]
# ## Which size?
#
# **Question.** A small square can show fine detail. What speaks against it?

# %% slide="subslide"
sizes = (16, 32, 64, 96)
by_size = [occlusion_maps(x, window=size)[1] for size in sizes]
warm = [lay_over(pixels[0], one) for one in by_size]
titles = [f"{size} px: at most {one.max():.1f}" for size, one in zip(sizes, by_size, strict=True)]
show.images(warm, titles, height=2.6, alt="from scattered spots over a clear face to a wide blur")

# %% slide="subslide"
peaks = [one.max().item() for one in by_size]
areas = [(one > one.max() / 2).float().mean().item() for one in by_size]
show.table(
    ["side, pixels", "largest drop in score", "share of the photo above half of it"],
    zip(sizes, peaks, areas, strict=True),
)

# %%
assert peaks[0] < peaks[1] < peaks[2]
assert areas[3] > areas[1]

# %% [markdown]
# A small square hides little: the rest of the face says "koala" just as well. Evidence that exists
# twice is invisible to a square that covers it once, and what remains is small and spotty. A large
# square hides whole parts, but its map cannot be finer than the square. There is no right size, so try
# several.

# %% [markdown]
# ## Which step?
#
# Half the step, four times the passes. `progress=True` shows how far it is. The positions of steps 16 and
# 32 are among those of step 8, so one slide has all three.

# %%
with torch.no_grad():
    before = net(x)[0]
answers = occlusion.occlusion_logits(net, x, 32, 8, progress=True)
by_stride = {}
for stride in (32, 16, 8):
    drops = find_drop(before, answers[:: stride // 8, :: stride // 8], koala, False).cpu()
    by_stride[stride] = drops.numel(), find_pixels(drops, 32, stride, 224, 224)

# %% slide="subslide"
warm = [lay_over(pixels[0], one) for n, one in by_stride.values()]
titles = [f"step {s}: {n} positions" for s, (n, one) in by_stride.items()]
show.images(warm, titles, height=3, alt="the same hot places, in coarse, finer and fine cells")

# %%
fine = by_stride[8][1]
agreement = {stride: correlation(one, fine) for stride, (n, one) in by_stride.items()}
print(", ".join(f"step {s}: correlation {c:.2f} with step 8" for s, c in agreement.items()))
assert agreement[16] > 0.9
assert agreement[32] < agreement[16]

# %% [markdown]
# A step of half the square gives nearly the map of the finest one, for a quarter of the passes. Only
# where squares do not overlap at all does it get coarse.

# %% [markdown]
# ## "The network looks at the object"
#
# The maps so far are persuasive. Is the sentence true? We paste cut-out objects on photos of
# buildings, so that a mask says where the object is, keep the scenes that the network calls by the object's
# name, and compare the mean drop on the object and beside it.

# %% slide="subslide"
scenes = composites.recognised_composites(net, n=8, seed=3, rightly=True)
scene_maps = [occlusion_maps(net.normalize(one[None]), 56, 28)[1] for one in scenes.pixels]
warm = [lay_over(p, m) for p, m in zip(scenes.pixels, scene_maps, strict=True)]
called = [net.labels[c] for c in scenes.classes]
pictures = [one for pair in zip(scenes.pixels, warm, strict=True) for one in pair]
titles = [t for c, m in zip(called, scene_maps, strict=True) for t in (c, f"at most {m.max():.1f}")]
alt = "four of the eight scenes, each beside its map: red on the object, or close to it"
show.images(pictures[:8], titles[:8], columns=4, height=2.2, alt=alt)

# %% slide="subslide"
pairs = list(zip(scene_maps, scenes.masks, strict=True))
on = [m[k].mean().item() for m, k in pairs]
beside = [m[~k].mean().item() for m, k in pairs]
hit = ["object" if k.flatten()[m.argmax()] else "background" for m, k in pairs]
header = ["called", "drop on the object", "drop on the background", "hottest pixel on"]
show.table(header, zip(called, on, beside, hit, strict=True))

# %%
kept = sum(a > b for a, b in zip(on, beside, strict=True))
print(f"the object matters more than the background in {kept} of {len(scenes)} scenes")
assert kept >= 7

# %% [markdown] slide="subslide"
# So far the sentence holds. (Where the hottest pixel is "background", it lies just beside the object: a
# square that hides an edge hides what is around it too.) But these scenes were *chosen* so that the object decides, and the
# buildings behind it have nothing to say about animals. In a real photo object and surroundings belong
# together.

# %% [markdown]
# ## Where it does not hold
#
# SqueezeNet says "anemone fish" here, and it is right. A clownfish lives in the arms of an anemone.
#
# **Question.** Two animals are in the picture. Which of them made the network say so?

# %% slide="subslide"
reef = net.preprocess(images.photo("fish9"))
fish_class, reef_pixels = net.index("anemone fish"), net.denormalize(reef)[0]
fish = torch.zeros(224, 224, dtype=torch.bool)
fish[5:97, 4:174] = fish[186:224, 124:174] = True  # two boxes, drawn by hand
reef_map = occlusion_maps(reef)[1]
parts = [reef_pixels, reef_pixels.cpu() * (0.3 + 0.7 * fish), lay_over(reef_pixels, reef_map)]
titles = ["photo", "the two fish, by hand", f"drop in score, at most {reef_map.max():.1f}"]
alt = (
    "a clownfish above an anemone; the map is blue and pale on the fish, red on the anemone's arms"
)
show.images(parts, titles, height=3, alt=alt)

# %%
on, beside = reef_map[fish].mean().item(), reef_map[~fish].mean().item()
print(f"mean drop in score: {on:.2f} on the fish, {beside:.2f} beside them")
assert on < 0.5 * beside

# %% [markdown] slide="subslide"
# The map is even blue on the large fish: a square there *helps* the class. That raises a suspicion; an experiment has to confirm it. First, both fish are replaced by anemone
# arms from lower down. Second, the fish swim on, in front of another sea. (Covering them with one flat
# colour would hide a third of the photo, and the network would see a large brown thing.)

# %% slide="subslide"
elsewhere = net.crop_pixels(images.photo("dolphin"))[0]
no_fish = reef_pixels.clone()
no_fish[:, :97, :180] = reef_pixels[:, 97:194, :180]
no_fish[:, 186:, 124:174] = reef_pixels[:, 186:, 60:110]
no_anemone = torch.where(fish.to(net.device), reef_pixels, elsewhere.to(net.device))
tried = torch.stack([reef_pixels, no_fish, no_anemone]).clamp(0, 1)

# %% slide="subslide"
with torch.no_grad():
    answers = net(net.normalize(tried))
result = answers.softmax(1)
said = [f"it says “{net.labels[p.argmax()]}”, {p.max():.2f}" for p in result]
whats = ["the reef", "without the fish", "the fish elsewhere"]
own = [f"anemone fish: {p[fish_class]:.2g}" for p in result]
titles = ["\n".join(lines) for lines in zip(whats, said, own, strict=True)]

# %% slide="subslide"
alt = (
    "the reef; the reef without fish; the fish in front of another sea, with the network's answers"
)
show.images(tried, titles, height=3, alt=alt)

# %% slide="subslide"
scores, p = answers[:, fish_class].tolist(), result[:, fish_class].tolist()
for what, score, of_fish in zip(whats, scores, p, strict=True):
    print(f"{what}: score of anemone fish {score:.1f}, probability {of_fish:.2g}")
assert scores[0] > scores[1] > scores[2] + 3
assert result[1, fish_class] > 0.2 > 0.02 > result[2, fish_class]

# %% [markdown]
# Without any fish "anemone fish" is still the second of a thousand classes. The fish without their
# anemone become a tennis ball. But that was *one* other sea. The same two fish in front of 24 other photos,
# and, to compare with, these photos without the fish:

# %% slide="subslide"
places = images.photos("building")[:8] + images.photos("energy")[:8] + images.photos("animal")[:8]
bare = net.crop_pixels(places).to(net.device)
moved = torch.where(fish.to(net.device), reef_pixels.clamp(0, 1), bare)
with torch.no_grad():
    of_24 = [net(net.normalize(some)).softmax(1)[:, fish_class].cpu() for some in (moved, bare)]
sorted_p = [one.sort(descending=True).values for one in of_24]

# %%
curves = {"fish, another background": (range(1, 25), sorted_p[0])}
curves["that background alone"] = (range(1, 25), sorted_p[1])
curves["anemone, no fish"] = ([1, 24], [result[1, fish_class]] * 2)
alt = "with the fish on other photos the probability is mostly far below that of the bare anemone"
show.lines(curves, "24 photos, sorted", "p of anemone fish", alt, yscale="log", ylim=(1e-12, 9))

# %%
fewer = (of_24[0] < result[1, fish_class].item()).sum().item()
raised = (of_24[0] / of_24[1]).log10()
fish, bare, middle = (one.quantile(0.5).item() for one in (*of_24, raised))
print(f"median with the fish {fish:.3f}, without {bare:.1e};", end=" ")
print(f"{fewer} of 24 lie below the anemone alone")
print(f"the fish raise p by {middle:.1f} powers of ten, median; at least {raised.min():.1f}")
assert fish < 0.1
assert fewer >= 18
assert (raised > 1).sum() >= 20

# %% [markdown]
# In training photos an anemone fish will rarely swim without its anemone, so the anemone is as good a
# cue, and larger. Right, for the wrong reason, and no test set of such photos would tell.
#
# The fish do count: on nearly every background they raise the probability by orders of magnitude, and in
# the reef from 0.32 to 0.74. The squares missed that, because each hid one part of one fish.

# %% [markdown]
# ## The same numbers with a third of the work
#
# 625 squares, 625 forward passes. But a square of 32 pixels changes 2 % of the picture.
#
# **Question.** Which units of the network can change at all? Look at the units of four layers that
# really do, and at those whose receptive field touches the square.

# %%
depth = ("conv1", "fire2", "fire4", "fire9")
value = occlusion.fill_value(net, x)
one_square = occlusion.occlude(x, torch.tensor([56]), torch.tensor([120]), 32, value)
with torch.no_grad(), layers.capture(net, *depth) as plain:
    net(x)
with torch.no_grad(), layers.capture(net, *depth) as touched:
    net(one_square)
changes = [(touched[d] - plain[d])[0].abs().amax(0).cpu() for d in depth]
changed = [c > 0 for c in changes]
reach = [occlusion.reached(net, d, 56, 120, 32) for d in depth]

# %% slide="subslide"
square = (one_square != x).any(1).float().cpu()
row = [net.denormalize(one_square)[0], *(show.colours(c**0.2) for c in changes)]
row += [square, *(r.float() for r in reach)]
titles = ["photo", *(f"{d}: change" for d in depth), "the square"]
titles += [f"{d}: sees it, {r.float().mean():.0%}" for d, r in zip(depth, reach, strict=True)]
alt = "above, the change in each layer; below, the units that see the square: the same rectangles"
show.images(row, titles, columns=5, height=2.1, alt=alt)

# %%
print(", ".join(f"{d}: {c.float().mean():.0%}" for d, c in zip(depth, changed, strict=True)))
assert all(torch.equal(c, r) for c, r in zip(changed, reach, strict=True))

# %% [markdown] slide="subslide"
# They are the same units. (The upper row is drawn by the fifth root, so that small changes are seen, too.) So
# the untouched photo goes through the network once, and then only the
# **footprint** (足迹) of each square is computed, layer by layer, with the untouched activations around
# it. It grows: 2 % of the units after conv1, three quarters after fire9. Nothing is approximated.

# %%
work = occlusion.convolution_work(net, window=32, stride=8)
whole, footprint = (sum(column) / 1e6 for column in zip(*work.values(), strict=True))
print(f"{whole:.0f} million multiply-adds for a picture, {footprint:.0f} for a footprint")
print(f"{footprint / whole:.0%} of the work")
assert footprint < 0.4 * whole

# %%
last = work["classifier.1"][1] / 1e6
print(f"{last:.0f} million of the footprint's are the last convolution: a map for every class")
assert last > 0.4 * footprint

# %% slide="subslide"
given = {"window": 32, "stride": 32}
ways = {
    "whole pictures, in batches of 25": {"incremental": False},
    "footprints, in batches of 25": {},
    "footprints, one by one": {"batch": 1},
}
taken = {}
for name, way in ways.items():
    run = partial(occlusion.occlusion_logits, net, x, **given, **way)
    taken[name] = timing.seconds(run, repeats=1)

# %%
show.table(["49 positions", "seconds"], taken.items())

# %%
both = [occlusion.occlusion_logits(net, x, **given, **way) for way in list(ways.values())[:2]]
gap = (both[0] - both[1]).abs().max() / both[0].abs().max()
print(f"largest relative difference: {gap:.1e}")
assert gap < 1e-4

# %% [markdown] slide="subslide"
# On a CPU the footprints win, and squares in batches win over single ones. The last layers have fields as large as the photo, so there most of the work remains. Half
# of it is the last convolution with its thousand maps; a probability needs them all, a score only one
# (`classes=[105]`).
# A smaller square, or a larger photo, gains more. Where the geometry of a network cannot be followed, the
# helper says so in a warning and runs whole pictures.

# %% [markdown]
# ## Try it
#
# Move the square, change its size and colour, ask for another class. Can you find a place that makes
# the class *more* probable? Can one square make the panda something else?

# %%
widgets.occlusion_explorer(net)

# %% [markdown]
# ## What we saw
#
# - Occlusion needs nothing but answers: no gradient, no look inside. It costs a pass per position.
# - Drop in probability: would it change its mind? Drop in score: what feeds the class?
# - A saturated softmax makes a dark map out of a photo full of evidence.
# - Fill, size and step belong to the result. A bright fill is a new object.
# - The network mostly looks at the object, but a clownfish can be read off its anemone.
# - Only what a square can reach has to be computed again: the same numbers, a third of the work.

# %% [markdown]
# **What it does not show.** Evidence that is there twice stays hidden: one eye covered, the other
# still speaks. And a covered photo is one the network never saw in training; part of the drop may be
# surprise.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | occlusion | 遮挡 | covering a part of the picture |
# | sliding window | 滑动窗口 | a square that visits all positions, step by step |
# | window size, stride | 窗口大小,步长 | the square's side, and the pixels between two positions |
# | fill | 填充值 | the square's colour |
# | drop | 下降量 | value of the class before, minus value after |
# | heat map | 热力图 | one number for each place, shown as a colour |
# | saturated softmax | 饱和的 softmax | so sure that the probability no longer moves |
# | footprint | 影响区域 | the units of a layer that can see the square |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
shown = [images.photo(name) for name in [*names, "fish9", "dolphin"]]
shown += [images.cutout(cutout) for cutout, _ in scenes.names]
shown += [images.photo(background) for _, background in scenes.names]
show.credits(shown)

# %% [markdown] slide="skip"
# ## Papers
#
# - M. D. Zeiler, R. Fergus. [*Visualizing and Understanding Convolutional Networks.*](https://arxiv.org/abs/1311.2901) ECCV 2014.
# - V. Petsiuk, A. Das, K. Saenko. [*RISE: Randomized Input Sampling for Explanation of Black-box
#   Models.*](https://arxiv.org/abs/1806.07421) BMVC 2018: random masks instead of a sliding square.
# - S. Nakandala, A. Kumar, Y. Papakonstantinou. [*Incremental and Approximate Inference for Faster
#   Occlusion-based Deep CNN Explanations.*](https://doi.org/10.1145/3299869.3319874) SIGMOD 2019.
# - S. Beery, G. Van Horn, P. Perona. [*Recognition in Terra Incognita.*](https://arxiv.org/abs/1807.04975) ECCV 2018: animals that are
#   recognised by where they stand.
