// Draws a line or bars as SVG from the JSON in a figure: crosshair, zoom, CSV, table, keyboard.

const NS = "http://www.w3.org/2000/svg";
const LANGUAGE = document.documentElement.lang;
const EDGE = { left: 46, right: 10, top: 10, bottom: 22 };
const MINUTE = 60000;
const STEPS = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 7200].map((minutes) => minutes * MINUTE);

function make(name, attributes = {}, parent = null, text = null) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function html(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function places(text) {
  return (text.split(".")[1] || "").length;
}

function niceStep(span, wanted) {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw);
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.words = figure.dataset;
    this.data = JSON.parse(figure.querySelector("script").textContent);
    this.points = this.data.points.map(([at, text], index, all) => ({
      at, text, value: text === null ? null : Number(text),
      end: index + 1 < all.length ? all[index + 1][0] : this.data.end,
    }));
    this.whole = [this.points[0].at, this.data.end];
    this.range = this.whole;
    this.at = -1;
    this.places = Math.max(0, ...this.points.map((point) => (point.text ? places(point.text) : 0)));
    this.number = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: this.places, maximumFractionDigits: this.places });
    const zone = { timeZone: this.words.zone, hourCycle: "h23" };
    const day = { month: "numeric", day: "numeric" };
    const time = { hour: "2-digit", minute: "2-digit" };
    this.dayFormat = new Intl.DateTimeFormat(LANGUAGE, { ...zone, ...day });
    this.timeFormat = new Intl.DateTimeFormat(LANGUAGE, { ...zone, ...time });
    this.bothFormat = new Intl.DateTimeFormat(LANGUAGE, { ...zone, ...day, ...time });
    this.build();
    new ResizeObserver(() => this.draw()).observe(this.figure);
  }

  build() {
    this.figure.querySelector(".loading").remove();
    this.readout = html("div", { className: "readout" });
    this.svg = make("svg", { tabindex: 0, role: "slider", "aria-label": this.words.label, "aria-description": this.words.help, "aria-valuemin": 0, "aria-valuemax": this.points.length - 1, "aria-valuenow": 0 });
    this.reset = html("button", { type: "button", textContent: this.words.zoom, hidden: true, onclick: () => this.zoom(this.whole) });
    const table = html("details", {}, html("summary", { textContent: this.words.table }));
    table.addEventListener("toggle", () => this.fillTable(table), { once: true });
    const tools = html("div", { className: "tools" }, this.reset, html("button", { type: "button", textContent: this.words.csv, onclick: () => this.save() }), table);
    this.figure.append(this.readout, this.svg, tools);
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("pointerup", (event) => this.release(event));
    this.svg.addEventListener("pointercancel", () => { this.from = null; this.draw(); });
    this.svg.addEventListener("pointerleave", () => this.from === null && this.select(-1));
    this.svg.addEventListener("blur", () => this.select(-1));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.from = null;
    this.rest();
  }

  shown() {
    return this.points.filter((point) => point.end > this.range[0] && point.at < this.range[1]);
  }

  x(at) {
    return EDGE.left + ((at - this.range[0]) / (this.range[1] - this.range[0])) * (this.width - EDGE.left - EDGE.right);
  }

  y(value) {
    return this.height - EDGE.bottom - ((value - this.low) / (this.high - this.low)) * (this.height - EDGE.top - EDGE.bottom);
  }

  timeAt(x) {
    const share = (x - EDGE.left) / (this.width - EDGE.left - EDGE.right);
    return this.range[0] + Math.min(1, Math.max(0, share)) * (this.range[1] - this.range[0]);
  }

  draw() {
    this.width = Math.max(200, this.figure.clientWidth);
    this.height = this.figure.classList.contains("low") ? 150 : this.figure.classList.contains("high") ? 240 : 190;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    this.svg.replaceChildren();
    const values = this.shown().map((point) => point.value).filter((value) => value !== null);
    if (values.length === 0) {
      make("text", { x: this.width / 2, y: this.height / 2, "text-anchor": "middle" }, this.svg, this.words.empty);
      return;
    }
    const limit = this.data.limit === null ? null : Number(this.data.limit);
    const most = Math.max(...values, 0);
    const step = niceStep(Math.max(most, limit !== null && limit < most * 2.5 ? limit * 1.1 : 0, 1e-9) - Math.min(0, ...values), 4);
    this.low = Math.floor(Math.min(0, ...values) / step) * step;
    this.high = Math.max(this.low + step, Math.ceil(Math.max(most, limit !== null && limit < most * 2.5 ? limit * 1.1 : 0) / step) * step);
    this.drawGrid(step);
    this.drawGaps();
    if (this.data.kind === "bar") this.drawBars(); else this.drawLine();
    if (limit !== null && limit <= this.high) this.drawLimit(limit);
    this.overlay = make("g", {}, this.svg);
    this.drawCross();
  }

  drawGrid(step) {
    const format = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 3 });
    for (let value = this.low; value <= this.high + step / 2; value += step) {
      const y = Math.round(this.y(value)) + 0.5;
      make("line", { class: "grid", x1: EDGE.left, x2: this.width - EDGE.right, y1: y, y2: y }, this.svg);
      make("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, this.svg, format.format(value));
    }
    for (const [at, text] of this.ticks()) {
      make("text", { x: this.x(at), y: this.height - 6, "text-anchor": "middle" }, this.svg, text);
    }
  }

  ticks() {
    const room = Math.max(2, Math.floor((this.width - EDGE.left - EDGE.right) / 62));
    if (this.data.step === "day") {
      const days = this.shown();
      const every = Math.ceil(days.length / room);
      return days.filter((_, index) => index % every === 0).map((point) => [(point.at + point.end) / 2, this.dayFormat.format(point.at)]);
    }
    const span = this.range[1] - this.range[0];
    const step = STEPS.find((each) => span / each <= room) || STEPS.at(-1);
    const offset = this.offset(this.range[0]);
    const marks = [];
    for (let at = Math.ceil((this.range[0] + offset) / step) * step - offset; at <= this.range[1]; at += step) {
      if (this.x(at) > EDGE.left + 8 && this.x(at) < this.width - 16) marks.push([at, this.timeFormat.format(at)]);
    }
    return marks;
  }

  offset(at) {
    const parts = new Intl.DateTimeFormat("en", { timeZone: this.words.zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" }).formatToParts(at);
    const part = (name) => Number(parts.find((each) => each.type === name).value);
    return Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute")) - Math.floor(at / MINUTE) * MINUTE;
  }

  drawGaps() {
    const now = Date.now();
    for (const point of this.shown()) {
      if (point.value !== null || point.at > now) continue;
      const x = Math.max(EDGE.left, this.x(point.at));
      const width = Math.min(this.x(point.end), this.width - EDGE.right) - x;
      make("rect", { class: "gap", x, y: EDGE.top, width: Math.max(0, width), height: this.height - EDGE.top - EDGE.bottom }, this.svg);
    }
  }

  drawBars() {
    const running = this.data.partial ? this.points.findLast((point) => point.value !== null) : null;
    for (const point of this.shown()) {
      if (point.value === null) continue;
      const x = this.x(point.at);
      const width = Math.max(1, (this.x(point.end) - x) * 0.76);
      const top = this.y(Math.max(0, point.value));
      make("rect", { class: point === running ? "bar running" : "bar", x: x + ((this.x(point.end) - x) - width) / 2, y: top, width, height: Math.max(0.5, this.y(0) - top), rx: Math.min(2, width / 4) }, this.svg);
    }
  }

  drawLine() {
    let run = [];
    const flush = () => {
      if (run.length) {
        const path = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
        make("path", { class: "under", d: `M${run[0][0]} ${this.y(this.low)}L${path}L${run.at(-1)[0]} ${this.y(this.low)}Z` }, this.svg);
        make("path", { class: "curve", d: `M${path}` }, this.svg);
      }
      run = [];
    };
    for (const point of this.shown()) {
      if (point.value === null) flush();
      else run.push([Math.min(this.width - EDGE.right, Math.max(EDGE.left, this.x((point.at + point.end) / 2))), this.y(point.value)]);
    }
    flush();
  }

  drawLimit(limit) {
    const y = this.y(limit);
    make("rect", { class: "over", x: EDGE.left, y: EDGE.top, width: this.width - EDGE.left - EDGE.right, height: Math.max(0, y - EDGE.top) }, this.svg);
    make("line", { class: "limit", x1: EDGE.left, x2: this.width - EDGE.right, y1: y, y2: y }, this.svg);
    make("text", { class: "limit-name", x: this.width - EDGE.right - 4, y: y - 4, "text-anchor": "end" }, this.svg, this.data.limit_name);
  }

  drawCross() {
    if (!this.overlay) return;
    this.overlay.replaceChildren();
    const point = this.points[this.at];
    if (!point) return;
    const x = this.x((point.at + point.end) / 2);
    make("line", { class: "cross", x1: x, x2: x, y1: EDGE.top, y2: this.height - EDGE.bottom }, this.overlay);
    if (point.value !== null) make("circle", { class: "dot", cx: x, cy: this.y(point.value), r: 4 }, this.overlay);
  }

  when(point) {
    if (this.data.step === "day") return this.dayFormat.format(point.at);
    if (this.data.step === "hour") return `${this.timeFormat.format(point.at)}–${this.timeFormat.format(point.end)}`;
    return this.bothFormat.format(point.at);
  }

  say(point) {
    if (point.text !== null) return `${this.number.format(point.value)} ${this.data.uom}`;
    const gap = this.data.gaps.find((each) => each.start <= point.at && point.end <= each.end);
    if (gap && gap.quantity !== null) return `${this.words.gap} (${this.words.sum} ${gap.quantity} ${this.data.uom})`;
    return this.words.gap;
  }

  select(index) {
    this.at = index;
    const point = this.points[index];
    if (!point) { this.rest(); this.drawCross(); return; }
    this.readout.replaceChildren(html("span", { textContent: this.when(point) }), html("b", { textContent: this.say(point) }));
    this.svg.setAttribute("aria-valuenow", index);
    this.svg.setAttribute("aria-valuetext", `${this.when(point)}: ${this.say(point)}`);
    this.drawCross();
  }

  rest() {
    this.readout.replaceChildren(html("span", { textContent: this.data.uom }));
  }

  place(event) {
    return event.clientX - this.svg.getBoundingClientRect().left;
  }

  move(event) {
    const at = this.timeAt(this.place(event));
    if (this.from !== null) {
      const [left, right] = [this.from, this.place(event)].sort((a, b) => a - b);
      this.overlay?.replaceChildren();
      if (this.overlay) make("rect", { class: "drag", x: left, y: EDGE.top, width: right - left, height: this.height - EDGE.top - EDGE.bottom }, this.overlay);
      return;
    }
    this.select(this.points.findIndex((point) => point.at <= at && at < point.end));
  }

  press(event) {
    if (event.pointerType === "touch") { this.move(event); return; }
    this.from = this.place(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  release(event) {
    if (this.from === null) return;
    const [left, right] = [this.from, this.place(event)].sort((a, b) => a - b);
    this.from = null;
    const inside = this.points.filter((point) => point.end > this.timeAt(left) && point.at < this.timeAt(right));
    if (right - left > 8 && inside.length > 1) this.zoom([inside[0].at, inside.at(-1).end]); else this.drawCross();
  }

  zoom(range) {
    this.range = range;
    this.reset.hidden = range === this.whole;
    this.draw();
  }

  key(event) {
    const shown = this.shown();
    const first = this.points.indexOf(shown[0]);
    const last = this.points.indexOf(shown.at(-1));
    const moves = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, PageUp: this.at - 10, PageDown: this.at + 10, Home: first, End: last };
    if (event.key === "Escape") { this.zoom(this.whole); return; }
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.select(Math.min(last, Math.max(first, moves[event.key])));
  }

  save() {
    const lines = this.shown().map((point) => `${new Date(point.at).toISOString()},${point.text ?? ""}`);
    const text = `\ufeff${this.words.time},${this.words.label} (${this.data.uom})\r\n${lines.join("\r\n")}\r\n`;
    const link = html("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `${this.words.label}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  fillTable(details) {
    const rows = this.points.filter((point) => point.value !== null || point.end <= Date.now());
    const body = html("tbody", {}, ...rows.map((point) => html("tr", {}, html("th", { scope: "row", textContent: this.when(point) }), html("td", { className: "num", textContent: this.say(point) }))));
    const head = html("thead", {}, html("tr", {}, html("th", { scope: "col", textContent: this.words.time }), html("th", { scope: "col", className: "num", textContent: this.words.label })));
    details.append(html("div", { className: "data", tabIndex: 0 }, html("table", {}, head, body)));
  }
}

for (const figure of document.querySelectorAll("[data-chart]")) new Chart(figure);
