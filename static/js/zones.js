// Tells moments of a run in the browser's zone as well, where its clocks show another time.
const pattern = document.querySelector("[data-where-you-are]")?.dataset.whereYouAre;
const language = document.documentElement.lang;
const short = { dateStyle: "short", timeStyle: "short" };

for (const element of pattern ? document.querySelectorAll("time[data-zone]") : []) {
  const moment = new Date(element.dateTime);
  const here = new Intl.DateTimeFormat(language, short).format(moment);
  const there = new Intl.DateTimeFormat(language, { ...short, timeZone: element.dataset.zone }).format(moment);
  if (here === there) continue;
  const note = document.createElement("span");
  note.className = "meta";
  note.textContent = ` ${pattern.replace("{time}", here)}`;
  element.after(note);
}
