"""A lecture as an instructor meets it: slides, in a real browser.

In a file of its own: a file's tests run in one process, and this lecture is run by `test_lecture`,
too.
"""

import re

from exploring import changed_by, drag

LECTURE = "06"
# The section whose id reveal.js takes as an address.
SLIDE = "(e) => e.closest('section[id^=slide-]').id"


def test_slides_show_the_lecture_and_a_slider_changes_the_picture(page, serve, screenshot):
    server = serve("slides", LECTURE)
    page.goto(server.url)
    screenshot("first")
    page.get_by_role("button", name="Run all cells").click()
    page.get_by_role("button", name=re.compile(r"Stop: cell \d+ of \d+")).wait_for()
    page.wait_for_selector("#course-run-all[data-done]", timeout=400_000)
    explorer = page.locator(".course-explorer")
    explorer.wait_for(state="attached")
    slide = explorer.evaluate(SLIDE)
    page.evaluate("(id) => { location.hash = '#/' + id; }", slide)
    explorer.scroll_into_view_if_needed()
    screenshot("explorer")
    assert changed_by(page, lambda: drag(page, "blur"))
    screenshot("blurred")
    assert page.url.endswith(slide), "dragging a slider has turned the slide"
