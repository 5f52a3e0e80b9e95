/**
 * Hands-free mode without a socket: each pause sends a question, and speech interrupts the answer. Loaded only when it
 * is used.
 */

import { interrupt } from "./answering.js";
import { ask } from "./asking.js";
import { pauseMilliseconds, voiceMissing } from "./conversation-settings.js";
import { OpenMicrophone } from "./open-microphone.js";
import { capture, showCapture, showLevel, turnState } from "./turn-state.js";

/**
 * @param {number} maxSeconds the longest question
 * @param {() => void} onLost called when the system takes the microphone away
 */
export function openMicrophone(maxSeconds, onLost) {
  const callbacks = { onLevel: showLevel, onSpeech: speechStarted, onTake: questionEnded, onLost };
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
