// A tensor as maps on a canvas: each value a cell, found by the mouse, a finger or the arrow keys.

import { el } from "/static/common.js";
import { tables } from "/static/drawing/feature_maps.js";
import { brief, places } from "/static/step/numbers.js";

const ROW = 32; // values of a vector up to which it is one row
const THUMB = 34; // CSS pixels of a channel in the strip
const MOST = 30; // CSS pixels of a cell at most
const WRITTEN = 27; // CSS pixels from which a cell has its number written in it
const KEYS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

let palette = null; // the colours of 256 levels about zero; others where the system turns dark
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (palette = null));
const colours = () => (palette ??= tables().about128);

/** How a shape lies on paper: `channels` of `tiles`, each of `height` × `width` cells, of which `cells` are there. */
export function geometry(shape) {
  if (shape.length >= 3) {
    const [height, width] = shape.slice(-2);
    const tiles = shape.slice(1, -2).reduce((product, side) => product * side, 1);
    return { channels: shape[0], tiles, height, width, cells: height * width };
  }
  const cells = shape.at(-1) ?? 1;
  const width = cells <= ROW ? cells : Math.ceil(Math.sqrt(cells));
  return { channels: shape.length === 2 ? shape[0] : 1, tiles: 1, height: Math.ceil(cells / width), width, cells };
}

/** The place of a flat position in a shape, as [i, j, …]. */
export function unravel(flat, shape) {
  const index = [];
  for (const side of shape.toReversed()) {
    index.unshift(flat % side);
    flat = Math.floor(flat / side);
  }
  return index;
}

export function ravel(index, shape) {
  return index.reduce((flat, i, axis) => flat * shape[axis] + i, 0);
}

/**
 * A tensor's maps. `on.hover(index | null)` hears of the cell under the mouse, `on.pick(index)` of one that is chosen
 * by a click or a key. `load(channel)` brings a channel's values where the tensor came without them.
 */
export class Maps {
  constructor({ label, of, explains, load, on }) {
    Object.assign(this, { label, of, explains, load, on });
    this.scratch = document.createElement("canvas");
    this.canvas = el("canvas");
    this.box = el("div", { class: "map", tabindex: "0", role: "application", "aria-roledescription": "map of values", "aria-describedby": "keys-help" }, this.canvas);
    this.strip = el("canvas", { class: "strip", "aria-hidden": "true" });
    this.at = el("output", { class: "at" });
    this.channelInput = el("input", { type: "number", min: 0, value: 0, "aria-label": `${label}: channel`, onchange: () => this.choose(Number(this.channelInput.value)) });
    this.channelLabel = el("label", { class: "channel", hidden: true }, "channel ", this.channelInput, el("span"));
    this.table = el("details", { class: "as-table", ontoggle: () => this.tabulate() }, el("summary", {}, "As numbers"), el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `${label} as numbers` }));
    this.facts = el("span", { class: "facts" });
    this.element = el("figure", { class: "tensor", "data-of": of }, el("figcaption", {}, el("b", {}, label), " ", this.facts), this.box, this.strip, el("div", { class: "below" }, this.channelLabel, this.at), this.table);
    this.marks = [];
    this.pinned = null;
    this.under = null;
    this.channel = 0;
    this.box.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.hover(this.cell(event)));
    this.box.addEventListener("pointerleave", () => this.hover(null));
    this.box.addEventListener("click", (event) => this.pick(this.cell(event)));
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.strip.addEventListener("click", (event) => this.fromStrip(event));
    this.painted = { channel: -1, width: 0 };
    this.observer = new ResizeObserver(() => this.box.clientWidth !== this.painted.width && this.draw());
    this.observer.observe(this.box);
  }

  /** Show { shape, values (all, or null), extent }; what is marked and pinned stays, where it still fits. */
  show(tensor) {
    const same = this.tensor && String(this.tensor.shape) === String(tensor.shape);
    this.tensor = tensor;
    this.geometry = geometry(tensor.shape);
    this.slices = new Map();
    if (!same) [this.channel, this.pinned, this.marks] = [0, null, []];
    const { channels } = this.geometry;
    this.facts.textContent = `${tensor.shape.join(" × ") || "1"}, from ${brief(tensor.low)} to ${brief(tensor.high)}`;
    this.channelLabel.hidden = channels === 1;
    this.channelInput.max = channels - 1;
    this.channelLabel.lastElementChild.textContent = ` of ${channels}`;
    this.strip.hidden = channels === 1 || !tensor.values;
    this.choose(Math.min(this.channel, channels - 1));
  }

  get perChannel() {
    return this.geometry.tiles * this.geometry.cells;
  }

  /** The values of a channel, once they are here. */
  values(channel) {
    if (this.tensor.values) return this.tensor.values.subarray(channel * this.perChannel, (channel + 1) * this.perChannel);
    return this.slices.get(channel) ?? null;
  }

  value(index) {
    const flat = ravel(index, this.tensor.shape);
    return this.values(Math.floor(flat / this.perChannel))?.[flat % this.perChannel];
  }

  async choose(channel) {
    const { channels } = this.geometry;
    this.channel = Math.max(0, Math.min(channels - 1, Number.isFinite(channel) ? Math.round(channel) : 0));
    this.channelInput.value = this.channel;
    this.named();
    const tensor = this.tensor;
    if (!this.values(this.channel)) {
      const wanted = this.channel;
      const values = await this.load(this.of, wanted).catch(() => null);
      if (tensor !== this.tensor || !values) return;
      this.slices.set(wanted, values);
    }
    this.draw();
    this.thumbnails();
    if (this.table.open) this.tabulate();
  }

  named() {
    const { channels, height, width } = this.geometry;
    const part = channels > 1 ? `, channel ${this.channel} of ${channels}` : "";
    const pin = this.pinned ? `, at ${places(this.pinned)}` : "";
    this.box.setAttribute("aria-label", `${this.label}${part}, ${height} by ${width} values${pin}`);
  }

  /** How many tiles stand in a row, and how large a cell is, for the width that there is. */
  layout() {
    const { tiles, height, width } = this.geometry;
    const room = Math.max(40, this.box.clientWidth);
    const columns = Math.max(1, Math.min(tiles, Math.round(Math.sqrt((tiles * height) / width)) || 1));
    const gap = tiles > 1 ? 4 : 0;
    const cell = Math.max(1, Math.min(MOST, Math.floor((room - gap * (columns - 1)) / (columns * width))));
    return { columns, gap, cell, rows: Math.ceil(tiles / columns) };
  }

  /** The cell [i, j, …] at an event's place; null outside. */
  cell(event) {
    if (!this.tensor) return null;
    const { tiles, height, width, cells } = this.geometry;
    const { columns, gap, cell } = this.layout();
    const bounds = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const [across, down] = [width * cell + gap, height * cell + gap];
    const [column, row] = [Math.floor(x / across), Math.floor(y / down)];
    const [c, r] = [Math.floor((x - column * across) / cell), Math.floor((y - row * down) / cell)];
    const tile = row * columns + column;
    const flat = r * width + c;
    const inside = x >= 0 && y >= 0 && column < columns && tile < tiles && c < width && r < height && flat < cells;
    return inside ? unravel(this.channel * this.perChannel + tile * cells + flat, this.tensor.shape) : null;
  }

  hover(index) {
    if (String(index) === String(this.under)) return;
    this.under = index;
    this.told();
    this.draw();
    this.on.hover(this, index);
  }

  pick(index) {
    if (!index) return;
    this.pinned = index;
    this.named();
    this.told();
    this.draw();
    this.on.pick(this, index);
  }

  unpin() {
    if (!this.pinned) return;
    this.pinned = null;
    this.named();
    this.told();
    this.draw();
  }

  /** Move to another cell: of a tile, over the edge into the next one, by whole channels. */
  key(event) {
    if (!this.tensor || event.ctrlKey || event.metaKey || event.altKey) return;
    const { tiles, height, width, cells, channels } = this.geometry;
    const flat = this.pinned ? ravel(this.pinned, this.tensor.shape) : this.channel * this.perChannel;
    const within = flat % this.perChannel;
    const [tile, place] = [Math.floor(within / cells), within % cells];
    let [channel, t, r, c] = [this.pinned ? Math.floor(flat / this.perChannel) : this.channel, tile, Math.floor(place / width), place % width];
    if (event.key in KEYS) {
      if (this.pinned) {
        r += KEYS[event.key][0];
        c += KEYS[event.key][1];
      }
      const over = c < 0 ? -1 : c >= width ? 1 : 0;
      if (over && t + over >= 0 && t + over < tiles) [t, c] = [t + over, over < 0 ? width - 1 : 0];
    } else if (event.key === "Home") c = 0;
    else if (event.key === "End") c = width - 1;
    else if (event.key === "PageDown") channel += 1;
    else if (event.key === "PageUp") channel -= 1;
    else if (event.key === "Escape") {
      this.unpin();
      this.on.pick(this, null);
      return;
    } else if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    [channel, r, c] = [[channel, channels], [r, height], [c, width]].map(([at, end]) => Math.max(0, Math.min(end - 1, at)));
    const found = Math.min(r * width + c, cells - 1);
    const index = unravel(channel * this.perChannel + t * cells + found, this.tensor.shape);
    if (channel !== this.channel) this.choose(channel).then(() => this.pick(index));
    else this.pick(index);
  }

  /** Mark cells, a colour a kind: [{ index, kind }]; the first one's channel is brought up where none is marked here. */
  mark(marks) {
    this.marks = marks;
    if (!this.tensor) return;
    const channelOf = (mark) => Math.floor(ravel(mark.index, this.tensor.shape) / this.perChannel);
    if (marks.length && !this.pinned && !marks.some((mark) => channelOf(mark) === this.channel)) this.choose(channelOf(marks[0]));
    else this.draw();
  }

  told() {
    const index = this.under ?? this.pinned;
    const value = index && this.value(index);
    this.at.textContent = index && value !== undefined ? `${places(index)}: ${brief(value)}` : "";
    if (index && value !== undefined) this.at.dataset.value = value;
  }

  draw() {
    if (!this.tensor) return;
    const values = this.values(this.channel);
    this.painted.width = this.box.clientWidth;
    if (!values || !this.painted.width) return;
    const { tiles, height, width, cells } = this.geometry;
    const { columns, gap, cell, rows } = this.layout();
    const scale = window.devicePixelRatio || 1;
    const [across, down] = [columns * (width * cell + gap) - gap, rows * (height * cell + gap) - gap];
    this.canvas.width = Math.round(across * scale);
    this.canvas.height = Math.round(down * scale);
    this.canvas.style.width = `${across}px`;
    this.canvas.style.height = `${down}px`;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    context.imageSmoothingEnabled = false;
    paint(this.scratch, values, this.geometry, this.tensor.extent);
    const corner = (tile, place) => {
      const [x, y] = [(tile % columns) * (width * cell + gap), Math.floor(tile / columns) * (height * cell + gap)];
      return [x + (place % width) * cell, y + Math.floor(place / width) * cell];
    };
    for (let tile = 0; tile < tiles; tile++) {
      const [x, y] = corner(tile, 0);
      context.drawImage(this.scratch, 0, tile * height, width, height, x, y, width * cell, height * cell);
      if (cell >= WRITTEN) this.write(context, values.subarray(tile * cells, (tile + 1) * cells), cell, (place) => corner(tile, place));
    }
    const style = getComputedStyle(this.box);
    const frame = (index, colour, thick) => {
      const flat = ravel(index, this.tensor.shape);
      if (Math.floor(flat / this.perChannel) !== this.channel) return;
      const within = flat % this.perChannel;
      const [x, y] = corner(Math.floor(within / cells), within % cells);
      context.strokeStyle = style.getPropertyValue(colour);
      context.lineWidth = thick;
      const side = Math.max(cell, 3);
      context.strokeRect(x + thick / 2, y + thick / 2, side - thick, side - thick);
    };
    for (const { index, kind } of this.marks) frame(index, kind === "winner" ? "--series-4" : "--series-3", cell > 8 ? 2 : 1);
    if (this.pinned) frame(this.pinned, "--ink", cell > 4 ? 2.5 : 2);
    if (this.under) frame(this.under, "--series-4", cell > 4 ? 2 : 1.5);
  }

  /** The numbers in the cells, dark on light colours and light on dark ones. */
  write(context, values, cell, corner) {
    context.font = `${Math.floor(cell * 0.32)}px ${getComputedStyle(this.box).fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    values.forEach((value, place) => {
      const [x, y] = corner(place);
      const [red, green, blue] = colours()[level(value, this.tensor.extent)];
      context.fillStyle = 0.3 * red + 0.59 * green + 0.11 * blue > 140 ? "#1c1f24" : "#ffffff";
      context.fillText(brief(value, 2), x + cell / 2, y + cell / 2, cell - 2);
    });
  }

  /** All channels small, the chosen one framed. */
  thumbnails() {
    const { channels, tiles, height, width } = this.geometry;
    if (this.strip.hidden) return;
    const room = Math.max(40, this.box.clientWidth);
    const across = Math.max(1, Math.round(Math.sqrt((tiles * height) / width)) || 1);
    const step = THUMB + 4;
    const columns = Math.max(1, Math.floor((room + 4) / step));
    const shown = Math.min(channels, columns * 4);
    const first = Math.max(0, Math.min(channels - shown, Math.floor(this.channel / columns) * columns - columns));
    this.stripped = { columns, step, first, shown };
    const scale = window.devicePixelRatio || 1;
    const [w, h] = [Math.min(shown, columns) * step - 4, Math.ceil(shown / columns) * step - 4];
    [this.strip.width, this.strip.height] = [Math.round(w * scale), Math.round(h * scale)];
    [this.strip.style.width, this.strip.style.height] = [`${w}px`, `${h}px`];
    const context = this.strip.getContext("2d");
    context.scale(scale, scale);
    context.imageSmoothingEnabled = false;
    const down = Math.ceil(tiles / across);
    const zoom = THUMB / Math.max(across * width, down * height);
    for (let n = 0; n < shown; n++) {
      const [x, y] = [(n % columns) * step, Math.floor(n / columns) * step];
      paint(this.scratch, this.values(first + n), this.geometry, this.tensor.extent);
      for (let tile = 0; tile < tiles; tile++) {
        const [left, top] = [x + (tile % across) * width * zoom, y + Math.floor(tile / across) * height * zoom];
        context.drawImage(this.scratch, 0, tile * height, width, height, left, top, width * zoom, height * zoom);
      }
      if (first + n === this.channel) {
        context.strokeStyle = getComputedStyle(this.box).getPropertyValue("--ink");
        context.lineWidth = 2;
        context.strokeRect(x, y, THUMB, THUMB);
      }
    }
  }

  fromStrip(event) {
    const { columns, step, first, shown } = this.stripped;
    const bounds = this.strip.getBoundingClientRect();
    const n = Math.floor((event.clientY - bounds.top) / step) * columns + Math.floor((event.clientX - bounds.left) / step);
    if (n < shown) this.choose(first + n);
  }

  /** The channel's values as a table, for whoever would rather read them. */
  tabulate() {
    if (!this.table.open || !this.tensor) return;
    const values = this.values(this.channel);
    if (!values) return;
    const { tiles, height, width, cells } = this.geometry;
    const rows = [];
    for (let row = 0; row < Math.min(tiles * height, 64); row++) {
      const [tile, r] = [Math.floor(row / height), row % height];
      const count = Math.min(width, cells - r * width, 64);
      const numbers = Array.from({ length: count }, (_, c) => el("td", { class: "right" }, brief(values[tile * cells + r * width + c], 3)));
      rows.push(el("tr", {}, el("th", { scope: "row" }, tiles > 1 ? `${tile}, ${r}` : r), numbers));
    }
    this.table.lastElementChild.replaceChildren(el("table", {}, el("tbody", {}, rows)));
  }
}

/** A value among 256 levels, of which 128 is zero. */
function level(value, extent) {
  if (!(extent > 0) || !Number.isFinite(value)) return 128;
  return Math.max(1, Math.min(255, 128 + Math.round((127 * value) / extent)));
}

/** Values as cells, the tiles one below the other, on a canvas of a pixel a cell. */
function paint(canvas, values, { tiles, height, width, cells }, extent) {
  [canvas.width, canvas.height] = [width, tiles * height];
  const image = new ImageData(width, tiles * height);
  const table = colours();
  for (let tile = 0; tile < tiles; tile++) {
    for (let place = 0; place < cells; place++) {
      const value = values[tile * cells + place];
      const at = 4 * (tile * height * width + place);
      const [r, g, b] = table[level(value, extent)];
      image.data[at] = r;
      image.data[at + 1] = g;
      image.data[at + 2] = b;
      image.data[at + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
