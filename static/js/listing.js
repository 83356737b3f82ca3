// Comforts of the course list: htmx takes its pieces from the ordinary page, this looks after focus and addresses.
const box = document.getElementById("site-search");

document.addEventListener("htmx:after:swap", (event) => {
  const followed = event.detail.ctx?.sourceElement;
  const found = document.getElementById("found");
  if (followed?.rel === "next") {
    found.focus();
    scrollTo(0, 0);
  } else if (document.activeElement === document.body) {
    // What was followed is gone, as a filter that was removed: go on where the list begins.
    found.focus({ preventScroll: true });
  }
});

// A page of an error is not a list: show it whole.
document.addEventListener("htmx:response:error", (event) => location.assign(event.detail.ctx.request.action));

// What stands outside the list follows the address: the words, and where the switch of language leads back to.
document.addEventListener("htmx:before:history:restore", () => {
  box.value = new URLSearchParams(location.search).get("q") ?? "";
});
for (const moment of ["push", "replace"]) {
  document.addEventListener(`htmx:after:history:${moment}`, (event) => {
    const next = document.querySelector(".language [name=next]");
    if (next) next.value = event.detail.path;
  });
}
