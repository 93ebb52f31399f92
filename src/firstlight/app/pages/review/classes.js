// Another class for an image: by its number, or by searching for its name.

import { el } from "/static/common.js";

const SHOWN = 24; // classes of a list

export class ClassSearch {
  /** `input` searches in `names`, `list` shows what was found; `choose(name)` when one is taken, `leave()` on Escape. */
  constructor(input, list, names, choose, leave) {
    Object.assign(this, { input, list, names, choose, leave, found: [], at: 0, current: "" });
    // Ten classes have a key each: their own, where they are digits, else their number.
    this.numbered = names.length <= 10;
    const own = this.numbered && names.every((name) => /^\d$/.test(name));
    this.keys = names.map((name, k) => (own ? name : String(k)));
    input.addEventListener("input", () => this.show());
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) this.choose(this.names[Number(item.dataset.number)]);
    });
    this.show();
  }

  /** The class that a key of the keyboard stands for; null for none. */
  byKey(key) {
    const place = this.numbered ? this.keys.indexOf(key) : -1;
    return place < 0 ? null : this.names[place];
  }

  /** Mark the class that an image has. */
  own(name) {
    this.current = name;
    this.show();
  }

  clear() {
    this.input.value = "";
    this.show();
  }

  /** Those whose name begins with what is written, then those in which it occurs; a number is that of a class. */
  matches(text) {
    const plain = (value) => value.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const wanted = plain(text.trim());
    const places = this.names.map((_, k) => k);
    if (!wanted) return places;
    const rank = (k) => {
      const name = plain(this.names[k]);
      if (name === wanted) return 0;
      if (this.keys[k] === wanted) return 1;
      if (name.startsWith(wanted)) return 2;
      return name.includes(wanted) ? 3 : 4;
    };
    const ranks = places.map(rank);
    return places.filter((k) => ranks[k] < 4).sort((a, b) => ranks[a] - ranks[b] || a - b);
  }

  show() {
    this.found = this.matches(this.input.value);
    const searching = this.input.value.trim() !== "";
    this.at = 0;
    const more = this.found.length - SHOWN;
    this.list.replaceChildren(
      ...this.found.slice(0, SHOWN).map((k, i) =>
        el(
          "li",
          { role: "option", id: `class-${k}`, "data-number": k, "aria-selected": String(searching && i === 0), class: this.names[k] === this.current ? "own" : "" },
          el("kbd", {}, this.keys[k]),
          " ",
          el("bdi", {}, this.names[k]),
        ),
      ),
      ...(more > 0 ? [el("span", { class: "note" }, `and ${more} more`)] : []),
      ...(this.found.length ? [] : [el("span", { class: "note" }, "No class has that name or number.")]),
    );
    this.active(searching);
  }

  active(searching = true) {
    const items = [...this.list.querySelectorAll("li")];
    items.forEach((item, i) => item.setAttribute("aria-selected", String(searching && i === this.at)));
    if (searching && items[this.at]) {
      this.input.setAttribute("aria-activedescendant", items[this.at].id);
      items[this.at].scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) {
      const count = Math.min(this.found.length, SHOWN);
      this.at = count ? (this.at + by + count) % count : 0;
      this.active();
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.input.value.trim() && this.found.length && !event.repeat) this.choose(this.names[this.found[this.at]]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.clear();
      this.leave();
    }
  }
}
