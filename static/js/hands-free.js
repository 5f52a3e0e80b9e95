/** Hands-free mode: each pause sends a question, and speech interrupts the answer. Loaded only when it is used. */

import { interrupt, silence } from "./answering.js";
import { ask } from "./asking.js";
import { pauseMilliseconds, voiceMissing } from "./conversation-settings.js";
import { OpenMicrophone } from "./open-microphone.js";
import { text } from "./page.js";
import { capture, enter, showCapture, showLevel, turnState } from "./turn-state.js";

/** @param {number} maxSeconds the longest question */
export function openMicrophone(maxSeconds) {
  const callbacks = { onLevel: showLevel, onSpeech: speechStarted, onTake: questionEnded, onLost: microphoneLost };
  return OpenMicrophone.open({ maxSeconds, pause: pauseMilliseconds(), ...callbacks });
}

function speechStarted() {
  if (turnState() === "speaking") interrupt();
  showCapture();
}

/** @param {import("./recorder.js").Take} take */
function questionEnded(take) {
  performance.mark("question-ended");
  if (!capture.microphone) return; // It was closed in the meantime.
  if (take.heard && !voiceMissing()) ask({ take });
  else showCapture();
}

function microphoneLost() {
  capture.microphone = null;
  silence();
  enter("failed", text("microphone-lost"), "error");
}
