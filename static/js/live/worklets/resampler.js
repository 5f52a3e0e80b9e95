/** Changes the sample rate of sound that comes in pieces. A windowed sinc is the low-pass, so that nothing aliases. */

const ZERO_CROSSINGS = 16; // of the sinc on each side
const PASSBAND = 0.92; // of the band that both rates can hold; the filter needs the rest to fall

/**
 * @param {number} first
 * @param {number} second
 * @returns {number}
 */
const greatestDivisor = (first, second) => (second ? greatestDivisor(second, first % second) : first);

/**
 * @param {number} shift of the output sample from the input sample before it, 0 to 1
 * @param {number} half of the weights are for the input samples up to that one
 * @param {number} cutoff share of the input's band
 */
function weights(shift, half, cutoff) {
  return Float32Array.from({ length: 2 * half }, (_none, index) => {
    const distance = index - half + 1 - shift;
    const angle = Math.PI * cutoff * distance;
    const sinc = angle ? Math.sin(angle) / angle : 1;
    return cutoff * sinc * (0.5 + 0.5 * Math.cos((Math.PI * distance) / half));
  });
}

export class Resampler {
  #down;
  #half;
  #index; // of the input sample before the next output sample
  #phase = 0; // of that output sample, in parts of an input sample
  /** @type {Float32Array} */
  #rest;
  #up;
  #weights;

  /** @param {number} from hertz @param {number} to hertz */
  constructor(from, to) {
    const divisor = greatestDivisor(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    const cutoff = PASSBAND * Math.min(1, to / from);
    this.#half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.#weights = Array.from({ length: this.#up }, (_none, phase) => weights(phase / this.#up, this.#half, cutoff));
    this.#index = this.#half - 1;
    this.#rest = new Float32Array(this.#index); // Silence came before.
  }

  /**
   * @param {Float32Array} samples the next piece
   * @returns {number[]} what can be said of the output by now
   */
  process(samples) {
    const input = new Float32Array(this.#rest.length + samples.length);
    input.set(this.#rest);
    input.set(samples, this.#rest.length);
    const output = [];
    while (this.#index + this.#half < input.length) {
      output.push(this.#next(input));
      this.#phase += this.#down;
      this.#index += Math.floor(this.#phase / this.#up);
      this.#phase %= this.#up;
    }
    const used = this.#index - this.#half + 1;
    this.#rest = input.slice(used);
    this.#index -= used;
    return output;
  }

  /** @param {Float32Array} input */
  #next(input) {
    const kernel = this.#weights[this.#phase];
    const first = this.#index - this.#half + 1;
    let sum = 0;
    for (let tap = 0; tap < kernel.length; tap += 1) sum += kernel[tap] * input[first + tap];
    return sum;
  }
}
