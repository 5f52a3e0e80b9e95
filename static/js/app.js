/** For every page: the theme, the entry that installs the app, the list of keys, and the players of recordings. */

import { atTarget, byId, find, findAll } from "./elements.js";

const YEAR_SECONDS = 365 * 24 * 3600;
const TEXT_FIELDS = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])";

const singleKeys = byId("single-keys", "input");

/** @typedef {Event & {prompt: () => Promise<unknown>}} InstallEvent */

/** @returns {string} light, dark, or "" for the system's */
const storedTheme = () => /(?:^|; )theme=(light|dark)/.exec(document.cookie)?.[1] ?? "";

/** @param {string} theme the server reads the cookie, so that no page begins in another theme */
function storeTheme(theme) {
  const age = theme ? YEAR_SECONDS : 0;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${theme}; path=/; max-age=${age}; samesite=lax${secure}`;
}

function showTheme() {
  const theme = storedTheme();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  find(document, "meta[name=color-scheme]", "meta").content = theme || "light dark";
  for (const meta of findAll(document, "meta[name=theme-color]")) {
    const { scheme } = meta.dataset;
    const chosen = theme === scheme ? "all" : "not all";
    /** @type {HTMLMetaElement} */ (meta).media = theme ? chosen : `(prefers-color-scheme: ${scheme})`;
  }
  for (const choice of document.querySelectorAll("input[name=theme]")) {
    /** @type {HTMLInputElement} */ (choice).checked = /** @type {HTMLInputElement} */ (choice).value === theme;
  }
}

/** @param {Event} event */
function chooseTheme(event) {
  const choice = /** @type {HTMLInputElement | null} */ (atTarget(event, "input[name=theme]"));
  if (!choice) return;
  storeTheme(choice.value);
  showTheme();
}

/** @param {Event} event the browser would install the app now */
function offerInstalling(event) {
  const button = document.getElementById("install");
  if (!button) return;
  event.preventDefault(); // No banner of the browser: the entry in the menu is enough.
  button.hidden = false;
  button.onclick = () => /** @type {InstallEvent} */ (event).prompt();
}

function showShortcuts() {
  const dialog = byId("shortcuts", "dialog");
  /** @type {HTMLDetailsElement | null} */
  const menu = document.querySelector(".menu[open]");
  if (menu) {
    find(menu, "summary").focus(); // The focus returns there.
    menu.open = false;
  }
  if (!document.querySelector("dialog[open]")) dialog.showModal();
}

/**
 * @param {KeyboardEvent} event the browser fills fields in with events that have no key
 * @returns {boolean} whether it is a character alone, and not typed into a field
 */
const isSingleKey = (event) =>
  event.key?.length === 1 && !(event.ctrlKey || event.altKey || event.metaKey || atTarget(event, TEXT_FIELDS));

/** @param {KeyboardEvent} event */
function heedKey(event) {
  if (event.key !== "?" || !isSingleKey(event)) return;
  event.preventDefault();
  showShortcuts();
}

/**
 * Keep a key from all scripts of the page if its visitor wants no single-key shortcuts: whoever speaks to the computer
 * presses keys unintentionally. The browser still scrolls with it or presses the button that has the focus.
 * @param {KeyboardEvent} event
 */
function withholdKey(event) {
  if (!usesSingleKeys() && isSingleKey(event)) event.stopImmediatePropagation();
}

const usesSingleKeys = () => localStorage.getItem("single-keys") !== "off";

function showSingleKeys() {
  singleKeys.checked = usesSingleKeys();
  document.documentElement.dataset.singleKeys = singleKeys.checked ? "" : "off"; // The style sheet reads it.
}

function chooseSingleKeys() {
  localStorage.setItem("single-keys", singleKeys.checked ? "on" : "off");
  showSingleKeys();
}

function playRecordings() {
  if (!document.querySelector("audio[controls]")) return;
  arrivals.disconnect();
  // Without a network, the browser's own controls stay until there is one.
  import("./audio-player.js").catch(() => addEventListener("online", playRecordings, { once: true }));
}

const arrivals = new MutationObserver(playRecordings);
arrivals.observe(document.body, { childList: true, subtree: true });
playRecordings();

document.addEventListener("change", chooseTheme);
document.addEventListener("visibilitychange", showTheme); // Another tab may have changed it.
addEventListener("pageshow", showTheme); // A page from the browser's memory may be older than the choice.
addEventListener("beforeinstallprompt", offerInstalling);
addEventListener("appinstalled", () => {
  byId("install").hidden = true;
});
window.addEventListener("keydown", withholdKey, true); // Before any other script.
window.addEventListener("storage", showSingleKeys); // Another tab may have changed it.
singleKeys.addEventListener("change", chooseSingleKeys);
showSingleKeys();
document.addEventListener("keydown", heedKey);
byId("shortcuts").addEventListener("keydown", (event) => event.stopPropagation()); // Not for the page behind it.
document.getElementById("show-shortcuts")?.addEventListener("click", showShortcuts);
