"use strict";
// Sorting and the choice of light or dark; the page is complete without.
(() => {
  const number = (text) => {
    const found = text.replace(/−/g, "-").replace(/(\d),(?=\d{3})/g, "$1").match(/-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?/i);
    return found ? Number(found[0]) : null;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (x !== null && y !== null) return x - y;
    if (x === null && y === null) return a.localeCompare(b);
    return x === null ? 1 : -1;
  };
  const sort = (table, place, heading) => {
    const ascending = heading.getAttribute("aria-sort") === "descending";
    const words = heading.classList.contains("words");
    const body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => !row.classList.contains("failed"));
    const failed = [...body.rows].filter((row) => row.classList.contains("failed"));
    const text = (row) => row.cells[place].textContent.trim();
    const empty = (row) => ["", "–"].includes(text(row));
    rows.sort((a, b) => {
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      const order = words ? text(a).localeCompare(text(b), "en", { numeric: true }) : compare(text(a), text(b));
      return ascending ? order : -order;
    });
    body.append(...rows, ...failed);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  };
  for (const table of document.querySelectorAll("table.sheet")) {
    if (!table.tHead || table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((heading, place) => {
      if (heading.querySelector(".unseen")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, place, heading));
    });
  }

  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  name();

  // On paper everything that is shown on demand would be missed; data of figures stay folded.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.more:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
})();
