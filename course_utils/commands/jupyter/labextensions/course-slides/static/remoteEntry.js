// A federated extension written by hand: no build step. It does nothing outside slide pages.
(() => {
  const config = document.getElementById("jupyter-config-data");
  const slides = /\/rise\/?$/.test(JSON.parse(config?.textContent ?? "{}").frontendUrl ?? "");
  let shared;

  // jupyterlab_widgets wants the shared module @jupyterlab/console, which the page of jupyterlab-rise
  // does not offer, so not one widget would appear there. Slides have no consoles: a stub will do.
  const stub = { ConsolePanel: class {}, CodeConsole: class {}, IConsoleTracker: undefined };

  function init(scope) {
    if (!slides) return;
    shared = scope;
    const version = { get: async () => () => stub, from: "course-slides", eager: false };
    scope["@jupyterlab/console"] ??= { "4.9.9": version };
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = here.replace(/[^/]*$/, "slides.css");
    document.head.append(style);
  }

  // Slide shows start with nothing run. One click before the talk, and every slide has its picture.
  async function runAll(panel) {
    const { CodeCell } = (await Object.values(shared["@jupyterlab/cells"])[0].get())();
    await panel.sessionContext.ready;
    const code = panel.content.widgets.filter((cell) => cell.model.type === "code");
    await Promise.allSettled(code.map((cell) => CodeCell.execute(cell, panel.sessionContext)));
  }

  async function activate(app) {
    while (!app.shell.currentWidget) await new Promise((resolve) => setTimeout(resolve, 100));
    const panel = app.shell.currentWidget;
    await panel.context.ready;
    const button = document.createElement("button");
    button.id = "course-run-all";
    button.textContent = "▶ Run all cells";
    button.onclick = () => {
      button.disabled = true;
      button.textContent = "running …";
      runAll(panel).finally(() => button.remove());
    };
    document.body.append(button);
  }

  const plugin = { id: "course-slides:run-all", autoStart: true, activate: (app) => void activate(app) };
  const here = document.currentScript.src;
  const module = { __esModule: true, default: slides ? [plugin] : [] };
  globalThis._JUPYTERLAB ??= {};
  globalThis._JUPYTERLAB["course-slides"] = { init, get: async () => () => module };
})();
