/** Answering: runs a turn, and shows and plays its events while they arrive. */

import { ApiError, connectionLost } from "./api.js";
import { byId, create, findAll } from "./elements.js";
import { announce, signInLink, text } from "./page.js";
import { awaitQuestion, capture, enter, turnState } from "./turn-state.js";
import { tellOtherTabs } from "./other-tabs.js";
import { stopTurn } from "./turn-upload.js";

/**
 * @typedef {import("./turn-view.js").TurnView} TurnView
 * @typedef {ConstructorParameters<typeof ApiError>[0]} Failure
 * @typedef {{event: "begun", data: {turn_id: string}}
 *   | {event: "heard", data: {turn_id?: string, text: string}}
 *   | {event: "said", data: {turn_id?: undefined, delta: string}}
 *   | {event: "spoken", data: {turn_id?: undefined, audio: string, sample_rate: number}}
 *   | {event: "failed", data: Failure & {turn_id?: string}}
 *   | {event: "done", data: {turn_id: string, reply: string, answer_seconds?: number | null,
 *     timings: import("./turn-view.js").Timings}}} TurnEvent `audio` is mono s16le PCM in base64
 * @typedef {{player?: import("./live/playback.js").LivePlayer | import("./player.js").Player,
 *   interrupted?: (seconds: Promise<number>) => void}} Output `player` plays an answer; `interrupted` is told how many
 *   seconds of it were heard if somebody stops it
 */

const TITLE_LENGTH = 60; // characters, as on the server
const SIGNED_OUT = ["not_authenticated", "authentication_failed"]; // The second is the socket's.

const page = byId("talk");

/** @type {import("./player.js").Player | undefined} what plays answers that come by upload */
let uploadPlayer;

/** @type {NonNullable<Output["player"]>} */
let player; // of the latest answer, once there is one
let isMuted = localStorage.getItem("muted") === "on";

/** @type {{abort: AbortController, interrupted: (seconds: Promise<number>) => void, view: TurnView} | null} */
let running = null;

export const isTurnRunning = () => running !== null;

/** Whether answers are silent, which this browser remembers. */
export const areAnswersMuted = () => isMuted;

/** @returns {boolean} whether answers are silent from now on */
export function toggleMuted() {
  isMuted = !isMuted;
  localStorage.setItem("muted", isMuted ? "on" : "off");
  if (player) player.muted = isMuted;
  return isMuted;
}

const loadCatchingUp = () => import("./live/stored-turns.js");

/** Load what plays answers that come by upload. */
export async function loadPlayer() {
  const { Player } = await import("./player.js");
  uploadPlayer ??= new Player();
  return uploadPlayer;
}

/**
 * Run a turn until its answer was played, it failed, or it was ended.
 * @param {TurnView} view
 * @param {(signal: AbortSignal) => AsyncIterable<TurnEvent>} start
 * @param {Output} [output]
 */
export async function runTurn(view, start, { player: output, interrupted } = {}) {
  const chosen = output ?? uploadPlayer ?? (await loadPlayer().catch(() => null));
  silence();
  if (!chosen) {
    view.begin();
    fail(view, connectionLost());
    return;
  }
  const report = (/** @type {Promise<number>} */ heard) => {
    if (view.id) stopTurn(view.id, heard);
  };
  const turn = { abort: new AbortController(), interrupted: interrupted ?? report, view };
  running = turn;
  loadCatchingUp().catch(() => {}); // Later, the connection may be lost.
  player = chosen;
  player.muted = isMuted;
  player.begin();
  view.begin();
  enter("thinking");
  try {
    const reply = await follow(view, start(turn.abort.signal));
    player.finish();
    await player.ended;
    if (running !== turn) return; // It was stopped.
    view.reply = reply;
    awaitQuestion();
  } catch (error) {
    if (running !== turn) return;
    if (view.id && isLost(error)) await catchUp(view, turn.abort.signal).catch(() => fail(view, error));
    else fail(view, error);
  } finally {
    if (running === turn) running = null;
    tellOtherTabs();
  }
}

/**
 * @param {TurnView} view
 * @param {AsyncIterable<TurnEvent>} events
 * @returns {Promise<string>} the whole reply
 */
async function follow(view, events) {
  for await (const { event, data } of events) {
    if (data.turn_id) view.id = data.turn_id;
    if (event === "heard") showTranscript(view, data.text);
    if (event === "said") view.addReply(data.delta);
    if (event === "spoken") play(data.audio, data.sample_rate);
    if (event === "failed") throw new ApiError(data);
    if (event === "done") {
      view.complete();
      view.timings = data.timings;
      const seconds = data.answer_seconds ?? player.seconds;
      if (seconds) view.offerAnswer(seconds); // A reply without words has no sound.
      return data.reply;
    }
  }
  throw streamBroken();
}

export const streamBroken = () =>
  new ApiError({ code: "stream_broken", message: text("stream-broken"), retryable: true });

/**
 * @param {TurnView} view
 * @param {string} transcript
 */
function showTranscript(view, transcript) {
  view.transcript = transcript;
  view.offerQuestion();
  if (!("untitled" in page.dataset)) return;
  delete page.dataset.untitled;
  const isLong = transcript.length > TITLE_LENGTH;
  const title = isLong ? `${transcript.slice(0, TITLE_LENGTH - 1)}…` : transcript;
  for (const element of findAll(document, "#title, #recent [aria-current]")) element.textContent = title;
}

/**
 * @param {string} audio
 * @param {number} sampleRate
 */
function play(audio, sampleRate) {
  if (capture.microphone?.hearing) {
    interrupt(); // The person speaks on, so this answers only the first part of the question.
    return;
  }
  player.add(audio, sampleRate);
  if (turnState() === "thinking") enter("speaking");
}

/** Whether only the connection broke: the server finishes the turn. @param {unknown} error */
const isLost = (error) => !(error instanceof ApiError) || ["connection_lost", "stream_broken"].includes(error.code);

/**
 * Show the end of a turn whose connection was lost, once the server has it.
 * @param {TurnView} view
 * @param {AbortSignal} signal
 */
async function catchUp(view, signal) {
  player.finish();
  announce(text("catching-up"));
  const { showStored, turnWhenOver } = await loadCatchingUp();
  const turn = await turnWhenOver(view.id, signal);
  if (signal.aborted) return;
  if (!turn) throw streamBroken();
  view.complete();
  showStored(view, turn);
  if (turn.reply) view.reply = turn.reply;
  if (turn.error) fail(view, new ApiError(turn.error));
  else awaitQuestion();
}

/**
 * @param {TurnView} view
 * @param {unknown} error
 */
function fail(view, error) {
  player?.finish();
  const failure = error instanceof ApiError ? error : streamBroken();
  const { code, message, retryable } = failure;
  if (code === "nothing_heard" && !view.id) {
    view.remove();
    awaitQuestion(text("heard-nothing"));
    return;
  }
  if (SIGNED_OUT.includes(code)) view.fail(text("not_authenticated"), retryable, signInLink());
  else view.fail(message, retryable);
  enter("failed", text("failed"), "error");
  // The message is visible on the turn; screen readers read only the status line.
  byId("status").append(create("span", { className: "visually-hidden", textContent: ` ${message}` }));
}

/** Stop all sound, and end the running turn. */
export function silence() {
  byId("kept").hidden = true;
  for (const audio of page.querySelectorAll("audio")) audio.pause();
  endTurn();
}

/** Break the answer off, and wait for the next question. */
export function interrupt() {
  silence();
  awaitQuestion();
}

/** Stop the answer, and end the running turn. */
export function endTurn() {
  if (!player) return; // Nothing has been asked.
  const heard = player.stop();
  if (!running) return;
  const { abort, interrupted, view } = running;
  running = null;
  abort.abort();
  view.stop();
  interrupted(heard);
}
