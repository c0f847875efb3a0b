// A federated extension written by hand: no build step. On slide pages it lays out the slides; in the
// lab it only keeps notebooks that nobody has touched from counting as changed.
(() => {
  const config = document.getElementById("jupyter-config-data");
  const slides = /\/rise\/?$/.test(JSON.parse(config?.textContent ?? "{}").frontendUrl ?? "");
  const here = document.currentScript.src;
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
    document.body.classList.toggle("deck-dark", localStorage.getItem("course-slides-dark") === "1");
  }

  const until = async (found) => {
    for (let value; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      if ((value = found())) return value;
    }
  };
  const element = (kind, properties, ...children) => {
    const made = Object.assign(document.createElement(kind), properties);
    made.append(...children);
    return made;
  };
  const current = () => document.querySelector(".slides section.present > section.present");
  const told = (cell) => cell.model.getMetadata("deck") ?? {};

  // ---------------------------------------------------------------- laying out

  const PRINTED = 120; // letters

  // What `deck.cut` says of a cell decides where it stands: title, what is shown, words, or out of sight.
  function arrange(section, cells) {
    const [title, ...rest] = cells;
    const parts = { show: [], text: [], hidden: [] };
    for (const cell of rest) {
      const { role } = told(cell);
      cell.node.classList.add(`deck-${role}`);
      const place = { picture: "show", widget: "show", code: "show", check: "show" }[role];
      parts[place ?? (["hidden", "skip"].includes(role) ? "hidden" : "text")].push(cell.node);
    }
    title.node.classList.add("deck-title");
    section.classList.add("deck", `deck-of-${told(title).kind}`);
    const boxes = Object.entries(parts).map(([name, nodes]) =>
      element("div", { className: `deck-box-${name}` }, ...nodes));
    const body = element("div", { className: "deck-body" }, ...boxes.slice(0, 2));
    section.append(element("div", { className: "deck-box-lead" }), body, boxes[2]);
  }

  const visible = (nodes) => [...nodes].filter((node) => node.offsetParent && node.offsetHeight > 1);
  const pictures = (box) => visible(box.querySelectorAll(
    ".jp-OutputArea-output img:not(.jp-RenderedMarkdown img), .widget-image"));

  // The largest letters of code that fit: its longest line and its lines tell, nothing is measured.
  function codeSize(cells, section, width, height) {
    const unit = parseFloat(getComputedStyle(section).getPropertyValue("--deck-px")) || 12.8;
    const lines = cells.flatMap((cell) => cell.model.sharedModel.source.split("\n"));
    const longest = Math.max(40, ...lines.map((line) => line.length)) + 2;
    const most = Math.min(1.9 * unit, width / (0.605 * longest), height / (1.35 * (lines.length + 2)));
    return Math.max(0.9 * unit, most);
  }

  // Largest share of `low`…`high` at which `fits` holds.
  function largest(low, high, fits) {
    if (fits(high)) return high;
    for (let i = 0; i < 6; i++) {
      const middle = (low + high) / 2;
      if (fits(middle)) low = middle; else high = middle;
    }
    fits(low);
    return low;
  }

  // What leads to a picture stands above it, also where a comment follows it.
  function lift(section, show, text) {
    const leads = [...section.querySelectorAll(".deck-lead")];
    const commented = [...text.children].some((one) => !leads.includes(one) && one.innerText.trim());
    const drawn = section.matches(".deck-of-picture, .deck-of-widget") && visible(show.children).length;
    const place = drawn && commented ? section.querySelector(".deck-box-lead") : text;
    if (leads.some((one) => one.parentElement !== place)) place.prepend(...leads);
  }

  function fit(section, panel) {
    if (!section?.classList.contains("deck") || !section.offsetHeight) return;
    section.style.setProperty("--deck-px", `${Math.min(innerWidth / 100, innerHeight / 56.25)}`);
    const body = section.querySelector(".deck-body");
    const [show, text] = body.children;
    body.className = "deck-body";
    section.style.setProperty("--fit", 1);
    const width = body.clientWidth;
    let height = body.clientHeight;
    const scale = (value) => section.style.setProperty("--fit", value);
    const over = () => body.scrollHeight > body.clientHeight + 1 || body.scrollWidth > width + 1;
    text.hidden = false;
    quieten(section);
    lift(section, show, text);
    trim(section);
    const hasText = text.innerText.trim() !== "" || pictures(text).length > 0;
    text.hidden = !hasText;
    body.classList.toggle("deck-led",
      [...text.children].every((one) => one.matches(".deck-lead") || !one.innerText.trim()));
    if (!visible(show.children).length) {
      body.classList.add("deck-words");
      largest(0.5, 1.3, (value) => { scale(value); trim(section); return !over(); });
      return;
    }
    const code = panel.content.widgets.filter((cell) =>
      show.contains(cell.node) && told(cell).role === "code");
    const shown = pictures(show);
    const words = (share) => {  // room that words leave, in a column or below
      if (!hasText) return share < 1 ? null : [width, height];
      body.classList.toggle("deck-beside", share < 1);
      text.style.width = share < 1 ? `${width * (1 - share) - 24}px` : "";
      const tall = text.scrollHeight + 12;
      if (share < 1) return tall <= height && text.scrollWidth <= text.clientWidth + 1
        ? [width * share, height] : null;
      return height - tall > 0.3 * height ? [width, height - tall] : null;
    };
    const best = (value) => {
      scale(value);
      height = body.clientHeight; // less what leads, which is as large as the words below
      const ratio = shown.length && proportion(shown[0]);
      let found = null;
      for (const share of code.length ? [1] : [1, 0.74, 0.68, 0.6, 0.52]) {
        const room = words(share);
        if (!room) continue;
        show.style.width = `${room[0]}px`;
        const rest = ratio ? Math.max(0, show.scrollHeight - shown[0].offsetHeight) : 0;  // controls
        const high = Math.max(1, room[1] - rest);
        const area = ratio ? Math.min(room[0], high * ratio) ** 2 / ratio : room[0] * high;
        if (!found || area > found.area * 1.02) found = { area, share, room };
      }
      return found;
    };
    const chosen = [1, 0.9, 0.8, 0.7, 0.6].reduce((found, value) => found ?? best(value), null)
      ?? { share: 1, room: [width, 0.5 * height] };
    words(chosen.share);
    place(section, show, shown, code, chosen.room);
  }

  // Formulas are large where there is room.
  function trim(section) {
    for (const formula of section.querySelectorAll('mjx-container[display="true"]')) {
      formula.style.fontSize = "";
      const inner = formula.querySelector("mjx-math")?.getBoundingClientRect().width ?? 0;
      const room = formula.parentElement.clientWidth - 8;
      if (inner > room) formula.style.setProperty("font-size", `${Math.floor(150 * room / inner)}%`, "important");
    }
  }

  // Long rows of numbers, beside a picture and its comment, are for whoever asks: the key of the code shows them.
  // So are very long ones beside a picture alone.
  function quieten(section) {
    const printed = [...section.querySelectorAll(".deck-print .jp-OutputArea-output > pre")];
    const letters = printed.reduce((sum, one) => sum + one.textContent.length, 0);
    const commented = section.querySelector(":is(.deck-text, .deck-lead)");
    const idle = letters > (commented ? PRINTED : 2 * PRINTED) && section.matches(".deck-of-picture");
    for (const one of printed) one.closest(".jp-OutputArea-child").classList.toggle("deck-idle", Boolean(idle));
  }

  function proportion(picture) {
    return (picture.naturalWidth || picture.offsetWidth) / (picture.naturalHeight || picture.offsetHeight || 1);
  }

  // Pictures, code or a table, as large as the room allows.
  function place(section, show, shown, code, [width, height]) {
    show.style.width = `${width}px`;
    show.style.setProperty("--grow", 1);
    if (code.length) section.style.setProperty("--jp-code-font-size",
      `${codeSize(code, section, width, height - restOf(show, code))}px`);
    const high = (value) => show.style.setProperty("--picture-width", `${value}px`);
    if (shown.length) {
      const ratio = Math.min(...shown.map(proportion));
      largest(0.15 * width, Math.min(width, height * ratio), (value) => {
        high(value);
        return show.scrollHeight <= height + 1;
      });
    } else if (show.querySelector("table")) {
      largest(0.4, show.querySelectorAll("tr").length > 2 ? 1.6 : 2.1, (value) => {
        show.style.setProperty("--grow", value);
        return show.scrollHeight <= height && show.scrollWidth <= width + 1;
      });
    }
  }

  function restOf(show, code) {
    const inputs = code.map((cell) => cell.node.querySelector(".jp-InputArea").offsetHeight);
    return Math.max(0, show.scrollHeight - inputs.reduce((a, b) => a + b, 0));
  }

  // Numbers about the slide that is shown: for `course slides --report`, and for tests.
  function measure() {
    const section = current(), screen = innerWidth * innerHeight;
    const body = section.querySelector(".deck-body");
    const shown = [...pictures(section), ...visible(section.querySelectorAll(".jp-OutputArea-output table"))];
    const areas = shown.map((node) => node.getBoundingClientRect()).map((r) => r.width * r.height);
    const inside = visible(section.querySelectorAll("p, li, img, table, pre, .cm-line, .course-explorer, h1, h2"));
    const lowest = Math.max(0, ...inside.map((node) => node.getBoundingClientRect().bottom));
    const beyond = visible(section.querySelectorAll(":is(p, li) > code")).map((node) =>
      node.getBoundingClientRect().right - node.parentElement.getBoundingClientRect().right);
    const letters = visible(section.querySelectorAll("p, li, td, pre, .cm-line"));
    const ink = section.cloneNode(true).innerText ? section.innerText : "";
    return {
      title: section.querySelector("h1, h2")?.innerText ?? "",
      kind: [...section.classList].find((c) => c.startsWith("deck-of-"))?.slice(8) ?? "",
      picture: areas.reduce((a, b) => a + b, 0) / screen,
      words: (ink.match(/[^\s\d\W][^\s]*/gu) ?? []).length,
      overflow: Math.round(Math.max(0, body.scrollHeight - body.clientHeight, lowest - innerHeight, ...beyond)),
      letters: Math.min(99, ...letters.map((node) => parseFloat(getComputedStyle(node).fontSize))),
      sharpness: Math.min(9, ...pictures(section).filter((p) => p.naturalWidth && !/^data:image.svg/.test(p.src))
        .map((p) => p.naturalWidth / p.getBoundingClientRect().width)),
    };
  }

  // ---------------------------------------------------------------- running

  const codeOf = (panel) => panel.content.widgets.filter((cell) => cell.model.type === "code");

  async function run(panel, cells, say) {
    const { CodeCell } = (await Object.values(shared["@jupyterlab/cells"])[0].get())();
    await panel.sessionContext.ready;
    run.stopped = false;
    for (const [done, cell] of cells.entries()) {
      if (run.stopped) break;
      say(done + 1, cells.length);
      await CodeCell.execute(cell, panel.sessionContext).catch(() => {});
    }
  }

  // As it was opened: for the next class. The file is untouched, for a deck is a copy that is not saved.
  async function reset(panel, first) {
    run.stopped = true;
    await panel.sessionContext.session?.kernel?.restart();
    for (const [cell, { source, outputs }] of first) {
      if (cell.isDisposed) continue;
      cell.model.sharedModel.setSource(source);
      if (!outputs) continue;
      cell.model.outputs.fromJSON(structuredClone(outputs));
      cell.model.executionCount = null;
    }
    location.hash = "#/slide-0-0";
  }

  // ---------------------------------------------------------------- for the speaker

  const notes = { window: null, began: Date.now() };

  function openNotes(panel) {
    notes.window = window.open("", "course-notes", "width=760,height=620");
    tellNotes(panel);
  }

  function tellNotes(panel) {
    const target = notes.window;
    if (!target || target.closed) return;
    const all = panel.content.widgets.filter((cell) => told(cell).kind);
    const at = all.findIndex((cell) => current()?.contains(cell.node));
    const sum = (list) => list.reduce((total, cell) => total + told(cell).minutes, 0);
    const gone = Math.floor((Date.now() - notes.began) / 60000);
    const heading = (cell) => cell?.model.sharedModel.source.replace(/^#+ /, "") ?? "the end";
    const lines = [
      element("p", {}, `Slide ${at + 1} of ${all.length}: about ${told(all[at]).minutes} min. `
        + `Planned: ${Math.round(sum(all.slice(0, at)))} of ${Math.round(sum(all))} min; since the start: ${gone} min.`),
      element("h2", {}, heading(all[at])),
      element("pre", {}, told(all[at]).notes || "(no notes)"),
      element("p", {}, `Next: ${heading(all[at + 1])}`),
    ];
    target.document.title = "Notes";
    target.document.head.replaceChildren(element("style", {}, "body{font:18px/1.5 sans-serif;margin:24px;"
      + "background:#fff;color:#111}pre{font:inherit;white-space:pre-wrap}"));
    target.document.body.replaceChildren(...lines);
  }

  function dark() {
    const now = document.body.classList.toggle("deck-dark");
    localStorage.setItem("course-slides-dark", now ? "1" : "0");
  }

  function bar(panel, first, refit) {
    const all = element("button", { id: "course-run-all", textContent: "▶ Run all cells" });
    let busy = false;
    const start = async (cells) => {
      if (busy) return void (run.stopped = true, panel.sessionContext.session?.kernel?.interrupt());
      busy = true;
      document.body.classList.add("deck-running");
      await run(panel, cells, (n, of) => { all.textContent = `■ Stop: cell ${n} of ${of}`; refit(); });
      document.body.classList.remove("deck-running");
      busy = false;
      all.textContent = "▶ Run all cells";
      all.dataset.done = String(Number(all.dataset.done ?? 0) + 1);
      refit();
    };
    const actions = {
      c: ["code", () => { document.body.classList.toggle("deck-code-shown"); refit(); }],
      n: ["notes", () => openNotes(panel)],
      d: ["dark", dark],
      r: ["run slide", () => start(codeOf(panel).filter((cell) => current().contains(cell.node)))],
      "0": ["reset", () => {
        if (confirm("Restart the kernel and put every slide back as it was opened?")) reset(panel, first).then(refit);
      }],
    };
    all.onclick = () => start(codeOf(panel));
    const buttons = Object.entries(actions).map(([key, [name, act]]) =>
      element("button", { onclick: act, textContent: name, title: `key ${key}`, id: `course-${name.replace(" ", "-")}` }));
    document.body.append(element("div", { id: "course-bar", role: "toolbar" }, all, ...buttons));
    // Before the notebook sees a key: there, one letter can cut a cell.
    window.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, select, textarea, .cm-content");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const key = event.key === "Enter" && event.shiftKey ? "r" : event.key.toLowerCase();
      if (actions[key]) actions[key][1]();
      if (actions[key] || "abxyzmv".includes(key)) {
        event.stopImmediatePropagation();
        event.preventDefault();
      }
    }, true);
  }

  async function activate(app) {
    const panel = await until(() => app.shell.currentWidget);
    await panel.context.ready;
    await until(() => document.querySelector("section[id^=slide-]"));
    const cells = panel.content.widgets;
    const first = cells.map((cell) => [cell, {
      source: cell.model.sharedModel.source, outputs: cell.model.outputs?.toJSON(),
    }]);
    for (const section of document.querySelectorAll("section[id^=slide-]")) {
      const own = cells.filter((cell) => section.contains(cell.node));
      if (own.length && told(own[0]).kind) arrange(section, own);
    }
    let waiting;
    const now = () => { fit(current(), panel); tellNotes(panel); };
    // Pictures and formulas arrive a little later than the slide; a drag is not disturbed.
    const refit = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => (document.querySelector(".noUi-active") ? refit() : now()), 120);
    };
    document.addEventListener("slidechanged", () => { now(); refit(); setTimeout(now, 700); });
    window.addEventListener("resize", refit);
    document.addEventListener("load", refit, true);
    new MutationObserver(refit).observe(panel.content.node, { childList: true, subtree: true });
    bar(panel, first, refit);
    globalThis.courseSlides = { measure, refit: now };
    now();
  }

  // The kernel writes its version into a notebook's metadata. That is no change of the student's.
  async function untouched(panel) {
    await panel.context.ready;
    const model = panel.context.model, opened = Date.now();
    const cells = () => JSON.stringify(model.toJSON().cells);
    const first = cells();
    const check = () => {
      if (model.dirty && Date.now() - opened < 60000 && cells() === first) model.dirty = false;
    };
    model.stateChanged.connect((_, change) => { if (change.name === "dirty") queueMicrotask(check); });
    check();
  }

  function watch(app) {
    const seen = new WeakSet();
    app.shell.currentChanged?.connect((_, { newValue }) => {
      if (!newValue?.content?.widgets || !newValue.context || seen.has(newValue)) return;
      seen.add(newValue);
      void untouched(newValue);
    });
  }

  const lab = { id: "course-slides:untouched", autoStart: true, activate: watch };
  const plugin = { id: "course-slides:deck", autoStart: true, activate: (app) => void activate(app) };
  const module = { __esModule: true, default: slides ? [plugin] : [lab] };
  globalThis._JUPYTERLAB ??= {};
  globalThis._JUPYTERLAB["course-slides"] = { init, get: async () => () => module };
})();
