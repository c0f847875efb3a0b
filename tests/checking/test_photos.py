"""Cases on a photo of the course."""

import torch

from course_utils import images, models
from course_utils.checking import networks, photos


def test_a_case_holds_the_network_the_photo_and_the_class(squeezenet):
    case = photos.case("koala", label="koala", layer="fire9")
    assert list(case.args) == ["model", "x", "classes", "layer"]
    assert networks.build(case.args["model"]).name == "squeezenet1_1"
    on_the_cpu = models.load("squeezenet1_1", device="cpu")
    assert torch.equal(case.args["x"], on_the_cpu.preprocess(images.photo("koala")))
    assert squeezenet.labels[int(case.args["classes"])] == "koala"
    assert "classes" not in photos.case().args


def test_pixels_are_what_the_network_sees():
    seen = photos.network().denormalize(photos.seen())
    torch.testing.assert_close(seen, photos.pixels(), atol=1e-5, rtol=0)


def test_cases_are_made_on_the_cpu_wherever_networks_run(monkeypatch):
    monkeypatch.setattr(models, "default_device", lambda: torch.device("meta"))
    assert {photos.network().device, photos.seen().device} == {torch.device("cpu")}


def test_the_colours_of_a_normalised_photo_are_the_photo_s():
    both = torch.cat([photos.seen(), photos.seen("koala")])
    torch.testing.assert_close(photos.colours(both), photos.pixels()[0], atol=1e-5, rtol=0)
