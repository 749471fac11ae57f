// The still pictures of the page become live ones that answer to a pointer and to the reader's switches.
// A page without scripts keeps its pictures.
"use strict";
(() => {
  const NARROW = 500; // pixels; here panels stand below one another
  const drawn = new Map(); // box -> {width, choice, view}
  const choice = { log: null, smooth: 1, switches: {} }; // of the curves
  let hidden = []; // names of recipes, as figures of all recipes call them

  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // --- numbers -------------------------------------------------------------------------------------------------------

  function runningMedian(values, window) {
    const reach = (window - 1) / 2;
    return values.map((value, at) => {
      const near = values.slice(Math.max(0, at - reach), at + reach + 1).filter((one) => one !== null);
      if (value === null || near.length === 0) return value;
      near.sort((a, b) => a - b);
      const middle = near.length >> 1;
      return near.length % 2 ? near[middle] : (near[middle - 1] + near[middle]) / 2;
    });
  }

  function smoothed(datasets) {
    if (choice.smooth === 1) return datasets;
    const runs = datasets.runs.map((run) => {
      const columns = ["acc", "val_acc", "loss", "val_loss"].map((name) => [name, runningMedian(run[name], choice.smooth)]);
      return { ...run, ...Object.fromEntries(columns) };
    });
    return { ...datasets, runs };
  }

  function shared() {
    const log = document.getElementById("figure-log");
    return read(log && choice.log ? "figure-log" : "figure-linear");
  }

  const set = (spec, values) =>
    ({ ...spec, params: (spec.params || []).map((one) => (one.name in values ? { ...one, value: values[one.name] } : one)) });

  function specification(box) {
    if (box.dataset.figure) return set(read(box.dataset.figure), { hidden });
    const spec = { ...shared(), datasets: smoothed(read(box.dataset.numbers)) };
    return set(spec, choice.switches);
  }

  function rows(id) {
    const found = read(id);
    const datasets = found.datasets || found;
    const names = found.datasets ? found.usermeta.table : read("figure-linear").usermeta.table;
    return names.flatMap((name) => datasets[name]).flatMap((record) => {
      const columns = Object.entries(record);
      const arrays = columns.filter(([, value]) => Array.isArray(value));
      const length = arrays.length ? arrays[0][1].length : 1;
      return Array.from({ length }, (_, at) =>
        Object.fromEntries(columns.map(([name, value]) => [name, Array.isArray(value) ? value[at] : value])));
    });
  }

  function csv(found) {
    const heads = [...new Set(found.flatMap(Object.keys))];
    const cell = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [heads, ...found.map((row) => heads.map((head) => row[head]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  function save(button) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(rows(button.dataset.csv))], { type: "text/csv" }));
    link.download = `${button.dataset.csv}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // --- pictures ------------------------------------------------------------------------------------------------------

  // Sets the widths of all plots, so that the figure is as wide as that; in a narrow one panels stand below one another.
  function fit(spec, width, margins) {
    if (spec.vconcat) for (const plot of spec.vconcat) fit(plot, width, margins);
    else if (spec.concat) {
      spec.columns = width < NARROW ? 1 : Math.min(spec.columns, spec.concat.length);
      const each = (width - spec.spacing * (spec.columns - 1)) / spec.columns;
      for (const plot of spec.concat) fit(plot, each, margins);
    } else spec.width = Math.max(120, Math.round(width - margins));
  }

  async function draw(box) {
    const width = Math.round(box.clientWidth);
    const key = `${width} ${JSON.stringify(box.dataset.figure ? hidden : choice)}`;
    const before = drawn.get(box);
    if (width === 0 || (before && before.key === key)) return;
    drawn.set(box, { key, view: before && before.view });
    const spec = specification(box);
    fit(spec, width, spec.usermeta.margins);
    spec.config.legend.columns = Math.max(1, Math.floor((width - spec.usermeta.left) / spec.usermeta.entry));
    const fresh = document.createElement("div");
    // `ast` interprets expressions: the page's security policy forbids code made from strings.
    const result = await vegaEmbed(fresh, spec, {
      actions: false, ast: true, defaultStyle: false, renderer: "svg", tooltip: { disableDefaultStyle: true },
    });
    if (drawn.get(box).key !== key) return result.view.finalize(); // a later choice has overtaken this one
    if (before && before.view) before.view.finalize();
    drawn.set(box, { key, view: result.view });
    box.replaceChildren(fresh);
  }

  const live = "[data-numbers], [data-figure]";
  const near = new Set();
  const redraw = (box) => draw(box).catch((error) => console.error(error)); // the picture that stood there stays
  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) { near.add(target); redraw(target); } else near.delete(target);
    }
  }, { rootMargin: "400px" });

  // --- switches ------------------------------------------------------------------------------------------------------

  function choose() {
    const log = document.querySelector("[data-log]");
    choice.log = log ? log.checked : false;
    choice.smooth = Number(document.querySelector("[data-smooth]").value);
    for (const box of document.querySelectorAll("[data-switch]")) choice.switches[box.dataset.switch] = box.checked;
    hidden = [...document.querySelectorAll("[data-arm]:not(:checked)")].flatMap((box) => JSON.parse(box.dataset.arm));
    for (const box of near) redraw(box);
  }

  for (const control of document.querySelectorAll(".controls, .tools")) control.hidden = false;
  for (const control of document.querySelectorAll(".controls input, .controls select")) control.addEventListener("change", choose);
  for (const button of document.querySelectorAll("[data-csv]")) button.addEventListener("click", () => save(button));
  choose();
  for (const box of document.querySelectorAll(live)) sight.observe(box);

  // A page of many runs comes without still pictures: they are drawn one by one, so that it can be printed whole.
  (async () => {
    for (const box of document.querySelectorAll(live)) {
      if (box.querySelector("svg")) continue;
      await new Promise((ready) => setTimeout(ready));
      await redraw(box);
    }
  })();

  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { for (const box of near) redraw(box); }, 150);
  });
})();
