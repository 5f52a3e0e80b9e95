/** The Talk page: speak or type a question, send it, show and play the answer while it arrives. */

import { ApiError, request } from "./api.js";
import { conversationId, isHandsFree, pauseSeconds, voiceMissing, watchSettings } from "./conversation-settings.js";
import { serverEvents } from "./events.js";
import { announce, clock, text } from "./page.js";
import { Player } from "./player.js";
import { loudness, microphoneProblem, Recorder } from "./recorder.js";
import { audioContext } from "./sound.js";
import { watchSpaceBar } from "./space-bar.js";
import { TurnView } from "./turn-view.js";

/**
 * @typedef {"ready" | "listening" | "thinking" | "speaking" | "failed"} State
 * @typedef {{take: import("./recorder.js").Take} | {text: string}} Question
 */

const TITLE_LENGTH = 60; // characters; the server cuts titles there, too

const byId = (id) => document.getElementById(id);
const page = byId("talk");
const { dataset: look } = document.documentElement; // what the style sheet shows
const player = new Player();

/** What was asked in turns that the server may not have, for another attempt. @type {WeakMap<Element, Question>} */
const unsent = new WeakMap();

/** @type {Recorder | null} */
let recorder = null;
/** Open in hands-free mode, from one question to the next. @type {import("./open-microphone.js").OpenMicrophone | null} */
let microphone = null;
let asking = false; // for the microphone
/** @type {import("./recorder.js").Take | null} */
let interruptedTake = null;
/** @type {{abort: AbortController, complete: boolean, view: TurnView} | null} */
let running = null;

// States

const isAnswering = () => look.turnState === "thinking" || look.turnState === "speaking";

/**
 * @param {State} state
 * @param {string} [message] what to say instead of the state's own words
 * @param {"" | "error"} [tone]
 */
function enter(state, message = text(microphone ? `hands-free-${state}` : state), tone = "") {
  look.turnState = state;
  if (microphone) microphone.wary = isAnswering();
  byId("dock-level").hidden = !recorder;
  byId("type").hidden = Boolean(recorder);
  byId("stop").setAttribute("aria-disabled", String(!recorder && !microphone && !isAnswering()));
  showMicrophone();
  announce(message, tone);
}

/** Ready for the next question; in hands-free mode that is to listen for it. */
function enterNext(message) {
  enter(microphone ? "listening" : "ready", message);
}

function showMicrophone() {
  const isLive = recorder || microphone?.hearing;
  look.microphone = isLive ? "live" : microphone ? "open" : "";
  byId("record").querySelector(".label").textContent = text(recordLabel());
}

function recordLabel() {
  if (recorder) return "stop";
  if (!microphone) return isHandsFree() ? "start-hands-free" : "start";
  if (isAnswering()) return "interrupt";
  return microphone.hearing ? "send-now" : "end-hands-free";
}

// Listening

/** @param {import("./recorder.js").Level} level */
function showLevel({ rms, verdict, seconds }) {
  byId("level-word").textContent = text(`level-${verdict}`);
  byId("clock").textContent = clock(seconds);
  byId("record").style.setProperty("--level", loudness(rms));
}

/** Ask for the microphone, and say what is wrong where there is none. @returns {Promise<T | null>} @template T */
async function withPermission(start) {
  silence();
  asking = true;
  announce(text("asking"));
  try {
    return await start();
  } catch (error) {
    enter("failed", text(microphoneProblem(error)), "error");
    return null;
  } finally {
    asking = false;
  }
}

const maxSeconds = () => Number(page.dataset.maxSeconds);

async function listen() {
  const options = { processing: true, maxSeconds: maxSeconds(), onLevel: showLevel };
  const started = await withPermission(() => Recorder.start(options));
  if (!started) return;
  recorder = started;
  enter("listening");
  const take = await started.finished;
  if (recorder !== started) return; // It was discarded.
  recorder = null;
  await takeOver(take);
}

/** @param {import("./recorder.js").Take} take */
async function takeOver(take) {
  if (!take.heard) enter("ready", text("heard-nothing"));
  else if (take.interrupted) offerInterrupted(take);
  else await ask({ take });
}

function offerInterrupted(take) {
  interruptedTake = take;
  enter("ready", text("interrupted"));
  byId("interrupted").hidden = false;
  byId("send-interrupted").focus();
}

function discard() {
  const discarded = recorder;
  recorder = null;
  discarded.stop();
}

// Hands-free

/** Loaded by those who use it, and then before they press the button. */
const handsFree = () => import("./open-microphone.js");

async function openMicrophone() {
  const options = { maxSeconds: maxSeconds(), pause: pauseSeconds() * 1000, onLevel: showLevel };
  const callbacks = { onVoice: heedVoice, onTake: heedTake, onLost: loseMicrophone };
  audioContext(); // Later than in the click it might not start.
  microphone = await withPermission(async () => (await handsFree()).OpenMicrophone.open({ ...options, ...callbacks }));
  if (microphone) enterNext();
}

function closeMicrophone() {
  microphone?.close();
  microphone = null;
}

/** Someone begins to speak: whoever speaks over an answer wants it to end. */
function heedVoice() {
  if (look.turnState === "speaking") {
    silence();
    enterNext();
  }
  showMicrophone();
}

/** @param {import("./recorder.js").Take} take */
function heedTake(take) {
  performance.mark("question-ended");
  if (!microphone) return; // It was closed meanwhile.
  if (take.heard && !voiceMissing()) ask({ take });
  else showMicrophone();
}

function loseMicrophone() {
  microphone = null;
  silence();
  enter("failed", text("microphone-lost"), "error");
}

// Asking

/** @param {Question} question */
function ask(question) {
  byId("no-turns").hidden = true;
  const view = TurnView.append(byId("turns"));
  if ("text" in question) view.transcript = question.text;
  else view.awaitTranscript(text("spoken-question"));
  view.questionSeconds = question.take?.seconds ?? 0;
  unsent.set(byId("turns").lastElementChild, question);
  return run(view, (signal) => send(question, signal));
}

/** @param {HTMLElement} item a failed turn */
function retry(item) {
  item.focus(); // Its button disappears.
  const view = new TurnView(item);
  const question = unsent.get(item);
  view.questionSeconds = question?.take?.seconds ?? 0;
  if (!view.id) return run(view, (signal) => send(question, signal));
  return run(view, (signal) => stream(`/api/v1/turns/${view.id}/retry`, {}, signal));
}

/** @param {Question} question @param {AbortSignal} signal @returns {Promise<Response>} */
async function send(question, signal) {
  const id = await conversationId(signal);
  const response = await stream(`/api/v1/conversations/${id}/turns`, bodyOf(question), signal);
  history.replaceState(null, "", `/talk/${id}/`);
  return response;
}

/** @param {Question} question */
function bodyOf(question) {
  if ("text" in question) return { text: question.text };
  const form = new FormData();
  form.append("audio", question.take.blob, question.take.name);
  return form;
}

function stream(url, body, signal) {
  return request("POST", url, { body, signal, accept: "text/event-stream" });
}

// Answering

/** @param {TurnView} view @param {(signal: AbortSignal) => Promise<Response>} open */
async function run(view, open) {
  silence();
  const turn = { abort: new AbortController(), complete: false, view };
  running = turn;
  player.begin();
  view.begin();
  enter("thinking");
  try {
    await follow(view, await open(turn.abort.signal));
    turn.complete = true;
    player.finish();
    await player.ended;
    if (running === turn) enterNext();
  } catch (error) {
    if (running === turn) fail(view, error);
  } finally {
    if (running === turn) running = null;
  }
}

/** @param {TurnView} view @param {Response} response */
async function follow(view, response) {
  for await (const { event, data } of serverEvents(response.body)) {
    if (data.turn_id) view.id = data.turn_id;
    if (event === "heard") showHeard(view, data.text);
    if (event === "said") view.addReply(data.delta);
    if (event === "spoken") speak(data);
    if (event === "failed") throw new ApiError(data);
    if (event === "done") {
      view.reply = data.reply;
      view.timings = data.timings;
      view.offerAnswer(player.seconds);
      return;
    }
  }
  throw streamBroken();
}

const streamBroken = () => new ApiError({ code: "stream_broken", message: text("stream-broken"), retryable: true });

/** @param {TurnView} view @param {string} transcript */
function showHeard(view, transcript) {
  view.transcript = transcript;
  view.offerQuestion();
  if (!("untitled" in page.dataset)) return;
  delete page.dataset.untitled;
  const isLong = transcript.length > TITLE_LENGTH;
  byId("title").textContent = isLong ? `${transcript.slice(0, TITLE_LENGTH - 1)}…` : transcript;
}

function speak({ audio, sample_rate: sampleRate }) {
  if (microphone?.hearing) {
    silence(); // The question went on: the answer to its first part is not to be heard.
    enterNext();
    return;
  }
  player.add(audio, sampleRate);
  if (look.turnState === "thinking") enter("speaking");
}

/** @param {TurnView} view @param {Error} error */
function fail(view, error) {
  player.finish();
  const { code, message, retryable } = error instanceof ApiError ? error : streamBroken();
  if (code === "nothing_heard" && !view.id) {
    view.remove();
    enterNext(text("heard-nothing"));
    return;
  }
  view.fail(message, retryable);
  enter("failed", text("failed"), "error");
  const unseen = { className: "visually-hidden", textContent: ` ${message}` }; // It is read on the turn, but to be heard here.
  byId("status").append(Object.assign(document.createElement("span"), unseen));
}

/** Nothing more is heard, and nothing more is asked for. */
function silence() {
  byId("interrupted").hidden = true;
  for (const audio of page.querySelectorAll("audio")) audio.pause();
  endTurn();
}

function endTurn() {
  const heardSeconds = player.heardSeconds;
  player.stop();
  if (!running) return;
  const { abort, complete, view } = running;
  running = null;
  abort.abort();
  view.stop();
  if (complete) tellHeard(view.id, heardSeconds);
}

/** The server made the answer faster than it was heard: it can not know where it was broken off. */
function tellHeard(turnId, seconds) {
  request("POST", `/api/v1/turns/${turnId}/stop`, { body: { heard_seconds: seconds } }).catch(() => {
    // Then the model remembers the whole answer, which no one has to be told.
  });
}

// Controls

function pressRecord() {
  if (asking) return;
  if (recorder) {
    performance.mark("question-ended");
    recorder.stop();
  } else if (microphone) {
    pressRecordHandsFree();
  } else if (!voiceMissing()) {
    if (isHandsFree()) openMicrophone();
    else listen();
  }
}

function pressRecordHandsFree() {
  if (isAnswering()) {
    silence();
    enterNext();
  } else if (microphone.hearing) {
    microphone.send();
  } else {
    closeMicrophone();
    enter("ready", text("hands-free-ended"));
  }
}

function pressStop() {
  if (recorder) {
    discard();
    enter("ready", text("discarded"));
  } else if (running || microphone) {
    closeMicrophone();
    silence();
    enter("ready", text("stopped"));
  }
}

function pressMute() {
  player.muted = !player.muted;
  byId("mute").setAttribute("aria-pressed", String(player.muted));
  announce(text(player.muted ? "muted" : "unmuted"));
}

function sendTyped(event) {
  event.preventDefault();
  const question = byId("text").value.trim();
  if (!question || asking || voiceMissing()) return;
  byId("text").value = "";
  ask({ text: question });
}

function sendSuggestion(event) {
  const suggestion = event.target.closest(".suggestion");
  if (!suggestion || asking || voiceMissing()) return;
  byId("record").focus(); // The suggestions disappear.
  ask({ text: suggestion.textContent.trim() });
}

/** A recording that is replayed is listened to, not spoken over. */
function heedReplay() {
  if (!recorder && !microphone && !running) return;
  closeMicrophone();
  if (recorder) discard();
  endTurn();
  enter("ready");
}

function changeMode() {
  if (isHandsFree()) handsFree().catch(() => {}); // Whoever presses the button is told what is wrong.
  if (microphone) microphone.pause = pauseSeconds() * 1000;
  if (microphone && !isHandsFree()) pressStop();
  showMicrophone();
}

function pressEscape(event) {
  if (event.key === "Escape" && !event.target.closest(".menu")) pressStop();
}

byId("record").addEventListener("click", pressRecord);
byId("record").disabled = false;
byId("stop").addEventListener("click", pressStop);
byId("mute").addEventListener("click", pressMute);
byId("type").addEventListener("submit", sendTyped);
byId("type").querySelector("[type=submit]").disabled = false;
byId("no-turns").addEventListener("click", sendSuggestion);
byId("record-again").addEventListener("click", pressRecord);
byId("send-interrupted").addEventListener("click", () => {
  byId("record").focus();
  ask({ take: interruptedTake });
});
byId("turns").addEventListener("click", (event) => {
  if (event.target.closest(".retry")) retry(event.target.closest(".turn"));
});
byId("turns").addEventListener("play", heedReplay, true);
document.addEventListener("keydown", pressEscape);
watchSpaceBar({ press: pressRecord, begins: () => recordLabel() === "start", isBegun: () => Boolean(recorder) });
watchSettings(changeMode);
look.turnState = "ready";
changeMode();
byId("turns").lastElementChild?.scrollIntoView({ block: "end" });
