/** The upload path of a turn: one request sends the whole question, and its response streams the answer as events. */

import { request } from "./api.js";
import { conversationId } from "./conversation-settings.js";
import { serverEvents } from "./events.js";

/**
 * @typedef {({take: import("./recorder.js").Take, text?: undefined} | {text: string, take?: undefined}) &
 *   {key?: string}} Question `key` is that of its requests
 * @typedef {import("./answering.js").TurnEvent} TurnEvent
 */

const IN_USE_MILLISECONDS = 1000; // between requests for a turn that still runs

/** The latest request to stop a turn: the next one remembers what was heard. @type {Promise<unknown>} */
let told = Promise.resolve();

/** @returns {string} the key of a new request */
export const newKey = () => [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");

/**
 * Ask. The same question is asked only once: another attempt gets the answer to the first, if that arrived.
 * @param {Question} question
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<TurnEvent, void>}
 */
export async function* uploadQuestion(question, signal) {
  const id = await conversationId(signal);
  question.key ??= newKey();
  const url = `/api/v1/conversations/${id}/turns`;
  for await (const event of turnEvents(url, bodyOf(question), signal, question.key)) {
    if (event.event === "begun") history.replaceState(null, "", `/talk/${id}/`);
    yield event;
  }
}

/**
 * Continue a turn that failed or was interrupted.
 * @param {string} turnId
 * @param {AbortSignal} signal
 */
export const retryTurn = (turnId, signal) => turnEvents(`/api/v1/turns/${turnId}/retry`, {}, signal, newKey());

/**
 * Ask the question of a turn again, or another one in its place.
 * @param {string} turnId
 * @param {{text?: string}} body
 * @param {AbortSignal} signal
 * @param {string} key
 */
export const regenerateTurn = (turnId, body, signal, key) =>
  turnEvents(`/api/v1/turns/${turnId}/regenerate`, body, signal, key);

/**
 * End a turn, and tell the server how much of its answer was played: it makes answers faster than they play.
 * @param {string} turnId
 * @param {Promise<number> | number} heard seconds
 */
export function stopTurn(turnId, heard) {
  told = tellStop(turnId, heard).catch(() => {
    // Then the answer is finished, and the model remembers all of it. Nobody has to know.
  });
}

/**
 * @param {string} turnId
 * @param {Promise<number> | number} heard
 */
async function tellStop(turnId, heard) {
  await request("POST", `/api/v1/turns/${turnId}/stop`, { body: { heard_seconds: await heard } });
}

/** @param {Question} question */
function bodyOf({ take, text }) {
  if (!take) return { text };
  const form = new FormData();
  form.append("audio", take.blob, take.name);
  return form;
}

/**
 * Begin a turn and follow it. The server finishes it even if this page is left; `signal` ends it.
 * @param {string} url
 * @param {FormData | object} body
 * @param {AbortSignal} signal
 * @param {string} key
 * @returns {AsyncGenerator<TurnEvent, void>}
 */
async function* turnEvents(url, body, signal, key) {
  await told;
  const response = await begun(url, body, signal, key);
  const id = response.headers.get("X-Turn-Id");
  if (id) yield { event: "begun", data: { turn_id: id } };
  yield* /** @type {AsyncGenerator<TurnEvent, void>} */ (
    serverEvents(/** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body))
  );
}

/**
 * @param {string} url
 * @param {FormData | object} body
 * @param {AbortSignal} signal
 * @param {string} key
 * @returns {Promise<Response>} the beginning of the answer, once the first request with this key has one
 */
async function begun(url, body, signal, key) {
  while (true) {
    signal.throwIfAborted();
    try {
      return await sent(url, body, signal, key);
    } catch (error) {
      if (/** @type {{code?: string}} */ (error).code !== "idempotency_key_in_use") throw error;
      await new Promise((resolve) => setTimeout(resolve, IN_USE_MILLISECONDS));
    }
  }
}

/**
 * @param {string} url
 * @param {FormData | object} body
 * @param {AbortSignal} signal
 * @param {string} key
 * @returns {Promise<Response>}
 */
async function sent(url, body, signal, key) {
  const reading = new AbortController();
  const stopped = new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  stopped.catch(() => {});
  const sending = request("POST", url, { body, key, signal: reading.signal, accept: "text/event-stream" });
  sending.then(
    ({ headers }) => {
      if (!signal.aborted) {
        signal.addEventListener("abort", () => reading.abort(signal.reason), { once: true });
        return;
      }
      stopTurn(headers.get("X-Turn-Id") ?? "", 0); // Before this, its id was unknown.
      reading.abort();
    },
    () => {},
  );
  return /** @type {Response} */ (await Promise.race([sending, stopped]));
}
