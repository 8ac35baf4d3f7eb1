"use strict";
// Headers of result tables become buttons that sort; printing opens what is folded.
for (const table of document.querySelectorAll("table.vlmbench")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, body, original, head, index));
  });
}

function key(row, index) {
  const cell = row.cells[index];
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
}

function compare(one, two) {
  if (typeof one === "number" && typeof two === "number") return one - two;
  return String(one).localeCompare(String(two), "en", { numeric: true });
}

function sort(table, body, original, head, index) {
  const figures = head.classList.contains("figure");
  const first = figures ? "descending" : "ascending";
  const second = figures ? "ascending" : "descending";
  const was = head.getAttribute("aria-sort");
  const next = was === "none" ? first : was === first ? second : "none";
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", next);
  const rows = [...original];
  if (next !== "none") {
    const sign = next === "ascending" ? 1 : -1;
    rows.sort((one, two) => {
      const a = key(one, index);
      const b = key(two, index);
      if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
      return sign * compare(a, b);
    });
  }
  body.append(...rows);
}

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
