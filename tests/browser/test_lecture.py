"""A lecture as a student meets it: JupyterLab, in a real browser."""

import pytest
from exploring import IMAGE, changed_by, drag

from course_utils import images

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
RUN_SOME = f"""async (words) => {{
    const notebook = {PANEL}.content;
    for (const [index, cell] of notebook.widgets.entries()) {{
        const source = cell.model.sharedModel.source;
        if (cell.model.type !== "code" || !words.some((w) => source.includes(w))) continue;
        notebook.activeCellIndex = index;
        await window.jupyterapp.commands.execute("notebook:run-cell");
    }}
}}"""


@pytest.fixture(scope="module")
def lab(serve):
    return serve("lab", LECTURE)


def opened(page, server):
    """The page with the notebook open and its kernel waiting."""
    page.goto(server.url)
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.wait_for_function(IDLE)
    return page


def test_lab_runs_the_lecture_and_a_slider_changes_the_picture(page, lab, screenshot):
    opened(page, lab)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    assert (lab.work / NOTEBOOK).is_file()
    assert page.evaluate(ERRORS) == []
    page.evaluate(SCROLL, MAKES_WIDGETS)
    page.wait_for_selector(IMAGE)
    screenshot("start")
    assert changed_by(page, lambda: drag(page, "blur"))
    screenshot("blurred")
    assert changed_by(page, lambda: page.get_by_label("method").select_option("SmoothGrad"))
    assert changed_by(page, lambda: drag(page, "noisy copies"))
    screenshot("smoothgrad")
    assert list((lab.state / "workspaces").iterdir()), "the tabs are remembered somewhere else"


@pytest.fixture
def explorer(page, lab):
    """The lecture's explorer alone: of the other cells only those it needs are run."""
    opened(page, lab)
    page.evaluate(RUN_SOME, ["import ", "net = models.load", MAKES_WIDGETS])
    page.evaluate(SCROLL, MAKES_WIDGETS)
    page.wait_for_selector(IMAGE)
    return page.locator(".course-explorer")


def upload(page, path):
    """Choose a file as a person does: the button opens the system's dialogue."""
    with page.expect_file_chooser() as dialogue:
        page.get_by_role("button", name="own photo").click()
    dialogue.value.set_files(path)


def test_own_photo_of_the_student(page, explorer, tmp_path, screenshot):
    photo, note = tmp_path / "my cheetah.webp", tmp_path / "holiday.heic"
    images.to_pil(images.photo("cheetah").pixels()).save(photo)
    assert changed_by(page, lambda: upload(page, photo))
    explorer.get_by_role("status").get_by_text("my cheetah.webp").wait_for()
    assert "my cheetah.webp" in page.locator(IMAGE).get_attribute("title")
    note.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    upload(page, note)
    explorer.get_by_role("alert").get_by_text("HEIC").wait_for()
    screenshot("heic")


def test_a_typed_class_and_a_misspelt_one(page, explorer, screenshot):
    field = page.get_by_placeholder("or type a class")
    field.fill("zebra")
    assert changed_by(page, lambda: field.press("Enter"))
    explorer.get_by_role("status").get_by_text("zebra").wait_for()
    field.fill("zebraa")
    field.press("Enter")
    explorer.get_by_role("alert").get_by_text("Did you mean 'zebra'").wait_for()
    screenshot("misspelt")


def test_an_untouched_notebook_is_not_changed_and_nbgrader_stays_away(page, lab):
    opened(page, lab)
    page.wait_for_function(f"() => {PANEL}.context.model.getMetadata('language_info').version")
    page.wait_for_timeout(500)
    assert not page.evaluate(f"() => {PANEL}.context.model.dirty")
    menus = page.locator(".lm-MenuBar-itemLabel").all_inner_texts()
    assert "Kernel" in menus
    assert not [name for name in menus if "grader" in name.lower()]


def test_what_is_saved_holds_no_widgets(page, lab, explorer):
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    text = (lab.work / NOTEBOOK).read_text("utf-8")
    assert "widget-view" not in text
    assert "course-static" in text
    assert not page.evaluate(f"() => {PANEL}.context.model.dirty")
    assert explorer.is_visible(), "the live explorer went with the saved one"


def test_when_the_kernel_dies_a_picture_and_advice_remain(page, explorer, screenshot):
    static = page.locator(".course-static img[alt]")
    assert not static.is_visible(), "the plain picture is shown beside the live one"
    page.evaluate(f"() => {PANEL}.sessionContext.session.kernel.restart()")
    page.get_by_text("The kernel of these controls is gone").wait_for()
    assert static.is_visible()
    assert not page.get_by_label("method").is_visible()
    screenshot("dead")
