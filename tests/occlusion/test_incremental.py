"""Exact incremental recomputation: equal to running whole pictures."""

import pytest
import torch
from torch import nn
from torch.nn import functional as nnf

from course_utils import images
from course_utils.occlusion.incremental import Incremental, NoGeometry


class Branches(nn.Module):
    """Concatenation, addition, dilation, ceil mode and odd paddings, in small."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.left = nn.Conv2d(6, 4, 1)
        self.right = nn.Conv2d(6, 4, 3, padding=2, dilation=2)
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU()
        self.again = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten, self.head = nn.Flatten(), nn.Linear(8, 5)

    def forward(self, x):
        x = self.pool(self.relu(self.stem(x)))
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1))
        return self.head(self.flatten(self.mean(x + self.relu(self.again(x)))))


class Gated(Branches):
    """A gate that depends on the whole picture: its footprint is not a rectangle."""

    def forward(self, x):
        x = self.stem(x)
        return self.head(nnf.pad(x.mean((2, 3)), (0, 2)))


class Gaps(nn.Module):
    """Pixels that no window looks at, and a ReLU whose input is read a second time."""

    def __init__(self):
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 6, 1, stride=4), nn.ReLU()
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 5)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.flatten(self.pool(x + self.relu(x)), 1))


class Conv10(Gaps):
    """The classes are maps, as in SqueezeNet."""

    def __init__(self):
        super().__init__()
        self.last, self.after = nn.Conv2d(6, 5, 1), nn.ReLU()

    def forward(self, x):
        return torch.flatten(self.pool(self.after(self.last(self.stem(x)))), 1)


@pytest.fixture
def branches():
    return Branches().eval().requires_grad_(False)


def placed(height, width, h, w, n, device="cpu"):
    """Patches at random places, the four corners first."""
    top = torch.tensor([0, 0, height - h, height - h])
    left = torch.tensor([0, width - w, 0, width - w])
    more = torch.randint(0, height - h + 1, (n,)), torch.randint(0, width - w + 1, (n,))
    return (torch.cat(both).to(device) for both in zip((top, left), more, strict=True))


def whole(model, x, patch, top, left):
    """The same by running every picture as a whole."""
    pictures = x.repeat(len(top), 1, 1, 1)
    h, w = patch.shape[2:]
    for one, p, i, j in zip(pictures, patch, top.tolist(), left.tolist(), strict=True):
        one[:, i : i + h, j : j + w] = p
    with torch.no_grad():
        return model(pictures)


@pytest.mark.parametrize("size", [(33, 40), (47, 31)])
@pytest.mark.parametrize("window", [(1, 1), (5, 5), (9, 4), (31, 31)])
def test_equals_whole_pictures_on_odd_geometries(branches, size, window):
    x = torch.randn(1, 3, *size)
    top, left = placed(*size, *window, n=6)
    patch = torch.randn(len(top), 3, *window)
    found = Incremental(branches, x).scores(patch, top, left)
    torch.testing.assert_close(found, whole(branches, x, patch, top, left), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [(1, 1), (2, 3), (6, 9)])
def test_equals_whole_pictures_where_a_patch_falls_between_the_windows(window):
    model, x = Gaps().eval(), torch.randn(1, 3, 33, 30)
    top, left = placed(33, 30, *window, n=40)
    patch = torch.randn(len(top), 3, *window)
    logits = Incremental(model, x).scores(patch, top, left)
    torch.testing.assert_close(logits, whole(model, x, patch, top, left), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["squeezenet", "efficientnet"])
@pytest.mark.parametrize("window", [7, 32, 75])
def test_equals_whole_pictures_on_the_course_networks(request, name, window):
    net = request.getfixturevalue(name)
    x = net.preprocess(images.photo("panda"))
    top, left = placed(224, 224, window, window, n=2, device=x.device)
    patch = torch.randn(len(top), 3, window, window).to(x)
    found = Incremental(net, x).scores(patch, top, left)
    expected = whole(net, x, patch, top, left)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


class Mixed(Gaps):
    """Its outputs are compared with one another after the last weights."""

    def forward(self, x):
        return super().forward(x).softmax(1)


@pytest.mark.parametrize("make", [Branches, Gaps, Mixed, Conv10])
def test_only_the_wanted_classes_come_in_their_order(make):
    model, x = make().eval(), torch.randn(1, 3, 33, 40)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    top, left = placed(33, 40, 5, 5, n=6)
    patch, classes = torch.randn(len(top), 3, 5, 5), [3, 0]
    found = Incremental(model, x, classes).scores(patch, top, left)
    expected = whole(model, x, patch, top, left)[:, classes]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert all(values.equal(before[name]) for name, values in model.state_dict().items())


def test_no_other_class_is_computed(squeezenet, panda):
    net, widths = Incremental(squeezenet, panda, [388]), []
    net.slide, slide = lambda m, v: widths.append(slide(m, v)) or widths[-1], net.slide
    corner = torch.tensor([0], device=panda.device)
    assert net.scores(torch.zeros(1, 3, 32, 32).to(panda), corner, corner).shape == (1, 1)
    assert widths[-1].patch.shape[3] == 1


def test_the_same_patch_as_below_it_changes_nothing(branches):
    x = torch.randn(1, 3, 40, 40)
    corner = torch.tensor([8])
    found = Incremental(branches, x).scores(x[:, :, 8:16, 8:16], corner, corner)
    torch.testing.assert_close(found, branches(x), atol=1e-6, rtol=1e-5)


def test_only_a_part_of_the_maps_is_recomputed(squeezenet, panda):
    net, x = Incremental(squeezenet, panda), panda
    seen = []
    net.slide, slide = lambda m, v: seen.append(slide(m, v)) or seen[-1], net.slide
    middle = torch.tensor([96], device=x.device)
    net.scores(torch.zeros(1, 3, 32, 32).to(x), middle, middle)
    widths = [one.patch.shape[1] for one in seen]
    assert widths[0] in (16, 17)
    assert seen[0].base.shape[0] == 111
    shares = [one.patch.shape[1] / one.base.shape[0] for one in seen]
    assert sum(shares) / len(shares) < 0.6


def test_a_network_whose_geometry_is_unknown_is_refused(branches):
    gated = Gated().eval()
    corner = torch.tensor([0])
    with pytest.raises(NoGeometry):
        Incremental(gated, torch.randn(1, 3, 20, 20)).scores(
            torch.zeros(1, 3, 4, 4), corner, corner
        )


def test_several_pictures_at_once_are_refused(branches):
    with pytest.raises(ValueError, match=r"x: shape \(2, 3, 20, 20\); accepted: one image"):
        Incremental(branches, torch.randn(2, 3, 20, 20))
