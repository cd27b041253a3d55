// Fill the plots when they are there, and keep what is selected the same everywhere.

async function openReport() {
  const data = JSON.parse(document.getElementById("roitrace-data").textContent);
  const document_ = await bokehDocument();
  const found = (name, all = false) => {
    const models = document_ ? [...document_._all_models.values()].filter((one) => one.name === name) : [];
    return all ? models : models[0];
  };
  // where no plot shows cells, something else has to hold what is selected
  const cells = found("cells") || new (Bokeh.Models.get("ColumnDataSource"))({ data: {} });
  const count = data.names.length;
  const table = data.columns ? new CellTable(data, (row, more) => {
    const before = cells.selected.indices;
    const rest = before.filter((one) => one !== row);
    cells.selected.indices = more ? [...rest, ...(before.includes(row) ? [] : [row])] : [row];
  }) : null;
  window.addEventListener("beforeprint", preparePrint);
  const nothing = () => new Array(count).fill(NaN);
  const numbers = (values) => (values ? values.map((one) => (one === null ? NaN : one)) : nothing());
  const agreement = data.agreement || {};
  cells.data = {
    ...(await outlinesOf(data, count)),
    name: data.names,
    colour: data.outlines ? data.outlines.colours : data.colours,
    first: numbers(agreement.first),
    second: numbers(agreement.second),
    slope: numbers(agreement.slope),
    correlation: numbers(agreement.correlation),
  };
  const traces = new Traces(data, found);
  const matrices = data.pixels ? new PixelMatrices(data, found, (cell) => { cells.selected.indices = [cell]; }) : null;
  const follow = async () => {
    const chosen = [...cells.selected.indices];
    if (table) table.mark(chosen);
    await Promise.all([traces.show(chosen), showPairs(data, found, chosen[0]), matrices?.show(chosen[0])]);
  };
  cells.selected.properties.indices.change.connect(follow);
  for (const [place, line] of [...document.querySelectorAll("#worst tbody tr")].entries()) {
    line.addEventListener("click", () => { cells.selected.indices = [data.worst[place]]; });
  }
  if (data.images) await new Maps(data, found).fill();
  cells.selected.indices = data.selected;
  await follow();
}

async function showPairs(data, found, cell) {
  const source = found("pairs");
  if (!source) return;
  const pair = cell === undefined ? undefined : data.pairs[cell];
  source.data = pair
    ? { x: await decoded(pair[0], Float64Array), y: await decoded(pair[1], Float64Array) }
    : { x: [], y: [] };
}

// Bokeh's own script adds the document when the page is ready; undefined if there are no plots.
async function bokehDocument() {
  if (!document.querySelector("[data-root-id]")) return undefined;
  while (!Bokeh.documents.length) await new Promise((done) => setTimeout(done, 10));
  return Bokeh.documents[0];
}

// Plots cannot follow the width of paper in time: pictures of them do.
function preparePrint() {
  for (const old of document.querySelectorAll("img.printed")) old.remove();
  for (const view of Bokeh.index.roots) {
    const place = document.querySelector(`[data-root-id="${view.model.id}"]`);
    if (!place) continue; // what Bokeh added by itself, such as a tooltip
    const picture = document.createElement("img");
    picture.className = "printed";
    picture.alt = "";
    picture.src = view.export("png").canvas.toDataURL();
    place.after(picture);
  }
  document.body.classList.add("printing");
}

function begin() {
  openReport().then(
    () => { document.body.dataset.ready = "yes"; },
    (problem) => {
      const line = document.createElement("p");
      line.className = "problem";
      line.textContent = `This page could not be drawn: ${problem}. It needs a browser of 2023 or later.`;
      document.querySelector("main").prepend(line);
      console.error(problem);
    },
  );
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
