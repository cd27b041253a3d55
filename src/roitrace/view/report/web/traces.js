// Traces of the selected cells: as many points as the screen has columns, at whatever zoom.

const COLUMNS = 1500;
const MOST_CELLS = 6;

class Traces {
  constructor(data, model) {
    this.data = data;
    this.model = model;
    this.hidden = new Set();
    this.known = new Map();
    this.turn = 0;
    this.selected = [];
    if (!data.series) return;
    this.times = frameTimes(data.time);
    this.range = model("time");
    const last = this.times.length - 1;
    const room = Math.max(0.005 * (this.times[last] - this.times[0]), 1e-9);
    this.whole = [this.times[0] - room, this.times[last] + room];
    this.range.setv({ start: this.whole[0], end: this.whole[1], bounds: this.whole, reset_start: this.whole[0], reset_end: this.whole[1] });
    for (const end of ["start", "end"]) this.range.properties[end].change.connect(() => this.schedule());
    this.makeChips();
  }

  makeChips() {
    const box = document.getElementById("chips");
    for (const [number, series] of this.data.series.entries()) {
      const chip = document.createElement("button");
      const dot = document.createElement("i");
      dot.style.background = series.colour;
      chip.append(dot, series.title);
      if (series.aside) this.hidden.add(number);
      chip.setAttribute("aria-pressed", String(!series.aside));
      chip.addEventListener("click", () => {
        if (!this.hidden.delete(number)) this.hidden.add(number);
        chip.setAttribute("aria-pressed", String(!this.hidden.has(number)));
        this.draw();
      });
      box.append(chip);
    }
  }

  async show(cells) {
    if (!this.data.series) return;
    const turn = (this.turn += 1);
    for (const cell of cells.slice(0, MOST_CELLS)) {
      if (this.known.has(cell) || !this.data.traces[cell]) continue;
      const decodedOnes = [];
      for (const one of this.data.traces[cell]) {
        decodedOnes.push({ stretch: one.stretch, values: await decoded(one, Float64Array) });
      }
      this.known.set(cell, decodedOnes);
    }
    if (turn !== this.turn) return;
    this.selected = cells;
    this.describe();
    this.draw();
  }

  describe() {
    const shown = this.selected.filter((cell) => this.known.has(cell)).slice(0, MOST_CELLS);
    const names = shown.map((cell) => this.data.names[cell]);
    let text = "Click a cell in an image, a row of the table, or a dot.";
    if (this.selected.length && !shown.length) text = "The traces of this cell are not in this file, only in the results.";
    if (shown.length === 1) {
      const stretch = this.known.get(shown[0])[0].stretch;
      const detail = stretch === 1 ? "every frame" : `minimum and maximum of each ${stretch} frames`;
      text = `${cellName(names[0])}: ${detail}`;
    } else if (shown.length) {
      text = `Cells ${names.join(", ")}: ${this.data.series.filter((one) => one.primary).map((one) => one.title).join(" and ")}`;
      if (this.selected.length > shown.length) text += ` (of ${this.selected.length} selected)`;
    }
    document.getElementById("selected").textContent = text;
  }

  schedule() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const lines = { raw: { xs: [], ys: [], colour: [] }, normalized: { xs: [], ys: [], colour: [] } };
    const shown = this.selected.filter((cell) => this.known.has(cell)).slice(0, MOST_CELLS);
    for (const cell of shown) {
      for (const [number, series] of this.data.series.entries()) {
        if (this.hidden.has(number) || (shown.length > 1 && !series.primary)) continue;
        const points = this.points(this.known.get(cell)[number]);
        const line = lines[series.normalized ? "normalized" : "raw"];
        line.xs.push(points.x);
        line.ys.push(points.y);
        line.colour.push(shown.length > 1 ? this.data.colours[cell] : series.colour);
      }
    }
    for (const [kind, line] of Object.entries(lines)) {
      // the first series, F, is drawn last, above the others
      for (const column of Object.values(line)) if (shown.length === 1) column.reverse();
      const source = this.model(`${kind} lines`);
      if (source) source.data = line;
    }
  }

  points(trace) {
    const frames = this.times.length;
    const first = Math.max(0, lowerBound(this.times, this.range.start) - 1);
    const end = Math.min(frames, lowerBound(this.times, this.range.end) + 2);
    const line = new Line(this.data.time);
    if (trace.stretch > 1) {
      const half = trace.values.length / 2;
      for (let s = Math.floor(first / trace.stretch); s * trace.stretch < end; s += 1) {
        const frame = s * trace.stretch;
        line.add(frame, this.times[frame], trace.values[s]);
        const middle = Math.min(frames - 1, frame + (trace.stretch >> 1));
        line.add(middle, this.times[middle], trace.values[half + s]);
      }
      return line;
    }
    const together = Math.ceil((end - first) / COLUMNS);
    if (together <= 2) {
      for (let frame = first; frame < end; frame += 1) line.add(frame, this.times[frame], trace.values[frame]);
      return line;
    }
    for (let from = first; from < end; from += together) line.addExtremes(this.times, trace.values, from, Math.min(end, from + together));
    return line;
  }
}

// Points of a line that breaks where time does.
class Line {
  constructor(time) {
    this.x = [];
    this.y = [];
    this.borders = time.segments.map((segment) => segment[0]);
    this.next = 0;
  }

  add(frame, time, value) {
    let passed = false;
    while (this.next < this.borders.length && this.borders[this.next] <= frame) { this.next += 1; passed = true; }
    if (passed && this.x.length) { this.x.push(time); this.y.push(NaN); }
    this.x.push(time);
    this.y.push(value);
  }

  addExtremes(times, values, from, to) {
    let low = -1, high = -1;
    for (let frame = from; frame < to; frame += 1) {
      if (Number.isNaN(values[frame])) continue;
      if (low < 0 || values[frame] < values[low]) low = frame;
      if (high < 0 || values[frame] > values[high]) high = frame;
    }
    if (low < 0) { this.add(from, times[from], NaN); return; }
    const [one, other] = low < high ? [low, high] : [high, low];
    this.add(one, times[one], values[one]);
    if (other !== one) this.add(other, times[other], values[other]);
  }
}

function frameTimes(time) {
  const times = new Float64Array(time.count);
  for (const [number, [begin, start, interval]] of time.segments.entries()) {
    const end = number + 1 < time.segments.length ? time.segments[number + 1][0] : time.count;
    for (let frame = begin; frame < end; frame += 1) times[frame] = start + interval * (frame - begin);
  }
  return times;
}

function lowerBound(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
