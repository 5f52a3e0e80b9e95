/** The upload path of a turn: one request sends the whole question, and its response streams the answer as events. */

import { request } from "./api.js";
import { conversationId } from "./conversation-settings.js";
import { serverEvents } from "./events.js";

/**
 * @typedef {{take: import("./recorder.js").Take, text?: undefined} | {text: string, take?: undefined}} Question
 * @typedef {import("./answering.js").TurnEvent} TurnEvent
 */

/**
 * @param {Question} question
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<TurnEvent, void>}
 */
export async function* uploadQuestion(question, signal) {
  const id = await conversationId(signal);
  const events = await openStream(`/api/v1/conversations/${id}/turns`, bodyOf(question), signal);
  history.replaceState(null, "", `/talk/${id}/`);
  yield* events;
}

/**
 * Continue a failed turn that the server has.
 * @param {string} turnId
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<TurnEvent, void>}
 */
export async function* retryTurn(turnId, signal) {
  yield* await openStream(`/api/v1/turns/${turnId}/retry`, {}, signal);
}

/**
 * Tell the server how much of an answer was played: it makes answers faster than they play.
 * @param {string} turnId
 * @param {number} seconds
 */
export function reportPlayed(turnId, seconds) {
  request("POST", `/api/v1/turns/${turnId}/stop`, { body: { heard_seconds: seconds } }).catch(() => {
    // Then the model remembers the whole answer. Nobody has to know.
  });
}

/** @param {Question} question */
function bodyOf({ take, text }) {
  if (!take) return { text };
  const form = new FormData();
  form.append("audio", take.blob, take.name);
  return form;
}

/**
 * @param {string} url
 * @param {FormData | object} body
 * @param {AbortSignal} signal
 * @returns {Promise<AsyncGenerator<any, void>>}
 */
async function openStream(url, body, signal) {
  const response = await request("POST", url, { body, signal, accept: "text/event-stream" });
  return serverEvents(/** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body));
}
