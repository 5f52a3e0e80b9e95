/** Replaying and copying the turns on the page, also on a page that shows only earlier turns. */

import { around, atTarget, byId, find } from "./elements.js";
import { announce, text } from "./page.js";

const list = byId("turns");

/** @param {HTMLElement} button */
async function copy(button) {
  const source = find(around(button, ".question, .answer"), ".transcript, .reply");
  try {
    await navigator.clipboard.writeText(source.textContent);
    announce(text("copied"));
  } catch {
    announce(text("copy-failed"), "error"); // Without HTTPS browsers have no clipboard.
  }
}

/** @param {MouseEvent} event on the link to the page that shares an answer */
async function share(event) {
  const link = /** @type {HTMLAnchorElement | null} */ (atTarget(event, ".share"));
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { openShare } = await import("./share.js");
  await openShare(link.href);
}

/** @param {Event} event timings that open are scrolled out from behind the controls */
function showTimings({ target }) {
  const timings = /** @type {HTMLDetailsElement} */ (target);
  if (timings.open) timings.scrollIntoView({ block: "nearest" });
}

list.addEventListener("click", (event) => {
  const button = atTarget(event, ".copy");
  if (button) copy(button);
});
list.addEventListener("click", share);
list.addEventListener("toggle", showTimings, true);
