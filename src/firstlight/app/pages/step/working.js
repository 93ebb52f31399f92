// What a value is made of: line by line, with the numbers that are multiplied, and where these lie on the maps.

import { el } from "/static/common.js";
import { brief, markup, number, places } from "/static/step/numbers.js";

const ROWS = 30; // terms that are shown until more are asked for

/** The sentence for a screen reader. */
export function spoken({ title, value, lines }) {
  const terms = lines.at(-1).products.reduce((sum, product) => sum + product.terms, 0);
  const how = { sum: `the sum of ${terms} ${terms === 1 ? "term" : "terms"}`, largest: `the largest of ${terms} values`, value: `from ${terms} ${terms === 1 ? "number" : "numbers"}` };
  return `${title} is ${brief(value)}, ${how[lines.at(-1).kind]}.`;
}

/** Fill `host` with a working, as `Working.to_json` writes it, with its `title`, and each line as `mathml` too. */
export function showWorking(host, working) {
  if (!working) {
    host.replaceChildren(el("p", { class: "note" }, "No value is chosen."));
    return;
  }
  const { title, value, worked, difference, rounding, agrees, lines, note } = working;
  const how = agrees
    ? `The engine, in float32 and in its own order, has ${brief(value, 8)}: they differ by ${brief(difference, 2)}, and rounding can account for up to ${brief(rounding, 2)}.`
    : `They disagree: the engine has ${brief(value, 8)}, a difference of ${brief(difference, 3)}, and rounding can account for ${brief(rounding, 2)} at most.`;
  host.replaceChildren(
    el("p", { class: "result" }, el("b", {}, title), " = ", el("span", { class: "value", "data-value": value, "data-worked": worked }, brief(value))),
    el("ol", { class: "lines" }, lines.map((line) => el("li", {}, linesOf(line)))),
    el("p", { class: agrees ? "agree" : "agree not", "data-agrees": String(agrees) }, how),
    note ? el("p", { class: "note" }, note) : "",
  );
}

/** A line of a working: its formula, its value, and the numbers in it. */
export function linesOf(line) {
  const { symbol, mathml, formula, kind, value, products, winner } = line;
  const said = { sum: "", largest: "the largest", value: "" }[kind];
  const single = products.filter(({ operands, omitted }) => operands.length === 1 && !omitted);
  const tables = products.filter((product) => !single.includes(product));
  return [
    el("p", { class: "line" }, mathml ? markup(mathml) : el("span", {}, formula), el("span", { class: "number", "data-line": symbol, "data-value": value, title: String(value) }, ` = ${brief(value)}`)),
    tables.map((product) => terms(product, kind === "largest" ? winner : null, kind)),
    single.length ? el("dl", { class: "quantities" }, single.map(({ operands: [{ array, index, values: each }] }) => each.map((value, n) => el("div", { class: n === winner ? "winner" : "" }, el("dt", {}, `${array} ${index ? places(index[n]) : ""}`), el("dd", { title: String(value) }, brief(value)))))) : "",
    said && !tables.length ? el("p", { class: "rule" }, said) : "",
  ];
}

/** The terms of a product as a table; of many, the largest until all are asked for. */
function terms(product, winner, kind) {
  const { operands, values, omitted, omitted_sum: rest } = product;
  const box = el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `${product.terms} terms` });
  const head = el("tr", {}, operands.map(({ array, index }) => el("th", { scope: "colgroup", colspan: index ? 2 : 1 }, array)), operands.length > 1 ? el("th", { scope: "col", class: "right" }, "product") : "");
  const width = operands.reduce((sum, { index }) => sum + (index ? 2 : 1), 0);
  const row = (n) =>
    el("tr", { class: n === winner ? "winner" : "" },
      operands.map(({ index, values: each }) => [index ? el("td", { class: "place" }, places(index[n])) : "", el("td", { class: "right", title: String(each[n]) }, brief(each[n]))]),
      operands.length > 1 ? el("td", { class: "right", title: String(values[n]) }, brief(values[n])) : "");
  const fill = (all) => {
    const sizes = values.map((value, n) => [Math.abs(number(value)), n]).sort((a, b) => b[0] - a[0]);
    const kept = new Set(sizes.slice(0, ROWS).map(([, n]) => n));
    if (winner !== null) kept.add(winner);
    const shown = values.map((_, n) => n).filter((n) => all || values.length <= ROWS || kept.has(n));
    const hidden = values.length - shown.length;
    const left = number(rest) + values.reduce((sum, value, n) => (shown.includes(n) ? sum : sum + number(value)), 0);
    const more = hidden ? el("button", { type: "button", class: "quiet", onclick: () => fill(true) }, `${(hidden + omitted).toLocaleString("en")} smaller ones`) : `${omitted.toLocaleString("en")} smaller ones`;
    const foot = hidden + omitted && kind === "sum" ? el("tr", {}, el("th", { scope: "row", colspan: width }, more), el("td", { class: "right" }, brief(left))) : hidden + omitted ? el("tr", {}, el("td", { colspan: width + 1 }, more)) : "";
    box.replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, shown.map(row)), el("tfoot", {}, foot)));
  };
  fill(false);
  return box;
}

/**
 * The marks of a working on the maps, [{ index, kind }] by the tensor that they lie in. `ranks` has the axes of each
 * tensor as it is shown: of image `n` alone, where the working has the batch as its last axis.
 */
export function marksOf(working, ranks, n) {
  const marks = {};
  for (const line of working?.lines ?? []) {
    for (const { operands } of line.products) {
      for (const { array, index } of operands) {
        if (!index || !(array in ranks)) continue;
        marks[array] ??= [];
        index.forEach((each, term) => {
          if (each.length > ranks[array] && each.at(-1) !== n) return;
          marks[array].push({ index: each.slice(0, ranks[array]), kind: term === line.winner ? "winner" : "factor" });
        });
      }
    }
  }
  return marks;
}
