// The page Step: a net on an image, layer by layer, forward and backward, and what a step of training makes of it.

import { el, embedded, tell } from "/static/common.js";
import { picture } from "/static/drawing/feature_maps.js";
import { showCourse } from "/static/step/course.js";
import { ImageChoice } from "/static/step/image.js";
import { showLoss } from "/static/step/loss.js";
import { Maps } from "/static/step/maps.js";
import { markup } from "/static/step/numbers.js";
import { Session } from "/static/step/session.js";
import { showWeight } from "/static/step/weight.js";
import { marksOf, showWorking, spoken } from "/static/step/working.js";

const SEVERAL = 4; // images, where one alone cannot be trained on
const SLOW = 700; // milliseconds between two steps that are watched
const byId = (id) => document.getElementById(id);

const { settings: { evaluation = 0, ...settings }, path: seen, limit } = embedded();
const session = new Session({ ...settings, width: document.getElementById("main").clientWidth });
const maps = new Map(); // by the tensor's name
session.evaluation = evaluation;
byId("evaluation").checked = Boolean(evaluation);
let facts = null;
let layer = null; // of facts.layers
let chosen = null; // { of, index } of the value that is explained
let weight = null; // { name, index }
let asked = { of: "value", k: 0 }; // the number of the loss that is explained
let heading = null; // the step that is being gone to
let opening = 0; // counts the images that were asked for: the last one is shown
let playing = 0; // counts what was begun, so that it ends when something else begins

byId("choice").addEventListener("change", () => byId("choice").submit());

const say = (text) => (byId("said").textContent = text);

/** The latest question alone is answered: one that comes while another is under way takes the place of any that waits. */
function latest(ask) {
  let busy = false;
  let waiting = null;
  return async function begin(...question) {
    if (busy) {
      waiting = question;
      return;
    }
    busy = true;
    await ask(...question).catch(() => {});
    busy = false;
    if (waiting) {
      const next = waiting;
      waiting = null;
      begin(...next);
    }
  };
}

/** Begin on other images. Returns the error, where it cannot be done. */
async function open(image, body) {
  playing++;
  heading = null;
  const mine = ++opening;
  byId("step").setAttribute("aria-busy", "true");
  const found = await session.open(image, body).catch((error) => error);
  if (mine !== opening) return null;
  byId("step").setAttribute("aria-busy", "false");
  if (found instanceof Error) return found;
  tell("");
  facts = found;
  byId("step").hidden = false;
  session.shown = 0;
  show(0);
  byId("over").closest("label").hidden = !found.over;
  choice.show(found);
  net(found);
  byId("epoch").title = found.epoch > 1 ? `${found.epoch} steps` : "An epoch is of the training images: choose them below.";
  const same = found.layers.find(({ path }) => path === (layer?.path ?? seen));
  if (same && layer) layer = same;
  else arrange(same ?? found.layers[found.first]);
  weight ??= found.weight;
  await again(found.state);
  document.body.dataset.ready = String(Number(document.body.dataset.ready ?? 0) + 1);
  return null;
}

const show = (n) => picture(byId("seen"), facts.images.shown[n]);

const choice = new ImageChoice({ limit, open });

/** The picture of the net, whose blocks choose layers, and their list. */
function net(found) {
  byId("net").replaceChildren(found.net ? markup(found.net) : "");
  for (const block of byId("net").querySelectorAll("[data-path]")) {
    const of = found.layers.find(({ path }) => path === block.dataset.path);
    if (!of) continue;
    const choose = () => select(of).then(() => byId("layer-title").scrollIntoView());
    block.addEventListener("click", choose);
    block.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
  }
  byId("layers").replaceChildren(...found.layers.map(({ path, type }, n) => el("option", { value: n }, `${path} · ${type}`)));
}

async function select(next) {
  arrange(next);
  await tensors();
  say(`${layer.path}, ${layer.type}. ${layer.told}`);
}

/** Make room for the tensors of a layer. */
function arrange(next) {
  layer = next;
  const at = facts.layers.indexOf(layer);
  byId("layers").value = at;
  for (const block of byId("net").querySelectorAll("[data-path]")) block.classList.toggle("here", block.dataset.path === layer.path);
  byId("layer-title").textContent = `${layer.path} · ${layer.type}`;
  byId("layer-told").textContent = layer.told;
  byId("previous-layer").disabled = at === 0;
  byId("next-layer").disabled = at === facts.layers.length - 1;
  for (const side of ["forward", "backward"]) {
    byId(`${side}-formula`).replaceChildren(...layer[side].map((line) => el("p", {}, markup(line))));
  }
  chosen = null;
  for (const each of maps.values()) each.observer.disconnect();
  maps.clear();
  byId("forward").replaceChildren();
  byId("backward").replaceChildren();
  showWorking(byId("terms"), null);
}

/** Bring the layer's tensors; what is looked at stays. */
async function tensors() {
  const of = layer;
  const found = await session.tensors(of.path).catch(() => null);
  if (!found || of !== layer) return;
  for (const { name, label, side, explains, dials } of of.tensors) {
    if (!(name in found)) continue;
    if (!maps.has(name)) {
      const one = new Maps({
        label, of: name, explains,
        load: (tensor, channel) => session.channel(of.path, tensor, channel),
        on: { hover: (view, index) => hovered(view, index), pick: (view, index) => picked(view, index, dials) },
      });
      maps.set(name, one);
      byId(side).append(one.element);
    }
    maps.get(name).show(found[name]);
  }
}

const explain = latest(async (of, index, aloud) => {
  const from = layer;
  const working = index && (await session.working(from.path, of, index));
  if (from !== layer) return;
  shown(working);
  if (aloud && working) say(spoken(working));
});

function shown(working) {
  showWorking(byId("terms"), working);
  byId("working").dataset.of = working ? `${working.of}${working.place}` : "";
  const ranks = Object.fromEntries([...maps].map(([name, { tensor }]) => [name, tensor.shape.length]));
  const marks = marksOf(working, ranks, session.shown);
  for (const [name, one] of maps) one.mark(marks[name] ?? []);
}

/** A value under the mouse is explained until the mouse leaves; then again the one that was chosen, if any. */
function hovered(view, index) {
  if (index && view.explains) explain(view.explains, index, false);
  else if (!index && view.explains) explain(chosen?.of, chosen?.index, false);
}

async function explainLoss(question, aloud = false) {
  asked = question;
  const working = await session.ask("loss", asked).catch(() => null);
  showWorking(byId("loss-terms"), working);
  if (working && aloud) say(spoken(working));
}

function picked(view, index, dials) {
  for (const other of maps.values()) if (other !== view) other.unpin();
  chosen = index && view.explains ? { of: view.explains, index } : null;
  if (index && dials) {
    weight = { name: dials, index };
    showChosenWeight();
  }
  if (chosen) explain(chosen.of, index, true);
  else {
    explain(null, null, false);
    if (index) say(`${view.label} at ${index.join(", ")}`);
  }
}

const showChosenWeight = latest(async () => {
  if (!weight) {
    byId("weight").replaceChildren(el("p", { class: "note" }, "No weight is chosen."));
    return;
  }
  const { name, index } = weight;
  const found = await session.weight(name, index);
  showWeight(byId("weight"), found);
  if (found.pending && weight.name === name) showWeight(byId("weight"), await session.weight(name, index, true));
});

/** What changes with a step beside the layer that is looked at. */
function state(now) {
  session.at = now.at;
  byId("at").textContent = `Step ${now.at}`;
  byId("at").dataset.at = now.at;
  byId("loss-now").textContent = now.text;
  byId("back").disabled = now.at === 0;
  for (const id of ["one", "ten", "epoch"]) byId(id).disabled = Boolean(now.ended) || (id === "epoch" && facts.epoch < 2);
  showLoss(byId("loss"), now.loss, facts.loss, (of, k) => explainLoss({ of, k: k ?? 0 }, true));
  showCourse(byId("course"), now.history);
}

const progress = (now) => {
  byId("at").textContent = `Step ${now.at} …`;
  return true;
};

/** Show what is looked at anew: at another step, of another image of the batch, in another mode. */
async function again(now) {
  state(now);
  const waiting = [explainLoss(asked), showChosenWeight()];
  await tensors();
  if (chosen) explain(chosen.of, chosen.index, false);
  await Promise.all(waiting);
}

/** Go to a step, and show all that is looked at there. */
async function go(at, wanted = () => true) {
  const now = await session.walk(session.at, at, (now) => wanted() && progress(now)).catch(() => null);
  if (!now || !wanted()) return false;
  await again(now);
  if (now.ended) tell(now.ended);
  return !now.ended;
}

/** Move by so many steps; slowly, one after another, until something else is asked for. */
async function move(steps) {
  const mine = ++playing;
  byId("step").setAttribute("aria-busy", "true");
  const slowly = byId("slowly").checked;
  const target = Math.max(0, (slowly ? session.at : heading ?? session.at) + steps); // quick presses add up
  heading = target;
  if (slowly && Math.abs(steps) > 1) {
    while (session.at !== target && mine === playing) {
      if (!(await go(session.at + Math.sign(steps)))) break;
      if (session.at !== target) await new Promise((resolve) => setTimeout(resolve, SLOW));
    }
  } else await go(target, () => mine === playing);
  if (mine !== playing) return;
  heading = null;
  byId("step").setAttribute("aria-busy", "false");
  say(`Step ${session.at}. ${byId("loss-now").textContent}`);
}

byId("back").addEventListener("click", () => move(-1));
byId("one").addEventListener("click", () => move(1));
byId("ten").addEventListener("click", () => move(10));
byId("epoch").addEventListener("click", () => move(facts.epoch));
byId("over").addEventListener("change", (event) => {
  session.settings.over = event.target.value;
  open(session.image, session.body);
});
byId("evaluation").addEventListener("change", (event) => {
  session.evaluation = Number(event.target.checked);
  go(session.at);
});
byId("shown").addEventListener("change", (event) => {
  const n = Math.max(0, Math.min(facts.images.batch - 1, Math.round(Number(event.target.value)) || 0));
  event.target.value = session.shown = n;
  show(n);
  go(session.at);
});
byId("layers").addEventListener("change", (event) => select(facts.layers[Number(event.target.value)]));
byId("there")?.addEventListener("click", (event) => {
  heading = null;
  move(Number(event.target.dataset.steps) - session.at);
});
byId("previous-layer").addEventListener("click", () => select(facts.layers[facts.layers.indexOf(layer) - 1]));
byId("next-layer").addEventListener("click", () => select(facts.layers[facts.layers.indexOf(layer) + 1]));

const problem = await open({ image: 0 });
if (problem) {
  // Batch norm of single values needs several images.
  await open({ image: 0, batch: SEVERAL });
  if (facts) tell(`${problem.message} So there are ${SEVERAL} images here.`);
}
