// Replaces each static drawing with a live chart. Colours come from the style sheet, so light and dark need no redraw.
const specs = JSON.parse(document.getElementById("specs").textContent);
const locale = JSON.parse(document.getElementById("locale").textContent);
const options = { mode: "vega-lite", renderer: "svg", actions: false, formatLocale: locale, tooltip: { theme: "custom" } };

for (const drawing of document.querySelectorAll(".drawing")) {
  const still = drawing.innerHTML;
  vegaEmbed(drawing, specs[Number(drawing.dataset.chart)], options).catch((error) => {
    drawing.innerHTML = still;
    console.error(error);
  });
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
