"""Lecture 00's exercises: a layer's output by a hook, and the most probable classes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_utils import start_here
from course_utils.checking import drawing, networks, photos
from course_utils.checking.core import Case, Exercise, Mistake, NetworkSpec, Picture, register

LECTURE = "00_start_here"

LISTENED = (
    ("tiny_cnn", "features.conv2", 1, (8, 8)),
    ("tiny_cnn", "features.relu1", 3, (6, 9)),
    ("tiny_cnn", "features.conv2", 2, (7, 4)),
    ("tiny_cnn", "features.relu2", 2, (5, 8)),
    ("tiny_cnn", "head.pool", 2, (6, 6)),
    ("tiny_fork", "module.features.fork.right", 2, (6, 8)),
)
"""Network, layer, images and their size: none of them the first or the last layer."""


def capture_cases(seed: int) -> list[Case]:
    """Layers of a plain network, and one deep inside a network built as the zoo's are."""
    random = drawing.generator(seed, "capture_layer")
    found = []
    for name, layer, n, size in LISTENED:
        spec = drawing.network(random, name=name)
        x = drawing.images(random, spec, n, *size)
        several = f"{n} images" if n > 1 else "one image"
        note = f"the layer {layer!r} of {several}"
        found.append(Case({"model": spec, "x": x, "layer": layer}, note, repeat=n == 3))
    return found


def named_cases(seed: int) -> list[Case]:
    """One image, three images, and all the classes there are."""
    random = drawing.generator(seed, "top_classes")
    words = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
    found = []
    for n, classes, k in [(1, 6, 3), (3, 8, 4), (2, 5, 5)]:
        spec, x = _spread(random, classes, n)
        order = torch.randperm(len(words), generator=random).tolist()
        names = [words[i] for i in order[:classes]]
        note = f"{n} images and k={k}" if n > 1 else f"one image and k={k}"
        args = {"model": spec, "x": x, "names": names, "k": k}
        found.append(Case(args, note, repeat=n == 3))
    return found


def _spread(random: torch.Generator, classes: int, n: int) -> tuple[NetworkSpec, Tensor]:
    """A network and images whose probabilities are so far apart that wrong answers differ."""
    while True:
        spec = drawing.network(random, classes)
        x = torch.randn(24, 3, 8, 8, generator=random)
        p = networks.build(spec)(x).softmax(1).sort(dim=1).values
        good = (p.diff(dim=1).amin(1) > 5e-4) & (p[:, -1] < 0.95)
        if good.sum() >= n:
            return spec, x[good][:n]


def keep(model: nn.Module, x: Tensor, module: nn.Module, what: Callable) -> Tensor:
    """What a hook on a module picks from (inputs, output)."""
    kept = []
    take = lambda m, args, output: kept.append(what(args, output))  # noqa: E731
    handle = module.register_forward_hook(take)
    with torch.no_grad():
        model(x)
    handle.remove()
    return kept[0]


def leaves(model: nn.Module) -> list[str]:
    """The layers that hold no others, in forward order."""
    return [name for name, part in model.named_modules() if not list(part.children())]


def after(model: nn.Module, layer: str) -> str:
    """The layer that comes next."""
    every = leaves(model)
    return every[every.index(layer) + 1]


def output_of(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    return keep(model, x, model.get_submodule(layer), lambda args, output: output)


CAPTURE_MISTAKES = (
    Mistake(
        "input_kept",
        lambda model, x, layer: keep(model, x, model.get_submodule(layer), lambda a, o: a[0]),
        "This is what goes *into* the layer, not what comes out of it. A forward hook is handed "
        "both; look at the order of its arguments.",
    ),
    Mistake(
        "next_layer",
        lambda model, x, layer: output_of(model, x, after(model, layer)),
        "This is the output of the layer *after* the one that was asked for.",
    ),
    Mistake(
        "network_output",
        lambda model, x, layer: model(x),
        "You return the output of the whole network. The hook has seen what you want while the "
        "network ran; hand out what it kept.",
    ),
    Mistake(
        "always_first_layer",
        lambda model, x, layer: output_of(model, x, leaves(model)[0]),
        "You return the output of the first layer, whatever `layer` says. Use the name to find the "
        "module.",
    ),
    Mistake(
        "always_last_feature_layer",
        lambda model, x, layer: output_of(model, x, leaves(model)[-4]),
        "You return the output of the last layer before the pooling, whatever `layer` says. Use "
        "the name to find the module.",
    ),
    Mistake(
        "first_image_only",
        lambda model, x, layer: output_of(model, x, layer)[0],
        "You return the output for the first image only. Keep the axis of the batch, even when "
        "there is a single image in it.",
    ),
    Mistake(
        "first_image_kept_as_batch",
        lambda model, x, layer: output_of(model, x, layer)[:1],
        "Only the first image of the batch is in your result. The hook sees them all at once.",
    ),
    Mistake(
        "mean_over_positions",
        lambda model, x, layer: output_of(model, x, layer).mean((2, 3)),
        "You averaged every channel over its positions. The layer's output is asked for as it is, "
        "rows and columns included.",
    ),
    Mistake(
        "mean_over_channels",
        lambda model, x, layer: output_of(model, x, layer).mean(1),
        "You averaged over the channels. The layer's output is asked for as it is, with every "
        "channel.",
    ),
    Mistake(
        "mean_over_images",
        lambda model, x, layer: output_of(model, x, layer).mean(0, keepdim=True),
        "You averaged over the images of the batch. Each image has an output of its own.",
    ),
    Mistake(
        "flattened",
        lambda model, x, layer: output_of(model, x, layer).flatten(1),
        "You flattened the output. The numbers are right, but where each one lies in the image is "
        "lost; keep channels, rows and columns.",
    ),
    Mistake(
        "in_a_list",
        lambda model, x, layer: [output_of(model, x, layer)],
        "You return the list in which the hook kept the output. Asked for is the output itself: "
        "take it out of the list.",
    ),
    Mistake(
        "with_the_logits",
        lambda model, x, layer: (output_of(model, x, layer), model(x)),
        "You return two things, the layer's output and the network's. Only the first was asked "
        "for.",
    ),
    Mistake(
        "weights_of_the_layer",
        lambda model, x, layer: dict(model.get_submodule(layer).named_parameters()).get("weight"),
        "These are the layer's weights, which are the same for every image. Asked for is what the "
        "layer puts out for these images.",
    ),
    Mistake(
        "relu_on_top",
        lambda model, x, layer: output_of(model, x, layer).relu(),
        "Negative values are cut to zero, as if a ReLU had come after the layer. Before it, a "
        "negative answer is an answer.",
    ),
)


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x)


def ranked(scores: Tensor, names: Sequence[str], k: int, largest: bool = True) -> list:
    best = scores.topk(k, dim=1, largest=largest)
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [[(names[i], v) for i, v in zip(*row, strict=True)] for row in rows]


def from_scores(name: str, scores: Callable[[Tensor], Tensor], sentence: str) -> Mistake:
    """A mistake that ranks the wrong numbers."""
    return Mistake(
        name, lambda model, x, names, k: ranked(scores(logits_of(model, x)), names, k), sentence
    )


def from_ranks(name: str, change: Callable[[list, Sequence[str], Tensor, int], object], sentence):
    """A mistake that has the right probabilities and hands them out wrongly."""

    def mistake(model: nn.Module, x: Tensor, names: Sequence[str], k: int) -> object:
        p = logits_of(model, x).softmax(1)
        return change(ranked(p, names, k), names, p, k)

    return Mistake(name, mistake, sentence)


TOP_MISTAKES = (
    from_scores(
        "logits",
        lambda logits: logits,
        "The classes are right, but their numbers are the network's raw scores (logits). Softmax "
        "turns the scores of an image into probabilities that add up to 1.",
    ),
    from_scores(
        "softmax_over_images",
        lambda logits: logits.softmax(0),
        "Softmax ran over the images instead of the classes: your numbers compare images with one "
        "another. Each image's own probabilities add up to 1.",
    ),
    from_scores(
        "softmax_over_everything",
        lambda logits: logits.flatten().softmax(0).reshape(logits.shape),
        "Softmax ran over the whole batch at once, so that all images share one sum of 1. Each "
        "image's own probabilities add up to 1.",
    ),
    from_scores(
        "softmax_twice",
        lambda logits: logits.softmax(1).softmax(1),
        "Softmax was applied twice. The second one takes probabilities for scores and makes them "
        "all nearly equal.",
    ),
    from_scores(
        "log_softmax",
        lambda logits: logits.log_softmax(1),
        "The classes are right, but their numbers are logarithms of the probabilities. A "
        "probability lies between 0 and 1.",
    ),
    from_scores(
        "sigmoid",
        lambda logits: logits.sigmoid(),
        "You used the sigmoid, which judges every class for itself. Here exactly one class is "
        "meant to be true, so the probabilities of an image share a sum of 1: softmax.",
    ),
    from_scores(
        "percent",
        lambda logits: 100 * logits.softmax(1),
        "Your numbers are percentages. The exercise asks for probabilities from 0 to 1.",
    ),
    from_scores(
        "log_of_softmax_base_ten",
        lambda logits: logits.softmax(1).log10(),
        "The classes are right, but their numbers are logarithms of the probabilities, to the base "
        "of ten. A probability lies between 0 and 1.",
    ),
    from_scores(
        "divided_by_sum",
        lambda logits: logits / logits.sum(1, keepdim=True),
        "You divided the scores by their sum. Scores may be negative, so that is no probability: "
        "softmax takes their exponentials first.",
    ),
    from_scores(
        "exponentials",
        lambda logits: logits.exp(),
        "Your numbers are the exponentials of the scores. Divided by their sum over all classes "
        "they become probabilities.",
    ),
    from_ranks(
        "rounded",
        lambda rows, names, p, k: [[(n, round(v, 2)) for n, v in row] for row in rows],
        "Your probabilities are rounded to two digits. Rounding belongs where they are shown; hand "
        "them on as they are.",
    ),
    from_ranks(
        "two_tensors",
        lambda rows, names, p, k: tuple(p.topk(k)),
        "You return what `topk` gives: two tensors, values and indices. Make a list for each image "
        "of them, of pairs (name, probability).",
    ),
    from_ranks(
        "two_lists",
        lambda rows, names, p, k: [[[n for n, _ in row], [v for _, v in row]] for row in rows],
        "For each image you return a list of names and a list of probabilities. Asked for are "
        "pairs: each name with its own probability.",
    ),
    from_ranks(
        "rank_by_rank",
        lambda rows, names, p, k: [list(rank) for rank in zip(*rows, strict=True)],
        "Your outer list runs over the ranks: all first classes, all second ones. It should run "
        "over the images.",
    ),
    from_ranks(
        "one_list_for_all",
        lambda rows, names, p, k: [pair for row in rows for pair in row],
        "You return one list with the pairs of all images. Each image should have a list of its "
        "own.",
    ),
    from_ranks(
        "mean_of_all_images",
        lambda rows, names, p, k: ranked(p.mean(0, keepdim=True), names, k) * len(rows),
        "You averaged the probabilities over the images. Each image is judged for itself.",
    ),
    from_ranks(
        "least_probable",
        lambda rows, names, p, k: ranked(p, names, k, largest=False),
        "You return the least probable classes: the sorting runs upwards.",
    ),
    from_ranks(
        "ascending",
        lambda rows, names, p, k: [row[::-1] for row in rows],
        "The classes are the right ones, but the most probable comes last. Put it first.",
    ),
    from_ranks(
        "not_sorted",
        lambda rows, names, p, k: [sorted(row, key=lambda r: names.index(r[0])) for row in rows],
        "The classes are the right ones, but in the order of their indices. The most probable "
        "comes first.",
    ),
    from_ranks(
        "alphabetical",
        lambda rows, names, p, k: [sorted(row) for row in rows],
        "The classes are the right ones, but in the order of the alphabet. The most probable comes "
        "first.",
    ),
    from_ranks(
        "first_classes",
        lambda rows, names, p, k: [[(names[i], row[i].item()) for i in range(k)] for row in p],
        "You return the first k classes of the list of names, not the k most probable ones.",
    ),
    from_ranks(
        "first_image_only",
        lambda rows, names, p, k: rows[0],
        "You return the pairs of the first image alone. The result is a list with one entry for "
        "each image, even when there is only one.",
    ),
    from_ranks(
        "first_image_repeated",
        lambda rows, names, p, k: [rows[0]] * len(rows),
        "Every image gets the classes of the first one.",
    ),
    from_ranks(
        "shares_of_the_k",
        lambda rows, names, p, k: [
            [(n, v / sum(q for _, q in row)) for n, v in row] for row in rows
        ],
        "Your k probabilities add up to 1. Softmax goes over *all* classes; the k best have "
        "what they have, and the rest belongs to the others.",
    ),
    from_ranks(
        "indices",
        lambda rows, names, p, k: [[(names.index(n), v) for n, v in row] for row in rows],
        "You return the numbers of the classes. `names` turns a number into a name.",
    ),
    from_ranks(
        "swapped",
        lambda rows, names, p, k: [[(v, n) for n, v in row] for row in rows],
        "The pairs are the wrong way round: first the name, then the probability.",
    ),
    from_ranks(
        "names_only",
        lambda rows, names, p, k: [[n for n, _ in row] for row in rows],
        "You return the names without their probabilities. How sure the network is belongs to its "
        "answer.",
    ),
    from_ranks(
        "names_in_wrong_order",
        lambda rows, names, p, k: [[(names[i], v) for i, (_, v) in enumerate(row)] for row in rows],
        "The probabilities are right and in order, but the names are simply the first k of the "
        "list. Sorting must take each class's index along.",
    ),
)


def photo_case() -> Case:
    """The panda, and a layer near the beginning."""
    return photos.case(layer="module.features.3")


def channel_mean(result: Tensor) -> Tensor:
    return result[0].mean(0)


register(
    Exercise(
        name="capture_layer",
        lecture=LECTURE,
        title="A layer's output",
        reference=start_here.capture_layer,
        cases=capture_cases,
        mistakes=CAPTURE_MISTAKES,
        result="the layer's output for all images",
        noun="result",
        axes=("image", "channel", "row", "column"),
        hints=(
            "`dict(model.named_modules())` finds a module by its dotted name.",
            "A forward hook is a function that PyTorch calls with (module, inputs, output) each "
            "time the module has run. Let it put the output where you find it again.",
            "`register_forward_hook` returns a handle; whoever hangs up a hook also takes it down.",
        ),
        tolerance=1e-4,
        picture=Picture(
            photo_case, channel_mean, False, "the mean over the channels of a layer, for a panda"
        ),
    ),
    Exercise(
        name="top_classes",
        lecture=LECTURE,
        title="The most probable classes",
        reference=start_here.top_classes,
        cases=named_cases,
        mistakes=TOP_MISTAKES,
        result="for each image a list of k pairs (name, probability)",
        noun="list",
        axes=("image", "place"),
        parts=("names", "probabilities"),
        hints=(
            "Probabilities of one image add up to 1: over which axis does softmax have to go?",
            "`topk` gives the largest values and where they were.",
            "`.tolist()` turns a tensor into Python numbers.",
        ),
        tolerance=1e-4,
    ),
)
