// A federated extension written by hand: no build step. It does nothing outside slide pages.
// jupyterlab_widgets wants the shared module @jupyterlab/console, which the page of jupyterlab-rise
// does not offer, so not one widget would appear there; slides have no consoles, so a stub will do.
(() => {
  const stub = { ConsolePanel: class {}, CodeConsole: class {}, IConsoleTracker: undefined };
  const none = { __esModule: true, default: [] };
  const config = document.getElementById("jupyter-config-data");
  const slides = /\/rise\/?$/.test(JSON.parse(config?.textContent ?? "{}").frontendUrl ?? "");
  globalThis._JUPYTERLAB ??= {};
  globalThis._JUPYTERLAB["course-slides"] = {
    init(scope) {
      if (!slides || scope["@jupyterlab/console"]) return;
      const version = { get: async () => () => stub, from: "course-slides", eager: false };
      scope["@jupyterlab/console"] = { "4.9.9": version };
    },
    get: async () => () => none,
  };
})();
