/** Asking: puts a question on the page and sends it, and sends it again after a failure. */

import { runTurn } from "./answering.js";
import { byId } from "./elements.js";
import { text } from "./page.js";
import { retryTurn, uploadQuestion } from "./turn-upload.js";
import { TurnView } from "./turn-view.js";

/** @typedef {import("./turn-upload.js").Question} Question */

/**
 * The questions of this visit by their list items, for another attempt if the server does not have the turn.
 * @type {WeakMap<Element, Question>}
 */
const questions = new WeakMap();

/** @param {Question} question */
export function ask(question) {
  byId("no-turns").hidden = true;
  const view = TurnView.append(byId("turns"));
  if (question.text !== undefined) view.transcript = question.text;
  else view.awaitTranscript(text("spoken-question"));
  questions.set(view.item, question);
  return start(view);
}

/** @param {HTMLElement} item a failed turn */
export function retry(item) {
  item.focus(); // The pressed button disappears.
  return start(new TurnView(item));
}

/** @param {TurnView} view */
function start(view) {
  const question = questions.get(view.item);
  view.questionSeconds = question?.take?.seconds ?? 0;
  const isUnsent = question && !view.id;
  return runTurn(view, (signal) => (isUnsent ? uploadQuestion(question, signal) : retryTurn(view.id, signal)));
}
