// MathJax takes this up when it loads; the menu would ask for files that are not here.
window.MathJax = {
  tex: { inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true },
  svg: { fontCache: "global" },
  options: { enableMenu: false, skipHtmlTags: ["script", "style", "textarea", "pre", "code"] },
};
