/** The cards of the My voices page; what adjusts a voice is loaded when its settings are first opened. */

import "./voice-cards.js";

document.getElementById("voices").addEventListener(
  "toggle",
  ({ target }) => target.classList.contains("settings-fold") && import("./voice-settings.js"),
  true, // This event does not bubble.
);
