// The loss, and what becomes of each layer, as the steps go on.

import { el } from "/static/common.js";
import { lossChart, sparkline } from "/static/step/charts.js";
import { brief, number } from "/static/step/numbers.js";

const COLUMNS = [
  ["ratio", "update to weights", "the root mean square of what the step adds to the weights, over that of the weights: about 0.001 is usual"],
  ["gradient", "gradient", "the root mean square of the gradient with respect to the weights"],
  ["weights", "weights", "their root mean square"],
  ["silent", "silent", "the share of channels or features that give zero everywhere"],
];

/** Fill `host` with the history { numbers, loss, trained, layers: [{ path, ratio, … }] }, a value per step. */
export function showCourse(host, { numbers, loss, trained, layers }) {
  const shown = (key, value) => (key === "silent" && value !== null ? `${(100 * number(value)).toFixed(0)} %` : brief(value, 3));
  const cell = (layer, [key, name]) => {
    const values = layer[key];
    if (!values) return el("td", {}, "");
    const known = values.map((value) => (value === null ? NaN : number(value)));
    const last = values.at(-1);
    return el("td", { class: "right", "data-key": key, "data-value": last ?? "" }, el("span", {}, shown(key, last)), values.length > 1 ? sparkline(known, `${name} of ${layer.path} over ${values.length} steps`) : "");
  };
  const told = trained ? "The loss of the images shown, at the steps that were looked at, and, as a thin line, that of each training batch." : "The loss of these images before each step.";
  host.replaceChildren(
    el("figure", {}, lossChart(numbers, loss, trained, `The loss up to step ${numbers.at(-1)}, now ${brief(loss.at(-1))}`), el("figcaption", {}, told)),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Layer by layer" },
      el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "layer"), COLUMNS.map(([, name, about]) => el("th", { scope: "col", class: "right", title: about }, name)))),
        el("tbody", {}, layers.map((layer) => el("tr", { "data-path": layer.path }, el("th", { scope: "row" }, layer.path), COLUMNS.map((column) => cell(layer, column))))))),
  );
}
