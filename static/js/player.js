/** Playback of an answer while it arrives: each chunk of PCM becomes an AudioBuffer that starts where the last ends. */

import { answerOutput, audioContext } from "./sound.js";

const LEAD_SECONDS = 0.08; // buffered before the first chunk plays, and again after an underrun

/** @param {string} base64 s16le PCM */
export function pcmOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Int16Array(bytes.buffer); // Every machine that runs a browser is little-endian.
}

export class Player {
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {GainNode | undefined} */
  #gain;
  #isComplete = false;
  #muted = false;
  #nextStart = 0; // seconds of the context's clock
  /** @type {(() => void) | undefined} */
  #resolve;
  #seconds = 0;
  /** @type {Set<AudioBufferSourceNode>} */
  #sources = new Set();

  /** Resolves when the answer was played to its end, or stopped. @type {Promise<void>} */
  ended = Promise.resolve();

  /** Prepare for a new answer. Call it inside the click that asks for it. */
  begin() {
    this.stop();
    this.#context = audioContext();
    this.#gain = this.#context.createGain();
    this.#gain.gain.value = this.#muted ? 0 : 1;
    this.#gain.connect(answerOutput());
    this.#nextStart = 0;
    this.#seconds = 0;
    this.#isComplete = false;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /**
   * Schedule the next chunk.
   * @param {string} base64 mono s16le PCM, whole samples
   * @param {number} sampleRate hertz
   */
  add(base64, sampleRate) {
    const samples = Float32Array.from(pcmOf(base64), (integer) => integer / 32768);
    if (!samples.length || !this.#context || !this.#gain) return;
    const buffer = this.#context.createBuffer(1, samples.length, sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    source.addEventListener("ended", () => this.#sourceEnded(source), { once: true });
    const now = this.#context.currentTime;
    const start = this.#nextStart > now ? this.#nextStart : now + LEAD_SECONDS;
    if (!this.#nextStart) performance.mark("first-sound", { startTime: performance.now() + (start - now) * 1000 });
    source.start(start);
    this.#nextStart = start + buffer.duration;
    this.#seconds += buffer.duration;
    this.#sources.add(source);
  }

  /** The last chunk was added: `ended` resolves when all chunks were played. */
  finish() {
    this.#isComplete = true;
    this.#resolveWhenEnded();
  }

  /** Stop playback at once. @returns {Promise<number>} the seconds of the answer that were played */
  stop() {
    const played = this.playedSeconds;
    this.#gain?.disconnect();
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    this.finish();
    return Promise.resolve(played);
  }

  /** Seconds of the answer that were added. */
  get seconds() {
    return this.#seconds;
  }

  /** Seconds of the answer that were played. */
  get playedSeconds() {
    const buffered = this.#context ? Math.max(0, this.#nextStart - this.#context.currentTime) : 0;
    return Math.max(0, this.#seconds - buffered);
  }

  /** @param {boolean} muted */
  set muted(muted) {
    this.#muted = muted;
    if (this.#gain) this.#gain.gain.value = muted ? 0 : 1;
  }

  get muted() {
    return this.#muted;
  }

  /** @param {AudioBufferSourceNode} source */
  #sourceEnded(source) {
    this.#sources.delete(source);
    this.#resolveWhenEnded();
  }

  #resolveWhenEnded() {
    const isClockStopped = this.#context?.state !== "running"; // Without a loudspeaker it stands still.
    if (this.#isComplete && (this.#sources.size === 0 || isClockStopped)) this.#resolve?.();
  }
}
