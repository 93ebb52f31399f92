// The page to try a service at: one image in, the probabilities of its classes as bars.

const BARS = 12; // classes shown, the most probable first
const SMALL = 224; // pixels of a side below which an image is shown enlarged
const KEPT = "firstlight-token"; // in the session of this tab alone
const at = (id) => document.getElementById(id);

let models = [];
let latest = 0; // the number of the last image: an earlier one's answer no longer counts
let shown = null; // the image that is shown, for another model to be asked too

/** What the service answers; its sentence is raised where it refuses. */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem(KEPT);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { ...options, headers }).catch(() => null);
  if (response === null) throw new Error("The service does not answer. Is it still running?");
  const value = await response.json();
  if (!response.ok) throw Object.assign(new Error(value.error), { status: response.status });
  return value;
}

async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname); // where nobody reads it over a shoulder
  }
  try {
    ({ models } = await ask("/v1/models"));
  } catch (error) {
    const locked = error.status === 401;
    at("entrance").hidden = !locked;
    at("about").textContent = !locked ? error.message : sessionStorage.getItem(KEPT) ? "That is not its token." : "";
    at("token").select();
    return;
  }
  at("entrance").hidden = true;
  at("main").hidden = at("programs").hidden = false;
  at("choice").hidden = models.length < 2;
  at("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  describe();
}

const chosen = () => models[Math.max(at("model").selectedIndex, 0)];

/** Whose answers these are, and how a program asks for them. */
function describe() {
  const { name, architecture, nets, data, classes, test_accuracy: accuracy } = chosen();
  const measured = accuracy === null ? "" : `, right on ${(100 * accuracy).toFixed(2)} % of its test images`;
  at("title").textContent = `What does ${name} see?`;
  at("about").textContent = `${nets > 1 ? `${nets} nets ` : ""}${architecture}, trained on ${data}: ${classes.length} classes${measured}.`;
  const path = models.length > 1 ? `/v1/models/${encodeURIComponent(name)}/predict` : "/v1/predict";
  const token = sessionStorage.getItem(KEPT) ? ' -H "Authorization: Bearer $FIRSTLIGHT_TOKEN"' : "";
  at("example").textContent = `curl${token} --data-binary @image.png '${location.origin}${path.replaceAll("'", "%27")}'`;
}

function tell(text, kind = "") {
  at("status").textContent = text;
  at("status").className = kind;
}

function show(image) {
  shown = image;
  const preview = at("preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(image);
  preview.hidden = false;
  preview.onload = () => preview.classList.toggle("small", Math.max(preview.naturalWidth, preview.naturalHeight) < SMALL);
  preview.onerror = () => { preview.hidden = true; }; // a format that the browser does not know
}

async function predict(image) {
  const number = ++latest;
  show(image);
  at("bars").replaceChildren();
  at("pace").textContent = "";
  tell("Looking …");
  const began = performance.now();
  try {
    const path = `/v1/models/${encodeURIComponent(chosen().name)}/predict`;
    const type = image.type.startsWith("image/") ? image.type : "application/octet-stream";
    const answer = await ask(path, { method: "POST", body: image, headers: { "Content-Type": type } });
    if (number === latest) draw(answer.predictions[0], performance.now() - began);
  } catch (error) {
    if (number === latest) tell(error.message, "error");
  }
}

function draw(prediction, milliseconds) {
  const all = Object.entries(prediction.probabilities).sort(([, a], [, b]) => b - a);
  tell(prediction.none_of_these ? `none of these (most like ${prediction.class})` : prediction.class, "answer");
  at("bars").replaceChildren(...all.slice(0, BARS).map(([name, probability], place) => {
    const row = document.createElement("li");
    row.className = place === 0 ? "best" : "";
    for (const [kind, text] of [["name", name], ["bar", ""], ["number", percent(probability)]]) {
      const part = document.createElement("span");
      part.className = kind;
      part.textContent = text;
      if (kind === "bar") part.style.setProperty("--share", probability);
      if (kind === "name") part.title = name;
      row.append(part);
    }
    return row;
  }));
  const more = all.length > BARS ? `The ${BARS} most probable of ${all.length} classes. ` : "";
  at("pace").textContent = `${more}Answered in ${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms, the way there and back included.`;
}

/** A probability as a reader says it. */
function percent(probability) {
  const value = 100 * probability;
  if (value < 0.1) return "< 0.1 %";
  return value > 99.9 && value < 100 ? "> 99.9 %" : `${value.toFixed(1)} %`;
}

function take(files) {
  const image = files?.[0];
  if (image && models.length) predict(image);
}

at("entrance").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT, at("token").value);
  begin();
});
at("model").addEventListener("change", () => {
  describe();
  if (shown) predict(shown);
});
at("file").addEventListener("change", () => {
  take(at("file").files);
  at("file").value = ""; // the same file can be chosen again
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) at("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
begin();
