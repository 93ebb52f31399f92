// Replaces each static drawing with a live chart. Colours come from the style sheet, so light and dark need no redraw.
const specs = JSON.parse(document.getElementById("specs").textContent);
const locale = JSON.parse(document.getElementById("locale").textContent);
const sprites = JSON.parse(document.getElementById("sprites").textContent);
const options = { mode: "vega-lite", renderer: "svg", actions: false, formatLocale: locale, tooltip: { theme: "custom" } };

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

for (const drawing of document.querySelectorAll(".drawing")) {
  const still = drawing.innerHTML;
  const sheet = sprites.sheets[sprites.of[drawing.dataset.chart]];
  const shown = sheet ? { ...options, tooltip: { theme: "custom", formatTooltip: pictured(sheet) } } : options;
  vegaEmbed(drawing, specs[Number(drawing.dataset.chart)], shown).then(
    () => drawing.setAttribute("role", "img"), // which a chart lacks whose static drawing failed
    (error) => {
      drawing.innerHTML = still;
      console.error(error);
    },
  );
}

// On paper, what is folded away is shown.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
