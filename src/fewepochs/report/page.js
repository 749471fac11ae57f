// The still pictures of the page become live ones that answer to a pointer. A page without scripts keeps its pictures.
"use strict";
(() => {
  const drawn = new Map(); // box -> {width, view}

  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  async function draw(box) {
    const width = Math.round(box.clientWidth);
    const before = drawn.get(box);
    if (width === 0 || (before && before.width === width)) return;
    drawn.set(box, { width, view: before && before.view });
    const spec = box.dataset.figure
      ? read(box.dataset.figure) : { ...read("figure"), datasets: read(box.dataset.numbers) };
    for (const plot of spec.vconcat) plot.width = Math.max(120, width - spec.usermeta.margins);
    const fresh = document.createElement("div");
    // `ast` interprets expressions: the page's security policy forbids code made from strings.
    const result = await vegaEmbed(fresh, spec, {
      actions: false, ast: true, defaultStyle: false, renderer: "svg", tooltip: { disableDefaultStyle: true },
    });
    if (before && before.view) before.view.finalize();
    drawn.set(box, { width, view: result.view });
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
