// The page of a run: its curves as they grow, and what answers when it is asked.
import { enliven } from "/static/blocks.js";
import { api, chart, duration, el, embedded, listen, percent, tell } from "/static/common.js";
import { Confusion, named } from "./confusion.js";
import { Embedding } from "./embedding.js";
import { Details } from "./image.js";

const byId = (id) => document.getElementById(id);
const data = embedded();
const { run, classes } = data;

const details = new Details(run.id, classes);
const open = (image, step) => details.open(image, step);
const answers = (figure) => figure.dataset.kind === "confusion" && data.predictions;
enliven(
  (figure, view) => answers(figure) && new Confusion(figure, view, run.id, classes, open),
  (figure) => (answers(figure) ? { patch: named } : {}),
);
if (byId("map")) new Embedding(run.id, classes, data.explained, open);
answerable();

let drawn = -1; // epochs that the curves show
async function curves() {
  if (!document.getElementById("curves")) return; // the run has ended, and its report has them
  const found = await api(`/api/runs/${run.id}/curves`, { quiet: true });
  document.getElementById("no-curves").hidden = found.charts.length > 0;
  if (!found.charts.length || found.epochs === drawn) return;
  drawn = found.epochs;
  const place = document.getElementById("curves");
  const figures = found.charts.map(() => el("figure", { class: "chart" }, el("div", { class: "drawing", role: "img" })));
  figures.forEach((figure, i) => figure.firstChild.setAttribute("aria-label", ["Loss by epoch", "Accuracy by epoch"][i]));
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

const [stop, resume, live] = ["stop", "resume", "live"].map(byId);
const ENDS = "Stopping after this step; the weights so far are then evaluated on the test images.";

/** The numbers of a run that has no result yet. */
function follow(now) {
  stop.hidden = now.state !== "training";
  stop.disabled = now.stopping;
  stop.textContent = now.stopping ? "Stopping …" : "Stop training";
  resume.hidden = !["interrupted", "cut off"].includes(now.state);
  byId("report").hidden = !now.report; // it is written after the result
  byId("pdf").hidden = !now.pdf;
  if (!live || !["training", "cut off"].includes(now.state)) return;
  const last = (name) => now.last[name] ?? null;
  const validated = last("val_accuracy") !== null;
  const numbers = [
    ["epochs done", `${now.epochs} of ${now.asked ?? "–"}`],
    [validated ? "validation accuracy" : "training accuracy", percent(last("val_accuracy") ?? last("accuracy"))],
    ["training loss", last("loss")?.toPrecision(3) ?? "–"],
    ["time per epoch", duration(last("seconds"))],
  ];
  if (now.state === "training" && now.epochs && now.asked) {
    numbers.push(["time left, about", duration((now.asked - now.epochs) * last("seconds"))]);
  }
  if (now.within) {
    const { epoch, images, of, loss } = now.within;
    const detail = `${images.toLocaleString("en")} of ${of.toLocaleString("en")} images${loss === null ? "" : `, loss ${loss.toPrecision(3)}`}`;
    numbers.splice(1, 0, [`epoch ${epoch}`, percent(images / Math.max(of, images, 1), 0), detail]);
  }
  live.replaceChildren(
    ...numbers.map(([label, value, detail]) =>
      el("div", {}, el("dt", {}, label), el("dd", {}, el("span", { class: "value" }, value), detail ? el("span", { class: "detail" }, detail) : null)),
    ),
  );
  live.hidden = false;
}

follow(run);
stop.addEventListener("click", async () => {
  const study = run.group ? `\n\nIt belongs to the study ${run.group}, which ends with it as after Ctrl-C; the same command continues.` : "";
  if (!confirm(`Stop ${run.name}? The weights so far are kept and evaluated, and it can be resumed.${study}`)) return;
  stop.disabled = true;
  stop.textContent = "Stopping …";
  tell(ENDS);
  try {
    await api(`/api/runs/${run.id}/stop`, { method: "POST" });
  } catch {
    stop.disabled = false; // what was wrong has been told
    stop.textContent = "Stop training";
  }
});

resume.addEventListener("click", async () => {
  resume.disabled = true;
  tell("Resuming: the images are read again …");
  try {
    const { name } = await api(`/api/runs/${run.id}/resume`, { method: "POST" });
    for (;;) {
      const now = await api(`/api/start/${encodeURIComponent(name)}`);
      if (now.state === "begun") return location.reload();
      if (now.state === "failed") {
        resume.disabled = false;
        return tell(`It could not be resumed.\n${now.output}`, "error");
      }
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  } catch {
    resume.disabled = false; // what was wrong has been told
  }
});

let state = run.state;
const heard = (summary) => {
  if (summary.state !== state) {
    // Another state has other sections.
    location.reload();
    return;
  }
  follow(summary);
  if (summary.epochs !== drawn) redraw();
};
listen(
  (change) => {
    if (change.run !== run.id) return;
    if (change.state === "removed") tell("This run's folder was removed.", "error");
    else heard(change.summary);
  },
  async () => {
    heard(await api(`/api/runs/${run.id}`, { quiet: true }));
  },
);

/** The report's pictures that say which image they show open it. */
function answerable() {
  const tiles = [...document.querySelectorAll(".report .tile[data-id]")];
  const show = async (n) => {
    const { split, id } = tiles[n].dataset;
    return api(`/api/runs/${run.id}/image?${new URLSearchParams({ split, id })}`);
  };
  tiles.forEach((tile, n) => {
    const image = tile.querySelector("img");
    const button = el("button", { type: "button", class: "look", title: "What the prediction depends on" });
    image.replaceWith(button);
    button.append(image);
    let at = n;
    const step = async (by) => (tiles[at + by] ? show((at += by)) : null);
    button.addEventListener("click", async () => open(await show((at = n)), step));
  });
}

/** Labels in doubt are decided of on a page of their own. */
for (const figure of document.querySelectorAll('.report [data-kind="label-errors"]')) {
  figure.after(el("p", {}, el("a", { class: "button", href: `/review?${new URLSearchParams({ run: run.id })}` }, "Review these labels")));
}

/** Mark in the contents which section is being read. */
const links = new Map([...document.querySelectorAll("#contents a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver(
  (found) => {
    for (const { target, isIntersecting } of found) {
      const link = links.get(target.id);
      if (!isIntersecting) continue;
      for (const other of links.values()) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      const list = link.closest("ul");
      list.scrollLeft = link.offsetLeft - list.offsetLeft - list.clientWidth / 2; // where the list is wider than the page
    }
  },
  { rootMargin: "-15% 0px -75% 0px" },
);
for (const [id] of links) if (id !== "main" && byId(id)) reading.observe(byId(id));
