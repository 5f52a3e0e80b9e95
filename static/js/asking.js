/** Asking: puts a question on the page and sends it, and sends it again after a failure. */

import { runTurn } from "./answering.js";
import { byId, findAll } from "./elements.js";
import { text } from "./page.js";
import { retryTurn, uploadQuestion } from "./turn-upload.js";
import { TurnView } from "./turn-view.js";

/**
 * @typedef {import("./turn-upload.js").Question} Question
 * @typedef {import("./answering.js").TurnEvent} TurnEvent
 */

/**
 * The questions of this visit by their list items, for another attempt if the server does not have the turn.
 * @type {WeakMap<Element, Question>}
 */
const questions = new WeakMap();

/**
 * Put an empty question on the page.
 * @param {string} [transcript] without one, a placeholder is shown until it arrives
 */
export function questionView(transcript) {
  byId("no-turns").hidden = true;
  const view = TurnView.append(byId("turns"));
  if (transcript !== undefined) view.transcript = transcript;
  else view.awaitTranscript(text("spoken-question"));
  return view;
}

/**
 * @param {Question} question
 * @param {import("./answering.js").Output & {view?: TurnView,
 *   send?: (signal: AbortSignal) => AsyncIterable<TurnEvent>}} [way] `view` if the question is on the page already;
 *   `send` if it is not uploaded
 */
export function ask(question, { view = questionView(question.text), send, ...output } = {}) {
  questions.set(view.item, question);
  return start(view, send, output);
}

/** Whether a question is on the page that perhaps only this page has: another attempt sends it. */
export const hasUnsent = () =>
  findAll(byId("turns"), '[data-turn=""][data-status=failed]').some((item) => questions.has(item));

/** @param {HTMLElement} item a failed turn */
export function retry(item) {
  item.focus(); // The pressed button disappears.
  return start(new TurnView(item));
}

/**
 * @param {TurnView} view
 * @param {(signal: AbortSignal) => AsyncIterable<TurnEvent>} [send]
 * @param {import("./answering.js").Output} [output]
 */
function start(view, send, output) {
  const question = questions.get(view.item);
  view.questionSeconds = question?.take?.seconds ?? 0;
  const isUnsent = question && !view.id;
  const again = (/** @type {AbortSignal} */ signal) =>
    isUnsent ? uploadQuestion(question, signal) : retryTurn(view.id, signal);
  return runTurn(view, send ?? again, output);
}
