// The tooltip of a chart whose marks stand for pictures: the picture, cut out of its sprite, above the facts.
function pictured(sheet) {
  const image = new Image();
  image.src = sheet.source;
  const { columns, width, height } = sheet;
  const factor = Math.max(1, Math.floor(112 / Math.max(width, height)));
  return ({ picture, ...facts }, escape) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const n = Number(picture);
    const [x, y] = [(n % columns) * width, Math.floor(n / columns) * height];
    canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
    const rows = Object.entries(facts).map(
      ([key, value]) => `<tr><td class="key">${escape(key)}</td><td class="value">${escape(value)}</td></tr>`,
    );
    return `<img src="${canvas.toDataURL()}" width="${factor * width}" height="${factor * height}" alt="">
      <table>${rows.join("")}</table>`;
  };
}
