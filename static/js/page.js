/** For every page: texts for people, the status line, the menus, focus on errors. */

import { atTarget, byId, create, find } from "./elements.js";

const TOAST_MILLISECONDS = 10000; // A success message covers part of the page; an error message stays.

/** @typedef {"" | "error"} Tone */

/** @type {number | undefined} */
let toastTimer;

/**
 * Return a text of the page. Django translates them: <template id="texts"> holds one element for each text, and
 * <template id="app-texts"> those of every page.
 * @param {string} key the element's data-text
 * @param {Record<string, string | number>} [values] replace the {names} in the text
 * @returns {string}
 */
export function text(key, values = {}) {
  /** @type {NodeListOf<HTMLTemplateElement>} */
  const templates = document.querySelectorAll("#texts, #app-texts");
  const source = [...templates].map(({ content }) => content.querySelector(`[data-text="${key}"]`)).find(Boolean);
  if (!source) throw new TypeError(`The page has no text ${key}`);
  return source.textContent.trim().replace(/\{(\w+)\}/g, (_match, name) => String(values[name]));
}

/**
 * Show a message in the page's one status line.
 * @param {string} message
 * @param {Tone} [tone]
 */
export function announce(message, tone = "") {
  const status = byId("status");
  status.classList.remove("over");
  status.textContent = message; // toast.js finds the place of a toast.
  status.dataset.tone = tone;
  clearTimeout(toastTimer);
  if (!tone) toastTimer = setTimeout(() => status.classList.add("over"), TOAST_MILLISECONDS);
}

/**
 * Show the message of an error in the status line.
 * @param {unknown} error
 */
export function announceError(error) {
  const { message, code } = /** @type {Error & {code?: string}} */ (error);
  announce(message, "error");
  if (code === "not_authenticated") byId("status").append(" ", signInLink());
}

/** Return a link to sign in, in another tab: what was typed and recorded stays in this one. */
export function signInLink() {
  const next = encodeURIComponent(location.pathname + location.search);
  return create("a", { href: `/accounts/login/?next=${next}`, target: "_blank", textContent: text("sign-in") });
}

/**
 * @param {number} seconds
 * @returns {string} minutes and seconds, as "1:05"
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * @param {number} rms dBFS
 * @returns {number} 0 to 1, for a level meter
 */
export const loudness = (rms) => Math.min(1, Math.max(0, (rms + 60) / 50));

/** @param {Event} event a click outside of a menu or the Escape key closes it */
function closeMenus(event) {
  const isEscape = /** @type {KeyboardEvent} */ (event).key === "Escape";
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const menus = document.querySelectorAll(".menu[open], .drop[open]");
  for (const menu of menus) {
    const isClickOutside = event.type === "click" && !menu.contains(/** @type {Node} */ (event.target));
    if (isClickOutside || isEscape) menu.open = false;
    if (isEscape) find(menu, "summary").focus();
    if (isEscape) event.preventDefault(); // It has done its work.
  }
}

/** @param {Event} event a click on the status line, which covers part of the page, hides it */
function hideToast(event) {
  atTarget(event, "#status")?.classList.add("over");
}

/** @param {Event} event a form that opens in place is ready for typing */
function selectField({ target }) {
  const details = /** @type {HTMLDetailsElement} */ (target);
  /** @type {HTMLInputElement | null} */
  const field = details.querySelector(":scope > form > input:not([type=hidden])");
  if (details.open) field?.select();
}

document.addEventListener("toggle", selectField, true); // This event does not bubble.
document.addEventListener("click", closeMenus);
document.addEventListener("click", hideToast);
document.addEventListener("keydown", closeMenus);
/** @type {HTMLElement | null} */
const errorSummary = document.querySelector(".error-summary");
errorSummary?.focus();
document.querySelector(".account-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
