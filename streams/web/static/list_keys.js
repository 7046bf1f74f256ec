// j and k within the list. They do nothing elsewhere on the page, so they never take a key from other software.
const list = document.getElementById("rows");

list.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !["j", "k"].includes(event.key)) return;
  const rows = [...list.querySelectorAll("[data-key]")];
  const here = rows.indexOf(document.activeElement.closest("[data-key]"));
  const row = rows[here + (event.key === "j" ? 1 : -1)];
  const target = row?.querySelector("a");
  if (!target) return;
  event.preventDefault();
  target.focus();
});
