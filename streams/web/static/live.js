// The caseload follows what happens: an event says that something changed, the rows are fetched as the server writes
// them, and replaced. Every fetch is a look at people's data: none is made in a hidden tab.
import { refreshTimes } from "./frame.js";
import { showNames } from "./names.js";

const SOON = 60; // milliseconds: events of one moment are one fetch
const LATER = 5000; // scores alone move the list this often
const RETRY = 5000;
const GRACE = 4000; // a connection that is back so soon, as after its regular end, was not lost

const live = document.getElementById("live");
const bar = live.querySelector(".live-bar");
const stateLine = bar.querySelector(".live-state");
const button = bar.querySelector("button");
const announcement = document.getElementById("announcement");

let source = null;
let paused = false;
let timer = 0;
let grace = 0;
let due = Infinity;
let fetching = false;
let missed = false;

function setState(state) {
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  stateLine.textContent = live.dataset[state];
  button.hidden = state === "refused";
  button.textContent = paused ? live.dataset.resume : live.dataset.pause;
}

function schedule(delay) {
  if (paused) return;
  if (document.hidden) {
    missed = true;
    return;
  }
  const at = Date.now() + delay;
  if (at >= due) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(refresh, delay);
}

async function refresh() {
  due = Infinity;
  if (fetching || document.hidden) return schedule(SOON); // which leaves it for later in a hidden tab
  fetching = true;
  try {
    const answer = await fetch(live.dataset.rows, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if ([401, 403, 404].includes(answer.status) || answer.redirected) return refuse();
    if (!answer.ok) throw new Error(String(answer.status));
    if (paused) return;
    swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    if (source?.readyState === EventSource.OPEN) setState("open");
  } catch {
    setState("lost");
    schedule(RETRY);
  } finally {
    fetching = false;
  }
}

function refuse() {
  disconnect();
  setState("refused");
}

/** Put the rows of a fetched page in the place of those shown; the focus stays where it was. */
function swap(page) {
  for (const id of ["counts", "notices"]) {
    const [now, next] = [document.getElementById(id), page.getElementById(id)];
    if (now && next && now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
  }
  const [now, next] = [document.getElementById("rows"), page.getElementById("rows")];
  const focus = focused(now);
  const known = new Set([...now.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
  const appeared = [...next.querySelectorAll("[data-announce]")].filter((row) => !known.has(row.dataset.key));
  now.replaceChildren(...next.childNodes);
  refreshTimes(now);
  showNames(now);
  for (const row of appeared) row.classList.add("case-new");
  if (appeared.length) announcement.textContent = appeared.map((row) => row.dataset.announce).join(" ");
  restore(now, focus);
}

function focused(rows) {
  const element = document.activeElement;
  if (!rows.contains(element)) return null;
  const row = element.closest("[data-key]");
  const all = [...rows.querySelectorAll("[data-key]")];
  return { person: row?.dataset.person, href: element.getAttribute("href"), place: all.indexOf(row) };
}

function restore(rows, focus) {
  if (!focus) return;
  const all = [...rows.querySelectorAll("[data-key]")];
  const row = all.find((each) => each.dataset.person === focus.person) ?? all[Math.min(focus.place, all.length - 1)];
  const links = [...(row?.querySelectorAll("a") ?? [])];
  const target = links.find((link) => link.getAttribute("href") === focus.href) ?? links[0];
  (target ?? document.getElementById("main")).focus({ preventScroll: true });
}

function connect() {
  disconnect();
  source = new EventSource(live.dataset.events);
  source.onopen = () => {
    endGrace();
    setState("open");
    if (missed) schedule(0);
    missed = false;
  };
  source.onerror = () => {
    grace ||= setTimeout(() => setState("lost"), GRACE);
    if (source?.readyState !== EventSource.CLOSED) return; // the browser connects again, from the last event on
    missed = true;
    schedule(0); // the rows say why: a session that is over is not asked for again
    setTimeout(() => source && connect(), RETRY);
  };
  for (const kind of ["risk.alerts", "care.actions", "reset"]) source.addEventListener(kind, () => schedule(SOON));
  source.addEventListener("risk.scored", () => schedule(LATER));
}

function endGrace() {
  clearTimeout(grace);
  grace = 0;
}

function disconnect() {
  endGrace();
  source?.close();
  source = null;
  clearTimeout(timer);
  due = Infinity;
}

button.addEventListener("click", () => {
  paused = !paused;
  if (paused) {
    disconnect();
    setState("paused");
  } else {
    missed = true;
    live.dataset.state = "";
    button.textContent = live.dataset.pause;
    connect();
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || paused || !missed) return;
  missed = false;
  schedule(0);
});
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => {
  if (!event.persisted || paused) return;
  missed = true;
  connect();
});

bar.hidden = false;
button.textContent = live.dataset.pause;
connect();
