"use strict";

// What the page does: takes images (dropped, pasted, chosen, photographed), sends each to /predict,
// shows what it is or its problem, and keeps what a person corrects. All text goes through
// textContent, so nothing in a file's name or in an answer can become markup.

const at = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const AT_ONCE = 4; // requests under way
const PATIENCE = 20; // times that a busy server is asked again

let model = null;
let token = sessionStorage.getItem("regraft-token") || "";
let pasted = 0;
let running = 0;
const waiting = [];
const cards = [];

const ask = (path, options = {}) => {
  const headers = { ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { ...options, headers });
};

// ---- the network

async function meet() {
  let answer;
  try {
    answer = await ask("/model");
  } catch {
    at("about").textContent = "The server does not answer. Is it still running? Reload the page then.";
    return;
  }
  if (answer.status === 401) {
    askForToken();
    return;
  }
  if (!answer.ok) {
    at("about").textContent = `The server cannot answer now (${answer.status}). Reload the page in a moment.`;
    return;
  }
  model = await answer.json();
  at("door").hidden = true;
  at("ask").hidden = false;
  at("network").hidden = false;
  describe();
}

function askForToken() {
  at("about").textContent = "";
  at("api").hidden = true; // a link cannot carry the token
  at("door-said").textContent = token ? "That is not the token." : "";
  at("door").hidden = false;
  at("token").focus();
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  sessionStorage.setItem("regraft-token", token);
  meet();
});

function describe() {
  const kind = KINDS[model.kind];
  document.title = `${model.name}: regraft`;
  at("name").textContent = model.name;
  at("about").textContent =
    `${kind.about()} ${model.held_out.toLocaleString("en")} ${model.proof === "cross-validated" ? "images, each held out once" : "held-out images"}.`;
  const read = model.stages.filter((stage) => stage.read);
  const last = read.some((stage) => stage.depth === model.stages.length - 1);
  const named = read.map((stage) => `${stage.name} (depth ${stage.depth})`);
  const names =
    named.length < 4 ? named.join(", ") : `${named.length} stages from ${named[0]} to ${named.at(-1)}`;
  at("depth").textContent =
    `Case ${model.case}. The new layer reads ${names} of ${model.network}, ` +
    (last
      ? "a network that was kept whole: it decides on whole features."
      : `and what came after was cut off: it decides after stage ${read.at(-1).depth + 1} of ${model.stages.length}.`);
  at("worth").textContent =
    `${model.title}. ${kind.worth()} ${model.network} was trained on ${model.source}; it runs on ${model.engine}.`;
  at("stages").replaceChildren(...model.stages.map(stageItem));
}

function stageItem(stage) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const small = document.createElement("small");
  name.textContent = stage.name;
  item.className = stage.read ? "read" : stage.kept ? "" : "gone";
  small.textContent = !stage.kept ? "cut off" : stage.read ? "read here" : stage.frozen ? "frozen" : "trained";
  item.append(name, small);
  return item;
}

// ---- taking images

function take(files, source) {
  if (!model || !files.length) return;
  const fresh = files.map(({ file, path }) => newCard(file, path, source));
  cards.push(...fresh);
  waiting.push(...fresh);
  at("results").prepend(...fresh.map((card) => card.element));
  tell();
  while (running < AT_ONCE && waiting.length) send(waiting.shift());
}

const listed = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

for (const id of ["choose", "camera"]) {
  at(id).addEventListener("change", (event) => {
    const files = listed(event.target.files);
    take(id === "camera" ? files.map(({ file }) => ({ file, path: newName("photo", file) })) : files, id);
    event.target.value = "";
  });
}

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files || [])];
  if (!files.length) return;
  event.preventDefault();
  take(files.map((file) => ({ file, path: newName("pasted", file) })), "paste");
});

function newName(kind, file) {
  pasted += 1;
  const ending = /\.\w+$/.exec(file.name)?.[0] || ".png";
  return `${kind}-${new Date().toISOString().slice(0, 19).replace(/\D/g, "")}-${pasted}${ending}`;
}

let over = 0;
const mark = () => at("drop").classList.toggle("over", over > 0);
document.addEventListener("dragenter", (event) => { event.preventDefault(); over += 1; mark(); });
document.addEventListener("dragleave", () => { over = Math.max(0, over - 1); mark(); });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  over = 0;
  mark();
  const items = [...(event.dataTransfer?.items || [])];
  const entries = items.map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = listed(event.dataTransfer?.files || []);
  if (!entries.some((entry) => entry.isDirectory)) {
    take(plain, "drop");
    return;
  }
  const found = await Promise.all(entries.map(within));
  take(found.flat(), "drop");
});

async function within(entry) {
  if (entry.isFile) {
    if (entry.name.startsWith(".")) return [];
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const inner of some) found.push(...(await within(inner)));
  }
}

// ---- asking what they are

async function send(card) {
  running += 1;
  card.state.textContent = "looking …";
  try {
    show(card, await answerOf(card.file));
  } catch {
    trouble(card, "The server does not answer. Is it still running?");
  }
  running -= 1;
  card.done = true;
  tell();
  if (waiting.length) send(waiting.shift());
}

async function answerOf(file) {
  if (file.size > model.limits.file_bytes) {
    const most = model.limits.file_bytes / 1e6;
    return { detail: `a file must have at most ${most} MB, has ${(file.size / 1e6).toFixed(1)} MB: make it smaller` };
  }
  for (let tries = 0; ; tries += 1) {
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await ask("/predict", { method: "POST", headers, body: file });
    if (answer.status !== 503 || tries === PATIENCE) {
      const told = await answer.json().catch(() => ({ detail: `the server answered ${answer.status}` }));
      return told.images ? told.images[0] : told;
    }
    const pause = Number(answer.headers.get("Retry-After")) || 1;
    await new Promise((done) => setTimeout(done, 1000 * pause * (0.5 + Math.random())));
  }
}

function show(card, told) {
  if (told.detail) {
    trouble(card, told.detail);
    return;
  }
  card.told = told;
  KINDS[model.kind].show(card, told);
  card.right.prepend(KINDS[model.kind].correct(card));
  card.right.hidden = false;
}

function trouble(card, detail) {
  card.state.textContent = `${KINDS[model.kind].failed[0]}: ${detail}`;
  card.state.className = "state problem";
}

function newCard(file, path, source) {
  const element = at("card").content.firstElementChild.cloneNode(true);
  const find = (selector) => element.querySelector(selector);
  const card = { element, file, path, done: false, told: null, correction: "" };
  card.state = find(".state");
  card.bars = find(".bars");
  card.right = find(".right");
  find("h3").textContent = path;
  const image = find("img");
  const url = URL.createObjectURL(file);
  image.addEventListener("error", () => { image.parentElement.textContent = "No preview"; });
  image.src = url;
  const keep = find(".keep");
  keep.href = url;
  keep.download = path;
  keep.hidden = source !== "paste" && source !== "camera";
  return card;
}

function tell() {
  const done = cards.filter((card) => card.done).length;
  const bad = cards.filter((card) => card.done && !card.told).length;
  const images = cards.length === 1 ? "image" : "images";
  at("said").textContent =
    `${done === cards.length ? cards.length : `${done} of ${cards.length}`} ${images} looked at` +
    (bad ? `; ${bad} could not be ${KINDS[model.kind].failed[1]}.` : ".");
}

// ---- correcting

const changed = () => cards.filter((card) => card.correction);

function correct(card, correction) {
  card.correction = correction;
  card.element.classList.toggle("changed", Boolean(correction));
  const count = changed().length;
  const [one, more] = KINDS[model.kind].what;
  at("corrections").hidden = !count;
  at("corrected").textContent = `${count} ${count === 1 ? `image has ${one}` : `images have ${more}`} from you.`;
}

const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

at("save").addEventListener("click", () => {
  const rows = changed().map((card) => `${cell(card.path)},${cell(card.correction)}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["path,label\n", ...rows], { type: "text/csv" }));
  link.download = "corrections.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});

meet();
