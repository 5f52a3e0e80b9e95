/** What every page does: words for people, the status line, the account menu, focus on what went wrong. */

const TOAST = 10000; // milliseconds that good news lie over the page; what went wrong stays
let leaving;

/**
 * A text of the page. Django translates them: <template id="texts"> holds one element a text.
 * @param {string} key the element's data-text
 * @param {Record<string, string | number>} [values] what stands for the {names} in the text
 * @returns {string}
 */
export function text(key, values = {}) {
  const source = document.getElementById("texts").content.querySelector(`[data-text="${key}"]`);
  return source.textContent.trim().replace(/\{(\w+)\}/g, (_match, name) => String(values[name]));
}

/**
 * Say a change of state in the page's one status line.
 * @param {string} message
 * @param {"" | "error"} [tone]
 */
export function announce(message, tone = "") {
  const status = document.getElementById("status");
  status.textContent = message;
  status.dataset.tone = tone;
  status.classList.remove("over");
  clearTimeout(leaving);
  if (!tone) leaving = setTimeout(() => status.classList.add("over"), TOAST);
}

/**
 * @param {number} seconds
 * @returns {string} minutes and seconds, as "1:05"
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll(".menu[open], .drop[open]")) {
    const left = event.type === "click" && !menu.contains(event.target);
    if (left || event.key === "Escape") {
      menu.open = false;
      if (!left) menu.querySelector("summary").focus();
    }
  }
}

/** What lies over the page can be pushed away. */
function closeToast({ target }) {
  if (target.id === "status") target.classList.add("over");
}

/** Who opens a form in place goes on typing in it. */
function selectField({ target }) {
  if (target.open) target.querySelector(":scope > form > input:not([type=hidden])")?.select();
}

document.addEventListener("toggle", selectField, true); // This event does not bubble.
document.addEventListener("click", closeMenus);
document.addEventListener("click", closeToast);
document.addEventListener("keydown", closeMenus);
document.querySelector(".error-summary")?.focus();
document.querySelector(".account-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
