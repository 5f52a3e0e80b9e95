/** Playing an answer while it is still arriving: PCM chunks become AudioBuffers, scheduled back to back. */

import { audioContext } from "./sound.js";

const LEAD = 0.08; // seconds kept in hand before the first chunk, and after the network fell behind

function samplesOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const words = new Int16Array(bytes.buffer); // s16le; every machine that runs a browser is little-endian
  return Float32Array.from(words, (word) => word / 32768);
}

export class Player {
  #complete = false;
  #context;
  #gain;
  #muted = false;
  #nextTime = 0;
  #resolve;
  #seconds = 0;
  #sources = new Set();

  /** Settles when the answer was played to its end, or stopped. @type {Promise<void>} */
  ended = Promise.resolve();

  /** Make ready for an answer. Call it inside the click that asks for it. */
  begin() {
    this.stop();
    this.#context = audioContext();
    this.#gain = this.#context.createGain();
    this.#gain.gain.value = this.#muted ? 0 : 1;
    this.#gain.connect(this.#context.destination);
    this.#nextTime = 0;
    this.#seconds = 0;
    this.#complete = false;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /**
   * @param {string} base64 mono s16le PCM, whole samples
   * @param {number} sampleRate hertz
   */
  add(base64, sampleRate) {
    const samples = samplesOf(base64);
    if (!samples.length) return;
    const buffer = this.#context.createBuffer(1, samples.length, sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    source.addEventListener("ended", () => this.#over(source), { once: true });
    const now = this.#context.currentTime;
    const start = this.#nextTime > now ? this.#nextTime : now + LEAD;
    if (!this.#nextTime) performance.mark("first-sound", { startTime: performance.now() + (start - now) * 1000 });
    source.start(start);
    this.#nextTime = start + buffer.duration;
    this.#seconds += buffer.duration;
    this.#sources.add(source);
  }

  /** Nothing more will come; what is there is played to its end. */
  finish() {
    this.#complete = true;
    this.#settle();
  }

  /** Be silent at once. */
  stop() {
    this.#gain?.disconnect();
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    this.finish();
  }

  /** How much of the answer has come. @returns {number} */
  get seconds() {
    return this.#seconds;
  }

  /** How much of it was heard. @returns {number} */
  get heardSeconds() {
    const ahead = this.#context ? Math.max(0, this.#nextTime - this.#context.currentTime) : 0;
    return Math.max(0, this.#seconds - ahead);
  }

  /** @param {boolean} muted */
  set muted(muted) {
    this.#muted = muted;
    if (this.#gain) this.#gain.gain.value = muted ? 0 : 1;
  }

  get muted() {
    return this.#muted;
  }

  #over(source) {
    this.#sources.delete(source);
    this.#settle();
  }

  #settle() {
    const isOver = this.#sources.size === 0 || this.#context?.state !== "running"; // Without a loudspeaker it stands still.
    if (this.#complete && isOver) this.#resolve?.();
  }
}
