"""The table of lecture 09: its scenes, its scores, and the file it is stored in."""

import json

import pytest
import torch

from course_utils import composites, models, trust_table
from course_utils.trust_table import METHODS, Method


def oracle(masks):
    """A method that knows the answer."""
    return Method(lambda model, x, classes: masks.to(x), 0)


def test_every_method_gives_one_finite_map_for_each_image(squeezenet):
    pixels, classes, _ = trust_table.confident_photos(squeezenet)
    x = squeezenet.normalize(pixels[:2])
    for name, method in METHODS.items():
        maps = method.explain(squeezenet, x, classes[:2])
        assert maps.shape == (2, 224, 224), name
        assert torch.isfinite(maps).all(), name


def test_collages_hold_four_classes_that_are_recognised(squeezenet):
    pixels, classes = trust_table.grids(squeezenet, 3)
    assert pixels.shape == (3, 3, 448, 448)
    assert all(len(set(four.tolist())) == 4 for four in classes)
    cells = pixels[0].unflatten(2, (2, 224)).unflatten(1, (2, 224)).permute(1, 3, 0, 2, 4)
    with torch.no_grad():
        found = squeezenet(squeezenet.normalize(cells.reshape(4, 3, 224, 224))).softmax(1)
    assert (found.gather(1, classes[0][:, None]) > 0.79).all()
    again, _ = trust_table.grids(squeezenet, 3)
    assert torch.equal(pixels, again)


def test_too_few_confident_photos_are_refused(squeezenet):
    with pytest.raises(ValueError, match="above"):
        trust_table.confident_photos(squeezenet, above=0.99999999)


def test_an_oracle_wins_and_its_opposite_loses(squeezenet):
    found = composites.recognised_composites(squeezenet, 3)
    good = trust_table.scene_scores(
        squeezenet, oracle(found.masks), found.pixels, found.masks, found.classes
    )
    bad = trust_table.scene_scores(
        squeezenet, oracle(~found.masks), found.pixels, found.masks, found.classes
    )
    assert good["energy"].tolist() == [1, 1, 1]
    assert bad["energy"].tolist() == [0, 0, 0]
    assert (good["hit"] > bad["hit"]).all()
    assert good["deletion"].mean() < bad["deletion"].mean()
    assert good["insertion"].mean() > bad["insertion"].mean()


def test_a_map_that_never_asks_the_network_notices_nothing(squeezenet, panda):
    classes = torch.tensor([388])
    ranks, alike = trust_table.cascade(squeezenet, METHODS["edges"], panda, classes)
    assert torch.allclose(ranks, torch.ones_like(ranks))
    assert torch.allclose(alike, torch.ones_like(alike))
    ranks, _ = trust_table.cascade(squeezenet, METHODS["gradient x input"], panda, classes)
    assert ranks[-1].abs() < 0.2


def test_a_cascade_needs_a_known_network(vgg, panda):
    with pytest.raises(ValueError, match="squeezenet1_1"):
        trust_table.cascade(vgg, METHODS["edges"], panda, torch.tensor([0]))


def test_the_interval_holds_the_mean():
    mean, low, high = trust_table.mean_interval(torch.linspace(0, 1, 30))
    assert low < mean < high
    assert mean == pytest.approx(0.5)
    assert 0.1 < high - low < 0.4
    assert trust_table.mean_interval(torch.ones(4)) == (1, 1, 1)


def test_the_table_is_stored_whole(tmp_path):
    table = {"squeezenet1_1": {"edges": {"passes": 0}}}
    path = trust_table.store(table, {"scenes": 1}, tmp_path / "trust.json")
    assert json.loads(path.read_text())["tables"] == table
    assert [p.name for p in tmp_path.iterdir()] == ["trust.json"]


@pytest.mark.parametrize("network", list(trust_table.STAGES))
def test_the_stored_table_has_every_method_and_score(network):
    table = trust_table.stored(network)
    assert set(table) == set(METHODS)
    for row in table.values():
        assert {"energy", "hit", "grid", "deletion", "insertion"} <= set(row)
        assert len(row["ranks"]) == len(trust_table.STAGES[network])
    with pytest.raises(ValueError, match="squeezenet1_1"):
        trust_table.stored("lenet")


def test_the_stages_cover_the_networks():
    for name, groups in trust_table.STAGES.items():
        net = models.load(name)
        assert all(stage for group in groups for stage in group)
        assert sum(len(g) for g in groups) >= 8, net.name
