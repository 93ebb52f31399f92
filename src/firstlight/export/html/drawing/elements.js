// Elements of a page, and the values that stand in it.

/**
 * An element: el("a", { href: "/", class: "run", onclick: f }, "text", child, …). Strings become text, never markup.
 * Attributes: a function is an event's listener, true is an attribute without value, false and null are left out.
 */
export function el(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** The same for a drawing's elements. */
export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The JSON that stands in the page under an id. */
export function embedded(id = "data") {
  return JSON.parse(document.getElementById(id).textContent);
}
