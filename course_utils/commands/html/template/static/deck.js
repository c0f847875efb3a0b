// Formulas first: reveal.js measures the slides when it starts.
"use strict";
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  Reveal.initialize({
    width: 1280, height: 720, margin: 0.03, hash: true, center: false, slideNumber: "c/t",
    transition: "none", navigationMode: "linear", plugins: [window.RevealNotes].filter(Boolean),
  });
});
