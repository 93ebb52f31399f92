// The page Compare: the report's charts, and two runs image by image.
import { enliven } from "/static/blocks.js";
import { api, el, embedded, percent } from "/static/common.js";

const { runs } = embedded();
const CELLS = { both: "both are right", only_first: "only the first is right", only_second: "only the second is right", neither: "neither is right" };
const byId = (id) => document.getElementById(id);
const selects = ["first", "second"].map(byId);
let pair = 0; // counts what was asked, so that a late answer to an older question is dropped

const count = (n) => n.toLocaleString("en");
const chosen = () => selects.map((select) => runs[select.selectedIndex]);
const path = () => `/api/compare/${chosen().map((run) => run.id).join("/")}`;

function options(select, selected) {
  select.append(...runs.map((run) => el("option", { value: run.id }, run.name)));
  select.selectedIndex = selected;
  select.addEventListener("change", show);
}

/** Ask how the chosen two agree, and show it. */
async function show() {
  const asked = ++pair;
  const [first, second] = chosen();
  byId("shown").replaceChildren();
  byId("agreement").hidden = true;
  const said = byId("said");
  said.className = "said";
  if (first.id === second.id) {
    said.textContent = "Choose two different runs.";
    return;
  }
  said.textContent = "Comparing …";
  const found = await api(path()).catch(() => null);
  if (asked !== pair) return;
  said.textContent = found ? found.said : "";
  if (!found) return;
  said.classList.toggle("not", !found.paired);
  byId("agreement").hidden = !found.paired;
  if (!found.paired) return;
  cells(found.cells, first, second);
  classes(found.classes, first, second);
}

function cells(numbers, first, second) {
  const cell = (name) =>
    el("td", {}, el("button", {
      type: "button", class: name.startsWith("only") ? "alone" : "", "data-cell": name, "aria-pressed": "false",
      "aria-label": `${count(numbers[name])} images: ${CELLS[name]}`, onclick: () => open(name),
    }, count(numbers[name])));
  const table = document.querySelector(".cells");
  table.tHead.replaceChildren(
    el("tr", {}, el("td"), el("th", { scope: "col" }, `${second.name} right`), el("th", { scope: "col" }, `${second.name} wrong`)),
  );
  table.tBodies[0].replaceChildren(
    el("tr", {}, el("th", { scope: "row" }, `${first.name} right`), cell("both"), cell("only_first")),
    el("tr", {}, el("th", { scope: "row" }, `${first.name} wrong`), cell("only_second"), cell("neither")),
  );
}

function classes(rows, first, second) {
  const table = document.querySelector(".classes");
  const titles = ["class", first.name, second.name, "difference, points", "only the first right", "only the second right"];
  table.tHead.replaceChildren(
    el("tr", {}, titles.map((title, n) => el("th", { scope: "col", class: n ? "right" : "" }, title))),
  );
  const alone = (row, n) => {
    const number = count(row.alone[n]);
    if (!row.alone[n]) return el("td", { class: "right" }, number);
    const name = n ? "only_second" : "only_first";
    const label = `${number} images of ${row.name}: ${CELLS[name]}`;
    return el("td", { class: "right" }, el("button", { type: "button", "aria-label": label, onclick: () => open(name, row) }, number));
  };
  table.tBodies[0].replaceChildren(
    ...rows.map((row) => {
      const points = 100 * (row.accuracies[0] - row.accuracies[1]);
      const sign = points > 0 ? "+" : points < 0 ? "−" : "";
      return el(
        "tr", {}, el("th", { scope: "row" }, row.name),
        row.accuracies.map((share) => el("td", { class: "right" }, percent(share))),
        el("td", { class: "right" }, `${sign}${Math.abs(points).toFixed(1)}`), alone(row, 0), alone(row, 1),
      );
    }),
  );
}

let opened = 0;
/** Show the images of a cell, of one class or of all, a page at a time; of two that were asked for, the later. */
async function open(cell, of = null, page = 0) {
  const [asked, turned] = [pair, ++opened];
  const [first, second] = chosen();
  for (const button of document.querySelectorAll(".cells button")) {
    button.setAttribute("aria-pressed", String(button.dataset.cell === cell && !of));
  }
  const query = new URLSearchParams({ page, ...(of ? { true: of.true } : {}) });
  const found = await api(`${path()}/${cell}?${query}`).catch(() => null);
  if (!found || asked !== pair || turned !== opened) return;
  const answer = (run, { name, share }, truth) => {
    const right = name === truth;
    return el("div", { class: right ? "right-answer" : "wrong-answer" }, `${right ? "✓" : "✗"} ${run.name}: ${name} (${percent(share, 0)})`);
  };
  const turn = (text, to) =>
    el("button", { type: "button", disabled: to < 0 || to >= found.pages, onclick: () => open(cell, of, to) }, text);
  byId("shown").replaceChildren(
    el("h3", {}, `${count(found.total)} ${found.total === 1 ? "image" : "images"}${of ? ` of ${of.name}` : ""}: ${CELLS[cell]}`),
    found.note ? el("p", { class: "note" }, found.note) : "",
    el("ul", { class: "pairs" }, found.images.map((image) =>
      el("li", {}, el("img", { src: image.src, alt: `${image.true}, image ${image.id}`, loading: "lazy" }), el("div", { class: "true" }, image.true),
        answer(first, image.answers[0], image.true), answer(second, image.answers[1], image.true)))),
    found.pages > 1
      ? el("div", { class: "controls" }, turn("Previous", page - 1), el("span", { class: "note" }, `page ${page + 1} of ${found.pages}`), turn("Next", page + 1))
      : "",
  );
}

if (runs.length > 1) {
  selects.forEach(options);
  show();
}
enliven();
