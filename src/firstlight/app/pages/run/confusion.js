// The confusion matrix, and the images behind its cells.
import { api, el, percent } from "/static/common.js";

const byId = (id) => document.getElementById(id);

/** A small image with its answer; `open()` when it is chosen. */
export function tile(image, classes, open) {
  const right = image.label === image.predicted;
  const answer = `${classes[image.predicted]} (${percent(image.confidence, 0)})`;
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "tile", title: image.id, onclick: open },
      el("img", { src: image.src, alt: `${classes[image.label]}, image ${image.id}`, loading: "lazy", width: 64, height: 64 }),
      el("span", { class: right ? "right-answer" : "wrong-answer" }, right ? "✓ " : "✗ ", answer),
      right ? null : el("span", { class: "detail" }, `true class: ${classes[image.label]}`),
    ),
  );
}

const DEEPEST = 60; // per cent of a cell's colour at most, on which the ink can still be read in light and dark
const BESIDE = 14; // classes of a matrix that leaves room for the images beside it
const MOST = 40; // classes that a matrix shows; more would be cells that nobody can hit

/** The classes that the matrix shows: all, or of very many those that are confused most. */
function confused(confusion) {
  const all = confusion.map((_, k) => k);
  if (all.length <= MOST) return all;
  const wrong = confusion.flatMap((row, t) => row.map((n, p) => [n, t, p]).filter(([n, t, p]) => n && t !== p));
  const chosen = new Set();
  for (const [, t, p] of wrong.sort((a, b) => b[0] - a[0])) {
    if (new Set([...chosen, t, p]).size > MOST) break;
    chosen.add(t).add(p);
  }
  return chosen.size ? [...chosen].sort((a, b) => a - b) : all.slice(0, MOST);
}

export class Matrix {
  constructor(run, classes, confusion, predictions, open) {
    Object.assign(this, { run, classes, confusion, open, page: 0, asked: 0 });
    this.table = byId("matrix");
    this.draw(predictions);
    if (!predictions) return;
    for (const name of ["true", "predicted"]) {
      byId(name).append(el("option", { value: "" }, "any"), ...classes.map((text, k) => el("option", { value: k }, text)));
    }
    for (const name of ["true", "predicted", "answer", "order"]) byId(name).addEventListener("change", () => this.show(0));
    byId("back").addEventListener("click", () => this.show(this.page - 1));
    byId("on").addEventListener("click", () => this.show(this.page + 1));
    byId("images").hidden = false;
    byId("answer").value = confusion.some((row, t) => row.some((n, p) => n && p !== t)) ? "wrong" : "";
    this.show(0);
  }

  draw(answers) {
    const { classes, confusion } = this;
    const shown = confused(confusion);
    if (shown.length < classes.length) {
      byId("matrix-note").textContent = `Of ${classes.length} classes, the matrix shows the ${shown.length} that are confused most often; the lists of classes have them all.`;
      byId("matrix-note").hidden = false;
    }
    const cell = (t, p) => {
      const images = confusion[t][p];
      const share = images / Math.max(1, confusion[t].reduce((a, b) => a + b));
      const label = `${images} of ${classes[t]} taken for ${classes[p]}`;
      const inside = answers && images
        ? el("button", { type: "button", "data-cell": `${t},${p}`, "aria-label": label, title: label, onclick: () => this.choose(t, p) }, images)
        : el("span", { title: label }, images || "·");
      const td = el("td", { class: `${t === p ? "hit" : "miss"}${images ? "" : " none"}` }, inside);
      td.style.setProperty("--share", `${images ? DEEPEST * (0.06 + 0.94 * Math.sqrt(share)) : 0}%`);
      return td;
    };
    const name = (k, kind) =>
      answers
        ? el("button", { type: "button", class: "quiet", title: classes[k], onclick: () => (kind === "row" ? this.choose(k, "") : this.choose("", k)) }, classes[k])
        : classes[k];
    byId("images").parentElement.classList.toggle("halved", shown.length <= BESIDE);
    this.table.classList.toggle("large", shown.length > 12);
    this.table.classList.toggle("long", classes.some((text) => text.length > 4));
    this.table.append(
      el("thead", {}, el("tr", {}, el("td", {}), shown.map((k) => el("th", { scope: "col" }, el("span", {}, name(k, "column")))))),
      el("tbody", {}, shown.map((t) => el("tr", {}, el("th", { scope: "row" }, name(t, "row")), shown.map((p) => cell(t, p))))),
    );
  }

  choose(t, p) {
    byId("true").value = t;
    byId("predicted").value = p;
    byId("answer").value = "";
    this.show(0);
    const box = byId("images").getBoundingClientRect();
    if (box.top > innerHeight / 2 || box.top < 0) byId("images").scrollIntoView({ block: "start" });
  }

  async show(page) {
    const turn = ++this.asked;
    const asked = new URLSearchParams({ split: "test", page });
    for (const name of ["true", "predicted", "answer", "order"]) asked.set(name, byId(name).value);
    const found = await api(`/api/runs/${this.run}/images?${asked}`);
    if (turn !== this.asked) return; // another question was asked meanwhile
    this.page = page;
    const part = found.shown < found.total ? `, of which ${found.shown} can be shown` : "";
    byId("found").textContent = `${found.total} test ${found.total === 1 ? "image" : "images"}${part}`;
    byId("images-note").textContent = found.note;
    byId("images-note").hidden = !found.note;
    byId("tiles").replaceChildren(
      ...found.images.map((image, n) => {
        let at = n;
        const step = async (by) => (found.images[at + by] ? found.images[(at += by)] : null);
        const open = () => {
          at = n;
          this.open(image, step);
        };
        return tile(image, this.classes, open);
      }),
    );
    byId("tiles").scrollTop = 0;
    byId("pages").hidden = found.pages < 2;
    byId("page").textContent = `${page + 1} of ${found.pages}`;
    byId("back").disabled = page === 0;
    byId("on").disabled = page + 1 >= found.pages;
    for (const button of this.table.querySelectorAll("[data-cell]")) {
      const here = button.dataset.cell === `${byId("true").value},${byId("predicted").value}`;
      here ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
    }
  }
}
