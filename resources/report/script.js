// Light and dark, sorting of tables, filters of samples. Without this script the page has all the same numbers and texts.
"use strict";
(() => {
  const root = document.documentElement;

  // Nothing is stored: a page that was opened from a disk may not, and a reader's system knows best.
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const nameTheme = () => { theme.textContent = isDark() ? "Light colours" : "Dark colours"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  system.addEventListener("change", nameTheme);
  nameTheme();
  theme.hidden = false;

  // A cell is ordered by its data-value, the number in full, or else by its text. What is missing comes last either way.
  const keyOf = (cell) => {
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  };
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  };
  const sort = (body, column, sign) => {
    const rows = [...body.rows].map((row) => [keyOf(row.cells[column]), row]);
    rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells].filter((head) => head.textContent.trim());
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        sort(table.tBodies[0], head.cellIndex, order === "ascending" ? 1 : -1);
      });
    }
  }

  // A response is shown if each filter that is set finds its value in the data attribute of the same name.
  const form = document.getElementById("filters");
  if (!form) return;
  const articles = [...document.querySelectorAll("article.sample")];
  const groups = [...document.querySelectorAll(".samples-of")];
  const status = form.querySelector("[role=status]");
  const plain = (text) => text.replace(/\s+/g, " ").trim().toLowerCase();
  const filter = () => {
    const text = plain(form.elements.text.value);
    const choices = [...form.querySelectorAll("select")].filter((select) => select.value);
    const isSet = text !== "" || choices.length > 0;
    let [all, shown, prompts] = [0, 0, 0];
    for (const article of articles) {
      const inShared = [...article.querySelectorAll(".shared")].some((part) => plain(part.textContent).includes(text));
      const cards = [...article.querySelectorAll("[data-run]")];
      for (const card of cards) {
        card.hidden = !(choices.every((select) => card.dataset[select.name] === select.value)
          && (inShared || plain(card.textContent).includes(text)));
      }
      for (const more of article.querySelectorAll("details.sampled")) {
        more.hidden = !more.querySelector("[data-run]:not([hidden])");
        more.open = isSet && !more.hidden;
      }
      const left = cards.filter((card) => !card.hidden).length;
      article.hidden = isSet && left === 0;
      [all, shown, prompts] = [all + cards.length, shown + left, prompts + !article.hidden];
    }
    for (const group of groups) group.hidden = !group.querySelector("article.sample:not([hidden])");
    const { counted, items } = form.dataset;
    status.textContent = `${shown} of ${all} ${counted} to ${prompts} of ${articles.length} ${items} are shown.`;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
  form.hidden = false;
})();
