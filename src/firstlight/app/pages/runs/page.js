// The table of runs: filtered, sorted, chosen from, and kept up to date by what the server tells.
import { api, duration, el, embedded, listen, percent, svg, tell } from "/static/common.js";

const ago = (seconds) => {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "now";
  if (past < 3600) return `${Math.round(past / 60)} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  return new Date(1000 * seconds).toLocaleDateString();
};
const count = (value) => (value === null ? "–" : value.toLocaleString("en"));
// As report/format.py writes the numbers of records.
const WRITTEN = {
  count: (value) => count(Math.round(value)),
  decimal: (value) => value.toFixed(4),
  percent,
  seconds: duration,
  significant: (value) => String(Number(value.toPrecision(3))),
};
const written = (shown, value) => (value === undefined || value === null ? "–" : WRITTEN[shown.text](value) + shown.unit);
const found = embedded();

// A column: its key, its title, what it is sorted by, what it shows; numbers stand to the right.
const COLUMNS = [
  { key: "state", title: "state", value: (run) => run.state, show: state },
  { key: "name", title: "run", value: (run) => run.name, show: name },
  { key: "model", title: "model", value: (run) => run.model, show: (run) => run.model },
  { key: "data", title: "data", value: (run) => run.data, show: (run) => run.data },
  { key: "lr", title: "learning rate", value: (run) => run.lr, show: (run) => (run.lr === null ? "–" : String(Number(run.lr.toPrecision(3)))), right: true },
  { key: "batch_size", title: "batch", value: (run) => run.batch_size, show: (run) => run.batch_size ?? "–", right: true },
  { key: "seed", title: "seed", value: (run) => run.seed, show: (run) => run.seed ?? "–", right: true },
  { key: "epochs", title: "epochs", value: (run) => run.epochs, show: epochs, right: true },
  { key: "curve", title: "loss", value: (run) => run.loss, show: curve },
  { key: "val_accuracy", title: "validation", value: (run) => run.val_accuracy, show: (run) => percent(run.val_accuracy), right: true },
  { key: "accuracy", title: "test", value: (run) => run.accuracy, show: (run) => percent(run.accuracy), right: true },
  ...Object.entries(found.numbers).map(([key, shown]) => ({ key, recorded: true, title: shown.column, value: (run) => run.numbers[key], show: (run) => written(shown, run.numbers[key]), right: true })),
  { key: "changed", title: "changed", value: (run) => run.changed, show: (run) => ago(run.changed), right: true },
];

const classes = (column) => `${column.key.replaceAll(".", "-")}${column.recorded ? " recorded" : ""}${column.right ? " right" : ""}`;

const MOST = 200; // rows that are shown before more are asked for
const runs = new Map();
let all = false;
let left = 0; // runs that the server had no time to read yet
let studies = {};
const chosen = new Set();
let order = { key: "changed", falling: true };
const table = document.querySelector("table.runs");
const filter = document.getElementById("filter");
const grouped = document.getElementById("grouped");

function state(run) {
  const word = run.stopping ? "stopping" : run.state === "newer" ? "newer format" : run.state;
  return [
    el("span", { class: `dot ${run.state.split(" ")[0]}`, "aria-hidden": "true" }),
    el("span", { class: "word" }, word),
    run.state === "training" && !run.stopping
      ? el("button", { type: "button", class: "stop", "aria-label": `Stop ${run.name}`, onclick: () => stop(run) }, "Stop")
      : null,
  ];
}

/** The epochs that are done, and how far the one under way is. */
function epochs(run) {
  const { within } = run;
  const done = `${run.epochs}/${run.asked ?? "–"}`;
  return within ? [done, el("span", { class: "detail" }, `${percent(within.images / Math.max(within.of, within.images, 1), 0)} of epoch ${within.epoch}`)] : done;
}

function name(run) {
  const shown = grouped.checked && run.group ? run.name.slice(run.group.length + 1) : run.name;
  return el("a", { href: `/run/${run.id}`, title: run.why || run.name }, shown);
}

/** The loss over the epochs, validation drawn through and train dashed, as far as the run has come. */
function curve(run) {
  const drawing = svg("svg", { viewBox: "0 0 120 30", preserveAspectRatio: "none", role: "img" });
  const found = [run.curve.loss, run.curve.val_loss].filter(Boolean);
  const values = found.flat().filter((value) => value !== null);
  drawing.dataset.epochs = run.epochs;
  if (values.length) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const across = Math.max(1, (run.state === "training" ? run.asked : run.epochs) - 1);
    const at = (value, i) => `${(2 + (116 * i) / across).toFixed(1)},${(28 - (26 * (value - low)) / (high - low || 1)).toFixed(1)}`;
    for (const [kind, column] of [["train", run.curve.loss], ["validation", run.curve.val_loss]]) {
      const points = (column ?? []).map((value, i) => (value === null ? null : at(value, run.curve.at[i]))).filter(Boolean);
      if (points.length === 1) points.push(points[0].replace(/^[\d.]+/, (x) => Number(x) + 1));
      if (points.length) drawing.append(svg("polyline", { class: `spark ${kind}`, points: points.join(" ") }));
    }
    drawing.setAttribute("aria-label", `loss from ${values[0].toPrecision(3)} to ${values.at(-1).toPrecision(3)}`);
  } else {
    drawing.setAttribute("aria-label", "no epoch yet");
  }
  return drawing;
}

async function stop(run) {
  const study = run.group ? `\n\nIt belongs to the study ${run.group}, which ends with it as after Ctrl-C; the same command continues.` : "";
  if (!confirm(`Stop ${run.name}? The weights so far are kept and evaluated, and it can be resumed.${study}`)) return;
  tell(`Stopping ${run.name} after this step; the weights so far are then evaluated on the test images.`);
  heard({ run: run.id, state: run.state, summary: { ...run, stopping: true } }); // a sign at once
  await api(`/api/runs/${run.id}/stop`, { method: "POST" });
}

/** Whether each word of the filter is in one of the run's texts. */
function fits(run) {
  const text = [run.name, run.model, run.data, run.state, run.engine, run.group].join(" ").toLowerCase();
  return filter.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function compared(a, b) {
  const value = COLUMNS.find((column) => column.key === order.key).value;
  const [first, second] = [value(a) ?? null, value(b) ?? null];
  if (first === null || second === null) return (first === null) - (second === null); // what is missing comes last
  const sign = typeof first === "string" ? first.localeCompare(second, "en", { numeric: true }) : first - second;
  return (order.falling ? -sign : sign) || a.name.localeCompare(b.name, "en", { numeric: true });
}

function head() {
  const titles = COLUMNS.map((column) =>
    el(
      "th",
      {
        scope: "col",
        class: classes(column),
        "aria-sort": order.key !== column.key ? "none" : order.falling ? "descending" : "ascending",
      },
      el("button", { type: "button", "data-key": column.key, onclick: () => sort(column.key) }, column.title),
    ),
  );
  table.tHead.rows[0].replaceChildren(el("th", { scope: "col" }, el("span", { class: "unseen" }, "selected")), ...titles);
}

function sort(key) {
  order = { key, falling: order.key === key ? !order.falling : !["name", "model", "data", "state"].includes(key) };
  head();
  draw();
  table.querySelector(`thead [data-key="${key}"]`).focus();
}

function row(run) {
  const box = el("input", {
    type: "checkbox",
    "aria-label": `Select ${run.name}`,
    checked: chosen.has(run.id),
    onchange: () => {
      if (box.checked) chosen.add(run.id);
      else chosen.delete(run.id);
      choice();
    },
  });
  const cells = COLUMNS.map((column) =>
    el(column.key === "name" ? "th" : "td", { class: classes(column), ...(column.key === "name" ? { scope: "row" } : {}) }, column.show(run)),
  );
  return el("tr", { id: `run-${run.id}` }, el("td", {}, box), cells);
}

function draw() {
  const fitting = [...runs.values()].filter(fits).sort(compared);
  const shown = all ? fitting : fitting.slice(0, MOST);
  const rest = document.getElementById("more");
  rest.hidden = shown.length === fitting.length;
  rest.firstElementChild.textContent = `Show all ${count(fitting.length)} runs`;
  const groups = new Map();
  for (const run of shown) {
    const group = grouped.checked ? run.group : "";
    groups.set(group, [...(groups.get(group) ?? []), run]);
  }
  const focused = document.activeElement?.closest?.("tbody tr")?.id;
  const kind = document.activeElement?.className;
  for (const body of [...table.tBodies]) body.remove();
  for (const [group, members] of [...groups].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))) {
    table.append(el("tbody", group ? { class: "group" } : {}, group ? title(group, members) : null, members.map(row)));
  }
  if (focused) document.getElementById(focused)?.querySelector(kind ? `.${kind.split(" ")[0]}` : "input")?.focus();
  document.getElementById("none").hidden = shown.length > 0;
  document.getElementById("table").hidden = runs.size === 0;
  document.getElementById("empty").hidden = runs.size > 0;
}

/** The line over the runs of a study. */
function title(group, members) {
  const study = studies[group];
  const ids = members.map((run) => run.id);
  return el(
    "tr",
    {},
    el(
      "th",
      { colspan: COLUMNS.length + 1, scope: "rowgroup" },
      el("b", {}, group),
      study?.report ? [el("a", { href: `/report/study/${study.id}`, target: "_blank", rel: "noopener" }, "report of the study"), " "] : null,
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => {
            const all = ids.every((id) => chosen.has(id));
            for (const id of ids) all ? chosen.delete(id) : chosen.add(id);
            choice();
            draw();
          },
        },
        "select all",
      ),
    ),
  );
}

function choice() {
  const link = document.getElementById("compare");
  const ids = [...chosen].filter((id) => runs.has(id));
  document.getElementById("chosen").textContent = ids.length ? `${ids.length} selected` : "";
  link.setAttribute("aria-disabled", ids.length < 2);
  link.href = `/compare?${ids.map((id) => `run=${id}`).join("&")}`;
}

function take(found) {
  runs.clear();
  for (const run of found.runs) runs.set(run.id, run);
  studies = found.studies;
  left = found.left;
  reading();
  draw();
  choice();
}

/** Say that there are runs still to come: the stream of events brings them. */
function reading() {
  const note = document.getElementById("left");
  note.hidden = left <= 0;
  note.textContent = left > 0 ? `Reading ${count(left)} more runs …` : "";
}

let due = 0;
/** Draw the table soon: many rows come at once where there are many runs. */
function drawSoon() {
  due ||= setTimeout(() => {
    due = 0;
    draw();
  }, 100);
}

function heard(change) {
  if (change.state === "removed") {
    runs.delete(change.run);
    draw();
    choice();
    return;
  }
  const before = runs.get(change.run);
  if (!before && left > 0) {
    left -= 1;
    reading();
  }
  runs.set(change.run, change.summary);
  const old = document.getElementById(`run-${change.run}`);
  // A row that stays where it is, is all that is drawn again: a pointer over another one is not disturbed.
  if (old && before && before.group === change.summary.group && order.key !== "changed" && fits(change.summary)) old.replaceWith(row(change.summary));
  else drawSoon();
}

head();
take(found);
document.querySelector("#more button").addEventListener("click", () => {
  all = true;
  draw();
});
filter.addEventListener("input", draw);
grouped.addEventListener("change", draw);
listen(heard, async () => take(await api("/api/runs", { quiet: true })));
setInterval(() => {
  for (const run of runs.values()) {
    const cell = document.querySelector(`#run-${run.id} .changed`);
    if (cell) cell.textContent = ago(run.changed);
  }
}, 30000);
