/** One answer that comes over the socket, as the events that `runTurn` plays and shows. */

import { stopTurn } from "../turn-upload.js";
import { RATE } from "./capture.js";
import { HeardWords } from "./heard-words.js";

/** @typedef {import("../answering.js").TurnEvent} TurnEvent */

/**
 * Return the text that is shown, extended by an answer that goes on where it was interrupted: a little earlier.
 * @param {string} shown
 * @param {string} rest
 */
function joined(shown, rest) {
  if (shown.includes(rest)) return shown;
  let start = 0;
  while (!rest.startsWith(shown.slice(start))) start += 1;
  return shown.slice(0, start) + rest;
}

/** @param {string} turnId @returns {Promise<Int16Array<ArrayBuffer>>} the sound of a stored answer */
async function storedSound(turnId) {
  const response = await fetch(`/api/v1/turns/${turnId}/audio`, { headers: { Accept: "audio/flac" } });
  const decoder = new OfflineAudioContext(1, 1, RATE);
  const sound = await decoder.decodeAudioData(await response.arrayBuffer());
  return Int16Array.from(sound.getChannelData(0), (sample) => Math.round(32767 * sample));
}

export class LiveAnswer {
  #before;
  /** @type {(TurnEvent | "upload")[]} */
  #events = [];
  #itemId = "";
  #said = "";
  #samples = 0; // of its sound that have come
  #send;
  #upload;
  #wake = () => {};
  #words;

  /** Whether any of its sound has come. */
  hasSound = false;
  /** Whether the server has the question. */
  isReceived = false;
  /** Whether its connection was lost, and what the server has stored of it is awaited. */
  isRecovered = false;
  /** Whether the server sends nothing more of it. */
  isDone = false;
  /** Whether it is being shown and played. */
  isRunning = true;
  /** Whether its question went on, so that the server has deleted it. */
  isTakenBack = false;
  /** The server's id of the response; "" until there is one. */
  responseId = "";
  /** Resolves when the server is told that the answer was stopped. @type {Promise<void>} */
  told = Promise.resolve();
  /** The text of the answer, as far as it has come. */
  text = "";

  /**
   * @param {import("../turn-view.js").TurnView} view
   * @param {{send: (type: string, fields?: object) => void, player: import("./playback.js").LivePlayer,
   *   upload?: (signal: AbortSignal) => AsyncIterable<TurnEvent>, before?: string}} options `upload` asks the question
   *   without a socket; `before` is the text of an earlier part of the answer
   */
  constructor(view, { send, player, upload, before = "" }) {
    this.view = view;
    this.#send = send;
    this.#upload = upload;
    this.#before = before;
    this.#words = new HeardWords(view, player);
  }

  /** @param {AbortSignal} signal @returns {AsyncGenerator<TurnEvent, void>} */
  async *events(signal) {
    const aborted = new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {});
    while (true) {
      for (let event = this.#events.shift(); event; event = this.#events.shift()) {
        if (event !== "upload") yield event;
        else if (this.#upload) yield* this.#upload(signal);
      }
      await Promise.race([aborted, new Promise((resolve) => (this.#wake = () => resolve(null)))]);
    }
  }

  /** @param {TurnEvent | "upload"} event "upload" gets the answer in that way instead */
  push(event) {
    if (event === "upload" || event.event === "failed") this.#words.stop(); // What is shown then, others decide.
    this.#events.push(event);
    this.#wake();
  }

  /** @param {import("./socket.js").ServerEvent} event of the response */
  take(event) {
    this.#itemId ||= event.item_id ?? "";
    if (event.type === "response.output_audio_transcript.delta") this.#say(event.delta);
    if (event.type === "response.output_audio.delta") {
      this.hasSound = true;
      this.#words.addPiece(this.#samples / RATE, event.characters);
      this.#samples += atob(event.delta).length / 2;
      this.push({ event: "spoken", data: { audio: event.delta, sample_rate: RATE } });
    }
  }

  /** @param {string} delta */
  #say(delta) {
    this.#said += delta;
    this.#words.text = this.text = joined(this.#before, this.#said);
  }

  /** Play what has not come of a stored answer. @param {import("./stored-turns.js").StoredTurn} turn */
  async playStored(turn) {
    this.push({ event: "heard", data: { turn_id: turn.id, text: turn.transcript } });
    this.#words.stop();
    this.view.reply = turn.reply;
    if (this.#before || !turn.has_answer) return;
    const sound = await storedSound(turn.id).catch(() => null); // Its text and its player are enough.
    for (let at = this.#samples; sound && at < sound.length; at += RATE) {
      const piece = sound.slice(at, at + RATE);
      const audio = btoa(String.fromCharCode(...new Uint8Array(piece.buffer)));
      this.push({ event: "spoken", data: { audio, sample_rate: RATE } });
    }
  }

  /** The server has begun the response. @param {string} responseId */
  begin(responseId) {
    this.responseId = responseId;
    if (!this.isRunning) this.#send("response.cancel", { response_id: responseId });
  }

  /** It was played to its end, or failed, or was stopped. */
  end() {
    this.isRunning = false;
    this.#words.stop();
  }

  /**
   * Somebody has stopped the answer: tell the server how much of it was heard.
   * @param {Promise<number>} heard seconds
   */
  async interrupted(heard) {
    this.end();
    if (this.hasSound) {
      const seconds = await heard;
      const fields = { item_id: this.#itemId, content_index: 0, audio_end_ms: Math.round(seconds * 1000) };
      this.#send("conversation.item.truncate", fields);
    } else if (this.isRecovered && this.view.id) {
      stopTurn(this.view.id, 0);
    } else if (this.responseId && !this.isDone) {
      this.#send("response.cancel", { response_id: this.responseId });
    }
  }
}
