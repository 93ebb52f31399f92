// The page of a run: its curves as they grow, and what answers when it is asked.
import { enliven } from "./blocks.js";
import { api, chart, duration, el, embedded, listen, percent, tell } from "./common.js";
import { Details } from "./details.js";
import { Matrix } from "./matrix.js";
import { Plane } from "./plane.js";

const data = embedded();
const { run, classes } = data;

enliven();

let drawn = -1; // epochs that the curves show
async function curves() {
  if (!document.getElementById("curves")) return; // the run has ended, and its report has them
  const found = await api(`/api/runs/${run.id}/curves`, { quiet: true });
  document.getElementById("no-curves").hidden = found.charts.length > 0;
  if (!found.charts.length || found.epochs === drawn) return;
  drawn = found.epochs;
  const place = document.getElementById("curves");
  const figures = found.charts.map(() => el("figure", { class: "chart" }, el("div", { class: "drawing" })));
  const before = place.firstElementChild;
  const stage = el("div", { class: "stage" });
  if (before) {
    // Drawn out of sight first, as wide as it will be: nothing flickers between two epochs.
    stage.style.width = `${before.clientWidth}px`;
    place.append(stage);
    stage.append(...figures);
  } else place.append(...figures);
  await Promise.all(figures.map((figure, i) => chart(figure.firstChild, found.charts[i])));
  place.replaceChildren(...figures);
  place.dataset.epochs = drawn;
}

let drawing = false;
let again = false;
/** Draw what there is now; what comes meanwhile is drawn after that. */
async function redraw() {
  again = true;
  if (drawing) return;
  drawing = true;
  while (again) {
    again = false;
    await curves().catch((error) => tell(error.message, "error"));
  }
  drawing = false;
}
redraw();

const stop = document.getElementById("stop");
const live = document.getElementById("live");

/** The numbers of a run that has no result yet. */
function follow(now) {
  stop.hidden = now.state !== "training";
  stop.disabled = now.stopping;
  stop.textContent = now.stopping ? "Stopping …" : "Stop training";
  if (!live || !["training", "cut off"].includes(now.state)) return;
  const last = (name) => now.last[name] ?? null;
  const numbers = [
    ["epochs", `${now.epochs} of ${now.asked ?? "–"}`],
    ["validation accuracy", percent(last("val_accuracy") ?? last("accuracy"))],
    ["loss", last("loss")?.toPrecision(3) ?? "–"],
    ["an epoch takes", duration(last("seconds"))],
  ];
  if (now.state === "training" && now.epochs && now.asked) {
    numbers.push(["left, about", duration((now.asked - now.epochs) * last("seconds"))]);
  }
  live.replaceChildren(...numbers.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, el("span", { class: "value" }, value)))));
  live.hidden = false;
}

follow(run);
stop.addEventListener("click", async () => {
  const study = run.group ? `\n\nIt belongs to the study ${run.group}, which ends with it as after Ctrl-C; the same command goes on.` : "";
  if (!confirm(`Stop ${run.name}? What it has learnt is kept and measured, and it can be resumed.${study}`)) return;
  stop.disabled = true;
  try {
    await api(`/api/runs/${run.id}/stop`, { method: "POST" });
  } finally {
    stop.disabled = false;
  }
});

let state = run.state;
const heard = (entry) => {
  if (entry.state !== state) {
    // Another state has other sections.
    location.reload();
    return;
  }
  follow(entry);
  redraw();
};
listen(
  (change) => {
    if (change.run !== run.id) return;
    if (change.state === "removed") tell("This run's folder was removed.", "error");
    else heard(change.entry);
  },
  async () => {
    const found = await api("/api/runs", { quiet: true });
    const entry = found.runs.find((each) => each.id === run.id);
    if (entry) heard(entry);
  },
);

if (data.confusion) {
  const details = new Details(run.id, classes);
  new Matrix(run.id, classes, data.confusion, data.predictions, (image) => details.open(image));
  new Plane(run.id, classes, data.explained, (image) => details.open(image));
}
