// What the pages share: requests, elements, messages, charts.

import { el, embedded, svg } from "/static/drawing/elements.js";

export { el, embedded, svg };

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

/** Show a sentence to the user; an error stays until the next message. */
export function tell(text, kind = "note") {
  const message = document.getElementById("message");
  message.textContent = text;
  message.className = kind;
  message.hidden = !text;
}

/**
 * Ask the server, with the token. Returns JSON, or the Response where `options.raw` is set; `options.json` is sent as
 * JSON. An error is shown and thrown, unless `options.quiet`.
 */
export async function api(path, { raw = false, quiet = false, json, ...options } = {}) {
  const headers = new Headers(options.headers);
  headers.set("X-Firstlight-Token", meta("token"));
  if (json !== undefined) {
    headers.set("Content-Type", "application/json");
    options = { method: "POST", ...options, body: JSON.stringify(json) };
  }
  let text = "";
  try {
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return raw ? response : await response.json();
    const type = response.headers.get("Content-Type") || "";
    text = type.startsWith("application/json") ? (await response.json()).error : await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    text = "The server does not respond. Was firstlight view stopped?";
  }
  if (!quiet) tell(text, "error");
  throw new Error(text);
}

let charts = null;

function library() {
  charts ??= new Promise((resolve, reject) => {
    const script = el("script", { src: meta("charts") });
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("The chart library could not be loaded.")));
    document.head.append(script);
  });
  return charts;
}

/** A chart as a whole has a name; parts that have none would be read as so many graphics without one. */
function unnamed(element) {
  for (const part of element.querySelectorAll('[role^="graphics-"]:not([aria-label])')) {
    part.removeAttribute("role");
    part.removeAttribute("aria-roledescription");
  }
}

/** The same on a canvas, which is faster where points are many, and knows no variables of the style sheet. */
export function canvasChart(element, spec, options) {
  const style = getComputedStyle(document.documentElement);
  const coloured = (object) => JSON.parse(JSON.stringify(object).replaceAll(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim()));
  return chart(element, coloured(spec), { ...options, renderer: "canvas", patch: (vega) => coloured(options.patch(vega)) });
}

/** Draw a Vega-Lite specification into an element; returns vega-embed's result. */
export async function chart(element, spec, options = {}) {
  await library();
  const label = element.getAttribute("aria-label");
  const drawn = await window.vegaEmbed(element, spec, {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    logLevel: 1, // errors: that a bar chart has steps is no news
    ast: true, // without eval, which the page's policy forbids
    defaultStyle: false,
    formatLocale: window.firstlightLocale,
    tooltip: { theme: "custom", disableDefaultStyle: true },
    ...options,
  });
  if (label) element.setAttribute("aria-label", label); // Vega has put its own name there
  unnamed(element);
  new MutationObserver(() => unnamed(element)).observe(element, { childList: true, subtree: true }); // drawn again
  return drawn;
}

const stream = { source: null };

/**
 * Hear of runs that change: listener({run, state, entry}). `again` is called when the stream begins, and begins again
 * after a break, to catch up with what happened before.
 */
export function listen(listener, again = () => {}) {
  if (!stream.source) {
    stream.source = new EventSource("/api/events");
    addEventListener("pagehide", () => stream.source.close());
  }
  stream.source.addEventListener("open", () => again());
  stream.source.addEventListener("message", (event) => listener(JSON.parse(event.data)));
}

/** 0.9712 as "97.1 %", as the report writes it: only a whole is 100 %, only nothing 0 %; a dash for what is missing. */
export function percent(value, digits = 1) {
  if (value === null || value === undefined) return "–";
  const text = (100 * value).toFixed(digits);
  const least = 10 ** -digits;
  if (value < 1 && Number(text) === 100) return `>${(100 - least).toFixed(digits)}\u202f%`;
  if (value > 0 && Number(text) === 0) return `<${least.toFixed(digits)}\u202f%`;
  return `${text}\u202f%`;
}

/** Seconds as a reader says them. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
