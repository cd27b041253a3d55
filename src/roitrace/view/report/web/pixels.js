// Pixels of a few cells: those of the selected one, as long as the file holds them.
class PixelMatrices {
  constructor(data, model, select) {
    this.data = data;
    this.model = model;
    this.list = document.getElementById("pixel-cell");
    this.list.addEventListener("change", () => select(Number(this.list.value)));
  }

  async show(cell) {
    const wanted = cell in this.data.pixels ? cell : Number(this.list.value);
    const one = this.data.pixels[wanted];
    this.list.value = String(wanted);
    let words = `${cellName(this.data.names[wanted])}: ${one.words}`;
    if (cell !== undefined && wanted !== cell) words += `. This file does not hold the pixels of ${this.data.names[cell]}.`;
    document.getElementById("pixel-words").textContent = words;
    if (wanted === this.shown) return;
    this.shown = wanted;
    const source = this.model("pixels matrix");
    const Kind = source.data.image[0].constructor;
    const image = new Kind(await decoded(one, Float32Array), one.shape);
    if (wanted !== this.shown) return;
    source.data = { image: [image], x: [one.left], y: [0], dw: [one.width], dh: [one.height] };
    const rows = { start: one.pixels, end: 0 };
    this.model("matrix rows").setv({ ...rows, bounds: [0, one.pixels], reset_start: rows.start, reset_end: rows.end });
    this.model("contrast matrix").setv({ low: one.shown[0], high: one.shown[1] });
  }
}
