"""Lecture 04's exercises: other ways to be right, and what is said of signs."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from course_utils import exercises
from course_utils.checking import judging, running
from course_utils.checking.core import RIGHT, WRONG
from course_utils.exercises import last_layer as module


def by_rule(projected):
    signs = [np.sign(column[np.abs(column).argmax()]) for column in projected.T]
    return torch.from_numpy(projected * np.array(signs))


def by_scipy(x, k):
    return torch.from_numpy(cdist(x, x).argsort(1)[:, 1 : k + 1].copy())


def by_sklearn(x, k):
    return NearestNeighbors(n_neighbors=k).fit(x.numpy()).kneighbors(return_distance=False)


def by_broadcasting(x, k):
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    return (d + 1e9 * torch.eye(len(x))).topk(k, largest=False)[1]


def by_covariance(x, components):
    centred = x - x.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    return by_rule((centred @ vectors.flip(1)[:, :components]).numpy())


def by_sklearn_pca(x, components):
    return by_rule(PCA(components).fit_transform(x.numpy()))


def in_double(x, components):
    centred = x.double() - x.double().mean(0)
    _, _, v = np.linalg.svd(centred.numpy(), full_matrices=False)
    return by_rule(centred.numpy() @ v[:components].T)


def by_comparing_words(neighbours, labels):
    words = np.array(labels)
    return (words[neighbours.numpy()] == words[:, None]).mean(1)


WAYS = [
    ("precision_at_k", by_comparing_words),
    *[("nearest_neighbours", f) for f in (by_scipy, by_sklearn, by_broadcasting)],
    *[("pca", f) for f in (by_covariance, by_sklearn_pca, in_double)],
]


def verdict(name, function, seed=0):
    exercise = exercises.get(name)
    cases = exercise.cases(seed)
    return judging.judge(exercise, cases, [running.run(function, case) for case in cases])


@pytest.mark.parametrize(("name", "function"), WAYS)
def test_other_ways_are_right_on_many_seeds(name, function):
    for seed in range(20):
        found = verdict(name, function, seed)
        assert found.state == RIGHT, (seed, found.reason)


def test_signs_of_any_other_routine_are_called_signs():
    def from_numpy(x, components):
        right = exercises.get("pca").reference(x, components)
        return right * torch.tensor([-1.0, 1.0, -1.0])[:components]

    found = verdict("pca", from_numpy)
    assert found.state == WRONG
    assert "sign" in found.reason


def test_transposed_projections_are_named():
    transposed = verdict("pca", lambda x, c: module.last_layer.pca(x, c).T)
    assert "the axes are in another order" in transposed.reason


def test_no_case_is_near_a_tie():
    for seed in range(20):
        for case in module.neighbour_cases(seed):
            x = case.args["x"]
            assert module.gap(module.squared(x)) > 1e-3
        for case in module.pca_cases(seed):
            assert module.clear(case.args["x"])
