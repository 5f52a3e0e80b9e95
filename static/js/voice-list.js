/** The cards of the My voices page. The sliders' script is loaded when a voice's settings are first opened. */

import { atTarget, byId } from "./elements.js";
import "./voice-cards.js";

const list = byId("voices");
let isLoaded = false;

async function loadSettings() {
  // Without the script, "Save" sends the form as it does without JavaScript.
  await import("./voice-settings.js").catch(() => {});
  isLoaded = true;
}

list.addEventListener(
  "toggle",
  (event) => {
    if (atTarget(event, ".settings-fold")) loadSettings();
  },
  true, // This event does not bubble.
);
list.addEventListener(
  "click",
  async (event) => {
    const button = atTarget(event, ".settings button");
    if (isLoaded || !button) return;
    event.preventDefault();
    event.stopPropagation();
    await loadSettings();
    button.click(); // again, now that the script hears it
  },
  true,
);
