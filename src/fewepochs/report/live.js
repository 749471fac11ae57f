// A page that is served while runs go on asks its own server, and loads itself again where a newer one is to be had.
"use strict";
(() => {
  const EVERY_MILLISECONDS = 2000;
  const own = document.documentElement.dataset.live;

  async function look() {
    try {
      const answer = await fetch("version", { cache: "no-store" });
      if (answer.ok && (await answer.text()) !== own) return location.reload();
    } catch { /* the server has gone: what stands here stays */ }
    setTimeout(look, EVERY_MILLISECONDS);
  }
  setTimeout(look, EVERY_MILLISECONDS);
})();
