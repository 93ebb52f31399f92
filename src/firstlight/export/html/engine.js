"use strict";
// The net: what each of its operations computes for one image. Values are channels first, in arrays that are made once.

/** The arrays of the model in the place of what says where they lie: { at, shape, type } in the bytes of the weights. */
function withArrays(operations, text) {
  const bytes = fromBase64(text);
  const array = ({ at, shape, type }) => {
    const n = count(shape);
    return type === "float16"
      ? Float32Array.from(new Uint16Array(bytes.buffer, at, n), fromFloat16)
      : new Float32Array(bytes.buffer, at, n);
  };
  const filled = ([name, value]) => [name, value?.type ? array(value) : value];
  return operations.map((operation) => Object.fromEntries(Object.entries(operation).map(filled)));
}

function fromBase64(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** A number of IEEE 754 with 16 bits: a sign, 5 bits of exponent, 10 of fraction. */
function fromFloat16(bits) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * 2 ** (exponent - 25) * (1024 + fraction);
}

function count(shape) {
  return shape.reduce((product, side) => product * side, 1);
}

/** A net that answers for one image after another. */
class Net {
  /** operations and text: as the file has them, see `withArrays`; size: [height, width, channels] of an image. */
  constructor(operations, text, size) {
    this.image = new Uint8Array(count(size));
    this.values = new Map([[".image", { shape: size, data: this.image }]]);
    this.steps = withArrays(operations, text).map((operation) => {
      const inputs = operation.inputs.map((name) => this.values.get(name));
      const y = { shape: operation.shape, data: null };
      const run = OPERATIONS[operation.kind](operation, y, ...inputs);
      this.values.set(operation.output, y);
      return run;
    });
  }

  /** The probabilities of the classes for an image of bytes (height, width, channels); the same array each time. */
  probabilities(image) {
    this.image.set(image);
    for (const run of this.steps) run();
    return this.values.get(".probabilities").data;
  }

  /** How strange the image was that was answered for last: above 1, it is of none of the classes; null if unknown. */
  get strangeness() {
    return this.values.get(".strangeness")?.data[0] ?? null;
  }

  /** All numbers that are compared with the engine's: the probabilities, and the strangeness where it is known. */
  answers(image) {
    const found = this.probabilities(image);
    return this.strangeness === null ? found : [...found, this.strangeness];
  }
}

// Each makes the array of its result, `y.data`, and returns what fills it again from the inputs, `x.data`.
const OPERATIONS = {
  /** x (C, H, W) from bytes (H, W, C): image · scale + shift; then (x − mean) / std of the image where `per_image`. */
  Prepare({ scale, shift, per_image: perImage }, y, image) {
    const [channels, size] = [y.shape[0], y.shape[1] * y.shape[2]];
    const data = (y.data = new Float32Array(channels * size));
    const [scales, shifts] = [scale, shift].map((one) => (one.length === channels ? spread(one, size) : one));
    return () => {
      for (let c = 0, i = 0; c < channels; c++) {
        for (let p = 0; p < size; p++, i++) data[i] = image.data[p * channels + c] * scales[i] + shifts[i];
      }
      if (!perImage) return;
      const n = data.length;
      const mean = data.reduce((sum, value) => sum + value, 0) / n;
      const std = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n) || 1;
      for (let i = 0; i < n; i++) data[i] = (data[i] - mean) / std;
    };
  },

  /** y[o, i, j] = b[o] + Σ W[o, c, k, l] x[c, i·stride + k − top, j·stride + l − left], zeros outside the image. */
  Convolution({ W, b, size: [kh, kw], stride: [down, right], padding }, y, x) {
    const [, height, width] = x.shape;
    const [filters, rows, columns] = y.shape;
    const { data: input, width: wide, height: high, fill } = padded(x, padding);
    const [terms, pixels] = [W.length / filters, rows * columns];
    const whole = new Float32Array(4 * Math.ceil(filters / 4) * pixels);
    y.data = whole.subarray(0, filters * pixels);
    const corners = Int32Array.from({ length: pixels }, (_, p) => {
      return Math.floor(p / columns) * down * wide + (p % columns) * right;
    });
    const window = Int32Array.from({ length: terms }, (_, t) => {
      const [c, k, l] = [Math.floor(t / (kh * kw)), Math.floor(t / kw) % kh, t % kw];
      return (c * high + k) * wide + l;
    });
    const [weights, bias] = [inFours(W, filters, terms), inFours(b, filters, 1)];
    return () => {
      fill();
      correlate(input, weights, bias, window, corners, whole);
    };
  },

  /** As a convolution, but that a filter sees one channel; as many filters one after another see the same. */
  Depthwise({ W, b, size: [kh, kw], stride: [down, right], padding }, y, x) {
    const [channels] = x.shape;
    const [filters, rows, columns] = y.shape;
    const { data: input, width: wide, height: high, fill } = padded(x, padding);
    const data = (y.data = new Float32Array(filters * rows * columns));
    return () => {
      fill();
      for (let o = 0, to = 0; o < filters; o++) {
        const plane = Math.floor((o * channels) / filters) * high * wide;
        for (let i = 0; i < rows; i++) {
          for (let j = 0; j < columns; j++, to++) {
            let sum = b[o];
            for (let k = 0, w = o * kh * kw; k < kh; k++) {
              const from = plane + (i * down + k) * wide + j * right;
              for (let l = 0; l < kw; l++, w++) sum += W[w] * input[from + l];
            }
            data[to] = sum;
          }
        }
      }
    };
  },

  /** y = gamma (x - mean) / deviation + beta for x (groups, values, others), over the values of a group. */
  SampleNorm({ gamma, beta, seen: [groups, values, others], epsilon }, y, x) {
    const [data, input] = [(y.data = new Float32Array(x.data.length)), x.data];
    const each = (groups * values) / gamma.length;
    return () => {
      for (let g = 0; g < groups; g++) {
        for (let p = 0; p < others; p++) {
          const at = g * values * others + p;
          let [mean, variance] = [0, 0];
          for (let v = 0; v < values; v++) mean += input[at + v * others] / values;
          for (let v = 0; v < values; v++) variance += (input[at + v * others] - mean) ** 2 / values;
          const deviation = Math.sqrt(variance + epsilon);
          for (let v = 0; v < values; v++) {
            const c = Math.floor((g * values + v) / each);
            data[at + v * others] = (gamma[c] * (input[at + v * others] - mean)) / deviation + beta[c];
          }
        }
      }
    };
  },

  /** y = W x + b, four rows of W at a time. */
  Product({ W, b }, y, x) {
    const [outputs] = y.shape;
    const [terms, quarters, input] = [W.length / outputs, Math.ceil(outputs / 4), x.data];
    const whole = new Float32Array(4 * quarters);
    y.data = whole.subarray(0, outputs);
    const [weights, bias] = [inFours(W, outputs, terms), inFours(b, outputs, 1)];
    return () => {
      for (let quarter = 0; quarter < quarters; quarter++) {
        const k = 4 * quarter;
        let y0 = bias[k];
        let y1 = bias[k + 1];
        let y2 = bias[k + 2];
        let y3 = bias[k + 3];
        for (let t = 0, w = k * terms; t < terms; t++, w += 4) {
          const v = input[t];
          y0 += weights[w] * v;
          y1 += weights[w + 1] * v;
          y2 += weights[w + 2] * v;
          y3 += weights[w + 3] * v;
        }
        whole[k] = y0;
        whole[k + 1] = y1;
        whole[k + 2] = y2;
        whole[k + 3] = y3;
      }
    };
  },

  /** y = f(x), value by value. */
  Activate({ function: name, constant }, y, x) {
    const [data, input, f] = [(y.data = new Float32Array(x.data.length)), x.data, ACTIVATIONS[name](constant)];
    return () => {
      for (let i = 0; i < data.length; i++) data[i] = f(input[i]);
    };
  },

  /** The largest value of each window; what lies outside the image never wins. */
  MaxPool(operation, y, x) {
    return pooled(operation, y, x, -Infinity, Math.max, (largest) => largest);
  },

  /** The mean of each window over the pixels that lie inside the image. */
  AveragePool(operation, y, x) {
    return pooled(operation, y, x, 0, (sum, value) => sum + value, (sum, n) => sum / n);
  },

  /** y[c] = scale[c] x[c] + shift[c]. */
  BatchNorm({ scale, shift }, y, x) {
    const [data, input, size] = [(y.data = new Float32Array(x.data.length)), x.data, x.data.length / scale.length];
    return () => {
      for (let c = 0, i = 0; c < scale.length; c++) {
        for (const end = i + size; i < end; i++) data[i] = scale[c] * input[i] + shift[c];
      }
    };
  },

  /** The same numbers in another shape. */
  Reshape(_, y, x) {
    y.data = x.data;
    return () => {};
  },

  Add(_, y, x, z) {
    const [data, left, right] = [(y.data = new Float32Array(x.data.length)), x.data, z.data];
    return () => {
      for (let i = 0; i < data.length; i++) data[i] = left[i] + right[i];
    };
  },

  /** One after another along the channels, with so many channels of zeros before and after. */
  Concatenate({ before }, y, ...parts) {
    const data = (y.data = new Float32Array(count(y.shape)));
    const first = before * count(y.shape.slice(1));
    return () => {
      let at = first;
      for (const part of parts) {
        data.set(part.data, at);
        at += part.data.length;
      }
    };
  },

  /** exp xₖ / Σⱼ exp xⱼ over the first axis, with the largest x taken off first. */
  Softmax(_, y, x) {
    return byColumns(y, x, (column) => {
      const largest = column.reduce((a, b) => Math.max(a, b));
      const powers = column.map((value) => Math.exp(value - largest));
      const sum = powers.reduce((a, b) => a + b);
      return powers.map((power) => power / sum);
    });
  },

  /** minₖ |W u − cₖ| with u = x / |x|. */
  Strangeness({ W, c }, y, x) {
    const [data, input, terms] = [(y.data = new Float32Array(1)), x.data, x.data.length];
    const rows = W.length / terms;
    const z = new Float64Array(rows);
    return () => {
      const length = Math.max(Math.sqrt(input.reduce((sum, value) => sum + value * value, 0)), 1e-12);
      for (let r = 0; r < rows; r++) {
        let sum = 0;
        for (let t = 0; t < terms; t++) sum += W[r * terms + t] * input[t];
        z[r] = sum / length;
      }
      let nearest = Infinity;
      for (let k = 0; k < c.length; k += rows) {
        nearest = Math.min(nearest, z.reduce((sum, value, r) => sum + (value - c[k + r]) ** 2, 0));
      }
      data[0] = Math.sqrt(nearest);
    };
  },

  /** The mean of the inputs. */
  Mean(_, y, ...parts) {
    const data = (y.data = new Float32Array(count(y.shape)));
    return () => {
      for (let i = 0; i < data.length; i++) data[i] = parts.reduce((sum, x) => sum + x.data[i], 0) / parts.length;
    };
  },

  /** max(x, 0) / Σ max(x, 0) over the first axis; 1 for the largest x and 0 for the others where none is positive. */
  Estimates(_, y, x) {
    return byColumns(y, x, (column) => {
      const positive = column.map((value) => Math.max(value, 0));
      const sum = positive.reduce((a, b) => a + b);
      const best = column.indexOf(column.reduce((a, b) => Math.max(a, b)));
      return positive.map((value, k) => (sum > 0 ? value / sum : Number(k === best)));
    });
  },
};

const [SELU_SCALE, SELU_ALPHA] = [1.0507009873554805, 1.6732632423543772];
const ACTIVATIONS = {
  relu: () => (x) => (x > 0 ? x : 0),
  leaky: (a) => (x) => (x > 0 ? x : a * x),
  elu: (a) => (x) => (x > 0 ? x : a * Math.expm1(x)),
  selu: () => (x) => SELU_SCALE * (x > 0 ? x : SELU_ALPHA * Math.expm1(x)),
  sigmoid: () => (x) => 1 / (1 + Math.exp(-x)),
  tanh: () => Math.tanh,
  gelu: () => (x) => x * normal(x),
  silu: () => (x) => x / (1 + Math.exp(-x)),
  mish: () => (x) => x * Math.tanh(x > 20 ? x : Math.log1p(Math.exp(x))),
};

/** The share of a standard normal distribution below x: 1/2 + φ(x) (x + x³/3 + x⁵/(3·5) + …), Marsaglia 2004. */
function normal(x) {
  if (Math.abs(x) > 6) return x > 0 ? 1 : 0;
  let [term, sum] = [x, x];
  for (let n = 3; Math.abs(term) > 1e-10 * Math.abs(sum); n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

/** What `f` makes of the numbers along the first axis of x, at each place of the others. */
function byColumns(y, x, f) {
  const [data, size] = [(y.data = new Float32Array(x.data.length)), count(x.shape.slice(1))];
  return () => {
    for (let p = 0; p < size; p++) {
      const column = Array.from({ length: x.shape[0] }, (_, k) => x.data[k * size + p]);
      f(column).forEach((value, k) => (data[k * size + p] = value));
    }
  };
}

/** A convolution: four filters and two pixels at a time, so that each number that is read is used more than once.
 *
 * window   places in the input from the corner of a window, one for each term of the sum
 * corners  places in the input of the corner of each pixel's window
 * weights, bias  see `inFours`; `whole` is the result (filters in fours, pixels)
 */
function correlate(input, weights, bias, window, corners, whole) {
  const [terms, pixels] = [window.length, corners.length];
  for (let filter = 0; filter < bias.length; filter += 4) {
    const to = filter * pixels;
    for (let p = 0; p < pixels; p += 2) {
      const q = p + 1 < pixels ? p + 1 : p;
      const from = corners[p];
      const next = corners[q];
      let p0 = bias[filter];
      let p1 = bias[filter + 1];
      let p2 = bias[filter + 2];
      let p3 = bias[filter + 3];
      let q0 = p0;
      let q1 = p1;
      let q2 = p2;
      let q3 = p3;
      for (let t = 0, w = filter * terms; t < terms; t++, w += 4) {
        const at = window[t];
        const v = input[from + at];
        const u = input[next + at];
        const w0 = weights[w];
        const w1 = weights[w + 1];
        const w2 = weights[w + 2];
        const w3 = weights[w + 3];
        p0 += w0 * v;
        p1 += w1 * v;
        p2 += w2 * v;
        p3 += w3 * v;
        q0 += w0 * u;
        q1 += w1 * u;
        q2 += w2 * u;
        q3 += w3 * u;
      }
      whole[to + p] = p0;
      whole[to + q] = q0;
      whole[to + pixels + p] = p1;
      whole[to + pixels + q] = q1;
      whole[to + 2 * pixels + p] = p2;
      whole[to + 2 * pixels + q] = q2;
      whole[to + 3 * pixels + p] = p3;
      whole[to + 3 * pixels + q] = q3;
    }
  }
}

/** The weights (outputs, terms) in fours of outputs: for each term its four weights side by side; zeros fill up. */
function inFours(weights, outputs, terms) {
  const packed = new Float32Array(4 * Math.ceil(outputs / 4) * terms);
  for (let o = 0; o < outputs; o++) {
    for (let t = 0; t < terms; t++) packed[(o - (o % 4)) * terms + 4 * t + (o % 4)] = weights[o * terms + t];
  }
  return packed;
}

/** Each number `size` times. */
function spread(numbers, size) {
  return Float32Array.from({ length: numbers.length * size }, (_, i) => numbers[Math.floor(i / size)]);
}

/** x (C, H, W) with zeros around it: its array and sides, and what fills it again; x itself where there are none. */
function padded(x, [[top, bottom], [left, right]]) {
  const [channels, height, width] = x.shape;
  if (!(top || bottom || left || right)) return { data: x.data, height, width, fill() {} };
  const [high, wide] = [height + top + bottom, width + left + right];
  const data = new Float32Array(channels * high * wide);
  const rows = Array.from({ length: channels * height }, (_, row) => {
    const [c, i] = [Math.floor(row / height), row % height];
    return [x.data.subarray(row * width, (row + 1) * width), (c * high + i + top) * wide + left];
  });
  const fill = () => {
    for (const [row, at] of rows) data.set(row, at);
  };
  return { data, height: high, width: wide, fill };
}

/** Windows of x taken together by `join` from `start` on, over the pixels inside the image, and ended by `end`. */
function pooled({ size: [kh, kw], stride: [down, right], padding: [[top], [left]] }, y, x, start, join, end) {
  const [channels, height, width] = x.shape;
  const [, rows, columns] = y.shape;
  const [input, data] = [x.data, (y.data = new Float32Array(channels * rows * columns))];
  return () => {
    for (let c = 0, to = 0; c < channels; c++) {
      for (let i = 0; i < rows; i++) {
        const [first, last] = [Math.max(i * down - top, 0), Math.min(i * down - top + kh, height)];
        for (let j = 0; j < columns; j++, to++) {
          const [from, before] = [Math.max(j * right - left, 0), Math.min(j * right - left + kw, width)];
          let value = start;
          for (let k = first; k < last; k++) {
            for (let l = from; l < before; l++) value = join(value, input[(c * height + k) * width + l]);
          }
          data[to] = end(value, (last - first) * (before - from));
        }
      }
    }
  };
}
