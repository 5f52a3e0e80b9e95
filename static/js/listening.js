/**
 * Listening: records one question at a time, or in hands-free mode listens for one question after the other. Questions
 * go over a socket while they are spoken; where that is impossible, they are uploaded when they are over.
 */

import { isTurnRunning, silence } from "./answering.js";
import { ask } from "./asking.js";
import { isHandsFree, pauseMilliseconds } from "./conversation-settings.js";
import { byId } from "./elements.js";
import { announce, text } from "./page.js";
import { audioContext } from "./sound.js";
import { awaitQuestion, capture, enter, showCapture, showLevel } from "./turn-state.js";

/** @typedef {import("./recorder.js").Take} Take */

const canBeLive = "WebSocket" in window && "AudioWorkletNode" in window;
const maxSeconds = Number(byId("talk").dataset.maxSeconds);

/** @type {Take | null} */
let interruptedTake = null;

/** @type {import("./live/session.js").LiveSession | null} */
let live = null;

// These are loaded only for those who use them, for hands-free mode before they press the button.
const loadLive = () => import("./live/live.js");
const loadHandsFree = () => import("./hands-free.js");
const loadRecorder = () => import("./recorder.js");

/** Return the live session, or null where questions have to be uploaded. */
async function liveSession() {
  const module = canBeLive ? await loadLive().catch(() => null) : null;
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
  silence();
  audioContext(); // After an await it might not start.
  capture.isAsking = true;
  announce(text("asking"));
  try {
    return await start();
  } catch (error) {
    const { microphoneProblem } = await loadRecorder();
    enter("failed", text(microphoneProblem(error)), "error");
    return null;
  } finally {
    capture.isAsking = false;
  }
}

// One question

/** Record a question and send it. */
export async function recordQuestion() {
  const started = await withPermission(async () => (await liveSession())?.record() ?? startRecorder());
  if (!started) return;
  capture.recorder = started;
  enter("listening");
  const take = await started.finished;
  if (capture.recorder !== started) return; // It was discarded.
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
  return Recorder.start({ processing: true, maxSeconds, onLevel: showLevel });
}

/** @param {Take} take */
const askByUpload = (take) => ask({ take });

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
  discarded?.discard?.();
}

// Hands-free

/** Listen for one question after the other. */
export async function startHandsFree() {
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
  if (isHandsFree()) load().catch(() => {}); // Pressing the button reports the problem.
  if (capture.microphone) capture.microphone.pause = pauseMilliseconds();
  if (capture.microphone && !isHandsFree()) stop();
  showCapture();
}

/** The next answer follows other settings. */
export const settingsSaved = () => live?.renew();

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
