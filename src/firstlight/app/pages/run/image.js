// One image: its probabilities, where the net looked, and its feature maps layer by layer.
import { api, el, percent } from "/static/common.js";
import { Bars } from "/static/drawing/probabilities.js";

const byId = (id) => document.getElementById(id);
const BARS = 10;

export class Details {
  constructor(run, classes) {
    Object.assign(this, { run, classes, asked: 0 });
    this.dialog = byId("details");
    this.bars = new Bars(byId("bars"), classes, { most: BARS, sorted: true, said: percent });
    byId("target").append(...classes.map((text, k) => el("option", { value: k }, text)));
    byId("target").addEventListener("change", () => this.look(byId("target").value));
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // beside it
    });
    byId("earlier").addEventListener("click", () => this.turn(-1));
    byId("later").addEventListener("click", () => this.turn(1));
    this.dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.target.matches("select") || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.turn(by);
    });
  }

  /** Go to the image before or after this one, where there is one. */
  async turn(by) {
    const image = await this.step(by).catch(() => null);
    if (image && this.dialog.open) this.open(image, this.step);
  }

  /**
   * `image` has index, source, split, src, id, label, predicted; `step(1)` and `step(-1)` promise its neighbours where
   * it was chosen, or null.
   */
  open(image, step = async () => null) {
    this.image = image;
    this.step = step;
    byId("details-image").src = image.src;
    byId("details-image").alt = `${this.classes[image.label] ?? "unknown class"}, image ${image.id}`;
    byId("details-id").textContent = `image ${image.id} (${image.split})`;
    byId("details-review").href = `/review?${new URLSearchParams({ run: this.run, id: image.id })}`;
    byId("details-title").textContent = "";
    byId("bars").hidden = true;
    byId("views").replaceChildren(el("li", { class: "note" }, "Computing …"));
    byId("layers").replaceChildren();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.look("").then(() => this.layers(), () => {});
  }

  address(what, more) {
    const { source, split, index } = this.image;
    return `/api/runs/${this.run}/${what}?${new URLSearchParams({ source, split, index, ...more })}`;
  }

  /** Ask for the answer and the views for a class; for the answered class where none is given. */
  async look(target) {
    const image = this.image;
    let found;
    try {
      found = await api(this.address("look", { target }), { quiet: true });
    } catch (error) {
      byId("views").replaceChildren(el("li", { class: "caution" }, error.message));
      throw error;
    }
    if (image !== this.image) return;
    byId("target").value = found.target;
    this.answer(found);
    byId("views").replaceChildren(
      ...found.views.map((view) => el("li", {}, el("img", { src: view.image, alt: `${view.name}: ${view.text}`, class: "sample" }), el("b", {}, view.name), " ", el("span", { class: "note" }, view.text))),
    );
  }

  answer({ probabilities, label }) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    const right = best === label;
    const said = `${this.classes[best]} (${percent(probabilities[best], 0)})`;
    const title = byId("details-title");
    title.replaceChildren(el("span", { class: right ? "right-answer" : "wrong-answer" }, right ? "✓ " : "✗ "), `Prediction: ${said}`, right ? "" : `. True class: ${this.classes[label]}`);
    this.bars.show(probabilities, false, label);
    byId("bars").hidden = false;
  }

  async layers() {
    const image = this.image;
    const list = byId("layers");
    list.replaceChildren(el("li", { class: "note" }, "Computing …"));
    const found = await api(this.address("layers"), { quiet: true }).catch((error) => {
      list.replaceChildren(el("li", { class: "caution" }, error.message));
    });
    if (!found || image !== this.image) return;
    const number = (value) => value.toPrecision(3).replace("-", "−");
    list.replaceChildren(
      ...found.layers.map((layer) => {
        const size = layer.size ? `${layer.units} maps of ${layer.size.join(" × ")}` : `${layer.units} features`;
        const part = layer.shown < layer.units ? `, the first ${layer.shown}` : "";
        const text = `${layer.type}: ${size}${part}, from ${number(layer.low)} to ${number(layer.high)}`;
        return el("li", {}, el("b", {}, layer.layer), " ", el("span", { class: "note" }, text), el("img", { src: layer.image, alt: `${layer.layer}, ${text}`, class: layer.size ? "maps" : "maps flat" }));
      }),
    );
  }
}
