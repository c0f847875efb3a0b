// Themes, sliders over stored frames, and the search: all that moves on these pages.
"use strict";
const up = document.currentScript.dataset.up;

function kept(name, value) {
  try {  // a page opened from a file may have no storage
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch { return null; }
}

function wear(theme) {
  document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = theme === "dark" ? "Light" : "Dark";
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => kept("theme") || (dark.matches ? "dark" : "light");
wear(theme());

// ---------------------------------------------------------------- stored frames

function move(explorer, control, input) {
  const at = Number(input.value), frame = control.frames[at];
  for (const other of explorer.querySelectorAll("input, select"))
    if (other !== input) {
      other.value = other.dataset.start;
      tell(other);
    }
  tell(input);
  const picture = explorer.querySelector("img");
  picture.src = frame.image;
  picture.alt = frame.text;
  [picture.width, picture.height] = frame.size;
  picture.parentElement.style.width = `${frame.width}px`;  // other photos are wider or narrower
  explorer.querySelector(".titles").innerHTML = frame.titles;
  explorer.querySelector(".text").textContent = frame.text;
}

function tell(input) {
  const word = input.dataset.words ? JSON.parse(input.dataset.words)[Number(input.value)] : "";
  if (!word) return;
  input.setAttribute("aria-valuetext", word);
  input.nextElementSibling.textContent = word;
}

function wake(explorer) {
  const { controls } = JSON.parse(explorer.querySelector("script").textContent);
  explorer.querySelectorAll("input, select").forEach((input, i) => {
    input.value = input.dataset.start;
    input.addEventListener("input", () => move(explorer, controls[i], input));
    input.addEventListener("focus", () => {  // so that the picture follows the hand at once
      for (const frame of controls[i].frames) new Image().src = frame.image;
    }, { once: true });
  });
}

// ---------------------------------------------------------------- search

let asked = null;

function index() {
  asked ??= new Promise((done) => {
    const script = document.createElement("script");  // a file may be loaded, but not fetched
    script.src = up + "static/search.js";
    script.onload = () => done(window.COURSE_TEXTS);
    document.head.append(script);
  });
  return asked;
}

function score(entry, words) {
  const heading = (entry.lecture + " " + entry.heading).toLowerCase(), text = entry.text.toLowerCase();
  let sum = 0;
  for (const word of words) {
    const hits = (heading.includes(word) ? 20 : 0) + Math.min(5, text.split(word).length - 1);
    if (!hits) return 0;
    sum += hits;
  }
  return sum;
}

function excerpt(text, word) {
  const at = Math.max(0, text.toLowerCase().indexOf(word) - 50);
  return (at ? "… " : "") + text.slice(at, at + 140) + (text.length > at + 140 ? " …" : "");
}

async function search(query, found) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const entries = words.length ? await index() : [];
  const best = entries.map((entry) => [score(entry, words), entry]).filter(([s]) => s)
    .sort((a, b) => b[0] - a[0]).slice(0, 12);
  found.replaceChildren();
  if (!words.length) return;
  const said = document.createElement("p");
  said.textContent = best.length ? `${best.length === 12 ? "The best 12" : best.length} found`
    : `Nothing found for “${query}”`;
  found.append(said);
  for (const [, entry] of best) {
    const link = document.createElement("a"), small = document.createElement("span");
    link.href = up + entry.place;
    link.textContent = `${entry.lecture}: ${entry.heading}`;
    small.textContent = excerpt(entry.text, words[0]);
    link.append(small);
    found.append(link);
  }
}

// ---------------------------------------------------------------- when the page is there

addEventListener("DOMContentLoaded", () => {
  wear(theme());
  document.getElementById("theme")?.addEventListener("click", () => {
    const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    kept("theme", other);
    wear(other);
  });
  document.querySelectorAll(".explorer").forEach(wake);
  const field = document.getElementById("search"), found = document.getElementById("found");
  field?.addEventListener("focus", index, { once: true });
  field?.addEventListener("input", () => search(field.value, found));
  field?.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    found.replaceChildren();
  });
});
