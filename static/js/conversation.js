/** The Talk page: record or type a question, send it, show and play the answer while it arrives. */

import { ApiError, request } from "./api.js";
import { serverEvents } from "./events.js";
import { announce, clock, text } from "./page.js";
import { Player } from "./player.js";
import { loudness, microphoneProblem, Recorder } from "./recorder.js";
import { TurnView } from "./turn-view.js";

/**
 * @typedef {"ready" | "listening" | "thinking" | "speaking" | "failed"} State
 * @typedef {{take: import("./recorder.js").Take} | {text: string}} Question
 */

const byId = (id) => document.getElementById(id);
const page = byId("talk");
const player = new Player();

/** What was asked in turns that the server may not have, for another attempt. @type {WeakMap<Element, Question>} */
const unsent = new WeakMap();

/** @type {Recorder | null} */
let recorder = null;
let asking = false; // for the microphone
/** @type {import("./recorder.js").Take | null} */
let interruptedTake = null;
/** @type {{abort: AbortController, complete: boolean, view: TurnView} | null} */
let running = null;

/** @param {State} state @param {string} [message] what to say instead of the state's own words */
function enter(state, message = text(state)) {
  document.documentElement.dataset.turnState = state;
  const listening = state === "listening";
  byId("record").querySelector(".label").textContent = text(listening ? "stop" : "start");
  byId("dock-level").hidden = !listening;
  byId("type").hidden = listening;
  byId("stop").setAttribute("aria-disabled", String(state === "ready" || state === "failed"));
  announce(message, state === "failed" ? "error" : "");
}

// Listening

/** @param {import("./recorder.js").Level} level */
function showLevel({ rms, verdict, seconds }) {
  byId("level-word").textContent = text(`level-${verdict}`);
  byId("clock").textContent = clock(seconds);
  byId("record").style.setProperty("--level", loudness(rms));
}

async function listen() {
  silence();
  asking = true;
  announce(text("asking"));
  let started;
  try {
    const maxSeconds = Number(page.dataset.maxSeconds);
    started = await Recorder.start({ processing: true, maxSeconds, onLevel: showLevel });
  } catch (error) {
    enter("failed", text(microphoneProblem(error)));
    return;
  } finally {
    asking = false;
  }
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

// Asking

/** @param {Question} question */
function ask(question) {
  byId("no-turns").hidden = true;
  const view = TurnView.append(byId("turns"));
  view.transcript = question.text ?? text("spoken-question");
  view.spoken = Boolean(question.take);
  unsent.set(byId("turns").lastElementChild, question);
  return run(view, (signal) => send(question, signal));
}

/** @param {Element} item a failed turn */
function retry(item) {
  const view = new TurnView(item);
  const question = unsent.get(item);
  view.spoken = Boolean(question?.take);
  if (!view.id) return run(view, (signal) => send(question, signal));
  return run(view, (signal) => stream(`/api/v1/turns/${view.id}/retry`, {}, signal));
}

/** @param {Question} question @param {AbortSignal} signal @returns {Promise<Response>} */
async function send(question, signal) {
  page.dataset.conversation ||= await createConversation(signal);
  const id = page.dataset.conversation;
  const response = await stream(`/api/v1/conversations/${id}/turns`, bodyOf(question), signal);
  history.replaceState(null, "", `/talk/${id}/`);
  return response;
}

async function createConversation(signal) {
  const body = { voice: byId("voice").value, persona: byId("persona").value };
  const response = await request("POST", "/api/v1/conversations", { body, signal });
  byId("new-conversation").hidden = false;
  return (await response.json()).id;
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

async function keepSettings() {
  if (!page.dataset.conversation) return; // They go along when it is created.
  const body = { voice: byId("voice").value || undefined, persona: byId("persona").value };
  try {
    await request("PATCH", `/api/v1/conversations/${page.dataset.conversation}`, { body });
    announce(text("settings-kept"));
  } catch (error) {
    announce(error.message, "error");
  }
}

/** A conversation whose voice was deleted needs another one. */
function voiceMissing() {
  if (byId("voice").value) return false;
  announce(text("need-voice"), "error");
  byId("voice").focus();
  return true;
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
    if (running === turn) enter("ready");
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
    if (event === "heard") {
      view.transcript = data.text;
      if (view.spoken) view.offerQuestion();
    }
    if (event === "said") view.addReply(data.delta);
    if (event === "spoken") speak(data);
    if (event === "failed") throw new ApiError(data);
    if (event === "done") {
      view.reply = data.reply;
      view.offerAnswer();
      return;
    }
  }
  throw streamBroken();
}

const streamBroken = () => new ApiError({ code: "stream_broken", message: text("stream-broken"), retryable: true });

function speak({ audio, sample_rate: sampleRate }) {
  player.add(audio, sampleRate);
  if (document.documentElement.dataset.turnState === "thinking") enter("speaking");
}

/** @param {TurnView} view @param {Error} error */
function fail(view, error) {
  player.finish();
  const { message, retryable } = error instanceof ApiError ? error : streamBroken();
  view.fail(message, retryable);
  enter("failed", text("failed", { message }));
}

/** End the running turn, if there is one: nothing more is asked for, nothing more is heard. */
function silence() {
  byId("interrupted").hidden = true;
  for (const audio of page.querySelectorAll("audio")) audio.pause();
  player.stop();
  if (!running) return;
  const { abort, complete, view } = running;
  running = null;
  abort.abort();
  if (!complete) view.stop();
}

// Controls

function pressRecord() {
  if (asking) return;
  if (recorder) {
    performance.mark("question-ended");
    recorder.stop();
  } else if (!voiceMissing()) listen();
}

function pressStop() {
  if (recorder) {
    discard();
    enter("ready", text("discarded"));
  } else if (running) {
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

byId("record")?.addEventListener("click", pressRecord);
byId("stop")?.addEventListener("click", pressStop);
byId("mute")?.addEventListener("click", pressMute);
byId("voice")?.addEventListener("change", keepSettings);
byId("persona")?.addEventListener("change", keepSettings);
byId("type")?.addEventListener("submit", sendTyped);
byId("record-again")?.addEventListener("click", pressRecord);
byId("send-interrupted")?.addEventListener("click", () => ask({ take: interruptedTake }));
byId("turns").addEventListener("click", (event) => {
  if (event.target.closest(".retry")) retry(event.target.closest(".turn"));
});
document.documentElement.dataset.turnState = "ready";
byId("turns").lastElementChild?.scrollIntoView({ block: "end" });
