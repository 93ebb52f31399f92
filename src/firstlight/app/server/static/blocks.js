// The report's blocks in a page: what the server may not style itself is styled here, and the charts are drawn.
import { chart, embedded, tell } from "./common.js";

/**
 * Make the report's blocks in the page whole; `drawn(figure, view)` hears of each chart, and of what kind it is, and
 * `options(figure)` are its own.
 */
export async function enliven(drawn = () => {}, options = () => ({})) {
  const specs = embedded("specs");
  for (const element of document.querySelectorAll("[data-style]")) element.style.cssText = element.dataset.style;
  for (const drawing of document.querySelectorAll(".report .drawing")) {
    try {
      const figure = drawing.closest("figure");
      const { view } = await chart(drawing, specs[Number(drawing.dataset.chart)], options(figure));
      drawn(figure, view);
    } catch (error) {
      tell(`A chart cannot be drawn: ${error.message}`, "error");
      return;
    }
  }
}
