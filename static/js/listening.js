/**
 * Listening: records one question at a time, or in hands-free mode listens for one question after the other. Questions
 * go over a socket while they are spoken; where that is impossible, they are uploaded when they are over.
 */

import { isTurnRunning, loadPlayer, silence } from "./answering.js";
import { ask, retry } from "./asking.js";
import { isHandsFree, pauseMilliseconds } from "./conversation-settings.js";
import { byId } from "./elements.js";
import { forgetTake, keepTake } from "./kept-take.js";
import { chosenMicrophone, showMicrophones, watchMicrophoneChoice } from "./microphone-choice.js";
import { announce, text } from "./page.js";
import { audioContext } from "./sound.js";
import { TurnView } from "./turn-view.js";
import { awaitQuestion, capture, enter, showCapture, showLevel, turnState } from "./turn-state.js";

/** @typedef {import("./recorder.js").Take} Take */

const canBeLive = "WebSocket" in window && "AudioWorkletNode" in window;
const maxSeconds = Number(byId("talk").dataset.maxSeconds);
const TAP_MILLISECONDS = 150; // The finger of a tap is lifted by then.

/** @type {import("./live/session.js").LiveSession | null} */
let live = null;

// These are loaded only for those who use them.
const loadLive = () => import("./live/live.js");
const loadHandsFree = () => import("./hands-free.js");
const loadRecorder = () => import("./recorder.js");

/** Load what a press of the button needs, so that the recording begins with the press, and what plays the answer. */
export const prepare = () =>
  Promise.all([canBeLive ? loadLive() : loadRecorder(), loadPlayer()]).catch(() => {}); // The press reports a problem.

/** Whether the browser lets sound start. A first touch allows it only when the finger is lifted: a hold is too long. */
async function maySound() {
  const { userActivation } = navigator;
  if (!userActivation || userActivation.hasBeenActive) return true;
  await new Promise((resolve) => {
    document.addEventListener("pointerup", resolve, { once: true });
    setTimeout(resolve, TAP_MILLISECONDS);
  });
  return userActivation.hasBeenActive;
}

/** Return the live session, or null where questions have to be uploaded. */
async function liveSession() {
  const module = canBeLive && (await maySound()) ? await loadLive().catch(() => null) : null;
  const callbacks = { onLevel: showLevel, onMicrophoneLost: microphoneLost, onGivenUp: goOnByUpload };
  live = (await module?.liveSession({ maxSeconds, ...callbacks })) ?? null;
  return live;
}

/**
 * Ask for the microphone, and report the problem if there is one.
 * @template T
 * @param {() => Promise<T>} start
 * @returns {Promise<T | null>}
 */
async function withPermission(start) {
  audioContext(); // After an await it might not start.
  capture.isAsking = true;
  announce(text("asking"));
  try {
    const started = await start();
    showMicrophones(); // Browsers name them only now.
    return started;
  } catch (error) {
    const { microphoneProblem } = await loadRecorder();
    enter("failed", text(microphoneProblem(error)), "error");
    return null;
  } finally {
    capture.isAsking = false;
  }
}

/** Somebody wants to speak: nothing of before is heard or kept. */
function beginAnew() {
  silence();
  forgetTake();
}

// One question

/**
 * Record a question and send it.
 * @param {() => boolean} isHeld whether the button is held, which may be so before the microphone is there
 */
export async function recordQuestion(isHeld) {
  beginAnew();
  const started = await withPermission(async () => (await liveSession())?.record() ?? startRecorder());
  if (!started) return;
  capture.recorder = started;
  enter("listening", text(isHeld() ? "held" : "listening"));
  const take = await started.finished;
  if (capture.recorder !== started) return; // It was thrown away.
  capture.recorder = null;
  if (take.heard && !take.interrupted) {
    await (started.send ?? askByUpload)(take);
    return;
  }
  started.discard?.();
  if (take.interrupted && take.heard) offerInterrupted(take);
  else enter("ready", text("heard-nothing"));
}

/** @returns {Promise<import("./turn-state.js").Recording>} */
async function startRecorder() {
  const { Recorder } = await loadRecorder();
  return Recorder.start({ processing: true, deviceId: chosenMicrophone(), maxSeconds, onLevel: showLevel });
}

/** @param {Take} take */
const askByUpload = (take) => ask({ take });

/** @param {Take} take the part of a question that was recorded before the system took the microphone away */
function offerInterrupted(take) {
  enter("ready", text("interrupted"));
  keepTake(take, { forGood: true });
  byId("send-kept").focus();
}

/**
 * Stop the recorder, and keep its take for a moment.
 * @param {string} [message]
 */
export async function throwAway(message = text("discarded")) {
  const thrown = capture.recorder;
  if (!thrown) return;
  capture.recorder = null;
  capture.isAsking = true; // Until the microphone is released, another recording would be mixed with this one.
  thrown.stop();
  enter("ready", message);
  const take = await thrown.finished;
  thrown.discard?.();
  byId("no-turns").hidden = byId("turns").childElementCount > 0;
  capture.isAsking = false;
  if (take.heard) keepTake(take);
}

// Hands-free

/** Listen for one question after the other. */
export async function startHandsFree() {
  beginAnew();
  capture.microphone = await withPermission(async () => (await liveSession())?.listen() ?? listenForUploads());
  if (capture.microphone) awaitQuestion();
}

/** @returns {Promise<import("./turn-state.js").Microphone>} */
const listenForUploads = async () => (await loadHandsFree()).openMicrophone(maxSeconds, microphoneLost);

/**
 * The live session has ended for good: go on without it.
 * @param {Take | null} take a question that was not asked yet
 */
async function goOnByUpload(take) {
  closeMicrophone();
  capture.microphone = await withPermission(listenForUploads);
  if (take) ask({ take });
  else if (capture.microphone && isTurnRunning()) enter(turnState()); // The answer that was awaited comes, too.
  else if (capture.microphone) awaitQuestion();
}

function microphoneLost() {
  closeMicrophone();
  silence();
  enter("failed", text("microphone-lost"), "error");
}

export function closeMicrophone() {
  capture.microphone?.close();
  capture.microphone = null;
}

/** Follow a change of hands-free mode or of its pause. */
export function modeChanged() {
  const load = canBeLive ? loadLive : loadHandsFree;
  if (isHandsFree()) load().catch(() => {}); // The press reports a problem.
  if (capture.microphone) capture.microphone.pause = pauseMilliseconds();
  if (capture.microphone && !isHandsFree()) stop();
  showCapture();
}

/**
 * Ask a typed question: over the socket if one is open, because its server knows its own answers from speech.
 * @param {string} question
 */
export async function askTyped(question) {
  if (live?.isInUse) await live.askTyped(question);
  else await ask({ text: question });
}

/** Ask a failed question again, in the same way. @param {HTMLElement} item its turn */
export async function tryAgain(item) {
  const view = new TurnView(item);
  if (!live?.isInUse || !view.id) {
    await retry(item);
    return;
  }
  item.focus(); // The pressed button disappears.
  await live.retry(view);
}

/** Another microphone was chosen: listen with it. */
function changeMicrophone() {
  if (!capture.microphone) return;
  closeMicrophone();
  startHandsFree();
}

/** The next answer follows other settings. */
export const settingsSaved = () => live?.renew();

/** Throw the recording away, or stop the answer and the open microphone. */
export function stop() {
  if (capture.recorder) {
    throwAway();
  } else if (isTurnRunning() || capture.microphone) {
    closeMicrophone();
    silence();
    enter("ready", text("stopped"));
  }
}

watchMicrophoneChoice(changeMicrophone);
