// One weight: its derivative found in three ways, the loss as the weight moves, and the optimizer's step.

import { el } from "/static/common.js";
import { tangentChart } from "/static/step/charts.js";
import { brief, number, places } from "/static/step/numbers.js";
import { linesOf } from "/static/step/working.js";

/** Fill `host` with a weight, as `WeightStep.to_json` writes it. */
export function showWeight(host, weight) {
  const { name, index, value, offsets, losses, tangent, update, after, penalty, pending } = weight;
  const without = pending ? "PyTorch is being loaded …" : weight.no_autograd;
  const ways = [
    ["by hand", weight.by_hand, null, "as the layer's backward has it, in float32"],
    ["by autograd", weight.by_autograd, weight.autograd_agrees, without || "as PyTorch has it, in float64"],
    ["by a nudge", weight.by_nudge, weight.nudge_agrees, "from the loss a little to either side, in float64"],
  ];
  const apart = ways.filter(([, , agrees]) => agrees === false).map(([way]) => way);
  const compared = ways.filter(([, , agrees]) => agrees !== null).length + 1;
  const verdict = apart.length ? `The derivative by hand disagrees with the one ${apart.join(" and the one ")}.` : `All ${compared} agree, but for what float32 rounds.`;
  const middle = (offsets.length - 1) / 2;
  const chart = el("div", {});
  const told = el("output", { class: "moved" });
  const slider = el("input", { type: "range", min: 0, max: offsets.length - 1, value: middle, id: "nudge", oninput: () => move() });
  const move = () => {
    const n = Number(slider.value);
    chart.replaceChildren(tangentChart({ value: number(value), offsets, losses: losses.map(number), tangent: tangent.map(number), slope: number(weight.by_hand) }, n));
    const text = `At ${brief(number(value) + offsets[n])} the loss is ${brief(losses[n], 5)}; along the tangent it would be ${brief(tangent[n], 5)}.`;
    told.textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };
  host.replaceChildren(
    el("p", { class: "result" }, el("b", {}, `${name}${places(index)}`), " = ", el("span", { class: "value", "data-value": value }, brief(value))),
    el("div", { class: "halves even" },
      el("div", {},
        el("table", { class: "ways" }, el("caption", {}, "The derivative of the loss with respect to this weight"),
          el("tbody", {}, ways.map(([way, found, , about]) => el("tr", { "data-way": way }, el("th", { scope: "row" }, way), el("td", { class: "right", "data-value": found ?? "", title: String(found) }, brief(found, 6)), el("td", { class: "note" }, about))))),
        el("p", { class: apart.length ? "agree not" : "agree", "data-agrees": String(!apart.length) }, verdict),
        penalty ? el("p", { class: "note" }, `The optimizer adds ${brief(penalty)}, the derivative of the penalties.`) : ""),
      el("div", {}, chart, el("label", { class: "nudge", for: "nudge" }, "Move the weight"), slider, told)),
    el("h3", {}, "Update"),
    el("ol", { class: "lines update" }, update.lines.map((line) => el("li", {}, linesOf(line)))),
    el("p", {}, "After the step on these images the weight is ", el("b", { "data-after": after, title: String(after) }, brief(after, 6)), "."),
  );
  move();
}
