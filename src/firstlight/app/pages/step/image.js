// Which image the step is taken on: one of the set, an uploaded one, a drawn one.

import { el, tell } from "/static/common.js";
import { Strokes } from "/static/drawing/strokes.js";

const byId = (id) => document.getElementById(id);

export class ImageChoice {
  /** `open(image, body)` begins anew on an image; `limit` are the bytes that can be sent. */
  constructor({ limit, open }) {
    Object.assign(this, { limit, open, sheet: null, own: null }); // own: { body, drawn } of an image that is of no set
    byId("previous-image").addEventListener("click", () => this.number(Number(byId("image-number").value) - 1));
    byId("next-image").addEventListener("click", () => this.number(Number(byId("image-number").value) + 1));
    byId("image-number").addEventListener("change", (event) => this.number(Number(event.target.value)));
    byId("target").addEventListener("change", () => this.again());
    byId("batch").addEventListener("change", () => this.number(Number(byId("image-number").value)));
    byId("file").addEventListener("change", (event) => this.file(event.target.files[0]));
    byId("draw").addEventListener("click", () => this.draw());
    byId("undo").addEventListener("click", () => this.sheet.undo());
    byId("clear").addEventListener("click", () => this.sheet.clear());
    const drop = byId("drop");
    for (const name of ["dragover", "drop"]) drop.addEventListener(name, (event) => event.preventDefault());
    drop.addEventListener("drop", (event) => this.file(event.dataTransfer.files[0]));
    addEventListener("paste", (event) => this.file(event.clipboardData.files[0]));
  }

  show({ images, classes, size, inks, brush, state }) {
    Object.assign(this, { count: images.count, size, inks, brush });
    const { first, batch, told } = images;
    if (byId("target").options.length !== classes.length) {
      byId("target").replaceChildren(...classes.map((name, k) => el("option", { value: k }, name)));
    }
    byId("target").value = state.loss.label;
    byId("image-told").textContent = told;
    byId("chooser").hidden = !images.choosable;
    const input = byId("image-number");
    input.max = this.count - 1;
    this.first = first ?? this.first ?? 0;
    input.value = this.first;
    byId("previous-image").disabled = first === null || first === 0;
    byId("next-image").disabled = first === null || first >= this.count - 1;
    byId("batch").value = batch;
    byId("which").hidden = batch === 1;
    byId("shown").max = batch - 1;
    byId("shown").value = 0;
  }

  number(n) {
    if (!Number.isInteger(n) || n < 0 || n >= this.count) {
      tell(`There are ${this.count.toLocaleString("en")} images, numbered from 0; received ${n}.`, "error");
      byId("image-number").value = this.first;
      return;
    }
    this.own = null;
    byId("image-number").value = n; // at once, so that quick presses add up
    this.open({ image: n, batch: this.batch }).then((problem) => {
      if (problem) byId("image-number").value = this.first;
    });
  }

  /** How many images the step is taken on. */
  get batch() {
    const input = byId("batch");
    const asked = Math.round(Number(input.value)) || 1;
    input.value = Math.max(1, Math.min(Number(input.max), asked));
    return input.value;
  }

  /** The same image with another class taken for the true one. */
  again() {
    if (this.own) this.send();
    else this.open({ image: byId("image-number").value, batch: this.batch, label: byId("target").value });
  }

  async file(file) {
    if (!file || byId("chooser").hidden) return;
    if (file.size > this.limit) {
      tell(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most ${(this.limit / 1e6).toFixed(1)} MB can be sent at once.`, "error");
      return;
    }
    this.own = { body: await file.arrayBuffer(), drawn: 0 };
    byId("file").value = "";
    this.send();
  }

  send() {
    this.open({ label: byId("target").value, drawn: this.own.drawn }, this.own.body);
  }

  draw() {
    const box = byId("drawing");
    box.hidden = !box.hidden;
    byId("draw").setAttribute("aria-expanded", String(!box.hidden));
    if (this.sheet) return;
    this.sheet = new Strokes(byId("sheet"), this.size, () => this.drawn());
    this.sheet.brush = this.brush;
    this.sheet.colours(...this.inks);
  }

  drawn() {
    if (this.sheet.empty) return;
    this.own = { body: this.sheet.bytes(), drawn: 1 };
    this.send();
  }
}
