/** The microphone's sound as pieces of s16 samples, at the rate that the server wants. Runs in the audio thread. */

import { Resampler } from "./resampler.js";

class Capture extends AudioWorkletProcessor {
  #filled = 0;
  #isOver = false;
  #piece;
  #resampler;

  /** @param {{processorOptions: {rate: number, samples: number}}} options `samples` has a piece */
  constructor({ processorOptions: { rate, samples } }) {
    super();
    this.#piece = new Int16Array(samples);
    this.#resampler = new Resampler(sampleRate, rate);
    this.port.onmessage = () => this.#end();
  }

  /** @param {Float32Array[][]} inputs @returns {boolean} whether there is more to do */
  process([channels]) {
    const [samples] = channels;
    if (samples && !this.#isOver) for (const sample of this.#resampler.process(samples)) this.#add(sample);
    return !this.#isOver;
  }

  /** @param {number} sample from -1 to 1 */
  #add(sample) {
    this.#piece[this.#filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
    this.#filled += 1;
    if (this.#filled === this.#piece.length) this.#post();
  }

  #post() {
    const piece = this.#piece.slice(0, this.#filled);
    this.#filled = 0;
    this.port.postMessage(piece, [piece.buffer]);
  }

  /** Post what there is of the last piece, and then null. */
  #end() {
    this.#isOver = true;
    if (this.#filled) this.#post();
    this.port.postMessage(null);
  }
}

registerProcessor("capture", Capture);
