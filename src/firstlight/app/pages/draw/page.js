// The page Draw: a sheet on the left, what the net sees and says of it beside it, its layers below.

import { api, el, embedded, tell } from "/static/common.js";
import { Bars, share } from "/static/drawing/probabilities.js";
import { Layers, picture } from "/static/drawing/feature_maps.js";
import { Strokes } from "/static/drawing/strokes.js";

const TIMES = 200; // answers that the pace is taken over

const find = (id) => document.getElementById(id);
find("run")?.addEventListener("change", (event) => event.target.form.submit());
if (find("data")) begin(embedded());

function begin({ facts, limit }) {
  const { classes, colour, light, plain, box } = facts;
  const sheet = new Strokes(find("sheet"), facts.size, () => request());
  const layers = new Layers(find("layers"));
  const bars = new Bars(find("bars"), classes);
  const times = [];
  const ready = { fit: plain, saliency: false };
  let [wanted, busy, failed] = [false, false, false];

  // What fits the training images: their paper, and a pen of the other end.
  const paper = hex(facts.paper);
  const lightPen = plain || !colour ? light : brightness(facts.paper) < 128;
  const usual = [lightPen ? "#ffffff" : "#000000", paper];
  const swapped = colour ? usual.toReversed() : [lightPen ? "#000000" : "#ffffff", lightPen ? "#ffffff" : "#000000"];

  /** Ask for what is drawn now; what changes while an answer is awaited is asked for after it, once. */
  async function request() {
    wanted = true;
    describe();
    if (busy) return;
    busy = true;
    find("verdict").setAttribute("aria-busy", "true");
    while (wanted) {
      wanted = false;
      await ask().catch(() => (failed = true));
    }
    busy = false;
    find("verdict").setAttribute("aria-busy", "false");
  }

  async function ask() {
    const began = performance.now();
    const options = { maps: find("maps").checked, saliency: find("saliency").checked && !sheet.empty };
    if (sheet.upload) options.invert = find("swap").checked;
    const query = new URLSearchParams(Object.entries(options).filter(([, on]) => on).map(([name]) => [name, "1"]));
    if (find("fit").checked) query.set("box", box);
    const body = sheet.bytes();
    const found = await api(`/api/draw/${facts.run}?${query}`, { method: "POST", body });
    if (failed) tell("");
    failed = false;
    show(found);
    if (!sheet.empty && !sheet.upload) note(performance.now() - began, found.milliseconds);
  }

  function show(found) {
    picture(find("seen"), found.seen, found.saliency);
    layers.show(found.layers, found.values);
    const nothing = sheet.empty;
    bars.show(found.probabilities, nothing);
    const best = found.probabilities.indexOf(Math.max(...found.probabilities));
    const none = found.none_of_these === true && !nothing;
    const value = el("span", { class: "value" }, nothing ? "…" : none ? "none of these" : classes[best]);
    const probable = share(found.probabilities[best]);
    const detail = nothing ? "nothing drawn yet" : none ? `most like ${classes[best]}, ${probable}` : probable;
    find("verdict").replaceChildren(value, " ", el("span", { class: "detail" }, detail));
    find("verdict").dataset.answer = nothing ? "" : classes[best];
    find("verdict").dataset.none = none ? "1" : "";
  }

  function note(milliseconds, server) {
    times.push([milliseconds, server]);
    if (times.length > TIMES) times.shift();
    const [all, net] = [0, 1].map((at) => times.map((time) => time[at]).sort((a, b) => a - b));
    const middle = (sorted) => sorted[Math.floor(sorted.length / 2)];
    const pace = find("pace");
    pace.textContent =
      `${middle(all).toFixed(0)} ms from the pen to the answer (median of ${all.length}, worst ${all.at(-1).toFixed(0)} ms); ` +
      `${middle(net).toFixed(0)} ms of them at the server.`;
    Object.assign(pace.dataset, { n: all.length, median: middle(all), worst: all.at(-1), server: middle(net) });
  }

  /** Say on the page what is done to the picture. */
  function describe() {
    const [height, width] = facts.size;
    const fit = find("fit").checked;
    const size = `${height} × ${width} pixels, ${colour ? "in colour" : "grey"}`;
    const how = fit
      ? `What is drawn is scaled until its longer side has ${+box.toFixed(1)} pixels, as in the training images, and moved until its centre of mass is in the middle.`
      : "It is resized to this as the training images were, and neither cropped nor moved.";
    find("done").textContent = `${size}. ${how}`;
    find("hint").hidden = !sheet.empty;
    find("undo").disabled = sheet.empty && !sheet.cleared;
    find("clear").disabled = sheet.empty;
    const pens = lightPen ? ["white", "black"] : ["black", "white"];
    const kind = light ? "light on dark" : "dark on light";
    if (sheet.upload) {
      const changes = [find("swap").checked && "with light and dark inverted", fit && "scaled and centred"];
      const given = changes.filter(Boolean).join(", ") || "as it is";
      const background = plain ? ` The training images are ${kind}.` : "";
      find("polarity").textContent = `${sheet.upload.file.name || "The picture"} is given to the model ${given}.${background}`;
      find("swap-text").textContent = "Invert light and dark first";
    } else if (plain) {
      find("polarity").textContent = `The training images are ${kind}, so the pen is ${pens[0]}.`;
      find("swap-text").textContent = `Draw in ${pens[1]} on ${pens[0]} instead`;
    } else {
      find("polarity").textContent = `The training images have no plain background; the paper has the median colour of their borders.`;
      find("swap-text").textContent = "Swap pen and paper colours";
    }
  }

  function recolour() {
    if (sheet.upload) return request();
    const [pen, ground] = find("swap").checked ? swapped : usual;
    sheet.colours(pen, ground);
    if (colour) [find("pen").value, find("paper").value] = [pen, ground];
  }

  /** A picture of one's own is left as it is unless one asks; a drawing is made like the training images. */
  async function upload(file) {
    if (!file) return;
    if (file.size > limit) {
      const [size, most] = [file.size, limit].map((count) => (count / 1e6).toFixed(1));
      return tell(`${file.name} has ${size} MB; at most ${most} MB can be sent at once.`, "error");
    }
    if (!sheet.upload) ready.fit = find("fit").checked;
    find("fit").checked = find("swap").checked = false;
    await sheet.put(file);
  }

  function drawAgain() {
    find("hint").hidden = true;
    if (!sheet.upload) return;
    find("fit").checked = ready.fit;
    find("swap").checked = false;
  }

  find("sheet").addEventListener("pointerdown", drawAgain, { capture: true });
  find("undo").addEventListener("click", () => (drawAgain(), sheet.undo()));
  find("clear").addEventListener("click", () => (drawAgain(), sheet.clear()));
  find("brush").addEventListener("input", (event) => (sheet.brush = event.target.value / 100));
  find("swap").addEventListener("change", recolour);
  for (const id of ["fit", "saliency"]) find(id).addEventListener("change", () => request());
  find("maps").addEventListener("change", (event) => {
    find("layers").hidden = !event.target.checked;
    request();
  });
  for (const id of colour ? ["pen", "paper"] : []) {
    find(id).addEventListener("input", () => {
      if (id === "paper") sheet.colours(sheet.pen, find("paper").value);
      else sheet.pen = find("pen").value;
    });
  }
  find("file").addEventListener("change", (event) => {
    upload(event.target.files[0]);
    event.target.value = "";
  });
  addEventListener("paste", (event) => upload([...event.clipboardData.files][0]));
  addEventListener("keydown", (event) => {
    if (event.target.matches("select, input")) return;
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) find("undo").click();
    else if (event.key === "Escape") find("clear").click();
    else return;
    event.preventDefault();
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    addEventListener(type, (event) => {
      event.preventDefault(); // a file dropped beside the sheet must not take the page's place
      find("drop").classList.toggle("over", type === "dragenter" || type === "dragover");
      if (type === "drop") upload(event.dataTransfer.files[0]);
    });
  }

  find("fit").checked = plain;
  find("brush").value = 100 * facts.brush;
  sheet.brush = facts.brush;
  recolour();
}

function hex(levels) {
  const [r, g = r, b = r] = levels;
  return `#${[r, g, b].map((level) => level.toString(16).padStart(2, "0")).join("")}`;
}

function brightness([r, g = r, b = r]) {
  return 0.299 * r + 0.587 * g + 0.114 * b;
}
