"""Decks on real screens: pictures fill slides, nothing stands outside, letters can be read.

A file of its own, and first of all by name: these tests take longest and wait for the browser, so
that another process sees to the others meanwhile.
"""

import pytest

from course_utils.commands import ready, report, suite
from course_utils.common import lectures, paths

ALWAYS = ("00_start_here", "06_saliency")


def chosen():
    """A short deck and a long one; the others take a minute or two each."""
    return [
        name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long)
        for name in lectures.names()
    ]


@pytest.mark.parametrize("name", chosen())
def test_a_deck_keeps_to_the_limits(name, tmp_path, monkeypatch):
    if suite.chromium() is None:
        pytest.skip("no Chromium found; COURSE_CHROMIUM can name one")
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    notebook = paths.root() / "notebooks" / f"{name}.ipynb"
    ready.make(notebook)
    found = report.measured(notebook)
    assert set(found) == set(report.SCREENS)
    for screen, rows in found.items():
        assert report.complaints(rows) == [], "\n".join(report.table(name, screen, rows))
    small, large = (median_picture(found[screen]) for screen in report.SCREENS)
    assert abs(small - large) < 0.02, "pictures do not grow with the screen"


def median_picture(rows):
    shares = sorted(row.picture for row in rows if row.kind == "picture")
    return shares[len(shares) // 2]
