// Bars of probabilities that move.

import { el } from "./elements.js";

const SIGNS = { true: "✓ ", wrong: "✗ " };

export class Bars {
  /**
   * A bar for each class, in their order; of more than `most` classes, or where `sorted` is asked for, the most
   * probable first. `said(probability)` stands behind a bar, `signs` before the true class and a wrong answer.
   */
  constructor(list, classes, { most = 12, sorted = classes.length > most, said = brief, signs = SIGNS } = {}) {
    Object.assign(this, { classes, sorted, said, signs });
    this.rows = Array.from({ length: Math.min(classes.length, most) }, () => {
      const [name, bar, number] = ["name", "bar", "number"].map((kind) => el("span", { class: kind }));
      name.dir = "auto";
      return { row: el("li", {}, name, bar, number), name, bar, number };
    });
    list.replaceChildren(...this.rows.map(({ row }) => row));
    this.show(classes.map(() => 0), true);
  }

  /** `label` is the true class where that is known: it has a bar, and a sign tells it from a wrong answer. */
  show(probabilities, nothing, label = -1) {
    let order = this.classes.map((_, k) => k);
    const best = nothing ? -1 : probabilities.indexOf(Math.max(...probabilities));
    if (this.sorted) order = order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, this.rows.length);
    if (label >= 0 && !order.includes(label)) order[order.length - 1] = label;
    order.forEach((k, i) => {
      const { row, name, bar, number } = this.rows[i];
      const kind = k === label ? "true" : k !== best ? "" : label < 0 ? "best" : "wrong";
      name.textContent = `${this.signs[kind] ?? ""}${this.classes[k]}`;
      name.title = this.classes[k];
      bar.style.setProperty("--share", nothing ? 0 : probabilities[k]);
      number.textContent = nothing ? "" : this.said(probabilities[k]);
      row.className = kind;
    });
  }
}

const brief = (probability) => (probability < 0.005 ? "" : share(probability));

/** A probability as a reader says it. */
export function share(probability) {
  const percent = 100 * probability;
  if (percent > 0 && percent < 1) return "< 1 %";
  return percent < 100 && percent > 99 ? "> 99 %" : `${percent.toFixed(0)} %`;
}
