/**
 * Keeps the page as high as what can be seen of it.
 *
 * On iOS the on-screen keyboard lies over the page and `100dvh` does not change; only the visual viewport knows. Other
 * browsers resize the page themselves (`interactive-widget` in index.html), and the two heights agree.
 */
export function followVisualViewport(): void {
  const viewport = window.visualViewport;
  if (viewport === null) return;
  const apply = () => {
    // Zoomed in by pinching, the viewport is a window on the page and says nothing about its height.
    if (viewport.scale > 1.01) return;
    document.documentElement.style.setProperty("--visible-height", `${viewport.height}px`);
    // iOS also pushes the page up to bring the field into view, which the new height has already done.
    window.scrollTo(0, 0);
  };
  viewport.addEventListener("resize", apply);
}
