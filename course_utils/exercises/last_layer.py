"""Lecture 04's exercises: nearest neighbours, precision@k, principal component analysis."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils import last_layer
from course_utils.checking import drawing
from course_utils.checking.core import Case, Exercise, Mistake, register

LECTURE = "04_last_layer"


def squared(x: Tensor) -> Tensor:
    """|x_i - x_j|^2 by the definition, (N,N)."""
    return (x[:, None] - x).square().sum(2)


def gap(distances: Tensor) -> float:
    """The smallest step in any row of sorted distances, as a share of their mean."""
    steps = distances.sort(1).values.diff(dim=1)
    return (steps[:, 1:].min() / distances.mean()).item()


def neighbour_cases(seed: int) -> list[Case]:
    """Five, seven and nine vectors of unequal lengths; no two distances nearly equal."""
    random = drawing.generator(seed, "nearest_neighbours")
    shapes = [(7, 4, 2), (5, 6, 1), (9, 3, 4)]
    notes = ["seven vectors and k = 2", "five vectors and k = 1", "nine vectors and k = 4"]
    found = []
    for (n, width, k), note in zip(shapes, notes, strict=True):
        while True:
            x = torch.randn(n, width, generator=random)
            x = (x + 0.5) * (0.5 + torch.rand(n, 1, generator=random))
            if gap(squared(x)) > 1e-3:
                break
        found.append(Case({"x": x, "k": k}, note, repeat=n == 5))
    return found


# ------------------------------------------------------------------ neighbours, right and wrong


def ranked(score: Callable[[Tensor], Tensor], largest: bool = False, skip: bool = True) -> Callable:
    """Neighbours by any matrix of scores, the query itself left out or not."""

    def neighbours(x: Tensor, k: int) -> Tensor:
        matrix = score(x).clone()
        if skip:
            matrix.fill_diagonal_(-torch.inf if largest else torch.inf)
        return matrix.topk(k, largest=largest).indices

    return neighbours


def cosine(x: Tensor) -> Tensor:
    x = x / x.norm(dim=1, keepdim=True)
    return x @ x.T


def norms(x: Tensor) -> Tensor:
    return x.square().sum(1)


NEIGHBOUR_MISTAKES = (
    Mistake(
        "itself",
        ranked(squared, skip=False),
        "Each vector is its own first neighbour: its distance to itself is 0, and nothing beats "
        "that. Leave the query out before you choose.",
    ),
    Mistake(
        "farthest",
        ranked(squared, largest=True),
        "These are the *farthest* vectors. A small distance means near; `topk` takes the largest "
        "values unless it is told otherwise.",
    ),
    Mistake(
        "dot_product",
        ranked(lambda x: x @ x.T, largest=True),
        "You ranked by the dot product. It favours long vectors, however far away they point: the "
        "distance needs their squared lengths as well.",
    ),
    Mistake(
        "cosine",
        ranked(cosine, largest=True),
        "You ranked by the angle (cosine similarity). A good measure, and the lecture uses it by "
        "making its vectors unit length first; here the lengths count.",
    ),
    Mistake(
        "factor_two",
        ranked(lambda x: norms(x)[:, None] + norms(x) - x @ x.T),
        "The product of the two vectors counts twice in the squared distance: think of the "
        "middle term when you expand the square of a difference.",
    ),
    Mistake(
        "plus_product",
        ranked(lambda x: norms(x)[:, None] + norms(x) + 2 * x @ x.T),
        "A sign is wrong: you have the squared length of the *sum* of two vectors. The middle term "
        "of a difference is negative.",
    ),
    Mistake(
        "lengths_not_squared",
        ranked(lambda x: x.norm(dim=1)[:, None] + x.norm(dim=1) - 2 * x @ x.T),
        "You added the lengths of the vectors; the squared distance has their *squared* lengths.",
    ),
    Mistake(
        "manhattan",
        ranked(lambda x: (x[:, None] - x).abs().sum(2)),
        "You added the absolute differences (city-block distance). The Euclidean distance squares "
        "them, so that one large difference weighs more than several small ones.",
    ),
    Mistake(
        "signed_sum",
        ranked(lambda x: (x[:, None] - x).sum(2).abs()),
        "You added the differences with their signs, where plus and minus cancel. Square each "
        "difference before adding.",
    ),
    Mistake(
        "farthest_first",
        lambda x, k: ranked(squared)(x, k).flip(1),
        "The right neighbours in the wrong order: the nearest should come first.",
    ),
    Mistake(
        "distances",
        lambda x, k: squared(x).fill_diagonal_(torch.inf).topk(k, largest=False).values.sqrt(),
        "You return the distances. Asked for is *who* the neighbours are: their row numbers.",
    ),
    Mistake(
        "squared_distances",
        lambda x, k: squared(x).fill_diagonal_(torch.inf).topk(k, largest=False).values,
        "You return squared distances. Asked for is *who* the neighbours are: their row numbers.",
    ),
    Mistake(
        "chebyshev",
        ranked(lambda x: (x[:, None] - x).abs().amax(2)),
        "You compared the largest single difference. The Euclidean distance adds up the squares of "
        "all of them.",
    ),
    Mistake(
        "centred_products",
        ranked(lambda x: (x - x.mean(0)) @ (x - x.mean(0)).T, largest=True),
        "You ranked by the product of the centred vectors. It favours long ones: the distance "
        "needs their squared lengths as well.",
    ),
    Mistake(
        "counted_from_one",
        lambda x, k: ranked(squared)(x, k) + 1,
        "Your row numbers are one too high: rows count from 0, as Python does.",
    ),
    Mistake(
        "distances_and_indices",
        lambda x, k: tuple(squared(x).fill_diagonal_(torch.inf).topk(k, largest=False)),
        "You return two things, values and indices. Only the indices are asked for.",
    ),
    Mistake(
        "roots_and_indices",
        lambda x, k: (
            (found := squared(x).fill_diagonal_(torch.inf).topk(k, largest=False)).values.sqrt(),
            found.indices,
        ),
        "You return two things, distances and indices. Only the indices are asked for.",
    ),
    Mistake(
        "farthest_with_infinity",
        lambda x, k: squared(x).fill_diagonal_(torch.inf).topk(k).indices,
        "Each vector comes first among its own neighbours, and the farthest follow: infinity on "
        "the diagonal is the *largest* value, and so you chose the largest ones.",
    ),
    Mistake(
        "first_row_for_all",
        lambda x, k: ranked(squared)(x, k)[:1].expand(len(x), -1),
        "Every row has the neighbours of the first vector. Each vector asks for its own.",
    ),
    Mistake(
        "one_too_many",
        lambda x, k: squared(x).argsort(1)[:, : k + 1],
        "One neighbour too many, and the first is the vector itself. You made room for it; now "
        "leave it out.",
    ),
    Mistake(
        "nearest_skipped",
        lambda x, k: squared(x).argsort(1)[:, 2 : k + 2],
        "The nearest neighbour is missing: you left out the first of the sorted vectors twice. "
        "Only the query itself has to go.",
    ),
)


# ------------------------------------------------------------------ precision, right and wrong


def precision_cases(seed: int) -> list[Case]:
    """Neighbours among nine, six and eight photos; wrong answers are all told apart."""
    random = drawing.generator(seed, "precision_at_k")
    notes = ["nine photos and k = 3", "six photos and k = 1", "eight photos and k = 4"]
    while True:
        drawn = [_photos(random, n, k) for n, k in ((9, 3), (6, 1), (8, 4))]
        given = list(drawn[0].values())
        answers = [m.function(*given) for m in PRECISION_MISTAKES]
        answers = {tuple(a.flatten().tolist()) for a in (*answers, hits(*given).mean(1))}
        if len(answers) == len(PRECISION_MISTAKES) + 1:
            break
    return [Case(args, note) for args, note in zip(drawn, notes, strict=True)]


def _photos(random: torch.Generator, n: int, k: int) -> dict[str, object]:
    """Neighbours of random vectors, and a label for each: three labels, unequally often."""
    words = ("fish", "fish", "tool", "tool", "animal")
    chosen = torch.randint(len(words), (n,), generator=random).tolist()
    near = ranked(squared)(torch.randn(n, 4, generator=random), k)
    return {"neighbours": near, "labels": [words[i] for i in chosen]}


def indices(labels: list[str]) -> Tensor:
    """A number for each label."""
    return torch.tensor([sorted(set(labels)).index(label) for label in labels])


def hits(neighbours: Tensor, labels: list[str]) -> Tensor:
    """1 where a neighbour has the photo's label, (N,k)."""
    index = indices(labels)
    return (index[neighbours] == index[:, None]).float()


def recall(neighbours: Tensor, labels: list[str]) -> Tensor:
    """The share of the other photos of the label that were found."""
    others = torch.tensor([labels.count(label) - 1 for label in labels])
    return hits(neighbours, labels).sum(1) / others.clamp(min=1)


def majority(neighbours: Tensor, labels: list[str]) -> Tensor:
    """1 where the neighbours' most frequent label is the photo's."""
    index = indices(labels)
    return (index[neighbours].mode(1).values == index).float()


def among_themselves(neighbours: Tensor, labels: list[str]) -> Tensor:
    """The share of neighbours that have the first neighbour's label."""
    found = indices(labels)[neighbours]
    return (found == found[:, :1]).float().mean(1)


PRECISION_MISTAKES = (
    Mistake(
        "count",
        lambda near, labels: hits(near, labels).sum(1),
        "You counted the right neighbours. A share compares across different k: divide by how many "
        "neighbours were looked at.",
    ),
    Mistake(
        "mean_of_all",
        lambda near, labels: hits(near, labels).mean(),
        "You averaged over the photos as well. Give one number for each photo; the mean of them "
        "all comes later.",
    ),
    Mistake(
        "mean_over_photos",
        lambda near, labels: hits(near, labels).mean(0),
        "You averaged down the columns: that is one number for the first neighbours, one for the "
        "second ones, and so on. Each *photo* asks for its own share.",
    ),
    Mistake(
        "not_averaged",
        hits,
        "You say for every neighbour whether it is right. What is missing is the share of right "
        "ones in each row.",
    ),
    Mistake(
        "any",
        lambda near, labels: hits(near, labels).amax(1),
        "You give 1 where at least one neighbour is right. That is a hit rate; precision is the "
        "share of the neighbours that are right.",
    ),
    Mistake(
        "majority",
        majority,
        "You let the neighbours vote and compare the winner. That is a classifier; precision "
        "counts every single neighbour.",
    ),
    Mistake(
        "first_only",
        lambda near, labels: hits(near, labels)[:, 0],
        "Only the nearest neighbour counts in your answer: precision@1. All k neighbours do.",
    ),
    Mistake(
        "wrong_share",
        lambda near, labels: 1 - hits(near, labels).mean(1),
        "This is the share of neighbours with *another* label.",
    ),
    Mistake(
        "percent",
        lambda near, labels: 100 * hits(near, labels).mean(1),
        "Your numbers are percentages. The share is between 0 and 1.",
    ),
    Mistake(
        "nothing_right",
        lambda near, labels: torch.zeros(len(labels)),
        "All your shares are 0. Did you compare row numbers, instead of the labels that they lead "
        "to?",
    ),
    Mistake(
        "labels_of_first_rows",
        lambda near, labels: (
            (indices(labels)[: near.shape[1]] == indices(labels)[:, None]).float().mean(1)
        ),
        "You compare with the labels of the first rows. The neighbours are given by their row "
        "numbers: look their labels up with those.",
    ),
    Mistake(
        "one_neighbour_more",
        lambda near, labels: hits(near, labels).sum(1) / (near.shape[1] + 1),
        "You divided by one more than there are neighbours.",
    ),
    Mistake(
        "first_left_out",
        lambda near, labels: hits(near, labels)[:, 1:].sum(1) / near.shape[1],
        "You skipped the first neighbour, perhaps as the photo itself. The photo is not in its own "
        "row.",
    ),
    Mistake(
        "itself_counted",
        lambda near, labels: (hits(near, labels).sum(1) + 1) / (near.shape[1] + 1),
        "You counted the photo itself as one of its neighbours. It is not in its row, and always "
        "being right it makes every answer better than it is.",
    ),
    Mistake(
        "recall",
        recall,
        "You divided by how many other photos have the label. That is *recall*: which share of "
        "them was found. Precision divides by how many neighbours were looked at.",
    ),
    Mistake(
        "among_themselves",
        among_themselves,
        "You compared the neighbours with the first of them. Compare them with the photo whose row "
        "it is.",
    ),
    Mistake(
        "divided_by_photos",
        lambda near, labels: hits(near, labels).sum(1) / len(labels),
        "You divided by the number of all photos. Only k neighbours were looked at.",
    ),
)


# ------------------------------------------------------------------ PCA, right and wrong


def svd(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.linalg.svd(x, full_matrices=False)


def centre(x: Tensor) -> Tensor:
    return x - x.mean(0)


def by_rule(projected: Tensor) -> Tensor:
    """The sign rule: in each column the largest entry in size is positive."""
    largest = projected.gather(0, projected.abs().argmax(0, keepdim=True))
    return projected * torch.where(largest < 0, -1.0, 1.0)


def scores(x: Tensor) -> Tensor:
    """All projections on the directions of the centred vectors, with arbitrary signs."""
    u, s, _ = svd(centre(x))
    return u * s


def by_direction(x: Tensor, components: int) -> Tensor:
    """The sign rule applied to the directions instead of the projections."""
    _, _, v = svd(centre(x))
    return centre(x) @ by_rule(v[:components].T)


def summed(x: Tensor, components: int) -> Tensor:
    """Another rule: the projections' entry in the first row is positive."""
    projected = scores(x)[:, :components]
    return projected * torch.where(projected[:1] < 0, -1.0, 1.0)


def pattern(answer: Callable, x: Tensor, components: int) -> list[bool]:
    """In which columns a choice of signs agrees with the rule."""
    right = by_rule(scores(x))[:, :components]
    return (answer(x, components) * right).sum(0).gt(0).tolist()


def one_sign(x: Tensor, components: int) -> Tensor:
    """One sign for the whole table: that of its largest entry."""
    projected = raw(x, components)
    return -projected if -projected.amin() > projected.amax() else projected


def raw(x: Tensor, components: int) -> Tensor:
    """The projections with the signs that the decomposition happens to give."""
    return scores(x)[:, :components]


def opposite(x: Tensor, components: int) -> Tensor:
    return -by_rule(raw(x, components))


def clear(x: Tensor) -> bool:
    """Whether the components, and the sign of each, could not be taken for another."""
    values = svd(centre(x))[1]
    spread = (values[:-1] - values[1:]).min() / values[0]
    sizes = scores(x).abs().sort(0).values
    lead = ((sizes[-1] - sizes[-2]) / sizes[-1]).min()
    return bool(spread > 0.08 and values[-1] / values[0] > 0.1 and lead > 0.05)


def pca_cases(seed: int) -> list[Case]:
    """Vectors away from zero, wide and tall; wrong choices of signs are all told apart."""
    random = drawing.generator(seed, "pca")
    shapes = [(8, 5, 2), (12, 6, 3), (9, 4, 1)]
    notes = ["eight vectors and 2 components", "twelve vectors and 3 components", "one component"]
    while True:
        drawn = [_vectors(random, n, width) for n, width, _ in shapes]
        signs = [
            sum((pattern(a, x, c) for x, (_, _, c) in zip(drawn, shapes, strict=True)), [])
            for a in (raw, opposite, by_direction, summed, one_sign)
        ]
        if len({tuple(one) for one in signs}) == len(signs) and not any(map(all, signs)):
            break
    return [
        Case({"x": x, "components": c}, note, repeat=n == 12)
        for x, (n, _, c), note in zip(drawn, shapes, notes, strict=True)
    ]


def _vectors(random: torch.Generator, n: int, width: int) -> Tensor:
    while True:
        stretch = torch.linspace(3, 0.8, width)[torch.randperm(width, generator=random)]
        offset = 2 * torch.randn(width, generator=random)
        x = torch.randn(n, width, generator=random) * stretch + offset
        if clear(x):
            return x


def from_projections(name: str, make: Callable, sentence: str) -> Mistake:
    """A mistake whose signs follow the rule: `make(x, components)` before them."""
    return Mistake(name, lambda x, components: by_rule(make(x, components)), sentence)


PCA_MISTAKES = (
    from_projections(
        "not_centred",
        lambda x, c: (svd(x)[0] * svd(x)[1])[:, :c],
        "The mean was not subtracted. Your first direction points from zero to the middle of the "
        "vectors, not along their largest spread.",
    ),
    from_projections(
        "projected_uncentred",
        lambda x, c: x @ svd(centre(x))[2][:c].T,
        "The directions are right, but you projected the vectors themselves. Their mean has to be "
        "subtracted there too, so that every component has mean 0.",
    ),
    from_projections(
        "rows_centred",
        lambda x, c: (svd(x - x.mean(1, keepdim=True))[0] * svd(x - x.mean(1, keepdim=True))[1])[
            :, :c
        ],
        "You subtracted from each vector the mean of its own numbers. What has to go is the mean "
        "*vector*: one mean for each column, over all rows.",
    ),
    from_projections(
        "one_mean_for_all",
        lambda x, c: (lambda u, s, v: (u * s)[:, :c])(*svd(x - x.mean())),
        "You subtracted a single number, the mean of the whole table. What has to go is the mean "
        "*vector*: one mean for each column, over all rows.",
    ),
    from_projections(
        "largest_last",
        lambda x, c: raw(x, c).flip(1),
        "These are the right components in the wrong order: the largest variance comes first. Some "
        "routines sort from the smallest up.",
    ),
    from_projections(
        "divided_by_root_of_n",
        lambda x, c: raw(x, c) / len(x) ** 0.5,
        "Everything is divided by the root of N. That belongs to the standard deviation along a "
        "component, not to the projections.",
    ),
    from_projections(
        "one_too_many",
        lambda x, c: raw(x, c + 1),
        "There is one component too many: as many as `components` says.",
    ),
    from_projections(
        "second_first",
        lambda x, c: raw(x, c + 1)[:, 1:],
        "Your first component is the second: the one of the largest variance is left out.",
    ),
    from_projections(
        "smallest_first",
        lambda x, c: scores(x).flip(1)[:, :c],
        "These are the components of the *smallest* variance. Check in which order your "
        "decomposition sorts: some routines give the smallest first.",
    ),
    from_projections(
        "wrong_axis",
        lambda x, c: centre(x) @ svd(centre(x))[2][:, :c],
        "You took columns where the directions are rows: the decomposition returns V already "
        "transposed, one direction in each row.",
    ),
    from_projections(
        "no_singular_values",
        lambda x, c: svd(centre(x))[0][:, :c],
        "The singular values are missing, so all components have the same spread. The first "
        "should be the widest: that is its claim to be the first.",
    ),
    from_projections(
        "unit_variance",
        lambda x, c: raw(x, c) / raw(x, c).std(0),
        "Each of your components is scaled to standard deviation 1 (whitened). Projections keep "
        "their size; the first has the largest variance.",
    ),
    from_projections(
        "standardised",
        lambda x, c: raw(x / x.std(0), c),
        "You divided each column by its standard deviation first. Then every column counts the "
        "same, and the directions of large variance are gone.",
    ),
    from_projections(
        "squared_singular_values",
        lambda x, c: (svd(centre(x))[0] * svd(centre(x))[1] ** 2)[:, :c],
        "You multiplied by the squared singular values. Those are the variances (times N - 1); a "
        "projection is as long as the singular value itself.",
    ),
    from_projections(
        "divided_by_root",
        lambda x, c: raw(x, c) / (len(x) - 1) ** 0.5,
        "Everything is divided by the root of N - 1. That belongs to the standard deviation along "
        "a component, not to the projections.",
    ),
    from_projections(
        "reconstructed",
        lambda x, c: raw(x, c) @ svd(centre(x))[2][:c],
        "You went back to the original coordinates: this is the best approximation with so few "
        "components. Asked for are the projections themselves.",
    ),
    from_projections(
        "all_components",
        lambda x, c: scores(x),
        "You return all the components. Keep the first few: as many as `components` says.",
    ),
    from_projections(
        "directions",
        lambda x, c: svd(centre(x))[2][:c].T,
        "These are the directions, one number for each column of `x`. Asked for is where each "
        "*vector* lies along them.",
    ),
    Mistake(
        "opposite_signs",
        opposite,
        "Right but for the sign: in each column the entry that is largest in size should be "
        "positive, and yours is negative.",
    ),
    Mistake(
        "absolute",
        lambda x, c: raw(x, c).abs(),
        "You took absolute values. The rule turns a whole column round or leaves it; within a "
        "column some entries are negative.",
    ),
    Mistake(
        "one_sign_for_all",
        one_sign,
        "Right but for the signs. You looked at the largest entry of the whole table; each column "
        "has its own.",
    ),
    Mistake(
        "no_sign_rule",
        raw,
        "Right but for the signs. A direction may point either way and routines differ in their "
        "choice, so here a rule decides: the entry that is largest in size is positive.",
    ),
    Mistake(
        "sign_by_direction",
        by_direction,
        "Right but for the signs. You applied the rule to the directions; it is the largest entry "
        "of each column of *projections* that should be positive.",
    ),
    Mistake(
        "sign_by_first_row",
        summed,
        "Right but for the signs. You made the first row positive; the rule looks at the entry of "
        "each column that is largest in size, wherever it stands.",
    ),
)


register(
    Exercise(
        name="nearest_neighbours",
        lecture=LECTURE,
        title="k nearest neighbours",
        reference=last_layer.nearest_neighbours,
        cases=neighbour_cases,
        mistakes=NEIGHBOUR_MISTAKES,
        result="the row numbers (N,k) of the k nearest other vectors, the nearest first",
        noun="result",
        axes=("vector", "place"),
        hints=(
            "Expand the square of a difference: three terms, and one of them is a product of "
            "matrices.",
            "One term has a value for each row, one for each column, and one for each pair. "
            "Broadcasting adds them.",
            "What stands on the diagonal of the distances, and what would keep it from being "
            "chosen?",
        ),
    ),
    Exercise(
        name="precision_at_k",
        lecture=LECTURE,
        title="Precision@k",
        reference=last_layer.precision_at_k,
        cases=precision_cases,
        mistakes=PRECISION_MISTAKES,
        result="one share for each photo, so (N,), from 0 to 1",
        noun="result",
        axes=("photo",),
        hints=(
            "A row of `neighbours` holds row numbers: whose label does each of them lead to?",
            "Right or wrong, 1 or 0, for each neighbour: what is the mean of these?",
        ),
    ),
    Exercise(
        name="pca",
        lecture=LECTURE,
        title="Principal component analysis",
        reference=last_layer.pca,
        cases=pca_cases,
        mistakes=PCA_MISTAKES,
        result="the projections (N,components), the component of the largest variance first",
        noun="result",
        axes=("vector", "component"),
        hints=(
            "Which vector has to be subtracted before the decomposition, and over which axis is "
            "it a mean?",
            "Two of the three parts of the decomposition give the projections; the third holds "
            "the directions.",
            "For the signs: find in each column the entry that is largest in size, and look at "
            "its sign.",
        ),
    ),
)
