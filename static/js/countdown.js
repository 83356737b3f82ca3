// Counts down the time a seat is held, by the server's clock, and warns once, three minutes before its end.
const WARN_AT_SECONDS = 180;

export function startCountdowns() {
  for (const element of document.querySelectorAll("[data-until]")) start(element);
}

function start(element) {
  const ahead = Date.parse(element.dataset.now) - Date.now();
  const until = Date.parse(element.dataset.until);
  const warning = element.parentElement.querySelector("[data-warning]");
  const left = () => Math.max(0, Math.round((until - Date.now() - ahead) / 1000));
  const tick = () => {
    const seconds = left();
    element.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (warning && seconds <= WARN_AT_SECONDS && !warning.textContent) warning.textContent = warning.dataset.warning;
    if (seconds === 0) {
      clearInterval(timer);
      // The page of an order says by itself that the time is over.
      if (!document.querySelector("form[data-sent]")) setTimeout(() => location.reload(), 1500);
    }
  };
  const wasOver = left() === 0;
  const timer = wasOver ? 0 : setInterval(tick, 1000);
  if (!wasOver) tick();
}
