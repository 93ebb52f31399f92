// The canvas that is drawn on: strokes of a pen, kept so that they can be taken back, or a picture that was uploaded.

const SIDE = 280; // pixels of the longer side, unless the model itself takes more

export class Strokes {
  /** On a canvas with the aspect ratio of `size` [height, width]; `changed()` is called after each stroke and each other change. */
  constructor(canvas, [height, width], changed) {
    const scale = Math.max(SIDE / Math.max(height, width), 1);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.changed = changed;
    this.strokes = [];
    this.cleared = null; // what "clear" took away, so that "undo" brings it back
    this.upload = null; // { file, picture }
    this.active = null;
    this.pen = "#ffffff";
    this.paper = "#000000";
    this.brush = 0.09; // of the longer side
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.up(event));
    }
  }

  get empty() {
    return !this.strokes.length && !this.upload;
  }

  get longest() {
    return Math.max(this.canvas.width, this.canvas.height);
  }

  down(event) {
    if (this.active !== null || (event.pointerType === "mouse" && event.button !== 0)) return;
    event.preventDefault();
    this.active = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    if (this.upload) this.reset();
    this.cleared = null;
    this.strokes.push({ pen: this.pen, width: this.brush, points: [this.place(event)] });
    this.repaint();
  }

  move(event) {
    if (event.pointerId !== this.active) return;
    const stroke = this.strokes.at(-1);
    const between = event.getCoalescedEvents?.() ?? [];
    const done = stroke.points.length - 1;
    for (const each of between.length ? between : [event]) stroke.points.push(this.place(each));
    this.paint(stroke, done);
  }

  up(event) {
    if (event.pointerId !== this.active) return;
    this.active = null;
    this.changed();
  }

  /** Where an event is on the sheet, as shares of the longer side. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width / this.longest;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  undo() {
    if (this.cleared) [this.strokes, this.upload, this.cleared] = [this.cleared.strokes, this.cleared.upload, null];
    else if (this.upload) this.upload = null;
    else this.strokes.pop();
    this.repaint();
  }

  clear() {
    if (this.empty) return;
    this.cleared = { strokes: this.strokes, upload: this.upload };
    this.reset();
    this.repaint();
  }

  reset() {
    this.strokes = [];
    this.upload = null;
  }

  /** Take an image file in the place of a drawing. One that the browser cannot show is still sent. */
  async put(file) {
    this.show(file, await pictureOf(file));
  }

  /** Show the picture of a file in the place of a drawing. */
  show(file, picture) {
    this.reset();
    this.cleared = null;
    this.upload = { file, picture };
    this.repaint();
  }

  /** Change pen and paper; strokes in the old pen take the new one. */
  colours(pen, paper) {
    for (const stroke of this.strokes) if (stroke.pen === this.pen) stroke.pen = pen;
    [this.pen, this.paper] = [pen, paper];
    this.repaint();
  }

  repaint() {
    const { context, canvas, upload } = this;
    context.fillStyle = this.paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (upload?.picture) {
      const { width, height } = upload.picture;
      const scale = Math.min(canvas.width / width, canvas.height / height);
      context.imageSmoothingEnabled = scale < 1;
      const [w, h] = [width * scale, height * scale];
      context.drawImage(upload.picture, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
    }
    for (const stroke of this.strokes) this.paint(stroke);
    if (this.active === null) this.changed();
  }

  /** Paint a stroke from one of its points on, piece by piece, so that it looks the same when it is painted again. */
  paint({ pen, width, points }, from = 0) {
    const { context, longest } = this;
    context.strokeStyle = pen;
    context.lineWidth = width * longest;
    context.lineCap = "round";
    for (let i = from; i < Math.max(points.length - 1, 1); i++) {
      const [start, end] = [points[i], points[i + 1] ?? points[i]];
      context.beginPath();
      context.moveTo(start[0] * longest, start[1] * longest);
      context.lineTo(end[0] * longest, end[1] * longest);
      context.stroke();
    }
  }

  /** What is to be sent: the uploaded file itself, or the drawing as an image file. */
  bytes() {
    if (this.upload) return this.upload.file;
    return bitmap(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
  }
}

/** The picture in a file, upright and with the colours as they are stored; null where the browser cannot show it. */
function pictureOf(file) {
  const asStored = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  return createImageBitmap(file, asStored)
    .catch(() => createImageBitmap(file)) // a browser that knows no such options
    .catch(() => null);
}

/** A BMP file of 24 bits per pixel, the upper row first. The browser's own PNG encoder waits until nothing else is to do. */
function bitmap({ width, height, data }) {
  const [head, row] = [54, 4 * Math.ceil((3 * width) / 4)];
  const file = new ArrayBuffer(head + row * height);
  const view = new DataView(file);
  view.setUint16(0, 0x424d); // "BM"
  view.setUint32(2, file.byteLength, true);
  view.setUint32(10, head, true);
  view.setUint32(14, 40, true); // the length of what follows in the head
  view.setInt32(18, width, true);
  view.setInt32(22, -height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  const pixels = new Uint8Array(file, head);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0, to = y * row; x < width; x++, from += 4, to += 3) {
      pixels[to] = data[from + 2];
      pixels[to + 1] = data[from + 1];
      pixels[to + 2] = data[from];
    }
  }
  return file;
}
