// Bars of probabilities that move.

import { el } from "./elements.js";

const BARS = 12; // classes that are all shown, in their order; of more, the most probable

/** A bar for each class; of many classes, for the most probable. */
export class Bars {
  constructor(list, classes) {
    this.classes = classes;
    this.rows = Array.from({ length: Math.min(classes.length, BARS) }, () => {
      const [name, bar, number] = ["name", "bar", "number"].map((kind) => el("span", { class: kind }));
      return { row: el("li", {}, name, bar, number), name, bar, number };
    });
    list.replaceChildren(...this.rows.map(({ row }) => row));
    this.show(classes.map(() => 0), true);
  }

  show(probabilities, nothing) {
    let order = this.classes.map((_, k) => k);
    const best = nothing ? -1 : probabilities.indexOf(Math.max(...probabilities));
    if (this.classes.length > BARS) order = order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, BARS);
    order.forEach((k, i) => {
      const { row, name, bar, number } = this.rows[i];
      name.textContent = this.classes[k];
      bar.style.setProperty("--share", nothing ? 0 : probabilities[k]);
      number.textContent = nothing || probabilities[k] < 0.005 ? "" : share(probabilities[k]);
      row.classList.toggle("best", k === best);
    });
  }
}

/** A probability as a reader says it. */
export function share(probability) {
  const percent = 100 * probability;
  if (percent > 0 && percent < 1) return "< 1 %";
  return percent < 100 && percent > 99 ? "> 99 %" : `${percent.toFixed(0)} %`;
}
