// Small drawings of the page: the loss along a weight with its tangent, and numbers over the steps.

import { svg } from "/static/common.js";
import { brief, number } from "/static/step/numbers.js";

const finite = (values) => values.filter((value) => Number.isFinite(value));

/** From values to places between two ends, least to greatest. */
function scale(values, from, to) {
  const known = finite(values);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const extent = high - low || 1;
  return Object.assign((value) => from + ((value - low) / extent) * (to - from), { low, high });
}

const path = (points) =>
  points.reduce((text, point, n) => {
    if (!point) return text;
    return `${text}${text && points[n - 1] ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
  }, "");

/** Numbers over the steps as a line without axes; what is not finite is left out. */
export function sparkline(values, label, { width = 120, height = 26 } = {}) {
  const [x, y] = [scale([0, Math.max(1, values.length - 1)], 2, width - 2), scale(values, height - 3, 3)];
  const points = values.map((value, n) => (Number.isFinite(value) ? [x(n), y(value)] : null));
  const last = points.at(-1);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", role: "img", "aria-label": label },
    svg("path", { d: path(points), class: "line" }), last ? svg("circle", { cx: last[0], cy: last[1], r: 2.2, class: "dot" }) : null);
}

/** The loss by the numbers of the steps; and that of the batches that were trained on, where these were others. */
export function lossChart(numbers, loss, trained, label) {
  const [width, height, left] = [560, 150, 52];
  const known = (values) => values.map((value) => (value === null ? NaN : number(value)));
  const [seen, batches] = [known(loss), known(trained ?? [])];
  const [x, y] = [scale([0, Math.max(1, numbers.at(-1))], left, width - 8), scale([...seen, ...batches], height - 22, 10)];
  const points = (values) => values.map((value, n) => (Number.isFinite(value) ? [x(numbers[n]), y(value)] : null));
  const looked = points(seen).filter(Boolean);
  const last = looked.at(-1);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label },
    svg("path", { d: `M${left} 10V${height - 22}H${width - 8}`, class: "axis" }),
    svg("text", { x: left - 6, y: 14, class: "end" }, brief(y.high, 3)), svg("text", { x: left - 6, y: height - 22, class: "end" }, brief(y.low, 3)),
    svg("text", { x: left, y: height - 5 }, "step 0"), svg("text", { x: width - 8, y: height - 5, class: "end" }, `step ${numbers.at(-1)}`),
    svg("path", { d: path(points(batches)), class: "batches" }), svg("path", { d: path(looked), class: "line" }), last ? svg("circle", { cx: last[0], cy: last[1], r: 3.5, class: "dot" }) : null);
}

/** The loss along a weight, its tangent at the weight as it is, and the place of the slider. */
export function tangentChart({ value, offsets, losses, tangent, slope }, chosen) {
  const [width, height, left] = [560, 260, 60];
  const x = scale(offsets, left, width - 10);
  const y = scale(losses, height - 26, 12);
  const points = offsets.map((offset, n) => (Number.isFinite(losses[n]) ? [x(offset), y(losses[n])] : null));
  const ends = [0, offsets.length - 1].map((n) => (Number.isFinite(tangent[n]) ? [x(offsets[n]), y(tangent[n])] : null));
  const [from, to] = [value + offsets[0], value + offsets.at(-1)];
  const here = (losses[(losses.length - 1) / 2]);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `The loss for values of the weight from ${brief(from)} to ${brief(to)}, with its tangent, of slope ${brief(slope)}` },
    svg("clipPath", { id: "plot" }, svg("rect", { x: left, y: 4, width: width - 10 - left, height: height - 30 })),
    svg("path", { d: `M${left} 10V${height - 26}H${width - 10}`, class: "axis" }),
    svg("text", { x: left - 6, y: 16, class: "end" }, brief(y.high, 4)), svg("text", { x: left - 6, y: height - 26, class: "end" }, brief(y.low, 4)),
    svg("text", { x: left, y: height - 8 }, brief(from, 3)), svg("text", { x: width - 10, y: height - 8, class: "end" }, brief(to, 3)),
    svg("text", { x: (left + width) / 2, y: height - 8, class: "middle" }, "the weight"),
    svg("g", { "clip-path": "url(#plot)" }, svg("path", { d: path(ends), class: "tangent" }), svg("path", { d: path(points), class: "line" })),
    Number.isFinite(here) ? svg("circle", { cx: x(0), cy: y(here), r: 4, class: "dot" }) : null,
    Number.isFinite(losses[chosen]) ? svg("circle", { cx: x(offsets[chosen]), cy: y(losses[chosen]), r: 6, class: "here" }) : null);
}
