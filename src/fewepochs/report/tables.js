// Tables sort by a column and show the rows that contain a word. Without scripts they stand as they are.
"use strict";
(() => {
  const MANY_ROWS = 6; // a table of fewer rows needs no filter

  const value = (cell) => {
    const data = cell.classList.contains("absent") ? null : cell.querySelector("data"); // "not within 20" is no 20
    const text = data ? data.value : cell.textContent.trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };

  // Numbers come before words, whichever way they are sorted: "not reached" is no number, and no zero.
  function compare(a, b, sign) {
    const numbers = (typeof b === "number") - (typeof a === "number");
    if (numbers) return numbers;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  }

  // The column in which a cell stands: one that spans several stands in all of them.
  function at(row, column) {
    let passed = 0;
    for (const cell of row.cells) {
      passed += cell.colSpan;
      if (column < passed) return cell;
    }
    return row.cells[row.cells.length - 1];
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [value(at(row, column)), row]);
        rows.sort((a, b) => compare(a[0], b[0], down ? -1 : 1));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  function filtered(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < MANY_ROWS) return;
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const label = document.createElement("label");
    const field = document.createElement("input");
    const count = document.createElement("span");
    label.className = "filter";
    field.type = "search";
    count.setAttribute("role", "status");
    label.append("rows with ", field);
    const line = document.createElement("p");
    line.className = "tools";
    line.append(label, " ", count);
    table.closest(".scroll").before(line);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, k) => {
        row.hidden = !words.every((word) => texts[k].includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
  }

  for (const table of document.querySelectorAll("table[data-sorted]")) {
    sortable(table);
    filtered(table);
  }
})();
