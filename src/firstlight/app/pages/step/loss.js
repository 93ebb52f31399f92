// The loss: its formula, what the net says of each class, the target, and the gradient with respect to each output.

import { el } from "/static/common.js";
import { brief, markup } from "/static/step/numbers.js";

const COLUMNS = [["y", "output y"], ["p", "probability p"], ["t", "target t"], ["dy", "gradient dy"]];

/** Fill `host` with the loss of the image that is shown; `explain(of, k)` hears of a number that is asked about. */
export function showLoss(host, loss, { formulas, name }, explain) {
  const asked = (of, k, value) =>
    el("button", { type: "button", class: "quiet number", "data-of": of, "data-value": value, title: String(value), "aria-label": `${of}${k === null ? "" : ` of ${loss.rows[k].name}`}, ${brief(value)}: show what it is made of`, onclick: () => explain(of, k) }, brief(value));
  const cell = (row, key, k) => {
    if (row[key] === undefined || row[key] === null) return el("td");
    if (key === "dy") return el("td", { class: "right" }, asked("dy", k, row.dy));
    return el("td", { class: "right", "data-key": key, "data-value": row[key], title: String(row[key]) }, brief(row[key]));
  };
  const value = loss.mean === loss.value ? "" : [" · the mean of the batch is ", el("span", { "data-value": loss.mean }, brief(loss.mean))];
  host.replaceChildren(
    el("div", { class: "formula" }, formulas.map((line) => el("p", {}, markup(line)))),
    el("p", { class: "result" }, el("b", {}, name), " = ", asked("value", null, loss.value), value, loss.penalty ? [" · and a penalty of ", brief(loss.penalty)] : ""),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Class by class" },
      el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "class"), COLUMNS.map(([, title]) => el("th", { scope: "col", class: "right" }, title)))),
        el("tbody", {}, loss.rows.map((row, k) => el("tr", { class: k === loss.label ? "true" : "" }, el("th", { scope: "row" }, row.name), COLUMNS.map(([key]) => cell(row, key, k))))))),
  );
}
