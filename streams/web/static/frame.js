// What every page does where JavaScript runs: relative times stay true, and the server learns the viewer's time zone.
const language = document.documentElement.lang || "en";
const relative = new Intl.RelativeTimeFormat(language, { numeric: "always" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "4 minutes ago" of a moment; the largest unit of which there are at least one and a half, as the server writes it. */
export function ago(moment, now = Date.now()) {
  const seconds = (moment - now) / 1000;
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= 1.5 * each) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / size) || 0, unit);
}

/** Rewrite the relative times in an element. Those older than two months keep the server's words. */
export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-ago]")) {
    const moment = Date.parse(element.dateTime);
    if (Math.abs(Date.now() - moment) < 60 * 86400e3) element.textContent = ago(moment);
  }
}

function rememberZone() {
  if (document.cookie.split("; ").some((each) => each.startsWith("undertone_zone="))) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  if (/^[\w+\-/]+$/.test(zone)) document.cookie = `undertone_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

rememberZone();
setInterval(refreshTimes, 30000);
