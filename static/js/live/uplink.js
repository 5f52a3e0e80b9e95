/** The way of the microphone's sound to the server: what was sent, and what may have to be sent again. */

import { RATE } from "./capture.js";
import { KeptSound } from "./kept-sound.js";

const RECENT = RATE; // samples that may not have arrived when a connection breaks
const BEFORE_SPEECH = 0.5 * RATE; // samples: the server notices speech a little after its start

/** @typedef {import("../recorder.js").Take} Take */

export class Uplink {
  #longest;
  #origin = 0; // Where the sound of this socket begins.
  #questionEnd = 0;
  /** @type {number | null} where the question begins that is spoken, or not answered yet */
  #questionStart = null;
  #sent = 0; // up to there
  #socket;
  #sound = new KeptSound();

  /**
   * @param {import("./socket.js").LiveSocket} socket
   * @param {number} maxSeconds of a question
   */
  constructor(socket, maxSeconds) {
    this.#socket = socket;
    this.#longest = maxSeconds * RATE;
  }

  /** Whether there is a question that is spoken, or not answered yet. */
  get hasQuestion() {
    return this.#questionStart !== null;
  }

  /** Nothing before the present is part of a question. */
  skip() {
    this.#sent = this.#sound.end;
  }

  /** A question begins now. */
  beginQuestion() {
    this.skip();
    this.#questionStart = this.#sound.end;
  }

  /** The sound of the question is not needed again. */
  forgetQuestion() {
    this.#questionStart = null;
  }

  /**
   * Take the next sound, and send it if the network takes it.
   * @param {Int16Array<ArrayBuffer>} piece
   * @param {boolean} isNeeded whether to keep what cannot be sent
   */
  add(piece, isNeeded) {
    this.#sound.add(piece);
    if (this.#socket.isFlowing) this.send();
    const oldest = this.#sound.end - (isNeeded ? this.#longest : 2 * RECENT);
    const needed = Math.min(this.#questionStart ?? Infinity, this.#sent - RECENT);
    this.#sound.forgetBefore(Math.max(needed, oldest));
    const dropped = Math.max(0, this.#sound.start - this.#sent);
    this.#origin += dropped;
    this.#sent += dropped;
  }

  /** Send what was not sent yet. */
  send() {
    while (this.#sent < this.#sound.end) {
      const piece = this.#sound.piece(this.#sent);
      const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
      this.#socket.send("input_audio_buffer.append", { audio: btoa(String.fromCharCode(...bytes)) });
      this.#sent += piece.length;
    }
  }

  /** Another socket begins: send again what was not answered, or has perhaps not arrived. */
  startOver() {
    const start = this.#questionStart ?? Math.max(this.#sent - RECENT, this.#questionEnd);
    this.#origin = this.#sent = Math.max(start, this.#sound.start);
  }

  /** @param {number} milliseconds of this socket's sound */
  speechStarted(milliseconds) {
    this.#questionStart = Math.max(this.#position(milliseconds) - BEFORE_SPEECH, this.#questionEnd, this.#sound.start);
  }

  /** @param {number} milliseconds of this socket's sound @returns {number} how many milliseconds ago that was */
  speechStopped(milliseconds) {
    this.#questionEnd = this.#position(milliseconds);
    return ((this.#sound.end - this.#questionEnd) / RATE) * 1000;
  }

  /** @returns {Take} the question that is spoken, or not answered yet */
  take() {
    const start = Math.max(this.#questionStart ?? this.#sound.end, this.#sound.start);
    const seconds = (this.#sound.end - start) / RATE;
    return { blob: this.#sound.wav(start), name: "recording.wav", seconds, heard: true, interrupted: "" };
  }

  /** @param {number} milliseconds of this socket's sound */
  #position(milliseconds) {
    return Math.round(this.#origin + (milliseconds * RATE) / 1000);
  }
}
