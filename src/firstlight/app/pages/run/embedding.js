// The map of the images: the report's chart of it with all points; a line drawn round points lists their images.
import { api, canvasChart, el, percent, tell } from "/static/common.js";

const byId = (id) => document.getElementById(id);
const MORE = 60; // images at a time
const FAINT = 0.1; // opacity of points whose class is not picked in the legend

/** To a chart compiled to Vega: a dashed line after the pointer while it is down, and a ring where the keys are. */
function furnished(vega) {
  const on = [
    { events: "pointerdown", update: "[[x(), y()]]" },
    { events: "[pointerdown, window:pointerup] > window:pointermove", update: "lassoAppend(lasso, x(), y())" },
  ];
  const drawing = [{ events: "pointerdown", update: "true" }, { events: "window:pointerup", update: "false" }];
  vega.signals.push({ name: "lasso", value: [], on }, { name: "drawing", value: false, on: drawing });
  const line = { path: { signal: "lassoPath(lasso)" }, stroke: { value: "var(--ink)" }, strokeWidth: { value: 1.5 }, strokeDash: { value: [5, 4] } };
  vega.marks.push({ type: "path", interactive: false, encode: { update: line } });
  vega.signals.push({ name: "at", value: null });
  const [x, y] = ["x", "y"].map((scale) => ({ scale, signal: `at ? at.${scale} : 0` })); // of the data: a map may be resized
  const place = { x, y, opacity: { signal: "at ? 1 : 0" } };
  const ring = { ...place, size: { value: 260 }, stroke: { value: "var(--ink)" }, strokeWidth: { value: 3 }, fill: { value: "transparent" } };
  vega.marks.push({ type: "symbol", interactive: false, encode: { update: ring } });
  return vega;
}

/** The points of a drawn chart but for those of classes that are not picked in the legend. */
function points(view) {
  const shown = view.scenegraph().root.items[0].items.flatMap((mark) => mark.items);
  return shown.filter((item) => item.datum?.id && item.tooltip && item.opacity > FAINT);
}

/** The points that lie inside its lasso. */
function lassoed(view) {
  const line = view.signal("lasso");
  return points(view).filter((item) => within([item.x, item.y], line)).map((item) => item.datum);
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The nearest point from a place on in a direction, where what lies aside counts twice; of none, the place itself. */
function beyond(view, from, [right, down]) {
  let [next, least] = [from, Infinity];
  for (const item of points(view)) {
    const [dx, dy] = [item.x - from.x, item.y - from.y];
    const [on, aside] = [dx * right + dy * down, Math.abs(dx * down) + Math.abs(dy * right)];
    if (on > 0 && aside <= 2 * on && on + 2 * aside < least) [next, least] = [item, on + 2 * aside];
  }
  return next;
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

export class Embedding {
  /** `open(image, step)` shows an image. */
  constructor(run, classes, explained, open) {
    Object.assign(this, { run, classes, open, chosen: [] });
    byId("explain").addEventListener("click", () => this.explain());
    for (const name of ["method", "split", "colour"]) byId(name).addEventListener("change", () => this.draw());
    byId("points").addEventListener("keydown", (event) => this.key(event));
    byId("clear").addEventListener("click", () => this.draw());
    byId("more").addEventListener("click", () => this.tiles());
    if (explained) this.load();
    else {
      byId("unexplained").hidden = false;
      this.wait(false);
    }
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
      if (now.state === "failed") return tell(`The explanation failed.\n${now.lines.join("\n")}`, "error");
      begun = true;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  async load() {
    let found;
    try {
      found = await api(`/api/runs/${this.run}/embeddings`, { quiet: true });
    } catch (error) {
      byId("unexplained").hidden = false;
      tell(error.message, "error");
      return;
    }
    byId("embedding").hidden = false;
    byId("method").append(...found.methods.map((text, n) => el("option", { value: n }, text)));
    byId("split").append(el("option", { value: "" }, "all"), ...found.splits.map((split) => el("option", { value: split }, split)));
    if (found.splits.includes("test")) byId("split").value = "test";
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  /** Draw the points that are asked for, none of them chosen. */
  async draw() {
    const query = new URLSearchParams({ split: byId("split").value, colour: byId("colour").value });
    const { spec, width, note, sheet } = await api(`/api/runs/${this.run}/embeddings/${byId("method").value}?${query}`);
    byId("points").style.maxWidth = `${width}px`;
    const tooltip = { theme: "custom", disableDefaultStyle: true, formatTooltip: window.pictured(sheet) };
    const { view } = await canvasChart(byId("points"), spec, { tooltip, patch: furnished });
    byId("embedding-note").textContent = note;
    this.sheet = Object.assign(new Image(), { src: sheet.source });
    this.shape = sheet;
    this.choose([]);
    this.view = view;
    this.at = null;
    this.say();
    view.addSignalListener("drawing", (_, drawing) => drawing || view.signal("lasso").length < 3 || this.choose(lassoed(view)));
    view.addEventListener("click", (_, item) => view.signal("lasso").length < 3 && this.choose(item?.datum?.id ? [item.datum] : []));
  }

  /** The arrow keys go from point to point, from the middle of the map; Enter opens the image, Escape lets go of it. */
  key(event) {
    const step = STEPS[event.key];
    if (!this.view || event.ctrlKey || event.altKey || event.metaKey) return;
    if (step) {
      const { view } = this;
      const middle = { x: view.signal("width") / 2, y: view.signal("height") / 2 };
      this.at = beyond(view, this.at ?? middle, step);
      if (!this.at.datum) this.at = null;
    } else if (event.key === "Enter" && this.at) {
      this.choose([this.at.datum]);
      this.show(this.at.datum);
    } else if (event.key === "Escape") this.at = null;
    else return;
    event.preventDefault();
    this.say();
  }

  /** Draw a ring round the point where the keys are, and say what it is. */
  say() {
    const { at, view } = this;
    const { x, y, class: name, predicted, confidence, split, id } = at?.datum ?? {};
    view.signal("at", at && { x, y }).run();
    byId("at").textContent = at ? `${name === predicted ? "✓" : "✗"} ${predicted} (${percent(confidence, 0)})${name === predicted ? "" : `, true class: ${name}`}, ${split} image ${id}` : "";
  }

  choose(points) {
    this.chosen = points;
    byId("clear").hidden = !points.length;
    byId("chosen").textContent = points.length ? `${points.length} ${points.length === 1 ? "image" : "images"} selected: ${this.mixture(points)}` : "";
    byId("chosen-tiles").replaceChildren();
    this.tiles();
  }

  /** Of which classes the points are, the most frequent first. */
  mixture(points) {
    const counts = new Map();
    for (const point of points) counts.set(point.class, (counts.get(point.class) ?? 0) + 1);
    const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${n}`);
    return parts.slice(0, 6).join(", ") + (parts.length > 6 ? ", …" : "");
  }

  tiles() {
    const list = byId("chosen-tiles");
    const next = this.chosen.slice(list.children.length, list.children.length + MORE);
    list.append(
      ...next.map((point) => {
        const right = point.class === point.predicted;
        const canvas = el("canvas", { width: this.shape.width, height: this.shape.height, role: "img", "aria-label": `${point.class}, image ${point.id}` });
        this.paint(canvas, point.picture);
        return el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "tile", title: point.id, "data-id": point.id, onclick: () => this.show(point) },
            canvas,
            el("span", { class: right ? "right-answer" : "wrong-answer" }, right ? "✓ " : "✗ ", `${point.predicted} (${percent(point.confidence, 0)})`),
            right ? null : el("span", { class: "detail" }, `true class: ${point.class}`),
            el("span", { class: "detail" }, point.split),
          ),
        );
      }),
    );
    byId("more").hidden = list.children.length >= this.chosen.length;
  }

  async paint(canvas, i) {
    const { sheet, shape } = this;
    await sheet.decode();
    const { columns, width, height } = shape;
    canvas.getContext("2d").drawImage(sheet, (i % columns) * width, Math.floor(i / columns) * height, width, height, 0, 0, width, height);
  }

  async show(point) {
    let at = this.chosen.indexOf(point);
    const of = ({ split, id }) => api(`/api/runs/${this.run}/image?${new URLSearchParams({ split, id })}`);
    const step = async (by) => (this.chosen[at + by] === undefined ? null : of(this.chosen[(at += by)]));
    this.open(await of(point), step);
  }
}
