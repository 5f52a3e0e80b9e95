/** Plays an answer while it arrives, and counts what of it was played. Runs in the audio thread. */

import { Resampler } from "./resampler.js";

const COUNTS_PER_SECOND = 20; // that tell how much was played
const LEAD_SECONDS = 0.08; // buffered before the first sound, and again after an underrun

class Playback extends AudioWorkletProcessor {
  #buffered = 0; // samples
  #isComplete = false;
  #isPlaying = false;
  #offset = 0; // in the first piece
  /** @type {number[][]} */
  #pieces = [];
  #played = 0; // samples of this answer
  #rate = 0;
  #resampler = new Resampler(1, 1);

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data === "clear") this.#clear();
      else if (data === "finish") this.#isComplete = true;
      else this.#add(data);
    };
  }

  /** @param {{samples: Int16Array, rate: number}} sound */
  #add({ samples, rate }) {
    if (rate !== this.#rate) this.#resampler = new Resampler(rate, sampleRate);
    this.#rate = rate;
    const piece = this.#resampler.process(Float32Array.from(samples, (sample) => sample / 32768));
    this.#pieces.push(piece);
    this.#buffered += piece.length;
  }

  /** Forget what was not played, and tell how much was. */
  #clear() {
    this.#tellPlayed("cleared");
    this.#pieces = [];
    this.#buffered = this.#offset = this.#played = this.#rate = 0;
    this.#isPlaying = this.#isComplete = false;
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs @returns {boolean} */
  process(_inputs, [[output]]) {
    if (!this.#isPlaying && this.#buffered && (this.#isComplete || this.#buffered >= LEAD_SECONDS * sampleRate)) {
      this.#isPlaying = true;
      if (!this.#played) this.port.postMessage("started");
    }
    if (this.#isPlaying) this.#fill(output);
    if (this.#isComplete && !this.#buffered) {
      this.#isComplete = false;
      this.port.postMessage("ended");
    }
    return true;
  }

  /** @param {Float32Array} output */
  #fill(output) {
    const count = Math.min(output.length, this.#buffered);
    for (let index = 0; index < count; index += 1) {
      while (this.#offset === this.#pieces[0].length) this.#shift();
      output[index] = this.#pieces[0][this.#offset];
      this.#offset += 1;
    }
    this.#buffered -= count;
    const counts = Math.floor((this.#played * COUNTS_PER_SECOND) / sampleRate);
    this.#played += count;
    if (Math.floor((this.#played * COUNTS_PER_SECOND) / sampleRate) > counts) this.#tellPlayed("playing");
    this.#isPlaying = this.#buffered > 0;
  }

  /** @param {"playing" | "cleared"} state */
  #tellPlayed(state) {
    this.port.postMessage({ state, playedSeconds: this.#played / sampleRate });
  }

  #shift() {
    this.#pieces.shift();
    this.#offset = 0;
  }
}

registerProcessor("playback", Playback);
