"""Scenes of which it is known where the object is."""

from course_utils import images
from course_utils.common import composites


def test_the_names_of_the_cutouts_are_classes(squeezenet):
    names = {picture.name for picture in images.cutouts()}
    assert set(composites.CALLED) <= names
    assert len(names) - len(composites.CALLED) <= 1
    for labels in composites.CALLED.values():
        assert all(label in squeezenet.labels for label in labels)


def test_scenes_may_be_asked_to_be_called_by_their_names(squeezenet):
    found = composites.recognised_composites(squeezenet, 8, seed=3, rightly=True)
    for (cutout, _), label in zip(found.names, found.classes.tolist(), strict=True):
        assert squeezenet.labels[label] in composites.CALLED[cutout]
    loose = composites.recognised_composites(squeezenet, 8, seed=3)
    called = [
        squeezenet.labels[c] in composites.CALLED.get(name, ())
        for (name, _), c in zip(loose.names, loose.classes.tolist(), strict=True)
    ]
    assert not all(called)
