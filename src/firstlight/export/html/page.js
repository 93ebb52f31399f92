// The page: a sheet on the left, what the net sees and says of it beside it, its layers below.

const ENOUGH = 1024; // pixels of the longer side, from which a drawing is fitted
const BAND = 1_000_000; // pixels of a large image that are looked at at once
const WIDEST = 16_384; // pixels of a canvas, in every browser
const [MAPS_SHOWN, FEATURES_SHOWN, MAP_SIDE] = [64, 512, 32];
const TIMES = 50; // answers that the pace is taken over
const SLOW = 100; // milliseconds of a net that is not run without need
const SWIFT = 30; // milliseconds of an answer, with all that is painted, that is given while a stroke is drawn

const find = (id) => document.getElementById(id);
begin(embedded("model"));

function begin({ classes, size, operations, layers: places, strokes }) {
  const net = new Net(operations, find("weights").textContent, size);
  const { light, plain, box } = strokes;
  const sheet = new Strokes(find("sheet"), size, () => soon());
  const layers = new Layers(find("layers"));
  const bars = new Bars(find("bars"), classes);
  const times = [];
  const ready = { fit: plain }; // how a drawing is taken while an image is shown
  let [waiting, swift] = [false, false];

  // What fits the training images: their paper, and a pen of the other end.
  const paper = `#${[0, 1, 2].map((c) => hex(strokes.paper[c % strokes.paper.length])).join("")}`;
  const usual = [light ? "#ffffff" : "#000000", paper];
  const swapped = light ? ["#000000", "#ffffff"] : ["#ffffff", "#000000"];

  /** Answer once all that happens now has happened, and been painted. */
  function soon() {
    describe();
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      answer();
    });
  }

  function answer() {
    const began = performance.now();
    const seen = prepared();
    const between = performance.now();
    const found = net.probabilities(seen.data);
    note(performance.now() - between);
    picture(find("seen"), { ...seen, pixels: seen.data });
    if (find("maps").checked) show();
    say(found);
    swift = performance.now() - began < SWIFT;
  }

  /** The first answer is to an empty sheet: from then on, what the browser has compiled is timed. */
  function note(milliseconds) {
    if (sheet.empty) {
      if (!times.length && milliseconds < SLOW) setTimeout(warmUp, 0, net);
      return;
    }
    times.push(milliseconds);
    if (times.length > TIMES) times.shift();
    const middle = [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)];
    find("pace").textContent = `${middle.toFixed(1)} ms for the net, on this device.`;
  }

  /** What the model receives of what is on the sheet. */
  function prepared() {
    const [fit, image] = [find("fit").checked, sheet.upload?.picture];
    let pixels;
    if (image) {
      const sides = [image.height, image.width];
      const scale = Math.min(ENOUGH / Math.max(...sides), 1);
      pixels = read(image, ...(fit ? sides.map((side) => Math.max(even(side * scale), 1)) : size));
      if (find("swap").checked) pixels = inverted(pixels);
    } else {
      pixels = read(sheet.canvas, sheet.canvas.height, sheet.canvas.width);
    }
    return suited(fit ? fitted(pixels, box, size) : pixels, size);
  }

  /** Show what each layer gave: its maps, or its values, as bytes. */
  function show() {
    const described = places.map(({ path, type }) => packed(net.values.get(path), path, type));
    const bytes = new Uint8Array(described.reduce((sum, layer) => sum + layer.values.length, 0));
    let at = 0;
    for (const { values } of described) {
      bytes.set(values, at);
      at += values.length;
    }
    layers.show(described, bytes);
  }

  function say(probabilities) {
    const nothing = sheet.empty;
    bars.show([...probabilities], nothing);
    const best = probabilities.indexOf(probabilities.reduce((a, b) => Math.max(a, b)));
    const none = !nothing && net.strangeness > 1;
    const sure = nothing ? (plain ? "nothing drawn yet" : "no image yet") : share(probabilities[best]);
    const value = el("span", { class: "value" }, nothing ? "…" : none ? "none of these" : classes[best]);
    if (!none) value.dir = "auto"; // a class may be written from right to left; these words are not
    const detail = el("span", { class: "detail" }, ...(none ? ["most like ", el("bdi", {}, classes[best]), `, ${sure}`] : [sure]));
    find("verdict").replaceChildren(value, " ", detail);
    find("verdict").dataset.answer = nothing ? "" : classes[best];
    find("verdict").dataset.none = none ? "1" : "";
    if (sheet.active === null) find("said").textContent = nothing ? "" : none ? `none of these, most like ${classes[best]}, ${sure}` : `${classes[best]}, ${sure}`;
  }

  /** Say on the page what is done to the image. */
  function describe() {
    const [height, width, channels] = size;
    const form = `${height} × ${width} pixels, ${channels === 3 ? "in colour" : "grey"}`;
    const how = find("fit").checked
      ? `What is drawn is scaled until its longer side has ${+box.toFixed(1)} pixels, as in the training images, and moved until its centre of mass is in the middle.`
      : "It is resized to this as the training images were, and neither cropped nor moved.";
    find("done").textContent = `${form}. ${how}`;
    find("hint").hidden = !sheet.empty;
    find("undo").disabled = sheet.empty && !sheet.cleared;
    find("clear").disabled = sheet.empty;
    const pens = light ? ["white", "black"] : ["black", "white"];
    if (sheet.upload) {
      const changes = [find("swap").checked && "with light and dark inverted", find("fit").checked && "scaled and centred"];
      const given = changes.filter(Boolean).join(", ") || "as it is";
      const background = plain ? ` The training images are ${light ? "light on dark" : "dark on light"}.` : "";
      find("polarity").textContent = `${sheet.upload.file.name || "The image"} is given to the model ${given}.${background}`;
      find("swap-text").textContent = "Invert light and dark first";
    } else if (plain) {
      find("polarity").textContent = `The training images are ${light ? "light on dark" : "dark on light"}, so the pen is ${pens[0]}.`;
      find("swap-text").textContent = `Draw in ${pens[1]} on ${pens[0]} instead`;
    } else {
      find("polarity").textContent = "";
    }
  }

  function recolour() {
    if (sheet.upload) return soon();
    sheet.colours(...(plain && find("swap").checked ? swapped : usual));
  }

  /** An image of one's own is left as it is unless one asks; a drawing is made like the training images. */
  async function take(file) {
    if (!file) return;
    tell("");
    const shown = await pictureOf(file);
    if (!shown) return tell(`${file.name || "This"} is not an image that this browser can show. Choose a PNG, JPEG, WebP, GIF or BMP file.`);
    if (shown.width > WIDEST) return tell(`${file.name || "This image"} is ${shown.width.toLocaleString("en")} pixels wide; at most ${WIDEST.toLocaleString("en")} can be read. Scale it down first.`);
    if (!sheet.upload) ready.fit = find("fit").checked;
    find("fit").checked = find("swap").checked = false;
    sheet.show(file, shown);
  }

  function drawAgain() {
    find("hint").hidden = true;
    if (!sheet.upload) return;
    find("fit").checked = ready.fit;
    find("swap").checked = false;
  }

  if (plain) {
    find("sheet").addEventListener("pointerdown", drawAgain, { capture: true });
    find("sheet").addEventListener("pointermove", () => swift && sheet.active !== null && soon());
    find("brush").addEventListener("input", (event) => (sheet.brush = event.target.value / 100));
    find("brush").value = 100 * strokes.brush;
    sheet.brush = strokes.brush;
  }
  find("undo").addEventListener("click", () => (drawAgain(), sheet.undo()));
  find("clear").addEventListener("click", () => (drawAgain(), sheet.clear()));
  find("swap").addEventListener("change", recolour);
  find("fit").addEventListener("change", soon);
  find("maps").addEventListener("change", (event) => {
    find("layers").hidden = !event.target.checked;
    soon();
  });
  for (const id of ["file", "photograph"]) {
    find(id).addEventListener("change", (event) => {
      take(event.target.files[0]);
      event.target.value = "";
    });
  }
  addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
  addEventListener("keydown", (event) => {
    if (find("live").open) return;
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) find("undo").click();
    else if (event.key === "Escape") find("clear").click();
    else return;
    event.preventDefault();
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    addEventListener(type, (event) => {
      event.preventDefault(); // a file dropped beside the sheet must not take the page's place
      find("drop").classList.toggle("over", type === "dragenter" || type === "dragover");
      if (type === "drop") take(event.dataTransfer.files[0]);
    });
  }
  photographs(take);

  find("fit").checked = plain;
  recolour();
}

/** Browsers compile what has run a few times: the first stroke need not wait for it. */
function warmUp(net) {
  const [began, image] = [performance.now(), new Uint8Array(net.image.length)];
  while (performance.now() - began < SLOW) net.probabilities(image);
}

function tell(text) {
  find("message").textContent = text;
  find("message").hidden = !text;
}

function hex(level) {
  return level.toString(16).padStart(2, "0");
}

/** The camera: a telephone's own, which takes better pictures; elsewhere live, where the browser lets a page have it. */
function photographs(take) {
  const [camera, snapshot, dialog, video] = ["camera", "snapshot", "live", "video"].map(find);
  const touched = matchMedia("(pointer: coarse)").matches;
  camera.hidden = touched || !navigator.mediaDevices?.getUserMedia;
  snapshot.hidden = !touched;

  camera.addEventListener("click", async () => {
    tell("");
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      const why = { NotAllowedError: "the browser did not allow it", NotFoundError: "none was found" }[error.name];
      return tell(`The camera cannot be used: ${why ?? error.message}. Choose an image file instead.`);
    }
    dialog.showModal();
    await video.play();
  });
  find("take").addEventListener("click", async () => {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    dialog.close();
    canvas.toBlob((blob) => take(blob && new File([blob], "The photograph", { type: blob.type })));
  });
  find("cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
}

/** An image, or a canvas, as pixels (height, width, 3), resized, on white where it is transparent.
 *
 * Band by band, so that a large photograph never lies in memory as a whole beside itself.
 */
function read(image, height, width) {
  const rows = Math.min(Math.max(Math.floor(BAND / image.width), 1), image.height);
  const canvas = el("canvas", { width: image.width, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  context.imageSmoothingEnabled = false;
  const filters = triangles(image.width, width);
  const narrow = { height: image.height, width, channels: 3, data: new Uint8Array(image.height * width * 3) };
  for (let top = 0; top < image.height; top += rows) {
    const some = Math.min(rows, image.height - top);
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, image.width, some);
    context.drawImage(image, 0, top, image.width, some, 0, 0, image.width, some);
    const { data } = context.getImageData(0, 0, image.width, some);
    const band = { height: some, width: image.width, channels: 3, data: withoutAlpha(data) };
    narrow.data.set(narrowed(band, width, filters).data, top * width * 3);
  }
  return lowered(narrow, height);
}

function withoutAlpha(data) {
  const pixels = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from];
    pixels[to + 1] = data[from + 1];
    pixels[to + 2] = data[from + 2];
  }
  return pixels;
}

/** A layer's values as bytes, some of its maps and of their pixels where there are many; see `Layers`. */
function packed({ shape, data }, path, type) {
  const [units, high, wide] = shape.length === 3 && shape[1] * shape[2] > 1 ? shape : [data.length, 1, 1];
  const maps = Math.min(units, high * wide > 1 ? MAPS_SHOWN : FEATURES_SHOWN);
  const [down, right] = [high, wide].map((side) => Math.ceil(side / MAP_SIDE));
  const [height, width] = [Math.ceil(high / down), Math.ceil(wide / right)];
  const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const signed = data.some((value) => value < 0);
  const [zero, factor] = [signed ? 128 : 0, largest > 0 ? (signed ? 127 : 255) / largest : 0];
  const values = new Uint8Array(maps * height * width);
  for (let k = 0, to = 0; k < maps; k++) {
    for (let i = 0; i < high; i += down) {
      for (let j = 0; j < wide; j += right) values[to++] = Math.round(data[(k * high + i) * wide + j] * factor + zero);
    }
  }
  let silent = 0;
  for (let k = 0, size = high * wide; k < units; k++) {
    if (data.subarray(k * size, (k + 1) * size).every((value) => value === 0)) silent++;
  }
  return { path, type, units, maps, height, width, signed, silent, values };
}
