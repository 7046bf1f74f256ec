// Follows memos through the system: fetches their progress as the server writes it until every memo has an outcome,
// then loads the page, which shows the outcomes.
const followed = document.getElementById("followed");
const EVERY = 700; // milliseconds
const RETRY = 3000;

async function look() {
  let wait = EVERY;
  try {
    const answer = await fetch(followed.dataset.progress, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if ([401, 403, 404].includes(answer.status) || answer.redirected) return;
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("followed");
    if (next.dataset.finished === "yes") return location.reload();
    for (const [now, then] of pairs(followed, next)) {
      if (now.innerHTML !== then.innerHTML) now.replaceChildren(...then.childNodes);
    }
  } catch {
    wait = RETRY;
  }
  setTimeout(look, document.hidden ? RETRY : wait);
}

function pairs(now, then) {
  const known = new Map([...then.querySelectorAll("[data-memo]")].map((each) => [each.dataset.memo, each]));
  return [...now.querySelectorAll("[data-memo]")].map((each) => [each, known.get(each.dataset.memo)]).filter(([, b]) => b);
}

if (followed?.dataset.finished === "no") setTimeout(look, EVERY);
