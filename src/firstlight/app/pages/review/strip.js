// The images around the one on the desk, in the order of the list.

import { el } from "/static/common.js";

const BESIDE = 12; // images before and after it

export class Strip {
  /** `choose(at)` when an image is taken. */
  constructor(list, classes, source, choose) {
    Object.assign(this, { ul: list, classes, source, choose, images: [], at: 0 });
  }

  list(images) {
    this.images = images;
    this.ul.replaceChildren();
  }

  /** Show those around a place. */
  show(at) {
    this.at = at;
    const from = Math.max(0, Math.min(at - BESIDE, this.images.length - 2 * BESIDE - 1));
    const focused = this.ul.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.ul.replaceChildren(...this.images.slice(from, from + 2 * BESIDE + 1).map((image, i) => this.tile(image, from + i)));
    const now = this.ul.querySelector("[aria-current]").closest("li");
    this.ul.scrollLeft = now.offsetLeft - this.ul.offsetLeft - (this.ul.clientWidth - now.offsetWidth) / 2;
    if (focused) this.ul.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  tile(image, place) {
    const given = this.classes[image.label];
    const other = image.answer === null || image.answer === image.label ? null : this.classes[image.answer];
    const attributes = { type: "button", "data-id": image.id, title: image.id, "aria-current": place === this.at ? "true" : null, onclick: () => this.choose(place) };
    return el(
      "li",
      { class: image.decided === null ? "" : "decided" },
      el(
        "button",
        attributes,
        el("img", { class: "sample", src: this.source(image.id), alt: "", loading: "lazy", width: 64, height: 64 }),
        el("span", { class: "names" }, el("bdi", {}, given), other === null ? null : [" → ", el("bdi", {}, other)]),
        image.decided === null ? null : el("span", { class: "detail" }, image.decided === "" ? "dropped" : ["✓ ", el("bdi", {}, image.decided)]),
      ),
    );
  }

  /** Something was decided of an image. */
  mark(id) {
    if (this.ul.querySelector(`[data-id="${CSS.escape(id)}"]`)) this.show(this.at);
  }
}
