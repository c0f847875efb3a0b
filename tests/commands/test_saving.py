"""What the lab saves: outputs stay, widgets go, and the server finds the hook."""

import nbformat

from course_utils.commands import lab, ready, saving

make = nbformat.v4.new_output


def saved(*outputs):
    cell = nbformat.v4.new_code_cell("x", outputs=list(outputs))
    nb = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell("text")])
    nb.metadata["widgets"] = {"state": {}}
    model = {"type": "notebook", "content": nb}
    saving.clean(model=model, path="x.ipynb", contents_manager=None)
    assert "widgets" not in nb.metadata
    return cell.outputs


def test_widgets_go_and_everything_else_stays():
    bar = make("display_data", {saving.WIDGET: {}, "text/plain": "occlusion:  10%|█ "})
    live = make("display_data", {saving.WIDGET: {}, "text/plain": "(controls: run this cell)"})
    plain = make("display_data", {"text/html": "<div></div>", "text/plain": "a cat"})
    said = make("stream", text="hello")
    found = saved(bar, plain, live, said)
    assert [dict(one) for one in (found[0], found[2])] == [dict(plain), dict(said)]
    assert found[1]["data"] == {"text/plain": "(controls: run this cell)"}
    assert ready.WIDGET == saving.WIDGET


def test_other_files_are_left_alone():
    model = {"type": "file", "content": "text"}
    saving.clean(model=model, path="x.txt", contents_manager=None)
    assert model == {"type": "file", "content": "text"}


def test_the_labs_server_calls_it(monkeypatch, tmp_path):
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    from jupyter_server.serverapp import ServerApp

    app = ServerApp()
    app.load_config_file()
    assert app.config.FileContentsManager.pre_save_hook is saving.clean
