"""Lecture 07's exercises: the deconvnet rule, the guided rule, and a network under it by hooks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import guided, layers
from course_utils.checking import drawing, photos
from course_utils.checking.core import Case, Exercise, Mistake, Picture, register
from course_utils.exercises.saliency import SCORES, chosen, first, photo_case
from course_utils.exercises.saliency import cases as score_cases

LECTURE = "07_guided"


def network_cases(seed: int) -> list[Case]:
    """As for the saliency map, and a network built as the zoo's are."""
    random = drawing.generator(seed, "guided_gradient")
    spec = drawing.network(random, 6, "tiny_fork")
    x = drawing.images(random, spec, 2, 8, 7)
    args = {"model": spec, "x": x, "classes": drawing.other_classes(random, spec, x)}
    return [*score_cases(seed), Case(args, "a network with ReLUs deeper inside")]


def rule_cases(seed: int) -> list[Case]:
    """Forward inputs and incoming gradients of a linear and of two convolutional layers."""
    random = drawing.generator(seed, "relu rules")
    shapes = [(1, 12), (2, 4, 5, 6), (3, 5, 4, 7)]
    notes = ["a layer without positions", "a batch of two images", "a batch of three images"]
    found = []
    for shape, note in zip(shapes, notes, strict=True):
        x, gradient = (2 * torch.randn(shape, generator=random) for _ in range(2))
        # Some units sit at exactly zero, as after a convolution of a black corner: they are off.
        x.flatten()[:: drawing.integer(random, 4, 6)] = 0
        gradient.flatten()[0] = 1 + gradient.flatten()[0].abs()  # one of them matters
        found.append(Case({"x": x, "gradient": gradient}, note, repeat=len(shape) == 4))
    return found


def rule(name: str, function: Callable[[Tensor, Tensor], Tensor], sentence: str) -> Mistake:
    return Mistake(name, lambda x, gradient: function(x, gradient), sentence)


EITHER_RULE = (
    rule(
        "backprop",
        lambda x, g: g * (x > 0),
        "This is the rule of ordinary backpropagation: the gradient passes where the ReLU was on, "
        "whatever the gradient's sign.",
    ),
    rule(
        "abs",
        lambda x, g: g.abs() * (x > 0),
        "You took the size of the gradient. A negative gradient is to be stopped; with the "
        "absolute value it goes on as if it were positive.",
    ),
    rule(
        "negative_kept",
        lambda x, g: g.clamp(max=0) * (x > 0),
        "You kept the negative gradients and stopped the positive ones: the comparison is the "
        "wrong way round.",
    ),
    rule(
        "everything_passes",
        lambda x, g: g,
        "You return the gradient as it came: nothing is stopped.",
    ),
    rule(
        "relu_of_input",
        lambda x, g: x.clamp(min=0),
        "You applied the ReLU to the forward input. What goes back is made of the incoming "
        "*gradient*; the input at most decides where it passes.",
    ),
    rule(
        "times_activation",
        lambda x, g: x.clamp(min=0) * g.clamp(min=0),
        "You multiplied the gradient by the activation. A ReLU that is on has slope 1, however "
        "strongly it fires.",
    ),
    rule(
        "mask_only",
        lambda x, g: ((x > 0) & (g > 0)).float(),
        "You return the mask of zeros and ones. It is to be multiplied by the gradient.",
    ),
    rule(
        "signed_product",
        lambda x, g: g * (x * g > 0),
        "You asked whether the product of input and gradient is positive. So it is where *both* "
        "are negative, and there the gradient gets through.",
    ),
    rule(
        "product_cut_off",
        lambda x, g: (x * g).clamp(min=0),
        "You return the product of input and gradient, cut off at zero. The gradient goes on as it "
        "is or not at all; how large the input was does not matter.",
    ),
    rule(
        "product",
        lambda x, g: x * g,
        "You multiplied the gradient by the forward input, and nothing is stopped. The gradient "
        "goes on as it is or not at all.",
    ),
    rule(
        "activation_times_gradient",
        lambda x, g: x.clamp(min=0) * g,
        "You multiplied the gradient by the activation, negative gradients included. A ReLU that "
        "is on has slope 1, however strongly it fires.",
    ),
    rule(
        "opposite_signs",
        lambda x, g: g.clamp(min=0) * (x <= 0),
        "You kept positive gradients just where the ReLU was off.",
    ),
    rule(
        "minus_one_for_stopped",
        lambda x, g: torch.where((x > 0) & (g > 0), g, -1.0),
        "Where the gradient is stopped you send on -1. Nothing goes on there: 0.",
    ),
    rule(
        "only_selected",
        lambda x, g: g[(x > 0) & (g > 0)],
        "You return only the values that pass, in one row. They have to stay at their places, with "
        "zeros in between.",
    ),
    rule(
        "forward_and_backward",
        lambda x, g: x.clamp(min=0) + g.clamp(min=0),
        "You added the forward input to the gradient. What goes back is the gradient, or nothing.",
    ),
    rule(
        "either",
        lambda x, g: g * ((x > 0) | (g > 0)),
        "Your gradient passes where the ReLU was on *or* the gradient is positive. So negative "
        "gradients get through wherever the ReLU was on.",
    ),
    rule(
        "negative_where_off",
        lambda x, g: g.clamp(min=0) * (x < 0),
        "You kept positive gradients where the forward input is *below* zero: just where the ReLU "
        "was off.",
    ),
)

GUIDED_MISTAKES = (
    rule(
        "deconvnet",
        lambda x, g: g.clamp(min=0),
        "This is the deconvnet's rule. Keeping positive gradients is half of it: the guided rule "
        "also stops the gradient where the ReLU was off in the forward pass.",
    ),
    rule(
        "on_at_zero",
        lambda x, g: g.clamp(min=0) * (x >= 0),
        "Look at inputs of exactly zero. Such a ReLU gives nothing and counts as off, so nothing "
        "goes back through it.",
    ),
    rule(
        "input_for_gradient",
        lambda x, g: x.clamp(min=0) * (g > 0),
        "You return the forward input where both conditions hold. It is the *gradient* that goes "
        "back there: check the order of the two arguments.",
    ),
    *EITHER_RULE,
)

DECONVNET_MISTAKES = (
    rule(
        "guided",
        lambda x, g: g.clamp(min=0) * (x > 0),
        "You also stopped the gradient where the ReLU was off. That is the guided rule; the "
        "deconvnet does not ask what happened in the forward pass.",
    ),
    rule(
        "only_positive",
        lambda x, g: g[g > 0],
        "You return only the positive values, in one row. They have to stay at their places, with "
        "zeros in between.",
    ),
    rule(
        "smooth_cut",
        lambda x, g: nn.functional.softplus(g),
        "You used the softplus, a rounded ReLU. The rule cuts off exactly at zero.",
    ),
    rule(
        "input_sign",
        lambda x, g: g * (x >= 0),
        "This is ordinary backpropagation, with inputs of exactly zero let through. The "
        "deconvnet's rule looks at the gradient alone.",
    ),
    rule(
        "all_abs",
        lambda x, g: g.abs(),
        "You took the size of every gradient. The negative ones are to be stopped, not turned "
        "round.",
    ),
    rule(
        "clipped_above",
        lambda x, g: g.clamp(0, 1),
        "You also cut off what is above 1. The rule has a lower end only, like the ReLU itself.",
    ),
    rule(
        "negative_all",
        lambda x, g: g.clamp(max=0),
        "You kept the negative gradients and stopped the positive ones.",
    ),
    *(m for m in EITHER_RULE if m.name not in ("mask_only", "times_activation")),
    rule(
        "mask_only",
        lambda x, g: (g > 0).float(),
        "You return the mask of zeros and ones. It is to be multiplied by the gradient.",
    ),
)


# ------------------------------------------------------------------ a whole network, by hooks


def by_hooks(
    change: Callable[[Tensor, Tensor], Tensor],
    which: Callable[[list], list] = lambda relus: relus,
    score: Callable[[Tensor, Tensor], Tensor] = chosen,
    finish: Callable[[Tensor], Tensor] = lambda gradient: gradient,
) -> Callable:
    """The gradient when `change(grad_input, grad_output)` is what ReLUs hand on."""

    def function(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        hook = lambda module, below, above: (change(below[0], above[0]),)  # noqa: E731
        parts = which([part for part in model.modules() if isinstance(part, nn.ReLU)])
        handles = [part.register_full_backward_hook(hook) for part in parts]
        x = x.detach().clone().requires_grad_()
        try:
            gradient = torch.autograd.grad(score(model(x), classes), x)[0]
        finally:
            for handle in handles:
                handle.remove()
        return finish(gradient)

    return function


def everywhere(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient when every layer hands on what is positive only."""
    hook = lambda module, below, above: tuple(b.clamp(min=0) for b in below)  # noqa: E731
    parts = [p for p in model.modules() if not list(p.children())]
    handles = [part.register_full_backward_hook(hook) for part in parts]
    x = x.detach().clone().requires_grad_()
    try:
        return torch.autograd.grad(chosen(model(x), classes), x)[0]
    finally:
        for handle in handles:
            handle.remove()


def cut(below: Tensor, above: Tensor) -> Tensor:
    return below.clamp(min=0)


def network_mistake(name: str, sentence: str, change: Callable = cut, **options: object) -> Mistake:
    return Mistake(name, by_hooks(change, **options), sentence)


NETWORK_MISTAKES = (
    network_mistake(
        "plain",
        "This is the plain gradient: your hooks changed nothing. They must be in place before the "
        "forward pass, and *return* what is to go on, as a tuple.",
        lambda below, above: below,
    ),
    network_mistake(
        "deconvnet",
        "This is the deconvnet: you cut the gradient that arrives from above and sent it on. The "
        "one that is to be cut has already passed the ReLU's own mask.",
        lambda below, above: above.clamp(min=0),
    ),
    network_mistake(
        "abs",
        "You sent on the absolute value. Negative gradients are to be stopped, not turned round.",
        lambda below, above: below.abs(),
    ),
    network_mistake(
        "negative_kept",
        "You kept the negative gradients and stopped the positive ones.",
        lambda below, above: below.clamp(max=0),
    ),
    network_mistake(
        "first_relu_only",
        "Only the first ReLU follows the rule. Every ReLU of the network should.",
        which=lambda relus: relus[:1],
    ),
    network_mistake(
        "last_relu_only",
        "Only the last ReLU follows the rule. Every ReLU of the network should.",
        which=lambda relus: relus[-1:],
    ),
    network_mistake(
        "cut_at_the_pixels",
        "You took the plain gradient and cut its negative values at the pixels. The cut belongs at "
        "each ReLU, on the way down.",
        lambda below, above: below,
        finish=lambda gradient: gradient.clamp(min=0),
    ),
    network_mistake(
        "cut_again_at_the_pixels",
        "You also cut the gradient behind the first convolution: only ReLUs follow another rule. "
        "At the pixels signs say which colours should grow and which should shrink.",
        finish=lambda gradient: gradient.clamp(min=0),
    ),
    network_mistake(
        "rest_of_the_gradient",
        "You cut at the pixels what is positive and kept the rest.",
        finish=lambda gradient: gradient.clamp(max=0),
    ),
    network_mistake(
        "size_at_the_pixels",
        "You took absolute values at the pixels. Their signs say which colours should grow and "
        "which should shrink; keep them.",
        finish=Tensor.abs,
    ),
    network_mistake(
        "nothing_passes",
        "Nothing comes through: your result is zero everywhere. Which part of the gradient should "
        "pass a ReLU on its way back?",
        lambda below, above: torch.zeros_like(below),
    ),
    network_mistake(
        "mask_sent_on",
        "Your hooks send on a mask of zeros and ones. What goes on is the gradient itself, where "
        "it is positive.",
        lambda below, above: (below > 0).float(),
    ),
    Mistake(
        "every_module",
        lambda model, x, classes: everywhere(model, x, classes),
        "Your rule works behind the convolutions too. Only ReLUs follow it: choose the modules "
        "that are of that kind.",
    ),
    network_mistake(
        "map",
        "You made a map of it, one number for each pixel. Keep the three colours and their signs.",
        finish=lambda gradient: gradient.abs().amax(1),
    ),
    *(
        network_mistake(name, SCORES[name][1].format(noun="gradient"), score=SCORES[name][0])
        for name in (
            *("softmax", "all_classes", "top_class", "first_class_for_all", "cross_entropy"),
            *("classes_of_all_images", "mean_over_all_pairs", "loss", "largest_of_batch"),
            *("first_image_only", "next_class"),
        )
    ),
    network_mistake(
        "mean_over_images",
        SCORES["mean_over_images"][1].format(noun="gradient"),
        score=SCORES["mean_over_images"][0],
    ),
)


# ------------------------------------------------------------------ pictures


def relu_case() -> Case:
    """What goes into one channel of SqueezeNet's first ReLU, and the panda's gradient there."""
    net, x = photos.network(), photos.seen().requires_grad_()
    with layers.capture(net, "conv1", "relu1") as seen:
        score = net(x)[0, net.index("giant panda")]
    above = torch.autograd.grad(score, seen["relu1"])[0]
    k = int(above[0].abs().mean((1, 2)).argmax())
    args = {"x": seen["conv1"].detach()[:, k].clone(), "gradient": above[:, k].clone()}
    return Case(args, "one channel of a photo")


def strength(result: Tensor) -> Tensor:
    return result[0].abs().amax(0)


register(
    Exercise(
        name="deconvnet_relu",
        lecture=LECTURE,
        title="The deconvnet rule",
        reference=guided.deconvnet_relu,
        cases=rule_cases,
        mistakes=DECONVNET_MISTAKES,
        result="a tensor of the gradient's shape",
        noun="gradient",
        axes=("image", "channel", "row", "column"),
        hints=("Which of the two arguments does this rule look at?",),
        picture=Picture(relu_case, first, True, "what one channel's ReLU sends back"),
    ),
    Exercise(
        name="guided_relu",
        lecture=LECTURE,
        title="The guided rule",
        reference=guided.guided_relu,
        cases=rule_cases,
        mistakes=GUIDED_MISTAKES,
        result="a tensor of the gradient's shape",
        noun="gradient",
        axes=("image", "channel", "row", "column"),
        hints=(
            "Two conditions must hold for a value to pass. One is about the forward input, one "
            "about the gradient.",
            "A comparison gives True and False; multiplied, they count as 1 and 0.",
        ),
        picture=Picture(relu_case, first, True, "what one channel's ReLU sends back"),
    ),
    Exercise(
        name="guided_gradient",
        lecture=LECTURE,
        title="A network under the guided rule",
        reference=guided.guided_gradient,
        cases=network_cases,
        mistakes=NETWORK_MISTAKES,
        result="one gradient (3,H,W) for each image, so (N,3,H,W)",
        noun="gradient",
        axes=("image", "colour", "row", "column"),
        hints=(
            "A hook of `register_full_backward_hook` is called with the module, the gradients of "
            "its inputs and of its outputs (both tuples), and may return other input gradients.",
            "The input gradient has passed the ReLU's own mask already. What is left of the rule?",
            "Hooks stay until their handle's `remove()` is called.",
        ),
        picture=Picture(photo_case, strength, False, "guided gradients of a giant panda"),
    ),
)
