/** What the server tells of a live session, and what the page shows of it. */

import { interrupt } from "../answering.js";
import { questionView } from "../asking.js";
import { showCapture, turnState } from "../turn-state.js";
import { LiveAnswers } from "./answers.js";
import { LiveQuestions } from "./questions.js";

const TRANSCRIPTION = "conversation.item.input_audio_transcription";

/**
 * @typedef {import("../recorder.js").Take} Take
 * @typedef {import("./answers.js").Session & {take: () => Take, onStarted: (milliseconds: number) => void,
 *   onStopped: (milliseconds: number) => void}} Session `take` returns the sound of the question that is asked;
 *   `onStarted` and `onStopped` are called when someone has begun or stopped to speak, with the time in the session's
 *   sound
 */

export class LiveTurns {
  #answers;
  /** @type {Record<string, (event: any) => void>} */
  #handlers;
  #questions = new LiveQuestions();
  #session;

  /** Whether someone is speaking, as far as the server hears. */
  hearing = false;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
    this.#answers = new LiveAnswers(session, () => this.hearing);
    this.#handlers = {
      "input_audio_buffer.speech_started": (event) => this.#speechStarted(event.audio_start_ms),
      "input_audio_buffer.speech_stopped": (event) => this.#speechStopped(event.audio_end_ms),
      "input_audio_buffer.committed": (event) => this.#committed(event.item_id),
      "conversation.item.deleted": (event) => this.#takenBack(event.item_id),
      [`${TRANSCRIPTION}.delta`]: (event) => this.#questions.addWords(event.item_id, event.delta),
      [`${TRANSCRIPTION}.completed`]: (event) => this.#heard(event.item_id, event.transcript),
      "response.created": ({ response }) => this.#responseCreated(response),
      "response.done": ({ response }) => this.#answers.done(response),
      error: ({ error }) => this.#answers.refused(error),
    };
  }

  /** Whether an answer is awaited or played. */
  get isAnswering() {
    return this.#answers.isRunning;
  }

  /** Whether an answer is awaited that the server has not begun. */
  get isBeginning() {
    return this.#answers.isBeginning;
  }

  /** Whether an answer is awaited or played that has not all come. */
  get isIncomplete() {
    return this.#answers.isIncomplete;
  }

  /** @param {import("./socket.js").ServerEvent} event */
  handle(event) {
    this.#handlers[event.type]?.(event);
    this.#answers.take(event);
  }

  /** A question begins. */
  begin() {
    this.#questions.begin();
  }

  /** The question is asked: await its answer. @param {Take} take */
  ask(take) {
    return this.#answers.ask(this.#questions.asked(), { take });
  }

  /** A typed question is asked: await its answer. @param {string} text */
  askTyped(text) {
    return this.#answers.ask(questionView(text), { text });
  }

  /** A question is asked again: await its answer. @param {import("../turn-view.js").TurnView} view */
  retry(view) {
    return this.#answers.retry(view);
  }

  /** The server has what was asked. */
  received() {
    this.#answers.received();
  }

  /** Stop the answer. Resolves when the server is told. */
  stopAnswer() {
    return this.#answers.stop();
  }

  /** Forget the question that is spoken. */
  discard() {
    const { latest } = this.#questions;
    this.hearing = false;
    if (!this.#answers.isTo(latest)) latest?.remove();
    this.#questions.latest = null;
  }

  /** The connection is lost. What was asked and not answered will be asked again. */
  connectionLost() {
    this.#questions.startOver(this.hearing || this.#answers.isAwaited);
    this.#answers.connectionLost();
    this.hearing = false;
  }

  /** The connection is lost: get the answer that the server goes on with. @returns {boolean} whether there is one */
  recover() {
    return this.#answers.recover();
  }

  /** There will be no connection any more. */
  giveUp() {
    this.connectionLost();
    this.#answers.giveUp();
  }

  /** @param {number} milliseconds */
  #speechStarted(milliseconds) {
    if (turnState() === "speaking") interrupt();
    this.hearing = true;
    this.begin();
    this.#session.onStarted(milliseconds);
    showCapture();
  }

  /** @param {number} milliseconds */
  #speechStopped(milliseconds) {
    this.hearing = false;
    this.#session.onStopped(milliseconds);
    showCapture();
  }

  /** @param {string} itemId */
  #committed(itemId) {
    this.hearing = false;
    const isAsked = this.#answers.isTo(this.#questions.get(itemId)) && this.isAnswering;
    if (!isAsked) this.ask(this.#session.take());
    this.#answers.received();
  }

  /** The question had not ended; what comes next belongs to it. @param {string} itemId */
  #takenBack(itemId) {
    const view = this.#questions.known(itemId);
    if (!view) return; // The item of its answer is deleted, too.
    if (this.#answers.isTo(view)) this.#answers.takeBack();
    this.#questions.goOn(view, this.hearing);
  }

  /** @param {string} itemId @param {string} transcript */
  #heard(itemId, transcript) {
    const view = this.#questions.get(itemId);
    if (transcript) view.transcript = transcript;
    if (this.#answers.isTo(view) && this.isAnswering) this.#answers.heard(transcript);
  }

  /** @param {{id: string, conversation_id: string}} response */
  #responseCreated({ id, conversation_id: conversation }) {
    history.replaceState(null, "", `/talk/${conversation}/`);
    this.#answers.created(id);
  }
}
