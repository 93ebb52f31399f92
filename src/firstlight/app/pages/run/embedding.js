// The map of the images: points on a canvas; hover shows an image, a line drawn round points chooses them.
import { api, el, percent, tell } from "/static/common.js";

const byId = (id) => document.getElementById(id);
const COLOURS = 8; // of the series; more classes take other shapes of the same colours
const SHAPES = ["circle", "square", "triangle", "diamond"];
const REACH = 14; // CSS pixels within which a point is meant
const MARGIN = 16;
const MORE = 60; // images at a time

export class Plane {
  constructor(run, classes, explained, open) {
    Object.assign(this, { run, classes, open, chosen: [], line: [], near: -1, off: new Set() });
    this.canvas = byId("points");
    byId("explain").addEventListener("click", () => this.explain());
    for (const name of ["method", "splits", "colour"]) byId(name).addEventListener("change", () => this.change(name));
    byId("nothing").addEventListener("click", () => this.choose([]));
    byId("lasso-more").addEventListener("click", () => this.tiles());
    this.pointers();
    if (explained) this.load();
    else {
      byId("unexplained").hidden = false;
      this.wait(false);
    }
  }

  async load() {
    byId("unexplained").hidden = true;
    try {
      this.maps = (await api(`/api/runs/${this.run}/map`, { quiet: true })).maps;
    } catch (error) {
      byId("plane-note").textContent = error.message;
      byId("unexplained").hidden = false;
      return;
    }
    byId("plane").hidden = false;
    byId("method").replaceChildren(...this.maps.map((map, n) => el("option", { value: n, selected: n === this.maps.length - 1 }, map.name)));
    const splits = [...new Set(this.maps[0].splits)];
    byId("splits").replaceChildren(el("option", { value: "" }, "all"), ...splits.map((split) => el("option", { value: split }, split)));
    if (splits.includes("test")) byId("splits").value = "test";
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.change();
  }

  async explain() {
    byId("explain").disabled = true;
    try {
      await api(`/api/runs/${this.run}/explain`, { method: "POST" });
      await this.wait(true);
    } catch {
      byId("explain").disabled = false; // what was wrong has been told
    }
  }

  /** Show how far the explanation is, until it is there or failed. */
  async wait(begun) {
    const told = byId("explaining");
    for (;;) {
      const now = await api(`/api/runs/${this.run}/explain`, { quiet: true });
      if (now.state === "none" || (!begun && now.state === "failed")) return;
      byId("explain").disabled = now.state === "making";
      told.hidden = false;
      told.textContent = now.lines.join("\n") || "Explaining …";
      if (now.state === "made") {
        // The report has more sections now, and all of them are on this page.
        location.hash = "map";
        location.reload();
        return;
      }
      if (now.state === "failed") return tell(`The explanation was not made.\n${now.lines.join("\n")}`, "error");
      begun = true;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  change(what) {
    if (what === "colour") this.off.clear(); // other kinds of points
    this.map = this.maps[Number(byId("method").value)];
    if (this.sheet?.src !== new URL(this.map.sheet.src, location).href) {
      this.sheet = new Image();
      this.sheet.src = this.map.sheet.src;
    }
    const { name, made_by, layer, features, agreement, silhouette, k } = this.map;
    byId("plane-note").textContent =
      `${name} (${made_by}) of the ${features} values of ${layer}. Of the ${k} nearest neighbours of a point, ${percent(agreement[1], 0)} ` +
      `are of its class (${percent(agreement[0], 0)} in the layer's values); silhouette ${silhouette[1].toFixed(2)} (${silhouette[0].toFixed(2)}). ` +
      `These numbers are of all ${this.map.ids.length} points (${this.parts(this.map.splits)}). ` +
      "Draw a line round points to see their images. Distances between groups that lie far apart mean little.";
    const split = byId("splits").value;
    this.shown = this.map.ids.map((_, i) => i).filter((i) => !split || this.map.splits[i] === split);
    this.legend();
    this.choose([]);
    this.fit();
  }

  /** Of which splits the points are, as a reader says it. */
  parts(splits) {
    const names = [...new Set(splits)];
    return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
  }

  legend() {
    const style = byId("colour").value;
    const names = style === "wrong" ? ["right", "wrong"] : this.classes;
    byId("legend").replaceChildren(
      ...names.map((name, k) => {
        const mark = el("canvas", { width: 24, height: 24, class: "key", "data-kind": k });
        const pressed = String(!this.off.has(k)); // false alone would leave the attribute out
        return el("li", {}, el("button", { type: "button", class: "quiet", "aria-pressed": pressed, title: `Show or hide ${name}`, onclick: () => this.toggle(k) }, mark, el("span", {}, name)));
      }),
    );
    this.keys();
  }

  keys() {
    for (const mark of byId("legend").querySelectorAll("canvas")) {
      const context = mark.getContext("2d");
      context.clearRect(0, 0, 24, 24);
      const k = Number(mark.dataset.kind);
      this.mark(context, 12, 12, 8, ...this.look(k, byId("colour").value));
    }
  }

  toggle(kind) {
    this.off.has(kind) ? this.off.delete(kind) : this.off.add(kind);
    this.legend();
    this.draw();
  }

  /** The colour and the shape of a kind of points. */
  look(kind, style) {
    const css = getComputedStyle(document.documentElement);
    if (style === "wrong") return [css.getPropertyValue(kind ? "--miss" : "--hit"), kind ? "diamond" : "circle"];
    return [css.getPropertyValue(`--series-${1 + (kind % COLOURS)}`), SHAPES[Math.floor(kind / COLOURS) % SHAPES.length]];
  }

  kind(i) {
    const style = byId("colour").value;
    if (style === "wrong") return Number(this.map.labels[i] !== this.map.predicted[i]);
    return style === "label" ? this.map.labels[i] : this.map.predicted[i];
  }

  visible() {
    return this.shown.filter((i) => !this.off.has(this.kind(i)));
  }

  fit() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !this.map) return;
    const density = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(box.width * density), height: Math.round(box.height * density) });
    this.density = density;
    const { x, y } = this.map;
    const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const [left, right] = ends(x);
    const [bottom, top] = ends(y);
    const scale = Math.min((box.width - 2 * MARGIN) / (right - left || 1), (box.height - 2 * MARGIN) / (top - bottom || 1));
    const across = (box.width - scale * (right - left)) / 2;
    const up = (box.height - scale * (top - bottom)) / 2;
    this.at = x.map((value, i) => [across + scale * (value - left), box.height - up - scale * (y[i] - bottom)]);
    this.draw();
  }

  draw() {
    if (!this.at) return;
    const context = this.canvas.getContext("2d");
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const style = byId("colour").value;
    const looks = new Map();
    const chosen = new Set(this.chosen);
    const size = this.shown.length > 3000 ? 1.8 : 3;
    for (const i of this.visible()) {
      const kind = this.kind(i);
      if (!looks.has(kind)) looks.set(kind, this.look(kind, style));
      context.globalAlpha = !chosen.size || chosen.has(i) ? 0.85 : 0.15;
      this.mark(context, ...this.at[i], size, ...looks.get(kind));
    }
    context.globalAlpha = 1;
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    context.strokeStyle = ink;
    if (this.near >= 0) {
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...this.at[this.near], 7, 0, 7);
      context.stroke();
    }
    if (this.line.length > 1) {
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.beginPath();
      this.line.forEach((point, i) => (i ? context.lineTo(...point) : context.moveTo(...point)));
      context.closePath();
      context.stroke();
      context.setLineDash([]);
    }
    this.keys();
  }

  mark(context, x, y, r, colour, shape) {
    context.fillStyle = colour;
    context.beginPath();
    if (shape === "circle") context.arc(x, y, r, 0, 7);
    else if (shape === "square") context.rect(x - r, y - r, 2 * r, 2 * r);
    else {
      const corners = shape === "triangle" ? [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]] : [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]];
      corners.forEach(([dx, dy], i) => (i ? context.lineTo(x + r * dx, y + r * dy) : context.moveTo(x + r * dx, y + r * dy)));
    }
    context.fill();
  }

  pointers() {
    const canvas = this.canvas;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.line = [place(event)];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.line.length) {
        this.line.push(place(event));
        this.point(-1);
      } else if (this.at) this.point(this.nearest(place(event)));
    });
    canvas.addEventListener("pointerup", (event) => {
      const line = this.line;
      this.line = [];
      const end = place(event);
      const far = Math.max(0, ...line.map((point) => Math.hypot(point[0] - line[0][0], point[1] - line[0][1])));
      if (line.length > 2 && far > REACH) this.choose(this.visible().filter((i) => within(this.at[i], line)));
      else {
        const i = this.nearest(end);
        this.point(i);
        this.choose(i < 0 ? [] : [i]);
      }
    });
    canvas.addEventListener("pointercancel", () => {
      this.line = [];
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => this.line.length || this.point(-1));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const order = this.visible();
      if (step && order.length) {
        event.preventDefault();
        const now = order.indexOf(this.near);
        this.point(order[(now + step + order.length) % order.length] ?? order[0]);
      } else if (event.key === "Enter" && this.near >= 0) this.choose([this.near]);
      else if (event.key === "Escape") this.choose([]);
    });
  }

  nearest([x, y]) {
    let [found, least] = [-1, REACH];
    for (const i of this.visible()) {
      const distance = Math.hypot(this.at[i][0] - x, this.at[i][1] - y);
      if (distance < least) [found, least] = [i, distance];
    }
    return found;
  }

  /** Show the image of a point beside it; -1 shows none. */
  point(i) {
    this.near = i;
    const card = byId("hover");
    card.hidden = i < 0;
    if (i >= 0) {
      this.paint(card.querySelector("canvas"), i);
      card.querySelector("figcaption").replaceChildren(...this.caption(i));
      const [x, y] = this.at[i];
      const box = this.canvas.getBoundingClientRect();
      card.style.left = `${Math.min(x + 16, box.width - card.offsetWidth)}px`;
      card.style.top = `${Math.max(0, y + 16 + card.offsetHeight > box.height ? y - 16 - card.offsetHeight : y + 16)}px`;
    }
    this.draw();
  }

  caption(i) {
    const { labels, predicted, confidence, splits } = this.map;
    const right = labels[i] === predicted[i];
    return [
      el("span", { class: right ? "right-answer" : "wrong-answer" }, right ? "✓ " : "✗ ", `${this.classes[predicted[i]]} (${percent(confidence[i], 0)})`),
      right ? null : el("span", { class: "detail" }, `true class: ${this.classes[labels[i]]}`),
      el("span", { class: "detail" }, splits[i]),
    ].filter(Boolean);
  }

  async paint(canvas, i) {
    const sheet = this.sheet;
    await sheet.decode();
    const { columns, width, height } = this.map.sheet;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(sheet, (i % columns) * width, Math.floor(i / columns) * height, width, height, 0, 0, canvas.width, canvas.height);
  }

  choose(points) {
    this.chosen = points;
    byId("nothing").hidden = !points.length;
    byId("lassoed").textContent = points.length ? `${points.length} ${points.length === 1 ? "image" : "images"} selected: ${this.mixture(points)}` : "";
    byId("lasso-tiles").replaceChildren();
    this.tiles();
    this.draw();
  }

  /** Of which classes the chosen are, the most frequent first. */
  mixture(points) {
    const counts = new Map();
    for (const i of points) counts.set(this.map.labels[i], (counts.get(this.map.labels[i]) ?? 0) + 1);
    const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([k, n]) => `${this.classes[k]} ${n}`);
    return parts.slice(0, 6).join(", ") + (parts.length > 6 ? ", …" : "");
  }

  tiles() {
    const list = byId("lasso-tiles");
    const next = this.chosen.slice(list.children.length, list.children.length + MORE);
    list.append(
      ...next.map((i) => {
        const canvas = el("canvas", { width: 96, height: 96, role: "img", "aria-label": `${this.classes[this.map.labels[i]]}, image ${this.map.ids[i]}` });
        this.paint(canvas, i);
        return el("li", {}, el("button", { type: "button", class: "tile", title: this.map.ids[i], "data-id": this.map.ids[i], onclick: () => this.show(i) }, canvas, this.caption(i)));
      }),
    );
    byId("lasso-more").hidden = list.children.length >= this.chosen.length;
  }

  async show(i) {
    let at = this.chosen.indexOf(i);
    const of = (k) => api(`/api/runs/${this.run}/image?${new URLSearchParams({ split: this.map.splits[k], id: this.map.ids[k] })}`);
    const step = async (by) => (this.chosen[at + by] === undefined ? null : of(this.chosen[(at += by)]));
    this.open(await of(i), step);
  }
}

/** Whether a point lies inside a closed line. */
function within([x, y], line) {
  let inside = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [line[i], line[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
