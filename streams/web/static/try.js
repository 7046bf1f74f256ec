// Sends recordings to the API and opens the page that follows them. A recording that could not be sent stays: sending it
// again is the same memo, and changes nothing when the first attempt did arrive.
import { recording } from "./recorder.js";

const form = document.getElementById("try");
const files = document.getElementById("audio");
const drop = document.getElementById("drop");
const chosen = document.getElementById("chosen");
const send = document.getElementById("send");
const problem = document.getElementById("problem");
const most = Number(form.dataset.mostFiles);
const began = new WeakMap();

function memos() {
  return [...(recording ? [recording] : []), ...files.files];
}

function list() {
  chosen.replaceChildren(
    ...[...files.files].map((file) => {
      const item = document.createElement("li");
      item.textContent = file.name;
      return item;
    }),
  );
  send.textContent = recording ? form.dataset.sendRecording : form.dataset.send;
}

function fail(text) {
  problem.textContent = text;
  problem.hidden = false;
  send.disabled = false;
  problem.focus();
}

async function submit(file, user) {
  if (!began.has(file)) began.set(file, new Date(Math.min(file.lastModified || Date.now(), Date.now())).toISOString());
  const body = new FormData();
  body.append("user_id", user);
  body.append("recorded_at", began.get(file));
  body.append("audio", file, file.name);
  const token = document.querySelector('meta[name="csrf_token"]')?.content;
  const headers = { Accept: "application/json", ...(token ? { "X-CSRF-Token": token } : {}) };
  const answer = await fetch("/api/v1/memos", { method: "POST", body, headers, credentials: "same-origin" });
  const said = await answer.json();
  if (!answer.ok) throw new Error([said.title, said.detail, ...(said.errors ?? []).map((each) => each.what)].join(". "));
  return said.memo_id;
}

async function sendAll(event) {
  event.preventDefault();
  const all = memos();
  problem.hidden = true;
  if (all.length === 0) return fail(form.dataset.none);
  if (all.length > most) return fail(form.dataset.tooMany);
  send.disabled = true;
  send.textContent = form.dataset.sending;
  try {
    const ids = [];
    for (const file of all) ids.push(await submit(file, form.elements.user_id.value));
    location.assign(`/try/memos?${new URLSearchParams(ids.map((id) => ["id", id]))}`);
  } catch (error) {
    list();
    fail(error instanceof TypeError ? form.dataset.unreachable : error.message);
  }
}

function dropped(event) {
  event.preventDefault();
  drop.classList.remove("drop-over");
  if (event.dataTransfer?.files.length) {
    files.files = event.dataTransfer.files;
    list();
  }
}

files.multiple = true; // without scripts a form sends one recording
form.addEventListener("submit", sendAll);
files.addEventListener("change", list);
document.addEventListener("recording", list);
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("drop-over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("drop-over"));
drop.addEventListener("drop", dropped);
list();
