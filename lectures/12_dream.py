# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 12 DeepDream
#
# **A network sees a little of a bird in a tower. What happens if the tower has to agree?**
#
# After this lecture you can
# - write the gradient of DeepDream in two ways, and say why they are the same;
# - take its step, and say what the division, the jitter, the clipping and the octaves are for;
# - name the feedback loop, and show what is lost without it;
# - read a ladder of layers, from strokes to creatures;
# - say, with numbers, what a network likes to dream of.
#
# About 75 minutes with the two exercises. You need lectures 06 and 10.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import tempfile

import torch
from torch.nn import functional

from course_utils import dream, images, layers, models, show, widgets
from course_utils.common.optimise import clamp, jitter, normalised_step, optimise, save_animation
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## A photo, a layer
#
# Lecture 10 asked for a class, and let a picture grow out of grey. Now we ask for nothing. We take a
# photo, pick a layer, and say: *whatever you see there, make it more.*

# %%
net = models.load("squeezenet1_1")
side = 256  # the longer side of most pictures here; 480 is prettier and takes four times as long
tower = images.photo("bayterek").pixels(320)
bird = dream.dream(net, tower, "fire9", octaves=6, keep=5)

# %%
alt = "a tower under clouds; beside it, the tower is an ostrich's neck, with an eye and a beak"
pair = [tower, bird.pixels]
show.images(pair, ["photo", "what fire9 makes of it"], height=4.4, alt=alt)

# %% [markdown]
# Nobody asked for a bird. The tower has a thin neck and a round head, and something in the layer
# fired a little. The rest of this lecture takes the machine apart that did it.
#
# The photo has 213 × 320 pixels, and the dream took 54 passes through the network.

# %% [markdown]
# ## One gradient, said in two ways
#
# The recipe was published as a trick: run the photo forward to a layer, and **set the gradient at the
# layer to its own activation** $A$. Then backpropagate to the pixels:
# $$g = \Big(\frac{\partial A}{\partial x}\Big)^{\!\top} A .$$
#
# **Question.** A gradient of *what*? Which number grows if the pixels move along $g$?

# %%
layer, opera = "fire8", images.photo("opera_house").pixels(144)
x = net.normalize(opera)[None]
g = dream.layer_gradient(net, x, layer)
print("images, colours, rows, columns of g:", " x ".join(map(str, g.shape)))

# %% [markdown]
# By the chain rule, $\frac{\partial}{\partial x}\,\tfrac12\|A\|^2 =
# \big(\frac{\partial A}{\partial x}\big)^{\!\top} A$. So the trick is ascent on half the squared norm of
# the layer: nothing else is maximised.

# %%
wants = x.clone().requires_grad_()
with layers.capture(net, layer) as seen:
    net(wants)
half_square = 0.5 * seen[layer].square().sum()
slope = torch.autograd.grad(half_square, wants)[0]

# %% slide="subslide"
largest_difference = (slope - g).abs().max() / g.abs().max()
print(f"they differ by at most {largest_difference:.1e} of the largest entry")
assert largest_difference < 1e-4


# %% [markdown] slide="slide"
# Ten steps with either gradient therefore give the same picture.


# %% slide="slide"
def ten_steps(gradient):
    now = x
    for _ in range(10):
        now = now.roll((7, -5), dims=(2, 3))  # why: see jitter, below
        g = gradient(now)
        now = now + 0.03 * g / g.abs().mean()
    return net.denormalize(now.roll((-70, 50), dims=(2, 3)))[0].clamp(0, 1)


def slope_of_energy(now):
    now = now.clone().requires_grad_()
    return -torch.autograd.grad(dream.energy(net, layer)(now), now)[0]


# %%
set_at_layer = ten_steps(lambda now: dream.layer_gradient(net, now, layer))
half_squared_norm = ten_steps(slope_of_energy)
assert (set_at_layer - half_squared_norm).abs().max() < 0.02

# %%
pair = [set_at_layer, half_squared_norm]
alt = "the same picture twice: an opera house whose shells grow fur and the beginning of eyes"
show.images(pair, ["gradient set to A", "ascent on ||A||²/2"], height=3.2, alt=alt)

# %% [markdown]
# ## The step
#
# How far to go? The mean size of $g$ differs from layer to layer, and it grows while we dream, since the
# activation itself is sent back.


# %%
def mean_size(picture, name):
    return dream.layer_gradient(net, net.normalize(picture)[None], name).abs().mean().item()


names = ["fire2", "fire5", "fire8", "relu10"]
rows = [[name, mean_size(opera, name), mean_size(set_at_layer, name)] for name in names]
show.table(["layer", "mean |g| on the photo", "after the ten steps"], rows)

# %%
assert rows[2][2] > 1.5 * rows[2][1]

# %% [markdown] slide="subslide"
# No single rate suits them all. So the step is divided by that mean, and `rate` says how far a pixel moves
# on average. And before each step the picture is **jittered** (抖动): rolled by a few random pixels, and
# rolled back afterwards.
# $$x \leftarrow \mathrm{roll}(x), \qquad x \leftarrow x + \mathrm{rate}\cdot\frac{g}{\mathrm{mean}\,|g|},
# \qquad x \leftarrow \mathrm{roll}^{-1}(x)$$

# %% [markdown] slide="subslide"
# **Exercise 1 (medium, 15 minutes).** One step, for a batch. The shift is given as (down, across).
#
# <details><summary>Hint 1: the gradient</summary>
# <code>torch.autograd.grad(activation, x, grad_outputs=...)</code> takes what the gradient at the layer
# is set to. It must not carry a graph itself: <code>activation.detach()</code>.
# </details>
# <details><summary>Hint 2: rolling</summary>
# <code>x.roll((down, across), dims=(2, 3))</code>. The way back has the opposite signs.
# </details>
# <details><summary>Hint 3: one size for each image</summary>
# <code>.mean((1, 2, 3), keepdim=True)</code> has the shape (N,1,1,1).
# </details>


# %% exercise="dream_step"
def dream_step(model, x, layer, rate, shift):
    """One step of DeepDream on the picture rolled by `shift`.

    model: a network; x: normalised images (N,3,H,W); layer: its name, for `layers.capture`;
    rate: how far a value moves on average; shift: (down, across), in pixels.
    Returns: (N,3,H,W), rolled back.
    """
    ### BEGIN SOLUTION
    rolled = x.roll(tuple(shift), dims=(2, 3)).detach().requires_grad_()
    with layers.capture(model, layer) as seen:
        model(rolled)
    activation = seen[layer]
    g = torch.autograd.grad(activation, rolled, grad_outputs=activation.detach())[0]
    g = g / g.abs().mean((1, 2, 3), keepdim=True)
    return (rolled.detach() + rate * g).roll((-shift[0], -shift[1]), dims=(2, 3))
    ### END SOLUTION


# %% check="dream_step" slide="subslide"
check("dream_step", dream_step)

# %%
take_step = yours_or_ours("dream_step", dream_step)
random = torch.Generator().manual_seed(0)
stages = [x]
for _ in range(30):
    shift = torch.randint(-16, 17, (2,), generator=random).tolist()
    stages.append(take_step(net, stages[-1], layer, 0.03, shift))

# %%
kept = [0, 3, 10, 30]
alt = "the shells of the opera house become a furry face within 30 steps; the sea changes less"
pictures = [net.denormalize(stages[k])[0].clamp(0, 1) for k in kept]
show.images(pictures, [f"{k} steps" for k in kept], height=3.2, alt=alt)

# %% [markdown]
# ## The feedback loop
#
# The gradient at the layer *is* the activation. So a unit that fires strongly is pushed strongly, and
# fires more, and is pushed more: the rich get richer.
#
# **Question.** How would you test that this loop matters? Cut it. Set the gradient at the layer to
# something that stays the same: the activation of the *photo*, or ones for every unit.

# %%
x = net.normalize(images.photo("bayterek").pixels(side))[None]
of_photo = layers.activations(net, x, layer)


def constant(weights):
    return lambda x: -(weights * layers.output(net, x, layer)).sum()


losses = {"feedback": dream.energy(net, layer), "the photo's A": constant(of_photo)}
losses["ones"] = constant(1.0)

# %% slide="subslide"
valid = clamp(*(net.normalize(torch.full((3, 1, 1), value)) for value in (0.0, 1.0)))


def run(loss, reach, watch=None):
    how = {"rule": normalised_step(0.03), "transforms": [jitter(reach)], "progress": None}
    return optimise(loss, x, 30, operations=[(1, valid)], callback=watch, keep=0, **how).image


def watched(loss):
    seen = []
    watch = lambda step, x, _: seen.append(layers.output(net, x, layer).cpu())  # noqa: E731
    return run(loss, 0, watch), seen


# %% slide="subslide"
still = {name: watched(loss) for name, loss in losses.items()}
seen = {name: activations for name, (_, activations) in still.items()}
curves = {name: (range(31), [a.norm() for a in every]) for name, every in seen.items()}
alt = "three rising curves; the one with feedback rises fastest and highest"
show.lines(curves, "steps", "norm of fire8, ||A||", alt)


# %%
def top_share(activation):
    squares = activation.square().flatten()
    return (squares.topk(len(squares) // 100).values.sum() / squares.sum()).item()


names = ["the photo", *seen]
shares = [top_share(of_photo), *(top_share(every[-1]) for every in seen.values())]
show.bars(names, shares, "share of ||A||² in the strongest 1 % of the units")

# %% slide="subslide"
norms = {name: every[-1].norm().item() for name, every in seen.items()}
grown = (f"{name} {norm / of_photo.norm().item():.1f} times" for name, norm in norms.items())
print("the norm grew:", ", ".join(grown))
assert norms["feedback"] > 1.2 * norms["the photo's A"]
assert shares[1] > shares[0] + 0.15
assert shares[1] > max(shares[2:]) + 0.05

# %% [markdown]
# Ones come close to the norm that feedback reaches, and on some photos overtake it. But they spread it more: with
# feedback more of the energy sits in the strongest hundredth of the units.
#
# **Question.** So is it the feedback that brings *things* into the picture? Look before you answer.
#
# The same runs with jitter, which the next section explains, and two controls: a random weight for each channel,
# and one channel alone, of middling strength.

# %% slide="subslide"
strength = of_photo.square().sum((0, 2, 3)).cpu()
draw = torch.rand(len(strength), 1, 1, generator=torch.Generator().manual_seed(0))
middling = functional.one_hot(strength.argsort()[len(strength) // 2], len(strength))
losses["random weights"] = constant(draw.to(net.device))
losses["one channel"] = constant(middling[:, None, None].to(net.device))
ends = [run(loss, reach=16) for loss in losses.values()]


# %%
def head(normalised):
    return net.denormalize(normalised)[0, :, 16:144, 16:144].clamp(0, 1)


alt = "the head of a tower; four dreams of it with eyes and fur; with one channel only lines"
show.images([head(x), *map(head, ends)], ["the photo", *losses], columns=3, height=3, alt=alt)

# %% [markdown]
# No. Eyes and fur come with the photo's activation, with ones and even with random weights: they come from the
# **layer**. This one channel draws lines here; others, on other photos, draw eyes as well. With feedback fewer units
# do the work. Is it bolder, too? Below we ask a classifier.
#
# All curves bend, because pixels cannot get blacker than black. How many would, without the
# **clipping** (裁剪) after each step?

# %% slide="subslide"
how = {"rule": normalised_step(0.03), "keep": 0, "progress": None}
unclipped = net.denormalize(optimise(losses["feedback"], x, 30, **how).image)
outside = ((unclipped < 0) | (unclipped > 1)).float().mean().item()
print(
    f"{outside:.0%} of the values leave 0 to 1; the farthest reaches {unclipped.min().item():.1f}"
)
assert outside > 0.02

# %% [markdown]
# ## What the jitter is for
#
# The layer's units stand 16 pixels apart. Without jitter they stand at the same places in every step.
#
# **Question.** How can we see whether a picture fits one position of that grid only?

# %%
fixed, moved = still["feedback"][0], ends[0]
offsets = range(0, 17)


def norm_when_shifted(image):
    rolled = torch.cat([image.roll((k, k), dims=(2, 3)) for k in offsets])
    return layers.activations(net, rolled, layer).flatten(1).norm(dim=1)


# %% slide="subslide"
norms = {"no jitter": norm_when_shifted(fixed), "jitter": norm_when_shifted(moved)}
curves = {name: (offsets, found.cpu()) for name, found in norms.items()}
alt = "without jitter the norm is high at shift 0 and falls to less than half a few pixels on"
show.lines(curves, "pixels that the finished picture is shifted by", "norm of fire8", alt)

# %%
loss_by_shift = {name: (n[1:-1].mean() / n[0]).item() for name, n in norms.items()}
print(
    "left of the norm when shifted:",
    ", ".join(f"{name} {share:.2f}" for name, share in loss_by_shift.items()),
)
assert loss_by_shift["no jitter"] < 0.75
lower = norms["no jitter"].tolist()
assert lower[8] > max(lower[7], lower[9])
assert lower[16] > lower[8] > lower[4] > lower[2]
assert loss_by_shift["jitter"] > loss_by_shift["no jitter"] + 0.25

# %%
alt = "without jitter speckles, with jitter a face with eyes"
show.images([head(fixed), head(moved)], ["no jitter", "jitter of 16 pixels"], height=4, alt=alt)

# %% [markdown]
# Without jitter the norm is higher, but for one position of the grid only: shifted by a pixel or two, much of
# it is gone. It was bought with speckles, which we see as nothing. What survives a shift looks like something
# to us too.
#
# And look at the teeth of the lower curve: they come back every 2, every 4, every 8 pixels, each higher than
# the last, and at 16 nearly all of it is back. That is the fingerprint of the strides, whose product doubles from 2
# to 16 on the way to this layer: shifted by 4, the picture still fits the grids of the first two.

# %% [markdown]
# ## Octaves
#
# A layer's features have one size, that of its receptive field: everything above is as large as it can
# get. To dream larger things we show the network a **smaller photo**, dream there, enlarge, and go on. These
# sizes are the **octaves** (倍频程).
#
# **Question.** An enlarged picture is blurred. How do we keep the dream, and get back the detail of the
# photo?

# %%
sizes = dream.octave_sizes(x.shape[2:], octaves=5, ratio=1.3)
print(" -> ".join(f"{height} x {width}" for height, width in sizes))

# %% [markdown]
# We enlarge only what has *changed*, and add it to the photo, which is resized from the original every
# time:
# $$x_{k+1} = \mathrm{resize}_{k+1}(\text{photo}) +
# \mathrm{resize}_{k+1}\big(x_k - \mathrm{resize}_k(\text{photo})\big).$$

# %% [markdown] slide="subslide"
# **Exercise 2 (easy, 10 minutes).** The start of the next octave. Resize with
# `functional.interpolate(x, size, mode="bilinear", antialias=True)`.
#
# <details><summary>Hint</summary>
# The size of this octave is that of <code>dreamt</code>: its last two axes.
# </details>


# %% exercise="next_octave"
def next_octave(photo, dreamt, size):
    """The photo at the next size, with what was dreamt until now laid over it.

    photo: (N,3,H,W), at full size; dreamt: (N,3,h,w), the result of this octave;
    size: (height, width) of the next.
    Returns: (N,3,height,width).
    """
    ### BEGIN SOLUTION
    how = {"mode": "bilinear", "antialias": True}
    detail = dreamt - functional.interpolate(photo, dreamt.shape[-2:], **how)
    larger = functional.interpolate(photo, tuple(size), **how)
    return larger + functional.interpolate(detail, tuple(size), **how)
    ### END SOLUTION


# %% check="next_octave"
check("next_octave", next_octave)

# %% slide="subslide"
to_next = yours_or_ours("next_octave", next_octave)
now, octaves = dream.resized(x, sizes[0]), []
for size in sizes:
    now = now if not octaves else to_next(x, octaves[-1], size)
    for _ in range(8):
        shift = torch.randint(-16, 17, (2,), generator=random).tolist()
        now = take_step(net, now, layer, 0.03, shift)
    octaves.append(now)

# %%
alt = (
    "the dream after each of five octaves: a blurred face in the smallest, which then gains detail"
)
pictures = [net.denormalize(one)[0].clamp(0, 1) for one in octaves]
show.images(pictures, [f"{h} × {w}" for h, w in sizes], height=3, alt=alt)

# %%
one_size = net.denormalize(moved)[0].clamp(0, 1)
alt = "with one octave a small head; with five octaves a large one with a ruff and feathers"
show.images([one_size, pictures[-1]], ["one octave", "five octaves"], height=4.4, alt=alt)

# %% [markdown]
# The large shapes come from the small octaves, where they cost least; the large ones fill in eyes and hair.

# %% [markdown]
# ## Strokes, not speckles
#
# Look closely: the fur is full of coloured dots. Neighbouring pixels are pushed in opposite directions. The
# network hears that; to us it is noise. A remedy is to **blur the gradient** a little before it is
# divided.
#
# **Question.** Blurring the *picture* would remove dots too. What else would go?

# %%
church = images.photo("monument3").pixels(side)
sharp, smooth = (dream.dream(net, church, layer, smooth=sigma, keep=0).pixels for sigma in (0, 0.8))
alt = "twice a dog's face in a church; with the blur it has strokes of fur instead of dots"
titles = ["gradient as it is", "gradient blurred by 0.8 pixels"]
show.images([sharp, smooth], titles, height=3.2, alt=alt)


# %% slide="subslide"
def dots(picture):
    """The share of the change's power at periods of less than 4 pixels."""
    power = torch.fft.fft2(picture - church).abs().square().sum(0)
    down, across = (torch.fft.fftfreq(n) for n in power.shape)
    fine = (down[:, None] ** 2 + across**2).sqrt() > 1 / 4
    return (power[fine].sum() / power.sum()).item()


print(f"dots: {dots(sharp):.0%} of the change as it is, {dots(smooth):.0%} with the blur")
assert dots(smooth) < 0.7 * dots(sharp)

# %% [markdown]
# The photo keeps its own detail, because only the *change* is smooth. That is all of DeepDream:
# `dream.dream` does just this, and clips to what pixels can be.

# %% [markdown]
# ## The ladder
#
# The same photo, the same steps. Only the layer changes.
#
# **Question.** Which layer gives strokes, which gives eyes, which a creature?

# %%
rungs = ["relu1", *(f"fire{i}" for i in range(2, 10))]
ladder = {name: dream.dream(net, church, name, keep=0).pixels for name in rungs}

# %%
alt = (
    "nine dreams of a church: from coloured edges over spirals and eyes to a furry face and a beast"
)
show.images(list(ladder.values()), rungs, columns=3, height=2.6, alt=alt)

# %% [markdown] slide="subslide"
# Low layers know **strokes**: edges, dots, gratings. The middle ones curl them into spirals, and a spiral
# with a dark centre is an **eye** (fire5, fire6). Deep ones set eyes over a muzzle and give them fur (fire8),
# or join parts to a **body** (fire9). It is the order of lecture 03, where we looked for the patches that
# excite each layer: here the layers paint them.

# %% [markdown]
# Move the depth. Which layer is the first whose dream you can *name*?

# %%
widgets.dream_explorer(net)

# %% [markdown]
# ## From sky, from noise
#
# We see animals in clouds too. Here are clouds, and smooth noise with nothing in it at all.

# %%
sky = images.photo("chateaude_chambord").pixels()[:, :88, 160:420]
sky = dream.resized(sky[None], (132, 390))[0]
coarse = [torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(s)) for s in (3, 1)]
noises = [functional.interpolate(0.3 + 0.4 * c, (192, 256), mode="bicubic")[0] for c in coarse]

# %%
clouds = [dream.dream(net, sky, name, steps=12, keep=0).pixels for name in ("fire5", "fire8")]
alt = "clouds; clouds curled into spirals with eyes; clouds with furry faces"
show.rows([[sky], *([one] for one in clouds)], ["sky", "fire5", "fire8"], alt)

# %%
settings, deep = {"octaves": 6, "steps": 16, "smooth": 0, "keep": 0}, ("fire8", "fire9")
from_noise = []
for noise in (n.clamp(0, 1) for n in noises):
    from_noise += [noise, *(dream.dream(net, noise, k, **settings).pixels for k in deep)]
alt = (
    "two fields of coloured noise; fire8: furry faces; fire9: a head with a beak, a beast with legs"
)
show.images(from_noise, ["noise", *deep] * 2, columns=3, height=2.6, alt=alt)

# %% [markdown]
# In noise every unit fires a little, by chance. The steps strengthen those that happen to lead, and soon a
# creature is there. With another seed it is elsewhere, and another one: for fire8 a furry face each time, for
# fire9 now a head with a beak, now a body with legs. These pictures say nothing about the photo, since there is
# none: they show the **network**.

# %% [markdown]
# ## Why so many dogs?
#
# DeepDream became famous for dogs. The usual answer: ImageNet has so many of them. Count: the classes are
# ordered by kind, and the dogs stand together.

# %%
first, last = net.index("Chihuahua"), net.index("Mexican hairless")
kinds = {"dogs": list(range(first, last + 1))}
kinds["birds"] = [*range(7, 25), *range(80, 101), *range(127, 147)]
print(", ".join(f"{len(ones)} {kind}" for kind, ones in kinds.items()), "of", len(net.labels))
assert len(kinds["dogs"]) == 118


# %% [markdown]
# About an eighth. But do the dreams *move* there? We take photos of buildings and landscapes, without
# animals, dream, and ask the classifier how much probability it gives to dogs and to birds, before and
# after.


# %%
def probability_of_kinds(pictures):
    with torch.no_grad():
        p = net(net.preprocess(pictures)).softmax(1).mean(0)
    return [p[members].sum().item() for members in kinds.values()]


places = ["fort_sumter", "monument3", "geothermal", "opera_house", "windmill13", "canyonde_chelly"]
photos = [images.photo(name).pixels(side) for name in places]

# %% slide="subslide"
by_layer = {
    name: [dream.dream(net, photo, name, keep=0).pixels for photo in photos]
    for name in ("fire8", "fire9")
}

# %%
measured = {"the photos": probability_of_kinds(photos)}
measured |= {f"dreams of {name}": probability_of_kinds(d) for name, d in by_layer.items()}
rows = [[name, *(f"{p:.2f}" for p in found)] for name, found in measured.items()]
show.table(["mean probability of", *kinds], rows)

# %% slide="subslide"
chance = len(kinds["dogs"]) / 1000
assert measured["the photos"][0] < 0.1
assert measured["dreams of fire8"][0] > 2 * chance
assert measured["dreams of fire9"][0] < 0.5 * measured["dreams of fire8"][0]

# %% [markdown]
# So it depends on the **layer**. fire8 turns these places into dogs far more often than an eighth of the time; one
# layer on, fire9 does so seldom: it prefers birds, then fish, and other animals. But six places are few, and these
# are kind to dogs: from thirty-six other buildings fire8 made birds as often as dogs.


# %%
def answers_to(pictures):
    with torch.no_grad():
        return [net.labels[i] for i in net(net.preprocess(pictures)).argmax(1)]


alt = "six dreams of fire8 from buildings and landscapes: furry faces with large eyes"
dreamt = by_layer["fire8"]
show.images(dreamt, answers_to(dreamt), columns=3, height=2.6, alt=alt)

# %% [markdown]
# Mostly fur. "There are 118 breeds" does not explain it: of birds there are half as many, and on other places fire8
# gives them as much. And one layer on, the same count would have to hold for fire9.

# %% [markdown] slide="slide"
# And the feedback? The six again, with ones at the layer instead of the activation.

# %%
without = [dream.dream(net, p, "fire8", keep=0, objective=constant(1.0)).pixels for p in photos]
fed, at_first = measured["dreams of fire8"][0], measured["the photos"][0]
unfed = probability_of_kinds(without)[0]
print(f"p(dogs): photos {at_first:.2f}, with ones {unfed:.2f}, with feedback {fed:.2f}")
assert min(unfed, fed) > at_first + 0.2

# %% [markdown]
# The dogs come with ones too; whether as often, six photos cannot tell. They are what fire8 has to say. Does it say
# it to every photo? To three solar cookers on a pavement, with ones:

# %%
cookers = images.photo("solar3").pixels(side)
told = dream.dream(net, cookers, "fire8", keep=0, objective=constant(1.0)).pixels
dogs, birds = probability_of_kinds([told])
print(f"p(dogs) {dogs:.2f}, p(birds) {birds:.2f}")
assert birds > dogs + 0.5

# %% [markdown]
# To them it says birds, with this jitter. With two of five other seeds a dog came out just ahead, and with feedback
# one processor gave dogs where another gave birds: a dream hangs on small things.

# %% [markdown] slide="slide"
# The same six, dreamt by fire9: beaks and snouts, feathers and scales.

# %%
alt = (
    "the same six photos, dreamt by fire9: heads and bodies of birds and reptiles rather than dogs"
)
dreamt = by_layer["fire9"]
show.images(dreamt, answers_to(dreamt), columns=3, height=2.6, alt=alt)

# %% [markdown]
# ## Not class ascent
#
# One class, as in lecture 10, with the same loop, octaves and photo as the dream.

# %%
peacock = net.index("peacock")
hills = images.photo("great_wallof_china").pixels(side)


def minus_score(x):
    return -net(x)[:, peacock].sum()


# %%
starts = [church, hills]
ascents = [dream.dream(net, one, "fire9", objective=minus_score, keep=0).pixels for one in starts]
dreams = [ladder["fire9"], dream.dream(net, hills, "fire9", keep=0).pixels]

# %%
pictures = [*starts, *ascents, *dreams]
with torch.no_grad():
    p = torch.cat([net(net.preprocess(one)).softmax(1) for one in pictures])
kinds_of = ["photo"] * 2 + ["class ascent"] * 2 + ["dream of fire9"] * 2
answers = [net.labels[q.argmax()] for q in p]
titles = [f"{kind} → {answer}" for kind, answer in zip(kinds_of, answers, strict=True)]
order = [0, 2, 4, 1, 3, 5]
alt = "church and hills; both with blue-green necks and eye spots; as two different creatures"
show.images([pictures[i] for i in order], [titles[i] for i in order], 3, height=2.5, alt=alt)

# %% slide="subslide"
print("p(peacock), church and hills:")
for kind, both in zip(kinds_of[::2], p[:, peacock].view(3, 2).tolist(), strict=True):
    print(f"{kind:15}{both[0]:.3f} and {both[1]:.3f}")
assert p[2:4, peacock].min() > 0.9
assert answers[4] != answers[5]

# %% [markdown]
# Class ascent knows where it wants to go; whether it gets there depends on the class and the photo (of eight others
# six became peacocks, one an espresso). The dream has **no target**: it strengthens what the photo excites already, so another photo gives another creature, and it
# bends the photo's own lines. Both follow a gradient; only the question differs.

# %% [markdown] slide="subslide"
# | | class ascent (lecture 10) | DeepDream |
# |---|---|---|
# | maximises | the score $S_c$ of a chosen class | $\tfrac12\lVert A\rVert^2$ of a chosen layer |
# | starts from | grey or noise | a photo |
# | the result says | what raises this class | what the layer finds in this photo |
# | feedback | none: the target is fixed | yes: the target is the activation itself |

# %% [markdown]
# ## Extra: guided by a second photo
#
# The dreamer can be told what to look for. At each position $i$ of the layer, find the guide's feature
# vector $g_j$ that fits best, and ask for more of that:
# $$\max_x \sum_i \max_j\ \langle a_i(x),\, g_j\rangle .$$

# %%
guides = {"scarlet_macaw": "fire9", "dog": "fire8"}  # photo: layer
pictures = []
for name, at in guides.items():
    guide = images.photo(name).pixels(side)
    wanted = dream.guided_by(net, at, net.normalize(guide)[None])
    pictures += [guide, dream.dream(net, hills, at, objective=wanted, keep=0).pixels]

# %%
alt = "a parrot, and the hills with a green bird in them; a dog, and the hills as dogs' faces"
titles = ["a guide", "the hills, guided at fire9", "a guide", "the hills, guided at fire8"]
show.images(pictures, titles, height=2.3, alt=alt)

# %% [markdown]
# **Question.** Did the guide bring them, or would they have come without it? Here are twelve places, these hills
# among them, dreamt with the guide and without (stored; `python data/rebuild_guided_dreams.py` makes them again).
# In how many does the network give its kind more than half of the probability?

# %%
rows = []
for one in dream.stored_guided():
    counts = (sum(p > 0.5 for p in one[how]) for how in ("alone", "guided"))
    rows.append([f"{one['guide']} at {one['layer']}", one["kind"], *counts])
    without, with_it = (sum(one[how]) / len(one[how]) for how in ("alone", "guided"))
    assert with_it > without + 0.3
show.table(["guide", "kind", "without it, of 12", "with it, of 12"], rows)

# %% [markdown]
# The guide matters, and does not decide alone. Some places become dogs or birds without one, and a few do not
# become birds with it. Nor does every guide get its way: with a kitten none of twelve dreams was called a cat. (A dream hangs on its last digits: on another processor it may be other places.)

# %% [markdown]
# ## Any size: tiles
#
# Backpropagation keeps every activation. For a photo from a telephone that is gigabytes. But the
# energy is a sum over positions: we can differentiate it tile by tile, and keep only one tile's
# activations.


# %%
def megabytes_kept(picture):
    kept = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.nbytes) or t, lambda t: t
    )
    with hooks:
        dream.energy(net, "fire5")(picture.clone().requires_grad_())
    return sum(kept) / 2**20


# %%
castle = net.normalize(images.photo("chateaude_chambord").pixels())[None]
whole, tile = megabytes_kept(castle), megabytes_kept(castle[..., :120, :120])
print(f"kept for the way back: {whole:.0f} MB for the photo, {tile:.0f} MB for a tile")
assert tile < whole / 5


# %% [markdown]
# **Question.** A unit near a tile's border does not see across it. What will the dream look like along the
# borders, and what can be done about it with a tool that we have already?


# %% slide="subslide"
def tiled_change(reach):
    loss = dream.tiled(dream.energy(net, "fire5"), 120)
    how = {"rule": normalised_step(0.04), "operations": [(1, valid)], "progress": None}
    result = optimise(loss, castle, 8, transforms=[jitter(reach)], keep=0, **how)
    return (result.image - castle)[0].abs().mean(0).cpu()


changes = {"tiles that lie still": tiled_change(0), "tiles shifted at random": tiled_change(120)}

# %%
alt = "how much each pixel changed: dark lines between still tiles, none between shifted ones"
show.maps(list(changes.values()), list(changes), height=4, alt=alt, percentile=97)

# %% slide="subslide"
profiles = {name: (range(len(c[0])), c.mean(0) / c.mean()) for name, c in changes.items()}
alt = "still tiles: narrow dips at 120, 240, 360 pixels and at the rim; shifted ones: none"
show.lines(profiles, "column of the picture", "change, 1 = its mean", alt)

# %%
borders = [119, 120, 239, 240, 359, 360]
at_borders = {name: (c[:, borders].mean() / c.mean()).item() for name, c in changes.items()}
print("of the mean change:", ", ".join(f"{name} {s:.2f}" for name, s in at_borders.items()))
assert at_borders["tiles that lie still"] < 0.8 < at_borders["tiles shifted at random"]

# %% [markdown]
# Jitter by a whole tile moves the borders elsewhere in every step, and the seams are gone. With
# `dream.dream(net, photo, layer, tile=256)` a photo of any size can dream.
#
# Here is Hokusai's wave, larger than the pictures above, in tiles and with six octaves.

# %%
wave = images.painting("great_wave_off_kanagawa")
great = dream.dream(net, wave.pixels(480), "fire8", octaves=6, rate=0.02, tile=256, keep=0)
alt = "Hokusai's great wave: a dog's face looks out of the crest, a smaller one from Mount Fuji"
show.images([great.pixels], ["The Great Wave, dreamt by fire8"], height=5, alt=alt)

# %% [markdown]
# ## Frames become a film
#
# The loop keeps frames. What a small octave has changed is laid over the full photo, so that the film
# starts at the photo and only the dream moves.

# %% slide="skip"
film = bird.frames  # of the very first dream
path = save_animation(film, f"{tempfile.mkdtemp()}/dream.webp", fps=8)
print(f"{len(film)} frames, {path.stat().st_size / 1024:.0f} kB")

# %%
show.animation(film, "a tower turns into a bird with a long neck", fps=8)

# %% [markdown] slide="slide"
# And a journey: dream a little, enlarge the middle a little, dream again. What the zoom blurs, the
# dream makes sharp; so it never ends.

# %%
journey = dream.zoom(net, hills, "fire8", frames=12, factor=1.06)
show.animation(journey, "hills grow fur and eyes while we move towards them", fps=6)

# %% [markdown]
# ## What we saw
#
# - The gradient at the layer set to its activation is ascent on half its squared norm.
# - Dividing by the mean of $|g|$ makes one rate fit all layers.
# - Feedback gathers the energy in fewer units than ones do. The creatures come without it too: they are what the
#   layer knows.
# - Jitter keeps what survives a shift; octaves make large things; tiles make any size possible.
# - Low layers paint strokes, middle ones eyes, deep ones creatures.
# - Whether dogs come depends on the layer: measured, not assumed.

# %% [markdown]
# **What it does not show.** A dream is not what the network "thinks" of the photo: it is the end of a loop that
# would have ended elsewhere with another seed, size or rate. That one layer likes fur tells which
# features it has, not what the classifier does with them. And the probabilities above are answers to pictures
# that no training set contains.

# %% [markdown]
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | DeepDream | 深度梦境 | a photo changed so that a layer's activations grow |
# | feedback loop | 反馈循环 | the stronger a unit fires, the more it is pushed |
# | mean absolute gradient | 平均绝对梯度 | what a step is divided by, so that one rate fits all layers |
# | jitter | 抖动 | a random shift before each step, undone afterwards |
# | octave | 倍频程 | one of the sizes at which the picture dreams, small to large |
# | clipping | 裁剪 | values are kept to what pixels can be |
# | tile | 图块 | a part of the picture whose gradient is computed on its own |
# | guided dreaming | 引导式梦境 | a second picture says which features are to grow |

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
shown = ["chateaude_chambord", "great_wallof_china", "scarlet_macaw", "dog", *places]
shown += ["bayterek"]
show.credits([*map(images.photo, shown), wave])

# %% [markdown] slide="skip"
# ## Papers
#
# - A. Mordvintsev, C. Olah, M. Tyka. *Inceptionism: Going Deeper into Neural Networks.* Google Research
#   blog, 2015; the code *DeepDream: a code example for visualizing neural networks*, same year.
# - K. Simonyan, A. Vedaldi, A. Zisserman. [*Deep Inside Convolutional Networks.*](https://arxiv.org/abs/1312.6034) ICLR workshop 2014.
# - C. Olah, A. Mordvintsev, L. Schubert. [*Feature Visualization.*](https://doi.org/10.23915/distill.00007) Distill 2017.
