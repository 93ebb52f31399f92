// The page Review: one image at a time, a decision on its label, and the next.

import { api, el, embedded, percent, tell } from "/static/common.js";
import { Bars } from "/static/drawing/probabilities.js";
import { ClassSearch } from "./classes.js";
import { History } from "./history.js";
import { Strip } from "./strip.js";

const find = (id) => document.getElementById(id);
const FILTERS = ["what", "label", "answer", "order", "text"];
const isolated = (name) => `\u2068${name}\u2069`; // whichever way it is written
const SIDE = 448; // CSS pixels of a picture; small ones are enlarged by a whole factor

find("run")?.addEventListener("change", (event) => event.target.form.submit());
if (find("data")) review(embedded());

function review(facts) {
  const { run, classes, labels } = facts;
  const source = (id) => `/image/${run}/loaded.png?${new URLSearchParams({ id, v: facts.version })}`;
  const bars = new Bars(find("bars"), classes, { most: 10, sorted: true, said: (p) => percent(p, 0), signs: {} }); // which is right is what is asked
  const search = new ClassSearch(find("search"), find("classes"), labels, (name) => decide(name), focus);
  const history = new History(`firstlight-review ${run} ${facts.file}`);
  const strip = new Strip(find("strip"), classes, source, (at) => go(at));
  const ahead = new Map(); // what was asked for before it is needed
  let [images, at, shown, busy, turn] = [[], 0, null, false, 0];

  // Who decides.
  const by = find("by");
  by.value = localStorage.getItem("firstlight-by") ?? facts.by;
  by.addEventListener("change", () => localStorage.setItem("firstlight-by", by.value.trim()));

  // Which images.
  for (const name of ["label", "answer"]) {
    find(name).append(...classes.map((text, k) => el("option", { value: k }, text)));
  }
  find("pair").append(
    ...facts.pairs.map(([given, suggested, n]) => el("option", { value: `${given} ${suggested}` }, `${isolated(classes[given])} → ${isolated(classes[suggested])} (${n})`)),
  );
  find("pair").addEventListener("change", () => {
    [find("label").value, find("answer").value] = find("pair").value ? find("pair").value.split(" ") : ["", ""];
    list();
  });
  for (const name of FILTERS.slice(0, -1)) find(name).addEventListener("change", () => list());
  let typing = null;
  find("text").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(list, 250);
  });

  /** Ask for the list that the filters describe, and go to its first image that is not decided, or to the one wanted. */
  async function list(wanted = null) {
    const mine = ++turn;
    const values = Object.fromEntries(FILTERS.map((name) => [name, find(name).value]));
    const doubts = values.what === "doubts";
    find("pairs").hidden = find("orders").hidden = !doubts;
    find("answer-name").textContent = doubts ? "Seems to be" : "Predicted";
    find("pair").value = doubts && values.label && values.answer ? `${values.label} ${values.answer}` : "";
    const asked = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
    remember([...asked, ...(wanted ? [["id", wanted]] : [])]);
    find("nothing").hidden = false;
    find("nothing").textContent = "Looking …";
    const found = await api(`/api/review/${run}/list?${asked}`).catch(() => null);
    if (mine !== turn) return;
    images = found?.images ?? [];
    trouble(found?.trouble ?? "");
    const more = found && found.total > images.length;
    find("nothing").hidden = images.length > 0 && !more;
    if (!images.length) find("nothing").textContent = found ? (doubts ? "No label here is suspected to be wrong." : "There is no such image.") : "";
    else if (more) find("nothing").textContent = `The first ${images.length.toLocaleString("en")} of ${found.total.toLocaleString("en")} images: narrow them down by class or id.`;
    find("desk").hidden = !images.length;
    strip.list(images);
    count();
    if (!images.length && !(wanted && doubts)) return;
    const place = images.findIndex((image) => image.id === wanted);
    if (wanted && place < 0 && doubts) return elsewhere(wanted);
    const open = images.findIndex((image) => image.decided === null);
    await go(place >= 0 ? place : Math.max(open, 0));
  }

  /** An image that is asked for by its id and is none of the doubts. */
  function elsewhere(id) {
    for (const name of ["label", "answer"]) find(name).value = "";
    [find("what").value, find("text").value] = ["all", id];
    return list(id);
  }

  /** Keep in the address what is shown, so that a reload shows it again. */
  function remember(asked) {
    const address = new URL(location);
    address.search = new URLSearchParams([["run", run], ...asked]);
    window.history.replaceState(null, "", address);
  }

  const decided = () => images.filter((image) => image.decided !== null).length;
  const done = () => `${decided().toLocaleString("en")} of ${images.length.toLocaleString("en")}`;
  function count() {
    find("bar").max = Math.max(images.length, 1);
    find("bar").value = decided();
    find("count").textContent = images.length ? `${done()} decided` : "";
  }

  function trouble(text) {
    find("trouble").textContent = text;
    find("trouble").hidden = !text;
  }

  function ask(id) {
    const asked = new URLSearchParams({ id });
    return {
      image: api(`/api/review/${run}/image?${asked}`, { quiet: true }),
      near: api(`/api/review/${run}/nearest?${asked}`, { quiet: true }).catch((error) => ({ error: error.message })),
    };
  }

  /** Show an image of the list. */
  async function go(place) {
    if (!images[place]) return;
    at = place;
    const { id } = images[at];
    strip.show(at);
    remember([...[...new URLSearchParams(location.search)].filter(([name]) => name !== "run" && name !== "id"), ["id", id]]);
    find("back").disabled = at === 0;
    find("on").disabled = at === images.length - 1;
    find("desk").setAttribute("aria-busy", "true");
    const asked = ahead.get(id) ?? ask(id);
    ahead.clear();
    let found;
    try {
      found = await asked.image;
    } catch (error) {
      if (images[at]?.id !== id) return;
      shown = null;
      find("desk").setAttribute("aria-busy", "false");
      find("question").textContent = "This image cannot be shown.";
      find("why").textContent = error.message;
      return;
    }
    if (images[at]?.id !== id) return; // gone on meanwhile
    shown = found;
    show(found);
    find("desk").setAttribute("aria-busy", "false");
    const following = images[next()] ?? images[at + 1];
    if (following && following.id !== id) {
      ahead.set(following.id, ask(following.id));
      ahead.get(following.id).image.catch(() => {});
      new Image().src = source(following.id);
    }
    asked.near.then((found) => near(found, id));
  }

  function show(found) {
    const picture = find("picture");
    picture.src = source(found.id);
    picture.alt = `Image ${found.id}, labelled ${found.label}`;
    const factor = Math.max(1, Math.floor(SIDE / Math.max(found.width, found.height)));
    picture.style.setProperty("--side", `${factor * found.width}px`);
    find("where").replaceChildren(el("bdi", {}, found.id), found.split ? ` · ${found.split}` : "", ` · ${found.height} × ${found.width} pixels`);
    const name = (text) => el("bdi", {}, text);
    find("question").replaceChildren("Labelled ", name(found.label), ...(found.suggested ? ["; is it ", name(found.suggested), "?"] : ["."]));
    find("why").replaceChildren(...found.why.map((line) => el("p", {}, line)));
    find("keep").querySelector(".text").replaceChildren("Keep ", name(found.label));
    find("take").querySelector(".text").replaceChildren("Change to ", name(found.suggested ?? ""));
    find("keep").title = found.label;
    find("take").title = found.suggested ?? "";
    find("take").hidden = !found.suggested;
    status(found);
    search.own(found.decided?.new || found.label);
    const known = found.probabilities !== null;
    find("unknown").hidden = known;
    find("unknown").textContent = known ? "" : "The model was trained on this image, so its prediction is not shown.";
    find("bars").hidden = !known;
    if (known) bars.show(found.probabilities, false, found.used);
    find("near").replaceChildren();
    find("near-note").textContent = "Searching …";
  }

  function status({ decided: row, stale }) {
    const place = find("status");
    place.className = stale ? "stale" : row ? "done" : "";
    if (!row) return place.replaceChildren("Not decided yet.");
    const when = row.at ? new Date(row.at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "";
    const who = [row.by && `by ${row.by}`, when].filter(Boolean).join(", ");
    const old = stale ? " That was for other pixels: decide again." : "";
    place.replaceChildren(el("bdi", {}, said(row)), who ? ` (${who}).` : ".", old);
  }

  function near(found, id) {
    if (images[at]?.id !== id) return;
    find("near-note").textContent = found.error ?? found.note;
    find("near").replaceChildren(
      ...(found.images ?? []).map((image) =>
        el(
          "li",
          { title: image.id },
          el("img", { src: source(image.id), alt: "", width: 64, height: 64 }),
          el("bdi", { class: image.label === shown?.label ? "" : "differs" }, image.label),
        ),
      ),
    );
  }

  /** The place of the next image that is not decided, from here on and then from the start; -1 where there is none. */
  function next() {
    const open = (image, place) => image.decided === null && place !== at;
    const later = images.findIndex((image, place) => place > at && open(image, place));
    return later >= 0 ? later : images.findIndex(open);
  }

  /** Send a decision; what is decided before is told, so that nobody's is overwritten unseen. */
  async function send(id, body, seen) {
    const response = await fetch(`/api/review/${run}`, {
      method: "POST",
      headers: { "X-Firstlight-Token": document.querySelector('meta[name="token"]').content, "Content-Type": "application/json" },
      body: JSON.stringify({ id, seen, ...body }),
    }).catch(() => null);
    const answer = await response?.json().catch(() => null);
    if (response?.ok) return answer;
    tell(answer?.error ?? "The server does not respond. Was firstlight view stopped? The decision is not saved.", "error");
    if (response?.status === 409) note(id, answer.decided);
    return null;
  }

  /** What is decided of an image now, in the list and on the desk. */
  function note(id, row) {
    const image = images.find((each) => each.id === id);
    if (image) image.decided = row ? row.new : null;
    if (shown?.id === id) {
      shown.decided = row;
      shown.stale = false;
      status(shown);
    }
    ahead.delete(id);
    strip.mark(id);
    count();
  }

  /** Give the image on the desk a label, "" to drop it, and continue. */
  async function decide(name) {
    if (busy || !shown || find("desk").getAttribute("aria-busy") === "true") return;
    busy = true;
    const { id, decided: before, label, reason } = shown;
    const answer = await send(id, { new: name, by: by.value.trim(), reason }, before);
    busy = false;
    search.clear();
    if (!answer) return announce("Not kept.");
    tell("");
    history.push({ id, before, after: answer.decided });
    find("undo").disabled = false;
    note(id, answer.decided);
    const following = next();
    const told = `${said(answer.decided)}. ${done()} decided.`;
    if (following < 0) announce(`${told} All images of this list are decided.`);
    else {
      await go(following);
      announce(`${told} ${question()}`);
    }
    focus();
  }

  async function undo() {
    const last = history.last();
    if (busy || !last) return;
    busy = true;
    const answer = await send(last.id, { row: last.before }, last.after);
    busy = false;
    history.pop(); // also where another has decided since: that is not to be taken back
    find("undo").disabled = !history.last();
    if (!answer) return announce("There is nothing to undo.");
    tell("");
    note(last.id, answer.decided);
    const place = images.findIndex((image) => image.id === last.id);
    if (place >= 0) await go(place);
    announce(`Undone: ${last.id}${answer.decided ? `, again: ${said(answer.decided)}` : " is not decided"}. ${done()} decided.`);
    focus();
  }

  const said = (row) => (row.new === "" ? "Dropped" : row.new === row.old ? `Kept ${isolated(row.old)}` : `Changed from ${isolated(row.old)} to ${isolated(row.new)}`);
  const question = () => (shown ? `${find("question").textContent}` : "");
  function announce(text) {
    find("said").textContent = text;
  }

  /** The keys work where the desk has the focus; a button that was pressed keeps it. */
  function focus() {
    const now = document.activeElement;
    if (!now || now === document.body || now === find("search") || now.disabled || now.hidden) find("desk").focus({ preventScroll: true });
  }

  // Buttons and keys.
  const step = async (by) => {
    if (!images[at + by]) return;
    await go(at + by);
    announce(`${at + 1} of ${images.length}. ${question()} ${find("status").textContent}`);
    focus();
  };
  const take = () => shown?.suggested && decide(shown.suggested);
  const keep = () => shown && decide(shown.label);
  find("keep").addEventListener("click", keep);
  find("take").addEventListener("click", take);
  find("drop").addEventListener("click", () => decide(""));
  find("back").addEventListener("click", () => step(-1));
  find("on").addEventListener("click", () => step(1));
  find("undo").addEventListener("click", undo);
  find("digits").hidden = !search.numbered;
  find("undo").disabled = !history.last();

  find("desk").addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.defaultPrevented || event.isComposing) return;
    const written = target.matches("input");
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && key.toLowerCase() === "z" && !(written && target.value)) {
      event.preventDefault();
      return event.repeat ? null : undo();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || written) return;
    const pressed = target.matches("button, a, summary");
    const action = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), Delete: () => decide(""), Backspace: () => decide("") }[key] ?? (pressed ? null : { " ": keep, Enter: take }[key]);
    const named = search.byKey(key);
    if (action) {
      event.preventDefault();
      if (!event.repeat || key.startsWith("Arrow")) action();
    } else if (named !== null) {
      event.preventDefault();
      if (!event.repeat) decide(named);
    } else if (key.length === 1 && key !== " ") find("search").focus(); // which then receives the letter
  });
  find("desk").addEventListener("click", (event) => {
    if (!event.target.closest("button, input, li, a")) find("desk").focus({ preventScroll: true });
  });
  // Another tab, or another person, may have decided meanwhile.
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden || !shown) return;
    const found = await api(`/api/review/${run}/image?${new URLSearchParams({ id: shown.id })}`, { quiet: true }).catch(() => null);
    if (found && shown?.id === found.id) note(found.id, found.decided);
  });

  const asked = new URLSearchParams(location.search);
  for (const name of FILTERS) if (asked.has(name)) find(name).value = asked.get(name);
  if (!find("what").value) find("what").value = "doubts";
  list(asked.get("id")).then(() => find("desk").hidden || find("desk").focus({ preventScroll: true }));
}
