"use strict";
// An image from outside as the model takes it, number for number what `firstlight.prepare.outside_image` makes of it.
// Pixels are bytes (height, width, channels) in one array: { height, width, channels, data }.

/** What each number of a result of `size` is taken from, of `length` numbers: Pillow's bilinear filter, antialiased.
 *
 * The weights of a triangle as wide as the step between results, in whole 2²²ths, as Pillow has them for bytes.
 */
function triangles(length, size) {
  const scale = length / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), length);
    const weights = [];
    for (let x = first; x < last; x++) {
      const far = Math.abs((x - centre + 0.5) * (1 / reach));
      weights.push(far < 1 ? 1 - far : 0);
    }
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: Int32Array.from(weights, (weight) => Math.trunc(0.5 + (weight / sum) * 2 ** 22)) };
  });
}

/** Numbers of `input` added up by a filter, `step` apart from `at` on; as a byte. */
function byte(input, at, step, weights) {
  let sum = 2 ** 21;
  for (let t = 0; t < weights.length; t++, at += step) sum += input[at] * weights[t];
  return Math.min(Math.max(sum >> 22, 0), 255);
}

/** The rows of pixels, each resized to `width`. */
function narrowed({ height, width: before, channels, data }, width, filters = triangles(before, width)) {
  if (width === before) return { height, width, channels, data };
  const result = new Uint8Array(height * width * channels);
  for (let i = 0, to = 0; i < height; i++) {
    for (const { first, weights } of filters) {
      const at = (i * before + first) * channels;
      for (let c = 0; c < channels; c++) result[to++] = byte(data, at + c, channels, weights);
    }
  }
  return { height, width, channels, data: result };
}

/** The columns of pixels, each resized to `height`. */
function lowered({ height: before, width, channels, data }, height) {
  if (height === before) return { height, width, channels, data };
  const [row, result] = [width * channels, new Uint8Array(height * width * channels)];
  triangles(before, height).forEach(({ first, weights }, i) => {
    for (let k = 0; k < row; k++) result[i * row + k] = byte(data, first * row + k, row, weights);
  });
  return { height, width, channels, data: result };
}

/** Pixels resized: along the rows first, then along the columns, rounded to bytes in between. */
function resized(pixels, height, width) {
  return lowered(narrowed(pixels, width), height);
}

/** Resized, and then made grey (0.299 R + 0.587 G + 0.114 B, rounded) or colour as the model takes it. */
function suited(pixels, [height, width, channels]) {
  const { channels: before, data } = resized(pixels, height, width);
  if (before === channels) return { height, width, channels, data };
  const result = new Uint8Array(height * width * channels);
  for (let p = 0; p < height * width; p++) {
    if (channels === 1) {
      const [r, g, b] = data.subarray(3 * p, 3 * p + 3);
      result[p] = Math.floor((299 * r + 587 * g + 114 * b + 500) / 1000);
    } else {
      result.fill(data[p], channels * p, channels * (p + 1));
    }
  }
  return { height, width, channels, data: result };
}

/** Light and dark turned round. */
function inverted(pixels) {
  return { ...pixels, data: pixels.data.map((level) => 255 - level) };
}

/** Scaled down where the longer side has more than `side` pixels. */
function atMost(pixels, side) {
  const longest = Math.max(pixels.height, pixels.width);
  if (longest <= side) return pixels;
  const [height, width] = [pixels.height, pixels.width].map((length) => Math.max(even((length * side) / longest), 1));
  return resized(pixels, height, width);
}

const FAINT = 38; // levels off the paper that are not ink yet
const LARGEST_GAIN = 3; // what a small drawing is enlarged by at most, beyond what the whole sheet is
const SWAY = 0.05; // pixels, so that what is symmetrical does not jump to and fro between two pixels

/** A drawing scaled and moved as the digits of MNIST were (LeCun et al. 1998), to [height, width].
 *
 * What differs from the paper, which is the median of the border, is scaled so that its longer side is `box` pixels.
 * It is put where its centre of mass is the middle of the sheet, as far as it stays whole.
 */
function fitted(pixels, box, size) {
  const { height, width, channels, data } = pixels;
  const paper = paperOf(pixels);
  const sheet = new Uint8Array(size[0] * size[1] * channels).map((_, i) => paper[i % channels]);
  const result = { height: size[0], width: size[1], channels, data: sheet };
  const extent = extentOf(pixels, paper);
  if (!extent) return result;
  const { top, left, rows, columns } = extent;
  const plain = Math.max(size[0] / height, size[1] / width);
  const scale = Math.min(box / Math.max(rows, columns), size[0] / rows, size[1] / columns, LARGEST_GAIN * plain);
  const [high, wide] = [rows, columns].map((side, axis) => Math.min(Math.max(even(side * scale), 1), size[axis]));
  const cut = new Uint8Array(rows * columns * channels);
  for (let i = 0; i < rows; i++) {
    const from = ((top + i) * width + left) * channels;
    cut.set(data.subarray(from, from + columns * channels), i * columns * channels);
  }
  const small = resized({ height: rows, width: columns, channels, data: cut }, high, wide);
  const masses = [new Float64Array(high), new Float64Array(wide)];
  for (let i = 0; i < high; i++) {
    for (let j = 0; j < wide; j++) {
      const mass = off(small, i * wide + j, paper);
      masses[0][i] += mass;
      masses[1][j] += mass;
    }
  }
  const [down, right] = masses.map((mass, axis) => {
    const centre = mass.reduce((sum, m, i) => sum + m * i, 0) / mass.reduce((sum, m) => sum + m, 0);
    return Math.min(Math.max(even((size[axis] - 1) / 2 - centre - SWAY), 0), size[axis] - mass.length);
  });
  for (let i = 0; i < high; i++) {
    const row = small.data.subarray(i * wide * channels, (i + 1) * wide * channels);
    sheet.set(row, ((down + i) * size[1] + right) * channels);
  }
  return result;
}

/** The level of each channel at the border. */
function paperOf({ height, width, channels, data }) {
  const border = [];
  for (let j = 0; j < width; j++) border.push(j, (height - 1) * width + j);
  for (let i = 0; i < height; i++) border.push(i * width, (i + 1) * width - 1);
  return Array.from({ length: channels }, (_, c) => {
    const levels = border.map((p) => data[p * channels + c]).sort((a, b) => a - b);
    const middle = levels.length / 2; // there is an even number of them
    return even((levels[middle - 1] + levels[middle]) / 2);
  });
}

/** How far a pixel is from the paper, in its farthest channel. */
function off({ channels, data }, pixel, paper) {
  let most = 0;
  for (let c = 0; c < channels; c++) most = Math.max(most, Math.abs(data[pixel * channels + c] - paper[c]));
  return most;
}

/** The part of a drawing that has ink; null where none has. */
function extentOf(pixels, paper) {
  const { height, width } = pixels;
  let [top, left, bottom, right] = [height, width, -1, -1];
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      if (off(pixels, i * width + j, paper) <= FAINT) continue;
      [top, bottom] = [Math.min(top, i), i];
      [left, right] = [Math.min(left, j), Math.max(right, j)];
    }
  }
  return bottom < 0 ? null : { top, left, rows: bottom - top + 1, columns: right - left + 1 };
}

/** Rounded to an integer, halves to the even one. */
function even(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}
