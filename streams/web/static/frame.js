// What every page does where JavaScript runs: relative times stay true, and the server learns the viewer's time zone.
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "always" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const LONGEST = 60 * 86400;

/** "4 minutes ago" of a moment (Unix milliseconds), in the largest unit of which there is one, as the server has it. */
export function ago(moment, now = Date.now()) {
  const seconds = (moment - now) / 1000;
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? UNITS.at(-1);
  const count = Math.abs(seconds) >= 2 * 86400 ? Math.trunc(seconds / size) : Math.round(seconds / size);
  return relative.format(count, unit);
}

/** Rewrite the relative times in an element. Those more than two months away keep the server's words. */
export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-ago]")) {
    const moment = Date.parse(element.dateTime);
    if (Math.abs(Date.now() - moment) < LONGEST * 1000) element.textContent = ago(moment);
  }
}

function rememberZone() {
  if (document.cookie.split("; ").some((each) => each.startsWith("undertone_zone="))) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!/^[\w+\-/]+$/.test(zone)) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `undertone_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

rememberZone();
setInterval(() => refreshTimes(), 30000);
