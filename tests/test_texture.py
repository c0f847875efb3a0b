import pytest
import torch

from course_utils import texture


def features(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_is_the_mean_of_outer_products_in_both_layouts(layout):
    f = features(2, 3, 4, 5).to(memory_format=layout)
    for one, g in zip(f, texture.gram(f), strict=True):
        outer = sum(torch.outer(one[:, i, j], one[:, i, j]) for i in range(4) for j in range(5))
        torch.testing.assert_close(g, outer / 20)


def test_gram_knows_no_places():
    f = features(1, 3, 4, 5)
    moved = f.flatten(2)[..., torch.randperm(20, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(texture.gram(moved.reshape(1, 3, 5, 4)), texture.gram(f))


def test_gram_after_a_relu_has_no_negative_entry_but_the_covariance_does():
    f = features(1, 6, 5, 5).relu()
    assert texture.gram(f).min() >= 0
    assert texture.covariance(f).min() < 0


def test_covariance_is_that_of_the_columns():
    f = features(2, 3, 4, 5)
    for one, c in zip(f.flatten(2), texture.covariance(f), strict=True):
        torch.testing.assert_close(c, torch.cov(one, correction=0))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 0, 5)])
def test_other_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"features: shape .*accepted: \(N,C,H,W\)"):
        texture.gram(torch.zeros(shape))
