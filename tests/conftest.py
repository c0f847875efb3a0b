"""Fixtures shared by all tests: networks are loaded once, and every test begins with seed 0."""

import random
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from course_utils import images, models
from course_utils.checking import judging

settings.register_profile("course", deadline=None, derandomize=True, max_examples=25, database=None)
settings.load_profile("course")


def pytest_collection_modifyitems(items):
    """Grading in front: its tests wait for processes of their own, some for a minute.

    Behind it, in the same third of all tests, come thousands that take milliseconds: these a test
    process that is done can take over, so that all are done at the same time.
    """
    here, order = Path(__file__).parent, ["grading", "test_architectures.py"]

    def place(item):
        part = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return order.index(part) if part in order else len(order)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _same_randomness_for_every_test():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def squeezenet():
    """SqueezeNet 1.1; tests must leave it as it is."""
    return models.load("squeezenet1_1")


@pytest.fixture(scope="session")
def efficientnet():
    """EfficientNet-Lite0; tests must leave it as it is."""
    return models.load("efficientnet_lite0")


@pytest.fixture(scope="session")
def vgg():
    """VGG-16 up to conv5_1; tests must leave it as it is."""
    return models.load("vgg16_hed")


@pytest.fixture(scope="session")
def vit():
    """The vision transformer; tests must leave it as it is."""
    return models.load("vit_small_dinov2_saliency")


@pytest.fixture(scope="session")
def zoo(squeezenet, efficientnet, vgg, vit):
    """The four networks that ship with the course, by name."""
    return {net.name: net for net in (squeezenet, efficientnet, vgg, vit)}


@pytest.fixture(scope="session")
def panda(squeezenet):
    """The panda as SqueezeNet sees it, (1,3,224,224)."""
    return squeezenet.preprocess(images.photo("panda"))


@pytest.fixture(scope="session")
def mistakes_once():
    """What the known mistakes give for a case is computed once, not anew for every wrong answer."""
    kept, compute = OrderedDict(), judging.known_outcome

    def once(mistake, case):
        key = (mistake.function, id(case.args))
        if key not in kept:
            kept[key] = (case.args, compute(mistake, case))  # held, so that the id stays its own
        kept.move_to_end(key)
        while len(kept) > 500:  # more than any exercise has of mistakes and cases
            kept.popitem(last=False)
        return kept[key][1]

    judging.known_outcome = once
    yield
    judging.known_outcome = compute


@pytest.fixture(scope="session")
def walls():
    """The walls of this machine; the test is skipped where there are none."""
    from course_utils.grading.trusted import sandbox  # for the few tests that grade

    try:
        return sandbox.walls()
    except sandbox.SandboxError as error:
        pytest.skip(f"no sandbox: {error}")


@pytest.fixture(scope="session")
def parent(walls):
    """What forks workers, as in every judge of a class."""
    from course_utils.grading.trusted import warm

    found = warm.Parent(walls)
    found.ready()
    yield found
    found.end()
