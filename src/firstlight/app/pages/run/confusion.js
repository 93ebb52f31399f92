// A click on a cell or a name of the report's confusion matrix, or a choice of classes, shows the images behind it.
import { api, el, percent } from "/static/common.js";

const byId = (id) => document.getElementById(id);
const FILTERS = ["true", "predicted", "answer", "order"];
const BESIDE = 14; // classes of a matrix that leaves room for the images beside it

/** A small image with its answer; `open()` when it is chosen. */
function tile(image, classes, open) {
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

/** To the matrix compiled to Vega: the names of its rows and columns hear of clicks. */
export function named(vega) {
  for (const axis of vega.axes ?? []) {
    if (axis.labels !== false) axis.encode = { ...axis.encode, labels: { ...axis.encode?.labels, interactive: true } };
  }
  return vega;
}

export class Confusion {
  /** `figure` has the matrix, `view` is that of its chart; `open(image, step)` shows an image. */
  constructor(figure, view, run, classes, open) {
    Object.assign(this, { run, classes, open, page: 0, asked: 0 });
    const beside = el("div", { class: classes.length <= BESIDE ? "answers halved" : "answers" });
    figure.replaceWith(beside);
    beside.append(figure, byId("images"));
    for (const name of ["true", "predicted"]) {
      byId(name).append(el("option", { value: "" }, "any"), ...classes.map((text, k) => el("option", { value: k }, text)));
    }
    for (const name of FILTERS) byId(name).addEventListener("change", () => this.show(0));
    byId("back").addEventListener("click", () => this.show(this.page - 1));
    byId("on").addEventListener("click", () => this.show(this.page + 1));
    byId("images").hidden = false;
    byId("answer").value = "wrong";
    view.addEventListener("click", (_, item) => {
      if (item?.datum?.images) this.choose(item.datum);
      else if (item?.mark.role === "axis-label") {
        const side = item.mark.group.orient === "left" ? "true" : "predicted";
        this.choose({ [side]: this.classes[item.datum.value] });
      }
    });
    this.show(0).then((total) => {
      if (total) return;
      byId("answer").value = ""; // no image was mistaken
      this.show(0);
    });
  }

  /** Show the images of a cell { true, predicted }, by the names of the classes; of a whole row or column with one. */
  choose(cell) {
    for (const name of ["true", "predicted"]) byId(name).value = name in cell ? this.classes.indexOf(cell[name]) : "";
    byId("answer").value = "";
    this.show(0);
    const box = byId("images").getBoundingClientRect();
    if (box.top > innerHeight / 2 || box.top < 0) byId("images").scrollIntoView({ block: "start" });
  }

  /** Show a page of the images that are asked for; how many there are. */
  async show(page) {
    const turn = ++this.asked;
    const asked = new URLSearchParams({ split: "test", page });
    for (const name of FILTERS) asked.set(name, byId(name).value);
    const found = await api(`/api/runs/${this.run}/images?${asked}`);
    if (turn !== this.asked) return found.total; // another question was asked meanwhile
    this.page = page;
    const part = found.shown < found.total ? `, of which ${found.shown} can be shown` : "";
    byId("found").textContent = `${found.total} test ${found.total === 1 ? "image" : "images"}${part}`;
    const cell = { run: this.run, what: "all", label: asked.get("true"), answer: asked.get("predicted") };
    byId("review").href = `/review?${new URLSearchParams(Object.entries(cell).filter(([, value]) => value))}`;
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
    return found.total;
  }
}
