/** The cards of the My voices page. The sliders' script is loaded when a voice's settings are first opened. */

import { atTarget, byId } from "./elements.js";
import "./voice-cards.js";

byId("voices").addEventListener(
  "toggle",
  (event) => {
    if (atTarget(event, ".settings-fold")) import("./voice-settings.js");
  },
  true, // This event does not bubble.
);
