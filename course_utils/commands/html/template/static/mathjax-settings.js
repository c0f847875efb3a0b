// MathJax takes this up when it loads; the menu would ask for files that are not here.
window.MathJax = {
  tex: { inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true },
  svg: { fontCache: "global" },
  startup: {
    async pageReady() {
      await MathJax.startup.defaultPageReady();
      // A formula wider than a telephone scrolls; the keyboard must reach it.
      for (const formula of document.querySelectorAll('mjx-container[display="true"]')) formula.tabIndex = 0;
    },
  },
  options: { enableMenu: false, skipHtmlTags: ["script", "style", "textarea", "pre", "code"] },
};
