// The page Start: what is in the forms goes to the server, and comes back as the experiment file or as what is wrong.

import { api, duration, embedded, tell } from "/static/common.js";

const PAUSE = 150; // milliseconds of rest before the file is made again
const LOOK = 400; // between two questions whether a started run is there

const form = document.getElementById("form");
const find = (id) => document.getElementById(id);
const { about } = embedded();

const controls = [...form.querySelectorAll("[data-key]")];
const by = (key) => controls.find((control) => control.dataset.key === key && !control.disabled);
let timer = 0;
let asked = 0;
let made = ""; // the last file that the form made

function textOf(control) {
  return control.type === "checkbox" ? String(control.checked) : control.value.trim();
}

/** The texts that are not the defaults, by the ids of the fields; hidden ones have no part. */
function texts() {
  const open = controls.filter((control) => !control.disabled && textOf(control) !== control.dataset.default);
  return Object.fromEntries(open.map((control) => [control.name, textOf(control)]));
}

/** Options are shown for the name that they belong to, and sections say how much in them is changed. */
function arrange() {
  for (const row of form.querySelectorAll("[data-only-for]")) {
    const wanted = by(row.dataset.choice).value === row.dataset.onlyFor;
    row.hidden = !wanted;
    for (const control of row.querySelectorAll("[data-key]")) control.disabled = !wanted;
  }
  for (const place of form.querySelectorAll("[data-about]")) {
    const key = place.dataset.about;
    place.textContent = about[key][by(key).value] ?? "";
  }
  const now = texts();
  for (const section of form.querySelectorAll("details")) {
    const count = [...section.querySelectorAll("[data-key]")].filter((control) => control.name in now && !control.disabled);
    const sign = section.querySelector(".changed");
    sign.hidden = !count.length;
    sign.textContent = `${count.length} changed`;
  }
}

/** Put each line beside the field that it is about; what has no field of its own stands above the file. */
function complain(errors) {
  const left = { ...errors };
  for (const place of form.querySelectorAll("[data-errors-of]")) {
    const key = place.dataset.errorsOf;
    const row = place.closest(".field");
    const lines = key && !row?.hidden ? left[key] : undefined;
    if (lines) delete left[key];
    if (key) note(place, lines, row);
    if (lines) place.closest("details")?.setAttribute("open", "");
  }
  note(form.querySelector('[data-errors-of=""]'), Object.values(left).flat(), null);
}

function note(place, lines, row) {
  place.textContent = (lines ?? []).join("\n");
  place.hidden = !place.textContent;
  row?.querySelector("[data-key]")?.setAttribute("aria-invalid", String(Boolean(lines)));
}

async function check() {
  const number = ++asked;
  arrange();
  const found = await api("/api/start/check", { json: texts() }).catch(() => null);
  if (!found || number !== asked) return;
  const wrong = Object.keys(found.errors).length > 0;
  const chosen = Boolean(by("data.source").value);
  if (!chosen) delete found.errors["data.source"]; // nobody has done anything wrong yet
  complain(found.errors);
  made = chosen ? found.toml || made : "";
  find("toml").textContent = made || (chosen ? "# Correct the marked fields first." : "# Choose the images first.");
  find("toml").classList.toggle("old", !found.toml);
  const mend = Object.keys(found.errors).length ? "The file is updated when the marked fields are correct." : "";
  find("notes").textContent = mend || found.notes.join(" ");
  find("begin").disabled = wrong;
  find("copy").hidden = wrong || !navigator.clipboard;
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(check, PAUSE);
}

/** Wait until a started run can be looked at, then go there; tell what its process said where it ended before. */
async function follow(name) {
  const began = Date.now();
  find("progress").hidden = false;
  find("begin").disabled = true;
  for (;;) {
    const { state, run, output } = await api(`/api/start/${encodeURIComponent(name)}`);
    if (state === "begun" && run) {
      location.assign(`/run/${run}`);
      return;
    }
    const failed = state === "failed";
    find("output").textContent = output;
    find("output").hidden = !output;
    find("waiting").textContent = failed
      ? `${name} failed before training began. Its output:`
      : `${name} is reading its images … ${duration((Date.now() - began) / 1000)}`;
    find("waiting").classList.toggle("wrong", failed);
    if (failed) {
      history.replaceState(null, "", "/start");
      find("begin").disabled = false;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

form.addEventListener("input", soon);
form.addEventListener("change", soon);
form.addEventListener("reset", () => setTimeout(check));
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (find("begin").disabled) return;
  tell("");
  find("begin").disabled = true;
  try {
    const { name } = await api("/api/start", { json: texts() });
    history.replaceState(null, "", `?started=${encodeURIComponent(name)}`);
    await follow(name);
  } catch {
    find("begin").disabled = false; // the message says why
  }
});
find("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(find("toml").textContent);
  find("copy").textContent = "Copied";
  setTimeout(() => (find("copy").textContent = "Copy"), 1500);
});

check();
if (form.dataset.started) follow(form.dataset.started).catch(() => history.replaceState(null, "", "/start"));
