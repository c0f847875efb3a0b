"""What a hand does to an explorer, in JupyterLab and on slides."""

IMAGE = ".course-explorer .widget-image"
SOURCE = f"() => document.querySelector('{IMAGE}').src"


def drag(page, label, share=0.8):
    """Drag the slider of that name with the mouse to a share of its length, and let it go."""
    row = page.locator(".course-explorer .widget-inline-hbox", has_text=label)
    handle = row.locator(".noUi-handle").bounding_box()
    line = row.locator(".noUi-base").bounding_box()
    y = handle["y"] + handle["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] / 2, y)
    page.mouse.down()
    for part in (0.3, 0.6, 1.0):
        page.mouse.move(line["x"] + line["width"] * share * part, y)
    page.mouse.up()


def changed_by(page, action):
    """Whether what is done changes the explorer's picture, which it waits for."""
    before = page.evaluate(SOURCE)
    action()
    page.wait_for_function(f"(before) => ({SOURCE})() !== before", arg=before, timeout=20_000)
    return page.evaluate(SOURCE) != before
