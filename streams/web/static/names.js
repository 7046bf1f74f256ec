// Names stand only in the browser: a service of the clinic, at the address in the page, knows the person of a pseudonym.
// The browser asks it with its own credentials; Undertone's server never sees a name.
const LARGEST = 200; // characters of a name

const service = document.querySelector('meta[name="names-service"]')?.content;
const known = new Map();

/** Show the name behind each pseudonym in an element. A service that does not answer leaves the pseudonyms alone. */
export async function showNames(root = document) {
  if (!service) return;
  const places = [...root.querySelectorAll("[data-name-of]")];
  const wanted = [...new Set(places.map((place) => place.dataset.nameOf))].filter((each) => !known.has(each));
  if (wanted.length) await ask(wanted);
  for (const place of places) {
    const name = known.get(place.dataset.nameOf);
    place.hidden = !name;
    place.textContent = name ?? "";
  }
}

async function ask(pseudonyms) {
  try {
    const answer = await fetch(service, {
      method: "POST",
      credentials: "include",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ pseudonyms }),
      referrerPolicy: "no-referrer",
    });
    if (!answer.ok) return;
    const { names } = await answer.json();
    for (const each of pseudonyms) {
      const name = Object.hasOwn(names, each) ? names[each] : null;
      known.set(each, typeof name === "string" ? name.slice(0, LARGEST) : null);
    }
  } catch {
    // No name is shown; a later list asks again.
  }
}

showNames();
