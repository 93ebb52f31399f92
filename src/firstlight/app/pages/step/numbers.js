// Numbers as the page writes them, and what the server sends.

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A number of JSON, which writes those that are not finite as texts. */
export const number = (value) => (typeof value === "string" ? Number(value) : value);

/** A value to so many significant digits, with a real minus: 0.02314, −1.5, 3.2·10⁻⁹. */
export function brief(given, digits = 4) {
  if (given === null || given === undefined || given === "") return "–";
  const value = number(given);
  if (Number.isNaN(value)) return "not a number";
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size === 0) return "0";
  if (size === Infinity) return `${sign}∞`;
  if (size >= 1e6 || size < 1e-3) {
    const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
    return `${sign}${trimmed(mantissa)}·10${[...String(Number(exponent))].map((each) => SUPERSCRIPTS[each]).join("")}`;
  }
  return `${sign}${size >= 10 ** digits ? size.toFixed(0) : trimmed(size.toPrecision(digits))}`;
}

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** The place of a value, as [3, 5, 7]. */
export const places = (index) => `[${index.join(", ")}]`;

/** float32 in base64, little-endian. */
export function floats(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** MathML or SVG that the server sent. The document that is parsed runs no script, and this page's policy lets none in. */
export function markup(text) {
  return document.importNode(new DOMParser().parseFromString(text, "text/html").body.firstElementChild, true);
}
