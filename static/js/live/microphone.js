/** The microphone of hands-free mode: it stays open, and the server hears when a question ends. */

import { pauseMilliseconds } from "../conversation-settings.js";
import { ASKING } from "./answers.js";
import { WakeLock } from "./wake-lock.js";

/**
 * Return the turn detection for people who want so long a pause for thinking.
 * @param {number} pause milliseconds
 */
export function turnDetection(pause = pauseMilliseconds()) {
  return { type: "semantic_vad", eagerness: pause < 1000 ? "high" : pause < 2000 ? "medium" : "low" };
}

/** @typedef {ReturnType<typeof turnDetection> | null} TurnDetection null: a button tells when a question ends */

export class LiveMicrophone {
  #close;
  #detect;
  #mute;
  #socket;
  #turns;
  #wakeLock = new WakeLock();

  /** Whether only clear speech counts; the server knows by itself what the answer sounds like. */
  strict = false;

  /**
   * @param {{socket: import("./socket.js").LiveSocket, turns: import("./turns.js").LiveTurns,
   *   detect: (detection: TurnDetection) => void, mute: (isMuted: boolean) => void, close: () => void}} session
   */
  constructor({ socket, turns, detect, mute, close }) {
    this.#socket = socket;
    this.#turns = turns;
    this.#detect = detect;
    this.#mute = mute;
    this.#close = close;
  }

  /** Whether someone is speaking. */
  get hearing() {
    return this.#turns.hearing;
  }

  get pause() {
    return pauseMilliseconds();
  }

  set pause(milliseconds) {
    this.#detect(turnDetection(milliseconds));
  }

  set muted(/** @type {boolean} */ isMuted) {
    this.#mute(isMuted);
  }

  /** End the question now. */
  send() {
    this.#socket.send("input_audio_buffer.commit", { event_id: ASKING });
  }

  close() {
    this.#wakeLock.release();
    this.#close();
  }
}
