// Pixels and feature maps on canvases, each value a square.

import { el } from "./elements.js";

const MAP = 56; // CSS pixels that a feature map is enlarged to, about
const FEATURE = 13; // of a single value
const GAP = 3;

/** Bytes, which a server sends in base64. */
function bytes(values) {
  if (typeof values !== "string") return values;
  return Uint8ClampedArray.from(atob(values), (character) => character.charCodeAt(0));
}

/** Put pixels { height, width, channels, pixels } on a canvas of that size, with a share of orange for each pixel. */
export function picture(canvas, { height, width, channels, pixels }, saliency = null) {
  const values = bytes(pixels);
  const marks = saliency ? bytes(saliency) : null;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const share = marks ? 0.85 * (marks[i] / 255) : 0;
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = (1 - share) * values[channels * i + (channels === 3 ? c : 0)] + share * [255, 120, 20][c];
    }
    image.data[4 * i + 3] = 255;
  }
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The colours of bytes, as 256 × [r, g, b]: of values from 0, and of those about 128. */
export function tables() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => {
    const text = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  };
  const mixed = (a, b, share) => a.map((level, c) => level + (b[c] - level) * share);
  const [none, above, below, ink] = ["--wash", "--series-2", "--series-1", "--ink"].map(colour);
  const strong = (full, share) => (share < 0.7 ? mixed(none, full, share / 0.7) : mixed(full, ink, (share - 0.7) / 0.75));
  const from0 = Array.from({ length: 256 }, (_, value) => strong(above, value / 255));
  const about128 = Array.from({ length: 256 }, (_, value) => {
    const share = Math.min(Math.abs(value - 128) / 127, 1);
    return strong(value < 128 ? below : above, share);
  });
  return { from0, about128 };
}

/** The layers of a net, one figure each, drawn again as often as their values come. */
export class Layers {
  constructor(list) {
    this.list = list;
    this.figures = new Map();
    this.scratch = document.createElement("canvas");
    this.last = null;
    this.tables = tables();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.tables = tables();
      this.again();
    });
    new ResizeObserver(() => this.again()).observe(list);
  }

  again() {
    if (this.last) this.show(this.last.layers, this.last.values);
  }

  show(layers, values) {
    this.last = { layers, values };
    if (layers.length !== this.figures.size || layers.some(({ path }) => !this.figures.has(path))) this.build(layers);
    const all = bytes(values);
    this.last.values = all;
    let at = 0;
    for (const layer of layers) {
      const size = layer.maps * layer.height * layer.width;
      this.draw(layer, all.subarray(at, at + size));
      at += size;
    }
  }

  build(layers) {
    this.figures.clear();
    const items = layers.map((layer) => {
      const canvas = el("canvas", { role: "img", "aria-label": `Values of the layer ${layer.path}` });
      const facts = el("span", { class: "facts" });
      this.figures.set(layer.path, { canvas, facts });
      return el("li", {}, el("div", { class: "name" }, el("b", {}, layer.path), " ", layer.type, facts), canvas);
    });
    this.list.replaceChildren(...items);
  }

  draw(layer, values) {
    const { maps, height, width, units, silent } = layer;
    const { canvas, facts } = this.figures.get(layer.path);
    const single = height * width === 1;
    const zoom = single ? FEATURE : Math.max(1, Math.round(MAP / Math.max(height, width)));
    const gap = single ? 1 : GAP;
    const [w, h] = [width * zoom + gap, height * zoom + gap];
    const columns = Math.max(1, Math.min(maps, Math.floor((this.list.clientWidth + gap) / w)));
    const rows = Math.ceil(maps / columns);
    const [across, down] = [columns * w - gap, rows * h - gap];
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    this.strip(values, width, height * maps, layer.signed ? this.tables.about128 : this.tables.from0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    for (let i = 0; i < maps; i++) {
      const [x, y] = [(i % columns) * w, Math.floor(i / columns) * h];
      context.drawImage(this.scratch, 0, i * height, width, height, x, y, width * zoom, height * zoom);
    }
    const what = single ? `${units} values` : `${units} maps of ${height} × ${width}`;
    const part = maps < units ? `, the first ${maps} shown` : "";
    const end = layer === this.last.layers.at(-1) ? " · what the probabilities come from" : "";
    facts.textContent = `${what}${part}${silent ? ` · ${silent} silent` : ""}${end}`;
  }

  /** All maps of a layer, one below the other, on the scratch canvas. */
  strip(values, width, height, table) {
    [this.scratch.width, this.scratch.height] = [width, height];
    const image = new ImageData(width, height);
    for (let i = 0; i < values.length; i++) {
      const [r, g, b] = table[values[i]];
      image.data[4 * i] = r;
      image.data[4 * i + 1] = g;
      image.data[4 * i + 2] = b;
      image.data[4 * i + 3] = 255;
    }
    this.scratch.getContext("2d").putImageData(image, 0, 0);
  }
}
