/** Listening: records one question at a time, or in hands-free mode listens for one question after the other. */

import { isTurnRunning, silence } from "./answering.js";
import { ask } from "./asking.js";
import { isHandsFree, pauseMilliseconds } from "./conversation-settings.js";
import { byId } from "./elements.js";
import { announce, text } from "./page.js";
import { microphoneProblem, Recorder } from "./recorder.js";
import { audioContext } from "./sound.js";
import { awaitQuestion, capture, enter, showCapture, showLevel } from "./turn-state.js";

/** @typedef {import("./recorder.js").Take} Take */

const maxSeconds = Number(byId("talk").dataset.maxSeconds);

/** @type {Take | null} */
let interruptedTake = null;

/**
 * Ask for the microphone, and report the problem if there is one.
 * @template T
 * @param {() => Promise<T>} start
 * @returns {Promise<T | null>}
 */
async function withPermission(start) {
  silence();
  capture.isAsking = true;
  announce(text("asking"));
  try {
    return await start();
  } catch (error) {
    enter("failed", text(microphoneProblem(error)), "error");
    return null;
  } finally {
    capture.isAsking = false;
  }
}

// One question

/** Record a question and send it. */
export async function recordQuestion() {
  const started = await withPermission(() => Recorder.start({ processing: true, maxSeconds, onLevel: showLevel }));
  if (!started) return;
  capture.recorder = started;
  enter("listening");
  const take = await started.finished;
  if (capture.recorder !== started) return; // It was discarded.
  capture.recorder = null;
  if (!take.heard) enter("ready", text("heard-nothing"));
  else if (take.interrupted) offerInterrupted(take);
  else await ask({ take });
}

/** @param {Take} take */
function offerInterrupted(take) {
  interruptedTake = take;
  enter("ready", text("interrupted"));
  byId("interrupted").hidden = false;
  byId("send-interrupted").focus();
}

/** Send the part of a question that was recorded before the system took the microphone away. */
export function sendInterrupted() {
  byId("record").focus();
  if (interruptedTake) ask({ take: interruptedTake });
}

/** Stop the recorder and forget its take. */
export function discardRecording() {
  const discarded = capture.recorder;
  capture.recorder = null;
  discarded?.stop();
}

// Hands-free

/** Loaded only for those who use it, and before they press the button. */
const loadHandsFree = () => import("./hands-free.js");

/** Listen for one question after the other. */
export async function startHandsFree() {
  audioContext(); // After an await it might not start.
  capture.microphone = await withPermission(async () => (await loadHandsFree()).openMicrophone(maxSeconds));
  if (capture.microphone) awaitQuestion();
}

export function closeMicrophone() {
  capture.microphone?.close();
  capture.microphone = null;
}

/** Follow a change of hands-free mode or of its pause. */
export function modeChanged() {
  if (isHandsFree()) loadHandsFree().catch(() => {}); // Pressing the button reports the problem.
  if (capture.microphone) capture.microphone.pause = pauseMilliseconds();
  if (capture.microphone && !isHandsFree()) stop();
  showCapture();
}

/** Discard the recording, or stop the answer and the open microphone. */
export function stop() {
  if (capture.recorder) {
    discardRecording();
    enter("ready", text("discarded"));
  } else if (isTurnRunning() || capture.microphone) {
    closeMicrophone();
    silence();
    enter("ready", text("stopped"));
  }
}
