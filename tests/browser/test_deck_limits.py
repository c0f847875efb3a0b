"""Decks on real screens: pictures fill slides, nothing stands outside, letters can be read.

In a file of its own: a file's tests run in one process, and these take the longest.
"""

import pytest

from course_utils.commands import ready, report, suite
from course_utils.common import lectures, paths

ALWAYS = ("00_start_here", "06_saliency")
DECKS = [
    name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long)
    for name in lectures.names()
]
"""A short deck and a long one; the others take a minute or two each."""


@pytest.fixture(scope="module", params=DECKS)
def deck(request, tmp_path_factory):
    """A lecture's name, and what its slides measure on each screen."""
    if suite.chromium() is None:
        pytest.skip("no Chromium found; COURSE_CHROMIUM can name one")
    notebook = paths.root() / "notebooks" / f"{request.param}.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_STATE", str(tmp_path_factory.mktemp("state")))
        ready.make(notebook)
        return request.param, report.measured(notebook)


@pytest.mark.parametrize("screen", report.SCREENS, ids="{0[0]}x{0[1]}".format)
def test_a_deck_keeps_to_the_limits(deck, screen):
    name, found = deck
    assert report.complaints(found[screen]) == [], "\n".join(
        report.table(name, screen, found[screen])
    )


def test_pictures_grow_with_the_screen(deck):
    _, found = deck
    assert set(found) == set(report.SCREENS)
    small, large = (median_picture(found[screen]) for screen in report.SCREENS)
    assert abs(small - large) < 0.02


def median_picture(rows):
    shares = sorted(row.picture for row in rows if row.kind == "picture")
    return shares[len(shares) // 2]
