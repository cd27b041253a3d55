// The table of cells: sorted by any column, searched, rows selected. Texts are put in as texts, never as HTML.

const ROWS_AT_ONCE = 500;

class CellTable {
  constructor(data, select) {
    this.columns = data.columns;
    this.select = select;
    this.sorted = { column: -1, down: false };
    this.all = false;
    this.limit = ROWS_AT_ONCE;
    this.rows = new Map();
    this.order = this.columns[0].values.map((_, number) => number);
    this.find = document.getElementById("find");
    this.find.addEventListener("input", () => this.draw());
    document.getElementById("all-columns").addEventListener("change", (event) => { this.all = event.target.checked; this.draw(); });
    document.getElementById("more").addEventListener("click", () => { this.limit = Infinity; this.draw(); });
    this.chosen = new Set();
    this.draw();
  }

  sortBy(column) {
    this.sorted = { column, down: this.sorted.column === column ? !this.sorted.down : this.isNumber(column) };
    const values = this.columns[column].values;
    const sign = this.sorted.down ? -1 : 1;
    this.order.sort((a, b) => {
      const [one, other] = [values[a], values[b]];
      if (one === null || other === null) return (one === null) - (other === null) || a - b;
      const difference = typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
      return sign * difference || a - b;
    });
    this.draw();
  }

  isNumber(column) {
    return this.columns[column].values.some((value) => typeof value === "number");
  }

  draw() {
    const shown = this.columns.map((_, number) => number).filter((number) => this.all || this.columns[number].first);
    const wanted = this.find.value.trim().toLowerCase();
    const texts = shown.filter((number) => !this.isNumber(number));
    const matching = this.order.filter((row) => !wanted || texts.some((number) => this.columns[number].values[row].toLowerCase().includes(wanted)));
    const listed = matching.slice(0, this.limit);
    const body = document.createElement("tbody");
    this.rows.clear();
    for (const row of listed) body.append(this.row(row, shown));
    const table = document.getElementById("cells-table");
    table.replaceChildren(this.head(shown), body);
    const total = this.order.length;
    document.getElementById("shown-rows").textContent = listed.length < total ? `${listed.length} of ${total} cells` : `${total} cells`;
    document.getElementById("more").hidden = listed.length === matching.length;
    this.mark([...this.chosen], false);
  }

  head(shown) {
    const line = document.createElement("tr");
    for (const number of shown) {
      const cell = document.createElement("th");
      const button = document.createElement("button");
      button.textContent = this.columns[number].title;
      button.title = this.columns[number].help;
      cell.scope = "col";
      if (this.sorted.column === number) cell.ariaSort = this.sorted.down ? "descending" : "ascending";
      if (this.isNumber(number)) cell.className = "number";
      button.addEventListener("click", () => this.sortBy(number));
      cell.append(button);
      line.append(cell);
    }
    const head = document.createElement("thead");
    head.append(line);
    return head;
  }

  row(row, shown) {
    const line = document.createElement("tr");
    line.tabIndex = 0;
    for (const number of shown) {
      const value = this.columns[number].values[row];
      const cell = document.createElement("td");
      const numeric = typeof value === "number" || value === null;
      cell.textContent = numeric ? shortNumber(value) : value;
      if (numeric) cell.className = "number";
      line.append(cell);
    }
    const choose = (event) => this.select(row, event.shiftKey || event.ctrlKey || event.metaKey);
    line.addEventListener("click", choose);
    line.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(event); } });
    this.rows.set(row, line);
    return line;
  }

  mark(cells, scroll = true) {
    this.chosen = new Set(cells);
    for (const [row, line] of this.rows) line.classList.toggle("chosen", this.chosen.has(row));
    const first = this.rows.get(cells[0]);
    const box = document.querySelector("#cells .scroll");
    if (!scroll || !first) return;
    const top = first.offsetTop - box.querySelector("thead").offsetHeight;
    if (top < box.scrollTop || first.offsetTop + first.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top;
  }
}
