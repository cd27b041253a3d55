// Projections with their contrast, masks and outlines.

class Maps {
  constructor(data, model) {
    this.data = data;
    this.model = model;
    this.values = [];
  }

  async fill() {
    for (const [number, image] of this.data.images.entries()) {
      this.values[number] = await decoded(image, Float32Array);
      this.put(`pixels${number}`, this.values[number], image.shape);
      this.setContrast(number, image.shown);
    }
    for (const input of document.querySelectorAll("input[data-image]")) this.bindContrast(input);
    if (this.data.mask) this.stored = await integers(this.data.mask.bits, 1, false);
    this.bindMask();
    const outlines = document.getElementById("outlines");
    if (outlines) outlines.addEventListener("change", () => this.showOutlines(outlines.checked));
  }

  put(name, values, shape) {
    const source = this.model(name);
    const Kind = source.data.image[0].constructor;
    source.data = { image: [new Kind(values, shape)] };
  }

  // A slider has 1000 steps from the smallest to the largest value that is not a hot pixel.
  span(image) {
    const [low, high] = image.shown;
    const room = high - low;
    return [Math.max(image.whole[0], low - room), Math.min(image.whole[1], high + 2 * room)];
  }

  valueOf(image, step) {
    const [low, high] = this.span(image);
    return low + ((high - low) * step) / 1000;
  }

  stepOf(image, value) {
    const [low, high] = this.span(image);
    return high > low ? Math.round((1000 * (value - low)) / (high - low)) : 0;
  }

  setContrast(number, [low, high]) {
    const mapper = this.model(`contrast${number}`);
    mapper.setv({ low, high: Math.max(high, low + 1e-9 * Math.max(1, Math.abs(low))) });
  }

  bindContrast(input) {
    const number = Number(input.dataset.image);
    const image = this.data.images[number];
    const end = input.dataset.end === "dark" ? 0 : 1;
    const show = () => { input.nextElementSibling.textContent = shortNumber(this.valueOf(image, Number(input.value))); };
    input.value = this.stepOf(image, image.shown[end]);
    show();
    input.addEventListener("input", () => {
      const pair = [...document.querySelectorAll(`input[data-image="${number}"]`)];
      const [dark, bright] = pair.map((one) => Number(one.value));
      if (dark >= bright) input.value = end === 0 ? Math.max(0, bright - 1) : Math.min(1000, dark + 1);
      show();
      this.setContrast(number, pair.map((one) => this.valueOf(image, Number(one.value))));
    });
  }

  bindMask() {
    const which = document.getElementById("mask");
    const image = document.getElementById("level-image");
    const level = document.getElementById("level");
    if (!which) return;
    const redraw = () => {
      if (which.value === "none") this.drawMask(null);
      if (which.value === "stored") this.drawMask(this.stored, this.data.mask.shape);
      if (which.value === "level") this.drawLevel(Number(image.value), Number(level.value));
    };
    const begin = () => {
      const chosen = this.data.images[Number(image.value)];
      level.value = this.stepOf(chosen, chosen.level);
      this.showLevel(chosen, level);
    };
    which.addEventListener("change", redraw);
    if (level) {
      begin();
      image.addEventListener("change", () => { begin(); redraw(); });
      level.addEventListener("input", () => {
        which.value = "level";
        this.showLevel(this.data.images[Number(image.value)], level);
        redraw();
      });
    }
    redraw();
  }

  showLevel(image, level) {
    level.nextElementSibling.textContent = `${shortNumber(this.valueOf(image, Number(level.value)))} ${image.unit}`;
  }

  drawLevel(number, step) {
    const image = this.data.images[number];
    const level = this.valueOf(image, step);
    const values = this.values[number];
    const inside = new Uint8Array(values.length);
    let count = 0;
    for (let i = 0; i < values.length; i += 1) {
      if (values[i] > level) { inside[i] = 1; count += 1; }
    }
    const shown = document.getElementById("level").nextElementSibling;
    shown.textContent = `> ${shortNumber(level)} ${image.unit}, ${((100 * count) / values.length).toFixed(1)} % of the frame`;
    this.drawMask(inside, image.shape);
  }

  drawMask(inside, shape) {
    if (inside) this.put("mask", inside, shape);
    else this.put("mask", new Uint8Array(1), [1, 1]);
  }

  showOutlines(visible) {
    for (const view of this.model("outlines", true)) view.visible = visible;
  }
}

// Corners of all loops -> for each cell its loops, as MultiPolygons wants them.
async function outlinesOf(data, count) {
  const xs = Array.from({ length: count }, () => []);
  const ys = Array.from({ length: count }, () => []);
  if (data.outlines) {
    const { origin, step } = data.outlines;
    const moves = await integers(data.outlines.corners, 4, true);
    const sizes = await integers(data.outlines.sizes, 4, true);
    const rows = await integers(data.outlines.rows, 4, true);
    let place = 0, x = 0, y = 0;
    for (let loop = 0; loop < sizes.length; loop += 1) {
      const ring = [new Float64Array(sizes[loop]), new Float64Array(sizes[loop])];
      for (let i = 0; i < sizes[loop]; i += 1, place += 1) {
        x += moves[2 * place];
        y += moves[2 * place + 1];
        ring[0][i] = origin[0] + step[0] * x;
        ring[1][i] = origin[1] + step[1] * y;
      }
      xs[rows[loop]].push([ring[0]]);
      ys[rows[loop]].push([ring[1]]);
    }
  }
  const nowhere = [[new Float64Array([NaN])]];
  return { xs: xs.map((one) => (one.length ? one : nowhere)), ys: ys.map((one) => (one.length ? one : nowhere)) };
}
