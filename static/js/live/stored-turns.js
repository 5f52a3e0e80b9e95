/** Turns as the server has stored them, for those that were asked and answered over the socket. */

const RUNNING = ["received", "heard", "answered"];
const PATIENCE = { attempts: 20, milliseconds: 250 }; // with a turn that is being stored
const LONGEST_MILLISECONDS = 3000; // between two looks at a turn that is being made

/**
 * @typedef {{id: string, status: string, transcript: string, reply: string, question_seconds: number | null,
 *   answer_seconds: number | null, heard_seconds: number | null, has_question: boolean, has_answer: boolean,
 *   timings: import("../turn-view.js").Timings,
 *   error: {code: string, message: string, retryable: boolean} | null}} StoredTurn
 */

/**
 * Return the turn as it is stored when it is over, or as it is after a while; null if the server does not have it.
 * @param {string} id
 * @returns {Promise<StoredTurn | null>}
 */
export const storedTurn = (id) => patiently(() => read(`/api/v1/turns/${id}`));

/**
 * Return the turn as it is stored when it is over, however long that takes; null if `signal` came before, or if the
 * server has refused it for a minute.
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {(turn: StoredTurn) => void} [onStage] called whenever another stage of it is over
 * @returns {Promise<StoredTurn | null>}
 */
export async function turnWhenOver(id, signal, onStage = () => {}) {
  let [status, refusals] = ["", 0];
  for (let wait = PATIENCE.milliseconds; !signal.aborted; wait = Math.min(1.3 * wait, LONGEST_MILLISECONDS)) {
    const turn = await read(`/api/v1/turns/${id}`);
    refusals = turn === null ? refusals + 1 : 0;
    if (refusals === PATIENCE.attempts) return null;
    if (turn && !RUNNING.includes(turn.status)) return signal.aborted ? null : turn;
    if (turn && turn.status !== status) onStage(turn);
    status = turn?.status ?? status;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  return null;
}

/**
 * Return the latest turn of a conversation as soon as it is a new one; null if it does not come, or is not awaited any
 * more. Being offline takes none of the patience.
 * @param {string} conversationId
 * @param {{isKnown: (id: string) => boolean, isAwaited: () => boolean}} conditions
 * @returns {Promise<StoredTurn | null>}
 */
export async function newestTurn(conversationId, { isKnown, isAwaited }) {
  for (let attempt = 0; attempt < PATIENCE.attempts && isAwaited(); ) {
    const page = await read(`/api/v1/conversations/${conversationId}/turns?limit=1`);
    const newest = page?.results[0];
    if (newest && !isKnown(newest.id)) return newest;
    if (page !== undefined) attempt += 1;
    await new Promise((resolve) => setTimeout(resolve, PATIENCE.milliseconds));
  }
  return null;
}

/**
 * @param {() => Promise<StoredTurn | null>} readTurn
 * @returns {Promise<StoredTurn | null>}
 */
async function patiently(readTurn) {
  let turn = null;
  for (let attempt = 0; attempt < PATIENCE.attempts; attempt += 1) {
    turn = await readTurn();
    if (turn && !RUNNING.includes(turn.status)) return turn;
    await new Promise((resolve) => setTimeout(resolve, PATIENCE.milliseconds));
  }
  return turn;
}

/** @param {string} url @returns {Promise<any>} null if the server refuses, undefined if it is not reached */
async function read(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    return response.ok ? await response.json() : null;
  } catch {
    return undefined;
  }
}

/**
 * Show on the page what is stored of a turn, but for its reply.
 * @param {import("../turn-view.js").TurnView} view
 * @param {StoredTurn} turn
 */
export function showStored(view, turn) {
  view.id = turn.id;
  if (turn.transcript) view.transcript = turn.transcript;
  view.timings = turn.timings;
  view.questionSeconds = turn.has_question ? (turn.question_seconds ?? 0) : 0;
  view.offerQuestion();
  if (turn.has_answer) view.offerAnswer(turn.answer_seconds ?? 0);
}
