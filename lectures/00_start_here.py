# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 00 Start here
#
# **We trust networks that nobody can explain. What can we do about it?**
#
# After this lecture you can
# - say in which three ways this course opens the black box;
# - classify a photo and read the network's answer;
# - take the output of any layer with a hook;
# - use the gradient in its other direction, towards the pixels;
# - work through an exercise and read what the check tells you.
#
# About 40 minutes with the two exercises. At the end: [the map of the course](#The-map-of-the-course) and
# its glossary.

# %% slide="skip"
import importlib.util

if importlib.util.find_spec("course_utils") is None:
    raise SystemExit(
        "This kernel is not the course's. Start with `python course.py lab`, or choose "
        "Kernel > Change Kernel > Python 3 (ipykernel) of the course's .venv."
    )

# %% slide="skip"
import torch

from course_utils import images, layers, models, saliency, show, start_here
from course_utils.exercises import check, yours_or_ours

# %% [markdown]
# ## Is this machine ready?
#
# Every line should say *yes*. Nothing here needs a network connection or a GPU.

# %%
ready = start_here.readiness()
show.table(["", "found", "ready"], ready)

# %%
assert all(verdict == "yes" for *_, verdict in ready), "see the line that does not say yes"

# %% [markdown]
# ## The first classified photo
#
# These four photos ship with the course. **SqueezeNet 1.1** has 1.2 million weights, learned from 1.3
# million labelled photos (ImageNet, 1000 classes). What does it make of ours?

# %%
net = models.load("squeezenet1_1")
names = ["panda", "red_panda", "penguin", "taj_mahal"]
photos = [images.photo(name) for name in names]
show.images(photos, names, alt="a giant panda, a red panda, a penguin and the Taj Mahal")

# %% [markdown]
# A network does not see photos as they are. Each is shrunk to 256 pixels on its short side, cropped to
# 224 × 224, and **normalised**: minus the mean colour of ImageNet, divided by its spread.

# %%
x = net.preprocess(photos)
print("shape (N, 3, H, W):", tuple(x.shape))
print(f"values from {x.min():.2f} to {x.max():.2f}")

# %%
with torch.no_grad():
    scores = net(x)
print("one score for each class:", tuple(scores.shape))
print("the panda's largest score belongs to:", net.labels[scores[0].argmax()])

# %% [markdown]
# The network's outputs are **scores** (得分, also *logits*), any numbers. The **softmax** turns a row of
# them into probabilities:
# $$p_c = \frac{e^{S_c}}{\sum_k e^{S_k}} .$$

# %% [markdown]
# ## How exercises work
#
# A cell with `raise NotImplementedError()` is yours to fill. The cell under it checks your answer, and
# says one of three things: *not attempted*, *wrong, because …*, or *right*. Try it before you solve
# anything: an unsolved exercise never stops the notebook.
#
# - The check runs your function by itself. A function that uses a variable of the notebook is told so.
# - Stuck? Open the hints. Then the helpers in `course_utils`: they are there to be read, and what you
#   copy you should be able to explain.
# - `course check` in a terminal lists what is finished; `course submit` packs it for handing in.
# - Your notebook lives in `work/` and nothing in the course overwrites it.

# %% [markdown]
# **Exercise 1 (easy, 10 minutes).** Name the `k` most probable classes of each image, the most probable
# first, with their probabilities.
#
# <details><summary>Hint 1: from scores to probabilities</summary>
# <code>softmax</code> needs to be told along which axis the numbers shall add up to one: each image has
# a row of its own.
# </details>
# <details><summary>Hint 2: the largest few</summary>
# <code>topk</code> returns the values and their indices, largest first.
# </details>
# <details><summary>Hint 3: plain Python out</summary>
# <code>.tolist()</code> turns a tensor into nested lists of numbers; <code>zip</code> pairs them up.
# </details>


# %% exercise="top_classes"
def top_classes(model, x, names, k=5):
    """The k most probable classes of each image, the most probable first.

    model: logits (N,C) of normalised images; x: (N,3,H,W); names: C class names.
    Returns: a list for each image, of k pairs (name, probability).
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        probabilities = model(x).softmax(dim=1)
    best = probabilities.topk(k, dim=1)
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [[(names[c], p) for c, p in zip(*row, strict=True)] for row in rows]
    ### END SOLUTION


# %% check="top_classes"
check("top_classes", top_classes)

# %%
name_them = yours_or_ours("top_classes", top_classes)
answers = name_them(net, x, net.labels, 3)
rows = [[f"{label} {p:.2f}" for label, p in answer] for answer in answers]
named = [[name, *row] for name, row in zip(names, rows, strict=True)]
show.table(["photo", "first", "second", "third"], named)

# %% [markdown]
# The pandas could not be surer. (*Lesser panda* is ImageNet's name for the red panda.) The penguin is a
# chinstrap, the Taj Mahal a tomb: ImageNet has no class for either, and a network must answer with one of
# the names it knows.
#
# **But why?** Which parts of the picture, which of the 1.2 million weights, said *panda*? The scores do
# not tell.

# %% [markdown]
# ## Three ways to open the box
#
# 1. **Look at its parts.** What does a filter, a channel, a layer respond to? (Lectures 01–04)
# 2. **Find the pixels that decide.** What happens to the score if they change? (05–09)
# 3. **Let it make pictures.** Which picture would please a unit most? (10–16)
#
# And at the end the same questions to a network without convolutions. (17)
#
# Here is a first taste of each.

# %% [markdown]
# ## 1. Look at its parts
#
# On the way from pixels to scores, every layer computes an array of numbers, its **activation**
# (激活). PyTorch lets us listen with a **hook**: a function that a layer calls with its output whenever
# it has run.

# %% [markdown] slide="subslide"
# **Exercise 2 (medium, 10 minutes).** Return what a named layer puts out, and leave the network as you
# found it: a hook that stays behind goes on collecting for ever.
#
# <details><summary>Hint 1: the layer of that name</summary>
# <code>model.get_submodule("features.3")</code> finds it; <code>dict(model.named_modules())</code> too.
# </details>
# <details><summary>Hint 2: keeping what the hook gets</summary>
# <code>module.register_forward_hook(function)</code> calls <code>function(module, inputs, output)</code>.
# Let it append the output to a list, and run the model.
# </details>
# <details><summary>Hint 3: leaving no trace</summary>
# Registering returns a handle with a method <code>remove()</code>.
# </details>


# %% exercise="capture_layer"
def capture_layer(model, x, layer):
    """The output of one layer, taken by a forward hook that is removed afterwards.

    model: a network; x: (N,3,H,W); layer: a name of model.named_modules(), e.g. "features.3".
    Returns: the layer's output, without gradient, usually (N,K,h,w).
    """
    ### BEGIN SOLUTION
    kept = []
    module = model.get_submodule(layer)
    handle = module.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        with torch.no_grad():
            model(x)
    finally:
        handle.remove()
    return kept[0]
    ### END SOLUTION


# %% check="capture_layer"
check("capture_layer", capture_layer)

# %%
listen = yours_or_ours("capture_layer", capture_layer)
maps = listen(net, x[:1], "module.features.3")[0]
print("layer fire2:", tuple(maps.shape), "channels, rows, columns")

# %%
strongest = maps.amax((1, 2)).topk(6).indices
alt = "six feature maps of the panda: contours of different directions light up"
show.maps(maps[strongest], [f"channel {c}" for c in strongest.tolist()], alt=alt)

# %% [markdown]
# Each panel is one **channel** (通道): the same small detector, applied everywhere. One answers to
# upright contours, another to level ones; the panda is still easy to see. How long does that last? The course's own
# helper knows the layers by the field's names, so let us look deeper.

# %%
depths = ["fire2", "fire5", "fire9"]
deep = [layers.activations(net, x[:1], layer)[0] for layer in depths]
captions = [f"{n}: {tuple(a.shape)}" for n, a in zip(depths, deep, strict=True)]

# %%
strongest = [a[a.amax((1, 2)).argmax()] for a in deep]
alt = "the strongest channel of three layers: a sharp outline, a coarser one, a few bright blocks"
show.maps(strongest, captions, photo=net.denormalize(x[0]), alt=alt)

# %% [markdown]
# ## 2. Find the pixels that decide
#
# You know the **gradient** (梯度) from training: it says how the loss changes with every *weight*, and
# training steps downhill. But the chain rule does not stop at the weights. The same backward pass
# reaches the *pixels*.

# %%
learner = models.load("squeezenet1_1").requires_grad_(True)
wanted = x[:1].clone().requires_grad_(True)
learner(wanted)[0, net.index("giant panda")].backward()
weight = learner.module.features[0].weight
print("towards the weights of conv1:", tuple(weight.grad.shape), "  used when learning")
print("towards the pixels:          ", tuple(wanted.grad.shape), "used when looking")

# %% [markdown]
# In this course the weights are **frozen** (冻结): we never train the network we look at. All gradients
# go to the pixels, where they answer: *which pixel, changed a little, changes the score most?*

# %%
steep = saliency.saliency_map(net, x, scores.argmax(1))
laid_over = [show.overlay(p, m) for p, m in zip(net.denormalize(x), steep, strict=True)]
alt = "each photo in grey with glowing specks where the score is steepest, mostly on the object"
show.images(laid_over, [answer[0][0] for answer in answers], alt=alt)

# %% [markdown]
# Speckled, but mostly on the object. Lecture 06 builds this map, tests it, and improves it.

# %% [markdown]
# ## 3. Let it make pictures
#
# If the gradient says how to change the pixels, why not *do* it? We walk uphill on the score of
# **koala**, starting from the panda. Every step moves the picture by the same small length.
#
# **Question.** After 20 steps the network is sure to see a koala. What will *you* see?

# %%
koala, panda, step = net.index("koala"), net.index("giant panda"), 0.6
picture, climb = x[:1].clone(), []
for _ in range(20):
    slope = saliency.input_gradient(net, picture, koala)
    picture = picture + step * slope / slope.norm()
    climb.append(net(picture).softmax(1)[0, [koala, panda]].tolist())

# %%
steps, (of_koala, of_panda) = range(1, 21), zip(*climb, strict=True)
curves = {"koala": (steps, of_koala), "giant panda": (steps, of_panda)}
alt = f"koala climbs from almost 0 to {of_koala[-1]:.2f} in 20 steps while the panda falls to 0"
show.lines(curves, "step", "probability", alt, ylim=(0, 1.02), xticks=[1, 5, 10, 15, 20])

# %%
change = net.denormalize(picture) - net.denormalize(x[:1])
three = [net.denormalize(x[0]), net.denormalize(picture[0]), change[0] * 10 + 0.5]
captions = ["giant panda 1.00", f"koala {of_koala[-1]:.2f}", "the change, ten times larger"]
alt = "the panda, a panda that looks the same to us, and their difference: coloured noise"
show.images(three, captions, alt=alt)

# %%
assert of_koala[-1] > 0.9
print("largest change of any colour of any pixel:", f"{change.abs().max():.3f} of the range 0 to 1")

# %% [markdown]
# The network sees a koala; we see the same panda. That is an **adversarial example** (对抗样本), and lecture
# 11 is about why it is so easy. Getting a picture in which *we* see what the network sees takes more care:
# lectures 10 and 12.
#
# So a gradient gives a picture that is *right for the network*. It need not be a picture that
# *explains* it. Keep that difference in mind for the whole course.

# %% [markdown]
# ## What we saw
#
# - A network answers with scores; the softmax turns them into probabilities. Neither gives a reason.
# - A hook gives the output of any layer.
# - The gradient goes to the weights when learning and to the pixels when looking; the weights stay frozen.
# - Three ways to open the box: its parts, the pixels that decide, the pictures it makes.
#
# ## Key terms
#
# | English | 中文 | meaning |
# |---|---|---|
# | score, logit | 得分 | the network's output for a class, before softmax |
# | activation, feature map | 激活，特征图 | the output of a layer, of one channel of it |
# | channel | 通道 | one detector of a layer, applied at every position |
# | hook | 钩子 | a function that a layer calls with its output |
# | gradient | 梯度 | the slope with respect to each weight, or each pixel |
# | frozen weights | 冻结的权重 | weights that are not changed |
# | adversarial example | 对抗样本 | a picture changed so little that we see nothing, misclassified |

# %% [markdown] slide="skip"
# ## The map of the course
#
# Start anywhere whose prerequisites you have; the shortest ways to a painting of your own and to the test
# that maps must pass are 00, 02, 06, 10, 13, 14, 15 and 00, 05 to 09.

# %% slide="skip"
start_here.course_map()

# %% [markdown] slide="skip"
# Every lecture ends with its key terms. Here they are together:

# %% slide="skip"
start_here.glossary()

# %% [markdown] slide="skip"
# ## Pictures
#
# If you pass this notebook on with its pictures, pass this table on too.

# %% slide="skip"
show.credits(photos)

# %% [markdown] slide="skip"
# ## Papers
#
# - F. Iandola et al. [*SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model
#   size.*](https://arxiv.org/abs/1602.07360) 2016.
# - O. Russakovsky et al. [*ImageNet Large Scale Visual Recognition Challenge.*](https://arxiv.org/abs/1409.0575) IJCV 2015.
# - M. Zeiler, R. Fergus. [*Visualizing and Understanding Convolutional Networks.*](https://arxiv.org/abs/1311.2901) ECCV 2014.
