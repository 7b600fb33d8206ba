// Keeps a page current: patches text in place from server-sent events, ages every value.

const LANGUAGE = document.documentElement.lang;
const RELATIVE = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "always", style: "narrow" });
const WHOLE = new Intl.NumberFormat(LANGUAGE);
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

const root = document.querySelector("[data-live]");
const clock = document.querySelector("[data-now]");
// the server's clock, as a visitor's may be wrong
let ahead = clock ? Number(clock.dataset.now) - Date.now() : 0;

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function number(text) {
  if (text === null || text === undefined) return "—";
  const places = (text.split(".")[1] || "").length;
  return new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: places, maximumFractionDigits: places }).format(Number(text));
}

function ageText(milliseconds) {
  const seconds = Math.max(1, Math.floor(milliseconds / 1000));
  const [unit, size] = UNITS.find(([, each]) => seconds >= each);
  return RELATIVE.format(-Math.floor(seconds / size), unit);
}

function setTime(element, at) {
  if (!element || at === null || at === undefined) return;
  element.dataset.at = at;
  element.setAttribute("datetime", new Date(at).toISOString());
}

function tick() {
  const now = Date.now() + ahead;
  for (const element of document.querySelectorAll("time[data-at]")) {
    setText(element, ageText(now - Number(element.dataset.at)));
  }
}

function setState(holder, state) {
  const mark = holder.querySelector(".state");
  mark.className = `state s-${state}`;
  setText(mark.querySelector(".word"), root.getAttribute(`data-word-${state}`));
}

function showDevice(chip, device) {
  if (chip.dataset.state !== device.state) {
    chip.dataset.state = device.state;
    chip.className = `chip c-${device.state}`;
    setState(chip, device.state);
  }
  setTime(chip.querySelector("time"), device.at);
  // who may not see values has no place for one on the page
  setText(chip.querySelector(".val b"), number(device.value));
}

function showSums() {
  for (const building of root.querySelectorAll(".building")) {
    for (const sum of building.querySelectorAll("[data-sum]")) {
      const count = building.querySelectorAll(`.chip[data-state="${sum.dataset.sum}"]`).length;
      setText(sum.querySelector("b"), WHOLE.format(count));
      sum.hidden = count === 0;
    }
  }
}

function showGateway(line, gateway) {
  const mark = line.querySelector(".state");
  const shape = { online: "normal", catching_up: "stale", offline: "offline" }[gateway.state];
  mark.className = `state s-${shape}`;
  setText(mark.querySelector(".word"), root.getAttribute(`data-gateway-${gateway.state}`));
  setTime(line.querySelector("time"), gateway.newest);
  setText(line.querySelector(".backlog b"), WHOLE.format(gateway.backlog));
  line.querySelector(".backlog").hidden = gateway.backlog === 0;
  setText(line.querySelector(".waiting b"), WHOLE.format(gateway.waiting));
  line.querySelector(".waiting").hidden = gateway.waiting === 0;
}

async function showAlerts(mark) {
  const held = document.getElementById("open-alerts");
  if (!held || held.dataset.mark === mark || held.dataset.loading === mark) return;
  // somebody who is about to press a button there must not lose it
  if (held.contains(document.activeElement)) return;
  held.dataset.loading = mark;
  try {
    const answer = await fetch("/overview/alerts", { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = parsed.getElementById("open-alerts");
    if (!fresh) return;
    const known = new Set([...held.querySelectorAll("[data-alert]")].map((item) => item.dataset.alert));
    const added = [...fresh.querySelectorAll("[data-alert]")].find((item) => !known.has(item.dataset.alert));
    held.replaceWith(fresh);
    tick();
    if (added) {
      const said = [...added.querySelectorAll(".line1 strong, .say")].map((part) => part.textContent.trim());
      setText(document.getElementById("announce"), `${root.dataset.announce}: ${said.join(" ")}`);
    }
  } finally {
    delete held.dataset.loading;
  }
}

function show(message) {
  ahead = message.now - Date.now();
  for (const [name, device] of Object.entries(message.devices)) {
    const chip = root.querySelector(`.chip[data-device="${CSS.escape(name)}"]`);
    if (chip) showDevice(chip, device);
  }
  showSums();
  for (const link of root.querySelectorAll("[data-count]")) {
    const count = message.counts[link.dataset.count] || 0;
    setText(link.querySelector("b"), WHOLE.format(count));
    link.classList.toggle("zero", count === 0);
  }
  for (const line of root.querySelectorAll("p[data-gateway]")) {
    const gateway = message.gateways[line.dataset.gateway];
    if (gateway) showGateway(line, gateway);
  }
  const load = document.getElementById("load");
  if (load) {
    setText(load.querySelector("b"), number(message.load.value));
    load.classList.toggle("late", message.load.late);
  }
  showAlerts(message.alerts);
  tick();
}

let stream = null;
let again = 0;

function open() {
  if (stream || document.hidden) return;
  stream = new EventSource(root.dataset.live);
  stream.onopen = () => { document.getElementById("lost").hidden = true; };
  stream.onmessage = (event) => show(JSON.parse(event.data));
  stream.onerror = () => {
    document.getElementById("lost").hidden = false;
    // a refused stream is closed for good by the browser: begin anew, later
    if (stream && stream.readyState === EventSource.CLOSED) {
      close();
      clearTimeout(again);
      again = setTimeout(open, 10000);
    }
  };
}

function close() {
  if (stream) stream.close();
  stream = null;
}

if (root) {
  open();
  // browsers allow six connections to a host: a hidden tab gives its one back
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
}
tick();
setInterval(tick, 1000);
