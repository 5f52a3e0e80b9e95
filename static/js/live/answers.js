/** The answers of a live session: awaited, shown and played, stopped, resumed, and read again from the server. */

import { interrupt, runTurn, streamBroken } from "../answering.js";
import { ask } from "../asking.js";
import { conversationId } from "../conversation-settings.js";
import { byId, findAll } from "../elements.js";
import { retryTurn, uploadQuestion } from "../turn-upload.js";
import { LiveAnswer } from "./answer.js";
import { newestTurn, showStored, storedTurn, turnWhenOver } from "./stored-turns.js";

const STORING_MILLISECONDS = 300; // after which an interrupted turn is stored
const LONGEST_MILLISECONDS = 600_000; // that an answer is made
/** The event_id of the events that ask: an error that has it is about the question. */
export const ASKING = "asking";

/**
 * @typedef {import("../turn-view.js").TurnView} TurnView
 * @typedef {import("../recorder.js").Take} Take
 * @typedef {{send: (type: string, fields?: object) => void, player: import("./playback.js").LivePlayer,
 *   onAnswered: () => void, onIdle: () => void}} Session `onAnswered` is called when the sound of the question is not
 *   needed any more, `onIdle` after the answer
 */

export class LiveAnswers {
  /** @type {LiveAnswer | null} */
  #latest = null;
  /** @type {Map<string, LiveAnswer>} by the ids of their responses */
  #responses = new Map();
  #isHearing;
  #session;

  /**
   * @param {Session} session
   * @param {() => boolean} isHearing whether someone speaks: then the question may go on, and the answer be deleted
   */
  constructor(session, isHearing) {
    this.#session = session;
    this.#isHearing = isHearing;
  }

  /** Whether an answer is awaited or played. */
  get isRunning() {
    return Boolean(this.#latest?.isRunning);
  }

  /** Whether an answer is awaited that the server has not begun. */
  get isBeginning() {
    return this.isRunning && !this.#latest?.responseId;
  }

  /** Whether an answer is awaited or played that has not all come. */
  get isIncomplete() {
    return this.isRunning && !this.#latest?.isDone;
  }

  /** Whether an answer is awaited, and nothing of it was heard. */
  get isAwaited() {
    return this.isRunning && !this.#latest?.hasSound && !this.#latest?.isRecovered;
  }

  /** Whether the latest answer is to this question. @param {TurnView | null} view */
  isTo(view) {
    return this.#latest?.view === view;
  }

  /**
   * Await the answer to a question.
   * @param {TurnView} view
   * @param {import("../turn-upload.js").Question} question
   */
  async ask(view, question) {
    const upload = (/** @type {AbortSignal} */ signal) => uploadQuestion(question, signal);
    const answer = new LiveAnswer(view, { ...this.#session, upload });
    this.#latest = answer;
    if (question.text) this.heard(question.text);
    await ask(question, { ...this.#output(answer), view, send: (signal) => answer.events(signal) });
    this.#ended(answer);
  }

  /** Await another answer to the question of a turn that failed. @param {TurnView} view */
  async retry(view) {
    const upload = (/** @type {AbortSignal} */ signal) => retryTurn(view.id, signal);
    await this.#run(new LiveAnswer(view, { ...this.#session, upload }));
  }

  /** @param {import("./socket.js").ServerEvent} event */
  take(event) {
    const answer = this.#responses.get(event.response_id);
    if (!answer?.isRunning) return; // What comes late of an answer that was stopped is not wanted.
    answer.take(event);
    if (answer.hasSound) this.#session.onAnswered();
  }

  /** All words of the question that is asked are known. @param {string} transcript */
  heard(transcript) {
    if (transcript) this.#latest?.push({ event: "heard", data: { text: transcript } });
    else this.#latest?.push({ event: "failed", data: { code: "nothing_heard", message: "" } });
  }

  /** The question goes on, and the server has deleted what it had answered. */
  takeBack() {
    if (!this.#latest) return;
    this.#latest.isTakenBack = true;
    if (this.#latest.isRunning) interrupt();
    this.#latest.view.reply = "";
  }

  /** Stop the answer that is awaited or played. Resolves when the server is told. */
  async stop() {
    if (!this.isRunning) return;
    interrupt();
    await this.#latest?.told;
  }

  /** The connection is lost. */
  connectionLost() {
    if (this.#latest && this.isAwaited) this.#latest.responseId = "";
    this.#responses.clear();
  }

  /** The server has the question, and answers it even if the connection is lost. */
  received() {
    if (this.#latest) this.#latest.isReceived = true;
  }

  /** The connection is lost: get the answer that the server goes on with. @returns {boolean} whether there is one */
  recover() {
    const answer = this.#latest;
    if (!answer?.isReceived || !this.isIncomplete) return false;
    answer.isRecovered = answer.isDone = true;
    this.#recovered(answer);
    return true;
  }

  /** @param {LiveAnswer} answer */
  async #recovered(answer) {
    if (answer.view.id) {
      answer.push(broken()); // Its end is awaited as that of any turn.
      return;
    }
    const known = findAll(byId("turns"), ".turn").map((item) => item.dataset.turn);
    const isKnown = (/** @type {string} */ id) => known.includes(id);
    const newest = await newestTurn(await conversationId(), { isKnown, isAwaited: () => answer.isRunning });
    if (!newest) {
      answer.push(answer.hasSound ? broken() : "upload");
      return;
    }
    answer.view.id = newest.id;
    const turn = await turnWhenOver(newest.id, AbortSignal.timeout(LONGEST_MILLISECONDS));
    if (turn?.status === "spoken" && answer.isRunning) await answer.playStored(turn);
    this.#finish(answer, turn);
  }

  /** There will be no connection any more: ask by upload what the server does not have. */
  giveUp() {
    if (this.isIncomplete && !this.recover()) this.#latest?.push("upload");
  }

  /** @param {string} responseId */
  created(responseId) {
    if (this.#latest?.responseId) this.#resume(this.#latest);
    if (!this.#latest) return;
    this.#latest.begin(responseId);
    this.#responses.set(responseId, this.#latest);
  }

  /** @param {{id: string, status: string, metadata?: {turn_id?: string}, status_details?: {error?: any}}} response */
  async done({ id, status, metadata, status_details: details }) {
    const answer = this.#responses.get(id);
    if (!answer) return;
    answer.isDone = true;
    this.#session.onAnswered();
    if (status === "cancelled") {
      if (answer.isRunning) interrupt();
      do await new Promise((resolve) => setTimeout(resolve, STORING_MILLISECONDS));
      while (this.#isHearing() && !answer.isTakenBack);
    }
    const turnId = answer.isTakenBack ? "" : metadata?.turn_id;
    this.#finish(answer, turnId ? await storedTurn(turnId) : null, details?.error);
  }

  /** @param {{code: string, message: string, event_id?: string}} error */
  refused({ code, message, event_id: id }) {
    if (id !== ASKING || !this.isRunning) return;
    const isEmpty = code === "input_audio_buffer_commit_empty";
    const data = { code: isEmpty ? "nothing_heard" : code, message, retryable: true };
    this.#latest?.push({ event: "failed", data });
  }

  /** @param {LiveAnswer} answer */
  #output(answer) {
    const { player } = this.#session;
    return { player, interrupted: (/** @type {Promise<number>} */ heard) => (answer.told = answer.interrupted(heard)) };
  }

  /** @param {LiveAnswer} answer */
  #ended(answer) {
    answer.end();
    this.#session.onIdle();
  }

  /** What interrupted an answer was no speech, so it goes on. @param {LiveAnswer} interrupted */
  async #resume({ view, text }) {
    await this.#run(new LiveAnswer(view, { ...this.#session, before: text }));
  }

  /** @param {LiveAnswer} answer */
  async #run(answer) {
    this.#latest = answer;
    await runTurn(answer.view, (signal) => answer.events(signal), this.#output(answer));
    this.#ended(answer);
  }

  /**
   * @param {LiveAnswer} answer
   * @param {import("./stored-turns.js").StoredTurn | null} turn
   * @param {{code: string, message: string}} [error]
   */
  #finish(answer, turn, error) {
    const wasResumed = answer !== this.#latest && this.isTo(answer.view);
    const failure = turn?.error ?? error;
    if (turn && !wasResumed) showStored(answer.view, turn);
    const isWhole = answer.isRunning ? failure : turn?.status === "spoken"; // Otherwise its words are still heard.
    if (turn?.reply && !wasResumed && isWhole) answer.view.reply = turn.reply;
    if (!answer.isRunning) return;
    if (failure) answer.push({ event: "failed", data: { retryable: true, ...failure } });
    else if (turn?.status === "interrupted") interrupt();
    else if (turn) answer.push({ event: "done", data: { ...turn, turn_id: turn.id } });
    else answer.push(broken());
  }
}

/** @returns {import("./answer.js").TurnEvent} */
const broken = () => ({ event: "failed", data: streamBroken() });
