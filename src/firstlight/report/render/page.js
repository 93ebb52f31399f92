// Replaces each static drawing with a live chart. Colours come from the style sheet, so light and dark need no redraw.
const specs = JSON.parse(document.getElementById("specs").textContent);
const locale = JSON.parse(document.getElementById("locale").textContent);
const sprites = JSON.parse(document.getElementById("sprites").textContent);
const options = { mode: "vega-lite", renderer: "svg", actions: false, formatLocale: locale, tooltip: { theme: "custom" } };

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
