/** Replaying and copying the turns on the page, also on a page that shows only earlier turns. */

import { watchClips } from "./clips.js";
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

/** @param {Event} event only one recording plays at a time */
function pauseOthers(event) {
  for (const audio of list.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
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
list.addEventListener("play", pauseOthers, true);
list.addEventListener("toggle", showTimings, true);
watchClips(list);
