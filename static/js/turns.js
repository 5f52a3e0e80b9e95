/** What can be done with the turns on show, by whoever only looks back as well: hear them again, and copy them. */

import { watchClips } from "./clips.js";
import { announce, text } from "./page.js";

const list = document.getElementById("turns");

async function copy(button) {
  const source = button.closest(".question, .answer").querySelector(".transcript, .reply");
  try {
    await navigator.clipboard.writeText(source.textContent);
    announce(text("copied"));
  } catch {
    announce(text("copy-failed"), "error"); // Without HTTPS browsers have no clipboard.
  }
}

/** One sound at a time. */
function pauseOthers(event) {
  for (const audio of list.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}

/** What was opened is not to lie behind the controls. */
function showTimings({ target }) {
  if (target.open) target.scrollIntoView({ block: "nearest" });
}

list.addEventListener("click", (event) => {
  const button = event.target.closest(".copy");
  if (button) copy(button);
});
list.addEventListener("play", pauseOthers, true);
list.addEventListener("toggle", showTimings, true);
watchClips(list);
