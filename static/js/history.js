/** The history: days in the visitor's zone, and the selection of several conversations. */

import { byId, create, find, findAll } from "./elements.js";
import { formatted, nearDay } from "./times.js";

/** @param {Date} moment @returns {string} the name of its day in the visitor's zone */
function dayOf(moment) {
  const day = moment.toDateString();
  const yesterday = new Date();
  yesterday.setDate(yesterday.getDate() - 1);
  if (day === new Date().toDateString()) return nearDay(0);
  return day === yesterday.toDateString() ? nearDay(-1) : formatted(moment, "day");
}

/** Put the rows, which are in the order of time, under the days of the visitor's zone. @param {HTMLElement} days */
function regroup(days) {
  const rows = findAll(days, ".conversation");
  days.replaceChildren();
  /** @type {HTMLUListElement | undefined} */
  let list;
  let current = "";
  for (const row of rows) {
    const day = dayOf(new Date(find(row, "time").dateTime));
    if (day !== current || !list) {
      list = create("ul", { className: "rows" });
      days.append(create("h2", { className: "day", textContent: day }), list);
      current = day;
    }
    list.append(row);
  }
}

/** Let the visitor select conversations. */
function watchSelection() {
  const history = byId("main");
  const select = byId("select", "button");
  const count = byId("selection-count");
  const boxes = /** @type {HTMLInputElement[]} */ (findAll(history, ".pick input"));

  function showCount() {
    const chosen = boxes.filter((box) => box.checked).length;
    count.textContent = String(count.dataset.count).replace("{count}", String(chosen));
    byId("delete-selected").setAttribute("aria-disabled", String(chosen === 0));
  }

  /** @param {boolean} checked */
  function checkAll(checked) {
    for (const box of boxes) box.checked = checked;
    showCount();
  }

  /** @param {boolean} selecting */
  function show(selecting) {
    history.classList.toggle("selecting", selecting);
    select.setAttribute("aria-pressed", String(selecting));
    if (!selecting) checkAll(false);
  }

  select.addEventListener("click", () => show(!history.classList.contains("selecting")));
  byId("select-all").addEventListener("click", () => checkAll(boxes.some((box) => !box.checked)));
  history.addEventListener("change", showCount);
  byId("selection").addEventListener("submit", (event) => {
    if (!boxes.some((box) => box.checked)) event.preventDefault();
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && history.classList.contains("selecting")) show(false);
  });
  // The back/forward cache restores the page as it was left, or the browser the boxes that were checked.
  window.addEventListener("pageshow", () => show(boxes.some((box) => box.checked)));
  showCount();
}

/** @param {Event} event a menu that opens, or grows, below the edge of the window */
function bringIntoView({ target }) {
  const menu = /** @type {HTMLElement} */ (target).closest(".drop[open]");
  menu?.querySelector(".menu-panel")?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("toggle", bringIntoView, true); // This event does not bubble.
const days = document.getElementById("days");
if (days) {
  regroup(days);
  watchSelection();
}
