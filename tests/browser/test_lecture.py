"""A lecture as a student and as an instructor meet it: JupyterLab and slides, in a real browser."""

import pytest

LECTURE = "06"
NOTEBOOK = "06_saliency.ipynb"
MAKES_WIDGETS = "saliency_explorer("

# What the page knows about the notebook: `window.jupyterapp` is there because the server was asked
# to expose it.
PANEL = "window.jupyterapp.shell.currentWidget"
IDLE = f"() => {PANEL}?.sessionContext?.session?.kernel?.status === 'idle'"
ERRORS = f"""() => {PANEL}.content.widgets.filter((c) => c.model.type === "code").flatMap(
    (c) => c.model.outputs.toJSON().filter((o) => o.output_type === "error")
        .map((o) => `${{c.model.sharedModel.source.slice(0, 60)}}: ${{o.ename}} ${{o.evalue}}`))"""
SCROLL = f"""async (words) => {{
    const notebook = {PANEL}.content;
    const index = notebook.widgets.findIndex((c) => c.model.sharedModel.source.includes(words));
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, "start");
}}"""
SOURCE = "() => document.querySelector('.course-explorer .widget-image').src"
# The section whose id reveal.js takes as an address.
SLIDE = "(e) => e.closest('section[id^=slide-]').id"


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


@pytest.fixture(scope="module")
def lab(serve):
    return serve("lab", LECTURE)


@pytest.fixture
def lecture(page, lab):
    """Lecture 06 in JupyterLab, every cell run, its explorer in view."""
    page.goto(lab.url)
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.wait_for_function(IDLE)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    assert page.evaluate(ERRORS) == []
    page.evaluate(SCROLL, MAKES_WIDGETS)
    page.wait_for_selector(".course-explorer .widget-image")
    return page


def test_lab_runs_the_lecture_and_a_slider_changes_the_picture(lecture, lab, screenshot):
    assert (lab.work / NOTEBOOK).is_file()
    screenshot("start")
    assert changed_by(lecture, lambda: drag(lecture, "blur"))
    screenshot("blurred")
    assert changed_by(lecture, lambda: lecture.get_by_label("method").select_option("SmoothGrad"))
    assert changed_by(lecture, lambda: drag(lecture, "noisy copies"))
    screenshot("smoothgrad")


def test_own_photo_wrong_file_typed_class_and_a_dead_kernel(lecture, screenshot, tmp_path):
    from course_utils import images

    alarm = lecture.locator(".course-explorer [role=alert]")
    upload = lecture.locator(".course-explorer input[type=file]")
    photo = tmp_path / "my cheetah.webp"
    images.to_pil(images.photo("cheetah").pixels()).save(photo)
    assert changed_by(lecture, lambda: upload.set_input_files(photo))
    assert "cheetah" in lecture.locator(".course-explorer [role=status]").inner_text()
    note = tmp_path / "holiday.heic"
    note.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    upload.set_input_files(note)
    alarm.get_by_text("HEIC").wait_for()
    field = lecture.get_by_placeholder("or type another class")
    field.fill("zebraa")
    field.press("Enter")
    alarm.get_by_text("Did you mean 'zebra'").wait_for()
    screenshot("unknown-class")
    lecture.evaluate(f"() => {PANEL}.sessionContext.session.kernel.restart()")
    lecture.get_by_text("The kernel of these controls is gone").wait_for()
    assert lecture.locator(".course-static img[alt]").is_visible()
    screenshot("dead-kernel")


def test_slides_show_the_lecture_and_a_slider_changes_the_picture(page, serve, screenshot):
    server = serve("slides", LECTURE)
    page.goto(server.url)
    screenshot("first")
    page.get_by_role("button", name="Run all cells").click()
    page.wait_for_selector("#course-run-all", state="detached", timeout=180_000)
    explorer = page.locator(".course-explorer")
    explorer.wait_for(state="attached")
    slide = explorer.evaluate(SLIDE)
    page.evaluate("(id) => { location.hash = '#/' + id; }", slide)
    explorer.scroll_into_view_if_needed()
    screenshot("explorer")
    assert changed_by(page, lambda: drag(page, "blur"))
    screenshot("blurred")
    assert page.url.endswith(slide), "dragging a slider has turned the slide"
