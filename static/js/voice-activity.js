/** Voice activity detection: tells when speech starts and stops, from its loudness above the noise of the room. */

const INITIAL_FLOOR = -45; // dBFS RMS: a noisy room, because someone may be speaking from the first moment
const MIN_FLOOR = -62; // dBFS RMS; a microphone that suppresses noise is quieter still, but speech is not
const MAX_FLOOR = -35; // dBFS RMS
const FLOOR_RISE = 1; // dB per second: lasting noise becomes the floor, a sentence does not
const FLOOR_FALL = 20; // dB per second: a pause between words lowers the floor, a moment without signal does not
const START = { above: 12, after: 150 }; // dB above the floor; milliseconds, because a click of the mouse is shorter
const STRICT_START = { above: 18, after: 300 };
const CONTINUE_ABOVE = 7; // dB above the floor: the end of a sentence is quieter than its start
const MAX_DIP = 100; // milliseconds below the threshold that do not interrupt speech

export class VoiceActivity {
  /** Milliseconds of silence that end speech. */
  pause;
  /** Whether only loud and long speech counts as a start: the microphone picks up an answer while it plays. */
  strict = false;
  #floor = INITIAL_FLOOR;
  #lastLoud = 0;
  /** @type {number | null} */
  #loudSince = null;
  #speaking = false;
  #updatedAt = Infinity;

  /** @param {number} pause milliseconds */
  constructor(pause) {
    this.pause = pause;
  }

  /** Whether someone is speaking, or pauses for less than `pause`. */
  get speaking() {
    return this.#speaking;
  }

  /** Wait for speech to start. */
  reset() {
    this.#speaking = false;
    this.#loudSince = null;
  }

  /**
   * @param {number} rms dBFS, of the latest moment
   * @param {number} now milliseconds
   * @returns {"" | "started" | "stopped"} the change in this moment
   */
  update(rms, now) {
    this.#updateFloor(rms, now);
    this.#updateLoudness(rms - this.#floor, now);
    if (this.#speaking && now - this.#lastLoud >= this.pause) {
      this.reset();
      return "stopped";
    }
    const loudFor = this.#loudSince === null ? 0 : now - this.#loudSince;
    if (this.#speaking || now !== this.#lastLoud || loudFor < this.#start.after) return "";
    this.#speaking = true;
    return "started";
  }

  get #start() {
    return this.strict ? STRICT_START : START;
  }

  /**
   * The floor falls fast to a lower level, and rises slowly to a higher one.
   * @param {number} level
   * @param {number} now
   */
  #updateFloor(level, now) {
    const seconds = Math.max(0, now - this.#updatedAt) / 1000;
    const fallen = Math.max(level, this.#floor - FLOOR_FALL * seconds, MIN_FLOOR);
    const risen = Math.min(level, this.#floor + FLOOR_RISE * seconds, MAX_FLOOR);
    this.#floor = level < this.#floor ? fallen : risen;
    this.#updatedAt = now;
  }

  /**
   * @param {number} excess dB above the floor
   * @param {number} now
   */
  #updateLoudness(excess, now) {
    if (excess > (this.#speaking ? CONTINUE_ABOVE : this.#start.above)) {
      this.#loudSince ??= now;
      this.#lastLoud = now;
    } else if (now - this.#lastLoud > MAX_DIP) {
      this.#loudSince = null;
    }
  }
}
